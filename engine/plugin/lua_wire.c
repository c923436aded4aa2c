/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_wire.h"

#include <string.h>

#include "plugin/lua_vm_internal.h"

#define DEPTH (PERI_VM_DEPTH + 2) /* deep enough that whoever reads the value sees that it is too deep */
#define NAME_MAX_BYTES 256

enum {
    TAG_NIL,
    TAG_FALSE,
    TAG_TRUE,
    TAG_INT,
    TAG_REAL,
    TAG_TEXT,
    TAG_MAP, /* pairs until TAG_END */
    TAG_LIST,
    TAG_END,
    TAG_NULL,
    TAG_SECRET,
    TAG_FUNCTION, /* of no use to the reader */
    TAG_THREAD,
    TAG_USERDATA
};

/* --- writing --- */

struct writer {
    struct peri_buf *out;
    const struct peri_wire_ends *ends;
    unsigned tables;
};

static void put_any(lua_State *L, int idx, struct writer *w, int depth);

static void put_table(lua_State *L, int idx, struct writer *w, int depth)
{
    peri_message_put8(w->out, peri_vm_is_list(L, idx) ? TAG_LIST : TAG_MAP);
    if (depth < DEPTH) {
        if (++w->tables % 16 == 0) /* a table may have thousands of empty slots to walk over */
            peri_vm_check_time(peri_vm_of(L));
        lua_pushnil(L);
        while (lua_next(L, idx)) {
            put_any(L, lua_gettop(L) - 1, w, depth + 1);
            put_any(L, lua_gettop(L), w, depth + 1);
            lua_pop(L, 1);
            if (w->out->failed) {
                lua_pop(L, 1);
                break;
            }
        }
    }
    peri_message_put8(w->out, TAG_END);
}

static void put_number(lua_State *L, int idx, struct writer *w)
{
    if (lua_isinteger(L, idx)) {
        peri_message_put8(w->out, TAG_INT);
        peri_message_put64(w->out, lua_tointeger(L, idx));
    } else {
        double d = lua_tonumber(L, idx);
        int64_t bits;
        memcpy(&bits, &d, sizeof(bits));
        peri_message_put8(w->out, TAG_REAL);
        peri_message_put64(w->out, bits);
    }
}

static void put_userdata(lua_State *L, int idx, struct writer *w)
{
    const char *secret = peri_vm_secret_name(L, idx);
    if (!secret) {
        peri_message_put8(w->out, TAG_USERDATA);
        return;
    }
    if (w->ends->named)
        w->ends->named(secret, w->ends->user);
    peri_message_put8(w->out, TAG_SECRET);
    peri_message_put_text(w->out, secret);
}

static void put_any(lua_State *L, int idx, struct writer *w, int depth)
{
    const struct peri_wire_ends *ends = w->ends;
    int type = lua_type(L, idx);
    size_t len;
    if ((type == LUA_TFUNCTION || type == LUA_TTABLE) && ends->put && ends->put(L, idx, w->out, ends->user))
        return;
    switch (type) {
    case LUA_TBOOLEAN:
        peri_message_put8(w->out, lua_toboolean(L, idx) ? TAG_TRUE : TAG_FALSE);
        break;
    case LUA_TNUMBER:
        put_number(L, idx, w);
        break;
    case LUA_TSTRING: {
        const char *s = lua_tolstring(L, idx, &len);
        peri_message_put8(w->out, TAG_TEXT);
        peri_message_put_bytes(w->out, s, len);
        break;
    }
    case LUA_TTABLE:
        put_table(L, idx, w, depth);
        break;
    case LUA_TUSERDATA:
        put_userdata(L, idx, w);
        break;
    case LUA_TLIGHTUSERDATA:
        peri_message_put8(w->out, peri_vm_is_null(L, idx) ? TAG_NULL : TAG_USERDATA);
        break;
    case LUA_TFUNCTION:
        peri_message_put8(w->out, TAG_FUNCTION);
        break;
    case LUA_TTHREAD:
        peri_message_put8(w->out, TAG_THREAD);
        break;
    default:
        peri_message_put8(w->out, TAG_NIL);
        break;
    }
}

