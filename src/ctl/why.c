/* why: what the words mean that say how a call ended, and what one can do about each. */
#include <string.h>

#include <cJSON.h>

#include "base/mem.h"
#include "base/reason.h"
#include "ctl/answer.h"

#define WIDTH  80u
#define INDENT 4u

static const struct {
	const char *meaning, *remedy;
} texts[REASON_COUNT] = {
    [REASON_OK] = {"The endpoint answered, and its answer went to the caller.", ""},
    [REASON_APP_EXCEPTION] = {"The endpoint answered with an exception or, for gRPC, with a status "
			      "other than 0; it went to the caller as it was.",
	"The application's own log says why."},
    [REASON_BIZ_ERROR] = {"The endpoint answered with a business status error.",
	"To the proxy this is a good answer; see biz_status in the access log."},
    [REASON_NO_ROUTE] = {"No service was found for the call: its listener is not pinned, and the "
			 "call names none that is known here, or none of the routes matches.",
	"Name the service in the call, list the name under aliases, pin the listener, or give the "
	"service's routes a last one without match."},
    [REASON_NO_ENDPOINT] = {"The service is known, but it, or the subset that was chosen, has no "
			    "endpoint.",
	"`bridlectl endpoints SERVICE` shows what there is; a route's fallback helps where a subset is "
	"empty."},
    [REASON_CONNECT_FAILED] = {"No endpoint that was tried accepted a connection within "
			       "timeout.connect.",
	"Is the application running, and does it listen where its endpoint says?"},
    [REASON_RESET] = {"The connection to the endpoint broke after bytes of the call had left, so "
		      "nobody knows whether it was carried out.",
	"For methods that may be repeated, idempotent with retry.on: reset sends such calls again."},
    [REASON_TIMEOUT] = {"The time that the configuration allows was up before an answer came.",
	"See timeout.call, timeout.default and timeout.attempt, and us.connect and us.first_byte in "
	"the access log."},
    [REASON_CALLER_DEADLINE] = {"The time that the caller itself had stated was up before an answer "
				"came.",
	"The caller asks for less time than the endpoint needs; timeout.margin answers before the "
	"caller gives up."},
    [REASON_BREAKER_OPEN] = {"The circuit breaker is open: too many of the last calls failed, so "
			     "this one was not tried.",
	"`bridlectl services` shows breakers; look why the calls before it failed."},
    [REASON_RATE_LIMITED] = {"The call was beyond limit.rate.",
	"The text of the reply says which limit; burst lets short peaks through."},
    [REASON_CONCURRENCY_LIMITED] = {"limit.concurrency calls were running already, and the queue "
				    "was full or there is none.",
	"limit.queue lets calls wait for a while."},
    [REASON_CONNECTION_LIMITED] = {"There were as many connections as limits.connections or the "
				   "listener's connections allow.",
	"Callers should keep and share connections; or allow more."},
    [REASON_QUEUE_TIMEOUT] = {"The call waited limit.queue.wait for another to end, in vain.",
	"More calls come than can be served: see limit.concurrency."},
    [REASON_ACL_DENIED] = {"A rule of an acl denies the call, or there are rules that allow, and "
			   "none of them matches.",
	"`bridlectl explain` shows the rule that decided."},
    [REASON_MALFORMED] = {"The caller sent bytes that are no message of the protocol they began "
			  "as, or whose lengths contradict each other.",
	"The text of the reply says what was wrong; the caller's connection was closed."},
    [REASON_TOO_LARGE] = {"The message or its header is longer than max_message or max_header.",
	"Nothing was reserved for it; allow more where such messages are meant."},
    [REASON_BAD_REPLY] = {"The endpoint sent bytes that are no answer to this call.",
	"Does protocol say what the endpoint speaks?"},
    [REASON_PROTOCOL_UNKNOWN] = {"The first bytes of the connection are none of the protocols that "
				 "the listener may detect.",
	"See protocols of the listener; TLS on a listener without tls looks like this, too."},
    [REASON_NO_CONVERSION] = {"The endpoint speaks another protocol, and this kind of call cannot "
			      "be converted into it.",
	"bridled-protocols(7) says what can be converted into what."},
    [REASON_DRAINING] = {"The daemon is about to end and takes no new calls on this connection.",
	"Callers should connect anew, elsewhere."},
    [REASON_OVERLOAD] = {"The daemon is at limits.memory, or close to it, and refuses what it "
			 "could not hold.",
	"`bridlectl status` shows its memory; allow more, or limit what comes in."},
    [REASON_DEGRADED] =
	{"The policy's degrade refuses a share of the calls at random, and this was "
	 "one of them.",
	    "Somebody asked for it in the configuration."},
    [REASON_FAULT_INJECTED] = {"The fault of a route ended the call on purpose.",
	"Somebody asked for it in the configuration."},
    [REASON_CANCELED] =
	{"The caller went away, or took its call back, before the answer was there.",
	    "See us.total in the access log: did the caller lose its patience?"},
    [REASON_INTERNAL] = {"The proxy itself failed, or could not make an answer.",
	"The daemon's log says more; this should not happen, please report it."},
};

