/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

#define RULE_SEND                                                                                                      \
    "name: Send\ntrigger: {event: a.B}\nactions:\n  - {operator: x.ok, params: {to: \"{{ event.who }}\"}}\n"

static void test_an_event_becomes_a_run_that_ends(void **state)
{
    struct bed bed;
    kit_open(&bed, RULE_SEND);
    uint64_t seq = kit_send(&bed, "a.B", "{\"who\":\"ann\"}");
    KIT_QUIET(&bed);
    assert_int_equal(bed.call_count, 1);
    assert_string_equal(bed.calls[0]->params, "{\"to\":\"ann\"}");
    assert_string_equal(bed.calls[0]->run, "run-1");
    assert_non_null(strstr(bed.calls[0]->key, ".1/1"));
    struct peri_value *run = kit_run(&bed, 1);
    assert_string_equal(peri_map_text(run, "state"), "succeeded");
    const struct peri_value *step = peri_list_at(peri_map_at(run, "steps"), 0);
    assert_string_equal(peri_map_text(step, "operator"), "x.ok");
    kit_assert_json(peri_map_at(step, "params"), "{\"to\":\"ann\"}");
    kit_assert_json(peri_map_at(step, "result"), "{\"ok\":true}");
    assert_string_equal(peri_map_text(step, "state"), "done");
    peri_value_unref(run);
    struct peri_value *verdicts = kit_verdicts(&bed, seq);
    kit_assert_json(
        verdicts, "[{\"rule\":\"send\",\"name\":\"Send\",\"trigger\":\"t1\",\"verdict\":\"fired\",\"run\":\"run-1\"}]");
    peri_value_unref(verdicts);
    assert_int_equal(kit_status(&bed, "accepted"), 1);
    assert_int_equal(kit_status(&bed, "matched"), 1);
    assert_int_equal(kit_status(&bed, "live_runs"), 0);
    kit_close(&bed);
}

static void test_no_effect_before_the_commit_of_its_intent(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: Send\ntrigger: {event: a.B}\nactions:\n  - {operator: x.slow}\n  - {operator: x.slow}\n");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, bed.call_count == 1);
    struct peri_value *run = kit_run(&bed, 1); /* what a reader sees at this instant */
    assert_string_equal(peri_map_text(run, "state"), "running");
    assert_string_equal(peri_map_text(peri_list_at(peri_map_at(run, "steps"), 0), "state"), "started");
    peri_value_unref(run);
    kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, bed.call_count == 2);
    run = kit_run(&bed, 1);
    assert_string_equal(peri_map_text(peri_list_at(peri_map_at(run, "steps"), 0), "state"), "done");
    assert_string_equal(peri_map_text(peri_list_at(peri_map_at(run, "steps"), 1), "state"), "started");
    peri_value_unref(run);
    kit_reply(&bed, "x.slow", true);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "succeeded"), 1);
    kit_close(&bed);
}

static void test_a_duplicate_is_answered_with_the_first_and_starts_nothing(void **state)
{
    struct bed bed;
    bool duplicate = true;
    kit_open(&bed, RULE_SEND);
    uint64_t first = kit_send_id(&bed, "a.B", "{\"who\":1}", "id-1", &duplicate);
    assert_false(duplicate);
    uint64_t second = kit_send_id(&bed, "a.B", "{\"who\":1}", "id-1", &duplicate);
    assert_true(duplicate);
    assert_int_equal(first, second);
    KIT_QUIET(&bed);
    assert_int_equal(bed.call_count, 1);
    assert_int_equal(kit_status(&bed, "duplicate"), 1);
    kit_close(&bed);
}

