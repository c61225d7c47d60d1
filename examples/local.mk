# The programs of the quickstart: applications and callers. They share no code with the daemon.

noinst_PROGRAMS += \
	examples/legacy/grpc-call \
	examples/legacy/grpc-echo \
	examples/legacy/kitex-call \
	examples/legacy/legacy-echo \
	examples/legacy/stream-call \
	examples/legacy/stream-echo

EXTRA_DIST += \
	examples/metadata-lookup/Metadata.java \
	examples/metadata-lookup/PeerName.c \
	examples/metadata-lookup/README.md \
	examples/metadata-lookup/metadata-main.c \
	examples/metadata-lookup/metadata.c examples/metadata-lookup/metadata.h \
	examples/metadata-lookup/metadata.go \
	examples/metadata-lookup/metadata.py

noinst_LIBRARIES += examples/legacy/libexamples.a
examples_legacy_libexamples_a_SOURCES = \
	examples/legacy/frame.c examples/legacy/frame.h \
	examples/legacy/payload.c examples/legacy/payload.h \
	examples/legacy/put.c examples/legacy/put.h \
	examples/legacy/sockets.c examples/legacy/sockets.h

examples_legacy_kitex_call_SOURCES = examples/legacy/kitex-call.c
examples_legacy_kitex_call_LDADD = examples/legacy/libexamples.a
examples_legacy_legacy_echo_SOURCES = examples/legacy/legacy-echo.c
examples_legacy_legacy_echo_LDADD = examples/legacy/libexamples.a
examples_legacy_stream_call_SOURCES = examples/legacy/stream-call.c
examples_legacy_stream_call_LDADD = examples/legacy/libexamples.a
examples_legacy_stream_echo_SOURCES = examples/legacy/stream-echo.c
examples_legacy_stream_echo_LDADD = examples/legacy/libexamples.a

examples_legacy_grpc_call_SOURCES = \
	examples/legacy/grpc-call.c examples/legacy/h2.c examples/legacy/h2.h
examples_legacy_grpc_call_CPPFLAGS = $(AM_CPPFLAGS) $(NGHTTP2_CFLAGS)
examples_legacy_grpc_call_LDADD = examples/legacy/libexamples.a $(NGHTTP2_LIBS)
examples_legacy_grpc_echo_SOURCES = \
	examples/legacy/grpc-echo.c examples/legacy/h2.c examples/legacy/h2.h
examples_legacy_grpc_echo_CPPFLAGS = $(AM_CPPFLAGS) $(NGHTTP2_CFLAGS)
examples_legacy_grpc_echo_LDADD = examples/legacy/libexamples.a $(NGHTTP2_LIBS)
