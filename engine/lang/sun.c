/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/sun.h"

#include <math.h>

#define DAY_MS INT64_C(86400000)
#define RAD (3.14159265358979323846 / 180)
#define LOOK_DAYS 400 /* a year, and what the polar seasons may move by */

static double sine(double degrees)
{
    return sin(degrees * RAD);
}

/* Declination in degrees and equation of time in minutes, at an instant. */
static void position(double ms, double *ret_declination, double *ret_equation)
{
    double t = (ms / (double)DAY_MS + 2440587.5 - 2451545.0) / 36525; /* Julian centuries since J2000 */
    double mean_longitude = fmod(280.46646 + t * (36000.76983 + t * 0.0003032), 360);
    double anomaly = 357.52911 + t * (35999.05029 - 0.0001537 * t);
    double eccentricity = 0.016708634 - t * (0.000042037 + 0.0000001267 * t);
    double centre = sine(anomaly) * (1.914602 - t * (0.004817 + 0.000014 * t)) +
                    sine(2 * anomaly) * (0.019993 - 0.000101 * t) + sine(3 * anomaly) * 0.000289;
    double omega = 125.04 - 1934.136 * t; /* ascending node of the moon, for nutation */
    double longitude = mean_longitude + centre - 0.00569 - 0.00478 * sine(omega);
    double obliquity =
        23 + (26 + (21.448 - t * (46.815 + t * (0.00059 - t * 0.001813))) / 60) / 60 + 0.00256 * cos(omega * RAD);
    double y = pow(tan(obliquity / 2 * RAD), 2);
    *ret_declination = asin(sine(obliquity) * sine(longitude)) / RAD;
    *ret_equation =
        4 / RAD *
        (y * sine(2 * mean_longitude) - 2 * eccentricity * sine(anomaly) +
            4 * eccentricity * y * sine(anomaly) * cos(2 * mean_longitude * RAD) -
            0.5 * y * y * sine(4 * mean_longitude) - 1.25 * eccentricity * eccentricity * sine(2 * anomaly));
}

/* Degrees from noon; NAN: never on this day. */
static double hour_angle(const struct peri_sun *sun, double declination)
{
    double latitude = sun->latitude * RAD, d = declination * RAD;
    double cosine = (sine(sun->elevation) - sin(latitude) * sin(d)) / (cos(latitude) * cos(d));
    return cosine < -1 || cosine > 1 ? NAN : acos(cosine) / RAD;
}

bool peri_sun_on(const struct peri_sun *sun, int64_t day, int64_t *ret_ms)
{
    double start = (double)day * (double)DAY_MS, at = start + (720 - 4 * sun->longitude) * 60000;
    for (int i = 0; i < 6; i++) {
        double declination, equation, angle = 0;
        position(at, &declination, &equation);
        if (sun->event != PERI_SUN_NOON) {
            angle = hour_angle(sun, declination);
            if (isnan(angle))
                return false;
        }
        double before = sun->event == PERI_SUN_RISING ? angle : -angle;
        at = start + (720 - 4 * (sun->longitude + before) - equation) * 60000;
    }
    *ret_ms = (int64_t)(floor(at / 1000 + 0.5) * 1000);
    return true;
}

bool peri_sun_next(const struct peri_sun *sun, int64_t after_ms, int64_t *ret_ms)
{
    int64_t from, at;
    if (__builtin_sub_overflow(after_ms, sun->offset_ms, &from) || from < -DAY_MS * 1000000 || from > DAY_MS * 1000000)
        return false;
    for (int64_t day = from / DAY_MS - 3, last = day + LOOK_DAYS; day < last; day++) {
        if (!peri_sun_on(sun, day, &at) || at <= from)
            continue;
        *ret_ms = at + sun->offset_ms;
        return true;
    }
    return false;
}
