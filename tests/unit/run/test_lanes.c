/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

#include "run/lane.h"

/* Modes: which run of a lane starts, waits, goes. */

static const struct peri_value *only_verdict(struct peri_value *list)
{
    assert_int_equal(peri_value_count(list), 1);
    return peri_list_at(list, 0);
}

static void assert_verdict(struct bed *bed, uint64_t seq, const char *word, const char *reason)
{
    struct peri_value *list = kit_verdicts(bed, seq);
    const struct peri_value *v = only_verdict(list);
    if (!peri_streq(peri_map_text(v, "verdict"), word) || (reason && !peri_streq(peri_map_text(v, "reason"), reason)))
        fail_msg("%s: %s, not %s: %s", peri_map_text(v, "verdict"),
            peri_map_text(v, "reason") ? peri_map_text(v, "reason") : "-", word, reason);
    peri_value_unref(list);
}

#define RULE(mode)                                                                                                     \
    "name: R\ntrigger: {event: a.B}\nkey: \"{{ event.k }}\"\n" mode                                                    \
    "\nactions: [{operator: x.slow, params: {n: \"{{ event.n }}\"}}, {operator: x.ok}]\n"

static uint64_t send(struct bed *bed, const char *key, int n)
{
    char json[64];
    snprintf(json, sizeof(json), "{\"k\":\"%s\",\"n\":%d}", key, n);
    uint64_t seq = kit_send(bed, "a.B", json);
    KIT_UNTIL(bed, kit_status(bed, "unmatched") == 0);
    return seq;
}

static void test_single_drops_while_one_is_live(void **state)
{
    struct bed bed;
    kit_open(&bed, RULE("mode: single"));
    assert_verdict(&bed, send(&bed, "ann", 1), "fired", NULL);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 1);
    assert_verdict(&bed, send(&bed, "ann", 2), "dropped", "a run of this lane is live (run-1)");
    assert_verdict(&bed, send(&bed, "bob", 3), "fired", NULL); /* another key, another lane */
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 2);
    kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    assert_verdict(&bed, send(&bed, "ann", 4), "fired", NULL);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 3);
    assert_int_equal(kit_run_count(&bed, NULL), 3);
    struct peri_value *run = kit_run(&bed, 2);
    assert_string_equal(peri_map_text(run, "key"), "bob");
    peri_value_unref(run);
    kit_close(&bed);
}

static void test_a_rule_without_a_key_has_one_lane(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: R\ntrigger: {event: a.B}\nmode: single\nactions: [{delay: 1h}]\n");
    assert_verdict(&bed, send(&bed, "ann", 1), "fired", NULL);
    assert_verdict(&bed, send(&bed, "bob", 2), "dropped", "a run of this lane is live (run-1)");
    kit_close(&bed);
}

static void test_a_key_that_cannot_be_told_is_a_verdict(void **state)
{
    struct bed bed;
    kit_open(&bed, RULE("mode: single"));
    uint64_t missing = kit_send(&bed, "a.B", "{}"), list = kit_send(&bed, "a.B", "{\"k\":[1]}"),
             empty = kit_send(&bed, "a.B", "{\"k\":\"\"}");
    KIT_QUIET(&bed);
    assert_verdict(&bed, missing, "error", "missing event.k");
    assert_verdict(&bed, list, "error", "the key must be a text or a number, is array");
    assert_verdict(&bed, empty, "error", "the key is empty");
    assert_int_equal(kit_run_count(&bed, NULL), 0);
    kit_close(&bed);
}

