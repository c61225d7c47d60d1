#include "registry/dns_srv.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ares.h>

#include "base/address.h"
#include "base/cursor.h"
#include "base/mem.h"

#define HEADER   12u /* source: RFC 1035, section 4.1.1 */
#define TYPE_SRV 33u /* source: RFC 2782 */
#define CLASS_IN 1u
#define TTL_BAD  0x80000000u /* source: RFC 2181, section 8: then it is 0 */

/* A reply that is walked once. */
struct reading {
	struct slice reply;
	size_t at;
	bool is_bad;
	unsigned best; /* the lowest priority so far */
	struct dns_target *targets;
	size_t n;
	usec_t ttl;
};

static unsigned take_u16(struct reading *r)
{
	unsigned value;

	if (r->reply.len - r->at < 2) {
		r->is_bad = true;
		return 0;
	}
	value = load_u16(r->reply.data + r->at);
	r->at += 2;
	return value;
}

static uint32_t take_u32(struct reading *r)
{
	uint32_t high = take_u16(r);

	return high << 16 | take_u16(r);
}

/* A name, which may point back into the reply; @room: NULL to pass it over. */
static void take_name(struct reading *r, char *room, size_t size)
{
	char *name = NULL;
	long len = 0;

	if (r->is_bad || r->at >= r->reply.len ||
	    ares_expand_name(r->reply.data + r->at, r->reply.data, (int)r->reply.len, &name,
		&len) != ARES_SUCCESS) {
		r->is_bad = true;
		return;
	}
	r->at += (size_t)len;
	if (room && (size_t)snprintf(room, size, "%s", name) >= size)
		room[0] = '\0'; /* no host name is as long */
	ares_free_string(name);
}

/* Made lower case, as names are the same in any. */
static bool is_host_name(char *host)
{
	char text[ADDRESS_TEXT_MAX];
	struct address address;
	struct err err;

	for (char *c = host; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return (size_t)snprintf(text, sizeof text, "%s:1", host) < sizeof text &&
	       address_parse(&address, slice_str(text), &err) == 0 && address.kind == ADDRESS_NAME;
}

static void keep(struct reading *r, unsigned priority, const struct dns_target *target)
{
	if (priority > r->best)
		return;
	if (priority < r->best)
		r->n = 0;
	r->best = priority;
	if (r->n < DNS_TARGETS_MAX)
		r->targets[r->n++] = *target;
}

static void take_target(struct reading *r, size_t end)
{
	struct dns_target target = {.port = 0};
	unsigned priority = take_u16(r);

	target.weight = (uint16_t)take_u16(r);
	target.weight = target.weight ? target.weight : 1;
	target.port = (uint16_t)take_u16(r);
	take_name(r, target.host, sizeof target.host);
	if (r->at != end)
		r->is_bad = true;
	if (!r->is_bad && target.port && is_host_name(target.host))
		keep(r, priority, &target);
}

static void take_record(struct reading *r)
{
	unsigned type, class, len;
	uint32_t ttl;
	size_t end;

	take_name(r, NULL, 0);
	type = take_u16(r);
	class = take_u16(r);
	ttl = take_u32(r);
	len = take_u16(r);
	end = r->at + len;
	if (r->is_bad || end > r->reply.len) {
		r->is_bad = true;
		return;
	}
	/* also of the names on the way */
	r->ttl = usec_min(r->ttl, ttl & TTL_BAD ? 0 : (usec_t)ttl * USEC_S);
	if (type == TYPE_SRV && class == CLASS_IN)
		take_target(r, end);
	r->at = end;
}

static int by_host(const struct dns_target *a, const struct dns_target *b)
{
	int order = strcmp(a->host, b->host);

	return order ? order : (int)a->port - (int)b->port;
}

static int in_order(const void *a, const void *b)
{
	const struct dns_target *left = a, *right = b;
	int order = by_host(left, right);

	return order ? order : (int)left->weight - (int)right->weight;
}

static void sort(struct reading *r)
{
	size_t kept = 0;

	qsort(r->targets, r->n, sizeof *r->targets, in_order);
	for (size_t i = 0; i < r->n; i++)
		if (kept == 0 || by_host(&r->targets[kept - 1], &r->targets[i]) != 0)
			r->targets[kept++] = r->targets[i];
	r->n = kept;
	r->targets = mem_realloc(r->targets, (kept + 1) * sizeof *r->targets);
}

int dns_srv_read(struct slice reply, struct dns_target **targets, size_t *n, usec_t *ttl)
{
	struct reading r = {.reply = reply, .best = UINT16_MAX, .ttl = USEC_NONE};
	unsigned questions, answers;

	if (reply.len < HEADER)
		return -1;
	r.at = 4;
	questions = take_u16(&r);
	answers = take_u16(&r);
	r.at = HEADER;
	for (unsigned i = 0; i < questions && !r.is_bad; i++) {
		take_name(&r, NULL, 0);
		take_u32(&r); /* type and class */
	}
	r.targets = mem_calloc(DNS_TARGETS_MAX, sizeof *r.targets);
	for (unsigned i = 0; i < answers && !r.is_bad; i++)
		take_record(&r);
	if (r.is_bad) {
		free(r.targets);
		return -1;
	}
	sort(&r);
	*targets = r.targets;
	*n = r.n;
	*ttl = r.ttl;
	return 0;
}
