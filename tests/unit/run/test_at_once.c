/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

/* Runs that only compute are stored once, as ended. What can be read afterwards is the same as of runs that go from
 * transaction to transaction, which they do while somebody hears of runs. */

#define ASKS "conditions: [{operator: c.yes}]\n"
#define HEARS_RUNS                                                                                                     \
    "\n---\nname: Watcher\ntrigger: {event: run.Started, match: {rule: [nobody]}}\nactions: [{stop: x}]\n"

/* Everything that is stored of run-1, as JSON. */
static char *story_of(const char *rules, const char *payload, int64_t *ret_steps)
{
    struct bed bed;
    kit_open(&bed, rules);
    uint64_t seq = kit_send(&bed, "a.B", payload);
    KIT_QUIET(&bed);
    struct peri_value *run = kit_run(&bed, 1), *verdicts = kit_verdicts(&bed, seq);
    assert_int_equal(peri_map_put(run, "verdict_list", verdicts), PERI_OK);
    peri_map_drop(run, "emitted"); /* what is told of it */
    char *text = peri_json_text(run, PERI_JSON_COMPACT);
    peri_value_unref(run);
    *ret_steps = kit_status(&bed, "steps");
    assert_int_equal(kit_status(&bed, "live_runs"), 0);
    assert_true(kit_status(&bed, "runs_started") >= 1);
    assert_int_equal(
        kit_status(&bed, "runs_succeeded") + kit_status(&bed, "runs_failed"), kit_status(&bed, "runs_started"));
    kit_close(&bed);
    return text;
}

static const struct {
    const char *what, *actions;
} stories[] = {
    {"set", "actions:\n  - set: {who: \"{{ event.who }}\", n: \"{{ event.n + 1 }}\"}\n  - set: {twice: \"{{ vars.n * 2 "
            "}}\"}\n"},
    {"choose", "actions:\n  - choose:\n      - {if: \"{{ event.n > 5 }}\", do: [{set: {size: big}}]}\n"
               "      - {if: \"{{ event.n > 2 }}\", do: [{set: {size: middling}}, {stop: true}]}\n"
               "  - set: {after: true}\n"},
    {"if", "actions:\n  - {id: one, if: \"{{ event.n == 4 }}\", then: [{set: {a: 1}}], else: [{set: {a: 2}}]}\n"
           "  - {if: \"{{ event.n == 5 }}\", set: {b: 1}}\n"},
    {"loop", "actions:\n  - set: {sum: 0}\n  - for_each: {in: \"{{ event.list }}\", as: item}\n"
             "    do: [{set: {sum: \"{{ vars.sum + item }}\"}}]\n"},
    {"failure", "actions:\n  - set: {x: \"{{ event.who + 1 }}\"}\n"},
    {"handled", "actions:\n  - {set: {x: \"{{ event.who + 1 }}\"}, continue_on_error: true}\n  - set: {y: 1}\n"},
    {"run", "actions:\n  - set: {id: \"{{ run.id }}\", of: \"{{ run.event_id }}\"}\n"},
    {"trigger", "actions:\n  - set: {id: \"{{ trigger.event_id }}\", type: \"{{ trigger.type }}\"}\n"},
    {"rule", "actions:\n  - set: {id: \"{{ rule.id }}\", time: \"{{ now }}\"}\n"},
};

static void test_a_run_that_only_computes_reads_as_if_it_had_gone_step_by_step(void **state)
{
    static const char payload[] = "{\"who\":\"ann\",\"n\":4,\"list\":[1,2,3]}";
    for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
        for (int asks = 0; asks < 2; asks++) {
            char *rules =
                peri_asprintf("name: Story\ntrigger: {event: a.B}\n%s%s", asks ? ASKS : "", stories[i].actions);
            char *heard = peri_asprintf("%s%s", rules, HEARS_RUNS);
            int64_t steps, same;
            char *at_once = story_of(rules, payload, &steps), *step_by_step = story_of(heard, payload, &same);
            if (strcmp(at_once, step_by_step) != 0)
                fail_msg("%s:\n%s\n%s", stories[i].what, at_once, step_by_step);
            assert_true(steps > 0 && steps == same);
            free(at_once);
            free(step_by_step);
            free(rules);
            free(heard);
        }
    }
}

