/* SPDX-License-Identifier: Apache-2.0 */
/* Start, reload and stop of the service. The order of the start is the order of recovery: lock and store first, then
 * the door (events are journaled from here on), then plugins, rules, and what waits in the store. */
#include "app/hooks.h"
#include "app/service.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/api.h"
#include "app/cli.h"
#include "app/forget.h"
#include "app/notify.h"
#include "app/paths.h"
#include "app/privacy_watch.h"
#include "app/reload.h"
#include "base/pool.h"
#include "base/failpoint.h"
#include "base/id.h"
#include "base/str.h"
#include "app/zones.h"

#define WATCH_DEBOUNCE_MS 100
#define PRUNE_EVERY_MS 60000
#define PRUNE_IDLE_MS 3600000 /* nothing has been written since: what is there only gets older */
#define DRAIN_MS 10000
#define HOOKS_LOOK_MS 20
#define FAREWELL_MS 3000 /* for what hears that the service stops */
#define RESERVE_BYTES ((size_t)16 << 20)
#define MAX_WATCHES 32
#define CONNECTIONS_MAX ((size_t)1024)
#define OTHER_FILES ((size_t)512) /* descriptors that are no connections of the API */

struct watches {
    struct peri_watch *items[MAX_WATCHES];
    size_t count;
};

/* What only this file needs beside the service. */
struct keeper {
    struct peri_service s;
    struct watches watches;
    struct peri_timer *prune, *drain, *hooks, *farewell;
    int64_t farewell_until_ms;
    bool approve_all, ended;
    bool worked, prune_idle; /* worked: something was written since the last pruning */
    char *share, *crumb;
};

static enum peri_status post(void *ctx, void (*fn)(void *arg), void *arg)
{
    return peri_loop_post(ctx, fn, arg);
}

static int fail(struct peri_service *s, const char *what, const struct peri_error *err)
{
    const char *hint = err->status == PERI_ECORRUPT ? "; nothing was changed: see `perigee recover'" : "";
    peri_err(s->log, "start", "%s: %s%s", what, err->message, hint);
    return err->status == PERI_ENOMEM || err->status == PERI_EINTERNAL ? PERI_EXIT_INTERNAL : PERI_EXIT_NO;
}

/* --- token --- */

/* The configured token, else the one of the state folder, else a new one that is printed this once. */
static enum peri_status load_token(struct peri_service *s, struct peri_error *err)
{
    if (s->config->http.token) {
        s->token = peri_strdup(s->config->http.token);
        return s->token ? PERI_OK : peri_error_nomem(err);
    }
    char *path = peri_path_join(s->config->state_dir, "token"), *text = NULL;
    size_t len;
    enum peri_status st = peri_path_read(path, 4096, &text, &len, err);
    if (st == PERI_OK) {
        text[strcspn(text, "\r\n")] = '\0';
        s->token = text;
        if (!*text)
            st = peri_error_set(err, PERI_EINVAL, NULL, "%s is empty: delete it, and a new token is made", path);
    } else if (st == PERI_ENOTFOUND) {
        unsigned char bytes[24];
        char line[64] = "";
        st = peri_random(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++)
            snprintf(line + 2 * i, 3, "%02x", bytes[i]);
        s->token = peri_strdup(line);
        memcpy(line + 2 * sizeof(bytes), "\n", 2);
        if (st == PERI_OK)
            st = peri_path_write_private(path, line, err);
        if (st == PERI_OK)
            fprintf(stderr, "perigee: API token (kept in %s, shown only now): %s\n", path, s->token);
    }
    free(path);
    return st;
}

/* --- start --- */

static void rules_changed(void *arg)
{
    struct peri_service *s = arg;
    if (s->ready && !s->draining) {
        peri_privacy_watch_update(s->privacy);
        peri_reload(s->reload, NULL, NULL);
    }
}

static void prune_later(struct keeper *k, int64_t ms);

static void policy_changed(void *arg)
{
    struct peri_service *s = arg;
    if (!s->ready || s->draining)
        return;
    peri_info(s->log, "plugins", "%s has changed", s->config->policy);
    peri_host_rescan(s->host);
}

static void settings_changed(void *arg)
{
    struct peri_service *s = arg;
    if (!s->ready || s->draining || !peri_settings_reload(s))
        return;
    peri_privacy_watch_update(s->privacy);
    peri_host_rescan(s->host);
}

