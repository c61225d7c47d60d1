/*
 * Whole captures, and bytes of one direction: what is shown of them is lines of JSON that can be
 * read, or text that steers no terminal. The first byte of the input says which, and what is asked
 * for.
 */
#include <stdio.h>
#include <string.h>

#include <cJSON.h>

#include "base/utf8.h"
#include "ctl/dump.h"
#include "fuzz.h"

static void check_text(struct slice s)
{
	uint32_t code;

	for (size_t at = 0, n; at < s.len; at += n) {
		n = utf8_take(slice_from(s, at), &code);
		must(n > 0 && (!utf8_steers(code) || code == '\n'));
	}
}

static void check_lines(char *lines)
{
	char *rest;

	for (char *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		cJSON *root = cJSON_Parse(line);

		must(cJSON_IsObject(root));
		must(cJSON_GetObjectItemCaseSensitive(root, "kind") != NULL);
		cJSON_Delete(root);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dump_options options = {0};
	struct dump dump;
	struct err err = {.text = ""};
	FILE *from, *to;
	char *shown = NULL;
	size_t len = 0;

	if (size < 2)
		return 0;
	options.is_json = data[0] & 1;
	options.is_verbose = data[0] & 2;
	options.has_hex = data[0] & 4;
	options.shows_secrets = data[0] & 8;
	options.only_errors = data[0] & 16;
	options.method = data[0] & 32 ? "Echo" : NULL;
	from = fmemopen((void *)(uintptr_t)(data + 1), size - 1, "rb");
	to = open_memstream(&shown, &len);
	must(from != NULL && to != NULL);
	dump_init(&dump, &options, to);
	if (dump_file(&dump, from, &err) < 0)
		must(err.text[0] != '\0');
	must(dump.held == 0);
	dump_fini(&dump);
	fclose(from);
	must(fclose(to) == 0);
	check_text(slice_of(shown, len));
	if (options.is_json)
		check_lines(shown);
	free(shown);
	return 0;
}
