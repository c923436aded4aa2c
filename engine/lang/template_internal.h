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

/* Templates made of pieces instead of text. NULL when memory is out. */
struct peri_template *peri_template_constant(struct peri_value *value); /* take; NULL is taken for no memory */
struct peri_template *peri_template_map(size_t room);                   /* of room members, all still to be added */
enum peri_status peri_template_map_add(
    struct peri_template *map, const char *key, size_t len, struct peri_template *item) PERI_MUST_CHECK; /* take */
/* Of one expression without braces. */
enum peri_status peri_template_expression(
    const char *text, size_t len, const struct peri_expr_names *names, struct peri_template **ret) PERI_MUST_CHECK;

#endif
