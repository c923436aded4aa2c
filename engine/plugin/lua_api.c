/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_api.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/timefmt.h"
#include "data/json.h"

const char *const peri_lua_api_names[] = {
    "account",
    "call",
    "crypto.base64",
    "crypto.base64.decode",
    "crypto.base64.encode",
    "crypto.equals",
    "crypto.hmac",
    "crypto.sha256",
    "crypto.uuid",
    "data.delete",
    "data.get",
    "data.put",
    "data.query",
    "emit",
    "events.off",
    "events.on",
    "files.read",
    "http.get",
    "http.post",
    "http.request",
    "json.array",
    "json.decode",
    "json.encode",
    "json.null",
    "log.debug",
    "log.error",
    "log.info",
    "log.warn",
    "mappings.bulk",
    "mappings.delete",
    "mappings.external_id",
    "mappings.key",
    "mappings.list",
    "mappings.set",
    "schedule.after",
    "schedule.cancel",
    "schedule.cron",
    "schedule.every",
    "schedule.list",
    "secret",
    "send",
    "smtp.send",
    "storage.clear",
    "storage.compare_and_set",
    "storage.delete",
    "storage.get",
    "storage.list",
    "storage.set",
    "time.duration",
    "time.format",
    "time.now",
    "time.now_ms",
    "time.parse",
    "time.zone",
    NULL,
};

static void open_ctx(lua_State *L);

int peri_lua_api_open(lua_State *L, void *user)
{
    const struct peri_plugin *p = user;
    lua_pushstring(L, p->id);
    lua_setfield(L, -2, "id");
    peri_vm_push_value(L, p->manifest->source, false);
    lua_setfield(L, -2, "manifest");
    peri_vm_push_value(L, p->config, true);
    lua_setfield(L, -2, "config");
    peri_lua_api_log(L, p);
    peri_lua_api_json(L, p);
    peri_lua_api_time(L, p);
    peri_lua_api_crypto(L, p);
    peri_lua_api_data(L, p);
    peri_lua_api_storage(L, p);
    peri_lua_api_events(L, p);
    peri_lua_api_mappings(L, p);
    peri_lua_api_schedule(L, p);
    peri_lua_api_files(L, p);
    peri_lua_api_http(L, p);
    peri_lua_api_smtp(L, p);
    peri_lua_api_send(L, p);
    peri_lua_api_secret(L, p);
    open_ctx(L);
    return 0;
}

/* --- arguments --- */

static void push_optional(lua_State *L, const char *text, const char *field)
{
    if (!text)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, field);
}

static void push_time(lua_State *L, int64_t ms, const char *field)
{
    char text[PERI_TIME_TEXT];
    push_optional(L, peri_time_format(ms, text), field);
}

/* As peri_job_event has it, without making it first: what a rule hears has been made into values for its pattern. */
static void push_event(lua_State *L, struct peri_job *job)
{
    const struct peri_event *e = job->event;
    char id[PERI_ID_TEXT];
    if (!job->payload || job->event_value) {
        peri_vm_push_value(L, peri_job_event(job), false);
        return;
    }
    peri_vm_charge(L, 12);
    lua_createtable(L, 0, 6);
    push_optional(L, e->seq ? peri_event_id(e->seq, id) : e->external_id, "id");
    push_optional(L, e->type, "type");
    push_optional(L, e->source, "source");
    push_optional(L, e->subject, "subject");
    push_time(L, e->time_ms ? e->time_ms : e->received_ms, "time");
    if (peri_value_is(job->payload, PERI_NULL))
        peri_vm_push_null(L);
    else
        peri_vm_push_value(L, job->payload, false);
    lua_setfield(L, -2, "data");
}

static bool has_event(struct peri_job *job)
{
    return (job->event && job->event->data && job->payload) || peri_job_event(job);
}

