/* SPDX-License-Identifier: Apache-2.0 */
/* Who is calling: tokens and signatures, compared in the time that their length takes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/hooks.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/str.h"

#define SIGNATURES_MAX 8 /* in one header: keys that are being replaced */

const char *peri_hook_header(const struct peri_webhook_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* malloc'ed. */
static char *decode(const char *text, size_t len)
{
    char *out = malloc(len + 1), *at = out;
    for (size_t i = 0; out && i < len; i++) {
        bool escaped = text[i] == '%' && i + 2 < len && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0;
        *at++ = escaped ? (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])) : text[i] == '+' ? ' ' : text[i];
        i += escaped ? 2 : 0;
    }
    if (out)
        *at = '\0';
    return out;
}

/* The next field from *at on; false behind the last. Both malloc'ed; NULL when memory is out. */
static bool next_field(const char **at, const char *end, char **ret_name, char **ret_value)
{
    while (*at < end && **at == '&')
        (*at)++;
    if (*at >= end)
        return false;
    const char *stop = memchr(*at, '&', (size_t)(end - *at));
    stop = stop ? stop : end;
    const char *equals = memchr(*at, '=', (size_t)(stop - *at)), *name_end = equals ? equals : stop;
    *ret_name = decode(*at, (size_t)(name_end - *at));
    *ret_value = decode(equals ? equals + 1 : stop, equals ? (size_t)(stop - equals - 1) : 0);
    *at = stop;
    return true;
}

char *peri_hook_field(const char *text, size_t len, const char *name)
{
    const char *at = text, *end = text + len;
    char *field, *value, *found = NULL;
    while (!found && next_field(&at, end, &field, &value)) {
        if (field && peri_streq(field, name)) {
            found = value;
            value = NULL;
        }
        free(field);
        free(value);
    }
    return found;
}

struct peri_value *peri_hook_fields(const char *text, size_t len)
{
    struct peri_value *map = peri_value_map();
    const char *at = text, *end = text + len;
    char *name, *value;
    bool good = map != NULL;
    while (good && next_field(&at, end, &name, &value)) {
        bool utf8 =
            name && value && peri_utf8_valid(name, strlen(name), NULL) && peri_utf8_valid(value, strlen(value), NULL);
        good = name && value && (!utf8 || !*name || peri_map_put_text(map, name, value) == PERI_OK);
        free(name);
        free(value);
    }
    if (good)
        return map;
    peri_value_unref(map);
    return NULL;
}

/* ---- signatures ---- */

/* The signature as it would be written; NULL when memory is out. */
static char *sign(const struct peri_webhook *hook, const char *key, size_t key_len, const char *text, size_t len)
{
    unsigned char mac[64];
    struct peri_buf out;
    size_t n = peri_hmac(hook->sha1 ? "sha1" : "sha256", key, key_len, text, len, mac);
    peri_buf_init(&out, 256);
    if (hook->base64)
        (void)peri_base64_encode(&out, mac, n);
    for (size_t i = 0; !hook->base64 && i < n; i++)
        (void)peri_buf_printf(&out, "%02x", mac[i]);
    return n ? peri_buf_take(&out, NULL) : NULL;
}

static bool same(const char *given, size_t len, const char *wanted)
{
    return wanted && peri_equal_secret(given, len, wanted, strlen(wanted));
}

static bool is_recent(const char *text, size_t len, int64_t now_ms, int64_t tolerance_ms)
{
    char digits[24];
    long long seconds = 0;
    if (len == 0 || len >= sizeof(digits))
        return false;
    memcpy(digits, text, len);
    digits[len] = '\0';
    if (!peri_parse_i64(digits, &seconds) || seconds < 0 || seconds > INT64_C(1) << 40)
        return false;
    int64_t age = now_ms - seconds * 1000;
    return age <= tolerance_ms && age >= -tolerance_ms;
}

