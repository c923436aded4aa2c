/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of plugins in C: a value becomes the job's operation, as lua_api_http.c makes one of a table. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "plugin/form.h"
#include "plugin/grants.h"
#include "plugin/native_call.h"

#define REQUEST_BYTES (1u << 20)
#define HEADERS_MAX 100
#define TIMEOUT_MAX 60000

static enum peri_status wrong(struct peri_error *err, const char *what)
{
    return peri_error_set(err, PERI_EINVAL, "bad_argument", "%s", what);
}

/* --- secrets --- */

/* Values from outside are at most 64 deep. */
static bool names(const struct peri_value *v, const char *secret)
{
    const char *own = peri_map_text(v, "$secret");
    if (own && !strcmp(own, secret))
        return true;
    for (void *it = peri_value_is(v, PERI_MAP) ? peri_map_first(v) : NULL; it; it = peri_map_next(v, it))
        if (names(peri_map_item(it), secret))
            return true;
    for (size_t i = 0; peri_value_is(v, PERI_LIST) && i < peri_value_count(v); i++)
        if (names(peri_list_at(v, i), secret))
            return true;
    return false;
}

/* One of the plugin's settings, of the rule's parameters, or one that the manifest names and the policy grants. */
static bool may_use(struct peri_job *job, const char *secret)
{
    const struct peri_value *list = peri_map_at(job->plugin->manifest->source, "mtlsSecrets");
    if (names(job->plugin->config, secret) || names(job->params, secret))
        return true;
    for (size_t i = 0; i < peri_value_count(list); i++)
        if (peri_streq(peri_value_text(peri_list_at(list, i)), secret))
            return peri_grants_uses(job->plugin->grants, "secrets:mtls");
    return false;
}

enum peri_status peri_native_secrets_ok(struct peri_job *job, const struct peri_value *v, struct peri_error *err)
{
    const char *secret = peri_map_text(v, "$secret");
    enum peri_status st = PERI_OK;
    if (secret && !may_use(job, secret))
        return peri_job_denied(job, "secret:", secret, err);
    for (void *it = peri_value_is(v, PERI_MAP) ? peri_map_first(v) : NULL; !st && it; it = peri_map_next(v, it))
        st = peri_native_secrets_ok(job, peri_map_item(it), err);
    for (size_t i = 0; !st && peri_value_is(v, PERI_LIST) && i < peri_value_count(v); i++)
        st = peri_native_secrets_ok(job, peri_list_at(v, i), err);
    return st;
}

/* A text, or {"$secret": name, prefix?}. */
static enum peri_status read_text(struct peri_job *job, const struct peri_value *v, const char *what,
    struct peri_secret_text *ret, struct peri_error *err)
{
    const char *secret = peri_map_text(v, "$secret"), *text = secret ? peri_map_text(v, "prefix") : peri_value_text(v);
    if (!secret && !text)
        return peri_error_set(err, PERI_EINVAL, "bad_argument", "%s must be a text or a secret", what);
    if (secret && !may_use(job, secret))
        return peri_job_denied(job, "secret:", secret, err);
    for (const char *c = text; c && *c; c++)
        if (((unsigned char)*c < 0x20 && *c != '\n' && *c != '\r') || *c == 0x7f)
            return peri_error_set(err, PERI_EINVAL, "bad_argument", "%s holds a control character", what);
    ret->text = peri_strdup(text ? text : "");
    ret->secret = peri_strdup(secret);
    return !ret->text || (secret && !ret->secret) ? peri_error_nomem(err) : PERI_OK;
}

/* --- headers --- */

static enum peri_status check_name(const char *name, struct peri_error *err)
{
    static const char *const own[] = {"host", "content-length", "transfer-encoding", "connection", "user-agent", NULL};
    if (!*name)
        return wrong(err, "a header has no name");
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("!#$%&'*+-.^_`|~", *c))
            return peri_error_set(err, PERI_EINVAL, "bad_argument", "\"%s\" is no name of a header", name);
    for (const char *const *o = own; *o; o++)
        if (!strcasecmp(*o, name))
            return peri_error_set(err, PERI_EINVAL, "bad_argument", "the header %s is set by the service", name);
    return PERI_OK;
}

static enum peri_status add_header(
    struct peri_job *job, const char *name, const struct peri_value *v, struct peri_error *err)
{
    struct peri_op *op = &job->op;
    enum peri_status st = check_name(name, err);
    if (!st && op->header_count >= HEADERS_MAX)
        st = wrong(err, "too many headers");
    if (!st && !peri_vec_grow(&op->headers, &op->header_cap, op->header_count + 1, sizeof(*op->headers)))
        st = peri_error_nomem(err);
    if (st)
        return st;
    struct peri_secret_text *h = &op->headers[op->header_count++];
    memset(h, 0, sizeof(*h));
    h->name = peri_strdup(name);
    st = h->name ? read_text(job, v, "the value of a header", h, err) : peri_error_nomem(err);
    if (!st && h->text[strcspn(h->text, "\r\n")])
        st = wrong(err, "a header holds a control character");
    return st;
}

