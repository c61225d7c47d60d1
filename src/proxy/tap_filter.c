#include "proxy/tap_filter.h"

#include <stdlib.h>

#include "base/mem.h"
#include "proxy/access_line.h"
#include "proxy/call.h"
#include "proxy/facts.h"

#define SLOWER_MAX (24 * 3600 * USEC_S)

void tap_filter_init(struct tap_filter *f)
{
	*f = (struct tap_filter){.share = 1};
	arena_init(&f->arena, NULL, 0);
}

void tap_filter_fini(struct tap_filter *f)
{
	arena_fini(&f->arena);
}

/* ---- reading ---- */

static int add_errors(struct tap_filter *f, struct slice value, struct err *err)
{
	if (!slice_eq_str(value, "1") && !slice_eq_str(value, "0"))
		return err_set(err, 0, "errors is 1 (calls that went wrong) or 0 (all)");
	f->wants_errors = value.data[0] == '1';
	return 0;
}

static int add_slower(struct tap_filter *f, struct slice value, struct err *err)
{
	static const struct {
		struct slice unit;
		usec_t factor;
	} units[] = {{SLICE_LIT("us"), 1}, {SLICE_LIT("ms"), USEC_MS}, {SLICE_LIT("s"), USEC_S}};
	size_t digits = 0;
	uint64_t number;

	while (digits < value.len && value.data[digits] >= '0' && value.data[digits] <= '9')
		digits++;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (!slice_eq(slice_from(value, digits), units[i].unit) ||
		    !slice_to_u64(slice_first(value, digits), &number) ||
		    number > SLOWER_MAX / units[i].factor)
			continue;
		f->slower_than = number * units[i].factor;
		return 0;
	}
	return err_set(err, 0, "slower_than is a time of at most a day with its unit, like 50ms");
}

/* 0.25 or 25%. */
static int add_sample(struct tap_filter *f, struct slice value, struct err *err)
{
	char text[24], *end;
	double share = -1;

	if (value.len && value.len < sizeof text && value.data[0] >= '0' && value.data[0] <= '9') {
		memcpy(text, value.data, value.len);
		text[value.len] = '\0';
		share = strtod(text, &end);
		if (strcmp(end, "%") == 0)
			share /= 100;
		else if (*end)
			share = -1;
	}
	if (!(share > 0 && share <= 1))
		return err_set(err, 0, "sample is a share of the calls above 0, like 10%% or 0.1");
	f->share = share;
	return 0;
}

static enum tap_stage field_known_at(enum access_field field)
{
	switch ((int)field) {
	case ACCESS_LOG_ID:
	case ACCESS_TRACE_ID:
	case ACCESS_LISTENER:
	case ACCESS_PROTOCOL:
	case ACCESS_CALLER:
	case ACCESS_IDL_SERVICE:
	case ACCESS_METHOD:
	case ACCESS_SOURCE:
		return TAP_STARTED;
	case ACCESS_SERVICE:
	case ACCESS_ENDPOINT:
		return TAP_REPLIED;
	}
	return TAP_ENDED;
}

static bool is_text_field(enum access_field field)
{
	return field != ACCESS_TIME && field < ACCESS_STATUS;
}

static int refuse_name(struct slice name, struct err *err)
{
	char shown[LOG_ESCAPED_MAX];

	log_escape(shown, sizeof shown, name);
	return err_set(err, 0,
	    "nothing to filter by is called \"%.60s\"; there are service, method, listener, caller, "
	    "reason, endpoint, protocol, kind, idl_service, log_id, trace_id, biz_status, detail, "
	    "source, meta.NAME, header.NAME, int.NAME, errors, slower_than, sample, and n, body, "
	    "redact for what is shown",
	    shown);
}

/* A fact, by a name that is no field's. */
static int add_fact(
    struct tap_filter *f, struct tap_condition *c, struct slice name, struct err *err)
{
	bool has_place = slice_starts(name, SLICE_LIT("meta.")) ||
			 slice_starts(name, SLICE_LIT("header.")) ||
			 slice_starts(name, SLICE_LIT("int."));
	const char *wrong = fact_key_parse(&c->key, name, &f->arena);

