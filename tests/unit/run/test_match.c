/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

static const struct peri_value *verdict_of(const struct peri_value *list, const char *rule)
{
    for (size_t i = 0; i < peri_value_count(list); i++)
        if (peri_streq(peri_map_text(peri_list_at(list, i), "rule"), rule))
            return peri_list_at(list, i);
    fail_msg("no verdict of %s", rule);
    return NULL;
}

static void assert_text(const struct peri_value *map, const char *key, const char *want)
{
    const char *is = peri_map_text(map, key);
    if (!is || strcmp(is, want) != 0)
        fail_msg("%s is %s, not %s", key, is ? is : "absent", want);
}

static void test_every_rule_that_hears_the_type_gets_one_verdict(void **state)
{
    struct bed bed;
    kit_open(&bed,
        "rules:\n"
        "  - {name: Fires, trigger: {event: a.B}, conditions: [{operator: c.yes}], actions: [{stop: true}]}\n"
        "  - {name: Pattern, trigger: {event: a.*, match: {n: [2]}}, actions: [{stop: true}]}\n"
        "  - {name: Second, trigger: {event: a.B}, conditions: [{operator: c.yes}, {operator: c.no}], actions: [{stop: "
        "true}]}\n"
        "  - {name: Broken, trigger: {event: a.B}, conditions: [{operator: c.broken}], actions: [{stop: true}]}\n"
        "  - {name: Missing, trigger: {event: a.B}, conditions: [{expr: \"{{ event.who == 'x' }}\"}], actions: [{stop: "
        "true}]}\n"
        "  - {name: Compare, trigger: {event: a.B}, conditions: [{expr: \"{{ event.n > 3 }}\"}], actions: [{stop: "
        "true}]}\n"
        "  - {name: Other, trigger: {event: z.B}, actions: [{stop: true}]}\n");
    uint64_t seq = kit_send(&bed, "a.B", "{\"n\":1}");
    KIT_QUIET(&bed);
    struct peri_value *list = kit_verdicts(&bed, seq);
    assert_int_equal(peri_value_count(list), 6);
    assert_text(verdict_of(list, "fires"), "verdict", "fired");
    assert_text(verdict_of(list, "fires"), "run", "run-1");
    const struct peri_value *v = verdict_of(list, "pattern");
    assert_text(v, "verdict", "no");
    assert_text(v, "at", "match");
    assert_non_null(peri_map_at(v, "detail"));
    v = verdict_of(list, "second");
    assert_text(v, "at", "conditions[1]");
    assert_text(v, "operator", "c.no");
    kit_assert_json(peri_map_at(v, "detail"), "{\"actual\":4,\"wanted\":5}");
    v = verdict_of(list, "broken");
    assert_text(v, "verdict", "error");
    assert_text(v, "code", "nope");
    assert_text(v, "reason", "it said nope");
    v = verdict_of(list, "missing");
    assert_text(v, "verdict", "no");
    assert_non_null(strstr(peri_map_text(v, "reason"), "missing event.who"));
    v = verdict_of(list, "compare");
    assert_int_equal(peri_map_int(peri_map_at(v, "detail"), "left", 0), 1);
    peri_value_unref(list);
    assert_int_equal(kit_run_count(&bed, NULL), 1);
    kit_close(&bed);
}

static void test_an_event_that_nobody_hears_costs_no_verdict(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: R\ntrigger: {event: a.B}\nactions: [{stop: true}]\n");
    uint64_t seq = kit_send(&bed, "b.C", "{}");
    KIT_QUIET(&bed);
    struct peri_value *list = kit_verdicts(&bed, seq), *event = NULL;
    assert_int_equal(peri_value_count(list), 0);
    peri_value_unref(list);
    assert_int_equal(peri_reader_event_value(bed.reader, seq, &event, NULL), PERI_OK);
    assert_text(event, "state", "matched");
    peri_value_unref(event);
    assert_int_equal(kit_status(&bed, "unheard"), 1);
    kit_close(&bed);
}

