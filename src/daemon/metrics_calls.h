/* The families that count calls: Kitex's four, and our own by reason and by time. */
#ifndef BRIDLE_DAEMON_METRICS_CALLS_H
#define BRIDLE_DAEMON_METRICS_CALLS_H

struct arena;
struct metrics_source;
struct text;

void metrics_render_calls(
    const struct metrics_source *source, struct arena *arena, struct text *out);

#endif
