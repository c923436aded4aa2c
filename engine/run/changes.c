/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "io/store_ledger.h"
#include "io/store_tasks.h"
#include "run/system.h"
#include "run/lane.h"
#include "run/pipeline_internal.h"
#include "run/scope.h"

/* Changes that people ask for: cancel, resolve, answer, retry, replay. */

static enum peri_status not_ready(const struct peri_pipeline *p, struct peri_error *err)
{
    if (p->started && !p->draining && !p->dead)
        return PERI_OK;
    return peri_error_set(err, PERI_ESTATE, "state", "the service is %s", p->started ? "stopping" : "starting");
}

static enum peri_status state_error(enum peri_run_state state, const char *want, struct peri_error *err)
{
    return peri_error_set(err, PERI_ESTATE, "state", "the run is %s, it must be %s", peri_run_state_name(state), want);
}

/* --- cancel, resolve: an input for a live run --- */

/* Is the change possible, and of which step? `what` is for that. */
typedef enum peri_status (*change_check)(
    const struct live *live, struct change *change, const char *what, struct peri_error *err);

static void free_change(struct change *change)
{
    peri_value_unref(change->value);
    free(change->actor);
    free(change);
}

/* take what input owns */
static enum peri_status change_run(struct peri_pipeline *p, uint64_t id, const struct change *input, change_check check,
    const char *what, struct peri_error *err)
{
    struct live *live = live_find(p, id);
    struct change *change = malloc(sizeof(*change));
    bool loaded = !live;
    enum peri_status st = not_ready(p, err);
    if (change)
        *change = *input;
    else
        st = peri_error_nomem(err);
    if (st == PERI_OK && !live)
        st = live_load(p, id, &live, err);
    if (st == PERI_OK && (!live || live->stopped))
        st = peri_error_set(err, PERI_ESTATE, "state", "run-%llu has ended", (unsigned long long)id);
    if (st == PERI_OK && check)
        st = check(live, change, what, err);
    if (st != PERI_OK) {
        if (change)
            free_change(change);
        if (loaded && live)
            live_forget(live);
        return st;
    }
    pipe_hold(p);
    live_change(live, change);
    pipe_pump_later(p);
    pipe_release(p);
    return PERI_OK;
}

enum peri_status peri_pipeline_cancel(
    struct peri_pipeline *p, uint64_t run, peri_change_done done, void *arg, struct peri_error *err)
{
    struct change change = {.kind = PERI_INPUT_CANCEL, .done = done, .arg = arg};
    return change_run(p, run, &change, NULL, NULL, err);
}

static enum peri_status check_unknown(
    const struct live *live, struct change *change, const char *what, struct peri_error *err)
{
    return peri_run_track_in(live->run, PERI_PHASE_UNKNOWN) ? PERI_OK : state_error(live->run->state, "unknown", err);
}

enum peri_status peri_pipeline_resolve(struct peri_pipeline *p, uint64_t run, const char *decision,
    peri_change_done done, void *arg, struct peri_error *err)
{
    static const char *const words[] = {
        [PERI_DECIDE_DONE] = "done", [PERI_DECIDE_AGAIN] = "again", [PERI_DECIDE_FAIL] = "fail"};
    struct change change = {.kind = PERI_INPUT_RESOLVED, .done = done, .arg = arg};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (peri_streq(decision, words[i])) {
            change.decision = (enum peri_run_decision)i;
            return change_run(p, run, &change, check_unknown, NULL, err);
        }
    }
    return peri_error_set(err, PERI_EINVAL, "decision", "a decision is \"done\", \"again\" or \"fail\", not \"%s\"",
        decision ? decision : "");
}

/* --- pause, resume --- */

