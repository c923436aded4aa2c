/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_EXEC_INTERNAL_H
#define PERI_RUN_EXEC_INTERNAL_H

#include "run/pipeline_internal.h"

/* Shared by live.c (runs in memory), exec_tx.c (their transactions) and exec.c (transitions and effects). */

void live_free(struct live *live);
void live_unhold(struct live *live);
/* The call in flight, if there is one, is no longer waited for. */
void live_end_call(struct live *live);
/* Something went wrong inside (memory): what the store has is right, begin from there in a second. */
void live_reread(struct live *live);
/* Answers and frees a change. */
void change_answer(struct change *change, enum peri_status st, uint64_t run, const struct peri_error *err);

/* The class of a step's call now: what the step says, else the operator's present manifest. Unknown operators are never
 * repeated. */
enum peri_delivery exec_delivery(struct peri_pipeline *p, const struct peri_step *step);
/* Stores the transition; then exec_perform. take effects (left empty) and change (answered after the commit; NULL:
 * none) */
void exec_commit(struct live *live, struct peri_run_effects *effects, struct change *change);
/* What a call brought whose run was ended from outside in the meantime: its row is completed, nothing follows. */
void exec_late(struct live *live, const struct peri_call_result *result);
/* The state is stored: now what it stands for. */
void exec_perform(struct live *live);

#endif
