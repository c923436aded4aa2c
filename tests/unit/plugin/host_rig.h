/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_TEST_HOST_RIG_H
#define PERI_TEST_HOST_RIG_H

#include "data/json.h"
#include "io/http_server.h"
#include "plugin/host.h"
#include "plugin_files.h"

/* A host with a real loop, a real store in memory and a folder of plugins. With RIG_PROCESS defined before this is
 * included, each plugin is in a process of its own, so that a test can be run both ways. */
#ifdef RIG_PROCESS
#define RIG_CELL TEST_CELL
#else
#define RIG_CELL NULL
#endif

struct rig {
    struct files files;
    struct peri_clock clock;
    struct peri_loop *loop;
    struct peri_store *store;
    struct peri_http_client *http;
    struct peri_secrets *secrets;
    struct peri_host *host;
    struct peri_host_options options;
    struct peri_diag diag;
    const char *path[2];
    char plugins[128], policy[128];
    char config[1024]; /* settings of every plugin, as JSON; "" for none */
    struct peri_value *config_value;
    int submits;
    int events;                                         /* emitted, over all batches */
    char last_event[256], last_source[64], trail[2048]; /* trail: the data of all of them */
    int last_hops;
    bool refuse_submit;
};

static inline enum peri_status rig_post(void *ctx, void (*fn)(void *arg), void *arg)
{
    return peri_loop_post(ctx, fn, arg);
}

struct rig_commit {
    struct rig *rig;
    struct peri_batch *batch;
    peri_store_done done;
    void *arg;
};

static inline enum peri_status rig_apply(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct rig_commit *c = arg;
    return peri_tx_batch(tx, c->batch, err);
}

static inline void rig_committed(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct rig_commit *c = arg;
    for (size_t i = 0; i < peri_batch_events(c->batch); i++) {
        const struct peri_event *e = peri_batch_event_at(c->batch, i);
        c->rig->events++;
        snprintf(c->rig->last_event, sizeof(c->rig->last_event), "%s %s", e->type, e->data);
        size_t used = strlen(c->rig->trail);
        snprintf(c->rig->trail + used, sizeof(c->rig->trail) - used, "%s%s", used ? " " : "", e->data);
        snprintf(c->rig->last_source, sizeof(c->rig->last_source), "%s", e->source);
        c->rig->last_hops = e->hops;
        if (!st && !e->duplicate && c->rig->host)
            peri_host_journaled(c->rig->host, peri_batch_event_at(c->batch, i));
    }
    c->done(c->arg, st, err);
    peri_batch_destroy(c->batch);
    free(c);
}

static inline enum peri_status rig_submit(void *ctx, struct peri_batch *batch, peri_store_done done, void *arg)
{
    struct rig *rig = ctx;
    if (rig->refuse_submit)
        return PERI_EBUSY;
    struct rig_commit *c = calloc(1, sizeof(*c));
    if (!c)
        return PERI_ENOMEM;
    *c = (struct rig_commit){rig, batch, done, arg};
    rig->submits++;
    enum peri_status st = peri_store_submit(rig->store, peri_batch_bytes(batch), rig_apply, rig_committed, c);
    if (st)
        free(c);
    return st;
}

static inline bool rig_settings(void *ctx, const char *id, struct peri_plugin_settings *ret)
{
    struct rig *rig = ctx;
    *ret = (struct peri_plugin_settings){.enabled = true, .config = rig->config_value};
    return true;
}

static inline void rig_init(struct rig *rig)
{
    struct peri_error err = {0};
    memset(rig, 0, sizeof(*rig));
    files_init(&rig->files);
    rig->clock = peri_clock_system();
    assert_int_equal(peri_loop_create(&rig->clock, &rig->loop, &err), PERI_OK);
    struct peri_store_options so = {.path = ":memory:", .clock = rig->clock, .post = rig_post, .post_ctx = rig->loop};
    assert_int_equal(peri_store_open(&so, &rig->store, &err), PERI_OK);
    struct peri_http_client_options ho = {.loop = rig->loop};
    assert_int_equal(peri_http_client_create(&ho, &rig->http, &err), PERI_OK);
    assert_int_equal(peri_secrets_open(rig->files.dir, &rig->secrets, &err), PERI_OK);
    snprintf(rig->plugins, sizeof(rig->plugins), "%s/plugins", rig->files.dir);
    snprintf(rig->policy, sizeof(rig->policy), "%s/policy.yaml", rig->files.dir);
    mkdir(rig->plugins, 0700);
    rig->path[0] = rig->plugins;
    peri_diag_init(&rig->diag);
    rig->options = (struct peri_host_options){
        .loop = rig->loop,
        .clock = rig->clock,
        .store = rig->store,
        .http = rig->http,
        .secrets = rig->secrets,
        .plugin_path = rig->path,
        .policy_file = rig->policy,
        .cell_program = RIG_CELL,
        .approve_all = true,
        .settings = rig_settings,
        .settings_ctx = rig,
        .ops = {.submit = rig_submit, .ctx = rig},
    };
}

static inline void rig_show(struct rig *rig)
{
    for (size_t i = 0; i < rig->diag.count; i++)
        print_message("%s:%d:%d: %s [%s]\n", rig->diag.items[i].file, rig->diag.items[i].line,
            rig->diag.items[i].column, rig->diag.items[i].message, rig->diag.items[i].code);
}

