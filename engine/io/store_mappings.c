/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_mappings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "io/store_db.h"

#define LIST_DEFAULT 50
#define LIST_MAX 1000
#define TEXT_MAX 255
#define DATA_MAX 65536
#define COLUMNS "id,source,type,key,external_id,data,updated"

char *peri_mapping_id(uint64_t id, char out[32])
{
    snprintf(out, 32, "map-%" PRIu64, id);
    return out;
}

bool peri_mapping_id_parse(const char *text, uint64_t *ret)
{
    long long n;
    if (!text || !peri_str_starts(text, "map-") || !peri_parse_i64(text + 4, &n) || n <= 0)
        return false;
    *ret = (uint64_t)n;
    return true;
}

static enum peri_status check_text(const char *what, const char *text, struct peri_error *err)
{
    size_t n = text ? strlen(text) : 0;
    return n >= 1 && n <= TEXT_MAX ? PERI_OK
                                   : peri_error_set(err, PERI_EINVAL, "bad_argument",
                                         "%s of a mapping is a text of 1 to %d bytes", what, TEXT_MAX);
}

static enum peri_status check(const struct peri_mapping *m, struct peri_error *err)
{
    enum peri_status st = check_text("source", m->source, err);
    if (!st)
        st = check_text("type", m->type, err);
    if (!st)
        st = check_text("key", m->key, err);
    return st ? st : check_text("external_id", m->external_id, err);
}

enum peri_status peri_mapping_read(const struct peri_value *map, struct peri_mapping *ret, struct peri_error *err)
{
    *ret = (struct peri_mapping){.source = peri_map_text(map, "source"),
        .type = peri_map_text(map, "type"),
        .key = peri_map_text(map, "key"),
        .external_id = peri_map_text(map, "external_id"),
        .data = peri_map_at(map, "data")};
    return check(ret, err);
}

/* The key that has this external id, when it is another one. */
static enum peri_status check_free(struct peri_tx *tx, const struct peri_mapping *m, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = peri_stmt_open(
        &q, tx->db, "SELECT key FROM mappings WHERE source=? AND type=? AND external_id=? AND key<>?", err);
    if (st)
        return st;
    peri_stmt_text(&q, m->source);
    peri_stmt_text(&q, m->type);
    peri_stmt_text(&q, m->external_id);
    peri_stmt_text(&q, m->key);
    st = peri_stmt_row(&q, &row, err);
    if (!st && row)
        st = peri_error_set(err, PERI_EEXIST, "mapping.conflict", "%s %s is mapped to %s already, not to %s", m->type,
            m->external_id, peri_stmt_get_text(&q, 0), m->key);
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_mapping_put(
    struct peri_tx *tx, const struct peri_mapping *m, uint64_t *ret_id, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = check(m, err);
    if (!st)
        st = check_free(tx, m, err);
    if (st)
        return st;
    char *text = m->data ? peri_json_text(m->data, PERI_JSON_COMPACT) : NULL;
    if (m->data && !text)
        return peri_error_nomem(err);
    if (text && strlen(text) > DATA_MAX) {
        free(text);
        return peri_error_set(err, PERI_ELIMIT, "too_large", "data of a mapping has at most %d bytes", DATA_MAX);
    }
    st = peri_stmt_open(&q, tx->db,
        "INSERT INTO mappings(source,type,key,external_id,data,updated) VALUES(?,?,?,?,?,?)"
        " ON CONFLICT(source,type,key) DO UPDATE SET external_id=excluded.external_id, data=excluded.data,"
        " updated=excluded.updated RETURNING id",
        err);
    if (!st) {
        peri_stmt_text(&q, m->source);
        peri_stmt_text(&q, m->type);
        peri_stmt_text(&q, m->key);
        peri_stmt_text(&q, m->external_id);
        peri_stmt_text(&q, text);
        peri_stmt_int(&q, tx->now_ms);
        st = peri_stmt_row(&q, &row, err);
        if (!st && ret_id)
            *ret_id = (uint64_t)peri_stmt_get_int(&q, 0);
        while (!st && row)
            st = peri_stmt_row(&q, &row, err);
        peri_stmt_close(&q);
    }
    free(text);
    return st;
}

enum peri_status peri_tx_mapping_delete(struct peri_tx *tx, uint64_t id, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "DELETE FROM mappings WHERE id=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)id);
    st = peri_stmt_exec(&q, err);
    if (!st && peri_db_changes(tx->db) == 0)
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no mapping map-%" PRIu64, id);
    return st;
}

enum peri_status peri_tx_mapping_delete_key(
    struct peri_tx *tx, const char *source, const char *type, const char *key, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "DELETE FROM mappings WHERE source=? AND type=? AND key=?", err);
    if (st)
        return st;
    peri_stmt_text(&q, source);
    peri_stmt_text(&q, type);
    peri_stmt_text(&q, key);
    return peri_stmt_exec(&q, err);
}

