/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/id.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "data/json.h"
#include "io/store_data.h"
#include "io/store_db.h"
#include "io/store_index.h"

#define TYPE_MAX_LEN 64
#define ID_MAX_LEN 120
#define EXTERNAL_MAX_LEN 512
#define ATTRS_MAX_LEN ((size_t)1 << 20)

/* Members of the public form that are columns, not fields. */
static const char *const own_members[] = {"id", "type", "source", "externalId", "version", "updatedAt", NULL};

static bool is_own_member(const char *key)
{
    for (size_t i = 0; own_members[i]; i++)
        if (strcmp(own_members[i], key) == 0)
            return true;
    return false;
}

enum peri_status peri_entity_type_check(const char *type, struct peri_error *err)
{
    size_t len = type ? strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;
    if (len == 0 || len > TYPE_MAX_LEN || type[len] || type[0] < 'a')
        return peri_error_set(err, PERI_EINVAL, NULL,
            "\"%.80s\" is not an entity type: use small letters, digits and '_' like"
            " \"calendar_event\"",
            type ? type : "");
    return PERI_OK;
}

bool peri_entity_has_terms(const char *type, const char *field)
{
    for (size_t i = 0; i < sizeof(peri_term_fields) / sizeof(peri_term_fields[0]); i++)
        if (strcmp(peri_term_fields[i].type, type) == 0 && strcmp(peri_term_fields[i].field, field) == 0)
            return true;
    return false;
}

/* ---- times ---- */

static struct peri_value *normal_text(const struct peri_value *v)
{
    size_t len;
    int64_t ms;
    char text[PERI_TIME_TEXT];
    const char *s = peri_value_textn(v, &len);
    /* Cheap tests first; a leap second at the end of 9999 has no four-digit year. */
    if (len < 20 || len > 64 || s[4] != '-' || s[7] != '-' || !peri_time_parse(s, len, &ms) ||
        ms > INT64_C(253402300799999) || ms < INT64_C(-62135596800000))
        return peri_value_ref(v);
    return peri_value_str(peri_time_format(ms, text));
}

static enum peri_status normal(const struct peri_value *v, int depth, struct peri_value **ret, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    struct peri_value *copy = NULL, *item;
    if (depth > PERI_JSON_DEPTH)
        return peri_error_set(err, PERI_ELIMIT, "limit.depth", "nested deeper than %d", PERI_JSON_DEPTH);
    switch (peri_value_type(v)) {
    case PERI_STRING:
        copy = normal_text(v);
        break;
    case PERI_LIST:
        copy = peri_value_list();
        for (size_t i = 0; copy && !st && i < peri_value_count(v); i++) {
            st = normal(peri_list_at(v, i), depth + 1, &item, err);
            if (!st)
                st = peri_list_push(copy, item);
        }
        break;
    case PERI_MAP:
        copy = peri_value_map();
        for (void *it = peri_map_first(v); copy && !st && it; it = peri_map_next(v, it)) {
            size_t len;
            const char *key = peri_map_key(it, &len);
            st = normal(peri_map_item(it), depth + 1, &item, err);
            if (!st)
                st = peri_map_putn(copy, key, len, item);
        }
        break;
    default:
        copy = v ? peri_value_ref(v) : peri_value_null();
    }
    if (!copy || st) {
        peri_value_unref(copy);
        return st == PERI_ELIMIT ? st : peri_error_nomem(err);
    }
    *ret = copy;
    return PERI_OK;
}

enum peri_status peri_entity_normalise(const struct peri_value *v, struct peri_value **ret, struct peri_error *err)
{
    return normal(v, 0, ret, err);
}

/* ---- rows ---- */

void peri_entity_finish(struct peri_entity *entity)
{
    free(entity->id);
    free(entity->source);
    free(entity->external_id);
    peri_value_unref(entity->attrs);
    *entity = (struct peri_entity){0};
}

