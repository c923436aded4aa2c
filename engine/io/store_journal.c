/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_events.h"

#include <stdlib.h>
#include "base/id.h"
#include "data/json.h"
#include "io/store_db.h"

/* Events into the journal. Of many that come together a statement stores several: what a statement costs beside its
 * rows is a quarter of storing an event. */

#define INSERT                                                                                                         \
    "INSERT OR FAIL INTO events(seq,src,type,subject,xid,occurred,received,state,hops,cause,replay_of,target_rule,"    \
    "target_trigger,ext,body,crc) VALUES"
#define ROW "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
/* Of an event from outside: with an id and no more, nothing has caused it. */
#define PLAIN "(?,?,?,NULL,?,?,?,?,0,NULL,0,NULL,NULL,NULL,?,?)"
#define PLAIN_4 PLAIN "," PLAIN "," PLAIN "," PLAIN

/* Each is one constant, because statements are kept by address. OR FAIL: what is there of a failed statement goes with
 * its operation, and SQLite need not keep copies of pages to take it back. */
static const char insert_any[] = INSERT ROW;
static const char insert_1[] = INSERT PLAIN;
static const char insert_4[] = INSERT PLAIN_4;
static const char insert_16[] = INSERT PLAIN_4 "," PLAIN_4 "," PLAIN_4 "," PLAIN_4;

static bool is_plain(const struct peri_event *e)
{
    return !e->subject && !e->hops && !e->cause && !e->replay_of && !e->target_rule && !e->target_trigger &&
           !e->extensions;
}

static void bind_body(struct peri_stmt *q, const struct peri_event *event)
{
    const char *body = event->data ? event->data : "null";
    size_t len = event->data ? event->data_len : 4;
    peri_stmt_textn(q, body, len);
    peri_stmt_int(q, peri_crc32c(body, len));
}

static void bind_plain(struct peri_stmt *q, const struct peri_event *event, uint64_t seq)
{
    peri_stmt_int(q, (int64_t)seq);
    peri_stmt_text(q, event->source);
    peri_stmt_text(q, event->type);
    peri_stmt_text(q, event->external_id);
    peri_stmt_int(q, event->time_ms);
    peri_stmt_int(q, event->received_ms);
    peri_stmt_int(q, event->unheard ? PERI_EVENT_MATCHED : 0);
    bind_body(q, event);
}

static void bind_any(struct peri_stmt *q, const struct peri_event *event, uint64_t seq, const char *ext)
{
    peri_stmt_int(q, (int64_t)seq);
    peri_stmt_text(q, event->source);
    peri_stmt_text(q, event->type);
    peri_stmt_text(q, event->subject);
    peri_stmt_text(q, event->external_id);
    peri_stmt_int(q, event->time_ms);
    peri_stmt_int(q, event->received_ms);
    peri_stmt_int(q, event->unheard ? PERI_EVENT_MATCHED : 0);
    peri_stmt_int(q, event->hops);
    peri_stmt_text(q, event->cause);
    peri_stmt_int(q, (int64_t)event->replay_of);
    peri_stmt_text(q, event->target_rule);
    peri_stmt_text(q, event->target_trigger);
    peri_stmt_text(q, ext);
    bind_body(q, event);
}

static enum peri_status insert_one(struct peri_tx *tx, const struct peri_event *event, struct peri_error *err)
{
    struct peri_stmt q;
    char *ext = NULL;
    if (event->extensions && !(ext = peri_json_text(event->extensions, PERI_JSON_COMPACT)))
        return peri_error_nomem(err);
    enum peri_status st = peri_stmt_open(&q, tx->db, insert_any, err);
    if (!st) {
        bind_any(&q, event, tx->next_seq, ext);
        st = peri_stmt_exec(&q, err);
    }
    free(ext);
    return st;
}

static enum peri_status insert_plain(
    struct peri_tx *tx, struct peri_event *const *events, size_t n, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, n == 16 ? insert_16 : n == 4 ? insert_4 : insert_1, err);
    if (st)
        return st;
    for (size_t i = 0; i < n; i++)
        bind_plain(&q, events[i], tx->next_seq + i);
    return peri_stmt_exec(&q, err);
}

/* How many from the first one on are stored in one go: 16, 4 or 1. */
static size_t together(struct peri_event *const *events, size_t count)
{
    size_t n = 0;
    while (n < count && n < 16 && is_plain(events[n]))
        n++;
    return n >= 16 ? 16 : n >= 4 ? 4 : 1;
}

/* The first of count events, none of them known; *ret_done: how many. */
static enum peri_status insert_some(
    struct peri_tx *tx, struct peri_event *const *events, size_t count, size_t *ret_done, struct peri_error *err)
{
    size_t n = together(events, count);
    enum peri_status st = is_plain(events[0]) ? insert_plain(tx, events, n, err) : insert_one(tx, events[0], err);
    for (size_t i = 0; i < n && !st; i++) {
        events[i]->seq = tx->next_seq++;
        events[i]->duplicate = false;
        st = peri_flow_stored(tx, events[i]->source, events[i]->unheard ? PERI_FLOW_ENDED : PERI_FLOW_OPEN, err);
    }
    *ret_done = n;
    return st;
}

static enum peri_status insert(
    struct peri_tx *tx, struct peri_event *const *events, size_t count, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    for (size_t i = 0, n = 0; i < count && !st; i += n)
        st = insert_some(tx, events + i, count - i, &n, err);
    return st;
}

enum peri_status peri_tx_event_insert(struct peri_tx *tx, struct peri_event *event, struct peri_error *err)
{
    if (!event->source || !event->source[0] || !event->type || !event->type[0])
        return peri_error_set(err, PERI_EINVAL, NULL, "an event needs a source and a type");
    uint64_t first = 0;
    enum peri_status st = PERI_OK;
    if (event->external_id)
        st = peri_dedupe_take(tx, event->source, event->external_id, tx->next_seq, &first, err);
    if (st || !first)
        return st ? st : insert(tx, &event, 1, err);
    event->duplicate = true;
    event->seq = first;
    return peri_flow_stored(tx, event->source, PERI_FLOW_TWICE, err);
}

enum peri_status peri_tx_events_insert(
    struct peri_tx *tx, struct peri_event *const *events, size_t count, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    for (size_t i = 0, n; i < count && !st; i += n) {
        bool fresh = false;
        n = peri_dedupe_run(events + i, count - i);
        if (n > 1)
            st = peri_dedupe_take_run(tx, events + i, n, tx->next_seq, &fresh, err);
        if (!st && fresh)
            st = insert(tx, events + i, n, err);
        for (size_t k = 0; k < n && !st && !fresh; k++)
            st = peri_tx_event_insert(tx, events[i + k], err);
    }
    return st;
}
