/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_COPY_H
#define PERI_IO_STORE_COPY_H

#include "io/store_db.h"

/* What backup and recover share. Only store*.c include this. */

/* Opens for reading; PERI_ENOTFOUND, PERI_ECORRUPT as peri_schema_inspect. */
enum peri_status peri_copy_source(const char *path, struct peri_db *db, int *ret_version, struct peri_error *err);
/* "<to>.part", private, empty. */
enum peri_status peri_copy_create(const char *to, struct peri_db *db, char **ret_part, struct peri_error *err);
enum peri_status peri_copy_finish(struct peri_db *db, struct peri_error *err);
/* On disk, under its name. */
enum peri_status peri_copy_publish(const char *part, const char *to, struct peri_error *err);

#endif
