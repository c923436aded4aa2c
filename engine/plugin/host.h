/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_HOST_H
#define PERI_PLUGIN_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/diag.h"
#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "data/schema.h"
#include "io/accounts.h"
#include "io/http_client.h"
#include "io/loop.h"
#include "io/secrets.h"
#include "io/store.h"
#include "io/store_data.h"
#include "io/store_events.h"
#include "lang/rule.h"
#include "lang/tz.h"

/* The plugin host: finds packages, checks manifest and policy, loads them (Lua states in sandboxes, C shared objects),
 * and calls their operators, channels, connectors and webhooks on worker threads. Its functions are for the loop's
 * thread; the loop's thread never enters Lua. */
struct peri_host;

/* How a step that calls this operator may be repeated when the outcome of an attempt is not known. */
enum peri_delivery {
    PERI_DELIVERY_ONCE,
    PERI_DELIVERY_REPEAT,
    PERI_DELIVERY_LOOKUP,
    PERI_DELIVERY_CHANNEL /* as the channel that the operator sends over: see peri_host_delivery */
};

/* Limits of one plugin; 0 takes the default of docs/plugins.md. */
struct peri_limits {
    int64_t instructions, running_ms, wall_ms;
    size_t memory_bytes;
    int64_t operations_per_second; /* host functions that reach data, storage, network, other plugins */
    int64_t storage_bytes, storage_keys, log_bytes;
};

/* What the host asks of the layers above. */
struct peri_host_ops {
    /* Commits a batch (events with ids still unset, entities, storage, outbox) and tells the matcher. done runs on the
     * loop's thread after the commit; batch stays valid until then and is destroyed after it. PERI_EBUSY: not taken,
     * the caller still owns batch. */
    enum peri_status (*submit)(void *ctx, struct peri_batch *batch, peri_store_done done, void *arg);
    void *ctx;
    /* The same for what has happened already: asked again until the store takes it. take batch. NULL only together with
     * system_event. */
    void (*insist)(void *ctx, struct peri_batch *batch, peri_store_done done, void *arg);
    /* Something about plugins, schedules or messages that rules and plugins may hear (lang/system_event.h), as an event
     * that the host stores together with what it tells; NULL: nobody hears it, or it was kept for the start. about (may
     * be NULL): the event it comes of. take data. May be NULL: nobody hears anything. */
    struct peri_event *(*system_event)(
        void *ctx, const char *type, struct peri_value *data, const struct peri_event *about);
};

/* A plugin's entry in perigee.yaml. */
struct peri_plugin_settings {
    bool enabled;
    const struct peri_value *config; /* !secret as {"$secret": name}; NULL: none. borrow */
    const struct peri_node *node;    /* its place in perigee.yaml, for findings; may be NULL */
};

struct peri_host_options {
    struct peri_loop *loop;
    struct peri_log *log;
    struct peri_metrics *metrics;
    struct peri_clock clock;
    struct peri_store *store;      /* NULL: no writes (checks) */
    const char *database;          /* what the workers read; NULL: the store's own data, or nothing without a store */
    struct peri_http_client *http; /* NULL: network calls fail with "http.unavailable" */
    struct peri_secrets *secrets;
    struct peri_accounts *accounts; /* NULL: ctx.account fails with "account_unavailable" */
    const struct peri_tz_source *tz;
    const char *timezone;           /* of schedules that name none; NULL: UTC */
    const char *const *plugin_path; /* folders that hold plugin folders; NULL-ended */
    const char *bundled_path;       /* share folder with operators/, connectors/, channels/ and policy.yaml; or NULL */
    const char *policy_file;        /* the operator's policy.yaml; may not exist; NULL: none */
    int64_t health_ms;         /* between questions about a plugin's health, before a first restart; 0: 30 s, 5 s */
    const char *crumb;         /* a file that names the C plugin being loaded, should that end the process; or NULL */
    const char *probe_program; /* perigee itself: tries C plugins in a process of their own first; NULL: they are not */
    bool note_usage;           /* of permissions, in the store */
    bool leave_bundled;        /* load the plugins of plugin_path only; bundled_path still lends its Lua library */
    bool approve_all;          /* grant what manifests ask for: development and tests */
    bool (*settings)(void *ctx, const char *plugin_id, struct peri_plugin_settings *ret); /* false: no entry */
    void *settings_ctx;
    const char *(*channel_for)(
        void *ctx, const char *type); /* plugin id from the configuration, or NULL: any that is active */
    /* What is sent over channels of this type in place of a message that has failed for good: a text or {subject?,
     * body}; NULL: nothing. borrow; may be NULL */
    const struct peri_value *(*fallback_for)(void *ctx, const char *type);
    void *channel_ctx; /* of both */
    /* A plugin is about to deliver a message over its channel; for tests of rules, may be NULL. */
    void (*sends)(void *ctx, const char *plugin_id, const struct peri_value *message);
    void *sends_ctx;
    /* A plugin is given an entity; on a worker's thread, may be NULL. */
    void (*reads)(void *ctx, const char *type, const struct peri_value *entity);
    void *reads_ctx;
    struct peri_host_ops ops;
    int workers;                  /* default 2 */
    const char *cell_program;     /* runs plugins that stand alone (`isolation: process`); NULL: the installed one */
    bool watch;                   /* look for changed, new and vanished packages in plugin_path (500 ms of quiet) */
    void (*on_change)(void *ctx); /* after such a change: operators may have come or gone; may be NULL */
    void *change_ctx;
    struct peri_limits limits; /* defaults for every plugin; manifests may ask for less or, up to policy, more */
};

