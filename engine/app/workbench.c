/* SPDX-License-Identifier: Apache-2.0 */
#include "app/workbench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/blueprint_files.h"
#include "app/paths.h"
#include "app/zones.h"
#include "base/str.h"
#include "base/vec.h"
#include "lang/system_event.h"

static bool operator_facts(void *ctx, const char *id, struct peri_operator_facts *ret)
{
    const struct peri_operator *op = peri_host_operator(ctx, id);
    if (!op)
        return false;
    *ret = (struct peri_operator_facts){op->is_condition, !op->is_condition, op->params, op->description};
    return true;
}

static const char *const *operator_ids(void *ctx)
{
    return peri_host_operator_ids(ctx);
}

static enum peri_field_known event_field(void *ctx, const char *type, const char *field, char near[PERI_FIELD_NEAR])
{
    return peri_host_event_field(ctx, type, field, near);
}

void peri_rule_env_locate(struct peri_rule_env *env, double latitude, double longitude)
{
    env->has_location = !isnan(latitude) && !isnan(longitude);
    env->latitude = latitude;
    env->longitude = longitude;
}

struct peri_rule_env peri_rule_env_of(struct peri_host *host, const struct peri_tz_source *tz, const char *timezone)
{
    return (struct peri_rule_env){.operator_facts = operator_facts,
        .operator_ids = operator_ids,
        .ctx = host,
        .tz = tz,
        .timezone = timezone,
        .event_field = event_field,
        .check_lua = peri_host_check_lua,
        .find_blueprint = peri_blueprint_find_file};
}

struct scratch_write {
    struct peri_workbench *bench;
    struct peri_batch *batch;
    peri_store_done done;
    void *arg;
};

static enum peri_status write_scratch(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    if (((struct scratch_write *)arg)->bench->no_effects)
        return PERI_OK;
    return peri_tx_batch(tx, ((struct scratch_write *)arg)->batch, err);
}

/* Completions come on the loop: the scratch store posts there. */
static void scratch_written(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct scratch_write *w = arg;
    w->done(w->arg, st, err);
    peri_batch_destroy(w->batch);
    free(w);
}

static enum peri_status scratch_submit(void *ctx, struct peri_batch *batch, peri_store_done done, void *arg)
{
    struct peri_workbench *bench = ctx;
    struct scratch_write *w = calloc(1, sizeof(*w));
    if (!w)
        return PERI_ENOMEM;
    *w = (struct scratch_write){bench, batch, done, arg};
    enum peri_status st = peri_store_submit(bench->scratch, peri_batch_bytes(batch), write_scratch, scratch_written, w);
    if (st)
        free(w);
    return st;
}

static enum peri_status post(void *ctx, void (*fn)(void *arg), void *arg)
{
    return peri_loop_post(ctx, fn, arg);
}

static enum peri_status open_host(struct peri_workbench *bench, const char *share, struct peri_error *err)
{
    struct peri_config *config = &bench->cli->config;
    struct peri_host_options options = {
        .loop = bench->loop,
        .log = bench->log,
        .clock = bench->clock,
        .timezone = config->timezone,
        .store = bench->scratch,
        .database = !bench->empty && peri_path_is_file(config->database) ? config->database : NULL,
        .http = bench->http,
        .secrets = bench->secrets,
        .accounts = bench->accounts,
        .tz = &bench->tz,
        .plugin_path = (const char *const *)config->plugin_path,
        .bundled_path = share,
        .probe_program = PERI_PATH_SELF,
        .policy_file = config->policy,
        .approve_all = bench->cli->approve_all,
        .leave_bundled = bench->leave_bundled,
        .settings = bench->settings ? bench->settings : peri_config_settings,
        .settings_ctx = bench->settings ? bench->settings_ctx : config,
        .channel_for = peri_config_channel,
        .fallback_for = peri_config_fallback,
        .channel_ctx = config,
        .reads = bench->reads,
        .reads_ctx = bench->reads_ctx,
        .ops = {.submit = scratch_submit, .ctx = bench},
        .workers = 1,
        .limits = {.instructions = config->limits.instructions,
            .running_ms = config->limits.running_ms,
            .wall_ms = config->limits.wall_ms,
            .memory_bytes = (size_t)config->limits.memory_bytes},
    };
    return peri_host_create(&options, &bench->host, err);
}

