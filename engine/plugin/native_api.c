/* SPDX-License-Identifier: Apache-2.0 */
/* The functions that plugins in C are given. The rules for data, events, storage, schedules and the log are those of
 * Lua, in the same code. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "plugin/grants.h"
#include "plugin/native_call.h"

#define KEY_MAX 255
#define STORAGE_PREFIX "plugin//" /* the scope and namespace that Lua has by default: see lua_api_storage.c */
#define MESSAGE_BYTES 262144

static struct peri_value *in(const struct perigee_value *v)
{
    return peri_native_in(v);
}

static enum perigee_status answer(enum peri_status st, struct perigee_call *call)
{
    if (st == PERI_OK || st == PERI_ENOTFOUND)
        return st ? PERIGEE_NOT_FOUND : PERIGEE_OK;
    if (!call->error.status)
        peri_error_set(&call->error, st, NULL, "%s", peri_status_name(st));
    return PERIGEE_FAILED;
}

static enum perigee_status give(
    enum peri_status st, struct perigee_call *call, struct peri_value *v, struct perigee_value **ret)
{
    if (!st && !v)
        st = peri_error_nomem(&call->error);
    if (!st)
        *ret = peri_native_out(v);
    return answer(st, call);
}

static enum perigee_status refuse(struct perigee_call *call, const char *code, const char *message)
{
    return answer(peri_error_set(&call->error, PERI_EINVAL, code, "%s", message), call);
}

/* --- the call --- */

static const struct perigee_value *call_config(struct perigee_call *call)
{
    return peri_native_out(call->job->plugin->config);
}

static const struct perigee_value *call_event(struct perigee_call *call)
{
    return peri_native_out(peri_job_event(call->job));
}

static const char *call_rule(struct perigee_call *call)
{
    return call->job->rule_id;
}

static const char *call_run(struct perigee_call *call)
{
    return call->job->run_id;
}

static const char *call_key(struct perigee_call *call)
{
    return call->job->key;
}

static int64_t call_now(struct perigee_call *call)
{
    return peri_clock_wall_ms(&call->job->host->options.clock);
}

static int64_t call_first_attempt(struct perigee_call *call)
{
    return call->job->asking ? call->job->first_ms : 0;
}

static enum perigee_status call_fail(struct perigee_call *call, const char *code, const char *message, int retryable)
{
    peri_error_set(&call->error, PERI_EINVAL, code ? code : "failed", "%s", message ? message : "");
    call->error.retryable = retryable != 0;
    return PERIGEE_FAILED;
}

static void call_fail_more(struct perigee_call *call, int outcome_unknown, int64_t retry_after_ms)
{
    call->error.outcome_unknown = outcome_unknown != 0;
    call->error.retry_after_ms = retry_after_ms > 0 ? (long)retry_after_ms : 0;
}

static const struct perigee_value *call_error(struct perigee_call *call)
{
    return peri_native_out(call->wait_error);
}

static void call_log(struct perigee_call *call, enum perigee_log_level level, const char *text)
{
    peri_job_log(call->job, level < PERIGEE_DEBUG || level > PERIGEE_ERROR ? PERI_LOG_INFO : (enum peri_log_level)level,
        text ? text : "", NULL);
}

/* --- the model and events --- */

static enum perigee_status data_query(
    struct perigee_call *call, const struct perigee_value *request, struct perigee_value **ret_items)
{
    struct peri_value *v = NULL;
    size_t count = 0;
    enum peri_status st = peri_job_query(call->job, in(request), false, &v, &count, &call->error);
    return give(st, call, v, ret_items);
}

static enum perigee_status data_get(
    struct perigee_call *call, const char *type, const char *id, struct perigee_value **ret)
{
    struct peri_value *v = NULL;
    enum peri_status st = peri_job_get(call->job, type, id, &v, &call->error);
    return give(st, call, v, ret);
}

static enum perigee_status data_put(
    struct perigee_call *call, const char *type, const struct perigee_value *fields, char *id, size_t id_size)
{
    char made[128];
    enum peri_status st = peri_job_put(call->job, type, in(fields), made, &call->error);
    if (!st && id && id_size)
        snprintf(id, id_size, "%s", made);
    return answer(st, call);
}

static enum perigee_status data_delete(struct perigee_call *call, const char *type, const char *id)
{
    return answer(peri_job_delete(call->job, type, id, &call->error), call);
}

static enum perigee_status emit_event(
    struct perigee_call *call, const char *type, const struct perigee_value *data, const struct perigee_value *options)
{
    return answer(peri_job_emit(call->job, type, in(data), in(options), &call->error), call);
}

static enum perigee_status emit(struct perigee_call *call, const char *type, const struct perigee_value *data)
{
    return emit_event(call, type, data, NULL);
}

