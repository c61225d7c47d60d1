/*
 * Exceptions: the body of a Thrift or Kitex Protobuf one, and the grpc-status that stands for its
 * type. Private to rpc/.
 */
#ifndef BRIDLE_RPC_EXCEPTION_H
#define BRIDLE_RPC_EXCEPTION_H

#include "base/cursor.h"
#include "rpc/message.h"

/* Source: kitex pkg/remote/trans_errors.go. */
enum exception_id {
	EXCEPTION_UNKNOWN_METHOD = 1,
	EXCEPTION_INTERNAL = 6,
	EXCEPTION_UNKNOWN_SERVICE = 20,
};

#define EXCEPTION_EXTRA 64u /* bytes of a body beside its text, at most */

void exception_write(struct writer *w, enum rpc_payload payload, struct slice text, int32_t id);
/* Text and type of an exception that is here whole; @text is a view. False when it cannot be
 * read. */
bool exception_read(const struct rpc_message *m, struct slice *text, int32_t *id);
/* At most @len bytes, and no character of UTF-8 cut in two: Protobuf's readers refuse a half
 * one. */
struct slice exception_cut(struct slice text, size_t len);
/* Puts a '?' in place of every byte that is no UTF-8, for the same readers. */
void exception_make_utf8(uint8_t *text, size_t len);

uint32_t exception_grpc_status(int32_t id);
int32_t exception_id_of(uint32_t grpc_status);

#endif
