/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "run/run_internal.h"

void m_nomem(struct machine *m)
{
    m->st = PERI_ENOMEM;
    m->stop = true;
}

void m_stop(struct machine *m, enum peri_run_next next)
{
    struct peri_run_effects *out = m->out;
    m->stop = true;
    out->next = next;
    if (!peri_vec_grow(&out->tasks, &out->task_cap, out->task_count + 1, sizeof(*out->tasks))) {
        m_nomem(m);
        return;
    }
    out->tasks[out->task_count++] =
        (struct peri_run_task){m->track->id, next, next == PERI_NEXT_EVALUATE ? out->condition : NULL};
}

void m_clear_call(struct peri_track *track)
{
    peri_value_unref(track->params);
    track->params = NULL;
    free(track->key);
    track->key = NULL;
    track->reserved_ms = 0;
    track->doubt = false;
    peri_error_clear(&track->last);
    track->wake_ms = track->base_ms = 0;
    track->due_ms = track->due_base_ms = 0;
}

void m_end(struct machine *m, enum peri_run_state state)
{
    m_drop_branches(m, NULL, NULL);
    m_select(m, &m->run->track);
    if (m->track->phase == PERI_PHASE_JOIN && m->st == PERI_OK)
        m_abandon(m, NULL);
    m_pop_to(m->track, 0);
    m_clear_call(m->track);
    m->track->phase = PERI_PHASE_STEP;
    m->run->ended_ms = m->in->now_ms;
    m->run->due_ms = m->run->due_base_ms = 0;
    m->run->state = state;
    m->out->task_count = 0;
    m->out->next = PERI_NEXT_END;
    m->stop = m->ended = true;
}

const struct peri_step *m_step(const struct machine *m)
{
    return peri_track_step(m->track);
}

/* The container that opened the frame on top. */
static const struct peri_step *outer_step(const struct peri_track *track)
{
    const struct peri_frame *frame = &track->frames[track->depth - 2];
    return frame->block->steps[frame->i];
}

void m_push(struct machine *m, const struct peri_block *block, struct peri_value *list, struct peri_value *error)
{
    struct peri_track *track = m->track;
    if (track->depth >= PERI_RUN_DEPTH_MAX) {
        struct peri_error err = {0};
        (void)peri_error_set(
            &err, PERI_ELIMIT, "limit.depth", "blocks are nested more than %d deep", PERI_RUN_DEPTH_MAX);
        peri_value_unref(list);
        peri_value_unref(error);
        peri_value_unref(m->run->error);
        m->run->error = m_error_value(m, &err);
        m_end(m, PERI_RUN_FAILED);
        return;
    }
    if (!peri_vec_grow(&track->frames, &track->cap, track->depth + 1, sizeof(*track->frames))) {
        peri_value_unref(list);
        peri_value_unref(error);
        m_nomem(m);
        return;
    }
    struct peri_frame *frame = &track->frames[track->depth++];
    memset(frame, 0, sizeof(*frame));
    frame->block = block;
    frame->n = track->n;
    frame->started_ms = track->step_ms;
    if (!error && track->depth > 1 && outer_step(track)->timeout_ms > 0) {
        frame->base_ms = outer_step(track)->timeout_ms;
        frame->due_ms = m_steady(m) + frame->base_ms;
    }
    frame->list = list;
    frame->error = error;
    m_clear_call(track);
    track->phase = PERI_PHASE_STEP;
}

void m_pop_to(struct peri_track *track, size_t depth)
{
    while (track->depth > depth) {
        struct peri_frame *frame = &track->frames[--track->depth];
        peri_value_unref(frame->list);
        peri_value_unref(frame->error);
        frame->list = frame->error = NULL;
    }
}

/* The rule's own on_error has ended: the run has failed, but somebody took care of it. */
static void end_handled(struct machine *m)
{
    struct peri_value *error = peri_value_copy(m->run->error);
    if (!error || peri_map_put_bool(error, "handled", true) != PERI_OK) {
        peri_value_unref(error);
        m_nomem(m);
        return;
    }
    peri_value_unref(m->run->error);
    m->run->error = error;
    m_end(m, PERI_RUN_FAILED);
}

static void drop(struct machine *m, struct peri_value **map, const char *name)
{
    if (!name || !peri_map_at(*map, name))
        return;
    struct peri_value *copy = peri_value_copy(*map);
    if (!copy) {
        m_nomem(m);
        return;
    }
    peri_map_drop(copy, name);
    peri_value_unref(*map);
    *map = copy;
}