/* "t=<seconds>,v1=<hex>,v1=<hex>" of "<seconds>.<body>" */
static bool check_stripe(const struct peri_webhook *hook, const char *given, const char *key, size_t key_len,
    const struct peri_webhook_request *q, int64_t now_ms, char *reason, size_t size)
{
    const char *time = NULL, *signatures[SIGNATURES_MAX];
    size_t time_len = 0, lengths[SIGNATURES_MAX], n = 0;
    for (const char *p = given; *p;) {
        size_t len = strcspn(p, ",");
        if (len > 2 && strncmp(p, "t=", 2) == 0 && !time) {
            time = p + 2;
            time_len = len - 2;
        } else if (len > 3 && strncmp(p, "v1=", 3) == 0 && n < SIGNATURES_MAX) {
            signatures[n] = p + 3;
            lengths[n++] = len - 3;
        }
        p += len + (p[len] == ',');
    }
    if (!time || n == 0) {
        snprintf(reason, size, "the header %s holds no time and signature", hook->header);
        return false;
    }
    if (!is_recent(time, time_len, now_ms, hook->tolerance_ms)) {
        snprintf(reason, size, "the signed time is too old, or ahead");
        return false;
    }
    char *text = malloc(time_len + 1 + q->body_len + 1), *wanted = NULL;
    if (text) {
        memcpy(text, time, time_len);
        text[time_len] = '.';
        memcpy(text + time_len + 1, q->body ? q->body : "", q->body_len);
        wanted = sign(hook, key, key_len, text, time_len + 1 + q->body_len);
    }
    bool good = false;
    for (size_t i = 0; i < n; i++)
        good = same(signatures[i], lengths[i], wanted) || good;
    if (!good)
        snprintf(reason, size, "the signature is not right");
    free(text);
    free(wanted);
    return good;
}

static bool check_hmac(const struct peri_webhook *hook, const char *given, const char *key, size_t key_len,
    const struct peri_webhook_request *q, int64_t now_ms, char *reason, size_t size)
{
    const char *time = hook->proof == PERI_WEBHOOK_SLACK ? peri_hook_header(q, "X-Slack-Request-Timestamp") : NULL;
    size_t prefix = hook->prefix ? strlen(hook->prefix) : 0, before = time ? strlen(time) + 4 : 0;
    if (hook->proof == PERI_WEBHOOK_SLACK && (!time || !is_recent(time, strlen(time), now_ms, hook->tolerance_ms))) {
        snprintf(reason, size, time ? "the signed time is too old, or ahead" : "there is no X-Slack-Request-Timestamp");
        return false;
    }
    char *text = malloc(before + q->body_len + 1), *wanted = NULL;
    if (text) {
        if (time)
            snprintf(text, before + 1, "v0:%s:", time);
        if (q->body_len)
            memcpy(text + before, q->body, q->body_len);
        wanted = sign(hook, key, key_len, text, before + q->body_len);
    }
    bool good = strncmp(given, hook->prefix ? hook->prefix : "", prefix) == 0 &&
                same(given + prefix, strlen(given + prefix), wanted);
    if (!good)
        snprintf(reason, size, "the signature is not right");
    free(text);
    free(wanted);
    return good;
}

/* ---- tokens ---- */

static bool check_token(const struct peri_webhook *hook, const char *key, size_t key_len,
    const struct peri_webhook_request *q, char *reason, size_t size)
{
    char *in_query = hook->query && q->query ? peri_hook_field(q->query, strlen(q->query), hook->query) : NULL;
    const char *given = hook->query ? in_query : peri_hook_header(q, hook->header ? hook->header : "Authorization");
    if (given && !hook->query && !hook->header)
        given = strncasecmp(given, "Bearer ", 7) == 0 ? given + 7 : NULL;
    bool good = given && peri_equal_secret(given, strlen(given), key, key_len);
    if (!given)
        snprintf(reason, size, "there is no token%s%.100s",
            hook->header  ? " in the header "
            : hook->query ? " in the query field "
                          : "",
            hook->header  ? hook->header
            : hook->query ? hook->query
                          : "");
    else if (!good)
        snprintf(reason, size, "the token is not right");
    if (in_query)
        peri_secret_free(in_query, strlen(in_query));
    return good;
}

bool peri_hook_proves(const struct peri_webhook *hook, struct peri_secrets *secrets,
    const struct peri_webhook_request *request, int64_t now_ms, char *reason, size_t size)
{
    struct peri_error err;
    char *key = NULL;
    size_t key_len = 0;
    if (hook->proof == PERI_WEBHOOK_OPEN)
        return true;
    /* A secret that is not there lets nobody in. */
    if (!hook->secret || peri_secrets_get(secrets, hook->secret, &key, &key_len, &err) != PERI_OK || key_len == 0) {
        snprintf(reason, size, "the webhook's secret is not set");
        peri_secret_free(key, key_len);
        return false;
    }
    bool good = false;
    const char *given = hook->header ? peri_hook_header(request, hook->header) : NULL;
    if (hook->proof == PERI_WEBHOOK_TOKEN)
        good = check_token(hook, key, key_len, request, reason, size);
    else if (!given)
        snprintf(reason, size, "there is no signature in the header %s", hook->header);
    else if (hook->proof == PERI_WEBHOOK_STRIPE)
        good = check_stripe(hook, given, key, key_len, request, now_ms, reason, size);
    else
        good = check_hmac(hook, given, key, key_len, request, now_ms, reason, size);
    peri_secret_free(key, key_len);
    return good;
}
