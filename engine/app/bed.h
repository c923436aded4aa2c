/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_BED_H
#define PERI_APP_BED_H

#include "io/secrets.h"
#include "io/store.h"
#include "run/pipeline.h"

/* What the worlds on a clock of their own have in common: tests of rules (trial_bed.c), specs of plugins (spec_bed.c)
 * and two versions of rules side by side (backtest.c). Everything here runs on the thread of their loop. */

/* A store in memory with a reader, whose work is posted to loop. On failure what was opened stays in *ret_store. */
enum peri_status peri_bed_store(struct peri_loop *loop, struct peri_log *log, struct peri_clock clock,
    struct peri_store **ret_store, struct peri_reader **ret_reader, struct peri_error *err) PERI_MUST_CHECK;
/* The last completions of what has just been destroyed. NULL: nothing. */
void peri_bed_drain(struct peri_loop *loop);

/* When a world has come to rest: quiet says so. What hangs ends by limits of its own before the real time of
 * at_most_ms; if not, PERI_ETIMEOUT with this code, and "the <who> did not come to rest". */
struct peri_bed_rest {
    bool (*quiet)(const void *ctx);
    const void *ctx;
    int64_t at_most_ms;
    const char *code, *who;
};
enum peri_status peri_bed_settle(
    struct peri_loop *loop, const struct peri_bed_rest *rest, struct peri_error *err) PERI_MUST_CHECK;

/* A write under way: peri_bed_written is its peri_store_done, and peri_bed_wait runs the loop until it was called. */
struct peri_bed_write {
    bool done;
    enum peri_status st;
    struct peri_error err;
};
void peri_bed_written(void *write, enum peri_status st, const struct peri_error *err);
enum peri_status peri_bed_wait(
    struct peri_loop *loop, const struct peri_bed_write *write, struct peri_error *err) PERI_MUST_CHECK;
/* Takes batch, also on failure; it is stored when this returns. */
enum peri_status peri_bed_submit(struct peri_loop *loop, struct peri_pipeline *pipeline, struct peri_batch *batch,
    struct peri_error *err) PERI_MUST_CHECK;

/* entities: {type: [...]}, or NULL; remove: lists of ids instead. */
enum peri_status peri_bed_put(
    struct peri_store *store, const struct peri_value *entities, bool remove, struct peri_error *err) PERI_MUST_CHECK;
/* map: {name: text}, or NULL. */
enum peri_status peri_bed_lend(
    struct peri_secrets *secrets, const struct peri_value *map, struct peri_error *err) PERI_MUST_CHECK;
/* A message on its way over a channel of a plugin, as the outbox would show it, at the end of list. PERI_ENOMEM. */
enum peri_status peri_bed_keep_message(
    struct peri_value *list, const char *plugin, const struct peri_value *message) PERI_MUST_CHECK;

#endif
