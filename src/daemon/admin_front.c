/*
 * GET /: the status page, for people. It is one document that loads nothing from elsewhere, and the
 * browser is told so: only the script and the style that carry this answer's nonce count, and no
 * text can become markup.
 */
#include <stdio.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/text.h"
#include "daemon/admin_reply.h"
#include "daemon/admin_routes.h"
#include "daemon/status_page.h"

#define NONCE_BYTES 16u

static const char headers[] =
    "Content-Security-Policy: default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n";

static bool draw_nonce(char *room)
{
	unsigned char bytes[NONCE_BYTES];

	if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != (ssize_t)sizeof bytes)
		return false;
	for (size_t i = 0; i < sizeof bytes; i++)
		snprintf(room + 2 * i, 3, "%02x", bytes[i]);
	return true;
}

static void add_page(struct text *out, const char *nonce)
{
	struct slice rest = slice_of(status_page, status_page_len);
	struct slice mark = SLICE_LIT(STATUS_PAGE_NONCE);
	const uint8_t *at;

	while ((at = memmem(rest.data, rest.len, mark.data, mark.len))) {
		size_t before = (size_t)(at - rest.data);

		text_add(out, slice_first(rest, before));
		text_add_str(out, nonce);
		rest = slice_from(rest, before + mark.len);
	}
	text_add(out, rest);
}

void admin_get_page(struct control *c, const struct http_request *request, struct http_reply *reply)
{
	char nonce[2 * NONCE_BYTES + 1];
	struct text page = {0};
	size_t len;

	(void)c;
	(void)request;
	if (!draw_nonce(nonce)) {
		admin_reply_error(reply, 503, "the system has no random numbers yet");
		return;
	}
	add_page(&page, nonce);
	len = page.len;
	text_printf(&page, headers, nonce, nonce);
	text_add(&page, slice_of("", 1));
	admin_reply_body(reply, "text/html; charset=utf-8", page.bytes, len);
	reply->headers = page.bytes + len;
}
