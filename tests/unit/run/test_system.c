/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"
#include "run/system.h"

/* Events about the service itself: told when somebody hears them, with the transition they belong to, and without an
 * end when the listener makes runs of its own. */

/* "type data" of every event of the journal that the service told, oldest first. */
static size_t told(struct bed *bed, char out[][512], size_t max)
{
    struct peri_event_filter filter = {.limit = 1000, .source = "perigee:system", .after = 0};
    struct peri_value *list = NULL;
    size_t n = 0;
    assert_int_equal(peri_reader_events(bed->reader, &filter, &list, NULL), PERI_OK);
    for (size_t i = peri_value_count(list); i-- > 0 && n < max;) {
        const struct peri_value *e = peri_list_at(list, i);
        char *text = peri_json_text(peri_map_at(e, "data"), PERI_JSON_SORTED);
        snprintf(out[n++], 512, "%s %s", peri_map_text(e, "type"), text);
        free(text);
    }
    peri_value_unref(list);
    return n;
}

#define WORK "name: Work\ntrigger: {event: a.B}\nactions: [{operator: x.ok, id: it}]\n"
#define LISTEN(type) "---\nname: Listen\ntrigger: {event: " type "}\nactions: [{operator: x.ok}]\n"

static void test_nothing_is_told_that_nobody_hears(void **state)
{
    struct bed bed;
    char all[8][512];
    kit_open(&bed, WORK);
    kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "succeeded"), 1);
    assert_int_equal(told(&bed, all, 8), 0);
    kit_close(&bed);
}

static void test_a_run_is_told_from_its_start_to_its_end(void **state)
{
    struct bed bed;
    char all[16][512];
    kit_open(
        &bed, WORK "---\nname: Listen\ntriggers: [{event: run.*}, {event: action.*}]\nactions: [{operator: x.ok}]\n");
    kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    assert_int_equal(told(&bed, all, 16), 4);
    assert_string_equal(all[0], "run.Started {\"event\":\"ev-1\",\"rule\":\"work\",\"run\":\"run-1\"}");
    assert_string_equal(all[1], "action.Before {\"attempt\":1,\"event\":\"ev-1\",\"id\":\"it\",\"operator\":\"x.ok\","
                                "\"rule\":\"work\",\"run\":\"run-1\",\"step\":\"actions[0]\"}");
    assert_string_equal(all[2], "action.After {\"attempt\":1,\"duration_ms\":0,\"event\":\"ev-1\",\"id\":\"it\","
                                "\"operator\":\"x.ok\",\"rule\":\"work\",\"run\":\"run-1\",\"state\":\"done\","
                                "\"step\":\"actions[0]\"}");
    assert_string_equal(all[3],
        "run.Finished {\"duration_ms\":0,\"event\":\"ev-1\",\"rule\":\"work\",\"run\":\"run-1\","
        "\"state\":\"succeeded\"}");
    assert_int_equal(kit_run_count(&bed, "succeeded"), 5); /* the work, and one for each that was told */
    kit_close(&bed);
}

static void test_what_a_listener_runs_is_not_told(void **state)
{
    struct bed bed;
    char all[8][512];
    kit_open(&bed, LISTEN("run.Finished") "---\n" WORK);
    for (int i = 0; i < 3; i++)
        kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    assert_int_equal(told(&bed, all, 8), 3);
    assert_int_equal(kit_run_count(&bed, "succeeded"), 6);
    kit_close(&bed);
}

static void test_listeners_that_start_each_other_end(void **state)
{
    struct bed bed;
    char all[64][512];
    kit_open(&bed, "name: Listen\ntrigger: {event: run.Finished}\nactions: [{emit: {event: a.B}}]\n---\n" WORK);
    kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    size_t n = told(&bed, all, 64);
    assert_true(n > 2 && n < 16); /* hops */
    kit_close(&bed);
}

static void test_a_failure_has_its_own(void **state)
{
    struct bed bed;
    char all[8][512];
    kit_open(&bed, "name: Work\ntrigger: {event: a.B}\nactions: [{operator: x.bad}]\n" LISTEN("run.Failed"));
    kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    assert_int_equal(told(&bed, all, 8), 1);
    assert_string_equal(all[0], "run.Failed {\"duration_ms\":0,\"error\":{\"code\":\"nope\",\"message\":\"it said "
                                "nope\"},\"event\":\"ev-1\",\"rule\":\"work\",\"run\":\"run-1\"}");
    kit_close(&bed);
}

static void test_a_glob_that_begins_with_a_star_means_the_world(void **state)
{
    struct bed bed;
    char all[8][512];
    kit_open(&bed, WORK "---\nname: All\ntrigger: {event: \"**\"}\nactions: [{operator: x.ok}]\n" LISTEN("run.Failed"));
    kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    assert_int_equal(told(&bed, all, 8), 0);
    assert_int_equal(kit_run_count(&bed, NULL), 2);
    kit_close(&bed);
}

