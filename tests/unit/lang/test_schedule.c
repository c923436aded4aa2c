/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "lang/schedule.h"
#include "zone_files.h"

static void test_every(void **state)
{
    struct peri_schedule s = {.kind = PERI_SCHEDULE_EVERY, .every_ms = 300000};
    int64_t due = 0;
    assert_int_equal(peri_schedule_next(&s, 1000, 1000, &due), PERI_OK);
    assert_int_equal(due, 301000);
    assert_int_equal(peri_schedule_next(&s, 1000, 300999, &due), PERI_OK);
    assert_int_equal(due, 301000);
    assert_int_equal(peri_schedule_next(&s, 1000, 301000, &due), PERI_OK);
    assert_int_equal(due, 601000);
    assert_int_equal(peri_schedule_next(&s, 1000, 1000 + 300000 * 7 + 1, &due), PERI_OK);
    assert_int_equal(due, 1000 + 300000 * 8);
    assert_int_equal(peri_schedule_next(&s, 1000, -5000000, &due), PERI_OK); /* the clock was set back */
    assert_int_equal(due, 301000);
    assert_int_equal(peri_schedule_next(&s, 1000, INT64_MAX, &due), PERI_ENOTFOUND);
    assert_int_equal(peri_schedule_next(&s, INT64_MIN, INT64_MAX, &due), PERI_ENOTFOUND);
    s.every_ms = 0;
    assert_int_equal(peri_schedule_next(&s, 0, 0, &due), PERI_ENOTFOUND);
}

static void test_at(void **state)
{
    struct peri_schedule s = {.kind = PERI_SCHEDULE_AT, .at_ms = 5000};
    int64_t due = 0;
    assert_int_equal(peri_schedule_next(&s, 0, 4999, &due), PERI_OK);
    assert_int_equal(due, 5000);
    assert_int_equal(peri_schedule_next(&s, 0, 5000, &due), PERI_ENOTFOUND);

    s.at_daily = true;
    s.tz = zone("Europe/Berlin");
    assert_int_equal(peri_cron_parse("30 2 * * *", &s.cron, NULL, NULL), PERI_OK);
    assert_int_equal(peri_schedule_next(&s, 0, at("2024-03-31T00:00:00Z"), &due), PERI_OK);
    assert_int_equal(due, at("2024-03-31T01:00:00Z"));
    peri_tz_destroy(s.tz);
}

static void test_cron(void **state)
{
    struct peri_schedule s = {.kind = PERI_SCHEDULE_CRON, .dst = PERI_DST_SKIP, .tz = zone("Europe/Berlin")};
    int64_t due = 0;
    assert_int_equal(peri_cron_parse("30 2 * * *", &s.cron, NULL, NULL), PERI_OK);
    assert_int_equal(peri_schedule_next(&s, 0, at("2024-03-31T00:00:00Z"), &due), PERI_OK);
    assert_int_equal(due, at("2024-04-01T00:30:00Z"));
    assert_int_equal(peri_cron_parse("0 0 30 2 *", &s.cron, NULL, NULL), PERI_OK);
    assert_int_equal(peri_schedule_next(&s, 0, 0, &due), PERI_ENOTFOUND);
    peri_tz_destroy(s.tz);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every),
        cmocka_unit_test(test_at),
        cmocka_unit_test(test_cron),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
