/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERIGEE_PLUGIN_H
#define PERIGEE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/* The interface between perigee and plugins written in C. A plugin is a shared object that exports perigee_plugin_init,
 * named by `entrypoint` in its plugin.json. It includes only this header and links nothing of perigee: it is given a
 * table of functions.
 *
 * C plugins are trusted code: they run in the service's process, outside the sandbox; permissions keep their honest
 * mistakes in bounds, not their malice.
 *
 * Versions. The host says which ABI versions it speaks, the plugin picks one of them. Structs begin with their size and
 * grow only at the end: test `host->size` before using a function that came later than version 1 (PERIGEE_HAS).
 *
 * Threads. Handlers run on worker threads, one at a time for a plugin. A handler that takes longer than its limits
 * cannot be stopped, only reported: keep it short, never block on the network.
 *
 * Ownership. A perigee_value is counted. What a function returns as "new" belongs to the caller, who gives it to
 * value_unref; "borrow" lives as long as what it was taken from; "take" means that the function owns it from then on,
 * also when it fails. Texts are UTF-8, NUL-terminated. A value may be changed only by who made it and until it is given
 * away. */

#define PERIGEE_ABI_VERSION 1u

#ifdef __cplusplus
extern "C" {
#endif

struct perigee_value; /* null, boolean, integer, real, text, list or map */
struct perigee_call;  /* one call of a handler; valid until the handler returns */

enum perigee_status {
    PERIGEE_OK = 0,
    PERIGEE_FAILED = 1, /* the call has an error: set by call_fail or by the host function that failed */
    PERIGEE_NOT_FOUND = 2
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
    /* Room for handlers that answer later: must be NULL in version 1. */
    void (*start)(void);
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
};

/* Does the host know this member of struct perigee_plugin? */
#define PERIGEE_PLUGIN_HAS(plugin, f) ((plugin)->size >= offsetof(struct perigee_plugin, f) + sizeof((plugin)->f))

#if defined(__GNUC__)
#define PERIGEE_EXPORT __attribute__((visibility("default")))
#else
#define PERIGEE_EXPORT
#endif

/* Called once after the object is loaded. host lives as long as the plugin. Returns 0, or anything else when it can not
 * work; then message (message_size bytes) says why. */
typedef int perigee_plugin_init_fn(
    const struct perigee_host_api *host, struct perigee_plugin *plugin, char *message, size_t message_size);
PERIGEE_EXPORT perigee_plugin_init_fn perigee_plugin_init;

#ifdef __cplusplus
}
#endif

#endif
