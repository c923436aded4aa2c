/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"
#include "run/slots.h"

/* A destination that answers slowly has 8 calls under way and no more, whoever wants to call it; others have their
 * places. */

#define RULES                                                                                                          \
    "rules:\n"                                                                                                         \
    "  - {name: hot, trigger: {event: a.Hot}, actions: [{operator: x.slow, params: {r: hot, d: \"{{ event.d "          \
    "}}\"}}]}\n"                                                                                                       \
    "  - {name: cold, trigger: {event: a.Cold}, actions: [{operator: x.slow, params: {r: cold, d: \"{{ event.d "       \
    "}}\"}}]}"                                                                                                         \
    "\n"                                                                                                               \
    "  - {name: quick, trigger: {event: a.Quick}, actions: [{operator: x.ok, params: {r: quick, d: \"{{ event.d "      \
    "}}\"}}]}"                                                                                                         \
    "\n"

static void destination(void *ctx, const char *operator_id, const struct peri_value *params, char *out, size_t size)
{
    snprintf(out, size, "%s", peri_map_text(params, "d"));
}

static struct peri_run_ops ops = {.lookup = kit_lookup, .call = kit_op, .destination = destination};

static void open_bed(struct bed *bed)
{
    memset(bed, 0, sizeof(*bed));
    ops.ctx = bed;
    bed->ops = &ops;
    kit_open_at(bed, RULES, 1750000000000);
}

static void send(struct bed *bed, size_t count, const char *type, const char *json)
{
    for (size_t i = 0; i < count; i++)
        (void)kit_send(bed, type, json);
    KIT_UNTIL(bed, kit_status(bed, "unmatched") == 0);
    for (int i = 0; i < 20; i++)
        peri_loop_once(bed->loop, 0);
}

static size_t calls_of(const struct bed *bed, const char *what)
{
    size_t n = 0;
    for (size_t i = 0; i < bed->call_count; i++)
        n += strstr(bed->calls[i]->params, what) != NULL;
    return n;
}

static void reply_to(struct bed *bed, const char *what)
{
    size_t nth = 0;
    for (size_t i = 0; i < bed->call_count; i++) {
        if (bed->calls[i]->answered || strcmp(bed->calls[i]->operator_id, "x.slow") != 0)
            continue;
        if (strstr(bed->calls[i]->params, what)) {
            kit_reply_nth(bed, "x.slow", nth, true);
            return;
        }
        nth++;
    }
    fail_msg("no open call to %s", what);
}

static void test_a_slow_destination_does_not_take_the_places_of_others(void **state)
{
    struct bed bed;
    open_bed(&bed);
    send(&bed, 150, "a.Hot", "{\"d\":\"slow\"}");
    KIT_UNTIL(&bed, calls_of(&bed, "\"slow\"") == SLOT_CALLS);
    assert_int_equal(slots_waiting(bed.pipe->slots), 150 - SLOT_CALLS);
    assert_true(kit_status(&bed, "in_memory") < 100); /* the rest are rows */
    send(&bed, SLOT_CALLS, "a.Hot", "{\"d\":\"other\"}");
    KIT_UNTIL(&bed, calls_of(&bed, "other") == SLOT_CALLS);
    send(&bed, 20, "a.Quick", "{\"d\":\"\"}"); /* nowhere outside */
    KIT_UNTIL(&bed, calls_of(&bed, "quick") == 20);
    assert_int_equal(calls_of(&bed, "\"slow\""), SLOT_CALLS);
    for (size_t i = 0; i < 150; i++) {
        KIT_UNTIL(&bed, calls_of(&bed, "\"slow\"") == (i + SLOT_CALLS < 150 ? i + SLOT_CALLS : 150));
        kit_advance(&bed, 500);
        reply_to(&bed, "\"slow\"");
    }
    for (size_t i = 0; i < SLOT_CALLS; i++)
        reply_to(&bed, "other");
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "succeeded"), 150 + SLOT_CALLS + 20);
    assert_int_equal(slots_waiting(bed.pipe->slots), 0);
    kit_close(&bed);
}

