/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/failpoint.h"
#include "io/store_runs.h"
#include "run/pipeline_internal.h"

/* Runs that `perigee recover` has paused go on when a person says so: from their stored state, as after a restart. */

struct resumption {
    struct peri_pipeline *p;
    uint64_t run;
    peri_change_done done;
    void *arg;
};

static enum peri_status resume_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    PERI_FAILPOINT("recovered.rows");
    return peri_tx_run_resume(tx, ((struct resumption *)arg)->run, err);
}

static void resume_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    PERI_FAILPOINT("recovered.done");
    struct resumption *r = arg;
    struct peri_pipeline *p = r->p;
    struct peri_error why = {0};
    char id[PERI_ID_TEXT];
    struct peri_value *value = NULL;
    if (err)
        why = *err;
    if (st == PERI_OK && !p->dead)
        st = recover_run(p, r->run, &why);
    if (st == PERI_OK) {
        value = peri_value_map();
        if (!value || peri_map_put_text(value, "id", peri_run_id(r->run, id)) != PERI_OK) {
            peri_value_unref(value);
            value = NULL;
        }
    }
    if (r->done)
        r->done(r->arg, st, value, &why);
    peri_value_unref(value);
    free(r);
}

enum peri_status pause_resume(
    struct peri_pipeline *p, uint64_t run, peri_change_done done, void *arg, struct peri_error *err)
{
    if (!p->started || p->draining)
        return peri_error_set(err, PERI_ESTATE, "state", "the service is %s", p->started ? "stopping" : "starting");
    struct resumption *r = calloc(1, sizeof(*r));
    if (!r)
        return peri_error_nomem(err);
    *r = (struct resumption){.p = p, .run = run, .done = done, .arg = arg};
    enum peri_status st = pipe_commit(p, 256, resume_tx, resume_done, r, false);
    if (st != PERI_OK) {
        free(r);
        return peri_error_set(err, st, NULL, "the store does not take it (%s)", peri_status_name(st));
    }
    return PERI_OK;
}
