/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_flow.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "io/store_internal.h"

/* Totals live in memory and in the table `flow`. What operations of a group count goes into a log whose length is part
 * of the transaction's value, so that the rollback of one operation takes its entries back; before the COMMIT the sums
 * are written, one row a source, and after it they are added in memory.
 *
 * A source that has a place never loses it, and places are given until there is none left: an event is ended in the
 * row in which it was received, also after a restart. For that a place is written even when nothing was counted in it.
 */

enum { RECEIVED, MATCHED, UNMATCHED, DUPLICATE, REJECTED, SHED, DEAD, COUNTS };

struct place {
    char *source;
    int64_t n[COUNTS], added[COUNTS]; /* added: by the group under way */
    bool dirty, touched;              /* memory is ahead of the table; the group has something for it */
};

struct entry {
    struct place *place;
    int count, n;
};

struct peri_flow {
    pthread_mutex_t mutex; /* guards places and their n; the rest is for the store's thread */
    struct place **places;
    size_t count, cap;
    struct peri_map *by_source;
    struct place *last; /* that was asked for */
    struct entry *log;
    size_t log_cap;
    bool dirty;
};

bool peri_flow_balanced(const struct peri_flow_row *r)
{
    return r->received == r->matched + r->unmatched + r->duplicate + r->rejected + r->shed + r->dead;
}

static const char *fold(const char *source)
{
    if (peri_str_starts(source, "perigee:rule/"))
        return "perigee:rule";
    return strlen(source) > PERI_FLOW_NAME ? PERI_FLOW_OTHER : source;
}

/* NULL: memory is out. */
static struct place *add_place(struct peri_flow *flow, const char *source)
{
    struct place *place = calloc(1, sizeof(*place));
    if (place && (place->source = peri_strdup(source)) &&
        peri_vec_grow(&flow->places, &flow->cap, flow->count + 1, sizeof(struct place *)) &&
        peri_map_set(flow->by_source, source, place, NULL)) {
        flow->places[flow->count++] = place;
        place->dirty = flow->dirty = true;
        return place;
    }
    if (place)
        free(place->source);
    free(place);
    return NULL;
}

/* With the mutex held. */
static struct place *find_place(struct peri_flow *flow, const char *source)
{
    if (flow->last && peri_streq(flow->last->source, source)) /* most events come from a few */
        return flow->last;
    const char *name = fold(source);
    struct place *place = peri_map_get(flow->by_source, name);
    if (place)
        return flow->last = place;
    if (flow->count >= PERI_FLOW_SOURCES && (place = peri_map_get(flow->by_source, PERI_FLOW_OTHER)))
        return place;
    return add_place(flow, flow->count >= PERI_FLOW_SOURCES ? PERI_FLOW_OTHER : name);
}

/* ---- counting ---- */

/* n more, or fewer, of two kinds: whatever happens to an event is noted on both sides of the equation. */
static enum peri_status count(
    struct peri_tx *tx, const char *source, struct entry one, struct entry two, struct peri_error *err)
{
    struct peri_flow *flow = tx->flow;
    if (!flow)
        return PERI_OK;
    pthread_mutex_lock(&flow->mutex);
    one.place = two.place = find_place(flow, source);
    pthread_mutex_unlock(&flow->mutex);
    if (!one.place || !peri_vec_grow(&flow->log, &flow->log_cap, tx->flow_log + 2, sizeof(*flow->log)))
        return peri_error_nomem(err);
    flow->log[tx->flow_log++] = one;
    flow->log[tx->flow_log++] = two;
    return PERI_OK;
}

enum peri_status peri_flow_stored(
    struct peri_tx *tx, const char *source, enum peri_flow_stored as, struct peri_error *err)
{
    static const int kinds[] = {
        [PERI_FLOW_OPEN] = UNMATCHED, [PERI_FLOW_TWICE] = DUPLICATE, [PERI_FLOW_ENDED] = MATCHED};
    return count(
        tx, source, (struct entry){.count = RECEIVED, .n = 1}, (struct entry){.count = kinds[as], .n = 1}, err);
}

