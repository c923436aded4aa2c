/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs of plugins in C, on a worker. A handler runs through, or says what it waits for and returns; then the loop does
 * that, as for a suspended coroutine, and what follows is called. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "plugin/native_call.h"

/* --- which handler --- */

static perigee_handler_fn *operator_handler(const struct peri_native *native, const struct peri_job *job)
{
    size_t i = job->op_def ? job->op_def->native : SIZE_MAX;
    if (i == PERI_NATIVE_SYNC)
        return native->connector.sync;
    if (i == PERI_NATIVE_EXECUTE)
        return native->connector.execute;
    if (i >= native->operator_count)
        return NULL;
    return job->asking ? native->operators[i].lookup : native->operators[i].run;
}

static perigee_handler_fn *webhook_handler(const struct peri_native *native, const char *path)
{
    for (size_t i = 0; i < native->webhook_count; i++)
        if (peri_streq(native->webhooks[i].path, path))
            return native->webhooks[i].handle;
    return NULL;
}

static perigee_handler_fn *job_handler(const struct peri_native *native, const char *name)
{
    if (peri_streq(name, PERI_CONNECTOR_SYNC))
        return native->connector.sync;
    for (size_t i = 0; i < native->job_count; i++)
        if (peri_streq(native->jobs[i].name, name))
            return native->jobs[i].run;
    return NULL;
}

static bool is_sync(const struct peri_job *job)
{
    return job->op_def ? job->op_def->native == PERI_NATIVE_SYNC
                       : job->kind == PERI_JOB_SCHEDULE && peri_streq(job->path[1], PERI_CONNECTOR_SYNC);
}

/* --- items of a connector --- */

static enum peri_status bad_result(struct peri_error *err, const char *what)
{
    return peri_error_set(err, PERI_EINVAL, "bad_result", "%s", what);
}

/* One item through the connector's map. */
static enum peri_status take_item(
    struct perigee_call *call, const struct peri_value *item, struct peri_taken *taken, struct peri_error *err)
{
    struct peri_native *native = call->job->plugin->native;
    struct perigee_value *mapped = NULL;
    int holds = 0;
    if (!native->connector.map)
        return peri_job_take(call->job, item, taken, err);
    call->at_once = true;
    enum perigee_status st = native->connector.map(native->plugin.state, call, peri_native_out(item), &holds, &mapped);
    call->at_once = false;
    enum peri_status result = PERI_OK;
    if (st == PERIGEE_OK)
        result = peri_job_take(call->job, peri_native_in(mapped), taken, err);
    else if (st == PERIGEE_PENDING)
        result = bad_result(err, "map can not wait");
    else
        result = call->error.status ? (*err = call->error, call->error.status)
                                    : peri_error_set(err, PERI_EINVAL, "failed", "map gave no reason");
    peri_native_unref(mapped);
    return result;
}

/* The items that a sync came to: stored, and counted in its result. */
static enum peri_status take_items(struct perigee_call *call, struct peri_value **value, struct peri_error *err)
{
    const struct peri_value *items = *value;
    struct peri_taken taken = {0};
    enum peri_status st = PERI_OK;
    if (items && !peri_value_is(items, PERI_NULL) && !peri_value_is(items, PERI_LIST))
        return bad_result(err, "sync returns a list of items, or nothing");
    for (size_t i = 0; !st && i < peri_value_count(items); i++)
        st = take_item(call, peri_list_at(items, i), &taken, err);
    return st ? st : peri_job_taken(&taken, value, err);
}

/* --- how it ended --- */

static enum peri_status check_size(const struct peri_job *job, const struct peri_value *v, struct peri_error *err)
{
    size_t most = job->kind == PERI_JOB_WEBHOOK ? PERI_HOST_BODY_BYTES : PERI_HOST_RESULT_BYTES;
    char *text = v ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
    bool large = text && strlen(text) > most;
    free(text);
    return large ? peri_error_set(err, PERI_ELIMIT, "too_large", "the result is larger than %zu bytes", most) : PERI_OK;
}

