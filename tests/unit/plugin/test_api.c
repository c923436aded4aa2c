/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>

#include "host_rig.h"
#include "plugin/lua_api.h"

#define ALL                                                                                                            \
    "[\"filesystem:read:/"                                                                                             \
    "tmp\",\"scheduler:read\",\"scheduler:write\",\"event:subscribe:**\",\"data:read:*\",\"data:write:*\",\"storage:"  \
    "read\",\"storage:write\",\"network:outbound:"                                                                     \
    "x.test\",\"event:"                                                                                                \
    "publish:**\","                                                                                                    \
    "\"channels:send:*\",\"operators:call\",\"secrets:mtls\",\"accounts:x\"]"

static const char walk[] = "local own = { id = true, manifest = true, config = true }\n"
                           "return { actions = { ['t.walk'] = { execute = function(p, ctx)\n"
                           "  local names = {}\n"
                           "  local function go(t, prefix) for k, v in pairs(t) do\n"
                           "    if prefix ~= '' or not own[k] then\n"
                           "      if type(v) ~= 'table' or k == 'base64' then names[#names + 1] = prefix .. k end\n"
                           "      if type(v) == 'table' then go(v, prefix .. k .. '.') end end end end\n"
                           "  go(ctx, '') table.sort(names) return names end } } }\n";

/* What a handler with every permission can reach is what is documented, no more and no less. */
static void ctx_holds_exactly_the_known_names(void **state)
{
    struct rig rig;
    struct peri_buf expect;
    rig_init(&rig);
    rig_plugin(&rig, "all", ALL, "", walk);
    rig_load_clean(&rig);
    peri_buf_init(&expect, 8192);
    for (const char *const *name = peri_lua_api_names; *name; name++)
        peri_buf_printf(&expect, "%s\"%s\"", expect.len ? "," : "[", *name);
    peri_buf_putc(&expect, ']');
    rig_gives(&rig, "t.walk", "{}", peri_buf_text(&expect));
    peri_buf_finish(&expect);
    rig_finish(&rig);
}

static void without_permissions_the_names_are_gone(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "none", "[]", "", walk);
    rig_load_clean(&rig);
    struct rig_answer a = rig_call(&rig, "t.walk", "{}");
    static const char *const gone[] = {"data", "storage", "files", "http", "smtp", "emit", "events", "schedule",
        "mappings", "send", "call", "secret", "account", NULL};
    for (const char *const *g = gone; *g; g++) {
        char member[40], function[40];
        snprintf(member, sizeof(member), "\"%s.", *g);
        snprintf(function, sizeof(function), "\"%s\"", *g);
        assert_null(strstr(a.text, member));
        assert_null(strstr(a.text, function));
    }
    assert_non_null(strstr(a.text, "\"crypto.hmac\""));
    rig_finish(&rig);
}

static void read_types(struct peri_buf *out)
{
    DIR *dir = opendir(TEST_SOURCE_DIR "/lua/types");
    struct dirent *entry;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        char path[512], chunk[4096];
        size_t n;
        snprintf(path, sizeof(path), "%s/lua/types/%s", TEST_SOURCE_DIR, entry->d_name);
        FILE *in = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        while (in && (n = fread(chunk, 1, sizeof(chunk), in)) > 0)
            peri_buf_append(out, chunk, n);
        if (in)
            fclose(in);
    }
    closedir(dir);
}

/* Every name has its declaration, and every declaration its name. */
static void types_declare_every_name(void **state)
{
    struct peri_buf types;
    peri_buf_init(&types, 1 << 20);
    read_types(&types);
    for (const char *const *name = peri_lua_api_names; *name; name++) {
        char whole[100], value[100];
        snprintf(whole, sizeof(whole), "function %s%s(", strchr(*name, '.') ? "" : "ctx.", *name);
        snprintf(value, sizeof(value), "\n%s = ", *name);
        if (!strstr(peri_buf_text(&types), whole) && !strstr(peri_buf_text(&types), value))
            fail_msg("lua/types does not declare %s", *name);
    }
    for (const char *p = peri_buf_text(&types); (p = strstr(p, "\nfunction ")); p++) {
        char name[100];
        int n = (int)strcspn(p + 10, "(");
        snprintf(name, sizeof(name), "%.*s", n, p + 10);
        const char *plain = strncmp(name, "ctx.", 4) ? name : name + 4;
        const char *const *known = peri_lua_api_names;
        while (*known && strcmp(*known, plain))
            known++;
        if (!*known)
            fail_msg("lua/types declares %s, which is not there", name);
    }
    peri_buf_finish(&types);
}

