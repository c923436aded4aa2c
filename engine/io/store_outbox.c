/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "data/json.h"
#include "io/store_data.h"
#include "io/store_db.h"

#define LIST_DEFAULT 50
#define LIST_MAX 1000

static enum peri_status id_of_key(struct peri_tx *tx, const char *key, uint64_t *ret_id, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT id FROM outbox WHERE key=?", err);
    if (st)
        return st;
    peri_stmt_text(&q, key);
    st = peri_stmt_row(&q, &row, err);
    if (!st)
        *ret_id = row ? (uint64_t)peri_stmt_get_int(&q, 0) : 0;
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_outbox_put(
    struct peri_tx *tx, const struct peri_value *message, const char *key, uint64_t *ret_id, struct peri_error *err)
{
    uint64_t id = 0;
    if (!peri_value_is(message, PERI_MAP))
        return peri_error_set(err, PERI_EINVAL, NULL, "a message must be an object");
    enum peri_status st = key ? id_of_key(tx, key, &id, err) : PERI_OK;
    if (st)
        return st;
    if (!id) {
        struct peri_stmt q;
        char *text = peri_json_text(message, PERI_JSON_COMPACT);
        if (!text)
            return peri_error_nomem(err);
        st = peri_stmt_open(&q, tx->db, "INSERT INTO outbox(key,created,message) VALUES(?,?,?)", err);
        if (!st) {
            peri_stmt_text(&q, key);
            peri_stmt_int(&q, tx->now_ms);
            peri_stmt_text(&q, text);
            st = peri_stmt_exec(&q, err);
        }
        free(text);
        id = (uint64_t)sqlite3_last_insert_rowid(tx->db->handle);
    }
    if (!st && ret_id)
        *ret_id = id;
    return st;
}

/* Row: id, created, message. */
static enum peri_status form(struct peri_stmt *q, struct peri_value **ret, struct peri_error *err)
{
    char id[PERI_ID_TEXT];
    struct peri_value *message = NULL, *map = NULL;
    enum peri_status st = peri_stmt_json(q, 2, &message, err);
    if (st)
        return st;
    snprintf(id, sizeof(id), "ob-%" PRId64, peri_stmt_get_int(q, 0));
    map = peri_value_map();
    st = map ? peri_map_put_text(map, "id", id) : PERI_ENOMEM;
    for (void *it = peri_map_first(message); !st && it; it = peri_map_next(message, it)) {
        size_t len;
        const char *key = peri_map_key(it, &len);
        st = peri_map_putn(map, key, len, peri_value_ref(peri_map_item(it)));
    }
    /* After the message's own members, which so can not pretend to be these. */
    if (!st)
        st = peri_map_put_text(map, "id", id);
    if (!st)
        st = peri_map_put_time(map, "created", peri_stmt_get_int(q, 1));
    peri_value_unref(message);
    if (st) {
        peri_value_unref(map);
        return peri_error_nomem(err);
    }
    *ret = map;
    return PERI_OK;
}

enum peri_status peri_reader_outbox(
    struct peri_reader *reader, uint64_t before, size_t limit, struct peri_value **ret_list, struct peri_error *err)
{
    struct peri_stmt q;
    struct peri_value *list = peri_value_list();
    if (!list)
        return peri_error_nomem(err);
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(
        &q, &reader->db, "SELECT id,created,message FROM outbox WHERE id<? ORDER BY id DESC LIMIT ?", err);
    if (!st) {
        bool row = true;
        peri_stmt_int(&q, before && before < INT64_MAX ? (int64_t)before : INT64_MAX);
        peri_stmt_int(&q, limit == 0 ? LIST_DEFAULT : limit > LIST_MAX ? LIST_MAX : (int64_t)limit);
        while (!(st = peri_stmt_row(&q, &row, err)) && row) {
            struct peri_value *v = NULL;
            st = form(&q, &v, err);
            if (!st && peri_list_push(list, v))
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

enum peri_status peri_reader_outbox_item(
    struct peri_reader *reader, uint64_t id, struct peri_value **ret, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db, "SELECT id,created,message FROM outbox WHERE id=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)id);
    st = peri_stmt_row(&q, &row, err);
    if (!st && !row)
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no message ob-%" PRIu64, id);
    if (!st)
        st = form(&q, ret, err);
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_outbox_clear(struct peri_tx *tx, uint64_t *ret_count, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "DELETE FROM outbox", err);
    if (!st)
        st = peri_stmt_exec(&q, err);
    if (!st && ret_count)
        *ret_count = (uint64_t)peri_db_changes(tx->db);
    return st;
}