static enum peri_status check_going(
    const struct live *live, struct change *change, const char *what, struct peri_error *err)
{
    const struct peri_run *run = live->run;
    if (run->paused_ms && run->state != PERI_RUN_PAUSED)
        return peri_error_set(err, PERI_ESTATE, "state", "the run is being paused: its call has not ended yet");
    if (run->state == PERI_RUN_PAUSED || run->state == PERI_RUN_QUEUED || run->state == PERI_RUN_UNKNOWN)
        return state_error(run->state, "ready, running, sleeping or waiting", err);
    return PERI_OK;
}

enum peri_status peri_pipeline_pause(
    struct peri_pipeline *p, uint64_t run, const char *actor, peri_change_done done, void *arg, struct peri_error *err)
{
    struct change change = {.kind = PERI_INPUT_PAUSE, .actor = peri_strdup(actor), .done = done, .arg = arg};
    return change_run(p, run, &change, check_going, NULL, err);
}

static enum peri_status check_paused(
    const struct live *live, struct change *change, const char *what, struct peri_error *err)
{
    if (live->run->paused_ms)
        return PERI_OK;
    if (live->run->state == PERI_RUN_PAUSED) /* not by a person */
        return peri_error_set(err, PERI_ESTATE, "recovered", "the run was paused by `perigee recover'");
    return state_error(live->run->state, "paused", err);
}

enum peri_status peri_pipeline_resume(
    struct peri_pipeline *p, uint64_t run, peri_change_done done, void *arg, struct peri_error *err)
{
    struct change change = {.kind = PERI_INPUT_RESUME, .done = done, .arg = arg};
    enum peri_status st = change_run(p, run, &change, check_paused, NULL, err);
    return st == PERI_ESTATE && peri_streq(err->code, "recovered") ? pause_resume(p, run, done, arg, err) : st;
}

/* --- answers --- */

static const struct peri_track *asking(const struct peri_run *run, const char *step)
{
    long long n = 0;
    if (!step)
        return peri_run_track_in(run, PERI_PHASE_APPROVE);
    if (peri_parse_i64(step, &n) && n > 0 && n <= PERI_RUN_STEPS_MAX)
        return peri_run_track_at(run, PERI_PHASE_APPROVE, (int)n);
    for (size_t i = 0; i <= run->branch_count; i++) {
        const struct peri_track *track = i == 0 ? &run->track : run->branches[i - 1];
        if (track->phase == PERI_PHASE_APPROVE && peri_streq(peri_track_step(track)->id, step))
            return track;
    }
    return NULL;
}

static enum peri_status check_answer(
    const struct live *live, struct change *change, const char *what, struct peri_error *err)
{
    const struct peri_track *track = asking(live->run, what);
    struct peri_schema_report report = {0};
    if (!track)
        return peri_error_set(err, PERI_ESTATE, "state", "run-%llu does not wait for an answer%s%.64s",
            (unsigned long long)live->run->id, what ? " to " : "", what ? what : "");
    const struct peri_step *step = peri_track_step(track);
    change->n = track->n;
    enum peri_status st = PERI_OK;
    if (peri_value_names_secret(change->value))
        st = peri_error_set(err, PERI_EINVAL, "answer", "an answer cannot name a secret");
    else if (!step->schema && !peri_value_is(change->value, PERI_BOOL))
        st = peri_error_set(err, PERI_EINVAL, "answer", "the answer must be true or false, is %s",
            peri_type_name(peri_value_type(change->value)));
    else if (step->schema)
        st = peri_schema_check(step->schema, change->value, &report);
    if (st == PERI_ENOMEM)
        st = peri_error_nomem(err);
    else if (st != PERI_OK && report.count > 0)
        st = peri_error_set(err, PERI_EINVAL, "answer", "the answer%s%s %s",
            report.count && *report.items[0].pointer ? " at " : "", report.count ? report.items[0].pointer : "",
            report.count ? report.items[0].message : "does not fit its schema");
    peri_schema_report_finish(&report);
    return st;
}

