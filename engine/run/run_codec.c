/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "run/run_internal.h"

/* pos is {frames: [{block, i, n?, started?, due?, base?, list?, index?, error?}], phase, n, attempt, free?, step_ms,
 * first_ms, tried?, interrupted?, attempt_ms, choice?, params?, key?, last?, wake?, base?, wall?, due?, due_base?,
 * list?, begun?, failure?}, of the main line also {last_n, last_track?, rule_due?, rule_base?, paused?}, of a branch
 * also {parent, steps?, bound?}: what differs from the track that opened it. The list of a branch is the one of its
 * parent. Blocks are stored by their path in the rule text, which the run keeps by its hash: the path cannot come to
 * mean something else. Parameters are in here only while no open attempt has them. */

static const char *const phase_names[] = {[PERI_PHASE_STEP] = "step",
    [PERI_PHASE_GUARD] = "guard",
    [PERI_PHASE_CHOICE] = "choice",
    [PERI_PHASE_HELD] = "held",
    [PERI_PHASE_CALL] = "call",
    [PERI_PHASE_BACKOFF] = "backoff",
    [PERI_PHASE_DELAY] = "delay",
    [PERI_PHASE_UNKNOWN] = "unknown",
    [PERI_PHASE_GATED] = "gated",
    [PERI_PHASE_JOIN] = "join",
    [PERI_PHASE_WAIT] = "wait",
    [PERI_PHASE_APPROVE] = "approve"};
#define PHASES (sizeof(phase_names) / sizeof(phase_names[0]))

static enum peri_status put_error(struct peri_value *map, const char *name, const struct peri_error *error)
{
    struct peri_value *e = peri_value_map();
    bool bad = !e;
    bad = bad || peri_map_put_text(e, "code", error->code) != PERI_OK;
    bad = bad || peri_map_put_text(e, "message", error->message) != PERI_OK;
    bad = bad || peri_map_put_bool(e, "retryable", error->retryable) != PERI_OK;
    bad = bad || peri_map_put_bool(e, "outcome_unknown", error->outcome_unknown) != PERI_OK;
    if (bad) {
        peri_value_unref(e);
        return PERI_ENOMEM;
    }
    return peri_map_put(map, name, e);
}

static void get_error(const struct peri_value *e, struct peri_error *ret)
{
    if (!e)
        return;
    const char *code = peri_map_text(e, "code"), *message = peri_map_text(e, "message");
    (void)peri_error_set(ret, PERI_EIO, code ? code : "failed", "%s", message ? message : "");
    ret->retryable = peri_map_bool(e, "retryable", false);
    ret->outcome_unknown = peri_map_bool(e, "outcome_unknown", false);
}

/* Numbers that are mostly zero are left out then. */
static bool put_some(struct peri_value *map, const char *name, int64_t value)
{
    return value == 0 || peri_map_put_int(map, name, value) == PERI_OK;
}

static struct peri_value *write_frame(const struct peri_track *track, size_t level)
{
    const struct peri_frame *frame = &track->frames[level];
    struct peri_value *map = peri_value_map();
    bool bad = !map;
    bad = bad || peri_map_put_text(map, "block", frame->block->path) != PERI_OK;
    bad = bad || peri_map_put_int(map, "i", (int64_t)frame->i) != PERI_OK;
    if (!bad && frame->n) {
        bad = peri_map_put_int(map, "n", frame->n) != PERI_OK;
        bad = bad || peri_map_put_int(map, "started", frame->started_ms) != PERI_OK;
    }
    bad = bad || !put_some(map, "due", frame->due_ms) || !put_some(map, "base", frame->base_ms);
    if (!bad && frame->list) {
        bad = peri_map_put_int(map, "index", (int64_t)frame->index) != PERI_OK;
        if (!bad && (level > 0 || !track->parent))
            bad = peri_map_put_ref(map, "list", frame->list) != PERI_OK;
    }
    if (!bad && frame->error)
        bad = peri_map_put_ref(map, "error", frame->error) != PERI_OK;
    if (bad) {
        peri_value_unref(map);
        return NULL;
    }
    return map;
}

