/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "lang/rule_internal.h"

const struct rule_key peri_rule_condition_keys[] = {{"operator", KEY_KNOWN}, {"params", KEY_KNOWN}, {"all", KEY_KNOWN},
    {"any", KEY_KNOWN}, {"not", KEY_KNOWN}, {"expr", KEY_KNOWN}, {"lua", KEY_KNOWN}, {NULL, KEY_END}};

static const struct {
    const char *key;
    enum peri_condition_kind kind;
} kinds[] = {{"operator", PERI_COND_OPERATOR}, {"all", PERI_COND_ALL}, {"any", PERI_COND_ANY}, {"not", PERI_COND_NOT},
    {"expr", PERI_COND_EXPR}, {"lua", PERI_COND_OPERATOR}};

static struct peri_condition *create(
    struct rule_reader *r, enum peri_condition_kind kind, const struct peri_node *node, const char *path)
{
    struct peri_condition *c = calloc(1, sizeof(*c));
    if (c) {
        c->kind = kind;
        c->place = peri_rule_place(r, node);
        c->path = peri_rule_dup(r, path);
    }
    if (!c || !c->path) {
        peri_rule_nomem(r);
        free(c);
        return NULL;
    }
    return c;
}

/* "{{ expr }}", bare expression text, or true and false. */
static struct peri_condition *read_expr(struct rule_reader *r, const struct peri_node *node, const char *path)
{
    bool constant = node->kind == PERI_NODE_SCALAR && node->type == PERI_BOOL && !node->tag;
    if (!constant && !peri_rule_text(r, node, "expr"))
        return NULL;
    struct peri_condition *c = create(r, PERI_COND_EXPR, node, path);
    if (!c)
        return NULL;
    c->expr_text = peri_rule_dup(r, node->text);
    enum peri_status st = peri_template_compile_expr(node, &r->names, &c->expr, r->diag);
    if (st == PERI_ENOMEM)
        peri_rule_nomem(r);
    if (st == PERI_OK && c->expr_text)
        return c;
    peri_condition_destroy(c);
    return NULL;
}

static struct peri_condition *read_operator(
    struct rule_reader *r, const struct peri_node *map, const struct peri_node *id, const char *path)
{
    const struct peri_node *params = peri_node_get(map, "params", NULL);
    const char *name = peri_rule_text(r, id, "operator");
    bool good = !params || peri_rule_expect(r, params, PERI_NODE_MAP, "params");
    if (name)
        peri_rule_check_operator(r, id, params, true);
    struct peri_condition *c = name && good ? create(r, PERI_COND_OPERATOR, map, path) : NULL;
    struct peri_template *t = params && good ? peri_rule_template(r, params) : NULL;
    if (c && (!params || t)) {
        c->operator_id = peri_rule_dup(r, name);
        c->params = t;
        return c;
    }
    peri_template_destroy(t);
    peri_condition_destroy(c);
    return NULL;
}

static struct peri_condition *read_lua(struct rule_reader *r, const struct peri_node *node, const char *path)
{
    char *where = peri_rule_path(r, "%s.lua", path);
    struct peri_template *t = where ? peri_rule_read_lua(r, node, where, true) : NULL;
    struct peri_condition *c = t ? create(r, PERI_COND_OPERATOR, node, path) : NULL;
    free(where);
    if (!c) {
        peri_template_destroy(t);
        return NULL;
    }
    c->params = t;
    c->operator_id = peri_rule_dup(r, PERI_RULE_LUA);
    return c;
}

/* Each item of a list below c; false when one is wrong. */
static bool read_items(struct rule_reader *r, const struct peri_node *list, struct peri_condition *c)
{
    bool good = true;
    c->items = calloc(list->count + 1, sizeof(struct peri_condition *));
    if (!c->items) {
        peri_rule_nomem(r);
        return false;
    }
    for (size_t i = 0; i < list->count; i++) {
        char *path = peri_rule_path(r, "%s[%zu]", c->path, i);
        struct peri_condition *item = path ? peri_rule_read_condition(r, list->items[i], path) : NULL;
        free(path);
        if (item)
            c->items[c->count++] = item;
        else
            good = false;
    }
    return good;
}

static struct peri_condition *read_list(
    struct rule_reader *r, const struct peri_node *list, enum peri_condition_kind kind, const char *path)
{
    struct peri_condition *c = create(r, kind, list, path);
    if (c && !read_items(r, list, c)) {
        peri_condition_destroy(c);
        return NULL;
    }
    return c;
}

static struct peri_condition *read_group(struct rule_reader *r, const struct peri_node *node,
    enum peri_condition_kind kind, const char *key, const char *path)
{
    if (!peri_rule_expect(r, node, PERI_NODE_LIST, key))
        return NULL;
    if (node->count == 0) {
        peri_rule_fault(r, node->place, "empty-list", NULL, "\"%s\" needs at least one condition", key);
        return NULL;
    }
    return read_list(r, node, kind, path);
}

