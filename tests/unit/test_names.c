/* DNS as a registry, against a name server that is a script in the same loop. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>
#include <event2/event.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "net/loop.h"
#include "support/followed_registry.h"
#include "support/suite.h"

/* ---- the name server ---- */

#define TYPE_A       1u /* source: RFC 1035, section 3.2.2 */
#define TYPE_CNAME   5u
#define TYPE_AAAA    28u
#define TYPE_SRV     33u
#define RCODE_FAIL   2u
#define RCODE_NONE   3u
#define FLAGS        0x8180u
#define TRUNCATED    0x0200u
#define RECORDS_MAX  16u
#define QUESTION_MAX 256u

enum mood { ANSWERS, SILENT, FAILS, CUTS_OFF, LIES_FIRST, BREAKS };

/* What the server knows. Of SRV, data is the target. */
struct record {
	const char *name;
	unsigned type;
	uint32_t ttl;
	const char *data;
	uint16_t priority, weight, port;
};

static struct {
	int fd;
	uint16_t port;
	struct event *event;
	enum mood mood;
	struct record records[RECORDS_MAX];
	unsigned asked;
	char last_asked[QUESTION_MAX];
} server;

static struct followed_registry f;

static void write_name(struct writer *w, const char *name)
{
	while (*name && strcmp(name, ".") != 0) {
		size_t len = strcspn(name, ".");

		write_u8(w, (uint8_t)len);
		write_bytes(w, slice_of(name, len));
		name += len + (name[len] == '.');
	}
	write_u8(w, 0);
}

static void write_data(struct writer *w, const struct record *r)
{
	uint8_t room[300], ip[16];
	struct writer data = writer_of(room, sizeof room);

	if (r->type == TYPE_A || r->type == TYPE_AAAA) {
		bool is_v4 = r->type == TYPE_A;

		ck_assert_int_eq(inet_pton(is_v4 ? AF_INET : AF_INET6, r->data, ip), 1);
		write_bytes(&data, slice_of(ip, is_v4 ? 4 : 16));
	} else {
		if (r->type == TYPE_SRV) {
			write_u16(&data, r->priority);
			write_u16(&data, r->weight);
			write_u16(&data, r->port);
		}
		write_name(&data, r->data);
	}
	/* one byte more than there is */
	write_u16(w, (uint16_t)(writer_len(&data) + (server.mood == BREAKS)));
	write_bytes(w, slice_of(room, writer_len(&data)));
}

static bool is_answer(const struct record *r, const char *name, unsigned type)
{
	return r->name && strcasecmp(r->name, name) == 0 &&
	       (r->type == type || r->type == TYPE_CNAME);
}

/* The records of a name, and of those that it stands for. */
static unsigned write_records(struct writer *w, const char *name, unsigned type, unsigned depth)
{
	unsigned n = 0;

	for (size_t i = 0; i < RECORDS_MAX; i++) {
		const struct record *r = &server.records[i];

		if (!is_answer(r, name, type))
			continue;
		write_name(w, r->name);
		write_u16(w, (uint16_t)r->type);
		write_u16(w, 1);
		write_u32(w, r->ttl);
		write_data(w, r);
		n++;
		if (r->type == TYPE_CNAME && depth < 4)
			n += write_records(w, r->data, type, depth + 1);
	}
	return n;
}

static bool is_known_name(const char *name)
{
	for (size_t i = 0; i < RECORDS_MAX; i++)
		if (server.records[i].name && strcasecmp(server.records[i].name, name) == 0)
			return true;
	return false;
}

/* The name that is asked for, as text; the end of the question. */
static size_t read_question(struct slice query, char name[QUESTION_MAX], unsigned *type)
{
	size_t at = 12, len = 0;

	while (at < query.len && query.data[at]) {
		size_t label = query.data[at];

		ck_assert(at + label < query.len && len + label + 1 < QUESTION_MAX);
		if (len)
			name[len++] = '.';
		memcpy(name + len, query.data + at + 1, label);
		len += label;
		at += label + 1;
	}
	name[len] = '\0';
	ck_assert_uint_le(at + 5, query.len);
	*type = load_u16(query.data + at + 1);
	return at + 5;
}

