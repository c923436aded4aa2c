/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "data/json.h"
#include "io/store_pace.h"
#include "run/exec_internal.h"
#include "run/lane.h"
#include "run/ledger.h"
#include "run/system.h"
#include "run/wait.h"

/* T3 and T4 in one: the run's new state, the rows of its steps, the events it emitted, and who may follow it in its
 * lane. The intent of a call is part of the transaction that ends the step before it. */

struct run_tx {
    struct live *live;
    struct peri_pipeline *p;
    struct peri_run_row row; /* texts below */
    char *pos, *vars, *error;
    struct track_text {
        int id;
        char *pos;
    } * tracks; /* branches that have changed */
    size_t track_count;
    enum peri_run_state expected;
    int64_t room; /* in its lane, when it has one */
    int64_t steady_ms;
    struct peri_run_ids promoted;
    struct peri_wait_hits hits;
    struct peri_run_effects effects;
    struct peri_event **events;
    size_t event_count;
    struct change *change;  /* to be answered after the commit */
    struct peri_rule *rule; /* step records borrow texts from it */
};

static void free_run_tx(struct run_tx *rt)
{
    for (size_t i = 0; i < rt->event_count; i++)
        peri_event_unref(rt->events[i]);
    free(rt->events);
    for (size_t i = 0; i < rt->track_count; i++)
        free(rt->tracks[i].pos);
    free(rt->tracks);
    peri_run_effects_finish(&rt->effects);
    free(rt->pos);
    free(rt->vars);
    free(rt->error);
    free(rt->promoted.items);
    free(rt->hits.items);
    peri_rule_unref(rt->rule);
    free(rt);
}

enum peri_status exec_put_record(
    struct peri_tx *tx, uint64_t run, const struct peri_step_record *r, struct peri_error *err)
{
    struct peri_step_row row = {.run = run,
        .n = r->n,
        .attempt = r->attempt,
        .path = r->path,
        .op = r->op,
        .step_id = r->step_id,
        .state = r->state,
        .started_ms = r->started_ms,
        .ended_ms = r->ended_ms,
        .params = r->params,
        .result = r->result,
        .error = r->error,
        .key = r->key};
    return peri_tx_step_put(tx, &row, err);
}

static enum peri_status put_reservation(
    struct peri_tx *tx, const struct run_tx *rt, const struct peri_run_reservation *r, struct peri_error *err)
{
    struct peri_pace_row row = {.bucket = r->bucket, .at = r->at, .keep = r->keep, .run = rt->row.id, .n = r->n};
    return peri_tx_pace_put(tx, &row, rt->steady_ms, err);
}

static bool in_lane(enum peri_run_state state)
{
    return !peri_run_is_final(state) && state != PERI_RUN_UNKNOWN;
}

/* A run that was with a person comes back only while its lane has room. */
static enum peri_status may_return(struct peri_tx *tx, const struct run_tx *rt, struct peri_error *err)
{
    struct peri_lane_facts facts;
    enum peri_status st = peri_tx_lane_facts(tx, rt->row.rule, rt->row.ckey, &facts, err);
    if (st == PERI_OK && rt->room > 0 && facts.live >= rt->room)
        st = peri_error_set(err, PERI_ESTATE, "lane.busy",
            "run-%llu is live in its lane: this one can go on when that has ended",
            (unsigned long long)facts.first_live);
    return st;
}

static enum peri_status update_run(struct peri_tx *tx, struct run_tx *rt, struct peri_error *err)
{
    bool queued = rt->expected == PERI_RUN_QUEUED;
    enum peri_status st = peri_tx_run_update(tx, &rt->row, rt->expected, err);
    if (st == PERI_EINTERNAL && queued) /* became ready on the way here, and has not begun */
        st = peri_tx_run_update(tx, &rt->row, PERI_RUN_READY, err);
    if (st != PERI_OK || !rt->row.ckey)
        return st;
    if (rt->expected == PERI_RUN_UNKNOWN && in_lane(rt->row.state)) {
        struct run_tx others = *rt;
        others.room = rt->room > 0 ? rt->room + 1 : 0; /* it counts itself by now */
        return may_return(tx, &others, err);
    }
    if (!in_lane(rt->row.state))
        return peri_tx_lane_promote(tx, rt->row.rule, rt->row.ckey, rt->room, &rt->promoted, err);
    return st;
}