static void watch_folders(struct keeper *k)
{
    struct peri_service *s = &k->s;
    for (size_t i = 0; s->config->rules[i] && k->watches.count < MAX_WATCHES; i++) {
        struct peri_watch *watch;
        if (peri_loop_watch(s->loop, s->config->rules[i], WATCH_DEBOUNCE_MS, rules_changed, s, &watch) == PERI_OK)
            k->watches.items[k->watches.count++] = watch;
        else
            peri_warn(s->log, "rules", "cannot watch %s: changes are read on SIGHUP only", s->config->rules[i]);
    }
    const struct {
        const char *path;
        void (*changed)(void *arg);
    } files[] = {{s->config->policy, policy_changed}, {s->config->file, settings_changed}};
    for (size_t i = 0; i < 2; i++) {
        struct peri_watch *watch;
        if (files[i].path && k->watches.count < MAX_WATCHES &&
            peri_loop_watch(s->loop, files[i].path, WATCH_DEBOUNCE_MS, files[i].changed, s, &watch) == PERI_OK)
            k->watches.items[k->watches.count++] = watch;
    }
}

static void finish_start(void *arg)
{
    struct keeper *k = arg;
    struct peri_service *s = &k->s;
    struct peri_error err;
    peri_config_check_plugins(s->config, s->host, &s->findings);
    peri_service_log_findings(s);
    peri_privacy_watch_update(s->privacy);
    watch_folders(k); /* before they are read: no edit is missed */
    peri_service_load_rules(s);
    if (peri_pipeline_start(s->pipeline, s->host, &err)) {
        s->exit_code = fail(s, "recovery", &err);
        peri_loop_stop(s->loop);
        return;
    }
    s->ready = true;
    if (s->news.waits) /* only now it is known who hears it */
        peri_news_rules(&s->news, s->pipeline, peri_rulebook_rules(s->rulebook), &s->findings);
    prune_later(k, 0); /* what is too old by now goes first */
    peri_news_started(s->pipeline, s->started_ms);
    peri_pool_trim(); /* loading needed more than running does */
    peri_info(s->log, "service", "ready on %s, state in %s", s->address, s->config->state_dir);
    peri_notify_systemd("READY=1\nSTATUS=running");
}

static void prune(void *arg);

/* The disk is full, has room again, or the database is damaged. Old rows are the first thing that can make room. */
static void store_changed(void *arg)
{
    struct keeper *k = arg;
    struct peri_service *s = &k->s;
    if (k->ended || !s->pipeline)
        return;
    peri_pipeline_wake(s->pipeline);
    if (peri_store_state(s->store, NULL) == PERI_STORE_FULL && k->prune) {
        peri_timer_cancel(k->prune);
        prune(k);
    }
    peri_notify_systemd(peri_store_state(s->store, NULL) == PERI_STORE_GOOD
                            ? "STATUS=running"
                            : "STATUS=no event is accepted: see the log");
}

struct prune_job {
    struct keeper *keeper;
    struct peri_retention retention;
    bool more;
    int64_t rows;
};

static enum peri_status prune_write(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct prune_job *job = arg;
    enum peri_status st = peri_tx_prune(tx, &job->retention, &job->more, &job->rows, err);
    PERI_FAILPOINT("prune.rows");
    return st;
}

static void prune_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct prune_job *job = arg;
    PERI_FAILPOINT("prune.done");
    if (st && st != PERI_ECORRUPT) /* of damage the store has told */
        peri_warn(job->keeper->s.log, "retention", "%s", err->message);
    struct keeper *k = job->keeper;
    if (!st)
        peri_metric_add(
            peri_metrics_counter(k->s.metrics, "pruned_rows_total", NULL, "Rows that retention has deleted."),
            job->rows);
    k->prune_idle = st == PERI_OK && !job->more && !k->worked;
    prune_later(k, st == PERI_OK && job->more ? 100 : k->prune_idle ? PRUNE_IDLE_MS : PRUNE_EVERY_MS);
    k->worked = false;
    if (!st && !job->more)
        peri_forget_gone(&k->s);
    free(job);
}

