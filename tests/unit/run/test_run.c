/* SPDX-License-Identifier: Apache-2.0 */
#include "run/kit.h"

#include "run/run.h"

/* A run under test: the machine, what it said last, and every row it wrote as "n.attempt op state" lines. */
struct bed {
    struct peri_rule *rule;
    struct peri_run *run;
    struct peri_run_effects effects;
    int64_t now;
    char log[8192];
    char emitted[1024];
};

static const char *const attempt_names[] = {
    "", "started", "done", "retry", "failed", "unknown", "skipped", "cancelled"};

static void note(struct bed *bed)
{
    size_t len = strlen(bed->log);
    for (size_t i = 0; i < bed->effects.record_count; i++) {
        const struct peri_step_record *r = &bed->effects.records[i];
        len += (size_t)snprintf(
            bed->log + len, sizeof(bed->log) - len, "%d.%d %s %s\n", r->n, r->attempt, r->op, attempt_names[r->state]);
        assert_true(len < sizeof(bed->log));
    }
    for (size_t i = 0; i < bed->effects.emit_count; i++) {
        char *text = peri_json_text(bed->effects.emits[i].data, PERI_JSON_COMPACT);
        size_t at = strlen(bed->emitted);
        snprintf(bed->emitted + at, sizeof(bed->emitted) - at, "%s %s\n", bed->effects.emits[i].type, text);
        free(text);
    }
}

/* Every state has to survive the store: the run is written and read back before each input. */
static void through_the_store(struct bed *bed)
{
    char *pos = NULL, *vars = NULL, *error = NULL;
    struct peri_run *again = NULL;
    struct peri_error err = {0};
    assert_int_equal(peri_run_write(bed->run, &pos, &vars, &error), PERI_OK);
    struct peri_run_row row = {.id = bed->run->id,
        .rule = bed->rule->id,
        .rhash = bed->rule->hash,
        .state = bed->run->state,
        .pos = pos,
        .vars = vars,
        .error = error,
        .kprefix = bed->run->kprefix,
        .wake_ms = bed->run->wake_ms,
        .base_ms = bed->run->base_ms,
        .created_ms = bed->run->created_ms,
        .ended_ms = bed->run->ended_ms,
        .interruptions = bed->run->interruptions};
    enum peri_status st = peri_run_read(&row, bed->rule, &again, &err);
    if (st != PERI_OK)
        print_error("%s: %s\n", err.message, pos);
    assert_int_equal(st, PERI_OK);
    again->event = peri_value_ref(bed->run->event);
    for (size_t i = 0; i < bed->run->branch_count; i++) {
        char *text = peri_track_write(bed->run->branches[i]);
        assert_non_null(text);
        st = peri_track_read(again, bed->run->branches[i]->id, text, &err);
        if (st != PERI_OK)
            print_error("%s: %s\n", err.message, text);
        assert_int_equal(st, PERI_OK);
        free(text);
    }
    for (size_t i = 0; i <= bed->run->branch_count; i++) { /* of open attempts their rows have the parameters */
        const struct peri_track *old = i == 0 ? &bed->run->track : bed->run->branches[i - 1];
        if (old->phase == PERI_PHASE_CALL)
            peri_run_track(again, old->id)->params = peri_value_ref(old->params);
    }
    peri_run_destroy(bed->run);
    bed->run = again;
    free(pos);
    free(vars);
    free(error);
}

static enum peri_run_next input(struct bed *bed, struct peri_run_input in)
{
    in.now_ms = bed->now;
    peri_run_effects_finish(&bed->effects);
    if (bed->run->track.depth > 0)
        through_the_store(bed);
    assert_int_equal(peri_run_advance(bed->run, &in, &bed->effects), PERI_OK);
    note(bed);
    return bed->effects.next;
}

static enum peri_run_next go(struct bed *bed)
{
    return input(bed, (struct peri_run_input){.kind = PERI_INPUT_GO});
}

static enum peri_run_next ok(struct bed *bed, const char *json)
{
    struct peri_value *v = json ? kit_json(json) : NULL;
    enum peri_run_next next = input(bed, (struct peri_run_input){.kind = PERI_INPUT_CALL_OK, .value = v});
    peri_value_unref(v);
    return next;
}

static enum peri_run_next failed(
    struct bed *bed, const char *code, bool retryable, bool unknown, enum peri_delivery delivery)
{
    struct peri_error error = {0};
    (void)peri_error_set(&error, PERI_EIO, code, "it said %s", code);
    error.retryable = retryable;
    error.outcome_unknown = unknown;
    return input(bed, (struct peri_run_input){
                          .kind = PERI_INPUT_CALL_FAILED, .error = &error, .delivery = delivery, .random = UINT32_MAX});
}

static void open_bed(struct bed *bed, const char *steps, const char *payload)
{
    char yaml[8192];
    memset(bed, 0, sizeof(*bed));
    snprintf(yaml, sizeof(yaml), "name: T\ntrigger: {event: a.B}\n%s\n", steps);
    bed->rule = kit_rule(yaml);
    bed->now = 1000000;
    bed->run = peri_run_create(bed->rule, "inst", bed->now);
    bed->run->id = 7;
    bed->run->event = kit_json(payload);
}

static void close_bed(struct bed *bed)
{
    peri_run_effects_finish(&bed->effects);
    peri_run_destroy(bed->run);
    peri_rule_unref(bed->rule);
}

static const char *error_code(const struct bed *bed)
{
    return peri_map_text(bed->run->error, "code");
}

/* --- single steps --- */

static void test_an_action_is_called_once_and_ends_the_run(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.send, params: {to: \"{{ event.who }}\", n: 1}}", "{\"who\":\"ann\"}");
    assert_int_equal(go(&bed), PERI_NEXT_CALL);
    assert_int_equal(bed.run->state, PERI_RUN_RUNNING);
    kit_assert_json(bed.run->track.params, "{\"to\":\"ann\",\"n\":1}");
    assert_string_equal(bed.run->track.key, "inst.7/1");
    assert_string_equal(bed.effects.records[0].params, "{\"to\":\"ann\",\"n\":1}");
    assert_string_equal(bed.effects.records[0].key, "inst.7/1");
    assert_string_equal(bed.effects.records[0].path, "actions[0]");
    assert_int_equal(ok(&bed, "{\"id\":5}"), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_SUCCEEDED);
    assert_string_equal(bed.effects.records[0].result, "{\"id\":5}");
    assert_string_equal(bed.log, "1.1 x.send started\n1.1 x.send done\n");
    close_bed(&bed);
}

static void test_outcome_and_next_intent_leave_together(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - {operator: x.a, id: first, as: r}\n"
        "  - {operator: x.b, params: {got: \"{{ steps.first.id }}\", same: \"{{ r.id }}\"}}",
        "{}");
    (void)go(&bed);
    assert_int_equal(ok(&bed, "{\"id\":5}"), PERI_NEXT_CALL);
    assert_int_equal(bed.effects.record_count, 2);
    kit_assert_json(bed.run->track.params, "{\"got\":5,\"same\":5}");
    assert_string_equal(bed.run->track.key, "inst.7/2");
    close_bed(&bed);
}

static void test_a_missing_field_fails_the_step_without_a_call(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a, params: {to: \"{{ event.who }}\"}}", "{}");
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    assert_string_equal(error_code(&bed), "missing");
    assert_string_equal(bed.log, "1.1 x.a failed\n");
    assert_false(peri_map_bool(bed.run->error, "handled", false));
    close_bed(&bed);
}

