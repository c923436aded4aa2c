/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include "base/vec.h"
#include "io/store_db.h"
#include "io/store_ledger.h"

/* Retention in small pages: 50,000 rows at once would hold up the writers for 150 ms, 1,000 take 4.5 ms. Events that
 * wait to be matched and those of live runs stay whatever their age. The newest number ever given is kept in meta, so
 * that none is used twice when the newest rows go. */

#define PAGE_ROWS 1000
#define SCAN_ROWS 2000 /* looked at for a page, when most of them have to stay */
#define DEDUPE_MS (INT64_C(7) * 86400000)
#define AUDIT_MS (INT64_C(365) * 86400000)
#define AUDIT_MAX 1000000
#define OUTBOX_MAX 1000000

/* Rows that have to stay (a million runs may wait) must not hide those behind them: a walk goes on where the page
 * before has ended, and begins anew at its end. */
#define EVENT_MARK "prune_event"
#define RUN_MARK "prune_run"

struct victim {
    int64_t seq;
    char *source, *external_id; /* NULL: no duplicates row */
};

struct victims {
    struct victim *items;
    size_t count, cap;
};

static void victims_finish(struct victims *v)
{
    for (size_t i = 0; i < v->count; i++) {
        free(v->items[i].source);
        free(v->items[i].external_id);
    }
    free(v->items);
}

static enum peri_status victim_add(struct victims *v, struct peri_stmt *q, struct peri_error *err)
{
    if (!peri_vec_grow(&v->items, &v->cap, v->count + 1, sizeof(*v->items)))
        return peri_error_nomem(err);
    struct victim *it = &v->items[v->count];
    it->seq = peri_stmt_get_int(q, 0);
    enum peri_status st = peri_stmt_dup(q, 1, &it->source, err);
    if (!st)
        st = peri_stmt_dup(q, 2, &it->external_id, err);
    v->count++;
    return st;
}

static enum peri_status one(struct peri_tx *tx, const char *sql, int64_t number, int64_t *rows, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, sql, err);
    if (st)
        return st;
    peri_stmt_int(&q, number);
    st = peri_stmt_exec(&q, err);
    if (!st)
        *rows -= peri_db_changes(tx->db);
    return st;
}

static enum peri_status forget_duplicate(
    struct peri_tx *tx, const struct victim *v, int64_t forgotten_to, int64_t *rows, struct peri_error *err)
{
    bool gone = false;
    enum peri_status st = PERI_OK;
    if (v->external_id)
        st = peri_dedupe_forget(tx, v->source, v->external_id, v->seq, forgotten_to, &gone, err);
    *rows -= gone;
    return st;
}

/* Used pages, without those that pruning has emptied already. */
static enum peri_status is_over(
    struct peri_tx *tx, const struct peri_retention *r, bool *ret_over, struct peri_error *err)
{
    int64_t pages = 0, unused = 0, size = 0;
    *ret_over = false;
    if (r->max_bytes <= 0)
        return PERI_OK;
    enum peri_status st = peri_db_int(tx->db, "PRAGMA page_count", 0, &pages, err);
    if (!st)
        st = peri_db_int(tx->db, "PRAGMA freelist_count", 0, &unused, err);
    if (!st)
        st = peri_db_int(tx->db, "PRAGMA page_size", 4096, &size, err);
    *ret_over = !st && (pages - unused) * size > r->max_bytes;
    return st;
}

/* Where the walk goes on. */
static enum peri_status move_mark(
    struct peri_tx *tx, const char *mark, int64_t before, int64_t now, struct peri_error *err)
{
    return now == before ? PERI_OK : peri_db_meta_set_int(tx->db, mark, now, err);
}

/* Oldest first; stops at the first that is to stay because of its age and number. *ret_end: nothing more is to be
 * found. */
