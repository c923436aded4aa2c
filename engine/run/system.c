/* SPDX-License-Identifier: Apache-2.0 */
/* Events about the service itself. What belongs to a transition of a run is journaled with it, in one transaction; the
 * rest is submitted on its own. Nothing is journaled that nobody hears: no trigger,
 * no plugin, no wait_for or cancel_on.
 *
 * A glob that begins with a star means the world, not the service: it hears none of them.
 *
 * A rule or plugin that hears of runs must not hear of the runs it thereby starts: a run that was started by an event
 * about runs, actions or messages is not told about. What it emits under other names has its hops, as always. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "lang/index.h"
#include "lang/system_event.h"
#include "run/system.h"

#define EARLY_MAX 1000

struct pipe_early {
    char *type;
    struct peri_value *data;
};

bool pipe_heard(const struct peri_pipeline *p, const char *type)
{
    if (p->awaited && (p->awaited & peri_system_events_named(type)))
        return true;
    struct peri_index_hit hits[16];
    size_t count = p->index ? peri_index_lookup(p->index, type, hits, 16) : 0;
    for (size_t i = 0; i < count && i < 16; i++)
        if (hits[i].trigger->event[0] != '*')
            return true;
    return count > 16 || (p->ops.hears && p->ops.hears(p->ops.ctx, type));
}

bool peri_pipeline_hears(const struct peri_pipeline *p, const char *type)
{
    return pipe_heard(p, type);
}

static bool about_work(const struct peri_event *event)
{
    return event && peri_streq(event->source, PIPE_SYSTEM_SOURCE) &&
           (peri_str_starts(event->type, "run.") || peri_str_starts(event->type, "action.") ||
               peri_str_starts(event->type, "message."));
}

/* take data */
static struct peri_event *make_event(
    int64_t now_ms, const char *type, struct peri_value *data, const struct peri_event *about, const char *cause)
{
    struct peri_event *event = data ? peri_event_create() : NULL;
    if (event) {
        event->source = peri_strdup(PIPE_SYSTEM_SOURCE);
        event->type = peri_strdup(type);
        event->data = peri_json_text(data, PERI_JSON_COMPACT);
        event->data_len = event->data ? strlen(event->data) : 0;
        event->cause = peri_strdup(cause);
        event->hops = about ? about->hops + 1 : 0;
        event->received_ms = event->time_ms = now_ms;
        if (!event->source || !event->type || !event->data || (cause && !event->cause)) {
            peri_event_unref(event);
            event = NULL;
        }
    }
    peri_value_unref(data);
    return event;
}

/* --- on their own --- */

static void announced(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct peri_pipeline *p = arg;
    if (st && !p->dead)
        peri_warn(p->options.log, "system", "an event about the service was not stored: %s",
            err ? err->message : peri_status_name(st));
    pipe_release(p);
}

/* take event (may be NULL) */
static void submit(struct peri_pipeline *p, struct peri_event *event)
{
    struct peri_batch *batch = event ? peri_batch_create() : NULL;
    if (!batch) {
        peri_event_unref(event);
        return;
    }
    if (peri_batch_event(batch, event)) {
        peri_batch_destroy(batch);
        return;
    }
    pipe_hold(p);
    peri_pipeline_host_insist(p, batch, announced, p);
}

/* take data. Before the start nobody is known yet who might hear it. */
static void keep_early(struct peri_pipeline *p, const char *type, struct peri_value *data)
{
    char *copy = peri_strdup(type);
    struct pipe_early *more =
        p->early_count < EARLY_MAX ? realloc(p->early, (p->early_count + 1) * sizeof(*more)) : NULL;
    if (more)
        p->early = more;
    if (!copy || !more) {
        free(copy);
        peri_value_unref(data);
        return;
    }
    p->early[p->early_count++] = (struct pipe_early){copy, data};
}

void peri_pipeline_announce(
    struct peri_pipeline *p, const char *type, struct peri_value *data, const struct peri_event *about)
{
    if (!data || p->dead || about_work(about)) {
        peri_value_unref(data);
        return;
    }
    if (!p->started) {
        keep_early(p, type, data);
        return;
    }
    if (pipe_heard(p, type))
        submit(p, make_event(pipe_now(p), type, data, about, NULL));
    else
        peri_value_unref(data);
}

