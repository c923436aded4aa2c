/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a job on the loop's side: sent to a worker, back with a result or a wish, its writes committed, its
 * answer given exactly once. The wall deadline answers early; what comes back later is dropped. */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "plugin/host_internal.h"

static void finish_text(struct peri_secret_text *t)
{
    free(t->text);
    free(t->secret);
}

void peri_op_finish(struct peri_op *op)
{
    free(op->method);
    free(op->url);
    for (size_t i = 0; i < op->header_count; i++) {
        free(op->headers[i].name);
        free(op->headers[i].text);
        free(op->headers[i].secret);
    }
    free(op->headers);
    finish_text(&op->user);
    finish_text(&op->password);
    finish_text(&op->cert);
    finish_text(&op->cert_key);
    finish_text(&op->ca);
    free(op->body);
    free(op->host);
    free(op->from);
    free(op->ca_file);
    peri_value_unref(op->to);
    free(op->account);
    free(op->target);
    peri_value_unref(op->value);
    peri_value_unref(op->answer);
    free(op->text);
    free(op->read.type);
    free(op->read.id);
    peri_value_unref(op->read.request);
    peri_swap_unref(op->swap);
    memset(op, 0, offsetof(struct peri_op, error));
    peri_error_clear(&op->error);
}

void peri_web_free(struct peri_web_copy *web)
{
    if (!web)
        return;
    free(web->path);
    free(web->method);
    free(web->url);
    free(web->query);
    free(web->remote);
    free(web->body);
    for (size_t i = 0; i < web->header_count; i++) {
        free((char *)(uintptr_t)web->headers[i].name);
        free((char *)(uintptr_t)web->headers[i].value);
    }
    free(web->headers);
    free(web);
}

#define SPARE_JOBS 64 /* 3 KiB each */

static struct peri_job *new_job(struct peri_host *host)
{
    struct peri_job *job = host->spare_jobs;
    if (!job)
        return calloc(1, sizeof(*job));
    host->spare_jobs = job->next;
    host->spare_count--;
    memset(job, 0, offsetof(struct peri_job, error));
    peri_error_clear(&job->error);
    memset(&job->op, 0, offsetof(struct peri_op, error));
    peri_error_clear(&job->op.error);
    return job;
}

static void drop_job(struct peri_host *host, struct peri_job *job)
{
    if (host->spare_count >= SPARE_JOBS || host->closing) {
        free(job);
        return;
    }
    job->next = host->spare_jobs;
    host->spare_jobs = job;
    host->spare_count++;
}

void peri_jobs_finish(struct peri_host *host)
{
    for (struct peri_job *job; (job = host->spare_jobs); free(job))
        host->spare_jobs = job->next;
    host->spare_count = 0;
}

struct peri_job *peri_job_create(struct peri_plugin *plugin, enum peri_job_kind kind)
{
    struct peri_host *host = plugin->host;
    struct peri_job *job = new_job(host);
    if (!job)
        return NULL;
    job->host = host;
    job->plugin = peri_plugin_ref(plugin);
    job->kind = kind;
    job->item.job = job;
    job->wall_ms = plugin->limits.wall_ms;
    job->next = host->jobs;
    if (host->jobs)
        host->jobs->prev = job;
    host->jobs = job;
    host->job_count++;
    plugin->job_count++;
    return job;
}

void peri_job_free(struct peri_job *job)
{
    if (!job)
        return;
    if (job->prev)
        job->prev->next = job->next;
    else
        job->host->jobs = job->next;
    if (job->next)
        job->next->prev = job->prev;
    job->host->job_count--;
    job->plugin->job_count--;
    peri_life_left(job->plugin);
    if (job->parent)
        job->parent->child = NULL;
    if (job->child)
        job->child->parent = NULL;
    if (job->trial && !job->answered) /* it never started */
        job->plugin->breaker.trial = false;
    peri_gate_leave(job);
    peri_telling_forget(job);
    peri_pages_free(job);
    peri_native_free(job);
    peri_timer_cancel(job->timer);
    peri_batch_destroy(job->batch);
    peri_op_finish(&job->op);
    free(job->own_name);
    free(job->scratch);
    peri_value_unref(job->params);
    peri_web_free(job->web);
    peri_event_unref(job->event);
    peri_value_unref(job->payload);
    free(job->texts);
    peri_value_unref(job->value);
    peri_value_unref(job->event_value);
    peri_subs_free_changes(job->subs, job->sub_count);
    peri_plans_free_changes(job->plans, job->plan_count);
    struct peri_host *host = job->host; /* outlives its plugins */
    peri_plugin_unref(job->plugin);
    drop_job(host, job);
}

