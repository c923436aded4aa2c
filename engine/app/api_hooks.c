/* SPDX-License-Identifier: Apache-2.0 */
/* The webhooks of rules: /hooks/rules/<path>, and what came of them. */
#include <stdlib.h>
#include <string.h>

#include "app/api.h"
#include "app/hooks.h"
#include "base/str.h"
#include "base/vec.h"

struct call {
    char *path;
    struct peri_batch *batch; /* the pipeline's once it is submitted; whole when the commit is reported */
};

static void free_call(void *arg)
{
    struct call *c = arg;
    free(c->path);
    free(c);
}

/* {id, duplicate?} */
static void committed(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct peri_api_op *op = arg;
    struct call *c = op->extra;
    char id[PERI_ID_TEXT];
    if (st) {
        peri_hooks_settle(op->service->hooks, c->path, false, false);
        peri_api_error(op, st, err);
        return;
    }
    const struct peri_event *event = peri_batch_event_at(c->batch, 0);
    struct peri_value *v = peri_value_map();
    peri_hooks_settle(op->service->hooks, c->path, true, event->duplicate);
    if (v && (peri_map_put_text(v, "id", peri_event_id(event->seq, id)) != PERI_OK ||
                 (event->duplicate && peri_map_put_bool(v, "duplicate", true) != PERI_OK))) {
        peri_value_unref(v);
        v = NULL;
    }
    peri_api_take_answer(op, 202, v);
}

struct fields {
    struct peri_http_field *items;
    size_t count, cap;
};

static void add_field(void *arg, const char *name, const char *value)
{
    struct fields *f = arg;
    if (peri_vec_grow(&f->items, &f->cap, f->count + 1, sizeof(*f->items)))
        f->items[f->count++] = (struct peri_http_field){name, value};
}

/* Refused before there was an event: counted for its source, as the sender's fault. */
static void refuse(struct peri_api_op *op, const struct peri_hook_answer *answer)
{
    if (answer->source[0])
        peri_pipeline_refused_from(
            op->service->pipeline, answer->source, answer->status == 503 ? PERI_EBUSY : PERI_EINVAL);
    if (answer->allow[0] && peri_http_set_header(op->req, "Allow", answer->allow) != PERI_OK)
        peri_api_problem(op, 500, "out of memory");
    else
        peri_api_problem(op, answer->status, "%s", answer->reason);
}

void peri_api_rule_hook(struct peri_api_op *op, const char *path)
{
    struct peri_service *s = op->service;
    struct fields fields = {0};
    struct peri_hook_answer answer;
    struct peri_error err;
    const char *target = peri_http_target(op->req), *question = strchr(target, '?');
    struct peri_webhook_request request = {.method = peri_http_method(op->req),
        .query = question ? question + 1 : "",
        .remote = peri_http_remote(op->req)};
    struct call *c = op->extra = calloc(1, sizeof(*c));
    op->free_extra = free_call;
    if (!c || !(c->path = peri_strdup(path))) {
        op->free_extra = c ? free_call : NULL;
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    peri_http_each_header(op->req, add_field, &fields);
    request.headers = fields.items;
    request.header_count = fields.count;
    request.body = peri_http_body(op->req, &request.body_len);
    peri_hooks_take(s->hooks, path, &request, peri_clock_wall_ms(&s->clock), &answer);
    free(fields.items);
    if (answer.status) {
        refuse(op, &answer);
        return;
    }
    c->batch = answer.batch;
    enum peri_status st = peri_pipeline_submit(s->pipeline, c->batch, committed, op, &err);
    if (st) {
        peri_hooks_settle(s->hooks, path, false, false);
        peri_batch_destroy(c->batch);
        peri_api_error(op, st, &err);
    }
}

static void list(struct peri_api_op *op)
{
    struct peri_value *doc = peri_value_map(), *items = peri_hooks_value(op->service->hooks);
    if (!doc || !items || peri_map_put_ref(doc, "items", items) != PERI_OK) {
        peri_value_unref(doc);
        doc = NULL;
    }
    peri_value_unref(items);
    peri_api_take_answer(op, 200, doc);
}

const struct peri_api_route peri_api_hooks[] = {
    {"GET", "/v1/webhooks", list, false, false},
    {0},
};
