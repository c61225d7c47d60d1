#include "model/config_dump.h"

#include <string.h>

/* The JSON Schema: one definition for each scope, its nested maps written out in place. */

static void print_string(const char *text, FILE *to)
{
	fputc('"', to);
	print_json(slice_str(text), to);
	fputc('"', to);
}

static void print_ref(const struct scope *scope, FILE *to)
{
	fprintf(to, "{\"$ref\": \"#/$defs/%s\"}", scope->name);
}

void config_schema_values(const struct key *key, FILE *to)
{
	bool may_be_none = key->flags & KEY_NONE;

	if (may_be_none)
		fputs("{\"anyOf\": [{\"const\": \"none\"}, ", to);
	switch (key->type->shape) {
	case KEY_VALUE:
	case KEY_STRUCT:
		print_ref(key->scope, to);
		break;
	case KEY_LIST:
	case KEY_LIST_OR_NONE:
		fprintf(to, "{\"type\": \"array\", \"minItems\": %d, \"items\": ",
		    key->flags & KEY_REQUIRED ? 1 : 0);
		print_ref(key->scope, to);
		fputc('}', to);
		break;
	case KEY_MAP:
		fputs("{\"type\": \"object\", \"additionalProperties\": ", to);
		print_ref(key->scope, to);
		fputc('}', to);
		break;
	}
	fputs(may_be_none ? "]}" : "", to);
}

/* The last part of the name, its schema, what it is for. */
static void print_key(const struct key *key, FILE *to)
{
	const char *name = strrchr(key->name, '.');
	const char *fallback = key->worked_out ? key->worked_out : key->fallback;

	print_string(name ? name + 1 : key->name, to);
	fputs(": {\"allOf\": [", to);
	key->type->schema(key, to);
	fputs("], \"description\": ", to);
	print_string(key->text, to);
	if (fallback) {
		fputs(", \"$comment\": \"default: ", to);
		print_json(slice_str(fallback), to);
		fputc('"', to);
	}
	fputc('}', to);
}

static bool lies_in(const struct key *key, struct slice prefix)
{
	struct slice name = slice_str(key->name);

	return key->type && slice_starts(name, prefix) &&
	       (prefix.len == 0 || name.data[prefix.len] == '.');
}

static const char *rest_of(const struct key *key, struct slice prefix)
{
	return key->name + (prefix.len ? prefix.len + 1 : 0);
}

static void print_map(const struct scope *scope, struct slice prefix, FILE *to);

static const struct key *find_short(const struct scope *scope, struct slice prefix)
{
	const struct key *key;
	void *at;

	for (size_t i = 0; (key = scope_key(scope, i, NULL, &at)) != NULL; i++)
		if (lies_in(key, prefix) && (key->flags & KEY_SHORT) &&
		    strchr(rest_of(key, prefix), '.') == NULL)
			return key;
	return NULL;
}

/* A nested map, or what it may be written as in short. */
static void print_map_or_short(const struct scope *scope, struct slice prefix, FILE *to)
{
	const struct key *key = find_short(scope, prefix);

	if (key) {
		fputs("{\"anyOf\": [", to);
		key->type->schema(key, to);
		fputs(", ", to);
	}
	print_map(scope, prefix, to);
	if (key)
		fputs("]}", to);
}

/* The first of the keys with this part is where the part is printed. */
static bool is_first(const struct scope *scope, size_t index, struct slice part)
{
	const struct key *key;
	void *at;

	for (size_t i = 0; i < index; i++) {
		key = scope_key(scope, i, NULL, &at);
		if (lies_in(key, part))
			return false;
	}
	return true;
}

static void print_properties(const struct scope *scope, struct slice prefix, FILE *to)
{
	const struct key *key;
	const char *comma = "";
	void *at;

	for (size_t i = 0; (key = scope_key(scope, i, NULL, &at)) != NULL; i++) {
		const char *rest, *dot;
		struct slice part;

		if (!lies_in(key, prefix))
			continue;
		rest = rest_of(key, prefix);
		dot = strchr(rest, '.');
		part = slice_of(key->name, dot ? (size_t)(dot - key->name) : 0);
		if (dot && !is_first(scope, i, part))
			continue;
		fprintf(to, "%s\n", comma);
		comma = ",";
		if (dot) {
			fprintf(to, "\"%.*s\": ", (int)(dot - rest), rest);
			print_map_or_short(scope, part, to);
		} else {
			print_key(key, to);
		}
	}
}

static void print_required(const struct scope *scope, struct slice prefix, FILE *to)
{
	const char *comma = "";

	fputs("\"required\": [", to);
	for (size_t i = 0; prefix.len == 0 && i < scope->n; i++) {
		if (!(scope->keys[i].flags & KEY_REQUIRED))
			continue;
		fprintf(to, "%s\"%s\"", comma, scope->keys[i].name);
		comma = ", ";
	}
	fputs("], ", to);
}

static void print_map(const struct scope *scope, struct slice prefix, FILE *to)
{
	fputs("{\"type\": \"object\", \"additionalProperties\": false, ", to);
	print_required(scope, prefix, to);
	fputs("\"properties\": {", to);
	print_properties(scope, prefix, to);
	fputs("}}", to);
}

/* An endpoint may be written as its address alone. */
static void print_scope(const struct scope *scope, FILE *to)
{
	const struct key *key = find_short(scope, SLICE_NONE);

	fprintf(to, ",\n\"%s\": ", scope->name);
	if (key) {
		fputs("{\"anyOf\": [", to);
		key->type->schema(key, to);
		fputs(", ", to);
	}
	print_map(scope, SLICE_NONE, to);
	if (key)
		fputs("]}", to);
}

void config_schema(FILE *to)
{
	static const struct scope *const scopes[] = {&listener_scope, &service_scope,
	    &endpoint_scope, &method_scope, &policy_scope, &backoff_scope, &limit_scope,
	    &breaker_scope, &acl_scope, &route_scope, &fault_scope, &route_policy_scope,
	    &test_scope, &registry_scope, &tls_scope};

	fputs("{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
	      "\"title\": \"bridled.yaml\",\n"
	      "\"$ref\": \"#/$defs/file\",\n"
	      "\"$defs\": {\n"
	      "\"variable\": {\"type\": \"string\", \"pattern\": \"\\\\$\\\\{\"},\n"
	      "\"address\": {\"type\": \"string\", \"pattern\": "
	      "\"^unix:[/@].+$|^.+:[0-9]+$|^none$|\\\\$\\\\{\"},\n"
	      "\"match\": {\"type\": \"object\", \"additionalProperties\": {\"anyOf\": [{\"type\": "
	      "[\"string\", \"number\", \"boolean\"]}, {\"type\": \"array\", \"items\": "
	      "{\"type\": \"string\"}}, {\"type\": \"object\", \"minProperties\": 1, "
	      "\"propertyNames\": {\"enum\": [\"exact\", \"prefix\", \"suffix\", \"regex\", "
	      "\"in\", \"present\", \"not\", \"path\"]}}]}},\n"
	      "\"file\": ",
	    to);
	print_map(&top_scope, SLICE_NONE, to);
	for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++)
		print_scope(scopes[i], to);
	fputs("}}\n", to);
}
