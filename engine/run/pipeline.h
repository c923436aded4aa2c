/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_PIPELINE_H
#define PERI_RUN_PIPELINE_H

#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "io/loop.h"
#include "io/store.h"
#include "io/store_data.h"
#include "io/store_events.h"
#include "lang/rule.h"
#include "plugin/host.h"
#include "run/condition.h"

/* One event from the door to the end of its runs:
 *
 *   ingest   checks it, gives it its times, and hands it to the store; the sender hears 202 after the commit (T1)
 *   match    takes journaled events in order of seq, asks the index which rules hear the type, evaluates patterns and
 *            conditions (operators on the plugin workers), and commits verdicts and new runs together (T2)
 *   run      the pure transition function: (state, input) -> next state and effects
 *   exec     commits the intent (T3), performs the effect, commits the outcome with the next state (T4)
 *   sched    keeps one loop timer for the earliest of all waiting runs and schedules
 *
 * Loop thread only. engine/doc/run.md has the rules of use. */
struct peri_pipeline;

struct peri_source_limit {
    const char *source;
    int64_t per_second; /* 0: any number */
};

struct peri_pipeline_options {
    struct peri_loop *loop;
    struct peri_store *store;
    struct peri_log *log;
    struct peri_metrics *metrics;
    struct peri_clock clock;
    const struct peri_tz_source *tz;
    bool impatient;             /* conditions that fail for a passing reason are errors at once: tests of rules */
    const char *timezone;       /* default zone of rules that are read back; NULL: UTC */
    struct peri_reader *reader; /* of the store, for the loop; must outlive the pipeline. NULL: one of its own */
    size_t max_event_bytes;     /* default 64 KiB */
    void (*worked)(void *ctx);  /* after each transaction; may be NULL */
    void *worked_ctx;
    size_t max_backlog; /* unmatched events above which ingest answers PERI_EBUSY; default 50,000 */
    /* The address under which somebody may answer a step `approve`; malloc'ed. NULL: there is none. */
    char *(*link)(void *ctx, uint64_t run, const char *step);
    void *link_ctx;
    /* An event is in memory and will be worked with; may be NULL. */
    void (*seen)(void *ctx, const struct peri_event *event);
    void *seen_ctx;
    int64_t max_live_runs; /* runs that are not final, above which matching pauses; default 100,000 */
    /* Events a second that one source may send from outside, 0: any number, and how many at once (0: those of two
     * seconds). source_limits (borrowed) has sources with a rate of their own. */
    int64_t source_rate, source_burst;
    const struct peri_source_limit *source_limits;
    size_t source_limit_count;
};

/* The host comes later (peri_pipeline_start), because it needs peri_pipeline_submit. */
enum peri_status peri_pipeline_create(
    const struct peri_pipeline_options *options, struct peri_pipeline **ret, struct peri_error *err) PERI_MUST_CHECK;
void peri_pipeline_destroy(struct peri_pipeline *pipeline);

/* Swaps the rule set; runs under way keep the version they started with. The pipeline takes its own references.
 * Schedules whose text is unchanged keep their place. */
enum peri_status peri_pipeline_set_rules(struct peri_pipeline *pipeline, struct peri_rule *const *rules, size_t count,
    struct peri_error *err) PERI_MUST_CHECK;
/* The rules that are disabled, none of them among those above: events that they would hear get a verdict that says so.
 */
enum peri_status peri_pipeline_set_disabled(
    struct peri_pipeline *pipeline, struct peri_rule *const *rules, size_t count) PERI_MUST_CHECK;
/* Recovery (live runs, unmatched events, missed schedules), then service. */
enum peri_status peri_pipeline_start(
    struct peri_pipeline *pipeline, struct peri_host *host, struct peri_error *err) PERI_MUST_CHECK;
