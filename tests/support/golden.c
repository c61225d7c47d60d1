#include "support/golden.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/suite.h"

#define FOLDER       "tests/wire/golden"
#define LINE_MAX_LEN 4096

static FILE *open_file(const char *name, const char *suffix)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof path, FOLDER "/%s%s", name, suffix);
	file = fopen(suite_path(path), "r");
	if (file == NULL) {
		perror(suite_path(path));
		exit(EXIT_FAILURE);
	}
	return file;
}

static unsigned hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

	if (at == NULL) {
		fprintf(stderr, "%s: '%c' is no hexadecimal digit\n", FOLDER, c);
		exit(EXIT_FAILURE);
	}
	return (unsigned)(at - digits);
}

static struct slice from_hex(const char *text)
{
	size_t len = strcspn(text, "\r\n") / 2;
	uint8_t *bytes = mem_alloc(len);

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
	return slice_of(bytes, len);
}

static void load_frames(struct golden *g)
{
	FILE *file = open_file(g->name, ".hex");
	char line[LINE_MAX_LEN];

	while (g->n_frames < GOLDEN_FRAMES_MAX && fgets(line, sizeof line, file))
		if (line[0] != '\n')
			g->frames[g->n_frames++] = from_hex(line);
	fclose(file);
}

struct golden_set golden_load(void)
{
	struct golden_set set = {0};
	FILE *file = open_file("INDEX", "");
	char line[LINE_MAX_LEN];

	while (fgets(line, sizeof line, file)) {
		struct golden g = {0};
		char expect[16];

		if (line[0] == '#')
			continue;
		if (sscanf(line, "%63[^\t]\t%31[^\t]\t%15[^\t]\t%15[^\t]\t%255[^\t]", g.name,
			g.protocol, g.direction, expect, g.messages) != 5) {
			fprintf(stderr, "%s/INDEX: %s", FOLDER, line);
			exit(EXIT_FAILURE);
		}
		g.accept = strcmp(expect, "accept") == 0;
		load_frames(&g);
		set.items = mem_realloc(set.items, (set.count + 1) * sizeof *set.items);
		set.items[set.count++] = g;
	}
	fclose(file);
	return set;
}

void golden_free(struct golden_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		for (size_t k = 0; k < set->items[i].n_frames; k++)
			free((void *)(uintptr_t)set->items[i].frames[k].data);
	free(set->items);
	*set = (struct golden_set){0};
}

const struct golden *golden_find(const struct golden_set *set, const char *name)
{
	for (size_t i = 0; i < set->count; i++)
		if (strcmp(set->items[i].name, name) == 0)
			return &set->items[i];
	return NULL;
}

bool golden_is_unary(const struct golden *g)
{
	return strstr(g->protocol, "Streaming") == NULL && strstr(g->protocol, "gRPC") == NULL;
}