static enum perigee_status subscribe(struct perigee_call *call, const char *glob, int on)
{
    if (on && !call->job->plugin->native->plugin.event)
        return refuse(call, "bad_argument", "the plugin has no function event");
    return answer(peri_job_subscribe(call->job, glob, !on, true, 0, &call->error), call);
}

/* --- storage and mappings --- */

static bool key_of(struct perigee_call *call, const char *key, char out[KEY_MAX + 16])
{
    if (key && *key && strlen(key) <= KEY_MAX && peri_utf8_valid(key, strlen(key), NULL)) {
        snprintf(out, KEY_MAX + 16, STORAGE_PREFIX "%s", key);
        return true;
    }
    refuse(call, "bad_argument", "a key is UTF-8 text of 1 to 255 bytes");
    return false;
}

static enum perigee_status storage_get(struct perigee_call *call, const char *key, struct perigee_value **ret)
{
    char whole[KEY_MAX + 16];
    struct peri_value *v = NULL;
    if (!key_of(call, key, whole))
        return PERIGEE_FAILED;
    enum peri_status st = peri_job_kv_get(call->job, whole, &v, &call->error);
    return give(st, call, v, ret);
}

static enum perigee_status storage_set(
    struct perigee_call *call, const char *key, const struct perigee_value *value, int64_t ttl_ms)
{
    char whole[KEY_MAX + 16];
    char *text = value ? peri_json_text(in(value), PERI_JSON_COMPACT) : NULL;
    bool large = text && strlen(text) > PERI_HOST_STORAGE_VALUE;
    free(text);
    if (!key_of(call, key, whole))
        return PERIGEE_FAILED;
    if (large)
        return refuse(call, "too_large", "a stored value has at most 64 KiB");
    struct peri_value *own = value ? peri_value_copy_deep(in(value)) : NULL;
    enum peri_status st =
        value && !own ? peri_error_nomem(&call->error) : peri_job_kv_set(call->job, whole, own, ttl_ms, &call->error);
    peri_value_unref(own);
    return answer(st, call);
}

static enum perigee_status storage_list(struct perigee_call *call, const char *prefix, struct perigee_value **ret_keys)
{
    char whole[KEY_MAX + 16];
    struct peri_value *v = NULL, *keys = peri_value_list();
    snprintf(whole, sizeof(whole), STORAGE_PREFIX "%.*s", KEY_MAX, prefix ? prefix : "");
    enum peri_status st = keys ? peri_job_kv_list(call->job, whole, &v, &call->error) : peri_error_nomem(&call->error);
    for (size_t i = 0; !st && i < peri_value_count(v); i++) {
        const char *key = peri_value_text(peri_list_at(v, i));
        if (key && peri_list_push(keys, peri_value_str(key + strlen(STORAGE_PREFIX))))
            st = peri_error_nomem(&call->error);
    }
    peri_value_unref(v);
    if (st)
        peri_value_unref(keys);
    return give(st, call, keys, ret_keys);
}

static enum perigee_status mappings_set(struct perigee_call *call, const struct perigee_value *mappings)
{
    return answer(peri_job_map(call->job, in(mappings), &call->error), call);
}

static enum perigee_status mappings_delete(struct perigee_call *call, const char *type, const char *key)
{
    return answer(peri_job_unmap(call->job, type, key, &call->error), call);
}

static enum perigee_status mappings_find(
    struct perigee_call *call, const struct perigee_value *request, struct perigee_value **ret_items)
{
    struct peri_value *v = NULL;
    enum peri_status st = peri_job_mappings(call->job, in(request), &v, &call->error);
    return give(st, call, v, ret_items);
}

/* --- schedules --- */

static bool has_job(const struct peri_native *native, const char *name)
{
    for (size_t i = 0; i < native->job_count; i++)
        if (!strcmp(native->jobs[i].name, name))
            return true;
    return false;
}

/* Into the form that host_schedule.c stores; NULL: not a spec, or memory is out. */
static struct peri_value *plan_of(struct perigee_call *call, const struct peri_value *spec, const char *run)
{
    struct peri_value *v = peri_value_map();
    struct peri_value *data = peri_map_at(spec, "data");
    const char *cron = peri_map_text(spec, "cron"), *zone = peri_map_text(spec, "timezone");
    int64_t every = peri_map_int(spec, "every_ms", -1), after = peri_map_int(spec, "after_ms", -1);
    enum peri_status st = v ? PERI_OK : PERI_ENOMEM;
    if (!st && (cron != NULL) + (every >= 0) + (after >= 0) != 1)
        st = PERI_EINVAL;
    if (!st)
        st = peri_map_put_text(v, "kind", cron ? "cron" : every >= 0 ? "every" : "after");
    if (!st && cron)
        st = peri_map_put_text(v, "cron", cron);
    if (!st && cron && zone)
        st = peri_map_put_text(v, "timezone", zone);
    if (!st && every >= 0)
        st = peri_map_put_int(v, "every_ms", every);
    if (!st && after >= 0)
        st = peri_map_put_int(v, "at_ms", call_now(call) + after);
    if (!st)
        st = peri_map_put_text(v, "run", run);
    if (!st && data)
        st = peri_map_put_ref(v, "data", data);
    if (!st)
        return v;
    peri_value_unref(v);
    return NULL;
}

