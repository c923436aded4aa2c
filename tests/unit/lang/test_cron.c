/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "lang/cron.h"
#include "zone_files.h"

/* The instants after a time, up to count, each cut to minutes and separated by blanks; "-" when there are no more. */
static const char *next(const char *expression, const char *zone_name, enum peri_dst dst, const char *after, int count)
{
    static char out[512];
    struct peri_cron cron;
    struct peri_error err;
    struct peri_tz *tz = zone(zone_name);
    if (peri_cron_parse(expression, &cron, NULL, &err) != PERI_OK)
        fail_msg("%s: %s", expression, err.message);
    int64_t ms = at(after);
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; i < count; i++) {
        char text[PERI_TIME_TEXT];
        enum peri_status st = peri_cron_next(&cron, tz, dst, ms, &ms);
        n += (size_t)snprintf(
            out + n, sizeof(out) - n, "%s%.16s", i ? " " : "", st == PERI_OK ? peri_time_format(ms, text) : "-");
        if (st != PERI_OK)
            break;
    }
    peri_tz_destroy(tz);
    return out;
}

#define UTC(expression, after, count, want)                                                                            \
    assert_string_equal(next(expression, "UTC", PERI_DST_ONCE, after, count), want)
#define BERLIN(expression, dst, after, count, want)                                                                    \
    assert_string_equal(next(expression, "Europe/Berlin", dst, after, count), want)

static void test_fields(void **state)
{
    UTC("* * * * *", "2026-01-01T00:00:00Z", 2, "2026-01-01T00:01 2026-01-01T00:02");
    UTC("* * * * *", "2026-01-01T00:00:59.999Z", 1, "2026-01-01T00:01");
    UTC("* * * * *", "2025-12-31T23:59:59.001Z", 1, "2026-01-01T00:00");
    UTC("30 8 * * *", "2026-01-01T08:29:59.999Z", 2, "2026-01-01T08:30 2026-01-02T08:30");
    UTC("30 8 * * *", "2026-01-01T08:30:00Z", 1, "2026-01-02T08:30");
    UTC("30 8 * * *", "2026-01-01T08:30:00.001Z", 1, "2026-01-02T08:30");
    UTC("*/15 * * * *", "2026-01-01T00:46:00Z", 2, "2026-01-01T01:00 2026-01-01T01:15");
    UTC("*/40 * * * *", "2026-01-01T00:00:00Z", 2, "2026-01-01T00:40 2026-01-01T01:00");
    UTC("*/999 0 * * *", "2026-01-01T00:00:00Z", 1, "2026-01-02T00:00");
    UTC("5-10/3 1,3 * * *", "2026-01-01T00:00:00Z", 4,
        "2026-01-01T01:05 2026-01-01T01:08 2026-01-01T03:05 2026-01-01T03:08");
    UTC("  0\t0  1   1  * ", "2026-01-01T00:00:00Z", 1, "2027-01-01T00:00");
    UTC("0 0 31 * *", "2026-01-31T00:00:00Z", 3, "2026-03-31T00:00 2026-05-31T00:00 2026-07-31T00:00");
    UTC("0 9 * * 1-5", "2026-01-02T09:00:00Z", 2, "2026-01-05T09:00 2026-01-06T09:00");
    UTC("0 9 * * MON-fri", "2026-01-02T09:00:00Z", 1, "2026-01-05T09:00");
    UTC("0 9 * Feb,APR-may *", "2026-01-02T09:00:00Z", 1, "2026-02-01T09:00");
    UTC("0 9 1 jan-dec/6 *", "2026-01-02T09:00:00Z", 2, "2026-07-01T09:00 2027-01-01T09:00");
    UTC("0 0 * * 0", "2026-01-01T00:00:00Z", 1, "2026-01-04T00:00");
    UTC("0 0 * * 7", "2026-01-01T00:00:00Z", 1, "2026-01-04T00:00");
    UTC("0 0 * * sun", "2026-01-01T00:00:00Z", 1, "2026-01-04T00:00");
    UTC("0 0 * * 5-7", "2026-01-01T00:00:00Z", 4,
        "2026-01-02T00:00 2026-01-03T00:00 2026-01-04T00:00 2026-01-09T00:00");
    UTC("0 0 * * */2", "2026-01-01T00:00:00Z", 4,
        "2026-01-03T00:00 2026-01-04T00:00 2026-01-06T00:00 2026-01-08T00:00");
    UTC("0 0 * * 0-7", "2026-01-01T00:00:00Z", 1, "2026-01-02T00:00");
    /* either day field lets a day match, unless one is a bare star */
    UTC("0 0 13 * 5", "2026-01-01T00:00:00Z", 3, "2026-01-02T00:00 2026-01-09T00:00 2026-01-13T00:00");
    UTC("0 0 */10 * 5", "2026-01-01T00:00:00Z", 4,
        "2026-01-02T00:00 2026-01-09T00:00 2026-01-11T00:00 2026-01-16T00:00");
    UTC("0 0 13 * *", "2026-01-01T00:00:00Z", 1, "2026-01-13T00:00");
    UTC("0 0 13 * 0-6", "2026-01-01T00:00:00Z", 1, "2026-01-02T00:00");
    UTC("0 0 1-31 * 5", "2026-01-01T00:00:00Z", 1, "2026-01-02T00:00");
    UTC("*,5 * * * *", "2026-01-01T00:00:00Z", 1, "2026-01-01T00:01");
}

