/*
 * What the two halves of the network that is not there share: fake_net.c has the loop and the far
 * ends, fake_conn.c the proxy's ends. Private to them.
 */
#ifndef BRIDLE_TESTS_FAKE_PARTS_H
#define BRIDLE_TESTS_FAKE_PARTS_H

#include "base/list.h"
#include "base/wheel.h"
#include "net/conn.h"
#include "net/loop.h"
#include "support/fake_net.h"

struct bytes {
	uint8_t *data;
	size_t len, size;
};

enum chunk_kind { CHUNK_BYTES, CHUNK_END, CHUNK_GONE, CHUNK_RESET };

/* Something that the far end did and the proxy has not seen yet. */
struct chunk {
	struct list link;
	enum chunk_kind kind;
	size_t at, len;
	uint8_t data[];
};

struct fake_end {
	struct list link;  /* in loop->ends */
	struct list ready; /* in loop->ready while there is something to look at */
	struct loop *loop;
	struct conn *conn; /* NULL: the proxy has closed it */
	int fd, uid, process;
	struct address address;
	char name[64]; /* it was connected to from: "" is none */
	struct list chunks;
	size_t unread;
	struct bytes received;
	size_t consumed;
	size_t room; /* bytes that the kernel still takes */
	int connect_error;
	bool is_connect_over; /* and this end has not told */
	bool is_given;        /* to the test, by fake_accept */
	bool is_unix, is_gone, is_reset, is_over, was_cut, is_forgotten;
};

enum conn_state { CONNECTING, OPEN, BROKEN, LEAVING, GONE };

struct conn {
	struct loop *loop;
	struct fake_end *end;
	const struct conn_events *events;
	void *arg;
	enum conn_state state;
	struct loop_work turn_end;
	struct timer patience;
	struct bytes batch, queue;
	uint64_t written, taken;
	usec_t moved;
	unsigned paused;
	int error;
	bool is_batching, has_ended, was_high;
};

struct reaped {
	void *object;
	void (*free_fn)(void *object);
};

struct script {
	struct list link;
	enum fake_connect what;
	unsigned times;
};

struct loop {
	usec_t now;
	struct wheel wheel;
	struct list ends, ready, deferred, scripts;
	struct reaped *reaped;
	size_t n_reaped, room_reaped;
	unsigned n_open, n_connects;
	int next_fd, process;
};

void fake_bytes_add(struct bytes *b, const uint8_t *data, size_t len);
void fake_bytes_drop(struct bytes *b, size_t len);
void fake_bytes_fini(struct bytes *b);

struct fake_end *fake_end_new(struct loop *loop, bool is_unix);
void fake_end_free(struct fake_end *end);
/* Something may be there to look at in the next turn. */
void fake_make_ready(struct fake_end *end);
enum fake_connect fake_next_script(struct loop *loop, bool is_unix);

/* One event for whatever the far end did. */
void fake_conn_look(struct fake_end *end);

#endif
