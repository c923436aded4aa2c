/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"
#include "run/wait.h"

static const char *const ORDER =
    "name: Order\ntrigger: {event: o.Placed}\nactions:\n"
    "  - wait_for: {event: o.Paid, match: {id: [\"{{ event.id }}\"]}, timeout: 1h}\n    id: w\n"
    "  - {operator: x.ok, params: {late: \"{{ steps.w.timed_out }}\"}}\n";

static void index_is(const char *match, const char *path)
{
    struct peri_value *v = kit_json(match);
    char *got = NULL;
    int64_t key = 0;
    assert_true(peri_wait_index(v, &got, &key));
    if (path)
        assert_string_equal(got, path);
    else
        assert_null(got);
    assert_int_equal(key != 0, path != NULL);
    free(got);
    peri_value_unref(v);
}

static void test_the_field_that_can_have_one_value_is_found(void **state)
{
    index_is("{\"id\":[\"a\"]}", "[\"id\"]");
    index_is("{\"x\":[\"a\",\"b\"],\"order\":{\"id\":[17]}}", "[\"order\",\"id\"]");
    index_is("{\"x\":[{\"prefix\":\"a\"}]}", NULL);
    index_is("{\"x\":[true]}", NULL);
    index_is("{\"$or\":[{\"a\":[1]},{\"b\":[2]}]}", NULL);
    index_is("{\"a\":{\"b\":{}},\"c\":[\"z\"]}", "[\"c\"]");
}

static int64_t key_at(const char *match)
{
    struct peri_value *v = kit_json(match);
    char *path = NULL;
    int64_t key = 0;
    assert_true(peri_wait_index(v, &path, &key));
    free(path);
    peri_value_unref(v);
    return key;
}

static void test_equal_values_have_equal_keys_wherever_they_stand(void **state)
{
    struct peri_value *path = kit_json("[\"o\",\"id\"]"),
                      *payload = kit_json("{\"o\":[{\"id\":1.0},{\"id\":[\"x\",\"y\"]},{\"n\":3},5]}");
    int64_t keys[8];
    assert_int_equal(peri_wait_keys(payload, path, keys, 8), 3);
    assert_int_equal(keys[0], key_at("{\"id\":[1]}"));
    assert_int_equal(keys[1], key_at("{\"id\":[\"x\"]}"));
    assert_int_equal(keys[2], key_at("{\"id\":[\"y\"]}"));
    assert_int_not_equal(key_at("{\"id\":[\"1\"]}"), key_at("{\"id\":[1]}"));
    assert_true(peri_wait_keys(payload, path, keys, 1) > 1);
    peri_value_unref(path);
    peri_value_unref(payload);
}

static void test_an_event_ends_the_waits_that_it_concerns(void **state)
{
    struct bed bed;
    kit_open(&bed, ORDER);
    (void)kit_send(&bed, "o.Placed", "{\"id\":\"a\"}");
    (void)kit_send(&bed, "o.Placed", "{\"id\":\"b\"}");
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "waiting"), 2);
    assert_int_equal(bed.pipe->live_memory, 0);
    (void)kit_send(&bed, "o.Paid", "{\"id\":\"c\"}");
    (void)kit_send(&bed, "o.Paid", "{\"id\":[\"x\",\"b\"]}");
    KIT_UNTIL(&bed, kit_quiet(&bed) && kit_run_count(&bed, "succeeded") == 1);
    assert_true(kit_run_is(&bed, 2, "succeeded"));
    (void)kit_send(&bed, "o.Paid", "{\"id\":\"b\"}"); /* nobody waits for it any more */
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "waiting"), 1);
    kit_advance(&bed, 3600000);
    KIT_UNTIL(&bed, kit_quiet(&bed) && kit_run_count(&bed, "succeeded") == 2);
    assert_string_equal(kit_call(&bed, "x.ok", 0)->params, "{\"late\":false}");
    assert_string_equal(kit_call(&bed, "x.ok", 1)->params, "{\"late\":true}");
    kit_close(&bed);
}

