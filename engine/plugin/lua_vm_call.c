/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_vm_internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Calls: each has a thread (coroutine) of its own, so that several may wait at once. A finished thread is kept for the
 * next call, so a call allocates nothing of its own in the state. */

/* The first function of a call's thread. The handler runs protected inside it, so that its closing values are closed
 * and the thread ends well also when the handler fails. */
static int after_handler(lua_State *L, int status, lua_KContext ctx)
{
    struct peri_vm *vm = peri_vm_of(L);
    if (status == LUA_YIELD)
        status = LUA_OK;
    if (status != LUA_OK)
        peri_vm_caught(L, status);
    vm->current->status = status;
    return lua_gettop(L);
}

static int run_handler(lua_State *L)
{
    struct peri_vm *vm = peri_vm_of(L);
    const struct peri_vm_start *start = vm->current->start;
    if (start->no_wait)
        vm->blocked = 1; /* until the next entry */
    if (start->find ? !start->find(L, start->user) : !peri_vm_push_path(L, start->path) || !lua_isfunction(L, -1))
        return peri_vm_raisef(L, "plugin.no_handler", "the plugin has no such handler");
    vm->cap = vm->limits.memory_bytes + PERI_VM_RESERVE;
    int n = start->push ? start->push(L, start->user) : 0;
    vm->cap = vm->limits.memory_bytes;
    return after_handler(L, lua_pcallk(L, n, LUA_MULTRET, 0, 0, after_handler), 0);
}

