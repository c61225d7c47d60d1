# The units, with the paths of this installation, the user they run as and its directories.

EXTRA_DIST += \
	systemd/bridled.service.in systemd/bridled.socket \
	systemd/sysusers.d/bridled.conf systemd/tmpfiles.d/bridled.conf
CLEANFILES += systemd/bridled.service
dist_check_SCRIPTS += systemd/check-unit
TESTS += systemd/check-unit
check_DATA += systemd/bridled.service

systemd/bridled.service: $(srcdir)/systemd/bridled.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && \
	$(SED) $(INSTALLED_PATHS) <"$(srcdir)/systemd/bridled.service.in" >$@.new && mv -f $@.new $@

if HAVE_SYSTEMD
systemdsystemunit_DATA = systemd/bridled.service systemd/bridled.socket
sysusersdir = $(prefix)/lib/sysusers.d
sysusers_DATA = systemd/sysusers.d/bridled.conf
tmpfilesdir = $(prefix)/lib/tmpfiles.d
tmpfiles_DATA = systemd/tmpfiles.d/bridled.conf
endif
