/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "app/api.h"
#include "base/pool.h"
#include "base/str.h"
#include "run/cloudevents.h"
#include "run/verdicts_read.h"

/* POST /v1/events: the batch belongs to the pipeline from the submit on; it is still whole when the commit is reported.
 */
struct posted {
    struct peri_batch *batch;
    bool list;
};

static void write_accepted(struct peri_buf *out, const struct peri_event *event)
{
    char id[PERI_ID_TEXT];
    peri_buf_puts(out, "{\"id\":\"");
    peri_buf_puts(out, peri_event_id(event->seq, id));
    peri_buf_puts(out, event->duplicate ? "\",\"duplicate\":true}" : "\"}");
}

static void write_all(struct peri_buf *out, const struct posted *p)
{
    size_t n = peri_batch_events(p->batch);
    bool list = p->list || n != 1;
    (void)peri_buf_reserve(out, n * (PERI_ID_TEXT + sizeof("{\"id\":\"\",\"duplicate\":true},")) + 2); /* at most */
    for (size_t i = 0; i < n; i++) {
        if (list)
            peri_buf_putc(out, i ? ',' : '[');
        write_accepted(out, peri_batch_event_at(p->batch, i));
    }
    if (list)
        peri_buf_puts(out, n ? "]" : "[]");
}

static void committed(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct peri_api_op *op = arg;
    struct peri_buf text;
    if (st) {
        peri_api_error(op, st, err);
        return;
    }
    peri_buf_init(&text, SIZE_MAX);
    if (op->req)
        write_all(&text, op->extra);
    peri_api_answer_text(op, 202, &text);
    peri_buf_finish(&text);
}

static void post_events(struct peri_api_op *op)
{
    struct posted *p = op->extra = peri_pool_zeroed(sizeof(*p));
    struct peri_error err;
    op->free_extra = peri_pool_free;
    if (!p || !(p->batch = peri_batch_create())) {
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    enum peri_status st = peri_cloudevents_read(op->req, peri_api_ce_scratch(op->api),
        (size_t)op->service->config->limits.max_event_bytes, p->batch, &p->list, &err);
    if (st == PERI_OK && peri_batch_events(p->batch) == 0) {
        peri_batch_destroy(p->batch);
        peri_api_take_answer(op, 202, peri_value_list());
        return;
    }
    if (st != PERI_OK)
        peri_pipeline_refused(op->service->pipeline, st == PERI_ENOMEM ? st : PERI_EINVAL);
    else
        st = peri_pipeline_submit(op->service->pipeline, p->batch, committed, op, &err);
    if (st) {
        peri_batch_destroy(p->batch);
        peri_api_error(op, st, &err);
    }
}

/* GET /v1/events?type=&source=&after= */
struct event_list {
    char *type, *source;
    struct peri_event_filter filter;
};

static void event_list_free(void *arg)
{
    struct event_list *q = arg;
    free(q->type);
    free(q->source);
    free(q);
}

static enum peri_status find_events(
    struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    struct event_list *q = arg;
    struct peri_value *list = NULL, *doc = NULL;
    uint64_t next = 0;
    char id[PERI_ID_TEXT];
    q->filter.ret_next = &next;
    enum peri_status st = peri_reader_events(reader, &q->filter, &list, err);
    if (st != PERI_OK || next == 0) {
        *ret = list;
        return st;
    }
    /* A page that is not full, and yet not the last: rare events in a long journal. */
    doc = peri_value_map();
    if (!doc || peri_map_put_ref(doc, "items", list) || peri_map_put_text(doc, "next", peri_event_id(next, id))) {
        peri_value_unref(doc);
        st = peri_error_nomem(err);
    } else {
        *ret = doc;
    }
    peri_value_unref(list);
    return st;
}

static void list_events(struct peri_api_op *op)
{
    struct event_list *q = calloc(1, sizeof(*q));
    const char *after = peri_http_query(op->req, "after");
    if (!q) {
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    q->type = peri_strdup(peri_http_query(op->req, "type"));
    q->source = peri_strdup(peri_http_query(op->req, "source"));
    q->filter = (struct peri_event_filter){.type = q->type, .source = q->source, .limit = peri_api_limit(op)};
    /* Pages go back in time: "after" on the page means older in the journal. */
    if (after && !peri_event_id_parse(after, &q->filter.before)) {
        event_list_free(q);
        peri_api_problem(op, 400, "\"after\" must be an event id such as ev-12");
        return;
    }
    peri_api_ask_hidden(op, 0, find_events, q, event_list_free);
}

static enum peri_status find_event(
    struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_event_value(reader, *(uint64_t *)arg, ret, err);
}

static enum peri_status find_verdicts(
    struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    return peri_verdicts_read(reader, *(uint64_t *)arg, NULL, ret, err);
}

static void ask_event(struct peri_api_op *op, peri_lookup_fn fn)
{
    uint64_t *seq = calloc(1, sizeof(*seq));
    if (!seq) {
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    if (peri_event_id_parse(op->params[0], seq)) {
        peri_api_ask_hidden(op, *seq, fn, seq, free);
        return;
    }
    free(seq);
    peri_api_problem(op, 404, "\"%.100s\" is no event id (they look like ev-12)", op->params[0]);
}

static void show_event(struct peri_api_op *op)
{
    ask_event(op, find_event);
}

static void show_verdicts(struct peri_api_op *op)
{
    ask_event(op, find_verdicts);
}

static void replay_event(struct peri_api_op *op)
{
    uint64_t seq;
    struct peri_error err;
    if (!peri_event_id_parse(op->params[0], &seq)) {
        peri_api_problem(op, 404, "\"%.100s\" is no event id (they look like ev-12)", op->params[0]);
        return;
    }
    if (peri_api_store_refuses(op, true))
        return;
    enum peri_status st =
        peri_pipeline_replay(op->service->pipeline, seq, peri_map_text(op->body, "rule"), peri_api_changed, op, &err);
    if (st)
        peri_api_error(op, st, &err);
}

const struct peri_api_route peri_api_events[] = {
    {"POST", "/v1/events", post_events, false, false},
    {"GET", "/v1/events", list_events, false, false},
    {"GET", "/v1/events/{}", show_event, false, false},
    {"GET", "/v1/events/{}/verdicts", show_verdicts, false, false},
    {"POST", "/v1/events/{}/replay", replay_event, false, true},
    {0},
};
