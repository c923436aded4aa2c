/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

/* throttle: how often a rule fires, for each key. */

#define MINUTE 60000

static char word[32], reason[256];

static const char *verdict(struct bed *bed, uint64_t seq)
{
    struct peri_value *list = kit_verdicts(bed, seq);
    const struct peri_value *v = peri_list_at(list, 0);
    snprintf(word, sizeof(word), "%s", peri_map_text(v, "verdict"));
    snprintf(reason, sizeof(reason), "%s", peri_map_text(v, "reason") ? peri_map_text(v, "reason") : "");
    peri_value_unref(list);
    return word;
}

static uint64_t send(struct bed *bed, const char *key, int n)
{
    char json[64];
    snprintf(json, sizeof(json), "{\"k\":\"%s\",\"n\":%d}", key, n);
    uint64_t seq = kit_send(bed, "a.B", json);
    KIT_QUIET(bed);
    return seq;
}

#define WITHIN                                                                                                         \
    "name: R\ntrigger: {event: a.B}\nkey: \"{{ event.k }}\"\nthrottle: {once_within: 1h}\nactions: [{operator: x.ok}]\n"

static void test_once_within_counts_from_the_last_firing(void **state)
{
    struct bed bed;
    kit_open(&bed, WITHIN);
    assert_string_equal(verdict(&bed, send(&bed, "ann", 1)), "fired");
    kit_advance(&bed, 10 * MINUTE);
    assert_string_equal(verdict(&bed, send(&bed, "ann", 2)), "throttled");
    assert_string_equal(reason, "throttled until 2025-06-15T16:06:40.000Z");
    assert_string_equal(verdict(&bed, send(&bed, "bob", 3)), "fired");
    kit_restart(&bed, WITHIN);
    kit_advance(&bed, 50 * MINUTE - 1);
    assert_string_equal(verdict(&bed, send(&bed, "ann", 4)), "throttled");
    kit_advance(&bed, 1); /* those that were refused do not lengthen it */
    assert_string_equal(verdict(&bed, send(&bed, "ann", 5)), "fired");
    assert_int_equal(kit_run_count(&bed, "succeeded"), 3);
    kit_close(&bed);
}

static void test_once_within_of_one_batch(void **state)
{
    struct bed bed;
    struct kit_sent sent = {.batch = peri_batch_create()};
    struct peri_error err = {0};
    kit_open(&bed, WITHIN);
    for (int i = 0; i < 10; i++)
        assert_int_equal(peri_batch_event(sent.batch, kit_event("a.B", "{\"k\":1}", NULL)), PERI_OK);
    assert_int_equal(peri_pipeline_submit(bed.pipe, sent.batch, kit_sent_done, &sent, &err), PERI_OK);
    KIT_UNTIL(&bed, sent.done);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, NULL), 1);
    assert_string_equal(verdict(&bed, 1), "fired");
    assert_string_equal(verdict(&bed, 10), "throttled");
    kit_close(&bed);
}

static void test_what_a_mode_refuses_has_not_fired(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: R\ntrigger: {event: a.B}\nmode: single\nthrottle: {once_within: 1h}\nactions: [{delay: 2h}]\n");
    assert_string_equal(verdict(&bed, send(&bed, "", 1)), "fired");
    kit_advance(&bed, 90 * MINUTE);
    assert_string_equal(verdict(&bed, send(&bed, "", 2)), "dropped");
    kit_advance(&bed, 31 * MINUTE);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    assert_string_equal(verdict(&bed, send(&bed, "", 3)), "fired");
    kit_close(&bed);
}

#define AFTER                                                                                                          \
    "name: R\ntrigger: {id: go, event: a.B, match: {n: [{numeric: [\">\", 0]}]}}\nkey: \"{{ event.k }}\"\n"            \
    "conditions: [{operator: c.yes}]\nthrottle: {once_after: 30s}\n"                                                   \
    "actions: [{operator: x.ok, params: {n: \"{{ event.n }}\", t: \"{{ trigger.id }}\", k: \"{{ trigger.key }}\"}}]\n"

static void test_once_after_waits_for_quiet(void **state)
{
    struct bed bed;
    kit_open(&bed, AFTER);
    assert_string_equal(verdict(&bed, send(&bed, "ann", 1)), "held");
    assert_string_equal(reason, "fires at 2025-06-15T15:07:10.000Z, unless more comes until then");
    kit_advance(&bed, 20000);
    (void)send(&bed, "ann", 2);
    (void)send(&bed, "bob", 3);
    kit_advance(&bed, 29999);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, NULL), 0);
    kit_advance(&bed, 1);
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 2);
    KIT_QUIET(&bed);
    assert_string_equal(kit_call(&bed, "x.ok", 0)->params, "{\"n\":2,\"t\":\"go\",\"k\":\"ann\"}");
    assert_string_equal(kit_call(&bed, "x.ok", 1)->params, "{\"n\":3,\"t\":\"go\",\"k\":\"bob\"}");
    assert_int_equal(kit_calls(&bed, "c.yes"), 3); /* what has passed its conditions is not asked again */
    kit_advance(&bed, 3600000);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, NULL), 2);
    kit_close(&bed);
}

