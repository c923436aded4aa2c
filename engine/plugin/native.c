/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/native.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "perigee/plugin.h"

#define MAX_OPERATORS 1000

struct peri_native {
    void *object;
    struct perigee_plugin plugin;
    size_t count;
};

struct perigee_call {
    const struct peri_native_env *env;
    struct peri_error error;
};

/* --- values: the same thing under another name --- */

static struct peri_value *in(const struct perigee_value *v)
{
    return (struct peri_value *)(uintptr_t)v;
}

static struct perigee_value *out(const struct peri_value *v)
{
    return (struct perigee_value *)(uintptr_t)v;
}

static struct perigee_value *api_null(void)
{
    return out(peri_value_null());
}
static struct perigee_value *api_bool(int b)
{
    return out(peri_value_bool(b != 0));
}
static struct perigee_value *api_int(int64_t i)
{
    return out(peri_value_int(i));
}
static struct perigee_value *api_real(double r)
{
    return out(peri_value_real(r));
}
static struct perigee_value *api_text(const char *text)
{
    return text ? out(peri_value_str(text)) : NULL;
}
static struct perigee_value *api_list(void)
{
    return out(peri_value_list());
}
static struct perigee_value *api_map(void)
{
    return out(peri_value_map());
}
static struct perigee_value *api_json(const char *text, size_t len)
{
    struct peri_value *v = NULL;
    return peri_json_parse(text, len, &v, NULL) ? NULL : out(v);
}
static char *api_to_json(const struct perigee_value *v)
{
    return peri_json_text(in(v), PERI_JSON_COMPACT);
}
static void api_text_free(char *text)
{
    free(text);
}
static struct perigee_value *api_ref(const struct perigee_value *v)
{
    return out(peri_value_ref(in(v)));
}
static void api_unref(struct perigee_value *v)
{
    peri_value_unref(in(v));
}
static enum perigee_type api_type(const struct perigee_value *v)
{
    return (enum perigee_type)peri_value_type(in(v)); /* the same numbers */
}
static int api_as_bool(const struct perigee_value *v)
{
    return peri_value_as_bool(in(v));
}
static int64_t api_as_int(const struct perigee_value *v)
{
    return peri_value_as_int(in(v));
}
static double api_as_real(const struct perigee_value *v)
{
    return peri_value_as_real(in(v));
}
static const char *api_as_text(const struct perigee_value *v)
{
    return peri_value_text(in(v));
}
static size_t api_count(const struct perigee_value *v)
{
    return peri_value_count(in(v));
}
static struct perigee_value *api_list_at(const struct perigee_value *list, size_t i)
{
    return out(peri_list_at(in(list), i));
}
static int api_list_push(struct perigee_value *list, struct perigee_value *item)
{
    return peri_list_push(in(list), in(item)) ? -1 : 0;
}
static struct perigee_value *api_map_at(const struct perigee_value *map, const char *key)
{
    return out(peri_map_at(in(map), key));
}
static int api_map_put(struct perigee_value *map, const char *key, struct perigee_value *item)
{
    return peri_map_put(in(map), key, in(item)) ? -1 : 0;
}
static int api_map_next(
    const struct perigee_value *map, void **cursor, const char **ret_key, struct perigee_value **ret_item)
{
    *cursor = *cursor ? peri_map_next(in(map), *cursor) : peri_map_first(in(map));
    if (!*cursor)
        return 0;
    *ret_key = peri_map_key(*cursor, NULL);
    *ret_item = out(peri_map_item(*cursor));
    return 1;
}

/* --- the call --- */

static const struct perigee_value *api_config(struct perigee_call *call)
{
    return out(call->env->config);
}
static const struct perigee_value *api_event(struct perigee_call *call)
{
    return out(call->env->event);
}
static const char *api_rule(struct perigee_call *call)
{
    return call->env->rule;
}
static const char *api_run(struct perigee_call *call)
{
    return call->env->run;
}
static const char *api_key(struct perigee_call *call)
{
    return call->env->key;
}
static int64_t api_now(struct perigee_call *call)
{
    return call->env->now_ms;
}

static enum perigee_status api_fail(struct perigee_call *call, const char *code, const char *message, int retryable)
{
    peri_error_set(&call->error, PERI_EINVAL, code ? code : "failed", "%s", message ? message : "");
    call->error.retryable = retryable != 0;
    return PERIGEE_FAILED;
}

