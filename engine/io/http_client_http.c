/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP call: checks of the request, options, and what a failure is called. */
#include "io/http_client_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

#define DEFAULT_TIMEOUT_MS 10000
#define DEFAULT_MAX_RESPONSE (5 * 1024 * 1024)
#define URL_MAX 16384

/* Headers that say where a message ends or whom it is for are libcurl's. */
static const char *const own_headers[] = {"Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect",
    "Upgrade", "TE", "Trailer", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization"};

static bool is_token(const char *s)
{
    return *s && s[strspn(s, "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")] == '\0';
}

static bool is_value(const char *s)
{
    for (; *s; s++)
        if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7F)
            return false;
    return true;
}

static enum peri_status check_headers(const struct peri_http_send *request, struct peri_error *err)
{
    for (size_t i = 0; i < request->header_count; i++) {
        const char *name = request->headers[i].name;
        if (!is_token(name))
            return peri_error_set(err, PERI_EINVAL, "http.header", "\"%s\" is no header name", name);
        if (!is_value(request->headers[i].value))
            return peri_error_set(err, PERI_EINVAL, "http.header", "the header \"%s\" holds control characters", name);
        for (size_t k = 0; k < sizeof(own_headers) / sizeof(own_headers[0]); k++)
            if (strcasecmp(name, own_headers[k]) == 0)
                return peri_error_set(err, PERI_EINVAL, "http.header", "the header \"%s\" can not be set", name);
    }
    return PERI_OK;
}

static enum peri_status check_method(const char *method, struct peri_error *err)
{
    if (!is_token(method) || strlen(method) > 32 || strcasecmp(method, "CONNECT") == 0 ||
        strcasecmp(method, "TRACE") == 0)
        return peri_error_set(err, PERI_EINVAL, "http.method", "\"%s\" is no method that can be used", method);
    return PERI_OK;
}

static bool get_part(CURLU *parts, CURLUPart what, char *out, size_t size)
{
    char *text = NULL;
    bool good = http_curl_url_get(parts, what, &text) == CURLUE_OK && strlen(text) < size;
    if (good)
        memcpy(out, text, strlen(text) + 1);
    curl_free(text);
    return good;
}

