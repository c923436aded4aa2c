/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "base/str.h"

/* A full disk refuses DELETE too. So some room is held back in a file; when a group meets a full disk the file goes,
 * and what was begun can still be ended: results are committed, old rows deleted. Nothing new begins until there is
 * twice the reserve free again and the reserve is written.
 *
 * A group that failed once more at once shows that free space is not the whole story (a quota, a limit on files): the
 * pause before the next look doubles. */

#define PAUSE_NS INT64_C(1000000000)
#define PAUSE_MAX_NS (30 * PAUSE_NS)
#define RELAPSE_NS (60 * PAUSE_NS)
#define SMALL_PART 16      /* of a small file system, or of a limit on the size of files, this part is held back */
#define WAL_LONG (8 << 20) /* a longer WAL is emptied when nothing is queued */
#define CHECKPOINT_WAIT_MS 100

static int64_t disk_free(const struct peri_store *store, int64_t *ret_total)
{
    struct statvfs fs;
    char *folder = peri_store_beside(store, ".");
    int64_t n = INT64_MAX;
    if (folder && statvfs(folder, &fs) == 0) {
        n = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
        if (ret_total)
            *ret_total = (int64_t)fs.f_blocks * (int64_t)fs.f_frsize;
    }
    free(folder);
    return n;
}

static int64_t wanted_size(const struct peri_store *store, int64_t total)
{
    struct rlimit limit;
    int64_t want = (int64_t)store->options.reserve;
    if (total > 0 && total / SMALL_PART < want)
        want = total / SMALL_PART;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        (int64_t)(limit.rlim_cur / SMALL_PART) < want)
        want = (int64_t)(limit.rlim_cur / SMALL_PART);
    return want;
}