static void test_an_event_that_nobody_hears_ends_with_the_transaction_that_stores_it(void **state)
{
    const char *hears = "name: R\ntrigger: {event: b.*}\nactions: [{stop: true}]\n";
    struct bed bed;
    struct peri_value *event = NULL;
    kit_open(&bed, "name: R\ntrigger: {event: a.B}\ncancel_on: [{event: a.Stop}]\nactions: [{delay: 1h}]\n");
    uint64_t first = kit_send(&bed, "b.C", "{}");
    assert_int_equal(peri_reader_event_value(bed.reader, first, &event, NULL), PERI_OK);
    assert_text(event, "state", "matched"); /* the sender has just heard of it */
    peri_value_unref(event);
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_run_count(&bed, "sleeping") == 1);
    (void)kit_send(&bed, "a.Stop", "{}"); /* no rule hears it, and yet it is not for nothing */
    KIT_UNTIL(&bed, kit_run_count(&bed, "cancelled") == 1);
    kit_rules(&bed, hears);
    uint64_t second = kit_send(&bed, "b.C", "{}");
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 1);
    struct peri_value *list = kit_verdicts(&bed, second);
    assert_text(verdict_of(list, "r"), "verdict", "fired");
    peri_value_unref(list);
    assert_int_equal(kit_status(&bed, "matched"), 4);
    assert_int_equal(kit_status(&bed, "unheard"), 2);
    assert_int_equal(kit_status(&bed, "unmatched"), 0);
    kit_restart(&bed, hears); /* none of it is evaluated once more */
    assert_int_equal(kit_status(&bed, "matched"), 0);
    kit_close(&bed);
}

static void test_of_several_triggers_the_first_that_fires_or_the_furthest_counts(void **state)
{
    const char *rule = "name: Multi\n"
                       "triggers:\n"
                       "  - {id: one, event: a.B, match: {n: [1]}}\n"
                       "  - {id: two, event: a.*}\n"
                       "  - {id: three, event: a.B}\n"
                       "conditions: [{expr: \"{{ trigger.id == event.want }}\"}]\n"
                       "actions: [{operator: x.ok, params: {t: \"{{ trigger.id }}\"}}]\n";
    struct bed bed;
    kit_open(&bed, rule);
    uint64_t fires = kit_send(&bed, "a.B", "{\"want\":\"three\"}");
    uint64_t none = kit_send(&bed, "a.B", "{\"want\":\"nobody\"}");
    KIT_QUIET(&bed);
    struct peri_value *list = kit_verdicts(&bed, fires);
    assert_int_equal(peri_value_count(list), 1);
    assert_text(peri_list_at(list, 0), "trigger", "three");
    assert_text(peri_list_at(list, 0), "verdict", "fired");
    peri_value_unref(list);
    assert_string_equal(kit_call(&bed, "x.ok", 0)->params, "{\"t\":\"three\"}");
    list = kit_verdicts(&bed, none);
    assert_int_equal(peri_value_count(list), 1);
    assert_text(peri_list_at(list, 0), "trigger", "two"); /* came to its conditions, before three did */
    assert_text(peri_list_at(list, 0), "at", "conditions[0]");
    peri_value_unref(list);
    kit_close(&bed);
}

static bool is_matched(struct bed *bed, uint64_t seq)
{
    struct peri_value *event = NULL;
    assert_int_equal(peri_reader_event_value(bed->reader, seq, &event, NULL), PERI_OK);
    bool is = peri_streq(peri_map_text(event, "state"), "matched");
    peri_value_unref(event);
    return is;
}

static void test_a_slow_condition_holds_up_no_other_event(void **state)
{
    struct bed bed;
    kit_open(&bed,
        "rules:\n"
        "  - {name: Slow, trigger: {event: a.Slow}, conditions: [{operator: c.slow}], actions: [{operator: x.ok}]}\n"
        "  - {name: Quick, trigger: {event: a.Quick}, conditions: [{operator: c.yes}], actions: [{operator: x.ok}]}\n");
    uint64_t slow = kit_send(&bed, "a.Slow", "{}");
    uint64_t quick = kit_send(&bed, "a.Quick", "{}");
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 1);
    assert_int_equal(kit_call(&bed, "c.slow", 0)->as_of, slow); /* data as it was at that event */
    assert_int_equal(kit_call(&bed, "c.yes", 0)->as_of, quick);
    assert_true(is_matched(&bed, quick));
    assert_false(is_matched(&bed, slow));
    kit_reply(&bed, "c.slow", true);
    KIT_QUIET(&bed);
    assert_true(is_matched(&bed, slow));
    assert_int_equal(kit_call(&bed, "x.ok", 0)->event, quick);
    assert_int_equal(kit_call(&bed, "x.ok", 1)->event, slow);
    kit_close(&bed);
}