static void test_malformed_events_are_refused_and_the_batch_stays_with_the_caller(void **state)
{
    static const struct {
        const char *type, *code;
        size_t size;
    } cases[] = {{"no good", NULL, 2}, {"", NULL, 2}, {"a.B", "too_large", 65 * 1024}};
    struct bed bed;
    kit_open(&bed, RULE_SEND);
    for (size_t i = 0; i < 3; i++) {
        struct peri_error err = {0};
        struct peri_batch *batch = peri_batch_create();
        char *data = calloc(1, cases[i].size + 1);
        memset(data, '1', cases[i].size);
        assert_int_equal(peri_batch_event(batch, kit_event("a.B", "{}", NULL)), PERI_OK);
        assert_int_equal(peri_batch_event(batch, kit_event(cases[i].type, data, NULL)), PERI_OK);
        assert_int_equal(peri_pipeline_submit(bed.pipe, batch, NULL, NULL, &err), PERI_EINVAL);
        assert_non_null(strstr(err.message, "event 1: "));
        if (cases[i].code)
            assert_string_equal(err.code, cases[i].code);
        peri_batch_destroy(batch);
        free(data);
    }
    KIT_QUIET(&bed);
    assert_int_equal(kit_status(&bed, "accepted"), 0);
    kit_close(&bed);
}

static void test_the_source_of_schedules_is_reserved(void **state)
{
    struct bed bed;
    struct peri_error err = {0};
    kit_open(&bed, RULE_SEND);
    struct peri_batch *batch = peri_batch_create();
    struct peri_event *event = kit_event("schedule.Fired", "{}", "send/t1/1750000000000");
    free(event->source);
    event->source = peri_strdup("perigee:schedule");
    assert_int_equal(peri_batch_event(batch, event), PERI_OK);
    assert_int_equal(peri_pipeline_submit(bed.pipe, batch, NULL, NULL, &err), PERI_EINVAL);
    peri_batch_destroy(batch);
    kit_close(&bed);
}

static void test_a_delay_sleeps_in_the_store_and_takes_no_memory(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: Later\ntrigger: {event: a.B}\nactions:\n  - delay: 10m\n  - {operator: x.ok}\n");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_run_count(&bed, "sleeping") == 1);
    KIT_QUIET(&bed);
    assert_int_equal(kit_status(&bed, "live_runs"), 1);
    kit_advance(&bed, 599000);
    peri_loop_once(bed.loop, 0);
    assert_int_equal(bed.call_count, 0);
    kit_advance(&bed, 1000);
    KIT_UNTIL(&bed, bed.call_count == 1);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "succeeded"), 1);
    kit_close(&bed);
}

static void test_a_retry_keeps_its_key_and_its_parameters(void **state)
{
    struct bed bed;
    kit_open(
        &bed, "name: Flaky\ntrigger: {event: a.B}\nactions:\n  - {operator: x.flaky, params: {at: \"{{ now }}\"}}\n");
    (void)kit_send(&bed, "a.B", "{}");
    for (size_t i = 1; i <= 2; i++) {
        KIT_UNTIL(&bed,
            kit_calls(&bed, "x.flaky") == i && kit_run_is(&bed, 1, "sleeping") && kit_status(&bed, "in_memory") == 0);
        kit_advance(&bed, 10000);
    }
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    for (size_t i = 1; i < 3; i++) {
        assert_string_equal(kit_call(&bed, "x.flaky", 0)->key, kit_call(&bed, "x.flaky", i)->key);
        assert_string_equal(kit_call(&bed, "x.flaky", 0)->params, kit_call(&bed, "x.flaky", i)->params);
    }
    struct peri_value *run = kit_run(&bed, 1);
    assert_int_equal(peri_value_count(peri_map_at(run, "steps")), 3);
    peri_value_unref(run);
    KIT_QUIET(&bed);
    kit_close(&bed);
}

static void test_a_full_queue_is_no_attempt(void **state)
{
    struct bed bed;
    kit_open(
        &bed, "name: Busy\ntrigger: {event: a.B}\nactions:\n  - {operator: x.busy, retry: {maximum_attempts: 1}}\n");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, bed.busy > 0);
    for (int i = 0; i < 5; i++)
        kit_advance(&bed, 100);
    KIT_QUIET(&bed);
    assert_true(kit_run_is(&bed, 1, "succeeded"));
    struct peri_value *run = kit_run(&bed, 1);
    assert_int_equal(peri_value_count(peri_map_at(run, "steps")), 1);
    peri_value_unref(run);
    kit_close(&bed);
}