enum peri_status peri_entity_load(struct peri_stmt *q, struct peri_entity *ret, struct peri_error *err)
{
    struct peri_entity e = {
        .rid = peri_stmt_get_int(q, 0), .version = peri_stmt_get_int(q, 5), .updated = peri_stmt_get_int(q, 6)};
    enum peri_status st = peri_stmt_dup(q, 1, &e.id, err);
    if (!st)
        st = peri_stmt_dup(q, 2, &e.source, err);
    if (!st)
        st = peri_stmt_dup(q, 3, &e.external_id, err);
    if (!st)
        st = peri_stmt_json(q, 4, &e.attrs, err);
    if (!st && !peri_value_is(e.attrs, PERI_MAP))
        st = peri_db_damage(q->db, err, "corrupt.row", "the stored entity %s is damaged", e.id ? e.id : "");
    if (st)
        peri_entity_finish(&e);
    else
        *ret = e;
    return st;
}

enum peri_status peri_entity_value(
    const struct peri_entity *entity, const char *type, struct peri_value **ret, struct peri_error *err)
{
    struct peri_value *map = peri_value_map();
    enum peri_status st = map ? peri_map_put_text(map, "id", entity->id) : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_text(map, "type", type);
    if (!st && entity->source && entity->source[0])
        st = peri_map_put_text(map, "source", entity->source);
    if (!st)
        st = peri_map_put_text(map, "externalId", entity->external_id);
    for (void *it = peri_map_first(entity->attrs); !st && it; it = peri_map_next(entity->attrs, it)) {
        size_t len;
        const char *key = peri_map_key(it, &len);
        st = peri_map_putn(map, key, len, peri_value_ref(peri_map_item(it)));
    }
    if (!st)
        st = peri_map_put_int(map, "version", entity->version);
    if (!st)
        st = peri_map_put_time(map, "updatedAt", entity->updated);
    if (st) {
        peri_value_unref(map);
        return peri_error_nomem(err);
    }
    *ret = map;
    return PERI_OK;
}

/* PERI_ENOTFOUND without a message when there is no such row. */
static enum peri_status find(struct peri_db *db, const char *sql, const char *type, const char *a, const char *b,
    struct peri_entity *ret, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = peri_stmt_open(&q, db, sql, err);
    if (st)
        return st;
    peri_stmt_text(&q, type);
    peri_stmt_text(&q, a);
    if (b)
        peri_stmt_text(&q, b);
    st = peri_stmt_row(&q, &row, err);
    if (!st)
        st = row ? peri_entity_load(&q, ret, err) : PERI_ENOTFOUND;
    peri_stmt_close(&q);
    return st;
}

static enum peri_status find_id(
    struct peri_db *db, const char *type, const char *id, struct peri_entity *ret, struct peri_error *err)
{
    static const char sql[] = "SELECT " PERI_ENTITY_COLUMNS " FROM entities WHERE type=? AND id=?";
    return find(db, sql, type, id, NULL, ret, err);
}

static enum peri_status find_external(struct peri_db *db, const char *type, const char *source, const char *external_id,
    struct peri_entity *ret, struct peri_error *err)
{
    static const char sql[] =
        "SELECT " PERI_ENTITY_COLUMNS " FROM entities WHERE type=? AND source=? AND external_id=?";
    return find(db, sql, type, source, external_id, ret, err);
}

/* ---- which entity a patch means ---- */

struct key {
    const char *id, *source, *external_id; /* borrowed from the patch or from number; NULL when absent */
    char number[24];
};

static enum peri_status key_member(const struct peri_value *patch, const char *name, size_t max, char *number,
    const char **ret, struct peri_error *err)
{
    struct peri_value *v = peri_map_at(patch, name);
    size_t len;
    *ret = NULL;
    if (!v || peri_value_is(v, PERI_NULL))
        return PERI_OK;
    if (number && peri_value_is(v, PERI_INT)) { /* providers' ids are often numbers */
        snprintf(number, 24, "%" PRId64, peri_value_as_int(v));
        *ret = number;
        return PERI_OK;
    }
    const char *s = peri_value_textn(v, &len);
    if (!s || len == 0 || len > max || strlen(s) != len)
        return peri_error_set(err, PERI_EINVAL, NULL, "%s: must be a text of 1 to %zu bytes", name, max);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7F)
            return peri_error_set(err, PERI_EINVAL, NULL, "%s: holds a control character", name);
    *ret = s;
    return PERI_OK;
}

