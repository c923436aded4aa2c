/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers do with the model: reads go to the worker's own connection, writes are collected in the job's batch,
 * which the loop commits when the handler has ended well. Every permission check for data, storage and events is here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "base/vec.h"
#include "data/json.h"
#include "lang/glob.h"
#include "plugin/host_internal.h"

#define STORED_AGE_MAX 256 /* writes between two counts of what a plugin stores */

/* NULL without a database: reads find nothing then. */
struct peri_reader *peri_job_reader(struct peri_job *job)
{
    struct peri_worker *w = job->worker;
    struct peri_error err = {0};
    enum peri_status st = PERI_OK;
    if (w->reader)
        return w->reader;
    /* The command line reads the service's data and writes to a scratch store: the path that was named counts. */
    if (job->host->database)
        st = peri_reader_open(job->host->database, &w->reader, &err);
    else if (job->host->options.store)
        st = peri_store_reader(job->host->options.store, &w->reader, &err);
    if (st) {
        w->reader = NULL;
        peri_debug(job->host->options.log, "plugin", "no data to read: %s", err.message);
    }
    return w->reader;
}

bool peri_job_dirty(const struct peri_job *job)
{
    return job->batch && peri_batch_count(job->batch) > 0;
}

void peri_bucket_fill(struct peri_bucket *b, const struct peri_job *job, double rate)
{
    int64_t now = peri_clock_mono(&job->host->options.clock).ns / 1000000;
    double most = rate * PERI_HOST_RATE_BURST;
    b->tokens = b->filled_ms ? b->tokens + (double)(now - b->filled_ms) * rate / 1000 : most;
    if (b->tokens > most)
        b->tokens = most;
    b->filled_ms = now ? now : 1;
}

/* One operation of the plugin's allowance: data, storage, events, network, other plugins. */
enum peri_status peri_job_spend(struct peri_job *job, struct peri_error *err)
{
    struct peri_plugin *p = job->plugin;
    struct peri_bucket *b = &p->bucket;
    int64_t rate = p->limits.operations_per_second;
    if (rate <= 0 || p->native || job->taking)
        return PERI_OK;
    peri_bucket_fill(b, job, (double)rate);
    if (b->tokens >= 1) {
        b->tokens--;
        return PERI_OK;
    }
    peri_error_set(err, PERI_ELIMIT, "limit.rate", "a plugin may use %lld operations a second (%d times that at once)",
        (long long)rate, PERI_HOST_RATE_BURST);
    if (err) {
        err->retryable = true;
        err->retry_after_ms = (long)((1 - b->tokens) * 1000 / (double)rate) + 1;
    }
    return PERI_ELIMIT;
}

enum peri_status peri_job_denied(
    const struct peri_job *job, const char *permission, const char *arg, struct peri_error *err)
{
    char what[300];
    snprintf(what, sizeof(what), "%s%.250s", permission, arg);
    peri_ledger_violation(job, "denied", what);
    return peri_error_set(
        err, PERI_EDENIED, "denied", "plugin %s was not granted %s%s", job->plugin->id, permission, arg);
}

static enum peri_status may_read(const struct peri_job *job, const char *type, struct peri_error *err)
{
    return peri_grants_data(job->plugin->grants, "read", type) ? PERI_OK
                                                               : peri_job_denied(job, "data:read:", type, err);
}

enum peri_status peri_job_may_change(const struct peri_job *job, const char *what, struct peri_error *err)
{
    if (job->kind != PERI_JOB_CONDITION)
        return PERI_OK;
    return peri_error_set(err, PERI_EDENIED, "denied",
        "a condition may not %s: it is evaluated again and again, also for what-if questions", what);
}

