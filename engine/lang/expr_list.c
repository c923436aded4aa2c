/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "lang/expr_internal.h"

/* Gives list when st is good, else drops it. */
static enum peri_status finish_list(struct peri_value *list, enum peri_status st, struct peri_value **ret)
{
    if (st == PERI_OK)
        *ret = list;
    else
        peri_value_unref(list);
    return st;
}

/* Takes item. */
static enum peri_status push(const struct expr_call *call, struct peri_value *list, struct peri_value *item)
{
    if (peri_value_count(list) >= PERI_EXPR_MAX_ITEMS) {
        peri_value_unref(item);
        return peri_expr_too_large(call->err);
    }
    return peri_list_push(list, item) == PERI_OK ? PERI_OK : peri_error_nomem(call->err);
}

static enum peri_status make_list(const struct expr_call *call, struct peri_value **ret_list)
{
    *ret_list = peri_value_list();
    return *ret_list ? PERI_OK : peri_error_nomem(call->err);
}

static enum peri_status not_for(const struct expr_call *call, const struct peri_value *v)
{
    char shown[PERI_EXPR_SHOW];
    return peri_error_set(
        call->err, PERI_EINVAL, "type", "%s cannot take %s", call->function->name, peri_expr_show(v, shown));
}

enum peri_status peri_expr_fn_length(const struct expr_call *call, struct peri_value **ret)
{
    size_t len = 0;
    const char *text = peri_value_textn(call->args[0], &len);
    return peri_expr_give(
        call, peri_value_int((int64_t)(text ? peri_utf8_length(text, len) : peri_value_count(call->args[0]))), ret);
}

/* The characters from..to (0-based, to excluded) of a text. */
static struct peri_value *cut_text(const char *text, size_t len, int64_t from, int64_t to)
{
    size_t start = 0, end;
    unsigned code;
    for (int64_t i = 0; i < from && start < len; i++)
        start += peri_utf8_decode(text + start, len - start, &code);
    end = start;
    for (int64_t i = from; i < to && end < len; i++)
        end += peri_utf8_decode(text + end, len - end, &code);
    return peri_value_strn(text + start, end - start);
}

/* The element at i counted from 0, or nil. */
static enum peri_status element(const struct expr_call *call, bool last, struct peri_value **ret)
{
    struct peri_value *v = call->args[0];
    size_t len = 0;
    const char *text = peri_value_textn(v, &len);
    if (peri_value_is(v, PERI_MAP))
        return not_for(call, v);
    int64_t n = (int64_t)(text ? peri_utf8_length(text, len) : peri_value_count(v)), i = last ? n - 1 : 0;
    if (n == 0)
        return peri_expr_give(call, peri_value_null(), ret);
    return peri_expr_give(call, text ? cut_text(text, len, i, i + 1) : peri_value_ref(peri_list_at(v, (size_t)i)), ret);
}

enum peri_status peri_expr_fn_first(const struct expr_call *call, struct peri_value **ret)
{
    return element(call, false, ret);
}

enum peri_status peri_expr_fn_last(const struct expr_call *call, struct peri_value **ret)
{
    return element(call, true, ret);
}

/* Positions from 1, both ends included, negative ones from the end: as Lua's string.sub. */
enum peri_status peri_expr_fn_slice(const struct expr_call *call, struct peri_value **ret)
{
    struct peri_value *v = call->args[0], *list = NULL;
    size_t len = 0;
    const char *text = peri_value_textn(v, &len);
    if (peri_value_is(v, PERI_MAP))
        return not_for(call, v);
    int64_t n = (int64_t)(text ? peri_utf8_length(text, len) : peri_value_count(v));
    int64_t from = peri_value_as_int(call->args[1]), to = call->count > 2 ? peri_value_as_int(call->args[2]) : -1;
    from = from < -n ? 1 : from < 0 ? n + from + 1 : from == 0 ? 1 : from;
    to = to < -n ? 0 : to < 0 ? n + to + 1 : to > n ? n : to;
    if (from > to)
        from = to + 1;
    if (text)
        return peri_expr_give(call, cut_text(text, len, from - 1, to), ret);
    enum peri_status st = make_list(call, &list);
    for (int64_t i = from; i <= to && st == PERI_OK; i++)
        st = push(call, list, peri_value_ref(peri_list_at(v, (size_t)(i - 1))));
    return finish_list(list, st, ret);
}

