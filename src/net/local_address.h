/*
 * Which of this machine's own addresses others reach it by. Asks the kernel's routes and lists the
 * interfaces; no packet is sent.
 */
#ifndef BRIDLE_NET_LOCAL_ADDRESS_H
#define BRIDLE_NET_LOCAL_ADDRESS_H

#include "base/address.h"

/*
 * The address, with port 0, from which @to is reached, for others that reach @to as well. Where
 * that is of IPv6 though @only_v4, it is local_address_first. @to: an ADDRESS_IP.
 * Returns 0, or -1 with @err set when there is no way to @to.
 */
int local_address_towards(
    const struct address *to, bool only_v4, struct address *own, struct err *err);
/* The machine's first IPv4 address that is not of the loopback network (link-local ones only where
 * there is no other), else 127.0.0.1; port 0. */
void local_address_first(struct address *own);

/* The same, from a list of addresses in the order of the interfaces; NULL when none will do.
 * Pure. */
const struct address *local_address_choose(const struct address *list, size_t n);

#endif
