/* SPDX-License-Identifier: Apache-2.0 */
/* The world of a test: the real store, plugins and pipeline, on a clock that only the test moves. Nothing reaches the
 * network, and nothing that is on the machine (data, secrets, settings) is seen. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "app/hooks.h"
#include "app/call_view.h"
#include "app/paths.h"
#include "app/rulebook.h"
#include "app/trial_cover.h"
#include "app/zones.h"
#include "base/str.h"
#include "data/json.h"
#include "io/store_data.h"
#include "io/store_runs.h"
#include "io/store_waits.h"
#include "lang/rule_mutate.h"

#define QUIET_MS 30000     /* of real time: a plugin that hangs ends by its own limits before */
#define MAX_INSTANTS 20000 /* that one step of a test may pass through */

/* ---- operators ---- */

static struct peri_trial_stub *find_in(struct peri_trial_stub *stubs, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(stubs[i].operator_id, id) == 0)
            return &stubs[i];
    return NULL;
}

static struct peri_trial_stub *find_stub(const struct peri_trial_bed *bed, const char *id)
{
    struct peri_trial_stub *stub = bed->now ? find_in(bed->now->stubs, bed->now->stub_count, id) : NULL;
    return stub ? stub : find_in(bed->file->stubs, bed->file->stub_count, id);
}

/* Those with a `when` that fits come before those without; of several, each once, then the last again and again. */
static struct peri_trial_answer *choose(struct peri_trial_stub *stub, const struct peri_value *params)
{
    struct peri_trial_answer *found = NULL;
    char *json = peri_json_text(params, PERI_JSON_COMPACT);
    for (size_t i = 0; json && i < stub->count; i++) {
        struct peri_trial_answer *a = &stub->answers[i];
        bool fits = !a->when;
        if (a->when && peri_pattern_match(a->when, json, strlen(json), &fits, NULL, NULL) != PERI_OK)
            fits = false;
        if (!fits || (found && found->when && !a->when))
            continue;
        if (!found || found->used || (a->when && !found->when))
            found = a;
    }
    free(json);
    if (found)
        found->used = true;
    return found;
}

struct pending {
    const struct peri_trial_answer *answer;
    peri_call_done done;
    void *arg;
};

static void deliver(void *arg)
{
    struct pending *p = arg;
    const struct peri_trial_answer *a = p->answer;
    struct peri_call_result result = {
        .is_condition = a && a->is_condition, .holds = a && a->holds, .value = a ? a->value : NULL};
    if (!a)
        result.status =
            peri_error_set(&result.error, PERI_EINVAL, "stub", "no answer of the stub fits these parameters");
    else if (a->fails) {
        result.status = a->error.status;
        result.error = a->error;
    }
    p->done(p->arg, &result);
    free(p);
}

static enum peri_status call_stub(struct peri_trial_bed *bed, struct peri_trial_stub *stub,
    const struct peri_call *call, peri_call_done done, void *arg, struct peri_error *err)
{
    struct pending *p = calloc(1, sizeof(*p));
    if (!p)
        return peri_error_nomem(err);
    *p = (struct pending){choose(stub, call->params), done, arg};
    enum peri_status st = peri_loop_post(bed->loop, deliver, p);
    if (st) {
        free(p);
        return peri_error_set(err, st, NULL, "the call was not made");
    }
    return PERI_OK;
}

