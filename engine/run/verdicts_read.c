/* SPDX-License-Identifier: Apache-2.0 */
#include "run/verdicts_read.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "data/json.h"
#include "io/store_runs.h"
#include "lang/glob.h"
#include "lang/pattern.h"
#include "run/verdict.h"

struct reading {
    struct peri_reader *reader;
    struct peri_event *event;
    struct peri_pattern_event *scanned; /* NULL: the payload cannot be read any more */
    struct peri_map *own;               /* rule -> its stored verdict; borrowed from the list */
    struct peri_value *ret;
};

static bool names(const struct peri_value *entry, const char *rule)
{
    return peri_streq(peri_map_text(entry, "rule"), rule);
}

static const struct peri_value *find_heard(const struct peri_value *list)
{
    for (size_t i = 0; i < peri_value_count(list); i++)
        if (peri_map_text(peri_list_at(list, i), "heard"))
            return peri_list_at(list, i);
    return NULL;
}

/* The first trigger that heard it and whose pattern does not match: as if each had been asked by itself. *ret is NULL
 * when all match. */
static enum peri_status explain(
    const struct reading *r, const struct peri_rule *rule, struct peri_value **ret, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && !*ret && i < rule->trigger_count; i++) {
        const struct peri_trigger *t = &rule->triggers[i];
        struct peri_value *why = NULL;
        bool matches = true;
        if (t->kind != PERI_TRIGGER_EVENT || !t->match || !peri_glob_match(t->event, r->event->type))
            continue;
        if (r->scanned)
            st = peri_pattern_match_event(t->match, r->scanned, &matches, &why, err);
        if (st == PERI_OK && (!matches || !r->scanned))
            *ret = peri_verdict_unmatched(rule, t, why);
        if (st == PERI_OK && (!matches || !r->scanned) && !*ret)
            st = peri_error_nomem(err);
        peri_value_unref(why);
    }
    return st;
}

/* The text of the rule is gone: a database that was mended. */
static struct peri_value *without_text(const char *id)
{
    struct peri_value *v = peri_value_map();
    if (v && peri_map_put_text(v, "rule", id) == PERI_OK &&
        peri_map_put_text(v, "verdict", PERI_VERDICT_NO) == PERI_OK && peri_map_put_text(v, "at", "match") == PERI_OK &&
        peri_map_put_text(
            v, "reason", "the payload does not match (the rule's text of that time is not there any more)") == PERI_OK)
        return v;
    peri_value_unref(v);
    return NULL;
}

static enum peri_status add_unmatched(struct reading *r, const char *id, const char *hash, struct peri_error *err)
{
    struct peri_rule_env env = {.timezone = "UTC"};
    struct peri_rule *rule = NULL;
    struct peri_value *verdict = NULL;
    char *text = NULL;
    enum peri_status st = peri_reader_ruleset(r->reader, hash, &text, err);
    if (st == PERI_OK && peri_rule_from_text(text, strlen(text), &env, &rule, err) == PERI_OK) {
        st = explain(r, rule, &verdict, err);
    } else if (st == PERI_OK || st == PERI_ENOTFOUND) {
        verdict = without_text(id);
        st = verdict ? PERI_OK : peri_error_nomem(err);
    }
    peri_rule_unref(rule);
    free(text);
    if (st == PERI_OK && verdict && peri_list_push(r->ret, verdict) != PERI_OK)
        return peri_error_nomem(err);
    return st;
}

static enum peri_status keep_own(struct reading *r, const struct peri_value *list, struct peri_error *err)
{
    for (size_t i = 0; i < peri_value_count(list); i++) {
        const struct peri_value *v = peri_list_at(list, i);
        const char *id = peri_map_text(v, "rule");
        if (id && !peri_map_set(r->own, id, (void *)(uintptr_t)v, NULL))
            return peri_error_nomem(err);
        if (!id && !peri_map_text(v, "heard") && peri_list_push(r->ret, peri_value_ref(v)) != PERI_OK)
            return peri_error_nomem(err);
    }
    return PERI_OK;
}

/* In the order of the rules; what they do not name comes last. */
static enum peri_status expand(struct reading *r, const struct peri_value *list, const struct peri_value *rules,
    const char *only, struct peri_error *err)
{
    enum peri_status st = keep_own(r, list, err);
    for (size_t i = 0; st == PERI_OK && i < peri_value_count(rules); i++) {
        const struct peri_value *pair = peri_list_at(rules, i);
        const char *id = peri_value_text(peri_list_at(pair, 0)), *hash = peri_value_text(peri_list_at(pair, 1));
        const struct peri_value *own = id ? peri_map_remove(r->own, id) : NULL;
        if (own && peri_list_push(r->ret, peri_value_ref(own)) != PERI_OK)
            st = peri_error_nomem(err);
        else if (!own && id && hash && (!only || strcmp(only, id) == 0))
            st = add_unmatched(r, id, hash, err);
    }
    for (size_t i = 0; st == PERI_OK && i < peri_value_count(list); i++) {
        const char *id = peri_map_text(peri_list_at(list, i), "rule");
        if (id && peri_map_get(r->own, id) && peri_list_push(r->ret, peri_value_ref(peri_list_at(list, i))) != PERI_OK)
            st = peri_error_nomem(err);
    }
    return st;
}

static enum peri_status read_rules(struct reading *r, const char *hash, struct peri_value **ret, struct peri_error *err)
{
    char *text = NULL;
    enum peri_status st = peri_reader_ruleset(r->reader, hash, &text, err);
    if (st == PERI_OK)
        st = peri_json_parse(text, strlen(text), ret, err);
    free(text);
    return st == PERI_ENOTFOUND ? PERI_OK : st;
}

enum peri_status peri_verdicts_read(
    struct peri_reader *reader, uint64_t seq, const char *rule, struct peri_value **ret_list, struct peri_error *err)
{
    struct peri_value *list = NULL, *rules = NULL;
    enum peri_status st = peri_reader_verdicts(reader, seq, &list, err);
    const struct peri_value *heard = find_heard(list);
    bool known = false;
    for (size_t i = 0; rule && !known && i < peri_value_count(list); i++)
        known = names(peri_list_at(list, i), rule);
    if (st != PERI_OK || !heard || known) {
        *ret_list = st == PERI_OK ? list : *ret_list;
        return st;
    }
    struct reading r = {.reader = reader, .own = peri_map_create(), .ret = peri_value_list()};
    st = r.own && r.ret ? read_rules(&r, peri_map_text(heard, "heard"), &rules, err) : peri_error_nomem(err);
    if (st == PERI_OK)
        st = peri_reader_event(reader, seq, &r.event, err);
    if (st == PERI_OK)
        (void)(peri_pattern_event_read(r.event->data, r.event->data_len, &r.scanned, err) == PERI_OK);
    if (st == PERI_OK)
        st = expand(&r, list, rules, rule, err);
    peri_pattern_event_destroy(r.scanned);
    peri_event_unref(r.event);
    peri_map_destroy(r.own, NULL);
    peri_value_unref(rules);
    peri_value_unref(list);
    if (st == PERI_OK)
        *ret_list = r.ret;
    else
        peri_value_unref(r.ret);
    return st;
}