enum peri_status peri_pipeline_answer(struct peri_pipeline *p, uint64_t run, const char *step,
    const struct peri_value *answer, const char *actor, peri_change_done done, void *arg, struct peri_error *err)
{
    struct change change = {.kind = PERI_INPUT_ANSWER,
        .value = peri_value_ref(answer),
        .actor = peri_strdup(actor),
        .done = done,
        .arg = arg};
    return change_run(p, run, &change, check_answer, step, err);
}

/* --- retry: a new run --- */

struct retry {
    struct peri_pipeline *p;
    struct peri_rule *rule;
    char *trigger, *pos, *vars;
    uint64_t event, retry_of, id;
    int64_t now_ms;
    enum peri_run_state state; /* of the old run */
    char rhash[65];
    char *rule_id, *key;
    enum peri_run_state made; /* of the new one: ready or queued */
    struct peri_lane_stops stops;
    peri_change_done done;
    void *arg;
};

static void free_retry(struct retry *r)
{
    peri_rule_unref(r->rule);
    free(r->trigger);
    free(r->rule_id);
    free(r->key);
    peri_lane_stops_finish(&r->stops);
    free(r->pos);
    free(r->vars);
    free(r);
}

static enum peri_status retry_row(void *arg, const struct peri_run_row *row)
{
    struct retry *r = arg;
    r->trigger = peri_strdup(row->trigger);
    r->rule_id = peri_strdup(row->rule);
    r->event = row->event;
    r->state = row->state;
    snprintf(r->rhash, sizeof(r->rhash), "%s", row->rhash);
    return r->trigger && r->rule_id ? PERI_OK : PERI_ENOMEM;
}

/* A retry stands in line like any other run. */
static enum peri_status retry_admit(struct peri_tx *tx, struct retry *r, struct peri_error *err)
{
    char text[PERI_LANE_TEXT] = "";
    struct peri_lane_decision decision;
    r->made = PERI_RUN_READY;
    peri_lane_stops_begin(&r->stops);
    if (r->rule->flow.mode == PERI_MODE_NONE)
        return PERI_OK;
    enum peri_status st = peri_lane_admit(tx, r->rule, &r->rule->flow, r->key, &decision, &r->stops, text, err);
    if (st == PERI_OK && decision.kind == PERI_LANE_DROP)
        return peri_error_set(err, PERI_ESTATE, "lane.busy", "%s", text);
    if (decision.kind == PERI_LANE_QUEUE)
        r->made = PERI_RUN_QUEUED;
    return st;
}

static enum peri_status retry_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct retry *r = arg;
    enum peri_status st = retry_admit(tx, r, err);
    if (st != PERI_OK)
        return st;
    struct peri_run_row row = {.rule = r->rule->id,
        .rhash = r->rule->hash,
        .event = r->event,
        .trigger = r->trigger,
        .state = r->made,
        .pos = r->pos,
        .vars = r->vars,
        .kprefix = r->p->kprefix,
        .retry_of = r->retry_of,
        .created_ms = r->now_ms,
        .ckey = r->key,
        .change = (int)r->rule->flow.on_change};
    char id[PERI_ID_TEXT], note[PERI_ID_TEXT + 16];
    st = peri_tx_ruleset_put(tx, r->rule->hash, r->rule->text, r->rule->id, err);
    if (st == PERI_OK)
        st = peri_tx_run_insert(tx, &row, &r->id, err);
    snprintf(note, sizeof(note), "retried as %s", peri_run_id(r->id, id));
    if (st == PERI_OK)
        st = peri_tx_task_moved(tx, r->retry_of, r->id, err);
    PERI_FAILPOINT("retry.rows");
    return st == PERI_OK ? peri_tx_dead_resolve_run(tx, r->retry_of, note, err) : st;
}

static void answer(peri_change_done done, void *arg, enum peri_status st, const char *id, const struct peri_error *err)
{
    struct peri_value *value = st == PERI_OK ? peri_value_map() : NULL;
    if (value && peri_map_put_text(value, "id", id) != PERI_OK) {
        peri_value_unref(value);
        value = NULL;
    }
    if (done)
        done(arg, st, value, err);
    peri_value_unref(value);
}

