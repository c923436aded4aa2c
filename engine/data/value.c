/* SPDX-License-Identifier: Apache-2.0 */
#include "data/value.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/timefmt.h"
#include "data/value_memory.h"

static _Thread_local unsigned long refused;

static void *allocate(size_t size)
{
    void *p = malloc(size);
    refused += !p;
    return p;
}

static void *allocate_pooled(size_t size)
{
    void *p = peri_pool_alloc(size);
    refused += !p;
    return p;
}

/* Before main, because values may not be made before it is done. */
__attribute__((constructor)) static void watch_memory(void)
{
    json_set_alloc_funcs(allocate, free);
}

unsigned long peri_value_refused(void)
{
    return refused;
}

static json_t *J(const struct peri_value *v)
{
    return (json_t *)(uintptr_t)v;
}

static struct peri_value *V(json_t *j)
{
    return (struct peri_value *)j;
}

void peri_value_pool(void)
{
    json_set_alloc_funcs(allocate_pooled, peri_pool_free);
}

struct peri_value *peri_value_null(void)
{
    return V(json_null());
}

struct peri_value *peri_value_bool(bool b)
{
    return V(json_boolean(b));
}

struct peri_value *peri_value_int(int64_t i)
{
    return V(json_integer(i));
}

struct peri_value *peri_value_real(double r)
{
    return V(json_real(r));
}

struct peri_value *peri_value_str(const char *s)
{
    return V(json_string(s));
}

struct peri_value *peri_value_strn(const char *s, size_t len)
{
    return V(json_stringn(s, len));
}

struct peri_value *peri_value_list(void)
{
    return V(json_array());
}

struct peri_value *peri_value_map(void)
{
    return V(json_object());
}

struct peri_value *peri_value_ref(const struct peri_value *v)
{
    return V(json_incref(J(v)));
}

void peri_value_unref(struct peri_value *v)
{
    json_decref(J(v));
}

enum peri_type peri_value_type(const struct peri_value *v)
{
    if (!v)
        return PERI_NULL;
    switch (json_typeof(J(v))) {
    case JSON_OBJECT:
        return PERI_MAP;
    case JSON_ARRAY:
        return PERI_LIST;
    case JSON_STRING:
        return PERI_STRING;
    case JSON_INTEGER:
        return PERI_INT;
    case JSON_REAL:
        return PERI_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return PERI_BOOL;
    default:
        return PERI_NULL;
    }
}

