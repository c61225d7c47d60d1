/* The type of the keys `metadata`: a word out of a list, or argfield:<id>; and what such words say
 * of the calls that applications make. */
#include <stdio.h>

#include "model/config_bind.h"
#include "model/nearest.h"

static const char argfield[] = "argfield:";

static struct metadata_config *metadata_at(const struct key *key, void *base)
{
	return (struct metadata_config *)(void *)((char *)base + key->offset);
}

static const char *list_words(struct binder *b, const struct key *key)
{
	const char *list = "";

	for (const struct word *w = key->words; w->word; w++)
		list = arena_printf(b->scratch, "%s%s, ", list, w->word);
	return arena_printf(b->scratch, "%sor argfield:<id of an argument>", list);
}

static const char *meant(struct binder *b, const struct key *key, struct slice text)
{
	struct nearest nearest;

	nearest_init(&nearest, text);
	for (const struct word *w = key->words; w->word; w++)
		nearest_try(&nearest, slice_str(w->word));
	if (!nearest_found(&nearest))
		return "";
	return arena_printf(b->scratch, "; did you mean \"%.*s\"?", (int)nearest.best.len,
	    (const char *)nearest.best.data);
}

static int parse_field(struct binder *b, const struct yaml_node *node, int16_t *field)
{
	struct slice number = slice_from(node->text, sizeof argfield - 1);
	uint64_t id;

	if (!slice_to_u64(number, &id) || id == 0 || id > INT16_MAX)
		return bind_error(b, node,
		    "%s names no argument\nexpected argfield: and its id in the IDL, 1 to 32767, like "
		    "argfield:100",
		    bind_shows(b, node));
	*field = (int16_t)id;
	return 0;
}

static int parse_carrier(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct metadata_config *metadata = metadata_at(key, base);

	if (node->kind != NODE_SCALAR)
		return bind_expected(b, node, "a word", list_words(b, key));
	if (slice_starts(node->text, slice_str(argfield))) {
		metadata->type = METADATA_ARGFIELD;
		return parse_field(b, node, &metadata->field);
	}
	for (const struct word *w = key->words; w->word; w++)
		if (slice_eq_str(node->text, w->word)) {
			metadata->type = (enum service_metadata)w->value;
			return 0;
		}
	return bind_error(b, node, "unknown value %s\nexpected one of: %s%s", bind_shows(b, node),
	    list_words(b, key), meant(b, key, node->text));
}

static void print_carrier(const struct key *key, const void *base, FILE *to)
{
	const struct metadata_config *metadata =
	    (const struct metadata_config *)(const void *)((const char *)base + key->offset);

	if (metadata->type == METADATA_ARGFIELD) {
		fprintf(to, "%s%d", argfield, metadata->field);
		return;
	}
	for (const struct word *w = key->words; w->word; w++)
		if (w->value == (unsigned)metadata->type)
			fputs(w->word, to);
}

static void schema_carrier(const struct key *key, FILE *to)
{
	fputs("{\"anyOf\": [{\"enum\": [", to);
	for (const struct word *w = key->words, *first = w; w->word; w++)
		fprintf(to, "%s\"%s\"", w == first ? "" : ", ", w->word);
	fputs("]}, {\"type\": \"string\", \"pattern\": \"^argfield:[1-9][0-9]{0,4}$\"}, "
	      "{\"$ref\": \"#/$defs/variable\"}]}",
	    to);
}

const struct key_type key_carrier = {
    "word", parse_carrier, print_carrier, schema_carrier, KEY_VALUE, NULL};

/* ---- what applications of this machine bring ---- */

static bool is_beside_us(const struct service_config *service)
{
	for (size_t i = 0; i < service->n_endpoints; i++)
		if (!address_is_local(&service->endpoints[i].address))
			return false;
	return service->n_endpoints > 0;
}

/* Where all of them have it; NULL: nowhere, or not all in one place. */
static const struct metadata_config *find_common(const struct config *config)
{
	const struct metadata_config *common = NULL;

	for (size_t i = 0; i < config->n_services; i++) {
		const struct metadata_config *own = &config->services[i]->metadata;

		if (!metadata_is_in_body(own) || !is_beside_us(config->services[i]))
			continue;
		if (common && (common->type != own->type || common->field != own->field))
			return NULL;
		common = own;
	}
	return common;
}

static bool is_for_neighbours(const struct listener_config *listener)
{
	for (size_t i = 0; i < listener->n_addresses; i++)
		if (!address_is_local(&listener->addresses[i]))
			return false;
	return listener->n_addresses > 0;
}

void config_know_neighbours(struct config *config)
{
	struct listener_config *listeners = (struct listener_config *)(uintptr_t)config->listeners;
	const struct metadata_config *common = find_common(config);

	for (size_t i = 0; i < config->n_listeners; i++)
		listeners[i].neighbours = is_for_neighbours(&listeners[i]) ? common : NULL;
}
