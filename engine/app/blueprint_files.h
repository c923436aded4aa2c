/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_BLUEPRINT_FILES_H
#define PERI_APP_BLUEPRINT_FILES_H

#include "lang/blueprint.h"

/* For peri_rule_env.find_blueprint: the path is looked for below the rule folder that the file from lies in, then below
 * the others in their order. Nothing on the way below the folder may be a symbolic link. */
enum peri_status peri_blueprint_find_file(const struct peri_rule_env *env, const char *from, const char *path,
    char **ret_file, char *near, struct peri_error *err);

/* An input of peri_blueprint_describe in a line: "integer, 1 to 20, default 3". malloc'ed; NULL when memory is out. */
char *peri_blueprint_input_text(const struct peri_value *input);

/* Is the file a blueprint, as far as a look at it can tell? */
bool peri_blueprint_file_is(const char *file);

#endif
