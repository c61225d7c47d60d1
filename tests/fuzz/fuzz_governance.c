/*
 * Documents of Kitex's configuration centres. The first byte chooses the category and the service.
 * What is accepted binds over the file without a word; what is refused says why.
 */
#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "registry/kitex_governance.h"

static const char text[] =
    "node: {service: shop.web}\n"
    "registries: {main: {type: etcd, endpoints: [\"127.0.0.1:2379\"]}}\n"
    "listeners:\n"
    "  - {name: in, address: \"127.0.0.1:0\", service: a}\n"
    "  - {name: out, address: \"127.0.0.1:0\"}\n"
    "services:\n"
    "  a: {endpoints: [\"127.0.0.1:9000\"], governance: main, limit: {rate: 5/s, concurrency: 7}}\n"
    "  b:\n"
    "    discover: main\n"
    "    governance: main\n"
    "    timeout: 1s\n"
    "    retry: {type: failure, attempts: 1, backoff: 10ms}\n"
    "    methods:\n"
    "      Get: {timeout: 2s, idempotent: true, retry: {type: backup, delay: 10ms}}\n"
    "      Put: {breaker: {error_rate: 30%}, degrade: 3%}\n"
    "      \"*\": {timeout: 3s}\n";

static const char *variable(const char *name)
{
	return strcmp(name, "RUNTIME_DIRECTORY") == 0 ? "/tmp" : NULL;
}

static struct config *load(void)
{
	struct config_source source = {.getenv = variable};
	struct problems problems;
	struct config *config;

	problems_init(&problems);
	config = config_load_text(slice_of(text, sizeof text - 1), "file", &source, &problems);
	if (config == NULL)
		problems_print(&problems, stderr, true);
	must(config != NULL);
	problems_fini(&problems);
	return config;
}

static void must_bind(const struct config *file, const struct config_overlay *overlays, size_t n)
{
	struct config_additions with = {.overlays = overlays, .n_overlays = n};
	struct problems problems;
	struct config *config;

	problems_init(&problems);
	config = config_derive(file, &with, &problems);
	if (problems.n > 0)
		problems_print(&problems, stderr, true);
	must(config != NULL && problems.n == 0);
	config_free(&config);
	problems_fini(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config *file; /* the same for all; kept */
	struct governance_document document = {.source = "document"};
	struct config_overlay *overlays;
	struct arena arena;
	struct err err = {.text = ""};
	size_t n;

	if (size == 0)
		return 0;
	if (file == NULL)
		file = load();
	document.config = file;
	document.service = file->services[data[0] / GOVERNANCE_CATEGORIES % 2];
	document.category = (enum governance_category)(data[0] % GOVERNANCE_CATEGORIES);
	document.text = slice_of(data + 1, size - 1);
	arena_init(&arena, NULL, 0);
	if (governance_overlays(&document, &arena, &overlays, &n, &err) == 0)
		must_bind(file, overlays, n);
	else
		must(n == 0 && overlays == NULL && err.text[0] != '\0');
	arena_fini(&arena);
	return 0;
}