static void test_nicknames(void **state)
{
    UTC("@yearly", "2026-01-01T00:00:00Z", 1, "2027-01-01T00:00");
    UTC("@annually", "2026-05-01T00:00:00Z", 1, "2027-01-01T00:00");
    UTC("@monthly", "2026-01-01T00:00:00Z", 1, "2026-02-01T00:00");
    UTC("@weekly", "2026-01-01T00:00:00Z", 1, "2026-01-04T00:00");
    UTC("@daily", "2026-01-01T00:00:00Z", 1, "2026-01-02T00:00");
    UTC(" @midnight\t", "2026-01-01T00:00:00Z", 1, "2026-01-02T00:00");
    UTC("@hourly", "2026-01-01T00:00:00Z", 1, "2026-01-01T01:00");
}

static void test_leap_days_and_never(void **state)
{
    UTC("0 0 29 2 *", "2026-01-01T00:00:00Z", 2, "2028-02-29T00:00 2032-02-29T00:00");
    UTC("0 0 29 2 *", "2096-02-29T00:00:00Z", 1, "2104-02-29T00:00");
    UTC("0 0 29 2 *", "1896-02-29T00:00:00Z", 1, "1904-02-29T00:00");
    UTC("0 0 30 2 *", "2026-01-01T00:00:00Z", 1, "-");
    UTC("0 0 31 2,4,6,9,11 *", "2026-01-01T00:00:00Z", 1, "-");
    UTC("0 0 30 2 mon", "2026-02-28T00:00:00Z", 1, "2027-02-01T00:00");
    UTC("0 0 1 1 *", "9999-06-01T00:00:00Z", 1, "-");
    UTC("0 0 1 1 *", "9998-06-01T00:00:00Z", 2, "9999-01-01T00:00 -");
    BERLIN("0 0 30 2 *", PERI_DST_ONCE, "2026-01-01T00:00:00Z", 1, "-");
}

