/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs of Lua plugins: building the state, running handlers in it, reading what they return. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/vec.h"
#include "plugin/host_build.h"
#include "plugin/lua_api.h"
#include "plugin/lua_cell.h"
#include "plugin/lua_connector.h"
#include "plugin/lua_vm_internal.h"

#define LIBRARY_MAX 65536
#define EXPLANATION_BYTES 16384
#define CURSOR_BYTES 4096
#define SYNC_MIN_MS 1000

/* --- building --- */

static bool module_ok(const char *name)
{
    size_t n = strlen(name);
    bool start = true;
    if (n == 0 || n > 100)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (!word && (c != '.' || start))
            return false;
        start = c == '.';
    }
    return !start;
}

static char *module_path(const char *name, const char *tail)
{
    char *path = peri_asprintf("%s%s", name, tail);
    size_t n = strlen(name);
    for (size_t i = 0; path && i < n; i++)
        if (path[i] == '.')
            path[i] = '/';
    return path;
}

/* lua/perigee/<name>.lua of the share folder, read once and kept as long as the host lives. */
static enum peri_status library(
    struct peri_plugin *p, const char *name, const char **ret_text, size_t *ret_len, struct peri_error *err)
{
    struct peri_host *host = p->host;
    enum peri_status st = PERI_ENOTFOUND;
    char *rel = module_path(name, ".lua"), *path = rel ? peri_asprintf("%s/lua/%s", host->bundled_path, rel) : NULL;
    pthread_mutex_lock(&host->shared_lock);
    char *text = path ? peri_map_get(host->libraries, path) : NULL;
    FILE *in = text || !path ? NULL : fopen(path, "re");
    if (in) {
        struct peri_buf buf;
        char chunk[4096];
        size_t n;
        peri_buf_init(&buf, LIBRARY_MAX);
        while ((n = fread(chunk, 1, sizeof(chunk), in)) > 0)
            peri_buf_append(&buf, chunk, n);
        fclose(in);
        text = buf.failed ? NULL : peri_buf_take(&buf, NULL);
        if (text && !peri_map_set(host->libraries, path, text, NULL)) {
            free(text);
            text = NULL;
        }
        peri_buf_finish(&buf);
    }
    pthread_mutex_unlock(&host->shared_lock);
    if (text) {
        *ret_text = text;
        *ret_len = strlen(text);
        st = PERI_OK;
    } else {
        peri_error_set(err, st, NULL, "there is no module \"%s\"", name);
    }
    free(rel);
    free(path);
    return st;
}

enum peri_status peri_lua_module(
    void *user, const char *name, const char **ret_text, size_t *ret_len, struct peri_error *err)
{
    struct peri_plugin *p = user;
    static const char *const tails[] = {".lua", "/init.lua", NULL};
    if (!module_ok(name))
        return peri_error_set(err, PERI_ENOTFOUND, NULL, "\"%s\" is no module name", name);
    for (const char *const *tail = tails; *tail; tail++) {
        char *path = module_path(name, *tail);
        const char *text = path ? peri_package_text(p->package, path, ret_len) : NULL;
        free(path);
        if (text) {
            *ret_text = text;
            return PERI_OK;
        }
    }
    if (p->host->bundled_path && peri_str_starts(name, "perigee."))
        return library(p, name, ret_text, ret_len, err);
    return peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no module \"%s\" in the plugin's folder", name);
}

enum peri_status peri_lua_build(struct peri_plugin *p, struct peri_error *err)
{
    if (p->isolated)
        return peri_cell_build(p, err);
    struct peri_vm_options options = {
        .name = p->id,
        .limits = {.instructions = p->limits.instructions,
            .running_ms = p->limits.running_ms ? p->limits.running_ms : PERI_HOST_HANDLER_MS,
            .memory_bytes = p->limits.memory_bytes},
        .open_api = peri_lua_api_open,
        .module = peri_lua_module,
        .user = p,
    };
    size_t len = 0;
    const char *text = peri_package_text(p->package, p->manifest->entrypoint, &len);
    peri_vm_destroy(p->vm);
    p->vm = NULL;
    if (!text)
        return peri_error_set(
            err, PERI_ENOTFOUND, "manifest.entrypoint", "entrypoint %s is not in the folder", p->manifest->entrypoint);
    enum peri_status st = peri_vm_create(&options, &p->vm, err);
    if (!st)
        st = peri_vm_load(p->vm, p->manifest->entrypoint, text, len, err);
    if (st) {
        peri_vm_destroy(p->vm);
        p->vm = NULL;
    }
    return st;
}

