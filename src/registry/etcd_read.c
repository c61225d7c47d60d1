/* Source of names and forms: etcd's rpc.proto and kv.proto, as grpc-gateway writes them in JSON. */
#include "registry/etcd_read.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base64.h"
#include "registry/json.h"

/* 0 where it is missing: the gateway leaves zeros out. -1: it is there, and no number. */
static int read_number(const struct cJSON *object, const char *name, int64_t *value)
{
	*value = 0;
	if (json_get(object, name) == NULL)
		return 0;
	return json_integer(object, name, INT64_MIN, INT64_MAX, value) ? 0 : -1;
}

/* The last number there is has no next, from which a watch could begin. */
static int read_revision_of(const struct cJSON *object, const char *name, int64_t *revision)
{
	return read_number(object, name, revision) < 0 || *revision == INT64_MAX ? -1 : 0;
}

static int read_bytes(
    const struct cJSON *object, const char *name, struct arena *arena, struct slice *bytes)
{
	const struct cJSON *member = json_get(object, name);

	*bytes = SLICE_NONE;
	if (member == NULL)
		return 0;
	if (!cJSON_IsString(member))
		return -1;
	return base64_decode(json_text(object, name), arena, bytes);
}

static int read_key(const struct cJSON *kv, struct arena *arena, struct etcd_key *key)
{
	*key = (struct etcd_key){0};
	if (!cJSON_IsObject(kv) || read_bytes(kv, "key", arena, &key->key) < 0 ||
	    read_bytes(kv, "value", arena, &key->value) < 0 ||
	    read_revision_of(kv, "mod_revision", &key->mod_revision) < 0 ||
	    read_number(kv, "lease", &key->lease) < 0)
		return -1;
	return key->key.len ? 0 : -1;
}

static int read_revision(const struct cJSON *object, int64_t *revision, struct err *err)
{
	if (read_revision_of(json_get(object, "header"), "revision", revision) < 0 || *revision < 0)
		return err_set(err, 0, "an answer without a revision");
	return 0;
}

/* *n elements of an array that may be missing. */
static int array_size(const struct cJSON *object, const char *name, size_t *n)
{
	const struct cJSON *array = json_get(object, name);

	*n = 0;
	if (array && !cJSON_IsArray(array))
		return -1;
	*n = array ? (size_t)cJSON_GetArraySize(array) : 0;
	return 0;
}

static int read_range(
    const struct cJSON *object, struct arena *arena, struct etcd_range *range, struct err *err)
{
	const struct cJSON *kv;

	if (read_number(object, "count", &range->count) < 0 ||
	    array_size(object, "kvs", &range->n) < 0)
		return err_set(err, 0, "an answer that is no range of keys");
	range->keys = arena_calloc(arena, range->n ? range->n : 1, sizeof *range->keys);
	range->n = 0;
	cJSON_ArrayForEach(kv, json_get(object, "kvs"))
	{
		if (read_key(kv, arena, &range->keys[range->n++]) < 0)
			return err_set(err, 0, "a key in an answer cannot be read");
	}
	return 0;
}

int etcd_read_range(
    struct slice body, struct arena *arena, struct etcd_range *range, struct err *err)
{
	struct cJSON *root = json_parse_object(body, err);
	int result;

	*range = (struct etcd_range){0};
	if (root == NULL)
		return -1;
	result = read_revision(root, &range->revision, err);
	if (result == 0)
		result = read_range(root, arena, range, err);
	cJSON_Delete(root);
	return result;
}

static int read_event(const struct cJSON *event, struct arena *arena, struct etcd_key *key)
{
	struct slice type = json_text(event, "type");

	if (read_key(json_get(event, "kv"), arena, key) < 0)
		return -1;
	key->is_deleted = slice_eq_str(type, "DELETE");
	return key->is_deleted || type.len == 0 || slice_eq_str(type, "PUT") ? 0 : -1;
}

static int read_result(
    const struct cJSON *result, struct arena *arena, struct etcd_message *message, struct err *err)
{
	const struct cJSON *event;

	json_bool(result, "created", &message->is_created);
	json_bool(result, "canceled", &message->is_canceled);
	message->reason = arena_copy(arena, json_text(result, "cancel_reason"));
	if (read_number(result, "compact_revision", &message->compact_revision) < 0 ||
	    array_size(result, "events", &message->n) < 0)
		return err_set(err, 0, "a message that is none of a watch");
	message->events = arena_calloc(arena, message->n + 1, sizeof *message->events);
	message->n = 0;
	cJSON_ArrayForEach(event, json_get(result, "events"))
	{
		if (read_event(event, arena, &message->events[message->n++]) < 0)
			return err_set(err, 0, "an event cannot be read");
	}
	return 0;
}

