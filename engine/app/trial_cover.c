/* SPDX-License-Identifier: Apache-2.0 */
#include "app/trial_cover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "io/store_runs.h"
#include "run/verdicts_read.h"

#define SEEN_TRUE 1u
#define SEEN_FALSE 2u
#define LOOK_PAGE 1000

struct peri_trial_cover {
    struct peri_map *seen; /* "rule path" -> bits; patterns: "rule match <trigger>", blocks by path */
    struct peri_rule_list rules;
    bool lost;
};

struct peri_trial_cover *peri_trial_cover_create(void)
{
    struct peri_trial_cover *cover = calloc(1, sizeof(*cover));
    if (cover && !(cover->seen = peri_map_create())) {
        free(cover);
        return NULL;
    }
    return cover;
}

void peri_trial_cover_destroy(struct peri_trial_cover *cover)
{
    if (!cover)
        return;
    peri_map_destroy(cover->seen, NULL);
    peri_rule_list_finish(&cover->rules);
    free(cover);
}

/* ---- what was reached ---- */

static unsigned bits_of(const struct peri_trial_cover *cover, const char *rule, const char *what, const char *path)
{
    char key[1024];
    snprintf(key, sizeof(key), "%s %s%s", rule, what, path);
    return (unsigned)(uintptr_t)peri_map_get(cover->seen, key);
}

static void note(struct peri_trial_cover *cover, const char *rule, const char *what, const char *path, unsigned bits)
{
    char key[1024];
    snprintf(key, sizeof(key), "%s %s%s", rule, what, path);
    unsigned before = (unsigned)(uintptr_t)peri_map_get(cover->seen, key);
    if ((before | bits) != before && !peri_map_set(cover->seen, key, (void *)(uintptr_t)(before | bits), NULL))
        cover->lost = true;
}

void peri_trial_cover_condition(struct peri_trial_cover *cover, const struct peri_rule *rule,
    const struct peri_condition *leaf, enum peri_cond_outcome outcome)
{
    if (outcome == PERI_COND_YES || outcome == PERI_COND_NO)
        note(cover, rule->id, "", leaf->path, outcome == PERI_COND_YES ? SEEN_TRUE : SEEN_FALSE);
}

static void cover_verdicts(struct peri_trial_cover *cover, const struct peri_value *verdicts)
{
    for (size_t i = 0; i < peri_value_count(verdicts); i++) {
        const struct peri_value *v = peri_list_at(verdicts, i);
        const char *rule = peri_map_text(v, "rule"), *trigger = peri_map_text(v, "trigger");
        const char *reason = peri_map_text(v, "reason"); /* of `for`, which hears what does not match too */
        bool refused =
            peri_streq(peri_map_text(v, "at"), "match") || (reason && peri_str_starts(reason, "it does not match"));
        if (rule && trigger)
            note(cover, rule, "match ", trigger, refused ? SEEN_FALSE : SEEN_TRUE);
    }
}

static enum peri_status cover_events(struct peri_trial_cover *cover, struct peri_trial_bed *bed, struct peri_error *err)
{
    struct peri_event_filter filter = {.limit = LOOK_PAGE};
    enum peri_status st = PERI_OK;
    for (size_t n = LOOK_PAGE; st == PERI_OK && n == LOOK_PAGE;) {
        struct peri_value *page = NULL;
        st = peri_reader_events(bed->reader, &filter, &page, err);
        n = st == PERI_OK ? peri_value_count(page) : 0;
        for (size_t i = 0; st == PERI_OK && i < n; i++) {
            struct peri_value *verdicts = NULL;
            (void)peri_event_id_parse(peri_map_text(peri_list_at(page, i), "id"), &filter.before);
            st = peri_verdicts_read(bed->reader, filter.before, NULL, &verdicts, err);
            cover_verdicts(cover, verdicts);
            peri_value_unref(verdicts);
        }
        peri_value_unref(page);
    }
    return st;
}

