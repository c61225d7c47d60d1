/* The table of keys: a registry, and how connections to it are encrypted. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/config_keys.h"

static const struct word types[] = {
    {"etcd", REGISTRY_ETCD, false},
    {"zookeeper", REGISTRY_ZOOKEEPER, false},
    {"consul", REGISTRY_CONSUL, false},
    {"nacos", REGISTRY_NACOS, false},
    {"dns", REGISTRY_DNS, false},
    {"file", REGISTRY_FILE, false},
    {"redis", 0, true},
    {"mdns", 0, true},
    {NULL, 0, false},
};

static const struct word formats[] = {
    {"kitex", REGISTRY_FORMAT_KITEX, false},
    {"rpcx", REGISTRY_FORMAT_RPCX, false},
    {NULL, 0, false},
};

static const struct word verifies[] = {{"full", 0, false}, {"none", 1, false}, {NULL, 0, false}};
static const struct word checks[] = {{"tcp", 0, false}, {"ttl", 1, false}, {NULL, 0, false}};

const char *registry_type_name(enum registry_type type)
{
	for (size_t i = 0; types[i].word; i++)
		if (!types[i].is_later && types[i].value == (unsigned)type)
			return types[i].word;
	return "unknown";
}

#define TYPE(name) (1u << REGISTRY_##name)

/* The keys that not every type has. */
static const struct {
	const char *key;
	unsigned types;
} of_types[] = {
    {"endpoints", TYPE(ETCD) | TYPE(ZOOKEEPER) | TYPE(CONSUL) | TYPE(NACOS) | TYPE(DNS)},
    {"tls", TYPE(ETCD) | TYPE(CONSUL) | TYPE(NACOS)},
    {"user", TYPE(ETCD) | TYPE(NACOS)},
    {"password", TYPE(ETCD) | TYPE(NACOS)},
    {"prefix", TYPE(ETCD)},
    {"base", TYPE(ZOOKEEPER) | TYPE(CONSUL)},
    {"session", TYPE(ZOOKEEPER)},
    {"auth", TYPE(ZOOKEEPER)},
    {"token", TYPE(CONSUL)},
    {"datacenter", TYPE(CONSUL)},
    {"check", TYPE(CONSUL)},
    {"namespace", TYPE(NACOS)},
    {"group", TYPE(NACOS)},
    {"cluster", TYPE(NACOS)},
    {"beat", TYPE(NACOS)},
    {"port", TYPE(DNS)},
    {"path", TYPE(FILE)},
};

static unsigned types_of(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(of_types); i++)
		if (strcmp(of_types[i].key, key) == 0)
			return of_types[i].types;
	return ~0u;
}

bool registry_knows(const struct registry_config *registry, const char *key)
{
	/* Consul's own services have no path; its key-value store has. */
	if (registry->type == REGISTRY_CONSUL && registry->format == REGISTRY_FORMAT_KITEX &&
	    strcmp(key, "base") == 0)
		return false;
	return types_of(key) & (1u << registry->type);
}

void registry_list_types(const char *key, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; types[i].word && len < size; i++)
		if (!types[i].is_later && (types_of(key) & (1u << types[i].value)))
			len += (size_t)snprintf(
			    text + len, size - len, "%s%s", len ? ", " : "", types[i].word);
}

bool registry_key_is_foreign(const struct key *key, const void *base)
{
	return !registry_knows(base, key->name);
}

static const struct key tls_keys[] = {
    {.name = "ca",
	.type = &key_ca,
	.offset = offsetof(struct tls_config, ca),
	.fallback = "system",
	.text = "A file of the certificates that are trusted; system are those of this machine."},
    {.name = "cert",
	.type = &key_path,
	.offset = offsetof(struct tls_config, cert),
	.fallback = "none",
	.flags = KEY_NONE,
	.text = "A file of our own certificate and those above it, for servers that ask for one."},
    {.name = "key",
	.type = &key_path,
	.offset = offsetof(struct tls_config, key),
	.fallback = "none",
	.flags = KEY_NONE,
	.text = "A file of the private key that belongs to cert."},
    {.name = "sni",
	.type = &key_text,
	.offset = offsetof(struct tls_config, sni),
	.fallback = "none",
	.max = 200,
	.flags = KEY_NONE,
	.text = "The name that is asked for, and that the server's certificate must hold; with "
		"none, the host of the address."},
    {.name = "verify",
	.type = &key_word_bool,
	.offset = offsetof(struct tls_config, verify_none),
	.fallback = "full",
	.words = verifies,
	.text = "Whether the server's certificate is looked at. With none anybody in between can "
		"read and change what is said."},
};

