/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

#include "base/timefmt.h"
#include "run/sched.h"

static void test_the_heap_gives_the_earliest_first(void **state)
{
    struct peri_due_heap heap = {0};
    uint32_t x = 12345;
    for (int i = 0; i < 1000; i++) {
        x = x * 1103515245u + 12345u;
        assert_true(peri_due_heap_push(&heap, (x >> 8) % 50, 1, (uint64_t)i, 0));
    }
    int64_t at = -1;
    uint64_t id = 0;
    for (int i = 0; i < 1000; i++) {
        const struct peri_due *due = peri_due_heap_top(&heap);
        assert_true(due->at > at || (due->at == at && due->id > id)); /* equal times in the order of pushing */
        at = due->at;
        id = due->id;
        peri_due_heap_pop(&heap);
    }
    assert_null(peri_due_heap_top(&heap));
    peri_due_heap_pop(&heap);
    peri_due_heap_finish(&heap);
}

static void test_the_rest_of_a_wait_is_clamped(void **state)
{
    assert_int_equal(peri_sched_rest(5000, 3000, 4000), 1000);
    assert_int_equal(peri_sched_rest(5000, 3000, 9000), 0);      /* long past */
    assert_int_equal(peri_sched_rest(5000, 3000, -90000), 3000); /* the clock was set back */
}

static void test_the_latest_occurrence_is_found_without_walking(void **state)
{
    struct peri_schedule every = {.kind = PERI_SCHEDULE_EVERY, .every_ms = 1000};
    int64_t due = 0, anchor = 500;
    assert_true(peri_schedule_latest(&every, anchor, anchor, anchor + 3600000LL * 24 * 365, &due));
    assert_int_equal(due, anchor + 3600000LL * 24 * 365);
    assert_true(peri_schedule_latest(&every, anchor, anchor, anchor + 5999, &due));
    assert_int_equal(due, anchor + 5000);
    assert_false(peri_schedule_latest(&every, anchor, anchor, anchor + 999, &due));
    assert_false(peri_schedule_latest(&every, anchor, anchor + 5000, anchor + 5999, &due));
    assert_false(peri_schedule_latest(&every, anchor, anchor + 5000, anchor, &due));
    struct peri_cron cron;
    struct peri_error err;
    assert_int_equal(peri_cron_parse("0 8 1 1 *", &cron, NULL, &err), PERI_OK);
    struct peri_schedule yearly = {.kind = PERI_SCHEDULE_CRON, .cron = cron, .dst = PERI_DST_ONCE};
    assert_int_equal(peri_tz_load(NULL, "UTC", &yearly.tz, &err), PERI_OK);
    int64_t from, until, want;
    assert_true(peri_time_parse("2020-06-01T00:00:00Z", 20, &from));
    assert_true(peri_time_parse("2025-06-01T00:00:00Z", 20, &until));
    assert_true(peri_time_parse("2025-01-01T08:00:00Z", 20, &want));
    assert_true(peri_schedule_latest(&yearly, from, from, until, &due));
    assert_int_equal(due, want);
    peri_tz_destroy(yearly.tz);
}

#define EVERY                                                                                                          \
    "name: Tick\ntrigger: {id: t, schedule: {every: 1h}}\nactions:\n  - {operator: x.ok, params: {at: \"{{ "           \
    "trigger.scheduled_at }}\"}}\n"

static int64_t scheduled(const struct bed *bed, size_t nth)
{
    struct peri_value *params = kit_json(kit_call(bed, "x.ok", nth)->params);
    int64_t ms = 0;
    const char *text = peri_map_text(params, "at");
    assert_non_null(text);
    assert_true(peri_time_parse(text, strlen(text), &ms));
    peri_value_unref(params);
    return ms;
}

static void test_a_schedule_fires_at_its_time(void **state)
{
    struct bed bed;
    kit_open(&bed, EVERY);
    int64_t start = peri_clock_wall_ms(&bed.clock);
    KIT_QUIET(&bed);
    kit_advance(&bed, 3599999);
    assert_int_equal(kit_status(&bed, "accepted"), 0);
    for (size_t i = 0; i < 3; i++) {
        kit_advance(&bed, i == 0 ? 1 : 3600000);
        KIT_UNTIL(&bed, kit_calls(&bed, "x.ok") == i + 1);
        KIT_QUIET(&bed);
        assert_int_equal(scheduled(&bed, i), start + (int64_t)(i + 1) * 3600000);
    }
    struct peri_value *status = NULL;
    assert_int_equal(peri_pipeline_status(bed.pipe, &status), PERI_OK);
    const struct peri_value *item = peri_list_at(peri_map_at(status, "schedules"), 0);
    assert_string_equal(peri_map_text(item, "id"), "tick/t");
    assert_non_null(peri_map_text(item, "next"));
    assert_non_null(peri_map_text(item, "last"));
    peri_value_unref(status);
    kit_close(&bed);
}

