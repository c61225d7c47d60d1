/* A header of the PROXY protocol that can be read, written anew from what was read is the same. */
#include "fuzz.h"
#include "wire/proxy_v2.h"

/* The addresses are opaque here: what the reader gave out is what stands there. */
static void write_anew(const struct proxy_v2_head *head, struct writer *w)
{
	struct cursor values = cursor_of(head->values);
	struct slice value;
	uint8_t type;

	proxy_v2_write_start(w, head->command, (enum proxy_v2_family)head->family,
	    (uint16_t)(head->len - PROXY_V2_START));
	write_bytes(w, head->addresses);
	while (proxy_v2_next(&values, &type, &value))
		proxy_v2_write_value(w, (enum proxy_v2_type)type, value);
	must(values.bad || cursor_left(&values) == 0);
	if (values.bad) /* as far as they went */
		must(writer_len(w) <= head->len);
	else if (head->command == PROXY_V2_PROXY)
		must(writer_len(w) == head->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	struct proxy_v2_head head, part;
	struct writer w;
	uint8_t *room;

	if (proxy_v2_read(in, &head) != PROXY_V2_OK)
		return 0;
	must(head.len >= PROXY_V2_START && head.len <= size);
	must(head.addresses.len + head.values.len <= head.len - PROXY_V2_START);
	for (size_t len = 0; len < head.len; len++)
		must(proxy_v2_read(slice_first(in, len), &part) != PROXY_V2_OK);
	room = malloc(head.len);
	must(room != NULL);
	w = writer_of(room, head.len);
	write_anew(&head, &w);
	must(!w.bad && memcmp(room, data, writer_len(&w)) == 0);
	free(room);
	return 0;
}
