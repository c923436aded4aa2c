/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules of plugins' own, on the loop. A row of `schedules` each ("plugin:<plugin>/<name>"), whose spec is one of
 *
 *   {kind: "cron", cron, timezone, run?, data?}    {kind: "every", every_ms, run?, data?}    {kind: "after", at_ms,
 * ...}
 *
 * run names a function of the package's `jobs`; without it the handler is one that was kept when the schedule was made.
 * What came due while nobody could run it fires once when somebody can. The row changes together with what the handler
 * wrote; a crash before that fires it again.
 *
 * That it has fired is told (schedule.Fired) in the first transaction that its handler writes, and that is the one of
 * the row at the latest. The event is named after schedule and due time, so that it is told once, also when the handler
 * has to begin again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "io/store_runs.h"
#include "plugin/host_plan.h"
#include "plugin/lua_vm.h"

#define LOOK_MS 60000 /* the wall clock may be set */
#define RETRY_MS 1000
#define PAUSE_MS 30000
#define ATTEMPTS_MAX 5 /* of one that comes only once */

struct peri_plan {
    struct peri_host *host;
    char *id, *plugin_id;
    const char *name; /* the tail of id */
    char *text;
    struct peri_value *spec;
    struct peri_plan_timing timing;
    int64_t anchor_ms, last_ms, next_ms;
    int64_t begun_ms;
    int64_t due_ms; /* of what has begun */
    struct peri_job *job;
    unsigned serial, begun_serial; /* a plan that its own handler has changed is another one */
    int attempts;
    bool gone;
};

/* --- what is planned --- */

void peri_plans_free_changes(struct peri_plan_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(changes[i].name);
        free(changes[i].text);
    }
    free(changes);
}

static void free_plan(struct peri_plan *plan)
{
    peri_tz_destroy(plan->timing.tz);
    peri_value_unref(plan->spec);
    free(plan->text);
    free(plan->plugin_id);
    free(plan->id);
    free(plan);
}

static void drop_plan(struct peri_plan *plan)
{
    peri_map_remove(plan->host->plans, plan->id);
    plan->gone = true;
    if (!plan->job)
        free_plan(plan);
}

static bool set_spec(struct peri_plan *plan, const char *text)
{
    struct peri_value *spec = NULL;
    struct peri_plan_timing timing;
    struct peri_error err = {0};
    char *copy = peri_strdup(text);
    if (!copy || peri_json_parse(text, strlen(text), &spec, &err) ||
        peri_plan_timing(plan->host, spec, &timing, &err)) {
        peri_warn(plan->host->options.log, "plugins", "the schedule %s can not be used: %s", plan->id, err.message);
        peri_value_unref(spec);
        free(copy);
        return false;
    }
    peri_tz_destroy(plan->timing.tz);
    peri_value_unref(plan->spec);
    free(plan->text);
    plan->timing = timing;
    plan->spec = spec;
    plan->text = copy;
    plan->serial++;
    plan->attempts = 0;
    return true;
}

static struct peri_plan *make_plan(struct peri_host *host, const char *id)
{
    const char *name = strchr(id, '/');
    size_t skip = strlen("plugin:");
    struct peri_plan *plan = name ? calloc(1, sizeof(*plan)) : NULL;
    if (!plan)
        return NULL;
    plan->host = host;
    plan->id = peri_strdup(id);
    plan->plugin_id = peri_strndup(id + skip, (size_t)(name - id) - skip);
    if (!plan->id || !plan->plugin_id || !peri_map_set(host->plans, id, plan, NULL)) {
        free_plan(plan);
        return NULL;
    }
    plan->name = plan->id + (name - id) + 1;
    return plan;
}

