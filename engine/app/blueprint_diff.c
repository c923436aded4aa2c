/* SPDX-License-Identifier: Apache-2.0 */
/* The rules are loaded twice, with the blueprint's path leading to either file: what differs then is what the other
 * file makes of them, whatever it is that has changed in it. */
#include "app/blueprint_diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/blueprint_files.h"
#include "app/rulebook.h"
#include "app/text_diff.h"
#include "base/str.h"
#include "lang/rule_lines.h"

struct swap {
    const char *path, *file;
};

static enum peri_status find_swapped(const struct peri_rule_env *env, const char *from, const char *path,
    char **ret_file, char *near, struct peri_error *err)
{
    const struct swap *swap = env->find_ctx;
    if (!peri_streq(path, swap->path))
        return peri_blueprint_find_file(env, from, path, ret_file, near, err);
    near[0] = '\0';
    *ret_file = peri_strdup(swap->file);
    return *ret_file ? PERI_OK : peri_error_nomem(err);
}

struct side {
    struct peri_rulebook *book;
    struct peri_diag diag;
    struct peri_value *about; /* of peri_blueprint_describe; NULL: it is broken */
};

static enum peri_status load(struct side *side, struct peri_workbench *bench, struct swap *swap)
{
    struct peri_rule_env env = bench->env;
    env.find_blueprint = find_swapped;
    env.find_ctx = swap;
    peri_diag_init(&side->diag);
    side->about = peri_blueprint_describe(swap->file, &env, &side->diag);
    side->book = peri_rulebook_create((const char *const *)bench->cli->config.rules);
    return side->book ? peri_rulebook_load(side->book, &env, &side->diag) : PERI_ENOMEM;
}

static void side_finish(struct side *side)
{
    peri_rulebook_destroy(side->book);
    peri_value_unref(side->about);
    peri_diag_finish(&side->diag);
}

/* ---- inputs ---- */

static const struct peri_value *input_of(const struct peri_value *about, const char *name)
{
    const struct peri_value *inputs = peri_map_at(about, "inputs");
    for (size_t i = 0; i < peri_value_count(inputs); i++)
        if (peri_streq(peri_map_text(peri_list_at(inputs, i), "name"), name))
            return peri_list_at(inputs, i);
    return NULL;
}

static bool put_input(struct peri_value *list, const struct peri_value *before, const struct peri_value *after)
{
    const char *change = !before ? "added" : !after ? "removed" : "changed";
    struct peri_value *v = peri_value_map();
    bool good = v && peri_map_put_text(v, "name", peri_map_text(before ? before : after, "name")) == PERI_OK &&
                peri_map_put_text(v, "change", change) == PERI_OK &&
                (!before || peri_map_put_ref(v, "before", before) == PERI_OK) &&
                (!after || peri_map_put_ref(v, "after", after) == PERI_OK);
    if (good)
        return peri_list_push(list, v) == PERI_OK;
    peri_value_unref(v);
    return false;
}

static struct peri_value *compare_inputs(const struct side *a, const struct side *b)
{
    struct peri_value *list = peri_value_list();
    const struct peri_value *old = peri_map_at(a->about, "inputs"), *new = peri_map_at(b->about, "inputs");
    bool good = list != NULL;
    for (size_t i = 0; good && b->about && i < peri_value_count(old); i++) {
        const struct peri_value *before = peri_list_at(old, i),
                                *after = input_of(b->about, peri_map_text(before, "name"));
        if (!after || !peri_value_equal(before, after))
            good = put_input(list, before, after);
    }
    for (size_t i = 0; good && a->about && i < peri_value_count(new); i++)
        if (!input_of(a->about, peri_map_text(peri_list_at(new, i), "name")))
            good = put_input(list, NULL, peri_list_at(new, i));
    if (good)
        return list;
    peri_value_unref(list);
    return NULL;
}

/* ---- rules ---- */