static enum peri_status old_events(struct peri_tx *tx, const struct peri_retention *r, int64_t max, struct victims *v,
    bool *ret_end, struct peri_error *err)
{
    struct peri_stmt q;
    int64_t newest = 0, mark = 0, before, scanned = 0,
            cutoff = r->events_ms > 0   ? tx->now_ms - r->events_ms
                     : r->events_ms < 0 ? INT64_MAX
                                        : INT64_MIN;
    enum peri_status st = peri_db_int(tx->db, "SELECT max(seq) FROM events", 0, &newest, err);
    if (!st)
        st = peri_db_meta_int(tx->db, EVENT_MARK, 0, &mark, err);
    before = mark;
    if (!st)
        st = peri_stmt_open(&q, tx->db,
            "SELECT seq,src,xid,received,state,EXISTS(SELECT 1 FROM runs WHERE event=events.seq AND"
            " state<10) OR EXISTS(SELECT 1 FROM dead WHERE event=events.seq AND event>0 AND resolved=0) FROM events "
            "WHERE seq>? ORDER BY seq LIMIT ?",
            err);
    if (st)
        return st;
    peri_stmt_int(&q, mark);
    peri_stmt_int(&q, SCAN_ROWS);
    *ret_end = false;
    while (!st && (int64_t)v->count < max) {
        bool row = false;
        st = peri_stmt_row(&q, &row, err);
        if (st)
            break;
        bool old = row && (peri_stmt_get_int(&q, 3) < cutoff ||
                              (r->max_events > 0 && peri_stmt_get_int(&q, 0) <= newest - r->max_events));
        if (!old) {
            *ret_end = row || scanned < SCAN_ROWS;
            mark = *ret_end ? 0 : mark;
            break;
        }
        mark = peri_stmt_get_int(&q, 0);
        scanned++;
        if (peri_stmt_get_int(&q, 4) != 0 && peri_stmt_get_int(&q, 5) == 0)
            st = victim_add(v, &q, err);
    }
    peri_stmt_close(&q);
    return st ? st : move_mark(tx, EVENT_MARK, before, mark, err);
}

static enum peri_status prune_events(
    struct peri_tx *tx, const struct peri_retention *r, int64_t *rows, bool *more, struct peri_error *err)
{
    struct victims v = {0};
    bool end = true;
    enum peri_status st = old_events(tx, r, *rows / 3, &v, &end, err);
    if (!st && v.count)
        st = peri_db_meta_set_int(tx->db, "seq_floor", (int64_t)tx->next_seq - 1, err);
    for (size_t i = 0; !st && i < v.count; i++) {
        st = forget_duplicate(tx, &v.items[i], 0, rows, err);
        if (!st)
            st = one(tx, "DELETE FROM verdicts WHERE seq=?", v.items[i].seq, rows, err);
        if (!st)
            st = one(tx, "DELETE FROM events WHERE seq=?", v.items[i].seq, rows, err);
    }
    *more = *more || !end;
    victims_finish(&v);
    return st;
}

/* Duplicates are recognised for seven days: walks the journal behind a mark. */
static enum peri_status prune_duplicates(struct peri_tx *tx, int64_t *rows, bool *more, struct peri_error *err)
{
    struct victims v = {0};
    struct peri_stmt q;
    int64_t mark = 0, before, max = *rows > 0 ? *rows : 0;
    enum peri_status st = peri_db_meta_int(tx->db, "dedupe_mark", 0, &mark, err);
    if (!st)
        st =
            peri_stmt_open(&q, tx->db, "SELECT seq,src,xid,received FROM events WHERE seq>? ORDER BY seq LIMIT ?", err);
    if (st)
        return st;
    before = mark;
    peri_stmt_int(&q, mark);
    peri_stmt_int(&q, max);
    bool row = true;
    while (!(st = peri_stmt_row(&q, &row, err)) && row) {
        if (peri_stmt_get_int(&q, 3) >= tx->now_ms - DEDUPE_MS)
            break;
        mark = peri_stmt_get_int(&q, 0);
        st = victim_add(&v, &q, err);
        if (st)
            break;
    }
    peri_stmt_close(&q);
    *more = *more || (int64_t)v.count >= max;
    for (size_t i = 0; !st && i < v.count; i++)
        st = forget_duplicate(tx, &v.items[i], v.items[i].seq, rows, err);
    if (!st && mark != before)
        st = peri_db_meta_set_int(tx->db, "dedupe_mark", mark, err);
    victims_finish(&v);
    return st;
}

/* Does a run go because of its number (those below `last` do) or its end, and is the walk at its end with it? A time of
 * creation that is still to come says nothing: the clock was set. */
struct run_limits {
    int64_t last, cutoff, now;
};

static bool is_young(const struct run_limits *l, int64_t id, int64_t created)
{
    return id >= l->last && created >= l->cutoff && created <= l->now;
}

/* Ended runs that are older, or more, than what is kept, in order of their numbers. Live ones among them stay, and
 * those of open letters. */