/* What of ctx is made when it is asked for. False: there is no such thing. */
static bool push_late(lua_State *L, struct peri_job *job, const char *key)
{
    if (!strcmp(key, "event")) {
        if (!has_event(job))
            return false;
        push_event(L, job);
        return true;
    }
    if (!strcmp(key, "rule") && job->rule_id) {
        lua_createtable(L, 0, 2);
        push_optional(L, job->rule_id, "id");
        push_optional(L, job->rule_name, "name");
        return true;
    }
    if (!strcmp(key, "run") && job->run_id) {
        lua_createtable(L, 0, 1);
        push_optional(L, job->run_id, "id");
        return true;
    }
    return false;
}

static const char *const late_keys[] = {"event", "rule", "run", NULL};
static const char ctx_meta = 0; /* its address is the key in the registry */

/* A ctx gives the plugin's functions from one table, and event, rule and run while its call is under way; what was
 * asked for stays in it. */
static int ctx_index(lua_State *L)
{
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    struct peri_job *job = peri_vm_call_user(L);
    if (!job || job->ctx != lua_topointer(L, 1) || lua_type(L, 2) != LUA_TSTRING)
        return 0;
    luaL_checkstack(L, 20, NULL);
    peri_vm_charge(L, 20);
    if (!push_late(L, job, lua_tostring(L, 2)))
        return 0;
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
}

static void copy_all(lua_State *L, int from, int to)
{
    lua_pushnil(L);
    while (lua_next(L, from)) {
        lua_pushvalue(L, -2);
        if (lua_rawget(L, to) != LUA_TNIL) {
            lua_pop(L, 2);
            continue;
        }
        lua_pop(L, 1);
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, to);
    }
}

static int ctx_next(lua_State *L)
{
    lua_settop(L, 2);
    peri_vm_charge(L, 1);
    if (lua_next(L, 1))
        return 2;
    lua_pushnil(L);
    return 1;
}

/* Whoever walks it finds all of it. */
static int ctx_pairs(lua_State *L)
{
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    peri_vm_charge(L, 100);
    copy_all(L, 2, 1);
    for (const char *const *key = late_keys; *key; key++) {
        lua_getfield(L, 1, *key);
        lua_pop(L, 1);
    }
    lua_pushcfunction(L, ctx_next);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

/* The table of functions is on top. */
static void open_ctx(lua_State *L)
{
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, ctx_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, ctx_pairs, 1);
    lua_setfield(L, -2, "__pairs");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &ctx_meta);
}

/* late: for a call in this state; else whole, to be read at once. */
static void push_ctx(lua_State *L, struct peri_job *job, bool late)
{
    lua_createtable(L, 0, late ? 2 : 24);
    if (late) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &ctx_meta);
        lua_setmetatable(L, -2);
        job->ctx = lua_topointer(L, -1);
    } else {
        peri_vm_push_api(L);
        copy_all(L, lua_gettop(L), lua_gettop(L) - 1);
        lua_pop(L, 1);
        for (const char *const *key = late_keys; *key; key++)
            if (push_late(L, job, *key))
                lua_setfield(L, -2, *key);
    }
    push_optional(L, job->key, "idempotency_key");
    if (job->asking) {
        char since[PERI_TIME_TEXT];
        push_optional(L, peri_time_format(job->first_ms, since), "first_attempt");
    }
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes one name or value of a form; out has room for len bytes. */
static size_t form_decode(const char *s, size_t len, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '+') {
            out[n++] = ' ';
        } else if (s[i] == '%' && i + 2 < len && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0) {
            out[n++] = (char)(hex(s[i + 1]) * 16 + hex(s[i + 2]));
            i += 2;
        } else {
            out[n++] = s[i];
        }
    }
    return n;
}

static void push_decoded(lua_State *L, const char *s, size_t len)
{
    char *room = lua_newuserdatauv(L, len + 1, 0); /* the state's: survives whatever ends the call */
    lua_pushlstring(L, room, form_decode(s, len, room));
    lua_remove(L, -2);
}

