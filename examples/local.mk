# The programs of the quickstart: an old application and a caller. They share no code with the daemon.

noinst_PROGRAMS += examples/legacy/legacy-echo examples/legacy/kitex-call

examples_legacy_legacy_echo_SOURCES = examples/legacy/legacy-echo.c
examples_legacy_legacy_echo_LDADD =
examples_legacy_kitex_call_SOURCES = examples/legacy/kitex-call.c
examples_legacy_kitex_call_LDADD =
