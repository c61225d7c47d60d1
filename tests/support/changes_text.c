#include "support/changes_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void must(bool fact)
{
	if (!fact)
		abort();
}

/* "+meta.env=blue" */
static struct rpc_change read_change(char *word)
{
	char *equals = strchr(word, '='), *dot = strchr(word, '.');
	struct rpc_change change = {.is_removal = word[0] == '-'};

	must((word[0] == '+' || word[0] == '-') && dot != NULL);
	must(change.is_removal == (equals == NULL));
	if (equals) {
		*equals = '\0';
		change.value = slice_str(equals + 1);
	}
	change.name = slice_str(dot + 1);
	*dot = '\0';
	if (strcmp(word + 1, "int") == 0) {
		change.kind = RPC_CHANGE_INT;
		change.number = (uint16_t)strtoul(dot + 1, NULL, 10);
		change.name = SLICE_NONE;
	} else {
		bool is_meta = strcmp(word + 1, "meta") == 0;

		must(is_meta || strcmp(word + 1, "header") == 0);
		change.kind = is_meta ? RPC_CHANGE_META : RPC_CHANGE_HEADER;
	}
	return change;
}

void changes_read(struct changes_text *c, const char *text, struct rpc_edit *edit)
{
	char *rest, *word;

	c->text = rest = mem_strdup(text);
	edit->changes = c->list;
	while ((word = strsep(&rest, " "))) {
		if (strncmp(word, "retry=", 6) == 0) {
			edit->retry = (unsigned)strtoul(word + 6, NULL, 10);
		} else if (*word) {
			must(edit->n_changes < CHANGES_TEXT_MAX);
			c->list[edit->n_changes++] = read_change(word);
		}
	}
}

void changes_text_free(struct changes_text *c)
{
	free(c->text);
}
