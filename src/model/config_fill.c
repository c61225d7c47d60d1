/* Defaults that depend on the machine, the environment, or where the value stands. */
#include <limits.h>

#include "model/config_bind.h"
#include "model/config_source.h"
#include "model/host.h"

#define WORKERS_DEFAULT 2u
#define MEMORY_DEFAULT  ((uint64_t)512 << 20)
#define MEMORY_LEAST    ((uint64_t)16 << 20)

void fill_workers(struct binder *b, void *base)
{
	struct config *config = base;
	unsigned cpus = host_cpus();

	(void)b;
	config->workers = cpus < WORKERS_DEFAULT ? cpus : WORKERS_DEFAULT;
}

void fill_node_id(struct binder *b, void *base)
{
	struct config *config = base;
	char name[HOST_NAME_MAX + 1];

	host_name(name, sizeof name);
	config->node.id = arena_str(b->arena, slice_str(name));
}

void fill_admin_socket(struct binder *b, void *base)
{
	struct config *config = base;

	config->admin.socket = host_admin_socket(b->arena,
	    source_getenv(b->from, "RUNTIME_DIRECTORY"), source_getenv(b->from, "XDG_RUNTIME_DIR"));
}

void fill_metadata_socket(struct binder *b, void *base)
{
	struct config *config = base;
	const char *admin = config->admin.socket, *slash = strrchr(admin, '/');

	config->metadata_socket = arena_printf(
	    b->arena, "%.*smetadata.sock", slash ? (int)(slash + 1 - admin) : 0, admin);
}

void fill_memory(struct binder *b, void *base)
{
	struct config *config = base;
	uint64_t limit = host_memory_limit("");

	(void)b;
	config->limit_memory = MEMORY_DEFAULT;
	if (limit != UINT64_MAX)
		config->limit_memory = limit / 4 > MEMORY_LEAST ? limit / 4 : MEMORY_LEAST;
}

void fill_listener_name(struct binder *b, void *base)
{
	struct listener_config *listener = base;

	listener->name = arena_printf(b->arena, "listener-%zu", b->index + 1);
}

void fill_service_name(struct binder *b, void *base)
{
	struct service_config *service = base;

	(void)b;
	service->name = service->label;
}

/* A tenth of a second's calls, at least one. */
void fill_burst(struct binder *b, void *base)
{
	struct limit_config *limit = base;
	uint64_t calls =
	    limit->has_rate ? limit->rate.count * (100 * USEC_MS) / limit->rate.per : 0;

	(void)b;
	limit->burst = calls > 1 ? (unsigned)calls : 1;
}
