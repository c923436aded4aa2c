/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"

static void parses(const char *text, const char *wanted)
{
    int64_t ms = 0;
    char out[PERI_TIME_TEXT];
    if (!peri_time_parse(text, strlen(text), &ms))
        fail_msg("refused: %s", text);
    assert_string_equal(peri_time_format(ms, out), wanted);
}

static void refuses(const char *text)
{
    int64_t ms = 42;
    if (peri_time_parse(text, strlen(text), &ms))
        fail_msg("accepted: %s", text);
    assert_int_equal(ms, 42);
}

static void test_parse(void **state)
{
    parses("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z");
    parses("2026-01-02t03:04:05.6789z", "2026-01-02T03:04:05.678Z");
    parses("2026-01-02T03:04:05.5+05:30", "2026-01-01T21:34:05.500Z");
    parses("2026-01-01T23:59:59-00:01", "2026-01-02T00:00:59.000Z");
    parses("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z");
    parses("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z");
    parses("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z");
    parses("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z");
    parses("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z");
}

static void test_refusals(void **state)
{
    refuses("");
    refuses("2026-01-02");
    refuses("2026-01-02T03:04:05");
    refuses("2026-01-02 03:04:05Z");
    refuses("2026-1-02T03:04:05Z");
    refuses("2026-02-29T03:04:05Z");
    refuses("2026-00-01T03:04:05Z");
    refuses("2026-13-01T03:04:05Z");
    refuses("2026-01-02T24:00:00Z");
    refuses("2026-01-02T03:60:00Z");
    refuses("2026-01-02T03:04:61Z");
    refuses("2026-01-02T03:04:05.Z");
    refuses("2026-01-02T03:04:05+0100");
    refuses("2026-01-02T03:04:05+24:00");
    refuses("2026-01-02T03:04:05Zx");
    refuses("0000-01-01T00:00:00Z");
}

static void test_mail_date(void **state)
{
    char out[PERI_TIME_TEXT];
    assert_string_equal(peri_time_format_mail(1767323045678, out), "Fri, 02 Jan 2026 03:04:05 +0000");
    assert_string_equal(peri_time_format_mail(0, out), "Thu, 01 Jan 1970 00:00:00 +0000");
}

static void test_calendar(void **state)
{
    assert_int_equal(peri_days_from_civil(1970, 1, 1), 0);
    assert_int_equal(peri_days_from_civil(2000, 3, 1), 11017);
    assert_int_equal(peri_weekday(0), 4);
    assert_int_equal(peri_weekday(-5), 6);
    assert_int_equal(peri_days_in_month(2000, 2), 29);
    assert_int_equal(peri_days_in_month(1900, 2), 28);
    for (int64_t days = -800000; days < 3000000; days += 97) {
        int64_t year;
        unsigned month, day;
        peri_civil_from_days(days, &year, &month, &day);
        assert_int_equal(peri_days_from_civil(year, month, day), days);
        assert_true(day >= 1 && day <= peri_days_in_month(year, month));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_mail_date),
        cmocka_unit_test(test_calendar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
