/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_HOST_INTERNAL_H
#define PERI_PLUGIN_HOST_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include "base/map.h"
#include "plugin/host.h"
#include "plugin/manifest.h"
#include "plugin/native.h"
#include "plugin/package.h"
#include "plugin/policy.h"

/* What the host_*.c and lua_api_*.c files share.
 *
 * A job is one call of a handler. It belongs to the loop's thread or to a worker, never to both: it travels to a worker
 * as an item in its plugin's mailbox and comes back in the list of finished items, once for each time that Lua runs. In
 * between, while it waits, the loop performs what it waits for (host_ops.c). So nothing in a job needs a lock.
 *
 * A plugin's state (VM) is used by the one worker that runs the plugin at the moment; which one may change. */

struct peri_vm;
struct peri_vm_call;
struct peri_cell;
struct perigee_self;
struct perigee_call;
struct peri_push;
struct peri_job;
struct peri_plugin;

#define PERI_HOST_DEPTH 8          /* ctx.call and ctx.send inside each other */
#define PERI_HOST_CONDITION_MS 250 /* running time of a condition, and of other handlers */
#define PERI_HOST_HANDLER_MS 1000
#define PERI_HOST_QUEUE 1024             /* calls that wait for one plugin */
#define PERI_HOST_CALLS 10000            /* host functions in one call */
#define PERI_HOST_EVENT_BYTES 65536      /* one emitted event */
#define PERI_HOST_RESULT_BYTES 262144    /* an action's result */
#define PERI_HOST_BODY_BYTES (5u << 20)  /* of an HTTP answer or a webhook's */
#define PERI_HOST_BATCH_BYTES (4u << 20) /* written by one call */
#define PERI_HOST_BATCH_ITEMS 5000
#define PERI_HOST_STORAGE_KEYS 1000
#define PERI_HOST_STORAGE_BYTES (10 << 20) /* keys and values as JSON */
#define PERI_HOST_STOP_MS 5000             /* for a stop handler */
#define PERI_HOST_INTERCEPT_MS 1000        /* for one interceptor to agree */
#define PERI_HOST_INTERCEPT_MAX_MS 10000
#define PERI_HOST_RATE 100      /* operations a second, of plugins that did not come with perigee */
#define PERI_HOST_RATE_BURST 10 /* seconds' worth that may be used at once */
#define PERI_HOST_STORAGE_VALUE 65536
#define PERI_HOST_MAPPINGS 100000 /* of one plugin */
#define PERI_HOST_PLANS 100       /* schedules of one plugin */
#define PERI_HOST_SUBS 64         /* subscriptions of one plugin */
#define PERI_HOST_SUB_QUEUE 128   /* events in memory for one subscription; the rest waits in the journal */
#define PERI_HOST_LOG_LINE 4096
#define PERI_HOST_LOG_BYTES 65536 /* logged by one call */

/* --- mailboxes (host_worker.c) --- */

enum peri_item_kind {
    PERI_ITEM_LOAD,
    PERI_ITEM_RESET,
    PERI_ITEM_START,
    PERI_ITEM_RESUME,
    PERI_ITEM_ABORT,
    PERI_ITEM_RETIRE,
    PERI_ITEM_LOST, /* its process has ended */
    PERI_ITEM_WATCH /* to the loop: it has another process */
};

struct peri_item {
    enum peri_item_kind kind;
    struct peri_item *next;
    struct peri_plugin *plugin; /* LOAD, RESET */
    struct peri_job *job;       /* the others */
};

struct peri_items {
    struct peri_item *head, **tail; /* tail NULL: empty, not initialised */
    size_t count;
};

struct peri_worker {
    struct peri_host *host;
    pthread_t thread;
    bool running;
    struct peri_reader *reader; /* NULL: no database (yet) */
};

/* --- plugins --- */

enum peri_plugin_state {
    PERI_PLUGIN_BLOCKED,      /* policy or a missing plugin: error says what to do */
    PERI_PLUGIN_UNCONFIGURED, /* waits for its settings */
    PERI_PLUGIN_DISABLED,
    PERI_PLUGIN_LOADING,
    PERI_PLUGIN_READY, /* loaded, init has not ended */
    PERI_PLUGIN_ACTIVE,
    PERI_PLUGIN_FAILED
};

struct peri_op_def {
    struct peri_operator public;
    struct peri_plugin *owner; /* borrow: the plugin holds this */
    char *id, *description;
    bool asks;     /* has a function lookup */
    char *channel; /* of an operator whose class is its channel's; else NULL */
    struct peri_schema *schema;
    size_t native; /* index in the shared object, or one of ... */
};
#define PERI_NATIVE_SYNC (SIZE_MAX - 1) /* the connector's own */
#define PERI_NATIVE_EXECUTE (SIZE_MAX - 2)
#define PERI_CONNECTOR_SYNC "connector.sync" /* the schedule of sync, and what it runs */

struct peri_web_def {
    char *path;
    char **methods; /* NULL-ended */
};