struct peri_event *peri_pipeline_system_event(
    struct peri_pipeline *p, const char *type, struct peri_value *data, const struct peri_event *about)
{
    /* What happens only once is stored although nobody is known yet who hears it. */
    bool early = !p->started, once = peri_str_starts(type, "message.") || peri_str_starts(type, "schedule.");
    if (!data || p->dead || about_work(about) || (!early && !pipe_heard(p, type))) {
        peri_value_unref(data);
        return NULL;
    }
    if (!early || once)
        return make_event(pipe_now(p), type, data, about, NULL);
    keep_early(p, type, data);
    return NULL;
}

void system_started(struct peri_pipeline *p)
{
    for (size_t i = 0; i < p->early_count; i++) {
        peri_pipeline_announce(p, p->early[i].type, p->early[i].data, NULL);
        free(p->early[i].type);
    }
    free(p->early);
    p->early = NULL;
    p->early_count = 0;
}

void system_finish(struct peri_pipeline *p)
{
    for (size_t i = 0; i < p->early_count; i++) {
        free(p->early[i].type);
        peri_value_unref(p->early[i].data);
    }
    free(p->early);
    p->early = NULL;
    p->early_count = 0;
}

/* --- runs --- */

static struct peri_value *run_data(uint64_t run, const char *rule, uint64_t event)
{
    struct peri_value *data = peri_value_map();
    char id[PERI_ID_TEXT];
    if (data && !peri_map_put_text(data, "run", peri_run_id(run, id)) && !peri_map_put_text(data, "rule", rule) &&
        !peri_map_put_text(data, "event", peri_event_id(event, id)))
        return data;
    peri_value_unref(data);
    return NULL;
}

/* {code, message} of a longer error; NULL when there is none. */
static struct peri_value *short_error(const struct peri_value *error)
{
    struct peri_value *v = error ? peri_value_map() : NULL;
    const char *code = peri_map_text(error, "code"), *message = peri_map_text(error, "message");
    if (v && !peri_map_put_text(v, "code", code ? code : "") &&
        !peri_map_put_text(v, "message", message ? message : ""))
        return v;
    peri_value_unref(v);
    return NULL;
}

/* take data and error; NULL when memory is out. */
static struct peri_value *ended_data(
    struct peri_value *data, const char *state, int64_t duration_ms, struct peri_value *error)
{
    enum peri_status st = data ? PERI_OK : PERI_ENOMEM;
    if (!st && state)
        st = peri_map_put_text(data, "state", state);
    if (!st)
        st = peri_map_put_int(data, "duration_ms", duration_ms > 0 ? duration_ms : 0);
    if (!st && error)
        st = peri_map_put_ref(data, "error", error);
    peri_value_unref(error);
    if (!st)
        return data;
    peri_value_unref(data);
    return NULL;
}

static bool add(struct live *live, struct system_events *to, const char *type, struct peri_value *data)
{
    char cause[PERI_ID_TEXT];
    struct peri_event *event =
        make_event(pipe_now(live->p), type, data, live->event, peri_run_id(live->run->id, cause));
    struct peri_event **more = event ? realloc(to->items, (to->count + 1) * sizeof(struct peri_event *)) : NULL;
    if (!more) {
        peri_event_unref(event);
        return false;
    }
    to->items = more;
    to->items[to->count++] = event;
    return true;
}

static struct peri_value *this_run(const struct live *live)
{
    return run_data(live->run->id, live->run->rule->id, live->event->seq);
}

static bool add_end(struct live *live, struct system_events *to)
{
    const struct peri_run *run = live->run;
    int64_t took = run->ended_ms - run->created_ms;
    if (pipe_heard(live->p, "run.Finished") &&
        !add(live, to, "run.Finished",
            ended_data(this_run(live), peri_run_state_name(run->state), took, short_error(run->error))))
        return false;
    return run->state != PERI_RUN_FAILED || !pipe_heard(live->p, "run.Failed") ||
           add(live, to, "run.Failed", ended_data(this_run(live), NULL, took, short_error(run->error)));
}

static const char *attempt_word(enum peri_attempt_state state)
{
    switch (state) {
    case PERI_ATTEMPT_DONE:
        return "done";
    case PERI_ATTEMPT_RETRY:
        return "retry";
    case PERI_ATTEMPT_UNKNOWN:
        return "unknown";
    case PERI_ATTEMPT_CANCELLED:
        return "cancelled";
    default:
        return "failed";
    }
}

