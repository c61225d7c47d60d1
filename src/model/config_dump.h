/* The other ways in which the table of keys is written out; config.h has the entries. */
#ifndef BRIDLE_MODEL_CONFIG_DUMP_H
#define BRIDLE_MODEL_CONFIG_DUMP_H

#include "model/config_keys.h"

/* Fills in config->hash: FNV-1a of the dump without comments. */
void config_hash(struct config *config);

/* Schema of a key whose values are structs of a scope. */
void config_schema_values(const struct key *key, FILE *to);

#endif
