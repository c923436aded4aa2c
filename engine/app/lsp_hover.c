/* SPDX-License-Identifier: Apache-2.0 */
/* What a word means, and where it comes from. */
#include <stdlib.h>
#include <string.h>

#include "app/blueprint_files.h"
#include "app/lsp_blueprint.h"
#include "app/lsp_internal.h"
#include "app/paths.h"
#include "base/buf.h"
#include "base/str.h"
#include "lang/rule_warn.h"

static const struct peri_value *operator_of(const struct peri_lsp *lsp, struct peri_lsp_piece id)
{
    for (size_t i = 0; i < peri_value_count(lsp->operators); i++) {
        const struct peri_value *op = peri_list_at(lsp->operators, i);
        const char *name = peri_map_text(op, "id");
        if (name && peri_lsp_piece_is(id, name))
            return op;
    }
    return NULL;
}

/* ---- hover ---- */

static void write_members(struct peri_buf *out, const struct peri_value *schema)
{
    const struct peri_value *properties = peri_map_at(schema, "properties"),
                            *required = peri_map_at(schema, "required");
    for (void *it = peri_map_first(properties); it; it = peri_map_next(properties, it)) {
        const char *key = peri_map_key(it, NULL), *type = peri_map_text(peri_map_item(it), "type"),
                   *help = peri_map_text(peri_map_item(it), "description");
        bool needed = false;
        for (size_t i = 0; i < peri_value_count(required); i++)
            needed |= peri_streq(peri_value_text(peri_list_at(required, i)), key);
        (void)peri_buf_printf(out, "\n- `%s`%s%s%s%s%s", key, type ? " " : "", type ? type : "",
            needed ? ", required" : "", help ? ": " : "", help ? help : "");
    }
}

static void hover_operator(struct peri_buf *out, const struct peri_value *op)
{
    const char *text = peri_map_text(op, "description");
    (void)peri_buf_printf(out, "**%s** (%s, plugin %s)\n\n%s\n", peri_map_text(op, "id"), peri_map_text(op, "kind"),
        peri_map_text(op, "plugin"), text ? text : "");
    write_members(out, peri_map_at(op, "params"));
}

static void hover_event(struct peri_buf *out, const struct peri_value *event, const char *plugin)
{
    const char *text = peri_map_text(event, "description");
    (void)peri_buf_printf(
        out, "**%s** (event of plugin %s)\n\n%s\n", peri_map_text(event, "eventName"), plugin, text ? text : "");
    write_members(out, peri_map_at(event, "schema"));
}

struct field {
    struct peri_lsp *lsp;
    struct peri_buf *out;
    struct peri_lsp_piece name;
};

static void hover_field(void *ctx, const struct peri_lsp_entry *entry)
{
    struct field *f = ctx;
    if (f->out->len > 0 || !peri_lsp_piece_is(entry->key, "event") || entry->value.len == 0)
        return;
    const struct peri_value *event = peri_lsp_event(f->lsp, entry->value, NULL);
    const struct peri_value *field =
        peri_map_atn(peri_map_at(peri_map_at(event, "schema"), "properties"), f->name.s, f->name.len);
    if (!field)
        return;
    const char *type = peri_map_text(field, "type"), *help = peri_map_text(field, "description");
    (void)peri_buf_printf(f->out, "**event.%.*s**%s%s, of %s\n\n%s", (int)f->name.len, f->name.s, type ? ": " : "",
        type ? type : "", peri_map_text(event, "eventName"), help ? help : "");
}

static void hover_expression(
    struct peri_lsp *lsp, const struct peri_lsp_text *t, const struct peri_lsp_cursor *c, struct peri_buf *out)
{
    struct peri_lsp_piece word = c->word;
    if (word.len > 6 && memcmp(word.s, "event.", 6) == 0) {
        struct field f = {lsp, out, {word.s + 6, 0}};
        while (f.name.len < word.len - 6 && f.name.s[f.name.len] != '.')
            f.name.len++;
        peri_lsp_each_entry(t, hover_field, &f);
        return;
    }
    char *name = peri_strndup(word.s, word.len);
    if (name)
        peri_expr_function_usage(name, out);
    free(name);
}

