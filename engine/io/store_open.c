/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/failpoint.h"
#include "base/id.h"
#include "base/str.h"

/* From a path to a database that may be written: lock, file, checks, migrations, counters. */

#define QUICK_CHECK_MAX ((int64_t)4 << 30)

char *peri_store_beside(const struct peri_store *store, const char *name)
{
    const char *slash = strrchr(store->path, '/');
    return slash ? peri_asprintf("%.*s/%s", (int)(slash - store->path), store->path, name) : peri_strdup(name);
}

static enum peri_status take_lock(struct peri_store *store, struct peri_error *err)
{
    store->lock_path = peri_store_beside(store, "lock");
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
    /* The number is for people; the lock holds without it, also on a full disk. */
    char pid[24];
    int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (pwrite(store->lock_fd, pid, (size_t)len, 0) != len || ftruncate(store->lock_fd, len) != 0)
        peri_warn(store->options.log, "store", "%s: %s", store->lock_path, strerror(errno));
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

/* After an unclean stop: is the structure whole? 0.5 s for 750 MB. A larger one is looked at beside the service. */
static enum peri_status check(struct peri_store *store, struct peri_error *err)
{
    int64_t clean = 0, pages = 0, size = 0, max = store->options.check_max ? store->options.check_max : QUICK_CHECK_MAX;
    enum peri_status st = peri_db_meta_int(&store->db, "clean", 0, &clean, err);
    store->found.clean = clean != 0;
    if (st || clean)
        return st;
    st = peri_db_int(&store->db, "PRAGMA page_count", 0, &pages, err);
    if (!st)
        st = peri_db_int(&store->db, "PRAGMA page_size", 4096, &size, err);
    if (st)
        return st;
    store->checking = pages * size > max;
    peri_info(store->options.log, "store", "%s: the last stop was not clean, checking%s", store->path,
        store->checking ? " while the service runs" : "");
    return store->checking ? PERI_OK : peri_check_quick(&store->db, err);
}

/* The journal ends before what was acknowledged: a damaged WAL opens without an error and without its tail. Numbers go
 * on behind the gap, so that none is given twice. */
static enum peri_status jump(struct peri_store *store, uint64_t run, struct peri_error *err)
{
    struct peri_store_found *found = &store->found;
    if (store->next_run <= run)
        store->next_run = run + 1;
    if (found->high_seq <= found->stored_seq)
        return peri_db_meta_set_int(&store->db, "run_floor", (int64_t)store->next_run - 1, err);
    found->behind = true;
    store->next_seq = found->high_seq + 1;
    peri_err(store->options.log, "store",
        "the journal is behind acknowledged events: the last acknowledged one was ev-%llu, the last one stored is"
        " ev-%llu; new events go on at ev-%llu",
        (unsigned long long)found->high_seq, (unsigned long long)found->stored_seq,
        (unsigned long long)store->next_seq);
    char detail[96];
    snprintf(detail, sizeof(detail), "{\"acknowledged\":%llu,\"stored\":%llu}", (unsigned long long)found->high_seq,
        (unsigned long long)found->stored_seq);
    enum peri_status st = peri_db_meta_set_int(&store->db, "seq_floor", (int64_t)found->high_seq, err);
    if (!st)
        st = peri_db_meta_set_int(&store->db, "run_floor", (int64_t)store->next_run - 1, err);
    struct peri_stmt q;
    if (!st)
        st = peri_stmt_open(
            &q, &store->db, "INSERT INTO audit(ts,actor,action,target,detail) VALUES(?,?,?,NULL,?)", err);
    if (st)
        return st;
    peri_stmt_int(&q, peri_clock_wall_ms(&store->options.clock));
    peri_stmt_text(&q, "perigee");
    peri_stmt_text(&q, "journal.behind");
    peri_stmt_text(&q, detail);
    return peri_stmt_exec(&q, err);
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
        st = peri_store_drop_rulesets(db, err);
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
    store->found.stored_seq = store->next_seq - 1;
    return !st && store->high.path && (store->found.high_seq >= store->next_seq || store->high.run >= store->next_run)
               ? jump(store, store->high.run, err)
               : st;
}

static enum peri_status open_database(struct peri_store *store, struct peri_error *err)
{
    int version = 0;
    struct peri_db *db = &store->db;
    enum peri_status st = peri_db_open(db, store->path, PERI_DB_WRITE, err);
    if (!st)
        st = peri_schema_inspect(db, peri_schema_newest(peri_schema_steps), &version, err);
    store->found.fresh = version == 0;
    store->found.clean = version == 0;
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
        st = peri_flow_create(db, &store->flow, err);
    PERI_FAILPOINT("open.facts");
    if (!st)
        st = peri_db_exec(db, "COMMIT", err);
    PERI_FAILPOINT("open.done");
    peri_store_rollback(store);
    return st;
}

enum peri_status peri_store_prepare(struct peri_store *store, struct peri_error *err)
{
    bool memory = peri_db_is_memory(store->path);
    enum peri_status st = memory ? PERI_OK : take_lock(store, err);
    if (!st && !memory)
        st = peri_space_start(store, err);
    if (!st && !memory)
        st = touch(store, err);
    if (!st && !memory)
        st = peri_high_open(store, err);
    if (!st)
        st = open_database(store, err);
    if (st == PERI_EFULL && !memory && peri_space_give(store, err)) {
        if (store->db.handle)
            peri_db_finish(&store->db);
        st = open_database(store, err);
    }
    if (!st && !memory) {
        sync_folder(store);
        peri_high_upkeep(
            store, peri_store_mono_ns()); /* alive from now on, also when it ends within the first second */
        st = peri_files_start(store, err);
    }
    return st;
}
