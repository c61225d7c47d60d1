#include "rpc/entries.h"

#include "rpc/metadata.h"

#define TOKEN_NAME SLICE_LIT("gdpr-token")
#define BACKWARD_LONG                                                                              \
	SLICE_LIT("RPC_BACKWARD_") /* the only one of the three with a longer prefix */

struct collection {
	struct rpc_entry *list;
	size_t max, n;
};

static void add(struct collection *c, const struct rpc_entry *entry)
{
	if (c->n < c->max)
		c->list[c->n] = *entry;
	c->n++;
}

/* How far a name says that its value travels, and the name without that; @other is for the rest. */
static void sort(struct rpc_entry *e, enum metadata_kind kind, enum rpc_entry_group other)
{
	switch ((int)kind) {
	case METADATA_PERSISTENT:
		e->group = RPC_ENTRY_PERSISTENT;
		break;
	case METADATA_ACL:
		e->is_secret = true;
		e->group = RPC_ENTRY_TRANSIENT;
		break;
	case METADATA_TRANSIENT:
	case METADATA_UPSTREAM:
		e->group = RPC_ENTRY_TRANSIENT;
		break;
	default:
		e->group = other;
		return;
	}
	e->name = slice_from(e->name, METADATA_PREFIX);
}

/* Any str key of a reply is meant for its caller; only those that say so are shown as such. */
static bool is_backward(struct slice name)
{
	return metadata_of_key(name, false) == METADATA_BACKWARD ||
	       metadata_of_field(name) == METADATA_BACKWARD;
}

static void add_named(
    struct collection *c, struct rpc_entry *e, enum metadata_kind kind, enum rpc_entry_group other)
{
	if (is_backward(e->name)) {
		e->group = RPC_ENTRY_BACKWARD;
		e->name = slice_from(e->name, BACKWARD_LONG.len);
	} else {
		sort(e, kind, other);
	}
	add(c, e);
}

static void add_section_entry(struct collection *c, const struct ttheader_entry *from)
{
	struct rpc_entry e = {.name = from->key, .value = from->value};

	switch (from->kind) {
	case TTHEADER_INT:
		e.group = RPC_ENTRY_INT;
		e.number = from->int_key;
		e.name = SLICE_NONE;
		add(c, &e);
		break;
	case TTHEADER_ACL:
		e.group = RPC_ENTRY_TRANSIENT;
		e.name = TOKEN_NAME;
		e.is_secret = true;
		add(c, &e);
		break;
	case TTHEADER_STR:
		add_named(c, &e, metadata_of_key(from->key, false), RPC_ENTRY_STR);
		break;
	case TTHEADER_PADDING:
		break;
	}
}

static void add_sections(struct collection *c, const struct rpc_message *m)
{
	struct ttheader_iter it = m->form.transport == RPC_MESH ? ttheader_entries_mesh(m->sections)
								: ttheader_entries(m->sections);
	struct ttheader_entry entry;

	while (ttheader_next(&it, &entry))
		add_section_entry(c, &entry);
}

static void add_field(struct collection *c, const struct rpc_field *field)
{
	struct rpc_entry e = {
	    .name = field->name, .value = field->value, .is_secret = field->is_secret};

	add_named(c, &e, metadata_of_field(field->name), RPC_ENTRY_HEADER);
}

size_t rpc_entries(const struct rpc_message *m, struct rpc_entry *list, size_t max)
{
	struct collection c = {list, max, 0};

	switch (m->form.transport) {
	case RPC_TTHEADER:
	case RPC_MESH:
	case RPC_TTSTREAM:
	case RPC_PLAIN: /* one that was lifted */
		add_sections(&c, m);
		break;
	case RPC_HTTP2:
		for (unsigned i = 0; i < m->n_fields; i++)
			add_field(&c, &m->fields[i]);
		break;
	}
	return c.n;
}
