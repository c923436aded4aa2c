/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Read-only connections. They never checkpoint, and a statement that runs longer than 250 ms is interrupted: a long
 * reader keeps the WAL from being reused. */

enum peri_status peri_reader_open(const char *path, struct peri_reader **ret, struct peri_error *err)
{
    if (!peri_db_is_memory(path) && access(path, F_OK) != 0) {
        int why = errno;
        return peri_error_set(err, why == ENOENT || why == ENOTDIR ? PERI_ENOTFOUND : PERI_EIO, NULL, "%s: %s", path,
            why == ENOENT || why == ENOTDIR ? "there is no database yet" : strerror(why));
    }
    struct peri_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return peri_error_nomem(err);
    int version = 0, newest = peri_schema_newest(peri_schema_steps);
    enum peri_status st = peri_db_open(&reader->db, path, PERI_DB_READ, err);
    if (!st)
        st = peri_schema_inspect(&reader->db, newest, &version, err);
    if (!st && version == 0)
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "%s: there is no database yet", path);
    else if (!st && version < newest)
        st = peri_error_set(err, PERI_ESTATE, "store.older",
            "%s has schema %d, this perigee reads %d: start the service once to migrate it", path, version, newest);
    if (st) {
        peri_reader_close(reader);
        return st;
    }
    *ret = reader;
    return PERI_OK;
}

enum peri_status peri_store_reader(struct peri_store *store, struct peri_reader **ret, struct peri_error *err)
{
    enum peri_status st = peri_reader_open(store->path, ret, err);
    if (!st)
        (*ret)->db.health = peri_health_ref(store->health);
    return st;
}

void peri_reader_close(struct peri_reader *reader)
{
    if (!reader)
        return;
    struct peri_health *health = reader->db.health;
    if (reader->db.handle)
        peri_db_finish(&reader->db);
    peri_health_unref(health);
    free(reader);
}
