/* A configuration that loads is written so that it loads to the same, and what is derived from it
 * with nothing added is the same; one that does not load says why. */
#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "fuzz.h"
#include "model/config.h"

/* The machine's own environment must not decide what is found. */
static const char *variable(const char *name)
{
	if (strcmp(name, "RUNTIME_DIRECTORY") == 0)
		return "/tmp";
	return strcmp(name, "A") == 0 ? "a: [" : NULL;
}

static void check_problems(const struct problems *problems)
{
	for (size_t i = 0; i < problems->n; i++) {
		must(problems->list[i].text[0] != '\0');
		must(i == 0 || strcmp(problems->list[i - 1].file, problems->list[i].file) != 0 ||
		     problems->list[i - 1].line <= problems->list[i].line);
	}
}

/* From malloc. */
static char *dump(const struct config *config, size_t *size)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, size);

	must(to != NULL);
	config_dump(config, to);
	must(fclose(to) == 0);
	return text;
}

static void check_derived(const struct config *config, struct slice expected)
{
	const struct config_additions nothing = {0};
	struct problems problems;
	struct config *derived;
	size_t size = 0;
	char *text;

	problems_init(&problems);
	derived = config_derive(config, &nothing, &problems);
	must(derived != NULL && problems.n == 0);
	text = dump(derived, &size);
	must(slice_eq(slice_of(text, size), expected));
	free(text);
	config_free(&derived);
	problems_fini(&problems);
}

static void check_dump(const struct config *config, const struct config_source *source)
{
	struct problems problems;
	struct config *again;
	size_t size = 0;
	char *text = dump(config, &size);

	check_derived(config, slice_of(text, size));
	problems_init(&problems);
	/* the long form of a file may be longer than a file may be */
	if (size <= 1024 * 1024) {
		again = config_load_text(slice_of(text, size), "dump", source, &problems);
		must(again != NULL && strcmp(again->hash, config->hash) == 0);
		config_free(&again);
	}
	problems_fini(&problems);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_source source = {.getenv = variable};
	struct problems problems;
	struct config *config;

	problems_init(&problems);
	config = config_load_text(slice_of(data, size), "fuzz", &source, &problems);
	must((config == NULL) == (problems.n_errors > 0));
	check_problems(&problems);
	if (config)
		check_dump(config, &source);
	config_free(&config);
	problems_fini(&problems);
	return 0;
}
