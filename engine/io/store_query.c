/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "io/store_data.h"
#include "io/store_db.h"

/* A query of entities as SQL. Field names are checked and become part of the text, because an index over an expression
 * is only found by the same text; values are always bound. `attrs->>'$.f'` is NULL, an integer (also for booleans), a
 * real or a text, and SQLite orders them numbers < texts: that is how a range is kept to values of its own kind. */

#define LIMIT_DEFAULT 100
#define LIMIT_MAX 10000
#define FIELD_MAX 128
#define BINDS_MAX 1000
#define ORDER_MAX 8
#define SQL_MAX ((size_t)256 << 10)

struct bind {
    struct peri_value *value; /* scalar; or NULL and text */
    char *text;
};

struct builder {
    struct peri_buf sql;
    const char *type;
    size_t count;
    struct peri_error *err;
    struct bind binds[BINDS_MAX]; /* the last member: those below count are set, the others are never touched */
};

static struct builder *builder_create(struct peri_error *err)
{
    struct builder *b = malloc(sizeof(*b));
    if (b) {
        memset(b, 0, offsetof(struct builder, binds));
        b->err = err;
        peri_buf_init(&b->sql, SQL_MAX);
    }
    return b;
}

static void builder_finish(struct builder *b)
{
    for (size_t i = 0; i < b->count; i++) {
        peri_value_unref(b->binds[i].value);
        free(b->binds[i].text);
    }
    peri_buf_finish(&b->sql);
    free(b);
}

/* ---- fields ---- */

static const struct {
    const char *field, *column;
} columns[] = {
    {"id", "id"},
    {"type", "type"},
    {"source", "source"},
    {"externalId", "external_id"},
    {"version", "version"},
    {"updatedAt", "updated"},
};

static bool field_ok(const char *s, size_t len)
{
    bool start = true;
    if (len == 0 || len > FIELD_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '_';
        if (s[i] == '.' ? start : !letter && (start || s[i] < '0' || s[i] > '9'))
            return false;
        start = s[i] == '.';
    }
    return !start;
}

static enum peri_status check_field(struct builder *b, const char *s, size_t len)
{
    if (field_ok(s, len))
        return PERI_OK;
    return peri_error_set(b->err, PERI_EINVAL, NULL,
        "\"%.*s\" is not a field name: letters, digits and '_', with '.' between"
        " the parts of a path",
        (int)(len < 80 ? len : 80), s);
}

/* Writes the expression of a checked field. Must give the text of PERI_FIELD. */
static void put_field(struct builder *b, const char *s, size_t len)
{
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        if (strlen(columns[i].field) == len && memcmp(columns[i].field, s, len) == 0) {
            peri_buf_puts(&b->sql, columns[i].column);
            return;
        }
    }
    peri_buf_puts(&b->sql, "attrs->>'$.");
    peri_buf_append(&b->sql, s, len);
    peri_buf_putc(&b->sql, '\'');
}

/* ---- values ---- */

static bool is_scalar(const struct peri_value *v)
{
    return !peri_value_is(v, PERI_LIST) && !peri_value_is(v, PERI_MAP);
}

static enum peri_status take_bind(struct builder *b, struct peri_value *value, char *text)
{
    if (b->count == BINDS_MAX || (!value && !text)) {
        bool full = b->count == BINDS_MAX;
        peri_value_unref(value);
        free(text);
        return full ? peri_error_set(b->err, PERI_ELIMIT, "limit.query", "more than %d values in one query", BINDS_MAX)
                    : peri_error_nomem(b->err);
    }
    b->binds[b->count++] = (struct bind){value, text};
    return PERI_OK;
}