struct seen {
    char states[256];
};

static void note(void *ctx, const char *kind, const struct peri_value *value)
{
    struct seen *seen = ctx;
    size_t len = strlen(seen->states);
    snprintf(seen->states + len, sizeof(seen->states) - len, "%s %s; ", kind, peri_map_text(value, "state"));
}

/* Whoever watches is told the same as of any other run. */
static void test_it_is_told_as_begun_and_ended(void **state)
{
    struct bed bed;
    struct seen seen = {""};
    kit_open(&bed, "name: Set\ntrigger: {event: a.B}\n" ASKS "actions: [{set: {a: 1}}]\n");
    peri_pipeline_on_change(bed.pipe, note, &seen);
    (void)kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    assert_string_equal(seen.states, "event journaled; run ready; run succeeded; event matched; ");
    kit_close(&bed);
}

static void test_a_loop_that_is_too_long_for_one_transition_ends_all_the_same(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: Long\ntrigger: {event: a.B}\nactions:\n  - set: {sum: 0}\n  - for_each: {in: \"{{ event.list "
                   "}}\", as: i}\n    do: [{set: {sum: \"{{ vars.sum + i }}\"}}]\n");
    char list[2048] = "{\"list\":[1";
    for (int i = 1; i < 500; i++)
        strcat(list, ",1");
    strcat(list, "]}");
    for (int i = 0; i < 2; i++)
        (void)kit_send(&bed, "a.B", list);
    KIT_QUIET(&bed);
    struct peri_value *run = kit_run(&bed, 2);
    assert_string_equal(peri_map_text(run, "state"), "succeeded");
    assert_int_equal(peri_map_int(peri_map_at(peri_map_at(run, "vars"), "vars"), "sum", 0), 500);
    peri_value_unref(run);
    kit_close(&bed);
}

/* What an event starts twice is stored once, also when the process ends behind the commit. */
static void test_after_a_crash_it_is_there_once(void **state)
{
    struct bed bed;
    static const char rules[] = "name: Set\ntrigger: {event: a.B}\n" ASKS "actions: [{set: {a: 1}}]\n";
    kit_open(&bed, rules);
    (void)kit_send(&bed, "a.B", "{}");
    KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 1); /* in the store; the loop may not have heard of it */
    kit_restart(&bed, rules);
    KIT_QUIET(&bed);
    assert_int_equal(kit_run_count(&bed, NULL), 1);
    assert_int_equal(kit_status(&bed, "live_runs"), 0);
    kit_close(&bed);
}

static int64_t send_some(struct bed *bed, const char *type, int n, const char *id)
{
    struct kit_sent sent = {.batch = peri_batch_create()};
    struct peri_error err = {0};
    for (int i = 0; i < n; i++) {
        char json[32];
        snprintf(json, sizeof(json), "{\"n\":%d}", i);
        assert_int_equal(peri_batch_event(sent.batch, kit_event(type, json, id)), PERI_OK);
    }
    assert_int_equal(peri_pipeline_submit(bed->pipe, sent.batch, kit_sent_done, &sent, &err), PERI_OK);
    KIT_UNTIL(bed, sent.done);
    assert_int_equal(sent.st, PERI_OK);
    return kit_status(bed, "unmatched");
}

#define PLAIN "name: Plain\ntrigger: {event: a.B}\nconditions: [\"{{ event.n >= 2 }}\"]\nactions: [{set: {n: 1}}]\n"

/* With its acknowledgement everything of it is stored. */
static void test_an_event_that_needs_no_answer_is_matched_when_it_is_acknowledged(void **state)
{
    struct bed bed;
    kit_open(&bed, PLAIN);
    assert_int_equal(send_some(&bed, "a.B", 5, NULL), 0);
    assert_int_equal(kit_run_count(&bed, "succeeded"), 3);
    assert_int_equal(kit_status(&bed, "matched"), 5);
    assert_int_equal(kit_status(&bed, "unheard"), 0);
    assert_int_equal(kit_status(&bed, "runs_succeeded"), 3);
    assert_int_equal(bed.pipe->at_once, 0);
    assert_int_equal(bed.pipe->pairs, 0);
    struct peri_value *no = kit_verdicts(&bed, 2), *yes = kit_verdicts(&bed, 3);
    assert_string_equal(peri_map_text(peri_list_at(no, 0), "verdict"), "no");
    assert_string_equal(peri_map_text(peri_list_at(yes, 0), "run"), "run-1");
    peri_value_unref(no);
    peri_value_unref(yes);
    kit_close(&bed);
}

