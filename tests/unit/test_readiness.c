/* Whether an application answers: connecting to its endpoints, and what health checks find. */
#include "daemon/readiness.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "model/snapshot.h"
#include "net/loop.h"
#include "support/descriptors.h"
#include "support/loaded.h"
#include "support/recorder.h"
#include "support/suite.h"

/* The linker puts this between the loop and the system: time passes at once. */
usec_t __real_clock_monotonic(void);
usec_t __wrap_clock_monotonic(void);

static usec_t skipped;

usec_t __wrap_clock_monotonic(void)
{
	return __real_clock_monotonic() + skipped;
}

#define REGISTRY                                                                                   \
	"registries: {main: {type: etcd, endpoints: [\"127.0.0.1:2379\"]}}\n"                      \
	"listeners: [{name: in, address: \"127.0.0.1:0\", service: app}]\n"

static struct loop *loop;
static struct readiness *readiness;
static struct tallies *tallies;
static struct snapshot *snapshot;
static struct loaded loaded;
static char folder[32];
static int changes, descriptors_before;

static void count_change(void *arg)
{
	(void)arg;
	changes++;
}

static void begin(void)
{
	struct err err;

	descriptors_before = descriptors_open();
	loop = loop_new(&err);
	ck_assert_ptr_nonnull(loop);
	strcpy(folder, "/tmp/bridle-ready-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	tallies = tallies_new();
	changes = 0;
	skipped = 0;
	readiness =
	    readiness_new(loop, readiness_for_registration, READINESS_EVERY, count_change, NULL);
}

static void end(void)
{
	readiness_free(&readiness);
	if (snapshot)
		snapshot_unref(&snapshot);
	tallies_free(&tallies);
	loaded_free(&loaded);
	loop_free(&loop);
	rmdir(folder);
	ck_assert_int_eq(descriptors_open(), descriptors_before);
}

/* Follows one service with these keys, and these endpoints. */
static void follow(const char *keys, const char *const *addresses, size_t n)
{
	struct endpoint list[4] = {0};
	struct endpoint_set set = {list, n, ENDPOINTS_FRESH};
	struct shared_config *shared;
	struct snapshot *before = snapshot;
	char text[1024];
	struct err err;

	loaded_free(&loaded);
	snprintf(text, sizeof text,
	    REGISTRY "services: {app: {endpoints: [\"127.0.0.1:9\"], register: {in: main}%s}}\n",
	    keys);
	loaded = loaded_from(text);
	loaded_config(&loaded);
	shared = shared_config_new(loaded.config);
	loaded.config = NULL; /* moved */
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(address_parse(&list[i].address, slice_str(addresses[i]), &err), 0);
	snapshot = snapshot_new(shared, &set, tallies, before, loop_now(loop));
	shared_config_unref(&shared);
	if (before)
		snapshot_unref(&before);
	readiness_follow(readiness, snapshot);
}

static void follow_one(const char *keys, const char *address)
{
	follow(keys, &address, 1);
}

static bool is_ready(void)
{
	const char *why;

	return readiness_is_ready(readiness, SLICE_LIT("app"), &why);
}

static const char *why_not(void)
{
	const char *why;

	readiness_is_ready(readiness, SLICE_LIT("app"), &why);
	return why;
}

/* What can happen now happens. */
static void settle(void)
{
	for (int i = 0; i < 8; i++) {
		skipped += USEC_MS; /* a timer that is due waits for the next tick */
		loop_turn(loop, 0);
	}
}

static void pass(usec_t time)
{
	skipped += time + 2 * USEC_MS; /* timers may be a tick late */
	settle();
}

static void say_address(char *room, size_t size, const char *name)
{
	snprintf(room, size, "unix:%s/%s", folder, name);
}

static void remove_socket(const char *name)
{
	char path[80];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	unlink(path);
}

static int listen_unix(const char *name, int backlog)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof sun.sun_path, "%s/%s", folder, name);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
	ck_assert_int_eq(listen(fd, backlog), 0);
	return fd;
}

/* A port on which nobody listens. */
static uint16_t free_port(void)
{
	uint16_t port;

	close(listen_tcp(&port));
	return port;
}

START_TEST(an_application_that_accepts_is_ready)
{
	char address[80];
	int fd = listen_unix("app", 8);

	say_address(address, sizeof address, "app");
	follow_one("", address);
	ck_assert(!is_ready()); /* nobody has asked yet */
	ck_assert_ptr_nonnull(strstr(why_not(), "yet"));
	settle();
	ck_assert(is_ready());
	ck_assert_str_eq(why_not(), "");
	ck_assert_int_eq(changes, 1);
	close(fd);
	remove_socket("app");
}
END_TEST

