/* SPDX-License-Identifier: Apache-2.0 */
/* What calls have cost since the start, for each plugin and each rule: a few additions when a call ends. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "plugin/host_internal.h"

#define COSTS_MAX 20000 /* rules and plugins; more are not told apart */

struct cost {
    int64_t calls, failures, cpu_us, wall_us, http_calls, http_us;
    int64_t waiting; /* of a snapshot */
};

static struct cost *find(struct peri_map **map, const char *id)
{
    if (!*map && !(*map = peri_map_create()))
        return NULL;
    struct cost *cost = peri_map_get(*map, id);
    if (cost)
        return cost;
    cost = peri_map_count(*map) < COSTS_MAX ? calloc(1, sizeof(*cost)) : NULL;
    if (cost && !peri_map_set(*map, id, cost, NULL)) {
        free(cost);
        cost = NULL;
    }
    return cost;
}

static void add(struct cost *cost, const struct peri_job *job, int64_t wall_us, bool failed)
{
    if (!cost)
        return;
    cost->calls++;
    cost->failures += failed;
    cost->cpu_us += job->usage.running_us;
    cost->wall_us += wall_us;
    cost->http_calls += job->http_calls;
    cost->http_us += job->http_us;
}

void peri_cost_count(struct peri_job *job, int64_t wall_us, bool failed)
{
    struct peri_host *host = job->host;
    if (!job->plugin->script) /* the stand-in of a rule's scripts is no plugin */
        add(find(&host->plugin_costs, job->plugin->id), job, wall_us, failed);
    if (job->rule_id)
        add(find(&host->rule_costs, job->rule_id), job, wall_us, failed);
}

void peri_cost_http(struct peri_job *job, bool begins)
{
    struct peri_mono now = peri_clock_mono(&job->host->options.clock);
    if (begins) {
        job->http_calls++;
        job->http_begun = now.ns;
    } else if (job->http_begun) {
        job->http_us += (now.ns - job->http_begun) / 1000;
        job->http_begun = 0;
    }
}

/* ---- telling ---- */

struct telling {
    struct peri_value *list;
    bool failed;
};

static bool tell(const char *id, void *value, void *arg)
{
    struct telling *t = arg;
    const struct cost *c = value;
    struct peri_value *v = peri_value_map();
    bool good =
        v && peri_map_put_text(v, "id", id) == PERI_OK && peri_map_put_int(v, "calls", c->calls) == PERI_OK &&
        peri_map_put_int(v, "failures", c->failures) == PERI_OK &&
        peri_map_put_int(v, "cpu_us", c->cpu_us) == PERI_OK && peri_map_put_int(v, "wall_us", c->wall_us) == PERI_OK &&
        peri_map_put_int(v, "http_calls", c->http_calls) == PERI_OK &&
        peri_map_put_int(v, "http_us", c->http_us) == PERI_OK && peri_map_put_int(v, "waiting", c->waiting) == PERI_OK;
    if (!good) {
        peri_value_unref(v);
        v = NULL;
    }
    t->failed = peri_list_push(t->list, v) != PERI_OK;
    return !t->failed;
}

static bool forget_waiting(const char *id, void *value, void *arg)
{
    ((struct cost *)value)->waiting = 0;
    return true;
}

static struct peri_value *list_of(struct peri_map *map)
{
    struct telling t = {.list = peri_value_list()};
    if (map && t.list)
        peri_map_each(map, tell, &t);
    if (!t.failed)
        return t.list;
    peri_value_unref(t.list);
    return NULL;
}

enum peri_status peri_host_costs(struct peri_host *host, struct peri_value **ret_plugins, struct peri_value **ret_rules)
{
    if (host->plugin_costs)
        peri_map_each(host->plugin_costs, forget_waiting, NULL);
    if (host->rule_costs)
        peri_map_each(host->rule_costs, forget_waiting, NULL);
    for (const struct peri_job *job = host->jobs; job; job = job->next) {
        if (job->answered)
            continue;
        struct cost *plugin = job->plugin->script ? NULL : find(&host->plugin_costs, job->plugin->id),
                    *rule = job->rule_id ? find(&host->rule_costs, job->rule_id) : NULL;
        if (plugin)
            plugin->waiting++;
        if (rule)
            rule->waiting++;
    }
    struct peri_value *plugins = list_of(host->plugin_costs), *rules = list_of(host->rule_costs);
    if (plugins && rules) {
        *ret_plugins = plugins;
        *ret_rules = rules;
        return PERI_OK;
    }
    peri_value_unref(plugins);
    peri_value_unref(rules);
    return PERI_ENOMEM;
}

void peri_costs_finish(struct peri_host *host)
{
    peri_map_destroy(host->plugin_costs, free);
    peri_map_destroy(host->rule_costs, free);
}
