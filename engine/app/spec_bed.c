/* SPDX-License-Identifier: Apache-2.0 */
#include "app/spec_bed.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/bed.h"
#include "app/paths.h"
#include "app/zones.h"
#include "base/base64.h"
#include "base/str.h"
#include "base/timefmt.h"

#define QUIET_MS 30000     /* of real time: a plugin that hangs ends by its own limits before */
#define MAX_INSTANTS 20000 /* that one step may pass through */
#define WORKERS 1

/* ---- texts that may be no UTF-8 ---- */

enum peri_status peri_spec_put_body(struct peri_value *map, const char *body, size_t len)
{
    struct peri_value *text = peri_value_strn(body ? body : "", len);
    if (text)
        return peri_map_put(map, "body", text);
    struct peri_buf out;
    peri_buf_init(&out, len * 2 + 16);
    enum peri_status st = peri_base64_encode(&out, body, len);
    if (st == PERI_OK)
        st = peri_map_put(map, "body64", peri_value_strn(out.data, out.len));
    peri_buf_finish(&out);
    return st;
}

enum peri_status peri_spec_get_body(const struct peri_value *map, char **ret, size_t *ret_len, struct peri_error *err)
{
    const char *coded = peri_map_text(map, "body64");
    const char *text = peri_value_textn(peri_map_at(map, "body"), ret_len);
    if (coded) {
        enum peri_status st = peri_base64_decode(coded, strlen(coded), ret, ret_len);
        return st == PERI_EINVAL ? peri_error_set(err, st, "spec", "body64 is no base64") : st;
    }
    if (!text)
        *ret_len = 0;
    *ret = malloc(*ret_len + 1);
    if (!*ret)
        return peri_error_nomem(err);
    memcpy(*ret, text ? text : "", *ret_len);
    (*ret)[*ret_len] = '\0';
    return PERI_OK;
}

/* ---- the outside ---- */

static enum peri_status read_error(const struct peri_value *given, struct peri_error *err)
{
    const char *code = peri_map_text(given, "code"), *message = peri_map_text(given, "message");
    bool timeout = code && peri_str_ends(code, ".timeout");
    peri_error_set(err, timeout ? PERI_ETIMEOUT : PERI_EIO, "http.connect", "%s", message ? message : "no answer");
    if (code)
        snprintf(err->code, sizeof(err->code), "%s", code);
    err->retryable = peri_map_bool(given, "retryable", true);
    err->outcome_unknown = peri_streq(peri_map_text(given, "outcome"), "unknown");
    return err->status;
}

static struct peri_value *request_value(const struct peri_http_send *request)
{
    struct peri_value *v = peri_value_map(), *headers = peri_value_list();
    bool good = v && headers && !peri_map_put_text(v, "method", request->method) &&
                !peri_map_put_text(v, "url", request->url) && !peri_map_put_int(v, "timeout_ms", request->timeout_ms);
    for (size_t i = 0; good && i < request->header_count; i++) {
        struct peri_value *pair = peri_value_list();
        good = pair && !peri_list_push(pair, peri_value_str(request->headers[i].name)) &&
               !peri_list_push(pair, peri_value_str(request->headers[i].value));
        good = !peri_list_push(headers, pair) && good;
    }
    good = good && !peri_map_put_ref(v, "headers", headers) &&
           (!request->user || !peri_map_put_text(v, "user", request->user)) &&
           (!request->password || !peri_map_put_text(v, "password", request->password)) &&
           (!request->user_agent || !peri_map_put_text(v, "user_agent", request->user_agent)) &&
           (!request->cert || !peri_map_put_text(v, "cert", request->cert)) &&
           (!request->key || !peri_map_put_text(v, "key", request->key)) &&
           (!request->ca || !peri_map_put_text(v, "ca", request->ca)) &&
           !peri_spec_put_body(v, request->body, request->body_len);
    peri_value_unref(headers);
    if (good)
        return v;
    peri_value_unref(v);
    return NULL;
}