void peri_wire_put(lua_State *L, int idx, struct peri_buf *out, const struct peri_wire_ends *ends)
{
    struct writer w = {.out = out, .ends = ends};
    size_t before = out->len;
    luaL_checkstack(L, 3 * DEPTH + 10, "value");
    put_any(L, lua_absindex(L, idx), &w, 0);
    peri_vm_charge_bytes(L, out->len - before);
}

/* --- reading --- */

static int broken(lua_State *L)
{
    return peri_vm_raisef(L, "plugin.crashed", "the plugin's process sent what is no value");
}

/* Stands for a function, coroutine or userdata of the other end that is of no use here. */
static int absent(lua_State *L)
{
    return peri_vm_raisef(L, "bad_argument", "a function of the plugin can not be called from here");
}

static void push_any(lua_State *L, struct peri_message *in, const struct peri_wire_ends *ends, int tag, int depth);

static void push_table(lua_State *L, struct peri_message *in, const struct peri_wire_ends *ends, bool list, int depth)
{
    if (depth > DEPTH)
        broken(L);
    lua_newtable(L);
    for (;;) {
        int tag = peri_message_get8(in);
        if (tag == TAG_END && !in->bad)
            break;
        push_any(L, in, ends, tag, depth + 1);
        push_any(L, in, ends, peri_message_get8(in), depth + 1);
        if (lua_isnil(L, -2) || (lua_type(L, -2) == LUA_TNUMBER && lua_tonumber(L, -2) != lua_tonumber(L, -2)))
            broken(L); /* no key */
        lua_rawset(L, -3);
        peri_vm_charge(L, 2);
    }
    if (list)
        peri_vm_mark_list(L, -1);
}

static void push_secret(lua_State *L, struct peri_message *in, const struct peri_wire_ends *ends)
{
    char name[NAME_MAX_BYTES];
    peri_message_get_text(in, name, sizeof(name));
    if (in->bad || (ends->may_name && !ends->may_name(name, ends->user)))
        broken(L);
    peri_vm_push_secret(L, name);
}

static void push_real(lua_State *L, struct peri_message *in)
{
    int64_t bits = peri_message_get64(in);
    double d;
    memcpy(&d, &bits, sizeof(d));
    lua_pushnumber(L, d);
}

static void push_text(lua_State *L, struct peri_message *in)
{
    size_t len;
    const char *s = peri_message_get_bytes(in, &len);
    peri_vm_charge_bytes(L, len);
    lua_pushlstring(L, s, len);
}

static void push_any(lua_State *L, struct peri_message *in, const struct peri_wire_ends *ends, int tag, int depth)
{
    switch (tag) {
    case TAG_NIL:
        lua_pushnil(L);
        break;
    case TAG_FALSE:
    case TAG_TRUE:
        lua_pushboolean(L, tag == TAG_TRUE);
        break;
    case TAG_INT:
        lua_pushinteger(L, peri_message_get64(in));
        break;
    case TAG_REAL:
        push_real(L, in);
        break;
    case TAG_TEXT:
        push_text(L, in);
        break;
    case TAG_MAP:
    case TAG_LIST:
        push_table(L, in, ends, tag == TAG_LIST, depth);
        break;
    case TAG_NULL:
        peri_vm_push_null(L);
        break;
    case TAG_SECRET:
        push_secret(L, in, ends);
        break;
    case TAG_FUNCTION:
        lua_pushcfunction(L, absent);
        break;
    case TAG_THREAD:
        lua_newthread(L);
        break;
    case TAG_USERDATA:
        lua_newuserdatauv(L, 0, 0);
        break;
    case PERI_WIRE_REF:
    case PERI_WIRE_HANDLE:
        if (!ends->push || !ends->push(L, (uint8_t)tag, peri_message_get32(in), ends->user))
            broken(L);
        break;
    default:
        broken(L);
    }
    if (in->bad)
        broken(L);
}

void peri_wire_push(lua_State *L, struct peri_message *in, const struct peri_wire_ends *ends)
{
    luaL_checkstack(L, 3 * DEPTH + 10, "value");
    push_any(L, in, ends, peri_message_get8(in), 0);
}

void peri_wire_number(lua_State *L, const void *key, uint32_t number)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, key);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)number);
    lua_pushvalue(L, -2);
    lua_pushinteger(L, (lua_Integer)number);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}
