/*
 * Looks after the configuration's file, or the files of its directory, while reload.watch is true,
 * and reloads when they may say something else. What becomes of that is reload.c's business; here
 * is only when.
 */
#ifndef BRIDLE_DAEMON_CONFIG_WATCH_H
#define BRIDLE_DAEMON_CONFIG_WATCH_H

struct config;
struct config_watch;
struct control;

/* @control is borrowed; its loop and its options have to be there. Watches nothing yet. */
struct config_watch *config_watch_new(struct control *control);
void config_watch_free(struct config_watch **watch);
/* Watches if @config, which is in force, wants it. */
void config_watch_follow(struct config_watch *watch, const struct config *config);
/* Right before the file is read, whoever wants that. */
void config_watch_mark(struct config_watch *watch);

#endif
