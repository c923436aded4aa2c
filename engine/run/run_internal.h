/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_RUN_INTERNAL_H
#define PERI_RUN_RUN_INTERNAL_H

#include "run/run.h"

/* Shared by run.c (inputs, attempts), run_steps.c (what each kind of step does), run_frames.c (position, records,
 * failure) and run_tracks.c (branches, deadlines). One machine lives for one transition.
 *
 * Functions that do something to the track leave the machine either able to go on with it (m->stop false) or stopped:
 * then a task says what must happen outside, or the track is no more. Memory running out sets m->st and stops. */
struct machine {
    bool interrupted; /* this restart has been counted */
    struct peri_run *run;
    struct peri_track *track; /* the one that is being led on */
    const struct peri_run_input *in;
    struct peri_run_effects *out;
    struct peri_scope scope;
    enum peri_status st;
    bool stop, ignored, ended; /* ended: the whole run */
    int burst;
    size_t attempts; /* begun in this transition */
};

/* Now, in durable ms. */
int64_t m_steady(const struct machine *m);
/* run_frames.c */
void m_nomem(struct machine *m);
/* The track needs something from outside. */
void m_stop(struct machine *m, enum peri_run_next next);
/* The whole run, whatever its tracks do. */
void m_end(struct machine *m, enum peri_run_state state);
const struct peri_step *m_step(const struct machine *m);
/* Opens a block below the present step. list and error: take (either may be NULL). */
void m_push(struct machine *m, const struct peri_block *block, struct peri_value *list, struct peri_value *error);
void m_pop_to(struct peri_track *track, size_t depth);
void m_clear_call(struct peri_track *track);
/* The block on top has ended: next round of a loop, behind its container, the end of the branch or of the run. */
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
/* The same for what a branch or the rule's timeout says; borrow. */
void m_unwind_value(struct machine *m, const struct peri_value *error);
/* Row of the present step as failed on that, then the same. */
void m_fail_value(struct machine *m, const struct peri_value *error);
/* What the whole run fails on; the rule's own on_error takes it, if there is one. */
void m_fail_run(struct machine *m, const struct peri_value *error);
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
/* As after GO. */
void m_go(struct machine *m);
/* Does that with each track that was there before, if it still is, and leads it on. False: it meant nothing to any. */
bool m_each_track(struct machine *m, void (*what)(struct machine *m));

/* run_pause.c */
bool m_paused_takes(const struct peri_run *run, const struct peri_run_input *input);
void m_pause(struct machine *m);
void m_resume(struct machine *m);

/* run_fallback.c: sends the channel's fallback in place of a message that has failed for good. False: there is none. */
bool m_fallback(struct machine *m, const struct peri_error *error);

/* run_gate.c: may the attempt leave now? False: it sleeps, was left out or has failed. */
bool m_gate(struct machine *m);

/* run_wait.c */
void m_wait(struct machine *m, const struct peri_step *step);
void m_approve(struct machine *m, const struct peri_step *step);
void m_heard(struct machine *m);
void m_answered(struct machine *m);
/* The time of a wait_for or approve is over. */
void m_waited(struct machine *m);
/* The row of the step is not needed any more. */
void m_unwait(struct machine *m);

/* run_steps.c: a duration or number of seconds; false with an error. */
bool m_length(const struct peri_value *value, const char *what, int64_t *ret_ms, struct peri_error *error);
struct peri_value *m_render(struct machine *m, const struct peri_template *template);

/* run_tracks.c */
void track_finish(struct peri_track *track); /* what it holds */
/* A branch that stands nowhere yet; NULL: memory is out. */
struct peri_track *track_add(struct peri_run *run, struct peri_track *parent, int id);
void m_select(struct machine *m, struct peri_track *track);
/* JSON size of what templates may read in a track. PERI_ELIMIT with code "too_large". */
enum peri_status m_measure(struct machine *m, struct peri_error *err);
/* The present step opens branches: those of `parallel`, or items of a list (take; may be NULL). */
void m_fork(struct machine *m, struct peri_value *list);
/* The track has come to its end, well or not (borrow, NULL); what opened it goes on when it was the last. */
void m_branch_done(struct machine *m, const struct peri_value *error);
/* What the track does right now is given up: its row says so, branches below it end. */
void m_abandon(struct machine *m, const struct peri_error *why);
/* All branches end, their rows say so. why: NULL when nobody's fault. */
void m_drop_branches(struct machine *m, const struct peri_track *below, const struct peri_error *why);
/* Tracks that have become able to go on do. */
void m_others(struct machine *m);
void m_timer(struct machine *m);
/* What is left of waits after a restart: a clock that was set back cannot make them longer than they were meant. */
void m_clamp(struct machine *m, struct peri_track *track);
/* State and wake of the run follow from its tracks. */
void m_sum_up(struct machine *m);

#endif
