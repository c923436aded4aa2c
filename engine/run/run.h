/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_RUN_H
#define PERI_RUN_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "data/value.h"
#include "io/store_runs.h"
#include "lang/rule.h"
#include "plugin/host.h"
#include "run/condition.h"

/* The run machine: "given this state and this input: the next state, and these effects". It touches nothing outside its
 * arguments; time, chance and answers are arguments. exec.c stores what it returns and then performs the effect.
 *
 * All that is waited for (wake, due, and their base: the full length) is in durable ms, which nobody sets; what is told
 * of (created, started, ended) in those of the wall clock.
 *
 * A position is a stack of frames, each a block of the rule and the index of a step in it: the step at frames[k] is the
 * container that opened frames[k + 1]. Position, phase and counters form a track. The main line is one; each branch of
 * `parallel` and each item of a for_each that goes in parallel has a track of its own while it is under way. The track
 * that opened them is in the phase JOIN until the last has ended. */

#define PERI_RUN_VARS_MAX (64 * 1024)  /* JSON of variables, step results and bound names */
#define PERI_RUN_RESULT_MAX (4 * 1024) /* JSON of one result in the steps table */
#define PERI_RUN_OVER "{}"             /* position of a run that has ended: none */
#define PERI_RUN_DEPTH_MAX 64          /* frames */
#define PERI_RUN_STEPS_MAX 100000      /* steps that one run may execute */
#define PERI_RUN_BURST 200             /* steps in one transition; then the state is stored and the run goes on */
#define PERI_RUN_TRACKS_MAX 256        /* branches of one run at the same time */
#define PERI_RUN_INTERRUPTIONS_MAX                                                                                     \
    5 /* process deaths under one call, without an answer between, before it is given up */
#define PERI_RUN_DELAY_MAX_MS (3650LL * 24 * 3600 * 1000)

/* What a track does at its step. Numbers are stored by name. */
enum peri_phase {
    PERI_PHASE_STEP,    /* before the next step                                      ready */
    PERI_PHASE_GUARD,   /* the step's `if` waits for an operator                     ready */
    PERI_PHASE_CHOICE,  /* so does `when` of choices[choice]                         ready */
    PERI_PHASE_HELD,    /* an attempt may start as soon as there is room             ready */
    PERI_PHASE_CALL,    /* an attempt is in flight                                   running */
    PERI_PHASE_BACKOFF, /* sleeps before the next attempt                            sleeping */
    PERI_PHASE_DELAY,   /* a delay step                                              sleeping */
    PERI_PHASE_UNKNOWN, /* an attempt may have arrived: a person decides             unknown */
    PERI_PHASE_GATED,   /* an attempt has been put off before it left                sleeping */
    PERI_PHASE_JOIN,    /* until its branches have ended                             theirs  */
    PERI_PHASE_WAIT,    /* until an event or its time comes                          waiting */
    PERI_PHASE_APPROVE  /* until a person answers                                    waiting */
};

struct peri_frame {
    const struct peri_block *block;
    size_t i;                 /* step in the block */
    int n;                    /* number of the container step that opened it; 0 for the first frame */
    int64_t started_ms;       /* of that step */
    int64_t due_ms, base_ms;  /* when its `timeout` ends, and its length; 0: none */
    struct peri_value *list;  /* for_each: the items, else NULL */
    size_t index;             /* for_each: which item */
    struct peri_value *error; /* on_error: what went wrong, else NULL */
};

