/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts of rules as calls. Every rule has a stand-in for a plugin: a mailbox and a breaker of its own, but no
 * package, no state, no grants. So one rule's scripts run one after the other, and one that always runs into its limits
 * rests. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "plugin/host_internal.h"

#define MAX_STANDINS 10000

static void set_limits(struct peri_plugin *p)
{
    const struct peri_limits *set = &p->host->options.limits;
    p->limits = *set;
    p->limits.instructions = set->instructions > 0 ? set->instructions : 1000000;
    p->limits.memory_bytes = set->memory_bytes > 0 ? set->memory_bytes : (size_t)8 << 20;
    p->limits.wall_ms = set->wall_ms > 0 ? set->wall_ms : 30000;
}

static struct peri_plugin *create(struct peri_host *host, const char *rule_id)
{
    struct peri_plugin *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->refs = 1;
    p->host = host;
    p->script = true;
    p->state = PERI_PLUGIN_ACTIVE;
    p->id = peri_asprintf("rule %s", rule_id);
    p->area = peri_asprintf("rule.%s", rule_id);
    set_limits(p);
    if (p->id && p->area)
        return p;
    peri_plugin_unref(p);
    return NULL;
}

static void drop(void *plugin)
{
    peri_plugin_unref(plugin);
}

void peri_host_scripts_finish(struct peri_host *host)
{
    peri_map_destroy(host->scripts, drop);
    host->scripts = NULL;
}

/* The stand-in of a rule. Rules come and go with their files: now and then all begin anew. */
static struct peri_plugin *standin(struct peri_host *host, const char *rule_id)
{
    struct peri_plugin *p = host->scripts ? peri_map_get(host->scripts, rule_id) : NULL;
    if (p)
        return p;
    if (host->scripts && peri_map_count(host->scripts) >= MAX_STANDINS)
        peri_host_scripts_finish(host);
    if (!host->scripts)
        host->scripts = peri_map_create();
    p = host->scripts ? create(host, rule_id) : NULL;
    if (p && !peri_map_set(host->scripts, rule_id, p, NULL)) {
        peri_plugin_unref(p);
        p = NULL;
    }
    return p;
}

/* A script that was changed has a clean slate. */
static void notice_change(struct peri_plugin *p, const char *code)
{
    uint64_t hash = 14695981039346656037u;
    for (const char *c = code ? code : ""; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    if (p->breaker.until_ms && p->script_hash != hash)
        p->breaker = (struct peri_breaker){0};
    if (!p->breaker.until_ms)
        p->script_hash = hash; /* of the one that wore it out, once it rests */
}

struct peri_job *peri_script_job(struct peri_host *host, const struct peri_call *call)
{
    bool condition = peri_streq(peri_map_text(call->params, "kind"), "condition");
    struct peri_plugin *p = standin(host, call->rule_id);
    if (!p)
        return NULL;
    notice_change(p, peri_map_text(call->params, "code"));
    struct peri_job *job = peri_job_create(p, condition ? PERI_JOB_CONDITION : PERI_JOB_ACTION);
    if (!job)
        return NULL;
    job->path[0] = "lua";
    job->params = peri_value_ref(call->params);
    return job;
}
