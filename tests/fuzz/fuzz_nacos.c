/*
 * What a Nacos server answers: the first byte says which reader. Endpoints that are read can be
 * called, an answer that cannot be read says why; an instance is as it was registered only when it
 * is in the list, and times are within what is sensible.
 */
#include <stdio.h>

#include "fuzz.h"
#include "registry/nacos_read.h"
#include "registry/record.h"

static void check_list(struct slice body)
{
	struct gathering set;
	struct err err = {0};
	int result;

	gathering_init(&set);
	result = nacos_read_list(body, &set, &err);
	must(result == 0 || (err.text[0] && set.n == 0));
	for (size_t i = 0; i < set.n; i++) {
		must(set.list[i].address.kind == ADDRESS_IP && set.list[i].address.port != 0);
		must(set.list[i].weight <= RECORD_WEIGHT_MAX);
	}
	for (size_t i = 0; i < set.n_skipped && i < GATHERING_SKIPPED; i++)
		must(set.skipped[i].why[0] != '\0');
	gathering_fini(&set);
}

static void check_found(struct slice body)
{
	struct config_pair tag = {"env", "prod"};
	struct registration_plan plan = {
	    .service = SLICE_LIT("shop.cart"), .weight = 10, .tags = {&tag, 1}};
	struct err err = {0};

	must(address_parse(&plan.address, SLICE_LIT("127.0.0.1:8888"), &err) == 0);
	if (nacos_find(body, &plan, &err) == NACOS_AS_WANTED)
		must(memmem(body.data, body.len, "8888", 4) != NULL);
	else
		must(err.text[0] != '\0');
}

static void check_beat(struct slice body)
{
	struct nacos_beat beat;
	struct err err = {0};

	must(nacos_read_beat(body, &beat, &err) == 0 || err.text[0]);
	must(beat.every == 0 || (beat.every >= USEC_MS * 500 && beat.every <= USEC_MIN));
}

static void check_login(struct slice body)
{
	struct slice token = SLICE_NONE;
	struct arena arena;
	usec_t ttl = 0;
	struct err err = {0};

	arena_init(&arena, NULL, 0);
	if (nacos_read_login(body, &arena, &token, &ttl, &err) == 0)
		must(token.len > 0 && (ttl == USEC_NONE || ttl >= USEC_S));
	else
		must(err.text[0] != '\0');
	arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice body;

	if (size == 0)
		return 0;
	body = slice_of(data + 1, size - 1);
	switch (data[0] % 4) {
	case 0:
		check_list(body);
		break;
	case 1:
		check_found(body);
		break;
	case 2:
		check_beat(body);
		break;
	default:
		check_login(body);
	}
	return 0;
}
