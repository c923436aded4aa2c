/* SPDX-License-Identifier: Apache-2.0 */
/* ctx.storage: keys and values of the plugin's own, in namespaces. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "lang/duration.h"
#include "plugin/lua_api.h"

#define KEY_MAX 256

/* "<scope>/<namespace>/" of the options at idx; {namespace =, scope = "plugin"|"user", ttl =}. */
static void prefix_of(lua_State *L, int idx, char *out, size_t size)
{
    const char *scope = "plugin", *space = "";
    if (!lua_isnoneornil(L, idx) && !lua_istable(L, idx))
        peri_vm_raisef(L, "bad_argument", "options must be a table {namespace =, scope =, ttl =}");
    if (lua_istable(L, idx)) {
        lua_pushliteral(L, "namespace");
        if (lua_rawget(L, idx) != LUA_TNIL)
            space = peri_lua_text(L, -1, "namespace");
        lua_pushliteral(L, "scope");
        if (lua_rawget(L, idx) != LUA_TNIL)
            scope = peri_lua_text(L, -1, "scope");
    }
    if (strcmp(scope, "plugin") && strcmp(scope, "user"))
        peri_vm_raisef(L, "bad_argument", "scope must be \"plugin\" or \"user\"");
    if (!peri_utf8_valid(space, strlen(space), NULL))
        peri_vm_raisef(L, "bad_argument", "a namespace must be UTF-8 text");
    if (strlen(space) > 100 || strchr(space, '/'))
        peri_vm_raisef(L, "bad_argument", "a namespace has at most 100 bytes and no slash");
    snprintf(out, size, "%s/%s/", scope, space);
}

static void key_of(lua_State *L, int key_idx, int options_idx, char out[KEY_MAX + 128])
{
    const char *key = peri_lua_text(L, key_idx, "key");
    if (!*key || strlen(key) > KEY_MAX - 1)
        peri_vm_raisef(L, "bad_argument", "a key has 1 to %d bytes", KEY_MAX - 1);
    if (!peri_utf8_valid(key, strlen(key), NULL))
        peri_vm_raisef(L, "bad_argument", "a key must be UTF-8 text");
    prefix_of(L, options_idx, out, 128);
    size_t n = strlen(out);
    snprintf(out + n, KEY_MAX + 128 - n, "%s", key);
}

static int storage_get(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    char key[KEY_MAX + 128];
    lua_settop(L, 3);
    key_of(L, 1, 2, key);
    struct peri_read read = {.kind = PERI_READ_KV, .id = key};
    return peri_lua_read(L, job, &read);
}

static int64_t ttl_of(lua_State *L, int idx)
{
    struct peri_error err = {0};
    int64_t ms = 0;
    if (!lua_istable(L, idx))
        return 0;
    lua_pushliteral(L, "ttl");
    int type = lua_rawget(L, idx);
    if (type == LUA_TNUMBER) {
        double seconds = lua_tonumber(L, -1);
        if (!(seconds > 0 && seconds < 1e9))
            peri_vm_raisef(L, "bad_argument", "ttl must be a positive number of seconds");
        ms = (int64_t)(seconds * 1000);
    } else if (type != LUA_TNIL) {
        const char *text = peri_lua_text(L, -1, "ttl");
        if (peri_duration_parse(text, strlen(text), &ms, &err))
            peri_vm_raisef(L, "bad_argument", "ttl: %s", err.message);
    }
    return ms;
}

static int storage_set(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_error err = {0};
    char key[KEY_MAX + 128];
    lua_settop(L, 3);
    key_of(L, 1, 3, key);
    int64_t ttl = ttl_of(L, 3);
    struct peri_value *value = peri_lua_kept_value(L, 2, "value", PERI_HOST_STORAGE_VALUE);
    peri_vm_charge(L, 200);
    peri_lua_check(L, peri_job_kv_set(job, key, value, ttl, &err), &err); /* nil deletes */
    return 0;
}

/* compare_and_set(key, expected, value, options?): whether it was set. The comparison is the store's. */
static int storage_swap(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_error err = {0};
    char key[KEY_MAX + 128];
    lua_settop(L, 4);
    key_of(L, 1, 4, key);
    int64_t ttl = ttl_of(L, 4);
    struct peri_value *expected = peri_lua_value(L, 2, "expected", PERI_HOST_STORAGE_VALUE);
    struct peri_value *value = peri_lua_value(L, 3, "value", PERI_HOST_STORAGE_VALUE);
    peri_vm_charge(L, 300);
    struct peri_op *op = peri_lua_begin(L, job, PERI_OP_FLUSH);
    op->read.kind = PERI_READ_SWAPPED;
    peri_lua_check(L, peri_job_kv_swap(job, key, expected, value, ttl, &op->swap, &err), &err);
    return peri_vm_wait(L);
}

static int storage_delete(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_error err = {0};
    char key[KEY_MAX + 128];
    lua_settop(L, 3);
    key_of(L, 1, 2, key);
    peri_lua_check(L, peri_job_kv_set(job, key, NULL, 0, &err), &err);
    return 0;
}

/* list(prefix?, options?) */
static int storage_list(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    char space[128], whole[KEY_MAX + 128];
    lua_settop(L, 2);
    const char *prefix = lua_isnoneornil(L, 1) ? "" : peri_lua_text(L, 1, "prefix");
    if (strlen(prefix) >= KEY_MAX)
        peri_vm_raisef(L, "bad_argument", "a key has 1 to %d bytes", KEY_MAX - 1);
    prefix_of(L, 2, space, sizeof(space));
    snprintf(whole, sizeof(whole), "%s%s", space, prefix);
    struct peri_read read = {.kind = PERI_READ_KEYS, .type = space, .id = whole};
    return peri_lua_read(L, job, &read);
}

/* clear(options?): how many keys went. */
static int storage_clear(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    char space[128];
    lua_settop(L, 1);
    prefix_of(L, 1, space, sizeof(space));
    struct peri_read read = {.kind = PERI_READ_CLEAR, .type = space, .id = space};
    return peri_lua_read(L, job, &read);
}

void peri_lua_api_storage(lua_State *L, const struct peri_plugin *plugin)
{
    static const luaL_Reg readers[] = {{"get", storage_get}, {"list", storage_list}, {NULL, NULL}};
    static const luaL_Reg writers[] = {
        {"set", storage_set}, {"delete", storage_delete}, {"clear", storage_clear}, {NULL, NULL}};
    bool reads = peri_grants_has(plugin->grants, "storage:read"),
         writes = peri_grants_has(plugin->grants, "storage:write");
    if (!reads && !writes)
        return;
    lua_newtable(L);
    if (reads)
        peri_lua_set_functions(L, readers);
    if (writes)
        peri_lua_set_functions(L, writers);
    if (reads && writes) {
        lua_pushcfunction(L, storage_swap);
        lua_setfield(L, -2, "compare_and_set");
    }
    lua_setfield(L, -2, "storage");
}
