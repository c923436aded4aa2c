/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

#include <fcntl.h>

#include "io/store_db.h"

/* Two of these events are evaluated by an operator that answers when told; a restart in the middle is a crash. */
#define RULE                                                                                                           \
    "name: Ask\ntrigger: {event: a.B}\nconditions: [{operator: c.slow}]\nactions:\n  - {operator: x.ok}\n"

#define REPEAT                                                                                                         \
    "name: Ask\ntrigger: {event: a.B}\nconditions: [{operator: c.slow}]\nactions: [{operator: x.repeat}]\n"

static char *event_state(struct bed *bed, uint64_t seq)
{
    struct peri_value *v = NULL;
    struct peri_error err = {0};
    if (peri_reader_event_value(bed->reader, seq, &v, &err) != PERI_OK)
        fail_msg("%s", err.message);
    char *text = peri_strdup(peri_map_text(v, "state"));
    peri_value_unref(v);
    return text;
}

static void assert_state(struct bed *bed, uint64_t seq, const char *want)
{
    char *is = event_state(bed, seq);
    assert_string_equal(is, want);
    free(is);
}

/* A stop that the store takes for a crash: what an orderly one writes is taken away. */
static void crash_to(struct bed *bed, const char *rules)
{
    struct peri_db db;
    struct peri_error err = {0};
    char path[128], trying[64];
    snprintf(path, sizeof(path), "%s/trying", bed->dir);
    int fd = open(path, O_RDWR);
    ssize_t n = pread(fd, trying, sizeof(trying), 0);
    assert_true(n >= 0);
    kit_stop(bed);
    assert_int_equal(pwrite(fd, trying, (size_t)n, 0), n);
    close(fd);
    if (peri_db_open(&db, bed->db, PERI_DB_WRITE, &err) != PERI_OK ||
        peri_db_meta_set(&db, "clean", "0", &err) != PERI_OK)
        fail_msg("%s", err.message);
    peri_db_finish(&db);
    kit_start(bed, rules);
}

static void crash(struct bed *bed)
{
    crash_to(bed, RULE);
}

static void test_an_event_that_stops_the_engine_is_set_aside_at_its_fourth_try(void **state)
{
    struct bed bed;
    kit_open(&bed, RULE);
    uint64_t first = kit_send(&bed, "a.B", "{}"), second = kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, bed.call_count == 2); /* both at once */
    for (int tries = 0; tries < 3; tries++) {
        crash(&bed);
        KIT_UNTIL(&bed, bed.call_count == 1); /* one at a time */
        KIT_UNTIL(&bed, peri_store_queued(bed.store) == 0);
        assert_int_equal(bed.calls[0]->event, first);
    }
    crash(&bed);
    KIT_UNTIL(&bed, bed.call_count == 1);
    assert_int_equal(bed.calls[0]->event, second);
    KIT_UNTIL(&bed, kit_status(&bed, "dead") == 1);
    assert_state(&bed, first, "dead");
    struct peri_value *verdicts = kit_verdicts(&bed, first);
    assert_string_equal(
        peri_map_text(peri_list_at(verdicts, 0), "reason"), "stopped the engine each time it was evaluated");
    peri_value_unref(verdicts);
    kit_reply(&bed, "c.slow", true);
    KIT_QUIET(&bed);
    assert_state(&bed, second, "matched");
    assert_int_equal(kit_run_count(&bed, "succeeded"), 1);
    kit_close(&bed);
}

static void test_runs_wait_until_the_events_are_through(void **state)
{
    struct bed bed;
    kit_open(&bed, REPEAT);
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, bed.call_count == 1);
    kit_reply(&bed, "c.slow", true);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.repeat") == 1);
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 2);
    crash_to(&bed, REPEAT);
    KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 1);
    for (int i = 0; i < 20; i++)
        peri_loop_once(bed.loop, 1);
    assert_int_equal(kit_calls(&bed, "x.repeat"), 0);
    kit_reply(&bed, "c.slow", false);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.repeat") == 1);
    kit_close(&bed);
}

static void test_a_condition_that_takes_its_time_does_not_hold_runs_for_ever(void **state)
{
    struct bed bed;
    kit_open(&bed, RULE);
    (void)kit_send(&bed, "a.B", "{}");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, bed.call_count == 2);
    crash(&bed);
    KIT_UNTIL(&bed, bed.call_count == 1);
    kit_advance(&bed, 1001);
    KIT_UNTIL(&bed, bed.call_count == 2);
    kit_close(&bed);
}