static enum peri_status read_value(struct perigee_call *call, int holds, struct peri_error *err)
{
    struct peri_job *job = call->job;
    enum peri_status st = PERI_OK;
    if (job->asking)
        return job->value || (job->value = peri_value_bool(true)) ? PERI_OK : peri_error_nomem(err);
    if (job->kind == PERI_JOB_CONDITION)
        job->holds = holds != 0;
    if (is_sync(job))
        st = take_items(call, &job->value, err);
    if (!st)
        st = check_size(job, job->value, err);
    return !st && job->kind == PERI_JOB_SEND ? peri_job_sent(job, err) : st;
}

static void end_with(struct perigee_call *call, const struct peri_error *err)
{
    struct peri_job *job = call->job;
    job->outcome = err->status ? PERI_JOB_FAILED : PERI_JOB_DONE;
    job->error = *err;
    if (!err->status)
        return;
    peri_value_unref(job->value);
    job->value = NULL;
}

/* Whatever was asked for is not waited for after all. */
static void drop_wait(struct perigee_call *call)
{
    struct peri_deferred with = {0};
    void (*dropped)(void *user) = call->dropped;
    bool waited = call->asked;
    if (call->token && !peri_self_withdraw(call->job->plugin->self, call->token, &with))
        waited = false; /* its answer has been taken: whoever gave it was told so */
    peri_value_unref(with.value);
    call->token = 0;
    call->asked = false;
    call->then = NULL;
    call->dropped = NULL;
    if (waited && dropped)
        dropped(call->user);
}

static void settle(struct perigee_call *call, enum perigee_status st, int holds, struct peri_value *value)
{
    struct peri_job *job = call->job;
    struct peri_error err = {0};
    if (st == PERIGEE_PENDING && call->asked) {
        peri_value_unref(value);
        job->outcome = PERI_JOB_SUSPENDED;
        return;
    }
    drop_wait(call);
    peri_op_finish(&job->op);
    job->value = value;
    if (st == PERIGEE_OK)
        (void)!read_value(call, holds, &err);
    else if (st == PERIGEE_NOT_FOUND && job->asking)
        peri_value_unref(value), job->value = NULL;
    else if (st == PERIGEE_PENDING)
        bad_result(&err, "the handler waits for nothing, but returned PERIGEE_PENDING");
    else if (call->error.status)
        err = call->error;
    else
        peri_error_set(&err, PERI_EINVAL, st == PERIGEE_NOT_FOUND ? "not_found" : "failed", "it gave no reason");
    end_with(call, &err);
}

/* --- running --- */

static int64_t now_us(const struct peri_job *job)
{
    return peri_clock_mono(&job->host->options.clock).ns / 1000;
}

static void run(struct perigee_call *call, perigee_handler_fn *handler, const struct peri_value *input)
{
    struct peri_job *job = call->job;
    struct perigee_value *value = NULL;
    int holds = 0;
    int64_t from = now_us(job);
    enum perigee_status st = handler(job->plugin->native->plugin.state, call, peri_native_out(input), &holds, &value);
    job->usage.running_us += now_us(job) - from;
    settle(call, st, holds, peri_native_in(value));
}

/* A no is an answer, with its reason as the value. */
static void ask(struct perigee_call *call)
{
    struct peri_job *job = call->job;
    struct perigee_plugin *p = &job->plugin->native->plugin;
    enum perigee_status st = PERIGEE_OK;
    call->at_once = true;
    if (job->kind == PERI_JOB_HEALTH)
        st = p->health(p->state, call);
    else if (!peri_streq(job->path[1], "after"))
        st = p->before ? p->before(p->state, call, peri_native_out(job->params)) : PERIGEE_OK;
    else
        p->after(p->state, call, peri_native_out(job->params));
    job->outcome = PERI_JOB_DONE;
    job->holds = st == PERIGEE_OK;
    if (job->holds || !(job->value = peri_value_map()))
        return;
    (void)!peri_map_put_text(job->value, "message", call->error.status ? call->error.message : "it gave no reason");
    if (call->error.status && strcmp(call->error.code, "failed") != 0)
        (void)!peri_map_put_text(job->value, "code", call->error.code);
}