bool peri_plugin_spoilt(const struct peri_plugin *p)
{
    return p->vm && (peri_vm_spoilt(p->vm) || (p->cell && peri_cell_spoilt(p->cell)));
}

/* --- what it offers --- */

static void free_keys(char **keys)
{
    for (char **k = keys; k && *k; k++)
        free(*k);
    free(keys);
}

static bool has(struct peri_plugin *p, const char *a, const char *b, const char *c)
{
    const char *const path[] = {a, b, c, NULL};
    return peri_vm_has_function(p->vm, path);
}

static enum peri_status check_members(
    struct peri_plugin *p, const char *const *path, const char *const *known, const char *what, struct peri_error *err)
{
    char **keys = peri_vm_keys(p->vm, path);
    enum peri_status st = PERI_OK;
    for (char **k = keys; !st && k && *k; k++) {
        const char *const *n = known;
        while (*n && strcmp(*n, *k))
            n++;
        if (*n)
            continue;
        const char *near = peri_nearest(*k, known);
        st = peri_error_set(err, PERI_EINVAL, "plugin.package", "%s has an unknown member \"%s\"%s%s%s", what, *k,
            near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
    }
    free_keys(keys);
    return st;
}

/* -1: no such class. */
static int delivery_class(const char *name)
{
    static const char *const names[] = {
        [PERI_DELIVERY_ONCE] = "once",
        [PERI_DELIVERY_REPEAT] = "repeat",
        [PERI_DELIVERY_LOOKUP] = "lookup",
        [PERI_DELIVERY_CHANNEL] = "channel",
    };
    if (!name)
        return PERI_DELIVERY_ONCE;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!strcmp(name, names[i]))
            return (int)i;
    return -1;
}

static enum peri_status describe_operator(
    struct peri_plugin *p, const char *id, bool is_condition, struct peri_error *err)
{
    static const char *const members[] = {
        "description", "params", "evaluate", "execute", "delivery", "channel", "lookup", NULL};
    const char *kind = is_condition ? "conditions" : "actions", *handler = is_condition ? "evaluate" : "execute";
    const char *const path[] = {kind, id, NULL};
    struct peri_value *v = NULL;
    enum peri_status st = check_members(p, path, members, id, err);
    if (st)
        return st;
    if (!has(p, kind, id, handler))
        return peri_error_set(err, PERI_EINVAL, "plugin.package", "%s[\"%s\"] has no function %s", kind, id, handler);
    st = peri_vm_peek(p->vm, path, &v, err);
    if (st)
        return st;
    const char *delivery = peri_map_text(v, "delivery");
    const char *channel = peri_map_text(v, "channel");
    int class = delivery_class(delivery);
    if (class < 0) {
        st = peri_error_set(err, PERI_EINVAL, "plugin.package",
            "delivery of %s must be \"once\", \"repeat\", \"lookup\" or \"channel\"", id);
    } else if ((class == PERI_DELIVERY_LOOKUP) != has(p, kind, id, "lookup")) {
        st = peri_error_set(
            err, PERI_EINVAL, "plugin.package", "%s: delivery = \"lookup\" and a function lookup go together", id);
    } else if ((class == PERI_DELIVERY_CHANNEL) != (channel != NULL)) {
        st = peri_error_set(
            err, PERI_EINVAL, "plugin.package", "%s: delivery = \"channel\" and channel = \"<type>\" go together", id);
    } else {
        struct peri_op_plan plan = {.id = id,
            .description = peri_map_text(v, "description"),
            .is_condition = is_condition,
            .params = peri_map_at(v, "params"),
            .delivery = (enum peri_delivery) class,
            .asks = class == PERI_DELIVERY_LOOKUP,
            .channel = channel};
        st = peri_plugin_add_operator(p, &plan, err);
    }
    peri_value_unref(v);
    return st;
}

