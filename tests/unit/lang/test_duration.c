/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "lang/duration.h"

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"0s", 0},
        {"90s", 90000},
        {"10m", 600000},
        {"1h30m", 5400000},
        {"2d", 172800000},
        {"1w", 604800000},
        {"250ms", 250},
        {"1m500ms", 60500},
        {"1w2d3h4m5s6ms", 788645006},
        {"3650d", INT64_C(315360000000)},
        {"007m", 420000},
        {"315360000000ms", INT64_C(315360000000)},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ms = -1;
        struct peri_error err;
        assert_int_equal(peri_duration_parse(rows[i].text, strlen(rows[i].text), &ms, &err), PERI_OK);
        assert_int_equal(ms, rows[i].ms);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"", "is empty"},
        {"10", "needs a unit"},
        {"m", "a whole number"},
        {"10 m", "needs a unit"},
        {"1.5h", "needs a unit"},
        {"-5m", "a whole number"},
        {"5M", "the units are"},
        {"5min", "the units are"},
        {"30m1h", "larger units first"},
        {"1h1h", "larger units first"},
        {"3651d", "longer than 3650 days"},
        {"3650d1ms", "longer than 3650 days"},
        {"99999999999999999999999999w", "longer than 3650 days"},
        {"1h ", "a whole number"},
        {" 1h", "a whole number"},
        {"5m\n", "a whole number"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ms = -1;
        struct peri_error err = {0};
        if (peri_duration_parse(rows[i].text, strlen(rows[i].text), &ms, &err) != PERI_EINVAL)
            fail_msg("accepted \"%s\"", rows[i].text);
        assert_int_equal(ms, -1);
        if (!strstr(err.message, rows[i].part))
            fail_msg("%s: %s", rows[i].text, err.message);
    }
}

static void test_format_reads_back(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "0s"},
        {250, "250ms"},
        {90000, "1m30s"},
        {5400000, "1h30m"},
        {604800000, "1w"},
        {864000000, "10d"},
        {1209600000, "2w"},
        {86400001, "1d1ms"},
        {-1000, "-1s"},
    };
    char out[48];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(peri_duration_format(rows[i].ms, out), rows[i].text);
    for (int64_t ms = 1; ms < INT64_C(315360000000); ms = ms * 3 + 7) {
        int64_t back = -1;
        peri_duration_format(ms, out);
        assert_int_equal(peri_duration_parse(out, strlen(out), &back, NULL), PERI_OK);
        assert_int_equal(back, ms);
    }
    peri_duration_format(INT64_MIN, out);
    assert_true(strlen(out) < 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_format_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
