/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_TRIAL_UPDATE_H
#define PERI_APP_TRIAL_UPDATE_H

#include "app/trial.h"

/* `perigee test --update`: what happened takes the place of what was expected, in the text of the test file. The rest
 * of the file stays as it is. */

struct peri_trial_edit {
    size_t at, len; /* bytes of the file's text */
    char *text;
    int line;
};

struct peri_trial_edits {
    const struct peri_yaml_doc *doc;
    struct peri_trial_edit *items;
    size_t count, cap;
    size_t refused; /* places that cannot be written to, for example behind an alias */
    bool nomem;
};

/* Notes that the node is to become the value. */
void peri_trial_edits_add(struct peri_trial_edits *edits, const struct peri_node *node, const struct peri_value *value);
/* The changes as a diff, then a question on the terminal; yes: none. Writes the file. *ret_written: false when there is
 * nothing to do or the answer was no. */
enum peri_status peri_trial_edits_apply(struct peri_trial_edits *edits, const char *path, bool yes, bool *ret_written,
    struct peri_error *err) PERI_MUST_CHECK;
void peri_trial_edits_finish(struct peri_trial_edits *edits);

#endif