static enum peri_status put_tracks(struct peri_tx *tx, const struct run_tx *rt, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < rt->effects.ended_count; i++)
        st = peri_tx_track_drop(tx, rt->row.id, rt->effects.ended[i], err);
    for (size_t i = 0; st == PERI_OK && i < rt->track_count; i++)
        st = peri_tx_track_put(tx, rt->row.id, rt->tracks[i].id, rt->tracks[i].pos, err);
    if (rt->track_count > 0)
        PERI_FAILPOINT("t4.tracks");
    return st;
}

/* What this very transaction emits is heard by others, and comes before what it begins to wait for. */
static enum peri_status put_waits(struct peri_tx *tx, struct run_tx *rt, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    rt->hits.count = 0;
    for (size_t i = 0; st == PERI_OK && i < rt->effects.unwait_count; i++)
        st = peri_tx_wait_drop(tx, rt->row.id, rt->effects.unwaits[i], err);
    if (st == PERI_OK)
        st = peri_waits_hear(tx, rt->events, rt->event_count, &rt->hits, err);
    for (size_t i = 0; st == PERI_OK && i < rt->effects.wait_count; i++)
        st = peri_waits_add(tx, rt->row.id, &rt->effects.waits[i], &rt->hits, err);
    if (rt->effects.wait_count > 0)
        PERI_FAILPOINT("t4.waits");
    if (rt->effects.unwait_count > 0)
        PERI_FAILPOINT("t4.heard");
    return st;
}

/* Who has answered what stands in the audit, in the transaction that takes the answer. */
static enum peri_status put_audit(struct peri_tx *tx, const struct run_tx *rt, struct peri_error *err)
{
    const struct change *change = rt->change;
    char target[PERI_ID_TEXT];
    if (change && (change->kind == PERI_INPUT_PAUSE || change->kind == PERI_INPUT_RESUME))
        return peri_tx_audit(tx, change->actor ? change->actor : "api",
            change->kind == PERI_INPUT_PAUSE ? "run.paused" : "run.resumed", peri_run_id(rt->row.id, target), NULL,
            err);
    if (!change || change->kind != PERI_INPUT_ANSWER)
        return PERI_OK;
    struct peri_value *detail = peri_value_map();
    if (!detail || peri_map_put_int(detail, "n", change->n) != PERI_OK ||
        peri_map_put_ref(detail, "answer", change->value) != PERI_OK) {
        peri_value_unref(detail);
        return peri_error_nomem(err);
    }
    enum peri_status st = peri_tx_audit(
        tx, change->actor ? change->actor : "api", "run.answered", peri_run_id(rt->row.id, target), detail, err);
    peri_value_unref(detail);
    return st;
}

static enum peri_status run_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct run_tx *rt = arg;
    rt->promoted.count = 0;
    enum peri_status st = update_run(tx, rt, err);
    PERI_FAILPOINT("t4.run");
    for (size_t i = 0; st == PERI_OK && i < rt->effects.record_count; i++)
        st = exec_put_record(tx, rt->row.id, &rt->effects.records[i], err);
    if (st == PERI_OK)
        st = put_tracks(tx, rt, err);
    for (size_t i = 0; st == PERI_OK && i < rt->event_count; i++)
        st = peri_tx_event_insert(tx, rt->events[i], err);
    if (st == PERI_OK)
        st = put_waits(tx, rt, err);
    if (st == PERI_OK)
        st = put_audit(tx, rt, err);
    if (rt->change)
        PERI_FAILPOINT("t4.change");
    for (size_t i = 0; st == PERI_OK && i < rt->effects.reservation_count; i++)
        st = put_reservation(tx, rt, &rt->effects.reservations[i], err);
    if (rt->effects.reservation_count > 0)
        PERI_FAILPOINT("t4.pace");
    PERI_FAILPOINT("t4.rows");
    return st == PERI_OK ? ledger_run(tx, &rt->row, rt->effects.records, rt->effects.record_count, err) : st;
}