/* What it wants to be asked about (host_intercept.c). Written while it loads. */
struct peri_intercept {
    bool before, after;
    bool open;    /* an action goes on when `before` could not be asked */
    char **globs; /* of operator ids, NULL-ended; NULL: all */
    int64_t deadline_ms;
};
void peri_intercept_finish(struct peri_intercept *intercept);

/* Opens after 3 ends by limit in a row or 5 in 60 s; lets one trial through after a pause that doubles up to an hour.
 */
struct peri_breaker {
    int in_row;
    int64_t ends_ms[5];
    size_t next;
    int64_t until_ms, pause_ms; /* until_ms 0: closed */
    bool trial;
};

/* What a handler asked for with ctx.events.on and off, in order. */
struct peri_sub_change {
    char *glob;
    bool off;
    bool from_now;  /* a subscription nobody knows yet hears what comes; else what comes after since */
    uint64_t since; /* journal position */
};

/* What a handler asked for with ctx.schedule, in order. */
struct peri_plan_change {
    char *name, *text; /* text: the spec as it is stored; NULL: cancelled */
    int64_t anchor_ms;
};

/* Operations that a plugin may still begin; refilled by the clock. */
struct peri_bucket {
    int64_t filled_ms; /* monotonic; 0: full */
    double tokens;
};

/* One loaded version of one package. */
struct peri_plugin {
    _Atomic int refs; /* the host's, one a job, one while it is queued or run */
    struct peri_host *host;
    struct peri_package *package;
    struct peri_manifest *manifest;
    struct peri_grants *grants;
    struct peri_value *config; /* defaults filled; never NULL once it is loaded */
    char *id, *path, *area;    /* area: of log lines */
    bool seen;                 /* by the scan under way */
    bool script;               /* stands in for a rule's scripts (host_script.c): no package, manifest, grants, state */
    uint64_t script_hash;
    bool bundled;
    bool isolated; /* runs in a process of its own */
    struct peri_limits limits;
    enum peri_plugin_state state; /* loop */
    struct peri_error error;
    struct peri_breaker breaker;

    /* What it offers: written while it loads, constant afterwards. */
    struct peri_op_def *ops;
    size_t op_count, op_cap;
    struct peri_web_def *webs;
    size_t web_count, web_cap;
    char *channel_type;   /* or NULL */
    bool channel_repeats; /* sending twice under one key does no harm */
    bool channel_asks;    /* has a function lookup, and says so */
    bool has_incoming;    /* the channel takes requests that no webhook is named for */
    bool has_init, has_ready, has_stop, has_enable, has_disable, has_health, has_listen;
    bool has_sync;         /* its connector fetches what is new */
    int64_t sync_every_ms; /* of a Lua plugin; 0: when somebody asks */
    struct peri_intercept intercept;

    /* loop: what it hears (host_events.c) */
    struct peri_sub_change *subs;
    size_t sub_count, sub_cap;

    /* host->lock */
    struct peri_items urgent, mail;
    bool queued, running;
    bool held;   /* the state is new: only urgent items (its init) may run */
    bool broken; /* init failed: jobs fail */
    struct peri_plugin *next_run;
    struct peri_item load_item, reset_item, retire_item, lost_item, watch_item;

    /* the worker that runs it */
    struct peri_vm *vm; /* with a cell: its mirror */
    struct peri_cell *cell;
    struct peri_native *native;
    struct perigee_self *self; /* of a C plugin: its own of the host's selves. borrow */
    struct peri_job *suspended;
    int told_pid;                      /* process that the loop was told of */
    bool retired;                      /* its process ends with the last call under way */
    int64_t unbuilt_ns;                /* monotonic: when it could not be built again after a reset; 0: it could */
    struct peri_bucket bucket, items;  /* items: of what a sync fetches (host_pages.c) */
    int64_t stored_keys, stored_bytes; /* an estimate: dropped batches are in it */
    int stored_age;                    /* writes since it was counted; 0: not counted yet */

    /* loop: its process (host_cell.c) */
    bool watched; /* stands in host->watched, which holds a reference */
    struct peri_plugin *watch_prev, *watch_next;
    struct peri_io *exit_io;
    int watched_pid, init_losses;
    _Atomic int lost_pid;
    int exit_fd, losses; /* losses: in a row, not long after each other */
    int64_t lost_ms;     /* monotonic; 0: never */
    struct peri_timer *restart_timer;
    _Atomic bool lost_sent, watch_sent;

    /* loop, while it loads */
    size_t rank;   /* place in the order of loading */
    bool sent;     /* to a worker */
    bool in_load;  /* counted in load_pending */
    bool enabling; /* somebody switched it on */
    bool told_ready;
    size_t job_count;
    bool leaving;   /* nobody calls it any more, calls under way end */
    bool candidate; /* a new version beside the one in service: nobody else sees it yet */
    void (*reload_done)(void *arg);
    void *reload_arg;
    struct peri_metric *calls, *failures, *limit_ends, *instructions, *crashes;