static struct peri_value *action_data(const struct live *live, const struct peri_step_record *r)
{
    struct peri_value *data = this_run(live), *error = NULL;
    enum peri_status st = data ? peri_map_put_text(data, "step", r->path) : PERI_ENOMEM;
    if (!st && r->step_id)
        st = peri_map_put_text(data, "id", r->step_id);
    if (!st)
        st = peri_map_put_text(data, "operator", r->op);
    if (!st)
        st = peri_map_put_int(data, "attempt", r->attempt);
    if (!st && r->state == PERI_ATTEMPT_STARTED)
        return data;
    if (!st && r->error)
        (void)!peri_json_parse(r->error, strlen(r->error), &error, NULL);
    if (!st) {
        struct peri_value *brief = short_error(error);
        peri_value_unref(error);
        return ended_data(data, attempt_word(r->state), r->ended_ms - r->started_ms, brief);
    }
    peri_value_unref(data);
    return NULL;
}

static bool add_actions(struct live *live, const struct peri_run_effects *effects, struct system_events *to)
{
    bool before = pipe_heard(live->p, "action.Before"), after = pipe_heard(live->p, "action.After");
    for (size_t i = 0; (before || after) && i < effects->record_count; i++) {
        const struct peri_step_record *r = &effects->records[i];
        bool starts = r->state == PERI_ATTEMPT_STARTED;
        if (!r->key || (starts ? !before : !after))
            continue;
        if (!add(live, to, starts ? "action.Before" : "action.After", action_data(live, r)))
            return false;
    }
    return true;
}

bool system_transition(struct live *live, const struct peri_run_effects *effects, struct system_events *to)
{
    enum peri_run_state now = live->run->state;
    if (about_work(live->event))
        return true;
    if (live->unstarted && now != PERI_RUN_CANCELLED && pipe_heard(live->p, "run.Started") &&
        !add(live, to, "run.Started", this_run(live)))
        return false;
    return add_actions(live, effects, to) && (!peri_run_is_final(now) || add_end(live, to));
}

/* --- runs that others end --- */

void system_stops_prepare(const struct peri_pipeline *p, struct peri_lane_stops *stops)
{
    stops->tell_finished = pipe_heard(p, "run.Finished");
    stops->tell_failed = pipe_heard(p, "run.Failed");
    stops->now_ms = pipe_now(p);
}

static struct peri_value *why_value(const char *code, const char *message)
{
    struct peri_value *v = peri_value_map();
    if (v && !peri_map_put_text(v, "code", code) && !peri_map_put_text(v, "message", message))
        return v;
    peri_value_unref(v);
    return NULL;
}

/* take data */
static enum peri_status tell_in(struct peri_tx *tx, const char *type, struct peri_value *data,
    const struct peri_event *about, uint64_t run, struct peri_lane_stops *stops, struct peri_error *err)
{
    char cause[PERI_ID_TEXT];
    struct peri_event *event = make_event(stops->now_ms, type, data, about, peri_run_id(run, cause));
    if (!event || !peri_vec_grow(&stops->told, &stops->told_cap, stops->told_count + 1, sizeof(*stops->told))) {
        peri_event_unref(event);
        return peri_error_nomem(err);
    }
    stops->told[stops->told_count++] = event;
    enum peri_status st = peri_tx_event_insert(tx, event, err);
    return st == PERI_OK ? peri_waits_hear(tx, &event, 1, &stops->hits, err) : st;
}

enum peri_status system_tell_stopped(struct peri_tx *tx, uint64_t run, enum peri_run_state state, const char *code,
    const char *message, struct peri_lane_stops *stops, struct peri_error *err)
{
    char *rule = NULL;
    uint64_t seq = 0;
    int64_t created = 0;
    struct peri_event *about = NULL;
    bool failed = stops->tell_failed && state == PERI_RUN_FAILED;
    if (!stops->tell_finished && !failed)
        return PERI_OK;
    enum peri_status st = peri_tx_run_brief(tx, run, &rule, &seq, &created, err);
    if (st == PERI_OK)
        st = peri_tx_event(tx, seq, &about, err);
    bool tells = st == PERI_OK && !about_work(about);
    int64_t took = stops->now_ms - created;
    if (tells && stops->tell_finished)
        st = tell_in(tx, "run.Finished",
            ended_data(run_data(run, rule, seq), peri_run_state_name(state), took, why_value(code, message)), about,
            run, stops, err);
    if (st == PERI_OK && tells && failed)
        st = tell_in(tx, "run.Failed", ended_data(run_data(run, rule, seq), NULL, took, why_value(code, message)),
            about, run, stops, err);
    peri_event_unref(about);
    free(rule);
    return st;
}

void system_stops_told(struct peri_pipeline *p, const struct peri_lane_stops *stops)
{
    for (size_t i = 0; i < stops->told_count; i++)
        pipe_journaled(p, stops->told[i]);
    live_heard(p, &stops->hits);
}