static const char *put_text(char **at, const char *text)
{
    if (!text)
        return NULL;
    size_t len = strlen(text) + 1;
    char *to = memcpy(*at, text, len);
    *at += len;
    return to;
}

bool peri_job_set_texts(
    struct peri_job *job, const char *rule_id, const char *rule_name, const char *run_id, const char *key)
{
    const char *const all[] = {rule_id, rule_name, run_id, key};
    size_t len = 1;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        len += all[i] ? strlen(all[i]) + 1 : 0;
    char *texts = malloc(len), *at = texts;
    if (!texts)
        return false;
    job->rule_id = put_text(&at, rule_id);
    job->rule_name = put_text(&at, rule_name);
    job->run_id = put_text(&at, run_id);
    job->key = put_text(&at, key);
    free(job->texts); /* some of them may have stood there */
    job->texts = texts;
    return true;
}

/* Event, rule and run of the job that calls or sends. */
void peri_job_copy_context(struct peri_job *job, const struct peri_job *parent)
{
    job->event = parent->event ? peri_event_ref(parent->event) : NULL;
    (void)!peri_job_set_texts(job, parent->rule_id, parent->rule_name, parent->run_id, parent->key);
    job->as_of = parent->as_of;
    job->dry_run = parent->dry_run;
    job->ask_first = parent->ask_first;
    job->first_ms = parent->first_ms;
    job->depth = parent->depth + 1;
    job->intercepts = parent->intercepts;
    struct peri_mono now = peri_clock_mono(&job->host->options.clock);
    int64_t left = parent->deadline_ms - now.ns / 1000000;
    if (left < job->wall_ms)
        job->wall_ms = left > 1 ? left : 1;
}

/* --- answering --- */

static void count(struct peri_job *job, const struct peri_error *err)
{
    struct peri_plugin *p = job->plugin;
    peri_metric_add(p->calls, 1);
    peri_metric_add(p->instructions, job->usage.instructions);
    if (err)
        peri_metric_add(p->failures, 1);
    if (err && peri_str_starts(err->code, "limit.")) {
        peri_ledger_violation(job, err->code, job->path[1] ? job->path[1] : job->path[0]);
        peri_metric_add(p->limit_ends, 1);
        peri_warn(p->host->options.log, p->area, "%s: %s [%s]", job->path[1] ? job->path[1] : job->path[0],
            err->message, err->code);
    }
}

static void answer(struct peri_job *job, const struct peri_error *err)
{
    struct peri_host *host = job->host;
    struct peri_call_result result;
    result.status = PERI_OK;
    result.is_condition = job->kind == PERI_JOB_CONDITION;
    result.holds = job->holds;
    result.value = job->value;
    result.usage = job->usage;
    peri_error_clear(&result.error); /* the whole of it would be most of what this costs */
    job->answered = true;
    peri_timer_cancel(job->timer);
    job->timer = NULL;
    peri_pages_stop(job);
    struct peri_mono now = peri_clock_mono(&host->options.clock);
    result.usage.wall_us = (now.ns - job->started.ns) / 1000;
    if (err) {
        result.status = err->status ? err->status : PERI_EINVAL;
        result.error = *err;
        result.value = NULL;
        result.holds = false;
    }
    if (!host->closing) {
        peri_cost_count(job, result.usage.wall_us, err != NULL);
        count(job, err);
        peri_breaker_result(job, err);
        peri_ledger_arm(host);
    }
    peri_secrets_hide_error(host->options.secrets, &result.error);
    struct peri_value *clean = job->value ? peri_secrets_hide_value(host->options.secrets, job->value) : NULL;
    if (result.value && clean)
        result.value = clean;
    if (job->gate)
        peri_intercept_after(job, &result);
    job->finish(job, &result);
    peri_value_unref(clean);
}

