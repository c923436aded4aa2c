/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "run/pipeline_internal.h"

/* Carries out what run.c says, always in this order: the new state and everything that belongs to it become one
 * transaction; after its commit, and only then, the effect is performed. A run has at most one transaction, one call or
 * one evaluation under way. Sleeping and waiting runs are rows and a heap entry, nothing more: they are forgotten here
 * and read again when their time comes. */

/* --- runs in memory --- */

static char *id_key(uint64_t id, char out[24])
{
    snprintf(out, 24, "%llu", (unsigned long long)id);
    return out;
}

struct live *live_find(struct peri_pipeline *p, uint64_t id)
{
    char key[24];
    return peri_map_get(p->lives, id_key(id, key));
}

struct live *live_add(struct peri_pipeline *p, struct peri_run *run, struct peri_event *event)
{
    char key[24];
    struct live *live = calloc(1, sizeof(*live));
    if (!live || !peri_map_set(p->lives, id_key(run->id, key), live, NULL)) {
        free(live);
        peri_run_destroy(run);
        return NULL;
    }
    live->p = p;
    live->run = run;
    live->event = peri_event_ref(event);
    live->stored = run->state;
    p->live_memory++;
    return live;
}

static void free_live(struct live *live)
{
    peri_run_destroy(live->run);
    peri_event_unref(live->event);
    free(live);
}

static void answer_change(struct change *change, enum peri_status st, uint64_t run, const struct peri_error *err)
{
    char id[PERI_ID_TEXT];
    struct peri_value *value = NULL;
    if (st == PERI_OK) {
        value = peri_value_map();
        if (!value || peri_map_put_text(value, "id", peri_run_id(run, id)) != PERI_OK) {
            peri_value_unref(value);
            value = NULL;
        }
    }
    if (change->done)
        change->done(change->arg, st, value, err);
    peri_value_unref(value);
    free(change);
}

static void refuse_changes(struct live *live, const char *why)
{
    struct peri_error err = {0};
    while (live->changes) {
        struct change *change = live->changes;
        live->changes = change->next;
        (void)peri_error_set(&err, PERI_ESTATE, "state", "%s", why);
        answer_change(change, PERI_ESTATE, live->run->id, &err);
    }
}

static void unhold(struct live *live)
{
    struct peri_pipeline *p = live->p;
    struct live **link = &p->held_first, *before = NULL;
    if (!live->held)
        return;
    while (*link && *link != live) {
        before = *link;
        link = &(*link)->held_next;
    }
    if (*link)
        *link = live->held_next;
    if (p->held_last == live)
        p->held_last = before;
    live->held = false;
}

static void end_call(struct live *live)
{
    if (!live->calling)
        return;
    live->calling = false;
    live->serial = 0;
    live->p->calls--;
}

void live_forget(struct live *live)
{
    struct peri_pipeline *p = live->p;
    char key[24];
    if (live->changes) {
        char why[96];
        snprintf(why, sizeof(why), "the run is %s", peri_run_state_name(live->run->state));
        refuse_changes(live, why);
    }
    end_call(live);
    unhold(live);
    pipe_evaluation_cancel(live->evaluation);
    (void)peri_map_remove(p->lives, id_key(live->run->id, key));
    p->live_memory--;
    free_live(live);
}

/* Something went wrong inside (memory): what the store has is right, begin from there in a second. */
static void live_reread(struct live *live)
{
    struct peri_pipeline *p = live->p;
    uint64_t id = live->run->id;
    peri_err(p->options.log, "run", "run-%llu: out of memory; it is read again", (unsigned long long)id);
    live_forget(live);
    timer_due(p, PIPE_RETRY_MS, DUE_WAKE, id, 1);
}

/* --- the transaction of a transition --- */

struct run_tx {
    struct live *live;
    struct peri_pipeline *p;
    struct peri_run_row row; /* texts below */
    char *pos, *vars, *error;
    enum peri_run_state expected;
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
    peri_run_effects_finish(&rt->effects);
    free(rt->pos);
    free(rt->vars);
    free(rt->error);
    peri_rule_unref(rt->rule);
    free(rt);
}

