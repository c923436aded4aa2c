/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "lang/duration.h"
#include "lang/glob.h"
#include "run/run_internal.h"

#define EVENT_DATA_MAX (64 * 1024)
#define LIST_BYTES_MAX (64 * 1024) /* the list of a loop is part of the stored position */

/* Renders, or fails the step and returns NULL. */
struct peri_value *m_render(struct machine *m, const struct peri_template *template)
{
    struct peri_error error = {0};
    struct peri_value *value = NULL;
    if (peri_template_render(template, &m->scope, &value, &error) == PERI_OK)
        return value;
    m_fail(m, NULL, &error);
    return NULL;
}

/* Also true when memory is out, which says nothing about the size: the machine is stopped then. */
static bool fits(struct machine *m, const struct peri_value *value, size_t max)
{
    struct peri_buf buf;
    peri_buf_init(&buf, max);
    enum peri_status st = peri_json_write(&buf, value, PERI_JSON_COMPACT);
    peri_buf_finish(&buf);
    if (st == PERI_ENOMEM)
        m_nomem(m);
    return st == PERI_OK || st == PERI_ENOMEM;
}

/* {name: value} for a row. NULL stops the machine. take */
static struct peri_value *one(struct machine *m, const char *name, struct peri_value *value)
{
    struct peri_value *map = peri_value_map();
    if (!map) {
        peri_value_unref(value);
        m_nomem(m);
        return NULL;
    }
    if (peri_map_put(map, name, value) != PERI_OK) {
        peri_value_unref(map);
        m_nomem(m);
        return NULL;
    }
    return map;
}

static bool seconds_to_ms(const struct peri_value *value, int64_t *ret_ms)
{
    double seconds = peri_value_as_real(value);
    if (!(seconds >= 0) || seconds * 1000.0 > (double)PERI_RUN_DELAY_MAX_MS)
        return false;
    *ret_ms = (int64_t)llround(seconds * 1000.0);
    return true;
}

bool m_length(const struct peri_value *value, const char *what, int64_t *ret_ms, struct peri_error *error)
{
    size_t len = 0;
    const char *text = peri_value_textn(value, &len);
    if (text)
        return peri_duration_parse(text, len, ret_ms, error) == PERI_OK;
    if (peri_value_is_number(value) && seconds_to_ms(value, ret_ms))
        return true;
    (void)peri_error_set(error, PERI_EINVAL, "type",
        "a %s is a duration such as \"10m\" or a number of seconds, not %s", what,
        peri_type_name(peri_value_type(value)));
    return false;
}

static void body_delay(struct machine *m, const struct peri_step *step)
{
    struct peri_error error = {0};
    struct peri_value *value = m_render(m, step->delay);
    int64_t ms = 0;
    if (!value)
        return;
    (void)m_length(value, "delay", &ms, &error);
    struct peri_value *params = one(m, "delay", value);
    if (!params)
        return;
    if (error.status != PERI_OK) {
        m_fail(m, params, &error);
    } else if (ms == 0) {
        m_done(m, params, NULL);
    } else {
        m_record(m, PERI_ATTEMPT_STARTED, params, NULL, NULL);
        m->track->phase = PERI_PHASE_DELAY;
        peri_value_unref(m->track->params);
        m->track->params = peri_value_ref(params);
        m->track->wake_ms = m_steady(m) + ms;
        m->track->base_ms = ms;
        if (!m->stop)
            m_stop(m, PERI_NEXT_SLEEP);
    }
    peri_value_unref(params);
}

/* The row of an `if` or `choose` says which way it went; then the branch opens (NULL or empty: on behind it). */
static void branch(struct machine *m, const char *name, const struct peri_block *block)
{
    struct peri_error error = {0};
    struct peri_value *result = one(m, "branch", name ? peri_value_str(name) : peri_value_null());
    if (!result)
        return;
    if (!m_keep(m, result, &error)) {
        if (m->st == PERI_OK)
            m_fail(m, NULL, &error);
    } else {
        m_record(m, PERI_ATTEMPT_DONE, NULL, result, NULL);
        if (m->st == PERI_OK && block && block->count > 0)
            m_push(m, block, NULL, NULL);
        else if (m->st == PERI_OK)
            m_next(m);
    }
    peri_value_unref(result);
}

