/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_LEDGER_H
#define PERI_RUN_LEDGER_H

#include "io/store_runs.h"
#include "run/run.h"

/* What went wrong, entered by the transaction that stores it (io/store_ledger.h). On the store's thread. */

/* A run's transition: its failed attempts, and the run itself when it has failed and nothing handled that. */
enum peri_status ledger_run(struct peri_tx *tx, const struct peri_run_row *row, const struct peri_step_record *records,
    size_t count, struct peri_error *err) PERI_MUST_CHECK;
/* What becomes of an event, or of some of its rules: rules that could not decide, runs that were not made because of
 * max_exceeded, the event itself. */
struct match_item;
enum peri_status ledger_event(
    struct peri_tx *tx, const struct match_item *item, struct peri_error *err) PERI_MUST_CHECK;

#endif
