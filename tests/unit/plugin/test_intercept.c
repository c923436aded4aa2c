/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "host_rig.h"

/* Interceptors: asked before an action, told after it. */

#define WORK                                                                                                           \
    "return { actions = {"                                                                                             \
    "  [\"w.do\"] = { execute = function(params, ctx) return { done = params.n } end },"                               \
    "  [\"w.fail\"] = { execute = function(params, ctx) error({ code = \"nope\", message = \"no\" }) end },"            \
    "  [\"w.nest\"] = { execute = function(params, ctx) return ctx.call(\"w.do\", params) end },"                      \
    "}, conditions = { [\"w.holds\"] = { evaluate = function() return true end } } }"
#define ASKS "[\"actions:intercept\",\"event:publish:told.*\",\"operators:call\"]"

static void open_rig(struct rig *rig, const char *guard)
{
    rig_init(rig);
    rig_plugin(rig, "work", "[\"operators:call\"]", "", WORK);
    rig_plugin(rig, "guard", ASKS, "", guard);
}

static void until_events(struct rig *rig, int count)
{
    for (int i = 0; rig->events < count && i < 3000; i++)
        peri_loop_once(rig->loop, 10);
    assert_int_equal(rig->events, count);
}

static void test_a_no_is_the_actions_error(void **state)
{
    struct rig rig;
    open_rig(&rig, "return { intercept = { before = function(call) if call.params.n > 3 then return false, \"n is \" .. "
                   "call.params.n end return true end } }");
    rig_load_clean(&rig);
    rig_gives(&rig, "w.do", "{\"n\":3}", "{\"done\":3}");
    struct rig_answer a = rig_fails(&rig, "w.do", "{\"n\":4}", "vetoed");
    assert_string_equal(a.error.message, "vetoed by plugin test.guard: n is 4");
    assert_false(a.error.retryable);
    assert_false(a.error.outcome_unknown);
    a = rig_call(&rig, "w.holds", "{\"n\":9}"); /* conditions are nobody's business */
    assert_true(a.holds);
    a = rig_fails(&rig, "w.nest", "{\"n\":5}", "vetoed");
    rig_finish(&rig);
}

static struct peri_value *audit_of(struct rig *rig, const char *action)
{
    struct peri_reader *reader = NULL;
    struct peri_value *list = NULL;
    struct peri_error err = {0};
    struct peri_audit_filter filter = {.action = action};
    for (int i = 0; i < 300 && peri_store_queued(rig->store); i++)
        peri_loop_once(rig->loop, 5);
    assert_int_equal(peri_store_reader(rig->store, &reader, &err), PERI_OK);
    assert_int_equal(peri_reader_audit(reader, &filter, &list, &err), PERI_OK);
    peri_reader_close(reader);
    return list;
}

static void test_a_no_stands_in_the_audit_trail(void **state)
{
    struct rig rig;
    open_rig(&rig, "return { intercept = { operators = { \"w.d*\" }, before = function() return { allow = false, code = "
                   "\"office.closed\", message = \"come back later\" } end } }");
    rig_load_clean(&rig);
    rig_fails(&rig, "w.do", "{\"n\":1}", "office.closed");
    rig_fails(&rig, "w.fail", "{\"n\":1}", "nope"); /* not asked about */
    struct peri_value *list = audit_of(&rig, "action.vetoed");
    assert_int_equal(peri_value_count(list), 1);
    assert_string_equal(peri_map_text(peri_list_at(list, 0), "target"), "test.guard");
    const struct peri_value *detail = peri_map_at(peri_list_at(list, 0), "detail");
    assert_string_equal(peri_map_text(detail, "operator"), "w.do");
    assert_string_equal(peri_map_text(detail, "code"), "office.closed");
    peri_value_unref(list);
    rig_finish(&rig);
}

static void test_after_sees_how_it_went(void **state)
{
    struct rig rig;
    open_rig(&rig, "return { intercept = { after = function(call, ctx) ctx.emit(\"told.It\", { op = call.operator, ok = "
                   "call.ok, result = call.result, code = call.error and call.error.code }) end } }");
    rig_load_clean(&rig);
    rig_gives(&rig, "w.do", "{\"n\":1}", "{\"done\":1}");
    until_events(&rig, 1);
    assert_string_equal(rig.last_event, "told.It {\"ok\":true,\"op\":\"w.do\",\"result\":{\"done\":1}}");
    rig_fails(&rig, "w.fail", "{}", "nope");
    until_events(&rig, 2);
    assert_string_equal(rig.last_event, "told.It {\"code\":\"nope\",\"ok\":false,\"op\":\"w.fail\"}");
    rig_finish(&rig);
}

