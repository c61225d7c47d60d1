/* The layouts of Kitex's registries for etcd and ZooKeeper. */
#include <cJSON.h>

#include "registry/json.h"
#include "registry/record_parts.h"

/* A missing network is TCP, as it is in the registries that know no other. */
static int check_network(const cJSON *root, struct err *err)
{
	struct slice network = json_text(root, "network");

	if (json_get(root, "network") == NULL || slice_eq_str(network, "tcp") ||
	    slice_eq_str(network, "tcp4") || slice_eq_str(network, "tcp6"))
		return 0;
	return err_set(err, 0, "its network is not tcp");
}

static int read_etcd(
    const cJSON *root, struct arena *arena, struct endpoint *endpoint, struct err *err)
{
	if (check_network(root, err) < 0)
		return -1;
	if (record_take_address(json_text(root, "address"), &endpoint->address, err) < 0)
		return -1;
	if (record_take_weight(root, "weight", &endpoint->weight, err) < 0)
		return -1;
	return record_take_tags(root, "tags", arena, endpoint, err);
}

int record_read_etcd(
    struct slice value, struct arena *arena, struct endpoint *endpoint, struct err *err)
{
	cJSON *root = json_parse_object(value, err);
	int rc;

	*endpoint = (struct endpoint){0};
	if (root == NULL)
		return -1;
	rc = read_etcd(root, arena, endpoint, err);
	cJSON_Delete(root);
	return rc;
}

int record_read_zookeeper(struct slice name, struct slice data, struct arena *arena,
    struct endpoint *endpoint, struct err *err)
{
	cJSON *root;
	int rc;

	*endpoint = (struct endpoint){0};
	if (record_take_address(name, &endpoint->address, err) < 0)
		return -1;
	root = json_parse_object(data, err);
	if (root == NULL)
		return -1;
	rc = record_take_weight(root, "Weight", &endpoint->weight, err);
	if (rc == 0)
		rc = record_take_tags(root, "Tags", arena, endpoint, err);
	cJSON_Delete(root);
	return rc;
}

void record_write_etcd(const struct registration_plan *plan, struct text *out)
{
	text_add_str(out, "{\"network\":\"tcp\",\"address\":");
	record_write_string(slice_str(plan->address.text), out);
	text_printf(out, ",\"weight\":%u,\"tags\":", plan->weight);
	record_write_tags(&plan->tags, out);
	text_add_str(out, "}");
}

void record_write_zookeeper(const struct registration_plan *plan, struct text *out)
{
	text_printf(out, "{\"Weight\":%u,\"Tags\":", plan->weight);
	record_write_tags(&plan->tags, out);
	text_add_str(out, "}");
}