static const struct peri_rule *rule_of(const struct side *side, const char *id, const char *path)
{
    const struct peri_rule_list *rules = peri_rulebook_rules(side->book);
    for (size_t i = 0; i < rules->count; i++)
        if (peri_streq(rules->items[i]->id, id) && peri_streq(rules->items[i]->blueprint, path))
            return rules->items[i];
    return NULL;
}

static bool put_diff(struct peri_value *v, const struct peri_rule *a, const struct peri_rule *b)
{
    char *old = peri_rule_lines(a->text, strlen(a->text), true), *new = peri_rule_lines(b->text, strlen(b->text), true);
    char *diff = old && new ? peri_text_diff(old, new) : NULL;
    bool good = diff && peri_map_put_text(v, "diff", diff) == PERI_OK;
    free(old);
    free(new);
    free(diff);
    return good;
}

static bool put_rule(struct peri_value *list, const struct peri_rule *a, const struct peri_rule *b)
{
    const struct peri_rule *rule = a ? a : b;
    bool same = a && b && strcmp(a->hash, b->hash) == 0;
    struct peri_value *v = peri_value_map();
    bool good = v && peri_map_put_text(v, "id", rule->id) == PERI_OK &&
                peri_map_put_text(v, "file", rule->place.file) == PERI_OK &&
                peri_map_put_int(v, "line", rule->place.line) == PERI_OK &&
                peri_map_put_text(v, "change",
                    same     ? "same"
                    : a && b ? "changed"
                    : a      ? "broken"
                             : "mended") == PERI_OK &&
                (same || !a || !b || put_diff(v, a, b));
    if (good)
        return peri_list_push(list, v) == PERI_OK;
    peri_value_unref(v);
    return false;
}

static struct peri_value *compare_rules(const struct side *a, const struct side *b, const char *path)
{
    struct peri_value *list = peri_value_list();
    const struct peri_rule_list *old = peri_rulebook_rules(a->book), *new = peri_rulebook_rules(b->book);
    bool good = list != NULL;
    for (size_t i = 0; good && i < old->count; i++)
        if (peri_streq(old->items[i]->blueprint, path))
            good = put_rule(list, old->items[i], rule_of(b, old->items[i]->id, path));
    for (size_t i = 0; good && i < new->count; i++)
        if (peri_streq(new->items[i]->blueprint, path) && !rule_of(a, new->items[i]->id, path))
            good = put_rule(list, NULL, new->items[i]);
    if (good)
        return list;
    peri_value_unref(list);
    return NULL;
}

/* ---- findings ---- */

static bool is_known(const struct peri_diag *diag, const struct peri_finding *f)
{
    for (size_t i = 0; i < diag->count; i++) {
        const struct peri_finding *g = &diag->items[i];
        if (g->line == f->line && g->column == f->column && peri_streq(g->file, f->file) &&
            peri_streq(g->code, f->code) && peri_streq(g->message, f->message))
            return true;
    }
    return false;
}

static struct peri_value *new_findings(struct side *a, struct side *b)
{
    struct peri_value *list = peri_value_list();
    bool good = list != NULL;
    for (size_t i = 0; good && i < b->diag.count; i++)
        if (b->diag.items[i].severity == PERI_SEV_ERROR && !is_known(&a->diag, &b->diag.items[i]))
            good = peri_list_push(list, peri_finding_value(&b->diag.items[i])) == PERI_OK;
    if (good)
        return list;
    peri_value_unref(list);
    return NULL;
}

static bool any_changed(const struct peri_value *rules)
{
    for (size_t i = 0; i < peri_value_count(rules); i++)
        if (!peri_streq(peri_map_text(peri_list_at(rules, i), "change"), "same"))
            return true;
    return false;
}

