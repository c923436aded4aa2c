/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include "data/json.h"
#include "io/store_data.h"
#include "io/store_db.h"

#define LIST_MAX 10000

static enum peri_status kv_delete(struct peri_tx *tx, const char *plugin, const char *key, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "DELETE FROM kv WHERE plugin=? AND key=?", err);
    if (st)
        return st;
    peri_stmt_text(&q, plugin);
    peri_stmt_text(&q, key);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_kv_set(struct peri_tx *tx, const char *plugin, const char *key, const struct peri_value *value,
    int64_t expires_ms, struct peri_error *err)
{
    if (!value)
        return kv_delete(tx, plugin, key, err);
    char *text = peri_json_text(value, PERI_JSON_COMPACT);
    if (!text)
        return peri_error_nomem(err);
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db,
        "INSERT INTO kv(plugin,key,value,version,expires) VALUES(?,?,?,1,?)"
        " ON CONFLICT(plugin,key) DO UPDATE SET value=excluded.value, version=version+1, expires=excluded.expires",
        err);
    if (!st) {
        peri_stmt_text(&q, plugin);
        peri_stmt_text(&q, key);
        peri_stmt_text(&q, text);
        peri_stmt_int(&q, expires_ms);
        st = peri_stmt_exec(&q, err);
    }
    free(text);
    return st;
}

enum peri_status peri_tx_kv_swap(struct peri_tx *tx, const char *plugin, const char *key,
    const struct peri_value *expected, const struct peri_value *value, int64_t expires_ms, int64_t now_ms,
    bool *ret_set, struct peri_error *err)
{
    struct peri_stmt q;
    struct peri_value *stored = NULL;
    bool row = false;
    enum peri_status st =
        peri_stmt_open(&q, tx->db, "SELECT value FROM kv WHERE plugin=? AND key=? AND (expires=0 OR expires>?)", err);
    if (st)
        return st;
    peri_stmt_text(&q, plugin);
    peri_stmt_text(&q, key);
    peri_stmt_int(&q, now_ms);
    st = peri_stmt_row(&q, &row, err);
    if (!st && row)
        st = peri_stmt_json(&q, 0, &stored, err);
    peri_stmt_close(&q);
    bool same = stored && expected ? peri_value_equal(stored, expected) : !stored && !expected;
    peri_value_unref(stored);
    if (!st && same)
        st = peri_tx_kv_set(tx, plugin, key, value, expires_ms, err);
    if (!st)
        *ret_set = same;
    return st;
}

enum peri_status peri_reader_kv_get(struct peri_reader *reader, const char *plugin, const char *key, int64_t now_ms,
    struct peri_value **ret, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(
        &q, &reader->db, "SELECT value FROM kv WHERE plugin=? AND key=? AND (expires=0 OR expires>?)", err);
    if (st)
        return st;
    peri_stmt_text(&q, plugin);
    peri_stmt_text(&q, key);
    peri_stmt_int(&q, now_ms);
    st = peri_stmt_row(&q, &row, err);
    if (!st && !row)
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "nothing is stored under \"%s\"", key);
    if (!st)
        st = peri_stmt_json(&q, 0, ret, err);
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_reader_kv_size(struct peri_reader *reader, const char *plugin, int64_t now_ms, int64_t *ret_keys,
    int64_t *ret_bytes, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db,
        "SELECT count(*), ifnull(sum(length(CAST(key AS BLOB))+length(CAST(value AS BLOB))),0) FROM kv"
        " WHERE plugin=? AND (expires=0 OR expires>?)",
        err);
    if (st)
        return st;
    peri_stmt_text(&q, plugin);
    peri_stmt_int(&q, now_ms);
    st = peri_stmt_row(&q, &row, err);
    if (!st && row) {
        *ret_keys = peri_stmt_get_int(&q, 0);
        *ret_bytes = peri_stmt_get_int(&q, 1);
    }
    peri_stmt_close(&q);
    return st;
}

static enum peri_status push_keys(
    struct peri_stmt *q, const char *prefix, size_t limit, struct peri_value *list, struct peri_error *err)
{
    size_t plen = strlen(prefix);
    while (peri_value_count(list) < limit) {
        bool row = false;
        enum peri_status st = peri_stmt_row(q, &row, err);
        if (st || !row)
            return st;
        const char *key = peri_stmt_get_text(q, 0);
        size_t len = peri_stmt_get_bytes(q, 0);
        /* Keys are in byte order: the first that starts otherwise ends the range. */
        if (!key || len < plen || memcmp(key, prefix, plen) != 0)
            return PERI_OK;
        if (peri_list_push(list, peri_value_strn(key, len)))
            return peri_error_nomem(err);
    }
    return PERI_OK;
}

enum peri_status peri_reader_kv_list(struct peri_reader *reader, const char *plugin, const char *prefix, int64_t now_ms,
    size_t limit, struct peri_value **ret, struct peri_error *err)
{
    struct peri_stmt q;
    struct peri_value *list = peri_value_list();
    if (!list)
        return peri_error_nomem(err);
    if (!prefix)
        prefix = "";
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(
        &q, &reader->db, "SELECT key FROM kv WHERE plugin=? AND key>=? AND (expires=0 OR expires>?) ORDER BY key", err);
    if (!st) {
        peri_stmt_text(&q, plugin);
        peri_stmt_text(&q, prefix);
        peri_stmt_int(&q, now_ms);
        st = push_keys(&q, prefix, limit == 0 || limit > LIST_MAX ? LIST_MAX : limit, list, err);
        peri_stmt_close(&q);
    }
    if (st)
        peri_value_unref(list);
    else
        *ret = list;
    return st;
}