/* The job's batch, made when it is first needed and never larger than its bounds. */
enum peri_status peri_job_batch(struct peri_job *job, struct peri_error *err)
{
    if (!job->batch) {
        job->batch = peri_batch_create();
        job->stored_keys = job->stored_bytes = 0;
    }
    if (!job->batch)
        return peri_error_nomem(err);
    if (peri_batch_count(job->batch) >= PERI_HOST_BATCH_ITEMS || peri_batch_bytes(job->batch) >= PERI_HOST_BATCH_BYTES)
        return peri_error_set(err, PERI_ELIMIT, "limit.writes", "one call may write at most %d items or %u MiB",
            PERI_HOST_BATCH_ITEMS, PERI_HOST_BATCH_BYTES >> 20);
    return PERI_OK;
}

static enum peri_status check_query_keys(const struct peri_value *request, struct peri_error *err)
{
    static const char *const known[] = {"type", "where", "order", "limit", "offset", "count", NULL};
    for (void *it = peri_map_first(request); it; it = peri_map_next(request, it)) {
        const char *const *k = known;
        while (*k && strcmp(*k, peri_map_key(it, NULL)))
            k++;
        if (!*k)
            return peri_error_set(err, PERI_EINVAL, "bad_argument",
                "unknown key \"%s\" in a query: where, order, limit, offset, count are there", peri_map_key(it, NULL));
    }
    return PERI_OK;
}

enum peri_status peri_job_query(struct peri_job *job, const struct peri_value *request, bool count,
    struct peri_value **ret, size_t *ret_count, struct peri_error *err)
{
    const char *type = peri_map_text(request, "type");
    enum peri_status st = type ? check_query_keys(request, err)
                               : peri_error_set(err, PERI_EINVAL, "bad_argument", "a query needs a type");
    if (!st)
        st = peri_job_spend(job, err);
    if (!st)
        st = may_read(job, type, err);
    if (st)
        return st;
    int64_t limit = peri_map_int(request, "limit", 0), offset = peri_map_int(request, "offset", 0);
    if (limit < 0 || limit > 10000 || offset < 0)
        return peri_error_set(
            err, PERI_EINVAL, "bad_argument", "limit must lie between 1 and 10000, offset must not be negative");
    const struct peri_value *where = peri_map_at(request, "where");
    struct peri_query q = {
        .type = peri_entity_type_singular(type),
        .where = peri_value_count(where) ? where : NULL,
        .order = peri_map_text(request, "order"),
        .limit = (size_t)limit,
        .offset = (size_t)offset,
        .as_of = job->kind == PERI_JOB_CONDITION ? job->as_of : 0,
        .count_only = count,
    };
    struct peri_reader *reader = peri_job_reader(job);
    if (!reader) {
        *ret_count = 0;
        *ret = count ? NULL : peri_value_list();
        return PERI_OK;
    }
    st = peri_reader_query(reader, &q, ret, ret_count, err);
    for (size_t i = 0; !st && *ret && job->host->options.reads && i < peri_value_count(*ret); i++)
        job->host->options.reads(job->host->options.reads_ctx, q.type, peri_list_at(*ret, i));
    return st;
}

/* Only if it was there at the position that a condition looks from. */
static enum peri_status get_as_of(
    struct peri_job *job, const char *type, const char *id, struct peri_value **ret, struct peri_error *err)
{
    struct peri_value *where = peri_value_map(), *list = NULL;
    struct peri_query q = {.type = type, .where = where, .limit = 1, .as_of = job->as_of};
    size_t count = 0;
    enum peri_status st = where ? peri_map_put_text(where, "id", id) : PERI_ENOMEM;
    if (st == PERI_OK)
        st = peri_reader_query(peri_job_reader(job), &q, &list, &count, err);
    if (st == PERI_OK && count == 0)
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no %s %s", type, id);
    else if (st == PERI_OK)
        *ret = peri_value_ref(peri_list_at(list, 0));
    peri_value_unref(list);
    peri_value_unref(where);
    return st;
}

