/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_watch.h"

#include <stdlib.h>
#include <string.h>
#include "base/str.h"
#include "base/vec.h"
#include "io/store_db.h"

/* ---- throttles ---- */

enum peri_status peri_tx_throttle_get(
    struct peri_tx *tx, const char *rule, const char *ckey, int64_t *ret_last, bool *ret_found, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT last FROM throttle WHERE rule=? AND ckey=?", err);
    if (st)
        return st;
    peri_stmt_text(&q, rule);
    peri_stmt_text(&q, ckey);
    st = peri_stmt_row(&q, ret_found, err);
    if (!st && *ret_found)
        *ret_last = peri_stmt_get_int(&q, 0);
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_throttle_put(
    struct peri_tx *tx, const char *rule, const char *ckey, int64_t last, int64_t until, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st =
        peri_stmt_open(&q, tx->db, "INSERT OR REPLACE INTO throttle(rule,ckey,last,until) VALUES(?,?,?,?)", err);
    if (st)
        return st;
    peri_stmt_text(&q, rule);
    peri_stmt_text(&q, ckey);
    peri_stmt_int(&q, last);
    peri_stmt_int(&q, until);
    return peri_stmt_exec(&q, err);
}

/* ---- watches ---- */

static enum peri_status change(struct peri_tx *tx, const char *sql, int64_t wid, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, sql, err);
    if (st)
        return st;
    peri_stmt_int(&q, wid);
    return peri_stmt_exec(&q, err);
}

