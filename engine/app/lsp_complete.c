/* SPDX-License-Identifier: Apache-2.0 */
/* What may stand at the cursor. */
#include <stdlib.h>
#include <string.h>

#include "app/blueprint_files.h"
#include "app/lsp_blueprint.h"
#include "app/lsp_internal.h"
#include "base/str.h"

/* Kinds of the protocol. */
enum { KIND_FUNCTION = 3, KIND_FIELD = 5, KIND_VARIABLE = 6, KIND_PROPERTY = 10, KIND_VALUE = 12, KIND_EVENT = 23 };

struct list {
    struct peri_lsp *lsp;
    const struct peri_value *schema; /* of the file */
    struct peri_lsp_text text;
    struct peri_lsp_cursor cursor;
    struct peri_value *items, *range; /* range: what an item replaces */
    bool failed;
};

static bool offered(const struct list *l, const char *label)
{
    for (size_t i = 0; i < peri_value_count(l->items); i++)
        if (peri_streq(peri_map_text(peri_list_at(l->items, i), "label"), label))
            return true;
    return false;
}

/* insert NULL: the label. first: before the others. */
static void offer(
    struct list *l, const char *label, const char *insert, int kind, const char *detail, const char *help, bool first)
{
    if (!label || offered(l, label))
        return;
    struct peri_value *item = peri_value_map(), *edit = peri_value_map();
    char *sort = peri_asprintf("%d%s", first ? 0 : 1, label);
    bool good = item && edit && sort && peri_map_put_text(item, "label", label) == PERI_OK &&
                peri_map_put_int(item, "kind", kind) == PERI_OK &&
                peri_map_put_text(item, "detail", detail) == PERI_OK &&
                peri_map_put_text(item, "sortText", sort) == PERI_OK &&
                (!help || peri_map_put(item, "documentation", peri_lsp_markdown(help)) == PERI_OK) &&
                peri_map_put_ref(edit, "range", l->range) == PERI_OK &&
                peri_map_put_text(edit, "newText", insert ? insert : label) == PERI_OK &&
                peri_map_put_ref(item, "textEdit", edit) == PERI_OK &&
                peri_list_push(l->items, peri_value_ref(item)) == PERI_OK;
    l->failed |= !good;
    peri_value_unref(item);
    peri_value_unref(edit);
    free(sort);
}

static void offer_piece(struct list *l, struct peri_lsp_piece piece, int kind, const char *detail)
{
    char *label = piece.len ? peri_strndup(piece.s, piece.len) : NULL;
    offer(l, label, NULL, kind, detail, NULL, false);
    free(label);
}

/* From the last separator before the cursor to the end of the word. */
static void replace_word(struct list *l, const char *separators)
{
    const struct peri_lsp_piece *w = &l->cursor.word;
    size_t start = (size_t)(w->s - l->text.s), at = start + l->cursor.typed;
    while (at > start && !strchr(separators, l->text.s[at - 1]))
        at--;
    peri_value_unref(l->range);
    l->range = peri_lsp_range(&l->text, at, start + w->len);
    l->failed |= !l->range;
}

/* ---- keys ---- */

static bool is_sibling(const struct list *l, const char *key)
{
    for (size_t i = 0; i < l->cursor.sibling_count; i++)
        if (peri_lsp_piece_is(l->cursor.siblings[i], key))
            return true;
    return false;
}

static bool is_required(const struct peri_lsp_shapes *shapes, const char *key)
{
    for (size_t i = 0; i < shapes->count; i++) {
        const struct peri_value *required = peri_map_at(shapes->items[i], "required");
        for (size_t k = 0; k < peri_value_count(required); k++)
            if (peri_streq(peri_value_text(peri_list_at(required, k)), key))
                return true;
    }
    return false;
}

static const char *help_of(const struct list *l, const struct peri_value *member)
{
    const char *help = peri_map_text(member, "description");
    if (help)
        return help;
    const char *ref = peri_map_text(member, "$ref");
    const char *slash = ref ? strrchr(ref, '/') : NULL;
    return slash ? peri_map_text(peri_map_at(peri_map_at(l->schema, "definitions"), slash + 1), "description") : NULL;
}

