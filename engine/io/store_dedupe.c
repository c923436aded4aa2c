/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "base/id.h"
#include "io/store_db.h"
#include "io/store_events.h"

/* Events that a sender repeats are recognised by a key, in a table in the order of the keys. A key begins with what its
 * sender says, not with a digest: most senders count their events or put the time first, so that the keys of a group of
 * events are neighbours and share a page. In the order of digests each event would write a page of its own, twice.
 *
 * A row stands for one event, or for a run of them: `n` numbers from `seq` on, whose keys ascend from `k` to `last`, as
 * they come in a batch of a sender that counts. Runs never overlap, so the row before a key is the only one that can
 * have it. Which keys within a run are taken is asked of the events themselves; a key between them that is not takes
 * the run apart. */

#define RAW_MAX 64 /* bytes of a part that is kept as it is */
#define DIGEST 32
#define DIGEST_MARK 255 /* instead of a length */
#define DIGITS 128      /* and how many of them */

struct key {
    unsigned char bytes[PERI_DEDUPE_KEY];
    size_t len;
};

static size_t put_part(const char *text, unsigned char *out)
{
    size_t len = strlen(text);
    if (len <= RAW_MAX) {
        out[0] = (unsigned char)len;
        memcpy(out + 1, text, len);
        return len + 1;
    }
    out[0] = DIGEST_MARK;
    peri_sha256(text, len, out + 1);
    return DIGEST + 1;
}

/* The length of the source makes the key of each pair its own; the id is the rest, so that it sorts as text. Digits at
 * its end stand behind their number, so that 1000 follows 999 and does not lie between 10 and 11: a key that ends with
 * a digit has that byte, and no other key has. */
static void make_key(const char *source, const char *external_id, struct key *ret)
{
    size_t n = put_part(source, ret->bytes), len = strlen(external_id), head = len;
    if (len > RAW_MAX) {
        ret->bytes[n++] = DIGEST_MARK;
        peri_sha256(external_id, len, ret->bytes + n);
        ret->len = n + DIGEST;
        return;
    }
    while (head > 0 && external_id[head - 1] >= '0' && external_id[head - 1] <= '9')
        head--;
    ret->bytes[n++] = 0;
    memcpy(ret->bytes + n, external_id, head);
    n += head;
    if (head < len)
        ret->bytes[n++] = (unsigned char)(DIGITS + (len - head));
    memcpy(ret->bytes + n, external_id + head, len - head);
    ret->len = n + len - head;
}

/* As SQLite compares blobs. */
static int compare(const struct key *a, const struct key *b)
{
    int c = memcmp(a->bytes, b->bytes, a->len < b->len ? a->len : b->len);
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

static void bind_key(struct peri_stmt *q, const struct key *key)
{
    peri_stmt_blob(q, key->bytes, key->len);
}

static void get_key(struct peri_stmt *q, int column, struct key *ret)
{
    size_t len = peri_stmt_get_bytes(q, column);
    ret->len = len < sizeof(ret->bytes) ? len : sizeof(ret->bytes);
    if (ret->len)
        memcpy(ret->bytes, peri_stmt_get_blob(q, column), ret->len);
}

/* ---- runs ---- */

struct run {
    struct key first, last;
    int64_t seq, n;
};

/* The run that a key lies in, if any. */
static enum peri_status find_run(
    struct peri_tx *tx, const struct key *key, struct run *ret, bool *ret_found, struct peri_error *err)
{
    struct peri_stmt q;
    *ret_found = false;
    enum peri_status st = peri_stmt_open(
        &q, tx->db, "SELECT k,coalesce(last,k),seq,n FROM dedupe WHERE k<=? ORDER BY k DESC LIMIT 1", err);
    if (st)
        return st;
    bind_key(&q, key);
    bool row = false;
    st = peri_stmt_row(&q, &row, err);
    if (!st && row) {
        get_key(&q, 0, &ret->first);
        get_key(&q, 1, &ret->last);
        ret->seq = peri_stmt_get_int(&q, 2);
        ret->n = peri_stmt_get_int(&q, 3);
        *ret_found = compare(key, &ret->last) <= 0;
    }
    peri_stmt_close(&q);
    return st;
}

/* NULL for the key of a row that is not to be stored: OR IGNORE passes over it. */
#define FREE(from, to)                                                                                                 \
    "iif((SELECT coalesce(last,k) FROM dedupe WHERE k<=" to " ORDER BY k DESC LIMIT 1)>=" from ",NULL," from ")"

static enum peri_status insert_run(
    struct peri_tx *tx, const struct run *run, bool *ret_inserted, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(
        &q, tx->db, "INSERT OR IGNORE INTO dedupe(k,seq,last,n) VALUES(" FREE("?1", "?3") ",?2,?3,?4)", err);
    if (st)
        return st;
    bind_key(&q, &run->first);
    peri_stmt_int(&q, run->seq);
    bind_key(&q, &run->last);
    peri_stmt_int(&q, run->n);
    st = peri_stmt_exec(&q, err);
    *ret_inserted = !st && peri_db_changes(tx->db) > 0;
    return st;
}

static enum peri_status insert_one(
    struct peri_db *db, const struct key *key, int64_t seq, bool *ret_inserted, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st =
        peri_stmt_open(&q, db, "INSERT OR IGNORE INTO dedupe(k,seq) VALUES(" FREE("?1", "?1") ",?2)", err);
    if (st)
        return st;
    bind_key(&q, key);
    peri_stmt_int(&q, seq);
    st = peri_stmt_exec(&q, err);
    *ret_inserted = !st && peri_db_changes(db) > 0;
    return st;
}

static enum peri_status delete_row(struct peri_tx *tx, const struct key *first, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "DELETE FROM dedupe WHERE k=?", err);
    if (st)
        return st;
    bind_key(&q, first);
    return peri_stmt_exec(&q, err);
}