enum peri_status peri_workbench_open(
    struct peri_workbench *bench, struct peri_cli *cli, struct peri_diag *diag, struct peri_error *err)
{
    bench->cli = cli;
    bench->clock = bench->use_clock ? *bench->use_clock : peri_clock_system();
    bench->tz = peri_tz_files();
    bench->log = peri_log_create(&(struct peri_log_options){.fd = 2, .level = PERI_LOG_NONE});
    enum peri_status st = peri_loop_create(&bench->clock, &bench->loop, err);
    if (st == PERI_OK) {
        struct peri_store_options options = {
            .path = ":memory:", .log = bench->log, .clock = bench->clock, .post = post, .post_ctx = bench->loop};
        st = peri_store_open(&options, &bench->scratch, err);
    }
    if (st == PERI_OK)
        st = peri_secrets_open(bench->no_effects ? "/nonexistent" : cli->config.state_dir, &bench->secrets, err);
    if (st == PERI_OK && !bench->no_effects)
        st = peri_http_client_create(
            &(struct peri_http_client_options){.loop = bench->loop, .log = bench->log}, &bench->http, err);
    if (st == PERI_OK && !bench->no_effects) {
        struct peri_accounts_options options = {.loop = bench->loop,
            .log = bench->log,
            .clock = bench->clock,
            .secrets = bench->secrets,
            .state_dir = cli->config.state_dir,
            .as_is = true};
        st = peri_accounts_create(&options, &bench->accounts, err);
    }
    if (st == PERI_OK && bench->accounts)
        st = peri_accounts_configure(bench->accounts, cli->config.accounts, err);
    char *share = peri_path_share();
    if (st == PERI_OK)
        st = open_host(bench, share, err);
    free(share);
    if (st == PERI_OK)
        st = peri_host_load_now(bench->host, diag);
    peri_log_set_level(bench->log, PERI_LOG_INFO); /* loading is told by findings */
    if (st == PERI_OK) {
        bench->env = peri_rule_env_of(bench->host, &bench->tz, cli->config.timezone);
        peri_rule_env_locate(&bench->env, cli->config.latitude, cli->config.longitude);
        bench->env.folders[0] = (const char *const *)cli->config.rules;
    } else {
        peri_workbench_close(bench);
    }
    return st;
}

void peri_workbench_close(struct peri_workbench *bench)
{
    peri_host_destroy(bench->host);
    peri_accounts_destroy(bench->accounts);
    peri_http_client_destroy(bench->http);
    peri_secrets_destroy(bench->secrets);
    peri_store_close(bench->scratch);
    if (bench->loop)
        peri_loop_once(bench->loop, 0); /* the last completions */
    peri_loop_destroy(bench->loop);
    peri_log_destroy(bench->log);
    memset(bench, 0, sizeof(*bench));
}

enum peri_status peri_event_types_of(struct peri_host *host, struct peri_event_types *ret)
{
    struct peri_event_types types = {0};
    size_t n = 0, cap = 0;
    enum peri_status st = peri_host_plugins(host, &types.plugins);
    if (st == PERI_OK && !peri_vec_grow(&types.items, &cap, 1, sizeof(*types.items)))
        st = PERI_ENOMEM;
    for (const struct peri_system_event *e = peri_system_events; st == PERI_OK && e->type; e++) {
        if (!peri_vec_grow(&types.items, &cap, n + 2, sizeof(*types.items)))
            st = PERI_ENOMEM;
        else
            types.items[n++] = e->type;
    }
    for (size_t i = 0; st == PERI_OK && i < peri_value_count(types.plugins); i++) {
        const struct peri_value *events = peri_map_at(peri_list_at(types.plugins, i), "events");
        for (size_t k = 0; st == PERI_OK && k < peri_value_count(events); k++) {
            const struct peri_value *event = peri_list_at(events, k);
            if (peri_streq(peri_map_text(event, "direction"), "subscribe"))
                continue;
            if (!peri_vec_grow(&types.items, &cap, n + 2, sizeof(*types.items)))
                st = PERI_ENOMEM;
            else
                types.items[n++] = peri_map_text(event, "eventName");
        }
    }
    if (st == PERI_OK)
        *ret = types;
    else
        peri_event_types_finish(&types);
    return st;
}

void peri_event_types_finish(struct peri_event_types *types)
{
    free(types->items);
    peri_value_unref(types->plugins);
    memset(types, 0, sizeof(*types));
}
