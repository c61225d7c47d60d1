/* gRPC's far ends: the library of HTTP/2, with its windows in the scenario's hands. */
#include <stdio.h>
#include <stdlib.h>

#include <check.h>
#include <nghttp2/nghttp2.h>

#include "support/stream_parts.h"

#define FIELDS_MAX 64
#define PREFIX     5u

/* ---- fields ---- */

struct fields {
	nghttp2_nv items[FIELDS_MAX];
	size_t n;
};

static void add_field(struct fields *f, struct slice name, struct slice value)
{
	ck_assert_uint_lt(f->n, FIELDS_MAX);
	f->items[f->n++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.data,
	    .namelen = name.len,
	    .value = (uint8_t *)(uintptr_t)value.data,
	    .valuelen = value.len};
}

static void add_text(struct fields *f, const char *name, const char *value)
{
	add_field(f, slice_str(name), slice_str(value));
}

static void add_keys(struct fields *f, const char *keys)
{
	struct key_word word;

	while (next_key(&keys, &word))
		add_field(f, word.name, word.value);
}

static void add_status(struct fields *f, const struct stream_words *w, char number[16])
{
	snprintf(number, 16, "%d", w->status);
	add_text(f, "grpc-status", number);
	if (w->text)
		add_text(f, "grpc-message", w->text);
}

/* ---- what comes in ---- */

static struct slice piled(const struct pile *p)
{
	return slice_of(p->data, p->len);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct stream *s = stream_find(arg, (uint32_t)frame->hd.stream_id);

	(void)session;
	(void)flags;
	if (s == NULL)
		return 0;
	pile_add(&s->keys, slice_of(name, name_len));
	pile_add(&s->keys, SLICE_LIT("="));
	pile_add(&s->keys, slice_of(value, value_len));
	pile_add(&s->keys, SLICE_LIT(" "));
	return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct stream_end *end = arg;

	(void)session;
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		struct stream *s = stream_add(end, (uint32_t)frame->hd.stream_id);

		s->is_theirs = s->is_new = true;
	}
	return 0;
}

/* The value of a key among those that have been heard; it ends with a blank. */
static struct slice value_of(struct slice keys, const char *name)
{
	const char *found;
	char *text = slice_dup(keys), wanted[80];
	size_t at, len;

	snprintf(wanted, sizeof wanted, "%s=", name);
	found = strstr(text, wanted);
	while (found && found != text && found[-1] != ' ')
		found = strstr(found + 1, wanted);
	at = found ? (size_t)(found - text) + strlen(wanted) : keys.len;
	len = found ? strcspn(found + strlen(wanted), " ") : 0;
	if (found && strcmp(name, "grpc-message") == 0) /* it may hold blanks; a key ends it */
		len = strlen(text) - at;
	free(text);
	return slice_sub(keys, at, len);
}

static void note_end(struct stream *s, struct slice keys)
{
	struct stream_event *e = stream_heard(s, STREAM_END, keys, value_of(keys, "grpc-message"));
	uint64_t status;

	e->status = -1;
	if (slice_to_u64(value_of(keys, "grpc-status"), &status))
		e->status = (int64_t)status;
	s->is_over = true;
}

static void on_head(struct stream *s, bool ends)
{
	struct slice keys = piled(&s->keys);
	bool is_interim = !s->has_head && slice_starts(value_of(keys, ":status"), SLICE_LIT("1"));

	if (is_interim) {
		stream_heard(s, STREAM_INTERIM, keys, SLICE_NONE);
	} else if (!s->has_head) {
		s->has_head = true;
		stream_heard(s, STREAM_HEAD, keys, SLICE_NONE);
		if (ends)
			note_end(s, keys);
	} else {
		note_end(s, keys);
	}
	pile_fini(&s->keys);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct stream_end *end = arg;
	struct stream *s = stream_find(end, (uint32_t)frame->hd.stream_id);
	bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	(void)session;
	if (frame->hd.type == NGHTTP2_GOAWAY) {
		end->goaways++;
		end->goaway_last = frame->goaway.last_stream_id;
	}
	if (s == NULL)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS)
		on_head(s, ends);
	else if (frame->hd.type == NGHTTP2_DATA && ends)
		note_end(s, SLICE_NONE);
	else if (frame->hd.type == NGHTTP2_RST_STREAM)
		stream_heard(s, STREAM_RESET, SLICE_NONE, SLICE_NONE)->code =
		    frame->rst_stream.error_code;
	return 0;
}

