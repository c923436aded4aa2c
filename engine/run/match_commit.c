/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "base/vec.h"
#include "run/system.h"
#include "run/match_internal.h"
#include "run/verdict.h"

/* What becomes a T2, and what follows from it. */

/* --- after the commit --- */

/* It was stored as ended. */
static void run_over(struct peri_pipeline *p, const struct match_rule *mr)
{
    int64_t steps = (int64_t)mr->ahead->effects.record_count;
    uint64_t seq = mr->event->event->seq;
    p->counts.runs_started++;
    peri_metric_add(p->metrics.started, 1);
    p->counts.steps += steps;
    peri_metric_add(p->metrics.steps, steps);
    p->counts.runs_ended[0]++;
    peri_metric_add(p->metrics.ended[0], 1);
    pipe_notify_run(p, mr->run, mr->rule->id, seq, PERI_RUN_READY);
    pipe_notify_run(p, mr->run, mr->rule->id, seq, PERI_RUN_SUCCEEDED);
}

static void start_run(struct peri_pipeline *p, const struct match_tx *mt, struct match_rule *mr)
{
    struct match_event *me = mr->event;
    struct peri_flow flow;
    edits_look(p, mr->rule);
    p->live_runs++;
    p->counts.runs_started++;
    peri_metric_add(p->metrics.started, 1);
    pipe_notify_run(
        p, mr->run, mr->rule->id, me->event->seq, mr->outcome == MATCH_QUEUED ? PERI_RUN_QUEUED : PERI_RUN_READY);
    if (mr->outcome == MATCH_QUEUED || peri_lane_stopped(&mt->stops, mr->run))
        return;
    if (p->caution.left > 0) { /* what stops the engine must be an event */
        (void)resume_push(p, mr->run, 0);
        return;
    }
    struct peri_run *run = peri_run_create(mr->full, p->kprefix, mt->now_ms);
    if (run) {
        run->id = mr->run;
        run->ckey = peri_strdup(peri_lane_of(mr->rule, mr->fired, mr->key, &flow));
        run->event = peri_value_ref(me->payload);
        run->trigger = peri_value_ref(mr->trigger_value);
        run->first_seq = run->track.since = me->event->seq;
    }
    struct live *live = run ? live_add(p, run, me->event) : NULL;
    if (live && !live_roots(live, mr->fired->id)) {
        live_forget(live);
        live = NULL;
    }
    if (!live) { /* out of memory: once more, from the store */
        (void)resume_push(p, mr->run, 0);
        return;
    }
    live->behind = mr->behind;
    live_input(live, PERI_INPUT_GO, 0);
}

static bool is_of(const struct match_item *item, const char *rule)
{
    for (size_t i = 0; i < item->count; i++)
        if (item->pairs[i]->fired && peri_streq(item->pairs[i]->rule->id, rule))
            return true;
    return false;
}

/* Runs that were made without our hearing of it. */
static void adopt_runs(struct peri_pipeline *p, const struct match_item *item)
{
    struct peri_run_filter filter = {.event = item->event->event->seq, .state = "live", .limit = 1000};
    struct peri_value *list = NULL;
    struct peri_error err = {0};
    if (peri_reader_runs(p->reader, &filter, &list, &err) != PERI_OK)
        peri_err(p->options.log, "match", "ev-%llu: its runs could not be read, they wait for the next start: %s",
            (unsigned long long)filter.event, err.message);
    for (size_t i = 0; i < peri_value_count(list); i++) {
        const char *text = peri_map_text(peri_list_at(list, i), "id");
        uint64_t id;
        if (!text || !peri_run_id_parse(text, &id) || live_find(p, id) ||
            !is_of(item, peri_map_text(peri_list_at(list, i), "rule")))
            continue;
        p->live_runs++;
        (void)resume_push(p, id, 0);
    }
    peri_value_unref(list);
}

