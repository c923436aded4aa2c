/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipeline_internal.h"

/* One loop timer for the earliest of: the heap (waits of runs, deadlines), the schedules, a transaction to be repeated.
 */

void timer_due(struct peri_pipeline *p, int64_t delay_ms, enum due_kind kind, uint64_t id, uint64_t serial)
{
    int64_t at = pipe_mono_ms(p) + (delay_ms > 0 ? delay_ms : 0);
    bool kept = peri_due_heap_push(&p->heap, at, (int)kind, id, serial);
    if (!kept && kind == DUE_EVALUATION)
        p->retry_lost = true; /* the look of each second makes up for it */
    else if (!kept)
        peri_err(p->options.log, "run", "out of memory: a timer of run-%llu is lost until the next start",
            (unsigned long long)id);
    timer_arm(p);
}

static void fired(void *arg)
{
    struct peri_pipeline *p = arg;
    p->timer = NULL;
    p->timer_at = INT64_MAX;
    peri_pipeline_tick(p);
}

/* Does it matter that somebody sets the clock? Nobody looks at it for its own sake; whatever begins to wait makes a
 * timer, and with it comes the look that was left out. */
static bool waits_for_time(const struct peri_pipeline *p)
{
    return peri_due_heap_top(&p->heap) || p->schedule_count > 0 || p->live_runs > 0 || p->absences ||
           p->watch_next != INT64_MAX || p->retry_lost || p->unmatched > 0;
}

static int64_t earliest(struct peri_pipeline *p, int64_t mono)
{
    int64_t at = INT64_MAX, wall = pipe_now(p);
    const struct peri_due *due = peri_due_heap_top(&p->heap);
    if (due)
        at = due->at;
    if (p->failed_first && p->failed_at < at)
        at = p->failed_at;
    if (p->absences && p->caught_up && !p->draining && p->alive_at < at && pipe_writable(p))
        at = p->alive_at;
    if (p->clock_at < at && pipe_writable(p) && !p->draining && waits_for_time(p))
        at = p->clock_at;
    int64_t next = p->started && pipe_writable(p) ? schedules_next(p) : INT64_MAX;
    if (next != INT64_MAX) {
        int64_t wait = next > wall ? next - wall : 0;
        if (wait > PIPE_LOOK_MS)
            wait = PIPE_LOOK_MS;
        if (mono + wait < at)
            at = mono + wait;
    }
    return at;
}

int64_t peri_pipeline_next_due(const struct peri_pipeline *p)
{
    int64_t at = INT64_MAX, schedule = p->started ? schedules_next(p) : INT64_MAX;
    const struct peri_due *due = peri_due_heap_top(&p->heap);
    if (due)
        at = due->at;
    if (p->failed_first && p->failed_at < at)
        at = p->failed_at;
    if (at != INT64_MAX)
        at = pipe_now(p) + at - pipe_mono_ms(p);
    return schedule < at ? schedule : at;
}

static void arm_again(void *arg)
{
    struct peri_pipeline *p = arg;
    p->unarmed = false;
    timer_arm(p);
    pipe_release(p);
}

/* By way of the loop, which has room for that without memory: whoever comes here may not be called again from here, and
 * what gives memory back may have to come first. */
static void arm_later(struct peri_pipeline *p)
{
    if (p->unarmed || peri_loop_post(p->options.loop, arm_again, p) != PERI_OK)
        return;
    p->unarmed = true;
    pipe_hold(p);
}

void timer_arm(struct peri_pipeline *p)
{
    if (p->ticking || p->dead || !p->started)
        return;
    int64_t mono = pipe_mono_ms(p), at = earliest(p, mono);
    if (at == INT64_MAX || (p->timer && p->timer_at <= at))
        return; /* a timer that is too early only looks and sets itself again */
    struct peri_timer *next = NULL;
    if (peri_loop_after(p->options.loop, at > mono ? at - mono : 0, fired, p, &next) != PERI_OK) {
        if (!p->unarmed_told) /* it is tried all the time */
            peri_err(p->options.log, "run", "the timer could not be set");
        p->unarmed_told = true;
        if (!p->timer)
            arm_later(p);
        return;
    }
    peri_timer_cancel(p->timer);
    p->unarmed_told = false;
    p->timer = next;
    p->timer_at = at;
}

static void dispatch(struct peri_pipeline *p, const struct peri_due *due)
{
    switch ((enum due_kind)due->kind) {
    case DUE_WAKE:
        if (due->serial != 0 && (int64_t)due->serial > RESUME_LATE && live_wake(p, due->id, (int64_t)due->serial))
            break;
        if (resume_push(p, due->id, (int64_t)due->serial) != PERI_OK)
            timer_due(p, PIPE_RETRY_MS, DUE_WAKE, due->id, due->serial);
        break;
    case DUE_CALL:
        live_call_again(p, due->id, due->serial);
        break;
    case DUE_TIMEOUT:
        live_timeout(p, due->id, due->serial);
        break;
    case DUE_EVALUATION:
        pipe_evaluations_retry(p);
        break;
    case DUE_PATIENCE:
        match_patience_over(p, due->id);
        break;
    case DUE_WATCH: /* the pump looks; two clocks may differ by a little */
        if (p->watch_next != INT64_MAX && p->watch_next > pipe_steady(p))
            timer_due(p, p->watch_next - pipe_steady(p), DUE_WATCH, 0, 0);
        break;
    }
}

void peri_pipeline_tick(struct peri_pipeline *p)
{
    if (p->dead || p->ticking)
        return;
    pipe_hold(p);
    p->ticking = true;
    int64_t mono = pipe_mono_ms(p);
    if (p->started && !p->draining && pipe_writable(p))
        clock_tick(p);
    const struct peri_due *top;
    while (!p->dead && (top = peri_due_heap_top(&p->heap)) != NULL && top->at <= mono) {
        struct peri_due due = *top;
        peri_due_heap_pop(&p->heap);
        dispatch(p, &due);
    }
    if (!p->dead && p->retry_lost) {
        p->retry_lost = false;
        pipe_evaluations_retry(p);
    }
    if (!p->dead)
        pipe_retry_failed(p);
    if (!p->dead && p->started && !p->draining && pipe_writable(p))
        schedules_tick(p);
    if (!p->dead && p->started && !p->draining && pipe_writable(p))
        watch_alive_tick(p);
    p->ticking = false;
    pipe_pump(p);
    pipe_release(p);
}
