/* SPDX-License-Identifier: Apache-2.0 */
/* sync and map of a connector are one call of the plugin: what they use together is what one call may use, and a
 * process of its own sees both. What the items mean is stored by the host (host_items.c). */
#include "plugin/lua_connector.h"

#include <string.h>
#include <lauxlib.h>

#include "plugin/lua_vm_internal.h"

#define ITEM_COST 20

bool peri_lua_path_is_sync(const char *const *path)
{
    return path[0] && path[1] && !path[2] && !strcmp(path[0], "connector") && !strcmp(path[1], "sync");
}

/* How many items the table at idx holds; raises when it is no list. */
static lua_Integer count_items(lua_State *L, int idx)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, idx), seen = 0;
    bool list = true;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        list = list && lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1 && lua_tointeger(L, -2) <= n;
        seen++;
        peri_vm_charge(L, 1);
    }
    if (!list || seen != n)
        return peri_vm_raisef(L, "bad_result",
            "sync must return a list of items, or nothing; it has returned a table with names or holes");
    return n;
}

/* Stack: item -> what it means. */
static void map_item(lua_State *L, lua_Integer i)
{
    if (lua_isnil(L, lua_upvalueindex(2)))
        return;
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, -2);
    lua_call(L, 1, 1); /* without a continuation: nothing in it can wait */
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        peri_vm_push_null(L);
    } else if (!lua_istable(L, -1) && !peri_vm_is_null(L, -1)) {
        peri_vm_raisef(L, "bad_result",
            "item %lld: map must return {entities = {...}, events = {...}} or nothing, not a %s", (long long)i,
            luaL_typename(L, -1));
    }
}

static int synced(lua_State *L, int status, lua_KContext ctx)
{
    lua_settop(L, 2); /* items, cursor */
    lua_Integer n = 0;
    if (lua_istable(L, 1))
        n = count_items(L, 1);
    else if (!lua_isnil(L, 1) && !peri_vm_is_null(L, 1))
        return peri_vm_raisef(
            L, "bad_result", "sync must return a list of items, or nothing, not a %s", luaL_typename(L, 1));
    lua_createtable(L, 0, 0);
    lua_insert(L, 2);
    for (lua_Integer i = 1; i <= n; i++) {
        peri_vm_charge(L, ITEM_COST);
        lua_rawgeti(L, 1, i);
        map_item(L, i);
        lua_rawseti(L, 2, i);
    }
    peri_vm_mark_list(L, 2);
    return 2;
}

/* upvalues: sync, map or nil. */
static int call_sync(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_callk(L, lua_gettop(L) - 1, 2, 0, synced);
    return synced(L, LUA_OK, 0);
}

void peri_lua_wrap_sync(lua_State *L)
{
    static const char *const map[] = {"connector", "map", NULL};
    luaL_checkstack(L, 6, NULL);
    if (!peri_vm_push_path(L, map))
        lua_pushnil(L);
    lua_pushcclosure(L, call_sync, 2);
}