static cJSON *build(enum reason reason)
{
	cJSON *one = cJSON_CreateObject();

	cJSON_AddStringToObject(one, "reason", reason_name(reason));
	cJSON_AddStringToObject(one, "meaning", texts[reason].meaning);
	cJSON_AddStringToObject(one, "remedy", texts[reason].remedy);
	if (reason == REASON_OK)
		return one;
	cJSON_AddNumberToObject(one, "exception", reason_exception_id(reason));
	cJSON_AddNumberToObject(one, "grpc_status", reason_grpc_status(reason));
	cJSON_AddNumberToObject(one, "stream_exception", reason_ttstream_id(reason));
	if (reason_kitex_text(reason))
		cJSON_AddStringToObject(one, "kitex", reason_kitex_text(reason));
	return one;
}

/* In lines of a terminal's width, all but the first indented. */
static void print_wrapped(const char *text, size_t column, FILE *out)
{
	while (*text) {
		size_t len = strcspn(text, " ");

		if (column + 1 + len > WIDTH) {
			fputs("\n   ", out);
			column = INDENT - 1;
		}
		fprintf(out, " %.*s", (int)len, text);
		column += 1 + len;
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static void print_reason(enum reason reason, FILE *out)
{
	fprintf(out, "%s:", reason_name(reason));
	print_wrapped(texts[reason].meaning, strlen(reason_name(reason)) + 1, out);
	if (texts[reason].remedy[0]) {
		fputs("   ", out);
		print_wrapped(texts[reason].remedy, INDENT - 1, out);
	}
	if (reason == REASON_OK)
		return;
	fprintf(out,
	    "    where the proxy itself answers: exception %d, grpc-status %d, in a stream %d\n",
	    reason_exception_id(reason), reason_grpc_status(reason), reason_ttstream_id(reason));
	if (reason_kitex_text(reason))
		fprintf(out, "    Kitex calls it \"%s\"\n", reason_kitex_text(reason));
}

static enum ctl_exit show(const struct ctl *ctl, enum reason reason)
{
	enum ctl_exit code = CTL_DONE;
	cJSON *one;

	if (!ctl->json) {
		print_reason(reason, ctl->out);
		return CTL_DONE;
	}
	one = build(reason);
	code = answer_print_json(ctl, one);
	cJSON_Delete(one);
	return code;
}

static enum ctl_exit show_all(const struct ctl *ctl)
{
	enum ctl_exit code = CTL_DONE;
	cJSON *list;

	if (!ctl->json) {
		for (enum reason r = 0; r < REASON_COUNT; r++)
			print_reason(r, ctl->out);
		return CTL_DONE;
	}
	list = cJSON_CreateArray();
	for (enum reason r = 0; r < REASON_COUNT; r++)
		cJSON_AddItemToArray(list, build(r));
	code = answer_print_json(ctl, list);
	cJSON_Delete(list);
	return code;
}

static enum ctl_exit run_why(int argc, char **argv, struct ctl *ctl)
{
	if (argc > 2)
		return ctl_refuse(ctl, &command_why, "%s: one word is enough", argv[2]);
	if (argc == 1)
		return show_all(ctl);
	for (enum reason r = 0; r < REASON_COUNT; r++)
		if (strcmp(argv[1], reason_name(r)) == 0)
			return show(ctl, r);
	fprintf(
	    ctl->errors, "bridlectl: %s is no reason; `bridlectl why` lists them all\n", argv[1]);
	return CTL_FAILED;
}

const struct command command_why = {
    "why", "[REASON]", "what a reason in the access log means", run_why};
