#include "model/problems.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void problems_init(struct problems *p)
{
	*p = (struct problems){0};
	arena_init(&p->arena, NULL, 0);
}

void problems_fini(struct problems *p)
{
	free(p->list);
	arena_fini(&p->arena);
	*p = (struct problems){0};
}

static int compare_places(const struct problem *a, const struct problem *b)
{
	int files = strcmp(a->file ? a->file : "", b->file ? b->file : "");

	if (files != 0)
		return files;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->column == b->column ? 0 : a->column < b->column ? -1 : 1;
}

/* Behind all that are not later in the file, so that equal places keep their order. */
static size_t position_of(const struct problems *p, const struct problem *problem)
{
	size_t low = 0, high = p->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_places(&p->list[middle], problem) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void insert(struct problems *p, const struct problem *problem)
{
	size_t at = position_of(p, problem);

	/* Doubles at each power of two; n tells how much room there is. */
	if ((p->n & (p->n - 1)) == 0)
		p->list = mem_realloc(p->list, (p->n ? p->n * 2 : 1) * sizeof *p->list);
	memmove(p->list + at + 1, p->list + at, (p->n - at) * sizeof *p->list);
	p->list[at] = *problem;
	p->n++;
}

static const char *copy(struct problems *p, const char *text)
{
	return text ? arena_str(&p->arena, slice_str(text)) : NULL;
}

static void add(struct problems *p, struct problem *problem, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void add(struct problems *p, struct problem *problem, const char *format, va_list args)
{
	char text[2048], *newline;

	if (!problem->is_warning)
		p->n_errors++;
	if (p->n >= PROBLEMS_MAX)
		return;
	vsnprintf(text, sizeof text, format, args);
	newline = strchr(text, '\n');
	if (newline)
		*newline++ = '\0';
	problem->file = copy(p, problem->file);
	problem->path = copy(p, problem->path);
	problem->text = copy(p, text);
	problem->remedy = copy(p, newline);
	insert(p, problem);
}

void problems_error(struct problems *p, struct place at, const char *path, const char *format, ...)
{
	struct problem problem = {
	    .file = at.file, .line = at.line, .column = at.column, .path = path};
	va_list args;

	va_start(args, format);
	add(p, &problem, format, args);
	va_end(args);
}

void problems_warn(struct problems *p, struct place at, const char *path, const char *format, ...)
{
	struct problem problem = {
	    .file = at.file, .line = at.line, .column = at.column, .path = path};
	va_list args;

	problem.is_warning = true;
	va_start(args, format);
	add(p, &problem, format, args);
	va_end(args);
}

static void print_one(const struct problem *problem, FILE *to)
{
	if (problem->file)
		fprintf(to, "%s:", problem->file);
	if (problem->line)
		fprintf(to, "%u:%u:", problem->line, problem->column);
	fprintf(to, "%s%s: ", problem->file ? " " : "", problem->is_warning ? "warning" : "error");
	if (problem->path && *problem->path)
		fprintf(to, "%s: ", problem->path);
	fprintf(to, "%s\n", problem->text);
	if (problem->remedy)
		fprintf(to, "    %s\n", problem->remedy);
}

void problems_print(const struct problems *p, FILE *to, bool with_warnings)
{
	size_t errors = 0;

	for (size_t i = 0; i < p->n; i++) {
		errors += !p->list[i].is_warning;
		if (with_warnings || !p->list[i].is_warning)
			print_one(&p->list[i], to);
	}
	if (p->n_errors > errors)
		fprintf(to, "%zu more errors\n", p->n_errors - errors);
}