/* Decides a condition now, or stops for an operator (returns PERI_COND_CALL). */
static enum peri_cond_outcome decide(
    struct machine *m, const struct peri_condition *condition, enum peri_phase phase, struct peri_cond_eval *eval)
{
    peri_cond_init(eval, condition);
    eval->watch = m->in->watch;
    eval->watch.rule = m->run->rule;
    if (peri_condition_is_pure(condition))
        return peri_cond_start(eval, &m->scope);
    m->track->phase = phase;
    m->out->condition = condition;
    m_stop(m, PERI_NEXT_EVALUATE);
    return PERI_COND_CALL;
}

static void body_choose(struct machine *m, const struct peri_step *step)
{
    struct peri_track *track = m->track;
    while (!m->stop && track->choice < step->choice_count) {
        struct peri_cond_eval eval;
        size_t before = track->choice;
        enum peri_cond_outcome outcome = decide(m, step->choices[before].when, PERI_PHASE_CHOICE, &eval);
        if (outcome == PERI_COND_NO)
            track->choice++;
        else if (outcome != PERI_COND_CALL)
            m_chosen(m, outcome, &eval.error);
        peri_cond_finish(&eval);
        if (outcome != PERI_COND_NO)
            return;
    }
    if (!m->stop)
        branch(m, step->els ? "else" : NULL, step->els);
}

void m_chosen(struct machine *m, enum peri_cond_outcome outcome, const struct peri_error *error)
{
    struct peri_track *track = m->track;
    const struct peri_step *step = m_step(m);
    char name[24];
    if (outcome == PERI_COND_FAILED) {
        m_fail(m, NULL, error);
    } else if (outcome == PERI_COND_NO) {
        track->choice++;
        body_choose(m, step);
    } else {
        snprintf(name, sizeof(name), "%zu", track->choice + 1);
        branch(m, name, step->choices[track->choice].then);
    }
}

static void body_for_each(struct machine *m, const struct peri_step *step)
{
    struct peri_error error = {0};
    struct peri_value *list = m_render(m, step->in);
    if (!list)
        return;
    size_t count = peri_value_count(list);
    int64_t max = step->max > 0 ? step->max : 1000;
    if (!peri_value_is(list, PERI_LIST))
        (void)peri_error_set(
            &error, PERI_EINVAL, "type", "for_each needs a list, `in` is %s", peri_type_name(peri_value_type(list)));
    else if (count > (size_t)max)
        (void)peri_error_set(
            &error, PERI_ELIMIT, "limit.items", "the list has %zu items, max is %lld", count, (long long)max);
    else if (!fits(m, list, LIST_BYTES_MAX))
        (void)peri_error_set(
            &error, PERI_ELIMIT, "too_large", "the list is larger than %d KiB of JSON", LIST_BYTES_MAX / 1024);
    if (error.status != PERI_OK) {
        m_fail(m, NULL, &error);
        peri_value_unref(list);
        return;
    }
    if (step->parallel > 0 && count > 0) {
        m_record(m, PERI_ATTEMPT_STARTED, NULL, NULL, NULL);
        if (m->st == PERI_OK)
            m_fork(m, list);
        else
            peri_value_unref(list);
        return;
    }
    struct peri_value *result = one(m, "count", peri_value_int((int64_t)count));
    if (result && !m_keep(m, result, &error)) {
        if (m->st == PERI_OK)
            m_fail(m, NULL, &error);
    } else if (result) {
        m_record(m, PERI_ATTEMPT_DONE, NULL, result, NULL);
        if (m->st == PERI_OK && count > 0 && step->body && step->body->count > 0)
            m_push(m, step->body, peri_value_ref(list), NULL);
        else if (m->st == PERI_OK)
            m_next(m);
    }
    peri_value_unref(result);
    peri_value_unref(list);
}

static void body_parallel(struct machine *m, const struct peri_step *step)
{
    m_record(m, PERI_ATTEMPT_STARTED, NULL, NULL, NULL);
    if (m->st == PERI_OK)
        m_fork(m, NULL);
}

