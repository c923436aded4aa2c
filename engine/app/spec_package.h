/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_SPEC_PACKAGE_H
#define PERI_APP_SPEC_PACKAGE_H

#include "base/error.h"
#include "data/value.h"

/* The folder of a package that a spec loads. given: {folder?, files?: {path: text}, manifest?: {...}}: a folder as it
 * is, or a copy below dir in which files are added or replaced and the members of manifest stand in plugin.json.
 * *ret_folder is malloc'ed. */
enum peri_status peri_spec_package(const struct peri_value *given, const char *dir, int number, char **ret_folder,
    struct peri_error *err) PERI_MUST_CHECK;
/* A policy file below dir that puts these plugins (a list of ids) into processes of their own. */
enum peri_status peri_spec_policy(
    const struct peri_value *ids, const char *dir, int number, char **ret_file, struct peri_error *err) PERI_MUST_CHECK;
/* An empty folder for packages; malloc'ed. */
enum peri_status peri_spec_folder_make(char **ret, struct peri_error *err) PERI_MUST_CHECK;
/* With all that is in it. Frees path. */
void peri_spec_folder_remove(char *path);

#endif
