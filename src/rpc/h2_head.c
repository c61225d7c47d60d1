#include "rpc/h2_head.h"

#include "rpc/h2_memory.h"

#define FIRST_BYTES  1024u
#define FIRST_FIELDS 24u
#define FIRST_BLOCKS 4u
#define KEPT_BYTES   8192u /* more than this is given back as soon as it can be */

/* What a field counts beyond its bytes. Source: RFC 9113, 6.5.2. */
#define FIELD_OVERHEAD 32u

void h2_heads_fini(struct h2_heads *h)
{
	h2_memory_free(h->bytes, NULL);
	h2_memory_free(h->fields, NULL);
	h2_memory_free(h->blocks, NULL);
	*h = (struct h2_heads){0};
}

size_t h2_heads_held(const struct h2_heads *h)
{
	return h->size + h->fields_size * sizeof *h->fields + h->blocks_size * sizeof *h->blocks;
}

void h2_heads_reset(struct h2_heads *h, bool is_idle)
{
	if (h->is_open) {
		struct h2_block *block = h2_heads_current(h);

		if (block->at)
			memmove(h->bytes, h->bytes + block->at, h->len - block->at);
		if (block->first_field)
			memmove(h->fields, h->fields + block->first_field,
			    block->n_fields * sizeof *h->fields);
		h->len -= block->at;
		h->n_fields = block->n_fields;
		h->blocks[0] = *block;
		h->blocks[0].at = h->blocks[0].first_field = 0;
		h->n_blocks = 1;
		return;
	}
	h->len = h->n_fields = h->n_blocks = 0;
	if (h->blocks && (is_idle || h2_heads_held(h) > KEPT_BYTES))
		h2_heads_fini(h);
}

/* At least one more item, or @first of them. */
static void *grow(void *items, size_t *size, size_t first, size_t item_size)
{
	*size = *size ? 2 * *size : first;
	return h2_memory_array(items, *size * item_size);
}

void h2_heads_begin(struct h2_heads *h)
{
	if (h->n_blocks == h->blocks_size)
		h->blocks = grow(h->blocks, &h->blocks_size, FIRST_BLOCKS, sizeof *h->blocks);
	h->blocks[h->n_blocks++] = (struct h2_block){.at = h->len, .first_field = h->n_fields};
	h->is_open = true;
}

struct h2_block *h2_heads_current(struct h2_heads *h)
{
	return &h->blocks[h->n_blocks - 1];
}

static void add_bytes(struct h2_heads *h, struct slice s)
{
	if (s.len == 0)
		return;
	if (h->size - h->len < s.len) {
		size_t size = h->size ? h->size : FIRST_BYTES;

		while (size - h->len < s.len)
			size *= 2;
		h->bytes = h2_memory_array(h->bytes, size);
		h->size = size;
	}
	memcpy(h->bytes + h->len, s.data, s.len);
	h->len += s.len;
}

static const struct slice pseudo_names[H2_PSEUDO_COUNT] = {
    [H2_METHOD] = {(const uint8_t *)":method", 7},
    [H2_PATH] = {(const uint8_t *)":path", 5},
    [H2_AUTHORITY] = {(const uint8_t *)":authority", 10},
    [H2_SCHEME] = {(const uint8_t *)":scheme", 7},
    [H2_STATUS] = {(const uint8_t *)":status", 7},
};

static void add_pseudo(
    struct h2_heads *h, struct h2_block *block, struct slice name, struct slice value)
{
	for (unsigned i = 0; i < H2_PSEUDO_COUNT; i++) {
		if (!slice_eq(name, pseudo_names[i]) || block->has & 1u << i)
			continue;
		block->has |= 1u << i;
		block->pseudo_at[i] = h->len - block->at;
		block->pseudo_len[i] = value.len;
		add_bytes(h, value);
	}
}

