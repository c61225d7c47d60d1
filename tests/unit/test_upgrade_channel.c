/* What the two processes of an upgrade say to each other, and what is made of anything else. */
#include "daemon/upgrade_channel.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "support/descriptors.h"
#include "support/suite.h"

static int ends[2], before;

static void begin(void)
{
	struct err err;

	before = descriptors_open();
	ck_assert_int_eq(upgrade_channel_open(ends, &err), 0);
}

static void end(void)
{
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
	ck_assert_int_eq(descriptors_open(), before);
}

START_TEST(a_message_is_read_as_it_was_written)
{
	const struct upgrade_message sent = {
	    UPGRADE_DOOR, DOOR_ACTIVATED, 4711, SLICE_LIT("unix:/run/in.sock")};
	uint8_t room[UPGRADE_MESSAGE_MAX];
	struct upgrade_message got;
	struct err err;
	size_t len = upgrade_message_write(room, &sent);

	ck_assert_int_eq(upgrade_message_read(&got, slice_of(room, len), &err), 0);
	ck_assert_int_eq(got.word, sent.word);
	ck_assert_int_eq(got.kind, sent.kind);
	ck_assert_uint_eq(got.number, sent.number);
	ck_assert(slice_eq(got.text, sent.text));
}
END_TEST

START_TEST(text_that_is_too_long_is_cut)
{
	char text[2 * UPGRADE_MESSAGE_MAX];
	struct upgrade_message sent = {
	    .word = UPGRADE_FAILED, .text = {(uint8_t *)text, sizeof text}};
	uint8_t room[UPGRADE_MESSAGE_MAX];
	struct upgrade_message got;
	struct err err;
	size_t len;

	memset(text, 'x', sizeof text);
	len = upgrade_message_write(room, &sent);
	ck_assert_uint_eq(len, sizeof room);
	ck_assert_int_eq(upgrade_message_read(&got, slice_of(room, len), &err), 0);
	ck_assert_uint_gt(got.text.len, 900);
}
END_TEST

START_TEST(a_message_that_is_cut_short_or_has_more_behind_it_is_refused)
{
	const struct upgrade_message sent = {UPGRADE_TOOK, DOOR_LISTENER, 1, SLICE_LIT("text")};
	uint8_t room[UPGRADE_MESSAGE_MAX] = {0};
	size_t len = upgrade_message_write(room, &sent);
	struct upgrade_message got;
	struct err err;

	for (size_t i = 0; i < len; i++)
		ck_assert_int_eq(upgrade_message_read(&got, slice_of(room, i), &err), -1);
	ck_assert_int_eq(upgrade_message_read(&got, slice_of(room, len), &err), 0);
	ck_assert_int_eq(upgrade_message_read(&got, slice_of(room, len + 1), &err), -1);
}
END_TEST

static void is_refused_with(size_t at, uint8_t byte, const char *words)
{
	const struct upgrade_message sent = {.word = UPGRADE_READY, .number = 1};
	uint8_t room[UPGRADE_MESSAGE_MAX];
	size_t len = upgrade_message_write(room, &sent);
	struct upgrade_message got;
	struct err err;

	room[at] = byte;
	ck_assert_int_eq(upgrade_message_read(&got, slice_of(room, len), &err), -1);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
}

START_TEST(what_is_not_understood_is_refused)
{
	is_refused_with(0, 'b', "no message");
	is_refused_with(4, 2, "restart instead"); /* another version */
	is_refused_with(5, 0, "not understood");
	is_refused_with(5, UPGRADE_ORDER + 1, "not understood");
	is_refused_with(6, DOOR_ACTIVATED + 1, "not understood");
	is_refused_with(13, 1, "no message"); /* more text than there is */
}
END_TEST

