/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/id.h"
#include "base/str.h"

/* The thread that writes. It takes whatever is queued as one group: BEGIN, a savepoint for each operation, COMMIT, then
 * the completions. It never waits for more to come, so one operation alone is committed at once and groups grow with
 * load. It is also the only connection that checkpoints. */

#define GROUP_OPS 512
#define GROUP_BYTES ((size_t)1 << 20)
#define QUICK_CHECK_MAX ((int64_t)4 << 30)

struct op {
    struct op *next;
    peri_store_fn fn;
    peri_store_done done;
    void *arg;
    size_t bytes;
    bool waited; /* by peri_store_run: the completion runs on the store's thread */
    enum peri_status st;
    struct peri_error err;
};

struct peri_store {
    struct peri_store_options options;
    struct peri_db db;
    char *path, *lock_path;
    int lock_fd;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct op *head, **tail;
    size_t queued, queued_bytes;
    bool stopping;
    uint64_t next_seq, next_run; /* of the committed state; only the store's thread */
    bool damaged;                /* the first error decides: a damaged database may still accept inserts */
    struct peri_metric *commits, *operations, *failures, *commit_us, *queue_depth;
};

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

static enum peri_status simple(struct peri_db *db, const char *sql, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, db, sql, err);
    return st ? st : peri_stmt_exec(&q, err);
}