/* In place of a run whose call is under way it lets that call end first. */
void changes_begin(struct peri_pipeline *p, uint64_t run, uint64_t behind)
{
    struct live *live = NULL;
    struct peri_error err;
    if (!behind || live_load(p, run, &live, &err) != PERI_OK || !live) {
        (void)resume_push(p, run, 0);
        return;
    }
    live->behind = behind;
    live_input(live, PERI_INPUT_RESTARTED, PERI_TRACK_ALL);
}

static void retry_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    PERI_FAILPOINT("retry.done");
    struct retry *r = arg;
    struct peri_pipeline *p = r->p;
    char id[PERI_ID_TEXT];
    p->committing--;
    if (!p->dead && st == PERI_OK) {
        p->live_runs++;
        p->counts.runs_started++;
        peri_metric_add(p->metrics.started, 1);
        pipe_notify_run(p, r->id, r->rule->id, r->event, r->made);
        uint64_t behind = 0;
        for (size_t i = 0; i < r->stops.count; i++) {
            r->stops.items[i].by = r->id;
            uint64_t under_way = live_stopped(p, &r->stops.items[i]);
            behind = under_way ? under_way : behind;
        }
        if (r->made == PERI_RUN_READY)
            changes_begin(p, r->id, behind);
        system_stops_told(p, &r->stops);
    }
    answer(r->done, r->arg, st, peri_run_id(r->id, id), err);
    free_retry(r);
}

/* The rule as it is now, so that a correction takes effect; as it was, when it is gone. */
static enum peri_status retry_rule(struct peri_pipeline *p, struct retry *r, struct peri_error *err)
{
    struct peri_rule *rule = pipe_rule_by_id(p, r->rule_id);
    struct peri_error ignored;
    char *error = NULL;
    if (!rule && pipe_rule_by_hash(p, r->rhash, &rule, &ignored) != PERI_OK)
        return peri_error_set(err, PERI_ENOTFOUND, "rule", "rule %s is not loaded and its text is gone", r->rule_id);
    enum peri_status st = pipe_rule_full(p, rule, &rule, err);
    if (st != PERI_OK)
        return st;
    r->rule = peri_rule_ref(rule);
    struct peri_run *run = peri_run_create(rule, p->kprefix, r->now_ms);
    st = run ? peri_run_write(run, &r->pos, &r->vars, &error) : PERI_ENOMEM;
    free(error);
    peri_run_destroy(run);
    return st == PERI_OK ? st : peri_error_nomem(err);
}

static enum peri_status retry_key(
    struct peri_pipeline *p, struct retry *r, const struct peri_event *event, struct peri_error *err)
{
    if (!peri_rule_has_lane(r->rule))
        return PERI_OK;
    struct peri_value *payload = peri_scope_event(event), *rule = peri_scope_rule(r->rule);
    struct peri_value *trigger = payload ? peri_scope_trigger(event, payload, r->trigger) : NULL;
    struct peri_match_scope roots = {.event = payload, .trigger = trigger, .rule = rule};
    struct peri_scope scope = peri_match_scope(&roots, r->now_ms, p->options.tz);
    enum peri_status st =
        payload && rule && trigger ? peri_scope_key(r->rule->flow.key, &scope, &r->key, err) : peri_error_nomem(err);
    peri_value_unref(payload);
    peri_value_unref(rule);
    peri_value_unref(trigger);
    return st;
}