static void forget_answer(struct peri_spec_bed *bed)
{
    peri_value_unref(bed->answer);
    free(bed->headers);
    free(bed->body);
    bed->answer = NULL;
    bed->headers = NULL;
    bed->body = NULL;
}

static enum peri_status answer_http(
    void *ctx, const struct peri_http_send *request, struct peri_http_response *ret, struct peri_error *err)
{
    struct peri_spec_bed *bed = ctx;
    size_t len = 0, n = 0;
    forget_answer(bed);
    struct peri_value *asked = request_value(request);
    bed->answer = asked ? bed->ask(bed->ask_ctx, bed->number, asked) : NULL;
    peri_value_unref(asked);
    if (!bed->answer)
        return peri_error_set(err, PERI_EIO, "http.unavailable", "the spec does not answer");
    if (peri_map_at(bed->answer, "error"))
        return read_error(peri_map_at(bed->answer, "error"), err);
    const struct peri_value *headers = peri_map_at(bed->answer, "headers");
    bed->headers = calloc(peri_value_count(headers) + 1, sizeof(*bed->headers));
    if (!bed->headers || peri_spec_get_body(bed->answer, &bed->body, &len, err))
        return peri_error_nomem(err);
    for (void *it = peri_map_first(headers); it; it = peri_map_next(headers, it))
        if (peri_value_text(peri_map_item(it)))
            bed->headers[n++] = (struct peri_http_field){peri_map_key(it, NULL), peri_value_text(peri_map_item(it))};
    *ret = (struct peri_http_response){.status = (int)peri_map_int(bed->answer, "status", 200),
        .headers = bed->headers,
        .header_count = n,
        .body = bed->body,
        .body_len = len,
        .elapsed_ms = peri_map_int(bed->answer, "delay_ms", 0)};
    return PERI_OK;
}

/* ---- the host's surroundings ---- */

static void keep_log(void *ctx, enum peri_log_level level, const char *area, const char *text)
{
    struct peri_spec_bed *bed = ctx;
    struct peri_value *row = peri_value_map();
    bool good = row && !peri_map_put_text(row, "level", peri_log_level_name(level)) &&
                !peri_map_put_text(row, "area", area) && !peri_map_put_text(row, "text", text);
    pthread_mutex_lock(&bed->lock);
    if (good)
        (void)!peri_list_push(bed->logs, row);
    pthread_mutex_unlock(&bed->lock);
    if (!good)
        peri_value_unref(row);
}

static bool settings(void *ctx, const char *id, struct peri_plugin_settings *ret)
{
    const struct peri_spec_bed *bed = ctx;
    const struct peri_value *config = peri_map_at(bed->config, id);
    *ret = (struct peri_plugin_settings){.enabled = true, .config = config};
    return config != NULL;
}

static const char *channel_for(void *ctx, const char *type)
{
    const struct peri_spec_bed *bed = ctx;
    return peri_map_text(bed->channels, type);
}

static void sends(void *ctx, const char *plugin, const struct peri_value *message)
{
    struct peri_spec_bed *bed = ctx;
    (void)!peri_bed_keep_message(bed->sent, plugin, message);
}

static struct peri_event *system_event(
    void *ctx, const char *type, struct peri_value *data, const struct peri_event *about)
{
    struct peri_spec_bed *bed = ctx;
    return peri_pipeline_system_event(bed->pipeline, type, data, about);
}

static enum peri_status submit(void *ctx, struct peri_batch *batch, peri_store_done done, void *arg)
{
    struct peri_spec_bed *bed = ctx;
    return peri_pipeline_host_submit(bed->pipeline, batch, done, arg);
}

static void insist(void *ctx, struct peri_batch *batch, peri_store_done done, void *arg)
{
    struct peri_spec_bed *bed = ctx;
    peri_pipeline_host_insist(bed->pipeline, batch, done, arg);
}

/* ---- making the world ---- */

