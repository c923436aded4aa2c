/* SPDX-License-Identifier: Apache-2.0 */
/* A schema is read once, strictly: each keyword has an entry in the table, and one that has none refuses the schema.
 * The values are held to what the 2020-12 meta-schema asks of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "data/schema_internal.h"

#define ARENA_MAX (16u << 20)
#define MAX_DEPTH 64

struct compiler {
    struct peri_schema *schema;
    struct peri_buf path; /* RFC 6901, into the schema */
    int depth;
    struct peri_error *err;
};

static enum peri_status refuse(struct compiler *c, const char *what)
{
    return peri_error_set(
        c->err, PERI_EINVAL, "schema", "schema at %s: %s", c->path.len ? peri_buf_text(&c->path) : "the root", what);
}

size_t peri_schema_enter(struct peri_buf *path, const char *name, size_t len)
{
    size_t before = path->len;
    peri_buf_putc(path, '/');
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '~' || name[i] == '/')
            peri_buf_puts(path, name[i] == '~' ? "~0" : "~1");
        else
            peri_buf_putc(path, name[i]);
    }
    return before;
}

void peri_schema_leave(struct peri_buf *path, size_t before)
{
    path->len = before;
    if (path->data)
        path->data[before] = '\0';
}

static enum peri_status compile(struct compiler *c, const struct peri_value *source, struct peri_schema_node **ret);

static enum peri_status nomem(struct compiler *c)
{
    return peri_error_nomem(c->err);
}

typedef enum peri_status (*keyword_fn)(
    struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg);

static enum peri_status add_type(struct compiler *c, struct peri_schema_node *node, const struct peri_value *v)
{
    static const struct {
        const char *name;
        unsigned bits;
    } types[] = {{"null", 1u << PERI_NULL}, {"boolean", 1u << PERI_BOOL}, {"integer", 1u << PERI_INT},
        {"number", PERI_SCHEMA_NUMBER}, {"string", 1u << PERI_STRING}, {"array", 1u << PERI_LIST},
        {"object", 1u << PERI_MAP}};
    const char *name = peri_value_text(v);
    for (size_t i = 0; name && i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].name, name) != 0)
            continue;
        if (node->types & types[i].bits)
            return refuse(c, "a type is named twice");
        node->types |= types[i].bits;
        return PERI_OK;
    }
    return refuse(c, "a type is one of null, boolean, integer, number, string, array, object");
}

static enum peri_status on_type(struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    if (!peri_value_is(v, PERI_LIST))
        return add_type(c, node, v);
    enum peri_status st = peri_value_count(v) ? PERI_OK : refuse(c, "the list of types is empty");
    for (size_t i = 0; st == PERI_OK && i < peri_value_count(v); i++)
        st = add_type(c, node, peri_list_at(v, i));
    return st;
}

