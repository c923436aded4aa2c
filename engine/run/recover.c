/* SPDX-License-Identifier: Apache-2.0 */
#include "base/failpoint.h"
#include "run/gate.h"
#include "io/store_waits.h"
#include "lang/system_event.h"
#include "run/pipeline_internal.h"

/* What the service does before it serves: live runs find their owner again (the heap, the queue of runs to resume, or a
 * person), schedules catch up, and the matcher begins with the oldest event that was not evaluated. */

#define COUNT_PAGE 1000

static enum peri_status take_run(void *arg, const struct peri_run_row *row)
{
    struct peri_pipeline *p = arg;
    p->live_runs++;
    if (!p->started)
        start_run_found(p, row);
    switch (row->state) {
    case PERI_RUN_SLEEPING:
    case PERI_RUN_WAITING:
        if (row->wake_ms == 0)
            return PERI_OK;
        if (row->wake_ms - pipe_steady(p) > row->base_ms) /* the clock was set back while the service was down */
            return resume_push(p, row->id, RESUME_LATE);
        timer_due(
            p, peri_sched_rest(row->wake_ms, row->base_ms, pipe_steady(p)), DUE_WAKE, row->id, (uint64_t)row->wake_ms);
        return PERI_OK;
    case PERI_RUN_READY:
    case PERI_RUN_RUNNING:
        return resume_push(p, row->id, 0);
    default: /* waits for its lane or for a person */
        return PERI_OK;
    }
}

enum peri_status recover_run(struct peri_pipeline *p, uint64_t run, struct peri_error *err)
{
    enum peri_status st = peri_reader_run_row(p->reader, run, take_run, p, err);
    if (st == PERI_OK)
        p->live_runs--; /* it was counted at the start */
    return st;
}

struct counting {
    struct peri_pipeline *p;
    size_t page;
};

static enum peri_status count_one(void *arg, struct peri_event *event)
{
    struct counting *counting = arg;
    counting->p->unmatched++;
    counting->p->counted_seq = event->seq;
    counting->page++;
    return PERI_OK;
}

static enum peri_status count_unmatched(struct peri_pipeline *p, struct peri_error *err)
{
    struct counting counting = {.p = p};
    enum peri_status st;
    p->unmatched = 0;
    p->counted_seq = 0;
    do {
        counting.page = 0;
        st = peri_reader_unmatched(p->reader, p->counted_seq, COUNT_PAGE, count_one, &counting, err);
    } while (st == PERI_OK && counting.page == COUNT_PAGE);
    return st;
}

static enum peri_status take_heard(void *arg, uint64_t run, int n, uint64_t seq)
{
    return resume_push(arg, run, RESUME_HEARD);
}

/* The clock may have been set, and nobody has looked since. */
static enum peri_status take_wall(void *arg, uint64_t run)
{
    return resume_push(arg, run, RESUME_WALL);
}

static enum peri_status take_kind(void *arg, int64_t kind, const char *type, const char *path)
{
    struct peri_pipeline *p = arg;
    p->awaited |= peri_system_events_named(type);
    return PERI_OK;
}

/* What is left are the kinds that runs wait for, perhaps with the text of a rule that has changed since. */
static enum peri_status tidy_waits(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    enum peri_status st = peri_tx_wait_kinds_tidy(tx, err);
    PERI_FAILPOINT("recover.waits");
    return st ? st : peri_tx_wait_kinds(tx, take_kind, arg, err);
}

static enum peri_status recover_waits(struct peri_pipeline *p, struct peri_error *err)
{
    enum peri_status st = peri_reader_newest_event(p->reader, &p->seen_seq, err);
    if (st == PERI_OK)
        st = peri_reader_waits_hit(p->reader, 0, take_heard, p, err);
    if (st == PERI_OK && pipe_writable(p))
        st = peri_store_run(p->options.store, tidy_waits, p, err);
    return st;
}

enum peri_status recover(struct peri_pipeline *p, struct peri_error *err)
{
    enum peri_status st = clock_recover(p, err);
    if (st == PERI_OK)
        st = peri_reader_live_marks(p->reader, take_run, p, err);
    if (st == PERI_OK)
        st = recover_waits(p, err);
    if (st == PERI_OK)
        st = peri_reader_wall_runs(p->reader, take_wall, p, err);
    if (st == PERI_OK)
        st = count_unmatched(p, err);
    if (st == PERI_OK)
        st = schedules_recover(p, err);
    if (st == PERI_OK)
        st = watch_recover(p, err);
    if (st == PERI_OK)
        st = gate_recover(p->gate, err);
    if (st == PERI_OK)
        st = caution_recover(p, err);
    if (st != PERI_OK)
        return st;
    PERI_FAILPOINT("recover.done");
    p->behind = true; /* whatever the journal has, in order */
    start_told(p);
    return PERI_OK;
}
