/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "lang/duration.h"
#include "run/run_internal.h"

/* Branches and what has to be over by a certain time. A branch that fails lets the others come to their end; then the
 * step that opened them fails with what the first one failed on. So nothing that is under way outside is left behind
 * without an answer, except by `timeout`, `stop` and cancelling, which end branches where they stand. */

void track_finish(struct peri_track *track)
{
    m_pop_to(track, 0);
    free(track->frames);
    free(track->key);
    peri_value_unref(track->params);
    peri_value_unref(track->steps);
    peri_value_unref(track->bound);
    peri_value_unref(track->list);
    peri_value_unref(track->failure);
    track->frames = NULL;
}

void m_select(struct machine *m, struct peri_track *track)
{
    m->track = track;
    track->touched = true;
    m->scope = peri_track_scope(track, m->in->now_ms, m->in->tz);
}

enum peri_status m_measure(struct machine *m, struct peri_error *err)
{
    struct peri_buf buf;
    const struct peri_value *parts[] = {m->run->vars, m->track->steps, m->track->bound};
    enum peri_status st = PERI_OK;
    peri_buf_init(&buf, PERI_RUN_VARS_MAX - 32); /* and their names */
    for (size_t i = 0; i < 3 && st == PERI_OK; i++)
        st = peri_json_write(&buf, parts[i], PERI_JSON_COMPACT);
    if (st == PERI_OK)
        m->run->vars_bytes = buf.len;
    peri_buf_finish(&buf);
    if (st == PERI_ENOMEM) { /* says nothing about the size */
        m_nomem(m);
        return peri_error_nomem(err);
    }
    if (st != PERI_OK)
        return peri_error_set(err, PERI_ELIMIT, "too_large",
            "variables and step results of the run are larger than %d KiB of JSON", PERI_RUN_VARS_MAX / 1024);
    return PERI_OK;
}

/* --- beginning and end of branches --- */

struct peri_track *track_add(struct peri_run *run, struct peri_track *parent, int id)
{
    struct peri_track *t = calloc(1, sizeof(*t));
    if (!t || !peri_vec_grow(&t->frames, &t->cap, 1, sizeof(*t->frames)) ||
        !peri_vec_grow(&run->branches, &run->branch_cap, run->branch_count + 1, sizeof(struct peri_track *))) {
        if (t)
            free(t->frames);
        free(t);
        return NULL;
    }
    memset(t->frames, 0, sizeof(*t->frames));
    t->run = run;
    t->parent = parent;
    t->id = id;
    t->since = parent->since;
    t->steps = peri_value_ref(parent->steps);
    t->bound = peri_value_ref(parent->bound);
    run->branches[run->branch_count++] = t;
    return t;
}

static bool begin(struct machine *m, struct peri_track *parent)
{
    const struct peri_step *step = peri_track_step(parent);
    struct peri_track *t = track_add(m->run, parent, ++m->run->last_track);
    if (!t) {
        m_nomem(m);
        return false;
    }
    size_t i = parent->begun++;
    t->frames[0].block = step->kind == PERI_STEP_PARALLEL ? step->branches[i] : step->body;
    t->frames[0].list = peri_value_ref(parent->list);
    t->frames[0].index = i;
    t->frames[0].n = parent->n;
    t->depth = 1;
    t->phase = PERI_PHASE_STEP;
    t->able = t->touched = true;
    return true;
}

void m_fork(struct machine *m, struct peri_value *list)
{
    struct peri_track *track = m->track;
    const struct peri_step *step = m_step(m);
    size_t room = PERI_RUN_TRACKS_MAX - m->run->branch_count;
    size_t want = list ? peri_value_count(list) : step->branch_count;
    if (list && want > (size_t)step->parallel)
        want = (size_t)step->parallel;
    if (list && want > room && room > 0)
        want = room;
    if (want > room) {
        struct peri_error error = {0};
        peri_value_unref(list);
        (void)peri_error_set(&error, PERI_ELIMIT, "limit.branches",
            "the run would have more than %d branches at the same time", PERI_RUN_TRACKS_MAX);
        m_fail(m, NULL, &error);
        return;
    }
    track->phase = PERI_PHASE_JOIN;
    track->list = list;
    track->begun = 0;
    if (step->timeout_ms > 0) {
        track->due_base_ms = step->timeout_ms;
        track->due_ms = m_steady(m) + step->timeout_ms;
    }
    for (size_t i = 0; i < want && m->st == PERI_OK; i++)
        (void)begin(m, track);
    m->stop = true;
}

