/* SPDX-License-Identifier: Apache-2.0 */
/* ctx.time. Formats are those of the `date` filter in rules: it is that function. */
#include <math.h>
#include <string.h>

#include "base/timefmt.h"
#include "lang/duration.h"
#include "lang/expr.h"
#include "plugin/lua_api.h"

static int time_now(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    char text[PERI_TIME_TEXT];
    lua_pushstring(L, peri_time_format(peri_clock_wall_ms(&job->host->options.clock), text));
    return 1;
}

static int time_now_ms(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    lua_pushinteger(L, peri_clock_wall_ms(&job->host->options.clock));
    return 1;
}

/* parse(text): ms, or nil and a message. */
static int time_parse(lua_State *L)
{
    (void)peri_lua_job(L);
    size_t len;
    int64_t ms;
    const char *text = peri_lua_textn(L, 1, "text", &len);
    if (peri_time_parse(text, len, &ms)) {
        lua_pushinteger(L, ms);
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "not a time in RFC 3339 form");
    return 2;
}

static int64_t ms_of(lua_State *L, int idx)
{
    if (lua_isinteger(L, idx))
        return lua_tointeger(L, idx);
    lua_Number n = lua_type(L, idx) == LUA_TNUMBER ? lua_tonumber(L, idx) : NAN;
    if (!(n > -1e15 && n < 1e15))
        peri_vm_raisef(L, "bad_argument", "a time must be a number of ms since 1970");
    return (int64_t)n;
}

static const struct peri_value *lookup(void *ctx, const char *name, size_t len)
{
    return peri_map_atn(ctx, name, len);
}

/* format(ms, zone?, format?): RFC 3339 in UTC, or as the date filter writes it. */
static int time_format(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    static const char text[] = "date(t, f, z)";
    struct peri_error err = {0};
    struct peri_expr *expr = NULL;
    char plain[PERI_TIME_TEXT];
    int64_t ms = ms_of(L, 1);
    if (lua_isnoneornil(L, 2) && lua_isnoneornil(L, 3)) {
        if (ms < -62135596800000 || ms > 253402300799999)
            return peri_vm_raisef(L, "bad_argument", "years run from 1 to 9999");
        lua_pushstring(L, peri_time_format(ms, plain));
        return 1;
    }
    const char *zone = lua_isnoneornil(L, 2) ? "UTC" : peri_lua_text(L, 2, "zone");
    const char *format = lua_isnoneornil(L, 3) ? "%FT%T%:z" : peri_lua_text(L, 3, "format");
    peri_vm_charge(L, 2000);
    struct peri_value **args = peri_vm_push_box(L), **out = peri_vm_push_box(L);
    *args = peri_value_map();
    if (!*args || peri_map_put_int(*args, "t", ms) || peri_map_put_text(*args, "f", format) ||
        peri_map_put_text(*args, "z", zone))
        return peri_vm_raisef(L, "bad_argument", "zone and format must be UTF-8 text");
    struct peri_scope scope = {.lookup = lookup, .ctx = *args, .tz = job->host->options.tz};
    enum peri_status st = peri_expr_compile(text, sizeof(text) - 1, NULL, &expr, NULL);
    if (!st)
        st = peri_expr_eval(expr, &scope, out, &err);
    peri_expr_destroy(expr);
    if (st)
        return peri_vm_raisef(L, "bad_argument", "%s", err.message);
    peri_vm_push_value(L, *out, false);
    return 1;
}

/* duration("10m"): ms. */
static int time_duration(lua_State *L)
{
    (void)peri_lua_job(L);
    struct peri_error err = {0};
    int64_t ms;
    size_t len;
    const char *text = peri_lua_textn(L, 1, "text", &len);
    if (peri_duration_parse(text, len, &ms, &err))
        return peri_vm_raisef(L, "bad_argument", "%s", err.message);
    lua_pushinteger(L, ms);
    return 1;
}

/* zone(): the one of perigee.yaml. */
static int time_zone(lua_State *L)
{
    const char *zone = peri_lua_job(L)->host->options.timezone;
    lua_pushstring(L, zone && *zone ? zone : "UTC");
    return 1;
}

void peri_lua_api_time(lua_State *L, const struct peri_plugin *plugin)
{
    static const luaL_Reg functions[] = {{"now", time_now}, {"now_ms", time_now_ms}, {"parse", time_parse},
        {"format", time_format}, {"duration", time_duration}, {"zone", time_zone}, {NULL, NULL}};
    lua_newtable(L);
    peri_lua_set_functions(L, functions);
    lua_setfield(L, -2, "time");
}
