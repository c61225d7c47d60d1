#include "daemon/config_watch.h"

#include <stdlib.h>

#include "base/mem.h"
#include "daemon/control.h"
#include "daemon/reload.h"
#include "model/config_source.h"
#include "net/file_watch.h"

#define QUIET   (200 * USEC_MS) /* what is done in one go is one change */
#define REFRESH (10 * USEC_S)   /* where nobody tells */

struct config_watch {
	struct control *control;  /* borrowed */
	struct file_watch *files; /* owned; NULL: they are not watched */
	bool is_unread;           /* as they have been since they are watched */
};

static void files_changed(void *arg)
{
	struct config_watch *w = arg;

	/* It may be that something has only moved: where to look is found out anew in any case. */
	if (w->is_unread || file_watch_differs(w->files))
		reload_run_if_changed(w->control);
	else
		file_watch_mark(w->files);
}

struct config_watch *config_watch_new(struct control *control)
{
	struct config_watch *w = mem_calloc(1, sizeof *w);

	w->control = control;
	return w;
}

void config_watch_free(struct config_watch **pw)
{
	struct config_watch *w = *pw;

	if (w == NULL)
		return;
	*pw = NULL;
	file_watch_free(&w->files);
	free(w);
}

void config_watch_follow(struct config_watch *w, const struct config *config)
{
	const struct file_watch_options options = {
	    .path = w->control->options->config_path,
	    .suffix = CONFIG_SUFFIX,
	    .quiet = QUIET,
	    .refresh = REFRESH,
	    .first = QUIET,
	};

	if (!config->reload_watch)
		file_watch_free(&w->files);
	if (!config->reload_watch || w->files)
		return;
	w->files = file_watch_new(w->control->loop, &options, files_changed, w);
	file_watch_mark(w->files);
	w->is_unread = true; /* what was read was there before */
}

void config_watch_mark(struct config_watch *w)
{
	if (w->files)
		file_watch_mark(w->files);
	w->is_unread = false;
}