#define NEIGHBOURS                                                                                                     \
    "rules:\n"                                                                                                         \
    "  - {name: Slow, trigger: {event: a.B}, conditions: [{operator: c.slow}], actions: [{operator: x.ok}]}\n"         \
    "  - {name: No, trigger: {event: a.B, match: {n: [7]}}, actions: [{operator: x.ok}]}\n"                            \
    "  - {name: Quick, trigger: {event: a.B}, actions: [{operator: x.ok, params: {quick: true}}]}\n"

static void test_a_slow_rule_holds_up_no_other_rule_of_its_event(void **state)
{
    struct bed bed;
    kit_open(&bed, NEIGHBOURS);
    uint64_t seq = kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 1);
    assert_int_equal(kit_run_count(&bed, NULL), 0); /* most conditions are quick: one transaction for all of them */
    kit_advance(&bed, PIPE_PATIENCE_MS);
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 1);
    assert_false(is_matched(&bed, seq));
    struct peri_value *list = kit_verdicts(&bed, seq); /* what is decided is told */
    assert_int_equal(peri_value_count(list), 2);
    assert_text(verdict_of(list, "quick"), "verdict", "fired");
    assert_text(verdict_of(list, "no"), "verdict", "no");
    peri_value_unref(list);
    kit_reply(&bed, "c.slow", true);
    KIT_QUIET(&bed);
    assert_true(is_matched(&bed, seq));
    list = kit_verdicts(&bed, seq);
    assert_int_equal(peri_value_count(list), 3);
    assert_text(verdict_of(list, "slow"), "run", "run-2");
    peri_value_unref(list);
    assert_int_equal(kit_run_count(&bed, NULL), 2);
    assert_int_equal(kit_status(&bed, "matched"), 1);
    kit_close(&bed);
}

static void test_what_is_stored_of_an_event_is_not_done_again_after_a_restart(void **state)
{
    struct bed bed;
    kit_open(&bed, NEIGHBOURS);
    uint64_t seq = kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 1);
    kit_advance(&bed, PIPE_PATIENCE_MS);
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 1);
    kit_restart(&bed, NEIGHBOURS);
    KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 1);
    kit_reply(&bed, "c.slow", true);
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    struct peri_value *list = kit_verdicts(&bed, seq);
    assert_int_equal(peri_value_count(list), 3);
    assert_text(verdict_of(list, "quick"), "run", "run-1");
    peri_value_unref(list);
    assert_int_equal(kit_run_count(&bed, NULL), 2);
    kit_close(&bed);
}

static void test_a_lane_keeps_the_order_of_its_events(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: Queued\ntrigger: {event: a.B}\nkey: \"{{ event.k }}\"\nmode: queued\n"
                   "conditions: [{operator: c.slow}]\nactions: [{operator: x.ok, params: {n: \"{{ event.n }}\"}}]\n");
    (void)kit_send(&bed, "a.B", "{\"k\":\"x\",\"n\":1}");
    (void)kit_send(&bed, "a.B", "{\"k\":\"x\",\"n\":2}");
    (void)kit_send(&bed, "a.B", "{\"k\":\"y\",\"n\":3}");
    KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 3);
    kit_reply_nth(&bed, "c.slow", 2, true);
    kit_reply_nth(&bed, "c.slow", 1, true);
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 1);
    KIT_UNTIL(&bed, kit_status(&bed, "evaluating") == 1);
    for (int i = 0; i < 20; i++)
        peri_loop_once(bed.loop, 1);
    assert_int_equal(kit_run_count(&bed, NULL), 1); /* y went past x; the second x waits for the first */
    assert_string_equal(kit_call(&bed, "x.ok", 0)->params, "{\"n\":3}");
    kit_reply(&bed, "c.slow", true);
    KIT_QUIET(&bed);
    assert_string_equal(kit_call(&bed, "x.ok", 1)->params, "{\"n\":1}");
    assert_string_equal(kit_call(&bed, "x.ok", 2)->params, "{\"n\":2}");
    kit_close(&bed);
}

