/* A listener's side of HTTP/2 that has shaken hands, and a connection to an endpoint that has, too:
 * what tests of calls begin with. With Check. */
#ifndef BRIDLE_TESTS_H2_PAIR_H
#define BRIDLE_TESTS_H2_PAIR_H

#include "support/h2_end.h"

#define REPLY_FIELDS "content-type application/grpc\n"
#define CALL_FIELDS  "content-type application/grpc\nte trailers\n"

/* Between h2_pair_begin and h2_pair_end. */
extern struct h2_end down, up;
extern struct written w; /* frames that are being made */

void h2_pair_begin(void);
/* Neither side may hold anything. */
void h2_pair_end(void);
/* A stream's owner lets go of it. */
void let_go(struct h2_end *e, uint32_t id);
/* A call without an end, towards the endpoint. */
uint32_t open_call(void);

#endif
