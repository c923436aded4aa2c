/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings: ids that other systems have for things of ours. And the audit trail. */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "app/api.h"
#include "base/str.h"
#include "io/store_data.h"
#include "io/store_mappings.h"

#define BULK_MAX 1000

struct mapping_query {
    char *text[4]; /* source, type, key, external_id */
    struct peri_mapping_filter filter;
    uint64_t id;
};

static void query_free(void *arg)
{
    struct mapping_query *q = arg;
    for (size_t i = 0; i < 4; i++)
        free(q->text[i]);
    free(q);
}

static struct mapping_query *query_create(struct peri_api_op *op)
{
    static const char *const names[] = {"source", "type", "key", "external_id"};
    struct mapping_query *q = calloc(1, sizeof(*q));
    for (size_t i = 0; q && i < 4; i++)
        q->text[i] = peri_strdup(peri_http_query(op->req, names[i]));
    if (q)
        q->filter = (struct peri_mapping_filter){.source = q->text[0],
            .type = q->text[1],
            .key = q->text[2],
            .external_id = q->text[3],
            .limit = peri_api_limit(op)};
    else
        peri_api_problem(op, 500, "out of memory");
    return q;
}

static enum peri_status find_all(struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_mappings(reader, &((struct mapping_query *)arg)->filter, ret, err);
}

static enum peri_status find_one(struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    struct mapping_query *q = arg;
    struct peri_value *list = NULL;
    if (q->id)
        return peri_reader_mapping(reader, q->id, ret, err);
    q->filter.limit = 1;
    enum peri_status st = peri_reader_mappings(reader, &q->filter, &list, err);
    if (!st && peri_value_count(list) == 0)
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no such mapping");
    if (!st)
        *ret = peri_value_ref(peri_list_at(list, 0));
    peri_value_unref(list);
    return st;
}

static void list_mappings(struct peri_api_op *op)
{
    const char *after = peri_http_query(op->req, "after");
    uint64_t id = 0;
    if (after && !peri_mapping_id_parse(after, &id)) {
        peri_api_problem(op, 404, "\"%.100s\" is no mapping id (they look like map-7)", after);
        return;
    }
    struct mapping_query *q = query_create(op);
    if (!q)
        return;
    q->filter.after = id;
    peri_api_ask(op, find_all, q, query_free);
}

static void lookup_mapping(struct peri_api_op *op)
{
    struct mapping_query *q = query_create(op);
    if (!q)
        return;
    if (q->filter.source && q->filter.type && (q->filter.key || q->filter.external_id)) {
        peri_api_ask(op, find_one, q, query_free);
        return;
    }
    query_free(q);
    peri_api_problem(op, 400, "a lookup needs source, type, and key or external_id");
}

static bool read_id(struct peri_api_op *op, uint64_t *ret)
{
    if (peri_mapping_id_parse(op->params[0], ret))
        return true;
    peri_api_problem(op, 404, "\"%.100s\" is no mapping id (they look like map-7)", op->params[0]);
    return false;
}

static void show_mapping(struct peri_api_op *op)
{
    uint64_t id;
    struct mapping_query *q = read_id(op, &id) ? query_create(op) : NULL;
    if (!q)
        return;
    q->id = id;
    peri_api_ask(op, find_one, q, query_free);
}

/* --- changes --- */

struct mapping_write {
    struct peri_value *list; /* what is put */
    uint64_t id;             /* of the last one put, or to be deleted */
    struct peri_mapping first;
    int64_t now_ms;
    bool one;
};

static void write_free(void *arg)
{
    struct mapping_write *w = arg;
    peri_value_unref(w->list);
    free(w);
}

static struct mapping_write *write_create(struct peri_api_op *op)
{
    struct mapping_write *w = calloc(1, sizeof(*w));
    op->extra = w;
    op->free_extra = write_free;
    if (!w)
        peri_api_problem(op, 500, "out of memory");
    return w;
}

static void submit(struct peri_api_op *op, size_t bytes, peri_store_fn fn, peri_store_done done)
{
    enum peri_status st = peri_store_submit(op->service->store, bytes, fn, done, op);
    if (st)
        peri_api_problem(op, st == PERI_EBUSY ? 503 : 500, st == PERI_EBUSY ? "the store is busy" : "out of memory");
}

static enum peri_status put_all(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct mapping_write *w = ((struct peri_api_op *)arg)->extra;
    enum peri_status st = PERI_OK;
    w->now_ms = peri_tx_now(tx);
    for (size_t i = 0; !st && i < peri_value_count(w->list); i++) {
        struct peri_mapping m;
        st = peri_mapping_read(peri_list_at(w->list, i), &m, err);
        if (!st)
            st = peri_tx_mapping_put(tx, &m, &w->id, err);
        if (st && !w->one)
            peri_error_prefix(err, "mapping %zu", i + 1);
    }
    PERI_FAILPOINT("mappings.rows");
    return st;
}

static void put_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct peri_api_op *op = arg;
    struct mapping_write *w = op->extra;
    char id[32];
    if (st == PERI_EEXIST) {
        peri_api_problem(op, 409, "%s", err->message);
        return;
    }
    if (st) {
        peri_api_error(op, st, err);
        return;
    }
    struct peri_value *doc = w->one ? peri_value_copy(peri_list_at(w->list, 0)) : peri_value_map();
    st = doc ? PERI_OK : PERI_ENOMEM;
    if (!st && w->one)
        st = peri_map_put_text(doc, "id", peri_mapping_id(w->id, id));
    if (!st && w->one)
        st = peri_map_put_time(doc, "updated", w->now_ms);
    if (!st && !w->one)
        st = peri_map_put_int(doc, "count", (int64_t)peri_value_count(w->list));
    if (st) {
        peri_value_unref(doc);
        doc = NULL;
    }
    peri_api_take_answer(op, 200, doc);
}

