#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "support/loaded.h"
#include "support/suite.h"

#define LISTENER "listeners: [{address: \"127.0.0.1:0\", service: app}]\n"
#define SERVICE  "services: {app: {endpoints: [\"127.0.0.1:9000\"]}}\n"

/* The only service of a file that loads. */
static const struct service_config *app(const struct loaded *l)
{
	const struct service_config *service = config_service(loaded_config(l), SLICE_LIT("app"));

	ck_assert_ptr_nonnull(service);
	return service;
}

START_TEST(config_has_the_documented_defaults)
{
	struct loaded l = loaded_from(LISTENER SERVICE);
	const struct config *config = loaded_config(&l);
	const struct listener_config *listener = &config->listeners[0];

	ck_assert_uint_eq(l.problems.n, 0);
	ck_assert_str_eq(config->node.service, "");
	ck_assert_uint_gt(strlen(config->node.id), 0);
	ck_assert_uint_ge(config->workers, 1);
	ck_assert_uint_le(config->workers, 2);
	ck_assert_str_eq(config->admin.socket, "/tmp/admin.sock");
	ck_assert(!config->admin.has_http);
	ck_assert_int_eq(config->log.level, LOG_LEVEL_INFO);
	ck_assert_str_eq(config->log.to, "stderr");
	ck_assert(!config->log.json);
	ck_assert_ptr_null(config->access_log.to);
	ck_assert_ptr_null(config->access_log.format);
	ck_assert(config->access_log.sample == 1.0);
	ck_assert(config->access_log.always_errors);
	ck_assert(config->access_log.always_slower_than == USEC_NONE);
	ck_assert_uint_eq(config->shutdown.drain, 20 * USEC_S);
	ck_assert_uint_eq(config->shutdown.spread, 2 * USEC_S);
	ck_assert_uint_eq(config->reload_drain, 60 * USEC_S);
	ck_assert_uint_eq(config->upgrade.timeout, 30 * USEC_S);
	ck_assert_uint_eq(config->upgrade.drain, 60 * USEC_S);
	ck_assert_uint_eq(config->limit_connections, 10000);
	ck_assert_uint_ge(config->limit_memory, 16u << 20);
	ck_assert_uint_eq(config->resolvers.n, 0);

	ck_assert_uint_eq(config->n_listeners, 1);
	ck_assert_str_eq(listener->name, "listener-1");
	ck_assert_uint_eq(listener->protocols,
	    PROTOCOL_BIT(PROTOCOL_BUFFERED) | PROTOCOL_BIT(PROTOCOL_FRAMED) |
		PROTOCOL_BIT(PROTOCOL_TTHEADER) | PROTOCOL_BIT(PROTOCOL_TTHEADER_STREAMING) |
		PROTOCOL_BIT(PROTOCOL_GRPC));
	ck_assert_int_eq(listener->caller, CALLER_AS_STATED);
	ck_assert(!listener->caller_address_set);
	ck_assert_uint_eq(listener->connections, 10000);
	ck_assert_uint_eq(listener->timeout_detect, 5 * USEC_S);
	ck_assert_uint_eq(listener->timeout_message, 30 * USEC_S);
	ck_assert_uint_eq(listener->timeout_idle, 600 * USEC_S);
	ck_assert_uint_eq(listener->timeout_write_stall, 30 * USEC_S);
	ck_assert_uint_eq(listener->max_message, 64u << 20);
	ck_assert_uint_eq(listener->max_header, 64u << 10);
	ck_assert_uint_eq(listener->in_flight, 1000);
	ck_assert_uint_eq(listener->mode, 0660);
	ck_assert_ptr_null(listener->owner);
	ck_assert_ptr_null(listener->group);
	ck_assert_uint_eq(listener->allow.n + listener->deny.n, 0);
	ck_assert(!listener->strict_service);
	ck_assert(listener->max_age == USEC_NONE);
	loaded_free(&l);
}
END_TEST

