#include "support/loaded.h"

#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/mem.h"

const char *loaded_getenv(const char *name)
{
	static const struct {
		const char *name, *value;
	} variables[] = {
	    {"RUNTIME_DIRECTORY", "/tmp"},
	    {"EMPTY", ""},
	    {"WORD", "many"},
	    {"NUMBER", "17"},
	    {"FLAG", "true"},
	    {"HOSTILE", "127.0.0.1:0\", service: other"},
	    {"LATIN1", "caf\xe9"},
	};

	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		if (strcmp(name, variables[i].name) == 0)
			return variables[i].value;
	return NULL;
}

struct loaded loaded_with(const char *text, const char *const *overrides, size_t n)
{
	struct config_source source = {
	    .overrides = overrides, .n_overrides = n, .getenv = loaded_getenv};
	struct loaded l;

	problems_init(&l.problems);
	l.config = config_load_text(slice_str(text), "test.yaml", &source, &l.problems);
	return l;
}

struct loaded loaded_from(const char *text)
{
	return loaded_with(text, NULL, 0);
}

struct loaded loaded_file(const char *path)
{
	struct config_source source = {.path = path, .getenv = loaded_getenv};
	struct loaded l;

	problems_init(&l.problems);
	l.config = config_load(&source, &l.problems);
	return l;
}

void loaded_free(struct loaded *l)
{
	config_free(&l->config);
	problems_fini(&l->problems);
}

const struct config *loaded_config(const struct loaded *l)
{
	if (l->config == NULL) {
		problems_print(&l->problems, stderr, true);
		ck_abort_msg("the configuration does not load");
	}
	return l->config;
}

bool loaded_says(const struct loaded *l, const char *path, const char *text, const char *remedy)
{
	for (size_t i = 0; i < l->problems.n; i++) {
		const struct problem *problem = &l->problems.list[i];

		if (strcmp(problem->path ? problem->path : "", path) == 0 &&
		    strstr(problem->text, text) &&
		    (remedy == NULL || (problem->remedy && strstr(problem->remedy, remedy))))
			return true;
	}
	problems_print(&l->problems, stderr, true);
	return false;
}

char *loaded_dump(const struct config *config)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(to);
	config_dump(config, to);
	ck_assert_int_eq(fclose(to), 0);
	return text;
}
