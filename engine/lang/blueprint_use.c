/* SPDX-License-Identifier: Apache-2.0 */
/* A rule that is made of a blueprint. What is wrong is always told in the file of the rule: where the value stands, or
 * at the path when the value is not to blame alone; the place in the blueprint stands in the hint. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "lang/blueprint_internal.h"

const struct rule_key peri_blueprint_use_keys[] = {{"path", KEY_KNOWN}, {"input", KEY_KNOWN}, {NULL, KEY_END}};

struct blueprint_entry {
    char *file;
    struct blueprint b;
    struct peri_diag diag;
    bool good;
};

static void entry_finish(struct blueprint_entry *e)
{
    peri_blueprint_finish(&e->b);
    peri_diag_finish(&e->diag);
    free(e->file);
}

void peri_blueprint_uses_finish(struct blueprint_uses *uses)
{
    for (size_t i = 0; i < uses->count; i++)
        entry_finish(&uses->entries[i]);
    free(uses->entries);
}

enum peri_status peri_blueprint_path_check(const char *path, struct peri_error *err)
{
    const char *why = NULL;
    if (!*path || strlen(path) > PERI_BLUEPRINT_PATH_MAX)
        why = "a path has 1 to 512 bytes";
    else if (path[0] == '/' || path[0] == '~')
        why = "the path is relative to the rule folder";
    else if (!peri_str_ends(path, ".yaml") && !peri_str_ends(path, ".yml"))
        why = "a blueprint is a .yaml file";
    for (const char *p = path; !why && p; p = strchr(p, '/')) {
        p += *p == '/';
        if (*p == '.' || *p == '/' || *p == '\0')
            why = strncmp(p, "..", 2) == 0 ? "the path leads out of the rule folder"
                                           : "no part of the path may be empty or begin with a dot";
    }
    if (!why && strpbrk(path, "\\\n\r\t"))
        why = "the path has a character that no path has";
    return why ? peri_error_set(err, PERI_EINVAL, "no-blueprint", "%s", why) : PERI_OK;
}

/* ---- the file ---- */

static void load(struct blueprint_entry *e, struct rule_reader *r)
{
    static const char *const tags[] = {"!secret", "!input", NULL};
    enum peri_status st = peri_yaml_load(e->file, tags, &e->b.doc, &e->diag);
    if (st == PERI_OK && (e->b.doc->count != 1 || !peri_blueprint_is(e->b.doc->roots[0]))) {
        peri_diag_add(&e->diag, (struct peri_place){e->file, 0, 0}, PERI_SEV_ERROR, "no-blueprint", NULL,
            "this file is no blueprint");
        st = PERI_EINVAL;
    }
    if (st == PERI_OK)
        st = peri_blueprint_read(&e->b, e->file, e->b.doc->roots[0], r->env, &e->diag);
    if (st == PERI_ENOMEM)
        peri_rule_nomem(r);
    e->good = st == PERI_OK;
}

/* Takes file. */
static struct blueprint_entry *entry_of(struct blueprint_uses *uses, struct rule_reader *r, char *file)
{
    for (size_t i = 0; i < uses->count; i++)
        if (strcmp(uses->entries[i].file, file) == 0) {
            free(file);
            return &uses->entries[i];
        }
    if (!peri_vec_grow(&uses->entries, &uses->cap, uses->count + 1, sizeof(*uses->entries))) {
        free(file);
        peri_rule_nomem(r);
        return NULL;
    }
    struct blueprint_entry *e = &uses->entries[uses->count++];
    *e = (struct blueprint_entry){.file = file};
    peri_diag_init(&e->diag);
    load(e, r);
    return e;
}

