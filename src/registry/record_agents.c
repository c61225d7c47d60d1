/*
 * The layouts of the registries that know instances of their own accord, Consul and Nacos: what
 * Kitex makes of an instance of theirs, and how it describes its own to them.
 */
#include <inttypes.h>

#include <cJSON.h>

#include "registry/json.h"
#include "registry/record_parts.h"

#define TAGS_MAX 4096u

/* ---- Consul ---- */

/* "key:value"; the value may have more colons. False when there is none. */
static bool split_tag(const cJSON *item, struct arena *arena, struct config_pair *pair)
{
	const char *colon = cJSON_IsString(item) ? strchr(item->valuestring, ':') : NULL;

	if (colon == NULL)
		return false;
	pair->name =
	    arena_str(arena, slice_of(item->valuestring, (size_t)(colon - item->valuestring)));
	pair->value = arena_str(arena, slice_str(colon + 1));
	return true;
}

/* The last of a name counts, as in Kitex, which puts them into a map one by one. */
static void put(struct config_pair *pairs, size_t *n, struct config_pair pair)
{
	size_t at = *n;

	while (at > 0 && strcmp(pairs[at - 1].name, pair.name) > 0)
		at--;
	if (at > 0 && strcmp(pairs[at - 1].name, pair.name) == 0) {
		pairs[at - 1] = pair;
		return;
	}
	memmove(pairs + at + 1, pairs + at, (*n - at) * sizeof *pairs);
	pairs[at] = pair;
	(*n)++;
}

static int consul_tags(const cJSON *service, struct arena *arena, struct config_map *tags)
{
	const cJSON *list = json_get(service, "Tags"), *item;
	struct config_pair *pairs;
	size_t n = 0, count = 0, size = 0;

	if (list == NULL)
		return 0;
	if (!cJSON_IsArray(list))
		return -1;
	cJSON_ArrayForEach(item, list)
	{
		size += cJSON_IsString(item) ? strlen(item->valuestring) : 0;
		if (++count > TAGS_MAX || size > TAGS_MAX)
			return -1;
	}
	pairs = arena_calloc(arena, count + 1, sizeof *pairs);
	cJSON_ArrayForEach(item, list)
	{
		struct config_pair pair;

		if (split_tag(item, arena, &pair))
			put(pairs, &n, pair);
	}
	*tags = (struct config_map){n ? pairs : NULL, n};
	return 0;
}

int record_read_consul(
    const struct cJSON *entry, struct arena *arena, struct endpoint *endpoint, struct err *err)
{
	const cJSON *service = json_get(entry, "Service");
	int64_t port;

	*endpoint = (struct endpoint){0};
	if (!cJSON_IsObject(service))
		return err_set(err, 0, "there is no Service");
	if (!json_integer(service, "Port", 1, UINT16_MAX, &port))
		return err_set(err, 0, "there is no port of 1 to 65535");
	if (record_take_host(json_text(service, "Address"), port, &endpoint->address, err) < 0)
		return -1;
	if (record_take_weight(json_get(service, "Weights"), "Passing", &endpoint->weight, err) < 0)
		return -1;
	if (consul_tags(service, arena, &endpoint->tags) < 0)
		return err_set(err, 0, "the tags are no list, or larger than 4 KiB");
	endpoint->zone = record_zone(&endpoint->tags);
	return 0;
}

/* A tag whose name has a colon would be read as another: it stays out. */
static void write_consul_tags(const struct config_map *tags, struct text *out)
{
	bool is_first = true;

	for (size_t i = 0; i < tags->n; i++) {
		struct text tag = {0};

		if (strchr(tags->pairs[i].name, ':'))
			continue;
		text_printf(&tag, "%s:%s", tags->pairs[i].name, tags->pairs[i].value);
		text_add_str(out, is_first ? "\"Tags\":[" : ",");
		record_write_string(slice_of(tag.bytes, tag.len), out);
		text_fini(&tag);
		is_first = false;
	}
	if (!is_first)
		text_add_str(out, "],");
}

