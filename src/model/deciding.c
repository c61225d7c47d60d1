#include "model/deciding.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/rng.h"

/* ---- what is told ---- */

void deciding_tell(const struct deciding *w, bool matched, const char *at, const char *format, ...)
{
	char why[512];
	va_list args;

	if (w->trace == NULL)
		return;
	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	w->trace->rule(w->trace->arg, at, matched, why);
}

/* All rules hold: each of them is worth a word. */
static void describe_all(const struct deciding *w, const struct match *m, char *why, size_t size)
{
	size_t len = 0;

	snprintf(why, size, "every call");
	for (size_t i = 0; i < m->n && len + 3 < size; i++) {
		if (i > 0)
			len += (size_t)snprintf(why + len, size - len, "; ");
		match_describe(&m->rules[i], &w->source, why + len, size - len);
		len += strlen(why + len);
	}
}

static void print_share(char *room, size_t size, bool is_drawn, double share)
{
	if (share >= 1)
		snprintf(room, size, "every call");
	else
		snprintf(room, size, "%s, at %g%%", is_drawn ? "drawn" : "not drawn", share * 100);
}

static void tell_match(const struct deciding *w, const char *at, const char *does,
    const struct match *m, const struct match_rule *failing, bool is_drawn)
{
	char why[400], share[64];

	print_share(share, sizeof share, is_drawn, m->percent);
	if (failing)
		match_describe(failing, &w->source, why, sizeof why);
	else
		describe_all(w, m, why, sizeof why);
	if (failing || m->percent >= 1)
		deciding_tell(w, is_drawn, at, "%s%s", does, why);
	else
		deciding_tell(w, is_drawn, at, "%s%s; %s", does, why, share);
}

bool deciding_matches(
    const struct deciding *w, const char *at, const char *does, const struct match *m)
{
	const struct match_rule *failing = match_find_failing(m, &w->source);
	bool is_drawn = failing == NULL && rng_chance(w->rng, m->percent);

	if (w->trace)
		tell_match(w, at, does, m, failing, is_drawn);
	return is_drawn;
}

bool deciding_draw(const struct deciding *w, const char *at, double share)
{
	bool is_drawn = rng_chance(w->rng, share);
	char why[64];

	if (w->trace) {
		print_share(why, sizeof why, is_drawn, share);
		deciding_tell(w, is_drawn, at, "%s", why);
	}
	return is_drawn;
}

/* ---- facts ---- */

/* What the head of a call says anyway is not asked for. */
static bool find_fact(const void *arg, const struct fact_key *key, struct slice *value)
{
	const struct deciding *w = arg;
	const struct call_facts *f = w->facts;

	switch (key->kind) {
	case FACT_METHOD:
		*value = f->method;
		return f->method.len > 0;
	case FACT_IDL_SERVICE:
		*value = f->idl_service;
		return f->idl_service.len > 0;
	case FACT_SERVICE:
		*value = f->service_asked;
		return f->service_asked.len > 0;
	default:
		return f->more.find && f->more.find(f->more.call, key, value);
	}
}

void deciding_init(struct deciding *w, const struct snapshot *s, const struct call_facts *facts)
{
	const struct fact_source *more = &facts->more;

	memset(w, 0, offsetof(struct deciding, changes));
	w->s = s;
	w->facts = facts;
	w->source = (struct fact_source){find_fact, w, more->address, more->uid, more->gid};
}

bool deciding_find(
    struct deciding *w, const struct fact_key *key, char room[FACT_ROOM], struct slice *value)
{
	if (!route_has_changes(w->d.route))
		return fact_find(&w->source, key, room, value);
	if (w->changed_by != w->d.route) {
		route_changes_find(&w->changes, w->d.route, &w->source);
		w->changed_by = w->d.route;
	}
	return route_changes_fact(&w->changes, &w->source, key, room, value);
}

int deciding_refuse(struct deciding *w, enum reason reason, const char *at, const char *why)
{
	w->d.reason = reason;
	w->d.at = at;
	w->d.why = why;
	return -1;
}