enum peri_status peri_host_create(
    const struct peri_host_options *options, struct peri_host **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Stops plugins (their stop handlers run, bounded), joins the workers. */
void peri_host_destroy(struct peri_host *host);

/* Discovers, validates, loads and initialises every package (called again: those that are new or have changed; those
 * that have vanished are stopped); done runs on the loop when all have ended up active, failed or blocked. Findings
 * (bad manifests, settings) go to diag, which must live until then. A bad plugin never stops the rest. */
enum peri_status peri_host_load(
    struct peri_host *host, struct peri_diag *diag, void (*done)(void *arg), void *arg) PERI_MUST_CHECK;
/* Same for settings where one waits: runs the loop until loading has ended. For the command line. */
enum peri_status peri_host_load_now(struct peri_host *host, struct peri_diag *diag) PERI_MUST_CHECK;

/* Is there an active plugin that may use the account of this provider? */
bool peri_host_uses_account(const struct peri_host *host, const char *provider);
/* Looks for changed packages, settings and policy now (SIGHUP); on_change follows. */
void peri_host_rescan(struct peri_host *host);

struct peri_operator {
    const char *id, *description, *plugin;
    bool is_condition;                /* else an action */
    const struct peri_schema *params; /* NULL: anything */
    enum peri_delivery delivery;
};
/* borrow; NULL when unknown or its plugin is not active. Valid until plugins change. */
const struct peri_operator *peri_host_operator(struct peri_host *host, const char *id);
/* The class of an operator at this moment, never PERI_DELIVERY_CHANNEL: an operator that sends over a channel has the
 * class of the plugin that serves it; the outbox recognises keys, so it may be repeated. Unknown operators: once. */
enum peri_delivery peri_host_delivery(struct peri_host *host, const char *id);
/* Where a call goes, as far as one can tell: the plugin of the channel that it sends over, "<plugin>/<host>" of a
 * parameter `url`, "<plugin>/<account>" of a parameter `account`, else the plugin. "": nowhere outside (scripts, the
 * outbox). Unknown operators leave out as it is. */
void peri_host_destination(
    struct peri_host *host, const char *id, const struct peri_value *params, char *out, size_t size);
/* The parameters of a call of this operator that send its channel's fallback text in place of these; NULL: it sends
 * over no channel, the channel has none, or the recipient is missing. New reference. */
struct peri_value *peri_host_fallback(struct peri_host *host, const char *id, const struct peri_value *params);
const char *const *peri_host_operator_ids(struct peri_host *host); /* sorted, NULL-ended, valid until plugins change */

struct peri_call {
    const char *operator_id;
    const struct peri_value *params;
    const struct peri_event *event; /* or NULL */
    const struct peri_value
        *payload;                    /* the event's data as a value, when it is there already; or NULL. Never changed */
    const char *rule_id, *rule_name; /* or NULL */
    const char *run_id;              /* or NULL */
    const char *idempotency_key;     /* or NULL */
    bool ask_first;     /* an earlier attempt may have arrived: the operator's lookup decides whether it is made */
    int64_t first_ms;   /* when the first attempt was made; 0: this is it */
    int64_t timeout_ms; /* of the step; 0: the plugin's own deadline only */
    uint64_t as_of;     /* conditions: data as of this journal position; 0: now */
    bool dry_run;
};

struct peri_usage {
    int64_t instructions, wall_us, running_us;
    size_t memory_bytes;
};

struct peri_call_result {
    enum peri_status status;
    bool is_condition;
    bool holds;                     /* conditions */
    const struct peri_value *value; /* action result, or what a condition compared; may be NULL. borrow */
    struct peri_error error;        /* when status is not PERI_OK */
    struct peri_usage usage;
};

/* On the loop's thread, never before peri_host_call returned. result is valid during the call. */
typedef void (*peri_call_done)(void *arg, const struct peri_call_result *result);

/* Checks params against the operator's schema (defaults filled), then calls it. Everything in call is copied or
 * counted. A failure to start is returned (PERI_ENOTFOUND unknown operator, PERI_EINVAL params, PERI_EBUSY queue full,
 * PERI_ESTATE plugin not active), done is not called then. */
enum peri_status peri_host_call(struct peri_host *host, const struct peri_call *call, peri_call_done done, void *arg,
    struct peri_error *err) PERI_MUST_CHECK;

/* Compiles the text of a rule's `lua:` without running it: PERI_EINVAL, what is wrong and *ret_line. Such a script is
 * called as the operator "lua" by calls that name a rule; params: {kind: "condition"|"step", code, at, line, names}.
 * Blocks the caller for the time that it takes (bounded). Any thread. */
enum peri_status peri_host_check_lua(
    const char *text, size_t len, int *ret_line, struct peri_error *err) PERI_MUST_CHECK;

struct peri_webhook_request {
    const char *plugin_id, *path; /* path below /hooks/<plugin>, with its leading slash */
    const char *method, *url;     /* url: as the sender saw it (http.public_url + target) */
    const struct peri_http_field *headers;
    size_t header_count;
    const char *query; /* raw query string or "" */
    const char *body;
    size_t body_len;
    const char *remote;
};
struct peri_webhook_response {
    int status;               /* 404 no such plugin or path, 405, 500 handler failed, 503 busy, or the handler's */
    const char *content_type; /* or NULL */
    const struct peri_http_field *headers;
    size_t header_count;
    const char *body;
    size_t body_len;
    struct peri_error error; /* when the host made the answer */
};
typedef void (*peri_webhook_done)(void *arg, const struct peri_webhook_response *response);
/* What the handler wrote (entities, events, storage) is committed in one transaction before done. done may run before
 * it returns (404). */
void peri_host_webhook(
    struct peri_host *host, const struct peri_webhook_request *request, peri_webhook_done done, void *arg);
/* How many are under way. */
size_t peri_host_webhooks(const struct peri_host *host);

/* Tells plugins that hear it: of every event that has become part of the journal, in order. */
void peri_host_journaled(struct peri_host *host, struct peri_event *event);
/* Is an event being handed to a plugin, or about to be? Not when it failed and waits to be tried again. */
bool peri_host_delivers(struct peri_host *host);
/* Is all that is under way waiting for time to pass (an answer from outside, a pause)? For worlds whose clock somebody
 * moves. */
bool peri_host_is_quiet(struct peri_host *host);
/* For rule checking: do plugins, active or not, declare such a member of the data of this event? near gets the name
 * that was meant, or "". */
enum peri_field_known peri_host_event_field(
    struct peri_host *host, const char *type, const char *field, char near[PERI_FIELD_NEAR]);
/* The schema of a plugin's settings, active or not; borrow, NULL: it has none, or there is no such plugin. */
const struct peri_value *peri_host_config_schema(struct peri_host *host, const char *plugin_id);
/* What that schema says against settings that are not in use (yet): findings at node, see peri_plugin_settings. */
void peri_host_check_settings(struct peri_host *host, const char *plugin_id, const struct peri_value *config,
    const struct peri_node *node, struct peri_diag *diag);
/* Every event schema in a manifest, active or not: a list of [type, schema]; new reference. */
enum peri_status peri_host_event_schemas(struct peri_host *host, struct peri_value **ret) PERI_MUST_CHECK;
/* Does an active plugin hear events of this type? */
bool peri_host_hears(struct peri_host *host, const char *type);

/* Writes what is counted for the audit trail now, not at the end of its minute. done (may be NULL) runs on the loop
 * when it is there, perhaps before this returns. */
void peri_host_ledger_flush(struct peri_host *host, void (*done)(void *arg), void *arg);

/* Lists for the API and the command line; new references. plugins: [{id, name, version, type, state, path, bundled,
 * permissions, granted, refusal?, error?, operators, channels, webhooks, events, description}]. */
enum peri_status peri_host_plugins(struct peri_host *host, struct peri_value **ret) PERI_MUST_CHECK;
/* [{id, kind: "condition"|"action", plugin, description, params, delivery}]; id NULL: all, else one map. */
enum peri_status peri_host_operators(struct peri_host *host, const char *id, struct peri_value **ret) PERI_MUST_CHECK;

/* The Lua that runs here: "5.4.4"; and whether the backstop for single slow instructions works with it. */
const char *peri_host_lua(char ret_version[16], bool *ret_backstop);
/* Starts the process that a plugin with `isolation: process` would have, and lets it end. PERI_EIO with what is wrong.
 */
enum peri_status peri_host_check_process(struct peri_error *err) PERI_MUST_CHECK;

/* What calls have cost since the start: lists of {id, calls, failures, cpu_us, wall_us, http_calls, http_us, waiting};
 * waiting is of this moment. New references. */
enum peri_status peri_host_costs(
    struct peri_host *host, struct peri_value **ret_plugins, struct peri_value **ret_rules) PERI_MUST_CHECK;

/* Makes a package's handlers known to nobody and back: used by POST /v1/plugins/{id}/... */
enum peri_status peri_host_set_enabled(
    struct peri_host *host, const char *plugin_id, bool enabled, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_host_reload(struct peri_host *host, const char *plugin_id, void (*done)(void *arg), void *arg,
    struct peri_error *err) PERI_MUST_CHECK;

#endif
