/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/schedule.h"

enum peri_status peri_schedule_next(
    const struct peri_schedule *schedule, int64_t anchor_ms, int64_t after_ms, int64_t *ret_ms)
{
    int64_t every = schedule->every_ms, since, due;
    switch (schedule->kind) {
    case PERI_SCHEDULE_SUN:
        return peri_sun_next(&schedule->sun, after_ms, ret_ms) ? PERI_OK : PERI_ENOTFOUND;
    case PERI_SCHEDULE_CRON:
        return peri_cron_next(&schedule->cron, schedule->tz, schedule->dst, after_ms, ret_ms);
    case PERI_SCHEDULE_EVERY:
        if (every <= 0 || __builtin_sub_overflow(after_ms, anchor_ms, &since))
            return PERI_ENOTFOUND;
        /* The first one is a full interval after the anchor, also when the clock stands before it. */
        since = since < 0 ? 0 : since - since % every;
        if (__builtin_add_overflow(anchor_ms, since, &due) || __builtin_add_overflow(due, every, &due))
            return PERI_ENOTFOUND;
        *ret_ms = due;
        return PERI_OK;
    default:
        if (schedule->at_daily)
            return peri_cron_next(&schedule->cron, schedule->tz, schedule->dst, after_ms, ret_ms);
        if (schedule->at_ms <= after_ms)
            return PERI_ENOTFOUND;
        *ret_ms = schedule->at_ms;
        return PERI_OK;
    }
}
