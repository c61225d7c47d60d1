/* drain and undrain: whether the daemon wants callers. */
#include <string.h>

#include <cJSON.h>

#include "ctl/answer.h"

static void print_state(const cJSON *root, FILE *out)
{
	const char *state = answer_text(root, "state");

	if (strcmp(state, "draining") == 0)
		fprintf(out,
		    "draining: it is withdrawn from registries, and callers are asked to go\n"
		    "connections %.0f, calls %.0f; bridlectl undrain takes it back\n",
		    answer_number(root, "connections"), answer_number(root, "calls"));
	else
		fprintf(out, "%s: callers are wanted\n", state);
}

static enum ctl_exit tell(
    int argc, char **argv, struct ctl *ctl, const struct command *command, const char *target)
{
	enum ctl_exit code;
	cJSON *root;

	if (argc > 1)
		return ctl_refuse(ctl, command, "%s: no word is expected", argv[1]);
	code = answer_post(ctl, target, SLICE_NONE, &root);
	if (root && code == CTL_DONE)
		print_state(root, ctl->out);
	else if (root)
		fprintf(ctl->errors, "bridlectl: refused: %s\n", answer_text(root, "error"));
	cJSON_Delete(root);
	return code;
}

static enum ctl_exit run_drain(int argc, char **argv, struct ctl *ctl)
{
	return tell(argc, argv, ctl, &command_drain, "/drain");
}

static enum ctl_exit run_undrain(int argc, char **argv, struct ctl *ctl)
{
	return tell(argc, argv, ctl, &command_undrain, "/undrain");
}

const struct command command_drain = {
    "drain", "", "leave the registries and ask callers to go; it goes on serving", run_drain};
const struct command command_undrain = {
    "undrain", "", "take drain back: callers are wanted again", run_undrain};
