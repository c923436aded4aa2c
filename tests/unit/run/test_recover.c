/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

/* kit_restart ends a pipeline in the middle of what it does, as a killed process would, and starts another on the same
 * database. */

static void test_a_delay_goes_on(void **state)
{
    const char *rule = "name: Later\ntrigger: {event: a.B}\nactions: [{delay: 10m}, {operator: x.ok}]\n";
    struct bed bed;
    kit_open(&bed, rule);
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "sleeping"));
    KIT_QUIET(&bed);
    kit_advance(&bed, 60000);
    kit_restart(&bed, rule);
    assert_int_equal(kit_status(&bed, "live_runs"), 1);
    kit_advance(&bed, 9 * 60000 - 1);
    KIT_QUIET(&bed);
    assert_true(kit_run_is(&bed, 1, "sleeping"));
    kit_advance(&bed, 1);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    kit_close(&bed);
}

static void test_a_delay_that_ended_meanwhile_ends_at_once(void **state)
{
    const char *rule = "name: Later\ntrigger: {event: a.B}\nactions: [{delay: 10m}, {operator: x.ok}]\n";
    struct bed bed;
    kit_open(&bed, rule);
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "sleeping"));
    kit_stop(&bed);
    peri_clock_fake_advance(&bed.fake, 3600000);
    kit_start(&bed, rule);
    peri_pipeline_tick(bed.pipe);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    KIT_QUIET(&bed);
    kit_close(&bed);
}

static void test_a_delay_is_not_lengthened_by_a_clock_set_back(void **state)
{
    const char *rule = "name: Later\ntrigger: {event: a.B}\nactions: [{delay: 10m}, {operator: x.ok}]\n";
    struct bed bed;
    kit_open(&bed, rule);
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "sleeping"));
    kit_stop(&bed);
    bed.fake.wall_ms -= 48 * 3600000;
    kit_start(&bed, rule);
    kit_advance(&bed, 600000);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    KIT_QUIET(&bed);
    kit_close(&bed);
}

static void test_unmatched_events_are_evaluated_once(void **state)
{
    const char *slow =
        "name: R\ntrigger: {event: a.B}\nconditions: [{operator: c.slow}]\nactions: [{operator: x.ok}]\n";
    const char *quick =
        "name: R\ntrigger: {event: a.B}\nconditions: [{operator: c.yes}]\nactions: [{operator: x.ok}]\n";
    struct bed bed;
    kit_open(&bed, slow);
    for (int i = 0; i < 20; i++)
        (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 20);
    kit_restart(&bed, quick);
    assert_int_equal(kit_status(&bed, "unmatched"), 20);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "succeeded"), 20);
    assert_int_equal(kit_calls(&bed, "x.ok"), 20);
    kit_restart(&bed, quick);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, NULL), 20);
    kit_close(&bed);
}

/* Conditions that fail because the service ends are no answers: the event is evaluated after the next start. */
static void test_an_event_is_not_judged_by_a_host_that_is_ending(void **state)
{
    const char *rule =
        "name: R\ntrigger: {event: a.B}\nconditions: [{operator: c.slow}]\nactions: [{operator: x.ok}]\n";
    struct bed bed;
    kit_open(&bed, rule);
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 1);
    bed.stopping = true;
    (void)kit_send(&bed, "a.B", "{}");
    struct kit_answer *answer = kit_answer_new(&bed, bed.calls[0]);
    answer->result.status = peri_error_set(&answer->result.error, PERI_ESTATE, "stopping", "the service is stopping");
    kit_post(answer);
    for (int i = 0; i < 20; i++) {
        peri_loop_once(bed.loop, 1);
        kit_advance(&bed, 100);
    }
    assert_int_equal(kit_status(&bed, "unmatched"), 2);
    bed.stopping = false;
    kit_restart(&bed, rule);
    KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 2);
    kit_reply(&bed, "c.slow", true);
    kit_reply(&bed, "c.slow", true);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "succeeded"), 2);
    kit_close(&bed);
}

static void test_an_attempt_that_the_end_of_the_host_prevented_is_made_after_the_start(void **state)
{
    const char *rule = "name: R\ntrigger: {event: a.B}\nactions: [{operator: x.ok, retry: {maximum_attempts: 1}}]\n";
    struct bed bed;
    kit_open(&bed, rule);
    bed.stopping = true;
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "ready") && bed.pipe->draining);
    for (int i = 0; i < 10; i++)
        peri_loop_once(bed.loop, 1);
    assert_true(kit_run_is(&bed, 1, "ready"));
    bed.stopping = false;
    kit_restart(&bed, rule);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    kit_close(&bed);
}

