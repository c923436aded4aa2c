/* SPDX-License-Identifier: Apache-2.0 */
/* A mirror: the state that stands in the service for one in another process, with the real API and without any code of
 * the plugin, and the numbers by which both ends name what can not travel. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "plugin/lua_api.h"
#include "plugin/lua_cell_internal.h"
#include "plugin/lua_vm_internal.h"

#define REFS_MAX 100000    /* things of the API that the plugin may hold */
#define RELEASED_MAX 65536 /* functions of the plugin that nobody keeps any more, not told yet */

/* Registry keys of a mirror: number -> thing and thing -> number; the metatable of guards. */
static const char key_refs, key_guard;

/* --- what both ends know by a number --- */

static bool put_ref(lua_State *L, int idx, struct peri_buf *out, void *user)
{
    struct peri_cell *cell = user;
    idx = lua_absindex(L, idx);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_refs);
    lua_pushvalue(L, idx);
    bool known = lua_rawget(L, -2) == LUA_TNUMBER;
    uint32_t number = known ? (uint32_t)lua_tointeger(L, -1) : cell->refs + 1;
    lua_pop(L, 1);
    if (!known && lua_isfunction(L, idx) && cell->refs < REFS_MAX) { /* of one call's ctx only */
        lua_pushvalue(L, idx);
        lua_rawseti(L, -2, (lua_Integer)number);
        lua_pushvalue(L, idx);
        lua_pushinteger(L, (lua_Integer)number);
        lua_rawset(L, -3);
        cell->refs = number;
        known = true;
    }
    lua_pop(L, 1);
    if (known) {
        peri_message_put8(out, PERI_WIRE_REF);
        peri_message_put32(out, number);
    }
    return known;
}

static struct peri_cell *cell_of(lua_State *L)
{
    const struct peri_plugin *p = peri_vm_user(L);
    return p->cell;
}

/* A function of the plugin. upvalues: its number, a guard that tells when the mirror has forgotten it. */
static int handle(lua_State *L)
{
    return peri_vm_raisef(L, "bad_argument", "a function of the plugin can not be called from here");
}

static int collect_guard(lua_State *L)
{
    struct peri_cell *cell = cell_of(L);
    if (cell && cell->released_count < RELEASED_MAX &&
        peri_vec_grow(&cell->released, &cell->released_cap, cell->released_count + 1, sizeof(*cell->released)))
        memcpy(&cell->released[cell->released_count++], lua_touserdata(L, 1), sizeof(uint32_t));
    return 0;
}

static bool push_numbered(lua_State *L, uint8_t tag, uint32_t number, void *user)
{
    if (tag == PERI_WIRE_REF) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &key_refs);
        bool known = lua_rawgeti(L, -1, (lua_Integer)number) != LUA_TNIL;
        lua_remove(L, -2);
        return known;
    }
    lua_pushinteger(L, (lua_Integer)number);
    memcpy(lua_newuserdatauv(L, sizeof(number), 0), &number, sizeof(number));
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_guard);
    lua_setmetatable(L, -2);
    lua_pushcclosure(L, handle, 2);
    return true;
}

static bool may_name(const char *secret, void *user)
{
    const struct peri_cell *cell = user;
    for (size_t i = 0; i < cell->secret_count; i++)
        if (!strcmp(cell->secrets[i], secret))
            return true;
    return false;
}

static void named(const char *secret, void *user)
{
    struct peri_cell *cell = user;
    if (may_name(secret, cell) ||
        !peri_vec_grow(&cell->secrets, &cell->secret_cap, cell->secret_count + 1, sizeof(*cell->secrets)))
        return;
    char *copy = peri_strdup(secret);
    if (copy)
        cell->secrets[cell->secret_count++] = copy;
}

struct peri_wire_ends peri_cell_ends(struct peri_cell *cell)
{
    return (struct peri_wire_ends){
        .put = put_ref, .push = push_numbered, .may_name = may_name, .named = named, .user = cell};
}

bool peri_cell_push_ref(lua_State *L, uint32_t number)
{
    return push_numbered(L, PERI_WIRE_REF, number, NULL);
}

/* --- the mirror --- */

int peri_cell_open_mirror(lua_State *L, void *user)
{
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_refs);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, collect_guard);
    lua_setfield(L, -2, "__gc");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_guard);
    return peri_lua_api_open(L, user);
}

