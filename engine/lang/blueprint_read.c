/* SPDX-License-Identifier: Apache-2.0 */
/* What a blueprint says of itself: its name, and what it asks for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "lang/duration.h"
#include "lang/blueprint_internal.h"

const struct rule_key peri_blueprint_head_keys[] = {{"name", KEY_KNOWN}, {"description", KEY_KNOWN},
    {"author", KEY_KNOWN}, {"homepage", KEY_KNOWN}, {"version", KEY_KNOWN}, {"input", KEY_KNOWN}, {NULL, KEY_END}};
const struct rule_key peri_blueprint_input_keys[] = {{"type", KEY_KNOWN}, {"name", KEY_KNOWN},
    {"description", KEY_KNOWN}, {"default", KEY_KNOWN}, {"required", KEY_KNOWN}, {"min", KEY_KNOWN}, {"max", KEY_KNOWN},
    {"pattern", KEY_KNOWN}, {"options", KEY_KNOWN}, {"items", KEY_KNOWN}, {"schema", KEY_KNOWN}, {NULL, KEY_END}};
const struct rule_key peri_blueprint_section_keys[] = {
    {"name", KEY_KNOWN}, {"description", KEY_KNOWN}, {"input", KEY_KNOWN}, {NULL, KEY_END}};

struct reading {
    struct rule_reader *r;
    struct blueprint *b;
    size_t cap;
};

bool peri_blueprint_is(const struct peri_node *root)
{
    return root->kind == PERI_NODE_MAP && peri_node_get(root, "blueprint", NULL) != NULL;
}

struct blueprint_input *peri_blueprint_find(const struct blueprint *b, const char *name)
{
    for (size_t i = 0; i < b->count; i++)
        if (strcmp(b->inputs[i].key->text, name) == 0)
            return &b->inputs[i];
    return NULL;
}

const char *peri_blueprint_near(const struct blueprint *b, const char *name)
{
    const char *names[PERI_BLUEPRINT_INPUTS + 1];
    for (size_t i = 0; i < b->count; i++)
        names[i] = b->inputs[i].key->text;
    names[b->count] = NULL;
    return peri_nearest(name, names);
}

static void input_finish(struct blueprint_input *input)
{
    peri_regex_destroy(input->pattern);
    peri_schema_destroy(input->schema);
    if (input->items)
        input_finish(input->items);
}

void peri_blueprint_finish(struct blueprint *b)
{
    for (size_t i = 0; i < b->count; i++)
        input_finish(&b->inputs[i]);
    b->count = 0;
    peri_arena_destroy(b->arena);
    peri_yaml_destroy(b->doc);
    b->arena = NULL;
    b->doc = NULL;
}

/* ---- one input ---- */

static const struct peri_node *read_text(struct rule_reader *r, const struct peri_node *map, const char *key)
{
    const struct peri_node *n = peri_node_get(map, key, NULL);
    return n && peri_rule_text(r, n, key) ? n : NULL;
}

/* min or max; a duration for durations. */
static bool read_bound(struct rule_reader *r, const struct blueprint_input *input, const char *key,
    const struct peri_node **ret_node, double *ret)
{
    const struct peri_node *n = peri_node_get(input->node, key, NULL);
    struct peri_value *v = NULL;
    int64_t i = 0;
    if (!n)
        return false;
    *ret_node = n;
    if (input->kind->type == INPUT_DURATION) {
        if (!peri_rule_duration(r, n, key, 0, &i))
            return false;
        *ret = (double)i;
        return true;
    }
    if (input->kind->type != INPUT_NUMBER) {
        bool counts = input->kind->type != INPUT_INTEGER;
        if (!peri_rule_int(r, n, key, counts ? 0 : -(INT64_C(1) << 53), INT64_C(1) << 53, &i))
            return false;
        *ret = (double)i;
        return true;
    }
    if (n->kind != PERI_NODE_SCALAR || n->tag || (n->type != PERI_INT && n->type != PERI_REAL) ||
        peri_node_value(n, NULL, NULL, &v, NULL) != PERI_OK) {
        peri_rule_wrong_type(r, n, key, "a number");
        return false;
    }
    *ret = peri_value_as_real(v);
    peri_value_unref(v);
    return true;
}

static void read_options(struct reading *rd, struct blueprint_input *input)
{
    const struct peri_node *list = peri_node_get(input->node, "options", NULL);
    input->options = peri_node_make_list(rd->b->arena, input->node->place, 0);
    if (!list) {
        peri_rule_fault(rd->r, input->node->place, "missing-key", "options: [low, high]", "an enum needs \"options\"");
        return;
    }
    if (!peri_rule_expect(rd->r, list, PERI_NODE_LIST, "options"))
        return;
    if (list->count == 0 || list->count > BLUEPRINT_OPTIONS) {
        peri_rule_fault(rd->r, list->place, list->count ? "too-many" : "empty-list", NULL,
            list->count ? "more than %d options" : "\"options\" is empty", BLUEPRINT_OPTIONS);
        return;
    }
    for (size_t i = 0; i < list->count; i++)
        if (!peri_rule_expect(rd->r, list->items[i], PERI_NODE_SCALAR, "options"))
            return;
    input->options = list;
}

