/* SPDX-License-Identifier: Apache-2.0 */
/* What a template may name at the place where it stands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "lang/expr_lex.h"
#include "lang/rule_internal.h"
#include "lang/system_event.h"

static const char *const roots[] = {
    "event", "events", "trigger", "steps", "vars", "rule", "run", "now", "error", "input"};
#define ROOT_COUNT (sizeof(roots) / sizeof(roots[0]))

bool peri_rule_names_push(struct rule_names *names, const char *name)
{
    if (!peri_vec_grow(&names->items, &names->cap, names->count + 1, sizeof(*names->items)))
        return false;
    names->items[names->count++] = name;
    return true;
}

bool peri_rule_names_has(const struct rule_names *names, const char *name, size_t len)
{
    for (size_t i = 0; i < names->count; i++)
        if (strlen(names->items[i]) == len && memcmp(names->items[i], name, len) == 0)
            return true;
    return false;
}

static bool is_root(const struct rule_reader *r, const char *name, size_t len)
{
    for (size_t i = 0; i < ROOT_COUNT; i++)
        if (strlen(roots[i]) == len && memcmp(roots[i], name, len) == 0) {
            if (strcmp(roots[i], "input") == 0)
                return r->inputs != NULL;
            bool of_run =
                strcmp(roots[i], "steps") == 0 || strcmp(roots[i], "vars") == 0 || strcmp(roots[i], "run") == 0;
            return strcmp(roots[i], "error") == 0 ? r->in_on_error : !of_run || !r->in_conditions;
        }
    return false;
}

/* True also for a name that was reported already: it is one mistake, however often it is written. */
static bool known(void *ctx, const char *name, size_t len)
{
    struct rule_reader *r = ctx;
    if (r->names_doubtful || is_root(r, name, len) || peri_rule_names_has(&r->bound, name, len) ||
        peri_rule_names_has(&r->refused, name, len))
        return true;
    char *copy = peri_strndup(name, len);
    if (!copy || !peri_rule_names_push(&r->refused, copy)) {
        free(copy);
        peri_rule_nomem(r);
    }
    return false;
}

static const char *const *list(void *ctx)
{
    struct rule_reader *r = ctx;
    r->listed.count = 0;
    for (size_t i = 0; i < ROOT_COUNT; i++)
        if (is_root(r, roots[i], strlen(roots[i])))
            (void)peri_rule_names_push(&r->listed, roots[i]);
    for (size_t i = 0; i < r->bound.count; i++)
        if (!peri_rule_names_has(&r->listed, r->bound.items[i], strlen(r->bound.items[i])))
            (void)peri_rule_names_push(&r->listed, r->bound.items[i]);
    if (!peri_rule_names_push(&r->listed, NULL)) {
        peri_rule_nomem(r);
        return NULL;
    }
    return r->listed.items;
}

/* Data of the service's own events is known. False: no such field. */
static bool told_member(const struct rule_reader *r, const char *field, struct peri_expr_problem *problem)
{
    for (size_t i = 0; i < r->told_count; i++)
        if (peri_system_event_has(r->told[i], field))
            return true;
    snprintf(problem->code, sizeof(problem->code), "unknown-field");
    snprintf(problem->message, sizeof(problem->message), "%s has no field \"%.64s\"",
        r->told_count == 1 ? r->told[0]->type : "none of these events", field);
    snprintf(problem->hint, sizeof(problem->hint), "%s has: %.160s", r->told[0]->type, r->told[0]->fields);
    return false;
}

/* A rule that only the service's own events start. */
static void find_told(struct rule_reader *r, const struct peri_node *rule_node)
{
    const struct peri_node *one = peri_node_get(rule_node, "trigger", NULL),
                           *list = peri_node_get(rule_node, "triggers", NULL);
    size_t n = one ? 1 : list && list->kind == PERI_NODE_LIST ? list->count : 0;
    if ((one && list) || n > sizeof(r->told) / sizeof(r->told[0]))
        return;
    for (size_t i = 0; i < n; i++) {
        const struct peri_node *trigger = one ? one : list->items[i],
                               *type = trigger->kind == PERI_NODE_MAP ? peri_node_get(trigger, "event", NULL) : NULL;
        const struct peri_system_event *event =
            type && type->kind == PERI_NODE_SCALAR ? peri_system_event_find(type->text) : NULL;
        if (!event) {
            r->told_count = 0;
            return;
        }
        r->told[r->told_count++] = event;
    }
}