/* Its tasks mean nothing any more. */
static void drop_tasks(struct machine *m, int id)
{
    struct peri_run_effects *out = m->out;
    size_t kept = 0;
    for (size_t i = 0; i < out->task_count; i++)
        if (out->tasks[i].track != id)
            out->tasks[kept++] = out->tasks[i];
    out->task_count = kept;
}

/* Frees it: m->track must be set to another one. */
static void remove_branch(struct machine *m, struct peri_track *track)
{
    struct peri_run *run = m->run;
    struct peri_run_effects *out = m->out;
    size_t i = 0;
    while (i < run->branch_count && run->branches[i] != track)
        i++;
    if (i == run->branch_count)
        return;
    memmove(&run->branches[i], &run->branches[i + 1], (run->branch_count - i - 1) * sizeof(struct peri_track *));
    run->branch_count--;
    drop_tasks(m, track->id);
    if (peri_vec_grow(&out->ended, &out->ended_cap, out->ended_count + 1, sizeof(int)))
        out->ended[out->ended_count++] = track->id;
    else
        m_nomem(m);
    track_finish(track);
    free(track);
}

/* What a branch of `parallel` has left under names of its own is read behind it. Items of a for_each share the names of
 * their steps: theirs end with them. */
static bool keep_results(struct machine *m, struct peri_value **into, const struct peri_value *from)
{
    struct peri_value *before = peri_value_ref(*into);
    bool good = true;
    for (void *it = peri_map_first(from); it && good; it = peri_map_next(from, it)) {
        const char *name = peri_map_key(it, NULL);
        if (peri_map_at(before, name) != peri_map_item(it))
            good = m_assign(m, into, name, peri_map_item(it));
    }
    peri_value_unref(before);
    return good;
}

static bool has_branch(const struct peri_run *run, const struct peri_track *parent)
{
    for (size_t i = 0; i < run->branch_count; i++)
        if (run->branches[i]->parent == parent)
            return true;
    return false;
}

static void clear_join(struct peri_track *track)
{
    peri_value_unref(track->list);
    peri_value_unref(track->failure);
    track->list = track->failure = NULL;
    track->begun = 0;
}

/* m->track is the one that opened the branches, and the last has ended. */
static void joined(struct machine *m)
{
    struct peri_track *track = m->track;
    struct peri_value *failure = track->failure;
    struct peri_value *result = peri_value_map();
    track->failure = NULL;
    size_t count = track->begun;
    clear_join(track);
    track->phase = PERI_PHASE_STEP;
    track->attempt = 0;
    m->stop = false;
    if (!result || peri_map_put_int(result, "count", (int64_t)count) != PERI_OK)
        m_nomem(m);
    else if (failure)
        m_fail_value(m, failure);
    else
        m_done(m, NULL, result);
    peri_value_unref(result);
    peri_value_unref(failure);
}

