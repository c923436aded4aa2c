/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/failpoint.h"
#include "base/str.h"
#include "io/store_copy.h"
#include "io/store_internal.h"

/* The pages are copied inside one read transaction, so the copy is one state of the database however long it takes;
 * page by page without it, a copy under load begins again for ever. */

#define STEP_PAGES 512

enum peri_status peri_copy_create(const char *to, struct peri_db *db, char **ret_part, struct peri_error *err)
{
    char *part = peri_asprintf("%s.part", to);
    if (!part)
        return peri_error_nomem(err);
    enum peri_status st = PERI_OK;
    unlink(part);
    int fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        st = peri_error_set(err, errno == ENOSPC ? PERI_EFULL : PERI_EIO, NULL, "%s: %s", part, strerror(errno));
    else
        close(fd);
    if (!st)
        st = peri_db_open(db, part, PERI_DB_WRITE, err);
    if (st) {
        free(part);
        return st;
    }
    *ret_part = part;
    return PERI_OK;
}

static enum peri_status sync_path(const char *path, int flags, struct peri_error *err)
{
    int fd = open(path, flags | O_CLOEXEC);
    int why = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return why ? peri_error_set(err, PERI_EIO, NULL, "%s: %s", path, strerror(why)) : PERI_OK;
}

enum peri_status peri_copy_publish(const char *part, const char *to, struct peri_error *err)
{
    const char *slash = strrchr(to, '/');
    char *folder = slash ? peri_strndup(to, (size_t)(slash - to) + 1) : peri_strdup(".");
    enum peri_status st = folder ? sync_path(part, O_RDWR, err) : peri_error_nomem(err);
    PERI_FAILPOINT("backup.copied");
    if (!st && rename(part, to) != 0)
        st = peri_error_set(err, PERI_EIO, NULL, "%s can not be renamed to %s: %s", part, to, strerror(errno));
    PERI_FAILPOINT("backup.renamed");
    if (!st)
        st = sync_path(folder, O_RDONLY | O_DIRECTORY, err);
    free(folder);
    return st;
}

/* One file instead of three, no instance id, and marked as whole: the check was made. */
enum peri_status peri_copy_finish(struct peri_db *db, struct peri_error *err)
{
    enum peri_status st = peri_db_exec(db,
        "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL; DELETE FROM meta WHERE k IN('instance','probe');"
        "INSERT INTO meta(k,v) VALUES('clean','1') ON CONFLICT(k) DO UPDATE SET v='1'",
        err);
    return st ? st : peri_check_quick(db, err);
}

static enum peri_status check_target(const struct peri_copy_options *o, struct peri_error *err)
{
    struct stat from, to;
    struct peri_db db;
    int version = 0;
    if (stat(o->to, &to) != 0)
        return PERI_OK;
    if (stat(o->from, &from) == 0 && from.st_dev == to.st_dev && from.st_ino == to.st_ino)
        return peri_error_set(err, PERI_EEXIST, NULL, "%s is the database itself", o->to);
    enum peri_status st = S_ISREG(to.st_mode) ? peri_db_open(&db, o->to, PERI_DB_READ, err) : PERI_EINVAL;
    if (!st) {
        st = peri_schema_inspect(&db, peri_schema_newest(peri_schema_steps), &version, err);
        peri_db_finish(&db);
    }
    if (st == PERI_ESTATE) /* of a newer perigee, but a copy all the same */
        st = PERI_OK;
    return st ? peri_error_set(err, PERI_EEXIST, NULL, "%s is there already and is no copy of perigee's", o->to)
              : PERI_OK;
}

static enum peri_status copy_pages(
    const struct peri_copy_options *o, struct peri_db *from, struct peri_db *to, struct peri_error *err)
{
    enum peri_status st = peri_db_exec(from, "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1", err);
    if (st)
        return st;
    sqlite3_backup *backup = sqlite3_backup_init(to->handle, "main", from->handle, "main");
    if (!backup)
        return peri_db_error(to, sqlite3_errcode(to->handle), err);
    int rc = SQLITE_OK;
    bool go_on = true;
    while (rc == SQLITE_OK && go_on) {
        rc = sqlite3_backup_step(backup, STEP_PAGES);
        int64_t total = sqlite3_backup_pagecount(backup);
        if (o->progress)
            go_on = o->progress(o->ctx, "copying", total - sqlite3_backup_remaining(backup), total);
    }
    int end = sqlite3_backup_finish(backup);
    if (!go_on)
        return peri_error_set(err, PERI_ETIMEOUT, "interrupted", "given up: nothing was written");
    return rc == SQLITE_DONE && end == SQLITE_OK ? PERI_OK : peri_db_error(to, rc == SQLITE_DONE ? end : rc, err);
}

static enum peri_status describe(struct peri_db *db, const char *file, struct peri_value **ret, struct peri_error *err)
{
    static const char *const counts[][2] = {{"events", "SELECT count(*) FROM events"},
        {"runs", "SELECT count(*) FROM runs"}, {"entities", "SELECT count(*) FROM entities"},
        {"bytes", "SELECT page_count*page_size FROM pragma_page_count, pragma_page_size"}};
    struct peri_value *v = peri_value_map();
    enum peri_status st = v && peri_map_put_text(v, "file", file) == PERI_OK ? PERI_OK : peri_error_nomem(err);
    for (size_t i = 0; !st && i < sizeof(counts) / sizeof(counts[0]); i++) {
        int64_t n = 0;
        st = peri_db_int(db, counts[i][1], 0, &n, err);
        if (!st && peri_map_put_int(v, counts[i][0], n))
            st = peri_error_nomem(err);
    }
    if (st)
        peri_value_unref(v);
    else
        *ret = v;
    return st;
}

enum peri_status peri_copy_source(const char *path, struct peri_db *db, int *ret_version, struct peri_error *err)
{
    if (access(path, F_OK) != 0)
        return peri_error_set(err, errno == ENOENT ? PERI_ENOTFOUND : PERI_EIO, NULL, "%s: %s", path, strerror(errno));
    enum peri_status st = peri_db_open(db, path, PERI_DB_READ, err);
    if (st)
        return st;
    st = peri_schema_inspect(db, peri_schema_newest(peri_schema_steps), ret_version, err);
    if (!st && *ret_version == 0)
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "%s: there is no database yet", path);
    if (st)
        peri_db_finish(db);
    return st;
}

enum peri_status peri_store_backup(const struct peri_copy_options *o, struct peri_value **ret, struct peri_error *err)
{
    struct peri_db from = {0}, to = {0};
    struct peri_value *value = NULL;
    char *part = NULL;
    int version;
    enum peri_status st = peri_copy_source(o->from, &from, &version, err);
    if (st)
        return st;
    st = check_target(o, err);
    if (!st)
        st = peri_copy_create(o->to, &to, &part, err);
    if (!st)
        st = copy_pages(o, &from, &to, err);
    peri_db_finish(&from);
    if (!st && o->progress)
        (void)o->progress(o->ctx, "checking", 0, 0);
    if (!st)
        st = peri_copy_finish(&to, err);
    PERI_FAILPOINT("backup.checked");
    if (!st)
        st = describe(&to, o->to, &value, err);
    if (to.handle)
        peri_db_finish(&to);
    if (!st)
        st = peri_copy_publish(part, o->to, err);
    if (st && part)
        unlink(part);
    free(part);
    if (st)
        peri_value_unref(value);
    else
        *ret = value;
    return st;
}
