/*
 * Which protocol do these first bytes speak? Asked once for a connection (which family?) and again
 * for each unary message, in Kitex's order: TTHeader, mesh header, unframed, framed.
 * Source: kitex pkg/remote/codec/default_codec.go, pkg/remote/trans/detection/server_handler.go.
 */
#ifndef BRIDLE_WIRE_SNIFF_H
#define BRIDLE_WIRE_SNIFF_H

#include "wire/wire.h"

#define SNIFF_BYTES 8u /* every decision is made on this many */

enum sniff_family {
	SNIFF_FAMILY_MORE, /* fewer than SNIFF_BYTES, and nothing decided yet */
	SNIFF_FAMILY_UNARY,
	SNIFF_FAMILY_HTTP2,
	SNIFF_FAMILY_TTSTREAM,
	SNIFF_FAMILY_UNKNOWN,
};

enum sniff_form {
	SNIFF_MORE,
	SNIFF_TTHEADER,
	SNIFF_MESH,
	SNIFF_BARE_THRIFT,
	SNIFF_FRAMED_THRIFT,
	SNIFF_FRAMED_KITEXPB,
	SNIFF_UNKNOWN,
};

enum sniff_family sniff_family(struct slice first);
/* A whole message. */
enum sniff_form sniff_message(struct slice first);
/* What follows a TTHeader or a mesh header: never another header. */
enum sniff_form sniff_payload(struct slice first);

#endif