static void complete_key(struct list *l)
{
    struct peri_lsp_shapes shapes;
    peri_lsp_shapes_at(l->schema, &l->cursor, l->cursor.depth, l->cursor.operator_id, &shapes);
    replace_word(l, "");
    size_t end = (size_t)(l->cursor.word.s - l->text.s) + l->cursor.word.len;
    bool colon = end < l->text.len && l->text.s[end] == ':';
    for (size_t i = 0; i < shapes.count; i++) {
        const struct peri_value *properties = peri_map_at(shapes.items[i], "properties");
        for (void *it = peri_map_first(properties); it; it = peri_map_next(properties, it)) {
            const char *key = peri_map_key(it, NULL);
            char *insert = colon ? NULL : peri_asprintf("%s: ", key);
            if (!is_sibling(l, key))
                offer(l, key, insert, KIND_PROPERTY, NULL, help_of(l, peri_map_item(it)), is_required(&shapes, key));
            free(insert);
        }
    }
}

/* ---- values ---- */

static const struct peri_value *operator_of(const struct list *l, const char *id)
{
    for (size_t i = 0; i < peri_value_count(l->lsp->operators); i++)
        if (peri_streq(peri_map_text(peri_list_at(l->lsp->operators, i), "id"), id))
            return peri_list_at(l->lsp->operators, i);
    return NULL;
}

static void offer_constant(struct list *l, const struct peri_value *v, bool operators)
{
    const struct peri_value *op = operators && peri_value_text(v) ? operator_of(l, peri_value_text(v)) : NULL;
    if (peri_value_is(v, PERI_BOOL))
        offer(l, peri_value_as_bool(v) ? "true" : "false", NULL, KIND_VALUE, NULL, NULL, false);
    else if (op)
        offer(l, peri_value_text(v), NULL, KIND_FUNCTION, peri_map_text(op, "plugin"), peri_map_text(op, "description"),
            false);
    else
        offer(l, peri_value_text(v), NULL, KIND_VALUE, NULL, NULL, false);
}

static void offer_events(struct list *l)
{
    for (size_t i = 0; i < peri_value_count(l->lsp->types.plugins); i++) {
        const struct peri_value *plugin = peri_list_at(l->lsp->types.plugins, i),
                                *events = peri_map_at(plugin, "events");
        for (size_t k = 0; k < peri_value_count(events); k++) {
            const struct peri_value *event = peri_list_at(events, k);
            if (!peri_streq(peri_map_text(event, "direction"), "subscribe"))
                offer(l, peri_map_text(event, "eventName"), NULL, KIND_EVENT, peri_map_text(plugin, "id"),
                    peri_map_text(event, "description"), false);
        }
    }
}

static void emitted_here(void *ctx, const struct peri_lsp_entry *entry)
{
    struct list *l = ctx;
    if (peri_lsp_piece_is(entry->key, "event") && entry->value.len && !memchr(entry->value.s, '{', entry->value.len) &&
        entry->value.s != l->cursor.word.s)
        offer_piece(l, entry->value, KIND_EVENT, "this file");
}

/* What the blueprint in this file asks for: the keys right below its `input`. */
struct declared {
    struct list *l;
    bool in_head;
    int input, names; /* columns; -1: not seen */
};

static void offer_declared(void *ctx, const struct peri_lsp_entry *entry)
{
    struct declared *d = ctx;
    if (entry->column == 0)
        d->in_head = peri_lsp_piece_is(entry->key, "blueprint");
    else if (d->in_head && d->input < 0 && peri_lsp_piece_is(entry->key, "input"))
        d->input = entry->column;
    else if (d->in_head && d->input >= 0 && entry->column > d->input) {
        d->names = d->names < 0 ? entry->column : d->names;
        if (entry->column == d->names)
            offer_piece(d->l, entry->key, KIND_VARIABLE, "input");
    }
}

static void offer_own_inputs(struct list *l)
{
    peri_lsp_each_entry(&l->text, offer_declared, &(struct declared){.l = l, .input = -1, .names = -1});
}

static void is_blueprint(void *ctx, const struct peri_lsp_entry *entry)
{
    *(bool *)ctx = *(bool *)ctx || (entry->column == 0 && peri_lsp_piece_is(entry->key, "blueprint"));
}

/* Is what is typed the name behind !input? */
static bool behind_tag(const struct list *l)
{
    const struct peri_lsp_piece *w = &l->cursor.word;
    size_t at = (size_t)(w->s - l->text.s);
    while (at > 0 && l->text.s[at - 1] == ' ')
        at--;
    return (w->len >= 6 && strncmp(w->s, "!input", 6) == 0) ||
           (at >= 6 && strncmp(l->text.s + at - 6, "!input", 6) == 0);
}