static struct blueprint_entry *find(
    struct blueprint_uses *uses, struct rule_reader *r, const char *from, const struct peri_node *path)
{
    struct peri_error err = {0};
    char *file = NULL, near[PERI_BLUEPRINT_NEAR] = "", hint[PERI_BLUEPRINT_NEAR + 32];
    enum peri_status st = PERI_ENOTFOUND;
    if (r->env && r->env->find_blueprint)
        st = r->env->find_blueprint(r->env, from, path->text, &file, near, &err);
    else
        (void)peri_error_set(&err, PERI_ENOTFOUND, NULL, "there are no blueprints here");
    if (st == PERI_ENOMEM)
        peri_rule_nomem(r);
    if (st != PERI_OK) {
        snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
        peri_rule_fault(r, path->place, "no-blueprint",
            near[0] ? hint : "a path relative to the rule folder, such as blueprints/missed-calls.yaml", "%s",
            err.message);
        if (near[0])
            peri_diag_fix(r->diag, path->place, path->text, near);
        return NULL;
    }
    struct blueprint_entry *e = entry_of(uses, r, file);
    if (!e || e->good || r->failed != PERI_OK)
        return e && e->good ? e : NULL;
    const struct peri_finding *first = NULL;
    for (size_t i = 0; i < e->diag.count && !first; i++)
        if (e->diag.items[i].severity == PERI_SEV_ERROR)
            first = &e->diag.items[i];
    char *where = first ? peri_asprintf("%s:%d:%d: %s", first->file, first->line, first->column, first->message) : NULL;
    peri_rule_fault(r, path->place, "broken-blueprint", where, "the blueprint has %zu error%s", e->diag.errors,
        &"s"[e->diag.errors == 1]);
    free(where);
    return NULL;
}

/* ---- what goes in ---- */

static void check_dynamic(struct rule_reader *r, const struct blueprint *b, const struct blueprint_input *input,
    const struct peri_node *value)
{
    const struct peri_node *dynamic = peri_input_dynamic(value);
    bool secret = dynamic && dynamic->tag;
    if (!dynamic || !(input->read_in || (secret && b->scripts_read_all && !input->placed)))
        return;
    peri_rule_fault(r, dynamic->place, "input-dynamic", "give it a value that is known now",
        "input \"%.64s\" is read in a template of the blueprint (input.%.64s): it cannot be %s", input->key->text,
        input->key->text, secret ? "a secret" : "a template itself");
}

static void check_given(
    struct rule_reader *r, const struct blueprint *b, const struct peri_node *given, const struct peri_node **values)
{
    for (size_t i = 0; given && i < given->count; i++) {
        const struct peri_node *key = given->pairs[i].key, *value = given->pairs[i].value;
        struct blueprint_input *input = peri_blueprint_find(b, key->text);
        if (input) {
            if (peri_input_check(r, input, value))
                check_dynamic(r, b, input, value);
            values[input - b->inputs] = value;
            continue;
        }
        const char *near = peri_blueprint_near(b, key->text);
        char hint[120];
        if (near)
            snprintf(hint, sizeof(hint), "did you mean \"%.64s\"?", near);
        peri_rule_fault(
            r, key->place, "unknown-input", near ? hint : NULL, "the blueprint has no input \"%.64s\"", key->text);
        if (near)
            peri_diag_fix(r->diag, key->place, key->text, near);
    }
}

/* All that is missing in one finding; an unknown one may be a missing one misspelt. */
static void check_missing(
    struct rule_reader *r, const struct blueprint *b, const struct peri_node **values, struct peri_place place)
{
    struct peri_buf names;
    const struct blueprint_input *first = NULL;
    size_t n = 0;
    peri_buf_init(&names, 1000);
    for (size_t i = 0; i < b->count; i++) {
        const struct blueprint_input *input = &b->inputs[i];
        if (values[i])
            continue;
        values[i] = input->fallback;
        if (!input->required)
            continue;
        (void)peri_buf_printf(&names, "%s\"%s\"", n++ ? ", " : "", input->key->text);
        first = first ? first : input;
    }
    char *hint = n == 1 ? peri_asprintf("%s: %s%s%s", first->key->text, first->kind->what, first->about ? ". " : "",
                              first->about ? first->about->text : "")
                        : NULL;
    if (n > 0)
        peri_rule_fault(r, place, "missing-input", hint, "%s %s of the blueprint %s missing",
            n == 1 ? "input" : "inputs", peri_buf_text(&names), n == 1 ? "is" : "are");
    free(hint);
    peri_buf_finish(&names);
}