START_TEST(an_application_over_tcp_is_ready_too)
{
	char address[32];
	uint16_t port;
	int fd = listen_tcp(&port);

	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	follow_one("", address);
	settle();
	ck_assert(is_ready());
	close(fd);
	ck_assert(is_ready()); /* until it is asked again */
	pass(READINESS_EVERY);
	ck_assert(!is_ready());
	ck_assert_ptr_nonnull(strstr(why_not(), "refused"));
	ck_assert_ptr_nonnull(strstr(why_not(), address));
	ck_assert_int_eq(changes, 2);
}
END_TEST

START_TEST(one_refusal_is_enough_and_one_success_brings_it_back)
{
	char address[80];
	int fd = listen_unix("app", 8);

	say_address(address, sizeof address, "app");
	follow_one("", address);
	settle();
	close(fd);
	pass(READINESS_EVERY); /* refused */
	ck_assert(!is_ready());
	remove_socket("app");
	pass(READINESS_EVERY); /* no such file */
	ck_assert(!is_ready());
	fd = listen_unix("app", 8);
	pass(READINESS_EVERY / 2);
	ck_assert(!is_ready());
	pass(READINESS_EVERY / 2);
	ck_assert(is_ready());
	close(fd);
	remove_socket("app");
}
END_TEST

START_TEST(a_full_accept_queue_is_a_sign_of_life)
{
	char address[80];
	int fd = listen_unix("app", 0);

	say_address(address, sizeof address, "app");
	follow_one("", address);
	for (int i = 0; i < 5; i++) {
		pass(READINESS_EVERY);
		ck_assert(is_ready());
	}
	close(fd);
	remove_socket("app");
}
END_TEST

/* Fills the queue of a listener that nobody accepts from, so that one more hears nothing. */
static int listen_deaf(uint16_t *port, int *fds, size_t n)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = listen_tcp(port);

	sin.sin_port = htons(*port);
	ck_assert_int_eq(listen(fd, 0), 0);
	for (size_t i = 0; i < n; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(fds[i], (struct sockaddr *)&sin, sizeof sin);
	}
	return fd;
}

START_TEST(silence_has_to_come_twice)
{
	char address[32];
	uint16_t port;
	int fds[4], deaf, fd = listen_tcp(&port);

	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	follow_one("", address);
	settle();
	ck_assert(is_ready());
	close(fd);
	deaf = listen_deaf(&port, fds, ARRAY_LEN(fds));
	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	follow_one("", address);
	settle();
	ck_assert(is_ready()); /* it was, and the new endpoint has not spoken yet */
	pass(READINESS_TIMEOUT);
	ck_assert(is_ready());
	pass(READINESS_TIMEOUT);
	ck_assert(!is_ready());
	ck_assert_ptr_nonnull(strstr(why_not(), "timed out"));
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	close(deaf);
}
END_TEST

START_TEST(one_endpoint_of_several_is_enough)
{
	char up[80], down[32];
	const char *addresses[] = {down, up};
	int fd = listen_unix("app", 8);

	say_address(up, sizeof up, "app");
	snprintf(down, sizeof down, "127.0.0.1:%u", free_port());
	follow("", addresses, 2);
	settle();
	ck_assert(is_ready());
	follow("", addresses, 1); /* the good one is gone */
	settle();
	ck_assert(!is_ready());
	close(fd);
	remove_socket("app");
}
END_TEST

START_TEST(endpoints_that_stay_are_not_asked_anew_by_a_reload)
{
	char address[80];
	int fd = listen_unix("app", 8);

	say_address(address, sizeof address, "app");
	follow_one("", address);
	settle();
	close(accept(fd, NULL, NULL));
	for (int i = 0; i < 3; i++) {
		follow_one("", address);
		settle();
	}
	ck_assert(is_ready());
	ck_assert_int_eq(changes, 1);
	ck_assert_int_eq(accept(fd, NULL, NULL), -1);
	close(fd);
	remove_socket("app");
}
END_TEST

START_TEST(an_application_without_endpoints_is_not_ready)
{
	follow("", NULL, 0);
	settle();
	ck_assert(!is_ready());
	ck_assert_str_eq(why_not(), "no endpoint of the application is known");
	ck_assert(loop_sleeps(loop));
}
END_TEST