static int take_thread(lua_State *L)
{
    struct peri_vm_call *call = lua_touserdata(L, 1);
    call->co = lua_newthread(L);
    call->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

/* Resumes the call's thread; what it ended with is in call. */
static void run_call(struct peri_vm *vm, void *arg)
{
    struct peri_vm_call *call = arg;
    int n = 0;
    vm->waiting = false;
    call->status = LUA_OK;
    int status = lua_resume(call->co, vm->L, 0, &n);
    call->suspended = status == LUA_YIELD;
    call->finished = !call->suspended;
    if (call->suspended)
        return;
    if (status != LUA_OK) { /* the handler was not found, or pushing its arguments failed */
        peri_vm_caught(call->co, status);
        call->status = status;
        n = 1;
    }
    if (call->status != LUA_OK)
        peri_vm_read_error(call->co, -1, &vm->end);
    call->results = n;
    call->base = lua_gettop(call->co) - n;
}

static enum peri_vm_outcome fail_spoilt(struct peri_vm *vm, struct peri_vm_call *call, struct peri_error *err)
{
    call->suspended = false;
    call->finished = true;
    call->results = 0;
    if (err)
        *err = vm->end;
    return PERI_VM_FAILED;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Of the processor, once the call took long enough to look at that clock; a busy machine is not the plugin's fault.
 * Asking for it is a call of the system: not for less than a millisecond. */
static int64_t time_used(const struct peri_vm *vm)
{
    int64_t wall = clock_ns(CLOCK_MONOTONIC) - vm->start_ns;
    if (vm->cpu_start_ns < 0 || wall < 1000000)
        return wall;
    int64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - vm->cpu_start_ns;
    return cpu < wall ? cpu : wall;
}

static enum peri_vm_outcome run(struct peri_vm_call *call, struct peri_error *err)
{
    struct peri_vm *vm = call->vm;
    vm->current = call;
    peri_vm_arm(vm, call->budget, call->limit_ns - call->running_ns);
    peri_vm_begin_time(vm, clock_ns(CLOCK_MONOTONIC));
    bool ok = peri_vm_enter(vm, run_call, call);
    call->running_ns += time_used(vm);
    call->budget = vm->budget;
    call->memory = vm->heap.used;
    vm->current = NULL;
    if (!ok)
        return fail_spoilt(vm, call, err);
    if (call->suspended)
        return PERI_VM_SUSPENDED;
    if (call->status == LUA_OK)
        return PERI_VM_DONE;
    if (err)
        *err = vm->end;
    return PERI_VM_FAILED;
}

static bool take_pooled(struct peri_vm *vm, struct peri_vm_call *call)
{
    if (vm->pooled == 0)
        return false;
    vm->pooled--;
    call->co = vm->pool[vm->pooled].co;
    call->ref = vm->pool[vm->pooled].ref;
    return true;
}

enum peri_vm_outcome peri_vm_call_start(
    struct peri_vm *vm, const struct peri_vm_start *start, struct peri_vm_call **ret, struct peri_error *err)
{
    struct peri_vm_call *call = calloc(1, sizeof(*call));
    *ret = call;
    if (!call) {
        (void)peri_error_nomem(err);
        return PERI_VM_FAILED;
    }
    call->vm = vm;
    call->ref = LUA_NOREF;
    call->user = start->user;
    call->budget = call->budget_limit =
        start->limits.instructions > 0 ? start->limits.instructions : vm->limits.instructions;
    call->limit_ns = (start->limits.running_ms > 0 ? start->limits.running_ms : vm->limits.running_ms) * 1000000;
    call->next = vm->calls;
    if (call->next)
        call->next->prev = call;
    vm->calls = call;
    if (vm->spoilt || vm->entered) {
        (void)peri_error_set(err, PERI_ESTATE, "plugin.reset", "the Lua state can not take a call now");
        return PERI_VM_FAILED;
    }
    if (!take_pooled(vm, call)) {
        peri_vm_arm(vm, call->budget, call->limit_ns);
        if (peri_vm_protect(vm, take_thread, call, err) != PERI_OK)
            return PERI_VM_FAILED;
    }
    peri_vm_watch(call->co);
    call->start = start;
    lua_pushcfunction(call->co, run_handler);
    enum peri_vm_outcome outcome = run(call, err);
    call->start = NULL;
    return outcome;
}

enum peri_vm_outcome peri_vm_call_resume(
    struct peri_vm_call *call, int (*push)(lua_State *L, void *user), void *user, struct peri_error *err)
{
    struct peri_vm *vm = call->vm;
    if (!vm || vm->spoilt || vm->entered || !call->suspended) {
        bool lost = !vm || vm->spoilt;
        (void)peri_error_set(err, PERI_ESTATE, lost ? "plugin.reset" : NULL,
            lost ? "the plugin was reset while the call waited" : "the call does not wait");
        if (err && lost)
            err->retryable = true;
        return PERI_VM_FAILED;
    }
    vm->resume_push = push;
    vm->resume_user = user;
    return run(call, err);
}

void peri_vm_call_destroy(struct peri_vm_call *call)
{
    if (!call)
        return;
    struct peri_vm *vm = call->vm;
    if (!vm) {
        free(call);
        return;
    }
    if (call->prev)
        call->prev->next = call->next;
    else
        vm->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    if (call->co && !vm->spoilt) {
        if (call->finished && lua_status(call->co) == LUA_OK && vm->pooled < PERI_VM_POOL) {
            lua_settop(call->co, 0);
            vm->pool[vm->pooled].co = call->co;
            vm->pool[vm->pooled++].ref = call->ref;
        } else {
            luaL_unref(vm->L, LUA_REGISTRYINDEX, call->ref); /* writes to a slot that exists: can not fail */
        }
    }
    free(call);
}

/* --- results --- */

struct result_args {
    struct peri_vm_call *call;
    int i;
    size_t max_bytes;
    struct peri_value *value;
    enum peri_status status;
    struct peri_error err;
};

static int read_result(lua_State *L)
{
    struct result_args *args = lua_touserdata(L, 1);
    lua_State *co = args->call->co;
    luaL_checkstack(L, 4 * PERI_VM_DEPTH, NULL);
    lua_pushvalue(co, args->call->base + 1 + args->i);
    lua_xmove(co, L, 1);
    args->status = peri_vm_read_value(L, -1, args->max_bytes, PERI_VM_READ_ALL, &args->value, &args->err);
    return 0;
}

enum peri_status peri_vm_call_result(
    struct peri_vm_call *call, int i, size_t max_bytes, struct peri_value **ret, struct peri_error *err)
{
    struct result_args args = {.call = call, .i = i, .max_bytes = max_bytes};
    *ret = NULL;
    if (!call->vm || call->status != LUA_OK || i < 0 || i >= call->results)
        return PERI_OK;
    switch (lua_type(call->co, call->base + 1 + i)) {
    case LUA_TNIL:
        return PERI_OK;
    case LUA_TBOOLEAN: /* most results of conditions; this neither allocates in the state nor fails */
        *ret = peri_value_bool(lua_toboolean(call->co, call->base + 1 + i));
        return *ret ? PERI_OK : peri_error_nomem(err);
    default:
        break;
    }
    peri_vm_arm(call->vm, call->vm->limits.instructions, call->vm->limits.running_ms * 1000000);
    enum peri_status st = peri_vm_protect(call->vm, read_result, &args, err);
    if (st != PERI_OK)
        return st;
    if (args.status != PERI_OK && err)
        *err = args.err;
    *ret = args.value;
    return args.status;
}

struct read_args {
    struct peri_vm_call *call;
    int first, count;
    void (*fn)(lua_State *L, int count, void *user);
    void *user;
};

static int read_results(lua_State *L)
{
    struct read_args *args = lua_touserdata(L, 1);
    lua_State *co = args->call->co;
    luaL_checkstack(L, args->count + 1, NULL);
    for (int i = 0; i < args->count; i++) {
        luaL_checkstack(co, 1, NULL);
        lua_pushvalue(co, args->first + i);
        lua_xmove(co, L, 1);
    }
    args->fn(L, args->count, args->user);
    return 0;
}

enum peri_status peri_vm_call_read(struct peri_vm_call *call, int most, void (*fn)(lua_State *L, int count, void *user),
    void *user, struct peri_error *err)
{
    struct read_args args = {.call = call, .fn = fn, .user = user};
    if (!call->vm || !call->finished)
        return peri_error_set(err, PERI_ESTATE, NULL, "the call is not over");
    bool good = call->status == LUA_OK;
    args.count = good ? call->results : call->results > 0;
    if (args.count > most)
        args.count = most;
    args.first = good ? call->base + 1 : call->base + call->results;
    peri_vm_arm(call->vm, call->vm->limits.instructions, call->vm->limits.running_ms * 1000000);
    return peri_vm_protect(call->vm, read_results, &args, err);
}

struct peri_vm_usage peri_vm_call_usage(const struct peri_vm_call *call)
{
    return (struct peri_vm_usage){
        .instructions = call->budget_limit - call->budget,
        .running_us = call->running_ns / 1000,
        .memory_bytes = call->vm ? call->vm->heap.used : call->memory,
    };
}

/* --- for host functions --- */

void *peri_vm_call_user(lua_State *L)
{
    struct peri_vm *vm = peri_vm_of(L);
    return vm->current ? vm->current->user : NULL;
}

void peri_vm_check_wait(lua_State *L)
{
    struct peri_vm *vm = peri_vm_of(L);
    if (!vm->current)
        peri_vm_raisef(L, "plugin.no_wait", "a call that waits is not possible while the plugin is loaded");
    if (vm->blocked > 0 || !lua_isyieldable(L))
        peri_vm_raisef(L, "plugin.no_wait",
            "a call that waits is not possible inside a metamethod, a sort comparison, a gsub callback, require or a "
            "connector's map");
}

static int after_wait(lua_State *L, int status, lua_KContext ctx)
{
    struct peri_vm *vm = peri_vm_of(L);
    int (*push)(lua_State *, void *) = vm->resume_push;
    lua_settop(L, 0);
    if (!push)
        return 0;
    vm->cap = vm->limits.memory_bytes + PERI_VM_RESERVE;
    int n = push(L, vm->resume_user);
    vm->cap = vm->limits.memory_bytes;
    return n;
}

int peri_vm_wait(lua_State *L)
{
    peri_vm_check_wait(L);
    peri_vm_of(L)->waiting = true;
    lua_settop(L, 0);
    return lua_yieldk(L, 0, 0, after_wait);
}
