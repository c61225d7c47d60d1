#include "registry/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "model/yaml.h"
#include "registry/dns.h"

static usec_t pause_next(struct registry_pause *pause, usec_t at_most, struct rng *rng)
{
	usec_t next = pause->last ? 2 * pause->last : REGISTRY_BACKOFF_MIN;

	pause->last = usec_min(next, at_most);
	return pause->last - rng_below(rng, pause->last / 5 + 1);
}

usec_t registry_pause_next(struct registry_pause *pause, struct rng *rng)
{
	return pause_next(pause, REGISTRY_BACKOFF_MAX, rng);
}

usec_t registry_pause_reconnect(struct registry_pause *pause, struct rng *rng)
{
	return pause_next(pause, REGISTRY_RECONNECT_MAX, rng);
}

static ssize_t read_whole(int fd, char *room, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, room + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

static size_t without_line_end(const char *text, size_t len)
{
	if (len && text[len - 1] == '\n')
		len--;
	if (len && text[len - 1] == '\r')
		len--;
	return len;
}

int secret_read(const struct secret_config *secret, char *room, size_t size, struct err *err)
{
	ssize_t n;
	int fd;

	room[0] = '\0';
	if (secret->file == NULL) {
		if (secret->text && (size_t)snprintf(room, size, "%s", secret->text) >= size)
			return err_set(err, 0, "the secret has more than %zu bytes", size - 1);
		return 0;
	}
	/* Not blocking: a FIFO there must not stop the thread. */
	fd = open(secret->file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return err_set(err, errno, "%s: %s", secret->file, strerror(errno));
	n = read_whole(fd, room, size);
	close(fd);
	if (n < 0 || (size_t)n == size) {
		room[0] = '\0';
		return n < 0 ? err_set(err, errno, "%s: cannot be read", secret->file)
			     : err_set(err, 0, "%s: more than %zu bytes", secret->file, size - 1);
	}
	room[without_line_end(room, (size_t)n)] = '\0';
	return 0;
}

void registry_make_plain(char *text)
{
	size_t len = strlen(text), bad = 0;

	for (;;) {
		bad += yaml_bad_byte(slice_of(text + bad, len - bad));
		if (bad == len)
			break;
		text[bad] = '?';
	}
	for (; *text; text++) {
		if (*text == '"')
			*text = '\'';
		else if ((unsigned char)*text < ' ')
			*text = '?';
	}
}

const struct address *registry_server_of(
    const struct registry_client_start *start, size_t i, struct address *server)
{
	const struct registry_config *config = start->config;

	for (size_t e = 0; e < config->n_endpoints; e++) {
		const struct address *endpoint = &config->endpoints[e];
		struct dns_answer answer;

		if (endpoint->kind != ADDRESS_NAME) {
			if (i-- > 0)
				continue;
			*server = *endpoint;
			return endpoint;
		}
		if (start->place->hosts == NULL)
			continue;
		answer = dns_answer(start->place->hosts, address_host(endpoint));
		if (i < answer.n) {
			*server = address_with_port(&answer.list[i], endpoint->port);
			return endpoint;
		}
		i -= answer.n;
	}
	return NULL;
}

bool registry_server(const struct registry_client_start *start, size_t i, struct address *server)
{
	return registry_server_of(start, i, server) != NULL;
}