static void complete_value(struct list *l)
{
    if (behind_tag(l)) {
        replace_word(l, " ");
        offer_own_inputs(l);
        return;
    }
    struct peri_lsp_shapes shapes;
    struct peri_lsp_piece none = {0};
    const struct peri_lsp_level *last = &l->cursor.levels[l->cursor.depth - 1];
    peri_lsp_shapes_at(l->schema, &l->cursor, l->cursor.depth, none, &shapes);
    replace_word(l, "");
    bool operators = peri_lsp_piece_is(last->key, "operator");
    for (size_t i = 0; i < shapes.count; i++) {
        const struct peri_value *choices = peri_map_at(shapes.items[i], "enum");
        for (size_t k = 0; k < peri_value_count(choices); k++)
            offer_constant(l, peri_list_at(choices, k), operators);
        offer_constant(l, peri_map_at(shapes.items[i], "const"), operators);
        if (peri_streq(peri_map_text(shapes.items[i], "type"), "boolean")) {
            offer(l, "true", NULL, KIND_VALUE, NULL, NULL, false);
            offer(l, "false", NULL, KIND_VALUE, NULL, NULL, false);
        }
    }
    if (peri_lsp_piece_is(last->key, "event")) {
        offer_events(l);
        peri_lsp_each_entry(&l->text, emitted_here, l);
    }
}

/* ---- expressions ---- */

/* Keys of the payload, from what plugins declare of the events that the file names. */
static void offer_fields(void *ctx, const struct peri_lsp_entry *entry)
{
    struct list *l = ctx;
    if (!peri_lsp_piece_is(entry->key, "event") || entry->value.len == 0)
        return;
    const struct peri_value *event = peri_lsp_event(l->lsp, entry->value, NULL);
    const struct peri_value *properties = peri_map_at(peri_map_at(event, "schema"), "properties");
    for (void *it = peri_map_first(properties); it; it = peri_map_next(properties, it))
        offer(l, peri_map_key(it, NULL), NULL, KIND_FIELD, peri_map_text(peri_map_item(it), "type"),
            peri_map_text(peri_map_item(it), "description"), false);
}

static void offer_step_ids(void *ctx, const struct peri_lsp_entry *entry)
{
    if (peri_lsp_piece_is(entry->key, "id") && entry->column > 0)
        offer_piece(ctx, entry->value, KIND_VARIABLE, "step");
}

struct variables {
    struct list *l;
    int column; /* of the set: above, -1: none */
};

static void offer_variables(void *ctx, const struct peri_lsp_entry *entry)
{
    struct variables *v = ctx;
    if (peri_lsp_piece_is(entry->key, "set"))
        v->column = entry->column;
    else if (v->column >= 0 && entry->column > v->column)
        offer_piece(v->l, entry->key, KIND_VARIABLE, "set here");
    else
        v->column = -1;
}

static void offer_bound(void *ctx, const struct peri_lsp_entry *entry)
{
    if (peri_lsp_piece_is(entry->key, "as"))
        offer_piece(ctx, entry->value, KIND_VARIABLE, "bound by as");
}

static void offer_filters(struct list *l)
{
    for (const char *const *name = peri_expr_function_names(); *name; name++) {
        struct peri_buf usage;
        peri_buf_init(&usage, 512);
        peri_expr_function_usage(*name, &usage);
        offer(l, *name, NULL, KIND_FUNCTION, peri_buf_text(&usage), NULL, false);
        peri_buf_finish(&usage);
    }
}

static void offer_roots(struct list *l)
{
    static const char *const roots[][2] = {{"event", "the payload of the event"},
        {"trigger", "what woke the rule: id, type, time, source, subject"}, {"steps", "results of steps, by id"},
        {"vars", "what steps have set"}, {"rule", "id and name of the rule"}, {"run", "id and start of the run"},
        {"now", "the time, in milliseconds"}, {"error", "what went wrong, in on_error"}};
    for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
        offer(l, roots[i][0], NULL, KIND_VARIABLE, roots[i][1], NULL, true);
    peri_lsp_each_entry(&l->text, offer_bound, l);
    bool blueprint = false;
    peri_lsp_each_entry(&l->text, is_blueprint, &blueprint);
    if (blueprint)
        offer(l, "input", NULL, KIND_VARIABLE, "what goes into the blueprint", NULL, true);
}

