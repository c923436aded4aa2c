/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins that are asked before an action runs and told after it. The action's job waits, not started, while one
 * interceptor after the other says yes; the first no is its answer. Who made the call waits as for a slow action. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "lang/glob.h"
#include "plugin/host_internal.h"

#define REASON_MAX 500

struct peri_gate {
    struct peri_host *host;
    struct peri_job *job;         /* waits, or is under way; NULL: gone */
    struct peri_plugin **plugins; /* in the order in which they are asked; one reference each */
    size_t count, at;
    struct peri_job *asking;
    struct peri_timer *timer; /* for an answer that must not come before the caller has returned */
    struct peri_error fault;  /* that answer */
    struct peri_value *call;  /* what they see */
    int64_t begun_ms;
    bool nested, passed; /* passed: all have agreed */
};

static int64_t mono_ms(struct peri_host *host)
{
    return peri_clock_mono(&host->options.clock).ns / 1000000;
}

static void free_gate(struct peri_gate *gate)
{
    peri_timer_cancel(gate->timer);
    for (size_t i = 0; i < gate->count; i++)
        peri_plugin_unref(gate->plugins[i]);
    free(gate->plugins);
    peri_value_unref(gate->call);
    free(gate);
}

void peri_gate_leave(struct peri_job *job)
{
    struct peri_gate *gate = job->gate;
    if (!gate)
        return;
    job->gate = NULL;
    gate->job = NULL;
    if (!gate->asking)
        free_gate(gate);
}

/* --- who is asked --- */

static bool matches(const struct peri_intercept *in, const char *operator_id)
{
    for (char **glob = in->globs; glob && *glob; glob++)
        if (peri_glob_match(*glob, operator_id))
            return true;
    return !in->globs;
}

/* One that has stopped working, but must be asked, is no way around it. */
static bool takes_part(const struct peri_plugin *p, const struct peri_job *job)
{
    bool there = p->state == PERI_PLUGIN_ACTIVE || (p->state == PERI_PLUGIN_FAILED && !p->intercept.open);
    return there && !p->candidate && (p->intercept.before || p->intercept.after) && p != job->plugin && p->grants &&
           peri_grants_has(p->grants, "actions:intercept") && matches(&p->intercept, job->name);
}

static bool names(const struct peri_plugin *p, enum peri_relation_kind kind, const char *id)
{
    for (size_t i = 0; i < p->manifest->relation_count; i++)
        if (p->manifest->relations[i].kind == kind && !strcmp(p->manifest->relations[i].id, id))
            return true;
    return false;
}

static bool must_go_before(const struct peri_plugin *a, const struct peri_plugin *b)
{
    return names(a, PERI_RELATION_BEFORE, b->id) || names(b, PERI_RELATION_AFTER, a->id) ||
           names(b, PERI_RELATION_REQUIRES, a->id) || names(b, PERI_RELATION_OPTIONAL, a->id);
}

static bool held_back(const struct peri_gate *gate, size_t from, size_t i)
{
    for (size_t k = from; k < gate->count; k++)
        if (k != i && must_go_before(gate->plugins[k], gate->plugins[i]))
            return true;
    return false;
}

static bool prefers(const struct peri_plugin *a, const struct peri_plugin *b)
{
    if (a->manifest->priority != b->manifest->priority)
        return a->manifest->priority < b->manifest->priority;
    return strcmp(a->id, b->id) < 0;
}

/* By relationships, then priority, then id: the same order every time, whatever was reloaded in between. */
static void sort(struct peri_gate *gate)
{
    for (size_t at = 0; at < gate->count; at++) {
        size_t best = at;
        bool found = false;
        for (size_t i = at; i < gate->count; i++) {
            if (held_back(gate, at, i) || (found && !prefers(gate->plugins[i], gate->plugins[best])))
                continue;
            best = i;
            found = true;
        }
        struct peri_plugin *p = gate->plugins[best];
        gate->plugins[best] = gate->plugins[at];
        gate->plugins[at] = p;
    }
}

