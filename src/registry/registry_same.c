/* Whether two configurations mean the same registry. */
#include <string.h>

#include "registry/registry_impl.h"

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_secret(const struct secret_config *a, const struct secret_config *b)
{
	return same_text(a->text, b->text) && same_text(a->file, b->file);
}

static bool same_tls(const struct tls_config *a, const struct tls_config *b)
{
	return a->is_on == b->is_on && a->verify_none == b->verify_none &&
	       same_text(a->ca, b->ca) && same_text(a->cert, b->cert) &&
	       same_text(a->key, b->key) && same_text(a->sni, b->sni);
}

static bool same_servers(const struct registry_config *a, const struct registry_config *b)
{
	if (a->n_endpoints != b->n_endpoints)
		return false;
	for (size_t i = 0; i < a->n_endpoints; i++)
		if (strcmp(a->endpoints[i].text, b->endpoints[i].text) != 0)
			return false;
	return same_tls(&a->tls, &b->tls);
}

static bool same_identity(const struct registry_config *a, const struct registry_config *b)
{
	return same_text(a->user, b->user) && same_secret(&a->password, &b->password) &&
	       same_secret(&a->auth, &b->auth) && same_secret(&a->token, &b->token);
}

static bool same_place_within(const struct registry_config *a, const struct registry_config *b)
{
	return a->format == b->format && same_text(a->prefix, b->prefix) &&
	       same_text(a->base, b->base) && same_text(a->datacenter, b->datacenter) &&
	       same_text(a->namespace, b->namespace) && same_text(a->group, b->group) &&
	       same_text(a->cluster, b->cluster) && a->port == b->port &&
	       same_text(a->path, b->path);
}

bool registry_is_as(const struct registry *r, const struct registry_config *b)
{
	const struct registry_config *a = r->config;

	return strcmp(a->name, b->name) == 0 && a->type == b->type && same_servers(a, b) &&
	       same_identity(a, b) && same_place_within(a, b) && a->refresh == b->refresh &&
	       same_text(a->cache, b->cache) && a->empty_keep == b->empty_keep &&
	       a->session == b->session && a->check_ttl == b->check_ttl && a->beat == b->beat;
}
