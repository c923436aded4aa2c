/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts of rules, called as rules call them: as the operator "lua" with {kind, code, at, line, names}. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "plugin/host_rig.h"

struct outcome {
    bool done, holds;
    struct peri_error error;
    char *value;
};

static void called(void *arg, const struct peri_call_result *result)
{
    struct outcome *o = arg;
    o->done = true;
    o->holds = result->holds;
    o->error = result->error;
    o->value = result->value ? peri_json_text(result->value, PERI_JSON_SORTED) : NULL;
}

static struct outcome run(struct rig *rig, const char *kind, const char *code, const char *names, const char *rule)
{
    struct outcome o = {0};
    struct peri_value *params = peri_value_map(), *given = NULL;
    struct peri_error err = {0};
    assert_int_equal(peri_json_parse(names, strlen(names), &given, &err), PERI_OK);
    assert_int_equal(peri_map_put_text(params, "kind", kind), PERI_OK);
    assert_int_equal(peri_map_put_text(params, "code", code), PERI_OK);
    assert_int_equal(peri_map_put_text(params, "at", "rules/x.yaml"), PERI_OK);
    assert_int_equal(peri_map_put_int(params, "line", 10), PERI_OK);
    assert_int_equal(peri_map_put(params, "names", given), PERI_OK);
    struct peri_call call = {.operator_id = "lua", .params = params, .rule_id = rule};
    enum peri_status st = peri_host_call(rig->host, &call, called, &o, &err);
    if (st)
        o.error = err;
    while (!st && !o.done)
        peri_loop_once(rig->loop, 100);
    peri_value_unref(params);
    return o;
}

static void gives(struct rig *rig, const char *code, const char *names, const char *value)
{
    struct outcome o = run(rig, "step", code, names, "r");
    if (o.error.status)
        print_message("%s: %s\n", code, o.error.message);
    assert_int_equal(o.error.status, PERI_OK);
    assert_string_equal(o.value ? o.value : "nothing", value);
    free(o.value);
}

static void fails(struct rig *rig, const char *kind, const char *code, const char *error, const char *message)
{
    struct outcome o = run(rig, kind, code, "{\"event\": {\"n\": 1}}", code);
    assert_string_equal(o.error.code, error);
    if (!strstr(o.error.message, message))
        fail_msg("%s: %s", code, o.error.message);
    free(o.value);
}

static void returns_values(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_load_clean(&rig);
    gives(&rig, "return event.n + 1", "{\"event\": {\"n\": 1}}", "2");
    gives(&rig, "event.n + 1", "{\"event\": {\"n\": 1}}", "2");
    gives(&rig, "local t = {}\nfor i, v in ipairs(steps.a) do t[i] = v * 2 end\nreturn t",
        "{\"steps\": {\"a\": [1, 2]}}", "[2,4]");
    gives(&rig, "local x = 1", "{}", "nothing");
    gives(&rig, "return ctx, require, io, os, event", "{\"event\": null}", "nothing");
    struct outcome o = run(&rig, "condition", "return event.n > 1, {actual = event.n}", "{\"event\": {\"n\": 3}}", "r");
    assert_true(o.holds);
    assert_string_equal(o.value, "{\"actual\":3}");
    free(o.value);
    rig_finish(&rig);
}

static void keeps_nothing(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_load_clean(&rig);
    for (int i = 0; i < 3; i++)
        gives(&rig, "count = (count or 0) + 1; string.kept = (string.kept or 0) + 1; return count + string.kept", "{}",
            "2");
    rig_finish(&rig);
}

static void names_the_line_in_the_rule(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_load_clean(&rig);
    fails(&rig, "step", "local a\n\nreturn a.b", "lua.error", "rules/x.yaml:12: attempt to index a nil value");
    fails(&rig, "step", "error('no')", "lua.error", "rules/x.yaml:10: no");
    fails(&rig, "step", "error({code = 'mine', message = 'so'})", "mine", "so");
    fails(&rig, "condition", "return event.n", "bad_result", "must return true or false");
    fails(&rig, "condition", "return nil", "bad_result", "must return true or false");
    fails(&rig, "step", "return print", "bad_argument", "");
    fails(&rig, "step", "return coroutine.yield(1)", "lua.error", "");
    rig_finish(&rig);
}

static void ends_at_its_limits(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_load_clean(&rig);
    fails(&rig, "condition", "while true do end", "limit.instructions", "");
    fails(&rig, "step", "pcall(function() while true do end end) return 1", "limit.instructions", "");
    fails(&rig, "step", "local t = {} for i = 1, 1e9 do t[i] = {i} end", "limit.memory", "");
    fails(&rig, "step", "return string.rep('x', 9e6)", "limit.memory", "");
    gives(&rig, "return 1", "{}", "1");
    rig_finish(&rig);
}

static void rests_until_it_is_changed(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_load_clean(&rig);
    struct outcome o;
    for (int i = 0; i < 3; i++) {
        o = run(&rig, "step", "while true do end", "{}", "hog");
        assert_string_equal(o.error.code, "limit.instructions");
    }
    o = run(&rig, "step", "while true do end", "{}", "hog");
    assert_string_equal(o.error.code, "plugin_suspended");
    assert_non_null(strstr(o.error.message, "rule hog"));
    o = run(&rig, "step", "return 1", "{}", "other");
    assert_string_equal(o.value, "1");
    free(o.value);
    o = run(&rig, "step", "return 2", "{}", "hog");
    assert_string_equal(o.value, "2");
    free(o.value);
    rig_finish(&rig);
}

static void is_for_rules_only(void **state)
{
    struct rig rig;
    struct peri_error err = {0};
    int line = 0;
    rig_init(&rig);
    files_put(&rig.files, "plugins/sly/plugin.json",
        "{\"id\":\"sly\",\"name\":\"Sly\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\","
        "\"entrypoint\":\"./init.lua\"}");
    files_put(&rig.files, "plugins/sly/init.lua", "return {actions = {lua = {execute = function() end}}}");
    rig_load(&rig);
    assert_int_equal(rig.diag.count, 1);
    assert_string_equal(rig.diag.items[0].code, "plugin.operator");
    struct outcome o = run(&rig, "step", "return 1", "{}", NULL);
    assert_string_equal(o.error.code, "unknown_operator");
    assert_int_equal(peri_host_check_lua("return 1 +\n\n then", 17, &line, &err), PERI_EINVAL);
    assert_int_equal(line, 3);
    assert_non_null(strstr(err.message, "unexpected symbol near 'then'"));
    assert_int_equal(peri_host_check_lua("event.n > 1", 11, &line, &err), PERI_OK);
    rig_finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(returns_values),
        cmocka_unit_test(keeps_nothing),
        cmocka_unit_test(names_the_line_in_the_rule),
        cmocka_unit_test(ends_at_its_limits),
        cmocka_unit_test(rests_until_it_is_changed),
        cmocka_unit_test(is_for_rules_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