static bool collect(struct peri_gate *gate, const struct peri_job *job)
{
    struct peri_host *host = job->host;
    size_t cap = 0;
    for (size_t i = 0; i < host->plugin_count; i++) {
        if (!takes_part(host->plugins[i], job))
            continue;
        if (!peri_vec_grow(&gate->plugins, &cap, gate->count + 1, sizeof(*gate->plugins)))
            return false;
        gate->plugins[gate->count++] = peri_plugin_ref(host->plugins[i]);
    }
    sort(gate);
    return true;
}

static bool anybody(const struct peri_job *job)
{
    for (size_t i = 0; i < job->host->plugin_count; i++)
        if (takes_part(job->host->plugins[i], job))
            return true;
    return false;
}

/* --- what they see --- */

/* A handle of a secret would be theirs to use: they see that there is one, nothing more. */
static struct peri_value *redacted(const struct peri_value *v)
{
    struct peri_value *out;
    enum peri_status st = PERI_OK;
    if (peri_value_is(v, PERI_MAP) && peri_value_count(v) == 1 && peri_map_text(v, "$secret"))
        return peri_value_str("(secret)");
    if (peri_value_is(v, PERI_MAP)) {
        out = peri_value_map();
        for (void *it = peri_map_first(v); out && !st && it; it = peri_map_next(v, it))
            st = peri_map_put(out, peri_map_key(it, NULL), redacted(peri_map_item(it)));
    } else if (peri_value_is(v, PERI_LIST)) {
        out = peri_value_list();
        for (size_t i = 0; out && !st && i < peri_value_count(v); i++)
            st = peri_list_push(out, redacted(peri_list_at(v, i)));
    } else {
        return peri_value_ref(v);
    }
    if (st) {
        peri_value_unref(out);
        return NULL;
    }
    return out;
}

static bool put_text(struct peri_value *v, const char *key, const char *text)
{
    return !text || !peri_map_put_text(v, key, text);
}

static struct peri_value *call_value(const struct peri_job *job)
{
    struct peri_value *v = peri_value_map();
    if (v && put_text(v, "operator", job->name) && put_text(v, "plugin", job->plugin->id) &&
        put_text(v, "rule", job->rule_id) && put_text(v, "run", job->run_id) &&
        put_text(v, "idempotency_key", job->key) && !peri_map_put_bool(v, "nested", job->parent != NULL) &&
        !peri_map_put(v, "params", redacted(job->params)))
        return v;
    peri_value_unref(v);
    return NULL;
}

static struct peri_value *error_value(const struct peri_error *err)
{
    struct peri_value *v = peri_value_map();
    if (v && put_text(v, "code", err->code) && put_text(v, "message", err->message) &&
        !peri_map_put_bool(v, "retryable", err->retryable) &&
        (!err->outcome_unknown || put_text(v, "outcome", "unknown")))
        return v;
    peri_value_unref(v);
    return NULL;
}

/* take params */
static struct peri_job *make_job(
    struct peri_plugin *p, const struct peri_job *about, const char *hook, struct peri_value *params)
{
    struct peri_job *job = params ? peri_job_create(p, PERI_JOB_INTERCEPT) : NULL;
    if (!job) {
        peri_value_unref(params);
        return NULL;
    }
    job->path[0] = "intercept";
    job->path[1] = hook;
    job->params = params;
    job->event = about->event ? peri_event_ref(about->event) : NULL;
    job->dry_run = about->dry_run;
    job->depth = about->depth + 1;
    job->intercepts = true;
    if (p->intercept.deadline_ms < job->wall_ms)
        job->wall_ms = p->intercept.deadline_ms;
    if (peri_job_set_texts(job, about->rule_id, about->rule_name, about->run_id, NULL))
        return job;
    peri_job_free(job);
    return NULL;
}

/* --- before --- */

static void ask(struct peri_gate *gate);

