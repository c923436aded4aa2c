/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "lang/glob.h"
#include "run/pipeline_internal.h"
#include "run/slots.h"
#include "run/wait.h"

#define NAME_MAX_BYTES 1024 /* source, subject, external id */
#define AHEAD_MS (24 * 3600 * 1000LL)

void pipe_metrics_init(struct peri_pipeline *p)
{
    struct peri_metrics *m = p->options.metrics;
    static const char *const states[] = {
        "state=\"succeeded\"", "state=\"failed\"", "state=\"cancelled\"", "state=\"dropped\""};
    static const char *const words[PERI_VERDICTS] = {"verdict=\"fired\"", "verdict=\"no\"", "verdict=\"error\"",
        "verdict=\"dead\"", "verdict=\"queued\"", "verdict=\"dropped\"", "verdict=\"throttled\"", "verdict=\"held\"",
        "verdict=\"disabled\""};
    struct pipe_metrics *x = &p->metrics;
    x->accepted = peri_metrics_counter(m, "events_accepted_total", NULL, "Events stored in the journal.");
    x->duplicate = peri_metrics_counter(m, "events_duplicate_total", NULL, "Events whose source and id were known.");
    x->rejected = peri_metrics_counter(m, "events_rejected_total", NULL, "Events refused as malformed or too large.");
    x->shed = peri_metrics_counter(m, "events_shed_total", NULL, "Events refused for want of room, or as too many.");
    x->matched = peri_metrics_counter(m, "events_matched_total", NULL, "Events evaluated to the end.");
    x->unheard = peri_metrics_counter(m, "events_unheard_total", NULL, "Evaluated events that no rule hears.");
    x->dead = peri_metrics_counter(m, "events_dead_total", NULL, "Events set aside.");
    x->started = peri_metrics_counter(m, "runs_started_total", NULL, "Runs made.");
    for (size_t i = 0; i < 4; i++)
        x->ended[i] = peri_metrics_counter(m, "runs_ended_total", states[i], "Runs ended, by state.");
    for (size_t i = 0; i < PERI_VERDICTS; i++)
        x->verdicts[i] = peri_metrics_counter(m, "verdicts_total", words[i], "Verdicts, by kind.");
    x->steps = peri_metrics_counter(m, "steps_total", NULL, "Step rows written.");
    x->retries = peri_metrics_counter(m, "attempts_retried_total", NULL, "Attempts that will be made again.");
    x->bugs =
        peri_metrics_counter(m, "run_bugs_total", NULL, "Transitions that found another state stored than expected.");
    x->orphans = peri_metrics_counter(m, "runs_orphaned_total", NULL, "Runs that nobody in memory went on with.");
    x->store_retries =
        peri_metrics_counter(m, "store_retries_total", NULL, "Transactions repeated after the store failed.");
    x->evicted = peri_metrics_counter(
        m, "watch_evicted_total", NULL, "Keys, or single events of a key, that triggers forgot for want of room.");
    x->unmatched = peri_metrics_gauge(m, "events_unmatched", NULL, "Journaled events not evaluated yet.");
    x->live = peri_metrics_gauge(m, "runs_live", NULL, "Runs that are not final.");
    x->in_memory = peri_metrics_gauge(m, "runs_in_memory", NULL, "Runs ready or with a call in flight.");
    x->asked_again = peri_metrics_counter(
        m, "conditions_asked_again_total", NULL, "Condition calls that failed for a passing reason and were repeated.");
    x->dead_letters = peri_metrics_gauge(m, "dead_letters", NULL, "Dead letters that nobody has settled.");
    x->crowded = peri_metrics_gauge(m, "attempts_crowded", NULL,
        "Attempts that wait because as many calls as may be are under way to their destination.");
    x->in_flight = peri_metrics_gauge(m, "calls_in_flight", NULL, "Action calls under way.");
}

void pipe_metrics_update(struct peri_pipeline *p)
{
    peri_metric_set(p->metrics.unmatched, p->unmatched);
    peri_metric_set(p->metrics.live, p->live_runs);
    peri_metric_set(p->metrics.in_memory, (int64_t)p->live_memory);
    peri_metric_set(p->metrics.in_flight, (int64_t)p->calls);
    peri_metric_set(p->metrics.crowded, (int64_t)slots_waiting(p->slots));
}

static enum peri_status check_text(const char *what, const char *text, struct peri_error *err)
{
    size_t len = text ? strlen(text) : 0;
    if (len > NAME_MAX_BYTES)
        return peri_error_set(
            err, PERI_EINVAL, "too_long", "%s has %zu bytes, at most %d are allowed", what, len, NAME_MAX_BYTES);
    if (text && !peri_utf8_valid(text, len, NULL))
        return peri_error_set(err, PERI_EINVAL, "encoding", "%s is not valid UTF-8", what);
    return PERI_OK;
}

