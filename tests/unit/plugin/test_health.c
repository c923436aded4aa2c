/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "host_rig.h"

/* Plugins that are not well are started anew; one that can not begin is tried again. */

static char found[256];

/* A member of what is told about a plugin: "state", or of its health. */
static const char *told(struct rig *rig, const char *id, const char *of_health, const char *key)
{
    struct peri_value *list = NULL;
    assert_int_equal(peri_host_plugins(rig->host, &list), PERI_OK);
    found[0] = '\0';
    for (size_t i = 0; i < peri_value_count(list); i++) {
        const struct peri_value *p = peri_list_at(list, i), *from = of_health ? peri_map_at(p, of_health) : p;
        const char *text = peri_map_text(from, key);
        if (!strcmp(peri_map_text(p, "id"), id) && text)
            snprintf(found, sizeof(found), "%s", text);
    }
    peri_value_unref(list);
    return found;
}

#define UNTIL(rig, condition)                                                                                          \
    do {                                                                                                               \
        int rounds = 0;                                                                                                \
        while (!(condition) && rounds++ < 3000)                                                                        \
            peri_loop_once((rig)->loop, 5);                                                                            \
        if (!(condition))                                                                                              \
            fail_msg("never: %s", #condition);                                                                         \
    } while (0)

/* Its first life is not well; each life counts itself. */
static void test_one_that_is_not_well_is_started_anew(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.health_ms = 10;
    rig_plugin(&rig, "a", "[\"storage:read\",\"storage:write\"]", "",
        "local life\n"
        "return { init = function(ctx) life = (ctx.storage.get('life') or 0) + 1 ctx.storage.set('life', life) end,\n"
        "  health = function(ctx) if life == 1 then return false, 'a cold' end return true end,\n"
        "  actions = { ['a.life'] = { execute = function() return { life = life } end } } }");
    rig_plugin(&rig, "b", "[]", "", "return { actions = { ['b.ok'] = { execute = function() return { ok = true } end } } }");
    rig_load_clean(&rig);
    assert_string_equal(told(&rig, "test.a", "health", "state"), "unknown");
    rig_gives(&rig, "a.life", "{}", "{\"life\":1}");
    UNTIL(&rig, !strcmp(told(&rig, "test.a", "health", "message"), "a cold"));
    UNTIL(&rig, !strcmp(told(&rig, "test.a", "health", "state"), "ok"));
    rig_gives(&rig, "a.life", "{}", "{\"life\":2}");
    rig_gives(&rig, "b.ok", "{}", "{\"ok\":true}");
    assert_string_equal(told(&rig, "test.b", "health", "state"), "");
    rig_finish(&rig);
}

static void unwell(const char *answer, const char *message)
{
    struct rig rig;
    char lua[256];
    rig_init(&rig);
    rig.options.health_ms = 10;
    snprintf(lua, sizeof(lua), "return { health = function() %s end }", answer);
    rig_plugin(&rig, "a", "[]", "", lua);
    rig_load_clean(&rig);
    UNTIL(&rig, strstr(told(&rig, "test.a", "health", "message"), message));
    rig_finish(&rig);
}

static void test_errors_limits_and_odd_answers_are_no_good_health(void **state)
{
    unwell("error('broken')", "broken");
    unwell("while true do end", "instructions");
    unwell("return 3", "must return true");
    unwell("return false", "no reason");
}

/* Its init fails twice: it is tried again later and later, and the neighbour does not notice. */
static void test_a_failed_init_is_tried_again(void **state)
{
    struct rig rig;
    char path[128];
    rig_init(&rig);
    rig.options.health_ms = 10;
    files_put(&rig.files, "tries/none", "");
    snprintf(path, sizeof(path), "[\"filesystem:read:%s/tries\"]", rig.files.dir);
    char lua[512];
    snprintf(lua, sizeof(lua),
        "return { init = function(ctx) ctx.files.read('%s/tries/now') end,\n"
        "  actions = { ['a.ok'] = { execute = function() return { ok = true } end } } }",
        rig.files.dir);
    rig_plugin(&rig, "a", path, "", lua);
    rig_plugin(&rig, "b", "[]", "", "return { actions = { ['b.ok'] = { execute = function() return { ok = true } end } } }");
    rig_load(&rig);
    assert_string_equal(told(&rig, "test.a", NULL, "state"), "failed");
    assert_true(strlen(told(&rig, "test.a", "health", "next_restart")) > 0);
    rig_gives(&rig, "b.ok", "{}", "{\"ok\":true}");
    rig_fails(&rig, "a.ok", "{}", "unknown_operator");
    files_put(&rig.files, "tries/now", "");
    UNTIL(&rig, !strcmp(told(&rig, "test.a", NULL, "state"), "active"));
    rig_gives(&rig, "a.ok", "{}", "{\"ok\":true}");
    rig_finish(&rig);
}

static void test_one_that_was_switched_off_stays_so(void **state)
{
    struct rig rig;
    struct peri_error err = {0};
    rig_init(&rig);
    rig.options.health_ms = 10;
    rig_plugin(&rig, "a", "[]", "", "return { init = function() error('no') end }");
    rig_load(&rig);
    assert_int_equal(peri_host_set_enabled(rig.host, "test.a", false, &err), PERI_OK);
    for (int i = 0; i < 20; i++)
        peri_loop_once(rig.loop, 5);
    assert_string_equal(told(&rig, "test.a", NULL, "state"), "disabled");
    assert_string_equal(told(&rig, "test.a", "health", "next_restart"), "");
    rig_finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_that_is_not_well_is_started_anew),
        cmocka_unit_test(test_errors_limits_and_odd_answers_are_no_good_health),
        cmocka_unit_test(test_a_failed_init_is_tried_again),
        cmocka_unit_test(test_one_that_was_switched_off_stays_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
