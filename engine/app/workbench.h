/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_WORKBENCH_H
#define PERI_APP_WORKBENCH_H

#include "app/cli.h"
#include "io/http_client.h"
#include "io/loop.h"
#include "io/secrets.h"
#include "io/store.h"
#include "lang/rule.h"
#include "plugin/host.h"

/* The engine without the service, for commands: plugins loaded, data read from the state folder's database when there
 * is one, writes kept in a scratch database in memory. Leaves no state behind. */
struct peri_workbench {
    struct peri_cli *cli;
    bool leave_bundled; /* set before opening: only the plugins of plugin_path */
    bool empty;         /* set before opening: no database is read, only what was written here */
    bool no_effects;    /* set before opening: no network, no secrets, and what plugins write is dropped */
    const struct peri_clock *use_clock; /* set before opening: instead of the system's; NULL: that */
    /* set before opening: settings of plugins instead of the configuration's; NULL: those */
    bool (*settings)(void *ctx, const char *plugin_id, struct peri_plugin_settings *ret);
    void *settings_ctx;
    /* set before opening: hears of each entity that a plugin is given, on a worker's thread; NULL: nobody does */
    void (*reads)(void *ctx, const char *type, const struct peri_value *entity);
    void *reads_ctx;
    struct peri_log *log;
    struct peri_loop *loop;
    struct peri_store *scratch;
    struct peri_http_client *http;
    struct peri_secrets *secrets;
    struct peri_accounts *accounts;
    struct peri_host *host;
    struct peri_tz_source tz;
    struct peri_rule_env env; /* operators of the host */
    struct peri_clock clock;
};

/* The configuration must be loaded; bench is zero but for what is set before. Findings about plugins go to diag. */
enum peri_status peri_workbench_open(
    struct peri_workbench *bench, struct peri_cli *cli, struct peri_diag *diag, struct peri_error *err) PERI_MUST_CHECK;
void peri_workbench_close(struct peri_workbench *bench);

/* What a rule checker needs of a host; used by the service too. */
/* Where the sun of triggers rises; NAN: nobody has said. */
void peri_rule_env_locate(struct peri_rule_env *env, double latitude, double longitude);
struct peri_rule_env peri_rule_env_of(struct peri_host *host, const struct peri_tz_source *tz, const char *timezone);

/* The event types that the host's plugins say they publish, active or not. */
struct peri_event_types {
    const char **items;         /* NULL-ended; types and globs. borrow from plugins */
    struct peri_value *plugins; /* of peri_host_plugins */
};
enum peri_status peri_event_types_of(struct peri_host *host, struct peri_event_types *ret) PERI_MUST_CHECK;
void peri_event_types_finish(struct peri_event_types *types);

#endif
