/* The type of the key that is a place on earth. */
#include <stdio.h>
#include <stdlib.h>

#include "model/config_bind.h"

/* Degrees with a fraction or without, up to @max either way. */
static bool parse_degrees(const struct yaml_node *node, double max, double *degrees)
{
	char text[32], *end;

	if (node == NULL || node->kind != NODE_SCALAR || node->text.len == 0 ||
	    node->text.len >= sizeof text)
		return false;
	memcpy(text, node->text.data, node->text.len);
	text[node->text.len] = '\0';
	if (text[strspn(text, "+-.0123456789")])
		return false;
	*degrees = strtod(text, &end);
	return *end == '\0' && end > text && *degrees >= -max && *degrees <= max;
}

static int parse_location(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct config *config = base;
	const struct yaml_node *latitude, *longitude;

	config->node.has_location = false;
	if (bind_is_none(key, node))
		return 0;
	if (node->kind == NODE_MAP && node->n == 2) {
		latitude = yaml_find(node, SLICE_LIT("latitude"));
		longitude = yaml_find(node, SLICE_LIT("longitude"));
		config->node.has_location = parse_degrees(latitude, 90, &config->node.latitude) &&
					    parse_degrees(longitude, 180, &config->node.longitude);
	}
	if (config->node.has_location)
		return 0;
	return bind_error(b, node,
	    "no place on earth\nexpected degrees, like {latitude: 48.14, longitude: 11.58}, the first "
	    "from -90 to 90, the second from -180 to 180");
}

static void print_location(const struct key *key, const void *base, FILE *to)
{
	const struct config *config = base;

	(void)key;
	if (config->node.has_location)
		fprintf(to, "{latitude: %.9g, longitude: %.9g}", config->node.latitude,
		    config->node.longitude);
	else
		fputs("none", to);
}

static void schema_location(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"anyOf\": [{\"const\": \"none\"}, {\"type\": \"object\", \"required\": "
	      "[\"latitude\", \"longitude\"], \"additionalProperties\": false, \"properties\": "
	      "{\"latitude\": {\"type\": [\"number\", \"string\"]}, \"longitude\": {\"type\": "
	      "[\"number\", \"string\"]}}}]}",
	    to);
}

const struct key_type key_location = {
    "map", parse_location, print_location, schema_location, KEY_VALUE, NULL};
