/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "host_rig.h"
#include "plugin/refusal.h"

/* plugins/<name>: says its name when its init has run. */
static void put(struct rig *rig, const char *name, const char *version, const char *relations)
{
    char path[128], json[1024], lua[256];
    snprintf(path, sizeof(path), "plugins/%s/plugin.json", name);
    snprintf(json, sizeof(json),
        "{\"id\":\"test.%s\",\"name\":\"%s\",\"version\":\"%s\",\"type\":\"operator\",\"apiVersion\":\"1.0\","
        "\"entrypoint\":\"./init.lua\",\"permissions\":[\"event:publish:t.*\"]%s%s}",
        name, name, version,
        relations[0] == '!' ? "," : ",\"relationships\":", relations[0] == '!' ? relations + 1 : relations);
    files_put(&rig->files, path, json);
    snprintf(path, sizeof(path), "plugins/%s/init.lua", name);
    snprintf(lua, sizeof(lua), "return { init = function(ctx) ctx.emit('t.init', '%s') end }", name);
    files_put(&rig->files, path, lua);
}

static const struct peri_value *row(const struct peri_value *list, const char *name)
{
    char id[64];
    snprintf(id, sizeof(id), "test.%s", name);
    for (size_t i = 0; i < peri_value_count(list); i++)
        if (!strcmp(peri_map_text(peri_list_at(list, i), "id"), id))
            return peri_list_at(list, i);
    fail_msg("no plugin %s", id);
    return NULL;
}

static void assert_state(struct rig *rig, const char *name, const char *state, const char *code, const char *part)
{
    struct peri_value *list = NULL;
    assert_int_equal(peri_host_plugins(rig->host, &list), PERI_OK);
    const struct peri_value *p = row(list, name), *refusal = peri_map_at(p, "refusal");
    assert_string_equal(peri_map_text(p, "state"), state);
    if (code) {
        assert_non_null(refusal);
        assert_string_equal(peri_map_text(refusal, "code"), code);
        if (!strstr(peri_map_text(refusal, "message"), part))
            fail_msg("%s is not in: %s", part, peri_map_text(refusal, "message"));
        assert_non_null(peri_map_text(refusal, "remedy"));
    }
    peri_value_unref(list);
}

