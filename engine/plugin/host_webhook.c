/* SPDX-License-Identifier: Apache-2.0 */
/* Requests from outside to a plugin's webhooks. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "plugin/host_internal.h"

static void refuse(peri_webhook_done done, void *arg, int status, const struct peri_error *err)
{
    struct peri_webhook_response response = {.status = status, .body = ""};
    if (err)
        response.error = *err;
    done(arg, &response);
}

/* --- the answer --- */

static bool header_ok(const char *name, const char *value)
{
    if (!*name)
        return false;
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
            return false;
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return true;
}

static size_t answer_headers(
    const struct peri_value *map, struct peri_http_field *fields, size_t max, const char **ret_type)
{
    size_t n = 0;
    for (void *it = peri_map_first(map); it && n < max; it = peri_map_next(map, it)) {
        const char *name = peri_map_key(it, NULL), *value = peri_value_text(peri_map_item(it));
        if (!value || !header_ok(name, value))
            continue;
        if (!strcasecmp(name, "content-type"))
            *ret_type = value;
        else
            fields[n++] = (struct peri_http_field){name, value};
    }
    return n;
}

static void web_finished(struct peri_job *job, const struct peri_call_result *result)
{
    struct peri_webhook_response response = {.status = 204, .body = ""};
    struct peri_http_field fields[32];
    const struct peri_value *v = result->value, *json = peri_map_at(v, "json");
    char *text = NULL;
    if (result->status) {
        /* The sender learns nothing of why. */
        peri_warn(job->host->options.log, job->plugin->area, "webhook %s failed: %s [%s]", job->web->path,
            result->error.message, result->error.code);
        bool again = result->status == PERI_EBUSY || !strcmp(result->error.code, "stopping");
        refuse(job->done.web, job->arg, again ? 503 : 500, &result->error);
        return;
    }
    if (peri_value_is(v, PERI_MAP)) {
        int64_t status = peri_map_int(v, "status", json || peri_map_at(v, "body") ? 200 : 204);
        response.status = status >= 200 && status <= 599 ? (int)status : 500;
        if (json) {
            response.content_type = "application/json";
            text = peri_json_text(json, PERI_JSON_COMPACT);
            response.body = text ? text : "";
            response.body_len = strlen(response.body);
        } else if (peri_map_text(v, "body")) {
            response.content_type = "text/plain; charset=utf-8";
            response.body = peri_value_textn(peri_map_at(v, "body"), &response.body_len);
        }
        response.headers = fields;
        response.header_count = answer_headers(
            peri_map_at(v, "headers"), fields, sizeof(fields) / sizeof(fields[0]), &response.content_type);
        if (!response.body_len)
            response.content_type = NULL;
    }
    job->done.web(job->arg, &response);
    free(text);
}

/* --- the request --- */

static char *lowered(const char *s)
{
    char *copy = peri_strdup(s);
    for (char *c = copy; c && *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return copy;
}

static struct peri_web_copy *copy_request(const struct peri_webhook_request *r)
{
    struct peri_web_copy *web = calloc(1, sizeof(*web));
    if (!web)
        return NULL;
    web->path = peri_strdup(r->path);
    web->method = peri_strdup(r->method);
    web->url = peri_strdup(r->url ? r->url : "");
    web->query = peri_strdup(r->query ? r->query : "");
    web->remote = peri_strdup(r->remote ? r->remote : "");
    web->body = malloc(r->body_len + 1);
    if (web->body) {
        memcpy(web->body, r->body ? r->body : "", r->body_len);
        web->body[r->body_len] = '\0';
        web->body_len = r->body_len;
    }
    web->headers = calloc(r->header_count + 1, sizeof(*web->headers));
    bool ok = web->path && web->method && web->url && web->query && web->remote && web->body && web->headers;
    for (size_t i = 0; ok && i < r->header_count; i++) {
        web->headers[i] = (struct peri_http_field){lowered(r->headers[i].name), peri_strdup(r->headers[i].value)};
        web->header_count++;
        ok = web->headers[i].name && web->headers[i].value;
    }
    if (ok)
        return web;
    peri_web_free(web);
    return NULL;
}

static const struct peri_web_def *find(const struct peri_plugin *p, const char *path)
{
    for (size_t i = 0; i < p->web_count; i++)
        if (!strcmp(p->webs[i].path, path))
            return &p->webs[i];
    return NULL;
}

static bool method_ok(const struct peri_web_def *def, const char *method)
{
    for (char **m = def->methods; *m; m++)
        if (!strcmp(*m, method))
            return true;
    return false;
}

/* def NULL: a channel's own door. */
static void wrong_method(const struct peri_web_def *def, peri_webhook_done done, void *arg)
{
    char *incoming[] = {(char *)(uintptr_t) "GET", (char *)(uintptr_t) "POST", NULL};
    char *allow = peri_strdup("");
    for (char **m = def ? def->methods : incoming; allow && *m; m++) {
        char *more = peri_asprintf("%s%s%s", allow, *allow ? ", " : "", *m);
        free(allow);
        allow = more;
    }
    struct peri_http_field field = {"Allow", allow ? allow : ""};
    struct peri_webhook_response response = {.status = 405, .body = "", .headers = &field, .header_count = 1};
    peri_error_set(&response.error, PERI_EINVAL, "method", "this webhook takes %s", field.value);
    done(arg, &response);
    free(allow);
}

void peri_host_webhook(
    struct peri_host *host, const struct peri_webhook_request *request, peri_webhook_done done, void *arg)
{
    struct peri_error err = {0};
    struct peri_plugin *plugin = peri_host_plugin(host, request->plugin_id);
    if (plugin && plugin->state != PERI_PLUGIN_ACTIVE)
        plugin = NULL;
    const struct peri_web_def *def = plugin ? find(plugin, request->path) : NULL;
    bool incoming = plugin && !def && plugin->has_incoming;
    if ((!def && !incoming) || !peri_grants_uses(plugin->grants, "network:inbound")) {
        peri_error_set(&err, PERI_ENOTFOUND, NULL, "there is no such webhook");
        refuse(done, arg, 404, &err);
        return;
    }
    if (incoming ? !peri_streq(request->method, "POST") && !peri_streq(request->method, "GET")
                 : !method_ok(def, request->method)) {
        wrong_method(def, done, arg);
        return;
    }
    struct peri_job *job = peri_job_create(plugin, PERI_JOB_WEBHOOK);
    if (job) {
        job->web = copy_request(request);
        job->path[0] = incoming ? "channel" : "webhooks";
        job->path[1] = incoming ? "handle_incoming_event" : def->path;
        job->path[2] = incoming ? NULL : "handle";
        job->finish = web_finished;
        job->done.web = done;
        job->arg = arg;
    }
    if (!job || !job->web) {
        peri_job_free(job);
        peri_error_nomem(&err);
        refuse(done, arg, 503, &err);
        return;
    }
    if (peri_job_start(job, false, &err))
        refuse(done, arg, 503, &err);
}

size_t peri_host_webhooks(const struct peri_host *host)
{
    size_t n = 0;
    for (const struct peri_job *job = host->jobs; job; job = job->next)
        n += job->kind == PERI_JOB_WEBHOOK && !job->answered;
    return n;
}
