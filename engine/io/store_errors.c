/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/store_events.h"
#include "io/store_ledger_internal.h"
#include "io/store_runs.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS INT64_C(86400000)

char *peri_failure_id(uint64_t id, char out[PERI_LEDGER_ID])
{
    snprintf(out, PERI_LEDGER_ID, "er-%" PRIu64, id);
    return out;
}

bool peri_failure_id_parse(const char *text, uint64_t *ret)
{
    return peri_ledger_id("er-", text, ret);
}

/* In an hour with too many different codes the rest counts as one. */
static enum peri_status count_hour(struct peri_tx *tx, const struct peri_failure *f, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db,
        "INSERT INTO errors_hour(hour,op,code,n) SELECT ?1,"
        " iif(full,'(others)',?2),iif(full,'(others)',?3),1 FROM (SELECT count(*)>=?4 AND NOT EXISTS(SELECT 1 FROM"
        " errors_hour WHERE hour=?1 AND op=?2 AND code=?3) AS full FROM errors_hour WHERE hour=?1) WHERE true"
        " ON CONFLICT(hour,op,code) DO UPDATE SET n=n+1",
        err);
    if (st)
        return st;
    peri_stmt_int(&q, tx->now_ms / HOUR_MS * HOUR_MS);
    peri_stmt_text(&q, f->op ? f->op : "");
    peri_stmt_text(&q, f->code ? f->code : "");
    peri_stmt_int(&q, PERI_ERRORS_HOUR_MAX);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_failure_put(struct peri_tx *tx, const struct peri_failure *f, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db,
        "INSERT INTO errors(ts,kind,op,code,message,rule,run,event,n,attempt,resolved) VALUES(?,?,?,?,?,?,?,?,?,?,0)",
        err);
    if (st)
        return st;
    peri_stmt_int(&q, tx->now_ms);
    peri_stmt_text(&q, f->kind);
    peri_stmt_text(&q, f->op ? f->op : "");
    peri_stmt_text(&q, f->code ? f->code : "");
    peri_stmt_text(&q, f->message ? f->message : "");
    peri_stmt_text(&q, f->rule);
    peri_stmt_int(&q, (int64_t)f->run);
    peri_stmt_int(&q, (int64_t)f->event);
    peri_stmt_int(&q, f->n);
    peri_stmt_int(&q, f->attempt);
    st = peri_stmt_exec(&q, err);
    int64_t id = (int64_t)sqlite3_last_insert_rowid(tx->db->handle);
    if (!st && id > PERI_ERRORS_MAX) {
        st = peri_stmt_open(&q, tx->db, "DELETE FROM errors WHERE id<=?", err);
        if (!st) {
            peri_stmt_int(&q, id - PERI_ERRORS_MAX);
            st = peri_stmt_exec(&q, err);
        }
    }
    return st ? st : count_hour(tx, f, err);
}

enum peri_status peri_tx_failure_resolve(struct peri_tx *tx, uint64_t id, const char *note, struct peri_error *err)
{
    char name[PERI_LEDGER_ID];
    int64_t changed = 0;
    enum peri_status st = peri_ledger_settle(
        tx, "UPDATE errors SET resolved=?,note=? WHERE id=? AND resolved=0", id, note, &changed, err);
    return st ? st
              : peri_ledger_settled(tx, "SELECT 1 FROM errors WHERE id=?", id, changed, peri_failure_id(id, name), err);
}

#define WHERE                                                                                                          \
    " WHERE (?1 IS NULL OR kind=?1) AND (?2 IS NULL OR op=?2) AND (?3 IS NULL OR rule=?3) AND (?4 IS NULL OR code=?4)" \
    " AND (?5=2 OR (resolved>0)=?5) AND ts>=?6 AND ts<?7 AND id>?8 AND id<?9"

enum peri_status peri_tx_failure_resolve_all(struct peri_tx *tx, const struct peri_ledger_filter *filter,
    const char *note, uint64_t *ret_count, struct peri_error *err)
{
    return peri_ledger_settle_all(
        tx, "UPDATE errors SET resolved=?10,note=?11" WHERE " AND resolved=0", filter, note, ret_count, err);
}

#define COLUMNS "id,ts,kind,op,code,message,rule,run,event,n,attempt,resolved,note"

static enum peri_status form(struct peri_stmt *q, struct peri_value **ret, struct peri_error *err)
{
    char id[PERI_LEDGER_ID];
    struct peri_value *map = peri_value_map();
    bool bad = !map || peri_map_put_text(map, "id", peri_failure_id((uint64_t)peri_stmt_get_int(q, 0), id));
    bad = bad || peri_map_put_time(map, "time", peri_stmt_get_int(q, 1));
    bad = bad || peri_map_put_text(map, "kind", peri_stmt_get_text(q, 2));
    bad = bad || peri_map_put_text(map, "operator", peri_stmt_get_text(q, 3));
    bad = bad || peri_map_put_text(map, "code", peri_stmt_get_text(q, 4));
    bad = bad || peri_map_put_text(map, "message", peri_stmt_get_text(q, 5));
    bad = bad || peri_map_put_text(map, "rule", peri_stmt_get_text(q, 6));
    if (!bad && peri_stmt_get_int(q, 7))
        bad = peri_map_put_text(map, "run", peri_run_id((uint64_t)peri_stmt_get_int(q, 7), id));
    if (!bad && peri_stmt_get_int(q, 8))
        bad = peri_map_put_text(map, "event", peri_event_id((uint64_t)peri_stmt_get_int(q, 8), id));
    if (!bad && peri_stmt_get_int(q, 9))
        bad = peri_map_put_int(map, "step", peri_stmt_get_int(q, 9)) ||
              peri_map_put_int(map, "attempt", peri_stmt_get_int(q, 10));
    if (!bad && peri_stmt_get_int(q, 11))
        bad = peri_map_put_time(map, "resolved", peri_stmt_get_int(q, 11)) ||
              peri_map_put_text(map, "note", peri_stmt_get_text(q, 12));
    if (bad) {
        peri_value_unref(map);
        return peri_error_nomem(err);
    }
    *ret = map;
    return PERI_OK;
}

