/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_LEDGER_INTERNAL_H
#define PERI_IO_STORE_LEDGER_INTERNAL_H

#include "io/store_db.h"
#include "io/store_ledger.h"

/* What letters and errors have in common. Statements take the filter as ?1 to ?9. */

bool peri_ledger_id(const char *prefix, const char *text, uint64_t *ret);
/* sql: (now, note, id) */
enum peri_status peri_ledger_settle(struct peri_tx *tx, const char *sql, uint64_t id, const char *note,
    int64_t *ret_changed, struct peri_error *err) PERI_MUST_CHECK;
/* Nothing changed: there is none, or it was settled before. */
enum peri_status peri_ledger_settled(struct peri_tx *tx, const char *sql, uint64_t id, int64_t changed,
    const char *name, struct peri_error *err) PERI_MUST_CHECK;
/* sql: the filter, then (now, note) */
enum peri_status peri_ledger_settle_all(struct peri_tx *tx, const char *sql, const struct peri_ledger_filter *filter,
    const char *note, uint64_t *ret_count, struct peri_error *err) PERI_MUST_CHECK;

typedef enum peri_status (*peri_ledger_form)(struct peri_stmt *q, struct peri_value **ret, struct peri_error *err);
/* sql: the filter, then the limit */
enum peri_status peri_ledger_list(struct peri_reader *reader, const char *sql, const struct peri_ledger_filter *filter,
    peri_ledger_form form, struct peri_value **ret_list, struct peri_error *err) PERI_MUST_CHECK;
/* All rows of a statement that is bound already. */
enum peri_status peri_ledger_rows(
    struct peri_stmt *q, peri_ledger_form form, struct peri_value **ret_list, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_ledger_one(struct peri_reader *reader, const char *sql, uint64_t id, const char *name,
    peri_ledger_form form, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;

#endif