void peri_job_refuse(struct peri_job *job, const struct peri_error *err)
{
    struct peri_call_result result = {.status = err->status ? err->status : PERI_EINVAL, .error = *err};
    job->answered = true;
    job->finish(job, &result);
    peri_job_free(job);
}

/* The coroutine is somewhere in the plugin's state: only its worker may end it. */
static void send_abort(struct peri_job *job)
{
    job->item.kind = PERI_ITEM_ABORT;
    job->on_worker = true;
    (void)!peri_item_send(job->host, job->plugin, &job->item, true);
}

static void expired(void *arg)
{
    struct peri_job *job = arg;
    struct peri_error err = {0};
    job->timer = NULL;
    if (job->step_timeout)
        peri_error_set(&err, PERI_ETIMEOUT, "timeout", "no answer within the step's timeout");
    else
        peri_error_set(&err, PERI_ETIMEOUT, "limit.time", "the call took longer than %lld ms", (long long)job->wall_ms);
    err.retryable = job->step_timeout;
    /* Nothing more leaves this call. What C code does at this moment is not seen from here. */
    err.outcome_unknown = job->effects > 0 || job->flushing || (!job->on_worker && peri_op_is_effect(&job->op)) ||
                          (job->on_worker && job->plugin->native);
    answer(job, &err);
    if (job->on_worker || job->flushing)
        return;
    peri_op_cancel(job);
    send_abort(job);
}

/* One that waits for nobody any more. */
static void cut(struct peri_job *job, const struct peri_error *why)
{
    struct peri_error err = *why;
    if (!job->sent) {
        peri_job_refuse(job, &err);
        return;
    }
    err.outcome_unknown = job->effects > 0 || job->flushing || (!job->on_worker && peri_op_is_effect(&job->op)) ||
                          (job->on_worker && job->plugin->native);
    answer(job, &err);
    if (job->on_worker || job->flushing)
        return; /* what comes back is dropped */
    peri_op_cancel(job);
    send_abort(job);
}

void peri_jobs_cut(struct peri_plugin *plugin, const struct peri_error *err)
{
    struct peri_job *job = plugin->host->jobs;
    while (job) {
        bool its = job->plugin == plugin && !job->answered && job->kind != PERI_JOB_HOOK;
        if (its)
            cut(job, err);
        job = its ? plugin->host->jobs : job->next; /* an answer may change the list */
    }
}

/* --- sending --- */

static enum peri_status set_deadline(struct peri_job *job)
{
    struct peri_mono now = peri_clock_mono(&job->host->options.clock);
    if (!job->sent)
        job->started = now;
    job->deadline_ms = now.ns / 1000000 + job->wall_ms;
    return peri_loop_after(job->host->options.loop, job->wall_ms, expired, job, &job->timer);
}

enum peri_status peri_job_send(struct peri_job *job, bool urgent, struct peri_error *err)
{
    struct peri_host *host = job->host;
    if (job->kind != PERI_JOB_HOOK && !job->trial && peri_breaker_admit(job, err))
        return PERI_ESTATE;
    enum peri_status st = job->timer ? PERI_OK : set_deadline(job);
    if (st)
        return peri_error_set(err, st, NULL, "can not start a timer");
    job->item.kind = PERI_ITEM_START;
    job->on_worker = job->sent = true;
    st = peri_item_send(host, job->plugin, &job->item, urgent);
    if (st) {
        peri_metric_add(host->queue_full, 1);
        peri_error_set(err, st, "busy", "plugin %s has %d calls waiting", job->plugin->id, PERI_HOST_QUEUE);
        if (err)
            err->retryable = true;
        job->on_worker = job->sent = false;
        peri_timer_cancel(job->timer);
        job->timer = NULL;
    }
    return st;
}