/* A step that has a row was reached, and with it every block on the way to it. */
static void cover_step(struct peri_trial_cover *cover, const char *rule, const char *path)
{
    char block[512];
    snprintf(block, sizeof(block), "%s", path);
    for (char *p = strrchr(block, '['); p; p = strrchr(block, '[')) {
        *p = '\0';
        note(cover, rule, "block ", block, SEEN_TRUE);
    }
}

static enum peri_status cover_runs(struct peri_trial_cover *cover, struct peri_trial_bed *bed, struct peri_error *err)
{
    struct peri_run_filter filter = {.limit = LOOK_PAGE};
    enum peri_status st = PERI_OK;
    for (size_t n = LOOK_PAGE; st == PERI_OK && n == LOOK_PAGE;) {
        struct peri_value *page = NULL;
        st = peri_reader_runs(bed->reader, &filter, &page, err);
        n = st == PERI_OK ? peri_value_count(page) : 0;
        for (size_t i = 0; st == PERI_OK && i < n; i++) {
            struct peri_value *run = NULL;
            (void)peri_run_id_parse(peri_map_text(peri_list_at(page, i), "id"), &filter.before);
            st = peri_reader_run(bed->reader, filter.before, &run, err);
            const struct peri_value *steps = peri_map_at(run, "steps");
            for (size_t k = 0; k < peri_value_count(steps); k++)
                cover_step(cover, peri_map_text(run, "rule"), peri_map_text(peri_list_at(steps, k), "path"));
            peri_value_unref(run);
        }
        peri_value_unref(page);
    }
    return st;
}

enum peri_status peri_trial_cover_case(
    struct peri_trial_cover *cover, struct peri_trial_bed *bed, struct peri_error *err)
{
    enum peri_status st = cover_events(cover, bed, err);
    return st ? st : cover_runs(cover, bed, err);
}

enum peri_status peri_trial_cover_rules(struct peri_trial_cover *cover, const struct peri_rule_list *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        bool known = false;
        for (size_t k = 0; k < cover->rules.count; k++)
            known = known || peri_streq(cover->rules.items[k]->text, rules->items[i]->text);
        if (known)
            continue;
        if (!peri_vec_grow(&cover->rules.items, &cover->rules.cap, cover->rules.count + 1, sizeof(struct peri_rule *)))
            return PERI_ENOMEM;
        cover->rules.items[cover->rules.count++] = peri_rule_ref(rules->items[i]);
    }
    return PERI_OK;
}

/* ---- what was not ---- */

struct report {
    const struct peri_trial_cover *cover;
    const struct peri_rule *rule;
    struct peri_diag *diag;
    size_t outcomes, outcomes_seen; /* each condition has two */
    size_t branches, branches_seen;
};

static void outcome(
    struct report *r, struct peri_place place, const char *path, const char *what, unsigned bits, unsigned bit)
{
    r->outcomes++;
    if (bits & bit) {
        r->outcomes_seen++;
        return;
    }
    peri_diag_add(r->diag, place, PERI_SEV_NOTE, "not-covered", NULL, "%s was never %s", path, what);
}

static void report_condition(struct report *r, const struct peri_condition *c)
{
    if (!c)
        return;
    if (c->kind == PERI_COND_OPERATOR || c->kind == PERI_COND_EXPR) {
        unsigned bits = bits_of(r->cover, r->rule->id, "", c->path);
        outcome(r, c->place, c->path, "true", bits, SEEN_TRUE);
        outcome(r, c->place, c->path, "false", bits, SEEN_FALSE);
    }
    for (size_t i = 0; i < c->count; i++)
        report_condition(r, c->items[i]);
}

