/* SPDX-License-Identifier: Apache-2.0 */
/* How one thing led to the other: from an event back to the run that emitted it and the event of that, and from a run
 * to what it has emitted and started. */
#include "io/store_trace.h"

#include <inttypes.h>

#include "io/store_db.h"
#include "io/store_events.h"
#include "io/store_runs.h"

#define BACK_MAX 64     /* hops are fewer; replays and retries may add some */
#define EMITTED_MAX 100 /* events of one run, and runs of one event */

/* {event, type, run?, rule?} of one event; *ret_cause: the run that emitted it, 0: none. PERI_ENOTFOUND. */
static enum peri_status origin(
    struct peri_reader *reader, uint64_t seq, struct peri_value **ret, uint64_t *ret_cause, struct peri_error *err)
{
    struct peri_stmt q;
    char id[PERI_ID_TEXT];
    bool row = false;
    struct peri_value *map = NULL;
    enum peri_status st = peri_stmt_open(&q, &reader->db, "SELECT type,cause FROM events WHERE seq=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)seq);
    st = peri_stmt_row(&q, &row, err);
    if (!st && row) {
        const char *cause = peri_stmt_get_text(&q, 1);
        map = peri_value_map();
        *ret_cause = 0;
        if (cause)
            (void)peri_run_id_parse(cause, ret_cause);
        if (!map || peri_map_put_text(map, "event", peri_event_id(seq, id)) ||
            peri_map_put_text(map, "type", peri_stmt_get_text(&q, 0)))
            st = peri_error_nomem(err);
    } else if (!st) {
        st = PERI_ENOTFOUND;
    }
    peri_stmt_close(&q);
    if (st)
        peri_value_unref(map);
    else
        *ret = map;
    return st;
}

/* The rule and the event of a run. */
static enum peri_status run_of(
    struct peri_reader *reader, uint64_t run, struct peri_value *map, uint64_t *ret_event, struct peri_error *err)
{
    struct peri_stmt q;
    char id[PERI_ID_TEXT];
    bool row = false;
    enum peri_status st = peri_stmt_open(&q, &reader->db, "SELECT rule,event FROM runs WHERE id=?", err);
    if (st)
        return st;
    *ret_event = 0;
    peri_stmt_int(&q, (int64_t)run);
    st = peri_stmt_row(&q, &row, err);
    if (!st && peri_map_put_text(map, "run", peri_run_id(run, id)))
        st = peri_error_nomem(err);
    if (!st && row) {
        *ret_event = (uint64_t)peri_stmt_get_int(&q, 1);
        if (peri_map_put_text(map, "rule", peri_stmt_get_text(&q, 0)))
            st = peri_error_nomem(err);
    }
    peri_stmt_close(&q);
    return st;
}

static enum peri_status reversed(struct peri_value *list, struct peri_value **ret, struct peri_error *err)
{
    struct peri_value *out = peri_value_list();
    bool good = out != NULL;
    for (size_t i = peri_value_count(list); good && i > 0; i--)
        good = peri_list_push(out, peri_value_ref(peri_list_at(list, i - 1))) == PERI_OK;
    if (!good) {
        peri_value_unref(out);
        return peri_error_nomem(err);
    }
    *ret = out;
    return PERI_OK;
}

enum peri_status peri_reader_trace(
    struct peri_reader *reader, uint64_t seq, struct peri_value **ret, struct peri_error *err)
{
    struct peri_value *list = peri_value_list();
    enum peri_status st = list ? PERI_OK : peri_error_nomem(err);
    for (int i = 0; st == PERI_OK && seq != 0 && i < BACK_MAX; i++) {
        struct peri_value *map = NULL;
        uint64_t cause = 0, next = 0;
        st = origin(reader, seq, &map, &cause, err);
        if (st == PERI_ENOTFOUND) { /* no longer kept */
            st = PERI_OK;
            break;
        }
        if (st == PERI_OK && cause)
            st = run_of(reader, cause, map, &next, err);
        if (st == PERI_OK && peri_list_push(list, peri_value_ref(map)))
            st = peri_error_nomem(err);
        peri_value_unref(map);
        seq = next;
    }
    if (st == PERI_OK)
        st = reversed(list, ret, err);
    peri_value_unref(list);
    return st;
}

/* [{id, rule, state}] */
static enum peri_status runs_of_event(
    struct peri_reader *reader, uint64_t seq, struct peri_value *list, struct peri_error *err)
{
    struct peri_stmt q;
    char id[PERI_ID_TEXT];
    bool row = true;
    enum peri_status st = peri_stmt_open(
        &q, &reader->db, "SELECT id,rule,state FROM runs INDEXED BY runs_event WHERE event=? ORDER BY id LIMIT ?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)seq);
    peri_stmt_int(&q, EMITTED_MAX);
    while (!(st = peri_stmt_row(&q, &row, err)) && row) {
        struct peri_value *map = peri_value_map();
        bool bad = !map || peri_map_put_text(map, "id", peri_run_id((uint64_t)peri_stmt_get_int(&q, 0), id)) ||
                   peri_map_put_text(map, "rule", peri_stmt_get_text(&q, 1)) ||
                   peri_map_put_text(map, "state", peri_run_state_name((enum peri_run_state)peri_stmt_get_int(&q, 2)));
        if (bad) {
            peri_value_unref(map);
            st = peri_error_nomem(err);
        } else if (peri_list_push(list, map)) {
            st = peri_error_nomem(err);
        }
        if (st)
            break;
    }
    peri_stmt_close(&q);
    return st;
}

static enum peri_status emitted_one(
    struct peri_reader *reader, uint64_t seq, const char *type, struct peri_value *list, struct peri_error *err)
{
    char id[PERI_ID_TEXT];
    struct peri_value *map = peri_value_map(), *runs = peri_value_list();
    enum peri_status st = PERI_OK;
    if (!map || !runs || peri_map_put_text(map, "event", peri_event_id(seq, id)) ||
        peri_map_put_text(map, "type", type) || peri_map_put_ref(map, "runs", runs))
        st = peri_error_nomem(err);
    if (!st)
        st = runs_of_event(reader, seq, runs, err);
    if (!st && peri_list_push(list, peri_value_ref(map)))
        st = peri_error_nomem(err);
    peri_value_unref(runs);
    peri_value_unref(map);
    return st;
}

enum peri_status peri_reader_emitted(
    struct peri_reader *reader, uint64_t run, struct peri_value **ret, struct peri_error *err)
{
    struct peri_stmt q;
    char id[PERI_ID_TEXT];
    bool row = true;
    struct peri_value *list = peri_value_list();
    if (!list)
        return peri_error_nomem(err);
    enum peri_status st = peri_stmt_open(&q, &reader->db,
        "SELECT seq,type FROM events INDEXED BY events_cause WHERE cause=? AND cause IS NOT NULL ORDER BY seq LIMIT ?",
        err);
    if (!st) {
        peri_stmt_text(&q, peri_run_id(run, id));
        peri_stmt_int(&q, EMITTED_MAX);
        while (!(st = peri_stmt_row(&q, &row, err)) && row)
            if ((st = emitted_one(reader, (uint64_t)peri_stmt_get_int(&q, 0), peri_stmt_get_text(&q, 1), list, err)))
                break;
        peri_stmt_close(&q);
    }
    if (st)
        peri_value_unref(list);
    else
        *ret = list;
    return st;
}
