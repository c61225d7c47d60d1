/*
 * Heads: reading one from the start of a view, and writing one for a message that is passed on. The
 * codec decides when; this module knows what the bytes mean. Private to rpc/.
 */
#ifndef BRIDLE_RPC_HEAD_H
#define BRIDLE_RPC_HEAD_H

#include "base/cursor.h"
#include "rpc/codec.h"
#include "wire/ttheader.h"
#include "wire/wire.h"

struct head_refusal {
	enum reason reason;
	const char *why;  /* constant text */
	bool has_message; /* kind, method and sequence id are in the message all the same */
};

/*
 * Reads the head at the start of @in into @m (body fields: only body_len). WIRE_MORE: *@need bytes
 * are wanted. WIRE_BAD: @refusal is filled.
 */
enum wire_result head_read(enum codec_side side, const struct codec_limits *limits, struct slice in,
    struct rpc_message *m, size_t *need, struct head_refusal *refusal);

/*
 * Notes the facts that stand in the entries of a transport header: who calls whom, log and trace
 * ids, the time allowed, a business error, marks. The last value of a repeated key wins, as in
 * Kitex's maps. False and *@why when they cannot be walked.
 */
bool head_note(struct rpc_message *m, struct ttheader_iter entries, const char **why);

/* The entries of a message's transport header, or of what was lifted: none where it has neither. */
static inline struct ttheader_iter head_entries(const struct rpc_message *m)
{
	return m->form.transport == RPC_MESH ? ttheader_entries_mesh(m->sections)
					     : ttheader_entries(m->sections);
}

/* Would head_write change a byte? */
bool head_is_changed(const struct rpc_message *m, const struct rpc_edit *edit);
/* Room that head_write needs at most. */
size_t head_write_bound(const struct rpc_message *m, const struct rpc_edit *edit);
/* Writes the head in edit->form and counts what was dropped. The writer's `bad` tells when a field
 * of the format cannot hold it. */
void head_write(struct writer *w, const struct rpc_message *m, struct rpc_edit *edit);

/* The body as it goes out: what is here of it, or with its splice, in pieces. Returns their
 * number. */
#define BODY_PIECES 3
int head_body_pieces(
    const struct rpc_message *m, const struct rpc_edit *edit, struct slice pieces[BODY_PIECES]);

/* The head of a failure reply to @call, for a body of @body_len bytes. */
void head_write_exception(
    struct writer *w, const struct rpc_message *call, uint64_t body_len, bool closing);

#endif
