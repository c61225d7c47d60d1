#include <check.h>
#include <stdalign.h>

#include "base/arena.h"
#include "base/mem.h"
#include "support/bytes.h"
#include "support/suite.h"

static bool is_within(const void *p, const uint8_t *room, size_t size)
{
	return (const uint8_t *)p >= room && (const uint8_t *)p < room + size;
}

START_TEST(arena_uses_the_room_it_was_given_first)
{
	alignas(max_align_t) uint8_t room[128];
	struct arena a;

	arena_init(&a, room, sizeof room);
	ck_assert(is_within(arena_alloc(&a, 100), room, sizeof room));
	ck_assert_ptr_null(a.chunks);
	ck_assert(!is_within(arena_alloc(&a, 100), room, sizeof room));
	ck_assert_ptr_nonnull(a.chunks);
	arena_fini(&a);
}
END_TEST

START_TEST(arena_works_without_room)
{
	struct arena a;

	arena_init(&a, NULL, 0);
	memset(arena_alloc(&a, 10), 1, 10);
	arena_fini(&a);
	arena_init(&a, NULL, 0);
	arena_fini(&a);
}
END_TEST

START_TEST(arena_aligns_in_crooked_room)
{
	alignas(max_align_t) uint8_t room[256];

	for (size_t skew = 0; skew < 17; skew++) {
		struct arena a;

		arena_init(&a, room + skew, sizeof room - skew);
		for (size_t size = 0; size < 40; size++)
			ck_assert_uint_eq(
			    (uintptr_t)arena_alloc(&a, size) % alignof(max_align_t), 0);
		arena_fini(&a);
	}
}
END_TEST

/* Each object is filled to its end; if two overlapped, one would have lost its pattern. */
START_TEST(arena_gives_objects_that_do_not_overlap)
{
	alignas(max_align_t) uint8_t room[512];
	uint8_t *objects[400];
	struct arena a;

	arena_init(&a, room, sizeof room);
	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		objects[i] = arena_alloc(&a, i * 3 % 257);
		memset(objects[i], (int)(i & 0xff), i * 3 % 257);
	}
	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		for (size_t k = 0; k < i * 3 % 257; k++)
			ck_assert(objects[i][k] == (i & 0xff));
	arena_fini(&a);
}
END_TEST

START_TEST(arena_gives_objects_larger_than_a_chunk)
{
	struct arena a;
	uint8_t *big;

	arena_init(&a, NULL, 0);
	arena_alloc(&a, 1);
	big = arena_calloc(&a, 1000, 1000);
	ck_assert(big[0] == 0 && big[999999] == 0);
	big[999999] = 1;
	ck_assert_ptr_nonnull(arena_alloc(&a, 1));
	arena_fini(&a);
}
END_TEST

START_TEST(arena_copies_and_prints)
{
	struct arena a;
	struct slice copy;

	arena_init(&a, NULL, 0);
	copy = arena_copy(&a, BYTES(1, 0, 2));
	ck_assert(slice_eq(copy, BYTES(1, 0, 2)));
	ck_assert_uint_eq(arena_copy(&a, SLICE_NONE).len, 0);
	ck_assert_str_eq(arena_str(&a, SLICE_LIT("abc")), "abc");
	ck_assert_str_eq(arena_str(&a, SLICE_NONE), "");
	ck_assert_str_eq(arena_printf(&a, "%s:%d", "host", 80), "host:80");
	ck_assert_uint_eq(strlen(arena_printf(&a, "%5000s", "")), 5000);
	arena_fini(&a);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    arena_uses_the_room_it_was_given_first,
	    arena_works_without_room,
	    arena_aligns_in_crooked_room,
	    arena_gives_objects_that_do_not_overlap,
	    arena_gives_objects_larger_than_a_chunk,
	    arena_copies_and_prints,
	};

	return suite_run("arena", tests, ARRAY_LEN(tests));
}