static void test_rules_take_turns_at_a_destination(void **state)
{
    struct bed bed;
    size_t answers = 0;
    open_bed(&bed);
    send(&bed, 60, "a.Hot", "{\"d\":\"slow\"}");
    KIT_UNTIL(&bed, calls_of(&bed, "\"slow\"") == SLOT_CALLS);
    send(&bed, 3, "a.Cold", "{\"d\":\"slow\"}");
    for (; calls_of(&bed, "cold") < 3; answers++) {
        size_t begun = bed.call_count;
        kit_advance(&bed, 500);
        kit_reply(&bed, "x.slow", true);
        KIT_UNTIL(&bed, bed.call_count == begun + 1);
    }
    assert_in_range(answers, 3, 7);
    kit_close(&bed);
}

static void test_one_that_answers_fast_may_have_more_until_it_does_not(void **state)
{
    struct bed bed;
    open_bed(&bed);
    send(&bed, 20, "a.Quick", "{\"d\":\"fast\"}");
    KIT_QUIET(&bed);
    send(&bed, 100, "a.Hot", "{\"d\":\"fast\"}");
    KIT_UNTIL(&bed, calls_of(&bed, "hot") == 100);
    kit_advance(&bed, SLOT_LATE_MS + 1);
    send(&bed, 10, "a.Cold", "{\"d\":\"fast\"}");
    assert_int_equal(calls_of(&bed, "cold"), 0);
    assert_int_equal(slots_waiting(bed.pipe->slots), 10);
    for (size_t i = 0; i < 100; i++)
        kit_reply(&bed, "x.slow", true);
    KIT_UNTIL(&bed, calls_of(&bed, "cold") == SLOT_CALLS);
    kit_close(&bed);
}

/* One is never more than half of all, however fast it was: what hangs now leaves places to the next. */
static void test_several_that_hang_leave_room(void **state)
{
    struct bed bed;
    char json[32];
    open_bed(&bed);
    for (int i = 0; i < 4; i++) {
        snprintf(json, sizeof(json), "{\"d\":\"host-%d\"}", i);
        send(&bed, 20, "a.Quick", json);
        KIT_QUIET(&bed);
    }
    for (int i = 0; i < 4; i++) {
        snprintf(json, sizeof(json), "{\"d\":\"host-%d\"}", i);
        send(&bed, 150, "a.Hot", json);
    }
    assert_in_range(calls_of(&bed, "host-0\"") - 20, 100, 128);
    assert_in_range(kit_status(&bed, "in_flight"), 200, 250);
    send(&bed, 5, "a.Cold", "{\"d\":\"new\"}");
    KIT_UNTIL(&bed, calls_of(&bed, "cold") == 5);
    kit_close(&bed);
}

static void cancelled(void *arg, enum peri_status st, const struct peri_value *value, const struct peri_error *err)
{
    assert_int_equal(st, PERI_OK);
    *(bool *)arg = true;
}

static void test_one_that_waits_can_be_cancelled(void **state)
{
    struct bed bed;
    open_bed(&bed);
    send(&bed, 12, "a.Hot", "{\"d\":\"slow\"}");
    KIT_UNTIL(&bed, calls_of(&bed, "\"slow\"") == SLOT_CALLS && slots_waiting(bed.pipe->slots) == 4);
    struct peri_value *ready = kit_runs(&bed, NULL);
    for (size_t i = 0; i < peri_value_count(ready); i++) {
        uint64_t id;
        bool done = false;
        const struct peri_value *run = peri_list_at(ready, i);
        if (!peri_streq(peri_map_text(run, "state"), "ready"))
            continue;
        assert_true(peri_run_id_parse(peri_map_text(run, "id"), &id));
        assert_int_equal(peri_pipeline_cancel(bed.pipe, id, cancelled, &done, NULL), PERI_OK);
        KIT_UNTIL(&bed, done);
    }
    peri_value_unref(ready);
    assert_int_equal(slots_waiting(bed.pipe->slots), 0);
    for (size_t i = 0; i < SLOT_CALLS; i++)
        kit_reply(&bed, "x.slow", true);
    KIT_QUIET(&bed);
    assert_int_equal(bed.call_count, SLOT_CALLS);
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_slow_destination_does_not_take_the_places_of_others),
        cmocka_unit_test(test_rules_take_turns_at_a_destination),
        cmocka_unit_test(test_one_that_answers_fast_may_have_more_until_it_does_not),
        cmocka_unit_test(test_several_that_hang_leave_room),
        cmocka_unit_test(test_one_that_waits_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
