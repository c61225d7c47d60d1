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
#include "base/reason.h"
#include "model/config_map.h"
#include "policy/breaker.h"
#include "policy/eject.h"
#include "policy/lb.h"
#include "policy/match.h"
#include "policy/retry.h"

#define COUNT_NONE UINT64_MAX

struct config_list {
	const char *const *items;
	size_t n;
};

struct service_config;
struct policy;

/* Where in the order of inheritance something was written. Limits, breakers and ACLs are not
 * merged: each stands at its own level. */
enum level { LEVEL_DEFAULTS, LEVEL_SERVICE, LEVEL_ROUTE, LEVEL_METHOD, LEVELS };

enum limit_by { LIMIT_BY_NONE, LIMIT_BY_CALLER, LIMIT_BY_METHOD };

struct limit_config {
	const char *at; /* its path in the file: services.a.limit */
	bool has_rate;
	struct rate rate;
	unsigned
	    burst; /* worked out where it is not given: a tenth of a second's calls, at least 1 */
	uint64_t concurrency;  /* COUNT_NONE: no limit */
	unsigned queue_length; /* 0: no queue */
	usec_t queue_wait;
	enum limit_by by;
	bool share_equal;
};

struct breaker_config {
	const char *at;
	struct breaker_policy policy;
};

struct acl_rule {
	const char *at; /* services.a.acl[0] */
	bool is_allow;
	struct match match;
};

struct acl_config {
	const struct acl_rule *rules;
	size_t n;
};

enum health_type { HEALTH_NONE, HEALTH_TCP, HEALTH_THRIFT, HEALTH_GRPC };

struct health_config {
	enum health_type type;
	const char *method; /* thrift: the method called; grpc: the service asked about */
	usec_t interval, timeout;
	unsigned rise, fall;
};

enum fallback_on {
	FALLBACK_ON_TIMEOUT = 1 << 0,
	FALLBACK_ON_BREAKER = 1 << 1,
	FALLBACK_ON_NO_ENDPOINT = 1 << 2,
	FALLBACK_ON_ANY = 1 << 3, /* whatever else the proxy would answer, or any exception */
};

/* What a call may do, merged: built-in < defaults < service < route < method. */
struct policy {
	usec_t timeout_connect;
	usec_t timeout_call;    /* USEC_NONE: only the caller's */
	usec_t timeout_default; /* where neither says anything */
	usec_t timeout_attempt;
	usec_t timeout_margin; /* USEC_NONE: let the caller's own timer fire first */
	usec_t timeout_idle;   /* a stream on which nobody has anything to send */
	usec_t timeout_stream; /* a whole stream */
	struct retry_policy retry;
	struct eject_policy eject;
	struct health_config
	    health;         /* of the service's policy only; a route or method cannot have it */
	unsigned pool_keep; /* idle connections kept, for each endpoint and worker */
	usec_t pool_idle_timeout;
	unsigned pool_connections; /* at most, for each endpoint and worker; UINT32_MAX: none */
	unsigned pool_warm;        /* connections made before they are needed; 0: none */
	unsigned fallback_on;      /* enum fallback_on; 0: none */
	const struct service_config *fallback;
	double degrade; /* 0..1 of the calls refused at random */
	/* By the level at which they stand; NULL: none there. Those of defaults hold for a service
	 * only where it has none of its own (an ACL: in any case). */
	const struct limit_config *limits[LEVELS];
	const struct breaker_config *breakers[LEVELS];
	const struct acl_config *acls[LEVELS];

	bool is_idempotent; /* the method's: not inherited from anywhere */
	/* Which policy this is: for messages, and for what is counted by it. */
	const struct service_config *service; /* whose calls it is for; NULL: defaults */
	const struct route_config *route;     /* NULL: none */
	const char *method;                   /* NULL: no method of its own; "*" */
	size_t index;                         /* in config->policies */
};