/* What the pipeline asks of the plugin host, so that tests can stand in for it. */
struct peri_run_ops {
    /* False when there is no such operator now. */
    bool (*lookup)(void *ctx, const char *operator_id, enum peri_delivery *ret_delivery);
    enum peri_status (*call)(
        void *ctx, const struct peri_call *call, peri_call_done done, void *arg, struct peri_error *err);
    void (*journaled)(void *ctx, struct peri_event *event); /* in order of seq; may be NULL */
    bool (*hears)(void *ctx, const char *type);             /* does a plugin hear it by name? May be NULL: none does */
    /* How each condition of a rule turned out, for tests of rules; may be NULL. */
    void (*decided)(
        void *ctx, const struct peri_rule *rule, const struct peri_condition *leaf, enum peri_cond_outcome outcome);
    /* Parameters that send the channel's fallback message instead (new reference); NULL: there is none. May be NULL. */
    struct peri_value *(*fallback)(void *ctx, const char *operator_id, const struct peri_value *params);
    /* Where a call goes, for circuits and rate limits: out has the operator's id, "" is nowhere. NULL: the id. */
    void (*destination)(void *ctx, const char *operator_id, const struct peri_value *params, char *out, size_t size);
    void *ctx;
};

/* peri_pipeline_start with something else than a host. */
enum peri_status peri_pipeline_start_ops(
    struct peri_pipeline *pipeline, const struct peri_run_ops *ops, struct peri_error *err) PERI_MUST_CHECK;
/* Does what is due by the clock. The loop's timer calls it; tests with a fake clock do. */
void peri_pipeline_tick(struct peri_pipeline *pipeline);
/* Is nothing left to do before the clock moves? Ask the store too (peri_store_queued). */
bool peri_pipeline_is_quiet(const struct peri_pipeline *pipeline);
/* The wall time at which peri_pipeline_tick has to do something next; INT64_MAX: never. It may turn out to be nothing.
 */
int64_t peri_pipeline_next_due(const struct peri_pipeline *pipeline);

/* No new attempts; done when nothing is in flight. */
void peri_pipeline_drain(struct peri_pipeline *pipeline, void (*done)(void *arg), void *arg);

/* Something outside has changed (peri_store_state): looks what has become possible. */
void peri_pipeline_wake(struct peri_pipeline *pipeline);

/* The door for everything: checks events (type, size, source), sets received_ms and time_ms, commits, wakes the
 * matcher. On PERI_OK the pipeline owns batch until done has returned, then destroys it. PERI_EBUSY: overloaded, or
 * (code "rate") the source sends too much; err->retry_after_ms says when to try again; PERI_EFULL, PERI_ECORRUPT: the
 * disk is full, the database damaged; PERI_EINVAL: an event is malformed, err says which and why; the caller keeps the
 * batch in all these cases. */
enum peri_status peri_pipeline_submit(struct peri_pipeline *pipeline, struct peri_batch *batch, peri_store_done done,
    void *arg, struct peri_error *err) PERI_MUST_CHECK;
/* One event was sent and refused before there was a batch: PERI_EINVAL counts as rejected, all else as shed. */
void peri_pipeline_refused(struct peri_pipeline *pipeline, enum peri_status st);
/* The same of a source; PERI_EINVAL counts as rejected. */
void peri_pipeline_refused_from(struct peri_pipeline *pipeline, const char *source, enum peri_status st);
/* peri_host_ops.submit with the pipeline as ctx. */
enum peri_status peri_pipeline_host_submit(void *pipeline, struct peri_batch *batch, peri_store_done done, void *arg);
/* The same for what has happened already and has to be told: a store that is busy, full or out of memory is asked again
 * until it takes it. take batch. */
void peri_pipeline_host_insist(void *pipeline, struct peri_batch *batch, peri_store_done done, void *arg);

/* Something about the service itself (lang/system_event.h) that belongs to no run: becomes an event when somebody hears
 * it. about (may be NULL): the event it comes of. Before the start it is kept until then. take data */
void peri_pipeline_announce(
    struct peri_pipeline *pipeline, const char *type, struct peri_value *data, const struct peri_event *about);

/* The same, for whoever stores it in one transaction with what it tells: a new event, or NULL. Before the start one
 * about a message is made in any case, as it is not known yet who hears it. take data */
struct peri_event *peri_pipeline_system_event(
    struct peri_pipeline *pipeline, const char *type, struct peri_value *data, const struct peri_event *about);

/* Does a rule or plugin hear this type of system event? */
bool peri_pipeline_hears(const struct peri_pipeline *pipeline, const char *type);

