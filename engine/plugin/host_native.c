/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of C plugins: they run through at once on the worker, with the same rules for data, events and the log as
 * Lua. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "plugin/host_internal.h"

static enum peri_status query(
    void *user, const struct peri_value *request, struct peri_value **ret, struct peri_error *err)
{
    size_t count = 0;
    return peri_job_query(user, request, false, ret, &count, err);
}

static enum peri_status get(
    void *user, const char *type, const char *id, struct peri_value **ret, struct peri_error *err)
{
    return peri_job_get(user, type, id, ret, err);
}

static enum peri_status put(
    void *user, const char *type, const struct peri_value *fields, char *id, size_t id_size, struct peri_error *err)
{
    char made[128];
    enum peri_status st = peri_job_put(user, type, fields, made, err);
    if (!st && id && id_size)
        snprintf(id, id_size, "%s", made);
    return st;
}

static enum peri_status drop(void *user, const char *type, const char *id, struct peri_error *err)
{
    return peri_job_delete(user, type, id, err);
}

static enum peri_status emit(void *user, const char *type, const struct peri_value *data, struct peri_error *err)
{
    return peri_job_emit(user, type, data, NULL, err);
}

static void write_log(void *user, int level, const char *text)
{
    peri_job_log(user, level < PERI_LOG_DEBUG || level > PERI_LOG_ERROR ? PERI_LOG_INFO : (enum peri_log_level)level,
        text, NULL);
}

/* A no is an answer, with its reason as the value. */
static void ask(struct peri_job *job, const struct peri_native_env *env)
{
    bool before = !peri_streq(job->path[1], "after");
    enum peri_native_hook hook = job->kind == PERI_JOB_HEALTH ? PERI_NATIVE_HEALTH
                                 : before                     ? PERI_NATIVE_BEFORE
                                                              : PERI_NATIVE_AFTER;
    struct peri_error why = {0};
    job->outcome = PERI_JOB_DONE;
    job->holds = !peri_native_ask(job->plugin->native, hook, env, job->params, &why);
    if (job->holds || !(job->value = peri_value_map()))
        return;
    (void)!peri_map_put_text(job->value, "message", why.message);
    if (strcmp(why.code, "failed") != 0)
        (void)!peri_map_put_text(job->value, "code", why.code);
}

void peri_native_job(struct peri_job *job)
{
    struct peri_host *host = job->host;
    struct peri_native_env env = {
        .config = job->plugin->config,
        .event = peri_job_event(job),
        .rule = job->rule_id,
        .run = job->run_id,
        .key = job->key,
        .now_ms = peri_clock_wall_ms(&host->options.clock),
        .query = query,
        .get = get,
        .put = put,
        .remove = drop,
        .emit = emit,
        .log = write_log,
        .user = job,
    };
    if (job->kind == PERI_JOB_HEALTH || job->kind == PERI_JOB_INTERCEPT) {
        ask(job, &env);
        return;
    }
    if (job->kind == PERI_JOB_HOOK || !job->op_def) {
        job->outcome = PERI_JOB_DONE;
        return;
    }
    struct peri_mono from = peri_clock_mono(&host->options.clock);
    enum peri_status st = peri_native_run(
        job->plugin->native, job->op_def->native, &env, job->params, &job->holds, &job->value, &job->error);
    struct peri_mono to = peri_clock_mono(&host->options.clock);
    job->usage.running_us = (to.ns - from.ns) / 1000;
    job->outcome = st ? PERI_JOB_FAILED : PERI_JOB_DONE;
}