static void test_an_unhandled_failure_is_dead_and_a_handled_one_is_not(void **state)
{
    struct bed bed;
    kit_open(&bed,
        "rules:\n  - {name: One, trigger: {event: a.One}, actions: [{operator: x.bad}]}\n"
        "  - {name: Two, trigger: {event: a.Two}, actions: [{operator: x.bad}], on_error: [{operator: x.ok}]}\n");
    (void)kit_send(&bed, "a.One", "{}");
    (void)kit_send(&bed, "a.Two", "{}");
    KIT_QUIET(&bed);
    struct peri_run_filter filter = {.state = "dead"};
    struct peri_value *list = NULL;
    assert_int_equal(peri_reader_runs(bed.reader, &filter, &list, NULL), PERI_OK);
    assert_int_equal(peri_value_count(list), 1);
    assert_string_equal(peri_map_text(peri_list_at(list, 0), "rule"), "one");
    assert_string_equal(peri_map_text(peri_map_at(peri_list_at(list, 0), "error"), "code"), "nope");
    peri_value_unref(list);
    assert_int_equal(kit_run_count(&bed, "failed"), 2);
    kit_close(&bed);
}

static void test_an_unknown_outcome_waits_for_a_person(void **state)
{
    struct bed bed;
    struct kit_changed changed = {0};
    struct peri_error err = {0};
    kit_open(&bed, "name: Lost\ntrigger: {event: a.B}\nactions:\n  - {operator: x.lost}\n  - {operator: x.ok}\n");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "unknown"));
    KIT_QUIET(&bed);
    assert_int_equal(peri_pipeline_resolve(bed.pipe, 1, "perhaps", kit_changed_done, &changed, &err), PERI_EINVAL);
    assert_int_equal(peri_pipeline_resolve(bed.pipe, 99, "done", kit_changed_done, &changed, &err), PERI_ENOTFOUND);
    assert_int_equal(peri_pipeline_resolve(bed.pipe, 1, "done", kit_changed_done, &changed, &err), PERI_OK);
    KIT_UNTIL(&bed, changed.done);
    assert_int_equal(changed.st, PERI_OK);
    assert_string_equal(changed.id, "run-1");
    KIT_QUIET(&bed);
    assert_true(kit_run_is(&bed, 1, "succeeded"));
    assert_int_equal(kit_calls(&bed, "x.lost"), 1);
    assert_int_equal(kit_calls(&bed, "x.ok"), 1);
    assert_int_equal(peri_pipeline_resolve(bed.pipe, 1, "done", kit_changed_done, &changed, &err), PERI_ESTATE);
    kit_close(&bed);
}

static void test_an_emitted_event_starts_other_rules_and_knows_its_cause(void **state)
{
    struct bed bed;
    kit_open(&bed,
        "rules:\n  - {name: One, trigger: {event: a.B}, actions: [{emit: {event: b.C, data: {n: \"{{ event.n + 1 "
        "}}\"}}}]}\n"
        "  - {name: Two, trigger: {event: b.*}, actions: [{operator: x.ok, params: {n: \"{{ event.n }}\"}}]}\n");
    uint64_t seq = kit_send(&bed, "a.B", "{\"n\":1}");
    KIT_UNTIL(&bed, bed.call_count == 1);
    KIT_QUIET(&bed);
    assert_string_equal(bed.calls[0]->params, "{\"n\":2}");
    struct peri_event *event = NULL;
    assert_int_equal(peri_reader_event(bed.reader, seq + 1, &event, NULL), PERI_OK);
    assert_int_equal(event->hops, 1);
    assert_string_equal(event->cause, "run-1");
    assert_string_equal(event->type, "b.C");
    peri_event_unref(event);
    kit_close(&bed);
}

static void test_a_circle_of_rules_is_stopped(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: Circle\ntrigger: {event: a.B}\nactions: [{emit: {event: a.B}}]\n");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_status(&bed, "dead") == 1);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "succeeded"), 16);
    struct peri_value *verdicts = kit_verdicts(&bed, 17);
    assert_string_equal(peri_map_text(peri_list_at(verdicts, 0), "verdict"), "dead");
    peri_value_unref(verdicts);
    kit_close(&bed);
}

