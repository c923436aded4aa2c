/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/id.h"
#include "base/str.h"
#include "data/json.h"
#include "io/store_db.h"
#include "io/store_trace.h"

#define LIST_DEFAULT 50
#define LIST_MAX 1000
#define PIECE_FIRST 2000 /* numbers looked at in one read; more while it is quick */
#define PIECE_LEAST 100
#define PIECE_NS (PERI_READ_NS / 8)

/* Column order of load(). */
#define EVENT_COLUMNS                                                                                                  \
    "seq,src,type,subject,xid,occurred,received,state,hops,cause,replay_of,target_rule,target_trigger,ext,body,crc"
enum {
    C_SEQ,
    C_SRC,
    C_TYPE,
    C_SUBJECT,
    C_XID,
    C_OCCURRED,
    C_RECEIVED,
    C_STATE,
    C_HOPS,
    C_CAUSE,
    C_REPLAY_OF,
    C_TARGET_RULE,
    C_TARGET_TRIGGER,
    C_EXT,
    C_BODY,
    C_CRC
};

static enum peri_status put_verdicts(struct peri_tx *tx, uint64_t seq, const char *verdicts, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "INSERT OR REPLACE INTO verdicts(seq,data) VALUES(?,?)", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)seq);
    peri_stmt_text(&q, verdicts);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_event_done_of(struct peri_tx *tx, uint64_t seq, const char *source,
    enum peri_event_state state, const char *verdicts, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "UPDATE events SET state=? WHERE seq=? AND state=0", err);
    if (st)
        return st;
    peri_stmt_int(&q, state);
    peri_stmt_int(&q, (int64_t)seq);
    st = peri_stmt_exec(&q, err);
    if (!st && peri_db_changes(tx->db) == 0)
        st = peri_error_set(err, PERI_ESTATE, NULL, "event ev-%" PRIu64 " is not waiting to be matched", seq);
    if (!st)
        st = peri_flow_ended(tx, source, state == PERI_EVENT_DEAD, err);
    return st || !verdicts ? st : put_verdicts(tx, seq, verdicts, err);
}

enum peri_status peri_tx_event_done(
    struct peri_tx *tx, uint64_t seq, enum peri_event_state state, const char *verdicts, struct peri_error *err)
{
    struct peri_stmt q;
    char *source = NULL;
    bool row = false;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT src FROM events WHERE seq=? AND state=0", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)seq);
    st = peri_stmt_row(&q, &row, err);
    if (!st && row)
        st = peri_stmt_dup(&q, 0, &source, err);
    peri_stmt_close(&q);
    if (!st)
        st = peri_tx_event_done_of(tx, seq, source ? source : "", state, verdicts, err);
    free(source);
    return st;
}

enum peri_status peri_tx_event_partly(struct peri_tx *tx, uint64_t seq, const char *verdicts, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(
        &q, tx->db, "INSERT OR REPLACE INTO verdicts(seq,data) SELECT seq,? FROM events WHERE seq=? AND state=0", err);
    if (st)
        return st;
    peri_stmt_text(&q, verdicts);
    peri_stmt_int(&q, (int64_t)seq);
    st = peri_stmt_exec(&q, err);
    if (!st && peri_db_changes(tx->db) != 1)
        st = peri_error_set(err, PERI_ESTATE, NULL, "event ev-%" PRIu64 " is not waiting to be matched", seq);
    return st;
}

enum peri_status peri_tx_event_open(
    struct peri_tx *tx, uint64_t seq, bool *ret_open, char **ret_verdicts, struct peri_error *err)
{
    struct peri_stmt q;
    *ret_verdicts = NULL;
    enum peri_status st = peri_stmt_open(
        &q, tx->db, "SELECT v.data FROM events e LEFT JOIN verdicts v ON v.seq=e.seq WHERE e.seq=? AND e.state=0", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)seq);
    st = peri_stmt_row(&q, ret_open, err);
    if (!st && *ret_open)
        st = peri_stmt_dup(&q, 0, ret_verdicts, err);
    peri_stmt_close(&q);
    return st;
}

/* ---- reading ---- */