static void count_verdict(struct peri_pipeline *p, const struct match_rule *mr)
{
    const struct peri_value *verdict = mr->told ? mr->told : mr->verdict;
    const char *word = peri_map_text(verdict, "verdict");
    int kind = peri_verdict_index(word || !mr->fired ? word : PERI_VERDICT_FIRED);
    p->counts.verdicts[kind]++;
    peri_metric_add(p->metrics.verdicts[kind], 1);
}

static void event_ended(struct peri_pipeline *p, struct match_event *me)
{
    if (!me->at_once)
        p->unmatched--;
    if (me->dead) {
        p->counts.dead++;
        peri_metric_add(p->metrics.dead, 1);
        p->counts.verdicts[peri_verdict_index(PERI_VERDICT_DEAD)]++;
        peri_metric_add(p->metrics.verdicts[peri_verdict_index(PERI_VERDICT_DEAD)], 1);
    } else {
        p->counts.matched++;
        peri_metric_add(p->metrics.matched, 1);
    }
    if (!me->dead && !me->heard) {
        p->counts.unheard++;
        peri_metric_add(p->metrics.unheard, 1);
    }
    pipe_notify_event(p, me->event, me->dead ? "dead" : "matched");
}

void match_item_stored(struct peri_pipeline *p, const struct match_tx *mt, const struct match_item *item)
{
    for (size_t i = 0; i < item->count; i++) {
        struct match_rule *mr = item->pairs[i];
        count_verdict(p, mr);
        if (mr->run && (mr->outcome == MATCH_STARTED || mr->outcome == MATCH_QUEUED))
            start_run(p, mt, mr);
        else if (mr->run && mr->outcome == MATCH_ENDED)
            run_over(p, mr);
    }
    match_cancels_finish(item->event);
    if (item->event->stored_before)
        adopt_runs(p, item);
    item->event->stored_before = false;
    if (item->last && item->event->unmatched > 0) {
        int kind = peri_verdict_index(PERI_VERDICT_NO);
        p->counts.verdicts[kind] += (int64_t)item->event->unmatched;
        peri_metric_add(p->metrics.verdicts[kind], (int64_t)item->event->unmatched);
        item->event->hearing->stored = true;
        if (item->event->hearing->named < item->names)
            item->event->hearing->named = item->names;
    }
    if (item->last)
        event_ended(p, item->event);
}

static void park_or_keep(struct match_event *me)
{
    bool only_waits = me->open > 0 && me->open == me->rule_count && me->asking == 0;
    me->parking = false;
    if (!only_waits || !match_line_park(me))
        return;
    match_leave(me);
    match_free(me);
}

/* The pairs of the item are history; the others of the event go on. */
static void forget_stored(struct match_item *item)
{
    struct match_event *me = item->event;
    size_t kept = 0;
    me->storing = false;
    if (item->last) {
        match_leave(me);
        match_free(me);
        return;
    }
    for (size_t i = 0; i < me->rule_count; i++) {
        if (me->rules[i]->storing)
            match_pair_free(me->rules[i]);
        else
            me->rules[kept++] = me->rules[i];
    }
    me->rule_count = kept;
    free(me->stored);
    size_t len = strlen(item->verdicts);
    me->stored = item->verdicts;
    memmove(me->stored, me->stored + 1, len - 2);
    me->stored[len - 2] = '\0';
    item->verdicts = NULL;
    if (me->parking)
        park_or_keep(me);
}

static struct match_rule *rule_of_run(const struct match_tx *mt, uint64_t run)
{
    for (size_t e = 0; run && e < mt->count; e++)
        for (size_t r = 0; r < mt->items[e].count; r++)
            if (mt->items[e].pairs[r]->run == run)
                return mt->items[e].pairs[r];
    return NULL;
}

/* Whoever takes the place of a run whose call is still under way lets it end before a call of its own; also in place of
 * one that was made and stopped in this very batch. */
