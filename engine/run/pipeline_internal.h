/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_PIPELINE_INTERNAL_H
#define PERI_RUN_PIPELINE_INTERNAL_H

#include "base/map.h"
#include "run/condition.h"
#include "run/pipeline.h"
#include "run/run.h"
#include "run/sched.h"
#include "run/verdict.h"

/* What the files of the pipeline share. Everything is for the loop's thread, except the peri_store_fn functions. */

#define PIPE_WINDOW 1024 /* unmatched events in memory; the rest waits in the journal */
#define PIPE_UNDER_WAY                                                                                                 \
    1024                /* events begun and not stored as a whole; half of it, and those that only wait are parked */
#define PIPE_PAIRS 4096 /* (event, rule) pairs in memory, above which no further event is begun */
#define PIPE_ASKING 64  /* pairs of one rule whose conditions are under way at the same time */
#define PIPE_PATIENCE_MS 10                     /* how long a rule that fired waits for the slower ones of its event */
#define PIPE_MATCH_BATCH 512                    /* events in one T2 transaction */
#define PIPE_LIVES 2000                         /* runs in memory: ready or with a call in flight */
#define PIPE_CALLS 256                          /* action calls in flight */
#define PIPE_SCHEDULE_SOURCE "perigee:schedule" /* nobody else may use it: its ids make occurrences unique */
#define PIPE_TASK_EVENT "perigee.Task"          /* what the run of a task is of */
#define PIPE_OWN_SOURCE "perigee:"              /* what begins so is perigee's own */
#define PIPE_SYSTEM_SOURCE "perigee:system"     /* what the service tells about itself */
#define PIPE_WATCH_SOURCE "perigee:watch"       /* nor this: what triggers that watch over time have found */
#define PIPE_HOPS_MAX 16
#define PIPE_RETRY_MS 1000 /* store failed: the same transaction again after this */
#define PIPE_BUSY_MS 50    /* a queue was full: again after this */
#define PIPE_LATE_MS                                                                                                   \
    60000 /* a schedule noticed this late while the service was up still fires, whatever catch_up says */
#define PIPE_LOOK_MS 60000 /* the wall clock is looked at this often, because somebody may set it */

struct gate;
struct held_rule;
struct live;
struct peri_wait_hits;
struct match_event;
struct match_hear;
struct match_line;
struct evaluation;
struct pipe_op;

/* The serial of a DUE_WAKE is the wake_ms that was stored (resume_item); of a call, the call's. */
enum due_kind { DUE_WAKE, DUE_CALL, DUE_TIMEOUT, DUE_EVALUATION, DUE_WATCH, DUE_PATIENCE };

struct schedule_item {
    char *id, *spec;        /* "<rule>/<trigger>" */
    struct peri_rule *rule; /* one reference */
    const struct peri_trigger *trigger;
    int64_t anchor_ms, last_ms, next_ms; /* next: INT64_MAX when never again; it may be later than due_ms by jitter */
    int64_t due_ms;
    bool busy; /* its event is on the way into the journal */
};

#define RESUME_HEARD INT64_MIN
#define RESUME_WALL (INT64_MIN + 1)
#define RESUME_LATE (INT64_MIN + 2)
struct resume_item {
    uint64_t run;
    int64_t wake_ms; /* the wait that has ended; RESUME_HEARD: what it has heard is stored; RESUME_WALL: the wall
                        clock was set; RESUME_LATE: it waits longer than it was meant to; 0: go on from whatever is
                        stored, as after a restart */
};

struct pipe_counts {
    int64_t accepted, duplicate, matched, unheard, dead, orphans, runs_started, runs_ended[4], verdicts[PERI_VERDICTS],
        steps;
};

struct pipe_metrics {
    struct peri_metric *accepted, *duplicate, *rejected, *shed, *matched, *unheard, *dead, *started;
    struct peri_metric *ended[4]; /* succeeded, failed, cancelled, dropped */
    struct peri_metric *verdicts[PERI_VERDICTS];
    struct peri_metric *steps, *retries, *bugs, *orphans, *store_retries, *evicted;
    struct peri_metric *unmatched, *live, *in_memory, *in_flight, *crowded, *dead_letters, *asked_again;
};

