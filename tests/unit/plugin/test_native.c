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
    assert_int_not_equal(peri_native_open(path, NULL, NULL, &native, &err), PERI_OK);
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
    refused("mock10", "native.symbol", "mock_nobody_has_this");
    refused("mock12", "native.operator", "size");
    refused("mock14", "native.operator", "channel");
}

static void put_file(const struct files *files, const char *name, const void *bytes, size_t len, char path[256])
{
    snprintf(path, 256, "%s/%s", files->dir, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
}

static void file_is(const char *path, const char *code, const char *part)
{
    struct peri_native *native = NULL;
    struct peri_error err = {0};
    assert_int_not_equal(peri_native_open(path, NULL, NULL, &native, &err), PERI_OK);
    assert_string_equal(err.code, code);
    if (!strstr(err.message, part))
        fail_msg("%s lacks %s", err.message, part);
}

/* What was put in place of a shared object. */
static void files_that_are_none_say_what_they_are(void **state)
{
    struct files files;
    char path[256], head[64];
    files_init(&files);
    put_file(&files, "empty.so", "", 0, path);
    file_is(path, "native.format", "too short");
    memset(head, '-', sizeof(head));
    put_file(&files, "text.so", head, sizeof(head), path);
    file_is(path, "native.format", "not an ELF file");
    FILE *own = fopen(TEST_MOCKS "/mock0.so", "r");
    assert_non_null(own);
    assert_int_equal(fread(head, 1, sizeof(head), own), sizeof(head));
    fclose(own);
    head[16] = 1; /* e_type: an object that was not linked */
    put_file(&files, "object.so", head, sizeof(head), path);
    file_is(path, "native.format", "-shared");
    head[18] = (char)0xf3; /* e_machine */
    put_file(&files, "riscv.so", head, sizeof(head), path);
    file_is(path, "native.arch", "risc-v");
    files_finish(&files);
}

/* Structs of an older header lack members, those of a newer one have some that nobody knows here. */
static void structs_may_be_of_another_size(void **state)
{
    struct peri_native *native = NULL;
    struct peri_error err = {0};
    assert_int_equal(peri_native_open(TEST_MOCKS "/mock11.so", NULL, NULL, &native, &err), PERI_OK);
    assert_int_equal(native->operator_count, 2);
    assert_string_equal(native->operators[0].id, "mock.old");
    assert_null(native->operators[0].lookup);
    assert_string_equal(native->operators[1].id, "mock.new");
    peri_native_close(native);
}

static void tried(int mock, const char *code, const char *part)
{
    char path[512];
    struct peri_error err = {0};
    snprintf(path, sizeof(path), "%s/mock%d.so", TEST_MOCKS, mock);
    enum peri_status st = peri_native_probe(TEST_PERIGEE, path, mock == 9 ? 1500 : 60000, &err);
    assert_string_equal(err.code, code);
    assert_int_equal(st == PERI_OK, !*code);
    if (!strstr(err.message, part))
        fail_msg("%s lacks %s", err.message, part);
}

/* What would end or stop the service ends another process. */
static void a_process_of_its_own_tries_first(void **state)
{
    struct peri_error err = {0};
    tried(0, "", "");
    tried(2, "native.init", "no coffee");
    tried(4, "native.entry", "perigee_plugin_init");
    tried(6, "native.crashed", "crashed while its init ran: signal 6");
    tried(6, "native.crashed", "(mock: nothing works)");
    tried(7, "native.crashed", "signal 11");
    tried(8, "native.crashed", "exit status 3");
    tried(9, "native.hangs", "did not come to an end");
    tried(13, "native.crashed", "while its constructors ran: signal 4");
    assert_int_not_equal(peri_native_probe("/nowhere/perigee", TEST_MOCKS "/mock0.so", 1000, &err), PERI_OK);
    assert_string_equal(err.code, "native.probe");
}

/* The service goes on, and so do other plugins. */
static void a_crash_in_init_is_a_refusal(void **state)
{
    struct rig rig;
    struct peri_value *list = NULL;
    rig_init(&rig);
    rig.options.probe_program = TEST_PERIGEE;
    files_put(&rig.files, "plugins/bad/plugin.json",
        "{\"id\":\"test.bad\",\"name\":\"b\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\","
        "\"entrypoint\":\"./bad.so\"}");
    char command[1024];
    snprintf(command, sizeof(command), "cp '%s/mock7.so' '%s/plugins/bad/bad.so'", TEST_MOCKS, rig.files.dir);
    assert_int_equal(system(command), 0);
    rig_plugin(&rig, "good", "[]", "", "return { actions = { ['g.do'] = { execute = function() return 1 end } } }");
    rig_load(&rig);
    rig_gives(&rig, "g.do", "{}", "1");
    assert_int_equal(peri_host_plugins(rig.host, &list), PERI_OK);
    const struct peri_value *bad = peri_list_at(list, 0), *why = peri_map_at(bad, "error");
    assert_string_equal(peri_map_text(bad, "state"), "failed");
    assert_string_equal(peri_map_text(why, "code"), "native.crashed");
    assert_non_null(strstr(peri_map_text(why, "remedy"), "perigee plugins probe"));
    peri_value_unref(list);
    rig_finish(&rig);
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
        "return { actions = { ['w.do'] = { execute = function(p) return p.n end }, ['v.do'] = { execute = function(p) "
        "return "
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
        cmocka_unit_test(files_that_are_none_say_what_they_are),
        cmocka_unit_test(structs_may_be_of_another_size),
        cmocka_unit_test(a_process_of_its_own_tries_first),
        cmocka_unit_test(a_crash_in_init_is_a_refusal),
        cmocka_unit_test(c_operators_follow_the_same_rules),
        cmocka_unit_test(bundled_plugins_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
