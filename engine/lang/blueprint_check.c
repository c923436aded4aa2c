/* SPDX-License-Identifier: Apache-2.0 */
/* A blueprint without a use. The rule is read again and again with texts that stand for each input: one of its type,
 * the ends of its range, each option of an enum, nothing where it may be left out, and the defaults. What is wrong at
 * the place of an input then says that its type does not fit there; what a text must hold (a string as a cron
 * expression) is left to the uses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "lang/blueprint_internal.h"

#define MAX_TRIES 300
#define MAX_NODES 2000000

struct check {
    struct rule_reader *r;
    struct blueprint *b;
    const struct peri_node **samples;
    bool *loose;
    struct peri_value *names; /* what input.x is while it is checked */
    size_t tries, nodes;
    const struct blueprint_input *trying; /* this one is something else than usual: */
    const char *as;
    bool told_warnings;
};

/* ---- which inputs are used ---- */

static void unknown(struct check *c, const struct peri_node *node)
{
    char hint[120];
    const char *near = peri_blueprint_near(c->b, node->text);
    if (near)
        snprintf(hint, sizeof(hint), "did you mean \"%.64s\"?", near);
    else
        snprintf(hint, sizeof(hint), "declare it: input: {%.64s: {type: ...}}", node->text);
    peri_rule_fault(c->r, node->place, "unknown-input", hint, "the blueprint has no input \"%.64s\"", node->text);
}

static void note_hole(struct check *c, const struct peri_node *node)
{
    if (node->kind != PERI_NODE_SCALAR || !node->tag || strcmp(node->tag, "!input") != 0)
        return;
    struct blueprint_input *input = peri_blueprint_find(c->b, node->text);
    if (input)
        input->placed = true;
    else
        unknown(c, node);
}

static void note_holes(struct check *c, const struct peri_node *node)
{
    note_hole(c, node);
    for (size_t i = 0; node->kind == PERI_NODE_LIST && i < node->count; i++)
        note_holes(c, node->items[i]);
    for (size_t i = 0; node->kind == PERI_NODE_MAP && i < node->count; i++) {
        note_hole(c, node->pairs[i].key);
        if (node->pairs[i].value != c->b->head)
            note_holes(c, node->pairs[i].value);
    }
}

static void note_read(void *ctx, const char *name)
{
    struct check *c = ctx;
    struct blueprint_input *input = peri_blueprint_find(c->b, name);
    if (strcmp(name, "*") == 0)
        c->b->scripts_read_all = true;
    else if (input)
        input->read_in = "";
}

static void warn_unused(struct check *c)
{
    for (size_t i = 0; i < c->b->count; i++) {
        const struct blueprint_input *input = &c->b->inputs[i];
        if (!input->placed && !input->read_in && !c->b->scripts_read_all)
            peri_diag_add(c->r->diag, input->key->place, PERI_SEV_WARNING, "unused-input",
                "put it where it belongs with !input, or leave it out", "nothing uses the input \"%.64s\"",
                input->key->text);
    }
}

/* ---- trying ---- */

static const struct blueprint_hole *hole_at(const struct blueprint_filling *f, const struct peri_finding *x)
{
    for (size_t i = 0; i < f->hole_count; i++)
        if (f->holes[i].at.line == x->line && f->holes[i].at.column == x->column)
            return &f->holes[i];
    return NULL;
}

/* Is it the type that is wrong, and not only what the sample holds? */
static bool is_about_type(const struct check *c, const struct blueprint_input *input, const struct peri_finding *x)
{
    static const char *const types[] = {"wrong-type", "duration", "input-type", "bad-key", "pattern-value"};
    if (!c->loose[input - c->b->inputs])
        return true;
    if (strcmp(x->code, "param-type") == 0) /* "must be a string, is a number" */
        return strstr(x->message, ", is a") || strstr(x->message, "cannot be");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(x->code, types[i]) == 0)
            return true;
    bool number = input->kind->type == INPUT_NUMBER || input->kind->type == INPUT_INTEGER;
    return number && strcmp(x->code, "out-of-range") != 0;
}

static bool told(const struct peri_diag *diag, struct peri_place place, const char *code)
{
    for (size_t i = 0; i < diag->count; i++)
        if (diag->items[i].line == place.line && diag->items[i].column == place.column &&
            strcmp(diag->items[i].code, code) == 0)
            return true;
    return false;
}

static void tell_hole(struct check *c, const struct blueprint_hole *hole, const struct peri_finding *x)
{
    const struct input_kind *kind = hole->input->kind;
    if (!is_about_type(c, hole->input, x) || told(c->r->diag, hole->at, "input-type"))
        return;
    peri_rule_fault(c->r, hole->at, "input-type",
        strcmp(x->code, "duration") == 0 && kind->type != INPUT_DURATION ? "type: duration fits here" : NULL,
        "input \"%.64s\" (%s) cannot stand here%s%.60s: %s", hole->input->key->text, kind->what,
        c->trying == hole->input && c->as ? " as " : "", c->trying == hole->input && c->as ? c->as : "", x->message);
}

