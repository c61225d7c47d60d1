#include "model/config_dump.h"

#include <string.h>

#include "base/mem.h"
#include "model/warn.h"

/* The keys as lists of mdoc(7), one for each scope. */

static const struct {
	const struct scope *scope;
	const char *path; /* what stands before its keys */
	const char *text;
} sections[] = {
    {&top_scope, "", "The keys at the top of the file."},
    {&registry_scope, "registries.NAME.",
	"Where services are found and registered. The key of the map is the name by which discover, "
	"register and governance refer to it. A key of other types than the registry's is an "
	"error."},
    {&tls_scope, "registries.NAME.tls.", "How connections that are opened are encrypted."},
    {&listener_scope, "listeners[].", "Where calls come in. A list."},
    {&service_scope, "services.LABEL.",
	"Who answers. The key of the map is the label by which listeners and calls refer to it. The "
	"keys of a policy may stand here as well."},
    {&endpoint_scope, "services.LABEL.endpoints[].",
	"Where a service is found. An address alone "
	"stands for a map with nothing but it."},
    {&method_scope, "services.LABEL.methods.NAME.",
	"A single method, or with the name \"*\" all that are not named. The keys of a policy may "
	"stand here as well."},
    {&policy_scope, "",
	"What holds for calls. These keys may stand below defaults, in a service, in the policy of a "
	"route and in a method; each starts from what the one before it says."},
    {&backoff_scope, "retry.backoff.", "How long to wait before a retry, when it is a map."},
    {&breaker_scope, "breaker.", "One breaker. It is not merged with others."},
    {&limit_scope, "limit.", "One limit. It is not merged with others."},
    {&acl_scope, "acl[].", "One of the two in each rule."},
    {&route_scope, "services.LABEL.routes[].",
	"Which calls of a service are led elsewhere, or changed. A list."},
    {&fault_scope, "services.LABEL.routes[].fault.", "Failures that a route makes happen."},
    {&test_scope, "tests[].",
	"A call, and what has to become of it. A list. What is not given the call does not have, "
	"and what is not expected may be anything."},
};

#define LINE_MAX_BYTES 78u

/* Text for roff: lines of a decent length, each sentence on a line of its own, nothing in it a
 * request or an escape. */
struct roff {
	FILE *to;
	size_t column;
};

static void end_line(struct roff *r)
{
	if (r->column > 0)
		fputc('\n', r->to);
	r->column = 0;
}

/* What it takes in the page: a quote is four bytes there, a backslash two. */
static size_t written_len(const char *word, size_t len)
{
	size_t written = len;

	for (size_t i = 0; i < len; i++)
		written += word[i] == '"' ? 3 : word[i] == '\\';
	return written;
}

static void put_word(struct roff *r, const char *word, size_t len)
{
	size_t written = written_len(word, len);

	if (r->column > 0 && r->column + 1 + written > LINE_MAX_BYTES)
		end_line(r);
	if (r->column > 0)
		fputc(' ', r->to);
	else if (*word == '.' || *word == '\'')
		fputs("\\&", r->to);
	r->column += written + 1;
	for (size_t i = 0; i < len; i++) {
		if (word[i] == '\\')
			fputs("\\e", r->to);
		else if (word[i] == '"')
			fputs("\\(dq", r->to);
		else
			fputc(word[i], r->to);
	}
}

static void put_text(struct roff *r, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, " ");

		put_word(r, text, len);
		text += len;
		text += strspn(text, " ");
		if (text[-1] == ' ' && text[-2] == '.')
			end_line(r);
	}
}

static void put_words(struct roff *r, const struct word *words)
{
	const struct word *last = words;

	for (const struct word *w = words; w->word; w++)
		if (!w->is_later)
			last = w;
	put_text(r, "One of:");
	for (const struct word *w = words; w->word; w++) {
		char text[80];

		if (w->is_later)
			continue;
		snprintf(text, sizeof text, "%s%s", w->word, w == last ? "." : ",");
		put_text(r, text);
	}
	end_line(r);
}

static void put_type(struct roff *r, const struct key *key)
{
	const char *fallback = key->worked_out ? key->worked_out : key->fallback;
	char text[300];

	snprintf(text, sizeof text, "A%s %s%s", strchr("aeiou", key->type->name[0]) ? "n" : "",
	    key->type->name, key->flags & KEY_NONE ? ", or none" : "");
	put_text(r, text);
	if (key->flags & KEY_REQUIRED)
		snprintf(text, sizeof text, "(required).");
	else if (fallback && strcmp(fallback, "\"\"") != 0)
		snprintf(text, sizeof text, "(default: %s).", fallback);
	else
		snprintf(text, sizeof text, "(default: empty).");
	put_text(r, text);
	end_line(r);
}

static void print_key(const struct key *key, const char *path, FILE *to)
{
	struct roff r = {to, 0};
	const char *dot = strrchr(key->name, '.');

	fprintf(to, ".It Ic %s%s\n", path, key->name);
	put_type(&r, key);
	put_text(&r, key->text);
	end_line(&r);
	if (key->words)
		put_words(&r, key->words);
	if ((key->flags & KEY_SHORT) && dot)
		fprintf(to, "The value may stand in place of the map\n.Ic %.*s .\n",
		    (int)(dot - key->name), key->name);
}

static void print_warnings(FILE *to)
{
	struct roff r = {to, 0};
	const struct warning *list;
	size_t n;

	fputs(".Ss Warnings\n", to);
	put_text(&r,
	    "What can be meant so, but seldom is. The daemon starts all the same; -W makes "
	    "them errors of -t.");
	end_line(&r);
	fputs(".Bl -tag -width Ds\n", to);
	list = warning_list(&n);
	for (size_t i = 0; i < n; i++) {
		fprintf(to, ".It Li W%02u\n", list[i].id);
		fprintf(to, ".Em %s .\n", list[i].title);
		put_text(&r, list[i].text);
		end_line(&r);
	}
	fputs(".El\n", to);
}

void config_manual(FILE *to)
{
	for (size_t s = 0; s < ARRAY_LEN(sections); s++) {
		const struct scope *scope = sections[s].scope;
		struct roff r = {to, 0};

		fprintf(to, ".Ss %s\n", scope->name);
		put_text(&r, sections[s].text);
		end_line(&r);
		fputs(".Bl -tag -width Ds\n", to);
		for (size_t i = 0; i < scope->n; i++)
			if (scope->keys[i].type)
				print_key(&scope->keys[i], sections[s].path, to);
		fputs(".El\n", to);
	}
	print_warnings(to);
}
