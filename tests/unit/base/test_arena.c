/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/vec.h"

static void test_memory_is_zeroed_and_aligned(void **state)
{
    struct peri_arena *a = peri_arena_create(1 << 20);
    for (size_t size = 0; size < 3000; size += 37) {
        unsigned char *p = peri_arena_alloc(a, size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xAA, size);
    }
    assert_string_equal(peri_arena_strdup(a, "abc"), "abc");
    assert_string_equal(peri_arena_strndup(a, "abc", 2), "ab");
    assert_null(peri_arena_strdup(a, NULL));
    peri_arena_destroy(a);
    peri_arena_destroy(NULL);
}

static void test_cap(void **state)
{
    struct peri_arena *a = peri_arena_create(1000);
    assert_non_null(peri_arena_alloc(a, 512));
    assert_null(peri_arena_alloc(a, 512));
    assert_null(peri_arena_alloc(a, SIZE_MAX));
    assert_non_null(peri_arena_alloc(a, 256));
    assert_null(peri_arena_alloc(a, 256));
    assert_non_null(peri_arena_alloc(a, 128));
    peri_arena_destroy(a);
}

static void test_vec(void **state)
{
    int *items = NULL;
    size_t cap = 0;
    for (size_t i = 0; i < 1000; i++) {
        assert_true(peri_vec_grow(&items, &cap, i + 1, sizeof(*items)));
        assert_int_equal(items[i], 0); /* new room is zeroed */
        items[i] = (int)i + 1;
    }
    assert_int_equal(items[999], 1000);
    size_t before = cap;
    assert_false(peri_vec_grow(&items, &cap, SIZE_MAX / 2, sizeof(*items)));
    assert_int_equal(cap, before);
    assert_int_equal(items[0], 1);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_zeroed_and_aligned),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_vec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
