/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_H
#define PERI_IO_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "data/value.h"

/* One SQLite database in WAL mode with synchronous=FULL; engine/doc/store.md has the schema and the reasons. One thread
 * of the store's own holds the only connection that writes: it commits whatever is queued, at most 512 operations or 1
 * MiB together, without waiting on purpose, so that groups grow with load. Readers are separate read-only connections.
 */
struct peri_store;
struct peri_tx;     /* inside a write transaction; only valid during a peri_store_fn */
struct peri_reader; /* one read-only connection; use from one thread at a time */

struct peri_store_options {
    const char *path; /* of the database file, or ":memory:" (one shared in-memory database, readers see it) */
    struct peri_log *log;
    struct peri_metrics *metrics;
    struct peri_clock clock;
    size_t max_queue;       /* operations waiting; default 4096 */
    size_t max_queue_bytes; /* default 16 MiB */
    /* Hands completions to the loop (peri_loop_post). NULL: completions run on the store's thread (tests, command
     * line). */
    enum peri_status (*post)(void *ctx, void (*fn)(void *arg), void *arg);
    void *post_ctx;
    size_t reserve; /* bytes held back in the file `reserve` for the way out of a full disk; 0: none (command line) */
    bool high;      /* keep the file `high`: the last numbers acknowledged, each second while they change */
    /* After peri_store_state has changed: posted as completions are, else called on whatever thread saw it. */
    void (*changed)(void *ctx);
    void *changed_ctx;
    int64_t check_max; /* after an unclean stop larger databases are checked beside the service; default 4 GiB */
};

/* Creates the schema or migrates it (user_version, forward only; an existing database is copied beside itself before).
 * PERI_ECORRUPT: not a database, or damaged: nothing was changed. PERI_EBUSY: another process has it. PERI_EIO: cannot
 * be created or written; the message has the path and why. PERI_ESTATE: written by a newer perigee. The folder must
 * exist; a file `lock` in it is held until close. Set SIGXFSZ and SIGPIPE to be ignored before. */
