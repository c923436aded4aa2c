/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_vm_internal.h"

/* The coroutine library. Three things differ from liblua's: a coroutine is charged when it is made; a wait of the host
 * inside a coroutine passes outward through every resumer, where liblua's resume would take it for the plugin's own
 * yield; closing counts its nesting, as liblua 5.4.4 does not there.
 *
 * The thread of a call is never shown: coroutine.running gives the main thread for it. A plugin that kept it could
 * otherwise resume the wait of another call. Threads inside a host wait are kept in a table (weak keys) and refused. */

static lua_State *check_co(lua_State *L, int idx)
{
    lua_State *co = lua_tothread(L, idx);
    luaL_argexpected(L, co, idx, "coroutine");
    return co;
}

static bool is_handler(lua_State *L)
{
    struct peri_vm *vm = peri_vm_of(L);
    return L == vm->L || (vm->current && vm->current->co == L);
}

static bool is_waiting(lua_State *L, lua_State *co)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &peri_vm_key_waiting);
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    lua_rawget(L, -2);
    bool waiting = lua_toboolean(L, -1);
    lua_pop(L, 2);
    return waiting;
}

static void set_waiting(lua_State *L, lua_State *co, bool waiting)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &peri_vm_key_waiting);
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    if (waiting)
        lua_pushboolean(L, 1);
    else
        lua_pushnil(L);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

static const char *status_of(lua_State *L, lua_State *co)
{
    struct peri_vm *vm = peri_vm_of(L);
    lua_Debug ar;
    if (L == co || (co == vm->L && is_handler(L)))
        return "running";
    if (co == vm->L)
        return "normal";
    if (lua_status(co) == LUA_YIELD)
        return is_waiting(L, co) ? "normal" : "suspended";
    if (lua_status(co) != LUA_OK)
        return "dead";
    if (lua_getstack(co, 0, &ar))
        return "normal";
    return lua_gettop(co) == 0 ? "dead" : "suspended";
}

/* Resumes co, on whose stack n values stand. Returns the number of values moved to L, or -1 with an error object on L,
 * or -2 when a host wait has to pass outward. */
static int resume(lua_State *L, lua_State *co, int n)
{
    struct peri_vm *vm = peri_vm_of(L);
    int results = 0, blocked = !lua_isyieldable(L);
    vm->blocked += blocked;
    int status = lua_resume(co, L, n, &results);
    vm->blocked -= blocked;
    if (status == LUA_YIELD && vm->waiting) {
        set_waiting(L, co, true);
        return -2;
    }
    if (status == LUA_OK || status == LUA_YIELD) {
        if (!lua_checkstack(L, results + 1)) {
            lua_pop(co, results);
            lua_pushliteral(L, "too many results to resume");
            return -1;
        }
        lua_xmove(co, L, results);
        return results;
    }
    peri_vm_caught(L, status);
    lua_xmove(co, L, 1);
    return -1;
}

/* Moves the n values on the top of L to co and resumes it, when that is possible. */
static int resume_with(lua_State *L, lua_State *co, int n)
{
    const char *status = status_of(L, co);
    if (status[0] != 's') {
        lua_pop(L, n);
        lua_pushfstring(L, "cannot resume %s coroutine", status[0] == 'd' ? "dead" : "non-suspended");
        return -1;
    }
    if (!lua_checkstack(co, n)) {
        lua_pop(L, n);
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, co, n);
    return resume(L, co, n);
}

/* --- resume --- */

static int finish_resume(lua_State *L, int n, lua_State *co);

static int resume_again(lua_State *L, int status, lua_KContext ctx)
{
    lua_State *co = (lua_State *)ctx;
    set_waiting(L, co, false);
    return finish_resume(L, resume(L, co, 0), co);
}

static int finish_resume(lua_State *L, int n, lua_State *co)
{
    if (n == -2)
        return lua_yieldk(L, 0, (lua_KContext)co, resume_again);
    lua_pushboolean(L, n >= 0);
    if (n < 0) {
        lua_insert(L, -2);
        return 2;
    }
    lua_insert(L, -(n + 1));
    return n + 1;
}

int peri_vm_lib_co_resume(lua_State *L)
{
    lua_State *co = check_co(L, 1);
    return finish_resume(L, resume_with(L, co, lua_gettop(L) - 1), co);
}

/* --- close --- */

/* Closes co, a suspended or dead coroutine: its closing values run. Pushes nothing. */
static int close_co(lua_State *L, lua_State *co)
{
    struct peri_vm *vm = peri_vm_of(L);
    if (vm->closing >= PERI_VM_CLOSE_MAX)
        return luaL_error(L, "coroutine.close is nested too deeply");
    vm->closing++;
    vm->blocked++;
    int status = lua_resetthread(co);
    vm->blocked--;
    vm->closing--;
    if (status != LUA_OK)
        peri_vm_caught(L, status);
    return status;
}

int peri_vm_lib_co_close(lua_State *L)
{
    lua_State *co = check_co(L, 1);
    const char *status = status_of(L, co);
    if (status[0] != 's' && status[0] != 'd')
        return luaL_error(L, "cannot close a %s coroutine", status);
    if (close_co(L, co) == LUA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_xmove(co, L, 1);
    return 2;
}

/* --- create and wrap --- */

int peri_vm_lib_co_create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    peri_vm_charge(L, PERI_VM_INTERVAL); /* it may run that long before its own first hook */
    lua_State *co = lua_newthread(L);
    peri_vm_watch(co);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int finish_wrapped(lua_State *L, int n, lua_State *co);

static int wrapped_again(lua_State *L, int status, lua_KContext ctx)
{
    lua_State *co = (lua_State *)ctx;
    set_waiting(L, co, false);
    return finish_wrapped(L, resume(L, co, 0), co);
}

static int finish_wrapped(lua_State *L, int n, lua_State *co)
{
    if (n == -2)
        return lua_yieldk(L, 0, (lua_KContext)co, wrapped_again);
    if (n >= 0)
        return n;
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) { /* it died of this error: close it, which may give another */
        lua_pop(L, 1);
        close_co(L, co);
        lua_xmove(co, L, 1);
    }
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int call_wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    return finish_wrapped(L, resume_with(L, co, lua_gettop(L)), co);
}

int peri_vm_lib_co_wrap(lua_State *L)
{
    peri_vm_lib_co_create(L);
    lua_pushcclosure(L, call_wrapped, 1);
    return 1;
}

/* --- the rest --- */

int peri_vm_lib_co_yield(lua_State *L)
{
    if (is_handler(L))
        return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

int peri_vm_lib_co_status(lua_State *L)
{
    lua_pushstring(L, status_of(L, check_co(L, 1)));
    return 1;
}

int peri_vm_lib_co_running(lua_State *L)
{
    bool handler = is_handler(L);
    if (handler)
        lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    else
        lua_pushthread(L);
    lua_pushboolean(L, handler);
    return 2;
}

int peri_vm_lib_co_isyieldable(lua_State *L)
{
    lua_State *co = lua_isnone(L, 1) ? L : check_co(L, 1);
    lua_pushboolean(L, !is_handler(co) && lua_isyieldable(co));
    return 1;
}

void peri_vm_open_coroutine(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &peri_vm_key_waiting);
}