static void test_queued_runs_go_one_after_the_other_in_order(void **state)
{
    struct bed bed;
    kit_open(&bed, RULE("mode: queued\nmax: 3"));
    for (int n = 1; n <= 3; n++)
        (void)send(&bed, "ann", n);
    uint64_t fourth = send(&bed, "ann", 4);
    assert_verdict(&bed, 1, "fired", NULL);
    assert_verdict(&bed, 2, "queued", "queued behind run-1");
    assert_verdict(&bed, 3, "queued", "queued behind run-1");
    assert_verdict(&bed, fourth, "dropped", "the lane is full (max 3, run-1 is live)");
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 1);
    assert_int_equal(kit_run_count(&bed, "queued"), 2);
    for (size_t n = 1; n <= 3; n++) {
        char want[32];
        KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == n);
        snprintf(want, sizeof(want), "{\"n\":%zu}", n);
        assert_string_equal(kit_call(&bed, "x.slow", n - 1)->params, want);
        assert_int_equal(kit_calls(&bed, "x.ok"), n - 1); /* the one before has ended altogether */
        kit_reply(&bed, "x.slow", true);
    }
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 3);
    KIT_QUIET(&bed);
    assert_int_equal(kit_status(&bed, "live_runs"), 0);
    kit_close(&bed);
}

static void test_a_full_queue_may_drop_the_one_that_waited_longest(void **state)
{
    struct bed bed;
    kit_open(&bed, RULE("mode: queued\nmax: 2\nmax_exceeded: drop_oldest"));
    for (int n = 1; n <= 4; n++)
        (void)send(&bed, "ann", n);
    assert_verdict(&bed, 4, "queued", "queued behind run-1; run-3 was dropped (max 2)");
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 1);
    assert_true(kit_run_is(&bed, 2, "dropped"));
    assert_true(kit_run_is(&bed, 3, "dropped"));
    kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 2);
    assert_string_equal(kit_call(&bed, "x.slow", 1)->params, "{\"n\":4}");
    kit_close(&bed);
}

static void test_a_queue_survives_a_restart(void **state)
{
    const char *rule = RULE("mode: queued");
    struct bed bed;
    kit_open(&bed, "name: R\ntrigger: {event: a.B}\nkey: \"{{ event.k }}\"\nmode: queued\nactions: [{delay: 1m}, "
                   "{operator: x.ok, params: {n: \"{{ event.n }}\"}}]\n");
    for (int n = 1; n <= 3; n++)
        (void)send(&bed, "ann", n);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "sleeping"));
    kit_restart(&bed, rule);
    assert_int_equal(kit_status(&bed, "live_runs"), 3);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "queued"), 2);
    for (int n = 1; n <= 3; n++) {
        char want[32];
        kit_advance(&bed, 60000);
        KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == (size_t)n);
        KIT_QUIET(&bed);
        snprintf(want, sizeof(want), "{\"n\":%d}", n);
        assert_string_equal(kit_call(&bed, "x.ok", 0)->params, want);
        kit_restart(&bed, rule);
        KIT_QUIET(&bed);
    }
    kit_close(&bed);
}

static void test_restart_cancels_and_lets_a_call_in_flight_end_first(void **state)
{
    struct bed bed;
    kit_open(&bed, RULE("mode: restart"));
    (void)send(&bed, "ann", 1);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 1);
    (void)send(&bed, "ann", 2);
    assert_verdict(&bed, 2, "fired", "run-1 was cancelled for it (mode: restart)");
    assert_true(kit_run_is(&bed, 1, "cancelled"));
    (void)send(&bed, "ann", 3); /* the second has not even called */
    assert_true(kit_run_is(&bed, 2, "cancelled"));
    for (int i = 0; i < 10; i++)
        peri_loop_once(bed.loop, 1);
    assert_int_equal(kit_calls(&bed, "x.slow"), 1);
    kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 2);
    assert_string_equal(kit_call(&bed, "x.slow", 1)->params, "{\"n\":3}");
    struct peri_value *run = kit_run(&bed, 1); /* what came late is kept, and nothing followed from it */
    const struct peri_value *steps = peri_map_at(run, "steps");
    assert_int_equal(peri_value_count(steps), 1);
    assert_string_equal(peri_map_text(peri_list_at(steps, 0), "state"), "done");
    assert_string_equal(peri_map_text(run, "state"), "cancelled");
    assert_string_equal(peri_map_text(peri_map_at(run, "error"), "code"), "mode");
    peri_value_unref(run);
    kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, kit_run_is(&bed, 3, "succeeded"));
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    assert_int_equal(kit_status(&bed, "live_runs"), 0);
    assert_int_equal(kit_status(&bed, "in_flight"), 0);
    kit_close(&bed);
}