/* Members that a mapping has not are mistakes. */
static bool check_members(struct peri_api_op *op, const struct peri_value *map)
{
    static const char *const known[] = {"source", "type", "key", "external_id", "data", NULL};
    if (!peri_value_is(map, PERI_MAP)) {
        peri_api_problem(op, 400, "a mapping is an object {source, type, key, external_id, data?}");
        return false;
    }
    for (void *it = peri_map_first(map); it; it = peri_map_next(map, it)) {
        const char *const *k = known;
        while (*k && strcmp(*k, peri_map_key(it, NULL)))
            k++;
        if (*k)
            continue;
        peri_api_problem(op, 400,
            "unknown member \"%.100s\" of a mapping: source, type, key, external_id, data are there",
            peri_map_key(it, NULL));
        return false;
    }
    return true;
}

static void put_mapping(struct peri_api_op *op)
{
    if (peri_api_store_refuses(op, true) || !check_members(op, op->body))
        return;
    struct mapping_write *w = write_create(op);
    if (!w)
        return;
    w->one = true;
    w->list = peri_value_list();
    if (!w->list || peri_list_push(w->list, peri_value_ref(op->body)))
        peri_api_problem(op, 500, "out of memory");
    else
        submit(op, 512, put_all, put_done);
}

static void put_bulk(struct peri_api_op *op)
{
    const struct peri_value *list = peri_value_is(op->body, PERI_LIST) ? op->body : peri_map_at(op->body, "items");
    if (peri_api_store_refuses(op, true))
        return;
    if (!peri_value_is(list, PERI_LIST) || peri_value_count(list) > BULK_MAX) {
        peri_api_problem(op, 400, "send a list of at most %d mappings, or {items: [...]}", BULK_MAX);
        return;
    }
    for (size_t i = 0; i < peri_value_count(list); i++)
        if (!check_members(op, peri_list_at(list, i)))
            return;
    struct mapping_write *w = write_create(op);
    if (!w)
        return;
    w->list = peri_value_ref((struct peri_value *)(uintptr_t)list);
    submit(op, 512 * (peri_value_count(list) + 1), put_all, put_done);
}

static enum peri_status delete_one(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct mapping_write *w = ((struct peri_api_op *)arg)->extra;
    return peri_tx_mapping_delete(tx, w->id, err);
}

static void deleted(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct peri_api_op *op = arg;
    if (st)
        peri_api_error(op, st, err);
    else
        peri_api_take_answer(op, 200, peri_value_map());
}

static void delete_mapping(struct peri_api_op *op)
{
    uint64_t id;
    struct mapping_write *w = read_id(op, &id) ? write_create(op) : NULL;
    if (!w)
        return;
    w->id = id;
    submit(op, 128, delete_one, deleted);
}

/* --- audit --- */

struct audit_query {
    char *target, *action;
    struct peri_audit_filter filter;
    struct peri_api_op *op;
};

static void audit_free(void *arg)
{
    struct audit_query *q = arg;
    free(q->target);
    free(q->action);
    free(q);
}

static enum peri_status find_audit(
    struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_audit(reader, &((struct audit_query *)arg)->filter, ret, err);
}

static void ask_audit(void *arg)
{
    struct audit_query *q = arg;
    peri_api_ask(q->op, find_audit, q, audit_free);
}

/* What plugins have done up to now is part of the answer. */
static void list_audit(struct peri_api_op *op)
{
    const char *after = peri_http_query(op->req, "after");
    uint64_t id = 0;
    if (after && !peri_audit_id_parse(after, &id)) {
        peri_api_problem(op, 404, "\"%.100s\" is no id of the audit trail (they look like au-7)", after);
        return;
    }
    struct audit_query *q = calloc(1, sizeof(*q));
    if (!q) {
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    q->target = peri_strdup(peri_http_query(op->req, "target"));
    q->action = peri_strdup(peri_http_query(op->req, "action"));
    q->filter =
        (struct peri_audit_filter){.target = q->target, .action = q->action, .before = id, .limit = peri_api_limit(op)};
    q->op = op;
    peri_host_ledger_flush(op->service->host, ask_audit, q);
}

/* A command has read the database itself, and shows personal data. */
static enum peri_status note_shown(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct peri_api_op *op = arg;
    return peri_tx_audit(tx, "local", "personal.shown", peri_map_text(op->body, "what"), NULL, err);
}

static void noted(void *arg, enum peri_status st, const struct peri_error *err)
{
    if (st)
        peri_api_error(arg, st, err);
    else
        peri_api_take_answer(arg, 200, peri_value_map());
}

static void post_shown(struct peri_api_op *op)
{
    if (peri_store_submit(op->service->store, 256, note_shown, noted, op))
        peri_api_problem(op, 503, "the store is busy");
}

const struct peri_api_route peri_api_mappings[] = {
    {"GET", "/v1/mappings", list_mappings, false, false},
    {"POST", "/v1/mappings", put_mapping, false, true},
    {"GET", "/v1/mappings/lookup", lookup_mapping, false, false},
    {"POST", "/v1/mappings/bulk", put_bulk, false, true},
    {"GET", "/v1/mappings/{}", show_mapping, false, false},
    {"DELETE", "/v1/mappings/{}", delete_mapping, false, false},
    {"GET", "/v1/audit", list_audit, false, false},
    {"POST", "/v1/audit/personal", post_shown, false, true},
    {0},
};
