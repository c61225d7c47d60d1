# Flags of ours go into variables of our own; CFLAGS and LDFLAGS stay the user's.

# BRIDLE_FLAG(VARIABLE, FLAG [, EXTRA-FLAGS-FOR-THE-TEST])
AC_DEFUN([BRIDLE_FLAG], [
	AS_VAR_PUSHDEF([cache], [bridle_cv_flag_$2])
	AC_CACHE_CHECK([whether $CC takes $2], [cache], [
		bridle_save_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS -Werror $3 $2"
		AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
		CFLAGS=$bridle_save_CFLAGS
	])
	AS_VAR_IF([cache], [yes], [$1="$$1 $2"])
	AS_VAR_POPDEF([cache])
])

AC_DEFUN([BRIDLE_WARNINGS], [
	AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [make warnings errors])])
	WARN_CFLAGS=
	m4_foreach_w([flag], [-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
		-Wold-style-definition -Wpointer-arith -Wwrite-strings -Wvla -Wformat=2
		-Wimplicit-fallthrough -Wundef -Wnull-dereference -Wcast-qual],
		[BRIDLE_FLAG([WARN_CFLAGS], flag)])
	STRICT_CFLAGS=
	BRIDLE_FLAG([STRICT_CFLAGS], [-Wconversion])
	AS_IF([test "x$enable_werror" = xyes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
	AC_SUBST([WARN_CFLAGS])
	AC_SUBST([STRICT_CFLAGS])
])

AC_DEFUN([BRIDLE_HARDENING], [
	AC_ARG_ENABLE([hardening], [AS_HELP_STRING([--disable-hardening], [leave the hardening flags out])])
	HARDEN_CFLAGS= HARDEN_LDFLAGS=
	AS_IF([test "x$enable_hardening" != xno], [
		m4_foreach_w([flag], [-fstack-protector-strong -fstack-clash-protection -fcf-protection=full
			-fno-delete-null-pointer-checks -fno-strict-overflow -fPIE],
			[BRIDLE_FLAG([HARDEN_CFLAGS], flag)])
		dnl FORTIFY needs optimisation, and must not meet a level that the user or the system chose.
		AC_CACHE_CHECK([whether _FORTIFY_SOURCE can be set], [bridle_cv_fortify], [
			AC_COMPILE_IFELSE([AC_LANG_SOURCE([
#if defined _FORTIFY_SOURCE || !defined __OPTIMIZE__
#error no
#endif
int main(void) { return 0; }])], [bridle_cv_fortify=yes], [bridle_cv_fortify=no])])
		AS_IF([test "$bridle_cv_fortify" = yes && test "x$enable_sanitizers" = x],
			[HARDEN_CFLAGS="$HARDEN_CFLAGS -D_FORTIFY_SOURCE=2"])
		m4_foreach([flag], [[-pie], [-Wl,-z,relro], [-Wl,-z,now], [-Wl,-z,noexecstack]],
			[BRIDLE_FLAG([HARDEN_LDFLAGS], m4_quote(flag), [-fPIE])])
	])
	AC_SUBST([HARDEN_CFLAGS])
	AC_SUBST([HARDEN_LDFLAGS])
])

AC_DEFUN([BRIDLE_SANITIZERS], [
	AC_ARG_ENABLE([sanitizers], [AS_HELP_STRING([--enable-sanitizers=LIST],
		[build with sanitizers, for instance address,undefined or thread])])
	SAN_CFLAGS=
	AS_IF([test "x$enable_sanitizers" = xyes], [enable_sanitizers=address,undefined])
	AS_IF([test "x$enable_sanitizers" != x && test "x$enable_sanitizers" != xno], [
		SAN_CFLAGS="-fsanitize=$enable_sanitizers -fno-sanitize-recover=all -fno-omit-frame-pointer -g"
		bridle_save_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS $SAN_CFLAGS"
		AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [],
			[AC_MSG_ERROR([$CC cannot link with -fsanitize=$enable_sanitizers])])
		CFLAGS=$bridle_save_CFLAGS
	])
	AC_SUBST([SAN_CFLAGS])
])

AC_DEFUN([BRIDLE_FUZZERS], [
	AC_ARG_ENABLE([fuzzers], [AS_HELP_STRING([--enable-fuzzers],
		[build the fuzz targets for libFuzzer (clang); without it they only replay their corpora])])
	FUZZ_CFLAGS= FUZZ_LDFLAGS=
	AS_IF([test "x$enable_fuzzers" = xyes], [
		FUZZ_CFLAGS="-fsanitize=fuzzer-no-link"
		FUZZ_LDFLAGS="-fsanitize=fuzzer"
		bridle_save_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS $FUZZ_CFLAGS"
		AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [],
			[AC_MSG_ERROR([$CC has no libFuzzer; use CC=clang])])
		CFLAGS=$bridle_save_CFLAGS
	])
	AM_CONDITIONAL([ENABLE_FUZZERS], [test "x$enable_fuzzers" = xyes])
	AC_SUBST([FUZZ_CFLAGS])
	AC_SUBST([FUZZ_LDFLAGS])
])

AC_DEFUN([BRIDLE_COVERAGE], [
	AC_ARG_ENABLE([coverage], [AS_HELP_STRING([--enable-coverage], [build for gcov])])
	COV_CFLAGS=
	AS_IF([test "x$enable_coverage" = xyes], [COV_CFLAGS="--coverage -O0"])
	AC_SUBST([COV_CFLAGS])
])

# The ZooKeeper client comes without a file for pkg-config. Without it there is everything but that
# type of registry.
AC_DEFUN([BRIDLE_ZOOKEEPER], [
	AC_ARG_WITH([zookeeper],
		[AS_HELP_STRING([--with-zookeeper=auto|yes|no], [registries of type zookeeper (default: auto)])],
		[], [with_zookeeper=auto])
	have_zookeeper=no
	ZOOKEEPER_LIBS=
	AS_IF([test "x$with_zookeeper" != xno], [
		AC_CHECK_HEADER([zookeeper/zookeeper.h],
			[AC_CHECK_LIB([zookeeper_mt], [zoo_awget], [have_zookeeper=yes])])
		AS_IF([test $have_zookeeper = yes], [
			ZOOKEEPER_LIBS=-lzookeeper_mt
			AC_DEFINE([HAVE_ZOOKEEPER], [1], [Define to 1 if there is the ZooKeeper client library.])
		], [test "x$with_zookeeper" = xyes],
			[AC_MSG_ERROR([the multi-threaded ZooKeeper client library is needed: zookeeper/zookeeper.h, libzookeeper_mt])])
	])
	AC_SUBST([ZOOKEEPER_LIBS])
])
