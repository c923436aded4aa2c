/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/store_db.h"
#include "io/store_events.h"
#include "io/store_ledger_internal.h"
#include "io/store_runs.h"

char *peri_dead_id(uint64_t id, char out[PERI_LEDGER_ID])
{
    snprintf(out, PERI_LEDGER_ID, "dl-%" PRIu64, id);
    return out;
}

bool peri_dead_id_parse(const char *text, uint64_t *ret)
{
    return peri_ledger_id("dl-", text, ret);
}

/* Above the bound a letter is only counted: whoever is told of the alarm finds the runs by `runs list --state dead`. */
static enum peri_status is_full(struct peri_tx *tx, bool *ret_full, struct peri_error *err)
{
    int64_t n = 0;
    enum peri_status st = peri_db_int(tx->db, "SELECT n FROM dead_count WHERE k=0", 0, &n, err);
    *ret_full = n >= PERI_DEAD_MAX;
    if (!st && *ret_full)
        st = peri_db_exec(tx->db, "INSERT INTO dead_count VALUES(1,1) ON CONFLICT(k) DO UPDATE SET n=n+1", err);
    return st;
}

enum peri_status peri_tx_dead_put(struct peri_tx *tx, const struct peri_dead *d, struct peri_error *err)
{
    struct peri_stmt q;
    bool full = false;
    enum peri_status st = is_full(tx, &full, err);
    if (st || full)
        return st;
    st = peri_stmt_open(&q, tx->db,
        "INSERT INTO dead(ts,kind,rule,code,reason,run,event,resolved) "
        "VALUES(?1,?2,coalesce(?3,(SELECT rule FROM runs WHERE id=?6)),?4,?5,?6,"
        "coalesce(nullif(?7,0),(SELECT event FROM runs WHERE id=?6),0),0)",
        err);
    if (st)
        return st;
    peri_stmt_int(&q, tx->now_ms);
    peri_stmt_text(&q, d->kind);
    peri_stmt_text(&q, d->rule);
    peri_stmt_text(&q, d->code ? d->code : "");
    peri_stmt_text(&q, d->reason ? d->reason : "");
    peri_stmt_int(&q, (int64_t)d->run);
    peri_stmt_int(&q, (int64_t)d->event);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_dead_resolve(struct peri_tx *tx, uint64_t id, const char *note, struct peri_error *err)
{
    char name[PERI_LEDGER_ID];
    int64_t changed = 0;
    enum peri_status st =
        peri_ledger_settle(tx, "UPDATE dead SET resolved=?,note=? WHERE id=? AND resolved=0", id, note, &changed, err);
    return st ? st : peri_ledger_settled(tx, "SELECT 1 FROM dead WHERE id=?", id, changed, peri_dead_id(id, name), err);
}

enum peri_status peri_tx_dead_resolve_run(struct peri_tx *tx, uint64_t run, const char *note, struct peri_error *err)
{
    int64_t changed = 0;
    return peri_ledger_settle(
        tx, "UPDATE dead SET resolved=?,note=? WHERE run=? AND run>0 AND resolved=0", run, note, &changed, err);
}

#define WHERE                                                                                                          \
    " WHERE (?1 IS NULL OR kind=?1) AND ?2 IS NULL AND (?3 IS NULL OR rule=?3) AND (?4 IS NULL OR code=?4)"            \
    " AND (?5=2 OR (resolved>0)=?5) AND ts>=?6 AND ts<?7 AND id>?8 AND id<?9"

enum peri_status peri_tx_dead_resolve_all(struct peri_tx *tx, const struct peri_ledger_filter *filter, const char *note,
    uint64_t *ret_count, struct peri_error *err)
{
    return peri_ledger_settle_all(
        tx, "UPDATE dead SET resolved=?10,note=?11" WHERE " AND resolved=0", filter, note, ret_count, err);
}

#define COLUMNS "id,ts,kind,rule,code,reason,run,event,resolved,note"

static enum peri_status form(struct peri_stmt *q, struct peri_value **ret, struct peri_error *err)
{
    char id[PERI_LEDGER_ID];
    struct peri_value *map = peri_value_map();
    bool bad = !map || peri_map_put_text(map, "id", peri_dead_id((uint64_t)peri_stmt_get_int(q, 0), id));
    bad = bad || peri_map_put_time(map, "time", peri_stmt_get_int(q, 1));
    bad = bad || peri_map_put_text(map, "kind", peri_stmt_get_text(q, 2));
    bad = bad || peri_map_put_text(map, "rule", peri_stmt_get_text(q, 3));
    if (!bad && peri_stmt_get_int(q, 6))
        bad = peri_map_put_text(map, "run", peri_run_id((uint64_t)peri_stmt_get_int(q, 6), id));
    if (!bad && peri_stmt_get_int(q, 7))
        bad = peri_map_put_text(map, "event", peri_event_id((uint64_t)peri_stmt_get_int(q, 7), id));
    bad = bad || peri_map_put_text(map, "code", peri_stmt_get_text(q, 4));
    bad = bad || peri_map_put_text(map, "reason", peri_stmt_get_text(q, 5));
    if (!bad && peri_stmt_get_int(q, 8))
        bad = peri_map_put_time(map, "resolved", peri_stmt_get_int(q, 8)) ||
              peri_map_put_text(map, "note", peri_stmt_get_text(q, 9));
    if (bad) {
        peri_value_unref(map);
        return peri_error_nomem(err);
    }
    *ret = map;
    return PERI_OK;
}

enum peri_status peri_reader_dead(struct peri_reader *reader, const struct peri_ledger_filter *f,
    struct peri_value **ret_list, struct peri_error *err)
{
    return peri_ledger_list(reader,
        f->rising ? "SELECT " COLUMNS " FROM dead" WHERE " ORDER BY id LIMIT ?10"
                  : "SELECT " COLUMNS " FROM dead" WHERE " ORDER BY id DESC LIMIT ?10",
        f, form, ret_list, err);
}

enum peri_status peri_reader_dead_one(
    struct peri_reader *reader, uint64_t id, struct peri_value **ret, struct peri_error *err)
{
    char name[PERI_LEDGER_ID];
    return peri_ledger_one(
        reader, "SELECT " COLUMNS " FROM dead WHERE id=?", id, peri_dead_id(id, name), form, ret, err);
}

enum peri_status peri_reader_dead_count(
    struct peri_reader *reader, int64_t *ret_open, int64_t *ret_lost, struct peri_error *err)
{
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_db_int(&reader->db, "SELECT n FROM dead_count WHERE k=0", 0, ret_open, err);
    return st ? st : peri_db_int(&reader->db, "SELECT n FROM dead_count WHERE k=1", 0, ret_lost, err);
}