enum peri_status peri_pipeline_retry(
    struct peri_pipeline *p, uint64_t run, peri_change_done done, void *arg, struct peri_error *err)
{
    struct peri_event *event = NULL;
    enum peri_status st = not_ready(p, err);
    if (st != PERI_OK)
        return st;
    struct retry *r = calloc(1, sizeof(*r));
    if (!r)
        return peri_error_nomem(err);
    r->p = p;
    r->retry_of = run;
    r->now_ms = pipe_now(p);
    system_stops_prepare(p, &r->stops);
    r->done = done;
    r->arg = arg;
    st = peri_reader_run_row(p->reader, run, retry_row, r, err);
    if (st == PERI_OK && !peri_run_is_final(r->state))
        st = state_error(r->state, "ended", err);
    if (st == PERI_OK)
        st = peri_reader_event(p->reader, r->event, &event, err);
    if (st == PERI_OK)
        st = retry_rule(p, r, err);
    if (st == PERI_OK)
        st = retry_key(p, r, event, err);
    peri_event_unref(event);
    if (st == PERI_OK) {
        p->committing++;
        st = pipe_commit(p, 1024, retry_tx, retry_done, r, false);
        if (st == PERI_OK)
            return st;
        p->committing--;
        (void)peri_error_set(err, st, NULL, "the store does not take it (%s)", peri_status_name(st));
    }
    free_retry(r);
    return st;
}

/* --- replay: a new event --- */

struct replay {
    struct peri_event *event;
    peri_change_done done;
    void *arg;
};

static void replay_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct replay *r = arg;
    char id[PERI_ID_TEXT];
    answer(r->done, r->arg, st, peri_event_id(r->event->seq, id), err);
    peri_event_unref(r->event);
    free(r);
}

/* Everything but the sender's id, which would make it a duplicate. */
static struct peri_event *copy_event(const struct peri_event *from, const char *rule)
{
    struct peri_event *event = peri_event_create();
    if (!event)
        return NULL;
    event->source = peri_strdup(from->source);
    event->type = peri_strdup(from->type);
    event->subject = peri_strdup(from->subject);
    event->data = peri_strndup(from->data, from->data_len);
    event->data_len = from->data_len;
    event->time_ms = from->time_ms;
    event->replay_of = from->seq;
    event->extensions = peri_value_ref(from->extensions);
    event->target_rule = peri_strdup(rule ? rule : from->target_rule);
    event->target_trigger = rule && !peri_streq(rule, from->target_rule) ? NULL : peri_strdup(from->target_trigger);
    if (!event->source || !event->type || !event->data || (rule && !event->target_rule)) {
        peri_event_unref(event);
        return NULL;
    }
    return event;
}

enum peri_status peri_pipeline_replay(
    struct peri_pipeline *p, uint64_t seq, const char *rule, peri_change_done done, void *arg, struct peri_error *err)
{
    return pipe_replay(p, seq, rule, NULL, NULL, done, arg, err);
}

enum peri_status pipe_replay(struct peri_pipeline *p, uint64_t seq, const char *rule, peri_store_fn also, void *given,
    peri_change_done done, void *arg, struct peri_error *err)
{
    struct peri_event *from = NULL, *event = NULL;
    enum peri_status st = not_ready(p, err);
    if (st == PERI_OK && rule && !pipe_rule_by_id(p, rule))
        st = peri_error_set(err, PERI_ENOTFOUND, "rule", "there is no rule \"%s\"", rule);
    if (st == PERI_OK)
        st = peri_reader_event(p->reader, seq, &from, err);
    if (st != PERI_OK) {
        free(given);
        return st;
    }
    event = copy_event(from, rule);
    peri_event_unref(from);
    struct replay *r = calloc(1, sizeof(*r));
    struct peri_batch *batch = peri_batch_create();
    if (!event || !r || !batch) {
        peri_event_unref(event);
        free(r);
        free(given);
        peri_batch_destroy(batch);
        return peri_error_nomem(err);
    }
    *r = (struct replay){.event = peri_event_ref(event), .done = done, .arg = arg};
    st = peri_batch_event(batch, event);
    if (st == PERI_OK && also)
        st = peri_batch_fn(batch, 256, also, given, free);
    else
        free(given);
    if (st == PERI_OK)
        st = pipe_submit(p, batch, false, replay_done, r, err);
    if (st != PERI_OK) {
        peri_event_unref(r->event);
        free(r);
        peri_batch_destroy(batch);
    }
    return st;
}