struct peri_track {
    struct peri_run *run;
    struct peri_track *parent; /* NULL: the main line */
    int id;                    /* 0: the main line; never used twice in a run */
    struct peri_frame *frames; /* PERI_RUN_DEPTH_MAX at most */
    size_t depth, cap;
    enum peri_phase phase;
    int n;              /* of the step under way */
    int attempt;        /* of that step; 0 before the first */
    int interruptions;  /* process deaths under the step's call since an attempt had an answer */
    int free_attempts;  /* attempts that do not count against the retry budget: the process died under them */
    int64_t step_ms;    /* when the step began */
    int64_t first_ms;   /* when its first attempt began */
    int64_t tried_ms;   /* the same in durable ms */
    int64_t attempt_ms; /* when the last one began */
    size_t choice;
    struct peri_value *params;        /* of the call, as rendered at the first attempt; NULL before */
    char *key;                        /* its idempotency key */
    struct peri_error last;           /* of the last attempt, while it is in backoff or unknown; why it is gated */
    bool wall;                        /* GATED: until a time of the wall clock */
    bool doubt;                       /* an attempt may have arrived: the next one asks the provider first, if it can */
    int64_t reserved_ms;              /* the time that a rate limit has given to the next attempt; 0: none */
    int64_t wake_ms, base_ms;         /* DELAY, BACKOFF, GATED: until when, and how long that was in all */
    int64_t due_ms, due_base_ms;      /* when the step's own `timeout` ends; 0: none */
    struct peri_value *steps, *bound; /* results that templates may read here; copied before each change, so that tracks
                                         and scopes may share them */
    uint64_t since;                   /* a wait_for hears events behind this one; 0: those to come */
    /* JOIN */
    struct peri_value *list;    /* for_each: the items, else NULL */
    size_t begun;               /* how many items or branches have been begun */
    struct peri_value *failure; /* what the first branch that failed has failed on, or NULL */
    bool able;                  /* of one transition: it can go on */
    bool touched;               /* of one transition: its row is to be written */
    bool asked;                 /* of one timer: it has asked, and was put off again */
};

/* Roots that are made when somebody asks for them. */
enum peri_run_root { PERI_ROOT_TRIGGER, PERI_ROOT_RUN };

struct peri_run {
    uint64_t id;
    struct peri_rule *rule; /* the version that it started with; one reference */
    enum peri_run_state state;
    struct peri_track track;      /* the main line */
    struct peri_track **branches; /* by id */
    size_t branch_count, branch_cap;
    uint64_t first_seq;          /* of the event that it is about; 0: its first step hears events to come */
    int last_n;                  /* steps begun so far, in all tracks */
    int last_track;              /* the highest id that a branch has had */
    struct peri_value *vars;     /* a map of all tracks; copied before each change */
    size_t vars_bytes;           /* JSON size of variables and results, as of the last check */
    int64_t due_ms, due_base_ms; /* when the rule's `timeout` ends; 0: none, or not begun */
    int64_t wake_ms, base_ms;    /* the earliest of all that the run waits for, and how long that was in all; 0: none */
    bool wall;                   /* a track of it waits for a time of the wall clock */
    int64_t created_ms, ended_ms;
    int64_t paused_ms;        /* since when a person has paused it; calls may still be under way. 0: it is not */
    int interruptions;        /* process deaths under a call of it, in all */
    struct peri_value *error; /* {code, message, step?, attempt?, handled} of what the run failed on, or NULL */
    char *kprefix, *ckey;     /* ckey: of its lane, or NULL */
    /* Roots of its templates. */
    struct peri_value *event;   /* payload */
    struct peri_value *trigger; /* run/scope.h */
    struct peri_value *rule_value, *run_value;
    /* Makes trigger or run_value when it is NULL and asked for: a new reference. NULL: it cannot, and what is computed
     * from now on is void (`spoilt`). May be NULL itself. */
    struct peri_value *(*make_root)(void *ctx, enum peri_run_root root);
    void *root_ctx;
    bool spoilt;
};

/* Decides whether an attempt may leave now. Asked right before it would; a run that was put off asks again. */
enum peri_gate_kind {
    PERI_GATE_GO,
    PERI_GATE_HOLD /* when there is room */,
    PERI_GATE_WAIT,
    PERI_GATE_SKIP,
    PERI_GATE_FAIL
};
struct peri_gate_question {
    const struct peri_run *run;
    const struct peri_step *step;
    const struct peri_value *params;
    const struct peri_scope *scope;
    int64_t now_ms, offset_ms, reserved_ms; /* reserved: durable */
};
struct peri_gate_answer {
    enum peri_gate_kind kind;
    int64_t until_ms;             /* WAIT: durable ms */
    bool wall;                    /* that is a time of the wall clock: asks again when that is set */
    struct peri_error why;        /* all but GO */
    int64_t reserved_ms, keep_ms; /* the time that it has now, or 0; with a bucket (malloc'ed) it is to be stored */
    char *bucket;
};
struct peri_gate {
    void (*ask)(void *ctx, const struct peri_gate_question *question, struct peri_gate_answer *answer);
    void *ctx;
};

