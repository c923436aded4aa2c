/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_TRIAL_STUB_H
#define PERI_APP_TRIAL_STUB_H

#include "app/trial.h"

/* Operators that a test answers for. What is returned belongs to the test file. */

/* The stub that answers for the operator now: the case's, then the file's; NULL: none. */
struct peri_trial_stub *peri_trial_stub_find(const struct peri_trial_bed *bed, const char *id);
/* The first stub of the operator anywhere in the file. */
struct peri_trial_stub *peri_trial_stub_known(const struct peri_trial_file *file, const char *id);
/* Answers as an operator would: done is called from the loop, unless this fails. */
enum peri_status peri_trial_stub_call(struct peri_trial_bed *bed, struct peri_trial_stub *stub,
    const struct peri_call *call, peri_call_done done, void *arg, struct peri_error *err) PERI_MUST_CHECK;
/* Their answers begin again. */
void peri_trial_stubs_forget(struct peri_trial_stub *stubs, size_t count);

#endif
