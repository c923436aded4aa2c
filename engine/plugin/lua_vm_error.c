/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_vm_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/str.h"

/* Errors across the boundary. An error object is only looked at: no metamethod of it runs. */

int peri_vm_raise(lua_State *L, const struct peri_error *err)
{
    luaL_checkstack(L, 4, NULL);
    lua_createtable(L, 0, 5);
    lua_pushstring(L, err->code[0] ? err->code : peri_status_name(err->status));
    lua_setfield(L, -2, "code");
    lua_pushstring(L, err->message);
    lua_setfield(L, -2, "message");
    lua_pushboolean(L, err->retryable);
    lua_setfield(L, -2, "retryable");
    if (err->outcome_unknown) {
        lua_pushliteral(L, "unknown");
        lua_setfield(L, -2, "outcome");
    }
    if (err->retry_after_ms > 0) {
        lua_pushinteger(L, err->retry_after_ms);
        lua_setfield(L, -2, "retry_after_ms");
        lua_pushnumber(L, (lua_Number)err->retry_after_ms / 1000);
        lua_setfield(L, -2, "retry_after");
    }
    return lua_error(L);
}

int peri_vm_raisef(lua_State *L, const char *code, const char *fmt, ...)
{
    struct peri_error err;
    char text[PERI_ERROR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)peri_error_set(&err, PERI_EINVAL, code, "%s", text);
    return peri_vm_raise(L, &err);
}

/* Copies at most size - 1 bytes as UTF-8 text of one line: what is not becomes '?'. */
static void copy_text(char *out, size_t size, const char *s, size_t len)
{
    size_t n = len < size - 1 ? len : size - 1, bad;
    memcpy(out, s, n);
    for (size_t at = 0; at < n && !peri_utf8_valid(out + at, n - at, &bad); at += bad + 1)
        out[at + bad] = '?';
    if (n < len) /* cut: no half character at the end */
        while (n > 0 && len - n < 4 && out[n - 1] == '?' && s[n - 1] != '?')
            n--;
    out[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)out[i] < ' ' && out[i] != '\n' && out[i] != '\t')
            out[i] = '?';
}

/* Pushes the member raw. */
static int member(lua_State *L, int idx, const char *key)
{
    lua_pushstring(L, key);
    return lua_rawget(L, idx);
}

static void read_coded(lua_State *L, int idx, struct peri_error *err)
{
    size_t len;
    if (member(L, idx, "message") == LUA_TSTRING) {
        const char *s = lua_tolstring(L, -1, &len);
        copy_text(err->message, sizeof(err->message), s, len);
    } else {
        snprintf(err->message, sizeof(err->message), "the error table has no message");
    }
    if (member(L, idx, "code") == LUA_TSTRING) {
        const char *s = lua_tolstring(L, -1, &len);
        if (len > 0)
            copy_text(err->code, sizeof(err->code), s, len);
    }
    member(L, idx, "retryable");
    err->retryable = lua_isboolean(L, -1) && lua_toboolean(L, -1);
    err->outcome_unknown = member(L, idx, "outcome") == LUA_TSTRING && strcmp(lua_tostring(L, -1), "unknown") == 0;
    lua_Integer ms = member(L, idx, "retry_after_ms") == LUA_TNUMBER ? lua_tointeger(L, -1) : 0;
    if (member(L, idx, "retry_after") == LUA_TNUMBER && ms == 0) {
        double s = lua_tonumber(L, -1);
        ms = s > 0 && s < 1e9 ? (lua_Integer)(s * 1000) : 0;
    }
    err->retry_after_ms = ms > 0 && ms < 1000000000000 ? (long)ms : 0;
    lua_pop(L, 6);
}

void peri_vm_read_error(lua_State *L, int idx, struct peri_error *err)
{
    size_t len;
    idx = lua_absindex(L, idx);
    (void)peri_error_set(err, PERI_EINVAL, "lua.error", "the error object is a %s value", luaL_typename(L, idx));
    if (lua_type(L, idx) == LUA_TSTRING) {
        const char *s = lua_tolstring(L, idx, &len);
        copy_text(err->message, sizeof(err->message), s, len);
    } else if (lua_istable(L, idx) && lua_checkstack(L, 8)) {
        read_coded(L, idx, err);
        /* Such a code may come from a host function that refused once (limit.output); a real end spoils the state. */
        if (peri_str_starts(err->code, "limit."))
            err->status = PERI_ELIMIT;
    }
}