static enum peri_status run_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct run_tx *rt = arg;
    enum peri_status st = peri_tx_run_update(tx, &rt->row, rt->expected, err);
    for (size_t i = 0; st == PERI_OK && i < rt->effects.record_count; i++) {
        const struct peri_step_record *r = &rt->effects.records[i];
        struct peri_step_row row = {.run = rt->row.id,
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
        st = peri_tx_step_put(tx, &row, err);
    }
    for (size_t i = 0; st == PERI_OK && i < rt->event_count; i++)
        st = peri_tx_event_insert(tx, rt->events[i], err);
    return st;
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
    if (count == 0)
        return true;
    rt->events = calloc(count, sizeof(*rt->events));
    for (size_t i = 0; rt->events && i < count; i++) {
        rt->events[i] = make_event(live, &rt->effects.emits[i]);
        if (!rt->events[i])
            return false;
        rt->event_count++;
    }
    return rt->events != NULL;
}

static size_t rough_size(const struct run_tx *rt)
{
    size_t bytes = 256 + strlen(rt->pos) + strlen(rt->vars);
    for (size_t i = 0; i < rt->effects.record_count; i++) {
        const struct peri_step_record *r = &rt->effects.records[i];
        bytes += 128 + (r->params ? strlen(r->params) : 0) + (r->result ? strlen(r->result) : 0);
    }
    for (size_t i = 0; i < rt->event_count; i++)
        bytes += 256 + rt->events[i]->data_len;
    return bytes;
}

static void perform(struct live *live);

static void count_end(struct live *live)
{
    struct peri_pipeline *p = live->p;
    static const int slots[] = {0, 1, 2, 3};
    int slot = slots[(live->run->state - PERI_RUN_SUCCEEDED) & 3];
    p->live_runs--;
    p->counts.runs_ended[slot]++;
    peri_metric_add(p->metrics.ended[slot], 1);
    if (live->run->state == PERI_RUN_FAILED && !peri_map_bool(live->run->error, "handled", false))
        peri_warn(p->options.log, "run", "run-%llu of %s failed: %s", (unsigned long long)live->run->id,
            live->run->rule->id,
            peri_map_text(live->run->error, "message") ? peri_map_text(live->run->error, "message") : "?");
}

/* Changes that were asked for meanwhile come first: one that is accepted replaces the effect, one that means nothing in
 * this state leaves it. */
static void after_commit(struct peri_pipeline *p, struct live *live)
{
    uint64_t id = live->run->id;
    while (live->changes && !peri_run_is_final(live->stored)) {
        struct change *change = live->changes;
        live->changes = change->next;
        change->next = NULL;
        live_change(live, change);
        live = live_find(p, id);
        if (!live || live->committing)
            return;
    }
    perform(live);
}

static void run_tx_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct run_tx *rt = arg;
    struct live *live = rt->live;
    struct peri_pipeline *p = rt->p;
    p->committing--;
    if (rt->change)
        answer_change(rt->change, st, rt->row.id, err);
    if (p->dead) {
        free_live(live);
        free_run_tx(rt);
        return;
    }
    live->committing = false;
    if (st != PERI_OK) {
        /* The stored state is not what this process believes: never guess, leave the run as it is and say so. */
        peri_err(p->options.log, "run", "run-%llu: its transition was not stored: %s", (unsigned long long)rt->row.id,
            err ? err->message : peri_status_name(st));
        peri_metric_add(p->metrics.bugs, 1);
        free_run_tx(rt);
        live_forget(live);
        return;
    }
    bool changed = live->stored != rt->row.state;
    live->stored = rt->row.state;
    p->counts.steps += (int64_t)rt->effects.record_count;
    peri_metric_add(p->metrics.steps, (int64_t)rt->effects.record_count);
    for (size_t i = 0; i < rt->event_count; i++)
        pipe_journaled(p, rt->events[i]);
    if (changed)
        pipe_notify_run(p, rt->row.id, live->run->rule->id, live->event->seq, live->stored);
    free_run_tx(rt);
    if (peri_run_is_final(live->stored))
        count_end(live);
    after_commit(p, live);
}

/* take effects and change */
static void commit(struct live *live, struct peri_run_effects *effects, struct change *change)
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
    if (peri_run_write(run, &rt->pos, &rt->vars, &rt->error) != PERI_OK || !make_events(live, rt)) {
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
        .created_ms = run->created_ms,
        .ended_ms = run->ended_ms,
        .error = rt->error,
        .interruptions = run->interruptions};
    live->committing = true;
    p->committing++;
    enum peri_status st = pipe_commit(p, rough_size(rt), run_tx, run_tx_done, rt, true);
    if (st == PERI_OK)
        return;
    live->committing = false;
    p->committing--;
    rt->change = NULL;
    free_run_tx(rt);
