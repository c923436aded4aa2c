/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of operators from outside, and the breaker that gives a plugin a rest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/schema.h"
#include "lang/rule.h"
#include "plugin/host_internal.h"

/* --- breaker --- */

#define BREAK_IN_ROW 3
#define BREAK_MANY 5
#define BREAK_WINDOW_MS 60000
#define BREAK_FIRST_MS 30000
#define BREAK_LAST_MS 3600000

/* True for an end at a limit of the plugin's own making, or with its process: waiting too long for somebody else's
 * server is none. */
static bool ran_away(const struct peri_error *err)
{
    static const char *const codes[] = {
        "limit.instructions", "limit.time", "limit.memory", "limit.output", "limit.calls", "plugin.crashed", NULL};
    const char *const *c = codes;
    while (*c && strcmp(*c, err->code))
        c++;
    return *c && err->status != PERI_ETIMEOUT;
}

enum peri_status peri_breaker_admit(struct peri_job *job, struct peri_error *err)
{
    struct peri_breaker *b = &job->plugin->breaker;
    if (!b->until_ms)
        return PERI_OK;
    int64_t now = peri_clock_wall_ms(&job->host->options.clock);
    if (now >= b->until_ms && !b->trial) {
        b->trial = job->trial = true; /* this one call decides */
        return PERI_OK;
    }
    peri_error_set(err, PERI_ESTATE, "plugin_suspended", "plugin %s was stopped at its limits too often and rests",
        job->plugin->id);
    if (err) {
        err->retryable = true;
        err->retry_after_ms = now < b->until_ms ? (long)(b->until_ms - now) : 1000;
    }
    return PERI_ESTATE;
}

static void rest(struct peri_plugin *p, int64_t now_ms, int64_t pause_ms)
{
    struct peri_breaker *b = &p->breaker;
    b->pause_ms = pause_ms > BREAK_LAST_MS ? BREAK_LAST_MS : pause_ms;
    b->until_ms = now_ms + b->pause_ms;
    b->trial = false;
    peri_warn(p->host->options.log, p->area, "stopped at its limits too often: resting for %lld s",
        (long long)(b->pause_ms / 1000));
}

void peri_breaker_result(struct peri_job *job, const struct peri_error *err)
{
    struct peri_breaker *b = &job->plugin->breaker;
    bool bad = err && ran_away(err);
    if (!bad && !job->trial) {
        if (job->kind != PERI_JOB_HOOK) /* the init after a reset is no sign of health */
            b->in_row = 0;
        return;
    }
    int64_t now = peri_clock_wall_ms(&job->host->options.clock);
    if (job->trial && !bad) {
        *b = (struct peri_breaker){0};
    } else if (job->trial) {
        rest(job->plugin, now, b->pause_ms * 2);
    } else {
        b->in_row++;
        b->ends_ms[b->next++ % BREAK_MANY] = now;
        bool many = b->next >= BREAK_MANY && now - b->ends_ms[b->next % BREAK_MANY] <= BREAK_WINDOW_MS;
        if (!b->until_ms && (b->in_row >= BREAK_IN_ROW || many))
            rest(job->plugin, now, BREAK_FIRST_MS);
    }
}

/* --- operators --- */

const struct peri_operator *peri_host_operator(struct peri_host *host, const char *id)
{
    const struct peri_op_def *def = id ? peri_map_get(host->operators, id) : NULL;
    return def && def->owner->state == PERI_PLUGIN_ACTIVE ? &def->public : NULL;
}

const char *const *peri_host_operator_ids(struct peri_host *host)
{
    return host->ids;
}

/* "/items/0 must be a string, is a number; ..." */
static enum peri_status params_error(const char *id, const struct peri_schema_report *report, struct peri_error *err)
{
    char text[PERI_ERROR_MESSAGE_MAX] = "";
    size_t used = 0;
    for (size_t i = 0; i < report->count && i < 5 && used < sizeof(text); i++) {
        const struct peri_schema_error *e = &report->items[i];
        int n = snprintf(text + used, sizeof(text) - used, "%s%s%s%s", i ? "; " : "", e->pointer,
            e->pointer[0] ? ": " : "", e->message);
        used += n > 0 ? (size_t)n : 0;
    }
    return peri_error_set(err, PERI_EINVAL, "params", "parameters of %s: %s", id, text[0] ? text : "not accepted");
}

