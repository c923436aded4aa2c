/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "lang/glob.h"
#include "lang/index.h"
#include "run/match_internal.h"

/* From the journal to runs. Events wait in a window in order of seq. The front of it is begun: which rules hear the
 * event, what they say. An event that was begun is under way until all of its pairs with rules are stored. Whatever is
 * decided becomes part of a T2 transaction: verdicts, runs, event state. One T2 is under way at a time, so that the
 * batches grow with the load.
 *
 * A pair that takes long holds up nobody but later pairs of its own lane (match_line.c): other events overtake it, and
 * of its own event the other pairs are stored without it. When many events only wait for such pairs, they are parked:
 * what is decided is stored, the rest is forgotten but for its place, and read back when there is room.
 *
 * When more events come in than the window holds, they stay in the journal and are read back once there is room. An
 * event that many rules hear has as many pairs, so what is begun is bounded by pairs too. */

/* --- the window --- */

struct match_event *match_new(struct peri_pipeline *p, struct peri_event *event)
{
    struct match_event *me = calloc(1, sizeof(*me));
    if (!me)
        return NULL;
    me->p = p;
    me->event = peri_event_ref(event);
    peri_buf_init(&me->texts, MATCH_TEXT_MAX);
    return me;
}

static bool window_push(struct peri_pipeline *p, struct peri_event *event)
{
    struct match_event *me = p->window_count < PIPE_WINDOW ? match_new(p, event) : NULL;
    if (!me)
        return false;
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

bool match_may_cancel(const struct peri_pipeline *p, const struct peri_event *event)
{
    for (size_t i = 0; i < p->cancelling_count; i++) {
        const struct peri_flow *flow = &p->cancelling[i]->flow;
        for (size_t k = 0; k < flow->cancel_count; k++)
            if (peri_glob_match(flow->cancels[k].event, event->type))
                return true;
    }
    return false;
}

bool match_is_unheard(const struct peri_pipeline *p, const struct peri_event *event, const struct peri_event *before)
{
    if (!p->started || p->draining || p->caution.left > 0 || !p->index)
        return false;
    if (event->target_rule || event->hops >= PIPE_HOPS_MAX || event->damaged)
        return false;
    if (before && before->unheard && strcmp(before->type, event->type) == 0)
        return true;
    return !peri_index_hears(p->index, event->type) && (!p->off || !peri_index_hears(p->off, event->type)) &&
           !match_may_cancel(p, event);
}

void match_unheard_stored(struct peri_pipeline *p, const struct peri_event *event)
{
    p->counts.matched++;
    p->counts.unheard++;
    peri_metric_add(p->metrics.matched, 1);
    peri_metric_add(p->metrics.unheard, 1);
    pipe_notify_event(p, event, "matched");
}

static enum peri_status refill_one(void *arg, struct peri_event *event)
{
    struct peri_pipeline *p = arg;
    pipe_saw(p, event);
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

/* --- events under way --- */

static void enter(struct match_event *me)
{
    struct peri_pipeline *p = me->p;
    me->prev = p->under_way_last;
    if (p->under_way_last)
        p->under_way_last->next = me;
    else
        p->under_way_first = me;
    p->under_way_last = me;
    p->under_way++;
}

void match_leave(struct match_event *me)
{
    struct peri_pipeline *p = me->p;
    match_unready(me);
    *(me->prev ? &me->prev->next : &p->under_way_first) = me->next;
    *(me->next ? &me->next->prev : &p->under_way_last) = me->prev;
    me->prev = me->next = NULL;
    p->under_way--;
}

void match_ready(struct match_event *me)
{
    struct peri_pipeline *p = me->p;
    struct match_event *before = p->ready_last;
    if (me->ready || me->beginning)
        return;
    while (before && before->event->seq > me->event->seq)
        before = before->ready_prev;
    me->ready = true;
    me->ready_prev = before;
    me->ready_next = before ? before->ready_next : p->ready_first;
    *(me->ready_prev ? &me->ready_prev->ready_next : &p->ready_first) = me;
    *(me->ready_next ? &me->ready_next->ready_prev : &p->ready_last) = me;
}

void match_unready(struct match_event *me)
{
    struct peri_pipeline *p = me->p;
    if (!me->ready)
        return;
    me->ready = false;
    *(me->ready_prev ? &me->ready_prev->ready_next : &p->ready_first) = me->ready_next;
    *(me->ready_next ? &me->ready_next->ready_prev : &p->ready_last) = me->ready_prev;
    me->ready_prev = me->ready_next = NULL;
}

void match_patience_over(struct peri_pipeline *p, uint64_t seq)
{
    for (struct match_event *me = p->under_way_first; me; me = me->next) {
        if (me->event->seq != seq)
            continue;
        me->impatient = true;
        match_ready(me);
        return;
    }
}

/* Too many events are in memory: those that wait for a slow rule need not be. To read them back costs as much as to
 * evaluate them, so where answers come quickly they stay. */
static void park(struct peri_pipeline *p)
{
    if (p->under_way < PIPE_UNDER_WAY / 2 && p->pairs < PIPE_PAIRS / 2) {
        p->crowded = false;
        return;
    }
    int64_t now = pipe_mono_ms(p);
    if (!p->crowded || now - p->crowded_at >= PIPE_PATIENCE_MS) {
        match_lines_look(p, p->crowded ? now - p->crowded_at : 0);
        p->crowded = true;
        p->crowded_at = now;
        timer_due(p, PIPE_PATIENCE_MS, DUE_EVALUATION, 0, 0);
    }
    if (!p->slow_wait)
        return;
    p->slow_wait = false;
    for (struct match_event *me = p->under_way_first; me; me = me->next) {
        if (me->open == 0 || me->asking > 0 || me->parking || !match_line_is_slow(me))
            continue;
        me->parking = true;
        match_ready(me);
    }
}

static enum peri_status take_event(void *arg, struct peri_event *event)
{
    *(struct peri_event **)arg = peri_event_ref(event);
    return PERI_OK;
}

bool match_fetch(struct peri_pipeline *p, uint64_t seq)
{
    struct match_parked *parked = match_line_parked(p, seq);
    struct peri_event *event = NULL;
    struct peri_error err = {0};
    enum peri_status st = peri_reader_unmatched(p->reader, seq - 1, 1, take_event, &event, &err);
    if (st == PERI_OK && (!event || event->seq != seq)) {
        peri_err(
            p->options.log, "match", "ev-%llu was to be evaluated, and is not there any more", (unsigned long long)seq);
        match_line_unpark(p, parked);
        peri_event_unref(event);
        return true;
    }
    struct match_event *me = event ? match_new(p, event) : NULL;
    peri_event_unref(event);
    if (!me) {
        peri_err(p->options.log, "match", "ev-%llu, which waits for conditions, cannot be read: %s",
            (unsigned long long)seq, st == PERI_OK ? "out of memory" : err.message);
        return false;
    }
    enter(me);
    if (match_begin_again(p, me, parked))
        return true;
    match_leave(me);
    match_free(me);
    return false;
}

bool match_idle(const struct peri_pipeline *p)
{
    return p->evaluating == 0 && p->match_in_tx == 0;
}

bool match_passed(const struct peri_pipeline *p, uint64_t seq)
{
    if (p->unmatched == 0)
        return true;
    for (const struct match_event *me = p->under_way_first; me; me = me->next)
        if (me->event->seq <= seq)
            return false;
    if (p->window_count > 0 && p->window[p->window_head]->event->seq <= seq)
        return false;
    return p->taken_seq >= seq && match_lines_passed(p, seq);
}

static int64_t received_before(const struct peri_pipeline *p, const struct match_event *me, int64_t time)
{
    int64_t before = me->event->received_ms - pipe_offset(p) - 1;
    return before < time ? before : time;
}

int64_t match_heard_until(const struct peri_pipeline *p, int64_t now)
{
    if (p->window_count == 0 && p->behind)
        return INT64_MIN;
    if (p->window_count > 0)
        now = received_before(p, p->window[p->window_head], now);
    for (const struct match_event *me = p->under_way_first; me; me = me->next)
        for (size_t i = 0; i < me->rule_count; i++)
            if (me->rules[i]->heard_count > 0)
                now = received_before(p, me, now);
    return now;
}

void match_finish(struct peri_pipeline *p)
{
    for (struct match_event *me = p->under_way_first, *next; me; me = next) {
        next = me->next;
        match_leave(me);
        if (me->storing)
            match_cancel(me); /* the T2 under way frees it when it ends */
        else
            match_free(me);
    }
    for (; p->window_count > 0; p->window_count--, p->window_head++)
        match_free(p->window[p->window_head % PIPE_WINDOW]);
    match_lines_finish(p);
}

static bool may_begin(const struct peri_pipeline *p)
{
    return !p->draining && pipe_writable(p) && p->window_count > 0 && p->under_way < PIPE_UNDER_WAY &&
           p->pairs < PIPE_PAIRS && p->live_memory < PIPE_LIVES && p->live_runs < p->options.max_live_runs;
}

void match_pump(struct peri_pipeline *p)
{
    refill(p);
    match_lines_pump(p);
    while (may_begin(p)) {
        struct match_event *me = p->window[p->window_head];
        if (!caution_may_begin(p, me))
            break;
        p->window_head = (p->window_head + 1) % PIPE_WINDOW;
        p->window_count--;
        enter(me);
        bool begun = match_begin(p, me);
        if (!begun || me->open == 0)
            caution_decided(p, me);
        if (begun)
            continue;
        match_leave(me);
        p->window_head = (p->window_head + PIPE_WINDOW - 1) % PIPE_WINDOW;
        p->window[p->window_head] = me;
        p->window_count++;
        timer_due(p, PIPE_RETRY_MS, DUE_EVALUATION, 0, 0);
        break;
    }
    park(p);
    match_commit(p);
}
