/*
 * The status page as it is served: status_page.html, made into bytes by the build. It asks the
 * admin door for all that it shows, so nothing is put into it but the nonce of its script and its
 * style.
 */
#ifndef BRIDLE_DAEMON_STATUS_PAGE_H
#define BRIDLE_DAEMON_STATUS_PAGE_H

#include <stddef.h>

/* In status_page_bytes.c. */
extern const unsigned char status_page[];
extern const size_t status_page_len;

/* Where the nonce belongs. */
#define STATUS_PAGE_NONCE "@NONCE@"

#endif