#define FLOW_TIMES 100 /* commits of events that are remembered */

/* flow.c: the door. */
struct flow {
    struct flow_rates *rates; /* NULL: no source has a limit */
    int64_t sample_ms, sample_ended;
    double drain_per_s; /* events evaluated, in the last second */
    size_t times;       /* commits seen */
    unsigned char slow_at[FLOW_TIMES];
    int slow;        /* of the last FLOW_TIMES */
    int64_t slow_ms; /* when the last one was */
};

/* caution.c: events are evaluated one at a time after a stop that was not orderly. */
struct caution {
    size_t left;                      /* so many more; 0: as usual */
    int64_t until_ms, alone_until_ms; /* mono */
    uint64_t seq;                     /* what was noted when the engine stopped: this event was tried ... */
    int tries;                        /* ... so many times */
    uint64_t trying;                  /* is being evaluated; 0: none */
    bool unsettled;
};

/* start.c: what the start found. */
struct start_report {
    int64_t at_ms, down_since_ms; /* 0: not known */
    bool clean, fresh;
    int64_t unmatched, resumed, waiting, overdue, queued, for_people;
    int64_t missed, made_up; /* occurrences of schedules */
};

struct peri_pipeline {
    struct peri_pipeline_options options;
    struct peri_run_ops ops;
    struct peri_reader *reader;
    char *kprefix;
    int refs; /* the owner's, and one for each operation in the store or the host */
    bool started, draining, dead;
    bool pump_waits; /* pipe_pump_later; holds a reference */
    bool retry_lost; /* there was no memory for the timer of an evaluation's retry */
    bool unarmed;    /* there was no memory for the timer; timer_arm is posted, and holds a reference */
    bool unarmed_told;
    struct peri_later pump;
    void (*drained)(void *arg);
    void *drained_arg;
    peri_notify notify;
    void *notify_ctx;
    struct pipe_counts counts;
    struct pipe_metrics metrics;
    struct flow flow;
    struct caution caution;
    struct start_report report;
    struct owners *owners;

    /* rules */
    struct peri_rule **rules;
    size_t rule_count;
    struct peri_index *index;
    struct peri_rule **cancelling; /* those with cancel_on; borrowed from rules */
    size_t cancelling_count;
    bool edit_wanted, edit_busy;    /* runs of rules that were edited are to be looked for; that is under way */
    struct peri_index *off;         /* rules that are disabled: they have verdicts, nothing else; NULL: none */
    struct peri_map *rules_by_id;   /* of the present set; borrowed from rules */
    struct peri_map *rules_by_hash; /* with conditions and actions; also older versions; one reference each */

    /* match */
    struct match_event **window; /* not begun; in order of seq; ring */
    size_t window_head, window_count;
    struct match_event *under_way_first, *under_way_last;
    size_t under_way;
    struct match_event *ready_first, *ready_last; /* those of them that a T2 may take, in order of seq */
    struct match_hear *hear;                      /* types that many rules hear; NULL until there is one */
    uint64_t hear_seed;
    struct peri_map *lines;     /* rule id -> struct match_line */
    struct match_line *room;    /* lines in which a pair may ask now */
    struct peri_map *parked;    /* seq as text -> struct match_parked: not in memory, but for their place */
    bool crowded;               /* many events are in memory */
    int64_t crowded_at;         /* mono ms of the last look at what is slow */
    bool slow_wait;             /* events may wait for a slow rule that did not when it was looked last */
    size_t evaluating, waiting; /* pairs whose conditions are asked, and that wait for others of their rule */
    size_t at_once;             /* events that the transaction that stores them ends */
    size_t pairs;               /* (event, rule) pairs in memory */
    uint64_t taken_seq;         /* highest seq that was put into the window */
    struct pipe_start {
        char *pos, *vars; /* of a run that has not begun; NULL until the first one */
    } start;
    bool behind;           /* the journal has unmatched events that the window has not */
    uint64_t match_serial; /* of the T2 that is being made, from 1 */
    size_t match_in_tx;    /* how many events are in the T2 under way */
    size_t batch_limit;    /* 1 after a batch failed, until the culprit is found */
    int64_t unmatched;
    uint64_t seen_seq;    /* the newest event that is known */
    uint64_t counted_seq; /* recovery counted the unmatched events up to here */
    int submitting;       /* ingest transactions under way */