enum peri_status peri_flow_ended(struct peri_tx *tx, const char *source, bool dead, struct peri_error *err)
{
    return count(tx, source, (struct entry){.count = UNMATCHED, .n = -1},
        (struct entry){.count = dead ? DEAD : MATCHED, .n = 1}, err);
}

void peri_store_flow_refused(struct peri_store *store, const char *source, enum peri_flow_refusal refusal, int64_t n)
{
    struct peri_flow *flow = store->flow;
    pthread_mutex_lock(&flow->mutex);
    bool first = !flow->dirty;
    struct place *place = find_place(flow, source ? source : PERI_FLOW_UNKNOWN);
    if (place) {
        place->n[RECEIVED] += n;
        place->n[refusal == PERI_FLOW_SHED ? SHED : REJECTED] += n;
        place->dirty = flow->dirty = true;
    }
    pthread_mutex_unlock(&flow->mutex);
    if (first && place) {
        pthread_mutex_lock(&store->mutex);
        pthread_cond_signal(&store->wake); /* upkeep is due earlier now */
        pthread_mutex_unlock(&store->mutex);
    }
}

void peri_store_flow(struct peri_store *store, void (*fn)(void *arg, const struct peri_flow_row *row), void *arg)
{
    struct peri_flow *flow = store->flow;
    pthread_mutex_lock(&flow->mutex);
    for (size_t i = 0; i < flow->count; i++) {
        const int64_t *n = flow->places[i]->n;
        fn(arg, &(struct peri_flow_row){flow->places[i]->source, n[RECEIVED], n[MATCHED], n[UNMATCHED], n[DUPLICATE],
                    n[REJECTED], n[SHED], n[DEAD]});
    }
    pthread_mutex_unlock(&flow->mutex);
}

/* ---- with the group ---- */

static enum peri_status write_place(
    struct peri_db *db, const struct place *place, const int64_t n[COUNTS], struct peri_error *err)
{
    static const int stored[] = {RECEIVED, MATCHED, DUPLICATE, REJECTED, SHED, DEAD};
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, db,
        "INSERT OR REPLACE INTO flow(src,received,matched,duplicate,rejected,shed,dead) VALUES(?,?,?,?,?,?,?)", err);
    if (st)
        return st;
    peri_stmt_text(&q, place->source);
    for (size_t i = 0; i < sizeof(stored) / sizeof(stored[0]); i++)
        peri_stmt_int(&q, n[stored[i]]);
    return peri_stmt_exec(&q, err);
}

static void sum_up(const struct peri_tx *tx)
{
    for (size_t i = 0; i < tx->flow_log; i++) {
        const struct entry *e = &tx->flow->log[i];
        e->place->added[e->count] += e->n;
        e->place->touched = true;
    }
}

enum peri_status peri_flow_write(struct peri_tx *tx, struct peri_error *err)
{
    struct peri_flow *flow = tx->flow;
    enum peri_status st = PERI_OK;
    sum_up(tx);
    pthread_mutex_lock(&flow->mutex);
    for (size_t i = 0; !st && i < flow->count; i++) {
        struct place *place = flow->places[i];
        int64_t n[COUNTS];
        if (!place->dirty && !place->touched)
            continue;
        for (int k = 0; k < COUNTS; k++)
            n[k] = place->n[k] + place->added[k];
        place->touched = true;
        place->dirty = false; /* what is noted from here on is not in the row */
        pthread_mutex_unlock(&flow->mutex);
        st = write_place(tx->db, place, n, err);
        pthread_mutex_lock(&flow->mutex);
    }
    pthread_mutex_unlock(&flow->mutex);
    return st;
}

