/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of events against what plugins declare of their data. Warnings only: whoever sends an event may put more into
 * it than was declared. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "lang/glob.h"
#include "lang/rule_internal.h"

static bool is_event(const struct peri_node *trigger, const char **ret_type)
{
    const struct peri_node *type = trigger->kind == PERI_NODE_MAP ? peri_node_get(trigger, "event", NULL) : NULL;
    if (!type || type->kind != PERI_NODE_SCALAR || type->type != PERI_STRING || !peri_glob_is_exact(type->text))
        return false;
    *ret_type = type->text;
    return true;
}

void peri_rule_fields_init(struct rule_reader *r, const struct peri_node *rule_node)
{
    const struct peri_node *one = peri_node_get(rule_node, "trigger", NULL),
                           *list = peri_node_get(rule_node, "triggers", NULL);
    size_t n = one ? 1 : list && list->kind == PERI_NODE_LIST ? list->count : 0;
    r->heard_count = 0;
    if (!r->env || !r->env->event_field || (one && list) || n > sizeof(r->heard) / sizeof(r->heard[0]))
        return;
    for (size_t i = 0; i < n; i++)
        if (!is_event(one ? one : list->items[i], &r->heard[r->heard_count++])) {
            r->heard_count = 0;
            return;
        }
}

static void warn(struct rule_reader *r, struct peri_place place, const char *type, const char *field, const char *near)
{
    char hint[PERI_FIELD_NEAR + 32];
    if (peri_diag_has(r->diag, place, "undeclared-field")) /* an expression may be compiled more than once */
        return;
    snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
    peri_diag_add(r->diag, place, PERI_SEV_WARNING, "undeclared-field", near[0] ? hint : NULL,
        "no plugin declares a field \"%.80s\" of %s", field, type);
    if (near[0])
        peri_diag_fix(r->diag, place, field, near);
}

void peri_rule_fields_seen(struct rule_reader *r, const char *field, struct peri_place place)
{
    char near[PERI_FIELD_NEAR] = "", found[PERI_FIELD_NEAR];
    for (size_t i = 0; i < r->heard_count; i++) {
        if (r->env->event_field(r->env->ctx, r->heard[i], field, found) != PERI_FIELD_NOWHERE)
            return;
        if (!near[0])
            snprintf(near, sizeof(near), "%s", found);
    }
    if (r->heard_count)
        warn(r, place, r->heard_count == 1 ? r->heard[0] : "these events", field, near);
}

void peri_rule_fields_match(struct rule_reader *r, const struct peri_node *trigger, const struct peri_node *match)
{
    const char *type;
    char near[PERI_FIELD_NEAR];
    if (!r->env || !r->env->event_field || match->kind != PERI_NODE_MAP || !is_event(trigger, &type))
        return;
    for (size_t i = 0; i < match->count; i++) {
        const struct peri_node *key = match->pairs[i].key;
        if (key->text[0] != '$' && r->env->event_field(r->env->ctx, type, key->text, near) == PERI_FIELD_NOWHERE)
            warn(r, key->place, type, key->text, near);
    }
}
