#include "model/warn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/config_allow.h"
#include "model/config_warn.h"

static const struct warning warnings[] = {
    {WARN_ALLOW, "an allow comment that allows nothing",
	"It has no reason, names no warning that there is, or there is nothing to allow where it "
	"stands."},
    {WARN_CONNECT_TIME, "connecting may take as long as the whole call",
	"timeout.connect is not below timeout.call or timeout.attempt: an endpoint that does not "
	"answer takes all of the time, and none is left for another."},
    {WARN_MARGIN, "the margin is more than a tenth of the call's time",
	"No more than a tenth is ever taken off, so timeout.margin does not say what happens."},
    {WARN_DEFAULT_TIME, "timeout.default never counts",
	"It is for calls without any limit, and timeout.call is a limit for all of them."},
    {WARN_STREAM_TIME, "streams end before they can be idle",
	"timeout.idle is not below timeout.stream."},
    {WARN_ATTEMPTS_TIME, "all attempts need more time than the call has",
	"(1 + attempts) x timeout.attempt is more than timeout.call: the last attempts are cut "
	"short or never begin."},
    {WARN_ATTEMPT_TIME, "the whole call has less time than one attempt",
	"timeout.attempt is not below timeout.call: it never ends an attempt."},
    {WARN_BACKUP_DELAY, "the backup leaves when the call is over",
	"retry.delay is not below timeout.call, or not below timeout.attempt: no backup is ever "
	"sent."},
    {WARN_BACKOFF, "the wait before a retry is longer than the call",
	"retry.backoff begins with a time that is not below timeout.call: no retry ever begins."},
    {WARN_DURATION, "retries are over before the first begins",
	"retry.duration is not above retry.delay or the first wait of retry.backoff."},
    {WARN_BUDGET, "a budget of nothing",
	"retry.budget is 0%: of what needs budget only 3 in a second are left for all calls."},
    {WARN_RETRY_KEY, "a key of retries that means nothing to their type",
	"delay is for backup and mixed; attempts and backoff for failure, backup and mixed; what on "
	"has beyond connect and unsent for failure and mixed."},
    {WARN_RETRY_TIMEOUT, "retries after a timeout, of which there is none",
	"retry.on has timeout, but timeout.attempt is none: the only timeout is the call's own, and "
	"after that there is no time."},
    {WARN_FAN, "fork or broadcast to a number of endpoints that makes no sense",
	"With one endpoint they are a plain call; beyond 64 endpoints the rest is left out."},
    {WARN_BREAKER_SAMPLES, "the breaker never has enough calls to open",
	"limit.rate lets fewer than breaker.min_samples calls through in breaker.window."},
    {WARN_BREAKER_ONE, "one failure opens the breaker", "min_samples x error_rate is not above 1."},
    {WARN_EJECT, "ejection does not go with the number of endpoints",
	"The only endpoint is never ejected, and of several one may be, even if eject.at_most of "
	"them is less than one."},
    {WARN_HEALTH_TIME, "a health check may take longer than the time between two",
	"health.timeout is not below health.interval."},
    {WARN_HEALTH_KEY, "a key of health checks that means nothing",
	"There are no checks, or connecting is all that they do."},
    {WARN_ZONE, "no endpoint is in our zone",
	"balance.zone is prefer or only, and no endpoint has the zone of node.zone: prefer means "
	"nothing, and with only every call fails."},
    {WARN_SLOW_START, "slow start of a single endpoint",
	"There is no other one to take the calls meanwhile."},
    {WARN_BALANCE_KEY, "a key of another balancer",
	"key is for consistent_hash and maglev, virtual_nodes for consistent_hash, choices for "
	"least_request and peak_ewma."},
    {WARN_HASH_KEY, "a hash of nothing in particular",
	"Without balance.key only calls with one of Kitex's ring hash keys (int.14, int.24) stay "
	"with their endpoint; all others are sent by chance."},
    {WARN_WEIGHTS, "weights that do not count",
	"round_robin and random take every endpoint with a weight above 0 for the same."},
    {WARN_SUBSET, "a subset without endpoints",
	"No endpoint has these tags, and not every route that leads there has a fallback; or none "
	"has the tag of subset_by."},
    {WARN_SHADOWED, "a route that no call gets to",
	"Every call that it matches is matched by an earlier one, which takes it."},
    {WARN_SPLIT, "a part of a split with weight 0", "It gets no calls."},
    {WARN_ROUTE_KEY, "a key of a route that means nothing",
	"sticky is for a split, fallback for a subset or a split."},
    {WARN_MIRROR, "a mirror of a service to itself",
	"Each call reaches the service twice, and what it does is done twice."},
    {WARN_TO_SELF, "a route to the service itself",
	"to.service names the service whose route it is. To end the search for a route, to is left "
	"out."},
    {WARN_FALLBACK_SELF, "a fallback to the service itself",
	"What failed is asked once more, without the rules of retries."},
    {WARN_FALLBACK_LOOP, "services that fall back to each other",
	"A fallback is followed once, so this ends; but what takes one of them down is sent to the "
	"other."},
    {WARN_QUEUE_WAIT, "calls wait in the queue for all of their time",
	"limit.queue.wait is not below timeout.call, or timeout.default where that is none."},
    {WARN_METHOD_LIMIT, "a limit of a method that the service's is below",
	"Both count, and the service's is reached first."},
    {WARN_FAULT, "every call is made to fail",
	"A fault with abort at 100% in a route that matches all calls."},
    {WARN_DEGRADE, "all calls are refused", "degrade is 100%."},
    {WARN_ACL, "a rule of an ACL that is never read", "One before it matches every call."},
    {WARN_ACL_ID, "users are asked for, and no listener knows them",
	"uid and gid are known of callers on unix sockets only, and no listener that leads to the "
	"service has one."},
    {WARN_SET, "a route sets what it removes", "What is removed and set is set."},
    {WARN_POOL, "more connections are made than are kept",
	"pool.warm is above pool.keep: some are made again and again."},
    {WARN_FACT, "calls cannot have what is asked for",
	"Metadata, headers, int keys and the IDL's service come with TTHeader and gRPC only, and no "
	"listener that leads to the service takes those."},
    {WARN_PERCENT, "a match of no calls", "percent is 0%."},
    {WARN_TEST, "a test that expects nothing", "It cannot fail."},
    {WARN_UNSAFE, "retry.unsafe without retries that are", "connect and unsent are always safe."},
    {WARN_LISTENER, "a listener that leads nowhere",
	"There are no services, or its protocols do not name one."},
    {WARN_SOCKET_KEY, "a key of unix sockets without one",
	"mode, owner and group are for sockets with a path."},
    {WARN_SOCKET_MODE, "a socket that nobody may connect to",
	"No user but the owner has the right to write to it."},
    {WARN_ENDPOINT_TWICE, "the same endpoint twice", "Its weight says how many calls it gets."},
    {WARN_MULTIPLEX, "multiplex where it cannot work", "Only TTHeader has a mux mode."},
    {WARN_UNREACHED, "a service that no listener leads to",
	"No listener is pinned to it, and none lets calls name their service."},
    {WARN_ACCESS_LOG, "keys of an access log that is not written", "access_log.to is none."},
    {WARN_REGISTERED_NAME, "a service that is registered takes the calls to its name",
	"A listener without service leads calls for the name to the application beside us, and never "
	"to others that are registered under it. Give the local one a label of its own, with name, and let the name "
	"be discovered: as a service of its own, or by \"*\"."},
    {WARN_REGISTER_ALWAYS, "registered also while the application is away",
	"With register.when: always callers come while every call fails."},
    {WARN_REGISTER_TTL, "a ttl that no registry looks at",
	"In zookeeper the session counts, in nacos the beat, and an agent of consul with check: tcp "
	"connects by itself."},
    {WARN_REGISTER_LOCAL, "registered under an address that others cannot reach",
	"An address of the loopback network leads every caller to itself."},
    {WARN_DEREGISTER_WAIT, "callers come after we have left",
	"shutdown.deregister_wait is below 5s, and clients of Kitex look into their registry every "
	"5s."},
    {WARN_EMPTY_OBEY, "an empty answer is believed at once",
	"A registry that has lost its memory then ends all calls."},
    {WARN_REGISTRY_UNUSED, "a registry that nothing uses",
	"No service is found or registered there, nor does one have its documents there."},
    {WARN_REGISTRY_FILE, "a file that cannot be read",
	"It is read when it is needed; until it is there the registry is as if it were away."},
    {WARN_CACHE, "a cache that cannot be written",
	"Its directory is not there, or may not be written to: what a registry said is not kept "
	"over a restart."},
    {WARN_SECRET, "a secret in a file that everybody can read",
	"Take the right to read away from others, or write {file: PATH}."},
    {WARN_TLS_VERIFY, "nobody looks at the registry's certificate",
	"With verify: none whoever is between can say where services are, and sees the password."},
    {WARN_PREFIX, "a percent sign in a prefix of etcd",
	"Kitex takes its prefix for a format, so its applications use another one."},
    {WARN_DISCOVER_TAG, "subset_by of a tag that discover holds fast",
	"discover.tags leaves endpoints with one value of the tag alone, so there is no choice."},
    {WARN_REDACTED, "a secret that is none",
	"<redacted> is what is printed in place of a secret, so this file was written from what "
	"bridled -T or /config showed."},
    {WARN_RPCX_PREFIX, "format rpcx under the prefix of Kitex",
	"prefix is not written, so keys begin with kitex/registry-etcd; no application of rpcx looks "
	"there."},
    {WARN_METADATA_BODY, "metadata in bodies that are never edited",
	"base255 and argfield put metadata into Thrift messages with or without a TTHeader; gRPC and "
	"TTHeader Streaming have places of their own for it, and their bodies stay as they are."},
    {WARN_METADATA_WARM, "connections that cannot be made before they are needed",
	"With metadata: proxy_v2 a connection begins with facts of the caller whose calls it is to "
	"carry, so pool.warm makes none."},
    {WARN_CORRELATE, "calls that cannot be tied to each other",
	"correlate knows an application by its process, at both ends of unix sockets: an endpoint of "
	"the service has to be on one, and a listener for the calls that it makes."},
    {WARN_METADATA_LOOKUP, "metadata: lookup where no endpoint is a unix socket",
	"An application asks by the name of the other end of its connection, and only unix sockets "
	"have one."},
};