/* All or nothing: a binding that cannot be rendered leaves the variables as they were. */
static void body_set(struct machine *m, const struct peri_step *step)
{
    struct peri_run *run = m->run;
    struct peri_error error = {0};
    struct peri_value *before = peri_value_ref(run->vars), *values = peri_value_map();
    bool ok = values != NULL;
    if (!ok)
        m_nomem(m);
    for (size_t i = 0; ok && i < step->binding_count; i++) {
        struct peri_value *value = NULL;
        ok = peri_template_render(step->bindings[i].value, &m->scope, &value, &error) == PERI_OK;
        ok = ok && m_assign(m, &run->vars, step->bindings[i].name, value);
        ok = ok && peri_map_put_ref(values, step->bindings[i].name, value) == PERI_OK;
        peri_value_unref(value);
    }
    ok = ok && m_measure(m, &error) == PERI_OK;
    if (!ok) {
        peri_value_unref(run->vars);
        run->vars = peri_value_ref(before);
        if (error.status == PERI_OK)
            m_nomem(m);
        else if (m->st == PERI_OK)
            m_fail(m, NULL, &error);
    } else {
        m_done(m, NULL, values);
    }
    peri_value_unref(before);
    peri_value_unref(values);
}

/* take data */
static void add_emit(struct machine *m, const char *type, struct peri_value *data)
{
    struct peri_run_effects *out = m->out;
    char *copy = peri_strdup(type);
    if (!copy || !peri_vec_grow(&out->emits, &out->emit_cap, out->emit_count + 1, sizeof(*out->emits))) {
        free(copy);
        peri_value_unref(data);
        m_nomem(m);
        return;
    }
    out->emits[out->emit_count++] = (struct peri_run_emit){.type = copy, .data = data};
}

/* Its type and data are good: the event leaves with the transaction that stores the step. */
static void emit(
    struct machine *m, const struct peri_value *type, const struct peri_value *data, const struct peri_value *params)
{
    struct peri_error error = {0};
    struct peri_value *result = one(m, "type", peri_value_ref(type));
    if (!result)
        return;
    if (!m_keep(m, result, &error)) {
        if (m->st == PERI_OK)
            m_fail(m, params, &error);
    } else {
        m_record(m, PERI_ATTEMPT_DONE, params, result, NULL);
        if (m->st == PERI_OK)
            add_emit(m, peri_value_text(type), peri_value_ref(data));
        if (m->st == PERI_OK)
            m_next(m);
    }
    peri_value_unref(result);
}

static void body_emit(struct machine *m, const struct peri_step *step)
{
    struct peri_error error = {0};
    struct peri_value *data = NULL, *params = NULL, *type = m_render(m, step->emit_event);
    if (!type)
        return;
    data = step->emit_data ? m_render(m, step->emit_data) : peri_value_null();
    if (!data)
        goto out;
    params = one(m, "event", peri_value_ref(type));
    if (!params || peri_map_put_ref(params, "data", data) != PERI_OK) {
        m_nomem(m);
        goto out;
    }
    const char *name = peri_value_text(type);
    if (!name)
        (void)peri_error_set(
            &error, PERI_EINVAL, "type", "an event type is a text, not %s", peri_type_name(peri_value_type(type)));
    else if (peri_event_type_check(name, &error) == PERI_OK && !fits(m, data, EVENT_DATA_MAX))
        (void)peri_error_set(
            &error, PERI_ELIMIT, "too_large", "the event's data is larger than %d KiB", EVENT_DATA_MAX / 1024);
    if (error.status != PERI_OK)
        m_fail(m, params, &error);
    else if (m->st == PERI_OK)
        emit(m, type, data, params);
out:
    peri_value_unref(params);
    peri_value_unref(type);
    peri_value_unref(data);
}

static void body_stop(struct machine *m, const struct peri_step *step)
{
    struct peri_value *reason = step->reason ? m_render(m, step->reason) : peri_value_null();
    if (!reason)
        return;
    struct peri_value *result = one(m, "reason", reason);
    if (!result)
        return;
    m_record(m, PERI_ATTEMPT_DONE, NULL, result, NULL);
    peri_value_unref(result);
    if (m->st != PERI_OK)
        return;
    /* In the rule's own on_error the run has failed already: stopping ends the handling, not the failure. */
    bool failed = m->run->track.frames[0].error != NULL;
    if (failed) {
        m_drop_branches(m, NULL, NULL);
        m_select(m, &m->run->track);
        m_pop_to(m->track, 1);
        m_leave(m);
    } else {
        m_end(m, PERI_RUN_SUCCEEDED);
    }
}