    _Atomic int restarts, pid; /* of its process, for whoever asks: how often it was lost; 0: none */
};

struct peri_plugin *peri_plugin_ref(struct peri_plugin *plugin);
void peri_plugin_unref(struct peri_plugin *plugin); /* any thread */
const char *peri_plugin_state_name(enum peri_plugin_state state);

/* --- what a job can wait for --- */

enum peri_op_kind {
    PERI_OP_NONE,
    PERI_OP_FLUSH,
    PERI_OP_HTTP,
    PERI_OP_SMTP,
    PERI_OP_SEND,
    PERI_OP_CALL,
    PERI_OP_DEFER
};

/* A text, or a prefix and the secret of a name; resolved only when it leaves. */
struct peri_secret_text {
    char *name;   /* header name; else NULL */
    char *text;   /* the text, or what stands before the secret */
    char *secret; /* name or NULL */
};

enum peri_read_kind {
    PERI_READ_NONE,
    PERI_READ_QUERY,
    PERI_READ_COUNT,
    PERI_READ_GET,
    PERI_READ_KV,
    PERI_READ_KEYS,
    PERI_READ_CLEAR,
    PERI_READ_MAPPINGS, /* request: {type, key?, external_id?, after?, limit?} */
    PERI_READ_EXTERNAL, /* the external id, or ... */
    PERI_READ_MAPPED,   /* ... the key, of the one that request names */
    PERI_READ_SCHEDULES,
    PERI_READ_SWAPPED /* nothing to read: what op.swap came to */
};

struct peri_swap;

/* A read that has to wait for a flush. */
struct peri_read {
    enum peri_read_kind kind;
    char *type, *id;            /* entity type and id; storage key or prefix in id */
    struct peri_value *request; /* query */
};

struct peri_op {
    enum peri_op_kind kind;
    /* HTTP, SMTP */
    char *method, *url;
    struct peri_secret_text *headers;
    size_t header_count, header_cap;
    struct peri_secret_text user, password, cert, cert_key, ca;
    char *body;
    size_t body_len;
    int64_t timeout_ms;
    char *host, *from, *ca_file;
    int port;
    enum peri_smtp_security security;
    struct peri_value *to;
    /* of an account whose token it carries (host_account.c) */
    char *account;
    uint64_t account_serial;
    bool account_as_is;   /* it could not be renewed: what is there is sent */
    bool account_again;   /* the server did not take it: a newer one is sent, once */
    bool account_waiting; /* for a renewal: nothing has been sent */
    /* SEND, CALL: channel type or operator id, message or params */
    char *target;
    struct peri_value *value;
    /* the answer */
    int status;
    struct peri_value *answer; /* headers of HTTP, result of SEND and CALL */
    char *text;
    size_t text_len;
    struct peri_read read; /* FLUSH: what to do when resumed */
    struct peri_swap *swap;
    struct peri_error error; /* status 0: it went well. Last: see peri_op_finish */
};
void peri_op_finish(struct peri_op *op);

/* --- jobs --- */

enum peri_job_kind {
    PERI_JOB_CONDITION,
    PERI_JOB_ACTION,
    PERI_JOB_SEND,
    PERI_JOB_WEBHOOK,
    PERI_JOB_EVENT,
    PERI_JOB_SCHEDULE,
    PERI_JOB_INTERCEPT,
    PERI_JOB_HEALTH,
    PERI_JOB_PUSH, /* an item that a C plugin has heard */
    PERI_JOB_HOOK
};
enum peri_job_outcome { PERI_JOB_DONE, PERI_JOB_SUSPENDED, PERI_JOB_FAILED };

/* A copy of struct peri_webhook_request. */
struct peri_web_copy {
    char *path, *method, *url, *query, *remote, *body;
    size_t body_len;
    struct peri_http_field *headers; /* malloc'ed texts, names in lower case */
    size_t header_count;
};

void peri_web_free(struct peri_web_copy *web);

/* What the items of a connector came to. */
struct peri_taken {
    int64_t items, entities, events;
};

struct peri_job {
    struct peri_item item;
    struct peri_host *host;
    struct peri_plugin *plugin;
    enum peri_job_kind kind;
    const struct peri_op_def *op_def; /* CONDITION, ACTION */
    const char *path[4];              /* of the handler, NULL-ended; points into name or constants */
    const char *name;                 /* of the operator, which lives with the plugin, or own_name */
    char *own_name;
    struct peri_value *params; /* params or message */
    struct peri_web_copy *web;
    struct peri_event *event;
    struct peri_value *payload; /* its data, when the caller had it as a value */
    const void *ctx; /* the table that its handler was given, to tell it from those of other calls; never followed */
    const char *rule_id, *rule_name, *run_id, *key; /* in texts: see peri_job_set_texts */
    char *texts;
    uint64_t as_of;
    bool dry_run;
    bool ask_first, asking; /* a lookup comes before what it does; it is that lookup */
    int64_t first_ms;       /* of the run's first attempt */
    bool step_timeout;      /* wall_ms is the step's timeout */
    int depth;

