/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_RULE_VIEW_H
#define PERI_APP_RULE_VIEW_H

#include "base/diag.h"
#include "lang/rule.h"

/* Public form of a rule: {id, name, enabled, description?, tags, priority, triggers, file, line}; full adds its text
 * and hash. New reference; NULL when memory is out. */
struct peri_value *peri_rule_value(const struct peri_rule *rule, bool enabled, bool full);
/* {"items": [finding, ...], "errors": n} */
struct peri_value *peri_findings_value(const struct peri_diag *diag);

#endif
