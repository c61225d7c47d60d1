/* What bridled knows of the call that this application has in hand: see metadata.c. */
#ifndef METADATA_H
#define METADATA_H

#include <stddef.h>
#include <stdint.h>

/*
 * Asks @socket_path (metadata_socket of the sidecar) for the call in flight on @connection, a
 * connected unix socket; @seq is its sequence id, NULL: there is only one. Fills @json, which ends
 * with NUL. Returns the status, 200 when @json is the metadata, else it says what is wrong; or -1
 * with errno (ENOTCONN: the other end is no connection of a sidecar that tells).
 */
int metadata_of(
    int connection, const int32_t *seq, const char *socket_path, char *json, size_t size);

#endif