/* like: an event whose type and source have been found right, or NULL. */
static enum peri_status check_event(
    struct peri_pipeline *p, struct peri_event *event, const struct peri_event *like, struct peri_error *err)
{
    if (!event->type)
        return peri_error_set(err, PERI_EINVAL, "type", "the event has no type");
    enum peri_status st =
        like && strcmp(like->type, event->type) == 0 ? PERI_OK : peri_event_type_check(event->type, err);
    if (st != PERI_OK)
        return st;
    if (!event->source || !*event->source) {
        peri_event_put_text(event, &event->source, peri_strdup("api"));
        if (!event->source)
            return peri_error_nomem(err);
    }
    if (!event->data) {
        event->data = peri_strdup("null");
        if (!event->data)
            return peri_error_nomem(err);
        event->data_len = 4;
    }
    if (event->external_id && !*event->external_id)
        return peri_error_set(err, PERI_EINVAL, "id", "the event's id is empty");
    bool known_source = like && strcmp(like->source, event->source) == 0;
    if ((!known_source && check_text("source", event->source, err) != PERI_OK) ||
        check_text("subject", event->subject, err) != PERI_OK || check_text("id", event->external_id, err) != PERI_OK)
        return PERI_EINVAL;
    if (event->data_len > p->options.max_event_bytes)
        return peri_error_set(err, PERI_EINVAL, "too_large", "the event's data has %zu bytes, at most %zu are allowed",
            event->data_len, p->options.max_event_bytes);
    if (event->hops < 0)
        return peri_error_set(err, PERI_EINVAL, "hops", "hops is negative");
    event->received_ms = pipe_now(p);
    if (event->time_ms == 0)
        event->time_ms = event->received_ms;
    else if (event->time_ms - event->received_ms > AHEAD_MS)
        peri_warn(
            p->options.log, "ingest", "%s from %s carries a time more than a day ahead", event->type, event->source);
    return PERI_OK;
}

enum peri_status pipe_ingest_check(struct peri_pipeline *p, struct peri_event *event, struct peri_error *err)
{
    return check_event(p, event, NULL, err);
}

/* mt: those that were evaluated before they were stored; or NULL. */
static void journaled(struct peri_pipeline *p, struct peri_event *event, struct match_tx *mt)
{
    const struct match_item *item = match_at_once_next(mt, event);
    if (event->duplicate) {
        p->counts.duplicate++;
        peri_metric_add(p->metrics.duplicate, 1);
        return;
    }
    p->counts.accepted++;
    peri_metric_add(p->metrics.accepted, 1);
    if (event->seq > p->seen_seq)
        p->seen_seq = event->seq;
    pipe_saw(p, event);
    pipe_notify_event(p, event, "journaled");
    if (item) {
        match_item_stored(p, mt, item);
    } else if (event->unheard) {
        match_unheard_stored(p, event);
    } else {
        if (event->seq > p->counted_seq)
            p->unmatched++;
        match_offer(p, event);
    }
    if (p->ops.journaled)
        p->ops.journaled(p->ops.ctx, event);
}

void pipe_journaled(struct peri_pipeline *p, struct peri_event *event)
{
    journaled(p, event, NULL);
}

struct ingest {
    struct peri_pipeline *p;
    struct peri_batch *batch;
    struct peri_event **events; /* of the batch */
    struct match_tx *at_once;   /* those that end here; or NULL */
    struct peri_wait_hits hits;
    int64_t began_ms;
    bool stubborn;
    peri_store_done done;
    void *arg;
};

static enum peri_status ingest_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct ingest *in = arg;
    enum peri_status st = peri_tx_batch(tx, in->batch, err);
    in->hits.count = 0;
    if (st == PERI_OK)
        st = peri_waits_hear(tx, in->events, peri_batch_events(in->batch), &in->hits, err);
    if (st == PERI_OK && in->at_once)
        st = match_store_at_once(tx, in->at_once, err);
    PERI_FAILPOINT("t1.rows");
    return st;
}

static void free_ingest(struct ingest *in)
{
    match_at_once_free(in->at_once);
    free(in->events);
    free(in->hits.items);
    free(in);
}

static enum peri_status submit(struct ingest *in, size_t more);

/* What the rules make of them could not be stored: the events must be nevertheless. False: that was not it. */
static bool without_runs(struct ingest *in)
{
    if (!in->at_once)
        return false;
    match_at_once_free(in->at_once);
    in->at_once = NULL;
    for (size_t i = 0; i < peri_batch_events(in->batch); i++)
        in->events[i]->unheard = match_is_unheard(in->p, in->events[i], NULL);
    return submit(in, 0) == PERI_OK;
}

static void ingest_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct ingest *in = arg;
    struct peri_pipeline *p = in->p;
    p->submitting--;
    if (st != PERI_OK && !p->dead && !pipe_store_trouble(st) && without_runs(in))
        return;
    if (!p->dead)
        flow_committed(p, pipe_mono_ms(p) - in->began_ms);
    if (!p->dead && st != PERI_OK)
        flow_refused(p, in->batch, PERI_EBUSY);
    for (size_t i = 0; st == PERI_OK && !p->dead && i < peri_batch_events(in->batch); i++)
        journaled(p, in->events[i], in->at_once);
    if (st == PERI_OK && !p->dead)
        live_heard(p, &in->hits);
    PERI_FAILPOINT("t1.answer");
    if (in->done)
        in->done(in->arg, st, err);
    peri_batch_destroy(in->batch);
    free_ingest(in);
}