static void write_check(const struct registration_plan *plan, bool check_ttl, struct text *out)
{
	text_add_str(out, "{");
	if (check_ttl) {
		if (plan->ttl % USEC_S == 0)
			text_printf(out, "\"TTL\":\"%" PRIu64 "s\"", plan->ttl / USEC_S);
		else
			text_printf(out, "\"TTL\":\"%" PRIu64 "ms\"", plan->ttl / USEC_MS);
	} else {
		text_add_str(out, "\"Interval\":\"5s\",\"Timeout\":\"5s\",\"TCP\":");
		record_write_string(slice_str(plan->address.text), out);
	}
	text_add_str(out, ",\"DeregisterCriticalServiceAfter\":\"1m\"}");
}

void record_write_consul(const struct registration_plan *plan, bool check_ttl, struct text *out)
{
	struct slice host = record_host(&plan->address);
	struct text id = {0};

	text_add(&id, plan->service);
	text_printf(&id, ":%.*s:%u", (int)host.len, (const char *)host.data, plan->address.port);
	text_add_str(out, "{\"ID\":");
	record_write_string(slice_of(id.bytes, id.len), out);
	text_add_str(out, ",\"Name\":");
	record_write_string(plan->service, out);
	text_add_str(out, ",");
	write_consul_tags(&plan->tags, out);
	text_printf(out, "\"Port\":%u,\"Address\":", plan->address.port);
	record_write_string(host, out);
	text_printf(out, ",\"Weights\":{\"Passing\":%u,\"Warning\":%u},\"Check\":", plan->weight,
	    plan->weight);
	write_check(plan, check_ttl, out);
	text_add_str(out, "}");
	text_fini(&id);
}

/* ---- Nacos ---- */

/*
 * Its weights are fractions: Kitex cuts them off, and what is then 0 gets no calls. Here only a 0
 * that is meant gets none (how its console takes an instance out); 0.5 counts as 1.
 */
static int nacos_weight(const cJSON *host, unsigned *weight, struct err *err)
{
	const cJSON *member = json_get(host, "weight");

	*weight = RECORD_WEIGHT;
	if (member == NULL)
		return 0;
	if (!cJSON_IsNumber(member))
		return err_set(err, 0, "the weight is no number");
	if (!(member->valuedouble >= 0 && member->valuedouble <= RECORD_WEIGHT_MAX))
		return err_set(
		    err, 0, "a weight of %.16g: 0 to %u", member->valuedouble, RECORD_WEIGHT_MAX);
	*weight = (unsigned)member->valuedouble;
	if (*weight == 0 && member->valuedouble > 0)
		*weight = 1;
	return 0;
}

int record_read_nacos(
    const struct cJSON *host, struct arena *arena, struct endpoint *endpoint, struct err *err)
{
	bool is_enabled = true, is_healthy = true;
	int64_t port;

	*endpoint = (struct endpoint){0};
	if (!json_integer(host, "port", 1, UINT16_MAX, &port))
		return err_set(err, 0, "there is no port of 1 to 65535");
	if (record_take_host(json_text(host, "ip"), port, &endpoint->address, err) < 0)
		return -1;
	if (nacos_weight(host, &endpoint->weight, err) < 0)
		return -1;
	if (record_take_tags(host, "metadata", arena, endpoint, err) < 0)
		return -1;
	json_bool(host, "enabled", &is_enabled);
	json_bool(host, "healthy", &is_healthy);
	return !is_enabled || !is_healthy;
}

static void write_value(const char *name, struct slice value, struct text *out)
{
	text_add_str(out, name);
	record_escape_query(value, out);
}

void record_write_nacos(
    const struct registration_plan *plan, const struct registry_config *config, struct text *out)
{
	const char *group = config->group ? config->group : "DEFAULT_GROUP";
	struct text metadata = {0};

	if (plan->tags.n)
		record_write_tags(&plan->tags, &metadata);
	else
		text_add_str(&metadata, "{}");
	write_value("serviceName=", slice_str(group), out);
	write_value("%40%40", plan->service, out);
	write_value("&groupName=", slice_str(group), out);
	write_value("&clusterName=", slice_str(config->cluster ? config->cluster : "DEFAULT"), out);
	if (config->namespace && config->namespace[0])
		write_value("&namespaceId=", slice_str(config->namespace), out);
	write_value("&ip=", record_host(&plan->address), out);
	text_printf(out, "&port=%u&weight=%u", plan->address.port, plan->weight);
	text_add_str(out, "&enabled=true&healthy=true&ephemeral=true");
	write_value("&metadata=", slice_of(metadata.bytes, metadata.len), out);
	text_fini(&metadata);
}