static enum peri_status describe_operators(struct peri_plugin *p, bool conditions, struct peri_error *err)
{
    const char *const path[] = {conditions ? "conditions" : "actions", NULL};
    char **ids = peri_vm_keys(p->vm, path);
    enum peri_status st = PERI_OK;
    for (char **id = ids; !st && id && *id; id++)
        st = describe_operator(p, *id, conditions, err);
    free_keys(ids);
    return st;
}

static enum peri_status describe_webhook(struct peri_plugin *p, const char *at, struct peri_error *err)
{
    const char *const path[] = {"webhooks", at, "methods", NULL};
    struct peri_value *methods = NULL;
    if (!has(p, "webhooks", at, "handle"))
        return peri_error_set(
            err, PERI_EINVAL, "plugin.package", "webhooks: a path begins with / and has a function handle");
    enum peri_status st = peri_vm_peek(p->vm, path, &methods, err);
    size_t n = peri_value_count(methods);
    const char **names = st ? NULL : calloc((n ? n : 1) + 1, sizeof(*names));
    if (names && !n)
        names[0] = "POST";
    for (size_t i = 0; names && i < n; i++) {
        const char *m = peri_value_text(peri_list_at(methods, i));
        names[i] = m ? m : "";
    }
    if (!st)
        st = names ? peri_plugin_add_webhook(p, at, names, err) : peri_error_nomem(err);
    free(names);
    peri_value_unref(methods);
    return st;
}

static enum peri_status describe_webhooks(struct peri_plugin *p, struct peri_error *err)
{
    const char *const path[] = {"webhooks", NULL};
    char **paths = peri_vm_keys(p->vm, path);
    enum peri_status st = PERI_OK;
    for (char **at = paths; !st && at && *at; at++)
        st = describe_webhook(p, *at, err);
    free_keys(paths);
    if (!st && p->web_count && !peri_grants_has(p->grants, "network:inbound"))
        peri_warn(
            p->host->options.log, p->area, "has webhooks but was not granted network:inbound: they are not served");
    return st;
}

static enum peri_status describe_channel(struct peri_plugin *p, struct peri_error *err)
{
    static const char *const members[] = {
        "type", "send", "lookup", "delivery", "handle_incoming_event", "place_call", "access_token", NULL};
    const char *const path[] = {"channel", NULL};
    struct peri_value *v = NULL;
    enum peri_status st = check_members(p, path, members, "channel", err);
    if (!st)
        st = peri_vm_peek(p->vm, path, &v, err);
    if (st || !v)
        return st;
    const char *type = peri_map_text(v, "type");
    if (!type || !*type || !has(p, "channel", "send", NULL))
        st = peri_error_set(
            err, PERI_EINVAL, "plugin.package", "channel needs a type (\"sms\", \"email\", ...) and a function send");
    else if (!(p->channel_type = peri_strdup(type)))
        st = peri_error_nomem(err);
    p->has_incoming = has(p, "channel", "handle_incoming_event", NULL);
    const char *delivery = peri_map_text(v, "delivery");
    p->channel_repeats = peri_streq(delivery, "repeat");
    p->channel_asks = peri_streq(delivery, "lookup");
    if (!st && p->channel_asks != has(p, "channel", "lookup", NULL))
        st = peri_error_set(
            err, PERI_EINVAL, "plugin.package", "channel: delivery = \"lookup\" and a function lookup go together");
    peri_value_unref(v);
    return st;
}

static char **copy_globs(const struct peri_value *list)
{
    size_t n = peri_value_count(list);
    char **globs = calloc(n + 1, sizeof(char *));
    for (size_t i = 0; globs && i < n; i++)
        if (!(globs[i] = peri_strdup(peri_value_text(peri_list_at(list, i))))) {
            free_keys(globs);
            return NULL;
        }
    return globs;
}

