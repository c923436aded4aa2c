/* SPDX-License-Identifier: Apache-2.0 */
/* The states that a plugin goes through, each way that there is. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "host_rig.h"

#define HANDLER "return { actions = { ['t.do'] = { execute = function(p, ctx) return 1 end } } }"

/* "discovered validated ...". */
static const char *life(struct rig *rig, const char *id, char out[512])
{
    struct peri_value *list = NULL;
    out[0] = '\0';
    assert_int_equal(peri_host_plugins(rig->host, &list), PERI_OK);
    for (size_t i = 0; i < peri_value_count(list); i++) {
        const struct peri_value *p = peri_list_at(list, i), *steps = peri_map_at(p, "life");
        if (strcmp(peri_map_text(p, "id"), id) != 0)
            continue;
        for (size_t k = 0; k < peri_value_count(steps); k++) {
            size_t used = strlen(out);
            assert_non_null(peri_map_at(peri_list_at(steps, k), "at"));
            snprintf(out + used, 512 - used, "%s%s", used ? " " : "", peri_map_text(peri_list_at(steps, k), "state"));
        }
    }
    peri_value_unref(list);
    return out;
}

static void goes(struct rig *rig, const char *id, const char *steps)
{
    char text[512];
    for (int i = 0; i < 1000 && strcmp(life(rig, id, text), steps) != 0; i++)
        peri_loop_once(rig->loop, 1);
    assert_string_equal(life(rig, id, text), steps);
}

static bool settings(void *ctx, const char *id, struct peri_plugin_settings *ret)
{
    *ret = (struct peri_plugin_settings){.enabled = strcmp(id, "test.off") != 0};
    return strcmp(id, "test.off") == 0;
}

static void each_way_has_its_states(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.settings = settings;
    rig_plugin(&rig, "good", "[]", "", HANDLER);
    rig_plugin(&rig, "off", "[]", "", "return {}");
    rig_plugin(&rig, "broken", "[]", "", "return {");
    rig_plugin(&rig, "start", "[]", "", "return { init = function() error('no') end }");
    rig_plugin(&rig, "invalid", "\"none\"", "", "return {}");
    rig_plugin(&rig, "asks", "[]", ",\"configSchema\":{\"type\":\"object\",\"required\":[\"a\"]}", "return {}");
    rig_plugin(&rig, "needs", "[]",
        ",\"relationships\":{\"requires\":[{\"pluginId\":\"test.nobody\",\"versionRange\":\">=1\"}]}", "return {}");
    rig_load(&rig);
    goes(&rig, "test.good", "discovered validated loading ready active");
    goes(&rig, "test.off", "discovered validated disabled");
    goes(&rig, "test.broken", "discovered validated loading failed");
    goes(&rig, "test.start", "discovered validated loading ready failed");
    goes(&rig, "invalid", "discovered failed"); /* by the name of its folder */
    goes(&rig, "test.asks", "discovered validated unconfigured");
    goes(&rig, "test.needs", "discovered validated blocked");
    rig_finish(&rig);
}

static void nobody_has_agreed(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.approve_all = false;
    rig_plugin(&rig, "new", "[]", "", "return {}");
    rig_load(&rig);
    goes(&rig, "test.new", "discovered validated blocked");
    rig_finish(&rig);
}

static void called(void *arg, const struct peri_call_result *result)
{
    *(bool *)arg = true;
}

/* Off and on again, with a call under way; then a new version, which takes the place of the old one. */
static void it_is_unloaded_when_its_calls_have_ended(void **state)
{
    struct rig rig;
    struct peri_error err = {0};
    bool done = false;
    rig_init(&rig);
    rig_plugin(&rig, "p", "[]", "", HANDLER);
    rig_load_clean(&rig);
    struct peri_call call = {.operator_id = "t.do"};
    assert_int_equal(peri_host_call(rig.host, &call, called, &done, &err), PERI_OK);
    assert_int_equal(peri_host_set_enabled(rig.host, "test.p", false, &err), PERI_OK);
    char text[512];
    assert_string_equal(life(&rig, "test.p", text), "discovered validated loading ready active disabled unloading");
    rig_wait(&rig, &done);
    goes(&rig, "test.p", "discovered validated loading ready active disabled unloading unloaded");
    assert_int_equal(peri_host_set_enabled(rig.host, "test.p", true, &err), PERI_OK);
    goes(&rig, "test.p",
        "discovered validated loading ready active disabled unloading unloaded discovered validated loading ready "
        "active");
    rig_plugin(&rig, "p", "[]", "", "return { init = function() end }");
    assert_int_equal(peri_host_reload(rig.host, "test.p", NULL, NULL, &err), PERI_OK);
    goes(&rig, "test.p",
        "discovered validated loading ready active disabled unloading unloaded discovered validated loading ready "
        "active "
        "discovered validated loading ready unloading unloaded active");
    rig_plugin(&rig, "p", "[]", "", "return {");
    assert_int_equal(peri_host_reload(rig.host, "test.p", NULL, NULL, &err), PERI_OK);
    for (int i = 0; i < 3000 && !strstr(life(&rig, "test.p", text), "loading failed"); i++)
        peri_loop_once(rig.loop, 1);
    assert_non_null(strstr(text, "loading failed"));
    rig_finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way_has_its_states),
        cmocka_unit_test(nobody_has_agreed),
        cmocka_unit_test(it_is_unloaded_when_its_calls_have_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