static struct peri_event *make_event(const struct live *live, const struct peri_run_emit *emit)
{
    struct peri_event *event = peri_event_create();
    char cause[PERI_ID_TEXT];
    if (!event)
        return NULL;
    event->source = peri_asprintf("perigee:rule/%s", live->run->rule->id);
    event->type = peri_strdup(emit->type);
    event->data = peri_json_text(emit->data, PERI_JSON_COMPACT);
    event->data_len = event->data ? strlen(event->data) : 0;
    event->cause = peri_strdup(peri_run_id(live->run->id, cause));
    event->hops = live->event->hops + 1;
    event->received_ms = event->time_ms = pipe_now(live->p);
    if (!event->source || !event->type || !event->data || !event->cause) {
        peri_event_unref(event);
        return NULL;
    }
    return event;
}

static bool make_events(struct live *live, struct run_tx *rt)
{
    size_t count = rt->effects.emit_count;
    struct system_events all = {0};
    if (count > 0)
        rt->events = calloc(count, sizeof(*rt->events));
    for (size_t i = 0; rt->events && i < count; i++) {
        rt->events[i] = make_event(live, &rt->effects.emits[i]);
        if (!rt->events[i])
            return false;
        rt->event_count++;
    }
    all = (struct system_events){rt->events, rt->event_count};
    bool ok = system_transition(live, &rt->effects, &all);
    rt->events = all.items;
    rt->event_count = all.count;
    return ok && (count == 0 || rt->events != NULL);
}

static bool write_tracks(const struct peri_run *run, struct run_tx *rt)
{
    if (run->branch_count == 0)
        return true;
    rt->tracks = calloc(run->branch_count, sizeof(*rt->tracks));
    for (size_t i = 0; rt->tracks && i < run->branch_count; i++) {
        struct peri_track *track = run->branches[i];
        if (!track->touched)
            continue;
        char *pos = peri_track_write(track);
        if (!pos)
            return false;
        track->touched = false;
        rt->tracks[rt->track_count++] = (struct track_text){track->id, pos};
    }
    return rt->tracks != NULL;
}

static size_t rough_size(const struct run_tx *rt)
{
    size_t bytes = 256 + strlen(rt->pos) + strlen(rt->vars);
    for (size_t i = 0; i < rt->effects.record_count; i++) {
        const struct peri_step_record *r = &rt->effects.records[i];
        bytes += 128 + (r->params ? strlen(r->params) : 0) + (r->result ? strlen(r->result) : 0);
    }
    for (size_t i = 0; i < rt->track_count; i++)
        bytes += 64 + strlen(rt->tracks[i].pos);
    for (size_t i = 0; i < rt->event_count; i++)
        bytes += 256 + rt->events[i]->data_len;
    return bytes;
}

static void count_end(struct live *live)
{
    struct peri_pipeline *p = live->p;
    static const int slots[] = {0, 1, 2, 3};
    int slot = slots[(live->run->state - PERI_RUN_SUCCEEDED) & 3];
    p->live_runs--;
    p->counts.runs_ended[slot]++;
    peri_metric_add(p->metrics.ended[slot], 1);
    if (live->run->state == PERI_RUN_FAILED && p->counts.runs_ended[1] % 1000 == 0) {
        int64_t open, lost; /* whoever looks at no metrics hears of too many all the same */
        peri_pipeline_count_dead(p, &open, &lost);
    }
    if (live->run->state == PERI_RUN_FAILED && !peri_map_bool(live->run->error, "handled", false))
        peri_warn(p->options.log, "run", "run-%llu of %s failed: %s", (unsigned long long)live->run->id,
            live->run->rule->id,
            peri_map_text(live->run->error, "message") ? peri_map_text(live->run->error, "message") : "?");
}