static void test_own_idempotency_key(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a, idempotency_key: \"order-{{ event.n }}\"}", "{\"n\":12}");
    assert_int_equal(go(&bed), PERI_NEXT_CALL);
    assert_string_equal(bed.run->track.key, "order-12");
    close_bed(&bed);
}

static void test_delay(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - delay: 10m\n  - {operator: x.a}", "{}");
    assert_int_equal(go(&bed), PERI_NEXT_SLEEP);
    assert_int_equal(bed.run->state, PERI_RUN_SLEEPING);
    assert_int_equal(bed.run->wake_ms, bed.now + 600000);
    assert_int_equal(bed.run->base_ms, 600000);
    bed.now += 600000;
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_TIMER}), PERI_NEXT_CALL);
    assert_int_equal(bed.run->wake_ms, 0);
    assert_string_equal(bed.log, "1.1 delay started\n1.1 delay done\n2.1 x.a started\n");
    close_bed(&bed);
}

static void test_delay_forms(void **state)
{
    static const struct {
        const char *payload;
        enum peri_run_next next;
        int64_t ms;
        const char *code;
    } cases[] = {{"{\"d\":\"90s\"}", PERI_NEXT_SLEEP, 90000, NULL}, {"{\"d\":1.5}", PERI_NEXT_SLEEP, 1500, NULL},
        {"{\"d\":2}", PERI_NEXT_SLEEP, 2000, NULL}, {"{\"d\":0}", PERI_NEXT_END, 0, NULL},
        {"{\"d\":-1}", PERI_NEXT_END, 0, "type"}, {"{\"d\":[1]}", PERI_NEXT_END, 0, "type"},
        {"{\"d\":1e300}", PERI_NEXT_END, 0, "type"}, {"{}", PERI_NEXT_END, 0, "missing"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bed bed;
        open_bed(&bed, "actions:\n  - delay: \"{{ event.d }}\"", cases[i].payload);
        assert_int_equal(go(&bed), cases[i].next);
        assert_int_equal(bed.run->base_ms, cases[i].ms);
        if (cases[i].code)
            assert_string_equal(error_code(&bed), cases[i].code);
        close_bed(&bed);
    }
    struct bed bed;
    open_bed(&bed, "actions:\n  - delay: \"{{ event.d }}\"", "{\"d\":\"soon\"}");
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    close_bed(&bed);
}

static void test_if_then_else(void **state)
{
    const char *steps = "actions:\n  - if: \"{{ event.n > 3 }}\"\n    then: [{operator: x.big}]\n"
                        "    else: [{operator: x.small}]\n  - {operator: x.last}";
    struct bed bed;
    open_bed(&bed, steps, "{\"n\":4}");
    (void)go(&bed);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.big");
    assert_string_equal(peri_run_step(bed.run)->path, "actions[0].then[0]");
    (void)ok(&bed, NULL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.last");
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_END);
    assert_string_equal(
        bed.log, "1.1 if done\n2.1 x.big started\n2.1 x.big done\n3.1 x.last started\n3.1 x.last done\n");
    close_bed(&bed);
    open_bed(&bed, steps, "{\"n\":3}");
    (void)go(&bed);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.small");
    close_bed(&bed);
    open_bed(&bed, steps, "{}"); /* missing: does not hold */
    (void)go(&bed);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.small");
    close_bed(&bed);
}

static void test_a_guard_that_does_not_hold_skips_the_step(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a, if: \"{{ event.yes }}\"}\n  - {operator: x.b}", "{\"yes\":false}");
    (void)go(&bed);
    assert_string_equal(bed.log, "1.1 x.a skipped\n2.1 x.b started\n");
    assert_non_null(strstr(bed.effects.records[0].result, "reason"));
    close_bed(&bed);
}

static void test_a_guard_with_an_operator_is_asked_outside(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a, if: {operator: c.ok}}\n  - {operator: x.b}", "{}");
    assert_int_equal(go(&bed), PERI_NEXT_EVALUATE);
    assert_int_equal(bed.run->state, PERI_RUN_READY);
    assert_ptr_equal(bed.effects.condition, bed.rule->actions->steps[0]->guard);
    assert_int_equal(
        input(&bed, (struct peri_run_input){.kind = PERI_INPUT_CONDITION, .condition = PERI_COND_YES}), PERI_NEXT_CALL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.a");
    close_bed(&bed);

    open_bed(&bed, "actions:\n  - {operator: x.a, if: {operator: c.ok}}\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    (void)input(&bed, (struct peri_run_input){
                          .kind = PERI_INPUT_CONDITION, .condition = PERI_COND_NO, .reason = "c.ok does not hold"});
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.b");
    close_bed(&bed);

    struct peri_error error = {0};
    (void)peri_error_set(&error, PERI_EIO, "broken", "it broke");
    open_bed(&bed, "actions:\n  - {operator: x.a, if: {operator: c.ok}}\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    assert_int_equal(
        input(&bed,
            (struct peri_run_input){.kind = PERI_INPUT_CONDITION, .condition = PERI_COND_FAILED, .error = &error}),
        PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "broken");
    close_bed(&bed);
}

static void test_choose(void **state)
{
    const char *steps =
        "actions:\n  - choose:\n      - {if: \"{{ event.n == 1 }}\", do: [{operator: x.one}]}\n"
        "      - {if: {operator: c.two}, do: [{operator: x.two}]}\n"
        "      - {if: \"{{ event.n == 3 }}\", do: [{operator: x.three}]}\n    else: [{operator: x.other}]\n";
    struct bed bed;
    open_bed(&bed, steps, "{\"n\":1}");
    assert_int_equal(go(&bed), PERI_NEXT_CALL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.one");
    close_bed(&bed);
    open_bed(&bed, steps, "{\"n\":3}");
    assert_int_equal(go(&bed), PERI_NEXT_EVALUATE);
    assert_int_equal(
        input(&bed, (struct peri_run_input){.kind = PERI_INPUT_CONDITION, .condition = PERI_COND_NO}), PERI_NEXT_CALL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.three");
    close_bed(&bed);
    open_bed(&bed, steps, "{\"n\":2}");
    (void)go(&bed);
    (void)input(&bed, (struct peri_run_input){.kind = PERI_INPUT_CONDITION, .condition = PERI_COND_YES});
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.two");
    assert_string_equal(peri_run_step(bed.run)->path, "actions[0].choose[1].do[0]");
    close_bed(&bed);
    open_bed(&bed, steps, "{\"n\":9}");
    (void)go(&bed);
    (void)input(&bed, (struct peri_run_input){.kind = PERI_INPUT_CONDITION, .condition = PERI_COND_NO});
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.other");
    close_bed(&bed);
}

static void test_for_each_binds_its_item_and_numbers_each_round_anew(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - for_each: {in: \"{{ event.list }}\", as: item}\n    do:\n"
        "      - {operator: x.a, params: {v: \"{{ item.v }}\"}}\n  - {operator: x.last}",
        "{\"list\":[{\"v\":10},{\"v\":20}]}");
    assert_int_equal(go(&bed), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"v\":10}");
    assert_string_equal(bed.run->track.key, "inst.7/2");
    (void)ok(&bed, NULL);
    kit_assert_json(bed.run->track.params, "{\"v\":20}");
    assert_string_equal(bed.run->track.key, "inst.7/3");
    (void)ok(&bed, NULL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.last");
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_END);
    close_bed(&bed);
    open_bed(&bed, "actions:\n  - for_each: {in: \"{{ event.list }}\", as: item}\n    do: [{operator: x.a}]",
        "{\"list\":[]}");
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_SUCCEEDED);
    close_bed(&bed);
}

static void test_a_round_sees_no_results_of_the_last_one(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - for_each: {in: \"{{ event.list }}\", as: item}\n    do:\n"
        "      - if: item == 1\n        then: [{operator: x.a, id: a, as: got}]\n"
        "      - set: {log: \"{{ (vars.log or '') .. (steps.a.n | default('-')) .. (got.n | default('-')) .. ' ' "
        "}}\"}\n"
        "  - operator: x.last\n    params: {log: \"{{ vars.log }}\"}\n",
        "{\"list\":[1,2,1]}");
    assert_int_equal(go(&bed), PERI_NEXT_CALL);
    assert_int_equal(ok(&bed, "{\"n\":5}"), PERI_NEXT_CALL); /* the second round skipped it */
    assert_int_equal(ok(&bed, "{\"n\":6}"), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"log\":\"55 -- 66 \"}");
    close_bed(&bed);
}

static void test_for_each_refuses_what_is_no_list_or_too_long(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - for_each: {in: \"{{ event.list }}\", as: item}\n    do: [{operator: x.a}]",
        "{\"list\":\"abc\"}");
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "type");
    close_bed(&bed);
    open_bed(&bed, "actions:\n  - for_each: {in: \"{{ event.list }}\", as: item, max: 2}\n    do: [{operator: x.a}]",
        "{\"list\":[1,2,3]}");
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "limit.items");
    close_bed(&bed);
}

