/* SPDX-License-Identifier: Apache-2.0 */
/* Findings as diagnostics, their changes as quick fixes, rules as symbols. */
#include <stdlib.h>
#include <string.h>

#include "app/fix.h"
#include "app/lsp_internal.h"
#include "app/trial.h"
#include "base/str.h"
#include "base/vec.h"
#include "lang/rule_warn.h"

static bool is_rule_file(const char *path)
{
    return peri_lsp_kind(path) == PERI_LSP_RULES;
}

/* What `perigee test` would say before it runs the tests. */
static enum peri_status check_tests(const struct peri_lsp *lsp, const struct peri_lsp_doc *doc, struct peri_diag *diag)
{
    struct peri_trial_file *file = NULL;
    enum peri_status st = peri_trial_read_text(doc->path, doc->text, doc->len, &lsp->bench->tz, &file, diag);
    peri_trial_file_destroy(file);
    return st == PERI_ENOMEM ? st : PERI_OK;
}

/* Keys and values, and the settings of each plugin against its schema. */
static enum peri_status check_config(const struct peri_lsp *lsp, const struct peri_lsp_doc *doc, struct peri_diag *diag)
{
    struct peri_config_flags flags = {.config = doc->path, .text = doc->text, .text_len = doc->len};
    struct peri_config config;
    if (peri_config_load(&flags, &config, diag) != PERI_OK)
        return diag->lost ? PERI_ENOMEM : PERI_OK;
    for (size_t i = 0; i < config.plugin_count; i++) {
        const struct peri_config_plugin *p = &config.plugins[i];
        if (p->config)
            peri_host_check_settings(lsp->bench->host, p->id, p->config, p->node, diag);
    }
    peri_config_check_plugins(&config, lsp->bench->host, diag);
    peri_config_finish(&config);
    return diag->lost ? PERI_ENOMEM : PERI_OK;
}

/* The rules of the open text with those of all other files, for warnings that need to know who emits what. */
static enum peri_status join_rules(
    struct peri_lsp *lsp, const struct peri_lsp_doc *doc, const struct peri_rule_list *own, struct peri_rule_list *all)
{
    const struct peri_rule_list *disk = peri_rulebook_rules(lsp->book);
    if (!peri_vec_grow(&all->items, &all->cap, own->count + disk->count + 1, sizeof(*all->items)))
        return PERI_ENOMEM;
    for (size_t i = 0; i < own->count; i++)
        all->items[all->count++] = peri_rule_ref(own->items[i]);
    for (size_t i = 0; i < disk->count; i++)
        if (!peri_streq(disk->items[i]->place.file, doc->path))
            all->items[all->count++] = peri_rule_ref(disk->items[i]);
    return PERI_OK;
}

static void warn_of_ids(const struct peri_rule_list *all, size_t own, struct peri_diag *diag)
{
    for (size_t i = 0; i < own; i++)
        for (size_t k = 0; k < all->count; k++)
            if ((k < i || k >= own) && peri_streq(all->items[i]->id, all->items[k]->id)) {
                peri_diag_add(diag, all->items[i]->place, PERI_SEV_ERROR, "duplicate-id",
                    "give one of them an \"id\" of its own", "the rule id \"%s\" is already used in %s:%d",
                    all->items[i]->id, all->items[k]->place.file, all->items[k]->place.line);
                break;
            }
}

/* Everything that `perigee check` would say about this file. */
static enum peri_status check(struct peri_lsp *lsp, const struct peri_lsp_doc *doc, struct peri_diag *diag)
{
    struct peri_rule_list own = {0}, all = {0};
    struct peri_diag found;
    enum peri_lsp_kind kind = peri_lsp_kind(doc->path);
    if (kind == PERI_LSP_TESTS || kind == PERI_LSP_CONFIG)
        return kind == PERI_LSP_TESTS ? check_tests(lsp, doc, diag) : check_config(lsp, doc, diag);
    if (kind != PERI_LSP_RULES)
        return PERI_OK;
    enum peri_status st = peri_rules_load_text(doc->path, doc->text, doc->len, &lsp->bench->env, &own, diag);
    if (st != PERI_ENOMEM)
        st = join_rules(lsp, doc, &own, &all);
    if (st == PERI_OK) {
        peri_diag_init(&found);
        warn_of_ids(&all, own.count, &found);
        peri_rules_warn(all.items, all.count, lsp->types.items, &found);
        for (size_t i = 0; i < found.count; i++) {
            const struct peri_finding *f = &found.items[i];
            if (peri_streq(f->file, doc->path))
                peri_diag_add(diag, (struct peri_place){doc->path, f->line, f->column}, f->severity, f->code, f->hint,
                    "%s", f->message);
        }
        peri_diag_finish(&found);
    }
    peri_rule_list_finish(&own);
    peri_rule_list_finish(&all);
    peri_diag_sort(diag);
    return st == PERI_ENOMEM || diag->lost ? PERI_ENOMEM : PERI_OK;
}

