/* SPDX-License-Identifier: Apache-2.0 */
/* ctx.http: what a request table says is copied into the job's operation, then the call waits. Secrets travel by name.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "plugin/form.h"
#include "plugin/lua_api.h"

#define REQUEST_BYTES (1u << 20)
#define HEADERS_MAX 100
#define TIMEOUT_MAX 60000
#define PARTS_MAX 100

/* Pushes t[key] raw; returns its type. */
static int field(lua_State *L, int t, const char *key)
{
    lua_pushstring(L, key);
    return lua_rawget(L, t);
}

static void check_keys(lua_State *L, int t)
{
    static const char *const known[] = {
        "method", "url", "headers", "body", "json", "form", "multipart", "query", "timeout_ms", "auth", "tls", NULL};
    lua_pushnil(L);
    while (lua_next(L, t)) {
        const char *const *k = known;
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        while (*k && strcmp(*k, key))
            k++;
        if (!*k) {
            const char *near = peri_nearest(key, known);
            peri_vm_raisef(L, "bad_argument", "unknown key \"%s\" in a request%s%s%s", key,
                near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
        }
        lua_pop(L, 1);
    }
}

/* --- parts of the request --- */

static void set_header(lua_State *L, struct peri_op *op, const char *name, const char *text)
{
    if (!peri_vec_grow(&op->headers, &op->header_cap, op->header_count + 1, sizeof(*op->headers)))
        peri_vm_raisef(L, "out_of_memory", "out of memory");
    struct peri_secret_text *h = &op->headers[op->header_count++];
    memset(h, 0, sizeof(*h));
    h->name = peri_lua_dup(L, name, strlen(name));
    if (text)
        h->text = peri_lua_dup(L, text, strlen(text));
}

static bool has_header(const struct peri_op *op, const char *name)
{
    for (size_t i = 0; i < op->header_count; i++)
        if (!strcasecmp(op->headers[i].name, name))
            return true;
    return false;
}

static void read_headers(lua_State *L, int t, struct peri_op *op)
{
    static const char *const own[] = {"host", "content-length", "transfer-encoding", "connection", "user-agent", NULL};
    int type = field(L, t, "headers");
    if (type == LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    if (type != LUA_TTABLE)
        peri_vm_raisef(L, "bad_argument", "headers must be a table");
    int headers = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, headers)) {
        const char *name = peri_lua_text(L, -2, "the name of a header");
        for (const char *c = name; *c || c == name; c++)
            if (!isalnum((unsigned char)*c) && !strchr("!#$%&'*+-.^_`|~", *c ? *c : ' '))
                peri_vm_raisef(L, "bad_argument", "\"%s\" is no name of a header", name);
        for (const char *const *o = own; *o; o++)
            if (!strcasecmp(*o, name))
                peri_vm_raisef(L, "bad_argument", "the header %s is set by the service", name);
        if (op->header_count >= HEADERS_MAX)
            peri_vm_raisef(L, "bad_argument", "more than %d headers", HEADERS_MAX);
        set_header(L, op, name, NULL);
        struct peri_secret_text *h = &op->headers[op->header_count - 1];
        peri_lua_secret_text(L, -1, name, h);
        for (const char *c = h->text; c && *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                peri_vm_raisef(L, "bad_argument", "the header %s holds a control character", name);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void take_body(lua_State *L, struct peri_op *op, struct peri_buf *buf)
{
    if (buf->failed) {
        peri_buf_finish(buf);
        peri_vm_raisef(L, "bad_argument", "the request is larger than %u MiB", REQUEST_BYTES >> 20);
    }
    op->body = peri_buf_take(buf, &op->body_len);
}

/* Text of a part's member that becomes part of a header; NULL when it is absent. */
static const char *part_text(lua_State *L, int part, const char *key)
{
    if (field(L, part, key) == LUA_TNIL)
        return NULL;
    const char *s = peri_lua_text(L, -1, key);
    for (const char *c = s; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            peri_vm_raisef(L, "bad_argument", "the %s of a part holds a control character", key);
    return s;
}

/* Pushes the head of a part and its content: two texts, above the part. */
static void push_part(lua_State *L, int part, const char *boundary)
{
    const char *name = part_text(L, part, "name"), *file = part_text(L, part, "filename"),
               *type = part_text(L, part, "content_type");
    if (!name)
        peri_vm_raisef(L, "bad_argument", "a part is a table {name =, content =, filename =, content_type =}");
    name = luaL_gsub(L, name, "\"", "%22"); /* as browsers do it */
    file = file ? luaL_gsub(L, file, "\"", "%22") : NULL;
    lua_pushfstring(L, "--%s\r\nContent-Disposition: form-data; name=\"%s\"%s%s%s\r\n%s%s%s\r\n", boundary, name,
        file ? "; filename=\"" : "", file ? file : "", file ? "\"" : "", file || type ? "Content-Type: " : "",
        type   ? type
        : file ? "application/octet-stream"
               : "",
        file || type ? "\r\n" : "");
    lua_insert(L, part + 1);
    field(L, part, "content");
    size_t len;
    peri_lua_textn(L, -1, "the content of a part", &len);
    peri_vm_charge(L, 50 + (int64_t)len / 16);
    lua_insert(L, part + 2);
    lua_settop(L, part + 2);
    lua_remove(L, part);
}

/* A list of parts becomes op->body; everything is joined in the state's own memory. Returns the content type. */
static const char *read_multipart(lua_State *L, int list, struct peri_job *job, struct peri_op *op)
{
    char made[PERI_ULID_TEXT];
    size_t len;
    int first = lua_gettop(L) + 1;
    lua_Integer n = lua_istable(L, list) ? (lua_Integer)lua_rawlen(L, list) : 0;
    if (n < 1 || n > PARTS_MAX || peri_ulid(peri_clock_wall_ms(&job->host->options.clock), made))
        peri_vm_raisef(L, "bad_argument", "multipart must be a list of 1 to %d parts", PARTS_MAX);
    luaL_checkstack(L, 3 * PARTS_MAX + 20, "multipart");
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_rawgeti(L, list, i) != LUA_TTABLE)
            peri_vm_raisef(L, "bad_argument", "multipart must be a list of parts");
        push_part(L, lua_gettop(L), made);
        lua_pushliteral(L, "\r\n");
    }
    lua_pushfstring(L, "--%s--\r\n", made);
    lua_concat(L, lua_gettop(L) - first + 1);
    const char *body = lua_tolstring(L, -1, &len);
    if (len > REQUEST_BYTES)
        peri_vm_raisef(L, "bad_argument", "the request is larger than %u MiB", REQUEST_BYTES >> 20);
    op->body = peri_lua_dup(L, body, len);
    op->body_len = len;
    return lua_pushfstring(L, "multipart/form-data; boundary=%s", made);
}

/* body, json, form or multipart: at most one. Returns the content type it suggests. */
static const char *read_body(lua_State *L, int t, struct peri_job *job, struct peri_op *op)
{
    const char *suggested = NULL;
    struct peri_buf buf;
    int given = 0;
    if (field(L, t, "body") != LUA_TNIL) {
        size_t len;
        const char *s = peri_lua_textn(L, -1, "body", &len);
        if (len > REQUEST_BYTES)
            peri_vm_raisef(L, "bad_argument", "the request is larger than %u MiB", REQUEST_BYTES >> 20);
        op->body = peri_lua_dup(L, s, len);
        op->body_len = len;
        given++;
    }
    if (field(L, t, "json") != LUA_TNIL && ++given == 1) {
        struct peri_value *v = peri_lua_value(L, -1, "json", REQUEST_BYTES);
        peri_buf_init(&buf, REQUEST_BYTES);
        (void)!peri_json_write(&buf, v, PERI_JSON_SORTED);
        take_body(L, op, &buf);
        suggested = "application/json";
    }
    if (field(L, t, "form") != LUA_TNIL && ++given == 1) {
        struct peri_value *v = peri_lua_value(L, -1, "form", REQUEST_BYTES);
        if (!peri_value_is(v, PERI_MAP))
            peri_vm_raisef(L, "bad_argument", "form must be a table of names and values");
        peri_buf_init(&buf, REQUEST_BYTES);
        peri_form_encode(&buf, v);
        take_body(L, op, &buf);
        suggested = "application/x-www-form-urlencoded";
    }
    if (field(L, t, "multipart") != LUA_TNIL && ++given == 1)
        suggested = read_multipart(L, lua_gettop(L), job, op);
    if (given > 1)
        peri_vm_raisef(L, "bad_argument", "give one of body, json, form and multipart");
    return suggested;
}

static void read_url(lua_State *L, int t, struct peri_op *op)
{
    struct peri_buf buf;
    field(L, t, "url");
    const char *url = peri_lua_text(L, -1, "url");
    struct peri_value *query = field(L, t, "query") == LUA_TNIL ? NULL : peri_lua_value(L, -1, "query", 65536);
    if (query && !peri_value_is(query, PERI_MAP))
        peri_vm_raisef(L, "bad_argument", "query must be a table of names and values");
    peri_buf_init(&buf, 65536);
    peri_buf_puts(&buf, url);
    if (peri_value_count(query)) {
        peri_buf_putc(&buf, strchr(url, '?') ? '&' : '?');
        peri_form_encode(&buf, query);
    }
    if (buf.failed) {
        peri_buf_finish(&buf);
        peri_vm_raisef(L, "bad_argument", "the URL is too long");
    }
    op->url = peri_buf_take(&buf, NULL);
    if (!op->url)
        peri_vm_raisef(L, "out_of_memory", "out of memory");
}

static void read_method(lua_State *L, int t, struct peri_op *op)
{
    const char *method =
        field(L, t, "method") == LUA_TNIL ? (op->body ? "POST" : "GET") : peri_lua_text(L, -1, "method");
    size_t n = strlen(method);
    if (n == 0 || n > 20)
        peri_vm_raisef(L, "bad_argument", "method must be a word");
    op->method = peri_lua_dup(L, method, n);
    for (char *c = op->method; *c; c++) {
        if (!isalpha((unsigned char)*c))
            peri_vm_raisef(L, "bad_argument", "method must be a word");
        *c = (char)toupper((unsigned char)*c);
    }
}

/* tls = {cert = secret, key = secret, ca = secret or PEM}: the certificate that this request shows, and whom it
 * trusts. */
static void read_tls(lua_State *L, int t, struct peri_op *op)
{
    int type = field(L, t, "tls"), tls = lua_gettop(L);
    if (type == LUA_TNIL)
        return;
    if (type != LUA_TTABLE)
        peri_vm_raisef(L, "bad_argument", "tls must be a table {cert =, key =, ca =}");
    if (field(L, tls, "cert") != LUA_TNIL) {
        if (!peri_vm_secret_name(L, -1))
            peri_vm_raisef(L, "bad_argument", "tls.cert must be a secret, as ctx.secret gives it");
        peri_lua_secret_text(L, -1, "tls.cert", &op->cert);
        bool own_key = field(L, tls, "key") != LUA_TNIL; /* else it stands in the same text */
        if (own_key && !peri_vm_secret_name(L, -1))
            peri_vm_raisef(L, "bad_argument", "tls.key must be a secret, as ctx.secret gives it");
        if (own_key)
            peri_lua_secret_text(L, -1, "tls.key", &op->cert_key);
    }
    if (field(L, tls, "ca") != LUA_TNIL)
        peri_lua_secret_text(L, -1, "tls.ca", &op->ca);
}

static void read_rest(lua_State *L, int t, struct peri_op *op)
{
    int type = field(L, t, "timeout_ms");
    if (type != LUA_TNIL) {
        lua_Number ms = type == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
        if (!(ms >= 1 && ms <= TIMEOUT_MAX))
            peri_vm_raisef(L, "bad_argument", "timeout_ms must lie between 1 and %d", TIMEOUT_MAX);
        op->timeout_ms = (int64_t)ms;
    }
    read_tls(L, t, op);
    type = field(L, t, "auth");
    if (type == LUA_TNIL)
        return;
    if (type != LUA_TTABLE)
        peri_vm_raisef(L, "bad_argument", "auth must be a table {user =, password =}");
    int auth = lua_gettop(L);
    field(L, auth, "user");
    peri_lua_secret_text(L, -1, "auth.user", &op->user);
    field(L, auth, "password");
    peri_lua_secret_text(L, -1, "auth.password", &op->password);
}

static int send_request(lua_State *L, int t)
{
    struct peri_job *job = peri_lua_job(L);
    luaL_checkstack(L, 40, NULL);
    check_keys(L, t);
    struct peri_op *op = peri_lua_begin(L, job, PERI_OP_NONE);
    read_url(L, t, op);
    read_headers(L, t, op);
    const char *type = read_body(L, t, job, op);
    read_method(L, t, op);
    read_rest(L, t, op);
    if (type && !has_header(op, "content-type"))
        set_header(L, op, "Content-Type", type);
    peri_vm_charge(L, 500 + (int64_t)op->body_len / 16);
    op->kind = PERI_OP_HTTP;
    return peri_vm_wait(L);
}

static int http_request(lua_State *L)
{
    if (!lua_istable(L, 1))
        peri_vm_raisef(L, "bad_argument", "request must be a table {url =, ...}");
    lua_settop(L, 1);
    return send_request(L, 1);
}

/* get(url, options?) and post(url, options?): a copy of options with url and method. */
static int with_url(lua_State *L, const char *method)
{
    peri_lua_text(L, 1, "url");
    lua_settop(L, 2);
    lua_newtable(L);
    if (lua_istable(L, 2)) {
        lua_pushnil(L);
        while (lua_next(L, 2)) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, 3);
        }
    } else if (!lua_isnil(L, 2)) {
        peri_vm_raisef(L, "bad_argument", "options must be a table {headers =, query =, ...}");
    }
    lua_pushvalue(L, 1);
    lua_setfield(L, 3, "url");
    lua_pushstring(L, method);
    lua_setfield(L, 3, "method");
    return send_request(L, 3);
}

static int http_get(lua_State *L)
{
    return with_url(L, "GET");
}

static int http_post(lua_State *L)
{
    return with_url(L, "POST");
}

void peri_lua_api_http(lua_State *L, const struct peri_plugin *plugin)
{
    static const luaL_Reg functions[] = {
        {"request", http_request}, {"get", http_get}, {"post", http_post}, {NULL, NULL}};
    if (!peri_grants_any(plugin->grants, "network:outbound:"))
        return;
    lua_newtable(L);
    peri_lua_set_functions(L, functions);
    lua_setfield(L, -2, "http");
}