static struct peri_condition *read_not(struct rule_reader *r, const struct peri_node *node, const char *path)
{
    struct peri_condition *c = create(r, PERI_COND_NOT, node, path);
    struct peri_condition *inner = c ? peri_rule_read_condition(r, node, path) : NULL;
    if (inner)
        c->items = calloc(1, sizeof(struct peri_condition *));
    if (inner && c->items) {
        c->items[c->count++] = inner;
        return c;
    }
    if (inner)
        peri_rule_nomem(r);
    peri_condition_destroy(inner);
    peri_condition_destroy(c);
    return NULL;
}

/* Which of the kinds a mapping is; reports and returns false when it is none or two. */
static bool find_kind(struct rule_reader *r, const struct peri_node *map, size_t *ret)
{
    const struct peri_node *first = NULL;
    if (peri_rule_check_keys(r, map, peri_rule_condition_keys, "a condition") > 0)
        return false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct peri_node *key = peri_rule_key_node(map, kinds[i].key);
        if (key && first) {
            bool later = key->place.line > first->place.line ||
                         (key->place.line == first->place.line && key->place.column > first->place.column);
            peri_rule_fault(r, (later ? key : first)->place, "conflicting-keys", "make them two conditions",
                "a condition is one of operator, all, any, not, expr, lua, but this is both %s and %s", first->text,
                key->text);
            return false;
        }
        if (key) {
            first = key;
            *ret = i;
        }
    }
    if (!first)
        peri_rule_fault(r, map->place, "missing-key", "for example: {operator: contact.HasTag, params: {tag: vip}}",
            "a condition needs one of operator, all, any, not, expr, lua");
    return first != NULL;
}

static struct peri_condition *read_map(struct rule_reader *r, const struct peri_node *map, const char *path)
{
    size_t which = 0;
    struct peri_node *key = NULL;
    if (!find_kind(r, map, &which))
        return NULL;
    struct peri_node *node = peri_node_get(map, kinds[which].key, &key);
    const struct peri_node *params = peri_rule_key_node(map, "params");
    bool script = peri_streq(kinds[which].key, "lua");
    if ((kinds[which].kind != PERI_COND_OPERATOR || script) && params) {
        peri_rule_fault(
            r, params->place, "misplaced-key", NULL, "\"params\" goes with \"operator\", not with \"%s\"", key->text);
        return NULL;
    }
    if (script)
        return read_lua(r, node, path);
    if (kinds[which].kind == PERI_COND_OPERATOR)
        return read_operator(r, map, node, path);
    if (kinds[which].kind == PERI_COND_EXPR)
        return read_expr(r, node, path);
    char *below = peri_rule_path(r, "%s.%s", path, key->text);
    struct peri_condition *c = NULL;
    if (below)
        c = kinds[which].kind == PERI_COND_NOT ? read_not(r, node, below)
                                               : read_group(r, node, kinds[which].kind, key->text, below);
    free(below);
    return c;
}

struct peri_condition *peri_rule_read_condition(struct rule_reader *r, const struct peri_node *node, const char *path)
{
    if (r->nesting >= PERI_RULE_MAX_NESTING) {
        peri_rule_fault(r, node->place, "too-deep", NULL, "more than %d levels of nesting", PERI_RULE_MAX_NESTING);
        return NULL;
    }
    struct peri_condition *c = NULL;
    r->nesting++;
    if (node->kind == PERI_NODE_MAP) {
        c = read_map(r, node, path);
    } else if (node->kind == PERI_NODE_LIST) {
        if (node->count == 0)
            peri_rule_fault(r, node->place, "empty-list", NULL, "this list of conditions is empty");
        else
            c = read_list(r, node, PERI_COND_ALL, path);
    } else if (!node->tag && (node->type == PERI_STRING || node->type == PERI_BOOL)) {
        c = read_expr(r, node, path);
    } else {
        peri_rule_fault(r, node->place, "wrong-type", NULL,
            "a condition is an expression, a mapping or a list of conditions, not %s", peri_node_describe(node));
    }
    r->nesting--;
    return c;
}

/* The line "actions:" is missing above it. */
static bool find_step(struct rule_reader *r, const struct peri_node *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!peri_rule_looks_like_step(list->items[i]))
            continue;
        peri_rule_fault(r, list->items[i]->place, "misplaced-item", "is the line \"actions:\" missing above it?",
            "this is a step, not a condition");
        r->items_doubtful = true;
        return true;
    }
    return false;
}

struct peri_condition *peri_rule_read_conditions(
    struct rule_reader *r, const struct peri_node *node, const char *path, bool has_actions)
{
    if (!peri_rule_expect(r, node, PERI_NODE_LIST, path))
        return NULL;
    return node->count == 0 || (!has_actions && find_step(r, node)) ? NULL : read_list(r, node, PERI_COND_ALL, path);
}
