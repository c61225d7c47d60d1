# The service unit, with the paths of this installation, and the user it runs as.

EXTRA_DIST += systemd/bridled.service.in systemd/bridled.sysusers
CLEANFILES += systemd/bridled.service
dist_check_SCRIPTS += systemd/check-unit
TESTS += systemd/check-unit
check_DATA = systemd/bridled.service

systemd/bridled.service: $(srcdir)/systemd/bridled.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && \
	$(SED) -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' \
		<"$(srcdir)/systemd/bridled.service.in" >$@.new && mv -f $@.new $@

if HAVE_SYSTEMD
systemdsystemunit_DATA = systemd/bridled.service

install-data-hook:
	$(MKDIR_P) "$(DESTDIR)$(prefix)/lib/sysusers.d"
	$(INSTALL_DATA) "$(srcdir)/systemd/bridled.sysusers" \
		"$(DESTDIR)$(prefix)/lib/sysusers.d/bridled.conf"

uninstall-hook:
	rm -f "$(DESTDIR)$(prefix)/lib/sysusers.d/bridled.conf"
endif
