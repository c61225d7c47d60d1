/* bridled -s COMMAND: asks the running daemon over its admin socket and waits for the answer. */
#ifndef BRIDLE_DAEMON_ADMIN_CLIENT_H
#define BRIDLE_DAEMON_ADMIN_CLIENT_H

#include "daemon/options.h"

/* Prints what the daemon answers. For stop and quit, waits until the process is gone. */
enum exit_code admin_client_run(const struct options *options);

#endif
