/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_BACKUP_H
#define PERI_IO_STORE_BACKUP_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "data/value.h"

/* Whole databases: a copy of one that is in use, and what can be saved of one that is damaged. Both write a new file
 * beside the named one and rename it when it is complete and checked. Neither copy has an instance id: the first start
 * gives it one, so that what it does afterwards is never taken for a repeat of what the original did. */

/* Return false to give up. total 0: not known. */
typedef bool (*peri_copy_progress)(void *ctx, const char *what, int64_t done, int64_t total);

struct peri_copy_options {
    const char *from, *to;
    peri_copy_progress progress; /* may be NULL */
    void *ctx;
};

/* from may be in use. An existing file `to` is replaced only if it is a perigee database, and never the one that is
 * copied: PERI_EEXIST. PERI_ECORRUPT: the copy is damaged, as the database is. PERI_ENOTFOUND: no database there.
 * *ret: {file, bytes, events, runs, entities}. New reference. */
enum peri_status peri_store_backup(
    const struct peri_copy_options *options, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;

/* from is not changed; `to` must not exist. Runs that are not final are paused in the copy. *ret: {file, tables:
 * [{table, saved, lost?, complete}], paused, saved, lost}: lost is how many rows at most are missing, absent when
 * nobody can say. PERI_ECORRUPT: not even the table of contents can be read. */
enum peri_status peri_store_recover(
    const struct peri_copy_options *options, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Puts a recovered copy in the place of `database`, which keeps existing, with its WAL, under the name `aside`. Hold
 * the database meanwhile. */
enum peri_status peri_store_replace(
    const char *database, const char *copy, const char *aside, struct peri_error *err) PERI_MUST_CHECK;
/* Was that stopped halfway, so that `database` has lost its WAL, which its other name still has, and the copy is whole?
 * Then it is finished. */
enum peri_status peri_store_finish_replacing(
    const char *database, const char *copy, bool *ret_done, struct peri_error *err) PERI_MUST_CHECK;
/* As an open store would, so that no service starts meanwhile; close the descriptor to let go. PERI_EBUSY: one runs. */
enum peri_status peri_store_hold(const char *database, int *ret_fd, struct peri_error *err) PERI_MUST_CHECK;

#endif