static enum peri_status form(struct peri_stmt *q, struct peri_value **ret, struct peri_error *err)
{
    char id[32];
    struct peri_value *map = peri_value_map(), *data = NULL;
    enum peri_status st = peri_stmt_json(q, 5, &data, err);
    if (!st)
        st = map ? peri_map_put_text(map, "id", peri_mapping_id((uint64_t)peri_stmt_get_int(q, 0), id)) : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_text(map, "source", peri_stmt_get_text(q, 1));
    if (!st)
        st = peri_map_put_text(map, "type", peri_stmt_get_text(q, 2));
    if (!st)
        st = peri_map_put_text(map, "key", peri_stmt_get_text(q, 3));
    if (!st)
        st = peri_map_put_text(map, "external_id", peri_stmt_get_text(q, 4));
    if (!st && data)
        st = peri_map_put_ref(map, "data", data);
    if (!st)
        st = peri_map_put_time(map, "updated", peri_stmt_get_int(q, 6));
    peri_value_unref(data);
    if (st)
        peri_value_unref(map);
    else
        *ret = map;
    return st;
}

enum peri_status peri_reader_mappings(struct peri_reader *reader, const struct peri_mapping_filter *f,
    struct peri_value **ret_list, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    int64_t limit = f->limit == 0 ? LIST_DEFAULT : f->limit > LIST_MAX ? LIST_MAX : (int64_t)f->limit;
    struct peri_value *list = peri_value_list();
    if (!list)
        return peri_error_nomem(err);
    peri_db_limit(&reader->db, PERI_READ_NS);
    /* With source, type and one of the two others an index finds it; else the ids are walked. */
    enum peri_status st = f->key && f->source && f->type
                              ? peri_stmt_open(&q, &reader->db,
                                    "SELECT " COLUMNS " FROM mappings WHERE source=?1 AND type=?2 AND key=?3"
                                    " AND (?4 IS NULL OR external_id=?4) AND id>?5 LIMIT ?6",
                                    err)
                          : f->external_id && f->source && f->type
                              ? peri_stmt_open(&q, &reader->db,
                                    "SELECT " COLUMNS " FROM mappings WHERE source=?1 AND type=?2 AND external_id=?4"
                                    " AND (?3 IS NULL OR key=?3) AND id>?5 LIMIT ?6",
                                    err)
                              : peri_stmt_open(&q, &reader->db,
                                    "SELECT " COLUMNS " FROM mappings WHERE (?1 IS NULL OR source=?1)"
                                    " AND (?2 IS NULL OR type=?2) AND (?3 IS NULL OR key=?3)"
                                    " AND (?4 IS NULL OR external_id=?4) AND id>?5 ORDER BY id LIMIT ?6",
                                    err);
    if (!st) {
        peri_stmt_text(&q, f->source);
        peri_stmt_text(&q, f->type);
        peri_stmt_text(&q, f->key);
        peri_stmt_text(&q, f->external_id);
        peri_stmt_int(&q, (int64_t)f->after);
        peri_stmt_int(&q, limit);
        while (!st && row) {
            struct peri_value *v = NULL;
            st = peri_stmt_row(&q, &row, err);
            if (!st && row)
                st = form(&q, &v, err);
            if (v)
                st = peri_list_push(list, v);
        }
        peri_stmt_close(&q);
    }
    if (st)
        peri_value_unref(list);
    else
        *ret_list = list;
    return st;
}

enum peri_status peri_reader_mapping(
    struct peri_reader *reader, uint64_t id, struct peri_value **ret, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db, "SELECT " COLUMNS " FROM mappings WHERE id=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)id);
    st = peri_stmt_row(&q, &row, err);
    if (!st && !row)
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no mapping map-%" PRIu64, id);
    if (!st)
        st = form(&q, ret, err);
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_reader_mapping_count(
    struct peri_reader *reader, const char *source, int64_t *ret, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db, "SELECT count(*) FROM mappings WHERE source=?", err);
    if (st)
        return st;
    peri_stmt_text(&q, source);
    st = peri_stmt_row(&q, &row, err);
    if (!st)
        *ret = row ? peri_stmt_get_int(&q, 0) : 0;
    peri_stmt_close(&q);
    return st;
}
