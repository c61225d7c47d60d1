#include "ctl/following.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_ask.h"

#define WAIT_S          1u
#define HEAD_MAX        8192u
#define LINE_MAX        ((size_t)1 << 20)
#define SIZE_MAX_DIGITS 8u

int following_open(struct following *f, const char *path, const char *target, struct err *err)
{
	*f = (struct following){.fd = http_ask_open(path, WAIT_S, err)};
	return f->fd < 0 ? -1 : http_ask_send(f->fd, "GET", target, SLICE_NONE, err);
}

void following_close(struct following *f)
{
	if (f->fd >= 0)
		close(f->fd);
	text_fini(&f->in);
	text_fini(&f->lines);
}

static void drop_front(struct text *t, size_t len)
{
	t->len -= len;
	if (t->len)
		memmove(t->bytes, t->bytes + len, t->len);
}

/* Where @what begins; -1: nowhere yet. */
static ssize_t find(const struct text *t, size_t from, const char *what)
{
	size_t len = strlen(what);
	const char *at = t->len > from ? memmem(t->bytes + from, t->len - from, what, len) : NULL;

	return at ? at - t->bytes : -1;
}

/* --- what comes in: head, then chunks, or the rest --- */

static int read_head(struct following *f, struct err *err)
{
	static const struct slice version = SLICE_LIT("HTTP/1.1 ");
	ssize_t end = find(&f->in, 0, "\r\n\r\n");
	struct slice head = slice_of(f->in.bytes, end < 0 ? f->in.len : (size_t)end);
	uint64_t status;

	if (end < 0)
		return head.len > HEAD_MAX ? err_set(err, EPROTO, "the answer is no HTTP") : 0;
	if (!slice_starts(head, version) || head.len < version.len + 3 ||
	    !slice_to_u64(slice_sub(head, version.len, 3), &status) || status == 0)
		return err_set(err, EPROTO, "the answer is no HTTP");
	f->status = (int)status;
	f->is_in_chunk = memmem(head.data, head.len, "\r\nTransfer-Encoding: chunked", 28) == NULL;
	f->chunk = f->is_in_chunk ? UINT64_MAX : 0;
	drop_front(&f->in, (size_t)end + 4);
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A chunk's size as the daemon writes it: hex digits alone. */
static int read_size(struct following *f, size_t len, struct err *err)
{
	uint64_t size = 0;

	if (len == 0 || len > SIZE_MAX_DIGITS)
		return err_set(err, EPROTO, "the answer's chunks are not understood");
	for (size_t i = 0; i < len; i++) {
		int digit = hex_digit(f->in.bytes[i]);

		if (digit < 0)
			return err_set(err, EPROTO, "the answer's chunks are not understood");
		size = size << 4 | (unsigned)digit;
	}
	f->chunk = size;
	f->is_in_chunk = true;
	f->is_over = size == 0;
	return 0;
}

/* Moves what has come of the answer from in to lines. */
static int take_in(struct following *f, struct err *err)
{
	if (f->status == 0 && read_head(f, err) < 0)
		return -1;
	while (f->status && f->in.len && !f->is_over) {
		if (f->is_in_chunk && f->chunk) {
			size_t n = f->in.len < f->chunk ? f->in.len : (size_t)f->chunk;

			text_add(&f->lines, slice_of(f->in.bytes, n));
			f->chunk -= f->chunk == UINT64_MAX ? 0 : n;
			drop_front(&f->in, n);
		} else if (f->is_in_chunk) {
			if (f->in.len < 2)
				break;
			drop_front(&f->in, 2);
			f->is_in_chunk = false;
		} else {
			ssize_t end = find(&f->in, 0, "\r\n");

			if (end < 0)
				break;
			if (read_size(f, (size_t)end, err) < 0)
				return -1;
			drop_front(&f->in, (size_t)end + 2);
		}
	}
	return 0;
}

static enum following_got receive(struct following *f, struct err *err)
{
	char part[16384];
	ssize_t n = recv(f->fd, part, sizeof part, 0);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return FOLLOWING_NOTHING;
	if (n < 0) {
		err_set(err, errno, "waiting for the answer: %s", strerror(errno));
		return FOLLOWING_BROKEN;
	}
	if (n == 0 && f->status && f->chunk == UINT64_MAX) {
		f->is_over = true;
		return FOLLOWING_END;
	}
	if (n == 0) {
		err_set(err, EPIPE, "the answer breaks off");
		return FOLLOWING_BROKEN;
	}
	text_add(&f->in, slice_of(part, (size_t)n));
	f->is_bad = take_in(f, &f->why) < 0;
	return FOLLOWING_LINE; /* perhaps */
}

/* --- what is given out --- */

static bool give_line(struct following *f, struct slice *line)
{
	ssize_t end = find(&f->lines, f->given, "\n");

	if (end < 0 && !(f->is_over && f->lines.len > f->given))
		return false;
	if (end < 0)
		end = (ssize_t)f->lines.len;
	*line = slice_of(f->lines.bytes + f->given, (size_t)end - f->given);
	f->given = (size_t)end < f->lines.len ? (size_t)end + 1 : f->lines.len;
	return true;
}

enum following_got following_next(struct following *f, struct slice *line, struct err *err)
{
	enum following_got got;

	for (;;) {
		if (give_line(f, line))
			return FOLLOWING_LINE;
		drop_front(&f->lines, f->given);
		f->given = 0;
		if (f->is_over)
			return FOLLOWING_END;
		if (f->is_bad) {
			*err = f->why;
			return FOLLOWING_BROKEN;
		}
		if (f->lines.len > LINE_MAX) {
			err_set(err, EMSGSIZE, "a line is longer than %zu bytes", LINE_MAX);
			return FOLLOWING_BROKEN;
		}
		got = receive(f, err);
		if (got == FOLLOWING_NOTHING || got == FOLLOWING_BROKEN)
			return got;
	}
}