static inline void rig_load(struct rig *rig)
{
    struct peri_error err = {0};
    if (rig->config[0])
        assert_int_equal(peri_json_parse(rig->config, strlen(rig->config), &rig->config_value, &err), PERI_OK);
    assert_int_equal(peri_host_create(&rig->options, &rig->host, &err), PERI_OK);
    assert_int_equal(peri_host_load_now(rig->host, &rig->diag), PERI_OK);
    rig->submits = 0; /* what loading itself records does not count */
}

static inline void rig_load_clean(struct rig *rig)
{
    rig_load(rig);
    rig_show(rig);
    assert_int_equal(rig->diag.count, 0);
}

static inline void rig_finish(struct rig *rig)
{
    struct peri_host *host = rig->host;
    rig->host = NULL;
    peri_host_destroy(host);
    peri_http_client_destroy(rig->http);
    peri_store_close(rig->store);
    peri_secrets_destroy(rig->secrets);
    peri_loop_destroy(rig->loop);
    peri_value_unref(rig->config_value);
    peri_diag_finish(&rig->diag);
    files_finish(&rig->files);
}

/* plugins/<name>/ with a manifest and an init.lua. */
static inline void rig_plugin(
    struct rig *rig, const char *name, const char *permissions, const char *more, const char *lua)
{
    char path[128], json[2048];
    snprintf(path, sizeof(path), "plugins/%s/plugin.json", name);
    snprintf(json, sizeof(json),
        "{\"id\":\"test.%s\",\"name\":\"%s\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\","
        "\"entrypoint\":\"./init.lua\",\"permissions\":%s%s}",
        name, name, permissions, more);
    files_put(&rig->files, path, json);
    snprintf(path, sizeof(path), "plugins/%s/init.lua", name);
    files_put(&rig->files, path, lua);
    if (RIG_CELL && rig->options.approve_all) {
        FILE *policy = fopen(rig->policy, "a");
        assert_non_null(policy);
        fprintf(policy, "%s  test.%s: {isolation: process}\n", ftell(policy) == 0 ? "plugins:\n" : "", name);
        assert_int_equal(fclose(policy), 0);
    }
}

static inline void rig_written(void *arg, enum peri_status st, const struct peri_error *err)
{
    assert_int_equal(st, PERI_OK);
    *(bool *)arg = true;
}

/* An event from outside. */
static inline void rig_emit(struct rig *rig, const char *type, const char *data)
{
    bool done = false;
    struct peri_batch *batch = peri_batch_create();
    struct peri_event *e = peri_event_create();
    e->type = strdup(type);
    e->source = strdup("test");
    e->data = strdup(data);
    e->data_len = strlen(data);
    e->received_ms = e->time_ms = 1000;
    assert_int_equal(peri_batch_event(batch, e), PERI_OK);
    assert_int_equal(rig_submit(rig, batch, rig_written, &done), PERI_OK);
    for (int i = 0; !done && i < 3000; i++)
        peri_loop_once(rig->loop, 10);
    assert_true(done);
}

struct rig_answer {
    bool done;
    enum peri_status status;
    bool holds;
    char text[4096]; /* value as JSON, "" when there is none */
    struct peri_error error;
    struct peri_usage usage;
    struct rig *rig;
};

static inline void rig_called(void *arg, const struct peri_call_result *result)
{
    struct rig_answer *a = arg;
    assert_false(a->done);
    a->done = true;
    a->status = result->status;
    a->holds = result->holds;
    a->error = result->error;
    a->usage = result->usage;
    char *text = result->value ? peri_json_text(result->value, PERI_JSON_SORTED) : NULL;
    snprintf(a->text, sizeof(a->text), "%s", text ? text : "");
    free(text);
}

static inline void rig_wait(struct rig *rig, const bool *done)
{
    for (int i = 0; !*done && i < 3000; i++)
        peri_loop_once(rig->loop, 10);
    assert_true(*done);
}

static inline struct rig_answer rig_call_with(struct rig *rig, struct peri_call call, const char *params)
{
    struct rig_answer a = {.rig = rig};
    struct peri_value *v = NULL;
    assert_int_equal(peri_json_parse(params, strlen(params), &v, NULL), PERI_OK);
    call.params = v;
    a.status = peri_host_call(rig->host, &call, rig_called, &a, &a.error);
    peri_value_unref(v);
    if (!a.status)
        rig_wait(rig, &a.done);
    return a;
}

static inline struct rig_answer rig_call(struct rig *rig, const char *id, const char *params)
{
    return rig_call_with(rig, (struct peri_call){.operator_id = id}, params);
}

/* The value, or "code: message". */
static inline void rig_gives(struct rig *rig, const char *id, const char *params, const char *json)
{
    struct rig_answer a = rig_call(rig, id, params);
    if (a.status)
        fail_msg("%s: %s: %s", id, a.error.code, a.error.message);
    assert_string_equal(a.text, json);
}

static inline struct rig_answer rig_fails(struct rig *rig, const char *id, const char *params, const char *code)
{
    struct rig_answer a = rig_call(rig, id, params);
    if (!a.status)
        fail_msg("%s went well: %s", id, a.text);
    if (strcmp(a.error.code, code))
        print_message("%s: %s\n", a.error.code, a.error.message);
    assert_string_equal(a.error.code, code);
    return a;
}

#endif