/* {blueprint: path, input: {...}}: what the stored rule keeps of where it is from, and what input.x is. */
static bool put_origin(
    struct blueprint_filling *f, const struct blueprint *b, struct peri_node *rule, const struct peri_node *path)
{
    struct peri_node *origin = peri_node_make_map(f->arena, path->place, 2),
                     *input = peri_node_make_map(f->arena, path->place, b->count);
    if (!origin || !input)
        return false;
    for (size_t i = 0; i < b->count; i++) {
        struct peri_node *value = (struct peri_node *)(uintptr_t)f->values[i];
        if (!value)
            value = peri_node_make_text(f->arena, path->place, "null", PERI_NULL);
        if (!value)
            return false;
        input->pairs[input->count++] = (struct peri_pair){(struct peri_node *)(uintptr_t)b->inputs[i].key, value};
    }
    return peri_node_put(
               f->arena, origin, "blueprint", peri_node_make_text(f->arena, path->place, path->text, PERI_STRING)) &&
           peri_node_put(f->arena, origin, "input", input) && peri_node_put(f->arena, rule, "expanded_from", origin);
}

static enum peri_status secret_as_null(
    void *ctx, const struct peri_node *node, struct peri_value **ret, struct peri_error *err)
{
    *ret = peri_value_null();
    return *ret ? PERI_OK : peri_error_nomem(err);
}

struct peri_value *peri_blueprint_values(const struct peri_node *input)
{
    struct peri_value *v = NULL;
    if (!input)
        return peri_value_map();
    return input->kind == PERI_NODE_MAP && peri_node_value(input, secret_as_null, NULL, &v, NULL) == PERI_OK ? v : NULL;
}

/* ---- findings of the expansion ---- */

/* The value that a finding in the rule's own file is in: the last one that begins before it. */
static const struct blueprint_hole *hole_of(const struct blueprint_filling *f, const struct peri_finding *x)
{
    const struct blueprint_hole *best = NULL;
    for (size_t i = 0; i < f->hole_count; i++) {
        const struct peri_place *p = &f->holes[i].value;
        if (p->line > x->line || (p->line == x->line && p->column > x->column) || !peri_streq(p->file, x->file))
            continue;
        if (!best || p->line > best->value.line || (p->line == best->value.line && p->column > best->value.column))
            best = &f->holes[i];
    }
    return best;
}

static void tell(struct rule_reader *r, const struct blueprint *b, const struct blueprint_filling *f,
    const struct peri_diag *own, struct peri_place at)
{
    for (size_t i = 0; i < own->count; i++) {
        const struct peri_finding *x = &own->items[i];
        bool inside = peri_streq(x->file, b->file);
        if (inside && x->severity != PERI_SEV_ERROR)
            continue; /* told of the blueprint itself */
        const struct blueprint_hole *hole = inside ? NULL : hole_of(f, x);
        int line = inside ? x->line
                   : hole ? hole->at.line
                          : 0,
            column = inside ? x->column
                     : hole ? hole->at.column
                            : 0;
        char *hint = line ? peri_asprintf("%s%s%s at %s:%d:%d", x->hint ? x->hint : "", x->hint ? "; " : "",
                                inside ? "in the blueprint" : "it goes into the blueprint", b->file, line, column)
                          : peri_strdup(x->hint);
        struct peri_place place = inside ? at : (struct peri_place){at.file, x->line, x->column};
        peri_diag_add(
            r->diag, place, x->severity, x->code, hint, "%s%s", inside ? "with these inputs: " : "", x->message);
        if (x->fix.from && !inside)
            peri_diag_fix(r->diag, (struct peri_place){at.file, x->fix.line, x->fix.column}, x->fix.from, x->fix.to);
        free(hint);
    }
}

