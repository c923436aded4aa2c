/* SPDX-License-Identifier: Apache-2.0 */
/* Checking walks schema and data together and never stops at the first error. The data comes from strangers: lists are
 * compared for uniqueness by hash (a random seed a check, so that nobody prepares collisions), patterns have limits. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "data/schema_internal.h"

#define MAX_ERRORS 100
#define MAX_SHOWN 120 /* bytes of a value in a message */

struct checker {
    struct peri_buf path;
    struct peri_schema_report *report;
    size_t errors;
    bool no_memory; /* something could not be looked at, or not be told */
    uint64_t seed;
};

static void report(struct checker *c, const char *keyword, const char *fmt, ...) PERI_PRINTF(3, 4);

static void report(struct checker *c, const char *keyword, const char *fmt, ...)
{
    struct peri_schema_report *r = c->report;
    c->errors++;
    if (!r || r->count >= MAX_ERRORS)
        return;
    if (!peri_vec_grow(&r->items, &r->cap, r->count + 1, sizeof(*r->items))) {
        c->no_memory = true;
        return;
    }
    va_list ap;
    struct peri_schema_error e = {.pointer = peri_strdup(peri_buf_text(&c->path)), .keyword = peri_strdup(keyword)};
    va_start(ap, fmt);
    if (vasprintf(&e.message, fmt, ap) < 0)
        e.message = NULL;
    va_end(ap);
    if (e.pointer && e.keyword && e.message) {
        r->items[r->count++] = e;
        return;
    }
    c->no_memory = true;
    free(e.pointer);
    free(e.keyword);
    free(e.message);
}

void peri_schema_report_finish(struct peri_schema_report *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->items[i].pointer);
        free(r->items[i].keyword);
        free(r->items[i].message);
    }
    free(r->items);
    memset(r, 0, sizeof(*r));
}

/* ---- types ---- */

static bool is_integer(const struct peri_value *v)
{
    double r = peri_value_as_real(v);
    return peri_value_is(v, PERI_INT) || (peri_value_is(v, PERI_REAL) && r == floor(r));
}

static const char *described(const struct peri_value *v)
{
    static const char *const words[] = {
        "null", "a boolean", "an integer", "a number", "a string", "an array", "an object"};
    return peri_schema_is_secret(v) ? "a secret" : words[peri_value_type(v)];
}

static void check_type(struct checker *c, const struct peri_schema_node *node, const struct peri_value *v)
{
    enum peri_type type = peri_schema_is_secret(v) ? PERI_STRING : peri_value_type(v);
    unsigned types = node->types, bit = 1u << type;
    if (type == PERI_INT || type == PERI_REAL)
        bit = PERI_SCHEMA_NUMBER | (is_integer(v) ? 1u << PERI_INT : 0);
    if (types == 0 || (types & bit))
        return;
    static const char *const words[] = {
        "null", "a boolean", "an integer", NULL, "a string", "an array", "an object", "a number"};
    struct peri_buf list;
    peri_buf_init(&list, 200);
    for (unsigned i = 0; i < 8; i++)
        if (types & 1u << i)
            peri_buf_printf(&list, "%s%s", list.len ? " or " : "", words[i]);
    report(c, "type", "must be %s, is %s", peri_buf_text(&list), described(v));
    peri_buf_finish(&list);
}

/* A value as compact JSON, cut; caller frees. Never NULL unless memory is out. */
static char *shown(const struct peri_value *v)
{
    char *text = peri_json_text(v, PERI_JSON_COMPACT);
    size_t len = text ? strlen(text) : 0;
    if (len <= MAX_SHOWN)
        return text;
    size_t cut = MAX_SHOWN;
    while (cut > 0 && ((unsigned char)text[cut] & 0xC0) == 0x80)
        cut--;
    char *shorter = peri_asprintf("%.*s…", (int)cut, text);
    free(text);
    return shorter;
}

