/* SPDX-License-Identifier: Apache-2.0 */
/* Specs of plugins' schedules, and what handlers do with them on a worker. */
#include "plugin/host_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "io/store_runs.h"
#include "plugin/grants.h"

#define EVERY_MIN_MS 1000
#define NAME_BYTES 100

/* --- specs --- */

static enum peri_status read_cron(
    const struct peri_host *host, const struct peri_value *spec, struct peri_plan_timing *ret, struct peri_error *err)
{
    const char *cron = peri_map_text(spec, "cron"), *zone = peri_map_text(spec, "timezone");
    int64_t next;
    enum peri_status st = cron ? peri_cron_parse(cron, &ret->cron, NULL, err)
                               : peri_error_set(err, PERI_EINVAL, "bad_argument", "cron is missing");
    if (!st)
        st = peri_tz_load(host->options.tz,
            zone                     ? zone
            : host->options.timezone ? host->options.timezone
                                     : "UTC",
            &ret->tz, err);
    if (!st && peri_cron_next(&ret->cron, ret->tz, PERI_DST_ONCE, 0, &next))
        st = peri_error_set(err, PERI_EINVAL, "bad_argument", "\"%s\" never comes", cron);
    if (!st)
        return PERI_OK;
    peri_tz_destroy(ret->tz);
    ret->tz = NULL;
    if (err)
        snprintf(err->code, sizeof(err->code), "bad_argument");
    return st;
}

enum peri_status peri_plan_timing(
    const struct peri_host *host, const struct peri_value *spec, struct peri_plan_timing *ret, struct peri_error *err)
{
    const char *kind = peri_map_text(spec, "kind");
    *ret = (struct peri_plan_timing){
        .every_ms = peri_map_int(spec, "every_ms", 0), .at_ms = peri_map_int(spec, "at_ms", 0)};
    if (peri_streq(kind, "cron"))
        return read_cron(host, spec, ret, err);
    ret->kind = peri_streq(kind, "every") ? PERI_PLAN_EVERY : PERI_PLAN_AFTER;
    if (ret->kind == PERI_PLAN_EVERY && ret->every_ms < EVERY_MIN_MS)
        return peri_error_set(err, PERI_EINVAL, "bad_argument", "every needs a gap of at least 1 s");
    return PERI_OK;
}

int64_t peri_plan_next(const struct peri_plan_timing *t, int64_t anchor_ms, int64_t last_ms)
{
    int64_t from = last_ms > anchor_ms ? last_ms : anchor_ms, next;
    if (t->kind == PERI_PLAN_EVERY)
        return from + t->every_ms;
    if (t->kind == PERI_PLAN_AFTER)
        return t->at_ms;
    return peri_cron_next(&t->cron, t->tz, PERI_DST_ONCE, from, &next) ? INT64_MAX : next;
}

/* --- the row --- */

struct row_change {
    char *id, *text;
    int64_t anchor_ms, last_ms;
    bool keep;
};

static void free_row(void *arg)
{
    struct row_change *r = arg;
    free(r->id);
    free(r->text);
    free(r);
}

static enum peri_status write_row(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct row_change *r = arg;
    struct peri_schedule_row row = {r->id, r->text, r->anchor_ms, r->last_ms};
    if (!r->text)
        return peri_tx_schedule_drop(tx, r->id, err);
    return r->keep ? peri_tx_schedule_set(tx, &row, err) : peri_tx_schedule_put(tx, &row, err);
}

enum peri_status peri_plan_row(
    struct peri_batch *batch, const char *id, const char *text, int64_t anchor_ms, int64_t last_ms, bool keep)
{
    struct row_change *r = calloc(1, sizeof(*r));
    if (!r)
        return PERI_ENOMEM;
    *r = (struct row_change){peri_strdup(id), peri_strdup(text), anchor_ms, last_ms, keep};
    if (!r->id || (text && !r->text)) {
        free_row(r);
        return PERI_ENOMEM;
    }
    return peri_batch_fn(batch, 256, write_row, r, free_row);
}

/* --- what handlers do --- */

static enum peri_status check_plan(
    struct peri_job *job, const char *name, const struct peri_value *spec, struct peri_error *err)
{
    struct peri_plan_timing timing;
    size_t n = strlen(name);
    if (n == 0 || n > NAME_BYTES)
        return peri_error_set(err, PERI_EINVAL, "bad_argument", "the name of a schedule has 1 to %d bytes", NAME_BYTES);
    if (!peri_text_is_plain(name))
        return peri_error_set(err, PERI_EINVAL, "bad_argument", "the name of a schedule holds a control character");
    enum peri_status st = spec ? peri_plan_timing(job->host, spec, &timing, err) : PERI_OK;
    if (!st && spec)
        peri_tz_destroy(timing.tz);
    return st;
}

struct listing {
    struct peri_job *job;
    const char *prefix;
    struct peri_value *list;
    size_t count;
    const char *but; /* not counted */
};

static enum peri_status count_row(void *arg, const struct peri_schedule_row *row)
{
    struct listing *l = arg;
    l->count += peri_str_starts(row->id, l->prefix) && strcmp(row->id + strlen(l->prefix), l->but) != 0;
    return PERI_OK;
}

