/*
 * What registries answer: the first byte says which reader. A record that is read has an address
 * that can be called, a weight and tags within their limits, and what is written of it is read as
 * the same.
 */
#include <stdio.h>

#include <cJSON.h>

#include "base/base64.h"
#include "fuzz.h"
#include "registry/dns_srv.h"
#include "registry/file_services.h"
#include "registry/json.h"
#include "registry/record.h"

static struct arena arena;
static struct err err;

static void check_endpoint(const struct endpoint *e)
{
	struct address again;
	size_t size = 0;

	must(e->address.kind != ADDRESS_NAME && e->address.len > 0);
	must(address_parse(&again, slice_str(e->address.text), &err) == 0);
	must(e->address.kind != ADDRESS_IP || e->address.port != 0);
	must(e->weight <= RECORD_WEIGHT_MAX);
	for (size_t i = 0; i < e->tags.n; i++) {
		size += strlen(e->tags.pairs[i].name) + strlen(e->tags.pairs[i].value);
		must(i == 0 || strcmp(e->tags.pairs[i - 1].name, e->tags.pairs[i].name) < 0);
	}
	must(size <= 3 * 4096);
	must(e->zone == NULL || e->zone[0] != '\0');
}

static void check_same(const struct endpoint *a, const struct endpoint *b)
{
	must(strcmp(a->address.text, b->address.text) == 0 && a->weight == b->weight);
	must(a->tags.n == b->tags.n);
	for (size_t i = 0; i < a->tags.n; i++)
		must(strcmp(a->tags.pairs[i].name, b->tags.pairs[i].name) == 0 &&
		     strcmp(a->tags.pairs[i].value, b->tags.pairs[i].value) == 0);
}

static void check_etcd(struct slice value)
{
	struct registration_plan plan = {0};
	struct text out = {0};
	struct endpoint e, again;

	if (record_read_etcd(value, &arena, &e, &err) < 0) {
		must(err.text[0] != '\0');
		return;
	}
	check_endpoint(&e);
	plan.address = e.address;
	plan.weight = e.weight;
	plan.tags = e.tags;
	record_write_etcd(&plan, &out);
	must(record_read_etcd(slice_of(out.bytes, out.len), &arena, &again, &err) == 0);
	check_same(&e, &again);
	text_fini(&out);
}

/* The key ends at the first newline. */
static void check_pair(struct slice input, bool is_rpcx)
{
	const uint8_t *end = input.len ? memchr(input.data, '\n', input.len) : NULL;
	struct slice key = end ? slice_first(input, (size_t)(end - input.data)) : input;
	struct slice value = slice_from(input, key.len + 1);
	struct endpoint e;
	int rc;

	if (is_rpcx)
		rc = record_read_rpcx(key, value, &arena, &e, &err);
	else
		rc = record_read_zookeeper(key, value, &arena, &e, &err);
	if (rc >= 0)
		check_endpoint(&e);
}

static void check_agents(struct slice text)
{
	cJSON *root = json_parse(text, &err);
	struct endpoint e;

	if (root == NULL)
		return;
	if (record_read_consul(root, &arena, &e, &err) >= 0)
		check_endpoint(&e);
	if (record_read_nacos(root, &arena, &e, &err) >= 0)
		check_endpoint(&e);
	cJSON_Delete(root);
}

static void check_base64(struct slice text)
{
	struct slice bytes;

	if (base64_decode(text, &arena, &bytes) == 0)
		must(slice_eq(base64_encode(bytes, &arena), text));
}

static void skipped(void *arg, struct slice record, const char *why)
{
	(void)arg;
	must(record.len > 0 && why[0] != '\0');
}

static void check_file(struct slice text)
{
	struct file_services file;
	struct endpoint *list;
	struct slice document;
	size_t n;

	if (file_services_init(&file, text, "f", &err) < 0) {
		must(err.text[0] != '\0');
		return;
	}
	if (file_services_find(&file, SLICE_LIT("a"), &list, &n, skipped, NULL, &err) == 0)
		for (size_t i = 0; i < n; i++)
			check_endpoint(&list[i]);
	document = file_services_document(&file, SLICE_LIT("a/retry"));
	if (document.data) {
		cJSON *root = json_parse(document, &err);

		must(root != NULL);
		cJSON_Delete(root);
	}
	file_services_fini(&file);
}

static void check_srv(struct slice reply)
{
	struct dns_target *targets;
	size_t n;
	usec_t ttl;

	if (dns_srv_read(reply, &targets, &n, &ttl) < 0)
		return;
	must(n <= DNS_TARGETS_MAX);
	for (size_t i = 0; i < n; i++)
		must(targets[i].host[0] && targets[i].port && targets[i].weight);
	free(targets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = slice_of(data, size);
	struct slice rest = slice_from(input, 1);

	if (size == 0)
		return 0;
	arena_init(&arena, NULL, 0);
	switch (data[0]) {
	case 'e':
		check_etcd(rest);
		break;
	case 'z':
		check_pair(rest, false);
		break;
	case 'r':
		check_pair(rest, true);
		break;
	case 'a':
		check_agents(rest);
		break;
	case 'b':
		check_base64(rest);
		break;
	case 'f':
		check_file(rest);
		break;
	case 's':
		check_srv(rest);
		break;
	default:
		break;
	}
	arena_fini(&arena);
	return 0;
}
