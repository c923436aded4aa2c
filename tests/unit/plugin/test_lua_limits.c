/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/vm_fixture.h"

/* Hostile code: each piece must end by counting, with the code of the limit that it hit, whatever it catches. The
 * running time is so generous that only what is expected to end by it does. */

struct hostile {
    const char *body, *code;
};

static struct peri_vm *hostile_vm(int64_t instructions, int64_t running_ms)
{
    struct peri_vm *vm = NULL;
    struct peri_error err;
    struct peri_vm_options options = {
        .name = "hostile", .limits = {.instructions = instructions, .running_ms = running_ms}};
    assert_int_equal(peri_vm_create(&options, &vm, &err), PERI_OK);
    return vm;
}

/* As a handler, at load time, in a coroutine under pcall, and in a metamethod. */
static const struct {
    const char *before, *after;
} frames[] = {
    {"return { main = function() ", " end }"},
    {"local function f() ", " end f() return { main = f }"},
    {"return { main = function() while true do pcall(coroutine.wrap(function() ", " end)) end end }"},
    {"return { main = function() local t = setmetatable({}, {__index = function() ", " end}) return t.x end }"},
};

static void run_in(size_t frame, const struct hostile *h, int64_t running_ms)
{
    char package[8192];
    struct peri_vm_call *call = NULL;
    struct peri_error err = {0};
    struct peri_vm *vm = hostile_vm(100000, running_ms);
    snprintf(package, sizeof(package), "%s%s%s", frames[frame].before, h->body, frames[frame].after);
    enum peri_status st = peri_vm_load(vm, "init.lua", package, strlen(package), &err);
    if (st == PERI_OK && vm_start(vm, "main", &call, &err) == PERI_VM_DONE)
        fail_msg("%s: came to its end", package);
    bool ends_anyhow = frame == 2 && strcmp(h->code, "lua.error") == 0; /* the frame's own loop goes on */
    if (strcmp(err.code, h->code) != 0 && !ends_anyhow)
        fail_msg("%s: %s (%s), not %s", package, err.code, err.message, h->code);
    assert_int_equal(peri_vm_spoilt(vm), strncmp(err.code, "limit.", 6) == 0);
    peri_vm_call_destroy(call);
    peri_vm_destroy(vm);
}

static void run_all(const struct hostile *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t f = 0; f < sizeof(frames) / sizeof(frames[0]); f++)
            run_in(f, &list[i], 20000);
}
#define RUN_ALL(list) run_all(list, sizeof(list) / sizeof(list[0]))

#define I "limit.instructions"
#define M "limit.memory"
#define E "lua.error"

static void test_loops(void **state)
{
    static const struct hostile list[] = {
        {"while true do end", I},
        {"repeat until false", I},
        {"::a:: goto a", I},
        {"for i = 1, math.huge do end", I},
        {"local function f() return f() end f()", I},
        {"while true do pcall(function() while true do end end) end", I},
        {"while true do pcall(error) end", I},
        {"pcall(pcall, pcall, function() while true do end end) while true do end", I},
        {"xpcall(function() while true do end end, function() while true do end end)", I},
        {"xpcall(error, function() while true do end end)", I},
        {"local function h() error('again') end while true do xpcall(error, h) end", I},
        {"for k in next, {1}, nil do while true do end end", I},
        {"for _ in function() return 1 end do end", I},
        {"for _ in pairs(setmetatable({}, {__pairs = function() return function() return 1 end end})) do end", I},
        {"for _ in ipairs(setmetatable({}, {__index = function() return 1 end})) do end", I},
        {"load('while true do end')()", I},
        {"while true do load('return 1')() end", I},
        {"while true do load('x x') end", I},
        {"while true do assert(select('#', pcall(error))) end", I},
    };
    RUN_ALL(list);
}

