#include "h2.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define READ_BYTES 16384

static bool send_some(struct h2 *h2)
{
	ssize_t n;

	for (;;) {
		if (h2->rest_len == 0) {
			n = nghttp2_session_mem_send(h2->session, &h2->rest);
			if (n <= 0)
				return n == 0;
			h2->rest_len = (size_t)n;
		}
		n = send(h2->fd, h2->rest, h2->rest_len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		h2->rest += n;
		h2->rest_len -= (size_t)n;
	}
}

static bool read_some(struct h2 *h2)
{
	uint8_t bytes[READ_BYTES];
	ssize_t n = recv(h2->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	return n > 0 && nghttp2_session_mem_recv(h2->session, bytes, (size_t)n) == n;
}

bool h2_turn(struct h2 *h2, int wait_ms)
{
	struct pollfd source = {.fd = h2->fd, .events = POLLIN};

	if (!send_some(h2))
		return false;
	if (h2->rest_len > 0)
		source.events |= POLLOUT;
	else if (!nghttp2_session_want_read(h2->session))
		return false;
	if (poll(&source, 1, wait_ms) <= 0)
		return false;
	return !(source.revents & (POLLIN | POLLHUP | POLLERR)) || read_some(h2);
}

static char *text_new(const uint8_t *bytes, size_t len)
{
	char *text = calloc(1, len + 1);

	if (!text)
		abort();
	memcpy(text, bytes, len);
	return text;
}

void h2_fields_add(struct h2_fields *fields, const uint8_t *name, size_t name_len,
    const uint8_t *value, size_t len)
{
	if (fields->n == H2_FIELDS_MAX)
		return;
	fields->each[fields->n].name = text_new(name, name_len);
	fields->each[fields->n++].value = text_new(value, len);
}

const char *h2_fields_value(const struct h2_fields *fields, const char *name)
{
	for (size_t i = 0; i < fields->n; i++) {
		if (strcmp(fields->each[i].name, name) == 0)
			return fields->each[i].value;
	}
	return NULL;
}

void h2_fields_free(struct h2_fields *fields)
{
	for (size_t i = 0; i < fields->n; i++) {
		free(fields->each[i].name);
		free(fields->each[i].value);
	}
	fields->n = 0;
}

/* nghttp2 writes to neither text; it declares them so to be given other flags. */
nghttp2_nv h2_nv(const char *name, const char *value)
{
	return (nghttp2_nv){
	    .name = (uint8_t *)(uintptr_t)name,
	    .value = (uint8_t *)(uintptr_t)value,
	    .namelen = strlen(name),
	    .valuelen = strlen(value),
	};
}

bool h2_messages_next(struct h2_messages *messages, const uint8_t *bytes, size_t len, size_t *used)
{
	size_t n;

	for (*used = 0; messages->n_prefix < H2_PREFIX; ++*used) {
		if (*used == len)
			return false;
		messages->n_prefix++;
		messages->size = messages->size << 8 | bytes[*used];
		messages->left = messages->size &= 0xffffffffu; /* the flag falls out at the top */
	}
	n = messages->left < len - *used ? messages->left : len - *used;
	*used += n;
	messages->left -= n;
	if (messages->left > 0)
		return false;
	messages->n_prefix = 0;
	return true;
}
