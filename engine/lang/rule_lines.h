/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_RULE_LINES_H
#define PERI_LANG_RULE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include "base/status.h"

/* A rule's stored text (peri_rule.text) as YAML in lines, for people: it loads as the same rule. origin: with
 * expanded_from, which a rule that computes with its inputs needs. malloc'ed; NULL when it cannot be read or memory is
 * out. */
char *peri_rule_lines(const char *text, size_t len, bool origin);

#endif
