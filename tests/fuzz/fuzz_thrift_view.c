/*
 * However a struct lies, what is shown of it is JSON that can be read, text that steers no
 * terminal, and both are bounded. Where the walk of wire/ finds an end, so does the view. The first
 * byte of the input says how much may be shown.
 */
#include <string.h>

#include <cJSON.h>

#include "base/utf8.h"
#include "ctl/thrift_view.h"
#include "fuzz.h"
#include "wire/thrift.h"

static void check_text(const struct text *text)
{
	struct slice s = slice_of(text->bytes, text->len);
	uint32_t code;

	for (size_t at = 0, n; at < s.len; at += n) {
		n = utf8_take(slice_from(s, at), &code);
		must(n > 0 && !utf8_steers(code));
	}
}

static void check_json(struct text *text)
{
	cJSON *root = cJSON_ParseWithLength(text->bytes, text->len);

	must(cJSON_IsObject(root));
	cJSON_Delete(root);
	check_text(text);
}

/* Brackets of everything open, and one string, may come on top of what is allowed. */
static void check_length(const struct text *text, const struct thrift_view_limits *limits)
{
	must(text->len < limits->length + 8 * limits->text + 64 * 64);
}

static void check_end(struct slice in, const struct thrift_view *view)
{
	struct thrift_walk walk;
	struct wire_note note = {0};
	size_t used = 0;
	enum wire_result result;

	thrift_walk_init(&walk);
	result = thrift_walk(&walk, in, &used, &note);
	if (view->is_whole)
		must(result == WIRE_OK && used == view->used);
	else
		must(view->why[0] == '\0' || result != WIRE_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_from(slice_of(data, size), 1);
	struct thrift_view_limits limits = THRIFT_VIEW_FULL;
	struct thrift_view as_text, as_json;
	struct text text = {0}, json = {0};

	if (size == 0)
		return 0;
	if (data[0])
		limits = (struct thrift_view_limits){
		    data[0] % 8 + 1u, data[0] / 8 + 1u, data[0] / 4, 16u * data[0]};
	as_text = thrift_view_text(&text, in, &limits);
	as_json = thrift_view_json(&json, in, &limits);
	must(as_text.used <= in.len && as_json.used <= in.len);
	check_text(&text);
	check_json(&json);
	check_length(&text, &limits);
	check_length(&json, &limits);
	check_end(in, &as_text);
	check_end(in, &as_json);
	text_fini(&text);
	text_fini(&json);
	return 0;
}
