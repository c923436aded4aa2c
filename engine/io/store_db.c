/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_db.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/pool.h"
#include "base/str.h"
#include "data/json.h"
#include "io/store_health.h"

#define PROGRESS_OPS 1000

int64_t peri_db_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static pthread_once_t memory_once = PTHREAD_ONCE_INIT;

static void *pool_alloc(int size)
{
    return peri_pool_alloc((size_t)size);
}

static void *pool_realloc(void *block, int size)
{
    return realloc(block, (size_t)size);
}

static int pool_size(void *block)
{
    return (int)malloc_usable_size(block);
}

static int pool_round(int size)
{
    return (size + 7) & ~7;
}

static int pool_begin(void *unused)
{
    (void)unused;
    return SQLITE_OK;
}

static void pool_end(void *unused)
{
    (void)unused;
}

static int progress(void *arg)
{
    const struct peri_db *db = arg;
    return (db->deadline_ns != 0 && peri_db_now_ns() > db->deadline_ns) || (db->stop && atomic_load(db->stop));
}

void peri_db_limit(struct peri_db *db, int64_t ns)
{
    db->deadline_ns = ns ? peri_db_now_ns() + ns : 0;
}

bool peri_db_is_memory(const char *path)
{
    return peri_str_starts(path, "file:/perigee-");
}

/* SQLite does not keep errno of a COMMIT that fails; peri_stmt_row cleared it before, so what stands there is its own.
 */
static int system_error(const struct peri_db *db)
{
    int kept = db->handle ? sqlite3_system_errno(db->handle) : 0;
    return kept ? kept : errno;
}

static bool no_space(int os)
{
    return os == ENOSPC || os == EFBIG || os == EDQUOT;
}

/* What a disk that does not take writes means for whoever waits is the same whatever the reason: PERI_EFULL. What it
 * does not give back is damage. */
static enum peri_status io_status(int rc, int os)
{
    switch (rc) {
    case SQLITE_IOERR_READ:
    case SQLITE_IOERR_SHORT_READ:
    case SQLITE_IOERR_DATA:
    case SQLITE_IOERR_CORRUPTFS:
        return PERI_ECORRUPT;
    case SQLITE_IOERR_WRITE:
    case SQLITE_IOERR_FSYNC:
    case SQLITE_IOERR_DIR_FSYNC:
    case SQLITE_IOERR_TRUNCATE:
    case SQLITE_IOERR_SHMSIZE:
    case SQLITE_IOERR_SHMMAP:
        return PERI_EFULL;
    default:
        return no_space(os) ? PERI_EFULL : PERI_EIO;
    }
}

static enum peri_status status_of(int rc, int os)
{
    switch (rc & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return PERI_OK;
    case SQLITE_FULL:
        return PERI_EFULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return PERI_EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return PERI_ECORRUPT;
    case SQLITE_INTERRUPT:
        return PERI_ETIMEOUT;
    case SQLITE_NOMEM:
        return PERI_ENOMEM;
    case SQLITE_CONSTRAINT:
        return PERI_EEXIST;
    case SQLITE_TOOBIG:
        return PERI_ELIMIT;
    case SQLITE_IOERR:
        return io_status(rc, os);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return PERI_EIO;
    default:
        return PERI_EINTERNAL;
    }
}

enum peri_status peri_db_damage(struct peri_db *db, struct peri_error *err, const char *code, const char *fmt, ...)
{
    char text[PERI_ERROR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    peri_health_damaged(db->health, text);
    return peri_error_set(err, PERI_ECORRUPT, code, "%s", text);
}

enum peri_status peri_db_error(struct peri_db *db, int rc, struct peri_error *err)
{
    int os = system_error(db);
    enum peri_status st = status_of(rc, os);
    const char *why = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc);
    switch (st) {
    case PERI_OK:
        return PERI_OK;
    case PERI_ENOMEM:
        return peri_error_nomem(err);
    case PERI_EFULL:
        if ((rc & 0xFF) == SQLITE_FULL || no_space(os))
            return peri_error_set(err, st, NULL, "%s: no space left: %s", db->path, why);
        return peri_error_set(
            err, st, NULL, "%s: the disk does not take writes: %s", db->path, os ? strerror(os) : why);
    case PERI_ECORRUPT:
        if ((rc & 0xFF) == SQLITE_NOTADB)
            return peri_db_damage(db, err, NULL, "%s is not a perigee database", db->path);
        if ((rc & 0xFF) == SQLITE_IOERR)
            return peri_db_damage(db, err, NULL, "%s can not be read: %s", db->path, os ? strerror(os) : why);
        return peri_db_damage(db, err, NULL, "%s is damaged: %s", db->path, why);
    case PERI_ETIMEOUT:
        return peri_error_set(err, st, NULL, "reading took longer than 250 ms; narrow the query");
    case PERI_EIO:
        return peri_error_set(err, st, NULL, "%s: %s%s%s", db->path, why, os ? ": " : "", os ? strerror(os) : "");
    default:
        return peri_error_set(err, st, NULL, "%s: %s", db->path, why);
    }
}

