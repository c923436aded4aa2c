/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "lang/pattern.h"
#include "run/run_internal.h"
#include "run/wait.h"

/* Steps that wait for something outside. Of each there is a row in `waits` as long as it waits: an event finds by it
 * those that it concerns, in the transaction in which it is journaled. */

/* --- rows --- */

/* take path and match */
static void add_wait(struct machine *m, const struct peri_run_wait *wait)
{
    struct peri_run_effects *out = m->out;
    if (m->st != PERI_OK || !peri_vec_grow(&out->waits, &out->wait_cap, out->wait_count + 1, sizeof(*out->waits))) {
        free(wait->path);
        free(wait->match);
        m_nomem(m);
        return;
    }
    out->waits[out->wait_count++] = *wait;
}

void m_unwait(struct machine *m)
{
    struct peri_run_effects *out = m->out;
    if (peri_vec_grow(&out->unwaits, &out->unwait_cap, out->unwait_count + 1, sizeof(int)))
        out->unwaits[out->unwait_count++] = m->track->n;
    else
        m_nomem(m);
}

/* --- beginning --- */

/* params is what the row of the step shows: with `until`, when there is a limit. False: the step has failed. */
static bool set_times(struct machine *m, const struct peri_step *step, struct peri_value *params)
{
    struct peri_track *track = m->track;
    struct peri_error error = {0};
    struct peri_value *limit = step->limit ? m_render(m, step->limit) : NULL;
    int64_t ms = 0;
    if (step->limit && !limit)
        return false;
    bool good = !limit || m_length(limit, "timeout", &ms, &error);
    peri_value_unref(limit);
    if (!good) {
        m_fail(m, params, &error);
        return false;
    }
    if (step->limit) {
        track->base_ms = ms > 0 ? ms : 1;
        track->wake_ms = m_steady(m) + track->base_ms;
    }
    if (step->timeout_ms > 0) {
        track->due_base_ms = step->timeout_ms;
        track->due_ms = m_steady(m) + step->timeout_ms;
    }
    int64_t until = track->wake_ms;
    if (track->due_ms && (!until || track->due_ms < until))
        until = track->due_ms;
    if (until && peri_map_put_time(params, "until", until + m->in->offset_ms) != PERI_OK) {
        m_nomem(m);
        return false;
    }
    return true;
}

static void begin(struct machine *m, enum peri_phase phase, struct peri_value *params)
{
    struct peri_track *track = m->track;
    m_record(m, PERI_ATTEMPT_STARTED, params, NULL, NULL);
    peri_value_unref(track->params);
    track->params = peri_value_ref(params);
    track->phase = phase;
    if (m->st == PERI_OK)
        m_stop(m, PERI_NEXT_SLEEP);
}

/* The pattern as JSON, and the field that an index goes by. False: the step has failed. */
static bool render_match(
    struct machine *m, const struct peri_step *step, struct peri_value *params, struct peri_run_wait *wait)
{
    struct peri_pattern *pattern = NULL;
    struct peri_error error = {0};
    struct peri_value *match = m_render(m, step->wait_match);
    if (!match)
        return false;
    wait->match = peri_json_text(match, PERI_JSON_COMPACT);
    bool memory = wait->match && peri_map_put_ref(params, "match", match) == PERI_OK &&
                  peri_wait_index(match, &wait->path, &wait->key);
    peri_value_unref(match);
    if (!memory) {
        m_nomem(m);
        return false;
    }
    if (strlen(wait->match) > PERI_WAIT_MATCH_MAX)
        (void)peri_error_set(
            &error, PERI_ELIMIT, "too_large", "`match` is larger than %d KiB of JSON", PERI_WAIT_MATCH_MAX / 1024);
    else if (peri_pattern_compile_json(wait->match, strlen(wait->match), &pattern, &error) == PERI_OK)
        peri_pattern_destroy(pattern);
    if (error.status == PERI_OK)
        return true;
    m_fail(m, params, &error);
    return false;
}

void m_wait(struct machine *m, const struct peri_step *step)
{
    struct peri_track *track = m->track;
    struct peri_run_wait wait = {.n = track->n, .type = step->wait_event};
    wait.since = track->since ? track->since : m->in->seq;
    struct peri_value *params = peri_value_map();
    if (!params || peri_map_put_text(params, "event", step->wait_event) != PERI_OK)
        m_nomem(m);
    else if ((!step->wait_match || render_match(m, step, params, &wait)) && set_times(m, step, params)) {
        begin(m, PERI_PHASE_WAIT, params);
        add_wait(m, &wait);
        wait.path = wait.match = NULL;
    }
    free(wait.path);
    free(wait.match);
    peri_value_unref(params);
}