static void test_a_lane_goes_on_when_what_stood_before_says_no(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: Single\ntrigger: {event: a.B}\nmode: single\nconditions: [{operator: c.slow}]\n"
                   "actions: [{operator: x.ok}]\n");
    (void)kit_send(&bed, "a.B", "{}");
    uint64_t second = kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 2);
    kit_reply_nth(&bed, "c.slow", 1, true);
    KIT_UNTIL(&bed, kit_status(&bed, "evaluating") == 1);
    assert_int_equal(kit_run_count(&bed, NULL), 0);
    kit_reply(&bed, "c.slow", false);
    KIT_QUIET(&bed);
    assert_int_equal(kit_call(&bed, "x.ok", 0)->event, second);
    kit_close(&bed);
}

static void send_many(struct bed *bed, const char *type, size_t count)
{
    struct peri_error err = {0};
    while (count > 0) {
        struct kit_sent sent = {.batch = peri_batch_create()};
        size_t n = count < 500 ? count : 500;
        for (size_t i = 0; i < n; i++)
            assert_int_equal(peri_batch_event(sent.batch, kit_event(type, "{}", NULL)), PERI_OK);
        assert_int_equal(peri_pipeline_submit(bed->pipe, sent.batch, kit_sent_done, &sent, &err), PERI_OK);
        KIT_UNTIL(bed, sent.done);
        count -= n;
    }
}

static void test_thousands_that_wait_for_a_slow_rule_hold_up_nobody(void **state)
{
    const char *rules = "rules:\n"
                        "  - {name: Slow, trigger: {event: a.B}, mode: single, conditions: [{operator: c.slow}], "
                        "actions: [{stop: true}]}\n"
                        "  - {name: Every, trigger: {event: a.B}, actions: [{stop: true}]}\n"
                        "  - {name: Quick, trigger: {event: b.C}, actions: [{operator: x.ok}]}\n";
    struct bed bed;
    kit_open(&bed, rules);
    send_many(&bed, "a.B", 1300);
    uint64_t quick = kit_send(&bed, "b.C", "{}");
    kit_advance(&bed, PIPE_PATIENCE_MS); /* in which nobody answers */
    KIT_UNTIL(&bed, kit_calls(&bed, "x.ok") == 1);
    assert_true(is_matched(&bed, quick));
    assert_int_equal(kit_calls(&bed, "c.slow"), PIPE_ASKING); /* the others wait for these */
    assert_int_equal(kit_status(&bed, "conditions_waiting"), 1300 - PIPE_ASKING);
    kit_advance(&bed, PIPE_PATIENCE_MS);
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") >= 900);
    assert_true(bed.pipe->under_way < PIPE_UNDER_WAY); /* they do not wait in memory */
    kit_restart(&bed, rules);
    kit_advance(&bed, PIPE_PATIENCE_MS);
    for (size_t i = 0; i < 1300; i++) {
        KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") > i);
        kit_reply(&bed, "c.slow", i % 100 == 0);
    }
    KIT_QUIET(&bed);
    assert_int_equal(kit_status(&bed, "conditions_waiting"), 0);
    assert_int_equal(peri_map_count(bed.pipe->lines), 0);
    assert_int_equal(bed.pipe->pairs, 0);
    for (uint64_t seq = 1; seq <= 1300; seq++) {
        struct peri_value *list = kit_verdicts(&bed, seq);
        assert_int_equal(peri_value_count(list), 2);
        const char *word = peri_map_text(verdict_of(list, "slow"), "verdict");
        assert_true((peri_streq(word, "fired") || peri_streq(word, "dropped")) == (seq % 100 == 1));
        assert_text(verdict_of(list, "every"), "verdict", "fired");
        peri_value_unref(list);
        assert_int_equal(kit_calls_for(&bed, "c.slow", seq), 1);
    }
    kit_close(&bed);
}

static void test_priority_decides_the_order_of_runs(void **state)
{
    struct bed bed;
    kit_open(&bed,
        "rules:\n"
        "  - {name: Low, priority: 1, trigger: {event: a.B}, actions: [{operator: x.ok, params: {n: 1}}]}\n"
        "  - {name: High, priority: 9, trigger: {event: a.B}, actions: [{operator: x.ok, params: {n: 9}}]}\n");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    assert_string_equal(kit_call(&bed, "x.ok", 0)->params, "{\"n\":9}");
    kit_close(&bed);
}

