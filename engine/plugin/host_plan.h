/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_HOST_PLAN_H
#define PERI_PLUGIN_HOST_PLAN_H

#include "lang/cron.h"
#include "plugin/host_internal.h"

/* What host_schedule.c (loop) and host_plan.c (worker) share: the spec of a plugin's schedule. */

enum peri_plan_kind { PERI_PLAN_CRON, PERI_PLAN_EVERY, PERI_PLAN_AFTER };

struct peri_plan_timing {
    enum peri_plan_kind kind;
    struct peri_cron cron;
    struct peri_tz *tz; /* of cron; owned */
    int64_t every_ms, at_ms;
};

/* PERI_EINVAL "bad_argument". */
enum peri_status peri_plan_timing(const struct peri_host *host, const struct peri_value *spec,
    struct peri_plan_timing *ret, struct peri_error *err) PERI_MUST_CHECK;
/* INT64_MAX: never again. */
int64_t peri_plan_next(const struct peri_plan_timing *timing, int64_t anchor_ms, int64_t last_ms);
/* Puts the change of a row into the batch. text NULL: the row goes. keep: one with this text stays as it is. */
enum peri_status peri_plan_row(struct peri_batch *batch, const char *id, const char *text, int64_t anchor_ms,
    int64_t last_ms, bool keep) PERI_MUST_CHECK;

#endif