static enum peri_status check_count(struct peri_job *job, const char *name, struct peri_error *err)
{
    char *prefix = peri_asprintf("plugin:%s/", job->plugin->id);
    struct peri_reader *reader = peri_job_reader(job);
    struct listing l = {.job = job, .prefix = prefix, .but = name, .count = job->plan_count};
    enum peri_status st = prefix ? PERI_OK : peri_error_nomem(err);
    if (!st && reader)
        st = peri_reader_schedules(reader, count_row, &l, err);
    if (!st && l.count >= PERI_HOST_PLANS)
        st = peri_error_set(err, PERI_ELIMIT, "limit.schedules", "a plugin has at most %d schedules", PERI_HOST_PLANS);
    free(prefix);
    return st;
}

static enum peri_status may_plan(
    struct peri_job *job, const char *name, const struct peri_value *spec, struct peri_error *err)
{
    if (!peri_grants_uses(job->plugin->grants, "scheduler:write"))
        return peri_job_denied(job, "scheduler:write", "", err);
    enum peri_status st = peri_job_may_change(job, "change schedules", err);
    if (!st)
        st = check_plan(job, name, spec, err);
    if (!st)
        st = peri_job_spend(job, err);
    if (!st && spec)
        st = check_count(job, name, err);
    return st ? st : peri_job_batch(job, err);
}

static enum peri_status add_plan(
    struct peri_job *job, const char *name, const struct peri_value *spec, struct peri_error *err)
{
    struct peri_plan_change change = {
        .name = peri_strdup(name), .anchor_ms = peri_clock_wall_ms(&job->host->options.clock)};
    char *id = peri_asprintf("plugin:%s/%s", job->plugin->id, name);
    if (spec)
        change.text = peri_json_text(spec, PERI_JSON_SORTED);
    bool ok = change.name && id && (!spec || change.text) &&
              peri_vec_grow(&job->plans, &job->plan_cap, job->plan_count + 1, sizeof(*job->plans)) &&
              !peri_plan_row(job->batch, id, change.text, change.anchor_ms, 0, true);
    free(id);
    if (!ok) {
        free(change.name);
        free(change.text);
        return peri_error_nomem(err);
    }
    job->plans[job->plan_count++] = change;
    return PERI_OK;
}

enum peri_status peri_job_plan(
    struct peri_job *job, const char *name, const struct peri_value *spec, struct peri_error *err)
{
    enum peri_status st = may_plan(job, name, spec, err);
    return st ? st : add_plan(job, name, spec, err);
}

enum peri_status peri_job_plan_sync(struct peri_job *job, int64_t every_ms, struct peri_error *err)
{
    struct peri_value *spec = every_ms ? peri_value_map() : NULL;
    enum peri_status st = peri_job_batch(job, err);
    if (!st && every_ms &&
        (!spec || peri_map_put_text(spec, "kind", "every") || peri_map_put_int(spec, "every_ms", every_ms) ||
            peri_map_put_text(spec, "run", PERI_CONNECTOR_SYNC)))
        st = peri_error_nomem(err);
    if (!st)
        st = add_plan(job, PERI_CONNECTOR_SYNC, spec, err);
    peri_value_unref(spec);
    return st;
}

/* The spec, with when it comes next in words of time. */
static enum peri_status describe(struct listing *l, const struct peri_schedule_row *row, struct peri_value **ret)
{
    struct peri_value *spec = NULL, *v = peri_value_map();
    struct peri_plan_timing t = {0};
    enum peri_status st = v ? peri_json_parse(row->spec, strlen(row->spec), &spec, NULL) : PERI_ENOMEM;
    if (!st)
        st = peri_plan_timing(l->job->host, spec, &t, NULL);
    if (!st)
        st = peri_map_put_text(v, "name", row->id + strlen(l->prefix));
    for (void *it = peri_map_first(spec); !st && it; it = peri_map_next(spec, it)) {
        const char *key = peri_map_key(it, NULL);
        st = strcmp(key, "at_ms") ? peri_map_put_ref(v, key, peri_map_item(it))
                                  : peri_map_put_time(v, "at", peri_value_as_int(peri_map_item(it)));
    }
    int64_t next = st ? INT64_MAX : peri_plan_next(&t, row->anchor_ms, row->last_ms);
    if (!st && next != INT64_MAX)
        st = peri_map_put_time(v, "next", next);
    if (!st && row->last_ms)
        st = peri_map_put_time(v, "last", row->last_ms);
    peri_tz_destroy(t.tz);
    peri_value_unref(spec);
    if (st)
        peri_value_unref(v);
    else
        *ret = v;
    return st;
}

static enum peri_status list_row(void *arg, const struct peri_schedule_row *row)
{
    struct listing *l = arg;
    struct peri_value *v = NULL;
    if (!peri_str_starts(row->id, l->prefix))
        return PERI_OK;
    enum peri_status st = describe(l, row, &v);
    return st ? st : peri_list_push(l->list, v);
}

enum peri_status peri_job_plans(struct peri_job *job, struct peri_value **ret, struct peri_error *err)
{
    if (!peri_grants_uses(job->plugin->grants, "scheduler:read"))
        return peri_job_denied(job, "scheduler:read", "", err);
    enum peri_status st = peri_job_spend(job, err);
    if (st)
        return st;
    struct peri_reader *reader = peri_job_reader(job);
    char *prefix = peri_asprintf("plugin:%s/", job->plugin->id);
    struct listing l = {.job = job, .prefix = prefix, .list = peri_value_list()};
    st = prefix && l.list ? PERI_OK : peri_error_nomem(err);
    if (!st && reader)
        st = peri_reader_schedules(reader, list_row, &l, err);
    free(prefix);
    if (st)
        peri_value_unref(l.list);
    else
        *ret = l.list;
    return st;
}