static void put_plan(struct peri_host *host, const char *id, const char *text, int64_t anchor_ms, int64_t last_ms)
{
    struct peri_plan *plan = peri_map_get(host->plans, id);
    if (plan && peri_streq(plan->text, text))
        return;
    if (!plan && !(plan = make_plan(host, id)))
        return;
    if (!set_spec(plan, text)) {
        drop_plan(plan);
        return;
    }
    plan->anchor_ms = anchor_ms;
    plan->last_ms = last_ms;
    plan->next_ms = peri_plan_next(&plan->timing, anchor_ms, last_ms);
}

static enum peri_status take_row(void *arg, const struct peri_schedule_row *row)
{
    if (peri_str_starts(row->id, "plugin:"))
        put_plan(arg, row->id, row->spec, row->anchor_ms, row->last_ms);
    return PERI_OK;
}

static void load_plans(struct peri_host *host)
{
    struct peri_error err = {0};
    struct peri_reader *reader = host->plans_loaded ? NULL : peri_host_reader(host);
    if (!reader)
        return;
    host->plans_loaded = true;
    if (peri_reader_schedules(reader, take_row, host, &err))
        peri_warn(host->options.log, "plugins", "schedules of plugins can not be read: %s", err.message);
}

void peri_plans_apply(struct peri_job *job)
{
    struct peri_host *host = job->host;
    load_plans(host); /* before: what is in the store already must not look new */
    for (size_t i = 0; i < job->plan_count; i++) {
        char *id = peri_asprintf("plugin:%s/%s", job->plugin->id, job->plans[i].name);
        struct peri_plan *plan = id ? peri_map_get(host->plans, id) : NULL;
        if (id && job->plans[i].text)
            put_plan(host, id, job->plans[i].text, job->plans[i].anchor_ms, 0);
        else if (plan)
            drop_plan(plan);
        free(id);
    }
    peri_plans_free_changes(job->plans, job->plan_count);
    job->plans = NULL;
    job->plan_count = job->plan_cap = 0;
    peri_plans_arm(host);
}

/* --- firing --- */

static void has_fired(struct peri_plan *plan, int64_t now)
{
    plan->attempts = 0;
    plan->last_ms = plan->timing.kind == PERI_PLAN_EVERY ? now : plan->begun_ms;
    plan->next_ms = peri_plan_next(&plan->timing, plan->anchor_ms, plan->last_ms);
}

/* The handler's own changes to its schedule count more than that it has fired. */
static bool changed_itself(const struct peri_plan *plan, const struct peri_job *job)
{
    if (plan->gone || plan->serial != plan->begun_serial)
        return true;
    for (size_t i = 0; i < job->plan_count; i++)
        if (!strcmp(job->plans[i].name, plan->name))
            return true;
    return false;
}

static enum peri_status add_fired(struct peri_batch *batch, const struct peri_plan *plan, int64_t now)
{
    bool once = plan->timing.kind == PERI_PLAN_AFTER;
    int64_t last = plan->timing.kind == PERI_PLAN_EVERY ? now : plan->begun_ms;
    return peri_plan_row(batch, plan->id, once ? NULL : plan->text, plan->anchor_ms, last, false);
}

void peri_plans_mark(struct peri_job *job)
{
    const struct peri_plan *plan = job->arg;
    if (job->kind != PERI_JOB_SCHEDULE || changed_itself(plan, job))
        return;
    if (!job->batch)
        job->batch = peri_batch_create();
    if (job->batch)
        (void)!add_fired(job->batch, plan, peri_clock_wall_ms(&job->host->options.clock));
}

static void row_stored(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct peri_host *host = arg;
    host->commits--;
    if (st)
        peri_warn(host->options.log, "plugins", "a schedule was not stored: %s", err ? err->message : "");
}

/* Nothing when nobody hears it. */
static enum peri_status add_told(struct peri_batch *batch, const struct peri_plan *plan)
{
    struct peri_event *event = peri_host_due_event(plan->host, plan->id, plan->due_ms, plan->begun_ms);
    return event ? peri_batch_event(batch, event) : PERI_OK;
}

