/* From nodes to structs: what the parts that parse share. */
#ifndef BRIDLE_MODEL_CONFIG_BIND_H
#define BRIDLE_MODEL_CONFIG_BIND_H

#include "base/table.h"
#include "model/config_keys.h"
#include "model/key_path.h"
#include "model/nearest.h"
#include "model/yaml.h"

/* Where a value of the configuration came from: the key @key of the struct @base, or with key NULL
 * the struct itself (or an element of a plain list). */
struct origin {
	struct {
		const void *base;
		const struct key *key;
	} id;
	struct place at;
	bool is_inherited; /* written for a struct that this one started as a copy of */
};

struct config_regex {
	struct config_regex *next;
	regex_t regex;
};

struct config_origins {
	struct table table;           /* id -> struct origin in the configuration's arena */
	struct table keys;            /* name -> the keys that have it, which is asked for often */
	struct config_regex *regexes; /* all of the file */
	const struct policy *builtin; /* that defaults start from */
};

void config_free_regexes(struct config_origins *origins);
/* What is found in @origins later lives in @arena, the configuration's. */
void origins_init(struct config_origins *origins, struct arena *arena);
void origins_fini(struct config_origins *origins);

/* NULL when the value is a default. */
const struct origin *origin_find(
    const struct config *config, const void *base, const struct key *key);
/* The same by the key's name. */
const struct origin *origin_named(const struct config *config, const void *base, const char *name);
/* Where to point: at the value, or where it is a default at the struct it belongs to. */
struct place origin_place(const struct config *config, const void *base, const char *name);

/* What is bound only when everything else is, because it needs all services. */
struct late {
	struct late *next;
	void (*bind)(struct binder *b, const struct late *late);
	void *base;
	const struct yaml_node *node;
	struct key_path path;
};

/* A service that is known before it is bound. */
struct declared {
	struct service_config *service;
	const struct yaml_node *node;
	const struct yaml_node **methods; /* once it is bound: as service->methods */
};

#define TEMPLATES_MAX 16u

struct binder {
	struct config *config;
	struct arena *arena;   /* the configuration's */
	struct arena *scratch; /* gone after loading */
	struct config_origins *origins;
	struct problems *problems;
	const struct config_source *from;
	struct key_path path;
	size_t index;              /* of the item of a list that is being bound */
	size_t merged;             /* policies of routes */
	enum level level;          /* of the policy that is being bound */
	struct declared *declared; /* in the order of their labels, "*" among them */
	size_t n_declared;
	struct service_config *service; /* that is being bound, or whose routes are */
	struct late *late, **late_end;
	struct allows *allows;
	/* Structs with every default in them, made once for each scope that repeats. */
	struct {
		const struct scope *scope;
		void *made; /* in the configuration's arena */
	} templates[TEMPLATES_MAX];
};

/* A struct of the scope with its defaults, which every item starts as a copy of. */
const void *bind_template(struct binder *b, const struct scope *scope);
/* Calls @bind with @base and @node when all services are bound, at this path. */
void bind_late(struct binder *b, void (*bind)(struct binder *b, const struct late *late),
    void *base, const struct yaml_node *node);
/* Makes the services that the file has, so that they can be referred to. */
void bind_declare(struct binder *b, const struct yaml_node *services);
/* A service by its label. On -1 it is said that there is none. */
int bind_service_named(struct binder *b, const struct yaml_node *node, struct slice label,
    const struct service_config **service);
/* What was said to be near enough: "; did you mean ...?", or "". */
const char *bind_meant(struct binder *b, const struct nearest *nearest);

/* Complains about a value; the part of the text behind a newline is the remedy. Returns -1. */
int bind_error(struct binder *b, const struct yaml_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "a list", "a map", "\"abc\"": for messages. Lives in the scratch arena. */
const char *bind_shows(struct binder *b, const struct yaml_node *node);
/* Complains that @node is no @what; @like says what one is. Returns -1. */
int bind_expected(
    struct binder *b, const struct yaml_node *node, const char *what, const char *like);

/* The scalar as text: not a number, a bool or nothing, unless quoted. */
int bind_text(struct binder *b, const struct yaml_node *node, struct slice *text);
/* Is it the word none? In quotes, too: in JSON there is no other way to write it. */
bool bind_is_none(const struct key *key, const struct yaml_node *node);
/* Only without quotes, for values that may be any text or name: "none" is one of them. */
bool bind_is_plain_none(const struct key *key, const struct yaml_node *node);
/* A share of 0..1 in per cent. */
int bind_share(
    struct binder *b, const struct key *key, const struct yaml_node *node, double *share);
/* The name of a fact of calls; @node is where to complain. */
int bind_fact(
    struct binder *b, const struct yaml_node *node, struct slice text, struct fact_key *key);
/* A predicate over the facts of a call. */
int bind_match(struct binder *b, const struct yaml_node *node, struct match *match);
/* A regular expression, compiled; the configuration owns it. */
int bind_regex(
    struct binder *b, const struct yaml_node *node, struct slice text, const regex_t **regex);
/* The value of a fact: text, whatever it looks like. */
int bind_fact_value(struct binder *b, const struct yaml_node *value, struct slice *text);
/* Letters, digits, dot, underscore and hyphen, 1 to 200 of them. */
int bind_name(struct binder *b, const struct yaml_node *node, struct slice text);

/* Remembers where a value was written. */
struct origin *bind_origin(
    struct binder *b, const void *base, const struct key *key, struct place at);
/* Fills the struct of a scope, whose defaults are in it already, and complains about every key that
 * it does not know. What an included scope inherits comes from @parent, a struct of that scope. */
void bind_scope(struct binder *b, const struct scope *scope, const struct yaml_node *node,
    void *base, const void *parent);
/* The keys of a scope that another includes, over a copy of @parent; names are not checked. */
void bind_included(struct binder *b, const struct scope *scope, const struct yaml_node *node,
    void *base, const void *parent);
/* Puts the defaults of a scope into a struct. */
void bind_defaults(struct binder *b, const struct scope *scope, void *base);

/* Fills config->policies, once all of them are merged. */
void config_number_policies(struct config *config);
/* Fills `neighbours` of all listeners, once the services are there. */
void config_know_neighbours(struct config *config);

#endif
