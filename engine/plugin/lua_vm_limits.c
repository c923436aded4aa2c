/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_vm_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "plugin/lua_vm_watch.h"

/* Instructions, running time and memory of a call, and the way out when one of them is used up. */

#define BIG_BLOCK 4096 /* allocations of this size look at the clock */

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool peri_vm_enter(struct peri_vm *vm, void (*work)(struct peri_vm *vm, void *arg), void *arg)
{
    vm->entered = true;
    vm->reading = false;
    if (sigsetjmp(vm->jump, 0) == 0) {
        peri_vm_watch_begin(vm);
        work(vm, arg);
    } else {
        vm->spoilt = true;
    }
    peri_vm_watch_end();
    vm->entered = false;
    return !vm->spoilt;
}

_Noreturn void peri_vm_end(struct peri_vm *vm, const char *code, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    peri_error_set(&vm->end, PERI_ELIMIT, code, "%s", text);
    siglongjmp(vm->jump, 1);
}

_Noreturn void peri_vm_end_memory(struct peri_vm *vm)
{
    peri_vm_end(vm, "limit.memory", "the memory limit of %zu bytes is reached", vm->limits.memory_bytes);
}

_Noreturn void peri_vm_end_block(struct peri_vm *vm)
{
    peri_vm_end(vm, "limit.memory",
        "one block of more than %zu bytes was asked for: a long text, a list of more than %zu elements, or deep "
        "recursion",
        vm->limits.block_bytes, vm->limits.block_bytes / 16);
}

void peri_vm_stop(lua_State *L, const char *code, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    peri_vm_end(peri_vm_of(L), code, "%s", text);
}

void peri_vm_arm(struct peri_vm *vm, int64_t instructions, int64_t running_ns)
{
    vm->budget = vm->budget_start = instructions;
    vm->limit_ns = running_ns;
    vm->start_ns = vm->deadline_ns = vm->cpu_start_ns = -1;
    vm->uncharged = 0;
    vm->cap = vm->limits.memory_bytes;
    vm->waiting = false;
    vm->blocked = vm->closing = 0;
    vm->refused = false;
    vm->refusals = 0;
}

void peri_vm_begin_time(struct peri_vm *vm, int64_t now_ns)
{
    vm->start_ns = now_ns;
    vm->deadline_ns = vm->limit_ns < INT64_MAX - now_ns ? now_ns + vm->limit_ns : INT64_MAX;
}

/* The deadline counts processor time, so that a busy machine ends no innocent call; the monotonic clock is asked first
 * as it costs a tenth, and bounds the whole at four times the limit. */
bool peri_vm_late(struct peri_vm *vm)
{
    int64_t now = now_ns(CLOCK_MONOTONIC);
    if (vm->start_ns < 0)
        peri_vm_begin_time(vm, now);
    if (vm->cpu_start_ns < 0) {
        vm->cpu_start_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
        if (vm->deadline_ns < INT64_MAX)
            peri_vm_watch_arm(vm->cpu_start_ns, vm->deadline_ns > now ? vm->deadline_ns - now : 0);
    }
    if (now < vm->deadline_ns)
        return false;
    int64_t left = vm->limit_ns - (now_ns(CLOCK_THREAD_CPUTIME_ID) - vm->cpu_start_ns);
    if (left <= 0 || (now - vm->start_ns) / 4 > vm->limit_ns)
        return true;
    vm->deadline_ns = now + (left > 1000000 ? left : 1000000);
    return false;
}

void peri_vm_check_time(struct peri_vm *vm)
{
    vm->uncharged = 0;
    if (peri_vm_late(vm))
        peri_vm_end(vm, "limit.time", "the running time limit is reached");
}

void peri_vm_end_late(struct peri_vm *vm)
{
    if (vm->entered && vm->cpu_start_ns >= 0 && now_ns(CLOCK_THREAD_CPUTIME_ID) - vm->cpu_start_ns >= vm->limit_ns)
        peri_vm_end(vm, "limit.time", "the running time limit is reached");
}

