/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_TEMPLATE_H
#define PERI_LANG_TEMPLATE_H

#include "base/diag.h"
#include "data/yaml.h"
#include "lang/expr.h"

/* A YAML tree in which strings may hold {{ expressions }}. A scalar that is exactly one {{...}} keeps the value's type;
 * otherwise the pieces are joined as text (null joins as "", lists and maps as JSON). "{{{{" is a literal "{{".
 * !secret name renders as {"$secret": name}, which only the plugin host can open. */
struct peri_template;

/* Findings carry the place inside the string. names as for peri_expr_compile. */
enum peri_status peri_template_compile(const struct peri_node *node, const struct peri_expr_names *names,
    struct peri_template **ret, struct peri_diag *diag) PERI_MUST_CHECK;
void peri_template_destroy(struct peri_template *t);
/* Errors as of peri_expr_eval, prefixed with where in the tree ("body: missing event.x"). New reference. */
enum peri_status peri_template_render(const struct peri_template *t, const struct peri_scope *scope,
    struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Of a mapping: the members that can be rendered; those that fail are left out. NULL when memory is out, or for
 * anything that is no mapping. New reference. */
struct peri_value *peri_template_render_partly(const struct peri_template *t, const struct peri_scope *scope);
/* True when nothing in it depends on the scope. */
bool peri_template_is_constant(const struct peri_template *t);
/* The one expression when the template is exactly "{{...}}", else NULL. borrow. */
const struct peri_expr *peri_template_expr(const struct peri_template *t);

#endif