static enum peri_status read_key(const struct peri_value *patch, struct key *ret, struct peri_error *err)
{
    if (!peri_value_is(patch, PERI_MAP))
        return peri_error_set(err, PERI_EINVAL, NULL, "an entity must be an object");
    enum peri_status st = key_member(patch, "id", ID_MAX_LEN, NULL, &ret->id, err);
    if (!st)
        st = key_member(patch, "source", EXTERNAL_MAX_LEN, NULL, &ret->source, err);
    if (!st)
        st = key_member(patch, "externalId", EXTERNAL_MAX_LEN, ret->number, &ret->external_id, err);
    if (!st && ret->external_id && !ret->source)
        ret->source = "";
    return st;
}

static enum peri_status new_id(
    const char *type, const struct key *key, int64_t now_ms, char out[128], struct peri_error *err)
{
    char hex[65];
    if (key->id) {
        snprintf(out, 128, "%s", key->id);
        return PERI_OK;
    }
    if (!key->external_id) {
        enum peri_status st = peri_ulid(now_ms, out);
        return st ? peri_error_set(err, st, NULL, "no random bytes") : PERI_OK;
    }
    char *text = peri_asprintf("%s\n%s\n%s", type, key->source, key->external_id);
    if (!text)
        return peri_error_nomem(err);
    peri_sha256_hex(text, strlen(text), hex);
    free(text);
    snprintf(out, 128, "%s-%.20s", type, hex);
    return PERI_OK;
}

/* *ret_found: row holds the entity. */
static enum peri_status resolve(struct peri_db *db, const char *type, const struct key *key, int64_t now_ms,
    char out[128], struct peri_entity *row, bool *ret_found, struct peri_error *err)
{
    enum peri_status st = PERI_ENOTFOUND;
    if (key->id)
        st = find_id(db, type, key->id, row, err);
    else if (key->external_id)
        st = find_external(db, type, key->source, key->external_id, row, err);
    *ret_found = st == PERI_OK;
    if (st == PERI_ENOTFOUND)
        return new_id(type, key, now_ms, out, err);
    if (!st)
        snprintf(out, 128, "%s", row->id);
    return st;
}

enum peri_status peri_entity_id(struct peri_reader *reader, const char *type, const struct peri_value *patch,
    int64_t now_ms, char out[128], struct peri_error *err)
{
    struct key key = {0};
    struct peri_entity row = {0};
    bool found;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_entity_type_check(type, err);
    if (!st)
        st = read_key(patch, &key, err);
    if (!st)
        st = resolve(&reader->db, type, &key, now_ms, out, &row, &found, err);
    peri_entity_finish(&row);
    return st;
}

/* ---- terms ---- */

static enum peri_status term(struct peri_tx *tx, const char *sql, const char *type, const char *field,
    const struct peri_value *v, int64_t rid, struct peri_error *err)
{
    struct peri_stmt q;
    size_t len;
    enum peri_status st = peri_stmt_open(&q, tx->db, sql, err);
    if (st)
        return st;
    peri_stmt_text(&q, type);
    peri_stmt_text(&q, field);
    const char *s = peri_value_textn(v, &len);
    if (s)
        peri_stmt_textn(&q, s, len);
    else
        peri_stmt_int(&q, peri_value_as_int(v));
    peri_stmt_int(&q, rid);
    return peri_stmt_exec(&q, err);
}

static enum peri_status terms_of(struct peri_tx *tx, const char *sql, const char *type, const struct peri_value *attrs,
    int64_t rid, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    for (size_t i = 0; !st && i < sizeof(peri_term_fields) / sizeof(peri_term_fields[0]); i++) {
        if (strcmp(peri_term_fields[i].type, type) != 0)
            continue;
        const struct peri_value *list = peri_map_at(attrs, peri_term_fields[i].field);
        for (size_t k = 0; !st && k < peri_value_count(list); k++) {
            const struct peri_value *v = peri_list_at(list, k);
            if (peri_value_is(v, PERI_STRING) || peri_value_is(v, PERI_INT))
                st = term(tx, sql, type, peri_term_fields[i].field, v, rid, err);
        }
    }
    return st;
}