void m_branch_done(struct machine *m, const struct peri_value *error)
{
    struct peri_track *track = m->track, *parent = track->parent;
    const struct peri_step *step = peri_track_step(parent);
    struct peri_error full;
    bool all = step->kind == PERI_STEP_PARALLEL;
    if (error && !parent->failure)
        parent->failure = peri_value_ref(error);
    m_select(m, parent);
    struct peri_value *steps = peri_value_ref(parent->steps), *bound = peri_value_ref(parent->bound);
    if (all && keep_results(m, &parent->steps, track->steps) && keep_results(m, &parent->bound, track->bound) &&
        m_measure(m, &full) != PERI_OK) {
        peri_value_unref(parent->steps);
        peri_value_unref(parent->bound);
        parent->steps = peri_value_ref(steps);
        parent->bound = peri_value_ref(bound);
        if (!parent->failure && !(parent->failure = m_error_value(m, &full)))
            m_nomem(m);
    }
    peri_value_unref(steps);
    peri_value_unref(bound);
    remove_branch(m, track);
    m->stop = true;
    if (m->st != PERI_OK)
        return;
    if (parent->list && !parent->failure && parent->begun < peri_value_count(parent->list))
        (void)begin(m, parent);
    else if (!has_branch(m->run, parent))
        joined(m);
}

static bool is_below(const struct peri_track *track, const struct peri_track *above)
{
    for (; track; track = track->parent)
        if (track->parent == above)
            return true;
    return false;
}

void m_drop_branches(struct machine *m, const struct peri_track *below, const struct peri_error *why)
{
    struct peri_track *back = m->track;
    for (size_t i = m->run->branch_count; i-- > 0 && m->st == PERI_OK;) { /* children stand behind their parents */
        struct peri_track *track = m->run->branches[i];
        if (below && !is_below(track, below))
            continue;
        m_select(m, track);
        if (track->phase != PERI_PHASE_JOIN)
            m_abandon(m, why);
        else
            m_record(m, why ? PERI_ATTEMPT_FAILED : PERI_ATTEMPT_CANCELLED, NULL, NULL, why);
        if (track == back)
            back = &m->run->track;
        remove_branch(m, track);
    }
    if (back)
        m_select(m, back);
}

void m_abandon(struct machine *m, const struct peri_error *why)
{
    struct peri_track *track = m->track;
    struct peri_error unknown;
    drop_tasks(m, track->id);
    switch (track->phase) {
    case PERI_PHASE_CALL: /* it may arrive all the same */
        if (why) {
            unknown = *why;
            unknown.outcome_unknown = true;
        }
        m_record(m, why ? PERI_ATTEMPT_UNKNOWN : PERI_ATTEMPT_CANCELLED, track->params, NULL, why ? &unknown : NULL);
        break;
    case PERI_PHASE_WAIT:
    case PERI_PHASE_APPROVE:
        m_unwait(m);
        m_record(m, PERI_ATTEMPT_CANCELLED, track->params, NULL, why);
        break;
    case PERI_PHASE_DELAY:
        m_record(m, PERI_ATTEMPT_CANCELLED, track->params, NULL, why);
        break;
    case PERI_PHASE_BACKOFF:
        m_record(m, PERI_ATTEMPT_CANCELLED, track->params, NULL, why ? why : &track->last);
        break;
    case PERI_PHASE_JOIN:
        m_drop_branches(m, track, why);
        if (m->st == PERI_OK)
            m_record(m, why ? PERI_ATTEMPT_FAILED : PERI_ATTEMPT_CANCELLED, NULL, NULL, why);
        clear_join(track);
        break;
    case PERI_PHASE_STEP:
    case PERI_PHASE_GUARD:
    case PERI_PHASE_CHOICE:
    case PERI_PHASE_HELD:
    case PERI_PHASE_GATED:
    case PERI_PHASE_UNKNOWN:
        break;
    }
    track->phase = PERI_PHASE_STEP;
}

/* --- leading on --- */

static struct peri_track *at(struct peri_run *run, size_t i)
{
    return i == 0 ? &run->track : i <= run->branch_count ? run->branches[i - 1] : NULL;
}

void m_others(struct machine *m)
{
    size_t i = 0;
    while (!m->ended && m->st == PERI_OK) {
        struct peri_track *track = at(m->run, i++);
        if (!track)
            return;
        if (!track->able)
            continue;
        track->able = false;
        m_select(m, track);
        m->stop = false;
        m_proceed(m);
        i = 0; /* others may have begun or gone */
    }
}

