/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_vm_internal.h"

#include <limits.h>

/* The table library with every element charged: lengths may lie, and __index may be a function that never says nil. */

/* Takes the length once. */
static lua_Integer length(lua_State *L, int idx)
{
    luaL_checktype(L, idx, LUA_TTABLE);
    peri_vm_charge(L, 1);
    return luaL_len(L, idx);
}

int peri_vm_lib_insert(lua_State *L)
{
    lua_Integer last = length(L, 1), end = (lua_Integer)((lua_Unsigned)last + 1), at = end;
    int n = lua_gettop(L);
    if (n == 3) {
        at = luaL_checkinteger(L, 2);
        /* unsigned: a length that is negative or at the edge must not overflow */
        luaL_argcheck(L, (lua_Unsigned)at - 1u < (lua_Unsigned)end, 2, "position out of bounds");
        for (lua_Integer i = end; i > at; i--) {
            peri_vm_charge(L, 1);
            lua_geti(L, 1, i - 1);
            lua_seti(L, 1, i);
        }
    } else if (n != 2) {
        return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_seti(L, 1, at);
    return 0;
}

int peri_vm_lib_remove(lua_State *L)
{
    lua_Integer last = length(L, 1), at = luaL_optinteger(L, 2, last);
    if (lua_gettop(L) > 1) /* last + 1 is allowed, and 0 when the table is empty */
        luaL_argcheck(L, (lua_Unsigned)last + 1u - (lua_Unsigned)at <= (lua_Unsigned)last || at == last, 2,
            "position out of bounds");
    lua_geti(L, 1, at);
    for (; at < last; at++) {
        peri_vm_charge(L, 1);
        lua_geti(L, 1, at + 1);
        lua_seti(L, 1, at);
    }
    lua_pushnil(L);
    lua_seti(L, 1, at);
    return 1;
}

int peri_vm_lib_move(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3), at = luaL_checkinteger(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    luaL_checktype(L, target, LUA_TTABLE);
    if (to >= from) {
        luaL_argcheck(L, from > 0 || to < LUA_MAXINTEGER + from, 3, "too many elements to move");
        lua_Integer n = to - from + 1;
        luaL_argcheck(L, at <= LUA_MAXINTEGER - n + 1, 4, "destination wrap around");
        bool overlaps = at > from && at <= to && lua_compare(L, 1, target, LUA_OPEQ);
        for (lua_Integer k = 0; k < n; k++) {
            lua_Integer i = overlaps ? n - 1 - k : k;
            peri_vm_charge(L, 1);
            lua_geti(L, 1, from + i);
            lua_seti(L, target, at + i);
        }
    }
    lua_pushvalue(L, target);
    return 1;
}

int peri_vm_lib_unpack(lua_State *L)
{
    lua_Integer from = luaL_optinteger(L, 2, 1);
    lua_Integer to;
    if (lua_isnoneornil(L, 3)) {
        peri_vm_charge(L, 1);
        to = luaL_len(L, 1);
    } else {
        to = luaL_checkinteger(L, 3);
    }
    if (from > to)
        return 0;
    lua_Unsigned n = (lua_Unsigned)to - (lua_Unsigned)from;
    if (n >= PERI_VM_RESULTS_MAX)
        return luaL_error(L, "too many results to unpack (at most %d)", PERI_VM_RESULTS_MAX);
    luaL_checkstack(L, (int)n + 1, "too many results to unpack");
    peri_vm_charge(L, (int64_t)n);
    for (lua_Unsigned i = 0; i <= n; i++)
        lua_geti(L, 1, (lua_Integer)((lua_Unsigned)from + i));
    return (int)n + 1;
}

int peri_vm_lib_concat(lua_State *L)
{
    lua_Integer last = length(L, 1);
    size_t sep_len, total = 0;
    const char *sep = luaL_optlstring(L, 2, "", &sep_len);
    lua_Integer from = luaL_optinteger(L, 3, 1);
    last = luaL_optinteger(L, 4, last);
    luaL_Buffer b;
    lua_settop(L, 2);
    peri_vm_room(L, 4 * LUAL_BUFFERSIZE);
    luaL_buffinit(L, &b);
    for (lua_Integer i = from; i <= last; i++) {
        size_t len;
        lua_geti(L, 1, i);
        const char *s = lua_isstring(L, -1) ? lua_tolstring(L, -1, &len) : NULL;
        if (!s)
            return luaL_error(
                L, "invalid value (%s) at index %I in table for 'concat'", luaL_typename(L, -1), (LUAI_UACINT)i);
        total += len + sep_len;
        peri_vm_charge_bytes(L, len + sep_len);
        if (total > 2 * peri_vm_of(L)->limits.block_bytes)
            peri_vm_end_block(peri_vm_of(L));
        luaL_addvalue(&b);
        if (i == last) /* before i++ can overflow */
            break;
        luaL_addlstring(&b, sep, sep_len);
    }
    luaL_pushresult(&b);
    return 1;
}

/* --- sort ---
 * A merge sort between the table and a helper: the fewest comparisons, and a comparator that contradicts itself can at
 * worst leave a wrong order. Stack: 1 table, 2 comparator, 3 and 4 helper tables. */

static bool less(lua_State *L, int a, int b, bool own)
{
    bool text = !own && lua_type(L, a) == LUA_TSTRING && lua_type(L, b) == LUA_TSTRING;
    size_t n = text ? lua_rawlen(L, a) : 0, m = text ? lua_rawlen(L, b) : 0;
    peri_vm_charge(L, 1 + (int64_t)((n < m ? n : m) / 16));
    if (!own)
        return lua_compare(L, a, b, LUA_OPLT);
    a = lua_absindex(L, a);
    b = lua_absindex(L, b);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, a);
    lua_pushvalue(L, b);
    lua_call(L, 2, 1);
    bool result = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return result;
}

