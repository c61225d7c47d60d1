#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "support/loaded.h"
#include "support/suite.h"

#define SERVICE "services: {app: {endpoints: [\"127.0.0.1:9000\"]}}\n"

/*
 * Broken files, each with what has to be said about it beside it, problem by problem:
 *     line:column: error: path: part of the text
 *         part of the remedy
 * where - stands for no path.
 */
struct expected {
	unsigned line, column;
	char kind[16], path[600], text[1024], remedy[1024];
};

static bool read_line(FILE *file, char *room, size_t size)
{
	if (fgets(room, (int)size, file) == NULL)
		return false;
	room[strcspn(room, "\n")] = '\0';
	return true;
}

static bool read_expected(FILE *file, struct expected *e)
{
	char line[2048], remedy[1024];
	char *path, *text;

	if (!read_line(file, line, sizeof line))
		return false;
	ck_assert_int_eq(sscanf(line, "%u:%u: %15[a-z]:", &e->line, &e->column, e->kind), 3);
	path = strchr(line, ' ') + 1;
	path = strchr(path, ' ') + 1;
	text = strstr(path, ": ");
	ck_assert_ptr_nonnull(text);
	*text = '\0';
	snprintf(e->path, sizeof e->path, "%s", strcmp(path, "-") ? path : "");
	snprintf(e->text, sizeof e->text, "%s", text + 2);
	ck_assert(read_line(file, remedy, sizeof remedy));
	ck_assert(strncmp(remedy, "    ", 4) == 0);
	snprintf(e->remedy, sizeof e->remedy, "%s", remedy + 4);
	return true;
}

static void assert_said(const char *file, const struct problem *p, const struct expected *e)
{
	bool same = p->line == e->line && p->column == e->column &&
		    strcmp(p->path ? p->path : "", e->path) == 0 && strstr(p->text, e->text) &&
		    p->remedy && strstr(p->remedy, e->remedy) &&
		    p->is_warning == (strcmp(e->kind, "warning") == 0);

	ck_assert_msg(same,
	    "%s:%u:%u: %s: %s\n    %s\nwhere was expected\n%s:%u:%u: %s: %s\n    %s", file, p->line,
	    p->column, p->path, p->text, p->remedy, file, e->line, e->column, e->path, e->text,
	    e->remedy);
}

static void check_broken(const char *name)
{
	char other[300];
	struct expected e;
	struct loaded l = loaded_file(name);
	size_t n = 0;
	FILE *file;

	snprintf(other, sizeof other, "%.*s.expected", (int)strlen(name) - 5, name);
	file = fopen(other, "r");
	ck_assert_msg(file != NULL, "%s", other);
	for (; read_expected(file, &e); n++) {
		ck_assert_msg(
		    n < l.problems.n, "%s: nothing said about line %u, %s", name, e.line, e.path);
		assert_said(name, &l.problems.list[n], &e);
	}
	fclose(file);
	if (n < l.problems.n)
		problems_print(&l.problems, stderr, true);
	ck_assert_msg(n == l.problems.n, "%s: more is said than was expected", name);
	ck_assert((l.config == NULL) == (l.problems.n_errors > 0));
	loaded_free(&l);
}

START_TEST(every_broken_file_is_told_with_place_path_and_remedy)
{
	struct dirent *entry;
	unsigned count = 0;
	DIR *dir;

	ck_assert_int_eq(chdir(suite_path("tests/config/broken")), 0);
	dir = opendir(".");
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL) {
		size_t len = strlen(entry->d_name);

		if (len <= 5 || strcmp(entry->d_name + len - 5, ".yaml") != 0)
			continue;
		check_broken(entry->d_name);
		count++;
	}
	closedir(dir);
	ck_assert_uint_ge(count, 25);
}
END_TEST

/* The keys and values that the file asks for, one after another. */
static struct loaded with_listener(const char *listener)
{
	char text[2000];

	snprintf(
	    text, sizeof text, "node: {service: me}\nlisteners: [{%s}]\n%s", listener, SERVICE);
	return loaded_from(text);
}