    /* runs */
    struct peri_map *lives; /* id as text -> struct live */
    size_t live_memory;
    int64_t live_runs;                        /* not final */
    size_t committing;                        /* run transactions under way */
    size_t calls;                             /* actions in flight */
    struct peri_map *held_rules;              /* held.c: attempts that wait for room, by rule */
    struct held_rule *held_first, *held_last; /* rules that have some, in turn */
    struct resume_item *resume;               /* runs to be taken into memory as room allows; a queue */
    size_t resume_head, resume_count, resume_cap;
    struct evaluation *waiting_first, *waiting_last; /* condition calls that met a full queue */
    bool waiting_timer;                              /* those of them that wait for room will be looked at */
    bool keying, keying_again;                       /* cancel_keys is under way; the rules have changed meanwhile */
    struct gate *gate;
    struct slots *slots;
    int64_t dead_lost; /* dead letters that were not kept, as last counted */
    uint64_t serial;
    uint32_t random;
    struct pipe_early *early; /* announced before the start */
    size_t early_count;
    uint32_t awaited; /* system events that a rule's wait_for or cancel_on names, or once did. A bit too many costs an
                         event that nobody hears */

    /* watch */
    int64_t watch_next; /* steady ms of the earliest key that is due; INT64_MAX: none */
    bool watch_busy;    /* a transaction for keys that are due is under way */
    bool absences;      /* some rule watches for absence */
    int64_t alive_at;   /* monotonic ms of the next mark that says that the service is up */
    bool caught_up;     /* what was unmatched at the start has been evaluated */

    /* sched */
    int64_t steady_base;             /* durable ms minus monotonic ms */
    int64_t wall_ahead;              /* wall ms minus monotonic ms at the last look */
    int64_t clock_at;                /* monotonic ms of the next look */
    struct peri_due_heap heap;       /* by CLOCK_BOOTTIME ms: durations do not follow a clock that is set */
    struct schedule_item *schedules; /* by wall time */
    size_t schedule_count;
    struct peri_timer *timer;
    int64_t timer_at; /* BOOTTIME ms that the timer is set to */
    bool ticking;
    struct pipe_op *failed_first, *failed_last; /* transactions to be repeated */
    int64_t failed_at;
    enum peri_status failed_status;
};

/* pipeline.c */
int64_t pipe_now(const struct peri_pipeline *p); /* wall ms */
int64_t pipe_mono_ms(const struct peri_pipeline *p);
/* Durable ms: goes on over restarts, and is not moved when somebody sets the wall clock. All stored waits are in it. */
int64_t pipe_steady(const struct peri_pipeline *p);
uint32_t pipe_random(struct peri_pipeline *p);
void pipe_hold(struct peri_pipeline *p);
void pipe_release(struct peri_pipeline *p); /* may free p */
/* False while the disk is full or the database damaged: nothing new begins, what is under way is ended. */
bool pipe_writable(const struct peri_pipeline *p);
/* Everything that may have become possible: resumes, held attempts, matching, the end of a drain, the timer. */
void pipe_pump(struct peri_pipeline *p);
/* The same, once for all completions that came together. */
void pipe_pump_later(struct peri_pipeline *p);
/* The host is going away under us. That says nothing about a condition or an action: the event stays unmatched, the run
 * before its step, and the next start goes on there. From now on nothing new is begun. */
bool pipe_host_stops(struct peri_pipeline *p, enum peri_status st, const struct peri_error *error);
/* One transaction. done always runs on the loop's thread, with p alive (look at p->dead). Without `stubborn`,
 * PERI_EBUSY and the like are returned and done is not called. With it the transaction is repeated until the store
 * takes it or says no for a reason of its own. */