static void charge(struct peri_vm *vm, int64_t n)
{
    vm->budget -= n;
    if (vm->budget < 0)
        peri_vm_end(vm, "limit.instructions", "the limit of %lld instructions is reached",
            (long long)(vm->current ? vm->current->budget_limit : vm->budget_start));
    vm->uncharged += n < PERI_VM_INTERVAL * 10 ? (int)n : PERI_VM_INTERVAL * 10;
    if (vm->uncharged >= PERI_VM_INTERVAL * 5)
        peri_vm_check_time(vm);
}

void peri_vm_charge(lua_State *L, int64_t n)
{
    if (n > 0)
        charge(peri_vm_of(L), n);
}

void peri_vm_charge_bytes(lua_State *L, size_t n)
{
    charge(peri_vm_of(L), 1 + (int64_t)(n / 16));
}

void peri_vm_hook(lua_State *L, lua_Debug *ar)
{
    charge(peri_vm_of(L), PERI_VM_INTERVAL);
}

void peri_vm_watch(lua_State *L)
{
    lua_sethook(L, peri_vm_hook, LUA_MASKCOUNT, PERI_VM_INTERVAL);
}

static void count_collection(struct peri_vm *vm)
{
    if (vm->heap.used > vm->cap - vm->cap / 8 && ++vm->refusals > PERI_VM_REFUSALS_MAX)
        peri_vm_end_memory(vm);
}

/* A request above the cap is refused once: liblua collects everything and asks again. The second refusal, a block above
 * the largest size (no collection helps there) and too many collections that freed little (a plugin that lives at
 * the cap would spend its time collecting) end the call. */
static void *refuse(struct peri_vm *vm, const void *ptr, size_t size)
{
    if (!vm->entered)
        return NULL;
    bool again = vm->refused && vm->refused_block == ptr && vm->refused_size == size;
    if (size > vm->limits.block_bytes)
        peri_vm_end_block(vm);
    if (again)
        peri_vm_end_memory(vm);
    vm->refused = true;
    vm->refused_block = ptr;
    vm->refused_size = size;
    return NULL;
}

void *peri_vm_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
    struct peri_vm *vm = ud;
    if (nsize == 0) {
        peri_heap_free(&vm->heap, ptr, ptr ? osize : 0);
        return NULL;
    }
    size_t old = ptr ? osize : 0; /* of a new block, osize is a kind */
    if (nsize <= old)
        return peri_heap_resize(&vm->heap, ptr, old, nsize);
    if ((++vm->allocations % 256 == 0 || nsize >= BIG_BLOCK) && vm->entered)
        peri_vm_check_time(vm);
    if (nsize > vm->limits.block_bytes || vm->heap.used - old + nsize > vm->cap)
        return refuse(vm, ptr, nsize);
    void *block = peri_heap_resize(&vm->heap, ptr, old, nsize);
    if (!block)
        return refuse(vm, ptr, nsize);
    if (vm->refused && vm->refused_block == ptr && vm->refused_size == nsize) {
        vm->refused = false;
        count_collection(vm);
    }
    return block;
}

void peri_vm_room(lua_State *L, size_t n)
{
    struct peri_vm *vm = peri_vm_of(L);
    if (n > vm->limits.block_bytes)
        peri_vm_end_block(vm);
    if (vm->heap.used + 2 * n + LUAL_BUFFERSIZE < vm->cap)
        return;
    lua_gc(L, LUA_GCCOLLECT);
    count_collection(vm);
}

void peri_vm_caught(lua_State *L, int status)
{
    struct peri_vm *vm = peri_vm_of(L);
    if (status == LUA_ERRMEM || vm->refused)
        peri_vm_end_memory(vm);
    vm->cap = vm->limits.memory_bytes; /* the failure may have left a push by the host, which has a reserve */
    peri_vm_check_time(vm); /* making the text of an error can be slow: it names variables by searching the code */
}