/* Adds the value for the next '?'. */
static enum peri_status bind(struct builder *b, const char *field, const struct peri_value *v)
{
    struct peri_value *normal = NULL;
    if (!is_scalar(v))
        return peri_error_set(b->err, PERI_EINVAL, NULL, "%s: compare with a text, a number, a boolean or null", field);
    if (strcmp(field, "updatedAt") == 0 && !peri_value_is(v, PERI_NULL)) {
        size_t len = 0;
        int64_t ms;
        const char *s = peri_value_textn(v, &len);
        if (!s || !peri_time_parse(s, len, &ms))
            return peri_error_set(
                b->err, PERI_EINVAL, NULL, "updatedAt: compare with a time like 2026-01-02T03:04:05Z");
        return take_bind(b, peri_value_int(ms), NULL);
    }
    enum peri_status st = peri_entity_normalise(v, &normal, b->err);
    return st ? st : take_bind(b, normal, NULL);
}

static void bind_all(struct builder *b, struct peri_stmt *q)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct peri_value *v = b->binds[i].value;
        size_t len;
        const char *s;
        switch (peri_value_type(v)) {
        case PERI_NULL:
            peri_stmt_text(q, b->binds[i].text);
            break;
        case PERI_BOOL:
            peri_stmt_int(q, peri_value_as_bool(v));
            break;
        case PERI_INT:
            peri_stmt_int(q, peri_value_as_int(v));
            break;
        case PERI_REAL:
            peri_stmt_real(q, peri_value_as_real(v));
            break;
        default:
            s = peri_value_textn(v, &len);
            peri_stmt_textn(q, s, len);
        }
    }
}

/* ---- conditions ---- */

/* What one field is compared with. */
struct cond {
    const char *field;
    size_t len;
    const struct peri_value *all; /* the map of operators, or NULL */
};

static void put(struct builder *b, const struct cond *c, const char *before, const char *after)
{
    peri_buf_puts(&b->sql, before);
    put_field(b, c->field, c->len);
    peri_buf_puts(&b->sql, after);
}

static enum peri_status op_eq(struct builder *b, const struct cond *c, const struct peri_value *v)
{
    if (peri_value_is(v, PERI_NULL)) {
        put(b, c, " AND ", " IS NULL");
        return PERI_OK;
    }
    put(b, c, " AND ", "=?");
    return bind(b, c->field, v);
}

static enum peri_status op_ne(struct builder *b, const struct cond *c, const struct peri_value *v)
{
    if (peri_value_is(v, PERI_NULL)) {
        put(b, c, " AND ", " IS NOT NULL");
        return PERI_OK;
    }
    put(b, c, " AND ", " IS NOT ?");
    return bind(b, c->field, v);
}

static enum peri_status op_in(struct builder *b, const struct cond *c, const struct peri_value *v)
{
    enum peri_status st = PERI_OK;
    bool null = false, first = true;
    if (!peri_value_is(v, PERI_LIST))
        return peri_error_set(b->err, PERI_EINVAL, NULL, "%s: \"in\" takes a list", c->field);
    put(b, c, " AND (", " IN (");
    for (size_t i = 0; !st && i < peri_value_count(v); i++) {
        const struct peri_value *item = peri_list_at(v, i);
        if (peri_value_is(item, PERI_NULL)) {
            null = true;
            continue;
        }
        peri_buf_puts(&b->sql, first ? "?" : ",?");
        first = false;
        st = bind(b, c->field, item);
    }
    peri_buf_puts(&b->sql, ")");
    if (null)
        put(b, c, " OR ", " IS NULL");
    peri_buf_puts(&b->sql, ")");
    return st;
}

static enum peri_status range(struct builder *b, const struct cond *c, const struct peri_value *v, const char *op)
{
    bool lower = op[0] == '>', text = peri_value_is(v, PERI_STRING);
    if (!text && !peri_value_is_number(v))
        return peri_error_set(b->err, PERI_EINVAL, NULL, "%s: order is known for texts and numbers only", c->field);
    put(b, c, " AND ", op);
    enum peri_status st = bind(b, c->field, v);
    if (st || strcmp(c->field, "updatedAt") == 0)
        return st;
    /* Numbers sort below all texts: shut the open side, unless another operator does. */
    if (lower && !text && !peri_map_at(c->all, "lt") && !peri_map_at(c->all, "lte"))
        put(b, c, " AND ", "<''");
    if (!lower && text && !peri_map_at(c->all, "gt") && !peri_map_at(c->all, "gte"))
        put(b, c, " AND ", ">=''");
    return PERI_OK;
}

