#include "rpc/attest.h"

#include "base/mem.h"
#include "rpc/grpc_head.h"
#include "rpc/head.h"
#include "rpc/metadata.h"
#include "rpc/sections.h"

#define TOKEN_NAME SLICE_LIT("gdpr-token")
#define ADDED      64u /* lengths of entries, the name of a field, sections, padding */

/* In a mesh header. */
#define SIZE_AT    2u
#define COUNT_AT   4u /* where the bytes begin that the size counts */
#define ENTRIES_AT 6u

/* What an entry says that is not the caller's to say. */
enum assertion {
	CALLER,
	CALLER_METHOD,
	ADDRESS,
	ASSERTED,  /* those above may be known */
	TOKEN,     /* of an ACL */
	LOOKALIKE, /* a name that says who calls elsewhere */
	RESERVED,
	NOTHING,
};

enum verdict { STAYS, GOES, REPLACED };

struct attesting {
	const struct rpc_attestation *as;
	struct slice known[ASSERTED];
	bool is_said[ASSERTED];   /* it stands there */
	bool is_stated[ASSERTED]; /* of a header that is written anew: the caller says it, too */
	bool is_changed;
	struct rpc_edit counts; /* of what was taken out */
};

static void begin(
    struct attesting *x, const struct rpc_message *m, const struct rpc_attestation *as)
{
	x->as = as;
	memset(x->known, 0, sizeof x->known);
	memset(x->is_said, 0, sizeof x->is_said);
	memset(x->is_stated, 0, sizeof x->is_stated);
	memset(x->counts.dropped, 0, sizeof x->counts.dropped);
	x->is_changed = false;
	if (m->marks & RPC_IS_LIFTED || m->kind == RPC_TRAILERS)
		return; /* facts stand elsewhere */
	x->known[CALLER] = as->caller;
	x->known[CALLER_METHOD] = as->caller_method;
	if (m->form.transport != RPC_HTTP2)
		x->known[ADDRESS] = as->address;
}

/* ---- what an entry says ---- */

/* The name of metadata without how far it travels; empty: it is none that comes with calls. */
static struct slice bare_name(struct slice name, enum metadata_kind kind)
{
	return kind == METADATA_BACKWARD ? SLICE_NONE : metadata_bare(name, kind);
}

static bool fits(const struct rpc_reserved *r, struct slice name)
{
	if (r->is_prefix)
		name = slice_first(name, r->name.len);
	return metadata_name_eq(r->name, name);
}

static bool is_reserved(
    const struct rpc_attestation *as, struct slice name, enum metadata_kind kind)
{
	struct slice bare = bare_name(name, kind);
	bool is_header = kind == METADATA_HEADER || bare.len;

	for (size_t i = 0; i < as->n_reserved; i++) {
		const struct rpc_reserved *r = &as->reserved[i];

		if (r->kind == RPC_CHANGE_META && bare.len && fits(r, bare))
			return true;
		if (r->kind == RPC_CHANGE_HEADER && is_header && fits(r, name))
			return true;
	}
	return false;
}

static bool is_reserved_int(const struct rpc_attestation *as, uint16_t number)
{
	for (size_t i = 0; i < as->n_reserved; i++)
		if (as->reserved[i].kind == RPC_CHANGE_INT && as->reserved[i].number == number)
			return true;
	return false;
}

/* As fields call them; the address is a str key. */
static const struct slice names[ASSERTED] = {
    [CALLER] = SLICE_LIT("source-service"),
    [CALLER_METHOD] = SLICE_LIT("source-method"),
    [ADDRESS] = SLICE_LIT("rip"),
};

/* The token goes by any name that a reader, here or behind other forms, may take for it. */
static enum assertion identity_of(struct slice name, enum metadata_kind kind, bool is_field)
{
	for (int i = CALLER; i < ASSERTED; i++) {
		if (!metadata_name_eq(name, names[i]))
			continue;
		return slice_eq(name, names[i]) && (is_field || i == ADDRESS) ? (enum assertion)i
									      : LOOKALIKE;
	}
	if (kind == METADATA_ACL || metadata_name_eq(name, SLICE_LIT(METADATA_TOKEN_KEY)))
		return TOKEN;
	return metadata_name_eq(bare_name(name, kind), TOKEN_NAME) ? TOKEN : NOTHING;
}