enum peri_status peri_job_start(struct peri_job *job, bool urgent, struct peri_error *err)
{
    enum peri_status st = peri_job_send(job, urgent, err);
    if (st)
        peri_job_free(job);
    return st;
}

void peri_job_resume(struct peri_job *job)
{
    if (job->answered) {
        send_abort(job);
        return;
    }
    job->item.kind = PERI_ITEM_RESUME;
    job->on_worker = true;
    (void)!peri_item_send(job->host, job->plugin, &job->item, true);
}

/* --- commits --- */

/* Subscriptions and schedules that are in the store now. */
static void apply_wishes(struct peri_job *job)
{
    if (job->sub_count)
        peri_subs_apply(job);
    if (job->plan_count)
        peri_plans_apply(job);
}

static void give_error(struct peri_job *job, struct peri_error *err);

static void give_result(struct peri_job *job)
{
    struct peri_error err = {0};
    apply_wishes(job);
    if (peri_pages_go_on(job, &err))
        return;
    if (err.status) {
        give_error(job, &err);
        return;
    }
    answer(job, NULL);
    peri_job_free(job);
}

static void give_error(struct peri_job *job, struct peri_error *err)
{
    /* What left the service can not be called back: only the plugin's own word says that trying again is safe. */
    if (job->effects > 0 && (peri_str_starts(err->code, "limit.") || !strcmp(err->code, "plugin_reset") ||
                                !strcmp(err->code, "plugin.crashed")))
        err->outcome_unknown = true;
    peri_pages_name(job, err);
    answer(job, err);
    peri_job_free(job);
}

/* Its deadline is that of one call, unless somebody waits for the whole: then it goes on running. */
static bool has_own_time(const struct peri_job *job)
{
    return !job->step_timeout && !job->parent;
}

void peri_job_rest(struct peri_job *job)
{
    if (!has_own_time(job))
        return;
    peri_timer_cancel(job->timer);
    job->timer = NULL;
}

void peri_job_end(struct peri_job *job, struct peri_error *err)
{
    if (err)
        give_error(job, err);
    else {
        answer(job, NULL);
        peri_job_free(job);
    }
}

static void committed(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct peri_job *job = arg;
    struct peri_error copy = {0};
    job->host->commits--;
    job->flushing = false;
    job->batch = NULL; /* the pipeline destroys it */
    if (job->kind == PERI_JOB_WEBHOOK)
        PERI_FAILPOINT("webhook.stored");
    if (job->kind == PERI_JOB_SCHEDULE)
        PERI_FAILPOINT("plan.stored");
    if (st) {
        peri_error_set(&copy, st, err && err->code[0] ? err->code : NULL, "the writes were not stored: %s",
            err ? err->message : peri_status_name(st));
        copy.retryable = st == PERI_EFULL || st == PERI_EIO || st == PERI_EBUSY;
    }
    if (!st)
        apply_wishes(job);
    if (job->finishing) {
        if (job->answered)
            peri_job_free(job);
        else if (st)
            give_error(job, &copy);
        else
            give_result(job);
        return;
    }
    if (job->answered) {
        send_abort(job);
        return;
    }
    if (st) {
        job->op.error = copy;
        peri_job_resume(job);
        return;
    }
    peri_op_perform(job);
}

/* True when a commit is under way (or has failed to start: *err then). Without a store, and in dry runs, writes go
 * nowhere. */
static bool commit(struct peri_job *job, struct peri_error *err)
{
    struct peri_host *host = job->host;
    if (!job->batch || !peri_batch_count(job->batch))
        return false;
    if (job->dry_run || !host->options.ops.submit) {
        peri_batch_destroy(job->batch);
        job->batch = NULL;
        return false;
    }
    job->flushing = true;
    host->commits++;
    enum peri_status st = host->options.ops.submit(host->options.ops.ctx, job->batch, committed, job);
    if (st) {
        job->flushing = false;
        host->commits--;
        peri_error_set(err, st, st == PERI_EBUSY ? "busy" : NULL, "the writes were not taken: %s",
            st == PERI_EBUSY ? "the store is overloaded" : peri_status_name(st));
        err->retryable = st == PERI_EBUSY;
    }
    return true;
}