enum peri_status peri_job_get(
    struct peri_job *job, const char *type, const char *id, struct peri_value **ret, struct peri_error *err)
{
    enum peri_status st = may_read(job, type, err);
    if (!st)
        st = peri_job_spend(job, err);
    if (st)
        return st;
    struct peri_reader *reader = peri_job_reader(job);
    if (reader && job->kind == PERI_JOB_CONDITION && job->as_of)
        st = get_as_of(job, peri_entity_type_singular(type), id, ret, err);
    else
        st = reader ? peri_reader_entity(reader, peri_entity_type_singular(type), id, ret, err) : PERI_ENOTFOUND;
    if (!st && job->host->options.reads)
        job->host->options.reads(job->host->options.reads_ctx, peri_entity_type_singular(type), *ret);
    return st;
}

/* The id that the entity will have: known before the commit, so that the handler can refer to it. */
static enum peri_status find_id(
    struct peri_job *job, const char *type, const struct peri_value *patch, char id[128], struct peri_error *err)
{
    const char *given = peri_map_text(patch, "id");
    int64_t now = peri_clock_wall_ms(&job->host->options.clock);
    struct peri_reader *reader = peri_job_reader(job);
    if (reader)
        return peri_entity_id(reader, type, patch, now, id, err);
    if (given && *given && strlen(given) < 128) {
        memcpy(id, given, strlen(given) + 1);
        return PERI_OK;
    }
    return peri_ulid(now, id) ? peri_error_set(err, PERI_EIO, NULL, "no random numbers") : PERI_OK;
}

enum peri_status peri_job_put(
    struct peri_job *job, const char *type, const struct peri_value *fields, char id[128], struct peri_error *err)
{
    const char *entity = peri_entity_type_singular(type);
    if (!peri_grants_data(job->plugin->grants, "write", type))
        return peri_job_denied(job, "data:write:", type, err);
    enum peri_status st = peri_job_may_change(job, "write data", err);
    if (!st)
        st = peri_job_spend(job, err);
    if (!st && !peri_value_is(fields, PERI_MAP))
        st = peri_error_set(err, PERI_EINVAL, "bad_argument", "the fields of an entity are a table with names");
    if (!st)
        st = peri_entity_type_check(entity, err);
    if (!st)
        st = peri_job_batch(job, err);
    if (st)
        return st;
    struct peri_value *patch = peri_value_copy(fields);
    if (!patch)
        return peri_error_nomem(err);
    if (peri_map_at(patch, "externalId") && !peri_map_at(patch, "source"))
        st = peri_map_put_text(patch, "source", job->plugin->id);
    if (!st)
        st = find_id(job, entity, patch, id, err);
    if (!st)
        st = peri_map_put_text(patch, "id", id);
    if (st) {
        peri_value_unref(patch);
        return err && err->status ? st : peri_error_nomem(err);
    }
    st = peri_batch_entity_put(job->batch, entity, patch);
    return st ? peri_error_set(err, st, NULL, "%s can not be written: %s", entity, peri_status_name(st)) : PERI_OK;
}

enum peri_status peri_job_delete(struct peri_job *job, const char *type, const char *id, struct peri_error *err)
{
    if (!peri_grants_data(job->plugin->grants, "write", type))
        return peri_job_denied(job, "data:write:", type, err);
    enum peri_status st = peri_job_may_change(job, "delete data", err);
    if (!st)
        st = peri_job_spend(job, err);
    if (!st)
        st = peri_entity_type_check(peri_entity_type_singular(type), err);
    if (!st && !*id)
        st = peri_error_set(err, PERI_EINVAL, "bad_argument", "id is empty");
    if (!st)
        st = peri_job_batch(job, err);
    if (st)
        return st;
    st = peri_batch_entity_delete(job->batch, peri_entity_type_singular(type), id);
    return st ? peri_error_set(err, st, NULL, "%s can not be deleted: %s", type, peri_status_name(st)) : PERI_OK;
}

/* --- events --- */