static void refuse(struct peri_gate *gate, const struct peri_error *err)
{
    struct peri_job *job = gate->job;
    peri_gate_leave(job);
    peri_job_refuse(job, err);
}

static void answer_later(void *arg)
{
    struct peri_gate *gate = arg;
    struct peri_error fault = gate->fault;
    gate->timer = NULL;
    if (fault.status)
        refuse(gate, &fault);
    else
        ask(gate);
}

static void fault_later(struct peri_gate *gate, const struct peri_error *err)
{
    gate->fault = *err;
    if (peri_loop_after(gate->host->options.loop, 0, answer_later, gate, &gate->timer)) {
        struct peri_error lost = *err;
        gate->timer = NULL;
        if (!lost.status)
            peri_error_nomem(&lost);
        refuse(gate, &lost); /* better early than never */
    }
}

/* Everybody has agreed: the action's own time has passed meanwhile. */
static void pass(struct peri_gate *gate)
{
    struct peri_job *job = gate->job;
    struct peri_error err = {0};
    int64_t left = job->wall_ms - (mono_ms(gate->host) - gate->begun_ms);
    if (gate->nested && !job->parent) {
        peri_error_set(&err, PERI_ESTATE, "plugin_reset", "whoever made the call is gone");
        refuse(gate, &err);
        return;
    }
    if (left <= 0) {
        peri_error_set(&err, PERI_ETIMEOUT, job->step_timeout ? "timeout" : "limit.time",
            "its time went by while interceptors were asked; it was not begun");
        err.retryable = true;
        refuse(gate, &err);
        return;
    }
    gate->passed = true;
    job->wall_ms = left;
    if (peri_job_send(job, false, &err))
        refuse(gate, &err);
}

static void veto(struct peri_gate *gate, struct peri_plugin *p, const struct peri_value *said)
{
    struct peri_error err = {0};
    const char *code = peri_map_text(said, "code"), *message = peri_map_text(said, "message");
    peri_error_set(&err, PERI_EDENIED, code ? code : "vetoed", "vetoed by plugin %s: %.*s", p->id, REASON_MAX,
        message ? message : "it gave no reason");
    struct peri_value *detail = peri_value_map();
    if (detail && put_text(detail, "operator", gate->job->name) && put_text(detail, "rule", gate->job->rule_id) &&
        put_text(detail, "run", gate->job->run_id) && put_text(detail, "code", err.code) &&
        put_text(detail, "message", message))
        peri_host_audit_entry(gate->host, "action.vetoed", p->id, detail);
    else
        peri_value_unref(detail);
    peri_info(gate->host->options.log, p->area, "%s is vetoed: %s", gate->job->name, message ? message : "");
    refuse(gate, &err);
}

/* It could not say anything. What then counts, it has declared itself. True: go on without it. */
static bool may_go_on(
    struct peri_gate *gate, const struct peri_plugin *p, const struct peri_error *why, struct peri_error *ret_fault)
{
    peri_warn(gate->host->options.log, p->area, "could not be asked about %s: %s [%s]%s", gate->job->name, why->message,
        why->code, p->intercept.open ? "; the action goes on" : "");
    if (p->intercept.open)
        return true;
    peri_error_set(ret_fault, PERI_EDENIED, "intercept.failed",
        "plugin %s must agree to each action, and could not be asked: %.300s [%s]", p->id, why->message, why->code);
    ret_fault->retryable = true;
    return false;
}

static void asked(struct peri_job *asking, const struct peri_call_result *result)
{
    struct peri_gate *gate = asking->arg;
    struct peri_error fault = {0};
    gate->asking = NULL;
    if (!gate->job) {
        free_gate(gate);
        return;
    }
    if (gate->host->closing)
        return; /* the job gets its answer from who ends the host */
    if (result->status && !may_go_on(gate, asking->plugin, &result->error, &fault)) {
        refuse(gate, &fault);
        return;
    }
    if (!result->status && !result->holds) {
        veto(gate, asking->plugin, result->value);
        return;
    }
    gate->at++;
    ask(gate);
}

