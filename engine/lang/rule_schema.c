/* SPDX-License-Identifier: Apache-2.0 */
/* A table (rule_schema_table.c) says for every key what it means and what it takes; the key tables of the reader say
 * which keys there are. */
#include "lang/rule_schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "data/json.h"
#include "lang/blueprint.h"
#include "lang/rule_schema_table.h"

/* ---- building ---- */

static struct peri_value *parse(const char *json)
{
    struct peri_value *v = NULL;
    return peri_json_parse(json, strlen(json), &v, NULL) == PERI_OK ? v : NULL;
}

/* Takes v; beside a $ref a description would not count. */
static struct peri_value *describe(struct peri_value *v, const char *help)
{
    if (!v || !help || !peri_value_is(v, PERI_MAP))
        return v;
    struct peri_value *out = v;
    if (peri_map_at(v, "$ref")) {
        struct peri_value *list = peri_value_list();
        out = peri_value_map();
        bool good = list && out && peri_list_push(list, peri_value_ref(v)) == PERI_OK &&
                    peri_map_put_ref(out, "allOf", list) == PERI_OK;
        peri_value_unref(list);
        peri_value_unref(v);
        if (!good) {
            peri_value_unref(out);
            return NULL;
        }
    }
    if (peri_map_put_text(out, "description", help) == PERI_OK)
        return out;
    peri_value_unref(out);
    return NULL;
}

/* Moves all members of from (consumed) into map. */
static bool merge(struct peri_value *map, struct peri_value *from)
{
    bool good = from != NULL;
    for (void *it = peri_map_first(from); it && good; it = peri_map_next(from, it))
        good = peri_map_put_ref(map, peri_map_key(it, NULL), peri_map_item(it)) == PERI_OK;
    peri_value_unref(from);
    return good;
}

static struct peri_value *mapping_schema(const struct rule_mapping *m)
{
    struct peri_value *schema = parse("{\"type\": \"object\", \"additionalProperties\": false}"),
                      *properties = peri_value_map();
    bool good = schema && properties;
    for (const struct rule_key *k = m->keys; good && k->kind != KEY_END; k++) {
        const struct rule_shape *shape = peri_rule_shape(m->shapes, k->name);
        good = peri_map_put(properties, k->name,
                   describe(parse(shape ? shape->schema : "true"), shape ? shape->help : NULL)) == PERI_OK;
    }
    good = good && peri_map_put_ref(schema, "properties", properties) == PERI_OK &&
           (!m->more || merge(schema, parse(m->more)));
    peri_value_unref(properties);
    if (good)
        return schema;
    peri_value_unref(schema);
    return NULL;
}

/* ---- kinds of steps ---- */

static struct peri_value *requires(const char *key)
{
    struct peri_value *v = peri_value_map(), *list = peri_value_list();
    if (v && list && peri_list_push(list, peri_value_str(key)) == PERI_OK &&
        peri_map_put_ref(v, "required", list) == PERI_OK) {
        peri_value_unref(list);
        return v;
    }
    peri_value_unref(list);
    peri_value_unref(v);
    return NULL;
}

/* Exactly one of the keys that make a kind; what goes with some kinds only needs one of them. */
static bool put_kinds(struct peri_value *step)
{
    struct peri_value *one_of = peri_value_list(), *dependencies = peri_value_map();
    const char *const *own;
    const char *key;
    bool good = one_of && dependencies;
    for (size_t i = 0; good && (key = peri_rule_step_kind(i, &own)); i++) {
        good = peri_list_push(one_of, requires(key)) == PERI_OK;
        for (size_t k = 0; good && own[k]; k++) {
            struct peri_value *entry = peri_map_at(dependencies, own[k]);
            if (!entry) {
                entry = parse("{\"anyOf\": []}");
                good = entry && peri_map_put(dependencies, own[k], entry) == PERI_OK;
            }
            good = good && peri_list_push(peri_map_at(entry, "anyOf"), requires(key)) == PERI_OK;
        }
    }
    good = good && peri_map_put(dependencies, "then", requires("if")) == PERI_OK &&
           peri_map_put_ref(step, "oneOf", one_of) == PERI_OK &&
           peri_map_put_ref(step, "dependencies", dependencies) == PERI_OK;
    peri_value_unref(one_of);
    peri_value_unref(dependencies);
    return good;
}

