#include "registry/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

#define LINES_OF_ONE_CHANGE 50u

struct history_entry {
	struct registry_change change; /* its texts lie in `texts` */
	uint64_t times;
	char texts[];
};

static struct history_entry *entry_new(const struct registry_change *change)
{
	size_t address = strlen(change->address) + 1, revision = strlen(change->revision) + 1;
	size_t text = strlen(change->text) + 1;
	struct history_entry *entry = mem_alloc(sizeof *entry + address + revision + text);

	entry->change = *change;
	entry->times = 1;
	entry->change.address = memcpy(entry->texts, change->address, address);
	entry->change.revision = memcpy(entry->texts + address, change->revision, revision);
	entry->change.text = memcpy(entry->texts + address + revision, change->text, text);
	return entry;
}

static bool counts_again(struct history_entry *last, const struct registry_change *change)
{
	if (change->kind != CHANGE_ERROR || last->change.kind != CHANGE_ERROR ||
	    strcmp(last->change.text, change->text) != 0 ||
	    strcmp(last->change.address, change->address) != 0)
		return false;
	last->times++;
	last->change.at = change->at;
	return true;
}

void history_add(struct history *h, const struct registry_change *change)
{
	size_t at = (h->first + h->n) % HISTORY_MAX;

	if (h->ring == NULL)
		h->ring = mem_calloc(HISTORY_MAX, sizeof(struct history_entry *));
	if (h->n && counts_again(h->ring[(at + HISTORY_MAX - 1) % HISTORY_MAX], change))
		return;
	if (h->n == HISTORY_MAX) {
		free(h->ring[at]);
		h->first = (h->first + 1) % HISTORY_MAX;
		h->n--;
	}
	h->ring[at] = entry_new(change);
	h->n++;
}

bool history_has_error(const struct history *h, const char *address, const char *text)
{
	for (size_t i = 0; i < h->n; i++) {
		const struct registry_change *c = &h->ring[(h->first + i) % HISTORY_MAX]->change;

		if (c->kind == CHANGE_ERROR && strcmp(c->address, address) == 0 &&
		    strcmp(c->text, text) == 0)
			return true;
	}
	return false;
}

void history_visit(const struct history *h,
    void (*visit)(void *arg, const struct registry_change *change), void *arg)
{
	for (size_t i = 0; i < h->n; i++) {
		const struct history_entry *entry = h->ring[(h->first + i) % HISTORY_MAX];
		struct registry_change change = entry->change;
		char text[700];

		if (entry->times > 1) {
			snprintf(text, sizeof text, "%s (%llu times, this is the last)",
			    change.text, (unsigned long long)entry->times);
			change.text = text;
		}
		visit(arg, &change);
	}
}

void history_fini(struct history *h)
{
	for (size_t i = 0; i < h->n; i++)
		free(h->ring[(h->first + i) % HISTORY_MAX]);
	free(h->ring);
	*h = (struct history){0};
}

/* What has no room is cut off between two characters: half a one would be no UTF-8 any more. */
static void end_whole(char *room, size_t len)
{
	size_t start = len;

	while (start && ((unsigned char)room[start - 1] & 0xc0) == 0x80)
		start--;
	if (start && (unsigned char)room[start - 1] >= 0xc0)
		room[start - 1] = '\0';
}

static const char *into_room(struct text *text, char *room, size_t size)
{
	snprintf(room, size, "%.*s", (int)text->len, text->bytes ? text->bytes : "");
	if (text->len >= size)
		end_whole(room, size - 1);
	text_fini(text);
	return room;
}

static void add_tags(struct text *out, const struct config_map *tags)
{
	for (size_t i = 0; i < tags->n; i++)
		text_printf(
		    out, "%s%s=%s", i ? "," : "", tags->pairs[i].name, tags->pairs[i].value);
	if (tags->n == 0)
		text_add_str(out, "none");
}

static const char *zone_of(const struct endpoint *e)
{
	return e->zone && *e->zone ? e->zone : "none";
}

bool history_same(const struct endpoint *a, const struct endpoint *b)
{
	return a->weight == b->weight && strcmp(a->address.text, b->address.text) == 0 &&
	       strcmp(zone_of(a), zone_of(b)) == 0 && config_map_eq(&a->tags, &b->tags);
}

const char *history_difference(
    const struct endpoint *before, const struct endpoint *after, char *room, size_t size)
{
	struct text out = {0};

	if (before->weight != after->weight)
		text_printf(&out, "weight %u -> %u", before->weight, after->weight);
	if (strcmp(zone_of(before), zone_of(after)) != 0)
		text_printf(
		    &out, "%szone %s -> %s", out.len ? ", " : "", zone_of(before), zone_of(after));
	if (!config_map_eq(&before->tags, &after->tags)) {
		text_add_str(&out, out.len ? ", tags " : "tags ");
		add_tags(&out, &before->tags);
		text_add_str(&out, " -> ");
		add_tags(&out, &after->tags);
	}
	return into_room(&out, room, size);
}

static const char *describe(const struct endpoint *e, char *room, size_t size)
{
	struct text out = {0};

	text_printf(&out, "weight %u", e->weight);
	if (e->zone && *e->zone)
		text_printf(&out, ", zone %s", e->zone);
	if (e->tags.n) {
		text_add_str(&out, ", tags ");
		add_tags(&out, &e->tags);
	}
	return into_room(&out, room, size);
}

/* One merge of two sorted lists under way. */
struct comparison {
	struct history *history;
	usec_t at;
	const char *revision;
	size_t added, removed, changed;
};

static void note(struct comparison *c, const struct endpoint *before, const struct endpoint *after)
{
	struct registry_change change = {.at = c->at, .revision = c->revision};
	char text[512];

	if (before && after && history_same(before, after))
		return;
	c->added += before == NULL;
	c->removed += after == NULL;
	c->changed += before && after;
	if (c->added + c->removed + c->changed > LINES_OF_ONE_CHANGE)
		return;
	change.kind = before == NULL  ? CHANGE_ADDED
		      : after == NULL ? CHANGE_REMOVED
				      : CHANGE_CHANGED;
	change.address = (after ? after : before)->address.text;
	change.text = before == NULL  ? describe(after, text, sizeof text)
		      : after == NULL ? ""
				      : history_difference(before, after, text, sizeof text);
	history_add(c->history, &change);
}

static void sum_up(const struct comparison *c)
{
	char text[160];
	struct registry_change change = {.at = c->at,
	    .kind = CHANGE_CHANGED,
	    .address = "",
	    .revision = c->revision,
	    .text = text};

	if (c->added + c->removed + c->changed <= LINES_OF_ONE_CHANGE)
		return;
	snprintf(text, sizeof text,
	    "in all %zu added, %zu removed, %zu changed; only the first %u of them are listed",
	    c->added, c->removed, c->changed, LINES_OF_ONE_CHANGE);
	history_add(c->history, &change);
}

void history_add_differences(struct history *h, const struct endpoint *before, size_t n_before,
    const struct endpoint *after, size_t n_after, usec_t at, const char *revision)
{
	struct comparison c = {.history = h, .at = at, .revision = revision};
	size_t b = 0, a = 0;

	while (b < n_before || a < n_after) {
		int order = b == n_before  ? 1
			    : a == n_after ? -1
					   : strcmp(before[b].address.text, after[a].address.text);

		note(&c, order <= 0 ? &before[b] : NULL, order >= 0 ? &after[a] : NULL);
		b += order <= 0;
		a += order >= 0;
	}
	sum_up(&c);
}