enum peri_status peri_expr_fn_join(const struct expr_call *call, struct peri_value **ret)
{
    struct peri_buf buf;
    size_t sep_len = 2, n = peri_value_count(call->args[0]);
    const char *sep = call->count > 1 ? peri_value_textn(call->args[1], &sep_len) : ", ";
    peri_buf_init(&buf, PERI_EXPR_MAX_RESULT);
    for (size_t i = 0; i < n && !buf.failed; i++) {
        if (i > 0)
            (void)peri_buf_append(&buf, sep, sep_len);
        (void)peri_expr_append_text(&buf, peri_list_at(call->args[0], i));
    }
    return peri_expr_take_text(call, &buf, ret);
}

/* A part of a text, an element of a list, a key of a map. */
enum peri_status peri_expr_fn_contains(const struct expr_call *call, struct peri_value **ret)
{
    const struct peri_value *v = call->args[0], *wanted = call->args[1];
    size_t len = 0, n = 0;
    const char *text = peri_value_textn(v, &len), *part = peri_value_textn(wanted, &n);
    bool found = false;
    if (peri_value_is(v, PERI_LIST)) {
        for (size_t i = 0; i < peri_value_count(v) && !found; i++)
            found = peri_value_equal(peri_list_at(v, i), wanted);
    } else if (!part) {
        return not_for(call, wanted);
    } else {
        found = text ? n == 0 || memmem(text, len, part, n) : peri_map_atn(v, part, n) != NULL;
    }
    return peri_expr_give(call, peri_value_bool(found), ret);
}

static enum peri_status members(const struct expr_call *call, bool keys, struct peri_value **ret)
{
    struct peri_value *list = NULL;
    enum peri_status st = make_list(call, &list);
    for (void *it = peri_map_first(call->args[0]); it && st == PERI_OK; it = peri_map_next(call->args[0], it)) {
        size_t len = 0;
        const char *key = peri_map_key(it, &len);
        st = push(call, list, keys ? peri_value_strn(key, len) : peri_value_ref(peri_map_item(it)));
    }
    return finish_list(list, st, ret);
}

enum peri_status peri_expr_fn_keys(const struct expr_call *call, struct peri_value **ret)
{
    return members(call, true, ret);
}

enum peri_status peri_expr_fn_values(const struct expr_call *call, struct peri_value **ret)
{
    return members(call, false, ret);
}

/* What a field name leads to: one member, or several with dots between ("contact.name"). Borrowed or NULL. */
static struct peri_value *field_of(struct peri_value *item, const char *field)
{
    for (;;) {
        size_t n = strcspn(field, ".");
        item = peri_value_is(item, PERI_MAP) ? peri_map_atn(item, field, n) : NULL;
        if (!item || field[n] == '\0')
            return item;
        field += n + 1;
    }
}

struct sort_item {
    const struct peri_value *key, *value;
    size_t position;
};

static int compare_items(const void *a, const void *b)
{
    const struct sort_item *x = a, *y = b;
    int order = 0;
    if (!peri_expr_order(x->key, y->key, &order) || order == 0)
        return (x->position > y->position) - (x->position < y->position);
    return order;
}

/* Rising, stable; all keys are numbers or all are texts. */
enum peri_status peri_expr_fn_sort(const struct expr_call *call, struct peri_value **ret)
{
    size_t n = peri_value_count(call->args[0]);
    const char *field = call->count > 1 ? peri_value_text(call->args[1]) : NULL;
    if (n > PERI_EXPR_MAX_ITEMS)
        return peri_expr_too_large(call->err);
    struct sort_item *items = calloc(n + 1, sizeof(*items));
    struct peri_value *list = peri_value_list();
    enum peri_status st = items && list ? PERI_OK : peri_error_nomem(call->err);
    for (size_t i = 0; i < n && st == PERI_OK; i++) {
        struct peri_value *v = peri_list_at(call->args[0], i);
        items[i] = (struct sort_item){field ? field_of(v, field) : v, v, i};
        int order;
        if (!items[i].key)
            st = peri_error_set(call->err, PERI_ENOTFOUND, "missing", "missing %s in element %zu", field, i + 1);
        else if (!peri_expr_order(items[0].key, items[i].key, &order))
            st = not_for(call, items[i].key);
    }
    if (st == PERI_OK && n > 1)
        qsort(items, n, sizeof(*items), compare_items);
    for (size_t i = 0; i < n && st == PERI_OK; i++)
        st = push(call, list, peri_value_ref(items[i].value));
    free(items);
    return finish_list(list, st, ret);
}