static void test_berlin(void **state)
{
    /* 2024-03-31: from 02:00 to 03:00 at 01:00 UTC; 2024-10-27: from 03:00 back to 02:00 at 01:00 UTC */
    BERLIN(
        "30 2 * * *", PERI_DST_ONCE, "2024-03-30T00:00:00Z", 3, "2024-03-30T01:30 2024-03-31T01:00 2024-04-01T00:30");
    BERLIN("30 2 * * *", PERI_DST_SKIP, "2024-03-30T00:00:00Z", 2, "2024-03-30T01:30 2024-04-01T00:30");
    BERLIN(
        "30 2 * * *", PERI_DST_BOTH, "2024-03-30T00:00:00Z", 3, "2024-03-30T01:30 2024-03-31T01:00 2024-04-01T00:30");
    BERLIN("0,30 2 * * *", PERI_DST_ONCE, "2024-03-31T00:00:00Z", 2, "2024-03-31T01:00 2024-04-01T00:00");
    BERLIN("0,30 2,3 * * *", PERI_DST_ONCE, "2024-03-31T00:00:00Z", 3,
        "2024-03-31T01:00 2024-03-31T01:30 2024-04-01T00:00");
    BERLIN("0 3 * * *", PERI_DST_ONCE, "2024-03-31T00:00:00Z", 1, "2024-03-31T01:00");
    BERLIN("30 2 * * *", PERI_DST_ONCE, "2024-03-31T01:00:00Z", 1, "2024-04-01T00:30");
    BERLIN("30 2 31 3 *", PERI_DST_SKIP, "2024-01-01T00:00:00Z", 1, "2025-03-31T00:30");

    BERLIN("30 2 * * *", PERI_DST_ONCE, "2024-10-26T12:00:00Z", 2, "2024-10-27T00:30 2024-10-28T01:30");
    BERLIN("30 2 * * *", PERI_DST_SKIP, "2024-10-26T12:00:00Z", 2, "2024-10-27T00:30 2024-10-28T01:30");
    BERLIN(
        "30 2 * * *", PERI_DST_BOTH, "2024-10-26T12:00:00Z", 3, "2024-10-27T00:30 2024-10-27T01:30 2024-10-28T01:30");
    BERLIN("30 2 * * *", PERI_DST_ONCE, "2024-10-27T01:10:00Z", 1, "2024-10-28T01:30");
    BERLIN("0 3 * * *", PERI_DST_ONCE, "2024-10-27T00:30:00Z", 1, "2024-10-27T02:00");

    /* a star at the beginning of minute or hour follows the wall clock */
    BERLIN("*/30 2 * * *", PERI_DST_ONCE, "2024-03-31T00:00:00Z", 1, "2024-04-01T00:00");
    BERLIN("*/30 2 * * *", PERI_DST_ONCE, "2024-10-26T23:59:00Z", 5,
        "2024-10-27T00:00 2024-10-27T00:30 2024-10-27T01:00 2024-10-27T01:30 2024-10-28T01:00");
    BERLIN("*/30 2 * * *", PERI_DST_SKIP, "2024-10-27T00:30:00Z", 1, "2024-10-27T01:00");
    BERLIN("30 * * * *", PERI_DST_ONCE, "2024-03-31T00:00:00Z", 2, "2024-03-31T00:30 2024-03-31T01:30");
    BERLIN(
        "15 * * * *", PERI_DST_ONCE, "2024-10-27T00:00:00Z", 3, "2024-10-27T00:15 2024-10-27T01:15 2024-10-27T02:15");
    BERLIN("@hourly", PERI_DST_ONCE, "2024-10-26T23:30:00Z", 3, "2024-10-27T00:00 2024-10-27T01:00 2024-10-27T02:00");
    BERLIN("30 */2 * * *", PERI_DST_ONCE, "2024-03-31T00:00:00Z", 1, "2024-03-31T02:30");
    BERLIN("30 0-23 * * *", PERI_DST_ONCE, "2024-10-27T00:00:00Z", 2, "2024-10-27T00:30 2024-10-27T02:30");
    BERLIN("0 12 * * *", PERI_DST_ONCE, "2400-07-01T00:00:00Z", 1, "2400-07-01T10:00"); /* by the rule of the file */
}

static void test_other_zones(void **state)
{
    assert_string_equal(next("30 2 * * *", "America/New_York", PERI_DST_ONCE, "2024-03-10T00:00:00Z", 2),
        "2024-03-10T07:00 2024-03-11T06:30");
    assert_string_equal(next("30 1 * * *", "America/New_York", PERI_DST_ONCE, "2024-11-03T00:00:00Z", 2),
        "2024-11-03T05:30 2024-11-04T06:30");
    assert_string_equal(next("30 1 * * *", "America/New_York", PERI_DST_BOTH, "2024-11-03T00:00:00Z", 3),
        "2024-11-03T05:30 2024-11-03T06:30 2024-11-04T06:30");
    /* half an hour: 2024-04-07 from 02:00 back to 01:30, 2024-10-06 from 02:00 to 02:30 */
    assert_string_equal(next("45 1 * * *", "Australia/Lord_Howe", PERI_DST_ONCE, "2024-04-06T12:00:00Z", 2),
        "2024-04-06T14:45 2024-04-07T15:15");
    assert_string_equal(next("45 1 * * *", "Australia/Lord_Howe", PERI_DST_BOTH, "2024-04-06T12:00:00Z", 2),
        "2024-04-06T14:45 2024-04-06T15:15");
    assert_string_equal(next("15 2 * * *", "Australia/Lord_Howe", PERI_DST_ONCE, "2024-10-05T00:00:00Z", 2),
        "2024-10-05T15:30 2024-10-06T15:15");
    assert_string_equal(
        next("15 2 * * *", "Australia/Lord_Howe", PERI_DST_SKIP, "2024-10-05T00:00:00Z", 1), "2024-10-06T15:15");
    assert_string_equal(next("0 0 * * *", "Asia/Kolkata", PERI_DST_ONCE, "2024-06-01T00:00:00Z", 2),
        "2024-06-01T18:30 2024-06-02T18:30");
    /* a whole day is no daylight saving: nothing is made up for */
    assert_string_equal(next("0 12 * * *", "Pacific/Apia", PERI_DST_ONCE, "2011-12-29T12:00:00Z", 2),
        "2011-12-29T22:00 2011-12-30T22:00");
    /* the minute starts of an odd offset */
    assert_string_equal(
        next("0 12 * * *", "Europe/Berlin", PERI_DST_ONCE, "1880-01-01T00:00:00Z", 1), "1880-01-01T11:06");
}