static enum perigee_status schedule_set(struct perigee_call *call, const char *name, const struct perigee_value *spec)
{
    if (!name)
        return refuse(call, "bad_argument", "a schedule needs a name");
    if (!spec)
        return answer(peri_job_plan(call->job, name, NULL, &call->error), call);
    const char *job = peri_map_text(in(spec), "job");
    if (!has_job(call->job->plugin->native, job ? job : name))
        return refuse(call, "bad_argument", "the plugin has no job of this name");
    struct peri_value *plan = plan_of(call, in(spec), job ? job : name);
    if (!plan)
        return refuse(call, "bad_argument", "a schedule is one of {cron}, {every_ms} and {after_ms}");
    enum peri_status st = peri_job_plan(call->job, name, plan, &call->error);
    peri_value_unref(plan);
    return answer(st, call);
}

static enum perigee_status schedule_list(struct perigee_call *call, struct perigee_value **ret_items)
{
    struct peri_value *v = NULL;
    enum peri_status st = peri_job_plans(call->job, &v, &call->error);
    return give(st, call, v, ret_items);
}

/* --- waiting --- */

/* May it wait, and for one thing only? */
static bool may_wait(struct perigee_call *call)
{
    if (!call->at_once && !call->asked)
        return true;
    refuse(call, "not_now",
        call->asked ? "a handler waits for one thing at a time: return what the first function has returned"
                    : "map, health, interceptors and the life cycle (start, listen, ...) can not wait");
    return false;
}

static enum perigee_status wait_for(
    struct perigee_call *call, perigee_then_fn *then, void *user, void (*dropped)(void *user))
{
    call->asked = true;
    call->then = then;
    call->user = user;
    call->dropped = dropped;
    return PERIGEE_PENDING;
}

static enum perigee_status http(struct perigee_call *call, const struct perigee_value *request, perigee_then_fn *then,
    void *user, void (*dropped)(void *user))
{
    if (!may_wait(call))
        return PERIGEE_FAILED;
    enum peri_status st = peri_native_request(call->job, in(request), &call->error);
    if (!st)
        return wait_for(call, then, user, dropped);
    peri_op_finish(&call->job->op);
    return answer(st, call);
}

static enum perigee_status ask_others(
    struct perigee_call *call, enum peri_op_kind kind, const char *target, const struct perigee_value *value)
{
    struct peri_op *op = &call->job->op;
    char *text = peri_json_text(in(value), PERI_JSON_COMPACT);
    bool large = text && strlen(text) > MESSAGE_BYTES;
    free(text);
    if (large)
        return refuse(call, "too_large", "a message or parameters have at most 256 KiB");
    enum peri_status st = peri_native_secrets_ok(call->job, in(value), &call->error);
    if (st)
        return answer(st, call);
    op->target = peri_strdup(target);
    op->value = value ? peri_value_copy_deep(in(value)) : peri_value_map();
    if (!op->target || !op->value) {
        peri_op_finish(op);
        return answer(peri_error_nomem(&call->error), call);
    }
    op->kind = kind;
    return PERIGEE_OK;
}

static enum perigee_status send(struct perigee_call *call, const char *channel_type,
    const struct perigee_value *message, perigee_then_fn *then, void *user, void (*dropped)(void *user))
{
    struct peri_job *job = call->job;
    if (!may_wait(call))
        return PERIGEE_FAILED;
    if (!channel_type || !peri_value_is(in(message), PERI_MAP))
        return refuse(call, "bad_argument", "a message is a map, and needs a channel type");
    if (job->kind == PERI_JOB_CONDITION)
        return refuse(call, "denied", "a condition may not send messages");
    if (!peri_grants_channel(job->plugin->grants, channel_type))
        return answer(peri_job_denied(job, "channels:send:", channel_type, &call->error), call);
    enum perigee_status st = ask_others(call, PERI_OP_SEND, channel_type, message);
    return st ? st : wait_for(call, then, user, dropped);
}

