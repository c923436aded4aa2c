/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_watch.h"
#include "run/pipekit.h"

/* Triggers that watch over time: what they say, and what they keep over reloads, restarts and for want of room. Whether
 * they find what they should is for test_keyed and test_watch_streams. */

#define MINUTE 60000

static char word[32], reason[512], found[32];

static const char *verdict(struct bed *bed, uint64_t seq)
{
    struct peri_value *list = kit_verdicts(bed, seq);
    const struct peri_value *v = peri_list_at(list, 0);
    snprintf(word, sizeof(word), "%s", peri_map_text(v, "verdict") ? peri_map_text(v, "verdict") : "none");
    snprintf(reason, sizeof(reason), "%s", peri_map_text(v, "reason") ? peri_map_text(v, "reason") : "");
    snprintf(found, sizeof(found), "%s", peri_map_text(v, "found") ? peri_map_text(v, "found") : "");
    peri_value_unref(list);
    return word;
}

#define QUIET(bed) KIT_UNTIL(bed, kit_quiet(bed) && peri_pipeline_is_quiet((bed)->pipe))

static uint64_t send(struct bed *bed, const char *type, const char *json)
{
    uint64_t seq = kit_send(bed, type, json);
    QUIET(bed);
    return seq;
}

/* In steps in which marks are written, as they are by the timer of a service. */
static void go(struct bed *bed, int64_t minutes)
{
    for (int64_t i = 0; i < minutes; i++) {
        kit_advance(bed, MINUTE);
        QUIET(bed);
    }
}

static const char *params(struct bed *bed, size_t n)
{
    QUIET(bed);
    return kit_call(bed, "x.ok", n)->params;
}

#define HOT                                                                                                            \
    "name: Hot\nkey: \"{{ event.k }}\"\ntrigger: {id: t, event: a.B, match: {n: [{numeric: [\">\", 30]}]}, for: "      \
    "10m}\n"

static void test_for_tells_what_goes_on(void **state)
{
    struct bed bed;
    const char *rule =
        HOT "actions: [{operator: x.ok, params: {n: \"{{ event.n }}\", why: \"{{ trigger.reason }}\"}}]\n";
    kit_open(&bed, rule);
    assert_string_equal(verdict(&bed, send(&bed, "a.B", "{\"k\":1,\"n\":31}")), "held");
    assert_string_equal(reason, "goes on since 2025-06-15T15:06:40.000Z: fires at 2025-06-15T15:16:40.000Z, unless an "
                                "event does not match until "
                                "then");
    go(&bed, 9);
    (void)send(&bed, "a.B", "{\"k\":1,\"n\":33}");
    (void)send(&bed, "a.B", "{\"k\":2,\"n\":10}"); /* another key contradicts nothing */
    go(&bed, 1);
    assert_string_equal(params(&bed, 0), "{\"n\":33,\"why\":\"went on for 10m, since 2025-06-15T15:06:40.000Z\"}");
    assert_string_equal(verdict(&bed, 4), "fired");
    assert_string_equal(reason, "went on for 10m, since 2025-06-15T15:06:40.000Z");
    assert_string_equal(verdict(&bed, send(&bed, "a.B", "{\"k\":1,\"n\":35}")), "no");
    assert_string_equal(reason, "goes on since 2025-06-15T15:06:40.000Z, and has fired after 10m");
    assert_string_equal(verdict(&bed, send(&bed, "a.B", "{\"k\":1,\"n\":3}")), "no");
    assert_string_equal(reason, "it does not match, and ends what went on since 2025-06-15T15:06:40.000Z");
    go(&bed, 30);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    kit_close(&bed);
}

static void test_an_edit_elsewhere_keeps_the_timer(void **state)
{
    struct bed bed;
    kit_open(&bed, HOT "actions: [{operator: x.bad}]\n");
    (void)send(&bed, "a.B", "{\"k\":1,\"n\":31}");
    go(&bed, 5);
    kit_rules(&bed, HOT "description: edited\nactions: [{operator: x.ok}]\n");
    kit_restart(&bed, HOT "description: edited\nactions: [{operator: x.ok}]\n");
    QUIET(&bed);
    go(&bed, 5);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    kit_close(&bed);
}