/* ---- parameters ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of a map, sorted: plugins in Lua have none of their own order. NULL-ended; caller frees. */
static const char **sorted_keys(const struct peri_value *map)
{
    const char **keys = calloc(peri_value_count(map) + 1, sizeof(*keys));
    size_t n = 0;
    for (void *it = keys ? peri_map_first(map) : NULL; it; it = peri_map_next(map, it))
        keys[n++] = peri_map_key(it, NULL);
    if (keys && n > 1)
        qsort(keys, n, sizeof(*keys), by_text);
    return keys;
}

/* A map with f of each member; NULL when memory is out. */
static struct peri_value *map_each(const struct peri_value *map, struct peri_value *(*f)(const struct peri_value *v))
{
    struct peri_value *out = peri_value_map();
    const char **keys = sorted_keys(map);
    bool good = out && keys;
    for (size_t i = 0; good && keys[i]; i++)
        good = peri_map_put(out, keys[i], f(peri_map_at(map, keys[i]))) == PERI_OK;
    free(keys);
    if (good)
        return out;
    peri_value_unref(out);
    return NULL;
}

static struct peri_value *with_templates(const struct peri_value *schema);

static struct peri_value *parameters(const struct peri_value *schema)
{
    struct peri_value *out = peri_value_map();
    const char **keys = sorted_keys(schema);
    bool good = out && keys;
    for (size_t i = 0; good && keys[i]; i++) {
        const struct peri_value *v = peri_map_at(schema, keys[i]);
        bool schemas = strcmp(keys[i], "properties") == 0;
        bool one = (strcmp(keys[i], "items") == 0 || strcmp(keys[i], "additionalProperties") == 0) &&
                   peri_value_is(v, PERI_MAP);
        good = peri_map_put(out, keys[i],
                   schemas ? map_each(v, with_templates)
                   : one   ? with_templates(v)
                           : peri_value_ref(v)) == PERI_OK;
    }
    free(keys);
    if (good)
        return out;
    peri_value_unref(out);
    return NULL;
}

/* Does every text pass? */
static bool takes_any_text(const struct peri_value *schema)
{
    static const char *const narrow[] = {"enum", "const", "pattern", "minLength", "maxLength", "format"};
    const struct peri_value *type = peri_map_at(schema, "type");
    bool text = !type || peri_streq(peri_value_text(type), "string");
    for (size_t i = 0; i < peri_value_count(type); i++)
        text = text || peri_streq(peri_value_text(peri_list_at(type, i)), "string");
    for (size_t i = 0; i < sizeof(narrow) / sizeof(narrow[0]); i++)
        text = text && !peri_map_at(schema, narrow[i]);
    return text;
}

/* The schema, or a template in its place. */
static struct peri_value *with_templates(const struct peri_value *schema)
{
    if (!peri_value_is(schema, PERI_MAP))
        return peri_value_ref(schema);
    struct peri_value *plain = parameters(schema);
    if (!plain || takes_any_text(schema))
        return plain;
    struct peri_value *out = peri_value_map(), *any = peri_value_list();
    const char *help = peri_map_text(schema, "description");
    bool good = out && any && peri_list_push(any, peri_value_ref(plain)) == PERI_OK &&
                peri_list_push(any, parse(REF("template"))) == PERI_OK &&
                peri_map_put_ref(out, "anyOf", any) == PERI_OK &&
                peri_map_put_text(out, "description", help) == PERI_OK;
    peri_value_unref(any);
    peri_value_unref(plain);
    if (good)
        return out;
    peri_value_unref(out);
    return NULL;
}

/* {if: operator is this one, then: its params} */
static struct peri_value *operator_schema(const char *id, const struct peri_operator_facts *facts)
{
    struct peri_value *rule = parse(
        "{\"if\": {\"properties\": {\"operator\": {}}, \"required\": [\"operator\"]}, \"then\": {\"properties\": {}}}");
    const struct peri_value *schema = facts->params ? peri_schema_source(facts->params) : NULL;
    struct peri_value *then = peri_map_at(rule, "then"),
                      *when = peri_map_at(peri_map_at(peri_map_at(rule, "if"), "properties"), "operator");
    bool good = rule && peri_map_put_text(when, "const", id) == PERI_OK;
    if (good && peri_value_is(schema, PERI_MAP))
        good = peri_map_put(peri_map_at(then, "properties"), "params",
                   describe(parameters(schema), facts->description)) == PERI_OK;
    if (good && peri_value_count(peri_map_at(schema, "required")) > 0)
        good = merge(then, requires("params"));
    if (good)
        return rule;
    peri_value_unref(rule);
    return NULL;
}