static void test_an_open_attempt_that_must_not_be_repeated_waits_for_a_person(void **state)
{
    const char *rule = "name: R\ntrigger: {event: a.B}\nactions: [{operator: x.slow, params: {who: \"{{ event.who "
                       "}}\"}}, {operator: x.ok}]\n";
    struct kit_changed changed = {0};
    struct peri_error err = {0};
    struct bed bed;
    kit_open(&bed, rule);
    (void)kit_send(&bed, "a.B", "{\"who\":\"ann\"}");
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 1);
    char key[128];
    snprintf(key, sizeof(key), "%s", kit_call(&bed, "x.slow", 0)->key);
    kit_restart(&bed, rule);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "unknown"));
    KIT_QUIET(&bed);
    assert_int_equal(bed.call_count, 0);
    kit_restart(&bed, rule); /* it goes on waiting */
    KIT_QUIET(&bed);
    assert_true(kit_run_is(&bed, 1, "unknown"));
    assert_int_equal(peri_pipeline_resolve(bed.pipe, 1, "again", kit_changed_done, &changed, &err), PERI_OK);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 1);
    assert_string_equal(kit_call(&bed, "x.slow", 0)->key, key);
    assert_string_equal(kit_call(&bed, "x.slow", 0)->params, "{\"who\":\"ann\"}");
    kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    KIT_QUIET(&bed);
    kit_close(&bed);
}

static void test_an_open_attempt_that_may_be_repeated_is_sent_again_just_the_same(void **state)
{
    const char *rule =
        "name: R\ntrigger: {event: a.B}\nactions: [{operator: x.repeat, params: {now: \"{{ now }}\"}}]\n";
    struct bed bed;
    kit_open(&bed, rule);
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "x.repeat") == 1);
    char key[128], params[128];
    snprintf(key, sizeof(key), "%s", kit_call(&bed, "x.repeat", 0)->key);
    snprintf(params, sizeof(params), "%s", kit_call(&bed, "x.repeat", 0)->params);
    peri_clock_fake_advance(&bed.fake, 5000);
    kit_restart(&bed, rule);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.repeat") == 1);
    assert_string_equal(kit_call(&bed, "x.repeat", 0)->key, key);
    assert_string_equal(kit_call(&bed, "x.repeat", 0)->params, params);
    kit_reply(&bed, "x.repeat", true);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    KIT_QUIET(&bed);
    struct peri_value *run = kit_run(&bed, 1);
    const struct peri_value *steps = peri_map_at(run, "steps");
    assert_int_equal(peri_value_count(steps), 2);
    assert_string_equal(peri_map_text(peri_list_at(steps, 0), "state"), "unknown");
    assert_string_equal(peri_map_text(peri_list_at(steps, 1), "state"), "done");
    peri_value_unref(run);
    kit_close(&bed);
}

static void test_a_run_goes_on_with_the_text_it_started_with(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: R\ntrigger: {event: a.B}\nactions: [{delay: 1m}, {operator: x.ok, params: {v: 1}}]\n");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "sleeping"));
    kit_restart(&bed, "name: R\ntrigger: {event: a.B}\nactions: [{operator: x.ok, params: {v: 2}}]\n");
    kit_advance(&bed, 60000);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    KIT_QUIET(&bed);
    assert_string_equal(kit_call(&bed, "x.ok", 0)->params, "{\"v\":1}");
    kit_restart(&bed, NULL); /* also when the rule is gone */
    KIT_QUIET(&bed);
    kit_close(&bed);
}

static void test_a_question_that_was_open_is_asked_again(void **state)
{
    const char *rule = "name: R\ntrigger: {event: a.B}\nactions: [{set: {a: 1}}, {if: {operator: c.slow}, then: "
                       "[{operator: x.ok}]}]\n";
    struct bed bed;
    kit_open(&bed, rule);
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 1);
    kit_restart(&bed, rule);
    KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 1);
    kit_reply(&bed, "c.slow", true);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    struct peri_value *run = kit_run(&bed, 1);
    assert_int_equal(peri_value_count(peri_map_at(run, "steps")), 3); /* nothing is there twice */
    peri_value_unref(run);
    kit_close(&bed);
}

/* Stops at every stage of a run of several steps, many times over: each step is done once, and nothing is left behind.
 */
/* Calls that were interrupted three times are answered now: the fifth time would end their run. */
static bool answer_the_interrupted(struct bed *bed, const int interrupted[64])
{
    size_t open = 0;
    for (size_t i = 0; i < bed->call_count; i++) {
        const struct kit_call *call = bed->calls[i];
        if (call->answered || strcmp(call->operator_id, "x.repeat") != 0)
            continue;
        if (interrupted[call->event % 64] >= 3) {
            kit_reply_nth(bed, "x.repeat", open, true);
            return true;
        }
        open++;
    }
    return false;
}