static void order_follows_relationships_then_priority(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.workers = 1; /* two would run the init handlers of unrelated plugins side by side */
    put(&rig, "a", "1.0.0", "{\"requires\":[{\"pluginId\":\"test.c\",\"versionRange\":\"^1.2\"}]}");
    put(&rig, "b", "1.0.0", "{\"after\":[\"test.a\"],\"optional\":[{\"pluginId\":\"test.zzz\"}]}");
    put(&rig, "c", "1.3.0", "{}");
    put(&rig, "d", "1.0.0", "{\"before\":[\"test.c\"]}");
    put(&rig, "e", "1.0.0", "!\"load\":{\"priority\":\"first\"}");
    put(&rig, "f", "1.0.0", "!\"load\":{\"priority\":\"last\"}");
    put(&rig, "g", "1.0.0", "{\"before\":[{\"pluginId\":\"test.e\",\"versionRange\":\">=2\"}]}");
    rig_load_clean(&rig);
    const char *trail = rig.trail;
    static const char *const pairs[][2] = {{"c", "a"}, {"a", "b"}, {"d", "c"}, {"e", "d"}, {"g", "f"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char first[8], second[8];
        snprintf(first, sizeof(first), "\"%s\"", pairs[i][0]);
        snprintf(second, sizeof(second), "\"%s\"", pairs[i][1]);
        const char *x = strstr(trail, first), *y = strstr(trail, second);
        if (!x || !y || x > y)
            fail_msg("%s should come before %s: %s", first, second, trail);
    }
    rig_finish(&rig);
}

static void each_refusal_says_why(void **state)
{
    struct rig rig;
    rig_init(&rig);
    put(&rig, "a", "1.0.0", "{\"requires\":[{\"pluginId\":\"test.none\",\"versionRange\":\"^1\"}]}");
    put(&rig, "b", "1.0.0", "{\"requires\":[{\"pluginId\":\"test.good\",\"versionRange\":\"^2\"}]}");
    put(&rig, "c", "1.0.0", "{\"requires\":[{\"pluginId\":\"test.a\"}]}");
    put(&rig, "d", "1.0.0", "{\"conflicts\":[{\"pluginId\":\"test.good\",\"versionRange\":\"<1.5\"}]}");
    put(&rig, "e", "1.0.0", "{\"conflicts\":[{\"pluginId\":\"test.good\",\"versionRange\":\">1.5\"}]}");
    put(&rig, "f", "1.0.0", "{\"optional\":[{\"pluginId\":\"test.good\",\"versionRange\":\"1.5.x\"}]}");
    put(&rig, "good", "1.4.0", "{}");
    put(&rig, "x", "1.0.0", "{\"requires\":[\"test.y\"]}");
    put(&rig, "y", "1.0.0", "{\"after\":[\"test.z\"]}");
    put(&rig, "z", "1.0.0", "{\"optional\":[\"test.x\"]}");
    put(&rig, "behind", "1.0.0", "{\"after\":[\"test.z\"]}");
    rig_load(&rig);
    assert_state(&rig, "good", "active", NULL, NULL);
    assert_state(&rig, "a", "blocked", "relationship.missing", "test.none ^1");
    assert_state(&rig, "b", "blocked", "relationship.version", "1.4.0 is there");
    assert_state(&rig, "c", "blocked", "relationship.inactive", "test.a");
    assert_state(&rig, "d", "blocked", "relationship.conflict", "test.good 1.4.0");
    assert_state(&rig, "e", "active", NULL, NULL);
    assert_state(&rig, "f", "blocked", "relationship.version", "test.good 1.5.x");
    assert_state(&rig, "x", "blocked", "relationship.cycle", "test.z -> test.x");
    assert_state(&rig, "y", "blocked", "relationship.cycle", "test.x -> test.y -> test.z -> test.x");
    assert_state(&rig, "z", "blocked", "relationship.cycle", "test.y -> test.z");
    assert_state(&rig, "behind", "active", NULL, NULL);
    assert_int_equal(rig.diag.count, 8);
    rig_finish(&rig);
}

static void only_one_of_two_that_exclude_each_other_goes(void **state)
{
    struct rig rig;
    rig_init(&rig);
    put(&rig, "a", "1.0.0", "{\"conflicts\":[\"test.b\"]}");
    put(&rig, "b", "1.0.0", "{\"conflicts\":[\"test.a\"]}");
    rig_load(&rig);
    assert_state(&rig, "a", "blocked", "relationship.conflict", "test.b");
    assert_state(&rig, "b", "active", NULL, NULL);
    rig_finish(&rig);
}

static void one_that_fails_takes_those_that_require_it_along(void **state)
{
    struct rig rig;
    rig_init(&rig);
    put(&rig, "a", "1.0.0", "{\"requires\":[\"test.bad\"]}");
    put(&rig, "b", "1.0.0", "{\"optional\":[\"test.bad\"]}");
    rig_plugin(&rig, "bad", "[]", "", "return { init = function() error('no') end }");
    rig_load(&rig);
    assert_state(&rig, "bad", "failed", NULL, NULL);
    assert_state(&rig, "a", "blocked", "relationship.inactive", "failed");
    assert_state(&rig, "b", "active", NULL, NULL);
    rig_finish(&rig);
}

static void set_true(void *arg)
{
    *(bool *)arg = true;
}

static void reload(struct rig *rig)
{
    bool done = false;
    peri_diag_finish(&rig->diag);
    peri_diag_init(&rig->diag);
    assert_int_equal(peri_host_load(rig->host, &rig->diag, set_true, &done), PERI_OK);
    rig_wait(rig, &done);
}

static void an_update_is_seen_by_its_neighbours(void **state)
{
    struct rig rig;
    struct peri_error err = {0};
    bool done = false;
    rig_init(&rig);
    put(&rig, "user", "1.0.0", "{\"requires\":[{\"pluginId\":\"test.lib\",\"versionRange\":\"^1\"}]}");
    put(&rig, "lib", "1.0.0", "{}");
    rig_load_clean(&rig);
    put(&rig, "lib", "2.0.0", "{}");
    assert_int_equal(peri_host_reload(rig.host, "test.lib", set_true, &done, &err), PERI_OK);
    rig_wait(&rig, &done);
    assert_state(&rig, "user", "blocked", "relationship.version", "2.0.0 is there");
    put(&rig, "user", "2.0.0", "{\"requires\":[{\"pluginId\":\"test.lib\",\"versionRange\":\"^2\"}]}");
    reload(&rig);
    assert_state(&rig, "user", "active", NULL, NULL);
    /* both at once, the one that requires first in the folder's order */
    put(&rig, "user", "3.0.0", "{\"requires\":[{\"pluginId\":\"test.lib\",\"versionRange\":\"^3\"}]}");
    put(&rig, "lib", "3.0.0", "{}");
    reload(&rig);
    assert_state(&rig, "user", "active", NULL, NULL);
    assert_state(&rig, "lib", "active", NULL, NULL);
    rig_finish(&rig);
}

static void mistakes_have_their_place(void **state)
{
    struct rig rig;
    rig_init(&rig);
    put(&rig, "a", "1.0.0", "{\"requires\":[{\"pluginId\":\"test.b\",\"versionRange\":\"latest\"}]}");
    put(&rig, "b", "1.0.0", "{\"requires\":[\"test.b\"]}");
    rig_load(&rig);
    assert_int_equal(rig.diag.errors, 2);
    assert_string_equal(rig.diag.items[0].code, "bad-range");
    assert_string_equal(rig.diag.items[1].code, "bad-value");
    rig_finish(&rig);
}

static void every_refusal_has_its_remedy(void **state)
{
    for (const char *const *code = peri_refusal_codes; *code; code++)
        assert_non_null(peri_refusal_remedy(*code));
    assert_null(peri_refusal_remedy("mine"));
}

/* --- limits --- */

static void policy_caps_limits(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "a", "[]", ",\"limits\":{\"instructions\":5000000}",
        "return { actions = { ['t.loop'] = { execute = function(p) for i = 1, p.n do end return 'done' end } } }");
    rig_load_clean(&rig);
    rig_gives(&rig, "t.loop", "{\"n\":500000}", "\"done\"");
    files_put(&rig.files, "policy.yaml", "plugins:\n  test.a:\n    limits: {instructions: 20000}\n");
    reload(&rig);
    assert_int_equal(rig.diag.count, 0);
    rig_fails(&rig, "t.loop", "{\"n\":500000}", "limit.instructions");
    rig_gives(&rig, "t.loop", "{\"n\":500}", "\"done\"");
    files_put(&rig.files, "policy.yaml", "plugins:\n  test.a:\n    limits: {instruction: 20000, wallMs: soon}\n");
    reload(&rig);
    assert_int_equal(rig.diag.errors, 2);
    rig_finish(&rig);
}

