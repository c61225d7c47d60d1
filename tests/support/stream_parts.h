/* What the two families of stream_end.h have in common. Private to them. */
#ifndef BRIDLE_TESTS_STREAM_PARTS_H
#define BRIDLE_TESTS_STREAM_PARTS_H

#include "base/list.h"
#include "base/slice.h"
#include "support/stream_end.h"

/* Bytes that grow. */
struct pile {
	uint8_t *data; /* owned */
	size_t len, size;
};
void pile_add(struct pile *p, struct slice bytes);
void pile_add_number(struct pile *p, uint64_t value, int bytes);
/* The first @len bytes go. */
void pile_drop(struct pile *p, size_t len);
void pile_fini(struct pile *p);

/* Words in "name=value name=value", one after another; false at their end. */
struct key_word {
	struct slice name, value;
};
bool next_key(const char **keys, struct key_word *word);

struct queued_event {
	struct list link;
	struct stream_event event;
};

struct stream {
	struct list link; /* in end->streams */
	struct stream_end *end;
	uint32_t id;
	bool is_theirs; /* the proxy began it, */
	bool is_new;    /* and the scenario has not heard it yet */

	struct list events;         /* owned */
	struct queued_event *taken; /* owned; whose views are out */
	struct pile keys;           /* of a head that is coming in */
	struct pile in;             /* of a message that is coming in */
	bool has_head, is_held, is_over;
	size_t heard, owed;

	struct pile out; /* to be written */
	size_t out_at;
	bool has_said_head, out_ends, has_trailers;
	struct pile trailers; /* their words */
};

struct stream_kind;

struct stream_end {
	struct list link; /* in the list of all */
	struct fake_end *net;
	const struct stream_kind *kind;
	enum stream_family family;
	void *wire;          /* owned by kind */
	struct list streams; /* owned */
	bool is_caller, is_gathering, is_over;
	struct pile out; /* for the connection */
	size_t piece;    /* how it is cut; 0: not at all */
	unsigned goaways;
	int32_t goaway_last;
};

/* What a family does. */
struct stream_kind {
	void (*open)(struct stream_end *end, const struct stream_setup *setup);
	void (*close)(struct stream_end *end);
	/* Takes what was received; returns how much. */
	size_t (*take)(struct stream_end *end, struct slice in);
	/* Adds to end->out what can be written. */
	void (*give)(struct stream_end *end);
	uint32_t (*say_call)(
	    struct stream_end *end, struct stream *s, const struct stream_words *words);
	/* @is_all: a reply of nothing but a status. */
	void (*say_head)(struct stream *s, const struct stream_words *words, bool is_all);
	void (*say_message)(struct stream *s, struct slice body);
	void (*say_end)(struct stream *s, const struct stream_words *words);
	void (*say_reset)(struct stream *s, uint32_t code);
};
extern const struct stream_kind stream_h2, stream_tts;

struct stream *stream_add(struct stream_end *end, uint32_t id);
struct stream *stream_find(const struct stream_end *end, uint32_t id);
/* The new event's keys and text are copies. */
struct stream_event *stream_heard(
    struct stream *s, enum stream_event_kind kind, struct slice keys, struct slice text);

#define STREAM_SERVICE "shop.Price"

#endif
