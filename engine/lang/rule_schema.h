/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_RULE_SCHEMA_H
#define PERI_LANG_RULE_SCHEMA_H

#include "lang/rule.h"

/* The form of rule files as a JSON Schema (draft-07), for editors: made of the same key tables that the reader uses,
 * and of the operators that env knows with their parameters. What a template gives is not known, so every value of a
 * parameter may be a template too. Deterministic. New reference; NULL when memory is out. */
struct peri_value *peri_rule_schema(const struct peri_rule_env *env);

/* The mappings of a rule by name: "rule", "trigger", "schedule", "condition", "step", "for_each", "choice", "emit",
 * "retry". The i-th key of one, or NULL behind the last; *ret_help (may be NULL) says what it means. */
const char *peri_rule_key_at(const char *mapping, size_t i, const char **ret_help);

#endif
