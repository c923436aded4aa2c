/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_waits.h"

#include <inttypes.h>
#include <string.h>

#include "io/store_db.h"

/* The kind 0 is a person's answer. */
static enum peri_status kind_of(
    struct peri_tx *tx, const char *type, const char *path, int64_t *ret, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT id FROM wait_kinds WHERE type=? AND path=?", err);
    if (st)
        return st;
    peri_stmt_text(&q, type);
    peri_stmt_text(&q, path);
    st = peri_stmt_row(&q, &row, err);
    *ret = row ? peri_stmt_get_int(&q, 0) : 0;
    peri_stmt_close(&q);
    if (st || row)
        return st;
    tx->no_waits = false;
    st = peri_stmt_open(&q, tx->db, "INSERT INTO wait_kinds(type,path) VALUES(?,?) RETURNING id", err);
    if (st)
        return st;
    peri_stmt_text(&q, type);
    peri_stmt_text(&q, path);
    st = peri_stmt_row(&q, &row, err);
    *ret = row ? peri_stmt_get_int(&q, 0) : 0;
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_wait_put(struct peri_tx *tx, const struct peri_wait_row *row, struct peri_error *err)
{
    struct peri_stmt q;
    int64_t kind = 0;
    enum peri_status st = row->type ? kind_of(tx, row->type, row->path ? row->path : "", &kind, err) : PERI_OK;
    if (!st)
        st = peri_stmt_open(
            &q, tx->db, "INSERT OR REPLACE INTO waits(run,n,kind,ckey,since,hit,match) VALUES(?,?,?,?,?,0,?)", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)row->run);
    peri_stmt_int(&q, row->n);
    peri_stmt_int(&q, kind);
    peri_stmt_int(&q, row->key);
    peri_stmt_int(&q, (int64_t)row->since);
    peri_stmt_text(&q, row->match);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_wait_drop(struct peri_tx *tx, uint64_t run, int n, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "DELETE FROM waits WHERE run=? AND n=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)run);
    peri_stmt_int(&q, n);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_waits_drop(struct peri_tx *tx, uint64_t run, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "DELETE FROM waits WHERE run=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)run);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_wait_kinds(struct peri_tx *tx,
    enum peri_status (*fn)(void *arg, int64_t kind, const char *type, const char *path), void *arg,
    struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true, none = true;
    if (tx->no_waits)
        return PERI_OK;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT id,type,path FROM wait_kinds", err);
    if (st)
        return st;
    while (!(st = peri_stmt_row(&q, &row, err)) && row) {
        none = false;
        if ((st = fn(arg, peri_stmt_get_int(&q, 0), peri_stmt_get_text(&q, 1), peri_stmt_get_text(&q, 2))))
            break;
    }
    peri_stmt_close(&q);
    tx->no_waits = !st && none;
    return st;
}

enum peri_status peri_tx_wait_kinds_tidy(struct peri_tx *tx, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db,
        "DELETE FROM wait_kinds WHERE NOT EXISTS(SELECT 1 FROM waits WHERE hit=0 AND kind=wait_kinds.id)", err);
    return st ? st : peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_waits_at(struct peri_tx *tx, int64_t kind, int64_t key,
    enum peri_status (*fn)(void *arg, uint64_t run, int n, const char *match), void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    enum peri_status st = peri_stmt_open(&q, tx->db,
        key == PERI_WAIT_ANY_KEY
            ? "SELECT run,n,match FROM waits INDEXED BY waits_open WHERE hit=0 AND kind=?"
            : "SELECT run,n,match FROM waits INDEXED BY waits_open WHERE hit=0 AND kind=? AND ckey=?",
        err);
    if (st)
        return st;
    peri_stmt_int(&q, kind);
    if (key != PERI_WAIT_ANY_KEY)
        peri_stmt_int(&q, key);
    while (!(st = peri_stmt_row(&q, &row, err)) && row)
        if ((st = fn(
                 arg, (uint64_t)peri_stmt_get_int(&q, 0), (int)peri_stmt_get_int(&q, 1), peri_stmt_get_text(&q, 2))))
            break;
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_wait_hit(
    struct peri_tx *tx, uint64_t run, int n, uint64_t seq, bool *ret_first, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "UPDATE waits SET hit=? WHERE run=? AND n=? AND hit=0", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)seq);
    peri_stmt_int(&q, (int64_t)run);
    peri_stmt_int(&q, n);
    st = peri_stmt_exec(&q, err);
    *ret_first = !st && peri_db_changes(tx->db) == 1;
    return st;
}

enum peri_status peri_tx_events_since(struct peri_tx *tx, uint64_t since, int64_t most,
    enum peri_status (*fn)(void *arg, const struct peri_event *event), void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    int64_t newest = (int64_t)tx->next_seq - 1;
    int64_t from = newest - (int64_t)since > most ? newest - most : (int64_t)since;
    if (from >= newest)
        return PERI_OK;
    enum peri_status st = peri_stmt_open(&q, tx->db,
        "SELECT seq,src,type,cause,replay_of,body,target_trigger FROM events WHERE seq>? AND state<>2 ORDER BY seq",
        err);
    if (st)
        return st;
    peri_stmt_int(&q, from);
    while (!(st = peri_stmt_row(&q, &row, err)) && row) {
        /* Borrowed texts: not a counted event. */
        struct peri_event event = {.seq = (uint64_t)peri_stmt_get_int(&q, 0),
            .source = (char *)(uintptr_t)peri_stmt_get_text(&q, 1),
            .type = (char *)(uintptr_t)peri_stmt_get_text(&q, 2),
            .cause = (char *)(uintptr_t)peri_stmt_get_text(&q, 3),
            .replay_of = (uint64_t)peri_stmt_get_int(&q, 4),
            .data = (char *)(uintptr_t)peri_stmt_get_text(&q, 5),
            .target_trigger = (char *)(uintptr_t)peri_stmt_get_text(&q, 6)};
        event.data_len = event.data ? strlen(event.data) : 0;
        if ((st = fn(arg, &event)))
            break;
    }
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_reader_waits_hit(struct peri_reader *reader, uint64_t run,
    enum peri_status (*fn)(void *arg, uint64_t run, int n, uint64_t seq), void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    peri_db_limit(&reader->db, run ? PERI_READ_NS : 0);
    enum peri_status st = peri_stmt_open(&q, &reader->db,
        run ? "SELECT run,n,hit FROM waits WHERE run=? AND hit>0"
            : "SELECT run,n,hit FROM waits INDEXED BY waits_hit WHERE hit>0 AND ?=0",
        err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)run);
    while (!(st = peri_stmt_row(&q, &row, err)) && row)
        if ((st = fn(arg, (uint64_t)peri_stmt_get_int(&q, 0), (int)peri_stmt_get_int(&q, 1),
                 (uint64_t)peri_stmt_get_int(&q, 2))))
            break;
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_reader_newest_event(struct peri_reader *reader, uint64_t *ret_seq, struct peri_error *err)
{
    int64_t seq = 0;
    enum peri_status st = peri_db_int(&reader->db, "SELECT coalesce(max(seq),0) FROM events", 0, &seq, err);
    if (!st)
        *ret_seq = (uint64_t)seq;
    return st;
}

/* ---- what waits for a person ---- */

#define APPROVALS                                                                                                      \
    "SELECT w.run,r.rule,s.n,s.step_id,s.path,s.started,s.req FROM waits w INDEXED BY waits_open"                      \
    " JOIN runs r ON r.id=w.run JOIN steps s ON s.run=w.run AND s.n=w.n AND s.attempt=1"                               \
    " WHERE w.hit=0 AND w.kind=0 AND w.ckey=0 AND r.state<10"

static enum peri_status approval_value(struct peri_stmt *q, struct peri_value **ret, struct peri_error *err)
{
    char id[PERI_ID_TEXT];
    struct peri_value *map = NULL;
    enum peri_status st = peri_stmt_json(q, 6, &map, err); /* prompt, schema, until */
    if (!st && !peri_value_is(map, PERI_MAP)) {
        peri_value_unref(map);
        map = peri_value_map();
    }
    if (st)
        return st;
    bool bad = !map || peri_map_put_text(map, "id", peri_run_id((uint64_t)peri_stmt_get_int(q, 0), id)) ||
               peri_map_put_text(map, "rule", peri_stmt_get_text(q, 1)) ||
               peri_map_put_int(map, "n", peri_stmt_get_int(q, 2)) ||
               peri_map_put_text(map, "step", peri_stmt_get_text(q, 3)) ||
               peri_map_put_text(map, "path", peri_stmt_get_text(q, 4)) ||
               peri_map_put_time(map, "since", peri_stmt_get_int(q, 5));
    if (bad) {
        peri_value_unref(map);
        return peri_error_nomem(err);
    }
    *ret = map;
    return PERI_OK;
}

enum peri_status peri_reader_approvals(
    struct peri_reader *reader, uint64_t after, size_t limit, struct peri_value **ret_list, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    struct peri_value *list = peri_value_list();
    if (!list)
        return peri_error_nomem(err);
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db, APPROVALS " AND w.run>? ORDER BY w.run,w.n LIMIT ?", err);
    if (!st) {
        peri_stmt_int(&q, (int64_t)after);
        peri_stmt_int(&q, (int64_t)limit);
        while (!(st = peri_stmt_row(&q, &row, err)) && row) {
            struct peri_value *item = NULL;
            st = approval_value(&q, &item, err);
            if (!st && peri_list_push(list, item))
                st = peri_error_nomem(err);
            if (st)
                break;
        }
        peri_stmt_close(&q);
    }
    if (st)
        peri_value_unref(list);
    else
        *ret_list = list;
    return st;
}

enum peri_status peri_reader_approval(
    struct peri_reader *reader, uint64_t run, const char *step, struct peri_value **ret, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db,
        APPROVALS " AND w.run=?1 AND (?2 IS NULL OR s.step_id=?2 OR s.n=CAST(?2 AS INTEGER))"
                  " ORDER BY s.n LIMIT 1",
        err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)run);
    peri_stmt_text(&q, step);
    st = peri_stmt_row(&q, &row, err);
    if (!st && !row)
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "run-%" PRIu64 " does not wait for that answer", run);
    if (!st)
        st = approval_value(&q, ret, err);
    peri_stmt_close(&q);
    return st;
}