static void test_refused(void **state)
{
    static const struct {
        const char *text;
        int column;
        const char *message;
    } rows[] = {
        {"", 1, "five fields are expected (minute, hour, day of month, month, day of week), here are 0"},
        {"   ", 4, "five fields are expected (minute, hour, day of month, month, day of week), here are 0"},
        {"* * * *", 8, "five fields are expected (minute, hour, day of month, month, day of week), here are 4"},
        {"* * * * * *", 11, "something follows the five fields (minute, hour, day of month, month, day of week)"},
        {"60 * * * *", 1, "minute: 60 is out of range, from 0 to 59 is allowed"},
        {"* 24 * * *", 3, "hour: 24 is out of range, from 0 to 23 is allowed"},
        {"* * 0 * *", 5, "day of month: 0 is out of range, from 1 to 31 is allowed"},
        {"* * 32 * *", 5, "day of month: 32 is out of range, from 1 to 31 is allowed"},
        {"* * * 13 *", 7, "month: 13 is out of range, from 1 to 12 is allowed"},
        {"* * * 0 *", 7, "month: 0 is out of range, from 1 to 12 is allowed"},
        {"* * * * 8", 9, "day of week: 8 is out of range, from 0 to 7 is allowed"},
        {"99999999999999999999 * * * *", 1, "minute: 99999999999999999999 is out of range, from 0 to 59 is allowed"},
        {"1-60 * * * *", 3, "minute: 60 is out of range, from 0 to 59 is allowed"},
        {"10-5 * * * *", 1, "minute: the range 10-5 runs backwards"},
        {"* * * * fri-sun", 9, "day of week: the range fri-sun runs backwards, at the end of a range Sunday is 7"},
        {"* * * dec-jan *", 7, "month: the range dec-jan runs backwards"},
        {"*/0 * * * *", 3, "minute: a step of 0 never gets on"},
        {"1-5/0 * * * *", 5, "minute: a step of 0 never gets on"},
        {"5/15 * * * *", 2, "minute: a step needs a range, write 5-59/15"},
        {"*/ * * * *", 2, "minute: a number is missing after the slash"},
        {"*/x * * * *", 3, "minute: a number from 0 to 59 is expected, not \"x\""},
        {"*/5/5 * * * *", 4, "minute: unexpected \"/\""},
        {"1,,2 * * * *", 3, "minute: an item of the list is empty"},
        {",1 * * * *", 1, "minute: an item of the list is empty"},
        {"1, * * * *", 3, "minute: an item of the list is empty"},
        {"1- * * * *", 3, "minute: an item of the list is empty"},
        {"-5 * * * *", 1, "minute: unexpected \"-\""},
        {"1-2-3 * * * *", 4, "minute: unexpected \"-\""},
        {"** * * * *", 2, "minute: unexpected \"*\""},
        {"*5 * * * *", 2, "minute: unexpected \"5\""},
        {"* * L * *", 5, "day of month: \"L\" belongs to another kind of cron and means nothing here"},
        {"* * 15W * *", 7, "day of month: \"W\" belongs to another kind of cron and means nothing here"},
        {"* * * * 5#2", 10, "day of week: \"#\" belongs to another kind of cron and means nothing here"},
        {"* * ? * *", 5, "day of month: \"?\" belongs to another kind of cron and means nothing here"},
        {"0~30 * * * *", 2, "minute: \"~\" belongs to another kind of cron and means nothing here"},
        {"H * * * *", 1, "minute: \"H\" belongs to another kind of cron and means nothing here"},
        {"* * * January *", 7, "month: unknown name \"January\", the names are the first three letters in English"},
        {"* * * * m\xc3\xa4r", 9,
            "day of week: unknown name \"m\xc3\xa4r\", the names are the first three letters in English"},
        {"* * * * monx", 9, "day of week: unknown name \"monx\", the names are the first three letters in English"},
        {"mon * * * *", 1, "minute: a number from 0 to 59 is expected, not \"mon\""},
        {"@Daily", 1, "unknown nickname \"@Daily\", here: @yearly @annually @monthly @weekly @daily @midnight @hourly"},
        {" @reboot", 2,
            "unknown nickname \"@reboot\", here: @yearly @annually @monthly @weekly @daily @midnight @hourly"},
        {"@daily x", 1,
            "unknown nickname \"@daily x\", here: @yearly @annually @monthly @weekly @daily @midnight @hourly"},
        {"* *\n* * *", 4, "hour: unexpected line break"},
        {"1.5 * * * *", 2, "minute: unexpected \".\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct peri_cron cron;
        struct peri_error err = {0};
        int column = 0;
        if (peri_cron_parse(rows[i].text, &cron, &column, &err) != PERI_EINVAL)
            fail_msg("accepted \"%s\"", rows[i].text);
        assert_string_equal(err.code, "cron");
        if (strcmp(err.message, rows[i].message) != 0 || column != rows[i].column)
            fail_msg("\"%s\": column %d: %s", rows[i].text, column, err.message);
    }
    static char longest[1000];
    memset(longest, ' ', sizeof(longest) - 1);
    struct peri_cron cron;
    assert_int_equal(peri_cron_parse(longest, &cron, NULL, NULL), PERI_EINVAL);
}

static void test_dst_names(void **state)
{
    enum peri_dst dst = PERI_DST_BOTH;
    assert_true(peri_dst_parse("once", &dst));
    assert_int_equal(dst, PERI_DST_ONCE);
    assert_true(peri_dst_parse("skip", &dst));
    assert_true(peri_dst_parse("both", &dst));
    assert_int_equal(dst, PERI_DST_BOTH);
    assert_false(peri_dst_parse("Once", &dst));
    assert_false(peri_dst_parse("", &dst));
}

/* Minute by minute through two years of Berlin, against the plain definition. */
static void test_against_walking(void **state)
{
    static const char *const expressions[] = {
        "*/20 1-3 * * *", "30 2 * * 0", "0,15,45 2,3 * 3,10 *", "17 4 */9 * 2", "59 23 31 12 *", "0 0 29 2 1"};
    struct peri_tz *tz = zone("Europe/Berlin");
    for (size_t e = 0; e < sizeof(expressions) / sizeof(expressions[0]); e++) {
        struct peri_cron cron;
        assert_int_equal(peri_cron_parse(expressions[e], &cron, NULL, NULL), PERI_OK);
        int64_t from = at("2023-12-01T00:00:00Z"), due = from, end = at("2025-01-02T00:00:00Z");
        assert_int_equal(peri_cron_next(&cron, tz, PERI_DST_SKIP, from, &due), PERI_OK);
        for (int64_t t = from + 60000; t < end; t += 60000) {
            struct peri_local l;
            peri_tz_local(tz, t, &l);
            bool day = cron.days >> l.day & 1, weekday = cron.weekdays >> l.weekday & 1;
            bool fits = cron.minutes >> l.minute & 1 && cron.hours >> l.hour & 1 && cron.months >> l.month & 1 &&
                        (cron.any_day || cron.any_weekday ? day && weekday : day || weekday);
            int64_t ms[2];
            if (fits && !cron.follows_wall &&
                peri_tz_instants(tz, l.year, l.month, l.day, l.hour, l.minute, 0, ms) == 2 && t != ms[0])
                fits = false;
            if (fits != (t == due)) {
                char text[PERI_TIME_TEXT];
                fail_msg("%s at %s", expressions[e], peri_time_format(t, text));
            }
            if (fits)
                assert_int_equal(peri_cron_next(&cron, tz, PERI_DST_SKIP, t, &due), PERI_OK);
        }
    }
    peri_tz_destroy(tz);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_nicknames),
        cmocka_unit_test(test_leap_days_and_never),
        cmocka_unit_test(test_berlin),
        cmocka_unit_test(test_other_zones),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_dst_names),
        cmocka_unit_test(test_against_walking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
