/* SPDX-License-Identifier: Apache-2.0 */
#include "app/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/privacy.h"
#include "base/pool.h"
#include "base/str.h"
#include "data/json.h"
#include "run/cloudevents.h"

#define STREAM_MAX 32
#define STREAM_PING_MS 15000

struct peri_api {
    struct peri_service *service;
    struct peri_api_op *ops; /* open requests */
    struct peri_api_op *streams[STREAM_MAX];
    size_t stream_count;
    uint64_t stream_id;
    struct peri_timer *ping;
    struct peri_metric *requests, *refused;
    struct peri_ce_scratch *scratch;
};

static const struct peri_api_route *const tables[] = {peri_api_events, peri_api_runs, peri_api_rules, peri_api_plugins,
    peri_api_data, peri_api_mappings, peri_api_ledger, peri_api_tasks, peri_api_system, peri_api_approve,
    peri_api_accounts, peri_api_hooks, NULL};

enum peri_status peri_api_create(struct peri_service *service, struct peri_api **ret, struct peri_error *err)
{
    struct peri_api *api = calloc(1, sizeof(*api));
    if (!api)
        return peri_error_nomem(err);
    api->scratch = peri_ce_scratch_create();
    if (!api->scratch) {
        free(api);
        return peri_error_nomem(err);
    }
    api->service = service;
    api->requests =
        peri_metrics_counter(service->metrics, "http_requests_total", NULL, "HTTP requests that reached the API.");
    api->refused =
        peri_metrics_counter(service->metrics, "http_unauthorized_total", NULL, "HTTP requests without a valid token.");
    *ret = api;
    return PERI_OK;
}

/* The pipeline makes a value of each change only while somebody listens. */
static void listen_to_changes(struct peri_api *api)
{
    peri_pipeline_on_change(api->service->pipeline, api->stream_count > 0 ? peri_api_publish : NULL, api);
}

void peri_api_close(struct peri_api *api)
{
    if (!api)
        return;
    peri_timer_cancel(api->ping);
    api->ping = NULL;
    while (api->stream_count > 0) {
        struct peri_api_op *op = api->streams[--api->stream_count];
        peri_http_stream_end(op->req);
        op->req = NULL;
        peri_api_end(op);
    }
    listen_to_changes(api);
    for (struct peri_api_op *op = api->ops; op; op = op->next) {
        if (op->req)
            peri_http_problem(op->req, 503, "the service is stopping", NULL);
        op->req = NULL;
    }
}

void peri_api_destroy(struct peri_api *api)
{
    if (!api)
        return;
    while (api->ops)
        peri_api_end(api->ops);
    peri_ce_scratch_destroy(api->scratch);
    free(api);
}

struct peri_ce_scratch *peri_api_ce_scratch(struct peri_api *api)
{
    return api->scratch;
}

void peri_api_end(struct peri_api_op *op)
{
    if (op->prev)
        op->prev->next = op->next;
    else
        op->api->ops = op->next;
    if (op->next)
        op->next->prev = op->prev;
    if (op->free_extra)
        op->free_extra(op->extra);
    for (size_t i = 0; i < PERI_API_PARAMS; i++)
        free(op->params[i]);
    peri_value_unref(op->body);
    peri_pool_free(op);
}

void peri_api_answer(struct peri_api_op *op, int status, const struct peri_value *value)
{
    char *text = op->req ? peri_json_text(value, PERI_JSON_COMPACT) : NULL;
    if (op->req && text)
        peri_http_answer(op->req, status, "application/json", text, strlen(text));
    else if (op->req)
        peri_http_problem(op->req, 500, "out of memory", NULL);
    free(text);
    peri_api_end(op);
}

void peri_api_answer_text(struct peri_api_op *op, int status, struct peri_buf *text)
{
    if (op->req && !text->failed)
        peri_http_answer(op->req, status, "application/json", peri_buf_text(text), text->len);
    else if (op->req)
        peri_http_problem(op->req, 500, "out of memory", NULL);
    peri_api_end(op);
}

void peri_api_take_answer(struct peri_api_op *op, int status, struct peri_value *value)
{
    if (value)
        peri_api_answer(op, status, value);
    else
        peri_api_problem(op, 500, "out of memory");
    peri_value_unref(value);
}

