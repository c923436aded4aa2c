/* SPDX-License-Identifier: Apache-2.0 */
/* What can be done with a node tree once it stands, and the types of plain scalars (YAML 1.2.2, section 10.3.2). */
#include "data/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/yaml_text.h"

static bool is_word(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

static size_t count_digits(const char *s)
{
    size_t n = 0;
    while (isdigit((unsigned char)s[n]))
        n++;
    return n;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?  *ret_real: more than digits. */
static bool is_decimal(const char *s, bool *ret_real)
{
    s += *s == '-' || *s == '+';
    size_t whole = count_digits(s), part = 0;
    s += whole;
    *ret_real = false;
    if (*s == '.') {
        *ret_real = true;
        part = count_digits(++s);
        s += part;
    }
    if (whole + part == 0)
        return false;
    if (*s == 'e' || *s == 'E') {
        *ret_real = true;
        s++;
        s += *s == '-' || *s == '+';
        size_t n = count_digits(s);
        if (n == 0)
            return false;
        s += n;
    }
    return *s == '\0';
}

static int prefixed_base(const char *s)
{
    if (s[0] == '0' && s[1] == 'o' && s[2] && s[2 + strspn(s + 2, "01234567")] == '\0')
        return 8;
    if (s[0] == '0' && s[1] == 'x' && s[2] && s[2 + strspn(s + 2, "0123456789abcdefABCDEF")] == '\0')
        return 16;
    return 0;
}

static long long read_int(const char *text)
{
    int base = prefixed_base(text);
    return base ? strtoll(text + 2, NULL, base) : strtoll(text, NULL, 10);
}

enum peri_type peri_yaml_plain_type(const char *text, size_t len, const char **ret_why)
{
    static const char *const nulls[] = {"null", "Null", "NULL", "~", NULL};
    static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    static const char *const odd[] = {
        ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN", NULL};
    bool real;
    *ret_why = NULL;
    if (len == 0 || is_word(text, nulls))
        return PERI_NULL;
    if (is_word(text, bools))
        return PERI_BOOL;
    if (is_word(text, odd)) {
        *ret_why = "infinity and NaN are no values here";
        return PERI_REAL;
    }
    errno = 0;
    if (prefixed_base(text) || (is_decimal(text, &real) && !real)) {
        (void)read_int(text);
        if (errno == ERANGE)
            *ret_why = "this number does not fit in 64 bits";
        return PERI_INT;
    }
    if (!is_decimal(text, &real))
        return PERI_STRING;
    if (!isfinite(strtod(text, NULL)))
        *ret_why = "this number is too large";
    return PERI_REAL;
}

struct peri_node *peri_node_get(const struct peri_node *map, const char *key, struct peri_node **ret_key)
{
    if (!map || map->kind != PERI_NODE_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->pairs[i].key->text, key) != 0)
            continue;
        if (ret_key)
            *ret_key = map->pairs[i].key;
        return map->pairs[i].value;
    }
    return NULL;
}

static struct peri_value *scalar_value(const struct peri_node *node)
{
    switch (node->type) {
    case PERI_NULL:
        return peri_value_null();
    case PERI_BOOL:
        return peri_value_bool(node->text[0] == 't' || node->text[0] == 'T');
    case PERI_INT:
        return peri_value_int(read_int(node->text));
    case PERI_REAL:
        return peri_value_real(strtod(node->text, NULL));
    default:
        return peri_value_strn(node->text, node->len);
    }
}

static enum peri_status scalar(const struct peri_node *node, peri_tag_resolver resolve_tag, void *ctx,
    struct peri_value **ret, struct peri_error *err)
{
    if (node->tag && !resolve_tag)
        return peri_error_set(err, PERI_EINVAL, "unknown-tag", "%s cannot be used here", node->tag);
    if (node->tag)
        return resolve_tag(ctx, node, ret, err);
    struct peri_value *v = scalar_value(node);
    if (!v)
        return peri_error_nomem(err);
    *ret = v;
    return PERI_OK;
}

enum peri_status peri_node_value(const struct peri_node *node, peri_tag_resolver resolve_tag, void *ctx,
    struct peri_value **ret, struct peri_error *err)
{
    if (node->kind == PERI_NODE_SCALAR)
        return scalar(node, resolve_tag, ctx, ret, err);
    bool map = node->kind == PERI_NODE_MAP;
    struct peri_value *all = map ? peri_value_map() : peri_value_list();
    if (!all)
        return peri_error_nomem(err);
    for (size_t i = 0; i < node->count; i++) {
        struct peri_value *item = NULL;
        enum peri_status st =
            peri_node_value(map ? node->pairs[i].value : node->items[i], resolve_tag, ctx, &item, err);
        if (st == PERI_OK) {
            st = map ? peri_map_putn(all, node->pairs[i].key->text, node->pairs[i].key->len, item)
                     : peri_list_push(all, item);
            if (st)
                peri_error_nomem(err);
        }
        if (st) {
            peri_value_unref(all);
            return st;
        }
    }
    *ret = all;
    return PERI_OK;
}

/* Does the segment [p, end) of a pointer, with its ~0 and ~1, spell key? */
static bool segment_is(const char *p, const char *end, const char *key, size_t len)
{
    size_t i = 0;
    for (; p < end; p++, i++) {
        char c = *p;
        if (c == '~' && p + 1 < end)
            c = *++p == '1' ? '/' : '~';
        if (i >= len || key[i] != c)
            return false;
    }
    return i == len;
}

static const struct peri_node *child(const struct peri_node *node, const char *p, const char *end)
{
    if (node->kind == PERI_NODE_MAP) {
        for (size_t i = 0; i < node->count; i++)
            if (segment_is(p, end, node->pairs[i].key->text, node->pairs[i].key->len))
                return node->pairs[i].value;
    } else if (node->kind == PERI_NODE_LIST && p < end && end - p < 10) {
        size_t at = 0;
        for (; p < end; p++) {
            if (!isdigit((unsigned char)*p))
                return NULL;
            at = at * 10 + (size_t)(*p - '0');
        }
        return at < node->count ? node->items[at] : NULL;
    }
    return NULL;
}

const struct peri_node *peri_node_at_pointer(const struct peri_node *root, const char *pointer)
{
    while (*pointer == '/') {
        pointer++;
        const char *end = pointer + strcspn(pointer, "/");
        const struct peri_node *next = child(root, pointer, end);
        if (!next)
            break;
        root = next;
        pointer = end;
    }
    return root;
}

const char *peri_node_describe(const struct peri_node *node)
{
    if (node->kind != PERI_NODE_SCALAR)
        return node->kind == PERI_NODE_MAP ? "a mapping" : "a list";
    switch (node->type) {
    case PERI_NULL:
        return "null";
    case PERI_BOOL:
        return "a boolean";
    case PERI_INT:
    case PERI_REAL:
        return "a number";
    default:
        return "a string";
    }
}
