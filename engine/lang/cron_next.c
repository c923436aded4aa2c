/* SPDX-License-Identifier: Apache-2.0 */
/* The next instant of a cron expression. Between two changes of a zone the wall clock runs evenly, so the search goes
 * from one such stretch to the next, and in each jumps by month, day, hour and minute to the first wall-clock time that
 * fits. What is special happens at the beginning of a stretch: the clock has jumped over a gap, or goes through times
 * for the second time. */
#include "lang/cron.h"

#include "base/timefmt.h"
#include "lang/tz_rule.h"

#define DAY 86400
#define GAP_MAX (3 * 3600)            /* longer gaps are no daylight saving, nothing is made up for */
#define HORIZON_YEARS 40              /* a day that exists comes within 8 years; gaps may take it away for longer */
#define FIRST_S INT64_C(-62135596800) /* year 1 */
#define LAST_S INT64_C(253402300800)  /* year 10000 */

static bool day_fits(const struct peri_cron *cron, int64_t days, unsigned day)
{
    bool by_day = cron->days >> day & 1, by_weekday = cron->weekdays >> peri_weekday(days) & 1;
    if (!cron->any_day && !cron->any_weekday)
        return by_day || by_weekday;
    return by_day && by_weekday;
}

/* The first bit that is set from `from` on, or 64. */
static unsigned next_bit(uint64_t bits, unsigned from)
{
    if (from > 63 || !(bits >> from))
        return 64;
    return from + (unsigned)__builtin_ctzll(bits >> from);
}

/* The first fitting time of day, in seconds, that is not before `from`; DAY when there is none. */
static int64_t time_of_day(const struct peri_cron *cron, int64_t from)
{
    unsigned hour = (unsigned)(from / 3600), minute = (unsigned)((from % 3600 + 59) / 60);
    if (cron->hours >> hour & 1) {
        minute = next_bit(cron->minutes, minute);
        if (minute < 60)
            return (int64_t)hour * 3600 + minute * 60;
    }
    hour = next_bit(cron->hours, hour + 1);
    return hour < 24 ? (int64_t)hour * 3600 + next_bit(cron->minutes, 0) * 60 : DAY;
}

/* The first wall-clock time, as seconds since 1970 on that clock, in [from, until). */
static bool next_wall(const struct peri_cron *cron, int64_t from, int64_t until, int64_t *ret)
{
    int64_t days = from / DAY - (from % DAY < 0), time = from - days * DAY;
    while (days * DAY < until) {
        int64_t year;
        unsigned month, day;
        peri_civil_from_days(days, &year, &month, &day);
        if (!(cron->months >> month & 1)) {
            unsigned next = next_bit(cron->months, month + 1);
            if (next > 12) {
                next = next_bit(cron->months, 1);
                year++;
            }
            days = peri_days_from_civil(year, next, 1);
            time = 0;
            continue;
        }
        if (day_fits(cron, days, day) && (time = time_of_day(cron, time)) < DAY) {
            *ret = days * DAY + time;
            return *ret < until;
        }
        days++;
        time = 0;
    }
    return false;
}

/* One stretch [start, end) of even wall clock; before is the offset of the one that ends at start. */
struct stretch {
    int64_t start, end;
    int32_t offset, before;
};

static bool search(
    const struct peri_cron *cron, enum peri_dst dst, const struct stretch *s, int64_t after, int64_t *ret)
{
    int64_t from = after + 1 > s->start ? after + 1 : s->start, wall;
    if (!cron->follows_wall) {
        int64_t gap = s->offset - s->before;
        if (gap > 0 && gap <= GAP_MAX && dst != PERI_DST_SKIP && after < s->start &&
            next_wall(cron, s->start + s->before, s->start + s->offset, &wall)) {
            *ret = s->start;
            return true;
        }
        if (gap < 0 && dst != PERI_DST_BOTH && from - s->start < -gap)
            from = s->start - gap; /* all before was there in the first pass */
    }
    if (from >= s->end || !next_wall(cron, from + s->offset, s->end + s->offset, &wall))
        return false;
    *ret = wall - s->offset;
    return true;
}

/* The start of the stretch that t is in is its last change, or so long ago that nothing of it matters. */
static struct stretch stretch_at(const struct peri_tz *tz, int64_t t)
{
    struct stretch s = {.start = t - 2 * DAY};
    int64_t next;
    while (peri_tz_next_change(tz, s.start, &next) && next <= t) {
        s.before = peri_tz_offset(tz, next - 1);
        s.start = next;
    }
    s.offset = peri_tz_offset(tz, t);
    if (s.start == t - 2 * DAY)
        s.before = s.offset;
    return s;
}

enum peri_status peri_cron_next(
    const struct peri_cron *cron, const struct peri_tz *tz, enum peri_dst dst, int64_t after_ms, int64_t *ret_ms)
{
    int64_t after = after_ms / 1000 - (after_ms % 1000 < 0), found;
    if (after < FIRST_S)
        after = FIRST_S;
    if (after >= LAST_S)
        return PERI_ENOTFOUND;
    int64_t limit = after + INT64_C(31557600) * HORIZON_YEARS;
    if (limit > LAST_S)
        limit = LAST_S;
    struct stretch s = stretch_at(tz, after);
    while (s.start < limit) {
        int64_t change;
        bool ends = peri_tz_next_change(tz, s.start > after ? s.start : after, &change);
        s.end = ends && change < limit ? change : limit;
        if (search(cron, dst, &s, after, &found)) {
            *ret_ms = found * 1000;
            return PERI_OK;
        }
        s = (struct stretch){.start = s.end, .offset = peri_tz_offset(tz, s.end), .before = s.offset};
    }
    return PERI_ENOTFOUND;
}
