/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERIGEE_PLUGIN_H
#define PERIGEE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/* The interface between perigee and plugins written in C. A plugin is a shared object that exports perigee_plugin_init,
 * named by `entrypoint` in its plugin.json. It includes only this header and links nothing of perigee: it is given a
 * table of functions. It may offer operators, a connector and a channel, as plugins in Lua do.
 *
 * C plugins are trusted code: they run in the service's process, outside the sandbox; permissions keep their honest
 * mistakes in bounds, not their malice. A crash in a handler takes the service along.
 *
 * Versions. The host says which ABI versions it speaks, the plugin picks one of them. Structs begin with their size and
 * grow only at the end. Test PERIGEE_HAS before using a function, and PERIGEE_PLUGIN_HAS before setting a member, that
 * came after the first header of the version ("later" below); what a plugin's struct is too small to have is not there.
 *
 * Init is called twice: first in a process of its own, which unloads it again, to see whether it crashes or
 * hangs, then in the service. So it fills its struct and does nothing else: no threads, files, devices. `start` is for
 * that.
 *
 * Threads. Handlers run on worker threads, one at a time for a plugin; which thread may change. A handler that takes
 * longer than its limits cannot be stopped, only reported: keep it short, never block on the network. To wait, ask for
 * what you wait for and return PERIGEE_PENDING. Functions that take a call are for the thread that runs its handler,
 * and only while it runs. Those that take a perigee_self, and those for values, are for any thread at any time between
 * init and the end of unload; a value itself is for one thread at a time.
 *
 * Ownership. A perigee_value is counted. What a function returns as "new" belongs to the caller, who gives it to
 * value_unref; "borrow" lives as long as what it was taken from; "take" means that the function owns it from then on,
 * also when it fails. Texts are UTF-8, NUL-terminated, and copied unless a comment says otherwise. A value may be
 * changed only by who made it and until it is given away. What structs of the plugin point to lives until unload.
 *
 * Errors. A function that returns PERIGEE_FAILED has set the call's error (code and text for people): return it, or
 * replace it with call_fail. Writes of a handler (data, events, storage, schedules) are stored in one transaction when
 * it ends well, and when it waits; a handler that fails has written nothing since it last waited. */

#define PERIGEE_ABI_VERSION 1u

