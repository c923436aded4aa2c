/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_vm_internal.h"

#include <ctype.h>
#include <string.h>
#include "plugin/lua_vm_pattern.h"

/* The string functions whose work is not bounded by the length of their arguments, or that would show addresses. */

/* A position as the manual counts: negative from the end; returns one from 1, or 0 when before the start. */
static size_t position(lua_Integer at, size_t len)
{
    if (at >= 0)
        return (size_t)at;
    return (lua_Unsigned)0 - (lua_Unsigned)at > len ? 0 : len + 1 - (size_t)(0 - (lua_Unsigned)at);
}

/* --- find, match, gmatch, gsub --- */

static bool is_plain(const char *pattern, size_t len)
{
    for (size_t at = 0; at <= len; at++) { /* strcspn stops at each NUL byte */
        at += strcspn(pattern + at, "^$*+?.([%-");
        if (at < len && pattern[at] != '\0')
            return false;
    }
    return true;
}

static int find_plain(lua_State *L, const char *s, size_t len, const char *p, size_t p_len, size_t init)
{
    peri_vm_charge_bytes(L, len - init);
    const char *at = memmem(s + init, len - init, p, p_len);
    if (!at) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, at - s + 1);
    lua_pushinteger(L, at - s + (lua_Integer)p_len);
    return 2;
}

static int find(lua_State *L, bool positions)
{
    size_t len, p_len;
    struct peri_vm_pattern m;
    const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &p_len);
    size_t init = position(luaL_optinteger(L, 3, 1), len);
    init = init > 0 ? init - 1 : 0;
    if (init > len) {
        lua_pushnil(L);
        return 1;
    }
    if (positions && (lua_toboolean(L, 4) || is_plain(p, p_len)))
        return find_plain(L, s, len, p, p_len, init);
    bool anchored = p_len > 0 && *p == '^';
    peri_vm_pattern_init(&m, L, s, len, p + anchored, p_len - anchored);
    peri_vm_charge(L, 1);
    for (const char *at = s + init; at <= m.text_end; at++) {
        const char *end = peri_vm_pattern_match(&m, at);
        if (end && positions) {
            lua_pushinteger(L, at - s + 1);
            lua_pushinteger(L, end - s);
            return 2 + peri_vm_pattern_push_all(&m, NULL, NULL);
        }
        if (end)
            return peri_vm_pattern_push_all(&m, at, end);
        if (anchored)
            break;
    }
    lua_pushnil(L);
    return 1;
}

int peri_vm_lib_find(lua_State *L)
{
    return find(L, true);
}

int peri_vm_lib_match(lua_State *L)
{
    return find(L, false);
}

/* upvalues: 1 string, 2 pattern, 3 where to go on, 4 end of the last match (-1: none). Nothing else is kept between two
 * steps, so an error in one leaves no half state behind. */
static int gmatch_next(lua_State *L)
{
    size_t len, p_len;
    struct peri_vm_pattern m;
    const char *s = lua_tolstring(L, lua_upvalueindex(1), &len), *p = lua_tolstring(L, lua_upvalueindex(2), &p_len);
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    peri_vm_pattern_init(&m, L, s, len, p, p_len);
    for (const char *at = s + lua_tointeger(L, lua_upvalueindex(3)); at <= m.text_end; at++) {
        const char *end = peri_vm_pattern_match(&m, at);
        if (end && end - s != last) {
            lua_pushinteger(L, end - s);
            lua_copy(L, -1, lua_upvalueindex(3));
            lua_replace(L, lua_upvalueindex(4));
            return peri_vm_pattern_push_all(&m, at, end);
        }
    }
    lua_pushinteger(L, (lua_Integer)len + 1);
    lua_replace(L, lua_upvalueindex(3));
    return 0;
}

