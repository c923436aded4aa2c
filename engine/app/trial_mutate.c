/* SPDX-License-Identifier: Apache-2.0 */
#include "app/trial_mutate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "lang/rule_mutate.h"

/* The same change of the same rule is one, whichever test file comes to it. */
static struct peri_mutation *find(struct peri_mutations *all, const struct peri_rule *rule, const struct peri_mutant *m)
{
    for (size_t i = 0; i < all->count; i++) {
        struct peri_mutation *x = &all->items[i];
        bool there =
            rule->blueprint ? strcmp(x->rule, rule->id) == 0 : x->line == m->place.line && x->column == m->place.column;
        if (there && x->change == m->change && peri_streq(x->to, m->to) && strcmp(x->path, m->path) == 0 &&
            strcmp(x->file, rule->place.file) == 0)
            return x;
    }
    return NULL;
}

static struct peri_mutation *add(struct peri_mutations *all, const struct peri_rule *rule, const struct peri_mutant *m)
{
    if (!peri_vec_grow(&all->items, &all->cap, all->count + 1, sizeof(*all->items)))
        return NULL;
    struct peri_mutation x = {.file = peri_strdup(rule->place.file),
        .path = peri_strdup(m->path),
        .rule = peri_strdup(rule->id),
        .change = m->change,
        .to = peri_strdup(m->to),
        .line = rule->blueprint ? rule->place.line : m->place.line,
        .column = rule->blueprint ? rule->place.column : m->place.column};
    if (!x.file || !x.path || !x.rule || (m->to && !x.to)) {
        free(x.file);
        free(x.path);
        free(x.rule);
        free(x.to);
        return NULL;
    }
    all->items[all->count] = x;
    return &all->items[all->count++];
}

/* The changed rule; NULL with PERI_OK when it does not load, or is still the same. */
static enum peri_status load(
    struct peri_trial_bed *bed, const struct peri_rule *rule, const struct peri_mutant *m, struct peri_rule **ret)
{
    struct peri_rule_list list = {0};
    struct peri_diag diag;
    peri_diag_init(&diag);
    enum peri_status st = peri_rules_load_text(rule->place.file, m->text, strlen(m->text), &bed->env, &list, &diag);
    *ret = st == PERI_OK && list.count == 1 && strcmp(list.items[0]->text, rule->text) != 0
               ? peri_rule_ref(list.items[0])
               : NULL;
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
    return st == PERI_ENOMEM ? st : PERI_OK;
}

/* The name of the first test that fails with the rules as they are; NULL: none. */
static const char *noticed_by(struct peri_trial_bed *bed, struct peri_mutations *all)
{
    for (size_t i = 0; i < bed->file->case_count; i++) {
        struct peri_diag diag;
        peri_diag_init(&diag);
        peri_trial_run(bed, &bed->file->cases[i], &diag);
        bool failed = diag.errors > 0;
        peri_diag_finish(&diag);
        all->tried++;
        if (failed)
            return bed->file->cases[i].name;
    }
    return NULL;
}

static enum peri_status try(
    struct peri_trial_bed *bed, struct peri_mutations *all, size_t at, const struct peri_mutant *m)
{
    struct peri_rule *rule = bed->rules.items[at], *changed = NULL;
    struct peri_mutation *known = find(all, rule, m);
    if (known && known->noticed)
        return PERI_OK;
    enum peri_status st = load(bed, rule, m, &changed);
    if (st || !changed)
        return st;
    if (!known && !(known = add(all, rule, m)))
        st = PERI_ENOMEM;
    if (st == PERI_OK) {
        bed->rules.items[at] = changed;
        const char *by = noticed_by(bed, all);
        bed->rules.items[at] = rule;
        known->noticed = by != NULL;
        known->by = peri_strdup(by);
    }
    peri_rule_unref(changed);
    return st;
}

static enum peri_status try_all(
    struct peri_trial_bed *bed, struct peri_mutations *all, size_t at, const struct peri_node *map)
{
    struct peri_mutants mutants = {0};
    enum peri_status st = peri_rule_mutants(map, &mutants);
    for (size_t i = 0; st == PERI_OK && i < mutants.count; i++) {
        peri_progress_step(&all->progress, (int64_t)all->count, 0);
        st = try(bed, all, at, &mutants.items[i]);
    }
    peri_mutants_finish(&mutants);
    return st;
}

