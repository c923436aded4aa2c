/* SPDX-License-Identifier: Apache-2.0 */
#include "run/run_bed.h"

/* --- branches --- */

static const char *const PARALLEL = "actions:\n  - id: all\n    parallel:\n      - {operator: x.a, id: a}\n"
                                    "      - [{delay: 10m}, {operator: x.b, id: b, as: bee}]\n"
                                    "  - {operator: x.last, params: {a: \"{{ steps.a.v }}\", b: \"{{ bee.v }}\", "
                                    "n: \"{{ steps.all.count }}\"}}";

static void test_branches_go_side_by_side_and_the_step_ends_with_the_last(void **state)
{
    struct bed bed;
    open_bed(&bed, PARALLEL, "{}");
    (void)go(&bed);
    assert_string_equal(tasks(&bed), "1:call 2:sleep");
    assert_int_equal(bed.run->state, PERI_RUN_RUNNING);
    assert_int_equal(bed.run->wake_ms, bed.now + 600000);
    assert_string_equal(peri_run_track(bed.run, 1)->key, "inst.7/2");
    assert_int_equal(ok_of(&bed, 1, "{\"v\":1}"), PERI_NEXT_NOTHING);
    assert_int_equal(bed.run->state, PERI_RUN_SLEEPING);
    assert_int_equal(bed.effects.ended_count, 1);
    assert_int_equal(bed.effects.ended[0], 1);
    (void)timer(&bed);
    assert_string_equal(tasks(&bed), "2:call");
    (void)ok_of(&bed, 2, "{\"v\":2}");
    assert_string_equal(tasks(&bed), "0:call");
    kit_assert_json(bed.run->track.params, "{\"a\":1,\"b\":2,\"n\":2}");
    assert_string_equal(bed.log,
        "1.1 parallel started\n2.1 x.a started\n3.1 delay started\n2.1 x.a done\n"
        "3.1 delay done\n4.1 x.b started\n4.1 x.b done\n1.1 parallel done\n5.1 x.last started\n");
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_END);
    close_bed(&bed);
}

static void test_a_branch_that_fails_lets_the_others_end(void **state)
{
    const char *steps =
        "actions:\n  - parallel:\n      - {operator: x.a, id: one}\n      - {operator: x.b}\n"
        "    on_error: [{operator: x.tell, params: {c: \"{{ error.code }}\", s: \"{{ error.step }}\"}}]\n"
        "  - {operator: x.last}";
    struct bed bed;
    open_bed(&bed, steps, "{}");
    (void)go(&bed);
    assert_int_equal(failed_of(&bed, 1, "nope"), PERI_NEXT_NOTHING);
    assert_int_equal(bed.run->state, PERI_RUN_RUNNING);
    (void)failed_of(&bed, 2, "later");
    assert_string_equal(tasks(&bed), "0:call");
    kit_assert_json(bed.run->track.params, "{\"c\":\"nope\",\"s\":\"one\"}");
    (void)ok(&bed, NULL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.last");
    close_bed(&bed);

    open_bed(&bed, "actions:\n  - parallel: [{operator: x.a}, {operator: x.b}]\n", "{}"); /* nobody handles it */
    (void)go(&bed);
    (void)failed_of(&bed, 2, "nope");
    assert_int_equal(ok_of(&bed, 1, NULL), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    assert_string_equal(error_code(&bed), "nope");
    close_bed(&bed);
}

static void test_items_go_side_by_side_up_to_the_number_given(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - for_each: {in: \"{{ event.l }}\", as: it, parallel: 2}\n    do:\n"
        "      - {operator: x.a, id: q, params: {v: \"{{ it }}\"}}\n"
        "      - {operator: x.b, params: {v: \"{{ it }}\", got: \"{{ steps.q.n }}\"}}\n  - {operator: x.last}",
        "{\"l\":[10,20,30]}");
    (void)go(&bed);
    assert_string_equal(tasks(&bed), "1:call 2:call");
    (void)ok_of(&bed, 2, "{\"n\":2}");
    (void)ok_of(&bed, 1, "{\"n\":1}"); /* each item reads what its own step has brought */
    kit_assert_json(peri_run_track(bed.run, 1)->params, "{\"v\":10,\"got\":1}");
    kit_assert_json(peri_run_track(bed.run, 2)->params, "{\"v\":20,\"got\":2}");
    (void)ok_of(&bed, 2, NULL);
    assert_string_equal(tasks(&bed), "3:call");
    kit_assert_json(peri_run_track(bed.run, 3)->params, "{\"v\":30}");
    (void)ok_of(&bed, 1, NULL);
    (void)ok_of(&bed, 3, "{\"n\":3}");
    (void)ok_of(&bed, 3, NULL);
    assert_string_equal(tasks(&bed), "0:call");
    assert_null(peri_map_at(bed.run->track.steps, "q"));
    close_bed(&bed);

    open_bed(&bed, "actions:\n  - for_each: {in: \"{{ event.l }}\", as: it, parallel: 2}\n    do: [{operator: x.a}]",
        "{\"l\":[1,2,3]}"); /* after a failure no further item is begun */
    (void)go(&bed);
    assert_int_equal(failed_of(&bed, 1, "nope"), PERI_NEXT_NOTHING);
    assert_int_equal(ok_of(&bed, 2, NULL), PERI_NEXT_END);
    assert_int_equal(bed.run->last_track, 2);
    assert_string_equal(error_code(&bed), "nope");
    close_bed(&bed);
}

static void test_stop_in_a_branch_ends_the_run(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - parallel:\n      - {operator: x.a}\n      - [{delay: 1m}, {stop: true}]\n"
        "  - {operator: x.never}",
        "{}");
    (void)go(&bed);
    assert_int_equal(timer(&bed), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_SUCCEEDED);
    assert_int_equal(bed.run->branch_count, 0);
    assert_non_null(strstr(bed.log, "2.1 x.a cancelled\n1.1 parallel cancelled\n"));
    close_bed(&bed);
}

static void test_branches_have_branches_and_a_limit(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - parallel:\n      - parallel: [{operator: x.a}, {delay: 1m}]\n      - {operator: x.b}\n"
        "  - {operator: x.last}",
        "{}");
    (void)go(&bed);
    assert_string_equal(tasks(&bed), "2:call 3:call 4:sleep");
    (void)ok_of(&bed, 2, NULL);
    (void)timer(&bed);
    (void)ok_of(&bed, 3, NULL);
    assert_string_equal(tasks(&bed), "0:call");
    close_bed(&bed);

    char list[2048] = "{\"l\":[0", deep[1024];
    for (int i = 1; i < 100; i++)
        strcat(list, ",1");
    strcat(list, "]}");
    snprintf(deep, sizeof(deep),
        "actions:\n  - for_each: {in: \"{{ event.l }}\", as: a, parallel: 100}\n    do:\n"
        "      - for_each: {in: \"{{ event.l }}\", as: b, parallel: 100}\n        do: [{operator: x.a}]\n");
    open_bed(&bed, deep, list);
    (void)go(&bed);
    assert_int_equal(bed.run->branch_count, PERI_RUN_TRACKS_MAX);
    close_bed(&bed);
}

