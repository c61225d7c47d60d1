/*
 * What a Nacos server answers, read: lists of instances, what it says to a beat and to a login.
 * Pure; answers are untrusted.
 *
 * Source of all shapes: Nacos' open API of version 1, service discovery and auth.
 */
#ifndef BRIDLE_REGISTRY_NACOS_READ_H
#define BRIDLE_REGISTRY_NACOS_READ_H

#include "base/text.h"
#include "registry/gathering.h"

/* /nacos/v1/ns/instance/list. Returns -1 with @err set when it is no such answer. */
int nacos_read_list(struct slice body, struct gathering *set, struct err *err);

enum nacos_found {
	NACOS_UNREADABLE, /* @why says it; so do those below */
	NACOS_MISSING,
	NACOS_CHANGED,
	NACOS_DISABLED, /* somebody took it out of service; that is for people to undo */
	NACOS_AS_WANTED,
};
/* Is the instance of @plan in the same list, with all instances, as it should be? More metadata
 * than ours is nothing wrong. */
enum nacos_found nacos_find(
    struct slice body, const struct registration_plan *plan, struct err *why);

struct nacos_beat {
	bool is_known; /* the server knows the instance */
	bool is_light; /* it does not want to hear all about it in each beat */
	usec_t every;  /* 0: it does not say */
};
/* What it says to a beat. */
int nacos_read_beat(struct slice body, struct nacos_beat *beat, struct err *err);

/* /nacos/v1/auth/login: the token, in @arena, and how long it is good. */
int nacos_read_login(
    struct slice body, struct arena *arena, struct slice *token, usec_t *ttl, struct err *err);

/* The group and the cluster of the configuration, or Nacos' own names of the default. */
const char *nacos_group(const struct registry_config *config);
const char *nacos_cluster(const struct registry_config *config);
/* The instance as a beat describes it, in JSON. */
void nacos_write_beat(
    const struct registration_plan *plan, const struct registry_config *config, struct text *out);

#endif
