/* SPDX-License-Identifier: Apache-2.0 */
#include "run/run_bed.h"

/* --- failures --- */

static void test_retries_send_the_same_and_end_with_the_budget(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - {operator: x.a, params: {t: \"{{ now }}\"}, retry: {maximum_attempts: 2, initial_interval: 4s}}",
        "{}");
    (void)go(&bed);
    struct peri_value *params = peri_value_ref(bed.run->track.params);
    assert_int_equal(failed(&bed, "net", true, false, PERI_DELIVERY_ONCE), PERI_NEXT_SLEEP);
    assert_int_equal(bed.run->base_ms, 4000);
    bed.now += 4000;
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_TIMER}), PERI_NEXT_CALL);
    assert_true(peri_value_equal(params, bed.run->track.params));
    assert_string_equal(bed.run->track.key, "inst.7/1");
    assert_int_equal(failed(&bed, "net", true, false, PERI_DELIVERY_ONCE), PERI_NEXT_END);
    assert_string_equal(bed.log, "1.1 x.a started\n1.1 x.a retry\n1.2 x.a started\n1.2 x.a failed\n");
    assert_int_equal(peri_map_int(bed.run->error, "attempt", 0), 2);
    peri_value_unref(params);
    close_bed(&bed);
}

static void test_on_error_of_the_step_handles_and_goes_on(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - operator: x.a\n    id: one\n    on_error:\n"
        "      - {operator: x.tell, params: {c: \"{{ error.code }}\", m: \"{{ error.message }}\", s: \"{{ error.step "
        "}}\"}}\n"
        "  - {operator: x.b, params: {was: \"{{ steps.one.error.code }}\"}}",
        "{}");
    (void)go(&bed);
    assert_int_equal(failed(&bed, "nope", false, false, PERI_DELIVERY_ONCE), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"c\":\"nope\",\"m\":\"it said nope\",\"s\":\"one\"}");
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"was\":\"nope\"}");
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_SUCCEEDED);
    close_bed(&bed);
}

static void test_continue_on_error(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - {operator: x.a, id: one, continue_on_error: true}\n"
        "  - {operator: x.b, params: {e: \"{{ steps.one.error.message }}\"}}",
        "{}");
    (void)go(&bed);
    assert_int_equal(failed(&bed, "nope", false, false, PERI_DELIVERY_ONCE), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"e\":\"it said nope\"}");
    close_bed(&bed);
}

static void test_rule_on_error_makes_the_failure_handled(void **state)
{
    const char *steps = "actions:\n  - {operator: x.a}\n  - {operator: x.never}\non_error:\n"
                        "  - {operator: x.tell, params: {c: \"{{ error.code }}\"}}";
    struct bed bed;
    open_bed(&bed, steps, "{}");
    (void)go(&bed);
    assert_int_equal(failed(&bed, "nope", false, false, PERI_DELIVERY_ONCE), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"c\":\"nope\"}");
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    assert_true(peri_map_bool(bed.run->error, "handled", false));
    assert_string_equal(error_code(&bed), "nope");
    close_bed(&bed);

    open_bed(&bed, steps, "{}"); /* and when that fails too */
    (void)go(&bed);
    (void)failed(&bed, "nope", false, false, PERI_DELIVERY_ONCE);
    assert_int_equal(failed(&bed, "worse", false, false, PERI_DELIVERY_ONCE), PERI_NEXT_END);
    assert_false(peri_map_bool(bed.run->error, "handled", false));
    assert_string_equal(error_code(&bed), "nope");
    assert_string_equal(peri_map_text(peri_map_at(bed.run->error, "on_error"), "code"), "worse");
    close_bed(&bed);
}

static void test_a_container_handles_what_fails_inside(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - for_each: {in: \"{{ event.list }}\", as: item}\n    do:\n"
        "      - if: \"{{ true }}\"\n        then: [{operator: x.a}]\n"
        "    on_error: [{operator: x.tell}]\n  - {operator: x.last}",
        "{\"list\":[1,2]}");
    (void)go(&bed);
    assert_int_equal(failed(&bed, "nope", false, false, PERI_DELIVERY_ONCE), PERI_NEXT_CALL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.tell");
    (void)ok(&bed, NULL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.last");
    assert_string_equal(bed.log, "1.1 for_each done\n2.1 if done\n3.1 x.a started\n3.1 x.a failed\n2.1 if failed\n"
                                 "1.1 for_each failed\n4.1 x.tell started\n4.1 x.tell done\n5.1 x.last started\n");
    close_bed(&bed);
}

static void test_a_failure_inside_a_handler_is_not_handled_by_it_again(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - operator: x.a\n    on_error: [{operator: x.tell}]\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    (void)failed(&bed, "nope", false, false, PERI_DELIVERY_ONCE);
    assert_int_equal(failed(&bed, "worse", false, false, PERI_DELIVERY_ONCE), PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "worse");
    close_bed(&bed);
}

static void test_unknown_outcome_by_delivery_class(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - {operator: x.a, id: one, params: {v: 1}}\n  - {operator: x.b}\non_error: [{operator: x.tell}]",
        "{}");
    (void)go(&bed);
    assert_int_equal(failed(&bed, "timeout", true, true, PERI_DELIVERY_ONCE), PERI_NEXT_PERSON);
    assert_int_equal(bed.run->state, PERI_RUN_UNKNOWN);
    assert_string_equal(bed.log, "1.1 x.a started\n1.1 x.a unknown\n");
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_RESOLVED, .decision = PERI_DECIDE_AGAIN}),
        PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"v\":1}");
    assert_string_equal(bed.run->track.key, "inst.7/1");
    assert_int_equal(bed.run->track.attempt, 2);
    (void)failed(&bed, "timeout", true, true, PERI_DELIVERY_ONCE);
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_RESOLVED, .decision = PERI_DECIDE_DONE}),
        PERI_NEXT_CALL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.b");
    (void)failed(&bed, "timeout", true, true, PERI_DELIVERY_ONCE);
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_RESOLVED, .decision = PERI_DECIDE_FAIL}),
        PERI_NEXT_CALL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.tell");
    close_bed(&bed);

    open_bed(&bed, "actions:\n  - {operator: x.a}", "{}");
    (void)go(&bed);
    assert_int_equal(failed(&bed, "timeout", false, true, PERI_DELIVERY_REPEAT), PERI_NEXT_SLEEP);
    close_bed(&bed);

    open_bed(&bed,
        "actions:\n  - operator: x.a\n    on_error: [{operator: x.tell, params: {u: \"{{ error.outcome_unknown }}\"}}]",
        "{}");
    (void)go(&bed);
    assert_int_equal(failed(&bed, "timeout", false, true, PERI_DELIVERY_ONCE), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"u\":true}");
    close_bed(&bed);
}