/* Scripts of rules have no effects, so they are none either. */
static bool is_action(struct peri_trial_bed *bed, const char *id)
{
    const struct peri_operator *op = peri_host_operator(bed->host, id);
    const struct peri_trial_stub *stub = find_stub(bed, id);
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

/* A message on its way over a channel of a plugin, as the outbox would show it. */
static void sends(void *ctx, const char *plugin, const struct peri_value *message)
{
    struct peri_trial_bed *bed = ctx;
    struct peri_value *copy = peri_value_copy(message);
    if (!bed->sent || !copy || peri_map_put_text(copy, "channel", plugin) != PERI_OK) {
        peri_value_unref(copy);
        bed->failed = bed->sent ? PERI_ENOMEM : bed->failed;
    } else if (peri_list_push(bed->sent, copy) != PERI_OK) {
        bed->failed = PERI_ENOMEM;
    }
}

static bool lookup(void *ctx, const char *id, enum peri_delivery *ret)
{
    struct peri_trial_bed *bed = ctx;
    bool script = strcmp(id, PERI_RULE_LUA) == 0, known = script || peri_host_operator(bed->host, id) != NULL;
    *ret = script ? PERI_DELIVERY_REPEAT : known ? peri_host_delivery(bed->host, id) : PERI_DELIVERY_ONCE;
    return known || find_stub(bed, id);
}

static enum peri_status call(
    void *ctx, const struct peri_call *c, peri_call_done done, void *arg, struct peri_error *err)
{
    struct peri_trial_bed *bed = ctx;
    struct peri_trial_stub *stub = find_stub(bed, c->operator_id);
    enum peri_status st = stub ? call_stub(bed, stub, c, done, arg, err) : peri_host_call(bed->host, c, done, arg, err);
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

static enum peri_status post(void *ctx, void (*fn)(void *arg), void *arg)
{
    return peri_loop_post(ctx, fn, arg);
}

/* What plugins write goes through the pipeline of the case. */
static enum peri_status submit(void *ctx, struct peri_batch *batch, peri_store_done done, void *arg)
{
    struct peri_trial_bed *bed = ctx;
    return bed->pipeline ? peri_pipeline_host_submit(bed->pipeline, batch, done, arg) : PERI_ESTATE;
}

static void announce(void *ctx, const char *type, struct peri_value *data, const struct peri_event *about)
{
    struct peri_trial_bed *bed = ctx;
    if (bed->pipeline)
        peri_pipeline_announce(bed->pipeline, type, data, about);
    else
        peri_value_unref(data);
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
        .ops = {submit, bed, announce, system_event},
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
    const struct peri_trial_stub *stub = op ? NULL : find_in(bed->file->stubs, bed->file->stub_count, id);
    for (size_t i = 0; !op && !stub && i < bed->file->case_count; i++)
        stub = find_in(bed->file->cases[i].stubs, bed->file->cases[i].stub_count, id);
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

static enum peri_status lend_secrets(struct peri_trial_bed *bed, struct peri_error *err)
{
    const struct peri_value *map = bed->file->secrets;
    enum peri_status st = PERI_OK;
    for (void *it = peri_map_first(map); it && st == PERI_OK; it = peri_map_next(map, it)) {
        const char *text = peri_value_text(peri_map_item(it));
        st = peri_secrets_lend(bed->secrets, peri_map_key(it, NULL), text ? text : "", err);
    }
    return st;
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
    if (st == PERI_OK) {
        struct peri_store_options options = {
            .path = ":memory:", .log = bed->log, .clock = bed->clock, .post = post, .post_ctx = bed->loop};
        st = peri_store_open(&options, &bed->store, err);
    }
    return st ? st : peri_store_reader(bed->store, &bed->reader, err);
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
        st = lend_secrets(bed, err);
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
    for (int i = 0; bed->loop && i < 3; i++)
        peri_loop_once(bed->loop, 0); /* the last completions */
}

void peri_trial_bed_close(struct peri_trial_bed *bed)
{
    peri_trial_bed_leave(bed);
    peri_reader_close(bed->reader);
    peri_store_close(bed->store);
    for (int i = 0; bed->loop && i < 3; i++)
        peri_loop_once(bed->loop, 0);
    peri_loop_destroy(bed->loop);
    peri_log_destroy(bed->log);
    memset(bed, 0, sizeof(*bed));
}

/* ---- time ---- */

static int64_t real_ms(void)
{
    struct peri_clock system = peri_clock_system();
    return peri_clock_mono(&system).ns / 1000000;
}

static bool is_quiet(const struct peri_trial_bed *bed)
{
    return peri_pipeline_is_quiet(bed->pipeline) && peri_store_queued(bed->store) == 0 &&
           !peri_host_delivers(bed->host);
}

/* Lets everything happen that happens at this instant. */
enum peri_status peri_trial_bed_settle(struct peri_trial_bed *bed, struct peri_error *err)
{
    int64_t end = 0;
    for (size_t i = 0; !is_quiet(bed); i++) {
        peri_loop_once(bed->loop, 5);
        if (i % 64 != 0)
            continue;
        int64_t now = real_ms();
        end = end ? end : now + QUIET_MS;
        if (now > end)
            return peri_error_set(
                err, PERI_ETIMEOUT, "test-failed", "the rules did not come to rest within %d s", QUIET_MS / 1000);
    }
    return bed->failed ? peri_error_nomem(err) : PERI_OK;
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

static const struct peri_rule_list *rules_of(const struct peri_trial_bed *bed)
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
        st = peri_pipeline_set_rules(bed->pipeline, rules_of(bed)->items, rules_of(bed)->count, err);
    if (st == PERI_OK && peri_hooks_set(bed->hooks, rules_of(bed)->items, rules_of(bed)->count))
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

static void forget_answers(struct peri_trial_stub *stubs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < stubs[i].count; k++)
            stubs[i].answers[k].used = false;
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
    forget_answers(trial->stubs, trial->stub_count);
    forget_answers(bed->file->stubs, bed->file->stub_count);
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

/* ---- rules that are edited ---- */

/* The rule with the keys of changes in place of its own. */
static enum peri_status edit_rule(struct peri_trial_bed *bed, const struct peri_rule *rule,
    const struct peri_node *changes, struct peri_rule **ret, struct peri_error *err)
{
    static const char *const tags[] = {"!secret", "!input", NULL};
    struct peri_yaml_doc *doc = NULL;
    struct peri_rule_list list = {0};
    struct peri_diag diag;
    peri_diag_init(&diag);
    enum peri_status st = peri_yaml_parse(rule->place.file, rule->text, strlen(rule->text), tags, &doc, &diag);
    char *text = st || doc->count != 1 ? NULL : peri_rule_edited(doc->roots[0], changes);
    if (!text)
        st = peri_error_nomem(err);
    else if (peri_rules_load_text(rule->place.file, text, strlen(text), &bed->env, &list, &diag) || list.count != 1)
        st = peri_error_set(err, PERI_EINVAL, "test-failed", "the edited rule \"%s\" cannot be loaded: %s", rule->id,
            diag.count ? diag.items[0].message : "it is no rule");
    else if (!peri_streq(list.items[0]->id, rule->id))
        st = peri_error_set(err, PERI_EINVAL, "test-failed",
            "the edited rule \"%s\" is another one, \"%s\": give it an \"id\"", rule->id, list.items[0]->id);
    else
        *ret = peri_rule_ref(list.items[0]);
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
    peri_yaml_destroy(doc);
    free(text);
    return st;
}

static bool has_rule(const struct peri_rule_list *rules, const char *id)
{
    for (size_t i = 0; i < rules->count; i++)
        if (peri_streq(rules->items[i]->id, id))
            return true;
    return false;
}

enum peri_status peri_trial_bed_edit(
    struct peri_trial_bed *bed, const struct peri_trial_step *step, struct peri_error *err)
{
    const struct peri_rule_list *now = rules_of(bed);
    struct peri_rule_list next = {.items = calloc(bed->rules.count + 1, sizeof(struct peri_rule *))};
    enum peri_status st = next.items ? PERI_OK : peri_error_nomem(err);
    for (size_t i = 0; !st && i < step->edit->count; i++)
        if (!has_rule(now, step->edit->pairs[i].key->text))
            st = peri_error_set(
                err, PERI_EINVAL, "test-failed", "there is no rule \"%.100s\" to edit", step->edit->pairs[i].key->text);
    for (size_t i = 0; !st && i < now->count; i++) {
        const struct peri_node *changes = peri_node_get(step->edit, now->items[i]->id, NULL);
        struct peri_rule *rule = changes ? NULL : peri_rule_ref(now->items[i]);
        if (changes && changes->kind == PERI_NODE_MAP)
            st = edit_rule(bed, now->items[i], changes, &rule, err);
        if (rule)
            next.items[next.count++] = rule;
    }
    if (!st)
        st = peri_pipeline_set_rules(bed->pipeline, next.items, next.count, err);
    if (!st && peri_hooks_set(bed->hooks, next.items, next.count))
        st = peri_error_nomem(err);
    if (st) {
        peri_rule_list_finish(&next);
        return st;
    }
    peri_rule_list_finish(&bed->edited);
    bed->edited = next;
    return peri_trial_bed_settle(bed, err);
}

/* ---- what a step does ---- */

struct put {
    const struct peri_value *entities;
    bool remove;
};

static enum peri_status put_all(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct put *put = arg;
    enum peri_status st = PERI_OK;
    for (void *it = peri_map_first(put->entities); it && st == PERI_OK; it = peri_map_next(put->entities, it)) {
        const struct peri_value *list = peri_map_item(it);
        for (size_t i = 0; st == PERI_OK && i < peri_value_count(list); i++) {
            const struct peri_value *item = peri_list_at(list, i);
            st = put->remove ? peri_tx_entity_delete(tx, peri_map_key(it, NULL), peri_value_text(item), NULL, err)
                             : peri_tx_entity_put(tx, peri_map_key(it, NULL), item, NULL, NULL, err);
        }
    }
    return st;
}

enum peri_status peri_trial_bed_put(
    struct peri_trial_bed *bed, const struct peri_value *entities, bool remove, struct peri_error *err)
{
    struct put put = {entities, remove};
    return entities ? peri_store_run(bed->store, put_all, &put, err) : PERI_OK;
}

struct sending {
    bool done;
    enum peri_status st;
    struct peri_error err;
};

static void sent(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct sending *s = arg;
    s->done = true;
    s->st = st;
    if (err)
        s->err = *err;
}

static struct peri_event *make_event(const struct peri_trial_step *step)
{
    struct peri_event *event = peri_event_create();
    if (!event)
        return NULL;
    event->type = peri_strdup(step->event);
    event->source = peri_strdup(step->source ? step->source : "test");
    event->external_id = peri_strdup(step->id);
    event->subject = peri_strdup(step->subject);
    event->time_ms = step->ms == INT64_MIN ? 0 : step->ms;
    event->data = step->data ? peri_json_text(step->data, PERI_JSON_COMPACT) : peri_strdup("{}");
    if (event->type && event->source && event->data) {
        event->data_len = strlen(event->data);
        return event;
    }
    peri_event_unref(event);
    return NULL;
}

static void approved(void *arg, enum peri_status st, const struct peri_value *value, const struct peri_error *err)
{
    sent(arg, st, err);
}

/* The run that has waited longest for an answer to the step, or for any. */
static enum peri_status find_approval(
    struct peri_trial_bed *bed, const char *step, uint64_t *ret_run, struct peri_error *err)
{
    struct peri_value *list = NULL;
    enum peri_status st = peri_reader_approvals(bed->reader, 0, 1000, &list, err);
    bool found = false;
    for (size_t i = 0; st == PERI_OK && !found && i < peri_value_count(list); i++) {
        const struct peri_value *item = peri_list_at(list, i);
        found = (!step || peri_streq(peri_map_text(item, "step"), step)) &&
                peri_run_id_parse(peri_map_text(item, "id"), ret_run);
    }
    peri_value_unref(list);
    if (st == PERI_OK && !found)
        st = peri_error_set(
            err, PERI_EINVAL, "test-failed", "no run waits for an answer%s%s", step ? " to " : "", step ? step : "");
    return st;
}

enum peri_status peri_trial_bed_approve(
    struct peri_trial_bed *bed, const struct peri_trial_step *step, struct peri_error *err)
{
    struct sending s = {0};
    uint64_t run = 0;
    enum peri_status st = find_approval(bed, step->id, &run, err);
    if (st == PERI_OK)
        st = peri_pipeline_answer(bed->pipeline, run, step->id, step->data, "test", approved, &s, err);
    if (st)
        return st;
    while (!s.done)
        peri_loop_once(bed->loop, 5);
    if (s.st) {
        *err = s.err;
        return s.st;
    }
    return peri_trial_bed_settle(bed, err);
}

enum peri_status peri_trial_bed_send(
    struct peri_trial_bed *bed, const struct peri_trial_step *step, struct peri_error *err)
{
    struct peri_batch *batch = peri_batch_create();
    struct peri_event *event = batch ? make_event(step) : NULL;
    if (event && peri_batch_event(batch, event) == PERI_OK)
        return peri_trial_bed_submit(bed, batch, err);
    peri_batch_destroy(batch);
    return peri_error_nomem(err);
}

enum peri_status peri_trial_bed_submit(struct peri_trial_bed *bed, struct peri_batch *batch, struct peri_error *err)
{
    struct sending s = {0};
    enum peri_status st = peri_pipeline_submit(bed->pipeline, batch, sent, &s, err);
    if (st) {
        peri_batch_destroy(batch);
        return st;
    }
    while (!s.done)
        peri_loop_once(bed->loop, 5);
    if (s.st) {
        *err = s.err;
        return s.st;
    }
    return peri_trial_bed_settle(bed, err);
}