typedef enum perigee_status hook_fn(void *state, struct perigee_call *call);

static enum peri_status listen(struct perigee_call *call, bool on, struct peri_error *err)
{
    struct peri_native *native = call->job->plugin->native;
    if (!native->connector.listen || native->listening == on)
        return PERI_OK;
    native->listening = on;
    if (!on) {
        native->connector.unlisten(native->plugin.state);
        return PERI_OK;
    }
    atomic_store(&native->stays, true);
    if (native->connector.listen(native->plugin.state, call) == PERIGEE_OK)
        return PERI_OK;
    native->listening = false;
    native->connector.unlisten(native->plugin.state);
    *err = call->error;
    return err->status ? err->status : peri_error_set(err, PERI_EINVAL, "failed", "listen gave no reason");
}

static void run_hook(struct perigee_call *call)
{
    struct peri_job *job = call->job;
    struct peri_native *native = job->plugin->native;
    const struct perigee_plugin *p = &native->plugin;
    const char *name = job->path[0];
    hook_fn *fn = !strcmp(name, "init")         ? p->start
                  : !strcmp(name, "ready")      ? p->ready
                  : !strcmp(name, "stop")       ? p->stop
                  : !strcmp(name, "on_enable")  ? p->on_enable
                  : !strcmp(name, "on_disable") ? p->on_disable
                                                : NULL;
    struct peri_error err = {0};
    enum peri_status st = PERI_OK;
    call->at_once = true;
    if (!strcmp(name, "stop") || !strcmp(name, "unlisten"))
        (void)!listen(call, false, &err);
    if (!strcmp(name, "listen"))
        st = listen(call, true, &err);
    if (fn && fn(p->state, call) != PERIGEE_OK) {
        err = call->error;
        st = err.status ? err.status : peri_error_set(&err, PERI_EINVAL, "failed", "it gave no reason");
    }
    if (!st && !strcmp(name, "init") && p->connector)
        st = peri_job_plan_sync(job, native->connector.sync_every_ms, &err);
    end_with(call, &err);
    (void)st;
}

static void run_push(struct perigee_call *call)
{
    struct peri_taken taken = {0};
    struct peri_error err = {0};
    (void)!take_item(call, call->job->params, &taken, &err);
    end_with(call, &err);
}

static void run_webhook(struct perigee_call *call)
{
    struct peri_job *job = call->job;
    struct peri_native *native = job->plugin->native;
    struct peri_error err = {0};
    struct peri_value *request = peri_native_web_request(job->web);
    perigee_handler_fn *handler =
        !strcmp(job->path[0], "channel") ? native->channel.incoming : webhook_handler(native, job->path[1]);
    if (request && handler) {
        run(call, handler, request);
        call->input = request; /* then may look at it */
        return;
    }
    peri_value_unref(request);
    peri_error_nomem(&err);
    end_with(call, &err);
}

static void dispatch(struct perigee_call *call)
{
    struct peri_job *job = call->job;
    struct peri_native *native = job->plugin->native;
    perigee_handler_fn *handler = NULL;
    const struct peri_value *input = job->params;
    switch (job->kind) {
    case PERI_JOB_HEALTH:
    case PERI_JOB_INTERCEPT:
        ask(call);
        return;
    case PERI_JOB_HOOK:
        run_hook(call);
        return;
    case PERI_JOB_PUSH:
        run_push(call);
        return;
    case PERI_JOB_WEBHOOK:
        run_webhook(call);
        return;
    case PERI_JOB_CONDITION:
    case PERI_JOB_ACTION:
        handler = operator_handler(native, job);
        break;
    case PERI_JOB_SEND:
        handler = job->asking ? native->channel.lookup : native->channel.send;
        break;
    case PERI_JOB_EVENT:
        handler = native->plugin.event;
        input = peri_job_event(job);
        break;
    case PERI_JOB_SCHEDULE:
        handler = job_handler(native, job->path[1]);
        break;
    }
    if (handler) {
        run(call, handler, input);
        return;
    }
    peri_error_set(
        &call->error, PERI_EINVAL, "plugin.no_handler", "plugin %s has no handler for this any more", job->plugin->id);
    settle(call, PERIGEE_FAILED, 0, NULL);
}