static void check_values(struct checker *c, const struct peri_schema_node *node, const struct peri_value *v)
{
    if (node->constant && !peri_value_equal(node->constant, v)) {
        char *text = shown(node->constant);
        report(c, "const", "must be %s", text ? text : "the given value");
        free(text);
    }
    if (!node->one_of)
        return;
    for (size_t i = 0; i < peri_value_count(node->one_of); i++)
        if (peri_value_equal(peri_list_at(node->one_of, i), v))
            return;
    struct peri_buf list;
    peri_buf_init(&list, 400);
    for (size_t i = 0; i < peri_value_count(node->one_of) && !list.failed; i++) {
        char *text = shown(peri_list_at(node->one_of, i));
        peri_buf_printf(&list, "%s%s", i ? ", " : "", text ? text : "?");
        free(text);
    }
    report(c, "enum", "must be one of %s%s", peri_buf_text(&list), list.failed ? ", …" : "");
    peri_buf_finish(&list);
}

/* ---- numbers ---- */

static int compare_numbers(const struct peri_value *a, const struct peri_value *b)
{
    if (peri_value_is(a, PERI_INT) && peri_value_is(b, PERI_INT)) {
        int64_t x = peri_value_as_int(a), y = peri_value_as_int(b);
        return x < y ? -1 : x > y;
    }
    double x = peri_value_as_real(a), y = peri_value_as_real(b);
    return x < y ? -1 : x > y;
}

/* digits * 10^exponent, as the number is written in decimal; the sign does not matter here. */
struct decimal {
    unsigned __int128 digits;
    int exponent;
};

static struct decimal to_decimal(const struct peri_value *v)
{
    struct decimal d = {0, 0};
    if (peri_value_is(v, PERI_INT)) {
        int64_t i = peri_value_as_int(v);
        d.digits = i < 0 ? -(uint64_t)i : (uint64_t)i;
    } else {
        char text[40];
        double r = fabs(peri_value_as_real(v));
        for (int n = 14; n <= 16; n++) {
            snprintf(text, sizeof(text), "%.*e", n, r);
            if (strtod(text, NULL) == r)
                break;
        }
        char *s = text;
        for (bool fraction = false; *s && *s != 'e'; s++) {
            if (*s < '0' || *s > '9') {
                fraction = true;
                continue;
            }
            d.digits = d.digits * 10 + (unsigned)(*s - '0');
            d.exponent -= fraction;
        }
        d.exponent += *s == 'e' ? (int)strtol(s + 1, NULL, 10) : 0;
    }
    while (d.digits && d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent++;
    }
    return d;
}

/* Exact in decimal: 0.0075 is a multiple of 0.0001, whatever their binary forms say. */
static bool is_multiple(const struct peri_value *v, const struct peri_value *of)
{
    struct decimal a = to_decimal(v), b = to_decimal(of);
    if (a.digits == 0)
        return true;
    int shift = a.exponent - b.exponent;
    if (shift < 0) {
        if (shift < -19)
            return false;
        for (; shift < 0; shift++)
            b.digits *= 10;
    }
    unsigned __int128 rest = a.digits % b.digits;
    for (; shift > 0 && rest; shift--)
        rest = rest * 10 % b.digits;
    return rest == 0;
}

static void check_number(struct checker *c, const struct peri_schema_node *node, const struct peri_value *v)
{
    static const struct {
        const char *keyword, *words;
    } limits[] = {{"minimum", "at least"}, {"maximum", "at most"}, {"exclusiveMinimum", "more than"},
        {"exclusiveMaximum", "less than"}};
    for (int i = 0; i < PERI_LIMIT_COUNT; i++) {
        if (!node->limits[i])
            continue;
        int order = compare_numbers(v, node->limits[i]);
        bool ok = i == PERI_LIMIT_MIN     ? order >= 0
                  : i == PERI_LIMIT_MAX   ? order <= 0
                  : i == PERI_LIMIT_ABOVE ? order > 0
                                          : order < 0;
        if (ok)
            continue;
        char *limit = shown(node->limits[i]), *is = shown(v);
        report(c, limits[i].keyword, "must be %s %s, is %s", limits[i].words, limit ? limit : "?", is ? is : "?");
        free(limit);
        free(is);
    }
    if (node->multiple_of && !is_multiple(v, node->multiple_of)) {
        char *of = shown(node->multiple_of);
        report(c, "multipleOf", "must be a multiple of %s", of ? of : "?");
        free(of);
    }
}

/* ---- texts, lists, maps ---- */

