/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_RULE_WARN_H
#define PERI_LANG_RULE_WARN_H

#include "lang/rule.h"

/* What loads, but cannot work: warnings, by severity, and never errors. */

/* Conditions whose truth is certain, steps that are never reached, and triggers whose event type nobody is known to
 * send but that is nearly one that somebody does. event_types: what plugins say they publish (types or globs),
 * NULL-ended or NULL; what the rules emit counts too. */
void peri_rules_warn(
    struct peri_rule *const *rules, size_t count, const char *const *event_types, struct peri_diag *diag);

/* For everybody who walks over the steps of a rule: fn for each step of a block and of the blocks below it. */
void peri_block_each(const struct peri_block *block, void (*fn)(const struct peri_step *step, void *arg), void *arg);
/* The same for a rule: actions, then on_error. */
void peri_rule_each_step(const struct peri_rule *rule, void (*fn)(const struct peri_step *step, void *arg), void *arg);
/* The type that an `emit` step sends when it is constant, else NULL. Caller frees. */
char *peri_step_emits(const struct peri_step *step);

#endif
