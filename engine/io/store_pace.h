/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_PACE_H
#define PERI_IO_STORE_PACE_H

#include "io/store.h"

/* What holds calls back over restarts: the times that rate limits have given, and circuits that are open. */

/* One call of (run, n) that a limit has given a time; it counts until keep. In durable milliseconds. What is past by
 * `now` goes, a few rows each time. */
struct peri_pace_row {
    const char *bucket;
    int64_t at, keep;
    uint64_t run;
    int n;
};
enum peri_status peri_tx_pace_put(
    struct peri_tx *tx, const struct peri_pace_row *row, int64_t now, struct peri_error *err) PERI_MUST_CHECK;
/* Those that count after `now`, in rising order for each bucket. */
enum peri_status peri_reader_pace(struct peri_reader *reader, int64_t now,
    enum peri_status (*fn)(void *arg, const struct peri_pace_row *row), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;

struct peri_circuit_stored {
    const char *destination, *code, *message;
    int64_t opened_ms, until_ms, pause_ms;
};
enum peri_status peri_tx_circuit_put(
    struct peri_tx *tx, const struct peri_circuit_stored *row, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_circuit_drop(
    struct peri_tx *tx, const char *destination, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_circuits(struct peri_reader *reader,
    enum peri_status (*fn)(void *arg, const struct peri_circuit_stored *row), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;

#endif
