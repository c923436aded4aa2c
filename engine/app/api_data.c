/* SPDX-License-Identifier: Apache-2.0 */
/* The unified model and the outbox. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "app/api.h"
#include "base/str.h"
#include "data/json.h"
#include "io/store_data.h"
#include "plugin/manifest.h"

#define IMPORT_MAX 1000

struct data_query {
    char *type, *id, *order;
    struct peri_value *where;
    struct peri_query query;
};

static void data_query_free(void *arg)
{
    struct data_query *q = arg;
    free(q->type);
    free(q->id);
    free(q->order);
    peri_value_unref(q->where);
    free(q);
}

static struct data_query *data_query_create(struct peri_api_op *op)
{
    struct data_query *q = calloc(1, sizeof(*q));
    if (!q)
        return NULL;
    const char *order = peri_http_query(op->req, "order");
    q->type = peri_strdup(peri_entity_type_singular(op->params[0]));
    q->id = peri_strdup(op->params[1]);
    q->order = peri_strdup(order);
    if (!q->type || (op->params[1] && !q->id) || (order && !q->order)) {
        data_query_free(q);
        return NULL;
    }
    q->query = (struct peri_query){.type = q->type, .order = q->order, .limit = peri_api_limit(op)};
    return q;
}

static enum peri_status find_data(
    struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    const struct peri_query *query = &((struct data_query *)arg)->query;
    struct peri_value *rows = NULL;
    char next[24];
    size_t n;
    enum peri_status st = peri_reader_query(reader, query, &rows, &n, err);
    if (st)
        return st;
    /* Any field may order them, so a page goes on at a place in the list, not behind an id. */
    n = peri_value_count(rows);
    snprintf(next, sizeof(next), "%zu", query->offset + n);
    struct peri_value *doc = peri_value_map();
    bool bad =
        !doc || peri_map_put_ref(doc, "items", rows) || (n >= query->limit && peri_map_put_text(doc, "next", next));
    peri_value_unref(rows);
    if (bad) {
        peri_value_unref(doc);
        return peri_error_nomem(err);
    }
    *ret = doc;
    return PERI_OK;
}

static enum peri_status find_entity(
    struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    struct data_query *q = arg;
    return peri_reader_entity(reader, q->type, q->id, ret, err);
}

