#include "support/fake_net.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/inbox.h"
#include "net/loop.h"
#include "support/fake_parts.h"

#define START     (1000 * USEC_S)
#define CALENDAR  ((usec_t)1700000000 * USEC_S)
#define FIRST_FD  (1 << 20) /* no process has that many: a stray close does no harm */
#define TURNS_MAX 100000u   /* more at one moment is a loop that never ends */

/* ---- bytes ---- */

void fake_bytes_add(struct bytes *b, const uint8_t *data, size_t len)
{
	if (b->size - b->len < len) {
		b->size = (b->len + len) * 2;
		b->data = mem_realloc(b->data, b->size);
	}
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
}

void fake_bytes_drop(struct bytes *b, size_t len)
{
	assert(len <= b->len);
	b->len -= len;
	if (b->len)
		memmove(b->data, b->data + len, b->len);
}

void fake_bytes_fini(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){0};
}

/* ---- the loop ---- */

struct loop *fake_loop_new(void)
{
	struct loop *loop = mem_calloc(1, sizeof *loop);

	loop->now = START;
	loop->next_fd = FIRST_FD;
	wheel_init(&loop->wheel, loop->now);
	list_init(&loop->ends);
	list_init(&loop->ready);
	list_init(&loop->deferred);
	list_init(&loop->scripts);
	return loop;
}

void fake_end_free(struct fake_end *end)
{
	struct list *link;

	while ((link = list_pop_front(&end->chunks)))
		free(list_item(link, struct chunk, link));
	list_remove(&end->link);
	list_remove(&end->ready);
	fake_bytes_fini(&end->received);
	free(end);
}

static void reap(struct loop *loop)
{
	while (loop->n_reaped) {
		struct reaped r = loop->reaped[--loop->n_reaped];

		r.free_fn(r.object);
	}
}

void fake_loop_free(struct loop **at)
{
	struct loop *loop = *at;
	struct list *link;

	*at = NULL;
	reap(loop);
	assert(loop->n_open == 0);
	while (!list_is_empty(&loop->ends))
		fake_end_free(list_item(loop->ends.next, struct fake_end, link));
	while ((link = list_pop_front(&loop->scripts)))
		free(list_item(link, struct script, link));
	free(loop->reaped);
	free(loop);
}

usec_t loop_now(struct loop *loop)
{
	return loop->now;
}

usec_t loop_calendar(struct loop *loop)
{
	return CALENDAR + loop->now - START;
}

struct wheel *loop_wheel(struct loop *loop)
{
	return &loop->wheel;
}

void loop_reap(struct loop *loop, void *object, void (*free_fn)(void *object))
{
	if (loop->n_reaped == loop->room_reaped) {
		loop->room_reaped = loop->room_reaped ? 2 * loop->room_reaped : 16;
		loop->reaped = mem_realloc(loop->reaped, loop->room_reaped * sizeof *loop->reaped);
	}
	loop->reaped[loop->n_reaped++] = (struct reaped){object, free_fn};
}

unsigned fake_open(const struct loop *loop)
{
	return loop->n_open;
}

void fake_make_ready(struct fake_end *end)
{
	if (list_is_empty(&end->ready))
		list_push_back(&end->loop->ready, &end->ready);
}

struct fake_end *fake_end_new(struct loop *loop, bool is_unix)
{
	struct fake_end *end = mem_calloc(1, sizeof *end);

	end->loop = loop;
	end->room = FAKE_ALL;
	end->is_unix = is_unix;
	end->uid = -1;
	end->fd = -1;
	list_init(&end->chunks);
	list_init(&end->ready);
	list_push_back(&loop->ends, &end->link);
	return end;
}

enum fake_connect fake_next_script(struct loop *loop, bool is_unix)
{
	enum fake_connect what = FAKE_DEFAULT;

	if (!list_is_empty(&loop->scripts)) {
		struct script *s = list_item(loop->scripts.next, struct script, link);

		what = s->what;
		if (--s->times == 0) {
			list_remove(&s->link);
			free(s);
		}
	}
	if (what == FAKE_DEFAULT && is_unix)
		return FAKE_AT_ONCE;
	return what;
}

/* ---- turns ---- */

static void run_deferred(struct loop *loop)
{
	struct list *link;

	while ((link = list_pop_front(&loop->deferred))) {
		struct loop_work *work = list_item(link, struct loop_work, link);

		work->run(work);
	}
}

void loop_defer(struct loop *loop, struct loop_work *work)
{
	if (work->link.next == NULL)
		list_init(&work->link);
	if (list_is_empty(&work->link))
		list_push_back(&loop->deferred, &work->link);
}

void loop_undefer(struct loop_work *work)
{
	if (work->link.next)
		list_remove(&work->link);
}