/* A row whose payload fails its checksum is loaded without it and marked. */
static enum peri_status load(struct peri_stmt *q, struct peri_event **ret, struct peri_error *err)
{
    struct peri_event *e = peri_event_create();
    if (!e)
        return peri_error_nomem(err);
    e->seq = (uint64_t)peri_stmt_get_int(q, C_SEQ);
    e->time_ms = peri_stmt_get_int(q, C_OCCURRED);
    e->received_ms = peri_stmt_get_int(q, C_RECEIVED);
    e->hops = (int)peri_stmt_get_int(q, C_HOPS);
    e->replay_of = (uint64_t)peri_stmt_get_int(q, C_REPLAY_OF);
    const struct {
        int column;
        char **to;
    } texts[] = {{C_SRC, &e->source}, {C_TYPE, &e->type}, {C_SUBJECT, &e->subject}, {C_XID, &e->external_id},
        {C_CAUSE, &e->cause}, {C_TARGET_RULE, &e->target_rule}, {C_TARGET_TRIGGER, &e->target_trigger},
        {C_BODY, &e->data}};
    enum peri_status st = PERI_OK;
    for (size_t i = 0; !st && i < sizeof(texts) / sizeof(texts[0]); i++)
        st = peri_stmt_dup(q, texts[i].column, texts[i].to, err);
    if (!st)
        st = peri_stmt_json(q, C_EXT, &e->extensions, err);
    if (st == PERI_ECORRUPT) {
        e->damaged = true;
        st = PERI_OK;
    }
    if (!st) {
        e->data_len = peri_stmt_get_bytes(q, C_BODY);
        if (!e->data || peri_crc32c(e->data, e->data_len) != (uint32_t)peri_stmt_get_int(q, C_CRC))
            e->damaged = true;
    }
    if (!st && e->damaged) {
        (void)peri_db_damage(q->db, NULL, NULL, "the stored payload of ev-%" PRIu64 " is not what was written", e->seq);
        free(e->data);
        e->data = peri_strdup("null");
        e->data_len = 4;
        st = e->data ? PERI_OK : peri_error_nomem(err);
    }
    if (st)
        peri_event_unref(e);
    else
        *ret = e;
    return st;
}

enum peri_status peri_tx_event(struct peri_tx *tx, uint64_t seq, struct peri_event **ret, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    *ret = NULL;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT " EVENT_COLUMNS " FROM events WHERE seq=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)seq);
    st = peri_stmt_row(&q, &row, err);
    if (!st && row)
        st = load(&q, ret, err);
    peri_stmt_close(&q);
    return st;
}

static enum peri_status walk(struct peri_reader *reader, const char *sql, uint64_t after_seq, size_t limit,
    enum peri_status (*fn)(void *arg, struct peri_event *event), void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    peri_db_limit(&reader->db, 0); /* recovery: fn's time would count */
    enum peri_status st = peri_stmt_open(&q, &reader->db, sql, err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)after_seq);
    peri_stmt_int(&q, (int64_t)limit);
    for (;;) {
        bool row = false;
        struct peri_event *event = NULL;
        st = peri_stmt_row(&q, &row, err);
        if (st || !row)
            break;
        st = load(&q, &event, err);
        if (st)
            break;
        st = fn(arg, event);
        peri_event_unref(event);
        if (st)
            break;
    }
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_reader_unmatched(struct peri_reader *reader, uint64_t after_seq, size_t limit,
    enum peri_status (*fn)(void *arg, struct peri_event *event), void *arg, struct peri_error *err)
{
    return walk(reader,
        "SELECT " EVENT_COLUMNS " FROM events INDEXED BY events_open WHERE state=0 AND seq>? ORDER BY seq LIMIT ?",
        after_seq, limit, fn, arg, err);
}

enum peri_status peri_reader_journal(struct peri_reader *reader, uint64_t after_seq, size_t limit,
    enum peri_status (*fn)(void *arg, struct peri_event *event), void *arg, struct peri_error *err)
{
    return walk(reader, "SELECT " EVENT_COLUMNS " FROM events WHERE seq>? ORDER BY seq LIMIT ?", after_seq, limit, fn,
        arg, err);
}

static enum peri_status not_found(uint64_t seq, struct peri_error *err)
{
    return peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no event ev-%" PRIu64, seq);
}