/* The trigger and what the first step waits for come at the same moment. */
static void test_what_comes_right_behind_the_trigger_is_heard(void **state)
{
    struct bed bed;
    kit_open(&bed, ORDER);
    struct peri_batch *batch = peri_batch_create();
    struct peri_error err;
    assert_int_equal(peri_batch_event(batch, kit_event("o.Paid", "{\"id\":\"a\"}", NULL)), PERI_OK); /* too early */
    assert_int_equal(peri_batch_event(batch, kit_event("o.Placed", "{\"id\":\"a\"}", NULL)), PERI_OK);
    assert_int_equal(peri_batch_event(batch, kit_event("o.Placed", "{\"id\":\"b\"}", NULL)), PERI_OK);
    assert_int_equal(peri_batch_event(batch, kit_event("o.Paid", "{\"id\":\"b\"}", NULL)), PERI_OK);
    assert_int_equal(peri_pipeline_submit(bed.pipe, batch, NULL, NULL, &err), PERI_OK);
    KIT_UNTIL(&bed, kit_quiet(&bed) && kit_run_count(&bed, "succeeded") == 1);
    assert_true(kit_run_is(&bed, 1, "waiting"));
    assert_true(kit_run_is(&bed, 2, "succeeded"));
    kit_close(&bed);
}

static void test_waits_and_what_they_have_heard_survive(void **state)
{
    struct bed bed;
    kit_open(&bed, ORDER);
    (void)kit_send(&bed, "o.Placed", "{\"id\":\"a\"}");
    (void)kit_send(&bed, "o.Placed", "{\"id\":\"b\"}");
    (void)kit_send(&bed, "o.Placed", "{\"id\":\"c\"}");
    KIT_QUIET(&bed);
    bed.pipe->draining = true; /* what is heard now is taken in after the start */
    (void)kit_send(&bed, "o.Paid", "{\"id\":\"a\"}");
    kit_restart(&bed, ORDER);
    KIT_UNTIL(&bed, kit_quiet(&bed) && kit_run_count(&bed, "succeeded") == 1);
    assert_true(kit_run_is(&bed, 1, "succeeded"));
    (void)kit_send(&bed, "o.Paid", "{\"id\":\"b\"}");
    KIT_UNTIL(&bed, kit_quiet(&bed) && kit_run_count(&bed, "succeeded") == 2);
    kit_advance(&bed, 3600000);
    KIT_UNTIL(&bed, kit_quiet(&bed) && kit_run_count(&bed, "succeeded") == 3);
    kit_close(&bed);
}

static void test_a_run_does_not_answer_itself(void **state)
{
    struct bed bed;
    kit_open(&bed,
        "name: Echo\ntrigger: {event: e.Go}\nactions:\n  - emit: {event: e.Ping}\n"
        "  - wait_for: {event: e.*, timeout: 1m}\n    id: w\n  - {operator: x.ok, params: {w: \"{{ steps.w }}\"}}\n");
    (void)kit_send(&bed, "e.Go", "{}");
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, "waiting"), 1);
    (void)kit_send(&bed, "e.Pong", "{}");
    KIT_UNTIL(&bed, kit_quiet(&bed) && kit_calls(&bed, "x.ok") == 1);
    assert_non_null(strstr(kit_call(&bed, "x.ok", 0)->params, "\"type\":\"e.Pong\""));
    kit_close(&bed);
}

static enum peri_status count_hit(void *arg, uint64_t run, int n, uint64_t seq)
{
    ++*(int *)arg;
    return PERI_OK;
}

static void test_a_cancelled_run_waits_for_nothing(void **state)
{
    struct bed bed;
    struct peri_error err;
    int hits = 0;
    kit_open(&bed, ORDER);
    (void)kit_send(&bed, "o.Placed", "{\"id\":\"a\"}");
    KIT_QUIET(&bed);
    assert_int_equal(peri_pipeline_cancel(bed.pipe, 1, NULL, NULL, &err), PERI_OK);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "cancelled"));
    (void)kit_send(&bed, "o.Paid", "{\"id\":\"a\"}");
    KIT_QUIET(&bed);
    assert_int_equal(peri_reader_waits_hit(bed.reader, 0, count_hit, &hits, &err), PERI_OK);
    assert_int_equal(hits, 0);
    assert_true(kit_run_is(&bed, 1, "cancelled"));
    kit_close(&bed);
}

/* --- random interleavings --- */

#define RANDOM_RULE                                                                                                    \
    "name: R\ntrigger: {event: o.Placed}\nactions:\n"                                                                  \
    "  - {operator: x.repeat, params: {n: \"{{ event.n }}\"}}\n"                                                       \
    "  - {id: w, wait_for: {event: o.Paid, match: {n: [\"{{ event.n }}\"]}, timeout: 1h}}\n"
#define ORDERS 40

struct storm {
    struct bed bed;
    unsigned random;
    int placed;
    bool begun[ORDERS], paid[ORDERS];
};

