/* A request that is whole is so without what follows it, no earlier, and in one piece. */
#include "daemon/http.h"
#include "fuzz.h"

static bool is_within(struct slice part, const uint8_t *data, size_t len)
{
	return part.len == 0 || (part.data >= data && part.data + part.len <= data + len);
}

static void check_whole(const uint8_t *data, const struct http_request *request, size_t used)
{
	struct http_request again;
	size_t used_again;
	int status;

	must(used > 0 && used <= HTTP_HEAD_MAX + HTTP_BODY_MAX);
	must(request->method.len > 0 && request->path.len > 0 && request->path.data[0] == '/');
	must(is_within(request->method, data, used));
	/* A target that names a host and no path means "/", which stands nowhere in the request. */
	must(is_within(request->path, data, used) || slice_eq_str(request->path, "/"));
	must(is_within(request->query, data, used) && is_within(request->body, data, used));
	must(request->body.len <= HTTP_BODY_MAX);
	must(http_parse(slice_of(data, used), &again, &used_again, &status) == HTTP_WHOLE);
	must(used_again == used && slice_eq(again.body, request->body));
	must(http_parse(slice_of(data, used - 1), &again, &used_again, &status) == HTTP_MORE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request request;
	size_t used;
	int status;

	switch (http_parse(slice_of(data, size), &request, &used, &status)) {
	case HTTP_WHOLE:
		must(used <= size);
		check_whole(data, &request, used);
		(void)http_query_value(request.query, "dry_run");
		break;
	case HTTP_MORE:
		must(size < HTTP_HEAD_MAX + HTTP_BODY_MAX);
		break;
	case HTTP_BAD:
		must(status >= 400 && status < 600);
		must(http_status_text(status)[0] != '\0');
		break;
	}
	return 0;
}
