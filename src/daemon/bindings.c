#include "daemon/bindings.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/listener.h"

#define RESERVED_DESCRIPTORS 64u /* logs, admin, name servers, loops */

/* What one address becomes. */
struct planned_binding {
	struct binding *binding; /* owned while it is new, else in bindings->all */
	bool is_new;
	const struct listener_config *listener; /* borrowed from the configuration */
	mode_t mode;
	uid_t owner;
	gid_t group;
};

void bindings_init(struct bindings *b)
{
	list_init(&b->all);
	b->next_id = 1;
	b->inheritance = NULL;
}

static const char *path_of(const struct binding *b)
{
	return ((const struct sockaddr_un *)&b->bound.sa)->sun_path;
}

static void binding_free(struct binding *b)
{
	list_remove(&b->link);
	if (!b->is_handed) {
		close(b->fd);
		if (b->bound.kind == ADDRESS_UNIX && !b->is_activated && !b->is_borrowed)
			unlink(path_of(b));
	}
	free(b->listener);
	free(b);
}

void bindings_fini(struct bindings *b)
{
	list_each_safe (link, &b->all)
		binding_free(list_item(link, struct binding, link));
}

uint64_t bindings_connections_possible(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur > RESERVED_DESCRIPTORS + 1
		   ? (limit.rlim_cur - RESERVED_DESCRIPTORS) / 2
		   : 1;
}

static int find_user(const char *name, uid_t *uid, struct err *err)
{
	const struct passwd *user;
	uint64_t number;

	*uid = (uid_t)-1;
	if (name == NULL)
		return 0;
	user = getpwnam(name);
	if (user)
		*uid = user->pw_uid;
	else if (slice_to_u64(slice_str(name), &number) && number < UINT32_MAX)
		*uid = (uid_t)number;
	else
		return err_set(err, 0, "there is no user \"%s\"", name);
	return 0;
}

static int find_group(const char *name, gid_t *gid, struct err *err)
{
	const struct group *group;
	uint64_t number;

	*gid = (gid_t)-1;
	if (name == NULL)
		return 0;
	group = getgrnam(name);
	if (group)
		*gid = group->gr_gid;
	else if (slice_to_u64(slice_str(name), &number) && number < UINT32_MAX)
		*gid = (gid_t)number;
	else
		return err_set(err, 0, "there is no group \"%s\"", name);
	return 0;
}

static bool is_taken(const struct bindings_plan *plan, const struct binding *b)
{
	for (size_t i = 0; i < plan->n; i++)
		if (plan->list[i].binding == b)
			return true;
	return false;
}

/* The socket that serves this address already; each counts once, for there may be several port
 * 0. */
static struct binding *find_bound(
    struct bindings *b, const struct bindings_plan *plan, const struct address *asked)
{
	list_each (link, &b->all) {
		struct binding *binding = list_item(link, struct binding, link);

		if (strcmp(binding->asked.text, asked->text) == 0 && !is_taken(plan, binding))
			return binding;
	}
	return NULL;
}

/* Returns 0 with descriptor and address set. */
static int find_socket(const struct bindings *b, struct binding *binding,
    const struct planned_binding *p, struct err *err)
{
	const struct inheritance_wish wish = {false, p->listener->name, &binding->asked};
	struct inherited inherited;
	struct listener_options options = {
	    .mode = p->mode,
	    .owner = p->owner,
	    .group = p->group,
	    .label = p->listener->name,
	};

	if (!inheritance_take(b->inheritance, &wish, &inherited)) {
		binding->fd = listener_bind(&binding->asked, &options, &binding->bound, err);
		return binding->fd < 0 ? err_wrap(err, "listener %s", p->listener->name) : 0;
	}
	binding->fd = inherited.fd;
	binding->bound = inherited.bound;
	binding->is_activated = inherited.kind == DOOR_ACTIVATED;
	binding->is_borrowed = inherited.id != 0;
	return 0;
}

static struct binding *bind_new(struct bindings *b, const struct address *asked,
    const struct planned_binding *p, struct err *err)
{
	struct binding *binding = mem_calloc(1, sizeof *binding);

	list_init(&binding->link);
	binding->asked = *asked;
	if (find_socket(b, binding, p, err) < 0) {
		free(binding);
		return NULL;
	}
	binding->id = b->next_id++;
	binding->mode = p->mode;
	binding->owner = p->owner;
	binding->group = p->group;
	return binding;
}

static int plan_address(struct bindings *b, const struct listener_config *l,
    const struct address *asked, struct bindings_plan *plan, struct err *err)
{
	struct planned_binding *p = &plan->list[plan->n];

	*p = (struct planned_binding){.listener = l, .mode = l->mode};
	if (find_user(l->owner, &p->owner, err) < 0 || find_group(l->group, &p->group, err) < 0)
		return err_wrap(err, "listener %s", l->name);
	p->binding = find_bound(b, plan, asked);
	p->is_new = p->binding == NULL;
	if (p->is_new)
		p->binding = bind_new(b, asked, p, err);
	if (p->binding == NULL)
		return -1;
	plan->n++;
	return 0;
}

