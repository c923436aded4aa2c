/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/failpoint.h"
#include "base/id.h"
#include "base/str.h"

/* The thread that writes. It takes whatever is queued as one group: BEGIN, the operations, COMMIT, then the
 * completions. An operation that fails must leave nothing behind. That takes a savepoint for each, which costs a
 * statement and copies of pages; so a group whose operations can all be run again does without, and is run again with
 * them when one fails. It never waits for more to come, so one operation alone is committed at once and groups grow
 * with load. It is also the only connection that checkpoints. Between groups, at most once a second, it looks after the
 * rest: the disk, the mark of what was acknowledged, the length of the WAL. */

#define GROUP_OPS 512
#define GROUP_BYTES ((size_t)1 << 20)
#define CAREFUL_GROUPS 64
#define UPKEEP_NS INT64_C(1000000000)
#define UPKEEP_IDLE_NS (15 * UPKEEP_NS)
#define UPKEEP_QUIET_NS (600 * UPKEEP_NS)

struct op {
    struct op *next;
    peri_store_fn fn;
    peri_store_done done;
    void *arg;
    size_t bytes;
    bool waited; /* by peri_store_run: the completion runs on the store's thread */
    bool repeatable;
    enum peri_status st;
    struct peri_error err;
};

int64_t peri_store_mono_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ---- groups ---- */

/* Splits off at most one group. Called with the mutex held. */
static struct op *take_group(struct peri_store *store)
{
    struct op *first = store->head, **end = &first;
    size_t n = 0, bytes = 0;
    while (*end && n < GROUP_OPS && (n == 0 || bytes + (*end)->bytes <= GROUP_BYTES)) {
        bytes += (*end)->bytes;
        n++;
        end = &(*end)->next;
    }
    store->head = *end;
    *end = NULL;
    if (!store->head)
        store->tail = &store->head;
    store->queued -= n;
    store->queued_bytes -= bytes;
    peri_metric_set(store->queue_depth, (int64_t)store->queued);
    return first;
}

enum peri_status peri_store_simple(struct peri_db *db, const char *sql, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, db, sql, err);
    return st ? st : peri_stmt_exec(&q, err);
}

/* False when the whole transaction is gone. */
static bool run_op(struct peri_store *store, struct peri_tx *tx, struct op *op)
{
    struct peri_tx before = *tx;
    op->st = peri_store_simple(&store->db, "SAVEPOINT op", &op->err);
    if (!op->st) {
        op->st = op->fn(tx, op->arg, &op->err);
        tx->entity_seq = 0;
        /* SQLite rolls everything back by itself on some errors (I/O, memory). What is full or damaged is so for the
         * rest of the group as well. */
        if (sqlite3_get_autocommit(store->db.handle) || op->st == PERI_EFULL || op->st == PERI_ECORRUPT)
            return false;
        struct peri_error ignored;
        if (op->st) {
            *tx = before;
            if (peri_store_simple(&store->db, "ROLLBACK TO op", &ignored))
                return false;
        }
        enum peri_status st = peri_store_simple(&store->db, "RELEASE op", op->st ? &ignored : &op->err);
        if (st && !op->st)
            op->st = st;
    }
    return !sqlite3_get_autocommit(store->db.handle);
}

static struct peri_tx new_tx(struct peri_store *store)
{
    return (struct peri_tx){.db = &store->db,
        .now_ms = peri_clock_wall_ms(&store->options.clock),
        .next_seq = store->next_seq,
        .next_run = store->next_run,
        .flow = store->flow};
}

static enum peri_status begin(struct peri_store *store, struct peri_error *err)
{
    PERI_FAILPOINT("store.begin");
    return peri_store_simple(&store->db, "BEGIN IMMEDIATE", err);
}

