/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

/* What holds attempts back, through the whole pipeline and over restarts. */

#define MINUTE 60000

static void send(struct bed *bed, const char *json, int times)
{
    for (int i = 0; i < times; i++)
        (void)kit_send(bed, "a.B", json);
    KIT_QUIET(bed);
}

static void waiting(struct bed *bed, uint64_t run, const char *code)
{
    struct peri_value *v = kit_run(bed, run);
    assert_string_equal(peri_map_text(v, "state"), "sleeping");
    assert_string_equal(peri_map_text(peri_map_at(v, "waiting"), "code"), code);
    assert_int_equal(peri_value_count(peri_map_at(v, "steps")), 0); /* no attempt has been used up */
    peri_value_unref(v);
}

#define RATE                                                                                                           \
    "name: R\ntrigger: {event: a.B}\nactions: [{operator: x.ok, rate_limit: {limit: 2, period: 10m, key: \"{{ "        \
    "event.k "                                                                                                         \
    "}}\"}}]\n"

static void test_a_rate_limit_goes_on_after_a_restart(void **state)
{
    struct bed bed;
    kit_open(&bed, RATE);
    send(&bed, "{\"k\":\"a\"}", 5);
    assert_int_equal(kit_calls(&bed, "x.ok"), 2);
    waiting(&bed, 3, "rate_limit");
    send(&bed, "{\"k\":\"b\"}", 1);
    assert_int_equal(kit_calls(&bed, "x.ok"), 3);
    kit_restart(&bed, RATE);
    send(&bed, "{\"k\":\"a\"}", 1); /* behind those that wait */
    assert_int_equal(kit_calls(&bed, "x.ok"), 0);
    kit_advance(&bed, 10 * MINUTE);
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 2);
    assert_string_equal(kit_call(&bed, "x.ok", 0)->run, "run-3");
    assert_string_equal(kit_call(&bed, "x.ok", 1)->run, "run-4");
    kit_advance(&bed, 10 * MINUTE);
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 4);
    assert_string_equal(kit_call(&bed, "x.ok", 3)->run, "run-7");
    assert_int_equal(kit_run_count(&bed, "succeeded"), 7);
    kit_close(&bed);
}

static void test_times_that_were_missed_while_it_was_down_are_given_anew(void **state)
{
    struct bed bed;
    kit_open(&bed, RATE);
    send(&bed, "{\"k\":\"a\"}", 6);
    kit_stop(&bed);
    peri_clock_fake_advance(&bed.fake, 24 * 60 * MINUTE);
    kit_start(&bed, RATE);
    kit_advance(&bed, 0);
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 2); /* not all four that were due */
    kit_advance(&bed, 10 * MINUTE);
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 4);
    kit_close(&bed);
}

#define DOWN                                                                                                           \
    "name: R\ntrigger: {event: a.B}\nactions: [{operator: x.slow, retry: {maximum_attempts: 2, initial_interval: "     \
    "1s}}]\n"

static void answer_all(struct bed *bed, bool well)
{
    for (size_t i = 0; i < bed->call_count; i++) {
        if (bed->calls[i]->answered)
            continue;
        struct kit_answer *a = kit_answer_new(bed, bed->calls[i]);
        if (!well)
            kit_fail(a, "net", true, false);
        kit_post(a);
    }
    for (int i = 0; i < 20; i++)
        peri_loop_once(bed->loop, 5);
}

static size_t open_calls(const struct bed *bed)
{
    size_t n = 0;
    for (size_t i = 0; i < bed->call_count; i++)
        n += !bed->calls[i]->answered;
    return n;
}

static void until_calls(struct bed *bed, size_t n)
{
    KIT_UNTIL(bed, open_calls(bed) == n);
}