int bindings_prepare(
    struct bindings *b, const struct config *config, struct bindings_plan *plan, struct err *err)
{
	size_t room = 0;

	for (size_t i = 0; i < config->n_listeners; i++)
		room += config->listeners[i].n_addresses;
	*plan = (struct bindings_plan){.limit_connections = config->limit_connections};
	plan->list = mem_calloc(room, sizeof *plan->list);
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct listener_config *l = &config->listeners[i];

		for (size_t j = 0; j < l->n_addresses; j++) {
			if (plan_address(b, l, &l->addresses[j], plan, err) < 0) {
				bindings_cancel(plan);
				plan->refused = l;
				return -1;
			}
		}
	}
	return 0;
}

void bindings_cancel(struct bindings_plan *plan)
{
	for (size_t i = 0; i < plan->n; i++)
		if (plan->list[i].is_new)
			binding_free(plan->list[i].binding);
	free(plan->list);
	*plan = (struct bindings_plan){0};
}

/* Who may connect is the service manager's business where it has bound. */
static void set_access(const struct binding *b)
{
	const char *path = path_of(b);
	struct stat st;

	if (b->bound.kind != ADDRESS_UNIX || b->is_activated)
		return;
	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode) || lchown(path, b->owner, b->group) < 0 ||
	    chmod(path, b->mode) < 0)
		log_warn("listener", "cannot change who may connect", "path=%s error=\"%s\"", path,
		    strerror(errno));
}

/* A socket that stays may be asked to admit others than before. */
static void change_access(struct binding *b, const struct planned_binding *p)
{
	if (b->mode == p->mode && b->owner == p->owner && b->group == p->group)
		return;
	b->mode = p->mode;
	b->owner = p->owner;
	b->group = p->group;
	set_access(b);
}

static uint64_t at_most_possible(uint64_t connections)
{
	uint64_t possible = bindings_connections_possible();

	return connections < possible ? connections : possible;
}

static struct acceptor_door open_door(struct binding *b, const struct listener_config *listener)
{
	struct acceptor_door door = {
	    .id = b->id,
	    .fd = b->is_handed ? -1 : b->fd,
	    .asked = b->asked,
	    .bound = b->bound,
	    .listener = mem_strdup(listener->name),
	    .limit = at_most_possible(listener->connections),
	    .keeps_file = b->is_activated,
	};

	b->is_handed = true;
	return door;
}

static void commit_one(struct planned_binding *p)
{
	struct binding *b = p->binding;

	if (!p->is_new)
		change_access(b, p);
	free(b->listener);
	b->listener = mem_strdup(p->listener->name);
}

struct acceptor_plan bindings_commit(struct bindings *b, struct bindings_plan *plan)
{
	struct acceptor_plan doors = {.limit = at_most_possible(plan->limit_connections)};

	doors.doors = mem_calloc(plan->n, sizeof *doors.doors);
	for (; doors.n < plan->n; doors.n++)
		doors.doors[doors.n] =
		    open_door(plan->list[doors.n].binding, plan->list[doors.n].listener);
	bindings_commit_shut(b, plan);
	return doors;
}

void bindings_commit_shut(struct bindings *b, struct bindings_plan *plan)
{
	struct list kept;

	list_init(&kept);
	for (size_t i = 0; i < plan->n; i++) {
		commit_one(&plan->list[i]);
		list_remove(&plan->list[i].binding->link);
		list_push_back(&kept, &plan->list[i].binding->link);
	}
	bindings_fini(b); /* what is left is in no listener's list any more */
	while (!list_is_empty(&kept))
		list_push_back(&b->all, list_pop_front(&kept));
	free(plan->list);
	*plan = (struct bindings_plan){0};
}

void bindings_enter(struct bindings *b)
{
	list_each (link, &b->all) {
		struct binding *binding = list_item(link, struct binding, link);

		if (!binding->is_borrowed)
			continue;
		binding->is_borrowed = false;
		set_access(binding);
		/* Whoever connects asks the kernel who serves it; so it is told. */
		if (binding->bound.kind == ADDRESS_UNIX)
			listener_listen(binding->fd);
	}
}

struct acceptor_plan bindings_taken_over(const struct bindings *b)
{
	struct acceptor_plan doors = {
	    .limit = INT64_MAX}; /* what comes till they close is served */

	list_each (link, &b->all) {
		const struct binding *binding = list_item(link, struct binding, link);

		if (!binding->is_taken_over)
			continue;
		doors.doors = mem_realloc(doors.doors, (doors.n + 1) * sizeof *doors.doors);
		doors.doors[doors.n++] = (struct acceptor_door){.id = binding->id,
		    .fd = -1,
		    .asked = binding->asked,
		    .bound = binding->bound,
		    .listener = mem_strdup(binding->listener),
		    .limit = doors.limit,
		    .keeps_file = true};
	}
	return doors;
}