static void test_set_and_emit_and_stop(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - set: {a: \"{{ event.n + 1 }}\", b: \"{{ vars.a * 2 }}\"}\n"
        "  - emit: {event: my.Event, data: {b: \"{{ vars.b }}\"}}\n"
        "  - stop: \"enough of {{ event.n }}\"\n  - {operator: x.never}",
        "{\"n\":1}");
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_SUCCEEDED);
    assert_string_equal(bed.emitted, "my.Event {\"b\":4}\n");
    assert_string_equal(bed.log, "1.1 set done\n2.1 emit done\n3.1 stop done\n");
    assert_string_equal(bed.effects.records[2].result, "{\"reason\":\"enough of 1\"}");
    kit_assert_json(bed.run->vars, "{\"a\":2,\"b\":4}");
    close_bed(&bed);
}

static void test_an_emit_of_a_bad_type_fails(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - emit: {event: \"{{ event.t }}\"}", "{\"t\":\"no good\"}");
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    assert_string_equal(bed.emitted, "");
    close_bed(&bed);
}

/* --- failures --- */

static void test_retries_send_the_same_and_end_with_the_budget(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - {operator: x.a, params: {t: \"{{ now }}\"}, retry: {maximum_attempts: 2, initial_interval: 4s}}",
        "{}");
    (void)go(&bed);
    struct peri_value *params = peri_value_ref(bed.run->track.params);
    assert_int_equal(failed(&bed, "net", true, false, PERI_DELIVERY_ONCE), PERI_NEXT_SLEEP);
    assert_int_equal(bed.run->base_ms, 4000);
    bed.now += 4000;
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_TIMER}), PERI_NEXT_CALL);
    assert_true(peri_value_equal(params, bed.run->track.params));
    assert_string_equal(bed.run->track.key, "inst.7/1");
    assert_int_equal(failed(&bed, "net", true, false, PERI_DELIVERY_ONCE), PERI_NEXT_END);
    assert_string_equal(bed.log, "1.1 x.a started\n1.1 x.a retry\n1.2 x.a started\n1.2 x.a failed\n");
    assert_int_equal(peri_map_int(bed.run->error, "attempt", 0), 2);
    peri_value_unref(params);
    close_bed(&bed);
}

static void test_on_error_of_the_step_handles_and_goes_on(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - operator: x.a\n    id: one\n    on_error:\n"
        "      - {operator: x.tell, params: {c: \"{{ error.code }}\", m: \"{{ error.message }}\", s: \"{{ error.step "
        "}}\"}}\n"
        "  - {operator: x.b, params: {was: \"{{ steps.one.error.code }}\"}}",
        "{}");
    (void)go(&bed);
    assert_int_equal(failed(&bed, "nope", false, false, PERI_DELIVERY_ONCE), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"c\":\"nope\",\"m\":\"it said nope\",\"s\":\"one\"}");
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"was\":\"nope\"}");
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_SUCCEEDED);
    close_bed(&bed);
}

static void test_continue_on_error(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - {operator: x.a, id: one, continue_on_error: true}\n"
        "  - {operator: x.b, params: {e: \"{{ steps.one.error.message }}\"}}",
        "{}");
    (void)go(&bed);
    assert_int_equal(failed(&bed, "nope", false, false, PERI_DELIVERY_ONCE), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"e\":\"it said nope\"}");
    close_bed(&bed);
}

static void test_rule_on_error_makes_the_failure_handled(void **state)
{
    const char *steps = "actions:\n  - {operator: x.a}\n  - {operator: x.never}\non_error:\n"
                        "  - {operator: x.tell, params: {c: \"{{ error.code }}\"}}";
    struct bed bed;
    open_bed(&bed, steps, "{}");
    (void)go(&bed);
    assert_int_equal(failed(&bed, "nope", false, false, PERI_DELIVERY_ONCE), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"c\":\"nope\"}");
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    assert_true(peri_map_bool(bed.run->error, "handled", false));
    assert_string_equal(error_code(&bed), "nope");
    close_bed(&bed);

    open_bed(&bed, steps, "{}"); /* and when that fails too */
    (void)go(&bed);
    (void)failed(&bed, "nope", false, false, PERI_DELIVERY_ONCE);
    assert_int_equal(failed(&bed, "worse", false, false, PERI_DELIVERY_ONCE), PERI_NEXT_END);
    assert_false(peri_map_bool(bed.run->error, "handled", false));
    assert_string_equal(error_code(&bed), "nope");
    assert_string_equal(peri_map_text(peri_map_at(bed.run->error, "on_error"), "code"), "worse");
    close_bed(&bed);
}

