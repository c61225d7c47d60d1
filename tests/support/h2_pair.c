#include "support/h2_pair.h"

#include <check.h>

struct h2_end down, up;
struct written w;

void h2_pair_begin(void)
{
	h2_end_open(&down, CODEC_DOWNSTREAM, NULL);
	h2_preface(&w);
	h2_end_hears(&down, &w);
	down.out.len = 0;
	h2_end_open(&up, CODEC_UPSTREAM, NULL);
	codec_pump(up.codec);
	h2_frame(&w, H2_SETTINGS, 0, 0, SLICE_NONE);
	h2_frame(&w, H2_SETTINGS, H2_ACK, 0, SLICE_NONE);
	h2_end_hears(&up, &w);
	up.out.len = 0;
}

void h2_pair_end(void)
{
	ck_assert_uint_eq(codec_held(down.codec), 0);
	ck_assert_uint_eq(codec_held(up.codec), 0);
	h2_end_close(&down);
	h2_end_close(&up);
	written_fini(&w);
}

void let_go(struct h2_end *e, uint32_t id)
{
	codec_own(e->codec, id, NULL);
	h2_end_feed(e, SLICE_NONE);
}

uint32_t open_call(void)
{
	uint32_t id = h2_end_begin(&up, "/p.S/M", CALL_FIELDS, false);

	up.out.len = 0;
	return id;
}