void peri_api_problem(struct peri_api_op *op, int status, const char *fmt, ...)
{
    char text[PERI_ERROR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (op->req)
        peri_http_problem(op->req, status, text, NULL);
    peri_api_end(op);
}

static int http_status(enum peri_status st)
{
    switch (st) {
    case PERI_EINVAL:
        return 400;
    case PERI_EDENIED:
        return 403;
    case PERI_ENOTFOUND:
        return 404;
    case PERI_EEXIST:
    case PERI_ESTATE:
        return 409;
    case PERI_ELIMIT:
        return 413;
    case PERI_EBUSY:
    case PERI_EFULL:
    case PERI_EIO:
    case PERI_ECORRUPT:
    case PERI_ETIMEOUT:
        return 503;
    default:
        return 500;
    }
}

void peri_api_error(struct peri_api_op *op, enum peri_status st, const struct peri_error *err)
{
    struct peri_value *extra = peri_value_map();
    int status = http_status(st);
    if (extra && peri_map_put_text(extra, "code", err->code))
        peri_map_drop(extra, "code");
    if (op->req && peri_streq(err->code, "media_type"))
        status = 415;
    else if (op->req && peri_streq(err->code, "too_large"))
        status = 413;
    else if (op->req && peri_streq(err->code, "rate"))
        status = 429;
    char seconds[24];
    snprintf(seconds, sizeof(seconds), "%ld", (err->retry_after_ms + 999) / 1000);
    if (op->req && err->retry_after_ms > 0 && (status == 429 || status == 503) &&
        peri_http_set_header(op->req, "Retry-After", seconds) != PERI_OK)
        status = 500;
    if (op->req)
        peri_http_problem(op->req, status, err->message, extra);
    peri_value_unref(extra);
    peri_api_end(op);
}

bool peri_api_store_refuses(struct peri_api_op *op, bool grows)
{
    char reason[PERI_ERROR_MESSAGE_MAX];
    enum peri_store_state state = peri_store_state(op->service->store, reason);
    if (state == PERI_STORE_GOOD || (state == PERI_STORE_FULL && !grows))
        return false;
    peri_api_problem(op, 503, "%s", reason);
    return true;
}

/* --- questions to the store --- */

struct question {
    struct peri_api_op *op;
    peri_lookup_fn fn;
    void *arg;
    void (*free_arg)(void *);
    bool hide; /* personal data */
    uint64_t event;
};

static enum peri_status ask(struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    struct question *q = arg;
    enum peri_status st = q->fn(reader, q->arg, ret, err);
    return st == PERI_OK && q->hide ? peri_privacy_hide(reader, q->event, ret, err) : st;
}

/* Lists are pages: the id of the last item is the cursor of the next page when the page is full. */
static struct peri_value *page(const struct peri_value *list, size_t limit)
{
    struct peri_value *doc = peri_value_map();
    size_t n = peri_value_count(list);
    if (!doc || peri_map_put_ref(doc, "items", list)) {
        peri_value_unref(doc);
        return NULL;
    }
    const char *last = n ? peri_map_text(peri_list_at(list, n - 1), "id") : NULL;
    if (n >= limit && last && peri_map_put_text(doc, "next", last)) {
        peri_value_unref(doc);
        return NULL;
    }
    return doc;
}

static void asked(void *arg, enum peri_status st, const struct peri_value *value, const struct peri_error *err)
{
    struct question *q = arg;
    if (st)
        peri_api_error(q->op, st, err);
    else if (peri_value_is(value, PERI_LIST))
        peri_api_take_answer(q->op, 200, page(value, q->op->req ? peri_api_limit(q->op) : 1));
    else
        peri_api_answer(q->op, 200, value);
    if (q->free_arg)
        q->free_arg(q->arg);
    free(q);
}

static void put_question(const struct question *ready)
{
    struct peri_api_op *op = ready->op;
    void *question = ready->arg;
    void (*free_question)(void *) = ready->free_arg;
    struct question *q = calloc(1, sizeof(*q));
    enum peri_status st = PERI_ENOMEM;
    if (q) {
        *q = *ready;
        st = peri_lookup_ask(op->service->lookup, ask, asked, q);
    }
    if (st == PERI_OK)
        return;
    free(q);
    if (free_question)
        free_question(question);
    peri_api_problem(
        op, st == PERI_EBUSY ? 503 : 500, st == PERI_EBUSY ? "too many questions at once" : "out of memory");
}

void peri_api_ask(struct peri_api_op *op, peri_lookup_fn fn, void *question, void (*free_question)(void *))
{
    put_question(&(struct question){.op = op, .fn = fn, .arg = question, .free_arg = free_question});
}

static enum peri_status audit_shown(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_audit(tx, "api", "personal.shown", arg, NULL, err);
}

static void audit_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    free(arg);
}

