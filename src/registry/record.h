/*
 * One instance as registries write it: the layouts of Kitex's registries and of rpcx, to and from
 * an endpoint. Pure; what comes from a registry is untrusted.
 *
 * Sources: the keys and values that registry-etcd, registry-zookeeper, registry-consul and
 * registry-nacos of kitex-contrib and rpcx's plug-ins write.
 */
#ifndef BRIDLE_REGISTRY_RECORD_H
#define BRIDLE_REGISTRY_RECORD_H

#include "base/text.h"
#include "registry/registry.h"

#define RECORD_WEIGHT      10u /* Kitex's, where a record has none, or one that is not positive */
#define RECORD_WEIGHT_RPCX 1u
#define RECORD_WEIGHT_MAX  1000000u

/*
 * All readers fill @endpoint with views into @arena and return 0, or -1 with @err saying what is
 * wrong with this record. 1: the record is right, and says that it takes no calls (rpcx:
 * state=inactive; Nacos: not enabled, not healthy). Only IP addresses are read, no names, no
 * wildcards, no port 0; weights up to RECORD_WEIGHT_MAX, tags up to 4 KiB. The zone is the tag
 * zone, else Kitex's idc.
 */

/* etcd, Kitex: {"network":"tcp","address":"h:p","weight":10,"tags":{...}|null}; the address counts,
 * not the key. */
int record_read_etcd(
    struct slice value, struct arena *arena, struct endpoint *endpoint, struct err *err);
/* ZooKeeper, Kitex: the node's name is the address, its data {"Weight":10,"Tags":{...}|null}. */
int record_read_zookeeper(struct slice name, struct slice data, struct arena *arena,
    struct endpoint *endpoint, struct err *err);
/* rpcx, any registry: the key is network@host:port, the value a URL query. */
int record_read_rpcx(struct slice key, struct slice value, struct arena *arena,
    struct endpoint *endpoint, struct err *err);
/* Consul, Kitex: tags are "key:value"; those without a colon are left out. */
struct cJSON;
int record_read_consul(
    const struct cJSON *entry, struct arena *arena, struct endpoint *endpoint, struct err *err);
int record_read_nacos(
    const struct cJSON *host, struct arena *arena, struct endpoint *endpoint, struct err *err);

/* What is written for a registration; byte for byte what Kitex's registries, or rpcx, write. */
void record_write_etcd(const struct registration_plan *plan, struct text *out);
void record_write_zookeeper(const struct registration_plan *plan, struct text *out);
/* The key's last part: "tcp@127.0.0.1:8888" */
void record_write_rpcx_key(const struct registration_plan *plan, struct text *out);
void record_write_rpcx(const struct registration_plan *plan, struct text *out);
/* Body of PUT /v1/agent/service/register. @check_ttl: we tell the agent, else it connects. */
void record_write_consul(const struct registration_plan *plan, bool check_ttl, struct text *out);
/* The query of POST /nacos/v1/ns/instance, from serviceName= on. */
void record_write_nacos(
    const struct registration_plan *plan, const struct registry_config *config, struct text *out);

/* The host of an address as these registries have it: without brackets. A view of it. */
struct slice record_host(const struct address *address);
/* Bytes as they may stand in a URL's path or query. */
void record_escape(struct slice bytes, struct text *out);

#endif
