/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_TZ_H
#define PERI_LANG_TZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

/* IANA time zones read from the zoneinfo folder (TZif version 2+, RFC 9636, with the POSIX footer for later years).
 * The zone text comes in as bytes: opening files is the caller's business (peri_tz_source), so that lang does no I/O.
 */
struct peri_tz;

/* Reads the bytes of a zone. Returns malloc'ed data, or an error. */
struct peri_tz_source {
    enum peri_status (*read)(
        void *ctx, const char *name, unsigned char **ret_data, size_t *ret_len, struct peri_error *err);
    void *ctx;
};

struct peri_local {
    int64_t year;
    unsigned month, day, hour, minute, second, weekday; /* weekday 0 = Sunday */
    int32_t offset;                                     /* seconds east of UTC */
    bool dst;
    char abbrev[16];
};

/* Names are checked first: no absolute paths, no "..", never a silent UTC; PERI_ENOTFOUND suggests nothing, the message
 * names the zone. "UTC" works without any file. */
enum peri_status peri_tz_load(const struct peri_tz_source *source, const char *name, struct peri_tz **ret,
    struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tz_parse(const char *name, const unsigned char *data, size_t len, struct peri_tz **ret,
    struct peri_error *err) PERI_MUST_CHECK;
void peri_tz_destroy(struct peri_tz *tz);
const char *peri_tz_name(const struct peri_tz *tz);
void peri_tz_local(const struct peri_tz *tz, int64_t utc_ms, struct peri_local *ret);
/* "2026-12-24T18:00" and "...:00", also with a blank for the T, as the first instant that it names. False when
 * malformed. */
bool peri_tz_parse_local(const struct peri_tz *tz, const char *text, int64_t *ret_ms);
/* The instants that a wall-clock time names: 0 (in a gap), 1 or 2 (repeated hour), in order. For 0, ret[0] is the first
 * instant after the gap. */
int peri_tz_instants(const struct peri_tz *tz, int64_t year, unsigned month, unsigned day, unsigned hour,
    unsigned minute, unsigned second, int64_t ret_ms[2]);

#endif
