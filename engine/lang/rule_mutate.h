/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_RULE_MUTATE_H
#define PERI_LANG_RULE_MUTATE_H

#include "base/error.h"
#include "data/yaml.h"

/* The small changes to a rule that a good test must notice: one condition, field of a `match`, throttle or `if` gone or
 * turned round; a bound that takes in or leaves out the number itself, or lies one further; the key or the mode gone,
 * a throttle of twice or half the time. */

struct peri_mutant {
    struct peri_place place; /* of what was changed; file is borrowed from the tree */
    char *path;              /* "conditions[0].any[1]", "trigger.match.direction" */
    const char *change;      /* "without", "negated", "always", "changed": one of a few constants */
    char *to;                /* "changed": what stands there instead; else NULL */
    char *text;              /* the changed rule as flow YAML */
};

struct peri_mutants {
    struct peri_mutant *items;
    size_t count, cap;
};

/* The text of the rule's mapping with the keys of changes in place of its own; a key that is null goes. malloc'ed; NULL
 * when memory is out or the rule becomes too large. */
char *peri_rule_edited(const struct peri_node *rule, const struct peri_node *changes);

/* Of the mapping of one rule. Not every mutant loads as a rule: those that do not say nothing about tests. PERI_ENOMEM.
 */
enum peri_status peri_rule_mutants(const struct peri_node *rule, struct peri_mutants *ret) PERI_MUST_CHECK;
void peri_mutants_finish(struct peri_mutants *mutants);

#endif