static enum peri_status op_gt(struct builder *b, const struct cond *c, const struct peri_value *v)
{
    return range(b, c, v, ">?");
}

static enum peri_status op_gte(struct builder *b, const struct cond *c, const struct peri_value *v)
{
    return range(b, c, v, ">=?");
}

static enum peri_status op_lt(struct builder *b, const struct cond *c, const struct peri_value *v)
{
    return range(b, c, v, "<?");
}

static enum peri_status op_lte(struct builder *b, const struct cond *c, const struct peri_value *v)
{
    return range(b, c, v, "<=?");
}

/* Texts that start with p are those from p up to p with its last byte one higher (UTF-8 never holds 0xFF). */
static enum peri_status op_prefix(struct builder *b, const struct cond *c, const struct peri_value *v)
{
    size_t len;
    const char *s = peri_value_textn(v, &len);
    if (!s || strlen(s) != len)
        return peri_error_set(b->err, PERI_EINVAL, NULL, "%s: \"prefix\" takes a text", c->field);
    if (len == 0) {
        put(b, c, " AND ", ">=''");
        return PERI_OK;
    }
    put(b, c, " AND ", ">=?");
    enum peri_status st = take_bind(b, NULL, peri_strndup(s, len));
    if (st)
        return st;
    put(b, c, " AND ", "<?");
    char *upper = peri_strndup(s, len);
    if (upper)
        upper[len - 1] = (char)((unsigned char)upper[len - 1] + 1);
    return take_bind(b, NULL, upper);
}

static enum peri_status op_exists(struct builder *b, const struct cond *c, const struct peri_value *v)
{
    if (!peri_value_is(v, PERI_BOOL))
        return peri_error_set(b->err, PERI_EINVAL, NULL, "%s: \"exists\" takes true or false", c->field);
    put(b, c, " AND ", peri_value_as_bool(v) ? " IS NOT NULL" : " IS NULL");
    return PERI_OK;
}

static enum peri_status op_contains(struct builder *b, const struct cond *c, const struct peri_value *v)
{
    if (peri_value_is(v, PERI_NULL))
        return peri_error_set(
            b->err, PERI_EINVAL, NULL, "%s: \"contains\" takes a text, a number or a boolean", c->field);
    bool term = peri_value_is(v, PERI_STRING) || peri_value_is(v, PERI_INT);
    if (term && peri_entity_has_terms(b->type, c->field))
        peri_buf_printf(&b->sql,
            " AND rid IN (SELECT rid FROM entity_terms WHERE type='%s' AND field='%.*s' AND term=?)", b->type,
            (int)c->len, c->field);
    else
        peri_buf_printf(&b->sql,
            " AND json_type(attrs,'$.%.*s')='array' AND EXISTS(SELECT 1 FROM json_each(attrs,'$.%.*s')"
            " WHERE value=?)",
            (int)c->len, c->field, (int)c->len, c->field);
    return bind(b, "", v);
}

static const struct {
    const char *name;
    enum peri_status (*fn)(struct builder *b, const struct cond *c, const struct peri_value *v);
} ops[] = {
    {"eq", op_eq},
    {"ne", op_ne},
    {"gt", op_gt},
    {"gte", op_gte},
    {"lt", op_lt},
    {"lte", op_lte},
    {"in", op_in},
    {"prefix", op_prefix},
    {"exists", op_exists},
    {"contains", op_contains},
};

