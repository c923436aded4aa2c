/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_CONFIG_H
#define PERI_APP_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include "base/diag.h"
#include "base/error.h"
#include "data/yaml.h"
#include "plugin/host.h"
#include "run/pipeline.h"

/* perigee.yaml: --config, $PERIGEE_CONFIG, <configuration folder>/perigee.yaml when it exists. Every scalar can be
 * overridden by the environment (http.listen by PERIGEE_HTTP_LISTEN). docs/configuration.md lists the keys. */

struct peri_config_plugin {
    char *id;
    bool enabled;
    struct peri_value *config;    /* NULL: none */
    const struct peri_node *node; /* of `config`, or of the entry; NULL when there is none */
};

/* What the command line says; NULL or empty members say nothing. */
struct peri_config_flags {
    const char *config, *state_dir;
    const char *text; /* read in place of what stands in the file; NULL: that */
    size_t text_len;
    const char **rules, **plugins; /* folders that are added; NULL-ended or NULL */
};

struct peri_config {
    struct peri_config_flags flags; /* that it was loaded with; borrowed */
    struct peri_config *former;     /* what peri_config_adopt has replaced: others may still point into it */
    struct peri_yaml_doc *doc;      /* NULL without a file */
    char *file;                     /* NULL without a file */
    char *state_dir, *database;
    char **rules, **plugin_path; /* NULL-ended */
    char *policy, *timezone;
    char *bus;
    double latitude, longitude;
    struct {
        char *listen, *token, *public_url, *tls_cert, *tls_key;
        int64_t max_body_bytes;
    } http;
    struct {
        char *level, *format;
    } log;
    struct {
        int64_t instructions, running_ms, wall_ms, memory_bytes, max_event_bytes, workers;
        int64_t max_backlog, max_live_runs, source_rate, source_burst;
        struct peri_source_limit *sources; /* rates of single sources */
        size_t source_count, source_cap;
    } limits;
    struct {
        int64_t events_ms, runs_ms, audit_ms, max_events, max_runs, max_audit, max_messages, max_bytes;
    } retention;
    struct peri_value *personal; /* {events: {type: [path]}, data: {type: [path]}}, or NULL */
    bool lost;                   /* memory was out: something of it is missing */
    struct peri_value *channels; /* {type: plugin id or {plugin?, fallback?}}, or NULL */
    struct peri_value *accounts; /* {provider: description as in io/accounts.h}, or NULL */
    struct peri_config_plugin *plugins;
    size_t plugin_count, plugin_cap;
};

/* Findings go to diag. PERI_EINVAL when there was an error. On PERI_OK the caller finishes config. */
enum peri_status peri_config_load(
    const struct peri_config_flags *flags, struct peri_config *config, struct peri_diag *diag) PERI_MUST_CHECK;
void peri_config_finish(struct peri_config *config);
/* Plugins, channels and accounts of fresh, which is taken, replace those of live. *ret_changed: they differ. Returns
 * the names of other keys that differ and are left as they are, or NULL. malloc'ed. */
char *peri_config_adopt(struct peri_config *live, struct peri_config *fresh, bool *ret_changed);

/* Warns of settings for plugins that are not there, and of channels that no plugin of that name serves: after loading.
 */
void peri_config_check_plugins(const struct peri_config *config, struct peri_host *host, struct peri_diag *diag);

/* For peri_host_options: ctx is the config. */
bool peri_config_settings(void *config, const char *plugin_id, struct peri_plugin_settings *ret);
const char *peri_config_channel(void *config, const char *type);
/* Its fallback message: a text, {subject?, body}, or NULL. borrow */
const struct peri_value *peri_config_fallback(void *config, const char *type);

/* --- for config_*.c --- */

/* The path of the i-th scalar key, and whether it differs; NULL behind the last one. */
const char *peri_config_scalar(const struct peri_config *a, const struct peri_config *b, size_t i, bool *ret_differs);
void peri_config_unknown_key(struct peri_diag *diag, const struct peri_node *key, const char *const *known);
/* `privacy:`; what it marks goes to *ret, findings to diag. */
void peri_config_privacy(const struct peri_node *map, struct peri_value **ret, struct peri_diag *diag);
/* `accounts:`; resolve opens tags. */
void peri_config_accounts(
    const struct peri_node *map, peri_tag_resolver resolve, struct peri_value **ret, struct peri_diag *diag);

#endif
