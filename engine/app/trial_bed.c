/* SPDX-License-Identifier: Apache-2.0 */
/* The world of a test: the real store, plugins and pipeline, on a clock that only the test moves. Nothing reaches the
 * network, and nothing that is on the machine (data, secrets, settings) is seen. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "app/bed.h"
#include "app/hooks.h"
#include "app/paths.h"
#include "app/rulebook.h"
#include "app/trial_cover.h"
#include "app/trial_stub.h"
#include "app/zones.h"
#include "base/str.h"

#define QUIET_MS 30000     /* of real time: a plugin that hangs ends by its own limits before */
#define MAX_INSTANTS 20000 /* that one step of a test may pass through */

/* ---- operators ---- */

/* Scripts of rules have no effects, so they are none either. */
static bool is_action(struct peri_trial_bed *bed, const char *id)
{
    const struct peri_operator *op = peri_host_operator(bed->host, id);
    const struct peri_trial_stub *stub = peri_trial_stub_find(bed, id);
    if (op)
        return !op->is_condition;
    return strcmp(id, PERI_RULE_LUA) != 0 && !(stub && stub->count && stub->answers[0].is_condition);
}

static void record(struct peri_trial_bed *bed, const struct peri_call *call)
{
    struct peri_value *v = peri_value_map();
    if (!v || peri_map_put_text(v, "operator", call->operator_id) != PERI_OK ||
        (call->params && peri_map_put_ref(v, "params", call->params) != PERI_OK) ||
        peri_map_put_text(v, "rule", call->rule_id) != PERI_OK ||
        peri_map_put_text(v, "run", call->run_id) != PERI_OK ||
        peri_map_put_time(v, "time", peri_clock_wall_ms(&bed->clock)) != PERI_OK) {
        peri_value_unref(v);
        v = NULL;
    }
    if (peri_list_push(bed->calls, v) != PERI_OK)
        bed->failed = PERI_ENOMEM;
}

static void sends(void *ctx, const char *plugin, const struct peri_value *message)
{
    struct peri_trial_bed *bed = ctx;
    if (bed->sent && peri_bed_keep_message(bed->sent, plugin, message))
        bed->failed = PERI_ENOMEM;
}

static bool lookup(void *ctx, const char *id, enum peri_delivery *ret)
{
    struct peri_trial_bed *bed = ctx;
    bool script = strcmp(id, PERI_RULE_LUA) == 0, known = script || peri_host_operator(bed->host, id) != NULL;
    *ret = script ? PERI_DELIVERY_REPEAT : known ? peri_host_delivery(bed->host, id) : PERI_DELIVERY_ONCE;
    return known || peri_trial_stub_find(bed, id);
}

static enum peri_status call(
    void *ctx, const struct peri_call *c, peri_call_done done, void *arg, struct peri_error *err)
{
    struct peri_trial_bed *bed = ctx;
    struct peri_trial_stub *stub = peri_trial_stub_find(bed, c->operator_id);
    enum peri_status st =
        stub ? peri_trial_stub_call(bed, stub, c, done, arg, err) : peri_host_call(bed->host, c, done, arg, err);
    if (st == PERI_OK && is_action(bed, c->operator_id))
        record(bed, c);
    return st;
}

static void destination(void *ctx, const char *id, const struct peri_value *params, char *out, size_t size)
{
    peri_host_destination(((struct peri_trial_bed *)ctx)->host, id, params, out, size);
}

static void journaled(void *ctx, struct peri_event *event)
{
    peri_host_journaled(((struct peri_trial_bed *)ctx)->host, event);
}

static void decided(
    void *ctx, const struct peri_rule *rule, const struct peri_condition *leaf, enum peri_cond_outcome outcome)
{
    peri_trial_cover_condition(((struct peri_trial_bed *)ctx)->cover, rule, leaf, outcome);
}

static bool hears(void *ctx, const char *type)
{
    return peri_host_hears(((struct peri_trial_bed *)ctx)->host, type);
}

/* ---- making the world ---- */

/* What plugins write goes through the pipeline of the case. */
static enum peri_status submit(void *ctx, struct peri_batch *batch, peri_store_done done, void *arg)
{
    struct peri_trial_bed *bed = ctx;
    return bed->pipeline ? peri_pipeline_host_submit(bed->pipeline, batch, done, arg) : PERI_ESTATE;
}

