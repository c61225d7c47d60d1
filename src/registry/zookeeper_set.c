#include "registry/zookeeper_set.h"

#include <stdlib.h>

#include "registry/client.h"
#include "registry/record.h"

/* Between two lists, and between two sets told: next to nothing for few children, but many of them
 * that change all the time must not keep us busy. */
#define GAP_MIN       (20 * USEC_MS)
#define GAP_PER_CHILD 20u /* µs */

enum child_state {
	CHILD_WANTED,  /* in the list of those to be read */
	CHILD_READING, /* no watch that it should heed fires between question and answer */
	CHILD_KNOWN,   /* read, and watched */
	CHILD_CLOSED,  /* may not be read */
};

struct zookeeper_child {
	struct list link; /* in set->wanted while it is WANTED */
	enum child_state state;
	bool is_read; /* since the set was begun anew */
	bool is_endpoint;
	bool was_bad;
	uint64_t bad; /* hash of what was no instance */
	unsigned list_number;
	struct endpoint endpoint;
	struct arena arena; /* what the endpoint points to */
	size_t len;
	uint8_t name[];
};

static struct slice name_of(const struct zookeeper_child *child)
{
	return slice_of(child->name, child->len);
}

static usec_t gap(const struct zookeeper_set *set)
{
	return GAP_MIN + GAP_PER_CHILD * set->n;
}

void zookeeper_set_init(struct zookeeper_set *set, enum registry_format format, uint64_t seed)
{
	*set = (struct zookeeper_set){.format = format};
	table_init(&set->children, seed);
	list_init(&set->wanted);
}

static void child_free(struct zookeeper_child *child)
{
	list_remove(&child->link);
	arena_fini(&child->arena);
	free(child);
}

void zookeeper_set_fini(struct zookeeper_set *set)
{
	struct zookeeper_child *child;
	size_t position = 0;

	while ((child = table_next(&set->children, &position)))
		child_free(child);
	table_fini(&set->children);
	free(set->gathered);
	set->gathered = NULL;
}

/* ---- what is known ---- */

static void want(struct zookeeper_set *set, struct zookeeper_child *child)
{
	child->state = CHILD_WANTED;
	list_remove(&child->link);
	list_push_back(&set->wanted, &child->link);
}

/* The last child of a list has been read, or there was none. */
static void look_whether_whole(struct zookeeper_set *set)
{
	bool is_settled = set->place == SET_PLACE_LISTED || set->place == SET_PLACE_MISSING ||
			  set->place == SET_PLACE_AWAITED;

	if (set->is_whole || !is_settled || set->n_unread)
		return;
	set->is_whole = true;
	set->is_changed = true;
}

static void mark_read(struct zookeeper_set *set, struct zookeeper_child *child)
{
	if (!child->is_read)
		set->n_unread--;
	child->is_read = true;
	list_remove(&child->link);
}

static struct zookeeper_child *child_add(struct zookeeper_set *set, struct slice name)
{
	struct zookeeper_child *child = mem_calloc(1, sizeof *child + name.len);

	list_init(&child->link);
	arena_init(&child->arena, NULL, 0);
	child->len = name.len;
	memcpy(child->name, name.data, name.len);
	table_put(&set->children, name_of(child), child);
	set->n++;
	set->n_unread++;
	want(set, child);
	return child;
}

static void child_remove(struct zookeeper_set *set, struct zookeeper_child *child)
{
	table_remove(&set->children, name_of(child));
	set->n--;
	if (!child->is_read)
		set->n_unread--;
	set->is_changed |= child->is_endpoint;
	child_free(child);
}

static struct zookeeper_child **all_children(const struct zookeeper_set *set)
{
	struct zookeeper_child **all = mem_alloc((set->n + 1) * sizeof(struct zookeeper_child *)),
			       *child;
	size_t position = 0, n = 0;

	while ((child = table_next(&set->children, &position)))
		all[n++] = child;
	return all;
}