/* --- deadlines --- */

static void late(struct peri_error *error, const char *what, int64_t ms)
{
    char length[48];
    (void)peri_error_set(error, PERI_ETIMEOUT, "timeout", "%s took longer than its timeout of %s", what,
        peri_duration_format(ms, length));
}

/* The container that opened frames[level] is over; so is whatever goes on inside. */
static void end_container(struct machine *m, size_t level)
{
    struct peri_track *track = m->track;
    struct peri_error error = {0};
    late(&error, "the step", track->frames[level].base_ms);
    m_abandon(m, &error);
    if (m->st != PERI_OK)
        return;
    int n = track->frames[level].n;
    int64_t started_ms = track->frames[level].started_ms;
    m_pop_to(track, level);
    m_clear_call(track);
    track->n = n;
    track->attempt = 0;
    track->step_ms = started_ms;
    m_fail(m, NULL, &error);
}

static void end_step(struct machine *m)
{
    struct peri_track *track = m->track;
    struct peri_error error = {0};
    late(&error, "the step", track->due_base_ms);
    struct peri_value *params = peri_value_ref(track->params);
    m_abandon(m, &error);
    m_clear_call(track);
    if (m->st == PERI_OK)
        m_fail(m, params, &error);
    peri_value_unref(params);
}

static void end_rule(struct machine *m)
{
    struct peri_run *run = m->run;
    struct peri_error error = {0};
    late(&error, "the run", run->due_base_ms);
    run->due_ms = run->due_base_ms = 0;
    m_select(m, &run->track);
    m_abandon(m, &error);
    struct peri_value *value = m->st == PERI_OK ? m_error_value(m, &error) : NULL;
    if (!value) {
        m_nomem(m);
        return;
    }
    m_clear_call(m->track);
    m_fail_run(m, value);
    peri_value_unref(value);
}

static void wake(struct machine *m)
{
    struct peri_track *track = m->track;
    struct peri_value *params;
    track->wake_ms = track->base_ms = 0;
    switch (track->phase) {
    case PERI_PHASE_BACKOFF:
    case PERI_PHASE_GATED:
        m_attempt(m);
        break;
    case PERI_PHASE_DELAY:
        params = peri_value_ref(track->params);
        m_done(m, params, NULL);
        peri_value_unref(params);
        break;
    case PERI_PHASE_WAIT:
    case PERI_PHASE_APPROVE:
        m_waited(m);
        break;
    default:
        m->stop = true;
        break;
    }
}

static bool is_due(int64_t at_ms, int64_t due_ms)
{
    return at_ms != 0 && at_ms <= due_ms;
}

/* The outermost first: what it ends need not be looked at. False: nothing is due. */
static bool end_one(struct machine *m, int64_t due_ms)
{
    struct peri_track *track;
    if (is_due(m->run->due_ms, due_ms)) {
        end_rule(m);
        return true;
    }
    for (size_t i = 0; (track = at(m->run, i)) != NULL; i++) {
        size_t level = 0;
        while (level < track->depth && !is_due(track->frames[level].due_ms, due_ms))
            level++;
        bool woken = is_due(track->wake_ms, due_ms) && !track->asked;
        if (level == track->depth && !is_due(track->due_ms, due_ms) && !woken)
            continue;
        m_select(m, track);
        if (level < track->depth)
            end_container(m, level);
        else if (is_due(track->due_ms, due_ms))
            end_step(m);
        else
            wake(m);
        return true;
    }
    return false;
}

/* What was put off may be woken before its time; it asks again. Any other time but the earliest is an old entry of the
 * heap. */
static void open_gate(struct machine *m, int64_t due_ms)
{
    struct peri_track *track;
    for (size_t i = 0; (track = at(m->run, i)) != NULL && m->ignored; i++) {
        if (track->phase != PERI_PHASE_GATED || track->wake_ms != due_ms)
            continue;
        m_select(m, track);
        wake(m);
        m->ignored = false;
        if (!m->stop && !m->ended)
            m->track->able = true;
    }
}

