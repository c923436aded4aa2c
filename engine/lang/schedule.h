/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_SCHEDULE_H
#define PERI_LANG_SCHEDULE_H

#include "lang/cron.h"
#include "lang/sun.h"

enum peri_schedule_kind { PERI_SCHEDULE_CRON, PERI_SCHEDULE_EVERY, PERI_SCHEDULE_AT, PERI_SCHEDULE_SUN };

/* When its time comes while the run of an earlier time goes on. */
enum peri_overlap { PERI_OVERLAP_ALLOW, PERI_OVERLAP_SKIP, PERI_OVERLAP_BUFFER };

/* When a schedule trigger fires. Owned by the rule; tz is counted. */
struct peri_schedule {
    enum peri_schedule_kind kind;
    struct peri_cron cron;
    int64_t every_ms; /* aligned to the anchor: anchor + k * every, k = 1, 2, ... */
    int64_t at_ms;    /* once; absolute form of "at" */
    bool at_daily;    /* "at: 08:30": every day at that wall-clock time (kept as cron) */
    struct peri_tz *tz;
    enum peri_dst dst;
    int64_t catch_up_ms; /* default 1 h */
    struct peri_sun sun;
    int64_t jitter_ms; /* it fires up to so much later; 0: at its time */
    enum peri_overlap overlap;
};

/* The next due instant strictly after after_ms; anchor_ms is when the schedule was first seen (used by every).
 * PERI_ENOTFOUND: never again. */
enum peri_status peri_schedule_next(
    const struct peri_schedule *schedule, int64_t anchor_ms, int64_t after_ms, int64_t *ret_ms) PERI_MUST_CHECK;

#endif