static void test_restart_within_one_batch_and_of_a_sleeping_run(void **state)
{
    struct bed bed;
    struct kit_sent sent = {.batch = peri_batch_create()};
    struct peri_error err = {0};
    kit_open(&bed, "name: R\ntrigger: {event: a.B}\nmode: restart\nactions: [{delay: 1m}, {operator: x.ok}]\n");
    for (int i = 0; i < 20; i++)
        assert_int_equal(peri_batch_event(sent.batch, kit_event("a.B", "{}", NULL)), PERI_OK);
    assert_int_equal(peri_pipeline_submit(bed.pipe, sent.batch, kit_sent_done, &sent, &err), PERI_OK);
    KIT_UNTIL(&bed, sent.done);
    KIT_UNTIL(&bed, kit_run_is(&bed, 20, "sleeping"));
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "cancelled"), 19);
    assert_int_equal(kit_status(&bed, "live_runs"), 1);
    kit_advance(&bed, 30000);
    (void)send(&bed, "", 0);
    KIT_UNTIL(&bed, kit_run_is(&bed, 21, "sleeping"));
    KIT_QUIET(&bed);
    kit_advance(&bed, 30000); /* the wait of the cancelled one ends: nobody is there */
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 0);
    kit_advance(&bed, 30000);
    KIT_UNTIL(&bed, kit_run_is(&bed, 21, "succeeded"));
    KIT_QUIET(&bed);
    assert_int_equal(peri_metric_value(bed.pipe->metrics.bugs), 0);
    kit_close(&bed);
}

static void test_parallel_bounds_what_is_live(void **state)
{
    struct bed bed;
    kit_open(&bed, RULE("mode: parallel\nmax: 2"));
    for (int n = 1; n <= 4; n++)
        (void)send(&bed, "ann", n);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 2);
    assert_int_equal(kit_run_count(&bed, "queued"), 2);
    kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 3);
    kit_rules(&bed, RULE("mode: parallel\nmax: 3")); /* more room takes effect at once */
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 4);
    kit_rules(&bed, RULE("mode: parallel\nmax: 1\nmax_exceeded: drop_newest"));
    assert_verdict(&bed, send(&bed, "ann", 5), "dropped", "the lane is full (max 1, run-2 is live)");
    kit_rules(&bed, RULE("mode: parallel\nmax: 3\nmax_exceeded: drop_oldest"));
    assert_verdict(&bed, send(&bed, "ann", 6), "fired", "run-2 was cancelled for it (max 3)");
    assert_true(kit_run_is(&bed, 2, "cancelled"));
    kit_close(&bed);
}

static void test_a_cancelled_run_makes_room_and_an_unknown_one_holds_up_nobody(void **state)
{
    struct bed bed;
    struct peri_error err = {0};
    struct kit_changed changed = {0};
    kit_open(&bed,
        "name: R\ntrigger: {event: a.B}\nmode: queued\nactions: [{if: event.n == 1, then: [{delay: 1h}]}, {if: "
        "event.n == 2, then: [{operator: x.lost}]}, {operator: x.slow}]\n");
    for (int n = 1; n <= 4; n++)
        (void)send(&bed, "", n);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "sleeping"));
    assert_int_equal(peri_pipeline_cancel(bed.pipe, 3, kit_changed_done, &changed, &err), PERI_OK); /* a queued one */
    KIT_UNTIL(&bed, changed.done);
    assert_int_equal(changed.st, PERI_OK);
    changed.done = false;
    assert_int_equal(peri_pipeline_cancel(bed.pipe, 1, kit_changed_done, &changed, &err), PERI_OK);
    KIT_UNTIL(&bed, kit_run_is(&bed, 2, "unknown"));
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 1); /* that of the fourth */
    changed.done = false;
    assert_int_equal(peri_pipeline_resolve(bed.pipe, 2, "done", kit_changed_done, &changed, &err), PERI_OK);
    KIT_UNTIL(&bed, changed.done);
    assert_int_equal(changed.st, PERI_ESTATE); /* its place is taken */
    assert_true(kit_run_is(&bed, 2, "unknown"));
    kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, kit_run_is(&bed, 4, "succeeded"));
    changed.done = false;
    assert_int_equal(peri_pipeline_resolve(bed.pipe, 2, "done", kit_changed_done, &changed, &err), PERI_OK);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 2);
    assert_int_equal(changed.st, PERI_OK);
    kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, kit_run_is(&bed, 2, "succeeded"));
    KIT_QUIET(&bed);
    assert_int_equal(kit_status(&bed, "live_runs"), 0);
    assert_int_equal(peri_metric_value(bed.pipe->metrics.bugs), 0);
    kit_close(&bed);
}

