/* SPDX-License-Identifier: Apache-2.0 */
/* From a tree of nodes to the tree as written (source). */
#include "lang/foreign.h"
#include "lang/pattern_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "data/json.h"

struct build {
    struct pattern_compile c, reports; /* reports: for what is only needed meanwhile */
    struct peri_map *ids;              /* key -> id + 1 */
};

/* Equal keys get equal ids. The map's keys end at a NUL, so NULs are escaped. */
static size_t key_id(struct build *b, const struct peri_node *key)
{
    struct peri_buf name;
    peri_buf_init(&name, PERI_YAML_MAX_BYTES * 2);
    for (size_t i = 0; i < key->len; i++) {
        if (key->text[i] == '\0')
            peri_buf_puts(&name, "\\0");
        else if (key->text[i] == '\\')
            peri_buf_puts(&name, "\\\\");
        else
            peri_buf_putc(&name, key->text[i]);
    }
    uintptr_t id = (uintptr_t)peri_map_get(b->ids, peri_buf_text(&name));
    if (!id) {
        id = ++b->c.pattern->key_count;
        b->c.nomem |= name.failed != PERI_OK || !peri_map_set(b->ids, peri_buf_text(&name), (void *)id, NULL);
    }
    peri_buf_finish(&name);
    return id - 1;
}

/* A plain value for reports. Unlike peri_node_value it keeps numbers that no value can hold, as text. */
static struct peri_value *value_of(struct build *b, const struct peri_node *node)
{
    struct peri_value *value = NULL;
    char *text;
    bool number = node->type == PERI_INT || node->type == PERI_REAL;
    if (node->kind == PERI_NODE_SCALAR && !number) {
        if (peri_node_value(node, NULL, NULL, &value, NULL) != PERI_OK)
            b->c.nomem = true;
        return value;
    }
    if (node->kind == PERI_NODE_SCALAR) {
        if (pattern_number_text(&b->reports, node, &text) &&
            peri_json_parse(text, strlen(text), &value, NULL) != PERI_OK)
            value = peri_value_str(text);
        return value;
    }
    value = node->kind == PERI_NODE_LIST ? peri_value_list() : peri_value_map();
    for (size_t i = 0; value && i < node->count; i++) {
        enum peri_status st;
        if (node->kind == PERI_NODE_LIST)
            st = peri_list_push(value, value_of(b, node->items[i]));
        else
            st = peri_map_putn(
                value, node->pairs[i].key->text, node->pairs[i].key->len, value_of(b, node->pairs[i].value));
        b->c.nomem |= st != PERI_OK;
    }
    b->c.nomem |= !value;
    return value;
}

/* A text takes a tenth of the memory of a value, and reports are rare. */
static const char *wanted(struct build *b, const struct peri_node *node)
{
    struct peri_value *value = value_of(b, node);
    char *text = value ? peri_json_text(value, PERI_JSON_COMPACT) : NULL;
    size_t size = text ? strlen(text) + 1 : 0;
    char *kept = text ? pattern_alloc(&b->c, size) : NULL;
    if (kept)
        memcpy(kept, text, size);
    b->c.nomem |= !kept;
    free(text);
    peri_value_unref(value);
    return kept;
}

static struct pattern_object *compile_object(struct build *b, const struct peri_node *node, int depth);

static bool compile_leaf(struct build *b, const struct peri_node *node, struct pattern_node *ret)
{
    if (node->tag || !node->count) {
        pattern_find_fault(&b->c, node, node->tag ? "pattern-value" : "pattern-empty", NULL, "%s",
            node->tag ? "a tag has no place in a pattern" : "an empty list of alternatives matches nothing");
        return false;
    }
    struct pattern_leaf *leaf = pattern_alloc(&b->c, sizeof(*leaf));
    struct pattern_leaf **list = pattern_alloc(&b->c, sizeof(*list));
    if (!leaf || !list || !(leaf->tests = pattern_alloc(&b->c, node->count * sizeof(*leaf->tests))))
        return false;
    bool ok = true;
    for (size_t i = 0; i < node->count; i++) {
        ok &= pattern_compile_test(&b->c, node->items[i], &leaf->tests[i]);
        if (leaf->tests[i].kind == TEST_EXISTS && !leaf->tests[i].exists)
            leaf->may_miss = true;
    }
    leaf->count = node->count;
    leaf->wanted = ok ? wanted(b, node) : NULL;
    list[0] = leaf;
    ret->leaves = list;
    ret->leaf_count = 1;
    return ok;
}

