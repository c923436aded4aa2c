/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_TZ_RULE_H
#define PERI_LANG_TZ_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peri_tz;

/* What holds between two changes of a zone. */
struct peri_tz_type {
    int32_t offset; /* seconds east of UTC */
    bool dst;
    char abbrev[16];
};

/* A day of each year and a time on it: Jn, n or Mm.w.d of a POSIX TZ text. */
struct peri_tz_day {
    char kind; /* 'J', 'N' or 'M' */
    int month, week, day;
    int32_t time; /* seconds from midnight, -167 to 167 hours */
};

/* The TZ text behind the table of a TZif file, such as "CET-1CEST,M3.5.0,M10.5.0/3". */
struct peri_tz_rule {
    struct peri_tz_type standard, daylight;
    bool has_daylight;
    struct peri_tz_day start, end; /* of daylight time */
};

bool peri_tz_rule_parse(const char *text, size_t len, struct peri_tz_rule *ret);
const struct peri_tz_type *peri_tz_rule_type(const struct peri_tz_rule *rule, int64_t t);
/* The first change after t. False when there is none. */
bool peri_tz_rule_next(const struct peri_tz_rule *rule, int64_t t, int64_t *ret);

/* tz.c, for cron.c: the first instant strictly after `after` (both in seconds) at which the zone changes, and the
 * offset that holds at t. */
bool peri_tz_next_change(const struct peri_tz *tz, int64_t after, int64_t *ret);
int32_t peri_tz_offset(const struct peri_tz *tz, int64_t t);

#endif