enum peri_status peri_reader_failures(struct peri_reader *reader, const struct peri_ledger_filter *f,
    struct peri_value **ret_list, struct peri_error *err)
{
    return peri_ledger_list(
        reader, "SELECT " COLUMNS " FROM errors" WHERE " ORDER BY id DESC LIMIT ?10", f, form, ret_list, err);
}

enum peri_status peri_reader_failure(
    struct peri_reader *reader, uint64_t id, struct peri_value **ret, struct peri_error *err)
{
    char name[PERI_LEDGER_ID];
    return peri_ledger_one(
        reader, "SELECT " COLUMNS " FROM errors WHERE id=?", id, peri_failure_id(id, name), form, ret, err);
}

static enum peri_status stat_form(struct peri_stmt *q, struct peri_value **ret, struct peri_error *err)
{
    char id[PERI_ID_TEXT];
    struct peri_value *map = peri_value_map();
    bool bad = !map || peri_map_put_text(map, "operator", peri_stmt_get_text(q, 0)) ||
               peri_map_put_text(map, "code", peri_stmt_get_text(q, 1)) ||
               peri_map_put_int(map, "count", peri_stmt_get_int(q, 2)) ||
               peri_map_put_int(map, "open", peri_stmt_get_int(q, 3));
    if (!bad && peri_stmt_get_int(q, 5))
        bad = peri_map_put_time(map, "first", peri_stmt_get_int(q, 4)) ||
              peri_map_put_time(map, "last", peri_stmt_get_int(q, 5)) ||
              peri_map_put_text(map, "message", peri_stmt_get_text(q, 6));
    if (!bad && peri_stmt_get_int(q, 7))
        bad = peri_map_put_text(map, "run", peri_run_id((uint64_t)peri_stmt_get_int(q, 7), id));
    if (!bad && peri_stmt_get_int(q, 8))
        bad = peri_map_put_text(map, "event", peri_event_id((uint64_t)peri_stmt_get_int(q, 8), id));
    if (bad) {
        peri_value_unref(map);
        return peri_error_nomem(err);
    }
    *ret = map;
    return PERI_OK;
}

enum peri_status peri_reader_failure_stats(
    struct peri_reader *reader, int64_t since_ms, struct peri_value **ret_list, struct peri_error *err)
{
    struct peri_stmt q;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db,
        "WITH kept AS (SELECT op,code,sum(resolved=0) AS open,min(ts) AS first,max(ts) AS last,message,run,event FROM "
        "errors"
        " WHERE ts>=?1 GROUP BY op,code)"
        " SELECT h.op,h.code,sum(h.n),coalesce(k.open,0),coalesce(k.first,0),coalesce(k.last,0),k.message,k.run,k.event"
        " FROM errors_hour h LEFT JOIN kept k ON k.op=h.op AND k.code=h.code WHERE h.hour>=?2"
        " GROUP BY h.op,h.code ORDER BY 3 DESC,1,2 LIMIT 1000",
        err);
    if (st)
        return st;
    peri_stmt_int(&q, since_ms);
    peri_stmt_int(&q, since_ms / HOUR_MS * HOUR_MS);
    st = peri_ledger_rows(&q, stat_form, ret_list, err);
    peri_stmt_close(&q);
    return st;
}

static enum peri_status trend_form(struct peri_stmt *q, struct peri_value **ret, struct peri_error *err)
{
    struct peri_value *map = peri_value_map(), *operators = NULL;
    enum peri_status st = peri_stmt_json(q, 2, &operators, err);
    bool bad = st || !map || peri_map_put_time(map, "time", peri_stmt_get_int(q, 0)) ||
               peri_map_put_int(map, "count", peri_stmt_get_int(q, 1)) || peri_map_put_ref(map, "operators", operators);
    peri_value_unref(operators);
    if (bad) {
        peri_value_unref(map);
        return st ? st : peri_error_nomem(err);
    }
    *ret = map;
    return PERI_OK;
}

enum peri_status peri_reader_failure_trends(struct peri_reader *reader, int64_t since_ms, bool days, const char *op,
    struct peri_value **ret_list, struct peri_error *err)
{
    struct peri_stmt q;
    int64_t width = days ? DAY_MS : HOUR_MS;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db,
        "SELECT at,sum(n),json_group_object(op,n) FROM (SELECT hour/?1*?1 AS at,op,sum(n) AS n FROM errors_hour"
        " WHERE hour>=?2 AND (?3 IS NULL OR op=?3) GROUP BY 1,2) GROUP BY at ORDER BY at LIMIT 1000",
        err);
    if (st)
        return st;
    peri_stmt_int(&q, width);
    peri_stmt_int(&q, since_ms / width * width);
    peri_stmt_text(&q, op);
    st = peri_ledger_rows(&q, trend_form, ret_list, err);
    peri_stmt_close(&q);
    return st;
}
