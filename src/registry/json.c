#include "registry/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <cJSON.h>

#include "base/mem.h"
#include "model/yaml.h"

#define DEPTH_MAX  32u
#define VALUES_MAX 1000000u /* each costs some 100 bytes; 10 000 instances have far fewer */
#define EXACT_MAX  9007199254740992.0 /* 2^53: beyond it a double has gaps */
#define TAGS_MAX   4096u

/* ---- what is looked at before the library sees it ---- */

/* Where we are in a text that is walked once. */
struct scan {
	struct slice text;
	size_t at;
	unsigned depth;
	size_t values;
};

/* A string from its quote on. The library ends texts at \u0000 and takes bare control bytes. */
static const char *scan_string(struct scan *s)
{
	for (s->at++; s->at < s->text.len; s->at++) {
		uint8_t c = s->text.data[s->at];

		if (c == '"')
			return NULL;
		if (c < 0x20)
			return "a control byte in a string";
		if (c != '\\')
			continue;
		if (slice_starts(slice_from(s->text, s->at), SLICE_LIT("\\u0000")))
			return "a NUL in a string";
		s->at++;
	}
	return "a string without an end";
}

static const char *scan_byte(struct scan *s)
{
	switch (s->text.data[s->at]) {
	case '"':
		return scan_string(s);
	case '{':
	case '[':
		s->values++;
		return ++s->depth > DEPTH_MAX ? "nested too deeply" : NULL;
	case '}':
	case ']':
		s->depth -= s->depth > 0;
		return NULL;
	case ',':
		s->values++;
		return NULL;
	default:
		return NULL;
	}
}

/* As yaml_bad_byte, but what JSON allows beyond YAML: DEL and the control characters behind it. */
static size_t bad_byte(struct slice text)
{
	size_t at = 0;

	for (;;) {
		at += yaml_bad_byte(slice_from(text, at));
		if (at < text.len && text.data[at] == 0x7f)
			at++;
		else if (at + 1 < text.len && text.data[at] == 0xc2 &&
			 (text.data[at + 1] & 0xe0) == 0x80)
			at += 2;
		else
			return at;
	}
}

static const char *scan_text(struct slice text, size_t *at)
{
	struct scan s = {.text = text};
	const char *why = NULL;

	*at = bad_byte(text);
	if (*at < text.len)
		return "no UTF-8 text, or a control byte";
	for (; why == NULL && s.at < text.len; s.at++) {
		why = scan_byte(&s);
		if (why == NULL && s.values > VALUES_MAX)
			why = "too many values";
	}
	*at = s.at;
	return why;
}

/* ---- what is looked at behind it ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

/* A name that stands twice in one object, else NULL. */
static const char *find_double(const cJSON *object)
{
	int n = cJSON_GetArraySize(object);
	const cJSON **members, *member;
	const char *found = NULL;
	size_t i = 0;

	if (n < 2)
		return NULL;
	members = mem_calloc((size_t)n, sizeof(*members));
	cJSON_ArrayForEach(member, object) members[i++] = member;
	qsort(members, i, sizeof(*members), by_name);
	while (found == NULL && --i > 0)
		if (strcmp(members[i]->string, members[i - 1]->string) == 0)
			found = members[i]->string;
	free(members);
	return found;
}

/* As find_double, for all objects within. No deeper than the scan has let through. */
static const char *find_any_double(const cJSON *value)
{
	const char *found = cJSON_IsObject(value) ? find_double(value) : NULL;
	const cJSON *child;

	if (!cJSON_IsObject(value) && !cJSON_IsArray(value))
		return NULL;
	cJSON_ArrayForEach(child, value)
	{
		if (found)
			break;
		found = find_any_double(child);
	}
	return found;
}

/* Parses a copy that ends with NUL, which the library counts on in places. */
static cJSON *parse_copy(struct slice text, size_t *at)
{
	char *copy = malloc(text.len + 1);
	const char *end = NULL;
	cJSON *root;

	*at = 0;
	if (copy == NULL)
		return NULL;
	if (text.len)
		memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	root = cJSON_ParseWithLengthOpts(copy, text.len + 1, &end, 1);
	*at = end ? (size_t)(end - copy) : 0;
	free(copy);
	return root;
}