/* The names of sources are believed: a plugin has one of its own, and any that stands for something outside. */
static enum peri_status check_source(const struct peri_job *job, const char *source, struct peri_error *err)
{
    if (peri_str_starts(source, "perigee:") ||
        (peri_str_starts(source, "plugin:") && strcmp(source + strlen("plugin:"), job->plugin->id)))
        return peri_error_set(
            err, PERI_EDENIED, "denied", "\"%s\" is no source that plugin %s may name", source, job->plugin->id);
    return PERI_OK;
}

static enum peri_status event_options(
    const struct peri_job *job, struct peri_event *event, const struct peri_value *options, struct peri_error *err)
{
    static const char *const known[] = {"id", "time", "subject", "source", NULL};
    for (void *it = peri_map_first(options); it; it = peri_map_next(options, it)) {
        size_t len = 0;
        const char *key = peri_map_key(it, NULL), *text = peri_value_textn(peri_map_item(it), &len);
        const char *const *k = known;
        while (*k && strcmp(*k, key))
            k++;
        if (!*k)
            return peri_error_set(err, PERI_EINVAL, "bad_argument",
                "unknown key \"%s\" for an event: id, time, subject, source are there", key);
        if (!strcmp(key, "time")) {
            double ms = peri_value_is_number(peri_map_item(it)) ? peri_value_as_real(peri_map_item(it)) : 0;
            if (!(ms >= -62135596800000.0 && ms <= 253402300799999.0))
                return peri_error_set(err, PERI_EINVAL, "bad_argument", "time must lie in the years 1 to 9999");
            if (peri_value_is_number(peri_map_item(it)))
                event->time_ms = (int64_t)ms;
            else if (!text || !peri_time_parse(text, strlen(text), &event->time_ms))
                return peri_error_set(
                    err, PERI_EINVAL, "bad_argument", "time must be an RFC 3339 text or ms since 1970");
            continue;
        }
        if (!text || !*text || len > 1024 || strlen(text) != len || !peri_text_is_plain(text))
            return peri_error_set(err, PERI_EINVAL, "bad_argument",
                "%s of an event must be a text of 1 to 1024 bytes without control characters", key);
        if (!strcmp(key, "source") && check_source(job, text, err))
            return PERI_EDENIED;
        char **to = !strcmp(key, "id")        ? &event->external_id
                    : !strcmp(key, "subject") ? &event->subject
                                              : &event->source;
        free(*to);
        if (!(*to = peri_strdup(text)))
            return peri_error_nomem(err);
    }
    return PERI_OK;
}

static enum peri_status fill_event(struct peri_job *job, struct peri_event *event, const char *type,
    const struct peri_value *data, const struct peri_value *options, struct peri_error *err)
{
    int64_t now = peri_clock_wall_ms(&job->host->options.clock);
    event->type = peri_strdup(type);
    event->source = peri_asprintf("plugin:%s", job->plugin->id);
    event->data = peri_json_text(data, PERI_JSON_SORTED); /* Lua tables have no order: the same data is the same text */
    event->cause = peri_strdup(job->run_id);
    event->time_ms = event->received_ms = now;
    event->hops = job->event ? job->event->hops + 1 : 0;
    if (!event->type || !event->source || !event->data || (job->run_id && !event->cause))
        return peri_error_nomem(err);
    event->data_len = strlen(event->data);
    if (event->data_len > PERI_HOST_EVENT_BYTES)
        return peri_error_set(err, PERI_ELIMIT, "too_large", "an event holds at most %d bytes", PERI_HOST_EVENT_BYTES);
    return event_options(job, event, options, err);
}

static const struct peri_event_decl *declared(const struct peri_job *job, const char *name)
{
    const struct peri_manifest *m = job->plugin->manifest;
    for (size_t i = 0; i < m->event_count; i++)
        if (peri_glob_match(m->events[i].name, name) || !strcmp(m->events[i].name, name))
            return &m->events[i];
    return NULL;
}