static void respond(struct slice query, const struct sockaddr_in *to, unsigned id_off)
{
	uint8_t room[1400], records[1200];
	struct writer w = writer_of(room, sizeof room);
	struct writer r = writer_of(records, sizeof records);
	char name[QUESTION_MAX];
	unsigned type, flags = FLAGS, n = 0;
	size_t end = read_question(query, name, &type);

	snprintf(server.last_asked, sizeof server.last_asked, "%s", name);
	if (server.mood == FAILS)
		flags |= RCODE_FAIL;
	else if (server.mood == CUTS_OFF)
		flags |= TRUNCATED;
	else
		n = write_records(&r, name, type, 0);
	if (n == 0 && server.mood == ANSWERS && !is_known_name(name))
		flags |= RCODE_NONE;
	write_u16(&w, (uint16_t)(load_u16(query.data) + id_off));
	write_u16(&w, (uint16_t)flags);
	write_u16(&w, 1);
	write_u16(&w, (uint16_t)n);
	write_u32(&w, 0);
	write_bytes(&w, slice_sub(query, 12, end - 12));
	write_bytes(&w, slice_of(records, writer_len(&r)));
	ck_assert(!w.bad && !r.bad);
	sendto(server.fd, room, writer_len(&w), 0, (const struct sockaddr *)to, sizeof *to);
}

/* Somebody who guesses comes first, with another id and another address. */
static void lie(struct slice query, const struct sockaddr_in *to)
{
	const char *truth = server.records[0].data;

	server.records[0].data = "66.66.66.66";
	for (unsigned off = 1; off < 20; off++)
		respond(query, to, off);
	server.records[0].data = truth;
}

static void question_came(evutil_socket_t fd, short what, void *arg)
{
	uint8_t query[512];
	struct sockaddr_in from;
	socklen_t len = sizeof from;
	ssize_t n = recvfrom(fd, query, sizeof query, 0, (struct sockaddr *)&from, &len);

	(void)what;
	(void)arg;
	if (n < 17)
		return;
	server.asked++;
	if (server.mood == SILENT)
		return;
	if (server.mood == LIES_FIRST)
		lie(slice_of(query, (size_t)n), &from);
	respond(slice_of(query, (size_t)n), &from, 0);
}

static void server_bind(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	    .sin_port = htons(server.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;

	server.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(server.fd, (struct sockaddr *)&at, len), 0);
	ck_assert_int_eq(getsockname(server.fd, (struct sockaddr *)&at, &len), 0);
	server.port = ntohs(at.sin_port);
}

static void server_join(void)
{
	server.event =
	    event_new(loop_base(f.loop), server.fd, EV_READ | EV_PERSIST, question_came, NULL);
	event_add(server.event, NULL);
}

/* The port stays closed then, and asking gives an error at once. */
static void server_leave(void)
{
	if (server.event)
		event_free(server.event);
	server.event = NULL;
	if (server.fd >= 0)
		close(server.fd);
	server.fd = -1;
}

/* ---- around each test ---- */

static void open_with(const char *keys)
{
	char text[200];

	snprintf(text, sizeof text,
	    "type: dns, endpoints: [\"127.0.0.1:%u\"], empty: obey, refresh: 500ms%s", server.port,
	    keys);
	followed_open(&f, text, "");
	server_join();
}

static void begin(void)
{
	memset(&server, 0, sizeof server);
	server_bind();
	open_with(", port: 80");
}

static void end(void)
{
	event_free(server.event);
	server.event = NULL;
	followed_close(&f);
	server_leave();
}

static void know(size_t i, const char *name, unsigned type, uint32_t ttl, const char *data)
{
	server.records[i] = (struct record){.name = name, .type = type, .ttl = ttl, .data = data};
}

static void know_target(
    size_t i, uint16_t priority, uint16_t weight, uint16_t port, const char *target)
{
	server.records[i] =
	    (struct record){"_s._tcp.test", TYPE_SRV, 1, target, priority, weight, port};
}

/* ---- hosts ---- */