static void note_followers(struct match_tx *mt)
{
    for (size_t i = 0; i < mt->stops.count; i++) {
        const struct peri_lane_stop *stop = &mt->stops.items[i];
        struct match_rule *old = rule_of_run(mt, stop->run), *next = rule_of_run(mt, stop->by);
        uint64_t behind = live_stopped(mt->p, stop);
        if (!behind && old && old->behind)
            behind = live_pass_on(mt->p, old->behind, stop->by);
        if (next && behind)
            next->behind = behind;
    }
}

void match_tx_free(struct match_tx *mt)
{
    for (size_t i = 0; i < mt->count; i++)
        free(mt->items[i].verdicts);
    match_drop_found(mt);
    free(mt->found);
    peri_lane_stops_finish(&mt->stops);
    free(mt->cancelled.items);
    free(mt->promoted.items);
    free(mt->items);
    free(mt->pairs);
    free(mt);
}

/* Nothing is stored: all of it may be tried again. */
static void give_back(struct match_tx *mt)
{
    for (size_t i = 0; i < mt->count; i++) {
        struct match_item *item = &mt->items[i];
        for (size_t k = 0; k < item->count; k++)
            item->pairs[k]->storing = false;
        item->event->storing = false;
        match_ready(item->event);
    }
}

/* A batch that the store refuses for a reason of its own is tried again event by event; the one that is refused alone
 * is set aside, so that it holds up nobody. */
static void batch_refused(
    struct peri_pipeline *p, struct match_tx *mt, enum peri_status st, const struct peri_error *err)
{
    const char *text = err ? err->message : peri_status_name(st);
    struct match_event *me = mt->items[0].event;
    give_back(mt);
    if (mt->count > 1) {
        p->batch_limit = 1;
        return;
    }
    peri_err(
        p->options.log, "match", "ev-%llu cannot be stored as matched: %s", (unsigned long long)me->event->seq, text);
    if (!me->dead) {
        match_set_aside(me, "its verdicts or runs could not be stored");
        return;
    }
    match_leave(me); /* not even that: it stays in the journal until the next start */
    match_free(me);
}

static void stored(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct match_tx *mt = arg;
    struct peri_pipeline *p = mt->p;
    p->match_in_tx = 0;
    PERI_FAILPOINT("t2.done");
    if (p->dead) {
        for (size_t i = 0; i < mt->count; i++)
            match_free(mt->items[i].event);
    } else if (st != PERI_OK) {
        batch_refused(p, mt, st, err);
    } else {
        p->batch_limit = PIPE_MATCH_BATCH;
        note_followers(mt);
        live_promoted(p, &mt->promoted);
        watch_planned(p, mt->next_due);
        peri_metric_add(p->metrics.evicted, (int64_t)mt->evicted);
        for (size_t i = 0; i < mt->count; i++)
            match_item_stored(p, mt, &mt->items[i]);
        flow_sample(p);
        for (size_t i = 0; i < mt->count; i++)
            forget_stored(&mt->items[i]);
        for (size_t i = 0; i < mt->found_count; i++)
            pipe_journaled(p, mt->found[i]);
        system_stops_told(p, &mt->stops);
    }
    match_tx_free(mt);
}

/* --- before it --- */

/* Position and variables of a run that has not begun: the same for all, so they are written once. */
static bool prepare_start(struct peri_pipeline *p, const struct match_rule *mr)
{
    char *error = NULL;
    if (p->start.pos)
        return true;
    struct peri_run *run = peri_run_create(mr->full, p->kprefix, 0);
    bool ok = run && peri_run_write(run, &p->start.pos, &p->start.vars, &error) == PERI_OK;
    free(error);
    peri_run_destroy(run);
    return ok;
}

/* What T2 needs of a pair that fired. False: memory is out. */
static bool prepare(struct match_tx *mt, struct match_rule *mr, bool ahead, size_t *bytes)
{
    if (!ahead) { /* of a try that was not stored */
        match_ahead_free(mr->ahead);
        mr->ahead = NULL;
    } else {
        *bytes += match_run_ahead(mr, mt->now_ms);
    }
    return mr->ahead || prepare_start(mt->p, mr);
}

