#include "registry/upkeep.h"

#define GAP         (2 * USEC_S) /* at most one look and one put within it, whatever is answered */
#define LEAVING_MAX (4 * USEC_S) /* of trying to take it away */
#define REFUSED     403          /* as good as: there is nothing to show that we may */

static void run_next(struct timer *timer, usec_t now)
{
	struct upkeep *u = container_of(timer, struct upkeep, again);

	(void)now;
	u->next(u);
}

void upkeep_later(struct upkeep *u, usec_t wait, upkeep_fn next)
{
	u->next = next;
	http_place_timer(u->place, &u->again, wait, run_next);
}

static void run_beat(struct timer *timer, usec_t now)
{
	struct upkeep *u = container_of(timer, struct upkeep, beat);

	(void)now;
	u->kind->beat(u);
}

void upkeep_beat_in(struct upkeep *u, usec_t wait)
{
	http_place_timer(u->place, &u->beat, wait, run_beat);
}

static void forget(struct upkeep *u)
{
	if (u->kind->forget)
		u->kind->forget(u);
}

/* ---- steps ---- */

void upkeep_began(struct upkeep *u, struct http_exchange *exchange, const struct err *err)
{
	u->main = exchange;
	if (exchange == NULL)
		upkeep_failed(u, u->is_leaving ? u->kind->remove : u->kind->put, REFUSED, err);
}

void upkeep_puts(struct upkeep *u)
{
	u->is_putting = u->was_put = true;
	u->put_at = http_place_now(u->place);
}

bool upkeep_answered(struct upkeep *u)
{
	bool was_putting = u->is_putting;

	u->main = NULL;
	u->is_putting = false;
	if (!u->is_leaving || !was_putting)
		return true;
	u->kind->remove(u);
	return false;
}

void upkeep_beats(struct upkeep *u, struct http_exchange *exchange)
{
	if (u->beating)
		http_exchange_drop(&u->beating);
	u->beating = exchange;
	upkeep_beat_in(u, u->beat_every);
}

/* ---- how it stands ---- */

static void say(struct upkeep *u, const char *why)
{
	bool is_new = u->registration->state == REGISTRATION_PENDING;

	registration_is(u->registration, is_new ? REGISTRATION_PENDING : REGISTRATION_LOST, why);
}

void upkeep_failed(struct upkeep *u, upkeep_fn next, int status, const struct err *err)
{
	usec_t pause = http_place_pause(u->place, &u->pause, status);

	forget(u);
	u->is_putting = false;
	if (u->is_leaving && http_place_now(u->place) - u->leaving_since > LEAVING_MAX) {
		upkeep_gone(u);
		return;
	}
	/* One exchange that breaks is no loss yet. */
	if (!u->is_leaving && (u->failures++ > 0 || status > 0)) {
		registry_refused(u->place->start->registry, status, err);
		say(u, err->text);
	}
	upkeep_later(u, u->is_leaving ? usec_min(pause, USEC_S) : pause, next);
}

void upkeep_present(struct upkeep *u, usec_t every)
{
	usec_t since = http_place_now(u->place) - u->looked_at;

	if (every < GAP)
		every = GAP;
	u->failures = 0;
	registry_pause_reset(&u->pause);
	registry_alive(u->place->start->registry);
	registration_is(u->registration, REGISTRATION_PRESENT, "");
	upkeep_later(u, since < every ? every - since : 0, u->kind->look);
}

void upkeep_lost(struct upkeep *u, const char *why)
{
	usec_t since = http_place_now(u->place) - u->put_at;

	if (u->main && u->is_putting)
		return;
	if (u->main)
		http_exchange_drop(&u->main);
	forget(u);
	say(u, why);
	upkeep_later(u, since < GAP ? GAP - since : 0, u->kind->put);
}

/* ---- its life ---- */

void upkeep_start(struct upkeep *u, const struct upkeep_kind *kind, struct http_place *place,
    struct registration *registration, struct list *list)
{
	u->kind = kind;
	u->place = place;
	u->registration = registration;
	registration->client = u;
	list_push_back(list, &u->link);
	upkeep_later(u, 0, kind->put);
}

void upkeep_change(struct upkeep *u)
{
	if (u->is_leaving)
		return;
	if (u->main)
		http_exchange_drop(&u->main);
	u->is_putting = false;
	forget(u);
	upkeep_later(u, 0, u->kind->put);
}

void upkeep_withdraw(struct upkeep *u)
{
	u->is_leaving = true;
	u->leaving_since = http_place_now(u->place);
	wheel_clear(&u->again);
	wheel_clear(&u->beat);
	if (u->beating)
		http_exchange_drop(&u->beating);
	if (u->main && u->is_putting)
		return;
	if (u->main)
		http_exchange_drop(&u->main);
	upkeep_later(u, 0, u->was_put ? u->kind->remove : upkeep_gone);
}

void upkeep_wake(struct upkeep *u)
{
	if (!u->is_leaving && timer_is_set(&u->again))
		upkeep_later(u, 0, u->next);
}

void upkeep_let_go(struct upkeep *u)
{
	wheel_clear(&u->again);
	wheel_clear(&u->beat);
	if (u->main)
		http_exchange_drop(&u->main);
	if (u->beating)
		http_exchange_drop(&u->beating);
	list_remove(&u->link);
	u->registration->client = NULL;
	u->kind->free(u);
}

void upkeep_gone(struct upkeep *u)
{
	struct registration *registration = u->registration;

	upkeep_let_go(u);
	registration_gone(registration);
}

void upkeep_drop_all(struct list *list)
{
	list_each_safe (link, list)
		upkeep_let_go(list_item(link, struct upkeep, link));
}
