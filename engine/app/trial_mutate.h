/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_TRIAL_MUTATE_H
#define PERI_APP_TRIAL_MUTATE_H

#include "app/progress.h"
#include "app/trial.h"

/* `perigee test --mutate`: changes a rule in one small way after the other (lang/rule_mutate.h) and looks whether a
 * test fails. */

struct peri_mutation {
    char *file, *path, *rule;
    const char *change;
    char *to; /* what stands there instead, or NULL */
    int line, column;
    bool noticed; /* by any test of any file */
    char *by;     /* the first test that noticed it */
};

struct peri_mutations {
    struct peri_mutation *items; /* in order of files and places */
    size_t count, cap;
    size_t tried; /* tests that were run for it */
    struct peri_progress progress;
};

/* All changes of all rules of the bed, whose tests pass, against its tests. */
enum peri_status peri_trial_mutate(
    struct peri_trial_bed *bed, struct peri_mutations *all, struct peri_error *err) PERI_MUST_CHECK;
/* Findings [not-noticed] and the score; with --json one change a line. Returns how many no test noticed. */
size_t peri_mutations_print(struct peri_mutations *all, struct peri_cli *cli);
void peri_mutations_finish(struct peri_mutations *all);

#endif