void peri_cell_forget(struct peri_cell *cell)
{
    for (size_t i = 0; i < cell->secret_count; i++)
        free(cell->secrets[i]);
    cell->secret_count = 0;
    cell->released_count = 0;
    cell->refs = 0;
}

/* The table or function at the top gets a number. */
static uint32_t number_top(lua_State *L, struct peri_cell *cell)
{
    peri_wire_number(L, &key_refs, ++cell->refs);
    return cell->refs;
}

/* The function or table at the top, with all that is in it, each with its number: 'f' number; 't' number flags
 * [number of __call] (key thing)... nil; 'v' value. */
static void put_thing(lua_State *L, struct peri_cell *cell, const struct peri_wire_ends *ends)
{
    luaL_checkstack(L, 10, "API");
    if (lua_isfunction(L, -1)) {
        peri_message_put8(&cell->out, 'f');
        peri_message_put32(&cell->out, number_top(L, cell));
        return;
    }
    if (!lua_istable(L, -1)) {
        peri_message_put8(&cell->out, 'v');
        peri_wire_put(L, -1, &cell->out, ends);
        return;
    }
    peri_message_put8(&cell->out, 't');
    peri_message_put32(&cell->out, number_top(L, cell));
    bool list = peri_vm_is_list(L, -1), callable = luaL_getmetafield(L, -1, "__call") == LUA_TFUNCTION;
    peri_message_put8(&cell->out, (uint8_t)(list | callable << 1));
    if (callable) {
        peri_message_put32(&cell->out, number_top(L, cell));
        lua_pop(L, 1);
    }
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        peri_wire_put(L, -2, &cell->out, ends);
        put_thing(L, cell, ends);
    }
    lua_pushnil(L);
    peri_wire_put(L, -1, &cell->out, ends);
    lua_pop(L, 1);
}

int peri_cell_write_load(lua_State *L)
{
    const struct peri_plugin *p = lua_touserdata(L, 1);
    struct peri_cell *cell = p->cell;
    struct peri_wire_ends ends = peri_cell_ends(cell);
    size_t len = 0;
    const char *text = peri_package_text(p->package, p->manifest->entrypoint, &len);
    peri_message_begin(&cell->out, PERI_MSG_LOAD);
    peri_message_put_text(&cell->out, p->id);
    peri_message_put64(&cell->out, p->limits.instructions);
    peri_message_put64(&cell->out, p->limits.running_ms ? p->limits.running_ms : PERI_HOST_HANDLER_MS);
    peri_message_put64(&cell->out, (int64_t)p->limits.memory_bytes);
    peri_message_put_text(&cell->out, p->manifest->entrypoint);
    peri_message_put_bytes(&cell->out, text, len);
    peri_vm_push_api(L);
    put_thing(L, cell, &ends);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &peri_vm_key_print);
    peri_message_put32(&cell->out, lua_isfunction(L, -1) ? number_top(L, cell) : 0);
    return 0;
}

int peri_cell_read_package(lua_State *L)
{
    const struct peri_plugin *p = lua_touserdata(L, 1);
    struct peri_wire_ends ends = peri_cell_ends(p->cell);
    peri_vm_of(L)->cap += PERI_VM_RESERVE;
    peri_wire_push(L, &p->cell->in, &ends);
    if (!lua_istable(L, -1))
        return peri_vm_raisef(L, "plugin.crashed", "the plugin's process sent no package");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &peri_vm_key_package);
    return 0;
}

void peri_cell_put_handler(lua_State *L, struct peri_buf *out, const char *const *path)
{
    int n = 0;
    if (*path && !strcmp(*path, PERI_VM_KEPT)) {
        if (!peri_vm_push_path(L, path) || lua_tocfunction(L, -1) != handle)
            peri_vm_raisef(L, "plugin.no_handler", "the plugin has no such handler");
        lua_getupvalue(L, -1, 1);
        peri_message_put8(out, 0);
        peri_message_put32(out, (uint32_t)lua_tointeger(L, -1));
        lua_pop(L, 2);
        return;
    }
    while (path[n])
        n++;
    peri_message_put8(out, (uint8_t)n);
    for (int i = 0; i < n; i++)
        peri_message_put_text(out, path[i]);
}
