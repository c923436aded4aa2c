/* SPDX-License-Identifier: Apache-2.0 */
#include "run/run_bed.h"

/* --- single steps --- */

static void test_an_action_is_called_once_and_ends_the_run(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.send, params: {to: \"{{ event.who }}\", n: 1}}", "{\"who\":\"ann\"}");
    assert_int_equal(go(&bed), PERI_NEXT_CALL);
    assert_int_equal(bed.run->state, PERI_RUN_RUNNING);
    kit_assert_json(bed.run->track.params, "{\"to\":\"ann\",\"n\":1}");
    assert_string_equal(bed.run->track.key, "inst.7/1");
    assert_string_equal(bed.effects.records[0].params, "{\"to\":\"ann\",\"n\":1}");
    assert_string_equal(bed.effects.records[0].key, "inst.7/1");
    assert_string_equal(bed.effects.records[0].path, "actions[0]");
    assert_int_equal(ok(&bed, "{\"id\":5}"), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_SUCCEEDED);
    assert_string_equal(bed.effects.records[0].result, "{\"id\":5}");
    assert_string_equal(bed.log, "1.1 x.send started\n1.1 x.send done\n");
    close_bed(&bed);
}

static void test_outcome_and_next_intent_leave_together(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - {operator: x.a, id: first, as: r}\n"
        "  - {operator: x.b, params: {got: \"{{ steps.first.id }}\", same: \"{{ r.id }}\"}}",
        "{}");
    (void)go(&bed);
    assert_int_equal(ok(&bed, "{\"id\":5}"), PERI_NEXT_CALL);
    assert_int_equal(bed.effects.record_count, 2);
    kit_assert_json(bed.run->track.params, "{\"got\":5,\"same\":5}");
    assert_string_equal(bed.run->track.key, "inst.7/2");
    close_bed(&bed);
}

static void test_a_missing_field_fails_the_step_without_a_call(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a, params: {to: \"{{ event.who }}\"}}", "{}");
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    assert_string_equal(error_code(&bed), "missing");
    assert_string_equal(bed.log, "1.1 x.a failed\n");
    assert_false(peri_map_bool(bed.run->error, "handled", false));
    close_bed(&bed);
}

static void test_own_idempotency_key(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a, idempotency_key: \"order-{{ event.n }}\"}", "{\"n\":12}");
    assert_int_equal(go(&bed), PERI_NEXT_CALL);
    assert_string_equal(bed.run->track.key, "order-12");
    close_bed(&bed);
}

static void test_delay(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - delay: 10m\n  - {operator: x.a}", "{}");
    assert_int_equal(go(&bed), PERI_NEXT_SLEEP);
    assert_int_equal(bed.run->state, PERI_RUN_SLEEPING);
    assert_int_equal(bed.run->wake_ms, bed.now + 600000);
    assert_int_equal(bed.run->base_ms, 600000);
    bed.now += 600000;
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_TIMER}), PERI_NEXT_CALL);
    assert_int_equal(bed.run->wake_ms, 0);
    assert_string_equal(bed.log, "1.1 delay started\n1.1 delay done\n2.1 x.a started\n");
    close_bed(&bed);
}

