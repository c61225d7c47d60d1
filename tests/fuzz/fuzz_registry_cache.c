/* A cache that is taken holds nothing that a registry could not have said, and is the same when it
 * is written and read again. The checksum is put right first, else little would be seen of what
 * follows. */
#include <inttypes.h>
#include <stdio.h>

#include "fuzz.h"
#include "registry/cache.h"
#include "registry/registry_impl.h"

static const struct registry_config config = {.name = "main", .type = REGISTRY_ETCD};

static void check_endpoints(const struct endpoint_list *l)
{
	must(l->n <= REGISTRY_ENDPOINTS_MAX);
	for (size_t i = 0; i < l->n; i++) {
		must(l->list[i].address.kind != ADDRESS_NAME);
		must(l->list[i].weight <= 1000000);
		must(i == 0 || strcmp(l->list[i - 1].address.text, l->list[i].address.text) < 0);
	}
}

static void check_again(const struct cached_set *set)
{
	const struct cached_document document = {"/a", "a text"};
	const struct cache_content content = {set, 1, &document, 1};
	struct cached_set back;
	struct text out = {0};
	struct cached *cached;
	struct err err;

	cache_format(&out, &config, &content);
	cached = cache_parse(slice_of(out.bytes, out.len), &config, &err);
	must(cached && cached_services(cached) == 1);
	must(cached_get(cached, slice_str(set->name), &back));
	must(strcmp(cached_text(cached, SLICE_LIT("/a")), "a text") == 0);
	must(back.at == set->at && strcmp(back.revision, set->revision) == 0);
	must(back.set->n == set->set->n);
	for (size_t i = 0; i < back.set->n; i++)
		must(history_same(&back.set->list[i], &set->set->list[i]));
	cached_free(&cached);
	text_fini(&out);
}

/* The bytes as they would follow the line of the registry, under a right checksum. */
static struct cached *parse_framed(struct slice body)
{
	struct text lines = {0}, whole = {0};
	struct cached *cached;
	struct err err;

	text_add_str(&lines, "registry main etcd\n");
	text_add(&lines, body);
	text_printf(&whole, CACHE_HEAD "%016" PRIx64 "\n",
	    cache_checksum(slice_of(lines.bytes, lines.len)));
	text_add(&whole, slice_of(lines.bytes, lines.len));
	cached = cache_parse(slice_of(whole.bytes, whole.len), &config, &err);
	text_fini(&lines);
	text_fini(&whole);
	return cached;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cached_set set;
	struct cached *cached;
	struct err err;

	cached = cache_parse(slice_of(data, size), &config, &err);
	cached_free(&cached);
	cached = parse_framed(slice_of(data, size));
	if (cached_get(cached, SLICE_LIT("shop"), &set)) {
		check_endpoints(set.set);
		check_again(&set);
	}
	cached_free(&cached);
	return 0;
}
