/* SPDX-License-Identifier: Apache-2.0 */
/* `http:` of tests: what the outside world answers, and what was asked of it. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/trial_reader.h"
#include "base/str.h"
#include "data/json.h"

/* ---- reading ---- */

static void read_headers(struct trial_reader *r, const struct peri_node *node, struct peri_trial_reply *reply)
{
    if (!trial_want(r, node, PERI_NODE_MAP, "headers"))
        return;
    reply->headers = calloc(node->count + 2, sizeof(*reply->headers));
    r->nomem = r->nomem || !reply->headers;
    for (size_t i = 0; reply->headers && i < node->count; i++) {
        const char *value = trial_text(r, node->pairs[i].value, node->pairs[i].key->text);
        if (value)
            reply->headers[reply->header_count++] = (struct peri_http_field){node->pairs[i].key->text, value};
    }
}

static void read_body(struct trial_reader *r, const struct peri_node *map, struct peri_trial_reply *reply)
{
    const struct peri_node *json = peri_node_get(map, "json", NULL), *body = peri_node_get(map, "body", NULL);
    if (json && body)
        trial_fault(r, map->place, "conflicting-keys", NULL, "a reply has both \"json\" and \"body\"");
    if (body && trial_want(r, body, PERI_NODE_SCALAR, "body"))
        reply->body = peri_strdup(body->text);
    if (!json)
        return;
    struct peri_value *v = trial_value(r, json);
    reply->body = v ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
    reply->is_json = true;
    r->nomem = r->nomem || (v && !reply->body);
    peri_value_unref(v);
}

static void read_reply(struct trial_reader *r, const struct peri_node *map, struct peri_trial_reply *reply)
{
    static const char *const known[] = {"status", "headers", "json", "body", "error", NULL};
    const struct peri_node *n;
    long long status = 0;
    if (!trial_want(r, map, PERI_NODE_MAP, "reply") || !trial_check_keys(r, map, known, "a reply"))
        return;
    if ((n = peri_node_get(map, "status", NULL)) &&
        (n->kind != PERI_NODE_SCALAR || !peri_parse_i64(n->text, &status) || status < 100 || status > 599))
        trial_fault(r, n->place, "bad-value", NULL, "\"status\" must be a number from 100 to 599");
    reply->status = (int)status;
    if ((n = peri_node_get(map, "headers", NULL)))
        read_headers(r, n, reply);
    read_body(r, map, reply);
    if ((n = peri_node_get(map, "error", NULL)))
        trial_read_error(r, n, &reply->fails, &reply->error);
}

static void read_one(struct trial_reader *r, const struct peri_node *map, struct peri_trial_http *h)
{
    static const char *const known[] = {"method", "url", "match", "reply", NULL};
    const struct peri_node *n;
    if (!trial_want(r, map, PERI_NODE_MAP, "http") || !trial_check_keys(r, map, known, "an item of http"))
        return;
    if (!(n = peri_node_get(map, "url", NULL)))
        trial_fault(
            r, map->place, "missing-key", "url: \"https://api.example.com/*\"", "each of \"http\" needs \"url\"");
    else
        h->url = trial_text(r, n, "url");
    if ((n = peri_node_get(map, "method", NULL)))
        h->method = trial_text(r, n, "method");
    if ((n = peri_node_get(map, "match", NULL)) && peri_pattern_compile_node(n, &h->match, r->diag) == PERI_ENOMEM)
        r->nomem = true;
    n = peri_node_get(map, "reply", NULL);
    size_t count = n && n->kind == PERI_NODE_LIST ? n->count : 1;
    if (n && count == 0)
        trial_fault(r, n->place, "empty-list", NULL, "\"reply\" needs at least one reply");
    h->replies = calloc(count + 1, sizeof(*h->replies));
    r->nomem = r->nomem || !h->replies;
    for (size_t i = 0; h->replies && i < count; i++, h->count++)
        if (n)
            read_reply(r, n->kind == PERI_NODE_LIST ? n->items[i] : n, &h->replies[i]);
}

