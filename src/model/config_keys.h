/*
 * The table of keys, the one description of the file: it drives parsing, defaults, the dump, the
 * JSON Schema and the manual. A key belongs to a scope, which is a struct that keys fill; a dotted
 * name lies in nested maps of the file and in the same struct.
 */
#ifndef BRIDLE_MODEL_CONFIG_KEYS_H
#define BRIDLE_MODEL_CONFIG_KEYS_H

#include "model/config.h"

struct binder;
struct key;
struct yaml_node;

enum {
	KEY_REQUIRED = 1 << 0,
	KEY_NONE = 1 << 1,   /* `none` switches it off */
	KEY_SHORT = 1 << 2,  /* what the map above means when it is written as this value alone */
	KEY_AUTO = 1 << 3,   /* `auto` is worked out by fill */
	KEY_ONE_OF = 1 << 4, /* one of such keys of the scope is there */
};

/* A word with a meaning: the value of an enum, a bit, or the offset of a bool. */
struct word {
	const char *word;
	unsigned value;
	bool is_later; /* known, but not in this version; also stands for word:<anything> */
};

/* What a key holds, for the dump. */
enum key_shape {
	KEY_VALUE,  /* written on one line by print */
	KEY_STRUCT, /* of the key's scope, where find gives one; else print says what there is */
	KEY_LIST,   /* structs of the key's scope, found by its item */
	KEY_MAP,
	KEY_LIST_OR_NONE, /* a list where find gives something, else print says what there is */
};

struct key_type {
	const char *name; /* in the manual */
	/* Reads the node into the struct of the scope. Returns -1 when it has complained. */
	int (*parse)(
	    struct binder *b, const struct key *key, const struct yaml_node *node, void *base);
	/* The value as it is written in a file; NULL where the dump walks the scope. */
	void (*print)(const struct key *key, const void *base, FILE *to);
	void (*schema)(const struct key *key, FILE *to);
	enum key_shape shape;
	const void *(*find)(const struct key *key, const void *base);
};

struct key {
	const char *name;
	const struct key_type *type; /* NULL: known, but not in this version */
	size_t offset;               /* in the struct of the scope */
	const char *fallback;        /* the default, as one would write it */
	const char *worked_out;      /* the default in words, where fill finds it */
	void (*fill)(struct binder *b, void *base);
	uint64_t min, max; /* of numbers; max 0: no bound of its own */
	const struct word *words;
	const struct scope *scope; /* of the values of a list or map, or of this one */
	unsigned flags;
	/* Of @base: the value stands elsewhere, or there is none; the dump leaves it out. */
	bool (*is_absent)(const struct key *key, const void *base);
	const char *missing; /* the remedy where a required key is not there, or a list is empty */
	const char *text;    /* for the manual, in sentences */
};

struct scope {
	const char *name;
	const struct key *keys;
	size_t n;
	size_t size; /* of the struct */
	/* Further keys, in a struct inside this one; they are inherited. */
	const struct scope *include;
	size_t include_at;
	/* The values of a list or map of this scope: the i-th of what the key holds in @base, and
	 * the label it has, or NULL past the end. */
	const void *(*item)(const void *base, size_t i, const char **label);
};

extern const struct scope top_scope, listener_scope, service_scope, endpoint_scope, method_scope,
    policy_scope, backoff_scope, limit_scope, breaker_scope, acl_scope, route_scope, fault_scope,
    route_policy_scope, test_scope, registry_scope, tls_scope;

/* Key @i of the scope and of what it includes, with the struct it fills in @base (which may be
 * NULL); NULL past the end. */
const struct key *scope_key(const struct scope *scope, size_t i, void *base, void **at);

extern const struct key_type key_bool, key_count, key_count64, key_size, key_buffer, key_time,
    key_rate, key_share, key_share_or_zero, key_budget, key_mode, key_memory, key_version,
    key_count_or_zero;
extern const struct key_type key_text, key_name, key_service_name, key_path, key_log_target,
    key_format, key_word, key_word_bool, key_carrier, key_word_bits, key_names, key_pairs;
extern const struct key_type key_address, key_addresses, key_http, key_access, key_caller,
    key_resolvers, key_url;
extern const struct key_type key_attempts, key_retry_on, key_eject_on, key_backoff,
    key_time_or_zero;
extern const struct key_type key_limit, key_limit_rate, key_breaker, key_acl, key_allow, key_deny;
extern const struct key_type key_fact, key_set, key_rename, key_copy, key_remove, key_reserved,
    key_match;
extern const struct key_type key_service, key_subset, key_subsets, key_split, key_route_fallback,
    key_routes, key_route_policy, key_fault, key_abort_reason, key_exception, key_reset;
extern const struct key_type key_location, key_tests, key_test_listener, key_test_call,
    key_test_facts, key_test_expected, key_test_id, key_reason, key_slice;
extern const struct key_type key_registries, key_registry, key_registry_endpoints, key_register_in,
    key_register_address, key_tls, key_ca, key_secret, key_empty, key_prefix, key_base, key_port,
    key_locked;
extern const struct key_type key_policy, key_listeners, key_services, key_endpoints, key_methods;

/* Works out what depends on the machine. */
void fill_workers(struct binder *b, void *base);
void fill_node_id(struct binder *b, void *base);
void fill_admin_socket(struct binder *b, void *base);
void fill_metadata_socket(struct binder *b, void *base);
void fill_memory(struct binder *b, void *base);
void fill_listener_name(struct binder *b, void *base);
void fill_service_name(struct binder *b, void *base);
void fill_burst(struct binder *b, void *base);

/* At which level the policy's own limits, breakers and ACLs stand. */
enum level policy_level(const struct policy *policy);
/* Where the limits, breakers or ACLs that hold for a policy were written, the nearest first. */
void slots_print(const struct key *key, const struct policy *policy, FILE *to);
bool slot_is_inherited(const struct key *key, const void *base);
bool rule_is_deny(const struct key *key, const void *base);
bool rule_is_allow(const struct key *key, const void *base);

/* Whether a reference stands for one that leads nowhere, about which enough is said. */
bool registry_is_nowhere(const struct registry_config *registry);
/* What is printed in place of a secret that stands in the file. */
#define SECRET_REDACTED "<redacted>"
/* Whether a registry of its type and format has that key. */
bool registry_knows(const struct registry_config *registry, const char *key);
/* The types that have it: "etcd, nacos". */
void registry_list_types(const char *key, char *text, size_t size);

/* What the dump leaves out of a registry, and of services. */
bool registry_key_is_foreign(const struct key *key, const void *base);
bool service_is_template(const struct key *key, const void *base);
bool service_is_without_endpoints(const struct key *key, const void *base);
bool service_is_not_discovered(const struct key *key, const void *base);
bool service_is_not_registered(const struct key *key, const void *base);
bool service_is_not_governed(const struct key *key, const void *base);

/* A text as it is written in YAML, quoted where it must be. */
void print_text(struct slice text, FILE *to);
/* The same for the key of a map, in which nothing is filled in. */
void print_label(struct slice text, FILE *to);
void match_print(const struct match *match, FILE *to);
/* One network, or a list of them. */
void print_networks(const struct cidr *cidrs, size_t n, FILE *to);
/* The inside of JSON's quotes. */
void print_json(struct slice text, FILE *to);

#endif
