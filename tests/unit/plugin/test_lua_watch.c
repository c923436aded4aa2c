/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_vm_watch.h"
#include "plugin/vm_fixture.h"

/* One assignment rehashes half a million keys that all collide: minutes. The test ends only because the call does. */
static void test_one_long_instruction_is_ended(void **state)
{
    static const char package[] = "return { main = function() local t, k = {}, (1 << 20) - 1\n"
                                  " for i = 1, 600000 do t[i * k] = true end end }";
    struct peri_vm_options options = {
        .name = "test",
        .limits = {.instructions = 1000000000, .running_ms = 400, .memory_bytes = 256u << 20, .block_bytes = 64u << 20},
    };
    struct peri_vm_call *call;
    struct peri_error err = {0};
    if (!peri_vm_watch_works())
        skip();
    struct peri_vm *vm = vm_with(&options, package);
    assert_int_equal(vm_start(vm, "main", &call, &err), PERI_VM_FAILED);
    assert_string_equal(err.code, "limit.time");
    assert_true(peri_vm_spoilt(vm));
    peri_vm_call_destroy(call);
    peri_vm_destroy(vm);
}

/* Calls ended at whatever instant leave nothing behind, and a good call beside them is right every time. */
static void test_ends_at_any_instant(void **state)
{
    static const char *const bodies[] = {
        "local s = ('\\0'):rep(900000) local a, b = s .. 'a', s .. 'b' while true do local _ = a < b end",
        "while true do local t = {} for i = 1, 17000 do t[i * 16383] = {} end end",
        "local t = {} for i = 1, 30000 do t[i] = {i} end while true do local x = {} t[#x + 1] = x end",
        "local s = 'return a' .. ('.a'):rep(20000) while true do load(s) end",
        "while true do pcall(function() local s = ('x'):rep(90000) error(s .. s) end) end",
        "while true do coroutine.wrap(function() for i = 1, 100 do local _ = ('%d'):format(i) end end)() end",
    };
    struct peri_vm *good = vm_with(NULL, "return { main = function() local t = {} for i = 1, 50 do t[i] = i * i end"
                                         " table.sort(t, function(a, b) return a > b end) return {t[1], #t} end }");
    for (int round = 0; round < 10; round++)
        for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
            char package[512];
            const char *path[] = {"main", NULL};
            struct peri_vm_start start = {
                .path = path, .limits = {.instructions = INT64_MAX / 2, .running_ms = 1 + round % 5}};
            struct peri_vm_call *call;
            struct peri_error err = {0};
            snprintf(package, sizeof(package), "return { main = function() %s end }", bodies[i]);
            struct peri_vm *vm = vm_with(NULL, package);
            assert_int_equal(peri_vm_call_start(vm, &start, &call, &err), PERI_VM_FAILED);
            assert_string_equal(err.code, "limit.time");
            peri_vm_call_destroy(call);
            peri_vm_destroy(vm);
            assert_int_equal(vm_start(good, "main", &call, &err), PERI_VM_DONE);
            char *text = vm_result(call, 0);
            assert_string_equal(text, "[2500,50]");
            free(text);
            peri_vm_call_destroy(call);
        }
    peri_vm_destroy(good);
}

static void run_for(struct peri_vm *vm, int64_t running_ms)
{
    const char *path[] = {"main", NULL};
    struct peri_vm_start start = {.path = path, .limits = {.instructions = INT64_MAX / 2, .running_ms = running_ms}};
    struct peri_vm_call *call;
    struct peri_error err = {0};
    assert_int_equal(peri_vm_call_start(vm, &start, &call, &err), PERI_VM_DONE);
    peri_vm_call_destroy(call);
}

/* Entries that follow one another share the timer: what an earlier one set it to must not let a later one run on. */
static void test_a_turn_has_one_timer(void **state)
{
    const int64_t second = 1000000000;
    if (!peri_vm_watch_works())
        skip();
    struct peri_vm *vm =
        vm_with(NULL, "return { main = function() local n = 0 for i = 1, 20000 do n = n + i end return n end }");
    run_for(vm, 60000);
    assert_int_equal(peri_vm_watch_left(), -1); /* a single entry leaves nothing behind */
    peri_vm_watch_turn(1);
    run_for(vm, 60000);
    assert_true(peri_vm_watch_left() > 30 * second);
    run_for(vm, 5000);
    assert_in_range(peri_vm_watch_left(), 1, 6 * second);
    run_for(vm, 60000); /* early is as good */
    assert_in_range(peri_vm_watch_left(), 1, 6 * second);
    peri_vm_watch_turn(0);
    assert_int_equal(peri_vm_watch_left(), -1);

    /* One that was ended by it, and those after it, while the signal goes on. */
    struct peri_vm *bad = vm_with(NULL, "return { main = function() while true do end end }");
    struct peri_vm_call *call;
    struct peri_error err = {0};
    const char *path[] = {"main", NULL};
    struct peri_vm_start start = {.path = path, .limits = {.instructions = INT64_MAX / 2, .running_ms = 1}};
    peri_vm_watch_turn(1);
    assert_int_equal(peri_vm_call_start(bad, &start, &call, &err), PERI_VM_FAILED);
    assert_string_equal(err.code, "limit.time");
    peri_vm_call_destroy(call);
    for (int i = 0; i < 100; i++)
        run_for(vm, 60000);
    assert_true(peri_vm_watch_left() > 30 * second);
    peri_vm_watch_turn(0);
    peri_vm_destroy(vm);
    peri_vm_destroy(bad);
}

static void test_ends_at_any_instant_of_a_turn(void **state)
{
    peri_vm_watch_turn(1);
    test_ends_at_any_instant(state);
    peri_vm_watch_turn(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_long_instruction_is_ended),
        cmocka_unit_test(test_ends_at_any_instant),
        cmocka_unit_test(test_ends_at_any_instant_of_a_turn),
        cmocka_unit_test(test_a_turn_has_one_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
