/*
 * What a Consul agent answers: the first byte says which reader. Endpoints that are read can be
 * called, what is left out is told with a reason, an answer that cannot be read says why; a service
 * is as it was registered only when it has all that was.
 */
#include <stdio.h>

#include "fuzz.h"
#include "registry/consul_read.h"
#include "registry/record.h"

#define PREFIX SLICE_LIT("rpcx/shop.cart/")

static void check_set(const struct gathering *set, int result, const struct err *err)
{
	must(result == 0 || (err->text[0] && set->n == 0 && set->n_skipped == 0));
	for (size_t i = 0; i < set->n; i++) {
		const struct endpoint *e = &set->list[i];

		must(e->address.kind == ADDRESS_IP && e->address.port != 0);
		must(e->weight <= RECORD_WEIGHT_MAX);
		for (size_t k = 1; k < e->tags.n; k++)
			must(strcmp(e->tags.pairs[k - 1].name, e->tags.pairs[k].name) < 0);
	}
	for (size_t i = 0; i < set->n_skipped && i < GATHERING_SKIPPED; i++)
		must(set->skipped[i].why[0] != '\0');
}

static void check_sets(struct slice body, bool is_tree)
{
	struct gathering set;
	struct err err = {0};
	int result;

	gathering_init(&set);
	result = is_tree ? consul_read_tree(body, PREFIX, &set, &err)
			 : consul_read_health(body, &set, &err);
	check_set(&set, result, &err);
	gathering_fini(&set);
}

static void check_key(struct slice body)
{
	struct consul_key key;
	struct slice id;
	struct arena arena;
	struct err err = {0};

	arena_init(&arena, NULL, 0);
	must(consul_read_key(body, &arena, &key, &err) == 0 || err.text[0]);
	err.text[0] = '\0';
	must(consul_read_session(body, &arena, &id, &err) == 0 ? id.len > 0 : err.text[0] != 0);
	arena_fini(&arena);
}

static void check_service(struct slice body)
{
	struct config_pair tag = {"env", "prod"};
	struct registration_plan plan = {
	    .service = SLICE_LIT("shop.cart"), .weight = 10, .tags = {&tag, 1}};
	struct text wanted = {0};
	struct err err = {0};
	int result;

	must(address_parse(&plan.address, SLICE_LIT("127.0.0.1:8888"), &err) == 0);
	record_write_consul(&plan, true, &wanted);
	result = consul_compare(body, slice_of(wanted.bytes, wanted.len), &err);
	must(result == 1 || err.text[0] != '\0');
	if (result == 1)
		must(memmem(body.data, body.len, "8888", 4) != NULL);
	text_fini(&wanted);
}

static void check_index(struct slice text)
{
	char *header = slice_dup(text);
	uint64_t index = consul_next_index(header, 7);

	must(index == 0 || index >= 7);
	must(consul_next_index(header, UINT64_MAX) == 0 || index == UINT64_MAX);
	free(header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice body;

	if (size == 0)
		return 0;
	body = slice_of(data + 1, size - 1);
	switch (data[0] % 5) {
	case 0:
		check_sets(body, false);
		break;
	case 1:
		check_sets(body, true);
		break;
	case 2:
		check_key(body);
		break;
	case 3:
		check_service(body);
		break;
	default:
		check_index(body);
	}
	return 0;
}
