/* SPDX-License-Identifier: Apache-2.0 */
#include "run/run_bed.h"

/* --- the whole table --- */

enum spot {
    AT_STEP,
    AT_GUARD,
    AT_CHOICE,
    AT_HELD,
    AT_CALL,
    AT_BACKOFF,
    AT_DELAY,
    AT_UNKNOWN,
    AT_JOIN, /* of the main line */
    AT_WAIT,
    AT_APPROVE,
    AT_PAUSED,
    AT_PAUSING, /* a call is under way */
    AT_SUCCEEDED,
    AT_FAILED,
    AT_CANCELLED,
    SPOTS
};

static void bring_to(struct bed *bed, enum spot spot)
{
    static const char *const steps[SPOTS] = {"[{operator: x.a}]", "[{operator: x.a, if: {operator: c.ok}}]",
        "[{choose: [{if: {operator: c.ok}, do: [{operator: x.a}]}]}]", "[{operator: x.a}]", "[{operator: x.a}]",
        "[{operator: x.a}]", "[{delay: 1h}, {operator: x.a}]", "[{operator: x.a}]", "[{parallel: [{operator: x.a}]}]",
        "[{wait_for: {event: a.C, timeout: 1h}}, {operator: x.a}]",
        "[{approve: {prompt: p, timeout: 1h, default: true}}, {operator: x.a}]", "[{delay: 1h}, {operator: x.a}]",
        "[{operator: x.a}]", "[{stop: true}]", "[{operator: x.a}]", "[{operator: x.a}]"};
    char yaml[256];
    snprintf(yaml, sizeof(yaml), "actions: %s", steps[spot]);
    open_bed(bed, yaml, "{}");
    if (spot == AT_HELD)
        (void)input(bed, (struct peri_run_input){.kind = PERI_INPUT_GO, .hold = true});
    else if (spot != AT_STEP)
        (void)go(bed);
    if (spot == AT_BACKOFF)
        (void)failed(bed, "net", true, false, PERI_DELIVERY_ONCE);
    if (spot == AT_PAUSED || spot == AT_PAUSING)
        (void)input(bed, (struct peri_run_input){.kind = PERI_INPUT_PAUSE});
    if (spot == AT_UNKNOWN)
        (void)failed(bed, "timeout", true, true, PERI_DELIVERY_ONCE);
    if (spot == AT_FAILED)
        (void)failed(bed, "nope", false, false, PERI_DELIVERY_ONCE);
    if (spot == AT_CANCELLED)
        (void)input(bed, (struct peri_run_input){.kind = PERI_INPUT_CANCEL});
}

