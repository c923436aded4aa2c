/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "host_rig.h"
#include "plugin/native.h"

static void refused(const char *name, const char *code, const char *part)
{
    char path[512];
    struct peri_native *native = NULL;
    struct peri_error err = {0};
    snprintf(path, sizeof(path), "%s/%s.so", TEST_MOCKS, name);
    assert_int_not_equal(peri_native_open(path, &native, &err), PERI_OK);
    assert_string_equal(err.code, code);
    if (!strstr(err.message, part))
        fail_msg("%s lacks %s", err.message, part);
}

static void what_can_not_work_is_refused(void **state)
{
    refused("missing", "native.load", "missing.so");
    refused("mock1", "native.version", "99");
    refused("mock2", "native.init", "no coffee");
    refused("mock3", "native.operator", "id");
    refused("mock4", "native.entry", "perigee_plugin_init");
}

static void copy(struct rig *rig, const char *from, const char *to)
{
    char command[1024];
    snprintf(command, sizeof(command), "cp '%s/%s' '%s/%s'", TEST_MOCKS, from, rig->files.dir, to);
    assert_int_equal(system(command), 0);
}

static void c_operators_follow_the_same_rules(void **state)
{
    struct rig rig;
    rig_init(&rig);
    files_put(&rig.files, "plugins/mock/plugin.json",
        "{\"id\":\"test.mock\",\"name\":\"m\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\","
        "\"entrypoint\":\"./mock0.so\",\"permissions\":[\"data:write:task\",\"event:publish:mock.*\"]}");
    copy(&rig, "mock0.so", "plugins/mock/mock0.so");
    rig_load_clean(&rig);
    struct rig_answer a = rig_call(&rig, "mock.more", "{\"n\":6}");
    assert_true(a.holds);
    assert_string_equal(a.text, "{\"actual\":6}");
    rig_fails(&rig, "mock.more", "{}", "params");
    a = rig_call(&rig, "mock.note", "{\"title\":\"x\"}");
    assert_int_equal(a.status, PERI_OK);
    assert_non_null(strstr(a.text, "\"id\":\""));
    assert_string_equal(rig.last_event, "mock.Noted {\"title\":\"x\"}");
    assert_int_equal(rig.submits, 1);
    a = rig_fails(&rig, "mock.note", "{\"what\":\"fail\"}", "mock.no");
    assert_true(a.error.retryable);
    rig_fails(&rig, "mock.note", "{\"what\":\"silent\"}", "failed");
    rig_fails(&rig, "mock.note", "{\"what\":\"contact\"}", "denied");
    assert_int_equal(rig.submits, 1);
    struct peri_value *v = NULL;
    assert_int_equal(peri_host_operators(rig.host, "mock.note", &v), PERI_OK);
    assert_string_equal(peri_map_text(v, "delivery"), "repeat");
    peri_value_unref(v);
    rig_finish(&rig);
}

/* Every plugin that comes with perigee loads, with the policy that comes with it and no settings. */
static void bundled_plugins_load(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.approve_all = false;
    rig.options.bundled_path = TEST_STAGE;
    rig_load_clean(&rig);
    struct peri_value *list = NULL;
    assert_int_equal(peri_host_plugins(rig.host, &list), PERI_OK);
    assert_true(peri_value_count(list) >= 8);
    for (size_t i = 0; i < peri_value_count(list); i++) {
        const char *state_name = peri_map_text(peri_list_at(list, i), "state");
        if (strcmp(state_name, "active") && strcmp(state_name, "unconfigured"))
            fail_msg("%s is %s", peri_map_text(peri_list_at(list, i), "id"), state_name);
    }
    peri_value_unref(list);
    struct rig_answer a = rig_call(&rig, "data.update",
        "{\"type\":\"task\",\"externalId\":\"x\",\"source\":\"s\",\"set\":{\"title\":\"a\",\"n\":1},\"create\":true}");
    assert_string_equal(a.error.message, "");
    rig_fails(&rig, "data.update", "{\"type\":\"task\",\"id\":\"zz\",\"set\":{\"title\":\"a\"}}", "not_found");
    rig_fails(&rig, "data.update", "{\"type\":\"task\",\"set\":{\"title\":\"a\"}}", "bad_params");
    a = rig_call(&rig, "data.update", "{\"type\":\"task\",\"externalId\":\"x\",\"set\":{\"title\":\"b\",\"n\":null}}");
    assert_string_equal(a.error.message, "");
    assert_non_null(strstr(a.text, "\"title\":\"b\""));
    assert_null(strstr(a.text, "\"n\""));
    a = rig_call(&rig, "data.query", "{\"type\":\"task\",\"where\":{\"title\":\"b\"}}");
    assert_string_equal(a.error.message, "");
    assert_non_null(strstr(a.text, "{\"count\":1,\"items\":["));
    assert_null(strstr(a.text, "\"n\":"));
    rig_fails(&rig, "data.query", "{\"type\":\"task\",\"wher\":{}}", "params");
    rig_finish(&rig);
}

/* The same hooks as Lua has. */
static void c_plugins_have_a_health_and_intercept(void **state)
{
    struct rig rig;
    bool ill = false;
    rig_init(&rig);
    rig.options.health_ms = 10;
    files_put(&rig.files, "plugins/mock/plugin.json",
        "{\"id\":\"test.mock\",\"name\":\"m\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\","
        "\"entrypoint\":\"./mock5.so\",\"permissions\":[\"actions:intercept\"]}");
    copy(&rig, "mock5.so", "plugins/mock/mock5.so");
    rig_plugin(&rig, "w", "[]", "",
        "return { actions = { ['w.do'] = { execute = function(p) return p.n end }, ['v.do'] = { execute = function(p) return "
        "p.n end } } }");
    rig_load_clean(&rig);
    rig_gives(&rig, "w.do", "{\"n\":3}", "3");
    struct rig_answer a = rig_fails(&rig, "w.do", "{\"n\":4}", "mock.much");
    assert_string_equal(a.error.message, "vetoed by plugin test.mock: too much");
    rig_gives(&rig, "v.do", "{\"n\":4}", "4");
    for (int i = 0; i < 1000 && !ill; i++) {
        struct peri_value *list = NULL;
        peri_loop_once(rig.loop, 5);
        assert_int_equal(peri_host_plugins(rig.host, &list), PERI_OK);
        for (size_t k = 0; k < peri_value_count(list); k++) {
            const char *why = peri_map_text(peri_map_at(peri_list_at(list, k), "health"), "message");
            ill = ill || (why && !strcmp(why, "a sore throat"));
        }
        peri_value_unref(list);
    }
    assert_true(ill);
    rig_finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c_plugins_have_a_health_and_intercept),
        cmocka_unit_test(what_can_not_work_is_refused),
        cmocka_unit_test(c_operators_follow_the_same_rules),
        cmocka_unit_test(bundled_plugins_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