struct cJSON *json_parse(struct slice text, struct err *err)
{
	size_t at;
	const char *why = scan_text(text, &at), *name;
	cJSON *root;

	if (why) {
		err_set(err, 0, "JSON: %s at byte %zu", why, at);
		return NULL;
	}
	root = parse_copy(text, &at);
	if (root == NULL) {
		err_set(err, 0, "not JSON at byte %zu", at);
		return NULL;
	}
	name = find_any_double(root);
	if (name == NULL)
		return root;
	err_set(err, 0, "JSON: the member \"%.80s\" is there twice", name);
	cJSON_Delete(root);
	return NULL;
}

struct cJSON *json_parse_object(struct slice text, struct err *err)
{
	struct cJSON *object = json_parse(text, err);

	if (object == NULL || cJSON_IsObject(object))
		return object;
	cJSON_Delete(object);
	err_set(err, 0, "not a JSON object");
	return NULL;
}

/* ---- members ---- */

const struct cJSON *json_get(const struct cJSON *object, const char *name)
{
	const cJSON *member;

	if (!cJSON_IsObject(object))
		return NULL;
	member = cJSON_GetObjectItemCaseSensitive(object, name);
	return cJSON_IsNull(member) ? NULL : member;
}

struct slice json_text(const struct cJSON *object, const char *name)
{
	const cJSON *member = json_get(object, name);

	return cJSON_IsString(member) ? slice_str(member->valuestring) : SLICE_NONE;
}

static bool integer_of_text(const char *text, int64_t *value)
{
	bool negative = text[0] == '-';
	uint64_t size;

	if (!slice_to_u64(slice_str(text + negative), &size))
		return false;
	if (size > (uint64_t)INT64_MAX + negative)
		return false;
	*value = negative ? (int64_t)(0 - size) : (int64_t)size;
	return true;
}

static bool integer_of_number(double number, int64_t *value)
{
	if (!(number >= -EXACT_MAX && number <= EXACT_MAX) || number != floor(number))
		return false;
	*value = (int64_t)number;
	return true;
}

bool json_integer(
    const struct cJSON *object, const char *name, int64_t min, int64_t max, int64_t *value)
{
	const cJSON *member = json_get(object, name);
	int64_t found = 0;
	bool is_whole = false;

	if (cJSON_IsNumber(member))
		is_whole = integer_of_number(member->valuedouble, &found);
	else if (cJSON_IsString(member))
		is_whole = integer_of_text(member->valuestring, &found);
	if (!is_whole || found < min || found > max)
		return false;
	*value = found;
	return true;
}

bool json_bool(const struct cJSON *object, const char *name, bool *value)
{
	const cJSON *member = json_get(object, name);

	if (!cJSON_IsBool(member))
		return false;
	*value = cJSON_IsTrue(member);
	return true;
}

int json_tags(
    const struct cJSON *object, const char *name, struct arena *arena, struct config_map *tags)
{
	const cJSON *map = json_get(object, name), *member;
	struct config_pair *pairs;
	size_t n = 0, size = 0;

	*tags = (struct config_map){0};
	if (map == NULL)
		return 0;
	if (!cJSON_IsObject(map))
		return -1;
	cJSON_ArrayForEach(member, map)
	{
		if (!cJSON_IsString(member))
			return -1;
		size += strlen(member->string) + strlen(member->valuestring);
		if (++n > TAGS_MAX || size > TAGS_MAX)
			return -1;
	}
	if (n == 0)
		return 0;
	pairs = arena_calloc(arena, n, sizeof *pairs);
	n = 0;
	cJSON_ArrayForEach(member, map) pairs[n++] =
	    (struct config_pair){arena_str(arena, slice_str(member->string)),
		arena_str(arena, slice_str(member->valuestring))};
	qsort(pairs, n, sizeof *pairs, config_pair_compare);
	*tags = (struct config_map){pairs, n};
	return 0;
}