static enum peri_status open_store(struct peri_spec_bed *bed, const struct peri_value *spec, struct peri_error *err)
{
    enum peri_status st = peri_loop_create(&bed->clock, &bed->loop, err);
    if (st)
        return st;
    peri_loop_by_clock(bed->loop);
    st = peri_bed_store(bed->loop, bed->log, bed->clock, &bed->store, &bed->reader, err);
    if (st == PERI_OK)
        st = peri_bed_put(bed->store, peri_map_at(spec, "data"), false, err);
    if (st == PERI_OK)
        st = peri_secrets_open("/nonexistent", &bed->secrets, err);
    return st ? st : peri_bed_lend(bed->secrets, peri_map_at(spec, "secrets"), err);
}

/* Those that the spec names are connected, and no others. */
static enum peri_status open_accounts(struct peri_spec_bed *bed, const struct peri_value *spec, struct peri_error *err)
{
    struct peri_value *none = peri_value_map(), *given = peri_map_at(spec, "accounts");
    struct peri_accounts_options options = {.loop = bed->loop,
        .log = bed->log,
        .clock = bed->clock,
        .secrets = bed->secrets,
        .state_dir = "/nonexistent",
        .pretend = true,
        .pretended = given ? given : none};
    enum peri_status st = none ? peri_accounts_create(&options, &bed->accounts, err) : peri_error_nomem(err);
    peri_value_unref(none);
    return st;
}

static enum peri_status open_host(
    struct peri_spec_bed *bed, const struct peri_value *spec, const char *const *folders, struct peri_error *err)
{
    const char *zone = peri_map_text(spec, "timezone");
    if (zone && !(bed->timezone = peri_strdup(zone)))
        return peri_error_nomem(err);
    struct peri_host_options options = {
        .loop = bed->loop,
        .log = bed->log,
        .clock = bed->clock,
        .store = bed->store,
        .http = bed->http,
        .secrets = bed->secrets,
        .accounts = bed->accounts,
        .tz = &bed->tz,
        .timezone = bed->timezone, /* the host reads it as long as it lives */
        .plugin_path = folders,
        .bundled_path = bed->share,
        .leave_bundled = true,
        .policy_file = bed->policy,
        .approve_all = true,
        .settings = settings,
        .settings_ctx = bed,
        .channel_for = channel_for,
        .channel_ctx = bed,
        .sends = sends,
        .sends_ctx = bed,
        .ops = {.submit = submit, .insist = insist, .system_event = system_event, .ctx = bed},
        .workers = WORKERS,
    };
    enum peri_status st = peri_host_create(&options, &bed->host, err);
    return st ? st : peri_host_load_now(bed->host, &bed->diag);
}

static enum peri_status start_time(const struct peri_value *spec, int64_t *ret, struct peri_error *err)
{
    const char *now = peri_map_text(spec, "now");
    if (!now)
        now = "2026-01-10T12:00:00.000Z";
    return peri_time_parse(now, strlen(now), ret)
               ? PERI_OK
               : peri_error_set(err, PERI_EINVAL, "spec", "now: \"%s\" is no RFC 3339 time", now);
}

enum peri_status peri_spec_bed_open(
    struct peri_spec_bed *bed, const struct peri_value *spec, const char *const *folders, struct peri_error *err)
{
    int64_t now = 0;
    pthread_mutex_init(&bed->lock, NULL);
    peri_diag_init(&bed->diag);
    bed->config = peri_value_ref(peri_map_at(spec, "config"));
    bed->channels = peri_value_ref(peri_map_at(spec, "channels"));
    bed->logs = peri_value_list();
    bed->sent = peri_value_list();
    bed->share = peri_path_share();
    bed->tz = peri_tz_files();
    bed->log = peri_log_create(&(struct peri_log_options){.fd = 2, .level = PERI_LOG_DEBUG});
    enum peri_status st = bed->logs && bed->sent && bed->share && bed->log ? PERI_OK : peri_error_nomem(err);
    if (st == PERI_OK)
        st = start_time(spec, &now, err);
    peri_log_set_sink(bed->log, keep_log, bed);
    bed->clock = peri_clock_fake_init(&bed->fake, now);
    if (st == PERI_OK)
        st = open_store(bed, spec, err);
    struct peri_http_client_options http = {
        .loop = bed->loop, .log = bed->log, .answer = answer_http, .answer_ctx = bed};
    if (st == PERI_OK)
        st = peri_http_client_create(&http, &bed->http, err);
    struct peri_pipeline_options pipeline = {.loop = bed->loop,
        .store = bed->store,
        .log = bed->log,
        .clock = bed->clock,
        .tz = &bed->tz,
        .impatient = true,
        .reader = bed->reader};
    if (st == PERI_OK)
        st = peri_pipeline_create(&pipeline, &bed->pipeline, err);
    if (st == PERI_OK)
        st = open_accounts(bed, spec, err);
    if (st == PERI_OK)
        st = open_host(bed, spec, folders, err);
    if (st == PERI_OK)
        st = peri_pipeline_set_rules(bed->pipeline, NULL, 0, err);
    if (st == PERI_OK)
        st = peri_pipeline_start(bed->pipeline, bed->host, err);
    return st ? st : peri_spec_bed_settle(bed, err);
}