/* Sets <field> (name -> first value) in the table below, and appends {name=, value=} in order to the list at list. */
static void push_form(lua_State *L, const char *text, size_t len, const char *field, int list)
{
    const char *end = text + len;
    lua_newtable(L);
    int map = lua_gettop(L);
    lua_Integer n = (lua_Integer)lua_rawlen(L, list);
    while (text < end) {
        const char *amp = memchr(text, '&', (size_t)(end - text));
        const char *stop = amp ? amp : end;
        const char *eq = memchr(text, '=', (size_t)(stop - text));
        peri_vm_charge(L, 10);
        if (stop > text) {
            lua_createtable(L, 0, 2);
            push_decoded(L, text, (size_t)((eq ? eq : stop) - text));
            push_decoded(L, eq ? eq + 1 : stop, eq ? (size_t)(stop - eq - 1) : 0);
            lua_pushvalue(L, -2);
            if (lua_rawget(L, map) == LUA_TNIL) {
                lua_pushvalue(L, -3);
                lua_pushvalue(L, -3);
                lua_rawset(L, map);
            }
            lua_pop(L, 1);
            lua_setfield(L, -3, "value");
            lua_setfield(L, -2, "name");
            lua_rawseti(L, list, ++n);
        }
        text = stop + 1;
    }
    lua_setfield(L, -2, field);
}

static const char *web_header(const struct peri_web_copy *web, const char *name)
{
    for (size_t i = 0; i < web->header_count; i++)
        if (!strcmp(web->headers[i].name, name))
            return web->headers[i].value;
    return "";
}

static bool media_type_is(const char *value, const char *type)
{
    size_t n = strlen(type);
    return !strncasecmp(value, type, n) && (!value[n] || value[n] == ';' || value[n] == ' ' || value[n] == '\t');
}

static bool is_json(const char *value)
{
    size_t n = strcspn(value, "; \t");
    return media_type_is(value, "application/json") || (n > 5 && !strncasecmp(value + n - 5, "+json", 5));
}

static void push_json_body(lua_State *L, const char *text, size_t len)
{
    struct peri_value **box = peri_vm_push_box(L);
    if (peri_json_parse(text, len, box, NULL) || !*box) {
        lua_pop(L, 1);
        return;
    }
    peri_vm_push_value(L, *box, false);
    lua_setfield(L, -3, "json");
    lua_pop(L, 1);
}

static void push_request(lua_State *L, const struct peri_web_copy *web)
{
    const char *type = web_header(web, "content-type");
    lua_createtable(L, 0, 12);
    push_optional(L, web->method, "method");
    push_optional(L, web->path, "path");
    push_optional(L, web->url, "url");
    push_optional(L, web->query, "query_string");
    push_optional(L, web->remote, "remote");
    lua_createtable(L, 0, (int)web->header_count);
    for (size_t i = 0; i < web->header_count; i++)
        push_optional(L, web->headers[i].value, web->headers[i].name);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, web->body, web->body_len);
    lua_setfield(L, -2, "body");
    lua_newtable(L); /* query parameters in order; not part of params_list */
    lua_insert(L, -2);
    push_form(L, web->query, strlen(web->query), "query", lua_gettop(L) - 1);
    lua_remove(L, -2);
    if (media_type_is(type, "application/x-www-form-urlencoded")) {
        lua_newtable(L);
        peri_vm_mark_list(L, -1);
        lua_insert(L, -2);
        push_form(L, web->body, web->body_len, "form", lua_gettop(L) - 1);
        lua_insert(L, -2);
        lua_setfield(L, -2, "params_list");
    } else if (is_json(type)) {
        push_json_body(L, web->body, web->body_len);
    }
}

static int push_arguments(lua_State *L, struct peri_job *job, bool late)
{
    bool connector = job->kind == PERI_JOB_ACTION && !strcmp(job->path[0], "connector");
    luaL_checkstack(L, 20, NULL);
    if (connector) {
        push_ctx(L, job, late);
        peri_vm_push_value(L, job->params, true);
        return 2;
    }
    switch (job->kind) {
    case PERI_JOB_INTERCEPT:
        peri_vm_push_value(L, job->params, false);
        push_ctx(L, job, late);
        return 2;
    case PERI_JOB_CONDITION:
    case PERI_JOB_ACTION:
        peri_vm_push_value(L, job->params, true); /* a rule's !secret becomes a handle; see refuse_secrets */
        push_ctx(L, job, late);
        return 2;
    case PERI_JOB_SEND:
        push_ctx(L, job, late);
        peri_vm_push_value(L, job->params, false);
        return 2;
    case PERI_JOB_WEBHOOK:
        push_ctx(L, job, late);
        push_request(L, job->web);
        return 2;
    case PERI_JOB_EVENT:
        peri_vm_push_value(L, peri_job_event(job), false);
        push_ctx(L, job, late);
        return 2;
    case PERI_JOB_SCHEDULE:
        push_ctx(L, job, late);
        peri_vm_push_value(L, job->params, false);
        return 2;
    case PERI_JOB_PUSH:
    case PERI_JOB_HOOK:
    case PERI_JOB_HEALTH:
        break;
    }
    push_ctx(L, job, late);
    return 1;
}