const struct warning *warning_list(size_t *n)
{
	*n = ARRAY_LEN(warnings);
	return warnings;
}

const struct warning *warning_find(unsigned id)
{
	return id >= 1 && id <= ARRAY_LEN(warnings) ? &warnings[id - 1] : NULL;
}

/* ---- telling ---- */

static void tell(struct check *c, enum warning_id id, struct place at, const char *path,
    const char *format, va_list args) __attribute__((format(printf, 5, 0)));

static void tell(struct check *c, enum warning_id id, struct place at, const char *path,
    const char *format, va_list args)
{
	char text[1024], *remedy;

	if (id != WARN_ALLOW && c->allows && allows_has(c->allows, at, id))
		return;
	vsnprintf(text, sizeof text, format, args);
	remedy = strchr(text, '\n');
	if (remedy)
		*remedy++ = '\0';
	problems_warn(
	    c->problems, at, path, "%s [W%02u]\n%s", text, (unsigned)id, remedy ? remedy : "");
}

void warn_at(
    struct check *c, enum warning_id id, struct place at, const char *path, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(c, id, at, path, format, args);
	va_end(args);
}

void warn_policy(struct check *c, enum warning_id id, const struct policy *policy, const char *key,
    const char *format, ...)
{
	struct key_path path;
	va_list args;

	va_start(args, format);
	tell(c, id, origin_place(c->config, policy, key), check_policy_path(policy, key, &path),
	    format, args);
	va_end(args);
}