enum peri_status pipe_commit(
    struct peri_pipeline *p, size_t bytes, peri_store_fn fn, peri_store_done done, void *arg, bool stubborn);
/* The same for an fn that begins anew whatever it notes in arg (peri_store_submit_repeatable): all that runs often. */
enum peri_status pipe_commit_repeatable(
    struct peri_pipeline *p, size_t bytes, peri_store_fn fn, peri_store_done done, void *arg, bool stubborn);
/* The store as a whole said no; the transaction itself may be fine. */
bool pipe_store_trouble(enum peri_status st);
void pipe_retry_failed(struct peri_pipeline *p);
void pipe_drop_failed(struct peri_pipeline *p);
/* For options.seen. */
void pipe_saw(struct peri_pipeline *p, const struct peri_event *event);
/* take value */
void pipe_notify(struct peri_pipeline *p, const char *kind, struct peri_value *value);
void pipe_notify_run(struct peri_pipeline *p, uint64_t id, const char *rule, uint64_t event, enum peri_run_state state);
void pipe_notify_event(struct peri_pipeline *p, const struct peri_event *event, const char *state);

/* rules.c */
struct peri_rule *pipe_rule_by_id(struct peri_pipeline *p, const char *id);
/* borrow; from memory, else from the store. */
enum peri_status pipe_rule_by_hash(
    struct peri_pipeline *p, const char *hash, struct peri_rule **ret, struct peri_error *err);
/* borrow; with its conditions and actions. */
enum peri_status pipe_rule_full(
    struct peri_pipeline *p, struct peri_rule *rule, struct peri_rule **ret, struct peri_error *err) PERI_MUST_CHECK;
void pipe_rules_finish(struct peri_pipeline *p);

/* ingest.c */
enum peri_status pipe_ingest_check(struct peri_pipeline *p, struct peri_event *event, struct peri_error *err);
/* flow.c. admit: PERI_EBUSY, PERI_EFULL or PERI_ECORRUPT with err->retry_after_ms. refused: counts them. */
enum peri_status flow_init(struct peri_pipeline *p, struct peri_error *err) PERI_MUST_CHECK;
void flow_finish(struct peri_pipeline *p);
enum peri_status flow_admit(struct peri_pipeline *p, struct peri_batch *batch, struct peri_error *err) PERI_MUST_CHECK;
void flow_queue_full(struct peri_pipeline *p, struct peri_error *err);
void flow_refused(struct peri_pipeline *p, const struct peri_batch *batch, enum peri_status st);
void flow_committed(struct peri_pipeline *p, int64_t took_ms); /* T1 */
void flow_sample(struct peri_pipeline *p);                     /* some events were evaluated */

/* outside: the backlog and reserved names count. */
enum peri_status pipe_submit(struct peri_pipeline *p, struct peri_batch *batch, bool outside, peri_store_done done,
    void *arg, struct peri_error *err) PERI_MUST_CHECK;
/* Events that have become part of the journal. */
void pipe_journaled(struct peri_pipeline *p, struct peri_event *event);
void pipe_metrics_init(struct peri_pipeline *p);
void pipe_metrics_update(struct peri_pipeline *p);

/* match.c */
void match_offer(struct peri_pipeline *p, struct peri_event *event);
/* Does no rule hear it, so that T1 may end it? By the rules that there are when it arrives. before (may be NULL): one
 * that was asked about just now. */
bool match_is_unheard(const struct peri_pipeline *p, const struct peri_event *event, const struct peri_event *before);
/* at_once.c: evaluates those of the events that can be before they are stored, and marks them as `unheard`; NULL: there
 * are none. *ret_bytes: what is stored besides them. */
struct match_tx;
struct match_tx *match_at_once(
    struct peri_pipeline *p, struct peri_event *const *events, size_t count, size_t *ret_bytes);
