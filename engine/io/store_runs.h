/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_RUNS_H
#define PERI_IO_STORE_RUNS_H

#include "io/store.h"

/* Runs and their steps. Numbers are part of the database: never renumber. */
enum peri_run_state {
    PERI_RUN_QUEUED = 0,
    PERI_RUN_READY = 1,
    PERI_RUN_RUNNING = 2,
    PERI_RUN_SLEEPING = 3,
    PERI_RUN_WAITING = 4,
    PERI_RUN_PAUSED = 5,
    PERI_RUN_UNKNOWN = 6,
    PERI_RUN_SUCCEEDED = 10, /* from here on final */
    PERI_RUN_FAILED = 11,
    PERI_RUN_CANCELLED = 12,
    PERI_RUN_DROPPED = 13
};

enum peri_attempt_state {
    PERI_ATTEMPT_STARTED = 1,
    PERI_ATTEMPT_DONE = 2,
    PERI_ATTEMPT_RETRY = 3, /* failed, will be tried again */
    PERI_ATTEMPT_FAILED = 4,
    PERI_ATTEMPT_UNKNOWN = 5,
    PERI_ATTEMPT_SKIPPED = 6,
    PERI_ATTEMPT_CANCELLED = 7
};

const char *peri_run_state_name(
    enum peri_run_state state); /* "queued", ..., "dead" is failed with nothing that handled it */
bool peri_run_state_parse(const char *text, enum peri_run_state *ret);
const char *peri_attempt_state_name(enum peri_attempt_state state);

/* Borrowed texts while it is an argument. */
struct peri_run_row {
    uint64_t id;
    const char *rule, *rhash;
    uint64_t event;      /* seq */
    const char *trigger; /* trigger id */
    enum peri_run_state state;
    const char *pos;          /* JSON: where it stands (run/run.h) */
    int64_t wake_ms, base_ms; /* when it sleeps: due in durable ms, original length; else 0 */
    bool wall;                /* something of it waits for a time of the wall clock */
    const char *vars;         /* JSON: variables and step results, at most 64 KiB */
    const char *kprefix;      /* instance prefix of its idempotency keys */
    uint64_t retry_of;        /* or 0 */
    int64_t created_ms, ended_ms;
    const char *error; /* JSON {code, message, step?} or NULL */
    int interruptions; /* times that the process died under it */
    const char *ckey;  /* its rule's key, rendered; NULL: the run is in no lane. Never changes */
    int change;        /* what follows when its rule is edited: enum peri_on_change. Never changes */
};

struct peri_step_row {
    uint64_t run;
    int n, attempt;        /* n counts the steps that the run executes; attempts from 1 */
    const char *path, *op; /* place in the rule; operator id or step kind */
    const char *step_id;   /* or NULL */
    enum peri_attempt_state state;
    int64_t started_ms, ended_ms;
    const char *params; /* JSON as rendered, or NULL */
    const char *result; /* JSON or NULL */
    const char *error;  /* JSON or NULL */
    const char *key;    /* idempotency key, or NULL */
};

/* Rule text that a run needs after a restart; idempotent. With a rule's id: for the run that is inserted next, of that
 * rule. NULL: for verdicts. */
enum peri_status peri_tx_ruleset_put(struct peri_tx *tx, const char *hash, const char *text, const char *rule,
    struct peri_error *err) PERI_MUST_CHECK;
/* A verdict of this event names the set of rules, whose text and rules are put as rulesets. */
enum peri_status peri_tx_heard(
    struct peri_tx *tx, const char *hash, uint64_t seq, struct peri_error *err) PERI_MUST_CHECK;
/* Verdicts (JSON text) of an event that is stored as matched with them, in the same transaction. */
enum peri_status peri_tx_verdicts_put(
    struct peri_tx *tx, uint64_t seq, const char *verdicts, struct peri_error *err) PERI_MUST_CHECK;
/* malloc'ed. */
enum peri_status peri_reader_ruleset(
    struct peri_reader *reader, const char *hash, char **ret, struct peri_error *err) PERI_MUST_CHECK;