static void test_a_schedule_reaches_its_own_rule_and_who_hears_it_by_name(void **state)
{
    struct bed bed;
    kit_open(&bed, "rules:\n  - {name: Tick, trigger: {schedule: {every: 1h}}, actions: [{operator: x.ok}]}\n"
                   "  - {name: Tock, trigger: {schedule: {every: 2h}}, actions: [{operator: x.ok}]}\n"
                   "  - {name: Nosy, trigger: {event: \"**\"}, actions: [{operator: x.bad}]}\n"
                   "  - {name: Ear, trigger: {event: schedule.Fired}, actions: [{operator: x.repeat}]}\n");
    KIT_QUIET(&bed);
    kit_advance(&bed, 3600000);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.ok") == 1 && kit_calls(&bed, "x.repeat") == 1);
    kit_reply(&bed, "x.repeat", true);
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.bad"), 0);
    kit_close(&bed);
}

static void test_after_a_stop_the_latest_missed_occurrence_fires_once(void **state)
{
    struct bed bed;
    kit_open(&bed, EVERY);
    int64_t start = peri_clock_wall_ms(&bed.clock);
    KIT_QUIET(&bed);
    kit_stop(&bed);
    peri_clock_fake_advance(&bed.fake, 5 * 3600000 + 600000); /* ten minutes after the fifth */
    kit_start(&bed, EVERY);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.ok") == 1);
    KIT_QUIET(&bed);
    assert_int_equal(scheduled(&bed, 0), start + 5 * 3600000);
    kit_restart(&bed, EVERY); /* and not again */
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, NULL), 1);
    kit_close(&bed);
}

static void test_what_is_older_than_catch_up_is_passed_over(void **state)
{
    const char *rule =
        "name: Tick\ntrigger: {id: t, schedule: {every: 4h, catch_up: 1h}}\nactions: [{operator: x.ok}]\n";
    struct bed bed;
    kit_open(&bed, rule);
    KIT_QUIET(&bed);
    kit_stop(&bed);
    peri_clock_fake_advance(&bed.fake, 6 * 3600000);
    kit_start(&bed, rule);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, NULL), 0);
    kit_advance(&bed, 2 * 3600000); /* the next one is on time */
    KIT_UNTIL(&bed, kit_calls(&bed, "x.ok") == 1);
    KIT_QUIET(&bed);
    kit_close(&bed);
}

static void test_a_clock_set_back_repeats_nothing(void **state)
{
    struct bed bed;
    kit_open(&bed, EVERY);
    kit_advance(&bed, 3600000);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.ok") == 1);
    KIT_QUIET(&bed);
    bed.fake.wall_ms -= 1800000;
    peri_pipeline_tick(bed.pipe);
    kit_advance(&bed, 1800000);
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    kit_advance(&bed, 3600000);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.ok") == 2);
    KIT_QUIET(&bed);
    kit_close(&bed);
}

static void test_reloading_keeps_the_place_of_an_unchanged_schedule(void **state)
{
    struct bed bed;
    kit_open(&bed, EVERY);
    KIT_QUIET(&bed);
    kit_advance(&bed, 1800000);
    kit_rules(&bed,
        "name: Tick\ndescription: other text\ntrigger: {id: t, schedule: {every: 1h}}\nactions: [{operator: x.ok}]\n");
    kit_advance(&bed, 1800000);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.ok") == 1);
    KIT_QUIET(&bed);
    kit_rules(&bed, "name: Tick\ntrigger: {id: t, schedule: {every: 2h}}\nactions: [{operator: x.ok}]\n");
    kit_advance(&bed, 3600000);
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1); /* a changed one starts afresh */
    kit_advance(&bed, 3600000);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.ok") == 2);
    KIT_QUIET(&bed);
    kit_close(&bed);
}

static void test_at_fires_once_for_all_time(void **state)
{
    const char *rule =
        "name: Once\ntrigger: {id: t, schedule: {at: \"2025-06-15T16:00:00Z\"}}\nactions: [{operator: x.ok}]\n";
    struct bed bed;
    int64_t at;
    assert_true(peri_time_parse("2025-06-15T16:00:00Z", 20, &at));
    kit_open(&bed, rule);
    int64_t wait = at - peri_clock_wall_ms(&bed.clock);
    assert_true(wait > 0);
    kit_advance(&bed, wait);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.ok") == 1);
    KIT_QUIET(&bed);
    kit_restart(&bed, rule);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, NULL), 1);
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_heap_gives_the_earliest_first),
        cmocka_unit_test(test_the_rest_of_a_wait_is_clamped),
        cmocka_unit_test(test_the_latest_occurrence_is_found_without_walking),
        cmocka_unit_test(test_a_schedule_fires_at_its_time),
        cmocka_unit_test(test_a_schedule_reaches_its_own_rule_and_who_hears_it_by_name),
        cmocka_unit_test(test_after_a_stop_the_latest_missed_occurrence_fires_once),
        cmocka_unit_test(test_what_is_older_than_catch_up_is_passed_over),
        cmocka_unit_test(test_a_clock_set_back_repeats_nothing),
        cmocka_unit_test(test_reloading_keeps_the_place_of_an_unchanged_schedule),
        cmocka_unit_test(test_at_fires_once_for_all_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
