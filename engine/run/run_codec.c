/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "run/run_internal.h"

/* pos is {frames: [{block, i, n?, started?, list?, index?, error?}], phase, n, last_n, attempt, free?, step_ms,
 * first_ms, attempt_ms, choice?, params?, key?, last?}. Blocks are stored by their path in the rule text, which the run
 * keeps by its hash: the path cannot come to mean something else. Parameters are in here only while no open attempt has
 * them. */

static const char *const phase_names[] = {[PERI_PHASE_STEP] = "step",
    [PERI_PHASE_GUARD] = "guard",
    [PERI_PHASE_CHOICE] = "choice",
    [PERI_PHASE_HELD] = "held",
    [PERI_PHASE_CALL] = "call",
    [PERI_PHASE_BACKOFF] = "backoff",
    [PERI_PHASE_DELAY] = "delay",
    [PERI_PHASE_UNKNOWN] = "unknown",
    [PERI_PHASE_GATED] = "gated"};
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

static struct peri_value *write_frame(const struct peri_frame *frame)
{
    struct peri_value *map = peri_value_map();
    bool bad = !map;
    bad = bad || peri_map_put_text(map, "block", frame->block->path) != PERI_OK;
    bad = bad || peri_map_put_int(map, "i", (int64_t)frame->i) != PERI_OK;
    if (!bad && frame->n) {
        bad = peri_map_put_int(map, "n", frame->n) != PERI_OK;
        bad = bad || peri_map_put_int(map, "started", frame->started_ms) != PERI_OK;
    }
    if (!bad && frame->list) {
        bad = peri_map_put_int(map, "index", (int64_t)frame->index) != PERI_OK;
        bad = bad || peri_map_put_ref(map, "list", frame->list) != PERI_OK;
    }
    if (!bad && frame->error)
        bad = peri_map_put_ref(map, "error", frame->error) != PERI_OK;
    if (bad) {
        peri_value_unref(map);
        return NULL;
    }
    return map;
}

