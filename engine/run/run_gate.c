/* SPDX-License-Identifier: Apache-2.0 */
/* Before an attempt leaves: quiet hours, an open circuit, a rate limit. Who decides is an argument (gate.c); here is
 * what follows for the run. */
#include <stdlib.h>

#include "base/vec.h"
#include "run/run_internal.h"

/* take bucket */
static void reserve(struct machine *m, const struct peri_gate_answer *a)
{
    struct peri_run_effects *out = m->out;
    if (!peri_vec_grow(
            &out->reservations, &out->reservation_cap, out->reservation_count + 1, sizeof(*out->reservations))) {
        free(a->bucket);
        m_nomem(m);
        return;
    }
    out->reservations[out->reservation_count++] =
        (struct peri_run_reservation){.bucket = a->bucket, .at = a->reserved_ms, .keep = a->keep_ms, .n = m->track->n};
}

static void leave_out(struct machine *m, const struct peri_gate_answer *a)
{
    struct peri_value *result = peri_value_map();
    if (!result || peri_map_put_text(result, "code", a->why.code) != PERI_OK ||
        peri_map_put_text(result, "reason", a->why.message) != PERI_OK)
        m_nomem(m);
    else
        m_record(m, PERI_ATTEMPT_SKIPPED, m->track->params, result, NULL);
    peri_value_unref(result);
    if (m->st == PERI_OK)
        m_next(m);
}

bool m_gate(struct machine *m)
{
    struct peri_run *run = m->run;
    struct peri_track *track = m->track;
    const struct peri_gate *gate = m->in->gate;
    if (!gate)
        return true;
    struct peri_gate_question q = {.run = run,
        .step = m_step(m),
        .params = track->params,
        .scope = &m->scope,
        .now_ms = m->in->now_ms,
        .offset_ms = m->in->offset_ms,
        .reserved_ms = track->reserved_ms};
    struct peri_gate_answer a = {.kind = PERI_GATE_GO};
    gate->ask(gate->ctx, &q, &a);
    track->reserved_ms = a.reserved_ms;
    if (a.bucket)
        reserve(m, &a);
    if (m->st != PERI_OK)
        return false;
    switch (a.kind) {
    case PERI_GATE_GO:
        track->reserved_ms = 0;
        return true;
    case PERI_GATE_HOLD:
        track->phase = PERI_PHASE_HELD;
        m_stop(m, PERI_NEXT_HELD);
        break;
    case PERI_GATE_WAIT:
        track->last = a.why;
        track->phase = PERI_PHASE_GATED;
        track->wall = a.wall;
        track->asked = true;
        track->base_ms = a.until_ms > m_steady(m) ? a.until_ms - m_steady(m) : 1;
        track->wake_ms = m_steady(m) + track->base_ms;
        m_stop(m, PERI_NEXT_SLEEP);
        break;
    case PERI_GATE_SKIP:
        leave_out(m, &a);
        break;
    case PERI_GATE_FAIL:
        m_fail(m, track->params, &a.why);
        break;
    }
    return false;
}
