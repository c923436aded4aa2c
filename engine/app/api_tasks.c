/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks: one call of an action, at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/api.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "data/schema.h"
#include "io/store_runs.h"
#include "io/store_tasks.h"
#include "lang/duration.h"

#define KEY_MAX 256
#define FAR_MS (3650LL * 24 * 3600 * 1000)

struct task_query {
    char *op, *state;
    struct peri_task_filter filter;
    uint64_t id;
};

static void query_free(void *arg)
{
    struct task_query *q = arg;
    free(q->op);
    free(q->state);
    free(q);
}

static bool read_id(struct peri_api_op *op, const char *text, uint64_t *ret)
{
    if (peri_task_id_parse(text, ret))
        return true;
    peri_api_problem(op, 404, "\"%.100s\" is no task id (they look like task-7)", text);
    return false;
}

static enum peri_status find_all(struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_tasks(reader, &((struct task_query *)arg)->filter, ret, err);
}

/* With its run: every attempt is in there. */
static enum peri_status find_one(struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    struct peri_value *task = NULL, *run = NULL;
    uint64_t id = 0;
    enum peri_status st = peri_reader_task(reader, ((struct task_query *)arg)->id, &task, &id, err);
    if (!st)
        st = peri_reader_run(reader, id, &run, err);
    if (!st && peri_map_put_ref(task, "attempts", peri_map_at(run, "steps")))
        st = peri_error_nomem(err);
    peri_value_unref(run);
    if (st)
        peri_value_unref(task);
    else
        *ret = task;
    return st;
}

static struct task_query *query_create(struct peri_api_op *op)
{
    struct task_query *q = calloc(1, sizeof(*q));
    if (!q) {
        peri_api_problem(op, 500, "out of memory");
        return NULL;
    }
    q->op = peri_strdup(peri_http_query(op->req, "operator"));
    q->state = peri_strdup(peri_http_query(op->req, "state"));
    q->filter = (struct peri_task_filter){.op = q->op, .state = q->state, .limit = peri_api_limit(op)};
    return q;
}

static void list_tasks(struct peri_api_op *op)
{
    const char *after = peri_http_query(op->req, "after");
    uint64_t before = 0;
    if (after && !read_id(op, after, &before))
        return;
    struct task_query *q = query_create(op);
    if (!q)
        return;
    q->filter.before = before;
    peri_api_ask_hidden(op, 0, find_all, q, query_free);
}

static void show_task(struct peri_api_op *op)
{
    uint64_t id;
    struct task_query *q = read_id(op, op->params[0], &id) ? query_create(op) : NULL;
    if (!q)
        return;
    q->id = id;
    peri_api_ask_hidden(op, 0, find_one, q, query_free);
}

/* --- making one --- */

static bool check_members(struct peri_api_op *op)
{
    static const char *const known[] = {"operator", "params", "at", "after", "key", NULL};
    if (!peri_value_is(op->body, PERI_MAP)) {
        peri_api_problem(op, 400, "send an object {operator, params?, at? or after?, key?}");
        return false;
    }
    for (void *it = peri_map_first(op->body); it; it = peri_map_next(op->body, it)) {
        const char *const *k = known;
        while (*k && strcmp(*k, peri_map_key(it, NULL)))
            k++;
        if (*k)
            continue;
        peri_api_problem(op, 400, "unknown member \"%.100s\" of a task", peri_map_key(it, NULL));
        return false;
    }
    return true;
}

static bool read_at(struct peri_api_op *op, int64_t now_ms, int64_t *ret_ms)
{
    const char *at = peri_map_text(op->body, "at"), *after = peri_map_text(op->body, "after");
    struct peri_error err;
    int64_t ms = 0;
    *ret_ms = now_ms;
    if (at && after) {
        peri_api_problem(op, 400, "a task has \"at\" or \"after\", not both");
        return false;
    }
    if (at && !peri_time_parse(at, strlen(at), ret_ms)) {
        peri_api_problem(op, 400, "\"at\" must be an RFC 3339 time, not \"%.60s\"", at);
        return false;
    }
    if (after && peri_duration_parse(after, strlen(after), &ms, &err) != PERI_OK) {
        peri_api_problem(op, 400, "\"after\": %s", err.message);
        return false;
    }
    *ret_ms += ms;
    if (*ret_ms - now_ms <= FAR_MS)
        return true;
    peri_api_problem(op, 400, "a task is at most 3650 days away");
    return false;
}