static enum peri_status old_runs(struct peri_tx *tx, const struct peri_retention *r, int64_t max, struct victims *v,
    bool *more, struct peri_error *err)
{
    struct peri_stmt q;
    struct run_limits l = {.now = tx->now_ms,
        .last = r->max_runs > 0 ? (int64_t)tx->next_run - r->max_runs : 0,
        .cutoff = r->runs_ms > 0   ? tx->now_ms - r->runs_ms
                  : r->runs_ms < 0 ? INT64_MAX
                                   : INT64_MIN};
    int64_t mark = 0, before, scanned = 0;
    bool row = true, young = false;
    enum peri_status st = peri_db_meta_int(tx->db, RUN_MARK, 0, &mark, err);
    before = mark;
    if (!st)
        st = peri_stmt_open(&q, tx->db,
            "SELECT id,NULL,NULL,created,ended,state>=10 AND NOT EXISTS(SELECT 1 FROM dead WHERE run=runs.id AND run>0"
            " AND resolved=0) FROM runs WHERE id>? ORDER BY id LIMIT ?",
            err);
    if (st)
        return st;
    peri_stmt_int(&q, mark);
    peri_stmt_int(&q, SCAN_ROWS);
    while ((int64_t)v->count < max && !(st = peri_stmt_row(&q, &row, err)) && row) {
        int64_t id = peri_stmt_get_int(&q, 0);
        young = is_young(&l, id, peri_stmt_get_int(&q, 3));
        if (young)
            break;
        mark = id;
        scanned++;
        if (peri_stmt_get_int(&q, 5) && (id < l.last || peri_stmt_get_int(&q, 4) < l.cutoff) &&
            (st = victim_add(v, &q, err)))
            break;
    }
    peri_stmt_close(&q);
    bool end = young || (!row && scanned < SCAN_ROWS);
    *more = *more || !end;
    return st ? st : move_mark(tx, RUN_MARK, before, end ? 0 : mark, err);
}

/* Its steps go first, as many as the page has room for; the run when none is left. */
static enum peri_status drop_run(struct peri_tx *tx, int64_t id, int64_t *rows, bool *ret_whole, struct peri_error *err)
{
    struct peri_stmt q;
    int64_t room = *rows - 1;
    enum peri_status st = peri_stmt_open(&q, tx->db,
        "DELETE FROM steps WHERE (run,n,attempt) IN (SELECT run,n,attempt FROM steps WHERE run=? LIMIT ?)", err);
    if (st)
        return st;
    peri_stmt_int(&q, id);
    peri_stmt_int(&q, room);
    st = peri_stmt_exec(&q, err);
    if (st)
        return st;
    int64_t gone = peri_db_changes(tx->db);
    *rows -= gone;
    *ret_whole = gone < room;
    return *ret_whole ? one(tx, "DELETE FROM runs WHERE id=?", id, rows, err) : PERI_OK;
}

static enum peri_status prune_runs(
    struct peri_tx *tx, const struct peri_retention *r, int64_t *rows, bool *more, struct peri_error *err)
{
    struct victims v = {0};
    if ((r->runs_ms == 0 && r->max_runs == 0) || *rows <= 0)
        return PERI_OK;
    enum peri_status st = old_runs(tx, r, *rows / 2 + 1, &v, more, err);
    if (!st && v.count)
        st = peri_db_meta_set_int(tx->db, "run_floor", (int64_t)tx->next_run - 1, err);
    size_t gone = 0;
    while (!st && gone<v.count && * rows> 1) {
        bool whole = false;
        st = drop_run(tx, v.items[gone].seq, rows, &whole, err);
        if (!whole)
            break;
        gone++;
    }
    if (!st && gone < v.count) { /* the next page goes on with it */
        *more = true;
        st = peri_db_meta_set_int(tx->db, RUN_MARK, v.items[gone].seq - 1, err);
    }
    victims_finish(&v);
    return st;
}

enum peri_status peri_tx_prune_page(
    struct peri_tx *tx, const char *sql, int64_t before, int64_t *rows, bool *more, struct peri_error *err)
{
    struct peri_stmt q;
    if (*rows <= 0)
        return PERI_OK;
    enum peri_status st = peri_stmt_open(&q, tx->db, sql, err);
    if (st)
        return st;
    peri_stmt_int(&q, before);
    peri_stmt_int(&q, *rows);
    st = peri_stmt_exec(&q, err);
    if (st)
        return st;
    int64_t gone = peri_db_changes(tx->db);
    *more = *more || gone >= *rows;
    *rows -= gone;
    return PERI_OK;
}

/* Throttles that say nothing any more (with a week's grace, because their time is not quite the wall clock's), and what
 * watches remembered that have been given up. */