const char *peri_type_name(enum peri_type type)
{
    static const char *const names[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
    return names[type];
}

bool peri_value_is(const struct peri_value *v, enum peri_type type)
{
    return v && peri_value_type(v) == type;
}

bool peri_value_is_number(const struct peri_value *v)
{
    return json_is_number(J(v));
}

bool peri_value_as_bool(const struct peri_value *v)
{
    return json_is_true(J(v));
}

int64_t peri_value_as_int(const struct peri_value *v)
{
    if (json_is_integer(J(v)))
        return json_integer_value(J(v));
    if (!json_is_real(J(v)))
        return 0;
    double r = json_real_value(J(v));
    if (r >= 9223372036854775807.0)
        return INT64_MAX;
    return r <= -9223372036854775808.0 ? INT64_MIN : (int64_t)r;
}

double peri_value_as_real(const struct peri_value *v)
{
    return json_number_value(J(v));
}

const char *peri_value_text(const struct peri_value *v)
{
    return json_string_value(J(v));
}

const char *peri_value_textn(const struct peri_value *v, size_t *ret_len)
{
    *ret_len = json_string_length(J(v));
    return json_string_value(J(v));
}

size_t peri_value_count(const struct peri_value *v)
{
    return json_is_array(J(v)) ? json_array_size(J(v)) : json_object_size(J(v));
}

struct peri_value *peri_list_at(const struct peri_value *list, size_t i)
{
    return V(json_array_get(J(list), i));
}

enum peri_status peri_list_push(struct peri_value *list, struct peri_value *item)
{
    return item && json_array_append_new(J(list), J(item)) == 0 ? PERI_OK : PERI_ENOMEM;
}

struct peri_value *peri_map_at(const struct peri_value *map, const char *key)
{
    return V(json_object_get(J(map), key));
}

struct peri_value *peri_map_atn(const struct peri_value *map, const char *key, size_t len)
{
    return V(json_object_getn(J(map), key, len));
}

enum peri_status peri_map_put(struct peri_value *map, const char *key, struct peri_value *item)
{
    return item && json_object_set_new(J(map), key, J(item)) == 0 ? PERI_OK : PERI_ENOMEM;
}

enum peri_status peri_map_putn(struct peri_value *map, const char *key, size_t len, struct peri_value *item)
{
    return item && json_object_setn_new(J(map), key, len, J(item)) == 0 ? PERI_OK : PERI_ENOMEM;
}

void peri_map_drop(struct peri_value *map, const char *key)
{
    json_object_del(J(map), key);
}

struct member {
    const char *key;
    size_t len;
    json_t *value;
};

static int by_key(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int c = memcmp(x->key, y->key, x->len < y->len ? x->len : y->len);
    return c ? c : x->len < y->len ? -1 : x->len > y->len;
}

static struct member member_at(void *it)
{
    return (struct member){json_object_iter_key(it), json_object_iter_key_len(it), json_object_iter_value(it)};
}

static bool is_sorted(json_t *map)
{
    void *it = json_object_iter(map), *next;
    for (; it && (next = json_object_iter_next(map, it)); it = next) {
        struct member a = member_at(it), b = member_at(next);
        if (by_key(&a, &b) > 0)
            return false;
    }
    return true;
}

#define FEW 16
#define SHORT_KEY 32

/* Each goes out and comes back behind those before it. False: not this way, and nothing is changed. */
static bool sort_few(json_t *map, enum peri_status *ret)
{
    struct member members[FEW];
    char keys[FEW][SHORT_KEY];
    size_t n = 0;
    if (json_object_size(map) > FEW)
        return false;
    for (void *it = json_object_iter(map); it; it = json_object_iter_next(map, it)) {
        struct member m = member_at(it);
        size_t at = n++;
        if (m.len > SHORT_KEY)
            return false;
        for (; at > 0 && by_key(&m, &members[at - 1]) < 0; at--)
            members[at] = members[at - 1];
        members[at] = m;
    }
    bool good = true;
    for (size_t i = 0; i < n; i++) { /* deleting a member frees its key */
        memcpy(keys[i], members[i].key, members[i].len);
        json_incref(members[i].value);
    }
    for (size_t i = 0; i < n; i++) {
        json_object_deln(map, keys[i], members[i].len);
        good = json_object_setn_new_nocheck(map, keys[i], members[i].len, members[i].value) == 0 && good;
    }
    *ret = good ? PERI_OK : PERI_ENOMEM;
    return true;
}

static enum peri_status sort_many(json_t *map)
{
    size_t n = json_object_size(map), i = 0;
    bool good = true;
    struct member *members = calloc(n, sizeof(*members));
    json_t *before = members ? json_copy(map) : NULL; /* keeps keys and values */
    if (!before || json_object_size(before) != n) {
        free(members);
        json_decref(before);
        return PERI_ENOMEM;
    }
    for (void *it = json_object_iter(before); it; it = json_object_iter_next(before, it))
        members[i++] = member_at(it);
    qsort(members, n, sizeof(*members), by_key);
    json_object_clear(map);
    for (i = 0; i < n; i++)
        good = json_object_setn_nocheck(map, members[i].key, members[i].len, members[i].value) == 0 && good;
    json_decref(before);
    free(members);
    return good ? PERI_OK : PERI_ENOMEM;
}

enum peri_status peri_map_sort(struct peri_value *map)
{
    enum peri_status st = PERI_OK;
    if (is_sorted(J(map)) || sort_few(J(map), &st))
        return st;
    return sort_many(J(map));
}

const char *peri_map_text(const struct peri_value *map, const char *key)
{
    return peri_value_text(peri_map_at(map, key));
}

bool peri_map_bool(const struct peri_value *map, const char *key, bool fallback)
{
    struct peri_value *v = peri_map_at(map, key);
    return peri_value_is(v, PERI_BOOL) ? peri_value_as_bool(v) : fallback;
}

int64_t peri_map_int(const struct peri_value *map, const char *key, int64_t fallback)
{
    struct peri_value *v = peri_map_at(map, key);
    return peri_value_is_number(v) ? peri_value_as_int(v) : fallback;
}

enum peri_status peri_map_put_text(struct peri_value *map, const char *key, const char *text)
{
    return text ? peri_map_put(map, key, peri_value_str(text)) : PERI_OK;
}

enum peri_status peri_map_put_int(struct peri_value *map, const char *key, int64_t i)
{
    return peri_map_put(map, key, peri_value_int(i));
}

enum peri_status peri_map_put_bool(struct peri_value *map, const char *key, bool b)
{
    return peri_map_put(map, key, peri_value_bool(b));
}

enum peri_status peri_map_put_ref(struct peri_value *map, const char *key, const struct peri_value *item)
{
    return peri_map_put(map, key, peri_value_ref(item));
}

enum peri_status peri_map_put_time(struct peri_value *map, const char *key, int64_t ms)
{
    char text[PERI_TIME_TEXT];
    return peri_map_put_text(map, key, peri_time_format(ms, text));
}

void *peri_map_first(const struct peri_value *map)
{
    return json_object_iter(J(map));
}

void *peri_map_next(const struct peri_value *map, void *it)
{
    return json_object_iter_next(J(map), it);
}

const char *peri_map_key(void *it, size_t *ret_len)
{
    if (ret_len)
        *ret_len = json_object_iter_key_len(it);
    return json_object_iter_key(it);
}

struct peri_value *peri_map_item(void *it)
{
    return V(json_object_iter_value(it));
}

static bool equal_numbers(const struct peri_value *a, const struct peri_value *b)
{
    if (peri_value_is(a, PERI_INT) && peri_value_is(b, PERI_INT))
        return peri_value_as_int(a) == peri_value_as_int(b);
    return peri_value_as_real(a) == peri_value_as_real(b);
}

static bool equal_maps(const struct peri_value *a, const struct peri_value *b)
{
    for (void *it = peri_map_first(a); it; it = peri_map_next(a, it)) {
        size_t len;
        const char *key = peri_map_key(it, &len);
        struct peri_value *other = peri_map_atn(b, key, len);
        if (!other || !peri_value_equal(peri_map_item(it), other))
            return false;
    }
    return true;
}

bool peri_value_equal(const struct peri_value *a, const struct peri_value *b)
{
    if (a == b)
        return true;
    if (peri_value_is_number(a) && peri_value_is_number(b))
        return equal_numbers(a, b);
    enum peri_type type = peri_value_type(a);
    if (type != peri_value_type(b))
        return false;
    if (type == PERI_LIST || type == PERI_MAP) {
        size_t n = peri_value_count(a);
        if (n != peri_value_count(b))
            return false;
        if (type == PERI_MAP)
            return equal_maps(a, b);
        for (size_t i = 0; i < n; i++)
            if (!peri_value_equal(peri_list_at(a, i), peri_list_at(b, i)))
                return false;
        return true;
    }
    return type == PERI_NULL || json_equal(J(a), J(b));
}

/* copy, made since before, or NULL when it may lack something. */
static json_t *whole(json_t *copy, unsigned long before)
{
    if (refused == before)
        return copy;
    json_decref(copy);
    return NULL;
}

struct peri_value *peri_value_copy(const struct peri_value *v)
{
    unsigned long before = refused;
    return V(whole(json_copy(J(v)), before));
}

struct peri_value *peri_value_copy_deep(const struct peri_value *v)
{
    unsigned long before = refused;
    return V(whole(json_deep_copy(J(v)), before));
}
