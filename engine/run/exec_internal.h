/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_EXEC_INTERNAL_H
#define PERI_RUN_EXEC_INTERNAL_H

#include "run/pipeline_internal.h"

/* Shared by live.c (runs in memory), exec_tx.c (their transactions) and exec.c (transitions and effects). */

void live_free(struct live *live);
/* The track's; made when there is none. NULL: memory is out. */
struct live_task *live_task(struct live *live, int track);
/* NULL: nobody waits for it any more. */
struct live_task *live_task_of(struct live *live, uint64_t serial);
void live_unhold(struct live_task *task);
/* held.c: the attempt waits for room, in memory or out of it. */
void held_add(struct live_task *task);
/* It takes its turn among those that have room but for the limit of all calls. */
void held_join(struct live_task *task);
/* Is there nothing to it that the store does not know? */
bool held_may_leave(const struct live *live);
/* The call in flight, if there is one, is no longer waited for. */
/* What a run has heard while it was not looking. */
void live_take_hits(struct live *live);
void live_end_call(struct live_task *task);
/* Neither call, evaluation nor place in a queue: the track has gone on without them. */
void live_quit(struct live_task *task);
bool live_calling(const struct live *live);
/* take message (its value and reason too) */
void live_post(struct live *live, const struct live_message *message);
void message_free(struct live_message *message);
/* Does whatever can be done now, until a transaction is under way or nothing is left; forgets the run when it only
 * waits. May free live. */
void live_lead(struct live *live);
/* Something went wrong inside (memory): what the store has is right, begin from there in a second. */
void live_reread(struct live *live);
/* Answers and frees a change. */
void change_answer(struct change *change, enum peri_status st, uint64_t run, const struct peri_error *err);

/* The class of a step's call now: what the step says, else the operator's present manifest. Unknown operators are never
 * repeated. */
enum peri_delivery exec_delivery(struct peri_pipeline *p, const struct peri_step *step);
/* Stores the transition; then live_lead. take effects (left empty) and change (answered after the commit; NULL:
 * none) */
void exec_commit(struct live *live, struct peri_run_effects *effects, struct change *change);
/* The row of a step; on the store's thread. */
enum peri_status exec_put_record(
    struct peri_tx *tx, uint64_t run, const struct peri_step_record *record, struct peri_error *err) PERI_MUST_CHECK;
/* What a call brought whose run was ended from outside in the meantime: its row is completed, nothing follows. */
void exec_late(struct live *live, int track, const struct peri_call_result *result);

#endif
