#include "policy/match.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/log.h"
#include "base/rng.h"

#define SHOWN_MAX 64u /* bytes of a value in a description */

/* The value is a view, which may hold NULs and does not end with one: it is copied, as regexec
 * wants a string, and its end is told, so that a NUL is no end. */
static bool matches_regex(const regex_t *regex, struct slice value)
{
	regmatch_t whole = {0, (regoff_t)value.len};
	char text[MATCH_REGEX_VALUE_MAX + 1];

	if (value.len > MATCH_REGEX_VALUE_MAX)
		return false;
	if (value.len)
		memcpy(text, value.data, value.len);
	text[value.len] = '\0';
	return regexec(regex, text, 1, &whole, REG_STARTEND) == 0;
}

static bool ends_with(struct slice value, struct slice suffix)
{
	return value.len >= suffix.len &&
	       slice_eq(slice_from(value, value.len - suffix.len), suffix);
}

static bool is_one_of(const struct match_rule *rule, struct slice value)
{
	for (size_t i = 0; i < rule->n_texts; i++)
		if (slice_eq(rule->texts[i], value))
			return true;
	return false;
}

static bool is_in_network(const struct match_rule *rule, const struct sockaddr *address)
{
	if (address == NULL || (address->sa_family != AF_INET && address->sa_family != AF_INET6))
		return false;
	for (size_t i = 0; i < rule->n_cidrs; i++)
		if (cidr_contains(&rule->cidrs[i], address))
			return true;
	return false;
}

static bool value_fits(const struct match_rule *rule, struct slice value)
{
	switch (rule->how) {
	case MATCH_EXACT:
	case MATCH_IN:
		return is_one_of(rule, value);
	case MATCH_PREFIX:
		return slice_starts(value, rule->texts[0]);
	case MATCH_SUFFIX:
		return ends_with(value, rule->texts[0]);
	case MATCH_REGEX:
		return matches_regex(rule->regex, value);
	case MATCH_PRESENT:
		return true;
	case MATCH_ABSENT:
	case MATCH_CIDR:
		break;
	}
	return false;
}

/* What a rule found: the fact, and whether it is as described, `not` left aside. */
struct finding {
	bool is_there, fits;
	struct slice value;
};

static struct finding look(
    const struct match_rule *rule, const struct fact_source *facts, char room[FACT_ROOM])
{
	struct finding f = {.value = SLICE_NONE};

	/* Networks need the address itself; its text is for descriptions alone. */
	if (rule->how == MATCH_CIDR) {
		f.fits = is_in_network(rule, facts->address);
		return f;
	}
	f.is_there = fact_find(facts, &rule->key, room, &f.value);
	f.fits = f.is_there ? value_fits(rule, f.value) : rule->how == MATCH_ABSENT;
	return f;
}

const struct match_rule *match_find_failing(const struct match *m, const struct fact_source *facts)
{
	char room[FACT_ROOM];

	for (size_t i = 0; i < m->n; i++)
		if (look(&m->rules[i], facts, room).fits == m->rules[i].is_negated)
			return &m->rules[i];
	return NULL;
}

bool match_call(const struct match *m, const struct fact_source *facts, struct rng *rng)
{
	return match_find_failing(m, facts) == NULL && rng_chance(rng, m->percent);
}

/* ---- descriptions ---- */

/* `"a", "b"` of the texts or networks of a rule. */
static void print_wanted(const struct match_rule *rule, char *room, size_t size)
{
	size_t len = 0;

	room[0] = '\0';
	for (size_t i = 0; i < rule->n_texts && len < size; i++) {
		char text[LOG_ESCAPED_MAX];

		log_escape(text, sizeof text, slice_first(rule->texts[i], SHOWN_MAX));
		len += (size_t)snprintf(room + len, size - len, "%s\"%s\"", i ? ", " : "", text);
	}
}

static const char *how_it_is(enum match_how how, bool fits)
{
	switch (how) {
	case MATCH_EXACT:
		return fits ? " = " : ", not ";
	case MATCH_PREFIX:
		return fits ? ", which starts with " : ", which does not start with ";
	case MATCH_SUFFIX:
		return fits ? ", which ends with " : ", which does not end with ";
	case MATCH_REGEX:
		return fits ? ", which matches " : ", which does not match ";
	case MATCH_IN:
		return fits ? ", one of " : ", none of ";
	case MATCH_PRESENT:
	case MATCH_ABSENT:
	case MATCH_CIDR:
		break;
	}
	return "";
}

static size_t print_network(const struct cidr *c, char *room, size_t size)
{
	char address[FACT_ROOM] = "?";

	inet_ntop(c->family, c->bytes, address, sizeof address);
	return (size_t)snprintf(room, size, "%s/%u", address, c->bits);
}

/* Of several networks the one that has the address, or all that have it not. */
static void print_networks(
    const struct match_rule *rule, const struct sockaddr *from, char *room, size_t size)
{
	size_t len = 0;

	room[0] = '\0';
	for (size_t i = 0; i < rule->n_cidrs && len + 2 < size; i++) {
		if (from && !cidr_contains(&rule->cidrs[i], from))
			continue;
		if (len)
			len += (size_t)snprintf(room + len, size - len, ", ");
		len += print_network(&rule->cidrs[i], room + len, size - len);
	}
}

static void describe_network(
    const struct match_rule *rule, const struct fact_source *facts, char *room, size_t size)
{
	bool fits = is_in_network(rule, facts->address);
	char text[FACT_ROOM], networks[256];
	struct slice value;

	print_networks(rule, fits ? facts->address : NULL, networks, sizeof networks);
	if (fact_find(facts, &rule->key, text, &value))
		snprintf(room, size, "source is %.*s, %s %s%s", (int)value.len,
		    (const char *)value.data, fits ? "in" : "not in", networks,
		    fits && rule->is_negated ? ", as it must not" : "");
	else
		snprintf(room, size, "source is no IP address, so not in %s", networks);
}

void match_describe(
    const struct match_rule *rule, const struct fact_source *facts, char *room, size_t size)
{
	char found_room[FACT_ROOM], value[LOG_ESCAPED_MAX], wanted[256];
	struct finding f = look(rule, facts, found_room);
	const char *tail = f.fits && rule->is_negated ? ", as it must not" : "";
	int n = (int)rule->key.text.len;
	const char *key = (const char *)rule->key.text.data;

	if (rule->how == MATCH_CIDR) {
		describe_network(rule, facts, room, size);
		return;
	}
	if (!f.is_there) {
		snprintf(room, size, "there is no %.*s", n, key);
		return;
	}
	log_escape(value, sizeof value, slice_first(f.value, SHOWN_MAX));
	print_wanted(rule, wanted, sizeof wanted);
	if (rule->how == MATCH_PRESENT || rule->how == MATCH_ABSENT)
		wanted[0] = '\0';
	if (rule->how == MATCH_EXACT && f.fits)
		snprintf(room, size, "%.*s = %s%s", n, key, wanted, tail);
	else
		snprintf(room, size, "%.*s is \"%s\"%s%s%s", n, key, value,
		    how_it_is(rule->how, f.fits), wanted, tail);
}