void peri_native_job(struct peri_job *job)
{
    struct perigee_call *call = job->native_call = calloc(1, sizeof(*call));
    if (!call) {
        peri_error_nomem(&job->error);
        job->outcome = PERI_JOB_FAILED;
        return;
    }
    call->job = job;
    dispatch(call);
}

/* --- after a wait --- */

static struct peri_value *error_value(const struct peri_error *err)
{
    struct peri_value *v = peri_value_map();
    if (v && !peri_map_put_text(v, "code", err->code) && !peri_map_put_text(v, "message", err->message) &&
        !peri_map_put_bool(v, "retryable", err->retryable) &&
        (!err->outcome_unknown || !peri_map_put_text(v, "outcome", "unknown")))
        return v;
    peri_value_unref(v);
    return NULL;
}

static void deferred_ended(struct perigee_call *call)
{
    struct peri_job *job = call->job;
    struct peri_deferred with = {0};
    struct peri_error stored = job->op.error; /* what it had written could not be stored: it goes no further */
    if (stored.status) {
        call->error = stored;
        settle(call, PERIGEE_FAILED, 0, NULL);
        return;
    }
    (void)peri_self_withdraw(job->plugin->self, call->token, &with);
    call->token = 0;
    call->asked = false;
    call->error = with.error;
    settle(call, with.error.status ? PERIGEE_FAILED : PERIGEE_OK, with.holds, with.value);
}

void peri_native_resume(struct peri_job *job)
{
    struct perigee_call *call = job->native_call;
    struct peri_op op = job->op;
    memset(&call->error, 0, sizeof(call->error));
    peri_value_unref(call->wait_error);
    call->wait_error = NULL;
    if (op.kind == PERI_OP_DEFER) {
        deferred_ended(call);
        return;
    }
    perigee_then_fn *then = call->then;
    void *user = call->user;
    struct perigee_value *value = NULL;
    struct peri_value *answer = NULL;
    int holds = 0;
    memset(&job->op, 0, sizeof(job->op)); /* then may ask for more */
    call->asked = false;
    call->then = NULL;
    call->dropped = NULL;
    if (op.error.status)
        call->wait_error = error_value(&op.error);
    else if (op.kind == PERI_OP_HTTP)
        answer = peri_native_response(&op);
    else
        answer = peri_value_ref(op.answer);
    int64_t from = now_us(job);
    enum perigee_status st =
        then              ? then(job->plugin->native->plugin.state, call, user, peri_native_out(answer), &holds, &value)
        : op.error.status ? PERIGEE_FAILED
                          : PERIGEE_OK;
    job->usage.running_us += now_us(job) - from;
    if (st == PERIGEE_FAILED && !call->error.status && op.error.status)
        call->error = op.error;
    peri_value_unref(answer);
    peri_op_finish(&op);
    settle(call, st, holds, peri_native_in(value));
}

void peri_native_abort(struct peri_job *job)
{
    if (job->native_call)
        drop_wait(job->native_call);
}

void peri_native_free(struct peri_job *job)
{
    if (!job->native_call)
        return;
    drop_wait(job->native_call);
    peri_value_unref(job->native_call->wait_error);
    peri_value_unref(job->native_call->input);
    free(job->native_call);
    job->native_call = NULL;
}