static void test_a_disabled_rule_hears_nothing(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: Off\nenabled: false\ntrigger: {event: a.B}\nactions: [{operator: x.ok}]\n");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    assert_int_equal(bed.call_count, 0);
    kit_close(&bed);
}

static void test_rules_can_be_swapped_while_conditions_are_evaluated(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: R\ntrigger: {event: a.B}\nconditions: [{operator: c.slow}]\nactions: [{operator: x.ok, "
                   "params: {v: 1}}]\n");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 1);
    kit_rules(&bed, "name: R\ntrigger: {event: a.B}\nactions: [{operator: x.ok, params: {v: 2}}]\n");
    kit_reply(&bed, "c.slow", true);
    KIT_QUIET(&bed);
    assert_string_equal(
        kit_call(&bed, "x.ok", 0)->params, "{\"v\":1}"); /* evaluated by the old one, run by the old one */
    (void)kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    assert_string_equal(kit_call(&bed, "x.ok", 1)->params, "{\"v\":2}");
    kit_close(&bed);
}

static void test_more_events_than_the_window_holds_wait_in_the_journal(void **state)
{
    struct bed bed;
    struct kit_sent sent[5] = {{0}};
    struct peri_error err = {0};
    kit_open(&bed, "rules:\n  - {name: Slow, trigger: {event: a.Slow}, conditions: [{operator: c.slow}], actions: "
                   "[{stop: true}]}\n"
                   "  - {name: Rest, trigger: {event: a.B, match: {last: [true]}}, actions: [{operator: x.ok}]}\n");
    (void)kit_send(&bed, "a.Slow", "{}");
    for (int b = 0; b < 5; b++) {
        sent[b].batch = peri_batch_create();
        for (int i = 0; i < 500; i++)
            assert_int_equal(
                peri_batch_event(sent[b].batch, kit_event("a.B", i == 499 ? "{\"last\":true}" : "{}", NULL)), PERI_OK);
        assert_int_equal(peri_pipeline_submit(bed.pipe, sent[b].batch, kit_sent_done, &sent[b], &err), PERI_OK);
    }
    KIT_UNTIL(&bed, sent[4].done);
    assert_true(bed.pipe->window_count <= PIPE_WINDOW);
    KIT_UNTIL(&bed, kit_status(&bed, "unmatched") == 1);
    kit_reply(&bed, "c.slow", true);
    KIT_QUIET(&bed);
    assert_int_equal(kit_status(&bed, "matched"), 2501);
    assert_int_equal(kit_calls(&bed, "x.ok"), 5);
    kit_close(&bed);
}

static void test_many_rules_of_one_type_do_not_fill_the_memory(void **state)
{
    struct bed bed;
    struct kit_sent sent = {.batch = peri_batch_create()};
    struct peri_error err = {0};
    struct peri_buf rules;
    peri_buf_init(&rules, 1 << 20);
    peri_buf_puts(&rules, "rules:\n");
    for (int i = 0; i < 200; i++)
        peri_buf_printf(
            &rules, "  - {name: R%d, trigger: {event: a.B, match: {n: [%d]}}, actions: [{operator: x.ok}]}\n", i, i);
    kit_open(&bed, peri_buf_text(&rules));
    for (int i = 0; i < 60; i++)
        assert_int_equal(peri_batch_event(sent.batch, kit_event("a.B", "{\"n\":7}", NULL)), PERI_OK);
    assert_int_equal(peri_pipeline_submit(bed.pipe, sent.batch, kit_sent_done, &sent, &err), PERI_OK);
    while (!sent.done || !kit_quiet(&bed)) {
        assert_true(bed.pipe->pairs < PIPE_PAIRS + 200);
        peri_loop_once(bed.loop, 5);
    }
    assert_int_equal(bed.pipe->pairs, 0);
    assert_int_equal(kit_calls(&bed, "x.ok"), 60);
    struct peri_value *list = kit_verdicts(&bed, sent.seq[59]);
    assert_int_equal(peri_value_count(list), 200);
    for (size_t i = 0; i < 200; i++) {
        char id[16];
        snprintf(id, sizeof(id), "r%zu", i);
        assert_text(peri_list_at(list, i), "rule", id);
        assert_text(peri_list_at(list, i), "verdict", i == 7 ? "fired" : "no");
    }
    peri_value_unref(list);
    peri_buf_finish(&rules);
    kit_close(&bed);
}