static bool put_times(struct peri_value *map, const struct peri_track *track)
{
    return peri_map_put_int(map, "step_ms", track->step_ms) == PERI_OK &&
           peri_map_put_int(map, "first_ms", track->first_ms) == PERI_OK &&
           peri_map_put_int(map, "attempt_ms", track->attempt_ms) == PERI_OK && put_some(map, "wake", track->wake_ms) &&
           put_some(map, "base", track->base_ms) && put_some(map, "due", track->due_ms) &&
           put_some(map, "since", (int64_t)track->since) && put_some(map, "due_base", track->due_base_ms) &&
           put_some(map, "tried", track->tried_ms != track->first_ms ? track->tried_ms : 0) &&
           put_some(map, "interrupted", track->interruptions) &&
           put_some(map, "wall", track->phase == PERI_PHASE_GATED && track->wall);
}

static bool put_join(struct peri_value *map, const struct peri_track *track)
{
    return put_some(map, "begun", (int64_t)track->begun) &&
           (!track->list || peri_map_put_ref(map, "list", track->list) == PERI_OK) &&
           (!track->failure || peri_map_put_ref(map, "failure", track->failure) == PERI_OK);
}

/* NULL: memory is out. */
static struct peri_value *write_track(const struct peri_track *track)
{
    struct peri_value *map = peri_value_map(), *frames = peri_value_list();
    bool bad = !map || !frames;
    for (size_t i = 0; !bad && i < track->depth; i++)
        bad = peri_list_push(frames, write_frame(track, i)) != PERI_OK;
    bad = bad || peri_map_put_ref(map, "frames", frames) != PERI_OK;
    bad = bad || peri_map_put_text(map, "phase", phase_names[track->phase]) != PERI_OK;
    bad = bad || peri_map_put_int(map, "n", track->n) != PERI_OK;
    bad = bad || peri_map_put_int(map, "attempt", track->attempt) != PERI_OK;
    bad = bad || peri_map_put_int(map, "free", track->free_attempts) != PERI_OK;
    bad = bad || peri_map_put_int(map, "choice", (int64_t)track->choice) != PERI_OK;
    bad = bad || !put_times(map, track) || !put_join(map, track);
    if (!bad && track->params && track->phase != PERI_PHASE_CALL)
        bad = peri_map_put_ref(map, "params", track->params) != PERI_OK;
    if (!bad && track->key)
        bad = peri_map_put_text(map, "key", track->key) != PERI_OK;
    if (!bad && track->doubt)
        bad = peri_map_put_bool(map, "doubt", true) != PERI_OK;
    if (!bad && track->reserved_ms)
        bad = peri_map_put_int(map, "reserved", track->reserved_ms) != PERI_OK;
    if (!bad && track->last.status != PERI_OK)
        bad = put_error(map, "last", &track->last) != PERI_OK;
    peri_value_unref(frames);
    if (bad) {
        peri_value_unref(map);
        return NULL;
    }
    return map;
}

static struct peri_value *write_main(const struct peri_run *run)
{
    struct peri_value *map = write_track(&run->track);
    if (map && peri_map_put_int(map, "last_n", run->last_n) == PERI_OK &&
        put_some(map, "last_track", run->last_track) && put_some(map, "rule_due", run->due_ms) &&
        put_some(map, "rule_base", run->due_base_ms) && put_some(map, "paused", run->paused_ms))
        return map;
    peri_value_unref(map);
    return NULL;
}

/* The members of own that of does not have, or has otherwise, under a name. */
static bool put_own(struct peri_value *map, const char *name, const struct peri_value *own, const struct peri_value *of)
{
    struct peri_value *some = NULL;
    bool good = true;
    for (void *it = peri_map_first(own); it && good; it = peri_map_next(own, it)) {
        if (peri_map_at(of, peri_map_key(it, NULL)) == peri_map_item(it))
            continue;
        some = some ? some : peri_value_map();
        good = some && peri_map_put_ref(some, peri_map_key(it, NULL), peri_map_item(it)) == PERI_OK;
    }
    good = good && (!some || peri_map_put_ref(map, name, some) == PERI_OK);
    peri_value_unref(some);
    return good;
}

