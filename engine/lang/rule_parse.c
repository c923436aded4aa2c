/* SPDX-License-Identifier: Apache-2.0 */
/* Files and the heads of rules. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/plain_secret.h"
#include "lang/blueprint_internal.h"
#include "lang/rule_internal.h"

/* When you change a key table of rule_*.c, change rule_schema_table.c and docs/rules.md. */
const struct rule_key peri_rule_head_keys[] = {{"name", KEY_KNOWN}, {"id", KEY_KNOWN}, {"description", KEY_KNOWN},
    {"enabled", KEY_KNOWN}, {"tags", KEY_KNOWN}, {"priority", KEY_KNOWN}, {"trigger", KEY_KNOWN},
    {"triggers", KEY_KNOWN}, {"conditions", KEY_KNOWN}, {"actions", KEY_KNOWN}, {"on_error", KEY_KNOWN},
    {"key", KEY_KNOWN}, {"mode", KEY_KNOWN}, {"max", KEY_KNOWN}, {"max_exceeded", KEY_KNOWN}, {"throttle", KEY_KNOWN},
    {"timeout", KEY_KNOWN}, {"cancel_on", KEY_KNOWN}, {"on_change", KEY_KNOWN}, {"blueprint", KEY_KNOWN},
    {"use_blueprint", KEY_KNOWN}, {"expanded_from", KEY_KNOWN}, {NULL, KEY_END}};
static const struct rule_key file_keys[] = {{"rules", KEY_KNOWN}, {NULL, KEY_END}};

/* Ids of a file, with the lines where they were given. */
struct seen_id {
    char *id;
    int line;
};

struct rule_loader {
    const char *file;
    const struct peri_rule_env *env;
    struct peri_rule_list *list;
    struct peri_diag *diag;
    struct seen_id *seen;
    size_t seen_count, seen_cap;
    size_t rules, documents;
    struct blueprint_uses uses;
    enum peri_status failed;
};

/* ---- the head ---- */

static bool is_id(const char *text)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7F || strchr("/\\\"'{}[],#", *p))
            return false;
    return strlen(text) <= PERI_RULE_MAX_NAME;
}

/* The id given, or the slug of the name; *ret_node is where it stands. */
static void read_id(struct rule_reader *r, const struct peri_node *map, const struct peri_node **ret_node)
{
    const struct peri_node *id = peri_node_get(map, "id", NULL), *name = peri_node_get(map, "name", NULL);
    if (id) {
        *ret_node = id;
        if (!peri_rule_text(r, id, "id"))
            return;
        if (is_id(id->text))
            r->rule->id = peri_rule_dup(r, id->text);
        else
            peri_rule_fault(r, id->place, "bad-name", "letters, digits, '-', '.' and '_', at most 200",
                "\"%.80s\" cannot be the id of a rule", id->text);
        return;
    }
    if (!r->rule->name)
        return;
    *ret_node = name;
    r->rule->id = peri_slug(r->rule->name);
    if (!r->rule->id)
        peri_rule_nomem(r);
    else if (r->rule->id[0] == '\0' || !is_id(r->rule->id))
        peri_rule_fault(r, name->place, "bad-name", "add an id: of letters, digits and '-'",
            "no id can be made of the name \"%.80s\"", r->rule->name);
}

static void read_name(struct rule_reader *r, const struct peri_node *map)
{
    const struct peri_node *n = peri_node_get(map, "name", NULL);
    if (!n) {
        peri_rule_fault(
            r, map->place, "missing-key", "name: says in a few words what the rule is for", "the rule has no \"name\"");
        return;
    }
    const char *name = peri_rule_text(r, n, "name");
    if (name && strlen(name) > PERI_RULE_MAX_NAME)
        peri_rule_fault(r, n->place, "too-large",
            "the rest belongs in description:", "\"name\" is longer than %d bytes", PERI_RULE_MAX_NAME);
    else if (name)
        r->rule->name = peri_rule_dup(r, name);
}