/* --- results that come too late --- */

struct late_tx {
    struct peri_pipeline *p;
    struct peri_step_record *records;
    size_t count;
    uint64_t run;
    struct peri_rule *rule;
};

static enum peri_status late_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct late_tx *late = arg;
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < late->count; i++)
        st = exec_put_record(tx, late->run, &late->records[i], err);
    PERI_FAILPOINT("late.rows");
    return st;
}

static void late_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct late_tx *late = arg;
    struct peri_run_effects effects = {.records = late->records, .record_count = late->count};
    late->p->committing--;
    peri_run_effects_finish(&effects);
    peri_rule_unref(late->rule);
    free(late);
}

/* take records */
static void commit_late(
    struct peri_pipeline *p, uint64_t run, struct peri_rule *rule, struct peri_step_record *records, size_t count)
{
    struct late_tx *late = calloc(1, sizeof(*late));
    struct peri_run_effects effects = {.records = records, .record_count = count};
    if (!late) {
        peri_run_effects_finish(&effects);
        return;
    }
    *late = (struct late_tx){.p = p, .records = records, .count = count, .run = run, .rule = peri_rule_ref(rule)};
    p->committing++;
    if (pipe_commit(p, 1024, late_tx, late_done, late, true) == PERI_OK)
        return;
    p->committing--;
    peri_run_effects_finish(&effects);
    peri_rule_unref(late->rule);
    free(late);
}

/* The transition came too late, but what a call brought is kept: rows of ended attempts, not those of new ones. */
static void keep_late_rows(struct peri_pipeline *p, const struct run_tx *rt)
{
    struct run_tx *own = (struct run_tx *)(uintptr_t)rt;
    struct peri_step_record *records = calloc(rt->effects.record_count + 1, sizeof(*records));
    size_t count = 0;
    for (size_t i = 0; records && i < rt->effects.record_count; i++) {
        if (rt->effects.records[i].state == PERI_ATTEMPT_STARTED || !rt->effects.records[i].key)
            continue;
        records[count++] = own->effects.records[i];
        own->effects.records[i] = (struct peri_step_record){0};
    }
    if (count > 0)
        commit_late(p, rt->row.id, rt->rule, records, count);
    else
        free(records);
}

void exec_late(struct live *live, int track, const struct peri_call_result *result)
{
    struct peri_run_effects effects;
    peri_run_effects_init(&effects);
    if (peri_run_late(live->run, track, result->status == PERI_OK, result->value, &result->error, pipe_now(live->p),
            &effects) != PERI_OK) {
        peri_run_effects_finish(&effects);
        return;
    }
    commit_late(live->p, live->run->id, live->run->rule, effects.records, effects.record_count);
}

/* The store says no for a reason of its own. Another stored state than this process believes: never guess, begin again
 * from what is stored, as after a restart (an intent whose call was not made counts as open). Anything else would fail
 * again: the run is declared failed. */
static void refused(struct live *live, const struct run_tx *rt, enum peri_status st, const struct peri_error *err)
{
    struct peri_pipeline *p = live->p;
    if (st == PERI_ESTATE) { /* T2 has ended it, or its lane does not let it go on: what is stored is right */
        if (live->stopped)
            keep_late_rows(p, rt);
        if (live->stopped && live_calling(live))
            return; /* until those calls have ended */
        live_forget(live);
        return;
    }
    struct peri_error why = {0};
    uint64_t id = live->run->id;
    enum peri_run_state stored = live->stored;
    (void)peri_error_set(
        &why, st, NULL, "its transition could not be stored: %s", err ? err->message : peri_status_name(st));
    peri_err(p->options.log, "run", "run-%llu: %s", (unsigned long long)id, why.message);
    peri_metric_add(p->metrics.bugs, 1);
    live_forget(live);
    if (st == PERI_EINTERNAL)
        timer_due(p, PIPE_RETRY_MS, DUE_WAKE, id, 0);
    else
        exec_bury(p, id, stored, &why);
}