static void take_messages(struct stream *s)
{
	while (s->in.len >= PREFIX) {
		const uint8_t *at = s->in.data;
		size_t len = (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];

		if (s->in.len - PREFIX < len)
			return;
		stream_heard(s, STREAM_MESSAGE, SLICE_NONE, slice_of(at + PREFIX, len))->code =
		    at[0];
		pile_drop(&s->in, PREFIX + len);
	}
}

static int on_data(
    nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
	struct stream *s = stream_find(arg, (uint32_t)id);

	(void)flags;
	if (s == NULL) {
		nghttp2_session_consume_connection(session, len);
		return 0;
	}
	s->heard += len;
	pile_add(&s->in, slice_of(data, len));
	take_messages(s);
	nghttp2_session_consume_connection(session, len);
	if (s->is_held)
		s->owed += len;
	else
		nghttp2_session_consume_stream(session, id, len);
	return 0;
}

/* Whatever the proxy writes must be right; it cannot know of a limit that is on its way. */
static int on_invalid(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
	(void)session;
	(void)arg;
	if (error == NGHTTP2_ERR_REFUSED_STREAM)
		return 0;
	ck_abort_msg("the proxy wrote an invalid frame of type %u on stream %d: %s", frame->hd.type,
	    frame->hd.stream_id, nghttp2_strerror(error));
	return 0;
}

/* ---- a session ---- */

static void h2_open(struct stream_end *end, const struct stream_setup *setup)
{
	nghttp2_settings_entry settings[2];
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *session;
	nghttp2_option *option;
	size_t n = 0;

	nghttp2_option_new(&option);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_session_callbacks_new(&callbacks);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid);
	if (end->is_caller)
		nghttp2_session_client_new2(&session, callbacks, end, option);
	else
		nghttp2_session_server_new2(&session, callbacks, end, option);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_option_del(option);
	if (setup->streams || setup->admits_none)
		settings[n++] = (nghttp2_settings_entry){
		    NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, setup->streams};
	if (setup->window)
		settings[n++] =
		    (nghttp2_settings_entry){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, setup->window};
	nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, n);
	end->wire = session;
}

static void h2_close(struct stream_end *end)
{
	nghttp2_session_del(end->wire);
}

static size_t h2_take(struct stream_end *end, struct slice in)
{
	ssize_t n = nghttp2_session_mem_recv(end->wire, in.data, in.len);

	ck_assert_msg(n >= 0, "the proxy's bytes cannot be read: %s", nghttp2_strerror((int)n));
	return (size_t)n;
}

static void h2_give(struct stream_end *end)
{
	const uint8_t *data;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(end->wire, &data)) > 0)
		pile_add(&end->out, slice_of(data, (size_t)n));
	ck_assert_int_eq(n, 0);
}

/* ---- what goes out ---- */

static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *room, size_t size,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct stream *s = source->ptr;
	size_t left = s->out.len - s->out_at, n = left < size ? left : size;

	(void)arg;
	if (n)
		memcpy(room, s->out.data + s->out_at, n);
	s->out_at += n;
	if (s->out_at < s->out.len)
		return (ssize_t)n;
	if (!s->out_ends)
		return n ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (s->has_trailers) {
		char *keys = slice_dup(piled(&s->trailers));
		struct fields f = {.n = 0};

		add_keys(&f, keys);
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(session, id, f.items, f.n);
		free(keys);
	}
	return (ssize_t)n;
}

