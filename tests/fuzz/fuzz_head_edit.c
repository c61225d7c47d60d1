/*
 * Edits on TTHeaders: the first bytes choose what is changed, the rest is a message. Read again, it
 * has the new facts exactly once, and everything that was not to be changed, in order.
 */
#include "fuzz.h"
#include "support/reading.h"
#include "wire/crc32c.h"
#include "wire/ttheader.h"

#define CHOICES 4u

/* Keys that the edit may add, change or remove. */
static bool is_touched(const struct ttheader_entry *e, const struct rpc_edit *edit, bool rewrapped)
{
	if (e->kind == TTHEADER_INT)
		return (e->int_key == TTKEY_RPC_TIMEOUT && edit->set_timeout) ||
		       (e->int_key == TTKEY_TRANSPORT_TYPE && rewrapped);
	if (e->kind != TTHEADER_STR)
		return false;
	return (slice_eq_str(e->key, "crrst") && (edit->strip_crrst || edit->add_crrst)) ||
	       (slice_eq_str(e->key, "rip") && edit->rip.len) || slice_eq_str(e->key, "crc32c") ||
	       slice_starts(e->key, SLICE_LIT("PV_"));
}

static bool next_untouched(
    struct ttheader_iter *it, const struct rpc_edit *edit, bool rewrapped, struct ttheader_entry *e)
{
	while (ttheader_next(it, e))
		if (!is_touched(e, edit, rewrapped))
			return true;
	return false;
}

/* Entries keep their order within their section, and sections theirs. */
static void compare_entries(
    const struct rpc_message *before, const struct rpc_message *after, const struct rpc_edit *edit)
{
	bool rewrapped = before->form.framed != after->form.framed;
	struct ttheader_iter a = ttheader_entries(before->sections);
	struct ttheader_iter b = ttheader_entries(after->sections);
	struct ttheader_entry x, y;

	while (next_untouched(&a, edit, rewrapped, &x)) {
		must(next_untouched(&b, edit, rewrapped, &y));
		must(x.kind == y.kind && x.int_key == y.int_key);
		must(slice_eq(x.key, y.key) && slice_eq(x.value, y.value));
	}
	must(!next_untouched(&b, edit, rewrapped, &y) && b.why == NULL);
}

/* How often the key is there; the last value in @value. */
static unsigned count_str(const struct rpc_message *m, const char *key, struct slice *value)
{
	struct ttheader_iter it = ttheader_entries(m->sections);
	struct ttheader_entry e;
	unsigned n = 0;

	while (ttheader_next(&it, &e)) {
		if (e.kind == TTHEADER_STR && slice_eq_str(e.key, key)) {
			*value = e.value;
			n++;
		}
	}
	return n;
}

static unsigned count_int(const struct rpc_message *m, uint16_t key, struct slice *value)
{
	struct ttheader_iter it = ttheader_entries(m->sections);
	struct ttheader_entry e;
	unsigned n = 0;

	while (ttheader_next(&it, &e)) {
		if (e.kind == TTHEADER_INT && e.int_key == key) {
			*value = e.value;
			n++;
		}
	}
	return n;
}

static void check_facts(const struct rpc_message *m, const struct rpc_edit *edit)
{
	struct slice value = SLICE_NONE;

	if (edit->set_timeout) {
		must(count_int(m, TTKEY_RPC_TIMEOUT, &value) == 1);
		must(m->timeout == edit->timeout_ms * USEC_MS);
	}
	if (edit->rip.len)
		must(count_str(m, "rip", &value) == 1 && slice_eq(value, edit->rip));
	if (edit->add_crrst)
		must(count_str(m, "crrst", &value) == 1 && slice_eq_str(value, "1"));
	else if (edit->strip_crrst)
		must(count_str(m, "crrst", &value) == 0);
}

static bool is_hex_of(struct slice text, uint32_t sum)
{
	char expected[9];

	for (int i = 0; i < 8; i++)
		expected[i] = "0123456789abcdef"[sum >> (28 - 4 * i) & 15];
	expected[8] = '\0';
	return slice_eq_str(text, expected);
}