static void api_log(struct perigee_call *call, enum perigee_log_level level, const char *text)
{
    call->env->log(call->env->user, (int)level, text ? text : "");
}

static enum perigee_status answer(enum peri_status st)
{
    return st == PERI_OK ? PERIGEE_OK : st == PERI_ENOTFOUND ? PERIGEE_NOT_FOUND : PERIGEE_FAILED;
}

static enum perigee_status api_query(
    struct perigee_call *call, const struct perigee_value *request, struct perigee_value **ret_items)
{
    struct peri_value *v = NULL;
    enum peri_status st = call->env->query(call->env->user, in(request), &v, &call->error);
    if (!st)
        *ret_items = out(v);
    return answer(st);
}

static enum perigee_status api_get(
    struct perigee_call *call, const char *type, const char *id, struct perigee_value **ret)
{
    struct peri_value *v = NULL;
    enum peri_status st = call->env->get(call->env->user, type, id, &v, &call->error);
    if (!st)
        *ret = out(v);
    return answer(st);
}

static enum perigee_status api_put(
    struct perigee_call *call, const char *type, const struct perigee_value *fields, char *id, size_t id_size)
{
    return answer(call->env->put(call->env->user, type, in(fields), id, id_size, &call->error));
}

static enum perigee_status api_delete(struct perigee_call *call, const char *type, const char *id)
{
    return answer(call->env->remove(call->env->user, type, id, &call->error));
}

static enum perigee_status api_emit(struct perigee_call *call, const char *type, const struct perigee_value *data)
{
    return answer(call->env->emit(call->env->user, type, in(data), &call->error));
}

static const struct perigee_host_api host_api = {
    .size = sizeof(struct perigee_host_api),
    .abi_min = PERIGEE_ABI_VERSION,
    .abi_max = PERIGEE_ABI_VERSION,
    .value_null = api_null,
    .value_bool = api_bool,
    .value_int = api_int,
    .value_real = api_real,
    .value_text = api_text,
    .value_list = api_list,
    .value_map = api_map,
    .value_json = api_json,
    .value_to_json = api_to_json,
    .text_free = api_text_free,
    .value_ref = api_ref,
    .value_unref = api_unref,
    .value_type = api_type,
    .value_as_bool = api_as_bool,
    .value_as_int = api_as_int,
    .value_as_real = api_as_real,
    .value_as_text = api_as_text,
    .value_count = api_count,
    .list_at = api_list_at,
    .list_push = api_list_push,
    .map_at = api_map_at,
    .map_put = api_map_put,
    .map_next = api_map_next,
    .call_config = api_config,
    .call_event = api_event,
    .call_rule = api_rule,
    .call_run = api_run,
    .call_idempotency_key = api_key,
    .call_now_ms = api_now,
    .call_fail = api_fail,
    .log = api_log,
    .data_query = api_query,
    .data_get = api_get,
    .data_put = api_put,
    .data_delete = api_delete,
    .emit = api_emit,
};

/* --- loading --- */

static enum peri_status check_operators(struct peri_native *native, const char *path, struct peri_error *err)
{
    const struct perigee_operator *const *ops = native->plugin.operators;
    for (; ops && ops[native->count]; native->count++) {
        const struct perigee_operator *op = ops[native->count];
        const char *why = NULL;
        if (native->count >= MAX_OPERATORS)
            why = "it registers too many operators";
        else if (op->size < sizeof(struct perigee_operator))
            why = "an operator's size is smaller than this version's struct";
        else if (!op->id || !*op->id || !op->run)
            why = "an operator lacks an id or a run function";
        else if (op->kind != PERIGEE_CONDITION && op->kind != PERIGEE_ACTION)
            why = "an operator is neither a condition nor an action";
        else if (op->start)
            why = "an operator wants to answer later, which this version does not offer";
        if (why)
            return peri_error_set(err, PERI_EINVAL, "native.operator", "%s: %s", path, why);
    }
    return PERI_OK;
}

