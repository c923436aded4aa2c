/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/timefmt.h"
#include "run/pipeline_internal.h"

/* What a start found: how long nobody was there, what waits, what fell due meanwhile and what of it was made up for. */

#define COUNT_MAX 1000 /* occurrences of one schedule */

void start_run_found(struct peri_pipeline *p, const struct peri_run_row *row)
{
    struct start_report *r = &p->report;
    switch (row->state) {
    case PERI_RUN_READY:
    case PERI_RUN_RUNNING:
        r->resumed++;
        break;
    case PERI_RUN_SLEEPING:
    case PERI_RUN_WAITING:
        r->waiting++;
        r->overdue += row->wake_ms > 0 && row->wake_ms <= pipe_steady(p);
        break;
    case PERI_RUN_QUEUED:
        r->queued++;
        break;
    default:
        r->for_people++;
        break;
    }
}

/* Occurrences after `after_ms` up to now, of which the last one is item->last_ms if it was made up for. */
void start_schedule_found(struct peri_pipeline *p, const struct schedule_item *item, int64_t after_ms)
{
    int64_t now = pipe_now(p), at = after_ms, next;
    struct start_report *r = &p->report;
    int64_t missed = 0;
    if (at < item->anchor_ms - 1)
        at = item->anchor_ms - 1;
    while (missed < COUNT_MAX && peri_schedule_next(item->trigger->schedule, item->anchor_ms, at, &next) == PERI_OK &&
           next <= now) {
        missed++;
        at = next;
    }
    r->missed += missed;
    r->made_up += missed > 0 && item->last_ms > after_ms;
}

static void duration(int64_t ms, char out[32])
{
    long long s = ms / 1000;
    if (s < 60)
        snprintf(out, 32, "%lld s", s);
    else if (s < 3600)
        snprintf(out, 32, "%lld min %lld s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, 32, "%lld h %lld min", s / 3600, s / 60 % 60);
    else
        snprintf(out, 32, "%lld days %lld h", s / 86400, s / 3600 % 24);
}

void start_told(struct peri_pipeline *p)
{
    const struct peri_store_found *found = peri_store_found(p->options.store);
    struct start_report *r = &p->report;
    char since[PERI_TIME_TEXT], down[32];
    r->at_ms = pipe_now(p);
    r->unmatched = p->unmatched;
    r->clean = found->clean;
    r->fresh = found->fresh;
    r->down_since_ms = found->fresh ? 0 : found->alive_ms;
    if (found->fresh)
        return;
    if (r->down_since_ms > 0 && r->down_since_ms <= r->at_ms) {
        duration(r->at_ms - r->down_since_ms, down);
        peri_info(p->options.log, "start", "down for %s since %s, after %s", down,
            peri_time_format(r->down_since_ms, since), r->clean ? "an orderly stop" : "a stop that was not orderly");
    }
    peri_info(p->options.log, "start",
        "%lld events wait to be evaluated; %lld runs go on, %lld wait (%lld of them were due meanwhile), %lld are "
        "queued,"
        " %lld wait for a person; %lld occurrences of schedules were missed, %lld of them are made up for",
        (long long)r->unmatched, (long long)r->resumed, (long long)r->waiting, (long long)r->overdue,
        (long long)r->queued, (long long)r->for_people, (long long)r->missed, (long long)r->made_up);
}

enum peri_status start_value(const struct peri_pipeline *p, struct peri_value **ret)
{
    const struct start_report *r = &p->report;
    const struct {
        const char *name;
        int64_t n;
    } numbers[] = {{"unmatched", r->unmatched}, {"resumed", r->resumed}, {"waiting", r->waiting},
        {"overdue", r->overdue}, {"queued", r->queued}, {"for_people", r->for_people}, {"missed", r->missed},
        {"made_up", r->made_up}};
    struct peri_value *map = peri_value_map();
    bool bad = !map || peri_map_put_time(map, "at", r->at_ms) != PERI_OK ||
               peri_map_put_bool(map, "clean", r->clean) != PERI_OK ||
               peri_map_put_bool(map, "first", r->fresh) != PERI_OK;
    if (!bad && r->down_since_ms > 0)
        bad =
            peri_map_put_time(map, "down_since", r->down_since_ms) != PERI_OK ||
            peri_map_put_int(map, "down_ms", r->at_ms > r->down_since_ms ? r->at_ms - r->down_since_ms : 0) != PERI_OK;
    for (size_t i = 0; !bad && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        bad = peri_map_put_int(map, numbers[i].name, numbers[i].n) != PERI_OK;
    if (bad) {
        peri_value_unref(map);
        return PERI_ENOMEM;
    }
    *ret = map;
    return PERI_OK;
}