static enum assertion assertion_of_named(
    const struct rpc_attestation *as, struct slice name, enum metadata_kind kind, bool is_field)
{
	enum assertion what = as->is_identity ? identity_of(name, kind, is_field) : NOTHING;

	if (what == NOTHING && as->n_reserved && is_reserved(as, name, kind))
		return RESERVED;
	return what;
}

/* Of int keys the number says it all. */
static enum metadata_kind kind_of(const struct ttheader_entry *e)
{
	return e->kind == TTHEADER_INT ? METADATA_INT : metadata_of_entry(e, false);
}

static enum assertion assertion_of(
    const struct rpc_attestation *as, const struct ttheader_entry *e, enum metadata_kind kind)
{
	if (e->kind == TTHEADER_STR)
		return assertion_of_named(as, e->key, kind, false);
	if (e->kind == TTHEADER_ACL)
		return assertion_of_named(as, SLICE_LIT(METADATA_TOKEN_KEY), kind, false);
	if (as->is_identity && e->int_key == TTKEY_FROM_SERVICE)
		return CALLER;
	if (as->is_identity && e->int_key == TTKEY_FROM_METHOD)
		return CALLER_METHOD;
	return is_reserved_int(as, e->int_key) ? RESERVED : NOTHING;
}

bool rpc_may_be_stated(const struct rpc_attestation *as, struct slice key)
{
	return assertion_of_named(as, key, metadata_of_key(key, false), false) == NOTHING;
}

/* ---- what becomes of it ---- */

static void count(struct attesting *x, enum assertion what, enum metadata_kind kind)
{
	x->is_changed = true;
	if (what == TOKEN)
		x->counts.dropped[RPC_DROPPED_ACL]++;
	else if (what == RESERVED)
		metadata_drop(&x->counts, kind);
	else
		x->counts.dropped[RPC_DROPPED_IDENTITY]++;
}

/* The first of its kind makes room for what is known, or is that already; all others go. */
static enum verdict judge(
    struct attesting *x, enum assertion what, enum metadata_kind kind, struct slice value)
{
	bool has_place = what < ASSERTED && x->known[what].len && !x->is_said[what];

	if (what == NOTHING)
		return STAYS;
	if (has_place) {
		x->is_said[what] = true;
		if (slice_eq(x->known[what], value))
			return STAYS;
	}
	count(x, what, kind);
	return has_place ? REPLACED : GOES;
}

static enum verdict judge_entry(
    struct attesting *x, const struct ttheader_entry *e, enum assertion *what)
{
	enum metadata_kind kind = kind_of(e);

	*what = assertion_of(x->as, e, kind);
	return judge(x, *what, kind, e->value);
}

static enum verdict judge_field(
    struct attesting *x, const struct rpc_field *field, enum assertion *what)
{
	enum metadata_kind kind = metadata_of_field(field->name);

	*what = assertion_of_named(x->as, field->name, kind, true);
	return judge(x, *what, kind, field->value);
}

bool rpc_is_attested(const struct rpc_message *m, const struct rpc_attestation *as)
{
	struct ttheader_iter it = head_entries(m);
	struct ttheader_entry e;
	struct attesting x;
	enum assertion what;

	if (as->is_identity && m->kind != RPC_TRAILERS &&
	    (!slice_eq(m->caller, as->caller) || !slice_eq(m->caller_method, as->caller_method)))
		return false;
	begin(&x, m, as);
	for (unsigned i = 0; i < m->n_fields && !x.is_changed; i++)
		judge_field(&x, &m->fields[i], &what);
	while (!x.is_changed && m->sections.len && ttheader_next(&it, &e))
		judge_entry(&x, &e, &what);
	return !x.is_changed;
}

/* ---- a transport header ---- */

/* Of what is known: the entry. */
static void put(struct attesting *x, struct ttheader_writer *t, enum assertion what)
{
	if (what == ADDRESS)
		ttheader_put_str(t, names[ADDRESS], x->known[ADDRESS]);
	else
		ttheader_put_int(t,
		    what == CALLER ? (uint16_t)TTKEY_FROM_SERVICE : (uint16_t)TTKEY_FROM_METHOD,
		    x->known[what]);
}