/* The whole of it or nothing. Returns 0 or errno. */
static int make_reserve(struct peri_store *store)
{
    int fd = open(store->space.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int why = posix_fallocate(fd, 0, (off_t)store->space.bytes);
    if (!why && fsync(fd) != 0)
        why = errno;
    close(fd);
    if (why)
        unlink(store->space.path);
    peri_metric_set(store->space.reserve, why ? 0 : store->space.bytes);
    return why;
}

static void drop_reserve(struct peri_store *store)
{
    if (unlink(store->space.path) != 0 && errno != ENOENT)
        peri_err(store->options.log, "store", "%s: %s", store->space.path, strerror(errno));
    peri_metric_set(store->space.reserve, 0);
}

static void say_full(struct peri_store *store, const char *reason)
{
    store->space.back_at_ns = peri_store_mono_ns() + store->space.pause_ns;
    if (peri_health_full(store->health, reason))
        peri_err(store->options.log, "store",
            "%s; no event is accepted and no action started until %lld KiB are free; what is stored is kept", reason,
            (long long)(2 * store->space.bytes >> 10));
}

static void metrics(struct peri_store *store)
{
    struct peri_metrics *m = store->options.metrics;
    struct space *sp = &store->space;
    sp->reserve = peri_metrics_gauge(m, "store_reserve_bytes", NULL, "Room held back for the way out of a full disk.");
    sp->disk_free = peri_metrics_gauge(m, "disk_free_bytes", NULL, "Free space where the state folder is.");
    sp->bytes_used = peri_metrics_gauge(m, "store_bytes", NULL, "Size of the database without its WAL.");
    sp->wal = peri_metrics_gauge(m, "store_wal_bytes", NULL, "Size of the write-ahead log.");
    sp->unused = peri_metrics_gauge(m, "store_unused_bytes", NULL, "Pages of the database that hold nothing.");
}

enum peri_status peri_space_start(struct peri_store *store, struct peri_error *err)
{
    struct space *sp = &store->space;
    struct stat sb;
    int64_t total = 0;
    metrics(store);
    if (!store->options.reserve)
        return PERI_OK;
    sp->path = peri_store_beside(store, "reserve");
    if (!sp->path)
        return peri_error_nomem(err);
    int64_t room = disk_free(store, &total);
    sp->bytes = wanted_size(store, total);
    sp->pause_ns = PAUSE_NS;
    if (stat(sp->path, &sb) == 0 && sb.st_size == sp->bytes) {
        peri_metric_set(sp->reserve, sp->bytes);
        if (room >= sp->bytes / 4)
            return PERI_OK;
    } else if (room > 2 * sp->bytes) {
        unlink(sp->path); /* of another size, or half of one */
        int why = make_reserve(store);
        if (why)
            peri_warn(store->options.log, "store", "%s can not be made: %s; a full disk will have no way out", sp->path,
                strerror(why));
        return PERI_OK;
    }
    drop_reserve(store);
    char reason[256];
    snprintf(reason, sizeof(reason), "the disk is full: %lld KiB are free", (long long)(room >> 10));
    say_full(store, reason);
    return PERI_OK;
}

bool peri_space_give(struct peri_store *store, const struct peri_error *err)
{
    if (!store->space.bytes || access(store->space.path, F_OK) != 0)
        return false;
    drop_reserve(store);
    say_full(store, err->message);
    return true;
}

/* Writes the WAL back and empties its file, if no reader is in the way. */
static int empty_wal(struct peri_store *store)
{
    sqlite3_busy_timeout(store->db.handle, CHECKPOINT_WAIT_MS);
    int rc = sqlite3_wal_checkpoint_v2(store->db.handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(store->db.handle, 5000);
    return rc & 0xFF;
}

void peri_space_full(struct peri_store *store, const struct peri_error *err)
{
    struct space *sp = &store->space;
    if (!sp->bytes || peri_health_state(store->health, NULL) != PERI_STORE_GOOD)
        return;
    bool relapse = sp->good_ns && peri_store_mono_ns() - sp->good_ns < RELAPSE_NS;
    sp->pause_ns = !relapse ? PAUSE_NS : 2 * sp->pause_ns > PAUSE_MAX_NS ? PAUSE_MAX_NS : 2 * sp->pause_ns;
    drop_reserve(store);
    (void)empty_wal(store);
    say_full(store, err->message);
}

/* Writes a row and writes the WAL back: what would fail again at once shows here. */
static bool probe(struct peri_store *store)
{
    struct peri_error err;
    enum peri_status st = peri_db_meta_set_int(&store->db, "probe", peri_clock_wall_ms(&store->options.clock), &err);
    int rc = st ? SQLITE_FULL : empty_wal(store);
    return rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED;
}

static void look_for_room(struct peri_store *store, int64_t now_ns)
{
    struct space *sp = &store->space;
    if (now_ns < sp->back_at_ns)
        return;
    sp->back_at_ns = now_ns + sp->pause_ns;
    if (disk_free(store, NULL) <= 2 * sp->bytes || make_reserve(store) != 0)
        return;
    if (!probe(store)) {
        drop_reserve(store);
        return;
    }
    sp->good_ns = now_ns;
    if (peri_health_good(store->health))
        peri_info(store->options.log, "store", "there is room on the disk again: events are accepted");
}

static void figures(struct peri_store *store)
{
    struct space *sp = &store->space;
    struct peri_error err;
    struct stat sb;
    int64_t pages = 0, size = 0, unused = 0;
    peri_metric_set(sp->disk_free, disk_free(store, NULL));
    if (peri_db_int(&store->db, "PRAGMA page_count", 0, &pages, &err) == PERI_OK &&
        peri_db_int(&store->db, "PRAGMA page_size", 0, &size, &err) == PERI_OK &&
        peri_db_int(&store->db, "PRAGMA freelist_count", 0, &unused, &err) == PERI_OK) {
        peri_metric_set(sp->bytes_used, pages * size);
        peri_metric_set(sp->unused, unused * size);
    }
    char *wal = peri_asprintf("%s-wal", store->path);
    int64_t length = wal && stat(wal, &sb) == 0 ? (int64_t)sb.st_size : 0;
    free(wal);
    peri_metric_set(sp->wal, length);
    if (length > WAL_LONG && peri_store_queued(store) == 0)
        (void)empty_wal(store);
}

void peri_space_upkeep(struct peri_store *store, int64_t now_ns)
{
    if (peri_db_is_memory(store->path))
        return;
    if (peri_health_state(store->health, NULL) == PERI_STORE_FULL)
        look_for_room(store, now_ns);
    if (peri_health_state(store->health, NULL) != PERI_STORE_DAMAGED)
        figures(store);
}

void peri_space_finish(struct peri_store *store)
{
    free(store->space.path);
}