static void failing(const char *policy, const char *code)
{
    static const char *const faults[] = {"error(\"x\")", "while true do end", "return 3"};
    char lua[256];
    struct rig rig;
    for (size_t i = 0; i < 3; i++) {
        snprintf(lua, sizeof(lua), "return { intercept = { %s before = function() %s end } }", policy, faults[i]);
        open_rig(&rig, lua);
        rig_load_clean(&rig);
        if (code) {
            struct rig_answer a = rig_fails(&rig, "w.do", "{\"n\":1}", code);
            assert_true(a.error.retryable);
        } else {
            rig_gives(&rig, "w.do", "{\"n\":1}", "{\"done\":1}");
        }
        rig_finish(&rig);
    }
}

static void test_one_that_can_not_say_yes_has_said_no(void **state)
{
    failing("", "intercept.failed");
    failing("on_failure = \"closed\",", "intercept.failed");
}

static void test_unless_it_has_declared_otherwise(void **state)
{
    failing("on_failure = \"open\",", NULL);
}

/* It waits for an answer that does not come: its deadline counts, not the action's. */
static void test_the_deadline_ends_the_waiting(void **state)
{
    struct rig rig;
    open_rig(&rig, "return { intercept = { deadline_ms = 20, before = function(_, ctx) ctx.call(\"slow.wait\", {}) end } }");
    rig_plugin(&rig, "slow", "[]", ",\"limits\":{\"runningMs\":300,\"instructions\":10000000}",
        "return { actions = { [\"slow.wait\"] = { execute = function() while true do end end } } }");
    rig_load_clean(&rig);
    struct rig_answer a = rig_fails(&rig, "w.do", "{\"n\":1}", "intercept.failed");
    assert_non_null(strstr(a.error.message, "[limit.time]"));
    rig_finish(&rig);
}

static void test_they_are_asked_in_the_order_of_their_relationships(void **state)
{
    struct rig rig;
    static const char lua[] = "return { intercept = { before = function(call, ctx) ctx.emit(\"told.Before\", ctx.id) end,"
                              " after = function(call, ctx) ctx.emit(\"told.After\", ctx.id) end } }";
    rig_init(&rig);
    rig_plugin(&rig, "work", "[]", "", WORK);
    rig_plugin(&rig, "a", ASKS, ",\"relationships\":{\"after\":[\"test.c\"]}", lua);
    rig_plugin(&rig, "b", ASKS, ",\"load\":{\"priority\":\"last\"}", lua);
    rig_plugin(&rig, "c", ASKS, "", lua);
    rig_load_clean(&rig);
    rig_gives(&rig, "w.do", "{\"n\":1}", "{\"done\":1}");
    until_events(&rig, 6);
    assert_memory_equal(rig.trail, "\"test.c\" \"test.a\" \"test.b\"", 26);
    rig_finish(&rig);
}

static void test_secrets_are_not_shown_and_own_calls_not_asked_about(void **state)
{
    struct rig rig;
    open_rig(&rig, "return { intercept = { before = function(call, ctx) local r = ctx.call(\"w.do\", { n = 7 }) "
                   "ctx.emit(\"told.It\", { params = call.params, own = r.done, rule = call.rule }) end } }");
    rig_load_clean(&rig);
    struct rig_answer a = rig_call_with(
        &rig, (struct peri_call){.operator_id = "w.do", .rule_id = "r"}, "{\"n\":{\"$secret\":\"pin\"}}");
    assert_non_null(strstr(rig.last_event, "{\"own\":7,\"params\":{\"n\":\"(secret)\"},\"rule\":\"r\"}"));
    assert_int_equal(a.done, true);
    rig_finish(&rig);
}

static void test_it_must_be_allowed(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "guard", "[]", "", "return { intercept = { before = function() end } }");
    rig_load(&rig);
    assert_int_equal(rig.diag.count, 1);
    assert_non_null(strstr(rig.diag.items[0].message, "actions:intercept"));
    rig_finish(&rig);
}

/* The host goes away while an action waits for an interceptor: it gets its answer, once. */
static void test_the_end_of_the_host_answers_what_waits(void **state)
{
    struct rig rig;
    struct rig_answer a = {0};
    open_rig(&rig, "return { intercept = { before = function(_, ctx) ctx.call(\"w.nest\", { n = 1 }) end } }");
    rig_load_clean(&rig);
    struct peri_call call = {.operator_id = "w.do"};
    assert_int_equal(peri_host_call(rig.host, &call, rig_called, &a, &a.error), PERI_OK);
    peri_loop_once(rig.loop, 0);
    rig_finish(&rig);
    assert_true(a.done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_no_is_the_actions_error),
        cmocka_unit_test(test_a_no_stands_in_the_audit_trail),
        cmocka_unit_test(test_after_sees_how_it_went),
        cmocka_unit_test(test_one_that_can_not_say_yes_has_said_no),
        cmocka_unit_test(test_unless_it_has_declared_otherwise),
        cmocka_unit_test(test_the_deadline_ends_the_waiting),
        cmocka_unit_test(test_they_are_asked_in_the_order_of_their_relationships),
        cmocka_unit_test(test_secrets_are_not_shown_and_own_calls_not_asked_about),
        cmocka_unit_test(test_it_must_be_allowed),
        cmocka_unit_test(test_the_end_of_the_host_answers_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