static void test_cancel(void **state)
{
    struct bed bed;
    struct peri_error err = {0};
    kit_open(&bed, "rules:\n  - {name: Sleeps, trigger: {event: a.Sleep}, actions: [{delay: 1h}, {operator: x.ok}]}\n"
                   "  - {name: Calls, trigger: {event: a.Call}, actions: [{operator: x.slow}, {operator: x.ok}]}\n"
                   "  - {name: Asks, trigger: {event: a.Ask}, actions: [{if: {operator: c.slow}, operator: x.ok}]}\n");
    static const char *const types[] = {"a.Sleep", "a.Call", "a.Ask"};
    for (uint64_t i = 0; i < 3; i++) {
        struct kit_changed changed = {0};
        (void)kit_send(&bed, types[i], "{}");
        if (i == 0)
            KIT_UNTIL(&bed, kit_run_is(&bed, 1, "sleeping"));
        else
            KIT_UNTIL(&bed, bed.call_count == i);
        assert_int_equal(peri_pipeline_cancel(bed.pipe, i + 1, kit_changed_done, &changed, &err), PERI_OK);
        KIT_UNTIL(&bed, changed.done);
        assert_int_equal(changed.st, PERI_OK);
        assert_true(kit_run_is(&bed, i + 1, "cancelled"));
    }
    kit_reply(&bed, "x.slow", true); /* late answers change nothing */
    kit_reply(&bed, "c.slow", true);
    kit_advance(&bed, 3600000);
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 0);
    assert_int_equal(kit_run_count(&bed, "cancelled"), 3);
    assert_int_equal(kit_status(&bed, "in_flight"), 0);
    struct kit_changed changed = {0};
    assert_int_equal(peri_pipeline_cancel(bed.pipe, 1, kit_changed_done, &changed, &err), PERI_ESTATE);
    kit_close(&bed);
}

static void test_retry_makes_a_new_run_by_the_present_rule(void **state)
{
    struct bed bed;
    struct peri_error err = {0};
    struct kit_changed changed = {0};
    kit_open(&bed, "name: Send\ntrigger: {event: a.B}\nactions: [{operator: x.bad}]\n");
    (void)kit_send(&bed, "a.B", "{\"who\":\"ann\"}");
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "failed"));
    kit_rules(&bed, RULE_SEND);
    assert_int_equal(peri_pipeline_retry(bed.pipe, 1, kit_changed_done, &changed, &err), PERI_OK);
    KIT_UNTIL(&bed, changed.done);
    assert_string_equal(changed.id, "run-2");
    KIT_UNTIL(&bed, kit_run_is(&bed, 2, "succeeded"));
    KIT_QUIET(&bed);
    assert_string_equal(kit_call(&bed, "x.ok", 0)->params, "{\"to\":\"ann\"}");
    assert_true(kit_run_is(&bed, 1, "failed"));
    struct peri_value *run = kit_run(&bed, 2);
    assert_string_equal(peri_map_text(run, "retry_of"), "run-1");
    peri_value_unref(run);
    kit_close(&bed);
}

static void test_replay_for_one_rule(void **state)
{
    struct bed bed;
    struct peri_error err = {0};
    struct kit_changed changed = {0};
    kit_open(&bed, "rules:\n  - {name: One, trigger: {event: a.B}, actions: [{operator: x.ok}]}\n"
                   "  - {name: Two, trigger: {event: a.B}, actions: [{operator: x.ok}]}\n");
    uint64_t seq = kit_send_id(&bed, "a.B", "{\"n\":1}", "id-9", NULL);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, NULL), 2);
    assert_int_equal(peri_pipeline_replay(bed.pipe, seq, "nobody", kit_changed_done, &changed, &err), PERI_ENOTFOUND);
    assert_int_equal(peri_pipeline_replay(bed.pipe, 999, NULL, kit_changed_done, &changed, &err), PERI_ENOTFOUND);
    assert_int_equal(peri_pipeline_replay(bed.pipe, seq, "two", kit_changed_done, &changed, &err), PERI_OK);
    KIT_UNTIL(&bed, changed.done);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, NULL), 3);
    uint64_t again = 0;
    assert_true(peri_event_id_parse(changed.id, &again));
    struct peri_event *event = NULL;
    assert_int_equal(peri_reader_event(bed.reader, again, &event, NULL), PERI_OK);
    assert_int_equal(event->replay_of, seq);
    assert_null(event->external_id);
    peri_event_unref(event);
    kit_close(&bed);
}

