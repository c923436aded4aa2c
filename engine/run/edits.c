/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "base/vec.h"
#include "run/system.h"
#include "run/lane.h"
#include "run/pipeline_internal.h"

/* on_change: what becomes of a run whose rule was edited or removed. The word of the text that the run started with
 * counts. One transaction, begun together with the switch of the rules, ends all that have to end and makes those that
 * take their place; should the service die before it, the start finds them by the same question. Runs that were being
 * made of the old text at that moment are asked about once more (edits_look). */

/* A run that has not begun (run_codec.c); rules are slim here. */
#define START_POS "{\"frames\":[{\"block\":\"actions\",\"i\":0}],\"phase\":\"step\",\"n\":0,\"last_n\":0}"
#define START_VARS "{\"vars\":{},\"steps\":{},\"bound\":{}}"

struct edited {
    uint64_t run, event, made; /* made: the run in its place, 0: none */
    char *rule, *trigger, *ckey;
    enum peri_run_state state;
    bool restart;
};

struct edit {
    struct peri_pipeline *p;
    struct peri_map *rules; /* the present ones by id; a reference each */
    int64_t now_ms;
    struct edited *runs;
    size_t count, cap;
    struct peri_lane_stops stops;
};

static void free_runs(struct edit *e)
{
    for (size_t i = 0; i < e->count; i++) {
        free(e->runs[i].rule);
        free(e->runs[i].trigger);
        free(e->runs[i].ckey);
    }
    e->count = 0;
}

static void unref_rule(void *rule)
{
    peri_rule_unref(rule);
}

static void free_edit(struct edit *e)
{
    free_runs(e);
    free(e->runs);
    peri_lane_stops_finish(&e->stops);
    peri_map_destroy(e->rules, unref_rule);
    free(e);
}

/* --- on the store's thread --- */

static enum peri_status look_at(void *arg, const struct peri_run_row *row)
{
    struct edit *e = arg;
    const struct peri_rule *now = peri_map_get(e->rules, row->rule);
    if (now && peri_streq(now->hash, row->rhash))
        return PERI_OK;
    if (!peri_vec_grow(&e->runs, &e->cap, e->count + 1, sizeof(*e->runs)))
        return PERI_ENOMEM;
    struct edited *run = &e->runs[e->count++];
    *run = (struct edited){.run = row->id,
        .event = row->event,
        .rule = peri_strdup(row->rule),
        .trigger = peri_strdup(row->trigger),
        .ckey = peri_strdup(row->ckey),
        .state = row->state,
        .restart = row->change == PERI_CHANGE_RESTART && now && now->enabled};
    return run->rule && run->trigger && (run->ckey || !row->ckey) ? PERI_OK : PERI_ENOMEM;
}

/* It takes the place of the old one: in its lane, behind nobody. */
static enum peri_status make(struct peri_tx *tx, const struct edit *e, struct edited *run, struct peri_error *err)
{
    const struct peri_rule *rule = peri_map_get(e->rules, run->rule);
    struct peri_run_row row = {.rule = rule->id,
        .rhash = rule->hash,
        .event = run->event,
        .trigger = run->trigger,
        .state = run->state == PERI_RUN_QUEUED ? PERI_RUN_QUEUED : PERI_RUN_READY,
        .pos = START_POS,
        .vars = START_VARS,
        .kprefix = e->p->kprefix,
        .retry_of = run->run,
        .created_ms = e->now_ms,
        .ckey = !peri_rule_has_lane(rule) ? NULL
                : run->ckey               ? run->ckey
                                          : "",
        .change = (int)rule->flow.on_change};
    enum peri_status st = peri_tx_ruleset_put(tx, rule->hash, rule->text, rule->id, err);
    return st == PERI_OK ? peri_tx_run_insert(tx, &row, &run->made, err) : st;
}

