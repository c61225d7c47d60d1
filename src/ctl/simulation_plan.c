#include "ctl/simulation_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "ctl/simulation_config.h"
#include "model/config_bind.h"

/* --- the keys --- */

static int keep_node(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	(void)b;
	*(const struct yaml_node **)(void *)((char *)base + key->offset) = node;
	return 0;
}

static const struct key_type key_node = {.name = "node", .parse = keep_node};

static int parse_item_time(
    struct binder *b, const struct key *key, const struct yaml_node *node, usec_t *value)
{
	const struct key one = {.name = key->name, .type = &key_time};

	return key_time.parse(b, &one, node, value);
}

/* [from, to] */
static int parse_span(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct simulated_span *span = (void *)((char *)base + key->offset);

	if (node->kind != NODE_LIST || node->n < 2)
		return bind_expected(b, node, "a span of time", "from and to, like [10s, 20s]");
	if (parse_item_time(b, key, node->first, &span->from) < 0 ||
	    parse_item_time(b, key, node->first->next, &span->to) < 0)
		return -1;
	if (span->from < span->to)
		return 0;
	return bind_error(
	    b, node, "the span ends before it begins\nexpected from and to, like [10s, 20s]");
}

static int parse_down(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	if (node->kind == NODE_LIST && node->n > 2)
		return bind_expected(b, node, "a span of time", "from and to, like [10s, 20s]");
	return parse_span(b, key, node, base);
}

static const struct key_type key_down = {.name = "span", .parse = parse_down};

/* [from, to, factor] */
static int parse_slow(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct simulated_endpoint *e = base;
	const char *like = "from, to and how many times slower, like [10s, 20s, 5]";
	const struct yaml_node *factor;
	char *text, *end;

	if (node->kind != NODE_LIST || node->n != 3)
		return bind_expected(b, node, "a slow span", like);
	if (parse_span(b, key, node, base) < 0)
		return -1;
	factor = node->last;
	if (factor->kind != NODE_SCALAR || yaml_scalar_kind(factor) != SCALAR_NUMBER)
		return bind_expected(b, factor, "a number", like);
	text = arena_str(b->scratch, factor->text);
	e->slow_factor = strtod(text, &end);
	if (*end == '\0' && e->slow_factor > 0 && e->slow_factor <= 1e6)
		return 0;
	return bind_error(
	    b, factor, "%s is out of range\nexpected %s", bind_shows(b, factor), like);
}

static const struct key_type key_slow = {.name = "slow span", .parse = parse_slow};

static const struct word failures[] = {
    {"reset", FAIL_RESET, false},
    {"timeout", FAIL_TIMEOUT, false},
    {"exception", FAIL_EXCEPTION, false},
    {"connect", FAIL_CONNECT, false},
    {NULL, 0, false},
};

static const struct key endpoint_keys[] = {
    {.name = "latency.p50",
	.type = &key_time,
	.offset = offsetof(struct simulated_endpoint, p50),
	.fallback = "1ms",
	.flags = KEY_SHORT},
    {.name = "latency.p99", .type = &key_time, .offset = offsetof(struct simulated_endpoint, p99)},
    {.name = "connect",
	.type = &key_time,
	.offset = offsetof(struct simulated_endpoint, connect),
	.fallback = "200us"},
    {.name = "fail",
	.type = &key_share,
	.offset = offsetof(struct simulated_endpoint, fail),
	.fallback = "0%"},
    {.name = "fail_kind",
	.type = &key_word,
	.offset = offsetof(struct simulated_endpoint, fail_kind),
	.fallback = "reset",
	.words = failures},
    {.name = "down", .type = &key_down, .offset = offsetof(struct simulated_endpoint, down)},
    {.name = "slow", .type = &key_slow, .offset = offsetof(struct simulated_endpoint, slow)},
    {.name = "concurrency",
	.type = &key_count,
	.offset = offsetof(struct simulated_endpoint, concurrency),
	.fallback = "none",
	.min = 1,
	.flags = KEY_NONE},
    {.name = "weight", .type = &key_node, .offset = offsetof(struct simulated_endpoint, weight)},
    {.name = "zone", .type = &key_node, .offset = offsetof(struct simulated_endpoint, zone)},
    {.name = "tags", .type = &key_node, .offset = offsetof(struct simulated_endpoint, tags)},
};

static const struct scope simulated_endpoint_scope = {
    .name = "Simulated endpoint",
    .keys = endpoint_keys,
    .n = ARRAY_LEN(endpoint_keys),
    .size = sizeof(struct simulated_endpoint),
};

static void check_endpoint(
    struct binder *b, const struct yaml_node *node, struct simulated_endpoint *e)
{
	if (e->p99 == 0)
		e->p99 = e->p50;
	if (e->p99 < e->p50)
		bind_error(b, node, "p99 is less than p50");
}

