/* SPDX-License-Identifier: Apache-2.0 */
#include "run/kit.h"

#include "run/limit.h"

static int64_t reserve(struct peri_limiter *l, const char *bucket, int64_t limit, int64_t period, int64_t now)
{
    struct peri_error err = {0};
    int64_t at = -1;
    if (peri_limiter_reserve(l, bucket, limit, period, now, &at, &err) != PERI_OK)
        assert_string_equal(err.code, "rate_limit.full");
    return at;
}

static void test_those_above_the_limit_get_the_times_behind_in_order(void **state)
{
    struct peri_limiter *l = peri_limiter_create();
    assert_int_equal(reserve(l, "a", 2, 1000, 5000), 5000);
    assert_int_equal(reserve(l, "a", 2, 1000, 5400), 5400);
    assert_int_equal(reserve(l, "a", 2, 1000, 5500), 6000);
    assert_int_equal(reserve(l, "a", 2, 1000, 5500), 6400);
    assert_int_equal(reserve(l, "a", 2, 1000, 5500), 7000);
    assert_int_equal(reserve(l, "b", 2, 1000, 5500), 5500); /* another key */
    assert_int_equal(reserve(l, "a", 2, 1000, 9000), 9000);
    peri_limiter_destroy(l);
}

/* Whatever comes: never more than the limit within a period, and first come, first served. */
static void test_no_window_ever_holds_more_than_the_limit(void **state)
{
    uint32_t x = 2463534242u;
    for (int round = 0; round < 200; round++) {
        struct peri_limiter *l = peri_limiter_create();
        int64_t given[400], now = 1000000, limit = 1 + round % 7, period = 10 + round % 90, last = 0;
        for (int i = 0; i < 400; i++) {
            x ^= x << 13, x ^= x >> 17, x ^= x << 5;
            now += x % 4 == 0 ? (int64_t)(x >> 8) % (period * 3) : (int64_t)(x >> 8) % 3;
            if (i == 200) { /* a restart: what counts is handed over */
                struct peri_limiter *next = peri_limiter_create();
                for (int k = 0; k < i; k++)
                    if (given[k] + period > now)
                        assert_int_equal(peri_limiter_restore(next, "k", given[k], given[k] + period), PERI_OK);
                peri_limiter_destroy(l);
                l = next;
            }
            given[i] = reserve(l, "k", limit, period, now);
            assert_true(given[i] >= now && given[i] >= last);
            last = given[i];
            if (i >= limit)
                assert_true(given[i] - given[i - limit] >= period);
            else if (i > 0)
                assert_int_equal(given[i], now);
        }
        peri_limiter_destroy(l);
    }
}

static void test_the_queue_and_the_keys_are_bounded(void **state)
{
    struct peri_limiter *l = peri_limiter_create();
    char bucket[32];
    for (int i = 0; i < PERI_LIMIT_WAITING + 1; i++)
        assert_true(reserve(l, "a", 1, 1000, 0) >= 0);
    assert_int_equal(reserve(l, "a", 1, 1000, 0), -1);
    for (int i = 1; i < PERI_LIMIT_BUCKETS; i++) {
        snprintf(bucket, sizeof(bucket), "k%d", i);
        assert_int_equal(reserve(l, bucket, 1, 1000, 500), 500);
    }
    assert_int_equal(reserve(l, "one more", 1, 1000, 500), -1);
    assert_int_equal(reserve(l, "one more", 1, 1000, 1500), 1500); /* the others are past and make room */
    assert_int_equal(peri_limiter_buckets(l), 2);
    peri_limiter_destroy(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_those_above_the_limit_get_the_times_behind_in_order),
        cmocka_unit_test(test_no_window_ever_holds_more_than_the_limit),
        cmocka_unit_test(test_the_queue_and_the_keys_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