void peri_flow_done(struct peri_flow *flow, bool committed)
{
    pthread_mutex_lock(&flow->mutex);
    flow->dirty = false;
    for (size_t i = 0; i < flow->count; i++) {
        struct place *place = flow->places[i];
        for (int k = 0; committed && k < COUNTS; k++)
            place->n[k] += place->added[k];
        memset(place->added, 0, sizeof(place->added));
        place->dirty |= place->touched && !committed;
        place->touched = false;
        flow->dirty |= place->dirty;
    }
    pthread_mutex_unlock(&flow->mutex);
}

bool peri_flow_due(struct peri_flow *flow)
{
    pthread_mutex_lock(&flow->mutex);
    bool dirty = flow->dirty;
    pthread_mutex_unlock(&flow->mutex);
    return dirty;
}

void peri_flow_upkeep(struct peri_store *store)
{
    struct peri_error err;
    struct peri_tx tx = {.db = &store->db, .flow = store->flow};
    if (!peri_flow_due(store->flow) || peri_health_state(store->health, NULL) != PERI_STORE_GOOD)
        return;
    enum peri_status st = peri_store_simple(&store->db, "BEGIN IMMEDIATE", &err);
    if (!st)
        st = peri_flow_write(&tx, &err);
    if (!st)
        st = peri_store_simple(&store->db, "COMMIT", &err);
    peri_store_rollback(store);
    peri_flow_done(store->flow, st == PERI_OK);
}

/* ---- start ---- */

/* Of a database that has none: from the events that it holds. */
static enum peri_status rebuild(struct peri_db *db, struct peri_error *err)
{
    return peri_db_exec(db,
        "DELETE FROM flow;"
        "WITH c AS (SELECT CASE WHEN src LIKE 'perigee:rule/%' THEN 'perigee:rule' WHEN length(CAST(src AS BLOB))>200"
        " THEN '(other)' ELSE src END s, count(*) n, sum(state=1) m, sum(state=2) d FROM events GROUP BY 1),"
        " r AS (SELECT *, row_number() OVER (ORDER BY s='(other)' DESC, n DESC, s) k FROM c)"
        " INSERT INTO flow(src,received,matched,duplicate,rejected,shed,dead)"
        " SELECT iif(k<256,s,'(other)'),sum(n),sum(m),0,0,0,sum(d) FROM r GROUP BY 1;"
        "INSERT OR REPLACE INTO meta(k,v) VALUES('flow','1')",
        err);
}

static enum peri_status load_places(struct peri_flow *flow, struct peri_db *db, struct peri_error *err)
{
    static const int stored[] = {RECEIVED, MATCHED, DUPLICATE, REJECTED, SHED, DEAD};
    struct peri_stmt q;
    bool row = false;
    enum peri_status st =
        peri_stmt_open(&q, db, "SELECT src,received,matched,duplicate,rejected,shed,dead FROM flow", err);
    if (st)
        return st;
    while (!(st = peri_stmt_row(&q, &row, err)) && row) {
        struct place *place = add_place(flow, peri_stmt_get_text(&q, 0));
        if (!place) {
            st = peri_error_nomem(err);
            break;
        }
        for (size_t i = 0; i < sizeof(stored) / sizeof(stored[0]); i++)
            place->n[stored[i]] = peri_stmt_get_int(&q, 1 + (int)i);
        place->dirty = false;
    }
    peri_stmt_close(&q);
    return st;
}

static enum peri_status count_unmatched(struct peri_flow *flow, struct peri_db *db, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = peri_stmt_open(
        &q, db, "SELECT src,count(*) FROM events INDEXED BY events_open WHERE state=0 GROUP BY src", err);
    if (st)
        return st;
    while (!(st = peri_stmt_row(&q, &row, err)) && row) {
        const char *source = peri_stmt_get_text(&q, 0);
        struct place *place = source ? find_place(flow, source) : NULL;
        if (!place) {
            st = source ? peri_error_nomem(err) : PERI_OK;
            break;
        }
        place->n[UNMATCHED] += peri_stmt_get_int(&q, 1);
    }
    peri_stmt_close(&q);
    return st;
}

