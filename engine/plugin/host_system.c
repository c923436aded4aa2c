/* SPDX-License-Identifier: Apache-2.0 */
/* Events about plugins, their schedules and messages. */
#include "base/str.h"
#include "plugin/host_internal.h"

static void tell(struct peri_host *host, const char *type, struct peri_value *data, const struct peri_event *about)
{
    if (host->options.ops.announce && !host->closing)
        host->options.ops.announce(host->options.ops.ctx, type, data, about);
    else
        peri_value_unref(data);
}

/* {plugin, version?}, or NULL when nobody is there to hear it. */
static struct peri_value *plugin_data(const struct peri_plugin *p)
{
    struct peri_value *v = p->host->options.ops.announce && !p->host->closing ? peri_value_map() : NULL;
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

void peri_host_tell_loaded(const struct peri_plugin *p)
{
    tell(p->host, "plugin.Loaded", plugin_data(p), NULL);
}

void peri_host_tell_unloaded(const struct peri_plugin *p, const char *reason)
{
    struct peri_value *v = plugin_data(p);
    put_text(v, "reason", reason);
    tell(p->host, "plugin.Unloaded", v, NULL);
}

void peri_host_tell_failed(const struct peri_plugin *p)
{
    struct peri_value *v = plugin_data(p);
    put_text(v, "code", p->error.code);
    put_text(v, "message", p->error.message);
    tell(p->host, "plugin.Failed", v, NULL);
}

void peri_host_tell_sent(const struct peri_job *job, const char *channel, const char *key)
{
    struct peri_host *host = job->host;
    struct peri_value *v = host->options.ops.announce && !job->dry_run ? peri_value_map() : NULL;
    struct peri_value *to = peri_map_at(job->op.value, "to");
    put_text(v, "channel", channel);
    put_text(v, "channel_type", job->op.target);
    put_text(v, "key", key);
    put_text(v, "rule", job->rule_id);
    put_text(v, "run", job->run_id);
    if (v && (!to || !peri_map_put_ref(v, "to", to)))
        tell(host, "message.Sent", v, job->event);
    else
        peri_value_unref(v);
}

void peri_host_tell_received(const struct peri_job *job, const struct peri_value *message)
{
    const struct peri_plugin *p = job->plugin;
    struct peri_value *v = p->channel_type && peri_value_is(message, PERI_MAP) ? peri_value_map() : NULL;
    put_text(v, "channel", p->id);
    put_text(v, "channel_type", p->channel_type);
    if (v && !peri_map_put_ref(v, "message", (struct peri_value *)(uintptr_t)message))
        tell(job->host, "message.Received", v, NULL);
    else
        peri_value_unref(v);
}

void peri_host_tell_due(struct peri_host *host, const char *plugin, const char *name, int64_t due_ms, int64_t now_ms)
{
    struct peri_value *v = host->options.ops.announce ? peri_value_map() : NULL;
    put_text(v, "plugin", plugin);
    put_text(v, "name", name);
    if (v && !peri_map_put_time(v, "scheduled_at", due_ms) &&
        !peri_map_put_int(v, "late_ms", now_ms > due_ms ? now_ms - due_ms : 0))
        tell(host, "schedule.Fired", v, NULL);
    else
        peri_value_unref(v);
}
