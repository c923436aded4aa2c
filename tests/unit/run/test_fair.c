/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

/* One rule, or one key of a rule, has thousands of runs that wait for room. Another one comes along. */

#define HOT 3000 /* more than there is room for in memory */

static void send_many(struct bed *bed, size_t count, const char *type, const char *json)
{
    for (size_t sent = 0; sent < count;) {
        struct kit_sent s = {.batch = peri_batch_create()};
        struct peri_error err = {0};
        for (int i = 0; i < 500 && sent < count; i++, sent++)
            assert_int_equal(peri_batch_event(s.batch, kit_event(type, json, NULL)), PERI_OK);
        if (peri_pipeline_submit(bed->pipe, s.batch, kit_sent_done, &s, &err) != PERI_OK)
            fail_msg("%s", err.message);
        KIT_UNTIL(bed, s.done);
        assert_int_equal(s.st, PERI_OK);
    }
}

static size_t calls_of(const struct bed *bed, const char *what)
{
    size_t n = 0;
    for (size_t i = 0; i < bed->call_count; i++)
        n += strstr(bed->calls[i]->params, what) != NULL;
    return n;
}

/* How many calls end before the first one of `what` leaves. */
static size_t answers_until(struct bed *bed, const char *what, size_t most)
{
    size_t answers = 0;
    for (size_t begun = bed->call_count; calls_of(bed, what) == 0 && answers < most; begun++) {
        kit_reply(bed, "x.slow", true);
        answers++;
        KIT_UNTIL(bed, bed->call_count == begun + 1);
    }
    return answers;
}

#define TWO                                                                                                            \
    "rules:\n"                                                                                                         \
    "  - {name: hot, trigger: {event: a.Hot}, actions: [{operator: x.slow, params: {r: hot}}]}\n"                      \
    "  - {name: cold, trigger: {event: a.Cold}, actions: [{operator: x.slow, params: {r: cold}}]}\n"

static void test_a_hot_rule_does_not_starve_another(void **state)
{
    struct bed bed;
    kit_open(&bed, TWO);
    send_many(&bed, HOT, "a.Hot", "{}");
    KIT_UNTIL(&bed, bed.call_count == 256 && kit_status(&bed, "unmatched") == 0);
    assert_true(kit_status(&bed, "in_memory") < 1000);
    assert_int_equal(kit_status(&bed, "live_runs"), HOT);
    (void)kit_send(&bed, "a.Cold", "{}");
    KIT_UNTIL(&bed, kit_status(&bed, "unmatched") == 0);
    assert_in_range(answers_until(&bed, "cold", 50), 1, 3);
    kit_close(&bed);
}

static void test_all_of_them_have_their_turn(void **state)
{
    struct bed bed;
    size_t cold = 0;
    kit_open(&bed, TWO);
    send_many(&bed, 1200, "a.Hot", "{}");
    KIT_UNTIL(&bed, bed.call_count == 256 && kit_status(&bed, "unmatched") == 0);
    send_many(&bed, 20, "a.Cold", "{}");
    KIT_UNTIL(&bed, kit_status(&bed, "unmatched") == 0);
    for (size_t i = 0; i < 1220; i++) {
        KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == (i + 256 < 1220 ? i + 256 : 1220));
        kit_reply(&bed, "x.slow", true);
        if (i == 45)
            cold = calls_of(&bed, "cold");
    }
    KIT_QUIET(&bed);
    assert_int_equal(cold, 20); /* one of the two after the other */
    assert_int_equal(kit_calls(&bed, "x.slow"), 1220);
    assert_int_equal(kit_status(&bed, "live_runs"), 0);
    kit_close(&bed);
}

#define KEYS                                                                                                           \
    "name: keys\ntrigger: {event: a.Hot}\nkey: \"{{ event.k }}\"\nmode: parallel\nmax: 1000\n"                         \
    "actions: [{operator: x.slow, params: {r: \"{{ event.k }}\"}}]\n"

static void test_a_hot_key_does_not_starve_another(void **state)
{
    struct bed bed;
    kit_open(&bed, KEYS);
    send_many(&bed, 600, "a.Hot", "{\"k\":\"hot\"}");
    KIT_UNTIL(&bed, bed.call_count == 256 && kit_status(&bed, "unmatched") == 0);
    (void)kit_send(&bed, "a.Hot", "{\"k\":\"cold\"}");
    KIT_UNTIL(&bed, kit_status(&bed, "unmatched") == 0);
    assert_in_range(answers_until(&bed, "cold", 50), 1, 3);
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hot_rule_does_not_starve_another),
        cmocka_unit_test(test_all_of_them_have_their_turn),
        cmocka_unit_test(test_a_hot_key_does_not_starve_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