static struct peri_rule *expand(struct blueprint_uses *uses, struct rule_reader *r, const struct blueprint *b,
    const char *file, const struct peri_node *map, const struct peri_node *path, const struct peri_node **values)
{
    struct peri_rule *rule = NULL;
    struct peri_diag own;
    struct blueprint_filling f = {.values = values, .arena = peri_arena_create(BLUEPRINT_ARENA)};
    struct rule_reader inner = {.diag = &own, .env = r->env, .loader = r->loader};
    peri_diag_init(&own);
    struct peri_node *tree = f.arena ? peri_blueprint_expand(&inner, b, &f, map, map->place) : NULL;
    uses->nodes += f.nodes;
    if (!f.arena || (tree && !put_origin(&f, b, tree, path)))
        inner.failed = PERI_ENOMEM;
    else if (tree)
        rule = peri_rule_read_tree(&inner, file, b->file, tree);
    if (rule)
        uses->bytes += strlen(rule->text);
    tell(r, b, &f, &own, path->place);
    if (inner.failed != PERI_OK)
        r->failed = inner.failed;
    peri_diag_finish(&own);
    peri_arena_destroy(f.arena);
    if (uses->nodes <= BLUEPRINT_FILE_NODES && uses->bytes <= BLUEPRINT_FILE_BYTES)
        return rule;
    peri_rule_fault(r, path->place, "too-large", "spread them over several files",
        "the rules that blueprints make of this file are too large together");
    peri_rule_unref(rule);
    return NULL;
}

/* ---- the rule ---- */

/* The first key that the blueprint should say; false with a finding. */
static bool check_head(struct rule_reader *r, const struct peri_node *map)
{
    static const char *const own[] = {"name", "id", "description", "enabled", "tags", "priority", "use_blueprint"};
    for (size_t i = 0; i < map->count; i++) {
        const struct peri_node *key = map->pairs[i].key;
        bool good = !peri_rule_find_key(peri_rule_head_keys, key->text); /* an unknown one is a finding of its own */
        for (size_t k = 0; k < sizeof(own) / sizeof(own[0]) && !good; k++)
            good = strcmp(own[k], key->text) == 0;
        if (good)
            continue;
        peri_rule_fault(r, peri_rule_key_node(map, "use_blueprint")->place, "conflicting-keys",
            "the blueprint says what the rule does; the rule has a name, id, description, enabled, tags, priority",
            "\"use_blueprint\" does not go with \"%s\"", key->text);
        return false;
    }
    return true;
}

struct peri_rule *peri_blueprint_use(
    struct blueprint_uses *uses, struct rule_reader *r, const char *file, const struct peri_node *map)
{
    size_t before = r->diag->errors;
    const struct peri_node *use = peri_node_get(map, "use_blueprint", NULL), *path = NULL, *given = NULL;
    (void)peri_rule_check_keys(r, map, peri_rule_head_keys, "a rule");
    if (!check_head(r, map) || !peri_rule_expect(r, use, PERI_NODE_MAP, "use_blueprint") ||
        peri_rule_check_keys(r, use, peri_blueprint_use_keys, "use_blueprint") > 0)
        return NULL;
    if (!(path = peri_node_get(use, "path", NULL)))
        peri_rule_fault(r, use->place, "missing-key", "path: is where the blueprint lies below the rule folder",
            "\"use_blueprint\" needs \"path\"");
    given = peri_node_get(use, "input", NULL);
    if (!path || !peri_rule_text(r, path, "path") || (given && !peri_rule_expect(r, given, PERI_NODE_MAP, "input")))
        return NULL;
    struct blueprint_entry *e = find(uses, r, file, path);
    const struct peri_node **values = e ? calloc(e->b.count + 1, sizeof(*values)) : NULL;
    struct peri_rule *rule = NULL;
    if (e && !values)
        peri_rule_nomem(r);
    if (values) {
        size_t fresh = r->diag->errors;
        check_given(r, &e->b, given, values);
        if (r->diag->errors == fresh)
            check_missing(r, &e->b, values, given ? peri_rule_key_node(use, "input")->place : path->place);
    }
    if (values && r->diag->errors == before && r->failed == PERI_OK)
        rule = expand(uses, r, &e->b, file, map, path, values);
    free(values);
    return rule;
}
