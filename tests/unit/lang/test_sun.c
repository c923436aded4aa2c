/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
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

/* What Meeus works out by hand (Astronomical Algorithms, example 28.b): on 1992 October 13 at 0 h the sun is 13 min 42
 * s ahead of the mean sun. It gains some 14 s a day then, so at noon it is 13 min 49 s. */
static void test_the_example_of_meeus(void **state)
{
    struct peri_sun sun = {PERI_SUN_NOON, 0, 51.48, 0, 0};
    int64_t noon = 0;
    assert_true(peri_sun_on(&sun, at("1992-10-13T00:00:00Z") / DAY, &noon));
    assert_in_range(noon, at("1992-10-13T11:46:06Z"), at("1992-10-13T11:46:16Z"));
}

/* The sun's greatest height is known without any of this: at a solstice it stands 23.436 degrees from the equator (the
 * obliquity of the ecliptic), at an equinox above it. */
static void test_heights_at_solstices_and_equinoxes(void **state)
{
    static const struct {
        const char *day;
        double latitude, longitude, declination, within;
    } heights[] = {
        {"2024-06-20T00:00:00Z", 52.52, 13.405, 23.436, 0.01}, /* solstice at 20:51 UTC */
        {"2024-06-20T00:00:00Z", 64.147, -21.94, 23.436, 0.01},
        {"2024-12-21T00:00:00Z", -33.868, 151.209, -23.436, 0.01}, /* at 09:21 */
        {"2024-12-21T00:00:00Z", 40.713, -74.006, -23.436, 0.01},
        {"2024-12-21T00:00:00Z", -41.29, 174.78, -23.436, 0.01},
        {"2024-03-20T00:00:00Z", 10, 135, 0, 0.02},  /* equinox at 03:06, noon there at 03:07 */
        {"2024-09-22T00:00:00Z", -20, -10, 0, 0.02}, /* at 12:44, noon at 12:33 */
    };
    for (size_t i = 0; i < sizeof(heights) / sizeof(heights[0]); i++) {
        double top = 90 - fabs(heights[i].latitude - heights[i].declination);
        int64_t due = 0, day = at(heights[i].day) / DAY;
        for (int side = -1; side <= 1; side += 2) {
            struct peri_sun sun = {
                PERI_SUN_RISING, top + side * heights[i].within, heights[i].latitude, heights[i].longitude, 0};
            if (peri_sun_on(&sun, day, &due) != (side < 0))
                fail_msg("%s, latitude %f: %s %f degrees", heights[i].day, heights[i].latitude,
                    side < 0 ? "does not reach" : "reaches", sun.elevation);
        }
    }
}

/* "General Solar Position Calculations" of NOAA: a series instead of the orbit, good for a minute or two. Hours of a
 * day (UTC) at which the sun is at the horizon. */
static bool series(double latitude, double longitude, int day_of_year, bool rising, double *ret_minutes)
{
    const double pi = 3.14159265358979323846;
    double hour = (rising ? 6 : 18) - longitude / 15;
    for (int i = 0; i < 3; i++) {
        double g = 2 * pi / 365 * (day_of_year - 1 + (hour - 12) / 24), phi = latitude * pi / 180;
        double equation =
            229.18 * (0.000075 + 0.001868 * cos(g) - 0.032077 * sin(g) - 0.014615 * cos(2 * g) - 0.040849 * sin(2 * g));
        double d = 0.006918 - 0.399912 * cos(g) + 0.070257 * sin(g) - 0.006758 * cos(2 * g) + 0.000907 * sin(2 * g) -
                   0.002697 * cos(3 * g) + 0.00148 * sin(3 * g);
        double cosine = cos(90.833 * pi / 180) / (cos(phi) * cos(d)) - tan(phi) * tan(d);
        if (cosine < -0.95 || cosine > 0.95) /* along the horizon minutes become hours */
            return false;
        double angle = acos(cosine) * 180 / pi;
        *ret_minutes = 720 - 4 * (longitude + (rising ? angle : -angle)) - equation;
        hour = *ret_minutes / 60;
    }
    return true;
}

/* Both hemispheres, both sides of the date line, a year: not one day is missing, or there twice. */
static void test_against_the_series(void **state)
{
    static const double latitudes[] = {-60, -45, -33.9, -10, 0, 1.3, 20, 40.7, 52.5, 60},
                        longitudes[] = {-179.9, -171.8, -120, -74, 0, 13.4, 88.4, 159, 178.4, 179.9};
    int64_t first = at("2023-01-01T00:00:00Z") / DAY;
    size_t compared = 0;
    for (size_t i = 0; i < sizeof(latitudes) / sizeof(latitudes[0]); i++)
        for (size_t k = 0; k < sizeof(longitudes) / sizeof(longitudes[0]); k++)
            for (int day = 0; day < 365; day += 3)
                for (int rising = 0; rising < 2; rising++) {
                    struct peri_sun sun = {
                        rising ? PERI_SUN_RISING : PERI_SUN_SETTING, PERI_SUN_RISE, latitudes[i], longitudes[k], 0};
                    double minutes = 0;
                    int64_t due = 0;
                    if (!series(latitudes[i], longitudes[k], day + 1, rising, &minutes))
                        continue;
                    assert_true(peri_sun_on(&sun, first + day, &due));
                    double off = (double)(due - (first + day) * DAY) / MINUTE - minutes;
                    if (fabs(off) > 3)
                        fail_msg("latitude %f, longitude %f, day %d, %s: %f minutes off", latitudes[i], longitudes[k],
                            day + 1, rising ? "rising" : "setting", off);
                    compared++;
                }
    assert_true(compared > 20000);
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
        cmocka_unit_test(test_the_example_of_meeus),
        cmocka_unit_test(test_heights_at_solstices_and_equinoxes),
        cmocka_unit_test(test_against_the_series),
        cmocka_unit_test(test_polar_day_and_night),
        cmocka_unit_test(test_offsets_and_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
