#include "base/stat.h"

const usec_t histogram_bounds[HISTOGRAM_BOUNDS] = {100, 250, 500, 1000, 2500, 5000, 10000, 25000,
    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};

void histogram_add(struct histogram *h, usec_t value)
{
	int i = 0;

	while (i < HISTOGRAM_BOUNDS && value > histogram_bounds[i])
		i++;
	counter_add(&h->buckets[i], 1);
	counter_add(&h->sum_us, value);
}

usec_t histogram_quantile(const struct histogram *h, double share)
{
	uint64_t counts[HISTOGRAM_BOUNDS + 1], all = 0, below = 0;
	double rank;

	for (int i = 0; i <= HISTOGRAM_BOUNDS; i++)
		all += counts[i] = counter_get(&h->buckets[i]);
	if (all == 0)
		return 0;
	rank = share * (double)all;
	for (int i = 0; i < HISTOGRAM_BOUNDS; i++) {
		usec_t low = i ? histogram_bounds[i - 1] : 0;

		if (counts[i] && (double)(below + counts[i]) >= rank)
			return low + (usec_t)((double)(histogram_bounds[i] - low) *
					      (rank - (double)below) / (double)counts[i]);
		below += counts[i];
	}
	return histogram_bounds[HISTOGRAM_BOUNDS - 1];
}