static struct peri_value *write_track(const struct peri_run *run)
{
    const struct peri_track *track = &run->track;
    struct peri_value *map = peri_value_map(), *frames = peri_value_list();
    bool bad = !map || !frames;
    for (size_t i = 0; !bad && i < track->depth; i++)
        bad = peri_list_push(frames, write_frame(&track->frames[i])) != PERI_OK;
    bad = bad || peri_map_put_ref(map, "frames", frames) != PERI_OK;
    bad = bad || peri_map_put_text(map, "phase", phase_names[track->phase]) != PERI_OK;
    bad = bad || peri_map_put_int(map, "n", track->n) != PERI_OK;
    bad = bad || peri_map_put_int(map, "last_n", run->last_n) != PERI_OK;
    bad = bad || peri_map_put_int(map, "attempt", track->attempt) != PERI_OK;
    bad = bad || peri_map_put_int(map, "free", track->free_attempts) != PERI_OK;
    bad = bad || peri_map_put_int(map, "step_ms", track->step_ms) != PERI_OK;
    bad = bad || peri_map_put_int(map, "first_ms", track->first_ms) != PERI_OK;
    bad = bad || peri_map_put_int(map, "attempt_ms", track->attempt_ms) != PERI_OK;
    bad = bad || peri_map_put_int(map, "choice", (int64_t)track->choice) != PERI_OK;
    if (!bad && track->params && track->phase != PERI_PHASE_CALL)
        bad = peri_map_put_ref(map, "params", track->params) != PERI_OK;
    if (!bad && track->key)
        bad = peri_map_put_text(map, "key", track->key) != PERI_OK;
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

static struct peri_value *write_vars(const struct peri_run *run)
{
    struct peri_value *map = peri_value_map();
    bool bad = !map;
    bad = bad || peri_map_put_ref(map, "vars", run->vars) != PERI_OK;
    bad = bad || peri_map_put_ref(map, "steps", run->steps) != PERI_OK;
    bad = bad || peri_map_put_ref(map, "bound", run->bound) != PERI_OK;
    if (bad) {
        peri_value_unref(map);
        return NULL;
    }
    return map;
}

enum peri_status peri_run_measure(struct peri_run *run, struct peri_error *err)
{
    struct peri_buf buf;
    struct peri_value *vars = write_vars(run);
    if (!vars)
        return peri_error_nomem(err);
    peri_buf_init(&buf, PERI_RUN_VARS_MAX);
    enum peri_status st = peri_json_write(&buf, vars, PERI_JSON_COMPACT);
    if (st == PERI_OK)
        run->vars_bytes = buf.len;
    peri_buf_finish(&buf);
    peri_value_unref(vars);
    if (st != PERI_OK)
        return peri_error_set(err, PERI_ELIMIT, "too_large",
            "variables and step results of the run are larger than %d KiB of JSON", PERI_RUN_VARS_MAX / 1024);
    return PERI_OK;
}

enum peri_status peri_run_write(const struct peri_run *run, char **ret_pos, char **ret_vars, char **ret_error)
{
    struct peri_value *pos = write_track(run), *vars = write_vars(run);
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

static bool read_frame(const struct peri_rule *rule, const struct peri_value *map, struct peri_frame *frame)
{
    const char *path = peri_map_text(map, "block");
    const struct peri_block *block = path ? peri_rule_block(rule, path) : NULL;
    int64_t i = peri_map_int(map, "i", -1), index = peri_map_int(map, "index", 0);
    const struct peri_value *list = peri_map_at(map, "list");
    if (!block || i < 0 || (size_t)i > block->count || index < 0)
        return false;
    if (list && (!peri_value_is(list, PERI_LIST) || (size_t)index >= peri_value_count(list)))
        return false;
    frame->block = block;
    frame->i = (size_t)i;
    frame->n = (int)peri_map_int(map, "n", 0);
    frame->started_ms = peri_map_int(map, "started", 0);
    frame->list = peri_value_ref(list);
    frame->index = (size_t)index;
    frame->error = peri_value_ref(peri_map_at(map, "error"));
    return true;
}

/* Does the stack describe a place where the machine can be? Otherwise it would read beyond a block. */
static bool fits_rule(const struct peri_run *run)
{
    const struct peri_track *track = &run->track;
    const struct peri_step *step = peri_run_step(run);
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
    default:
        return step && step->kind == PERI_STEP_OPERATOR;
    }
}

static bool read_track(struct peri_run *run, const struct peri_value *pos)
{
    struct peri_track *track = &run->track;
    const struct peri_value *frames = peri_map_at(pos, "frames");
    const char *phase = peri_map_text(pos, "phase"), *key = peri_map_text(pos, "key");
    size_t depth = peri_value_count(frames), p = 0;
    if (!phase || !peri_value_is(frames, PERI_LIST) || depth > PERI_RUN_DEPTH_MAX)
        return false;
    while (p < PHASES && strcmp(phase, phase_names[p]) != 0)
        p++;
    if (p == PHASES)
        return false;
    track->phase = (enum peri_phase)p;
    track->depth = 0;
    if (!peri_vec_grow(&track->frames, &track->cap, depth, sizeof(*track->frames)))
        return false;
    for (size_t k = 0; k < depth; k++) {
        if (!read_frame(run->rule, peri_list_at(frames, k), &track->frames[k]))
            return false;
        track->depth++;
    }
    track->n = (int)peri_map_int(pos, "n", 0);
    run->last_n = (int)peri_map_int(pos, "last_n", track->n);
    track->attempt = (int)peri_map_int(pos, "attempt", 0);
    track->free_attempts = (int)peri_map_int(pos, "free", 0);
    track->step_ms = peri_map_int(pos, "step_ms", 0);
    track->first_ms = peri_map_int(pos, "first_ms", 0);
    track->attempt_ms = peri_map_int(pos, "attempt_ms", 0);
    track->choice = (size_t)peri_map_int(pos, "choice", 0);
    track->params = peri_value_ref(peri_map_at(pos, "params"));
    track->reserved_ms = peri_map_int(pos, "reserved", 0);
    track->key = peri_strdup(key);
    get_error(peri_map_at(pos, "last"), &track->last);
    return (!key || track->key) && fits_rule(run);
}

static bool read_maps(struct peri_run *run, const struct peri_value *all)
{
    struct peri_value **const maps[] = {&run->vars, &run->steps, &run->bound};
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

static bool parse(const char *text, struct peri_value **ret)
{
    return text && peri_json_parse(text, strlen(text), ret, NULL) == PERI_OK;
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
    run->ended_ms = row->ended_ms;
    run->interruptions = row->interruptions;
    run->ckey = peri_strdup(row->ckey);
    if (row->ckey && !run->ckey) {
        peri_run_destroy(run);
        return peri_error_nomem(err);
    }
    if (row->error)
        (void)parse(row->error, &run->error);
    if (!parse(row->pos, &pos) || !parse(row->vars, &vars) || !read_track(run, pos) || !read_maps(run, vars)) {
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
