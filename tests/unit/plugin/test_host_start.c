/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "host_rig.h"

/* What is loaded, what is not, and what changes while the service runs. */

static void a_bad_plugin_never_stops_the_rest(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "a", "[]", "", "return { actions = { ['t.a'] = { execute = function() return 1 end } } }");
    rig_plugin(&rig, "b", "[]", "", "return { actions = { ['t.a'] = { execute = function() return 2 end } } }");
    rig_plugin(&rig, "c", "[]", "", "local x = 1\nreturn {{ }");
    rig_plugin(&rig, "d", "[]", "", "return { action = {} }");
    rig_plugin(&rig, "e", "[]", "",
        "return { init = function() error('not today') end, actions = { ['t.e'] = { execute = function() end } } }");
    rig_plugin(&rig, "f", "[]", ",\"relationships\":{\"requires\":[{\"pluginId\":\"test.zzz\"}]}", "return {}");
    rig_plugin(&rig, "g", "[\"storage:fly\"]", "", "return {}");
    rig_plugin(&rig, "h", "[]", "", "while true do end");
    rig_load(&rig);
    static const struct {
        const char *file, *code, *part;
        int line;
    } expected[] = {{"b/plugin.json", "plugin.operator", "test.a and by test.b", 0}, {"c/init.lua", "", "", 2},
        {"d/plugin.json", "plugin.package", "actions", 0}, {"e/plugin.json", "lua.error", "not today", 0},
        {"f/plugin.json", "relationship.missing", "test.zzz", 0}, {"g/plugin.json", "bad-permission", "storage:fly", 1},
        {"h/plugin.json", "limit.instructions", "", 0}};
    size_t n = sizeof(expected) / sizeof(expected[0]);
    for (size_t i = 0; i < n; i++) {
        bool found = false;
        for (size_t f = 0; f < rig.diag.count && !found; f++) {
            const struct peri_finding *x = &rig.diag.items[f];
            found = strstr(x->file, expected[i].file) && strstr(x->code, expected[i].code) &&
                    strstr(x->message, expected[i].part) && (!expected[i].line || x->line == expected[i].line);
        }
        if (!found) {
            rig_show(&rig);
            fail_msg("no finding for %s", expected[i].file);
        }
    }
    assert_int_equal(rig.diag.count, n);
    rig_gives(&rig, "t.a", "{}", "1");
    rig_fails(&rig, "t.e", "{}", "unknown_operator");
    struct peri_value *list = NULL;
    assert_int_equal(peri_host_plugins(rig.host, &list), PERI_OK);
    static const char *const states[] = {
        "active", "failed", "failed", "failed", "failed", "blocked", "failed", "failed"};
    for (size_t i = 0; i < 8; i++)
        assert_string_equal(peri_map_text(peri_list_at(list, i), "state"), states[i]);
    peri_value_unref(list);
    rig_finish(&rig);
}

static void unapproved_plugins_are_blocked(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.approve_all = false;
    rig_plugin(&rig, "a", "[\"storage:read\"]", "",
        "return { actions = { ['t.a'] = { execute = function() return 1 end } } }");
    rig_load(&rig);
    assert_int_equal(rig.diag.count, 1);
    assert_string_equal(rig.diag.items[0].code, "policy.not-approved");
    assert_non_null(strstr(rig.diag.items[0].message, "perigee plugins approve test.a"));
    rig_fails(&rig, "t.a", "{}", "unknown_operator");
    rig_finish(&rig);
}

static void settings_are_checked(void **state)
{
    struct rig rig;
    rig_init(&rig);
    const char *schema = ",\"configSchema\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\","
                         "\"default\":3},\"key\":{\"type\":\"string\",\"minLength\":4}}}";
    rig_plugin(&rig, "a", "[]", schema,
        "return { actions = { ['t.a'] = { execute = function(p, ctx) return { n = ctx.config.n, key = "
        "type(ctx.config.key),\n"
        "  shown = tostring(ctx.config.key):find('topsecret') ~= nil, mac = ctx.crypto.hmac('sha1', ctx.config.key, "
        "'data', 'hex') } end } } }");
    snprintf(rig.config, sizeof(rig.config), "{\"key\":{\"$secret\":\"k\"}}");
    assert_int_equal(peri_secrets_set(rig.secrets, "k", "topsecret", 9, NULL), PERI_OK);
    rig_load_clean(&rig);
    rig_gives(&rig, "t.a", "{}",
        "{\"key\":\"userdata\",\"mac\":\"5ce508184b4c7a485fdc5ae668c4c5ad8ef15fc7\",\"n\":3,\"shown\":false}");
    rig_finish(&rig);
}

static void unconfigured_is_no_error(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "sms", "[]",
        ",\"configSchema\":{\"type\":\"object\",\"required\":[\"sid\"],\"properties\":{\"sid\":{\"type\":\"string\"}}}",
        "return { channel = { type = 'sms', send = function() return { ok = true } end } }");
    rig_plugin(&rig, "user", "[\"channels:send:sms\"]", "",
        "return { actions = { ['t.send'] = { execute = function(p, ctx) return ctx.send('sms', { to = '+1', body = "
        "p.body }) end } } }");
    rig_load_clean(&rig);
    rig_gives(&rig, "t.send", "{\"body\":\"hello\"}", "{\"channel\":\"outbox\",\"ok\":true}");
    struct peri_reader *reader = NULL;
    struct peri_value *list = NULL;
    assert_int_equal(peri_store_reader(rig.store, &reader, NULL), PERI_OK);
    assert_int_equal(peri_reader_outbox(reader, 0, 10, &list, NULL), PERI_OK);
    assert_int_equal(peri_value_count(list), 1);
    assert_string_equal(peri_map_text(peri_list_at(list, 0), "body"), "hello");
    assert_string_equal(peri_map_text(peri_list_at(list, 0), "channel_type"), "sms");
    peri_value_unref(list);
    peri_reader_close(reader);
    rig_finish(&rig);
}