START_TEST(service_has_the_documented_defaults)
{
	struct loaded l = loaded_from(LISTENER SERVICE);
	const struct service_config *service = app(&l);
	const struct policy *policy = &service->policy;

	ck_assert_str_eq(service->label, "app");
	ck_assert_str_eq(service->name, "app");
	ck_assert_int_eq(service->protocol, SERVICE_SAME);
	ck_assert_int_eq(service->metadata.type, METADATA_AUTO);
	ck_assert_int_eq((int)service->balance.type, LB_WEIGHTED_ROUND_ROBIN);
	ck_assert(!service->multiplex && !service->biz_error_drop);
	ck_assert_uint_eq(service->aliases.n + service->n_methods, 0);
	ck_assert_uint_eq(service->n_endpoints, 1);
	ck_assert_str_eq(service->endpoints[0].address.text, "127.0.0.1:9000");
	ck_assert_uint_eq(service->endpoints[0].weight, 10);
	ck_assert_str_eq(service->endpoints[0].zone, "");
	ck_assert_uint_eq(policy->timeout_connect, 250 * USEC_MS);
	ck_assert(policy->timeout_call == USEC_NONE);
	ck_assert_uint_eq(policy->timeout_default, 30 * USEC_S);
	ck_assert(policy->timeout_attempt == USEC_NONE && policy->timeout_margin == USEC_NONE);
	ck_assert_uint_eq(policy->timeout_idle, 3600 * USEC_S);
	ck_assert(policy->timeout_stream == USEC_NONE);
	ck_assert_uint_eq(policy->retry.buffer, 1u << 20);
	ck_assert_int_eq((int)policy->retry.type, RETRY_FAILURE);
	ck_assert_uint_eq(policy->retry.on, RETRY_ON_CONNECT | RETRY_ON_UNSENT);
	ck_assert_uint_eq(policy->retry.attempts, RETRY_ATTEMPTS_AUTO);
	ck_assert_uint_eq(policy->pool_keep, 64);
	ck_assert_uint_eq(policy->pool_idle_timeout, 60 * USEC_S);
	loaded_free(&l);
}
END_TEST

static void assert_limits(const struct http2_limits *has, const struct http2_limits *due)
{
	ck_assert_uint_eq(has->resets.burst, due->resets.burst);
	ck_assert_uint_eq(has->resets.rate.count, due->resets.rate.count);
	ck_assert_uint_eq(has->resets.rate.per, due->resets.rate.per);
	ck_assert_uint_eq(has->control_frames.burst, due->control_frames.burst);
	ck_assert_uint_eq(has->control_frames.rate.count, due->control_frames.rate.count);
	ck_assert_uint_eq(has->control_frames.rate.per, due->control_frames.rate.per);
	ck_assert_uint_eq(has->unread_acks, due->unread_acks);
	ck_assert_uint_eq(has->continuations, due->continuations);
	ck_assert_uint_eq(has->header_fields, due->header_fields);
	ck_assert_uint_eq(has->empty_data, due->empty_data);
	ck_assert_uint_eq(has->priorities, due->priorities);
	ck_assert_uint_eq(has->window_updates, due->window_updates);
	ck_assert_uint_eq(has->refused_streams, due->refused_streams);
}