static void read_pattern(struct reading *rd, struct blueprint_input *input)
{
    const struct peri_node *n = read_text(rd->r, input->node, "pattern");
    struct peri_error err;
    if (n && peri_regex_compile(n->text, n->len, &input->pattern, &err) != PERI_OK)
        peri_rule_fault(rd->r, n->place, "bad-value", NULL, "\"pattern\": %s", err.message);
}

static void read_schema(struct reading *rd, struct blueprint_input *input)
{
    const struct peri_node *n = peri_node_get(input->node, "schema", NULL);
    struct peri_value *v = NULL;
    struct peri_error err = {0};
    if (!n)
        return;
    input->schema_node = n;
    if (!peri_rule_expect(rd->r, n, PERI_NODE_MAP, "schema"))
        return;
    if (peri_node_value(n, NULL, NULL, &v, &err) != PERI_OK || peri_schema_compile(v, &input->schema, &err) != PERI_OK)
        peri_rule_fault(rd->r, n->place, "bad-schema", NULL, "\"schema\": %s", err.message);
    peri_value_unref(v);
}

static bool read_type(struct reading *rd, struct blueprint_input *input)
{
    struct peri_node *n = peri_node_get(input->node, "type", NULL);
    const char *names[32], *text = n ? peri_rule_text(rd->r, n, "type") : NULL;
    size_t count = 0;
    char hint[120];
    if (!n)
        peri_rule_fault(rd->r, input->node->place, "missing-key", "for example: {type: integer, default: 3}",
            "an input needs a \"type\"");
    if (!text)
        return false;
    input->kind = peri_input_kind(text);
    if (input->kind)
        return true;
    struct peri_buf list;
    peri_buf_init(&list, 600);
    for (const struct input_kind *k; (k = peri_input_kind_at(count)) && count < 31; count++) {
        (void)peri_buf_printf(&list, "%s%s", count ? ", " : "types: ", k->name);
        names[count] = k->name;
    }
    names[count] = NULL;
    const char *near = peri_nearest(text, names);
    if (near)
        snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
    peri_rule_fault(
        rd->r, n->place, "bad-value", near ? hint : peri_buf_text(&list), "there is no type \"%.64s\"", text);
    if (near)
        peri_diag_fix(rd->r->diag, n->place, text, near);
    peri_buf_finish(&list);
    return false;
}

static void check_constraints(struct reading *rd, const struct blueprint_input *input)
{
    static const struct {
        const char *key;
        unsigned bit;
    } keys[] = {{"min", INPUT_MIN}, {"max", INPUT_MAX}, {"pattern", INPUT_PATTERN}, {"options", INPUT_OPTIONS},
        {"items", INPUT_ITEMS}, {"schema", INPUT_SCHEMA}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const struct peri_node *key = peri_rule_key_node(input->node, keys[i].key);
        if (key && !(input->kind->keys & keys[i].bit))
            peri_rule_fault(
                rd->r, key->place, "misplaced-key", NULL, "\"%s\" says nothing of %s", key->text, input->kind->what);
    }
}

static void read_input(struct reading *rd, struct blueprint_input *input, int depth);

static void read_items(struct reading *rd, struct blueprint_input *input, int depth)
{
    const struct peri_node *n = peri_node_get(input->node, "items", NULL);
    if (!n || !peri_rule_expect(rd->r, n, PERI_NODE_MAP, "items"))
        return;
    static const char *const outer[] = {"default", "required"};
    for (size_t i = 0; i < 2; i++)
        if (peri_rule_key_node(n, outer[i]))
            peri_rule_fault(rd->r, peri_rule_key_node(n, outer[i])->place, "misplaced-key", NULL,
                "an element has no \"%s\"", outer[i]);
    struct blueprint_input *items = depth < 4 ? peri_arena_alloc(rd->b->arena, sizeof(*items)) : NULL;
    if (!items) {
        peri_rule_fault(rd->r, n->place, "too-deep", NULL, "lists of lists of lists");
        return;
    }
    items->node = n;
    items->key = input->key;
    read_input(rd, items, depth + 1);
    input->items = items->kind ? items : NULL;
}

