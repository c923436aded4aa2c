/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_LUA_WIRE_H
#define PERI_PLUGIN_LUA_WIRE_H

#include <lua.h>
#include "plugin/message.h"

/* Lua values between the host and a cell, as they are: byte strings, integers and floats, tables with their list mark,
 * JSON's null. What the host gives a plugin to hold (tables and functions of ctx) travels as a number, likewise what a
 * plugin gives the host to keep (functions). The rest keeps its type and nothing else, so that whoever reads it refuses
 * it with the same words as in one process. Tables that are shared are written again each time; depth and size end
 * that. */

/* What the two ends know each other's things by. Kept in the registry of each state. */
struct peri_wire_ends {
    /* Writes the function or table at idx by a number, or returns false. Must not raise. May be NULL. */
    bool (*put)(lua_State *L, int idx, struct peri_buf *out, void *user);
    /* Pushes what a number of the other end stands for; false: there is no such thing. */
    bool (*push)(lua_State *L, uint8_t tag, uint32_t number, void *user);
    /* A secret of this name comes in: may the sender have it? */
    bool (*may_name)(const char *secret, void *user);
    /* A secret of this name goes out. */
    void (*named)(const char *secret, void *user);
    void *user;
};

/* Tags that put and push share with the ends. */
enum { PERI_WIRE_REF = 32 /* the host's, by its number */, PERI_WIRE_HANDLE /* the plugin's function */ };

/* The table or function at the top has this number, in the table (number -> thing and back) under key of the registry.
 */
void peri_wire_number(lua_State *L, const void *key, uint32_t number);
/* Appends the value at idx. Runs no Lua code and raises nothing (but the call may end: time). When it does not fit,
 * out->failed is set. */
void peri_wire_put(lua_State *L, int idx, struct peri_buf *out, const struct peri_wire_ends *ends);
/* Pushes the next value of in. Raises when there is none, or one that must not be. */
void peri_wire_push(lua_State *L, struct peri_message *in, const struct peri_wire_ends *ends);

#endif