START_TEST(http2_limits_of_the_file_are_those_of_the_code_by_default)
{
	static const char *const same[] = {"{}", "{resets: {}}", "{resets: 1000}",
	    "{control_frames: {rate: 20/s}}", "{header_fields: 200, empty_data: 10}"};
	char text[300];

	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		struct loaded l;

		snprintf(text, sizeof text,
		    "listeners: [{address: \"127.0.0.1:0\", service: app, http2: %s}]\n" SERVICE,
		    same[i]);
		l = loaded_from(text);
		assert_limits(&loaded_config(&l)->listeners[0].http2, &http2_limits_default);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(http2_limits_belong_to_their_listener)
{
	static const struct http2_limits written = {
	    {5, {100, 60 * USEC_S}}, {6, {7, 3600 * USEC_S}}, HTTP2_NO_LIMIT, 0, 9, 0, 11, 12, 13};
	struct loaded l = loaded_from(
	    "listeners:\n"
	    "  - {address: \"127.0.0.1:0\", service: app}\n"
	    "  - address: \"127.0.0.1:0\"\n"
	    "    service: app\n"
	    "    http2: {resets: {burst: 5, rate: 100/m}, control_frames: {burst: 6, rate: 7/h}, "
	    "unread_acks: none, continuations: 0, header_fields: 9, empty_data: 0, priorities: 11, "
	    "window_updates: 12, refused_streams: 13}\n" SERVICE);

	assert_limits(&loaded_config(&l)->listeners[0].http2, &http2_limits_default);
	assert_limits(&l.config->listeners[1].http2, &written);
	loaded_free(&l);
}
END_TEST

START_TEST(budget_in_short_is_its_burst)
{
	struct loaded l = loaded_from("listeners: [{address: \"127.0.0.1:0\", service: app, "
				      "http2: {resets: none, control_frames: 7}}]\n" SERVICE);
	const struct http2_limits *limits = &loaded_config(&l)->listeners[0].http2;

	ck_assert_uint_eq(limits->resets.burst, HTTP2_NO_LIMIT);
	ck_assert_uint_eq(limits->resets.rate.count, http2_limits_default.resets.rate.count);
	ck_assert_uint_eq(limits->control_frames.burst, 7);
	loaded_free(&l);
}
END_TEST

START_TEST(rates_are_read_exactly)
{
	static const struct {
		const char *text;
		struct rate rate;
	} cases[] = {
	    {"1/s", {1, USEC_S}},
	    {"60/m", {60, 60 * USEC_S}},
	    {"1/h", {1, 3600 * USEC_S}},
	    {"4294967294/s", {4294967294u, USEC_S}},
	    {"\"007/s\"", {7, USEC_S}},
	};
	static const char *const wrong[] = {"0/s", "33", "33/", "/s", "33/S", "33 /s", "33/ms",
	    "33/d", "-1/s", "1.5/s", "4294967295/s", "18446744073709551616/s", "33/s/s", "none",
	    "[1/s]", "{}", "~"};
	char text[300];

	for (size_t i = 0; i < ARRAY_LEN(cases) + ARRAY_LEN(wrong); i++) {
		bool fine = i < ARRAY_LEN(cases);
		struct loaded l;

		snprintf(text, sizeof text,
		    "listeners: [{address: \"127.0.0.1:0\", service: app, http2: {resets: {rate: "
		    "%s}}}]\n" SERVICE,
		    fine ? cases[i].text : wrong[i - ARRAY_LEN(cases)]);
		l = loaded_from(text);
		ck_assert_msg((l.config != NULL) == fine, "%s", text);
		if (fine) {
			const struct rate *rate = &l.config->listeners[0].http2.resets.rate;

			ck_assert_msg(rate->count == cases[i].rate.count, "%s", text);
			ck_assert_msg(rate->per == cases[i].rate.per, "%s", text);
		} else {
			ck_assert(
			    loaded_says(&l, "listeners[0].http2.resets.rate", "", "expected"));
		}
		loaded_free(&l);
	}
}
END_TEST

START_TEST(protocols_of_streams_are_words_on_both_sides)
{
	struct loaded l = loaded_from(
	    "listeners: [{address: \"127.0.0.1:0\", protocols: [ttheader_streaming, grpc], "
	    "max_age: 90m}]\n"
	    "services:\n"
	    "  a: {endpoints: [\"127.0.0.1:1\"], protocol: grpc}\n"
	    "  b: {endpoints: [\"127.0.0.1:1\"], protocol: ttheader_streaming}\n");
	const struct config *config = loaded_config(&l);

	ck_assert_uint_eq(config->listeners[0].protocols,
	    PROTOCOL_BIT(PROTOCOL_TTHEADER_STREAMING) | PROTOCOL_BIT(PROTOCOL_GRPC));
	ck_assert_uint_eq(config->listeners[0].max_age, 5400 * USEC_S);
	ck_assert_int_eq(config->services[0]->protocol, SERVICE_GRPC);
	ck_assert_int_eq(config->services[1]->protocol, SERVICE_TTHEADER_STREAMING);
	loaded_free(&l);
}
END_TEST

START_TEST(streams_have_times_and_buffers_of_the_policy)
{
	struct loaded l = loaded_from(
	    LISTENER "defaults: {timeout: {idle: 5m, stream: 1h}, retry: {buffer: 2KiB}}\n"
		     "services:\n"
		     "  app:\n"
		     "    endpoints: [\"127.0.0.1:9000\"]\n"
		     "    timeout: {idle: none}\n"
		     "    methods:\n"
		     "      Chat: {timeout: {stream: none}, retry: {buffer: none}}\n"
		     "      Get: {timeout: {idle: 1s}, retry: {buffer: 1GiB}}\n");
	const struct policy *service = &app(&l)->policy, *chat = &app(&l)->methods[0].policy;
	const struct policy *get = &app(&l)->methods[1].policy;

	ck_assert(service->timeout_idle == USEC_NONE && chat->timeout_idle == USEC_NONE);
	ck_assert_uint_eq(service->timeout_stream, 3600 * USEC_S);
	ck_assert_uint_eq(service->retry.buffer, 2048);
	ck_assert(chat->timeout_stream == USEC_NONE);
	/* none is no buffer, not one without end */
	ck_assert_uint_eq(chat->retry.buffer, 0);
	ck_assert_uint_eq(get->timeout_idle, USEC_S);
	ck_assert_uint_eq(get->timeout_stream, 3600 * USEC_S);
	ck_assert_uint_eq(get->retry.buffer, (uint64_t)1 << 30);
	loaded_free(&l);
}
END_TEST

START_TEST(listeners_point_at_their_services)
{
	struct loaded l =
	    loaded_from("listeners:\n"
			"  - {name: a, address: \"127.0.0.1:0\", service: y}\n"
			"  - {address: [\"127.0.0.1:0\", \"[::1]:0\"], service: x.z}\n"
			"  - {address: \"127.0.0.1:0\"}\n"
			"services:\n"
			"  y: {endpoints: [\"127.0.0.1:1\"]}\n"
			"  x.z: {endpoints: [\"127.0.0.1:1\"], name: other}\n");
	const struct config *config = loaded_config(&l);

	ck_assert_str_eq(config->listeners[0].service->label, "y");
	ck_assert_str_eq(config->listeners[1].service->name, "other");
	ck_assert_uint_eq(config->listeners[1].n_addresses, 2);
	ck_assert_str_eq(config->listeners[1].name, "listener-2");
	ck_assert_ptr_null(config->listeners[2].service);
	/* sorted, and found by label only */
	ck_assert_str_eq(config->services[0]->label, "x.z");
	ck_assert_ptr_eq(config_service(config, SLICE_LIT("x.z")), config->services[0]);
	ck_assert_ptr_null(config_service(config, SLICE_LIT("other")));
	ck_assert_ptr_null(config_service(config, SLICE_LIT("x.")));
	loaded_free(&l);
}
END_TEST

START_TEST(policy_is_inherited_from_defaults_to_service_to_method)
{
	struct loaded l = loaded_from(LISTENER
	    "defaults: {timeout: {connect: 1ms, call: 2ms, attempt: 3ms}, retry: {attempts: 5}}\n"
	    "services:\n"
	    "  app:\n"
	    "    endpoints: [\"127.0.0.1:9000\"]\n"
	    "    timeout: {call: 20ms}\n"
	    "    methods:\n"
	    "      b: {timeout: {attempt: none}, retry: none}\n"
	    "      \"*\": {idempotent: true}\n"
	    "      a: {timeout: 7ms, retry: {on: [connect]}}\n"
	    "  other: {endpoints: [\"127.0.0.1:9000\"]}\n");
	const struct service_config *service = app(&l);
	const struct method_config *m = service->methods;

	ck_assert_uint_eq(service->policy.timeout_connect, USEC_MS);
	ck_assert_uint_eq(service->policy.timeout_call, 20 * USEC_MS);
	ck_assert_uint_eq(service->policy.timeout_attempt, 3 * USEC_MS);
	ck_assert_uint_eq(service->policy.retry.attempts, 5);
	ck_assert_uint_eq(service->n_methods, 3);
	ck_assert_str_eq(m[0].name, "*");
	ck_assert(m[0].policy.is_idempotent && !m[1].policy.is_idempotent);
	ck_assert_uint_eq(m[0].policy.timeout_call, 20 * USEC_MS);
	ck_assert_str_eq(m[1].name, "a");
	ck_assert_uint_eq(m[1].policy.timeout_call, 7 * USEC_MS);
	ck_assert_uint_eq(m[1].policy.timeout_attempt, 3 * USEC_MS);
	ck_assert(m[1].policy.retry.on == RETRY_ON_CONNECT);
	ck_assert_str_eq(m[2].name, "b");
	ck_assert(m[2].policy.timeout_attempt == USEC_NONE);
	ck_assert_int_eq((int)m[2].policy.retry.type, RETRY_NONE);
	ck_assert_uint_eq(m[2].policy.retry.attempts, 5);
	/* what a service says is nobody else's business */
	service = config_service(l.config, SLICE_LIT("other"));
	ck_assert_uint_eq(service->policy.timeout_call, 2 * USEC_MS);
	ck_assert_int_eq((int)service->policy.retry.type, RETRY_FAILURE);
	loaded_free(&l);
}
END_TEST

START_TEST(short_forms_mean_the_long_ones)
{
	struct loaded brief =
	    loaded_from(LISTENER "access_log: stdout\n"
				 "services: {app: {endpoints: [\"127.0.0.1:9000\"], "
				 "timeout: 1s, balance: random, retry: none}}\n");
	struct loaded full =
	    loaded_from("listeners: [{address: [\"127.0.0.1:0\"], service: app}]\n"
			"access_log: {to: stdout}\n"
			"services: {app: {endpoints: [{address: \"127.0.0.1:9000\"}], "
			"timeout: {call: 1s}, balance: {type: random}, retry: {type: none}}}\n");

	ck_assert_str_eq(loaded_config(&brief)->hash, loaded_config(&full)->hash);
	ck_assert_int_eq((int)app(&brief)->balance.type, LB_RANDOM);
	ck_assert_str_eq(brief.config->access_log.to, "stdout");
	loaded_free(&brief);
	loaded_free(&full);
}
END_TEST

START_TEST(units_are_read_exactly)
{
	static const struct {
		const char *text;
		usec_t value;
	} cases[] = {
	    {"1us", 1},
	    {"250ms", 250000},
	    {"1s", 1000000},
	    {"90m", 5400000000},
	    {"2h", 7200000000},
	    {"365d", 365 * 86400 * USEC_S},
	    {"none", USEC_NONE},
	    {"\"3s\"", 3000000},
	    {"007ms", 7000},
	};
	static const char *const wrong[] = {"0s", "366d", "1", "1.5s", "1 s", "1S", "s", "-1s",
	    "1s1ms", "18446744073709551616us", "18446744073709551615s", "1sec", "None", "[1s]",
	    "{call: 1s}", "~"};
	char text[300];

	for (size_t i = 0; i < ARRAY_LEN(cases) + ARRAY_LEN(wrong); i++) {
		bool fine = i < ARRAY_LEN(cases);
		struct loaded l;

		snprintf(text, sizeof text, "%s%sdefaults: {timeout: {call: %s}}\n", LISTENER,
		    SERVICE, fine ? cases[i].text : wrong[i - ARRAY_LEN(cases)]);
		l = loaded_from(text);
		ck_assert_msg((l.config != NULL) == fine, "%s", text);
		if (fine)
			ck_assert_msg(app(&l)->policy.timeout_call == cases[i].value, "%s", text);
		else
			ck_assert(loaded_says(&l, "defaults.timeout.call", "", "expected"));
		loaded_free(&l);
	}
}
END_TEST

START_TEST(sizes_shares_and_modes_are_read_exactly)
{
	struct loaded l =
	    loaded_from("listeners: [{address: \"unix:/tmp/x.sock\", service: app, max_message: "
			"1GiB, max_header: 300B, mode: 0600, connections: none, in_flight: none}]\n"
			"access_log: {to: stderr, sample: 0.5%, always: {slower_than: 1ms}}\n"
			"limits: {memory: 3MiB}\n" SERVICE);
	const struct config *config = loaded_config(&l);

	ck_assert_uint_eq(config->listeners[0].max_message, 1u << 30);
	ck_assert_uint_eq(config->listeners[0].max_header, 300);
	ck_assert_uint_eq(config->listeners[0].mode, 0600);
	ck_assert(config->listeners[0].connections == COUNT_NONE);
	ck_assert_uint_eq(config->listeners[0].in_flight, UINT32_MAX);
	ck_assert(config->access_log.sample == 0.005);
	ck_assert_uint_eq(config->access_log.always_slower_than, USEC_MS);
	ck_assert_uint_eq(config->limit_memory, 3u << 20);
	loaded_free(&l);
}
END_TEST

START_TEST(only_true_and_false_are_bools)
{
	static const char *const wrong[] = {
	    "yes", "no", "on", "off", "1", "\"true\"", "none", "[true]"};
	char text[300];

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct loaded l;

		snprintf(text, sizeof text,
		    "listeners: [{address: \"127.0.0.1:0\", service: app, strict_service: %s}]\n" SERVICE,
		    wrong[i]);
		l = loaded_from(text);
		ck_assert_ptr_null(l.config);
		ck_assert(loaded_says(&l, "listeners[0].strict_service", "", "true or false"));
		loaded_free(&l);
	}
}
END_TEST