START_TEST(a_name_has_all_its_addresses_at_the_port_of_the_registry)
{
	know(0, "a.test", TYPE_A, 60, "10.0.0.2");
	know(1, "a.test", TYPE_A, 60, "10.0.0.1");
	know(2, "a.test", TYPE_AAAA, 60, "fd00::1");
	know(3, "a.test", TYPE_A, 60, "0.0.0.0"); /* nobody can call every host */
	followed_services(&f, "a.test");
	followed_until(&f, "a.test", "10.0.0.1:80 w10; 10.0.0.2:80 w10; [fd00::1]:80 w10");
	ck_assert(followed_remembers(&f, "a.test", "0.0.0.0:80"));
}
END_TEST

START_TEST(a_name_may_bring_its_port)
{
	know(0, "a.test", TYPE_A, 60, "10.0.0.1");
	followed_services(&f, "a.test:8080 a.test");
	followed_until(&f, "a.test:8080", "10.0.0.1:8080 w10");
	followed_until(&f, "a.test", "10.0.0.1:80 w10");
}
END_TEST

START_TEST(an_address_in_place_of_a_name_is_not_asked_for)
{
	followed_services(&f, "10.0.0.7 [fd00::7]:81");
	followed_until(&f, "10.0.0.7", "10.0.0.7:80 w10");
	followed_until(&f, "[fd00::7]:81", "[fd00::7]:81 w10");
	ck_assert_uint_eq(server.asked, 0);
}
END_TEST

static const char *const wrong_names[] = {"a..test", "-$-", "unix:/x", "a.test:x", "_s_!.test"};

START_TEST(what_is_no_name_is_an_error_of_that_service_alone)
{
	char names[80];

	know(0, "a.test", TYPE_A, 60, "10.0.0.1");
	snprintf(names, sizeof names, "%s a.test", wrong_names[_i]);
	followed_services(&f, names);
	followed_until_error(&f, wrong_names[_i], "no name for DNS");
	followed_until(&f, "a.test", "10.0.0.1:80 w10");
}
END_TEST

START_TEST(without_a_port_a_host_is_an_error_and_a_service_is_none)
{
	end();
	server_bind();
	open_with("");
	know_target(0, 1, 1, 9000, "h.test");
	know(1, "h.test", TYPE_A, 60, "10.0.0.1");
	followed_services(&f, "a.test _s._tcp.test");
	followed_until_error(&f, "a.test", "no port");
	followed_until(&f, "_s._tcp.test", "10.0.0.1:9000 w1");
}
END_TEST

START_TEST(an_answer_holds_as_long_as_it_says_within_a_second_and_five_minutes)
{
	static const struct {
		uint32_t ttl;
		usec_t at_least, at_most;
	} times[] = {{0, 900 * USEC_MS, 1500 * USEC_MS}, {60, 59 * USEC_S, 61 * USEC_S},
	    {0x7fffffff, 299 * USEC_S, 301 * USEC_S}};
	unsigned asked;

	know(0, "a.test", TYPE_A, times[_i].ttl, "10.0.0.1");
	followed_services(&f, "a.test");
	followed_until(&f, "a.test", "10.0.0.1:80 w10");
	know(0, "a.test", TYPE_A, times[_i].ttl, "10.0.0.2");
	asked = server.asked;
	followed_turn(&f, times[_i].at_least - 100 * USEC_MS);
	ck_assert_uint_eq(server.asked, asked);
	followed_turn(&f, times[_i].at_most - times[_i].at_least + 200 * USEC_MS);
	followed_until(&f, "a.test", "10.0.0.2:80 w10");
}
END_TEST

START_TEST(a_name_that_is_gone_is_an_empty_set_and_found_again_when_it_is_back)
{
	know(0, "a.test", TYPE_A, 1, "10.0.0.1");
	followed_services(&f, "a.test");
	followed_until(&f, "a.test", "10.0.0.1:80 w10");
	/* no such name; or there is one, with nothing of the kind */
	know(0, _i ? "a.test" : NULL, TYPE_SRV, 1, "x.test");
	followed_until(&f, "a.test", "empty:");
	know(0, "a.test", TYPE_A, 1, "10.0.0.2");
	followed_until(&f, "a.test", "10.0.0.2:80 w10");
}
END_TEST