int peri_vm_lib_gmatch(lua_State *L)
{
    size_t len;
    luaL_checklstring(L, 1, &len);
    luaL_checkstring(L, 2);
    size_t init = position(luaL_optinteger(L, 3, 1), len);
    init = init > 0 ? init - 1 : 0;
    lua_settop(L, 2);
    lua_pushinteger(L, init > len ? (lua_Integer)len + 1 : (lua_Integer)init);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

static void add_template(struct peri_vm_pattern *m, luaL_Buffer *b, const char *start, const char *end)
{
    lua_State *L = m->L;
    size_t len;
    const char *r = lua_tolstring(L, 3, &len), *r_end = r + len;
    peri_vm_charge_bytes(L, len);
    while (r < r_end) {
        const char *escape = memchr(r, '%', (size_t)(r_end - r));
        luaL_addlstring(b, r, (size_t)((escape ? escape : r_end) - r));
        if (!escape)
            return;
        char c = escape + 1 < r_end ? escape[1] : '\0';
        r = escape + 2;
        if (c == '%') {
            luaL_addchar(b, '%');
        } else if (c == '0') {
            peri_vm_charge_bytes(L, (size_t)(end - start));
            luaL_addlstring(b, start, (size_t)(end - start));
        } else if (c >= '1' && c <= '9') {
            peri_vm_pattern_push(m, c - '1', start, end);
            luaL_tolstring(L, -1, &len);
            lua_remove(L, -2);
            peri_vm_charge_bytes(L, len);
            luaL_addvalue(b);
        } else {
            luaL_error(L, "invalid use of '%%' in replacement string");
        }
    }
}

/* Adds what replaces [start, end). */
static void add_replacement(struct peri_vm_pattern *m, luaL_Buffer *b, const char *start, const char *end)
{
    lua_State *L = m->L;
    switch (lua_type(L, 3)) {
    case LUA_TFUNCTION:
        lua_pushvalue(L, 3);
        lua_call(L, peri_vm_pattern_push_all(m, start, end), 1);
        break;
    case LUA_TTABLE:
        peri_vm_pattern_push(m, 0, start, end);
        lua_gettable(L, 3);
        break;
    default:
        add_template(m, b, start, end);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, start, (size_t)(end - start));
    } else if (lua_isstring(L, -1)) {
        peri_vm_charge_bytes(L, lua_rawlen(L, -1));
        luaL_addvalue(b);
    } else {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
}

int peri_vm_lib_gsub(lua_State *L)
{
    size_t len, p_len;
    struct peri_vm_pattern m;
    luaL_Buffer b;
    const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &p_len), *last = NULL;
    int kind = lua_type(L, 3);
    lua_Integer max = luaL_optinteger(L, 4, (lua_Integer)len + 1), n = 0;
    bool anchored = p_len > 0 && *p == '^';
    luaL_argexpected(L, kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TFUNCTION || kind == LUA_TTABLE, 3,
        "string/function/table");
    peri_vm_pattern_init(&m, L, s, len, p + anchored, p_len - anchored);
    peri_vm_charge_bytes(L, len);
    peri_vm_room(L, len);
    luaL_buffinit(L, &b);
    const char *at = s;
    while (n < max) {
        const char *end = peri_vm_pattern_match(&m, at);
        if (end && end != last) {
            n++;
            add_replacement(&m, &b, at, end);
            at = last = end;
        } else if (at < m.text_end) {
            luaL_addchar(&b, *at++);
        } else {
            break;
        }
        if (anchored)
            break;
    }
    if (n == 0) { /* unchanged: no copy */
        lua_pushvalue(L, 1);
    } else {
        luaL_addlstring(&b, at, (size_t)(m.text_end - at));
        luaL_pushresult(&b);
    }
    lua_pushinteger(L, n);
    return 2;
}

/* --- rep, byte, format, codepoint --- */

