/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_CRON_H
#define PERI_LANG_CRON_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "lang/tz.h"

/* Open Cron Pattern Specification 1.0, five fields and nicknames. Plain data: copy freely. */
enum peri_dst { PERI_DST_ONCE, PERI_DST_SKIP, PERI_DST_BOTH };

struct peri_cron {
    uint64_t minutes;             /* bit 0 to 59 */
    uint32_t hours, days, months; /* days: bits 1 to 31, months 1 to 12 */
    uint8_t weekdays;             /* bit 0 = Sunday */
    bool any_day, any_weekday;    /* a bare star: otherwise either field lets a day match */
    bool follows_wall;            /* minute or hour begins with a star, or @hourly */
};

/* err->message says which field and what would be right; *ret_column (may be NULL) is the 1-based column. */
enum peri_status peri_cron_parse(
    const char *text, struct peri_cron *ret, int *ret_column, struct peri_error *err) PERI_MUST_CHECK;
/* The first instant strictly after after_ms; PERI_ENOTFOUND when the expression never fires. */
enum peri_status peri_cron_next(const struct peri_cron *cron, const struct peri_tz *tz, enum peri_dst dst,
    int64_t after_ms, int64_t *ret_ms) PERI_MUST_CHECK;
bool peri_dst_parse(const char *text, enum peri_dst *ret);

#endif
