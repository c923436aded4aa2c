/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_ledger_internal.h"

#include <string.h>

#include "base/str.h"

#define LIST_DEFAULT 50
#define LIST_MAX 1000
#define SETTLED_MS (INT64_C(30) * 86400000)
#define HOURS_MS (INT64_C(90) * 86400000)

bool peri_ledger_id(const char *prefix, const char *text, uint64_t *ret)
{
    long long n;
    if (!text || !peri_str_starts(text, prefix) || !peri_parse_i64(text + strlen(prefix), &n) || n <= 0)
        return false;
    *ret = (uint64_t)n;
    return true;
}

static enum peri_status bind(struct peri_stmt *q, const struct peri_ledger_filter *f, struct peri_error *err)
{
    int state = !f->state || peri_streq(f->state, "open") ? 0
                : peri_streq(f->state, "resolved")        ? 1
                : peri_streq(f->state, "all")             ? 2
                                                          : -1;
    if (state < 0)
        return peri_error_set(err, PERI_EINVAL, "state", "state: \"%s\" is none of open, resolved, all", f->state);
    peri_stmt_text(q, f->kind);
    peri_stmt_text(q, f->op);
    peri_stmt_text(q, f->rule);
    peri_stmt_text(q, f->code);
    peri_stmt_int(q, state);
    peri_stmt_int(q, f->since_ms);
    peri_stmt_int(q, f->until_ms ? f->until_ms : INT64_MAX);
    peri_stmt_int(q, (int64_t)f->after);
    peri_stmt_int(q, f->before && f->before < INT64_MAX ? (int64_t)f->before : INT64_MAX);
    return PERI_OK;
}

enum peri_status peri_ledger_settle(
    struct peri_tx *tx, const char *sql, uint64_t id, const char *note, int64_t *ret_changed, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, sql, err);
    if (st)
        return st;
    peri_stmt_int(&q, tx->now_ms);
    peri_stmt_text(&q, note);
    peri_stmt_int(&q, (int64_t)id);
    st = peri_stmt_exec(&q, err);
    if (!st)
        *ret_changed = peri_db_changes(tx->db);
    return st;
}

enum peri_status peri_ledger_settled(
    struct peri_tx *tx, const char *sql, uint64_t id, int64_t changed, const char *name, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    if (changed)
        return PERI_OK;
    enum peri_status st = peri_stmt_open(&q, tx->db, sql, err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)id);
    st = peri_stmt_row(&q, &row, err);
    peri_stmt_close(&q);
    if (!st)
        st = row ? peri_error_set(err, PERI_ESTATE, "state", "%s is resolved already", name)
                 : peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no %s", name);
    return st;
}

enum peri_status peri_ledger_settle_all(struct peri_tx *tx, const char *sql, const struct peri_ledger_filter *filter,
    const char *note, uint64_t *ret_count, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, sql, err);
    if (st)
        return st;
    st = bind(&q, filter, err);
    if (st) {
        peri_stmt_close(&q);
        return st;
    }
    peri_stmt_int(&q, tx->now_ms);
    peri_stmt_text(&q, note);
    st = peri_stmt_exec(&q, err);
    if (!st)
        *ret_count = (uint64_t)peri_db_changes(tx->db);
    return st;
}

enum peri_status peri_ledger_rows(
    struct peri_stmt *q, peri_ledger_form form, struct peri_value **ret_list, struct peri_error *err)
{
    struct peri_value *list = peri_value_list();
    enum peri_status st = list ? PERI_OK : peri_error_nomem(err);
    bool row = true;
    while (!st && row) {
        struct peri_value *v = NULL;
        st = peri_stmt_row(q, &row, err);
        if (!st && row)
            st = form(q, &v, err);
        if (v && peri_list_push(list, v))
            st = peri_error_nomem(err);
    }
    if (st)
        peri_value_unref(list);
    else
        *ret_list = list;
    return st;
}

enum peri_status peri_ledger_list(struct peri_reader *reader, const char *sql, const struct peri_ledger_filter *filter,
    peri_ledger_form form, struct peri_value **ret_list, struct peri_error *err)
{
    struct peri_stmt q;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db, sql, err);
    if (st)
        return st;
    st = bind(&q, filter, err);
    if (!st) {
        peri_stmt_int(&q, filter->limit == 0         ? LIST_DEFAULT
                          : filter->limit > LIST_MAX ? LIST_MAX
                                                     : (int64_t)filter->limit);
        st = peri_ledger_rows(&q, form, ret_list, err);
    }
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_ledger_one(struct peri_reader *reader, const char *sql, uint64_t id, const char *name,
    peri_ledger_form form, struct peri_value **ret, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db, sql, err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)id);
    st = peri_stmt_row(&q, &row, err);
    if (!st && !row)
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no %s", name);
    if (!st)
        st = form(&q, ret, err);
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_ledger_prune(struct peri_tx *tx, int64_t *rows, bool *more, struct peri_error *err)
{
    enum peri_status st = peri_tx_prune_page(tx,
        "DELETE FROM dead WHERE id IN (SELECT id FROM dead INDEXED BY dead_resolved WHERE resolved>0 AND resolved<?"
        " LIMIT ?)",
        tx->now_ms - SETTLED_MS, rows, more, err);
    if (!st)
        st = peri_tx_prune_page(tx,
            "DELETE FROM errors WHERE id IN (SELECT id FROM errors INDEXED BY errors_resolved WHERE resolved>0"
            " AND resolved<? LIMIT ?)",
            tx->now_ms - SETTLED_MS, rows, more, err);
    if (!st)
        st = peri_tx_prune_page(tx,
            "DELETE FROM errors_hour WHERE (hour,op,code) IN (SELECT hour,op,code FROM errors_hour WHERE hour<?"
            " LIMIT ?)",
            tx->now_ms - HOURS_MS, rows, more, err);
    return st;
}
