/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON Schema subset: what is common to compiling (schema_compile.c) and checking (schema_check.c), and defaults.
 */
#include "data/schema.h"

#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "data/schema_internal.h"

void peri_schema_destroy(struct peri_schema *schema)
{
    if (!schema)
        return;
    for (struct peri_schema_regex *r = schema->regexes; r; r = r->next)
        peri_regex_destroy(r->regex);
    peri_value_unref(schema->source);
    peri_arena_destroy(schema->arena);
    free(schema);
}

const struct peri_value *peri_schema_source(const struct peri_schema *schema)
{
    return schema->source;
}

bool peri_schema_is_secret(const struct peri_value *v)
{
    return peri_value_is(v, PERI_MAP) && peri_value_count(v) == 1 && peri_map_text(v, "$secret") != NULL;
}

static bool names_secret(const struct peri_value *v, int depth)
{
    if (depth > PERI_JSON_DEPTH)
        return true;
    if (peri_value_is(v, PERI_LIST)) {
        for (size_t i = 0; i < peri_value_count(v); i++)
            if (names_secret(peri_list_at(v, i), depth + 1))
                return true;
    } else if (peri_value_is(v, PERI_MAP)) {
        if (peri_map_at(v, "$secret"))
            return true;
        for (void *it = peri_map_first(v); it; it = peri_map_next(v, it))
            if (names_secret(peri_map_item(it), depth + 1))
                return true;
    }
    return false;
}

bool peri_value_names_secret(const struct peri_value *v)
{
    return names_secret(v, 0);
}

static struct peri_value *fill(const struct peri_schema_node *node, const struct peri_value *data);

static const struct peri_schema_node *member_schema(const struct peri_schema_node *node, const char *key, size_t len)
{
    if (peri_map_atn(node->property_map, key, len))
        for (size_t i = 0; i < node->property_count; i++)
            if (node->properties[i].key_len == len && memcmp(node->properties[i].key, key, len) == 0)
                return node->properties[i].schema;
    return node->additional;
}

/* Members in their order, then the absent ones that have a default. NULL when memory is out. */
static struct peri_value *fill_map(const struct peri_schema_node *node, const struct peri_value *data)
{
    struct peri_value *map = peri_value_map();
    bool ok = map != NULL;
    for (void *it = peri_map_first(data); ok && it; it = peri_map_next(data, it)) {
        size_t len;
        const char *key = peri_map_key(it, &len);
        ok = peri_map_putn(map, key, len, fill(member_schema(node, key, len), peri_map_item(it))) == PERI_OK;
    }
    for (size_t i = 0; ok && i < node->property_count; i++) {
        const struct peri_schema_property *p = &node->properties[i];
        if (p->schema->fallback && !peri_map_atn(map, p->key, p->key_len))
            ok = peri_map_putn(map, p->key, p->key_len, fill(p->schema, p->schema->fallback)) == PERI_OK;
    }
    if (ok)
        return map;
    peri_value_unref(map);
    return NULL;
}

static struct peri_value *fill_list(const struct peri_schema_node *node, const struct peri_value *data)
{
    struct peri_value *list = peri_value_list();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < peri_value_count(data); i++)
        ok = peri_list_push(list, fill(node->items, peri_list_at(data, i))) == PERI_OK;
    if (ok)
        return list;
    peri_value_unref(list);
    return NULL;
}

/* Recursion is bounded by the depth of the schema: without one below, the data is shared as it is. */
static struct peri_value *fill(const struct peri_schema_node *node, const struct peri_value *data)
{
    if (node && peri_value_is(data, PERI_MAP) && (node->property_count || node->additional) &&
        !peri_schema_is_secret(data))
        return fill_map(node, data);
    if (node && peri_value_is(data, PERI_LIST) && node->items)
        return fill_list(node, data);
    return peri_value_ref(data);
}

enum peri_status peri_schema_defaults(
    const struct peri_schema *schema, const struct peri_value *data, struct peri_value **ret)
{
    struct peri_value *filled = fill(schema->root, data);
    if (!filled)
        return PERI_ENOMEM;
    *ret = filled;
    return PERI_OK;
}