static bool put_operators(struct peri_value *mapping, const struct peri_rule_env *env, bool conditions)
{
    struct peri_value *ids = peri_value_list(), *rules = peri_value_list();
    const char *const *all = env && env->operator_ids ? env->operator_ids(env->ctx) : NULL;
    bool good = ids && rules;
    for (; good && all && *all; all++) {
        struct peri_operator_facts facts = {0};
        if (!env->operator_facts(env->ctx, *all, &facts) || !(conditions ? facts.is_condition : facts.is_action))
            continue;
        good = peri_list_push(ids, peri_value_str(*all)) == PERI_OK &&
               peri_list_push(rules, operator_schema(*all, &facts)) == PERI_OK;
    }
    if (good && peri_value_count(ids) > 0)
        good = peri_map_put_ref(peri_map_at(peri_map_at(mapping, "properties"), "operator"), "enum", ids) == PERI_OK &&
               peri_map_put_ref(mapping, "allOf", rules) == PERI_OK;
    peri_value_unref(ids);
    peri_value_unref(rules);
    return good;
}

/* The types of inputs, from the table that reads them. */
static bool put_types(struct peri_value *definitions)
{
    struct peri_value *type = parse("{\"enum\": []}"), *list = peri_map_at(type, "enum");
    const char *name;
    bool good = list != NULL;
    for (size_t i = 0; good && (name = peri_blueprint_type_at(i, NULL)); i++)
        good = peri_list_push(list, peri_value_str(name)) == PERI_OK;
    good = good && peri_map_put_text(type, "description", "What fits.") == PERI_OK &&
           peri_map_put_ref(peri_map_at(peri_map_at(definitions, "input"), "properties"), "type", type) == PERI_OK;
    peri_value_unref(type);
    return good;
}

/* A rule with holes, of which a schema can say nothing but which keys it has. */
static bool put_blueprint_file(struct peri_value *definitions)
{
    static const char *const not_here[] = {"name", "id", "enabled", "use_blueprint", "expanded_from", "blueprint"};
    struct peri_value *file =
        parse("{\"type\": \"object\", \"additionalProperties\": false, \"required\": "
              "[\"blueprint\", \"actions\"], \"oneOf\": [{\"required\": [\"trigger\"]}, "
              "{\"required\": [\"triggers\"]}], \"properties\": {\"blueprint\": " REF("blueprint") "}}");
    struct peri_value *properties = peri_map_at(file, "properties");
    const struct rule_shape *shapes = peri_rule_mapping("rule")->shapes;
    bool good = properties != NULL;
    for (const struct rule_key *k = peri_rule_head_keys; good && k->kind != KEY_END; k++) {
        bool here = true;
        for (size_t i = 0; i < sizeof(not_here) / sizeof(not_here[0]); i++)
            here = here && strcmp(not_here[i], k->name) != 0;
        if (here)
            good = peri_map_put(properties, k->name, describe(parse("{}"), peri_rule_shape(shapes, k->name)->help)) ==
                   PERI_OK;
    }
    good = good && peri_map_put_ref(definitions, "blueprint_file", file) == PERI_OK;
    peri_value_unref(file);
    return good;
}

static bool put_definitions(struct peri_value *definitions, const struct peri_rule_env *env)
{
    bool good = true;
    for (const struct rule_shape *part = peri_rule_parts; good && part->key; part++)
        good = peri_map_put(definitions, part->key, describe(parse(part->schema), part->help)) == PERI_OK;
    for (const struct rule_mapping *m = peri_rule_mappings; good && m->name; m++)
        good = peri_map_put(definitions, m->definition, mapping_schema(m)) == PERI_OK;
    return good && put_types(definitions) && put_blueprint_file(definitions) &&
           put_kinds(peri_map_at(definitions, "step")) && put_operators(peri_map_at(definitions, "step"), env, false) &&
           put_operators(peri_map_at(definitions, "condition_mapping"), env, true);
}

struct peri_value *peri_rule_schema(const struct peri_rule_env *env)
{
    struct peri_value *schema =
        parse("{\"$schema\": \"http://json-schema.org/draft-07/schema#\", \"title\": \"perigee rule file\", "
              "\"description\": \"One rule, or a list of them under rules:.\", \"type\": \"object\", "
              "\"if\": {\"required\": [\"rules\"]}, "
              "\"then\": {\"properties\": {\"rules\": {\"type\": \"array\", \"items\": " REF(
                  "rule") "}}, \"additionalProperties\": false}, \"else\": {\"if\": {\"required\": [\"blueprint\"]}, "
                          "\"then\": " REF("blueprint_file") ", \"else\": " REF("rule") "}, \"definitions\": {}}");
    if (schema && put_definitions(peri_map_at(schema, "definitions"), env))
        return schema;
    peri_value_unref(schema);
    return NULL;
}