void zookeeper_set_begin(struct zookeeper_set *set)
{
	struct zookeeper_child *child;
	size_t position = 0;

	while ((child = table_next(&set->children, &position))) {
		child->is_read = false;
		want(set, child);
	}
	set->n_unread = set->n;
	set->place = SET_PLACE_WANTED;
	set->is_whole = false;
	set->is_changed = false;
}

void zookeeper_set_resume(struct zookeeper_set *set)
{
	struct zookeeper_child *child;
	size_t position = 0;

	while ((child = table_next(&set->children, &position)))
		if (child->state == CHILD_READING)
			want(set, child);
	set->place = SET_PLACE_WANTED;
	set->is_changed = true; /* the same set again tells that it is no longer in doubt */
}

/* ---- what to ask ---- */

enum zookeeper_set_step zookeeper_set_next(
    struct zookeeper_set *set, bool may_read, usec_t now, struct slice *name, usec_t *at)
{
	struct zookeeper_child *child;
	struct list *link;

	*at = USEC_NONE;
	if (set->place == SET_PLACE_MISSING) {
		set->place = SET_PLACE_AWAITED;
		return ZOOKEEPER_SET_AWAIT;
	}
	if (set->place == SET_PLACE_WANTED && now >= set->list_at) {
		set->place = SET_PLACE_ASKED;
		return ZOOKEEPER_SET_LIST;
	}
	if (may_read && (link = list_pop_front(&set->wanted))) {
		child = list_item(link, struct zookeeper_child, link);
		child->state = CHILD_READING;
		*name = name_of(child);
		return ZOOKEEPER_SET_READ;
	}
	if (set->place == SET_PLACE_WANTED)
		*at = set->list_at;
	if (set->is_changed && set->is_whole)
		*at = usec_min(*at, set->give_at);
	return ZOOKEEPER_SET_REST;
}

void zookeeper_set_noticed(struct zookeeper_set *set)
{
	if (set->place != SET_PLACE_ASKED)
		set->place = SET_PLACE_WANTED;
}

void zookeeper_set_child_noticed(struct zookeeper_set *set, struct slice name)
{
	struct zookeeper_child *child = table_get(&set->children, name);

	if (child && (child->state == CHILD_KNOWN || child->state == CHILD_CLOSED))
		want(set, child);
}

/* ---- answers ---- */

static int compare_names(const void *a, const void *b)
{
	return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static void see_names(struct zookeeper_set *set, const struct slice *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct zookeeper_child *child = table_get(&set->children, names[i]);

		if (child == NULL)
			child = child_add(set, names[i]);
		else if (child->state == CHILD_CLOSED)
			want(set, child);
		child->list_number = set->list_number;
	}
}

/* Children that the last list did not have. */
static void remove_unseen(struct zookeeper_set *set)
{
	struct zookeeper_child **all = all_children(set);
	size_t n = set->n;

	for (size_t i = 0; i < n; i++)
		if (all[i]->list_number != set->list_number)
			child_remove(set, all[i]);
	free(all);
}

void zookeeper_set_listed(
    struct zookeeper_set *set, const struct slice *names, size_t n, int64_t change, usec_t now)
{
	struct slice *sorted = NULL;
	size_t left_out_before = set->n_left_out;

	if (change > set->change)
		set->change = change;
	set->place = SET_PLACE_LISTED;
	set->list_number++;
	set->n_left_out = n > REGISTRY_ENDPOINTS_MAX ? n - REGISTRY_ENDPOINTS_MAX : 0;
	if (set->n_left_out) {
		sorted = mem_alloc(n * sizeof *sorted);
		memcpy(sorted, names, n * sizeof *sorted);
		qsort(sorted, n, sizeof *sorted, compare_names);
		n = REGISTRY_ENDPOINTS_MAX;
	}
	see_names(set, sorted ? sorted : names, n);
	free(sorted);
	remove_unseen(set);
	set->is_changed |= set->is_doubted; /* the same set again tells that it is no longer so */
	set->is_changed |= set->n_left_out != left_out_before; /* and how many are left out of it */
	set->is_doubted = false;
	set->list_at = now + gap(set);
	look_whether_whole(set);
}