static void test_a_retry_stands_in_line(void **state)
{
    struct bed bed;
    struct peri_error err = {0};
    struct kit_changed changed = {0};
    kit_open(&bed,
        "name: R\ntrigger: {event: a.B}\nmode: single\nactions: [{if: event.n == 1, then: [{operator: x.bad}], "
        "else: [{delay: 1h}]}]\n");
    (void)send(&bed, "", 1);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "failed"));
    (void)send(&bed, "", 2);
    KIT_UNTIL(&bed, kit_run_is(&bed, 2, "sleeping"));
    assert_int_equal(peri_pipeline_retry(bed.pipe, 1, kit_changed_done, &changed, &err), PERI_OK);
    KIT_UNTIL(&bed, changed.done);
    assert_int_equal(changed.st, PERI_ESTATE);
    assert_int_equal(kit_run_count(&bed, NULL), 2);
    kit_close(&bed);
}

static void test_a_retry_lets_the_call_of_the_run_it_replaces_end_first(void **state)
{
    struct bed bed;
    struct peri_error err = {0};
    struct kit_changed changed = {0};
    kit_open(&bed, "name: R\ntrigger: {event: a.B}\nmode: restart\nactions: [{if: event.n == 1, then: [{stop: true}]}, "
                   "{operator: x.slow}]\n");
    (void)send(&bed, "", 1);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    (void)send(&bed, "", 2);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 1);
    kit_rules(&bed, "name: R\ntrigger: {event: a.B}\nmode: restart\nactions: [{operator: x.ok}]\n");
    assert_int_equal(peri_pipeline_retry(bed.pipe, 1, kit_changed_done, &changed, &err), PERI_OK);
    KIT_UNTIL(&bed, changed.done);
    assert_true(kit_run_is(&bed, 2, "cancelled"));
    for (int i = 0; i < 10; i++)
        peri_loop_once(bed.loop, 1);
    assert_int_equal(kit_calls(&bed, "x.ok"), 0);
    kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, kit_run_is(&bed, 3, "succeeded"));
    KIT_QUIET(&bed);
    kit_close(&bed);
}

/* --- against a model --- */

#define MODEL_KEYS 2
#define MODEL_RUNS 64

enum model_state { M_NONE, M_QUEUED, M_LIVE, M_UNKNOWN, M_ENDED };

struct model {
    struct bed *bed;
    struct peri_rule *rule;
    unsigned random;
    enum model_state runs[MODEL_RUNS]; /* by order of making */
    int keys[MODEL_RUNS];
    uint64_t ids[MODEL_RUNS];
    int count, event;
};

static unsigned roll(struct model *m, unsigned n)
{
    m->random = m->random * 1103515245u + 12345u;
    return (m->random >> 16) % n;
}

static int count_of(const struct model *m, int key, enum model_state state)
{
    int n = 0;
    for (int i = 0; i < m->count; i++)
        n += m->keys[i] == key && m->runs[i] == state;
    return n;
}

