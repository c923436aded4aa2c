/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "data/json.h"
#include "io/store_tasks.h"
#include "run/pipeline_internal.h"
#include "run/verdict.h"

/* A task is a run of a rule that is made for it: wait until then, call the operator. So waiting, attempts, circuits,
 * restarts, cancelling, retrying and dead letters are those of every run. Event, rule, run and task are one
 * transaction.
 *
 * The wait is computed when it begins, from the wall clock: a retry does not wait again. It stands there twice, because
 * a clock that was set back in between has made it end early. */

#define RULE_ID "perigee-task"

struct task_tx {
    struct peri_pipeline *p;
    struct peri_rule *rule;
    struct peri_event *event;
    char *pos, *vars, *op, *params, *key;
    int64_t at_ms, now_ms;
    uint64_t id, run;
    bool duplicate;
    peri_change_done done;
    void *arg;
};

static void free_task(struct task_tx *t)
{
    peri_rule_unref(t->rule);
    peri_event_unref(t->event);
    free(t->pos);
    free(t->vars);
    free(t->op);
    free(t->params);
    free(t->key);
    free(t);
}

static enum peri_status task_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct task_tx *t = arg;
    enum peri_status st = peri_tx_task_find(tx, t->key, &t->id, err);
    t->duplicate = t->id != 0;
    if (st != PERI_OK || t->duplicate)
        return st;
    struct peri_run_row row = {.rule = t->rule->id,
        .rhash = t->rule->hash,
        .trigger = t->rule->triggers[0].id,
        .state = PERI_RUN_READY,
        .pos = t->pos,
        .vars = t->vars,
        .kprefix = t->p->kprefix,
        .created_ms = t->now_ms};
    st = peri_tx_event_insert(tx, t->event, err);
    row.event = t->event->seq;
    if (st == PERI_OK)
        st = peri_tx_event_done(tx, t->event->seq, PERI_EVENT_MATCHED, "[]", err);
    if (st == PERI_OK)
        st = peri_tx_ruleset_put(tx, t->rule->hash, t->rule->text, t->rule->id, err);
    if (st == PERI_OK)
        st = peri_tx_run_insert(tx, &row, &t->run, err);
    if (st != PERI_OK)
        return st;
    struct peri_task task = {.op = t->op, .params = t->params, .key = t->key, .at_ms = t->at_ms, .run = t->run};
    PERI_FAILPOINT("task.rows");
    return peri_tx_task_put(tx, &task, &t->id, err);
}

static void task_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    PERI_FAILPOINT("task.done");
    struct task_tx *t = arg;
    struct peri_pipeline *p = t->p;
    char id[PERI_TASK_ID];
    p->committing--;
    if (!p->dead && st == PERI_OK && !t->duplicate) {
        p->live_runs++;
        p->counts.runs_started++;
        peri_metric_add(p->metrics.started, 1);
        pipe_notify_run(p, t->run, t->rule->id, t->event->seq, PERI_RUN_READY);
        (void)resume_push(p, t->run, 0);
    }
    struct peri_value *value = st == PERI_OK ? peri_value_map() : NULL;
    if (value && (peri_map_put_text(value, "id", peri_task_id(t->id, id)) != PERI_OK ||
                     (t->duplicate && peri_map_put_bool(value, "duplicate", true) != PERI_OK))) {
        peri_value_unref(value);
        value = NULL;
    }
    if (t->done)
        t->done(t->arg, st, value, err);
    peri_value_unref(value);
    free_task(t);
}

/* Parameters are given as they are: nothing in them is a template. */
static struct peri_value *literal(const struct peri_value *v)
{
    if (peri_value_is(v, PERI_MAP)) {
        struct peri_value *map = peri_value_map();
        for (void *it = peri_map_first(v); map && it; it = peri_map_next(v, it)) {
            if (peri_map_put(map, peri_map_key(it, NULL), literal(peri_map_item(it))) != PERI_OK) {
                peri_value_unref(map);
                return NULL;
            }
        }
        return map;
    }
    if (peri_value_is(v, PERI_LIST)) {
        struct peri_value *list = peri_value_list();
        for (size_t i = 0; list && i < peri_value_count(v); i++) {
            if (peri_list_push(list, literal(peri_list_at(v, i))) != PERI_OK) {
                peri_value_unref(list);
                return NULL;
            }
        }
        return list;
    }
    const char *text = peri_value_text(v);
    if (!text || !strstr(text, "{{"))
        return peri_value_ref((struct peri_value *)(uintptr_t)v);
    struct peri_buf buf;
    peri_buf_init(&buf, 4 << 20);
    for (const char *c = text; *c;) {
        bool open = c[0] == '{' && c[1] == '{';
        (void)peri_buf_puts(&buf, open ? "{{{{" : (char[]){*c, '\0'});
        c += open ? 2 : 1;
    }
    struct peri_value *out = buf.failed ? NULL : peri_value_str(peri_buf_text(&buf));
    peri_buf_finish(&buf);
    return out;
}

