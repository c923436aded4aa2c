/* SPDX-License-Identifier: Apache-2.0 */
/* A step `webhook:`: a request as a provider would send it, signed, through the plugin's own handler. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/hooks.h"
#include "app/trial_reader.h"
#include "base/base64.h"
#include "base/id.h"
#include "base/str.h"
#include "data/json.h"

#define PUBLIC_URL "https://perigee.test" /* http.public_url of the test's world */
#define BODY_MAX (1 << 20)

struct peri_trial_webhook {
    char *plugin, *path; /* path with its leading slash */
    const char *method, *query;
    char *body;
    const char *content_type;
    struct peri_value *form;         /* the body came of it; NULL: it did not */
    struct peri_http_field *headers; /* borrow */
    size_t header_count;
    const char *sign, *secret, *header, *prefix; /* sign: "twilio", "hmac-sha256", "hmac-sha1"; NULL: not */
    bool base64;
};

/* ---- reading ---- */

static void url_encode(struct peri_buf *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if ((*p | 0x20) >= 'a' ? (*p | 0x20) <= 'z' : (*p >= '0' && *p <= '9') || strchr("-._~", *p))
            (void)peri_buf_putc(out, (char)*p);
        else
            (void)peri_buf_printf(out, "%%%02X", *p);
    }
}

static char *form_text(const struct peri_value *form)
{
    struct peri_buf out;
    peri_buf_init(&out, BODY_MAX);
    for (void *it = peri_map_first(form); it; it = peri_map_next(form, it)) {
        if (out.len)
            (void)peri_buf_putc(&out, '&');
        url_encode(&out, peri_map_key(it, NULL));
        (void)peri_buf_putc(&out, '=');
        char *value = peri_value_text(peri_map_item(it)) ? NULL : peri_json_text(peri_map_item(it), PERI_JSON_COMPACT);
        url_encode(&out, value ? value : peri_value_text(peri_map_item(it)));
        free(value);
    }
    return peri_buf_take(&out, NULL);
}

static void read_sign(struct trial_reader *r, const struct peri_node *map, struct peri_trial_webhook *w)
{
    static const char *const known[] = {"as", "secret", "header", "prefix", "encoding", NULL};
    static const char *const ways[] = {"twilio", "hmac-sha256", "hmac-sha1", NULL};
    const struct peri_node *n;
    if (!trial_want(r, map, PERI_NODE_MAP, "sign") || !trial_check_keys(r, map, known, "sign"))
        return;
    bool good = false;
    if ((n = peri_node_get(map, "as", NULL)))
        w->sign = trial_text(r, n, "as");
    for (const char *const *way = ways; *way; way++)
        good = good || peri_streq(*way, w->sign);
    if (!good)
        trial_fault(r, n ? n->place : map->place, n ? "bad-value" : "missing-key", NULL,
            "\"sign\" needs \"as\": twilio, hmac-sha256 or hmac-sha1");
    w->secret = (n = peri_node_get(map, "secret", NULL)) ? trial_text(r, n, "secret") : NULL;
    if (!n)
        trial_fault(r, map->place, "missing-key", NULL, "\"sign\" needs \"secret\"");
    w->header = (n = peri_node_get(map, "header", NULL)) ? trial_text(r, n, "header") : NULL;
    if (!n && good && !peri_streq(w->sign, "twilio"))
        trial_fault(r, map->place, "missing-key", "header: X-Hub-Signature-256", "\"sign\" needs \"header\"");
    w->prefix = (n = peri_node_get(map, "prefix", NULL)) ? trial_text(r, n, "prefix") : NULL;
    if ((n = peri_node_get(map, "encoding", NULL))) {
        w->base64 = peri_streq(trial_text(r, n, "encoding"), "base64");
        if (!w->base64 && !peri_streq(n->text, "hex"))
            trial_fault(r, n->place, "bad-value", NULL, "\"encoding\" is hex or base64");
    }
}

