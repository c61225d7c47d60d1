/*
 * What etcd's gateway may say: a stream of messages, cut at any place, means the same as whole;
 * what is read of it and of answers keeps its promises; a set made of it stays in order. The
 * first byte says where to cut.
 */
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "registry/etcd_read.h"
#include "registry/etcd_set.h"

#define LINE_MAX_BYTES 4096u

struct told {
	struct etcd_set set;
	unsigned lines, events;
	int64_t last;
};

static int visit(void *arg, struct slice line)
{
	struct told *told = arg;
	struct etcd_message message;
	struct arena arena;
	struct err err = {0};
	int result;

	must(line.len > 0 && line.len <= LINE_MAX_BYTES);
	must(memchr(line.data, '\n', line.len) == NULL);
	told->lines++;
	arena_init(&arena, NULL, 0);
	result = etcd_read_message(line, &arena, &message, &err);
	must(result == 0 || err.text[0] != '\0');
	for (size_t i = 0; result == 0 && i < message.n; i++) {
		must(message.events[i].key.len > 0);
		etcd_set_take(&told->set, &message.events[i]);
		told->events++;
		told->last = message.events[i].mod_revision;
	}
	arena_fini(&arena);
	return result;
}

static int tell(struct told *told, struct slice bytes, size_t step)
{
	struct etcd_lines lines = {0};
	int result = 0;

	*told = (struct told){0};
	while (result == 0 && bytes.len) {
		size_t n = bytes.len < step ? bytes.len : step;

		result =
		    etcd_lines_feed(&lines, slice_first(bytes, n), LINE_MAX_BYTES, visit, told);
		bytes = slice_from(bytes, n);
	}
	etcd_lines_fini(&lines);
	return result;
}

static void check_order(const struct etcd_set *set)
{
	size_t n_deleted = 0;

	for (size_t i = 0; i < set->n; i++) {
		must(i == 0 || slice_cmp(set->list[i - 1]->key, set->list[i]->key) < 0);
		n_deleted += set->list[i]->is_deleted;
	}
	must(n_deleted == set->n_deleted);
}

static void check_stream(struct slice bytes, size_t step)
{
	struct told whole, cut;
	int result = tell(&whole, bytes, bytes.len + 1);

	must(tell(&cut, bytes, step) == result);
	must(whole.lines == cut.lines && whole.events == cut.events && whole.last == cut.last);
	must(whole.set.n == cut.set.n);
	check_order(&whole.set);
	etcd_set_list(&whole.set);
	etcd_set_listed(&whole.set, whole.last);
	check_order(&whole.set);
	etcd_set_sweep(&whole.set);
	must(whole.set.n_deleted == 0);
	etcd_set_fini(&whole.set);
	etcd_set_fini(&cut.set);
}

static void check_answers(struct slice body)
{
	struct etcd_range range;
	struct arena arena;
	struct slice token;
	struct err err = {0};
	int64_t id, ttl;
	char why[64];
	bool succeeded;

	arena_init(&arena, NULL, 0);
	if (etcd_read_range(body, &arena, &range, &err) == 0)
		must(range.revision >= 0);
	if (etcd_read_txn(body, &arena, &succeeded, &range, &err) == 0)
		must(range.n == 0 || range.keys[0].key.len > 0);
	if (etcd_read_lease(body, &id, &ttl, &err) == 0)
		must(id != 0 && ttl >= 0);
	if (etcd_read_token(body, &arena, &token, &err) == 0)
		must(token.len > 0 && memchr(token.data, '\n', token.len) == NULL);
	etcd_read_error(body, why, sizeof why);
	must(strlen(why) < sizeof why && strchr(why, '\n') == NULL);
	arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	check_stream(slice_of(data + 1, size - 1), (size_t)data[0] + 1);
	check_answers(slice_of(data + 1, size - 1));
	return 0;
}
