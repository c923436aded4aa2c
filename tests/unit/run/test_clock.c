/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timefmt.h"
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

/* Each run waits an hour for one thing only. */
#define WAITS                                                                                                          \
    "rules:\n"                                                                                                         \
    "  - {name: delay, trigger: {event: a.B}, actions: [{delay: 1h}, {operator: x.ok, params: {r: delay}}]}\n"         \
    "  - {name: wait, trigger: {event: a.B}, actions: [{wait_for: {event: b.C, timeout: 1h}}, {operator: x.ok, "       \
    "params: {r: wait}}]}\n"                                                                                           \
    "  - {name: ask, trigger: {event: a.B}, actions: [{approve: {prompt: eh, timeout: 1h, default: no}}, "             \
    "{operator: x.ok, params: {r: ask}}]}\n"                                                                           \
    "  - {name: step, trigger: {event: a.B}, actions: [{wait_for: {event: b.C}, timeout: 1h, on_error: "               \
    "[{operator: x.ok, params: {r: step}}]}]}\n"                                                                       \
    "  - {name: block, trigger: {event: a.B}, actions: [{if: \"{{ true }}\", then: [{delay: 9h}], timeout: 1h, "       \
    "on_error: [{operator: x.ok, params: {r: block}}]}]}\n"                                                            \
    "  - {name: branch, trigger: {event: a.B}, actions: [{parallel: [[{delay: 1h}, {operator: x.ok, params: {r: "      \
    "branch}}], [{wait_for: {event: b.C, timeout: 9h}}]]}]}\n"                                                         \
    "  - {name: whole, trigger: {event: a.B}, timeout: 1h, actions: [{delay: 9h}], on_error: [{operator: x.ok, "       \
    "params: {r: whole}}]}\n"

static const char *const waits[] = {"delay", "wait", "ask", "step", "block", "branch", "whole"};
#define WAITS_COUNT (sizeof(waits) / sizeof(waits[0]))

static void all_have_fired(struct bed *bed, size_t times)
{
    for (size_t i = 0; times == 0 && i < WAITS_COUNT; i++)
        assert_int_equal(fired(bed, waits[i]), 0);
    for (size_t i = 0; times > 0 && i < WAITS_COUNT; i++)
        KIT_UNTIL(bed, fired(bed, waits[i]) == times);
}

static void test_what_runs_wait_for_keeps_its_rest_over_a_restart(void **state)
{
    for (size_t j = 0; j < 2; j++) {
        struct bed bed;
        kit_open(&bed, WAITS);
        (void)kit_send(&bed, "a.B", "{\"n\":1}");
        QUIET(&bed);
        go(&bed, 20 * MINUTE);
        set_clock(&bed, jumps[j]);
        kit_restart(&bed, WAITS);
        QUIET(&bed);
        go(&bed, 20 * MINUTE);
        set_clock(&bed, -jumps[j]);
        kit_restart(&bed, WAITS);
        QUIET(&bed);
        go(&bed, 20 * MINUTE - 1);
        all_have_fired(&bed, 0);
        go(&bed, 1);
        all_have_fired(&bed, 1);
        kit_close(&bed);
    }
}

/* Nobody can tell a clock that is set while the service is down from time that passes. But no wait becomes longer. */
static void test_a_clock_that_is_set_while_the_service_is_down(void **state)
{
    struct bed bed;
    for (size_t j = 0; j < 2; j++) {
        kit_open(&bed, WAITS);
        (void)kit_send(&bed, "a.B", "{\"n\":1}");
        QUIET(&bed);
        go(&bed, 20 * MINUTE);
        bed.fake.wall_ms += jumps[j];
        kit_restart(&bed, WAITS);
        QUIET(&bed);
        if (jumps[j] < 0) {
            char want[PERI_TIME_TEXT];
            struct peri_value *run = kit_run(&bed, 1);
            assert_string_equal(peri_map_text(run, "wake"), peri_time_format(bed.fake.wall_ms + HOUR, want));
            peri_value_unref(run);
            all_have_fired(&bed, 0);
            go(&bed, 60 * MINUTE);
        }
        all_have_fired(&bed, 1);
        kit_close(&bed);
    }
}

static void test_what_is_shown_is_on_the_clock_of_the_wall(void **state)
{
    struct bed bed;
    char want[PERI_TIME_TEXT];
    kit_open(&bed, WAITS);
    (void)kit_send(&bed, "a.B", "{\"n\":1}");
    QUIET(&bed);
    set_clock(&bed, 72 * HOUR);
    struct peri_value *run = kit_run(&bed, 1);
    assert_string_equal(peri_map_text(run, "wake"), peri_time_format(bed.fake.wall_ms + HOUR, want));
    peri_value_unref(run);
    kit_close(&bed);
}

#define NIGHT                                                                                                          \
    "name: R\ntrigger: {event: a.B}\nactions: [{operator: x.ok, params: {r: morning}, quiet_hours: {from: "            \
    "\"15:00\", to: \"17:00\"}}]\n"

/* The end of quiet hours is a time of the wall clock, whatever the clock does; with a restart right behind it, too. */
static void test_quiet_hours_end_by_the_clock_on_the_wall(void **state)
{
    struct bed bed;
    for (int restart = 0; restart < 2; restart++) {
        kit_open(&bed, NIGHT); /* it is 15:06:40 */
        (void)kit_send(&bed, "a.B", "{}");
        QUIET(&bed);
        set_clock(&bed, HOUR);
        if (restart)
            kit_restart(&bed, NIGHT);
        QUIET(&bed);
        go(&bed, 53 * MINUTE);
        assert_int_equal(fired(&bed, "morning"), 0);
        go(&bed, MINUTE);
        KIT_UNTIL(&bed, fired(&bed, "morning") == 1);
        kit_close(&bed);
        kit_open(&bed, NIGHT);
        (void)kit_send(&bed, "a.B", "{}");
        QUIET(&bed);
        if (restart) {
            bed.fake.wall_ms -= 73 * HOUR; /* 14:06:40, not quiet */
            kit_restart(&bed, NIGHT);
        } else {
            set_clock(&bed, -73 * HOUR);
        }
        KIT_UNTIL(&bed, fired(&bed, "morning") == 1);
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
        cmocka_unit_test(test_what_runs_wait_for_keeps_its_rest_over_a_restart),
        cmocka_unit_test(test_a_clock_that_is_set_while_the_service_is_down),
        cmocka_unit_test(test_what_is_shown_is_on_the_clock_of_the_wall),
        cmocka_unit_test(test_quiet_hours_end_by_the_clock_on_the_wall),
        cmocka_unit_test(test_counts_do_not_notice),
        cmocka_unit_test(test_schedules_look_anew),
        cmocka_unit_test(test_it_is_audited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