enum peri_run_input_kind {
    PERI_INPUT_GO, /* start, or go on after YIELD or HOLD */
    PERI_INPUT_CALL_OK,
    PERI_INPUT_CALL_FAILED,
    PERI_INPUT_CONDITION, /* the answer to EVALUATE */
    PERI_INPUT_TIMER,     /* due_ms has come */
    PERI_INPUT_CANCEL,
    PERI_INPUT_RESTARTED, /* the process came up again and found the run */
    PERI_INPUT_RESOLVED,  /* a person's decision on an unknown attempt */
    PERI_INPUT_EVENT,     /* what a wait_for waits for: {id, type, time, data} */
    PERI_INPUT_ANSWER,    /* to `approve`; its schema takes it */
    PERI_INPUT_PAUSE,     /* a person: nothing of it begins from now on */
    PERI_INPUT_RESUME,    /* a person: it goes on */
    PERI_INPUT_COUNT
};

enum peri_run_decision { PERI_DECIDE_DONE, PERI_DECIDE_AGAIN, PERI_DECIDE_FAIL };

#define PERI_TRACK_ALL (-1)

struct peri_run_input {
    enum peri_run_input_kind kind;
    int track; /* whose; PERI_TRACK_ALL: every one's (RESTARTED). TIMER and CANCEL are for the whole run */
    int n;     /* EVENT, ANSWER: number of the step; whatever the track */
    int64_t now_ms;
    int64_t offset_ms; /* wall minus durable ms: waits are measured in durable time */
    uint64_t seq;      /* the newest event that is known */
    int64_t due_ms;    /* TIMER: which wait has ended, as wake_ms of run or track said it; 0: the earliest */
    const struct peri_tz_source *tz;
    uint32_t random;
    bool hold;                    /* no attempt may start now: stop before it */
    size_t room;                  /* how many attempts may start, unless `hold`; 0: any number */
    const struct peri_gate *gate; /* NULL: every attempt may leave */
    /* The parameters that send a channel's fallback message in place of these (new reference), or NULL. May be NULL. */
    struct peri_value *(*fallback)(void *ctx, const struct peri_step *step, const struct peri_value *params);
    void *fallback_ctx;
    enum peri_delivery delivery; /* CALL_FAILED, RESTARTED: class of the operator called */
    /* RESTARTED of several tracks: the class of each step's call; NULL: `delivery` */
    enum peri_delivery (*class_of)(void *ctx, const struct peri_step *step);
    void *class_ctx;
    const struct peri_value *value;   /* CALL_OK: the result; CONDITION: what was compared; may be NULL */
    const struct peri_error *error;   /* CALL_FAILED; CONDITION when it failed */
    enum peri_cond_outcome condition; /* CONDITION: YES, NO, FAILED */
    const char *reason;               /* CONDITION: why not, may be NULL */
    struct peri_cond_watch watch;     /* of conditions that are decided without an operator; may be zero */
    bool not_sent;                    /* RESTARTED: of the attempt nothing had left, an orderly stop was faster */
    bool open_attempt;                /* RESTARTED: the steps table has an attempt in state started */
    enum peri_run_decision decision;  /* RESOLVED */
};

/* A row for the steps table; texts are owned by the record unless borrowed from the rule. */
struct peri_step_record {
    int n, attempt;
    const char *path, *op, *step_id; /* borrowed from the rule */
    enum peri_attempt_state state;
    int64_t started_ms, ended_ms;
    char *params, *result, *error, *key;
};

struct peri_run_emit {
    char *type;
    struct peri_value *data;
};

/* What it waits for: row of a wait_for or approve. */
struct peri_run_wait {
    int n;
    const char *type;   /* borrowed from the rule; NULL: a person's answer */
    char *path, *match; /* a field that must have one value (run/wait.h), and the whole pattern; NULL: none */
    int64_t key;        /* of that value; 0: none */
    uint64_t since;
};

/* A time that a rate limit has given: part of the transaction. */
struct peri_run_reservation {
    char *bucket;
    int64_t at, keep;
    int n;
};