/* Asked for all events in their order: its item, NULL: it is none of them. */
struct match_item;
const struct match_item *match_at_once_next(struct match_tx *mt, const struct peri_event *event);
/* match_commit.c: the item is stored: what follows from it. */
void match_item_stored(struct peri_pipeline *p, const struct match_tx *mt, const struct match_item *item);
/* mt may be NULL. */
void match_at_once_free(struct match_tx *mt);
enum peri_status match_store_at_once(struct peri_tx *tx, struct match_tx *mt, struct peri_error *err) PERI_MUST_CHECK;
void match_unheard_stored(struct peri_pipeline *p, const struct peri_event *event);
void match_pump(struct peri_pipeline *p);
void match_finish(struct peri_pipeline *p);
/* There are other rules now. */
void match_hear_changed(struct peri_pipeline *p);
void match_hear_finish(struct peri_pipeline *p);
bool match_idle(const struct peri_pipeline *p);
/* Has every event up to here been matched? */
bool match_passed(const struct peri_pipeline *p, uint64_t seq);
/* A rule that fired has waited long enough for the others of the event. */
void match_patience_over(struct peri_pipeline *p, uint64_t seq);
/* Up to when (durable ms) everything that was received has been matched: now, unless events wait. */
int64_t match_heard_until(const struct peri_pipeline *p, int64_t now);

/* evaluate.c: a condition tree with its operator calls. Everything is kept by the caller until done: scope roots,
 * event. */
struct evaluation_request {
    const struct peri_condition *condition;
    struct peri_rule *rule;
    struct peri_event *event;
    const struct peri_value *payload; /* its data; or NULL */
    uint64_t run;                     /* 0: none yet */
    uint64_t as_of;
    struct peri_scope scope; /* now_ms is the time of the evaluation, for all of it */
};
/* Not called after pipe_evaluation_cancel. eval is valid during the call. */
typedef void (*evaluated)(void *arg, enum peri_cond_outcome outcome, const struct peri_cond_eval *eval);
/* done may run before this returns (then *ret is NULL). *ret is for cancelling, until done. PERI_ENOMEM: not begun. */
enum peri_status pipe_evaluate(struct peri_pipeline *p, const struct evaluation_request *request, evaluated done,
    void *arg, struct evaluation **ret);
void pipe_evaluation_cancel(struct evaluation *evaluation);
void pipe_evaluations_retry(struct peri_pipeline *p);

