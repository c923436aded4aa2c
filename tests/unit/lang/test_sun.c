/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lang/sun.h"
#include "zone_files.h"

#define MINUTE 60000
#define DAY INT64_C(86400000)

/* As almanacs publish them, to the minute. */
static const struct {
    const char *place;
    double latitude, longitude;
    enum peri_sun_event event;
    double elevation;
    const char *when;
} published[] = {
    {"London", 51.507, -0.128, PERI_SUN_RISING, PERI_SUN_RISE, "2015-12-01T07:43:00Z"},
    {"London", 51.507, -0.128, PERI_SUN_SETTING, PERI_SUN_RISE, "2015-12-01T15:55:00Z"},
    {"London", 51.507, -0.128, PERI_SUN_RISING, -6, "2015-12-01T07:04:00Z"},
    {"London", 51.507, -0.128, PERI_SUN_RISING, -6, "2015-12-25T07:25:00Z"},
    {"Berlin", 52.52, 13.405, PERI_SUN_RISING, PERI_SUN_RISE, "2024-06-21T04:43:00+02:00"},
    {"Berlin", 52.52, 13.405, PERI_SUN_SETTING, PERI_SUN_RISE, "2024-06-21T21:33:00+02:00"},
    {"Berlin", 52.52, 13.405, PERI_SUN_RISING, PERI_SUN_RISE, "2024-12-21T08:15:00+01:00"},
    {"Berlin", 52.52, 13.405, PERI_SUN_SETTING, PERI_SUN_RISE, "2024-12-21T15:54:00+01:00"},
    {"New York", 40.713, -74.006, PERI_SUN_RISING, PERI_SUN_RISE, "2024-06-20T05:25:00-04:00"},
    {"New York", 40.713, -74.006, PERI_SUN_SETTING, PERI_SUN_RISE, "2024-06-20T20:31:00-04:00"},
    {"New York", 40.713, -74.006, PERI_SUN_SETTING, PERI_SUN_RISE, "2024-12-21T16:32:00-05:00"},
    {"Sydney", -33.868, 151.209, PERI_SUN_RISING, PERI_SUN_RISE, "2024-12-21T05:41:00+11:00"},
    {"Sydney", -33.868, 151.209, PERI_SUN_SETTING, PERI_SUN_RISE, "2024-06-21T16:54:00+10:00"},
    {"Singapore", 1.29, 103.85, PERI_SUN_RISING, PERI_SUN_RISE, "2024-03-20T07:09:00+08:00"},
    {"Reykjavik", 64.147, -21.94, PERI_SUN_RISING, PERI_SUN_RISE, "2024-12-21T11:22:00Z"},
    {"Reykjavik", 64.147, -21.94, PERI_SUN_SETTING, PERI_SUN_RISE, "2024-06-22T00:03:00Z"},
    {"Greenwich", 51.48, 0, PERI_SUN_NOON, 0, "2024-11-03T11:43:34Z"}, /* 16 min 26 s before the mean sun */
    {"Greenwich", 51.48, 0, PERI_SUN_NOON, 0, "2024-02-11T12:14:12Z"},
};

static void test_published_times(void **state)
{
    for (size_t i = 0; i < sizeof(published) / sizeof(published[0]); i++) {
        struct peri_sun sun = {
            published[i].event, published[i].elevation, published[i].latitude, published[i].longitude, 0};
        int64_t wanted = at(published[i].when), got = 0;
        assert_true(peri_sun_next(&sun, wanted - DAY / 2, &got));
        if (llabs(got - wanted) > 90000)
            fail_msg("%s, %s: %lld s off", published[i].place, published[i].when, (long long)(got - wanted) / 1000);
    }
}

/* Tromso: the sun is down from the end of November to the middle of January, and up from May to July. */
static void test_polar_day_and_night(void **state)
{
    struct peri_sun sun = {PERI_SUN_RISING, PERI_SUN_RISE, 69.65, 18.96, 0};
    int64_t day = 0, due = 0;
    assert_false(peri_sun_on(&sun, at("2024-12-21T00:00:00Z") / DAY, &due));
    assert_false(peri_sun_on(&sun, at("2024-06-21T00:00:00Z") / DAY, &due));
    assert_true(peri_sun_next(&sun, at("2024-12-01T00:00:00Z"), &due)); /* passes over the night */
    assert_in_range(due, at("2025-01-13T00:00:00Z"), at("2025-01-17T00:00:00Z"));
    assert_true(peri_sun_next(&sun, at("2025-06-01T00:00:00Z"), &due)); /* and over the day */
    assert_in_range(due, at("2025-07-23T00:00:00Z"), at("2025-07-30T00:00:00Z"));
    sun.elevation = 60; /* never there */
    assert_false(peri_sun_next(&sun, 0, &due));
    sun.event = PERI_SUN_NOON; /* but it has a noon each day */
    assert_true(peri_sun_on(&sun, at("2024-12-21T00:00:00Z") / DAY, &day));
    sun = (struct peri_sun){PERI_SUN_SETTING, PERI_SUN_RISE, 90, 0, 0}; /* at the pole nothing must break */
    (void)peri_sun_next(&sun, at("2024-01-01T00:00:00Z"), &due);
}

static void test_offsets_and_order(void **state)
{
    struct peri_sun sun = {PERI_SUN_SETTING, PERI_SUN_RISE, 52.52, 13.405, 0}, early = sun;
    int64_t last = at("2024-01-01T00:00:00Z"), due = 0, shifted = 0;
    early.offset_ms = -30 * MINUTE;
    for (int i = 0; i < 366; i++) { /* each day one, about a day apart */
        assert_true(peri_sun_next(&sun, last, &due));
        assert_true(peri_sun_next(&early, last - 30 * MINUTE, &shifted));
        assert_int_equal(shifted, due - 30 * MINUTE);
        if (i > 0)
            assert_in_range(due - last, DAY - 5 * MINUTE, DAY + 5 * MINUTE);
        last = due;
    }
    assert_in_range(due, at("2024-12-31T00:00:00Z"), at("2025-01-01T00:00:00Z"));
    assert_false(peri_sun_next(&sun, INT64_MAX, &due));
    assert_false(peri_sun_next(&sun, INT64_MIN, &due));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_times),
        cmocka_unit_test(test_polar_day_and_night),
        cmocka_unit_test(test_offsets_and_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
