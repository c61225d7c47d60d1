/*
 * Regular expressions of a file: POSIX extended ones that cannot take long. What they are asked about is
 * short (policy/match.h), so it is their own size that counts: counted repetitions are written out by
 * the library, nested ones to the power of their depth.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/config_bind.h"

#define REGEX_MAX_BYTES 256u
#define REGEX_MAX_SIZE  2000u
#define REGEX_MAX_DEPTH 16u

/* How large an expression is with its repetitions written out. */
struct measure {
	struct slice text;
	size_t at;
	uint64_t sum[REGEX_MAX_DEPTH + 1]; /* of each open group */
	uint64_t last;                     /* what a repetition behind it repeats; counted in sum */
	size_t depth;
};

/* [abc], []abc], [^]abc], [[:digit:]] */
static void pass_brackets(struct measure *m)
{
	size_t at = m->at + 1;

	at += at < m->text.len && m->text.data[at] == '^';
	at += at < m->text.len && m->text.data[at] == ']';
	while (at < m->text.len && m->text.data[at] != ']') {
		if (m->text.data[at] == '[' && at + 1 < m->text.len &&
		    strchr(":.=", m->text.data[at + 1])) {
			uint8_t mark = m->text.data[at + 1];

			for (at += 2; at + 1 < m->text.len &&
				      !(m->text.data[at] == mark && m->text.data[at + 1] == ']');)
				at++;
			at++;
		}
		at++;
	}
	m->at = at;
}

/* {3}, {3,}, {,5}, {3,5}: the largest number in it. */
static uint64_t pass_bound(struct measure *m)
{
	uint64_t most = 1, number = 0;
	size_t at = m->at + 1;

	for (; at < m->text.len && m->text.data[at] != '}'; at++) {
		uint8_t c = m->text.data[at];

		number = c >= '0' && c <= '9' ? number * 10 + (c - '0') : 0;
		number = number > REGEX_MAX_SIZE ? REGEX_MAX_SIZE + 1 : number;
		most = number > most ? number : most;
	}
	m->at = at;
	return most;
}

static void add(struct measure *m, uint64_t size)
{
	m->last = size;
	m->sum[m->depth] += size;
}

/* NULL, or what is wrong with it: constant text. */
static const char *take_one(struct measure *m)
{
	uint64_t times;

	switch (m->text.data[m->at]) {
	case '\\':
		m->at++;
		if (m->at < m->text.len && m->text.data[m->at] >= '1' && m->text.data[m->at] <= '9')
			return "it refers back to a group, which can take for ever";
		add(m, 1);
		break;
	case '[':
		pass_brackets(m);
		add(m, 1);
		break;
	case '(':
		if (m->depth == REGEX_MAX_DEPTH)
			return "groups are nested more than 16 deep";
		m->sum[++m->depth] = 0;
		break;
	case ')':
		if (m->depth > 0) {
			uint64_t inside = m->sum[m->depth--];

			add(m, inside);
		}
		break;
	case '{':
		times = pass_bound(m);
		m->sum[m->depth] += m->last * (times - 1);
		m->last *= times;
		break;
	case '*':
	case '+':
	case '?':
		break; /* a bound behind them repeats what they repeat */
	default:
		add(m, 1);
		break;
	}
	return m->sum[m->depth] > REGEX_MAX_SIZE ? "its repetitions come to more than 2000 parts"
						 : NULL;
}

static const char *find_wrong(struct slice text)
{
	struct measure m = {.text = text};
	const char *wrong = NULL;

	if (text.len == 0 || text.len > REGEX_MAX_BYTES)
		return text.len ? "it is longer than 256 bytes" : "it is empty";
	for (; wrong == NULL && m.at < text.len; m.at++)
		wrong = take_one(&m);
	return wrong;
}

int bind_regex(
    struct binder *b, const struct yaml_node *node, struct slice text, const regex_t **regex)
{
	const char *wrong = find_wrong(text);
	struct config_regex *made;
	char said[128];
	int rc;

	if (wrong == NULL) {
		made = arena_calloc(b->arena, 1, sizeof *made);
		rc = regcomp(&made->regex, arena_str(b->scratch, text), REG_EXTENDED | REG_NOSUB);
		if (rc == 0) {
			made->next = b->origins->regexes;
			b->origins->regexes = made;
			*regex = &made->regex;
			return 0;
		}
		regerror(rc, &made->regex, said, sizeof said);
		wrong = said;
	}
	return bind_error(b, node,
	    "no regular expression: %s\nexpected a POSIX extended one of up to 256 bytes, like "
	    "^v[0-9]+$, without back-references",
	    wrong);
}

void config_free_regexes(struct config_origins *origins)
{
	for (struct config_regex *r = origins->regexes; r; r = r->next)
		regfree(&r->regex);
}
