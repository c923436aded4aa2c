/* SPDX-License-Identifier: Apache-2.0 */
/* ctx.data. Writes are collected; a read after a write waits until those are stored, so that a handler
 * sees what it did. */
#include <string.h>

#include "plugin/lua_api.h"

#define FIELDS_BYTES 262144

int peri_lua_push_read(lua_State *L, struct peri_job *job, struct peri_read *read)
{
    struct peri_error err = {0};
    struct peri_value **box = peri_vm_push_box(L), *keys;
    size_t count = 0;
    enum peri_status st = PERI_OK;
    switch (read->kind) {
    case PERI_READ_QUERY:
    case PERI_READ_COUNT:
        st = peri_job_query(job, read->request, read->kind == PERI_READ_COUNT, box, &count, &err);
        break;
    case PERI_READ_GET:
        st = peri_job_get(job, read->type, read->id, box, &err);
        break;
    case PERI_READ_KV:
        st = peri_job_kv_get(job, read->id, box, &err);
        break;
    case PERI_READ_KEYS:
    case PERI_READ_CLEAR:
        st = peri_job_kv_list(job, read->id, box, &err);
        break;
    case PERI_READ_MAPPINGS:
    case PERI_READ_EXTERNAL:
    case PERI_READ_MAPPED:
        st = peri_job_mappings(job, read->request, box, &err);
        break;
    case PERI_READ_SCHEDULES:
        st = peri_job_plans(job, box, &err);
        break;
    case PERI_READ_SWAPPED:
        lua_pushboolean(L, peri_swap_done(job, job->op.swap));
        return 1;
    case PERI_READ_NONE:
        return 0;
    }
    if (st == PERI_ENOTFOUND) {
        lua_pushnil(L);
        return 1;
    }
    peri_lua_check(L, st, &err);
    peri_vm_charge(L, 200);
    if (read->kind == PERI_READ_COUNT) {
        lua_pushinteger(L, (lua_Integer)count);
        return 1;
    }
    if (read->kind == PERI_READ_EXTERNAL || read->kind == PERI_READ_MAPPED) {
        lua_pushstring(L, peri_map_text(peri_list_at(*box, 0), read->kind == PERI_READ_MAPPED ? "key" : "external_id"));
        return 1;
    }
    if (read->kind != PERI_READ_KEYS && read->kind != PERI_READ_CLEAR) {
        peri_vm_push_value(L, *box, false);
        return 1;
    }
    keys = *box;
    if (read->kind == PERI_READ_CLEAR) {
        peri_lua_check(L, peri_job_kv_clear(job, keys, &err), &err);
        lua_pushinteger(L, (lua_Integer)peri_value_count(keys));
        return 1;
    }
    /* Keys are shown without the scope and namespace they stand in. */
    size_t skip = strlen(read->type);
    lua_createtable(L, (int)peri_value_count(keys), 0);
    for (size_t i = 0; i < peri_value_count(keys); i++) {
        const char *key = peri_value_text(peri_list_at(keys, i));
        lua_pushstring(L, key && strlen(key) >= skip ? key + skip : "");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    peri_vm_mark_list(L, -1);
    return 1;
}

int peri_lua_read(lua_State *L, struct peri_job *job, const struct peri_read *read)
{
    if (!peri_job_dirty(job))
        return peri_lua_push_read(L, job, (struct peri_read *)(uintptr_t)read);
    struct peri_op *op = peri_lua_begin(L, job, PERI_OP_FLUSH);
    op->read.kind = read->kind;
    if (read->type)
        op->read.type = peri_lua_dup(L, read->type, strlen(read->type));
    if (read->id)
        op->read.id = peri_lua_dup(L, read->id, strlen(read->id));
    op->read.request = peri_value_ref(read->request);
    return peri_vm_wait(L);
}

static int data_query(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    lua_settop(L, 2);
    const char *type = peri_lua_text(L, 1, "type");
    if (!lua_isnoneornil(L, 2) && !lua_istable(L, 2))
        peri_vm_raisef(
            L, "bad_argument", "options of a query must be a table {where =, order =, limit =, offset =, count =}");
    struct peri_value *options = peri_lua_value(L, 2, "options", FIELDS_BYTES);
    struct peri_value **request = peri_vm_push_box(L);
    *request = peri_value_map();
    enum peri_status st = *request ? PERI_OK : PERI_ENOMEM;
    for (void *it = peri_map_first(options); !st && it; it = peri_map_next(options, it))
        st = peri_map_put_ref(*request, peri_map_key(it, NULL), peri_map_item(it));
    if (!st)
        st = peri_map_put_text(*request, "type", type);
    if (st)
        peri_vm_raisef(L, "out_of_memory", "out of memory");
    struct peri_read read = {
        .kind = peri_map_bool(options, "count", false) ? PERI_READ_COUNT : PERI_READ_QUERY, .request = *request};
    return peri_lua_read(L, job, &read);
}

static int data_get(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_read read = {.kind = PERI_READ_GET};
    read.type = (char *)(uintptr_t)peri_lua_text(L, 1, "type");
    read.id = (char *)(uintptr_t)peri_lua_text(L, 2, "id");
    return peri_lua_read(L, job, &read);
}

static int data_put(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_error err = {0};
    char id[128];
    lua_settop(L, 2);
    const char *type = peri_lua_text(L, 1, "type");
    if (!lua_istable(L, 2))
        peri_vm_raisef(L, "bad_argument", "fields must be a table");
    struct peri_value *fields = peri_lua_kept_value(L, 2, "fields", FIELDS_BYTES);
    peri_vm_charge(L, 200);
    peri_lua_check(L, peri_job_put(job, type, fields, id, &err), &err);
    lua_pushstring(L, id);
    return 1;
}

static int data_delete(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_error err = {0};
    const char *type = peri_lua_text(L, 1, "type"), *id = peri_lua_text(L, 2, "id");
    peri_lua_check(L, peri_job_delete(job, type, id, &err), &err);
    return 0;
}

void peri_lua_api_data(lua_State *L, const struct peri_plugin *plugin)
{
    static const luaL_Reg readers[] = {{"query", data_query}, {"get", data_get}, {NULL, NULL}};
    static const luaL_Reg writers[] = {{"put", data_put}, {"delete", data_delete}, {NULL, NULL}};
    bool reads = peri_grants_any(plugin->grants, "data:read:") || peri_grants_has(plugin->grants, "contacts:read");
    bool writes = peri_grants_any(plugin->grants, "data:write:");
    if (!reads && !writes)
        return;
    lua_newtable(L);
    if (reads)
        peri_lua_set_functions(L, readers);
    if (writes)
        peri_lua_set_functions(L, writers);
    lua_setfield(L, -2, "data");
}
