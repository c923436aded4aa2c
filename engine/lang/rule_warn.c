/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/rule_warn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "lang/glob.h"

#define MAX_WHY 200

static void warn(
    struct peri_diag *diag, struct peri_place place, const char *code, const char *hint, const char *message)
{
    peri_diag_add(diag, place, PERI_SEV_WARNING, code, hint, "%s", message);
}

/* ---- walking ---- */

void peri_block_each(const struct peri_block *block, void (*fn)(const struct peri_step *step, void *arg), void *arg)
{
    for (size_t i = 0; block && i < block->count; i++) {
        const struct peri_step *s = block->steps[i];
        fn(s, arg);
        peri_block_each(s->then, fn, arg);
        for (size_t k = 0; k < s->choice_count; k++)
            peri_block_each(s->choices[k].then, fn, arg);
        for (size_t k = 0; k < s->branch_count; k++)
            peri_block_each(s->branches[k], fn, arg);
        peri_block_each(s->els, fn, arg);
        peri_block_each(s->body, fn, arg);
        peri_block_each(s->on_error, fn, arg);
    }
}

void peri_rule_each_step(const struct peri_rule *rule, void (*fn)(const struct peri_step *step, void *arg), void *arg)
{
    peri_block_each(rule->actions, fn, arg);
    peri_block_each(rule->on_error, fn, arg);
}

char *peri_step_emits(const struct peri_step *step)
{
    struct peri_value *type = NULL;
    struct peri_scope scope = {0};
    char *text = NULL;
    if (step->kind != PERI_STEP_EMIT || !step->emit_event || !peri_template_is_constant(step->emit_event))
        return NULL;
    if (peri_template_render(step->emit_event, &scope, &type, NULL) == PERI_OK)
        text = peri_strdup(peri_value_text(type));
    peri_value_unref(type);
    return text;
}

/* ---- conditions ---- */

static enum peri_truth truth_of_word(const char *word)
{
    return word[0] == 't' || word[0] == 'T' ? PERI_TRUTH_YES : PERI_TRUTH_NO;
}

/* One warning for each part that is certain: the rest of the tree follows from it. */
static void check_condition(struct peri_diag *diag, const struct peri_condition *c, const char *then)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++)
        check_condition(diag, c->items[i], then);
    if (c->kind != PERI_COND_EXPR)
        return;
    const struct peri_expr *expr = peri_template_expr(c->expr); /* NULL: true or false */
    struct peri_buf why;
    char hint[MAX_WHY + 100];
    peri_buf_init(&why, MAX_WHY);
    enum peri_truth truth = expr ? peri_expr_truth(expr, &why) : truth_of_word(c->expr_text);
    snprintf(hint, sizeof(hint), "%s%s%s", peri_buf_text(&why), why.len && then ? "; " : "", then ? then : "");
    if (truth == PERI_TRUTH_NO)
        warn(diag, c->place, "always-false", hint[0] ? hint : NULL, "this condition never holds");
    else if (truth == PERI_TRUTH_YES)
        warn(diag, c->place, "always-true", why.len ? peri_buf_text(&why) : NULL, "this condition always holds");
    peri_buf_finish(&why);
}

/* ---- steps ---- */

static bool ends(const struct peri_block *block);

/* Is nothing behind the step ever reached? */
static bool is_end(const struct peri_step *s)
{
    if (s->kind == PERI_STEP_STOP)
        return !s->guard;
    if (s->kind == PERI_STEP_IF)
        return ends(s->then) && ends(s->els);
    if (s->kind != PERI_STEP_CHOOSE || s->guard || !ends(s->els))
        return false;
    for (size_t i = 0; i < s->choice_count; i++)
        if (!ends(s->choices[i].then))
            return false;
    return true;
}

static bool ends(const struct peri_block *block)
{
    for (size_t i = 0; block && i < block->count; i++)
        if (is_end(block->steps[i]))
            return true;
    return false;
}

static void check_block(struct peri_diag *diag, const struct peri_block *block)
{
    for (size_t i = 0; block && i + 1 < block->count; i++) {
        if (!is_end(block->steps[i]))
            continue;
        warn(diag, block->steps[i + 1]->place, "unreachable-step", "give the step that stops an if:, or move it down",
            block->steps[i]->kind == PERI_STEP_STOP ? "this step is never reached: the one before it stops the run"
                                                    : "this step is never reached: every way before it stops the run");
        return;
    }
}

static void check_step(const struct peri_step *s, void *arg)
{
    struct peri_diag *diag = arg;
    check_condition(diag, s->guard, s->kind == PERI_STEP_IF ? NULL : "the step is always left out");
    for (size_t i = 0; i < s->choice_count; i++) {
        check_condition(diag, s->choices[i].when, NULL);
        check_block(diag, s->choices[i].then);
    }
    check_block(diag, s->then);
    check_block(diag, s->els);
    for (size_t i = 0; i < s->branch_count; i++)
        check_block(diag, s->branches[i]);
    check_block(diag, s->body);
    check_block(diag, s->on_error);
}