static bool has_header(const struct peri_op *op, const char *name)
{
    for (size_t i = 0; i < op->header_count; i++)
        if (!strcasecmp(op->headers[i].name, name))
            return true;
    return false;
}

/* --- body --- */

static enum peri_status read_body(
    struct peri_op *op, const struct peri_value *request, const char **ret_type, struct peri_error *err)
{
    const struct peri_value *json = peri_map_at(request, "json"), *form = peri_map_at(request, "form"),
                            *body = peri_map_at(request, "body"), *coded = peri_map_at(request, "body_base64");
    struct peri_buf buf;
    size_t len = 0;
    if ((json != NULL) + (form != NULL) + (body != NULL) + (coded != NULL) > 1)
        return wrong(err, "give one of body, body_base64, json and form");
    if ((body && !peri_value_is(body, PERI_STRING)) || (coded && !peri_value_is(coded, PERI_STRING)) ||
        (form && !peri_value_is(form, PERI_MAP)))
        return wrong(err, "body and body_base64 are texts, form is a map");
    if (coded) {
        const char *text = peri_value_textn(coded, &len);
        enum peri_status st = peri_base64_decode(text, len, &op->body, &op->body_len);
        return st == PERI_EINVAL ? wrong(err, "body_base64 is no base64") : st ? peri_error_nomem(err) : PERI_OK;
    }
    peri_buf_init(&buf, REQUEST_BYTES);
    if (body) {
        const char *text = peri_value_textn(body, &len);
        (void)!peri_buf_append(&buf, text, len);
    } else if (json) {
        (void)!peri_json_write(&buf, json, PERI_JSON_SORTED);
        *ret_type = "application/json";
    } else if (form) {
        peri_form_encode(&buf, form);
        *ret_type = "application/x-www-form-urlencoded";
    }
    bool bad = buf.failed != PERI_OK;
    if (!bad && (body || json || form))
        op->body = peri_buf_take(&buf, &op->body_len);
    peri_buf_finish(&buf);
    return bad ? wrong(err, "the request is larger than 1 MiB") : PERI_OK;
}

static enum peri_status read_url(struct peri_op *op, const struct peri_value *request, struct peri_error *err)
{
    const char *url = peri_map_text(request, "url");
    const struct peri_value *query = peri_map_at(request, "query");
    struct peri_buf buf;
    if (!url || (query && !peri_value_is(query, PERI_MAP)))
        return wrong(err, "a request needs a url; query is a map");
    peri_buf_init(&buf, 65536);
    (void)!peri_buf_puts(&buf, url);
    if (peri_value_count(query)) {
        (void)!peri_buf_putc(&buf, strchr(url, '?') ? '&' : '?');
        peri_form_encode(&buf, query);
    }
    op->url = buf.failed ? NULL : peri_buf_take(&buf, NULL);
    peri_buf_finish(&buf);
    return op->url ? PERI_OK : wrong(err, "the url is too long");
}

static enum peri_status read_method(struct peri_op *op, const struct peri_value *request, struct peri_error *err)
{
    const char *method = peri_map_text(request, "method");
    op->method = peri_strdup(method ? method : op->body ? "POST" : "GET");
    if (!op->method)
        return peri_error_nomem(err);
    size_t n = strlen(op->method);
    for (char *c = op->method; *c; c++) {
        if (!isalpha((unsigned char)*c))
            return wrong(err, "method must be a word");
        *c = (char)toupper((unsigned char)*c);
    }
    return n == 0 || n > 20 ? wrong(err, "method must be a word") : PERI_OK;
}

/* auth: {user, password}; tls: {cert, key, ca}, of which cert and key are secrets. */
static enum peri_status read_rest(struct peri_job *job, const struct peri_value *request, struct peri_error *err)
{
    struct peri_op *op = &job->op;
    const struct peri_value *auth = peri_map_at(request, "auth"), *tls = peri_map_at(request, "tls");
    int64_t timeout = peri_map_int(request, "timeout_ms", 0);
    enum peri_status st = PERI_OK;
    if (timeout < 0 || timeout > TIMEOUT_MAX)
        return wrong(err, "timeout_ms must lie between 1 and 60000");
    op->timeout_ms = timeout;
    if (auth)
        st = read_text(job, peri_map_at(auth, "user"), "auth.user", &op->user, err);
    if (!st && auth)
        st = read_text(job, peri_map_at(auth, "password"), "auth.password", &op->password, err);
    if (!st && peri_map_at(tls, "cert")) {
        st = read_text(job, peri_map_at(tls, "cert"), "tls.cert", &op->cert, err);
        if (!st && peri_map_at(tls, "key"))
            st = read_text(job, peri_map_at(tls, "key"), "tls.key", &op->cert_key, err);
        if (!st && (!op->cert.secret || (peri_map_at(tls, "key") && !op->cert_key.secret)))
            st = wrong(err, "tls.cert and tls.key must be secrets");
    }
    if (!st && peri_map_at(tls, "ca"))
        st = read_text(job, peri_map_at(tls, "ca"), "tls.ca", &op->ca, err);
    return st;
}

