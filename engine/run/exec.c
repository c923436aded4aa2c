/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "run/exec_internal.h"
#include "run/gate.h"
#include "run/slots.h"

/* Carries out what run.c says, always in this order: the new state and everything that belongs to it become one
 * transaction; after its commit, and only then, the effects are performed, one for each track. A run has at most one
 * transaction under way, a track one call or one evaluation; what happens to it meanwhile waits in its inbox. Sleeping
 * and waiting runs are rows and a heap entry, nothing more: they are forgotten here and read again when their time
 * comes. */

/* The host ends a call at its step's timeout and knows what had left by then. Should it not answer, nothing is known.
 */
#define TIMEOUT_GRACE_MS 1000

/* --- transitions --- */

static struct peri_value *fallback_of(void *ctx, const struct peri_step *step, const struct peri_value *params)
{
    struct peri_pipeline *p = ctx;
    return p->ops.fallback(p->ops.ctx, step->operator_id, params);
}

static struct peri_run_input make_input(struct live *live, enum peri_run_input_kind kind)
{
    struct peri_pipeline *p = live->p;
    slots_begin(p->slots);
    struct peri_run_input input = {.kind = kind,
        .now_ms = pipe_now(p),
        .offset_ms = pipe_offset(p),
        .seq = p->seen_seq,
        .tz = p->options.tz,
        .random = pipe_random(p),
        .hold = p->draining || !p->started || p->caution.left > 0 || p->calls >= PIPE_CALLS || !pipe_writable(p) ||
                live->behind,
        .gate = gate_of(p->gate),
        .fallback = p->ops.fallback ? fallback_of : NULL,
        .fallback_ctx = p,
        .room = p->calls < PIPE_CALLS ? PIPE_CALLS - p->calls : 0,
        .delivery = PERI_DELIVERY_ONCE,
        .watch = {.decided = p->ops.decided, .ctx = p->ops.ctx}};
    return input;
}

enum peri_delivery exec_delivery(struct peri_pipeline *p, const struct peri_step *step)
{
    enum peri_delivery delivery = PERI_DELIVERY_ONCE;
    if (!step || step->kind != PERI_STEP_OPERATOR || step->delivery == PERI_STEP_DELIVERY_ONCE)
        return PERI_DELIVERY_ONCE;
    if (step->delivery == PERI_STEP_DELIVERY_REPEAT)
        return PERI_DELIVERY_REPEAT;
    return p->ops.lookup(p->ops.ctx, step->operator_id, &delivery) ? delivery : PERI_DELIVERY_ONCE;
}

static enum peri_delivery class_of(void *ctx, const struct peri_step *step)
{
    return exec_delivery(ctx, step);
}

/* What asks only for an answer or for room is asked again after a restart: there is nothing to store. */
static bool worth_storing(const struct live *live, const struct peri_run_effects *effects)
{
    bool asks = effects->next == PERI_NEXT_EVALUATE || effects->next == PERI_NEXT_HELD;
    return !asks || effects->record_count > 0 || effects->emit_count > 0 || live->run->state != live->stored ||
           live->run->branch_count > 0 || effects->ended_count > 0;
}

/* Tasks of tracks that went on without them, or are no more. */
static void settle_tasks(struct live *live)
{
    for (size_t i = 0; i < live->task_count; i++) {
        struct live_task *task = live->tasks[i];
        struct peri_track *track = peri_run_track(live->run, task->track);
        bool gone = !track || peri_run_is_final(live->run->state);
        if (gone || (task->calling && track->phase != PERI_PHASE_CALL) ||
            (task->held && track->phase != PERI_PHASE_HELD) ||
            (task->evaluation && track->phase != PERI_PHASE_GUARD && track->phase != PERI_PHASE_CHOICE))
            live_quit(task);
        if (!track && task->track != 0) {
            live->tasks[i--] = live->tasks[--live->task_count];
            free(task);
        }
    }
}

static bool take_tasks(struct live *live, const struct peri_run_effects *effects)
{
    settle_tasks(live);
    for (size_t i = 0; i < effects->task_count; i++) {
        struct live_task *task = live_task(live, effects->tasks[i].track);
        if (!task)
            return false;
        live_quit(task);
        task->next = effects->tasks[i].next;
        task->condition = effects->tasks[i].condition;
        task->pending = true;
        task->serial = ++live->p->serial;
        if (task->next == PERI_NEXT_CALL) {
            task->calling = true;
            live->p->calls++;
            gate_enter(live->p->gate, task);
        }
    }
    return true;
}

