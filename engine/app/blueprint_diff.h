/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_BLUEPRINT_DIFF_H
#define PERI_APP_BLUEPRINT_DIFF_H

#include "app/workbench.h"

/* What the rules made of a blueprint become when another file takes its place. path is what they name; old and new are
 * the files. {path, inputs: [{name, change, before?, after?}], rules: [{id, file, line, change, diff?}], findings:
 * [...], changed}. change of an input: added, removed, changed; of a rule: changed, broken, mended, same. NULL with
 * err. New reference. */
struct peri_value *peri_blueprint_compare(
    struct peri_workbench *bench, const char *path, const char *old, const char *new, struct peri_error *err);
void peri_blueprint_compare_print(struct peri_cli *cli, const struct peri_value *doc);

#endif