static void report_block(struct report *r, const struct peri_block *block)
{
    if (!block || block->count == 0)
        return;
    r->branches++;
    if (bits_of(r->cover, r->rule->id, "block ", block->path))
        r->branches_seen++;
    else
        peri_diag_add(
            r->diag, block->steps[0]->place, PERI_SEV_NOTE, "not-covered", NULL, "%s was never entered", block->path);
    for (size_t i = 0; i < block->count; i++) {
        const struct peri_step *s = block->steps[i];
        report_condition(r, s->guard);
        for (size_t k = 0; k < s->choice_count; k++) {
            report_condition(r, s->choices[k].when);
            report_block(r, s->choices[k].then);
        }
        for (size_t k = 0; k < s->branch_count; k++)
            report_block(r, s->branches[k]);
        report_block(r, s->then);
        report_block(r, s->els);
        report_block(r, s->body);
        report_block(r, s->on_error);
    }
}

static void report_rule(struct report *r)
{
    const struct peri_rule *rule = r->rule;
    for (size_t i = 0; i < rule->trigger_count; i++) {
        const struct peri_trigger *t = &rule->triggers[i];
        unsigned bits = bits_of(r->cover, rule->id, "match ", t->id);
        char path[300];
        if (!t->match)
            continue;
        snprintf(path, sizeof(path), "the match of the trigger %s", t->id);
        outcome(r, t->place, path, "true", bits, SEEN_TRUE);
        if (rule->trigger_count == 1) /* of several, a verdict tells of the one that came furthest */
            outcome(r, t->place, path, "false", bits, SEEN_FALSE);
    }
    report_condition(r, rule->condition);
    report_block(r, rule->actions);
    report_block(r, rule->on_error);
}

static struct peri_value *value_of(const struct report *r)
{
    struct peri_value *v = peri_value_map(), *missing = peri_value_list();
    bool good = v && missing && peri_map_put_text(v, "rule", r->rule->id) == PERI_OK &&
                peri_map_put_text(v, "file", r->rule->place.file) == PERI_OK &&
                peri_map_put_int(v, "outcomes", (int64_t)r->outcomes) == PERI_OK &&
                peri_map_put_int(v, "outcomes_seen", (int64_t)r->outcomes_seen) == PERI_OK &&
                peri_map_put_int(v, "branches", (int64_t)r->branches) == PERI_OK &&
                peri_map_put_int(v, "branches_seen", (int64_t)r->branches_seen) == PERI_OK;
    for (size_t i = 0; good && i < r->diag->count; i++)
        good = peri_list_push(missing, peri_finding_value(&r->diag->items[i])) == PERI_OK;
    good = good && peri_map_put_ref(v, "not_covered", missing) == PERI_OK;
    peri_value_unref(missing);
    if (good)
        return v;
    peri_value_unref(v);
    return NULL;
}

static void print_json(const struct report *r)
{
    struct peri_value *v = value_of(r);
    char *text = v ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
    if (text)
        puts(text);
    free(text);
    peri_value_unref(v);
}

void peri_trial_cover_print(struct peri_trial_cover *cover, struct peri_cli *cli)
{
    size_t outcomes = 0, outcomes_seen = 0, branches = 0, branches_seen = 0;
    for (size_t i = 0; i < cover->rules.count; i++) {
        struct peri_diag diag;
        peri_diag_init(&diag);
        struct report r = {.cover = cover, .rule = cover->rules.items[i], .diag = &diag};
        report_rule(&r);
        if (cli->json)
            print_json(&r);
        else
            peri_print_findings(cli, &diag, true);
        outcomes += r.outcomes;
        outcomes_seen += r.outcomes_seen;
        branches += r.branches;
        branches_seen += r.branches_seen;
        peri_diag_finish(&diag);
    }
    if (!cli->json)
        printf("covered: %zu of %zu outcomes of conditions, %zu of %zu branches\n", outcomes_seen, outcomes,
            branches_seen, branches);
    if (cover->lost)
        fputs("perigee: out of memory: the coverage is not complete\n", stderr);
}