/* One rule among those that hear it has to ask, or keeps an order, or remembers: all of them wait for the journal. */
static void test_others_are_evaluated_when_they_are_stored(void **state)
{
    static const char *const others[] = {"conditions: [{operator: c.yes}]\nactions: [{stop: x}]",
        "actions: [{delay: 1m}]", "mode: queued\nactions: [{stop: x}]",
        "throttle: {once_within: 1h}\nactions: [{stop: x}]",
        "conditions: [\"{{ trigger.event_id == 'ev-1' }}\"]\nactions: [{stop: x}]", "actions: [{emit: {event: c.D}}]",
        "actions: [{set: {x: \"{{ event.n.none + 1 }}\"}}]",
        "conditions: [\"{{ event.n + 'a' > 1 }}\"]\nactions: [{stop: x}]"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct bed bed;
        char *rules = peri_asprintf(PLAIN "---\nname: Other\ntrigger: {event: a.B}\n%s\n", others[i]);
        kit_open(&bed, rules);
        for (int k = 0; k < 2; k++) { /* what the first has shown of the rule is known with the second */
            assert_int_equal(send_some(&bed, "a.B", 3, NULL), 3);
            KIT_QUIET(&bed);
        }
        assert_true(kit_status(&bed, "matched") >= 6); /* and what one of them emits */
        struct peri_value *runs = kit_runs(&bed, "plain");
        assert_int_equal(peri_value_count(runs), 2);
        peri_value_unref(runs);
        struct peri_value *verdicts = kit_verdicts(&bed, 3);
        assert_int_equal(peri_value_count(verdicts), 2);
        peri_value_unref(verdicts);
        kit_close(&bed);
        free(rules);
    }
}

static void test_a_duplicate_starts_nothing(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: Set\ntrigger: {event: a.B}\nactions: [{set: {a: 1}}]\n");
    assert_int_equal(send_some(&bed, "a.B", 3, "one"), 0); /* all of the same id, in one batch */
    assert_int_equal(send_some(&bed, "a.B", 1, "one"), 0);
    assert_int_equal(kit_run_count(&bed, NULL), 1);
    assert_int_equal(kit_status(&bed, "duplicate"), 3);
    assert_int_equal(kit_status(&bed, "runs_started"), 1);
    assert_int_equal(kit_status(&bed, "matched"), 1);
    kit_close(&bed);
}

static enum peri_status stand_in_the_way(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_verdicts_put(tx, 1, "[]", err);
}

/* What is made of an event may not be storable; the event is. */
static void test_the_event_is_stored_also_when_its_verdicts_cannot_be(void **state)
{
    struct bed bed;
    struct peri_error err = {0};
    kit_open(&bed, "name: Set\ntrigger: {event: a.B}\nactions: [{set: {a: 1}}]\n");
    assert_int_equal(peri_store_run(bed.store, stand_in_the_way, NULL, &err), PERI_OK);
    assert_int_equal(send_some(&bed, "a.B", 1, NULL), 1);
    KIT_QUIET(&bed);
    assert_int_equal(kit_status(&bed, "matched"), 1);
    assert_int_equal(kit_run_count(&bed, "succeeded"), 1);
    kit_close(&bed);
}

static void test_more_than_memory_is_for_go_the_usual_way(void **state)
{
    struct bed bed;
    kit_open(&bed, "name: Set\ntrigger: {event: a.B}\nactions: [{set: {a: 1}}]\n");
    int64_t unmatched = send_some(&bed, "a.B", 3000, NULL);
    assert_true(unmatched > 0 && unmatched < 3000);
    KIT_QUIET(&bed);
    assert_int_equal(kit_status(&bed, "matched"), 3000);
    assert_int_equal(kit_status(&bed, "runs_succeeded"), 3000);
    kit_close(&bed);
}

