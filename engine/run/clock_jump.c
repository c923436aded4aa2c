/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "io/store_data.h"
#include "lang/duration.h"
#include "run/pipeline_internal.h"

/* The wall clock is set. Durations do not notice: the heap counts CLOCK_BOOTTIME, and durable times are that plus what
 * they were at the start. So all there is to do is to tell, to keep how far the wall clock is ahead of durable time for
 * the next start, and to let schedules look anew: those of the wall clock find their next time on it, `every` keeps its
 * distance. Runs that wait for a time of the wall clock (quiet hours) ask again.
 *
 * Looked at each CLOCK_LOOK_MS while something waits for a time. What differs less than a jump is a clock that is being
 * corrected. */

#define CLOCK_LOOK_MS 1000
#define JUMP_MS 750
#define OFFSET_KEY "clock_offset"

int64_t pipe_offset(const struct peri_pipeline *p)
{
    return pipe_now(p) - pipe_steady(p);
}

static int64_t ahead(const struct peri_pipeline *p)
{
    return pipe_now(p) - pipe_mono_ms(p);
}

void clock_init(struct peri_pipeline *p)
{
    p->wall_ahead = ahead(p);
    p->steady_base = p->wall_ahead;
}

enum peri_status clock_recover(struct peri_pipeline *p, struct peri_error *err)
{
    char *text = NULL;
    long long offset = 0;
    enum peri_status st = peri_reader_meta(p->reader, OFFSET_KEY, &text, err);
    if (st == PERI_OK && text && peri_parse_i64(text, &offset))
        p->steady_base -= offset;
    free(text);
    return st == PERI_ENOTFOUND ? PERI_OK : st;
}

struct jump {
    struct peri_pipeline *p;
    int64_t by_ms, offset_ms;
};

static enum peri_status jump_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct jump *j = arg;
    char text[32];
    struct peri_value *detail = peri_value_map();
    snprintf(text, sizeof(text), "%" PRId64, j->offset_ms);
    enum peri_status st =
        detail && peri_map_put_int(detail, "by_ms", j->by_ms) == PERI_OK ? PERI_OK : peri_error_nomem(err);
    if (st == PERI_OK)
        st = peri_tx_meta_set(tx, OFFSET_KEY, text, err);
    if (st == PERI_OK)
        st = peri_tx_audit(tx, "perigee", "clock.jump", NULL, detail, err);
    peri_value_unref(detail);
    PERI_FAILPOINT("jump.rows");
    return st;
}

static void jump_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    PERI_FAILPOINT("jump.done");
    struct jump *j = arg;
    j->p->submitting--;
    if (st != PERI_OK && !j->p->dead)
        peri_err(
            j->p->options.log, "clock", "that the clock was set could not be stored: %s", err ? err->message : "?");
    free(j);
}

static void keep(struct peri_pipeline *p, int64_t by_ms)
{
    struct jump *j = calloc(1, sizeof(*j));
    if (!j)
        return;
    *j = (struct jump){p, by_ms, pipe_offset(p)};
    p->submitting++;
    if (pipe_commit(p, 128, jump_tx, jump_done, j, true) == PERI_OK)
        return;
    p->submitting--;
    free(j);
}

void clock_tick(struct peri_pipeline *p)
{
    int64_t now = ahead(p), by = now - p->wall_ahead;
    char text[64], wall[PERI_TIME_TEXT];
    p->clock_at = pipe_mono_ms(p) + CLOCK_LOOK_MS;
    p->wall_ahead = now;
    if (by >= -JUMP_MS && by <= JUMP_MS)
        return;
    peri_warn(p->options.log, "clock",
        "the clock was set by %s%s, it is %s now: waits keep what is left of them, schedules look anew",
        by < 0 ? "" : "+", peri_duration_format(by, text), peri_time_format(pipe_now(p), wall));
    keep(p, by);
    schedules_jumped(p, by);
    live_clock_set(p);
}