/* A new round begins: what the last one left under the names of its steps would pass for this one's where a step is
 * skipped or fails. */
static void forget(struct machine *m, const struct peri_block *block)
{
    for (size_t i = 0; block && i < block->count; i++) {
        const struct peri_step *step = block->steps[i];
        drop(m, &m->track->steps, step->id);
        if (step->kind != PERI_STEP_FOR_EACH && step->kind != PERI_STEP_WAIT_FOR)
            drop(m, &m->track->bound, step->as);
        forget(m, step->then);
        forget(m, step->els);
        forget(m, step->body);
        forget(m, step->on_error);
        for (size_t k = 0; k < step->choice_count; k++)
            forget(m, step->choices[k].then);
        for (size_t k = 0; k < step->branch_count; k++)
            forget(m, step->branches[k]);
    }
}

void m_leave(struct machine *m)
{
    struct peri_track *track = m->track;
    struct peri_frame *top = &track->frames[track->depth - 1];
    if (track->depth == 1 && track->parent) {
        m_branch_done(m, NULL);
        return;
    }
    if (track->depth == 1) {
        if (top->error)
            end_handled(m);
        else
            m_end(m, PERI_RUN_SUCCEEDED);
        return;
    }
    if (top->list && top->index + 1 < peri_value_count(top->list)) {
        top->index++;
        top->i = 0;
        forget(m, top->block);
        return;
    }
    m_pop_to(track, track->depth - 1);
    track->frames[track->depth - 1].i++;
}

/* JSON of v; above max only its size is kept. NULL: memory is out, or nothing to write. */
static char *limited_text(const struct peri_value *v, size_t max)
{
    struct peri_buf buf;
    char *text;
    peri_buf_init(&buf, max);
    if (peri_json_write(&buf, v, PERI_JSON_COMPACT) == PERI_OK)
        return peri_buf_take(&buf, NULL);
    peri_buf_finish(&buf);
    text = peri_json_text(v, PERI_JSON_COMPACT);
    if (!text)
        return NULL;
    size_t len = strlen(text);
    free(text);
    return peri_asprintf("{\"too_large\":true,\"bytes\":%zu}", len);
}

static struct peri_step_record *add_record(struct machine *m)
{
    struct peri_run_effects *out = m->out;
    if (!peri_vec_grow(&out->records, &out->record_cap, out->record_count + 1, sizeof(*out->records))) {
        m_nomem(m);
        return NULL;
    }
    struct peri_step_record *record = &out->records[out->record_count++];
    memset(record, 0, sizeof(*record));
    return record;
}

static const char *kind_name(const struct peri_step *step)
{
    switch (step->kind) {
    case PERI_STEP_OPERATOR:
        return step->operator_id;
    case PERI_STEP_DELAY:
        return "delay";
    case PERI_STEP_IF:
        return "if";
    case PERI_STEP_CHOOSE:
        return "choose";
    case PERI_STEP_FOR_EACH:
        return "for_each";
    case PERI_STEP_SET:
        return "set";
    case PERI_STEP_EMIT:
        return "emit";
    case PERI_STEP_STOP:
        return "stop";
    case PERI_STEP_PARALLEL:
        return "parallel";
    case PERI_STEP_WAIT_FOR:
        return "wait_for";
    case PERI_STEP_APPROVE:
        return "approve";
    }
    return "step";
}

struct peri_value *m_error_value(const struct machine *m, const struct peri_error *error)
{
    const struct peri_step *step = m_step(m);
    struct peri_value *map = peri_value_map();
    bool bad = !map;
    bad = bad || peri_map_put_text(map, "code", error->code) != PERI_OK;
    bad = bad || peri_map_put_text(map, "message", error->message) != PERI_OK;
    if (!bad && step) {
        bad = peri_map_put_text(map, "step", step->id ? step->id : step->path) != PERI_OK;
        bad = bad || peri_map_put_int(map, "attempt", m->track->attempt) != PERI_OK;
    }
    if (!bad && error->outcome_unknown)
        bad = peri_map_put_bool(map, "outcome_unknown", true) != PERI_OK;
    if (bad) {
        peri_value_unref(map);
        return NULL;
    }
    return map;
}