static int first_of(const struct model *m, int key, enum model_state state)
{
    for (int i = 0; i < m->count; i++)
        if (m->keys[i] == key && m->runs[i] == state)
            return i;
    return -1;
}

/* What the documents say, word for word. */
static enum model_state model_event(struct model *m, int key)
{
    const struct peri_flow *flow = &m->rule->flow;
    int live = count_of(m, key, M_LIVE), queued = count_of(m, key, M_QUEUED);
    switch (flow->mode) {
    case PERI_MODE_SINGLE:
        return live ? M_NONE : M_LIVE;
    case PERI_MODE_RESTART:
        for (int i = 0; i < m->count; i++)
            if (m->keys[i] == key && (m->runs[i] == M_LIVE || m->runs[i] == M_QUEUED))
                m->runs[i] = M_ENDED;
        return M_LIVE;
    case PERI_MODE_QUEUED:
        if (live + queued >= flow->max && (flow->exceeded == PERI_EXCEEDED_DROP_NEWEST || !queued))
            return M_NONE;
        if (live + queued >= flow->max)
            m->runs[first_of(m, key, M_QUEUED)] = M_ENDED;
        return live ? M_QUEUED : M_LIVE;
    case PERI_MODE_PARALLEL:
        if (!flow->max || live < flow->max)
            return M_LIVE;
        if (flow->exceeded == PERI_EXCEEDED_DROP_OLDEST)
            m->runs[first_of(m, key, M_LIVE)] = M_ENDED;
        return flow->exceeded == PERI_EXCEEDED_QUEUE         ? M_QUEUED
               : flow->exceeded == PERI_EXCEEDED_DROP_NEWEST ? M_NONE
                                                             : M_LIVE;
    default:
        return M_LIVE;
    }
}

static void model_left(struct model *m, int key)
{
    int64_t room = m->rule->flow.mode == PERI_MODE_PARALLEL ? m->rule->flow.max : 1;
    while (count_of(m, key, M_QUEUED) && count_of(m, key, M_LIVE) < room)
        m->runs[first_of(m, key, M_QUEUED)] = M_LIVE;
}

static const char *key_name(int key)
{
    return key ? "bob" : "ann";
}

static void real_event(struct peri_tx *tx, struct model *m, int key, uint64_t *ret_id)
{
    struct peri_lane_decision d;
    struct peri_lane_stops stops = {0};
    struct peri_error err = {0};
    *ret_id = 0;
    if (peri_lane_admit(tx, m->rule, &m->rule->flow, key_name(key), &d, &stops, NULL, &err) != PERI_OK)
        fail_msg("%s", err.message);
    free(stops.items);
    if (d.kind == PERI_LANE_DROP)
        return;
    struct peri_run_row row = {.rule = m->rule->id,
        .rhash = "h",
        .event = (uint64_t)++m->event,
        .trigger = "t1",
        .state = d.kind == PERI_LANE_QUEUE ? PERI_RUN_QUEUED : PERI_RUN_READY,
        .pos = "{}",
        .vars = "{}",
        .kprefix = "k",
        .ckey = key_name(key)};
    assert_int_equal(peri_tx_run_insert(tx, &row, ret_id, &err), PERI_OK);
}

static void real_leave(struct peri_tx *tx, struct model *m, int i, bool unknown)
{
    struct peri_run_ids ids = {0};
    struct peri_error err = {0};
    struct peri_run_row row = {
        .id = m->ids[i], .state = unknown ? PERI_RUN_UNKNOWN : PERI_RUN_SUCCEEDED, .pos = "{}", .vars = "{}"};
    assert_int_equal(peri_tx_run_update(tx, &row, PERI_RUN_READY, &err), PERI_OK);
    assert_int_equal(
        peri_tx_lane_promote(tx, m->rule->id, key_name(m->keys[i]), peri_lane_room(&m->rule->flow), &ids, &err),
        PERI_OK);
    free(ids.items);
}