static void test_a_call_without_any_answer_is_an_unknown_outcome(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: Slow\ntrigger: {event: a.B}\nactions: [{operator: x.slow, timeout: 5s}]\n");
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, bed.call_count == 1);
    kit_advance(&bed, 6000);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "unknown"));
    kit_reply(&bed, "x.slow", true);
    KIT_QUIET(&bed);
    assert_true(kit_run_is(&bed, 1, "unknown"));
    kit_close(&bed);
}

static void drained(void *arg)
{
    *(bool *)arg = true;
}

static void test_draining_waits_for_what_is_in_flight_and_starts_nothing(void **state)
{
    struct bed bed;
    bool done = false;
    const char *rule = "name: Slow\ntrigger: {event: a.B}\nactions: [{operator: x.slow}, {operator: x.ok}]\n";
    kit_open(&bed, rule);
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, bed.call_count == 1);
    peri_pipeline_drain(bed.pipe, drained, &done);
    (void)kit_send(&bed, "a.B", "{}"); /* is journaled, and no more */
    for (int i = 0; i < 20; i++)
        peri_loop_once(bed.loop, 1);
    assert_false(done);
    kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, done);
    assert_int_equal(bed.call_count, 1);
    assert_true(kit_run_is(&bed, 1, "ready"));
    kit_restart(&bed, rule);
    KIT_UNTIL(&bed, kit_calls(&bed, "x.ok") == 1 && kit_calls(&bed, "x.slow") == 1);
    kit_reply(&bed, "x.slow", true);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "succeeded"), 2);
    kit_close(&bed);
}

static void test_overload_is_said_and_nothing_is_lost(void **state)
{
    struct bed bed;
    struct peri_error err = {0};
    kit_open(&bed, "name: Slow\ntrigger: {event: a.B}\nconditions: [{operator: c.slow}]\nactions: [{stop: true}]\n");
    bed.pipe->options.max_backlog = 10;
    for (int i = 0; i < 10; i++)
        (void)kit_send(&bed, "a.B", "{}");
    struct peri_batch *batch = peri_batch_create();
    assert_int_equal(peri_batch_event(batch, kit_event("a.B", "{}", NULL)), PERI_OK);
    assert_int_equal(peri_pipeline_submit(bed.pipe, batch, NULL, NULL, &err), PERI_EBUSY);
    peri_batch_destroy(batch);
    KIT_UNTIL(&bed, kit_calls(&bed, "c.slow") == 10);
    for (int i = 0; i < 10; i++)
        kit_reply(&bed, "c.slow", true);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "succeeded"), 10);
    kit_close(&bed);
}

static void test_a_condition_waits_for_room(void **state)
{
    struct bed bed;
    kit_open(
        &bed, "name: Busy\ntrigger: {event: a.B}\nconditions: [{operator: c.busy}]\nactions: [{operator: x.ok}]\n");
    for (int i = 0; i < 5; i++)
        (void)kit_send(&bed, "a.B", "{}");
    for (int i = 0; i < 5; i++)
        kit_advance(&bed, 100);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "succeeded"), 5);
    kit_close(&bed);
}

/* The store has room for three operations: most transactions have to be offered again. */
static void test_a_full_store_delays_and_loses_nothing(void **state)
{
    struct bed bed;
    struct kit_sent sent = {.batch = peri_batch_create()};
    struct peri_error err = {0};
    kit_open(&bed, RULE_SEND);
    kit_stop(&bed);
    bed.max_queue = 3;
    kit_start(&bed, RULE_SEND);
    for (int i = 0; i < 100; i++)
        assert_int_equal(peri_batch_event(sent.batch, kit_event("a.B", "{\"who\":1}", NULL)), PERI_OK);
    assert_int_equal(peri_pipeline_submit(bed.pipe, sent.batch, kit_sent_done, &sent, &err), PERI_OK);
    for (int i = 0; i < 500 && (!sent.done || !kit_quiet(&bed)); i++) {
        peri_loop_once(bed.loop, 2);
        kit_advance(&bed, 60);
    }
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "succeeded"), 100);
    assert_int_equal(bed.call_count, 100);
    assert_true(peri_metric_value(bed.pipe->metrics.store_retries) > 0);
    kit_close(&bed);
}

