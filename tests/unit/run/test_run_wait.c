/* SPDX-License-Identifier: Apache-2.0 */
#include "run/run_bed.h"

/* --- waits --- */

static enum peri_run_next heard(struct bed *bed, int n, const char *event)
{
    struct peri_value *v = kit_json(event);
    enum peri_run_next next = input(bed, (struct peri_run_input){.kind = PERI_INPUT_EVENT, .n = n, .value = v});
    peri_value_unref(v);
    return next;
}

static const char *const WAIT =
    "actions:\n  - {operator: x.a}\n"
    "  - wait_for: {event: o.Paid, match: {order: {id: [\"{{ event.id }}\"]}}, timeout: 1h}\n"
    "    id: w\n    as: paid\n  - if: steps.w.timed_out\n    then: [{operator: x.late}]\n"
    "  - {operator: x.b, params: {n: \"{{ events.paid.n | default('-') }}\"}}";

static void test_a_wait_is_a_row_until_its_event_comes(void **state)
{
    struct bed bed;
    open_bed(&bed, WAIT, "{\"id\":\"o1\"}");
    (void)input(&bed, (struct peri_run_input){.kind = PERI_INPUT_GO, .seq = 41});
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_CALL_OK, .seq = 45}), PERI_NEXT_SLEEP);
    assert_int_equal(bed.run->state, PERI_RUN_WAITING);
    assert_int_equal(bed.run->wake_ms, bed.now + 3600000);
    assert_int_equal(bed.effects.wait_count, 1);
    const struct peri_run_wait *wait = &bed.effects.waits[0];
    assert_int_equal(wait->n, 2);
    assert_string_equal(wait->type, "o.Paid");
    assert_string_equal(wait->path, "[\"order\",\"id\"]");
    assert_string_equal(wait->match, "{\"order\":{\"id\":[\"o1\"]}}");
    assert_int_equal(wait->since, 41); /* what the call has set in motion may come before its answer */
    assert_non_null(strstr(bed.effects.records[1].params, "\"until\""));
    assert_int_equal(heard(&bed, 7, "{\"data\":{}}"), PERI_NEXT_IGNORED);
    assert_int_equal(
        heard(&bed, 2, "{\"id\":\"ev-9\",\"type\":\"o.Paid\",\"time\":\"t\",\"data\":{\"n\":5}}"), PERI_NEXT_CALL);
    assert_int_equal(bed.effects.unwaits[0], 2);
    assert_int_equal(bed.run->wake_ms, 0);
    kit_assert_json(bed.run->track.params, "{\"n\":5}");
    kit_assert_json(peri_map_at(bed.run->track.steps, "w"),
        "{\"timed_out\":false,\"id\":\"ev-9\",\"type\":\"o.Paid\",\"time\":\"t\",\"event\":{\"n\":5}}");
    close_bed(&bed);
}

static void test_a_wait_whose_time_is_over_says_so(void **state)
{
    struct bed bed;
    open_bed(&bed, WAIT, "{\"id\":\"o1\"}");
    (void)go(&bed);
    (void)ok(&bed, NULL);
    assert_int_equal(timer(&bed), PERI_NEXT_CALL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.late");
    kit_assert_json(peri_map_at(bed.run->track.steps, "w"), "{\"timed_out\":true}");
    assert_int_equal(bed.effects.unwait_count, 1);
    assert_int_equal(heard(&bed, 2, "{\"data\":{}}"), PERI_NEXT_IGNORED);
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"n\":\"-\"}");
    close_bed(&bed);
}

static void test_waits_that_cannot_be(void **state)
{
    static const struct {
        const char *wait, *code;
    } bad[] = {{"{event: o.P, match: {id: [\"{{ event.gone }}\"]}}", "missing"},
        {"{event: o.P, match: {n: [{numeric: [\"{{ event.id }}\", 1]}]}}", "pattern-numeric"},
        {"{event: o.P, timeout: \"{{ event.id }}\"}", "duration"}, {"{event: o.P, timeout: \"{{ event }}\"}", "type"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char yaml[256];
        struct bed bed;
        snprintf(yaml, sizeof(yaml), "actions:\n  - wait_for: %s\n  - {operator: x.a}", bad[i].wait);
        open_bed(&bed, yaml, "{\"id\":\"o1\"}");
        assert_int_equal(go(&bed), PERI_NEXT_END);
        assert_int_equal(bed.effects.wait_count, 0);
        assert_string_equal(error_code(&bed), bad[i].code);
        close_bed(&bed);
    }
}

static void test_branches_wait_each_for_its_own(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - parallel:\n      - {wait_for: {event: a.A}, as: a}\n      - {wait_for: {event: a.B}, as: b}\n"
        "  - {operator: x.z, params: {a: \"{{ events.a.v }}\", b: \"{{ events.b.v }}\"}}",
        "{}");
    (void)go(&bed);
    assert_int_equal(bed.effects.wait_count, 2);
    assert_int_equal(heard(&bed, bed.effects.waits[1].n, "{\"data\":{\"v\":2}}"), PERI_NEXT_NOTHING);
    assert_int_equal(bed.run->state, PERI_RUN_WAITING);
    assert_int_equal(heard(&bed, 2, "{\"data\":{\"v\":1}}"), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"a\":1,\"b\":2}");
    close_bed(&bed);

    open_bed(&bed, "actions:\n  - {timeout: 5m, wait_for: {event: a.A}}\n", "{}"); /* a step's timeout fails it */
    (void)go(&bed);
    assert_int_equal(timer(&bed), PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "timeout");
    assert_int_equal(bed.effects.unwait_count, 1);
    close_bed(&bed);
}