/* (event, rule, trigger) is unique among runs that are no retries: PERI_EEXIST. Sets *ret_id. */
enum peri_status peri_tx_run_insert(
    struct peri_tx *tx, const struct peri_run_row *row, uint64_t *ret_id, struct peri_error *err) PERI_MUST_CHECK;
/* Writes state, pos, wake, base, vars, ended, error, interruptions where id matches and the stored state is expected.
 * When it is another one: PERI_ESTATE, code "run.ended", if the run is final, else PERI_EINTERNAL. */
enum peri_status peri_tx_run_update(struct peri_tx *tx, const struct peri_run_row *row, enum peri_run_state expected,
    struct peri_error *err) PERI_MUST_CHECK;
/* A paused run gets back the state it was paused in. PERI_ESTATE: it is not paused, PERI_ENOTFOUND. */
/* What is told of a run that has ended: rule is malloc'ed. PERI_ENOTFOUND: there is none. */
enum peri_status peri_tx_run_brief(struct peri_tx *tx, uint64_t id, char **ret_rule, uint64_t *ret_event,
    int64_t *ret_created_ms, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_run_resume(struct peri_tx *tx, uint64_t id, struct peri_error *err) PERI_MUST_CHECK;
/* Inserts or replaces (run, n, attempt). */
enum peri_status peri_tx_step_put(
    struct peri_tx *tx, const struct peri_step_row *row, struct peri_error *err) PERI_MUST_CHECK;

/* Branches that a run has under way; pos is run/run_codec.c's. In order of their numbers. */
enum peri_status peri_tx_track_put(
    struct peri_tx *tx, uint64_t run, int track, const char *pos, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_track_drop(
    struct peri_tx *tx, uint64_t run, int track, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_tracks_drop(struct peri_tx *tx, uint64_t run, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_tracks(struct peri_reader *reader, uint64_t run,
    enum peri_status (*fn)(void *arg, int track, const char *pos), void *arg, struct peri_error *err) PERI_MUST_CHECK;

/* Lanes: the runs that are not final of one rule and key. One in state unknown waits for a person and counts as
 * neither. */
struct peri_lane_facts {
    int64_t live, queued;
    uint64_t first_live, first_queued; /* 0: none */
};
enum peri_status peri_tx_lane_facts(struct peri_tx *tx, const char *rule, const char *ckey, struct peri_lane_facts *ret,
    struct peri_error *err) PERI_MUST_CHECK;
/* Ends a run from outside: state is final, error JSON or NULL. Rows of attempts that are open become cancelled.
 * PERI_ESTATE when the run is final already. */
enum peri_status peri_tx_run_stop(struct peri_tx *tx, uint64_t id, enum peri_run_state state, const char *error,
    struct peri_error *err) PERI_MUST_CHECK;
/* Runs of a lane that are not final and no person's, of events before a seq: their ids are appended. */
struct peri_run_ids;
enum peri_status peri_tx_lane_before(struct peri_tx *tx, const char *rule, const char *ckey, uint64_t seq,
    struct peri_run_ids *ids, struct peri_error *err) PERI_MUST_CHECK;
/* Those of schedules that must not overlap (lanes that begin with "$times/"), whatever their lane. */
enum peri_status peri_tx_times_before(struct peri_tx *tx, const char *rule, uint64_t seq, struct peri_run_ids *ids,
    struct peri_error *err) PERI_MUST_CHECK;
/* The event seq has ended the runs of (rule, ckey) that earlier events had started. Kept while earlier ones are not
 * matched; _after: the newest such event behind seq, 0: none. */
enum peri_status peri_tx_cancel_mark(
    struct peri_tx *tx, const char *rule, const char *ckey, uint64_t seq, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_cancel_after(struct peri_tx *tx, const char *rule, const char *ckey, uint64_t seq,
    uint64_t *ret_by, struct peri_error *err) PERI_MUST_CHECK;
/* Live runs without a key (id, rule, event, trigger), those above `after`; gives one to such a run. fn must not read
 * from the same reader. */
enum peri_status peri_reader_keyless(struct peri_reader *reader, uint64_t after, size_t limit,
    enum peri_status (*fn)(void *arg, const struct peri_run_row *row), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_run_keyed(
    struct peri_tx *tx, uint64_t run, const char *ckey, struct peri_error *err) PERI_MUST_CHECK;

/* Runs that are not final, are no person's, and whose rule says that an edit concerns them. fn must not change runs. */
enum peri_status peri_tx_runs_changeable(struct peri_tx *tx,
    enum peri_status (*fn)(void *arg, const struct peri_run_row *row), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;
/* Queued runs become ready, oldest first, as long as fewer than max (0: any number) are live. Their ids are appended.
 */
struct peri_run_ids {
    uint64_t *items; /* malloc'ed */
    size_t count, cap;
};
enum peri_status peri_tx_lane_promote(struct peri_tx *tx, const char *rule, const char *ckey, int64_t max,
    struct peri_run_ids *ids, struct peri_error *err) PERI_MUST_CHECK;
/* Rule and key of every lane in which runs are queued. */
enum peri_status peri_reader_lanes_queued(struct peri_reader *reader,
    enum peri_status (*fn)(void *arg, const char *rule, const char *ckey), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;

/* Every run that is not final, by id. Of the row only id, state, wake and base are set: there may be a million. */
enum peri_status peri_reader_live_runs(struct peri_reader *reader,
    enum peri_status (*fn)(void *arg, const struct peri_run_row *row), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;
/* The same with id, state, wake and base alone, which is all that a start has to know: a million runs are read in one
 * go. fn must not read from the same reader. */
enum peri_status peri_reader_live_marks(struct peri_reader *reader,
    enum peri_status (*fn)(void *arg, const struct peri_run_row *row), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;
/* Those that wait for a time of the wall clock. fn must not read from the same reader. */
enum peri_status peri_reader_wall_runs(struct peri_reader *reader, enum peri_status (*fn)(void *arg, uint64_t run),
    void *arg, struct peri_error *err) PERI_MUST_CHECK;
/* As peri_reader_live_runs, at most limit of them, those above `after`. */
enum peri_status peri_reader_live_page(struct peri_reader *reader, uint64_t after, size_t limit,
    enum peri_status (*fn)(void *arg, const struct peri_run_row *row), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;
/* One row of a step. PERI_ENOTFOUND. */
enum peri_status peri_reader_attempt(struct peri_reader *reader, uint64_t run, int n, int attempt,
    enum peri_status (*fn)(void *arg, const struct peri_step_row *row), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_run_row(struct peri_reader *reader, uint64_t id,
    enum peri_status (*fn)(void *arg, const struct peri_run_row *row), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;

/* {id, rule, event, trigger, state, key?, created, ended?, wake?, error?, retry_of?} */
struct peri_run_filter {
    const char *rule;
    const char *state; /* a name of peri_run_state_name, "live", "dead" */
    uint64_t event;
    uint64_t before; /* id below this; 0: newest first from the top */
    size_t limit;    /* default 50, at most 1000 */
};
enum peri_status peri_reader_runs(struct peri_reader *reader, const struct peri_run_filter *filter,
    struct peri_value **ret_list, struct peri_error *err) PERI_MUST_CHECK;
/* The same plus vars and steps [{n, attempt, path, operator, id?, state, started, ended?, params?, result?, error?,
 * idempotency_key?}]. */
enum peri_status peri_reader_run(
    struct peri_reader *reader, uint64_t id, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;

/* Schedules: what must outlive a restart of each schedule trigger. id is "<rule>/<trigger>", or of a
 * plugin's own ones "plugin:<plugin>/<name>". */
struct peri_schedule_row {
    const char *id, *spec; /* spec: text of the trigger; a changed spec starts afresh */
    int64_t anchor_ms, last_ms;
};
enum peri_status peri_tx_schedule_put(
    struct peri_tx *tx, const struct peri_schedule_row *row, struct peri_error *err) PERI_MUST_CHECK;
/* The same, but a row whose spec is unchanged stays as it is. */
enum peri_status peri_tx_schedule_set(
    struct peri_tx *tx, const struct peri_schedule_row *row, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_schedule_drop(struct peri_tx *tx, const char *id, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_schedules(struct peri_reader *reader,
    enum peri_status (*fn)(void *arg, const struct peri_schedule_row *row), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;

#endif