static void test_delay_forms(void **state)
{
    static const struct {
        const char *payload;
        enum peri_run_next next;
        int64_t ms;
        const char *code;
    } cases[] = {{"{\"d\":\"90s\"}", PERI_NEXT_SLEEP, 90000, NULL}, {"{\"d\":1.5}", PERI_NEXT_SLEEP, 1500, NULL},
        {"{\"d\":2}", PERI_NEXT_SLEEP, 2000, NULL}, {"{\"d\":0}", PERI_NEXT_END, 0, NULL},
        {"{\"d\":-1}", PERI_NEXT_END, 0, "type"}, {"{\"d\":[1]}", PERI_NEXT_END, 0, "type"},
        {"{\"d\":1e300}", PERI_NEXT_END, 0, "type"}, {"{}", PERI_NEXT_END, 0, "missing"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bed bed;
        open_bed(&bed, "actions:\n  - delay: \"{{ event.d }}\"", cases[i].payload);
        assert_int_equal(go(&bed), cases[i].next);
        assert_int_equal(bed.run->base_ms, cases[i].ms);
        if (cases[i].code)
            assert_string_equal(error_code(&bed), cases[i].code);
        close_bed(&bed);
    }
    struct bed bed;
    open_bed(&bed, "actions:\n  - delay: \"{{ event.d }}\"", "{\"d\":\"soon\"}");
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    close_bed(&bed);
}

static void test_if_then_else(void **state)
{
    const char *steps = "actions:\n  - if: \"{{ event.n > 3 }}\"\n    then: [{operator: x.big}]\n"
                        "    else: [{operator: x.small}]\n  - {operator: x.last}";
    struct bed bed;
    open_bed(&bed, steps, "{\"n\":4}");
    (void)go(&bed);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.big");
    assert_string_equal(peri_run_step(bed.run)->path, "actions[0].then[0]");
    (void)ok(&bed, NULL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.last");
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_END);
    assert_string_equal(
        bed.log, "1.1 if done\n2.1 x.big started\n2.1 x.big done\n3.1 x.last started\n3.1 x.last done\n");
    close_bed(&bed);
    open_bed(&bed, steps, "{\"n\":3}");
    (void)go(&bed);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.small");
    close_bed(&bed);
    open_bed(&bed, steps, "{}"); /* missing: does not hold */
    (void)go(&bed);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.small");
    close_bed(&bed);
}

static void test_a_guard_that_does_not_hold_skips_the_step(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a, if: \"{{ event.yes }}\"}\n  - {operator: x.b}", "{\"yes\":false}");
    (void)go(&bed);
    assert_string_equal(bed.log, "1.1 x.a skipped\n2.1 x.b started\n");
    assert_non_null(strstr(bed.effects.records[0].result, "reason"));
    close_bed(&bed);
}

static void test_a_guard_with_an_operator_is_asked_outside(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a, if: {operator: c.ok}}\n  - {operator: x.b}", "{}");
    assert_int_equal(go(&bed), PERI_NEXT_EVALUATE);
    assert_int_equal(bed.run->state, PERI_RUN_READY);
    assert_ptr_equal(bed.effects.condition, bed.rule->actions->steps[0]->guard);
    assert_int_equal(
        input(&bed, (struct peri_run_input){.kind = PERI_INPUT_CONDITION, .condition = PERI_COND_YES}), PERI_NEXT_CALL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.a");
    close_bed(&bed);

    open_bed(&bed, "actions:\n  - {operator: x.a, if: {operator: c.ok}}\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    (void)input(&bed, (struct peri_run_input){
                          .kind = PERI_INPUT_CONDITION, .condition = PERI_COND_NO, .reason = "c.ok does not hold"});
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.b");
    close_bed(&bed);

    struct peri_error error = {0};
    (void)peri_error_set(&error, PERI_EIO, "broken", "it broke");
    open_bed(&bed, "actions:\n  - {operator: x.a, if: {operator: c.ok}}\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    assert_int_equal(
        input(&bed,
            (struct peri_run_input){.kind = PERI_INPUT_CONDITION, .condition = PERI_COND_FAILED, .error = &error}),
        PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "broken");
    close_bed(&bed);
}