static void test_a_container_handles_what_fails_inside(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - for_each: {in: \"{{ event.list }}\", as: item}\n    do:\n"
        "      - if: \"{{ true }}\"\n        then: [{operator: x.a}]\n"
        "    on_error: [{operator: x.tell}]\n  - {operator: x.last}",
        "{\"list\":[1,2]}");
    (void)go(&bed);
    assert_int_equal(failed(&bed, "nope", false, false, PERI_DELIVERY_ONCE), PERI_NEXT_CALL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.tell");
    (void)ok(&bed, NULL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.last");
    assert_string_equal(bed.log, "1.1 for_each done\n2.1 if done\n3.1 x.a started\n3.1 x.a failed\n2.1 if failed\n"
                                 "1.1 for_each failed\n4.1 x.tell started\n4.1 x.tell done\n5.1 x.last started\n");
    close_bed(&bed);
}

static void test_a_failure_inside_a_handler_is_not_handled_by_it_again(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - operator: x.a\n    on_error: [{operator: x.tell}]\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    (void)failed(&bed, "nope", false, false, PERI_DELIVERY_ONCE);
    assert_int_equal(failed(&bed, "worse", false, false, PERI_DELIVERY_ONCE), PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "worse");
    close_bed(&bed);
}

static void test_unknown_outcome_by_delivery_class(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - {operator: x.a, id: one, params: {v: 1}}\n  - {operator: x.b}\non_error: [{operator: x.tell}]",
        "{}");
    (void)go(&bed);
    assert_int_equal(failed(&bed, "timeout", true, true, PERI_DELIVERY_ONCE), PERI_NEXT_PERSON);
    assert_int_equal(bed.run->state, PERI_RUN_UNKNOWN);
    assert_string_equal(bed.log, "1.1 x.a started\n1.1 x.a unknown\n");
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_RESOLVED, .decision = PERI_DECIDE_AGAIN}),
        PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"v\":1}");
    assert_string_equal(bed.run->track.key, "inst.7/1");
    assert_int_equal(bed.run->track.attempt, 2);
    (void)failed(&bed, "timeout", true, true, PERI_DELIVERY_ONCE);
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_RESOLVED, .decision = PERI_DECIDE_DONE}),
        PERI_NEXT_CALL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.b");
    (void)failed(&bed, "timeout", true, true, PERI_DELIVERY_ONCE);
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_RESOLVED, .decision = PERI_DECIDE_FAIL}),
        PERI_NEXT_CALL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.tell");
    close_bed(&bed);

    open_bed(&bed, "actions:\n  - {operator: x.a}", "{}");
    (void)go(&bed);
    assert_int_equal(failed(&bed, "timeout", false, true, PERI_DELIVERY_REPEAT), PERI_NEXT_SLEEP);
    close_bed(&bed);

    open_bed(&bed,
        "actions:\n  - operator: x.a\n    on_error: [{operator: x.tell, params: {u: \"{{ error.outcome_unknown }}\"}}]",
        "{}");
    (void)go(&bed);
    assert_int_equal(failed(&bed, "timeout", false, true, PERI_DELIVERY_ONCE), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"u\":true}");
    close_bed(&bed);
}

/* --- restarts --- */

static enum peri_run_next restarted(struct bed *bed, enum peri_delivery delivery)
{
    return input(
        bed, (struct peri_run_input){.kind = PERI_INPUT_RESTARTED, .delivery = delivery, .open_attempt = true});
}

static void test_an_open_attempt_after_a_restart(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a, params: {v: 1}}", "{}");
    (void)go(&bed);
    assert_int_equal(restarted(&bed, PERI_DELIVERY_ONCE), PERI_NEXT_PERSON);
    assert_string_equal(bed.log, "1.1 x.a started\n1.1 x.a unknown\n");
    close_bed(&bed);

    open_bed(&bed, "actions:\n  - {operator: x.a, params: {v: 1}, retry: {maximum_attempts: 2}}", "{}");
    (void)go(&bed);
    assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_CALL);
    assert_string_equal(bed.run->track.key, "inst.7/1");
    assert_int_equal(bed.run->track.attempt, 2);
    /* interruptions are not taken from the retry budget */
    assert_int_equal(failed(&bed, "net", true, false, PERI_DELIVERY_REPEAT), PERI_NEXT_SLEEP);
    close_bed(&bed);
}

static void test_a_run_that_keeps_stopping_the_service_is_given_up(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a}", "{}");
    (void)go(&bed);
    for (int i = 1; i < PERI_RUN_INTERRUPTIONS_MAX; i++)
        assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_CALL);
    assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    assert_string_equal(error_code(&bed), "interrupted");
    close_bed(&bed);
}

/* Months of restarts must not add up to five: what counts is whether this very call brings the service down. */
static void test_an_answer_ends_the_count_of_interruptions(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a, retry: {maximum_attempts: 9}}\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    for (int i = 1; i < PERI_RUN_INTERRUPTIONS_MAX; i++)
        assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_CALL);
    assert_int_equal(failed(&bed, "net", true, false, PERI_DELIVERY_REPEAT), PERI_NEXT_SLEEP);
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_TIMER}), PERI_NEXT_CALL);
    for (int i = 1; i < PERI_RUN_INTERRUPTIONS_MAX; i++)
        assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_CALL);
    assert_int_equal(ok(&bed, "{}"), PERI_NEXT_CALL);
    for (int i = 1; i < PERI_RUN_INTERRUPTIONS_MAX; i++)
        assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_CALL);
    assert_int_equal(bed.run->interruptions, 3 * (PERI_RUN_INTERRUPTIONS_MAX - 1));
    assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "interrupted");
    close_bed(&bed);
}

/* An orderly stop has not sent the call: as often as it likes. */
static void test_an_orderly_stop_is_no_interruption(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a}", "{}");
    (void)go(&bed);
    for (int i = 0; i < 3 * PERI_RUN_INTERRUPTIONS_MAX; i++)
        assert_int_equal(input(&bed,
                             (struct peri_run_input){
                                 .kind = PERI_INPUT_RESTARTED, .delivery = PERI_DELIVERY_REPEAT, .not_sent = true}),
            PERI_NEXT_CALL);
    assert_int_equal(bed.run->interruptions, 0);
    close_bed(&bed);
}

static void test_a_clock_set_back_does_not_lengthen_a_delay(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - delay: 10m", "{}");
    (void)go(&bed);
    bed.now -= 3600000;
    assert_int_equal(restarted(&bed, PERI_DELIVERY_ONCE), PERI_NEXT_SLEEP);
    assert_int_equal(bed.run->wake_ms, bed.now + 600000);
    bed.now += 700000;
    assert_int_equal(restarted(&bed, PERI_DELIVERY_ONCE), PERI_NEXT_SLEEP);
    assert_int_equal(bed.run->wake_ms, bed.now);
    close_bed(&bed);
}

/* --- holding, limits --- */

static void test_hold_stops_before_an_attempt(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - set: {a: 1}\n  - {operator: x.a, params: {t: \"{{ vars.a }}\"}}", "{}");
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_GO, .hold = true}), PERI_NEXT_HELD);
    assert_int_equal(bed.run->state, PERI_RUN_READY);
    assert_string_equal(bed.log, "1.1 set done\n");
    assert_int_equal(restarted(&bed, PERI_DELIVERY_ONCE), PERI_NEXT_CALL);
    assert_string_equal(bed.run->track.key, "inst.7/2");
    close_bed(&bed);
}

