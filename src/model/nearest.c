#include "model/nearest.h"

#define WORD_MAX 64u /* longer ones are not compared: nobody's typing slips that far */

void nearest_init(struct nearest *n, struct slice typed)
{
	*n = (struct nearest){.typed = typed, .distance = UINT32_MAX};
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static bool same_letter(struct slice a, size_t i, struct slice b, size_t j)
{
	return lower(a.data[i]) == lower(b.data[j]);
}

/* How many letters have to be put in, left out, changed, or swapped with their neighbour; their
 * case does not count. */
static unsigned distance(struct slice a, struct slice b)
{
	unsigned rows[3][WORD_MAX + 1], *before = rows[0], *above = rows[1], *row = rows[2];

	for (unsigned j = 0; j <= b.len; j++)
		above[j] = j;
	for (unsigned i = 1; i <= a.len; i++) {
		row[0] = i;
		for (unsigned j = 1; j <= b.len; j++) {
			unsigned differs = !same_letter(a, i - 1, b, j - 1);

			row[j] = least(above[j] + 1, row[j - 1] + 1, above[j - 1] + differs);
			if (i > 1 && j > 1 && same_letter(a, i - 1, b, j - 2) &&
			    same_letter(a, i - 2, b, j - 1) && before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		unsigned *oldest = before;

		before = above;
		above = row;
		row = oldest;
	}
	return above[b.len];
}

void nearest_try(struct nearest *n, struct slice word)
{
	unsigned d;

	if (n->typed.len > WORD_MAX || word.len > WORD_MAX)
		return;
	d = distance(n->typed, word);
	if (d < n->distance) {
		n->distance = d;
		n->best = word;
	}
}

bool nearest_found(const struct nearest *n)
{
	size_t longer = n->typed.len > n->best.len ? n->typed.len : n->best.len;

	return n->distance <= (longer + 2) / 3;
}