static void test_a_restart_finds_every_branch(void **state)
{
    struct bed bed;
    open_bed(&bed, PARALLEL, "{}");
    (void)go(&bed);
    (void)input(&bed, (struct peri_run_input){
                          .kind = PERI_INPUT_RESTARTED, .track = PERI_TRACK_ALL, .delivery = PERI_DELIVERY_REPEAT});
    assert_string_equal(tasks(&bed), "1:call 2:sleep");
    assert_int_equal(peri_run_track(bed.run, 1)->attempt, 2);
    (void)input(&bed,
        (struct peri_run_input){.kind = PERI_INPUT_RESTARTED, .track = PERI_TRACK_ALL, .delivery = PERI_DELIVERY_ONCE});
    assert_string_equal(tasks(&bed), "1:person 2:sleep");
    assert_int_equal(bed.run->state, PERI_RUN_SLEEPING); /* the other branch goes on */
    (void)timer(&bed);
    (void)ok_of(&bed, 2, "{\"v\":2}");
    assert_int_equal(bed.run->state, PERI_RUN_UNKNOWN);
    (void)input(&bed, (struct peri_run_input){.kind = PERI_INPUT_RESOLVED, .track = 1, .decision = PERI_DECIDE_FAIL});
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    close_bed(&bed);
}

static void test_no_more_attempts_begin_than_there_is_room_for(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - parallel: [{operator: x.a}, {operator: x.b}, {operator: x.c}]", "{}");
    (void)input(&bed, (struct peri_run_input){.kind = PERI_INPUT_GO, .room = 2});
    assert_string_equal(tasks(&bed), "1:call 2:call 3:held");
    (void)input(&bed, (struct peri_run_input){.kind = PERI_INPUT_GO, .track = 3});
    assert_string_equal(tasks(&bed), "3:call");
    close_bed(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_branches_go_side_by_side_and_the_step_ends_with_the_last),
        cmocka_unit_test(test_a_branch_that_fails_lets_the_others_end),
        cmocka_unit_test(test_items_go_side_by_side_up_to_the_number_given),
        cmocka_unit_test(test_stop_in_a_branch_ends_the_run),
        cmocka_unit_test(test_branches_have_branches_and_a_limit),
        cmocka_unit_test(test_a_restart_finds_every_branch),
        cmocka_unit_test(test_no_more_attempts_begin_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
