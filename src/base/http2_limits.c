#include "base/http2_limits.h"

static const char *const names[HTTP2_LIMITS] = {
    "resets",
    "control_frames",
    "unread_acks",
    "continuations",
    "header_fields",
    "empty_data",
    "priorities",
    "window_updates",
    "refused_streams",
};

const char *http2_limit_name(unsigned limit)
{
	return names[limit];
}

unsigned http2_limit_in(struct slice text)
{
	struct slice prefix = SLICE_LIT("http2.");
	unsigned i = 0;

	if (!slice_starts(text, prefix))
		return HTTP2_LIMITS;
	text = slice_from(text, prefix.len);
	for (; i < HTTP2_LIMITS; i++) {
		struct slice name = slice_str(names[i]);

		if (slice_starts(text, name) && text.len > name.len && text.data[name.len] == ':')
			break;
	}
	return i;
}
