/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "run/exec_internal.h"
#include "run/gate.h"

/* Carries out what run.c says, always in this order: the new state and everything that belongs to it become one
 * transaction; after its commit, and only then, the effect is performed. A run has at most one transaction, one call or
 * one evaluation under way. Sleeping and waiting runs are rows and a heap entry, nothing more: they are forgotten here
 * and read again when their time comes. */

/* The host ends a call at its step's timeout and knows what had left by then. Should it not answer, nothing is known.
 */
#define TIMEOUT_GRACE_MS 1000

/* --- transitions --- */

static struct peri_run_input make_input(struct live *live, enum peri_run_input_kind kind)
{
    struct peri_pipeline *p = live->p;
    struct peri_run_input input = {.kind = kind,
        .now_ms = pipe_now(p),
        .tz = p->options.tz,
        .random = pipe_random(p),
        .hold = p->draining || !p->started || p->calls >= PIPE_CALLS || !pipe_writable(p) || live->behind,
        .gate = gate_of(p->gate),
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

static bool worth_storing(const struct live *live, const struct peri_run_effects *effects)
{
    if (effects->next == PERI_NEXT_EVALUATE || effects->next == PERI_NEXT_HELD)
        return effects->record_count > 0 || effects->emit_count > 0 || live->run->state != live->stored;
    return true;
}

/* take change */
static void advance(struct live *live, const struct peri_run_input *input, struct change *change)
{
    struct peri_pipeline *p = live->p;
    struct peri_run_effects effects;
    peri_run_effects_init(&effects);
    enum peri_status st = peri_run_advance(live->run, input, &effects);
    if (st != PERI_OK) {
        struct peri_error err = {0};
        peri_run_effects_finish(&effects);
        if (change)
            change_answer(change, peri_error_nomem(&err), live->run->id, &err);
        live_reread(live);
        return;
    }
    if (effects.next == PERI_NEXT_IGNORED) {
        struct peri_error err = {0};
        peri_run_effects_finish(&effects);
        (void)peri_error_set(&err, PERI_ESTATE, "state", "the run is %s", peri_run_state_name(live->run->state));
        if (change)
            change_answer(change, PERI_ESTATE, live->run->id, &err);
        return;
    }
    live->next = effects.next;
    live->condition = effects.condition;
    if (effects.next == PERI_NEXT_CALL) {
        live->calling = true;
        p->calls++;
    }
    if (worth_storing(live, &effects) || change) {
        exec_commit(live, &effects, change);
        return;
    }
    peri_run_effects_finish(&effects);
    exec_perform(live);
}

void live_input(struct live *live, enum peri_run_input_kind kind)
{
    struct peri_run_input input = make_input(live, kind);
    advance(live, &input, NULL);
}

void live_restart(struct live *live, enum peri_delivery delivery)
{
    struct peri_run_input input = make_input(live, PERI_INPUT_RESTARTED);
    input.delivery = delivery;
    advance(live, &input, NULL);
}

void live_change(struct live *live, struct change *change)
{
    if (live->committing) {
        struct change **link = &live->changes;
        while (*link)
            link = &(*link)->next;
        *link = change;
        return;
    }
    struct peri_run_input input = make_input(live, change->kind);
    input.decision = change->decision;
    if (change->kind == PERI_INPUT_CANCEL) { /* whatever is under way: its answer will be late */
        live_end_call(live);
        live_unhold(live);
        pipe_evaluation_cancel(live->evaluation);
        live->evaluation = NULL;
    }
    advance(live, &input, change);
}

/* --- effects --- */

struct action_call {
    struct peri_pipeline *p;
    uint64_t run, serial;
};

static void call_ended(struct live *live, const struct peri_call_result *result)
{
    if (live->stopped) { /* nobody waits for it, but it is kept */
        exec_late(live, result);
        live_forget(live);
        return;
    }
    if (pipe_host_stops(live->p, result->status, &result->error) && !result->error.outcome_unknown) {
        live_end_call(
            live); /* nothing has happened: the attempt does not count, the next one is made after the start */
        live_restart(live, PERI_DELIVERY_REPEAT);
        return;
    }
    struct peri_error error = result->error;
    struct peri_run_input input =
        make_input(live, result->status == PERI_OK ? PERI_INPUT_CALL_OK : PERI_INPUT_CALL_FAILED);
    if (result->status != PERI_OK && error.status == PERI_OK)
        (void)peri_error_set(
            &error, result->status, NULL, "the operator failed (%s)", peri_status_name(result->status));
    live_end_call(live);
    gate_result(live->p->gate, live->run, result->status == PERI_OK ? NULL : &error);
    input.hold = live->p->draining || live->p->calls >= PIPE_CALLS || !pipe_writable(live->p);
    input.value = result->value;
    input.error = &error;
    input.delivery = exec_delivery(live->p, peri_run_step(live->run));
    if (result->status != PERI_OK)
        peri_info(live->p->options.log, "run", "run-%llu: %s: %s", (unsigned long long)live->run->id,
            peri_run_step(live->run) ? peri_run_step(live->run)->operator_id : "?", error.message);
    advance(live, &input, NULL);
}

static void action_answered(void *arg, const struct peri_call_result *result)
{
    struct action_call *call = arg;
    struct peri_pipeline *p = call->p;
    if (!p->dead) {
        struct live *live = live_find(p, call->run);
        if (live && live->calling && live->serial == call->serial)
            call_ended(live, result);
        pipe_pump(p);
    }
    free(call);
    pipe_release(p);
}

static void not_called(struct live *live, enum peri_status st, const struct peri_error *err)
{
    struct peri_call_result result = {.status = st, .error = *err};
    if (st == PERI_EBUSY) { /* no attempt was made: the same one again in a moment */
        timer_due(live->p, PIPE_BUSY_MS, DUE_CALL, live->run->id, live->serial);
        return;
    }
    if (st == PERI_ESTATE || st == PERI_ENOTFOUND)
        result.error.retryable = true; /* the plugin may come back */
    result.error.outcome_unknown = false;
    call_ended(live, &result);
}

static void call_action(struct live *live)
{
    struct peri_pipeline *p = live->p;
    const struct peri_step *step = peri_run_step(live->run);
    struct action_call *context = calloc(1, sizeof(*context));
    struct peri_error err = {0};
    char run_id[PERI_ID_TEXT];
    struct peri_call call = {.operator_id = step->operator_id,
        .params = live->run->track.params,
        .event = live->event,
        .rule_id = live->run->rule->id,
        .rule_name = live->run->rule->name,
        .run_id = peri_run_id(live->run->id, run_id),
        .timeout_ms = step->timeout_ms,
        .idempotency_key = live->run->track.key};
    if (!context) {
        not_called(live, peri_error_nomem(&err), &err);
        return;
    }
    *context = (struct action_call){.p = p, .run = live->run->id, .serial = live->serial};
    pipe_hold(p);
    enum peri_status st = p->ops.call(p->ops.ctx, &call, action_answered, context, &err);
    if (st == PERI_OK)
        return;
    free(context);
    pipe_release(p);
    if (err.status == PERI_OK)
        (void)peri_error_set(&err, st, NULL, "%s cannot be called (%s)", step->operator_id, peri_status_name(st));
    not_called(live, st, &err);
}

void live_call_again(struct peri_pipeline *p, uint64_t run, uint64_t serial)
{
    struct live *live = live_find(p, run);
    if (live && live->calling && live->serial == serial)
        call_action(live);
}

void live_timeout(struct peri_pipeline *p, uint64_t run, uint64_t serial)
{
    struct live *live = live_find(p, run);
    if (!live || !live->calling || live->serial != serial || live->committing)
        return;
    struct peri_call_result result = {.status = PERI_ETIMEOUT};
    (void)peri_error_set(&result.error, PERI_ETIMEOUT, "timeout", "no answer within the step's timeout");
    result.error.outcome_unknown = true;
    result.error.retryable = true;
    call_ended(live, &result);
}

static void evaluation_done(void *arg, enum peri_cond_outcome outcome, const struct peri_cond_eval *eval)
{
    struct live *live = arg;
    struct peri_run_input input = make_input(live, PERI_INPUT_CONDITION);
    live->evaluation = NULL;
    input.condition = outcome;
    input.reason = eval->reason;
    input.value = eval->detail;
    input.error = &eval->error;
    advance(live, &input, NULL);
}

static void evaluate(struct live *live)
{
    struct peri_pipeline *p = live->p;
    struct evaluation *evaluation = NULL;
    struct evaluation_request request = {.condition = live->condition,
        .rule = live->run->rule,
        .event = live->event,
        .run = live->run->id,
        .scope = peri_run_scope(live->run, pipe_now(p), p->options.tz)};
    uint64_t id = live->run->id;
    if (pipe_evaluate(p, &request, evaluation_done, live, &evaluation) != PERI_OK)
        live_reread(live);
    else if (evaluation && (live = live_find(p, id)) != NULL)
        live->evaluation = evaluation;
}

static void hold_back(struct live *live)
{
    struct peri_pipeline *p = live->p;
    live->held = true;
    live->held_next = NULL;
    if (p->held_last)
        p->held_last->held_next = live;
    else
        p->held_first = live;
    p->held_last = live;
}

void exec_perform(struct live *live)
{
    struct peri_pipeline *p = live->p;
    const struct peri_step *step;
    switch (live->next) {
    case PERI_NEXT_CALL:
        live->serial = ++p->serial;
        step = peri_run_step(live->run);
        if (step->timeout_ms > 0)
            timer_due(p, step->timeout_ms + TIMEOUT_GRACE_MS, DUE_TIMEOUT, live->run->id, live->serial);
        call_action(live);
        break;
    case PERI_NEXT_EVALUATE:
        if (p->draining)
            live_forget(live);
        else
            evaluate(live);
        break;
    case PERI_NEXT_HELD:
        if (!live->behind)
            hold_back(live);
        break;
    case PERI_NEXT_GO:
        if (p->draining)
            live_forget(live);
        else
            live_input(live, PERI_INPUT_GO);
        break;
    case PERI_NEXT_SLEEP:
        if (live->run->track.phase == PERI_PHASE_BACKOFF)
            peri_metric_add(p->metrics.retries, 1);
        timer_due(p, live->run->wake_ms - pipe_now(p), DUE_WAKE, live->run->id, (uint64_t)live->run->wake_ms);
        live_forget(live);
        break;
    case PERI_NEXT_PERSON:
        peri_warn(p->options.log, "run",
            "run-%llu of %s: it is not known whether %s arrived; decide with `runs resolve`",
            (unsigned long long)live->run->id, live->run->rule->id,
            peri_run_step(live->run) ? peri_run_step(live->run)->operator_id : "its call");
        live_forget(live);
        break;
    case PERI_NEXT_END:
    case PERI_NEXT_IGNORED:
        live_forget(live);
        break;
    }
}

void exec_release_held(struct peri_pipeline *p)
{
    while (p->held_first && p->calls < PIPE_CALLS) {
        struct live *live = p->held_first;
        live_unhold(live);
        live_input(live, PERI_INPUT_GO);
    }
}
