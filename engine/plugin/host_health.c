/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins are asked whether they are well, and started anew when they are not: a plugin that says no three times in a
 * row, or whose init failed, is built again beside what there is, later and later as long as that does not help. What
 * is known of a plugin's health outlives its versions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "plugin/host_internal.h"

#define CHECK_MS 30000 /* between two questions */
#define ANSWER_MS 5000
#define BAD_MAX 3
#define AGAIN_MS 5000
#define AGAIN_MAX_MS 600000

struct peri_care {
    struct peri_host *host;
    char *id;
    struct peri_timer *timer;
    struct peri_job *job; /* the question under way */
    int bad, restarts;    /* in a row */
    int64_t checked_ms, again_ms;
    char message[256]; /* why not; "" when it is well */
    bool asked;
};

static struct peri_care *care_of(struct peri_host *host, const char *id, bool make)
{
    struct peri_care *care = host->cares ? peri_map_get(host->cares, id) : NULL;
    if (care || !make)
        return care;
    care = calloc(1, sizeof(*care));
    if (!host->cares)
        host->cares = peri_map_create();
    if (care && host->cares && (care->id = peri_strdup(id)) && peri_map_set(host->cares, id, care, NULL)) {
        care->host = host;
        return care;
    }
    if (care)
        free(care->id);
    free(care);
    return NULL;
}

static void rest(struct peri_care *care, int64_t ms, void (*fn)(void *arg))
{
    peri_timer_cancel(care->timer);
    care->timer = NULL;
    if (!care->host->closing && peri_loop_after(care->host->options.loop, ms, fn, care, &care->timer))
        care->timer = NULL;
}

static int64_t check_ms(const struct peri_host *host)
{
    return host->options.health_ms > 0 ? host->options.health_ms : CHECK_MS;
}

static void check(void *arg);

/* Commands that load plugins once do not wait for one to get well. */
static bool starts_anew(const struct peri_host *host)
{
    return host->options.watch || host->options.health_ms > 0;
}

/* --- starting anew --- */

static int64_t pause_before(struct peri_care *care)
{
    int64_t base = care->host->options.health_ms > 0 ? care->host->options.health_ms : AGAIN_MS, ms = base;
    for (int i = 0; i < care->restarts && ms < AGAIN_MAX_MS; i++)
        ms *= 2;
    care->restarts++;
    return ms < AGAIN_MAX_MS ? ms : AGAIN_MAX_MS;
}

/* Its operators may be there again. */
static void restarted(void *arg)
{
    struct peri_host *host = arg;
    if (host->options.on_change)
        host->options.on_change(host->options.change_ctx);
}

static void restart(void *arg)
{
    struct peri_care *care = arg;
    struct peri_host *host = care->host;
    struct peri_plugin *p = peri_host_plugin(host, care->id);
    struct peri_error err = {0};
    care->timer = NULL;
    care->again_ms = 0;
    if (!p || (p->state != PERI_PLUGIN_FAILED && p->state != PERI_PLUGIN_ACTIVE))
        return;
    peri_info(host->options.log, p->area, "is started anew");
    if (peri_host_reload(host, care->id, restarted, host, &err))
        peri_warn(host->options.log, "plugins", "%s can not be started anew: %s", care->id, err.message);
}

static void restart_later(struct peri_care *care)
{
    int64_t ms = pause_before(care);
    care->again_ms = peri_clock_wall_ms(&care->host->options.clock) + ms;
    rest(care, ms, restart);
}

/* --- the question --- */

static void unwell(struct peri_care *care, struct peri_plugin *p)
{
    struct peri_value *detail = peri_value_map();
    peri_warn(care->host->options.log, p->area, "is not well: %s (%d of %d)", care->message, care->bad, BAD_MAX);
    if (care->bad < BAD_MAX) {
        peri_value_unref(detail);
        rest(care, check_ms(care->host), check);
        return;
    }
    care->bad = 0;
    if (detail)
        (void)!peri_map_put_text(detail, "message", care->message);
    peri_host_audit_entry(care->host, "plugin.unhealthy", p->id, detail);
    restart_later(care);
}

