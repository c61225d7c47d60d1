/*
 * A new configuration in place of the old one, in the running process. Everything that can fail is
 * done first and aside; then all of it changes together, or nothing does.
 */
#ifndef BRIDLE_DAEMON_RELOAD_H
#define BRIDLE_DAEMON_RELOAD_H

#include "daemon/control.h"
#include "daemon/fixed_keys.h"

struct reload_result {
	bool ok;
	bool is_unchanged;                /* ok, and the file says what it said before */
	struct err err;                   /* when not ok */
	struct problems problems;         /* of the file; warnings too */
	const char *kept[FIXED_KEYS_MAX]; /* keys whose new values wait for the next start */
	size_t n_kept;
};

/* Loads the file of the options. */
struct config *reload_read(const struct options *options, struct problems *problems);
/* The same, and NULL, too, when one of the file's own tests fails; that is among the problems. */
struct config *reload_read_tested(const struct options *options, struct problems *problems);

/* @is_dry: loads and checks only. The caller owns @result and gives it to reload_result_fini. */
void reload_run(struct control *c, bool is_dry, struct reload_result *result);
/* The same because the file may have changed, which nobody asked for: one that says what is in
 * force already is passed over in silence. */
void reload_run_if_changed(struct control *c);
void reload_result_fini(struct reload_result *result);

#endif