static enum peri_status find_watch(struct peri_tx *tx, const char *rule, const char *trigger, const char *spec,
    int64_t *ret_wid, bool *ret_same, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT wid,spec=? FROM watches WHERE rule=? AND trig=?", err);
    if (st)
        return st;
    peri_stmt_text(&q, spec);
    peri_stmt_text(&q, rule);
    peri_stmt_text(&q, trigger);
    st = peri_stmt_row(&q, &row, err);
    *ret_wid = row ? peri_stmt_get_int(&q, 0) : 0;
    *ret_same = row && peri_stmt_get_int(&q, 1) != 0;
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_watch_give_up(struct peri_tx *tx, int64_t wid, struct peri_error *err)
{
    return change(tx, "UPDATE watches SET rule='',trig=CAST(wid AS TEXT) WHERE wid=?", wid, err);
}

enum peri_status peri_tx_watch(struct peri_tx *tx, const char *rule, const char *trigger, const char *spec,
    int64_t *ret_wid, struct peri_error *err)
{
    struct peri_stmt q;
    int64_t wid;
    bool same;
    enum peri_status st = find_watch(tx, rule, trigger, spec, &wid, &same, err);
    if (!st && wid && same) {
        *ret_wid = wid;
        return PERI_OK;
    }
    if (!st && wid)
        st = peri_tx_watch_give_up(tx, wid, err);
    if (!st)
        st = peri_stmt_open(
            &q, tx->db, "INSERT INTO watches(rule,trig,spec,keys,evicted) VALUES(?,?,?,0,0) RETURNING wid", err);
    if (st)
        return st;
    bool row = false;
    peri_stmt_text(&q, rule);
    peri_stmt_text(&q, trigger);
    peri_stmt_text(&q, spec);
    st = peri_stmt_row(&q, &row, err);
    if (!st && row)
        *ret_wid = peri_stmt_get_int(&q, 0);
    peri_stmt_close(&q);
    return st;
}

#define KEYED "k.wid,k.ckey,k.newest,k.state,k.due,k.base,k.event,k.n,k.data"

static struct peri_keyed keyed_row(struct peri_stmt *q)
{
    return (struct peri_keyed){.wid = peri_stmt_get_int(q, 0),
        .ckey = peri_stmt_get_text(q, 1),
        .newest = peri_stmt_get_int(q, 2),
        .state = (int)peri_stmt_get_int(q, 3),
        .due = peri_stmt_get_int(q, 4),
        .base = peri_stmt_get_int(q, 5),
        .event = (uint64_t)peri_stmt_get_int(q, 6),
        .n = peri_stmt_get_int(q, 7),
        .data = peri_stmt_get_text(q, 8)};
}

enum peri_status peri_tx_keyed_get(struct peri_tx *tx, int64_t wid, const char *ckey, struct peri_keyed_row *ret,
    bool *ret_found, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT " KEYED " FROM keyed k WHERE wid=? AND ckey=?", err);
    if (st)
        return st;
    memset(ret, 0, sizeof(*ret));
    peri_stmt_int(&q, wid);
    peri_stmt_text(&q, ckey);
    st = peri_stmt_row(&q, ret_found, err);
    if (!st && *ret_found) {
        ret->row = keyed_row(&q);
        st = peri_stmt_dup(&q, 1, &ret->ckey, err);
        if (!st)
            st = peri_stmt_dup(&q, 8, &ret->data, err);
        ret->row.ckey = ret->ckey;
        ret->row.data = ret->data;
    }
    peri_stmt_close(&q);
    return st;
}

void peri_keyed_finish(struct peri_keyed_row *row)
{
    free(row->ckey);
    free(row->data);
    memset(row, 0, sizeof(*row));
}

enum peri_status peri_tx_keyed_drop(struct peri_tx *tx, int64_t wid, const char *ckey, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "DELETE FROM keyed WHERE wid=? AND ckey=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, wid);
    peri_stmt_text(&q, ckey);
    st = peri_stmt_exec(&q, err);
    if (!st && peri_db_changes(tx->db) == 1)
        st = change(tx, "UPDATE watches SET keys=keys-1 WHERE wid=?", wid, err);
    return st;
}

/* The key that was quiet longest goes. */
static enum peri_status evict(struct peri_tx *tx, int64_t wid, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    char *ckey = NULL;
    enum peri_status st = peri_stmt_open(
        &q, tx->db, "SELECT ckey FROM keyed INDEXED BY keyed_newest WHERE wid=? ORDER BY newest LIMIT 1", err);
    if (st)
        return st;
    peri_stmt_int(&q, wid);
    st = peri_stmt_row(&q, &row, err);
    if (!st && row)
        st = peri_stmt_dup(&q, 0, &ckey, err);
    peri_stmt_close(&q);
    if (!st && row)
        st = peri_tx_win_drop(tx, wid, ckey, err);
    if (!st && row)
        st = peri_tx_keyed_drop(tx, wid, ckey, err);
    if (!st && row)
        st = change(tx, "UPDATE watches SET evicted=evicted+1 WHERE wid=?", wid, err);
    free(ckey);
    return st;
}

static enum peri_status room_for_key(
    struct peri_tx *tx, int64_t wid, int64_t max_keys, bool *ret_evicted, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = change(tx, "UPDATE watches SET keys=keys+1 WHERE wid=?", wid, err);
    if (!st)
        st = peri_stmt_open(&q, tx->db, "SELECT keys FROM watches WHERE wid=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, wid);
    st = peri_stmt_row(&q, &row, err);
    *ret_evicted = !st && row && max_keys > 0 && peri_stmt_get_int(&q, 0) > max_keys;
    peri_stmt_close(&q);
    return !st && *ret_evicted ? evict(tx, wid, err) : st;
}

enum peri_status peri_tx_keyed_put(
    struct peri_tx *tx, const struct peri_keyed *row, int64_t max_keys, bool *ret_evicted, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(
        &q, tx->db, "UPDATE keyed SET newest=?,state=?,due=?,base=?,event=?,n=?,data=? WHERE wid=? AND ckey=?", err);
    *ret_evicted = false;
    for (int try = 0; !st && try < 2; try++) {
        peri_stmt_int(&q, row->newest);
        peri_stmt_int(&q, row->state);
        peri_stmt_int(&q, row->due);
        peri_stmt_int(&q, row->base);
        peri_stmt_int(&q, (int64_t)row->event);
        peri_stmt_int(&q, row->n);
        peri_stmt_text(&q, row->data);
        peri_stmt_int(&q, row->wid);
        peri_stmt_text(&q, row->ckey);
        st = peri_stmt_exec(&q, err);
        if (st || try == 1 || peri_db_changes(tx->db) == 1)
            return st;
        st = room_for_key(tx, row->wid, max_keys, ret_evicted, err);
        if (!st)
            st = peri_stmt_open(&q, tx->db,
                "INSERT INTO keyed(newest,state,due,base,event,n,data,wid,ckey) VALUES(?,?,?,?,?,?,?,?,?)", err);
    }
    return st;
}

enum peri_status peri_tx_win_drop(struct peri_tx *tx, int64_t wid, const char *ckey, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "DELETE FROM win WHERE wid=? AND ckey=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, wid);
    peri_stmt_text(&q, ckey);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_win_add(
    struct peri_tx *tx, int64_t wid, const char *ckey, const struct peri_heard *heard, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st =
        peri_stmt_open(&q, tx->db, "INSERT OR REPLACE INTO win(wid,ckey,ts,seq,steps) VALUES(?,?,?,?,?)", err);
    if (st)
        return st;
    peri_stmt_int(&q, wid);
    peri_stmt_text(&q, ckey);
    peri_stmt_int(&q, heard->ts);
    peri_stmt_int(&q, (int64_t)heard->seq);
    peri_stmt_int(&q, heard->steps);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_win_list(struct peri_tx *tx, int64_t wid, const char *ckey, struct peri_heard **ret,
    size_t *ret_count, struct peri_error *err)
{
    struct peri_stmt q;
    size_t cap = 0;
    bool row = true;
    *ret = NULL;
    *ret_count = 0;
    enum peri_status st =
        peri_stmt_open(&q, tx->db, "SELECT ts,seq,steps FROM win WHERE wid=? AND ckey=? ORDER BY ts,seq", err);
    if (st)
        return st;
    peri_stmt_int(&q, wid);
    peri_stmt_text(&q, ckey);
    while (!(st = peri_stmt_row(&q, &row, err)) && row) {
        if (!peri_vec_grow(ret, &cap, *ret_count + 1, sizeof(**ret))) {
            st = peri_error_nomem(err);
            break;
        }
        (*ret)[(*ret_count)++] = (struct peri_heard){
            peri_stmt_get_int(&q, 0), (uint64_t)peri_stmt_get_int(&q, 1), (uint32_t)peri_stmt_get_int(&q, 2)};
    }
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_win_forget(
    struct peri_tx *tx, int64_t wid, const char *ckey, const struct peri_heard *last, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "DELETE FROM win WHERE wid=? AND ckey=? AND (ts,seq)<=(?,?)", err);
    if (st)
        return st;
    peri_stmt_int(&q, wid);
    peri_stmt_text(&q, ckey);
    peri_stmt_int(&q, last->ts);
    peri_stmt_int(&q, (int64_t)last->seq);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_watch_evicted(struct peri_tx *tx, int64_t wid, int64_t count, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "UPDATE watches SET evicted=evicted+? WHERE wid=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, count);
    peri_stmt_int(&q, wid);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_keyed_shift(
    struct peri_tx *tx, const char *spec_prefix, int64_t from, int64_t by, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db,
        "UPDATE keyed SET due=due+?1,n=n+?1 WHERE due>?2 AND wid IN (SELECT wid FROM watches WHERE"
        " substr(spec,1,length(?3))=?3)",
        err);
    if (st)
        return st;
    peri_stmt_int(&q, by);
    peri_stmt_int(&q, from);
    peri_stmt_text(&q, spec_prefix);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_keyed_clamp(struct peri_tx *tx, int64_t now, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "UPDATE keyed SET due=base+?1 WHERE due>0 AND due>base+?1", err);
    if (st)
        return st;
    peri_stmt_int(&q, now);
    return peri_stmt_exec(&q, err);
}

/* ---- what is due ---- */

enum peri_status peri_reader_keyed_due(struct peri_reader *reader, int64_t until, size_t limit,
    enum peri_status (*fn)(
        void *arg, const char *rule, const char *trigger, const char *spec, const struct peri_keyed *row),
    void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db,
        "SELECT " KEYED ",w.rule,w.trig,w.spec FROM keyed k INDEXED BY keyed_due CROSS JOIN watches w ON w.wid=k.wid"
        " WHERE k.due>0 AND k.due<=? ORDER BY k.due LIMIT ?",
        err);
    if (st)
        return st;
    peri_stmt_int(&q, until);
    peri_stmt_int(&q, (int64_t)limit);
    while (!(st = peri_stmt_row(&q, &row, err)) && row) {
        struct peri_keyed keyed = keyed_row(&q);
        st = fn(arg, peri_stmt_get_text(&q, 9), peri_stmt_get_text(&q, 10), peri_stmt_get_text(&q, 11), &keyed);
        if (st)
            break;
    }
    peri_stmt_close(&q);
    return st;
}

static struct peri_value *watch_value(struct peri_stmt *q)
{
    struct peri_value *map = peri_value_map();
    const char *spec = peri_stmt_get_text(q, 2), *trigger = peri_stmt_get_text(q, 1);
    char kind[24] = "once_after";
    size_t len = strcspn(spec, " ");
    if (spec[0] != '$' && len < sizeof(kind)) {
        memcpy(kind, spec, len);
        kind[len] = '\0';
    }
    bool bad = !map || peri_map_put_text(map, "rule", peri_stmt_get_text(q, 0)) != PERI_OK;
    if (!bad && trigger[0] != '$')
        bad = peri_map_put_text(map, "trigger", trigger) != PERI_OK;
    bad = bad || peri_map_put_text(map, "kind", kind) != PERI_OK;
    bad = bad || peri_map_put_int(map, "keys", peri_stmt_get_int(q, 3)) != PERI_OK;
    bad = bad || peri_map_put_int(map, "evicted", peri_stmt_get_int(q, 4)) != PERI_OK;
    if (!bad)
        return map;
    peri_value_unref(map);
    return NULL;
}

enum peri_status peri_reader_watches(struct peri_reader *reader, struct peri_value **ret, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    struct peri_value *list = peri_value_list();
    if (!list)
        return peri_error_nomem(err);
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db,
        "SELECT rule,trig,spec,keys,evicted FROM watches WHERE rule<>'' ORDER BY rule,trig LIMIT 10000", err);
    if (st) {
        peri_value_unref(list);
        return st;
    }
    while (!(st = peri_stmt_row(&q, &row, err)) && row)
        if ((st = peri_list_push(list, watch_value(&q))) != PERI_OK) {
            (void)peri_error_nomem(err);
            break;
        }
    peri_stmt_close(&q);
    if (st)
        peri_value_unref(list);
    else
        *ret = list;
    return st;
}

enum peri_status peri_reader_keyed_next(struct peri_reader *reader, int64_t *ret_due, struct peri_error *err)
{
    peri_db_limit(&reader->db, PERI_READ_NS);
    int64_t due = 0;
    enum peri_status st = peri_db_int(&reader->db,
        "SELECT due FROM keyed INDEXED BY keyed_due WHERE due>0 ORDER BY due LIMIT 1", INT64_MAX, &due, err);
    if (!st)
        *ret_due = due;
    return st;
}