int peri_lua_push_arguments(lua_State *L, void *user)
{
    return push_arguments(L, user, true);
}

int peri_lua_push_whole(lua_State *L, void *user)
{
    return push_arguments(L, user, false);
}

/* --- answers --- */

int peri_lua_push_http_answer(lua_State *L, struct peri_job *job)
{
    struct peri_op *op = &job->op;
    const char *type = peri_map_text(op->answer, "content-type");
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, op->status);
    lua_setfield(L, -2, op->kind == PERI_OP_SMTP ? "code" : "status");
    lua_pushlstring(L, op->text ? op->text : "", op->text_len);
    lua_setfield(L, -2, op->kind == PERI_OP_SMTP ? "text" : "body");
    if (op->kind == PERI_OP_SMTP)
        return 1;
    peri_vm_push_value(L, op->answer, false);
    lua_setfield(L, -2, "headers");
    if (type && op->text && is_json(type))
        push_json_body(L, op->text, op->text_len);
    return 1;
}

int peri_lua_push_answer(lua_State *L, void *user)
{
    struct peri_job *job = user;
    luaL_checkstack(L, 20, NULL);
    if (job->op.error.status)
        return peri_vm_raise(L, &job->op.error);
    switch (job->op.kind) {
    case PERI_OP_FLUSH:
        return peri_lua_push_read(L, job, &job->op.read);
    case PERI_OP_HTTP:
    case PERI_OP_SMTP:
        return peri_lua_push_http_answer(L, job);
    case PERI_OP_SEND:
    case PERI_OP_CALL:
        if (job->op.answer)
            peri_vm_push_value(L, job->op.answer, false);
        else
            lua_pushnil(L);
        return 1;
    case PERI_OP_DEFER:
    case PERI_OP_NONE:
        break;
    }
    return 0;
}

/* --- for the areas --- */

struct peri_job *peri_lua_job(lua_State *L)
{
    struct peri_job *job = peri_vm_call_user(L);
    if (!job)
        peri_vm_raisef(L, "not_now", "not available while the plugin is loaded");
    if (++job->host_calls > PERI_HOST_CALLS)
        peri_vm_stop(L, "limit.calls", "more than %d host functions in one call", PERI_HOST_CALLS);
    peri_vm_charge(L, 20);
    return job;
}

void peri_lua_check(lua_State *L, enum peri_status st, const struct peri_error *err)
{
    if (!st)
        return;
    struct peri_error copy = *err;
    if (!copy.status)
        peri_error_set(&copy, st, NULL, "%s", peri_status_name(st));
    peri_vm_raise(L, &copy);
}

const char *peri_lua_textn(lua_State *L, int idx, const char *what, size_t *ret_len)
{
    if (lua_type(L, idx) != LUA_TSTRING)
        peri_vm_raisef(L, "bad_argument", "%s must be a string, is %s", what, lua_typename(L, lua_type(L, idx)));
    return lua_tolstring(L, idx, ret_len);
}

const char *peri_lua_text(lua_State *L, int idx, const char *what)
{
    size_t len;
    const char *s = peri_lua_textn(L, idx, what, &len);
    if (strlen(s) != len)
        peri_vm_raisef(L, "bad_argument", "%s must not hold a NUL byte", what);
    if (!peri_utf8_valid(s, len, NULL))
        peri_vm_raisef(L, "bad_argument", "%s must be UTF-8 text", what);
    return s;
}

