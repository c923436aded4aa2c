/* SPDX-License-Identifier: Apache-2.0 */
#include "run/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "run/result.h"
#include "run/run_internal.h"
#include "run/scope.h"

void peri_run_effects_init(struct peri_run_effects *effects)
{
    memset(effects, 0, sizeof(*effects));
}

void peri_run_effects_finish(struct peri_run_effects *effects)
{
    for (size_t i = 0; i < effects->record_count; i++) {
        struct peri_step_record *record = &effects->records[i];
        free(record->params);
        free(record->result);
        free(record->error);
        free(record->key);
    }
    for (size_t i = 0; i < effects->emit_count; i++) {
        free(effects->emits[i].type);
        peri_value_unref(effects->emits[i].data);
    }
    for (size_t i = 0; i < effects->reservation_count; i++)
        free(effects->reservations[i].bucket);
    free(effects->records);
    free(effects->emits);
    free(effects->reservations);
    for (size_t i = 0; i < effects->wait_count; i++) {
        free(effects->waits[i].path);
        free(effects->waits[i].match);
    }
    free(effects->waits);
    free(effects->unwaits);
    free(effects->tasks);
    free(effects->ended);
    memset(effects, 0, sizeof(*effects));
}

struct peri_run *peri_run_create(struct peri_rule *rule, const char *kprefix, int64_t now_ms)
{
    struct peri_run *run = calloc(1, sizeof(*run));
    if (!run)
        return NULL;
    run->rule = peri_rule_ref(rule);
    run->state = PERI_RUN_READY;
    run->created_ms = now_ms;
    run->kprefix = peri_strdup(kprefix ? kprefix : "");
    run->vars = peri_value_map();
    run->track.run = run;
    run->track.steps = peri_value_map();
    run->track.bound = peri_value_map();
    run->rule_value = peri_scope_rule(rule);
    bool room = peri_vec_grow(&run->track.frames, &run->track.cap, 1, sizeof(*run->track.frames));
    if (!room || !run->kprefix || !run->vars || !run->track.steps || !run->track.bound || !run->rule_value) {
        peri_run_destroy(run);
        return NULL;
    }
    run->track.depth = 1;
    run->track.frames[0].block = rule->actions;
    return run;
}

void peri_run_destroy(struct peri_run *run)
{
    if (!run)
        return;
    for (size_t i = 0; i < run->branch_count; i++) {
        track_finish(run->branches[i]);
        free(run->branches[i]);
    }
    free(run->branches);
    track_finish(&run->track);
    peri_value_unref(run->vars);
    peri_value_unref(run->error);
    peri_value_unref(run->event);
    peri_value_unref(run->trigger);
    peri_value_unref(run->rule_value);
    peri_value_unref(run->run_value);
    free(run->kprefix);
    free(run->ckey);
    peri_rule_unref(run->rule);
    free(run);
}

bool peri_run_is_final(enum peri_run_state state)
{
    return state >= PERI_RUN_SUCCEEDED;
}

const struct peri_step *peri_track_step(const struct peri_track *track)
{
    if (track->depth == 0)
        return NULL;
    const struct peri_frame *top = &track->frames[track->depth - 1];
    return top->i < top->block->count ? top->block->steps[top->i] : NULL;
}

const struct peri_step *peri_run_step(const struct peri_run *run)
{
    return peri_track_step(&run->track);
}

struct peri_track *peri_run_track(const struct peri_run *run, int id)
{
    for (size_t i = 0; i < run->branch_count; i++)
        if (run->branches[i]->id == id)
            return run->branches[i];
    return id == 0 ? (struct peri_track *)(uintptr_t)&run->track : NULL;
}

struct peri_track *peri_run_track_at(const struct peri_run *run, enum peri_phase phase, int n)
{
    if (run->track.depth > 0 && run->track.phase == phase && (n == 0 || run->track.n == n))
        return (struct peri_track *)(uintptr_t)&run->track;
    for (size_t i = 0; i < run->branch_count; i++)
        if (run->branches[i]->phase == phase && (n == 0 || run->branches[i]->n == n))
            return run->branches[i];
    return NULL;
}

struct peri_track *peri_run_track_in(const struct peri_run *run, enum peri_phase phase)
{
    return peri_run_track_at(run, phase, 0);
}

static bool is(const char *name, size_t len, const char *word)
{
    return strlen(word) == len && memcmp(name, word, len) == 0;
}

