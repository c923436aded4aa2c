/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/str.h"

enum peri_status peri_db_meta_get(struct peri_db *db, const char *key, char **ret, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    *ret = NULL;
    enum peri_status st = peri_stmt_open(&q, db, "SELECT v FROM meta WHERE k=?", err);
    if (st)
        return st;
    peri_stmt_text(&q, key);
    st = peri_stmt_row(&q, &row, err);
    if (!st && row)
        st = peri_stmt_dup(&q, 0, ret, err);
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_db_meta_int(struct peri_db *db, const char *key, int64_t fallback, int64_t *ret, struct peri_error *err)
{
    char *text = NULL;
    long long v;
    enum peri_status st = peri_db_meta_get(db, key, &text, err);
    if (!st)
        *ret = text && peri_parse_i64(text, &v) ? v : fallback;
    free(text);
    return st;
}

enum peri_status peri_db_meta_set(struct peri_db *db, const char *key, const char *value, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, db, "INSERT INTO meta(k,v) VALUES(?,?) ON CONFLICT(k) DO UPDATE SET v=excluded.v",
        err);
    if (st)
        return st;
    peri_stmt_text(&q, key);
    peri_stmt_text(&q, value);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_db_meta_set_int(struct peri_db *db, const char *key, int64_t value, struct peri_error *err)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, value);
    return peri_db_meta_set(db, key, text, err);
}

enum peri_status peri_tx_meta_set(struct peri_tx *tx, const char *key, const char *value, struct peri_error *err)
{
    return peri_db_meta_set(tx->db, key, value, err);
}

enum peri_status peri_reader_meta(struct peri_reader *reader, const char *key, char **ret, struct peri_error *err)
{
    peri_db_limit(&reader->db, PERI_READ_NS);
    char *text = NULL;
    enum peri_status st = peri_db_meta_get(&reader->db, key, &text, err);
    if (st)
        return st;
    if (!text)
        return peri_error_set(err, PERI_ENOTFOUND, NULL, "nothing is kept under \"%s\"", key);
    *ret = text;
    return PERI_OK;
}