START_TEST(a_descriptor_goes_with_a_message_and_is_not_inherited)
{
	const struct upgrade_message door = {
	    UPGRADE_DOOR, DOOR_LISTENER, 7, SLICE_LIT("127.0.0.1:0")};
	uint8_t room[UPGRADE_MESSAGE_MAX];
	size_t len;
	int fd;

	ck_assert_int_eq(upgrade_channel_send(ends[0], &door, ends[0]), CHANNEL_DONE);
	ck_assert_int_eq(upgrade_channel_receive(ends[1], room, &len, &fd), CHANNEL_DONE);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	close(fd);
	ck_assert_int_eq(upgrade_channel_receive(ends[1], room, &len, &fd), CHANNEL_LATER);
	ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(the_end_of_the_other_side_is_seen)
{
	const struct upgrade_message go = {.word = UPGRADE_GO};
	uint8_t room[UPGRADE_MESSAGE_MAX];
	size_t len;
	int fd;

	close(ends[0]);
	ends[0] = -1;
	ck_assert_int_eq(upgrade_channel_send(ends[1], &go, -1), CHANNEL_ENDED);
	ck_assert_int_eq(upgrade_channel_receive(ends[1], room, &len, &fd), CHANNEL_ENDED);
}
END_TEST

/* As many as there is room for, whatever it is that comes. */
static void send_raw(const void *bytes, size_t len, const int *fds, size_t n)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(8 * sizeof(int))];
	} rights = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, len};
	struct msghdr packet = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n) {
		packet.msg_control = &rights;
		packet.msg_controllen = CMSG_SPACE(n * sizeof *fds);
		rights.head.cmsg_level = SOL_SOCKET;
		rights.head.cmsg_type = SCM_RIGHTS;
		rights.head.cmsg_len = CMSG_LEN(n * sizeof *fds);
		memcpy(CMSG_DATA(&rights.head), fds, n * sizeof *fds);
	}
	ck_assert_int_eq((int)sendmsg(ends[0], &packet, 0), (int)len);
}

START_TEST(more_descriptors_than_one_end_it_and_none_stays_open)
{
	const int many[] = {0, 1, 2, 0, 1, 2, 0, 1};

	for (size_t n = 2; n <= 8; n++) {
		uint8_t room[UPGRADE_MESSAGE_MAX];
		size_t len;
		int fd, open = descriptors_open();

		send_raw("x", 1, many, n);
		ck_assert_int_eq(upgrade_channel_receive(ends[1], room, &len, &fd), CHANNEL_ENDED);
		ck_assert_int_eq(fd, -1);
		ck_assert_int_eq(descriptors_open(), open);
	}
}
END_TEST

START_TEST(a_message_that_is_too_long_ends_it)
{
	char bytes[UPGRADE_MESSAGE_MAX + 1] = {0};
	const int one = 0;
	uint8_t room[UPGRADE_MESSAGE_MAX];
	size_t len;
	int fd;

	send_raw(bytes, sizeof bytes, &one, 1);
	ck_assert_int_eq(upgrade_channel_receive(ends[1], room, &len, &fd), CHANNEL_ENDED);
	ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(nobody_waits_where_there_is_no_room)
{
	const struct upgrade_message go = {.word = UPGRADE_GO};
	enum channel_result result = CHANNEL_DONE;
	uint8_t room[UPGRADE_MESSAGE_MAX];
	size_t len, sent = 0;
	int fd;

	while (sent < 100000 && result == CHANNEL_DONE) {
		result = upgrade_channel_send(ends[0], &go, -1);
		sent++;
	}
	ck_assert_int_eq(result, CHANNEL_LATER);
	while (upgrade_channel_receive(ends[1], room, &len, &fd) == CHANNEL_DONE)
		sent--;
	ck_assert_uint_eq(sent, 1); /* all but the one that found no room */
	ck_assert_int_eq(upgrade_channel_send(ends[0], &go, -1), CHANNEL_DONE);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_message_is_read_as_it_was_written, 1},
	    {text_that_is_too_long_is_cut, 1},
	    {a_message_that_is_cut_short_or_has_more_behind_it_is_refused, 1},
	    {what_is_not_understood_is_refused, 1},
	    {a_descriptor_goes_with_a_message_and_is_not_inherited, 1},
	    {the_end_of_the_other_side_is_seen, 1},
	    {more_descriptors_than_one_end_it_and_none_stays_open, 1},
	    {a_message_that_is_too_long_ends_it, 1},
	    {nobody_waits_where_there_is_no_room, 1},
	};

	return suite_run_between("upgrade_channel", tests, ARRAY_LEN(tests), begin, end);
}