static enum peri_status unknown_operator(struct builder *b, const struct cond *c, const char *name)
{
    const char *names[sizeof(ops) / sizeof(ops[0]) + 1] = {NULL};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        names[i] = ops[i].name;
    const char *near = peri_nearest(name, names);
    return peri_error_set(b->err, PERI_EINVAL, NULL,
        "%s: unknown operator \"%.40s\"%s%s%s (there are eq, ne, gt, gte, lt, lte,"
        " in, prefix, exists, contains)",
        c->field, name, near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static enum peri_status condition(struct builder *b, const char *field, size_t len, const struct peri_value *v)
{
    struct cond c = {field, len, NULL};
    enum peri_status st = check_field(b, field, len);
    if (st)
        return st;
    if (peri_value_is(v, PERI_LIST))
        return op_in(b, &c, v);
    if (!peri_value_is(v, PERI_MAP))
        return op_eq(b, &c, v);
    c.all = v;
    if (peri_value_count(v) == 0)
        return peri_error_set(b->err, PERI_EINVAL, NULL, "%s: no operator is given", field);
    for (void *it = peri_map_first(v); !st && it; it = peri_map_next(v, it)) {
        const char *name = peri_map_key(it, NULL);
        size_t i = 0;
        while (i < sizeof(ops) / sizeof(ops[0]) && strcmp(ops[i].name, name) != 0)
            i++;
        st = i < sizeof(ops) / sizeof(ops[0]) ? ops[i].fn(b, &c, peri_map_item(it)) : unknown_operator(b, &c, name);
    }
    return st;
}

static enum peri_status put_where(struct builder *b, const struct peri_query *query)
{
    enum peri_status st = PERI_OK;
    /* The type is part of the text: indexes are partial by it. */
    peri_buf_puts(&b->sql, " WHERE type='");
    peri_buf_puts(&b->sql, query->type);
    peri_buf_putc(&b->sql, '\'');
    if (query->as_of) {
        peri_buf_puts(&b->sql, " AND seq<=?");
        st = take_bind(b, peri_value_int(query->as_of < INT64_MAX ? (int64_t)query->as_of : INT64_MAX), NULL);
    }
    if (query->where && !peri_value_is(query->where, PERI_NULL) && !peri_value_is(query->where, PERI_MAP))
        return peri_error_set(b->err, PERI_EINVAL, NULL, "where: must be an object of fields");
    for (void *it = st ? NULL : peri_map_first(query->where); !st && it; it = peri_map_next(query->where, it)) {
        size_t len;
        const char *key = peri_map_key(it, &len);
        st = condition(b, key, len, peri_map_item(it));
    }
    return st;
}

/* "-startedAt,contactId"; the row number decides between equals, so that pages do not overlap. */
static enum peri_status put_order(struct builder *b, const char *order)
{
    bool down = true;
    peri_buf_puts(&b->sql, " ORDER BY ");
    for (int n = 0; order && *order; n++) {
        size_t len = strcspn(order, ",");
        const char *s = order;
        size_t flen = len;
        while (flen && *s == ' ')
            s++, flen--;
        while (flen && s[flen - 1] == ' ')
            flen--;
        down = flen && *s == '-';
        if (down)
            s++, flen--;
        enum peri_status st = check_field(b, s, flen);
        if (st || n == ORDER_MAX) {
            peri_error_prefix(b->err, "order");
            return st ? st : peri_error_set(b->err, PERI_EINVAL, NULL, "order: more than %d fields", ORDER_MAX);
        }
        put_field(b, s, flen);
        peri_buf_puts(&b->sql, down ? " DESC," : ",");
        order += len + (order[len] == ',');
    }
    peri_buf_puts(&b->sql, down ? "rid DESC" : "rid");
    return PERI_OK;
}

static enum peri_status build(struct builder *b, const struct peri_query *query)
{
    enum peri_status st = peri_entity_type_check(query->type, b->err);
    if (st)
        return st;
    b->type = query->type;
    peri_buf_puts(
        &b->sql, query->count_only ? "SELECT count(*) FROM entities" : "SELECT " PERI_ENTITY_COLUMNS " FROM entities");
    st = put_where(b, query);
    if (!st && !query->count_only) {
        size_t limit = query->limit == 0 ? LIMIT_DEFAULT : query->limit > LIMIT_MAX ? LIMIT_MAX : query->limit;
        st = put_order(b, query->order);
        if (!st)
            st = peri_buf_puts(&b->sql, " LIMIT ? OFFSET ?") ? PERI_ENOMEM : PERI_OK;
        if (!st)
            st = take_bind(b, peri_value_int((int64_t)limit), NULL);
        if (!st)
            st = take_bind(b, peri_value_int(query->offset < INT64_MAX ? (int64_t)query->offset : INT64_MAX), NULL);
    }
    if (!st && b->sql.failed)
        st = b->sql.failed == PERI_ELIMIT ? peri_error_set(b->err, PERI_ELIMIT, "limit.query", "the query is too long")
                                          : peri_error_nomem(b->err);
    return st;
}

/* ---- results ---- */

static enum peri_status rows(struct peri_stmt *q, const char *type, struct peri_value *list, struct peri_error *err)
{
    for (;;) {
        bool row = false;
        struct peri_entity e = {0};
        struct peri_value *v = NULL;
        enum peri_status st = peri_stmt_row(q, &row, err);
        if (st || !row)
            return st;
        st = peri_entity_load(q, &e, err);
        if (!st)
            st = peri_entity_value(&e, type, &v, err);
        peri_entity_finish(&e);
        if (st)
            return st;
        if (peri_list_push(list, v))
            return peri_error_nomem(err);
    }
}

static enum peri_status execute(struct peri_reader *reader, struct builder *b, const struct peri_query *query,
    struct peri_value *list, size_t *ret_count)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = peri_stmt_open_text(&q, &reader->db, peri_buf_text(&b->sql), b->err);
    if (st)
        return st;
    bind_all(b, &q);
    if (query->count_only) {
        st = peri_stmt_row(&q, &row, b->err);
        if (!st)
            *ret_count = row ? (size_t)peri_stmt_get_int(&q, 0) : 0;
    } else {
        st = rows(&q, query->type, list, b->err);
        if (!st)
            *ret_count = peri_value_count(list);
    }
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_reader_query(struct peri_reader *reader, const struct peri_query *query,
    struct peri_value **ret_list, size_t *ret_count, struct peri_error *err)
{
    struct peri_error own;
    size_t count = 0;
    struct peri_value *list = NULL;
    struct builder *b = builder_create(err ? err : &own);
    if (!b)
        return peri_error_nomem(err);
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = build(b, query);
    if (!st && !query->count_only && !(list = peri_value_list()))
        st = peri_error_nomem(b->err);
    if (!st)
        st = execute(reader, b, query, list, &count);
    builder_finish(b);
    if (st) {
        peri_value_unref(list);
        return st;
    }
    if (ret_list)
        *ret_list = list;
    else
        peri_value_unref(list);
    if (ret_count)
        *ret_count = count;
    return PERI_OK;
}

enum peri_status peri_query_plan(
    struct peri_reader *reader, const struct peri_query *query, char **ret, struct peri_error *err)
{
    struct builder *b = builder_create(err);
    struct peri_buf text, plan;
    struct peri_stmt q = {0};
    if (!b)
        return peri_error_nomem(err);
    peri_buf_init(&text, SQL_MAX);
    peri_buf_init(&plan, SQL_MAX);
    enum peri_status st = build(b, query);
    if (!st) {
        peri_buf_printf(&text, "EXPLAIN QUERY PLAN %s", peri_buf_text(&b->sql));
        st = peri_stmt_open_text(&q, &reader->db, peri_buf_text(&text), err);
    }
    bool row = true;
    while (!st && !(st = peri_stmt_row(&q, &row, err)) && row)
        peri_buf_printf(&plan, "%s\n", peri_stmt_get_text(&q, 3));
    peri_stmt_close(&q);
    if (!st && !(*ret = peri_buf_take(&plan, NULL)))
        st = peri_error_nomem(err);
    peri_buf_finish(&plan);
    peri_buf_finish(&text);
    builder_finish(b);
    return st;
}
