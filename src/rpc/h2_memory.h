/*
 * Memory of HTTP/2 sessions. A call takes and gives back some thirty small blocks of few sizes, so
 * those are kept, for each thread, instead of being freed; and the buffer in which a session makes
 * frames ready lies on pages of its own, which can be given back while the connection rests.
 * Private to rpc/.
 */
#ifndef BRIDLE_RPC_H2_MEMORY_H
#define BRIDLE_RPC_H2_MEMORY_H

#include <stddef.h>

/* One session's; all zero is empty. */
struct h2_memory {
	void *pages; /* where its frames are made ready; NULL: none */
};

/* The functions that the library asks for; @memory is a struct h2_memory, or NULL for what belongs
 * to no session's buffer. They abort on no memory as little as malloc does. */
void *h2_memory_malloc(size_t size, void *memory);
void *h2_memory_calloc(size_t count, size_t size, void *memory);
void *h2_memory_realloc(void *block, size_t size, void *memory);
void h2_memory_free(void *block, void *memory);
/* For arrays of our own, which come and go with a call just so: aborts on no memory, as
 * mem_realloc. */
void *h2_memory_array(void *block, size_t size);

/* Between two frames nothing in the pages is needed: the kernel may have them back until then. */
void h2_memory_rest(struct h2_memory *memory);

#endif