static void test_an_edit_of_the_trigger_begins_anew(void **state)
{
    struct bed bed;
    const char *longer =
        "name: Hot\nkey: \"{{ event.k }}\"\ntrigger: {id: t, event: a.B, match: {n: [{numeric: [\">\", 30]}]}, "
        "for: 20m}\nactions: [{operator: x.ok}]\n";
    kit_open(&bed, HOT "actions: [{operator: x.ok}]\n");
    (void)send(&bed, "a.B", "{\"k\":1,\"n\":31}");
    kit_rules(&bed, longer);
    go(&bed, 15);
    assert_int_equal(kit_calls(&bed, "x.ok"), 0);
    (void)send(&bed, "a.B", "{\"k\":1,\"n\":31}");
    go(&bed, 20);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    kit_close(&bed);
}

#define CALLS                                                                                                          \
    "name: Calls\nkey: \"{{ event.k }}\"\ntrigger: {count: {event: a.B, at_least: 3, within: 1d}}\n"                   \
    "actions: [{operator: x.ok, params: {n: \"{{ trigger.count }}\", e: \"{{ trigger.events }}\", k: \"{{ "            \
    "trigger.key }}\"}}]\n"

static void test_count_tells_how_many_of_how_many(void **state)
{
    struct bed bed;
    kit_open(&bed, CALLS);
    assert_string_equal(verdict(&bed, send(&bed, "a.B", "{\"k\":\"ann\"}")), "no");
    assert_string_equal(reason, "1 of 3 within 1d: ev-1");
    (void)send(&bed, "a.B", "{\"k\":\"bob\"}");
    assert_string_equal(verdict(&bed, send(&bed, "a.B", "{\"k\":\"ann\"}")), "no");
    assert_string_equal(reason, "2 of 3 within 1d: ev-1, ev-3");
    kit_restart(&bed, CALLS);
    QUIET(&bed);
    assert_string_equal(verdict(&bed, send(&bed, "a.B", "{\"k\":\"ann\"}")), "held");
    assert_string_equal(reason, "3 of 3 within 1d: ev-1, ev-3, ev-4");
    assert_string_equal(found, "ev-5");
    assert_string_equal(verdict(&bed, 5), "fired");
    assert_string_equal(reason, "3 of 3 within 1d: ev-1, ev-3, ev-4");
    assert_string_equal(params(&bed, 0), "{\"n\":3,\"e\":[\"ev-1\",\"ev-3\",\"ev-4\"],\"k\":\"ann\"}");
    assert_string_equal(verdict(&bed, send(&bed, "a.B", "{\"k\":\"ann\"}")), "no");
    assert_string_equal(reason, "4 of 3 within 1d (has fired): ev-1, ev-3, ev-4, ev-6");
    kit_close(&bed);
}

static void test_a_replay_does_not_count_again(void **state)
{
    struct bed bed;
    struct kit_changed changed = {0};
    struct peri_error err = {0};
    kit_open(&bed, CALLS);
    (void)send(&bed, "a.B", "{\"k\":1}");
    (void)send(&bed, "a.B", "{\"k\":1}");
    assert_int_equal(peri_pipeline_replay(bed.pipe, 1, NULL, kit_changed_done, &changed, &err), PERI_OK);
    KIT_UNTIL(&bed, changed.done);
    QUIET(&bed);
    assert_string_equal(verdict(&bed, 3), "no");
    assert_string_equal(reason, "it was heard when it came: a replay is not heard again");
    assert_int_equal(kit_calls(&bed, "x.ok"), 0);
    (void)send(&bed, "a.B", "{\"k\":1}");
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    kit_close(&bed);
}

