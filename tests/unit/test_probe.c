#include "rpc/probe.h"

#include <stdlib.h>

#include <check.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "rpc/codec.h"
#include "support/bytes.h"
#include "support/reading.h"
#include "support/suite.h"

/* What a probe is on the wire, in that form. */
static struct slice sent(const struct rpc_probe *p, struct rpc_form form, struct written *w)
{
	struct codec_limits limits = {
	    .max_message = 1 << 20, .max_header = 1 << 16, .protocols = ~0u};
	struct codec *codec = codec_open(CODEC_UPSTREAM, CODEC_UNARY, &limits, &written_io, w);
	struct rpc_edit edit = {.form = form, .service = SLICE_LIT("app")};

	w->len = 0;
	ck_assert(codec_send_message(codec, 0, &p->message, &edit));
	codec_close(&codec);
	return slice_of(w->bytes, w->len);
}

START_TEST(a_thrift_probe_is_a_whole_call_in_every_form)
{
	struct written w = {0};
	struct rpc_probe p;
	struct slice got;

	rpc_probe_thrift(&p, SLICE_LIT("Get"));
	got = sent(&p, (struct rpc_form){RPC_PLAIN, RPC_THRIFT, false}, &w);
	ck_assert(slice_eq(got, BYTES(0x80, 1, 0, 1, 0, 0, 0, 3, 'G', 'e', 't', 0, 0, 0, 1, 0)));
	got = sent(&p, (struct rpc_form){RPC_PLAIN, RPC_THRIFT, true}, &w);
	ck_assert(slice_eq(
	    got, BYTES(0, 0, 0, 16, 0x80, 1, 0, 1, 0, 0, 0, 3, 'G', 'e', 't', 0, 0, 0, 1, 0)));
	got = sent(&p, (struct rpc_form){RPC_TTHEADER, RPC_THRIFT, true}, &w);
	ck_assert_uint_eq(load_u32(got.data), got.len - 4);
	ck_assert_uint_eq(load_u16(got.data + 4), 0x1000);
	ck_assert_uint_eq(got.data[got.len - 1], 0);
	free(w.bytes);
}
END_TEST

START_TEST(names_that_are_too_long_are_cut)
{
	char name[400];
	struct rpc_probe p;

	memset(name, 'x', sizeof name);
	rpc_probe_thrift(&p, slice_of(name, sizeof name));
	ck_assert_uint_eq(p.message.method.len, RPC_PROBE_NAME_MAX);
	rpc_probe_grpc(&p, slice_of(name, sizeof name));
	ck_assert_uint_eq(p.message.body.len, 3 + RPC_PROBE_NAME_MAX);
	ck_assert_int_eq(memcmp(p.message.body.data, "\x0a\xc8\x01xxx", 6), 0);
}
END_TEST

START_TEST(a_grpc_probe_names_the_service_it_asks_about)
{
	struct rpc_probe p;

	rpc_probe_grpc(&p, SLICE_NONE);
	ck_assert_uint_eq(p.message.body.len, 0);
	ck_assert(slice_eq_str(p.message.idl_service, "grpc.health.v1.Health"));
	ck_assert(slice_eq_str(p.message.method, "Check"));
	rpc_probe_grpc(&p, SLICE_LIT("a.B"));
	ck_assert(slice_eq(p.message.body, BYTES(0x0a, 3, 'a', '.', 'B')));
}
END_TEST

START_TEST(serving_alone_is_serving)
{
	ck_assert(rpc_probe_is_serving(BYTES(0, 0, 0, 0, 2, 8, 1)));
	ck_assert(!rpc_probe_is_serving(BYTES(0, 0, 0, 0, 2, 8, 2)));
	ck_assert(!rpc_probe_is_serving(BYTES(0, 0, 0, 0, 0)));
	ck_assert(!rpc_probe_is_serving(BYTES(1, 0, 0, 0, 2, 8, 1))); /* compressed */
	ck_assert(!rpc_probe_is_serving(BYTES(0, 0, 0, 0, 2, 8)));
	ck_assert(!rpc_probe_is_serving(BYTES(0, 0, 0, 0, 3, 8, 1)));
	ck_assert(!rpc_probe_is_serving(BYTES(0, 0, 0, 0, 2, 16, 1)));
	ck_assert(!rpc_probe_is_serving(BYTES(0, 0, 0)));
	ck_assert(!rpc_probe_is_serving(SLICE_NONE));
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    a_thrift_probe_is_a_whole_call_in_every_form,
	    names_that_are_too_long_are_cut,
	    a_grpc_probe_names_the_service_it_asks_about,
	    serving_alone_is_serving,
	};

	return suite_run("probe", tests, ARRAY_LEN(tests));
}