/* Changes asked for by people. done runs after the commit; value (may be NULL) is {id: ...} of what was made. */
typedef void (*peri_change_done)(
    void *arg, enum peri_status st, const struct peri_value *value, const struct peri_error *err);
enum peri_status peri_pipeline_cancel(struct peri_pipeline *pipeline, uint64_t run, peri_change_done done, void *arg,
    struct peri_error *err) PERI_MUST_CHECK;
/* A new run of the same rule and event with retry_of. Only final runs. */
enum peri_status peri_pipeline_retry(struct peri_pipeline *pipeline, uint64_t run, peri_change_done done, void *arg,
    struct peri_error *err) PERI_MUST_CHECK;
/* Open dead letters, and those that were not kept because there were too many. Also sets their metric. */
void peri_pipeline_count_dead(struct peri_pipeline *pipeline, int64_t *ret_open, int64_t *ret_lost);
/* One call of an action at a time, as a run of its own. key (may be NULL) makes a repeat the same task, and is the
 * call's. The operator and its parameters have been checked. done gets {id: "task-7", duplicate?}. */
struct peri_new_task {
    const char *op, *key;
    const struct peri_value *params; /* a map */
    int64_t at_ms;
};
enum peri_status peri_pipeline_task(struct peri_pipeline *pipeline, const struct peri_new_task *task,
    peri_change_done done, void *arg, struct peri_error *err) PERI_MUST_CHECK;
/* A dead letter goes once more, as a new run or a new event, and is settled by the same transaction. */
enum peri_status peri_pipeline_redrive(struct peri_pipeline *pipeline, uint64_t letter, peri_change_done done,
    void *arg, struct peri_error *err) PERI_MUST_CHECK;
/* decision: "done", "again" or "fail", for a run in state unknown. */
enum peri_status peri_pipeline_resolve(struct peri_pipeline *pipeline, uint64_t run, const char *decision,
    peri_change_done done, void *arg, struct peri_error *err) PERI_MUST_CHECK;
/* To a step `approve` that waits: step is its id or number, NULL the only one or the first. PERI_EINVAL: its schema
 * does not take the answer. actor is for the audit. */
enum peri_status peri_pipeline_answer(struct peri_pipeline *pipeline, uint64_t run, const char *step,
    const struct peri_value *answer, const char *actor, peri_change_done done, void *arg,
    struct peri_error *err) PERI_MUST_CHECK;
/* Nothing of the run begins any more until peri_pipeline_resume; a call that is under way comes to its end first. Waits
 * go on hearing events, and times pass. */
enum peri_status peri_pipeline_pause(struct peri_pipeline *pipeline, uint64_t run, const char *actor,
    peri_change_done done, void *arg, struct peri_error *err) PERI_MUST_CHECK;
/* Lets a paused run go on. */
enum peri_status peri_pipeline_resume(struct peri_pipeline *pipeline, uint64_t run, peri_change_done done, void *arg,
    struct peri_error *err) PERI_MUST_CHECK;
/* A new event with replay_of; rule (may be NULL) restricts it. */
enum peri_status peri_pipeline_replay(struct peri_pipeline *pipeline, uint64_t event, const char *rule,
    peri_change_done done, void *arg, struct peri_error *err) PERI_MUST_CHECK;

/* {unmatched, live_runs, in_flight, next_wake?, schedules: [{id, next, last?}], circuits, accepted, matched, ...}. New
 * reference.
 */
enum peri_status peri_pipeline_status(struct peri_pipeline *pipeline, struct peri_value **ret) PERI_MUST_CHECK;

/* What triggers that watch over time remember: [{rule, trigger?, kind, keys, evicted}]. New reference. */
enum peri_status peri_pipeline_watches(struct peri_pipeline *pipeline, struct peri_value **ret) PERI_MUST_CHECK;

/* Something that streams want to know: kind "event", "run". Called on the loop's thread. */
typedef void (*peri_notify)(void *ctx, const char *kind, const struct peri_value *value);
void peri_pipeline_on_change(struct peri_pipeline *pipeline, peri_notify fn, void *ctx);

#endif