static enum peri_status change_terms(struct peri_tx *tx, const char *type, const struct peri_value *before,
    const struct peri_value *after, int64_t rid, struct peri_error *err)
{
    static const char drop[] = "DELETE FROM entity_terms WHERE type=? AND field=? AND term=? AND rid=?";
    static const char add[] = "INSERT OR IGNORE INTO entity_terms(type,field,term,rid) VALUES(?,?,?,?)";
    enum peri_status st = before ? terms_of(tx, drop, type, before, rid, err) : PERI_OK;
    if (!st && after)
        st = terms_of(tx, add, type, after, rid, err);
    return st;
}

enum peri_status peri_entity_terms_add(
    struct peri_tx *tx, const char *type, const struct peri_value *attrs, int64_t rid, struct peri_error *err)
{
    return change_terms(tx, type, NULL, attrs, rid, err);
}

/* ---- writing ---- */

/* before (may be NULL) with patch over it. */
static enum peri_status merge(
    const struct peri_value *before, const struct peri_value *patch, struct peri_value **ret, struct peri_error *err)
{
    struct peri_value *map = before ? peri_value_copy(before) : peri_value_map();
    enum peri_status st = map ? PERI_OK : peri_error_nomem(err);
    for (void *it = peri_map_first(patch); !st && it; it = peri_map_next(patch, it)) {
        size_t len;
        const char *key = peri_map_key(it, &len);
        struct peri_value *item = NULL;
        if (strlen(key) != len)
            st = peri_error_set(err, PERI_EINVAL, NULL, "a field's name holds a NUL character");
        else if (is_own_member(key))
            continue;
        else if (peri_value_is(peri_map_item(it), PERI_NULL))
            peri_map_drop(map, key);
        else if (!(st = peri_entity_normalise(peri_map_item(it), &item, err)) && peri_map_put(map, key, item))
            st = peri_error_nomem(err);
    }
    if (st)
        peri_value_unref(map);
    else
        *ret = map;
    return st;
}

static enum peri_status replace_text(char **to, const char *text, struct peri_error *err)
{
    char *copy = peri_strdup(text);
    if (text && !copy)
        return peri_error_nomem(err);
    free(*to);
    *to = copy;
    return PERI_OK;
}

/* e holds the new state; rid 0: not stored yet. */
static enum peri_status write_row(struct peri_tx *tx, const char *type, struct peri_entity *e, struct peri_error *err)
{
    struct peri_stmt q;
    char *text = peri_json_text(e->attrs, PERI_JSON_COMPACT);
    if (!text)
        return peri_error_nomem(err);
    enum peri_status st = PERI_OK;
    if (strlen(text) > ATTRS_MAX_LEN)
        st = peri_error_set(err, PERI_ELIMIT, "limit.entity", "%s %s takes %zu bytes, allowed are %zu", type, e->id,
            strlen(text), ATTRS_MAX_LEN);
    else
        st = peri_stmt_open(&q, tx->db,
            e->rid
                ? "UPDATE entities SET type=?,id=?,source=?,external_id=?,attrs=?,version=?,updated=?"
                  " WHERE rid=?"
                : "INSERT INTO entities(type,id,source,external_id,attrs,version,updated,seq) VALUES(?,?,?,?,?,?,?,?)",
            err);
    if (!st) {
        peri_stmt_text(&q, type);
        peri_stmt_text(&q, e->id);
        peri_stmt_text(&q, e->source);
        peri_stmt_text(&q, e->external_id);
        peri_stmt_text(&q, text);
        peri_stmt_int(&q, e->version);
        peri_stmt_int(&q, e->updated);
        peri_stmt_int(&q, e->rid ? e->rid : (int64_t)(tx->entity_seq ? tx->entity_seq : tx->next_seq - 1));
        st = peri_stmt_exec(&q, err);
        if (st == PERI_EEXIST)
            peri_error_set(err, st, NULL, "another %s has source \"%s\" and externalId \"%s\" already", type,
                e->source ? e->source : "", e->external_id ? e->external_id : "");
        else if (!st && !e->rid)
            e->rid = sqlite3_last_insert_rowid(tx->db->handle);
    }
    free(text);
    return st;
}

