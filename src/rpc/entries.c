#include "rpc/entries.h"

#include "rpc/head.h"
#include "rpc/metadata.h"

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

/* How far a name says that its value travels; @other is for the rest. Any str key of a reply is
 * meant for its caller; only those that say so are shown as such. */
static enum rpc_entry_group group_of(enum metadata_kind kind, enum rpc_entry_group other)
{
	switch ((int)kind) {
	case METADATA_PERSISTENT:
		return RPC_ENTRY_PERSISTENT;
	case METADATA_ACL:
	case METADATA_TRANSIENT:
	case METADATA_UPSTREAM:
		return RPC_ENTRY_TRANSIENT;
	case METADATA_BACKWARD:
		return RPC_ENTRY_BACKWARD;
	default:
		return other;
	}
}

static void add_named(
    struct collection *c, struct rpc_entry *e, enum metadata_kind kind, enum rpc_entry_group other)
{
	e->group = group_of(kind, other);
	e->is_secret |= kind == METADATA_ACL;
	/* What was transient before is shown under the name that it would be passed on with. */
	if (e->group != other)
		e->name =
		    metadata_bare(e->name, kind == METADATA_UPSTREAM ? METADATA_TRANSIENT : kind);
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
		e.name = metadata_key(METADATA_NAME_TOKEN);
		add_named(c, &e, METADATA_ACL, RPC_ENTRY_STR);
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
	struct ttheader_iter it = head_entries(m);
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
