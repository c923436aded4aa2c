/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_MAPPINGS_H
#define PERI_IO_STORE_MAPPINGS_H

#include "io/store.h"

/* Which id another system has for something of ours. Within a source (a plugin, as a rule) and a type every key has one
 * external id and every external id one key. Public form {id ("map-7"), source, type, key, external_id, data?,
 * updated}. */
struct peri_mapping {
    const char *source, *type, *key, *external_id; /* 1 to 255 bytes each */
    const struct peri_value *data;                 /* or NULL */
};

char *peri_mapping_id(uint64_t id, char out[32]);
bool peri_mapping_id_parse(const char *text, uint64_t *ret);
/* {source, type, key, external_id, data?} as a mapping that borrows from it. PERI_EINVAL says what is missing. */
enum peri_status peri_mapping_read(
    const struct peri_value *map, struct peri_mapping *ret, struct peri_error *err) PERI_MUST_CHECK;

/* Makes it or changes what its key has. PERI_EEXIST "mapping.conflict": another key has that external id. */
enum peri_status peri_tx_mapping_put(
    struct peri_tx *tx, const struct peri_mapping *mapping, uint64_t *ret_id, struct peri_error *err) PERI_MUST_CHECK;
/* PERI_ENOTFOUND. */
enum peri_status peri_tx_mapping_delete(struct peri_tx *tx, uint64_t id, struct peri_error *err) PERI_MUST_CHECK;
/* Nothing to delete is fine. */
enum peri_status peri_tx_mapping_delete_key(
    struct peri_tx *tx, const char *source, const char *type, const char *key, struct peri_error *err) PERI_MUST_CHECK;

struct peri_mapping_filter {
    const char *source, *type, *key, *external_id; /* exactly; NULL: any */
    uint64_t after;                                /* ids above this */
    size_t limit;                                  /* default 50, at most 1000 */
};
enum peri_status peri_reader_mappings(struct peri_reader *reader, const struct peri_mapping_filter *filter,
    struct peri_value **ret_list, struct peri_error *err) PERI_MUST_CHECK;
/* PERI_ENOTFOUND. */
enum peri_status peri_reader_mapping(
    struct peri_reader *reader, uint64_t id, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_mapping_count(
    struct peri_reader *reader, const char *source, int64_t *ret, struct peri_error *err) PERI_MUST_CHECK;

#endif