static char *error_text(struct machine *m, const struct peri_value *value)
{
    char *text = value ? peri_json_text(value, PERI_JSON_COMPACT) : NULL;
    if (!text)
        m_nomem(m);
    return text;
}

/* A call's row keeps its parameters whole, because a restart sends just them again. */
static void record_at(struct machine *m, const struct peri_step *step, int n, int64_t started_ms,
    enum peri_attempt_state state, const struct peri_value *params, const struct peri_value *result,
    const struct peri_value *error)
{
    struct peri_track *track = m->track;
    struct peri_step_record *record = add_record(m);
    if (!record)
        return;
    bool call = step->kind == PERI_STEP_OPERATOR, asks = step->kind == PERI_STEP_APPROVE; /* people read all of it */
    record->n = n;
    record->attempt = call && track->attempt > 0 ? track->attempt : 1;
    record->path = step->path;
    record->op = kind_name(step);
    record->step_id = step->id;
    record->state = state;
    record->started_ms = started_ms;
    record->ended_ms = state == PERI_ATTEMPT_STARTED ? 0 : m->in->now_ms;
    if (params)
        record->params = call ? peri_json_text(params, PERI_JSON_COMPACT)
                              : limited_text(params, asks ? PERI_RUN_VARS_MAX : PERI_RUN_RESULT_MAX);
    if (result)
        record->result = limited_text(result, PERI_RUN_RESULT_MAX);
    if (error)
        record->error = error_text(m, error);
    if (call && track->key)
        record->key = peri_strdup(track->key);
    if ((params && !record->params) || (result && !record->result) || (call && track->key && !record->key))
        m_nomem(m);
}

static void record(struct machine *m, enum peri_attempt_state state, const struct peri_value *params,
    const struct peri_value *result, const struct peri_value *error)
{
    struct peri_track *track = m->track;
    const struct peri_step *step = m_step(m);
    bool call = step->kind == PERI_STEP_OPERATOR && track->attempt > 0;
    record_at(m, step, track->n, call ? track->attempt_ms : track->step_ms, state, params, result, error);
}

void m_record(struct machine *m, enum peri_attempt_state state, const struct peri_value *params,
    const struct peri_value *result, const struct peri_error *error)
{
    struct peri_value *value = error ? m_error_value(m, error) : NULL;
    if (error && !value)
        m_nomem(m);
    else
        record(m, state, params, result, value);
    peri_value_unref(value);
}

bool m_assign(struct machine *m, struct peri_value **map, const char *name, const struct peri_value *value)
{
    struct peri_value *copy = peri_value_copy(*map);
    struct peri_value *item = value ? peri_value_ref(value) : peri_value_null();
    if (!copy)
        peri_value_unref(item);
    if (!copy || peri_map_put(copy, name, item) != PERI_OK) {
        peri_value_unref(copy);
        m_nomem(m);
        return false;
    }
    peri_value_unref(*map);
    *map = copy;
    return true;
}

bool m_keep(struct machine *m, const struct peri_value *result, struct peri_error *ret_error)
{
    const struct peri_step *step = m_step(m);
    struct peri_track *track = m->track;
    bool other = step->kind == PERI_STEP_FOR_EACH || step->kind == PERI_STEP_WAIT_FOR;
    const char *as = other ? NULL : step->as;
    if (!step->id && !as)
        return true;
    struct peri_value *steps = peri_value_ref(track->steps), *bound = peri_value_ref(track->bound);
    bool ok =
        (!step->id || m_assign(m, &track->steps, step->id, result)) && (!as || m_assign(m, &track->bound, as, result));
    if (ok && m_measure(m, ret_error) != PERI_OK) {
        peri_value_unref(track->steps);
        peri_value_unref(track->bound);
        track->steps = peri_value_ref(steps);
        track->bound = peri_value_ref(bound);
        ok = false;
    }
    peri_value_unref(steps);
    peri_value_unref(bound);
    return ok;
}

void m_next(struct machine *m)
{
    struct peri_track *track = m->track;
    const struct peri_step *step = m_step(m);
    if (step && step->kind != PERI_STEP_OPERATOR)
        track->since = m->in->seq;
    m_clear_call(track);
    track->phase = PERI_PHASE_STEP;
    track->frames[track->depth - 1].i++;
}