/* --- coming back --- */

static void waits(struct peri_job *job)
{
    struct peri_error err = {0};
    if (job->answered) {
        send_abort(job);
        return;
    }
    if (commit(job, &err)) {
        if (!job->flushing) {
            job->op.error = err;
            peri_job_resume(job);
        }
        return;
    }
    peri_op_perform(job);
}

static void ended(struct peri_job *job)
{
    struct peri_error err;
    peri_error_clear(&err);
    if (job->answered) {
        peri_job_free(job);
        return;
    }
    if (job->outcome == PERI_JOB_FAILED) {
        give_error(job, &job->error);
        return;
    }
    job->finishing = true;
    peri_subs_mark(job);
    if (!job->cursor)
        peri_plans_mark(job);
    peri_host_mark_received(job);
    if (!commit(job, &err))
        give_result(job);
    else if (!job->flushing)
        give_error(job, &err);
}

void peri_job_returned(struct peri_job *job, enum peri_item_kind kind)
{
    job->on_worker = false;
    if (kind == PERI_ITEM_ABORT)
        peri_job_free(job);
    else if (job->outcome == PERI_JOB_SUSPENDED)
        waits(job);
    else
        ended(job);
}

void peri_job_fail_all(struct peri_host *host)
{
    struct peri_error err = {0};
    peri_error_set(&err, PERI_ESTATE, "stopping", "the service is stopping");
    err.retryable = true;
    while (host->jobs) {
        struct peri_job *job = host->jobs;
        if (!job->answered) {
            err.outcome_unknown = job->effects > 0 || peri_op_is_effect(&job->op);
            peri_op_cancel(job);
            answer(job, &err); /* a child's answer may resume its parent: that only queues an item nobody takes */
        }
        peri_lua_abort(job);
        peri_job_free(job);
    }
}

/* Does a worker build or run something, or has it handed something over? */
static bool works(struct peri_host *host)
{
    pthread_mutex_lock(&host->lock);
    bool busy = host->run_head || host->finished.head || host->posted;
    for (size_t i = 0; !busy && i < host->plugin_count; i++)
        busy = host->plugins[i]->running || host->plugins[i]->queued;
    pthread_mutex_unlock(&host->lock);
    for (size_t i = 0; !busy && i < host->plugin_count; i++)
        busy = host->plugins[i]->state == PERI_PLUGIN_LOADING;
    return busy;
}

bool peri_host_is_quiet(struct peri_host *host)
{
    if (host->commits || host->load_pending || host->loading || peri_subs_pending(host) || works(host))
        return false;
    for (const struct peri_job *job = host->jobs; job; job = job->next)
        if (job->on_worker || job->flushing)
            return false;
    return true;
}

/* --- life-cycle handlers --- */

static void hook_finished(struct peri_job *job, const struct peri_call_result *result)
{
    if (job->done.hook)
        job->done.hook(job->plugin, result->status ? &result->error : NULL);
    else if (result->status && !job->host->closing)
        peri_warn(job->host->options.log, job->plugin->area, "%s failed: %s [%s]", job->path[0], result->error.message,
            result->error.code);
}

enum peri_status peri_plugin_hook(struct peri_plugin *plugin, const char *name, bool urgent,
    void (*done)(struct peri_plugin *plugin, const struct peri_error *err))
{
    struct peri_job *job = peri_job_create(plugin, PERI_JOB_HOOK);
    if (!job)
        return PERI_ENOMEM;
    job->path[0] = name;
    if (!strcmp(name, "stop") && job->wall_ms > PERI_HOST_STOP_MS)
        job->wall_ms = PERI_HOST_STOP_MS;
    job->finish = hook_finished;
    job->done.hook = done;
    return peri_job_start(job, urgent, NULL);
}
