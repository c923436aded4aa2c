/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes: what T2 and T4 ask and change of the runs of one rule and key. The index runs_lane holds only runs that are
 * in a lane and not final, so a lane costs what it holds now, whatever its history. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/str.h"
#include "base/vec.h"
#include "io/store_db.h"
#include "io/store_runs.h"
#include "io/store_waits.h"

#define LANE "FROM runs INDEXED BY runs_lane WHERE rule=? AND ckey=? AND state<10"

enum peri_status peri_tx_lane_facts(
    struct peri_tx *tx, const char *rule, const char *ckey, struct peri_lane_facts *ret, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = peri_stmt_open(&q, tx->db,
        "SELECT count(*) FILTER(WHERE state BETWEEN 1 AND 5),count(*) FILTER(WHERE state=0),"
        "min(id) FILTER(WHERE state BETWEEN 1 AND 5),min(id) FILTER(WHERE state=0) " LANE,
        err);
    if (st)
        return st;
    peri_stmt_text(&q, rule);
    peri_stmt_text(&q, ckey);
    st = peri_stmt_row(&q, &row, err);
    if (!st)
        *ret = (struct peri_lane_facts){.live = peri_stmt_get_int(&q, 0),
            .queued = peri_stmt_get_int(&q, 1),
            .first_live = (uint64_t)peri_stmt_get_int(&q, 2),
            .first_queued = (uint64_t)peri_stmt_get_int(&q, 3)};
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_run_stop(
    struct peri_tx *tx, uint64_t id, enum peri_run_state state, const char *error, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(
        &q, tx->db, "UPDATE runs SET state=?,wake=0,base=0,ended=?,error=? WHERE id=? AND state<10", err);
    if (st)
        return st;
    peri_stmt_int(&q, state);
    peri_stmt_int(&q, tx->now_ms);
    peri_stmt_text(&q, error);
    peri_stmt_int(&q, (int64_t)id);
    st = peri_stmt_exec(&q, err);
    if (!st && peri_db_changes(tx->db) != 1)
        return peri_error_set(err, PERI_ESTATE, "run.ended", "run-%" PRIu64 " has ended", id);
    if (!st)
        st = peri_tx_tracks_drop(tx, id, err);
    if (!st)
        st = peri_tx_waits_drop(tx, id, err);
    if (!st)
        st = peri_stmt_open(&q, tx->db, "UPDATE steps SET state=?,ended=? WHERE run=? AND state=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, PERI_ATTEMPT_CANCELLED);
    peri_stmt_int(&q, tx->now_ms);
    peri_stmt_int(&q, (int64_t)id);
    peri_stmt_int(&q, PERI_ATTEMPT_STARTED);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_run_brief(struct peri_tx *tx, uint64_t id, char **ret_rule, uint64_t *ret_event,
    int64_t *ret_created_ms, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT rule,event,created FROM runs WHERE id=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)id);
    st = peri_stmt_row(&q, &row, err);
    if (!st && !row)
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no run-%" PRIu64, id);
    if (!st) {
        *ret_rule = peri_strdup(peri_stmt_get_text(&q, 0));
        *ret_event = (uint64_t)peri_stmt_get_int(&q, 1);
        *ret_created_ms = peri_stmt_get_int(&q, 2);
        st = *ret_rule ? PERI_OK : peri_error_nomem(err);
    }
    peri_stmt_close(&q);
    return st;
}

static enum peri_status take_ids(struct peri_stmt *q, struct peri_run_ids *ids, struct peri_error *err)
{
    bool row = true;
    enum peri_status st;
    while (!(st = peri_stmt_row(q, &row, err)) && row) {
        if (!peri_vec_grow(&ids->items, &ids->cap, ids->count + 1, sizeof(*ids->items)))
            return peri_error_nomem(err);
        ids->items[ids->count++] = (uint64_t)peri_stmt_get_int(q, 0);
    }
    return st;
}

enum peri_status peri_tx_lane_before(struct peri_tx *tx, const char *rule, const char *ckey, uint64_t seq,
    struct peri_run_ids *ids, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT id " LANE " AND state<>6 AND event<? ORDER BY id", err);
    if (st)
        return st;
    peri_stmt_text(&q, rule);
    peri_stmt_text(&q, ckey);
    peri_stmt_int(&q, (int64_t)seq);
    st = take_ids(&q, ids, err);
    peri_stmt_close(&q);
    return st;
}

/* Of a rule without a key also those that its schedules keep from overlapping. */
enum peri_status peri_tx_times_before(
    struct peri_tx *tx, const char *rule, uint64_t seq, struct peri_run_ids *ids, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db,
        "SELECT id FROM runs INDEXED BY runs_lane WHERE rule=? AND ckey>='$times/' AND ckey<'$times0' AND state<10"
        " AND state<>6 AND event<? ORDER BY id",
        err);
    if (st)
        return st;
    peri_stmt_text(&q, rule);
    peri_stmt_int(&q, (int64_t)seq);
    st = take_ids(&q, ids, err);
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_cancel_mark(
    struct peri_tx *tx, const char *rule, const char *ckey, uint64_t seq, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_db_exec(tx->db,
        "DELETE FROM cancels WHERE seq<(SELECT coalesce(min(seq),9223372036854775807) FROM events WHERE state=0)", err);
    if (!st)
        st = peri_stmt_open(&q, tx->db,
            "INSERT INTO cancels(rule,ckey,seq) SELECT ?1,?2,?3 WHERE EXISTS(SELECT 1 FROM events WHERE state=0 AND "
            "seq<?3)"
            " ON CONFLICT(rule,ckey) DO UPDATE SET seq=max(seq,excluded.seq)",
            err);
    if (st)
        return st;
    peri_stmt_text(&q, rule);
    peri_stmt_text(&q, ckey);
    peri_stmt_int(&q, (int64_t)seq);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_cancel_after(
    struct peri_tx *tx, const char *rule, const char *ckey, uint64_t seq, uint64_t *ret_by, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    *ret_by = 0;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT seq FROM cancels WHERE rule=? AND ckey=? AND seq>?", err);
    if (st)
        return st;
    peri_stmt_text(&q, rule);
    peri_stmt_text(&q, ckey);
    peri_stmt_int(&q, (int64_t)seq);
    st = peri_stmt_row(&q, &row, err);
    if (!st && row)
        *ret_by = (uint64_t)peri_stmt_get_int(&q, 0);
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_run_keyed(struct peri_tx *tx, uint64_t run, const char *ckey, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st =
        peri_stmt_open(&q, tx->db, "UPDATE runs SET ckey=? WHERE id=? AND ckey IS NULL AND state<10", err);
    if (st)
        return st;
    peri_stmt_text(&q, ckey);
    peri_stmt_int(&q, (int64_t)run);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_reader_keyless(struct peri_reader *reader, uint64_t after, size_t limit,
    enum peri_status (*fn)(void *arg, const struct peri_run_row *row), void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    peri_db_limit(&reader->db, 0);
    enum peri_status st = peri_stmt_open(&q, &reader->db,
        "SELECT id,rule,event,trig FROM runs INDEXED BY runs_live WHERE state<10 AND ckey IS NULL AND id>? ORDER BY id"
        " LIMIT ?",
        err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)after);
    peri_stmt_int(&q, (int64_t)limit);
    while (!(st = peri_stmt_row(&q, &row, err)) && row) {
        struct peri_run_row r = {.id = (uint64_t)peri_stmt_get_int(&q, 0),
            .rule = peri_stmt_get_text(&q, 1),
            .event = (uint64_t)peri_stmt_get_int(&q, 2),
            .trigger = peri_stmt_get_text(&q, 3)};
        if ((st = fn(arg, &r)))
            break;
    }
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_runs_changeable(struct peri_tx *tx,
    enum peri_status (*fn)(void *arg, const struct peri_run_row *row), void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    enum peri_status st = peri_stmt_open(&q, tx->db,
        "SELECT id,rule,rhash,event,trig,state,ckey,change FROM runs INDEXED BY runs_change"
        " WHERE change>0 AND state<10 AND state<>6 ORDER BY id",
        err);
    if (st)
        return st;
    while (!(st = peri_stmt_row(&q, &row, err)) && row) {
        struct peri_run_row r = {.id = (uint64_t)peri_stmt_get_int(&q, 0),
            .rule = peri_stmt_get_text(&q, 1),
            .rhash = peri_stmt_get_text(&q, 2),
            .event = (uint64_t)peri_stmt_get_int(&q, 3),
            .trigger = peri_stmt_get_text(&q, 4),
            .state = (enum peri_run_state)peri_stmt_get_int(&q, 5),
            .ckey = peri_stmt_get_text(&q, 6),
            .change = (int)peri_stmt_get_int(&q, 7)};
        if ((st = fn(arg, &r)))
            break;
    }
    peri_stmt_close(&q);
    return st;
}

/* All ids first: the rows are changed afterwards. */
static enum peri_status queued_ids(struct peri_tx *tx, const char *rule, const char *ckey, int64_t limit,
    struct peri_run_ids *ids, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT id " LANE " AND state=0 ORDER BY id LIMIT ?", err);
    if (st)
        return st;
    peri_stmt_text(&q, rule);
    peri_stmt_text(&q, ckey);
    peri_stmt_int(&q, limit);
    st = take_ids(&q, ids, err);
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_lane_promote(struct peri_tx *tx, const char *rule, const char *ckey, int64_t max,
    struct peri_run_ids *ids, struct peri_error *err)
{
    struct peri_lane_facts facts;
    size_t before = ids->count;
    enum peri_status st = peri_tx_lane_facts(tx, rule, ckey, &facts, err);
    if (st || facts.queued == 0 || (max > 0 && facts.live >= max))
        return st;
    st = queued_ids(tx, rule, ckey, max > 0 ? max - facts.live : -1, ids, err);
    for (size_t i = before; !st && i < ids->count; i++) {
        struct peri_stmt q;
        st = peri_stmt_open(&q, tx->db, "UPDATE runs SET state=1 WHERE id=? AND state=0", err);
        if (st)
            break;
        peri_stmt_int(&q, (int64_t)ids->items[i]);
        st = peri_stmt_exec(&q, err);
    }
    return st;
}

enum peri_status peri_reader_lanes_queued(struct peri_reader *reader,
    enum peri_status (*fn)(void *arg, const char *rule, const char *ckey), void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    peri_db_limit(&reader->db, 0);
    enum peri_status st = peri_stmt_open(&q, &reader->db,
        "SELECT DISTINCT rule,ckey FROM runs INDEXED BY runs_lane WHERE state<10 AND state=0 AND ckey IS NOT NULL",
        err);
    if (st)
        return st;
    while (!(st = peri_stmt_row(&q, &row, err)) && row)
        if ((st = fn(arg, peri_stmt_get_text(&q, 0), peri_stmt_get_text(&q, 1))))
            break;
    peri_stmt_close(&q);
    return st;
}
