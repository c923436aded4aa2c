/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "zone_files.h"

static void test_local(void **state)
{
    static const struct {
        const char *zone, *utc, *want;
    } rows[] = {
        {"UTC", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05 5 +0 0 UTC"},
        {"Europe/Berlin", "2024-03-31T00:59:59Z", "2024-03-31 01:59:59 0 +3600 0 CET"},
        {"Europe/Berlin", "2024-03-31T01:00:00Z", "2024-03-31 03:00:00 0 +7200 1 CEST"},
        {"Europe/Berlin", "2024-10-27T00:59:59Z", "2024-10-27 02:59:59 0 +7200 1 CEST"},
        {"Europe/Berlin", "2024-10-27T01:00:00Z", "2024-10-27 02:00:00 0 +3600 0 CET"},
        {"Europe/Berlin", "1880-01-01T00:00:00Z", "1880-01-01 00:53:28 4 +3208 0 LMT"},
        {"Europe/Berlin", "1946-07-01T00:00:00Z", "1946-07-01 02:00:00 1 +7200 1 CEST"},
        {"America/New_York", "2024-03-10T07:00:00Z", "2024-03-10 03:00:00 0 -14400 1 EDT"},
        {"America/New_York", "2024-11-03T06:00:00Z", "2024-11-03 01:00:00 0 -18000 0 EST"},
        {"Australia/Lord_Howe", "2024-04-06T14:59:59Z", "2024-04-07 01:59:59 0 +39600 1 +11"},
        {"Australia/Lord_Howe", "2024-04-06T15:00:00Z", "2024-04-07 01:30:00 0 +37800 0 +1030"},
        {"Asia/Kolkata", "2024-06-01T18:30:00Z", "2024-06-02 00:00:00 0 +19800 0 IST"},
        {"Asia/Kathmandu", "2024-06-01T18:15:00Z", "2024-06-02 00:00:00 0 +20700 0 +0545"},
        {"Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29 23:59:59 4 -36000 1 -10"},
        {"Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31 00:00:00 6 +50400 1 +14"},
        {"Etc/GMT+5", "2024-07-01T00:00:00Z", "2024-06-30 19:00:00 0 -18000 0 -05"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct peri_tz *tz = zone(rows[i].zone);
        struct peri_local l;
        char text[128];
        peri_tz_local(tz, at(rows[i].utc), &l);
        snprintf(text, sizeof(text), "%04d-%02u-%02u %02u:%02u:%02u %u %+d %d %s", (int)l.year, l.month, l.day, l.hour,
            l.minute, l.second, l.weekday, l.offset, l.dst, l.abbrev);
        assert_string_equal(text, rows[i].want);
        assert_string_equal(peri_tz_name(tz), rows[i].zone);
        peri_tz_destroy(tz);
    }
}

/* A zone whose table is empty, so that its rule holds for all times. */
static struct peri_tz *rule_zone(const char *rule)
{
    static unsigned char file[512];
    unsigned char header[44] = {'T', 'Z', 'i', 'f', '2'};
    header[39] = 1; /* one type */
    header[43] = 4; /* four characters */
    static const unsigned char block[] = {0, 0, 0, 0, 0, 0, 'U', 'T', 'C', 0};
    size_t n = 0;
    for (int i = 0; i < 2; i++) {
        memcpy(file + n, header, 44);
        memcpy(file + n + 44, block, sizeof(block));
        n += 44 + sizeof(block);
    }
    n += (size_t)snprintf((char *)file + n, sizeof(file) - n, "\n%s\n", rule);
    struct peri_tz *tz = NULL;
    return peri_tz_parse("rule", file, n, &tz, NULL) == PERI_OK ? tz : NULL;
}

static void test_rules(void **state)
{
    static const struct {
        const char *rule, *utc;
        int offset;
    } rows[] = {
        {"CET-1CEST,M3.5.0,M10.5.0/3", "2400-03-26T00:59:59Z", 3600},
        {"CET-1CEST,M3.5.0,M10.5.0/3", "2400-03-26T01:00:00Z", 7200},
        {"CET-1CEST,M3.5.0,M10.5.0/3", "2400-10-29T00:59:59Z", 7200},
        {"CET-1CEST,M3.5.0,M10.5.0/3", "2400-10-29T01:00:00Z", 3600},
        {"CET-1CEST,M3.5.0,M10.5.0/3", "2399-12-31T23:59:59Z", 3600},
        {"EST5EDT,M3.2.0,M11.1.0", "2500-03-14T06:59:59Z", -18000},
        {"EST5EDT,M3.2.0,M11.1.0", "2500-03-14T07:00:00Z", -14400},
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", "2100-01-01T00:00:00Z", 39600},
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", "2100-06-01T00:00:00Z", 36000},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2100-01-01T00:00:00Z", 39600},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2100-03-28T00:59:59Z", -7200},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2100-03-28T01:00:00Z", -3600},
        {"EST5EDT,0/0,J365/25", "2100-01-01T05:00:00Z", -14400},
        {"EST5EDT,0/0,J365/25", "2100-01-01T04:59:59Z", -14400},
        {"EST5EDT,0/0,J365/25", "2100-12-31T23:59:59Z", -14400},
        {"AAA0BBB,J60/0,J61/0", "2104-02-29T12:00:00Z", 0},
        {"AAA0BBB,J60/0,J61/0", "2104-03-01T00:00:00Z", 3600},
        {"AAA0BBB,59/0,60/0", "2104-02-29T12:00:00Z", 3600},
        {"AAA0BBB,59/0,60/0", "2103-03-01T12:00:00Z", 3600},
        {"IST-5:30", "2100-01-01T00:00:00Z", 19800},
        {"", "2100-01-01T00:00:00Z", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct peri_tz *tz = rule_zone(rows[i].rule);
        struct peri_local l;
        assert_non_null(tz);
        peri_tz_local(tz, at(rows[i].utc), &l);
        if (l.offset != rows[i].offset)
            fail_msg("%s at %s: %d", rows[i].rule, rows[i].utc, l.offset);
        peri_tz_destroy(tz);
    }
    static const char *const bad[] = {"CET", "CE-1", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,M3.5.0,M10.5.0x", "CET-1CEST,J0,J5",
        "CET-1CEST,400,5", "<CET-1", "CET-25", "CET-1CEST,M3.5.0/200,M10.5.0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (rule_zone(bad[i]))
            fail_msg("accepted %s", bad[i]);
}

static void test_instants(void **state)
{
    static const struct {
        const char *zone;
        unsigned y, mo, d, h, mi;
        int count;
        const char *first, *second;
    } rows[] = {
        {"UTC", 2024, 3, 31, 2, 30, 1, "2024-03-31T02:30:00Z", NULL},
        {"Europe/Berlin", 2024, 3, 31, 1, 59, 1, "2024-03-31T00:59:00Z", NULL},
        {"Europe/Berlin", 2024, 3, 31, 2, 0, 0, "2024-03-31T01:00:00Z", NULL},
        {"Europe/Berlin", 2024, 3, 31, 2, 59, 0, "2024-03-31T01:00:00Z", NULL},
        {"Europe/Berlin", 2024, 3, 31, 3, 0, 1, "2024-03-31T01:00:00Z", NULL},
        {"Europe/Berlin", 2024, 10, 27, 1, 59, 1, "2024-10-26T23:59:00Z", NULL},
        {"Europe/Berlin", 2024, 10, 27, 2, 0, 2, "2024-10-27T00:00:00Z", "2024-10-27T01:00:00Z"},
        {"Europe/Berlin", 2024, 10, 27, 2, 59, 2, "2024-10-27T00:59:00Z", "2024-10-27T01:59:00Z"},
        {"Europe/Berlin", 2024, 10, 27, 3, 0, 1, "2024-10-27T02:00:00Z", NULL},
        {"America/New_York", 2024, 11, 3, 1, 30, 2, "2024-11-03T05:30:00Z", "2024-11-03T06:30:00Z"},
        {"America/New_York", 2024, 3, 10, 2, 30, 0, "2024-03-10T07:00:00Z", NULL},
        {"Australia/Lord_Howe", 2024, 4, 7, 1, 45, 2, "2024-04-06T14:45:00Z", "2024-04-06T15:15:00Z"},
        {"Australia/Lord_Howe", 2024, 10, 6, 2, 15, 0, "2024-10-05T15:30:00Z", NULL},
        {"Pacific/Apia", 2011, 12, 30, 12, 0, 0, "2011-12-30T10:00:00Z", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct peri_tz *tz = zone(rows[i].zone);
        int64_t ms[2] = {0, 0};
        int n = peri_tz_instants(tz, rows[i].y, rows[i].mo, rows[i].d, rows[i].h, rows[i].mi, 0, ms);
        char text[PERI_TIME_TEXT];
        if (n != rows[i].count || ms[0] != at(rows[i].first))
            fail_msg("row %zu: %d, first %s", i, n, peri_time_format(ms[0], text));
        if (n == 2)
            assert_int_equal(ms[1], at(rows[i].second));
        peri_tz_destroy(tz);
    }
}

static void test_names(void **state)
{
    static const char *const bad[] = {"", "/etc/passwd", "../zoneinfo/UTC", "Europe/../UTC", "Europe//Berlin",
        "Europe/", "Europe/Berlin\n", "Mars/Base", "right/UTC", "posix/Europe/Berlin", "localtime", "posixrules",
        "CET-1CEST", "*"};
    static const struct peri_tz_source source = {read_zone, NULL};
    struct peri_tz *tz = NULL;
    struct peri_error err;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (peri_tz_load(&source, bad[i], &tz, &err) != PERI_ENOTFOUND)
            fail_msg("accepted %s", bad[i]);
        assert_string_equal(err.code, "timezone");
        assert_non_null(strstr(err.message, bad[i]));
    }
    assert_int_equal(peri_tz_load(NULL, "Europe/Berlin", &tz, &err), PERI_ENOTFOUND);
    assert_int_equal(peri_tz_load(&source, "tzdata.zi", &tz, &err), PERI_ENOTFOUND);
    assert_int_equal(peri_tz_load(NULL, "UTC", &tz, &err), PERI_OK);
    peri_tz_destroy(tz);
    peri_tz_destroy(NULL);
}

static void test_damaged_files(void **state)
{
    unsigned char *data = NULL, copy[8192];
    size_t len = 0;
    struct peri_tz *tz = NULL;
    struct peri_error err;
    assert_int_equal(read_zone(NULL, "Europe/Berlin", &data, &len, NULL), PERI_OK);
    assert_true(len < sizeof(copy));
    for (size_t cut = 0; cut < len; cut++) {
        if (peri_tz_parse("cut", data, cut, &tz, &err) == PERI_OK)
            fail_msg("accepted %zu of %zu bytes", cut, len);
        assert_int_equal(err.status, PERI_ECORRUPT);
    }
    /* Any byte may be wrong: an error or another zone, never a fault. */
    for (size_t i = 0; i < len; i++) {
        struct peri_local l;
        memcpy(copy, data, len);
        copy[i] ^= 0xff;
        if (peri_tz_parse("flip", copy, len, &tz, &err) == PERI_OK) {
            peri_tz_local(tz, at("2024-07-01T00:00:00Z"), &l);
            peri_tz_local(tz, INT64_MAX, &l);
            peri_tz_local(tz, INT64_MIN, &l);
            peri_tz_destroy(tz);
        }
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_instants),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_damaged_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