static enum peri_status submit(struct ingest *in, size_t more)
{
    struct peri_pipeline *p = in->p;
    size_t bytes = peri_batch_bytes(in->batch) + more;
    p->submitting++;
    enum peri_status st = peri_batch_is_repeatable(in->batch)
                              ? pipe_commit_repeatable(p, bytes, ingest_tx, ingest_done, in, in->stubborn)
                              : pipe_commit(p, bytes, ingest_tx, ingest_done, in, in->stubborn);
    if (st != PERI_OK)
        p->submitting--;
    return st;
}

static enum peri_status commit_batch(struct peri_pipeline *p, struct peri_batch *batch, bool stubborn,
    peri_store_done done, void *arg, struct peri_error *err)
{
    struct ingest *in = calloc(1, sizeof(*in));
    if (!in)
        return peri_error_nomem(err);
    size_t count = peri_batch_events(batch);
    size_t more = 0;
    *in = (struct ingest){
        .p = p, .batch = batch, .began_ms = pipe_mono_ms(p), .stubborn = stubborn, .done = done, .arg = arg};
    in->events = calloc(count ? count : 1, sizeof(struct peri_event *));
    if (!in->events) {
        free_ingest(in);
        return peri_error_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        struct peri_event *event = in->events[i] = peri_batch_event_at(batch, i);
        event->unheard = match_is_unheard(p, event, i > 0 ? in->events[i - 1] : NULL);
    }
    in->at_once = match_at_once(p, in->events, count, &more);
    enum peri_status st = submit(in, more);
    if (st != PERI_OK) {
        free_ingest(in);
        if (st == PERI_EBUSY) {
            flow_queue_full(p, err);
            return st;
        }
        return peri_error_set(err, st, NULL, "the store does not take it (%s)", peri_status_name(st));
    }
    return PERI_OK;
}

static enum peri_status check_all(
    struct peri_pipeline *p, struct peri_batch *batch, bool outside, struct peri_error *err)
{
    size_t events = peri_batch_events(batch);
    const struct peri_event *like = NULL;
    for (size_t i = 0; i < events; i++) {
        struct peri_event *event = peri_batch_event_at(batch, i);
        enum peri_status st = check_event(p, event, like, err);
        if (st == PERI_OK && outside && peri_str_starts(event->source, PIPE_OWN_SOURCE))
            st = peri_error_set(
                err, PERI_EINVAL, "source", "sources that begin with \"" PIPE_OWN_SOURCE "\" are perigee's own");
        if (st != PERI_OK && events > 1)
            peri_error_prefix(err, "event %zu", i);
        if (st != PERI_OK)
            return st;
        like = event;
    }
    return PERI_OK;
}

enum peri_status pipe_submit(struct peri_pipeline *p, struct peri_batch *batch, bool outside, peri_store_done done,
    void *arg, struct peri_error *err)
{
    enum peri_status st = check_all(p, batch, outside, err);
    if (st == PERI_OK && outside)
        st = flow_admit(p, batch, err);
    if (st == PERI_OK)
        st = commit_batch(p, batch, false, done, arg, err);
    if (st != PERI_OK)
        flow_refused(p, batch, st);
    return st;
}

void peri_pipeline_refused(struct peri_pipeline *p, enum peri_status st)
{
    flow_refused(p, NULL, st);
}

enum peri_status peri_pipeline_submit(
    struct peri_pipeline *p, struct peri_batch *batch, peri_store_done done, void *arg, struct peri_error *err)
{
    return pipe_submit(p, batch, true, done, arg, err);
}

/* What a handler of a plugin wrote belongs to work that was begun: the backlog does not stop it, only a full queue
 * does. */
enum peri_status peri_pipeline_host_submit(void *pipeline, struct peri_batch *batch, peri_store_done done, void *arg)
{
    struct peri_error err = {0};
    struct peri_pipeline *p = pipeline;
    enum peri_status st = pipe_submit(p, batch, false, done, arg, &err);
    if (st != PERI_OK && st != PERI_EBUSY)
        peri_warn(p->options.log, "ingest", "a plugin's changes were refused: %s", err.message);
    return st;
}

void peri_pipeline_host_insist(void *pipeline, struct peri_batch *batch, peri_store_done done, void *arg)
{
    struct peri_error err = {0};
    struct peri_pipeline *p = pipeline;
    enum peri_status st = check_all(p, batch, false, &err);
    if (st == PERI_OK)
        st = commit_batch(p, batch, true, done, arg, &err);
    if (st == PERI_OK)
        return;
    flow_refused(p, batch, st);
    peri_warn(p->options.log, "ingest", "what is to be told was refused: %s", err.message);
    done(arg, st, &err);
    peri_batch_destroy(batch);
}
