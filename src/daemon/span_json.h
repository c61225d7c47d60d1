/*
 * Spans as OTLP says them in JSON: one request for a collector. Pure; where it goes is the
 * exporter's business.
 */
#ifndef BRIDLE_DAEMON_SPAN_JSON_H
#define BRIDLE_DAEMON_SPAN_JSON_H

#include "base/text.h"
#include "proxy/span.h"

/* Who we are to the collector; borrowed. */
struct span_resource {
	const char *service, *instance, *version, *zone; /* "" or NULL: left out */
};

/* A request is a beginning, spans with a comma between them, and an end. */
void span_json_begin(struct text *out, const struct span_resource *resource);
void span_json_add(struct text *out, const struct span *span);
void span_json_end(struct text *out);

#endif