/* The pairs of an event that may be stored now, marked and appended to mt->pairs. False: memory is out. */
static bool gather(struct match_tx *mt, struct match_event *me, size_t *pair_cap, struct match_item *item, size_t at)
{
    if (!peri_vec_grow(&mt->pairs, pair_cap, at + me->rule_count, sizeof(*mt->pairs)))
        return false;
    *item = (struct match_item){.event = me};
    for (size_t i = 0; i < me->rule_count; i++) {
        struct match_rule *mr = me->rules[i];
        if (!mr->decided || (match_matters(mr) && match_line_held(mr)))
            continue;
        mr->storing = true;
        mt->pairs[at + item->count++] = mr;
    }
    item->last = item->count == me->rule_count;
    item->new_hearing = me->hearing && !me->hearing->stored;
    item->named = me->hearing ? me->hearing->named : 0;
    return true;
}

/* All of an event is best; a part of it when others fired and wait for nothing else, or wait long. */
static bool worth_it(const struct match_item *item)
{
    const struct match_event *me = item->event;
    bool matters = false;
    if (item->last || (me->parking && item->count > 0))
        return true;
    for (size_t i = 0; i < item->count; i++)
        matters = matters || match_matters(item->pairs[i]);
    return matters && (me->impatient || me->open == 0);
}

static void leave_out(struct peri_pipeline *p, struct match_item *item)
{
    for (size_t i = 0; i < item->count; i++)
        item->pairs[i]->storing = false;
    p->match_serial++; /* what lines have seen of this T2 is not so */
    if (item->event->parking)
        park_or_keep(item->event);
}

/* False: memory is out. What has been chosen is fine nevertheless. */
static bool choose(struct peri_pipeline *p, struct match_tx *mt, size_t *ret_bytes)
{
    size_t item_cap = 0, pair_cap = 0, at = 0;
    bool good = true, ahead = match_may_run_ahead(p);
    p->match_serial++;
    while (good && p->ready_first && mt->count < p->batch_limit && *ret_bytes < MATCH_TX_BYTES) {
        struct match_event *me = p->ready_first;
        good = peri_vec_grow(&mt->items, &item_cap, mt->count + 1, sizeof(*mt->items));
        struct match_item *item = good ? &mt->items[mt->count] : NULL;
        good = good && gather(mt, me, &pair_cap, item, at);
        if (!good)
            break;
        match_unready(me);
        item->pairs = mt->pairs ? mt->pairs + at : NULL;
        if (!worth_it(item)) {
            leave_out(p, item);
            continue;
        }
        for (size_t i = 0; good && i < item->count; i++)
            good = !item->pairs[i]->fired || prepare(mt, item->pairs[i], ahead, ret_bytes);
        me->storing = true;
        mt->count++;
        at += item->count;
        *ret_bytes += 128 + 512 * item->count;
    }
    at = 0;
    for (size_t i = 0; i < mt->count; i++) { /* the array may have moved */
        mt->items[i].pairs = mt->pairs ? mt->pairs + at : NULL;
        at += mt->items[i].count;
    }
    return good;
}

void match_commit(struct peri_pipeline *p)
{
    size_t bytes = 0;
    if (p->match_in_tx || !p->ready_first)
        return;
    struct match_tx *mt = calloc(1, sizeof(*mt));
    if (mt) {
        mt->p = p;
        mt->now_ms = pipe_now(p);
        mt->steady_ms = pipe_steady(p);
    }
    bool good = mt && choose(p, mt, &bytes);
    if (good && mt->count > 0) {
        mt->start = p->start;
        mt->kprefix = p->kprefix;
        system_stops_prepare(p, &mt->stops);
        p->match_in_tx = mt->count;
        if (pipe_commit_repeatable(p, bytes, match_store, stored, mt, true) == PERI_OK)
            return;
        p->match_in_tx = 0;
        good = false;
    }
    if (!good)
        timer_due(p, PIPE_RETRY_MS, DUE_EVALUATION, 0, 0);
    if (!mt)
        return;
    give_back(mt);
    match_tx_free(mt);
}
