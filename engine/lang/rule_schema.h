/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_RULE_SCHEMA_H
#define PERI_LANG_RULE_SCHEMA_H

#include "lang/rule.h"

/* The form of rule files as a JSON Schema (draft-07), for editors: made of the same key tables that the reader uses,
 * and of the operators that env knows with their parameters. What a template gives is not known, so every value of a
 * parameter may be a template too. Deterministic. New reference; NULL when memory is out. */
struct peri_value *peri_rule_schema(const struct peri_rule_env *env);

#endif
