/*
 * Which calls somebody wants to see: conditions on what their lines in the access log say and on
 * the facts of their messages, all of which must hold. Immutable once a tap has it, shared by all
 * threads.
 */
#ifndef BRIDLE_PROXY_TAP_FILTER_H
#define BRIDLE_PROXY_TAP_FILTER_H

#include "base/clock.h"
#include "base/err.h"
#include "model/access_field.h"
#include "policy/fact.h"

struct call;

/* What is known of a call: the later, the more. */
enum tap_stage {
	TAP_STARTED, /* its head has come */
	TAP_REPLIED, /* its reply begins: it has a service and an endpoint */
	TAP_ENDED,
};

#define TAP_CONDITIONS_MAX 16u

struct tap_condition {
	enum tap_stage known_at;
	enum access_field field; /* ACCESS_COUNT: the fact `key` instead */
	struct fact_key key;
	bool is_negated;
	struct slice pattern; /* in the filter's arena; `*` stands for any bytes */
};

struct tap_filter {
	struct arena arena;
	struct tap_condition conditions[TAP_CONDITIONS_MAX];
	unsigned n;
	bool wants_errors;  /* only calls that went wrong */
	usec_t slower_than; /* 0: any time will do */
	double share;       /* 0..1 of the calls that fit otherwise */
};

void tap_filter_init(struct tap_filter *f);
void tap_filter_fini(struct tap_filter *f);
/*
 * Adds `errors`, `slower_than`, `sample`, or a condition: a field of the access log, or meta.K,
 * header.K, int.K; a name that ends in `!` is a condition that must not hold. What a call does not
 * have is empty. Copies both. Returns 0, or -1 with @err saying what is wrong with it.
 */
int tap_filter_add(struct tap_filter *f, struct slice name, struct slice value, struct err *err);
/* Does all hold that is known by then? The share is not asked. @now: when it ended. */
bool tap_filter_holds(
    const struct tap_filter *f, struct call *call, enum tap_stage stage, usec_t now);

/* `Get*`, `*.cart`, exact otherwise. */
bool tap_pattern_fits(struct slice pattern, struct slice text);

#endif