/* What is underlined: the text that would go, else the word that stands there. */
static void extent(const struct peri_lsp_text *t, const struct peri_finding *f, size_t *ret_start, size_t *ret_end)
{
    size_t at, len;
    *ret_start = peri_lsp_place_offset(t, f->line, f->column);
    if (f->fix.line == f->line && f->fix.column == f->column && peri_fix_find(f, t->s, t->len, &at, &len)) {
        *ret_start = at;
        *ret_end = at + len;
        return;
    }
    size_t start = *ret_start + (*ret_start < t->len && strchr("\"'", t->s[*ret_start]) != NULL);
    struct peri_lsp_piece word = peri_lsp_word(t, start, ".-$");
    *ret_end = (size_t)(word.s - t->s) + word.len;
    if (*ret_end <= *ret_start)
        *ret_end = *ret_start < t->len && t->s[*ret_start] != '\n' ? *ret_start + 1 : *ret_start;
}

static struct peri_value *diagnostic_of(const struct peri_lsp_text *t, const struct peri_finding *f)
{
    struct peri_value *v = peri_value_map();
    size_t start, end;
    extent(t, f, &start, &end);
    char *text = f->hint ? peri_asprintf("%s\n%s", f->message, f->hint) : peri_strdup(f->message);
    bool good = v && text && peri_map_put(v, "range", peri_lsp_range(t, start, end)) == PERI_OK &&
                peri_map_put_int(v, "severity",
                    f->severity == PERI_SEV_ERROR     ? 1
                    : f->severity == PERI_SEV_WARNING ? 2
                                                      : 3) == PERI_OK &&
                peri_map_put_text(v, "code", f->code) == PERI_OK &&
                peri_map_put_text(v, "source", "perigee") == PERI_OK &&
                peri_map_put_text(v, "message", text) == PERI_OK;
    free(text);
    if (good)
        return v;
    peri_value_unref(v);
    return NULL;
}

struct peri_value *peri_lsp_diagnostics(struct peri_lsp *lsp, const struct peri_lsp_doc *doc)
{
    struct peri_lsp_text t = peri_lsp_doc_text(lsp, doc);
    struct peri_value *list = peri_value_list();
    struct peri_diag diag;
    peri_diag_init(&diag);
    bool good = list && check(lsp, doc, &diag) == PERI_OK;
    for (size_t i = 0; good && i < diag.count; i++)
        good = peri_list_push(list, diagnostic_of(&t, &diag.items[i])) == PERI_OK;
    peri_diag_finish(&diag);
    if (good)
        return list;
    peri_value_unref(list);
    return NULL;
}

/* ---- quick fixes ---- */

static struct peri_value *edit_of(
    const struct peri_lsp_text *t, const struct peri_lsp_doc *doc, size_t at, size_t len, const char *to)
{
    struct peri_value *edit = peri_value_map(), *edits = peri_value_list(), *changes = peri_value_map(),
                      *whole = peri_value_map();
    bool good =
        edit && edits && changes && whole && peri_map_put(edit, "range", peri_lsp_range(t, at, at + len)) == PERI_OK &&
        peri_map_put_text(edit, "newText", to) == PERI_OK && peri_list_push(edits, peri_value_ref(edit)) == PERI_OK &&
        peri_map_put_ref(changes, doc->uri, edits) == PERI_OK && peri_map_put_ref(whole, "changes", changes) == PERI_OK;
    peri_value_unref(edit);
    peri_value_unref(edits);
    peri_value_unref(changes);
    if (good)
        return whole;
    peri_value_unref(whole);
    return NULL;
}