/* What a loop or a handler around the track's place says; the innermost first, then what opened the track. */
static const struct peri_value *around(const struct peri_track *track, const char *name, size_t len)
{
    for (size_t level = track->depth; level-- > 0;) {
        const struct peri_frame *frame = &track->frames[level];
        if (frame->error && is(name, len, "error"))
            return frame->error;
        const struct peri_step *loop = NULL;
        if (frame->list && level > 0)
            loop = track->frames[level - 1].block->steps[track->frames[level - 1].i];
        else if (frame->list && track->parent)
            loop = peri_track_step(track->parent);
        if (loop && loop->as && is(name, len, loop->as))
            return peri_list_at(frame->list, frame->index);
    }
    return track->parent ? around(track->parent, name, len) : NULL;
}

static const struct peri_value *made_root(struct peri_run *run, struct peri_value **value, enum peri_run_root root)
{
    if (!*value && run->make_root) {
        *value = run->make_root(run->root_ctx, root);
        run->spoilt = run->spoilt || !*value;
    }
    return *value;
}

static const struct peri_value *lookup(void *ctx, const char *name, size_t len)
{
    const struct peri_track *track = ctx;
    struct peri_run *run = track->run;
    const struct peri_value *near = around(track, name, len);
    if (near)
        return near;
    if (is(name, len, "event"))
        return run->event;
    if (is(name, len, "steps"))
        return track->steps;
    if (is(name, len, "vars"))
        return run->vars;
    if (is(name, len, "trigger"))
        return made_root(run, &run->trigger, PERI_ROOT_TRIGGER);
    if (is(name, len, "rule"))
        return run->rule_value;
    if (is(name, len, "run"))
        return made_root(run, &run->run_value, PERI_ROOT_RUN);
    const struct peri_value *bound = peri_map_atn(track->bound, name, len);
    if (bound || !is(name, len, "events"))
        return bound;
    return peri_map_at(made_root(run, &run->trigger, PERI_ROOT_TRIGGER), "named");
}

struct peri_scope peri_track_scope(const struct peri_track *track, int64_t now_ms, const struct peri_tz_source *tz)
{
    struct peri_scope scope = {.lookup = lookup, .ctx = (void *)(uintptr_t)track, .now_ms = now_ms, .tz = tz};
    return scope;
}

int64_t m_steady(const struct machine *m)
{
    return m->in->now_ms - m->in->offset_ms;
}

/* --- attempts --- */

/* The key is stable over retries and restarts: it has the run and the step's number in it, never the attempt. */
static bool render_key(struct machine *m, const struct peri_step *step, struct peri_error *error)
{
    struct peri_track *track = m->track;
    struct peri_value *value = NULL;
    if (!step->idempotency_key) {
        track->key = peri_asprintf("%s.%llu/%d", m->run->kprefix, (unsigned long long)m->run->id, track->n);
    } else {
        if (peri_template_render(step->idempotency_key, &m->scope, &value, error) != PERI_OK)
            return false;
        if (peri_value_is(value, PERI_INT))
            track->key = peri_asprintf("%lld", (long long)peri_value_as_int(value));
        else if (peri_value_text(value) && *peri_value_text(value))
            track->key = peri_strdup(peri_value_text(value));
        else
            (void)peri_error_set(error, PERI_EINVAL, "type", "idempotency_key must be a text that is not empty");
        peri_value_unref(value);
        if (error->status != PERI_OK)
            return false;
    }
    if (!track->key)
        m_nomem(m);
    return track->key != NULL;
}

static bool render_call(struct machine *m, const struct peri_step *step, struct peri_error *error)
{
    struct peri_track *track = m->track;
    if (!step->params)
        track->params = peri_value_map();
    else if (peri_template_render(step->params, &m->scope, &track->params, error) != PERI_OK)
        return false;
    if (!track->params) {
        m_nomem(m);
        return false;
    }
    return render_key(m, step, error);
}

/* Starts the next attempt of the present operator step, or holds it back. Parameters are rendered once, right before
 * the first attempt: every later one sends the same. */