static void test_metamethods(void **state)
{
    static const struct hostile list[] = {
        {"local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k + 1] end"
         " setmetatable(t, getmetatable(t)) while true do pcall(function() return t[1] end) end",
            I},
        {"local t = {} for i = 1, 100 do t = setmetatable({}, {__index = t}) end while true do local _ = t.x end", I},
        {"local t = setmetatable({}, {__eq = function() while true do end end}) return t == setmetatable({}, "
         "getmetatable(t))",
            I},
        {"local t = setmetatable({}, {__lt = function() while true do end end}) return t < t", I},
        {"local t = setmetatable({}, {__len = function() while true do end end}) return #t", I},
        {"local t = setmetatable({}, {__tostring = function() while true do end end}) return tostring(t)", I},
        {"local t = setmetatable({}, {__tostring = function() while true do end end}) print(t)", I},
        {"local t = setmetatable({}, {__tostring = function() while true do end end}) return ('%s'):format(t)", I},
        {"local t = setmetatable({}, {__newindex = function() while true do end end}) t.x = 1", I},
        {"local t = setmetatable({}, {__call = function() while true do end end}) t()", I},
        {"local t = setmetatable({}, {__unm = function() while true do end end}) return -t", I},
        {"local t <close> = setmetatable({}, {__close = function() while true do end end})", I},
        {"local t <close> = setmetatable({}, {__close = function() while true do end end}) while true do end", I},
        {"local t <close> = setmetatable({}, {__close = function() while true do end end}) error('x')", I},
        {"error(setmetatable({}, {__tostring = function() while true do end end}))", E},
        {"string.rep = function() while true do end end return ('x'):rep(1)", I},
    };
    RUN_ALL(list);
}

static void test_coroutines(void **state)
{
    static const struct hostile list[] = {
        {"coroutine.wrap(function() while true do end end)()", I},
        {"while true do coroutine.resume(coroutine.create(function() while true do end end)) end", I},
        {"while true do coroutine.wrap(function() end)() end", I},
        {"local function tree() coroutine.resume(coroutine.create(tree)) coroutine.resume(coroutine.create(tree)) end "
         "tree()",
            I},
        {"local function tree() pcall(coroutine.wrap(tree)) pcall(coroutine.wrap(tree)) end tree()", I},
        {"local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end", I},
        {"local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() while true "
         "do end end})"
         " coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
            I},
        {"local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() while true "
         "do end end})"
         " while true do end end) coroutine.resume(co) coroutine.close(co)",
            I},
        {"local function deep() local co co = coroutine.create(function() local x <close> = setmetatable({}, {__close "
         "= deep})"
         " coroutine.yield() end) coroutine.resume(co) coroutine.close(co) end while true do deep() end",
            I},
        {"local a = {} while true do a[#a + 1] = coroutine.create(print) end", I},
        {"local co co = coroutine.create(function() return coroutine.resume(co) end) while true do coroutine.resume(co)"
         " co = coroutine.create(function() return coroutine.close(co) end) end",
            I},
    };
    RUN_ALL(list);
}