/* The mapping of a rule, by its place. */
static const struct peri_node *find_map(const struct peri_node *root, const struct peri_rule *rule)
{
    const struct peri_node *list = peri_node_get(root, "rules", NULL);
    for (size_t i = 0; list && list->kind == PERI_NODE_LIST && i < list->count; i++)
        if (list->items[i]->place.line == rule->place.line && list->items[i]->place.column == rule->place.column)
            return list->items[i];
    return root->place.line == rule->place.line && root->place.column == rule->place.column ? root : NULL;
}

enum peri_status peri_trial_mutate(struct peri_trial_bed *bed, struct peri_mutations *all, struct peri_error *err)
{
    static const char *const tags[] = {"!secret", "!input", NULL};
    enum peri_status st = PERI_OK;
    all->progress.what = "changes tried";
    for (size_t i = 0; st == PERI_OK && i < bed->rules.count; i++) {
        struct peri_yaml_doc *doc = NULL;
        struct peri_diag diag;
        peri_diag_init(&diag);
        const struct peri_rule *rule = bed->rules.items[i];
        /* of a rule made of a blueprint the file holds but a few words: its text is what can be changed */
        st = rule->blueprint ? peri_yaml_parse(rule->place.file, rule->text, strlen(rule->text), tags, &doc, &diag)
                             : peri_yaml_load(rule->place.file, tags, &doc, &diag);
        for (size_t k = 0; st == PERI_OK && k < doc->count; k++) {
            const struct peri_node *map = rule->blueprint ? doc->roots[k] : find_map(doc->roots[k], rule);
            if (map)
                st = try_all(bed, all, i, map);
        }
        peri_yaml_destroy(doc);
        peri_diag_finish(&diag);
    }
    peri_progress_end(&all->progress);
    return st ? peri_error_set(err, st, NULL, "the rules cannot be changed: %s", peri_status_name(st)) : PERI_OK;
}

/* ---- telling ---- */

static void print_json(const struct peri_mutation *x)
{
    struct peri_value *v = peri_value_map();
    bool good = v && peri_map_put_text(v, "file", x->file) == PERI_OK &&
                peri_map_put_int(v, "line", x->line) == PERI_OK &&
                peri_map_put_int(v, "column", x->column) == PERI_OK &&
                peri_map_put_text(v, "rule", x->rule) == PERI_OK && peri_map_put_text(v, "path", x->path) == PERI_OK &&
                peri_map_put_text(v, "change", x->change) == PERI_OK && peri_map_put_text(v, "to", x->to) == PERI_OK &&
                peri_map_put_bool(v, "noticed", x->noticed) == PERI_OK && peri_map_put_text(v, "by", x->by) == PERI_OK;
    char *text = good ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
    if (text)
        puts(text);
    free(text);
    peri_value_unref(v);
}

static void tell(struct peri_diag *diag, const struct peri_mutation *x)
{
    struct peri_place place = {x->file, x->line, x->column};
    if (strcmp(x->change, "without") == 0)
        peri_diag_add(diag, place, PERI_SEV_ERROR, "not-noticed", NULL, "no test notices when %s is gone", x->path);
    else if (strcmp(x->change, "changed") == 0)
        peri_diag_add(
            diag, place, PERI_SEV_ERROR, "not-noticed", NULL, "no test notices when %s is %s", x->path, x->to);
    else if (strcmp(x->change, "negated") == 0)
        peri_diag_add(
            diag, place, PERI_SEV_ERROR, "not-noticed", NULL, "no test notices when %s is turned round", x->path);
    else
        peri_diag_add(
            diag, place, PERI_SEV_ERROR, "not-noticed", NULL, "no test notices when %s always holds", x->path);
}

size_t peri_mutations_print(struct peri_mutations *all, struct peri_cli *cli)
{
    struct peri_diag diag;
    size_t lost = 0;
    peri_diag_init(&diag);
    for (size_t i = 0; i < all->count; i++) {
        lost += !all->items[i].noticed;
        if (cli->json)
            print_json(&all->items[i]);
        else if (!all->items[i].noticed)
            tell(&diag, &all->items[i]);
    }
    if (!cli->json) {
        peri_print_findings(cli, &diag, true);
        printf("%zu change%s tried, %zu noticed (%zu %%)\n", all->count, &"s"[all->count == 1], all -> count - lost,
            all -> count ? (all->count - lost) * 100 / all -> count : 100);
    }
    peri_diag_finish(&diag);
    return lost;
}

void peri_mutations_finish(struct peri_mutations *all)
{
    for (size_t i = 0; i < all->count; i++) {
        free(all->items[i].file);
        free(all->items[i].path);
        free(all->items[i].rule);
        free(all->items[i].to);
        free(all->items[i].by);
    }
    free(all->items);
}
