/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "data/json.h"
#include "plugin/lua_api.h"

#define JSON_BYTES (1u << 20)

static int json_encode(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_buf buf;
    lua_settop(L, 1);
    struct peri_value *v = peri_lua_value(L, 1, "value", JSON_BYTES);
    peri_buf_init(&buf, 2 * JSON_BYTES);
    enum peri_status st = peri_json_write(&buf, v, PERI_JSON_SORTED);
    /* Into the job: pushing may end the call, and then nothing else would free it. */
    free(job->scratch);
    job->scratch = NULL;
    size_t len = buf.len;
    if (!st)
        job->scratch = peri_buf_take(&buf, &len);
    else
        peri_buf_finish(&buf);
    if (!job->scratch)
        return peri_vm_raisef(L, "too_large", "the JSON text is larger than %u MiB", 2 * JSON_BYTES >> 20);
    peri_vm_charge(L, (int64_t)len / 8);
    lua_pushlstring(L, job->scratch, len);
    free(job->scratch);
    job->scratch = NULL;
    return 1;
}

static int json_decode(lua_State *L)
{
    (void)peri_lua_job(L);
    struct peri_error err = {0};
    size_t len;
    const char *text = peri_lua_textn(L, 1, "text", &len);
    if (len > JSON_BYTES)
        return peri_vm_raisef(L, "too_large", "JSON text is larger than %u MiB", JSON_BYTES >> 20);
    peri_vm_charge(L, (int64_t)len / 8);
    struct peri_value **box = peri_vm_push_box(L);
    if (peri_json_parse(text, len, box, &err))
        return peri_vm_raisef(L, "json", "%s", err.message);
    peri_vm_push_value(L, *box, false);
    return 1;
}

/* array(t?): t, or a new table, marked so that it is a list also when it is empty. */
static int json_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    } else if (!lua_istable(L, 1)) {
        return peri_vm_raisef(L, "bad_argument", "json.array takes a table");
    }
    lua_settop(L, 1);
    peri_vm_check_plain(L, 1);
    peri_vm_mark_list(L, 1);
    return 1;
}

void peri_lua_api_json(lua_State *L, const struct peri_plugin *plugin)
{
    static const luaL_Reg functions[] = {
        {"encode", json_encode}, {"decode", json_decode}, {"array", json_array}, {NULL, NULL}};
    lua_newtable(L);
    peri_lua_set_functions(L, functions);
    peri_vm_push_null(L);
    lua_setfield(L, -2, "null");
    lua_setfield(L, -2, "json");
}
