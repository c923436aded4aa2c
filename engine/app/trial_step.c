/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps of a test do to its world: edits of rules, data, answers to those who ask, events. */
#include <stdlib.h>
#include <string.h>

#include "app/bed.h"
#include "app/hooks.h"
#include "app/trial.h"
#include "base/str.h"
#include "data/json.h"
#include "io/store_data.h"
#include "io/store_runs.h"
#include "io/store_waits.h"
#include "lang/rule_mutate.h"

/* ---- rules that are edited ---- */

/* The rule with the keys of changes in place of its own. */
static enum peri_status edit_rule(struct peri_trial_bed *bed, const struct peri_rule *rule,
    const struct peri_node *changes, struct peri_rule **ret, struct peri_error *err)
{
    static const char *const tags[] = {"!secret", "!input", NULL};
    struct peri_yaml_doc *doc = NULL;
    struct peri_rule_list list = {0};
    struct peri_diag diag;
    peri_diag_init(&diag);
    enum peri_status st = peri_yaml_parse(rule->place.file, rule->text, strlen(rule->text), tags, &doc, &diag);
    char *text = st || doc->count != 1 ? NULL : peri_rule_edited(doc->roots[0], changes);
    if (!text)
        st = peri_error_nomem(err);
    else if (peri_rules_load_text(rule->place.file, text, strlen(text), &bed->env, &list, &diag) || list.count != 1)
        st = peri_error_set(err, PERI_EINVAL, "test-failed", "the edited rule \"%s\" cannot be loaded: %s", rule->id,
            diag.count ? diag.items[0].message : "it is no rule");
    else if (!peri_streq(list.items[0]->id, rule->id))
        st = peri_error_set(err, PERI_EINVAL, "test-failed",
            "the edited rule \"%s\" is another one, \"%s\": give it an \"id\"", rule->id, list.items[0]->id);
    else
        *ret = peri_rule_ref(list.items[0]);
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
    peri_yaml_destroy(doc);
    free(text);
    return st;
}

static bool has_rule(const struct peri_rule_list *rules, const char *id)
{
    for (size_t i = 0; i < rules->count; i++)
        if (peri_streq(rules->items[i]->id, id))
            return true;
    return false;
}

enum peri_status peri_trial_bed_edit(
    struct peri_trial_bed *bed, const struct peri_trial_step *step, struct peri_error *err)
{
    const struct peri_rule_list *now = peri_trial_bed_rules(bed);
    struct peri_rule_list next = {.items = calloc(bed->rules.count + 1, sizeof(struct peri_rule *))};
    enum peri_status st = next.items ? PERI_OK : peri_error_nomem(err);
    for (size_t i = 0; !st && i < step->edit->count; i++)
        if (!has_rule(now, step->edit->pairs[i].key->text))
            st = peri_error_set(
                err, PERI_EINVAL, "test-failed", "there is no rule \"%.100s\" to edit", step->edit->pairs[i].key->text);
    for (size_t i = 0; !st && i < now->count; i++) {
        const struct peri_node *changes = peri_node_get(step->edit, now->items[i]->id, NULL);
        struct peri_rule *rule = changes ? NULL : peri_rule_ref(now->items[i]);
        if (changes && changes->kind == PERI_NODE_MAP)
            st = edit_rule(bed, now->items[i], changes, &rule, err);
        if (rule)
            next.items[next.count++] = rule;
    }
    if (!st)
        st = peri_pipeline_set_rules(bed->pipeline, next.items, next.count, err);
    if (!st && peri_hooks_set(bed->hooks, next.items, next.count))
        st = peri_error_nomem(err);
    if (st) {
        peri_rule_list_finish(&next);
        return st;
    }
    peri_rule_list_finish(&bed->edited);
    bed->edited = next;
    return peri_trial_bed_settle(bed, err);
}

/* ---- what a step does ---- */

enum peri_status peri_trial_bed_put(
    struct peri_trial_bed *bed, const struct peri_value *entities, bool remove, struct peri_error *err)
{
    return peri_bed_put(bed->store, entities, remove, err);
}

static struct peri_event *make_event(const struct peri_trial_step *step)
{
    struct peri_event *event = peri_event_create();
    if (!event)
        return NULL;
    event->type = peri_strdup(step->event);
    event->source = peri_strdup(step->source ? step->source : "test");
    event->external_id = peri_strdup(step->id);
    event->subject = peri_strdup(step->subject);
    event->time_ms = step->ms == INT64_MIN ? 0 : step->ms;
    event->data = step->data ? peri_json_text(step->data, PERI_JSON_COMPACT) : peri_strdup("{}");
    if (event->type && event->source && event->data) {
        event->data_len = strlen(event->data);
        return event;
    }
    peri_event_unref(event);
    return NULL;
}

static void approved(void *arg, enum peri_status st, const struct peri_value *value, const struct peri_error *err)
{
    peri_bed_written(arg, st, err);
}

/* The run that has waited longest for an answer to the step, or for any. */
static enum peri_status find_approval(
    struct peri_trial_bed *bed, const char *step, uint64_t *ret_run, struct peri_error *err)
{
    struct peri_value *list = NULL;
    enum peri_status st = peri_reader_approvals(bed->reader, 0, 1000, &list, err);
    bool found = false;
    for (size_t i = 0; st == PERI_OK && !found && i < peri_value_count(list); i++) {
        const struct peri_value *item = peri_list_at(list, i);
        found = (!step || peri_streq(peri_map_text(item, "step"), step)) &&
                peri_run_id_parse(peri_map_text(item, "id"), ret_run);
    }
    peri_value_unref(list);
    if (st == PERI_OK && !found)
        st = peri_error_set(
            err, PERI_EINVAL, "test-failed", "no run waits for an answer%s%s", step ? " to " : "", step ? step : "");
    return st;
}

enum peri_status peri_trial_bed_approve(
    struct peri_trial_bed *bed, const struct peri_trial_step *step, struct peri_error *err)
{
    struct peri_bed_write write = {0};
    uint64_t run = 0;
    enum peri_status st = find_approval(bed, step->id, &run, err);
    if (st == PERI_OK)
        st = peri_pipeline_answer(bed->pipeline, run, step->id, step->data, "test", approved, &write, err);
    if (st == PERI_OK)
        st = peri_bed_wait(bed->loop, &write, err);
    return st ? st : peri_trial_bed_settle(bed, err);
}

enum peri_status peri_trial_bed_send(
    struct peri_trial_bed *bed, const struct peri_trial_step *step, struct peri_error *err)
{
    struct peri_batch *batch = peri_batch_create();
    struct peri_event *event = batch ? make_event(step) : NULL;
    if (event && peri_batch_event(batch, event) == PERI_OK)
        return peri_trial_bed_submit(bed, batch, err);
    peri_batch_destroy(batch);
    return peri_error_nomem(err);
}

enum peri_status peri_trial_bed_submit(struct peri_trial_bed *bed, struct peri_batch *batch, struct peri_error *err)
{
    enum peri_status st = peri_bed_submit(bed->loop, bed->pipeline, batch, err);
    return st ? st : peri_trial_bed_settle(bed, err);
}