/* What the manifest says about events of this type holds. Types that it does not name are free. */
static enum peri_status check_declared(
    const struct peri_job *job, const char *type, const struct peri_value *data, struct peri_error *err)
{
    const struct peri_event_decl *decl = declared(job, type);
    struct peri_schema_report report = {0};
    enum peri_status st = PERI_OK;
    if (!decl)
        return PERI_OK;
    if (!decl->publish)
        return peri_error_set(
            err, PERI_EDENIED, "event.direction", "the manifest says that %s is heard, not published", type);
    struct peri_value *none = data ? NULL : peri_value_null();
    if (decl->schema)
        st = peri_schema_check(decl->schema, data ? data : none, &report);
    if (st == PERI_ENOMEM)
        peri_error_nomem(err);
    else if (st)
        st = peri_error_set(err, PERI_EINVAL, "event.schema", "data of %s%s%s: %s", type,
            report.count && report.items[0].pointer[0] ? " at " : "", report.count ? report.items[0].pointer : "",
            report.count ? report.items[0].message : "not what its schema says");
    peri_schema_report_finish(&report);
    peri_value_unref(none);
    char *text = !st && decl->max_bytes ? peri_json_text(data, PERI_JSON_COMPACT) : NULL;
    if (text && (int64_t)strlen(text) > decl->max_bytes)
        st = peri_error_set(err, PERI_ELIMIT, "too_large", "the data of %s has %zu bytes, its maxPayloadBytes is %lld",
            type, strlen(text), (long long)decl->max_bytes);
    free(text);
    return st;
}

enum peri_status peri_job_subscribe(
    struct peri_job *job, const char *glob, bool off, bool from_now, uint64_t since, struct peri_error *err)
{
    struct peri_error why = {0};
    enum peri_status st = peri_job_may_change(job, "subscribe to events", err);
    if (!st && peri_glob_check(glob, &why))
        st = peri_error_set(err, PERI_EINVAL, "bad_argument", "%s", why.message);
    if (!st && !peri_grants_subscribe_glob(job->plugin->grants, glob))
        st = peri_job_denied(job, "event:subscribe:", glob, err);
    const struct peri_event_decl *decl = st ? NULL : declared(job, glob);
    if (decl && !decl->subscribe && !off)
        st = peri_error_set(
            err, PERI_EDENIED, "event.direction", "the manifest says that %s is published, not heard", glob);
    if (!st && job->sub_count >= PERI_HOST_SUBS)
        st = peri_error_set(
            err, PERI_ELIMIT, "limit.subscriptions", "a plugin has at most %d subscriptions", PERI_HOST_SUBS);
    if (!st)
        st = peri_job_spend(job, err);
    if (st)
        return st;
    char *copy = peri_strdup(glob);
    if (!copy || !peri_vec_grow(&job->subs, &job->sub_cap, job->sub_count + 1, sizeof(*job->subs))) {
        free(copy);
        return peri_error_nomem(err);
    }
    job->subs[job->sub_count++] =
        (struct peri_sub_change){.glob = copy, .off = off, .from_now = from_now, .since = since};
    return PERI_OK;
}

enum peri_status peri_job_emit(struct peri_job *job, const char *type, const struct peri_value *data,
    const struct peri_value *options, struct peri_error *err)
{
    enum peri_status st = peri_event_type_check(type, err);
    if (st) {
        peri_error_set(err, st, "bad_argument", "%s", err ? err->message : "");
        return st;
    }
    if (!peri_grants_publish(job->plugin->grants, type))
        return peri_job_denied(job, "event:publish:", type, err);
    st = peri_job_may_change(job, "emit events", err);
    if (!st)
        st = check_declared(job, type, data, err);
    if (!st)
        st = peri_job_spend(job, err);
    if (!st)
        st = peri_job_batch(job, err);
    if (st)
        return st;
    struct peri_event *event = peri_event_create();
    if (!event)
        return peri_error_nomem(err);
    st = fill_event(job, event, type, data, options, err);
    if (st) {
        peri_event_unref(event);
        return st;
    }
    st = peri_batch_event(job->batch, event);
    return st ? peri_error_nomem(err) : PERI_OK;
}