/* Merges src[lo, mid) and src[mid, hi) into dst. */
static void merge(lua_State *L, int src, int dst, lua_Integer lo, lua_Integer mid, lua_Integer hi, bool own)
{
    lua_Integer i = lo, j = mid, k = lo;
    lua_rawgeti(L, src, i);
    if (j < hi) {
        lua_rawgeti(L, src, j);
        while (true) { /* stack: left head, right head */
            if (less(L, -1, -2, own)) {
                lua_rawseti(L, dst, k++);
                if (++j == hi)
                    break;
                lua_rawgeti(L, src, j);
            } else {
                lua_insert(L, -2);
                lua_rawseti(L, dst, k++);
                if (++i == mid)
                    break;
                lua_rawgeti(L, src, i);
                lua_insert(L, -2);
            }
        }
    }
    lua_rawseti(L, dst, k++); /* the head that is left, then its rest */
    for (i++; i < mid && j >= hi; i++) {
        lua_rawgeti(L, src, i);
        lua_rawseti(L, dst, k++);
    }
    if (j < hi && i > mid)
        for (j++; j < hi; j++) {
            lua_rawgeti(L, src, j);
            lua_rawseti(L, dst, k++);
        }
}

/* Copies elements 1 ... n between the table at 1 (which may have metamethods) and a helper (which has none). */
static void copy_in(lua_State *L, int helper, lua_Integer n)
{
    for (lua_Integer i = 1; i <= n; i++) {
        peri_vm_charge(L, 1);
        lua_geti(L, 1, i);
        lua_rawseti(L, helper, i);
    }
}

int peri_vm_lib_sort(lua_State *L)
{
    lua_Integer n = length(L, 1);
    bool own = !lua_isnoneornil(L, 2);
    if (own)
        luaL_checktype(L, 2, LUA_TFUNCTION);
    if (n < 2)
        return 0;
    luaL_argcheck(L, n < INT_MAX, 1, "array too big");
    lua_settop(L, 2);
    int hint = n < 65536 ? (int)n : 65536;
    lua_createtable(L, hint, 0);
    lua_createtable(L, hint, 0);
    luaL_checkstack(L, 16, NULL);
    copy_in(L, 3, n);
    int src = 3, dst = 4;
    for (lua_Integer width = 1; width < n; width *= 2) {
        for (lua_Integer lo = 1; lo <= n; lo += 2 * width) {
            lua_Integer mid = lo + width <= n + 1 ? lo + width : n + 1;
            lua_Integer hi = lo + 2 * width <= n + 1 ? lo + 2 * width : n + 1;
            merge(L, src, dst, lo, mid, hi, own);
        }
        src = 7 - src;
        dst = 7 - dst;
    }
    for (lua_Integer i = 1; i <= n; i++) {
        peri_vm_charge(L, 1);
        lua_rawgeti(L, src, i);
        lua_seti(L, 1, i);
    }
    return 0;
}