static enum peri_status describe_intercept(struct peri_plugin *p, struct peri_error *err)
{
    static const char *const members[] = {"operators", "before", "after", "on_failure", "deadline_ms", NULL};
    const char *const path[] = {"intercept", NULL};
    struct peri_intercept *in = &p->intercept;
    struct peri_value *v = NULL;
    enum peri_status st = check_members(p, path, members, "intercept", err);
    if (!st)
        st = peri_vm_peek(p->vm, path, &v, err);
    if (st || !v)
        return st;
    const char *failure = peri_map_text(v, "on_failure");
    const struct peri_value *globs = peri_map_at(v, "operators");
    bool texts = !globs || peri_value_is(globs, PERI_LIST);
    for (size_t i = 0; texts && i < peri_value_count(globs); i++)
        texts = peri_value_text(peri_list_at(globs, i)) != NULL;
    in->before = has(p, "intercept", "before", NULL);
    in->after = has(p, "intercept", "after", NULL);
    in->open = peri_streq(failure, "open");
    in->deadline_ms = peri_map_int(v, "deadline_ms", PERI_HOST_INTERCEPT_MS);
    if (!in->before && !in->after)
        st = peri_error_set(err, PERI_EINVAL, "plugin.package", "intercept needs a function before, after, or both");
    else if (failure && !in->open && strcmp(failure, "closed"))
        st = peri_error_set(err, PERI_EINVAL, "plugin.package", "intercept.on_failure must be \"closed\" or \"open\"");
    else if (!texts)
        st = peri_error_set(
            err, PERI_EINVAL, "plugin.package", "intercept.operators must be a list of operator ids or globs");
    else if (in->deadline_ms < 1 || in->deadline_ms > PERI_HOST_INTERCEPT_MAX_MS)
        st = peri_error_set(err, PERI_EINVAL, "plugin.package", "intercept.deadline_ms must lie between 1 and %d",
            PERI_HOST_INTERCEPT_MAX_MS);
    else if (!peri_grants_has(p->grants, "actions:intercept"))
        st = peri_error_set(err, PERI_EDENIED, "plugin.package", "intercept needs the permission actions:intercept");
    else if (peri_value_count(globs) && !(in->globs = copy_globs(globs)))
        st = peri_error_nomem(err);
    peri_value_unref(v);
    return st;
}

static enum peri_status bad_connector(struct peri_error *err, const char *what)
{
    return peri_error_set(err, PERI_EINVAL, "plugin.package", "%s", what);
}

static enum peri_status check_connector(struct peri_plugin *p, const struct peri_value *v, struct peri_error *err)
{
    static const char *const functions[] = {"sync", "map", "register_realtime_listener", "execute", NULL};
    const struct peri_value *every = peri_map_at(v, "sync_every_ms"), *params = peri_map_at(v, "execute_params");
    bool sync = has(p, "connector", "sync", NULL), execute = has(p, "connector", "execute", NULL);
    for (const char *const *f = functions; *f; f++)
        if (peri_map_at(v, *f))
            return peri_error_set(err, PERI_EINVAL, "plugin.package", "connector.%s must be a function", *f);
    if (!sync && has(p, "connector", "map", NULL))
        return bad_connector(err, "connector.map says what the items of connector.sync mean: it needs a function sync");
    if (!sync && !execute && !p->has_listen)
        return bad_connector(err, "connector has neither sync nor execute or register_realtime_listener");
    if (every && !sync)
        return bad_connector(err, "connector.sync_every_ms needs a function connector.sync");
    if (every && (!peri_value_is(every, PERI_INT) || peri_value_as_int(every) < SYNC_MIN_MS))
        return peri_error_set(err, PERI_EINVAL, "plugin.package",
            "connector.sync_every_ms must be a whole number of at least %d", SYNC_MIN_MS);
    if (params && !execute)
        return bad_connector(err, "connector.execute_params needs a function connector.execute");
    if (params && !peri_value_is(params, PERI_MAP))
        return bad_connector(err, "connector.execute_params must be a JSON Schema");
    return PERI_OK;
}