/* exec.c */
struct change {
    enum peri_run_input_kind kind; /* CANCEL, RESOLVED, ANSWER, PAUSE or RESUME */
    int n;                         /* ANSWER: of which step */
    struct peri_value *value;      /* ANSWER; one reference */
    char *actor;                   /* ANSWER: who, for the audit */
    enum peri_run_decision decision;
    peri_change_done done;
    void *arg;
    struct change *next;
};
/* What one track of a run needs. Answers come with the serial: those to older questions are late. */
struct live_task {
    struct live *live;
    int track;
    bool pending;            /* to be performed as soon as what it depends on is stored */
    bool calling, held;      /* a call is in flight; waits for room */
    enum peri_run_next next; /* what it needs; NOTHING: nothing any more */
    uint64_t serial;         /* of the call or evaluation */
    const struct peri_condition *condition;
    struct evaluation *evaluation;
    struct held_rule *held_by;
    struct live_task *held_next;
    uint64_t turn;     /* while held: those of its rule with the lowest come first */
    struct slot *slot; /* of the destination of its call (slots.c) */
    int slot_as;
    int64_t slot_ms; /* when that began */
    struct live_task *slot_prev, *slot_next;
};
/* Something that has happened to a track and waits until it can be taken in. */
struct live_message {
    enum peri_run_input_kind kind;
    int track;
    uint64_t serial; /* of the task it answers; 0: of none */
    int n;           /* EVENT, ANSWER */
    int64_t due_ms;
    enum peri_status status;
    enum peri_cond_outcome condition;
    struct peri_value *value;
    struct peri_error error;
    char *reason;
    struct live_message *next;
};
struct live {
    struct peri_pipeline *p;
    struct peri_run *run;
    struct peri_event *event;
    char *trigger;                  /* id of the one that fired; for the root of that name */
    enum peri_run_state stored;     /* what the store has */
    bool committing, leading, gone; /* leading: live_lead is at it; gone: it is to be forgotten behind that */
    bool unstarted;                 /* nothing of it was stored yet but that it is there */
    bool stopped;                   /* ended from outside; kept until its call has ended */
    uint64_t behind, follower; /* runs: this one lets that one's call end before a call of its own, and the reverse */
    int64_t armed_ms;          /* the wake_ms that the heap has an entry for */
    struct live_task **tasks;
    size_t task_count, task_cap;
    struct live_message *inbox, **inbox_end;
    struct change *changes; /* asked for while a transaction was under way */
};
/* take run (owns the rule reference) and counts event; NULL when memory is out (run is destroyed). */
struct live *live_add(struct peri_pipeline *p, struct peri_run *run, struct peri_event *event);
struct live *live_find(struct peri_pipeline *p, uint64_t id);
/* From the store; *ret is NULL with PERI_OK when the run is final. */
enum peri_status live_load(struct peri_pipeline *p, uint64_t id, struct live **ret, struct peri_error *err);
void live_forget(struct live *live);
/* Something has happened to it: taken in now, or when its transaction is through. */
void live_input(struct live *live, enum peri_run_input_kind kind, int track);
void live_resume(struct live *live, const struct resume_item *item);
/* The heap says that this wait has ended; false: the run is not in memory. */
bool live_wake(struct peri_pipeline *p, uint64_t run, int64_t wake_ms);
/* Hands a change to the run; now or after its transaction. take change */
void live_change(struct live *live, struct change *change);
/* The stored run was ended by T2: what is in memory goes, at once or when its call has ended. Returns the run whose
 * call is still under way, 0: none. */
struct peri_lane_stop;
uint64_t live_stopped(struct peri_pipeline *p, const struct peri_lane_stop *stop);
/* Another run waits for the call of `behind` from now on. Returns behind, 0 when that has ended. */
uint64_t live_pass_on(struct peri_pipeline *p, uint64_t behind, uint64_t by);
/* What templates read as `trigger` and `run` is made when one does. False: memory is out. */
bool live_roots(struct live *live, const char *trigger) PERI_MUST_CHECK;
/* Events have ended waits of theirs. */
void live_heard(struct peri_pipeline *p, const struct peri_wait_hits *hits);
/* The wall clock was set: who waits for a time of it asks again. */
void live_clock_set(struct peri_pipeline *p);
/* Runs that have become ready. */
void live_promoted(struct peri_pipeline *p, const struct peri_run_ids *ids);
void live_call_again(struct peri_pipeline *p, uint64_t run, uint64_t serial);
void live_timeout(struct peri_pipeline *p, uint64_t run, uint64_t serial);
/* held.c: as many attempts leave as there is room for. */
void exec_release_held(struct peri_pipeline *p);
/* Runs that wait for room out of memory. */
struct held_visit {
    void (*fn)(void *arg, uint64_t run);
    void *arg;
};
void held_each(const struct peri_pipeline *p, const struct held_visit *visit);
void held_finish(struct peri_pipeline *p);
void exec_finish(struct peri_pipeline *p);
/* The run's row cannot be read any more: declares it failed, so that somebody sees it. */
void exec_bury(struct peri_pipeline *p, uint64_t run, enum peri_run_state stored, const struct peri_error *error);

/* pause.c: lets a run go on that was paused by `perigee recover`. */
enum peri_status pause_resume(
    struct peri_pipeline *p, uint64_t run, peri_change_done done, void *arg, struct peri_error *err) PERI_MUST_CHECK;
/* changes.c: peri_pipeline_replay, with something else in the same transaction. take given (malloc'ed). */
enum peri_status pipe_replay(struct peri_pipeline *p, uint64_t seq, const char *rule, peri_store_fn also, void *given,
    peri_change_done done, void *arg, struct peri_error *err);