static void read_input(struct reading *rd, struct blueprint_input *input, int depth)
{
    struct rule_reader *r = rd->r;
    size_t before = r->diag->errors;
    const struct peri_node *n;
    if (peri_rule_check_keys(r, input->node, peri_blueprint_input_keys, "an input") > 0 || !read_type(rd, input))
        return;
    check_constraints(rd, input);
    input->title = read_text(r, input->node, "name");
    input->about = read_text(r, input->node, "description");
    input->has_min = read_bound(r, input, "min", &input->min_node, &input->min);
    input->has_max = read_bound(r, input, "max", &input->max_node, &input->max);
    if (input->has_min && input->has_max && input->min > input->max)
        peri_rule_fault(r, input->max_node->place, "out-of-range", NULL, "\"max\" is less than \"min\"");
    if (input->kind->type == INPUT_ENUM)
        read_options(rd, input);
    read_pattern(rd, input);
    read_schema(rd, input);
    if (input->kind->type == INPUT_LIST)
        read_items(rd, input, depth);
    input->required = true;
    if ((n = peri_node_get(input->node, "required", NULL)))
        (void)peri_rule_bool(r, n, "required", &input->required);
    input->fallback = peri_node_get(input->node, "default", NULL);
    if (input->fallback && n && input->required)
        peri_rule_fault(r, n->place, "conflicting-keys", NULL, "what is required has no \"default\"");
    if (input->fallback) {
        input->required = false;
        if (r->diag->errors == before)
            (void)peri_input_check(r, input, input->fallback);
    }
}

/* ---- all of them ---- */

static bool is_name(const char *s)
{
    return peri_rule_names_well_formed(s);
}

static void add_input(
    struct reading *rd, const struct peri_node *key, const struct peri_node *node, const struct peri_node *section)
{
    struct blueprint *b = rd->b;
    if (!is_name(key->text)) {
        peri_rule_fault(rd->r, key->place, "bad-name", "letters, digits and _, starting with a letter, at most 64",
            "\"%.80s\" cannot be the name of an input", key->text);
        return;
    }
    if (peri_blueprint_find(b, key->text)) {
        peri_rule_fault(rd->r, key->place, "duplicate-name", NULL, "there is an input \"%.64s\" already", key->text);
        return;
    }
    if (b->count == PERI_BLUEPRINT_INPUTS) {
        peri_rule_fault(rd->r, key->place, "too-many", NULL, "more than %d inputs", PERI_BLUEPRINT_INPUTS);
        return;
    }
    if (!peri_rule_expect(rd->r, node, PERI_NODE_MAP, key->text))
        return;
    struct blueprint_input *input = &b->inputs[b->count++];
    *input = (struct blueprint_input){.key = key, .node = node, .section = section};
    read_input(rd, input, 0);
    if (!input->kind) { /* its finding is made; what follows would be none of its own */
        input_finish(input);
        b->count--;
    }
}

static void read_inputs(struct reading *rd, const struct peri_node *map, const struct peri_node *section)
{
    if (!peri_rule_expect(rd->r, map, PERI_NODE_MAP, "input"))
        return;
    for (size_t i = 0; i < map->count && rd->r->failed == PERI_OK; i++) {
        const struct peri_node *key = map->pairs[i].key, *value = map->pairs[i].value;
        const struct peri_node *inner = value->kind == PERI_NODE_MAP ? peri_node_get(value, "input", NULL) : NULL;
        if (!inner || section) {
            add_input(rd, key, value, section);
        } else if (peri_rule_check_keys(rd->r, value, peri_blueprint_section_keys, "a section of inputs") == 0) {
            const struct peri_node *name = read_text(rd->r, value, "name");
            (void)read_text(rd->r, value, "description");
            read_inputs(rd, inner, name ? name : key);
        }
    }
}

/* What a use says of its own, and what only the engine writes. */
static void check_body(struct rule_reader *r, const struct peri_node *root)
{
    static const char *const refused[] = {"name", "id", "enabled", "use_blueprint", "expanded_from"};
    static const char *const hints[] = {"the rule that uses it has one; that of the blueprint stands under blueprint:",
        "the rule that uses it has one", "the rule that uses it says so",
        "a blueprint cannot use another: put what both do into one with inputs, or let it emit an event for a rule of "
        "the other",
        NULL};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        const struct peri_node *key = peri_rule_key_node(root, refused[i]);
        if (key)
            peri_rule_fault(
                r, key->place, "misplaced-key", hints[i], "\"%s\" does not go with \"blueprint\"", refused[i]);
    }
}