static uint32_t h2_begin(struct stream_end *end, struct stream *s, const struct stream_words *w)
{
	bool has_body = w->message || w->fill || !w->ends;
	nghttp2_data_provider body = {.source.ptr = s, .read_callback = read_out};
	char path[256];
	struct fields f = {.n = 0};
	int32_t id;

	snprintf(path, sizeof path, "/" STREAM_SERVICE "/%s", w->method ? w->method : "Quote");
	add_text(&f, ":method", "POST");
	add_text(&f, ":scheme", "http");
	add_text(&f, ":path", path);
	add_text(&f, ":authority", w->authority ? w->authority : "app");
	add_text(&f, "content-type", w->type ? w->type : "application/grpc");
	add_text(&f, "te", "trailers");
	add_keys(&f, w->keys);
	id = nghttp2_submit_request(end->wire, NULL, f.items, f.n, has_body ? &body : NULL, NULL);
	ck_assert_int_gt(id, 0);
	return (uint32_t)id;
}

static void h2_head(struct stream *s, const struct stream_words *w, bool is_all)
{
	nghttp2_data_provider body = {.source.ptr = s, .read_callback = read_out};
	struct fields f = {.n = 0};
	char number[16];

	add_text(&f, ":status", "200");
	add_text(&f, "content-type", w->type ? w->type : "application/grpc");
	add_keys(&f, w->keys);
	if (is_all)
		add_status(&f, w, number);
	nghttp2_submit_response(s->end->wire, (int32_t)s->id, f.items, f.n, is_all ? NULL : &body);
}

static void h2_resume(struct stream *s)
{
	nghttp2_session_resume_data(s->end->wire, (int32_t)s->id);
}

static void h2_message(struct stream *s, struct slice body)
{
	pile_add_number(&s->out, 0, 1);
	pile_add_number(&s->out, body.len, 4);
	pile_add(&s->out, body);
	h2_resume(s);
}

static void h2_finish(struct stream *s, const struct stream_words *w)
{
	char number[32];

	s->out_ends = true;
	if (s->is_theirs) {
		s->has_trailers = true;
		snprintf(number, sizeof number, "grpc-status=%d", w->status);
		pile_add(&s->trailers, slice_str(number));
		if (w->text) {
			pile_add(&s->trailers, SLICE_LIT(" grpc-message="));
			pile_add(&s->trailers, slice_str(w->text));
		}
	}
	if (w->keys) {
		s->has_trailers = true;
		pile_add(&s->trailers, SLICE_LIT(" "));
		pile_add(&s->trailers, slice_str(w->keys));
	}
	h2_resume(s);
}

static void h2_reset(struct stream *s, uint32_t code)
{
	nghttp2_submit_rst_stream(s->end->wire, NGHTTP2_FLAG_NONE, (int32_t)s->id, code);
}

const struct stream_kind stream_h2 = {
    .open = h2_open,
    .close = h2_close,
    .take = h2_take,
    .give = h2_give,
    .say_call = h2_begin,
    .say_head = h2_head,
    .say_message = h2_message,
    .say_end = h2_finish,
    .say_reset = h2_reset,
};

/* ---- words of HTTP/2 alone ---- */

void speak_bytes(struct stream *s, struct slice bytes)
{
	pile_add(&s->out, bytes);
	h2_resume(s);
	stream_settle();
}

void finish_bare(struct stream *s)
{
	s->out_ends = true;
	h2_resume(s);
	stream_settle();
}

void interim(struct stream *s, unsigned status, const char *keys)
{
	struct fields f = {.n = 0};
	char number[16];

	snprintf(number, sizeof number, "%u", status);
	add_text(&f, ":status", number);
	add_keys(&f, keys);
	nghttp2_submit_headers(
	    s->end->wire, NGHTTP2_FLAG_NONE, (int32_t)s->id, NULL, f.items, f.n, NULL);
	stream_settle();
}

void say_goaway(struct stream_end *end, const struct stream *last)
{
	nghttp2_submit_goaway(
	    end->wire, NGHTTP2_FLAG_NONE, last ? (int32_t)last->id : 0, NGHTTP2_NO_ERROR, NULL, 0);
	stream_settle();
}

void allow_streams(struct stream_end *end, unsigned n)
{
	nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, n};

	nghttp2_submit_settings(end->wire, NGHTTP2_FLAG_NONE, &entry, 1);
	stream_settle();
}

void hold(struct stream *s)
{
	s->is_held = true;
}

void release(struct stream *s)
{
	s->is_held = false;
	if (s->owed)
		nghttp2_session_consume_stream(s->end->wire, (int32_t)s->id, s->owed);
	s->owed = 0;
	stream_settle();
}