void m_approve(struct machine *m, const struct peri_step *step)
{
    struct peri_value *params = peri_value_map(), *prompt = m_render(m, step->prompt);
    if (!prompt) {
        peri_value_unref(params);
        return;
    }
    bool good = params && peri_map_put_ref(params, "prompt", prompt) == PERI_OK;
    if (good && step->schema)
        good = peri_map_put_ref(params, "schema", peri_schema_source(step->schema)) == PERI_OK;
    peri_value_unref(prompt);
    if (!good) {
        m_nomem(m);
    } else if (set_times(m, step, params)) {
        begin(m, PERI_PHASE_APPROVE, params);
        add_wait(m, &(struct peri_run_wait){.n = m->track->n});
    }
    peri_value_unref(params);
}

/* --- ending --- */

static void done(struct machine *m, const struct peri_value *result)
{
    struct peri_value *params = peri_value_ref(m->track->params);
    m_unwait(m);
    m->track->phase = PERI_PHASE_STEP;
    if (m->st == PERI_OK)
        m_done(m, params, result);
    peri_value_unref(params);
}

static void fail(struct machine *m, const struct peri_error *error)
{
    struct peri_value *params = peri_value_ref(m->track->params);
    m_unwait(m);
    m->track->phase = PERI_PHASE_STEP;
    if (m->st == PERI_OK)
        m_fail(m, params, error);
    peri_value_unref(params);
}

/* events.<as>: beside what other waits and the trigger have put there. */
static bool name_event(struct machine *m, const char *as, const struct peri_value *payload)
{
    struct peri_track *track = m->track;
    const struct peri_value *before = m->scope.lookup(m->scope.ctx, "events", 6);
    struct peri_value *events = before ? peri_value_copy(before) : peri_value_map();
    bool good = events && payload && peri_map_put_ref(events, as, payload) == PERI_OK &&
                m_assign(m, &track->bound, "events", events);
    peri_value_unref(events);
    if (!good)
        m_nomem(m);
    return good;
}

void m_heard(struct machine *m)
{
    struct peri_track *track = m->track;
    const struct peri_step *step = m_step(m);
    const struct peri_value *event = m->in->value, *payload = peri_map_at(event, "data");
    struct peri_error error = {0};
    struct peri_value *bound = peri_value_ref(track->bound), *result = peri_value_map();
    bool good = result && peri_map_put_bool(result, "timed_out", false) == PERI_OK &&
                peri_map_put_text(result, "id", peri_map_text(event, "id")) == PERI_OK &&
                peri_map_put_text(result, "type", peri_map_text(event, "type")) == PERI_OK &&
                peri_map_put_text(result, "time", peri_map_text(event, "time")) == PERI_OK &&
                (!payload || peri_map_put_ref(result, "event", payload) == PERI_OK);
    if (!good) {
        m_nomem(m);
    } else if (!step->as || name_event(m, step->as, payload)) {
        if (m_measure(m, &error) == PERI_OK) {
            done(m, result);
        } else { /* it has come, but there is no room for it */
            peri_value_unref(track->bound);
            track->bound = peri_value_ref(bound);
            fail(m, &error);
        }
    }
    peri_value_unref(bound);
    peri_value_unref(result);
}

void m_answered(struct machine *m)
{
    done(m, m->in->value);
}

static void no_answer(struct machine *m, const struct peri_step *step)
{
    struct peri_error error = {0};
    struct peri_value *answer = NULL;
    struct peri_schema_report report = {0};
    enum peri_status st = PERI_OK;
    if (!step->fallback)
        st = peri_error_set(&error, PERI_ETIMEOUT, "timeout", "nobody has answered in time");
    else
        st = peri_template_render(step->fallback, &m->scope, &answer, &error);
    if (st == PERI_OK && step->schema)
        st = peri_schema_check(step->schema, answer, &report);
    if (st == PERI_ENOMEM)
        m_nomem(m);
    else if (st != PERI_OK && error.status == PERI_OK)
        st = peri_error_set(&error, PERI_EINVAL, "default", "the default answer is none that the schema takes: %s",
            report.count ? report.items[0].message : "?");
    peri_schema_report_finish(&report);
    if (st == PERI_OK)
        done(m, answer);
    else if (st != PERI_ENOMEM)
        fail(m, &error);
    peri_value_unref(answer);
}

void m_waited(struct machine *m)
{
    const struct peri_step *step = m_step(m);
    if (m->track->phase == PERI_PHASE_APPROVE) {
        no_answer(m, step);
        return;
    }
    struct peri_value *result = peri_value_map();
    if (!result || peri_map_put_bool(result, "timed_out", true) != PERI_OK)
        m_nomem(m);
    else
        done(m, result);
    peri_value_unref(result);
}
