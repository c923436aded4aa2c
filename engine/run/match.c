/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "run/match_internal.h"

/* From the journal to runs. Events wait in a window in order of seq; up to PIPE_EVALUATING of them are evaluated at the
 * same time, and whatever is complete at the front of the window becomes one T2 transaction: verdicts, runs, event
 * state. One T2 is under way at a time, so that the batches grow with the load. When more events come in than the
 * window holds, they stay in the journal and are read back once there is room. An event that many rules hear has as
 * many verdicts, so what is begun is bounded by (event, rule) pairs too. */

/* --- the window --- */

struct match_event *match_at(const struct peri_pipeline *p, size_t i)
{
    return p->window[(p->window_head + i) % PIPE_WINDOW];
}

static bool window_push(struct peri_pipeline *p, struct peri_event *event)
{
    if (p->window_count == PIPE_WINDOW)
        return false;
    struct match_event *me = calloc(1, sizeof(*me));
    if (!me)
        return false;
    me->p = p;
    me->event = peri_event_ref(event);
    peri_buf_init(&me->texts, MATCH_TEXT_MAX);
    p->window[(p->window_head + p->window_count++) % PIPE_WINDOW] = me;
    p->taken_seq = event->seq;
    return true;
}

void match_offer(struct peri_pipeline *p, struct peri_event *event)
{
    if (event->seq <= p->taken_seq) /* was read from the journal in the meantime */
        return;
    if (!p->started || p->behind || !window_push(p, event))
        p->behind = true;
}

static enum peri_status refill_one(void *arg, struct peri_event *event)
{
    struct peri_pipeline *p = arg;
    return window_push(p, event) ? PERI_OK : PERI_ENOMEM;
}

static void refill(struct peri_pipeline *p)
{
    struct peri_error err = {0};
    size_t room = PIPE_WINDOW - p->window_count, before = p->window_count;
    if (!p->behind || room < PIPE_WINDOW / 2)
        return;
    if (peri_reader_unmatched(p->reader, p->taken_seq, room, refill_one, p, &err) != PERI_OK) {
        peri_err(p->options.log, "match", "reading unmatched events: %s", err.message);
        timer_due(p, PIPE_RETRY_MS, DUE_EVALUATION, 0, 0);
        return;
    }
    p->behind = p->window_count - before == room;
}

bool match_idle(const struct peri_pipeline *p)
{
    return p->evaluating == 0 && p->match_in_tx == 0;
}

bool match_passed(const struct peri_pipeline *p, uint64_t seq)
{
    return p->unmatched == 0 || (p->window_count > 0 && match_at(p, 0)->event->seq > seq);
}

void match_finish(struct peri_pipeline *p)
{
    /* The events of a T2 under way are at the front; it frees them when it ends. */
    for (size_t i = p->match_in_tx; i < p->window_count; i++)
        match_free(match_at(p, i));
    p->window_count = 0;
    p->window_begun = 0;
}

static bool may_begin(const struct peri_pipeline *p)
{
    return !p->draining && pipe_writable(p) && p->window_begun < p->window_count && p->evaluating < PIPE_EVALUATING &&
           p->pairs < PIPE_PAIRS && p->live_memory < PIPE_LIVES && p->live_runs < p->options.max_live_runs;
}

void match_pump(struct peri_pipeline *p)
{
    refill(p);
    while (may_begin(p)) {
        struct match_event *me = match_at(p, p->window_begun++);
        match_begin(p, me);
    }
    match_commit(p);
}
