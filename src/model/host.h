/* What the machine gives us: defaults that depend on it. Reads the system, changes nothing. */
#ifndef BRIDLE_MODEL_HOST_H
#define BRIDLE_MODEL_HOST_H

#include <stddef.h>
#include <stdint.h>

struct arena;

/* CPUs that this process may run on, at least 1. */
unsigned host_cpus(void);
/* The host name, or "localhost". */
void host_name(char *room, size_t size);
/* The memory that the control group allows, the smallest limit up its tree, in bytes; UINT64_MAX
 * when there is none. @root is put before the paths (tests); "" is the machine. */
uint64_t host_memory_limit(const char *root);
/* The path of the admin socket unless the file says another, in @arena. The values of
 * RUNTIME_DIRECTORY and XDG_RUNTIME_DIR, NULL where they are not set. */
const char *host_admin_socket(struct arena *arena, const char *runtime, const char *user);

#endif