enum peri_run_next {
    PERI_NEXT_IGNORED,  /* the input means nothing in this state: nothing was changed, store nothing */
    PERI_NEXT_GO,       /* store, then GO: a long stretch of steps is cut into several transactions */
    PERI_NEXT_HELD,     /* store, then GO when an attempt may start */
    PERI_NEXT_CALL,     /* store the intent, then call peri_run_step()->operator_id with track.params and track.key */
    PERI_NEXT_EVALUATE, /* evaluate effects.condition, then CONDITION */
    PERI_NEXT_SLEEP,    /* TIMER at wake_ms */
    PERI_NEXT_PERSON,   /* RESOLVED or CANCEL, some day */
    PERI_NEXT_NOTHING,  /* store; other tracks are under way */
    PERI_NEXT_END       /* final */
};

/* What one track needs. */
struct peri_run_task {
    int track;
    enum peri_run_next next; /* GO, HELD, CALL, EVALUATE, SLEEP, PERSON */
    const struct peri_condition *condition;
};

struct peri_run_effects {
    enum peri_run_next next; /* IGNORED, END, or of the last task */
    const struct peri_condition *condition;
    struct peri_run_task *tasks; /* one for each track that stopped somewhere */
    size_t task_count, task_cap;
    int *ended; /* branches that are no more */
    size_t ended_count, ended_cap;
    struct peri_step_record *records; /* several for one (n, attempt): the last one counts */
    size_t record_count, record_cap;
    struct peri_run_emit *emits;
    size_t emit_count, emit_cap;
    struct peri_run_wait *waits;
    size_t wait_count, wait_cap;
    int *unwaits; /* numbers of steps that wait no longer */
    size_t unwait_count, unwait_cap;
    struct peri_run_reservation *reservations;
    size_t reservation_count, reservation_cap;
};

void peri_run_effects_init(struct peri_run_effects *effects);
void peri_run_effects_finish(struct peri_run_effects *effects);

/* At the start of its rule's actions, state ready. Counts references on what it keeps; NULL when memory is out. kprefix
 * is copied. Roots may be NULL. */
struct peri_run *peri_run_create(struct peri_rule *rule, const char *kprefix, int64_t now_ms);
void peri_run_destroy(struct peri_run *run);

/* The transition. PERI_ENOMEM is the only failure: then the run object is spoilt, and must be read again from the
 * store. effects must be fresh. */
enum peri_status peri_run_advance(
    struct peri_run *run, const struct peri_run_input *input, struct peri_run_effects *effects) PERI_MUST_CHECK;

/* The row of a call that ended after the run had been ended from outside; nothing of the run changes. */
enum peri_status peri_run_late(struct peri_run *run, int track, bool ok, const struct peri_value *result,
    const struct peri_error *error, int64_t now_ms, struct peri_run_effects *effects) PERI_MUST_CHECK;

/* The step under way in the main line, NULL at the end of a block and in final states. */
const struct peri_step *peri_run_step(const struct peri_run *run);
const struct peri_step *peri_track_step(const struct peri_track *track);
/* NULL when there is none (any more). */
struct peri_track *peri_run_track(const struct peri_run *run, int id);
/* The first in this phase, NULL: none. */
struct peri_track *peri_run_track_in(const struct peri_run *run, enum peri_phase phase);
/* The one that is in this phase at step n; 0: at any. */
struct peri_track *peri_run_track_at(const struct peri_run *run, enum peri_phase phase, int n);
bool peri_run_is_final(enum peri_run_state state);
/* Roots and bound names at the track's position; borrows from track and run. */
struct peri_scope peri_track_scope(const struct peri_track *track, int64_t now_ms, const struct peri_tz_source *tz);

/* run_codec.c: the durable form. Texts are malloc'ed. */
enum peri_status peri_run_write(
    const struct peri_run *run, char **ret_pos, char **ret_vars, char **ret_error) PERI_MUST_CHECK;
/* The durable form of a branch. malloc'ed; NULL when memory is out. */
char *peri_track_write(const struct peri_track *track);
/* Rebuilds from a row and the rule text it names. PERI_ECORRUPT when position and rule do not fit. The roots event,
 * trigger and run are left to the caller. A run with a track in JOIN needs its branches before anything else. */
enum peri_status peri_run_read(const struct peri_run_row *row, struct peri_rule *rule, struct peri_run **ret,
    struct peri_error *err) PERI_MUST_CHECK;
/* Adds a branch from what peri_track_write made of it; in order of their ids. */
enum peri_status peri_track_read(struct peri_run *run, int id, const char *pos, struct peri_error *err) PERI_MUST_CHECK;

#endif
