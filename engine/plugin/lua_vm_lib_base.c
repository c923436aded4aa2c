/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_vm_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* The globals that are ours. */

int peri_vm_lib_collectgarbage(lua_State *L)
{
    const char *what = luaL_optstring(L, 1, "count");
    if (strcmp(what, "count") != 0)
        return luaL_error(L, "collectgarbage: only \"count\" is available");
    lua_pushnumber(L, (double)peri_vm_of(L)->heap.used / 1024.0);
    return 1;
}

/* load(text [, name [, mode [, env]]]): text only. */
int peri_vm_lib_load(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    const char *name = luaL_optstring(L, 2, "=(load)");
    const char *mode = luaL_optstring(L, 3, "t");
    bool env = !lua_isnone(L, 4);
    lua_settop(L, 4);
    if (!strchr(mode, 't')) {
        lua_pushnil(L);
        lua_pushliteral(L, "only text chunks can be loaded");
        return 2;
    }
    if (!peri_vm_try_compile(L, name, text, len)) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (env) {
        lua_pushvalue(L, 4);
        if (!lua_setupvalue(L, -2, 1))
            lua_pop(L, 1);
    }
    return 1;
}

static int after_pcall(lua_State *L, int status, lua_KContext below)
{
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - (int)below;
    peri_vm_caught(L, status);
    lua_pushboolean(L, 0);
    lua_pushvalue(L, -2);
    return 2;
}

static int ipairs_next(lua_State *L)
{
    lua_Integer i = luaL_intop(+, luaL_checkinteger(L, 2), 1);
    lua_pushinteger(L, i);
    return lua_geti(L, 1, i) == LUA_TNIL ? 1 : 2;
}

/* liblua's takes anything and fails at the first step, in C: without the line of the loop. */
int peri_vm_lib_ipairs(lua_State *L)
{
    luaL_checkany(L, 1);
    if (!lua_istable(L, 1) && luaL_getmetafield(L, 1, "__index") == LUA_TNIL)
        return luaL_typeerror(L, 1, "table");
    lua_pushcfunction(L, ipairs_next);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    return 3;
}

int peri_vm_lib_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return after_pcall(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, after_pcall), 0);
}

int peri_vm_lib_xpcall(lua_State *L)
{
    int n = lua_gettop(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2); /* f, handler, true, f, arguments */
    return after_pcall(L, lua_pcallk(L, n - 2, LUA_MULTRET, 2, 2, after_pcall), 2);
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return x ^ (x >> 33);
}

/* What stands for an address in text: the same for the same object, but it tells nothing about where that is. */
static void push_identity(lua_State *L, int idx, const char *kind)
{
    struct peri_vm *vm = peri_vm_of(L);
    uint64_t x = mix(mix((uint64_t)(uintptr_t)lua_topointer(L, idx) ^ vm->mask[0]) ^ vm->mask[1]);
    char id[24];
    snprintf(id, sizeof(id), "%012" PRIx64, x >> 16);
    lua_pushfstring(L, "%s: %s", kind, id);
}

const char *peri_vm_tostring(lua_State *L, int idx, size_t *ret_len)
{
    idx = lua_absindex(L, idx);
    luaL_checkstack(L, 6, NULL);
    if (luaL_callmeta(L, idx, "__tostring")) {
        if (!lua_isstring(L, -1))
            luaL_error(L, "'__tostring' must return a string");
        return lua_tolstring(L, -1, ret_len);
    }
    switch (lua_type(L, idx)) {
    case LUA_TNIL:
    case LUA_TBOOLEAN:
    case LUA_TNUMBER:
    case LUA_TSTRING:
        return luaL_tolstring(L, idx, ret_len);
    default:
        break;
    }
    if (peri_vm_is_null(L, idx)) {
        lua_pushliteral(L, "null");
    } else {
        int kind = luaL_getmetafield(L, idx, "__name");
        push_identity(L, idx, kind == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, idx));
        if (kind != LUA_TNIL)
            lua_remove(L, -2);
    }
    return lua_tolstring(L, -1, ret_len);
}

int peri_vm_lib_tostring(lua_State *L)
{
    luaL_checkany(L, 1);
    peri_vm_tostring(L, 1, NULL);
    return 1;
}

int peri_vm_lib_print(lua_State *L)
{
    int n = lua_gettop(L);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        size_t len;
        if (i > 1)
            luaL_addchar(&b, '\t');
        peri_vm_tostring(L, i, &len);
        peri_vm_charge_bytes(L, len);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &peri_vm_key_print) == LUA_TNIL)
        return 0;
    lua_insert(L, -2);
    lua_call(L, 1, 0);
    return 0;
}

/* math.randomseed: liblua's gives back what it seeded with, which holds an address. */
int peri_vm_lib_randomseed(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_Integer seed[2] = {0, 0};
        if (getrandom(seed, sizeof(seed), 0) < 0)
            return luaL_error(L, "no random numbers");
        lua_settop(L, 0);
        lua_pushinteger(L, seed[0]);
        lua_pushinteger(L, seed[1]);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 0);
    return 0;
}

/* Module names are words joined by dots: "perigee.result" is perigee/result.lua. */
static bool good_module_name(const char *name, size_t len)
{
    if (len == 0 || len > 100 || strlen(name) != len || name[0] == '.' || name[len - 1] == '.' || strstr(name, ".."))
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == len;
}

static void push_module_file(lua_State *L, const char *name)
{
    lua_pushliteral(L, "@");
    luaL_gsub(L, name, ".", "/");
    lua_pushliteral(L, ".lua");
    lua_concat(L, 3);
}

/* require(name): runs the module once and keeps what it returns. */
int peri_vm_lib_require(lua_State *L)
{
    struct peri_vm *vm = peri_vm_of(L);
    struct peri_error err = {0};
    const char *text;
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    if (!good_module_name(name, len))
        return luaL_error(L, "module name '%s' is not valid", name);
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &peri_vm_key_modules); /* 2 */
    lua_pushvalue(L, 1);
    if (lua_rawget(L, 2) != LUA_TNIL) {
        if (lua_touserdata(L, -1) == vm)
            return luaL_error(L, "module '%s' requires itself, directly or through others", name);
        return 1;
    }
    peri_vm_charge(L, 100);
    enum peri_status st = vm->module(vm->user, name, &text, &len, &err);
    if (st != PERI_OK)
        return luaL_error(L, "module '%s' not found%s%s", name, err.message[0] ? ": " : "", err.message);
    push_module_file(L, name);
    peri_vm_compile(L, lua_tostring(L, -1), text, len);
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, vm); /* being loaded */
    lua_rawset(L, 2);
    lua_pushvalue(L, 1);
    int status = lua_pcall(L, 1, 1, 0);
    bool nothing = status == LUA_OK && lua_isnil(L, -1);
    if (nothing) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    lua_pushvalue(L, 1);
    if (status == LUA_OK)
        lua_pushvalue(L, -2);
    else
        lua_pushnil(L);
    lua_rawset(L, 2);
    if (status == LUA_OK)
        return 1;
    peri_vm_caught(L, status);
    return lua_error(L);
}
