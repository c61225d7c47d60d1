#include "daemon/endpoint_orders.h"

#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"

#define LABEL_MAX 256u /* of a service: more than there may be */
#define KEY_MAX   (LABEL_MAX + 1 + ADDRESS_TEXT_MAX)

/* What one order says of one thing. For a single service "as found" stands against an order for
 * all. */
enum word {
	WORD_NONE,
	WORD_ORDERED, /* disabled; another weight */
	WORD_FOUND,   /* enabled; the weight that it was found with */
};

/* All that is ordered for one service and address. */
struct standing {
	struct list link;
	enum word disabled, weighted;
	unsigned weight;
	size_t service_len, len;
	char key[]; /* label, NUL, address */
};

struct endpoint_orders {
	struct table by_key; /* of struct standing */
	struct list all;     /* owned */
	bool were_any;       /* snapshots may still show some */
};

struct endpoint_orders *endpoint_orders_new(uint64_t seed)
{
	struct endpoint_orders *orders = mem_calloc(1, sizeof *orders);

	table_init(&orders->by_key, seed);
	list_init(&orders->all);
	return orders;
}

void endpoint_orders_free(struct endpoint_orders **p)
{
	struct endpoint_orders *orders = *p;
	struct list *link;

	*p = NULL;
	if (orders == NULL)
		return;
	while ((link = list_pop_front(&orders->all)))
		free(list_item(link, struct standing, link));
	table_fini(&orders->by_key);
	free(orders);
}

/* ---- finding ---- */

/* Nothing when they are too long to be of any endpoint. */
static struct slice make_key(char room[KEY_MAX], struct slice service, struct slice address)
{
	if (service.len > LABEL_MAX || address.len >= ADDRESS_TEXT_MAX)
		return SLICE_NONE;
	if (service.len)
		memcpy(room, service.data, service.len);
	room[service.len] = '\0';
	memcpy(room + service.len + 1, address.data, address.len);
	return slice_of(room, service.len + 1 + address.len);
}

static struct standing *find(
    const struct endpoint_orders *orders, struct slice service, struct slice address)
{
	char room[KEY_MAX];

	return table_get(&orders->by_key, make_key(room, service, address));
}

static struct standing *add(
    struct endpoint_orders *orders, struct slice service, struct slice address, struct err *err)
{
	char room[KEY_MAX];
	struct slice key = make_key(room, service, address);
	struct standing *s;

	if (key.len == 0 || orders->by_key.used >= ENDPOINT_ORDERS_MAX) {
		err_set(err, 0, "there are %u orders already, and no more are kept",
		    ENDPOINT_ORDERS_MAX);
		return NULL;
	}
	s = mem_calloc(1, sizeof *s + key.len);
	s->service_len = service.len;
	s->len = key.len;
	memcpy(s->key, key.data, key.len);
	list_push_back(&orders->all, &s->link);
	table_put(&orders->by_key, slice_of(s->key, s->len), s);
	return s;
}

static struct slice address_of(const struct standing *s)
{
	return slice_of(s->key + s->service_len + 1, s->len - s->service_len - 1);
}

/* One that says nothing any more. */
static void drop_if_empty(struct endpoint_orders *orders, struct standing *s)
{
	if (s == NULL || s->disabled != WORD_NONE || s->weighted != WORD_NONE)
		return;
	table_remove(&orders->by_key, slice_of(s->key, s->len));
	list_remove(&s->link);
	free(s);
}

/* ---- giving ---- */

static bool is_of_weight(enum endpoint_verb verb)
{
	return verb == ENDPOINT_WEIGHT || verb == ENDPOINT_WEIGHT_FOUND;
}

static void set_word(struct standing *s, const struct endpoint_order *order, enum word word)
{
	if (is_of_weight(order->verb)) {
		s->weighted = word;
		s->weight = order->weight;
	} else {
		s->disabled = word;
	}
}

static enum word word_of(const struct standing *s, bool is_of_weight)
{
	if (s == NULL)
		return WORD_NONE;
	return is_of_weight ? s->weighted : s->disabled;
}

/* What was ordered of single services gives way to what is ordered of all. */
static void forget_single(struct endpoint_orders *orders, const struct endpoint_order *order)
{
	list_each_safe (link, &orders->all) {
		struct standing *s = list_item(link, struct standing, link);

		if (s->service_len == 0 || !slice_eq(address_of(s), order->address))
			continue;
		set_word(s, order, WORD_NONE);
		drop_if_empty(orders, s);
	}
}