static int parse_endpoints(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct simulation_plan *plan = base;
	struct simulated_endpoint *list;
	size_t n = 0;

	(void)key;
	if (node->kind != NODE_MAP || node->n == 0)
		return bind_expected(b, node, "a map of endpoints",
		    "a map, like {\"10.0.0.1:8888\": {latency: 5ms}}");
	list = arena_calloc(b->arena, node->n, sizeof *list);
	for (const struct yaml_node *item = node->first; item; item = item->next, n++) {
		size_t before = key_path_key(&b->path, item->key);

		bind_defaults(b, &simulated_endpoint_scope, &list[n]);
		list[n].address = arena_str(b->arena, item->key);
		if (item->kind == NODE_MAP)
			bind_scope(b, &simulated_endpoint_scope, item, &list[n], NULL);
		else if (!item->is_bad)
			bind_expected(b, item, "a map", "a map, like {latency: 5ms}");
		check_endpoint(b, item, &list[n]);
		key_path_cut(&b->path, before);
	}
	plan->endpoints = list;
	plan->n_endpoints = n;
	return 0;
}

static const struct key_type key_simulated_endpoints = {
    .name = "map of endpoints", .parse = parse_endpoints};

static int parse_callers(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	const struct key count = {.name = key->name, .type = &key_count, .min = 1, .max = 1000000};
	struct simulation_plan *plan = base;
	struct simulated_caller *list;
	size_t n = 0;

	if (node->kind == NODE_SCALAR || node->n == 0)
		return bind_expected(b, node, "a list of callers",
		    "names, like [shop.cart, shop.web], or names with their parts, like "
		    "{shop.cart: 3, shop.web: 1}");
	list = arena_calloc(b->arena, node->n, sizeof *list);
	for (const struct yaml_node *item = node->first; item; item = item->next, n++) {
		list[n].share = 1;
		if (node->kind == NODE_MAP) {
			list[n].name = arena_copy(b->arena, item->key);
			if (count.type->parse(b, &count, item, &list[n].share) < 0)
				return -1;
		} else if (bind_text(b, item, &list[n].name) < 0) {
			return -1;
		}
	}
	plan->callers = list;
	plan->n_callers = n;
	return 0;
}

static const struct key_type key_callers = {.name = "callers", .parse = parse_callers};

static int parse_call(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct simulation_plan *plan = base;
	const uint8_t *slash;

	(void)key;
	if (bind_text(b, node, &plan->service) < 0)
		return -1;
	plan->service = arena_copy(b->arena, plan->service);
	plan->call = arena_str(b->arena, plan->service);
	slash = plan->service.len ? memchr(plan->service.data, '/', plan->service.len) : NULL;
	if (slash == NULL || slash == plan->service.data ||
	    slash + 1 == plan->service.data + plan->service.len)
		return bind_expected(
		    b, node, "a call", "a service and a method, like shop.price/Quote");
	plan->method = slice_from(plan->service, (size_t)(slash - plan->service.data) + 1);
	plan->service.len -= plan->method.len + 1;
	return bind_name(b, node, plan->service);
}

static const struct key_type key_call = {.name = "call", .parse = parse_call};

static const struct key plan_keys[] = {
    {.name = "config", .type = &key_text, .offset = offsetof(struct simulation_plan, config_path)},
    {.name = "service",
	.type = &key_node,
	.offset = offsetof(struct simulation_plan, inline_service)},
    {.name = "node", .type = &key_node, .offset = offsetof(struct simulation_plan, inline_node)},
    {.name = "defaults",
	.type = &key_node,
	.offset = offsetof(struct simulation_plan, inline_defaults)},
    {.name = "call",
	.type = &key_call,
	.flags = KEY_REQUIRED,
	.missing = "a service and a method, like shop.price/Quote"},
    {.name = "rate",
	.type = &key_rate,
	.offset = offsetof(struct simulation_plan, rate),
	.min = 1,
	.flags = KEY_REQUIRED,
	.missing = "how many calls come, like 500/s"},
    {.name = "duration",
	.type = &key_time,
	.offset = offsetof(struct simulation_plan, duration),
	.fallback = "60s",
	.min = 1},
    {.name = "timeout",
	.type = &key_time,
	.offset = offsetof(struct simulation_plan, timeout),
	.fallback = "none",
	.min = 1,
	.flags = KEY_NONE},
    {.name = "seed",
	.type = &key_count64,
	.offset = offsetof(struct simulation_plan, seed),
	.fallback = "1"},
    {.name = "keys",
	.type = &key_count,
	.offset = offsetof(struct simulation_plan, keys),
	.fallback = "1000",
	.min = 1},
    {.name = "callers", .type = &key_callers},
    {.name = "endpoints",
	.type = &key_simulated_endpoints,
	.flags = KEY_REQUIRED,
	.missing = "how each endpoint behaves"},
};

static const struct scope plan_scope = {
    .name = "Plan",
    .keys = plan_keys,
    .n = ARRAY_LEN(plan_keys),
    .size = sizeof(struct simulation_plan),
};

/* --- reading --- */