static enum peri_status read_one(
    struct peri_reader *reader, uint64_t seq, struct peri_event **ret, int64_t *ret_state, struct peri_error *err)
{
    struct peri_stmt q;
    struct peri_event *event = NULL;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db, "SELECT " EVENT_COLUMNS " FROM events WHERE seq=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)seq);
    bool row = false;
    st = peri_stmt_row(&q, &row, err);
    if (!st && !row)
        st = not_found(seq, err);
    if (!st)
        st = load(&q, &event, err);
    if (!st && event->damaged) {
        st =
            peri_error_set(err, PERI_ECORRUPT, "corrupt.event", "the stored payload of ev-%" PRIu64 " is damaged", seq);
        peri_event_unref(event);
    } else if (!st) {
        *ret_state = peri_stmt_get_int(&q, C_STATE);
        *ret = event;
    }
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_reader_event(
    struct peri_reader *reader, uint64_t seq, struct peri_event **ret, struct peri_error *err)
{
    int64_t state;
    return read_one(reader, seq, ret, &state, err);
}

static const char *state_name(int64_t state)
{
    static const char *const names[] = {"journaled", "matched", "dead"};
    return state >= 0 && state <= PERI_EVENT_DEAD ? names[state] : "unknown";
}

static enum peri_status public_form(
    const struct peri_event *event, int64_t state, struct peri_value **ret, struct peri_error *err)
{
    struct peri_value *value = NULL;
    enum peri_status st = peri_event_value(event, &value, err);
    if (st)
        return st;
    st = peri_map_put_text(value, "state", state_name(state));
    if (!st && event->damaged)
        st = peri_map_put_bool(value, "damaged", true);
    if (st) {
        peri_value_unref(value);
        return peri_error_nomem(err);
    }
    *ret = value;
    return PERI_OK;
}

enum peri_status peri_reader_event_value(
    struct peri_reader *reader, uint64_t seq, struct peri_value **ret, struct peri_error *err)
{
    struct peri_event *event = NULL;
    int64_t state = 0;
    enum peri_status st = read_one(reader, seq, &event, &state, err);
    if (st)
        return st;
    struct peri_value *map = NULL, *trace = NULL;
    bool caused = event->cause != NULL;
    st = public_form(event, state, &map, err);
    peri_event_unref(event);
    if (!st && caused)
        st = peri_reader_trace(reader, seq, &trace, err);
    if (!st && trace && peri_map_put_ref(map, "trace", trace))
        st = peri_error_nomem(err);
    peri_value_unref(trace);
    if (st)
        peri_value_unref(map);
    else
        *ret = map;
    return st;
}

/* Inside of one segment '*' stands for any run of characters. */
static bool segment_match(const char *glob, size_t glen, const char *text, size_t tlen)
{
    size_t g = 0, t = 0, star = glen, mark = 0;
    while (t < tlen) {
        if (g < glen && glob[g] == '*') {
            star = g++;
            mark = t;
        } else if (g < glen && glob[g] == text[t]) {
            g++;
            t++;
        } else if (star < glen) {
            g = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (g < glen && glob[g] == '*')
        g++;
    return g == glen;
}

/* The globs of rules (lang/glob.h, which this layer can not use): '**' is any number of segments. */
static bool type_match(const char *glob, const char *type)
{
    size_t glen = strcspn(glob, "."), tlen = strcspn(type, ".");
    if (glen == 2 && glob[0] == '*' && glob[1] == '*') {
        if (!glob[2])
            return true;
        for (const char *rest = type;; rest = strchr(rest, '.') + 1) {
            if (type_match(glob + 3, rest))
                return true;
            if (!strchr(rest, '.'))
                return false;
        }
    }
    if (glen == 0 || tlen == 0 || !segment_match(glob, glen, type, tlen))
        return false;
    if (!glob[glen])
        return !type[tlen];
    if (!type[tlen])
        return strcmp(glob + glen, ".**") == 0;
    return type_match(glob + glen + 1, type + tlen + 1);
}

static enum peri_status list_rows(
    struct peri_stmt *q, const char *glob, size_t limit, struct peri_value *list, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    while (!st && peri_value_count(list) < limit) {
        bool row = false;
        struct peri_event *event = NULL;
        struct peri_value *value = NULL;
        st = peri_stmt_row(q, &row, err);
        if (st || !row)
            break;
        const char *type = peri_stmt_get_text(q, C_TYPE);
        if (glob && (!type || !type_match(glob, type)))
            continue;
        st = load(q, &event, err);
        if (!st)
            st = public_form(event, peri_stmt_get_int(q, C_STATE), &value, err);
        peri_event_unref(event);
        if (!st && peri_list_push(list, value))
            st = peri_error_nomem(err);
    }
    return st;
}

/* A piece of the journal: the numbers between two others. */
struct piece {
    uint64_t above, below;
};

static enum peri_status list_piece(struct peri_reader *reader, const struct peri_event_filter *filter,
    const struct piece *piece, size_t limit, struct peri_value *list, struct peri_error *err)
{
    static const char newest[] =
        "SELECT " EVENT_COLUMNS " FROM events WHERE seq<?1 AND seq>?2 AND (?3 IS NULL OR type=?3)"
        " AND (?4 IS NULL OR src=?4) ORDER BY seq DESC";
    static const char oldest[] =
        "SELECT " EVENT_COLUMNS " FROM events WHERE seq<?1 AND seq>?2 AND (?3 IS NULL OR type=?3)"
        " AND (?4 IS NULL OR src=?4) ORDER BY seq";
    bool glob = filter->type && strchr(filter->type, '*');
    struct peri_stmt q;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db, filter->after ? oldest : newest, err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)piece->below);
    peri_stmt_int(&q, (int64_t)piece->above);
    peri_stmt_text(&q, glob ? NULL : filter->type);
    peri_stmt_text(&q, filter->source);
    st = list_rows(&q, glob ? filter->type : NULL, limit, list, err);
    peri_stmt_close(&q);
    return st;
}

static enum peri_status journal_ends(struct peri_reader *reader, struct piece *ret, struct peri_error *err)
{
    int64_t first = 0, last = 0;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_db_int(&reader->db, "SELECT min(seq) FROM events", 1, &first, err);
    if (!st)
        st = peri_db_int(&reader->db, "SELECT max(seq) FROM events", 0, &last, err);
    *ret = (struct piece){first > 0 ? (uint64_t)first - 1 : 0, (uint64_t)last + 1};
    return st;
}

static uint64_t last_listed(const struct peri_value *list)
{
    uint64_t seq = 0;
    const char *id = peri_map_text(peri_list_at(list, peri_value_count(list) - 1), "id");
    (void)(id && peri_event_id_parse(id, &seq));
    return seq;
}

/* Pieces that take a fraction of what a read may; a piece that was too large is tried again smaller. left: what is
 * still to be looked at, empty when that was all. */
static enum peri_status list_pieces(struct peri_reader *reader, const struct peri_event_filter *filter, size_t limit,
    struct piece *left, struct peri_value *list, struct peri_error *err)
{
    bool up = filter->after != 0;
    uint64_t width = PIECE_FIRST;
    int64_t begun = peri_db_now_ns();
    enum peri_status st = PERI_OK;
    while (!st && peri_value_count(list) < limit && left->above + 1 < left->below) {
        struct piece piece = *left;
        size_t before = peri_value_count(list);
        int64_t t0 = peri_db_now_ns();
        if (left->below - left->above > width + 1 && up)
            piece.below = left->above + width + 1;
        else if (left->below - left->above > width + 1)
            piece.above = left->below - width - 1;
        st = list_piece(reader, filter, &piece, limit, list, err);
        bool cut = st == PERI_ETIMEOUT && (width > PIECE_LEAST || peri_value_count(list) > before);
        uint64_t seen = cut && peri_value_count(list) > before ? last_listed(list) : 0;
        if (!st || seen) {
            if (up)
                left->above = seen ? seen : piece.below - 1;
            else
                left->below = seen ? seen : piece.above + 1;
        }
        if (cut)
            st = PERI_OK;
        int64_t took = peri_db_now_ns() - t0;
        width = cut ? (width / 8 > PIECE_LEAST ? width / 8 : PIECE_LEAST) : took < PIECE_NS ? width * 2 : width;
        if (filter->ret_next && peri_db_now_ns() - begun > PERI_READ_NS)
            break;
    }
    return st;
}

enum peri_status peri_reader_events(struct peri_reader *reader, const struct peri_event_filter *filter,
    struct peri_value **ret_list, struct peri_error *err)
{
    size_t limit = filter->limit == 0 ? LIST_DEFAULT : filter->limit > LIST_MAX ? LIST_MAX : filter->limit;
    struct piece left = {0};
    if (filter->type && strchr(filter->type, '*') && strlen(filter->type) > 256)
        return peri_error_set(err, PERI_EINVAL, NULL, "type: longer than 256 characters");
    struct peri_value *list = peri_value_list();
    enum peri_status st = list ? journal_ends(reader, &left, err) : peri_error_nomem(err);
    if (!st) {
        if (filter->after > left.above)
            left.above = filter->after < left.below ? filter->after : left.below;
        if (filter->before && filter->before < left.below)
            left.below = filter->before;
        st = list_pieces(reader, filter, limit, &left, list, err);
    }
    bool early = !st && peri_value_count(list) < limit && left.above + 1 < left.below;
    if (!st && filter->ret_next)
        *filter->ret_next = !early ? 0 : filter->after ? left.above : left.below;
    if (st)
        peri_value_unref(list);
    else
        *ret_list = list;
    return st;
}

enum peri_status peri_reader_verdicts(
    struct peri_reader *reader, uint64_t seq, struct peri_value **ret_list, struct peri_error *err)
{
    struct peri_stmt q;
    struct peri_value *list = NULL;
    bool row = false;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(
        &q, &reader->db, "SELECT v.data FROM events e LEFT JOIN verdicts v ON v.seq=e.seq WHERE e.seq=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)seq);
    st = peri_stmt_row(&q, &row, err);
    if (!st && !row)
        st = not_found(seq, err);
    if (!st)
        st = peri_stmt_json(&q, 0, &list, err);
    peri_stmt_close(&q);
    if (!st && !list && !(list = peri_value_list()))
        st = peri_error_nomem(err);
    if (!st)
        *ret_list = list;
    return st;
}
