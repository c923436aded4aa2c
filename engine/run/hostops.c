/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "run/pipeline_internal.h"

/* The plugin host behind peri_run_ops. */

static bool host_lookup(void *ctx, const char *operator_id, enum peri_delivery *ret_delivery)
{
    const struct peri_operator *op = peri_host_operator(ctx, operator_id);
    if (strcmp(operator_id, PERI_RULE_LUA) == 0) { /* has no effects */
        *ret_delivery = PERI_DELIVERY_REPEAT;
        return true;
    }
    if (op)
        *ret_delivery = peri_host_delivery(ctx, operator_id);
    return op != NULL;
}

static enum peri_status host_call(
    void *ctx, const struct peri_call *call, peri_call_done done, void *arg, struct peri_error *err)
{
    return peri_host_call(ctx, call, done, arg, err);
}

static void host_journaled(void *ctx, struct peri_event *event)
{
    peri_host_journaled(ctx, event);
}

static bool host_hears(void *ctx, const char *type)
{
    return peri_host_hears(ctx, type);
}

static void host_destination(
    void *ctx, const char *operator_id, const struct peri_value *params, char *out, size_t size)
{
    peri_host_destination(ctx, operator_id, params, out, size);
}

static struct peri_value *host_fallback(void *ctx, const char *operator_id, const struct peri_value *params)
{
    return peri_host_fallback(ctx, operator_id, params);
}

enum peri_status peri_pipeline_start(struct peri_pipeline *p, struct peri_host *host, struct peri_error *err)
{
    struct peri_run_ops ops = {.lookup = host_lookup,
        .call = host_call,
        .journaled = host_journaled,
        .hears = host_hears,
        .destination = host_destination,
        .fallback = host_fallback,
        .ctx = host};
    return peri_pipeline_start_ops(p, &ops, err);
}