nomem:
    if (change) {
        struct peri_error err = {0};
        answer_change(change, peri_error_nomem(&err), live->run->id, &err);
    }
    live_reread(live);
}

/* --- transitions --- */

static struct peri_run_input make_input(struct live *live, enum peri_run_input_kind kind)
{
    struct peri_pipeline *p = live->p;
    struct peri_run_input input = {.kind = kind,
        .now_ms = pipe_now(p),
        .tz = p->options.tz,
        .random = pipe_random(p),
        .hold = p->draining || !p->started || p->calls >= PIPE_CALLS,
        .delivery = PERI_DELIVERY_ONCE};
    return input;
}

/* The operator's class now: what its present manifest says. Unknown operators are never repeated. */
static enum peri_delivery delivery_of(struct live *live)
{
    const struct peri_step *step = peri_run_step(live->run);
    enum peri_delivery delivery = PERI_DELIVERY_ONCE;
    if (step && step->kind == PERI_STEP_OPERATOR &&
        !live->p->ops.lookup(live->p->ops.ctx, step->operator_id, &delivery))
        delivery = PERI_DELIVERY_ONCE;
    return delivery;
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
            answer_change(change, peri_error_nomem(&err), live->run->id, &err);
        live_reread(live);
        return;
    }
    if (effects.next == PERI_NEXT_IGNORED) {
        struct peri_error err = {0};
        peri_run_effects_finish(&effects);
        (void)peri_error_set(&err, PERI_ESTATE, "state", "the run is %s", peri_run_state_name(live->run->state));
        if (change)
            answer_change(change, PERI_ESTATE, live->run->id, &err);
        return;
    }
    live->next = effects.next;
    live->condition = effects.condition;
    if (effects.next == PERI_NEXT_CALL) {
        live->calling = true;
        p->calls++;
    }
    if (worth_storing(live, &effects) || change) {
        commit(live, &effects, change);
        return;
    }
    peri_run_effects_finish(&effects);
    perform(live);
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
        end_call(live);
        unhold(live);
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
    struct peri_error error = result->error;
    struct peri_run_input input =
        make_input(live, result->status == PERI_OK ? PERI_INPUT_CALL_OK : PERI_INPUT_CALL_FAILED);
    if (result->status != PERI_OK && error.status == PERI_OK)
        (void)peri_error_set(
            &error, result->status, NULL, "the operator failed (%s)", peri_status_name(result->status));
    end_call(live);
    input.hold = live->p->draining || live->p->calls >= PIPE_CALLS;
    input.value = result->value;
    input.error = &error;
    input.delivery = delivery_of(live);
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

/* The state is stored: now what it stands for. */
static void perform(struct live *live)
{
    struct peri_pipeline *p = live->p;
    const struct peri_step *step;
    switch (live->next) {
    case PERI_NEXT_CALL:
        live->serial = ++p->serial;
        step = peri_run_step(live->run);
        if (step->timeout_ms > 0)
            timer_due(p, step->timeout_ms, DUE_TIMEOUT, live->run->id, live->serial);
        call_action(live);
        break;
    case PERI_NEXT_EVALUATE:
        if (p->draining)
            live_forget(live);
        else
            evaluate(live);
        break;
    case PERI_NEXT_HELD:
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
        timer_due(p, live->run->wake_ms - pipe_now(p), DUE_WAKE, live->run->id, 0);
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
        unhold(live);
        live_input(live, PERI_INPUT_GO);
    }
}

static bool collect(const char *key, void *value, void *arg)
{
    struct live ***next = arg;
    *(*next)++ = value;
    return true;
}

void exec_finish(struct peri_pipeline *p)
{
    size_t count = peri_map_count(p->lives);
    struct live **all = calloc(count ? count : 1, sizeof(struct live *)), **next = all;
    if (!all)
        return;
    peri_map_each(p->lives, collect, &next);
    for (size_t i = 0; i < count; i++) {
        struct live *live = all[i];
        refuse_changes(live, "the service is stopping");
        pipe_evaluation_cancel(live->evaluation);
        live->evaluation = NULL;
        if (!live->committing) /* else its transaction frees it */
            free_live(live);
    }
    free(all);
    peri_map_destroy(p->lives, NULL);
    p->lives = NULL;
    p->held_first = p->held_last = NULL;
}