/* The run that a newer one replaces is ended by that one's transaction. */
static void test_a_run_that_was_replaced_is_told(void **state)
{
    struct bed bed;
    char all[8][512];
    kit_open(&bed, "name: Work\ntrigger: {event: a.B}\nmode: restart\nactions: [{delay: 1h}]\n" LISTEN("run.Finished"));
    kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    assert_int_equal(told(&bed, all, 8), 1);
    assert_non_null(strstr(all[0], "\"run\":\"run-1\",\"state\":\"cancelled\""));
    kit_close(&bed);
}

/* Killed between the intent and the outcome: the end is told after the restart, the start not twice. */
static void test_what_was_told_survives_a_kill(void **state)
{
    static const char *const rules =
        "name: Work\ntrigger: {event: a.B}\nactions: [{operator: x.repeat}]\n---\nname: Listen\ntriggers: [{event: "
        "run.Started}, {event: run.Finished}]\nactions: [{operator: x.ok}]\n";
    struct bed bed;
    char all[8][512];
    kit_open(&bed, rules);
    kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_calls(&bed, "x.repeat") == 1 && kit_calls(&bed, "x.ok") == 1);
    kit_restart(&bed, rules);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.repeat") == 1);
    kit_reply(&bed, "x.repeat", true);
    KIT_QUIET(&bed);
    assert_int_equal(told(&bed, all, 8), 2);
    assert_memory_equal(all[0], "run.Started ", 12);
    assert_memory_equal(all[1], "run.Finished ", 13);
    kit_close(&bed);
}

static void test_what_is_announced_before_the_start_is_told_after_it(void **state)
{
    struct bed bed;
    char all[8][512];
    kit_open(&bed, LISTEN("plugin.Loaded"));
    bed.pipe->started = false;
    peri_pipeline_announce(bed.pipe, "plugin.Loaded", kit_json("{\"plugin\":\"a\"}"), NULL);
    peri_pipeline_announce(bed.pipe, "plugin.Failed", kit_json("{\"plugin\":\"b\"}"), NULL);
    KIT_QUIET(&bed);
    assert_int_equal(told(&bed, all, 8), 0);
    bed.pipe->started = true;
    system_started(bed.pipe);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.ok") == 1);
    KIT_QUIET(&bed);
    assert_int_equal(told(&bed, all, 8), 1);
    assert_string_equal(all[0], "plugin.Loaded {\"plugin\":\"a\"}");
    kit_close(&bed);
}

static void count_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    assert_int_equal(st, PERI_OK);
    ++*(int *)arg;
}

/* The store has room for three operations. Whoever may not be refused is told when it is stored, once. */
static void test_what_is_told_waits_for_room(void **state)
{
    struct bed bed;
    int done = 0;
    char all[32][512];
    kit_open(&bed, LISTEN("message.*"));
    kit_stop(&bed);
    bed.max_queue = 3;
    kit_start(&bed, LISTEN("message.*"));
    for (int i = 0; i < 30; i++) {
        struct peri_batch *batch = peri_batch_create();
        struct peri_event *e = peri_pipeline_system_event(bed.pipe, "message.Sent", kit_json("{\"to\":\"ann\"}"), NULL);
        assert_non_null(e);
        assert_int_equal(peri_batch_event(batch, e), PERI_OK);
        peri_pipeline_host_insist(bed.pipe, batch, count_done, &done);
    }
    for (int i = 0; i < 500 && (done < 30 || !kit_quiet(&bed)); i++) {
        peri_loop_once(bed.loop, 2);
        kit_advance(&bed, 60);
    }
    KIT_QUIET(&bed);
    assert_int_equal(done, 30);
    assert_int_equal(told(&bed, all, 32), 30);
    assert_int_equal(kit_calls(&bed, "x.ok"), 30);
    assert_true(peri_metric_value(bed.pipe->metrics.store_retries) > 0);
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_told_that_nobody_hears),
        cmocka_unit_test(test_a_run_is_told_from_its_start_to_its_end),
        cmocka_unit_test(test_what_a_listener_runs_is_not_told),
        cmocka_unit_test(test_listeners_that_start_each_other_end),
        cmocka_unit_test(test_a_failure_has_its_own),
        cmocka_unit_test(test_a_glob_that_begins_with_a_star_means_the_world),
        cmocka_unit_test(test_a_run_that_was_replaced_is_told),
        cmocka_unit_test(test_what_was_told_survives_a_kill),
        cmocka_unit_test(test_what_is_announced_before_the_start_is_told_after_it),
        cmocka_unit_test(test_what_is_told_waits_for_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
