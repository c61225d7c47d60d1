#include "support/http_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <openssl/ssl.h>

#include "base/list.h"
#include "net/loop.h"

struct script {
	struct loop *loop;
	SSL_CTX *tls;
	script_fn on_request;
	void *arg;
	struct evconnlistener *listener;
	struct address address;
	struct list peers;
	unsigned accepted;
};

struct script_peer {
	struct list link;
	struct script *script;
	struct bufferevent *stream; /* NULL: closed */
	bool is_closing;
	char *drip; /* owned */
	size_t dripped;
	struct timer timer;
};

static void shut(struct script_peer *peer)
{
	wheel_clear(&peer->timer);
	if (peer->stream)
		bufferevent_free(peer->stream);
	peer->stream = NULL;
}

static bool take_request(struct script_peer *peer)
{
	static const char mark[] = "Content-Length: ";
	struct evbuffer *input = bufferevent_get_input(peer->stream);
	struct evbuffer_ptr end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
	struct script_request request;
	char method[16], target[4096];
	size_t head, body = 0;
	char *all, *length;

	if (end.pos < 0)
		return false;
	head = (size_t)end.pos + 4;
	all = mem_calloc(1, evbuffer_get_length(input) + 1);
	evbuffer_copyout(input, all, evbuffer_get_length(input));
	length = strstr(all, mark);
	if (length && length < all + head)
		body = strtoul(length + sizeof mark - 1, NULL, 10);
	if (evbuffer_get_length(input) < head + body) {
		free(all);
		return false;
	}
	evbuffer_drain(input, head + body);
	ck_assert_int_eq(sscanf(all, "%15s %4095s HTTP/1.1\r", method, target), 2);
	request = (struct script_request){
	    method, target, slice_of(all, head), slice_of(all + head, body)};
	peer->script->on_request(peer->script->arg, peer, &request);
	free(all);
	return peer->stream != NULL;
}

static void on_read(struct bufferevent *stream, void *arg)
{
	(void)stream;
	while (take_request(arg))
		;
}

static void on_written(struct bufferevent *stream, void *arg)
{
	struct script_peer *peer = arg;

	(void)stream;
	if (peer->is_closing)
		shut(peer);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
	(void)stream;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		shut(arg);
}

static void on_accept(
    struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
	struct script *script = arg;
	struct script_peer *peer = mem_calloc(1, sizeof *peer);
	struct event_base *base = loop_base(script->loop);

	(void)listener;
	(void)sa;
	(void)len;
	peer->script = script;
	list_push_back(&script->peers, &peer->link);
	script->accepted++;
	peer->stream = script->tls ? bufferevent_openssl_socket_new(base, fd, SSL_new(script->tls),
					 BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)
				   : bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(peer->stream, on_read, on_written, on_event, peer);
	bufferevent_enable(peer->stream, EV_READ | EV_WRITE);
}

void script_listen(struct script *script)
{
	const struct sockaddr *sa = (const struct sockaddr *)&script->address.sa;
	struct sockaddr_storage bound;
	socklen_t len = sizeof bound;

	script->listener = evconnlistener_new_bind(loop_base(script->loop), on_accept, script,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 64, sa, (int)script->address.len);
	ck_assert_ptr_nonnull(script->listener);
	ck_assert_int_eq(
	    getsockname(evconnlistener_get_fd(script->listener), (struct sockaddr *)&bound, &len),
	    0);
	address_from_sockaddr(&script->address, (struct sockaddr *)&bound, len);
}

void script_deaf(struct script *script)
{
	if (script->listener)
		evconnlistener_free(script->listener);
	script->listener = NULL;
}

struct script *script_new(
    struct loop *loop, struct ssl_ctx_st *tls, script_fn on_request, void *arg)
{
	struct script *script = mem_calloc(1, sizeof *script);
	struct err err;

	script->loop = loop;
	script->tls = tls;
	script->on_request = on_request;
	script->arg = arg;
	list_init(&script->peers);
	ck_assert_int_eq(address_parse(&script->address, SLICE_LIT("127.0.0.1:0"), &err), 0);
	script_listen(script);
	return script;
}

void script_free(struct script **at)
{
	struct script *script = *at;
	struct list *link;

	*at = NULL;
	if (script == NULL)
		return;
	script_deaf(script);
	while ((link = list_pop_front(&script->peers))) {
		struct script_peer *peer = list_item(link, struct script_peer, link);

		shut(peer);
		free(peer->drip);
		free(peer);
	}
	free(script);
}

const struct address *script_address(const struct script *script)
{
	return &script->address;
}

unsigned script_accepted(const struct script *script)
{
	return script->accepted;
}

unsigned script_open(const struct script *script)
{
	unsigned n = 0;

	list_each (link, &script->peers)
		n += list_item(link, struct script_peer, link)->stream != NULL;
	return n;
}

void script_reset_all(struct script *script)
{
	list_each (link, &script->peers)
		script_reset(list_item(link, struct script_peer, link));
}

bool script_is_open(const struct script_peer *peer)
{
	return peer->stream != NULL;
}

void script_send(struct script_peer *peer, struct slice bytes)
{
	if (peer->stream)
		bufferevent_write(peer->stream, bytes.data, bytes.len);
}

void script_send_text(struct script_peer *peer, const char *text)
{
	script_send(peer, slice_str(text));
}

static void drip(struct timer *timer, usec_t now)
{
	struct script_peer *peer = container_of(timer, struct script_peer, timer);

	if (peer->stream == NULL || peer->drip[peer->dripped] == '\0')
		return;
	script_send(peer, slice_of(peer->drip + peer->dripped++, 1));
	wheel_set(loop_wheel(peer->script->loop), timer, now + USEC_MS, drip);
}

void script_drip(struct script_peer *peer, const char *text)
{
	free(peer->drip);
	peer->drip = mem_strdup(text);
	peer->dripped = 0;
	drip(&peer->timer, loop_now(peer->script->loop));
}

bool script_asks(const struct script_request *request, const char *method, const char *part)
{
	return strcmp(request->method, method) == 0 && strstr(request->target, part) != NULL;
}

void script_answer_with(struct script_peer *peer, int status, const char *headers, const char *body)
{
	char head[512];

	snprintf(head, sizeof head, "HTTP/1.1 %d Word\r\n%sContent-Length: %zu\r\n\r\n", status,
	    headers, strlen(body));
	script_send_text(peer, head);
	script_send_text(peer, body);
}

void script_answer(struct script_peer *peer, int status, const char *body)
{
	script_answer_with(peer, status, "", body);
}

void script_stream(struct script_peer *peer)
{
	script_send_text(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

void script_chunk(struct script_peer *peer, const char *text)
{
	char head[32];

	snprintf(head, sizeof head, "%zx\r\n", strlen(text));
	script_send_text(peer, head);
	script_send_text(peer, text);
	script_send_text(peer, "\r\n");
}

void script_stream_end(struct script_peer *peer)
{
	script_send_text(peer, "0\r\n\r\n");
}

void script_close(struct script_peer *peer)
{
	if (peer->stream && evbuffer_get_length(bufferevent_get_output(peer->stream)) == 0)
		shut(peer);
	peer->is_closing = true;
}

void script_reset(struct script_peer *peer)
{
	const struct linger now = {.l_onoff = 1};

	if (peer->stream)
		setsockopt(
		    bufferevent_getfd(peer->stream), SOL_SOCKET, SO_LINGER, &now, sizeof now);
	shut(peer);
}
