/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_SUN_H
#define PERI_LANG_SUN_H

#include <stdbool.h>
#include <stdint.h>

/* When the sun stands where. By the equations of the NOAA solar calculator, which follow Jean Meeus, Astronomical
 * Algorithms (declination, equation of time), solved again at the instant that was found. Within a minute of published
 * tables up to 65 degrees of latitude; near the poles, where the sun goes along the horizon, and with real refraction,
 * it can be some minutes. */

#define PERI_SUN_RISE                                                                                                  \
    (-0.833) /* elevation of the centre at sunrise and sunset: refraction and the radius of the disc */

enum peri_sun_event { PERI_SUN_RISING, PERI_SUN_SETTING, PERI_SUN_NOON };

struct peri_sun {
    enum peri_sun_event event;
    double elevation; /* degrees; not of NOON */
    double latitude, longitude;
    int64_t offset_ms;
};

/* The instant on a day (days since 1970, by the mean sun of the place), without the offset. False: the sun does not
 * come there on that day. */
bool peri_sun_on(const struct peri_sun *sun, int64_t day, int64_t *ret_ms);
/* The first instant with its offset strictly after after_ms, within the next 400 days. False: there is none. */
bool peri_sun_next(const struct peri_sun *sun, int64_t after_ms, int64_t *ret_ms);

#endif
