/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "io/store_ledger.h"
#include "run/pipeline_internal.h"

/* A dead letter goes once more: its run as a new run (whose transaction settles all letters of the old one), else its
 * event as a new event, for the rule that could not decide or had no room. */

struct settlement {
    uint64_t letter;
};

void peri_pipeline_count_dead(struct peri_pipeline *p, int64_t *ret_open, int64_t *ret_lost)
{
    struct peri_error err;
    int64_t lost = p->dead_lost;
    *ret_open = 0;
    if (peri_reader_dead_count(p->reader, ret_open, &lost, &err) != PERI_OK)
        peri_warn(p->options.log, "run", "dead letters cannot be counted: %s", err.message);
    if (lost > p->dead_lost)
        peri_err(p->options.log, "run",
            "there are %d dead letters: no more are kept (%lld so far). Look at `perigee dead list`", PERI_DEAD_MAX,
            (long long)lost);
    p->dead_lost = *ret_lost = lost;
    peri_metric_set(p->metrics.dead_letters, *ret_open);
}

/* Somebody may have settled it meanwhile: the event goes all the same. */
static enum peri_status settle(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    enum peri_status st = peri_tx_dead_resolve(tx, ((struct settlement *)arg)->letter, "redriven", err);
    PERI_FAILPOINT("redrive.rows");
    return st == PERI_ESTATE || st == PERI_ENOTFOUND ? PERI_OK : st;
}

enum peri_status peri_pipeline_redrive(
    struct peri_pipeline *p, uint64_t letter, peri_change_done done, void *arg, struct peri_error *err)
{
    struct peri_value *v = NULL;
    uint64_t run = 0, event = 0;
    enum peri_status st = peri_reader_dead_one(p->reader, letter, &v, err);
    if (st != PERI_OK)
        return st;
    const char *run_text = peri_map_text(v, "run"), *event_text = peri_map_text(v, "event");
    if (peri_map_at(v, "resolved")) {
        st = peri_error_set(err, PERI_ESTATE, "state", "%s is resolved already", peri_map_text(v, "id"));
    } else if (run_text && peri_run_id_parse(run_text, &run)) {
        st = peri_pipeline_retry(p, run, done, arg, err);
    } else if (event_text && peri_event_id_parse(event_text, &event)) {
        struct settlement *s = malloc(sizeof(*s));
        if (s)
            s->letter = letter;
        st = s ? pipe_replay(p, event, peri_map_text(v, "rule"), settle, s, done, arg, err) : peri_error_nomem(err);
    } else {
        st = peri_error_set(err, PERI_ESTATE, "state", "%s names neither a run nor an event", peri_map_text(v, "id"));
    }
    peri_value_unref(v);
    return st;
}