static void test_keys_that_there_is_no_room_for(void **state)
{
    struct bed bed;
    struct peri_value *watches = NULL;
    struct peri_error err = {0};
    char json[32];
    kit_open(&bed,
        "name: R\nkey: \"{{ event.k }}\"\ntrigger: {count: {event: a.B, at_least: 2, within: 1d}, max_keys: 3}\n"
        "actions: [{operator: x.ok}]\n");
    for (int i = 0; i < 5; i++) {
        snprintf(json, sizeof(json), "{\"k\":%d}", i);
        (void)send(&bed, "a.B", json);
        go(&bed, 1);
    }
    (void)send(&bed, "a.B", "{\"k\":0}"); /* forgotten: it was quiet longest */
    (void)send(&bed, "a.B", "{\"k\":4}");
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    assert_int_equal(peri_reader_watches(bed.reader, &watches, &err), PERI_OK);
    char *text = peri_json_text(watches, PERI_JSON_COMPACT);
    assert_string_equal(text, "[{\"rule\":\"r\",\"trigger\":\"t1\",\"kind\":\"count\",\"keys\":3,\"evicted\":3}]");
    free(text);
    peri_value_unref(watches);
    struct peri_buf metrics;
    peri_buf_init(&metrics, 1 << 20);
    assert_int_equal(peri_metrics_render(bed.metrics, &metrics), PERI_OK);
    assert_non_null(strstr(peri_buf_text(&metrics), "watch_evicted_total 3\n"));
    peri_buf_finish(&metrics);
    kit_close(&bed);
}

#define SILENT(keys)                                                                                                   \
    "name: Silent\nkey: \"{{ event.k }}\"\ntrigger: {id: t, absence: {event: a.B, for: 10m, expect: [" keys "]}}\n"    \
    "actions: [{operator: x.ok, params: {k: \"{{ trigger.key }}\", why: \"{{ trigger.reason }}\"}}]\n"

static void test_absence_of_keys_that_never_spoke(void **state)
{
    struct bed bed;
    kit_open(&bed, SILENT("a, b, c"));
    QUIET(&bed);
    go(&bed, 4);
    assert_string_equal(verdict(&bed, send(&bed, "a.B", "{\"k\":\"a\"}")), "held");
    assert_string_equal(reason, "heard: fires at 2025-06-15T15:20:40.000Z, unless more comes until then");
    kit_rules(&bed, SILENT("a, b")); /* c is not missed any more; a and b keep their time */
    QUIET(&bed);
    go(&bed, 5);
    assert_int_equal(kit_calls(&bed, "x.ok"), 0);
    go(&bed, 1);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    assert_string_equal(params(&bed, 0),
        "{\"k\":\"b\",\"why\":\"nothing for 10m: never heard, expected since 2025-06-15T15:06:40.000Z\"}");
    go(&bed, 4);
    assert_string_equal(
        params(&bed, 1), "{\"k\":\"a\",\"why\":\"nothing for 10m: last heard 2025-06-15T15:10:40.000Z\"}");
    go(&bed, 60);
    assert_int_equal(kit_calls(&bed, "x.ok"), 2); /* told once */
    (void)send(&bed, "a.B", "{\"k\":\"b\"}");
    go(&bed, 10);
    assert_int_equal(kit_calls(&bed, "x.ok"), 3);
    kit_close(&bed);
}

static void test_absence_does_not_count_the_time_in_which_nobody_could_hear(void **state)
{
    struct bed bed;
    kit_open(&bed, SILENT("a"));
    QUIET(&bed);
    (void)send(&bed, "a.B", "{\"k\":\"a\"}");
    go(&bed, 4);
    kit_stop(&bed);
    peri_clock_fake_advance(&bed.fake, 60 * MINUTE);
    kit_start(&bed, SILENT("a"));
    QUIET(&bed);
    kit_restart(&bed, SILENT("a")); /* the hour is counted once */
    QUIET(&bed);
    go(&bed, 5);
    assert_int_equal(kit_calls(&bed, "x.ok"), 0);
    go(&bed, 1);
    assert_string_equal(params(&bed, 0), "{\"k\":\"a\",\"why\":\"nothing for 10m: last heard 2025-06-15T15:06:40.000Z; "
                                         "1h in which the service was down are "
                                         "not counted\"}");
    kit_close(&bed);
}

static void test_absence_of_anything(void **state)
{
    struct bed bed;
    const char *rule = "name: R\ntrigger: {absence: {event: backup.Done, for: 1d}}\nactions: [{operator: x.ok}]\n";
    kit_open(&bed, rule);
    QUIET(&bed);
    kit_advance(&bed, 1440 * MINUTE);
    QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    kit_close(&bed);
}

#define ORDER                                                                                                          \
    "name: Unpaid\nkey: \"{{ event.o }}\"\ntrigger: {sequence: {steps: [{event: a.Created, as: order}, {not: "         \
    "a.Paid}], "                                                                                                       \
    "within: 1h}}\nconditions: [\"events.order.sum > 5\"]\n"                                                           \
    "actions: [{delay: 5m}, {operator: x.ok, params: {sum: \"{{ events.order.sum }}\"}}]\n"