struct peri_value *peri_lua_value(lua_State *L, int idx, const char *what, size_t max_bytes)
{
    if (lua_isnoneornil(L, idx))
        return NULL;
    idx = lua_absindex(L, idx);
    struct peri_value **box = peri_vm_push_box(L);
    *box = peri_vm_check_value(L, idx, max_bytes);
    return *box;
}

struct peri_value *peri_lua_kept_value(lua_State *L, int idx, const char *what, size_t max_bytes)
{
    struct peri_job *job = peri_vm_call_user(L);
    struct peri_value *v = peri_lua_value(L, idx, what, max_bytes), *clean = NULL;
    if (!v || !job)
        return v;
    struct peri_value **box = peri_vm_push_box(L);
    *box = clean = peri_secrets_hide_value(job->host->options.secrets, v);
    if (!clean)
        peri_vm_raisef(L, "out_of_memory", "out of memory");
    return clean;
}

struct peri_op *peri_lua_begin(lua_State *L, struct peri_job *job, enum peri_op_kind kind)
{
    struct peri_error err = {0};
    peri_vm_check_wait(L);
    if (kind != PERI_OP_FLUSH)
        peri_lua_check(L, peri_job_spend(job, &err), &err);
    peri_op_finish(&job->op);
    job->op.kind = kind;
    return &job->op;
}

char *peri_lua_dup(lua_State *L, const char *s, size_t len)
{
    char *copy = malloc(len + 1);
    if (!copy)
        peri_vm_raisef(L, "out_of_memory", "out of memory");
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

void peri_lua_secret_text(lua_State *L, int idx, const char *what, struct peri_secret_text *to)
{
    const char *secret;
    idx = lua_absindex(L, idx);
    if (lua_type(L, idx) == LUA_TSTRING || lua_type(L, idx) == LUA_TNUMBER) {
        size_t len;
        lua_pushvalue(L, idx); /* lua_tolstring would change a number in the plugin's table */
        const char *s = lua_tolstring(L, -1, &len);
        if (strlen(s) != len)
            peri_vm_raisef(L, "bad_argument", "%s must not hold a NUL byte", what);
        to->text = peri_lua_dup(L, s, len);
        lua_pop(L, 1);
        return;
    }
    if ((secret = peri_vm_secret_name(L, idx))) {
        to->secret = peri_lua_dup(L, secret, strlen(secret));
        return;
    }
    if (lua_istable(L, idx)) {
        if (lua_rawgeti(L, idx, 1) == LUA_TNIL) { /* an account holds its handle under a name */
            lua_pop(L, 1);
            lua_pushliteral(L, "token");
            lua_rawget(L, idx);
        }
        if ((secret = peri_vm_secret_name(L, -1))) {
            to->secret = peri_lua_dup(L, secret, strlen(secret));
            lua_pushliteral(L, "prefix");
            if (lua_rawget(L, idx) == LUA_TSTRING) {
                const char *prefix = peri_lua_text(L, -1, "prefix");
                to->text = peri_lua_dup(L, prefix, strlen(prefix));
            }
            lua_pop(L, 2);
            return;
        }
        if (lua_type(L, -1) == LUA_TSTRING) { /* a setting that may be either */
            const char *text = peri_lua_text(L, -1, what), *prefix = "";
            lua_pushliteral(L, "prefix");
            if (lua_rawget(L, idx) == LUA_TSTRING)
                prefix = peri_lua_text(L, -1, "prefix");
            const char *whole = lua_pushfstring(L, "%s%s", prefix, text);
            to->text = peri_lua_dup(L, whole, strlen(whole));
            lua_pop(L, 3);
            return;
        }
    }
    peri_vm_raisef(L, "bad_argument", "%s must be a string, a secret, or {secret, prefix = \"...\"}", what);
}

void peri_lua_set_functions(lua_State *L, const luaL_Reg *functions)
{
    for (; functions->name; functions++) {
        lua_pushcfunction(L, functions->func);
        lua_setfield(L, -2, functions->name);
    }
}