static enum peri_status describe_connector(struct peri_plugin *p, struct peri_error *err)
{
    static const char *const members[] = {
        "sync", "map", "sync_every_ms", "register_realtime_listener", "execute", "execute_params", NULL};
    const char *const path[] = {"connector", NULL};
    struct peri_value *v = NULL;
    enum peri_status st = check_members(p, path, members, "connector", err);
    if (!st)
        st = peri_vm_peek(p->vm, path, &v, err);
    if (!st && has(p, "connector", NULL, NULL))
        st = bad_connector(err, "connector must be a table");
    if (st || !v)
        return st;
    p->has_listen = has(p, "connector", "register_realtime_listener", NULL);
    st = peri_value_is(v, PERI_MAP) ? check_connector(p, v, err) : bad_connector(err, "connector must be a table");
    if (!st)
        st = peri_plugin_add_connector(p, has(p, "connector", "sync", NULL), has(p, "connector", "execute", NULL),
            peri_map_at(v, "execute_params"), err);
    p->sync_every_ms = peri_map_int(v, "sync_every_ms", 0);
    peri_value_unref(v);
    return st;
}

enum peri_status peri_lua_describe(struct peri_plugin *p, struct peri_error *err)
{
    static const char *const members[] = {"init", "ready", "stop", "health", "on_enable", "on_disable", "conditions",
        "actions", "connector", "channel", "webhooks", "jobs", "intercept", NULL};
    static const char *const root[] = {NULL};
    enum peri_status st = check_members(p, root, members, "the package table", err);
    if (!st)
        st = describe_operators(p, true, err);
    if (!st)
        st = describe_operators(p, false, err);
    if (!st)
        st = describe_webhooks(p, err);
    if (!st)
        st = describe_channel(p, err);
    if (!st)
        st = describe_intercept(p, err);
    if (!st)
        st = describe_connector(p, err);
    /* The schedule of sync is made or dropped; after a reset the listener is wanted again. */
    p->has_init = has(p, "init", NULL, NULL) || p->has_sync || p->has_listen;
    p->has_ready = has(p, "ready", NULL, NULL);
    p->has_health = has(p, "health", NULL, NULL);
    p->has_stop = has(p, "stop", NULL, NULL);
    p->has_enable = has(p, "on_enable", NULL, NULL);
    p->has_disable = has(p, "on_disable", NULL, NULL);
    return st;
}

/* --- results --- */

static enum peri_status bad_result(struct peri_job *job, const char *what)
{
    return peri_error_set(&job->error, PERI_EINVAL, "bad_result", "%s", what);
}

static enum peri_status read_condition(struct peri_job *job)
{
    struct peri_value *v = NULL;
    enum peri_status st = peri_vm_call_result(job->vm_call, 0, 64, &v, &job->error);
    bool is_bool = !st && peri_value_is(v, PERI_BOOL);
    job->holds = is_bool && peri_value_as_bool(v);
    peri_value_unref(v);
    if (!is_bool)
        return bad_result(job, job->plugin->script ? "the script of a condition must return true or false"
                                                   : "evaluate must return true or false");
    st = peri_vm_call_result(job->vm_call, 1, EXPLANATION_BYTES, &job->value, &job->error);
    if (st)
        peri_error_prefix(&job->error, "what it returns second");
    return st;
}

static enum peri_status read_sent(struct peri_job *job)
{
    enum peri_status st = peri_vm_call_result(job->vm_call, 0, PERI_HOST_RESULT_BYTES, &job->value, &job->error);
    return st ? st : peri_job_sent(job, &job->error);
}

/* nothing or true: yes. false, "why not", or {allow = false, code =, message =}: no. */
static enum peri_status read_agreement(struct peri_job *job)
{
    struct peri_value *v = NULL, *why = NULL;
    if (job->kind == PERI_JOB_INTERCEPT && peri_streq(job->path[1], "after"))
        return PERI_OK;
    enum peri_status st = peri_vm_call_result(job->vm_call, 0, 4096, &v, &job->error);
    if (st)
        return st;
    job->holds = !v || peri_value_is(v, PERI_NULL) || (peri_value_is(v, PERI_BOOL) && peri_value_as_bool(v));
    if (peri_value_is(v, PERI_MAP) && job->kind == PERI_JOB_INTERCEPT) {
        job->holds = peri_map_bool(v, "allow", false);
        job->value = v;
        return PERI_OK;
    }
    bool no = peri_value_is(v, PERI_BOOL);
    peri_value_unref(v);
    if (!job->holds && !no)
        return bad_result(job, job->kind == PERI_JOB_HEALTH ? "health must return true, or false and why"
                                                            : "intercept.before must return true, or false and why");
    if (job->holds || peri_vm_call_result(job->vm_call, 1, 4096, &why, &job->error))
        return job->holds ? PERI_OK : PERI_EINVAL;
    job->value = peri_value_map();
    st = job->value ? PERI_OK : peri_error_nomem(&job->error);
    if (!st && peri_value_text(why))
        st = peri_map_put_text(job->value, "message", peri_value_text(why));
    peri_value_unref(why);
    return st;
}