static void test_variables_have_a_limit(void **state)
{
    char big[70 * 1024], *payload = malloc(80 * 1024);
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    snprintf(payload, 80 * 1024, "{\"s\":\"%s\"}", big);
    struct bed bed;
    open_bed(&bed, "actions:\n  - {id: one, set: {a: \"{{ event.s }}\"}}", payload);
    assert_int_equal(go(&bed), PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "too_large");
    kit_assert_json(bed.run->vars, "{}");
    close_bed(&bed);
    open_bed(&bed, "actions:\n  - {operator: x.a, id: one, continue_on_error: true}\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    assert_int_equal(ok(&bed, payload), PERI_NEXT_CALL); /* done outside, but its result can not be kept */
    assert_string_equal(
        peri_map_text(peri_map_at(peri_map_at(bed.run->track.steps, "one"), "error"), "code"), "too_large");
    close_bed(&bed);
    open_bed(&bed, "actions:\n  - {operator: x.a}\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    assert_int_equal(ok(&bed, payload), PERI_NEXT_CALL); /* nobody asked to keep it */
    assert_non_null(strstr(bed.effects.records[0].result, "too_large"));
    close_bed(&bed);
    free(payload);
}

static void test_long_stretches_are_cut(void **state)
{
    char list[8192] = "{\"l\":[0";
    for (int i = 1; i < 900; i++)
        strcat(list, ",1");
    strcat(list, "]}");
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - for_each: {in: \"{{ event.l }}\", as: x}\n    do: [{set: {sum: \"{{ vars.sum | default(0) + x "
        "}}\"}}]",
        list);
    int rounds = 1;
    enum peri_run_next next = go(&bed);
    while (next == PERI_NEXT_GO) {
        assert_int_equal(bed.run->state, PERI_RUN_READY);
        bed.log[0] = '\0';
        rounds++;
        next = go(&bed);
    }
    assert_int_equal(next, PERI_NEXT_END);
    assert_int_equal(rounds, 5);
    kit_assert_json(bed.run->vars, "{\"sum\":899}");
    close_bed(&bed);
}

/* --- branches --- */

static enum peri_run_next ok_of(struct bed *bed, int track, const char *json)
{
    struct peri_value *v = json ? kit_json(json) : NULL;
    enum peri_run_next next =
        input(bed, (struct peri_run_input){.kind = PERI_INPUT_CALL_OK, .track = track, .value = v});
    peri_value_unref(v);
    return next;
}

static enum peri_run_next failed_of(struct bed *bed, int track, const char *code)
{
    struct peri_error error = {0};
    (void)peri_error_set(&error, PERI_EIO, code, "it said %s", code);
    return input(bed, (struct peri_run_input){.kind = PERI_INPUT_CALL_FAILED, .track = track, .error = &error});
}

static enum peri_run_next timer(struct bed *bed)
{
    bed->now = bed->run->wake_ms;
    return input(bed, (struct peri_run_input){.kind = PERI_INPUT_TIMER, .due_ms = bed->run->wake_ms});
}

/* "track:next ..." of the last transition. */
static const char *tasks(const struct bed *bed)
{
    static const char *const names[] = {[PERI_NEXT_GO] = "go",
        [PERI_NEXT_HELD] = "held",
        [PERI_NEXT_CALL] = "call",
        [PERI_NEXT_EVALUATE] = "evaluate",
        [PERI_NEXT_SLEEP] = "sleep",
        [PERI_NEXT_PERSON] = "person"};
    static char text[256];
    text[0] = '\0';
    for (size_t i = 0; i < bed->effects.task_count; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%d:%s", i ? " " : "", bed->effects.tasks[i].track,
            names[bed->effects.tasks[i].next]);
    return text;
}

static const char *const PARALLEL = "actions:\n  - id: all\n    parallel:\n      - {operator: x.a, id: a}\n"
                                    "      - [{delay: 10m}, {operator: x.b, id: b, as: bee}]\n"
                                    "  - {operator: x.last, params: {a: \"{{ steps.a.v }}\", b: \"{{ bee.v }}\", "
                                    "n: \"{{ steps.all.count }}\"}}";

static void test_branches_go_side_by_side_and_the_step_ends_with_the_last(void **state)
{
    struct bed bed;
    open_bed(&bed, PARALLEL, "{}");
    (void)go(&bed);
    assert_string_equal(tasks(&bed), "1:call 2:sleep");
    assert_int_equal(bed.run->state, PERI_RUN_RUNNING);
    assert_int_equal(bed.run->wake_ms, bed.now + 600000);
    assert_string_equal(peri_run_track(bed.run, 1)->key, "inst.7/2");
    assert_int_equal(ok_of(&bed, 1, "{\"v\":1}"), PERI_NEXT_NOTHING);
    assert_int_equal(bed.run->state, PERI_RUN_SLEEPING);
    assert_int_equal(bed.effects.ended_count, 1);
    assert_int_equal(bed.effects.ended[0], 1);
    (void)timer(&bed);
    assert_string_equal(tasks(&bed), "2:call");
    (void)ok_of(&bed, 2, "{\"v\":2}");
    assert_string_equal(tasks(&bed), "0:call");
    kit_assert_json(bed.run->track.params, "{\"a\":1,\"b\":2,\"n\":2}");
    assert_string_equal(bed.log,
        "1.1 parallel started\n2.1 x.a started\n3.1 delay started\n2.1 x.a done\n"
        "3.1 delay done\n4.1 x.b started\n4.1 x.b done\n1.1 parallel done\n5.1 x.last started\n");
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_END);
    close_bed(&bed);
}

static void test_a_branch_that_fails_lets_the_others_end(void **state)
{
    const char *steps =
        "actions:\n  - parallel:\n      - {operator: x.a, id: one}\n      - {operator: x.b}\n"
        "    on_error: [{operator: x.tell, params: {c: \"{{ error.code }}\", s: \"{{ error.step }}\"}}]\n"
        "  - {operator: x.last}";
    struct bed bed;
    open_bed(&bed, steps, "{}");
    (void)go(&bed);
    assert_int_equal(failed_of(&bed, 1, "nope"), PERI_NEXT_NOTHING);
    assert_int_equal(bed.run->state, PERI_RUN_RUNNING);
    (void)failed_of(&bed, 2, "later");
    assert_string_equal(tasks(&bed), "0:call");
    kit_assert_json(bed.run->track.params, "{\"c\":\"nope\",\"s\":\"one\"}");
    (void)ok(&bed, NULL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.last");
    close_bed(&bed);

    open_bed(&bed, "actions:\n  - parallel: [{operator: x.a}, {operator: x.b}]\n", "{}"); /* nobody handles it */
    (void)go(&bed);
    (void)failed_of(&bed, 2, "nope");
    assert_int_equal(ok_of(&bed, 1, NULL), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    assert_string_equal(error_code(&bed), "nope");
    close_bed(&bed);
}

static void test_items_go_side_by_side_up_to_the_number_given(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - for_each: {in: \"{{ event.l }}\", as: it, parallel: 2}\n    do:\n"
        "      - {operator: x.a, id: q, params: {v: \"{{ it }}\"}}\n"
        "      - {operator: x.b, params: {v: \"{{ it }}\", got: \"{{ steps.q.n }}\"}}\n  - {operator: x.last}",
        "{\"l\":[10,20,30]}");
    (void)go(&bed);
    assert_string_equal(tasks(&bed), "1:call 2:call");
    (void)ok_of(&bed, 2, "{\"n\":2}");
    (void)ok_of(&bed, 1, "{\"n\":1}"); /* each item reads what its own step has brought */
    kit_assert_json(peri_run_track(bed.run, 1)->params, "{\"v\":10,\"got\":1}");
    kit_assert_json(peri_run_track(bed.run, 2)->params, "{\"v\":20,\"got\":2}");
    (void)ok_of(&bed, 2, NULL);
    assert_string_equal(tasks(&bed), "3:call");
    kit_assert_json(peri_run_track(bed.run, 3)->params, "{\"v\":30}");
    (void)ok_of(&bed, 1, NULL);
    (void)ok_of(&bed, 3, "{\"n\":3}");
    (void)ok_of(&bed, 3, NULL);
    assert_string_equal(tasks(&bed), "0:call");
    assert_null(peri_map_at(bed.run->track.steps, "q"));
    close_bed(&bed);

    open_bed(&bed, "actions:\n  - for_each: {in: \"{{ event.l }}\", as: it, parallel: 2}\n    do: [{operator: x.a}]",
        "{\"l\":[1,2,3]}"); /* after a failure no further item is begun */
    (void)go(&bed);
    assert_int_equal(failed_of(&bed, 1, "nope"), PERI_NEXT_NOTHING);
    assert_int_equal(ok_of(&bed, 2, NULL), PERI_NEXT_END);
    assert_int_equal(bed.run->last_track, 2);
    assert_string_equal(error_code(&bed), "nope");
    close_bed(&bed);
}

static void test_stop_in_a_branch_ends_the_run(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - parallel:\n      - {operator: x.a}\n      - [{delay: 1m}, {stop: true}]\n"
        "  - {operator: x.never}",
        "{}");
    (void)go(&bed);
    assert_int_equal(timer(&bed), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_SUCCEEDED);
    assert_int_equal(bed.run->branch_count, 0);
    assert_non_null(strstr(bed.log, "2.1 x.a cancelled\n1.1 parallel cancelled\n"));
    close_bed(&bed);
}

static void test_branches_have_branches_and_a_limit(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - parallel:\n      - parallel: [{operator: x.a}, {delay: 1m}]\n      - {operator: x.b}\n"
        "  - {operator: x.last}",
        "{}");
    (void)go(&bed);
    assert_string_equal(tasks(&bed), "2:call 3:call 4:sleep");
    (void)ok_of(&bed, 2, NULL);
    (void)timer(&bed);
    (void)ok_of(&bed, 3, NULL);
    assert_string_equal(tasks(&bed), "0:call");
    close_bed(&bed);

    char list[2048] = "{\"l\":[0", deep[1024];
    for (int i = 1; i < 100; i++)
        strcat(list, ",1");
    strcat(list, "]}");
    snprintf(deep, sizeof(deep),
        "actions:\n  - for_each: {in: \"{{ event.l }}\", as: a, parallel: 100}\n    do:\n"
        "      - for_each: {in: \"{{ event.l }}\", as: b, parallel: 100}\n        do: [{operator: x.a}]\n");
    open_bed(&bed, deep, list);
    (void)go(&bed);
    assert_int_equal(bed.run->branch_count, PERI_RUN_TRACKS_MAX);
    close_bed(&bed);
}

static void test_a_restart_finds_every_branch(void **state)
{
    struct bed bed;
    open_bed(&bed, PARALLEL, "{}");
    (void)go(&bed);
    (void)input(&bed, (struct peri_run_input){
                          .kind = PERI_INPUT_RESTARTED, .track = PERI_TRACK_ALL, .delivery = PERI_DELIVERY_REPEAT});
    assert_string_equal(tasks(&bed), "1:call 2:sleep");
    assert_int_equal(peri_run_track(bed.run, 1)->attempt, 2);
    (void)input(&bed,
        (struct peri_run_input){.kind = PERI_INPUT_RESTARTED, .track = PERI_TRACK_ALL, .delivery = PERI_DELIVERY_ONCE});
    assert_string_equal(tasks(&bed), "1:person 2:sleep");
    assert_int_equal(bed.run->state, PERI_RUN_SLEEPING); /* the other branch goes on */
    (void)timer(&bed);
    (void)ok_of(&bed, 2, "{\"v\":2}");
    assert_int_equal(bed.run->state, PERI_RUN_UNKNOWN);
    (void)input(&bed, (struct peri_run_input){.kind = PERI_INPUT_RESOLVED, .track = 1, .decision = PERI_DECIDE_FAIL});
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    close_bed(&bed);
}

static void test_no_more_attempts_begin_than_there_is_room_for(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - parallel: [{operator: x.a}, {operator: x.b}, {operator: x.c}]", "{}");
    (void)input(&bed, (struct peri_run_input){.kind = PERI_INPUT_GO, .room = 2});
    assert_string_equal(tasks(&bed), "1:call 2:call 3:held");
    (void)input(&bed, (struct peri_run_input){.kind = PERI_INPUT_GO, .track = 3});
    assert_string_equal(tasks(&bed), "3:call");
    close_bed(&bed);
}

/* --- waits --- */

static enum peri_run_next heard(struct bed *bed, int n, const char *event)
{
    struct peri_value *v = kit_json(event);
    enum peri_run_next next = input(bed, (struct peri_run_input){.kind = PERI_INPUT_EVENT, .n = n, .value = v});
    peri_value_unref(v);
    return next;
}

static const char *const WAIT =
    "actions:\n  - {operator: x.a}\n"
    "  - wait_for: {event: o.Paid, match: {order: {id: [\"{{ event.id }}\"]}}, timeout: 1h}\n"
    "    id: w\n    as: paid\n  - if: steps.w.timed_out\n    then: [{operator: x.late}]\n"
    "  - {operator: x.b, params: {n: \"{{ events.paid.n | default('-') }}\"}}";

static void test_a_wait_is_a_row_until_its_event_comes(void **state)
{
    struct bed bed;
    open_bed(&bed, WAIT, "{\"id\":\"o1\"}");
    (void)input(&bed, (struct peri_run_input){.kind = PERI_INPUT_GO, .seq = 41});
    assert_int_equal(input(&bed, (struct peri_run_input){.kind = PERI_INPUT_CALL_OK, .seq = 45}), PERI_NEXT_SLEEP);
    assert_int_equal(bed.run->state, PERI_RUN_WAITING);
    assert_int_equal(bed.run->wake_ms, bed.now + 3600000);
    assert_int_equal(bed.effects.wait_count, 1);
    const struct peri_run_wait *wait = &bed.effects.waits[0];
    assert_int_equal(wait->n, 2);
    assert_string_equal(wait->type, "o.Paid");
    assert_string_equal(wait->path, "[\"order\",\"id\"]");
    assert_string_equal(wait->match, "{\"order\":{\"id\":[\"o1\"]}}");
    assert_int_equal(wait->since, 41); /* what the call has set in motion may come before its answer */
    assert_non_null(strstr(bed.effects.records[1].params, "\"until\""));
    assert_int_equal(heard(&bed, 7, "{\"data\":{}}"), PERI_NEXT_IGNORED);
    assert_int_equal(
        heard(&bed, 2, "{\"id\":\"ev-9\",\"type\":\"o.Paid\",\"time\":\"t\",\"data\":{\"n\":5}}"), PERI_NEXT_CALL);
    assert_int_equal(bed.effects.unwaits[0], 2);
    assert_int_equal(bed.run->wake_ms, 0);
    kit_assert_json(bed.run->track.params, "{\"n\":5}");
    kit_assert_json(peri_map_at(bed.run->track.steps, "w"),
        "{\"timed_out\":false,\"id\":\"ev-9\",\"type\":\"o.Paid\",\"time\":\"t\",\"event\":{\"n\":5}}");
    close_bed(&bed);
}

static void test_a_wait_whose_time_is_over_says_so(void **state)
{
    struct bed bed;
    open_bed(&bed, WAIT, "{\"id\":\"o1\"}");
    (void)go(&bed);
    (void)ok(&bed, NULL);
    assert_int_equal(timer(&bed), PERI_NEXT_CALL);
    assert_string_equal(peri_run_step(bed.run)->operator_id, "x.late");
    kit_assert_json(peri_map_at(bed.run->track.steps, "w"), "{\"timed_out\":true}");
    assert_int_equal(bed.effects.unwait_count, 1);
    assert_int_equal(heard(&bed, 2, "{\"data\":{}}"), PERI_NEXT_IGNORED);
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"n\":\"-\"}");
    close_bed(&bed);
}

