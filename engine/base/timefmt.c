/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timefmt.h"

#include <ctype.h>
#include <stdio.h>

#define DAY_MS INT64_C(86400000)

int64_t peri_days_from_civil(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned yoe = (unsigned)(year - era * 400);
    unsigned doy = (153 * (month + (month > 2 ? (unsigned)-3 : 9)) + 2) / 5 + day - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

void peri_civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned doe = (unsigned)(days - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    *ret_day = doy - (153 * mp + 2) / 5 + 1;
    *ret_month = mp < 10 ? mp + 3 : mp - 9;
    *ret_year = (int64_t)yoe + era * 400 + (*ret_month <= 2);
}

unsigned peri_weekday(int64_t days)
{
    int64_t w = (days + 4) % 7;
    return (unsigned)(w < 0 ? w + 7 : w);
}

unsigned peri_days_in_month(int64_t year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

struct parts {
    int64_t days, year;
    unsigned month, day, hour, minute, second, ms;
};

static struct parts split(int64_t ms)
{
    struct parts p;
    p.days = ms / DAY_MS;
    int64_t rest = ms % DAY_MS;
    if (rest < 0) {
        rest += DAY_MS;
        p.days--;
    }
    peri_civil_from_days(p.days, &p.year, &p.month, &p.day);
    p.hour = (unsigned)(rest / 3600000);
    p.minute = (unsigned)(rest / 60000 % 60);
    p.second = (unsigned)(rest / 1000 % 60);
    p.ms = (unsigned)(rest % 1000);
    return p;
}

/* n digits of v and what follows them. */
static char *put(char *out, unsigned v, int n, char after)
{
    for (int i = n - 1; i >= 0; i--, v /= 10)
        out[i] = (char)('0' + v % 10);
    out[n] = after;
    return out + n + 1;
}

char *peri_time_format(int64_t ms, char *out)
{
    struct parts p = split(ms);
    if (p.year >= 0 && p.year <= 9999) { /* without printf: each event, rule and run has such times */
        char *s = put(put(put(out, (unsigned)p.year, 4, '-'), p.month, 2, '-'), p.day, 2, 'T');
        s = put(put(put(s, p.hour, 2, ':'), p.minute, 2, ':'), p.second, 2, '.');
        *put(s, p.ms, 3, 'Z') = '\0';
        return out;
    }
    snprintf(out, PERI_TIME_TEXT, "%04d-%02u-%02uT%02u:%02u:%02u.%03uZ", (int)p.year, p.month, p.day, p.hour, p.minute,
        p.second, p.ms);
    return out;
}

char *peri_time_format_mail(int64_t ms, char *out)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct parts p = split(ms);
    snprintf(out, PERI_TIME_TEXT, "%.3s, %02u %.3s %04d %02u:%02u:%02u +0000", days + 3 * peri_weekday(p.days), p.day,
        months + 3 * (p.month - 1), (int)p.year, p.hour, p.minute, p.second);
    return out;
}

static bool digits(const char **s, const char *end, int n, unsigned *ret)
{
    unsigned v = 0;
    if (end - *s < n)
        return false;
    for (int i = 0; i < n; i++) {
        if (!isdigit((unsigned char)(*s)[i]))
            return false;
        v = v * 10 + (unsigned)((*s)[i] - '0');
    }
    *s += n;
    *ret = v;
    return true;
}

static bool literal(const char **s, const char *end, char c)
{
    if (*s == end || (**s != c && **s != (char)tolower((unsigned char)c)))
        return false;
    (*s)++;
    return true;
}

static bool fraction(const char **s, const char *end, unsigned *ret_ms)
{
    unsigned ms = 0, n = 0;
    for (; *s < end && isdigit((unsigned char)**s); (*s)++, n++)
        if (n < 3)
            ms = ms * 10 + (unsigned)(**s - '0');
    for (unsigned i = n; i < 3; i++)
        ms *= 10;
    *ret_ms = ms;
    return n > 0;
}

static bool offset(const char **s, const char *end, int64_t *ret_minutes)
{
    *ret_minutes = 0;
    if (literal(s, end, 'Z'))
        return true;
    if (*s == end || (**s != '+' && **s != '-'))
        return false;
    int sign = *(*s)++ == '-' ? -1 : 1;
    unsigned h, m;
    if (!digits(s, end, 2, &h) || !literal(s, end, ':') || !digits(s, end, 2, &m) || h > 23 || m > 59)
        return false;
    *ret_minutes = sign * (int64_t)(h * 60 + m);
    return true;
}

bool peri_time_parse(const char *text, size_t len, int64_t *ret_ms)
{
    const char *s = text, *end = text + len;
    unsigned year, month, day, hour, minute, second, ms = 0;
    int64_t zone;
    if (!digits(&s, end, 4, &year) || !literal(&s, end, '-') || !digits(&s, end, 2, &month) || !literal(&s, end, '-') ||
        !digits(&s, end, 2, &day) || year < 1 || month < 1 || month > 12 || day < 1 ||
        day > peri_days_in_month(year, month))
        return false;
    if (!literal(&s, end, 'T') || !digits(&s, end, 2, &hour) || !literal(&s, end, ':') ||
        !digits(&s, end, 2, &minute) || !literal(&s, end, ':') || !digits(&s, end, 2, &second) || hour > 23 ||
        minute > 59 || second > 60)
        return false;
    if (s < end && *s == '.') {
        s++;
        if (!fraction(&s, end, &ms))
            return false;
    }
    if (!offset(&s, end, &zone) || s != end)
        return false;
    *ret_ms = peri_days_from_civil(year, month, day) * DAY_MS + (int64_t)hour * 3600000 +
              ((int64_t)minute - zone) * 60000 + (int64_t)second * 1000 + ms;
    return true;
}
