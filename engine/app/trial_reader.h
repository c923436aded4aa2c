/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_TRIAL_READER_H
#define PERI_APP_TRIAL_READER_H

#include "app/trial.h"

/* Reading test files: what trial_read.c, trial_http.c and trial_webhook.c share. */

struct trial_reader {
    struct peri_trial_file *file;
    struct peri_tz *tz;
    struct peri_diag *diag;
    bool nomem;
};

void trial_fault(struct trial_reader *r, struct peri_place place, const char *code, const char *hint, const char *fmt,
    ...) PERI_PRINTF(5, 6);
/* False, with a finding, when the node is of another kind. */
bool trial_want(struct trial_reader *r, const struct peri_node *node, enum peri_node_kind kind, const char *what);
/* known is NULL-ended. */
bool trial_check_keys(struct trial_reader *r, const struct peri_node *map, const char *const *known, const char *what);
/* NULL when it is no text. */
const char *trial_text(struct trial_reader *r, const struct peri_node *node, const char *what);
/* NULL when it holds a tag. */
struct peri_value *trial_value(struct trial_reader *r, const struct peri_node *node);
/* {code, message, retryable, outcome_unknown} */
void trial_read_error(struct trial_reader *r, const struct peri_node *node, bool *ret_fails, struct peri_error *ret);

/* trial_http.c: `http:` of a file or a test */
void trial_read_http(
    struct trial_reader *r, const struct peri_node *node, struct peri_trial_http **ret, size_t *ret_count);
/* trial_webhook.c: a step `webhook:`; map is the whole step */
void trial_read_webhook(
    struct trial_reader *r, const struct peri_node *map, const struct peri_node *name, struct peri_trial_step *step);

#endif