static void test_waits_that_cannot_be(void **state)
{
    static const struct {
        const char *wait, *code;
    } bad[] = {{"{event: o.P, match: {id: [\"{{ event.gone }}\"]}}", "missing"},
        {"{event: o.P, match: {n: [{numeric: [\"{{ event.id }}\", 1]}]}}", "pattern-numeric"},
        {"{event: o.P, timeout: \"{{ event.id }}\"}", "duration"}, {"{event: o.P, timeout: \"{{ event }}\"}", "type"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char yaml[256];
        struct bed bed;
        snprintf(yaml, sizeof(yaml), "actions:\n  - wait_for: %s\n  - {operator: x.a}", bad[i].wait);
        open_bed(&bed, yaml, "{\"id\":\"o1\"}");
        assert_int_equal(go(&bed), PERI_NEXT_END);
        assert_int_equal(bed.effects.wait_count, 0);
        assert_string_equal(error_code(&bed), bad[i].code);
        close_bed(&bed);
    }
}

static void test_branches_wait_each_for_its_own(void **state)
{
    struct bed bed;
    open_bed(&bed,
        "actions:\n  - parallel:\n      - {wait_for: {event: a.A}, as: a}\n      - {wait_for: {event: a.B}, as: b}\n"
        "  - {operator: x.z, params: {a: \"{{ events.a.v }}\", b: \"{{ events.b.v }}\"}}",
        "{}");
    (void)go(&bed);
    assert_int_equal(bed.effects.wait_count, 2);
    assert_int_equal(heard(&bed, bed.effects.waits[1].n, "{\"data\":{\"v\":2}}"), PERI_NEXT_NOTHING);
    assert_int_equal(bed.run->state, PERI_RUN_WAITING);
    assert_int_equal(heard(&bed, 2, "{\"data\":{\"v\":1}}"), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"a\":1,\"b\":2}");
    close_bed(&bed);

    open_bed(&bed, "actions:\n  - {timeout: 5m, wait_for: {event: a.A}}\n", "{}"); /* a step's timeout fails it */
    (void)go(&bed);
    assert_int_equal(timer(&bed), PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "timeout");
    assert_int_equal(bed.effects.unwait_count, 1);
    close_bed(&bed);
}

static void ask(char *out, size_t size, const char *more)
{
    snprintf(out, size,
        "actions:\n  - id: boss\n    approve: {prompt: \"{{ event.n }}?\", timeout: 1h%s}\n"
        "  - {operator: x.a, params: {v: \"{{ steps.boss }}\"}}\n",
        more);
}

static void test_an_answer_is_the_result(void **state)
{
    struct peri_value *answer = kit_json("true");
    char yaml[512];
    struct bed bed;
    ask(yaml, sizeof(yaml), ", default: false");
    open_bed(&bed, yaml, "{\"n\":3}");
    (void)go(&bed);
    assert_int_equal(bed.run->state, PERI_RUN_WAITING);
    assert_null(bed.effects.waits[0].type);
    assert_non_null(strstr(bed.effects.records[0].params, "\"prompt\":\"3?\""));
    assert_int_equal(
        input(&bed, (struct peri_run_input){.kind = PERI_INPUT_ANSWER, .n = 1, .value = answer}), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"v\":true}");
    assert_int_equal(bed.effects.unwait_count, 1);
    close_bed(&bed);

    open_bed(&bed, yaml, "{\"n\":3}");
    (void)go(&bed);
    assert_int_equal(timer(&bed), PERI_NEXT_CALL);
    kit_assert_json(bed.run->track.params, "{\"v\":false}");
    close_bed(&bed);

    ask(yaml, sizeof(yaml), "");
    open_bed(&bed, yaml, "{\"n\":3}");
    (void)go(&bed);
    assert_int_equal(timer(&bed), PERI_NEXT_END);
    assert_string_equal(error_code(&bed), "timeout");
    close_bed(&bed);
    peri_value_unref(answer);
}

/* --- timeouts --- */

static void test_a_container_that_takes_too_long_fails(void **state)
{
    static const char *const forms[] = {
        "parallel: [[{operator: x.a}, {operator: x.b}], {operator: x.c}]",
        "for_each: {in: [1], as: i, parallel: 1}\n    do: [{operator: x.a}]",
        "for_each: {in: [1], as: i}\n    do: [{operator: x.a}]",
        "if: true\n    then: [{operator: x.a}]",
        "choose: [{if: true, do: [{if: true, then: [{operator: x.a}]}]}]",
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        char yaml[512];
        struct bed bed;
        snprintf(yaml, sizeof(yaml),
            "actions:\n  - id: slow\n    timeout: 10m\n    %s\n    on_error:\n"
            "      - {operator: x.tell, params: {c: \"{{ error.code }}\", s: \"{{ error.step }}\"}}\n"
            "  - {operator: x.last}",
            forms[i]);
        open_bed(&bed, yaml, "{}");
        (void)go(&bed);
        assert_int_equal(bed.run->wake_ms, bed.now + 600000);
        (void)timer(&bed);
        assert_string_equal(tasks(&bed), "0:call");
        kit_assert_json(bed.run->track.params, "{\"c\":\"timeout\",\"s\":\"slow\"}");
        assert_non_null(strstr(bed.log, "x.a unknown\n")); /* its call may arrive all the same */
        assert_int_equal(bed.run->branch_count, 0);
        assert_int_equal(bed.run->wake_ms, 0);
        assert_int_equal(ok(&bed, NULL), PERI_NEXT_CALL);
        assert_string_equal(peri_run_step(bed.run)->operator_id, "x.last");
        close_bed(&bed);
    }
}

static void test_a_container_that_ends_in_time_has_no_deadline_any_more(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {if: true, timeout: 1m, then: [{operator: x.a}]}\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    (void)ok(&bed, NULL);
    assert_int_equal(bed.run->wake_ms, 0);
    assert_int_equal(
        input(&bed, (struct peri_run_input){.kind = PERI_INPUT_TIMER, .due_ms = bed.now + 60000}), PERI_NEXT_IGNORED);
    close_bed(&bed);
}

static void test_the_timeout_of_the_rule(void **state)
{
    const char *steps = "timeout: 1h\nactions:\n  - {operator: x.a}\n  - parallel: [{delay: 2h}, {operator: x.b}]\n"
                        "  - {operator: x.never}\n";
    char with[512];
    struct bed bed;
    open_bed(&bed, steps, "{}");
    int64_t begun = bed.now;
    (void)go(&bed);
    bed.now += 60000;
    (void)ok(&bed, NULL);
    assert_int_equal(bed.run->wake_ms, begun + 3600000);
    assert_int_equal(timer(&bed), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_FAILED);
    assert_string_equal(error_code(&bed), "timeout");
    assert_non_null(strstr(peri_map_text(bed.run->error, "message"), "1h"));
    close_bed(&bed);

    snprintf(with, sizeof(with), "%son_error: [{delay: 5h}, {operator: x.tell}]\n", steps);
    open_bed(&bed, with, "{}");
    (void)go(&bed);
    (void)timer(&bed);
    assert_int_equal(bed.run->state, PERI_RUN_SLEEPING); /* what handles it has all its time */
    (void)timer(&bed);
    assert_string_equal(tasks(&bed), "0:call");
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_END);
    assert_true(peri_map_bool(bed.run->error, "handled", false));
    close_bed(&bed);
}

