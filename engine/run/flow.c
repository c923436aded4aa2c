/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "io/store_flow.h"
#include "run/pipeline_internal.h"

/* The door: who may come in now, and when the others should come again. Each source has a bucket of tokens, an event
 * takes one; what would be refused for another reason is looked at first, so that it costs none. Refusals are counted
 * by source (io/store_flow.h). */

#define BUCKETS_MAX 1024
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 30000
#define SAMPLE_MS 1000
#define SLOW_MS 1000 /* a commit that takes longer is slow */
#define SLOW_OF 2    /* of the last FLOW_TIMES commits */
#define SLOW_WITHIN_MS 10000

struct bucket {
    double tokens;
    int64_t at_ms; /* mono: when tokens was right */
    int64_t per_second, burst;
    int64_t need; /* by the batch that is looked at */
    char *source;
};

struct flow_rates {
    struct peri_map *buckets; /* by source */
    struct bucket other;      /* sources above BUCKETS_MAX share one */
};

/* --- when to come again --- */

/* 1 to 30 s, a quarter more or less: those who were refused together do not come back together. */
static void come_again(struct peri_pipeline *p, struct peri_error *err, int64_t ms)
{
    if (!err)
        return;
    ms = ms < RETRY_MIN_MS ? RETRY_MIN_MS : ms > RETRY_MAX_MS ? RETRY_MAX_MS : ms;
    ms = ms * (750 + (int64_t)(pipe_random(p) % 501)) / 1000;
    err->retry_after_ms = (long)(ms < RETRY_MIN_MS ? RETRY_MIN_MS : ms > RETRY_MAX_MS ? RETRY_MAX_MS : ms);
}

void flow_sample(struct peri_pipeline *p)
{
    struct flow *flow = &p->flow;
    int64_t now = pipe_mono_ms(p), passed = now - flow->sample_ms, ended = p->counts.matched + p->counts.dead;
    if (flow->sample_ms != 0 && passed < SAMPLE_MS)
        return;
    if (flow->sample_ms != 0)
        flow->drain_per_s = (double)(ended - flow->sample_ended) * 1000.0 / (double)passed;
    flow->sample_ms = now;
    flow->sample_ended = ended;
}

/* Until the backlog is down to four fifths of what is allowed, at the pace of the last second. */
static int64_t drain_ms(const struct peri_pipeline *p)
{
    double over = (double)p->unmatched - 0.8 * (double)p->options.max_backlog;
    return p->flow.drain_per_s < 1 ? RETRY_MAX_MS : (int64_t)(over * 1000.0 / p->flow.drain_per_s);
}

/* --- how long commits take --- */

void flow_committed(struct peri_pipeline *p, int64_t took_ms)
{
    struct flow *flow = &p->flow;
    size_t at = flow->times++ % FLOW_TIMES;
    flow->slow -= flow->slow_at[at];
    flow->slow_at[at] = took_ms > SLOW_MS;
    flow->slow += flow->slow_at[at];
    if (took_ms > SLOW_MS)
        flow->slow_ms = pipe_mono_ms(p);
}

/* The 99th percentile of the last commits is above a second, and not long ago. */
static bool is_slow(const struct peri_pipeline *p)
{
    const struct flow *flow = &p->flow;
    return flow->times >= FLOW_TIMES && flow->slow >= SLOW_OF && pipe_mono_ms(p) - flow->slow_ms < SLOW_WITHIN_MS;
}

/* --- rates --- */

static struct bucket *make_bucket(struct peri_pipeline *p, const char *source, int64_t per_second, int64_t now)
{
    struct bucket *b = calloc(1, sizeof(*b));
    if (!b || !(b->source = peri_strdup(source)) || !peri_map_set(p->flow.rates->buckets, source, b, NULL)) {
        if (b)
            free(b->source);
        free(b);
        return NULL;
    }
    b->per_second = per_second;
    b->burst = p->options.source_burst > 0 ? p->options.source_burst : 2 * per_second;
    b->tokens = (double)b->burst;
    b->at_ms = now;
    return b;
}

