/* Among which endpoints of the service, and by which hash. */
#ifndef BRIDLE_MODEL_ROUTE_GROUP_H
#define BRIDLE_MODEL_ROUTE_GROUP_H

struct deciding;

/* By the route's subset or split, else by subset_by, else all. Returns 0, or -1: none has
 * endpoints. */
int route_choose_group(struct deciding *w);
/* Of balance.key, where the service's balancing goes by one. */
void route_find_hash(struct deciding *w);

#endif