static enum perigee_status invoke(struct perigee_call *call, const char *operator_id,
    const struct perigee_value *params, perigee_then_fn *then, void *user, void (*dropped)(void *user))
{
    struct peri_job *job = call->job;
    if (!may_wait(call))
        return PERIGEE_FAILED;
    if (!operator_id)
        return refuse(call, "bad_argument", "which operator?");
    if (!peri_grants_uses(job->plugin->grants, "operators:call"))
        return answer(peri_job_denied(job, "operators:call", "", &call->error), call);
    enum perigee_status st = ask_others(call, PERI_OP_CALL, operator_id, params);
    return st ? st : wait_for(call, then, user, dropped);
}

static enum perigee_status flush(
    struct perigee_call *call, perigee_then_fn *then, void *user, void (*dropped)(void *user))
{
    if (!may_wait(call))
        return PERIGEE_FAILED;
    call->job->op.kind = PERI_OP_FLUSH;
    return wait_for(call, then, user, dropped);
}

static enum perigee_status defer(
    struct perigee_call *call, perigee_token *ret_token, void (*dropped)(void *user), void *user)
{
    struct peri_plugin *p = call->job->plugin;
    if (!may_wait(call))
        return PERIGEE_FAILED;
    if (!p->self || !(call->token = peri_self_defer(p->self, call->job))) {
        peri_error_set(&call->error, PERI_EBUSY, "busy", "too many calls of %s wait for an answer", p->id);
        call->error.retryable = true;
        return PERIGEE_FAILED;
    }
    atomic_store(&p->native->stays, true); /* its threads may be late */
    call->job->op.kind = PERI_OP_DEFER;
    *ret_token = call->token;
    return wait_for(call, NULL, user, dropped);
}

/* --- outside of calls --- */

static enum perigee_status complete(
    struct perigee_self *self, perigee_token token, int holds, struct perigee_value *value)
{
    struct peri_deferred with = {.holds = holds, .value = in(value)};
    return peri_self_complete(self, token, &with);
}

static enum perigee_status complete_error(struct perigee_self *self, perigee_token token, const char *code,
    const char *message, int retryable, int outcome_unknown)
{
    struct peri_deferred with = {0};
    peri_error_set(&with.error, PERI_EINVAL, code ? code : "failed", "%s", message ? message : "");
    with.error.retryable = retryable != 0;
    with.error.outcome_unknown = outcome_unknown != 0;
    return peri_self_complete(self, token, &with);
}

static enum perigee_status push(struct perigee_self *self, struct perigee_value *item,
    void (*done)(void *user, enum perigee_status status), void *user)
{
    return peri_self_push(self, in(item), done, user);
}

static struct perigee_value *self_config(struct perigee_self *self)
{
    return peri_native_out(peri_self_config(self));
}

const struct perigee_host_api peri_native_api = {
    .size = sizeof(struct perigee_host_api),
    .abi_min = PERIGEE_ABI_VERSION,
    .abi_max = PERIGEE_ABI_VERSION,
    .value_null = peri_native_null,
    .value_bool = peri_native_bool,
    .value_int = peri_native_int,
    .value_real = peri_native_real,
    .value_text = peri_native_text,
    .value_list = peri_native_list,
    .value_map = peri_native_map,
    .value_json = peri_native_json,
    .value_to_json = peri_native_to_json,
    .text_free = peri_native_text_free,
    .value_ref = peri_native_ref,
    .value_unref = peri_native_unref,
    .value_type = peri_native_type,
    .value_as_bool = peri_native_as_bool,
    .value_as_int = peri_native_as_int,
    .value_as_real = peri_native_as_real,
    .value_as_text = peri_native_as_text,
    .value_count = peri_native_count,
    .list_at = peri_native_list_at,
    .list_push = peri_native_list_push,
    .map_at = peri_native_map_at,
    .map_put = peri_native_map_put,
    .map_next = peri_native_map_next,
    .call_config = call_config,
    .call_event = call_event,
    .call_rule = call_rule,
    .call_run = call_run,
    .call_idempotency_key = call_key,
    .call_now_ms = call_now,
    .call_fail = call_fail,
    .log = call_log,
    .data_query = data_query,
    .data_get = data_get,
    .data_put = data_put,
    .data_delete = data_delete,
    .emit = emit,
    .call_fail_more = call_fail_more,
    .call_error = call_error,
    .call_first_attempt_ms = call_first_attempt,
    .emit_event = emit_event,
    .storage_get = storage_get,
    .storage_set = storage_set,
    .storage_list = storage_list,
    .mappings_set = mappings_set,
    .mappings_delete = mappings_delete,
    .mappings_find = mappings_find,
    .schedule_set = schedule_set,
    .schedule_list = schedule_list,
    .subscribe = subscribe,
    .http = http,
    .send = send,
    .invoke = invoke,
    .flush = flush,
    .defer = defer,
    .complete = complete,
    .complete_error = complete_error,
    .push = push,
    .self_log = peri_self_log,
    .self_config = self_config,
};