void peri_spec_bed_close(struct peri_spec_bed *bed)
{
    peri_host_destroy(bed->host); /* its stop handlers write */
    peri_pipeline_destroy(bed->pipeline);
    peri_accounts_destroy(bed->accounts);
    peri_http_client_destroy(bed->http);
    while (bed->call_count)
        peri_spec_bed_drop(bed, bed->calls[0]);
    free(bed->calls);
    peri_secrets_destroy(bed->secrets);
    peri_reader_close(bed->reader);
    peri_store_close(bed->store);
    peri_bed_drain(bed->loop);
    peri_loop_destroy(bed->loop);
    peri_log_destroy(bed->log);
    forget_answer(bed);
    peri_value_unref(bed->config);
    peri_value_unref(bed->channels);
    peri_value_unref(bed->sent);
    peri_value_unref(bed->logs);
    peri_diag_finish(&bed->diag);
    pthread_mutex_destroy(&bed->lock);
    free(bed->share);
    free(bed->policy);
    free(bed->timezone);
}

/* ---- time ---- */

static bool is_quiet(const void *ctx)
{
    const struct peri_spec_bed *bed = ctx;
    return peri_loop_next_due(bed->loop) != 0 && peri_host_is_quiet(bed->host) &&
           peri_pipeline_is_quiet(bed->pipeline) && peri_store_queued(bed->store) == 0;
}

enum peri_status peri_spec_bed_settle(struct peri_spec_bed *bed, struct peri_error *err)
{
    struct peri_bed_rest rest = {is_quiet, bed, QUIET_MS, "spec", "plugin"};
    peri_loop_once(bed->loop, 0);
    return peri_bed_settle(bed->loop, &rest, err);
}

enum peri_status peri_spec_bed_advance(struct peri_spec_bed *bed, int64_t ms, struct peri_error *err)
{
    enum peri_status st = peri_spec_bed_settle(bed, err);
    for (size_t i = 0; st == PERI_OK; i++) {
        int64_t due = peri_loop_next_due(bed->loop);
        bool last = due < 0 || due > ms;
        if (i > MAX_INSTANTS)
            return peri_error_set(err, PERI_ELIMIT, "spec",
                "more than %d things are due on the way: advance in smaller steps", MAX_INSTANTS);
        peri_clock_fake_advance(&bed->fake, last ? ms : due);
        ms -= last ? ms : due;
        st = peri_spec_bed_settle(bed, err);
        if (last)
            break;
    }
    return st;
}

enum peri_status peri_spec_bed_wait(struct peri_spec_bed *bed, const bool *done, struct peri_error *err)
{
    enum peri_status st = peri_spec_bed_settle(bed, err);
    for (size_t i = 0; st == PERI_OK && !*done; i++) {
        int64_t due = peri_loop_next_due(bed->loop);
        if (due < 0 || i > MAX_INSTANTS)
            return peri_error_set(err, PERI_ETIMEOUT, "spec", "the call waits for what never comes");
        peri_clock_fake_advance(&bed->fake, due);
        st = peri_spec_bed_settle(bed, err);
    }
    return st;
}
