#include "rpc/carrier.h"

/* The argument, and the field of the result, that holds the struct with field RPC_BASE_FIELD. */
enum { REQUEST = 1, RESULT = 0 };

/* One field of the struct that @in stands in; @in goes to its end. */
static bool find_in_struct(struct cursor *in, int16_t id, uint8_t type, unsigned depth,
    const uint8_t *body, struct carrier_place *place)
{
	struct thrift_field field;

	while (thrift_next_field(in, &field)) {
		const uint8_t *at = in->at;

		if (!thrift_skip(in, field.type, depth))
			return false;
		if (field.id != id)
			continue;
		if (place->is_there || field.type != type)
			return false;
		place->is_there = true;
		place->at = (size_t)(at - body);
		place->len = (size_t)(in->at - at);
	}
	if (!in->bad && !place->is_there)
		place->at = (size_t)(in->at - 1 - body);
	return !in->bad;
}

static bool find_base(struct slice body, int16_t holder, struct carrier_place *place)
{
	struct cursor in = cursor_of(body);
	struct thrift_field field;
	bool is_held = false;

	*place = (struct carrier_place){.is_there = false};
	while (thrift_next_field(&in, &field)) {
		if (field.id != holder) {
			if (!thrift_skip(&in, field.type, 1))
				return false;
			continue;
		}
		if (is_held || field.type != THRIFT_STRUCT)
			return false;
		is_held = true;
		if (!find_in_struct(&in, RPC_BASE_FIELD, THRIFT_STRUCT, 2, body.data, place))
			return false;
	}
	return is_held && !in.bad && cursor_left(&in) == 0;
}

static bool find_map(struct slice body, int16_t id, struct carrier_place *place)
{
	struct cursor in = cursor_of(body);

	*place = (struct carrier_place){.is_there = false};
	return find_in_struct(&in, id, THRIFT_MAP, 1, body.data, place) && cursor_left(&in) == 0;
}

bool carrier_find(struct slice body, const struct rpc_carrier *carrier, struct carrier_place *place)
{
	if (carrier->type == RPC_CARRIER_BASE)
		return find_base(body, REQUEST, place);
	return find_map(body, carrier->id, place);
}

bool carrier_find_base_resp(struct slice body, struct carrier_place *place)
{
	return find_base(body, RESULT, place);
}

static struct carrier_field *wanted(struct carrier_field *fields, unsigned n, int16_t id)
{
	for (unsigned i = 0; i < n; i++)
		if (fields[i].id == id)
			return &fields[i];
	return NULL;
}

bool carrier_read_fields(struct slice structure, struct carrier_field *fields, unsigned n)
{
	struct cursor in = cursor_of(structure);
	struct thrift_field field;

	for (unsigned i = 0; i < n; i++)
		fields[i].is_there = false;
	while (thrift_next_field(&in, &field)) {
		const uint8_t *at = in.at;
		struct carrier_field *found = wanted(fields, n, field.id);

		/* The depth was kept when the body was walked down to here. */
		if (!thrift_skip(&in, field.type, 0))
			return false;
		if (found == NULL)
			continue;
		if (found->is_there || found->type != field.type)
			return false;
		found->is_there = true;
		found->value = slice_of(at, (size_t)(in.at - at));
	}
	return !in.bad;
}

/* Of an empty map some write 0. */
static bool is_string(uint8_t type, uint32_t n)
{
	return type == THRIFT_STRING || (type == THRIFT_STOP && n == 0);
}

bool carrier_pairs_of(struct slice map, struct carrier_pairs *pairs)
{
	uint8_t key, value;

	pairs->in = cursor_of(map);
	pairs->n = 0;
	if (map.len == 0)
		return true;
	key = cursor_u8(&pairs->in);
	value = cursor_u8(&pairs->in);
	pairs->n = cursor_u32(&pairs->in);
	return !pairs->in.bad && is_string(key, pairs->n) && is_string(value, pairs->n);
}

bool carrier_next_pair(struct carrier_pairs *pairs, struct slice *key, struct slice *value)
{
	if (cursor_left(&pairs->in) == 0)
		return false;
	*key = cursor_take(&pairs->in, cursor_u32(&pairs->in));
	*value = cursor_take(&pairs->in, cursor_u32(&pairs->in));
	return !pairs->in.bad;
}

bool carrier_is_fact(struct slice key)
{
	switch (key.len) {
	case 3:
		return slice_eq(key, SLICE_LIT(RPC_CARRY_ADDR));
	case 12:
		return slice_eq(key, SLICE_LIT(RPC_CARRY_DEADLINE));
	case 13:
		return slice_eq(key, SLICE_LIT(RPC_CARRY_CALLER_METHOD)) ||
		       slice_eq(key, SLICE_LIT(RPC_CARRY_LOG_ID));
	case 14:
		return slice_eq(key, SLICE_LIT(RPC_CARRY_CALLER));
	case 18:
		return slice_eq(key, SLICE_LIT(RPC_CARRY_METHOD));
	case 19:
		return slice_eq(key, SLICE_LIT(RPC_CARRY_SERVICE));
	default:
		return false;
	}
}
