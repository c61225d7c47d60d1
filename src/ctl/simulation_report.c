#include <stdlib.h>

#include <cJSON.h>

#include "base/mem.h"
#include "ctl/answer.h"
#include "ctl/simulation.h"

static double share_of(uint64_t part, uint64_t all)
{
	return all ? (double)part / (double)all : 0;
}

static uint64_t service_attempts(const struct simulation_report *report, const char *service)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < report->n_loads; i++)
		if (report->loads[i].service == service)
			sum += report->loads[i].attempts;
	return sum;
}

/* Of another service, and nothing came there. */
static bool is_idle(const struct simulation_report *report, const struct simulated_load *load)
{
	return service_attempts(report, load->service) == 0;
}

static void print_outcomes(const struct simulation_report *report, FILE *to)
{
	static const char *const heads[] = {"OUTCOME", "#CALLS", "#SHARE"};
	struct answer_table table;

	answer_table_init(&table, heads, ARRAY_LEN(heads));
	for (enum reason r = 0; r < REASON_COUNT; r++) {
		if (report->reasons[r] == 0)
			continue;
		answer_table_add(&table, "%s", reason_name(r));
		answer_table_add(&table, "%llu", (unsigned long long)report->reasons[r]);
		answer_table_add(
		    &table, "%.2f%%", 100 * share_of(report->reasons[r], report->calls));
	}
	answer_table_print(&table, to);
	answer_table_fini(&table);
}

static void add_time(struct answer_table *table, const struct simulated_times *times, double share)
{
	char room[24];

	answer_table_add(table, "%s",
	    times->n ? answer_usec((double)simulated_quantile(times, share), room) : "-");
}

static void print_loads(const struct simulation_report *report, FILE *to)
{
	static const char *const heads[] = {"SERVICE", "ENDPOINT", "#WEIGHT", "#ATTEMPTS", "#SHARE",
	    "#FAILED", "#EJECTIONS", "#P50", "#P99"};
	struct answer_table table;

	answer_table_init(&table, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < report->n_loads; i++) {
		const struct simulated_load *load = &report->loads[i];

		if (is_idle(report, load))
			continue;
		answer_table_add(&table, "%s", load->service);
		answer_table_add(&table, "%s", load->address);
		answer_table_add(&table, "%u", load->weight);
		answer_table_add(&table, "%llu", (unsigned long long)load->attempts);
		answer_table_add(&table, "%.2f%%",
		    100 * share_of(load->attempts, service_attempts(report, load->service)));
		answer_table_add(&table, "%llu", (unsigned long long)load->failed);
		answer_table_add(&table, "%llu", (unsigned long long)load->ejections);
		add_time(&table, &load->times, 0.5);
		add_time(&table, &load->times, 0.99);
	}
	answer_table_print(&table, to);
	answer_table_fini(&table);
}

static void print_callers(const struct simulation_report *report, FILE *to)
{
	static const char *const heads[] = {"CALLER", "#CALLS", "#OK", "#OK SHARE"};
	struct answer_table table;

	answer_table_init(&table, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < report->n_callers; i++) {
		const struct simulated_share *c = &report->callers[i];

		answer_table_add(&table, "%.*s", (int)c->caller.len, (const char *)c->caller.data);
		answer_table_add(&table, "%llu", (unsigned long long)c->calls);
		answer_table_add(&table, "%llu", (unsigned long long)c->ok);
		answer_table_add(&table, "%.2f%%", 100 * share_of(c->ok, c->calls));
	}
	answer_table_print(&table, to);
	answer_table_fini(&table);
}