/* The handler failed: what it wrote is gone, the row and those who hear of it still have to know. */
static void store_fired(struct peri_plan *plan, int64_t now, bool row)
{
    struct peri_host *host = plan->host;
    struct peri_batch *batch = host->options.ops.submit ? peri_batch_create() : NULL;
    if (!batch || add_told(batch, plan) || (row && add_fired(batch, plan, now)) || !peri_batch_count(batch)) {
        peri_batch_destroy(batch);
        return;
    }
    host->commits++;
    if (host->options.ops.insist)
        host->options.ops.insist(host->options.ops.ctx, batch, row_stored, host);
    else if (host->options.ops.submit(host->options.ops.ctx, batch, row_stored, host) != PERI_OK) {
        host->commits--;
        peri_batch_destroy(batch);
    }
}

static void failed(struct peri_plan *plan, const struct peri_error *err, int64_t now)
{
    struct peri_host *host = plan->host;
    const struct peri_plugin *p = peri_host_plugin(host, plan->plugin_id);
    bool once = plan->timing.kind == PERI_PLAN_AFTER;
    if (once && err->retryable && ++plan->attempts < ATTEMPTS_MAX) {
        plan->next_ms = now + (err->retry_after_ms > 0 ? err->retry_after_ms : (int64_t)PAUSE_MS << plan->attempts);
        store_fired(plan, now, false);
        return;
    }
    peri_warn(host->options.log, p ? p->area : "plugins", "schedule %s%s: %s [%s]", plan->name,
        once ? " is given up" : "", err->message, err->code);
    store_fired(plan, now, true);
    if (once)
        drop_plan(plan);
    else
        has_fired(plan, now);
}

static void fired(struct peri_job *job, const struct peri_call_result *result)
{
    struct peri_plan *plan = job->arg;
    struct peri_host *host = plan->host;
    int64_t now = peri_clock_wall_ms(&host->options.clock);
    bool changed = plan->gone || plan->serial != plan->begun_serial;
    plan->job = NULL;
    if (changed && result->status && !host->closing)
        store_fired(plan, now, false);
    if (plan->gone) {
        free_plan(plan);
        return;
    }
    if (host->closing || (result->status && !strcmp(result->error.code, "stopping")))
        return; /* the next start fires it again */
    if (!changed) {
        if (result->status)
            failed(plan, &result->error, now);
        else if (plan->timing.kind == PERI_PLAN_AFTER)
            drop_plan(plan);
        else
            has_fired(plan, now);
    }
    peri_plans_arm(host);
}

static struct peri_value *about(const struct peri_plan *plan)
{
    struct peri_value *v = peri_value_map();
    struct peri_value *data = peri_map_at(plan->spec, "data");
    enum peri_status st = v ? peri_map_put_text(v, "name", plan->name) : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_time(v, "due", plan->next_ms);
    if (!st)
        st = peri_map_put_int(v, "attempt", plan->attempts + 1);
    if (!st && plan->last_ms)
        st = peri_map_put_time(v, "last", plan->last_ms);
    if (!st && data)
        st = peri_map_put_ref(v, "data", data);
    if (st) {
        peri_value_unref(v);
        return NULL;
    }
    return v;
}

/* The version that is in service now has no sync, and nobody has dropped its schedule. */
static void forget(struct peri_plan *plan)
{
    struct peri_host *host = plan->host;
    struct peri_batch *batch = host->options.ops.submit ? peri_batch_create() : NULL;
    plan->next_ms = INT64_MAX;
    free(plan->text); /* made again, it is a new one */
    plan->text = NULL;
    host->commits++;
    if (!batch || peri_plan_row(batch, plan->id, NULL, 0, 0, false) ||
        host->options.ops.submit(host->options.ops.ctx, batch, row_stored, host) != PERI_OK) {
        host->commits--;
        peri_batch_destroy(batch);
    }
}