/* True: all of them have run, and well. False: nothing of it is left. */
static bool run_plain(struct peri_store *store, struct peri_tx *tx, struct op *ops)
{
    struct peri_error err;
    bool good = begin(store, &err) == PERI_OK;
    for (struct op *op = ops; op && good; op = op->next) {
        op->st = op->fn(tx, op->arg, &op->err);
        tx->entity_seq = 0;
        good = op->st == PERI_OK && !sqlite3_get_autocommit(store->db.handle);
    }
    if (good)
        return true;
    peri_store_rollback(store);
    for (struct op *op = ops; op; op = op->next)
        op->st = PERI_OK;
    store->careful = CAREFUL_GROUPS;
    return false;
}

static enum peri_status run_carefully(
    struct peri_store *store, struct peri_tx *tx, struct op *ops, struct peri_error *err)
{
    enum peri_status st = begin(store, err);
    for (struct op *op = ops; op && !st; op = op->next) {
        if (!run_op(store, tx, op)) {
            st = op->st ? op->st : PERI_EIO;
            *err = op->err;
            if (!op->st)
                peri_error_set(err, st, NULL, "%s: the transaction was lost", store->path);
        }
    }
    return st;
}

/* Where one has failed others may: those that follow are not run twice for it. */
static bool may_run_plain(struct peri_store *store, const struct op *ops)
{
    if (store->careful > 0) {
        store->careful--;
        return false;
    }
    while (ops && ops->repeatable)
        ops = ops->next;
    return ops == NULL;
}

static void fail_group(struct op *ops, enum peri_status st, const struct peri_error *err)
{
    for (struct op *op = ops; op; op = op->next) {
        if (op->st)
            continue; /* keeps its own reason */
        op->st = st;
        op->err = *err;
    }
}

void peri_store_rollback(struct peri_store *store)
{
    if (!sqlite3_get_autocommit(store->db.handle))
        sqlite3_exec(store->db.handle, "ROLLBACK", NULL, NULL, NULL);
}

static void execute(struct peri_store *store, struct op *ops)
{
    struct peri_error err = {0};
    struct peri_tx tx = new_tx(store);
    enum peri_status st = peri_files_check(store, &err);
    if (!st && !(may_run_plain(store, ops) && run_plain(store, &tx, ops))) {
        tx = new_tx(store);
        st = run_carefully(store, &tx, ops, &err);
    }
    if (!st)
        st = peri_flow_write(&tx, &err);
    PERI_FAILPOINT("store.commit");
    if (!st)
        st = peri_store_simple(&store->db, "COMMIT", &err);
    PERI_FAILPOINT("store.committed");
    peri_flow_done(store->flow, st == PERI_OK);
    if (st) {
        peri_store_rollback(store);
        fail_group(ops, st, &err);
        if (st == PERI_EFULL)
            peri_space_full(store, &err);
        else if (st == PERI_ECORRUPT)
            peri_health_damaged(store->health, err.message);
        return;
    }
    store->next_seq = tx.next_seq;
    store->next_run = tx.next_run;
}

static void complete(void *arg)
{
    struct op *op = arg;
    while (op) {
        struct op *next = op->next;
        if (op->done)
            op->done(op->arg, op->st, op->st ? &op->err : NULL);
        free(op);
        op = next;
    }
}

static void count(struct peri_store *store, struct op *ops, int64_t ns)
{
    int64_t done = 0, failed = 0;
    for (struct op *op = ops; op; op = op->next) {
        done++;
        failed += op->st != PERI_OK;
    }
    peri_metric_add(store->commits, 1);
    peri_metric_add(store->operations, done);
    peri_metric_add(store->failures, failed);
    peri_metric_add(store->commit_us, ns / 1000);
}

/* Completions: those that a thread waits for at once, the rest handed to the loop in one go. Without a loop all of them
 * here, in order. */
static void hand_over(struct peri_store *store, struct op *ops)
{
    struct op *posted = NULL, **end = &posted;
    if (!store->options.post) {
        complete(ops);
        return;
    }
    while (ops) {
        struct op *op = ops;
        ops = op->next;
        op->next = NULL;
        if (op->waited) {
            complete(op);
        } else {
            *end = op;
            end = &op->next;
        }
    }
    if (!posted)
        return;
    /* Refused: the loop is gone, or memory is out. The submitters still have to hear of it. */
    if (store->options.post(store->options.post_ctx, complete, posted) != PERI_OK)
        complete(posted);
}

