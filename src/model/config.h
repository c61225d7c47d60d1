/*
 * The configuration as plain values: what a file says, with every default filled in and every
 * inheritance resolved. Built by config_load, never changed afterwards; all of it lies in one arena
 * and goes with config_free.
 *
 * Times are microseconds, sizes bytes. USEC_NONE and COUNT_NONE mean that the file says `none`.
 */
#ifndef BRIDLE_MODEL_CONFIG_H
#define BRIDLE_MODEL_CONFIG_H

#include <stdio.h>
#include <sys/types.h>

#include "base/address.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/http2_limits.h"
#include "base/log.h"
#include "base/protocol.h"

#define COUNT_NONE UINT64_MAX

struct config_pair {
	const char *name, *value;
};

/* A sorted list of names and values (tags). */
struct config_map {
	const struct config_pair *pairs;
	size_t n;
};

struct config_list {
	const char *const *items;
	size_t n;
};

/* What a call may do, merged: built-in < defaults < service < method. */
struct policy {
	usec_t timeout_connect;
	usec_t timeout_call;    /* USEC_NONE: only the caller's */
	usec_t timeout_default; /* where neither says anything */
	usec_t timeout_attempt;
	usec_t timeout_margin;   /* USEC_NONE: let the caller's own timer fire first */
	usec_t timeout_idle;     /* a stream on which nobody has anything to send */
	usec_t timeout_stream;   /* a whole stream */
	bool retry;              /* retry.type is not none */
	unsigned retry_attempts; /* after the first */
	bool retry_on_connect, retry_on_unsent;
	uint64_t retry_buffer; /* bytes of a gRPC call kept for another attempt; 0: none */
	unsigned pool_keep;    /* idle connections kept, for each endpoint and worker */
	usec_t pool_idle_timeout;
};

struct method_config {
	const char *name; /* "*" for all without an entry of their own */
	bool idempotent;
	struct policy policy;
};

struct endpoint_config {
	struct address address; /* a NAME stands for all its addresses */
	unsigned weight;
	struct config_map tags;
	const char *zone;
};

enum service_protocol {
	SERVICE_SAME,
	SERVICE_BUFFERED,
	SERVICE_FRAMED,
	SERVICE_TTHEADER, /* keeps the inner length that the call had */
	SERVICE_TTHEADER_FRAMED,
	SERVICE_TTHEADER_BARE,
	SERVICE_TTHEADER_STREAMING,
	SERVICE_GRPC,
};

/* How metadata reaches an application that cannot read TTHeader. */
enum service_metadata { METADATA_AUTO, METADATA_DROP };

enum balance_type { BALANCE_WEIGHTED_ROUND_ROBIN, BALANCE_ROUND_ROBIN, BALANCE_RANDOM };

struct service_config {
	const char *label; /* the map key; "*" never gets here in this version */
	const char *name;  /* on the wire and in registries */
	const struct endpoint_config *endpoints;
	size_t n_endpoints;
	struct config_list aliases;
	enum service_protocol protocol;
	bool multiplex;
	enum service_metadata metadata;
	bool biz_error_drop; /* biz_error: drop */
	enum balance_type balance;
	struct policy policy;
	const struct method_config *methods; /* sorted by name */
	size_t n_methods;
};

/* allow and deny */
struct access_rule {
	enum { ACCESS_CIDR, ACCESS_UID, ACCESS_GID } kind;
	struct cidr cidr;
	uint32_t id; /* uid or gid */
};

struct access_list {
	const struct access_rule *rules;
	size_t n;
};

enum caller_source { CALLER_AS_STATED, CALLER_NODE, CALLER_UID };

struct caller_uid {
	uid_t uid;
	const char *name;
};

struct listener_config {
	const char *name;
	const struct address *addresses;
	size_t n_addresses;
	const struct service_config *service; /* the pin, or NULL */
	unsigned protocols;                   /* PROTOCOL_BIT()s that may be detected */
	enum caller_source caller;
	const struct caller_uid *caller_uids;
	size_t n_caller_uids;
	bool caller_address_set; /* write `rip` */
	uint64_t connections;
	usec_t timeout_detect, timeout_message, timeout_idle, timeout_write_stall;
	uint64_t max_message, max_header;
	unsigned in_flight;
	mode_t mode;
	const char *owner, *group; /* NULL: the daemon's */
	struct access_list allow, deny;
	bool strict_service;
	usec_t max_age; /* a connection is drained when it is about so old; USEC_NONE: never */
	struct http2_limits http2;
};

struct access_log_config {
	const char *to;     /* NULL: none; "stderr", "stdout" or a path */
	const char *format; /* NULL: json */
	double sample;      /* 0..1 */
	bool always_errors;
	usec_t always_slower_than; /* USEC_NONE: no such rule */
};

struct config {
	struct arena arena; /* owns everything below */
	char hash[17];      /* of the effective content, for /status and bridle_config_info */
	unsigned version;   /* of the file's format: 1 */

	struct {
		const char *service, *cluster, *zone, *id;
		struct config_map tags;
	} node;
	unsigned workers;
	struct policy defaults; /* already in every service */

	const struct listener_config *listeners;
	size_t n_listeners;
	const struct service_config *const *services; /* sorted by label */
	size_t n_services;

	struct {
		const char *socket;
		bool has_http;
		struct address http;
	} admin;
	struct {
		enum log_level level;
		const char *to; /* "stderr", "stdout" or a path */
		bool json;
	} log;
	struct access_log_config access_log;
	struct {
		usec_t drain, spread;
	} shutdown;
	usec_t reload_drain;
	uint64_t limit_connections;
	uint64_t limit_memory; /* auto already worked out */
	struct config_list resolvers;

	const struct config_origins *origins; /* where each value came from, for config_dump */
};

/* What is wrong with a file, or doubtful. */
struct problem {
	const char *file;
	unsigned line, column; /* 1-based; 0 when there is no place */
	const char *path;      /* listeners[0].timeout.idle */
	const char *text;
	const char *remedy; /* what was expected, the nearest spelling; may be NULL */
	bool is_warning;
};

struct problems {
	struct arena arena;
	struct problem *list; /* owned, in the order of file, line, column */
	size_t n, n_errors;
};

void problems_init(struct problems *p);
void problems_fini(struct problems *p);
/* file:line:column: error: path: text, then the remedy indented; one problem after another. */
void problems_print(const struct problems *p, FILE *to, bool with_warnings);

struct config_source {
	const char *path;             /* file or directory */
	const char *const *overrides; /* --set path=value */
	size_t n_overrides;
	const char *(*getenv)(const char *name); /* for ${NAME}; NULL: the process's environment */
};

/*
 * Loads and checks. Returns the configuration, owned by the caller, or NULL when there was an error;
 * all problems are in @problems either way. Does not bind, connect or resolve.
 */
struct config *config_load(const struct config_source *source, struct problems *problems);
/* The same for a file that is in memory already and is called @name; source->path is not read. */
struct config *config_load_text(struct slice text, const char *name,
    const struct config_source *source, struct problems *problems);
void config_free(struct config **config);
/* The service with that label, or NULL. */
const struct service_config *config_service(const struct config *config, struct slice label);

/* The effective configuration in the long form, every value with "# file:line" or "# default";
 * itself a file that loads to the same configuration. */
void config_dump(const struct config *config, FILE *to);
/* JSON Schema (draft 2020-12) of the file. */
void config_schema(FILE *to);
/* The list of keys for bridled.yaml(5), in mdoc. */
void config_manual(FILE *to);

#endif