static void test_once_after_survives_restarts_and_a_clock_set_back(void **state)
{
    struct bed bed;
    kit_open(&bed, AFTER);
    (void)send(&bed, "ann", 1);
    kit_stop(&bed);
    bed.fake.wall_ms -= 48 * 3600000LL;
    kit_start(&bed, AFTER);
    kit_advance(&bed, 30000);
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 1);
    KIT_QUIET(&bed);
    (void)send(&bed, "ann", 2);
    kit_stop(&bed);
    peri_clock_fake_advance(&bed.fake, 3600000); /* it fell due while nobody was there */
    kit_start(&bed, AFTER);
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 2);
    KIT_QUIET(&bed);
    kit_restart(&bed, AFTER);
    kit_advance(&bed, 3600000);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, NULL), 2);
    kit_close(&bed);
}

static void test_once_after_of_a_rule_that_is_gone_is_forgotten(void **state)
{
    struct bed bed;
    kit_open(&bed, AFTER);
    (void)send(&bed, "ann", 1);
    kit_rules(&bed, NULL);
    kit_advance(&bed, 30000);
    KIT_UNTIL(&bed, bed.pipe->watch_next == INT64_MAX && !bed.pipe->watch_busy);
    kit_rules(&bed, AFTER);
    kit_advance(&bed, 30000);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, NULL), 0);
    kit_close(&bed);
}

/* Wall clock and monotonic clock do not tick at the same instant: the wait goes by the monotonic one. */
static void test_a_wall_clock_that_is_a_little_behind(void **state)
{
    struct bed bed;
    kit_open(&bed, AFTER);
    (void)send(&bed, "ann", 1);
    bed.fake.wall_ms -= 1;
    kit_advance(&bed, 29999);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, NULL), 0);
    kit_advance(&bed, 1);
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 1);
    KIT_QUIET(&bed);
    kit_close(&bed);
}

/* --- against a model: one firing time for each key, and one pending wait --- */

static void test_random_streams_against_the_model(void **state)
{
    const char *const rules[] = {WITHIN, AFTER,
        ("name: R\ntrigger: {event: a.B}\nkey: \"{{ event.k }}\"\nthrottle: {once_within: 1m, once_after: 20s}\n"
         "actions: [{operator: x.ok, params: {n: \"{{ event.n }}\"}}]\n")};
    const int64_t within[] = {3600000, 0, 60000}, after[] = {0, 30000, 20000};
    unsigned random = 7;
    for (int r = 0; r < 3; r++) {
        struct bed bed;
        int64_t now = 0, last[2] = {-100000000, -100000000}, due[2] = {-1, -1};
        size_t fired = 0;
        kit_open(&bed, rules[r]);
        for (int step = 0; step < 40; step++) {
            random = random * 1103515245u + 12345u;
            unsigned roll = random >> 16;
            int64_t pause = (int64_t)(roll % 7) * (within[r] > 100000 ? 400000 : 6000);
            if (roll % 11 == 0)
                kit_restart(&bed, rules[r]);
            if (roll % 13 == 0 && after[r] == 0)
                pause += 1;
            for (int64_t left = pause; left > 0;) { /* what falls due on the way fires at its own time */
                int64_t jump = left;
                for (int k = 0; k < 2; k++)
                    if (due[k] >= 0 && due[k] - now < jump)
                        jump = due[k] - now;
                now += jump;
                left -= jump;
                kit_advance(&bed, jump);
                for (int k = 0; k < 2; k++) {
                    if (due[k] != now)
                        continue;
                    due[k] = -1;
                    if (within[r] == 0 || now - last[k] >= within[r]) {
                        last[k] = now;
                        fired++;
                    }
                }
                KIT_UNTIL(&bed, !bed.pipe->watch_busy && bed.pipe->watch_next > pipe_steady(bed.pipe));
                KIT_QUIET(&bed);
            }
            int k = (int)(roll / 17 % 2);
            (void)send(&bed, k ? "ann" : "bob", step + 1);
            if (after[r] > 0) {
                due[k] = now + after[r];
            } else if (now - last[k] >= within[r]) {
                last[k] = now;
                fired++;
            }
            assert_int_equal(kit_run_count(&bed, NULL), fired);
        }
        assert_true(fired > 2);
        kit_close(&bed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_within_counts_from_the_last_firing),
        cmocka_unit_test(test_once_within_of_one_batch),
        cmocka_unit_test(test_what_a_mode_refuses_has_not_fired),
        cmocka_unit_test(test_once_after_waits_for_quiet),
        cmocka_unit_test(test_once_after_survives_restarts_and_a_clock_set_back),
        cmocka_unit_test(test_once_after_of_a_rule_that_is_gone_is_forgotten),
        cmocka_unit_test(test_a_wall_clock_that_is_a_little_behind),
        cmocka_unit_test(test_random_streams_against_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
