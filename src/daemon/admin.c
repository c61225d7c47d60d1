#include "daemon/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cJSON.h>

#include "base/mem.h"
#include "daemon/admin_explain.h"
#include "daemon/admin_pages.h"
#include "daemon/admin_reply.h"
#include "daemon/admin_routes.h"
#include "daemon/metrics.h"
#include "daemon/reload.h"
#include "daemon/upgrade.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/socket_file.h"

#define TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"
#define TYPE_YAML    "application/yaml"

/* One of the two addresses; what may be asked there differs. */
struct face {
	struct admin *admin; /* borrowed */
	bool reads_only;
	struct http_server *server; /* owned; NULL: closed */
};

struct admin {
	struct control *control; /* borrowed */
	struct face socket, http;
	char *socket_path;            /* owned; NULL before admin_enter */
	struct socket_file file;      /* what that path meant when we began */
	char *http_asked;             /* owned: the address in the file, NULL when there is none */
	int http_fd;                  /* the server's; -1 when there is none */
	struct admin_plan first_http; /* until admin_enter */
};

/* --- pages --- */

static void get_live(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	(void)request;
	admin_reply_json(
	    reply, liveness_stuck_worker(c->liveness) < 0 ? 200 : 503, admin_page_live(c));
}

static void get_ready(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	(void)request;
	admin_reply_json(reply, c->state == CONTROL_READY ? 200 : 503, admin_page_ready(c));
}

static void get_metrics(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	struct metrics_log logs[2];
	struct metrics_source source = {
	    .workers = c->workers.list,
	    .n_workers = c->workers.n,
	    .snapshot = c->snapshot,
	    .now = loop_now(c->loop),
	    .overload = overload_get(&c->workers.shares.overload),
	    .logs = logs,
	    .reloads_succeeded = c->last_reload.succeeded,
	    .reloads_failed = c->last_reload.failed,
	    .reload_failed = c->last_reload.at && !c->last_reload.ok,
	    .loaded_at = c->loaded_at,
	    .upgrades_succeeded = upgrade_last(c->upgrade)->succeeded,
	    .upgrades_failed = upgrade_last(c->upgrade)->failed,
	    .registrations = c->registrations,
	    .discovery = c->discovery,
	    .governance = c->governance,
	    .spans = c->spans,
	};
	struct text page = {0};

	(void)request;
	logs[source.n_logs++] = (struct metrics_log){
	    log_writer_name(c->logs.daemon), log_writer_dropped(c->logs.daemon)};
	if (c->logs.access)
		logs[source.n_logs++] = (struct metrics_log){
		    log_writer_name(c->logs.access), log_writer_dropped(c->logs.access)};
	metrics_render(&source, &page);
	admin_reply_body(reply, TYPE_METRICS, page.bytes, page.len);
}

static void get_status(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	(void)request;
	admin_reply_json(reply, 200, admin_page_status(c));
}

static void get_services(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	struct slice label = slice_from(request->path, sizeof "/services/" - 1);
	cJSON *page;

	if (label.len == 0) {
		admin_reply_json(reply, 200, admin_page_services(c));
		return;
	}
	page = admin_page_service(c, label);
	if (page)
		admin_reply_json(reply, 200, page);
	else
		admin_reply_error(
		    reply, 404, "no service has that label; /services lists them all");
}

static void get_history(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	cJSON *page = admin_page_history(c, slice_from(request->path, sizeof "/history/" - 1));

	if (page)
		admin_reply_json(reply, 200, page);
	else
		admin_reply_error(
		    reply, 404, "no service has that label; /services lists them all");
}

static void get_config(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	char *body = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&body, &len);

	(void)request;
	if (to == NULL)
		return;
	config_dump(c->snapshot->config, to);
	fclose(to);
	admin_reply_body(reply, TYPE_YAML, body, len);
}

static void get_explain(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	struct err err;
	size_t len;
	char *body = admin_explain(c, request->query, &len, &err);

	if (body)
		admin_reply_body(reply, "application/json", body, len);
	else
		admin_reply_error(reply, 400, err.text);
}

static void post_reload(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	struct slice dry_run = http_query_value(request->query, "dry_run");
	bool is_dry = slice_eq_str(dry_run, "1") || slice_eq_str(dry_run, "true");
	struct reload_result result;

	/* Whoever misspells it wants no real one. */
	if (request->query.len && !is_dry && !slice_eq_str(dry_run, "0")) {
		admin_reply_error(reply, 400, "a reload knows no query but dry_run=1");
		return;
	}
	reload_run(c, is_dry, &result);
	admin_reply_json(reply, result.ok ? 200 : 409, admin_page_reload(c, &result));
	reload_result_fini(&result);
}

static void post_reopen(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	struct err err;

	(void)request;
	if (control_reopen(c, &err) < 0)
		admin_reply_error(reply, 500, err.text);
	else
		admin_reply_state(reply, c);
}