char *peri_track_write(const struct peri_track *track)
{
    struct peri_value *map = write_track(track);
    const struct peri_track *parent = track->parent;
    bool good = map && peri_map_put_int(map, "parent", parent->id) == PERI_OK &&
                put_own(map, "steps", track->steps, parent->steps) &&
                put_own(map, "bound", track->bound, parent->bound);
    char *text = good ? peri_json_text(map, PERI_JSON_COMPACT) : NULL;
    peri_value_unref(map);
    return text;
}

static struct peri_value *write_vars(const struct peri_run *run)
{
    struct peri_value *map = peri_value_map();
    bool bad = !map;
    bad = bad || peri_map_put_ref(map, "vars", run->vars) != PERI_OK;
    bad = bad || peri_map_put_ref(map, "steps", run->track.steps) != PERI_OK;
    bad = bad || peri_map_put_ref(map, "bound", run->track.bound) != PERI_OK;
    if (bad) {
        peri_value_unref(map);
        return NULL;
    }
    return map;
}

enum peri_status peri_run_write(const struct peri_run *run, char **ret_pos, char **ret_vars, char **ret_error)
{
    struct peri_value *pos = write_main(run), *vars = write_vars(run);
    char *pos_text = pos ? peri_json_text(pos, PERI_JSON_COMPACT) : NULL;
    char *vars_text = vars ? peri_json_text(vars, PERI_JSON_COMPACT) : NULL;
    char *error_text = run->error ? peri_json_text(run->error, PERI_JSON_COMPACT) : NULL;
    peri_value_unref(pos);
    peri_value_unref(vars);
    if (!pos_text || !vars_text || (run->error && !error_text)) {
        free(pos_text);
        free(vars_text);
        free(error_text);
        return PERI_ENOMEM;
    }
    *ret_pos = pos_text;
    *ret_vars = vars_text;
    *ret_error = error_text;
    return PERI_OK;
}

static bool read_frame(struct peri_track *track, const struct peri_value *map)
{
    struct peri_frame *frame = &track->frames[track->depth];
    const char *path = peri_map_text(map, "block");
    const struct peri_block *block = path ? peri_rule_block(track->run->rule, path) : NULL;
    int64_t i = peri_map_int(map, "i", -1), index = peri_map_int(map, "index", 0);
    const struct peri_value *list = peri_map_at(map, "list");
    if (!list && track->depth == 0 && track->parent)
        list = track->parent->list;
    if (!block || i < 0 || (size_t)i > block->count || index < 0)
        return false;
    if (list && (!peri_value_is(list, PERI_LIST) || (size_t)index >= peri_value_count(list)))
        return false;
    memset(frame, 0, sizeof(*frame));
    frame->block = block;
    frame->i = (size_t)i;
    frame->n = (int)peri_map_int(map, "n", 0);
    frame->started_ms = peri_map_int(map, "started", 0);
    frame->due_ms = peri_map_int(map, "due", 0);
    frame->base_ms = peri_map_int(map, "base", 0);
    frame->list = peri_value_ref(list);
    frame->index = (size_t)index;
    frame->error = peri_value_ref(peri_map_at(map, "error"));
    return true;
}

/* Does the stack describe a place where the machine can be? Otherwise it would read beyond a block. */
static bool fits_rule(const struct peri_track *track)
{
    const struct peri_step *step = peri_track_step(track);
    for (size_t k = 0; k + 1 < track->depth; k++)
        if (track->frames[k].i >= track->frames[k].block->count)
            return false;
    switch (track->phase) {
    case PERI_PHASE_STEP:
        return true;
    case PERI_PHASE_GUARD:
        return step && step->guard;
    case PERI_PHASE_CHOICE:
        return step && step->kind == PERI_STEP_CHOOSE && track->choice < step->choice_count;
    case PERI_PHASE_DELAY:
        return step && step->kind == PERI_STEP_DELAY;
    case PERI_PHASE_WAIT:
        return step && step->kind == PERI_STEP_WAIT_FOR;
    case PERI_PHASE_APPROVE:
        return step && step->kind == PERI_STEP_APPROVE;
    case PERI_PHASE_JOIN:
        return step && (step->kind == PERI_STEP_PARALLEL || (step->kind == PERI_STEP_FOR_EACH && track->list));
    default:
        return step && step->kind == PERI_STEP_OPERATOR;
    }
}

