/* SPDX-License-Identifier: Apache-2.0 */
/* A sync in pages: each is a call of the handler with limits and a transaction of its own. What it returns second, the
 * cursor, is given to the next as options.cursor; without one the sync is over. What the items mean does not fail for
 * coming fast: the next page waits until the plugin's rate has room for the last. */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "plugin/host_internal.h"

#define PAGES_MAX 10000
#define BUSY_MS 1000
#define ENTITIES_OF_ONE 100 /* entities that count as one operation */

struct peri_pages {
    struct peri_timer *timer;
    struct peri_taken total;
    struct peri_usage usage;
    int64_t count;
    bool last; /* only its pause is left */
};

void peri_pages_stop(struct peri_job *job)
{
    if (job->pages)
        peri_timer_cancel(job->pages->timer);
    if (job->pages)
        job->pages->timer = NULL;
}

void peri_pages_free(struct peri_job *job)
{
    peri_pages_stop(job);
    free(job->pages);
    job->pages = NULL;
    peri_value_unref(job->cursor);
    job->cursor = NULL;
}

/* --- on the worker --- */

enum peri_status peri_pages_charge(struct peri_job *job, const struct peri_taken *taken, struct peri_error *err)
{
    struct peri_plugin *p = job->plugin;
    double rate = (double)p->limits.operations_per_second;
    struct peri_bucket *b = &p->items;
    job->taken = *taken;
    job->pause_ms = 0;
    if (rate <= 0 || p->native)
        return PERI_OK;
    peri_bucket_fill(b, job, rate);
    if (b->tokens < 0) {
        peri_error_set(err, PERI_ELIMIT, "limit.rate",
            "what the plugin has fetched before is more than %lld items a second", (long long)rate);
        err->retryable = true;
        err->retry_after_ms = (long)(-b->tokens * 1000 / rate) + 1;
        return PERI_ELIMIT;
    }
    b->tokens -= (double)(taken->events + (taken->entities + ENTITIES_OF_ONE - 1) / ENTITIES_OF_ONE);
    if (b->tokens < 0)
        job->pause_ms = (int64_t)(-b->tokens * 1000 / rate) + 1;
    return PERI_OK;
}

enum peri_status peri_pages_cursor(struct peri_job *job, struct peri_value *cursor, struct peri_error *err)
{
    bool none = !cursor || peri_value_is(cursor, PERI_NULL) ||
                (peri_value_is(cursor, PERI_BOOL) && !peri_value_as_bool(cursor));
    if (none) {
        peri_value_unref(cursor);
        return PERI_OK;
    }
    const struct peri_value *before = peri_map_at(job->params, "cursor");
    bool same = before && peri_value_equal(before, cursor), secret = peri_value_names_secret(cursor);
    if (same || secret) {
        peri_value_unref(cursor);
        return peri_error_set(err, PERI_EINVAL, "bad_result", "%s",
            same ? "sync has returned the cursor that it was called with: the next page would be this one again"
                 : "the cursor holds a secret");
    }
    job->cursor = cursor;
    return PERI_OK;
}

/* --- on the loop --- */

static void add_page(struct peri_job *job, struct peri_pages *pages)
{
    pages->count++;
    pages->total.items += job->taken.items;
    pages->total.entities += job->taken.entities;
    pages->total.events += job->taken.events;
    pages->usage.instructions += job->usage.instructions;
    pages->usage.running_us += job->usage.running_us;
    if (job->usage.memory_bytes > pages->usage.memory_bytes)
        pages->usage.memory_bytes = job->usage.memory_bytes;
    job->usage = pages->usage;
}

/* The options of the next page. NULL: memory is out. */
static struct peri_value *options_of(const struct peri_job *job)
{
    struct peri_value *own = peri_value_is(job->params, PERI_MAP) ? peri_value_copy(job->params) : peri_value_map();
    if (own && !peri_map_put_ref(own, "cursor", job->cursor))
        return own;
    peri_value_unref(own);
    return NULL;
}

static enum peri_status turn_page(struct peri_job *job, struct peri_error *err)
{
    struct peri_value *options = options_of(job);
    if (!options)
        return peri_error_nomem(err);
    peri_value_unref(job->params);
    job->params = options;
    peri_value_unref(job->cursor);
    job->cursor = NULL;
    peri_value_unref(job->value);
    job->value = NULL;
    job->finishing = false;
    job->host_calls = 0;
    return PERI_OK;
}

static bool wait_for_room(struct peri_job *job, int64_t ms, struct peri_error *err);

static void paused(void *arg)
{
    struct peri_job *job = arg;
    struct peri_error err = {0};
    job->pages->timer = NULL;
    if (job->pages->last) {
        peri_job_end(job, NULL);
        return;
    }
    if (!peri_job_send(job, false, &err))
        return;
    if (strcmp(err.code, "busy") != 0 || !wait_for_room(job, BUSY_MS, &err))
        peri_job_end(job, &err);
}

static bool wait_for_room(struct peri_job *job, int64_t ms, struct peri_error *err)
{
    peri_job_rest(job);
    if (!peri_loop_after(job->host->options.loop, ms, paused, job, &job->pages->timer))
        return true;
    job->pages->timer = NULL;
    peri_error_nomem(err);
    return false;
}

static enum peri_status tell_total(struct peri_job *job, struct peri_error *err)
{
    enum peri_status st = peri_job_taken(&job->pages->total, &job->value, err);
    if (!st && job->pages->count > 1 && peri_map_put_int(job->value, "pages", job->pages->count))
        st = peri_error_nomem(err);
    return st;
}

bool peri_pages_go_on(struct peri_job *job, struct peri_error *err)
{
    /* Nobody waits for the answer of a schedule: it can wait for room, so that its next time does not fail. */
    bool waits = job->pause_ms > 0 && job->kind == PERI_JOB_SCHEDULE;
    if (!job->cursor && !job->pages && !waits)
        return false;
    if (!job->pages && !(job->pages = calloc(1, sizeof(*job->pages)))) {
        peri_error_nomem(err);
        return false;
    }
    PERI_FAILPOINT("sync.page");
    add_page(job, job->pages);
    if (job->cursor && job->pages->count >= PAGES_MAX) {
        peri_error_set(err, PERI_ELIMIT, "limit.pages", "a sync has at most %d pages", PAGES_MAX);
        return false;
    }
    job->pages->last = !job->cursor;
    if (job->pages->last && (tell_total(job, err) || !waits))
        return false;
    if (!job->pages->last && turn_page(job, err))
        return false;
    return wait_for_room(job, job->pause_ms, err);
}

void peri_pages_name(const struct peri_job *job, struct peri_error *err)
{
    if (job->pages && !job->pages->last)
        peri_error_prefix(err, "page %lld", (long long)job->pages->count + 1);
}
