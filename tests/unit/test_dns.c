#include "registry/dns.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "net/loop.h"
#include "support/descriptors.h"
#include "support/suite.h"

/* --- a name server in a thread of its own --- */

enum mood { ANSWERS, SILENT, FAILS, KNOWS_NONE };

#define TYPE_A     1  /* source: RFC 1035, section 3.2.2 */
#define TYPE_AAAA  28 /* source: RFC 3596 */
#define RCODE_FAIL 2  /* source: RFC 1035, section 4.1.1 */
#define RCODE_NONE 3

struct server {
	int fd, stop[2];
	pthread_t thread;
	atomic_int mood;
	atomic_uint asked;
	atomic_uint last_byte; /* of the addresses 10.0.0.x and fd00::x */
	atomic_uint ttl;
	char config[32]; /* 127.0.0.1:port */
};

static uint16_t question_type(struct slice query, size_t *end)
{
	size_t at = 12;

	while (at < query.len && query.data[at])
		at += query.data[at] + 1u;
	*end = at + 5;
	return at + 5 <= query.len ? load_u16(query.data + at + 1) : 0;
}

static void write_address(struct writer *w, uint16_t type, uint32_t ttl, uint8_t last)
{
	static const uint8_t v6[15] = {0xfd};

	write_u16(w, 0xc00c); /* the question's name */
	write_u16(w, type);
	write_u16(w, 1);
	write_u32(w, ttl);
	if (type == TYPE_A) {
		write_u16(w, 4);
		write_bytes(w, slice_of("\x0a\0\0", 3));
	} else {
		write_u16(w, 16);
		write_bytes(w, slice_of(v6, sizeof v6));
	}
	write_u8(w, last);
}

static size_t answer(struct server *s, struct slice query, uint8_t *room, size_t size)
{
	int mood = atomic_load(&s->mood);
	struct writer w = writer_of(room, size);
	size_t end;
	uint16_t type = question_type(query, &end);
	bool has = mood == ANSWERS && (type == TYPE_A || type == TYPE_AAAA);

	write_bytes(&w, slice_first(query, 2));
	write_u16(&w, (uint16_t)(0x8180 | (mood == FAILS ? RCODE_FAIL : 0) |
				 (mood == KNOWS_NONE ? RCODE_NONE : 0)));
	write_u16(&w, 1);
	write_u16(&w, has);
	write_u32(&w, 0);
	write_bytes(&w, slice_sub(query, 12, end - 12));
	if (has)
		write_address(&w, type, atomic_load(&s->ttl), (uint8_t)atomic_load(&s->last_byte));
	return w.bad ? 0 : writer_len(&w);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	struct pollfd p[2] = {
	    {.fd = s->fd, .events = POLLIN}, {.fd = s->stop[0], .events = POLLIN}};

	while (poll(p, 2, -1) > 0 && !p[1].revents) {
		uint8_t query[512], reply[512];
		struct sockaddr_in from;
		socklen_t len = sizeof from;
		ssize_t n = recvfrom(s->fd, query, sizeof query, 0, (struct sockaddr *)&from, &len);
		size_t size;

		if (n < 17)
			continue;
		atomic_fetch_add(&s->asked, 1);
		if (atomic_load(&s->mood) == SILENT)
			continue;
		size = answer(s, slice_of(query, (size_t)n), reply, sizeof reply);
		sendto(s->fd, reply, size, 0, (struct sockaddr *)&from, len);
	}
	return NULL;
}

static void server_start(struct server *s)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;

	memset(s, 0, sizeof *s);
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(s->fd, (struct sockaddr *)&at, len), 0);
	ck_assert_int_eq(getsockname(s->fd, (struct sockaddr *)&at, &len), 0);
	snprintf(s->config, sizeof s->config, "127.0.0.1:%u", ntohs(at.sin_port));
	ck_assert_int_eq(pipe(s->stop), 0);
	atomic_store(&s->last_byte, 1);
	atomic_store(&s->ttl, 60);
	ck_assert_int_eq(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
	close(s->stop[1]);
	pthread_join(s->thread, NULL);
	close(s->stop[0]);
	close(s->fd);
}

/* --- the tests --- */

static struct server server;
static struct loop *loop;
static struct dns *dns;
static unsigned changes;
static int before;
static struct err err;

static void changed(void *arg)
{
	(void)arg;
	changes++;
}

static void use(const struct server *s)
{
	const char *item = s->config;
	struct config_list list = {&item, 1};

	ck_assert_msg(dns_set_servers(dns, &list, &err) == 0, "%s", err.text);
}

static void begin(void)
{
	before = descriptors_open();
	server_start(&server);
	loop = loop_new(&err);
	changes = 0;
	dns = dns_new(loop, 1, changed, NULL, &err);
	ck_assert_msg(dns != NULL, "%s", err.text);
	use(&server);
}

static void end(void)
{
	dns_free(&dns);
	ck_assert_ptr_null(dns);
	loop_free(&loop);
	server_stop(&server);
	ck_assert_int_eq(descriptors_open(), before);
}

static struct dns_answer known(const char *host)
{
	return dns_answer(dns, slice_str(host));
}

static void follow(const char *a, const char *b)
{
	struct slice hosts[2] = {slice_str(a), slice_str(b)};

	dns_follow(dns, hosts, b ? 2 : 1);
}

static void wait_for_changes(unsigned n)
{
	while (changes < n)
		loop_turn(loop, USEC_S);
}