void m_attempt(struct machine *m)
{
    struct peri_track *track = m->track;
    struct peri_error error = {0};
    track->wake_ms = track->base_ms = 0;
    if (m->run->paused_ms) {
        track->phase = PERI_PHASE_HELD;
        m->stop = true;
        return;
    }
    if (m->in->hold || (m->in->room > 0 && m->attempts >= m->in->room)) {
        track->phase = PERI_PHASE_HELD;
        m_stop(m, PERI_NEXT_HELD);
        return;
    }
    if (!track->params && !render_call(m, m_step(m), &error)) {
        if (m->st == PERI_OK && !m_fallback(m, &error))
            m_fail(m, track->params, &error);
        return;
    }
    if (!m_gate(m))
        return;
    peri_error_clear(&track->last);
    track->attempt++;
    track->attempt_ms = m->in->now_ms;
    if (track->attempt == 1) {
        track->first_ms = m->in->now_ms;
        track->tried_ms = m_steady(m);
        track->since = m->in->seq; /* what it sets in motion may be heard before its answer */
    }
    track->phase = PERI_PHASE_CALL;
    m_record(m, PERI_ATTEMPT_STARTED, track->params, NULL, NULL);
    m->attempts++;
    if (m->st == PERI_OK)
        m_stop(m, PERI_NEXT_CALL);
}

/* The outcome of the present attempt is not known and it must not be sent again: the step's own handler takes it, or a
 * person. */
static void unknown(struct machine *m, const struct peri_error *error)
{
    struct peri_track *track = m->track;
    const struct peri_step *step = m_step(m);
    m_record(m, PERI_ATTEMPT_UNKNOWN, track->params, NULL, error);
    if (m->st != PERI_OK)
        return;
    if (step->on_error || step->continue_on_error) {
        m_unwind(m, error);
        return;
    }
    track->last = *error;
    track->phase = PERI_PHASE_UNKNOWN;
    m_stop(m, PERI_NEXT_PERSON);
}

static void backoff(struct machine *m, const struct peri_error *error, int64_t delay_ms)
{
    struct peri_track *track = m->track;
    m_record(m, PERI_ATTEMPT_RETRY, track->params, NULL, error);
    if (m->st != PERI_OK)
        return;
    track->last = *error;
    track->phase = PERI_PHASE_BACKOFF;
    track->wake_ms = m_steady(m) + delay_ms;
    track->base_ms = delay_ms;
    m_stop(m, PERI_NEXT_SLEEP);
}

/* --- inputs, one function each --- */

static void ignore(struct machine *m)
{
    m->ignored = true;
    m->stop = true;
}

static void ask_again(struct machine *m)
{
    const struct peri_step *step = m_step(m);
    struct peri_track *track = m->track;
    m->out->condition = track->phase == PERI_PHASE_GUARD ? step->guard : step->choices[track->choice].when;
    m_stop(m, PERI_NEXT_EVALUATE);
}

void m_go(struct machine *m)
{
    switch (m->track->phase) {
    case PERI_PHASE_STEP:
        break; /* the caller proceeds */
    case PERI_PHASE_GUARD:
    case PERI_PHASE_CHOICE:
        ask_again(m);
        break;
    case PERI_PHASE_HELD:
        m_attempt(m);
        break;
    case PERI_PHASE_CALL:
    case PERI_PHASE_BACKOFF:
    case PERI_PHASE_DELAY:
    case PERI_PHASE_UNKNOWN:
    case PERI_PHASE_GATED:
    case PERI_PHASE_JOIN:
    case PERI_PHASE_WAIT:
    case PERI_PHASE_APPROVE:
        ignore(m);
        break;
    }
}

static void on_call_ok(struct machine *m)
{
    if (m->track->phase != PERI_PHASE_CALL) {
        ignore(m);
        return;
    }
    m_done(m, m->track->params, m->in->value);
}

static void on_call_failed(struct machine *m)
{
    struct peri_track *track = m->track;
    if (track->phase != PERI_PHASE_CALL) {
        ignore(m);
        return;
    }
    track->interruptions = 0;
    struct peri_attempt_facts facts = {.retry = &m_step(m)->retry,
        .error = m->in->error,
        .delivery = m->in->delivery,
        .tries = track->attempt - track->free_attempts,
        .first_ms = track->tried_ms,
        .now_ms = m_steady(m),
        .random = m->in->random};
    int64_t delay_ms = 0;
    track->doubt = track->doubt || m->in->error->outcome_unknown;
    facts.doubt = track->doubt;
    switch (peri_result_after(&facts, &delay_ms)) {
    case PERI_AFTER_RETRY:
        backoff(m, m->in->error, delay_ms);
        break;
    case PERI_AFTER_FAIL:
        if (!m_fallback(m, m->in->error))
            m_fail(m, track->params, m->in->error);
        break;
    case PERI_AFTER_UNKNOWN:
        unknown(m, m->in->error);
        break;
    }
}

