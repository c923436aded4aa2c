/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "run/pipeline_internal.h"

/* Leads a condition tree to its end: condition.c decides, operators answer through peri_run_ops. One call of a tree is
 * under way at a time. After a cancel or the end of the pipeline a late answer only frees what is left. */
struct evaluation {
    struct peri_pipeline *p;
    struct evaluation_request request; /* rule and event counted */
    struct peri_cond_eval eval;
    evaluated done;
    void *arg;
    bool cancelled, in_call;
    int tries;               /* of the present call, that failed for a passing reason */
    int64_t not_before;      /* CLOCK_BOOTTIME ms; 0: as soon as there is room */
    struct evaluation *next; /* waits because a queue was full */
};

static void free_evaluation(struct evaluation *e)
{
    peri_cond_finish(&e->eval);
    peri_rule_unref(e->request.rule);
    peri_event_unref(e->request.event);
    free(e);
}

static void go_on(struct evaluation *e, enum peri_cond_outcome outcome);
static void wait_for_room(struct evaluation *e);
static void wait_in_line(struct evaluation *e);

/* A full queue, a limit for each second, a provider that is down: the same question may be answered in a moment. Until
 * then the event stays unmatched for this rule, so a restart asks again. After PATIENCE tries it is an error. */
#define PATIENCE 5
#define PATIENCE_FIRST_MS 200
#define PATIENCE_LAST_MS 60000

static bool is_passing(const struct evaluation *e, const struct peri_call_result *result)
{
    const struct peri_error *error = &result->error;
    if (result->status == PERI_OK || e->p->options.impatient || e->tries >= PATIENCE)
        return false;
    return error->retryable || result->status == PERI_EBUSY || peri_streq(error->code, "limit.calls");
}

static void ask_later(struct evaluation *e, const struct peri_error *error)
{
    struct peri_pipeline *p = e->p;
    int64_t delay = (int64_t)PATIENCE_FIRST_MS << (2 * e->tries++);
    if (delay < error->retry_after_ms)
        delay = error->retry_after_ms;
    if (delay > PATIENCE_LAST_MS)
        delay = PATIENCE_LAST_MS;
    e->not_before = pipe_mono_ms(p) + delay;
    peri_info(p->options.log, "match", "%s: %s cannot be decided now, it is asked again in %lld ms: %s",
        e->request.rule->id, e->eval.operator_id, (long long)delay, error->message);
    peri_metric_add(p->metrics.asked_again, 1);
    wait_in_line(e);
    timer_due(p, delay, DUE_EVALUATION, 0, 0);
}

static void answered(void *arg, const struct peri_call_result *result)
{
    struct evaluation *e = arg;
    struct peri_pipeline *p = e->p;
    e->in_call = false;
    if (e->cancelled || p->dead) {
        free_evaluation(e);
        pipe_release(p);
        return;
    }
    if (pipe_host_stops(p, result->status, &result->error)) { /* the question stays open */
        wait_for_room(e);
        pipe_release(p);
        return;
    }
    if (is_passing(e, result)) {
        ask_later(e, &result->error);
        pipe_release(p);
        return;
    }
    e->tries = 0;
    struct peri_error error = result->error;
    enum peri_cond_outcome answer = result->holds ? PERI_COND_YES : PERI_COND_NO;
    if (result->status != PERI_OK) {
        answer = PERI_COND_FAILED;
        if (error.status == PERI_OK)
            (void)peri_error_set(
                &error, result->status, NULL, "the operator failed (%s)", peri_status_name(result->status));
    }
    go_on(e, peri_cond_answer(&e->eval, &e->request.scope, answer, result->value, &error));
    pipe_pump_later(p);
    pipe_release(p);
}