enum peri_status peri_operator_params(
    const struct peri_operator *op, const struct peri_value *params, struct peri_value **ret, struct peri_error *err)
{
    struct peri_value *given = params && !peri_value_is(params, PERI_NULL) ? peri_value_ref(params) : peri_value_map(),
                      *filled = NULL;
    struct peri_schema_report report = {0};
    if (!given)
        return peri_error_nomem(err);
    if (!peri_value_is(given, PERI_MAP)) {
        peri_value_unref(given);
        return peri_error_set(err, PERI_EINVAL, "params", "parameters of %s must be an object", op->id);
    }
    if (!op->params) {
        *ret = given;
        return PERI_OK;
    }
    enum peri_status st = peri_schema_defaults(op->params, given, &filled);
    peri_value_unref(given);
    if (st)
        return peri_error_nomem(err);
    st = peri_schema_check(op->params, filled, &report);
    if (st == PERI_ENOMEM) {
        peri_error_nomem(err);
        peri_value_unref(filled);
    } else if (st) {
        params_error(op->id, &report, err);
        peri_value_unref(filled);
    } else {
        *ret = filled;
    }
    peri_schema_report_finish(&report);
    return st;
}

void peri_job_set_operator(struct peri_job *job, const struct peri_op_def *def)
{
    job->op_def = def;
    job->name = def->id;
    job->path[0] = def->public.is_condition ? "conditions" : "actions";
    job->path[1] = job->name;
    job->path[2] = def->public.is_condition ? "evaluate" : "execute";
}

bool peri_lookup_found(const struct peri_value *value)
{
    return value && !peri_value_is(value, PERI_NULL) &&
           !(peri_value_is(value, PERI_BOOL) && !peri_value_as_bool(value));
}

struct peri_value *peri_lookup_result(const struct peri_value *value)
{
    bool map = peri_value_is(value, PERI_MAP), plain = peri_value_is(value, PERI_BOOL);
    struct peri_value *v = map ? peri_value_copy(value) : peri_value_map();
    if (v && (peri_map_put_bool(v, "found", true) || (!map && !plain && peri_map_put_ref(v, "value", value)))) {
        peri_value_unref(v);
        return NULL;
    }
    return v;
}

void peri_lookup_failed(struct peri_error *error)
{
    if (peri_streq(error->code, "stopping"))
        return;
    peri_error_prefix(error, "asking what became of it");
    error->outcome_unknown = true;
}

enum peri_status peri_job_sent(struct peri_job *job, struct peri_error *err)
{
    if (!job->value || peri_value_is(job->value, PERI_NULL)) {
        peri_value_unref(job->value);
        job->value = peri_value_map();
        return job->value ? peri_map_put_bool(job->value, "ok", true) : peri_error_nomem(err);
    }
    if (!peri_value_is(job->value, PERI_MAP))
        return peri_error_set(err, PERI_EINVAL, "bad_result", "send must return a table");
    if (peri_map_bool(job->value, "ok", true))
        return PERI_OK;
    const char *code = peri_map_text(job->value, "code"), *message = peri_map_text(job->value, "message");
    peri_error_set(err, PERI_EIO, code ? code : "channel.refused", "%s",
        message ? message : "the channel did not take the message");
    err->retryable = peri_map_bool(job->value, "retryable", false);
    return PERI_EIO;
}

static void call_finished(struct peri_job *job, const struct peri_call_result *result);

/* The call itself, after its lookup has found nothing. */
static struct peri_job *call_after(const struct peri_job *job)
{
    struct peri_job *next = peri_job_create(job->plugin, PERI_JOB_ACTION);
    if (!next)
        return NULL;
    next->params = peri_value_ref(job->params);
    next->event = job->event ? peri_event_ref(job->event) : NULL;
    next->as_of = job->as_of;
    next->dry_run = job->dry_run;
    next->first_ms = job->first_ms;
    next->wall_ms = job->wall_ms;
    next->step_timeout = job->step_timeout;
    next->finish = call_finished;
    next->done = job->done;
    next->arg = job->arg;
    peri_job_set_operator(next, job->op_def);
    if (peri_job_set_texts(next, job->rule_id, job->rule_name, job->run_id, job->key))
        return next;
    peri_job_free(next);
    return NULL;
}

