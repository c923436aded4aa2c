/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/matcher_internal.h"

/* The fast way to read a number must answer as the plain one does, which asks strtod and printf. */

static uint64_t state = 88172645463325252u;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static size_t fitting, others;

static void same(const char *text)
{
    struct pattern_number fast = matcher_number_read(text, strlen(text)),
                          plain = pattern_number_read(text, strlen(text));
    if (fast.fits != plain.fits || (plain.fits && fast.value != plain.value))
        fail_msg("%s: %d %.17g, not %d %.17g", text, fast.fits, fast.value, plain.fits, plain.value);
    assert_true(pattern_number_equal(&fast, &plain));
    if (plain.fits) { /* bounds beside it: never outside of what holds it */
        double below = nextafter(plain.value, -INFINITY), above = nextafter(plain.value, INFINITY),
               far = 1 + fabs(above);
        const double low[] = {plain.value, below, -INFINITY, plain.value + far},
                     high[] = {plain.value, above, below - far, INFINITY};
        for (int i = 0; i < 4; i++)
            if (matcher_number_outside(text, strlen(text), low[i], high[i], &fast))
                assert_true(i >= 2);
            else
                assert_true(pattern_number_equal(&fast, &plain));
    }
    *(plain.fits ? &fitting : &others) += 1;
}

/* A number of so many digits with a dot before the last few. */
static void decimal(int digits, int behind)
{
    char text[64];
    size_t n = 0;
    if (next() % 2)
        text[n++] = '-';
    if (behind >= digits) {
        text[n++] = '0';
        text[n++] = '.';
        memset(text + n, '0', (size_t)(behind - digits));
        n += (size_t)(behind - digits);
    }
    for (int i = digits; i > 0; i--) {
        if (i == behind && i < digits)
            text[n++] = '.';
        text[n++] = (char)('0' + (i == digits || i == 1 ? 1 + next() % 9 : next() % 10));
    }
    text[n] = '\0';
    same(text);
}

static void random_decimals_read_alike(void **unused)
{
    (void)unused;
    for (int i = 0; i < 60000; i++)
        decimal(13 + (int)(next() % 10), (int)(next() % 26));
    assert_true(fitting > 5000 && others > 5000);
}

/* What a program prints for a double, with the digits that its kind of program gives. */
static void printed_doubles_read_alike(void **unused)
{
    (void)unused;
    for (int i = 0; i < 60000; i++) {
        char text[64];
        double value = (double)(int64_t)next() / (double)(UINT64_C(1) << next() % 64);
        snprintf(text, sizeof(text), "%.*f", (int)(next() % 18), value);
        same(text);
        snprintf(text, sizeof(text), "%.*g", 15 + (int)(next() % 4), value);
        same(text);
    }
}

static void around_powers_of_two_and_ten(void **unused)
{
    (void)unused;
    for (int power = 0; power < 57; power++) {
        for (int off = -3; off <= 3; off++) {
            char text[64];
            int64_t whole = (int64_t)((INT64_C(1) << power) + off);
            snprintf(text, sizeof(text), "%" PRId64, whole);
            same(text);
            for (int digits = 1; digits < 18; digits++) {
                snprintf(text, sizeof(text), "%" PRId64 ".%0*d1", whole, digits, 0);
                same(text);
                snprintf(text, sizeof(text), "%.*f", digits, (double)(INT64_C(1) << power) / 3.0 / (1 << (off + 3)));
                same(text);
            }
        }
    }
    static const char *const edges[] = {"0", "-0", "0.0", "9007199254740991", "9007199254740992", "9007199254740993",
        "9007199254740994", "0.30000000000000004", "0.1000000000000000055", "0.10000000000000001", "1e22", "1e23",
        "123456789012345678", "1234567890123456.5", "0.99999999999999989", "0.99999999999999994", "4.9e-324", "1e400",
        "-122.42200352825247", "-122.422003528252475", "37.808480096967251"};
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
        same(edges[i]);
}

static unsigned times[40];

static void count_range(struct peri_matcher_scratch *r, struct matcher_scalar *scalar, struct matcher_posting posting)
{
    (void)r;
    (void)scalar;
    times[posting.pattern]++;
}

/* Apart, one in another, one for all: each that holds the value is found once, and no other. */
static void ranges_that_hold_a_value(void **unused)
{
    (void)unused;
    for (int round = 0; round < 3000; round++) {
        struct matcher_range ranges[40];
        struct matcher_grid grid = {0};
        uint32_t cells[41];
        size_t count = next() % 41;
        uint64_t widest = round % 3 == 0 ? 1 : round % 3 == 1 ? 3 : 40;
        for (size_t i = 0; i < count; i++) {
            double low = (double)(next() % 60);
            ranges[i] = (struct matcher_range){
                .low = low, .high = low + (double)(next() % widest), .posting = {(uint32_t)i, MATCHER_NONE}};
        }
        if (count > 2 && next() % 4 == 0)
            ranges[0].low = ranges[1].low = -INFINITY;
        if (count > 2 && next() % 4 == 0) /* all others in one cell */
            ranges[2].low = -DBL_MAX;
        matcher_ranges_sort(ranges, count);
        assert_true(matcher_grid_set(&grid, ranges, count, cells) <= 41);
        for (double value = -1; value < 101; value += 0.5) {
            memset(times, 0, sizeof(times));
            matcher_ranges_find(&grid, cells, ranges, count, value, count_range, NULL, NULL);
            for (size_t i = 0; i < count; i++)
                assert_int_equal(times[ranges[i].posting.pattern], value >= ranges[i].low && value <= ranges[i].high);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_decimals_read_alike),
        cmocka_unit_test(printed_doubles_read_alike),
        cmocka_unit_test(around_powers_of_two_and_ten),
        cmocka_unit_test(ranges_that_hold_a_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
