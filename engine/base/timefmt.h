/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_TIMEFMT_H
#define PERI_BASE_TIMEFMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 3339 text <-> ms since 1970 UTC. Proleptic Gregorian calendar, years 0001 to 9999. No libc time zone is used. */

#define PERI_TIME_TEXT 32

/* "2026-01-02T03:04:05.678Z" into out (at least PERI_TIME_TEXT bytes); returns out. */
char *peri_time_format(int64_t ms, char *out);
/* Accepts any offset, a fraction of any length (cut to ms), lower-case t and z, second 60 as the next minute. False
 * on anything else. */
bool peri_time_parse(const char *text, size_t len, int64_t *ret_ms);
/* "Fri, 02 Jan 2026 03:04:05 +0000" (RFC 5322), 32 bytes are enough. */
char *peri_time_format_mail(int64_t ms, char *out);

/* Civil date from days since 1970-01-01 and back (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
int64_t peri_days_from_civil(int64_t year, unsigned month, unsigned day);
void peri_civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);
/* 0 = Sunday. */
unsigned peri_weekday(int64_t days);
unsigned peri_days_in_month(int64_t year, unsigned month);

#endif