static void post_stop(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	(void)request;
	control_stop(c, false);
	admin_reply_state(reply, c);
}

static void post_quit(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	(void)request;
	control_stop(c, true);
	admin_reply_state(reply, c);
}

static void put_log(struct control *c, const struct http_request *request, struct http_reply *reply)
{
	cJSON *body = cJSON_ParseWithLength((const char *)request->body.data, request->body.len);
	const cJSON *word = cJSON_GetObjectItemCaseSensitive(body, "level");
	enum log_level level;

	if (cJSON_IsString(word) && log_level_parse(word->valuestring, &level)) {
		log_set_level(level);
		log_info("log", "level changed", "level=%s", log_level_name(level));
		admin_reply_state(reply, c);
	} else {
		admin_reply_error(reply, 400,
		    "the body must be {\"level\": \"error\" | \"warn\" | \"info\" | \"debug\"}");
	}
	cJSON_Delete(body);
}

/* --- which page --- */

static const struct admin_route routes[] = {
    {"GET", "/", true, false, admin_get_page},
    {"GET", "/livez", true, false, get_live},
    {"GET", "/readyz", true, false, get_ready},
    {"GET", "/metrics", true, false, get_metrics},
    {"GET", "/status", true, false, get_status},
    {"GET", "/services", true, true, get_services},
    {"GET", "/errors", true, false, admin_get_errors},
    {"GET", "/pools", true, false, admin_get_pools},
    {"GET", "/history", false, true, get_history},
    {"GET", "/config", false, false, get_config},
    {"GET", "/explain", false, false, get_explain},
    {"GET", "/tap", false, false, admin_get_tap},
    {"POST", "/reload", false, false, post_reload},
    {"POST", "/upgrade", false, false, admin_upgrade},
    {"POST", "/reopen", false, false, post_reopen},
    {"POST", "/drain", false, false, admin_drain},
    {"POST", "/undrain", false, false, admin_undrain},
    {"POST", "/endpoints/disable", false, false, admin_disable_endpoint},
    {"POST", "/endpoints/enable", false, false, admin_enable_endpoint},
    {"POST", "/endpoints/weight", false, false, admin_weigh_endpoint},
    {"POST", "/stop", false, false, post_stop},
    {"POST", "/quit", false, false, post_quit},
    {"PUT", "/log", false, false, put_log},
};

static bool method_fits(const struct admin_route *route, struct slice method)
{
	return slice_eq_str(method, route->method) ||
	       (strcmp(route->method, "GET") == 0 && slice_eq_str(method, "HEAD"));
}

static bool path_fits(const struct admin_route *route, struct slice path)
{
	struct slice own = slice_str(route->path);

	if (slice_eq(path, own))
		return true;
	return route->takes_label && slice_starts(path, own) && path.data[own.len] == '/';
}

static void reply_paths(const struct face *face, struct http_reply *reply)
{
	cJSON *root = cJSON_CreateObject(), *paths;

	cJSON_AddBoolToObject(root, "ok", false);
	cJSON_AddStringToObject(root, "error", "there is no such path here");
	paths = cJSON_AddArrayToObject(root, "paths");
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		char line[64];

		if (face->reads_only && !routes[i].reads_only)
			continue;
		snprintf(line, sizeof line, "%s %s%s", routes[i].method, routes[i].path,
		    routes[i].takes_label ? "[/LABEL]" : "");
		cJSON_AddItemToArray(paths, cJSON_CreateString(line));
	}
	admin_reply_json(reply, 404, root);
}

static void serve(void *arg, const struct http_request *request, struct http_reply *reply)
{
	const struct face *face = arg;

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		const struct admin_route *r = &routes[i];

		if ((face->reads_only && !r->reads_only) || !path_fits(r, request->path))
			continue;
		if (method_fits(r, request->method)) {
			r->serve(face->admin->control, request, reply);
			return;
		}
		admin_reply_error(reply, 405, "this path takes another method");
		reply->allow = strcmp(r->method, "GET") == 0 ? "GET, HEAD" : r->method;
		return;
	}
	reply_paths(face, reply);
}

/* --- addresses --- */

/* The directory is made when its parent is there, for us alone; one that was there may be no
 * good. */
static int make_directory(const char *directory, struct err *err)
{
	int code = mkdir(directory, 0750) < 0 ? errno : 0;

	if (faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0)
		return 0;
	if (errno == ENOENT)
		return err_set(err, code,
		    "the directory %s is not there and cannot be made: %s; make it, or set admin.socket",
		    directory, strerror(code));
	code = errno;
	return err_set(err, code,
	    "no file can be made in the directory %s: %s; change that, or set admin.socket",
	    directory, strerror(code));
}

static int make_directory_of(const char *socket, struct err *err)
{
	char *directory = mem_strdup(socket), *slash = strrchr(directory, '/');
	int rc = 0;

	if (slash && slash != directory) {
		*slash = '\0';
		rc = make_directory(directory, err);
	}
	free(directory);
	return rc;
}