static void test_library_functions(void **state)
{
    static const struct hostile list[] = {
        {"while true do ('x'):rep(1e5) end", I},
        {"return ('x'):rep(1e9)", M},
        {"return ('x'):rep(math.maxinteger)", M},
        {"return ('x'):rep(1e6, ('y'):rep(1e5))", M},
        {"while true do (''):rep(1e18) end", I},
        {"local s = 'x' while true do s = s .. s end", M},
        {"local s = 'x' for i = 1, 30 do s = s:rep(4) end", M},
        {"return ('a'):rep(30):find(('a?'):rep(30) .. ('a'):rep(30))", I},
        {"return ('a'):rep(20000):match('.-.-.-.-b')", I},
        {"return ('a'):rep(20000):find('.*.*.*b')", I},
        {"return ('a'):rep(20000):gsub('a*a*a*b', '')", I},
        {"for _ in ('a'):rep(20000):gmatch('.-.-b') do end", I},
        {"return ('('):rep(20000):match('%b()')", I},
        {"return ('x'):rep(20000):find(('[x]-'):rep(20) .. 'y%f[z]')", I},
        {"while true do ('x'):rep(9e5):find(('x'):rep(4e5) .. 'y', 1, true) end", I},
        {"return ('x'):rep(1e5):gsub('', ('y'):rep(1000))", M},
        {"return ('x'):rep(1e6):gsub('x', '%0%0%0%0')", "limit."},
        {"('x'):rep(10):gsub('x', function() while true do end end)", I},
        {"while true do local _ = ('x'):rep(1e5):upper():lower():reverse():sub(2):len() end", I},
        {"while true do tonumber(('1'):rep(5e5)) end", I},
        {"local s = ('1'):rep(5e5) while true do local _ = s + 1 end", I},
        {"while true do string.pack('c1000000', 'x') end", "limit."},
        {"while true do string.pack('s', ('x'):rep(5e5)) end", I},
        {"while true do string.format('%s%s', ('x'):rep(3e5), 1) end", I},
        {"return string.format(('%99.99f'):rep(20000), table.unpack({}, 1, 0))", E},
        {"while true do utf8.len(('x'):rep(5e5)) end", I},
        {"return table.concat(setmetatable({}, {__len = function() return math.maxinteger end, __index = function() "
         "return '' end}))",
            I},
        {"return table.concat(setmetatable({}, {__len = function() return 1e15 // 1 end, __index = table.concat}))", E},
        {"return table.concat(setmetatable({}, {__len = function() return 1 << 60 end, __index = function() return "
         "'xxxxxxxxx' end}))",
            "limit."},
        {"local t = setmetatable({}, {__len = function() return 1 << 60 end}) table.insert(t, 1, 'x')", I},
        {"local t = setmetatable({}, {__len = function() return 1 << 60 end}) table.remove(t, 1)", I},
        {"local t = setmetatable({}, {__len = function() return 1 << 30 end, __index = function() return 1 end}) "
         "table.sort(t)",
            "limit."},
        {"table.move({}, 1, 1 << 60, 2)", I},
        {"table.move(setmetatable({}, {__index = function() return 1 end}), 1, 1 << 60, 1, {})", "limit."},
        {"return table.unpack({}, 1, 1 << 60)", E},
        {"return table.unpack({}, math.mininteger, math.maxinteger)", E},
        {"local t = {} for i = 1, 500 do t[i] = i end while true do table.sort(t, function() return true end) end", I},
        {"local t = {} for i = 1, 500 do t[i] = i end while true do table.sort(t, function(a, b) return a > b end) end",
            I},
        {"table.sort({1, 2, 3}, function() while true do end end)", I},
        {"local t = {} for i = 1, 20000 do table.insert(t, 1, i) end", I},
        {"return string.byte(('x'):rep(1e6), 1, -1)", E},
        {"return utf8.codepoint(('x'):rep(1e6), 1, -1)", E},
        {"while true do collectgarbage('count') end", I},
        {"collectgarbage('collect')", E},
        {"setmetatable({}, {__gc = function() while true do end end})", E},
        {"setmetatable({}, {__gc = true})", E},
        {"while true do rawequal(rawlen({}), next({})) end", I},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        if (strcmp(list[i].code, "limit.") != 0) {
            run_all(&list[i], 1);
            continue;
        }
        /* either limit may come first */
        char package[4096];
        struct peri_vm_call *call;
        struct peri_error err = {0};
        struct peri_vm *vm = hostile_vm(100000, 20000);
        snprintf(package, sizeof(package),
            "return { main = function() while true do pcall(function() %s end) end end }", list[i].body);
        assert_int_equal(peri_vm_load(vm, "init.lua", package, strlen(package), &err), PERI_OK);
        assert_int_equal(vm_start(vm, "main", &call, &err), PERI_VM_FAILED);
        if (strcmp(err.code, I) != 0 && strcmp(err.code, M) != 0)
            fail_msg("%s: %s (%s)", package, err.code, err.message);
        peri_vm_call_destroy(call);
        peri_vm_destroy(vm);
    }
}

