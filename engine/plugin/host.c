/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/host.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "plugin/host_internal.h"
#include "plugin/lua_cell.h"
#include "plugin/lua_vm.h"
#include "plugin/native_call.h"
#include "plugin/refusal.h"

#define STOP_MS 2000   /* for all stop handlers together */
#define COMMIT_MS 5000 /* for commits under way at the end */

/* --- plugins as objects --- */

const char *peri_plugin_state_name(enum peri_plugin_state state)
{
    static const char *const names[] = {"blocked", "unconfigured", "disabled", "loading", "ready", "active", "failed"};
    return names[state];
}

struct peri_plugin *peri_plugin_ref(struct peri_plugin *plugin)
{
    atomic_fetch_add(&plugin->refs, 1);
    return plugin;
}

void peri_plugin_unref(struct peri_plugin *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) > 1)
        return;
    peri_vm_destroy(p->vm);
    peri_cell_destroy(p->cell);
    for (size_t i = 0; i < p->op_count; i++) {
        free(p->ops[i].id);
        free(p->ops[i].description);
        free(p->ops[i].channel);
        peri_schema_destroy(p->ops[i].schema);
    }
    free(p->ops);
    for (size_t i = 0; i < p->web_count; i++) {
        free(p->webs[i].path);
        for (char **m = p->webs[i].methods; m && *m; m++)
            free(*m);
        free(p->webs[i].methods);
    }
    free(p->webs);
    peri_self_gone(p->self);
    peri_native_close(p->native);
    peri_intercept_finish(&p->intercept);
    free(p->channel_type);
    peri_subs_free_changes(p->subs, p->sub_count);
    peri_value_unref(p->config);
    peri_grants_destroy(p->grants);
    peri_manifest_destroy(p->manifest);
    peri_package_destroy(p->package);
    free(p->id);
    free(p->path);
    free(p->area);
    free(p);
}

struct peri_plugin *peri_host_plugin(struct peri_host *host, const char *id)
{
    for (size_t i = 0; i < host->plugin_count; i++)
        if (!host->plugins[i]->candidate && !strcmp(host->plugins[i]->id, id))
            return host->plugins[i];
    return NULL;
}

/* --- the host --- */

static bool copy_options(struct peri_host *host, const struct peri_host_options *o)
{
    size_t n = 0;
    host->options = *o;
    while (o->plugin_path && o->plugin_path[n])
        n++;
    host->plugin_path = calloc(n + 1, sizeof(char *));
    for (size_t i = 0; host->plugin_path && i < n; i++)
        if (!(host->plugin_path[i] = peri_strdup(o->plugin_path[i])))
            return false;
    host->database = peri_strdup(o->database);
    host->bundled_path = peri_strdup(o->bundled_path);
    host->policy_file = peri_strdup(o->policy_file);
    host->crumb = peri_strdup(o->crumb);
    host->probe_program = peri_strdup(o->probe_program);
    host->crumb_old = o->crumb ? peri_asprintf("%s.crashed", o->crumb) : NULL;
    peri_crumb_keep(host);
    return host->plugin_path && (!o->database || host->database) && (!o->bundled_path || host->bundled_path) &&
           (!o->policy_file || host->policy_file) && (!o->crumb || host->crumb) &&
           (!o->probe_program || host->probe_program);
}