static struct slice error_text(const struct cJSON *root)
{
	const struct cJSON *error = json_get(root, "error");

	if (cJSON_IsObject(error))
		return json_text(error, "message");
	return error ? json_text(root, "error") : json_text(root, "message");
}

int etcd_read_message(
    struct slice line, struct arena *arena, struct etcd_message *message, struct err *err)
{
	struct cJSON *root = json_parse_object(line, err);
	const struct cJSON *result = json_get(root, "result");
	char why[200];
	int code;

	*message = (struct etcd_message){0};
	if (root == NULL)
		return -1;
	if (!cJSON_IsObject(result)) {
		etcd_read_error(line, why, sizeof why);
		code = err_set(err, 0, "%s", why[0] ? why : "a message that is none of a watch");
	} else {
		code = read_revision(result, &message->revision, err);
		if (code == 0)
			code = read_result(result, arena, message, err);
	}
	cJSON_Delete(root);
	return code;
}

int etcd_read_lease(struct slice body, int64_t *id, int64_t *ttl, struct err *err)
{
	struct cJSON *root = json_parse_object(body, err);
	const struct cJSON *lease = json_get(root, "result");
	int result = 0;

	if (root == NULL)
		return -1;
	if (lease == NULL)
		lease = root;
	if (read_number(lease, "ID", id) < 0 || read_number(lease, "TTL", ttl) < 0 || *id == 0)
		result = err_set(err, 0, "an answer that is no lease");
	else if (*ttl < 0)
		*ttl = 0;
	cJSON_Delete(root);
	return result;
}

int etcd_read_txn(struct slice body, struct arena *arena, bool *succeeded, struct etcd_range *found,
    struct err *err)
{
	struct cJSON *root = json_parse_object(body, err);
	const struct cJSON *first;
	int result;

	*found = (struct etcd_range){0};
	*succeeded = false;
	if (root == NULL)
		return -1;
	result = read_revision(root, &found->revision, err);
	json_bool(root, "succeeded", succeeded);
	first = cJSON_GetArrayItem(json_get(root, "responses"), 0);
	if (result == 0 && json_get(first, "response_range"))
		result = read_range(json_get(first, "response_range"), arena, found, err);
	cJSON_Delete(root);
	return result;
}

int etcd_read_token(struct slice body, struct arena *arena, struct slice *token, struct err *err)
{
	struct cJSON *root = json_parse_object(body, err);
	struct slice text = json_text(root, "token");
	int result = 0;

	if (root == NULL)
		return -1;
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] <= ' ' || text.data[i] > '~')
			result = -1;
	if (text.len == 0 || result < 0)
		result = err_set(err, 0, "an answer without a token");
	else
		*token = arena_copy(arena, text);
	cJSON_Delete(root);
	return result;
}

void etcd_read_error(struct slice body, char *room, size_t size)
{
	struct err err;
	struct cJSON *root = json_parse(body, &err);
	struct slice text = root ? error_text(root) : SLICE_NONE;
	size_t len = 0;

	for (size_t i = 0; i < text.len && len + 1 < size; i++)
		room[len++] = text.data[i] >= ' ' && text.data[i] <= '~' ? (char)text.data[i] : '?';
	room[len] = '\0';
	cJSON_Delete(root);
}

/* ---- lines ---- */

static int feed_rest(struct etcd_lines *lines, struct slice part, size_t at_most)
{
	if (part.len > at_most || lines->rest.len > at_most - part.len)
		return -1;
	text_add(&lines->rest, part);
	return 0;
}

static bool is_blank(struct slice line)
{
	return line.len == 0 || (line.len == 1 && line.data[0] == '\r');
}

int etcd_lines_feed(struct etcd_lines *lines, struct slice bytes, size_t at_most,
    int (*visit)(void *arg, struct slice line), void *arg)
{
	while (bytes.len) {
		const uint8_t *end = memchr(bytes.data, '\n', bytes.len);
		size_t len = end ? (size_t)(end - bytes.data) : bytes.len;
		struct slice line = slice_first(bytes, len);
		int result = 0;

		if (lines->rest.len || end == NULL) {
			if (feed_rest(lines, line, at_most) < 0)
				return -1;
			line = slice_of(lines->rest.bytes, lines->rest.len);
		}
		if (end == NULL)
			return 0;
		if (line.len > at_most)
			return -1;
		if (!is_blank(line))
			result = visit(arg, line);
		lines->rest.len = 0;
		if (result < 0)
			return -1;
		bytes = slice_from(bytes, len + 1);
	}
	return 0;
}

void etcd_lines_fini(struct etcd_lines *lines)
{
	text_fini(&lines->rest);
}