static void check_bound(struct checker *c, const struct peri_schema_node *node, enum peri_schema_bound bound, size_t n)
{
    static const struct {
        const char *least, *most, *one, *many;
    } words[] = {{"minProperties", "maxProperties", "member", "members"}, {"minItems", "maxItems", "item", "items"},
        {"minLength", "maxLength", "character", "characters"}};
    int64_t least = node->least[bound], most = node->most[bound];
    if (least >= 0 && n < (size_t)least)
        report(c, words[bound].least, "must have at least %lld %s, has %zu", (long long)least,
            least == 1 ? words[bound].one : words[bound].many, n);
    if (most >= 0 && n > (size_t)most)
        report(c, words[bound].most, "must have at most %lld %s, has %zu", (long long)most,
            most == 1 ? words[bound].one : words[bound].many, n);
}

static void check_text(struct checker *c, const struct peri_schema_node *node, const struct peri_value *v)
{
    size_t len;
    const char *text = peri_value_textn(v, &len);
    if (node->least[PERI_BOUND_LENGTH] >= 0 || node->most[PERI_BOUND_LENGTH] >= 0)
        check_bound(c, node, PERI_BOUND_LENGTH, peri_utf8_length(text, len));
    if (node->regex) {
        bool found = false;
        enum peri_status st = peri_regex_search(node->regex, text, len, &found);
        if (st == PERI_ENOMEM)
            c->no_memory = true;
        else if (st)
            report(c, "pattern", "the search for /%.200s/ in this text was given up at its limits", node->pattern);
        else if (!found)
            report(c, "pattern", "must match /%.200s/", node->pattern);
    }
    if (node->format && !node->format(text, len))
        report(c, "format", "must be %s %s", strchr("aeiou", node->format_name[0]) ? "an" : "a", node->format_name);
}

static uint64_t mix(uint64_t h)
{
    h ^= h >> 31;
    h *= UINT64_C(0x9E3779B97F4A7C15);
    h ^= h >> 29;
    h *= UINT64_C(0xBF58476D1CE4E5B9);
    return h ^ h >> 32;
}

static uint64_t hash_bytes(uint64_t seed, const char *s, size_t len)
{
    uint64_t h = mix(seed + len);
    for (; len >= 8; s += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, s, 8);
        h = mix(h ^ word) + seed;
    }
    uint64_t last = 0;
    memcpy(&last, s, len);
    return mix(h ^ last);
}

/* Equal values have equal hashes: numbers by value, members in any order. */
static uint64_t hash_value(uint64_t seed, const struct peri_value *v)
{
    enum peri_type type = peri_value_type(v);
    uint64_t h = mix(seed ^ (type == PERI_INT ? PERI_REAL : type));
    size_t len;
    if (type == PERI_INT || type == PERI_REAL) {
        double r = peri_value_as_real(v) + 0.0; /* -0 is 0 */
        return hash_bytes(h, (const char *)&r, sizeof(r));
    }
    if (type == PERI_BOOL)
        return mix(h + peri_value_as_bool(v));
    if (type == PERI_STRING) {
        const char *s = peri_value_textn(v, &len);
        return hash_bytes(h, s, len);
    }
    if (type == PERI_LIST)
        for (size_t i = 0; i < peri_value_count(v); i++)
            h = mix(h + hash_value(seed, peri_list_at(v, i)));
    for (void *it = type == PERI_MAP ? peri_map_first(v) : NULL; it; it = peri_map_next(v, it)) {
        const char *key = peri_map_key(it, &len);
        h += mix(hash_bytes(seed, key, len) ^ hash_value(seed + 1, peri_map_item(it)));
    }
    return h;
}

struct hashed {
    uint64_t hash;
    size_t index;
};

static int by_hash(const void *a, const void *b)
{
    const struct hashed *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void check_unique(struct checker *c, const struct peri_value *v)
{
    size_t n = peri_value_count(v);
    struct hashed *items = calloc(n + 1, sizeof(*items));
    if (!items) {
        c->no_memory = true;
        return;
    }
    if (c->seed == 0 && (peri_random(&c->seed, sizeof(c->seed)) || c->seed == 0))
        c->seed = 1;
    for (size_t i = 0; i < n; i++)
        items[i] = (struct hashed){hash_value(c->seed, peri_list_at(v, i)), i};
    qsort(items, n, sizeof(*items), by_hash);
    size_t a = n, b = n;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n && items[k].hash == items[i].hash; k++) {
            if (items[k].index < b &&
                peri_value_equal(peri_list_at(v, items[i].index), peri_list_at(v, items[k].index))) {
                a = items[i].index;
                b = items[k].index;
            }
            if (b < n)
                break; /* the nearest repeat of this value is found */
        }
    }
    free(items);
    if (b < n)
        report(c, "uniqueItems", "items %zu and %zu are equal", a, b);
}