static void test_choose(void **state)
{
    const char *steps =
        "actions:\n  - choose:\n      - {if: \"{{ event.n == 1 }}\", do: [{operator: x.one}]}\n"
        "      - {if: {operator: c.two}, do: [{operator: x.two}]}\n"
        "      - {if: \"{{ event.n == 3 }}\", do: [{operator: x.three}]}\n    else: [{operator: x.other}]\n";
    struct bed bed;
    open_bed(&bed, steps, "{\"n\":1}");
    assert_int_equal(go(&bed), PERI_NEXT_CALL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.one");
    close_bed(&bed);
    open_bed(&bed, steps, "{\"n\":3}");
    assert_int_equal(go(&bed), PERI_NEXT_EVALUATE);
    assert_int_equal(
        input(&bed, (struct peri_run_input){.kind = PERI_INPUT_CONDITION, .condition = PERI_COND_NO}), PERI_NEXT_CALL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.three");
    close_bed(&bed);
    open_bed(&bed, steps, "{\"n\":2}");
    (void)go(&bed);
    (void)input(&bed, (struct peri_run_input){.kind = PERI_INPUT_CONDITION, .condition = PERI_COND_YES});
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.two");
    assert_string_equal(peri_run_step(bed.run)->path, "actions[0].choose[1].do[0]");
    close_bed(&bed);
    open_bed(&bed, steps, "{\"n\":9}");
    (void)go(&bed);
    (void)input(&bed, (struct peri_run_input){.kind = PERI_INPUT_CONDITION, .condition = PERI_COND_NO});
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.other");
    close_bed(&bed);
}

static void test_for_each_binds_its_item_and_numbers_each_round_anew(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - for_each: {in: \"{{ event.list }}\", as: item}\n    do:\n"
        "      - {operator: x.a, params: {v: \"{{ item.v }}\"}}\n  - {operator: x.last}",
        "{\"list\":[{\"v\":10},{\"v\":20}]}");
    assert_int_equal(go(&bed), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"v\":10}");
    assert_string_equal(bed.run->track.key, "inst.7/2");
    (void)ok(&bed, NULL);
    kit_assert_json(bed.run->track.params, "{\"v\":20}");
    assert_string_equal(bed.run->track.key, "inst.7/3");
    (void)ok(&bed, NULL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.last");
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_END);
    close_bed(&bed);
    open_bed(&bed, "actions:\n  - for_each: {in: \"{{ event.list }}\", as: item}\n    do: [{operator: x.a}]",
        "{\"list\":[]}");
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_SUCCEEDED);
    close_bed(&bed);
}

static void test_a_round_sees_no_results_of_the_last_one(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - for_each: {in: \"{{ event.list }}\", as: item}\n    do:\n"
        "      - if: item == 1\n        then: [{operator: x.a, id: a, as: got}]\n"
        "      - set: {log: \"{{ (vars.log or '') .. (steps.a.n | default('-')) .. (got.n | default('-')) .. ' ' "
        "}}\"}\n"
        "  - operator: x.last\n    params: {log: \"{{ vars.log }}\"}\n",
        "{\"list\":[1,2,1]}");
    assert_int_equal(go(&bed), PERI_NEXT_CALL);
    assert_int_equal(ok(&bed, "{\"n\":5}"), PERI_NEXT_CALL); /* the second round skipped it */
    assert_int_equal(ok(&bed, "{\"n\":6}"), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"log\":\"55 -- 66 \"}");
    close_bed(&bed);
}

static void test_for_each_refuses_what_is_no_list_or_too_long(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - for_each: {in: \"{{ event.list }}\", as: item}\n    do: [{operator: x.a}]",
        "{\"list\":\"abc\"}");
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "type");
    close_bed(&bed);
    open_bed(&bed, "actions:\n  - for_each: {in: \"{{ event.list }}\", as: item, max: 2}\n    do: [{operator: x.a}]",
        "{\"list\":[1,2,3]}");
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "limit.items");
    close_bed(&bed);
}

static void test_set_and_emit_and_stop(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - set: {a: \"{{ event.n + 1 }}\", b: \"{{ vars.a * 2 }}\"}\n"
        "  - emit: {event: my.Event, data: {b: \"{{ vars.b }}\"}}\n"
        "  - stop: \"enough of {{ event.n }}\"\n  - {operator: x.never}",
        "{\"n\":1}");
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_SUCCEEDED);
    assert_string_equal(bed.emitted, "my.Event {\"b\":4}\n");
    assert_string_equal(bed.log, "1.1 set done\n2.1 emit done\n3.1 stop done\n");
    assert_string_equal(bed.effects.records[2].result, "{\"reason\":\"enough of 1\"}");
    kit_assert_json(bed.run->vars, "{\"a\":2,\"b\":4}");
    close_bed(&bed);
}

