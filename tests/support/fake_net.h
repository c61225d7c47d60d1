/*
 * A network that is not there: it stands in for net/conn and net/loop when the proxy is linked into
 * a test. Time is a number that the test moves. Each connection of the proxy has a far end, which
 * the test plays: it writes, reads, half-closes, resets, or lets nothing through.
 *
 * The contracts are those of the real modules. Beyond them it is strict where strictness finds
 * faults: input is overwritten and freed after each event, a conn at the end of the turn, and what
 * may not be called in a state is asserted.
 */
#ifndef BRIDLE_TESTS_FAKE_NET_H
#define BRIDLE_TESTS_FAKE_NET_H

#include <sys/types.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/slice.h"

struct loop;
struct fake_end;

#define FAKE_ALL SIZE_MAX

/* The wheel's clock starts at a whole number of milliseconds, so times come out exactly. */
struct loop *fake_loop_new(void);
/* Every conn must be closed. */
void fake_loop_free(struct loop **loop);
/* One turn at the present time. False when nothing was left to do. */
bool fake_turn(struct loop *loop);
/* Turns until nothing is left to do at the present time. */
void fake_settle(struct loop *loop);
/* Lets time pass, from one timer to the next. */
void fake_sleep(struct loop *loop, usec_t wait);
/* Connections of the proxy that are open. */
unsigned fake_open(const struct loop *loop);

/* ---- callers ---- */

/* A connection as if accepted: *@fd is for worker_take. @uid: of a unix socket; -1: TCP. */
struct fake_end *fake_dial(struct loop *loop, int uid, int *fd);
/* The process of one on a unix socket, before worker_take. */
void fake_calling_process(struct fake_end *end, int process);

/* ---- endpoints ---- */

enum fake_connect {
	FAKE_DEFAULT, /* unix: at once; TCP: in the next turn */
	FAKE_AT_ONCE,
	FAKE_HANGS,   /* until fake_connected or fake_refuse */
	FAKE_REFUSED, /* at once on a unix socket, in the next turn on TCP */
	FAKE_BACKLOG,
	FAKE_NO_DESCRIPTOR,
	FAKE_NAME_TAKEN, /* of one from a name: another has it */
};
/* What the next @times connects meet that have no other script yet; then FAKE_DEFAULT. */
void fake_script(struct loop *loop, enum fake_connect what, unsigned times);
void fake_connected(struct fake_end *end);
void fake_refuse(struct fake_end *end, int error);
/* Connects so far, failed ones too. */
unsigned fake_connects(const struct loop *loop);
/* Which process endpoints are that are connected to from now on; 0: the kernel does not say. */
void fake_listening_process(struct loop *loop, int process);
/* The next far end of a connect that the test has not been given yet; NULL: none. */
struct fake_end *fake_accept(struct loop *loop);
const struct address *fake_address(const struct fake_end *end);
/* The abstract name that the proxy connected from, "" if from none. */
const char *fake_name(const struct fake_end *end);
/* Which user the process of an endpoint on a unix socket is. */
void fake_listening_user(struct fake_end *end, int uid);

/* ---- either ---- */

/* Arrives as one read, if the proxy reads. */
void fake_send(struct fake_end *end, struct slice bytes);
void fake_half_close(struct fake_end *end);
/* Both ways: what the proxy still writes meets a reset. */
void fake_close(struct fake_end *end);
/* The proxy may read what came before it, but not write any more. */
void fake_reset(struct fake_end *end);
/* From now on the kernel takes @bytes of what the proxy writes, then no more. FAKE_ALL:
 * everything. */
void fake_take(struct fake_end *end, size_t bytes);
/* What has arrived and was not consumed. */
struct slice fake_received(const struct fake_end *end);
void fake_consume(struct fake_end *end, size_t len);
/* Bytes that the proxy has not read yet. */
size_t fake_unread(const struct fake_end *end);
/* The proxy has ended it: nothing more arrives. */
bool fake_is_over(const struct fake_end *end);
/* It was cut off: bytes that the proxy had written were lost. */
bool fake_was_cut(const struct fake_end *end);
/* The test has no more use for it. */
void fake_forget(struct fake_end *end);

#endif