int peri_vm_lib_rep(lua_State *L)
{
    size_t len, sep_len;
    const char *s = luaL_checklstring(L, 1, &len);
    lua_Integer n = luaL_checkinteger(L, 2);
    const char *sep = luaL_optlstring(L, 3, "", &sep_len);
    luaL_Buffer b;
    if (n <= 0 || len + sep_len == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    struct peri_vm *vm = peri_vm_of(L);
    if (len + sep_len > vm->limits.block_bytes ||
        (lua_Unsigned)n > (vm->limits.block_bytes + sep_len) / (len + sep_len))
        peri_vm_end_block(vm);
    size_t total = (size_t)n * (len + sep_len) - sep_len;
    peri_vm_charge_bytes(L, total);
    peri_vm_room(L, total);
    char *out = luaL_buffinitsize(L, &b, total), *o = out;
    for (lua_Integer i = 0; i < n; i++) {
        memcpy(o, s, len);
        o += len;
        if (i + 1 < n) {
            memcpy(o, sep, sep_len);
            o += sep_len;
        }
    }
    luaL_pushresultsize(&b, total);
    return 1;
}

/* The range [i, j] of the arguments 2 and 3 inside len; false when it is empty. */
static bool range(lua_State *L, size_t len, size_t *ret_from, size_t *ret_to)
{
    lua_Integer i = luaL_optinteger(L, 2, 1), j = luaL_optinteger(L, 3, i);
    size_t from = position(i, len), to = position(j, len);
    *ret_from = from > 0 ? from : 1;
    *ret_to = to < len ? to : len;
    return *ret_from <= *ret_to;
}

int peri_vm_lib_byte(lua_State *L)
{
    size_t len, from, to;
    const char *s = luaL_checklstring(L, 1, &len);
    if (!range(L, len, &from, &to))
        return 0;
    size_t n = to - from + 1;
    if (n > PERI_VM_RESULTS_MAX)
        return luaL_error(L, "string slice too long (at most %d)", PERI_VM_RESULTS_MAX);
    luaL_checkstack(L, (int)n, "string slice too long");
    peri_vm_charge(L, (int64_t)n / 4);
    for (size_t i = from; i <= to; i++)
        lua_pushinteger(L, (unsigned char)s[i - 1]);
    return (int)n;
}

int peri_vm_lib_codepoint(lua_State *L)
{
    size_t len, from, to;
    luaL_checklstring(L, 1, &len);
    if (range(L, len, &from, &to)) {
        if (to - from >= PERI_VM_RESULTS_MAX)
            return luaL_error(L, "string slice too long (at most %d)", PERI_VM_RESULTS_MAX);
        peri_vm_charge(L, (int64_t)(to - from) / 4);
    }
    return peri_vm_stock(L);
}

/* The conversion letter of the specification behind a '%', or '\0' at the end of the format. */
static const char *skip_spec(const char *f, const char *end)
{
    while (f < end && !isalpha((unsigned char)*f) && *f != '%')
        f++;
    return f;
}

/* liblua does the work; what would print an address is made text before. */
int peri_vm_lib_format(lua_State *L)
{
    size_t len, n = 0, text_len;
    const char *f = luaL_checklstring(L, 1, &len), *end = f + len;
    int top = lua_gettop(L), arg = 1;
    while (f < end) {
        if (*f++ != '%')
            continue;
        if (f < end && *f == '%') {
            f++;
            continue;
        }
        f = skip_spec(f, end);
        char kind = f < end ? *f++ : '\0';
        if (++arg > top)
            break;
        if (kind == 'p')
            return luaL_error(L, "invalid conversion '%%p' to 'format': addresses are not shown");
        if (kind == 's' && lua_type(L, arg) != LUA_TSTRING && lua_type(L, arg) != LUA_TNUMBER) {
            peri_vm_tostring(L, arg, &text_len);
            lua_replace(L, arg);
        }
        n += lua_type(L, arg) == LUA_TSTRING ? lua_rawlen(L, arg) * (kind == 'q' ? 4 : 1) : 8;
    }
    peri_vm_charge_bytes(L, len + n);
    peri_vm_room(L, len + n);
    return peri_vm_stock(L);
}

/* string.pack: c<n> in the format makes n bytes whatever the argument has. */
int peri_vm_lib_pack(lua_State *L)
{
    size_t len, n = 0;
    const char *f = luaL_checklstring(L, 1, &len);
    for (const char *end = f + len; f < end; f++) {
        size_t width = 0;
        if (*f != 'c')
            continue;
        for (; f + 1 < end && isdigit((unsigned char)f[1]); f++)
            width = width < (1u << 30) ? width * 10 + (size_t)(f[1] - '0') : width;
        n += width;
    }
    for (int i = lua_gettop(L); i > 1; i--)
        n += lua_type(L, i) == LUA_TSTRING ? lua_rawlen(L, i) : 8;
    peri_vm_charge_bytes(L, len + n);
    peri_vm_room(L, n);
    return peri_vm_stock(L);
}
