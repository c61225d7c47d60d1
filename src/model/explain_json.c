/* An explanation as JSON, for the admin socket and for programs. */
#include <inttypes.h>
#include <stdlib.h>

#include "model/config_keys.h"
#include "model/explain.h"

static void print_string(FILE *to, struct slice text)
{
	fputc('"', to);
	print_json(text, to);
	fputc('"', to);
}

/* The name of a member, behind a comma but for the first, and its value. */
static void print_name(FILE *to, const char *name)
{
	fprintf(to, ", \"%s\": ", name);
}

static void print_member(FILE *to, const char *name, const char *text)
{
	print_name(to, name);
	if (text)
		print_string(to, slice_str(text));
	else
		fputs("null", to);
}

static void print_rules(const struct explanation *e, FILE *to)
{
	print_name(to, "rules");
	fputc('[', to);
	for (size_t i = 0; i < e->n_rules; i++) {
		const struct explained_rule *r = &e->rules[i];

		fprintf(to, "%s{\"matched\": %s", i ? ", " : "", r->matched ? "true" : "false");
		print_member(to, "at", r->at);
		print_member(to, "why", r->why);
		fputc('}', to);
	}
	fputc(']', to);
}

static void print_policy(const struct explanation *e, FILE *to)
{
	print_name(to, "policy");
	fputc('{', to);
	for (size_t i = 0; i < e->n_values; i++) {
		const struct explained_value *v = &e->values[i];

		fputs(i ? ", " : "", to);
		print_string(to, slice_str(v->name));
		fputs(": {\"value\": ", to);
		print_string(to, slice_str(v->value));
		print_member(to, "at", v->from ? v->from : "default");
		fputc('}', to);
	}
	fputc('}', to);
}

static void print_tags(const struct config_map *tags, FILE *to)
{
	print_name(to, "tags");
	fputc('{', to);
	for (size_t i = 0; i < tags->n; i++) {
		fputs(i ? ", " : "", to);
		print_string(to, slice_str(tags->pairs[i].name));
		fputs(": ", to);
		print_string(to, slice_str(tags->pairs[i].value));
	}
	fputc('}', to);
}

/* The value of a key of the service, as it is written. */
static void print_key(const struct service_config *service, const char *name, FILE *to)
{
	const struct key *key = service_scope.keys;
	char *text = NULL;
	size_t len = 0;
	FILE *room = open_memstream(&text, &len);

	while (strcmp(key->name, name) != 0)
		key++;
	if (room) {
		key->type->print(key, service, room);
		fclose(room);
	}
	print_string(to, slice_of(text, len));
	free(text);
}

static void print_balance(const struct explanation *e, FILE *to)
{
	const struct service_config *service = e->decision.service->config;
	enum lb_type type = service->balance.type;
	bool is_keyed = type == LB_CONSISTENT_HASH || type == LB_MAGLEV;

	print_name(to, "balance");
	fputs("{\"type\": ", to);
	print_key(service, "balance.type", to);
	if (is_keyed) {
		print_name(to, "key");
		if (service->balance.key.kind == FACT_NONE)
			print_string(to, SLICE_LIT("int.ring_hash_key, int.raw_ring_hash_key"));
		else
			print_string(to, service->balance.key.text);
		fprintf(to, ", \"has_key\": %s", e->decision.has_hash ? "true" : "false");
	}
	fputc('}', to);
}

static void print_candidates(const struct explanation *e, FILE *to)
{
	print_name(to, "candidates");
	fputc('[', to);
	for (size_t i = 0; i < e->n_candidates; i++) {
		const struct explained_candidate *c = &e->candidates[i];
		const struct endpoint *endpoint = &e->decision.service->endpoints[c->endpoint];

		fprintf(to, "%s{\"usable\": %s", i ? ", " : "", c->why_not ? "false" : "true");
		print_member(to, "address", endpoint->address.text);
		print_member(to, "why", c->why_not);
		fprintf(to, ", \"weight\": %u", endpoint->weight);
		print_member(to, "zone", endpoint->zone);
		print_tags(&endpoint->tags, to);
		fputc('}', to);
	}
	fputc(']', to);
}

static void print_changes(const struct explanation *e, FILE *to)
{
	print_name(to, "changes");
	fputc('{', to);
	for (size_t i = 0; i < e->n_changes; i++) {
		fputs(i ? ", " : "", to);
		print_string(to, e->changes[i].key->text);
		fputs(": ", to);
		if (e->changes[i].value)
			print_string(to, slice_str(e->changes[i].value));
		else
			fputs("null", to);
	}
	fputc('}', to);
}

/* What the route does to the call beside leading it. */
static void print_route(const struct explanation *e, FILE *to)
{
	const struct route_decision *d = &e->decision;

	print_member(to, "route", d->route ? d->route->at : NULL);
	print_member(to, "route_name", d->route ? d->route->name : NULL);
	fprintf(to, ", \"delay_ms\": %" PRIu64 ", \"abort\": %s", (uint64_t)(d->delay / USEC_MS),
	    d->abort ? "true" : "false");
	print_member(to, "mirror", d->is_mirrored ? d->route->mirror->label : NULL);
	print_changes(e, to);
}

void explanation_print_json(const struct explanation *e, FILE *to)
{
	const struct route_decision *d = &e->decision;

	fputs("{\"call\": ", to);
	print_string(to, slice_str(e->call));
	print_member(to, "listener", e->listener->name);
	print_member(to, "service", d->service ? d->service->config->label : NULL);
	print_name(to, "subset");
	print_string(to, d->group ? d->group->name : SLICE_NONE);
	print_route(e, to);
	print_member(to, "reason", reason_name(explanation_reason(e)));
	print_member(to, "why", explanation_why(e));
	print_member(to, "at", d->at);
	print_policy(e, to);
	print_rules(e, to);
	if (d->service)
		print_balance(e, to);
	print_candidates(e, to);
	fprintf(to, ", \"panic\": %s", e->is_panic ? "true" : "false");
	print_member(to, "pick", e->pick ? e->pick->address.text : NULL);
	fputs("}\n", to);
}
