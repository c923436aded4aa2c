/* SPDX-License-Identifier: Apache-2.0 */
/* A person pauses a run: from now on nothing of it begins. What is under way outside comes to its end and is kept; the
 * run is paused as soon as that has happened. Its waits go on meanwhile: events that come are noted in their rows,
 * times pass. When a person lets it go on, what has come or fallen due is taken up at once. */
#include <stdlib.h>

#include "run/run_internal.h"

/* Does this mean anything to a run that is paused, or is to be? */
bool m_paused_takes(const struct peri_run *run, const struct peri_run_input *input)
{
    switch (input->kind) {
    case PERI_INPUT_CANCEL:
    case PERI_INPUT_RESUME:
    case PERI_INPUT_CALL_OK:
    case PERI_INPUT_CALL_FAILED:
    case PERI_INPUT_RESOLVED:
        return true;
    case PERI_INPUT_RESTARTED: /* whatever became of the calls */
        return peri_run_track_in(run, PERI_PHASE_CALL) != NULL;
    default:
        return false;
    }
}

void m_pause(struct machine *m)
{
    struct peri_run *run = m->run;
    m->stop = true;
    if (run->paused_ms || run->state == PERI_RUN_UNKNOWN || run->state == PERI_RUN_QUEUED)
        m->ignored = true;
    else
        run->paused_ms = m->in->now_ms;
}

static void go_on(struct machine *m)
{
    switch (m->track->phase) {
    case PERI_PHASE_GATED: /* the reason may be gone */
        m->track->wake_ms = m->track->base_ms = 0;
        m_attempt(m);
        break;
    case PERI_PHASE_BACKOFF:
    case PERI_PHASE_DELAY:
    case PERI_PHASE_WAIT:
    case PERI_PHASE_APPROVE:
        m_stop(m, PERI_NEXT_SLEEP);
        break;
    case PERI_PHASE_CALL: /* was not over yet */
    case PERI_PHASE_UNKNOWN:
    case PERI_PHASE_JOIN:
        m->stop = true;
        break;
    case PERI_PHASE_STEP:
    case PERI_PHASE_GUARD:
    case PERI_PHASE_CHOICE:
    case PERI_PHASE_HELD:
        m_go(m);
        break;
    }
}

void m_resume(struct machine *m)
{
    m->stop = true;
    if (!m->run->paused_ms) {
        m->ignored = true;
        return;
    }
    m->run->paused_ms = 0;
    (void)m_each_track(m, go_on);
    m->ignored = false;
}
