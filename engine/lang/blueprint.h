/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_BLUEPRINT_H
#define PERI_LANG_BLUEPRINT_H

#include "lang/rule.h"

/* A file with `blueprint:`: a rule with holes, and a declaration of what fits into each. A rule with `use_blueprint:`
 * says what goes in; what comes out is an ordinary rule, whose text is that of the expansion: a run that waits goes on
 * with what it started with, and an edit of the blueprint is an edit of every rule made of it. */

#define PERI_BLUEPRINT_PATH_MAX 512
#define PERI_BLUEPRINT_NEAR 256

/* What a file says of itself: {name, description, author, homepage, version, inputs: [{name, type, title, description,
 * section, required, default, ...}]}. NULL with findings in diag, or when memory is out. It is checked as `perigee
 * check` does it. New reference. */
struct peri_value *peri_blueprint_describe(const char *file, const struct peri_rule_env *env, struct peri_diag *diag);

/* Is this the path that a rule may name: relative, no "..", no hidden part, .yaml or .yml? PERI_EINVAL: err says why.
 */
enum peri_status peri_blueprint_path_check(const char *path, struct peri_error *err) PERI_MUST_CHECK;

/* The types of inputs, for help and schemas; NULL behind the last. */
const char *peri_blueprint_type_at(size_t i, const char **ret_help);
#endif
