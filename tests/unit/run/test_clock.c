/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

/* Somebody sets the wall clock: by minus two hours, by plus three days. */

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)

#define QUIET(bed) KIT_UNTIL(bed, kit_quiet(bed) && peri_pipeline_is_quiet((bed)->pipe))

static const int64_t jumps[] = {-2 * HOUR, 72 * HOUR};

static void set_clock(struct bed *bed, int64_t by_ms)
{
    bed->fake.wall_ms += by_ms;
    kit_advance(bed, 0);
    QUIET(bed);
}

static void go(struct bed *bed, int64_t ms)
{
    kit_advance(bed, ms);
    QUIET(bed);
}

static size_t fired(const struct bed *bed, const char *what)
{
    size_t n = 0;
    for (size_t i = 0; i < bed->call_count; i++)
        n += strstr(bed->calls[i]->params, what) != NULL;
    return n;
}

#define DURATIONS                                                                                                      \
    "rules:\n"                                                                                                         \
    "  - {name: delay, trigger: {event: a.B}, actions: [{delay: 1h}, {operator: x.ok, params: {r: delay}}]}\n"         \
    "  - {name: for, trigger: {event: a.B, match: {n: [1]}, for: 1h}, actions: [{operator: x.ok, params: {r: "         \
    "for}}]}\n"                                                                                                        \
    "  - {name: after, trigger: {event: a.B}, throttle: {once_after: 1h}, actions: [{operator: x.ok, params: {r: "     \
    "after}}]}\n"                                                                                                      \
    "  - {name: within, trigger: {event: a.B}, throttle: {once_within: 1h}, actions: [{operator: x.ok, params: {r: "   \
    "within}}]}\n"                                                                                                     \
    "  - {name: absent, trigger: {absence: {event: a.B, for: 1h}}, actions: [{operator: x.ok, params: {r: "            \
    "absent}}]}\n"

static void test_durations_keep_what_is_left_of_them(void **state)
{
    static const char *const rules[] = {"delay", "for", "after", "absent"};
    for (size_t j = 0; j < 2; j++) {
        struct bed bed;
        kit_open(&bed, DURATIONS);
        QUIET(&bed);
        (void)kit_send(&bed, "a.B", "{\"n\":1}");
        QUIET(&bed);
        assert_int_equal(fired(&bed, "within"), 1);
        go(&bed, 20 * MINUTE);
        set_clock(&bed, jumps[j]);
        go(&bed, 40 * MINUTE - 1);
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(fired(&bed, rules[i]), 0);
        go(&bed, 1);
        for (size_t i = 0; i < 4; i++)
            KIT_UNTIL(&bed, fired(&bed, rules[i]) == 1);
        QUIET(&bed);
        (void)kit_send(&bed, "a.B", "{\"n\":0}"); /* an hour later, whatever the wall says */
        QUIET(&bed);
        assert_int_equal(fired(&bed, "within"), 2);
        kit_close(&bed);
    }
}

static void test_what_watches_knows_of_it_after_a_restart(void **state)
{
    const char *rule =
        "name: R\ntrigger: {event: a.B, match: {n: [1]}, for: 1h}\nactions: [{operator: x.ok, params: {r: for}}]\n";
    for (size_t j = 0; j < 2; j++) {
        struct bed bed;
        kit_open(&bed, rule);
        (void)kit_send(&bed, "a.B", "{\"n\":1}");
        QUIET(&bed);
        go(&bed, 20 * MINUTE);
        set_clock(&bed, jumps[j]);
        kit_restart(&bed, rule);
        QUIET(&bed);
        go(&bed, 40 * MINUTE - 1);
        assert_int_equal(fired(&bed, "for"), 0);
        go(&bed, 1);
        KIT_UNTIL(&bed, fired(&bed, "for") == 1);
        kit_close(&bed);
    }
}

static void test_counts_do_not_notice(void **state)
{
    for (size_t j = 0; j < 2; j++) {
        struct bed bed;
        kit_open(&bed, "name: R\ntrigger: {count: {event: a.B, at_least: 2, within: 1h}}\n"
                       "actions: [{operator: x.ok, params: {r: count}}]\n");
        (void)kit_send(&bed, "a.B", "{}");
        QUIET(&bed);
        set_clock(&bed, jumps[j]);
        go(&bed, 59 * MINUTE);
        (void)kit_send(&bed, "a.B", "{}");
        QUIET(&bed);
        assert_int_equal(fired(&bed, "count"), 1);
        kit_close(&bed);
    }
}

#define SCHEDULES                                                                                                      \
    "rules:\n"                                                                                                         \
    "  - {name: cron, trigger: {schedule: {cron: \"0 * * * *\"}}, actions: [{operator: x.ok, params: {r: cron}}]}\n"   \
    "  - {name: every, trigger: {schedule: {every: 1h}}, actions: [{operator: x.ok, params: {r: every}}]}\n"

/* Every quarter of an hour one look, as the timer of a service has one each second. */
static void run_for(struct bed *bed, int hours)
{
    for (int i = 0; i < hours * 4; i++)
        go(bed, 15 * MINUTE);
}

static void test_schedules_look_anew(void **state)
{
    struct bed bed;
    kit_open(&bed, SCHEDULES);
    run_for(&bed, 4);
    assert_int_equal(fired(&bed, "cron"), 4);
    assert_int_equal(fired(&bed, "every"), 4);
    set_clock(&bed, -2 * HOUR);
    run_for(&bed, 2);
    assert_int_equal(fired(&bed, "cron"), 4); /* these hours have been */
    assert_int_equal(fired(&bed, "every"), 6);
    run_for(&bed, 1);
    assert_int_equal(fired(&bed, "cron"), 5);
    set_clock(&bed, 72 * HOUR);
    assert_int_equal(fired(&bed, "cron"), 6); /* of three days the last one, which is not older than an hour */
    assert_int_equal(fired(&bed, "every"), 7);
    run_for(&bed, 3);
    assert_int_equal(fired(&bed, "cron"), 9);
    assert_int_equal(fired(&bed, "every"), 10);
    kit_close(&bed);
}

static void test_it_is_audited(void **state)
{
    struct bed bed;
    struct peri_value *list = NULL;
    struct peri_error err = {0};
    kit_open(&bed, NULL);
    for (int i = 0; i < 20; i++) { /* a clock that is being corrected */
        bed.fake.wall_ms += 500;
        go(&bed, 1000);
    }
    set_clock(&bed, -2 * HOUR);
    struct peri_audit_filter filter = {.limit = 10};
    assert_int_equal(peri_reader_audit(bed.reader, &filter, &list, &err), PERI_OK);
    assert_int_equal(peri_value_count(list), 1);
    assert_string_equal(peri_map_text(peri_list_at(list, 0), "action"), "clock.jump");
    assert_int_equal(peri_map_int(peri_map_at(peri_list_at(list, 0), "detail"), "by_ms", 0), -2 * HOUR);
    peri_value_unref(list);
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations_keep_what_is_left_of_them),
        cmocka_unit_test(test_what_watches_knows_of_it_after_a_restart),
        cmocka_unit_test(test_counts_do_not_notice),
        cmocka_unit_test(test_schedules_look_anew),
        cmocka_unit_test(test_it_is_audited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