    /* loop */
    struct peri_job *prev, *next;
    struct peri_job *parent, *child;
    struct peri_timer *timer;
    struct peri_http_call *http;
    struct peri_account_wait *account_wait;
    struct peri_telling *telling; /* it goes on when this is stored */
    struct peri_pages *pages;     /* of a sync that has come to more than one (host_pages.c) */
    struct peri_mono started;
    int64_t wall_ms, deadline_ms; /* deadline: monotonic ms, for children */
    bool answered, on_worker, flushing, finishing;
    bool sent;              /* it has begun, or stands in the mailbox */
    bool intercepts;        /* is, or comes of, a question of an interceptor: nobody is asked about it */
    struct peri_gate *gate; /* it waits for interceptors, or they will be told of it; else NULL */
    bool trial;             /* its end decides whether the plugin's rest is over */
    void (*finish)(struct peri_job *job, const struct peri_call_result *result);
    union {
        peri_call_done call;
        peri_webhook_done web;
        void (*hook)(struct peri_plugin *plugin, const struct peri_error *err); /* err NULL: went well */
    } done;
    void *arg;

    /* whoever has it */
    struct peri_worker *worker; /* while it runs */
    struct peri_batch *batch;
    char *scratch; /* a text on its way into Lua */
    int effects;   /* things that left the service: a failure's outcome is not known then */
    int sends;
    int64_t host_calls;
    size_t log_bytes;
    bool log_full;
    struct peri_sub_change *subs; /* wanted; take effect when the handler has ended well */
    size_t sub_count, sub_cap;
    struct peri_plan_change *plans;
    size_t plan_count, plan_cap;
    bool taking;                       /* items of a sync: each is not an operation of its own */
    struct peri_taken taken;           /* of a sync's page */
    int64_t pause_ms;                  /* until the plugin's rate has room for more */
    struct peri_value *cursor;         /* where the next page begins; NULL: there is none */
    int64_t stored_keys, stored_bytes; /* what the batch adds to the plugin's storage */
    enum peri_job_outcome outcome;
    bool holds;
    struct peri_value *value;
    struct peri_usage usage;
    int64_t http_calls, http_us, http_begun; /* host_cost.c; begun: ns, 0: no request is under way. Loop */

    /* the plugin's worker */
    struct perigee_call *native_call;
    struct peri_vm_call *vm_call; /* with a cell: of the host function that waits */
    uint32_t cell_call;
    bool suspended;
    struct peri_job *susp_prev, *susp_next;
    struct peri_value *event_value; /* parsed when it is first needed */

    /* whoever has it; last, so that making one needs not clear their long texts */
    struct peri_error error;
    struct peri_op op;
};

/* --- the host --- */

struct peri_host {
    struct peri_host_options options;
    char *database, *bundled_path, *policy_file, *crumb, *crumb_old, **plugin_path;
    struct peri_policy *policy, *shipped;
    struct peri_plugin **plugins; /* by discovery; one reference each */
    size_t plugin_count, plugin_cap;
    struct peri_map *operators; /* id -> struct peri_op_def *, of active plugins */
    struct peri_map *scripts;   /* rule id -> the plugin that stands in for its scripts; NULL: none yet */
    const char **ids;           /* sorted */
    struct peri_job *jobs;
    struct peri_job *spare_jobs; /* of calls that are over, by next; there is one for each call */
    size_t spare_count;
    size_t job_count;
    size_t commits; /* under way */
    /* loading */
    struct peri_watch **watches; /* one a folder of plugin_path, NULL where none could be made */
    size_t watch_count;
    bool change_seen; /* while it was loading: once more afterwards */
    bool scan_lost;   /* memory was out while looking for packages */
    struct peri_diag watch_diag;
    bool loading;
    size_t load_pending;
    bool load_busy; /* plugins are loaded one after the other; init handlers run side by side where nobody waits */
    struct peri_diag *load_diag;
    void (*load_done)(void *arg);
    void *load_arg;
    bool closing;
    struct peri_metric *queue_full;
    struct peri_reader *reader;   /* of the loop; NULL until it is needed */
    struct peri_map *subs;        /* "<plugin>\n<glob>" -> struct peri_sub */
    struct peri_timer *sub_timer; /* to store how far they are */
    struct peri_plugin *watched;  /* whose processes are watched */
    struct peri_map *plans;       /* row id of schedules -> struct peri_plan */
    bool plans_loaded;
    struct peri_timer *plan_timer;
    struct peri_ledger *ledger;
    struct peri_map *plugin_costs, *rule_costs; /* host_cost.c; NULL: none yet */
    struct peri_map *lives;                     /* plugin id -> struct peri_life; NULL: none yet */
    struct peri_map *cares;                     /* plugin id -> struct peri_care; NULL: none yet */
    char *probe_program;
    struct peri_metric *late_completions;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool lock_made;
    struct peri_plugin *run_head, **run_tail;
    struct peri_items finished;
    bool posted, stopping;
    bool wanted; /* a worker has something to do and was not woken yet */
    struct peri_later waking;
    struct peri_worker *workers;
    int worker_count;
    /* native_self.c, with the lock */
    struct perigee_self *selves;
    struct peri_push *pushes, *push_tail;
    bool self_posted, closing_selves;
    /* library modules that were read: guarded by shared_lock, which workers take */
    pthread_mutex_t shared_lock;
    struct peri_map *libraries;
};

