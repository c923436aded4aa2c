/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_RUN_INTERNAL_H
#define PERI_RUN_RUN_INTERNAL_H

#include "run/run.h"

/* Shared by run.c (inputs, attempts), run_steps.c (what each kind of step does) and run_frames.c (position, records,
 * failure). One machine lives for one transition.
 *
 * Functions that do something to the run leave the machine either able to go on (m->stop false) or stopped: then
 * effects.next says what must happen outside. Memory running out sets m->st and stops. */
struct machine {
    struct peri_run *run;
    const struct peri_run_input *in;
    struct peri_run_effects *out;
    struct peri_scope scope;
    enum peri_status st;
    bool stop;
    int burst;
};

/* run_frames.c */
void m_nomem(struct machine *m);
void m_stop(struct machine *m, enum peri_run_state state, enum peri_run_next next);
void m_end(struct machine *m, enum peri_run_state state);
const struct peri_step *m_step(const struct machine *m);
/* Opens a block below the present step. list and error: take (either may be NULL). */
void m_push(struct machine *m, const struct peri_block *block, struct peri_value *list, struct peri_value *error);
void m_pop_to(struct peri_run *run, size_t depth);
/* The block on top has ended: next round of a loop, behind its container, or the end of the run. */
void m_leave(struct machine *m);
/* Writes the row of the present step and attempt. Values may be NULL. */
void m_record(struct machine *m, enum peri_attempt_state state, const struct peri_value *params,
    const struct peri_value *result, const struct peri_error *error);
/* Keeps result under steps.<id> and the name of `as`; fails the step when the variables outgrow their limit (false). */
bool m_keep(struct machine *m, const struct peri_value *result, struct peri_error *ret_error);
/* Row, result, and on to the step behind. params and result: borrow, may be NULL. */
void m_done(struct machine *m, const struct peri_value *params, const struct peri_value *result);
/* To the step behind, nothing recorded. */
void m_next(struct machine *m);
/* Row as failed, then m_unwind. */
void m_fail(struct machine *m, const struct peri_value *params, const struct peri_error *error);
/* Finds who handles the failure of the present step: its on_error or continue_on_error, those of the containers around
 * it, the rule's on_error; else the run has failed. */
void m_unwind(struct machine *m, const struct peri_error *error);
struct peri_value *m_error_value(const struct machine *m, const struct peri_error *error);
/* Replaces *map by a copy that has name = value. */
bool m_assign(struct machine *m, struct peri_value **map, const char *name, const struct peri_value *value);

/* run_steps.c: does the present step, its guard being settled. */
void m_body(struct machine *m);
/* `if` with its answer; FAILED fails the step. */
void m_guarded(struct machine *m, enum peri_cond_outcome outcome, const char *reason, const struct peri_value *detail,
    const struct peri_error *error);
void m_chosen(struct machine *m, enum peri_cond_outcome outcome, const struct peri_error *error);
/* Enters the next step and goes on until the machine stops. */
void m_proceed(struct machine *m);

/* run.c */
void m_attempt(struct machine *m);

/* run_gate.c: may the attempt leave now? False: it sleeps, was left out or has failed. */
bool m_gate(struct machine *m);

#endif
