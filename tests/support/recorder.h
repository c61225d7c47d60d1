/*
 * The owner of a conn in a test: counts the events, keeps the bytes, and can be told to do
 * something inside one of them. And plain descriptors for the other end, which the test reads and
 * writes itself.
 */
#ifndef BRIDLE_TESTS_SUPPORT_RECORDER_H
#define BRIDLE_TESTS_SUPPORT_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "net/conn.h"

struct loop;
struct recorder;

typedef void (*recorder_fn)(struct recorder *r);

struct recorder {
	struct conn *conn; /* owned */
	int connected, inputs, eofs, closeds, draineds;
	int error;      /* of closed */
	uint8_t *bytes; /* owned: all input */
	size_t len;
	recorder_fn on_connected, on_input, on_eof, on_closed, on_drained;
	int stage; /* the test's own */
};

extern const struct conn_events recorder_events;

/* Closes the conn, if there is one still, and forgets the bytes. */
void recorder_fini(struct recorder *r);
/* Events of any kind so far. */
int recorder_events_seen(const struct recorder *r);
/* Asks the conn to write; the test fails when that fails. */
void recorder_write(struct recorder *r, const void *bytes, size_t len);
/* Turns the loop until the count is reached; the test fails when it is not after 5 s. */
void recorder_await(struct loop *loop, const int *count, int wanted);
/* A few turns that wait for nothing. */
void recorder_settle(struct loop *loop);
/* Whether the loop waits when nothing happens, instead of being woken again and again. */
bool loop_sleeps(struct loop *loop);

/* Pairs of connected sockets, non-blocking both. */
void pair_unix(int fds[2]);
void pair_tcp(int fds[2]);
/* A listening TCP socket on loopback and its port. */
int listen_tcp(uint16_t *port);

/* Reads what there is, at most @len; 0 at the end, -1 with errno when nothing or a break. */
ssize_t far_read(int fd, void *room, size_t len);
void far_write(int fd, const void *bytes, size_t len);
/* Closes with a reset. */
void far_reset(int fd);
/* Bytes at the far end that have arrived and are not read. */
size_t far_waiting(int fd);

/* The byte at each place of a long test stream. */
static inline uint8_t stream_byte(uint64_t at)
{
	return (uint8_t)(at * 131 ^ at >> 8 ^ at >> 16);
}
void stream_fill(uint8_t *room, size_t len, uint64_t at);
bool stream_matches(const uint8_t *bytes, size_t len, uint64_t at);

#endif
