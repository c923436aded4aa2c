/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

/* What ends runs from outside: cancel_on, and edits of their rules. */

#define CANCEL(more)                                                                                                   \
    "name: R\ntrigger: {event: a.B}\n" more                                                                            \
    "cancel_on: [{event: a.Stop, match: {why: [{exists: true}]}}]\nactions: [{delay: 1h}, {operator: x.ok}]\n"

static void assert_error(struct bed *bed, uint64_t id, const char *state, const char *code)
{
    struct peri_value *run = kit_run(bed, id);
    assert_string_equal(peri_map_text(run, "state"), state);
    assert_string_equal(peri_map_text(peri_map_at(run, "error"), "code"), code);
    peri_value_unref(run);
}

static void test_an_event_cancels_the_runs_of_its_key(void **state)
{
    struct bed bed;
    kit_open(&bed, CANCEL("key: \"{{ event.k }}\"\n"));
    (void)kit_send(&bed, "a.B", "{\"k\":\"ann\"}");
    (void)kit_send(&bed, "a.B", "{\"k\":\"bob\"}");
    (void)kit_send(&bed, "a.B", "{\"k\":\"ann\"}");
    KIT_QUIET(&bed);
    (void)kit_send(&bed, "a.Stop", "{\"k\":\"ann\"}"); /* the pattern wants a reason */
    (void)kit_send(&bed, "a.Stop", "{\"why\":1}");     /* no key: concerns nobody */
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "sleeping"), 3);
    (void)kit_send(&bed, "a.Stop", "{\"k\":\"ann\",\"why\":1}");
    KIT_UNTIL(&bed, kit_run_count(&bed, "cancelled") == 2);
    assert_error(&bed, 1, "cancelled", "cancel_on");
    assert_true(kit_run_is(&bed, 2, "sleeping"));
    kit_advance(&bed, 3600000);
    KIT_UNTIL(&bed, kit_run_is(&bed, 2, "succeeded"));
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    kit_close(&bed);
}

static void test_without_a_key_it_cancels_all_that_were_there(void **state)
{
    struct bed bed;
    kit_open(&bed, CANCEL(""));
    (void)kit_send(&bed, "a.B", "{}");
    (void)kit_send(&bed, "a.B", "{}");
    (void)kit_send(&bed, "a.Stop", "{\"why\":1}");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_quiet(&bed) && kit_run_count(&bed, "cancelled") == 2);
    assert_true(kit_run_is(&bed, 3, "sleeping"));
    kit_close(&bed);
}

static void test_who_waits_in_the_lane_behind_a_cancelled_one_follows(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: R\ntrigger: {event: a.B}\nmode: queued\ncancel_on: [{event: a.Stop}]\n"
                   "actions: [{operator: x.slow}, {operator: x.ok}]\n");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 1);
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_run_count(&bed, "queued") == 1);
    (void)kit_send(&bed, "a.Stop", "{}");
    KIT_UNTIL(&bed, kit_run_count(&bed, "cancelled") == 2); /* queued ones too */
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_run_count(&bed, "cancelled") == 2 && kit_calls(&bed, "x.slow") == 2);
    kit_reply(&bed, "x.slow", true); /* the old call ends: it is kept, nothing follows */
    kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, kit_run_is(&bed, 3, "succeeded"));
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    kit_close(&bed);
}

#define SLOW_CANCEL                                                                                                    \
    "name: R\ntrigger: {event: a.B}\nkey: \"{{ event.k }}\"\ncancel_on: [{event: a.Stop}]\n"                           \
    "conditions: [{operator: c.slow}]\nactions: [{operator: x.ok}]\n"

static void test_a_run_of_an_earlier_event_whose_condition_is_slow_is_ended_too(void **state)
{
    for (int restart = 0; restart < 2; restart++) {
        struct bed bed;
        kit_open(&bed, SLOW_CANCEL);
        (void)kit_send(&bed, "a.B", "{\"k\":\"ann\"}");
        (void)kit_send(&bed, "a.B", "{\"k\":\"bob\"}");
        KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 2);
        (void)kit_send(&bed, "a.Stop", "{\"k\":\"ann\"}");
        KIT_UNTIL(&bed, kit_status(&bed, "unmatched") == 2);
        if (restart)
            kit_restart(&bed, SLOW_CANCEL);
        (void)kit_send(&bed, "a.B", "{\"k\":\"ann\"}");
        KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 3);
        for (int i = 0; i < 3; i++)
            kit_reply(&bed, "c.slow", true);
        KIT_QUIET(&bed);
        assert_int_equal(kit_run_count(&bed, "cancelled"), 1);
        assert_int_equal(kit_run_count(&bed, "succeeded"), 2); /* another key, and a later event */
        assert_error(&bed, 1, "cancelled", "cancel_on");
        assert_int_equal(kit_calls(&bed, "x.ok"), 2);
        kit_close(&bed);
    }
}

static void test_runs_that_began_before_their_rule_had_it(void **state)
{
    static const char *const plain = "name: R\ntrigger: {event: a.B}\nactions: [{delay: 1h}, {operator: x.ok}]\n";
    for (int restart = 0; restart < 2; restart++) {
        struct bed bed;
        kit_open(&bed, plain);
        (void)kit_send(&bed, "a.B", "{\"k\":\"ann\"}");
        (void)kit_send(&bed, "a.B", "{\"k\":\"bob\"}");
        (void)kit_send(&bed, "a.B", "{}"); /* no key: nothing concerns it */
        KIT_QUIET(&bed);
        if (restart)
            kit_restart(&bed, CANCEL("key: \"{{ event.k }}\"\n"));
        else
            kit_rules(&bed, CANCEL("key: \"{{ event.k }}\"\n"));
        KIT_QUIET(&bed);
        (void)kit_send(&bed, "a.Stop", "{\"k\":\"ann\",\"why\":1}");
        KIT_UNTIL(&bed, kit_run_is(&bed, 1, "cancelled"));
        assert_int_equal(kit_run_count(&bed, "sleeping"), 2);
        kit_rules(&bed, CANCEL(""));
        KIT_QUIET(&bed);
        (void)kit_send(&bed, "a.Stop", "{\"why\":1}");
        KIT_UNTIL(&bed, kit_run_is(&bed, 3, "cancelled"));
        kit_close(&bed);
    }
}

