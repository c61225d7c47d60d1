# What logrotate is to do with our log files.

EXTRA_DIST += logrotate/bridled.in
CLEANFILES += logrotate/bridled
logrotatedir = $(sysconfdir)/logrotate.d
logrotate_DATA = logrotate/bridled

logrotate/bridled: $(srcdir)/logrotate/bridled.in Makefile
	$(AM_V_GEN)$(MKDIR_P) logrotate && \
	$(SED) $(INSTALLED_PATHS) <"$(srcdir)/logrotate/bridled.in" >$@.new && mv -f $@.new $@