/* timer.c */
void timer_due(struct peri_pipeline *p, int64_t delay_ms, enum due_kind kind, uint64_t id, uint64_t serial);
void timer_arm(struct peri_pipeline *p);
enum peri_status resume_push(struct peri_pipeline *p, uint64_t run, int64_t wake_ms);
void resume_pump(struct peri_pipeline *p);

/* schedules.c */
enum peri_status schedules_set(struct peri_pipeline *p, struct peri_error *err);
/* Anchors and last occurrences from the store; what was missed fires by its catch_up. */
enum peri_status schedules_recover(struct peri_pipeline *p, struct peri_error *err);
void schedules_tick(struct peri_pipeline *p);
int64_t schedules_next(const struct peri_pipeline *p);
void schedules_finish(struct peri_pipeline *p);

/* The wall clock was set by so much. */
void schedules_jumped(struct peri_pipeline *p, int64_t by_ms);

/* clock_jump.c */
void clock_init(struct peri_pipeline *p);
enum peri_status clock_recover(struct peri_pipeline *p, struct peri_error *err);
void clock_tick(struct peri_pipeline *p);
/* Wall ms minus durable ms, now. */
int64_t pipe_offset(const struct peri_pipeline *p);

/* watch.c: keys whose time has come. */
void watch_planned(struct peri_pipeline *p, int64_t due_ms);
void watch_pump(struct peri_pipeline *p);
/* watch_expect.c: the rules have changed; time goes by; the service starts. */
void watch_set(struct peri_pipeline *p);
void watch_alive_tick(struct peri_pipeline *p);
enum peri_status watch_was_down(struct peri_pipeline *p, struct peri_error *err);
enum peri_status watch_recover(struct peri_pipeline *p, struct peri_error *err);

/* lanes.c: lanes of which nobody else takes care, at start and after the rules have changed. NULL rule: all of them. */
void lanes_sweep(struct peri_pipeline *p, const char *rule, const char *ckey);
/* How many runs of a lane may be live, by the rule as it is now, else as it was. */
int64_t lanes_room(struct peri_pipeline *p, const struct peri_rule *rule, const char *ckey);

/* caution.c. may_begin: false: not yet; the pump comes again. It may set me->dead. decided: its evaluation has ended.
 */
enum peri_status caution_recover(struct peri_pipeline *p, struct peri_error *err) PERI_MUST_CHECK;
bool caution_may_begin(struct peri_pipeline *p, struct match_event *me);
void caution_decided(struct peri_pipeline *p, const struct match_event *me);
void caution_pump(struct peri_pipeline *p);

/* owners.c */
void owners_begin(struct peri_pipeline *p);
void owners_due(struct peri_pipeline *p);
void owners_finish(struct peri_pipeline *p);

/* start.c: called while recovering; told: logs it. */
void start_run_found(struct peri_pipeline *p, const struct peri_run_row *row);
void start_schedule_found(struct peri_pipeline *p, const struct schedule_item *item, int64_t after_ms);
void start_told(struct peri_pipeline *p);
enum peri_status start_value(const struct peri_pipeline *p, struct peri_value **ret) PERI_MUST_CHECK;

/* cancel.c: runs that began before their rule had cancel_on get a key. */
void cancel_keys(struct peri_pipeline *p);
/* edits.c: runs whose rule was edited or removed while they were under way. Rules have changed. */
void edits_sweep(struct peri_pipeline *p);
/* A run of this version has just been made: is it the present one? */
void edits_look(struct peri_pipeline *p, const struct peri_rule *rule);

/* changes.c: begins a run that was made in place of another, whose call may still be under way (0: it is not). */
void changes_begin(struct peri_pipeline *p, uint64_t run, uint64_t behind);

/* recover.c */
enum peri_status recover(struct peri_pipeline *p, struct peri_error *err);
/* Takes over one run that was known as live, but waited for a person. */
enum peri_status recover_run(struct peri_pipeline *p, uint64_t run, struct peri_error *err);

#endif