/* Events of a run that are still recognised: those that are there, above the mark (store_prune.c). */
#define MEMBERS                                                                                                        \
    " FROM events WHERE seq BETWEEN ?1 AND ?2"                                                                         \
    " AND seq>coalesce((SELECT CAST(v AS INTEGER) FROM meta WHERE k='dedupe_mark'),0)"

static void bind_members(struct peri_stmt *q, const struct run *run)
{
    peri_stmt_int(q, run->seq);
    peri_stmt_int(q, run->seq + run->n - 1);
}

/* *ret_seq: the event of the run that has this pair, or 0. */
static enum peri_status find_member(struct peri_tx *tx, const struct run *run, const char *source,
    const char *external_id, uint64_t *ret_seq, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT seq" MEMBERS " AND xid=?3 AND src=?4 LIMIT 1", err);
    if (st)
        return st;
    bind_members(&q, run);
    peri_stmt_text(&q, external_id);
    peri_stmt_text(&q, source);
    st = peri_stmt_row(&q, &row, err);
    *ret_seq = !st && row ? (uint64_t)peri_stmt_get_int(&q, 0) : 0;
    peri_stmt_close(&q);
    return st;
}

static void grow(struct run *part, const struct key *key, int64_t seq)
{
    if (part->n == 0) {
        part->first = *key;
        part->seq = seq;
    }
    part->last = *key;
    part->n = seq - part->seq + 1;
}

/* What is left of the run on both sides of a key that none of its events has. */
static enum peri_status read_parts(
    struct peri_tx *tx, const struct run *run, const struct key *key, struct run parts[2], struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT seq,src,xid" MEMBERS " ORDER BY seq", err);
    if (st)
        return st;
    bind_members(&q, run);
    while (!(st = peri_stmt_row(&q, &row, err)) && row) {
        const char *source = peri_stmt_get_text(&q, 1), *external_id = peri_stmt_get_text(&q, 2);
        struct key member;
        if (!source || !external_id)
            continue;
        make_key(source, external_id, &member);
        grow(&parts[compare(&member, key) > 0], &member, peri_stmt_get_int(&q, 0));
    }
    peri_stmt_close(&q);
    return st;
}

static enum peri_status take_apart(
    struct peri_tx *tx, const struct run *run, const struct key *key, struct peri_error *err)
{
    struct run parts[2] = {0};
    enum peri_status st = read_parts(tx, run, key, parts, err);
    if (!st)
        st = delete_row(tx, &run->first, err);
    for (size_t i = 0; i < 2 && !st; i++) {
        bool inserted = true;
        if (parts[i].n > 1)
            st = insert_run(tx, &parts[i], &inserted, err);
        else if (parts[i].n == 1)
            st = insert_one(tx->db, &parts[i].first, parts[i].seq, &inserted, err);
        if (!st && !inserted)
            st = peri_db_damage(
                tx->db, err, NULL, "numbers and ids of the events from ev-%lld on do not fit", (long long)run->seq);
    }
    return st;
}

