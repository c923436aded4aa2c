/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_vm_internal.h"

#include <stdio.h>
#include <string.h>

/* The allow-list: everything that a chunk can name. What is not here does not exist in a state. A library function is
 * ours, or liblua's called through a wrapper that charges for the length of its arguments, or liblua's as it is (when
 * its work has a small bound). */
const struct peri_vm_function peri_vm_functions[] = {
    {"", "assert", NULL, false},
    {"", "collectgarbage", peri_vm_lib_collectgarbage, false},
    {"", "error", NULL, false},
    {"", "getmetatable", peri_vm_lib_getmetatable, false},
    {"", "ipairs", peri_vm_lib_ipairs, false},
    {"", "load", peri_vm_lib_load, false},
    {"", "next", NULL, false},
    {"", "pairs", NULL, false},
    {"", "pcall", peri_vm_lib_pcall, false},
    {"", "print", peri_vm_lib_print, false},
    {"", "rawequal", NULL, false},
    {"", "rawget", NULL, false},
    {"", "rawlen", NULL, false},
    {"", "rawset", NULL, false},
    {"", "require", peri_vm_lib_require, false},
    {"", "select", NULL, false},
    {"", "setmetatable", peri_vm_lib_setmetatable, false},
    {"", "tonumber", NULL, true},
    {"", "tostring", peri_vm_lib_tostring, false},
    {"", "type", NULL, false},
    {"", "xpcall", peri_vm_lib_xpcall, false},
    {"string", "byte", peri_vm_lib_byte, false},
    {"string", "char", NULL, true},
    {"string", "find", peri_vm_lib_find, false},
    {"string", "format", peri_vm_lib_format, true},
    {"string", "gmatch", peri_vm_lib_gmatch, false},
    {"string", "gsub", peri_vm_lib_gsub, false},
    {"string", "len", NULL, false},
    {"string", "lower", NULL, true},
    {"string", "match", peri_vm_lib_match, false},
    {"string", "pack", peri_vm_lib_pack, true},
    {"string", "packsize", NULL, true},
    {"string", "rep", peri_vm_lib_rep, false},
    {"string", "reverse", NULL, true},
    {"string", "sub", NULL, true},
    {"string", "unpack", NULL, true},
    {"string", "upper", NULL, true},
    {"table", "concat", peri_vm_lib_concat, false},
    {"table", "insert", peri_vm_lib_insert, false},
    {"table", "move", peri_vm_lib_move, false},
    {"table", "pack", NULL, true},
    {"table", "remove", peri_vm_lib_remove, false},
    {"table", "sort", peri_vm_lib_sort, false},
    {"table", "unpack", peri_vm_lib_unpack, false},
    {"math", "abs", NULL, true},
    {"math", "acos", NULL, true},
    {"math", "asin", NULL, true},
    {"math", "atan", NULL, true},
    {"math", "ceil", NULL, true},
    {"math", "cos", NULL, true},
    {"math", "deg", NULL, true},
    {"math", "exp", NULL, true},
    {"math", "floor", NULL, true},
    {"math", "fmod", NULL, true},
    {"math", "log", NULL, true},
    {"math", "max", NULL, true},
    {"math", "min", NULL, true},
    {"math", "modf", NULL, true},
    {"math", "rad", NULL, true},
    {"math", "random", NULL, false},
    {"math", "randomseed", peri_vm_lib_randomseed, true},
    {"math", "sin", NULL, true},
    {"math", "sqrt", NULL, true},
    {"math", "tan", NULL, true},
    {"math", "tointeger", NULL, true},
    {"math", "type", NULL, false},
    {"math", "ult", NULL, true},
    {"utf8", "char", NULL, true},
    {"utf8", "codepoint", peri_vm_lib_codepoint, true},
    {"utf8", "codes", NULL, true},
    {"utf8", "len", NULL, true},
    {"utf8", "offset", NULL, true},
    {"coroutine", "close", peri_vm_lib_co_close, false},
    {"coroutine", "create", peri_vm_lib_co_create, false},
    {"coroutine", "isyieldable", peri_vm_lib_co_isyieldable, false},
    {"coroutine", "resume", peri_vm_lib_co_resume, false},
    {"coroutine", "running", peri_vm_lib_co_running, false},
    {"coroutine", "status", peri_vm_lib_co_status, false},
    {"coroutine", "wrap", peri_vm_lib_co_wrap, false},
    {"coroutine", "yield", peri_vm_lib_co_yield, false},
    {NULL, NULL, NULL, false},
};

/* Values that are no functions: taken from liblua. */
static const char *const constants[][2] = {
    {"", "_VERSION"},
    {"math", "huge"},
    {"math", "maxinteger"},
    {"math", "mininteger"},
    {"math", "pi"},
    {"utf8", "charpattern"},
};