/* take change */
static void advance(struct live *live, const struct peri_run_input *input, struct change *change)
{
    struct peri_run_effects effects;
    struct peri_error err = {0};
    peri_run_effects_init(&effects);
    enum peri_status st = peri_run_advance(live->run, input, &effects);
    if (st == PERI_OK && effects.next == PERI_NEXT_IGNORED) {
        peri_run_effects_finish(&effects);
        (void)peri_error_set(&err, PERI_ESTATE, "state", "the run is %s", peri_run_state_name(live->run->state));
        if (change)
            change_answer(change, PERI_ESTATE, live->run->id, &err);
        return;
    }
    if (st != PERI_OK || !take_tasks(live, &effects)) {
        peri_run_effects_finish(&effects);
        if (change)
            change_answer(change, peri_error_nomem(&err), live->run->id, &err);
        live_reread(live);
        return;
    }
    if (worth_storing(live, &effects) || change)
        exec_commit(live, &effects, change);
    else
        peri_run_effects_finish(&effects);
}

void live_input(struct live *live, enum peri_run_input_kind kind, int track)
{
    live_post(live, &(struct live_message){.kind = kind, .track = track});
}

bool live_wake(struct peri_pipeline *p, uint64_t run, int64_t wake_ms)
{
    struct live *live = live_find(p, run);
    if (!live)
        return false;
    live_post(live, &(struct live_message){.kind = PERI_INPUT_TIMER, .due_ms = wake_ms});
    return true;
}

void live_change(struct live *live, struct change *change)
{
    struct change **link = &live->changes;
    while (*link)
        link = &(*link)->next;
    *link = change;
    live_lead(live);
}

static void apply_change(struct live *live)
{
    struct change *change = live->changes;
    live->changes = change->next;
    change->next = NULL;
    struct peri_run_input input = make_input(live, change->kind);
    input.decision = change->decision;
    input.n = change->n;
    input.value = change->value;
    if (change->kind == PERI_INPUT_RESOLVED) {
        const struct peri_track *track = peri_run_track_in(live->run, PERI_PHASE_UNKNOWN);
        input.track = track ? track->id : 0;
    }
    if (change->kind == PERI_INPUT_RESUME) {
        live->armed_ms = 0;
        advance(live, &input, change);
        live_take_hits(live);
        return;
    }
    advance(live, &input, change);
}

/* --- leading on --- */

static void perform(struct live_task *task);
static void take_in(struct live *live, struct live_message *message);

static struct live_task *pending_task(const struct live *live)
{
    for (size_t i = 0; i < live->task_count; i++)
        if (live->tasks[i]->pending)
            return live->tasks[i];
    return NULL;
}

/* Does anything bring it back that does not begin with reading it from the store? */
static bool is_busy(const struct live *live)
{
    bool busy = live->committing || live->changes || live->inbox;
    for (size_t i = 0; i < live->task_count && !busy; i++) {
        const struct live_task *task = live->tasks[i];
        busy = task->pending || task->calling || task->evaluation || task->held ||
               (task->next == PERI_NEXT_HELD && live->behind);
    }
    return busy;
}

static void arm(struct live *live)
{
    struct peri_run *run = live->run;
    struct peri_pipeline *p = live->p;
    if (run->wake_ms == 0 || run->wake_ms == live->armed_ms || peri_run_is_final(run->state))
        return;
    live->armed_ms = run->wake_ms;
    timer_due(
        p, peri_sched_rest(run->wake_ms, run->base_ms, pipe_steady(p)), DUE_WAKE, run->id, (uint64_t)run->wake_ms);
}

/* Changes that were asked for come first: one that is accepted replaces the effect, one that means nothing in this
 * state leaves it. */
void live_lead(struct live *live)
{
    if (live->leading || live->committing)
        return;
    live->leading = true;
    while (!live->committing && !live->gone && !live->stopped) {
        struct live_task *task;
        struct live_message *message = live->inbox;
        if (live->changes && !peri_run_is_final(live->stored)) {
            apply_change(live);
        } else if ((task = pending_task(live)) != NULL) {
            perform(task);
        } else if (message) {
            live->inbox = message->next;
            if (!live->inbox)
                live->inbox_end = &live->inbox;
            take_in(live, message);
            message_free(message);
        } else {
            break;
        }
    }
    live->leading = false;
    if (live->committing && !live->gone)
        return;
    if (!live->gone)
        arm(live);
    if (live->gone || (live->stopped ? !live_calling(live) : !is_busy(live)))
        live_forget(live);
}

/* --- effects --- */