/* Runs may have much to store: a transaction takes as many as there is room for, whether it stores their events or
 * finds them stored. */
static void test_what_is_stored_at_once_is_bounded(void **state)
{
    for (int asks = 0; asks < 2; asks++) {
        struct bed bed;
        struct kit_sent sent = {.batch = peri_batch_create()};
        struct peri_error err = {0};
        char *rule =
            peri_asprintf("name: Big\ntrigger: {event: a.B}\n%sactions:\n  - for_each: {in: \"{{ event.list }}\","
                          " as: i}\n    do: [{set: {text: \"{{ event.text }}\"}}]\n",
                asks ? ASKS : "");
        char list[512] = "1", text[3001], *json;
        for (int i = 1; i < 150; i++)
            memcpy(list + 2 * i - 1, ",1", 3);
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        json = peri_asprintf("{\"list\":[%s],\"text\":\"%s\"}", list, text);
        kit_open(&bed, rule);
        for (int i = 0; i < 8; i++)
            assert_int_equal(peri_batch_event(sent.batch, kit_event("a.B", json, NULL)), PERI_OK);
        assert_int_equal(peri_pipeline_submit(bed.pipe, sent.batch, kit_sent_done, &sent, &err), PERI_OK);
        KIT_UNTIL(&bed, sent.done);
        assert_true(kit_status(&bed, "unmatched") >= 4);
        KIT_QUIET(&bed);
        assert_int_equal(kit_status(&bed, "runs_succeeded"), 8);
        kit_close(&bed);
        free(rule);
        free(json);
    }
}

/* What a condition says that does not hold is written without a value for it. */
static void test_no_as_text_is_no_as_a_value(void **state)
{
    static const char *const reasons[] = {"", "it is \"4\", not 5", "tab\tand \xC3\xA9", "cut \xC3"};
    static const char *const details[] = {NULL, "{\"left\":4,\"op\":\"==\",\"right\":[null,true,-1.5]}"};
    struct peri_trigger trigger = {.id = (char *)(uintptr_t) "t1"};
    struct peri_rule rule = {.id = (char *)(uintptr_t) "r", .name = (char *)(uintptr_t) "A \"rule\""};
    for (size_t i = 0; i < 16; i++) {
        struct peri_cond_eval eval = {.at = "conditions[1]", .operator_at = i & 4 ? "x.y" : NULL};
        snprintf(eval.reason, sizeof(eval.reason), "%s", reasons[i & 3]);
        eval.detail = details[i >> 3] ? kit_json(details[i >> 3]) : NULL;
        char *text = peri_verdict_text_no(&rule, &trigger, &eval);
        struct peri_value *value = peri_verdict_condition(&rule, &trigger, PERI_COND_NO, &eval);
        char *wanted = value ? peri_json_text(value, PERI_JSON_COMPACT) : NULL;
        if ((i & 3) == 3) { /* no UTF-8 */
            assert_null(text);
        } else {
            assert_non_null(text);
            assert_string_equal(text, wanted);
        }
        free(text);
        free(wanted);
        peri_value_unref(value);
        peri_value_unref(eval.detail);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run_that_only_computes_reads_as_if_it_had_gone_step_by_step),
        cmocka_unit_test(test_it_is_told_as_begun_and_ended),
        cmocka_unit_test(test_a_loop_that_is_too_long_for_one_transition_ends_all_the_same),
        cmocka_unit_test(test_after_a_crash_it_is_there_once),
        cmocka_unit_test(test_an_event_that_needs_no_answer_is_matched_when_it_is_acknowledged),
        cmocka_unit_test(test_others_are_evaluated_when_they_are_stored),
        cmocka_unit_test(test_a_duplicate_starts_nothing),
        cmocka_unit_test(test_the_event_is_stored_also_when_its_verdicts_cannot_be),
        cmocka_unit_test(test_what_is_stored_at_once_is_bounded),
        cmocka_unit_test(test_no_as_text_is_no_as_a_value),
        cmocka_unit_test(test_more_than_memory_is_for_go_the_usual_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