static unsigned roll(struct storm *s, unsigned sides)
{
    s->random = s->random * 1103515245u + 12345u;
    return (s->random >> 16) % sides;
}

static int order_of(const struct kit_call *call)
{
    struct peri_value *params = kit_json(call->params);
    int n = (int)peri_map_int(params, "n", -1);
    peri_value_unref(params);
    return n;
}

/* Orders whose call has been seen: from now on their payment must be heard, whenever it comes. */
static void look(struct storm *s)
{
    for (size_t i = 0; i < s->bed.call_count; i++)
        if (strcmp(s->bed.calls[i]->operator_id, "x.repeat") == 0)
            s->begun[order_of(s->bed.calls[i])] = true;
}

static void pay(struct storm *s, int n)
{
    char json[32], id[16];
    snprintf(json, sizeof(json), "{\"n\":%d}", n);
    snprintf(id, sizeof(id), "p%d", n);
    (void)kit_send_id(&s->bed, "o.Paid", json, id, NULL);
    s->paid[n] = true;
}

static void pay_one(struct storm *s)
{
    int from = (int)roll(s, ORDERS);
    look(s);
    for (int i = 0; i < ORDERS; i++) {
        int n = (from + i) % ORDERS;
        if (s->begun[n] && !s->paid[n]) {
            pay(s, n);
            return;
        }
    }
}

static void answer_one(struct storm *s)
{
    size_t open = 0;
    for (size_t i = 0; i < s->bed.call_count; i++)
        open += !s->bed.calls[i]->answered;
    if (open > 0)
        kit_reply_nth(&s->bed, "x.repeat", roll(s, (unsigned)open), true);
}

static void place(struct storm *s)
{
    char json[32];
    if (s->placed == ORDERS)
        return;
    snprintf(json, sizeof(json), "{\"n\":%d}", s->placed++);
    (void)kit_send(&s->bed, "o.Placed", json);
}

static void test_no_event_is_missed_between_a_call_and_its_wait(void **state)
{
    for (unsigned seed = 1; seed <= 6; seed++) {
        struct storm s = {.random = seed};
        int restarts = 0;
        kit_open(&s.bed, RANDOM_RULE);
        for (int step = 0; step < 400; step++) {
            look(&s);
            switch (roll(&s, 10)) {
            case 0:
            case 1:
                place(&s);
                break;
            case 2:
            case 3:
                pay_one(&s);
                break;
            case 4:
            case 5:
                answer_one(&s);
                break;
            case 6:
                if (restarts < PERI_RUN_INTERRUPTIONS_MAX - 1 && roll(&s, 8) == 0 && ++restarts)
                    kit_restart(&s.bed, RANDOM_RULE);
                break;
            default:
                peri_loop_once(s.bed.loop, 0);
                break;
            }
        }
        while (s.placed < ORDERS)
            place(&s);
        for (int n = 0; n < ORDERS; n++) {
            KIT_UNTIL(&s.bed, (look(&s), s.begun[n]));
            if (!s.paid[n])
                pay(&s, n);
        }
        for (int i = 0; i < 4 * ORDERS; i++) {
            answer_one(&s);
            peri_loop_once(s.bed.loop, 0);
        }
        while (kit_run_count(&s.bed, "running") > 0) {
            answer_one(&s);
            peri_loop_once(s.bed.loop, 0);
        }
        KIT_UNTIL(&s.bed, kit_run_count(&s.bed, "succeeded") == ORDERS);
        for (uint64_t run = 1; run <= ORDERS; run++) {
            struct peri_value *shown = kit_run(&s.bed, run);
            const struct peri_value *steps = peri_map_at(shown, "steps");
            const struct peri_value *wait = peri_list_at(steps, peri_value_count(steps) - 1);
            assert_false(peri_map_bool(peri_map_at(wait, "result"), "timed_out", true));
            peri_value_unref(shown);
        }
        kit_close(&s.bed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_field_that_can_have_one_value_is_found),
        cmocka_unit_test(test_equal_values_have_equal_keys_wherever_they_stand),
        cmocka_unit_test(test_an_event_ends_the_waits_that_it_concerns),
        cmocka_unit_test(test_what_comes_right_behind_the_trigger_is_heard),
        cmocka_unit_test(test_waits_and_what_they_have_heard_survive),
        cmocka_unit_test(test_a_run_does_not_answer_itself),
        cmocka_unit_test(test_a_cancelled_run_waits_for_nothing),
        cmocka_unit_test(test_no_event_is_missed_between_a_call_and_its_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
