/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "app/api.h"
#include "base/str.h"
#include "io/store_runs.h"

struct run_list {
    char *rule, *state;
    struct peri_run_filter filter;
};

static void run_list_free(void *arg)
{
    struct run_list *q = arg;
    free(q->rule);
    free(q->state);
    free(q);
}

static enum peri_status find_runs(
    struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_runs(reader, &((struct run_list *)arg)->filter, ret, err);
}

static void list_runs(struct peri_api_op *op)
{
    struct run_list *q = calloc(1, sizeof(*q));
    const char *after = peri_http_query(op->req, "after"), *event = peri_http_query(op->req, "event");
    if (!q) {
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    q->rule = peri_strdup(peri_http_query(op->req, "rule"));
    q->state = peri_strdup(peri_http_query(op->req, "state"));
    q->filter = (struct peri_run_filter){.rule = q->rule, .state = q->state, .limit = peri_api_limit(op)};
    if ((after && !peri_run_id_parse(after, &q->filter.before)) ||
        (event && !peri_event_id_parse(event, &q->filter.event))) {
        run_list_free(q);
        peri_api_problem(op, 400, "\"after\" must be a run id such as run-7, \"event\" an event id such as ev-12");
        return;
    }
    peri_api_ask_hidden(op, 0, find_runs, q, run_list_free);
}

static enum peri_status find_run(struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_run(reader, *(uint64_t *)arg, ret, err);
}

/* True with the id; otherwise the operation has been answered. */
static bool run_id(struct peri_api_op *op, uint64_t *ret)
{
    if (peri_run_id_parse(op->params[0], ret))
        return true;
    peri_api_problem(op, 404, "\"%.100s\" is no run id (they look like run-7)", op->params[0]);
    return false;
}

static void show_run(struct peri_api_op *op)
{
    uint64_t id, *q;
    if (!run_id(op, &id))
        return;
    if (!(q = calloc(1, sizeof(*q)))) {
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    *q = id;
    peri_api_ask_hidden(op, 0, find_run, q, free);
}

static void retry_run(struct peri_api_op *op)
{
    uint64_t id;
    struct peri_error err;
    enum peri_status st;
    if (peri_api_store_refuses(op, true))
        return;
    if (run_id(op, &id) && (st = peri_pipeline_retry(op->service->pipeline, id, peri_api_changed, op, &err)))
        peri_api_error(op, st, &err);
}

static void cancel_run(struct peri_api_op *op)
{
    uint64_t id;
    struct peri_error err;
    enum peri_status st;
    if (peri_api_store_refuses(op, false))
        return;
    if (run_id(op, &id) && (st = peri_pipeline_cancel(op->service->pipeline, id, peri_api_changed, op, &err)))
        peri_api_error(op, st, &err);
}

static void pause_run(struct peri_api_op *op)
{
    uint64_t id;
    struct peri_error err;
    enum peri_status st;
    if (peri_api_store_refuses(op, false))
        return;
    if (run_id(op, &id) && (st = peri_pipeline_pause(op->service->pipeline, id, "api", peri_api_changed, op, &err)))
        peri_api_error(op, st, &err);
}

static void resume_run(struct peri_api_op *op)
{
    uint64_t id;
    struct peri_error err;
    enum peri_status st;
    if (peri_api_store_refuses(op, true))
        return;
    if (run_id(op, &id) && (st = peri_pipeline_resume(op->service->pipeline, id, peri_api_changed, op, &err)))
        peri_api_error(op, st, &err);
}

static void resolve_run(struct peri_api_op *op)
{
    uint64_t id;
    struct peri_error err;
    const char *decision = peri_map_text(op->body, "decision");
    if (!decision || !(peri_streq(decision, "done") || peri_streq(decision, "again") || peri_streq(decision, "fail"))) {
        peri_api_problem(op, 400, "\"decision\" must be done, again or fail");
        return;
    }
    if (peri_api_store_refuses(op, false) || !run_id(op, &id))
        return;
    enum peri_status st = peri_pipeline_resolve(op->service->pipeline, id, decision, peri_api_changed, op, &err);
    if (st)
        peri_api_error(op, st, &err);
}

const struct peri_api_route peri_api_runs[] = {
    {"GET", "/v1/runs", list_runs, false, false},
    {"GET", "/v1/runs/{}", show_run, false, false},
    {"POST", "/v1/runs/{}/retry", retry_run, false, true},
    {"POST", "/v1/runs/{}/cancel", cancel_run, false, true},
    {"POST", "/v1/runs/{}/pause", pause_run, false, true},
    {"POST", "/v1/runs/{}/resume", resume_run, false, true},
    {"POST", "/v1/runs/{}/resolve", resolve_run, false, true},
    {0},
};