static void operations_have_a_rate(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "a", "[\"storage:read\"]", ",\"limits\":{\"operationsPerSecond\":2}",
        "return { actions = { ['t.many'] = { execute = function(p, ctx)\n"
        "  for i = 1, p.n do local ok, e = pcall(ctx.storage.get, 'k') if not ok then return {i, e.code, e.retryable, "
        "e.retry_after > 0} end end return 'all' end } } }");
    rig_load_clean(&rig);
    rig_gives(&rig, "t.many", "{\"n\":20}", "\"all\""); /* ten seconds' worth at once */
    struct rig_answer a = rig_call(&rig, "t.many", "{\"n\":20}");
    if (!strstr(a.text, ",\"limit.rate\",true,true]"))
        fail_msg("%s", a.text);
    rig_finish(&rig);
}

static void storage_is_bounded_in_keys_and_bytes(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "a", "[\"storage:read\",\"storage:write\"]",
        ",\"limits\":{\"storageBytes\":5000,\"storageKeys\":3}",
        "return { actions = { ['t.set'] = { execute = function(p, ctx)\n"
        "  local ok, e = pcall(ctx.storage.set, p.key, p.size and ('x'):rep(p.size)) return ok or e.code end },\n"
        "  ['t.list'] = { execute = function(p, ctx) return ctx.storage.list() end },\n"
        "  ['t.clear'] = { execute = function(p, ctx) return ctx.storage.clear() end } } }");
    rig_load_clean(&rig);
    rig_gives(&rig, "t.set", "{\"key\":\"a\",\"size\":3000}", "true");
    rig_gives(&rig, "t.set", "{\"key\":\"b\",\"size\":3000}", "\"limit.storage\"");
    rig_gives(&rig, "t.set", "{\"key\":\"a\",\"size\":4000}", "true");
    rig_gives(&rig, "t.set", "{\"key\":\"a\",\"size\":10}", "true");
    rig_gives(&rig, "t.set", "{\"key\":\"b\",\"size\":3000}", "true");
    rig_gives(&rig, "t.set", "{\"key\":\"c\",\"size\":10}", "true");
    rig_gives(&rig, "t.set", "{\"key\":\"d\",\"size\":10}", "\"limit.storage\"");
    rig_gives(&rig, "t.set", "{\"key\":\"c\"}", "true");
    rig_gives(&rig, "t.set", "{\"key\":\"d\",\"size\":10}", "true");
    rig_gives(&rig, "t.clear", "{}", "3");
    rig_gives(&rig, "t.set", "{\"key\":\"e\",\"size\":4000}", "true");
    rig_gives(&rig, "t.list", "{}", "[\"e\"]");
    rig_finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_follows_relationships_then_priority),
        cmocka_unit_test(each_refusal_says_why),
        cmocka_unit_test(only_one_of_two_that_exclude_each_other_goes),
        cmocka_unit_test(one_that_fails_takes_those_that_require_it_along),
        cmocka_unit_test(an_update_is_seen_by_its_neighbours),
        cmocka_unit_test(mistakes_have_their_place),
        cmocka_unit_test(every_refusal_has_its_remedy),
        cmocka_unit_test(policy_caps_limits),
        cmocka_unit_test(operations_have_a_rate),
        cmocka_unit_test(storage_is_bounded_in_keys_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
