#include "registry/consul_read.h"

#include <cJSON.h>

#include "base/base64.h"
#include "registry/json.h"
#include "registry/record.h"

static cJSON *parse_list(struct slice body, struct err *err)
{
	cJSON *list = json_parse(body, err);

	if (list == NULL || cJSON_IsArray(list))
		return list;
	cJSON_Delete(list);
	err_set(err, 0, "the answer is no list");
	return NULL;
}

/* ---- sets ---- */

int consul_read_health(struct slice body, struct gathering *set, struct err *err)
{
	cJSON *list = parse_list(body, err);
	const cJSON *entry;

	if (list == NULL)
		return -1;
	cJSON_ArrayForEach(entry, list)
	{
		struct endpoint endpoint;
		struct err why = {0};
		int verdict = record_read_consul(entry, &set->arena, &endpoint, &why);

		gathering_take(
		    set, verdict, &endpoint, json_text(json_get(entry, "Service"), "ID"), &why);
	}
	cJSON_Delete(list);
	return 0;
}

/* The value of an entry of the store; none and null are the empty value. */
static int take_value(const cJSON *entry, struct arena *arena, struct slice *value, struct err *err)
{
	const cJSON *member = json_get(entry, "Value");

	*value = SLICE_NONE;
	if (member == NULL)
		return 0;
	if (!cJSON_IsString(member) || base64_decode(json_text(entry, "Value"), arena, value) < 0)
		return err_set(err, 0, "the value is no base64");
	return 0;
}

static void take_server(const cJSON *entry, struct slice name, struct gathering *set)
{
	struct endpoint endpoint;
	struct err why = {0};
	struct slice value;
	int verdict = -1;

	if (take_value(entry, &set->arena, &value, &why) == 0)
		verdict = record_read_rpcx(name, value, &set->arena, &endpoint, &why);
	gathering_take(set, verdict, &endpoint, name, &why);
}

int consul_read_tree(struct slice body, struct slice prefix, struct gathering *set, struct err *err)
{
	cJSON *list = parse_list(body, err);
	const cJSON *entry;

	if (list == NULL)
		return -1;
	cJSON_ArrayForEach(entry, list)
	{
		struct slice key = json_text(entry, "Key");
		struct slice name = slice_from(key, prefix.len);

		if (slice_starts(key, prefix) && name.len && !memchr(name.data, '/', name.len))
			take_server(entry, name, set);
	}
	cJSON_Delete(list);
	return 0;
}

/* ---- one thing ---- */

int consul_read_key(struct slice body, struct arena *arena, struct consul_key *key, struct err *err)
{
	cJSON *list = parse_list(body, err);
	const cJSON *entry;
	int result = -1;

	if (list == NULL)
		return -1;
	entry = cJSON_GetArrayItem(list, 0);
	if (!cJSON_IsObject(entry))
		err_set(err, 0, "the answer has no key");
	else
		result = take_value(entry, arena, &key->value, err);
	if (result == 0)
		key->session = arena_copy(arena, json_text(entry, "Session"));
	cJSON_Delete(list);
	return result;
}

int consul_read_session(struct slice body, struct arena *arena, struct slice *id, struct err *err)
{
	cJSON *object = json_parse_object(body, err);

	if (object == NULL)
		return -1;
	*id = arena_copy(arena, json_text(object, "ID"));
	cJSON_Delete(object);
	return id->len ? 0 : err_set(err, 0, "the answer has no ID of a session");
}

void consul_read_id(struct slice wanted, struct text *id)
{
	struct err err;
	cJSON *object = json_parse(wanted, &err);

	text_add(id, json_text(object, "ID"));
	cJSON_Delete(object);
}

/* None, null and an empty list are the same list of tags. */
static bool same_tags(const cJSON *a, const cJSON *b)
{
	int n = cJSON_IsArray(a) ? cJSON_GetArraySize(a) : 0;

	if (n != (cJSON_IsArray(b) ? cJSON_GetArraySize(b) : 0))
		return false;
	return n == 0 || cJSON_Compare(a, b, 1);
}

static const char *differs(const cJSON *is, const cJSON *wanted)
{
	if (!slice_eq(json_text(is, "Service"), json_text(wanted, "Name")))
		return "its name";
	if (!slice_eq(json_text(is, "Address"), json_text(wanted, "Address")))
		return "its address";
	if (!cJSON_Compare(json_get(is, "Port"), json_get(wanted, "Port"), 1))
		return "its port";
	if (!same_tags(json_get(is, "Tags"), json_get(wanted, "Tags")))
		return "its tags";
	if (!cJSON_Compare(json_get(json_get(is, "Weights"), "Passing"),
		json_get(json_get(wanted, "Weights"), "Passing"), 1))
		return "its weight";
	return NULL;
}

int consul_compare(struct slice body, struct slice wanted, struct err *why)
{
	cJSON *is = json_parse_object(body, why), *should = is ? json_parse(wanted, why) : NULL;
	const char *what = should ? differs(is, should) : NULL;
	int result = should == NULL ? -1 : what == NULL;

	if (what)
		err_set(why, 0, "somebody changed %s", what);
	cJSON_Delete(is);
	cJSON_Delete(should);
	return result;
}

uint64_t consul_next_index(const char *header, uint64_t last)
{
	uint64_t index;

	if (header == NULL || !slice_to_u64(slice_str(header), &index) || index < last)
		return 0;
	return index;
}
