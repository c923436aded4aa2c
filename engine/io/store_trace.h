/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_TRACE_H
#define PERI_IO_STORE_TRACE_H

#include "io/store.h"

/* How an event came about, oldest first, itself last: [{event, type, run?, rule?}]; run is the one that emitted it. New
 * reference; empty when the event is not kept. */
enum peri_status peri_reader_trace(
    struct peri_reader *reader, uint64_t seq, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* What a run has emitted: [{event, type, runs: [{id, rule, state}]}], at most 100. */
enum peri_status peri_reader_emitted(
    struct peri_reader *reader, uint64_t run, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;

#endif
