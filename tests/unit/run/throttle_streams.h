/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_TESTS_RUN_THROTTLE_STREAMS_H
#define PERI_TESTS_RUN_THROTTLE_STREAMS_H

#include "run/streams.h"

#include "run/pipekit.h"

/* Random streams of events, each a key of its own, through the whole pipeline to rules with a throttle: what fires, and
 * when, is what a slow oracle says that keeps every event. Events of one key come at the same instant, in the same
 * batch, and with times of their own that lie before others' (which must not matter: a throttle counts from arrival).
 * The service is killed in the middle, also between its answer to a sender and the verdicts. The three programs that
 * include this (within, after, both) run 10,200 streams together; PERIGEE_TEST_STREAMS=n is fewer or more. */

#define MINUTE 60000
#define BASE 1750000000000
#define START 1000 /* streams.h begins here */
#define END (START + 200)
#define BATCH 500
#define RULES 3
#define STREAMS 3400
#define STREAMS_MAX 100000

struct throttle_case {
    int64_t within, after; /* minutes; 0: none */
};
static struct throttle_case throttles[RULES];
static char rules[2048];

static void make_rules(const struct throttle_case cases[RULES])
{
    size_t at = (size_t)snprintf(rules, sizeof(rules), "rules:\n");
    for (int i = 0; i < RULES; i++) {
        char within[32] = "", after[32] = "";
        throttles[i] = cases[i];
        if (cases[i].within)
            snprintf(within, sizeof(within), "once_within: %dm%s", (int)cases[i].within, cases[i].after ? ", " : "");
        if (cases[i].after)
            snprintf(after, sizeof(after), "once_after: %dm", (int)cases[i].after);
        at += (size_t)snprintf(rules + at, sizeof(rules) - at,
            "  - name: R%d\n    key: \"{{ event.k }}\"\n    trigger: {event: a.%d}\n    throttle: {%s%s}\n"
            "    actions: [{operator: x.ok, params: {k: \"{{ event.k }}\", t: \"{{ now | timestamp }}\"}}]\n",
            i, i, within, after);
        assert_true(at < sizeof(rules));
    }
}

struct pending {
    peri_call_done done;
    void *arg;
};

/* The streams, and the provider that sees what fires. */
static struct {
    struct stream stream;
    size_t sent;
    struct firings got;
} * keys;
static size_t key_count;
static struct pending *pending;
static size_t pending_count, pending_cap, run_cap;
static bool *run_seen;

static bool look_up(void *ctx, const char *id, enum peri_delivery *ret)
{
    *ret = PERI_DELIVERY_REPEAT;
    return true;
}

/* A run that a kill has interrupted calls again: it counts once. */
static enum peri_status take_call(
    void *ctx, const struct peri_call *call, peri_call_done done, void *arg, struct peri_error *err)
{
    size_t key = (size_t)peri_map_int(call->params, "k", -1), run = strtoul(call->run_id + strlen("run-"), NULL, 10);
    assert_true(key < key_count && run < run_cap);
    if (!run_seen[run])
        fires(&keys[key].got, (peri_map_int(call->params, "t", 0) - BASE) / MINUTE);
    run_seen[run] = 1;
    if (pending_count == pending_cap) {
        pending_cap = pending_cap ? 2 * pending_cap : 1024;
        pending = realloc(pending, pending_cap * sizeof(*pending));
    }
    pending[pending_count++] = (struct pending){done, arg};
    return PERI_OK;
}

static void answer(void)
{
    struct peri_call_result result = {.status = PERI_OK};
    while (pending_count > 0) {
        struct pending p = pending[--pending_count];
        p.done(p.arg, &result);
    }
}

static bool settled(struct bed *bed)
{
    answer();
    const struct peri_pipeline *p = bed->pipe;
    return p->submitting == 0 && p->committing == 0 && p->unmatched == 0 && p->live_memory == 0 && p->live_runs == 0 &&
           peri_pipeline_is_quiet(bed->pipe) && pending_count == 0;
}
#define SETTLE(bed) KIT_UNTIL(bed, settled(bed))

static void kill_it(struct bed *bed)
{
    kit_stop(bed);
    pending_count = 0; /* nobody is there to hear it */
    kit_start(bed, rules);
    SETTLE(bed);
}

static int64_t now(const struct bed *bed)
{
    return (bed->fake.wall_ms - BASE) / MINUTE;
}

/* From one thing that is due to the next. */
static void go(struct bed *bed, int64_t at)
{
    while (now(bed) < at) {
        int64_t due = peri_pipeline_next_due(bed->pipe), until = BASE + at * MINUTE;
        int64_t next = due < until ? due : until, have = bed->fake.wall_ms;
        kit_advance(bed, next > have ? next - have : 0);
        SETTLE(bed);
    }
}

