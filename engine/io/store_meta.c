/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "base/str.h"
#include "data/json.h"
#include "io/store_data.h"

enum peri_status peri_db_meta_get(struct peri_db *db, const char *key, char **ret, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    *ret = NULL;
    enum peri_status st = peri_stmt_open(&q, db, "SELECT v FROM meta WHERE k=?", err);
    if (st)
        return st;
    peri_stmt_text(&q, key);
    st = peri_stmt_row(&q, &row, err);
    if (!st && row)
        st = peri_stmt_dup(&q, 0, ret, err);
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_db_meta_int(
    struct peri_db *db, const char *key, int64_t fallback, int64_t *ret, struct peri_error *err)
{
    char *text = NULL;
    long long v;
    enum peri_status st = peri_db_meta_get(db, key, &text, err);
    if (!st)
        *ret = text && peri_parse_i64(text, &v) ? v : fallback;
    free(text);
    return st;
}

enum peri_status peri_db_meta_set(struct peri_db *db, const char *key, const char *value, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st =
        peri_stmt_open(&q, db, "INSERT INTO meta(k,v) VALUES(?,?) ON CONFLICT(k) DO UPDATE SET v=excluded.v", err);
    if (st)
        return st;
    peri_stmt_text(&q, key);
    peri_stmt_text(&q, value);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_db_meta_set_int(struct peri_db *db, const char *key, int64_t value, struct peri_error *err)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, value);
    return peri_db_meta_set(db, key, text, err);
}

enum peri_status peri_tx_meta_set(struct peri_tx *tx, const char *key, const char *value, struct peri_error *err)
{
    return peri_db_meta_set(tx->db, key, value, err);
}

enum peri_status peri_tx_meta_once(struct peri_tx *tx, const char *key, const char *value, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "INSERT OR IGNORE INTO meta(k,v) VALUES(?,?)", err);
    if (st)
        return st;
    peri_stmt_text(&q, key);
    peri_stmt_text(&q, value);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_reader_meta(struct peri_reader *reader, const char *key, char **ret, struct peri_error *err)
{
    peri_db_limit(&reader->db, PERI_READ_NS);
    char *text = NULL;
    enum peri_status st = peri_db_meta_get(&reader->db, key, &text, err);
    if (st)
        return st;
    if (!text)
        return peri_error_set(err, PERI_ENOTFOUND, NULL, "nothing is kept under \"%s\"", key);
    *ret = text;
    return PERI_OK;
}

enum peri_status peri_tx_audit(struct peri_tx *tx, const char *actor, const char *action, const char *target,
    const struct peri_value *detail, struct peri_error *err)
{
    struct peri_stmt q;
    char *text = detail ? peri_json_text(detail, PERI_JSON_COMPACT) : NULL;
    if (detail && !text)
        return peri_error_nomem(err);
    enum peri_status st =
        peri_stmt_open(&q, tx->db, "INSERT INTO audit(ts,actor,action,target,detail) VALUES(?,?,?,?,?)", err);
    if (!st) {
        peri_stmt_int(&q, tx->now_ms);
        peri_stmt_text(&q, actor);
        peri_stmt_text(&q, action);
        peri_stmt_text(&q, target);
        peri_stmt_text(&q, text);
        st = peri_stmt_exec(&q, err);
    }
    free(text);
    return st;
}

/* ---- stats ---- */

/* Above this many numbers in use, rows are counted by their numbers: counting 5 million takes longer than a read may.
 */
#define EXACT_COUNT_MAX 200000

static const struct {
    const char *key, *sql;
} figures[] = {
    {"page_bytes", "PRAGMA page_size"},
    {"pages", "PRAGMA page_count"},
    {"free_pages", "PRAGMA freelist_count"},
    {"schema", "PRAGMA user_version"},
    {"unmatched", "SELECT count(*) FROM events INDEXED BY events_open WHERE state=0"},
    {"last_event", "SELECT max(seq) FROM events"},
    {"live_runs", "SELECT count(*) FROM runs INDEXED BY runs_live WHERE state<10"},
    {"failed_runs", "SELECT count(*) FROM runs INDEXED BY runs_failed WHERE state=11"},
    {"last_run", "SELECT max(id) FROM runs"},
    {"entities", "SELECT count(*) FROM entities"},
    {"outbox", "SELECT count(*) FROM outbox"},
    {"audit", "SELECT count(*) FROM audit"},
};