static struct peri_value *action_of(
    const struct peri_lsp_text *t, const struct peri_lsp_doc *doc, const struct peri_finding *f, size_t at, size_t len)
{
    struct peri_value *action = peri_value_map(), *diagnostics = peri_value_list();
    char *title = peri_asprintf("Change %s to %s", f->fix.from, f->fix.to);
    bool good = action && diagnostics && title && peri_map_put_text(action, "title", title) == PERI_OK &&
                peri_map_put_text(action, "kind", "quickfix") == PERI_OK &&
                peri_map_put_bool(action, "isPreferred", true) == PERI_OK &&
                peri_list_push(diagnostics, diagnostic_of(t, f)) == PERI_OK &&
                peri_map_put_ref(action, "diagnostics", diagnostics) == PERI_OK &&
                peri_map_put(action, "edit", edit_of(t, doc, at, len, f->fix.to)) == PERI_OK;
    free(title);
    peri_value_unref(diagnostics);
    if (good)
        return action;
    peri_value_unref(action);
    return NULL;
}

struct peri_value *peri_lsp_actions(
    struct peri_lsp *lsp, const struct peri_lsp_doc *doc, const struct peri_value *params)
{
    struct peri_lsp_text t = peri_lsp_doc_text(lsp, doc);
    const struct peri_value *range = peri_map_at(params, "range");
    size_t from = peri_lsp_asked(&t, peri_map_at(range, "start")), to = peri_lsp_asked(&t, peri_map_at(range, "end"));
    struct peri_value *list = peri_value_list();
    struct peri_diag diag;
    peri_diag_init(&diag);
    bool good = list && check(lsp, doc, &diag) == PERI_OK;
    for (size_t i = 0; good && i < diag.count; i++) {
        size_t at, len, start, end;
        extent(&t, &diag.items[i], &start, &end);
        if (start <= to && end >= from && peri_fix_find(&diag.items[i], t.s, t.len, &at, &len))
            good = peri_list_push(list, action_of(&t, doc, &diag.items[i], at, len)) == PERI_OK;
    }
    peri_diag_finish(&diag);
    if (good)
        return list;
    peri_value_unref(list);
    return NULL;
}

/* ---- outline ---- */

static struct peri_value *symbol_of(const struct peri_lsp_text *t, const struct peri_rule *rule)
{
    struct peri_value *v = peri_value_map();
    size_t at = peri_lsp_place_offset(t, rule->place.line, rule->place.column);
    struct peri_value *range = peri_lsp_range(t, at, peri_lsp_line_end(t, at));
    if (v && range && peri_map_put_text(v, "name", rule->name) == PERI_OK &&
        peri_map_put_text(v, "detail", rule->id) == PERI_OK && peri_map_put_int(v, "kind", 12) == PERI_OK &&
        peri_map_put_ref(v, "range", range) == PERI_OK && peri_map_put_ref(v, "selectionRange", range) == PERI_OK) {
        peri_value_unref(range);
        return v;
    }
    peri_value_unref(range);
    peri_value_unref(v);
    return NULL;
}

struct peri_value *peri_lsp_symbols(
    struct peri_lsp *lsp, const struct peri_lsp_doc *doc, const struct peri_value *params)
{
    (void)params;
    struct peri_lsp_text t = peri_lsp_doc_text(lsp, doc);
    struct peri_rule_list rules = {0};
    struct peri_diag unused;
    struct peri_value *list = peri_value_list();
    peri_diag_init(&unused);
    bool good = list;
    if (good && is_rule_file(doc->path))
        good = peri_rules_load_text(doc->path, doc->text, doc->len, &lsp->bench->env, &rules, &unused) != PERI_ENOMEM;
    for (size_t i = 0; good && i < rules.count; i++)
        good = peri_list_push(list, symbol_of(&t, rules.items[i])) == PERI_OK;
    peri_rule_list_finish(&rules);
    peri_diag_finish(&unused);
    if (good)
        return list;
    peri_value_unref(list);
    return NULL;
}
