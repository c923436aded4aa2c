/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/vm_fixture.h"

static void test_package_is_loaded_and_looked_into(void **state)
{
    struct peri_vm *vm = vm_with(NULL,
        "return { conditions = { ['a.b'] = { description = 'x', params = { type = 'object', n = 3, r = 2.0 },\n"
        " evaluate = function() end }, ['a.a'] = {} }, [1] = 2 }");
    struct peri_value *v = NULL;
    struct peri_error err;
    assert_int_equal(peri_vm_peek(vm, (const char *const[]){"conditions", "a.b", NULL}, &v, &err), PERI_OK);
    char *text = peri_json_text(v, PERI_JSON_SORTED);
    assert_string_equal(text, "{\"description\":\"x\",\"params\":{\"n\":3,\"r\":2.0,\"type\":\"object\"}}");
    free(text);
    peri_value_unref(v);
    v = NULL;
    assert_int_equal(peri_vm_peek(vm, (const char *const[]){"conditions", "zz", "params", NULL}, &v, &err), PERI_OK);
    assert_null(v);
    assert_true(peri_vm_has_function(vm, (const char *const[]){"conditions", "a.b", "evaluate", NULL}));
    assert_false(peri_vm_has_function(vm, (const char *const[]){"conditions", "a.b", "params", NULL}));
    char **keys = peri_vm_keys(vm, (const char *const[]){"conditions", NULL});
    assert_string_equal(keys[0], "a.a");
    assert_string_equal(keys[1], "a.b");
    assert_null(keys[2]);
    for (size_t i = 0; keys[i]; i++)
        free(keys[i]);
    free(keys);
    peri_vm_destroy(vm);
}

static void expect_load_error(const char *text, const char *message)
{
    struct peri_vm *vm = NULL;
    struct peri_error err = {0};
    struct peri_vm_options options = {.name = "test"};
    assert_int_equal(peri_vm_create(&options, &vm, &err), PERI_OK);
    assert_int_equal(peri_vm_load(vm, "init.lua", text, strlen(text), &err), PERI_EINVAL);
    assert_string_equal(err.code, "lua.error");
    if (!strstr(err.message, message))
        fail_msg("%s does not say %s", err.message, message);
    peri_vm_destroy(vm);
}

static void test_load_errors_name_the_line(void **state)
{
    expect_load_error("\n\nreturn {", "init.lua:3: ");
    expect_load_error("local x = nil\nreturn x.y", "init.lua:2: attempt to index a nil value (local 'x')");
    expect_load_error("return 1", "init.lua: the chunk must return a table, not number");
    expect_load_error("\x1bLuaS", "attempt to load a binary chunk");
    expect_load_error("coroutine.yield() return {}", "attempt to yield from outside a coroutine");
}