void m_timer(struct machine *m)
{
    int64_t due_ms = m->in->due_ms ? m->in->due_ms : m->run->wake_ms;
    m->ignored = true;
    for (size_t i = 0; at(m->run, i); i++)
        at(m->run, i)->asked = false;
    if (due_ms != m->run->wake_ms) {
        open_gate(m, due_ms);
        return;
    }
    while (due_ms && !m->ended && m->st == PERI_OK && end_one(m, due_ms)) {
        m->ignored = false;
        if (!m->stop && !m->ended)
            m->track->able = true;
        if (!m->ended)
            m->stop = m->st != PERI_OK;
    }
}

static void clamp(const struct machine *m, int64_t *at_ms, int64_t base_ms)
{
    int64_t now_ms = m_steady(m), rest = *at_ms - now_ms;
    if (*at_ms != 0)
        *at_ms = now_ms + (rest < 0 ? 0 : rest > base_ms ? base_ms : rest);
}

void m_clamp(struct machine *m, struct peri_track *track)
{
    clamp(m, &track->wake_ms, track->base_ms);
    clamp(m, &track->due_ms, track->due_base_ms);
    for (size_t i = 0; i < track->depth; i++)
        clamp(m, &track->frames[i].due_ms, track->frames[i].base_ms);
    if (!track->parent)
        clamp(m, &m->run->due_ms, m->run->due_base_ms);
}

static void earlier(struct peri_run *run, int64_t at_ms, int64_t base_ms)
{
    if (at_ms == 0 || (run->wake_ms != 0 && run->wake_ms <= at_ms))
        return;
    run->wake_ms = at_ms;
    run->base_ms = base_ms;
}

/* What counts most of all tracks: first those that need something from us, last a person. */
static int rank(enum peri_phase phase)
{
    static const int ranks[] = {[PERI_PHASE_CALL] = 6,
        [PERI_PHASE_STEP] = 5,
        [PERI_PHASE_GUARD] = 5,
        [PERI_PHASE_CHOICE] = 5,
        [PERI_PHASE_HELD] = 5,
        [PERI_PHASE_BACKOFF] = 4,
        [PERI_PHASE_GATED] = 4,
        [PERI_PHASE_DELAY] = 4,
        [PERI_PHASE_WAIT] = 3,
        [PERI_PHASE_APPROVE] = 3,
        [PERI_PHASE_UNKNOWN] = 1,
        [PERI_PHASE_JOIN] = 0};
    return ranks[phase];
}

void m_sum_up(struct machine *m)
{
    static const enum peri_run_state states[] = {
        [0] = PERI_RUN_READY,
        [1] = PERI_RUN_UNKNOWN,
        [3] = PERI_RUN_WAITING,
        [4] = PERI_RUN_SLEEPING,
        [5] = PERI_RUN_READY,
        [6] = PERI_RUN_RUNNING,
    };
    struct peri_run *run = m->run;
    int highest = 0;
    run->wake_ms = run->base_ms = 0;
    run->wall = false;
    if (m->ended)
        return;
    const struct peri_track *track;
    earlier(run, run->due_ms, run->due_base_ms);
    for (size_t i = 0; (track = at(run, i)) != NULL; i++) {
        run->wall = run->wall || (track->phase == PERI_PHASE_GATED && track->wall);
        earlier(run, track->wake_ms, track->base_ms);
        earlier(run, track->due_ms, track->due_base_ms);
        for (size_t k = 0; k < track->depth; k++)
            earlier(run, track->frames[k].due_ms, track->frames[k].base_ms);
        if (rank(track->phase) > highest)
            highest = rank(track->phase);
    }
    run->state = states[highest];
    if (!run->paused_ms)
        return;
    run->wake_ms = run->base_ms = 0;
    run->wall = false;
    if (highest > 1 && highest < 6)
        run->state = PERI_RUN_PAUSED;
}