enum peri_status peri_host_create(
    const struct peri_host_options *options, struct peri_host **ret, struct peri_error *err)
{
    struct peri_host *host = calloc(1, sizeof(*host));
    enum peri_status st = PERI_OK;
    if (!host)
        return peri_error_nomem(err);
    host->run_tail = &host->run_head;
    peri_diag_init(&host->watch_diag);
    pthread_mutex_init(&host->lock, NULL);
    pthread_mutex_init(&host->shared_lock, NULL);
    pthread_cond_init(&host->wake, NULL);
    host->operators = peri_map_create();
    host->libraries = peri_map_create();
    host->subs = peri_map_create();
    host->plans = peri_map_create();
    host->ids = calloc(1, sizeof(*host->ids));
    host->ledger = peri_ledger_create();
    if (!host->ledger || !copy_options(host, options) || !host->operators || !host->libraries || !host->subs ||
        !host->plans || !host->ids)
        st = peri_error_nomem(err);
    host->queue_full = peri_metrics_counter(
        options->metrics, "plugin_queue_full_total", NULL, "Calls refused because a plugin's queue was full.");
    host->late_completions = peri_metrics_counter(options->metrics, "plugin_late_completions_total", NULL,
        "Answers of C plugins to calls that were over already.");
    if (!st)
        st = peri_workers_start(host, options->workers > 0 ? options->workers : 2, err);
    if (st)
        peri_host_destroy(host);
    else
        *ret = host;
    return st;
}

static int64_t mono_ms(struct peri_host *host)
{
    return peri_clock_mono(&host->options.clock).ns / 1000000;
}

static bool hooks_run(const struct peri_host *host)
{
    for (const struct peri_job *job = host->jobs; job; job = job->next)
        if (job->kind == PERI_JOB_HOOK)
            return true;
    return false;
}

static void stop_plugins(struct peri_host *host)
{
    for (size_t i = 0; i < host->plugin_count; i++) {
        struct peri_plugin *p = host->plugins[i];
        if (p->state == PERI_PLUGIN_ACTIVE && p->has_stop)
            (void)!peri_plugin_hook(p, "stop", true, NULL);
    }
    peri_subs_flush(host);
    peri_host_ledger_flush(host, NULL, NULL);
    /* Rounds are counted besides the clock, which stands still in tests. */
    int64_t until = mono_ms(host) + STOP_MS;
    for (int rounds = 0; hooks_run(host) && rounds < STOP_MS / 10 && mono_ms(host) < until; rounds++)
        peri_loop_once(host->options.loop, 10);
}

void peri_host_destroy(struct peri_host *host)
{
    if (!host)
        return;
    if (host->worker_count)
        stop_plugins(host);
    host->closing = true;
    for (size_t i = 0; i < host->watch_count; i++)
        peri_watch_destroy(host->watches[i]);
    free(host->watches);
    peri_selves_close(host);
    peri_workers_stop(host);
    peri_host_collect(host);
    for (int rounds = 0; host->commits && rounds < COMMIT_MS / 10; rounds++)
        peri_loop_once(host->options.loop, 10);
    peri_job_fail_all(host);
    peri_workers_forget(host);
    for (int rounds = 0; (host->posted || host->self_posted) && rounds < 10;
         rounds++) /* a posted function still has the host's address */
        peri_loop_once(host->options.loop, 0);
    peri_later_cancel(host->options.loop, &host->waking);
    while (host->watched)
        peri_cell_unwatch(host->watched);
    for (size_t i = 0; i < host->plugin_count; i++) {
        if (host->plugins[i]->reset_item.plugin)
            peri_plugin_unref(host->plugins[i]->reset_item.plugin);
        peri_plugin_unref(host->plugins[i]);
    }
    free(host->plugins);
    peri_ledger_destroy(host->ledger);
    peri_cares_finish(host);
    peri_lives_finish(host);
    peri_subs_finish(host);
    peri_plans_finish(host);
    peri_map_destroy(host->operators, NULL);
    peri_host_scripts_finish(host);
    peri_map_destroy(host->libraries, free);
    free(host->ids);
    peri_diag_finish(&host->watch_diag);
    peri_policy_destroy(host->policy);
    peri_policy_destroy(host->shipped);
    for (char **p = host->plugin_path; p && *p; p++)
        free(*p);
    free(host->plugin_path);
    free(host->database);
    free(host->bundled_path);
    free(host->policy_file);
    free(host->crumb);
    free(host->crumb_old);
    free(host->probe_program);
    pthread_cond_destroy(&host->wake);
    pthread_mutex_destroy(&host->lock);
    pthread_mutex_destroy(&host->shared_lock);
    peri_costs_finish(host);
    peri_selves_finish(host);
    peri_jobs_finish(host);
    free(host);
}