/* --- restarts --- */

static void test_an_open_attempt_after_a_restart(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a, params: {v: 1}}", "{}");
    (void)go(&bed);
    assert_int_equal(restarted(&bed, PERI_DELIVERY_ONCE), PERI_NEXT_PERSON);
    assert_string_equal(bed.log, "1.1 x.a started\n1.1 x.a unknown\n");
    close_bed(&bed);

    open_bed(&bed, "actions:\n  - {operator: x.a, params: {v: 1}, retry: {maximum_attempts: 2}}", "{}");
    (void)go(&bed);
    assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_CALL);
    assert_string_equal(bed.run->track.key, "inst.7/1");
    assert_int_equal(bed.run->track.attempt, 2);
    /* interruptions are not taken from the retry budget */
    assert_int_equal(failed(&bed, "net", true, false, PERI_DELIVERY_REPEAT), PERI_NEXT_SLEEP);
    close_bed(&bed);
}

static void test_a_run_that_keeps_stopping_the_service_is_given_up(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a}", "{}");
    (void)go(&bed);
    for (int i = 1; i < PERI_RUN_INTERRUPTIONS_MAX; i++)
        assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_CALL);
    assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    assert_string_equal(error_code(&bed), "interrupted");
    close_bed(&bed);
}

/* Months of restarts must not add up to five: what counts is whether this very call brings the service down. */
static void test_an_answer_ends_the_count_of_interruptions(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a, retry: {maximum_attempts: 9}}\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    for (int i = 1; i < PERI_RUN_INTERRUPTIONS_MAX; i++)
        assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_CALL);
    assert_int_equal(failed(&bed, "net", true, false, PERI_DELIVERY_REPEAT), PERI_NEXT_SLEEP);
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_TIMER}), PERI_NEXT_CALL);
    for (int i = 1; i < PERI_RUN_INTERRUPTIONS_MAX; i++)
        assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_CALL);
    assert_int_equal(ok(&bed, "{}"), PERI_NEXT_CALL);
    for (int i = 1; i < PERI_RUN_INTERRUPTIONS_MAX; i++)
        assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_CALL);
    assert_int_equal(bed.run->interruptions, 3 * (PERI_RUN_INTERRUPTIONS_MAX - 1));
    assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "interrupted");
    close_bed(&bed);
}

/* An orderly stop has not sent the call: as often as it likes. */
static void test_an_orderly_stop_is_no_interruption(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a}", "{}");
    (void)go(&bed);
    for (int i = 0; i < 3 * PERI_RUN_INTERRUPTIONS_MAX; i++)
        assert_int_equal(input(&bed,
                             (struct peri_run_input){
                                 .kind = PERI_INPUT_RESTARTED, .delivery = PERI_DELIVERY_REPEAT, .not_sent = true}),
            PERI_NEXT_CALL);
    assert_int_equal(bed.run->interruptions, 0);
    close_bed(&bed);
}

static void test_a_clock_set_back_does_not_lengthen_a_delay(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - delay: 10m", "{}");
    (void)go(&bed);
    bed.now -= 3600000;
    assert_int_equal(restarted(&bed, PERI_DELIVERY_ONCE), PERI_NEXT_SLEEP);
    assert_int_equal(bed.run->wake_ms, bed.now + 600000);
    bed.now += 700000;
    assert_int_equal(restarted(&bed, PERI_DELIVERY_ONCE), PERI_NEXT_SLEEP);
    assert_int_equal(bed.run->wake_ms, bed.now);
    close_bed(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retries_send_the_same_and_end_with_the_budget),
        cmocka_unit_test(test_on_error_of_the_step_handles_and_goes_on),
        cmocka_unit_test(test_continue_on_error),
        cmocka_unit_test(test_rule_on_error_makes_the_failure_handled),
        cmocka_unit_test(test_a_container_handles_what_fails_inside),
        cmocka_unit_test(test_a_failure_inside_a_handler_is_not_handled_by_it_again),
        cmocka_unit_test(test_unknown_outcome_by_delivery_class),
        cmocka_unit_test(test_an_open_attempt_after_a_restart),
        cmocka_unit_test(test_a_run_that_keeps_stopping_the_service_is_given_up),
        cmocka_unit_test(test_an_answer_ends_the_count_of_interruptions),
        cmocka_unit_test(test_an_orderly_stop_is_no_interruption),
        cmocka_unit_test(test_a_clock_set_back_does_not_lengthen_a_delay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