/* input.x is what the blueprint asks for. */
static bool input_member(struct rule_reader *r, const char *field, struct peri_expr_problem *problem)
{
    const char *names[PERI_BLUEPRINT_INPUTS + 1];
    size_t n = 0;
    if (r->read_input)
        r->read_input(r->read_input_ctx, field);
    if (peri_map_at(r->inputs, field))
        return true;
    for (void *it = peri_map_first(r->inputs); it && n < PERI_BLUEPRINT_INPUTS; it = peri_map_next(r->inputs, it))
        names[n++] = peri_map_key(it, NULL);
    names[n] = NULL;
    const char *near = peri_nearest(field, names);
    snprintf(problem->code, sizeof(problem->code), "unknown-input");
    snprintf(problem->message, sizeof(problem->message), "the blueprint has no input \"%.64s\"", field);
    if (near) {
        snprintf(problem->hint, sizeof(problem->hint), "did you mean \"%s\"?", near);
        peri_expr_problem_fix(problem, field, near);
    } else {
        snprintf(problem->hint, sizeof(problem->hint), "declare it: input: {%.64s: {type: ...}}", field);
    }
    return false;
}

static const struct peri_value *constant(void *ctx, const char *root)
{
    struct rule_reader *r = ctx;
    return strcmp(root, "input") == 0 && !peri_rule_names_has(&r->bound, root, 5) ? r->inputs : NULL;
}

/* steps.x and vars.x exist only where some step says so. */
static bool member(void *ctx, const char *root, const char *field, struct peri_expr_problem *problem)
{
    struct rule_reader *r = ctx;
    bool step = strcmp(root, "steps") == 0;
    if (r->inputs && strcmp(root, "input") == 0)
        return input_member(r, field, problem);
    if (strcmp(root, "events") == 0) {
        if (r->members_doubtful || r->head_doubtful || peri_rule_names_has(&r->heard_as, field, strlen(field)))
            return true;
        if (!peri_rule_names_push(&r->heard_as, NULL)) { /* ends the list for peri_nearest */
            peri_rule_nomem(r);
            return true;
        }
        r->heard_as.count--;
        const char *close = peri_nearest(field, r->heard_as.items);
        snprintf(problem->code, sizeof(problem->code), "unknown-step");
        snprintf(problem->message, sizeof(problem->message),
            "no wait_for and no step of a sequence of this rule is called \"%.64s\"", field);
        if (close)
            snprintf(problem->hint, sizeof(problem->hint), "did you mean \"%s\"?", close);
        else
            snprintf(problem->hint, sizeof(problem->hint), "name it: {wait_for: {event: ...}, as: %.64s}", field);
        if (close)
            peri_expr_problem_fix(problem, field, close);
        return false;
    }
    if (r->told_count && strcmp(root, "event") == 0)
        return told_member(r, field, problem);
    struct rule_names *names = step ? &r->ids : &r->vars;
    if (r->members_doubtful || (!step && strcmp(root, "vars") != 0) || peri_rule_names_has(names, field, strlen(field)))
        return true;
    if (!peri_rule_names_push(names, NULL)) { /* ends the list for peri_nearest */
        peri_rule_nomem(r);
        return true;
    }
    names->count--;
    const char *near = peri_nearest(field, names->items);
    snprintf(problem->code, sizeof(problem->code), step ? "unknown-step" : "unknown-var");
    snprintf(problem->message, sizeof(problem->message),
        step ? "no step of this rule has the id \"%.64s\"" : "no step of this rule sets \"%.64s\"", field);
    if (near)
        snprintf(problem->hint, sizeof(problem->hint), "did you mean \"%s\"?", near);
    if (near)
        peri_expr_problem_fix(problem, field, near);
    else
        snprintf(problem->hint, sizeof(problem->hint),
            step ? "give the step an id: {id: %.64s, operator: ...}" : "a step before it sets it: set: {%.64s: ...}",
            field);
    return false;
}

static void enter(void *ctx, const struct peri_node *node, size_t offset)
{
    struct rule_reader *r = ctx;
    r->text_node = node;
    r->text_offset = offset;
}

static void seen(void *ctx, const char *root, const char *field, size_t offset)
{
    struct rule_reader *r = ctx;
    if (!r->text_node)
        return;
    struct peri_place place = peri_node_text_place(r->text_node, r->text_offset + offset);
    if (strcmp(root, "event") == 0)
        peri_rule_fields_seen(r, field, place);
    else
        peri_rule_suspect_member(r, root, field, place);
}

static void doubt(void *ctx, size_t offset, const char *hint, const char *message)
{
    peri_rule_suspect_expression(ctx, offset, hint, message);
}