/* Returns the descriptor, or -1 with @err set. */
static int bind_socket(const char *path, pid_t predecessor, struct address *bound, struct err *err)
{
	struct listener_options options = {0600, (uid_t)-1, (gid_t)-1, 0, "admin", predecessor};
	struct address address;
	char text[ADDRESS_TEXT_MAX];
	int fd;

	snprintf(text, sizeof text, "unix:%s", path);
	if (address_parse(&address, slice_str(text), err) < 0 || make_directory_of(path, err) < 0)
		return err_wrap(err, "admin.socket");
	fd = listener_bind(&address, &options, bound, err);
	return fd < 0 ? err_wrap(err, "admin.socket") : fd;
}

static int open_socket(
    struct admin *a, const struct config *config, pid_t predecessor, struct err *err)
{
	struct address bound;
	int fd = bind_socket(config->admin.socket, predecessor, &bound, err);

	if (fd < 0)
		return -1;
	a->socket_path = mem_strdup(config->admin.socket);
	a->file = socket_file_look(a->socket_path);
	a->socket.server =
	    http_server_new(a->control->loop, fd, &bound, "admin", serve, &a->socket);
	return 0;
}

int admin_prepare(
    struct admin *a, const struct config *config, struct admin_plan *plan, struct err *err)
{
	const struct inheritance_wish wish = {true, "admin", &config->admin.http};
	struct listener_options options = {
	    .owner = (uid_t)-1, .group = (gid_t)-1, .label = "admin"};
	struct inherited inherited;

	*plan = (struct admin_plan){.fd = -1, .closes = !config->admin.has_http};
	if (!config->admin.has_http ||
	    (a->http_asked && strcmp(a->http_asked, config->admin.http.text) == 0))
		return 0;
	if (inheritance_take(a->control->bindings.inheritance, &wish, &inherited)) {
		plan->fd = inherited.fd;
		plan->bound = inherited.bound;
		return 0;
	}
	plan->fd = listener_bind(&config->admin.http, &options, &plan->bound, err);
	return plan->fd < 0 ? err_wrap(err, "admin.http") : 0;
}

void admin_cancel(struct admin_plan *plan)
{
	if (plan->fd >= 0)
		close(plan->fd);
	plan->fd = -1;
}

void admin_commit(struct admin *a, const struct config *config, struct admin_plan *plan)
{
	if (plan->fd < 0 && !plan->closes)
		return;
	http_server_free(&a->http.server);
	free(a->http_asked);
	a->http_asked = NULL;
	a->http_fd = -1;
	if (plan->closes)
		return;
	a->http_asked = mem_strdup(config->admin.http.text);
	a->http.server = http_server_new(
	    a->control->loop, plan->fd, &plan->bound, "admin.http", serve, &a->http);
	log_info("admin", "read-only pages are served", "address=%s", plan->bound.text);
	a->http_fd = plan->fd;
	plan->fd = -1;
}

bool admin_http_door(const struct admin *a, struct slice *asked, int *fd)
{
	*asked = slice_str(a->http_asked);
	*fd = a->http_fd;
	return a->http_fd >= 0;
}

void admin_leave(struct admin *a)
{
	if (a->http.server)
		http_server_leave(a->http.server);
	a->http_fd = -1;
}

bool admin_is_asked_soon(struct admin *a)
{
	return http_server_is_asked_soon(a->socket.server);
}

void admin_take_back(struct admin *a)
{
	struct socket_file now = socket_file_look(a->socket_path);
	struct address bound;
	struct err err;
	int fd;

	if (now.inode == a->file.inode && now.device == a->file.device)
		return;
	fd = bind_socket(a->socket_path, 0, &bound, &err);
	if (fd < 0) {
		log_error("admin", "the socket cannot be had back", "error=\"%s\"", err.text);
		return;
	}
	a->file = socket_file_look(a->socket_path);
	http_server_move(a->socket.server, fd, &bound);
}

struct admin *admin_new(struct control *control, const struct config *config, struct err *err)
{
	struct admin *a = mem_calloc(1, sizeof *a);

	a->control = control;
	a->socket = (struct face){a, false, NULL};
	a->http = (struct face){a, true, NULL};
	a->http_fd = -1;
	if (admin_prepare(a, config, &a->first_http, err) < 0)
		admin_free(&a);
	return a;
}

int admin_enter(struct admin *a, const struct config *config, pid_t predecessor, struct err *err)
{
	if (open_socket(a, config, predecessor, err) < 0)
		return -1;
	admin_commit(a, config, &a->first_http);
	return 0;
}

void admin_free(struct admin **pa)
{
	struct admin *a = *pa;

	if (a == NULL)
		return;
	*pa = NULL;
	http_server_free(&a->socket.server);
	http_server_free(&a->http.server);
	admin_cancel(&a->first_http);
	free(a->socket_path);
	free(a->http_asked);
	free(a);
}

const char *admin_library_version(void)
{
	return cJSON_Version();
}
