#include "rpc/h2_memory.h"

#include <stdint.h>
#include <string.h>

#include <check.h>

#include "base/mem.h"
#include "support/suite.h"

static struct h2_memory memory;

static void nothing(void)
{
}

START_TEST(blocks_of_every_size_can_be_filled_and_come_again)
{
	for (size_t size = 1; size < 1000; size++) {
		uint8_t *first = h2_memory_malloc(size, &memory), *again;

		ck_assert_ptr_nonnull(first);
		memset(first, 0xaa, size);
		h2_memory_free(first, &memory);
		again = h2_memory_calloc(1, size, &memory);
		for (size_t i = 0; i < size; i++)
			ck_assert_uint_eq(again[i], 0);
		h2_memory_free(again, &memory);
	}
}
END_TEST

START_TEST(what_grows_keeps_its_bytes)
{
	uint8_t *block = h2_memory_malloc(10, &memory);

	memcpy(block, "0123456789", 10);
	for (size_t size = 11; size < 40000; size = size * 3 / 2) {
		block = h2_memory_realloc(block, size, &memory);
		ck_assert_mem_eq(block, "0123456789", 10);
		memset(block + 10, 0x55, size - 10);
	}
	h2_memory_free(block, &memory);
	ck_assert_ptr_null(memory.pages);
}
END_TEST

START_TEST(the_pages_of_a_session_come_back_empty_from_a_rest)
{
	uint8_t *pages = h2_memory_malloc(16394, &memory), *other;

	ck_assert_ptr_eq(memory.pages, pages);
	memset(pages, 0x77, 16394);
	h2_memory_rest(&memory);
	for (size_t i = 0; i < 16394; i++)
		ck_assert_uint_eq(pages[i], 0);
	other = h2_memory_malloc(16394, &memory); /* a second one is a block like others */
	ck_assert_ptr_ne(other, pages);
	h2_memory_free(other, &memory);
	ck_assert_ptr_eq(memory.pages, pages);
	h2_memory_free(pages, &memory);
	ck_assert_ptr_null(memory.pages);
	h2_memory_rest(&memory);
}
END_TEST

START_TEST(sizes_that_no_machine_has_are_refused)
{
	ck_assert_ptr_null(h2_memory_calloc(SIZE_MAX / 2, 3, &memory));
	h2_memory_free(NULL, &memory);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {blocks_of_every_size_can_be_filled_and_come_again, 1},
	    {what_grows_keeps_its_bytes, 1},
	    {the_pages_of_a_session_come_back_empty_from_a_rest, 1},
	    {sizes_that_no_machine_has_are_refused, 1},
	};

	return suite_run_between("h2_memory", tests, ARRAY_LEN(tests), nothing, nothing);
}
