/*
 * Regular expressions of a file: POSIX extended ones that cannot take long. What they are asked
 * about is short (policy/match.h), so it is their own size that counts: counted repetitions are
 * written out by the library, nested ones to the power of their depth.
 *
 * The library makes an automaton as it goes, and keeps each state it meets. Behind a repetition
 * without end each place where several bytes fit can double the states ("(a|b)*a(a|b){60}" has
 * 2^60), which whoever sends the values could use up all memory with; so those places are few.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/config_bind.h"

#define REGEX_MAX_BYTES 256u
#define REGEX_MAX_SIZE  2000u
#define REGEX_MAX_DEPTH 16u
#define REGEX_MAX_WIDE  12u /* 2^12 states of some KiB */

/* With its repetitions written out: how many places, and how many of them fit several bytes. */
struct extent {
	uint64_t size, wide;
};

struct measure {
	struct slice text;
	size_t at;
	struct extent sum[REGEX_MAX_DEPTH + 1]; /* of each open group */
	struct extent last; /* what a repetition behind it repeats; in sum already */
	size_t depth;
	bool is_endless; /* it has a repetition without end */
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

		m->is_endless |= c == ',' && at + 1 < m->text.len && m->text.data[at + 1] == '}';
		number = c >= '0' && c <= '9' ? number * 10 + (c - '0') : 0;
		number = number > REGEX_MAX_SIZE ? REGEX_MAX_SIZE + 1 : number;
		most = number > most ? number : most;
	}
	m->at = at;
	return most;
}

static void add(struct measure *m, uint64_t size, uint64_t wide)
{
	m->last = (struct extent){size, wide};
	m->sum[m->depth].size += size;
	m->sum[m->depth].wide += wide;
}

static void repeat(struct measure *m, uint64_t times)
{
	m->sum[m->depth].size += m->last.size * (times - 1);
	m->sum[m->depth].wide += m->last.wide * (times - 1);
	m->last.size *= times;
	m->last.wide *= times;
}

static void close_group(struct measure *m)
{
	struct extent inside = m->sum[m->depth];

	if (m->depth == 0)
		return;
	m->depth--;
	add(m, inside.size, inside.wide);
}

static bool is_back_reference(const struct measure *m)
{
	uint8_t c = m->at + 1 < m->text.len ? m->text.data[m->at + 1] : 0;

	return c >= '1' && c <= '9';
}

/* NULL, or what is wrong with it: constant text. */
static const char *take_one(struct measure *m)
{
	size_t before = m->at;

	switch (m->text.data[m->at]) {
	case '\\':
		if (is_back_reference(m))
			return "it refers back to a group, which can take for ever";
		m->at++;
		/* \. is one byte, \w is many. */
		add(m, 1, m->at < m->text.len && (m->text.data[m->at] | 0x20) >= 'a');
		break;
	case '[':
		pass_brackets(m);
		add(m, 1, m->at - before > 2);
		break;
	case '(':
		if (m->depth == REGEX_MAX_DEPTH)
			return "groups are nested more than 16 deep";
		m->sum[++m->depth] = (struct extent){0, 0};
		break;
	case ')':
		close_group(m);
		break;
	case '{':
		repeat(m, pass_bound(m));
		break;
	case '*':
	case '+':
		m->is_endless = true; /* a bound behind it repeats what it repeats */
		break;
	case '?':
	case '|':
		m->sum[m->depth].wide++;
		break;
	default:
		add(m, 1, m->text.data[m->at] == '.');
		break;
	}
	return m->sum[m->depth].size > REGEX_MAX_SIZE
		   ? "its repetitions come to more than 2000 parts"
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
	if (wrong == NULL && m.is_endless && m.sum[0].wide > REGEX_MAX_WIDE)
		wrong = "beside a repetition without end (* or +) it has more than 12 places where "
			"several bytes fit";
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
