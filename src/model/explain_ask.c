#include "model/explain_ask.h"

#include "base/rng.h"
#include "model/sample_call.h"

void explain_ask_init(struct explain_ask *ask)
{
	*ask = (struct explain_ask){.seed = 1};
	arena_init(&ask->arena, NULL, 0);
}

void explain_ask_fini(struct explain_ask *ask)
{
	arena_fini(&ask->arena);
	*ask = (struct explain_ask){0};
}

static void add_fact(struct explain_ask *ask, struct fact_value fact)
{
	if (ask->n == ask->room) {
		size_t room = ask->room ? 2 * ask->room : 16;
		struct fact_value *more = arena_calloc(&ask->arena, room, sizeof *more);

		if (ask->n)
			memcpy(more, ask->facts, ask->n * sizeof *more);
		ask->facts = more;
		ask->room = room;
	}
	ask->facts[ask->n++] = fact;
}

/* "shop.price/Quote": behind the last slash stands the method. */
static int add_call(struct explain_ask *ask, struct slice value, struct err *err)
{
	size_t at = value.len;

	while (at > 0 && value.data[at - 1] != '/')
		at--;
	if (at == 0 || at == value.len)
		return err_set(err, 0, "a call is written SERVICE/METHOD");
	if (ask->has_call)
		return err_set(err, 0, "only one call is explained at a time");
	ask->has_call = true;
	if (at > 1)
		add_fact(
		    ask, (struct fact_value){{.kind = FACT_SERVICE}, slice_first(value, at - 1)});
	add_fact(ask, (struct fact_value){{.kind = FACT_METHOD}, slice_from(value, at)});
	return 0;
}

int explain_ask_add(struct explain_ask *ask, struct slice name, struct slice value, struct err *err)
{
	struct slice copy = arena_copy(&ask->arena, value);
	struct fact_value fact = {.value = copy};
	const char *wrong;

	if (slice_eq_str(name, "call"))
		return add_call(ask, copy, err);
	if (slice_eq_str(name, "listener")) {
		ask->listener = copy;
		return 0;
	}
	if (slice_eq_str(name, "seed")) {
		if (!slice_to_u64(copy, &ask->seed))
			return err_set(err, 0, "a seed is a number");
		return 0;
	}
	wrong = fact_key_parse(&fact.key, slice_first(name, 256), &ask->arena);
	if (wrong)
		return err_set(err, 0,
		    "%.*s is nothing that is known of a call; there are call, "
		    "listener, seed, and: %s",
		    (int)slice_first(name, 64).len, (const char *)name.data, wrong);
	add_fact(ask, fact);
	return 0;
}

int explain_ask_answer(
    const struct explain_ask *ask, const struct snapshot *s, usec_t now, FILE *to, struct err *err)
{
	const struct listener_config *listener = NULL;
	struct explanation explanation;
	struct sample_call call;
	struct rng rng;

	if (!ask->has_call)
		return err_set(err, 0, "which call? give call=SERVICE/METHOD");
	if (ask->listener.len)
		listener = snapshot_listener(s, ask->listener);
	if (ask->listener.len && listener == NULL)
		return err_set(err, 0, "there is no listener %.*s",
		    (int)slice_first(ask->listener, 200).len, (const char *)ask->listener.data);
	if (sample_call_init(&call, s->config, listener, ask->facts, ask->n, err) < 0)
		return -1;
	rng_init(&rng, ask->seed);
	explanation_init(&explanation, s, &call.facts, &rng, now);
	explanation_print_json(&explanation, to);
	explanation_fini(&explanation);
	return 0;
}