static void read_tags(struct rule_reader *r, const struct peri_node *node)
{
    if (!peri_rule_expect(r, node, PERI_NODE_LIST, "tags"))
        return;
    r->rule->tags = calloc(node->count + 1, sizeof(char *));
    if (!r->rule->tags) {
        peri_rule_nomem(r);
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        const char *tag = peri_rule_text(r, node->items[i], "tags");
        if (tag)
            r->rule->tags[r->rule->tag_count++] = peri_rule_dup(r, tag);
    }
}

static void read_head(struct rule_reader *r, const struct peri_node *map)
{
    const struct peri_node *n;
    int64_t priority = 0;
    if ((n = peri_node_get(map, "description", NULL)) && peri_rule_text(r, n, "description"))
        r->rule->description = peri_rule_dup(r, n->text);
    if ((n = peri_node_get(map, "enabled", NULL)))
        (void)peri_rule_bool(r, n, "enabled", &r->rule->enabled);
    if ((n = peri_node_get(map, "tags", NULL)))
        read_tags(r, n);
    if ((n = peri_node_get(map, "priority", NULL)) && peri_rule_int(r, n, "priority", -1000000, 1000000, &priority))
        r->rule->priority = (int)priority;
    if ((n = peri_node_get(map, "timeout", NULL)))
        (void)peri_rule_duration(r, n, "timeout", 1, &r->rule->timeout_ms);
}

/* An unknown key may be a missing one misspelt: then only the first is reported. */
static bool has_unknown(const struct peri_node *map)
{
    for (size_t i = 0; i < map->count; i++)
        if (!peri_rule_find_key(peri_rule_head_keys, map->pairs[i].key->text))
            return true;
    return false;
}

static void read_body(struct rule_reader *r, const struct peri_node *map)
{
    const struct peri_node *n;
    bool unknown = has_unknown(map);
    if (peri_node_get(map, "trigger", NULL) || peri_node_get(map, "triggers", NULL) || !unknown)
        peri_rule_read_triggers(r, map);
    peri_rule_read_flow(r, map);
    if ((n = peri_node_get(map, "conditions", NULL))) {
        r->in_conditions = true;
        r->rule->condition = peri_rule_read_conditions(r, n, "conditions", peri_node_get(map, "actions", NULL) != NULL);
        r->in_conditions = false;
    }
    if ((n = peri_node_get(map, "actions", NULL)))
        r->rule->actions = peri_rule_read_block(r, n, "actions", "actions");
    else if (!unknown && !r->items_doubtful)
        peri_rule_fault(
            r, map->place, "missing-key", "actions: is the list of steps to carry out", "the rule has no \"actions\"");
    if ((n = peri_node_get(map, "on_error", NULL))) {
        r->in_on_error = true;
        r->rule->on_error = peri_rule_read_block(r, n, "on_error", "on_error");
    }
}

/* ---- rules of a file ---- */

static void check_same_id(struct rule_reader *r, struct rule_loader *l, const struct peri_node *node)
{
    const char *id = r->rule->id;
    for (size_t i = 0; id && i < l->seen_count; i++) {
        if (strcmp(l->seen[i].id, id) != 0)
            continue;
        peri_rule_fault(r, node->place, "duplicate-id",
            "give one of them another id:", "the rule in line %d has the same id \"%s\"", l->seen[i].line, id);
        return;
    }
    if (!id)
        return;
    char *copy = peri_rule_dup(r, id);
    if (!copy || !peri_vec_grow(&l->seen, &l->seen_cap, l->seen_count + 1, sizeof(*l->seen))) {
        free(copy);
        peri_rule_nomem(r);
        return;
    }
    l->seen[l->seen_count++] = (struct seen_id){copy, r->rule->place.line};
}