/* Wrong arguments of every function: an error with a code, never a crash. */
static void odd_arguments_raise(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "odd", ALL, ",\"limits\":{\"instructions\":10000000}",
        "local odd = { false, 0 / 0, 1e308, '', 'a\\0b', '\\xff\\xfe', function() end, coroutine.create(function() "
        "end), {}, { 1, nil, 3 }, { ['$secret'] = 'k' },\n"
        "  setmetatable({}, { __index = function() error('x') end, __tostring = function() error('y') end, __len = "
        "function() return 1e9 end }), string.rep('x', 70000) }\n"
        "local cycle = {} cycle.a = cycle odd[#odd + 1] = cycle\n"
        "local deep = {} local d = deep for i = 1, 100 do d.a = {} d = d.a end odd[#odd + 1] = deep\n"
        "return { actions = { ['t.odd'] = { execute = function(p, ctx)\n"
        "  local bad = {}\n"
        "  local function try(name, f, ...) local ok, e = pcall(f, ...)\n"
        "    if not ok and not (type(e) == 'table' and e.code and e.message) and not (name:find('^log') or "
        "name:find('^time') or name:find('^json')) then bad[#bad + 1] = name .. ': ' .. tostring(e) end end\n"
        "  local function go(t, prefix) for k, v in pairs(t) do\n"
        "    if type(v) == 'table' and k ~= 'manifest' and k ~= 'config' then go(v, prefix .. k .. '.')\n"
        "    elseif type(v) == 'function' and (prefix .. k):find('^' .. p.area) then\n"
        "      try(prefix .. k, v)\n"
        "      for i = 1, #odd do try(prefix .. k, v, odd[i]) for j = 1, #odd do try(prefix .. k, v, odd[i], odd[j]) "
        "try(prefix .. k, v, 'x', odd[i], odd[j]) end end end end end\n"
        "  go(ctx, '') return bad end } } }\n");
    rig_load_clean(&rig);
    static const char *const areas[] = {
        "data", "storage", "emit", "http", "smtp", "send", "secret", "account", "crypto", "json", "time", NULL};
    for (const char *const *a = areas; *a; a++) {
        char params[64];
        snprintf(params, sizeof(params), "{\"area\":\"%s\"}", *a);
        struct rig_answer answer = rig_call(&rig, "t.odd", params);
        if (answer.status && strncmp(answer.error.code, "limit.", 6))
            fail_msg("%s: %s: %s", *a, answer.error.code, answer.error.message);
        if (!answer.status && strcmp(answer.text, "{}") && strcmp(answer.text, "[]"))
            fail_msg("%s: %s", *a, answer.text);
    }
    rig_finish(&rig);
}

/* The block of docs/plugins.md that follows its marker. malloc'ed. */
static char *example(const char *name)
{
    char marker[100], text[65536];
    FILE *in = fopen(TEST_SOURCE_DIR "/docs/plugins.md", "r");
    assert_non_null(in);
    size_t n = fread(text, 1, sizeof(text) - 1, in);
    fclose(in);
    text[n] = '\0';
    snprintf(marker, sizeof(marker), "<!-- example: %s -->", name);
    char *p = strstr(text, marker);
    assert_non_null(p);
    p = strchr(strstr(p, "```"), '\n') + 1;
    char *end = strstr(p, "\n```");
    assert_non_null(end);
    return strndup(p, (size_t)(end - p));
}

static void the_documented_example_works(void **state)
{
    struct rig rig;
    rig_init(&rig);
    char *manifest = example("plugin.json"), *lua = example("init.lua");
    files_put(&rig.files, "plugins/garden/plugin.json", manifest);
    files_put(&rig.files, "plugins/garden/init.lua", lua);
    free(manifest);
    free(lua);
    rig_load_clean(&rig);
    struct rig_answer a = rig_call(&rig, "garden.needsWater", "{\"bed\":\"roses\"}");
    assert_true(a.holds);
    assert_string_equal(a.text, "{\"actual\":\"never\",\"wanted\":\">= 3\"}");
    rig_fails(&rig, "garden.watered", "{\"bed\":\"roses\",\"liters\":0}", "bad_amount");
    assert_int_equal(rig_call(&rig, "garden.watered", "{\"bed\":\"roses\",\"liters\":2}").status, PERI_OK);
    assert_string_equal(rig.last_event, "garden.Watered {\"bed\":\"roses\",\"liters\":2}");
    a = rig_call(&rig, "garden.needsWater", "{\"bed\":\"roses\"}");
    assert_false(a.holds);
    assert_string_equal(a.text, "{\"actual\":0,\"wanted\":\">= 3\"}");
    rig_finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ctx_holds_exactly_the_known_names),
        cmocka_unit_test(without_permissions_the_names_are_gone),
        cmocka_unit_test(types_declare_every_name),
        cmocka_unit_test(odd_arguments_raise),
        cmocka_unit_test(the_documented_example_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
