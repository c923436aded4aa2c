/* SPDX-License-Identifier: Apache-2.0 */
/* Events about plugins, their schedules and messages. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "plugin/host_internal.h"

/* {plugin, version?}, or NULL when nobody is there to hear it. */
static struct peri_value *plugin_data(const struct peri_plugin *p)
{
    struct peri_value *v = p->host->options.ops.system_event && !p->host->closing ? peri_value_map() : NULL;
    enum peri_status st = v ? peri_map_put_text(v, "plugin", p->id) : PERI_ENOMEM;
    if (!st && p->manifest)
        st = peri_map_put_text(v, "version", p->manifest->version);
    if (!st)
        return v;
    peri_value_unref(v);
    return NULL;
}

static void put_text(struct peri_value *v, const char *key, const char *text)
{
    if (v && text)
        (void)!peri_map_put_text(v, key, text);
}

/* take data */
static struct peri_event *event_of(
    struct peri_host *host, const char *type, struct peri_value *data, const struct peri_event *about)
{
    if (data && host->options.ops.system_event && !host->closing)
        return host->options.ops.system_event(host->options.ops.ctx, type, data, about);
    peri_value_unref(data);
    return NULL;
}

struct peri_event *peri_host_event(const struct peri_plugin *p, const char *type, const char *reason)
{
    struct peri_value *v = plugin_data(p);
    put_text(v, "reason", reason);
    if (!strcmp(type, "plugin.Failed")) {
        put_text(v, "code", p->error.code);
        put_text(v, "message", p->error.message);
    }
    return event_of(p->host, type, v, NULL);
}

struct peri_event *peri_host_sent_event(const struct peri_job *job, const char *channel, const char *key)
{
    struct peri_host *host = job->host;
    struct peri_value *v = host->options.ops.system_event && !job->dry_run ? peri_value_map() : NULL;
    struct peri_value *to = peri_map_at(job->op.value, "to");
    put_text(v, "channel", channel);
    put_text(v, "channel_type", job->op.target);
    put_text(v, "key", key);
    put_text(v, "rule", job->rule_id);
    put_text(v, "run", job->run_id);
    if (v && (!to || !peri_map_put_ref(v, "to", to)))
        return event_of(host, "message.Sent", v, job->event);
    peri_value_unref(v);
    return NULL;
}

/* An event that is too large would take what the handler has written with it. */
static bool fits(const struct peri_value *message)
{
    char *text = peri_json_text(message, PERI_JSON_COMPACT);
    bool small = text && strlen(text) < PERI_HOST_EVENT_BYTES - 1024;
    free(text);
    return small;
}

void peri_host_mark_received(struct peri_job *job)
{
    const struct peri_plugin *p = job->plugin;
    struct peri_value *message = job->kind == PERI_JOB_WEBHOOK ? peri_map_at(job->value, "message") : NULL;
    struct peri_value *v = p->channel_type && peri_value_is(message, PERI_MAP) ? peri_value_map() : NULL;
    put_text(v, "channel", p->id);
    put_text(v, "channel_type", p->channel_type);
    if (v && !fits(message)) {
        (void)!peri_map_put_bool(v, "truncated", true);
        message = NULL;
    }
    if (!v || (message && peri_map_put_ref(v, "message", message))) {
        peri_value_unref(v);
        return;
    }
    struct peri_event *event = event_of(job->host, "message.Received", v, NULL);
    if (event && !job->batch && !(job->batch = peri_batch_create())) {
        peri_event_unref(event);
        return;
    }
    if (event && peri_batch_event(job->batch, event))
        peri_warn(job->host->options.log, p->area, "out of memory: message.Received is not told");
}

struct peri_event *peri_host_due_event(struct peri_host *host, const char *schedule, int64_t due_ms, int64_t now_ms)
{
    const char *plugin = schedule + strlen("plugin:"), *slash = strchr(plugin, '/');
    struct peri_value *v = host->options.ops.system_event ? peri_value_map() : NULL;
    char *id = slash ? peri_strndup(plugin, (size_t)(slash - plugin)) : NULL;
    put_text(v, "plugin", id);
    put_text(v, "name", slash ? slash + 1 : NULL);
    free(id);
    if (!v || peri_map_put_time(v, "scheduled_at", due_ms) ||
        peri_map_put_int(v, "late_ms", now_ms > due_ms ? now_ms - due_ms : 0)) {
        peri_value_unref(v);
        return NULL;
    }
    struct peri_event *event = event_of(host, "schedule.Fired", v, NULL);
    if (event && !(event->external_id = peri_asprintf("%s/%lld", schedule, (long long)due_ms))) {
        peri_event_unref(event);
        return NULL;
    }
    return event;
}
