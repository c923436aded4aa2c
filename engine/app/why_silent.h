/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_WHY_SILENT_H
#define PERI_APP_WHY_SILENT_H

#include "app/cli.h"
#include "io/store_events.h"
#include "lang/rule.h"

/* Says why there is no verdict for the pair: the rule is not there, switched off, hears other events, or came later.
 * event (an id such as ev-7) may be NULL: of no event at all. Returns the exit code. */
int peri_why_silent(struct peri_cli *cli, struct peri_reader *reader, const char *rule, const char *event);

/* There is no such rule: a typing mistake, or its file has one. errors: findings of the rule files. */
int peri_why_no_rule(struct peri_cli *cli, const struct peri_rule_list *rules, const char *id, size_t errors);
/* No trigger of the rule names the event's type. */
int peri_why_not_heard(struct peri_cli *cli, const struct peri_rule *rule, const char *event, const char *type);

#endif