static void test_a_sequence_that_nothing_ends(void **state)
{
    struct bed bed;
    kit_open(&bed, ORDER);
    assert_string_equal(verdict(&bed, send(&bed, "a.Created", "{\"o\":1,\"sum\":7}")), "held");
    assert_string_equal(reason,
        "1 of 1 within 1h: ev-1; fires at 2025-06-15T16:06:40.000Z, unless what must not come comes until then");
    (void)send(&bed, "a.Created", "{\"o\":2,\"sum\":8}");
    (void)send(&bed, "a.Created", "{\"o\":3,\"sum\":3}");
    go(&bed, 30);
    assert_string_equal(verdict(&bed, send(&bed, "a.Paid", "{\"o\":1}")), "no");
    go(&bed, 30);
    kit_restart(&bed, ORDER); /* what the events were is known to the run after a restart */
    QUIET(&bed);
    go(&bed, 5);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    assert_string_equal(params(&bed, 0), "{\"sum\":8}");
    kit_close(&bed);
}

static void test_a_sequence_tells_how_far_it_has_come(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: R\ntrigger: {sequence: {steps: [{event: a.*, match: {n: [1]}}, {not: a.X}, {event: a.B, "
                   "count: 2}], within: 1h}}\n"
                   "actions: [{operator: x.ok, params: {e: \"{{ trigger.events }}\"}}]\n");
    assert_string_equal(verdict(&bed, send(&bed, "a.A", "{\"n\":2}")), "no");
    assert_string_equal(reason, "n: the value differs");
    assert_string_equal(verdict(&bed, send(&bed, "a.A", "{\"n\":1}")), "no");
    assert_string_equal(reason, "1 of 3 within 1h: ev-2");
    (void)send(&bed, "a.B", "{}");
    assert_string_equal(verdict(&bed, 3), "no");
    assert_string_equal(reason, "2 of 3 within 1h: ev-2, ev-3");
    assert_string_equal(verdict(&bed, send(&bed, "a.B", "{}")), "held");
    assert_string_equal(reason, "3 of 3 within 1h: ev-2, ev-3, ev-4");
    assert_string_equal(params(&bed, 0), "{\"e\":[\"ev-2\",\"ev-3\",\"ev-4\"]}");
    kit_close(&bed);
}

static void test_an_event_without_a_key_is_not_heard(void **state)
{
    struct bed bed;
    kit_open(&bed, CALLS);
    assert_string_equal(verdict(&bed, send(&bed, "a.B", "{}")), "error");
    assert_string_equal(reason, "missing event.k");
    kit_close(&bed);
}

/* Beside another trigger of the rule that fires. */
static void test_every_trigger_hears(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: R\ntriggers: [{event: a.B}, {count: {event: a.B, at_least: 2, within: 1h}}]\n"
                   "actions: [{operator: x.ok, params: {t: \"{{ trigger.id }}\"}}]\n");
    (void)send(&bed, "a.B", "{}");
    (void)send(&bed, "a.B", "{}");
    assert_int_equal(kit_calls(&bed, "x.ok"), 3);
    assert_string_equal(params(&bed, 2), "{\"t\":\"t2\"}");
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_for_tells_what_goes_on),
        cmocka_unit_test(test_an_edit_elsewhere_keeps_the_timer),
        cmocka_unit_test(test_an_edit_of_the_trigger_begins_anew),
        cmocka_unit_test(test_count_tells_how_many_of_how_many),
        cmocka_unit_test(test_a_replay_does_not_count_again),
        cmocka_unit_test(test_keys_that_there_is_no_room_for),
        cmocka_unit_test(test_absence_of_keys_that_never_spoke),
        cmocka_unit_test(test_absence_does_not_count_the_time_in_which_nobody_could_hear),
        cmocka_unit_test(test_absence_of_anything),
        cmocka_unit_test(test_a_sequence_that_nothing_ends),
        cmocka_unit_test(test_a_sequence_tells_how_far_it_has_come),
        cmocka_unit_test(test_an_event_without_a_key_is_not_heard),
        cmocka_unit_test(test_every_trigger_hears),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