START_TEST(a_server_that_fails_changes_nothing_and_is_asked_until_it_answers)
{
	know(0, "a.test", TYPE_A, 1, "10.0.0.1");
	followed_services(&f, "a.test");
	followed_until(&f, "a.test", "10.0.0.1:80 w10");
	if (_i == 0)
		server.mood = FAILS;
	else if (_i == 1)
		server.mood = SILENT;
	else if (_i == 2)
		server.mood = CUTS_OFF; /* and nobody answers over TCP */
	else
		server_leave();
	followed_until(&f, "a.test", "stale: 10.0.0.1:80 w10");
	ck_assert_str_ne(registry_set(f.registry, SLICE_LIT("a.test")).error, "");
	if (_i == 3) {
		server_bind();
		server_join();
	}
	server.mood = ANSWERS;
	know(0, "a.test", TYPE_A, 1, "10.0.0.2");
	followed_until(&f, "a.test", "10.0.0.2:80 w10");
}
END_TEST

START_TEST(a_name_of_which_nothing_is_heard_is_unknown_not_empty)
{
	server.mood = FAILS;
	followed_services(&f, "a.test");
	followed_until_error(&f, "a.test", "a.test: ");
	ck_assert_str_eq(followed_set(&f, "a.test"), "unknown:");
}
END_TEST

START_TEST(who_guesses_an_answer_is_not_heard)
{
	know(0, "a.test", TYPE_A, 60, "10.0.0.1");
	server.mood = LIES_FIRST;
	followed_services(&f, "a.test");
	followed_until(&f, "a.test", "10.0.0.1:80 w10");
	ck_assert(!followed_remembers(&f, "a.test", "66.66.66.66"));
}
END_TEST

START_TEST(a_name_may_stand_for_another_but_not_for_itself)
{
	know(0, "a.test", TYPE_CNAME, 60, "b.test");
	know(1, "b.test", TYPE_A, 60, "10.0.0.1");
	know(2, "c.test", TYPE_CNAME, 60, "d.test");
	know(3, "d.test", TYPE_CNAME, 60, "c.test");
	followed_services(&f, "a.test c.test");
	followed_until(&f, "a.test", "10.0.0.1:80 w10");
	followed_turn(&f, 300 * USEC_MS);
	ck_assert_uint_eq(registry_set(f.registry, SLICE_LIT("c.test")).n, 0);
	ck_assert_uint_lt(server.asked, 30);
}
END_TEST

START_TEST(what_is_not_followed_any_more_is_not_asked_for)
{
	unsigned asked;

	know(0, "a.test", TYPE_A, 1, "10.0.0.1");
	know_target(1, 1, 1, 80, "a.test");
	followed_services(&f, "a.test _s._tcp.test");
	followed_until(&f, "_s._tcp.test", "10.0.0.1:80 w1");
	followed_services(&f, "");
	followed_turn(&f, 0);
	asked = server.asked;
	followed_turn(&f, 10 * USEC_S);
	ck_assert_uint_eq(server.asked, asked);
	followed_services(&f, "a.test");
	followed_until(&f, "a.test", "10.0.0.1:80 w10");
}
END_TEST

/* ---- services ---- */

START_TEST(a_service_is_the_hosts_of_its_best_priority_with_their_weights)
{
	know_target(0, 5, 30, 9001, "a.test");
	know_target(1, 5, 0, 9002, "B.test"); /* names are the same in any letters */
	know_target(2, 9, 10, 9003, "c.test");
	know_target(3, 5, 7, 0, "a.test"); /* no port */
	know(4, "a.test", TYPE_A, 60, "10.0.0.1");
	know(5, "a.test", TYPE_AAAA, 60, "fd00::1");
	know(6, "b.test", TYPE_A, 60, "10.0.0.2");
	know(7, "c.test", TYPE_A, 60, "10.0.0.3");
	followed_services(&f, "_s._tcp.test");
	followed_until(
	    &f, "_s._tcp.test", "10.0.0.1:9001 w30; 10.0.0.2:9002 w1; [fd00::1]:9001 w30");
}
END_TEST

