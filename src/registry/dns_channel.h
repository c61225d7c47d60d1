/* The DNS library's queries in one of our loops: its sockets and its timeouts. */
#ifndef BRIDLE_REGISTRY_DNS_CHANNEL_H
#define BRIDLE_REGISTRY_DNS_CHANNEL_H

#include "base/err.h"
#include "model/config.h"

struct ares_channeldata;
struct dns_channel;
struct loop;

/* Asks these servers ("ip", "ip:port", "[v6]:port"), the system's when the list is empty. NULL with
 * @err set. */
struct dns_channel *dns_channel_new(
    struct loop *loop, const struct config_list *servers, struct err *err);
/* What is asked is answered with an end before this returns. */
void dns_channel_free(struct dns_channel **channel);
/* The library's own; dns_channel_kick follows each call that may have sent something. */
struct ares_channeldata *dns_channel_of(struct dns_channel *channel);
void dns_channel_kick(struct dns_channel *channel);

#endif