static void serve(struct peri_store *store, struct op *ops)
{
    store->worked = true;
    if (peri_health_state(store->health, NULL) == PERI_STORE_DAMAGED) {
        struct peri_error err;
        peri_error_set(&err, PERI_ECORRUPT, NULL, "%s is damaged: nothing more is written", store->path);
        fail_group(ops, PERI_ECORRUPT, &err);
    } else {
        struct peri_mono t0 = peri_clock_mono(&store->options.clock);
        execute(store, ops);
        struct peri_mono t1 = peri_clock_mono(&store->options.clock);
        count(store, ops, t1.ns - t0.ns);
    }
    hand_over(store, ops);
}

/* ---- between the groups ---- */

static void upkeep(struct peri_store *store)
{
    int64_t now = peri_store_mono_ns();
    store->worked = false;
    peri_high_upkeep(store, now);
    peri_space_upkeep(store, now);
    peri_flow_upkeep(store);
    store->upkeep_ns = now;
}

/* When the thread has to look again although nothing is queued: seldom when nothing was written since it last looked.
 */
static int64_t upkeep_at(const struct peri_store *store)
{
    bool soon =
        peri_high_due(store) || peri_flow_due(store->flow) || peri_health_state(store->health, NULL) == PERI_STORE_FULL;
    return store->upkeep_ns + (soon ? UPKEEP_NS : store->worked ? UPKEEP_IDLE_NS : UPKEEP_QUIET_NS);
}

static void wait_until(struct peri_store *store, int64_t ns)
{
    struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    pthread_cond_timedwait(&store->wake, &store->mutex, &ts);
}

void peri_store_upkeep(struct peri_store *store)
{
    pthread_mutex_lock(&store->mutex);
    unsigned mine = ++store->upkeep_asked;
    pthread_cond_signal(&store->wake);
    while ((int)(store->upkeep_done - mine) < 0)
        pthread_cond_wait(&store->rounds, &store->mutex);
    pthread_mutex_unlock(&store->mutex);
}

/* With the mutex held, which is given back meanwhile. */
static void upkeep_round(struct peri_store *store)
{
    unsigned asked = store->upkeep_asked;
    if (asked != store->upkeep_done)
        store->space.back_at_ns = 0;
    pthread_mutex_unlock(&store->mutex);
    upkeep(store);
    pthread_mutex_lock(&store->mutex);
    store->upkeep_done = asked;
    pthread_cond_broadcast(&store->rounds);
}

static void *store_thread(void *arg)
{
    struct peri_store *store = arg;
    pthread_mutex_lock(&store->mutex);
    while (store->head || !store->stopping) {
        if (store->head) {
            struct op *ops = take_group(store);
            pthread_mutex_unlock(&store->mutex);
            serve(store, ops);
            pthread_mutex_lock(&store->mutex);
        }
        int64_t at = upkeep_at(store);
        if (store->upkeep_asked != store->upkeep_done || peri_store_mono_ns() >= at)
            upkeep_round(store);
        else if (!store->head && !store->stopping)
            wait_until(store, at);
    }
    pthread_mutex_unlock(&store->mutex);
    return NULL;
}

/* ---- the queue ---- */

static enum peri_status enqueue(struct peri_store *store, struct op *op)
{
    enum peri_status st = PERI_OK;
    pthread_mutex_lock(&store->mutex);
    if (store->stopping)
        st = PERI_ESTATE;
    else if (!op->waited && store->queued > 0 &&
             (store->queued >= store->options.max_queue ||
                 store->queued_bytes + op->bytes > store->options.max_queue_bytes))
        st = PERI_EBUSY;
    if (!st) {
        *store->tail = op;
        store->tail = &op->next;
        store->queued++;
        store->queued_bytes += op->bytes;
        peri_metric_set(store->queue_depth, (int64_t)store->queued);
        pthread_cond_signal(&store->wake);
    }
    pthread_mutex_unlock(&store->mutex);
    return st;
}

