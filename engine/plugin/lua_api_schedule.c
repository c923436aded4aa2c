/* SPDX-License-Identifier: Apache-2.0 */
/* ctx.schedule: handlers that are called at a time. cron(name, expression, run?, options?), every(name, gap, ...),
 * after(name, delay, ...): run is the name of a function of the package's `jobs` (default: the schedule's own name), or
 * a function; options {data =, timezone =}. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "lang/duration.h"
#include "plugin/lua_api.h"

#define DATA_BYTES 65536
#define DURATION_MAX_MS (INT64_C(3660) * 24 * 3600 * 1000)

static void check(lua_State *L, enum peri_status st)
{
    if (st)
        peri_vm_raisef(L, "out_of_memory", "out of memory");
}

/* "10m", or seconds. */
static int64_t duration(lua_State *L, int idx, const char *what)
{
    struct peri_error err = {0};
    int64_t ms = -1;
    if (lua_type(L, idx) == LUA_TNUMBER) {
        double seconds = lua_tonumber(L, idx);
        if (seconds >= 0 && seconds * 1000 <= (double)DURATION_MAX_MS)
            ms = (int64_t)(seconds * 1000);
    } else {
        const char *text = peri_lua_text(L, idx, what);
        if (peri_duration_parse(text, strlen(text), &ms, &err))
            peri_vm_raisef(L, "bad_argument", "%s: %s", what, err.message);
    }
    if (ms < 0 || ms > DURATION_MAX_MS)
        peri_vm_raisef(L, "bad_argument", "%s must be \"10m\" or a number of seconds, at most ten years", what);
    return ms;
}

static void read_options(lua_State *L, struct peri_value *spec)
{
    struct peri_value *options = peri_lua_kept_value(L, 4, "options", DATA_BYTES);
    if (options && !peri_value_is(options, PERI_MAP))
        peri_vm_raisef(L, "bad_argument", "options must be a table {data =, timezone =}");
    if (peri_map_at(options, "data"))
        check(L, peri_map_put_ref(spec, "data", peri_map_at(options, "data")));
    if (peri_map_text(options, "timezone") && peri_map_at(spec, "cron"))
        check(L, peri_map_put_text(spec, "timezone", peri_map_text(options, "timezone")));
}

/* Arguments are name, (when), run, options; spec holds kind and when already. */
static int plan(lua_State *L, struct peri_job *job, struct peri_value *spec)
{
    struct peri_error err = {0};
    const char *name = peri_lua_text(L, 1, "name");
    bool kept = lua_isfunction(L, 3);
    if (!kept)
        check(L, peri_map_put_text(spec, "run", lua_isnil(L, 3) ? name : peri_lua_text(L, 3, "run")));
    bool here = !job->plugin->isolated; /* else its process has looked, and has the functions */
    if (!kept && here && !peri_vm_is_handler(L, "jobs", peri_map_text(spec, "run")))
        peri_vm_raisef(L, "bad_argument", "the package has no jobs[\"%s\"]", peri_map_text(spec, "run"));
    read_options(L, spec);
    peri_vm_charge(L, 300);
    peri_lua_check(L, peri_job_plan(job, name, spec, &err), &err);
    lua_pushfstring(L, "schedule:%s", name);
    if (kept)
        lua_pushvalue(L, 3);
    else
        lua_pushnil(L);
    peri_vm_keep(L, lua_tostring(L, -2));
    return 0;
}

static struct peri_value *begin(lua_State *L, const char *kind)
{
    lua_settop(L, 4);
    struct peri_value **spec = peri_vm_push_box(L);
    *spec = peri_value_map();
    check(L, *spec ? peri_map_put_text(*spec, "kind", kind) : PERI_ENOMEM);
    return *spec;
}

static int schedule_cron(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_value *spec = begin(L, "cron");
    check(L, peri_map_put_text(spec, "cron", peri_lua_text(L, 2, "expression")));
    return plan(L, job, spec);
}

static int schedule_every(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_value *spec = begin(L, "every");
    check(L, peri_map_put_int(spec, "every_ms", duration(L, 2, "gap")));
    return plan(L, job, spec);
}

static int schedule_after(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_value *spec = begin(L, "after");
    int64_t at = peri_clock_wall_ms(&job->host->options.clock) + duration(L, 2, "delay");
    check(L, peri_map_put_int(spec, "at_ms", at));
    return plan(L, job, spec);
}

static int schedule_cancel(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_error err = {0};
    const char *name = peri_lua_text(L, 1, "name");
    peri_lua_check(L, peri_job_plan(job, name, NULL, &err), &err);
    return 0;
}

static int schedule_list(lua_State *L)
{
    struct peri_read read = {.kind = PERI_READ_SCHEDULES};
    return peri_lua_read(L, peri_lua_job(L), &read);
}

void peri_lua_api_schedule(lua_State *L, const struct peri_plugin *plugin)
{
    static const luaL_Reg writers[] = {{"cron", schedule_cron}, {"every", schedule_every}, {"after", schedule_after},
        {"cancel", schedule_cancel}, {NULL, NULL}};
    static const luaL_Reg readers[] = {{"list", schedule_list}, {NULL, NULL}};
    bool reads = peri_grants_has(plugin->grants, "scheduler:read"),
         writes = peri_grants_has(plugin->grants, "scheduler:write");
    if (!reads && !writes)
        return;
    lua_newtable(L);
    if (reads)
        peri_lua_set_functions(L, readers);
    if (writes)
        peri_lua_set_functions(L, writers);
    lua_setfield(L, -2, "schedule");
}