void simulation_report_print(
    const struct simulation_plan *plan, const struct simulation_report *report, FILE *to)
{
	const struct simulated_times *times = &report->times;
	char p50[24], p90[24], p99[24], most[24];

	fprintf(to, "%s, %llu calls, seed %llu\n\n", plan->call, (unsigned long long)report->calls,
	    (unsigned long long)plan->seed);
	print_outcomes(report, to);
	fprintf(to, "\nlatency   p50 %s, p90 %s, p99 %s, most %s\n",
	    answer_usec((double)simulated_quantile(times, 0.5), p50),
	    answer_usec((double)simulated_quantile(times, 0.9), p90),
	    answer_usec((double)simulated_quantile(times, 0.99), p99),
	    answer_usec((double)simulated_quantile(times, 1), most));
	fprintf(to,
	    "attempts  %llu, %.3f for each call; retries %llu, backups %llu, beyond the "
	    "budget %llu\n",
	    (unsigned long long)report->attempts, share_of(report->attempts, report->calls),
	    (unsigned long long)report->retries, (unsigned long long)report->backups,
	    (unsigned long long)report->budget_refused);
	fprintf(to, "breakers  opened %llu times\n\n", (unsigned long long)report->breakers_opened);
	print_loads(report, to);
	if (report->n_callers < 2)
		return;
	fputc('\n', to);
	print_callers(report, to);
}

/* --- JSON --- */

static void add_number(cJSON *object, const char *name, uint64_t value)
{
	cJSON_AddNumberToObject(object, name, (double)value);
}

/* Six digits: more would be noise, and look different on another machine. */
static void add_share(cJSON *object, const char *name, uint64_t part, uint64_t all)
{
	char text[32];

	snprintf(text, sizeof text, "%.6f", share_of(part, all));
	cJSON_AddRawToObject(object, name, text);
}

static void add_latency(cJSON *object, const struct simulated_times *times)
{
	cJSON *latency = cJSON_AddObjectToObject(object, "latency_us");

	add_number(latency, "p50", simulated_quantile(times, 0.5));
	add_number(latency, "p90", simulated_quantile(times, 0.9));
	add_number(latency, "p99", simulated_quantile(times, 0.99));
	add_number(latency, "max", simulated_quantile(times, 1));
}

static cJSON *build_load(const struct simulation_report *report, const struct simulated_load *load)
{
	cJSON *one = cJSON_CreateObject();

	cJSON_AddStringToObject(one, "service", load->service);
	cJSON_AddStringToObject(one, "address", load->address);
	add_number(one, "weight", load->weight);
	add_number(one, "attempts", load->attempts);
	add_share(one, "share", load->attempts, service_attempts(report, load->service));
	add_number(one, "failed", load->failed);
	add_number(one, "ejections", load->ejections);
	add_latency(one, &load->times);
	return one;
}

static void add_callers(cJSON *root, const struct simulation_report *report)
{
	cJSON *list = cJSON_AddArrayToObject(root, "callers");

	for (size_t i = 0; i < report->n_callers; i++) {
		const struct simulated_share *c = &report->callers[i];
		char *name = slice_dup(c->caller);
		cJSON *one = cJSON_CreateObject();

		cJSON_AddStringToObject(one, "caller", name);
		add_number(one, "calls", c->calls);
		add_number(one, "ok", c->ok);
		cJSON_AddItemToArray(list, one);
		free(name);
	}
}

cJSON *simulation_report_json(
    const struct simulation_plan *plan, const struct simulation_report *report)
{
	cJSON *root = cJSON_CreateObject(), *list;

	cJSON_AddStringToObject(root, "call", plan->call);
	add_number(root, "seed", plan->seed);
	add_number(root, "calls", report->calls);
	list = cJSON_AddObjectToObject(root, "outcomes");
	for (enum reason r = 0; r < REASON_COUNT; r++)
		if (report->reasons[r])
			add_number(list, reason_name(r), report->reasons[r]);
	add_latency(root, &report->times);
	add_number(root, "attempts", report->attempts);
	add_share(root, "amplification", report->attempts, report->calls);
	add_number(root, "retries", report->retries);
	add_number(root, "backups", report->backups);
	add_number(root, "budget_refused", report->budget_refused);
	add_number(root, "breakers_opened", report->breakers_opened);
	list = cJSON_AddArrayToObject(root, "endpoints");
	for (size_t i = 0; i < report->n_loads; i++)
		if (!is_idle(report, &report->loads[i]))
			cJSON_AddItemToArray(list, build_load(report, &report->loads[i]));
	add_callers(root, report);
	return root;
}