static bool check_params(struct peri_api_op *op, const struct peri_operator *o, const struct peri_value *params)
{
    struct peri_schema_report report = {0};
    struct peri_value *filled = NULL;
    if (!peri_value_is(params, PERI_MAP) || peri_value_names_secret(params)) {
        peri_api_problem(op, 400, "\"params\" must be an object without \"$secret\"");
        return false;
    }
    if (!o->params)
        return true;
    enum peri_status st = peri_schema_defaults(o->params, params, &filled);
    if (st == PERI_OK)
        st = peri_schema_check(o->params, filled, &report);
    if (st == PERI_ENOMEM)
        peri_api_problem(op, 500, "out of memory");
    else if (st)
        peri_api_problem(op, 400, "parameters of %s: %s%s%s", o->id, report.count ? report.items[0].pointer : "",
            report.count && *report.items[0].pointer ? ": " : "",
            report.count ? report.items[0].message : "not accepted");
    peri_schema_report_finish(&report);
    peri_value_unref(filled);
    return st == PERI_OK;
}

static void create_task(struct peri_api_op *op)
{
    struct peri_service *s = op->service;
    struct peri_clock clock = peri_clock_system();
    struct peri_new_task task = {0};
    struct peri_error err;
    if (peri_api_store_refuses(op, true) || !check_members(op) || !read_at(op, peri_clock_wall_ms(&clock), &task.at_ms))
        return;
    task.op = peri_map_text(op->body, "operator");
    task.key = peri_map_text(op->body, "key");
    const struct peri_operator *o = task.op ? peri_host_operator(s->host, task.op) : NULL;
    struct peri_value *given = peri_map_at(op->body, "params"),
                      *params = given ? peri_value_ref(given) : peri_value_map();
    task.params = params;
    if (!params)
        peri_api_problem(op, 500, "out of memory");
    else if (!o || o->is_condition)
        peri_api_problem(
            op, 400, "\"operator\" must be an action: there is no action \"%.100s\"", task.op ? task.op : "");
    else if (task.key && (!*task.key || strlen(task.key) > KEY_MAX))
        peri_api_problem(op, 400, "\"key\" has 1 to %d bytes", KEY_MAX);
    else if (check_params(op, o, params)) {
        enum peri_status st = peri_pipeline_task(s->pipeline, &task, peri_api_changed, op, &err);
        if (st)
            peri_api_error(op, st, &err);
    }
    peri_value_unref(params);
}

/* --- changing its run --- */

struct changing {
    uint64_t task, run;
    bool retry;
};

static enum peri_status find_run(struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    struct changing *c = ((struct peri_api_op *)arg)->extra;
    return peri_reader_task(reader, c->task, ret, &c->run, err);
}

static void run_found(void *arg, enum peri_status st, const struct peri_value *value, const struct peri_error *err)
{
    struct peri_api_op *op = arg;
    const struct changing *c = op->extra;
    struct peri_error why = err ? *err : (struct peri_error){0};
    if (!st && c->retry)
        st = peri_pipeline_retry(op->service->pipeline, c->run, peri_api_changed, op, &why);
    else if (!st)
        st = peri_pipeline_cancel(op->service->pipeline, c->run, peri_api_changed, op, &why);
    if (st)
        peri_api_error(op, st, &why);
}

static void change(struct peri_api_op *op, bool retry)
{
    uint64_t id;
    if (peri_api_store_refuses(op, retry) || !read_id(op, op->params[0], &id))
        return;
    struct changing *c = calloc(1, sizeof(*c));
    op->extra = c;
    op->free_extra = free;
    if (!c) {
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    *c = (struct changing){.task = id, .retry = retry};
    if (peri_lookup_ask(op->service->lookup, find_run, run_found, op))
        peri_api_problem(op, 503, "the service is busy");
}

static void cancel_task(struct peri_api_op *op)
{
    change(op, false);
}

static void retry_task(struct peri_api_op *op)
{
    change(op, true);
}

const struct peri_api_route peri_api_tasks[] = {
    {"GET", "/v1/tasks", list_tasks, false, false},
    {"POST", "/v1/tasks", create_task, false, true},
    {"GET", "/v1/tasks/{}", show_task, false, false},
    {"POST", "/v1/tasks/{}/cancel", cancel_task, false, true},
    {"POST", "/v1/tasks/{}/retry", retry_task, false, true},
    {0},
};