/* In YAML 1.1 this is the country of Norway's problem. */
START_TEST(no_is_a_name_like_any_other)
{
	struct loaded l = loaded_from("node: {service: no, zone: on}\n" LISTENER SERVICE);

	ck_assert_str_eq(loaded_config(&l)->node.service, "no");
	ck_assert_str_eq(l.config->node.zone, "on");
	loaded_free(&l);
}
END_TEST

START_TEST(numbers_and_bools_are_no_texts_unless_quoted)
{
	struct loaded l =
	    loaded_from("node: {zone: 1.10, tags: {a: true, b: \"true\"}}\n" LISTENER SERVICE);

	ck_assert(loaded_says(&l, "node.zone", "number", "quotes"));
	ck_assert(loaded_says(&l, "node.tags.a", "bool", "quotes"));
	ck_assert_uint_eq(l.problems.n, 2);
	loaded_free(&l);
}
END_TEST

START_TEST(tags_are_sorted)
{
	struct loaded l = loaded_from("node: {tags: {b: x, a: \"1\", c: \"\"}}\n" LISTENER SERVICE);
	const struct config_map *tags = &loaded_config(&l)->node.tags;

	ck_assert_uint_eq(tags->n, 3);
	ck_assert_str_eq(tags->pairs[0].name, "a");
	ck_assert_str_eq(tags->pairs[0].value, "1");
	ck_assert_str_eq(tags->pairs[1].name, "b");
	ck_assert_str_eq(tags->pairs[2].value, "");
	loaded_free(&l);
}
END_TEST

