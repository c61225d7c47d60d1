#include "daemon/upgrade_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cursor.h"
#include "daemon/endpoint_orders.h"

/* A message: magic, version, word, kind, 0, number, length of the text, text. */
#define MAGIC        0x42725570u /* "BrUp" */
#define VERSION_OURS 1u
#define HEAD         14u
#define TEXT_MAX     (UPGRADE_MESSAGE_MAX - HEAD)

size_t upgrade_message_write(uint8_t *room, const struct upgrade_message *m)
{
	struct slice text = slice_first(m->text, TEXT_MAX);

	store_u32(room, MAGIC);
	room[4] = VERSION_OURS;
	room[5] = (uint8_t)m->word;
	room[6] = (uint8_t)m->kind;
	room[7] = 0;
	store_u32(room + 8, m->number);
	store_u16(room + 12, (uint16_t)text.len);
	if (text.len)
		memcpy(room + HEAD, text.data, text.len);
	return HEAD + text.len;
}

int upgrade_message_read(struct upgrade_message *m, struct slice bytes, struct err *err)
{
	struct cursor c = cursor_of(bytes);
	uint32_t magic = cursor_u32(&c);
	unsigned version = cursor_u8(&c), word = cursor_u8(&c), kind = cursor_u8(&c);
	size_t len;

	cursor_take(&c, 1); /* for later versions */
	m->number = cursor_u32(&c);
	len = cursor_u16(&c);
	m->text = cursor_take(&c, len);
	if (c.bad || magic != MAGIC)
		return err_set(err, 0, "what came from the other process is no message");
	if (version != VERSION_OURS)
		return err_set(err, 0,
		    "the other process upgrades in another way (%u, this one %u): restart instead",
		    version, VERSION_OURS);
	if (cursor_left(&c) || word < UPGRADE_DOOR || word > UPGRADE_ORDER || kind > DOOR_ACTIVATED)
		return err_set(err, 0, "a message of the other process is not understood");
	m->word = (enum upgrade_word)word;
	m->kind = (enum door_kind)kind;
	return 0;
}

/* The number is the weight; the text: verb, address, NUL, service. */
int upgrade_order_write(
    uint8_t *room, const struct endpoint_order *order, struct upgrade_message *message)
{
	size_t len = 2 + order->address.len + order->service.len;

	if (len > TEXT_MAX)
		return -1;
	room[0] = (uint8_t)order->verb;
	memcpy(room + 1, order->address.data, order->address.len);
	room[1 + order->address.len] = '\0';
	if (order->service.len)
		memcpy(room + 2 + order->address.len, order->service.data, order->service.len);
	*message = (struct upgrade_message){
	    .word = UPGRADE_ORDER, .number = order->weight, .text = slice_of(room, len)};
	return 0;
}

int upgrade_order_read(const struct upgrade_message *message, struct endpoint_order *order)
{
	struct slice text = message->text;
	const uint8_t *end;

	if (text.len < 2 || text.data[0] > ENDPOINT_WEIGHT_FOUND)
		return -1;
	order->verb = (enum endpoint_verb)text.data[0];
	order->weight = message->number;
	text = slice_from(text, 1);
	end = memchr(text.data, '\0', text.len);
	if (end == NULL || end == text.data)
		return -1;
	order->address = slice_first(text, (size_t)(end - text.data));
	order->service = slice_from(text, order->address.len + 1);
	return 0;
}

int upgrade_channel_open(int ends[2], struct err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_set(err, errno, "cannot make a pair of sockets: %s", strerror(errno));
	return 0;
}

union rights {
	struct cmsghdr head; /* for its alignment */
	char room[CMSG_SPACE(sizeof(int))];
};

enum channel_result upgrade_channel_send(int channel, const struct upgrade_message *message, int fd)
{
	uint8_t room[UPGRADE_MESSAGE_MAX];
	union rights rights = {0};
	struct iovec bytes = {room, upgrade_message_write(room, message)};
	struct msghdr packet = {.msg_iov = &bytes, .msg_iovlen = 1};
	ssize_t sent;

	if (fd >= 0) {
		struct cmsghdr *head;

		packet.msg_control = rights.room;
		packet.msg_controllen = sizeof rights.room;
		head = CMSG_FIRSTHDR(&packet);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(head), &fd, sizeof fd);
	}
	do
		sent = sendmsg(channel, &packet, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return CHANNEL_DONE;
	/* ETOOMANYREFS: as many descriptors are on their way as may be. */
	return errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS ? CHANNEL_LATER
									    : CHANNEL_ENDED;
}

/* Whoever sends more than one has made a mistake; none of them may be lost open. */
static bool take_descriptors(struct msghdr *packet, int *fd)
{
	bool is_good = !(packet->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *head = CMSG_FIRSTHDR(packet); head; head = CMSG_NXTHDR(packet, head)) {
		size_t n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int one;

			memcpy(&one, CMSG_DATA(head) + i * sizeof one, sizeof one);
			if (*fd < 0) {
				*fd = one;
			} else {
				close(one);
				is_good = false;
			}
		}
	}
	return is_good;
}

enum channel_result upgrade_channel_receive(int channel, uint8_t *room, size_t *length, int *fd)
{
	union rights rights;
	struct iovec bytes = {room, UPGRADE_MESSAGE_MAX};
	struct msghdr packet = {.msg_iov = &bytes,
	    .msg_iovlen = 1,
	    .msg_control = rights.room,
	    .msg_controllen = sizeof rights.room};
	ssize_t got;

	*fd = -1;
	do
		got = recvmsg(channel, &packet, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return CHANNEL_LATER;
	if (got > 0 && take_descriptors(&packet, fd) && !(packet.msg_flags & MSG_TRUNC)) {
		*length = (size_t)got;
		return CHANNEL_DONE;
	}
	if (got > 0 && *fd >= 0)
		close(*fd);
	*fd = -1;
	return CHANNEL_ENDED;
}