/* The pipeline has written something. */
static void worked(void *arg)
{
    struct keeper *k = arg;
    k->worked = true;
    if (!k->prune_idle || !k->prune)
        return;
    k->prune_idle = false;
    peri_timer_cancel(k->prune);
    k->prune = NULL;
    prune_later(k, PRUNE_EVERY_MS);
}

static void prune(void *arg)
{
    struct keeper *k = arg;
    struct prune_job *job = calloc(1, sizeof(*job));
    k->prune = NULL;
    if (job) {
        const struct peri_config *c = k->s.config;
        *job = (struct prune_job){.keeper = k,
            .retention = {.events_ms = c->retention.events_ms,
                .runs_ms = c->retention.runs_ms,
                .audit_ms = c->retention.audit_ms,
                .max_events = c->retention.max_events,
                .max_runs = c->retention.max_runs,
                .max_audit = c->retention.max_audit,
                .max_outbox = c->retention.max_messages,
                .max_bytes = c->retention.max_bytes}};
        if (peri_store_submit(k->s.store, 64, prune_write, prune_done, job) == PERI_OK)
            return;
    }
    free(job);
    prune_later(k, PRUNE_EVERY_MS);
}

static void prune_later(struct keeper *k, int64_t ms)
{
    if (!k->s.draining && peri_loop_after(k->s.loop, ms, prune, k, &k->prune))
        peri_warn(k->s.log, "retention", "cannot set a timer: old events stay until the next start");
}

/* Nothing is left but, perhaps, webhooks: their senders hear an answer. */
static void drained(void *arg)
{
    struct keeper *k = arg;
    k->hooks = NULL;
    if (!peri_host_webhooks(k->s.host) || peri_loop_after(k->s.loop, HOOKS_LOOK_MS, drained, k, &k->hooks))
        peri_loop_stop(k->s.loop);
}

static void drain_timeout(void *arg)
{
    struct keeper *k = arg;
    k->drain = NULL;
    peri_warn(k->s.log, "service", "some calls are still under way: they are resumed or shown after the next start");
    peri_loop_stop(k->s.loop);
}

static void begin_drain(struct keeper *k)
{
    if (peri_loop_after(k->s.loop, DRAIN_MS, drain_timeout, k, &k->drain))
        peri_loop_stop(k->s.loop);
    peri_pipeline_drain(k->s.pipeline, drained, k);
}

/* Whoever hears system.Stopping still works as always, for a while. */
static void say_farewell(void *arg)
{
    struct keeper *k = arg;
    struct peri_service *s = &k->s;
    bool busy = !peri_pipeline_is_quiet(s->pipeline) || peri_store_queued(s->store) || peri_host_delivers(s->host);
    k->farewell = NULL;
    if (!busy || peri_clock_mono(&s->clock).ns / 1000000 >= k->farewell_until_ms ||
        peri_loop_after(s->loop, HOOKS_LOOK_MS, say_farewell, k, &k->farewell))
        begin_drain(k);
}

static void on_signal(void *arg, int signo)
{
    struct keeper *k = arg;
    struct peri_service *s = &k->s;
    if (signo == SIGHUP) {
        peri_info(s->log, "service", "SIGHUP: reading settings, plugins and rules again");
        if (s->ready && !s->draining)
            (void)peri_settings_reload(s);
        rules_changed(s);
        if (s->ready && !s->draining)
            peri_host_rescan(s->host);
        return;
    }
    if (s->draining || !s->ready) {
        peri_loop_stop(s->loop);
        return;
    }
    peri_info(s->log, "service", "stopping");
    peri_notify_systemd("STOPPING=1");
    s->draining = true;
    if (!peri_news_stopping(s->pipeline, signo == SIGINT ? "SIGINT" : "SIGTERM")) {
        begin_drain(k);
        return;
    }
    k->farewell_until_ms = peri_clock_mono(&s->clock).ns / 1000000 + FAREWELL_MS;
    if (peri_loop_after(s->loop, HOOKS_LOOK_MS, say_farewell, k, &k->farewell))
        begin_drain(k);
}