static void hover_key(const struct peri_value *schema, const struct peri_lsp_cursor *c, struct peri_buf *out)
{
    struct peri_lsp_cursor key = *c;
    struct peri_lsp_shapes shapes;
    if (key.spot == PERI_LSP_KEY && key.depth < PERI_LSP_DEPTH)
        key.levels[key.depth++] = (struct peri_lsp_level){c->word, c->operator_id};
    peri_lsp_shapes_at(schema, &key, key.depth, (struct peri_lsp_piece){0}, &shapes);
    const char *help = peri_lsp_shapes_help(&shapes);
    if (help)
        (void)peri_buf_printf(out, "**%.*s**\n\n%s", (int)c->word.len, c->word.s, help);
}

/* What a blueprint is for, and what an input takes. False: the cursor is elsewhere. */
static bool hover_use(struct peri_lsp *lsp, const struct peri_lsp_doc *doc, const struct peri_lsp_text *t,
    const struct peri_lsp_cursor *c, struct peri_buf *out)
{
    struct peri_lsp_used used;
    peri_lsp_used_at(lsp, doc, t, c, &used);
    const char *help = peri_map_text(used.where == PERI_LSP_USE_PATH ? used.about : used.input, "description");
    bool path = used.where == PERI_LSP_USE_PATH && used.about, input = used.where == PERI_LSP_USE_INPUT && used.input;
    char *text = input ? peri_blueprint_input_text(used.input) : NULL;
    if (path || input)
        (void)peri_buf_printf(out, "**%s**%s%s%s%s", peri_map_text(path ? used.about : used.input, "name"),
            text ? " " : "", text ? text : "", help ? "\n\n" : "", help ? help : "");
    free(text);
    peri_lsp_used_finish(&used);
    return path || input;
}

struct peri_value *peri_lsp_hover(struct peri_lsp *lsp, const struct peri_lsp_doc *doc, const struct peri_value *params)
{
    struct peri_lsp_text t = peri_lsp_doc_text(lsp, doc);
    struct peri_lsp_cursor c;
    struct peri_buf out;
    const char *plugin = "";
    peri_lsp_cursor_at(&t, peri_lsp_asked(&t, peri_map_at(params, "position")), &c);
    peri_buf_init(&out, 1 << 16);
    const struct peri_lsp_level *last = c.depth ? &c.levels[c.depth - 1] : NULL;
    if (c.word.len > 0 && hover_use(lsp, doc, &t, &c, &out)) {
        /* said */
    } else if (c.word.len > 0 && c.spot == PERI_LSP_KEY) {
        hover_key(peri_lsp_schema(lsp, doc), &c, &out);
    } else if (c.word.len > 0 && c.spot == PERI_LSP_EXPR) {
        hover_expression(lsp, &t, &c, &out);
    } else if (c.word.len > 0 && c.spot == PERI_LSP_VALUE && last) {
        const struct peri_value *op = operator_of(lsp, c.word), *event = peri_lsp_event(lsp, c.word, &plugin);
        if (op && peri_lsp_piece_is(last->key, "operator"))
            hover_operator(&out, op);
        else if (event && peri_lsp_piece_is(last->key, "event"))
            hover_event(&out, event, plugin);
    }
    struct peri_value *result = out.len ? peri_value_map() : peri_value_null();
    size_t at = (size_t)(c.word.s - t.s);
    bool good = result && (out.len == 0 ||
                              (peri_map_put(result, "contents", peri_lsp_markdown(peri_buf_text(&out))) == PERI_OK &&
                                  peri_map_put(result, "range", peri_lsp_range(&t, at, at + c.word.len)) == PERI_OK));
    peri_buf_finish(&out);
    if (good)
        return result;
    peri_value_unref(result);
    return NULL;
}