void peri_api_ask_hidden(
    struct peri_api_op *op, uint64_t event, peri_lookup_fn fn, void *question, void (*free_question)(void *))
{
    bool show = peri_streq(peri_http_query(op->req, "personal"), "show");
    char *path = show ? peri_strdup(peri_http_path(op->req)) : NULL;
    if (show && (!path || peri_store_submit(op->service->store, 256, audit_shown, audit_done, path))) {
        free(path);
        if (free_question)
            free_question(question);
        peri_api_problem(op, 503, "that personal data is shown could not be noted: it is not shown");
        return;
    }
    put_question(&(struct question){op, fn, question, free_question, !show, event});
}

size_t peri_api_limit(const struct peri_api_op *op)
{
    const char *text = peri_http_query(op->req, "limit");
    long long n;
    if (!text || !peri_parse_i64(text, &n) || n < 1)
        return 50;
    return n > 1000 ? 1000 : (size_t)n;
}

void peri_api_changed(void *arg, enum peri_status st, const struct peri_value *value, const struct peri_error *err)
{
    struct peri_api_op *op = arg;
    if (st) {
        peri_api_error(op, st, err);
        return;
    }
    struct peri_value *empty = value ? NULL : peri_value_map();
    peri_api_answer(op, 200, value ? value : empty);
    peri_value_unref(empty);
}

/* --- routing --- */