static void test_after_an_orderly_stop_nothing_is_marked(void **state)
{
    struct bed bed;
    kit_open(&bed, RULE);
    (void)kit_send(&bed, "a.B", "{}");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, bed.call_count == 2);
    kit_restart(&bed, RULE);
    KIT_UNTIL(&bed, bed.call_count == 2);
    kit_close(&bed);
}

/* --- owners --- */

static void test_a_run_without_an_owner_is_taken_up_again(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: Late\ntrigger: {event: a.B}\nactions:\n  - delay: 1h\n  - {operator: x.ok}\n");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "sleeping") && kit_quiet(&bed));
    for (int look = 0; look < 2; look++)
        owners_due(bed.pipe);
    assert_int_equal(kit_status(&bed, "orphans"), 0);
    bed.pipe->heap.count = 0; /* nobody will wake it any more */
    owners_due(bed.pipe);
    assert_int_equal(kit_status(&bed, "orphans"), 0); /* not at the first look */
    owners_due(bed.pipe);
    assert_int_equal(kit_status(&bed, "orphans"), 1);
    kit_advance(&bed, 3600 * 1000);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    owners_due(bed.pipe);
    owners_due(bed.pipe);
    assert_int_equal(kit_status(&bed, "orphans"), 1);
    kit_close(&bed);
}

static void test_runs_that_somebody_sees_to_are_left_alone(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: Late\ntrigger: {event: a.B}\nactions:\n  - {operator: x.slow}\n");
    for (int i = 0; i < 5; i++)
        (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == 5);
    for (int look = 0; look < 3; look++)
        owners_due(bed.pipe);
    assert_int_equal(kit_status(&bed, "orphans"), 0);
    assert_int_equal(kit_calls(&bed, "x.slow"), 5);
    kit_close(&bed);
}

/* --- the report --- */

static int64_t told(struct bed *bed, const char *name)
{
    struct peri_value *v = NULL;
    assert_int_equal(peri_pipeline_status(bed->pipe, &v), PERI_OK);
    int64_t n = peri_map_int(peri_map_at(v, "start"), name, -1);
    peri_value_unref(v);
    return n;
}

static void test_a_start_tells_what_it_found(void **state)
{
    static const char rules[] =
        "rules:\n  - name: Late\n    trigger: {event: a.B}\n    actions: [{delay: 10m}]\n"
        "  - name: Later\n    trigger: {event: a.C}\n    actions: [{delay: 5h}]\n"
        "  - name: Hourly\n    trigger: {schedule: {every: 1h, catch_up: 2h}}\n    actions: [{stop: true}]\n"
        "  - name: Once\n    trigger: {event: a.D}\n    actions: [{operator: x.lost}]\n";
    struct bed bed;
    kit_open(&bed, rules);
    (void)kit_send(&bed, "a.B", "{}");
    (void)kit_send(&bed, "a.C", "{}");
    (void)kit_send(&bed, "a.D", "{}");
    KIT_UNTIL(&bed, kit_run_count(&bed, "sleeping") == 2 && kit_run_count(&bed, "unknown") == 1 && kit_quiet(&bed));
    kit_stop(&bed);
    peri_clock_fake_advance(&bed.fake, 3 * 3600 * 1000 + 60000);
    kit_start(&bed, rules);
    assert_int_equal(told(&bed, "waiting"), 2);
    assert_int_equal(told(&bed, "overdue"), 1);
    assert_int_equal(told(&bed, "for_people"), 1);
    assert_int_equal(told(&bed, "missed"), 3);
    assert_int_equal(told(&bed, "made_up"), 1);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded") && kit_quiet(&bed));
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_that_stops_the_engine_is_set_aside_at_its_fourth_try),
        cmocka_unit_test(test_runs_wait_until_the_events_are_through),
        cmocka_unit_test(test_a_condition_that_takes_its_time_does_not_hold_runs_for_ever),
        cmocka_unit_test(test_after_an_orderly_stop_nothing_is_marked),
        cmocka_unit_test(test_a_run_without_an_owner_is_taken_up_again),
        cmocka_unit_test(test_runs_that_somebody_sees_to_are_left_alone),
        cmocka_unit_test(test_a_start_tells_what_it_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