static void query_data(struct peri_api_op *op)
{
    struct data_query *q = data_query_create(op);
    const char *where = peri_http_query(op->req, "where"), *after = peri_http_query(op->req, "after");
    struct peri_error err;
    long long offset = 0;
    if (!q) {
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    if (after && (!peri_parse_i64(after, &offset) || offset < 0)) {
        data_query_free(q);
        peri_api_problem(op, 400, "\"after\" must be the \"next\" of the page before");
        return;
    }
    q->query.offset = (size_t)offset;
    if (where && peri_json_parse(where, strlen(where), &q->where, &err)) {
        data_query_free(q);
        peri_api_problem(op, 400, "\"where\" is not valid JSON: %s", err.message);
        return;
    }
    q->query.where = q->where;
    peri_api_ask(op, find_data, q, data_query_free);
}

static void show_entity(struct peri_api_op *op)
{
    struct data_query *q = data_query_create(op);
    if (q)
        peri_api_ask(op, find_entity, q, data_query_free);
    else
        peri_api_problem(op, 500, "out of memory");
}

/* Writes of people: one entity or a list of them; all or none. */
struct data_write {
    char *type, *id;
    struct peri_value *list; /* what is put */
    struct peri_value *stored;
    bool one, existed;
};

static void data_write_free(void *arg)
{
    struct data_write *w = arg;
    free(w->type);
    free(w->id);
    peri_value_unref(w->list);
    peri_value_unref(w->stored);
    free(w);
}

static enum peri_status write_entities(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct data_write *w = ((struct peri_api_op *)arg)->extra;
    w->stored = peri_value_list();
    enum peri_status st = w->stored ? PERI_OK : peri_error_nomem(err);
    for (size_t i = 0; st == PERI_OK && i < peri_value_count(w->list); i++) {
        struct peri_value *entity = NULL;
        bool created;
        st = peri_tx_entity_put(tx, w->type, peri_list_at(w->list, i), &entity, &created, err);
        if (st)
            peri_error_prefix(err, "entity %zu", i + 1);
        else
            st = peri_list_push(w->stored, entity);
    }
    PERI_FAILPOINT("data.rows");
    return st;
}

static void entities_written(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct peri_api_op *op = arg;
    struct data_write *w = op->extra;
    if (st) {
        peri_api_error(op, st, err);
    } else if (w->one) {
        peri_api_answer(op, 200, peri_list_at(w->stored, 0));
    } else {
        struct peri_value *doc = peri_value_map();
        if (doc && peri_map_put_int(doc, "count", (int64_t)peri_value_count(w->stored))) {
            peri_value_unref(doc);
            doc = NULL;
        }
        peri_api_take_answer(op, 200, doc);
    }
}

static struct data_write *data_write_create(struct peri_api_op *op)
{
    struct data_write *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->type = peri_strdup(peri_entity_type_singular(op->params[0]));
    w->id = peri_strdup(op->params[1]);
    op->extra = w;
    op->free_extra = data_write_free;
    return w;
}

static void submit(struct peri_api_op *op, size_t bytes, peri_store_fn fn, peri_store_done done)
{
    enum peri_status st = peri_store_submit(op->service->store, bytes, fn, done, op);
    if (st)
        peri_api_problem(op, st == PERI_EBUSY ? 503 : 500, st == PERI_EBUSY ? "the store is busy" : "out of memory");
}

static void put_data(struct peri_api_op *op)
{
    if (peri_api_store_refuses(op, true))
        return;
    struct data_write *w = data_write_create(op);
    if (!w) {
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    w->one = peri_value_is(op->body, PERI_MAP);
    if (!w->one && (!peri_value_is(op->body, PERI_LIST) || peri_value_count(op->body) > IMPORT_MAX)) {
        peri_api_problem(op, 400, "send one entity as an object, or a list of at most %d", IMPORT_MAX);
        return;
    }
    if (w->one) {
        w->list = peri_value_list();
        if (!w->list || peri_list_push(w->list, peri_value_ref(op->body))) {
            peri_api_problem(op, 500, "out of memory");
            return;
        }
    } else {
        w->list = peri_value_ref(op->body);
    }
    submit(op, 1024 * peri_value_count(w->list), write_entities, entities_written);
}

static enum peri_status delete_entity(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct data_write *w = ((struct peri_api_op *)arg)->extra;
    return peri_tx_entity_delete(tx, w->type, w->id, &w->existed, err);
}

static void entity_deleted(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct peri_api_op *op = arg;
    struct data_write *w = op->extra;
    if (st)
        peri_api_error(op, st, err);
    else if (!w->existed)
        peri_api_problem(op, 404, "there is no %s \"%s\"", w->type, w->id);
    else
        peri_api_take_answer(op, 200, peri_value_map());
}

static void delete_data(struct peri_api_op *op)
{
    if (data_write_create(op))
        submit(op, 256, delete_entity, entity_deleted);
    else
        peri_api_problem(op, 500, "out of memory");
}

/* --- outbox --- */

struct outbox_query {
    uint64_t id;
    size_t limit;
};

static bool outbox_id(const char *text, uint64_t *ret)
{
    long long n;
    if (!peri_str_starts(text, "ob-") || !peri_parse_i64(text + 3, &n) || n <= 0)
        return false;
    *ret = (uint64_t)n;
    return true;
}

static enum peri_status find_outbox(
    struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    struct outbox_query *q = arg;
    return peri_reader_outbox(reader, q->id, q->limit, ret, err);
}

static enum peri_status find_message(
    struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_outbox_item(reader, ((struct outbox_query *)arg)->id, ret, err);
}

static void ask_outbox(struct peri_api_op *op, const char *id, peri_lookup_fn fn)
{
    struct outbox_query *q = calloc(1, sizeof(*q));
    if (!q) {
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    q->limit = peri_api_limit(op);
    if (!id || outbox_id(id, &q->id)) {
        peri_api_ask_hidden(op, 0, fn, q, free);
        return;
    }
    free(q);
    peri_api_problem(op, 404, "\"%.100s\" is no message id (they look like ob-7)", id);
}

static void list_outbox(struct peri_api_op *op)
{
    ask_outbox(op, peri_http_query(op->req, "after"), find_outbox);
}

static void show_message(struct peri_api_op *op)
{
    ask_outbox(op, op->params[0], find_message);
}

static enum peri_status clear_rows(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_outbox_clear(tx, ((struct peri_api_op *)arg)->extra, err);
}

static void cleared(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct peri_api_op *op = arg;
    struct peri_value *doc = peri_value_map();
    if (st == PERI_OK && doc && peri_map_put_int(doc, "count", *(int64_t *)op->extra) == PERI_OK)
        peri_api_answer(op, 200, doc);
    else if (st)
        peri_api_error(op, st, err);
    else
        peri_api_problem(op, 500, "out of memory");
    peri_value_unref(doc);
}

static void clear_outbox(struct peri_api_op *op)
{
    op->extra = calloc(1, sizeof(uint64_t));
    op->free_extra = free;
    if (op->extra)
        submit(op, 64, clear_rows, cleared);
    else
        peri_api_problem(op, 500, "out of memory");
}

const struct peri_api_route peri_api_data[] = {
    {"GET", "/v1/data/{}", query_data, false, false},
    {"POST", "/v1/data/{}", put_data, false, true},
    {"GET", "/v1/data/{}/{}", show_entity, false, false},
    {"DELETE", "/v1/data/{}/{}", delete_data, false, false},
    {"GET", "/v1/outbox", list_outbox, false, false},
    {"DELETE", "/v1/outbox", clear_outbox, false, false},
    {"GET", "/v1/outbox/{}", show_message, false, false},
    {0},
};