START_TEST(listeners_that_are_right_are_left_alone)
{
	static const char *const fine[] = {
	    "address: \"127.0.0.1:8888\"",
	    "address: [\"127.0.0.1:8888\", \"127.0.0.1:8889\", \"[::1]:8888\"]",
	    "address: \"0.0.0.0:8888\", service: app",
	    "address: \"0.0.0.0:8888\", allow: [10.0.0.0/8]",
	    "address: [\"0.0.0.0:0\", \"0.0.0.0:0\"], service: app",
	    "address: \"unix:/tmp/x.sock\"",
	    "address: \"unix:/tmp/x.sock\", mode: 0620",
	    "address: \"unix:/tmp/x.sock\", mode: 0602, owner: root, group: root",
	    "address: \"unix:@name\", allow: [\"uid:0\"]",
	    "address: \"unix:@name\", allow: [\"gid:0\"], deny: [\"uid:1\"]",
	    "address: [\"unix:/tmp/x.sock\", \"127.0.0.1:1\"], allow: [\"uid:0\", 10.0.0.0/8]",
	    "address: \"unix:/tmp/x.sock\", caller: {uid: {0: a}}",
	    "address: \"127.0.0.1:8888\", caller: node",
	    "address: \"127.0.0.1:8888\", service: app, protocols: [framed]",
	};

	for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
		struct loaded l = with_listener(fine[i]);

		loaded_config(&l);
		if (l.problems.n)
			problems_print(&l.problems, stderr, true);
		ck_assert_msg(l.problems.n == 0, "%s", fine[i]);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(open_listener_needs_allow_or_a_pin)
{
	static const char *const open[] = {
	    "0.0.0.0:8888", "[::]:8888", "10.1.2.3:8888", "0.0.0.0:0", "[2001:db8::1]:8888"};
	char listener[200];

	for (size_t i = 0; i < ARRAY_LEN(open); i++) {
		struct loaded l;

		snprintf(listener, sizeof listener, "address: \"%s\", deny: [10.0.0.0/8]", open[i]);
		l = with_listener(listener);
		ck_assert_ptr_null(l.config);
		ck_assert(loaded_says(&l, "listeners[0].address", "call every service", "allow"));
		loaded_free(&l);
	}
}
END_TEST

START_TEST(listener_without_services_leads_nowhere)
{
	struct loaded l = loaded_from("listeners: [{address: \"127.0.0.1:0\"}]\n");

	loaded_config(&l);
	ck_assert(loaded_says(&l, "listeners[0]", "no services", "services"));
	ck_assert(l.problems.list[0].is_warning);
	loaded_free(&l);
}
END_TEST

START_TEST(loops_are_found_through_every_spelling)
{
	static const struct {
		const char *listener, *endpoint;
		bool loop;
	} cases[] = {
	    {"\"127.0.0.1:8888\", service: app", "127.0.0.1:8888", true},
	    {"\"127.0.0.1:8888\"", "127.0.0.1:8888", true},
	    {"\"127.0.0.1:8888\", service: other", "127.0.0.1:8888", false},
	    {"\"127.0.0.1:8888\", service: app", "127.0.0.1:8889", false},
	    {"\"127.0.0.1:8888\", service: app", "127.0.0.2:8888", false},
	    {"\"0.0.0.0:8888\", service: app", "127.0.0.1:8888", true},
	    {"\"0.0.0.0:8888\", service: app", "10.0.0.1:8888", false},
	    {"\"[::]:8888\", service: app", "[::1]:8888", true},
	    {"\"[0::1]:8888\", service: app", "[::1]:8888", true},
	    {"\"unix:/tmp/x.sock\", service: app", "unix:/tmp/x.sock", true},
	    {"\"unix:/tmp/x.sock\", service: app", "unix:/tmp/y.sock", false},
	    {"\"unix:@x\", allow: [\"uid:0\"]", "unix:@x", true},
	    {"\"127.0.0.1:0\", service: app", "127.0.0.1:8888", false},
	};
	char text[1000];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loaded l;

		snprintf(text, sizeof text,
		    "listeners: [{address: %s}]\nservices: {app: {endpoints: [\"%s\"]}, other: "
		    "{endpoints: [\"127.0.0.1:1\"]}}\n",
		    cases[i].listener, cases[i].endpoint);
		l = loaded_from(text);
		ck_assert_msg((l.config == NULL) == cases[i].loop, "%s", text);
		if (cases[i].loop)
			ck_assert(
			    loaded_says(&l, "services.app.endpoints[0]", "a loop", "application"));
		loaded_free(&l);
	}
}
END_TEST

