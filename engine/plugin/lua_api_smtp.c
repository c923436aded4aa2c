/* SPDX-License-Identifier: Apache-2.0 */
/* ctx.smtp.send: one message to one server. */
#include <string.h>

#include "plugin/lua_api.h"

#define MESSAGE_BYTES (1u << 20)
#define RECIPIENTS_MAX 100

static int field(lua_State *L, int t, const char *key)
{
    lua_pushstring(L, key);
    return lua_rawget(L, t);
}

static void check_keys(lua_State *L, int t)
{
    static const char *const known[] = {
        "host", "port", "security", "user", "password", "from", "to", "message", "ca_file", "timeout_ms", NULL};
    lua_pushnil(L);
    while (lua_next(L, t)) {
        const char *const *k = known;
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        while (*k && strcmp(*k, key))
            k++;
        if (!*k)
            peri_vm_raisef(L, "bad_argument", "unknown key \"%s\" for smtp.send", key);
        lua_pop(L, 1);
    }
}

/* Addresses become lines of a dialogue with the server: nothing may end a line or a bracket early. */
static const char *address(lua_State *L, int idx, const char *what)
{
    const char *s = peri_lua_text(L, idx, what);
    if (!*s || strlen(s) > 320)
        peri_vm_raisef(L, "bad_argument", "%s: an address has 1 to 320 bytes", what);
    for (const char *c = s; *c; c++)
        if ((unsigned char)*c <= 0x20 || *c == 0x7f || *c == '<' || *c == '>')
            peri_vm_raisef(L, "bad_argument", "%s: an address holds no blanks, brackets or control characters", what);
    return s;
}

static void read_security(lua_State *L, int t, struct peri_op *op)
{
    const char *s = field(L, t, "security") == LUA_TNIL ? "starttls" : peri_lua_text(L, -1, "security");
    if (!strcmp(s, "plain"))
        op->security = PERI_SMTP_PLAIN;
    else if (!strcmp(s, "starttls"))
        op->security = PERI_SMTP_STARTTLS;
    else if (!strcmp(s, "tls"))
        op->security = PERI_SMTP_TLS;
    else
        peri_vm_raisef(L, "bad_argument", "security must be \"starttls\", \"tls\" or \"plain\"");
}

static void read_recipients(lua_State *L, int t, struct peri_op *op)
{
    if (field(L, t, "to") == LUA_TSTRING) { /* one address */
        lua_newtable(L);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 1);
    }
    if (!lua_istable(L, -1))
        peri_vm_raisef(L, "bad_argument", "to must be an address or a list of addresses");
    int list = lua_gettop(L);
    size_t n = lua_rawlen(L, list);
    if (n == 0 || n > RECIPIENTS_MAX)
        peri_vm_raisef(L, "bad_argument", "to must hold 1 to %d addresses", RECIPIENTS_MAX);
    op->to = peri_value_list();
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, list, (lua_Integer)i);
        if (!op->to || peri_list_push(op->to, peri_value_str(address(L, -1, "to"))))
            peri_vm_raisef(L, "bad_argument", "to: not an address in UTF-8");
        lua_pop(L, 1);
    }
}

static int64_t number(lua_State *L, int t, const char *key, int64_t least, int64_t most, int64_t fallback)
{
    int type = field(L, t, key);
    if (type == LUA_TNIL)
        return fallback;
    lua_Number v = type == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    if (!(v >= (lua_Number)least && v <= (lua_Number)most))
        peri_vm_raisef(L, "bad_argument", "%s must lie between %lld and %lld", key, (long long)least, (long long)most);
    return (int64_t)v;
}

static int smtp_send(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    size_t len;
    if (!lua_istable(L, 1))
        peri_vm_raisef(L, "bad_argument", "smtp.send takes a table {host =, from =, to =, message =, ...}");
    lua_settop(L, 1);
    luaL_checkstack(L, 40, NULL);
    check_keys(L, 1);
    struct peri_op *op = peri_lua_begin(L, job, PERI_OP_NONE);
    field(L, 1, "host");
    const char *host = peri_lua_text(L, -1, "host");
    op->host = peri_lua_dup(L, host, strlen(host));
    read_security(L, 1, op);
    op->port = (int)number(L, 1, "port", 1, 65535, op->security == PERI_SMTP_TLS ? 465 : 587);
    op->timeout_ms = number(L, 1, "timeout_ms", 1, 60000, 0);
    if (field(L, 1, "user") != LUA_TNIL) {
        peri_lua_secret_text(L, -1, "user", &op->user);
        field(L, 1, "password");
        peri_lua_secret_text(L, -1, "password", &op->password);
    }
    field(L, 1, "from");
    const char *from = address(L, -1, "from");
    op->from = peri_lua_dup(L, from, strlen(from));
    read_recipients(L, 1, op);
    if (field(L, 1, "ca_file") != LUA_TNIL) {
        const char *ca = peri_lua_text(L, -1, "ca_file");
        op->ca_file = peri_lua_dup(L, ca, strlen(ca));
    }
    field(L, 1, "message");
    const char *message = peri_lua_textn(L, -1, "message", &len);
    if (len > MESSAGE_BYTES)
        peri_vm_raisef(L, "bad_argument", "the message is larger than %u MiB", MESSAGE_BYTES >> 20);
    op->body = peri_lua_dup(L, message, len);
    op->body_len = len;
    peri_vm_charge(L, 500 + (int64_t)len / 16);
    op->kind = PERI_OP_SMTP;
    return peri_vm_wait(L);
}

void peri_lua_api_smtp(lua_State *L, const struct peri_plugin *plugin)
{
    static const luaL_Reg functions[] = {{"send", smtp_send}, {NULL, NULL}};
    if (!peri_grants_any(plugin->grants, "network:outbound:"))
        return;
    lua_newtable(L);
    peri_lua_set_functions(L, functions);
    lua_setfield(L, -2, "smtp");
}
