#include "daemon/admin_explain.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/control.h"
#include "daemon/http_query.h"
#include "model/explain_ask.h"
#include "net/loop.h"

static int read_query(struct explain_ask *ask, struct slice query, struct err *err)
{
	struct slice name, value;

	while (http_query_next(&query, &name, &value, &ask->arena))
		if (explain_ask_add(ask, name, value, err) < 0)
			return -1;
	return 0;
}

char *admin_explain(const struct control *control, struct slice query, size_t *len, struct err *err)
{
	struct explain_ask ask;
	char *body = NULL;
	FILE *to = open_memstream(&body, len);
	int rc;

	if (to == NULL) {
		err_set(err, 0, "out of memory");
		return NULL;
	}
	explain_ask_init(&ask);
	rc = read_query(&ask, query, err);
	if (rc == 0)
		rc = explain_ask_answer(&ask, control->snapshot, loop_now(control->loop), to, err);
	explain_ask_fini(&ask);
	if (fclose(to) != 0 && rc == 0)
		rc = err_set(err, 0, "out of memory");
	if (rc == 0)
		return body;
	free(body);
	return NULL;
}