/* ---- event types ---- */

struct types {
    const char **items; /* NULL-ended */
    char **owned;
    size_t count, cap, owned_count, owned_cap;
    bool nomem;
};

static void add_type(struct types *types, const char *type)
{
    if (!peri_vec_grow(&types->items, &types->cap, types->count + 2, sizeof(*types->items))) {
        types->nomem = true;
        return;
    }
    types->items[types->count++] = type;
    types->items[types->count] = NULL;
}

static void add_emitted(const struct peri_step *s, void *arg)
{
    struct types *types = arg;
    char *type = peri_step_emits(s);
    if (!type)
        return;
    if (!peri_vec_grow(&types->owned, &types->owned_cap, types->owned_count + 1, sizeof(*types->owned))) {
        types->nomem = true;
        free(type);
        return;
    }
    types->owned[types->owned_count++] = type;
    add_type(types, type);
}

static size_t segments(const char *text)
{
    size_t n = 1;
    for (; *text; text++)
        n += *text == '.';
    return n;
}

/* Length of the first n segments. */
static size_t head_length(const char *text, size_t n)
{
    size_t i = 0;
    for (; text[i]; i++)
        if (text[i] == '.' && --n == 0)
            break;
    return i;
}

static bool is_sent(const struct types *types, const char *heard)
{
    for (size_t i = 0; i < types->count; i++)
        if (strcmp(types->items[i], heard) == 0 || peri_glob_match(heard, types->items[i]) ||
            peri_glob_match(types->items[i], heard))
            return true;
    return false;
}

/* Segments before the one with the first star. */
static size_t exact_segments(const char *glob)
{
    size_t n = 0;
    for (; *glob && *glob != '*'; glob++)
        n += *glob == '.';
    return n;
}

/* "comm.*" is nearly the head of comms.CallMissed: the exact segments are compared. */
static char *nearest_glob(const struct types *types, const char *heard)
{
    size_t exact = exact_segments(heard);
    char *head = exact ? peri_strndup(heard, head_length(heard, exact)) : NULL;
    char *found = NULL;
    for (size_t i = 0; head && i < types->count; i++) {
        if (segments(types->items[i]) <= exact)
            continue;
        char *other = peri_strndup(types->items[i], head_length(types->items[i], exact));
        const char *one[] = {other, NULL};
        bool same = other && strcmp(head, other) == 0;
        if (other && !same && !found && peri_nearest(head, one))
            found = peri_asprintf("%s%s", other, heard + strlen(head));
        free(other);
        if (same) { /* the head is right: what follows may come from anywhere */
            free(found);
            found = NULL;
            break;
        }
    }
    free(head);
    return found;
}

static void check_type(struct peri_diag *diag, const char *event, struct peri_place place, const struct types *types)
{
    char hint[300];
    if (types->count == 0 || is_sent(types, event))
        return;
    char *near =
        peri_glob_is_exact(event) ? peri_strdup(peri_nearest(event, types->items)) : nearest_glob(types, event);
    if (near) {
        snprintf(hint, sizeof(hint), "did you mean \"%.200s\"?", near);
        peri_diag_add(diag, place, PERI_SEV_WARNING, "unknown-event", hint,
            "no plugin declares \"%.200s\" and no rule emits it", event);
    }
    free(near);
}

static void check_trigger(struct peri_diag *diag, const struct peri_trigger *t, const struct types *types)
{
    struct peri_place place;
    const char *event;
    for (size_t i = 0; (event = peri_trigger_hears(t, i, &place)) != NULL; i++)
        check_type(diag, event, place, types);
}

void peri_rules_warn(
    struct peri_rule *const *rules, size_t count, const char *const *event_types, struct peri_diag *diag)
{
    struct types types = {0};
    for (; event_types && *event_types; event_types++)
        add_type(&types, *event_types);
    for (size_t i = 0; i < count; i++)
        peri_rule_each_step(rules[i], add_emitted, &types);
    for (size_t i = 0; i < count; i++) {
        if (!rules[i]->blueprint) { /* what one rule's inputs make certain is open in the blueprint */
            check_condition(diag, rules[i]->condition, "the rule may never fire");
            peri_rule_each_step(rules[i], check_step, diag);
            check_block(diag, rules[i]->actions);
            check_block(diag, rules[i]->on_error);
        }
        for (size_t k = 0; k < rules[i]->trigger_count; k++)
            check_trigger(diag, &rules[i]->triggers[k], &types);
    }
    diag->lost = diag->lost || types.nomem;
    for (size_t i = 0; i < types.owned_count; i++)
        free(types.owned[i]);
    free(types.owned);
    free(types.items);
}