static void read_content(struct trial_reader *r, const struct peri_node *map, struct peri_trial_webhook *w)
{
    static const char *const kinds[] = {"form", "json", "body", NULL};
    const struct peri_node *n = NULL;
    for (const char *const *k = kinds; *k; k++) {
        const struct peri_node *one = peri_node_get(map, *k, NULL);
        if (one && n)
            trial_fault(r, one->place, "conflicting-keys", NULL, "a webhook has one of form, json, body");
        else if (one && peri_streq(*k, "form") && trial_want(r, one, PERI_NODE_MAP, "form")) {
            w->form = trial_value(r, one);
            w->body = w->form ? form_text(w->form) : NULL;
            w->content_type = "application/x-www-form-urlencoded";
        } else if (one && peri_streq(*k, "json")) {
            struct peri_value *v = trial_value(r, one);
            w->body = v ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
            w->content_type = "application/json";
            peri_value_unref(v);
        } else if (one && trial_want(r, one, PERI_NODE_SCALAR, *k)) {
            w->body = peri_strdup(one->text);
            w->content_type = "text/plain";
        }
        n = one ? one : n;
    }
}

void trial_read_webhook(
    struct trial_reader *r, const struct peri_node *map, const struct peri_node *name, struct peri_trial_step *step)
{
    const struct peri_node *n;
    const char *text = trial_text(r, name, "webhook"), *slash = text ? strchr(text, '/') : NULL;
    struct peri_trial_webhook *w = step->webhook = calloc(1, sizeof(*w));
    step->kind = PERI_TRIAL_WEBHOOK;
    if (!w) {
        r->nomem = true;
        return;
    }
    if (text && (!slash || slash == text)) {
        trial_fault(r, name->place, "bad-value", "webhook: twilio/message", "\"webhook\" names a plugin and its path");
        return;
    }
    w->plugin = text ? peri_strndup(text, (size_t)(slash - text)) : NULL;
    w->path = text ? peri_strdup(slash) : NULL;
    w->method = (n = peri_node_get(map, "method", NULL)) ? trial_text(r, n, "method") : "POST";
    w->query = (n = peri_node_get(map, "query", NULL)) ? trial_text(r, n, "query") : "";
    read_content(r, map, w);
    n = peri_node_get(map, "headers", NULL);
    size_t count = n && trial_want(r, n, PERI_NODE_MAP, "headers") ? n->count : 0;
    w->headers = calloc(count + 3, sizeof(*w->headers));
    r->nomem = r->nomem || !w->headers;
    for (size_t i = 0; w->headers && i < count; i++) {
        const char *value = trial_text(r, n->pairs[i].value, n->pairs[i].key->text);
        if (value)
            w->headers[w->header_count++] = (struct peri_http_field){n->pairs[i].key->text, value};
    }
    if ((n = peri_node_get(map, "sign", NULL)))
        read_sign(r, n, w);
}

void peri_trial_webhook_free(struct peri_trial_webhook *w)
{
    if (!w)
        return;
    free(w->plugin);
    free(w->path);
    free(w->body);
    free(w->headers);
    peri_value_unref(w->form);
    free(w);
}

/* ---- sending ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Twilio signs the URL and after it the fields of the form, sorted by name, names and values joined. */
static char *twilio_text(const struct peri_trial_webhook *w, const char *url)
{
    size_t n = 0, count = w->form ? peri_value_count(w->form) : 0;
    const char **names = calloc(count + 1, sizeof(*names));
    struct peri_buf out;
    peri_buf_init(&out, BODY_MAX);
    (void)peri_buf_puts(&out, url);
    for (void *it = w->form && names ? peri_map_first(w->form) : NULL; it; it = peri_map_next(w->form, it))
        names[n++] = peri_map_key(it, NULL);
    if (n)
        qsort(names, n, sizeof(*names), by_name);
    for (size_t i = 0; i < n; i++) {
        const struct peri_value *v = peri_map_at(w->form, names[i]);
        char *text = peri_value_text(v) ? NULL : peri_json_text(v, PERI_JSON_COMPACT);
        (void)peri_buf_printf(&out, "%s%s", names[i], text ? text : peri_value_text(v));
        free(text);
    }
    free(names);
    return peri_buf_take(&out, NULL);
}

/* malloc'ed; NULL when memory is out. */
static char *signature(const struct peri_trial_webhook *w, const char *url)
{
    unsigned char mac[64];
    struct peri_buf out;
    bool twilio = strcmp(w->sign, "twilio") == 0;
    char *text = twilio ? twilio_text(w, url) : peri_strdup(w->body ? w->body : "");
    const char *algorithm = twilio ? "sha1" : w->sign + strlen("hmac-");
    size_t n = text ? peri_hmac(algorithm, w->secret, strlen(w->secret), text, strlen(text), mac) : 0;
    free(text);
    peri_buf_init(&out, 1024);
    if (w->prefix)
        (void)peri_buf_puts(&out, w->prefix);
    if (twilio || w->base64)
        (void)peri_base64_encode(&out, mac, n);
    for (size_t i = 0; !twilio && !w->base64 && i < n; i++)
        (void)peri_buf_printf(&out, "%02x", mac[i]);
    return n ? peri_buf_take(&out, NULL) : NULL;
}