static void run_tx_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct run_tx *rt = arg;
    struct live *live = rt->live;
    struct peri_pipeline *p = rt->p;
    p->committing--;
    PERI_FAILPOINT("t4.done");
    if (rt->change) {
        PERI_FAILPOINT("t4.changed");
        change_answer(rt->change, st, rt->row.id, err);
    }
    if (p->dead) {
        live_free(live);
        free_run_tx(rt);
        return;
    }
    live->committing = false;
    if (st != PERI_OK) {
        refused(live, rt, st, err);
        free_run_tx(rt);
        return;
    }
    bool changed = live->stored != rt->row.state;
    live->stored = rt->row.state;
    live->unstarted = false;
    p->counts.steps += (int64_t)rt->effects.record_count;
    peri_metric_add(p->metrics.steps, (int64_t)rt->effects.record_count);
    for (size_t i = 0; i < rt->event_count; i++)
        pipe_journaled(p, rt->events[i]);
    if (changed)
        pipe_notify_run(p, rt->row.id, live->run->rule->id, live->event->seq, live->stored);
    live_promoted(p, &rt->promoted);
    if (peri_run_is_final(live->stored))
        count_end(live);
    live->leading = true; /* what it has heard comes after what it was about to do */
    live_heard(p, &rt->hits);
    live->leading = false;
    free_run_tx(rt);
    live_lead(live);
}

/* take effects and change */
void exec_commit(struct live *live, struct peri_run_effects *effects, struct change *change)
{
    struct peri_pipeline *p = live->p;
    const struct peri_run *run = live->run;
    struct run_tx *rt = calloc(1, sizeof(*rt));
    if (!rt) {
        peri_run_effects_finish(effects);
        goto nomem;
    }
    rt->effects = *effects;
    peri_run_effects_init(effects);
    rt->rule = peri_rule_ref(run->rule);
    if (peri_run_write(run, &rt->pos, &rt->vars, &rt->error) != PERI_OK || !make_events(live, rt) ||
        !write_tracks(run, rt)) {
        free_run_tx(rt);
        goto nomem;
    }
    rt->live = live;
    rt->p = p;
    rt->expected = live->stored;
    rt->change = change;
    rt->row = (struct peri_run_row){.id = run->id,
        .rule = run->rule->id,
        .rhash = run->rule->hash,
        .event = live->event->seq,
        .state = run->state,
        .pos = rt->pos,
        .vars = rt->vars,
        .wake_ms = run->wake_ms,
        .base_ms = run->base_ms,
        .wall = run->wall,
        .created_ms = run->created_ms,
        .ended_ms = run->ended_ms,
        .error = rt->error,
        .interruptions = run->interruptions,
        .ckey = run->ckey};
    rt->steady_ms = pipe_steady(p);
    rt->room = run->ckey ? lanes_room(p, run->rule, run->ckey) : 0;
    live->committing = true;
    p->committing++;
    enum peri_status st = pipe_commit_repeatable(p, rough_size(rt), run_tx, run_tx_done, rt, true);
    if (st == PERI_OK)
        return;
    live->committing = false;
    p->committing--;
    rt->change = NULL;
    free_run_tx(rt);
nomem:
    if (change) {
        struct peri_error err = {0};
        change_answer(change, peri_error_nomem(&err), live->run->id, &err);
    }
    live_reread(live);
}
