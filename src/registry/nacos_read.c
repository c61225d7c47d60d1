#include "registry/nacos_read.h"

#include <math.h>
#include <stdlib.h>

#include <cJSON.h>

#include "registry/json.h"
#include "registry/record.h"

#define CODE_NOT_FOUND 20404 /* source: RESOURCE_NOT_FOUND of NamingResponseCode, Nacos */
#define CODE_OK        10200 /* source: OK, as before */
#define EVERY_MIN_MS   500
#define EVERY_MAX_MS   60000
#define TOKEN_TTL_MAX  (365 * 86400)
#define WEIGHT_SLACK   0.001 /* the server keeps a double */

/* The whole answer, and in it the list of its instances. */
static cJSON *parse_list(struct slice body, const cJSON **hosts, struct err *err)
{
	cJSON *object = json_parse_object(body, err);

	*hosts = json_get(object, "hosts");
	if (object == NULL || cJSON_IsArray(*hosts))
		return object;
	cJSON_Delete(object);
	err_set(err, 0, "the answer has no list of hosts");
	return NULL;
}

int nacos_read_list(struct slice body, struct gathering *set, struct err *err)
{
	const cJSON *hosts, *host;
	cJSON *object = parse_list(body, &hosts, err);

	if (object == NULL)
		return -1;
	cJSON_ArrayForEach(host, hosts)
	{
		struct endpoint endpoint;
		struct err why = {0};
		int verdict = record_read_nacos(host, &set->arena, &endpoint, &why);

		gathering_take(set, verdict, &endpoint, json_text(host, "ip"), &why);
	}
	cJSON_Delete(object);
	return 0;
}

/* ---- our own instance ---- */

const char *nacos_group(const struct registry_config *config)
{
	return config->group ? config->group : "DEFAULT_GROUP";
}

const char *nacos_cluster(const struct registry_config *config)
{
	return config->cluster ? config->cluster : "DEFAULT";
}

static bool has_tags(const cJSON *host, const struct config_map *tags)
{
	const cJSON *metadata = json_get(host, "metadata");

	for (size_t i = 0; i < tags->n; i++)
		if (!slice_eq_str(json_text(metadata, tags->pairs[i].name), tags->pairs[i].value))
			return false;
	return true;
}

static enum nacos_found judge(
    const cJSON *host, const struct registration_plan *plan, struct err *why)
{
	const cJSON *weight = json_get(host, "weight");
	bool is_enabled = true;

	json_bool(host, "enabled", &is_enabled);
	if (!is_enabled) {
		err_set(why, 0, "somebody disabled it in the registry");
		return NACOS_DISABLED;
	}
	if (!cJSON_IsNumber(weight) || fabs(weight->valuedouble - plan->weight) > WEIGHT_SLACK) {
		err_set(why, 0, "somebody changed its weight");
		return NACOS_CHANGED;
	}
	if (!has_tags(host, &plan->tags)) {
		err_set(why, 0, "somebody changed its metadata");
		return NACOS_CHANGED;
	}
	return NACOS_AS_WANTED;
}

enum nacos_found nacos_find(
    struct slice body, const struct registration_plan *plan, struct err *why)
{
	enum nacos_found found = NACOS_MISSING;
	struct slice ip = record_host(&plan->address);
	const cJSON *hosts, *host;
	cJSON *object = parse_list(body, &hosts, why);
	int64_t port;

	if (object == NULL)
		return NACOS_UNREADABLE;
	err_set(why, 0, "the registry does not know it");
	cJSON_ArrayForEach(host, hosts)
	{
		if (found == NACOS_MISSING && slice_eq(json_text(host, "ip"), ip) &&
		    json_integer(host, "port", 0, UINT16_MAX, &port) && port == plan->address.port)
			found = judge(host, plan, why);
	}
	cJSON_Delete(object);
	return found;
}

/* ---- beats and logins ---- */

int nacos_read_beat(struct slice body, struct nacos_beat *beat, struct err *err)
{
	cJSON *object = json_parse_object(body, err);
	int64_t code = CODE_OK, every = 0;

	*beat = (struct nacos_beat){0};
	if (object == NULL)
		return -1;
	json_integer(object, "code", 0, INT32_MAX, &code);
	json_bool(object, "lightBeatEnabled", &beat->is_light);
	if (json_integer(object, "clientBeatInterval", EVERY_MIN_MS, EVERY_MAX_MS, &every))
		beat->every = (usec_t)every * USEC_MS;
	beat->is_known = code != CODE_NOT_FOUND;
	cJSON_Delete(object);
	if (code == CODE_OK || code == CODE_NOT_FOUND)
		return 0;
	return err_set(err, 0, "its answer to a beat has the code %lld", (long long)code);
}

int nacos_read_login(
    struct slice body, struct arena *arena, struct slice *token, usec_t *ttl, struct err *err)
{
	cJSON *object = json_parse_object(body, err);
	int64_t seconds = 0;

	if (object == NULL)
		return -1;
	*token = arena_copy(arena, json_text(object, "accessToken"));
	*ttl = USEC_NONE;
	if (json_integer(object, "tokenTtl", 1, TOKEN_TTL_MAX, &seconds))
		*ttl = (usec_t)seconds * USEC_S;
	cJSON_Delete(object);
	return token->len ? 0 : err_set(err, 0, "its answer to the login has no accessToken");
}

/* Source: BeatInfo of Nacos' client. */
void nacos_write_beat(
    const struct registration_plan *plan, const struct registry_config *config, struct text *out)
{
	cJSON *beat = cJSON_CreateObject(), *metadata = cJSON_AddObjectToObject(beat, "metadata");
	char *ip = slice_dup(record_host(&plan->address)), *name, *text;
	struct text service = {0};

	text_add_str(&service, nacos_group(config));
	text_add_str(&service, "@@");
	text_add(&service, plan->service);
	name = slice_dup(slice_of(service.bytes, service.len));
	cJSON_AddStringToObject(beat, "cluster", nacos_cluster(config));
	cJSON_AddStringToObject(beat, "ip", ip);
	cJSON_AddNumberToObject(beat, "port", plan->address.port);
	cJSON_AddBoolToObject(beat, "scheduled", true);
	cJSON_AddStringToObject(beat, "serviceName", name);
	cJSON_AddNumberToObject(beat, "weight", plan->weight);
	for (size_t i = 0; i < plan->tags.n; i++)
		cJSON_AddStringToObject(
		    metadata, plan->tags.pairs[i].name, plan->tags.pairs[i].value);
	text = cJSON_PrintUnformatted(beat);
	text_add_str(out, text ? text : "{}");
	cJSON_free(text);
	cJSON_Delete(beat);
	free(name);
	free(ip);
	text_fini(&service);
}
