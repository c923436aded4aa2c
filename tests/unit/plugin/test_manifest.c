/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "plugin/manifest.h"

#define HEAD                                                                                                           \
    "\"id\":\"io.example.a\",\"name\":\"A\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\","       \
    "\"entrypoint\":\"./init.lua\""

static void whole_manifest_is_read(void **state)
{
    static const char text[] =
        "{\n  \"id\": \"io.madeopen.comms-rules\", \"name\": \"Communications\", \"version\": \"1.0.0-rc.1\",\n"
        "\t\"type\": \"connector\", \"apiVersion\": \"1.0\", \"entrypoint\": \"./init.lua\",\n"
        "  \"permissions\": [\"data:read:calls\", \"network:outbound:*.example.com\", "
        "\"network:outbound:{config.host}\", \"data:read:calls\"],\n"
        "  \"configSchema\": {\"type\": \"object\", \"properties\": {\"host\": {\"type\": \"string\"}}},\n"
        "  \"relationships\": {\"requires\": [{\"pluginId\": \"io.example.b\", \"versionRange\": \">=1.0 <2\"}], "
        "\"optional\": []},\n"
        "  \"load\": {\"priority\": \"default\"},\n"
        "  \"events\": [{\"eventName\": \"comms.CallMissed\", \"direction\": \"publish\", \"schema\": {}, "
        "\"maxPayloadBytes\": 65536}],\n"
        "  \"limits\": {\"instructions\": 5000, \"runningMs\": 100, \"memoryBytes\": 8388608, \"wallMs\": 30000},\n"
        "  \"mtlsSecrets\": [\"cert\"], \"author\": \"\", \"description\": \"d\", \"homepage\": \"\", \"license\": "
        "\"Apache-2.0\"\n}\n";
    struct peri_manifest *m = NULL;
    struct peri_diag diag;
    peri_diag_init(&diag);
    assert_int_equal(peri_manifest_parse("x/plugin.json", text, strlen(text), &m, &diag), PERI_OK);
    assert_int_equal(diag.count, 0);
    assert_string_equal(m->id, "io.madeopen.comms-rules");
    assert_string_equal(m->entrypoint, "init.lua");
    assert_int_equal(m->type, PERI_PLUGIN_CONNECTOR);
    assert_int_equal(m->permission_count, 3);
    assert_int_equal(m->limits.instructions, 5000);
    assert_int_equal(m->limits.wall_ms, 30000);
    assert_non_null(m->config_schema);
    assert_false(m->native);
    peri_manifest_destroy(m);
    peri_diag_finish(&diag);
}

struct mistake {
    const char *text, *code;
    int line, column;
    const char *part; /* of message or hint */
};