void zookeeper_set_missing(struct zookeeper_set *set, usec_t now)
{
	zookeeper_set_listed(set, NULL, 0, 0, now);
	set->place = SET_PLACE_MISSING;
}

void zookeeper_set_appeared(struct zookeeper_set *set, bool is_there)
{
	if (is_there)
		zookeeper_set_noticed(set);
}

static int read_record(const struct zookeeper_set *set, struct slice name, struct slice data,
    struct arena *arena, struct endpoint *endpoint, struct err *err)
{
	/* The name may go with its child; what is made of it stays. */
	name = arena_copy(arena, name);
	return set->format == REGISTRY_FORMAT_RPCX
		   ? record_read_rpcx(name, data, arena, endpoint, err)
		   : record_read_zookeeper(name, data, arena, endpoint, err);
}

/* Is it bad in the way that was already told? */
static bool is_news(struct zookeeper_child *child, struct slice data)
{
	uint64_t hash = slice_hash(data, 0);
	bool is_new = !child->was_bad || child->bad != hash;

	child->was_bad = true;
	child->bad = hash;
	return is_new;
}

int zookeeper_set_read(struct zookeeper_set *set, struct slice name, struct slice data,
    int64_t change, struct err *err)
{
	struct zookeeper_child *child = table_get(&set->children, name);
	int rc;

	if (child == NULL)
		return 0;
	if (change > set->change)
		set->change = change;
	arena_fini(&child->arena);
	arena_init(&child->arena, NULL, 0);
	rc = read_record(set, name, data, &child->arena, &child->endpoint, err);
	set->is_changed |= rc == 0 || child->is_endpoint;
	child->is_endpoint = rc == 0;
	child->state = CHILD_KNOWN;
	mark_read(set, child);
	look_whether_whole(set);
	if (rc < 0)
		return is_news(child, data) ? -1 : 0;
	child->was_bad = false;
	return 0;
}

void zookeeper_set_vanished(struct zookeeper_set *set, struct slice name)
{
	struct zookeeper_child *child = table_get(&set->children, name);

	if (child == NULL)
		return;
	child_remove(set, child);
	look_whether_whole(set);
}

bool zookeeper_set_unreadable(struct zookeeper_set *set, struct slice name)
{
	struct zookeeper_child *child = table_get(&set->children, name);

	if (child == NULL)
		return false;
	set->is_changed |= child->is_endpoint;
	child->is_endpoint = false;
	child->state = CHILD_CLOSED;
	mark_read(set, child);
	look_whether_whole(set);
	return is_news(child, SLICE_NONE);
}

void zookeeper_set_unanswered(struct zookeeper_set *set, struct slice name)
{
	struct zookeeper_child *child = table_get(&set->children, name);

	if (child && child->state == CHILD_READING)
		want(set, child);
}

void zookeeper_set_failed(struct zookeeper_set *set, usec_t at)
{
	set->place = SET_PLACE_WANTED;
	set->list_at = at;
	set->is_doubted = true;
}

/* ---- the set ---- */

bool zookeeper_set_is_due(const struct zookeeper_set *set, usec_t now)
{
	return set->is_whole && set->is_changed && now >= set->give_at;
}

void zookeeper_set_gather(
    struct zookeeper_set *set, usec_t now, const struct endpoint **list, size_t *n)
{
	struct zookeeper_child *child;
	size_t position = 0;

	free(set->gathered);
	set->gathered = mem_alloc((set->n + 1) * sizeof *set->gathered);
	*n = 0;
	while ((child = table_next(&set->children, &position)))
		if (child->is_endpoint)
			set->gathered[(*n)++] = child->endpoint;
	*list = set->gathered;
	set->is_changed = false;
	set->give_at = now + gap(set);
}