struct action_call {
    struct peri_pipeline *p;
    uint64_t run, serial;
};

static void call_answered(struct live_task *task, const struct peri_call_result *result)
{
    struct live *live = task->live;
    if (live->stopped) { /* nobody waits for it, but it is kept */
        exec_late(live, task->track, result);
        live_end_call(task);
        live_lead(live);
        return;
    }
    struct live_message message = {.kind = result->status == PERI_OK ? PERI_INPUT_CALL_OK : PERI_INPUT_CALL_FAILED,
        .track = task->track,
        .serial = task->serial,
        .status = result->status,
        .value = peri_value_ref(result->value),
        .error = result->error};
    if (result->status != PERI_OK && message.error.status == PERI_OK)
        (void)peri_error_set(
            &message.error, result->status, NULL, "the operator failed (%s)", peri_status_name(result->status));
    live_post(live, &message);
}

static void action_answered(void *arg, const struct peri_call_result *result)
{
    struct action_call *call = arg;
    struct peri_pipeline *p = call->p;
    PERI_FAILPOINT("t4.answer");
    if (!p->dead) {
        struct live *live = live_find(p, call->run);
        struct live_task *task = live ? live_task_of(live, call->serial) : NULL;
        if (task && task->calling)
            call_answered(task, result);
        pipe_pump_later(p);
    }
    free(call);
    pipe_release(p);
}

static void not_called(struct live_task *task, enum peri_status st, const struct peri_error *err)
{
    struct peri_call_result result = {.status = st, .error = *err};
    if (st == PERI_EBUSY) { /* no attempt was made: the same one again in a moment */
        timer_due(task->live->p, PIPE_BUSY_MS, DUE_CALL, task->live->run->id, task->serial);
        return;
    }
    if (st == PERI_ESTATE || st == PERI_ENOTFOUND)
        result.error.retryable = true; /* the plugin may come back */
    result.error.outcome_unknown = false;
    call_answered(task, &result);
}

static void call_action(struct live_task *task)
{
    struct live *live = task->live;
    struct peri_pipeline *p = live->p;
    const struct peri_track *track = peri_run_track(live->run, task->track);
    const struct peri_step *step = peri_track_step(track);
    struct action_call *context = calloc(1, sizeof(*context));
    struct peri_error err = {0};
    char run_id[PERI_ID_TEXT];
    struct peri_call call = {.operator_id = step->operator_id,
        .params = track->params,
        .event = live->event,
        .rule_id = live->run->rule->id,
        .rule_name = live->run->rule->name,
        .run_id = peri_run_id(live->run->id, run_id),
        .timeout_ms = step->timeout_ms,
        .idempotency_key = track->key,
        .ask_first = track->doubt && exec_delivery(p, step) == PERI_DELIVERY_LOOKUP,
        .first_ms = track->first_ms};
    if (!context) {
        not_called(task, peri_error_nomem(&err), &err);
        return;
    }
    *context = (struct action_call){.p = p, .run = live->run->id, .serial = task->serial};
    pipe_hold(p);
    PERI_FAILPOINT("t3.intent");
    enum peri_status st = p->ops.call(p->ops.ctx, &call, action_answered, context, &err);
    PERI_FAILPOINT("t3.called");
    if (st == PERI_OK)
        return;
    free(context);
    pipe_release(p);
    if (err.status == PERI_OK)
        (void)peri_error_set(&err, st, NULL, "%s cannot be called (%s)", step->operator_id, peri_status_name(st));
    not_called(task, st, &err);
}

void live_call_again(struct peri_pipeline *p, uint64_t run, uint64_t serial)
{
    struct live *live = live_find(p, run);
    struct live_task *task = live ? live_task_of(live, serial) : NULL;
    if (task && task->calling && !live->stopped)
        call_action(task);
}

void live_timeout(struct peri_pipeline *p, uint64_t run, uint64_t serial)
{
    struct live *live = live_find(p, run);
    struct live_task *task = live ? live_task_of(live, serial) : NULL;
    if (!task || !task->calling)
        return;
    struct peri_call_result result = {.status = PERI_ETIMEOUT};
    (void)peri_error_set(&result.error, PERI_ETIMEOUT, "timeout", "no answer within the step's timeout");
    result.error.outcome_unknown = true;
    result.error.retryable = true;
    call_answered(task, &result);
}