static enum peri_status open_store(struct keeper *k, struct peri_error *err)
{
    struct peri_service *s = &k->s;
    enum peri_status st = peri_path_make(s->config->state_dir, err);
    if (st)
        return st;
    if (access(s->config->state_dir, W_OK | X_OK) < 0)
        return peri_error_set(err, PERI_EIO, NULL,
            "the state folder %s can not be written: %s (choose another with state_dir or PERIGEE_STATE_DIR)",
            s->config->state_dir, strerror(errno));
    struct peri_store_options options = {.path = s->config->database,
        .log = s->log,
        .metrics = s->metrics,
        .clock = s->clock,
        .post = post,
        .post_ctx = s->loop,
        .reserve = RESERVE_BYTES,
        .high = true,
        .changed = store_changed,
        .changed_ctx = k};
    return peri_store_open(&options, &s->store, err);
}

static struct peri_event *system_event(
    void *ctx, const char *type, struct peri_value *data, const struct peri_event *about)
{
    return peri_pipeline_system_event(ctx, type, data, about);
}

static bool account_used(void *ctx, const char *provider)
{
    const struct peri_service *s = ctx;
    return s->host && peri_host_uses_account(s->host, provider);
}

static enum peri_status open_accounts(struct peri_service *s, struct peri_error *err)
{
    struct peri_accounts_options options = {.loop = s->loop,
        .http = s->http,
        .log = s->log,
        .clock = s->clock,
        .secrets = s->secrets,
        .state_dir = s->config->state_dir,
        .used = account_used,
        .used_ctx = s,
        .changed = peri_api_account_changed,
        .changed_ctx = s};
    enum peri_status st = peri_accounts_create(&options, &s->accounts, err);
    return st ? st : peri_accounts_configure(s->accounts, s->config->accounts, err);
}

static enum peri_status open_host(struct keeper *k, struct peri_error *err)
{
    struct peri_service *s = &k->s;
    const struct peri_config *c = s->config;
    k->crumb = peri_path_join(c->state_dir, "loading");
    struct peri_host_options options = {
        .loop = s->loop,
        .log = s->log,
        .metrics = s->metrics,
        .clock = s->clock,
        .store = s->store,
        .http = s->http,
        .secrets = s->secrets,
        .accounts = s->accounts,
        .tz = &s->tz,
        .timezone = s->config->timezone,
        .plugin_path = (const char *const *)c->plugin_path,
        .bundled_path = k->share,
        .policy_file = c->policy,
        .approve_all = k->approve_all,
        .note_usage = true,
        .crumb = k->crumb,
        .probe_program = PERI_PATH_SELF,
        .settings = peri_config_settings,
        .settings_ctx = (void *)(uintptr_t)c,
        .channel_for = peri_config_channel,
        .fallback_for = peri_config_fallback,
        .channel_ctx = (void *)(uintptr_t)c,
        .reads = peri_privacy_watch_entity,
        .reads_ctx = s->privacy,
        .ops = {.submit = peri_pipeline_host_submit,
            .insist = peri_pipeline_host_insist,
            .system_event = system_event,
            .ctx = s->pipeline},
        .workers = (int)c->limits.workers,
        .watch = true,
        .on_change = rules_changed,
        .change_ctx = s,
        .limits = {.instructions = c->limits.instructions,
            .running_ms = c->limits.running_ms,
            .wall_ms = c->limits.wall_ms,
            .memory_bytes = (size_t)c->limits.memory_bytes},
    };
    return peri_host_create(&options, &s->host, err);
}

/* A descriptor for each connection, and some for everything else: files, plugins' calls, readers. */
static size_t connections_max(struct peri_service *s)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return CONNECTIONS_MAX;
    rlim_t want = CONNECTIONS_MAX + OTHER_FILES, had = limit.rlim_cur;
    if (had < want) {
        limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > want ? want : limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            limit.rlim_cur = had;
    }
    if (limit.rlim_cur >= want)
        return CONNECTIONS_MAX;
    size_t most = limit.rlim_cur > 2 * OTHER_FILES ? limit.rlim_cur - OTHER_FILES : limit.rlim_cur / 2;
    peri_warn(s->log, "service", "the limit of open files (%llu) allows %zu connections only",
        (unsigned long long)limit.rlim_cur, most);
    return most;
}

