/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "base/id.h"
#include "io/store_db.h"
#include "io/store_events.h"

/* Events that a sender repeats are recognised by a key, in a table in the order of the keys. A key begins with what its
 * sender says, not with a digest: most senders count their events or put the time first, so that the keys of a group of
 * events are neighbours and share a page. In the order of digests each event would write a page of its own, twice. */

#define RAW_MAX 64 /* bytes of a part that is kept as it is */
#define DIGEST 32
#define DIGEST_MARK 255 /* instead of a length */

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

/* The length of the source makes the key of each pair its own; the id is the rest, so that it sorts as text. */
static size_t make_key(const char *source, const char *external_id, unsigned char out[PERI_DEDUPE_KEY])
{
    size_t n = put_part(source, out), len = strlen(external_id);
    if (len <= RAW_MAX) {
        out[n++] = 0;
        memcpy(out + n, external_id, len);
        return n + len;
    }
    out[n++] = DIGEST_MARK;
    peri_sha256(external_id, len, out + n);
    return n + DIGEST;
}

enum peri_status peri_dedupe_take(struct peri_tx *tx, const char *source, const char *external_id, uint64_t seq,
    uint64_t *ret_first, struct peri_error *err)
{
    unsigned char key[PERI_DEDUPE_KEY];
    size_t len = make_key(source, external_id, key);
    struct peri_stmt q;
    *ret_first = 0;
    enum peri_status st = peri_stmt_open(&q, tx->db, "INSERT OR IGNORE INTO dedupe(k,seq) VALUES(?,?)", err);
    if (st)
        return st;
    peri_stmt_blob(&q, key, len);
    peri_stmt_int(&q, (int64_t)seq);
    st = peri_stmt_exec(&q, err);
    if (st || peri_db_changes(tx->db) > 0)
        return st;
    st = peri_stmt_open(&q, tx->db, "SELECT seq FROM dedupe WHERE k=?", err);
    if (st)
        return st;
    peri_stmt_blob(&q, key, len);
    bool row = false;
    st = peri_stmt_row(&q, &row, err);
    if (!st && row)
        *ret_first = (uint64_t)peri_stmt_get_int(&q, 0);
    peri_stmt_close(&q);
    return st;
}

#define PAIRS_4 "(?,?),(?,?),(?,?),(?,?)"
static const char insert_few[] = "INSERT OR IGNORE INTO dedupe(k,seq) VALUES" PAIRS_4;
static const char insert_many[] =
    "INSERT OR IGNORE INTO dedupe(k,seq) VALUES" PAIRS_4 "," PAIRS_4 "," PAIRS_4 "," PAIRS_4;

static bool is_complete(const struct peri_event *event)
{
    return event->external_id && event->source && event->source[0] && event->type && event->type[0];
}

enum peri_status peri_dedupe_take_all(struct peri_tx *tx, struct peri_event *const *events, size_t many_or_few,
    uint64_t seq, bool *ret_taken, struct peri_error *err)
{
    unsigned char keys[PERI_DEDUPE_MANY][PERI_DEDUPE_KEY];
    struct peri_stmt q;
    size_t n = many_or_few == PERI_DEDUPE_MANY ? PERI_DEDUPE_MANY : PERI_DEDUPE_FEW;
    *ret_taken = false;
    for (size_t i = 0; i < n; i++)
        if (!is_complete(events[i]))
            return PERI_OK;
    enum peri_status st = peri_stmt_open(&q, tx->db, n == PERI_DEDUPE_MANY ? insert_many : insert_few, err);
    if (st)
        return st;
    for (size_t i = 0; i < n; i++) {
        peri_stmt_blob(&q, keys[i], make_key(events[i]->source, events[i]->external_id, keys[i]));
        peri_stmt_int(&q, (int64_t)(seq + i));
    }
    st = peri_stmt_exec(&q, err);
    int64_t taken = st ? 0 : peri_db_changes(tx->db);
    *ret_taken = taken == (int64_t)n;
    /* Some are known: those that are not are given back, since what follows them will have other numbers. */
    for (size_t i = 0; i < n && !st && !*ret_taken && taken > 0; i++) {
        st = peri_dedupe_forget(tx, events[i]->source, events[i]->external_id, (int64_t)(seq + i), err);
        taken -= st ? 0 : peri_db_changes(tx->db);
    }
    return st;
}

enum peri_status peri_dedupe_put(
    struct peri_db *db, const char *source, const char *external_id, int64_t seq, struct peri_error *err)
{
    unsigned char key[PERI_DEDUPE_KEY];
    size_t len = make_key(source, external_id, key);
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, db, "INSERT OR IGNORE INTO dedupe(k,seq) VALUES(?,?)", err);
    if (st)
        return st;
    peri_stmt_blob(&q, key, len);
    peri_stmt_int(&q, seq);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_dedupe_forget(
    struct peri_tx *tx, const char *source, const char *external_id, int64_t seq, struct peri_error *err)
{
    unsigned char key[PERI_DEDUPE_KEY];
    size_t len = make_key(source, external_id, key);
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "DELETE FROM dedupe WHERE k=? AND seq=?", err);
    if (st)
        return st;
    peri_stmt_blob(&q, key, len);
    peri_stmt_int(&q, seq);
    return peri_stmt_exec(&q, err);
}

/* dedupe_key(source, id), for the migration that made the table. */
static void key_function(sqlite3_context *context, int count, sqlite3_value **values)
{
    unsigned char key[PERI_DEDUPE_KEY];
    const char *source = (const char *)sqlite3_value_text(values[0]);
    const char *external_id = (const char *)sqlite3_value_text(values[1]);
    (void)count;
    if (source && external_id)
        sqlite3_result_blob(context, key, (int)make_key(source, external_id, key), SQLITE_TRANSIENT);
    else
        sqlite3_result_null(context);
}

int peri_dedupe_register(sqlite3 *handle)
{
    return sqlite3_create_function_v2(
        handle, "dedupe_key", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, key_function, NULL, NULL, NULL);
}