static void add_unsaid(void *arg, struct ttheader_writer *t, enum ttheader_section kind)
{
	struct attesting *x = arg;

	for (int what = CALLER; kind == TTHEADER_INT && what <= CALLER_METHOD; what++) {
		if (x->known[what].len == 0 || x->is_said[what] || x->is_stated[what])
			continue;
		put(x, t, (enum assertion)what);
		x->is_said[what] = true;
	}
}

static void find_stated(struct attesting *x, struct slice sections)
{
	struct ttheader_iter it = ttheader_entries(sections);
	struct ttheader_entry e;

	while (ttheader_next(&it, &e)) {
		enum assertion what = assertion_of(x->as, &e, kind_of(&e));

		if (what < ASSERTED)
			x->is_stated[what] = true;
	}
}

/* With more entries than may be read nobody would know what all of them say. */
static void write_sections(struct attesting *x, struct ttheader_writer *t, struct slice from)
{
	struct ttheader_iter it = ttheader_entries(from);
	struct ttheader_entry e;
	struct sections s;
	enum assertion what;

	find_stated(x, from);
	sections_begin(&s, t, from, add_unsaid, x);
	while (ttheader_next(&it, &e)) {
		enum verdict verdict = judge_entry(x, &e, &what);

		if (verdict == STAYS) {
			sections_keep(&s, &e);
			continue;
		}
		sections_cut(&s, &e);
		if (verdict == REPLACED)
			put(x, t, what);
	}
	sections_end(&s);
	t->w->bad |= !sections_are_readable(&s);
}

/* The payload's part of the head follows; its places move with it. */
static void adopt(struct rpc_message *m, struct writer *w, size_t sections_at, size_t sections_len)
{
	size_t before = m->payload_at, after = writer_len(w);
	uintptr_t payload = (uintptr_t)m->head.data + before;
	uintptr_t method = (uintptr_t)m->method.data;

	write_bytes(w, slice_from(m->head, before));
	if (method >= payload && method < (uintptr_t)m->head.data + m->head.len)
		m->method.data = w->start + after + (method - payload);
	m->head = writer_slice(w);
	m->sections = slice_sub(m->head, sections_at, sections_len);
	m->payload_at = after;
	m->message_at += after - before; /* may go back: sizes wrap round */
}

static bool attest_ttheader(struct attesting *x, struct rpc_message *m, struct arena *arena)
{
	size_t size = m->head.len + x->known[CALLER].len + x->known[CALLER_METHOD].len +
		      x->known[ADDRESS].len + ADDED;
	struct writer w = writer_of(arena_alloc(arena, size), size);
	struct ttheader_writer t;

	ttheader_begin(&t, &w, m->flags, m->transport_seq, m->head.data[TTHEADER_FIXED]);
	write_sections(x, &t, m->sections);
	ttheader_end(&t, (uint64_t)load_u32(m->head.data) + 4 - m->payload_at);
	if (w.bad)
		return false;
	adopt(m, &w, TTHEADER_SECTIONS, writer_len(&w) - TTHEADER_SECTIONS);
	return true;
}

static bool attest_mesh(struct attesting *x, struct rpc_message *m, struct arena *arena)
{
	size_t size = m->head.len + x->known[ADDRESS].len + ADDED;
	struct writer w = writer_of(arena_alloc(arena, size), size);
	struct ttheader_iter it = ttheader_entries_mesh(m->sections);
	struct ttheader_writer t = {.w = &w};
	struct ttheader_entry e;
	enum assertion what;

	write_bytes(&w, slice_first(m->head, ENTRIES_AT));
	while (ttheader_next(&it, &e)) {
		enum verdict verdict = judge_entry(x, &e, &what);

		if (verdict == STAYS)
			ttheader_put_str(&t, e.key, e.value);
		else if (verdict == REPLACED)
			put(x, &t, what);
	}
	if (w.bad || writer_len(&w) - COUNT_AT > UINT16_MAX)
		return false;
	store_u16(w.start + SIZE_AT, (uint16_t)(writer_len(&w) - COUNT_AT));
	store_u16(w.start + COUNT_AT, t.count);
	adopt(m, &w, COUNT_AT, writer_len(&w) - COUNT_AT);
	return true;
}