/* Its batch begins with what is to be told. False: memory is out. */
static bool begin_telling(struct peri_plan *plan, struct peri_job *job)
{
    plan->due_ms = plan->timing.kind == PERI_PLAN_AFTER ? plan->timing.at_ms : plan->next_ms;
    job->batch = peri_batch_create();
    if (!job->batch || add_told(job->batch, plan))
        return false;
    if (!peri_batch_count(job->batch)) {
        peri_batch_destroy(job->batch);
        job->batch = NULL;
    }
    return true;
}

static void fire(struct peri_plan *plan, struct peri_plugin *p, int64_t now)
{
    const char *run = peri_map_text(plan->spec, "run");
    if (!p->has_sync && peri_streq(run, PERI_CONNECTOR_SYNC)) {
        forget(plan);
        return;
    }
    struct peri_error err = {0};
    struct peri_job *job = peri_job_create(p, PERI_JOB_SCHEDULE);
    plan->begun_ms = now;
    plan->begun_serial = plan->serial;
    if (job) {
        job->params = about(plan);
        job->name = job->own_name = run ? peri_strdup(run) : peri_asprintf("schedule:%s", plan->name);
        job->path[0] = run ? "jobs" : PERI_VM_KEPT;
        job->path[1] = job->name;
        job->finish = fired;
        job->arg = plan;
    }
    if (!job || !job->params || !job->name || !begin_telling(plan, job)) {
        peri_job_free(job);
        plan->next_ms = now + RETRY_MS;
        return;
    }
    plan->job = job;
    if (peri_job_start(job, false, &err)) { /* busy, or at rest */
        plan->job = NULL;
        plan->next_ms = now + (err.retry_after_ms > 0 ? err.retry_after_ms : RETRY_MS);
    }
}

static struct peri_plugin *able(const struct peri_plan *plan)
{
    struct peri_plugin *p = plan->job ? NULL : peri_host_plugin(plan->host, plan->plugin_id);
    return p && p->state == PERI_PLUGIN_ACTIVE ? p : NULL;
}

struct tick {
    int64_t now, next;
};

static bool look(const char *id, void *value, void *arg)
{
    struct peri_plan *plan = value;
    struct tick *tick = arg;
    struct peri_plugin *p = able(plan);
    if (p && plan->next_ms <= tick->now)
        fire(plan, p, tick->now);
    if (able(plan) && plan->next_ms < tick->next)
        tick->next = plan->next_ms;
    return true;
}

static void due(void *arg)
{
    struct peri_host *host = arg;
    host->plan_timer = NULL;
    peri_plans_tick(host);
}

void peri_plans_tick(struct peri_host *host)
{
    struct tick tick = {.now = peri_clock_wall_ms(&host->options.clock), .next = INT64_MAX};
    if (host->closing)
        return;
    load_plans(host);
    peri_map_each(host->plans, look, &tick);
    peri_timer_cancel(host->plan_timer);
    host->plan_timer = NULL;
    if (tick.next == INT64_MAX)
        return;
    int64_t wait = tick.next > tick.now ? tick.next - tick.now : 0;
    if (peri_loop_after(host->options.loop, wait < LOOK_MS ? wait : LOOK_MS, due, host, &host->plan_timer))
        host->plan_timer = NULL;
}

/* A turn of the loop later: the caller may be in the middle of something. */
void peri_plans_arm(struct peri_host *host)
{
    if (host->closing || !host->options.store)
        return;
    peri_timer_cancel(host->plan_timer);
    if (peri_loop_after(host->options.loop, 0, due, host, &host->plan_timer))
        host->plan_timer = NULL;
}

static bool free_one(const char *id, void *value, void *arg)
{
    free_plan(value);
    return true;
}

void peri_plans_finish(struct peri_host *host)
{
    peri_timer_cancel(host->plan_timer);
    host->plan_timer = NULL;
    if (host->plans)
        peri_map_each(host->plans, free_one, NULL);
    peri_map_destroy(host->plans, NULL);
    host->plans = NULL;
}
