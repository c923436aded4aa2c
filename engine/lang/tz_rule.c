/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/tz_rule.h"

#include <ctype.h>
#include <string.h>

#include "base/timefmt.h"

#define DAY 86400

struct text {
    const char *at, *end;
};

static bool eat(struct text *t, char c)
{
    if (t->at == t->end || *t->at != c)
        return false;
    t->at++;
    return true;
}

static bool number(struct text *t, int max, int *ret)
{
    int n = 0, digits = 0;
    for (; t->at < t->end && isdigit((unsigned char)*t->at) && digits < 4; t->at++, digits++)
        n = n * 10 + (*t->at - '0');
    *ret = n;
    return digits > 0 && n <= max;
}

/* "CEST" or "<+0330>". */
static bool name(struct text *t, struct peri_tz_type *type)
{
    bool quoted = eat(t, '<');
    size_t len = 0;
    while (t->at < t->end && (quoted ? *t->at != '>' : isalpha((unsigned char)*t->at) != 0)) {
        if (len + 1 >= sizeof(type->abbrev))
            return false;
        type->abbrev[len++] = *t->at++;
    }
    return len >= 3 && (!quoted || eat(t, '>'));
}

/* [+-]hh[:mm[:ss]] */
static bool clock_time(struct text *t, int max_hours, int32_t *ret)
{
    int sign = 1, h, m = 0, s = 0;
    if (eat(t, '-'))
        sign = -1;
    else
        (void)eat(t, '+');
    if (!number(t, max_hours, &h))
        return false;
    if (eat(t, ':')) {
        if (!number(t, 59, &m))
            return false;
        if (eat(t, ':') && !number(t, 59, &s))
            return false;
    }
    *ret = sign * (h * 3600 + m * 60 + s);
    return true;
}

static bool day(struct text *t, struct peri_tz_day *d)
{
    d->time = 7200;
    if (eat(t, 'M')) {
        d->kind = 'M';
        if (!number(t, 12, &d->month) || d->month < 1 || !eat(t, '.') || !number(t, 5, &d->week) || d->week < 1 ||
            !eat(t, '.') || !number(t, 6, &d->day))
            return false;
    } else {
        d->kind = eat(t, 'J') ? 'J' : 'N';
        if (!number(t, 365, &d->day) || (d->kind == 'J' && d->day < 1))
            return false;
    }
    return !eat(t, '/') || clock_time(t, 167, &d->time);
}

bool peri_tz_rule_parse(const char *text, size_t len, struct peri_tz_rule *ret)
{
    struct text t = {text, text + len};
    memset(ret, 0, sizeof(*ret));
    if (!name(&t, &ret->standard) || !clock_time(&t, 24, &ret->standard.offset))
        return false;
    ret->standard.offset = -ret->standard.offset;
    if (t.at == t.end)
        return true;
    ret->has_daylight = true;
    ret->daylight.dst = true;
    ret->daylight.offset = ret->standard.offset + 3600;
    if (!name(&t, &ret->daylight))
        return false;
    if (t.at < t.end && *t.at != ',') {
        if (!clock_time(&t, 24, &ret->daylight.offset))
            return false;
        ret->daylight.offset = -ret->daylight.offset;
    }
    return eat(&t, ',') && day(&t, &ret->start) && eat(&t, ',') && day(&t, &ret->end) && t.at == t.end;
}

/* Seconds since 1970 on the wall clock that is in use before the change. */
static int64_t wall(const struct peri_tz_day *d, int64_t year)
{
    int64_t first = peri_days_from_civil(year, 1, 1), days = first;
    bool leap = peri_days_in_month(year, 2) == 29;
    if (d->kind == 'J') { /* 29 February is never counted */
        days = first + d->day - 1 + (leap && d->day >= 60);
    } else if (d->kind == 'N') {
        days = first + d->day;
    } else {
        days = peri_days_from_civil(year, (unsigned)d->month, 1);
        int64_t last = days + peri_days_in_month(year, (unsigned)d->month) - 1;
        days += (d->day - (int)peri_weekday(days) + 7) % 7 + (d->week - 1) * 7;
        while (days > last)
            days -= 7;
    }
    return days * DAY + d->time;
}

static int64_t year_of(const struct peri_tz_rule *rule, int64_t t)
{
    int64_t local = t + rule->standard.offset, year;
    unsigned month, day_of_month;
    peri_civil_from_days(local / DAY - (local % DAY < 0), &year, &month, &day_of_month);
    return year;
}

/* The changes of a year: into daylight time, and out of it. */
static void changes(const struct peri_tz_rule *rule, int64_t year, int64_t *ret_start, int64_t *ret_end)
{
    *ret_start = wall(&rule->start, year) - rule->standard.offset;
    *ret_end = wall(&rule->end, year) - rule->daylight.offset;
}

const struct peri_tz_type *peri_tz_rule_type(const struct peri_tz_rule *rule, int64_t t)
{
    if (!rule->has_daylight)
        return &rule->standard;
    int64_t year = year_of(rule, t), best = INT64_MIN;
    bool daylight = false;
    for (int64_t y = year - 1; y <= year + 1; y++) {
        int64_t start, end;
        changes(rule, y, &start, &end);
        if (end <= t && end > best) {
            best = end;
            daylight = false;
        }
        /* A start at the same instant as an end wins: daylight time all the year is written so. */
        if (start <= t && start >= best) {
            best = start;
            daylight = true;
        }
    }
    return daylight ? &rule->daylight : &rule->standard;
}

bool peri_tz_rule_next(const struct peri_tz_rule *rule, int64_t t, int64_t *ret)
{
    if (!rule->has_daylight)
        return false;
    int64_t year = year_of(rule, t), best = INT64_MAX;
    for (int64_t y = year - 1; y <= year + 1; y++) {
        int64_t start, end;
        changes(rule, y, &start, &end);
        if (start > t && start < best)
            best = start;
        if (end > t && end < best)
            best = end;
    }
    if (best == INT64_MAX)
        return false;
    *ret = best;
    return true;
}
