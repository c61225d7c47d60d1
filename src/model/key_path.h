/* Where a value is in the configuration: listeners[0].timeout.idle, services."a.b".protocol. */
#ifndef BRIDLE_MODEL_KEY_PATH_H
#define BRIDLE_MODEL_KEY_PATH_H

#include "base/slice.h"

/* Longer paths are cut. */
struct key_path {
	char text[512];
	size_t len;
};

/* Both return the length before, for key_path_cut. */
size_t key_path_key(struct key_path *path, struct slice key);
size_t key_path_index(struct key_path *path, size_t index);
void key_path_cut(struct key_path *path, size_t len);

/* Takes the next step off a written path: a key (quoted if it holds dots), or an index. */
struct key_step {
	bool is_index;
	size_t index;
	struct slice key;
};
/* False at the end and on junk; @rest is empty only at the end. */
bool key_path_step(struct slice *rest, struct key_step *step);

#endif