const struct scope tls_scope = {
    .name = "TLS",
    .keys = tls_keys,
    .n = ARRAY_LEN(tls_keys),
    .size = sizeof(struct tls_config),
};

static const struct key registry_keys[] = {
    {.name = "type",
	.type = &key_word,
	.offset = offsetof(struct registry_config, type),
	.words = types,
	.flags = KEY_REQUIRED,
	.missing = "one of: etcd, zookeeper, consul, nacos, dns, file",
	.text = "What it is."},
    {.name = "endpoints",
	.type = &key_registry_endpoints,
	.fallback = "[]",
	.is_absent = registry_key_is_foreign,
	.text = "Its servers, tried one after the other. etcd, zookeeper, consul and nacos need "
		"them; dns asks the resolvers of the top level where it has none of its own."},
    {.name = "tls",
	.type = &key_tls,
	.offset = offsetof(struct registry_config, tls),
	.fallback = "none",
	.scope = &tls_scope,
	.flags = KEY_NONE,
	.is_absent = registry_key_is_foreign,
	.text = "Of etcd, consul and nacos: how connections to it are encrypted; {} is as usual."},
    {.name = "user",
	.type = &key_text,
	.offset = offsetof(struct registry_config, user),
	.fallback = "none",
	.max = 200,
	.flags = KEY_NONE,
	.is_absent = registry_key_is_foreign,
	.text = "Of etcd and nacos: who we are. It needs password."},
    {.name = "password",
	.type = &key_secret,
	.offset = offsetof(struct registry_config, password),
	.fallback = "none",
	.flags = KEY_NONE,
	.is_absent = registry_key_is_foreign,
	.text = "Of etcd and nacos: the password of user; a text, or {file: PATH} for one that is "
		"read whenever it is needed, without its last line end. It is never printed."},
    {.name = "refresh",
	.type = &key_time,
	.offset = offsetof(struct registry_config, refresh),
	.fallback = "5s",
	.min = 100 * USEC_MS,
	.max = 3600 * USEC_S,
	.text =
	    "How often it is asked where it does not say by itself that something has changed: "
	    "nacos and dns, and a file whose folder cannot be watched. Answers of DNS are kept as "
	    "long as they say, between 1s and 5m; where there is none, this is when it is asked "
	    "again."},
    {.name = "cache",
	.type = &key_path,
	.offset = offsetof(struct registry_config, cache),
	.fallback = "none",
	.flags = KEY_NONE,
	.text = "A file in which the last good sets are kept, made if it is not there, so that a "
		"start while the registry is away serves at once. Each registry needs its own."},
    {.name = "empty.keep",
	.type = &key_empty,
	.offset = offsetof(struct registry_config, empty_keep),
	.fallback = "10m",
	.flags = KEY_SHORT,
	.min = USEC_S,
	.text = "How long an answer without endpoints is not believed where there were some; obey "
		"believes it at once."},
    {.name = "format",
	.type = &key_word,
	.offset = offsetof(struct registry_config, format),
	.fallback = "kitex",
	.words = formats,
	.text = "Whose layout of keys and values it holds. rpcx is for etcd, zookeeper and consul "
		"(in its key-value store)."},
    {.name = "prefix",
	.type = &key_prefix,
	.offset = offsetof(struct registry_config, prefix),
	.fallback = "kitex/registry-etcd",
	.max = 200,
	.is_absent = registry_key_is_foreign,
	.text = "Of etcd: what stands before the service's name in keys, without a slash at the "
		"end; of format rpcx its base path."},
    {.name = "base",
	.type = &key_base,
	.offset = offsetof(struct registry_config, base),
	.fallback = "\"\"",
	.max = 200,
	.is_absent = registry_key_is_foreign,
	.text = "Of zookeeper, and of consul with format rpcx: the path above those of services, "
		"like /rpcx."},
    {.name = "session",
	.type = &key_time,
	.offset = offsetof(struct registry_config, session),
	.fallback = "30s",
	.min = USEC_S,
	.max = 600 * USEC_S,
	.is_absent = registry_key_is_foreign,
	.text = "Of zookeeper: the time after which the server drops us, and what we registered, "
		"when it does not hear from us."},
    {.name = "auth",
	.type = &key_secret,
	.offset = offsetof(struct registry_config, auth),
	.fallback = "none",
	.flags = KEY_NONE,
	.is_absent = registry_key_is_foreign,
	.text = "Of zookeeper: user:password of the digest scheme, a text or {file: PATH}. It is "
		"never printed."},
    {.name = "token",
	.type = &key_secret,
	.offset = offsetof(struct registry_config, token),
	.fallback = "none",
	.flags = KEY_NONE,
	.is_absent = registry_key_is_foreign,
	.text = "Of consul: the ACL token, a text or {file: PATH}. It is never printed."},
    {.name = "datacenter",
	.type = &key_text,
	.offset = offsetof(struct registry_config, datacenter),
	.fallback = "none",
	.max = 200,
	.flags = KEY_NONE,
	.is_absent = registry_key_is_foreign,
	.text = "Of consul: the data centre that is asked; with none, the agent's."},
    {.name = "check",
	.type = &key_word_bool,
	.offset = offsetof(struct registry_config, check_ttl),
	.fallback = "tcp",
	.words = checks,
	.is_absent = registry_key_is_foreign,
	.text = "Of consul: how the agent finds out that what we registered is there. tcp: it "
		"connects to the address. ttl: we tell it."},
    {.name = "namespace",
	.type = &key_text,
	.offset = offsetof(struct registry_config, namespace),
	.fallback = "\"\"",
	.max = 200,
	.is_absent = registry_key_is_foreign,
	.text = "Of nacos: the id of the namespace; empty is the public one."},
    {.name = "group",
	.type = &key_text,
	.offset = offsetof(struct registry_config, group),
	.fallback = "DEFAULT_GROUP",
	.max = 200,
	.is_absent = registry_key_is_foreign,
	.text = "Of nacos: the group of services."},
    {.name = "cluster",
	.type = &key_text,
	.offset = offsetof(struct registry_config, cluster),
	.fallback = "DEFAULT",
	.max = 200,
	.is_absent = registry_key_is_foreign,
	.text = "Of nacos: the cluster in which instances are looked for and registered."},
    {.name = "beat",
	.type = &key_time,
	.offset = offsetof(struct registry_config, beat),
	.fallback = "5s",
	.min = 500 * USEC_MS,
	.max = 60 * USEC_S,
	.is_absent = registry_key_is_foreign,
	.text = "Of nacos: how often we say that what we registered is there."},
    {.name = "port",
	.type = &key_port,
	.offset = offsetof(struct registry_config, port),
	.fallback = "none",
	.flags = KEY_NONE,
	.is_absent = registry_key_is_foreign,
	.text = "Of dns: the port of endpoints. A name that starts with _ is asked for as SRV, "
		"which says the port itself."},
    {.name = "path",
	.type = &key_path,
	.offset = offsetof(struct registry_config, path),
	.fallback = "none",
	.flags = KEY_NONE,
	.is_absent = registry_key_is_foreign,
	.text = "Of file: a file of YAML or JSON with the endpoints of each service. It is read "
		"again whenever it changes."},
};

static const void *registry_item(const void *base, size_t i, const char **label)
{
	const struct config *config = base;

	if (i >= config->n_registries)
		return NULL;
	*label = config->registries[i]->name;
	return config->registries[i];
}

const struct scope registry_scope = {
    .name = "Registry",
    .keys = registry_keys,
    .n = ARRAY_LEN(registry_keys),
    .size = sizeof(struct registry_config),
    .item = registry_item,
};
