#ifndef EXAMPLES_SOCKETS_H
#define EXAMPLES_SOCKETS_H

/*
 * What every example does with sockets: it is found at an address, or finds another there. An
 * address is unix:PATH, unix:@NAME (abstract) or 127.0.0.1:PORT. These are examples: what fails
 * ends the program.
 */

/*
 * Serves each connection to @where in a thread of its own: @serve gets the descriptor, returns when
 * the connection has ended and leaves closing to its caller. Ends with TERM or INT: then the
 * connections are shut down, their threads have ended and a socket's file is gone.
 */
void sockets_serve(const char *where, void (*serve)(int fd));

/*
 * Connects to @where. Reading from the descriptor, which is the caller's, fails after
 * @patience_seconds.
 */
int sockets_connect(const char *where, unsigned patience_seconds);

#endif
