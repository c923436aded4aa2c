/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_HOST_BUILD_H
#define PERI_PLUGIN_HOST_BUILD_H

#include "plugin/host_internal.h"

/* How both kinds of plugin say what they offer. */
struct peri_op_plan {
    const char *id, *description;
    bool is_condition;
    const struct peri_value *params; /* schema or NULL */
    enum peri_delivery delivery;
    const char *channel; /* with PERI_DELIVERY_CHANNEL: a channel type, or "{config.KEY}" */
    bool asks;           /* has a lookup */
    size_t native;
};
/* Copies. */
enum peri_status peri_plugin_add_operator(
    struct peri_plugin *plugin, const struct peri_op_plan *plan, struct peri_error *err) PERI_MUST_CHECK;

/* sync and execute of a connector are actions too, so that rules and people can call them. params: of execute, schema
 * or NULL. */
enum peri_status peri_plugin_add_connector(struct peri_plugin *plugin, bool sync, bool execute,
    const struct peri_value *params, struct peri_error *err) PERI_MUST_CHECK;

/* Copies. methods: NULL-ended. */
enum peri_status peri_plugin_add_webhook(
    struct peri_plugin *plugin, const char *path, const char *const *methods, struct peri_error *err) PERI_MUST_CHECK;
/* host_native_offer.c */
enum peri_status peri_native_offer(struct peri_plugin *plugin, struct peri_error *err) PERI_MUST_CHECK;

#endif
