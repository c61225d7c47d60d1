/*
 * Bytes from outside, written so that they harm neither a terminal nor a reader of JSON, and cut
 * where they would be too long.
 */
#ifndef BRIDLE_CTL_SHOWN_H
#define BRIDLE_CTL_SHOWN_H

#include "base/text.h"

/* UTF-8 in which nothing but tabs and line ends steers a terminal. */
bool shown_is_text(struct slice s);
/* In quotes, with escapes as JSON has them; what is no UTF-8 becomes U+FFFD. Of more than @max
 * bytes the first are written, and "…". Both for people and for JSON. */
void shown_quoted(struct text *out, struct slice s, size_t max);
/* Without quotes: one word of a line, in which '?' stands for what steers, and for spaces. */
void shown_word(struct text *out, struct slice s, size_t max);
/* Two digits a byte; "…" where there are more than @max bytes. */
void shown_hex(struct text *out, struct slice s, size_t max);

#endif
