/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_SERVICE_H
#define PERI_APP_SERVICE_H

#include "app/config.h"
#include "app/links.h"
#include "app/lookup.h"
#include "app/news.h"
#include "app/rulebook.h"
#include "base/log.h"
#include "base/metrics.h"
#include "io/accounts.h"
#include "io/http_client.h"
#include "io/http_server.h"
#include "io/loop.h"
#include "io/secrets.h"
#include "io/store.h"
#include "plugin/host.h"
#include "run/pipeline.h"

struct peri_api;
struct peri_hooks;
struct peri_reload;
struct peri_privacy_watch;

/* The running service: one of each part, wired together. Loop thread only. */
struct peri_service {
    struct peri_config *config; /* plugins and channels change when the file does */
    struct peri_clock clock;
    struct peri_log *log;
    struct peri_metrics *metrics;
    struct peri_loop *loop;
    struct peri_store *store;
    struct peri_lookup *lookup;
    struct peri_secrets *secrets;
    struct peri_http_client *http;
    struct peri_accounts *accounts;
    struct peri_host *host;
    struct peri_pipeline *pipeline;
    struct peri_http_server *server;
    struct peri_api *api;
    struct peri_rulebook *rulebook;
    struct peri_reload *reload;
    struct peri_hooks *hooks; /* webhooks of rules */
    struct peri_tz_source tz;
    struct peri_news news;
    struct peri_privacy_watch *privacy;
    struct peri_diag findings;   /* of the last load of rules and plugins */
    struct peri_value *disabled; /* rule ids switched off by `rules disable`: {id: true} */
    char *token;
    struct peri_links links;
    char *address;                 /* "http://127.0.0.1:8420" */
    int64_t started_ms, forgot_ms; /* forgot_ms: when rules that are gone were last looked for */
    bool ready, draining;
    int exit_code;
};

struct peri_service_options {
    struct peri_config *config;
    bool approve_all;
};

/* Runs until SIGTERM or SIGINT; returns the exit code. Errors of the start are logged with what to do. */
int peri_service_run(const struct peri_service_options *options);
/* The rule folders were read (see reload.h): the set that runs is swapped. */
void peri_service_rules_read(struct peri_service *service, enum peri_status st);
/* Reads the rule folders at once, at the start, and lets what was read run. */
void peri_service_load_rules(struct peri_service *service);
/* Which rules are switched off, from the store. */
enum peri_status peri_service_load_disabled(struct peri_service *service, struct peri_error *err) PERI_MUST_CHECK;
/* What loading found, one line each. */
void peri_service_log_findings(struct peri_service *service);
/* Switches a rule on or off for good; done as peri_store_done. PERI_ENOTFOUND: no such rule. */
enum peri_status peri_service_set_rule(
    struct peri_service *service, const char *id, bool enabled, struct peri_error *err) PERI_MUST_CHECK;
/* The rule of that id, or NULL. borrow. */
const struct peri_rule *peri_service_rule(const struct peri_service *service, const char *id);

#endif