/* --- pauses --- */

static enum peri_run_next person(struct bed *bed, enum peri_run_input_kind kind)
{
    return input(bed, (struct peri_run_input){.kind = kind});
}

static void test_a_paused_run_begins_nothing(void **state)
{
    struct bed bed;
    open_bed(&bed, "actions:\n  - {operator: x.a, retry: {maximum_attempts: 3}}\n  - {operator: x.b}", "{}");
    (void)go(&bed);
    (void)person(&bed, PERI_INPUT_PAUSE);
    assert_int_equal(bed.run->state, PERI_RUN_RUNNING); /* until its call has ended */
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_NOTHING);
    assert_int_equal(bed.run->state, PERI_RUN_PAUSED);
    assert_string_equal(bed.log, "1.1 x.a started\n1.1 x.a done\n");
    assert_int_equal(person(&bed, PERI_INPUT_RESUME), PERI_NEXT_CALL);
    assert_int_equal(bed.run->state, PERI_RUN_RUNNING);
    (void)person(&bed, PERI_INPUT_PAUSE);
    assert_int_equal(restarted(&bed, PERI_DELIVERY_REPEAT), PERI_NEXT_NOTHING); /* would call again */
    assert_int_equal(bed.run->state, PERI_RUN_PAUSED);
    assert_int_equal(person(&bed, PERI_INPUT_RESUME), PERI_NEXT_CALL);
    assert_int_equal(ok(&bed, NULL), PERI_NEXT_END);
    assert_int_equal(bed.run->state, PERI_RUN_SUCCEEDED);
    close_bed(&bed);

    open_bed(&bed, "actions:\n  - {operator: x.a, retry: {initial_interval: 1h}}", "{}");
    (void)go(&bed);
    (void)person(&bed, PERI_INPUT_PAUSE);
    (void)failed(&bed, "net", true, false, PERI_DELIVERY_ONCE);
    assert_int_equal(bed.run->state, PERI_RUN_PAUSED);
    assert_int_equal(bed.run->wake_ms, 0);
    bed.now += 7200000;
    assert_int_equal(person(&bed, PERI_INPUT_RESUME), PERI_NEXT_SLEEP);
    assert_true(bed.run->wake_ms > 0 && bed.run->wake_ms <= bed.now); /* due at once */
    assert_int_equal(timer(&bed), PERI_NEXT_CALL);
    close_bed(&bed);
}

