/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/vm_fixture.h"
#include <lauxlib.h>
#include <lualib.h>

/* The replaced library functions against liblua's own: the same random programs have to give the same text. */

static const char program[] =
    "local seed = ...\n"
    "local function rnd(n) seed = (seed * 1103515245 + 12345) % 2147483648 return seed // 65536 % n + 1 end\n"
    "local function pick(t) return t[rnd(#t)] end\n"
    "local atoms = {'a', 'b', '.', '%a', '%d', '%s', '%w', '%A', '[ab]', '[^a]', '[%d-]', '[a-c]', '[]x]', '%%', '-', "
    "'(', ')', '()',\n"
    "  '%1', '%b()', '%f[%w]', '^', '$', 'x', '(a', 'b)', '(.)', '[', '%', '%bx', '%f', '\\0', '[^%s%p]'}\n"
    "local marks = {'', '', '', '*', '+', '-', '?'}\n"
    "local letters = {'a', 'b', 'c', 'x', '1', ' ', '(', ')', '-', '%', '\\0', ']'}\n"
    "local function text(n, from, with) local t = {} for i = 1, rnd(n) - 1 do t[i] = pick(from) .. (with and "
    "pick(with) or '') end return table.concat(t) end\n"
    "local out = {}\n"
    "local function note(...) local t = table.pack(...) for i = 1, t.n do t[i] = type(t[i]) == 'string' and "
    "('%q'):format((t[i]:gsub(\"argument #%d to '[^']*' %(\", 'argument ('))) or (tostring(t[i]):gsub('table: .*', "
    "'table')) end\n"
    "  out[#out + 1] = table.concat(t, ' ') end\n"
    "for i = 1, 150 do\n"
    "  local s, p = text(14, letters), text(5, atoms, marks)\n"
    "  local init = rnd(12) - 6\n"
    "  out[#out + 1] = ('# %q %q %d'):format(s, p, init)\n"
    "  note(pcall(string.find, s, p, init))\n"
    "  note(pcall(string.find, s, p, init, true))\n"
    "  note(pcall(string.match, s, p, init))\n"
    "  note(pcall(string.gsub, s, p, pick({'<%0>', '%1', '%%', 'y', ''}), pick({100, 1, 0, 2})))\n"
    "  note(pcall(string.gsub, s, p, function(a, b) return pick({a, b, false, 'z'}) end))\n"
    "  note(pcall(string.gsub, s, p, {a = 'A', b = false}))\n"
    "  note(pcall(function() local r = {} for a, b in s:gmatch(p, init) do r[#r + 1] = tostring(a) .. '/' .. "
    "tostring(b) end return table.concat(r, ',') end))\n"
    "  note(pcall(string.rep, s, rnd(5) - 2, p))\n"
    "  note(pcall(string.byte, s, init, rnd(12) - 6))\n"
    "  local t, u = {}, {} for k = 1, rnd(30) do t[k] = rnd(100) u[k] = t[k] end\n"
    "  table.sort(t) table.sort(u, function(a, b) return a > b end) note(table.concat(t, ','), table.concat(u, ','))\n"
    "  note(pcall(table.concat, t, '-', init, rnd(30))) note(pcall(table.insert, t, init, 5)) note(pcall(table.remove, "
    "t, init))\n"
    "  note(pcall(table.move, t, init, rnd(8), rnd(8) - 4, pick({t, u}))) note(#t, pcall(table.concat, u, ','))\n"
    "  note(pcall(table.unpack, u, init, rnd(9))) note(pcall(utf8.codepoint, s, init, rnd(9)))\n"
    "end\n"
    "return table.concat(out, '\\n')\n";

static char *run_plain(int seed)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if (luaL_loadbufferx(L, program, sizeof(program) - 1, "=init.lua", "t") != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    lua_pushinteger(L, seed);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    char *text = strdup(lua_tostring(L, -1));
    lua_close(L);
    return text;
}

static char *result_text;

static int take_text(lua_State *L)
{
    result_text = strdup(luaL_checkstring(L, 1));
    return 0;
}

static int open_take(lua_State *L, void *user)
{
    lua_pushcfunction(L, take_text);
    lua_setglobal(L, "take");
    return 0;
}

static int push_seed(lua_State *L, void *user)
{
    lua_pushinteger(L, *(int *)user);
    return 1;
}

static char *run_restricted(int seed)
{
    char package[sizeof(program) + 128];
    const char *path[] = {"main", NULL};
    struct peri_vm_options options = {
        .name = "test",
        .limits = {.instructions = 1000000000, .running_ms = 60000, .memory_bytes = 64u << 20},
        .open_api = open_take,
    };
    struct peri_vm_start start = {.path = path, .push = push_seed, .user = &seed};
    struct peri_vm_call *call;
    struct peri_error err = {0};
    snprintf(
        package, sizeof(package), "return { main = function(...) take((function(...) %s end)(...)) end }", program);
    struct peri_vm *vm = vm_with(&options, package);
    if (peri_vm_call_start(vm, &start, &call, &err) != PERI_VM_DONE)
        fail_msg("%s: %s", err.code, err.message);
    peri_vm_call_destroy(call);
    peri_vm_destroy(vm);
    return result_text;
}

/* Names the first line that differs, with the inputs before it. */
static void compare(char *plain, char *restricted, int seed)
{
    const char *input = "";
    char *rest_a = plain, *rest_b = restricted;
    for (;;) {
        char *a = strsep(&rest_a, "\n"), *b = strsep(&rest_b, "\n");
        if (!a && !b)
            return;
        if (!a || !b || strcmp(a, b) != 0)
            fail_msg("seed %d, %s: liblua says %s, we say %s", seed, input, a ? a : "nothing", b ? b : "nothing");
        if (*a == '#')
            input = a;
    }
}

static void test_results_are_those_of_liblua(void **state)
{
    for (int seed = 1; seed <= 10; seed++) {
        char *plain = run_plain(seed), *restricted = run_restricted(seed);
        compare(plain, restricted, seed);
        free(plain);
        free(restricted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_are_those_of_liblua),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