/* --- storage --- */

enum peri_status peri_job_kv_get(struct peri_job *job, const char *key, struct peri_value **ret, struct peri_error *err)
{
    struct peri_reader *reader = peri_job_reader(job);
    if (!peri_grants_uses(job->plugin->grants, "storage:read"))
        return peri_job_denied(job, "storage:read", "", err);
    enum peri_status st = peri_job_spend(job, err);
    if (st || !reader)
        return st ? st : PERI_ENOTFOUND;
    return peri_reader_kv_get(reader, job->plugin->id, key, peri_clock_wall_ms(&job->host->options.clock), ret, err);
}

enum peri_status peri_job_kv_list(
    struct peri_job *job, const char *prefix, struct peri_value **ret, struct peri_error *err)
{
    struct peri_reader *reader = peri_job_reader(job);
    if (!peri_grants_uses(job->plugin->grants, "storage:read") &&
        !peri_grants_uses(job->plugin->grants, "storage:write"))
        return peri_job_denied(job, "storage:read", "", err);
    enum peri_status st = peri_job_spend(job, err);
    if (st)
        return st;
    if (!reader) {
        *ret = peri_value_list();
        return *ret ? PERI_OK : peri_error_nomem(err);
    }
    return peri_reader_kv_list(reader, job->plugin->id, prefix, peri_clock_wall_ms(&job->host->options.clock),
        (size_t)job->plugin->limits.storage_keys + 1, ret, err);
}

/* What the plugin stores, counted again every so often: batches that were dropped, and what has expired, are not seen
 * in between. */
static enum peri_status count_stored(struct peri_job *job, bool now, struct peri_error *err)
{
    struct peri_plugin *p = job->plugin;
    struct peri_reader *reader = peri_job_reader(job);
    if (reader && (now || p->stored_age == 0)) {
        int64_t at = peri_clock_wall_ms(&job->host->options.clock);
        enum peri_status st = peri_reader_kv_size(reader, p->id, at, &p->stored_keys, &p->stored_bytes, err);
        if (st)
            return st;
        p->stored_keys += job->stored_keys; /* on the way */
        p->stored_bytes += job->stored_bytes;
        p->stored_age = 0;
    }
    p->stored_age = (p->stored_age + 1) % STORED_AGE_MAX;
    return PERI_OK;
}

static int64_t stored_size(const char *key, const struct peri_value *value)
{
    char *text = peri_json_text(value, PERI_JSON_COMPACT);
    int64_t n = (int64_t)strlen(key) + (text ? (int64_t)strlen(text) : 0);
    free(text);
    return n;
}

static bool has_room(const struct peri_plugin *p, int64_t keys, int64_t bytes)
{
    return p->stored_keys + keys <= p->limits.storage_keys && p->stored_bytes + bytes <= p->limits.storage_bytes;
}

