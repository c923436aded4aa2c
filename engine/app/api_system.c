/* SPDX-License-Identifier: Apache-2.0 */
/* Health, metrics, status, the event stream, and the door for plugins' webhooks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/api.h"
#include "app/flow_view.h"
#include "base/str.h"
#include "base/vec.h"

static void answer_text(struct peri_api_op *op, int status, const char *type, const char *text, size_t len)
{
    if (op->req)
        peri_http_answer(op->req, status, type, text, len);
    peri_api_end(op);
}

static void health(struct peri_api_op *op)
{
    struct peri_value *v = peri_value_map();
    if (v && peri_map_put_text(v, "status", "ok")) {
        peri_value_unref(v);
        v = NULL;
    }
    peri_api_take_answer(op, 200, v);
}

static void readiness(struct peri_api_op *op)
{
    if (!op->service->ready || op->service->draining) {
        peri_api_problem(
            op, 503, op->service->draining ? "the service is stopping" : "rules and plugins are still being loaded");
        return;
    }
    if (peri_store_is_gone(op->service->store)) {
        peri_api_problem(op, 503, "the database is gone: no event is accepted until it is back");
        return;
    }
    /* Open to strangers: the reason, but neither paths nor the words of the system; those are in /v1/status. */
    switch (peri_store_state(op->service->store, NULL)) {
    case PERI_STORE_FULL:
        peri_api_problem(op, 503, "the disk is full: no event is accepted until there is room");
        break;
    case PERI_STORE_DAMAGED:
        peri_api_problem(op, 503, "the database is damaged: no event is accepted and nothing is written");
        break;
    case PERI_STORE_GOOD:
        health(op);
        break;
    }
}

static void metrics(struct peri_api_op *op)
{
    struct peri_buf buf;
    peri_buf_init(&buf, 4 << 20);
    peri_buf_puts(&buf, "# HELP perigee_build_info The version that runs.\n# TYPE perigee_build_info "
                        "gauge\nperigee_build_info{version=\"" PERIGEE_VERSION "\"} 1\n");
    int64_t open, lost;
    peri_pipeline_count_dead(op->service->pipeline, &open, &lost);
    if (peri_metrics_render(op->service->metrics, &buf) || !peri_flow_render(op->service->store, &buf) || buf.failed)
        peri_api_problem(op, 500, "out of memory");
    else
        answer_text(op, 200, "text/plain; version=0.0.4; charset=utf-8", buf.data, buf.len);
    peri_buf_finish(&buf);
}

/* {state, reason?, behind?: {acknowledged, stored}} */
static struct peri_value *store_status(const struct peri_service *s)
{
    static const char *const names[] = {"good", "full", "damaged", "gone"};
    const size_t last = sizeof(names) / sizeof(names[0]) - 1;
    const struct peri_store_found *found = peri_store_found(s->store);
    char reason[PERI_ERROR_MESSAGE_MAX];
    enum peri_store_state state = peri_store_state(s->store, reason);
    struct peri_value *v = peri_value_map(), *behind = found->behind ? peri_value_map() : NULL;
    bool gone = state == PERI_STORE_GOOD && peri_store_is_gone(s->store);
    if (gone)
        snprintf(reason, sizeof(reason), "%s was deleted or replaced under the service: put it back, or restart",
            peri_store_path(s->store));
    bool bad = !v || peri_map_put_text(v, "state", names[gone ? last : (size_t)state]) != PERI_OK;
    bad = bad || ((gone || state != PERI_STORE_GOOD) && peri_map_put_text(v, "reason", reason) != PERI_OK);
    if (!bad && found->behind)
        bad = !behind || peri_map_put_int(behind, "acknowledged", (int64_t)found->high_seq) != PERI_OK ||
              peri_map_put_int(behind, "stored", (int64_t)found->stored_seq) != PERI_OK ||
              peri_map_put_ref(v, "behind", behind) != PERI_OK;
    peri_value_unref(behind);
    if (bad) {
        peri_value_unref(v);
        return NULL;
    }
    return v;
}

static void status(struct peri_api_op *op)
{
    struct peri_service *s = op->service;
    struct peri_value *v = NULL, *store = store_status(s), *watches = NULL;
    enum peri_status st = peri_pipeline_status(s->pipeline, &v);
    enum peri_status read = st == PERI_OK ? peri_pipeline_watches(s->pipeline, &watches) : st;
    if (read == PERI_OK)
        st = peri_map_put_ref(v, "watches", watches);
    else if (read == PERI_ENOMEM) /* a store that cannot be read is shown without them */
        st = read;
    peri_value_unref(watches);
    if (st == PERI_OK)
        st = store ? peri_map_put_ref(v, "store", store) : PERI_ENOMEM;
    peri_value_unref(store);
    int64_t open, lost;
    peri_pipeline_count_dead(s->pipeline, &open, &lost);
    if (st == PERI_OK)
        st = peri_map_put_int(v, "dead_letters", open);
    if (st == PERI_OK)
        st = peri_map_put_int(v, "dead_letters_lost", lost);
    if (st == PERI_OK)
        st = peri_map_put_text(v, "version", PERIGEE_VERSION);
    if (st == PERI_OK)
        st = peri_map_put_time(v, "started", s->started_ms);
    if (st == PERI_OK)
        st = peri_map_put_bool(v, "ready", s->ready);
    if (st == PERI_OK)
        st = peri_map_put_int(v, "rules", (int64_t)peri_rulebook_rules(s->rulebook)->count);
    if (st == PERI_OK)
        st = peri_map_put_int(v, "rule_errors", (int64_t)s->findings.errors);
    if (st) {
        peri_value_unref(v);
        v = NULL;
    }
    peri_api_take_answer(op, 200, v);
}