static enum peri_status figure(
    struct peri_db *db, struct peri_value *map, const char *key, const char *sql, struct peri_error *err)
{
    int64_t v = 0;
    enum peri_status st;
    peri_db_limit(db, PERI_READ_NS);
    st = peri_db_int(db, sql, 0, &v, err);
    if (st == PERI_ETIMEOUT) /* too many to count now: leave it out */
        return PERI_OK;
    return st ? st : peri_map_put_int(map, key, v) ? peri_error_nomem(err) : PERI_OK;
}

static enum peri_status numbered(struct peri_db *db, struct peri_value *map, const char *key, const char *table,
    const char *id, struct peri_error *err)
{
    char span[96], exact[96];
    int64_t n = 0;
    snprintf(span, sizeof(span), "SELECT max(%s)-(SELECT min(%s) FROM %s)+1 FROM %s", id, id, table, table);
    snprintf(exact, sizeof(exact), "SELECT count(*) FROM %s", table);
    peri_db_limit(db, PERI_READ_NS);
    enum peri_status st = peri_db_int(db, span, 0, &n, err);
    if (st)
        return st;
    return figure(db, map, key, n > EXACT_COUNT_MAX ? span : exact, err);
}

enum peri_status peri_reader_stats(struct peri_reader *reader, struct peri_value **ret, struct peri_error *err)
{
    struct peri_db *db = &reader->db;
    struct peri_value *map = peri_value_map();
    struct stat sb;
    enum peri_status st = map ? PERI_OK : peri_error_nomem(err);
    if (!st && peri_map_put_text(map, "path", db->path))
        st = peri_error_nomem(err);
    for (size_t i = 0; !st && i < sizeof(figures) / sizeof(figures[0]); i++)
        st = figure(db, map, figures[i].key, figures[i].sql, err);
    if (!st)
        st = numbered(db, map, "events", "events", "seq", err);
    if (!st)
        st = numbered(db, map, "runs", "runs", "id", err);
    if (!st && peri_map_put_int(map, "bytes", peri_map_int(map, "pages", 0) * peri_map_int(map, "page_bytes", 0)))
        st = peri_error_nomem(err);
    char *wal = st ? NULL : peri_asprintf("%s-wal", db->path);
    if (!st && peri_map_put_int(map, "wal_bytes", wal && stat(wal, &sb) == 0 ? (int64_t)sb.st_size : 0))
        st = peri_error_nomem(err);
    free(wal);
    if (st)
        peri_value_unref(map);
    else
        *ret = map;
    return st;
}

/* Every table of this schema version, whichever that is: one that is forgotten here would lead from test to test. */
enum peri_status peri_tx_wipe(struct peri_tx *tx, struct peri_error *err)
{
    static const char sql[] =
        "SELECT group_concat('DELETE FROM \"'||name||'\";','') FROM sqlite_master WHERE type='table'"
        " AND name NOT LIKE 'sqlite%' AND name<>'meta'";
    struct peri_stmt q = {0};
    bool row = false;
    char *text = NULL;
    enum peri_status st = peri_stmt_open(&q, tx->db, sql, err);
    if (!st)
        st = peri_stmt_row(&q, &row, err);
    if (!st && row)
        st = peri_stmt_dup(&q, 0, &text, err);
    peri_stmt_close(&q);
    if (tx->flow)
        peri_flow_wipe(tx->flow);
    tx->ruleset[0] = '\0';
    tx->no_waits = false;
    if (!st && text)
        st = peri_db_exec(tx->db, text, err);
    free(text);
    return st;
}