enum peri_status peri_store_open(
    const struct peri_store_options *options, struct peri_store **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Finishes what is queued, then closes. Completions are posted, not run: let the loop go round once more afterwards. */
void peri_store_close(struct peri_store *store);
/* What peri_reader_open takes: the path, or the name of this in-memory database. Valid until close. */
const char *peri_store_path(const struct peri_store *store);

/* Runs in the group's transaction; a status other than PERI_OK rolls back this operation only. Must not block; arg
 * belongs to the submitter. */
typedef enum peri_status (*peri_store_fn)(struct peri_tx *tx, void *arg, struct peri_error *err);
/* After the COMMIT (or the failure: PERI_EFULL, PERI_EIO, PERI_ECORRUPT for the whole group). */
typedef void (*peri_store_done)(void *arg, enum peri_status st, const struct peri_error *err);

/* Queues. bytes: rough size, for the bound. PERI_EBUSY when the queue is full, PERI_ESTATE while closing,
 * PERI_ENOMEM: done is not called then. Any thread. */
enum peri_status peri_store_submit(
    struct peri_store *store, size_t bytes, peri_store_fn fn, peri_store_done done, void *arg) PERI_MUST_CHECK;
/* The same for an fn that may run again after it was rolled back, as it begins anew whatever it notes in arg. A group
 * of such operations has no savepoints: when one of them fails, the whole group is run once more, with them. */
enum peri_status peri_store_submit_repeatable(
    struct peri_store *store, size_t bytes, peri_store_fn fn, peri_store_done done, void *arg) PERI_MUST_CHECK;
/* peri_store_submit, and waits for the commit. Not on the loop's thread while it serves. Not bounded by the queue.
 * PERI_ESTATE on the store's own thread. */
enum peri_status peri_store_run(
    struct peri_store *store, peri_store_fn fn, void *arg, struct peri_error *err) PERI_MUST_CHECK;
size_t peri_store_queued(const struct peri_store *store);
int64_t peri_tx_now(const struct peri_tx *tx); /* wall ms of the group */

/* What may be done now. Operations are tried in every state but the last; that nothing new begins is up to those who
 * begin things.
 *   FULL     a group met a full disk; the reserve was given up, so that results and pruning find room. It is GOOD again
 *            by itself once there is twice the reserve free and the reserve is written
 *   DAMAGED  the database is damaged, or the disk cannot be read: nothing is written any more, reading goes on
 * Only stores with a reserve become FULL. Any thread; reason may be NULL. */
enum peri_store_state { PERI_STORE_GOOD, PERI_STORE_FULL, PERI_STORE_DAMAGED };
/* Was the database deleted or replaced under it? Then nothing is stored, whatever the state, until it is back. Looks at
 * the file; any thread. */
bool peri_store_is_gone(const struct peri_store *store);
enum peri_store_state peri_store_state(const struct peri_store *store, char reason[PERI_ERROR_MESSAGE_MAX]);

/* What the start has found. Stays the same until close. */
struct peri_store_found {
    bool clean;        /* the last stop was an orderly one */
    bool fresh;        /* the database was made by this start */
    bool behind;       /* acknowledged events are missing: stored_seq is below high_seq */
    uint64_t high_seq; /* last event known to have been acknowledged; 0: not known */
    uint64_t stored_seq;
    int64_t alive_ms;    /* when a service was last known to run, wall ms; 0: never */
    uint64_t trying_seq; /* what peri_store_trying noted last; 0: nothing */
    int tries;
};
const struct peri_store_found *peri_store_found(const struct peri_store *store);

/* Notes which event is being tried, 0: none, so that the next start knows. Not synced: it outlives the end of the
 * process, not that of the machine. Only stores with `high`. Loop thread. */
void peri_store_trying(struct peri_store *store, uint64_t seq, int tries);

/* path as above for a store opened in this process or another. PERI_ENOTFOUND when there is no database. */
enum peri_status peri_reader_open(const char *path, struct peri_reader **ret, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_store_reader(
    struct peri_store *store, struct peri_reader **ret, struct peri_error *err) PERI_MUST_CHECK;
void peri_reader_close(struct peri_reader *reader);

/* Small facts. value is text. The store itself keeps "instance" (a ULID made with the database), "created", "clean". */
enum peri_status peri_tx_meta_set(
    struct peri_tx *tx, const char *key, const char *value, struct peri_error *err) PERI_MUST_CHECK;
/* Only if nothing is kept under that key. */
enum peri_status peri_tx_meta_once(
    struct peri_tx *tx, const char *key, const char *value, struct peri_error *err) PERI_MUST_CHECK;
/* malloc'ed; PERI_ENOTFOUND when absent. */
enum peri_status peri_reader_meta(
    struct peri_reader *reader, const char *key, char **ret, struct peri_error *err) PERI_MUST_CHECK;

/* Forgets everything but the facts, for one test of rules after the other. Numbers are not used again. */
enum peri_status peri_tx_wipe(struct peri_tx *tx, struct peri_error *err) PERI_MUST_CHECK;
/* {path, bytes, wal_bytes, events, runs, ...} for doctor. New reference. */
enum peri_status peri_reader_stats(
    struct peri_reader *reader, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* One page of retention: deletes at most 1,000 rows that are past age (ms) or count; *ret_more says to call again.
 * Events that wait to be matched or belong to live runs stay. Also plugin storage that expired, duplicates' marks after
 * 7 days, audit rows after a year. */
struct peri_retention {
    int64_t events_ms, runs_ms; /* 0: any age. runs_ms is for the outbox too */
    int64_t max_events;         /* 0: any number */
    int64_t max_runs;           /* ended ones and live ones together; 0: any number */
    int64_t audit_ms;           /* 0: a year */
    int64_t max_audit;          /* 0: a million */
    int64_t max_outbox;         /* messages of the outbox; 0: a million */
    int64_t max_bytes; /* of used pages; above it the oldest events and ended runs go, whatever their age. 0: any */
};
/* *ret_rows (may be NULL): how many rows went. */
enum peri_status peri_tx_prune(struct peri_tx *tx, const struct peri_retention *retention, bool *ret_more,
    int64_t *ret_rows, struct peri_error *err) PERI_MUST_CHECK;

#endif