START_TEST(callers_and_access_rules_are_read)
{
	struct loaded l = loaded_from(
	    "node: {service: me}\n"
	    "listeners:\n"
	    "  - address: \"unix:/tmp/x.sock\"\n"
	    "    service: app\n"
	    "    caller: {uid: {1000: b, 0: a}}\n"
	    "    allow: [\"uid:0\", \"gid:7\"]\n"
	    "  - {address: \"127.0.0.1:0\", service: app, caller: node, deny: [10.1.2.3/8, \"::1\"]}\n" SERVICE);
	const struct listener_config *listener = loaded_config(&l)->listeners;

	ck_assert_int_eq(listener[0].caller, CALLER_UID);
	ck_assert_uint_eq(listener[0].n_caller_uids, 2);
	ck_assert_uint_eq(listener[0].caller_uids[0].uid, 0);
	ck_assert_str_eq(listener[0].caller_uids[1].name, "b");
	ck_assert_int_eq(listener[0].allow.rules[0].kind, ACCESS_UID);
	ck_assert_int_eq(listener[0].allow.rules[1].kind, ACCESS_GID);
	ck_assert_uint_eq(listener[0].allow.rules[1].id, 7);
	ck_assert_int_eq(listener[1].caller, CALLER_NODE);
	ck_assert_int_eq(listener[1].deny.rules[0].kind, ACCESS_CIDR);
	ck_assert_uint_eq(listener[1].deny.rules[0].cidr.bits, 8);
	ck_assert_uint_eq(listener[1].deny.rules[1].cidr.bits, 128);
	loaded_free(&l);
}
END_TEST

