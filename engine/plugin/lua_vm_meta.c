/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_vm_internal.h"

/* Metatables. A table never gets the plugin's own table as its metatable but a private copy (snapshot) of the events
 * below, made again at each setmetatable; getmetatable shows the plugin its own. So what liblua 5.4.4 can not bear
 * never reaches it: __concat (a stale stack pointer), __mode and metatables that are weak themselves, __gc, and events
 * that are added later. The snapshots are found again through a table with weak keys and values: each keeps its
 * original alive, and no entry keeps itself. */
static const char *const events[] = {
    "__add",
    "__band",
    "__bnot",
    "__bor",
    "__bxor",
    "__call",
    "__close",
    "__div",
    "__eq",
    "__idiv",
    "__index",
    "__le",
    "__len",
    "__lt",
    "__metatable",
    "__mod",
    "__mul",
    "__name",
    "__newindex",
    "__pairs",
    "__pow",
    "__shl",
    "__shr",
    "__sub",
    "__tostring",
    "__unm",
};
#define EVENT_COUNT ((int)(sizeof(events) / sizeof(events[0])))
#define UP_GC (EVENT_COUNT + 1) /* upvalues after the events */
#define UP_SNAPSHOTS (EVENT_COUNT + 2)

/* getmetatable(v): the plugin's own table, __metatable, or nil. */
int peri_vm_lib_getmetatable(lua_State *L)
{
    luaL_checkany(L, 1);
    if (!lua_getmetatable(L, 1) || peri_vm_is_list(L, 1)) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushliteral(L, "__metatable");
    if (lua_rawget(L, -2) != LUA_TNIL)
        return 1;
    if (lua_rawgetp(L, -2, &peri_vm_key_original) == LUA_TNIL)
        lua_pushboolean(L, 0); /* one of the host's */
    return 1;
}

/* Pushes the snapshot of the table at 2. */
static void push_snapshot(lua_State *L)
{
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(UP_SNAPSHOTS)) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 1, 4);
    lua_pushvalue(L, 2);
    lua_rawsetp(L, -2, &peri_vm_key_original);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, lua_upvalueindex(UP_SNAPSHOTS));
}

/* Brings the snapshot on the top in line with the table at 2. Which events it holds stands in its [1], so that the many
 * that neither has cost one look-up. */
static void refresh(lua_State *L)
{
    int snapshot = lua_gettop(L);
    lua_rawgeti(L, snapshot, 1);
    lua_Integer had = lua_tointeger(L, -1), has = 0;
    for (int i = 0; i < EVENT_COUNT; i++) {
        lua_Integer bit = (lua_Integer)1 << i;
        lua_pushvalue(L, lua_upvalueindex(i + 1));
        if (lua_rawget(L, 2) != LUA_TNIL)
            has |= bit;
        else if (!(had & bit))
            goto next;
        lua_pushvalue(L, lua_upvalueindex(i + 1));
        lua_insert(L, -2);
        lua_rawset(L, snapshot);
    next:
        lua_settop(L, snapshot);
    }
    if (had != has) {
        lua_pushinteger(L, has);
        lua_rawseti(L, snapshot, 1);
    }
}

int peri_vm_lib_setmetatable(lua_State *L)
{
    int type = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    lua_settop(L, 2);
    if (lua_getmetatable(L, 1)) {
        lua_pushliteral(L, "__metatable");
        if (lua_rawget(L, 3) != LUA_TNIL)
            return luaL_error(L, "cannot change a protected metatable");
        lua_settop(L, 2);
    }
    if (type == LUA_TNIL) {
        lua_setmetatable(L, 1);
        return 1;
    }
    lua_pushvalue(L, lua_upvalueindex(UP_GC));
    if (lua_rawget(L, 2) != LUA_TNIL)
        return luaL_error(L, "__gc is not available here");
    push_snapshot(L);
    refresh(L);
    lua_setmetatable(L, 1);
    lua_pushvalue(L, 1);
    return 1;
}

void peri_vm_push_setmetatable(lua_State *L)
{
    luaL_checkstack(L, EVENT_COUNT + 4, NULL);
    for (int i = 0; i < EVENT_COUNT; i++)
        lua_pushstring(L, events[i]);
    lua_pushliteral(L, "__gc");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &peri_vm_key_snapshots);
    lua_pushcclosure(L, peri_vm_lib_setmetatable, EVENT_COUNT + 2);
}

void peri_vm_open_meta(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "kv");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &peri_vm_key_snapshots);
}