static const struct mistake mistakes[] = {
    {"{\"id\": ", "json-syntax", 1, 0, "JSON"},
    {"{" HEAD ",\n \"author\": \"a\\u0000b\"}", "json-syntax", 0, 0, "NUL"},
    {"{" HEAD ",\n \"permissions\": [\"network:outbound:good.example\\u0000.evil.example\"]}", "json-syntax", 0, 0,
        "NUL"},
    {"{" HEAD ",\n \"permission\": []}", "unknown-key", 2, 2, "permissions"},
    {"{" HEAD ",\n \"id\": \"x.y\"}", "json-syntax", 0, 0, "duplicate"},
    {"{\"id\":\"io.example.a\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\",\"entrypoint\":\"./"
     "init.lua\"}",
        "missing-key", 1, 1, "\"name\""},
    {"{\n\"id\": \"rules\",\"name\":\"A\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\","
     "\"entrypoint\":\"./init.lua\"}",
        "bad-id", 2, 7, "taken"},
    {"{\n\"id\": "
     "\"Io.Example\",\"name\":\"A\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\",\"entrypoint\":"
     "\"./init.lua\"}",
        "bad-id", 2, 7, "Io.Example"},
    {"{\"id\":\"io.example.a\",\"name\":\"A\",\"version\":\"1.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\","
     "\"entrypoint\":\"./init.lua\"}",
        "bad-version", 1, 0, "semantic"},
    {"{\"id\":\"io.example.a\",\"name\":\"A\",\"version\":\"1.0.0\",\"type\":\"plugin\",\"apiVersion\":\"1.0\","
     "\"entrypoint\":\"./init.lua\"}",
        "bad-value", 1, 0, "connector"},
    {"{\"id\":\"io.example.a\",\"name\":\"A\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"2.0\","
     "\"entrypoint\":\"./init.lua\"}",
        "api-version", 1, 0, "too old"},
    {"{\"id\":\"io.example.a\",\"name\":\"A\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.1\","
     "\"entrypoint\":\"./init.lua\"}",
        "api-version", 1, 0, "1.0"},
    {"{\"id\":\"io.example.a\",\"name\":\"A\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\","
     "\"entrypoint\":\"../init.lua\"}",
        "bad-entrypoint", 1, 0, "inside"},
    {"{\"id\":\"io.example.a\",\"name\":\"A\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\","
     "\"entrypoint\":\"init.py\"}",
        "bad-entrypoint", 1, 0, ".lua"},
    {"{" HEAD ",\"permissions\": [\n\"storage:reed\"]}", "bad-permission", 2, 1, "storage:read"},
    {"{" HEAD ",\"permissions\": [\n\"network:outbound:https://x.example\"]}", "bad-permission", 2, 1, "host"},
    {"{" HEAD ",\"permissions\": \"storage:read\"}", "bad-type", 1, 0, "list"},
    {"{" HEAD ",\"configSchema\": {\"typ\": \"object\"}}", "bad-schema", 1, 0, "typ"},
    {"{" HEAD ",\"limits\": {\"memory\": 1}}", "unknown-key", 1, 0, "memory"},
    {"{" HEAD ",\"limits\": {\"wallMs\": -1}}", "out-of-range", 1, 0, "wallMs"},
    {"{" HEAD ",\"relationships\": {\"requires\": [{}]}}", "bad-id", 1, 0, "pluginId"},
    {"{" HEAD ",\"load\": {\"priority\": \"now\"}}", "bad-value", 1, 0, "default"},
    {"{" HEAD ",\"events\": [{\"eventName\": \"a.b\"}]}", "bad-value", 1, 0, "direction"},
    {"[]", "bad-type", 1, 1, "an object"},
    {"", "json-syntax", 1, 0, "JSON"},
};

static void each_mistake_has_its_place(void **state)
{
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        const struct mistake *k = &mistakes[i];
        struct peri_manifest *m = NULL;
        struct peri_diag diag;
        peri_diag_init(&diag);
        assert_int_equal(peri_manifest_parse("plugin.json", k->text, strlen(k->text), &m, &diag), PERI_EINVAL);
        assert_null(m);
        if (diag.count != 1)
            for (size_t f = 0; f < diag.count; f++)
                print_message("%s: %s\n", k->text, diag.items[f].message);
        assert_int_equal(diag.count, 1);
        const struct peri_finding *f = &diag.items[0];
        assert_string_equal(f->code, k->code);
        if (k->line)
            assert_int_equal(f->line, k->line);
        if (k->column)
            assert_int_equal(f->column, k->column);
        if (!strstr(f->message, k->part) && !(f->hint && strstr(f->hint, k->part)))
            fail_msg("%s: %s (%s) lacks %s", k->text, f->message, f->hint ? f->hint : "", k->part);
        peri_diag_finish(&diag);
    }
}

static void permissions_are_checked(void **state)
{
    static const char *const good[] = {"network:outbound:api.example.com", "network:outbound:*.example.com:8443",
        "network:outbound:10.0.0.1", "network:outbound:[::1]:80", "network:outbound:{config.server.url}",
        "network:inbound", "filesystem:read:/var/data", "event:publish:comms.*", "event:publish:comms.**",
        "event:subscribe:a.b", "data:read:calls", "data:write:*", "storage:write", "scheduler:read", "operators:call",
        "channels:send:sms", "channels:send:*", "accounts:google", "secrets:mtls", "contacts:read", NULL};
    static const char *const bad[] = {"filesystem:read:/a\033[2K", "network:outbound:{config.\x7f}", "", "storage",
        "storage:read:x", "network:outbound:", "network:outbound:a b", "network:outbound:a:99999",
        "network:outbound:{env.X}", "network:outbound:user@host", "network:outbound:a..b", "filesystem:read:relative",
        "filesystem:read:/a/../b", "event:publish:", "event:publish:a..b", "data:read:", "data:erase:call", "*", NULL};
    for (const char *const *p = good; *p; p++)
        if (peri_permission_check(*p, NULL))
            fail_msg("refused: %s", *p);
    for (const char *const *p = bad; *p; p++)
        if (!peri_permission_check(*p, NULL))
            fail_msg("accepted: %s", *p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_manifest_is_read),
        cmocka_unit_test(each_mistake_has_its_place),
        cmocka_unit_test(permissions_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