static void test_every_pair_of_state_and_input(void **state)
{
    enum {
        IGN = PERI_NEXT_IGNORED,
        CALL = PERI_NEXT_CALL,
        EVAL = PERI_NEXT_EVALUATE,
        SLEEP = PERI_NEXT_SLEEP,
        PERSON = PERI_NEXT_PERSON,
        NOTHING = PERI_NEXT_NOTHING,
        END = PERI_NEXT_END
    };
    /*  GO    OK    FAIL   COND  TIMER CANCEL RESTART RESOLVED(done) EVENT ANSWER PAUSE RESUME */
    static const int want[SPOTS][PERI_INPUT_COUNT] = {
        [AT_STEP] = {CALL, IGN, IGN, IGN, IGN, END, CALL, IGN, IGN, IGN, NOTHING, IGN},
        [AT_GUARD] = {EVAL, IGN, IGN, CALL, IGN, END, EVAL, IGN, IGN, IGN, NOTHING, IGN},
        [AT_CHOICE] = {EVAL, IGN, IGN, CALL, IGN, END, EVAL, IGN, IGN, IGN, NOTHING, IGN},
        [AT_HELD] = {CALL, IGN, IGN, IGN, IGN, END, CALL, IGN, IGN, IGN, NOTHING, IGN},
        [AT_CALL] = {IGN, END, END, IGN, IGN, END, PERSON, IGN, IGN, IGN, NOTHING, IGN},
        [AT_BACKOFF] = {IGN, IGN, IGN, IGN, CALL, END, SLEEP, IGN, IGN, IGN, NOTHING, IGN},
        [AT_DELAY] = {IGN, IGN, IGN, IGN, CALL, END, SLEEP, IGN, IGN, IGN, NOTHING, IGN},
        [AT_UNKNOWN] = {IGN, IGN, IGN, IGN, IGN, END, IGN, END, IGN, IGN, IGN, IGN},
        [AT_JOIN] = {IGN, IGN, IGN, IGN, IGN, END, IGN, IGN, IGN, IGN, NOTHING, IGN},
        [AT_WAIT] = {IGN, IGN, IGN, IGN, CALL, END, SLEEP, IGN, CALL, IGN, NOTHING, IGN},
        [AT_APPROVE] = {IGN, IGN, IGN, IGN, CALL, END, SLEEP, IGN, IGN, CALL, NOTHING, IGN},
        [AT_PAUSED] = {IGN, IGN, IGN, IGN, IGN, END, IGN, IGN, IGN, IGN, IGN, SLEEP},
        [AT_PAUSING] = {IGN, END, END, IGN, IGN, END, PERSON, IGN, IGN, IGN, IGN, NOTHING},
        [AT_SUCCEEDED] = {IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN},
        [AT_FAILED] = {IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN},
        [AT_CANCELLED] = {IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN},
    };
    struct peri_error error = {0};
    (void)peri_error_set(&error, PERI_EIO, "nope", "no");
    for (int spot = 0; spot < SPOTS; spot++) {
        for (int kind = 0; kind < PERI_INPUT_COUNT; kind++) {
            struct bed bed;
            bring_to(&bed, (enum spot)spot);
            enum peri_run_state before = bed.run->state;
            struct peri_run_input in = {.kind = (enum peri_run_input_kind)kind,
                .error = &error,
                .condition = PERI_COND_YES,
                .delivery = PERI_DELIVERY_ONCE,
                .decision = PERI_DECIDE_DONE};
            enum peri_run_next next = input(&bed, in);
            if ((int)next != want[spot][kind])
                print_error("spot %d, input %d: next is %d, not %d\n", spot, kind, (int)next, want[spot][kind]);
            assert_int_equal(next, want[spot][kind]);
            if (next == PERI_NEXT_IGNORED) {
                assert_int_equal(bed.run->state, before);
                assert_int_equal(bed.effects.record_count, 0);
            }
            if (kind == PERI_INPUT_CANCEL && next == PERI_NEXT_END)
                assert_int_equal(bed.run->state, PERI_RUN_CANCELLED);
            close_bed(&bed);
        }
    }
}

static void test_a_position_that_does_not_fit_the_rule_is_refused(void **state)
{
    static const char *const bad[] = {"{}", "[]", "{\"frames\":[],\"phase\":\"nowhere\"}",
        "{\"frames\":[{\"block\":\"actions\",\"i\":9}],\"phase\":\"step\"}",
        "{\"frames\":[{\"block\":\"gone\",\"i\":0}],\"phase\":\"step\"}",
        "{\"frames\":[{\"block\":\"actions\",\"i\":0}],\"phase\":\"delay\"}",
        "{\"frames\":[{\"block\":\"actions\",\"i\":1}],\"phase\":\"call\"}",
        "{\"frames\":[{\"block\":\"actions\",\"i\":1},{\"block\":\"actions\",\"i\":0}],\"phase\":\"step\"}",
        "not json"};
    struct peri_rule *rule = kit_rule("name: T\ntrigger: {event: a.B}\nactions: [{operator: x.a}]");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct peri_run *run = NULL;
        struct peri_error err = {0};
        struct peri_run_row row = {
            .id = 1, .pos = bad[i], .vars = "{\"vars\":{},\"steps\":{},\"bound\":{}}", .kprefix = "k"};
        assert_int_equal(peri_run_read(&row, rule, &run, &err), PERI_ECORRUPT);
    }
    peri_rule_unref(rule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pair_of_state_and_input),
        cmocka_unit_test(test_a_position_that_does_not_fit_the_rule_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