static void answered(struct peri_job *job, const struct peri_call_result *result)
{
    struct peri_care *care = job->arg;
    struct peri_host *host = job->host;
    const char *message = peri_map_text(result->value, "message");
    if (!care || host->closing)
        return;
    care->job = NULL;
    struct peri_plugin *p = peri_host_plugin(host, care->id);
    if (p != job->plugin || p->state != PERI_PLUGIN_ACTIVE)
        return; /* about a version that is no longer there */
    if (!strcmp(result->error.code, "plugin_suspended") || !strcmp(result->error.code, "busy")) {
        rest(care, check_ms(host), check); /* nothing was asked */
        return;
    }
    care->checked_ms = peri_clock_wall_ms(&host->options.clock);
    if (!result->status && result->holds) {
        care->bad = care->restarts = 0;
        care->message[0] = '\0';
        rest(care, check_ms(host), check);
        return;
    }
    care->bad++;
    snprintf(care->message, sizeof(care->message), "%.255s",
        result->status ? result->error.message
        : message      ? message
                       : "it gave no reason");
    unwell(care, p);
}

static void check(void *arg)
{
    struct peri_care *care = arg;
    struct peri_plugin *p = peri_host_plugin(care->host, care->id);
    care->timer = NULL;
    if (!p || p->state != PERI_PLUGIN_ACTIVE || !p->has_health || care->job)
        return;
    struct peri_job *job = peri_job_create(p, PERI_JOB_HEALTH);
    struct peri_error err = {0};
    if (job) {
        job->path[0] = "health";
        job->finish = answered;
        job->arg = care;
        if (job->wall_ms > ANSWER_MS)
            job->wall_ms = ANSWER_MS;
        care->job = job;
        if (!peri_job_start(job, false, &err))
            return;
        care->job = NULL;
    }
    rest(care, check_ms(care->host), check);
}

/* --- what happens to plugins --- */

void peri_care_active(struct peri_plugin *p)
{
    struct peri_care *care = care_of(p->host, p->id, p->has_health);
    if (!care)
        return;
    peri_timer_cancel(care->timer);
    care->timer = NULL;
    care->again_ms = 0;
    care->bad = 0;
    if (p->has_health)
        rest(care, check_ms(p->host), check);
    else
        care->restarts = 0; /* init was the question */
}

void peri_care_failed(struct peri_plugin *p)
{
    struct peri_care *care = p->host->closing || !starts_anew(p->host) ? NULL : care_of(p->host, p->id, true);
    if (!care)
        return;
    snprintf(care->message, sizeof(care->message), "%.255s", p->error.message);
    care->checked_ms = peri_clock_wall_ms(&p->host->options.clock);
    restart_later(care);
}

void peri_care_gone(struct peri_plugin *p)
{
    struct peri_care *care = care_of(p->host, p->id, false);
    if (!care)
        return;
    peri_timer_cancel(care->timer);
    care->timer = NULL;
    care->again_ms = 0;
    care->restarts = care->bad = 0;
    care->message[0] = '\0';
}

enum peri_status peri_care_put(struct peri_plugin *p, struct peri_value *v)
{
    const struct peri_care *care = care_of(p->host, p->id, false);
    struct peri_value *h = care && (care->checked_ms || p->has_health || care->restarts) ? peri_value_map() : NULL;
    if (!h)
        return PERI_OK;
    enum peri_status st = peri_map_put_text(h, "state",
        care->message[0]   ? "failing"
        : care->checked_ms ? "ok"
                           : "unknown");
    if (!st && care->message[0])
        st = peri_map_put_text(h, "message", care->message);
    if (!st && care->checked_ms)
        st = peri_map_put_time(h, "checked", care->checked_ms);
    if (!st && care->restarts)
        st = peri_map_put_int(h, "restarts", care->restarts);
    if (!st && care->again_ms)
        st = peri_map_put_time(h, "next_restart", care->again_ms);
    if (!st)
        return peri_map_put(v, "health", h);
    peri_value_unref(h);
    return st;
}

static void free_care(void *arg)
{
    struct peri_care *care = arg;
    peri_timer_cancel(care->timer);
    free(care->id);
    free(care);
}

void peri_cares_finish(struct peri_host *host)
{
    peri_map_destroy(host->cares, free_care);
    host->cares = NULL;
}