#ifdef __cplusplus
extern "C" {
#endif

struct perigee_value; /* null, boolean, integer, real, text, list or map */
struct perigee_call;  /* one call of a handler; valid until it has ended: across waits, not behind its last return */
struct perigee_self;  /* the plugin, as the host knows it; for functions outside of calls. Valid until unload returns */

/* A call that will be answered later; a number, so that one that is over can be recognised. 0: none. */
typedef uint64_t perigee_token;

enum perigee_status {
    PERIGEE_OK = 0,
    PERIGEE_FAILED = 1, /* the call has an error: set by call_fail or by the host function that failed */
    PERIGEE_NOT_FOUND = 2,
    PERIGEE_PENDING = 3, /* returned by a handler that has asked for something to wait for */
    PERIGEE_BUSY = 4     /* not taken: try again later */
};

enum perigee_type {
    PERIGEE_NULL = 0,
    PERIGEE_BOOL = 1,
    PERIGEE_INT = 2,
    PERIGEE_REAL = 3,
    PERIGEE_TEXT = 4,
    PERIGEE_LIST = 5,
    PERIGEE_MAP = 6
};

enum perigee_log_level { PERIGEE_DEBUG = 0, PERIGEE_INFO = 1, PERIGEE_WARN = 2, PERIGEE_ERROR = 3 };

/* A handler. input depends on what it handles. Sets *ret_value to its result (NULL: none; new value, the host's from
 * then on, also when the handler fails) and, as a condition, *ret_holds. */
typedef enum perigee_status perigee_handler_fn(void *state, struct perigee_call *call,
    const struct perigee_value *input, int *ret_holds, struct perigee_value **ret_value);
/* What follows when a wait has ended: the rest of the handler, which may wait again. answer: what came (borrow), or
 * NULL when there is none or it failed: then call_error says why, and returning PERIGEE_FAILED passes that on. */
typedef enum perigee_status perigee_then_fn(void *state, struct perigee_call *call, void *user,
    const struct perigee_value *answer, int *ret_holds, struct perigee_value **ret_value);

/* The functions of the host. */
struct perigee_host_api {
    size_t size;               /* of the struct, as the host knows it */
    uint32_t abi_min, abi_max; /* versions it speaks */

    /* Values. Making one gives NULL when memory is out, or when the text is not UTF-8 or the real not finite. */
    struct perigee_value *(*value_null)(void);
    struct perigee_value *(*value_bool)(int b);
    struct perigee_value *(*value_int)(int64_t i);
    struct perigee_value *(*value_real)(double r);
    struct perigee_value *(*value_text)(const char *text);
    struct perigee_value *(*value_list)(void);
    struct perigee_value *(*value_map)(void);
    struct perigee_value *(*value_json)(const char *text, size_t len); /* parses; NULL when malformed */
    char *(*value_to_json)(const struct perigee_value *v);             /* new text: give it to text_free */
    void (*text_free)(char *text);
    struct perigee_value *(*value_ref)(const struct perigee_value *v);
    void (*value_unref)(struct perigee_value *v);
    enum perigee_type (*value_type)(const struct perigee_value *v); /* NULL counts as null */
    int (*value_as_bool)(const struct perigee_value *v);
    int64_t (*value_as_int)(const struct perigee_value *v); /* 0 when it is no number */
    double (*value_as_real)(const struct perigee_value *v);
    const char *(*value_as_text)(const struct perigee_value *v); /* borrow; NULL when it is no text */
    size_t (*value_count)(const struct perigee_value *v);
    struct perigee_value *(*list_at)(const struct perigee_value *list, size_t i);           /* borrow */
    int (*list_push)(struct perigee_value *list, struct perigee_value *item);               /* take; 0 on success */
    struct perigee_value *(*map_at)(const struct perigee_value *map, const char *key);      /* borrow */
    int (*map_put)(struct perigee_value *map, const char *key, struct perigee_value *item); /* take; 0 on success */
    /* Walks a map: start with *cursor = NULL; 0 at the end. */
    int (*map_next)(const struct perigee_value *map, void **cursor, const char **ret_key,
        struct perigee_value **ret_item); /* borrow */

    /* The call. */
    const struct perigee_value *(*call_config)(
        struct perigee_call *call); /* the plugin's settings, never NULL. borrow */
    const struct perigee_value *(*call_event)(
        struct perigee_call *call);                                 /* {id, type, source, time, data} or NULL. borrow */
    const char *(*call_rule)(struct perigee_call *call);            /* id, or NULL */
    const char *(*call_run)(struct perigee_call *call);             /* id, or NULL */
    const char *(*call_idempotency_key)(struct perigee_call *call); /* or NULL */
    int64_t (*call_now_ms)(struct perigee_call *call);              /* ms since 1970 UTC, by the service's clock */
    /* Sets the error that the call ends with; returns PERIGEE_FAILED, so that `return host->call_fail(...)` works. */
    enum perigee_status (*call_fail)(struct perigee_call *call, const char *code, const char *message, int retryable);
    void (*log)(struct perigee_call *call, enum perigee_log_level level, const char *text);

    /* The unified model, as far as data:read:<type> and data:write:<type> were granted. Reads do not see what this call
     * has put: that is stored when an action has ended well. Conditions may not write. */
    /* request: {type, where?, order?, limit?, offset?}. *ret_items: new list. */
    enum perigee_status (*data_query)(
        struct perigee_call *call, const struct perigee_value *request, struct perigee_value **ret_items);
    /* PERIGEE_NOT_FOUND when there is none. */
    enum perigee_status (*data_get)(
        struct perigee_call *call, const char *type, const char *id, struct perigee_value **ret);
    /* Creates or merges. id gets the entity's id: at least 128 bytes. fields: borrow. */
    enum perigee_status (*data_put)(
        struct perigee_call *call, const char *type, const struct perigee_value *fields, char *id, size_t id_size);
    enum perigee_status (*data_delete)(struct perigee_call *call, const char *type, const char *id);
    /* Needs event:publish:<glob>. data: borrow; may be NULL. */
    enum perigee_status (*emit)(struct perigee_call *call, const char *type, const struct perigee_value *data);

    /* --- later than the first header of version 1 --- */

    /* Adds to the error that call_fail has set: the effect may have happened all the same; try again not before. */
    void (*call_fail_more)(struct perigee_call *call, int outcome_unknown, int64_t retry_after_ms);
    /* What the wait before this then ended with: {code, message, retryable, outcome?}; NULL: it went well. borrow */
    const struct perigee_value *(*call_error)(struct perigee_call *call);
    /* In a lookup: when the first attempt was made, ms since 1970; else 0. */
    int64_t (*call_first_attempt_ms)(struct perigee_call *call);
    /* options: {id?, time?, subject?, source?} or NULL. id: sent again with it, the event is the same one. */
    enum perigee_status (*emit_event)(struct perigee_call *call, const char *type, const struct perigee_value *data,
        const struct perigee_value *options);

    /* Keys and values of the plugin's own; storage:read, storage:write. A read does not see what this call has set
     * since it last waited. ttl_ms 0: for ever. value NULL deletes. */
    enum perigee_status (*storage_get)(struct perigee_call *call, const char *key, struct perigee_value **ret);
    enum perigee_status (*storage_set)(
        struct perigee_call *call, const char *key, const struct perigee_value *value, int64_t ttl_ms);
    /* *ret_keys: new list of texts. */
    enum perigee_status (*storage_list)(struct perigee_call *call, const char *prefix, struct perigee_value **ret_keys);

    /* Ids of others for keys of one's own: {type, key, external_id, data?}, or a list of them; {type, key?,
     * external_id?, after?, limit?} finds them (new list). */
    enum perigee_status (*mappings_set)(struct perigee_call *call, const struct perigee_value *mappings);
    enum perigee_status (*mappings_delete)(struct perigee_call *call, const char *type, const char *key);
    enum perigee_status (*mappings_find)(
        struct perigee_call *call, const struct perigee_value *request, struct perigee_value **ret_items);

    /* Durable schedules; scheduler:write, scheduler:read. spec: {cron, timezone?}, {every_ms} or {after_ms}, with job?
     * (name of one of `jobs`; default: the schedule's name) and data?; NULL cancels. The same name replaces. */
    enum perigee_status (*schedule_set)(struct perigee_call *call, const char *name, const struct perigee_value *spec);
    enum perigee_status (*schedule_list)(struct perigee_call *call, struct perigee_value **ret_items);

    /* Events of this type or glob go to `event` of struct perigee_plugin, from now on or (on 0) no longer; also after a
     * restart, if `start` says so again. Needs event:subscribe:<glob>. */
    enum perigee_status (*subscribe)(struct perigee_call *call, const char *glob, int on);

    /* Waiting: each of these is the last thing that a handler does; it returns what they return, PERIGEE_PENDING when
     * all is well. Then `then` is called with user and the answer, unless the call has ended before (its time is over,
     * the plugin was revoked, the service stops): dropped(user), if not NULL, is called instead. Exactly one of the
     * two.
     *
     * request: {url, method?, query?, headers?, body?, body_base64?, json?, form?, timeout_ms?, auth?: {user,
     * password}, tls?: {cert, key, ca}}; answer: {status, headers, body}, body_base64 where the body is not UTF-8.
     * Where a header, a password or a certificate is a secret, put the setting {"$secret": name} as it came, perhaps
     * with a member prefix: its value is never shown to the plugin. Needs network:outbound:<host>. */
    enum perigee_status (*http)(struct perigee_call *call, const struct perigee_value *request, perigee_then_fn *then,
        void *user, void (*dropped)(void *user));
    /* A message over whatever channel serves this type: channels:send:<type>. */
    enum perigee_status (*send)(struct perigee_call *call, const char *channel_type,
        const struct perigee_value *message, perigee_then_fn *then, void *user, void (*dropped)(void *user));
    /* An operator of any plugin: operators:call. answer: its result, or whether it holds. */
    enum perigee_status (*invoke)(struct perigee_call *call, const char *operator_id,
        const struct perigee_value *params, perigee_then_fn *then, void *user, void (*dropped)(void *user));
    /* Until what was written is stored: reads behind it see it. answer: NULL */
    enum perigee_status (*flush)(
        struct perigee_call *call, perigee_then_fn *then, void *user, void (*dropped)(void *user));
    /* Until complete or complete_error is called with *ret_token, from any thread, perhaps before the handler has
     * returned. The call has its deadline all the same (limits.wallMs, the step's timeout). dropped: nobody waits for
     * the answer any more; it may run on any thread of the service, at the same time as complete is called. */
    enum perigee_status (*defer)(
        struct perigee_call *call, perigee_token *ret_token, void (*dropped)(void *user), void *user);

    /* Outside of calls. */
    /* Ends a deferred call. value: its result (take; may be NULL); holds: of a condition. PERIGEE_NOT_FOUND when it is
     * over, was completed before or never was: counted, and nothing else happens. */
    enum perigee_status (*complete)(
        struct perigee_self *self, perigee_token token, int holds, struct perigee_value *value);
    enum perigee_status (*complete_error)(struct perigee_self *self, perigee_token token, const char *code,
        const char *message, int retryable, int outcome_unknown);
    /* Something has come in: item (take) goes through the connector's map, and what that gives is stored in one
     * transaction; without a map item is {entities?, events?} itself. done(user, PERIGEE_OK) when it is on disk and may
     * be acknowledged, else done(user, PERIGEE_FAILED): say it again later. done runs on a thread of the service and
     * returns at once; it may be NULL. PERIGEE_BUSY (too much is on its way) and PERIGEE_FAILED (the plugin is not in
     * service): not taken, done is not called. */
    enum perigee_status (*push)(struct perigee_self *self, struct perigee_value *item,
        void (*done)(void *user, enum perigee_status status), void *user);
    void (*self_log)(struct perigee_self *self, enum perigee_log_level level, const char *text);
    /* The plugin's settings; new. */
    struct perigee_value *(*self_config)(struct perigee_self *self);
};

/* Does this host have the function f (of a later version)? */
#define PERIGEE_HAS(host, f) ((host)->size >= offsetof(struct perigee_host_api, f) + sizeof((host)->f) && (host)->f)

enum perigee_operator_kind { PERIGEE_CONDITION = 1, PERIGEE_ACTION = 2 };

/* One condition or action. */
struct perigee_operator {
    size_t size; /* sizeof(struct perigee_operator) */
    enum perigee_operator_kind kind;
    const char *id; /* "data.update" */
    const char *description;
    const char
        *params_schema; /* JSON Schema as text, or NULL: anything. Params are checked, defaults filled, before run */
    int repeat;         /* an action that may be repeated when its outcome is not known */
    /* Condition: sets *ret_holds and, where it helps the author of a rule, *ret_value to what it compared. Action: sets
     * *ret_value to its result (NULL: none). New value, the host's from then on. */
    enum perigee_status (*run)(void *state, struct perigee_call *call, const struct perigee_value *params,
        int *ret_holds, struct perigee_value **ret_value);
    void (*reserved)(void); /* NULL */

    /* --- later --- */
    /* What became of an earlier attempt with the same idempotency key whose outcome is not known: PERIGEE_OK and its
     * result, or PERIGEE_NOT_FOUND: nothing, it is made now. May be NULL. */
    perigee_handler_fn *lookup;
};

enum perigee_delivery {
    PERIGEE_ONCE = 0,   /* an attempt of unknown outcome is never repeated */
    PERIGEE_REPEAT = 1, /* repeating does no harm: the key is honoured */
    PERIGEE_LOOKUP = 2  /* lookup is asked first */
};

/* A channel: sends messages {channel_type, to?, subject?, body?, idempotency_key, rule?, run?, ...}. */
struct perigee_channel {
    size_t size;
    const char *type; /* "sms", "email", ... */
    enum perigee_delivery delivery;
    perigee_handler_fn *send;   /* input: the message. Result: {ok?, messageId?, ...} or NULL */
    perigee_handler_fn *lookup; /* with PERIGEE_LOOKUP: as of an operator; the message has `since` */
    /* Requests below /hooks/<plugin> that `webhooks` does not name; input and result as of a webhook. May be NULL */
    perigee_handler_fn *incoming;
};

/* A connector: brings in what is elsewhere. */
struct perigee_connector {
    size_t size;
    /* Fetches what is new. input: options. Result: NULL or a list of items, each of which goes through map. It is an
     * action too, "<plugin id>.sync". May be NULL */
    perigee_handler_fn *sync;
    int64_t sync_every_ms; /* sync is called so often, durably; 0: only when somebody asks */
    /* What an item means: {entities?: [{type, id? | source? and externalId?, ...}], events?: [{type, data?, id?, time?,
     * subject?, source?}]}. Must not wait. NULL: items are that already. */
    perigee_handler_fn *map;
    /* It is in service: begin to listen, on threads of the plugin's own, which push what they hear. Then unlisten: they
     * have ended when it returns, also when listen has failed half-way. While a new version takes over, both may listen
     * for a moment. */
    enum perigee_status (*listen)(void *state, struct perigee_call *call);
    void (*unlisten)(void *state);
    /* Does something there. It is the action "<plugin id>.execute". May be NULL */
    perigee_handler_fn *execute;
    const char *execute_schema; /* of its parameters, JSON Schema as text; NULL: anything */
};

/* Requests to /hooks/<plugin><path>; needs network:inbound. input: {method, path, url, query_string, headers (names in
 * lower case), body or body_base64, json? of a JSON body, remote}. Result: {status?, headers?, body? | json?,
 * message?}; what the handler wrote is stored before the sender is answered. */
struct perigee_webhook {
    size_t size;
    const char *path;           /* begins with a slash */
    const char *const *methods; /* NULL-ended; NULL: POST */
    perigee_handler_fn *handle;
};

/* What schedules call. input: {name, due, attempt, last?, data?} */
struct perigee_job {
    size_t size;
    const char *name;
    perigee_handler_fn *run;
};

/* What perigee_plugin_init fills. */
struct perigee_plugin {
    size_t size;                                     /* set by the host: do not write behind it */
    uint32_t abi;                                    /* the version the plugin picked */
    const struct perigee_operator *const *operators; /* NULL-ended; lives until unload */
    void *state;                                     /* handed to every handler */
    void (*unload)(void *state);                     /* may be NULL */

    /* From here on later than the first header of version 1: test PERIGEE_PLUGIN_HAS before you set one. */
    /* Is it well? PERIGEE_FAILED, with call_fail, says why not. Asked every half minute; three times no, and the plugin
     * is loaded anew. May be NULL. */
    enum perigee_status (*health)(void *state, struct perigee_call *call);
    /* Asked before, told after each action of another plugin; needs the permission actions:intercept. action:
     * {operator, plugin, params, rule?, run?, ...}, after: with ok, and result or error. before forbids it with `return
     * host->call_fail(call, code, why, 0)`. Either may be NULL. */
    enum perigee_status (*before)(void *state, struct perigee_call *call, const struct perigee_value *action);
    void (*after)(void *state, struct perigee_call *call, const struct perigee_value *action);
    const char *const *intercepts; /* ids or globs of operators, NULL-ended, living until unload; NULL: all */

    /* Set by the host before init, for functions outside of calls. NULL in the process that tries init. */
    struct perigee_self *self;
    const struct perigee_connector *connector;     /* or NULL */
    const struct perigee_channel *channel;         /* or NULL */
    const struct perigee_webhook *const *webhooks; /* NULL-ended, or NULL */
    const struct perigee_job *const *jobs;         /* NULL-ended, or NULL */
    /* Life cycle; each may be NULL, and none may wait. start: before anything else, and nothing else when it fails.
     * ready: all plugins are loaded. stop: before it is unloaded or the service ends; not promised, as a service may be
     * killed. */
    enum perigee_status (*start)(void *state, struct perigee_call *call);
    enum perigee_status (*ready)(void *state, struct perigee_call *call);
    enum perigee_status (*stop)(void *state, struct perigee_call *call);
    enum perigee_status (*on_enable)(void *state, struct perigee_call *call);
    enum perigee_status (*on_disable)(void *state, struct perigee_call *call);
    /* Events that it has subscribed to: input {id, type, source, subject?, time, data}. In order, at least once. */
    perigee_handler_fn *event;
};

/* Does the host know this member of struct perigee_plugin? */
#define PERIGEE_PLUGIN_HAS(plugin, f) ((plugin)->size >= offsetof(struct perigee_plugin, f) + sizeof((plugin)->f))

#if defined(__GNUC__)
#define PERIGEE_EXPORT __attribute__((visibility("default")))
#else
#define PERIGEE_EXPORT
#endif

/* Called after the object is loaded. host lives as long as the plugin. Returns 0, or anything else when it can not
 * work; then message (message_size bytes) says why. */
typedef int perigee_plugin_init_fn(
    const struct perigee_host_api *host, struct perigee_plugin *plugin, char *message, size_t message_size);
PERIGEE_EXPORT perigee_plugin_init_fn perigee_plugin_init;

#ifdef __cplusplus
}
#endif

#endif