static void evaluation_done(void *arg, enum peri_cond_outcome outcome, const struct peri_cond_eval *eval)
{
    struct live_task *task = arg;
    struct live_message message = {.kind = PERI_INPUT_CONDITION,
        .track = task->track,
        .serial = task->serial,
        .condition = outcome,
        .value = peri_value_ref(eval->detail),
        .error = eval->error,
        .reason = peri_strdup(eval->reason)};
    task->evaluation = NULL;
    live_post(task->live, &message);
}

static void evaluate(struct live_task *task)
{
    struct live *live = task->live;
    struct peri_pipeline *p = live->p;
    struct evaluation *evaluation = NULL;
    const struct peri_track *track = peri_run_track(live->run, task->track);
    struct evaluation_request request = {.condition = task->condition,
        .rule = live->run->rule,
        .event = live->event,
        .run = live->run->id,
        .scope = peri_track_scope(track, pipe_now(p), p->options.tz)};
    if (pipe_evaluate(p, &request, evaluation_done, task, &evaluation) != PERI_OK)
        live_reread(live);
    else if (evaluation)
        task->evaluation = evaluation;
}

/* The state is stored: now what it stands for. */
static void perform(struct live_task *task)
{
    struct live *live = task->live;
    struct peri_pipeline *p = live->p;
    const struct peri_track *track = peri_run_track(live->run, task->track);
    const struct peri_step *step = track ? peri_track_step(track) : NULL;
    enum peri_run_next next = task->next;
    task->pending = false;
    if (next != PERI_NEXT_HELD)
        task->next = PERI_NEXT_NOTHING;
    switch (next) {
    case PERI_NEXT_CALL:
        if (step->timeout_ms > 0)
            timer_due(p, step->timeout_ms + TIMEOUT_GRACE_MS, DUE_TIMEOUT, live->run->id, task->serial);
        call_action(task);
        break;
    case PERI_NEXT_EVALUATE:
        if (!p->draining)
            evaluate(task);
        break;
    case PERI_NEXT_HELD:
        if (!live->behind)
            held_add(task);
        break;
    case PERI_NEXT_GO:
        if (!p->draining)
            live_input(live, PERI_INPUT_GO, task->track);
        break;
    case PERI_NEXT_SLEEP:
        if (track->phase == PERI_PHASE_BACKOFF)
            peri_metric_add(p->metrics.retries, 1);
        break;
    case PERI_NEXT_PERSON:
        peri_warn(p->options.log, "run",
            "run-%llu of %s: it is not known whether %s arrived; decide with `runs resolve`",
            (unsigned long long)live->run->id, live->run->rule->id, step ? step->operator_id : "its call");
        break;
    case PERI_NEXT_END:
    case PERI_NEXT_NOTHING:
    case PERI_NEXT_IGNORED:
        break;
    }
}

/* --- what has happened --- */

/* Nothing has happened outside: the attempt does not count, the next one is made after the start. */
static void host_stopped(struct live *live, struct live_task *task)
{
    struct peri_run_input input = make_input(live, PERI_INPUT_RESTARTED);
    live_end_call(task);
    input.track = task->track;
    input.delivery = PERI_DELIVERY_REPEAT;
    input.not_sent = true;
    advance(live, &input, NULL);
}

static void take_in(struct live *live, struct live_message *message)
{
    struct peri_pipeline *p = live->p;
    struct live_task *task = message->serial ? live_task_of(live, message->serial) : NULL;
    bool call = message->kind == PERI_INPUT_CALL_OK || message->kind == PERI_INPUT_CALL_FAILED;
    if (message->serial && (!task || (call && !task->calling)))
        return; /* the track has gone on without it */
    if (call && pipe_host_stops(p, message->status, &message->error) && !message->error.outcome_unknown) {
        host_stopped(live, task);
        return;
    }
    const struct peri_track *track = peri_run_track(live->run, message->track);
    if (call) {
        live_end_call(task);
        gate_result(p->gate, track, message->kind == PERI_INPUT_CALL_OK ? NULL : &message->error);
    }
    struct peri_run_input input = make_input(live, message->kind);
    const struct peri_step *step = track ? peri_track_step(track) : NULL;
    input.track = message->track;
    input.n = message->n;
    input.due_ms = message->due_ms;
    input.value = message->value;
    input.error = &message->error;
    input.condition = message->condition;
    input.reason = message->reason;
    input.delivery = exec_delivery(p, step);
    input.class_of = class_of;
    input.class_ctx = p;
    if (message->kind == PERI_INPUT_CALL_FAILED)
        peri_info(p->options.log, "run", "run-%llu: %s: %s", (unsigned long long)live->run->id,
            step && step->operator_id ? step->operator_id : "?", message->error.message);
    advance(live, &input, NULL);
}