static enum peri_status prune_watches(struct peri_tx *tx, int64_t *rows, bool *more, struct peri_error *err)
{
    enum peri_status st = peri_tx_prune_page(tx,
        "DELETE FROM throttle WHERE (rule,ckey) IN (SELECT rule,ckey FROM throttle INDEXED BY throttle_until"
        " WHERE until<? LIMIT ?)",
        tx->now_ms - DEDUPE_MS, rows, more, err);
    if (!st)
        st = peri_tx_prune_page(tx,
            "DELETE FROM keyed WHERE (wid,ckey) IN (SELECT wid,ckey FROM keyed WHERE wid IN (SELECT wid FROM watches"
            " WHERE rule='' AND wid<=?) LIMIT ?)",
            INT64_MAX, rows, more, err);
    if (!st)
        st = peri_tx_prune_page(tx,
            "DELETE FROM win WHERE (wid,ckey,ts,seq) IN (SELECT wid,ckey,ts,seq FROM win WHERE wid IN (SELECT wid FROM"
            " watches WHERE rule='' AND wid<=?) LIMIT ?)",
            INT64_MAX, rows, more, err);
    if (!st)
        st = peri_tx_prune_page(tx,
            "DELETE FROM watches WHERE wid IN (SELECT wid FROM watches w WHERE rule='' AND wid<=? AND NOT EXISTS(SELECT"
            " 1 FROM keyed k WHERE k.wid=w.wid) AND NOT EXISTS(SELECT 1 FROM win x WHERE x.wid=w.wid) LIMIT ?)",
            INT64_MAX, rows, more, err);
    return st;
}

/* Gives pages back to the disk when more than a fifth of the file is unused. */
static enum peri_status shrink(struct peri_tx *tx, struct peri_error *err)
{
    int64_t pages = 0, unused = 0;
    enum peri_status st = peri_db_int(tx->db, "PRAGMA page_count", 0, &pages, err);
    if (!st)
        st = peri_db_int(tx->db, "PRAGMA freelist_count", 0, &unused, err);
    if (st || unused * 5 <= pages)
        return st;
    return peri_db_exec(tx->db, "PRAGMA incremental_vacuum(256)", err);
}

static enum peri_status prune_audit(
    struct peri_tx *tx, const struct peri_retention *r, int64_t *rows, bool *more, struct peri_error *err)
{
    enum peri_status st =
        peri_tx_prune_page(tx, "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE ts<? ORDER BY seq LIMIT ?)",
            tx->now_ms - (r->audit_ms > 0 ? r->audit_ms : AUDIT_MS), rows, more, err);
    return st ? st
              : peri_tx_prune_page(tx,
                    "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE seq<=(SELECT max(seq) FROM audit)-?"
                    " ORDER BY seq LIMIT ?)",
                    r->max_audit > 0 ? r->max_audit : AUDIT_MAX, rows, more, err);
}

static enum peri_status prune_outbox(
    struct peri_tx *tx, const struct peri_retention *r, int64_t *rows, bool *more, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    if (r->runs_ms > 0)
        st = peri_tx_prune_page(tx,
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE created<? ORDER BY id LIMIT ?)",
            tx->now_ms - r->runs_ms, rows, more, err);
    return st ? st
              : peri_tx_prune_page(tx,
                    "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE id<=(SELECT max(id) FROM outbox)-?"
                    " ORDER BY id LIMIT ?)",
                    r->max_outbox > 0 ? r->max_outbox : OUTBOX_MAX, rows, more, err);
}

enum peri_status peri_tx_prune(struct peri_tx *tx, const struct peri_retention *retention, bool *ret_more,
    int64_t *ret_rows, struct peri_error *err)
{
    int64_t rows = PAGE_ROWS;
    bool more = false, over = false;
    struct peri_retention now = *retention;
    enum peri_status st = is_over(tx, retention, &over, err);
    if (over) { /* a page of the oldest at a time, until it fits */
        now.max_events = 0;
        now.events_ms = now.runs_ms = -1;
    }
    if (!st)
        st = prune_events(tx, &now, &rows, &more, err);
    if (!st)
        st = prune_runs(tx, &now, &rows, &more, err);
    if (!st)
        st = prune_duplicates(tx, &rows, &more, err);
    if (!st)
        st = peri_tx_prune_page(tx,
            "DELETE FROM kv WHERE (plugin,key) IN (SELECT plugin,key FROM kv INDEXED BY kv_expires WHERE expires>0 AND"
            " expires<=? LIMIT ?)",
            tx->now_ms, &rows, &more, err);
    if (!st)
        st = prune_audit(tx, retention, &rows, &more, err);
    if (!st)
        st = prune_outbox(tx, retention, &rows, &more, err);
    if (!st)
        st = prune_watches(tx, &rows, &more, err);
    if (!st)
        st = peri_tx_ledger_prune(tx, &rows, &more, err);
    if (!st && !more)
        st = shrink(tx, err);
    if (st)
        return st;
    *ret_more = more;
    if (ret_rows)
        *ret_rows = PAGE_ROWS - rows;
    return PERI_OK;
}