static void test_an_open_circuit_holds_runs_and_uses_no_attempts(void **state)
{
    struct bed bed;
    struct peri_value *status = NULL;
    kit_open(&bed, DOWN);
    for (int i = 0; i < 12; i++)
        (void)kit_send(&bed, "a.B", "{}");
    until_calls(&bed, 12);
    answer_all(&bed, false);
    KIT_UNTIL(&bed, kit_run_count(&bed, "sleeping") == 12);
    kit_advance(&bed, 5000); /* the backoffs end, but nothing leaves */
    KIT_QUIET(&bed);
    assert_int_equal(bed.call_count, 12);
    assert_int_equal(peri_pipeline_status(bed.pipe, &status), PERI_OK);
    const struct peri_value *circuit = peri_list_at(peri_map_at(status, "circuits"), 0);
    assert_string_equal(peri_map_text(circuit, "state"), "open");
    assert_string_equal(peri_map_text(circuit, "destination"), "x.slow");
    peri_value_unref(status);

    kit_restart(&bed, DOWN);
    assert_int_equal(bed.call_count, 0);
    kit_advance(&bed, 30000);
    until_calls(&bed, 1); /* the probe */
    answer_all(&bed, true);
    kit_advance(&bed, 0); /* those that met the probe are woken at once */
    until_calls(&bed, 11);
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 1);
    answer_all(&bed, true); /* second attempts, of two */
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 12);
    kit_close(&bed);
}

static void test_a_circuit_that_closes_wakes_who_waits(void **state)
{
    struct bed bed;
    kit_open(&bed, DOWN);
    for (int i = 0; i < 10; i++)
        (void)kit_send(&bed, "a.B", "{}");
    until_calls(&bed, 10);
    answer_all(&bed, false);
    KIT_UNTIL(&bed, kit_run_count(&bed, "sleeping") == 10);
    kit_advance(&bed, 31000);
    until_calls(&bed, 1);
    (void)kit_send(&bed, "a.B", "{}"); /* meets the probe */
    KIT_UNTIL(&bed, kit_run_count(&bed, "sleeping") == 10);
    waiting(&bed, 11, "circuit.open");
    answer_all(&bed, true);
    kit_advance(&bed, 0); /* at once, not when its own time comes */
    until_calls(&bed, 10);
    answer_all(&bed, true);
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 11);
    kit_close(&bed);
}

#define NIGHT                                                                                                          \
    "name: R\ntrigger: {event: a.B}\nactions:\n"                                                                       \
    "  - {operator: x.ok, quiet_hours: {from: \"15:00\", to: \"16:30\"}}\n"                                            \
    "  - {operator: x.ok, quiet_hours: {from: \"16:00\", to: \"17:00\", policy: drop}}\n"

static void test_quiet_hours_put_off_or_leave_out(void **state)
{
    struct bed bed;
    kit_open(&bed, NIGHT); /* it is 15:06:40 */
    send(&bed, "{}", 1);
    waiting(&bed, 1, "quiet_hours");
    kit_restart(&bed, NIGHT);
    kit_advance(&bed, 83 * MINUTE);
    KIT_QUIET(&bed);
    waiting(&bed, 1, "quiet_hours");
    kit_advance(&bed, MINUTE);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    struct peri_value *run = kit_run(&bed, 1);
    const struct peri_value *steps = peri_map_at(run, "steps");
    assert_string_equal(peri_map_text(peri_list_at(steps, 0), "state"), "done");
    assert_string_equal(peri_map_text(peri_list_at(steps, 1), "state"), "skipped");
    assert_string_equal(peri_map_text(peri_map_at(peri_list_at(steps, 1), "result"), "reason"),
        "quiet hours from 16:00 to 17:00 in UTC");
    peri_value_unref(run);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_rate_limit_goes_on_after_a_restart),
        cmocka_unit_test(test_times_that_were_missed_while_it_was_down_are_given_anew),
        cmocka_unit_test(test_an_open_circuit_holds_runs_and_uses_no_attempts),
        cmocka_unit_test(test_a_circuit_that_closes_wakes_who_waits),
        cmocka_unit_test(test_quiet_hours_put_off_or_leave_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