/* SQLite counts all its memory under one lock, for all threads, and nobody asks for the sum; and Debian's build has no
 * lookaside memory. Refused when somebody has begun to use it: then it is as it was. */
static void set_up_memory(void)
{
    static const sqlite3_mem_methods methods = {
        pool_alloc, peri_pool_free, pool_realloc, pool_size, pool_round, pool_begin, pool_end, NULL};
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
}

enum peri_status peri_db_open(struct peri_db *db, const char *path, enum peri_db_mode mode, struct peri_error *err)
{
    memset(db, 0, sizeof(*db));
    db->path = peri_strdup(path);
    if (!db->path)
        return peri_error_nomem(err);
    pthread_once(&memory_once, set_up_memory);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (mode == PERI_DB_WRITE)
        flags |= SQLITE_OPEN_CREATE;
    if (peri_db_is_memory(path))
        flags |= SQLITE_OPEN_URI;
    int rc = sqlite3_open_v2(path, &db->handle, flags, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(db->handle, 5000);
    if (rc == SQLITE_OK)
        rc = peri_dedupe_register(db->handle);
    enum peri_status st = rc == SQLITE_OK ? PERI_OK : peri_db_error(db, rc, err);
    if (!st) {
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
        /* trusted_schema stays on: SQLite 3.40 does not count its JSON functions as harmless, and refuses the indexes
         * over JSON fields without it. The schema is ours (application_id), without views, triggers or virtual tables.
         */
        sqlite3_progress_handler(db->handle, PROGRESS_OPS, progress, db);
        if (mode == PERI_DB_READ) {
            sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
            st = peri_db_exec(db, "PRAGMA query_only=1; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-8000", err);
        }
    }
    if (st)
        peri_db_finish(db);
    return st;
}

void peri_db_finish(struct peri_db *db)
{
    for (size_t i = 0; i < PERI_DB_FIXED; i++)
        sqlite3_finalize(db->fixed[i].raw);
    for (size_t i = 0; i < PERI_DB_DYNAMIC; i++) {
        sqlite3_finalize(db->dynamic[i].raw);
        free(db->dynamic[i].sql);
    }
    sqlite3_close_v2(db->handle);
    free(db->path);
    memset(db, 0, sizeof(*db));
}

enum peri_status peri_db_exec(struct peri_db *db, const char *sql, struct peri_error *err)
{
    errno = 0;
    int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? PERI_OK : peri_db_error(db, rc, err);
}

enum peri_status peri_db_int(
    struct peri_db *db, const char *sql, int64_t fallback, int64_t *ret, struct peri_error *err)
{
    sqlite3_stmt *raw = NULL;
    int rc = sqlite3_prepare_v2(db->handle, sql, -1, &raw, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(raw);
    enum peri_status st = PERI_OK;
    if (rc == SQLITE_ROW && sqlite3_column_type(raw, 0) != SQLITE_NULL)
        *ret = sqlite3_column_int64(raw, 0);
    else if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        *ret = fallback;
    else
        st = peri_db_error(db, rc, err);
    sqlite3_finalize(raw);
    return st;
}

int64_t peri_db_changes(struct peri_db *db)
{
    return sqlite3_changes64(db->handle);
}

static enum peri_status prepare(struct peri_stmt *q, const char *sql, bool keep, struct peri_error *err)
{
    int rc = sqlite3_prepare_v3(q->db->handle, sql, -1, keep ? SQLITE_PREPARE_PERSISTENT : 0, &q->raw, NULL);
    q->owned = !keep;
    return rc == SQLITE_OK ? PERI_OK : peri_db_error(q->db, rc, err);
}

enum peri_status peri_stmt_open(struct peri_stmt *q, struct peri_db *db, const char *sql, struct peri_error *err)
{
    *q = (struct peri_stmt){.db = db};
    size_t at = (size_t)((uintptr_t)sql * UINT64_C(0x9E3779B97F4A7C15) >> 32) % PERI_DB_FIXED;
    for (size_t n = 0; n < PERI_DB_FIXED; n++, at = (at + 1) % PERI_DB_FIXED) {
        if (db->fixed[at].sql == sql) {
            /* In use further up the stack (a callback that reads): take one of its own. */
            if (sqlite3_stmt_busy(db->fixed[at].raw))
                break;
            q->raw = db->fixed[at].raw;
            return PERI_OK;
        }
        if (!db->fixed[at].sql) {
            enum peri_status st = prepare(q, sql, true, err);
            if (!st) {
                db->fixed[at].sql = sql;
                db->fixed[at].raw = q->raw;
            }
            return st;
        }
    }
    return prepare(q, sql, false, err);
}

enum peri_status peri_stmt_open_text(struct peri_stmt *q, struct peri_db *db, const char *sql, struct peri_error *err)
{
    *q = (struct peri_stmt){.db = db};
    for (size_t i = 0; i < PERI_DB_DYNAMIC; i++) {
        if (db->dynamic[i].sql && strcmp(db->dynamic[i].sql, sql) == 0) {
            if (sqlite3_stmt_busy(db->dynamic[i].raw))
                return prepare(q, sql, false, err);
            q->raw = db->dynamic[i].raw;
            return PERI_OK;
        }
    }
    unsigned at = db->dynamic_next++ % PERI_DB_DYNAMIC;
    char *copy = peri_strdup(sql);
    if (!copy || (db->dynamic[at].raw && sqlite3_stmt_busy(db->dynamic[at].raw))) {
        free(copy);
        return prepare(q, sql, false, err);
    }
    enum peri_status st = prepare(q, sql, true, err);
    if (st) {
        free(copy);
        return st;
    }
    sqlite3_finalize(db->dynamic[at].raw);
    free(db->dynamic[at].sql);
    db->dynamic[at].sql = copy;
    db->dynamic[at].raw = q->raw;
    return PERI_OK;
}

static void bound(struct peri_stmt *q, int rc)
{
    if (rc != SQLITE_OK && q->rc == SQLITE_OK)
        q->rc = rc;
}

void peri_stmt_int(struct peri_stmt *q, int64_t v)
{
    bound(q, sqlite3_bind_int64(q->raw, ++q->bound, v));
}

void peri_stmt_real(struct peri_stmt *q, double v)
{
    bound(q, sqlite3_bind_double(q->raw, ++q->bound, v));
}

void peri_stmt_text(struct peri_stmt *q, const char *s)
{
    peri_stmt_textn(q, s, s ? strlen(s) : 0);
}

void peri_stmt_textn(struct peri_stmt *q, const char *s, size_t len)
{
    q->bound++;
    bound(q, s ? sqlite3_bind_text64(q->raw, q->bound, s, len, SQLITE_STATIC, SQLITE_UTF8)
               : sqlite3_bind_null(q->raw, q->bound));
}

void peri_stmt_blob(struct peri_stmt *q, const void *p, size_t len)
{
    bound(q, sqlite3_bind_blob64(q->raw, ++q->bound, p, len, SQLITE_STATIC));
}

enum peri_status peri_stmt_row(struct peri_stmt *q, bool *ret_row, struct peri_error *err)
{
    errno = 0;
    int rc = q->rc != SQLITE_OK ? q->rc : sqlite3_step(q->raw);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return peri_db_error(q->db, rc, err);
    *ret_row = rc == SQLITE_ROW;
    return PERI_OK;
}

enum peri_status peri_stmt_exec(struct peri_stmt *q, struct peri_error *err)
{
    bool row = true;
    enum peri_status st = PERI_OK;
    while (!st && row)
        st = peri_stmt_row(q, &row, err);
    peri_stmt_close(q);
    return st;
}

void peri_stmt_close(struct peri_stmt *q)
{
    if (!q->raw)
        return;
    if (q->owned) {
        sqlite3_finalize(q->raw);
    } else {
        sqlite3_reset(q->raw);
        sqlite3_clear_bindings(q->raw);
    }
    q->raw = NULL;
}

int64_t peri_stmt_get_int(struct peri_stmt *q, int column)
{
    return sqlite3_column_int64(q->raw, column);
}

const char *peri_stmt_get_text(struct peri_stmt *q, int column)
{
    return (const char *)sqlite3_column_text(q->raw, column);
}

const void *peri_stmt_get_blob(struct peri_stmt *q, int column)
{
    return sqlite3_column_blob(q->raw, column);
}

size_t peri_stmt_get_bytes(struct peri_stmt *q, int column)
{
    return (size_t)sqlite3_column_bytes(q->raw, column);
}

enum peri_status peri_stmt_dup(struct peri_stmt *q, int column, char **ret, struct peri_error *err)
{
    *ret = NULL;
    if (sqlite3_column_type(q->raw, column) == SQLITE_NULL)
        return PERI_OK;
    const char *s = peri_stmt_get_text(q, column);
    *ret = s ? peri_strndup(s, peri_stmt_get_bytes(q, column)) : NULL;
    return *ret ? PERI_OK : peri_error_nomem(err);
}

enum peri_status peri_stmt_json(struct peri_stmt *q, int column, struct peri_value **ret, struct peri_error *err)
{
    *ret = NULL;
    const char *s = peri_stmt_get_text(q, column);
    if (!s)
        return sqlite3_column_type(q->raw, column) == SQLITE_NULL ? PERI_OK : peri_error_nomem(err);
    enum peri_status st = peri_json_parse(s, peri_stmt_get_bytes(q, column), ret, err);
    return st == PERI_EINVAL ? peri_db_damage(q->db, err, "corrupt.row", "%s: stored JSON is damaged", q->db->path)
                             : st;
}