static bool read_phase(struct peri_track *track, const char *phase)
{
    size_t p = 0;
    while (phase && p < PHASES && strcmp(phase, phase_names[p]) != 0)
        p++;
    track->phase = (enum peri_phase)p;
    return phase && p < PHASES;
}

/* PERI_EINVAL: it does not fit the rule. */
static enum peri_status read_track(struct peri_track *track, const struct peri_value *pos)
{
    const struct peri_value *frames = peri_map_at(pos, "frames"), *list = peri_map_at(pos, "list");
    const char *key = peri_map_text(pos, "key");
    size_t depth = peri_value_count(frames);
    if (!peri_value_is(frames, PERI_LIST) || depth > PERI_RUN_DEPTH_MAX ||
        !read_phase(track, peri_map_text(pos, "phase")) || (list && !peri_value_is(list, PERI_LIST)))
        return PERI_EINVAL;
    track->depth = 0;
    if (!peri_vec_grow(&track->frames, &track->cap, depth ? depth : 1, sizeof(*track->frames)))
        return PERI_ENOMEM;
    for (size_t k = 0; k < depth; k++, track->depth++)
        if (!read_frame(track, peri_list_at(frames, k)))
            return PERI_EINVAL;
    track->n = (int)peri_map_int(pos, "n", 0);
    track->attempt = (int)peri_map_int(pos, "attempt", 0);
    track->free_attempts = (int)peri_map_int(pos, "free", 0);
    track->step_ms = peri_map_int(pos, "step_ms", 0);
    track->first_ms = peri_map_int(pos, "first_ms", 0);
    track->tried_ms = peri_map_int(pos, "tried", track->first_ms);
    track->attempt_ms = peri_map_int(pos, "attempt_ms", 0);
    track->wake_ms = peri_map_int(pos, "wake", 0);
    track->base_ms = peri_map_int(pos, "base", 0);
    track->due_ms = peri_map_int(pos, "due", 0);
    track->since = (uint64_t)peri_map_int(pos, "since", 0);
    track->due_base_ms = peri_map_int(pos, "due_base", 0);
    track->wall = peri_map_int(pos, "wall", 0) != 0;
    track->interruptions = (int)peri_map_int(pos, "interrupted", 0);
    track->choice = (size_t)peri_map_int(pos, "choice", 0);
    track->begun = (size_t)peri_map_int(pos, "begun", 0);
    track->list = peri_value_ref(list);
    track->failure = peri_value_ref(peri_map_at(pos, "failure"));
    track->params = peri_value_ref(peri_map_at(pos, "params"));
    track->doubt = peri_map_bool(pos, "doubt", false);
    track->reserved_ms = peri_map_int(pos, "reserved", 0);
    track->key = peri_strdup(key);
    get_error(peri_map_at(pos, "last"), &track->last);
    if (key && !track->key)
        return PERI_ENOMEM;
    return fits_rule(track) ? PERI_OK : PERI_EINVAL;
}

static enum peri_status read_main(struct peri_run *run, const struct peri_value *pos)
{
    struct peri_track *track = &run->track;
    enum peri_status st = read_track(track, pos);
    if (st != PERI_OK)
        return st;
    run->last_n = (int)peri_map_int(pos, "last_n", track->n);
    run->last_track = (int)peri_map_int(pos, "last_track", 0);
    run->due_ms = peri_map_int(pos, "rule_due", 0);
    run->due_base_ms = peri_map_int(pos, "rule_base", 0);
    run->paused_ms = peri_map_int(pos, "paused", 0);
    if (run->last_n == 0)
        track->since = run->first_seq;
    bool sleeps =
        track->phase == PERI_PHASE_DELAY || track->phase == PERI_PHASE_BACKOFF || track->phase == PERI_PHASE_GATED;
    if (sleeps && track->wake_ms == 0) { /* written before tracks had times of their own */
        track->wake_ms = run->wake_ms;
        track->base_ms = run->base_ms;
    }
    return PERI_OK;
}

static enum peri_status parse(const char *text, struct peri_value **ret)
{
    return text ? peri_json_parse(text, strlen(text), ret, NULL) : PERI_EINVAL;
}

