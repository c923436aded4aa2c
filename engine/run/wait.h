/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_WAIT_H
#define PERI_RUN_WAIT_H

#include <stdbool.h>
#include "io/store_events.h"
#include "io/store_waits.h"
#include "run/run.h"

/* Which waiting runs an event concerns. A million may wait for events of one type; mostly each names one value in its
 * pattern, such as {orderId: ["o-17"]}. That field is the path of the wait, a hash of the value its key, and (type,
 * path, key) an index: an event looks only at those that wait for its own values. The pattern has the last word. */

#define PERI_WAIT_MATCH_MAX (16 * 1024)
#define PERI_WAIT_BACK_MAX 10000 /* events that a new wait looks back at */

/* The first field of a pattern that can only have one value: its path as a JSON list (malloc'ed; NULL: there is none)
 * and the value's key, never 0. False: memory is out. */
bool peri_wait_index(const struct peri_value *match, char **ret_path, int64_t *ret_key);
/* Keys of all values that a payload has at a path, lists looked through. How many there are; above max it only says so.
 */
size_t peri_wait_keys(const struct peri_value *payload, const struct peri_value *path, int64_t *keys, size_t max);

/* Waits that an event has ended. */
struct peri_wait_hit {
    uint64_t run, seq;
    int n;
};
struct peri_wait_hits {
    struct peri_wait_hit *items; /* malloc'ed */
    size_t count, cap;
};

/* On the store's thread. Marks every wait that one of the events ends; appends to hits. */
enum peri_status peri_waits_hear(struct peri_tx *tx, struct peri_event *const *events, size_t count,
    struct peri_wait_hits *hits, struct peri_error *err) PERI_MUST_CHECK;
/* A new wait: its row, and whether something has come since that ends it already. */
enum peri_status peri_waits_add(struct peri_tx *tx, uint64_t run, const struct peri_run_wait *wait,
    struct peri_wait_hits *hits, struct peri_error *err) PERI_MUST_CHECK;

#endif