/* Of a message without a header: what was lifted stands alone. */
static bool attest_lifted(struct attesting *x, struct rpc_message *m, struct arena *arena)
{
	size_t size = m->sections.len + ADDED;
	struct writer w = writer_of(arena_alloc(arena, size), size);
	struct ttheader_writer t = {.w = &w};

	write_sections(x, &t, m->sections);
	m->sections = writer_slice(&w);
	return !w.bad;
}

/* ---- fields ---- */

static void attest_fields(struct attesting *x, struct rpc_message *m, struct arena *arena)
{
	struct field_list list = {.arena = arena};
	enum assertion what;

	list.size = m->n_fields + ASSERTED;
	list.items = arena_alloc(arena, list.size * sizeof *list.items);
	for (unsigned i = 0; i < m->n_fields; i++) {
		enum verdict verdict = judge_field(x, &m->fields[i], &what);

		if (verdict == GOES)
			continue;
		list.items[list.n] = m->fields[i];
		if (verdict == REPLACED)
			list.items[list.n].value = arena_copy(arena, x->known[what]);
		list.n++;
	}
	for (int i = CALLER; i <= CALLER_METHOD; i++)
		if (x->known[i].len && !x->is_said[i])
			field_add(&list, names[i], arena_copy(arena, x->known[i]));
	m->fields = list.items;
	m->n_fields = list.n;
}

/* ---- facts ---- */

/* Of a stream the method stands among the entries. */
static void find_method(struct rpc_message *m)
{
	struct ttheader_iter it = ttheader_entries(m->sections);
	struct ttheader_entry e;

	while (ttheader_next(&it, &e))
		if (e.kind == TTHEADER_INT && e.int_key == TTKEY_TO_METHOD &&
		    slice_eq(e.value, m->method))
			m->method = e.value;
}

static void forget_facts(struct rpc_message *m)
{
	m->service_asked = m->idl_service = m->caller = m->caller_method = SLICE_NONE;
	m->log_id = m->trace_id = m->content_type = SLICE_NONE;
	m->biz_status = m->biz_message = SLICE_NONE;
	m->marks = 0;
}

/* What the entries say now, from where they stand now. */
static void note_anew(struct rpc_message *m)
{
	const char *why;

	forget_facts(m);
	if (m->form.transport == RPC_HTTP2) {
		grpc_note_call(m);
		return;
	}
	m->timeout = USEC_NONE;
	head_note(m, head_entries(m), &why);
	if (m->form.transport != RPC_TTSTREAM)
		return;
	m->timeout = USEC_NONE; /* streams state none */
	find_method(m);
}

/* Its other facts do not stand in the sections. */
static void note_lifted(struct rpc_message *m)
{
	struct rpc_message noted = {.timeout = USEC_NONE};
	const char *why;

	head_note(&noted, ttheader_entries(m->sections), &why);
	m->trace_id = noted.trace_id;
}

static void set_fact(struct slice *fact, struct slice known, struct arena *arena)
{
	if (!slice_eq(*fact, known))
		*fact = arena_copy(arena, known);
}

static bool change(struct attesting *x, struct rpc_message *m, struct arena *arena)
{
	switch (m->form.transport) {
	case RPC_TTHEADER:
	case RPC_TTSTREAM:
		return attest_ttheader(x, m, arena);
	case RPC_MESH:
		return attest_mesh(x, m, arena);
	case RPC_HTTP2:
		attest_fields(x, m, arena);
		return true;
	case RPC_PLAIN:
		break;
	}
	return m->sections.len == 0 || attest_lifted(x, m, arena);
}

bool rpc_attest(struct rpc_message *m, const struct rpc_attestation *as, struct arena *arena,
    unsigned dropped[RPC_DROPPED_CLASSES])
{
	struct attesting x;

	if (m->head.len < m->payload_at)
		return true; /* it was refused before it was here as a whole */
	begin(&x, m, as);
	if (!change(&x, m, arena))
		return false;
	for (size_t i = 0; i < RPC_DROPPED_CLASSES; i++)
		dropped[i] += x.counts.dropped[i];
	if (m->kind == RPC_TRAILERS)
		return true;
	if (m->form.transport != RPC_PLAIN)
		note_anew(m);
	else if (m->sections.len)
		note_lifted(m);
	if (!as->is_identity)
		return true;
	set_fact(&m->caller, as->caller, arena);
	set_fact(&m->caller_method, as->caller_method, arena);
	return true;
}
