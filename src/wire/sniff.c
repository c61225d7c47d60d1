#include "wire/sniff.h"

#include "base/cursor.h"
#include "wire/thrift.h"
#include "wire/ttheader.h"

#define MAGIC_AT      4u /* behind a length: of a frame, or of a TTHeader message */
#define FLAGS_AT      6u
#define HTTP2_PREFACE "PRI * HT"

_Static_assert(sizeof HTTP2_PREFACE - 1 == SNIFF_BYTES, "one view decides on HTTP/2, too");

/* Whether @magic stands at @offset, as far as the bytes go. */
static bool may_have(struct slice first, size_t offset, unsigned magic)
{
	if (first.len >= offset + 2)
		return load_u16(first.data + offset) == magic;
	return first.len <= offset || first.data[offset] == magic >> 8;
}

/* Too few bytes that fit a form only say that it is not excluded. */
static enum sniff_form when_whole(struct slice first, enum sniff_form form)
{
	return first.len < SNIFF_BYTES ? SNIFF_MORE : form;
}

enum sniff_form sniff_payload(struct slice first)
{
	if (may_have(first, 0, THRIFT_MAGIC))
		return when_whole(first, SNIFF_BARE_THRIFT);
	if (may_have(first, MAGIC_AT, THRIFT_MAGIC))
		return when_whole(first, SNIFF_FRAMED_THRIFT);
	if (may_have(first, MAGIC_AT, KITEXPB_MAGIC))
		return when_whole(first, SNIFF_FRAMED_KITEXPB);
	return SNIFF_UNKNOWN;
}

enum sniff_form sniff_message(struct slice first)
{
	if (may_have(first, MAGIC_AT, TTHEADER_MAGIC))
		return when_whole(first, SNIFF_TTHEADER);
	if (may_have(first, 0, MESHHEADER_MAGIC))
		return when_whole(first, SNIFF_MESH);
	return sniff_payload(first);
}

enum sniff_family sniff_family(struct slice first)
{
	struct slice preface = SLICE_LIT(HTTP2_PREFACE);
	enum sniff_form form = sniff_message(first);

	if (slice_starts(first, preface))
		return SNIFF_FAMILY_HTTP2;
	if (slice_starts(preface, first) || form == SNIFF_MORE)
		return SNIFF_FAMILY_MORE;
	if (form == SNIFF_UNKNOWN)
		return SNIFF_FAMILY_UNKNOWN;
	if (form == SNIFF_TTHEADER && load_u16(first.data + FLAGS_AT) & TTHEADER_FLAG_STREAMING)
		return SNIFF_FAMILY_TTSTREAM;
	return SNIFF_FAMILY_UNARY;
}