static struct op *op_create(peri_store_fn fn, peri_store_done done, void *arg, size_t bytes)
{
    struct op *op = calloc(1, sizeof(*op));
    if (op)
        *op = (struct op){.fn = fn, .done = done, .arg = arg, .bytes = bytes};
    return op;
}

static enum peri_status submit(struct peri_store *store, struct op *op, bool repeatable)
{
    if (!op)
        return PERI_ENOMEM;
    op->repeatable = repeatable;
    enum peri_status st = enqueue(store, op);
    if (st)
        free(op);
    return st;
}

enum peri_status peri_store_submit(
    struct peri_store *store, size_t bytes, peri_store_fn fn, peri_store_done done, void *arg)
{
    return submit(store, op_create(fn, done, arg, bytes), false);
}

enum peri_status peri_store_submit_repeatable(
    struct peri_store *store, size_t bytes, peri_store_fn fn, peri_store_done done, void *arg)
{
    return submit(store, op_create(fn, done, arg, bytes), true);
}

struct waiter {
    peri_store_fn fn;
    void *arg;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done;
    enum peri_status st;
    struct peri_error err;
};

static enum peri_status waiter_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct waiter *w = arg;
    return w->fn(tx, w->arg, err);
}

static void waiter_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct waiter *w = arg;
    pthread_mutex_lock(&w->mutex);
    w->st = st;
    if (err)
        w->err = *err;
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

enum peri_status peri_store_run(struct peri_store *store, peri_store_fn fn, void *arg, struct peri_error *err)
{
    if (pthread_equal(pthread_self(), store->thread))
        return peri_error_set(err, PERI_ESTATE, NULL, "the store's thread can not wait for itself");
    struct waiter w = {.fn = fn, .arg = arg};
    struct op *op = op_create(waiter_fn, waiter_done, &w, 0);
    if (!op)
        return peri_error_nomem(err);
    op->waited = true;
    pthread_mutex_init(&w.mutex, NULL);
    pthread_cond_init(&w.cond, NULL);
    enum peri_status st = enqueue(store, op);
    if (st) {
        free(op);
        peri_error_set(err, st, NULL, "the store is closing");
    } else {
        pthread_mutex_lock(&w.mutex);
        while (!w.done)
            pthread_cond_wait(&w.cond, &w.mutex);
        pthread_mutex_unlock(&w.mutex);
        st = w.st;
        if (st && err)
            *err = w.err;
    }
    pthread_cond_destroy(&w.cond);
    pthread_mutex_destroy(&w.mutex);
    return st;
}

size_t peri_store_queued(const struct peri_store *store)
{
    struct peri_store *s = (struct peri_store *)(uintptr_t)store; /* the mutex is not part of its value */
    pthread_mutex_lock(&s->mutex);
    size_t n = s->queued;
    pthread_mutex_unlock(&s->mutex);
    return n;
}

int64_t peri_tx_now(const struct peri_tx *tx)
{
    return tx->now_ms;
}

const char *peri_store_path(const struct peri_store *store)
{
    return store->path;
}

enum peri_store_state peri_store_state(const struct peri_store *store, char reason[PERI_ERROR_MESSAGE_MAX])
{
    return peri_health_state(store->health, reason);
}

const struct peri_store_found *peri_store_found(const struct peri_store *store)
{
    return &store->found;
}

struct peri_db *peri_store_db(struct peri_store *store)
{
    return &store->db;
}

/* ---- life ---- */

static enum peri_status memory_name(char **ret, struct peri_error *err)
{
    unsigned char b[8];
    enum peri_status st = peri_random(b, sizeof(b));
    if (st)
        return peri_error_set(err, st, NULL, "no random bytes");
    *ret = peri_asprintf(
        "file:/perigee-%02x%02x%02x%02x%02x%02x%02x%02x?vfs=memdb", b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]);
    return *ret ? PERI_OK : peri_error_nomem(err);
}