static void test_errors_keep_code_and_place(void **state)
{
    struct peri_vm *vm = vm_with(NULL, "return { a = function()\n error('boom') end,\n b = function() "
                                       "error({code='crm.gone', message='no such contact',\n"
                                       " retryable=true, outcome='unknown', retry_after=2}) end,\n c = function() "
                                       "error(setmetatable({}, {__tostring=function() return 'x' end,"
                                       " __index=function() error('y') end})) end, d = function() error() end, e = "
                                       "function() local t = nil; t() end,\n"
                                       " f = function() return 1 end}");
    struct peri_error err;
    struct peri_vm_call *call;
    assert_int_equal(vm_start(vm, "a", &call, &err), PERI_VM_FAILED);
    assert_string_equal(err.code, "lua.error");
    assert_string_equal(err.message, "init.lua:2: boom");
    peri_vm_call_destroy(call);
    assert_int_equal(vm_start(vm, "b", &call, &err), PERI_VM_FAILED);
    assert_string_equal(err.code, "crm.gone");
    assert_string_equal(err.message, "no such contact");
    assert_true(err.retryable);
    assert_true(err.outcome_unknown);
    assert_int_equal(err.retry_after_ms, 2000);
    peri_vm_call_destroy(call);
    assert_int_equal(vm_start(vm, "c", &call, &err), PERI_VM_FAILED);
    assert_string_equal(err.message, "the error table has no message");
    peri_vm_call_destroy(call);
    assert_int_equal(vm_start(vm, "d", &call, &err), PERI_VM_FAILED);
    assert_string_equal(err.message, "the error object is a nil value");
    peri_vm_call_destroy(call);
    assert_int_equal(vm_start(vm, "e", &call, &err), PERI_VM_FAILED);
    assert_string_equal(err.message, "init.lua:5: attempt to call a nil value (local 't')");
    peri_vm_call_destroy(call);
    assert_int_equal(vm_start(vm, "nothing", &call, &err), PERI_VM_FAILED);
    assert_string_equal(err.code, "plugin.no_handler");
    peri_vm_call_destroy(call);
    assert_false(peri_vm_spoilt(vm));
    assert_int_equal(vm_start(vm, "f", &call, &err), PERI_VM_DONE);
    peri_vm_call_destroy(call);
    peri_vm_destroy(vm);
}

static int push_json(lua_State *L, void *user)
{
    struct peri_value **box = peri_vm_push_box(L);
    struct peri_error err;
    if (peri_json_parse(user, strlen(user), box, &err) != PERI_OK)
        return peri_vm_raise(L, &err);
    peri_vm_push_value(L, *box, true);
    lua_remove(L, -2);
    return 1;
}

static void expect_echo(const char *body, const char *in, const char *out)
{
    char package[4096];
    const char *path[] = {"main", NULL};
    struct peri_vm_start start = {.path = path, .push = push_json, .user = (void *)(uintptr_t)in};
    struct peri_vm_call *call;
    struct peri_error err;
    snprintf(package, sizeof(package), "return { main = function(v) %s end }", body);
    struct peri_vm *vm = vm_with(NULL, package);
    if (peri_vm_call_start(vm, &start, &call, &err) != PERI_VM_DONE)
        fail_msg("%s: %s", err.code, err.message);
    char *text = vm_result(call, 0);
    assert_string_equal(text, out);
    free(text);
    peri_vm_call_destroy(call);
    peri_vm_destroy(vm);
}