/* ---- what the journal and retention ask ---- */

enum peri_status peri_dedupe_take(struct peri_tx *tx, const char *source, const char *external_id, uint64_t seq,
    uint64_t *ret_first, struct peri_error *err)
{
    struct key key;
    struct run run;
    bool taken, found = false;
    make_key(source, external_id, &key);
    *ret_first = 0;
    enum peri_status st = insert_one(tx->db, &key, (int64_t)seq, &taken, err);
    if (st || taken)
        return st;
    st = find_run(tx, &key, &run, &found, err);
    if (!st && found && run.n == 1)
        *ret_first = (uint64_t)run.seq;
    else if (!st && found)
        st = find_member(tx, &run, source, external_id, ret_first, err);
    if (st || *ret_first)
        return st;
    if (found)
        st = take_apart(tx, &run, &key, err);
    if (!st)
        st = insert_one(tx->db, &key, (int64_t)seq, &taken, err);
    return st || taken ? st : peri_error_set(err, PERI_EINTERNAL, NULL, "an event can not be told from others");
}

static bool is_complete(const struct peri_event *event)
{
    return event->external_id && event->source && event->source[0] && event->type && event->type[0];
}

size_t peri_dedupe_run(struct peri_event *const *events, size_t count)
{
    struct key keys[2];
    size_t n = 1;
    if (count < 2 || !is_complete(events[0]))
        return count ? 1 : 0;
    make_key(events[0]->source, events[0]->external_id, &keys[0]);
    for (; n < count && is_complete(events[n]) && strcmp(events[n]->source, events[0]->source) == 0; n++) {
        make_key(events[n]->source, events[n]->external_id, &keys[n % 2]);
        if (compare(&keys[(n - 1) % 2], &keys[n % 2]) >= 0)
            break;
    }
    return n;
}

enum peri_status peri_dedupe_take_run(struct peri_tx *tx, struct peri_event *const *events, size_t n, uint64_t seq,
    bool *ret_taken, struct peri_error *err)
{
    struct run run = {.seq = (int64_t)seq, .n = (int64_t)n};
    make_key(events[0]->source, events[0]->external_id, &run.first);
    make_key(events[n - 1]->source, events[n - 1]->external_id, &run.last);
    return insert_run(tx, &run, ret_taken, err);
}

enum peri_status peri_dedupe_put(
    struct peri_db *db, const char *source, const char *external_id, int64_t seq, struct peri_error *err)
{
    struct key key;
    bool inserted;
    make_key(source, external_id, &key);
    return insert_one(db, &key, seq, &inserted, err);
}

/* Are others of the run recognised, also once all up to forgotten_to are not? */
static enum peri_status has_others(struct peri_tx *tx, const struct run *run, int64_t seq, int64_t forgotten_to,
    bool *ret_others, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT 1" MEMBERS " AND seq<>?3 AND seq>?4 LIMIT 1", err);
    if (st)
        return st;
    bind_members(&q, run);
    peri_stmt_int(&q, seq);
    peri_stmt_int(&q, forgotten_to);
    st = peri_stmt_row(&q, ret_others, err);
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_dedupe_forget(struct peri_tx *tx, const char *source, const char *external_id, int64_t seq,
    int64_t forgotten_to, bool *ret_gone, struct peri_error *err)
{
    struct key key;
    struct run run;
    bool found = false, others = false;
    make_key(source, external_id, &key);
    *ret_gone = false;
    enum peri_status st = find_run(tx, &key, &run, &found, err);
    if (st || !found || seq < run.seq || seq >= run.seq + run.n)
        return st;
    if (run.n > 1)
        st = has_others(tx, &run, seq, forgotten_to, &others, err);
    *ret_gone = !st && !others;
    return *ret_gone ? delete_row(tx, &run.first, err) : st;
}

/* dedupe_key(source, id), for the migration that made the table. */
static void key_function(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct key key;
    const char *source = (const char *)sqlite3_value_text(values[0]);
    const char *external_id = (const char *)sqlite3_value_text(values[1]);
    (void)count;
    if (!source || !external_id) {
        sqlite3_result_null(context);
        return;
    }
    make_key(source, external_id, &key);
    sqlite3_result_blob(context, key.bytes, (int)key.len, SQLITE_TRANSIENT);
}

int peri_dedupe_register(sqlite3 *handle)
{
    return sqlite3_create_function_v2(
        handle, "dedupe_key", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, key_function, NULL, NULL, NULL);
}
