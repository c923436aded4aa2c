/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that end by a limit, one after the other and on several threads, with the allocator that the build has: under
 * the sanitizers that is malloc, in unit.plugin.lua_kills_release the arena of the service. Whatever a call was doing,
 * nothing is left of it, and a good state beside it is right every time. */
#include "plugin/vm_fixture.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "plugin/lua_vm_watch.h"

#if defined(__SANITIZE_ADDRESS__)
#define TIMES 150
#define THREAD_TIMES 50
size_t __sanitizer_get_current_allocated_bytes(void);
#else
#define TIMES 1500
#define THREAD_TIMES 300
#endif

static const struct {
    const char *body, *code;
} ends[] = {
    {"while true do pcall(function() while true do end end) end", "limit.instructions"},
    {"local t = {} while true do t[#t + 1] = ('x'):rep(5000) .. #t end", "limit.memory"},
    {"local t = {} while true do t = {t, function() return t end, coroutine.create(print)} end", "limit.memory"},
    {"local s = 'x' while true do s = s .. s end", "limit.memory"},
    {"local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) while true do pcall(rawget(t, 'x') "
     "or function() return t[1] end) end",
        "limit.instructions"},
    {"local function f(n) return pcall(f, n + 1) end while true do f(1) end", "limit.instructions"},
    {"while true do pcall(string.gsub, ('a'):rep(5000), '.-b', '') end", "limit.instructions"},
    {"while true do local c = coroutine.wrap(function() local x <close> = setmetatable({}, {__close = function() while "
     "true do end end}) coroutine.yield() end) c() end",
        "limit."},
    {"xpcall(function() local t = {} while true do t[#t + 1] = {#t} end end, function() while true do end end)",
        "limit.memory"},
    {"while true do load(('local a = 1 '):rep(3000)) end", "limit.instructions"},
    {"local t = {} for i = 1, 1e9 do t[i] = i table.sort(t, function(a, b) return true end) end", "limit.instructions"},
};
#define ENDS (sizeof(ends) / sizeof(ends[0]))

static void kill_one(size_t i, struct peri_vm *good)
{
    char package[1024];
    struct peri_vm_options options = {
        .name = "bad", .limits = {.instructions = 30000, .running_ms = 20000, .memory_bytes = 1u << 20}};
    struct peri_vm *vm = NULL;
    struct peri_vm_call *call = NULL;
    struct peri_error err = {0};
    snprintf(package, sizeof(package), "return { main = function() %s end }", ends[i].body);
    assert_int_equal(peri_vm_create(&options, &vm, &err), PERI_OK);
    assert_int_equal(peri_vm_load(vm, "init.lua", package, strlen(package), &err), PERI_OK);
    assert_int_equal(vm_start(vm, "main", &call, &err), PERI_VM_FAILED);
    if (strncmp(err.code, ends[i].code, strlen(ends[i].code)) != 0 && strncmp(err.code, "limit.", 6) != 0)
        fail_msg("%s: %s: %s", ends[i].body, err.code, err.message);
    assert_true(peri_vm_spoilt(vm));
    peri_vm_call_destroy(call);
    peri_vm_destroy(vm);
    assert_int_equal(vm_start(good, "main", &call, &err), PERI_VM_DONE);
    char *text = vm_result(call, 0);
    assert_string_equal(text, "[2500,50]");
    free(text);
    peri_vm_call_destroy(call);
}

static struct peri_vm *good_vm(void)
{
    return vm_with(NULL, "return { main = function() local t = {} for i = 1, 50 do t[i] = i * i end"
                         " table.sort(t, function(a, b) return a > b end) return {t[1], #t} end }");
}

/* Bytes that the process holds: of the heap, and of everything (the arenas are no part of the heap). */
static size_t held(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return __sanitizer_get_current_allocated_bytes();
#else
    long pages = 0, skipped = 0;
    FILE *in = fopen("/proc/self/statm", "r");
    assert_non_null(in);
    assert_int_equal(fscanf(in, "%ld %ld", &skipped, &pages), 2);
    fclose(in);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
#endif
}

static void test_kills_leave_nothing(void **state)
{
    struct peri_vm *good = good_vm();
    for (int i = 0; i < TIMES / 10; i++)
        kill_one((size_t)i % ENDS, good);
    size_t before = held();
    for (int i = 0; i < TIMES; i++)
        kill_one((size_t)i % ENDS, good);
    size_t after = held();
    if (after > before + (1u << 20))
        fail_msg("%zu bytes after %d kills, %zu after %d more", before, TIMES / 10, after, TIMES);
    peri_vm_destroy(good);
}

static atomic_bool over;

/* Holds libc's locks as often as it can. */
static void *busy(void *arg)
{
    unsigned n = 1;
    while (!over) {
        char text[64];
        n = n * 1103515245 + 12345;
        void *p = malloc(n % 5000 + 1);
        snprintf(text, sizeof(text), "%p %f", p, (double)n);
        free(p);
    }
    return NULL;
}

static void *killer(void *arg)
{
    struct peri_vm *good = good_vm();
    for (size_t i = 0; i < THREAD_TIMES; i++)
        kill_one((i + (size_t)(uintptr_t)arg) % ENDS, good);
    peri_vm_destroy(good);
    return NULL;
}

static void test_kills_on_threads_at_a_time(void **state)
{
    pthread_t noise, threads[2];
    pthread_attr_t attr;
    over = false;
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstacksize(&attr, (size_t)16 << 20), 0);
    assert_int_equal(pthread_create(&noise, NULL, busy, NULL), 0);
    for (uintptr_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], &attr, killer, (void *)(i * 5)), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    over = true;
    pthread_join(noise, NULL);
    pthread_attr_destroy(&attr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kills_leave_nothing),
        cmocka_unit_test(test_kills_on_threads_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