START_TEST(weight_zero_is_fine_for_all_but_one)
{
	struct loaded l = loaded_from(
	    "listeners: [{address: \"127.0.0.1:0\"}]\n"
	    "services: {app: {endpoints: [{address: \"127.0.0.1:1\", weight: 0}, \"127.0.0.1:2\"]}}\n");

	ck_assert_uint_eq(loaded_config(&l)->services[0]->endpoints[0].weight, 0);
	ck_assert_uint_eq(l.problems.n, 0);
	loaded_free(&l);
}
END_TEST

START_TEST(pin_needs_a_protocol_that_turns_into_what_the_service_speaks)
{
	static const char *const unary[] = {
	    "buffered", "framed", "ttheader", "ttheader_framed", "ttheader_bare", "grpc", "same"};
	static const char *const admitted[] = {"buffered", "framed", "ttheader", "grpc"};
	char text[300];

	for (size_t i = 0; i < ARRAY_LEN(unary); i++) {
		for (size_t j = 0; j <= ARRAY_LEN(admitted); j++) {
			bool streams = j == ARRAY_LEN(admitted);
			struct loaded l;

			snprintf(text, sizeof text,
			    "listeners: [{address: \"127.0.0.1:0\", service: app, protocols: [%s]}]\n"
			    "services: {app: {endpoints: [\"127.0.0.1:1\"], protocol: %s}}\n",
			    streams ? "ttheader_streaming" : admitted[j], unary[i]);
			l = loaded_from(text);
			ck_assert_msg((l.config == NULL) == (streams && strcmp(unary[i], "same")),
			    "%s", text);
			if (l.config == NULL)
				ck_assert(loaded_says(&l, "listeners[0].protocols", "no_conversion",
				    "buffered, framed, ttheader, grpc"));
			ck_assert_uint_eq(l.problems.n, l.config == NULL);
			loaded_free(&l);
		}
	}
}
END_TEST

START_TEST(streams_of_ttheader_turn_into_nothing_else)
{
	static const struct {
		const char *protocols;
		bool fine;
	} cases[] = {{"[ttheader]", false}, {"[grpc]", false}, {"[buffered, framed]", false},
	    {"[ttheader_streaming]", true}, {"[framed, ttheader_streaming]", true}};
	char text[300];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loaded l;

		snprintf(text, sizeof text,
		    "listeners: [{address: \"127.0.0.1:0\", service: app, protocols: %s}]\n"
		    "services: {app: {endpoints: [\"127.0.0.1:1\"], protocol: ttheader_streaming}}\n",
		    cases[i].protocols);
		l = loaded_from(text);
		ck_assert_msg((l.config != NULL) == cases[i].fine, "%s", text);
		if (!cases[i].fine)
			ck_assert(loaded_says(&l, "listeners[0].protocols", "no_conversion",
			    "expected at least one of: ttheader_streaming"));
		loaded_free(&l);
	}
}
END_TEST