static void check_checksums(const struct rpc_message *before, const struct rpc_message *after,
    struct slice written, unsigned dropped)
{
	bool payload_changed =
	    before->form.framed != after->form.framed || before->seq != after->seq;
	struct slice value = SLICE_NONE;
	unsigned n = count_str(after, "crc32c", &value);

	if (!payload_changed) {
		const unsigned sums = RPC_HAS_CHECKSUM | RPC_HAS_VALIDATOR;

		must(dropped == 0 && (after->marks & sums) == (before->marks & sums));
		return;
	}
	must(!(after->marks & RPC_HAS_VALIDATOR));
	must(!!(before->marks & RPC_HAS_VALIDATOR) == (dropped > 0));
	must(n == !!(before->marks & RPC_HAS_CHECKSUM));
	if (n)
		must(is_hex_of(value, crc32c(0, slice_from(written, after->payload_at))));
}

static void check(const struct rpc_message *before, struct slice written,
    const struct rpc_edit *edit, enum codec_side side)
{
	struct reading r;
	const struct rpc_message *after;

	reading_open(&r, side, &reading_limits);
	reading_feed(&r, written);
	must(r.n == 1 && r.list[0].is_whole);
	after = &r.list[0].message;
	must(rpc_form_eq(after->form, edit->form) && after->kind == before->kind);
	must(slice_eq(after->method, before->method) && slice_eq(after->body, before->body));
	must(after->seq == (edit->renumber ? edit->seq : before->seq));
	must(
	    after->transport_seq == (edit->renumber ? edit->transport_seq : before->transport_seq));
	must(after->flags == (before->flags | (edit->out_of_order ? 1 : 0)));
	compare_entries(before, after, edit);
	check_facts(after, edit);
	check_checksums(before, after, written, edit->dropped[RPC_DROPPED_CHECKSUM]);
	reading_close(&r);
}

static struct rpc_edit choose(const uint8_t *c, struct rpc_form form)
{
	static const char longest[] = "a-name-that-is-longer-than-most-names-but-not-too-long";
	struct rpc_edit e = {.form = form};

	e.renumber = c[0] & 1;
	e.seq = (int32_t)(c[1] * 0x01010101u);
	e.transport_seq = (int32_t)(c[2] * 0x01000001u);
	e.out_of_order = c[0] & 2;
	e.strip_crrst = c[0] & 4;
	e.add_crrst = c[0] & 8;
	e.set_timeout = c[0] & 16;
	e.timeout_ms = 1 + c[2] * (uint64_t)c[3];
	if (c[0] & 64)
		e.rip = slice_of(longest, c[1] % sizeof longest);
	if (c[0] & 128 && form.payload == RPC_THRIFT)
		e.form.framed = !form.framed;
	return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct codec_item item;
	struct written out = {0};
	struct slice in;
	struct codec *from, *to;
	enum codec_side side;

	if (size < CHOICES)
		return 0;
	in = slice_of(data + CHOICES, size - CHOICES);
	side = data[3] & 1 ? CODEC_UPSTREAM : CODEC_DOWNSTREAM;
	from = codec_open(side, CODEC_UNARY, &reading_limits, NULL, NULL);
	to = codec_open(side == CODEC_UPSTREAM ? CODEC_DOWNSTREAM : CODEC_UPSTREAM, CODEC_UNARY,
	    &reading_limits, &written_io, &out);
	if (codec_next(from, &in, &item) == CODEC_MESSAGE && item.message.complete &&
	    item.message.form.transport == RPC_TTHEADER) {
		struct rpc_edit edit = choose(data, item.message.form);

		if (codec_send_message(to, 0, &item.message, &edit))
			check(&item.message, written_slice(&out), &edit, side);
		else
			must(out.len == 0 && item.message.head.len > 200000);
	}
	codec_close(&from);
	codec_close(&to);
	written_fini(&out);
	return 0;
}