/* Where a rule that was a blueprint's is from, and what its inputs were. */
static struct peri_value *read_origin(struct rule_reader *r, const struct peri_node *map)
{
    static const struct rule_key keys[] = {{"blueprint", KEY_KNOWN}, {"input", KEY_KNOWN}, {NULL, KEY_END}};
    const struct peri_node *origin = peri_node_get(map, "expanded_from", NULL), *path, *input;
    struct peri_value *values = NULL;
    if (!origin || !peri_rule_expect(r, origin, PERI_NODE_MAP, "expanded_from") ||
        peri_rule_check_keys(r, origin, keys, "expanded_from") > 0)
        return NULL;
    path = peri_node_get(origin, "blueprint", NULL);
    input = peri_node_get(origin, "input", NULL);
    if (path && peri_rule_text(r, path, "blueprint"))
        r->rule->blueprint = peri_rule_dup(r, path->text);
    if (!input || peri_rule_expect(r, input, PERI_NODE_MAP, "input")) {
        values = peri_blueprint_values(input);
        if (!values)
            peri_rule_nomem(r);
    }
    return values;
}

static void read_fields(struct rule_reader *r, const struct peri_node *map)
{
    size_t before = r->diag->errors;
    const struct peri_node *id_node = map;
    struct peri_value *values = read_origin(r, map);
    if (values)
        r->inputs = values;
    r->head_doubtful = peri_rule_check_keys(r, map, peri_rule_head_keys, "a rule") > 0;
    if (peri_node_get(map, "name", NULL) || !has_unknown(map))
        read_name(r, map);
    read_id(r, map, &id_node);
    if (r->loader)
        check_same_id(r, r->loader, id_node);
    read_head(r, map);
    peri_rule_names_init(r, map);
    read_body(r, map);
    peri_rule_names_finish(r);
    static const char *const parts[] = {"actions", "conditions", "on_error"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        const struct peri_node *part = peri_node_get(map, parts[i], NULL);
        if (part)
            peri_plain_secrets(part, "`perigee secrets set NAME' keeps it, !secret NAME names it", r->diag);
        if (part && r->diag->errors == before)
            peri_rule_suspect_texts(r, part, false);
    }
    peri_value_unref(values);
}

struct peri_rule *peri_rule_read_tree(
    struct rule_reader *r, const char *file, const char *other, const struct peri_node *map)
{
    size_t before = r->diag->errors;
    struct peri_rule *rule = r->rule = peri_rule_create();
    char *copy = rule ? peri_strdup(file) : NULL;
    if (copy)
        rule->place = (struct peri_place){copy, map->place.line, map->place.column};
    if (copy && other)
        rule->blueprint_file = peri_strdup(other);
    if (!copy || (other && !rule->blueprint_file)) {
        peri_rule_nomem(r);
    } else {
        read_fields(r, map);
        if (r->failed == PERI_OK && r->diag->errors == before)
            peri_rule_write_text(r, map);
    }
    r->rule = NULL;
    if (r->failed == PERI_OK && r->diag->errors == before)
        return rule;
    peri_rule_unref(rule);
    return NULL;
}

/* NULL with findings. */
static struct peri_rule *make_rule(struct rule_loader *l, struct rule_reader *r, const struct peri_node *map)
{
    size_t before = r->diag->errors;
    peri_blueprint_refuse_inputs(r, map, "only the rule of a blueprint has inputs");
    if (r->diag->errors > before)
        return NULL;
    if (peri_node_get(map, "use_blueprint", NULL))
        return peri_blueprint_use(&l->uses, r, l->file, map);
    if (peri_rule_key_node(map, "blueprint")) {
        peri_rule_fault(r, peri_rule_key_node(map, "blueprint")->place, "misplaced-key",
            "a rule names it in use_blueprint:", "a blueprint stands in a file of its own");
        return NULL;
    }
    return peri_rule_read_tree(r, l->file, NULL, map);
}