static void count_notes(void *ctx, const char *kind, const struct peri_value *value)
{
    struct bed *bed = ctx;
    assert_true(strcmp(kind, "event") == 0 || strcmp(kind, "run") == 0);
    assert_non_null(peri_map_text(value, "id"));
    assert_non_null(peri_map_text(value, "state"));
    bed->notes++;
}

static void test_changes_are_told(void **state)
{
    struct bed bed;
    kit_open(&bed, RULE_SEND);
    peri_pipeline_on_change(bed.pipe, count_notes, &bed);
    (void)kit_send(&bed, "a.B", "{\"who\":1}");
    KIT_QUIET(&bed);
    assert_int_equal(bed.notes, 5); /* event journaled, matched; run ready, running, succeeded */
    kit_close(&bed);
}

static void test_many_events_each_once_and_in_order(void **state)
{
    struct bed bed;
    struct kit_sent sent[4] = {{0}};
    struct peri_error err = {0};
    kit_open(&bed, "name: Even\ntrigger: {event: a.B, match: {even: [true]}}\nactions: [{operator: x.ok, params: {n: "
                   "\"{{ event.n }}\"}}]\n");
    for (int b = 0; b < 4; b++) {
        sent[b].batch = peri_batch_create();
        for (int i = 0; i < 400; i++) {
            char json[64];
            snprintf(json, sizeof(json), "{\"n\":%d,\"even\":%s}", b * 400 + i, i % 2 ? "false" : "true");
            assert_int_equal(peri_batch_event(sent[b].batch, kit_event("a.B", json, NULL)), PERI_OK);
        }
        assert_int_equal(peri_pipeline_submit(bed.pipe, sent[b].batch, kit_sent_done, &sent[b], &err), PERI_OK);
    }
    KIT_UNTIL(&bed, kit_status(&bed, "matched") == 1600 && kit_status(&bed, "runs_succeeded") == 800);
    KIT_QUIET(&bed);
    assert_int_equal(bed.call_count, 800);
    for (size_t i = 1; i < 800; i++)
        assert_true(bed.calls[i]->event > bed.calls[i - 1]->event);
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_becomes_a_run_that_ends),
        cmocka_unit_test(test_no_effect_before_the_commit_of_its_intent),
        cmocka_unit_test(test_a_duplicate_is_answered_with_the_first_and_starts_nothing),
        cmocka_unit_test(test_malformed_events_are_refused_and_the_batch_stays_with_the_caller),
        cmocka_unit_test(test_the_source_of_schedules_is_reserved),
        cmocka_unit_test(test_a_delay_sleeps_in_the_store_and_takes_no_memory),
        cmocka_unit_test(test_a_retry_keeps_its_key_and_its_parameters),
        cmocka_unit_test(test_a_full_queue_is_no_attempt),
        cmocka_unit_test(test_an_unhandled_failure_is_dead_and_a_handled_one_is_not),
        cmocka_unit_test(test_an_unknown_outcome_waits_for_a_person),
        cmocka_unit_test(test_an_emitted_event_starts_other_rules_and_knows_its_cause),
        cmocka_unit_test(test_a_circle_of_rules_is_stopped),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_retry_makes_a_new_run_by_the_present_rule),
        cmocka_unit_test(test_replay_for_one_rule),
        cmocka_unit_test(test_a_call_without_any_answer_is_an_unknown_outcome),
        cmocka_unit_test(test_draining_waits_for_what_is_in_flight_and_starts_nothing),
        cmocka_unit_test(test_overload_is_said_and_nothing_is_lost),
        cmocka_unit_test(test_a_condition_waits_for_room),
        cmocka_unit_test(test_a_full_store_delays_and_loses_nothing),
        cmocka_unit_test(test_changes_are_told),
        cmocka_unit_test(test_many_events_each_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
