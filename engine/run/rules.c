/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "lang/index.h"
#include "run/pipeline_internal.h"

static void unref_rule(void *rule)
{
    peri_rule_unref(rule);
}

static void drop_set(struct peri_rule **rules, size_t count)
{
    for (size_t i = 0; i < count; i++)
        peri_rule_unref(rules[i]);
    free(rules);
}

void pipe_rules_finish(struct peri_pipeline *p)
{
    peri_index_destroy(p->index);
    peri_map_destroy(p->rules_by_id, NULL);
    peri_map_destroy(p->rules_by_hash, unref_rule);
    drop_set(p->rules, p->rule_count);
    free(p->cancelling);
    p->cancelling = NULL;
    p->cancelling_count = 0;
    p->index = NULL;
    p->rules_by_id = p->rules_by_hash = NULL;
    p->rules = NULL;
    p->rule_count = 0;
}

enum peri_status peri_pipeline_set_disabled(struct peri_pipeline *p, struct peri_rule *const *rules, size_t count)
{
    struct peri_index *off = NULL;
    enum peri_status st = count ? peri_index_build_all(rules, count, &off) : PERI_OK;
    if (st != PERI_OK)
        return st;
    peri_index_destroy(p->off);
    p->off = off;
    return PERI_OK;
}

static bool remember(struct peri_pipeline *p, struct peri_map *by_hash, struct peri_rule *rule)
{
    void *old = NULL;
    p->awaited |= rule->awaits; /* of a text that only runs under way still have */
    if (!peri_map_set(by_hash, rule->hash, rule, &old))
        return false;
    peri_rule_ref(rule);
    peri_rule_unref(old);
    return true;
}

/* As many as there is memory for. */
static void find_cancelling(struct peri_pipeline *p)
{
    free(p->cancelling);
    p->cancelling_count = 0;
    p->cancelling = calloc(p->rule_count ? p->rule_count : 1, sizeof(struct peri_rule *));
    for (size_t i = 0; p->cancelling && i < p->rule_count; i++)
        if (p->rules[i]->flow.cancel_count > 0 && p->rules[i]->enabled)
            p->cancelling[p->cancelling_count++] = p->rules[i];
}

enum peri_status peri_pipeline_set_rules(
    struct peri_pipeline *p, struct peri_rule *const *rules, size_t count, struct peri_error *err)
{
    struct peri_index *index = NULL;
    struct peri_map *by_id = peri_map_create(), *by_hash = peri_map_create();
    struct peri_rule **copy = calloc(count ? count : 1, sizeof(*copy));
    size_t kept = 0;
    enum peri_status st = by_id && by_hash && copy ? PERI_OK : PERI_ENOMEM;
    for (; st == PERI_OK && kept < count; kept++) {
        copy[kept] = peri_rule_ref(rules[kept]);
        p->awaited |= rules[kept]->awaits;
        if (!peri_map_set(by_id, rules[kept]->id, rules[kept], NULL) ||
            (!rules[kept]->slim && !remember(p, by_hash, rules[kept])))
            st = PERI_ENOMEM;
    }
    if (st == PERI_OK)
        st = peri_index_build(rules, count, &index);
    if (st != PERI_OK) {
        drop_set(copy, kept);
        peri_map_destroy(by_id, NULL);
        peri_map_destroy(by_hash, unref_rule);
        return peri_error_set(err, st, NULL, "the rules could not be indexed (%s)", peri_status_name(st));
    }
    pipe_rules_finish(p); /* runs and evaluations under way have references of their own */
    match_hear_changed(p);
    p->index = index;
    p->rules = copy;
    p->rule_count = count;
    p->rules_by_id = by_id;
    p->rules_by_hash = by_hash;
    find_cancelling(p);
    st = schedules_set(p, err);
    if (p->started) {
        edits_sweep(p);
        cancel_keys(p);
        lanes_sweep(p, NULL, NULL);
        watch_set(p);
        pipe_pump(p);
    }
    return st;
}

struct peri_rule *pipe_rule_by_id(struct peri_pipeline *p, const char *id)
{
    return peri_map_get(p->rules_by_id, id);
}

#define FULL_MAX 4096 /* rules with their conditions and actions that are kept besides those of the set */

/* *ret is borrowed from the map. */
static enum peri_status compile(
    struct peri_pipeline *p, const char *text, struct peri_rule **ret, struct peri_error *err)
{
    struct peri_rule_env env = {.tz = p->options.tz, .timezone = p->options.timezone ? p->options.timezone : "UTC"};
    struct peri_rule *rule = NULL;
    enum peri_status st = peri_rule_from_text(text, strlen(text), &env, &rule, err);
    if (st != PERI_OK)
        return st;
    bool full = peri_map_count(p->rules_by_hash) >= FULL_MAX + p->rule_count;
    struct peri_map *fresh = full ? peri_map_create() : NULL;
    if (fresh) { /* bounded: they are compiled again when they are needed */
        peri_map_destroy(p->rules_by_hash, unref_rule);
        p->rules_by_hash = fresh;
    }
    if (!remember(p, p->rules_by_hash, rule))
        st = peri_error_nomem(err);
    else
        *ret = rule;
    peri_rule_unref(rule); /* the map has one */
    return st;
}

enum peri_status pipe_rule_by_hash(
    struct peri_pipeline *p, const char *hash, struct peri_rule **ret, struct peri_error *err)
{
    char *text = NULL;
    *ret = peri_map_get(p->rules_by_hash, hash);
    if (*ret)
        return PERI_OK;
    enum peri_status st = peri_reader_ruleset(p->reader, hash, &text, err);
    if (st == PERI_OK)
        st = compile(p, text, ret, err);
    free(text);
    return st;
}

enum peri_status pipe_rule_full(
    struct peri_pipeline *p, struct peri_rule *rule, struct peri_rule **ret, struct peri_error *err)
{
    *ret = rule->slim ? peri_map_get(p->rules_by_hash, rule->hash) : rule;
    return *ret ? PERI_OK : compile(p, rule->text, ret, err);
}