/* --- change at run time --- */

static void set_done(void *arg)
{
    *(bool *)arg = true;
}

static void reload_swaps_only_what_loads(void **state)
{
    struct rig rig;
    struct peri_error err = {0};
    bool done = false;
    rig_init(&rig);
    rig_plugin(&rig, "a", "[]", "", "return { actions = { ['t.a'] = { execute = function() return 1 end } } }");
    rig_load_clean(&rig);
    files_put(
        &rig.files, "plugins/a/init.lua", "return { actions = { ['t.b'] = { execute = function() return 2 end } } }");
    rig_gives(&rig, "t.a", "{}", "1");
    assert_int_equal(peri_host_reload(rig.host, "test.a", set_done, &done, &err), PERI_OK);
    rig_wait(&rig, &done);
    rig_gives(&rig, "t.b", "{}", "2");
    rig_fails(&rig, "t.a", "{}", "unknown_operator");
    files_put(&rig.files, "plugins/a/init.lua", "return {");
    done = false;
    assert_int_equal(peri_host_reload(rig.host, "test.a", set_done, &done, &err), PERI_OK);
    rig_wait(&rig, &done);
    rig_gives(&rig, "t.b", "{}", "2"); /* the last good version stays */
    files_put(
        &rig.files, "plugins/a/init.lua", "return { actions = { ['t.c'] = { execute = function() return 3 end } } }");
    rig_plugin(&rig, "b", "[]", "", "return { actions = { ['t.new'] = { execute = function() return 4 end } } }");
    assert_int_equal(peri_host_load_now(rig.host, &rig.diag), PERI_OK); /* as on SIGHUP: both are there when it ends */
    rig_gives(&rig, "t.c", "{}", "3");
    rig_gives(&rig, "t.new", "{}", "4");
    rig_fails(&rig, "t.b", "{}", "unknown_operator");
    assert_int_equal(peri_host_set_enabled(rig.host, "test.a", false, &err), PERI_OK);
    rig_fails(&rig, "t.c", "{}", "unknown_operator");
    files_put(&rig.files, "plugins/a/init.lua",
        "local on = 0\nreturn { on_enable = function() on = on + 1 end, actions = { ['t.on'] = { execute = function() "
        "return on end } } }");
    assert_int_equal(peri_host_set_enabled(rig.host, "test.a", true, &err), PERI_OK);
    for (int i = 0; !peri_host_operator(rig.host, "t.on") && i < 500; i++)
        peri_loop_once(rig.loop, 10);
    rig_gives(&rig, "t.on", "{}", "1");
    assert_int_equal(peri_host_reload(rig.host, "test.none", NULL, NULL, &err), PERI_ENOTFOUND);
    rig_finish(&rig);
}

/* A new version is told at once, what was in service before is not told again. */
static void ready_is_told_once(void **state)
{
    struct rig rig;
    static const char lua[] = "local n = 0\nreturn { ready = function() n = n + 1 end, actions = {\n"
                              "['t.%s'] = { execute = function() return n end } } }";
    char text[256];
    rig_init(&rig);
    snprintf(text, sizeof(text), lua, "a");
    rig_plugin(&rig, "a", "[]", "", text);
    rig_load_clean(&rig);
    rig_gives(&rig, "t.a", "{}", "1");
    snprintf(text, sizeof(text), lua, "b");
    rig_plugin(&rig, "b", "[]", "", text);
    assert_int_equal(peri_host_load_now(rig.host, &rig.diag), PERI_OK);
    rig_gives(&rig, "t.a", "{}", "1");
    rig_gives(&rig, "t.b", "{}", "1");
    snprintf(text, sizeof(text), lua, "c");
    files_put(&rig.files, "plugins/b/init.lua", text);
    assert_int_equal(peri_host_load_now(rig.host, &rig.diag), PERI_OK);
    rig_gives(&rig, "t.c", "{}", "1");
    rig_finish(&rig);
}

static void changed_folders_are_noticed(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.watch = true;
    rig_plugin(&rig, "a", "[]", "",
        "local n = 0\nreturn { actions = { ['t.a'] = { execute = function() n = n + 1 return n end } } }");
    rig_load_clean(&rig);
    rig_gives(&rig, "t.a", "{}", "1");
    rig_plugin(&rig, "b", "[]", "", "return { actions = { ['t.b'] = { execute = function() return 'b' end } } }");
    for (int i = 0; !peri_host_operator(rig.host, "t.b") && i < 500; i++)
        peri_loop_once(rig.loop, 10);
    rig_gives(&rig, "t.b", "{}", "\"b\"");
    rig_gives(&rig, "t.a", "{}", "2"); /* what did not change is left alone */
    char path[200];
    snprintf(path, sizeof(path), "%s/b/plugin.json", rig.plugins);
    assert_int_equal(unlink(path), 0);
    for (int i = 0; peri_host_operator(rig.host, "t.b") && i < 500; i++)
        peri_loop_once(rig.loop, 10);
    rig_fails(&rig, "t.b", "{}", "unknown_operator");
    rig_finish(&rig);
}

/* A server that answers nobody until it is told to. */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_plugin_never_stops_the_rest),
        cmocka_unit_test(unapproved_plugins_are_blocked),
        cmocka_unit_test(settings_are_checked),
        cmocka_unit_test(unconfigured_is_no_error),
        cmocka_unit_test(reload_swaps_only_what_loads),
        cmocka_unit_test(ready_is_told_once),
        cmocka_unit_test(changed_folders_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
