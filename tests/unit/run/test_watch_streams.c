/* SPDX-License-Identifier: Apache-2.0 */
#include "run/streams.h"

#include "run/pipekit.h"

/* Random streams through the whole pipeline, each a key of its own, with restarts in the middle: what fires, and when,
 * is what the slow oracles say. */

/* Also of what is due: that is on its way through the store only. */
#define QUIET(bed) KIT_UNTIL(bed, kit_quiet(bed) && peri_pipeline_is_quiet((bed)->pipe))
#define STREAMS 120
#define MINUTE 60000
#define BASE 1750000000000
#define END 1200 /* everything is over */
#define FOR 4
#define ABSENCE 5
#define COUNT 3
#define WITHIN 6
#define ONCE 5

#define RULE(name, trigger, more)                                                                                      \
    "  - name: " name "\n    key: \"{{ event.k }}\"\n    trigger: " trigger "\n" more                                  \
    "    actions: [{operator: x.ok, params: {r: " name ", k: \"{{ event.k }}\", t: \"{{ now | timestamp }}\"}}]\n"

static const char rules[] = "rules:\n" RULE("for", "{event: a.B, match: {m: [true]}, for: 4m}", "") RULE("count",
    "{count: {event: a.B, at_least: 3, within: 6m}}",
    "") RULE("absence", "{absence: {event: a.B, for: 5m}}", "") RULE("chain",
    "{sequence: {steps: [{event: a.B, match: {s: [x]}}, {event: a.B, match: {s: [y]}, count: 2}], within: 6m}}", "")
    RULE("unless", "{sequence: {steps: [{event: a.*, match: {s: [x]}}, {not: a.B, match: {s: [y]}}], within: 6m}}", "")
        RULE("between",
            "{sequence: {steps: [{event: a.B, match: {s: [x]}}, {not: a.B, match: {s: [y]}}, {event: a.B, match: {s: "
            "[z]}}], within: 6m}}",
            "") RULE("within", "{event: a.B}", "    throttle: {once_within: 5m}\n")
            RULE("after", "{event: a.B}", "    throttle: {once_after: 5m}\n");

enum { R_FOR, R_COUNT, R_ABSENCE, R_CHAIN, R_UNLESS, R_BETWEEN, R_WITHIN, R_AFTER, R_COUNT_ALL };
static const char *const names[] = {"for", "count", "absence", "chain", "unless", "between", "within", "after"};

static struct stream streams[STREAMS];
static struct firings got[STREAMS][R_COUNT_ALL];

static void harvest(struct bed *bed)
{
    for (size_t i = 0; i < bed->call_count; i++) {
        struct peri_value *v = kit_json(bed->calls[i]->params);
        size_t rule = 0, key = (size_t)peri_map_int(v, "k", -1);
        while (strcmp(names[rule], peri_map_text(v, "r")) != 0)
            rule++;
        fires(&got[key][rule], (peri_map_int(v, "t", 0) - BASE) / MINUTE);
        peri_value_unref(v);
    }
}

static void restart(struct bed *bed)
{
    harvest(bed);
    kit_restart(bed, rules);
    QUIET(bed);
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
        QUIET(bed);
    }
}

static struct peri_event *make(size_t key, const struct stream_event *e)
{
    char json[96];
    snprintf(json, sizeof(json), "{\"k\":%zu,\"m\":%s,\"s\":[%s%s%s0]}", key, e->matches ? "true" : "false",
        e->steps & 1 ? "\"x\"," : "", e->steps & 2 ? "\"y\"," : "", e->steps & 4 ? "\"z\"," : "");
    struct peri_event *event = kit_event("a.B", json, NULL);
    event->time_ms = BASE + e->ts * MINUTE;
    return event;
}

