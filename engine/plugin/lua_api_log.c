/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_api.h"

#define DATA_BYTES 4096

static int write_log(lua_State *L, enum peri_log_level level)
{
    struct peri_job *job = peri_lua_job(L);
    size_t len;
    lua_settop(L, 2);
    if (!peri_log_enabled(job->host->options.log, level) || job->log_full)
        return 0;
    const char *text = peri_vm_tostring(L, 1, &len);

    struct peri_value *data = lua_istable(L, 2) ? peri_lua_kept_value(L, 2, "data", DATA_BYTES) : NULL;
    peri_vm_charge(L, (int64_t)len / 4 + 100);
    peri_job_log(job, level, text, data);
    return 0;
}

static int log_debug(lua_State *L)
{
    return write_log(L, PERI_LOG_DEBUG);
}

static int log_info(lua_State *L)
{
    return write_log(L, PERI_LOG_INFO);
}

static int log_warn(lua_State *L)
{
    return write_log(L, PERI_LOG_WARN);
}

static int log_error(lua_State *L)
{
    return write_log(L, PERI_LOG_ERROR);
}

static int print_line(lua_State *L)
{
    return peri_vm_call_user(L) ? write_log(L, PERI_LOG_INFO) : 0;
}

void peri_lua_api_log(lua_State *L, const struct peri_plugin *plugin)
{
    static const luaL_Reg functions[] = {
        {"debug", log_debug}, {"info", log_info}, {"warn", log_warn}, {"error", log_error}, {NULL, NULL}};
    lua_newtable(L);
    peri_lua_set_functions(L, functions);
    lua_setfield(L, -2, "log");
    lua_pushcfunction(L, print_line);
    peri_vm_set_print(L);
}