enum peri_status peri_blueprint_read(struct blueprint *b, const char *file, const struct peri_node *root,
    const struct peri_rule_env *env, struct peri_diag *diag)
{
    struct rule_reader r = {.diag = diag, .env = env};
    struct reading rd = {.r = &r, .b = b};
    size_t before = diag->errors;
    const struct peri_node *head = peri_node_get(root, "blueprint", NULL);
    b->arena = peri_arena_create(BLUEPRINT_ARENA);
    b->inputs = b->arena ? peri_arena_alloc(b->arena, PERI_BLUEPRINT_INPUTS * sizeof(*b->inputs)) : NULL;
    if (!b->inputs)
        return PERI_ENOMEM;
    b->file = file;
    b->root = root;
    b->head = head;
    if (!peri_rule_expect(&r, head, PERI_NODE_MAP, "blueprint"))
        return PERI_EINVAL;
    peri_blueprint_refuse_inputs(&r, head, "what is asked for stands here, !input in the rule below");
    if (diag->errors == before && peri_rule_check_keys(&r, head, peri_blueprint_head_keys, "blueprint") == 0) {
        static const char *const texts[] = {"name", "description", "author", "homepage", "version"};
        if (!peri_node_get(head, "name", NULL))
            peri_rule_fault(&r, head->place, "missing-key", "name: says in a few words what it is for",
                "the blueprint has no \"name\"");
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
            (void)read_text(&r, head, texts[i]);
        if (peri_node_get(head, "input", NULL))
            read_inputs(&rd, peri_node_get(head, "input", NULL), NULL);
    }
    check_body(&r, root);
    bool sound = diag->errors == before, nested = peri_node_get(root, "use_blueprint", NULL) != NULL;
    if (r.failed == PERI_OK && !nested) /* what it lacks would come from the other */
        peri_blueprint_check(&r, b, sound);
    if (r.failed != PERI_OK)
        return r.failed;
    return sound && diag->errors == before ? PERI_OK : PERI_EINVAL;
}

/* ---- describing ---- */

static bool put_node(struct peri_value *v, const char *key, const struct peri_node *node)
{
    struct peri_value *value = NULL;
    if (!node)
        return true;
    if (peri_input_dynamic(node) && node->kind == PERI_NODE_SCALAR && node->tag)
        return peri_map_put(v, key, peri_value_str(node->tag)) == PERI_OK;
    return peri_node_value(node, NULL, NULL, &value, NULL) != PERI_OK || peri_map_put(v, key, value) == PERI_OK;
}

static struct peri_value *input_value(const struct blueprint_input *input)
{
    struct peri_value *v = peri_value_map();
    bool good =
        v && put_node(v, "name", input->key) && peri_map_put_text(v, "type", input->kind->name) == PERI_OK &&
        put_node(v, "title", input->title) && put_node(v, "description", input->about) &&
        put_node(v, "section", input->section) && peri_map_put_bool(v, "required", input->required) == PERI_OK &&
        put_node(v, "default", input->fallback) && put_node(v, "min", input->min_node) &&
        put_node(v, "max", input->max_node) && put_node(v, "pattern", peri_node_get(input->node, "pattern", NULL)) &&
        (input->kind->type != INPUT_ENUM || put_node(v, "options", input->options)) &&
        put_node(v, "items", peri_node_get(input->node, "items", NULL)) && put_node(v, "schema", input->schema_node);
    if (good)
        return v;
    peri_value_unref(v);
    return NULL;
}

struct peri_value *peri_blueprint_describe(const char *file, const struct peri_rule_env *env, struct peri_diag *diag)
{
    static const char *const tags[] = {"!secret", "!input", NULL};
    static const char *const texts[] = {"name", "description", "author", "homepage", "version"};
    struct peri_yaml_doc *doc = NULL;
    struct blueprint b = {0};
    struct peri_value *v = NULL, *inputs = NULL;
    if (peri_yaml_load(file, tags, &doc, diag) != PERI_OK)
        return NULL;
    if (doc->count != 1 || !peri_blueprint_is(doc->roots[0])) {
        peri_diag_add(diag, (struct peri_place){file, 0, 0}, PERI_SEV_ERROR, "no-blueprint",
            "a blueprint has the key blueprint:", "this file is no blueprint");
    } else if (peri_blueprint_read(&b, file, doc->roots[0], env, diag) == PERI_OK) {
        v = peri_value_map();
        inputs = peri_value_list();
        bool good = v && inputs;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
            good = good && put_node(v, texts[i], peri_node_get(b.head, texts[i], NULL));
        for (size_t i = 0; good && i < b.count; i++)
            good = peri_list_push(inputs, input_value(&b.inputs[i])) == PERI_OK;
        if (!good || peri_map_put_ref(v, "inputs", inputs) != PERI_OK) {
            peri_value_unref(v);
            v = NULL;
        }
        peri_value_unref(inputs);
    }
    peri_blueprint_finish(&b);
    peri_yaml_destroy(doc);
    return v;
}
