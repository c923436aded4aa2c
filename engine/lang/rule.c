/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/rule.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "lang/rule_internal.h"

struct counted_rule {
    struct peri_rule rule; /* first: a pointer to it is a pointer to the whole */
    atomic_size_t refs;
};

struct peri_rule *peri_rule_create(void)
{
    struct counted_rule *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    c->rule.enabled = true;
    return &c->rule;
}

void peri_condition_destroy(struct peri_condition *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++)
        peri_condition_destroy(c->items[i]);
    free(c->items);
    free(c->path);
    free(c->operator_id);
    free(c->expr_text);
    peri_template_destroy(c->params);
    peri_template_destroy(c->expr);
    free(c);
}

void peri_block_destroy(struct peri_block *block)
{
    if (!block)
        return;
    for (size_t i = 0; i < block->count; i++)
        peri_step_destroy(block->steps[i]);
    free(block->steps);
    free(block->path);
    free(block);
}

void peri_step_destroy(struct peri_step *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->choice_count; i++) {
        peri_condition_destroy(s->choices[i].when);
        peri_block_destroy(s->choices[i].then);
    }
    for (size_t i = 0; i < s->binding_count; i++) {
        free(s->bindings[i].name);
        peri_template_destroy(s->bindings[i].value);
    }
    for (size_t i = 0; i < s->retry.non_retryable_count; i++)
        free(s->retry.non_retryable[i]);
    free(s->retry.non_retryable);
    for (size_t i = 0; i < s->branch_count; i++)
        peri_block_destroy(s->branches[i]);
    free(s->wait_event);
    peri_template_destroy(s->wait_match);
    peri_template_destroy(s->limit);
    peri_template_destroy(s->prompt);
    peri_template_destroy(s->fallback);
    peri_schema_destroy(s->schema);
    free(s->branches);
    free(s->choices);
    free(s->bindings);
    free(s->path);
    free(s->id);
    free(s->as);
    free(s->operator_id);
    peri_condition_destroy(s->guard);
    peri_block_destroy(s->on_error);
    peri_block_destroy(s->then);
    peri_block_destroy(s->els);
    peri_block_destroy(s->body);
    peri_template_destroy(s->idempotency_key);
    peri_rule_pace_destroy(s);
    peri_template_destroy(s->params);
    peri_template_destroy(s->delay);
    peri_template_destroy(s->in);
    peri_template_destroy(s->emit_event);
    peri_template_destroy(s->emit_data);
    peri_template_destroy(s->reason);
    free(s);
}

static void trigger_finish(struct peri_trigger *t)
{
    free(t->id);
    free(t->event);
    free(t->lane);
    free(t->spec);
    peri_pattern_destroy(t->match);
    peri_webhook_destroy(t->webhook);
    if (t->schedule)
        peri_tz_destroy(t->schedule->tz);
    free(t->schedule);
    for (size_t i = 0; i < t->expect_count; i++)
        free(t->expect[i]);
    free(t->expect);
    for (size_t i = 0; i < t->step_count; i++) {
        free(t->steps[i].event);
        peri_pattern_destroy(t->steps[i].match);
        free(t->steps[i].as);
    }
    free(t->steps);
}

static void rule_destroy(struct peri_rule *rule)
{
    for (size_t i = 0; i < rule->trigger_count; i++)
        trigger_finish(&rule->triggers[i]);
    for (size_t i = 0; i < rule->tag_count; i++)
        free(rule->tags[i]);
    free(rule->triggers);
    free(rule->tags);
    free(rule->id);
    free(rule->name);
    free(rule->description);
    peri_value_unref(rule->about);
    free(rule->text);
    free(rule->blueprint);
    free(rule->blueprint_file);
    for (size_t i = 0; i < rule->flow.cancel_count; i++) {
        free(rule->flow.cancels[i].event);
        peri_pattern_destroy(rule->flow.cancels[i].match);
    }
    free(rule->flow.cancels);
    peri_template_destroy(rule->flow.key);
    peri_condition_destroy(rule->condition);
    peri_block_destroy(rule->actions);
    peri_block_destroy(rule->on_error);
    free((char *)(uintptr_t)rule->place.file);
    free(rule);
}

void peri_rule_slim(struct peri_rule *rule)
{
    if (rule->scripted)
        return;
    peri_condition_destroy(rule->condition);
    peri_block_destroy(rule->actions);
    peri_block_destroy(rule->on_error);
    rule->condition = NULL;
    rule->actions = rule->on_error = NULL;
    rule->slim = true;
}

bool peri_rule_has_lane(const struct peri_rule *rule)
{
    return rule->flow.mode != PERI_MODE_NONE || rule->flow.cancel_count > 0;
}

struct peri_rule *peri_rule_ref(struct peri_rule *rule)
{
    if (rule)
        atomic_fetch_add_explicit(&((struct counted_rule *)rule)->refs, 1, memory_order_relaxed);
    return rule;
}

void peri_rule_unref(struct peri_rule *rule)
{
    if (rule && atomic_fetch_sub_explicit(&((struct counted_rule *)rule)->refs, 1, memory_order_acq_rel) == 1)
        rule_destroy(rule);
}

void peri_rule_list_finish(struct peri_rule_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        peri_rule_unref(list->items[i]);
    free(list->items);
    memset(list, 0, sizeof(*list));
}

static const struct peri_block *find_block(const struct peri_block *block, const char *path);

static const struct peri_block *find_in_step(const struct peri_step *s, const char *path)
{
    const struct peri_block *parts[] = {s->on_error, s->then, s->els, s->body};
    const struct peri_block *found = NULL;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && !found; i++)
        found = find_block(parts[i], path);
    for (size_t i = 0; i < s->choice_count && !found; i++)
        found = find_block(s->choices[i].then, path);
    for (size_t i = 0; i < s->branch_count && !found; i++)
        found = find_block(s->branches[i], path);
    return found;
}

/* A block's path starts with those of the steps it stands in, so only one way down can lead to it. */
static const struct peri_block *find_block(const struct peri_block *block, const char *path)
{
    if (!block || !peri_str_starts(path, block->path))
        return NULL;
    if (strcmp(block->path, path) == 0)
        return block;
    const struct peri_block *found = NULL;
    for (size_t i = 0; i < block->count && !found; i++)
        if (peri_str_starts(path, block->steps[i]->path))
            found = find_in_step(block->steps[i], path);
    return found;
}

const struct peri_block *peri_rule_block(const struct peri_rule *rule, const char *path)
{
    const struct peri_block *found = find_block(rule->actions, path);
    return found ? found : find_block(rule->on_error, path);
}
