#include "ctl/answer.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cJSON.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "net/http_ask.h"

const char *answer_text(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsString(item) ? item->valuestring : "";
}

double answer_number(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

double answer_sum(const cJSON *list, const char *name)
{
	const cJSON *item;
	double sum = 0;

	cJSON_ArrayForEach(item, list) sum += answer_number(item, name);
	return sum;
}

enum ctl_exit answer_get(const struct ctl *ctl, const char *target, cJSON **root)
{
	struct http_answer answer;
	enum ctl_exit code = ctl_ask(ctl, "GET", target, SLICE_NONE, &answer);

	*root = NULL;
	if (code == CTL_DONE) {
		*root = cJSON_ParseWithLength((const char *)answer.body.data, answer.body.len);
		if (*root == NULL) {
			fprintf(ctl->errors, "bridlectl: the answer is not understood\n");
			code = CTL_FAILED;
		} else if (answer.status != 200) {
			if (ctl->json)
				answer_print_json(ctl, *root);
			else
				fprintf(ctl->errors, "bridlectl: refused: %s\n",
				    answer_text(*root, "error"));
			code = CTL_FAILED;
		}
	}
	http_answer_fini(&answer);
	if (code != CTL_DONE) {
		cJSON_Delete(*root);
		*root = NULL;
	}
	return code;
}

enum ctl_exit answer_post(
    const struct ctl *ctl, const char *target, struct slice body, cJSON **root)
{
	struct http_answer answer;
	enum ctl_exit code = ctl_ask(ctl, "POST", target, body, &answer);

	*root = cJSON_ParseWithLength((const char *)answer.body.data, answer.body.len);
	http_answer_fini(&answer);
	if (code == CTL_DONE && *root == NULL)
		fprintf(ctl->errors, "bridlectl: the answer is not understood\n");
	if (code == CTL_DONE && !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(*root, "ok")))
		code = CTL_FAILED;
	if (*root && ctl->json) {
		answer_print_json(ctl, *root);
		cJSON_Delete(*root);
		*root = NULL;
	}
	return code;
}

enum ctl_exit answer_print_json(const struct ctl *ctl, const cJSON *root)
{
	char *text = cJSON_Print(root);

	if (text == NULL)
		return CTL_FAILED;
	fprintf(ctl->out, "%s\n", text);
	cJSON_free(text);
	return CTL_DONE;
}

/* --- tables --- */

void answer_table_init(struct answer_table *t, const char *const *heads, size_t n)
{
	*t = (struct answer_table){.heads = heads, .n_columns = n};
	for (size_t i = 0; i < n; i++)
		answer_table_add(t, "%s", heads[i] + (heads[i][0] == '#'));
}

void answer_table_fini(struct answer_table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct answer_table){0};
}

/* Bytes that would steer a terminal, and those that are no text, become '?'. */
static void make_plain(char *text)
{
	struct slice s = slice_str(text);
	uint32_t code;

	for (size_t at = 0, n; at < s.len; at += n ? n : 1) {
		n = utf8_take(slice_from(s, at), &code);
		if (n == 0 || utf8_steers(code))
			memset(text + at, '?', n ? n : 1);
	}
}

void answer_table_add(struct answer_table *t, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	make_plain(text);
	if (t->n_cells == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->cells = mem_realloc(t->cells, t->room * sizeof *t->cells);
	}
	t->cells[t->n_cells++] = mem_strdup(text);
}

void answer_table_print(const struct answer_table *t, FILE *to)
{
	int widths[TABLE_COLUMNS] = {0};

	for (size_t i = 0; i < t->n_cells; i++) {
		int *width = &widths[i % t->n_columns], len = (int)strlen(t->cells[i]);

		*width = len > *width ? len : *width;
	}
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t column = i % t->n_columns;
		bool is_last = column + 1 == t->n_columns;

		if (t->heads[column][0] == '#')
			fprintf(to, "%*s", widths[column], t->cells[i]);
		else
			fprintf(to, "%-*s", is_last ? 0 : widths[column], t->cells[i]);
		fputs(is_last ? "\n" : "  ", to);
	}
}

const char *answer_usec(double usec, char *room)
{
	uint64_t s = (uint64_t)(usec / (double)USEC_S);

	if (usec <= 0)
		snprintf(room, 24, "0s");
	else if (usec < 1000)
		snprintf(room, 24, "%.0fus", usec);
	else if (usec < 1e6)
		snprintf(room, 24, "%.*fms", usec < 1e4 ? 2 : usec < 1e5 ? 1 : 0, usec / 1e3);
	else if (s < 60)
		snprintf(room, 24, "%.1fs", usec / 1e6);
	else if (s < 3600)
		snprintf(room, 24, "%um %us", (unsigned)(s / 60), (unsigned)(s % 60));
	else if (s < 86400)
		snprintf(room, 24, "%uh %um", (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
	else
		snprintf(room, 24, "%ud %uh", (unsigned)(s / 86400), (unsigned)(s / 3600 % 24));
	return room;
}
