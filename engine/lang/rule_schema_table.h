/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_RULE_SCHEMA_TABLE_H
#define PERI_LANG_RULE_SCHEMA_TABLE_H

#include "lang/rule_internal.h"

/* Internal to rule_schema*.c: what the schema of rule files is built of. Texts are constants. */

#define REF(name) "{\"$ref\": \"#/definitions/" name "\"}"

struct rule_shape {
    const char *key, *schema, *help; /* schema: JSON; help may be NULL */
};

struct rule_mapping {
    const char *name, *definition;
    const struct rule_key *keys;
    const struct rule_shape *shapes; /* ended by one without a key */
    const char *more;                /* members beside properties, or NULL */
};
extern const struct rule_mapping peri_rule_mappings[]; /* ended by one without a name */
/* Definitions that are no mapping with fixed keys; ended by one without a key. */
extern const struct rule_shape peri_rule_parts[];

const struct rule_mapping *peri_rule_mapping(const char *name);
const struct rule_shape *peri_rule_shape(const struct rule_shape *shapes, const char *key);

#endif