static void tell(struct check *c, const struct blueprint_filling *f, const struct peri_diag *own)
{
    for (size_t i = 0; i < own->count; i++) {
        const struct peri_finding *x = &own->items[i];
        struct peri_place place = {c->b->file, x->line, x->column};
        const struct blueprint_hole *hole = f->samples ? hole_at(f, x) : NULL;
        bool error = x->severity == PERI_SEV_ERROR;
        if (hole && error)
            tell_hole(c, hole, x);
        if (hole || told(c->r->diag, place, x->code) || (!error && c->told_warnings))
            continue;
        peri_diag_add(c->r->diag, place, x->severity, x->code, x->hint, "%s", x->message);
        if (x->fix.from)
            peri_diag_fix(
                c->r->diag, (struct peri_place){c->b->file, x->fix.line, x->fix.column}, x->fix.from, x->fix.to);
    }
    c->told_warnings = true;
}

static void try(struct check *c, const struct peri_node **values, bool samples)
{
    struct peri_diag own;
    struct blueprint_filling f = {.values = values, .samples = samples, .arena = peri_arena_create(BLUEPRINT_ARENA)};
    struct rule_reader r = {
        .diag = &own, .env = c->r->env, .inputs = c->names, .read_input = note_read, .read_input_ctx = c};
    struct peri_node *name = NULL, *head = NULL, *map = NULL;
    if (c->r->failed != PERI_OK || ++c->tries > MAX_TRIES || c->nodes > MAX_NODES) {
        peri_arena_destroy(f.arena);
        return;
    }
    peri_diag_init(&own);
    if (f.arena && (head = peri_node_make_map(f.arena, c->b->head->place, 1)))
        name = peri_node_make_text(f.arena, c->b->head->place, "sample", PERI_STRING);
    if (!name || !peri_node_put(f.arena, head, "name", name))
        r.failed = PERI_ENOMEM;
    else
        map = peri_blueprint_expand(&r, c->b, &f, head, c->b->root->place);
    if (map)
        peri_rule_unref(peri_rule_read_tree(&r, c->b->file, NULL, map));
    if (r.failed != PERI_OK)
        c->r->failed = r.failed;
    c->nodes += f.nodes;
    tell(c, &f, &own);
    peri_diag_finish(&own);
    peri_arena_destroy(f.arena);
}

/* Each input in turn as everything that it can be, the others as they are. */
static void try_all(struct check *c, const struct peri_node **values)
{
    struct blueprint *b = c->b;
    for (size_t i = 0; i < b->count; i++) {
        const struct blueprint_input *input = &b->inputs[i];
        const struct peri_node *sample;
        bool loose = c->loose[i];
        if (!input->placed)
            continue;
        for (size_t k = 1; (sample = peri_input_sample(b->arena, input, input->key->place, k, &c->loose[i])); k++) {
            values[i] = sample;
            c->trying = input;
            c->as = sample->kind == PERI_NODE_SCALAR ? sample->text : NULL;
            try(c, values, true);
        }
        c->trying = NULL;
        c->loose[i] = loose;
        if (!input->required && !input->fallback) {
            values[i] = NULL;
            try(c, values, true);
        }
        values[i] = c->samples[i];
    }
    bool some = false;
    for (size_t i = 0; i < b->count; i++) {
        some = some || b->inputs[i].fallback;
        values[i] = b->inputs[i].fallback ? b->inputs[i].fallback : NULL;
    }
    for (size_t i = 0; i < b->count; i++)
        if (b->inputs[i].required)
            some = false; /* a sample in its own place would be taken for a value */
    if (some)
        try(c, values, false);
}

static struct peri_value *sample_values(const struct check *c)
{
    struct peri_value *map = peri_value_map();
    bool good = map != NULL;
    for (size_t i = 0; good && i < c->b->count; i++) {
        struct peri_value *v = NULL;
        const struct peri_node *node = c->samples[i];
        bool plain = node && !peri_input_dynamic(node) && peri_node_value(node, NULL, NULL, &v, NULL) == PERI_OK;
        good = peri_map_put(map, c->b->inputs[i].key->text, plain ? v : peri_value_null()) == PERI_OK;
    }
    if (good)
        return map;
    peri_value_unref(map);
    return NULL;
}

void peri_blueprint_check(struct rule_reader *r, struct blueprint *b, bool sound)
{
    struct check c = {.r = r, .b = b};
    size_t before = r->diag->errors;
    const struct peri_node **values = calloc(b->count + 1, sizeof(*values));
    c.samples = calloc(b->count + 1, sizeof(*c.samples));
    c.loose = calloc(b->count + 1, sizeof(*c.loose));
    bool good = values && c.samples && c.loose;
    for (size_t i = 0; good && i < b->count; i++) {
        c.samples[i] = values[i] = peri_input_sample(b->arena, &b->inputs[i], b->inputs[i].key->place, 0, &c.loose[i]);
        good = values[i] != NULL;
    }
    c.names = good ? sample_values(&c) : NULL;
    if (!c.names)
        peri_rule_nomem(r);
    else
        note_holes(&c, b->root);
    if (c.names && r->diag->errors == before) {
        try(&c, values, true);
        if (r->diag->errors == before)
            try_all(&c, values);
        if (sound && r->diag->errors == before)
            warn_unused(&c);
    }
    peri_value_unref(c.names);
    free(values);
    free(c.samples);
    free(c.loose);
}