START_TEST(what_calls_meet_plays_no_part)
{
	char address[80];
	int fd = listen_unix("app", 8);

	say_address(address, sizeof address, "app");
	follow_one("", address);
	settle();
	atomic_store(&snapshot->services[0].endpoint_tallies[0]->ejected_until, UINT64_MAX);
	pass(READINESS_EVERY);
	ck_assert(is_ready());
	close(fd);
	remove_socket("app");
}
END_TEST

START_TEST(health_checks_decide_where_there_are_any)
{
	char address[80];
	int fd = listen_unix("app", 8);
	struct endpoint_tally *tally;

	say_address(address, sizeof address, "app");
	follow_one(", health: {type: thrift}", address);
	tally = snapshot->services[0].endpoint_tallies[0];
	pass(READINESS_EVERY);
	ck_assert(!is_ready()); /* though it accepts */
	endpoint_tally_set_health(tally, HEALTH_UP);
	pass(READINESS_LOOK);
	ck_assert(is_ready());
	endpoint_tally_set_health(tally, HEALTH_DOWN);
	pass(READINESS_LOOK);
	ck_assert(!is_ready());
	ck_assert_ptr_nonnull(strstr(why_not(), "health checks"));
	endpoint_tally_set_health(tally, HEALTH_UP);
	pass(READINESS_LOOK);
	/* The checks begin anew, as when another method is asked for. */
	endpoint_tally_set_health(tally, HEALTH_UNKNOWN);
	pass(READINESS_LOOK);
	ck_assert(is_ready());
	endpoint_tally_set_health(tally, HEALTH_DOWN);
	pass(READINESS_LOOK);
	ck_assert(!is_ready());
	ck_assert_int_eq(changes, 4);
	close(fd);
	remove_socket("app");
}
END_TEST

START_TEST(health_checks_can_come_and_go_with_a_reload)
{
	char address[80];
	int fd = listen_unix("app", 8);

	say_address(address, sizeof address, "app");
	follow_one("", address);
	settle();
	ck_assert(is_ready());
	follow_one(", health: {type: tcp}", address);
	pass(READINESS_LOOK);
	ck_assert(is_ready()); /* no check has found anything yet */
	endpoint_tally_set_health(snapshot->services[0].endpoint_tallies[0], HEALTH_DOWN);
	pass(READINESS_LOOK);
	ck_assert(!is_ready());
	follow_one("", address);
	settle();
	ck_assert(is_ready());
	close(fd);
	remove_socket("app");
}
END_TEST

START_TEST(only_what_is_to_be_registered_while_it_is_ready_is_asked)
{
	char address[80];
	int fd = listen_unix("app", 8);
	struct loaded other;
	struct shared_config *shared;
	struct snapshot *without;
	struct endpoint_set none = {NULL, 0, ENDPOINTS_EMPTY};

	say_address(address, sizeof address, "app");
	follow_one("", address);
	settle();
	ck_assert(is_ready());
	other = loaded_from("services: {app: {endpoints: [\"127.0.0.1:9\"]}}\n"
			    "listeners: [{name: in, address: \"127.0.0.1:0\"}]\n");
	loaded_config(&other);
	shared = shared_config_new(other.config);
	other.config = NULL;
	without = snapshot_new(shared, &none, tallies, NULL, 0);
	readiness_follow(readiness, without);
	ck_assert(!is_ready());
	shared_config_unref(&shared);
	snapshot_unref(&without);
	loaded_free(&other);
	close(fd);
	remove_socket("app");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {an_application_that_accepts_is_ready, 1},
	    {an_application_over_tcp_is_ready_too, 1},
	    {one_refusal_is_enough_and_one_success_brings_it_back, 1},
	    {a_full_accept_queue_is_a_sign_of_life, 1},
	    {silence_has_to_come_twice, 1},
	    {one_endpoint_of_several_is_enough, 1},
	    {endpoints_that_stay_are_not_asked_anew_by_a_reload, 1},
	    {an_application_without_endpoints_is_not_ready, 1},
	    {what_calls_meet_plays_no_part, 1},
	    {health_checks_decide_where_there_are_any, 1},
	    {health_checks_can_come_and_go_with_a_reload, 1},
	    {only_what_is_to_be_registered_while_it_is_ready_is_asked, 1},
	};

	return suite_run_between("readiness", tests, ARRAY_LEN(tests), begin, end);
}
