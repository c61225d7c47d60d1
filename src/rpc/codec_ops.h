/*
 * What each family of codecs brings: one table of functions, the same for both sides of the proxy.
 * The functions are those of codec.h; codec.c finds the family and calls through. Private to rpc/.
 */
#ifndef BRIDLE_RPC_CODEC_OPS_H
#define BRIDLE_RPC_CODEC_OPS_H

#include "rpc/codec.h"

#define CODEC_FIRST_MAX 24u /* bytes that tell the family, at most */

struct codec {
	const struct codec_ops *ops; /* NULL: not detected yet */
	void *state;                 /* owned by ops */
	enum codec_family family;
	enum codec_side side;
	struct codec_limits limits;
	const struct codec_io *io; /* borrowed */
	void *arg;                 /* borrowed */
	usec_t now;
	bool is_unordered;              /* unary: by its last call */
	uint8_t first[CODEC_FIRST_MAX]; /* what came before the family was known */
	uint8_t n_first, first_at;
	bool is_dead; /* refused before it had a family */
};

struct codec_ops {
	/* Returns the family's own state. */
	void *(*open)(struct codec *c);
	void (*close)(void *state);
	enum codec_event (*next)(struct codec *c, struct slice *in, struct codec_item *item);
	bool (*is_idle)(const struct codec *c);
	bool (*has_detected)(const struct codec *c);
	size_t (*held)(const struct codec *c);
	bool (*send_message)(
	    struct codec *c, uint32_t id, const struct rpc_message *m, struct rpc_edit *edit);
	void (*send_data)(struct codec *c, uint32_t id, struct slice data, bool last);
	void (*send_failure)(struct codec *c, uint32_t id, const struct rpc_message *call,
	    const struct rpc_status *why, bool closing);

	/* Multiplexing families; the others have none of these. */
	unsigned (*capacity)(const struct codec *c);
	bool (*is_ending)(const struct codec *c);
	uint32_t (*begin)(struct codec *c, void *owner);
	void (*own)(struct codec *c, uint32_t id, void *owner);
	void (*send_end)(struct codec *c, uint32_t id, const struct rpc_message *trailers);
	void (*reset)(struct codec *c, uint32_t id, const struct codec_reset *why);
	void (*credit)(struct codec *c, uint32_t id, size_t bytes);
	size_t (*pending)(const struct codec *c, uint32_t id);
	void (*pump)(struct codec *c);
	void (*drain)(struct codec *c, enum codec_drain step);
	void (*ping)(struct codec *c);
	void (*rest)(struct codec *c);
};

extern const struct codec_ops codec_unary_ops, codec_h2_ops, codec_ttstream_ops;

static inline void codec_write(struct codec *c, const struct slice *pieces, int n)
{
	c->io->write(c->arg, pieces, n);
}

static inline bool codec_is_full(const struct codec *c)
{
	return c->io->is_full && c->io->is_full(c->arg);
}

#endif
