/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>
#include "base/str.h"
#include "io/store_internal.h"

/* SQLite goes on writing into files that have no name any more: nothing of that would be there after a restart. So each
 * group asks first whether the names still lead to what was opened. */

static enum peri_status same_file(const char *path, dev_t *device, ino_t *inode, struct peri_error *err)
{
    struct stat info = {0};
    bool there = stat(path, &info) == 0;
    if (!*inode) { /* the WAL may come later */
        *device = info.st_dev;
        *inode = info.st_ino;
        return PERI_OK;
    }
    if (there && info.st_dev == *device && info.st_ino == *inode)
        return PERI_OK;
    return peri_error_set(err, PERI_EIO, "database_gone",
        "%s was deleted or replaced under the service: what is written now would be lost; restart it", path);
}

enum peri_status peri_files_check(struct peri_store *store, struct peri_error *err)
{
    struct files *files = &store->files;
    if (!files->wal)
        return PERI_OK;
    enum peri_status st = same_file(store->path, &files->device, &files->inode, err);
    return st ? st : same_file(files->wal, &files->wal_device, &files->wal_inode, err);
}

enum peri_status peri_files_start(struct peri_store *store, struct peri_error *err)
{
    store->files.wal = peri_asprintf("%s-wal", store->path);
    return store->files.wal ? peri_files_check(store, err) : peri_error_nomem(err);
}

bool peri_store_is_gone(const struct peri_store *store)
{
    const struct files *files = &store->files; /* those of the database stay as they are found at the start */
    struct stat info = {0};
    return files->wal && files->inode &&
           (stat(store->path, &info) != 0 || info.st_dev != files->device || info.st_ino != files->inode);
}
