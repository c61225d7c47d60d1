/*
 * The words that the old process and the new one exchange during an upgrade, and the pair of
 * sockets they go over. What is said when, and what follows from it, is decided by upgrade.c and
 * successor.c.
 *
 *     old: DOOR ... ORDER ... DOORS_END                                 GO
 *     new:                              TOOK ... READY | FAILED            SERVING | FAILED
 *
 * The other end may be another version of this program, so every message says its own, and one that
 * is not understood ends the upgrade.
 */
#ifndef BRIDLE_DAEMON_UPGRADE_CHANNEL_H
#define BRIDLE_DAEMON_UPGRADE_CHANNEL_H

#include "base/err.h"
#include "base/slice.h"

#define UPGRADE_VARIABLE    "BRIDLED_UPGRADE" /* the descriptor's number in the new process */
#define UPGRADE_MESSAGE_MAX 1024u

enum upgrade_word {
	UPGRADE_DOOR = 1,  /* number: its id; text: the address as asked for; with a descriptor */
	UPGRADE_DOORS_END, /* number: how many there were */
	UPGRADE_TOOK,      /* number: the id of a door that will be served */
	UPGRADE_READY,     /* number: how many were taken */
	UPGRADE_GO,        /* number: how many upgrades that makes; text: how many have failed */
	UPGRADE_SERVING,
	UPGRADE_FAILED, /* text: why */
	UPGRADE_ORDER,  /* of an operator, about an endpoint; see upgrade_order_write */
};

/* What a descriptor is for. */
enum door_kind {
	DOOR_LISTENER,  /* bound by the old process */
	DOOR_ADMIN,     /* of admin.http */
	DOOR_ACTIVATED, /* a listener's, from the service manager, who owns a unix socket's file */
};

struct upgrade_message {
	enum upgrade_word word;
	enum door_kind kind; /* of a DOOR */
	uint32_t number;
	struct slice text; /* borrowed */
};

/* Into @room of UPGRADE_MESSAGE_MAX bytes; text that is too long is cut. Returns the length. */
size_t upgrade_message_write(uint8_t *room, const struct upgrade_message *message);
/* Points into @bytes. Returns 0, or -1 with @err set. */
int upgrade_message_read(struct upgrade_message *message, struct slice bytes, struct err *err);

/* An order as a message, and back; its texts are in @room, of UPGRADE_MESSAGE_MAX bytes, or in
 * @message. Returns 0, or -1 when it is none, or does not fit. */
struct endpoint_order;
int upgrade_order_write(
    uint8_t *room, const struct endpoint_order *order, struct upgrade_message *message);
int upgrade_order_read(const struct upgrade_message *message, struct endpoint_order *order);

/* Both ends, close-on-exec. Returns 0, or -1 with @err set. */
int upgrade_channel_open(int ends[2], struct err *err);

enum channel_result { CHANNEL_DONE, CHANNEL_LATER, CHANNEL_ENDED };
/* @fd goes with it; -1: none. LATER when there is no room now, ENDED when nobody hears. */
enum channel_result upgrade_channel_send(
    int channel, const struct upgrade_message *message, int fd);
/* One message into @room of UPGRADE_MESSAGE_MAX bytes; *length of it. *fd, close-on-exec, is the
 * caller's, -1 where none came. ENDED: also when something else than a message came. */
enum channel_result upgrade_channel_receive(int channel, uint8_t *room, size_t *length, int *fd);

#endif
