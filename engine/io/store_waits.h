/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_WAITS_H
#define PERI_IO_STORE_WAITS_H

#include "io/store_events.h"

/* What runs wait for: a row for each wait_for and approve that is under way. Events find theirs by kind (a type or
 * glob, and the path of a field) and key (a hash of that field's value). */

struct peri_wait_row {
    uint64_t run;
    int n;            /* of the step */
    const char *type; /* NULL: a person's answer */
    const char *path; /* NULL: none */
    int64_t key;      /* 0: none */
    uint64_t since;
    const char *match; /* JSON of the pattern, or NULL */
};

enum peri_status peri_tx_wait_put(
    struct peri_tx *tx, const struct peri_wait_row *row, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_wait_drop(struct peri_tx *tx, uint64_t run, int n, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_waits_drop(struct peri_tx *tx, uint64_t run, struct peri_error *err) PERI_MUST_CHECK;
/* Every kind that somebody has waited for. path is "" where there is none. */
enum peri_status peri_tx_wait_kinds(struct peri_tx *tx,
    enum peri_status (*fn)(void *arg, int64_t kind, const char *type, const char *path), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;
#define PERI_WAIT_ANY_KEY INT64_MIN
/* Waits of a kind and key that nothing has ended yet. fn must not change waits. */
enum peri_status peri_tx_waits_at(struct peri_tx *tx, int64_t kind, int64_t key,
    enum peri_status (*fn)(void *arg, uint64_t run, int n, const char *match), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;
/* The event has ended it, unless another one was first: *ret_first. */
enum peri_status peri_tx_wait_hit(
    struct peri_tx *tx, uint64_t run, int n, uint64_t seq, bool *ret_first, struct peri_error *err) PERI_MUST_CHECK;
/* Events behind a seq in order, at most the newest `most` of all; a status of fn other than PERI_OK ends it and is
 * returned. */
enum peri_status peri_tx_events_since(struct peri_tx *tx, uint64_t since, int64_t most,
    enum peri_status (*fn)(void *arg, const struct peri_event *event), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;
/* Kinds that nobody waits for go. */
enum peri_status peri_tx_wait_kinds_tidy(struct peri_tx *tx, struct peri_error *err) PERI_MUST_CHECK;

/* Waits that an event has ended and whose run has not taken it in yet. run 0: of all. */
enum peri_status peri_reader_waits_hit(struct peri_reader *reader, uint64_t run,
    enum peri_status (*fn)(void *arg, uint64_t run, int n, uint64_t seq), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;
/* 0: none. */
enum peri_status peri_reader_newest_event(
    struct peri_reader *reader, uint64_t *ret_seq, struct peri_error *err) PERI_MUST_CHECK;
/* What waits for a person: [{id (of the run), rule, n, step?, path, prompt, schema?, until?, since}], oldest first, of
 * runs above `after`, at most limit (1 to 1000). */
enum peri_status peri_reader_approvals(struct peri_reader *reader, uint64_t after, size_t limit,
    struct peri_value **ret_list, struct peri_error *err) PERI_MUST_CHECK;
/* One of them; step is an id or a number. PERI_ENOTFOUND: it is not, or no longer, waited for. */
enum peri_status peri_reader_approval(struct peri_reader *reader, uint64_t run, const char *step,
    struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;

#endif
