/* SPDX-License-Identifier: Apache-2.0 */
/* ctx.emit and ctx.events. */
#include <string.h>

#include "base/str.h"
#include "plugin/lua_api.h"

/* emit(type, data, options?) */
static int emit(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_error err = {0};
    const char *type = peri_lua_text(L, 1, "event type");
    lua_settop(L, 3);
    struct peri_value *data = peri_lua_kept_value(L, 2, "data", PERI_HOST_EVENT_BYTES * 2);
    struct peri_value *options = peri_lua_value(L, 3, "options", 8192);
    if (options && !peri_value_is(options, PERI_MAP))
        peri_vm_raisef(L, "bad_argument", "options must be a table {id =, time =, subject =, source =}");
    peri_vm_charge(L, 300);
    peri_lua_check(L, peri_job_emit(job, type, data, options, &err), &err);
    return 0;
}

/* {since = "now" | "start" | "ev-12"}: "ev-12" is the last event not to be heard. */
static void read_since(lua_State *L, int idx, bool *ret_now, uint64_t *ret_since)
{
    *ret_now = true;
    *ret_since = 0;
    if (lua_isnoneornil(L, idx))
        return;
    if (!lua_istable(L, idx))
        peri_vm_raisef(L, "bad_argument", "options must be a table {since =}");
    lua_pushliteral(L, "since");
    if (lua_rawget(L, idx) == LUA_TNIL)
        return;
    const char *text = peri_lua_text(L, -1, "since");
    *ret_now = !strcmp(text, "now");
    if (!*ret_now && strcmp(text, "start") && !peri_event_id_parse(text, ret_since))
        peri_vm_raisef(L, "bad_argument", "since must be \"now\", \"start\" or the id of an event");
}

/* on(glob, handler, options?) */
static int events_on(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_error err = {0};
    bool now;
    uint64_t since;
    const char *glob = peri_lua_text(L, 1, "event");
    lua_settop(L, 3);
    if (!lua_isfunction(L, 2))
        peri_vm_raisef(L, "bad_argument", "the handler must be a function");
    read_since(L, 3, &now, &since);
    peri_lua_check(L, peri_job_subscribe(job, glob, false, now, since, &err), &err);
    lua_pushvalue(L, 2);
    peri_vm_keep(L, glob);
    return 0;
}

/* off(glob) */
static int events_off(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_error err = {0};
    const char *glob = peri_lua_text(L, 1, "event");
    peri_lua_check(L, peri_job_subscribe(job, glob, true, false, 0, &err), &err);
    lua_pushnil(L);
    peri_vm_keep(L, glob);
    return 0;
}

void peri_lua_api_events(lua_State *L, const struct peri_plugin *plugin)
{
    static const luaL_Reg functions[] = {{"on", events_on}, {"off", events_off}, {NULL, NULL}};
    if (peri_grants_any(plugin->grants, "event:publish:")) {
        lua_pushcfunction(L, emit);
        lua_setfield(L, -2, "emit");
    }
    if (!peri_grants_any(plugin->grants, "event:subscribe:"))
        return;
    lua_newtable(L);
    peri_lua_set_functions(L, functions);
    lua_setfield(L, -2, "events");
}