/* ---- definition ---- */

struct search {
    struct peri_lsp *lsp;
    const struct peri_lsp_doc *doc;
    struct peri_lsp_text text;
    struct peri_lsp_piece word;
    struct peri_value *found; /* list of locations */
    bool in_set, failed;
};

static void found_at(struct search *s, const char *uri, struct peri_value *range)
{
    s->failed |= peri_list_push(s->found, peri_lsp_location(uri, range)) != PERI_OK;
}

/* The first line of a plugin's Lua files that names the operator in quotes; its manifest when none does. */
static void find_operator(struct search *s, const char *plugin_id)
{
    for (size_t i = 0; i < peri_value_count(s->lsp->types.plugins); i++) {
        const struct peri_value *plugin = peri_list_at(s->lsp->types.plugins, i);
        const char *folder = peri_map_text(plugin, "path");
        if (!folder || !peri_streq(peri_map_text(plugin, "id"), plugin_id))
            continue;
        static const char *const names[] = {"init.lua", "plugin.json"};
        for (size_t k = 0; k < 2; k++) {
            char *path = peri_path_join(folder, names[k]), *text = NULL;
            char *quoted = peri_asprintf("\"%.*s\"", (int)s->word.len, s->word.s),
                 *uri = path ? peri_path_uri(path) : NULL;
            size_t len = 0;
            const char *at = NULL;
            if (path && quoted && uri && peri_path_read(path, 1 << 20, &text, &len, NULL) == PERI_OK)
                at = strstr(text, quoted);
            if (at || (text && k == 1)) {
                struct peri_lsp_text t = {text, len, s->lsp->units};
                size_t start = at ? (size_t)(at - text) + 1 : 0;
                found_at(s, uri, peri_lsp_range(&t, start, at ? start + s->word.len : 0));
            }
            free(path);
            free(quoted);
            free(uri);
            free(text);
            if (at)
                return;
        }
    }
}

struct emitter {
    struct search *s;
    const struct peri_rule *rule;
};

static void find_emit(const struct peri_step *step, void *arg)
{
    struct emitter *e = arg;
    char *type = peri_step_emits(step), *uri = NULL, *text = NULL;
    size_t len = 0;
    if (type && peri_lsp_piece_is(e->s->word, type) && (uri = peri_path_uri(e->rule->place.file)) &&
        peri_path_read(e->rule->place.file, 1 << 20, &text, &len, NULL) == PERI_OK) {
        struct peri_lsp_text t = {text, len, e->s->lsp->units};
        size_t at = peri_lsp_place_offset(&t, step->place.line, step->place.column);
        found_at(e->s, uri, peri_lsp_range(&t, at, peri_lsp_line_end(&t, at)));
    }
    free(type);
    free(uri);
    free(text);
}

static void find_event(struct search *s)
{
    const struct peri_rule_list *rules = peri_rulebook_rules(s->lsp->book);
    for (size_t i = 0; i < rules->count; i++)
        peri_rule_each_step(rules->items[i], find_emit, &(struct emitter){s, rules->items[i]});
    const char *plugin = NULL;
    const struct peri_value *event = peri_lsp_event(s->lsp, s->word, &plugin);
    const char *name = event ? peri_map_text(event, "eventName") : NULL;
    if (name) {
        struct peri_lsp_piece word = s->word;
        s->word = (struct peri_lsp_piece){name, strlen(name)};
        find_operator(s, plugin);
        s->word = word;
    }
}

static void find_here(struct search *s, struct peri_lsp_piece piece)
{
    size_t at = (size_t)(piece.s - s->text.s);
    found_at(s, s->doc->uri, peri_lsp_range(&s->text, at, at + piece.len));
}

static bool same(struct peri_lsp_piece a, struct peri_lsp_piece b)
{
    return a.len == b.len && memcmp(a.s, b.s, a.len) == 0;
}