static void test_an_emit_of_a_bad_type_fails(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - emit: {event: \"{{ event.t }}\"}", "{\"t\":\"no good\"}");
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    assert_string_equal(bed.emitted, "");
    close_bed(&bed);
}

/* --- holding, limits --- */

static void test_hold_stops_before_an_attempt(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - set: {a: 1}\n  - {operator: x.a, params: {t: \"{{ vars.a }}\"}}", "{}");
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_GO, .hold = true}), PERI_NEXT_HELD);
    assert_int_equal(bed.run->state, PERI_RUN_READY);
    assert_string_equal(bed.log, "1.1 set done\n");
    assert_int_equal(restarted(&bed, PERI_DELIVERY_ONCE), PERI_NEXT_CALL);
    assert_string_equal(bed.run->track.key, "inst.7/2");
    close_bed(&bed);
}

static void test_variables_have_a_limit(void **state)
{
    char big[70 * 1024], *payload = malloc(80 * 1024);
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    snprintf(payload, 80 * 1024, "{\"s\":\"%s\"}", big);
    struct bed bed;
    open_bed(&bed, "actions:\n  - {id: one, set: {a: \"{{ event.s }}\"}}", payload);
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "too_large");
    kit_assert_json(bed.run->vars, "{}");
    close_bed(&bed);
    open_bed(&bed, "actions:\n  - {operator: x.a, id: one, continue_on_error: true}\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    assert_int_equal(ok(&bed, payload), PERI_NEXT_CALL); /* done outside, but its result can not be kept */
    assert_string_equal(
        peri_map_text(peri_map_at(peri_map_at(bed.run->track.steps, "one"), "error"), "code"), "too_large");
    close_bed(&bed);
    open_bed(&bed, "actions:\n  - {operator: x.a}\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    assert_int_equal(ok(&bed, payload), PERI_NEXT_CALL); /* nobody asked to keep it */
    assert_non_null(strstr(bed.effects.records[0].result, "too_large"));
    close_bed(&bed);
    free(payload);
}

static void test_long_stretches_are_cut(void **state)
{
    char list[8192] = "{\"l\":[0";
    for (int i = 1; i < 900; i++)
        strcat(list, ",1");
    strcat(list, "]}");
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - for_each: {in: \"{{ event.l }}\", as: x}\n    do: [{set: {sum: \"{{ vars.sum | default(0) + x "
        "}}\"}}]",
        list);
    int rounds = 1;
    enum peri_run_next next = go(&bed);
    while (next == PERI_NEXT_GO) {
        assert_int_equal(bed.run->state, PERI_RUN_READY);
        bed.log[0] = '\0';
        rounds++;
        next = go(&bed);
    }
    assert_int_equal(next, PERI_NEXT_END);
    assert_int_equal(rounds, 5);
    kit_assert_json(bed.run->vars, "{\"sum\":899}");
    close_bed(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_action_is_called_once_and_ends_the_run),
        cmocka_unit_test(test_outcome_and_next_intent_leave_together),
        cmocka_unit_test(test_a_missing_field_fails_the_step_without_a_call),
        cmocka_unit_test(test_own_idempotency_key),
        cmocka_unit_test(test_delay),
        cmocka_unit_test(test_delay_forms),
        cmocka_unit_test(test_if_then_else),
        cmocka_unit_test(test_a_guard_that_does_not_hold_skips_the_step),
        cmocka_unit_test(test_a_guard_with_an_operator_is_asked_outside),
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_for_each_binds_its_item_and_numbers_each_round_anew),
        cmocka_unit_test(test_a_round_sees_no_results_of_the_last_one),
        cmocka_unit_test(test_for_each_refuses_what_is_no_list_or_too_long),
        cmocka_unit_test(test_set_and_emit_and_stop),
        cmocka_unit_test(test_an_emit_of_a_bad_type_fails),
        cmocka_unit_test(test_hold_stops_before_an_attempt),
        cmocka_unit_test(test_variables_have_a_limit),
        cmocka_unit_test(test_long_stretches_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