/* Is there room for value (NULL: the key goes)? */
static enum peri_status check_room(
    struct peri_job *job, const char *key, const struct peri_value *value, struct peri_error *err)
{
    struct peri_plugin *p = job->plugin;
    struct peri_value *old = NULL;
    struct peri_reader *reader = peri_job_reader(job);
    int64_t now = peri_clock_wall_ms(&job->host->options.clock);
    if (!reader)
        return PERI_OK;
    enum peri_status st = count_stored(job, false, err);
    if (st)
        return st;
    bool is_new = peri_reader_kv_get(reader, p->id, key, now, &old, NULL) != PERI_OK;
    int64_t keys = (value ? 1 : 0) - (is_new ? 0 : 1);
    int64_t bytes = (value ? stored_size(key, value) : 0) - (is_new ? 0 : stored_size(key, old));
    peri_value_unref(old);
    bool grows = keys > 0 || bytes > 0;
    if (grows && !has_room(p, keys, bytes)) {
        st = count_stored(job, true, err);
        if (!st && !has_room(p, keys, bytes))
            st = peri_error_set(err, PERI_ELIMIT, "limit.storage", "a plugin stores at most %lld keys and %lld bytes",
                (long long)p->limits.storage_keys, (long long)p->limits.storage_bytes);
    }
    if (!st) {
        p->stored_keys += keys;
        p->stored_bytes += bytes;
        job->stored_keys += keys;
        job->stored_bytes += bytes;
    }
    return st;
}

static enum peri_status put_stored(
    struct peri_job *job, const char *key, const struct peri_value *value, int64_t expires, struct peri_error *err)
{
    enum peri_status st = peri_job_batch(job, err);
    if (!st)
        st = check_room(job, key, value, err);
    if (st)
        return st;
    st = peri_batch_kv_set(job->batch, job->plugin->id, key, peri_value_ref(value), expires);
    return st ? peri_error_set(err, st, NULL, "storage can not be written: %s", peri_status_name(st)) : PERI_OK;
}

static enum peri_status may_store(struct peri_job *job, struct peri_error *err)
{
    if (!peri_grants_uses(job->plugin->grants, "storage:write"))
        return peri_job_denied(job, "storage:write", "", err);
    enum peri_status st = peri_job_may_change(job, "change its storage", err);
    return st ? st : peri_job_spend(job, err);
}

enum peri_status peri_job_kv_set(
    struct peri_job *job, const char *key, const struct peri_value *value, int64_t ttl_ms, struct peri_error *err)
{
    enum peri_status st = may_store(job, err);
    int64_t expires = ttl_ms > 0 ? peri_clock_wall_ms(&job->host->options.clock) + ttl_ms : 0;
    return st ? st : put_stored(job, key, value, expires, err);
}

/* --- compare and set: decided by the store, in the transaction that writes --- */

struct peri_swap {
    _Atomic int refs; /* the operation's and the batch's */
    char *plugin, *key;
    struct peri_value *expected, *value;
    int64_t expires_ms, now_ms;
    bool set;
};

void peri_swap_unref(struct peri_swap *swap)
{
    if (!swap || atomic_fetch_sub(&swap->refs, 1) > 1)
        return;
    free(swap->plugin);
    free(swap->key);
    peri_value_unref(swap->expected);
    peri_value_unref(swap->value);
    free(swap);
}

static void drop_swap(void *arg)
{
    peri_swap_unref(arg);
}

static enum peri_status swap_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct peri_swap *swap = arg;
    return peri_tx_kv_swap(
        tx, swap->plugin, swap->key, swap->expected, swap->value, swap->expires_ms, swap->now_ms, &swap->set, err);
}

enum peri_status peri_job_kv_swap(struct peri_job *job, const char *key, const struct peri_value *expected,
    const struct peri_value *value, int64_t ttl_ms, struct peri_swap **ret, struct peri_error *err)
{
    int64_t now = peri_clock_wall_ms(&job->host->options.clock);
    enum peri_status st = may_store(job, err);
    if (!st && !peri_grants_uses(job->plugin->grants, "storage:read"))
        st = peri_job_denied(job, "storage:read", "", err);
    if (!st)
        st = peri_job_batch(job, err);
    if (!st)
        st = check_room(job, key, value, err);
    if (st)
        return st;
    struct peri_swap *swap = calloc(1, sizeof(*swap));
    if (!swap)
        return peri_error_nomem(err);
    atomic_init(&swap->refs, 1);
    swap->plugin = peri_strdup(job->plugin->id);
    swap->key = peri_strdup(key);
    swap->expected = expected ? peri_value_copy(expected) : NULL;
    swap->value = value ? peri_value_copy(value) : NULL;
    swap->expires_ms = ttl_ms > 0 ? now + ttl_ms : 0;
    swap->now_ms = now;
    bool ok = swap->plugin && swap->key && (!expected || swap->expected) && (!value || swap->value);
    if (ok)
        atomic_fetch_add(&swap->refs, 1);
    if (!ok || peri_batch_fn(job->batch, 512, swap_tx, swap, drop_swap)) {
        peri_swap_unref(swap);
        return peri_error_nomem(err);
    }
    *ret = swap;
    return PERI_OK;
}