static void complete_expression(struct list *l)
{
    const struct peri_lsp_piece *w = &l->cursor.word;
    struct peri_lsp_piece path = {w->s, l->cursor.typed}, base = {w->s, 0};
    for (size_t i = 0; i < path.len; i++)
        if (path.s[i] == '.')
            base.len = i;
    replace_word(l, ".");
    size_t before = (size_t)(w->s - l->text.s);
    while (before > 0 && l->text.s[before - 1] == ' ')
        before--;
    if (base.len == 0 && before > 0 && l->text.s[before - 1] == '|') {
        offer_filters(l);
    } else if (base.len == 0) {
        offer_roots(l);
        offer_filters(l);
    } else if (peri_lsp_piece_is(base, "event")) {
        peri_lsp_each_entry(&l->text, offer_fields, l);
    } else if (peri_lsp_piece_is(base, "steps")) {
        peri_lsp_each_entry(&l->text, offer_step_ids, l);
    } else if (peri_lsp_piece_is(base, "input")) {
        offer_own_inputs(l);
    } else if (peri_lsp_piece_is(base, "vars")) {
        peri_lsp_each_entry(&l->text, offer_variables, &(struct variables){l, -1});
    }
}

/* ---- what goes into a blueprint ---- */

static void offer_paths(struct list *l)
{
    bool more = true;
    for (size_t i = 0; more; i++) {
        char *path = peri_lsp_blueprint_path(l->lsp, i, &more);
        offer(l, path, NULL, KIND_VALUE, "blueprint", NULL, false);
        free(path);
    }
}

static void offer_inputs(struct list *l, const struct peri_lsp_used *used)
{
    const struct peri_value *inputs = peri_map_at(used->about, "inputs");
    size_t end = (size_t)(l->cursor.word.s - l->text.s) + l->cursor.word.len;
    bool colon = end < l->text.len && l->text.s[end] == ':';
    for (size_t i = 0; i < peri_value_count(inputs); i++) {
        const struct peri_value *input = peri_list_at(inputs, i);
        const char *name = peri_map_text(input, "name");
        char *insert = colon ? NULL : peri_asprintf("%s: ", name), *detail = peri_blueprint_input_text(input);
        if (!is_sibling(l, name))
            offer(l, name, insert, KIND_PROPERTY, detail, peri_map_text(input, "description"),
                peri_map_bool(input, "required", false));
        free(insert);
        free(detail);
    }
}

static void offer_values(struct list *l, const struct peri_value *input)
{
    const char *type = peri_map_text(input, "type");
    const struct peri_value *options = peri_map_at(input, "options");
    for (size_t i = 0; i < peri_value_count(options); i++)
        offer_constant(l, peri_list_at(options, i), false);
    if (peri_streq(type, "boolean")) {
        offer(l, "true", NULL, KIND_VALUE, NULL, NULL, false);
        offer(l, "false", NULL, KIND_VALUE, NULL, NULL, false);
    }
    for (size_t i = 0; peri_streq(type, "operator") && i < peri_value_count(l->lsp->operators); i++)
        offer_constant(l, peri_map_at(peri_list_at(l->lsp->operators, i), "id"), true);
    if (peri_streq(type, "event_type"))
        offer_events(l);
}

/* True when the cursor is in a use_blueprint whose blueprint says what belongs there. */
static bool complete_use(struct list *l, const struct peri_lsp_doc *doc)
{
    struct peri_lsp_used used;
    peri_lsp_used_at(l->lsp, doc, &l->text, &l->cursor, &used);
    bool here = used.where == PERI_LSP_USE_PATH || (used.where != PERI_LSP_USE_NOT && used.about);
    if (here)
        replace_word(l, "");
    if (used.where == PERI_LSP_USE_PATH)
        offer_paths(l);
    else if (used.where == PERI_LSP_USE_INPUT && here)
        offer_inputs(l, &used);
    else if (used.where == PERI_LSP_USE_VALUE && used.input)
        offer_values(l, used.input);
    peri_lsp_used_finish(&used);
    return here;
}

struct peri_value *peri_lsp_complete(
    struct peri_lsp *lsp, const struct peri_lsp_doc *doc, const struct peri_value *params)
{
    struct list l = {.lsp = lsp,
        .schema = peri_lsp_schema(lsp, doc),
        .text = peri_lsp_doc_text(lsp, doc),
        .items = peri_value_list()};
    peri_lsp_cursor_at(&l.text, peri_lsp_asked(&l.text, peri_map_at(params, "position")), &l.cursor);
    if (l.items && complete_use(&l, doc))
        l.failed |= !l.range;
    else if (l.items && l.cursor.spot == PERI_LSP_KEY)
        complete_key(&l);
    else if (l.items && l.cursor.spot == PERI_LSP_VALUE)
        complete_value(&l);
    else if (l.items && l.cursor.spot == PERI_LSP_EXPR)
        complete_expression(&l);
    peri_value_unref(l.range);
    if (!l.failed)
        return l.items;
    peri_value_unref(l.items);
    return NULL;
}