static void test_stopping_anywhere_loses_nothing_and_repeats_nothing(void **state)
{
    const char *rule = "name: R\ntrigger: {event: a.B}\nconditions: [{operator: c.yes}]\n"
                       "actions:\n"
                       "  - set: {n: \"{{ event.n }}\"}\n"
                       "  - delay: 1s\n"
                       "  - {emit: {event: b.C, data: {n: \"{{ vars.n }}\"}}}\n"
                       "  - delay: 1s\n"
                       "  - {operator: x.repeat, params: {n: \"{{ vars.n }}\"}}\n";
    struct bed bed;
    kit_open(&bed, rule);
    for (int i = 0; i < 10; i++) {
        char json[32];
        snprintf(json, sizeof(json), "{\"n\":%d}", i);
        (void)kit_send(&bed, "a.B", json);
    }
    int stops = 0, interrupted[64] = {0}; /* by event */
    for (int round = 0; kit_run_count(&bed, "succeeded") < 10; round++) {
        assert_true(round < 500);
        for (int turn = 0; turn < round % 4; turn++)
            peri_loop_once(bed.loop, 1);
        kit_advance(&bed, 300);
        bool often = answer_the_interrupted(&bed, interrupted);
        for (size_t i = 0; i < bed.call_count && !often; i++)
            if (!bed.calls[i]->answered && strcmp(bed.calls[i]->operator_id, "x.repeat") == 0 &&
                (round + (int)i) % 3 == 0) {
                kit_reply(&bed, "x.repeat", true);
                break;
            }
        if (round % 7 == 3 && stops < 25 && !often) {
            for (size_t i = 0; i < bed.call_count; i++)
                interrupted[bed.calls[i]->event % 64] += !bed.calls[i]->answered;
            kit_restart(&bed, rule);
            stops++;
        }
        peri_loop_once(bed.loop, 1);
    }
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, NULL), 10);
    struct peri_event_filter filter = {.type = "b.C", .limit = 1000};
    struct peri_value *events = NULL;
    assert_int_equal(peri_reader_events(bed.reader, &filter, &events, NULL), PERI_OK);
    assert_int_equal(peri_value_count(events), 10); /* with the step that emitted it, once */
    peri_value_unref(events);
    kit_close(&bed);
}

static enum peri_status spoil(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct peri_run_row row = {
        .id = 1, .state = PERI_RUN_SLEEPING, .pos = "{}", .vars = "{}", .wake_ms = *(int64_t *)arg, .base_ms = 600000};
    return peri_tx_run_update(tx, &row, PERI_RUN_SLEEPING, err);
}

static void test_a_run_whose_position_cannot_be_read_is_declared_failed(void **state)
{
    struct bed bed;
    struct peri_error err = {0};
    const char *rule = "name: Later\ntrigger: {event: a.B}\nactions: [{delay: 10m}, {operator: x.ok}]\n";
    kit_open(&bed, rule);
    (void)kit_send(&bed, "a.B", "{}");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_run_count(&bed, "sleeping") == 2);
    KIT_QUIET(&bed);
    int64_t wake = peri_clock_wall_ms(&bed.clock) + 600000;
    assert_int_equal(peri_store_run(bed.store, spoil, &wake, &err), PERI_OK);
    kit_restart(&bed, rule);
    kit_advance(&bed, 600000);
    KIT_UNTIL(&bed, kit_run_is(&bed, 2, "succeeded"));
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "failed"));
    struct peri_value *run = kit_run(&bed, 1);
    assert_string_equal(peri_map_text(peri_map_at(run, "error"), "code"), "run.position");
    peri_value_unref(run);
    KIT_UNTIL(&bed, kit_status(&bed, "live_runs") == 0); /* the row is seen before the loop hears of it */
    kit_close(&bed);
}

/* What a transaction leaves behind that was committed although its commit was reported as failed. */
struct already {
    struct bed *bed;
    uint64_t event, run;
};