struct waiting {
    bool done;
    struct peri_value *response;
};

/* {status, headers, body?, json?} */
static void answered(void *arg, const struct peri_webhook_response *response)
{
    struct waiting *w = arg;
    struct peri_value *v = peri_value_map(), *headers = peri_value_map(), *json = NULL, *body = NULL;
    w->done = true;
    bool good = v && headers && peri_map_put_int(v, "status", response->status) == PERI_OK;
    for (size_t i = 0; good && i < response->header_count; i++)
        good = peri_map_put_text(headers, response->headers[i].name, response->headers[i].value) == PERI_OK;
    good = good && peri_map_put_ref(v, "headers", headers) == PERI_OK;
    if (good && response->body_len && peri_json_parse(response->body, response->body_len, &json, NULL) == PERI_OK)
        good = peri_map_put_ref(v, "json", json) == PERI_OK;
    if (good && response->body_len && (body = peri_value_strn(response->body, response->body_len)))
        good = peri_map_put_ref(v, "body", body) == PERI_OK;
    peri_value_unref(json);
    peri_value_unref(body);
    peri_value_unref(headers);
    w->response = good ? v : NULL;
    if (!good)
        peri_value_unref(v);
}

/* A webhook of the rules under test: {status, headers, json?} as the service answers. */
static enum peri_status call_rule(
    struct peri_trial_bed *bed, const char *path, const struct peri_webhook_request *request, struct peri_error *err)
{
    struct peri_hook_answer answer;
    peri_hooks_take(bed->hooks, path, request, peri_clock_wall_ms(&bed->clock), &answer);
    enum peri_status st = answer.batch ? peri_trial_bed_submit(bed, answer.batch, err) : PERI_OK;
    struct peri_value *v = peri_value_map(), *headers = peri_value_map();
    bool good = st == PERI_OK && v && headers &&
                peri_map_put_int(v, "status", answer.status ? answer.status : 202) == PERI_OK &&
                (!answer.allow[0] || peri_map_put_text(headers, "Allow", answer.allow) == PERI_OK) &&
                peri_map_put_ref(v, "headers", headers) == PERI_OK &&
                (!answer.reason[0] || peri_map_put_text(v, "body", answer.reason) == PERI_OK);
    peri_value_unref(headers);
    peri_value_unref(bed->response);
    bed->response = good ? v : NULL;
    if (!good)
        peri_value_unref(v);
    return good ? PERI_OK : st ? st : peri_error_nomem(err);
}

enum peri_status peri_trial_bed_webhook(
    struct peri_trial_bed *bed, const struct peri_trial_step *step, struct peri_error *err)
{
    struct peri_trial_webhook *w = step->webhook;
    size_t count = w->header_count;
    struct waiting waiting = {0};
    char *signed_with = NULL,
         *url = peri_asprintf(PUBLIC_URL "/hooks/%s%s%s%s", w->plugin, w->path, *w->query ? "?" : "", w->query);
    if (!url || (w->sign && !(signed_with = signature(w, url)))) {
        free(url);
        return peri_error_nomem(err);
    }
    if (w->content_type)
        w->headers[count++] = (struct peri_http_field){"content-type", w->content_type};
    if (signed_with)
        w->headers[count++] = (struct peri_http_field){w->header ? w->header : "X-Twilio-Signature", signed_with};
    struct peri_webhook_request request = {.plugin_id = w->plugin,
        .path = w->path,
        .method = w->method,
        .url = url,
        .headers = w->headers,
        .header_count = count,
        .query = w->query,
        .body = w->body ? w->body : "",
        .body_len = w->body ? strlen(w->body) : 0,
        .remote = "192.0.2.1"};
    enum peri_status st = PERI_OK;
    bool rule = strcmp(w->plugin, "rules") == 0;
    if (rule)
        st = call_rule(bed, w->path + 1, &request, err);
    else
        peri_host_webhook(bed->host, &request, answered, &waiting);
    while (!rule && !waiting.done)
        peri_loop_once(bed->loop, 5);
    free(url);
    free(signed_with);
    if (rule)
        return st;
    peri_value_unref(bed->response);
    bed->response = waiting.response;
    return waiting.response ? PERI_OK : peri_error_nomem(err);
}