static bool changed(const struct peri_entity *e, const struct peri_value *attrs, const struct key *key)
{
    return !peri_value_equal(e->attrs, attrs) || (key->source && !peri_streq(key->source, e->source)) ||
           (key->external_id && !peri_streq(key->external_id, e->external_id));
}

/* attrs: taken over on success. */
static enum peri_status store_entity(struct peri_tx *tx, const char *type, struct peri_entity *e, const struct key *key,
    struct peri_value *attrs, struct peri_error *err)
{
    struct peri_value *before = e->attrs;
    enum peri_status st = PERI_OK;
    if (key->source)
        st = replace_text(&e->source, key->source, err);
    if (!st && key->external_id)
        st = replace_text(&e->external_id, key->external_id, err);
    if (st)
        return st;
    e->attrs = attrs;
    e->version++;
    e->updated = tx->now_ms;
    st = write_row(tx, type, e, err);
    if (!st)
        st = change_terms(tx, type, before, attrs, e->rid, err);
    if (st)
        e->attrs = before;
    else
        peri_value_unref(before);
    return st;
}

enum peri_status peri_tx_entity_put(struct peri_tx *tx, const char *type, const struct peri_value *patch,
    struct peri_value **ret, bool *ret_created, struct peri_error *err)
{
    struct key key = {0};
    struct peri_entity e = {0};
    struct peri_value *attrs = NULL, *value = NULL;
    char id[128];
    bool found = false;
    enum peri_status st = peri_entity_type_check(type, err);
    if (!st)
        st = read_key(patch, &key, err);
    if (!st)
        st = resolve(tx->db, type, &key, tx->now_ms, id, &e, &found, err);
    if (!st)
        st = merge(e.attrs, patch, &attrs, err);
    if (!st && !found)
        st = replace_text(&e.id, id, err);
    if (!st && (!found || changed(&e, attrs, &key))) {
        st = store_entity(tx, type, &e, &key, attrs, err);
        if (!st)
            attrs = NULL;
    }
    if (!st && ret)
        st = peri_entity_value(&e, type, &value, err);
    if (!st) {
        if (ret)
            *ret = value;
        if (ret_created)
            *ret_created = !found;
    }
    peri_value_unref(attrs);
    peri_entity_finish(&e);
    return st;
}

enum peri_status peri_tx_entity_delete(
    struct peri_tx *tx, const char *type, const char *id, bool *ret_existed, struct peri_error *err)
{
    struct peri_entity e = {0};
    struct peri_stmt q;
    enum peri_status st = peri_entity_type_check(type, err);
    if (!st)
        st = find_id(tx->db, type, id, &e, err);
    if (st == PERI_ENOTFOUND) {
        if (ret_existed)
            *ret_existed = false;
        return PERI_OK;
    }
    if (!st)
        st = change_terms(tx, type, e.attrs, NULL, e.rid, err);
    if (!st)
        st = peri_stmt_open(&q, tx->db, "DELETE FROM entities WHERE rid=?", err);
    if (!st) {
        peri_stmt_int(&q, e.rid);
        st = peri_stmt_exec(&q, err);
    }
    if (!st && ret_existed)
        *ret_existed = true;
    peri_entity_finish(&e);
    return st;
}

enum peri_status peri_reader_entity(
    struct peri_reader *reader, const char *type, const char *id, struct peri_value **ret, struct peri_error *err)
{
    struct peri_entity e = {0};
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_entity_type_check(type, err);
    if (!st)
        st = find_id(&reader->db, type, id, &e, err);
    if (st == PERI_ENOTFOUND)
        return peri_error_set(err, st, NULL, "there is no %s %s", type, id);
    if (!st)
        st = peri_entity_value(&e, type, ret, err);
    peri_entity_finish(&e);
    return st;
}
