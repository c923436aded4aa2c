/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

#include "io/store_flow.h"

#define RULE "name: Send\ntrigger: {event: a.B}\nactions:\n  - {operator: x.ok}\n"

static void options_for(struct bed *bed, int64_t rate, int64_t burst)
{
    bed->pipe->options.source_rate = rate;
    bed->pipe->options.source_burst = burst;
    assert_int_equal(flow_init(bed->pipe, NULL), PERI_OK);
}

/* n events of one source in one batch; the status, and what is said when it is refused. */
static enum peri_status offer(struct bed *bed, const char *source, size_t n, struct peri_error *err)
{
    struct peri_batch *batch = peri_batch_create();
    for (size_t i = 0; i < n; i++) {
        struct peri_event *event = kit_event("a.C", "{}", NULL);
        free(event->source);
        event->source = peri_strdup(source);
        assert_int_equal(peri_batch_event(batch, event), PERI_OK);
    }
    *err = (struct peri_error){0};
    enum peri_status st = peri_pipeline_submit(bed->pipe, batch, NULL, NULL, err);
    if (st != PERI_OK)
        peri_batch_destroy(batch);
    return st;
}

struct wanted {
    const char *source;
    struct peri_flow_row row;
};

static void take(void *arg, const struct peri_flow_row *row)
{
    struct wanted *w = arg;
    assert_true(peri_flow_balanced(row));
    if (peri_streq(row->source, w->source))
        w->row = *row;
}

static struct peri_flow_row row(struct bed *bed, const char *source)
{
    struct wanted w = {.source = source};
    peri_store_flow(bed->store, take, &w);
    return w.row;
}

static void test_a_source_above_its_rate_is_told_when_to_come_again(void **state)
{
    struct bed bed;
    struct peri_error err;
    kit_open(&bed, RULE);
    options_for(&bed, 2, 4);
    assert_int_equal(offer(&bed, "fast", 4, &err), PERI_OK);
    assert_int_equal(offer(&bed, "fast", 1, &err), PERI_EBUSY);
    assert_string_equal(err.code, "rate");
    assert_in_range(err.retry_after_ms, 400, 600);
    assert_int_equal(offer(&bed, "other", 1, &err), PERI_OK); /* nobody pays for another */
    kit_advance(&bed, 1000);
    assert_int_equal(offer(&bed, "fast", 2, &err), PERI_OK);
    assert_int_equal(offer(&bed, "fast", 1, &err), PERI_EBUSY);
    KIT_UNTIL(&bed, row(&bed, "fast").matched == 6);
    assert_int_equal(row(&bed, "fast").shed, 2);
    assert_int_equal(row(&bed, "fast").received, 8);
    kit_close(&bed);
}

static void test_a_large_batch_passes_once_the_bucket_is_full(void **state)
{
    struct bed bed;
    struct peri_error err;
    kit_open(&bed, RULE);
    options_for(&bed, 1, 3);
    assert_int_equal(offer(&bed, "s", 10, &err), PERI_OK);
    assert_int_equal(offer(&bed, "s", 1, &err), PERI_EBUSY);
    kit_advance(&bed, 7000); /* the debt is paid, nothing is there yet */
    assert_int_equal(offer(&bed, "s", 1, &err), PERI_EBUSY);
    kit_advance(&bed, 1000);
    assert_int_equal(offer(&bed, "s", 1, &err), PERI_OK);
    KIT_UNTIL(&bed, bed.pipe->submitting == 0 && kit_quiet(&bed));
    kit_close(&bed);
}