START_TEST(resolvers_are_addresses_with_or_without_a_port)
{
	struct loaded l = loaded_from(
	    "resolvers: [10.0.0.2, \"10.0.0.2:5353\", \"fd00::2\", \"[fd00::2]:53\"]\n" LISTENER
		SERVICE);

	ck_assert_uint_eq(loaded_config(&l)->resolvers.n, 4);
	ck_assert_str_eq(l.config->resolvers.items[2], "fd00::2");
	loaded_free(&l);
}
END_TEST

START_TEST(ten_thousand_endpoints_load)
{
	char *text = malloc(1 << 20);
	size_t len = (size_t)sprintf(text, LISTENER "services:\n  app:\n    endpoints:\n");
	struct loaded l;

	for (int i = 0; i < 10000; i++)
		len += (size_t)sprintf(text + len,
		    "    - {address: \"10.0.%d.%d:80\", weight: %d, zone: z%d}\n", i / 256, i % 256,
		    i % 7, i % 3);
	l = loaded_from(text);
	ck_assert_uint_eq(app(&l)->n_endpoints, 10000);
	ck_assert_str_eq(app(&l)->endpoints[9999].address.text, "10.0.39.15:80");
	ck_assert_str_eq(app(&l)->endpoints[9999].zone, "z0");
	loaded_free(&l);
	strcpy(text + len, "    - \"10.1.0.0:80\"\n");
	l = loaded_from(text);
	ck_assert(loaded_says(&l, "services.app.endpoints", "10001 endpoints", "10000"));
	loaded_free(&l);
	free(text);
}
END_TEST