/* The version that is in service now; NULL: none, and none is needed. */
static struct peri_plugin *next_of(struct peri_gate *gate)
{
    for (; gate->at < gate->count; gate->at++) {
        struct peri_plugin *p = peri_host_plugin(gate->host, gate->plugins[gate->at]->id);
        if (p && p->intercept.before && takes_part(p, gate->job))
            return p;
    }
    return NULL;
}

static void ask(struct peri_gate *gate)
{
    struct peri_plugin *p = next_of(gate);
    struct peri_error err = {0}, fault = {0};
    if (!p) {
        pass(gate);
        return;
    }
    struct peri_job *job = NULL;
    if (p->state != PERI_PLUGIN_ACTIVE)
        peri_error_set(&err, PERI_ESTATE, "plugin_failed", "it has failed");
    else if (!(job = make_job(p, gate->job, "before", peri_value_ref(gate->call))))
        peri_error_nomem(&err);
    if (job) {
        (void)peri_grants_uses(p->grants, "actions:intercept");
        job->finish = asked;
        job->arg = gate;
        gate->asking = job;
        if (!peri_job_start(job, false, &err))
            return;
        gate->asking = NULL;
    }
    if (!may_go_on(gate, p, &err, &fault)) {
        fault_later(gate, &fault);
        return;
    }
    gate->at++;
    fault_later(gate, &(struct peri_error){0});
}

enum peri_status peri_intercept_start(struct peri_job *job, struct peri_error *err)
{
    if (job->kind != PERI_JOB_ACTION || job->intercepts || !anybody(job))
        return peri_job_start(job, false, err);
    struct peri_gate *gate = calloc(1, sizeof(*gate));
    bool ok = gate && collect(gate, job) && (gate->call = call_value(job));
    if (!ok) {
        if (gate)
            free_gate(gate);
        peri_job_free(job);
        return peri_error_nomem(err);
    }
    gate->host = job->host;
    gate->job = job;
    gate->nested = job->parent != NULL;
    gate->begun_ms = mono_ms(job->host);
    job->gate = gate;
    job->started = peri_clock_mono(&job->host->options.clock);
    fault_later(gate, &(struct peri_error){0}); /* a turn of the loop later: no answer before the caller has returned */
    return PERI_OK;
}

/* --- after --- */

static void told(struct peri_job *job, const struct peri_call_result *result)
{
    if (result->status && !job->host->closing)
        peri_warn(job->host->options.log, job->plugin->area, "intercept.after failed: %s [%s]", result->error.message,
            result->error.code);
}

void peri_intercept_after(struct peri_job *job, const struct peri_call_result *result)
{
    struct peri_gate *gate = job->gate;
    if (!gate || !gate->passed || job->host->closing)
        return;
    struct peri_value *call = peri_value_copy(gate->call);
    bool ok = call && !peri_map_put_bool(call, "ok", !result->status);
    if (ok && result->status)
        ok = !peri_map_put(call, "error", error_value(&result->error));
    else if (ok && result->value)
        ok = !peri_map_put_ref(call, "result", (struct peri_value *)(uintptr_t)result->value);
    for (size_t i = gate->count; ok && i-- > 0;) {
        struct peri_plugin *p = peri_host_plugin(gate->host, gate->plugins[i]->id);
        struct peri_error err = {0};
        if (!p || p->state != PERI_PLUGIN_ACTIVE || !p->intercept.after)
            continue;
        struct peri_job *told_job = make_job(p, job, "after", peri_value_ref(call));
        if (!told_job)
            continue;
        told_job->finish = told;
        if (peri_job_start(told_job, false, &err))
            peri_warn(gate->host->options.log, p->area, "is not told of %s: %s [%s]", job->name, err.message, err.code);
    }
    peri_value_unref(call);
}

void peri_intercept_finish(struct peri_intercept *in)
{
    for (char **glob = in->globs; glob && *glob; glob++)
        free(*glob);
    free(in->globs);
    memset(in, 0, sizeof(*in));
}