/* take value, also when it fails */
static bool push(struct peri_value *list, const char *key, struct peri_value *value)
{
    struct peri_value *step = peri_value_map();
    if (!step || !value || peri_map_put(step, key, value) != PERI_OK) {
        peri_value_unref(step);
        return false;
    }
    return peri_list_push(list, step) == PERI_OK;
}

static struct peri_value *call_step(const struct peri_new_task *task)
{
    struct peri_value *step = peri_value_map(), *params = literal(task->params), *key = NULL;
    bool bad = !step || !params || peri_map_put_text(step, "operator", task->op) != PERI_OK ||
               peri_map_put_ref(step, "params", params) != PERI_OK;
    if (!bad && task->key) {
        struct peri_value *text = peri_value_str(task->key);
        key = text ? literal(text) : NULL;
        peri_value_unref(text);
        bad = !key || peri_map_put_ref(step, "idempotency_key", key) != PERI_OK;
    }
    peri_value_unref(key);
    peri_value_unref(params);
    if (!bad)
        return step;
    peri_value_unref(step);
    return NULL;
}

static char *rule_text(const struct peri_new_task *task)
{
    struct peri_value *rule = peri_value_map(), *trigger = peri_value_map(), *steps = peri_value_list();
    char *wait = peri_asprintf("{{ max(0, (%lld - timestamp(now)) / 1000) }}", (long long)task->at_ms), *text = NULL;
    bool good = rule && trigger && steps && wait;
    for (int i = 0; good && i < 2; i++)
        good = push(steps, "delay", peri_value_str(wait));
    good = good && peri_list_push(steps, call_step(task)) == PERI_OK;
    good = good && peri_map_put_text(trigger, "event", PIPE_TASK_EVENT) == PERI_OK;
    good =
        good && peri_map_put_text(rule, "name", "Task") == PERI_OK && peri_map_put_text(rule, "id", RULE_ID) == PERI_OK;
    good = good && peri_map_put_ref(rule, "trigger", trigger) == PERI_OK &&
           peri_map_put_ref(rule, "actions", steps) == PERI_OK;
    if (good)
        text = peri_json_text(rule, PERI_JSON_COMPACT);
    peri_value_unref(rule);
    peri_value_unref(trigger);
    peri_value_unref(steps);
    free(wait);
    return text;
}

static struct peri_event *make_event(const struct peri_pipeline *p, const struct peri_new_task *task)
{
    struct peri_event *event = peri_event_create();
    if (!event)
        return NULL;
    event->source = peri_strdup("perigee:task");
    event->type = peri_strdup(PIPE_TASK_EVENT);
    event->data = peri_json_text(task->params, PERI_JSON_COMPACT);
    event->data_len = event->data ? strlen(event->data) : 0;
    event->received_ms = event->time_ms = pipe_now(p);
    if (event->source && event->type && event->data)
        return event;
    peri_event_unref(event);
    return NULL;
}

static enum peri_status prepare(struct task_tx *t, const struct peri_new_task *task, struct peri_error *err)
{
    struct peri_rule_env env = {.tz = t->p->options.tz};
    char *text = rule_text(task), *error = NULL;
    enum peri_status st = text ? peri_rule_from_text(text, strlen(text), &env, &t->rule, err) : peri_error_nomem(err);
    free(text);
    if (st != PERI_OK)
        return st;
    struct peri_run *run = peri_run_create(t->rule, t->p->kprefix, t->now_ms);
    st = run ? peri_run_write(run, &t->pos, &t->vars, &error) : PERI_ENOMEM;
    free(error);
    peri_run_destroy(run);
    t->event = make_event(t->p, task);
    t->op = peri_strdup(task->op);
    t->params = peri_json_text(task->params, PERI_JSON_COMPACT);
    t->key = peri_strdup(task->key);
    bool bad = st != PERI_OK || !t->event || !t->op || !t->params || (task->key && !t->key);
    return bad ? peri_error_nomem(err) : PERI_OK;
}

enum peri_status peri_pipeline_task(
    struct peri_pipeline *p, const struct peri_new_task *task, peri_change_done done, void *arg, struct peri_error *err)
{
    if (!p->started || p->draining || p->dead)
        return peri_error_set(err, PERI_ESTATE, "state", "the service is %s", p->started ? "stopping" : "starting");
    if (p->live_runs >= p->options.max_live_runs)
        return peri_error_set(err, PERI_EBUSY, "busy", "there are %lld live runs already", (long long)p->live_runs);
    struct task_tx *t = calloc(1, sizeof(*t));
    if (!t)
        return peri_error_nomem(err);
    t->p = p;
    t->now_ms = pipe_now(p);
    t->at_ms = task->at_ms;
    t->done = done;
    t->arg = arg;
    enum peri_status st = prepare(t, task, err);
    if (st == PERI_OK) {
        p->committing++;
        st = pipe_commit(p, 1024 + strlen(t->params), task_tx, task_done, t, false);
        if (st == PERI_OK)
            return st;
        p->committing--;
        (void)peri_error_set(err, st, NULL, "the store does not take it (%s)", peri_status_name(st));
    }
    free_task(t);
    return st;
}
