/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#define PERI_POOL_LISTS /* also under sanitizers, which see then whether blocks are lost */
#include "base/pool.c"

#define BLOCKS (2 * KEPT_BYTES / 56)

static void test_a_freed_block_is_given_again_to_whom_it_fits(void **state)
{
    void *first[300];
    for (size_t size = 0; size < 300; size++) {
        first[size] = peri_pool_alloc(size);
        assert_non_null(first[size]);
        memset(first[size], 0xA5, size);
    }
    for (size_t size = 0; size < 300; size++)
        peri_pool_free(first[size]);
    for (size_t size = 0; size < 300; size++) {
        char *again = peri_pool_alloc(size);
        memset(again, 0x5A, size); /* a block that is too short would be seen */
        first[size] = again;
    }
    for (size_t size = 0; size < 300; size++)
        peri_pool_free(first[size]);
    void *small = peri_pool_alloc(40);
    peri_pool_free(small);
    assert_ptr_equal(peri_pool_alloc(33), small);
    free(small);
    peri_pool_free(NULL);
}

static void *fill(void *arg)
{
    void **blocks = arg;
    for (size_t i = 0; i < BLOCKS; i++)
        peri_pool_free(blocks[i]);
    return NULL;
}

static void test_a_list_is_bounded_and_ends_with_its_thread(void **state)
{
    void *blocks[BLOCKS];
    pthread_t thread;
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = peri_pool_alloc(56);
    assert_int_equal(pthread_create(&thread, NULL, fill, blocks), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = peri_pool_alloc(56);
    fill(blocks);
    assert_int_equal(lists.count[(56 - LEAST) / STEP], kept((56 - LEAST) / STEP));
    peri_pool_trim();
    for (size_t i = 0; i < LISTS; i++)
        assert_int_equal(lists.count[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_freed_block_is_given_again_to_whom_it_fits),
        cmocka_unit_test(test_a_list_is_bounded_and_ends_with_its_thread),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