static struct peri_value *compare(struct side *a, struct side *b, const char *path)
{
    struct peri_value *doc = peri_value_map(), *inputs = compare_inputs(a, b), *rules = compare_rules(a, b, path),
                      *findings = new_findings(a, b);
    bool changed = peri_value_count(inputs) > 0 || peri_value_count(findings) > 0 || any_changed(rules);
    bool good =
        doc && inputs && rules && findings && peri_map_put_text(doc, "path", path) == PERI_OK &&
        peri_map_put_ref(doc, "inputs", inputs) == PERI_OK && peri_map_put_ref(doc, "rules", rules) == PERI_OK &&
        peri_map_put_ref(doc, "findings", findings) == PERI_OK && peri_map_put_bool(doc, "changed", changed) == PERI_OK;
    peri_value_unref(inputs);
    peri_value_unref(rules);
    peri_value_unref(findings);
    if (good)
        return doc;
    peri_value_unref(doc);
    return NULL;
}

struct peri_value *peri_blueprint_compare(
    struct peri_workbench *bench, const char *path, const char *old, const char *new, struct peri_error *err)
{
    struct side a = {0}, b = {0};
    struct swap first = {path, old}, second = {path, new};
    struct peri_value *doc = NULL;
    enum peri_status st = load(&a, bench, &first);
    if (st == PERI_OK)
        st = load(&b, bench, &second);
    if (st == PERI_OK)
        doc = compare(&a, &b, path);
    if (!doc)
        peri_error_nomem(err);
    side_finish(&a);
    side_finish(&b);
    return doc;
}

/* ---- printing ---- */

static void print_input(const struct peri_value *x)
{
    const char *change = peri_map_text(x, "change");
    const struct peri_value *before = peri_map_at(x, "before"), *after = peri_map_at(x, "after");
    char *old = before ? peri_blueprint_input_text(before) : NULL,
         *new = after ? peri_blueprint_input_text(after) : NULL;
    if (peri_streq(change, "changed"))
        printf("~ input %s: %s -> %s\n", peri_map_text(x, "name"), old ? old : "", new ? new : "");
    else
        printf("%c input %s: %s\n", before ? '-' : '+', peri_map_text(x, "name"),
            before ? (old ? old : "")
            : new  ? new
                   : "");
    free(old);
    free(new);
}

static void print_rule(struct peri_cli *cli, const struct peri_value *x)
{
    const char *change = peri_map_text(x, "change"), *diff = peri_map_text(x, "diff");
    printf("%c rule %s (%s:%lld)%s\n",
        peri_streq(change, "same")      ? '='
        : peri_streq(change, "changed") ? '~'
        : peri_streq(change, "broken")  ? '!'
                                        : '+',
        peri_map_text(x, "id"), peri_map_text(x, "file"), (long long)peri_map_int(x, "line", 0),
        peri_streq(change, "broken")   ? ": would not load"
        : peri_streq(change, "mended") ? ": would load"
                                       : "");
    for (const char *line = diff; line && *line;) {
        size_t len = strcspn(line, "\n");
        const char *colour = !cli->colour_out ? "" : *line == '-' ? "\033[31m" : *line == '+' ? "\033[32m" : "";
        printf("    %s%.*s%s\n", colour, (int)len, line, *colour ? "\033[0m" : "");
        line += len + (line[len] == '\n');
    }
}

void peri_blueprint_compare_print(struct peri_cli *cli, const struct peri_value *doc)
{
    const struct peri_value *inputs = peri_map_at(doc, "inputs"), *rules = peri_map_at(doc, "rules"),
                            *findings = peri_map_at(doc, "findings");
    for (size_t i = 0; i < peri_value_count(inputs); i++)
        print_input(peri_list_at(inputs, i));
    for (size_t i = 0; i < peri_value_count(rules); i++)
        print_rule(cli, peri_list_at(rules, i));
    for (size_t i = 0; i < peri_value_count(findings); i++) {
        const struct peri_value *f = peri_list_at(findings, i);
        const char *hint = peri_map_text(f, "hint");
        printf("%s:%lld:%lld: error: %s [%s]\n", peri_map_text(f, "file"), (long long)peri_map_int(f, "line", 0),
            (long long)peri_map_int(f, "column", 0), peri_map_text(f, "message"), peri_map_text(f, "code"));
        if (hint)
            printf("        = %s\n", hint);
    }
}