static void compare(struct peri_tx *tx, struct model *m, int key)
{
    struct peri_lane_facts facts;
    struct peri_error err = {0};
    assert_int_equal(peri_tx_lane_facts(tx, m->rule->id, key_name(key), &facts, &err), PERI_OK);
    int live = first_of(m, key, M_LIVE), queued = first_of(m, key, M_QUEUED);
    assert_int_equal(facts.live, count_of(m, key, M_LIVE));
    assert_int_equal(facts.queued, count_of(m, key, M_QUEUED));
    assert_int_equal(facts.first_live, live < 0 ? 0 : m->ids[live]);
    assert_int_equal(facts.first_queued, queued < 0 ? 0 : m->ids[queued]);
}

static enum peri_status stream(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct model *m = arg;
    for (int step = 0; step < 40 && m->count < MODEL_RUNS; step++) {
        int key = (int)roll(m, MODEL_KEYS);
        int live = first_of(m, key, M_LIVE);
        if (live >= 0 && roll(m, 5) < 2) {
            bool unknown = roll(m, 6) == 0;
            real_leave(tx, m, live, unknown);
            m->runs[live] = unknown ? M_UNKNOWN : M_ENDED;
            model_left(m, key);
        } else {
            uint64_t id;
            real_event(tx, m, key, &id);
            enum model_state made = model_event(m, key);
            assert_int_equal(id != 0, made != M_NONE);
            if (made != M_NONE) {
                m->keys[m->count] = key;
                m->ids[m->count] = id;
                m->runs[m->count++] = made;
            }
        }
        compare(tx, m, key);
    }
    return PERI_ESTATE; /* rolled back: the next stream finds an empty store */
}

static void test_random_streams_against_the_model(void **state)
{
    static const char *const modes[] = {"mode: single", "mode: restart", "mode: queued", "mode: queued\nmax: 3",
        "mode: queued\nmax: 3\nmax_exceeded: drop_oldest", "mode: queued\nmax: 1\nmax_exceeded: drop_oldest",
        "mode: parallel\nmax: 2", "mode: parallel\nmax: 2\nmax_exceeded: drop_newest",
        "mode: parallel\nmax: 3\nmax_exceeded: drop_oldest", "mode: parallel"};
    const char *more = getenv("PERI_MODEL_STREAMS");
    int streams = more ? (int)strtol(more, NULL, 10) : 1000;
    struct bed bed;
    kit_open(&bed, NULL);
    for (int i = 0; i < streams; i++) {
        char yaml[256];
        struct peri_error err = {0};
        snprintf(yaml, sizeof(yaml),
            "name: R\ntrigger: {event: a.B}\nkey: \"{{ event.k }}\"\n%s\nactions: [{stop: true}]\n",
            modes[(size_t)i % (sizeof(modes) / sizeof(modes[0]))]);
        struct model m = {.bed = &bed, .rule = kit_rule(yaml), .random = (unsigned)i * 2654435761u + 1};
        assert_int_equal(peri_store_run(bed.store, stream, &m, &err), PERI_ESTATE);
        peri_rule_unref(m.rule);
    }
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_drops_while_one_is_live),
        cmocka_unit_test(test_a_rule_without_a_key_has_one_lane),
        cmocka_unit_test(test_a_key_that_cannot_be_told_is_a_verdict),
        cmocka_unit_test(test_queued_runs_go_one_after_the_other_in_order),
        cmocka_unit_test(test_a_full_queue_may_drop_the_one_that_waited_longest),
        cmocka_unit_test(test_a_queue_survives_a_restart),
        cmocka_unit_test(test_restart_cancels_and_lets_a_call_in_flight_end_first),
        cmocka_unit_test(test_restart_within_one_batch_and_of_a_sleeping_run),
        cmocka_unit_test(test_parallel_bounds_what_is_live),
        cmocka_unit_test(test_a_cancelled_run_makes_room_and_an_unknown_one_holds_up_nobody),
        cmocka_unit_test(test_a_retry_stands_in_line),
        cmocka_unit_test(test_a_retry_lets_the_call_of_the_run_it_replaces_end_first),
        cmocka_unit_test(test_random_streams_against_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