/* Fails for a passing reason, until it does not. */
static enum peri_status passing_op(
    void *ctx, const struct peri_call *call, peri_call_done done, void *arg, struct peri_error *err)
{
    struct bed *bed = ctx;
    if (strcmp(call->operator_id, "c.yes") != 0)
        return kit_op(ctx, call, done, arg, err);
    struct kit_call *c = calloc(1, sizeof(*c));
    bed->calls[bed->call_count++] = c;
    snprintf(c->operator_id, sizeof(c->operator_id), "c.yes");
    c->done = done;
    c->arg = arg;
    struct kit_answer *a = kit_answer_new(bed, c);
    if (bed->flaky > 0)
        kit_fail(a, "http.status_503", true, false);
    else
        a->result.holds = true;
    kit_post(a);
    return PERI_OK;
}

static void test_a_condition_that_fails_for_a_passing_reason_is_asked_again(void **state)
{
    static const char rule[] =
        "name: R\ntrigger: {event: a.B}\nconditions: [{operator: c.yes}]\nactions: [{operator: x.ok}]\n";
    struct bed bed;
    struct peri_run_ops ops = {.lookup = kit_lookup, .call = passing_op, .ctx = &bed};
    kit_open(&bed, NULL);
    bed.ops = &ops;
    bed.flaky = 1;
    kit_restart(&bed, rule);
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "c.yes") == 1);
    for (int i = 0; i < 20; i++)
        peri_loop_once(bed.loop, 1);
    kit_advance(&bed, 199);
    assert_int_equal(kit_calls(&bed, "c.yes"), 1);
    kit_advance(&bed, 1);
    KIT_UNTIL(&bed, kit_calls(&bed, "c.yes") == 2);
    kit_restart(&bed, rule); /* the question is still open */
    KIT_UNTIL(&bed, kit_calls(&bed, "c.yes") == 1);
    bed.flaky = 0;
    for (int i = 0; i < 20; i++)
        peri_loop_once(bed.loop, 1);
    kit_advance(&bed, 200);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    bed.flaky = 1; /* and for ever */
    uint64_t seq = kit_send(&bed, "a.B", "{}");
    for (int i = 0; i < 8; i++) {
        for (int k = 0; k < 20; k++)
            peri_loop_once(bed.loop, 1);
        kit_advance(&bed, 60000);
    }
    KIT_QUIET(&bed);
    struct peri_value *list = kit_verdicts(&bed, seq);
    assert_string_equal(peri_map_text(peri_list_at(list, 0), "verdict"), "error");
    assert_string_equal(peri_map_text(peri_list_at(list, 0), "code"), "http.status_503");
    peri_value_unref(list);
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_rule_that_hears_the_type_gets_one_verdict),
        cmocka_unit_test(test_an_event_that_nobody_hears_costs_no_verdict),
        cmocka_unit_test(test_an_event_that_nobody_hears_ends_with_the_transaction_that_stores_it),
        cmocka_unit_test(test_of_several_triggers_the_first_that_fires_or_the_furthest_counts),
        cmocka_unit_test(test_a_slow_condition_holds_up_no_other_event),
        cmocka_unit_test(test_a_slow_rule_holds_up_no_other_rule_of_its_event),
        cmocka_unit_test(test_what_is_stored_of_an_event_is_not_done_again_after_a_restart),
        cmocka_unit_test(test_a_lane_keeps_the_order_of_its_events),
        cmocka_unit_test(test_a_lane_goes_on_when_what_stood_before_says_no),
        cmocka_unit_test(test_thousands_that_wait_for_a_slow_rule_hold_up_nobody),
        cmocka_unit_test(test_priority_decides_the_order_of_runs),
        cmocka_unit_test(test_a_disabled_rule_hears_nothing),
        cmocka_unit_test(test_rules_can_be_swapped_while_conditions_are_evaluated),
        cmocka_unit_test(test_more_events_than_the_window_holds_wait_in_the_journal),
        cmocka_unit_test(test_many_rules_of_one_type_do_not_fill_the_memory),
        cmocka_unit_test(test_a_condition_that_fails_for_a_passing_reason_is_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
