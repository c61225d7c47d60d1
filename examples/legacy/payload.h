#ifndef EXAMPLES_PAYLOAD_H
#define EXAMPLES_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The one message that the examples speak about, {1: string text}, in Thrift and in Protobuf. */

enum payload { THRIFT, PROTOBUF };

/* Writes the message with that text. */
void payload_put(FILE *out, enum payload payload, const char *text);

/*
 * The text of a message that has one string and nothing else, whatever the number of its field (a
 * Thrift result has it in 0). NULL if it is something else. The caller frees it.
 */
char *payload_text(enum payload payload, const uint8_t *bytes, size_t len);

#endif
