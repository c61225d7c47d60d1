/*
 * A worker's backends follow the world that came last: those whose endpoints are gone vanish, pools
 * get the sizes that the configuration says now, and connections are warmed where it asks for that.
 * A little at once and the rest a part in each turn, so that no set is so large that calls wait for
 * it.
 */
#ifndef BRIDLE_PROXY_SETTLING_H
#define BRIDLE_PROXY_SETTLING_H

struct worker;

/* Begins anew with worker->world. */
void settling_begin(struct worker *worker);
void settling_end(struct worker *worker);

#endif