static void insist(void *ctx, struct peri_batch *batch, peri_store_done done, void *arg)
{
    struct peri_trial_bed *bed = ctx;
    if (bed->pipeline) {
        peri_pipeline_host_insist(bed->pipeline, batch, done, arg);
        return;
    }
    done(arg, PERI_ESTATE, NULL);
    peri_batch_destroy(batch);
}

static struct peri_event *system_event(
    void *ctx, const char *type, struct peri_value *data, const struct peri_event *about)
{
    struct peri_trial_bed *bed = ctx;
    if (bed->pipeline)
        return peri_pipeline_system_event(bed->pipeline, type, data, about);
    peri_value_unref(data);
    return NULL;
}

/* Only what the test file says: the machine's own settings would make a test mean something else elsewhere. */
static bool settings(void *ctx, const char *id, struct peri_plugin_settings *ret)
{
    const struct peri_trial_bed *bed = ctx;
    const struct peri_value *entry = peri_map_at(bed->file->plugins, id);
    if (!entry)
        return false;
    *ret = (struct peri_plugin_settings){peri_map_bool(entry, "enabled", true), peri_map_at(entry, "config"), NULL};
    return true;
}

static enum peri_status open_host(struct peri_trial_bed *bed, struct peri_diag *diag, struct peri_error *err)
{
    const struct peri_config *config = &bed->cli->config;
    char *share = peri_path_share();
    struct peri_host_options options = {
        .loop = bed->loop,
        .log = bed->log,
        .clock = bed->clock,
        .store = bed->store,
        .http = bed->http,
        .secrets = bed->secrets,
        .accounts = bed->accounts,
        .sends = sends,
        .sends_ctx = bed,
        .tz = &bed->tz,
        .timezone = bed->file->timezone,
        .plugin_path = (const char *const *)config->plugin_path,
        .bundled_path = share,
        .probe_program = PERI_PATH_SELF,
        .policy_file = config->policy,
        .approve_all = bed->cli->approve_all,
        .settings = settings,
        .settings_ctx = bed,
        .ops = {.submit = submit, .insist = insist, .system_event = system_event, .ctx = bed},
        .workers = 1,
    };
    enum peri_status st = peri_host_create(&options, &bed->host, err);
    if (st == PERI_OK)
        st = peri_host_load_now(bed->host, diag);
    free(share);
    return st;
}

static bool facts(void *ctx, const char *id, struct peri_operator_facts *ret)
{
    struct peri_trial_bed *bed = ctx;
    const struct peri_operator *op = peri_host_operator(bed->host, id);
    const struct peri_trial_stub *stub = op ? NULL : peri_trial_stub_known(bed->file, id);
    if (op)
        *ret = (struct peri_operator_facts){op->is_condition, !op->is_condition, op->params, op->description};
    else if (stub && stub->count)
        *ret = (struct peri_operator_facts){stub->answers[0].is_condition, !stub->answers[0].is_condition, NULL, NULL};
    return op || stub;
}

static const char *const *ids(void *ctx)
{
    return peri_host_operator_ids(((struct peri_trial_bed *)ctx)->host);
}

static enum peri_status load_rules(struct peri_trial_bed *bed, struct peri_diag *diag)
{
    bed->env = peri_rule_env_of(bed->host, &bed->tz, bed->file->timezone);
    peri_rule_env_locate(&bed->env, bed->file->latitude, bed->file->longitude);
    bed->env.folders[0] = (const char *const *)bed->cli->config.rules;
    bed->env.operator_facts = facts; /* knows stubs too */
    bed->env.operator_ids = ids;
    bed->env.event_field = NULL; /* warnings are for perigee check */
    bed->env.ctx = bed;
    struct peri_rulebook *book = peri_rulebook_create((const char *const *)bed->file->rules);
    size_t before = diag->errors;
    enum peri_status st = book ? peri_rulebook_load(book, &bed->env, diag) : PERI_ENOMEM;
    const struct peri_rule_list *rules = st == PERI_OK ? peri_rulebook_rules(book) : NULL;
    bed->rules.items = rules ? calloc(rules->count + 1, sizeof(struct peri_rule *)) : NULL;
    for (size_t i = 0; bed->rules.items && i < rules->count; i++)
        bed->rules.items[bed->rules.count++] = peri_rule_ref(rules->items[i]);
    if (st == PERI_OK && !bed->rules.items)
        st = PERI_ENOMEM;
    if (st == PERI_OK && diag->errors == before && bed->rules.count == 0)
        peri_diag_add(diag, (struct peri_place){bed->file->path, 0, 0}, PERI_SEV_ERROR, "no-file",
            "rules: names the rule files, relative to the test file", "there are no rules to test in %s",
            bed->file->rules[0]);
    peri_rulebook_destroy(book);
    return st ? st : diag->errors > before ? PERI_EINVAL : PERI_OK;
}