static const char *runtime_directory, *user_directory;

static const char *directories(const char *name)
{
	if (strcmp(name, "RUNTIME_DIRECTORY") == 0)
		return runtime_directory;
	return strcmp(name, "XDG_RUNTIME_DIR") == 0 ? user_directory : NULL;
}

static struct loaded with_directories(const char *runtime, const char *user)
{
	struct config_source source = {.getenv = directories};
	struct loaded l;

	runtime_directory = runtime;
	user_directory = user;
	problems_init(&l.problems);
	l.config = config_load_text(SLICE_LIT(LISTENER SERVICE), "test.yaml", &source, &l.problems);
	return l;
}

START_TEST(admin_socket_follows_the_runtime_directory)
{
	struct loaded l = loaded_from("admin: {socket: /tmp/other.sock}\n" LISTENER SERVICE);
	char end[] = "/bridled/admin.sock";
	const char *socket;

	ck_assert_str_eq(loaded_config(&l)->admin.socket, "/tmp/other.sock");
	loaded_free(&l);
	l = with_directories("/run/x:/run/y", "/run/user/7");
	ck_assert_str_eq(loaded_config(&l)->admin.socket, "/run/x/admin.sock");
	loaded_free(&l);
	l = with_directories("", "/run/user/7");
	ck_assert_str_eq(loaded_config(&l)->admin.socket,
	    geteuid() == 0 ? "/run/bridled/admin.sock" : "/run/user/7/bridled/admin.sock");
	loaded_free(&l);
	l = with_directories(NULL, NULL);
	socket = loaded_config(&l)->admin.socket;
	ck_assert_uint_gt(strlen(socket), strlen(end));
	ck_assert_str_eq(socket + strlen(socket) - strlen(end), end);
	loaded_free(&l);
}
END_TEST

START_TEST(admin_socket_of_a_long_runtime_directory_is_refused)
{
	char room[200] = "/";
	struct loaded l;

	memset(room + 1, 'a', 150);
	l = with_directories(room, NULL);
	ck_assert(loaded_says(&l, "admin.socket", "longer than", "107"));
	ck_assert_ptr_null(l.config);
	loaded_free(&l);
}
END_TEST

START_TEST(lists_have_their_limits)
{
	static const struct {
		const char *before, *item, *after, *path, *text;
		int n;
	} cases[] = {
	    {"listeners: [", "{address: \"127.0.0.1:0\"}", "]\n" SERVICE, "listeners",
		"1001 listeners", 1001},
	    {"listeners: [{service: app, address: [", "\"127.0.0.1:0\"", "]}]\n" SERVICE,
		"listeners[0].address", "where addresses belong", 65},
	    {"listeners: [{service: app, address: \"127.0.0.1:0\", allow: [", "10.0.0.0/8",
		"]}]\n" SERVICE, "listeners[0].allow", "where a list belongs", 1001},
	    {"resolvers: [", "10.0.0.1", "]\n" LISTENER SERVICE, "resolvers",
		"where a list belongs", 17},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *text = calloc(1, 100000);
		struct loaded l;

		strcat(text, cases[i].before);
		for (int j = 0; j < cases[i].n; j++)
			sprintf(text + strlen(text), "%s%s", j ? ", " : "", cases[i].item);
		strcat(text, cases[i].after);
		l = loaded_from(text);
		ck_assert(loaded_says(&l, cases[i].path, cases[i].text, "expected"));
		loaded_free(&l);
		free(text);
	}
}
END_TEST

