/*
 * What the names of metadata mean: the keys of a TTHeader (and of a mesh header), the fields of a
 * gRPC header block, and how one becomes the other. All of it follows from two tables: the names
 * that mean something, and what becomes of each kind. Facts that have a place in struct rpc_message
 * are written from there; this module only recognises them. Private to rpc/.
 */
#ifndef BRIDLE_RPC_METADATA_H
#define BRIDLE_RPC_METADATA_H

#include "base/arena.h"
#include "rpc/codec.h"
#include "wire/ttheader.h"

enum metadata_kind {
	METADATA_WRAPPING,    /* of how a message travels: nothing is lost with it */
	METADATA_FACT,        /* who calls whom, log id, timeout: both protocols have it */
	METADATA_IDL_SERVICE, /* str key isn; in gRPC a part of the path */
	METADATA_INT,         /* int keys that gRPC does not know, and what it calls so */
	METADATA_PERSISTENT,
	METADATA_TRANSIENT,
	METADATA_UPSTREAM, /* a transient value of an earlier hop: gRPC has no name for it */
	METADATA_BACKWARD,
	METADATA_ACL,
	METADATA_BIZ,
	METADATA_CHECKSUM, /* void as soon as a byte that it covers is another */
	METADATA_PRIVATE,  /* means something in its own protocol only */
	METADATA_HEADER,   /* what applications say to each other */
	METADATA_KINDS,
};

/* Names that mean something by themselves, or begin with what does. By the letter they begin with:
 * the search goes by it. */
enum metadata_name {
	METADATA_NAME_NONE,
	METADATA_NAME_BIZ_STATUS,
	METADATA_NAME_BIZ_MESSAGE,
	METADATA_NAME_BIZ_EXTRA,
	METADATA_NAME_BIZ, /* biz-... */
	METADATA_NAME_CONNECTION,
	METADATA_NAME_CONTENT_LENGTH,
	METADATA_NAME_CONTENT_TYPE,
	METADATA_NAME_CRC32C,
	METADATA_NAME_CRRST,
	METADATA_NAME_DEST_ADDRESS,
	METADATA_NAME_TO_METHOD,
	METADATA_NAME_TO_SERVICE,
	METADATA_NAME_TIMEOUT,
	METADATA_NAME_GRPC_STATUS,
	METADATA_NAME_GRPC_MESSAGE,
	METADATA_NAME_GRPC_ENCODING,
	METADATA_NAME_GRPC_ACCEPT_ENCODING,
	METADATA_NAME_GRPC_MESSAGE_TYPE,
	METADATA_NAME_GRPC, /* grpc-... */
	METADATA_NAME_HOST,
	METADATA_NAME_ISN,
	METADATA_NAME_KEEP_ALIVE,
	METADATA_NAME_PROXY_CONNECTION,
	METADATA_NAME_VALIDATOR, /* PV_... */
	METADATA_NAME_PERSISTENT,
	METADATA_NAME_TOKEN,
	METADATA_NAME_UPSTREAM,
	METADATA_NAME_TRANSIENT,
	METADATA_NAME_BACKWARD,
	METADATA_NAME_RIP,
	METADATA_NAME_CALLER,
	METADATA_NAME_CALLER_METHOD,
	METADATA_NAME_LOG_ID,
	METADATA_NAME_TE,
	METADATA_NAME_TRANSFER_ENCODING,
	METADATA_NAME_UPGRADE,
	METADATA_NAME_USER_AGENT,
	METADATA_NAME_TRANSPORT_TYPE,
	METADATA_NAME_MSG_TYPE,
	METADATA_NAME_FRAME_TYPE,
	METADATA_NAMES,
};

/* How a name is spelled; empty where a protocol does not know it. */
struct metadata_spelling {
	enum metadata_kind kind;
	bool is_prefix;           /* any name that begins so */
	enum ttheader_key number; /* of the int key; 0: it is none */
	struct slice key, field;
};

extern const struct metadata_spelling metadata_spellings[METADATA_NAMES];

static inline struct slice metadata_key(enum metadata_name name)
{
	return metadata_spellings[name].key;
}

static inline struct slice metadata_field(enum metadata_name name)
{
	return metadata_spellings[name].field;
}

/* What becomes of each kind. */
struct metadata_rule {
	bool in_calls, in_replies;   /* goes into the other protocol under a name of its own */
	int8_t dropped;              /* enum rpc_dropped, where it does not; -1: nothing is lost */
	enum metadata_name spelling; /* how all names of the kind begin; NONE: they are folded */
};

extern const struct metadata_rule metadata_rules[METADATA_KINDS];

/* What the names of a kind begin with, on either side; empty where they have no prefix. */
static inline const struct metadata_spelling *metadata_prefix(enum metadata_kind kind)
{
	return &metadata_spellings[metadata_rules[kind].spelling];
}

/* Which of the names a str key is, or a field of HTTP/2 in lower case, or an int key. Of an exact
 * one and a prefix the exact one. */
enum metadata_name metadata_find_key(struct slice key);
enum metadata_name metadata_find_field(struct slice field);
enum metadata_name metadata_find_int(uint16_t number);

/* @is_reply: keys without a known prefix are backward values. */
enum metadata_kind metadata_of_key(struct slice key, bool is_reply);
enum metadata_kind metadata_of_entry(const struct ttheader_entry *entry, bool is_reply);
enum metadata_kind metadata_of_field(struct slice name);

/* Of "RPC_PERSIST_", "RPC_TRANSIT_", and of both as fields. */
#define METADATA_PREFIX 12u
/* The name of a key or a field without how far its value travels: K of RPC_PERSIST_K, gdpr-token of
 * the ACL token. A backward value may have no prefix; what does not travel so has no such name:
 * empty. */
struct slice metadata_bare(struct slice name, enum metadata_kind kind);

/* Are these two names of metadata the same? Case is folded, and '-' is '_': HTTP/2 keeps
 * neither. */
bool metadata_name_eq(struct slice a, struct slice b);

/* Do messages of this direction carry it? Kitex shows its callers every str key of a reply. */
bool metadata_is_carried(enum metadata_kind kind, bool is_reply);
/* Counts what has no place in the new form. */
void metadata_drop(struct rpc_edit *edit, enum metadata_kind kind);

/* Is this the field of that name? Case is folded. */
bool metadata_is_field(struct slice field, struct slice name);

#define METADATA_TRANSIT_KEY   "RPC_TRANSIT_"
#define METADATA_TRANSIT_FIELD "rpc-transit-"
/* The field of the ACL token, and the key that Kitex's readers see it as. */
#define METADATA_TOKEN_FIELD METADATA_TRANSIT_FIELD "gdpr-token"
#define METADATA_TOKEN_KEY   METADATA_TRANSIT_KEY "gdpr-token"

/* Longer names have no place in the other protocol. */
#define METADATA_NAME_MAX 512u

/*
 * The field that says what the str key @key of a TTHeader does, made in @arena; and back, made in
 * @room, a backward value with Volo's prefix or, as Kitex has it, with none. False when there is
 * none: it would be no name, or would mean something else there.
 */
bool metadata_to_field(
    enum metadata_kind kind, struct slice key, struct arena *arena, struct slice *name);
bool metadata_to_key(enum metadata_kind kind, struct slice name, uint8_t room[METADATA_NAME_MAX],
    bool add_prefix, struct slice *key);
/* Can it be the value of a field? */
bool metadata_is_field_value(struct slice value);

/* Whether a biz-status tells a business error. */
bool metadata_is_biz_error(struct slice status);

#endif
