/* simulate: plays a plan and prints what came of it. */
#include <cJSON.h>

#include "ctl/answer.h"
#include "ctl/simulation.h"

static enum ctl_exit play(const struct ctl *ctl, const struct simulation_plan *plan)
{
	struct simulation_report report;
	enum ctl_exit code = CTL_DONE;
	struct err err;

	if (simulation_run(plan, &report, &err) < 0) {
		fprintf(ctl->errors, "bridlectl: simulate: %s\n", err.text);
		code = CTL_FAILED;
	} else if (ctl->json) {
		cJSON *root = simulation_report_json(plan, &report);

		code = answer_print_json(ctl, root);
		cJSON_Delete(root);
	} else {
		simulation_report_print(plan, &report, ctl->out);
	}
	simulation_report_fini(&report);
	return code;
}

static enum ctl_exit run_simulate(int argc, char **argv, struct ctl *ctl)
{
	struct problems problems;
	struct simulation_plan *plan;
	enum ctl_exit code = CTL_FAILED;

	if (argc != 2)
		return ctl_refuse(ctl, &command_simulate, "the path of one plan is needed");
	problems_init(&problems);
	plan = simulation_plan_read(argv[1], &problems);
	problems_print(&problems, ctl->errors, false);
	if (plan) {
		code = play(ctl, plan);
		simulation_plan_free(&plan);
	}
	problems_fini(&problems);
	return code;
}

const struct command command_simulate = {
    "simulate", "PLAN", "play a plan of calls and failures, in no time", run_simulate};
