/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/vm_fixture.h"

/* Walks everything that a chunk can reach and compares with the exact list. */

static const char walker[] =
    "local seen, names = {}, {}\n"
    "local function walk(path, v)\n"
    "  local kind = type(v)\n"
    "  if kind ~= 'table' and kind ~= 'function' and kind ~= 'userdata' and kind ~= 'thread' then return end\n"
    "  if seen[v] then return end\n"
    "  seen[v] = true\n"
    "  names[#names + 1] = path\n"
    "  local mt = getmetatable(v)\n"
    "  if mt then walk(path .. '<meta>', mt) end\n"
    "  if kind ~= 'table' then return end\n"
    "  local keys = {}\n"
    "  for k in next, v do keys[#keys + 1] = k end\n"
    "  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)\n"
    "  for _, k in ipairs(keys) do walk(path .. '.' .. tostring(k), k) walk(path .. '.' .. tostring(k), v[k]) end\n"
    "end\n"
    "return { main = function(...)\n"
    "  walk('_G', _G)\n"
    "  walk('_ENV', _ENV)\n"
    "  walk('load', load('return _ENV')())\n"
    "  walk('string meta', getmetatable(''))\n"
    "  walk('number meta', getmetatable(1))\n"
    "  walk('nil meta', getmetatable(nil))\n"
    "  walk('function meta', getmetatable(print))\n"
    "  walk('method', ('').rep)\n"
    "  walk('gmatch', getmetatable((''):gmatch('')))\n"
    "  local co = coroutine.create(function() walk('thread', getmetatable((coroutine.running()))) end)\n"
    "  coroutine.resume(co)\n"
    "  walk('thread meta', getmetatable(co))\n"
    "  walk('running meta', getmetatable((coroutine.running())))\n"
    "  for i = 1, select('#', ...) do walk('argument', (select(i, ...))) end\n"
    "  return names\n"
    "end }\n";

static const char *const expected[] = {
    "_G",
    "_G.assert",
    "_G.collectgarbage",
    "_G.coroutine",
    "_G.coroutine.close",
    "_G.coroutine.create",
    "_G.coroutine.isyieldable",
    "_G.coroutine.resume",
    "_G.coroutine.running",
    "_G.coroutine.status",
    "_G.coroutine.wrap",
    "_G.coroutine.yield",
    "_G.error",
    "_G.getmetatable",
    "_G.ipairs",
    "_G.load",
    "_G.math",
    "_G.math.abs",
    "_G.math.acos",
    "_G.math.asin",
    "_G.math.atan",
    "_G.math.ceil",
    "_G.math.cos",
    "_G.math.deg",
    "_G.math.exp",
    "_G.math.floor",
    "_G.math.fmod",
    "_G.math.log",
    "_G.math.max",
    "_G.math.min",
    "_G.math.modf",
    "_G.math.rad",
    "_G.math.random",
    "_G.math.randomseed",
    "_G.math.sin",
    "_G.math.sqrt",
    "_G.math.tan",
    "_G.math.tointeger",
    "_G.math.type",
    "_G.math.ult",
    "_G.next",
    "_G.pairs",
    "_G.pcall",
    "_G.print",
    "_G.rawequal",
    "_G.rawget",
    "_G.rawlen",
    "_G.rawset",
    "_G.select",
    "_G.setmetatable",
    "_G.string",
    "_G.string.byte",
    "_G.string.char",
    "_G.string.find",
    "_G.string.format",
    "_G.string.gmatch",
    "_G.string.gsub",
    "_G.string.len",
    "_G.string.lower",
    "_G.string.match",
    "_G.string.pack",
    "_G.string.packsize",
    "_G.string.rep",
    "_G.string.reverse",
    "_G.string.sub",
    "_G.string.unpack",
    "_G.string.upper",
    "_G.table",
    "_G.table.concat",
    "_G.table.insert",
    "_G.table.move",
    "_G.table.pack",
    "_G.table.remove",
    "_G.table.sort",
    "_G.table.unpack",
    "_G.tonumber",
    "_G.tostring",
    "_G.type",
    "_G.utf8",
    "_G.utf8.char",
    "_G.utf8.codepoint",
    "_G.utf8.codes",
    "_G.utf8.len",
    "_G.utf8.offset",
    "_G.xpcall",
};

static void test_nothing_but_the_list_can_be_reached(void **state)
{
    struct peri_vm_call *call;
    struct peri_error err = {0};
    struct peri_value *names = NULL;
    struct peri_vm *vm = vm_with(NULL, walker);
    if (vm_start(vm, "main", &call, &err) != PERI_VM_DONE)
        fail_msg("%s: %s", err.code, err.message);
    assert_int_equal(peri_vm_call_result(call, 0, 65536, &names, &err), PERI_OK);
    size_t n = sizeof(expected) / sizeof(expected[0]);
    for (size_t i = 0; i < peri_value_count(names) && i < n; i++)
        assert_string_equal(peri_value_text(peri_list_at(names, i)), expected[i]);
    assert_int_equal(peri_value_count(names), n);
    peri_value_unref(names);
    peri_vm_call_destroy(call);
    peri_vm_destroy(vm);
}

static void test_usual_ways_out_are_closed(void **state)
{
    static const char *const absent[] = {
        "io",
        "os",
        "debug",
        "package",
        "dofile",
        "loadfile",
        "loadstring",
        "require",
        "warn",
        "string.dump",
        "_G.io",
        "_G._G.os",
        "coroutine.wrap(function() return debug end)()",
        "load('return os')()",
        "load('return io', 'x', 't', {})()",
        "rawget(_G, 'debug')",
        "getmetatable(_G)",
        "_ENV.os",
        "string.dump",
        "table.foreach",
        "math.pow",
        "getfenv",
        "setfenv",
        "newproxy",
        "jit",
        "bit32",
        "unpack",
        "arg",
    };
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
        char body[256];
        snprintf(body, sizeof(body), "return (%s) == nil", absent[i]);
        expect_result(body, "true");
    }
    expect_result("return select(2, load('\\27Lua'))", "\"attempt to load a binary chunk (mode is 't')\"");
    expect_result("return {pcall(function() setmetatable('x', {}) end)}",
        "[false,\"init.lua:1: bad argument #1 to 'setmetatable' (table expected, got string)\"]");
    expect_result("return {_VERSION, math.pi > 3, utf8.charpattern ~= nil, math.maxinteger}",
        "[\"Lua 5.4\",true,true,9223372036854775807]");
    /* what a plugin does to its own globals stays in its state */
    expect_result(
        "string.format = nil table = nil _G.pcall = nil return {('').format == nil, table == nil}", "[true,true]");
    expect_result("return {string.format == nil, table == nil}", "[false,false]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_but_the_list_can_be_reached),
        cmocka_unit_test(test_usual_ways_out_are_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