static bool is_sync(const struct peri_job *job)
{
    return peri_lua_path_is_sync(job->path);
}

static enum peri_status read_cursor(struct peri_job *job)
{
    struct peri_value *cursor = NULL;
    enum peri_status st = peri_vm_call_result(job->vm_call, 1, CURSOR_BYTES, &cursor, &job->error);
    if (st)
        peri_error_prefix(&job->error, "the cursor, which sync returns second");
    return st ? st : peri_pages_cursor(job, cursor, &job->error);
}

/* What the items that a sync came to mean is written with what else its call has written. */
static enum peri_status read_items(struct peri_job *job)
{
    struct peri_error *err = &job->error;
    struct peri_value *items = NULL;
    struct peri_taken taken = {0};
    enum peri_status st = peri_vm_call_result(job->vm_call, 0, PERI_HOST_BATCH_BYTES, &items, err);
    if (st) {
        peri_error_prefix(err, "what the items mean");
        return st;
    }
    if (peri_value_names_secret(items))
        st = bad_result(job, "an item holds a secret");
    struct peri_value *clean = st ? NULL : peri_secrets_hide_value(job->host->options.secrets, items);
    if (!st && !clean)
        st = peri_error_nomem(err);
    job->taking = true;
    for (size_t i = 0; !st && i < peri_value_count(clean); i++) {
        st = peri_job_take(job, peri_list_at(clean, i), &taken, err);
        if (st)
            peri_error_prefix(err, "item %zu", i + 1);
    }
    job->taking = false;
    peri_value_unref(clean);
    peri_value_unref(items);
    if (!st)
        st = read_cursor(job);
    if (!st)
        st = peri_pages_charge(job, &taken, err);
    return st ? st : peri_job_taken(&taken, &job->value, err);
}

static enum peri_status plan_sync(struct peri_job *job)
{
    if (!job->plugin->has_sync || !peri_streq(job->path[0], "init"))
        return PERI_OK;
    return peri_job_plan_sync(job, job->plugin->sync_every_ms, &job->error);
}

static enum peri_status read_result(struct peri_job *job)
{
    if (is_sync(job))
        return read_items(job);
    if (job->asking)
        return peri_vm_call_result(job->vm_call, 0, PERI_HOST_RESULT_BYTES, &job->value, &job->error);
    switch (job->kind) {
    case PERI_JOB_CONDITION:
        return read_condition(job);
    case PERI_JOB_SEND:
        return read_sent(job);
    case PERI_JOB_INTERCEPT:
    case PERI_JOB_HEALTH:
        return read_agreement(job);
    case PERI_JOB_ACTION:
        return peri_vm_call_result(job->vm_call, 0, PERI_HOST_RESULT_BYTES, &job->value, &job->error);
    case PERI_JOB_WEBHOOK:
        return peri_vm_call_result(job->vm_call, 0, PERI_HOST_BODY_BYTES, &job->value, &job->error);
    case PERI_JOB_EVENT:
    case PERI_JOB_SCHEDULE:
    case PERI_JOB_PUSH:
        break;
    case PERI_JOB_HOOK:
        return plan_sync(job);
    }
    return PERI_OK;
}

/* --- running --- */

static bool find_sync(lua_State *L, void *user)
{
    const struct peri_job *job = user;
    if (!peri_vm_push_path(L, job->path) || !lua_isfunction(L, -1))
        return false;
    peri_lua_wrap_sync(L);
    return true;
}