static void scalar_fault(struct build *b, const struct peri_node *key, const struct peri_node *value)
{
    char hint[256];
    const char *sign = NULL, *other = peri_foreign_pattern(key->text, &sign);
    bool deep = value->kind == PERI_NODE_SCALAR;
    if (sign && deep)
        snprintf(hint, sizeof(hint), "write [{numeric: [\"%s\", %.60s]}] in place of {%.60s: %.60s}", sign, value->text,
            key->text, value->text);
    else if (other && deep)
        snprintf(hint, sizeof(hint), "operators stand in a list: %s", other);
    else if (pattern_is_operator(key->text))
        snprintf(hint, sizeof(hint), "an operator stands in a list: [{%s: ...}]", key->text);
    else if (value->type == PERI_STRING && value->text[0] && strchr("<>=", value->text[0]))
        snprintf(hint, sizeof(hint), "write %.60s: [{numeric: [\"%.*s\", %.40s]}]", key->text,
            (int)strspn(value->text, "<>="), value->text, value->text + strspn(value->text, "<>= "));
    else
        snprintf(hint, sizeof(hint), "write %.60s: [%.100s]", key->text, value->len ? value->text : "...");
    pattern_find_fault(&b->c, value, "pattern-type", hint,
        "the value of \"%s\" must be a list of alternatives or a mapping, here is %s", key->text,
        peri_node_describe(value));
}

/* `value: {numeric: [">", 5]}` asks for a field "numeric" in value, which nobody means. */
static void warn_of_operator(struct build *b, const struct peri_node *map)
{
    static const char *const words[] = {"numeric", "anything-but", "equals-ignore-case", "wildcard", "cidr", "regex"};
    const struct peri_node *key = map->count == 1 ? map->pairs[0].key : NULL;
    char hint[120];
    for (size_t i = 0; key && b->c.diag && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(key->text, words[i]) != 0 || map->pairs[0].value->kind == PERI_NODE_MAP)
            continue;
        snprintf(hint, sizeof(hint), "an operator stands in a list: [{%s: ...}]", key->text);
        peri_diag_add(b->c.diag, key->place, PERI_SEV_WARNING, "pattern-field", hint,
            "this looks for a field \"%s\", and is no operator", key->text);
    }
}

static bool compile_field(struct build *b, const struct peri_pair *pair, int depth, struct pattern_field *ret)
{
    char *key = pattern_alloc(&b->c, pair->key->len + 1);
    ret->node = pattern_alloc(&b->c, sizeof(*ret->node));
    if (!key || !ret->node)
        return false;
    memcpy(key, pair->key->text, pair->key->len);
    ret->key = key;
    ret->key_len = pair->key->len;
    ret->id = key_id(b, pair->key);
    switch (pair->value->kind) {
    case PERI_NODE_LIST:
        return compile_leaf(b, pair->value, ret->node);
    case PERI_NODE_MAP:
        warn_of_operator(b, pair->value);
        ret->node->object = compile_object(b, pair->value, depth + 1);
        return ret->node->object != NULL;
    default:
        scalar_fault(b, pair->key, pair->value);
        return false;
    }
}

static bool compile_or(struct build *b, const struct peri_node *node, int depth, struct pattern_or *ret)
{
    if (node->kind != PERI_NODE_LIST || node->count < 2) {
        pattern_find_fault(&b->c, node, "pattern-or", NULL, "$or takes a list of two or more patterns");
        return false;
    }
    bool ok = true;
    ret->items = pattern_alloc(&b->c, node->count * sizeof(struct pattern_object *));
    if (!ret->items)
        return false;
    for (size_t i = 0; i < node->count; i++) {
        if (node->items[i]->kind != PERI_NODE_MAP) {
            pattern_find_fault(&b->c, node->items[i], "pattern-or", NULL, "$or takes patterns, here is %s",
                peri_node_describe(node->items[i]));
            ok = false;
            continue;
        }
        ret->items[i] = compile_object(b, node->items[i], depth + 1);
        ok &= ret->items[i] != NULL;
    }
    ret->count = node->count;
    ret->wanted = ok ? wanted(b, node) : NULL;
    return ok;
}

static int by_key(const void *a, const void *b)
{
    const struct peri_node *x = *(const struct peri_node *const *)a, *y = *(const struct peri_node *const *)b;
    int c = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);
    if (c)
        return c;
    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return x->place.line != y->place.line ? x->place.line - y->place.line : x->place.column - y->place.column;
}

static bool distinct_keys(struct build *b, const struct peri_node *node)
{
    bool ok = true;
    const struct peri_node **keys = calloc(node->count, sizeof(*keys));
    if (!keys) {
        b->c.nomem = true;
        return false;
    }
    for (size_t i = 0; i < node->count; i++)
        keys[i] = node->pairs[i].key;
    qsort(keys, node->count, sizeof(*keys), by_key);
    for (size_t i = 1; i < node->count; i++) {
        if (keys[i]->len == keys[i - 1]->len && memcmp(keys[i]->text, keys[i - 1]->text, keys[i]->len) == 0) {
            pattern_find_fault(
                &b->c, keys[i], "pattern-duplicate", NULL, "the key \"%s\" stands here twice", keys[i]->text);
            ok = false;
        }
    }
    free(keys);
    return ok;
}