	if (has_place && wrong)
		return err_set(err, 0, "%s", wrong);
	/* the body of a call that has ended is not there to be asked */
	if (wrong || c->key.kind == FACT_FIELD)
		return refuse_name(name, err);
	c->known_at = TAP_STARTED;
	return 0;
}

static int add_condition(
    struct tap_filter *f, struct slice name, struct slice value, struct err *err)
{
	struct tap_condition *c = &f->conditions[f->n];

	if (f->n == TAP_CONDITIONS_MAX)
		return err_set(err, 0, "a filter has at most %u conditions", TAP_CONDITIONS_MAX);
	*c = (struct tap_condition){.pattern = arena_copy(&f->arena, value)};
	if (name.len && name.data[name.len - 1] == '!') {
		c->is_negated = true;
		name = slice_first(name, name.len - 1);
	}
	c->field = access_field_find(name);
	if (c->field == ACCESS_COUNT) {
		if (add_fact(f, c, name, err) < 0)
			return -1;
	} else if (is_text_field(c->field)) {
		c->known_at = field_known_at(c->field);
	} else {
		return refuse_name(name, err);
	}
	f->n++;
	return 0;
}

int tap_filter_add(struct tap_filter *f, struct slice name, struct slice value, struct err *err)
{
	if (slice_eq_str(name, "errors"))
		return add_errors(f, value, err);
	if (slice_eq_str(name, "slower_than"))
		return add_slower(f, value, err);
	if (slice_eq_str(name, "sample"))
		return add_sample(f, value, err);
	return add_condition(f, name, value, err);
}

/* ---- asking ---- */

/* Backs up to the last `*` alone: an earlier one could take no other bytes for the better. */
bool tap_pattern_fits(struct slice pattern, struct slice text)
{
	size_t p = 0, t = 0, star = SIZE_MAX, resume = 0;

	while (t < text.len) {
		if (p < pattern.len && pattern.data[p] == '*') {
			star = p++;
			resume = t;
		} else if (p < pattern.len && pattern.data[p] == text.data[t]) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++resume;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.data[p] == '*')
		p++;
	return p == pattern.len;
}

/* What messages say is asked of them at once, which is the cheaper way; a call that nobody wants to
 * see is to pay as little as can be. */
static struct slice fact_of(
    const struct fact_key *key, const struct call *call, char room[FACT_ROOM])
{
	const struct rpc_message *m = &call->request;
	struct slice value = SLICE_NONE;
	struct call_finder finder;
	struct fact_source source;
	bool is_found;

	switch ((int)key->kind) {
	case FACT_META:
		is_found = rpc_find_meta(m, key->name, &value);
		break;
	case FACT_HEADER:
		is_found = rpc_find_header(m, key->name, &value);
		break;
	case FACT_INT:
		is_found = rpc_find_int(m, key->number, &value);
		break;
	default:
		source = call_fact_source(call, &finder);
		is_found = fact_find(&source, key, room, &value);
	}
	return is_found ? value : SLICE_NONE;
}

static bool condition_holds(const struct tap_condition *c, struct call *call)
{
	char room[FACT_ROOM];
	struct slice value = c->field == ACCESS_COUNT ? fact_of(&c->key, call, room)
						      : access_line_text(c->field, call);

	return tap_pattern_fits(c->pattern, value) != c->is_negated;
}

bool tap_filter_holds(
    const struct tap_filter *f, struct call *call, enum tap_stage stage, usec_t now)
{
	if (stage == TAP_ENDED) {
		if (f->wants_errors && reason_is_success(call->reason))
			return false;
		if (f->slower_than && now - call->started <= f->slower_than)
			return false;
	}
	for (unsigned i = 0; i < f->n; i++)
		if (f->conditions[i].known_at <= stage && !condition_holds(&f->conditions[i], call))
			return false;
	return true;
}