static enum peri_status on_properties(
    struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    if (!peri_value_is(v, PERI_MAP))
        return refuse(c, "must be an object");
    size_t n = peri_value_count(v);
    if (n == 0)
        return PERI_OK;
    node->properties = peri_arena_alloc(c->schema->arena, n * sizeof(*node->properties));
    if (!node->properties)
        return nomem(c);
    node->property_map = v;
    for (void *it = peri_map_first(v); it; it = peri_map_next(v, it)) {
        struct peri_schema_property *p = &node->properties[node->property_count];
        p->key = peri_map_key(it, &p->key_len);
        size_t before = peri_schema_enter(&c->path, p->key, p->key_len);
        enum peri_status st = compile(c, peri_map_item(it), &p->schema);
        if (st)
            return st;
        peri_schema_leave(&c->path, before);
        node->property_count++;
    }
    return PERI_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum peri_status on_required(
    struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    size_t n = peri_value_count(v);
    if (!peri_value_is(v, PERI_LIST))
        return refuse(c, "must be a list of names");
    const char **names = calloc(n + 1, sizeof(*names));
    if (!names)
        return nomem(c);
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < n; i++)
        if (!(names[i] = peri_value_text(peri_list_at(v, i))))
            st = refuse(c, "must be a list of names");
    if (st == PERI_OK)
        qsort(names, n, sizeof(*names), by_text);
    for (size_t i = 1; st == PERI_OK && i < n; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            st = refuse(c, "a name is there twice");
    free(names);
    node->required = v;
    return st;
}

static enum peri_status on_additional(
    struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    return compile(c, v, &node->additional);
}

static enum peri_status on_items(struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    if (peri_value_is(v, PERI_LIST))
        return refuse(c, "must be one schema for all items");
    return compile(c, v, &node->items);
}

static enum peri_status read_count(struct compiler *c, const struct peri_value *v, int64_t *ret)
{
    double r = peri_value_as_real(v);
    if (!peri_value_is_number(v) || r < 0 || r != floor(r))
        return refuse(c, "must be a whole number, 0 or more");
    *ret = peri_value_as_int(v);
    return PERI_OK;
}

static enum peri_status on_least(struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    return read_count(c, v, &node->least[arg]);
}

static enum peri_status on_most(struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    return read_count(c, v, &node->most[arg]);
}

static enum peri_status on_unique(
    struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    node->unique = peri_value_as_bool(v);
    return peri_value_is(v, PERI_BOOL) ? PERI_OK : refuse(c, "must be true or false");
}

static enum peri_status on_enum(struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    node->one_of = v;
    return peri_value_is(v, PERI_LIST) ? PERI_OK : refuse(c, "must be a list of values");
}

static enum peri_status on_const(struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    node->constant = v;
    return PERI_OK;
}

static enum peri_status on_default(
    struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    if (peri_value_names_secret(v)) /* a plugin would name a secret that nobody gave it */
        return refuse(c, "a default cannot name a secret");
    node->fallback = v;
    return PERI_OK;
}

static enum peri_status on_pattern(
    struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    size_t len;
    struct peri_error why = {0};
    struct peri_schema_regex *entry;
    if (!peri_value_is(v, PERI_STRING))
        return refuse(c, "must be a regular expression");
    if (!(entry = peri_arena_alloc(c->schema->arena, sizeof(*entry))))
        return nomem(c);
    node->pattern = peri_value_textn(v, &len);
    if (peri_regex_compile(node->pattern, len, &entry->regex, &why)) {
        peri_error_prefix(&why, "no regular expression");
        return why.status == PERI_ENOMEM ? nomem(c) : refuse(c, why.message);
    }
    node->regex = entry->regex;
    entry->next = c->schema->regexes;
    c->schema->regexes = entry;
    return PERI_OK;
}

static enum peri_status on_limit(struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    node->limits[arg] = v;
    return peri_value_is_number(v) ? PERI_OK : refuse(c, "must be a number");
}

static enum peri_status on_multiple(
    struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    node->multiple_of = v;
    return peri_value_as_real(v) > 0 ? PERI_OK : refuse(c, "must be a number above 0");
}

static enum peri_status on_format(
    struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    node->format_name = peri_value_text(v);
    node->format = node->format_name ? peri_format_find(node->format_name) : NULL;
    return node->format ? PERI_OK
                        : refuse(c, "must be one of date-time, date, time, duration, email, hostname, ipv4, ipv6, uri, "
                                    "uri-reference, uuid, regex");
}

/* Annotations are let through when they have the type that is in arg. ("personal" is read by run/privacy.c.) */
static enum peri_status on_annotation(
    struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    if (peri_value_is(v, (enum peri_type)arg))
        return PERI_OK;
    return refuse(c, arg == PERI_STRING ? "must be a text"
                     : arg == PERI_BOOL ? "must be true or false"
                                        : "must be a list");
}

static enum peri_status on_id(struct compiler *c, struct peri_schema_node *node, const struct peri_value *v, int arg)
{
    const char *text = peri_value_text(v), *hash = text ? strchr(text, '#') : NULL;
    if (!text || !peri_format_uri_reference(text, strlen(text)) || (hash && hash[1]))
        return refuse(c, "must be a URI reference without a fragment");
    return PERI_OK;
}

static const struct keyword {
    const char *name;
    keyword_fn fn;
    int arg;
} keywords[] = {
    {"type", on_type, 0},
    {"properties", on_properties, 0},
    {"required", on_required, 0},
    {"additionalProperties", on_additional, 0},
    {"minProperties", on_least, PERI_BOUND_PROPERTIES},
    {"maxProperties", on_most, PERI_BOUND_PROPERTIES},
    {"items", on_items, 0},
    {"minItems", on_least, PERI_BOUND_ITEMS},
    {"maxItems", on_most, PERI_BOUND_ITEMS},
    {"uniqueItems", on_unique, 0},
    {"enum", on_enum, 0},
    {"const", on_const, 0},
    {"pattern", on_pattern, 0},
    {"minLength", on_least, PERI_BOUND_LENGTH},
    {"maxLength", on_most, PERI_BOUND_LENGTH},
    {"minimum", on_limit, PERI_LIMIT_MIN},
    {"maximum", on_limit, PERI_LIMIT_MAX},
    {"exclusiveMinimum", on_limit, PERI_LIMIT_ABOVE},
    {"exclusiveMaximum", on_limit, PERI_LIMIT_BELOW},
    {"multipleOf", on_multiple, 0},
    {"format", on_format, 0},
    {"default", on_default, 0},
    {"$schema", on_annotation, PERI_STRING},
    {"$id", on_id, 0},
    {"$comment", on_annotation, PERI_STRING},
    {"title", on_annotation, PERI_STRING},
    {"description", on_annotation, PERI_STRING},
    {"examples", on_annotation, PERI_LIST},
    {"deprecated", on_annotation, PERI_BOOL},
    {"readOnly", on_annotation, PERI_BOOL},
    {"writeOnly", on_annotation, PERI_BOOL},
    {"personal", on_annotation, PERI_BOOL},
};

#define KEYWORDS (sizeof(keywords) / sizeof(keywords[0]))

static enum peri_status unknown_keyword(struct compiler *c, const char *name)
{
    const char *names[KEYWORDS + 1] = {NULL};
    char text[200];
    for (size_t i = 0; i < KEYWORDS; i++)
        names[i] = keywords[i].name;
    const char *near = peri_nearest(name, names);
    struct peri_buf b;
    peri_buf_init(&b, sizeof(text) - 1);
    peri_buf_printf(&b, "the keyword \"%.60s\" is not supported", name);
    if (near)
        peri_buf_printf(&b, " (did you mean \"%s\"?)", near);
    enum peri_status st = refuse(c, peri_buf_text(&b));
    peri_buf_finish(&b);
    return st;
}

static enum peri_status read_keyword(
    struct compiler *c, struct peri_schema_node *node, const char *name, size_t len, const struct peri_value *v)
{
    for (size_t i = 0; i < KEYWORDS; i++) {
        if (strlen(keywords[i].name) != len || memcmp(keywords[i].name, name, len) != 0)
            continue;
        size_t before = peri_schema_enter(&c->path, name, len);
        enum peri_status st = keywords[i].fn(c, node, v, keywords[i].arg);
        if (st == PERI_OK)
            peri_schema_leave(&c->path, before);
        return st;
    }
    return unknown_keyword(c, name);
}

static enum peri_status compile(struct compiler *c, const struct peri_value *source, struct peri_schema_node **ret)
{
    enum peri_type type = peri_value_type(source);
    if (type != PERI_MAP && type != PERI_BOOL)
        return refuse(c, "a schema must be an object, true or false");
    if (c->depth >= MAX_DEPTH)
        return refuse(c, "nested deeper than 64 schemas");
    struct peri_schema_node *node = peri_arena_alloc(c->schema->arena, sizeof(*node));
    if (!node)
        return nomem(c);
    node->never = type == PERI_BOOL && !peri_value_as_bool(source);
    for (int i = 0; i < PERI_BOUND_COUNT; i++)
        node->least[i] = node->most[i] = -1;
    c->depth++;
    for (void *it = type == PERI_MAP ? peri_map_first(source) : NULL; it; it = peri_map_next(source, it)) {
        size_t len;
        const char *name = peri_map_key(it, &len);
        enum peri_status st = read_keyword(c, node, name, len, peri_map_item(it));
        if (st)
            return st;
    }
    c->depth--;
    *ret = node;
    return PERI_OK;
}

enum peri_status peri_schema_compile(const struct peri_value *source, struct peri_schema **ret, struct peri_error *err)
{
    struct peri_schema *schema = calloc(1, sizeof(*schema));
    if (!schema || !(schema->arena = peri_arena_create(ARENA_MAX))) {
        free(schema);
        return peri_error_nomem(err);
    }
    schema->source = peri_value_ref(source);
    struct compiler c = {.schema = schema, .err = err};
    peri_buf_init(&c.path, 1 << 20);
    enum peri_status st = compile(&c, source, &schema->root);
    peri_buf_finish(&c.path);
    if (st) {
        peri_schema_destroy(schema);
        return st;
    }
    *ret = schema;
    return PERI_OK;
}