START_TEST(list_of_protocols_that_is_wrong_is_told_once)
{
	static const char *const listeners[] = {"service: app, protocols: [frame, ttheader]",
	    "service: app, protocols: [tcp]", "protocols: [framed, grcp]"};
	char text[300];

	for (size_t i = 0; i < ARRAY_LEN(listeners); i++) {
		struct loaded l;

		snprintf(text, sizeof text,
		    "listeners: [{address: \"127.0.0.1:0\", %s}]\n"
		    "services: {app: {endpoints: [\"127.0.0.1:1\"], protocol: ttheader_streaming}}\n",
		    listeners[i]);
		l = loaded_from(text);
		ck_assert_uint_eq(l.problems.n_errors, 1);
		ck_assert_msg(l.problems.n == 1, "%s", text);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(calls_in_any_protocol_of_streams_name_their_service)
{
	static const char *const fine[] = {"address: \"127.0.0.1:0\", protocols: [grpc]",
	    "address: \"127.0.0.1:0\", protocols: [framed, ttheader_streaming]"};

	for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
		struct loaded l = with_listener(fine[i]);

		loaded_config(&l);
		ck_assert_msg(l.problems.n == 0, "%s", fine[i]);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(multiplex_is_refused_where_connections_are_shared_anyway)
{
	static const char *const protocols[] = {"grpc", "ttheader_streaming"};
	char text[300];

	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		struct loaded l;

		snprintf(text, sizeof text,
		    "listeners: [{address: \"127.0.0.1:0\"}]\n"
		    "services: {app: {endpoints: [\"127.0.0.1:1\"], multiplex: true, protocol: %s}}\n",
		    protocols[i]);
		l = loaded_from(text);
		ck_assert_ptr_null(l.config);
		ck_assert(loaded_says(&l, "services.app.multiplex", "mux mode", "leave it out"));
		ck_assert_uint_eq(l.problems.n, 1);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(multiplex_warns_only_where_it_cannot_work)
{
	static const struct {
		const char *protocol;
		bool warns;
	} cases[] = {{"same", false}, {"ttheader", false}, {"ttheader_framed", false},
	    {"ttheader_bare", false}, {"framed", true}, {"buffered", true}};
	char text[300];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loaded l;

		snprintf(text, sizeof text,
		    "listeners: [{address: \"127.0.0.1:0\"}]\n"
		    "services: {app: {endpoints: [\"127.0.0.1:1\"], multiplex: true, protocol: %s}}\n",
		    cases[i].protocol);
		l = loaded_from(text);
		loaded_config(&l);
		ck_assert_uint_eq(l.problems.n, cases[i].warns);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(services_nobody_reaches_are_doubtful)
{
	struct loaded l = loaded_from("listeners: [{address: \"127.0.0.1:0\", service: app}]\n"
				      "services: {app: {endpoints: [\"127.0.0.1:1\"]}, other: "
				      "{endpoints: [\"127.0.0.1:1\"]}}\n");

	loaded_config(&l);
	ck_assert(loaded_says(&l, "services.other", "no listener leads here", "service: other"));
	ck_assert_uint_eq(l.problems.n, 1);
	loaded_free(&l);
}
END_TEST

START_TEST(services_that_others_lead_to_are_reached)
{
	static const char *const leads[] = {"routes: [{match: {caller: x}, to: {service: b}}]",
	    "routes: [{mirror: b}]", "fallback: {on: [any], to: {service: b}}",
	    "methods: {Get: {fallback: {on: [any], to: {service: b}}}}"};
	char text[500];

	for (size_t i = 0; i < ARRAY_LEN(leads); i++) {
		struct loaded l;

		snprintf(text, sizeof text,
		    "listeners: [{address: \"127.0.0.1:0\", service: a},\n"
		    "  {address: \"127.0.0.1:0\", protocols: [ttheader_streaming]}]\n"
		    "services:\n"
		    "  a: {endpoints: [\"127.0.0.1:1\"], %s}\n"
		    "  b: {endpoints: [\"127.0.0.1:2\"], protocol: framed}\n",
		    leads[i]);
		l = loaded_from(text);
		loaded_config(&l);
		ck_assert_msg(l.problems.n == 0, "%s", text);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(folder_of_the_admin_socket_may_be_missing_but_not_the_one_above)
{
	char folder[] = "/tmp/test_config_check.XXXXXX", text[300];
	struct loaded l;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(text, sizeof text,
	    "admin: {socket: %s/a/admin.sock}\nlisteners: [{address: \"127.0.0.1:0\"}]\n" SERVICE,
	    folder);
	l = loaded_from(text);
	loaded_config(&l);
	ck_assert_uint_eq(l.problems.n, 0);
	loaded_free(&l);
	ck_assert_int_eq(rmdir(folder), 0);
	l = loaded_from(text);
	ck_assert_ptr_null(l.config);
	ck_assert(loaded_says(&l, "admin.socket", "is not there", "make it first"));
	loaded_free(&l);
}
END_TEST

START_TEST(metadata_socket_has_a_path_of_its_own)
{
	static const char at[] =
	    "listeners: [{address: [\"127.0.0.1:0\", \"unix:/tmp/in.sock\"]}]\n"
	    "services: {app: {endpoints: [\"unix:/tmp/app.sock\"], "
	    "metadata: %s}}\nadmin: {socket: %s}\n%s";
	static const struct {
		const char *metadata, *admin, *key, *text; /* text NULL: it is right */
	} files[] = {
	    {"lookup", "/tmp/a.sock", "", NULL},
	    {"drop", "/tmp/metadata.sock", "", NULL},
	    {"lookup", "/tmp/metadata.sock", "", "admin.socket has this path"},
	    {"drop", "/tmp/a.sock", "metadata_socket: /tmp/a.sock", "admin.socket has this path"},
	    {"lookup", "/tmp/a.sock", "metadata_socket: /tmp/in.sock", "a listener has this path"},
	    {"lookup", "/tmp/a.sock", "metadata_socket: /nonexistent/m.sock", "is not there"},
	    {"lookup", "/tmp/a.sock", "metadata_socket: m.sock", "is no path"},
	};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char text[500];
		struct loaded l;

		snprintf(text, sizeof text, at, files[i].metadata, files[i].admin, files[i].key);
		l = loaded_from(text);
		ck_assert_msg((l.config != NULL) == (files[i].text == NULL), "%s", text);
		if (files[i].text)
			ck_assert_msg(
			    loaded_says(&l, "metadata_socket", files[i].text, "expected") ||
				loaded_says(&l, "metadata_socket", files[i].text, "make it first"),
			    "%s", text);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(metadata_socket_lies_beside_admin_socket_unless_that_is_too_long)
{
	char folder[ADDRESS_PATH_MAX + 1], text[600];
	const char *name = "/a.sock";
	struct loaded l;

	memset(folder, 'x', sizeof folder);
	memcpy(folder, "/tmp/", 5);
	folder[ADDRESS_PATH_MAX - strlen(name)] = '\0';
	snprintf(text, sizeof text,
	    "listeners: [{address: \"127.0.0.1:0\"}]\n"
	    "services: {app: {endpoints: [\"unix:/tmp/app.sock\"], metadata: lookup}}\n"
	    "admin: {socket: %s%s}\n",
	    folder, name);
	l = loaded_from(text);
	ck_assert_ptr_null(l.config);
	ck_assert(loaded_says(&l, "metadata_socket", "longer than a socket's path", "107 bytes"));
	loaded_free(&l);
	l = loaded_from("listeners: [{address: \"127.0.0.1:0\"}]\n" SERVICE
			"admin: {socket: /tmp/here.sock}\n");
	ck_assert_str_eq(loaded_config(&l)->metadata_socket, "/tmp/metadata.sock");
	loaded_free(&l);
}
END_TEST

START_TEST(one_run_tells_everything)
{
	struct loaded l = loaded_from("worker: 1\n"
				      "listeners: [{address: \"0.0.0.0:1\", mode: rw}]\n"
				      "services: {app: {endpoints: [], protocol: tcp}}\n");

	ck_assert_uint_eq(l.problems.n_errors, 5);
	loaded_free(&l);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    every_broken_file_is_told_with_place_path_and_remedy,
	    listeners_that_are_right_are_left_alone,
	    open_listener_needs_allow_or_a_pin,
	    listener_without_services_leads_nowhere,
	    loops_are_found_through_every_spelling,
	    weight_zero_is_fine_for_all_but_one,
	    pin_needs_a_protocol_that_turns_into_what_the_service_speaks,
	    streams_of_ttheader_turn_into_nothing_else,
	    list_of_protocols_that_is_wrong_is_told_once,
	    calls_in_any_protocol_of_streams_name_their_service,
	    multiplex_is_refused_where_connections_are_shared_anyway,
	    multiplex_warns_only_where_it_cannot_work,
	    services_nobody_reaches_are_doubtful,
	    services_that_others_lead_to_are_reached,
	    folder_of_the_admin_socket_may_be_missing_but_not_the_one_above,
	    metadata_socket_has_a_path_of_its_own,
	    metadata_socket_lies_beside_admin_socket_unless_that_is_too_long,
	    one_run_tells_everything,
	};

	return suite_run("config_check", tests, ARRAY_LEN(tests));
}