/* The events of the string metatable that liblua fills for arithmetic on numerals. */
static const char *const string_events[] = {"__add", "__sub", "__mul", "__mod", "__pow", "__div", "__idiv", "__unm"};

/* A liblua function behind a charge for its string arguments. Runs in the same frame, so messages name the argument as
 * usual. upvalue 1: its place in vm->stock. */
static int charged(lua_State *L)
{
    size_t n = 0;
    int top = lua_gettop(L);
    for (int i = 1; i <= top; i++)
        n += lua_type(L, i) == LUA_TSTRING ? lua_rawlen(L, i) : 1;
    if (n >= 16)
        peri_vm_charge(L, (int64_t)(n / 16));
    if (n >= LUAL_BUFFERSIZE)
        peri_vm_room(L, n);
    return peri_vm_stock(L);
}

int peri_vm_stock(lua_State *L)
{
    return peri_vm_of(L)->stock[lua_tointeger(L, lua_upvalueindex(1))](L);
}

struct opener {
    struct peri_vm *vm;
    int stock; /* used places of vm->stock */
};

/* Replaces the liblua function on the top by wrapper, which finds it through peri_vm_stock. */
static void wrap_top(lua_State *L, struct opener *o, lua_CFunction wrapper)
{
    if (o->stock == PERI_VM_STOCK_MAX || !lua_iscfunction(L, -1) || lua_getupvalue(L, -1, 1))
        luaL_error(L, "the allow-list does not fit this Lua"); /* one with upvalues can not run in another's frame */
    o->vm->stock[o->stock] = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    lua_pushinteger(L, o->stock++);
    lua_pushcclosure(L, wrapper, 1);
}

/* Pushes the table of lib inside the table at globals (made when missing), or globals itself. */
static void push_lib(lua_State *L, int globals, const char *lib)
{
    if (!*lib) {
        lua_pushvalue(L, globals);
        return;
    }
    if (lua_getfield(L, globals, lib) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, globals, lib);
}

static void add_function(lua_State *L, struct opener *o, int stock, int globals, const struct peri_vm_function *f)
{
    push_lib(L, globals, f->lib);
    if (f->own == peri_vm_lib_setmetatable) {
        peri_vm_push_setmetatable(L);
    } else if (f->own && !f->charged) {
        lua_pushcfunction(L, f->own);
    } else {
        push_lib(L, stock, f->lib);
        lua_getfield(L, -1, f->name);
        lua_remove(L, -2);
        if (f->own == peri_vm_lib_randomseed)
            lua_pushcclosure(L, f->own, 1); /* liblua's has an upvalue of its own: it is called */
        else if (f->charged)
            wrap_top(L, o, f->own ? f->own : charged);
    }
    lua_setfield(L, -2, f->name);
    lua_pop(L, 1);
}

/* Strings find their methods in this state's own string table; their arithmetic is charged. */
static void open_string_metatable(lua_State *L, struct opener *o, int globals)
{
    lua_pushliteral(L, "");
    lua_createtable(L, 0, 12);
    if (!lua_getmetatable(L, -2))
        luaL_error(L, "strings have no metatable");
    for (size_t i = 0; i < sizeof(string_events) / sizeof(string_events[0]); i++) {
        lua_getfield(L, -1, string_events[i]);
        wrap_top(L, o, charged);
        lua_setfield(L, -3, string_events[i]);
    }
    lua_pop(L, 1);
    lua_getfield(L, globals, "string");
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

void peri_vm_open_libs(lua_State *L)
{
    struct opener o = {.vm = peri_vm_of(L)};
    luaL_requiref(L, LUA_GNAME, luaopen_base, 0);
    int stock = lua_gettop(L);
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 1);
    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 1);
    luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 1);
    luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 1);
    lua_settop(L, stock);
    lua_newtable(L);
    int globals = lua_gettop(L);
    for (const struct peri_vm_function *f = peri_vm_functions; f->name; f++)
        if (f->own != peri_vm_lib_require || o.vm->module)
            add_function(L, &o, stock, globals, f);
    for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
        push_lib(L, globals, constants[i][0]);
        push_lib(L, stock, constants[i][0]);
        lua_getfield(L, -1, constants[i][1]);
        lua_setfield(L, -3, constants[i][1]);
        lua_pop(L, 2);
    }
    open_string_metatable(L, &o, globals);
    lua_pushvalue(L, globals);
    lua_setfield(L, globals, "_G");
    lua_pushvalue(L, globals);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    /* liblua searches this table for the name of a function with a bad argument: all globals, again and again. */
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_settop(L, stock - 1);
}