/* host_cost.c: what calls cost. A call has ended; a request of a job begins or has ended. */
void peri_cost_count(struct peri_job *job, int64_t wall_us, bool failed);
void peri_cost_http(struct peri_job *job, bool begins);
void peri_costs_finish(struct peri_host *host);

/* host_worker.c */
enum peri_status peri_workers_start(struct peri_host *host, int count, struct peri_error *err) PERI_MUST_CHECK;
void peri_workers_stop(struct peri_host *host);
/* Drops what is queued for them: after their end, jobs that are answered may still queue their parents. */
void peri_workers_forget(struct peri_host *host);
/* Puts an item into its plugin's mailbox. PERI_EBUSY: START and the mailbox is full. Loop. */
enum peri_status peri_item_send(
    struct peri_host *host, struct peri_plugin *plugin, struct peri_item *item, bool urgent);
void peri_plugin_release(struct peri_plugin *plugin, bool broken); /* ends held */
/* Nobody will call it any more: a process of its own ends when what is under way has ended. */
void peri_plugin_retire(struct peri_plugin *plugin);
/* Takes back what workers have finished; also when the loop no longer runs. */
void peri_host_collect(struct peri_host *host);

/* host_cell.c, loop: a process that ends by itself is started again. */
void peri_cell_watch(struct peri_plugin *plugin); /* the one that it has now */
void peri_cell_unwatch(struct peri_plugin *plugin);

/* host_build.c: what was being loaded when the process ended the last time is remembered as that. */
void peri_crumb_keep(struct peri_host *host);
/* host_build.c, on a worker: the state or shared object, and what it offers. */
enum peri_status peri_plugin_build(struct peri_plugin *plugin, struct peri_error *err) PERI_MUST_CHECK;
/* A fresh state from the loaded source. */
enum peri_status peri_plugin_rebuild(struct peri_plugin *plugin, struct peri_error *err) PERI_MUST_CHECK;

/* host_job.c, loop */
struct peri_job *peri_job_create(struct peri_plugin *plugin, enum peri_job_kind kind);
void peri_jobs_finish(struct peri_host *host); /* what is kept for the next ones */
/* Sends it off. On failure the job is freed and nothing is called. */
enum peri_status peri_job_start(struct peri_job *job, bool urgent, struct peri_error *err) PERI_MUST_CHECK;
/* The same, but the job stays the caller's on failure. */
enum peri_status peri_job_send(struct peri_job *job, bool urgent, struct peri_error *err) PERI_MUST_CHECK;
/* Answers a job that was never sent off, and frees it. */
void peri_job_refuse(struct peri_job *job, const struct peri_error *err);
/* Every call of the plugin that is under way ends now, with this error. */
void peri_jobs_cut(struct peri_plugin *plugin, const struct peri_error *err);
void peri_job_returned(struct peri_job *job, enum peri_item_kind kind);
void peri_job_resume(struct peri_job *job); /* the operation has ended: op.answer or op.error is set */
/* Copies of them, in one block; each may be NULL. False: no memory. */
bool peri_job_set_texts(struct peri_job *job, const char *rule_id, const char *rule_name, const char *run_id,
    const char *key) PERI_MUST_CHECK;
void peri_job_copy_context(struct peri_job *job, const struct peri_job *parent);
void peri_job_fail_all(struct peri_host *host); /* destroy: everything ends with PERI_ESTATE */
void peri_job_free(struct peri_job *job);
/* Runs a life-cycle handler ("init", "stop", ...). */
enum peri_status peri_plugin_hook(struct peri_plugin *plugin, const char *name, bool urgent,
    void (*done)(struct peri_plugin *plugin, const struct peri_error *err)) PERI_MUST_CHECK;