static void on_condition(struct machine *m)
{
    const struct peri_run_input *in = m->in;
    if (m->track->phase == PERI_PHASE_GUARD)
        m_guarded(m, in->condition, in->reason, in->value, in->error);
    else if (m->track->phase == PERI_PHASE_CHOICE)
        m_chosen(m, in->condition, in->error);
    else
        ignore(m);
}

static enum peri_delivery class_of(const struct machine *m)
{
    const struct peri_step *step = m_step(m);
    return m->in->class_of && step ? m->in->class_of(m->in->class_ctx, step) : m->in->delivery;
}

static void on_cancel(struct machine *m)
{
    m_drop_branches(m, NULL, NULL);
    if (m->st == PERI_OK)
        m_abandon(m, NULL);
    if (m->st == PERI_OK)
        m_end(m, PERI_RUN_CANCELLED);
}

/* An attempt was in flight when the process died. */
static void interrupted(struct machine *m)
{
    struct peri_run *run = m->run;
    struct peri_track *track = m->track;
    struct peri_error error = {0};
    if (!m->interrupted && !m->in->not_sent) /* one stop is one, however many branches had a call under way */
        run->interruptions++;
    m->interrupted = true;
    track->interruptions += !m->in->not_sent;
    (void)peri_error_set(&error, PERI_EIO, "interrupted", "the service stopped while the call was under way");
    error.outcome_unknown = true;
    if (peri_result_interrupted(class_of(m)) == PERI_AFTER_UNKNOWN) {
        unknown(m, &error);
        return;
    }
    if (track->interruptions >= PERI_RUN_INTERRUPTIONS_MAX) {
        (void)peri_error_set(&error, PERI_EIO, "interrupted",
            "the service stopped %d times while this call was under way", track->interruptions);
        error.outcome_unknown = true;
        m_record(m, PERI_ATTEMPT_UNKNOWN, track->params, NULL, &error);
        peri_value_unref(run->error);
        run->error = m_error_value(m, &error);
        track->phase = PERI_PHASE_STEP;
        m_end(m, PERI_RUN_FAILED);
        return;
    }
    track->free_attempts++;
    track->doubt = true;
    if (class_of(m) == PERI_DELIVERY_LOOKUP) { /* it may still be on its way */
        backoff(m, &error, PERI_LOOKUP_MIN_MS);
        return;
    }
    m_record(m, PERI_ATTEMPT_UNKNOWN, track->params, NULL, &error);
    if (m->st == PERI_OK)
        m_attempt(m);
}

static void on_restarted(struct machine *m)
{
    m_clamp(m, m->track);
    if (m->run->paused_ms && m->track->phase != PERI_PHASE_CALL) {
        ignore(m);
        return;
    }
    switch (m->track->phase) {
    case PERI_PHASE_CALL:
        interrupted(m);
        break;
    case PERI_PHASE_BACKOFF:
    case PERI_PHASE_GATED:
    case PERI_PHASE_DELAY:
    case PERI_PHASE_WAIT:
    case PERI_PHASE_APPROVE:
        m_stop(m, PERI_NEXT_SLEEP);
        break;
    case PERI_PHASE_UNKNOWN:
    case PERI_PHASE_JOIN:
        ignore(m);
        break;
    default:
        m_go(m);
        break;
    }
}

bool m_each_track(struct machine *m, void (*what)(struct machine *m))
{
    struct peri_run *run = m->run;
    int *ids = calloc(run->branch_count + 1, sizeof(int));
    size_t count = run->branch_count + 1;
    bool any = false;
    if (!ids) {
        m_nomem(m);
        return false;
    }
    for (size_t i = 0; i < run->branch_count; i++)
        ids[i + 1] = run->branches[i]->id;
    for (size_t i = 0; i < count && m->st == PERI_OK && !m->ended; i++) {
        struct peri_track *track = peri_run_track(run, ids[i]);
        if (!track || track->able)
            continue;
        m_select(m, track);
        m->stop = m->ignored = false;
        what(m);
        any = any || !m->ignored;
        m_proceed(m);
    }
    free(ids);
    return any;
}

static void on_resolved(struct machine *m)
{
    struct peri_track *track = m->track;
    struct peri_error error;
    if (track->phase != PERI_PHASE_UNKNOWN) {
        ignore(m);
        return;
    }
    switch (m->in->decision) {
    case PERI_DECIDE_DONE:
        m_done(m, track->params, m->in->value);
        break;
    case PERI_DECIDE_AGAIN: /* a fresh budget: a person asked for it */
        track->free_attempts = track->attempt;
        track->first_ms = m->in->now_ms;
        track->tried_ms = m_steady(m);
        m_attempt(m);
        break;
    case PERI_DECIDE_FAIL:
        error = track->last;
        m_fail(m, track->params, &error);
        break;
    }
}

