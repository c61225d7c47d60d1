/*
 * Kitex Protobuf: the head is read by thrift_head_read (same shape, magic KITEXPB_MAGIC), the body
 * is protobuf that we do not look at, but for the error of a type 3 message: {1: int32 id, 2:
 * string}. Source: kitex pkg/remote/codec/protobuf/error.pb.go.
 */
#ifndef BRIDLE_WIRE_KITEXPB_H
#define BRIDLE_WIRE_KITEXPB_H

#include "base/cursor.h"

void kitexpb_error_write(struct writer *w, struct slice text, int32_t id);
/* Unknown fields are skipped; the last value of a repeated one wins. False on bad protobuf. */
bool kitexpb_error_read(struct slice body, struct slice *text, int32_t *id);

#endif