/* The word that has to stand for the order to hold. */
static enum word word_for(const struct endpoint_orders *orders, const struct endpoint_order *order)
{
	const struct standing *general = find(orders, SLICE_NONE, order->address);
	bool is_general = order->service.len == 0;

	if (order->verb == ENDPOINT_DISABLE || order->verb == ENDPOINT_WEIGHT)
		return WORD_ORDERED;
	if (!is_general && word_of(general, is_of_weight(order->verb)) == WORD_ORDERED)
		return WORD_FOUND;
	return WORD_NONE;
}

int endpoint_orders_give(
    struct endpoint_orders *orders, const struct endpoint_order *order, struct err *err)
{
	enum word word = word_for(orders, order);
	struct standing *s = find(orders, order->service, order->address);

	if (s == NULL && word != WORD_NONE) {
		s = add(orders, order->service, order->address, err);
		if (s == NULL)
			return -1;
	}
	if (order->service.len == 0)
		forget_single(orders, order);
	if (s)
		set_word(s, order, word);
	drop_if_empty(orders, s);
	orders->were_any = true;
	return 0;
}

/* Returns how many it added. */
static size_t list_one(const struct standing *s, struct endpoint_order *to)
{
	struct endpoint_order order = {
	    .service = slice_of(s->key, s->service_len),
	    .address = address_of(s),
	    .weight = s->weight,
	};
	size_t n = 0;

	if (s->disabled != WORD_NONE) {
		order.verb = s->disabled == WORD_ORDERED ? ENDPOINT_DISABLE : ENDPOINT_ENABLE;
		to[n++] = order;
	}
	if (s->weighted != WORD_NONE) {
		order.verb = s->weighted == WORD_ORDERED ? ENDPOINT_WEIGHT : ENDPOINT_WEIGHT_FOUND;
		to[n++] = order;
	}
	return n;
}

struct endpoint_order *endpoint_orders_list(const struct endpoint_orders *orders, size_t *n)
{
	struct endpoint_order *list = NULL;

	*n = 0;
	if (orders->by_key.used == 0)
		return NULL;
	list = mem_calloc(2 * orders->by_key.used, sizeof *list);
	/* Those for every service first: they take back what is ordered of single ones. */
	for (int is_single = 0; is_single <= 1; is_single++) {
		list_each (link, &orders->all) {
			const struct standing *s = list_item(link, struct standing, link);

			if ((s->service_len > 0) == is_single)
				*n += list_one(s, list + *n);
		}
	}
	return list;
}

bool endpoint_orders_has(
    const struct endpoint_orders *orders, struct slice service, struct slice address)
{
	if (service.len)
		return find(orders, service, address) || find(orders, SLICE_NONE, address);
	list_each (link, &orders->all)
		if (slice_eq(address_of(list_item(link, struct standing, link)), address))
			return true;
	return false;
}

/* ---- applying ---- */

static const struct standing *who_says(
    const struct standing *single, const struct standing *general, bool is_of_weight)
{
	return word_of(single, is_of_weight) != WORD_NONE ? single : general;
}

static struct endpoint ordered(
    const struct endpoint_orders *orders, struct slice service, const struct endpoint *found)
{
	struct slice address = slice_str(found->address.text);
	const struct standing *single = find(orders, service, address);
	const struct standing *general = find(orders, SLICE_NONE, address);
	const struct standing *weighs = who_says(single, general, true);
	struct endpoint e = *found;

	e.weight = found->is_weight_ordered ? found->weight_found : found->weight;
	e.weight_found = e.weight;
	e.is_disabled = word_of(who_says(single, general, false), false) == WORD_ORDERED;
	e.is_weight_ordered = word_of(weighs, true) == WORD_ORDERED;
	if (e.is_weight_ordered)
		e.weight = weighs->weight;
	return e;
}

static bool is_as(const struct endpoint *a, const struct endpoint *b)
{
	return a->is_disabled == b->is_disabled && a->weight == b->weight &&
	       a->is_weight_ordered == b->is_weight_ordered;
}

void endpoint_orders_apply(const struct endpoint_orders *orders, struct slice service,
    struct arena *arena, struct endpoint_set *set)
{
	struct endpoint *own = NULL;

	if (orders == NULL || !orders->were_any)
		return;
	for (size_t i = 0; i < set->n; i++) {
		struct endpoint e = ordered(orders, service, &set->list[i]);

		if (is_as(&e, &set->list[i]))
			continue;
		if (own == NULL) {
			own = arena_calloc(arena, set->n, sizeof *own);
			memcpy(own, set->list, set->n * sizeof *own);
			set->list = own;
		}
		own[i] = e;
	}
}
