/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/vm_fixture.h"

/* Every function that a chunk can name, called with every kind of odd value: any outcome will do but a crash, a hang,
 * or a state that is unusable without being spoilt. */

static const char program[] =
    "local fs = {}\n"
    "local function collect(t) for k, v in next, t do if type(v) == 'function' then fs[#fs + 1] = {k, v}\n"
    "  elseif type(v) == 'table' and v ~= _G and t == _G then collect(v) end end end\n"
    "collect(_G)\n"
    "table.sort(fs, function(a, b) return a[1] < b[1] end)\n"
    "local seed\n"
    "local function rnd(n) seed = (seed * 1103515245 + 12345) % 2147483648 return seed // 65536 % n + 1 end\n"
    "local one\n"
    "local makers = {\n"
    "  function() return nil end, function() return true end, function() return 0 / 0 end, function() return math.huge "
    "end,\n"
    "  function() return math.mininteger end, function() return math.maxinteger end, function() return -1 end,\n"
    "  function() return rnd(10) - 5 end, function() return 1.5 end, function() return '' end, function() return '10' "
    "end,\n"
    "  function() return ('\\0'):rep(rnd(50)) end, function() return '%' end, function() return '[' end, function() "
    "return '%b()%f[a](.-)*' end,\n"
    "  function() return ('a'):rep(5000) end, function() return 'return 1' end, function() return '>I4s2z' end, "
    "function() return '%5.2f %s %q' end,\n"
    "  function() return {} end, function() return {1, 2, 3, 'x'} end, function() return {one(), one()} end,\n"
    "  function() return setmetatable({}, {__len = function() return one() end, __index = function() return one() "
    "end}) end,\n"
    "  function() return setmetatable({}, {__index = fs[rnd(#fs)][2], __newindex = fs[rnd(#fs)][2], __len = "
    "fs[rnd(#fs)][2]}) end,\n"
    "  function() return setmetatable({}, {__tostring = one(), __name = one(), __pairs = one(), __metatable = one(), "
    "__call = one()}) end,\n"
    "  function() return setmetatable({}, {__eq = one(), __lt = one(), __close = one(), __add = one(), __unm = one()}) "
    "end,\n"
    "  function() return function(...) return ... end end, function() return function() error(one()) end end,\n"
    "  function() return function() return one() end end, function() return fs[rnd(#fs)][2] end,\n"
    "  function() return coroutine.create(function(...) coroutine.yield(...) error(one()) end) end,\n"
    "  function() return coroutine.wrap(function(...) while true do coroutine.yield(one()) end end) end,\n"
    "  function() return (coroutine.running()) end, function() return _G end, function() return string end,\n"
    "}\n"
    "local depth = 0\n"
    "one = function() depth = depth + 1 local v if depth < 20 then v = makers[rnd(#makers)]() end depth = depth - 1 "
    "return v end\n"
    "local G = {} for k, v in next, _G do G[k] = v end\n"
    "return { main = function(s)\n"
    "  seed = s\n"
    "  for i = 1, 25 do\n"
    "    local f = fs[rnd(#fs)]\n"
    "    local r = table.pack(pcall(f[2], table.unpack({one(), one(), one(), one()}, 1, rnd(5) - 1)))\n"
    "    if type(r[2]) == 'function' then pcall(r[2], one(), one()) end\n"
    "    if type(r[2]) == 'table' then pcall(function() local x <close> = r[2] return #r[2] + r[2], r[2] < r[2], -r[2] "
    "end) end\n"
    "    for k in next, _G do if G[k] == nil then _G[k] = nil end end\n"
    "  end\n"
    "  return one(), one()\n"
    "end }\n";

static int push_seed(lua_State *L, void *user)
{
    lua_pushinteger(L, *(int *)user);
    return 1;
}

static void test_odd_arguments(void **state)
{
    struct peri_vm_options options = {.name = "odd", .limits = {.instructions = 60000, .running_ms = 20000}};
    const char *path[] = {"main", NULL};
    struct peri_vm *vm = NULL;
    int done = 0;
    for (int seed = 1; seed <= 400; seed++) {
        struct peri_vm_start start = {.path = path, .push = push_seed, .user = &seed};
        struct peri_vm_call *call;
        struct peri_error err = {0};
        struct peri_value *v = NULL;
        if (!vm)
            vm = vm_with(&options, program);
        enum peri_vm_outcome outcome = peri_vm_call_start(vm, &start, &call, &err);
        assert_int_not_equal(outcome, PERI_VM_SUSPENDED);
        for (int i = 0; outcome == PERI_VM_DONE && i < 2; i++) {
            if (peri_vm_call_result(call, i, 1000, &v, &err) == PERI_OK)
                peri_value_unref(v);
            v = NULL;
        }
        done += outcome == PERI_VM_DONE;
        assert_int_equal(outcome == PERI_VM_FAILED && strncmp(err.code, "limit.", 6) == 0, peri_vm_spoilt(vm));
        peri_vm_call_destroy(call);
        if (peri_vm_spoilt(vm) || seed % 40 == 0) {
            peri_vm_destroy(vm);
            vm = NULL;
        }
    }
    peri_vm_destroy(vm);
    assert_true(done > 100); /* the program itself is sound */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