START_TEST(a_name_becomes_all_its_addresses)
{
	struct dns_answer a;

	follow("one.test", NULL);
	ck_assert(!known("one.test").is_known);
	wait_for_changes(1);
	a = known("one.test");
	ck_assert(a.is_known && !a.is_stale);
	ck_assert_uint_eq(a.n, 2);
	ck_assert_str_eq(a.list[0].text, "10.0.0.1:0");
	ck_assert_str_eq(a.list[1].text, "[fd00::1]:0");
}
END_TEST

START_TEST(an_answer_that_runs_out_is_asked_for_again)
{
	atomic_store(&server.ttl, 0); /* kept for a second all the same */
	follow("one.test", NULL);
	wait_for_changes(1);
	atomic_store(&server.last_byte, 2);
	wait_for_changes(2);
	ck_assert_str_eq(known("one.test").list[0].text, "10.0.0.2:0");
}
END_TEST

START_TEST(the_same_answer_again_is_no_change)
{
	unsigned asked;

	atomic_store(&server.ttl, 1);
	follow("one.test", NULL);
	wait_for_changes(1);
	asked = atomic_load(&server.asked);
	while (atomic_load(&server.asked) < asked + 2)
		loop_turn(loop, USEC_S);
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 20 * USEC_MS);
	ck_assert_uint_eq(changes, 1);
}
END_TEST

START_TEST(the_last_good_answer_is_kept_over_failures)
{
	struct dns_answer a;

	atomic_store(&server.ttl, 1);
	follow("one.test", NULL);
	wait_for_changes(1);
	atomic_store(&server.mood, _i ? KNOWS_NONE : FAILS);
	wait_for_changes(2);
	a = known("one.test");
	ck_assert(a.is_stale && a.is_known);
	ck_assert_uint_eq(a.n, 2);
	atomic_store(&server.mood, ANSWERS);
	wait_for_changes(3);
	ck_assert(!known("one.test").is_stale);
}
END_TEST

START_TEST(a_name_that_does_not_exist_is_known_to_have_none)
{
	struct dns_answer a;

	atomic_store(&server.mood, KNOWS_NONE);
	follow("none.test", NULL);
	wait_for_changes(1);
	a = known("none.test");
	ck_assert(a.is_known && !a.is_stale);
	ck_assert_uint_eq(a.n, 0);
}
END_TEST

START_TEST(a_server_that_fails_leaves_a_name_unknown_until_it_answers)
{
	int idle = descriptors_open();

	atomic_store(&server.mood, FAILS);
	follow("one.test", NULL);
	ck_assert_int_gt(descriptors_open(), idle);
	/* One address alone is an answer too, so both questions must have failed before it
	 * answers. */
	while (descriptors_open() > idle)
		loop_turn(loop, 10 * USEC_MS);
	ck_assert(!known("one.test").is_known);
	ck_assert_uint_eq(changes, 0);
	atomic_store(&server.mood, ANSWERS);
	wait_for_changes(1);
	ck_assert_uint_eq(known("one.test").n, 2);
}
END_TEST

START_TEST(new_servers_are_asked_at_once_and_answers_kept_meanwhile)
{
	struct server other;

	follow("one.test", NULL);
	wait_for_changes(1);
	server_start(&other);
	atomic_store(&other.last_byte, 9);
	use(&other);
	ck_assert_uint_eq(known("one.test").n, 2);
	wait_for_changes(2);
	ck_assert_str_eq(known("one.test").list[0].text, "10.0.0.9:0");
	dns_follow(dns, NULL, 0);
	server_stop(&other);
}
END_TEST

START_TEST(servers_that_make_no_sense_change_nothing)
{
	const char *item = "not an address";
	struct config_list list = {&item, 1};

	ck_assert_int_eq(dns_set_servers(dns, &list, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "resolvers"));
	follow("one.test", NULL);
	wait_for_changes(1);
	ck_assert_uint_eq(known("one.test").n, 2);
}
END_TEST

START_TEST(names_that_nobody_wants_any_more_are_forgotten)
{
	follow("one.test", "two.test");
	wait_for_changes(2);
	follow("two.test", NULL);
	ck_assert(!known("one.test").is_known);
	ck_assert(known("two.test").is_known);
	follow("one.test", "two.test");
	ck_assert(known("two.test").is_known);
	wait_for_changes(3);
	ck_assert_uint_eq(known("one.test").n, 2);
}
END_TEST

START_TEST(a_name_may_be_forgotten_while_it_is_asked_for)
{
	atomic_store(&server.mood, SILENT);
	follow("one.test", "two.test");
	while (atomic_load(&server.asked) < 2)
		loop_turn(loop, 10 * USEC_MS);
	if (_i == 0)
		dns_follow(dns, NULL, 0); /* the end of the test frees the rest */
	if (_i == 1)
		use(&server); /* which ends what is under way */
	ck_assert_uint_eq(changes, 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_name_becomes_all_its_addresses, 1},
	    {an_answer_that_runs_out_is_asked_for_again, 1},
	    {the_same_answer_again_is_no_change, 1},
	    {the_last_good_answer_is_kept_over_failures, 2},
	    {a_name_that_does_not_exist_is_known_to_have_none, 1},
	    {a_server_that_fails_leaves_a_name_unknown_until_it_answers, 1},
	    {new_servers_are_asked_at_once_and_answers_kept_meanwhile, 1},
	    {servers_that_make_no_sense_change_nothing, 1},
	    {names_that_nobody_wants_any_more_are_forgotten, 1},
	    {a_name_may_be_forgotten_while_it_is_asked_for, 3},
	};

	return suite_run_between("dns", tests, ARRAY_LEN(tests), begin, end);
}
