#include "registry/kitex_retry.h"

#include <stdio.h>

#include "registry/kitex_reading.h"

/* Source: pkg/retry/policy.go of cloudwego/kitex, the types and their bounds. */
enum kitex_retry_type { KITEX_FAILURE, KITEX_BACKUP, KITEX_MIXED };

static const struct {
	const char *member, *type;
	int64_t most; /* retries */
	bool has_delay, has_backoff;
} kinds[] = {
    [KITEX_FAILURE] = {"failure_policy", "failure", 5, false, true},
    [KITEX_BACKUP] = {"backup_policy", "backup", 2, true, false},
    [KITEX_MIXED] = {"mixed_policy", "mixed", 3, true, true},
};

#define MS_MAX        86400000 /* a day */
#define CEILING_MAX   0.3      /* of retries among all attempts; more is taken for the usual */
#define CEILING_USUAL 0.1

struct policy_read {
	int64_t type, times, delay_ms, duration_ms;
	double ceiling;
	bool goes_on_in_chain, same_node;
	const char *backoff;
};

static int read_ceiling(const struct yaml_node *stop, struct policy_read *p, struct err *err)
{
	const struct yaml_node *breaker;

	if (kitex_child(stop, "cb_policy", &breaker, err) < 0)
		return -1;
	if (breaker && kitex_number(breaker, "error_rate", -1e9, 1e9, &p->ceiling, err) < 0)
		return -1;
	/* The smallest shares are none when they are written. */
	if (!(p->ceiling >= 0.000001 && p->ceiling <= CEILING_MAX))
		p->ceiling = CEILING_USUAL;
	return 0;
}

static int read_stop(const struct yaml_node *policy, struct policy_read *p, struct err *err)
{
	const struct yaml_node *stop;

	p->ceiling = CEILING_USUAL;
	if (kitex_child(policy, "stop_policy", &stop, err) < 0)
		return -1;
	if (stop == NULL)
		return 0;
	if (kitex_integer(stop, "max_retry_times", 0, kinds[p->type].most, &p->times, err) < 0 ||
	    kitex_integer(stop, "max_duration_ms", 0, MS_MAX, &p->duration_ms, err) < 0 ||
	    kitex_bool(stop, "disable_chain_stop", &p->goes_on_in_chain, err) < 0)
		return -1;
	return read_ceiling(stop, p, err);
}

static int read_random(
    const struct yaml_node *items, struct policy_read *p, struct arena *arena, struct err *err)
{
	double min = 0, max = 0;

	if (kitex_number(items, "min_ms", 0, MS_MAX, &min, err) < 0 ||
	    kitex_number(items, "max_ms", 0.001, MS_MAX, &max, err) < 0)
		return -1;
	if (max <= 0 || min > max)
		return kitex_refuse(items, "max_ms", "expected at least min_ms, and above 0", err);
	/* No time at all is none that can be written. */
	p->backoff = arena_printf(
	    arena, "{min: %.0fus, max: %.0fus}", min < 0.001 ? 1.0 : min * 1000, max * 1000);
	return 0;
}

static int read_items(const struct yaml_node *backoff, struct slice type, struct policy_read *p,
    struct arena *arena, struct err *err)
{
	const struct yaml_node *items;
	double fixed = 0;

	if (kitex_child(backoff, "cfg_items", &items, err) < 0)
		return -1;
	if (items == NULL)
		return kitex_refuse(backoff, "cfg_items", "is missing", err);
	if (slice_eq_str(type, "random"))
		return read_random(items, p, arena, err);
	if (!slice_eq_str(type, "fixed"))
		return kitex_refuse(backoff, "backoff_type", "expected none, fixed or random", err);
	if (kitex_number(items, "fix_ms", 0.001, MS_MAX, &fixed, err) < 0)
		return -1;
	if (fixed <= 0)
		return kitex_refuse(items, "fix_ms", "is missing", err);
	p->backoff = arena_printf(arena, "%.0fus", fixed * 1000);
	return 0;
}

static int read_backoff(
    const struct yaml_node *policy, struct policy_read *p, struct arena *arena, struct err *err)
{
	const struct yaml_node *backoff;
	struct slice type = SLICE_LIT("none");

	p->backoff = "none";
	if (!kinds[p->type].has_backoff)
		return 0;
	if (kitex_child(policy, "backoff_policy", &backoff, err) < 0)
		return -1;
	if (backoff == NULL)
		return 0;
	if (kitex_text(backoff, "backoff_type", &type, err) < 0)
		return -1;
	return slice_eq_str(type, "none") ? 0 : read_items(backoff, type, p, arena, err);
}

static int read_policy(
    const struct yaml_node *policy, struct policy_read *p, struct arena *arena, struct err *err)
{
	if (read_stop(policy, p, err) < 0 || read_backoff(policy, p, arena, err) < 0 ||
	    kitex_bool(policy, "retry_same_node", &p->same_node, err) < 0)
		return -1;
	if (!kinds[p->type].has_delay)
		return 0;
	if (kitex_integer(policy, "retry_delay_ms", 1, MS_MAX, &p->delay_ms, err) < 0)
		return -1;
	return p->delay_ms > 0 ? 0 : kitex_refuse(policy, "retry_delay_ms", "is missing", err);
}

static const char *time_text(int64_t ms, struct arena *arena)
{
	return ms > 0 ? arena_printf(arena, "%lldms", (long long)ms) : "none";
}

/* Whoever wrote the document has asked for retries after timeouts, which are all that Kitex has. */
static const char *in_our_words(const struct policy_read *p, struct arena *arena)
{
	return arena_printf(arena,
	    "{type: %s, attempts: %lld, on: [connect, unsent%s], delay: %s, backoff: %s, "
	    "budget: %.6f%%, duration: %s, same_endpoint: %s, chain: %s, unsafe: true}",
	    kinds[p->type].type, (long long)p->times, p->type == KITEX_BACKUP ? "" : ", timeout",
	    time_text(p->delay_ms, arena), p->backoff, p->ceiling * 100,
	    time_text(p->duration_ms, arena), p->same_node ? "true" : "false",
	    p->goes_on_in_chain ? "ignore" : "stop");
}

const char *kitex_retry(const struct yaml_node *policy, struct arena *arena, struct err *err)
{
	struct policy_read p = {0};
	const struct yaml_node *own;
	bool enable = false;

	if (kitex_map(policy, "a map with enable and a policy", err) < 0 ||
	    kitex_bool(policy, "enable", &enable, err) < 0 ||
	    kitex_integer(policy, "type", KITEX_FAILURE, KITEX_MIXED, &p.type, err) < 0)
		return NULL;
	if (!enable)
		return "{type: none}";
	if (kitex_child(policy, kinds[p.type].member, &own, err) < 0)
		return NULL;
	if (own == NULL) {
		kitex_refuse(policy, kinds[p.type].member, "is missing", err);
		return NULL;
	}
	if (read_policy(own, &p, arena, err) < 0)
		return NULL;
	return p.times > 0 ? in_our_words(&p, arena) : "{type: none}";
}
