/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_LEDGER_H
#define PERI_IO_STORE_LEDGER_H

#include "io/store.h"

/* Two lists of what went wrong, which people look through and settle.
 *
 * Dead letters: what will not happen by itself any more. Kept until somebody settles them, together with their run and
 * event, PERI_DEAD_MAX at most; above that they are only counted. Public form {id ("dl-7"), time, kind, rule?, run?,
 * event?, code, reason, resolved?, note?}. Kinds:
 *   run     a run failed and nothing handled it      event  an event was set aside
 *   rule    a rule could not decide about an event   drop   max_exceeded made no run, or dropped one
 *
 * Errors: every failed attempt, condition and plugin, PERI_ERRORS_MAX of the newest; how many there were stays as a
 * count for each hour. Public form {id ("er-7"), time, kind ("action", "condition", "plugin"), operator, code, message,
 * rule?, run?, event?, step?, attempt?, resolved?, note?}. */
#define PERI_DEAD_MAX 100000
#define PERI_ERRORS_MAX 50000
#define PERI_ERRORS_HOUR_MAX 1000 /* operators and codes that are told apart in an hour */
#define PERI_LEDGER_ID 32

struct peri_dead {
    const char *kind, *rule, *code, *reason; /* rule may be NULL */
    uint64_t run, event;                     /* or 0 */
};
struct peri_failure {
    const char *kind, *op, *code, *message, *rule; /* rule may be NULL */
    uint64_t run, event;
    int n, attempt; /* of a run's step; 0: none */
};

struct peri_ledger_filter {
    const char *kind, *op, *rule, *code; /* exactly; NULL: any. op: errors only */
    const char *state;                   /* "open" (NULL too), "resolved", "all" */
    int64_t since_ms, until_ms;          /* 0: any */
    uint64_t before, after;              /* ids below, above; 0: any */
    bool rising;                         /* oldest first */
    size_t limit;                        /* default 50, at most 1000 */
};

char *peri_dead_id(uint64_t id, char out[PERI_LEDGER_ID]);
bool peri_dead_id_parse(const char *text, uint64_t *ret);
enum peri_status peri_tx_dead_put(
    struct peri_tx *tx, const struct peri_dead *dead, struct peri_error *err) PERI_MUST_CHECK;
/* Settles one (PERI_ENOTFOUND, PERI_ESTATE: it is), those of a run, or all that the filter finds. */
enum peri_status peri_tx_dead_resolve(
    struct peri_tx *tx, uint64_t id, const char *note, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_dead_resolve_run(
    struct peri_tx *tx, uint64_t run, const char *note, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_dead_resolve_all(struct peri_tx *tx, const struct peri_ledger_filter *filter, const char *note,
    uint64_t *ret_count, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_dead(struct peri_reader *reader, const struct peri_ledger_filter *filter,
    struct peri_value **ret_list, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_dead_one(
    struct peri_reader *reader, uint64_t id, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Open ones, and those that were not kept because there were PERI_DEAD_MAX. Cheap. */
enum peri_status peri_reader_dead_count(
    struct peri_reader *reader, int64_t *ret_open, int64_t *ret_lost, struct peri_error *err) PERI_MUST_CHECK;

char *peri_failure_id(uint64_t id, char out[PERI_LEDGER_ID]);
bool peri_failure_id_parse(const char *text, uint64_t *ret);
enum peri_status peri_tx_failure_put(
    struct peri_tx *tx, const struct peri_failure *failure, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_failure_resolve(
    struct peri_tx *tx, uint64_t id, const char *note, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_failure_resolve_all(struct peri_tx *tx, const struct peri_ledger_filter *filter,
    const char *note, uint64_t *ret_count, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_failures(struct peri_reader *reader, const struct peri_ledger_filter *filter,
    struct peri_value **ret_list, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_failure(
    struct peri_reader *reader, uint64_t id, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* [{operator, code, count, open, first, last, message}] since then, most frequent first, at most 1000. count is of the
 * hours that begin then; open and the times are of those kept. */
enum peri_status peri_reader_failure_stats(
    struct peri_reader *reader, int64_t since_ms, struct peri_value **ret_list, struct peri_error *err) PERI_MUST_CHECK;
/* [{time, count, operators: {id: n}}] for each hour or day that had any, oldest first, at most 1000. op: of one
 * operator; may be NULL. */
enum peri_status peri_reader_failure_trends(struct peri_reader *reader, int64_t since_ms, bool days, const char *op,
    struct peri_value **ret_list, struct peri_error *err) PERI_MUST_CHECK;

/* Settled letters and errors 30 days later, counts 90 days later. Returns rows left of the page. */
enum peri_status peri_tx_ledger_prune(
    struct peri_tx *tx, int64_t *rows, bool *more, struct peri_error *err) PERI_MUST_CHECK;

#endif