static int64_t rate_of(const struct peri_pipeline *p, const char *source)
{
    for (size_t i = 0; i < p->options.source_limit_count; i++)
        if (peri_streq(p->options.source_limits[i].source, source))
            return p->options.source_limits[i].per_second;
    return p->options.source_rate;
}

struct full {
    const char *found;
    int64_t now;
};

static bool find_full(const char *key, void *value, void *arg)
{
    const struct bucket *b = value;
    struct full *full = arg;
    double tokens = b->tokens + (double)b->per_second * (double)(full->now - b->at_ms) / 1000.0;
    if (b->need == 0 && tokens >= (double)b->burst)
        full->found = key;
    return !full->found;
}

static void free_bucket(void *value)
{
    struct bucket *b = value;
    free(b->source);
    free(b);
}

/* A full bucket says nothing that a new one would not: it makes room for another source. */
static struct bucket *bucket_of(struct peri_pipeline *p, const char *source, int64_t per_second, int64_t now)
{
    struct flow_rates *rates = p->flow.rates;
    struct bucket *b = peri_map_get(rates->buckets, source);
    if (!b && peri_map_count(rates->buckets) >= BUCKETS_MAX) {
        struct full full = {.now = now};
        peri_map_each(rates->buckets, find_full, &full);
        if (full.found)
            free_bucket(peri_map_remove(rates->buckets, full.found));
    }
    if (!b && peri_map_count(rates->buckets) < BUCKETS_MAX)
        b = make_bucket(p, source, per_second, now);
    if (b)
        return b;
    b = &rates->other;
    b->per_second = per_second;
    b->burst = p->options.source_burst > 0 ? p->options.source_burst : 2 * per_second;
    return b;
}

static void refill(struct bucket *b, int64_t now)
{
    b->tokens += (double)b->per_second * (double)(now - b->at_ms) / 1000.0;
    if (b->tokens > (double)b->burst)
        b->tokens = (double)b->burst;
    b->at_ms = now;
}

/* A batch that is larger than the burst passes when the bucket is full, and leaves a debt. 0, or ms to wait. */
static int64_t wait_of(const struct bucket *b)
{
    double want = b->need < b->burst ? (double)b->need : (double)b->burst;
    return b->tokens >= want ? 0 : (int64_t)((want - b->tokens) * 1000.0 / (double)b->per_second) + 1;
}

/* All or nothing: a batch is one decision. */
static enum peri_status take_tokens(struct peri_pipeline *p, struct peri_batch *batch, struct peri_error *err)
{
    struct bucket *few[8], *slow = NULL;
    size_t used = 0, events = peri_batch_events(batch);
    int64_t now = pipe_mono_ms(p), longest = 0;
    for (size_t i = 0; i < events; i++) {
        const char *source = peri_batch_event_at(batch, i)->source;
        int64_t rate = rate_of(p, source);
        if (rate <= 0)
            continue;
        struct bucket *b = bucket_of(p, source, rate, now);
        bool known = b->need > 0;
        b->need++;
        if (!known && used == sizeof(few) / sizeof(few[0])) { /* so many sources in one batch count as the last */
            few[used - 1]->need += b->need;
            b->need = 0;
        } else if (!known) {
            few[used++] = b;
            refill(b, now);
        }
    }
    for (size_t i = 0; i < used; i++) {
        int64_t wait = wait_of(few[i]);
        if (wait > longest) {
            longest = wait;
            slow = few[i];
        }
    }
    for (size_t i = 0; i < used; i++) {
        if (!slow)
            few[i]->tokens -= (double)few[i]->need;
        few[i]->need = 0;
    }
    if (!slow)
        return PERI_OK;
    (void)peri_error_set(err, PERI_EBUSY, "rate", "%s sends more than the %lld events a second that it may",
        slow->source ? slow->source : "this source", (long long)slow->per_second);
    if (err)
        err->retry_after_ms = (long)longest;
    return PERI_EBUSY;
}

