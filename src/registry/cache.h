/*
 * The last good sets and documents of a registry as a file, so that a start with the registry away
 * serves at once, and as before.
 * Lines of text under a checksum; a file that is damaged, foreign or of another version is as good
 * as none. Reads and writes bytes; when it is written, and by whom, is cache_writer's business.
 */
#ifndef BRIDLE_REGISTRY_CACHE_H
#define BRIDLE_REGISTRY_CACHE_H

#include "base/text.h"
#include "registry/registry.h"

#define CACHE_SIZE_MAX (64u * 1024 * 1024)

struct cached;
struct endpoint_list;

/* What is remembered of one service. */
struct cached_set {
	const char *name, *revision;
	usec_t at;                 /* calendar: when it was last confirmed */
	struct endpoint_list *set; /* borrowed */
};

/* A document that there was. */
struct cached_document {
	const char *key, *text;
};

/* What goes into a file. */
struct cache_content {
	const struct cached_set *sets;
	size_t n_sets;
	const struct cached_document *documents;
	size_t n_documents;
};

/* NULL with @err set when the file cannot be used, with no text in it when there is none. */
struct cached *cache_load(const struct registry_config *config, struct err *err);
/* The same for its bytes. */
struct cached *cache_parse(
    struct slice bytes, const struct registry_config *config, struct err *err);
void cached_free(struct cached **cached);
size_t cached_services(const struct cached *cached);
/* False when it does not hold that service; @cached may be NULL. */
bool cached_get(const struct cached *cached, struct slice service, struct cached_set *set);
/* NULL when it does not hold that document. */
const char *cached_text(const struct cached *cached, struct slice key);

/* How every file of this version begins; the checksum of what follows comes after it. */
#define CACHE_HEAD "bridle-cache 1 "
uint64_t cache_checksum(struct slice s);
void cache_format(
    struct text *out, const struct registry_config *config, const struct cache_content *content);
/* Replaces the file as a whole, or not at all; blocks for as long as the disk takes. */
int cache_replace(const char *path, struct slice bytes, struct err *err);

#endif
