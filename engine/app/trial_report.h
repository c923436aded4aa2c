/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_TRIAL_REPORT_H
#define PERI_APP_TRIAL_REPORT_H

#include "app/trial.h"

/* What came of tests: told as they end, and kept for the JUnit file. */

enum peri_trial_style { PERI_TRIAL_TEXT, PERI_TRIAL_TAP, PERI_TRIAL_JSON };

struct peri_trial_result {
    char *file, *name;
    int line;
    int64_t us;
    struct peri_diag diag; /* what was wrong; no errors: it passed */
};

struct peri_trial_report {
    struct peri_cli *cli;
    enum peri_trial_style style;
    struct peri_trial_result *items;
    size_t count, cap, failed;
    bool lost; /* memory ran out */
};

/* take diag's findings */
void peri_trial_report_add(
    struct peri_trial_report *report, const char *file, const char *name, int line, int64_t us, struct peri_diag *diag);
/* The last lines. */
void peri_trial_report_end(const struct peri_trial_report *report);
enum peri_status peri_trial_report_junit(
    const struct peri_trial_report *report, const char *path, struct peri_error *err) PERI_MUST_CHECK;
void peri_trial_report_finish(struct peri_trial_report *report);

#endif