static void read_rule(struct rule_loader *l, const struct peri_node *map)
{
    struct rule_reader r = {.diag = l->diag, .env = l->env, .loader = l};
    if (++l->rules > PERI_RULE_MAX_RULES) {
        if (l->rules == PERI_RULE_MAX_RULES + 1)
            peri_rule_fault(&r, map->place, "too-many", NULL, "more than %d rules in one file", PERI_RULE_MAX_RULES);
        return;
    }
    if (!peri_rule_expect(&r, map, PERI_NODE_MAP, "a rule"))
        return;
    struct peri_rule *rule = make_rule(l, &r, map);
    if (r.failed != PERI_OK)
        l->failed = r.failed;
    else if (rule && peri_vec_grow(&l->list->items, &l->list->cap, l->list->count + 1, sizeof(struct peri_rule *)))
        l->list->items[l->list->count++] = peri_rule_ref(rule);
    else if (rule)
        l->failed = PERI_ENOMEM;
    peri_rule_unref(rule);
}

/* It makes no rule by itself. */
static void read_blueprint(struct rule_loader *l, const struct peri_node *root)
{
    struct rule_reader r = {.diag = l->diag, .env = l->env};
    struct blueprint b = {0};
    if (l->documents > 1) {
        peri_rule_fault(&r, peri_rule_key_node(root, "blueprint")->place, "misplaced-key", NULL,
            "a blueprint stands in a file of its own");
        return;
    }
    if (peri_blueprint_read(&b, l->file, root, l->env, l->diag) == PERI_ENOMEM)
        l->failed = PERI_ENOMEM;
    peri_blueprint_finish(&b);
}

static void read_document(struct rule_loader *l, const struct peri_node *root)
{
    struct rule_reader r = {.diag = l->diag, .env = l->env};
    const struct peri_node *rules = peri_node_get(root, "rules", NULL);
    if (root->kind == PERI_NODE_LIST) {
        peri_rule_fault(&r, root->place, "wrong-type",
            "a list of rules stands under rules:", "a file holds one rule or a list under \"rules\", not a bare list");
        return;
    }
    if (!rules && peri_blueprint_is(root)) {
        read_blueprint(l, root);
        return;
    }
    if (!rules) {
        read_rule(l, root);
        return;
    }
    (void)peri_rule_check_keys(&r, root, file_keys, "a file with several rules");
    if (!peri_rule_expect(&r, rules, PERI_NODE_LIST, "rules"))
        return;
    for (size_t i = 0; i < rules->count && l->failed == PERI_OK; i++)
        read_rule(l, rules->items[i]);
}

static enum peri_status read_documents(const char *file, struct peri_yaml_doc *doc, const struct peri_rule_env *env,
    struct peri_rule_list *list, struct peri_diag *diag)
{
    struct rule_loader l = {.file = file, .env = env, .list = list, .diag = diag, .documents = doc->count};
    size_t before = diag->errors;
    for (size_t i = 0; i < doc->count && l.failed == PERI_OK; i++)
        read_document(&l, doc->roots[i]);
    for (size_t i = 0; i < l.seen_count; i++)
        free(l.seen[i].id);
    free(l.seen);
    peri_blueprint_uses_finish(&l.uses);
    if (l.failed != PERI_OK)
        return l.failed;
    return diag->errors > before || diag->lost ? PERI_EINVAL : PERI_OK;
}

static const char *const tags[] = {"!secret", "!input", NULL};

enum peri_status peri_rules_load_file(
    const char *path, const struct peri_rule_env *env, struct peri_rule_list *list, struct peri_diag *diag)
{
    struct peri_yaml_doc *doc = NULL;
    enum peri_status st = peri_yaml_load(path, tags, &doc, diag);
    if (st != PERI_OK)
        return st;
    st = read_documents(path, doc, env, list, diag);
    peri_yaml_destroy(doc);
    return st;
}

enum peri_status peri_rules_load_text(const char *file, const char *text, size_t len, const struct peri_rule_env *env,
    struct peri_rule_list *list, struct peri_diag *diag)
{
    struct peri_yaml_doc *doc = NULL;
    enum peri_status st = peri_yaml_parse(file, text, len, tags, &doc, diag);
    if (st != PERI_OK)
        return st;
    st = read_documents(file, doc, env, list, diag);
    peri_yaml_destroy(doc);
    return st;
}