/* The host of a URL that may be used; the reason otherwise. */
static enum peri_status check_url(const char *url, char host[256], char scheme[16], struct peri_error *err)
{
    char *user = NULL;
    CURLU *parts = curl_url();
    enum peri_status st = PERI_OK;
    if (!parts)
        return peri_error_nomem(err);
    CURLUcode rc = strlen(url) > URL_MAX ? CURLUE_MALFORMED_INPUT
                                         : curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
    if (rc != CURLUE_OK)
        st = peri_error_set(err, PERI_EINVAL, "http.url", "the URL can not be used: %s", curl_url_strerror(rc));
    else if (!get_part(parts, CURLUPART_SCHEME, scheme, 16) ||
             (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        st = peri_error_set(err, PERI_EINVAL, "http.url", "only http and https URLs can be used");
    else if (http_curl_url_get(parts, CURLUPART_USER, &user) == CURLUE_OK)
        st = peri_error_set(err, PERI_EINVAL, "http.url", "the URL must not hold a user name or password");
    else if (!get_part(parts, CURLUPART_HOST, host, 256))
        st = peri_error_set(err, PERI_EINVAL, "http.url", "the URL has no host that can be used");
    curl_free(user);
    curl_url_cleanup(parts);
    return st;
}

static bool add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *grown = line ? curl_slist_append(*list, line) : NULL;
    if (grown)
        *list = grown;
    return grown != NULL;
}

/* "name: value", or "name;" for one without. */
static char *header_line(const char *name, const char *value)
{
    size_t name_len = strlen(name), value_len = strlen(value);
    char *line = malloc(name_len + value_len + 3), *end = line + name_len;
    if (!line)
        return NULL;
    memcpy(line, name, name_len);
    memcpy(end, value_len ? ": " : ";", value_len ? 3 : 2);
    if (value_len)
        memcpy(end + 2, value, value_len + 1);
    return line;
}

static bool add_headers(struct peri_http_call *call, const struct peri_http_send *request)
{
    bool typed = false;
    for (size_t i = 0; i < request->header_count; i++) {
        const char *name = request->headers[i].name, *value = request->headers[i].value;
        char *line = header_line(name, value);
        bool good = add_line(&call->headers, line);
        if (line)
            explicit_bzero(line, strlen(line));
        free(line);
        if (!good)
            return false;
        typed |= strcasecmp(name, "Content-Type") == 0;
    }
    /* libcurl would wait a second for 100 Continue, and call a body without type a form. */
    return add_line(&call->headers, "Expect:") && (typed || add_line(&call->headers, "Content-Type:"));
}

static void set_method(struct peri_http_call *call, const struct peri_http_send *request)
{
    const char *method = request->method;
    bool has_body = request->body_len > 0 || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
                    strcmp(method, "PATCH") == 0;
    call->repeatable = strcmp(method, "HEAD") == 0 || strcmp(method, "GET") == 0;
    if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(call->easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (has_body) {
        curl_easy_setopt(call->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, call->body);
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
    } else {
        curl_easy_setopt(call->easy, CURLOPT_HTTPGET, 1L);
    }
    /* A custom method would be kept by the redirects that turn POST into GET. */
    if (strcmp(method, has_body ? "POST" : "GET") != 0)
        curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, method);
}

static bool set_blob(CURL *easy, CURLoption option, const char *pem)
{
    struct curl_blob blob = {.data = (void *)(uintptr_t)pem, .len = strlen(pem), .flags = CURL_BLOB_COPY};
    return curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

/* A connection with a certificate is nobody else's. */
static bool set_certificates(CURL *easy, const struct peri_http_send *request)
{
    bool good = true;
    if (request->cert || request->ca) {
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }
    if (request->cert)
        good = set_blob(easy, CURLOPT_SSLCERT_BLOB, request->cert) &&
               set_blob(easy, CURLOPT_SSLKEY_BLOB, request->key ? request->key : request->cert);
    if (request->ca)
        good = good && set_blob(easy, CURLOPT_CAINFO_BLOB, request->ca);
    return good;
}

static bool set_options(struct peri_http_call *call, const struct peri_http_send *request, const char *scheme)
{
    CURL *easy = call->easy;
    call->body = calloc(1, request->body_len + 1);
    if (!call->body || !add_headers(call, request))
        return false;
    if (request->body_len)
        memcpy(call->body, request->body, request->body_len);
    call->body_len = request->body_len;
    set_method(call, request);
    bool good = curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_USERAGENT,
                request->user_agent ? request->user_agent : "perigee/" PERIGEE_VERSION) == CURLE_OK;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    /* What began encrypted stays so. */
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, strcmp(scheme, "https") == 0 ? "https" : "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, request->max_redirects > 0 ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)(request->max_redirects > 0 ? request->max_redirects : 0));
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    good &= set_certificates(easy, request);
    if (request->user) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        good &= curl_easy_setopt(easy, CURLOPT_USERNAME, request->user) == CURLE_OK;
        good &= curl_easy_setopt(easy, CURLOPT_PASSWORD, request->password ? request->password : "") == CURLE_OK;
    }
    return good;
}