START_TEST(a_service_follows_its_records_and_its_hosts)
{
	know_target(0, 1, 1, 9001, "a.test");
	know(1, "a.test", TYPE_A, 1, "10.0.0.1");
	know(2, "b.test", TYPE_A, 1, "10.0.0.2");
	followed_services(&f, "_s._tcp.test");
	followed_until(&f, "_s._tcp.test", "10.0.0.1:9001 w1");
	know_target(3, 1, 5, 9002, "b.test");
	followed_until(&f, "_s._tcp.test", "10.0.0.1:9001 w1; 10.0.0.2:9002 w5");
	know(2, "b.test", TYPE_A, 1, "10.0.0.3");
	followed_until(&f, "_s._tcp.test", "10.0.0.1:9001 w1; 10.0.0.3:9002 w5");
	know(0, NULL, 0, 0, NULL);
	followed_until(&f, "_s._tcp.test", "10.0.0.3:9002 w5");
}
END_TEST

START_TEST(a_service_that_is_said_not_to_be_there_is_empty)
{
	if (_i)
		know_target(0, 0, 0, 0, ".");
	followed_services(&f, "_s._tcp.test");
	followed_until(&f, "_s._tcp.test", "empty:");
}
END_TEST

START_TEST(a_host_that_there_is_not_is_left_out_alone)
{
	know_target(0, 1, 1, 9001, "a.test");
	know_target(1, 1, 1, 9002, "gone.test");
	know(2, "a.test", TYPE_A, 60, "10.0.0.1");
	followed_services(&f, "_s._tcp.test");
	followed_until(&f, "_s._tcp.test", "10.0.0.1:9001 w1");
	ck_assert(followed_remembers(&f, "_s._tcp.test", "gone.test"));
}
END_TEST

START_TEST(a_service_keeps_its_set_while_its_server_fails)
{
	know_target(0, 1, 1, 9001, "a.test");
	know(1, "a.test", TYPE_A, 1, "10.0.0.1");
	followed_services(&f, "_s._tcp.test");
	followed_until(&f, "_s._tcp.test", "10.0.0.1:9001 w1");
	server.mood = _i ? BREAKS : FAILS;
	followed_until(&f, "_s._tcp.test", "stale: 10.0.0.1:9001 w1");
	server.mood = ANSWERS;
	know_target(0, 1, 1, 9009, "a.test");
	followed_until(&f, "_s._tcp.test", "10.0.0.1:9009 w1");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_name_has_all_its_addresses_at_the_port_of_the_registry, 1},
	    {a_name_may_bring_its_port, 1},
	    {an_address_in_place_of_a_name_is_not_asked_for, 1},
	    {what_is_no_name_is_an_error_of_that_service_alone, ARRAY_LEN(wrong_names)},
	    {without_a_port_a_host_is_an_error_and_a_service_is_none, 1},
	    {an_answer_holds_as_long_as_it_says_within_a_second_and_five_minutes, 3},
	    {a_name_that_is_gone_is_an_empty_set_and_found_again_when_it_is_back, 2},
	    {a_server_that_fails_changes_nothing_and_is_asked_until_it_answers, 4},
	    {a_name_of_which_nothing_is_heard_is_unknown_not_empty, 1},
	    {who_guesses_an_answer_is_not_heard, 1},
	    {a_name_may_stand_for_another_but_not_for_itself, 1},
	    {what_is_not_followed_any_more_is_not_asked_for, 1},
	    {a_service_is_the_hosts_of_its_best_priority_with_their_weights, 1},
	    {a_service_follows_its_records_and_its_hosts, 1},
	    {a_service_that_is_said_not_to_be_there_is_empty, 2},
	    {a_host_that_there_is_not_is_left_out_alone, 1},
	    {a_service_keeps_its_set_while_its_server_fails, 2},
	};

	return suite_run_between("names", tests, ARRAY_LEN(tests), begin, end);
}