struct method_config {
	const char *name; /* "*" for all without an entry of their own */
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

/* How metadata reaches an application that cannot read TTHeader, or comes from it. */
enum service_metadata {
	METADATA_AUTO,
	METADATA_DROP,
	METADATA_BASE255,
	METADATA_ARGFIELD,
	METADATA_LOOKUP,
	METADATA_PROXY_V2,
};

/* What becomes of metadata that a body has already. */
enum metadata_merge { METADATA_FILL, METADATA_KEEP, METADATA_REPLACE };

struct metadata_config {
	enum service_metadata type;
	int16_t field; /* ARGFIELD: the id of the argument */
	enum metadata_merge merge;
};

/* It travels in the bodies of calls. */
static inline bool metadata_is_in_body(const struct metadata_config *metadata)
{
	return metadata->type == METADATA_BASE255 || metadata->type == METADATA_ARGFIELD;
}

enum balance_zone { ZONE_ANY, ZONE_PREFER, ZONE_ONLY };

struct balance_config {
	enum lb_type type;
	struct fact_key key; /* FACT_NONE: not given */
	unsigned virtual_nodes, choices;
	usec_t slow_start; /* USEC_NONE: none */
	enum balance_zone zone;
	double panic; /* 0..1: when fewer of the endpoints are usable, all are used */
};

/* The endpoints that carry all of these tags; the value "" means that the tag is missing or
 * empty. */
struct subset_config {
	const char *name;
	struct config_map tags;
};

enum subset_fallback { SUBSET_BASE, SUBSET_ANY, SUBSET_NONE };

struct subset_by_config {
	const char *tag; /* NULL: there is no subset_by */
	struct fact_key key;
	enum subset_fallback fallback;
};

struct split_part {
	const struct subset_config *subset;
	unsigned weight;
};

struct fact_value {
	struct fact_key key;
	struct slice value;
};

/* On which calls a route makes a change: on all, or by whether they have the fact already. */
enum change_when { WHEN_ALWAYS, WHEN_ABSENT, WHEN_PRESENT };

/* The fact `to` gets a value, or that of another. */
struct route_change {
	struct fact_key to;
	struct fact_key from; /* of rename and copy */
	struct slice value;   /* of set */
	enum change_when when;
};

/* What an injected fault looks like to the caller. */
struct fault_config {
	usec_t delay; /* 0: none */
	double delay_percent;
	bool has_abort, is_reset;
	enum reason abort_reason; /* REASON_FAULT_INJECTED unless another is named */
	int32_t abort_exception;  /* the exception's type, -1: by the reason */
	double abort_percent;
};

struct route_config {
	const char *at;   /* services.a.routes[0] */
	const char *name; /* for logs: given, or NULL */
	struct match match;
	/* Where it leads: another service (NULL: this one), a subset of it (NULL: all), or a
	 * split. */
	const struct service_config *to;
	const struct subset_config *subset;
	const struct split_part *split;
	size_t n_split;
	unsigned split_total;
	struct fact_key sticky;               /* FACT_NONE: by chance */
	const struct subset_config *fallback; /* when the chosen subset is empty; NULL: none */
	bool fallback_any;                    /* fallback: any: all endpoints */
	const struct fact_key *remove;
	size_t n_remove;
	const struct route_change *rename, *copy, *set;
	size_t n_rename, n_copy, n_set;
	const struct service_config *mirror; /* NULL: none */
	double mirror_percent;
	struct fault_config fault;
	bool has_policy;
	/* The merged policies of calls that it leads: for methods without an entry, and one for
	 * each of the methods of the service it leads to. NULL: those of that service. */
	const struct policy *policy, *methods;
};

enum registry_type {
	REGISTRY_ETCD,
	REGISTRY_ZOOKEEPER,
	REGISTRY_CONSUL,
	REGISTRY_NACOS,
	REGISTRY_DNS,
	REGISTRY_FILE,
};

/* Whose layout of keys and values a registry holds. */
enum registry_format { REGISTRY_FORMAT_KITEX, REGISTRY_FORMAT_RPCX };

/* How connections that we open are encrypted; paths are as in the file. */
struct tls_config {
	bool is_on;
	const char *ca;         /* certificates that are trusted; NULL: the system's */
	const char *cert, *key; /* our own; NULL: none */
	const char *sni;        /* the name asked for and verified; NULL: the host of the address */
	bool verify_none;
};

/* A secret: written in the file, or in a file of its own that is read whenever it is needed. Both
 * NULL: there is none. */
struct secret_config {
	const char *text, *file;
};

/* Where services are found and registered. What a type does not know is left at its default. */
struct registry_config {
	const char *name;
	enum registry_type type;
	const struct address *endpoints; /* may be NAMEs */
	size_t n_endpoints;
	struct tls_config tls;
	const char *user; /* NULL: none */
	struct secret_config password;
	usec_t refresh;    /* between two looks where there is no watch */
	const char *cache; /* file of the last good sets; NULL: none */
	usec_t empty_keep; /* how long an empty answer is not believed; 0: obeyed at once */
	enum registry_format format;
	const char *prefix;         /* etcd: without a trailing slash; "" is a prefix, too */
	const char *base;           /* zookeeper; of format rpcx, consul too: "" or like /rpcx */
	usec_t session;             /* zookeeper */
	struct secret_config auth;  /* zookeeper: user:password of the digest scheme */
	struct secret_config token; /* consul */
	const char *datacenter;     /* consul; NULL: the agent's */
	bool check_ttl;             /* consul: we tell the agent; else it connects by itself */
	const char *namespace, *group, *cluster; /* nacos */
	usec_t beat;                             /* nacos */
	uint16_t port;                           /* dns: of names that are not asked for as SRV */
	const char *path;                        /* file */
};

/* Where a service is found. */
struct discover_config {
	const struct registry_config *from; /* NULL: it is not looked up */
	struct config_map tags;             /* that an endpoint must have */
};

/* Where, and as what, the application behind a service is published. */
struct register_config {
	const struct registry_config *const *in;
	size_t n_in; /* 0: it is not */
	bool has_address;
	struct address address; /* a TCP address; without one: see registrations */
	unsigned weight;
	struct config_map tags;
	usec_t ttl;
	bool always; /* when: always; else while the application answers */
};

/* Where Kitex's dynamic configuration of a service lies. */
struct governance_config {
	const struct registry_config *from; /* NULL: nowhere */
	const char *prefix;                 /* like /KitexConfig */
	struct config_list locked;          /* keys that stay as the file says, like "retry" */
};

struct service_config {
	const char *label; /* the map key; "*" for the template of names that are not listed */
	const char *name;  /* on the wire and in registries */
	const struct endpoint_config *endpoints;
	size_t n_endpoints; /* 0: it is discovered, or all calls are led elsewhere by routes */
	struct discover_config discover;
	struct register_config registration;
	struct governance_config governance;
	bool is_found; /* not in the file: a name that a call gave, under the keys of "*" */
	struct config_list aliases;
	enum service_protocol protocol;
	bool multiplex;
	struct metadata_config metadata;
	bool correlate; /* outgoing calls of its application belong to the one call in flight */
	bool biz_error_drop; /* biz_error: drop */
	struct balance_config balance;
	const struct subset_config *subsets; /* sorted by name */
	size_t n_subsets;
	struct subset_by_config subset_by;
	const struct route_config *routes;
	size_t n_routes;
	struct policy policy;
	const struct method_config *methods; /* sorted by name */
	size_t n_methods;
};

/* One of the file's own tests: a call, and what has to become of it. */
struct test_config {
	const char *at;                         /* tests[0] */
	const struct listener_config *listener; /* NULL: the first unpinned one, else the first */
	struct slice service, idl_service, method, caller, caller_method, source;
	const struct fact_value *facts; /* meta, header, int, field */
	size_t n_facts;
	/* Expected; empty or NULL: does not matter. */
	const struct fact_value *expected; /* as the call goes on; an empty value: it has none */
	size_t n_expected;
	const char *service_label, *subset, *route;
	struct config_map endpoint_tags;
	usec_t timeout;    /* USEC_NONE: does not matter */
	unsigned attempts; /* in all; 0: does not matter */
	enum reason reason;
	bool has_reason;
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

/* What no caller of a listener may state. */
struct reserved_name {
	struct fact_key key; /* META, HEADER, INT; its text is as written */
	bool is_prefix;      /* all names that begin so */
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
	const struct reserved_name *reserved;
	size_t n_reserved;
	struct metadata_config
	    metadata; /* of callers without a header; AUTO: as config_callers_metadata has it */
	/* Of a listener that only this machine reaches: in which place all applications on it that
	 * are given metadata in bodies have it, and so bring it. NULL: none, or not in one. */
	const struct metadata_config *neighbours;
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

/* http://host:port/path, or https://. */
struct url_config {
	const char *text; /* NULL: none */
	bool is_tls;
	struct address server; /* its text without a default port's */
	const char *path;      /* "" or like /otlp, without a slash at its end */
};

/* How the context of a trace is spelled. */
enum trace_form {
	TRACE_W3C = 1u << 0,   /* traceparent */
	TRACE_B3 = 1u << 1,    /* b3, x-b3-... */
	TRACE_KITEX = 1u << 2, /* traceparent as Kitex's transient metadata, in every protocol */
};

struct tracing_config {
	unsigned propagate;     /* enum trace_form; 0: contexts pass as they arrive */
	struct url_config otlp; /* where spans go */
	struct tls_config tls;  /* of it */
	double sample;          /* 0..1, of the traces that begin here */
};

/* Where callers of the listener that send no header have their metadata: its own word, or what the
 * service that it is pinned to says, or where the applications beside it have theirs. */
static inline const struct metadata_config *config_callers_metadata(
    const struct listener_config *listener)
{
	const struct service_config *pin = listener->service;

	if (listener->metadata.type != METADATA_AUTO || pin == NULL)
		return &listener->metadata;
	if (pin->metadata.type != METADATA_AUTO || listener->neighbours == NULL)
		return &pin->metadata;
	return listener->neighbours;
}

struct config {
	struct arena arena; /* owns everything below */
	char hash[17];      /* of the effective content, for /status and bridle_config_info */
	unsigned version;   /* of the file's format: 1 */

