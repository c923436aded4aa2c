/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin in C offers, as the host knows it of every plugin. Runs on a worker, while it loads. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "plugin/grants.h"
#include "plugin/host_build.h"
#include "plugin/native_call.h"

/* schema: JSON text or NULL. */
static enum peri_status add_operator(
    struct peri_plugin *p, struct peri_op_plan *plan, const char *schema, struct peri_error *err)
{
    struct peri_value *params = NULL;
    enum peri_status st = schema ? peri_json_parse_strict(schema, strlen(schema), &params, err) : PERI_OK;
    if (st) {
        peri_error_prefix(err, "params of %s", plan->id);
        return st;
    }
    plan->params = params;
    st = peri_plugin_add_operator(p, plan, err);
    peri_value_unref(params);
    return st;
}

static enum peri_status offer_operators(struct peri_plugin *p, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    for (size_t i = 0; !st && i < p->native->operator_count; i++) {
        const struct perigee_operator *op = &p->native->operators[i];
        struct peri_op_plan plan = {.id = op->id,
            .description = op->description,
            .is_condition = op->kind == PERIGEE_CONDITION,
            .delivery = op->lookup   ? PERI_DELIVERY_LOOKUP
                        : op->repeat ? PERI_DELIVERY_REPEAT
                                     : PERI_DELIVERY_ONCE,
            .asks = op->lookup != NULL,
            .native = i};
        st = add_operator(p, &plan, op->params_schema, err);
    }
    return st;
}

static enum peri_status offer_connector(struct peri_plugin *p, struct peri_error *err)
{
    const struct perigee_connector *c = &p->native->connector;
    struct peri_value *params = NULL;
    enum peri_status st = PERI_OK;
    if (c->execute && c->execute_schema)
        st = peri_json_parse_strict(c->execute_schema, strlen(c->execute_schema), &params, err);
    if (st)
        peri_error_prefix(err, "params of %s.execute", p->id);
    else
        st = peri_plugin_add_connector(p, c->sync != NULL, c->execute != NULL, params, err);
    peri_value_unref(params);
    return st;
}

static enum peri_status offer_channel(struct peri_plugin *p, struct peri_error *err)
{
    const struct perigee_channel *c = &p->native->channel;
    if (!c->type)
        return PERI_OK;
    p->channel_type = peri_strdup(c->type);
    p->channel_repeats = c->delivery == PERIGEE_REPEAT;
    p->channel_asks = c->delivery == PERIGEE_LOOKUP;
    p->has_incoming = c->incoming != NULL;
    return p->channel_type ? PERI_OK : peri_error_nomem(err);
}

static enum peri_status offer_webhooks(struct peri_plugin *p, struct peri_error *err)
{
    static const char *const post[] = {"POST", NULL};
    enum peri_status st = PERI_OK;
    for (size_t i = 0; !st && i < p->native->webhook_count; i++) {
        const struct perigee_webhook *w = &p->native->webhooks[i];
        st = peri_plugin_add_webhook(p, w->path, w->methods ? w->methods : post, err);
    }
    if (!st && (p->web_count || p->has_incoming) && !peri_grants_has(p->grants, "network:inbound"))
        peri_warn(
            p->host->options.log, p->area, "has webhooks but was not granted network:inbound: they are not served");
    return st;
}

static enum peri_status offer_intercept(struct peri_plugin *p, struct peri_error *err)
{
    const struct perigee_plugin *plugin = &p->native->plugin;
    size_t n = 0;
    if (!plugin->before && !plugin->after)
        return PERI_OK;
    if (!peri_grants_has(p->grants, "actions:intercept"))
        return peri_error_set(
            err, PERI_EDENIED, "native.operator", "before and after need the permission actions:intercept");
    while (plugin->intercepts && plugin->intercepts[n])
        n++;
    p->intercept = (struct peri_intercept){
        .before = plugin->before != NULL, .after = plugin->after != NULL, .deadline_ms = PERI_HOST_INTERCEPT_MS};
    if (n && !(p->intercept.globs = calloc(n + 1, sizeof(char *))))
        return peri_error_nomem(err);
    for (size_t i = 0; i < n; i++)
        if (!(p->intercept.globs[i] = peri_strdup(plugin->intercepts[i])))
            return peri_error_nomem(err);
    return PERI_OK;
}

enum peri_status peri_native_offer(struct peri_plugin *p, struct peri_error *err)
{
    const struct perigee_plugin *plugin = &p->native->plugin;
    enum peri_status st = offer_operators(p, err);
    if (!st)
        st = offer_connector(p, err);
    if (!st)
        st = offer_channel(p, err);
    if (!st)
        st = offer_webhooks(p, err);
    if (!st)
        st = offer_intercept(p, err);
    p->has_health = plugin->health != NULL;
    p->has_init = plugin->start != NULL || plugin->connector != NULL; /* the schedule of sync is made or dropped */
    p->has_ready = plugin->ready != NULL;
    p->has_stop = plugin->stop != NULL || p->native->connector.listen != NULL;
    p->has_enable = plugin->on_enable != NULL;
    p->has_disable = plugin->on_disable != NULL;
    p->has_listen = p->native->connector.listen != NULL;
    return st;
}