/* --- operators by id --- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct id_list {
    const char **ids;
    size_t count;
};

static bool add_id(const char *key, void *value, void *arg)
{
    struct id_list *list = arg;
    const struct peri_op_def *def = value;
    if (def->owner->state == PERI_PLUGIN_ACTIVE)
        list->ids[list->count++] = def->id;
    return true;
}

void peri_host_operators_changed(struct peri_host *host)
{
    struct id_list list = {.ids = calloc(peri_map_count(host->operators) + 1, sizeof(*list.ids))};
    if (!list.ids)
        return; /* only suggestions and lists suffer */
    peri_map_each(host->operators, add_id, &list);
    if (list.count)
        qsort(list.ids, list.count, sizeof(*list.ids), by_text);
    free(host->ids);
    host->ids = list.ids;
}

/* --- lists --- */

static enum peri_status put_error(struct peri_value *v, const char *key, const struct peri_error *err)
{
    struct peri_value *e = peri_value_map();
    enum peri_status st = e ? peri_map_put_text(e, "code", err->code) : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_text(e, "message", err->message);
    if (!st)
        st = peri_map_put_text(e, "remedy", peri_refusal_remedy(err->code));
    if (st)
        peri_value_unref(e);
    return st ? st : peri_map_put(v, key, e);
}

static struct peri_value *op_ids(const struct peri_plugin *p)
{
    struct peri_value *list = peri_value_list();
    for (size_t i = 0; list && i < p->op_count; i++)
        if (peri_list_push(list, peri_value_str(p->ops[i].id)))
            break;
    return list;
}

static struct peri_value *web_paths(const struct peri_plugin *p)
{
    struct peri_value *list = peri_value_list();
    for (size_t i = 0; list && i < p->web_count; i++)
        if (peri_list_push(list, peri_value_str(p->webs[i].path)))
            break;
    return list;
}

static struct peri_value *asked_for(const struct peri_plugin *p)
{
    struct peri_value *list = peri_value_list();
    for (size_t i = 0; list && p->manifest && i < p->manifest->permission_count; i++)
        if (peri_list_push(list, peri_value_str(p->manifest->permissions[i])))
            break;
    return list;
}

static struct peri_value *channel_list(const struct peri_plugin *p)
{
    struct peri_value *list = peri_value_list();
    if (list && p->channel_type)
        (void)!peri_list_push(list, peri_value_str(p->channel_type));
    return list;
}

/* What the manifest says of events, schemas included. */
static struct peri_value *event_list(const struct peri_manifest *m)
{
    struct peri_value *events = m ? peri_map_at(m->source, "events") : NULL;
    return events ? peri_value_ref(events) : peri_value_list();
}

/* "process" with its number and how often one was lost; else "none". */
static enum peri_status put_isolation(struct peri_value *v, struct peri_plugin *p)
{
    int pid = atomic_load(&p->pid);
    enum peri_status st = peri_map_put_text(v, "isolation", p->isolated ? "process" : "none");
    if (!st && pid)
        st = peri_map_put_int(v, "pid", pid);
    if (!st && p->isolated)
        st = peri_map_put_int(v, "restarts", atomic_load(&p->restarts));
    return st;
}