/* All of a file, NUL at its end; NULL with a problem noted. */
static char *read_file(const char *path, size_t *len, struct problems *problems)
{
	char *text = mem_alloc(YAML_MAX_BYTES + 2);
	int fd = open(path, O_RDONLY | O_CLOEXEC), code = 0;
	ssize_t n = 1;

	*len = 0;
	if (fd < 0)
		code = errno;
	while (code == 0 && n > 0 && *len <= YAML_MAX_BYTES) {
		n = read(fd, text + *len, YAML_MAX_BYTES + 1 - *len);
		if (n > 0)
			*len += (size_t)n;
		else if (n < 0 && errno != EINTR)
			code = errno;
		else if (n < 0)
			n = 1;
	}
	if (fd >= 0)
		close(fd);
	if (code == 0)
		return text;
	problems_error(
	    problems, (struct place){path, 0, 0}, NULL, "cannot be read: %s", strerror(code));
	free(text);
	return NULL;
}

static void check_plan(struct binder *b, const struct yaml_node *root, struct simulation_plan *plan)
{
	double calls = (double)plan->rate.count * (double)plan->duration / (double)plan->rate.per;

	if ((plan->config_path == NULL) == (plan->inline_service == NULL))
		bind_error(b, root,
		    "either config or service is needed\nexpected config: the path of a "
		    "configuration, or service: a service as it stands there");
	if (plan->config_path && (plan->inline_node || plan->inline_defaults))
		bind_error(b, root,
		    "node and defaults are those of the configuration\nexpected them "
		    "only beside service");
	if (calls > (double)SIMULATION_CALLS_MAX)
		bind_error(b, root, "%.0f calls are too many\nexpected at most %llu", calls,
		    (unsigned long long)SIMULATION_CALLS_MAX);
}

static void bind_plan(struct simulation_plan *plan, const struct yaml_node *root,
    struct arena *scratch, struct problems *problems)
{
	static const struct simulated_caller nobody = {.share = 1};
	struct config_source no_source = {0};
	struct config_origins origins;
	struct config unused = {0};
	struct binder b = {
	    .config = &unused,
	    .arena = &plan->arena,
	    .scratch = scratch,
	    .origins = &origins,
	    .problems = problems,
	    .from = &no_source,
	};

	table_init(&origins.table, 0);
	unused.origins = &origins;
	plan->callers = &nobody;
	plan->n_callers = 1;
	if (root->kind != NODE_MAP) {
		bind_expected(&b, root, "a plan", "a map with keys like call, rate and endpoints");
		table_fini(&origins.table);
		return;
	}
	bind_defaults(&b, &plan_scope, plan);
	bind_scope(&b, &plan_scope, root, plan, NULL);
	if (problems->n_errors == 0)
		check_plan(&b, root, plan);
	table_fini(&origins.table);
}

/* The address of everything that behaves somehow must be one of the configuration. */
static void check_addresses(
    const struct simulation_plan *plan, const struct yaml_node *root, struct problems *problems)
{
	const struct yaml_node *list = yaml_find(root, SLICE_LIT("endpoints"));

	for (const struct yaml_node *item = list->first; item; item = item->next) {
		if (slice_eq_str(item->key, "*") || simulation_config_has(plan->config, item->key))
			continue;
		problems_error(problems, item->key_at, "endpoints",
		    "no service has the endpoint \"%.*s\"\nexpected an address as it stands in the "
		    "configuration, or \"*\" for all others",
		    (int)slice_first(item->key, 100).len, (const char *)item->key.data);
	}
}

static void load(struct simulation_plan *plan, const char *path, const struct yaml_node *root,
    struct problems *problems)
{
	plan->config = simulation_config_load(plan, path, problems);
	if (plan->config)
		check_addresses(plan, root, problems);
}

struct simulation_plan *simulation_plan_read(const char *path, struct problems *problems)
{
	struct simulation_plan *plan = mem_calloc(1, sizeof *plan);
	struct arena scratch;
	struct yaml_input in = {.file = path, .problems = problems};
	const struct yaml_node *root = NULL;
	size_t len;
	char *text;

	arena_init(&plan->arena, NULL, 0);
	arena_init(&scratch, NULL, 0);
	text = read_file(path, &len, problems);
	in.text = slice_of(text, text ? len : 0);
	in.arena = &plan->arena;
	if (text)
		root = yaml_read(&in);
	if (root)
		bind_plan(plan, root, &scratch, problems);
	if (root && problems->n_errors == 0)
		load(plan, path, root, problems);
	arena_fini(&scratch);
	free(text);
	if (problems->n_errors || plan->config == NULL)
		simulation_plan_free(&plan);
	return plan;
}

void simulation_plan_free(struct simulation_plan **pplan)
{
	struct simulation_plan *plan = *pplan;

	if (plan == NULL)
		return;
	config_free(&plan->config);
	arena_fini(&plan->arena);
	free(plan);
	*pplan = NULL;
}
