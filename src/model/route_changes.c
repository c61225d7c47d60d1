#include "model/route_changes.h"

bool route_changes_fact(const struct route_changes *changes, const struct fact_source *facts,
    const struct fact_key *key, char room[FACT_ROOM], struct slice *value)
{
	for (size_t i = changes->n; i-- > 0;) {
		const struct changed_fact *c = &changes->list[i];

		if (!fact_key_eq(c->key, key))
			continue;
		*value = c->value;
		return !c->is_removal;
	}
	return fact_find(facts, key, room, value);
}

static void add(
    struct route_changes *changes, const struct fact_key *key, const struct slice *value)
{
	changes->list[changes->n++] =
	    (struct changed_fact){key, value ? *value : SLICE_NONE, value == NULL};
}

static bool happens(const struct route_changes *changes, const struct fact_source *facts,
    const struct route_change *change)
{
	char room[FACT_ROOM];
	struct slice there;

	if (change->when == WHEN_ALWAYS)
		return true;
	return route_changes_fact(changes, facts, &change->to, room, &there) ==
	       (change->when == WHEN_PRESENT);
}

/* A number as text stays only until others are asked for, but is short. */
static struct slice keep(struct route_changes *changes, struct slice value)
{
	char *room = changes->rooms[changes->n_rooms];

	if (value.len == 0 || value.len > FACT_ROOM || value.data == (const uint8_t *)room)
		return value;
	memcpy(room, value.data, value.len);
	return slice_of(room, value.len);
}

static void rename_fact(struct route_changes *changes, const struct fact_source *facts,
    const struct route_change *change)
{
	char room[FACT_ROOM];
	struct slice value;

	if (!happens(changes, facts, change) ||
	    !route_changes_fact(changes, facts, &change->from, room, &value))
		return;
	add(changes, &change->from, NULL);
	add(changes, &change->to, &value);
}

static void copy_fact(struct route_changes *changes, const struct fact_source *facts,
    const struct route_change *change)
{
	char *room = changes->rooms[changes->n_rooms];
	struct slice value;

	if (!happens(changes, facts, change) ||
	    !route_changes_fact(changes, facts, &change->from, room, &value) ||
	    value.len > ROUTE_COPY_MAX)
		return;
	value = keep(changes, value);
	add(changes, &change->to, &value);
	changes->n_rooms++;
}

void route_changes_find(struct route_changes *changes, const struct route_config *route,
    const struct fact_source *facts)
{
	changes->n = 0;
	changes->n_rooms = 0;
	for (size_t i = 0; i < route->n_remove; i++)
		add(changes, &route->remove[i], NULL);
	for (size_t i = 0; i < route->n_rename; i++)
		rename_fact(changes, facts, &route->rename[i]);
	for (size_t i = 0; i < route->n_copy; i++)
		copy_fact(changes, facts, &route->copy[i]);
	for (size_t i = 0; i < route->n_set; i++)
		if (happens(changes, facts, &route->set[i]))
			add(changes, &route->set[i].to, &route->set[i].value);
}
