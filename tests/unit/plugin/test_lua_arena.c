/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <string.h>
#include "plugin/lua_arena.h"

#define SLOTS 700

struct slot {
    unsigned char *ptr;
    size_t size;
    unsigned char mark;
};

static unsigned next(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 8;
}

static size_t some_size(unsigned *seed)
{
    switch (next(seed) % 8) {
    case 0:
        return 1 + next(seed) % 60000;
    case 1:
        return 1 + next(seed) % 5000;
    default:
        return 1 + next(seed) % 600;
    }
}

static void check(const struct slot *slot)
{
    for (size_t i = 0; i < slot->size; i += slot->size / 7 + 1)
        assert_int_equal(slot->ptr[i], slot->mark);
    assert_int_equal(slot->ptr[slot->size - 1], slot->mark);
}

static void fill(struct slot *slot, unsigned char mark)
{
    slot->mark = mark;
    memset(slot->ptr, mark, slot->size);
    assert_int_equal((uintptr_t)slot->ptr % 16, 0);
}

/* Blocks never overlap: each keeps its bytes while others come, go and change their size. */
static void test_blocks_keep_their_bytes(void **state)
{
    static struct slot slots[SLOTS];
    struct peri_arena_map *map = peri_arena_map_create(4u << 20);
    unsigned seed = 7;
    assert_non_null(map);
    for (unsigned i = 0; i < 60000; i++) {
        struct slot *slot = &slots[next(&seed) % SLOTS];
        if (!slot->ptr) {
            slot->size = some_size(&seed);
            slot->ptr = peri_arena_map_alloc(map, slot->size);
            if (slot->ptr)
                fill(slot, (unsigned char)i);
        } else if (next(&seed) % 2) {
            check(slot);
            peri_arena_map_free(map, slot->ptr);
            slot->ptr = NULL;
        } else {
            size_t size = some_size(&seed), old = slot->size;
            check(slot);
            unsigned char *ptr = peri_arena_map_resize(map, slot->ptr, old, size);
            assert_true(ptr != NULL || size > old);
            if (!ptr)
                continue;
            slot->ptr = ptr;
            slot->size = size < old ? size : old;
            check(slot);
            slot->size = size;
            fill(slot, (unsigned char)i);
        }
    }
    for (int i = 0; i < SLOTS; i++)
        if (slots[i].ptr) {
            check(&slots[i]);
            peri_arena_map_free(map, slots[i].ptr);
            slots[i].ptr = NULL;
        }
    /* all of it is there again in one piece */
    void *whole = peri_arena_map_alloc(map, 4u << 20);
    assert_non_null(whole);
    peri_arena_map_destroy(map);
}

/* Every size is served up to the cap, also after another size has filled and left the region. */
static void test_the_cap_can_be_used_in_any_size(void **state)
{
    static void *blocks[70000];
    struct peri_arena_map *map = peri_arena_map_create(1u << 20);
    for (size_t size = 16; size <= 1u << 18; size += size / 3 + 1) {
        size_t n = (1u << 20) / size;
        for (size_t i = 0; i < n; i++) {
            blocks[i] = peri_arena_map_alloc(map, size);
            assert_non_null(blocks[i]);
            memset(blocks[i], 1, size);
        }
        for (size_t i = 0; i < n; i++)
            peri_arena_map_free(map, blocks[i]);
    }
    assert_null(peri_arena_map_alloc(map, 64u << 20));
    peri_arena_map_destroy(map);
    peri_arena_map_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_keep_their_bytes),
        cmocka_unit_test(test_the_cap_can_be_used_in_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