static enum peri_status edit_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct edit *e = arg;
    free_runs(e);
    peri_lane_stops_begin(&e->stops);
    enum peri_status st = peri_tx_runs_changeable(tx, look_at, e, err);
    if (st == PERI_ENOMEM)
        return peri_error_nomem(err);
    for (size_t i = 0; st == PERI_OK && i < e->count; i++) {
        struct edited *run = &e->runs[i];
        const char *why = run->restart ? "its rule was edited: a new run begins with the new text (on_change: restart)"
                                       : "its rule was edited or removed (on_change)";
        st = peri_lane_stop(tx, run->run, PERI_RUN_CANCELLED, "on_change", why, &e->stops, err);
        if (st == PERI_OK && run->restart)
            st = make(tx, e, run, err);
        if (st == PERI_OK)
            e->stops.items[e->stops.count - 1].by = run->made;
    }
    PERI_FAILPOINT("edit.rows");
    return st;
}

/* --- before and after it --- */

static void begin(struct peri_pipeline *p, const struct edited *run, uint64_t behind)
{
    enum peri_run_state state = run->state == PERI_RUN_QUEUED ? PERI_RUN_QUEUED : PERI_RUN_READY;
    p->live_runs++;
    p->counts.runs_started++;
    peri_metric_add(p->metrics.started, 1);
    pipe_notify_run(p, run->made, run->rule, run->event, state);
    if (state == PERI_RUN_READY)
        changes_begin(p, run->made, behind);
}

static void edit_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    PERI_FAILPOINT("edit.done");
    struct edit *e = arg;
    struct peri_pipeline *p = e->p;
    p->committing--;
    p->edit_busy = false;
    if (p->dead) {
        free_edit(e);
        return;
    }
    if (st != PERI_OK)
        peri_err(p->options.log, "run", "runs of rules that were edited could not be looked through: %s",
            err ? err->message : "?");
    for (size_t i = 0; st == PERI_OK && i < e->count; i++) {
        uint64_t behind = live_stopped(p, &e->stops.items[i]);
        if (e->runs[i].made)
            begin(p, &e->runs[i], behind);
    }
    if (st == PERI_OK)
        system_stops_told(p, &e->stops);
    if (st == PERI_OK && e->count > 0) {
        peri_info(
            p->options.log, "run", "%zu runs of rules that were edited or removed were ended (on_change)", e->count);
        lanes_sweep(p, NULL, NULL);
    }
    free_edit(e);
    if (p->edit_wanted)
        edits_sweep(p);
}

static bool prepare(struct edit *e)
{
    struct peri_pipeline *p = e->p;
    e->rules = peri_map_create();
    bool good = e->rules != NULL;
    for (size_t i = 0; good && i < p->rule_count; i++) {
        good = peri_map_set(e->rules, p->rules[i]->id, p->rules[i], NULL);
        if (good)
            peri_rule_ref(p->rules[i]);
    }
    return good;
}

void edits_sweep(struct peri_pipeline *p)
{
    p->edit_wanted = p->edit_busy;
    if (p->edit_busy || p->live_runs == 0) /* one that is being made is looked at when it is there: edits_look */
        return;
    struct edit *e = calloc(1, sizeof(*e));
    if (e) {
        e->p = p;
        e->now_ms = pipe_now(p);
        system_stops_prepare(p, &e->stops);
    }
    if (e && prepare(e)) {
        p->committing++;
        p->edit_busy = true;
        if (pipe_commit(p, 1024, edit_tx, edit_done, e, true) == PERI_OK)
            return;
        p->committing--;
        p->edit_busy = false;
    }
    peri_err(p->options.log, "run",
        "out of memory: runs of rules that were edited are looked for at the next edit or start");
    if (e)
        free_edit(e);
}

void edits_look(struct peri_pipeline *p, const struct peri_rule *rule)
{
    const struct peri_rule *now;
    if (rule->flow.on_change == PERI_CHANGE_FINISH)
        return;
    now = pipe_rule_by_id(p, rule->id);
    if (!now || !peri_streq(now->hash, rule->hash))
        edits_sweep(p);
}