/* host_call.c, loop */
/* params with defaults filled, checked. */
enum peri_status peri_operator_params(const struct peri_operator *op, const struct peri_value *params,
    struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* What the answer of a lookup means: nothing, false: the provider does not know it. A result is that of the call, with
 * found = true; NULL: out of memory. A lookup that failed leaves the outcome open. */
bool peri_lookup_found(const struct peri_value *value);
struct peri_value *peri_lookup_result(const struct peri_value *value);
void peri_lookup_failed(struct peri_error *error);
/* What send returned, in job->value: nothing is {ok: true}, {ok: false, code, message, retryable} a refusal. */
enum peri_status peri_job_sent(struct peri_job *job, struct peri_error *err) PERI_MUST_CHECK;
void peri_job_set_operator(struct peri_job *job, const struct peri_op_def *def);
enum peri_status peri_host_call_nested(struct peri_job *parent, const char *operator_id,
    const struct peri_value *params, struct peri_error *err) PERI_MUST_CHECK;
/* PERI_ESTATE while the plugin rests; else it may go, perhaps as the trial. */
enum peri_status peri_breaker_admit(struct peri_job *job, struct peri_error *err) PERI_MUST_CHECK;
void peri_breaker_result(struct peri_job *job, const struct peri_error *err); /* err NULL: good */

/* host_intercept.c, loop: peri_job_start, once every interceptor of an action has agreed. */
enum peri_status peri_intercept_start(struct peri_job *job, struct peri_error *err) PERI_MUST_CHECK;
void peri_intercept_after(struct peri_job *job, const struct peri_call_result *result);
void peri_gate_leave(struct peri_job *job);

/* host_ops.c, loop */
void peri_op_perform(struct peri_job *job);
bool peri_op_is_effect(const struct peri_op *op); /* would change something outside */
void peri_op_cancel(struct peri_job *job);
void peri_telling_forget(struct peri_job *job); /* the job goes away */

/* host_account.c. What a handle's name says before the name of an account; names of secrets have no colon. */
#define PERI_ACCOUNT_HANDLE "account:"
const char *peri_account_of(const char *secret); /* the provider, or NULL: it is a secret */
/* May the operation carry the tokens that it names, to this host, and are they good? *ret_wait: one is being renewed,
 * and peri_op_perform called again then. Loop. */
enum peri_status peri_op_accounts(struct peri_job *job, const char *host, int port, bool secure, bool *ret_wait,
    struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_op_account_text(
    struct peri_job *job, const struct peri_secret_text *t, char **ret, struct peri_error *err) PERI_MUST_CHECK;
/* After an answer of 401: true when it is dealt with: the request will be sent once more, or its call fails. Loop. */
bool peri_op_account_refused(struct peri_job *job);
/* On a worker: what may be told of an account that is connected, and how its token stands in a header. New reference.
 */
enum peri_status peri_job_account(
    struct peri_job *job, const char *provider, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;

/* host_load.c, loop */
void peri_plugin_loaded(struct peri_plugin *plugin);
void peri_plugin_was_reset(struct peri_plugin *plugin);
void peri_host_operators_changed(struct peri_host *host);
struct peri_plugin *peri_host_plugin(struct peri_host *host, const char *id);

/* host_order.c, loop: relationships. What waits to be loaded gets its rank; what can not be loaded is blocked, with
 * the reason in its error and told to fn. */
void peri_host_order(struct peri_host *host, void (*fn)(struct peri_host *host, struct peri_plugin *blocked));
/* The next that may be sent to a worker: nothing it loads after is still under way. NULL: none (yet). A plugin whose
 * required one has failed in the meantime is blocked and told to fn instead. */
struct peri_plugin *peri_host_next(
    struct peri_host *host, void (*fn)(struct peri_host *host, struct peri_plugin *blocked));
/* PERI_ESTATE with a stable code and a remedy when p can not run beside what there is. */
enum peri_status peri_plugin_relations(
    struct peri_host *host, const struct peri_plugin *p, struct peri_error *err) PERI_MUST_CHECK;

/* host_health.c, loop: it is in service; its init has failed; it is out of service for good reason. */
void peri_care_active(struct peri_plugin *plugin);
void peri_care_failed(struct peri_plugin *plugin);
void peri_care_gone(struct peri_plugin *plugin);
enum peri_status peri_care_put(struct peri_plugin *plugin, struct peri_value *v) PERI_MUST_CHECK; /* as health */
void peri_cares_finish(struct peri_host *host);

/* host_life.c, loop: what has become of plugins. A step that is no state of its own; a state and its step. */
void peri_life_step(const struct peri_plugin *plugin, const char *state);
void peri_life_accounts(struct peri_host *host); /* who uses which account may have changed */
void peri_plugin_to(struct peri_plugin *plugin, enum peri_plugin_state state);
void peri_life_found(const struct peri_plugin *plugin); /* read and checked */
/* It is unloading, and unloaded when no job of it is left. */
void peri_life_leaves(struct peri_plugin *plugin);
void peri_life_left(struct peri_plugin *plugin);
enum peri_status peri_life_put(const struct peri_plugin *plugin, struct peri_value *v) PERI_MUST_CHECK; /* as life */
void peri_lives_finish(struct peri_host *host);

/* host_system.c, loop: what others may hear of. Events are stored with what they tell; NULL: nobody hears it. */
struct peri_event *peri_host_event(const struct peri_plugin *plugin, const char *type, const char *reason);
/* channel: plugin id, or "outbox"; key may be NULL. job: the sender's. */
struct peri_event *peri_host_sent_event(const struct peri_job *job, const char *channel, const char *key);
/* A channel's handler has ended well: what it says came in becomes part of what it has written. */
void peri_host_mark_received(struct peri_job *job);
/* schedule: its id. The same occurrence is the same event, however often it is stored. */
struct peri_event *peri_host_due_event(struct peri_host *host, const char *schedule, int64_t due_ms, int64_t now_ms);

/* host_audit.c, loop: plugin.loaded, plugin.refused, plugin.failed; others hear of it in the same transaction. */
void peri_host_audit(const struct peri_plugin *plugin, const char *action);
void peri_audit_unloaded(const struct peri_plugin *plugin, const char *reason);
/* What policy.yaml grants now, where that is not what was noted last: granted and revoked. */
void peri_audit_grants(struct peri_host *host);
/* Adds an entry to a batch. take detail */
void peri_audit_batch(struct peri_batch *batch, const char *action, const char *target, struct peri_value *detail);

/* host_ledger.c: happenings that are counted and written once a minute. Loop, but for violations: any thread. */
struct peri_ledger *peri_ledger_create(void);
void peri_ledger_destroy(struct peri_ledger *ledger);
/* outcome: a status or an error's code. */
void peri_ledger_outbound(
    const struct peri_job *job, const char *host, int port, const char *outcome, int64_t sent, int64_t received);
void peri_ledger_violation(const struct peri_job *job, const char *code, const char *what);
void peri_ledger_arm(struct peri_host *host); /* there may be something to write */
/* Which of its permissions it has used: from its grants into the host's memory; into v as unused and used_since. */
void peri_usage_merge(struct peri_plugin *plugin);
enum peri_status peri_usage_put(struct peri_plugin *plugin, struct peri_value *v) PERI_MUST_CHECK;

/* take detail (may be NULL) */
void peri_host_audit_entry(struct peri_host *host, const char *action, const char *target, struct peri_value *detail);

/* host_events.c, loop */
struct peri_reader *peri_host_reader(struct peri_host *host); /* NULL without a store */
void peri_subs_free_changes(struct peri_sub_change *changes, size_t count);
void peri_subs_apply(struct peri_job *job);        /* what it asked for */
void peri_subs_bind(struct peri_plugin *plugin);   /* it is active: it hears from now on */
void peri_subs_unbind(struct peri_plugin *plugin); /* it is no longer */
void peri_subs_mark(struct peri_job *job);         /* puts the event's position into the batch that it wrote */
void peri_subs_flush(struct peri_host *host);
bool peri_subs_pending(struct peri_host *host);                       /* an event is about to be handed over */
struct peri_value *peri_subs_value(const struct peri_plugin *plugin); /* [{event, after}] */
void peri_subs_finish(struct peri_host *host);

/* host_schedule.c, loop */
void peri_plans_free_changes(struct peri_plan_change *changes, size_t count);
void peri_plans_apply(struct peri_job *job);
void peri_plans_mark(struct peri_job *job);  /* adds what a schedule's end means to what its handler wrote */
void peri_plans_arm(struct peri_host *host); /* plans or plugins have changed */
void peri_plans_tick(struct peri_host *host);
void peri_plans_finish(struct peri_host *host);
/* host_plan.c, on a worker. spec: see host_schedule.c; NULL cancels. */
enum peri_status peri_job_plan(
    struct peri_job *job, const char *name, const struct peri_value *spec, struct peri_error *err) PERI_MUST_CHECK;
/* The schedule of a connector's sync: its own, so it needs no permission. 0: none. */
enum peri_status peri_job_plan_sync(struct peri_job *job, int64_t every_ms, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_job_plans(struct peri_job *job, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;

/* host_data.c, on a worker: what both kinds of plugin may do with the model. Permission checks are in here. */
enum peri_status peri_job_query(struct peri_job *job, const struct peri_value *request, bool count,
    struct peri_value **ret, size_t *ret_count, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_job_get(struct peri_job *job, const char *type, const char *id, struct peri_value **ret,
    struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_job_put(struct peri_job *job, const char *type, const struct peri_value *fields, char id[128],
    struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_job_delete(
    struct peri_job *job, const char *type, const char *id, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_job_emit(struct peri_job *job, const char *type, const struct peri_value *data,
    const struct peri_value *options, struct peri_error *err) PERI_MUST_CHECK;
/* Wants the events of a glob, or no longer. since as in struct peri_sub_change. */
enum peri_status peri_job_subscribe(struct peri_job *job, const char *glob, bool off, bool from_now, uint64_t since,
    struct peri_error *err) PERI_MUST_CHECK;
/* mapping: {type, key, external_id, data?}; a list of them is one operation. */
enum peri_status peri_job_map(
    struct peri_job *job, const struct peri_value *mappings, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_job_unmap(
    struct peri_job *job, const char *type, const char *key, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_job_mappings(struct peri_job *job, const struct peri_value *request, struct peri_value **ret,
    struct peri_error *err) PERI_MUST_CHECK;
/* For the files that add to this one. */
struct peri_reader *peri_job_reader(struct peri_job *job); /* NULL without a database */
enum peri_status peri_job_batch(struct peri_job *job, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_job_may_change(
    const struct peri_job *job, const char *what, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_job_denied(
    const struct peri_job *job, const char *permission, const char *arg, struct peri_error *err);
enum peri_status peri_job_kv_get(
    struct peri_job *job, const char *key, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_job_kv_set(struct peri_job *job, const char *key, const struct peri_value *value, int64_t ttl_ms,
    struct peri_error *err) PERI_MUST_CHECK;
/* Compares and sets when the job is flushed: fill op->swap before that, ask it after it. */
enum peri_status peri_job_kv_swap(struct peri_job *job, const char *key, const struct peri_value *expected,
    const struct peri_value *value, int64_t ttl_ms, struct peri_swap **ret, struct peri_error *err) PERI_MUST_CHECK;
bool peri_swap_done(struct peri_job *job, const struct peri_swap *swap);
void peri_swap_unref(struct peri_swap *swap);
/* Bytes of a file under a granted path, from offset; at most max. *ret is malloc'ed; *ret_size: of the whole file. */
enum peri_status peri_job_file(struct peri_job *job, const char *path, int64_t offset, size_t max, char **ret,
    size_t *ret_len, int64_t *ret_size, struct peri_error *err) PERI_MUST_CHECK;
/* Deletes these keys: one operation. */
enum peri_status peri_job_kv_clear(
    struct peri_job *job, const struct peri_value *keys, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_job_kv_list(
    struct peri_job *job, const char *prefix, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Uses one of the plugin's operations a second; PERI_ELIMIT "limit.rate" when there is none left. */
enum peri_status peri_job_spend(struct peri_job *job, struct peri_error *err) PERI_MUST_CHECK;
/* What time has brought, at most PERI_HOST_RATE_BURST seconds' worth. */
void peri_bucket_fill(struct peri_bucket *b, const struct peri_job *job, double rate);
bool peri_job_dirty(const struct peri_job *job); /* has writes that reads would not see */
/* {id, type, source, subject?, time, data} or NULL. borrow */
const struct peri_value *peri_job_event(struct peri_job *job);
void peri_job_log(struct peri_job *job, enum peri_log_level level, const char *text, const struct peri_value *data);

/* host_items.c, on a worker: what an item of a connector means is written by the job, with the plugin's grants. item:
 * {entities?, events?}, or nothing. */
enum peri_status peri_job_take(struct peri_job *job, const struct peri_value *item, struct peri_taken *taken,
    struct peri_error *err) PERI_MUST_CHECK;
/* The counts in place of *value. */
enum peri_status peri_job_taken(
    const struct peri_taken *taken, struct peri_value **value, struct peri_error *err) PERI_MUST_CHECK;

/* host_pages.c. On the worker: what a page came to, and pause_ms for it; PERI_ELIMIT "limit.rate" when a page of
 * another call is not paid for yet. take cursor (may be NULL). */
enum peri_status peri_pages_charge(
    struct peri_job *job, const struct peri_taken *taken, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_pages_cursor(
    struct peri_job *job, struct peri_value *cursor, struct peri_error *err) PERI_MUST_CHECK;
/* On the loop, a page is stored. True: the job goes on by itself; else it is over, with *err when that is set. */
bool peri_pages_go_on(struct peri_job *job, struct peri_error *err);
void peri_pages_name(const struct peri_job *job, struct peri_error *err);
void peri_pages_stop(struct peri_job *job);
void peri_pages_free(struct peri_job *job);
/* host_job.c, for it: no deadline runs while nobody works; the answer (err NULL: it
 * went well). */
void peri_job_rest(struct peri_job *job);
void peri_job_end(struct peri_job *job, struct peri_error *err);

/* host_script.c, loop: a job for a rule's script; NULL when memory is out. */
struct peri_job *peri_script_job(struct peri_host *host, const struct peri_call *call);
void peri_host_scripts_finish(struct peri_host *host);

/* host_native.c, on a worker */
void peri_native_job(struct peri_job *job);
void peri_native_resume(struct peri_job *job);
void peri_native_abort(struct peri_job *job); /* nobody waits any more for what it waits for */
void peri_native_free(struct peri_job *job);

/* lua_job.c, on a worker: the parts that know Lua. */
bool peri_plugin_spoilt(const struct peri_plugin *plugin);
enum peri_status peri_lua_build(struct peri_plugin *plugin, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_lua_describe(struct peri_plugin *plugin, struct peri_error *err) PERI_MUST_CHECK;
/* peri_vm_options.module; user is the plugin */
enum peri_status peri_lua_module(
    void *user, const char *name, const char **ret_text, size_t *ret_len, struct peri_error *err) PERI_MUST_CHECK;
void peri_lua_start(struct peri_job *job);
void peri_lua_resume(struct peri_job *job);
void peri_lua_abort(struct peri_job *job);
/* What the call came to: job->outcome, its value or error, what it used. enum peri_vm_outcome */
void peri_lua_settle(struct peri_job *job, int outcome);

/* lua_script.c, on a worker */
void peri_lua_script(struct peri_job *job);

#endif