static void find_step(void *ctx, const struct peri_lsp_entry *entry)
{
    struct search *s = ctx;
    if (peri_lsp_piece_is(entry->key, "id") && same(entry->value, s->word))
        find_here(s, entry->value);
}

static void find_bound(void *ctx, const struct peri_lsp_entry *entry)
{
    struct search *s = ctx;
    if (peri_lsp_piece_is(entry->key, "as") && same(entry->value, s->word))
        find_here(s, entry->value);
}

static void find_variable(void *ctx, const struct peri_lsp_entry *entry)
{
    struct search *s = ctx;
    if (s->in_set && same(entry->key, s->word))
        find_here(s, entry->key);
    s->in_set = peri_lsp_piece_is(entry->key, "set") || (s->in_set && entry->column > 0);
}

static void define_expression(struct search *s, struct peri_lsp_piece path)
{
    size_t dot = 0;
    while (dot < path.len && path.s[dot] != '.')
        dot++;
    struct peri_lsp_piece root = {path.s, dot}, rest = {path.s + dot + 1, 0};
    if (dot < path.len)
        while (rest.len < path.len - dot - 1 && rest.s[rest.len] != '.')
            rest.len++;
    s->word = rest.len ? rest : root;
    if (peri_lsp_piece_is(root, "steps") && rest.len)
        peri_lsp_each_entry(&s->text, find_step, s);
    else if (peri_lsp_piece_is(root, "vars") && rest.len)
        peri_lsp_each_entry(&s->text, find_variable, s);
    s->word = root;
    peri_lsp_each_entry(&s->text, find_bound, s);
}

/* The file of a blueprint, or what declares an input in it. */
static bool define_use(struct search *s, const struct peri_lsp_cursor *c)
{
    struct peri_lsp_used used;
    struct peri_lsp_piece none = {0};
    size_t start, end;
    char *text = NULL;
    peri_lsp_used_at(s->lsp, s->doc, &s->text, c, &used);
    bool here = used.where == PERI_LSP_USE_PATH || used.where == PERI_LSP_USE_INPUT;
    if (here && peri_lsp_input_place(&used, used.where == PERI_LSP_USE_INPUT ? c->word : none, &text, &start, &end)) {
        char *uri = peri_path_uri(used.file);
        struct peri_lsp_text t = {text, strlen(text), s->lsp->units};
        if (uri)
            found_at(s, uri, peri_lsp_range(&t, start, end));
        free(uri);
        free(text);
    }
    peri_lsp_used_finish(&used);
    return here;
}

struct peri_value *peri_lsp_definition(
    struct peri_lsp *lsp, const struct peri_lsp_doc *doc, const struct peri_value *params)
{
    struct search s = {.lsp = lsp, .doc = doc, .text = peri_lsp_doc_text(lsp, doc), .found = peri_value_list()};
    struct peri_lsp_cursor c;
    peri_lsp_cursor_at(&s.text, peri_lsp_asked(&s.text, peri_map_at(params, "position")), &c);
    const struct peri_lsp_level *last = c.depth ? &c.levels[c.depth - 1] : NULL;
    s.word = c.word;
    if (s.found && c.word.len > 0 && define_use(&s, &c)) {
        /* found, or nowhere */
    } else if (s.found && c.word.len > 0 && c.spot == PERI_LSP_EXPR) {
        define_expression(&s, c.word);
    } else if (s.found && c.word.len > 0 && c.spot == PERI_LSP_VALUE && last) {
        const struct peri_value *op = operator_of(lsp, c.word);
        if (op && peri_lsp_piece_is(last->key, "operator"))
            find_operator(&s, peri_map_text(op, "plugin"));
        else if (peri_lsp_piece_is(last->key, "event"))
            find_event(&s);
    }
    if (!s.failed)
        return s.found;
    peri_value_unref(s.found);
    return NULL;
}
