/* SPDX-License-Identifier: Apache-2.0 */
#include "run/quiet.h"

#define DAY_MS INT64_C(86400000)

/* The first or the last instant of a time of day on the date that `day` falls on. */
static int64_t instant(const struct peri_tz *tz, const struct peri_local *day, int minute, bool last)
{
    int64_t at[2] = {0, 0};
    int n = peri_tz_instants(tz, day->year, day->month, day->day, (unsigned)minute / 60, (unsigned)minute % 60, 0, at);
    return last && n == 2 ? at[1] : at[0];
}

/* The date that is `days` away: from its noon, so that no change of clocks leads to another one. */
static void date_of(const struct peri_tz *tz, int64_t now_ms, int days, struct peri_local *ret)
{
    struct peri_local today;
    peri_tz_local(tz, now_ms, &today);
    peri_tz_local(tz, instant(tz, &today, 12 * 60, false) + days * DAY_MS, ret);
}

bool peri_quiet_now(const struct peri_tz *tz, int from, int to, int64_t now_ms, int64_t *ret_end)
{
    for (int days = -1; days <= 0; days++) {
        struct peri_local first, last;
        date_of(tz, now_ms, days, &first);
        date_of(tz, now_ms, to > from ? days : days + 1, &last);
        int64_t begin = instant(tz, &first, from, false), end = instant(tz, &last, to, true);
        if (now_ms >= begin && now_ms < end) {
            *ret_end = end;
            return true;
        }
    }
    return false;
}