/* What stands for a member of the connector: actions, the schedule, the hook. */
static const char *connector_member(const struct peri_job *job)
{
    if (job->op_def)
        return job->op_def->native == PERI_NATIVE_SYNC      ? "sync"
               : job->op_def->native == PERI_NATIVE_EXECUTE ? "execute"
                                                            : NULL;
    if (job->kind == PERI_JOB_SCHEDULE && job->plugin->has_sync && peri_streq(job->path[1], PERI_CONNECTOR_SYNC))
        return "sync";
    return job->kind == PERI_JOB_HOOK && peri_streq(job->path[0], "listen") ? "register_realtime_listener" : NULL;
}

static void suspend(struct peri_job *job)
{
    struct peri_plugin *p = job->plugin;
    job->suspended = true;
    job->susp_prev = NULL;
    job->susp_next = p->suspended;
    if (p->suspended)
        p->suspended->susp_prev = job;
    p->suspended = job;
}

static void unsuspend(struct peri_job *job)
{
    if (!job->suspended)
        return;
    job->suspended = false;
    if (job->susp_prev)
        job->susp_prev->susp_next = job->susp_next;
    else
        job->plugin->suspended = job->susp_next;
    if (job->susp_next)
        job->susp_next->susp_prev = job->susp_prev;
}

void peri_lua_settle(struct peri_job *job, int outcome)
{
    if (outcome == PERI_VM_SUSPENDED) {
        job->outcome = PERI_JOB_SUSPENDED;
        suspend(job);
        return;
    }
    if (job->vm_call) {
        struct peri_vm_usage usage = peri_vm_call_usage(job->vm_call);
        job->usage = (struct peri_usage){
            .instructions = usage.instructions, .running_us = usage.running_us, .memory_bytes = usage.memory_bytes};
    }
    if (outcome == PERI_VM_FAILED && !job->error.status)
        job->error.status = PERI_EINVAL;
    job->outcome = outcome == PERI_VM_DONE && !read_result(job) ? PERI_JOB_DONE : PERI_JOB_FAILED;
    peri_vm_call_destroy(job->vm_call);
    job->vm_call = NULL;
    peri_op_finish(&job->op);
    peri_value_unref(job->event_value); /* made on this thread: its memory is at hand here */
    job->event_value = NULL;
}

void peri_lua_start(struct peri_job *job)
{
    struct peri_plugin *p = job->plugin;
    const char *member = connector_member(job);
    if (member) {
        job->path[0] = "connector";
        job->path[1] = member;
        job->path[2] = NULL;
    }
    if (job->kind == PERI_JOB_HOOK && !strcmp(job->path[0], "init") && !has(p, "init", NULL, NULL)) {
        job->outcome = plan_sync(job) ? PERI_JOB_FAILED : PERI_JOB_DONE; /* nothing else is to be done */
        return;
    }
    if (p->cell) {
        peri_cell_start(job);
        return;
    }
    int64_t standard = job->kind == PERI_JOB_CONDITION ? PERI_HOST_CONDITION_MS : PERI_HOST_HANDLER_MS;
    struct peri_vm_start start = {
        .path = job->path,
        .find = is_sync(job) ? find_sync : NULL,
        .push = peri_lua_push_arguments,
        .user = job,
        .limits = {.instructions = p->limits.instructions,
            .running_ms = p->limits.running_ms ? p->limits.running_ms : standard},
    };
    peri_lua_settle(job, peri_vm_call_start(p->vm, &start, &job->vm_call, &job->error));
}

static int push_answer_once(lua_State *L, void *user)
{
    return peri_lua_push_answer(L, user);
}

void peri_lua_resume(struct peri_job *job)
{
    unsuspend(job);
    if (job->plugin->cell) {
        peri_cell_resume(job);
        return;
    }
    peri_lua_settle(job, peri_vm_call_resume(job->vm_call, push_answer_once, job, &job->error));
}

void peri_lua_abort(struct peri_job *job)
{
    unsuspend(job);
    if (job->plugin->cell && job->vm_call) {
        peri_cell_abort(job);
        return;
    }
    peri_vm_call_destroy(job->vm_call);
    job->vm_call = NULL;
}