/* False when the queue is full: the call has to wait. */
static bool begin_call(struct evaluation *e, enum peri_cond_outcome *outcome)
{
    struct peri_pipeline *p = e->p;
    const struct evaluation_request *r = &e->request;
    char run_id[PERI_ID_TEXT];
    struct peri_error error = {0};
    struct peri_call call = {.operator_id = e->eval.operator_id,
        .params = e->eval.params,
        .event = r->event,
        .payload = r->payload,
        .rule_id = r->rule->id,
        .rule_name = r->rule->name,
        .as_of = r->as_of};
    if (r->run)
        call.run_id = peri_run_id(r->run, run_id);
    pipe_hold(p);
    e->in_call = true;
    enum peri_status st = p->ops.call(p->ops.ctx, &call, answered, e, &error);
    PERI_FAILPOINT("match.asked");
    if (st == PERI_OK) {
        *outcome = PERI_COND_CALL;
        return true;
    }
    e->in_call = false;
    pipe_release(p);
    if (st == PERI_EBUSY || pipe_host_stops(p, st, &error))
        return false;
    if (error.status == PERI_OK)
        (void)peri_error_set(&error, st, NULL, "%s cannot be called (%s)", call.operator_id, peri_status_name(st));
    *outcome = peri_cond_answer(&e->eval, &r->scope, PERI_COND_FAILED, NULL, &error);
    return true;
}

static void wait_in_line(struct evaluation *e)
{
    struct peri_pipeline *p = e->p;
    e->next = NULL;
    if (p->waiting_first)
        p->waiting_last->next = e;
    else
        p->waiting_first = e;
    p->waiting_last = e;
}

static void wait_for_room(struct evaluation *e)
{
    struct peri_pipeline *p = e->p;
    e->not_before = 0;
    if (!p->waiting_timer)
        timer_due(p, PIPE_BUSY_MS, DUE_EVALUATION, 0, 0);
    p->waiting_timer = true;
    wait_in_line(e);
}

static void go_on(struct evaluation *e, enum peri_cond_outcome outcome)
{
    while (outcome == PERI_COND_CALL) {
        if (!begin_call(e, &outcome)) {
            wait_for_room(e);
            return;
        }
        if (e->in_call)
            return;
    }
    e->done(e->arg, outcome, &e->eval);
    free_evaluation(e);
}

void pipe_evaluations_retry(struct peri_pipeline *p)
{
    struct evaluation *e = p->waiting_first;
    int64_t now = p->dead ? 0 : pipe_mono_ms(p);
    p->waiting_first = NULL;
    p->waiting_timer = false;
    while (e) {
        struct evaluation *next = e->next;
        e->next = NULL;
        if (e->cancelled || p->dead)
            free_evaluation(e);
        else if (e->not_before > now)
            wait_in_line(e); /* it has a timer of its own */
        else
            go_on(e, PERI_COND_CALL);
        e = next;
    }
}

void pipe_evaluation_cancel(struct evaluation *e)
{
    if (!e)
        return;
    e->cancelled = true; /* its call, or the list it waits in, frees it */
}

enum peri_status pipe_evaluate(struct peri_pipeline *p, const struct evaluation_request *request, evaluated done,
    void *arg, struct evaluation **ret)
{
    struct evaluation *e = calloc(1, sizeof(*e));
    *ret = NULL;
    if (!e)
        return PERI_ENOMEM;
    e->p = p;
    e->request = *request;
    peri_rule_ref(request->rule);
    peri_event_ref(request->event);
    e->done = done;
    e->arg = arg;
    peri_cond_init(&e->eval, request->condition);
    e->eval.watch = (struct peri_cond_watch){p->ops.decided, p->ops.ctx, request->rule};
    enum peri_cond_outcome outcome = peri_cond_start(&e->eval, &request->scope);
    bool waits = false;
    while (outcome == PERI_COND_CALL && !waits) {
        waits = !begin_call(e, &outcome);
        if (waits)
            wait_for_room(e);
        waits = waits || e->in_call;
    }
    if (waits) {
        *ret = e;
        return PERI_OK;
    }
    e->done(e->arg, outcome, &e->eval);
    free_evaluation(e);
    return PERI_OK;
}