static void test_memory(void **state)
{
    static const struct hostile list[] = {
        {"local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(10000) .. i end", M},
        {"local t = {} while true do t = {t, t, t, t, t, t, t, t, {}, {}, {}, {}, {}, {}, {}, {}} end", M},
        {"local t = {} for i = 1, 70000 do t[i] = i end", M},
        {"local t = {} while true do t[#t + 1] = function() return t, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, "
         "15} end end",
            "limit."},
        {"local function f() local a, b, c, d, e, g, h, i, j, k f() return a end f()", M},
        {"local function f(...) return f(1, ...) end f()", "limit."},
        {"kept = kept or {} while true do pcall(function() for i = 1, 1000 do kept[#kept + 1] = ('y'):rep(5000) .. "
         "#kept end end) end",
            M},
        {"local s = {} for i = 1, 1000 do s[i] = ('x'):rep(20000) .. i end return table.concat(s)", M},
        {"local t = {} while true do for i = 1, 60 do t[i] = ('z'):rep(131072) .. i end end", "limit."},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        for (size_t f = 0; f < sizeof(frames) / sizeof(frames[0]); f += 2) {
            char package[4096];
            struct peri_vm_call *call = NULL;
            struct peri_error err = {0};
            struct peri_vm *vm = hostile_vm(2000000, 20000);
            snprintf(package, sizeof(package), "%s%s%s", frames[f].before, list[i].body, frames[f].after);
            if (peri_vm_load(vm, "init.lua", package, strlen(package), &err) == PERI_OK)
                assert_int_equal(vm_start(vm, "main", &call, &err), PERI_VM_FAILED);
            if (strncmp(err.code, list[i].code, strlen(list[i].code)) != 0)
                fail_msg("%s: %s (%s)", package, err.code, err.message);
            assert_true(peri_vm_memory(vm) < (9u << 20));
            peri_vm_call_destroy(call);
            peri_vm_destroy(vm);
        }
}

static void test_deep_nesting_is_an_error(void **state)
{
    static const struct hostile list[] = {
        {"local function f() pcall(f) error('x') end f()", E},
        {"local t = setmetatable({}, {}) local mt = {} mt.__index = function(t, k) return t[k] end setmetatable(t, mt) "
         "return t.x",
            E},
        {"return load(('('):rep(300) .. '1' .. (')'):rep(300))()", E},
        {"return assert(load('return ' .. ('{'):rep(300) .. ('}'):rep(300)))()", E},
        {"return (('x'):rep(300)):match(('(x'):rep(300))", E},
        {"return ('x'):rep(300):match(('x?'):rep(300))", E},
        {"local function f(n) return (tostring(setmetatable({}, {__tostring = function() return f(n + 1) end}))) end "
         "return f(1)",
            E},
        {"local function f() return coroutine.wrap(f)() end return f()", E},
        {"local function f() return ('x'):gsub('x', f) end return f()", E},
        {"local function h(e) error(e) end return assert(xpcall(error, h, 'x'))", E},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        run_in(0, &list[i], 20000);
}

static void test_compile_bombs(void **state)
{
    static const struct hostile list[] = {
        {"return assert(load(('a'):rep(70000)))", E},
        {"local s = 'local a = 1 ' while true do load(s:rep(5000)) end", I},
        {"local s = 'return a' .. ('.a'):rep(32000) a = {} assert(load(s))()", E},
        {"return assert(load('local a = ' .. ('-'):rep(30) .. ' 1' .. (' .. 1'):rep(15000)))()", E},
        {"return assert(load('goto a; ' .. ('do goto x end '):rep(4000)))", E},
        {"return assert(load(string.char(27) .. 'Lua'))", E},
        {"return assert(load('return 1', 'x', 'b'))", E},
        {"return load(function() while true do end end)", E},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        run_in(0, &list[i], 20000);
}

/* Faults of liblua 5.4.4 that plain Lua code reaches: the events that lead there never come to it. */
static void test_faults_of_the_interpreter(void **state)
{
    static const char *const list[] = {
        "local mt = {} mt.__concat = function() local function f(n) if n > 0 then return 1 + f(n - 1) end return 1 end "
        "return f(5000) end"
        " local t = setmetatable({}, mt) assert(not pcall(function() return t .. 'x' .. 'y' .. t end))",
        "local mt = setmetatable({__mode = 'kv'}, {__mode = 'kv'}) local t = setmetatable({}, mt)"
        " mt.__newindex = function() end setmetatable(t, mt) for i = 1, 2000 do t[i] = {} ; local _ = {} end",
        "local it = ('a'):rep(300):gmatch(('(a?)'):rep(10) .. ('a?'):rep(250)) for i = 1, 50 do pcall(it) end",
        "local f = ('x'):rep(3):gmatch('x') f() f() f() assert(f() == nil) assert(f() == nil)",
        "assert(getmetatable('') == false)",
        "local mt = {__index = {a = 1}} local t = setmetatable({}, mt) assert(getmetatable(t) == mt) assert(t.a == 1)"
        " mt.__index = {a = 2} assert(t.a == 1) setmetatable(t, mt) assert(t.a == 2)",
        "local t = setmetatable({}, {__metatable = 'no'}) assert(getmetatable(t) == 'no') assert(not "
        "pcall(setmetatable, t, {}))",
        "assert(select('#', math.randomseed()) == 0) assert(select('#', math.randomseed(1)) == 0)",
        "assert(tostring({}):match('^table: %x+$')) assert(not pcall(string.format, '%p', {}))"
        " local t = {} assert(tostring(t) == tostring(t)) assert(tostring(t) ~= tostring({})) assert(('%s'):format(t) "
        "== tostring(t))",
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        char body[2048];
        snprintf(body, sizeof(body), "%s return 'fine'", list[i]);
        expect_result(body, "\"fine\"");
    }
}

static void test_running_time_ends_what_counting_does_not(void **state)
{
    static const struct hostile list[] = {
        {"while true do end", "limit.time"},
        {"local t = {} while true do for i = 1, 1000 do t[i] = {} end end", "limit.time"},
        {"local s = ('x'):rep(5e5) while true do local _ = s .. 'y' end", "limit.time"},
        {"local f = load('local a = {} return a' .. ('.a'):rep(8000) .. '.b') while true do pcall(f) end",
            "limit.time"},
        {"local s = ('\\0'):rep(1e6) local t = {s .. 'a', s .. 'b', s .. 'c'} while true do table.sort(t) end",
            "limit.time"},
        {"local a, b = ('x'):rep(1e6), ('x'):rep(1e6 - 1) .. 'y' while true do local _ = a < b end", "limit.time"},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        char package[1024];
        const char *path[] = {"main", NULL};
        struct peri_vm_start start = {.path = path, .limits = {.instructions = INT64_MAX / 2, .running_ms = 30}};
        struct peri_vm_call *call;
        struct peri_error err = {0};
        snprintf(package, sizeof(package),
            "return { main = function() while true do pcall(function() %s end) end end }", list[i].body);
        struct peri_vm *vm = vm_with(NULL, package);
        assert_int_equal(peri_vm_call_start(vm, &start, &call, &err), PERI_VM_FAILED);
        assert_string_equal(err.code, list[i].code);
        peri_vm_call_destroy(call);
        peri_vm_destroy(vm);
    }
}

static void test_the_budget_is_one_call(void **state)
{
    struct peri_vm_call *call;
    struct peri_error err = {0};
    struct peri_vm_options options = {.name = "test", .limits = {.instructions = 50000}};
    struct peri_vm *vm = vm_with(&options,
        "local co = coroutine.wrap(function() while true do for i = 1, 10000 do end coroutine.yield() end end)"
        " return { main = function() co() end, out = function() while true do co() end end }");
    for (int i = 0; i < 50; i++) {
        assert_int_equal(vm_start(vm, "main", &call, &err), PERI_VM_DONE);
        peri_vm_call_destroy(call);
    }
    assert_int_equal(vm_start(vm, "out", &call, &err), PERI_VM_FAILED);
    assert_string_equal(err.code, I);
    assert_string_equal(err.message, "the limit of 50000 instructions is reached");
    peri_vm_call_destroy(call);
    peri_vm_destroy(vm);
}

/* Far below the memory limit: who reads only "memory" would ask for more of it in vain. */
static void test_a_large_block_is_told_apart(void **state)
{
    static const char *const list[] = {"return ('x'):rep(1 << 21)", "local t = {} for i = 1, 70000 do t[i] = i end",
        "local t = {} for i = 1, 99 do t[i] = ('x'):rep(50000) end table.concat(t)"};
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        struct peri_vm_call *call;
        struct peri_error err = {0};
        char chunk[256];
        snprintf(chunk, sizeof(chunk), "return { main = function() %s end }", list[i]);
        struct peri_vm *vm = vm_with(NULL, chunk);
        assert_int_equal(vm_start(vm, "main", &call, &err), PERI_VM_FAILED);
        assert_string_equal(err.code, M);
        assert_non_null(strstr(err.message, "one block of more than 1048576 bytes"));
        peri_vm_call_destroy(call);
        peri_vm_destroy(vm);
    }
}

static void test_memory_comes_back(void **state)
{
    struct peri_vm_call *call;
    struct peri_error err = {0};
    struct peri_vm *vm = vm_with(
        NULL, "return { main = function() local t = {} for i = 1, 200 do t[i] = ('x'):rep(9000) .. i end end }");
    for (int i = 0; i < 30; i++) {
        assert_int_equal(vm_start(vm, "main", &call, &err), PERI_VM_DONE);
        peri_vm_call_destroy(call);
    }
    peri_vm_destroy(vm);
}

static int push_table(lua_State *L, void *user)
{
    lua_newtable(L);
    for (int i = 1; i < 30; i++) {
        lua_pushfstring(L, "argument %d", i);
        lua_rawseti(L, -2, i);
    }
    return 1;
}

/* Memory runs out at each point of building a state, loading and calling: an error every time. */
static void test_every_small_cap(void **state)
{
    static const char package[] =
        "local C = {} C.__index = C local s = {} for i = 1, 40 do s[i] = ('text %d'):format(i):upper() end\n"
        "return { main = function(a) local co = coroutine.wrap(function() for _, v in ipairs(a) do coroutine.yield(v) "
        "end end)\n"
        " local o = setmetatable({}, C) for v in co do o[#o + 1] = v:gsub('%w', '%0%0') end table.sort(o)\n"
        " pcall(error, {code = 'x'}) return table.concat(o, ',') end }";
    const char *path[] = {"main", NULL};
    struct peri_vm_start start = {.path = path, .push = push_table};
    int done = 0;
    for (size_t cap = 1000; cap < 50000; cap += 97) {
        struct peri_vm_options options = {.name = "small", .limits = {.memory_bytes = cap}};
        struct peri_vm *vm = NULL;
        struct peri_vm_call *call = NULL;
        struct peri_error err = {0};
        enum peri_status st = peri_vm_create(&options, &vm, &err);
        if (st == PERI_OK)
            st = peri_vm_load(vm, "init.lua", package, strlen(package), &err);
        if (st == PERI_OK && peri_vm_call_start(vm, &start, &call, &err) == PERI_VM_DONE)
            done++;
        else if (strcmp(err.code, M) != 0 && strcmp(err.code, "out_of_memory") != 0)
            fail_msg("cap %zu: %s: %s", cap, err.code, err.message);
        peri_vm_call_destroy(call);
        peri_vm_destroy(vm);
    }
    assert_in_range(done, 10, 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_metamethods),
        cmocka_unit_test(test_coroutines),
        cmocka_unit_test(test_library_functions),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_deep_nesting_is_an_error),
        cmocka_unit_test(test_compile_bombs),
        cmocka_unit_test(test_faults_of_the_interpreter),
        cmocka_unit_test(test_running_time_ends_what_counting_does_not),
        cmocka_unit_test(test_the_budget_is_one_call),
        cmocka_unit_test(test_a_large_block_is_told_apart),
        cmocka_unit_test(test_memory_comes_back),
        cmocka_unit_test(test_every_small_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