static void ask(char *out, size_t size, const char *more)
{
    snprintf(out, size,
        "actions:\n  - id: boss\n    approve: {prompt: \"{{ event.n }}?\", timeout: 1h%s}\n"
        "  - {operator: x.a, params: {v: \"{{ steps.boss }}\"}}\n",
        more);
}

static void test_an_answer_is_the_result(void **state)
{
    struct peri_value *answer = kit_json("true");
    char yaml[512];
    struct bed bed;
    ask(yaml, sizeof(yaml), ", default: false");
    open_bed(&bed, yaml, "{\"n\":3}");
    (void)go(&bed);
    assert_int_equal(bed.run->state, PERI_RUN_WAITING);
    assert_null(bed.effects.waits[0].type);
    assert_non_null(strstr(bed.effects.records[0].params, "\"prompt\":\"3?\""));
    assert_int_equal(
        input(&bed, (struct peri_run_input){.kind = PERI_INPUT_ANSWER, .n = 1, .value = answer}), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"v\":true}");
    assert_int_equal(bed.effects.unwait_count, 1);
    close_bed(&bed);

    open_bed(&bed, yaml, "{\"n\":3}");
    (void)go(&bed);
    assert_int_equal(timer(&bed), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"v\":false}");
    close_bed(&bed);

    ask(yaml, sizeof(yaml), "");
    open_bed(&bed, yaml, "{\"n\":3}");
    (void)go(&bed);
    assert_int_equal(timer(&bed), PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "timeout");
    close_bed(&bed);
    peri_value_unref(answer);
}

/* --- timeouts --- */

static void test_a_container_that_takes_too_long_fails(void **state)
{
    static const char *const forms[] = {
        "parallel: [[{operator: x.a}, {operator: x.b}], {operator: x.c}]",
        "for_each: {in: [1], as: i, parallel: 1}\n    do: [{operator: x.a}]",
        "for_each: {in: [1], as: i}\n    do: [{operator: x.a}]",
        "if: true\n    then: [{operator: x.a}]",
        "choose: [{if: true, do: [{if: true, then: [{operator: x.a}]}]}]",
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        char yaml[512];
        struct bed bed;
        snprintf(yaml, sizeof(yaml),
            "actions:\n  - id: slow\n    timeout: 10m\n    %s\n    on_error:\n"
            "      - {operator: x.tell, params: {c: \"{{ error.code }}\", s: \"{{ error.step }}\"}}\n"
            "  - {operator: x.last}",
            forms[i]);
        open_bed(&bed, yaml, "{}");
        (void)go(&bed);
        assert_int_equal(bed.run->wake_ms, bed.now + 600000);
        (void)timer(&bed);
        assert_string_equal(tasks(&bed), "0:call");
        kit_assert_json(bed.run->track.params, "{\"c\":\"timeout\",\"s\":\"slow\"}");
        assert_non_null(strstr(bed.log, "x.a unknown\n")); /* its call may arrive all the same */
        assert_int_equal(bed.run->branch_count, 0);
        assert_int_equal(bed.run->wake_ms, 0);
        assert_int_equal(ok(&bed, NULL), PERI_NEXT_CALL);
        assert_string_equal(peri_run_step(bed.run)->operator_id, "x.last");
        close_bed(&bed);
    }
}

static void test_a_container_that_ends_in_time_has_no_deadline_any_more(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {if: true, timeout: 1m, then: [{operator: x.a}]}\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    (void)ok(&bed, NULL);
    assert_int_equal(bed.run->wake_ms, 0);
    assert_int_equal(
        input(&bed, (struct peri_run_input){.kind = PERI_INPUT_TIMER, .due_ms = bed.now + 60000}), PERI_NEXT_IGNORED);
    close_bed(&bed);
}

