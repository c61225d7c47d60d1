#include "base/usage.h"

#include <assert.h>

/* Where we are in a line. */
struct reading {
	struct usage *usage;
	const char *at;
	struct usage_option *last;   /* that the next word may belong to; NULL: none */
	struct usage_option *joined; /* "-c," goes on with "--config" */
	unsigned line;               /* from 1 */
};

static struct usage_option *find_option(struct usage *usage, char letter, struct slice name)
{
	for (size_t i = 0; i < usage->n_options; i++) {
		struct usage_option *option = &usage->options[i];

		if ((letter && option->letter == letter) ||
		    (name.len && slice_eq(option->name, name)))
			return option;
	}
	assert(usage->n_options < USAGE_OPTIONS_MAX);
	return &usage->options[usage->n_options++];
}

/* "--config", "-c" */
static void take_option(struct reading *r, struct slice word, bool goes_on)
{
	bool is_long = word.len > 2 && word.data[1] == '-';
	char letter = is_long ? '\0' : (char)word.data[1];
	struct slice name = is_long ? slice_from(word, 2) : SLICE_NONE;
	struct usage_option *option = r->joined && is_long ? r->joined : NULL;

	if (option == NULL)
		option = find_option(r->usage, letter, name);
	if (letter)
		option->letter = letter;
	if (name.len)
		option->name = name;
	r->joined = letter && goes_on ? option : NULL;
	option->line = r->line;
	r->last = option;
}

static void take_operand(struct reading *r, struct slice word)
{
	struct usage *usage = r->usage;

	if (r->line > 1 || slice_eq_str(word, "OPTION") || slice_eq_str(word, "--"))
		return;
	if (usage->n_operands < USAGE_OPERANDS_MAX)
		usage->operands[usage->n_operands++] = word;
}

/* A word without the brackets, commas and dots around it. */
static struct slice strip(struct slice word, bool *goes_on, bool *ends)
{
	static const char behind[] = "]}).,";

	while (word.len && (strchr("[({", word.data[0])))
		word = slice_from(word, 1);
	*goes_on = *ends = false;
	while (word.len && memchr(behind, word.data[word.len - 1], sizeof behind - 1)) {
		*goes_on = *goes_on || word.data[word.len - 1] == ',';
		*ends = true;
		word.len--;
	}
	return word;
}

static void take_word(struct reading *r, struct slice raw)
{
	bool goes_on, ends, opens = raw.data[0] == '[';
	struct slice word = strip(raw, &goes_on, &ends);
	const uint8_t *is = word.len ? memchr(word.data, '=', word.len) : NULL;

	if (word.len > 1 && word.data[0] == '-' && !slice_eq_str(word, "--")) {
		struct slice value = SLICE_NONE;

		if (is) { /* --level=LEVEL */
			value = slice_from(word, (size_t)(is - word.data) + 1);
			word.len = (size_t)(is - word.data);
		}
		take_option(r, word, goes_on);
		if (value.len)
			r->last->value = value;
		if (ends)
			r->last = NULL;
	} else if (r->last && !opens && word.len) {
		r->last->value = word;
		r->last = NULL;
	} else if (word.len) {
		take_operand(r, word);
	}
}

/* What is said, behind two blanks, of the options in front of it. */
static void take_help(struct reading *r, struct slice help)
{
	for (size_t i = 0; i < r->usage->n_options; i++)
		if (r->usage->options[i].line == r->line)
			r->usage->options[i].help = help;
}

static void read_line(struct reading *r, struct slice line)
{
	size_t i = 0;

	r->last = r->joined = NULL;
	while (i < line.len && line.data[i] == ' ')
		i++;
	while (i < line.len) {
		size_t begin = i;

		while (i < line.len && line.data[i] != ' ')
			i++;
		take_word(r, slice_sub(line, begin, i - begin));
		begin = i;
		while (i < line.len && line.data[i] == ' ')
			i++;
		if (i - begin > 1 && r->line > 1) {
			take_help(r, slice_from(line, i));
			return;
		}
	}
}

void usage_read(struct usage *usage, const char *text)
{
	struct reading reading = {.usage = usage};

	*usage = (struct usage){0};
	while (*text) {
		size_t len = strcspn(text, "\n");

		reading.line++;
		read_line(&reading, slice_of(text, len));
		text += len + (text[len] == '\n');
	}
}