static void test_runs_of_a_schedule_that_must_not_overlap(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: R\ntrigger: {schedule: {every: 10m, overlap: skip}}\ncancel_on: [{event: a.Stop}]\n"
                   "actions: [{delay: 25m}, {operator: x.ok}]\n");
    kit_advance(&bed, 600000);
    KIT_UNTIL(&bed, kit_run_count(&bed, "sleeping") == 1);
    (void)kit_send(&bed, "a.Stop", "{}");
    KIT_UNTIL(&bed, kit_run_count(&bed, "cancelled") == 1);
    kit_advance(&bed, 600000);
    KIT_UNTIL(&bed, kit_run_count(&bed, "sleeping") == 1); /* its place is free */
    kit_close(&bed);
}

#define EDIT(word, text)                                                                                               \
    "name: R\ntrigger: {event: a.B}\n" word "actions: [{delay: 1h}, {operator: x.ok, params: {text: " text "}}]\n"

static void test_a_run_goes_on_with_its_text(void **state)
{
    struct bed bed;
    kit_open(&bed, EDIT("", "old"));
    (void)kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    kit_rules(&bed, EDIT("on_change: cancel\n", "new")); /* the word of the text that it started with counts */
    KIT_QUIET(&bed);
    kit_advance(&bed, 3600000);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    assert_string_equal(kit_call(&bed, "x.ok", 0)->params, "{\"text\":\"old\"}");
    kit_close(&bed);
}

static void test_an_edit_cancels(void **state)
{
    struct bed bed;
    kit_open(&bed, EDIT("on_change: cancel\n", "old"));
    (void)kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    kit_rules(&bed, EDIT("on_change: cancel\n", "old") "# a comment is no edit\n");
    KIT_QUIET(&bed);
    assert_true(kit_run_is(&bed, 1, "sleeping"));
    kit_rules(&bed, EDIT("on_change: cancel\n", "new"));
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "cancelled"));
    assert_error(&bed, 1, "cancelled", "on_change");
    assert_int_equal(kit_run_count(&bed, NULL), 1);
    KIT_UNTIL(&bed, kit_status(&bed, "live_runs") == 0);
    kit_close(&bed);
}

static void test_an_edit_restarts(void **state)
{
    struct bed bed;
    kit_open(&bed, EDIT("on_change: restart\n", "old"));
    (void)kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    kit_advance(&bed, 1800000);
    kit_rules(&bed, EDIT("on_change: restart\n", "new"));
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "cancelled") && kit_run_is(&bed, 2, "sleeping"));
    struct peri_value *run = kit_run(&bed, 2);
    assert_string_equal(peri_map_text(run, "retry_of"), "run-1");
    assert_string_equal(peri_map_text(run, "event"), "ev-1");
    peri_value_unref(run);
    kit_advance(&bed, 1800000);
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 0); /* it began from the beginning */
    kit_advance(&bed, 1800000);
    KIT_UNTIL(&bed, kit_run_is(&bed, 2, "succeeded"));
    assert_string_equal(kit_call(&bed, "x.ok", 0)->params, "{\"text\":\"new\"}");
    kit_close(&bed);
}

static void test_an_edit_while_the_service_was_down_counts(void **state)
{
    struct bed bed;
    kit_open(&bed, EDIT("on_change: restart\n", "old"));
    (void)kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    kit_restart(&bed, EDIT("on_change: restart\n", "new"));
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "cancelled") && kit_run_is(&bed, 2, "sleeping"));
    kit_restart(&bed, ""); /* the file is gone: nothing to restart with */
    KIT_UNTIL(&bed, kit_run_is(&bed, 2, "cancelled"));
    assert_int_equal(kit_run_count(&bed, NULL), 2);
    kit_close(&bed);
}

static void test_a_restart_lets_the_call_under_way_end_first(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: R\ntrigger: {event: a.B}\non_change: restart\nactions: [{operator: x.slow}]\n");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 1);
    kit_rules(
        &bed, "name: R\ntrigger: {event: a.B}\non_change: restart\nactions: [{operator: x.slow}, {operator: x.ok}]\n");
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "cancelled") && kit_run_is(&bed, 2, "ready"));
    assert_int_equal(kit_calls(&bed, "x.slow"), 1);
    kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 2);
    kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, kit_run_is(&bed, 2, "succeeded"));
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_cancels_the_runs_of_its_key),
        cmocka_unit_test(test_without_a_key_it_cancels_all_that_were_there),
        cmocka_unit_test(test_who_waits_in_the_lane_behind_a_cancelled_one_follows),
        cmocka_unit_test(test_a_run_of_an_earlier_event_whose_condition_is_slow_is_ended_too),
        cmocka_unit_test(test_runs_that_began_before_their_rule_had_it),
        cmocka_unit_test(test_runs_of_a_schedule_that_must_not_overlap),
        cmocka_unit_test(test_a_run_goes_on_with_its_text),
        cmocka_unit_test(test_an_edit_cancels),
        cmocka_unit_test(test_an_edit_restarts),
        cmocka_unit_test(test_an_edit_while_the_service_was_down_counts),
        cmocka_unit_test(test_a_restart_lets_the_call_under_way_end_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
