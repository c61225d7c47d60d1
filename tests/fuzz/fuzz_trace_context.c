/* The context of a trace as strangers state it, by W3C and in B3: what is read, written anew reads
 * the same; nothing is read that is all zero. */
#include <string.h>

#include "fuzz.h"
#include "rpc/trace_context.h"

static bool is_zero(const uint8_t *bytes, size_t n)
{
	size_t i = 0;

	while (i < n && bytes[i] == 0)
		i++;
	return i == n;
}

static void check_ids(const struct trace_context *c, const struct trace_context *again)
{
	must(memcmp(c->trace_id, again->trace_id, sizeof c->trace_id) == 0);
	must(memcmp(c->span_id, again->span_id, sizeof c->span_id) == 0);
}

static void check(const struct trace_context *c)
{
	struct trace_context again;
	char w3c[TRACE_W3C_TEXT], b3[TRACE_B3_TEXT];

	must(!is_zero(c->trace_id, sizeof c->trace_id) && !is_zero(c->span_id, sizeof c->span_id));
	must(trace_context_read_w3c(&again, slice_of(w3c, trace_context_write_w3c(c, w3c))));
	check_ids(c, &again);
	must((again.decision == TRACE_SAMPLED) == (c->decision == TRACE_SAMPLED));
	must(trace_context_read_b3(&again, slice_of(b3, trace_context_write_b3(c, b3))));
	check_ids(c, &again);
	must(again.decision == c->decision);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	struct trace_context c;

	if (trace_context_read_w3c(&c, in))
		check(&c);
	if (trace_context_read_b3(&c, in) && c.has_ids)
		check(&c);
	return 0;
}