static void test_the_timeout_of_the_rule(void **state)
{
    const char *steps = "timeout: 1h\nactions:\n  - {operator: x.a}\n  - parallel: [{delay: 2h}, {operator: x.b}]\n"
                        "  - {operator: x.never}\n";
    char with[512];
    struct bed bed;
    open_bed(&bed, steps, "{}");
    int64_t begun = bed.now;
    (void)go(&bed);
    bed.now += 60000;
    (void)ok(&bed, NULL);
    assert_int_equal(bed.run->wake_ms, begun + 3600000);
    assert_int_equal(timer(&bed), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    assert_string_equal(error_code(&bed), "timeout");
    assert_non_null(strstr(peri_map_text(bed.run->error, "message"), "1h"));
    close_bed(&bed);

    snprintf(with, sizeof(with), "%son_error: [{delay: 5h}, {operator: x.tell}]\n", steps);
    open_bed(&bed, with, "{}");
    (void)go(&bed);
    (void)timer(&bed);
    assert_int_equal(bed.run->state, PERI_RUN_SLEEPING); /* what handles it has all its time */
    (void)timer(&bed);
    assert_string_equal(tasks(&bed), "0:call");
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_END);
    assert_true(peri_map_bool(bed.run->error, "handled", false));
    close_bed(&bed);
}

/* --- pauses --- */

static enum peri_run_next person(struct bed *bed, enum peri_run_input_kind kind)
{
    return input(bed, (struct peri_run_input){.kind = kind});
}

static void test_a_paused_run_begins_nothing(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a, retry: {maximum_attempts: 3}}\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    (void)person(&bed, PERI_INPUT_PAUSE);
    assert_int_equal(bed.run->state, PERI_RUN_RUNNING); /* until its call has ended */
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_NOTHING);
    assert_int_equal(bed.run->state, PERI_RUN_PAUSED);
    assert_string_equal(bed.log, "1.1 x.a started\n1.1 x.a done\n");
    assert_int_equal(person(&bed, PERI_INPUT_RESUME), PERI_NEXT_CALL);
    assert_int_equal(bed.run->state, PERI_RUN_RUNNING);
    (void)person(&bed, PERI_INPUT_PAUSE);
    assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_NOTHING); /* would call again */
    assert_int_equal(bed.run->state, PERI_RUN_PAUSED);
    assert_int_equal(person(&bed, PERI_INPUT_RESUME), PERI_NEXT_CALL);
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_SUCCEEDED);
    close_bed(&bed);

    open_bed(&bed, "actions:\n  - {operator: x.a, retry: {initial_interval: 1h}}", "{}");
    (void)go(&bed);
    (void)person(&bed, PERI_INPUT_PAUSE);
    (void)failed(&bed, "net", true, false, PERI_DELIVERY_ONCE);
    assert_int_equal(bed.run->state, PERI_RUN_PAUSED);
    assert_int_equal(bed.run->wake_ms, 0);
    bed.now += 7200000;
    assert_int_equal(person(&bed, PERI_INPUT_RESUME), PERI_NEXT_SLEEP);
    assert_true(bed.run->wake_ms > 0 && bed.run->wake_ms <= bed.now); /* due at once */
    assert_int_equal(timer(&bed), PERI_NEXT_CALL);
    close_bed(&bed);
}

static void test_branches_are_paused_together(void **state)
{
    struct bed bed;
    open_bed(
        &bed, "actions:\n  - parallel: [[{operator: x.a}, {operator: x.c}], [{delay: 1h}, {operator: x.b}]]", "{}");
    (void)go(&bed);
    (void)person(&bed, PERI_INPUT_PAUSE);
    bed.now += 7200000;
    assert_int_equal(timer(&bed), PERI_NEXT_IGNORED);
    (void)ok_of(&bed, 1, NULL);
    assert_int_equal(bed.run->state, PERI_RUN_PAUSED);
    (void)person(&bed, PERI_INPUT_RESUME);
    assert_string_equal(tasks(&bed), "1:call 2:sleep");
    (void)timer(&bed);
    assert_string_equal(tasks(&bed), "2:call");
    close_bed(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_wait_is_a_row_until_its_event_comes),
        cmocka_unit_test(test_a_wait_whose_time_is_over_says_so),
        cmocka_unit_test(test_waits_that_cannot_be),
        cmocka_unit_test(test_branches_wait_each_for_its_own),
        cmocka_unit_test(test_an_answer_is_the_result),
        cmocka_unit_test(test_a_container_that_takes_too_long_fails),
        cmocka_unit_test(test_a_container_that_ends_in_time_has_no_deadline_any_more),
        cmocka_unit_test(test_the_timeout_of_the_rule),
        cmocka_unit_test(test_a_paused_run_begins_nothing),
        cmocka_unit_test(test_branches_are_paused_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
