/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_TEMPLATE_INTERNAL_H
#define PERI_LANG_TEMPLATE_INTERNAL_H

#include "lang/template.h"

/* For the rule reader. */

/* The node's whole text is one expression, with or without {{ }} around it; true and false stand for themselves. */
enum peri_status peri_template_compile_expr(const struct peri_node *node, const struct peri_expr_names *names,
    struct peri_template **ret, struct peri_diag *diag) PERI_MUST_CHECK;
/* Does the text hold a {{, be it an escaped one? */
bool peri_template_is_text_dynamic(const char *text, size_t len);
/* Adds what is wrong with an expression that stands at byte offset of the node's text. */
void peri_template_report(const struct peri_node *node, size_t offset, const struct peri_expr_problem *problem,
    const struct peri_expr_names *names, struct peri_diag *diag);

#endif