/* Ids and variables of all steps, however deep. Parameters and data are not searched. */
static void collect(struct rule_reader *r, const struct peri_node *node, int depth)
{
    static const char *const blocks[] = {"actions", "on_error", "then", "else", "do", "choose", "parallel"};
    if (!node || depth > PERI_YAML_MAX_DEPTH)
        return;
    for (size_t i = 0; node->kind == PERI_NODE_LIST && i < node->count; i++)
        collect(r, node->items[i], depth + 1);
    if (node->kind != PERI_NODE_MAP)
        return;
    const struct peri_node *id = peri_node_get(node, "id", NULL), *set = peri_node_get(node, "set", NULL);
    bool good = true;
    for (size_t i = 0; depth > 0 && i < node->count; i++)
        r->members_doubtful = r->members_doubtful || !peri_rule_is_step_key(node->pairs[i].key->text);
    if (depth > 0 && id && (id->kind != PERI_NODE_SCALAR || !peri_rule_names_well_formed(id->text)))
        r->members_doubtful = true;
    else if (depth > 0 && id && node->count > 1)
        good = peri_rule_names_push(&r->ids, id->text);
    for (size_t i = 0; good && set && set->kind == PERI_NODE_MAP && i < set->count; i++)
        good = peri_rule_names_push(&r->vars, set->pairs[i].key->text);
    const struct peri_node *as = peri_node_get(node, "as", NULL);
    if (good && as && as->kind == PERI_NODE_SCALAR && peri_node_get(node, "wait_for", NULL))
        good = peri_rule_names_push(&r->heard_as, as->text);
    if (!good)
        peri_rule_nomem(r);
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
        collect(r, peri_node_get(node, blocks[i], NULL), depth + 1);
}

/* events.x exists where a step of a sequence says so. */
static void collect_heard(struct rule_reader *r, const struct peri_node *trigger)
{
    const struct peri_node *sequence = trigger ? peri_node_get(trigger, "sequence", NULL) : NULL;
    const struct peri_node *steps = sequence ? peri_node_get(sequence, "steps", NULL) : NULL;
    for (size_t i = 0; steps && steps->kind == PERI_NODE_LIST && i < steps->count; i++) {
        const struct peri_node *as = peri_node_get(steps->items[i], "as", NULL);
        if (as && as->kind == PERI_NODE_SCALAR && !peri_rule_names_push(&r->heard_as, as->text))
            peri_rule_nomem(r);
    }
}

void peri_rule_names_init(struct rule_reader *r, const struct peri_node *rule_node)
{
    const struct peri_node *many = peri_node_get(rule_node, "triggers", NULL);
    collect_heard(r, peri_node_get(rule_node, "trigger", NULL));
    for (size_t i = 0; many && many->kind == PERI_NODE_LIST && i < many->count; i++)
        collect_heard(r, many->items[i]);
    r->names = (struct peri_expr_names){.known = known,
        .list = list,
        .ctx = r,
        .member = member,
        .seen = seen,
        .enter = enter,
        .doubt = doubt,
        .constant = constant};
    collect(r, rule_node, 0);
    find_told(r, rule_node);
    peri_rule_fields_init(r, rule_node);
}

void peri_rule_names_finish(struct rule_reader *r)
{
    for (size_t i = 0; i < r->refused.count; i++)
        free((char *)(uintptr_t)r->refused.items[i]);
    free(r->refused.items);
    free(r->bound.items);
    free(r->ids.items);
    free(r->vars.items);
    free(r->heard_as.items);
    free(r->listed.items);
}

void peri_rule_names_bind(struct rule_reader *r, const char *name)
{
    if (!peri_rule_names_push(&r->bound, name))
        peri_rule_nomem(r);
}

bool peri_rule_names_bound(const struct rule_reader *r, const char *name, size_t len)
{
    return is_root(r, name, len) || peri_rule_names_has(&r->bound, name, len);
}

bool peri_rule_names_well_formed(const char *name)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    return name[0] != '\0' && name[n] == '\0' && (name[0] < '0' || name[0] > '9') && n <= 64;
}

bool peri_rule_names_check(struct rule_reader *r, const struct peri_node *node, const char *what)
{
    static const char *const words[] = {"and", "or", "not", "true", "false", "nil", NULL};
    const char *name = node->text;
    if (!peri_rule_names_well_formed(name)) {
        peri_rule_fault(r, node->place, "bad-name", "letters, digits and _, starting with a letter, at most 64",
            "\"%.80s\" cannot be %s", name, what);
        return false;
    }
    bool taken = false;
    for (size_t i = 0; i < ROOT_COUNT; i++)
        taken = taken || (strcmp(roots[i], name) == 0 && (r->inputs || strcmp(name, "input") != 0));
    for (size_t i = 0; words[i]; i++)
        taken = taken || strcmp(words[i], name) == 0;
    if (taken)
        peri_rule_fault(r, node->place, "reserved-name", "choose another name",
            "\"%s\" has a meaning of its own and cannot be %s", name, what);
    return !taken;
}
