/*
 * Messages made to measure, byte by byte as the tests want them, wrong ones too: written here by
 * hand, not by what is tested.
 */
#ifndef BRIDLE_TESTS_FRAMES_H
#define BRIDLE_TESTS_FRAMES_H

#include "rpc/message.h"

struct frame {
	struct rpc_form form;
	unsigned type; /* of the message head: 1 to 4 */
	const char *method;
	int32_t seq, transport_seq;
	uint16_t flags;
	struct slice sections; /* of the TTHeader, behind the count of transforms; or the entries of
				  a mesh header, with their count. Padded here */
	struct slice body;
	/* Added to the lengths as they are written. */
	int inner_off, outer_off;
};

/* Owned by the caller, free with frame_free. */
struct slice frame_make(const struct frame *f);
/* An argument struct of exactly @len bytes, at least 8: one string field. Free with frame_free. */
struct slice frame_body(size_t len);
struct slice frame_join(struct slice a, struct slice b);
void frame_free(struct slice *s);

/* Sections written down as text: "s k=v k=v", "i 12=300", "a token", "0" (padding), each ended by
 * ';'. A mesh header: "m k=v". Free with frame_free. */
struct slice frame_sections(const char *text);

/* The names of all forms a message can be in: for messages of failing tests. */
const char *frame_form_name(struct rpc_form form);
extern const struct rpc_form frame_forms[];
extern const size_t frame_n_forms;

#endif