/* At most one event of each key at once: what is due between two of the same instant has its turn. */
static bool send_round(struct bed *bed, int64_t at, size_t sent[STREAMS])
{
    struct kit_sent batch = {.batch = peri_batch_create()};
    struct peri_error err = {0};
    for (size_t k = 0; k < STREAMS; k++) {
        const struct stream *s = &streams[k];
        if (sent[k] < s->count && s->events[sent[k]].at == at)
            assert_int_equal(peri_batch_event(batch.batch, make(k, &s->events[sent[k]++])), PERI_OK);
    }
    if (peri_batch_events(batch.batch) == 0) {
        peri_batch_destroy(batch.batch);
        return false;
    }
    assert_int_equal(peri_pipeline_submit(bed->pipe, batch.batch, kit_sent_done, &batch, &err), PERI_OK);
    KIT_UNTIL(bed, batch.done);
    QUIET(bed);
    return true;
}

static void oracle_within(const struct stream *s, struct firings *f)
{
    for (size_t i = 0; i < s->count; i++)
        if (f->count == 0 || s->events[i].at - f->at[f->count - 1] >= ONCE)
            fires(f, s->events[i].at);
}

static void compare(size_t key, int rule, const struct firings *wanted)
{
    const struct firings *have = &got[key][rule];
    if (have->count == wanted->count && memcmp(have->at, wanted->at, wanted->count * sizeof(wanted->at[0])) == 0)
        return;
    for (size_t i = 0; i < streams[key].count; i++)
        print_message("  event at %lld of %lld, steps %x%s\n", (long long)streams[key].events[i].at,
            (long long)streams[key].events[i].ts, streams[key].events[i].steps,
            streams[key].events[i].matches ? ", matches" : "");
    for (size_t i = 0; i < have->count || i < wanted->count; i++)
        print_message("  fired at %lld, wanted %lld\n", i < have->count ? (long long)have->at[i] : -1,
            i < wanted->count ? (long long)wanted->at[i] : -1);
    fail_msg("%s, key %zu: %zu firings, wanted %zu", names[rule], key, have->count, wanted->count);
}

static void compare_all(size_t key)
{
    const struct stream *s = &streams[key];
    struct firings wanted[R_COUNT_ALL] = {0};
    struct oracle_steps chain = {3, {0, 1, 1}, {0}, WITHIN, 3}, unless = {1, {0}, {2}, WITHIN, 3},
                        between = {2, {0, 2}, {2}, WITHIN, 7};
    oracle_for(s, FOR, END, &wanted[R_FOR]);
    oracle_count(s, COUNT, WITHIN, &wanted[R_COUNT]);
    oracle_absence(s, ABSENCE, END, &wanted[R_ABSENCE]);
    oracle_sequence(s, &chain, END, &wanted[R_CHAIN]);
    oracle_sequence(s, &unless, END, &wanted[R_UNLESS]);
    oracle_sequence(s, &between, END, &wanted[R_BETWEEN]);
    oracle_within(s, &wanted[R_WITHIN]);
    oracle_absence(s, ONCE, END, &wanted[R_AFTER]); /* quiet for so long: the same */
    for (int r = 0; r < R_COUNT_ALL; r++)
        compare(key, r, &wanted[r]);
}

static void test_random_streams(void **state)
{
    struct bed bed;
    size_t sent[STREAMS] = {0}, total[R_COUNT_ALL] = {0};
    kit_open(&bed, rules);
    QUIET(&bed);
    for (size_t k = 0; k < STREAMS; k++)
        stream_make(&streams[k], 3);
    for (int64_t at = 1000; at < 1000 + 5 * STREAM_EVENTS; at++) {
        go(&bed, at);
        if (at % 7 == 0)
            restart(&bed);
        while (send_round(&bed, at, sent))
            if (at % 11 == 0)
                restart(&bed);
    }
    go(&bed, END);
    harvest(&bed);
    for (size_t k = 0; k < STREAMS; k++) {
        compare_all(k);
        for (int r = 0; r < R_COUNT_ALL; r++)
            total[r] += got[k][r].count;
    }
    for (int r = 0; r < R_COUNT_ALL; r++)
        assert_true(total[r] > STREAMS / 4);
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_streams)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