enum peri_status peri_http_client_send(struct peri_http_client *client, const struct peri_http_send *request,
    peri_http_done done, void *arg, struct peri_http_call **ret_call, struct peri_error *err)
{
    char host[256], scheme[16];
    struct peri_http_call *call = NULL;
    enum peri_status st = check_method(request->method, err);
    if (st == PERI_OK)
        st = check_headers(request, err);
    if (st == PERI_OK)
        st = http_curl_load(err);
    if (st == PERI_OK)
        st = check_url(request->url, host, scheme, err);
    if (st == PERI_OK)
        st = http_call_new(client, host, false, NULL, &call, err);
    if (st)
        return st;
    call->done = done;
    call->arg = arg;
    call->allow = request->allow;
    call->allow_ctx = request->allow_ctx;
    call->timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : DEFAULT_TIMEOUT_MS;
    call->redirects = request->max_redirects > 0;
    call->keeps = request->user || request->cert || request->ca;
    call->max_response = request->max_response ? request->max_response : DEFAULT_MAX_RESPONSE;
    peri_buf_init(&call->response, call->max_response);
    if (!set_options(call, request, scheme)) {
        http_call_free(call);
        return peri_error_nomem(err);
    }
    if (http_call_answer(call, request) != PERI_OK) {
        http_call_free(call);
        return peri_error_nomem(err);
    }
    st = http_call_submit(call, err);
    if (st == PERI_OK && ret_call)
        *ret_call = call;
    return st;
}

/* ---- failures ---- */

static const struct {
    CURLcode rc;
    enum peri_status status;
    const char *code;
    bool retryable;
} failures[] = {
    {CURLE_COULDNT_RESOLVE_HOST, PERI_EIO, "http.dns", true},
    {CURLE_COULDNT_CONNECT, PERI_EIO, "http.connect", true},
    {CURLE_INTERFACE_FAILED, PERI_EIO, "http.connect", true},
    {CURLE_OPERATION_TIMEDOUT, PERI_ETIMEOUT, "http.timeout", true},
    {CURLE_SSL_CONNECT_ERROR, PERI_EIO, "http.tls", true},
    {CURLE_PEER_FAILED_VERIFICATION, PERI_EIO, "http.tls", false},
    {CURLE_SSL_CERTPROBLEM, PERI_EIO, "http.tls", false},
    {CURLE_SSL_CIPHER, PERI_EIO, "http.tls", false},
    {CURLE_SSL_CACERT_BADFILE, PERI_EIO, "http.tls", false},
    {CURLE_SSL_ENGINE_INITFAILED, PERI_EIO, "http.tls", false},
    {CURLE_UNSUPPORTED_PROTOCOL, PERI_EINVAL, "http.url", false},
    {CURLE_URL_MALFORMAT, PERI_EINVAL, "http.url", false},
    {CURLE_LOGIN_DENIED, PERI_EINVAL, "http.url", false}, /* a redirect to a URL with a user name */
    {CURLE_TOO_MANY_REDIRECTS, PERI_EIO, "http.protocol", false},
    {CURLE_SEND_ERROR, PERI_EIO, "http.protocol", true},
    {CURLE_RECV_ERROR, PERI_EIO, "http.protocol", true},
    {CURLE_GOT_NOTHING, PERI_EIO, "http.protocol", true},
    {CURLE_PARTIAL_FILE, PERI_EIO, "http.protocol", true},
    {CURLE_OUT_OF_MEMORY, PERI_ENOMEM, NULL, true},
};

enum peri_status http_call_error(struct peri_http_call *call, CURLcode rc, struct peri_error *err)
{
    const char *text = call->text[0] ? call->text : curl_easy_strerror(rc);
    if (call->unanswered) {
        rc = CURLE_GOT_NOTHING;
        text = "the connection ended before the answer";
    }
    if (call->too_large) {
        peri_error_set(err, PERI_ELIMIT, "http.too_large",
            "the answer of \"%s\" is larger than %zu bytes, or its headers than 64 KiB", call->url_host,
            call->max_response);
        err->outcome_unknown = true;
        return PERI_ELIMIT;
    }
    enum peri_status st = PERI_EIO;
    const char *code = "http.protocol";
    bool retryable = false;
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        if (failures[i].rc == rc) {
            st = failures[i].status;
            code = failures[i].code;
            retryable = failures[i].retryable;
        }
    }
    peri_error_set(err, st, code, "%s: %s", call->url_host, text);
    err->retryable = retryable;
    err->outcome_unknown = call->connected;
    return st;
}