static void test_sources_with_a_limit_of_their_own(void **state)
{
    static const struct peri_source_limit limits[] = {{"slow", 1}, {"free", 0}};
    struct bed bed;
    struct peri_error err;
    kit_open(&bed, RULE);
    bed.pipe->options.source_limits = limits;
    bed.pipe->options.source_limit_count = 2;
    options_for(&bed, 3, 3);
    assert_int_equal(offer(&bed, "slow", 1, &err), PERI_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(offer(&bed, "free", 1, &err), PERI_OK);
    assert_int_equal(offer(&bed, "slow", 2, &err), PERI_OK);
    assert_int_equal(offer(&bed, "slow", 1, &err), PERI_EBUSY);
    KIT_UNTIL(&bed, bed.pipe->submitting == 0 && kit_quiet(&bed));
    kit_close(&bed);
}

static void test_more_sources_than_buckets_are_bounded(void **state)
{
    struct bed bed;
    struct peri_error err;
    char name[32];
    size_t refused = 0;
    kit_open(&bed, RULE);
    options_for(&bed, 1, 1);
    for (int i = 0; i < 1100; i++) { /* nobody's bucket is full: the last ones share one */
        snprintf(name, sizeof(name), "s%d", i);
        refused += offer(&bed, name, 1, &err) == PERI_EBUSY;
        if (i % 100 == 0)
            KIT_UNTIL(&bed, bed.pipe->submitting == 0 && kit_quiet(&bed));
    }
    assert_in_range(refused, 70, 76);
    kit_advance(&bed, 2000); /* now all are */
    assert_int_equal(offer(&bed, "late-1", 1, &err), PERI_OK);
    assert_int_equal(offer(&bed, "late-2", 1, &err), PERI_OK);
    KIT_UNTIL(&bed, bed.pipe->submitting == 0 && kit_quiet(&bed));
    kit_close(&bed);
}

static void test_a_backlog_says_how_long_it_takes(void **state)
{
    struct bed bed;
    struct peri_error err;
    kit_open(&bed, RULE);
    bed.pipe->options.max_backlog = 100;
    bed.pipe->flow.drain_per_s = 10;
    bed.pipe->unmatched += 150; /* (150 - 80) / 10 = 7 s, a quarter more or less */
    for (int i = 0; i < 20; i++) {
        assert_int_equal(offer(&bed, "s", 1, &err), PERI_EBUSY);
        assert_string_equal(err.code, "overloaded");
        assert_in_range(err.retry_after_ms, 5250, 8750);
    }
    bed.pipe->flow.drain_per_s = 0; /* nothing moves */
    assert_int_equal(offer(&bed, "s", 1, &err), PERI_EBUSY);
    assert_in_range(err.retry_after_ms, 22500, 30000);
    bed.pipe->unmatched -= 150;
    assert_int_equal(offer(&bed, "s", 1, &err), PERI_OK);
    KIT_UNTIL(&bed, bed.pipe->submitting == 0 && kit_quiet(&bed));
    assert_int_equal(row(&bed, "s").shed, 21);
    kit_close(&bed);
}

static void test_slow_commits_shed(void **state)
{
    struct bed bed;
    struct peri_error err;
    kit_open(&bed, RULE);
    for (int i = 0; i < FLOW_TIMES; i++)
        flow_committed(bed.pipe, i % 40 == 0 ? 1500 : 3);
    assert_int_equal(offer(&bed, "s", 1, &err), PERI_EBUSY);
    assert_non_null(strstr(err.message, "longer than a second"));
    kit_advance(&bed, 10001); /* it may be over */
    assert_int_equal(offer(&bed, "s", 1, &err), PERI_OK);
    KIT_UNTIL(&bed, bed.pipe->submitting == 0 && kit_quiet(&bed));
    kit_close(&bed);
}

static void test_malformed_events_count_as_rejected(void **state)
{
    struct bed bed;
    struct peri_error err;
    kit_open(&bed, RULE);
    assert_int_equal(offer(&bed, "perigee:rule/x", 1, &err), PERI_EINVAL);
    peri_pipeline_refused(bed.pipe, PERI_EINVAL);
    assert_int_equal(row(&bed, PERI_FLOW_UNKNOWN).rejected, 2);
    assert_int_equal(row(&bed, "perigee:rule").received, 0);
    kit_close(&bed);
}

/* 256 calls are under way at once. A rule with many runs that wait does not keep another from its turn. */
static void test_rules_take_turns_for_calls(void **state)
{
    struct bed bed;
    kit_open(&bed, "rules:\n  - {name: Flood, trigger: {event: a.F}, actions: [{operator: x.slow}]}\n"
                   "  - {name: Few, trigger: {event: a.G}, actions: [{operator: x.repeat}]}\n");
    for (int i = 0; i < 400; i++)
        (void)kit_send(&bed, "a.F", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == PIPE_CALLS);
    (void)kit_send(&bed, "a.G", "{}");
    (void)kit_send(&bed, "a.G", "{}");
    KIT_UNTIL(&bed, kit_status(&bed, "unmatched") == 0);
    for (int i = 0; i < 4; i++) {
        kit_reply(&bed, "x.slow", true);
        KIT_UNTIL(&bed, bed.call_count == (size_t)PIPE_CALLS + 1 + (size_t)i);
    }
    assert_int_equal(kit_calls(&bed, "x.repeat"), 2); /* every second one, though 144 were there before */
    kit_close(&bed);
}

/* When no more runs may live, events wait in the journal; each starts its run when another has ended. */
static void test_no_more_runs_live_than_there_is_room_for(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: R\ntrigger: {event: a.B}\nactions: [{delay: 1h}]\n");
    bed.pipe->options.max_live_runs = 5;
    for (int i = 0; i < 8; i++)
        (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_status(&bed, "live_runs") == 5 && peri_store_queued(bed.store) == 0);
    for (int i = 0; i < 10; i++)
        peri_loop_once(bed.loop, 1);
    assert_int_equal(kit_run_count(&bed, NULL), 5);
    assert_int_equal(kit_status(&bed, "unmatched"), 3);
    kit_advance(&bed, 3600000);
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 5);
    KIT_UNTIL(&bed, kit_run_count(&bed, NULL) == 8 && kit_status(&bed, "unmatched") == 0);
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_source_above_its_rate_is_told_when_to_come_again),
        cmocka_unit_test(test_a_large_batch_passes_once_the_bucket_is_full),
        cmocka_unit_test(test_sources_with_a_limit_of_their_own),
        cmocka_unit_test(test_more_sources_than_buckets_are_bounded),
        cmocka_unit_test(test_no_more_runs_live_than_there_is_room_for),
        cmocka_unit_test(test_a_backlog_says_how_long_it_takes),
        cmocka_unit_test(test_slow_commits_shed),
        cmocka_unit_test(test_malformed_events_count_as_rejected),
        cmocka_unit_test(test_rules_take_turns_for_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