static enum peri_status reverse_text(const struct expr_call *call, struct peri_value **ret)
{
    struct peri_buf buf;
    size_t len = 0;
    const char *text = peri_value_textn(call->args[0], &len);
    peri_buf_init(&buf, PERI_EXPR_MAX_RESULT);
    while (len > 0) {
        size_t start = len - 1;
        while (start > 0 && ((unsigned char)text[start] & 0xC0) == 0x80)
            start--;
        (void)peri_buf_append(&buf, text + start, len - start);
        len = start;
    }
    return peri_expr_take_text(call, &buf, ret);
}

enum peri_status peri_expr_fn_reverse(const struct expr_call *call, struct peri_value **ret)
{
    struct peri_value *list = NULL;
    if (peri_value_is(call->args[0], PERI_MAP))
        return not_for(call, call->args[0]);
    if (peri_value_is(call->args[0], PERI_STRING))
        return reverse_text(call, ret);
    enum peri_status st = make_list(call, &list);
    for (size_t i = peri_value_count(call->args[0]); i > 0 && st == PERI_OK; i--)
        st = push(call, list, peri_value_ref(peri_list_at(call->args[0], i - 1)));
    return finish_list(list, st, ret);
}

struct unique_item {
    char *text;
    size_t position;
    bool again;
};

static int compare_texts(const void *a, const void *b)
{
    const struct unique_item *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->position > y->position) - (x->position < y->position);
}

static int compare_positions(const void *a, const void *b)
{
    const struct unique_item *x = a, *y = b;
    return (x->position > y->position) - (x->position < y->position);
}

/* The first of equal elements, in the order of the list. Elements are compared by their JSON with sorted keys. */
enum peri_status peri_expr_fn_unique(const struct expr_call *call, struct peri_value **ret)
{
    size_t n = peri_value_count(call->args[0]);
    if (n > PERI_EXPR_MAX_ITEMS)
        return peri_expr_too_large(call->err);
    struct unique_item *items = calloc(n + 1, sizeof(*items));
    struct peri_value *list = peri_value_list();
    enum peri_status st = items && list ? PERI_OK : peri_error_nomem(call->err);
    for (size_t i = 0; i < n && st == PERI_OK; i++) {
        items[i].position = i;
        items[i].text = peri_json_text(peri_list_at(call->args[0], i), PERI_JSON_SORTED);
        if (!items[i].text)
            st = peri_error_nomem(call->err);
    }
    if (st == PERI_OK && n > 1) {
        qsort(items, n, sizeof(*items), compare_texts);
        for (size_t i = 1; i < n; i++)
            items[i].again = strcmp(items[i - 1].text, items[i].text) == 0;
        qsort(items, n, sizeof(*items), compare_positions);
    }
    for (size_t i = 0; i < n && st == PERI_OK; i++)
        if (!items[i].again)
            st = push(call, list, peri_value_ref(peri_list_at(call->args[0], i)));
    for (size_t i = 0; items && i < n; i++)
        free(items[i].text);
    free(items);
    return finish_list(list, st, ret);
}

/* The field of every element that has it. */
enum peri_status peri_expr_fn_map(const struct expr_call *call, struct peri_value **ret)
{
    struct peri_value *list = NULL;
    const char *field = peri_value_text(call->args[1]);
    enum peri_status st = make_list(call, &list);
    for (size_t i = 0; i < peri_value_count(call->args[0]) && st == PERI_OK; i++) {
        struct peri_value *v = field_of(peri_list_at(call->args[0], i), field);
        if (v)
            st = push(call, list, peri_value_ref(v));
    }
    return finish_list(list, st, ret);
}

/* The elements whose field equals the value; without a value, those whose field is neither missing, nil nor false. */
enum peri_status peri_expr_fn_where(const struct expr_call *call, struct peri_value **ret)
{
    struct peri_value *list = NULL;
    const char *field = peri_value_text(call->args[1]);
    enum peri_status st = make_list(call, &list);
    for (size_t i = 0; i < peri_value_count(call->args[0]) && st == PERI_OK; i++) {
        struct peri_value *item = peri_list_at(call->args[0], i), *v = field_of(item, field);
        bool keep = call->count > 2 ? v && peri_value_equal(v, call->args[2]) : v && peri_truthy(v);
        if (keep)
            st = push(call, list, peri_value_ref(item));
    }
    return finish_list(list, st, ret);
}