void warn_service(struct check *c, enum warning_id id, const struct service_config *service,
    const char *key, const char *format, ...)
{
	struct key_path path;
	va_list args;

	va_start(args, format);
	tell(c, id, origin_place(c->config, service, key), check_service_path(service, key, &path),
	    format, args);
	va_end(args);
}

void warn_part(struct check *c, enum warning_id id, const void *base, const char *at,
    const char *key, const char *format, ...)
{
	char path[600];
	va_list args;

	snprintf(path, sizeof path, "%s%s%s", at, key ? "." : "", key ? key : "");
	va_start(args, format);
	tell(c, id, origin_place(c->config, base, key), path, format, args);
	va_end(args);
}

/* ---- what was written where ---- */

static char *print_key(const char *name, const struct policy *policy)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	for (size_t i = 0; to && i < policy_scope.n; i++)
		if (strcmp(policy_scope.keys[i].name, name) == 0)
			policy_scope.keys[i].type->print(&policy_scope.keys[i], policy, to);
	if (to)
		fclose(to);
	return text;
}

/* What -T writes out for defaults and each service is not for that reason meant for them. */
static bool is_as_above(const struct check *c, const struct policy *policy, const char *name)
{
	const struct policy *above = &c->config->defaults;
	char *own, *inherited;
	bool same;

	if (policy == above)
		above = c->config->origins->builtin;
	else if (policy_level(policy) != LEVEL_SERVICE)
		return false;
	own = print_key(name, policy);
	inherited = print_key(name, above);
	same = own && inherited && strcmp(own, inherited) == 0;
	free(own);
	free(inherited);
	return same;
}

const char *warn_own(const struct check *c, const struct policy *policy, const char *const *keys)
{
	for (; *keys; keys++)
		if (check_is_own(c, policy, *keys) && !is_as_above(c, policy, *keys))
			return *keys;
	return NULL;
}

/* ---- looking ---- */

static void check_allows(struct check *c)
{
	for (const struct allow *a = c->allows ? c->allows->first : NULL; a; a = a->next) {
		const char *text = NULL;

		if (warning_find(a->id) == NULL || a->id == WARN_ALLOW)
			text =
			    "there is no such warning to allow\nexpected the number of one, like "
			    "# allow W07: reason";
		else if (!a->has_reason)
			text =
			    "a warning is allowed without a reason\nexpected why it is meant so, like "
			    "# allow W07: reason";
		else if (!a->is_used)
			text =
			    "there is nothing to allow here\nleave the comment out, or put it on the "
			    "line of the value or alone on the line above";
		if (text)
			warn_at(c, WARN_ALLOW, a->at, NULL, "%s", text);
	}
}

void config_warn(struct check *c)
{
	const struct service_config *service;

	for (size_t i = 0; i < c->config->n_policies; i++) {
		const struct policy *policy = c->config->policies[i];

		if (policy->route && policy->method)
			continue;
		warn_of_times(c, policy);
		warn_of_retries(c, policy);
		warn_of_guards(c, policy);
		warn_of_acl(c, policy);
	}
	for (size_t i = 0; (service = check_service_at(c->config, i)) != NULL; i++) {
		warn_of_balance(c, service);
		warn_of_routes(c, service);
		warn_of_metadata(c, service);
	}
	warn_of_registries(c);
	warn_of_facts(c);
	warn_of_tests(c);
	check_allows(c);
}