static enum peri_status start_thread(struct peri_store *store, struct peri_error *err)
{
    sigset_t all, before; /* signals are for the loop's thread */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigfillset(&all);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&store->thread, NULL, store_thread, store);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return peri_error_set(err, PERI_EIO, NULL, "no thread for the store: %s", strerror(rc));
    pthread_setname_np(store->thread, "store");
    store->started = true;
    store->db.health = store->health; /* from here on what is found damaged is more than a failed start */
    return PERI_OK;
}

static void set_up(struct peri_store *store, const struct peri_store_options *options)
{
    store->options = *options;
    if (!options->max_queue)
        store->options.max_queue = 4096;
    if (!options->max_queue_bytes)
        store->options.max_queue_bytes = (size_t)16 << 20;
    if (!options->clock.wall_ms)
        store->options.clock = peri_clock_system();
    store->lock_fd = store->high.fd = store->high.trying_fd = -1;
    store->tail = &store->head;
    store->upkeep_ns = peri_store_mono_ns();
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&store->mutex, NULL);
    pthread_cond_init(&store->wake, &monotonic);
    pthread_cond_init(&store->rounds, NULL);
    pthread_condattr_destroy(&monotonic);
    struct peri_metrics *m = options->metrics;
    store->commits = peri_metrics_counter(m, "store_groups_total", NULL, "Groups of operations committed or failed.");
    store->operations = peri_metrics_counter(m, "store_operations_total", NULL, "Operations of all groups.");
    store->failures =
        peri_metrics_counter(m, "store_failed_operations_total", NULL, "Operations that were rolled back.");
    store->commit_us = peri_metrics_counter(m, "store_busy_microseconds_total", NULL, "Time spent in groups.");
    store->queue_depth = peri_metrics_gauge(m, "store_queue", NULL, "Operations that wait for the store.");
}

enum peri_status peri_store_open(
    const struct peri_store_options *options, struct peri_store **ret, struct peri_error *err)
{
    struct peri_store *store = calloc(1, sizeof(*store));
    if (!store)
        return peri_error_nomem(err);
    set_up(store, options);
    bool memory = peri_streq(options->path, ":memory:");
    enum peri_status st = PERI_OK;
    if (memory)
        st = memory_name(&store->path, err);
    else if (!(store->path = peri_strdup(options->path)))
        st = peri_error_nomem(err);
    store->options.path = store->path;
    if (!st && !(store->health = peri_health_create(&store->options)))
        st = peri_error_nomem(err);
    if (!st)
        st = peri_store_prepare(store, err);
    if (!st)
        st = start_thread(store, err);
    if (st) {
        peri_store_close(store);
        return st;
    }
    if (store->checking)
        peri_check_begin(store);
    *ret = store;
    return PERI_OK;
}

static void stop_thread(struct peri_store *store)
{
    peri_check_end(store);
    pthread_mutex_lock(&store->mutex);
    store->stopping = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
    pthread_join(store->thread, NULL);
    peri_flow_upkeep(store);
    peri_health_close(store->health);
    struct peri_error err;
    store->db.health = NULL;
    if (peri_health_state(store->health, NULL) != PERI_STORE_DAMAGED &&
        peri_db_meta_set(&store->db, "clean", "1", &err))
        peri_warn(store->options.log, "store", "%s", err.message);
    peri_high_close(store);
}

void peri_store_close(struct peri_store *store)
{
    if (!store)
        return;
    if (store->started)
        stop_thread(store);
    if (store->db.handle)
        peri_db_finish(&store->db);
    if (store->high.fd >= 0)
        close(store->high.fd);
    if (store->high.trying_fd >= 0)
        close(store->high.trying_fd);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    pthread_cond_destroy(&store->wake);
    pthread_cond_destroy(&store->rounds);
    pthread_mutex_destroy(&store->mutex);
    peri_health_unref(store->health);
    peri_space_finish(store);
    peri_flow_destroy(store->flow);
    free(store->high.path);
    free(store->lock_path);
    free(store->files.wal);
    free(store->path);
    free(store);
}