/* Of a listener without a word of its own, whose service has none either. */
START_TEST(callers_have_metadata_where_the_applications_beside_them_have_it)
{
	static const char at[] = "listeners: [{address: \"%s\", service: far, metadata: %s}]\n"
				 "services:\n"
				 "  far: {endpoints: [\"10.0.0.9:1\"], metadata: %s}\n"
				 "  one: {endpoints: [\"%s\"], metadata: %s}\n"
				 "  two: {endpoints: [\"127.0.0.1:2\"], metadata: %s}\n";
	static const struct {
		const char *address, *listener, *far, *endpoint, *one, *two;
		enum service_metadata type;
	} files[] = {
	    {"unix:/tmp/o.sock", "auto", "auto", "unix:/tmp/a.sock", "base255", "auto",
		METADATA_BASE255},
	    {"127.0.0.1:7", "auto", "auto", "unix:/tmp/a.sock", "base255", "base255",
		METADATA_BASE255},
	    {"127.0.0.1:7", "auto", "auto", "127.0.0.1:1", "auto", "argfield:7", METADATA_ARGFIELD},
	    {"127.0.0.1:7", "auto", "auto", "127.0.0.1:1", "lookup", "drop", METADATA_AUTO},
	    {"127.0.0.1:7", "auto", "auto", "127.0.0.1:1", "base255", "argfield:7", METADATA_AUTO},
	    {"127.0.0.1:7", "auto", "auto", "127.0.0.1:1", "argfield:8", "argfield:7",
		METADATA_AUTO},
	    {"127.0.0.1:7", "auto", "auto", "10.0.0.1:1", "base255", "auto", METADATA_AUTO},
	    {"10.0.0.1:7", "auto", "auto", "127.0.0.1:1", "base255", "auto", METADATA_AUTO},
	    {"127.0.0.1:7", "drop", "auto", "127.0.0.1:1", "base255", "auto", METADATA_DROP},
	    {"127.0.0.1:7", "auto", "drop", "127.0.0.1:1", "base255", "auto", METADATA_DROP},
	    {"127.0.0.1:7", "auto", "argfield:9", "127.0.0.1:1", "base255", "auto",
		METADATA_ARGFIELD},
	};
	char text[1024];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct loaded l;

		snprintf(text, sizeof text, at, files[i].address, files[i].listener, files[i].far,
		    files[i].endpoint, files[i].one, files[i].two);
		l = loaded_from(text);
		ck_assert_int_eq(
		    config_callers_metadata(&loaded_config(&l)->listeners[0])->type, files[i].type);
		loaded_free(&l);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    callers_have_metadata_where_the_applications_beside_them_have_it,
	    config_has_the_documented_defaults,
	    service_has_the_documented_defaults,
	    http2_limits_of_the_file_are_those_of_the_code_by_default,
	    http2_limits_belong_to_their_listener,
	    budget_in_short_is_its_burst,
	    rates_are_read_exactly,
	    protocols_of_streams_are_words_on_both_sides,
	    streams_have_times_and_buffers_of_the_policy,
	    listeners_point_at_their_services,
	    policy_is_inherited_from_defaults_to_service_to_method,
	    short_forms_mean_the_long_ones,
	    units_are_read_exactly,
	    sizes_shares_and_modes_are_read_exactly,
	    only_true_and_false_are_bools,
	    no_is_a_name_like_any_other,
	    numbers_and_bools_are_no_texts_unless_quoted,
	    tags_are_sorted,
	    callers_and_access_rules_are_read,
	    resolvers_are_addresses_with_or_without_a_port,
	    ten_thousand_endpoints_load,
	    admin_socket_follows_the_runtime_directory,
	    admin_socket_of_a_long_runtime_directory_is_refused,
	    lists_have_their_limits,
	};

	return suite_run("config_load", tests, ARRAY_LEN(tests));
}