void trial_read_http(
    struct trial_reader *r, const struct peri_node *node, struct peri_trial_http **ret, size_t *ret_count)
{
    if (!trial_want(r, node, PERI_NODE_LIST, "http"))
        return;
    struct peri_trial_http *list = calloc(node->count + 1, sizeof(*list));
    r->nomem = r->nomem || !list;
    for (size_t i = 0; list && i < node->count; i++, (*ret_count)++)
        read_one(r, node->items[i], &list[i]);
    *ret = list;
}

void peri_trial_http_free(struct peri_trial_http *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < list[i].count; k++) {
            free(list[i].replies[k].headers);
            free(list[i].replies[k].body);
        }
        peri_pattern_destroy(list[i].match);
        free(list[i].replies);
    }
    free(list);
}

/* ---- answering ---- */

/* '*' stands for any run of characters. */
static bool star_match(const char *pattern, const char *text)
{
    const char *star = NULL, *back = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            back = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++back;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* {method, url, headers, json or body} */
static struct peri_value *request_value(const struct peri_http_send *request)
{
    struct peri_value *v = peri_value_map(), *headers = peri_value_map(), *json = NULL, *body = NULL;
    bool good = v && headers && peri_map_put_text(v, "method", request->method) == PERI_OK &&
                peri_map_put_text(v, "url", request->url) == PERI_OK;
    for (size_t i = 0; good && i < request->header_count; i++) {
        char name[200];
        snprintf(name, sizeof(name), "%s", request->headers[i].name);
        for (char *c = name; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        struct peri_value *text = peri_value_str(request->headers[i].value);
        good = !text || peri_map_put(headers, name, text) == PERI_OK;
    }
    good = good && peri_map_put_ref(v, "headers", headers) == PERI_OK;
    if (good && request->body_len && peri_json_parse(request->body, request->body_len, &json, NULL) == PERI_OK)
        good = peri_map_put_ref(v, "json", json) == PERI_OK;
    if (good && !json && request->body_len && (body = peri_value_strn(request->body, request->body_len)))
        good = peri_map_put_ref(v, "body", body) == PERI_OK;
    peri_value_unref(json);
    peri_value_unref(body);
    peri_value_unref(headers);
    if (good)
        return v;
    peri_value_unref(v);
    return NULL;
}

static struct peri_trial_http *find(
    struct peri_trial_http *list, size_t count, const struct peri_http_send *request, const char *json)
{
    for (size_t i = 0; i < count; i++) {
        struct peri_trial_http *h = &list[i];
        bool fits = true;
        if ((h->method && strcmp(h->method, request->method) != 0) || !star_match(h->url, request->url))
            continue;
        if (h->match &&
            (!json || peri_pattern_match(h->match, json, strlen(json), &fits, NULL, NULL) != PERI_OK || !fits))
            continue;
        return h;
    }
    return NULL;
}

enum peri_status peri_trial_answer_http(
    void *ctx, const struct peri_http_send *request, struct peri_http_response *ret, struct peri_error *err)
{
    struct peri_trial_bed *bed = ctx;
    struct peri_value *asked = request_value(request);
    char *json = asked ? peri_json_text(asked, PERI_JSON_COMPACT) : NULL;
    struct peri_trial_http *h = bed->now ? find(bed->now->http, bed->now->http_count, request, json) : NULL;
    if (!h)
        h = find(bed->file->http, bed->file->http_count, request, json);
    free(json);
    if (peri_list_push(bed->requests, asked) != PERI_OK)
        bed->failed = PERI_ENOMEM;
    if (!h)
        return peri_error_set(
            err, PERI_EIO, "http.unavailable", "the test has no answer for %s %.200s", request->method, request->url);
    struct peri_trial_reply *reply = &h->replies[h->next < h->count ? h->next : h->count - 1];
    h->next++;
    if (reply->fails) {
        *err = reply->error;
        return reply->error.status;
    }
    static const struct peri_http_field type = {"content-type", "application/json"};
    *ret = (struct peri_http_response){.status = reply->status                          ? reply->status
                                                 : strcmp(request->method, "SMTP") == 0 ? 250
                                                                                        : 200,
        .headers = reply->header_count ? reply->headers : &type,
        .header_count = reply->header_count ? reply->header_count : reply->is_json,
        .body = reply->body ? reply->body : "",
        .body_len = reply->body ? strlen(reply->body) : 0};
    return PERI_OK;
}

void peri_trial_http_forget(struct peri_trial_http *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        list[i].next = 0;
}