static enum peri_status start(struct peri_native *native, const char *path, struct peri_error *err)
{
    union {
        void *symbol;
        perigee_plugin_init_fn *init;
    } entry = {.symbol = dlsym(native->object, "perigee_plugin_init")};
    char message[256] = "";
    if (!entry.symbol)
        return peri_error_set(err, PERI_EINVAL, "native.entry", "%s exports no perigee_plugin_init", path);
    struct perigee_plugin *plugin = &native->plugin;
    plugin->size = sizeof(*plugin);
    if (entry.init(&host_api, plugin, message, sizeof(message))) {
        message[sizeof(message) - 1] = '\0';
        plugin->unload = NULL;
        return peri_error_set(
            err, PERI_EINVAL, "native.init", "%s: init failed%s%s", path, message[0] ? ": " : "", message);
    }
    if (plugin->abi < host_api.abi_min || plugin->abi > host_api.abi_max)
        return peri_error_set(err, PERI_EINVAL, "native.version",
            "%s is built for plugin ABI %u, this perigee speaks %u: build it against %s", path, plugin->abi,
            host_api.abi_max, "the installed perigee/plugin.h");
    return check_operators(native, path, err);
}

enum peri_status peri_native_open(const char *path, struct peri_native **ret, struct peri_error *err)
{
    struct peri_native *native = calloc(1, sizeof(*native));
    if (!native)
        return peri_error_nomem(err);
    native->object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!native->object) {
        const char *why = dlerror();
        free(native);
        return peri_error_set(err, PERI_EINVAL, "native.load", "%s", why ? why : path);
    }
    enum peri_status st = start(native, path, err);
    if (st)
        peri_native_close(native);
    else
        *ret = native;
    return st;
}

void peri_native_close(struct peri_native *native)
{
    if (!native)
        return;
    if (native->plugin.unload)
        native->plugin.unload(native->plugin.state);
    dlclose(native->object);
    free(native);
}

size_t peri_native_count(const struct peri_native *native)
{
    return native->count;
}

void peri_native_operator(const struct peri_native *native, size_t i, struct peri_native_operator *ret)
{
    const struct perigee_operator *op = native->plugin.operators[i];
    *ret = (struct peri_native_operator){
        .id = op->id,
        .description = op->description ? op->description : "",
        .params_schema = op->params_schema,
        .is_condition = op->kind == PERIGEE_CONDITION,
        .repeat = op->repeat != 0,
    };
}

enum peri_status peri_native_run(struct peri_native *native, size_t i, const struct peri_native_env *env,
    const struct peri_value *params, bool *ret_holds, struct peri_value **ret_value, struct peri_error *err)
{
    const struct perigee_operator *op = native->plugin.operators[i];
    struct perigee_call call = {.env = env};
    struct perigee_value *value = NULL;
    int holds = 0;
    enum perigee_status st = op->run(native->plugin.state, &call, out(params), &holds, &value);
    if (st != PERIGEE_OK) {
        peri_value_unref(in(value));
        if (!call.error.status)
            peri_error_set(&call.error, PERI_EINVAL, st == PERIGEE_NOT_FOUND ? "not_found" : "failed",
                "the operator failed without a reason");
        if (err)
            *err = call.error;
        return call.error.status;
    }
    *ret_holds = holds != 0;
    *ret_value = in(value);
    return PERI_OK;
}

struct peri_native_more peri_native_more(const struct peri_native *native)
{
    const struct perigee_plugin *p = &native->plugin;
    return (struct peri_native_more){p->health != NULL, p->before != NULL, p->after != NULL, p->intercepts};
}

enum peri_status peri_native_ask(struct peri_native *native, enum peri_native_hook hook,
    const struct peri_native_env *env, const struct peri_value *action, struct peri_error *err)
{
    struct perigee_plugin *p = &native->plugin;
    struct perigee_call call = {.env = env};
    enum perigee_status st = PERIGEE_OK;
    if (hook == PERI_NATIVE_HEALTH)
        st = p->health(p->state, &call);
    else if (hook == PERI_NATIVE_BEFORE)
        st = p->before(p->state, &call, out(action));
    else
        p->after(p->state, &call, out(action));
    if (st == PERIGEE_OK)
        return PERI_OK;
    if (!call.error.status)
        peri_error_set(&call.error, PERI_EINVAL, "failed", "it gave no reason");
    if (err)
        *err = call.error;
    return call.error.status;
}