static void body_if(struct machine *m, const struct peri_step *step)
{
    branch(m, "then", step->then);
}

static void body_operator(struct machine *m, const struct peri_step *step)
{
    m_attempt(m);
}

void m_body(struct machine *m)
{
    static void (*const bodies[])(struct machine *, const struct peri_step *) = {
        [PERI_STEP_OPERATOR] = body_operator,
        [PERI_STEP_DELAY] = body_delay,
        [PERI_STEP_IF] = body_if,
        [PERI_STEP_CHOOSE] = body_choose,
        [PERI_STEP_FOR_EACH] = body_for_each,
        [PERI_STEP_SET] = body_set,
        [PERI_STEP_EMIT] = body_emit,
        [PERI_STEP_STOP] = body_stop,
        [PERI_STEP_PARALLEL] = body_parallel,
        [PERI_STEP_WAIT_FOR] = m_wait,
        [PERI_STEP_APPROVE] = m_approve,
    };
    const struct peri_step *step = m_step(m);
    m->track->phase = PERI_PHASE_STEP;
    bodies[step->kind](m, step);
}

static void skip(struct machine *m, const char *reason, const struct peri_value *detail)
{
    struct peri_value *result = one(m, "reason", peri_value_str(reason && *reason ? reason : "`if` does not hold"));
    if (!result)
        return;
    if (detail && peri_map_put_ref(result, "detail", detail) != PERI_OK)
        m_nomem(m);
    else
        m_record(m, PERI_ATTEMPT_SKIPPED, NULL, result, NULL);
    peri_value_unref(result);
    if (!m->stop)
        m_next(m);
}

void m_guarded(struct machine *m, enum peri_cond_outcome outcome, const char *reason, const struct peri_value *detail,
    const struct peri_error *error)
{
    const struct peri_step *step = m_step(m);
    if (outcome == PERI_COND_FAILED)
        m_fail(m, NULL, error);
    else if (outcome == PERI_COND_YES)
        m_body(m);
    else if (step->kind == PERI_STEP_IF)
        branch(m, step->els ? "else" : NULL, step->els);
    else
        skip(m, reason, detail);
}

static void enter(struct machine *m)
{
    struct peri_run *run = m->run;
    struct peri_track *track = m->track;
    const struct peri_step *step = m_step(m);
    track->n = ++run->last_n;
    track->attempt = track->free_attempts = track->interruptions = 0;
    track->choice = 0;
    track->step_ms = track->first_ms = track->attempt_ms = m->in->now_ms;
    track->tried_ms = m_steady(m);
    if (!step->guard) {
        m_body(m);
        return;
    }
    struct peri_cond_eval eval;
    enum peri_cond_outcome outcome = decide(m, step->guard, PERI_PHASE_GUARD, &eval);
    if (outcome != PERI_COND_CALL)
        m_guarded(m, outcome, eval.reason, eval.detail, &eval.error);
    peri_cond_finish(&eval);
}

static void too_many_steps(struct machine *m)
{
    struct peri_error error = {0};
    (void)peri_error_set(
        &error, PERI_ELIMIT, "limit.steps", "the run has executed %d steps, that is the limit", PERI_RUN_STEPS_MAX);
    peri_value_unref(m->run->error);
    m->run->error = m_error_value(m, &error);
    m_end(m, PERI_RUN_FAILED);
}

void m_proceed(struct machine *m)
{
    while (!m->stop && m->st == PERI_OK) {
        struct peri_track *track = m->track;
        const struct peri_frame *top = &track->frames[track->depth - 1];
        if (top->i >= top->block->count) {
            m_leave(m);
        } else if (m->run->paused_ms) {
            m->stop = true;
        } else if (m->run->last_n >= PERI_RUN_STEPS_MAX) {
            too_many_steps(m);
        } else if (m->burst++ >= PERI_RUN_BURST) {
            m_stop(m, PERI_NEXT_GO);
        } else {
            enter(m);
        }
    }
}