static enum peri_status load(struct peri_flow *flow, struct peri_db *db, struct peri_error *err)
{
    int64_t made = 0;
    enum peri_status st = peri_db_meta_int(db, "flow", 0, &made, err);
    if (!st && !made)
        st = rebuild(db, err);
    if (!st)
        st = load_places(flow, db, err);
    if (!st)
        st = count_unmatched(flow, db, err);
    flow->dirty = false;
    return st;
}

void peri_flow_destroy(struct peri_flow *flow)
{
    if (!flow)
        return;
    for (size_t i = 0; i < flow->count; i++) {
        free(flow->places[i]->source);
        free(flow->places[i]);
    }
    peri_map_destroy(flow->by_source, NULL);
    pthread_mutex_destroy(&flow->mutex);
    free(flow->places);
    free(flow->log);
    free(flow);
}

enum peri_status peri_flow_create(struct peri_db *db, struct peri_flow **ret, struct peri_error *err)
{
    struct peri_flow *flow = calloc(1, sizeof(*flow));
    if (!flow)
        return peri_error_nomem(err);
    pthread_mutex_init(&flow->mutex, NULL);
    flow->by_source = peri_map_create();
    enum peri_status st = flow->by_source ? load(flow, db, err) : peri_error_nomem(err);
    if (st)
        peri_flow_destroy(flow);
    else
        *ret = flow;
    return st;
}

void peri_flow_wipe(struct peri_flow *flow)
{
    pthread_mutex_lock(&flow->mutex);
    for (size_t i = 0; i < flow->count; i++)
        memset(flow->places[i]->n, 0, sizeof(flow->places[i]->n));
    pthread_mutex_unlock(&flow->mutex);
}

/* ---- reading ---- */

static enum peri_status push_row(struct peri_value *list, const struct place *place, struct peri_error *err)
{
    static const char *const names[COUNTS] = {
        "received", "matched", "unmatched", "duplicate", "rejected", "shed", "dead"};
    const int64_t *n = place->n;
    struct peri_flow_row row = {
        place->source, n[RECEIVED], n[MATCHED], n[UNMATCHED], n[DUPLICATE], n[REJECTED], n[SHED], n[DEAD]};
    struct peri_value *map = peri_value_map();
    bool bad = !map || peri_map_put_text(map, "source", place->source) != PERI_OK;
    for (int i = 0; !bad && i < COUNTS; i++)
        bad = peri_map_put_int(map, names[i], n[i]) != PERI_OK;
    bad = bad || peri_map_put_bool(map, "balanced", peri_flow_balanced(&row)) != PERI_OK;
    if (bad) {
        peri_value_unref(map);
        return peri_error_nomem(err);
    }
    return peri_list_push(list, map) ? peri_error_nomem(err) : PERI_OK;
}

enum peri_status peri_reader_flow(struct peri_reader *reader, struct peri_value **ret, struct peri_error *err)
{
    struct peri_flow *flow = calloc(1, sizeof(*flow));
    struct peri_value *list = peri_value_list();
    struct peri_error ignored;
    bool begun = false;
    enum peri_status st = PERI_ENOMEM;
    if (!flow || !list || !(flow->by_source = peri_map_create())) {
        (void)peri_error_nomem(err);
        goto out;
    }
    pthread_mutex_init(&flow->mutex, NULL);
    peri_db_limit(&reader->db, PERI_READ_NS);
    st = peri_db_exec(&reader->db, "BEGIN", err);
    begun = st == PERI_OK;
    if (!st)
        st = load_places(flow, &reader->db, err);
    if (!st)
        st = count_unmatched(flow, &reader->db, err);
    for (size_t i = 0; !st && i < flow->count; i++)
        st = push_row(list, flow->places[i], err);
out:
    if (begun && peri_db_exec(&reader->db, "COMMIT", &ignored) && !st)
        st = peri_error_set(err, PERI_EIO, NULL, "%s", ignored.message);
    peri_flow_destroy(flow);
    if (st)
        peri_value_unref(list);
    else
        *ret = list;
    return st;
}