static void test_values_go_in_and_out_unchanged(void **state)
{
    static const char *const values[] = {
        "true",
        "\"text\\u0000\u00e4\"",
        "9223372036854775807",
        "-1",
        "2.0",
        "[]",
        "{}",
        "[[],{},[null]]",
        "{\"a\":[1,2,{\"b\":null}],\"c\":false}",
        "{\"1\":2}",
        "[1,null,3,null]",
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        expect_echo("return v", values[i], values[i]);
    expect_echo("v[#v+1] = 'x' return v", "[]", "[\"x\"]");
    expect_echo("return {type(v.n), math.type(v.i), math.type(v.r), v.gone == nil}", "{\"n\":null,\"i\":1,\"r\":1.0}",
        "[\"userdata\",\"integer\",\"float\",true]");
    expect_echo("return {a = {1, 2, 3}, b = {}, c = {x = {}}}", "1", "{\"a\":[1,2,3],\"b\":{},\"c\":{\"x\":{}}}");
    expect_echo(
        "local t = setmetatable(v, {__index = function() return 1 end}) return {t.a, t.b}", "{\"a\":5}", "[5,1]");
    expect_echo("return {getmetatable(v) == nil, #v}", "[1,2]", "[true,2]");
}

static void expect_bad_result(const char *body, const char *code, const char *message)
{
    char package[1024];
    struct peri_vm_call *call;
    struct peri_error err = {0};
    struct peri_value *v = NULL;
    snprintf(package, sizeof(package), "return { main = function() %s end }", body);
    struct peri_vm *vm = vm_with(NULL, package);
    assert_int_equal(vm_start(vm, "main", &call, &err), PERI_VM_DONE);
    assert_int_not_equal(peri_vm_call_result(call, 0, 65536, &v, &err), PERI_OK);
    assert_null(v);
    assert_string_equal(err.code, code);
    if (!strstr(err.message, message))
        fail_msg("%s does not say %s", err.message, message);
    peri_vm_call_destroy(call);
    peri_vm_destroy(vm);
}

static void test_results_that_are_no_values(void **state)
{
    expect_bad_result("local t = {} t.t = t return t", "bad_argument", "holds itself");
    expect_bad_result("return print", "bad_argument", "function");
    expect_bad_result("return {a = coroutine.create(print)}", "bad_argument", "coroutine");
    expect_bad_result("return 0/0", "bad_argument", "NaN");
    expect_bad_result("return {math.huge}", "bad_argument", "infinite");
    expect_bad_result("return {1, 2, x = 3}", "bad_argument", "keys");
    expect_bad_result("return {[1.5] = 2}", "bad_argument", "keys");
    expect_bad_result("return {[1] = 2, [3] = 4}", "bad_argument", "keys");
    expect_bad_result("return {['a\\0b'] = 4}", "bad_argument", "NUL");
    expect_bad_result("return '\\xff'", "bad_argument", "UTF-8");
    expect_bad_result("return {['\\xff'] = 1}", "bad_argument", "UTF-8");
    expect_bad_result("return {['$secret'] = 'key'}", "bad_argument", "reserved");
    expect_bad_result("return ('x'):rep(70000)", "limit.output", "65536 bytes");
    expect_bad_result("local t = {} for i = 1, 28 do t = {t, t} end return t", "limit.output", "65536 bytes");
    expect_bad_result("local t = {} for i = 1, 100 do t = {t} end return t", "bad_argument", "deeper than 64");
}

static void test_secrets_stay_closed(void **state)
{
    expect_echo("return {type(v.key), tostring(v.key):sub(1, 8), v.key == v.key, getmetatable(v.key), v.other['x']}",
        "{\"key\":{\"$secret\":\"crm\"},\"other\":{\"$secret\":\"a\",\"x\":1}}",
        "[\"userdata\",\"secret: \",true,false,1]");
    expect_echo("return v.key", "{\"key\":{\"$secret\":\"crm\"}}", "{\"$secret\":\"crm\"}");
    expect_echo("return {pcall(function() return v.key .. 'x' end)}", "{\"key\":{\"$secret\":\"crm\"}}",
        "[false,\"init.lua:1: attempt to concatenate a secret value (field 'key')\"]");
}

/* --- host functions that wait --- */

struct counter {
    int calls;
};

static int host_wait(lua_State *L)
{
    peri_vm_check_wait(L);
    struct counter *counter = peri_vm_call_user(L);
    counter->calls++;
    return peri_vm_wait(L);
}

static int host_error(lua_State *L)
{
    return peri_vm_raisef(L, "host.no", "no %d", 5);
}

static int host_value(lua_State *L)
{
    struct peri_value **box = peri_vm_push_box(L);
    *box = peri_vm_check_value(L, 1, 1000);
    peri_vm_push_value(L, *box, false);
    return 1;
}

static int host_stop(lua_State *L)
{
    peri_vm_stop(L, "limit.calls", "too many %s calls", "host");
    return 0;
}

static int open_api(lua_State *L, void *user)
{
    lua_pushcfunction(L, host_wait);
    lua_setglobal(L, "wait");
    lua_pushcfunction(L, host_error);
    lua_setglobal(L, "fail");
    lua_pushcfunction(L, host_value);
    lua_setglobal(L, "echo");
    lua_pushcfunction(L, host_stop);
    lua_setglobal(L, "stop");
    return 0;
}

static int push_int(lua_State *L, void *user)
{
    lua_pushinteger(L, *(int *)user);
    return 1;
}

static int push_raise(lua_State *L, void *user)
{
    struct peri_error err;
    (void)peri_error_set(&err, PERI_ETIMEOUT, "http.timeout", "too late");
    return peri_vm_raise(L, &err);
}

static enum peri_status find_module(
    void *user, const char *name, const char **ret_text, size_t *ret_len, struct peri_error *err)
{
    static const struct {
        const char *name, *text;
    } modules[] = {
        {"perigee.sum", "local M = {} count = (count or 0) + 1 function M.add(a, b) return a + b end return M"},
        {"loop", "return require('loop')"},
        {"bad", "\nerror('broken')"},
        {"nothing", "x = 1"},
    };
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
        if (strcmp(name, modules[i].name) == 0) {
            *ret_text = modules[i].text;
            *ret_len = strlen(modules[i].text);
            return PERI_OK;
        }
    return peri_error_set(err, PERI_ENOTFOUND, NULL, "no file");
}

static struct peri_vm *vm_with_api(const char *package)
{
    struct peri_vm_options options = {.name = "test", .open_api = open_api, .module = find_module};
    return vm_with(&options, package);
}

static enum peri_vm_outcome start_with(
    struct peri_vm *vm, struct counter *counter, struct peri_vm_call **ret, struct peri_error *err)
{
    const char *path[] = {"main", NULL};
    struct peri_vm_start start = {.path = path, .user = counter};
    return peri_vm_call_start(vm, &start, ret, err);
}

/* Runs main, answering its waits with 1, 2, 3 ...; compares the result and how often it waited. */
static void expect_waits(const char *body, int waits, const char *json)
{
    char package[4096];
    struct counter counter = {0};
    struct peri_error err = {0};
    struct peri_vm_call *call;
    snprintf(package, sizeof(package), "return { main = function() %s end }", body);
    struct peri_vm *vm = vm_with_api(package);
    enum peri_vm_outcome outcome = start_with(vm, &counter, &call, &err);
    for (int i = 1; outcome == PERI_VM_SUSPENDED; i++)
        outcome = peri_vm_call_resume(call, push_int, &i, &err);
    if (outcome != PERI_VM_DONE)
        fail_msg("%s: %s %s", body, err.code, err.message);
    char *text = vm_result(call, 0);
    assert_string_equal(text, json);
    assert_int_equal(counter.calls, waits);
    free(text);
    peri_vm_call_destroy(call);
    peri_vm_destroy(vm);
}

static void test_waits_suspend_the_whole_call(void **state)
{
    expect_waits("return wait() + wait()", 2, "3");
    expect_waits("local ok, v = pcall(wait) return {ok, v}", 1, "[true,1]");
    expect_waits("local ok, v = xpcall(wait, print) return {ok, v}", 1, "[true,1]");
    expect_waits(
        "local co = coroutine.wrap(function(a) local b = wait() local c = coroutine.yield(a + b) return c * wait() end)"
        " local x = co(10) return {x, co(7)}",
        2, "[11,14]");
    expect_waits(
        "local co = coroutine.create(function() return wait(), wait() end) local ok, a, b = coroutine.resume(co)"
        " return {ok, a, b, coroutine.status(co)}",
        2, "[true,1,2,\"dead\"]");
    /* three coroutines deep, each with a wait of its own, and an iterator */
    expect_waits("local function nest(n) if n == 0 then return wait() end"
                 " return coroutine.wrap(function() return nest(n - 1) + wait() end)() end return nest(3)",
        4, "10");
    expect_waits("local sum = 0 for v in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(wait()) end end)"
                 " do sum = sum + v end return sum",
        3, "6");
    expect_waits("local r = {} for i = 1, 3 do r[i] = coroutine.wrap(function() return wait() end)() end return r", 3,
        "[1,2,3]");
    expect_waits(
        "local function f() local x <close> = setmetatable({}, {__close = function() done = wait() end}) return 5 end"
        " local v = f() return {v, done}",
        1, "[5,1]");
}

static void test_waits_that_are_not_possible(void **state)
{
    expect_waits("local ok, e = pcall(table.sort, {1, 2}, wait) return {ok, e.code}", 0, "[false,\"plugin.no_wait\"]");
    expect_waits(
        "local ok, e = pcall(string.gsub, 'x', 'x', wait) return {ok, e.code}", 0, "[false,\"plugin.no_wait\"]");
    expect_waits("local ok, e = pcall(table.sort, {1, 2}, coroutine.wrap(function() wait() end)) return {ok, e.code}",
        0, "[false,\"plugin.no_wait\"]");
    expect_waits(
        "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() wait() end})"
        " coroutine.yield() end) coroutine.resume(co) local ok, e = coroutine.close(co) return {ok, e.code}",
        0, "[false,\"plugin.no_wait\"]");
    expect_waits("local ok, e = pcall(coroutine.yield) return {ok, e, (coroutine.isyieldable())}", 0,
        "[false,\"attempt to yield from outside a coroutine\",false]");
}

static void test_waits_can_fail(void **state)
{
    struct counter counter = {0};
    struct peri_error err = {0};
    struct peri_vm_call *call;
    struct peri_vm *vm =
        vm_with_api("return { main = function() local ok, e = pcall(wait) local f = e.code .. e.message wait()"
                    " return f end }");
    assert_int_equal(start_with(vm, &counter, &call, &err), PERI_VM_SUSPENDED);
    assert_int_equal(peri_vm_call_resume(call, push_raise, NULL, &err), PERI_VM_SUSPENDED);
    assert_int_equal(peri_vm_call_resume(call, push_raise, NULL, &err), PERI_VM_FAILED);
    assert_string_equal(err.code, "http.timeout");
    assert_true(err.retryable);
    assert_int_equal(peri_vm_call_resume(call, NULL, NULL, &err), PERI_VM_FAILED);
    peri_vm_call_destroy(call);
    peri_vm_destroy(vm);
}

static void test_two_calls_wait_in_one_state(void **state)
{
    struct counter counter = {0};
    struct peri_error err = {0};
    struct peri_vm_call *a, *b, *c;
    struct peri_vm *vm = vm_with_api(
        "local kept return { main = function() if not kept then kept = coroutine.create(function() return wait() end)"
        " local _, v = coroutine.resume(kept) return v end"
        " return {coroutine.status(kept), select(2, coroutine.resume(kept)), select(2, pcall(coroutine.close, kept))} "
        "end }");
    int seven = 7;
    assert_int_equal(start_with(vm, &counter, &a, &err), PERI_VM_SUSPENDED);
    /* another call can not run away with the wait of the first */
    assert_int_equal(start_with(vm, &counter, &b, &err), PERI_VM_DONE);
    char *text = vm_result(b, 0);
    assert_string_equal(
        text, "[\"normal\",\"cannot resume non-suspended coroutine\",\"cannot close a normal coroutine\"]");
    free(text);
    peri_vm_call_destroy(b);
    assert_int_equal(peri_vm_call_resume(a, push_int, &seven, &err), PERI_VM_DONE);
    text = vm_result(a, 0);
    assert_string_equal(text, "7");
    free(text);
    assert_int_equal(start_with(vm, &counter, &c, &err), PERI_VM_DONE);
    peri_vm_call_destroy(a);
    peri_vm_call_destroy(c);
    peri_vm_destroy(vm);
}

static void test_state_goes_before_its_waiting_calls(void **state)
{
    struct counter counter = {0};
    struct peri_error err = {0};
    struct peri_vm_call *call;
    struct peri_vm *vm = vm_with_api("return { main = function() local x = echo({1, 2}) return wait() end }");
    assert_int_equal(start_with(vm, &counter, &call, &err), PERI_VM_SUSPENDED);
    peri_vm_destroy(vm);
    assert_int_equal(peri_vm_call_resume(call, NULL, NULL, &err), PERI_VM_FAILED);
    assert_string_equal(err.code, "plugin.reset");
    assert_true(err.retryable);
    peri_vm_call_destroy(call);
}

static void test_host_functions_raise_and_stop(void **state)
{
    struct counter counter = {0};
    struct peri_error err = {0};
    struct peri_vm_call *call;
    expect_waits("local ok, e = pcall(fail) return {ok, e}", 0,
        "[false,{\"code\":\"host.no\",\"message\":\"no 5\",\"retryable\":false}]");
    expect_waits("local ok, e = pcall(echo, print) return {ok, e.code}", 0, "[false,\"bad_argument\"]");
    expect_waits("local ok, e = pcall(echo, ('x'):rep(2000)) return {ok, e.code}", 0, "[false,\"limit.output\"]");
    struct peri_vm *vm = vm_with_api("return { main = function() pcall(stop) return 1 end }");
    assert_int_equal(start_with(vm, &counter, &call, &err), PERI_VM_FAILED);
    assert_string_equal(err.code, "limit.calls");
    assert_string_equal(err.message, "too many host calls");
    assert_true(peri_vm_spoilt(vm));
    peri_vm_call_destroy(call);
    assert_int_equal(start_with(vm, &counter, &call, &err), PERI_VM_FAILED);
    assert_string_equal(err.code, "plugin.reset");
    peri_vm_call_destroy(call);
    peri_vm_destroy(vm);
}

static void test_require_runs_a_module_once(void **state)
{
    expect_waits("local a, b = require('perigee.sum'), require('perigee.sum') return {a == b, count, a.add(2, 3)}", 0,
        "[true,1,5]");
    expect_waits("return {select(2, pcall(require, 'loop'))}", 0,
        "[\"loop.lua:1: module 'loop' requires itself, directly or through others\"]");
    expect_waits("return {select(2, pcall(require, 'bad'))}", 0, "[\"bad.lua:2: broken\"]");
    expect_waits("return {pcall(require, 'gone')}", 0, "[false,\"module 'gone' not found: no file\"]");
    expect_waits("return {pcall(require, '../x')}", 0, "[false,\"module name '../x' is not valid\"]");
    expect_waits("return {require('nothing'), x}", 0, "[true,1]");
}

static void test_usage_is_counted(void **state)
{
    struct peri_error err = {0};
    struct peri_vm_call *call;
    struct peri_vm *vm = vm_with(NULL, "return { main = function() for i = 1, 10000 do end end }");
    assert_int_equal(vm_start(vm, "main", &call, &err), PERI_VM_DONE);
    struct peri_vm_usage usage = peri_vm_call_usage(call);
    assert_in_range(usage.instructions, 9000, 12000);
    assert_in_range(usage.memory_bytes, 5000, 100000);
    peri_vm_call_destroy(call);
    peri_vm_destroy(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_package_is_loaded_and_looked_into),
        cmocka_unit_test(test_load_errors_name_the_line),
        cmocka_unit_test(test_errors_keep_code_and_place),
        cmocka_unit_test(test_values_go_in_and_out_unchanged),
        cmocka_unit_test(test_results_that_are_no_values),
        cmocka_unit_test(test_secrets_stay_closed),
        cmocka_unit_test(test_waits_suspend_the_whole_call),
        cmocka_unit_test(test_waits_that_are_not_possible),
        cmocka_unit_test(test_waits_can_fail),
        cmocka_unit_test(test_two_calls_wait_in_one_state),
        cmocka_unit_test(test_state_goes_before_its_waiting_calls),
        cmocka_unit_test(test_host_functions_raise_and_stop),
        cmocka_unit_test(test_require_runs_a_module_once),
        cmocka_unit_test(test_usage_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