static enum peri_status open_door(struct peri_service *s, struct peri_error *err)
{
    enum peri_status st = peri_api_create(s, &s->api, err);
    if (st)
        return st;
    struct peri_http_server_options options = {.loop = s->loop,
        .log = s->log,
        .metrics = s->metrics,
        .listen = s->config->http.listen,
        .tls_cert = s->config->http.tls_cert,
        .tls_key = s->config->http.tls_key,
        .max_body = (size_t)s->config->http.max_body_bytes,
        .max_headers = 64 * 1024,
        .timeout_s = 60,
        .handler = peri_api_handle,
        .max_connections = connections_max(s),
        .reserved = peri_api_is_reserved,
        .ctx = s->api};
    st = peri_http_server_create(&options, &s->server, err);
    if (st)
        return st;
    const char *listen = s->config->http.listen, *colon = strrchr(listen, ':');
    if (peri_str_starts(listen, "unix:") || !colon)
        s->address = peri_strdup(listen);
    else
        s->address = peri_asprintf("%s://%.*s:%d", s->config->http.tls_cert ? "https" : "http", (int)(colon - listen),
            listen, peri_http_server_port(s->server));
    char *file = peri_path_join(s->config->state_dir, "http.url");
    st = s->address && file ? peri_path_write_private(file, s->address, err) : peri_error_nomem(err);
    free(file);
    if (st == PERI_OK && !s->config->http.public_url) { /* links lead here, then */
        free(s->links.base);
        s->links.base = peri_strdup(s->address);
        st = s->links.base ? PERI_OK : peri_error_nomem(err);
    }
    return st;
}

static char *make_link(void *ctx, uint64_t run, const char *step)
{
    const struct peri_service *s = ctx;
    return peri_link_make(&s->links, run, step, peri_clock_wall_ms(&s->clock) + PERI_LINK_LIFE_MS);
}

static bool hide(void *ctx, const char *text, char **ret)
{
    const struct peri_service *s = ctx;
    size_t len;
    char *once = NULL;
    bool secret = peri_secrets_hide(s->secrets, text, strlen(text), &once, &len);
    if (peri_privacy_watch_hide(s->privacy, secret ? once : text, ret)) {
        free(once);
        return true;
    }
    if (secret)
        *ret = once;
    return secret;
}

static enum peri_status assemble(struct keeper *k, struct peri_error *err)
{
    struct peri_service *s = &k->s;
    enum peri_status st = peri_loop_create(&s->clock, &s->loop, err);
    if (st == PERI_OK)
        st = open_store(k, err);
    if (st == PERI_OK)
        st = load_token(s, err);
    if (st == PERI_OK)
        st = peri_links_open(&s->links, s->config->state_dir, s->config->http.public_url, err);
    if (st == PERI_OK)
        st = peri_service_load_disabled(s, err);
    if (st == PERI_OK)
        st = peri_lookup_create(s->loop, s->store, &s->lookup, err);
    if (st == PERI_OK)
        st = peri_secrets_open(s->config->state_dir, &s->secrets, err);
    if (st == PERI_OK)
        st = peri_privacy_watch_open(s, &s->privacy, err);
    if (st == PERI_OK) {
        peri_secrets_also(s->secrets, "http.token", s->token);
        peri_log_set_filter(s->log, hide, s);
    }
    if (st == PERI_OK)
        st = peri_http_client_create(
            &(struct peri_http_client_options){.loop = s->loop, .log = s->log, .metrics = s->metrics}, &s->http, err);
    if (st == PERI_OK) {
        struct peri_pipeline_options options = {.loop = s->loop,
            .link = make_link,
            .link_ctx = s,
            .store = s->store,
            .log = s->log,
            .metrics = s->metrics,
            .clock = s->clock,
            .tz = &s->tz,
            .timezone = s->config->timezone,
            .seen = peri_privacy_watch_event,
            .seen_ctx = s->privacy,
            .worked = worked,
            .worked_ctx = k,
            .max_event_bytes = (size_t)s->config->limits.max_event_bytes,
            .max_backlog = (size_t)s->config->limits.max_backlog,
            .max_live_runs = s->config->limits.max_live_runs,
            .source_rate = s->config->limits.source_rate,
            .source_burst = s->config->limits.source_burst,
            .source_limits = s->config->limits.sources,
            .source_limit_count = s->config->limits.source_count};
        st = peri_pipeline_create(&options, &s->pipeline, err);
    }
    if (st == PERI_OK)
        st = open_accounts(s, err);
    if (st == PERI_OK)
        st = open_host(k, err);
    if (st == PERI_OK)
        st = (s->rulebook = peri_rulebook_create((const char *const *)s->config->rules)) ? PERI_OK
                                                                                         : peri_error_nomem(err);
    if (st == PERI_OK)
        peri_rulebook_keep_slim(s->rulebook);
    if (st == PERI_OK)
        st = (s->hooks = peri_hooks_create(s->secrets, s->metrics)) ? PERI_OK : peri_error_nomem(err);
    if (st == PERI_OK)
        st = (s->reload = peri_reload_create(s)) ? PERI_OK : peri_error_nomem(err);
    if (st == PERI_OK)
        st = open_door(s, err);
    return st;
}