void m_done(struct machine *m, const struct peri_value *params, const struct peri_value *result)
{
    struct peri_error error = {0};
    if (!m_keep(m, result, &error)) {
        if (m->st == PERI_OK)
            m_fail(m, params, &error);
        return;
    }
    m_record(m, PERI_ATTEMPT_DONE, params, result, NULL);
    m_next(m);
}

void m_fail(struct machine *m, const struct peri_value *params, const struct peri_error *error)
{
    m_record(m, PERI_ATTEMPT_FAILED, params, NULL, error);
    if (m->st == PERI_OK)
        m_unwind(m, error);
}

/* What later steps may read of a failure that was handled: steps.<id> = {error: {...}}. Without room for it, they find
 * nothing: the failure itself goes on to its handler. */
static void note_failure(struct machine *m, const struct peri_step *step, const struct peri_value *error)
{
    if (!step->id)
        return;
    struct peri_error full;
    struct peri_value *map = peri_value_map(), *before = peri_value_ref(m->track->steps);
    if (!map || peri_map_put_ref(map, "error", error) != PERI_OK)
        m_nomem(m);
    else if (m_assign(m, &m->track->steps, step->id, map) && m_measure(m, &full) != PERI_OK) {
        peri_value_unref(m->track->steps);
        m->track->steps = peri_value_ref(before);
    }
    peri_value_unref(before);
    peri_value_unref(map);
}

static bool handle_at(struct machine *m, size_t level, bool in_handler, const struct peri_value *error)
{
    struct peri_track *track = m->track;
    const struct peri_frame *frame = &track->frames[level];
    const struct peri_step *step = frame->block->steps[frame->i];
    bool handler = step->on_error && !in_handler;
    if (!handler && !step->continue_on_error)
        return false;
    note_failure(m, step, error);
    if (m->stop)
        return true;
    m_pop_to(track, level + 1);
    if (handler)
        m_push(m, step->on_error, NULL, peri_value_ref(error));
    else
        m_next(m);
    return true;
}

void m_fail_run(struct machine *m, const struct peri_value *error)
{
    struct peri_run *run = m->run;
    bool in_rule_handler = run->track.frames[0].error != NULL;
    m_select(m, &run->track);
    run->due_ms = run->due_base_ms = 0; /* what handles it has all the time it needs */
    if (in_rule_handler) {              /* keep what came first, say what came second */
        struct peri_value *first = peri_value_copy(run->error);
        if (!first || peri_map_put_ref(first, "on_error", error) != PERI_OK) {
            peri_value_unref(first);
            m_nomem(m);
            return;
        }
        peri_value_unref(run->error);
        run->error = first;
        m_end(m, PERI_RUN_FAILED);
        return;
    }
    peri_value_unref(run->error);
    run->error = peri_value_ref(error);
    if (!run->rule->on_error) {
        m_end(m, PERI_RUN_FAILED);
        return;
    }
    m_pop_to(m->track, 0);
    m_push(m, run->rule->on_error, NULL, peri_value_ref(error));
}

void m_unwind_value(struct machine *m, const struct peri_value *error)
{
    struct peri_track *track = m->track;
    bool handled = false;
    for (size_t level = track->depth; level-- > 0 && !handled && m->st == PERI_OK;) {
        bool below = level + 1 < track->depth;
        bool in_handler = below && track->frames[level + 1].error != NULL;
        const struct peri_frame *frame = &track->frames[level];
        if (below && !in_handler) /* a container fails with what is in it */
            record_at(m, frame->block->steps[frame->i], track->frames[level + 1].n, track->frames[level + 1].started_ms,
                PERI_ATTEMPT_FAILED, NULL, NULL, error);
        if (m->st == PERI_OK)
            handled = handle_at(m, level, in_handler, error);
    }
    if (handled || m->st != PERI_OK)
        return;
    if (track->parent)
        m_branch_done(m, error);
    else
        m_fail_run(m, error);
}

void m_unwind(struct machine *m, const struct peri_error *err)
{
    struct peri_value *error = m_error_value(m, err);
    if (error)
        m_unwind_value(m, error);
    else
        m_nomem(m);
    peri_value_unref(error);
}

void m_fail_value(struct machine *m, const struct peri_value *error)
{
    struct peri_value *kept = peri_value_ref(error);
    record(m, PERI_ATTEMPT_FAILED, NULL, NULL, kept);
    if (m->st == PERI_OK)
        m_unwind_value(m, kept);
    peri_value_unref(kept);
}
