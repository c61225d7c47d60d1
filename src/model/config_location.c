/* The type of the key that is a place on earth. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/config_bind.h"

/* Degrees with a fraction or without, up to @max either way. */
static bool read_degrees(struct slice from, double max, double *degrees)
{
	char text[32], *end;

	if (from.len == 0 || from.len >= sizeof text)
		return false;
	memcpy(text, from.data, from.len);
	text[from.len] = '\0';
	if (text[strspn(text, "+-.0123456789")])
		return false;
	*degrees = strtod(text, &end);
	return *end == '\0' && end > text && *degrees >= -max && *degrees <= max;
}

static bool parse_degrees(const struct yaml_node *node, double max, double *degrees)
{
	return node && node->kind == NODE_SCALAR && read_degrees(node->text, max, degrees);
}

int config_place_of(const struct config_map *tags, double *latitude, double *longitude)
{
	const char *location = config_map_find(tags, "location"), *comma;
	const char *north = config_map_find(tags, "latitude"),
		   *east = config_map_find(tags, "longitude");
	bool is_good;

	if (location) {
		comma = strchr(location, ',');
		is_good =
		    comma &&
		    read_degrees(slice_of(location, (size_t)(comma - location)), 90, latitude) &&
		    read_degrees(slice_str(comma + 1), 180, longitude);
	} else if (north == NULL && east == NULL) {
		return -ENOENT;
	} else {
		is_good = north && east && read_degrees(slice_str(north), 90, latitude) &&
			  read_degrees(slice_str(east), 180, longitude);
	}
	return is_good ? 0 : -EINVAL;
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