/* Fields that tell how the body is read. Of a repeated one the first counts. */
static void note_field(
    struct h2_heads *h, struct h2_block *block, struct slice name, struct slice value)
{
	if (slice_eq(name, SLICE_LIT("grpc-encoding"))) {
		block->is_encoded = true;
	} else if (block->content_len == 0 && slice_eq(name, SLICE_LIT("content-type"))) {
		block->content_at = h->len - block->at;
		block->content_len = value.len;
	}
}

void h2_heads_add(struct h2_heads *h, struct slice name, struct slice value, bool is_secret)
{
	struct h2_block *block = h2_heads_current(h);

	block->listed += name.len + value.len + FIELD_OVERHEAD;
	if (name.len && name.data[0] == ':') {
		add_pseudo(h, block, name, value);
		return;
	}
	if (h->n_fields == h->fields_size)
		h->fields = grow(h->fields, &h->fields_size, FIRST_FIELDS, sizeof *h->fields);
	h->fields[h->n_fields++] =
	    (struct rpc_field){slice_of(NULL, name.len), slice_of(NULL, value.len), is_secret};
	block->n_fields++;
	add_bytes(h, name);
	note_field(h, block, name, value);
	add_bytes(h, value);
}

size_t h2_heads_end(struct h2_heads *h)
{
	struct h2_block *block = h2_heads_current(h);

	block->len = h->len - block->at;
	h->is_open = false;
	return h->n_blocks - 1;
}

void h2_heads_drop(struct h2_heads *h)
{
	struct h2_block *block = h2_heads_current(h);

	h->len = block->at;
	h->n_fields = block->first_field;
	h->n_blocks--;
	h->is_open = false;
}

/* Views of no bytes have no place: there may be no memory yet. */
static struct slice view(
    const struct h2_heads *h, const struct h2_block *block, size_t at, size_t len)
{
	return len ? slice_of(h->bytes + block->at + at, len) : SLICE_NONE;
}

struct slice h2_heads_pseudo(const struct h2_heads *h, size_t number, enum h2_pseudo which)
{
	const struct h2_block *block = &h->blocks[number];

	if (!(block->has & 1u << which))
		return SLICE_NONE;
	return view(h, block, block->pseudo_at[which], block->pseudo_len[which]);
}

unsigned h2_heads_status(const struct h2_heads *h, size_t number)
{
	uint64_t status;

	if (!slice_to_u64(h2_heads_pseudo(h, number, H2_STATUS), &status) || status > 999)
		return 0;
	return (unsigned)status;
}

struct slice h2_heads_content_type(const struct h2_heads *h, size_t number)
{
	const struct h2_block *block = &h->blocks[number];

	return view(h, block, block->content_at, block->content_len);
}

/* The fields lie behind the pseudo fields, which come before all others. */
static void view_fields(const struct h2_heads *h, const struct h2_block *block)
{
	const uint8_t *at = h->bytes + block->at;

	for (unsigned i = 0; i < H2_PSEUDO_COUNT; i++)
		at += block->pseudo_len[i];
	for (size_t i = 0; i < block->n_fields; i++) {
		struct rpc_field *field = &h->fields[block->first_field + i];

		field->name.data = at;
		field->value.data = at + field->name.len;
		at += field->name.len + field->value.len;
	}
}

void h2_heads_view(const struct h2_heads *h, size_t number, struct rpc_message *m)
{
	const struct h2_block *block = &h->blocks[number];

	m->head = view(h, block, 0, block->len);
	m->http_method = h2_heads_pseudo(h, number, H2_METHOD);
	m->path = h2_heads_pseudo(h, number, H2_PATH);
	m->authority = h2_heads_pseudo(h, number, H2_AUTHORITY);
	m->http_status = h2_heads_status(h, number);
	m->content_type = h2_heads_content_type(h, number);
	if (block->n_fields == 0)
		return;
	view_fields(h, block);
	m->fields = h->fields + block->first_field;
	m->n_fields = (unsigned)block->n_fields;
}