static enum peri_status wipe(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_wipe(tx, err);
}

static enum peri_status make_ground(struct peri_trial_bed *bed, struct peri_error *err)
{
    bed->clock = peri_clock_fake_init(&bed->fake, 0);
    bed->tz = peri_tz_files();
    bed->log = peri_log_create(&(struct peri_log_options){.fd = 2, .level = PERI_LOG_NONE});
    enum peri_status st = peri_loop_create(&bed->clock, &bed->loop, err);
    return st ? st : peri_bed_store(bed->loop, bed->log, bed->clock, &bed->store, &bed->reader, err);
}

enum peri_status peri_trial_bed_open(struct peri_trial_bed *bed, struct peri_cli *cli,
    const struct peri_trial_file *file, struct peri_diag *diag, struct peri_error *err)
{
    peri_error_clear(err);
    bed->cli = cli;
    bed->file = file;
    enum peri_status st = bed->store ? peri_store_run(bed->store, wipe, NULL, err) : make_ground(bed, err);
    if (st == PERI_OK)
        atomic_store(&bed->fake.wall_ms, 0);
    if (st == PERI_OK)
        st = peri_secrets_open("/nonexistent", &bed->secrets, err);
    if (st == PERI_OK)
        st = peri_bed_lend(bed->secrets, bed->file->secrets, err);
    if (st == PERI_OK) {
        struct peri_http_client_options options = {
            .loop = bed->loop, .log = bed->log, .answer = peri_trial_answer_http, .answer_ctx = bed};
        st = peri_http_client_create(&options, &bed->http, err);
    }
    if (st == PERI_OK) {
        struct peri_accounts_options options = {.loop = bed->loop,
            .clock = bed->clock,
            .secrets = bed->secrets,
            .state_dir = "/nonexistent",
            .pretend = true};
        st = peri_accounts_create(&options, &bed->accounts, err);
    }
    if (st == PERI_OK)
        st = open_host(bed, diag, err);
    if (st == PERI_OK)
        st = load_rules(bed, diag);
    if (st == PERI_OK && !(bed->hooks = peri_hooks_create(bed->secrets, NULL)))
        st = peri_error_nomem(err);
    if (st)
        peri_trial_bed_close(bed);
    return st;
}

void peri_trial_bed_leave(struct peri_trial_bed *bed)
{
    peri_trial_bed_end(bed);
    peri_hooks_destroy(bed->hooks);
    peri_host_destroy(bed->host);
    peri_accounts_destroy(bed->accounts);
    peri_http_client_destroy(bed->http);
    peri_secrets_destroy(bed->secrets);
    peri_rule_list_finish(&bed->rules);
    bed->hooks = NULL;
    bed->host = NULL;
    bed->accounts = NULL;
    bed->http = NULL;
    bed->secrets = NULL;
    bed->cover = NULL;
    bed->edits = NULL;
    peri_bed_drain(bed->loop);
}

void peri_trial_bed_close(struct peri_trial_bed *bed)
{
    peri_trial_bed_leave(bed);
    peri_reader_close(bed->reader);
    peri_store_close(bed->store);
    peri_bed_drain(bed->loop);
    peri_loop_destroy(bed->loop);
    peri_log_destroy(bed->log);
    memset(bed, 0, sizeof(*bed));
}

/* ---- time ---- */

static bool is_quiet(const void *ctx)
{
    const struct peri_trial_bed *bed = ctx;
    return peri_pipeline_is_quiet(bed->pipeline) && peri_store_queued(bed->store) == 0 &&
           !peri_host_delivers(bed->host);
}

/* Lets everything happen that happens at this instant. */
enum peri_status peri_trial_bed_settle(struct peri_trial_bed *bed, struct peri_error *err)
{
    struct peri_bed_rest rest = {is_quiet, bed, QUIET_MS, "test-failed", "rules"};
    enum peri_status st = peri_bed_settle(bed->loop, &rest, err);
    return st == PERI_OK && bed->failed ? peri_error_nomem(err) : st;
}

