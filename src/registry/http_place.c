#include "registry/http_place.h"

#include <string.h>

#include "base/log.h"
#include "net/loop.h"
#include "net/tls.h"

#define SHOWN_MAX 120u /* bytes of the text of an answer, in a message */

static bool server(void *arg, size_t i, struct address *address)
{
	const struct http_place *place = arg;
	const struct address *endpoint = registry_server_of(place->start, i, address);

	/* It is asked for, and verified, by the name that is configured. */
	if (endpoint && endpoint->kind == ADDRESS_NAME)
		memcpy(address->text, endpoint->text, sizeof address->text);
	return endpoint != NULL;
}

static int open_tls(struct http_place *place, const struct tls_config *config, struct err *err)
{
	struct tls_files files = {
	    .ca = config->ca,
	    .cert = config->cert,
	    .key = config->key,
	    .verify_none = config->verify_none,
	};

	if (!config->is_on)
		return 0;
	place->tls = tls_client_new(&files, err);
	return place->tls ? 0 : -1;
}

int http_place_open(
    struct http_place *place, const struct registry_client_start *start, struct err *err)
{
	struct http_client_start http = {
	    .loop = start->place->loop,
	    .sni = start->config->tls.sni,
	    .server = server,
	    .arg = place,
	};

	*place = (struct http_place){.start = start, .rng = start->rng};
	if (open_tls(place, &start->config->tls, err) < 0)
		return -1;
	http.tls = place->tls;
	place->http = http_client_new(&http);
	return 0;
}

void http_place_close(struct http_place *place)
{
	if (place->http)
		http_client_free(&place->http);
	if (place->tls)
		tls_client_free(&place->tls);
}

usec_t http_place_now(const struct http_place *place)
{
	return loop_now(place->start->place->loop);
}

void http_place_timer(
    const struct http_place *place, struct timer *timer, usec_t wait, timer_fn fire)
{
	wheel_set(loop_wheel(place->start->place->loop), timer,
	    usec_after(http_place_now(place), wait), fire);
}

int http_place_refuse(const struct http_response *response, struct err *err)
{
	char shown[LOG_ESCAPED_MAX];
	struct slice text = response->body;

	if (response->status == 0)
		return err_set(err, 0, "%s", response->error ? response->error : "no answer");
	while (text.len && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
		text.len--;
	log_escape(shown, sizeof shown, slice_first(text, SHOWN_MAX));
	return err_set(err, 0, "it answers %d%s%s", response->status, shown[0] ? ": " : "", shown);
}

usec_t http_place_pause(struct http_place *place, struct registry_pause *pause, int status)
{
	if (status == 0 || status >= 500)
		return registry_pause_reconnect(pause, &place->rng);
	return registry_pause_next(pause, &place->rng);
}
