/* What rules of routes and ACLs may ask of a call: its message, its caller, its connection. */
#ifndef BRIDLE_PROXY_FACTS_H
#define BRIDLE_PROXY_FACTS_H

#include "policy/fact.h"
#include "rpc/facts.h"

struct call;

struct call_finder {
	const struct call *call; /* borrowed */
	struct rpc_facts facts;
	char rooms[2][24]; /* numbers as text; two values stay at a time */
	unsigned turn;
};

/* A source of the facts of @call, which has its caller's connection. It uses @finder. */
struct fact_source call_fact_source(const struct call *call, struct call_finder *finder);

#endif