/* A dry run writes nothing: what would have come of it. */
bool peri_swap_done(struct peri_job *job, const struct peri_swap *swap)
{
    struct peri_reader *reader = job->dry_run ? peri_job_reader(job) : NULL;
    struct peri_value *stored = NULL;
    if (!job->dry_run)
        return swap->set;
    if (reader && peri_reader_kv_get(reader, swap->plugin, swap->key, swap->now_ms, &stored, NULL))
        stored = NULL;
    bool same = stored && swap->expected ? peri_value_equal(stored, swap->expected) : !stored && !swap->expected;
    peri_value_unref(stored);
    return same;
}

enum peri_status peri_job_kv_clear(struct peri_job *job, const struct peri_value *keys, struct peri_error *err)
{
    enum peri_status st = may_store(job, err);
    for (size_t i = 0; !st && i < peri_value_count(keys); i++)
        st = put_stored(job, peri_value_text(peri_list_at(keys, i)), NULL, 0, err);
    return st;
}

/* --- the event, the log --- */

static struct peri_value *event_map(const struct peri_event *e, const struct peri_value *payload)
{
    char id[PERI_ID_TEXT];
    struct peri_value *v = peri_value_map(), *data = NULL;
    if (payload)
        data = peri_value_ref(payload);
    else if (peri_json_parse(e->data, e->data_len, &data, NULL))
        data = peri_value_null();
    enum peri_status st = v ? PERI_OK : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_text(v, "id", e->seq ? peri_event_id(e->seq, id) : e->external_id);
    if (!st)
        st = peri_map_put_text(v, "type", e->type);
    if (!st)
        st = peri_map_put_text(v, "source", e->source);
    if (!st)
        st = peri_map_put_text(v, "subject", e->subject);
    if (!st)
        st = peri_map_put_time(v, "time", e->time_ms ? e->time_ms : e->received_ms);
    if (!st)
        st = peri_map_put_ref(v, "data", data);
    peri_value_unref(data);
    if (st) {
        peri_value_unref(v);
        return NULL;
    }
    return v;
}

const struct peri_value *peri_job_event(struct peri_job *job)
{
    if (!job->event_value && job->event && job->event->data)
        job->event_value = event_map(job->event, job->payload);
    return job->event_value;
}

void peri_job_log(struct peri_job *job, enum peri_log_level level, const char *text, const struct peri_value *data)
{
    struct peri_log *log = job->host->options.log;
    if (!peri_log_enabled(log, level) || job->log_full)
        return;
    char *extra = data ? peri_json_text(data, PERI_JSON_COMPACT) : NULL;
    job->log_bytes += strlen(text) + (extra ? strlen(extra) : 0) + 32;
    if (job->log_bytes > (size_t)job->plugin->limits.log_bytes) {
        job->log_full = true;
        peri_warn(log, job->plugin->area, "logs more than %lld bytes in one call: the rest is dropped",
            (long long)job->plugin->limits.log_bytes);
    } else {
        peri_log_write(log, level, job->plugin->area, "%.*s%s%.*s", PERI_HOST_LOG_LINE / 2, text, extra ? " " : "",
            PERI_HOST_LOG_LINE / 2, extra ? extra : "");
    }
    free(extra);
}