/* There is no other thread that could be told: whatever is said, is said now. */
void inbox_post(struct inbox *inbox, inbox_fn run, void *arg)
{
	(void)inbox;
	run(arg);
}

bool fake_turn(struct loop *loop)
{
	size_t n = 0;

	run_deferred(loop);
	list_each (link, &loop->ready)
		n++;
	for (size_t i = 0; i < n && !list_is_empty(&loop->ready); i++)
		fake_conn_look(list_item(loop->ready.next, struct fake_end, ready));
	run_deferred(loop);
	wheel_run(&loop->wheel, loop->now);
	run_deferred(loop);
	reap(loop);
	return !list_is_empty(&loop->ready);
}

void fake_settle(struct loop *loop)
{
	unsigned turns = 0;

	while (fake_turn(loop))
		assert(++turns < TURNS_MAX);
}

void fake_sleep(struct loop *loop, usec_t wait)
{
	usec_t until = loop->now + wait, next;

	fake_settle(loop);
	while ((next = wheel_next(&loop->wheel)) <= until && next != USEC_NONE) {
		loop->now = next > loop->now ? next : loop->now;
		fake_settle(loop);
		if (loop->now == until)
			return;
	}
	loop->now = until;
	fake_settle(loop);
}

/* ---- the far ends ---- */

struct fake_end *fake_dial(struct loop *loop, int uid, int *fd)
{
	struct fake_end *end = fake_end_new(loop, uid >= 0);

	*fd = end->fd = loop->next_fd++;
	end->uid = uid;
	end->is_given = true;
	return end;
}

void fake_calling_process(struct fake_end *end, int process)
{
	end->process = process;
}

const char *fake_name(const struct fake_end *end)
{
	return end->name;
}

void fake_listening_user(struct fake_end *end, int uid)
{
	end->uid = uid;
}

void fake_listening_process(struct loop *loop, int process)
{
	loop->process = process;
}

void fake_script(struct loop *loop, enum fake_connect what, unsigned times)
{
	struct script *s = mem_calloc(1, sizeof *s);

	s->what = what;
	s->times = times;
	list_push_back(&loop->scripts, &s->link);
}

void fake_connected(struct fake_end *end)
{
	end->is_connect_over = true;
	fake_make_ready(end);
}

void fake_refuse(struct fake_end *end, int error)
{
	end->connect_error = error;
	fake_connected(end);
}

unsigned fake_connects(const struct loop *loop)
{
	return loop->n_connects;
}

struct fake_end *fake_accept(struct loop *loop)
{
	list_each (link, &loop->ends) {
		struct fake_end *end = list_item(link, struct fake_end, link);

		if (!end->is_given && end->connect_error == 0) {
			end->is_given = true;
			return end;
		}
	}
	return NULL;
}

const struct address *fake_address(const struct fake_end *end)
{
	return &end->address;
}

static void add_chunk(struct fake_end *end, enum chunk_kind kind, struct slice bytes)
{
	struct chunk *chunk = mem_calloc(1, sizeof *chunk + bytes.len);

	chunk->kind = kind;
	chunk->len = bytes.len;
	if (bytes.len)
		memcpy(chunk->data, bytes.data, bytes.len);
	end->unread += bytes.len;
	list_push_back(&end->chunks, &chunk->link);
	fake_make_ready(end);
}

void fake_send(struct fake_end *end, struct slice bytes)
{
	if (bytes.len)
		add_chunk(end, CHUNK_BYTES, bytes);
}

void fake_half_close(struct fake_end *end)
{
	add_chunk(end, CHUNK_END, SLICE_NONE);
}

void fake_close(struct fake_end *end)
{
	end->is_gone = true;
	fake_half_close(end);
	if (end->is_unix)
		add_chunk(end, CHUNK_GONE, SLICE_NONE);
}

void fake_reset(struct fake_end *end)
{
	end->is_reset = true;
	add_chunk(end, CHUNK_RESET, SLICE_NONE);
}

void fake_take(struct fake_end *end, size_t bytes)
{
	end->room = bytes;
	fake_make_ready(end);
}

struct slice fake_received(const struct fake_end *end)
{
	return slice_of(end->received.data + end->consumed, end->received.len - end->consumed);
}

void fake_consume(struct fake_end *end, size_t len)
{
	end->consumed += len;
	assert(end->consumed <= end->received.len);
	if (end->consumed == end->received.len)
		end->consumed = end->received.len = 0;
}

size_t fake_unread(const struct fake_end *end)
{
	return end->unread;
}

bool fake_is_over(const struct fake_end *end)
{
	return end->is_over;
}

bool fake_was_cut(const struct fake_end *end)
{
	return end->was_cut;
}

void fake_forget(struct fake_end *end)
{
	end->is_forgotten = true;
	if (end->conn == NULL)
		fake_end_free(end);
}