static struct peri_event *make(size_t key, const struct stream_event *e)
{
    char type[8], json[32];
    snprintf(type, sizeof(type), "a.%zu", key % RULES);
    snprintf(json, sizeof(json), "{\"k\":%zu}", key);
    struct peri_event *event = kit_event(type, json, NULL);
    event->time_ms = BASE + e->ts * MINUTE;
    return event;
}

/* What arrives at this instant, all of a key together. Some batches are evaluated by a service that was killed right
 * after its answer. */
static void send_all(struct bed *bed, int64_t at, bool kill)
{
    for (size_t k = 0; k < key_count;) {
        struct kit_sent batch = {.batch = peri_batch_create()};
        struct peri_error err = {0};
        for (; k < key_count && peri_batch_events(batch.batch) < BATCH - STREAM_EVENTS; k++)
            while (keys[k].sent < keys[k].stream.count && keys[k].stream.events[keys[k].sent].at == at)
                assert_int_equal(
                    peri_batch_event(batch.batch, make(k, &keys[k].stream.events[keys[k].sent++])), PERI_OK);
        if (peri_batch_events(batch.batch) == 0) {
            peri_batch_destroy(batch.batch);
            return;
        }
        assert_int_equal(peri_pipeline_submit(bed->pipe, batch.batch, kit_sent_done, &batch, &err), PERI_OK);
        KIT_UNTIL(bed, batch.done);
        assert_int_equal(batch.st, PERI_OK);
        if (kill)
            kill_it(bed);
    }
    SETTLE(bed);
}

static void model(size_t key, struct firings *f)
{
    const struct stream *s = &keys[key].stream;
    int64_t within = throttles[key % RULES].within, after = throttles[key % RULES].after;
    for (size_t i = 0; i < s->count; i++) {
        int64_t at = s->events[i].at + after;
        bool quiet = after == 0 || i + 1 == s->count || s->events[i + 1].at >= at;
        if (quiet && (f->count == 0 || at - f->at[f->count - 1] >= within))
            fires(f, at);
    }
}

static void compare(size_t key, const struct firings *wanted)
{
    const struct stream *s = &keys[key].stream;
    const struct firings *got = &keys[key].got;
    if (got->count == wanted->count && memcmp(got->at, wanted->at, wanted->count * sizeof(wanted->at[0])) == 0)
        return;
    for (size_t i = 0; i < s->count; i++)
        print_message("  event at %lld of %lld\n", (long long)s->events[i].at, (long long)s->events[i].ts);
    for (size_t i = 0; i < got->count || i < wanted->count; i++)
        print_message("  fired at %lld, wanted %lld\n", i < got->count ? (long long)got->at[i] : -1,
            i < wanted->count ? (long long)wanted->at[i] : -1);
    fail_msg("rule R%zu, key %zu: %zu firings, wanted %zu", key % RULES, key, got->count, wanted->count);
}

/* Three to seven events: what a throttle remembers of a key is one time, or one wait. */
static size_t make_streams(void)
{
    size_t events = 0;
    for (size_t k = 0; k < key_count; k++) {
        stream_make(&keys[k].stream, 1);
        keys[k].stream.count = 3 + stream_random(5) % (keys[k].stream.count - 2);
        events += keys[k].stream.count;
    }
    return events;
}

static void run_streams(struct bed *bed)
{
    for (int64_t at = START; at < START + 5 * STREAM_EVENTS; at++) {
        go(bed, at);
        send_all(bed, at, at % 9 == 0);
        if (at % 7 == 0)
            kill_it(bed);
    }
    go(bed, END);
}

static void throttle_streams(const struct throttle_case cases[RULES], uint64_t seed)
{
    struct bed bed;
    struct peri_run_ops ops = {.lookup = look_up, .call = take_call};
    size_t total[RULES] = {0};
    const char *wanted_count = getenv("PERIGEE_TEST_STREAMS");
    key_count = wanted_count ? strtoul(wanted_count, NULL, 10) : STREAMS;
    assert_in_range(key_count, RULES, STREAMS_MAX);
    run_cap = key_count * STREAM_EVENTS;
    keys = calloc(key_count, sizeof(*keys));
    run_seen = calloc(run_cap, sizeof(*run_seen));
    stream_seed += seed;
    size_t events = make_streams();
    make_rules(cases);
    memset(&bed, 0, sizeof(bed));
    bed.ops = &ops;
    kit_open_at(&bed, rules, BASE);
    run_streams(&bed);
    for (size_t k = 0; k < key_count; k++) {
        struct firings wanted = {.count = 0};
        model(k, &wanted);
        compare(k, &wanted);
        total[k % RULES] += wanted.count;
    }
    print_message("%zu streams, %zu events; %zu, %zu, %zu fired\n", key_count, events, total[0], total[1], total[2]);
    for (int r = 0; r < RULES; r++)
        assert_in_range(total[r], key_count / RULES, events / RULES);
    kit_close(&bed);
    free(pending);
    free(keys);
    free(run_seen);
}

#endif