static struct pattern_object *compile_object(struct build *b, const struct peri_node *node, int depth)
{
    if (depth > PATTERN_DEPTH || node->tag || !node->count) {
        if (depth > PATTERN_DEPTH)
            pattern_find_fault(&b->c, node, "pattern-depth", NULL, "nested more than %d levels deep", PATTERN_DEPTH);
        else
            pattern_find_fault(&b->c, node, node->tag ? "pattern-value" : "pattern-empty", NULL, "%s",
                node->tag ? "a tag has no place in a pattern" : "an empty pattern would match everything");
        return NULL;
    }
    bool ok = distinct_keys(b, node);
    struct pattern_object *object = pattern_alloc(&b->c, sizeof(*object));
    if (!object || !(object->fields = pattern_alloc(&b->c, node->count * sizeof(*object->fields))))
        return NULL;
    for (size_t i = 0; i < node->count && !b->c.nomem; i++) {
        const struct peri_pair *pair = &node->pairs[i];
        if (pair->key->len != 3 || memcmp(pair->key->text, "$or", 3) != 0) {
            ok &= compile_field(b, pair, depth, &object->fields[object->field_count++]);
            continue;
        }
        struct pattern_or *either = pattern_alloc(&b->c, sizeof(*either));
        object->ors = object->ors ? object->ors : pattern_alloc(&b->c, sizeof(struct pattern_or *));
        if (!either || !object->ors)
            return NULL;
        either->position = object->field_count;
        ok &= compile_or(b, pair->value, depth, either);
        object->ors[0] = either; /* a second one was found to be a repeated key */
        object->or_count = 1;
    }
    return ok && !b->c.nomem ? object : NULL;
}

enum peri_status peri_pattern_compile_node(
    const struct peri_node *node, struct peri_pattern **ret, struct peri_diag *diag)
{
    enum peri_status st = PERI_ENOMEM;
    struct build b = {.c = {.pattern = calloc(1, sizeof(struct peri_pattern)), .diag = diag}};
    struct peri_pattern *p = b.c.pattern;
    b.ids = peri_map_create();
    struct peri_pattern passing = {.arena = peri_arena_create(PATTERN_MEMORY)};
    b.reports = (struct pattern_compile){.pattern = &passing, .diag = diag};
    if (!p || !b.ids || !passing.arena || !(p->arena = peri_arena_create(PATTERN_MEMORY)))
        goto out;
    if (node->kind != PERI_NODE_MAP) {
        pattern_find_fault(&b.c, node, "pattern-type",
            node->kind == PERI_NODE_LIST
                ? "write the fields without '- ': name: [value]"
                : "write the fields of the payload: {name: [value]}; expressions stand under conditions:",
            "a pattern is a mapping, here is %s", peri_node_describe(node));
        st = PERI_EINVAL;
        goto out;
    }
    p->source = compile_object(&b, node, 1);
    if (b.c.nomem || b.reports.nomem)
        goto out;
    st = p->source ? pattern_plan(p) : PERI_EINVAL;
    if (st == PERI_ELIMIT) {
        pattern_find_fault(&b.c, node, "pattern-or", "ask for the same field in fewer $or lists",
            "the $or lists of this pattern ask for the same fields and multiply to more than %d parts",
            PATTERN_PLAN_MAX);
        st = PERI_EINVAL;
    }
out:
    peri_map_destroy(b.ids, NULL);
    peri_arena_destroy(passing.arena);
    if (st == PERI_OK)
        *ret = p;
    else
        peri_pattern_destroy(p);
    return st;
}

enum peri_status peri_pattern_compile_json(
    const char *text, size_t len, struct peri_pattern **ret, struct peri_error *err)
{
    struct peri_diag diag;
    struct peri_node *node;
    struct peri_arena *arena = peri_arena_create(PATTERN_MEMORY * 4);
    if (!arena)
        return peri_error_nomem(err);
    peri_diag_init(&diag);
    enum peri_status st = peri_json_nodes(arena, NULL, text, len, &node, err);
    if (st == PERI_OK) {
        st = peri_pattern_compile_node(node, ret, &diag);
        peri_diag_sort(&diag);
        if (st == PERI_ENOMEM || (st != PERI_OK && !diag.count)) {
            peri_error_nomem(err);
        } else if (st != PERI_OK) {
            const struct peri_finding *f = &diag.items[0];
            peri_error_set(err, PERI_EINVAL, f->code, "line %d, column %d: %s%s%s%s", f->line, f->column, f->message,
                f->hint ? " (" : "", f->hint ? f->hint : "", f->hint ? ")" : "");
        }
    }
    peri_diag_finish(&diag);
    peri_arena_destroy(arena);
    return st;
}

void peri_pattern_destroy(struct peri_pattern *pattern)
{
    if (!pattern)
        return;
    for (struct pattern_regex *regex = pattern->regexes; regex; regex = regex->next)
        peri_regex_destroy(regex->regex);
    peri_arena_destroy(pattern->arena);
    free(pattern);
}