static void check(
    struct checker *c, const struct peri_schema_node *node, const struct peri_value *v, const char *keyword);

static void check_list(struct checker *c, const struct peri_schema_node *node, const struct peri_value *v)
{
    size_t n = peri_value_count(v);
    check_bound(c, node, PERI_BOUND_ITEMS, n);
    if (node->unique)
        check_unique(c, v);
    for (size_t i = 0; node->items && i < n; i++) {
        char index[24];
        int len = snprintf(index, sizeof(index), "%zu", i);
        size_t before = peri_schema_enter(&c->path, index, (size_t)len);
        check(c, node->items, peri_list_at(v, i), "items");
        peri_schema_leave(&c->path, before);
    }
}

static void refuse_member(struct checker *c, const struct peri_schema_node *node, const char *key)
{
    const char **names = calloc(node->property_count + 1, sizeof(*names));
    for (size_t i = 0; names && i < node->property_count; i++)
        names[i] = node->properties[i].key;
    const char *near = names ? peri_nearest(key, names) : NULL;
    if (near)
        report(c, "additionalProperties", "unknown member \"%.100s\" (did you mean \"%s\"?)", key, near);
    else
        report(c, "additionalProperties", "unknown member \"%.100s\"", key);
    free(names);
}

static void check_map(struct checker *c, const struct peri_schema_node *node, const struct peri_value *v)
{
    size_t len;
    check_bound(c, node, PERI_BOUND_PROPERTIES, peri_value_count(v));
    for (size_t i = 0; i < peri_value_count(node->required); i++) {
        const char *name = peri_value_textn(peri_list_at(node->required, i), &len);
        if (!peri_map_atn(v, name, len))
            report(c, "required", "\"%s\" is missing", name);
    }
    for (size_t i = 0; i < node->property_count; i++) {
        const struct peri_schema_property *p = &node->properties[i];
        const struct peri_value *member = peri_map_atn(v, p->key, p->key_len);
        if (!member)
            continue;
        size_t before = peri_schema_enter(&c->path, p->key, p->key_len);
        check(c, p->schema, member, "properties");
        peri_schema_leave(&c->path, before);
    }
    for (void *it = node->additional ? peri_map_first(v) : NULL; it; it = peri_map_next(v, it)) {
        const char *key = peri_map_key(it, &len);
        if (peri_map_atn(node->property_map, key, len))
            continue;
        size_t before = peri_schema_enter(&c->path, key, len);
        if (node->additional->never)
            refuse_member(c, node, key);
        else
            check(c, node->additional, peri_map_item(it), "additionalProperties");
        peri_schema_leave(&c->path, before);
    }
}

static void check(
    struct checker *c, const struct peri_schema_node *node, const struct peri_value *v, const char *keyword)
{
    if (c->errors >= MAX_ERRORS)
        return;
    if (node->never) {
        report(c, keyword, "must not be there");
        return;
    }
    check_type(c, node, v);
    if (peri_schema_is_secret(v))
        return; /* what it holds is known only where it is used */
    check_values(c, node, v);
    if (peri_value_is_number(v))
        check_number(c, node, v);
    else if (peri_value_is(v, PERI_STRING))
        check_text(c, node, v);
    else if (peri_value_is(v, PERI_LIST))
        check_list(c, node, v);
    else if (peri_value_is(v, PERI_MAP))
        check_map(c, node, v);
}

enum peri_status peri_schema_check(
    const struct peri_schema *schema, const struct peri_value *data, struct peri_schema_report *report)
{
    struct checker c = {.report = report};
    peri_buf_init(&c.path, 1 << 20);
    if (report)
        memset(report, 0, sizeof(*report));
    check(&c, schema->root, data, "false");
    c.no_memory = c.no_memory || c.path.failed == PERI_ENOMEM;
    peri_buf_finish(&c.path);
    if (c.no_memory)
        return PERI_ENOMEM;
    return c.errors ? PERI_EINVAL : PERI_OK;
}
