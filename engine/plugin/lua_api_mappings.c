/* SPDX-License-Identifier: Apache-2.0 */
/* ctx.mappings: ids that another system has for things of ours. */
#include <string.h>

#include "base/str.h"
#include "plugin/lua_api.h"

#define DATA_BYTES 65536
#define BULK_BYTES (1u << 20)

static void check(lua_State *L, enum peri_status st)
{
    if (st)
        peri_vm_raisef(L, "out_of_memory", "out of memory");
}

/* set(type, key, external_id, data?) */
static int mappings_set(lua_State *L)
{
    static const char *const names[] = {"type", "key", "external_id"};
    struct peri_job *job = peri_lua_job(L);
    struct peri_error err = {0};
    lua_settop(L, 4);
    for (int i = 0; i < 3; i++)
        (void)peri_lua_text(L, i + 1, names[i]);
    struct peri_value *data = peri_lua_kept_value(L, 4, "data", DATA_BYTES);
    struct peri_value **list = peri_vm_push_box(L), **map = peri_vm_push_box(L);
    *list = peri_value_list();
    *map = peri_value_map();
    for (int i = 0; i < 3; i++)
        check(L, *map ? peri_map_put_text(*map, names[i], lua_tostring(L, i + 1)) : PERI_ENOMEM);
    if (data)
        check(L, peri_map_put_ref(*map, "data", data));
    check(L, *list ? peri_list_push(*list, peri_value_ref(*map)) : PERI_ENOMEM);
    peri_vm_charge(L, 300);
    peri_lua_check(L, peri_job_map(job, *list, &err), &err);
    return 0;
}

/* bulk(list): [{type, key, external_id, data?}]; how many. */
static int mappings_bulk(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_error err = {0};
    lua_settop(L, 1);
    struct peri_value *list = peri_lua_kept_value(L, 1, "mappings", BULK_BYTES);
    bool ok = peri_value_is(list, PERI_LIST) || (peri_value_is(list, PERI_MAP) && !peri_value_count(list));
    for (size_t i = 0; ok && i < peri_value_count(list); i++)
        ok = peri_value_is(peri_list_at(list, i), PERI_MAP);
    if (!ok)
        peri_vm_raisef(L, "bad_argument", "mappings must be a list of {type =, key =, external_id =, data =}");
    peri_vm_charge(L, 100 * ((int64_t)peri_value_count(list) + 2));
    peri_lua_check(L, peri_job_map(job, list, &err), &err);
    lua_pushinteger(L, (lua_Integer)peri_value_count(list));
    return 1;
}

/* delete(type, key) */
static int mappings_delete(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_error err = {0};
    const char *type = peri_lua_text(L, 1, "type"), *key = peri_lua_text(L, 2, "key");
    peri_lua_check(L, peri_job_unmap(job, type, key, &err), &err);
    return 0;
}

static int find(lua_State *L, enum peri_read_kind kind, const char *member)
{
    struct peri_job *job = peri_lua_job(L);
    const char *type = peri_lua_text(L, 1, "type"), *text = peri_lua_text(L, 2, member);
    struct peri_value **request = peri_vm_push_box(L);
    *request = peri_value_map();
    check(L, *request ? peri_map_put_text(*request, "type", type) : PERI_ENOMEM);
    check(L, peri_map_put_text(*request, member, text));
    struct peri_read read = {.kind = kind, .request = *request};
    return peri_lua_read(L, job, &read);
}

/* external_id(type, key) */
static int mappings_external_id(lua_State *L)
{
    return find(L, PERI_READ_EXTERNAL, "key");
}

/* key(type, external_id) */
static int mappings_key(lua_State *L)
{
    return find(L, PERI_READ_MAPPED, "external_id");
}

/* list(type?, {after, limit}) */
static int mappings_list(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    lua_settop(L, 2);
    const char *type = lua_isnil(L, 1) ? NULL : peri_lua_text(L, 1, "type");
    struct peri_value *options = peri_lua_value(L, 2, "options", 1024);
    if (options && !peri_value_is(options, PERI_MAP))
        peri_vm_raisef(L, "bad_argument", "options must be a table {after =, limit =}");
    int64_t limit = peri_map_int(options, "limit", 100);
    if (limit < 1 || limit > 1000)
        peri_vm_raisef(L, "bad_argument", "limit must lie between 1 and 1000");
    struct peri_value **request = peri_vm_push_box(L);
    *request = peri_value_map();
    check(L, *request ? peri_map_put_int(*request, "limit", limit) : PERI_ENOMEM);
    if (type)
        check(L, peri_map_put_text(*request, "type", type));
    if (peri_map_text(options, "after"))
        check(L, peri_map_put_text(*request, "after", peri_map_text(options, "after")));
    struct peri_read read = {.kind = PERI_READ_MAPPINGS, .request = *request};
    return peri_lua_read(L, job, &read);
}

void peri_lua_api_mappings(lua_State *L, const struct peri_plugin *plugin)
{
    static const luaL_Reg readers[] = {
        {"external_id", mappings_external_id}, {"key", mappings_key}, {"list", mappings_list}, {NULL, NULL}};
    static const luaL_Reg writers[] = {
        {"set", mappings_set}, {"bulk", mappings_bulk}, {"delete", mappings_delete}, {NULL, NULL}};
    bool reads = peri_grants_has(plugin->grants, "storage:read"),
         writes = peri_grants_has(plugin->grants, "storage:write");
    if (!reads && !writes)
        return;
    lua_newtable(L);
    if (reads)
        peri_lua_set_functions(L, readers);
    if (writes)
        peri_lua_set_functions(L, writers);
    lua_setfield(L, -2, "mappings");
}