/* Users of a part go before the part: the door, then what calls plugins, then the store. */
static void dismantle(struct keeper *k)
{
    struct peri_service *s = &k->s;
    char *file = peri_path_join(s->config->state_dir, "http.url");
    k->ended = true;
    if (file && s->address)
        unlink(file);
    free(file);
    peri_timer_cancel(k->prune);
    peri_timer_cancel(k->drain);
    peri_timer_cancel(k->hooks);
    peri_timer_cancel(k->farewell);
    for (size_t i = 0; i < k->watches.count; i++)
        peri_watch_destroy(k->watches.items[i]);
    peri_reload_destroy(s->reload);
    peri_api_close(s->api);
    peri_http_server_destroy(s->server);
    peri_lookup_destroy(s->lookup);
    if (s->loop)
        peri_loop_once(s->loop, 0);
    peri_hooks_destroy(s->hooks);
    peri_host_destroy(s->host);
    peri_pipeline_destroy(s->pipeline);
    peri_accounts_destroy(s->accounts);
    peri_http_client_destroy(s->http);
    peri_store_close(s->store);
    if (s->loop)
        peri_loop_once(s->loop, 0); /* the last completions */
    peri_log_set_filter(s->log, NULL, NULL);
    peri_secrets_destroy(s->secrets);
    peri_privacy_watch_close(s->privacy);
    peri_api_destroy(s->api);
    peri_rulebook_destroy(s->rulebook);
    peri_loop_destroy(s->loop);
    peri_diag_finish(&s->findings);
    peri_value_unref(s->disabled);
    peri_news_finish(&s->news);
    peri_metrics_destroy(s->metrics);
    peri_log_destroy(s->log);
    free(s->token);
    peri_links_finish(&s->links);
    free(s->address);
    free(k->share);
    free(k->crumb);
}

static enum peri_status serve(struct keeper *k, struct peri_error *err)
{
    struct peri_service *s = &k->s;
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (peri_loop_on_signal(s->loop, signals[i], on_signal, k))
            return peri_error_set(err, PERI_EIO, NULL, "cannot handle signals");
    enum peri_status st = peri_host_load(s->host, &s->findings, finish_start, k);
    if (st)
        return peri_error_set(err, st, NULL, "the plugins cannot be loaded");
    if (peri_loop_run(s->loop))
        return peri_error_set(err, PERI_EINTERNAL, NULL, "the event loop failed");
    return PERI_OK;
}

int peri_service_run(const struct peri_service_options *options)
{
    struct keeper k = {.approve_all = options->approve_all, .share = peri_path_share()};
    struct peri_service *s = &k.s;
    struct peri_error err;
    enum peri_log_level level = PERI_LOG_INFO;
    /* glibc keeps small free blocks apart and merges all of them whenever somebody wants more than 1 KiB, which here is
     * at every request and run: a tenth of the time. */
    mallopt(M_MXFAST, 0);
    peri_value_pool();
    s->config = options->config;
    s->clock = peri_clock_system();
    s->tz = peri_tz_files();
    s->started_ms = peri_clock_wall_ms(&s->clock);
    peri_diag_init(&s->findings);
    peri_log_level_parse(s->config->log.level, &level);
    s->log = peri_log_create(
        &(struct peri_log_options){.fd = 2, .level = level, .json = peri_streq(s->config->log.format, "json")});
    s->metrics = peri_metrics_create();
    if (s->log && s->metrics) {
        enum peri_status st = assemble(&k, &err);
        if (st == PERI_OK)
            st = serve(&k, &err);
        if (st)
            s->exit_code = fail(s, "cannot start", &err);
        else
            peri_info(s->log, "service", "stopped");
    } else {
        s->exit_code = PERI_EXIT_INTERNAL;
    }
    int code = s->exit_code;
    dismantle(&k);
    return code;
}