/* False when the whole transaction is gone. */
static bool run_op(struct peri_store *store, struct peri_tx *tx, struct op *op)
{
    struct peri_tx before = *tx;
    op->st = simple(&store->db, "SAVEPOINT op", &op->err);
    if (!op->st) {
        op->st = op->fn(tx, op->arg, &op->err);
        tx->entity_seq = 0;
        /* SQLite rolls everything back by itself on some errors (disk full, I/O, memory). */
        if (sqlite3_get_autocommit(store->db.handle))
            return false;
        struct peri_error ignored;
        if (op->st) {
            *tx = before;
            if (simple(&store->db, "ROLLBACK TO op", &ignored))
                return false;
        }
        enum peri_status st = simple(&store->db, "RELEASE op", op->st ? &ignored : &op->err);
        if (st && !op->st)
            op->st = st;
    }
    return !sqlite3_get_autocommit(store->db.handle);
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

static void rollback(struct peri_store *store)
{
    if (!sqlite3_get_autocommit(store->db.handle))
        sqlite3_exec(store->db.handle, "ROLLBACK", NULL, NULL, NULL);
}

static void execute(struct peri_store *store, struct op *ops)
{
    struct peri_error err = {0};
    struct peri_tx tx = {.db = &store->db,
        .now_ms = peri_clock_wall_ms(&store->options.clock),
        .next_seq = store->next_seq,
        .next_run = store->next_run};
    enum peri_status st = simple(&store->db, "BEGIN IMMEDIATE", &err);
    for (struct op *op = ops; op && !st; op = op->next) {
        if (!run_op(store, &tx, op)) {
            st = op->st ? op->st : PERI_EIO;
            err = op->err;
            if (!op->st)
                peri_error_set(&err, st, NULL, "%s: the transaction was lost", store->path);
        }
    }
    if (!st)
        st = simple(&store->db, "COMMIT", &err);
    if (st) {
        rollback(store);
        fail_group(ops, st, &err);
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
        if (op->st == PERI_ECORRUPT && !store->damaged && op->err.code[0] && peri_streq(op->err.code, "corrupt")) {
            store->damaged = true;
            peri_err(
                store->options.log, "store", "%s; nothing more is written: see `perigee recover`", op->err.message);
        }
    }
    peri_metric_add(store->commits, 1);
    peri_metric_add(store->operations, done);
    peri_metric_add(store->failures, failed);
    peri_metric_add(store->commit_us, ns / 1000);
}

/* Completions: those that a thread waits for at once, the rest handed to the loop in one go. */
static void hand_over(struct peri_store *store, struct op *ops)
{
    struct op *posted = NULL, **end = &posted;
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
    if (!store->options.post || store->options.post(store->options.post_ctx, complete, posted) != PERI_OK)
        complete(posted);
}

static void serve(struct peri_store *store, struct op *ops)
{
    if (store->damaged) {
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

static void *store_thread(void *arg)
{
    struct peri_store *store = arg;
    pthread_mutex_lock(&store->mutex);
    for (;;) {
        while (!store->head && !store->stopping)
            pthread_cond_wait(&store->wake, &store->mutex);
        if (!store->head)
            break;
        struct op *ops = take_group(store);
        pthread_mutex_unlock(&store->mutex);
        serve(store, ops);
        pthread_mutex_lock(&store->mutex);
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

enum peri_status peri_store_submit(
    struct peri_store *store, size_t bytes, peri_store_fn fn, peri_store_done done, void *arg)
{
    struct op *op = op_create(fn, done, arg, bytes);
    if (!op)
        return PERI_ENOMEM;
    enum peri_status st = enqueue(store, op);
    if (st)
        free(op);
    return st;
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

struct peri_db *peri_store_db(struct peri_store *store)
{
    return &store->db;
}

/* ---- opening ---- */

static enum peri_status take_lock(struct peri_store *store, struct peri_error *err)
{
    const char *slash = strrchr(store->path, '/');
    store->lock_path =
        slash ? peri_asprintf("%.*s/lock", (int)(slash - store->path), store->path) : peri_strdup("lock");
    if (!store->lock_path)
        return peri_error_nomem(err);
    store->lock_fd = open(store->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_fd < 0)
        return peri_error_set(err, PERI_EIO, NULL, "%s: %s", store->lock_path, strerror(errno));
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        char pid[24] = "";
        ssize_t n = pread(store->lock_fd, pid, sizeof(pid) - 1, 0);
        pid[n > 0 ? n : 0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';
        return peri_error_set(err, PERI_EBUSY, "store.locked", "%s: in use by another perigee%s%s", store->lock_path,
            pid[0] ? ", process " : "", pid);
    }
    char pid[24];
    int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(store->lock_fd, 0) != 0 || pwrite(store->lock_fd, pid, (size_t)len, 0) != len)
        return peri_error_set(
            err, errno == ENOSPC ? PERI_EFULL : PERI_EIO, NULL, "%s: %s", store->lock_path, strerror(errno));
    return PERI_OK;
}

/* Makes the file with its permissions, or finds out in plain words why it can not be used. An existing database is not
 * opened here: closing a second descriptor would drop SQLite's locks in this process. */
static enum peri_status touch(struct peri_store *store, struct peri_error *err)
{
    int fd = open(store->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        return PERI_OK;
    }
    if (errno == EEXIST && access(store->path, R_OK | W_OK) == 0) {
        struct stat sb;
        if (stat(store->path, &sb) == 0 && !S_ISREG(sb.st_mode))
            errno = S_ISDIR(sb.st_mode) ? EISDIR : EINVAL;
        else
            return PERI_OK;
    }
    return peri_error_set(err, errno == ENOSPC ? PERI_EFULL : PERI_EIO, NULL, "%s: %s", store->path, strerror(errno));
}

static void sync_folder(const struct peri_store *store)
{
    const char *slash = strrchr(store->path, '/');
    char *dir = slash ? peri_strndup(store->path, (size_t)(slash - store->path) + 1) : peri_strdup(".");
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        if (fsync(fd) != 0)
            peri_warn(store->options.log, "store", "%s: %s", dir, strerror(errno));
        close(fd);
    }
    free(dir);
}

/* After an unclean stop: is the structure whole? 0.5 s for 750 MB; larger than 4 GiB is left to `doctor`. */
static enum peri_status check(struct peri_store *store, struct peri_error *err)
{
    int64_t clean = 0, pages = 0, size = 0;
    enum peri_status st = peri_db_meta_int(&store->db, "clean", 0, &clean, err);
    if (st || clean)
        return st;
    st = peri_db_int(&store->db, "PRAGMA page_count", 0, &pages, err);
    if (!st)
        st = peri_db_int(&store->db, "PRAGMA page_size", 4096, &size, err);
    if (st || pages * size > QUICK_CHECK_MAX)
        return st;
    peri_info(store->options.log, "store", "%s: the last stop was not clean, checking", store->path);
    struct peri_stmt q;
    st = peri_stmt_open_text(&q, &store->db, "PRAGMA quick_check(1)", err);
    bool row = false;
    if (!st)
        st = peri_stmt_row(&q, &row, err);
    const char *text = !st && row ? peri_stmt_get_text(&q, 0) : NULL;
    if (!st && !peri_streq(text, "ok"))
        st = peri_error_set(err, PERI_ECORRUPT, NULL, "%s is damaged: %s", store->path, text ? text : "no answer");
    peri_stmt_close(&q);
    return st;
}

static enum peri_status first_facts(struct peri_store *store, struct peri_error *err)
{
    struct peri_db *db = &store->db;
    char *instance = NULL, ulid[PERI_ULID_TEXT];
    int64_t now = peri_clock_wall_ms(&store->options.clock), seq = 0, run = 0, floor = 0;
    enum peri_status st = peri_db_meta_get(db, "instance", &instance, err);
    if (!st && !instance) {
        st = peri_ulid(now, ulid);
        if (!st)
            st = peri_db_meta_set(db, "instance", ulid, err);
        if (!st)
            st = peri_db_meta_set_int(db, "created", now, err);
    }
    free(instance);
    if (!st)
        st = peri_db_meta_set(db, "clean", "0", err);
    /* Here, where nobody remembers having put a text: during service one may be kept for runs that are still to come.
     */
    if (!st)
        st = peri_db_exec(
            db, "DELETE FROM rulesets WHERE NOT EXISTS(SELECT 1 FROM runs WHERE rhash=rulesets.hash)", err);
    if (st)
        return st;
    /* Numbers are never used twice, also when pruning removed the newest rows. */
    st = peri_db_int(db, "SELECT max(seq) FROM events", 0, &seq, err);
    if (!st)
        st = peri_db_meta_int(db, "seq_floor", 0, &floor, err);
    if (!st) {
        store->next_seq = (uint64_t)(seq > floor ? seq : floor) + 1;
        st = peri_db_int(db, "SELECT max(id) FROM runs", 0, &run, err);
    }
    if (!st)
        st = peri_db_meta_int(db, "run_floor", 0, &floor, err);
    if (!st)
        store->next_run = (uint64_t)(run > floor ? run : floor) + 1;
    return st;
}

static enum peri_status open_database(struct peri_store *store, struct peri_error *err)
{
    int version = 0;
    struct peri_db *db = &store->db;
    enum peri_status st = peri_db_open(db, store->path, PERI_DB_WRITE, err);
    if (!st)
        st = peri_schema_inspect(db, peri_schema_newest(peri_schema_steps), &version, err);
    if (!st && version > 0)
        st = check(store, err);
    if (!st)
        st = peri_db_exec(db, version == 0 ? "PRAGMA auto_vacuum=INCREMENTAL" : "PRAGMA foreign_keys=OFF", err);
    /* FULL: NORMAL would lose acknowledged events at a power cut. */
    if (!st)
        st = peri_db_exec(db,
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=OFF;"
            "PRAGMA journal_size_limit=67108864; PRAGMA secure_delete=FAST; PRAGMA cache_size=-16000;"
            "PRAGMA mmap_size=0; PRAGMA wal_autocheckpoint=1000; PRAGMA temp_store=MEMORY",
            err);
    if (!st)
        st = peri_schema_migrate(db, peri_schema_steps, version, err);
    if (!st)
        st = peri_db_exec(db, "BEGIN IMMEDIATE", err);
    if (st)
        return st;
    st = first_facts(store, err);
    if (!st)
        return peri_db_exec(db, "COMMIT", err);
    rollback(store);
    return st;
}

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
    store->lock_fd = -1;
    store->tail = &store->head;
    pthread_mutex_init(&store->mutex, NULL);
    pthread_cond_init(&store->wake, NULL);
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
    if (!st && !memory)
        st = take_lock(store, err);
    if (!st && !memory)
        st = touch(store, err);
    if (!st)
        st = open_database(store, err);
    if (!st && !memory)
        sync_folder(store);
    if (!st)
        st = start_thread(store, err);
    if (st) {
        peri_store_close(store);
        return st;
    }
    *ret = store;
    return PERI_OK;
}

void peri_store_close(struct peri_store *store)
{
    if (!store)
        return;
    if (store->started) {
        pthread_mutex_lock(&store->mutex);
        store->stopping = true;
        pthread_cond_signal(&store->wake);
        pthread_mutex_unlock(&store->mutex);
        pthread_join(store->thread, NULL);
        struct peri_error err;
        if (!store->damaged && peri_db_meta_set(&store->db, "clean", "1", &err))
            peri_warn(store->options.log, "store", "%s", err.message);
    }
    if (store->db.handle)
        peri_db_finish(&store->db);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->mutex);
    free(store->lock_path);
    free(store->path);
    free(store);
}