	struct {
		const char *service, *cluster, *zone, *id;
		struct config_map tags;
		bool has_location;
		double latitude, longitude; /* degrees */
	} node;
	unsigned workers;
	struct policy defaults;                          /* already in every service */
	const struct registry_config *const *registries; /* sorted by name */
	size_t n_registries;

	const struct listener_config *listeners;
	size_t n_listeners;
	const struct service_config *const *services; /* sorted by label; "*" is not among them */
	size_t n_services;
	const struct service_config *any;     /* the template "*", or NULL */
	const struct policy *const *policies; /* all there are, each with its index */
	size_t n_policies;
	const struct test_config *tests;
	size_t n_tests;

	struct {
		const char *socket;
		bool has_http;
		struct address http;
	} admin;
	const char *metadata_socket; /* where applications ask for their call's metadata */
	struct {
		enum log_level level;
		const char *to; /* "stderr", "stdout" or a path */
		bool json;
	} log;
	struct access_log_config access_log;
	struct tracing_config tracing;
	struct {
		usec_t deregister_wait, drain, spread;
	} shutdown;
	usec_t reload_drain;
	bool reload_watch;
	struct {
		usec_t timeout; /* for the new process to prove itself */
		usec_t drain;
	} upgrade;
	uint64_t limit_connections;
	uint64_t limit_memory; /* auto already worked out */
	struct config_list resolvers;