/* Fills params from the {} segments. */
static bool path_matches(const char *pattern, const char *path, char *params[PERI_API_PARAMS])
{
    size_t n = 0;
    bool data = peri_str_starts(pattern, "/v1/data/"); /* ids of entities are the user's: they may hold slashes */
    while (*pattern && *path) {
        if (pattern[0] == '{') {
            size_t len = data && n > 0 ? strlen(path) : strcspn(path, "/");
            if (len == 0 || n == PERI_API_PARAMS)
                return false;
            params[n++] = peri_strndup(path, len);
            path += len;
            pattern += 2;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *pattern == *path;
}

static void clear_params(char *params[PERI_API_PARAMS])
{
    for (size_t i = 0; i < PERI_API_PARAMS; i++) {
        free(params[i]);
        params[i] = NULL;
    }
}

/* The route, or NULL with what the path would allow. */
static const struct peri_api_route *find_route(
    const char *method, const char *path, char *params[PERI_API_PARAMS], char *allow, size_t allow_size)
{
    bool head = peri_streq(method, "HEAD");
    allow[0] = '\0';
    for (size_t t = 0; tables[t]; t++) {
        for (const struct peri_api_route *r = tables[t]; r->method; r++) {
            if (!path_matches(r->path, path, params)) {
                clear_params(params);
                continue;
            }
            if (peri_streq(r->method, method) || (head && peri_streq(r->method, "GET")))
                return r;
            clear_params(params);
            size_t n = strlen(allow);
            snprintf(allow + n, allow_size - n, "%s%s", n ? ", " : "", r->method);
        }
    }
    return NULL;
}

/* Does the path have all the {} that its route asks for? Not when memory was out for one. */
static bool params_whole(const struct peri_api_route *route, char *const params[PERI_API_PARAMS])
{
    size_t n = 0;
    for (const char *c = route->path; *c; c++)
        if (*c == '{' && !params[n++])
            return false;
    return true;
}

static bool authorized(const struct peri_api *api, struct peri_http_request *req)
{
    const char *header = peri_http_header(req, "Authorization"), *token = api->service->token;
    if (!header || strncasecmp(header, "Bearer ", 7) != 0)
        return false;
    return peri_equal_secret(header + 7, strlen(header + 7), token, strlen(token));
}

static struct peri_api_op *op_create(struct peri_api *api, struct peri_http_request *req, char *params[PERI_API_PARAMS])
{
    struct peri_api_op *op = peri_pool_zeroed(sizeof(*op));
    if (!op)
        return NULL;
    op->api = api;
    op->service = api->service;
    op->req = req;
    memcpy(op->params, params, sizeof(op->params));
    op->next = api->ops;
    if (op->next)
        op->next->prev = op;
    api->ops = op;
    return op;
}

static bool read_body(struct peri_api_op *op)
{
    size_t len;
    const char *body = peri_http_body(op->req, &len);
    struct peri_error err;
    if (len == 0) {
        if ((op->body = peri_value_map()))
            return true;
        peri_api_problem(op, 503, "out of memory");
        return false;
    }
    enum peri_status st = peri_json_parse(body, len, &op->body, &err);
    if (st == PERI_OK)
        return true;
    op->body = NULL;
    peri_error_prefix(&err, "the body is not valid JSON");
    peri_api_error(op, st, &err);
    return false;
}

static void refuse(struct peri_http_request *req, const char *path, const char *allow)
{
    char text[512];
    if (allow[0]) {
        snprintf(text, sizeof(text), "%s does not take this method, only %s", path, allow);
        if (peri_http_set_header(req, "Allow", allow) == PERI_OK) {
            peri_http_problem(req, 405, text, NULL);
            return;
        }
    }
    snprintf(text, sizeof(text), "there is nothing at %.400s", path);
    peri_http_problem(req, 404, text, NULL);
}

bool peri_api_is_reserved(const char *path)
{
    return !peri_str_starts(path, "/hooks/") && !peri_streq(path, "/v1/events") && !peri_streq(path, "/v1/stream");
}

void peri_api_handle(void *ctx, struct peri_http_request *req)
{
    struct peri_api *api = ctx;
    char *params[PERI_API_PARAMS] = {NULL}, allow[128];
    const char *path = peri_http_path(req);
    peri_metric_add(api->requests, 1);
    /* Webhooks have paths of any depth and their own checks. */
    bool hook = peri_str_starts(path, "/hooks/");
    const struct peri_api_route *route =
        find_route(hook ? "ANY" : peri_http_method(req), hook ? "/hooks" : path, params, allow, sizeof(allow));
    if (!(route && route->open) && !authorized(api, req)) {
        clear_params(params);
        peri_metric_add(api->refused, 1);
        peri_http_problem(req, 401,
            "send the header Authorization: Bearer <token>; the token is in the file \"token\" of the state folder",
            NULL);
        return;
    }
    if (!route) {
        refuse(req, path, allow);
        return;
    }
    struct peri_api_op *op = params_whole(route, params) ? op_create(api, req, params) : NULL;
    if (!op) {
        clear_params(params);
        peri_http_problem(req, 503, "out of memory", NULL);
        return;
    }
    if (!route->json || read_body(op))
        route->fn(op);
}

/* --- server-sent events --- */

static void ping(void *arg);

static void keep_pinging(struct peri_api *api)
{
    if (!api->ping && api->stream_count > 0 &&
        peri_loop_after(api->service->loop, STREAM_PING_MS, ping, api, &api->ping))
        api->ping = NULL;
}

static void ping(void *arg)
{
    struct peri_api *api = arg;
    api->ping = NULL;
    for (size_t i = 0; i < api->stream_count; i++)
        peri_http_stream_send(api->streams[i]->req, ": still here\n\n", 14);
    keep_pinging(api);
}

static void stream_closed(void *arg)
{
    struct peri_api_op *op = arg;
    struct peri_api *api = op->api;
    for (size_t i = 0; i < api->stream_count; i++) {
        if (api->streams[i] != op)
            continue;
        api->streams[i] = api->streams[--api->stream_count];
        peri_http_stream_end(op->req);
        op->req = NULL;
        peri_api_end(op);
        listen_to_changes(api);
        return;
    }
}

void peri_api_stream(struct peri_api_op *op)
{
    struct peri_api *api = op->api;
    if (api->stream_count == STREAM_MAX) {
        peri_api_problem(op, 503, "too many listeners");
        return;
    }
    if (peri_http_set_header(op->req, "Cache-Control", "no-store")) {
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    peri_http_on_close(op->req, stream_closed, op);
    peri_http_stream_begin(op->req, 200, "text/event-stream");
    api->streams[api->stream_count++] = op;
    listen_to_changes(api);
    peri_http_stream_send(op->req, ": listening\n\n", 13);
    keep_pinging(api);
}

void peri_api_publish(void *ctx, const char *kind, const struct peri_value *value)
{
    struct peri_api *api = ctx;
    if (api->stream_count == 0)
        return;
    char *json = peri_json_text(value, PERI_JSON_COMPACT);
    char *text =
        json ? peri_asprintf("id: %llu\nevent: %s\ndata: %s\n\n", (unsigned long long)++api->stream_id, kind, json)
             : NULL;
    for (size_t i = 0; text && i < api->stream_count; i++)
        peri_http_stream_send(api->streams[i]->req, text, strlen(text));
    free(text);
    free(json);
}