/* All of with, over what is there. */
static bool add_members(struct peri_value **map, const struct peri_value *with)
{
    struct peri_value *copy = with ? peri_value_copy(*map) : NULL;
    bool good = !with || copy;
    for (void *it = peri_map_first(with); it && good; it = peri_map_next(with, it))
        good = peri_map_put_ref(copy, peri_map_key(it, NULL), peri_map_item(it)) == PERI_OK;
    if (!good) {
        peri_value_unref(copy);
        return false;
    }
    if (copy) {
        peri_value_unref(*map);
        *map = copy;
    }
    return true;
}

enum peri_status peri_track_read(struct peri_run *run, int id, const char *text, struct peri_error *err)
{
    struct peri_value *pos = NULL;
    enum peri_status st = parse(text, &pos);
    if (st == PERI_ENOMEM)
        return peri_error_nomem(err);
    struct peri_track *parent = peri_run_track(run, (int)peri_map_int(pos, "parent", -1));
    bool good = parent && parent->id < id && parent->phase == PERI_PHASE_JOIN;
    struct peri_track *track = good ? track_add(run, parent, id) : NULL;
    st = track ? read_track(track, pos) : good ? PERI_ENOMEM : PERI_EINVAL;
    if (st == PERI_OK && track->depth == 0)
        st = PERI_EINVAL;
    if (st == PERI_OK && (!add_members(&track->steps, peri_map_at(pos, "steps")) ||
                             !add_members(&track->bound, peri_map_at(pos, "bound"))))
        st = PERI_ENOMEM;
    if (id > run->last_track)
        run->last_track = id;
    peri_value_unref(pos);
    if (st == PERI_ENOMEM)
        return peri_error_nomem(err);
    if (st != PERI_OK)
        st = peri_error_set(err, PERI_ECORRUPT, "run.position",
            "the stored position of branch %d of run %llu does not fit its rule", id, (unsigned long long)run->id);
    return st;
}

static bool read_maps(struct peri_run *run, const struct peri_value *all)
{
    struct peri_value **const maps[] = {&run->vars, &run->track.steps, &run->track.bound};
    const char *const names[] = {"vars", "steps", "bound"};
    for (size_t i = 0; i < 3; i++) {
        struct peri_value *map = peri_map_at(all, names[i]);
        if (!peri_value_is(map, PERI_MAP))
            return false;
        peri_value_unref(*maps[i]);
        *maps[i] = peri_value_ref(map);
    }
    return true;
}

enum peri_status peri_run_read(
    const struct peri_run_row *row, struct peri_rule *rule, struct peri_run **ret, struct peri_error *err)
{
    struct peri_value *pos = NULL, *vars = NULL;
    enum peri_status st = PERI_OK;
    struct peri_run *run = peri_run_create(rule, row->kprefix, row->created_ms);
    if (!run)
        return peri_error_nomem(err);
    run->id = row->id;
    run->state = row->state;
    run->wake_ms = row->wake_ms;
    run->base_ms = row->base_ms;
    run->first_seq = row->retry_of ? 0 : row->event; /* what came after the event that a retry is about is long past */
    run->ended_ms = row->ended_ms;
    run->interruptions = row->interruptions;
    run->ckey = peri_strdup(row->ckey);
    if (row->ckey && !run->ckey) {
        peri_run_destroy(run);
        return peri_error_nomem(err);
    }
    if (row->error && parse(row->error, &run->error) == PERI_ENOMEM)
        st = PERI_ENOMEM;
    if (st == PERI_OK)
        st = parse(row->pos, &pos);
    if (st == PERI_OK)
        st = parse(row->vars, &vars);
    if (st == PERI_OK)
        st = read_main(run, pos);
    if (st == PERI_OK && !read_maps(run, vars))
        st = PERI_EINVAL;
    if (st == PERI_ENOMEM) { /* it fits, as far as one can tell: nothing is declared failed for that */
        peri_error_nomem(err);
        peri_run_destroy(run);
    } else if (st != PERI_OK) {
        st = peri_error_set(err, PERI_ECORRUPT, "run.position", "the stored position of run %llu does not fit its rule",
            (unsigned long long)row->id);
        peri_run_destroy(run);
    } else {
        *ret = run;
    }
    peri_value_unref(pos);
    peri_value_unref(vars);
    return st;
}
