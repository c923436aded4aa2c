/* SPDX-License-Identifier: Apache-2.0 */
/* ctx.send and ctx.call: other plugins' handlers; ctx.secret and ctx.account: handles. */
#include <string.h>

#include "plugin/lua_api.h"

#define MESSAGE_BYTES 262144

static int send_message(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    const char *type = peri_lua_text(L, 1, "channel type");
    if (job->kind == PERI_JOB_CONDITION)
        peri_vm_raisef(L, "denied", "a condition may not send messages");
    struct peri_error err = {0};
    if (!peri_grants_channel(job->plugin->grants, type))
        peri_lua_check(L, peri_job_denied(job, "channels:send:", type, &err), &err);
    if (!lua_istable(L, 2))
        peri_vm_raisef(L, "bad_argument", "message must be a table");
    lua_settop(L, 2);
    struct peri_value *message = peri_lua_kept_value(L, 2, "message", MESSAGE_BYTES);
    if (!peri_value_is(message, PERI_MAP))
        peri_vm_raisef(L, "bad_argument", "message must be a table with names");
    struct peri_op *op = peri_lua_begin(L, job, PERI_OP_SEND);
    op->target = peri_lua_dup(L, type, strlen(type));
    op->value = peri_value_ref(message);
    return peri_vm_wait(L);
}

static int call_operator(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    const char *id = peri_lua_text(L, 1, "operator");
    lua_settop(L, 2);
    struct peri_value *params = peri_lua_kept_value(L, 2, "params", MESSAGE_BYTES);
    struct peri_op *op = peri_lua_begin(L, job, PERI_OP_CALL);
    (void)peri_grants_uses(job->plugin->grants, "operators:call");
    op->target = peri_lua_dup(L, id, strlen(id));
    op->value = peri_value_ref(params);
    return peri_vm_wait(L);
}

void peri_lua_api_send(lua_State *L, const struct peri_plugin *plugin)
{
    if (peri_grants_any(plugin->grants, "channels:send:")) {
        lua_pushcfunction(L, send_message);
        lua_setfield(L, -2, "send");
    }
    if (peri_grants_has(plugin->grants, "operators:call")) {
        lua_pushcfunction(L, call_operator);
        lua_setfield(L, -2, "call");
    }
}

/* ctx.secret(name): a handle to a secret that the manifest names under mtlsSecrets; its value never enters Lua. */
static int secret(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    const char *name = peri_lua_text(L, 1, "name");
    const struct peri_value *list = peri_map_at(job->plugin->manifest->source, "mtlsSecrets");
    for (size_t i = 0; i < peri_value_count(list); i++) {
        const char *known = peri_value_text(peri_list_at(list, i));
        if (known && !strcmp(known, name)) {
            (void)peri_grants_uses(job->plugin->grants, "secrets:mtls");
            peri_vm_push_secret(L, name);
            return 1;
        }
    }
    peri_ledger_violation(job, "denied", "secrets:mtls");
    return peri_vm_raisef(L, "denied", "the manifest of %s does not name the secret \"%s\"", job->plugin->id, name);
}

/* ctx.account(provider): what may be told of it, its token as a handle, and what stands before that in a header. */
static int account(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    const char *provider = peri_lua_text(L, 1, "provider");
    struct peri_error err = {0};
    struct peri_value **box = peri_vm_push_box(L);
    peri_vm_charge(L, 200);
    peri_lua_check(L, peri_job_account(job, provider, box, &err), &err);
    peri_vm_push_value(L, *box, false);
    lua_pushfstring(L, PERI_ACCOUNT_HANDLE "%s", provider);
    peri_vm_push_secret(L, lua_tostring(L, -1));
    lua_setfield(L, -3, "token");
    lua_pop(L, 1);
    return 1;
}

void peri_lua_api_secret(lua_State *L, const struct peri_plugin *plugin)
{
    if (peri_grants_has(plugin->grants, "secrets:mtls")) {
        lua_pushcfunction(L, secret);
        lua_setfield(L, -2, "secret");
    }
    if (peri_grants_any(plugin->grants, "accounts:")) {
        lua_pushcfunction(L, account);
        lua_setfield(L, -2, "account");
    }
}