/* From one instant at which something is due to the next: what happens there happens at that time. */
enum peri_status peri_trial_bed_go(struct peri_trial_bed *bed, int64_t until_ms, struct peri_error *err)
{
    enum peri_status st = peri_trial_bed_settle(bed, err);
    for (size_t i = 0; st == PERI_OK; i++) {
        int64_t now = peri_clock_wall_ms(&bed->clock), due = peri_pipeline_next_due(bed->pipeline);
        int64_t next = due > until_ms ? until_ms : due < now ? now : due;
        if (i > MAX_INSTANTS)
            return peri_error_set(err, PERI_ELIMIT, "test-failed",
                "more than %d things are due on the way: advance in smaller steps", MAX_INSTANTS);
        peri_clock_fake_advance(&bed->fake, next - now);
        peri_pipeline_tick(bed->pipeline);
        st = peri_trial_bed_settle(bed, err);
        if (due > until_ms)
            break;
    }
    return st;
}

/* ---- the life of a case ---- */

/* Where somebody would answer: a test approves instead. */
static char *make_link(void *ctx, uint64_t run, const char *step)
{
    return peri_asprintf("https://perigee.test/approve/run-%llu/%s", (unsigned long long)run, step);
}

const struct peri_rule_list *peri_trial_bed_rules(const struct peri_trial_bed *bed)
{
    return bed->edited.items ? &bed->edited : &bed->rules;
}

static enum peri_status start_pipeline(struct peri_trial_bed *bed, struct peri_error *err)
{
    struct peri_pipeline_options options = {.link = make_link,
        .loop = bed->loop,
        .store = bed->store,
        .log = bed->log,
        .clock = bed->clock,
        .tz = &bed->tz,
        .impatient = true,
        .reader = bed->reader};
    struct peri_run_ops ops = {.lookup = lookup,
        .call = call,
        .journaled = journaled,
        .hears = hears,
        .decided = bed->cover ? decided : NULL,
        .destination = destination,
        .ctx = bed};
    enum peri_status st = peri_pipeline_create(&options, &bed->pipeline, err);
    if (st == PERI_OK)
        st = peri_pipeline_set_rules(
            bed->pipeline, peri_trial_bed_rules(bed)->items, peri_trial_bed_rules(bed)->count, err);
    if (st == PERI_OK && peri_hooks_set(bed->hooks, peri_trial_bed_rules(bed)->items, peri_trial_bed_rules(bed)->count))
        st = peri_error_nomem(err);
    if (st == PERI_OK)
        st = peri_pipeline_start_ops(bed->pipeline, &ops, err);
    return st ? st : peri_trial_bed_settle(bed, err);
}

static void stop_pipeline(struct peri_trial_bed *bed)
{
    struct peri_pipeline *pipeline = bed->pipeline;
    bed->pipeline = NULL;
    peri_pipeline_destroy(pipeline);
    peri_loop_once(bed->loop, 0);
}

enum peri_status peri_trial_bed_begin(struct peri_trial_bed *bed, struct peri_trial_case *trial, struct peri_error *err)
{
    bed->now = trial;
    bed->failed = PERI_OK; /* seen_event and seen_message stay: numbers are not used again */
    bed->calls = peri_value_list();
    bed->requests = peri_value_list();
    bed->sent = peri_value_list();
    peri_trial_http_forget(trial->http, trial->http_count);
    peri_trial_http_forget(bed->file->http, bed->file->http_count);
    peri_trial_stubs_forget(trial->stubs, trial->stub_count);
    peri_trial_stubs_forget(bed->file->stubs, bed->file->stub_count);
    atomic_store(&bed->fake.wall_ms, trial->start_ms);
    enum peri_status st =
        bed->calls && bed->requests && bed->sent ? peri_store_run(bed->store, wipe, NULL, err) : peri_error_nomem(err);
    if (st == PERI_OK)
        st = peri_trial_bed_put(bed, bed->file->data, false, err);
    if (st == PERI_OK)
        st = peri_trial_bed_put(bed, trial->data, false, err);
    return st ? st : start_pipeline(bed, err);
}

void peri_trial_bed_end(struct peri_trial_bed *bed)
{
    if (bed->pipeline)
        stop_pipeline(bed);
    peri_value_unref(bed->calls);
    peri_value_unref(bed->requests);
    peri_value_unref(bed->sent);
    peri_value_unref(bed->response);
    bed->calls = bed->requests = bed->sent = bed->response = NULL;
    peri_rule_list_finish(&bed->edited);
    bed->now = NULL;
}

enum peri_status peri_trial_bed_restart(struct peri_trial_bed *bed, struct peri_error *err)
{
    enum peri_status st = peri_trial_bed_settle(bed, err);
    stop_pipeline(bed);
    return st ? st : start_pipeline(bed, err);
}