/* --- webhooks --- */

struct fields {
    struct peri_http_field *items;
    size_t count, cap;
    bool lost;
};

static void add_field(void *arg, const char *name, const char *value)
{
    struct fields *f = arg;
    if (peri_vec_grow(&f->items, &f->cap, f->count + 1, sizeof(*f->items)))
        f->items[f->count++] = (struct peri_http_field){name, value};
    else
        f->lost = true;
}

static void hook_answered(void *arg, const struct peri_webhook_response *response)
{
    struct peri_api_op *op = arg;
    if (op->req && response->error.status != PERI_OK) {
        /* Why a plugin failed stands in the log: the sender is a stranger. */
        const char *text = response->status == 503   ? "the webhook is not available now"
                           : response->status == 500 ? "the webhook failed"
                                                     : response->error.message;
        peri_http_problem(op->req, response->status, text, NULL);
    } else if (op->req) {
        bool ok = true;
        for (size_t i = 0; i < response->header_count; i++)
            ok &= peri_http_set_header(op->req, response->headers[i].name, response->headers[i].value) == PERI_OK;
        if (ok)
            peri_http_answer(op->req, response->status, response->content_type, response->body, response->body_len);
        else
            peri_http_problem(op->req, 500, "the webhook's answer has a bad header", NULL);
    }
    peri_api_end(op);
}

/* The address as the sender wrote it: signatures cover it. */
static char *public_url(const struct peri_service *s, const struct peri_http_request *req)
{
    const char *base = s->config->http.public_url, *host = peri_http_header(req, "Host");
    size_t len = base ? strlen(base) : 0;
    while (len > 0 && base[len - 1] == '/')
        len--;
    if (base)
        return peri_asprintf("%.*s%s", (int)len, base, peri_http_target(req));
    return peri_asprintf(
        "%s://%s%s", s->config->http.tls_cert ? "https" : "http", host ? host : "localhost", peri_http_target(req));
}

static void hook(struct peri_api_op *op)
{
    struct peri_http_request *req = op->req;
    const char *rest = peri_http_path(req) + strlen("/hooks/"), *slash = strchr(rest, '/');
    const char *target = peri_http_target(req), *question = strchr(target, '?');
    if (!op->service->ready || op->service->draining) {
        peri_api_problem(
            op, 503, op->service->draining ? "the service is stopping" : "rules and plugins are still being loaded");
        return;
    }
    if (peri_store_state(op->service->store, NULL) != PERI_STORE_GOOD) {
        peri_api_problem(op, 503, "nothing new is accepted now");
        return;
    }
    if (peri_str_starts(rest, "rules/")) {
        peri_api_rule_hook(op, rest + strlen("rules/"));
        return;
    }
    struct fields fields = {0};
    char *plugin = slash ? peri_strndup(rest, (size_t)(slash - rest)) : peri_strdup(rest),
         *url = public_url(op->service, req);
    struct peri_webhook_request hook_request = {.plugin_id = plugin,
        .path = slash ? slash : "/",
        .method = peri_http_method(req),
        .url = url,
        .query = question ? question + 1 : "",
        .remote = peri_http_remote(req)};
    peri_http_each_header(req, add_field, &fields);
    hook_request.headers = fields.items;
    hook_request.header_count = fields.count;
    hook_request.body = peri_http_body(req, &hook_request.body_len);
    if (plugin && url && !fields.lost) /* without a header a signature may look forged */
        peri_host_webhook(op->service->host, &hook_request, hook_answered, op);
    else
        peri_api_problem(op, 503, "out of memory");
    free(fields.items);
    free(plugin);
    free(url);
}

static void top(struct peri_api_op *op)
{
    struct peri_value *plugins = NULL, *rules = NULL, *doc = peri_value_map();
    int64_t now = peri_clock_wall_ms(&op->service->clock);
    if (doc && (peri_host_costs(op->service->host, &plugins, &rules) != PERI_OK ||
                   peri_map_put_int(doc, "since_ms", now - op->service->started_ms) ||
                   peri_map_put_ref(doc, "plugins", plugins) || peri_map_put_ref(doc, "rules", rules))) {
        peri_value_unref(doc);
        doc = NULL;
    }
    peri_value_unref(plugins);
    peri_value_unref(rules);
    peri_api_take_answer(op, 200, doc);
}

const struct peri_api_route peri_api_system[] = {
    {"GET", "/healthz", health, true, false},
    {"GET", "/readyz", readiness, true, false},
    {"GET", "/metrics", metrics, false, false},
    {"GET", "/v1/status", status, false, false},
    {"GET", "/v1/top", top, false, false},
    {"GET", "/v1/stream", peri_api_stream, false, false},
    {"ANY", "/hooks", hook, true, false},
    {0},
};