static enum peri_status check_keys(const struct peri_value *request, struct peri_error *err)
{
    static const char *const known[] = {
        "method", "url", "headers", "body", "body_base64", "json", "form", "query", "timeout_ms", "auth", "tls", NULL};
    if (!peri_value_is(request, PERI_MAP))
        return wrong(err, "a request is a map {url, ...}");
    for (void *it = peri_map_first(request); it; it = peri_map_next(request, it)) {
        const char *const *k = known, *key = peri_map_key(it, NULL);
        while (*k && strcmp(*k, key))
            k++;
        if (!*k)
            return peri_error_set(err, PERI_EINVAL, "bad_argument", "unknown key \"%s\" in a request", key);
    }
    return PERI_OK;
}

enum peri_status peri_native_request(struct peri_job *job, const struct peri_value *request, struct peri_error *err)
{
    struct peri_op *op = &job->op;
    const struct peri_value *headers = peri_map_at(request, "headers");
    const char *type = NULL;
    enum peri_status st = check_keys(request, err);
    if (!st && !peri_grants_any(job->plugin->grants, "network:outbound:"))
        st = peri_job_denied(job, "network:outbound:", "<host>", err);
    if (!st)
        st = read_url(op, request, err);
    if (!st && headers && !peri_value_is(headers, PERI_MAP))
        st = wrong(err, "headers is a map");
    for (void *it = peri_map_first(headers); !st && it; it = peri_map_next(headers, it))
        st = add_header(job, peri_map_key(it, NULL), peri_map_item(it), err);
    if (!st)
        st = read_body(op, request, &type, err);
    if (!st)
        st = read_method(op, request, err);
    if (!st)
        st = read_rest(job, request, err);
    if (!st && type && !has_header(op, "content-type")) {
        struct peri_value *v = peri_value_str(type);
        st = v ? add_header(job, "Content-Type", v, err) : peri_error_nomem(err);
        peri_value_unref(v);
    }
    if (!st)
        op->kind = PERI_OP_HTTP;
    return st;
}

/* --- what comes back --- */

/* As text where it is one, else in base64. */
static enum peri_status put_body(struct peri_value *v, const char *body, size_t len)
{
    struct peri_value *text = peri_value_strn(body ? body : "", len);
    struct peri_buf buf;
    if (text)
        return peri_map_put(v, "body", text);
    peri_buf_init(&buf, 2 * PERI_HOST_BODY_BYTES);
    enum peri_status st = peri_base64_encode(&buf, body, len);
    if (!st)
        st = peri_map_put_text(v, "body_base64", peri_buf_text(&buf));
    peri_buf_finish(&buf);
    return st;
}

struct peri_value *peri_native_response(const struct peri_op *op)
{
    struct peri_value *v = peri_value_map();
    enum peri_status st = v ? peri_map_put_int(v, "status", op->status) : PERI_ENOMEM;
    if (!st)
        st = op->answer ? peri_map_put_ref(v, "headers", op->answer) : peri_map_put(v, "headers", peri_value_map());
    if (!st)
        st = put_body(v, op->text, op->text_len);
    if (!st)
        return v;
    peri_value_unref(v);
    return NULL;
}

static bool is_json(const char *type)
{
    size_t n = type ? strcspn(type, "; \t") : 0;
    return (n == 16 && !strncasecmp(type, "application/json", n)) || (n > 5 && !strncasecmp(type + n - 5, "+json", 5));
}

struct peri_value *peri_native_web_request(const struct peri_web_copy *web)
{
    struct peri_value *v = peri_value_map(), *headers = peri_value_map(), *json = NULL;
    const char *type = NULL;
    enum peri_status st = v && headers ? PERI_OK : PERI_ENOMEM;
    for (size_t i = 0; !st && i < web->header_count; i++) {
        struct peri_value *text = peri_value_str(web->headers[i].value);
        if (text) /* one that is not UTF-8 is left out */
            st = peri_map_put(headers, web->headers[i].name, text);
        if (!strcmp(web->headers[i].name, "content-type"))
            type = web->headers[i].value;
    }
    const char *const texts[][2] = {{"method", web->method}, {"path", web->path}, {"url", web->url},
        {"query_string", web->query}, {"remote", web->remote}};
    for (size_t i = 0; !st && i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct peri_value *text = peri_value_str(texts[i][1]);
        if (text)
            st = peri_map_put(v, texts[i][0], text);
    }
    if (!st)
        st = peri_map_put_ref(v, "headers", headers);
    if (!st)
        st = put_body(v, web->body, web->body_len);
    if (!st && is_json(type) && !peri_json_parse(web->body, web->body_len, &json, NULL))
        st = peri_map_put_ref(v, "json", json);
    peri_value_unref(json);
    peri_value_unref(headers);
    if (!st)
        return v;
    peri_value_unref(v);
    return NULL;
}