	const struct config_origins *origins; /* where each value came from, for config_dump */
	struct config_tree *tree;             /* owned reference: what config_derive binds anew */
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
 * Loads and checks. Returns the configuration, owned by the caller, or NULL when there was an
 * error; all problems are in @problems either way. Does not bind, connect or resolve.
 */
struct config *config_load(const struct config_source *source, struct problems *problems);
/* The same for a file that is in memory already and is called @name; source->path is not read. */
struct config *config_load_text(struct slice text, const char *name,
    const struct config_source *source, struct problems *problems);
void config_free(struct config **config);

/* A value that is put over the file's while it is in use. */
struct config_overlay {
	const char
	    *path; /* services.shop.price.methods.Quote.timeout.call, keys quoted as for --set */
	const char *value;  /* YAML */
	const char *source; /* where it came from, as its origin in dumps and messages */
};

struct config_additions {
	const struct slice *names; /* of services, under the keys of "*" */
	size_t n_names;
	const struct config_overlay *overlays;
	size_t n_overlays;
};

/*
 * The configuration that @base would be if its file said more: what was read for it, bound and
 * checked again with these additions over it; nothing is read anew, and what was added to @base
 * itself does not count. Its hash stays that of @base: it tells which file is in use. Names that no
 * service may have, or that the file has as label, name or alias, are left out. An overlay has no
 * variables; a method that only overlays name begins with what "*" has. One that is wrong is left
 * out, and is among the @problems with its source as the file; warnings are not looked for. The
 * result is the caller's and does not need @base. NULL only where the file itself would be refused
 * now.
 */
struct config *config_derive(
    const struct config *base, const struct config_additions *with, struct problems *problems);

/* Applications may ask for metadata: a service says so, or the path is written. */
bool config_has_metadata_socket(const struct config *config);
const struct registry_config *config_registry(const struct config *config, struct slice name);
const char *registry_type_name(enum registry_type type);
/* The service with that label, or NULL. */
const struct service_config *config_service(const struct config *config, struct slice label);
/* Where an endpoint with these tags is: by location ("48.14,11.58"), else by latitude and
 * longitude. Returns 0 with the degrees, -ENOENT when the tags say nothing, -EINVAL when they say
 * nonsense. */
int config_place_of(const struct config_map *tags, double *latitude, double *longitude);

/* The effective configuration in the long form, every value with "# file:line" or "# default";
 * itself a file that loads to the same configuration. */
void config_dump(const struct config *config, FILE *to);
/* One merged policy, a line for each value: "timeout.call: 1s  # file:line". Limits, breakers
 * and ACLs, which are not merged, by where they stand: "limit: services.a.limit,
 * defaults.limit". */
void config_dump_policy(const struct config *config, const struct policy *policy, FILE *to);
/* JSON Schema (draft 2020-12) of the file. */
void config_schema(FILE *to);
/* The list of keys for bridled.yaml(5), in mdoc. */
void config_manual(FILE *to);

#endif