enum peri_status peri_run_late(struct peri_run *run, int id, bool ok, const struct peri_value *result,
    const struct peri_error *error, int64_t now_ms, struct peri_run_effects *effects)
{
    struct peri_run_input input = {.now_ms = now_ms};
    struct machine m = {.run = run, .in = &input, .out = effects, .st = PERI_OK};
    enum peri_attempt_state state = ok ? PERI_ATTEMPT_DONE : PERI_ATTEMPT_FAILED;
    struct peri_track *track = peri_run_track(run, id);
    if (!ok && error->outcome_unknown)
        state = PERI_ATTEMPT_UNKNOWN;
    if (!track || track->phase != PERI_PHASE_CALL || !peri_track_step(track))
        return PERI_OK;
    m_select(&m, track);
    m_record(&m, state, track->params, ok ? result : NULL, ok ? NULL : error);
    return m.st;
}

static void begin_timeout(struct peri_run *run, const struct peri_run_input *input)
{
    bool begins = input->kind == PERI_INPUT_GO || input->kind == PERI_INPUT_RESTARTED;
    if (!begins || run->last_n > 0 || run->due_ms || run->rule->timeout_ms <= 0)
        return;
    run->due_base_ms = run->rule->timeout_ms;
    run->due_ms = input->now_ms - input->offset_ms + run->due_base_ms;
}

static void of_track(struct machine *m)
{
    static void (*const inputs[PERI_INPUT_COUNT])(struct machine *) = {
        [PERI_INPUT_GO] = m_go,
        [PERI_INPUT_CALL_OK] = on_call_ok,
        [PERI_INPUT_CALL_FAILED] = on_call_failed,
        [PERI_INPUT_CONDITION] = on_condition,
        [PERI_INPUT_TIMER] = m_timer,
        [PERI_INPUT_CANCEL] = on_cancel,
        [PERI_INPUT_RESTARTED] = on_restarted,
        [PERI_INPUT_RESOLVED] = on_resolved,
        [PERI_INPUT_EVENT] = m_heard,
        [PERI_INPUT_ANSWER] = m_answered,
        [PERI_INPUT_PAUSE] = m_pause,
        [PERI_INPUT_RESUME] = m_resume,
    };
    bool whole = m->in->kind == PERI_INPUT_TIMER || m->in->kind == PERI_INPUT_CANCEL ||
                 m->in->kind == PERI_INPUT_PAUSE || m->in->kind == PERI_INPUT_RESUME;
    struct peri_track *track = peri_run_track(m->run, whole ? 0 : m->in->track);
    if (m->in->kind == PERI_INPUT_EVENT)
        track = peri_run_track_at(m->run, PERI_PHASE_WAIT, m->in->n);
    else if (m->in->kind == PERI_INPUT_ANSWER)
        track = peri_run_track_at(m->run, PERI_PHASE_APPROVE, m->in->n);
    if (!track) {
        ignore(m);
        return;
    }
    m_select(m, track);
    inputs[m->in->kind](m);
    if (m->in->kind != PERI_INPUT_TIMER && m->in->kind != PERI_INPUT_RESUME)
        m_proceed(m);
}

enum peri_status peri_run_advance(
    struct peri_run *run, const struct peri_run_input *input, struct peri_run_effects *effects)
{
    struct machine m = {.run = run, .in = input, .out = effects, .st = PERI_OK};
    effects->next = PERI_NEXT_IGNORED;
    bool paused = run->paused_ms ? !m_paused_takes(run, input)
                                 : run->state == PERI_RUN_PAUSED && input->kind != PERI_INPUT_CANCEL;
    if (peri_run_is_final(run->state) || run->track.depth == 0 || paused)
        return PERI_OK;
    effects->next = PERI_NEXT_NOTHING;
    begin_timeout(run, input);
    if (input->kind == PERI_INPUT_RESTARTED && input->track == PERI_TRACK_ALL)
        m.ignored = !m_each_track(&m, on_restarted);
    else
        of_track(&m);
    if (m.st == PERI_OK && !m.ignored)
        m_others(&m);
    if (m.ignored)
        effects->next = PERI_NEXT_IGNORED;
    else
        m_sum_up(&m);
    return m.st == PERI_OK && run->spoilt ? PERI_ENOMEM : m.st;
}
