# Packages for Debian and Ubuntu, made out of what `make dist` makes: deb/*.deb in the build directory.

EXTRA_DIST += \
	debian/bridled.docs debian/bridled.lintian-overrides debian/bridled.postinst \
	debian/bridled.postrm debian/changelog debian/control debian/copyright debian/rules \
	debian/source/format debian/tests/control debian/tests/start

# What make tells its children is not for another make, in another tree.
deb: dist
	rm -rf deb && $(MKDIR_P) deb
	cd deb && $(AMTAR) xf ../$(distdir).tar.xz && cd $(distdir) && \
		env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL dpkg-buildpackage -us -uc
	@ls deb/*.deb

clean-local:
	rm -rf deb

.PHONY: deb
