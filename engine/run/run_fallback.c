/* SPDX-License-Identifier: Apache-2.0 */
/* A message that cannot be sent as it is: its template fails, it is too long, the channel refuses it for good. Where
 * the channel has a fallback, that text goes to the same recipient, as a message of its own: the failure is the row of
 * one attempt, the fallback the next. Its key shows that it is one, so there is no second. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "run/run_internal.h"

#define SUFFIX "~fallback"

static char *key_of(const struct machine *m)
{
    const struct peri_track *track = m->track;
    if (track->key)
        return peri_strdup(track->key);
    return peri_asprintf("%s.%llu/%d", m->run->kprefix, (unsigned long long)m->run->id, track->n);
}

static struct peri_value *make(struct machine *m)
{
    const struct peri_step *step = m_step(m);
    struct peri_value *params = m->track->params ? peri_value_ref(m->track->params)
                                : step->params   ? peri_template_render_partly(step->params, &m->scope)
                                                 : NULL;
    struct peri_value *made = params ? m->in->fallback(m->in->fallback_ctx, step, params) : NULL;
    peri_value_unref(params);
    return made;
}

bool m_fallback(struct machine *m, const struct peri_error *error)
{
    struct peri_track *track = m->track;
    if (!m->in->fallback || error->retryable || error->outcome_unknown ||
        (track->key && peri_str_ends(track->key, SUFFIX)))
        return false;
    struct peri_value *params = make(m);
    if (!params)
        return false;
    char *first = key_of(m), *key = first ? peri_asprintf("%s" SUFFIX, first) : NULL;
    free(track->key);
    track->key = first;
    if (track->attempt == 0) { /* the message itself counts as one, although it never left */
        track->attempt = 1;
        track->attempt_ms = m->in->now_ms;
    }
    if (key)
        m_record(m, PERI_ATTEMPT_RETRY, track->params, NULL, error);
    else
        m_nomem(m);
    free(track->key);
    track->key = key;
    peri_value_unref(track->params);
    track->params = params;
    track->free_attempts = track->attempt; /* another message, a budget of its own */
    track->first_ms = m->in->now_ms;
    track->tried_ms = m_steady(m);
    if (m->st == PERI_OK)
        m_attempt(m);
    return true;
}
