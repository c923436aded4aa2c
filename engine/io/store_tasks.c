/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_tasks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/store_events.h"
#include "io/store_ledger_internal.h"
#include "io/store_runs.h"

char *peri_task_id(uint64_t id, char out[PERI_TASK_ID])
{
    snprintf(out, PERI_TASK_ID, "task-%" PRIu64, id);
    return out;
}

bool peri_task_id_parse(const char *text, uint64_t *ret)
{
    return peri_ledger_id("task-", text, ret);
}

enum peri_status peri_tx_task_find(struct peri_tx *tx, const char *key, uint64_t *ret_id, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    *ret_id = 0;
    if (!key)
        return PERI_OK;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT id FROM tasks WHERE key=?", err);
    if (st)
        return st;
    peri_stmt_text(&q, key);
    st = peri_stmt_row(&q, &row, err);
    if (!st && row)
        *ret_id = (uint64_t)peri_stmt_get_int(&q, 0);
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_task_put(
    struct peri_tx *tx, const struct peri_task *task, uint64_t *ret_id, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st =
        peri_stmt_open(&q, tx->db, "INSERT INTO tasks(op,params,at,key,created,run) VALUES(?,?,?,?,?,?)", err);
    if (st)
        return st;
    peri_stmt_text(&q, task->op);
    peri_stmt_text(&q, task->params);
    peri_stmt_int(&q, task->at_ms);
    peri_stmt_text(&q, task->key);
    peri_stmt_int(&q, tx->now_ms);
    peri_stmt_int(&q, (int64_t)task->run);
    st = peri_stmt_exec(&q, err);
    if (!st)
        *ret_id = (uint64_t)sqlite3_last_insert_rowid(tx->db->handle);
    return st;
}

enum peri_status peri_tx_task_moved(struct peri_tx *tx, uint64_t from, uint64_t to, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "UPDATE tasks SET run=? WHERE run=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)to);
    peri_stmt_int(&q, (int64_t)from);
    return peri_stmt_exec(&q, err);
}

/* A run that sleeps before its action's first attempt is one whose time has not come. */
#define STATE                                                                                                          \
    "CASE r.state WHEN 10 THEN 'done' WHEN 11 THEN 'failed' WHEN 12 THEN 'cancelled' WHEN 13 THEN 'cancelled'"         \
    " WHEN 6 THEN 'unknown' ELSE iif(EXISTS(SELECT 1 FROM steps s WHERE s.run=r.id AND s.key IS NOT NULL),'running',"  \
    "'scheduled') END"
#define COLUMNS "t.id,t.op,t.params,t.at,t.key,t.created,t.run," STATE ",r.error"

static enum peri_status form(struct peri_stmt *q, struct peri_value **ret, struct peri_error *err)
{
    char id[PERI_TASK_ID];
    struct peri_value *map = peri_value_map(), *params = NULL, *error = NULL;
    enum peri_status st = peri_stmt_json(q, 2, &params, err);
    if (!st)
        st = peri_stmt_json(q, 8, &error, err);
    bool bad = st || !map || peri_map_put_text(map, "id", peri_task_id((uint64_t)peri_stmt_get_int(q, 0), id));
    bad = bad || peri_map_put_text(map, "operator", peri_stmt_get_text(q, 1));
    bad = bad || peri_map_put_ref(map, "params", params);
    bad = bad || peri_map_put_time(map, "at", peri_stmt_get_int(q, 3));
    bad = bad || peri_map_put_text(map, "key", peri_stmt_get_text(q, 4));
    bad = bad || peri_map_put_time(map, "created", peri_stmt_get_int(q, 5));
    bad = bad || peri_map_put_text(map, "run", peri_run_id((uint64_t)peri_stmt_get_int(q, 6), id));
    bad = bad || peri_map_put_text(map, "state", peri_stmt_get_text(q, 7));
    bad = bad || (error && peri_map_put_ref(map, "error", error));
    peri_value_unref(params);
    peri_value_unref(error);
    if (bad) {
        peri_value_unref(map);
        return st ? st : peri_error_nomem(err);
    }
    *ret = map;
    return PERI_OK;
}

enum peri_status peri_reader_tasks(
    struct peri_reader *reader, const struct peri_task_filter *f, struct peri_value **ret_list, struct peri_error *err)
{
    static const char *const states[] = {"scheduled", "running", "done", "failed", "cancelled", "unknown", NULL};
    const char *const *s = states;
    struct peri_stmt q;
    while (f->state && *s && !peri_streq(f->state, *s))
        s++;
    if (!*s)
        return peri_error_set(err, PERI_EINVAL, "state",
            "state: \"%s\" is none of scheduled, running, done, failed, cancelled, unknown", f->state);
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db,
        "SELECT " COLUMNS " FROM tasks t JOIN runs r ON r.id=t.run WHERE (?1 IS NULL OR t.op=?1) AND t.id<?2"
        " AND (?3 IS NULL OR " STATE "=?3) ORDER BY t.id DESC LIMIT ?4",
        err);
    if (st)
        return st;
    peri_stmt_text(&q, f->op);
    peri_stmt_int(&q, f->before && f->before < INT64_MAX ? (int64_t)f->before : INT64_MAX);
    peri_stmt_text(&q, f->state);
    peri_stmt_int(&q, f->limit == 0 ? 50 : f->limit > 1000 ? 1000 : (int64_t)f->limit);
    st = peri_ledger_rows(&q, form, ret_list, err);
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_reader_task(
    struct peri_reader *reader, uint64_t id, struct peri_value **ret, uint64_t *ret_run, struct peri_error *err)
{
    char name[PERI_TASK_ID];
    struct peri_value *v = NULL;
    enum peri_status st =
        peri_ledger_one(reader, "SELECT " COLUMNS " FROM tasks t JOIN runs r ON r.id=t.run WHERE t.id=?", id,
            peri_task_id(id, name), form, &v, err);
    if (st)
        return st;
    if (ret_run)
        (void)peri_run_id_parse(peri_map_text(v, "run"), ret_run);
    *ret = v;
    return PERI_OK;
}
