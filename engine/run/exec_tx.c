/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "run/exec_internal.h"

/* T3 and T4 in one: the run's new state, the rows of its steps, the events it emitted. The intent of a call is part of
 * the transaction that ends the step before it. */

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
    exec_perform(live);
}

/* The store says no for a reason of its own. Another stored state than this process believes: never guess, begin again
 * from what is stored, as after a restart (an intent whose call was not made counts as open). Anything else would fail
 * again: the run is declared failed. */
static void refused(struct live *live, enum peri_status st, const struct peri_error *err)
{
    struct peri_pipeline *p = live->p;
    struct peri_error why = {0};
    uint64_t id = live->run->id;
    enum peri_run_state stored = live->stored;
    (void)peri_error_set(
        &why, st, NULL, "its transition could not be stored: %s", err ? err->message : peri_status_name(st));
    peri_err(p->options.log, "run", "run-%llu: %s", (unsigned long long)id, why.message);
    peri_metric_add(p->metrics.bugs, 1);
    live_forget(live);
    if (st == PERI_EINTERNAL)
        timer_due(p, PIPE_RETRY_MS, DUE_WAKE, id, 0);
    else
        exec_bury(p, id, stored, &why);
}

static void run_tx_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct run_tx *rt = arg;
    struct live *live = rt->live;
    struct peri_pipeline *p = rt->p;
    p->committing--;
    if (rt->change)
        change_answer(rt->change, st, rt->row.id, err);
    if (p->dead) {
        live_free(live);
        free_run_tx(rt);
        return;
    }
    live->committing = false;
    if (st != PERI_OK) {
        refused(live, st, err);
        free_run_tx(rt);
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
void exec_commit(struct live *live, struct peri_run_effects *effects, struct change *change)
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
        change_answer(change, peri_error_nomem(&err), live->run->id, &err);
    }
    live_reread(live);
}