/* --- the decision --- */

static enum peri_status check_store(struct peri_pipeline *p, struct peri_error *err)
{
    char reason[PERI_ERROR_MESSAGE_MAX];
    switch (peri_store_state(p->options.store, reason)) {
    case PERI_STORE_FULL:
        (void)peri_error_set(err, PERI_EFULL, "full", "%s", reason);
        break;
    case PERI_STORE_DAMAGED:
        (void)peri_error_set(err, PERI_ECORRUPT, "damaged", "%s", reason);
        break;
    case PERI_STORE_GOOD:
        return PERI_OK;
    }
    come_again(p, err, RETRY_MAX_MS);
    return err ? err->status : PERI_EFULL;
}

enum peri_status flow_admit(struct peri_pipeline *p, struct peri_batch *batch, struct peri_error *err)
{
    enum peri_status st = check_store(p, err);
    if (st != PERI_OK || peri_batch_events(batch) == 0)
        return st;
    if (p->unmatched >= (int64_t)p->options.max_backlog) {
        (void)peri_error_set(
            err, PERI_EBUSY, "overloaded", "%lld events wait to be evaluated", (long long)p->unmatched);
        come_again(p, err, drain_ms(p));
        return PERI_EBUSY;
    }
    if (is_slow(p)) {
        (void)peri_error_set(err, PERI_EBUSY, "overloaded", "the disk takes longer than a second for a commit");
        come_again(p, err, 2 * RETRY_MIN_MS);
        return PERI_EBUSY;
    }
    return p->flow.rates ? take_tokens(p, batch, err) : PERI_OK;
}

void flow_queue_full(struct peri_pipeline *p, struct peri_error *err)
{
    (void)peri_error_set(err, PERI_EBUSY, "overloaded", "the store's queue is full");
    come_again(p, err, RETRY_MIN_MS);
}

void flow_refused(struct peri_pipeline *p, const struct peri_batch *batch, enum peri_status st)
{
    enum peri_flow_refusal kind = st == PERI_EINVAL ? PERI_FLOW_REJECTED : PERI_FLOW_SHED;
    size_t events = batch ? peri_batch_events(batch) : 0;
    for (size_t i = 0; i < events; i++) {
        const struct peri_event *event = peri_batch_event_at((struct peri_batch *)(uintptr_t)batch, i);
        const char *source = event->source && *event->source ? event->source : NULL;
        /* A name that nobody may use is nobody's. */
        if (source && kind == PERI_FLOW_REJECTED && peri_str_starts(source, PIPE_OWN_SOURCE))
            source = NULL;
        peri_store_flow_refused(p->options.store, source, kind, 1);
    }
    if (!batch)
        peri_store_flow_refused(p->options.store, NULL, kind, 1);
    peri_metric_add(kind == PERI_FLOW_SHED ? p->metrics.shed : p->metrics.rejected, batch ? (int64_t)events : 1);
}

void peri_pipeline_refused_from(struct peri_pipeline *p, const char *source, enum peri_status st)
{
    bool rejected = st == PERI_EINVAL;
    peri_store_flow_refused(p->options.store, source, rejected ? PERI_FLOW_REJECTED : PERI_FLOW_SHED, 1);
    peri_metric_add(rejected ? p->metrics.rejected : p->metrics.shed, 1);
}

/* --- life --- */

enum peri_status flow_init(struct peri_pipeline *p, struct peri_error *err)
{
    if (p->options.source_rate <= 0 && p->options.source_limit_count == 0)
        return PERI_OK;
    p->flow.rates = calloc(1, sizeof(*p->flow.rates));
    if (!p->flow.rates || !(p->flow.rates->buckets = peri_map_create()))
        return peri_error_nomem(err);
    return PERI_OK;
}

void flow_finish(struct peri_pipeline *p)
{
    if (p->flow.rates)
        peri_map_destroy(p->flow.rates->buckets, free_bucket);
    free(p->flow.rates);
    p->flow.rates = NULL;
}
