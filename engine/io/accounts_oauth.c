/* SPDX-License-Identifier: Apache-2.0 */
#include "io/accounts_oauth.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/id.h"
#include "base/str.h"
#include "data/json.h"

#define TEXT_MAX 200                                             /* of what a provider says about an error */
#define LIFE_MAX_MS (10LL * 365 * 24 * 3600 * 1000)              /* longer ones are not believed */
#define REQUEST_MAX ((size_t)3 * (PERI_OAUTH_TOKEN_MAX + 65536)) /* percent-encoded */

static int hex(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* 32 bytes as 43 characters. */
static void base64url(const unsigned char bytes[32], char out[PERI_OAUTH_RANDOM + 1])
{
    struct peri_buf buf;
    peri_buf_init(&buf, 64);
    (void)!peri_base64_encode(&buf, bytes, 32);
    snprintf(out, PERI_OAUTH_RANDOM + 1, "%s", peri_buf_text(&buf)); /* without the padding */
    if (buf.data)
        explicit_bzero(buf.data, buf.len);
    peri_buf_finish(&buf);
    for (char *c = out; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
}

enum peri_status peri_oauth_random(char out[PERI_OAUTH_RANDOM + 1], struct peri_error *err)
{
    unsigned char bytes[32];
    if (peri_random(bytes, sizeof(bytes)))
        return peri_error_set(err, PERI_EIO, NULL, "the system has no random numbers");
    base64url(bytes, out);
    explicit_bzero(bytes, sizeof(bytes));
    return strlen(out) == PERI_OAUTH_RANDOM ? PERI_OK : peri_error_nomem(err);
}

void peri_oauth_challenge(const char *verifier, char out[PERI_OAUTH_RANDOM + 1])
{
    char digits[65];
    unsigned char bytes[32];
    peri_sha256_hex(verifier, strlen(verifier), digits);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(hex(digits[2 * i]) * 16 + hex(digits[2 * i + 1]));
    base64url(bytes, out);
}

void peri_oauth_encode(struct peri_buf *out, const char *text, bool plus)
{
    for (; text && *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x80 && (isalnum(c) || strchr("-._~", c)))
            (void)peri_buf_putc(out, (char)c);
        else if (c == ' ' && plus)
            (void)peri_buf_putc(out, '+');
        else
            (void)peri_buf_printf(out, "%%%02X", c);
    }
}

/* The content of a buffer that held secrets; nothing of it stays behind. NULL: memory is out. */
static char *take_secret(struct peri_buf *buf)
{
    char *text = buf->failed ? NULL : peri_buf_take(buf, NULL);
    if (buf->data)
        explicit_bzero(buf->data, buf->len);
    peri_buf_finish(buf);
    return text;
}

char *peri_oauth_basic(const char *client_id, const char *client_secret)
{
    struct peri_buf plain, out;
    peri_buf_init(&plain, REQUEST_MAX);
    peri_buf_init(&out, 2 * REQUEST_MAX);
    peri_oauth_encode(&plain, client_id, true);
    (void)peri_buf_putc(&plain, ':');
    peri_oauth_encode(&plain, client_secret, true);
    (void)peri_buf_puts(&out, "Basic ");
    if (plain.failed)
        out.failed = plain.failed;
    else
        (void)!peri_base64_encode(&out, plain.data, plain.len);
    if (plain.data)
        explicit_bzero(plain.data, plain.len);
    peri_buf_finish(&plain);
    return take_secret(&out);
}

/* --- the page --- */

static void pair(struct peri_buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    char last = out->len ? out->data[out->len - 1] : '?';
    if (last != '?' && last != '&')
        (void)peri_buf_putc(out, '&');
    peri_oauth_encode(out, name, false);
    (void)peri_buf_putc(out, '=');
    peri_oauth_encode(out, value, false);
}

static char *join_scopes(const struct peri_value *provider)
{
    const struct peri_value *scopes = peri_map_at(provider, "scopes");
    const char *separator = peri_map_text(provider, "scope_separator");
    struct peri_buf out;
    peri_buf_init(&out, 16384);
    for (size_t i = 0; i < peri_value_count(scopes); i++)
        (void)peri_buf_printf(
            &out, "%s%s", i ? (separator ? separator : " ") : "", peri_value_text(peri_list_at(scopes, i)));
    return take_secret(&out);
}

char *peri_oauth_authorize_url(
    const struct peri_value *provider, const char *redirect_uri, const char *state, const char *verifier)
{
    const struct peri_value *more = peri_map_at(provider, "authorize_params");
    const char *url = peri_map_text(provider, "authorize_url");
    char *scopes = join_scopes(provider), challenge[PERI_OAUTH_RANDOM + 1];
    struct peri_buf out;
    peri_buf_init(&out, 32768);
    (void)peri_buf_puts(&out, url);
    if (!strchr(url, '?'))
        (void)peri_buf_putc(&out, '?');
    pair(&out, "response_type", "code");
    pair(&out, "client_id", peri_map_text(provider, "client_id"));
    pair(&out, "redirect_uri", redirect_uri);
    if (scopes && *scopes)
        pair(&out, "scope", scopes);
    pair(&out, "state", state);
    if (peri_streq(peri_map_text(provider, "pkce"), "S256")) {
        peri_oauth_challenge(verifier, challenge);
        pair(&out, "code_challenge", challenge);
        pair(&out, "code_challenge_method", "S256");
    }
    for (void *it = peri_map_first(more); it; it = peri_map_next(more, it))
        pair(&out, peri_map_key(it, NULL), peri_value_text(peri_map_item(it)));
    char *text = scopes ? take_secret(&out) : NULL;
    if (!scopes)
        peri_buf_finish(&out);
    free(scopes);
    return text;
}

/* --- requests --- */

static void put(struct peri_buf *out, bool json, const char *name, const char *value)
{
    if (!value)
        return;
    if (!json) {
        pair(out, name, value);
        return;
    }
    (void)peri_buf_puts(out, out->len > 1 ? "," : "");
    (void)peri_json_write_string(out, name, strlen(name));
    (void)peri_buf_putc(out, ':');
    (void)peri_json_write_string(out, value, strlen(value));
}

enum peri_status peri_oauth_request(const struct peri_value *provider, const struct peri_oauth_request *r,
    char **ret_body, char **ret_authorization, struct peri_error *err)
{
    const struct peri_value *more = peri_map_at(provider, "token_params");
    const char *id = peri_map_text(provider, "client_id"), *auth = peri_map_text(provider, "token_auth");
    bool json = peri_streq(peri_map_text(provider, "token_format"), "json"), basic = peri_streq(auth, "basic");
    struct peri_buf out;
    peri_buf_init(&out, REQUEST_MAX);
    (void)peri_buf_puts(&out, json ? "{" : "");
    put(&out, json, "grant_type", r->grant_type);
    put(&out, json, "code", r->code);
    put(&out, json, "redirect_uri", r->redirect_uri);
    put(&out, json, "code_verifier", r->verifier);
    put(&out, json, "refresh_token", r->refresh_token);
    put(&out, json, "token", r->token);
    put(&out, json, "token_type_hint", r->token_type_hint);
    if (!basic)
        put(&out, json, "client_id", id);
    if (!basic && !peri_streq(auth, "none"))
        put(&out, json, "client_secret", r->client_secret);
    for (void *it = peri_map_first(more); r->grant_type && it; it = peri_map_next(more, it))
        put(&out, json, peri_map_key(it, NULL), peri_value_text(peri_map_item(it)));
    (void)peri_buf_puts(&out, json ? "}" : "");
    char *body = take_secret(&out), *header = basic ? peri_oauth_basic(id, r->client_secret) : NULL;
    if (body && (header || !basic)) {
        *ret_body = body;
        *ret_authorization = header;
        return PERI_OK;
    }
    free(body);
    free(header);
    return peri_error_nomem(err);
}

/* --- answers --- */

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void peri_oauth_tokens_finish(struct peri_oauth_tokens *t)
{
    wipe(t->access);
    wipe(t->refresh);
    free(t->scope);
    free(t->user);
    memset(t, 0, sizeof(*t));
}

void peri_oauth_word(const char *text, char *out, size_t size)
{
    size_t n = text ? strlen(text) : 0;
    bool good = n > 0 && n < size && n <= 60;
    for (size_t i = 0; good && i < n; i++)
        good = (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z') ||
               (text[i] >= '0' && text[i] <= '9') || strchr("_-.", text[i]);
    snprintf(out, size, "%s", good ? text : "other");
}

/* What goes into a header: visible ASCII. */
static bool is_token(const struct peri_value *v)
{
    size_t len = 0;
    const char *text = peri_value_textn(v, &len);
    for (size_t i = 0; text && i < len; i++)
        if (text[i] < 0x21 || text[i] > 0x7e)
            return false;
    return text && len > 0 && len <= PERI_OAUTH_TOKEN_MAX;
}

/* The value at a JSON pointer of plain names. */
static const struct peri_value *at_pointer(const struct peri_value *v, const char *pointer)
{
    while (v && pointer && *pointer == '/') {
        size_t n = strcspn(pointer + 1, "/");
        v = peri_map_atn(v, pointer + 1, n);
        pointer += 1 + n;
    }
    return v;
}

static char *short_text(const char *text)
{
    char *copy = text ? peri_strndup(text, strnlen(text, TEXT_MAX)) : NULL;
    if (copy)
        peri_text_make_plain(copy); /* also what the cut left of a character */
    return copy;
}

/* The forms in which providers say no. NULL: it did not. */
static const char *refusal(const struct peri_value *doc, const char **ret_text)
{
    const struct peri_value *first = peri_list_at(peri_map_at(doc, "errors"), 0);
    const char *error = peri_map_text(doc, "error");
    *ret_text = peri_map_text(doc, "error_description");
    if (error)
        return error;
    if (peri_map_text(first, "errorType")) { /* {"errors": [{"errorType", "message"}]} */
        *ret_text = peri_map_text(first, "message");
        return peri_map_text(first, "errorType");
    }
    if (peri_map_text(doc, "code") && peri_map_text(doc, "message")) { /* {"code", "message"} */
        *ret_text = peri_map_text(doc, "message");
        return peri_map_text(doc, "code");
    }
    return peri_map_at(doc, "error") || peri_map_at(doc, "errors") ? "other" : NULL;
}

static enum peri_status refused(const char *error, const char *text, struct peri_error *err)
{
    char word[PERI_ERROR_CODE_MAX], *told = short_text(text);
    peri_oauth_word(error, word, sizeof(word));
    peri_error_set(err, PERI_EDENIED, word, "%s%s%s%s", word, told && *told ? " (" : "", told ? told : "",
        told && *told ? ")" : "");
    free(told);
    return PERI_EDENIED;
}

static enum peri_status senseless(int status, const char *what, struct peri_error *err)
{
    peri_error_set(err, PERI_EIO, "answer", "the provider answered %d with %s", status, what);
    if (err)
        err->retryable = status == 408 || status == 425 || status == 429 || status >= 500;
    return PERI_EIO;
}

/* expires_in: a number, or a number in a text. */
static int64_t life_of(const struct peri_value *doc)
{
    const struct peri_value *v = peri_map_at(doc, "expires_in");
    long long n = 0;
    double seconds = -1;
    if (peri_value_is_number(v))
        seconds = peri_value_as_real(v);
    else if (peri_value_text(v) && peri_parse_i64(peri_value_text(v), &n))
        seconds = (double)n;
    if (!(seconds > 0))
        return -1;
    return seconds * 1000 > (double)LIFE_MAX_MS ? LIFE_MAX_MS : (int64_t)(seconds * 1000);
}

static enum peri_status read_tokens(const struct peri_value *provider, const struct peri_value *doc,
    struct peri_oauth_tokens *ret, struct peri_error *err)
{
    static const char *const types[] = {"bearer", "bot", "user", NULL};
    const char *access = peri_map_text(doc, "access_token"), *refresh = peri_map_text(doc, "refresh_token"),
               *type = peri_map_text(doc, "token_type"), *const *t = types;
    const struct peri_value *user = at_pointer(doc, peri_map_text(provider, "label_from"));
    while (type && *t && strcasecmp(*t, type) != 0)
        t++;
    if (!is_token(peri_map_at(doc, "access_token")) || (refresh && !is_token(peri_map_at(doc, "refresh_token"))))
        return senseless(200, access ? "a token that cannot be used" : "no access_token", err);
    if (!*t)
        return senseless(200, "a token_type other than Bearer", err);
    *ret = (struct peri_oauth_tokens){.access = peri_strdup(access),
        .refresh = peri_strdup(refresh),
        .scope = peri_strdup(peri_map_text(doc, "scope")),
        .life_ms = life_of(doc)};
    if (peri_map_text(provider, "label_from"))
        ret->user = short_text(peri_value_text(user));
    if (ret->access && (ret->refresh || !refresh))
        return PERI_OK;
    peri_oauth_tokens_finish(ret);
    return peri_error_nomem(err);
}

enum peri_status peri_oauth_answer(const struct peri_value *provider, int status, const char *body, size_t len,
    struct peri_oauth_tokens *ret, struct peri_error *err)
{
    struct peri_value *doc = NULL;
    const char *text = NULL, *no;
    enum peri_status st;
    if (len > PERI_OAUTH_ANSWER_MAX)
        return senseless(status, "more than can be read", err);
    if (peri_json_parse(body, len, &doc, NULL) || !peri_value_is(doc, PERI_MAP))
        st = senseless(status, "what is no JSON object", err);
    else if (status < 500 && status != 408 && status != 429 && (no = refusal(doc, &text)))
        st = refused(no, text, err);
    else if (status < 200 || status > 299)
        st = senseless(status, "an error that it does not name", err);
    else
        st = read_tokens(provider, doc, ret, err);
    peri_value_unref(doc);
    return st;
}