static enum peri_status plugin_value(struct peri_plugin *p, struct peri_value **ret)
{
    const struct peri_manifest *m = p->manifest;
    struct peri_value *v = peri_value_map();
    enum peri_status st = v ? peri_map_put_text(v, "id", p->id) : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_text(v, "name", m ? m->name : p->id);
    if (!st && m)
        st = peri_map_put_text(v, "version", m->version);
    if (!st && m)
        st = peri_map_put_text(v, "type", peri_plugin_type_name(m->type));
    if (!st)
        st = peri_map_put_text(v, "state", peri_plugin_state_name(p->state));
    if (!st)
        st = peri_map_put_text(v, "path", p->path);
    if (!st)
        st = peri_map_put_bool(v, "bundled", p->bundled);
    if (!st)
        st = put_isolation(v, p);
    if (!st && p->package)
        st = peri_map_put_text(v, "sha256", peri_package_hash(p->package));
    if (!st)
        st = peri_map_put(v, "permissions", asked_for(p));
    if (!st)
        st = peri_map_put(v, "granted", peri_grants_value(p->grants));
    if (!st && p->state == PERI_PLUGIN_ACTIVE)
        st = peri_usage_put(p, v);
    if (!st)
        st = peri_care_put(p, v);
    if (!st && p->state != PERI_PLUGIN_LOADING) /* a worker may be making it */
        st = peri_self_put(p->self, v);
    if (!st)
        st = peri_life_put(p, v);
    if (!st && p->error.status)
        st = put_error(v, p->state == PERI_PLUGIN_BLOCKED ? "refusal" : "error", &p->error);
    if (!st)
        st = peri_map_put(v, "operators", op_ids(p));
    if (!st)
        st = peri_map_put(v, "channels", channel_list(p));
    if (!st)
        st = peri_map_put(v, "webhooks", web_paths(p));
    if (!st)
        st = peri_map_put(v, "events", event_list(m));
    if (!st && p->sub_count)
        st = peri_map_put(v, "subscriptions", peri_subs_value(p));
    if (!st)
        st = peri_map_put_text(v, "description", m ? m->description : "");
    if (st)
        peri_value_unref(v);
    else
        *ret = v;
    return st;
}

enum peri_status peri_host_plugins(struct peri_host *host, struct peri_value **ret)
{
    struct peri_value *list = peri_value_list();
    enum peri_status st = list ? PERI_OK : PERI_ENOMEM;
    for (size_t i = 0; !st && i < host->plugin_count; i++) {
        struct peri_value *v = NULL;
        if (host->plugins[i]->candidate)
            continue;
        st = plugin_value(host->plugins[i], &v);
        if (!st)
            st = peri_list_push(list, v);
    }
    if (st)
        peri_value_unref(list);
    else
        *ret = list;
    return st;
}

static enum peri_status operator_value(const struct peri_operator *op, struct peri_value **ret)
{
    static const char *const deliveries[] = {"once", "repeat", "lookup", "channel"};
    struct peri_value *v = peri_value_map();
    enum peri_status st = v ? peri_map_put_text(v, "id", op->id) : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_text(v, "kind", op->is_condition ? "condition" : "action");
    if (!st)
        st = peri_map_put_text(v, "plugin", op->plugin);
    if (!st)
        st = peri_map_put_text(v, "description", op->description);
    if (!st)
        st = op->params ? peri_map_put_ref(v, "params", peri_schema_source(op->params))
                        : peri_map_put(v, "params", peri_value_map());
    if (!st && !op->is_condition)
        st = peri_map_put_text(v, "delivery", deliveries[op->delivery]);
    if (st)
        peri_value_unref(v);
    else
        *ret = v;
    return st;
}

enum peri_status peri_host_operators(struct peri_host *host, const char *id, struct peri_value **ret)
{
    if (id) {
        const struct peri_operator *op = peri_host_operator(host, id);
        return op ? operator_value(op, ret) : PERI_ENOTFOUND;
    }
    struct peri_value *list = peri_value_list();
    enum peri_status st = list ? PERI_OK : PERI_ENOMEM;
    for (const char **k = host->ids; !st && *k; k++) {
        struct peri_value *v = NULL;
        const struct peri_operator *op = peri_host_operator(host, *k);
        if (!op)
            continue;
        st = operator_value(op, &v);
        if (!st)
            st = peri_list_push(list, v);
    }
    if (st)
        peri_value_unref(list);
    else
        *ret = list;
    return st;
}