static enum peri_status match_already(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct already *a = arg;
    struct peri_rule *rule = a->bed->pipe->rules[0];
    char *pos = NULL, *vars = NULL, *error = NULL;
    struct peri_run *run = peri_run_create(rule, "k", 0);
    assert_int_equal(peri_run_write(run, &pos, &vars, &error), PERI_OK);
    struct peri_run_row row = {.rule = rule->id,
        .rhash = rule->hash,
        .event = a->event,
        .trigger = "t1",
        .state = PERI_RUN_READY,
        .pos = pos,
        .vars = vars,
        .kprefix = "k",
        .created_ms = 1};
    enum peri_status st = peri_tx_ruleset_put(tx, rule->hash, rule->text, rule->id, err);
    if (st == PERI_OK)
        st = peri_tx_run_insert(tx, &row, &a->run, err);
    if (st == PERI_OK)
        st = peri_tx_event_done(tx, a->event, PERI_EVENT_MATCHED, NULL, err);
    free(pos);
    free(vars);
    peri_run_destroy(run);
    return st;
}

static void test_a_match_that_was_stored_without_our_hearing_of_it(void **state)
{
    struct bed bed;
    struct peri_error err = {0};
    kit_open(&bed, "name: R\ntrigger: {event: a.B}\nconditions: [{operator: c.slow}]\nactions: [{operator: x.ok}]\n");
    struct already a = {.bed = &bed, .event = kit_send(&bed, "a.B", "{}")};
    KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 1);
    assert_int_equal(peri_store_run(bed.store, match_already, &a, &err), PERI_OK);
    kit_reply(&bed, "c.slow", true);
    KIT_UNTIL(&bed, kit_run_is(&bed, a.run, "succeeded"));
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, NULL), 1);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    assert_int_equal(kit_status(&bed, "live_runs"), 0);
    kit_close(&bed);
}

static enum peri_status sleep_already(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct bed *bed = arg;
    struct live *live = live_find(bed->pipe, 1);
    char *pos = NULL, *vars = NULL, *error = NULL;
    assert_int_equal(peri_run_write(live->run, &pos, &vars, &error), PERI_OK);
    struct peri_run_row row = {.id = 1, .state = PERI_RUN_UNKNOWN, .pos = pos, .vars = vars};
    enum peri_status st = peri_tx_run_update(tx, &row, PERI_RUN_RUNNING, err);
    free(pos);
    free(vars);
    return st;
}

static void test_another_stored_state_than_expected_wins_and_is_counted(void **state)
{
    struct bed bed;
    struct peri_error err = {0};
    kit_open(&bed, "name: R\ntrigger: {event: a.B}\nactions: [{operator: x.slow}, {operator: x.ok}]\n");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 1);
    assert_int_equal(peri_store_run(bed.store, sleep_already, &bed, &err), PERI_OK);
    kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, peri_metric_value(bed.pipe->metrics.bugs) == 1);
    kit_advance(&bed, 1000); /* read again: the stored position says that a call is open, and it must not be repeated */
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "unknown"));
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 0);
    kit_close(&bed);
}

static void test_one_stop_is_one_interruption(void **state)
{
    static const char rule[] = "name: Wide\ntrigger: {event: a.B}\nactions:\n  - parallel: [{operator: x.repeat}, {operator: "
                               "x.repeat}, {operator: x.repeat}, {operator: x.repeat}, {operator: x.repeat}, {operator: x.repeat}]\n";
    struct bed bed;
    kit_open(&bed, rule);
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "x.repeat") == 6);
    kit_restart(&bed, rule);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.repeat") == 6);
    for (int i = 0; i < 6; i++)
        kit_reply(&bed, "x.repeat", true);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_stop_is_one_interruption),
        cmocka_unit_test(test_a_delay_goes_on),
        cmocka_unit_test(test_a_delay_that_ended_meanwhile_ends_at_once),
        cmocka_unit_test(test_a_delay_is_not_lengthened_by_a_clock_set_back),
        cmocka_unit_test(test_unmatched_events_are_evaluated_once),
        cmocka_unit_test(test_an_event_is_not_judged_by_a_host_that_is_ending),
        cmocka_unit_test(test_an_attempt_that_the_end_of_the_host_prevented_is_made_after_the_start),
        cmocka_unit_test(test_an_open_attempt_that_must_not_be_repeated_waits_for_a_person),
        cmocka_unit_test(test_an_open_attempt_that_may_be_repeated_is_sent_again_just_the_same),
        cmocka_unit_test(test_a_run_goes_on_with_the_text_it_started_with),
        cmocka_unit_test(test_a_question_that_was_open_is_asked_again),
        cmocka_unit_test(test_stopping_anywhere_loses_nothing_and_repeats_nothing),
        cmocka_unit_test(test_a_match_that_was_stored_without_our_hearing_of_it),
        cmocka_unit_test(test_another_stored_state_than_expected_wins_and_is_counted),
        cmocka_unit_test(test_a_run_whose_position_cannot_be_read_is_declared_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
