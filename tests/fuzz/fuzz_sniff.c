/* A decision may wait for more bytes but is never taken back, and needs no more than eight. */
#include "fuzz.h"
#include "wire/sniff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice all = slice_of(data, size);
	enum sniff_form message = sniff_message(all), payload = sniff_payload(all);
	enum sniff_family family = sniff_family(all);

	must(size < SNIFF_BYTES || (message != SNIFF_MORE && payload != SNIFF_MORE));
	must(size < SNIFF_BYTES || family != SNIFF_FAMILY_MORE);
	must(payload != SNIFF_TTHEADER && payload != SNIFF_MESH);
	if (family == SNIFF_FAMILY_UNARY)
		must(message != SNIFF_UNKNOWN && message != SNIFF_MORE);
	for (size_t len = 0; len < size && len <= SNIFF_BYTES; len++) {
		struct slice first = slice_first(all, len);
		enum sniff_form m = sniff_message(first), p = sniff_payload(first);
		enum sniff_family f = sniff_family(first);

		must(m == SNIFF_MORE || m == message);
		must(p == SNIFF_MORE || p == payload);
		must(f == SNIFF_FAMILY_MORE || f == family);
	}
	return 0;
}
