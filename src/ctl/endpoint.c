/* disable, enable, weight: orders about an endpoint. */
#include <stdlib.h>
#include <string.h>

#include <cJSON.h>

#include "ctl/answer.h"

static void print_endpoint(const cJSON *one, FILE *out)
{
	const char *service = answer_text(one, "service"), *address = answer_text(one, "address");

	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(one, "disabled")))
		fprintf(out, "%s of %s is disabled: it gets no new calls\n", address, service);
	else
		fprintf(out, "%s of %s is enabled, weight %.0f\n", address, service,
		    answer_number(one, "weight"));
}

static void print_answer(const struct ctl *ctl, const cJSON *root)
{
	const cJSON *one, *list = cJSON_GetObjectItemCaseSensitive(root, "endpoints");

	cJSON_ArrayForEach(one, list) print_endpoint(one, ctl->out);
	if (cJSON_GetArraySize(list) == 0)
		fprintf(ctl->out, "the order is taken back; no service has that endpoint now\n");
	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(root, "without")) fprintf(
	    ctl->errors, "bridlectl: %s has no endpoint left that takes calls: they are refused\n",
	    cJSON_IsString(one) ? one->valuestring : "");
}

/* Takes @moved. */
static enum ctl_exit order(struct ctl *ctl, const char *target, cJSON *moved)
{
	char *body = cJSON_PrintUnformatted(moved);
	enum ctl_exit code;
	cJSON *root;

	cJSON_Delete(moved);
	if (body == NULL)
		return CTL_FAILED;
	code = answer_post(ctl, target, slice_str(body), &root);
	cJSON_free(body);
	if (root && code == CTL_DONE)
		print_answer(ctl, root);
	else if (root)
		fprintf(ctl->errors, "bridlectl: refused: %s\n", answer_text(root, "error"));
	cJSON_Delete(root);
	return code;
}

static cJSON *order_for(const char *address, const char *service)
{
	cJSON *body = cJSON_CreateObject();

	cJSON_AddStringToObject(body, "address", address);
	if (service)
		cJSON_AddStringToObject(body, "service", service);
	return body;
}

static enum ctl_exit run_switch(
    int argc, char **argv, struct ctl *ctl, const struct command *command, const char *target)
{
	if (argc != 2 && argc != 3)
		return ctl_refuse(ctl, command,
		    argc < 2
			? "the address of an endpoint is needed, as bridlectl endpoints shows it"
			: "an endpoint and a service are enough");
	return order(ctl, target, order_for(argv[1], argc == 3 ? argv[2] : NULL));
}

static enum ctl_exit run_disable(int argc, char **argv, struct ctl *ctl)
{
	return run_switch(argc, argv, ctl, &command_disable, "/endpoints/disable");
}

static enum ctl_exit run_enable(int argc, char **argv, struct ctl *ctl)
{
	return run_switch(argc, argv, ctl, &command_enable, "/endpoints/enable");
}

static enum ctl_exit run_weight(int argc, char **argv, struct ctl *ctl)
{
	bool gives_back = argc > 2 && strcmp(argv[2], "default") == 0;
	cJSON *body;
	char *end;
	double weight;

	if (argc != 3 && argc != 4)
		return ctl_refuse(ctl, &command_weight, "an endpoint and its weight are needed");
	weight = strtod(argv[2], &end);
	if (!gives_back && (end == argv[2] || *end != '\0'))
		return ctl_refuse(ctl, &command_weight,
		    "%s is no weight: a number, or default for the one it was found with", argv[2]);
	body = order_for(argv[1], argc == 4 ? argv[3] : NULL);
	if (gives_back)
		cJSON_AddNullToObject(body, "weight");
	else
		cJSON_AddNumberToObject(body, "weight", weight);
	return order(ctl, "/endpoints/weight", body);
}

const struct command command_disable = {"disable", "ENDPOINT [SERVICE]",
    "send an endpoint no new calls; those it has may end", run_disable};
const struct command command_enable = {
    "enable", "ENDPOINT [SERVICE]", "send a disabled endpoint calls again", run_enable};
const struct command command_weight = {"weight", "ENDPOINT N|default [SERVICE]",
    "change its share of the calls; 0: none, default: as found", run_weight};
