/* SPDX-License-Identifier: Apache-2.0 */
/* ctx.files: reading below the paths that were granted. */
#include <stdlib.h>
#include <string.h>

#include "plugin/lua_api.h"

#define PIECE_BYTES 262144
#define PIECE_MAX 524288 /* a text of a state has at most 1 MiB */

static int64_t number_of(lua_State *L, const char *name, int64_t standard, int64_t least, int64_t most)
{
    int isnum = 0;
    lua_pushstring(L, name);
    int type = lua_istable(L, 2) ? lua_rawget(L, 2) : (lua_pop(L, 1), lua_pushnil(L), LUA_TNIL);
    lua_Integer n = lua_tointegerx(L, -1, &isnum);
    lua_pop(L, 1);
    if (type == LUA_TNIL)
        return standard;
    if (!isnum || n < least || n > most)
        peri_vm_raisef(L, "bad_argument", "%s must be a whole number between %lld and %lld", name, (long long)least,
            (long long)most);
    return n;
}

static int read_freed(lua_State *L, struct peri_job *job, size_t len, int64_t size)
{
    lua_pushlstring(L, job->scratch ? job->scratch : "", len); /* may end the call: the job keeps the text */
    lua_pushinteger(L, size);
    free(job->scratch);
    job->scratch = NULL;
    return 2;
}

/* read(path, {offset =, limit =}): text, size of the whole file */
static int files_read(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_error err = {0};
    size_t len = 0;
    int64_t size = 0;
    size_t path_len; /* of any bytes, as names of files are */
    const char *path = peri_lua_textn(L, 1, "path", &path_len);
    if (strlen(path) != path_len)
        peri_vm_raisef(L, "bad_argument", "path must not hold a NUL byte");
    lua_settop(L, 2);
    if (!lua_isnil(L, 2) && !lua_istable(L, 2))
        peri_vm_raisef(L, "bad_argument", "options must be a table {offset =, limit =}");
    int64_t offset = number_of(L, "offset", 0, 0, INT64_MAX / 2);
    int64_t limit = number_of(L, "limit", PIECE_BYTES, 1, PIECE_MAX);
    peri_vm_charge(L, 500 + limit / 16);
    free(job->scratch);
    job->scratch = NULL;
    peri_lua_check(L, peri_job_file(job, path, offset, (size_t)limit, &job->scratch, &len, &size, &err), &err);
    return read_freed(L, job, len, size);
}

void peri_lua_api_files(lua_State *L, const struct peri_plugin *plugin)
{
    static const luaL_Reg functions[] = {{"read", files_read}, {NULL, NULL}};
    if (!peri_grants_any(plugin->grants, "filesystem:read:"))
        return;
    lua_newtable(L);
    peri_lua_set_functions(L, functions);
    lua_setfield(L, -2, "files");
}