static void test_branches_are_paused_together(void **state)
{
    struct bed bed;
    open_bed(
        &bed, "actions:\n  - parallel: [[{operator: x.a}, {operator: x.c}], [{delay: 1h}, {operator: x.b}]]", "{}");
    (void)go(&bed);
    (void)person(&bed, PERI_INPUT_PAUSE);
    bed.now += 7200000;
    assert_int_equal(timer(&bed), PERI_NEXT_IGNORED);
    (void)ok_of(&bed, 1, NULL);
    assert_int_equal(bed.run->state, PERI_RUN_PAUSED);
    (void)person(&bed, PERI_INPUT_RESUME);
    assert_string_equal(tasks(&bed), "1:call 2:sleep");
    (void)timer(&bed);
    assert_string_equal(tasks(&bed), "2:call");
    close_bed(&bed);
}

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
        cmocka_unit_test(test_an_action_is_called_once_and_ends_the_run),
        cmocka_unit_test(test_outcome_and_next_intent_leave_together),
        cmocka_unit_test(test_a_missing_field_fails_the_step_without_a_call),
        cmocka_unit_test(test_own_idempotency_key),
        cmocka_unit_test(test_delay),
        cmocka_unit_test(test_delay_forms),
        cmocka_unit_test(test_if_then_else),
        cmocka_unit_test(test_a_guard_that_does_not_hold_skips_the_step),
        cmocka_unit_test(test_a_guard_with_an_operator_is_asked_outside),
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_for_each_binds_its_item_and_numbers_each_round_anew),
        cmocka_unit_test(test_a_round_sees_no_results_of_the_last_one),
        cmocka_unit_test(test_for_each_refuses_what_is_no_list_or_too_long),
        cmocka_unit_test(test_set_and_emit_and_stop),
        cmocka_unit_test(test_an_emit_of_a_bad_type_fails),
        cmocka_unit_test(test_retries_send_the_same_and_end_with_the_budget),
        cmocka_unit_test(test_on_error_of_the_step_handles_and_goes_on),
        cmocka_unit_test(test_continue_on_error),
        cmocka_unit_test(test_rule_on_error_makes_the_failure_handled),
        cmocka_unit_test(test_a_container_handles_what_fails_inside),
        cmocka_unit_test(test_a_failure_inside_a_handler_is_not_handled_by_it_again),
        cmocka_unit_test(test_unknown_outcome_by_delivery_class),
        cmocka_unit_test(test_an_open_attempt_after_a_restart),
        cmocka_unit_test(test_a_run_that_keeps_stopping_the_service_is_given_up),
        cmocka_unit_test(test_an_answer_ends_the_count_of_interruptions),
        cmocka_unit_test(test_an_orderly_stop_is_no_interruption),
        cmocka_unit_test(test_a_clock_set_back_does_not_lengthen_a_delay),
        cmocka_unit_test(test_hold_stops_before_an_attempt),
        cmocka_unit_test(test_variables_have_a_limit),
        cmocka_unit_test(test_long_stretches_are_cut),
        cmocka_unit_test(test_branches_go_side_by_side_and_the_step_ends_with_the_last),
        cmocka_unit_test(test_a_branch_that_fails_lets_the_others_end),
        cmocka_unit_test(test_items_go_side_by_side_up_to_the_number_given),
        cmocka_unit_test(test_stop_in_a_branch_ends_the_run),
        cmocka_unit_test(test_branches_have_branches_and_a_limit),
        cmocka_unit_test(test_a_restart_finds_every_branch),
        cmocka_unit_test(test_no_more_attempts_begin_than_there_is_room_for),
        cmocka_unit_test(test_a_wait_is_a_row_until_its_event_comes),
        cmocka_unit_test(test_a_wait_whose_time_is_over_says_so),
        cmocka_unit_test(test_waits_that_cannot_be),
        cmocka_unit_test(test_branches_wait_each_for_its_own),
        cmocka_unit_test(test_an_answer_is_the_result),
        cmocka_unit_test(test_a_container_that_takes_too_long_fails),
        cmocka_unit_test(test_a_container_that_ends_in_time_has_no_deadline_any_more),
        cmocka_unit_test(test_the_timeout_of_the_rule),
        cmocka_unit_test(test_a_paused_run_begins_nothing),
        cmocka_unit_test(test_branches_are_paused_together),
        cmocka_unit_test(test_every_pair_of_state_and_input),
        cmocka_unit_test(test_a_position_that_does_not_fit_the_rule_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