/* What the provider says of an earlier attempt: it is done, or it is made now. */
static void looked_up(struct peri_job *job, const struct peri_call_result *result)
{
    struct peri_call_result answer = *result;
    struct peri_value *value = NULL;
    if (result->status) {
        peri_lookup_failed(&answer.error);
    } else if (peri_lookup_found(result->value)) {
        answer.value = value = peri_lookup_result(result->value);
        if (!value)
            answer.status = peri_error_nomem(&answer.error);
    } else {
        struct peri_job *next = call_after(job);
        answer.status = next ? peri_job_start(next, false, &answer.error) : peri_error_nomem(&answer.error);
        if (answer.status == PERI_OK)
            return;
        answer.value = NULL;
        answer.error.retryable = true;
    }
    job->done.call(job->arg, &answer);
    peri_value_unref(value);
}

static void call_finished(struct peri_job *job, const struct peri_call_result *result)
{
    if (job->asking) {
        looked_up(job, result);
        return;
    }
    job->done.call(job->arg, result);
}

static bool set_context(struct peri_job *job, const struct peri_call *call)
{
    job->event = call->event ? peri_event_ref((struct peri_event *)(uintptr_t)call->event) : NULL;
    job->payload = call->event ? peri_value_ref(call->payload) : NULL;
    job->as_of = call->as_of;
    job->dry_run = call->dry_run;
    job->ask_first = call->ask_first;
    job->asking = call->ask_first && job->op_def && job->op_def->asks;
    job->first_ms = call->first_ms;
    if (job->asking)
        job->path[2] = "lookup";
    job->step_timeout = call->timeout_ms > 0 && call->timeout_ms < job->wall_ms;
    if (job->step_timeout)
        job->wall_ms = call->timeout_ms;
    return peri_job_set_texts(job, call->rule_id, call->rule_name, call->run_id, call->idempotency_key);
}

/* Rendered parameters of rules hold "$secret" only where the rule's text says !secret; anybody else would name a secret
 * by guessing. */
static enum peri_status refuse_secrets(const struct peri_call *call, struct peri_error *err)
{
    if (call->rule_id || !peri_value_names_secret(call->params))
        return PERI_OK;
    return peri_error_set(
        err, PERI_EDENIED, "secret", "the parameters hold a member \"$secret\", which only a rule's !secret may make");
}

static enum peri_status start_call(
    struct peri_job *job, const struct peri_call *call, peri_call_done done, void *arg, struct peri_error *err)
{
    job->finish = call_finished;
    job->done.call = done;
    job->arg = arg;
    if (job->op_def)
        peri_job_set_operator(job, job->op_def);
    if (!set_context(job, call)) {
        peri_job_free(job);
        return peri_error_nomem(err);
    }
    return peri_intercept_start(job, err);
}

static enum peri_status call_script(
    struct peri_host *host, const struct peri_call *call, peri_call_done done, void *arg, struct peri_error *err)
{
    struct peri_job *job = peri_script_job(host, call);
    return job ? start_call(job, call, done, arg, err) : peri_error_nomem(err);
}

enum peri_status peri_host_call(
    struct peri_host *host, const struct peri_call *call, peri_call_done done, void *arg, struct peri_error *err)
{
    const struct peri_op_def *def = call->operator_id ? peri_map_get(host->operators, call->operator_id) : NULL;
    if (host->closing) /* the loop still turns while the last jobs end */
        return peri_error_set(err, PERI_ESTATE, "stopping", "the service is stopping");
    if (!def && call->rule_id && peri_streq(call->operator_id, PERI_RULE_LUA))
        return call_script(host, call, done, arg, err);
    if (!def) {
        const char *near = call->operator_id ? peri_nearest(call->operator_id, host->ids) : NULL;
        return peri_error_set(err, PERI_ENOTFOUND, "unknown_operator", "there is no operator \"%s\"%s%s%s",
            call->operator_id ? call->operator_id : "", near ? " (did you mean \"" : "", near ? near : "",
            near ? "\"?)" : "");
    }
    struct peri_plugin *plugin = def->owner;
    if (plugin->state != PERI_PLUGIN_ACTIVE)
        return peri_error_set(err, PERI_ESTATE, "plugin_inactive", "plugin %s is not active", def->public.plugin);
    struct peri_value *params = NULL;
    enum peri_status st = refuse_secrets(call, err);
    if (!st)
        st = peri_operator_params(&def->public, call->params, &params, err);
    if (st)
        return st;
    struct peri_job *job = peri_job_create(plugin, def->public.is_condition ? PERI_JOB_CONDITION : PERI_JOB_ACTION);
    if (!job) {
        peri_value_unref(params);
        return peri_error_nomem(err);
    }
    job->params = params;
    job->op_def = def;
    return start_call(job, call, done, arg, err);
}
