/* SPDX-License-Identifier: Apache-2.0 */
/* What a spec does to its world: calls, requests from outside, events, data; and what it sees of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/bed.h"
#include "app/call_view.h"
#include "app/spec_bed.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "base/vec.h"
#include "data/json.h"
#include "io/store_data.h"

#define LOOK_ROWS 1000
#define PUBLIC_URL "https://perigee.test" /* http.public_url of a spec's world */

/* ---- calls ---- */

static struct peri_spec_call *new_call(struct peri_spec_bed *bed)
{
    struct peri_spec_call *call = calloc(1, sizeof(*call));
    if (!call || !peri_vec_grow(&bed->calls, &bed->call_cap, bed->call_count + 1, sizeof(struct peri_spec_call *))) {
        free(call);
        return NULL;
    }
    call->number = ++bed->last_call;
    bed->calls[bed->call_count++] = call;
    return call;
}

struct peri_spec_call *peri_spec_bed_find(struct peri_spec_bed *bed, uint64_t number)
{
    for (size_t i = 0; i < bed->call_count; i++)
        if (bed->calls[i]->number == number)
            return bed->calls[i];
    return NULL;
}

void peri_spec_bed_drop(struct peri_spec_bed *bed, struct peri_spec_call *call)
{
    for (size_t i = 0; i < bed->call_count; i++)
        if (bed->calls[i] == call) {
            bed->calls[i] = bed->calls[--bed->call_count];
            break;
        }
    peri_value_unref(call->answer);
    free(call);
}

static struct peri_value *answer_value(const struct peri_call_result *result)
{
    struct peri_value *v = peri_call_value(result), *error = peri_map_at(v, "error");
    bool good = v && !peri_map_put_bool(v, "is_condition", result->is_condition);
    if (good && error && result->error.retry_after_ms > 0)
        good = !peri_map_put(error, "retry_after", peri_value_real((double)result->error.retry_after_ms / 1000));
    if (good && error && result->error.outcome_unknown)
        good = !peri_map_put_text(error, "outcome", "unknown");
    if (good)
        return v;
    peri_value_unref(v);
    return NULL;
}

static void called(void *arg, const struct peri_call_result *result)
{
    struct peri_spec_call *call = arg;
    call->answer = answer_value(result);
    call->done = true;
}

static enum peri_status event_of(
    struct peri_spec_bed *bed, const struct peri_value *given, struct peri_event **ret, struct peri_error *err)
{
    struct peri_value *whole = peri_value_copy(given);
    enum peri_status st = whole ? peri_map_put_text(whole, "specversion", "1.0") : PERI_ENOMEM;
    if (st == PERI_OK && !peri_map_at(whole, "data"))
        st = peri_map_put(whole, "data", peri_value_map());
    if (st == PERI_OK)
        st = peri_call_event(whole, peri_clock_wall_ms(&bed->clock), ret, err);
    peri_value_unref(whole);
    return st == PERI_ENOMEM ? peri_error_nomem(err) : st;
}

static enum peri_status call_operator(
    struct peri_spec_bed *bed, const struct peri_value *given, struct peri_spec_call *call, struct peri_error *err)
{
    const struct peri_value *params = peri_map_at(given, "params"), *event = peri_map_at(given, "event");
    struct peri_value *none = params ? NULL : peri_value_map();
    const char *first = peri_map_text(given, "first");
    struct peri_call c = {.operator_id = peri_map_text(given, "operator"),
        .params = params ? params : none,
        .rule_id = peri_map_text(given, "rule"),
        .rule_name = peri_map_text(given, "rule"),
        .run_id = peri_map_text(given, "run"),
        .idempotency_key = peri_map_text(given, "key"),
        .ask_first = peri_map_bool(given, "lookup", false),
        .dry_run = peri_map_bool(given, "dry_run", false),
        .timeout_ms = peri_map_int(given, "timeout_ms", 0)};
    struct peri_event *made = NULL;
    enum peri_status st = c.params ? PERI_OK : peri_error_nomem(err);
    if (st == PERI_OK && event)
        st = event_of(bed, event, &made, err);
    if (st)
        goto out;
    c.event = made;
    if (c.ask_first && (!first || !peri_time_parse(first, strlen(first), &c.first_ms)))
        c.first_ms = peri_clock_wall_ms(&bed->clock);
    struct peri_error why = {0};
    enum peri_status refused = peri_host_call(bed->host, &c, called, call, &why);
    if (refused) {
        struct peri_call_result result = {.status = refused, .error = why};
        called(call, &result);
    }
out:
    peri_event_unref(made);
    peri_value_unref(none);
    return st;
}

/* {status, headers, body | body64, error?} */
static void responded(void *arg, const struct peri_webhook_response *response)
{
    struct peri_spec_call *call = arg;
    struct peri_value *v = peri_value_map(), *headers = peri_value_map();
    bool good = v && headers && !peri_map_put_int(v, "status", response->status);
    for (size_t i = 0; good && i < response->header_count; i++)
        good = !peri_map_put_text(headers, response->headers[i].name, response->headers[i].value);
    if (good && response->content_type)
        good = !peri_map_put_text(headers, "content-type", response->content_type);
    good =
        good && !peri_map_put_ref(v, "headers", headers) && !peri_spec_put_body(v, response->body, response->body_len);
    if (good && response->error.status)
        good = !peri_map_put(v, "error", peri_error_value(&response->error));
    peri_value_unref(headers);
    if (!good)
        peri_value_unref(v);
    call->answer = good ? v : NULL;
    call->done = true;
}

static enum peri_status call_webhook(
    struct peri_spec_bed *bed, const struct peri_value *given, struct peri_spec_call *call, struct peri_error *err)
{
    const struct peri_value *headers = peri_map_at(given, "headers");
    const char *plugin = peri_map_text(given, "plugin"), *path = peri_map_text(given, "webhook");
    const char *query = peri_map_text(given, "query"), *method = peri_map_text(given, "method");
    size_t n = 0, len = 0;
    char *body = NULL, *url = peri_asprintf(PUBLIC_URL "/hooks/%s%s%s%s", plugin ? plugin : "", path,
                           query && *query ? "?" : "", query ? query : "");
    struct peri_http_field *fields = calloc(peri_value_count(headers) + 1, sizeof(*fields));
    enum peri_status st = url && fields ? peri_spec_get_body(given, &body, &len, err) : peri_error_nomem(err);
    for (void *it = peri_map_first(headers); st == PERI_OK && it; it = peri_map_next(headers, it))
        if (peri_value_text(peri_map_item(it)))
            fields[n++] = (struct peri_http_field){peri_map_key(it, NULL), peri_value_text(peri_map_item(it))};
    struct peri_webhook_request request = {.plugin_id = plugin ? plugin : "",
        .path = path,
        .method = method ? method : "POST",
        .url = url,
        .headers = fields,
        .header_count = n,
        .query = query ? query : "",
        .body = body,
        .body_len = len,
        .remote = "192.0.2.1"};
    if (st == PERI_OK)
        peri_host_webhook(bed->host, &request, responded, call);
    free(fields);
    free(body);
    free(url);
    return st;
}

enum peri_status peri_spec_bed_call(
    struct peri_spec_bed *bed, const struct peri_value *given, struct peri_spec_call **ret, struct peri_error *err)
{
    struct peri_spec_call *call = new_call(bed);
    if (!call)
        return peri_error_nomem(err);
    enum peri_status st =
        peri_map_text(given, "webhook") ? call_webhook(bed, given, call, err) : call_operator(bed, given, call, err);
    if (st)
        peri_spec_bed_drop(bed, call);
    else
        *ret = call;
    return st;
}

/* ---- events ---- */

enum peri_status peri_spec_bed_emit(struct peri_spec_bed *bed, const struct peri_value *given, struct peri_error *err)
{
    struct peri_bed_write write = {0};
    struct peri_event *event = NULL;
    struct peri_batch *batch = peri_batch_create();
    enum peri_status st = batch ? event_of(bed, given, &event, err) : peri_error_nomem(err);
    if (st == PERI_OK && peri_batch_event(batch, event))
        st = peri_error_nomem(err);
    if (st == PERI_OK)
        st = peri_pipeline_submit(bed->pipeline, batch, peri_bed_written, &write, err);
    if (st) {
        peri_batch_destroy(batch);
        return st;
    }
    st = peri_spec_bed_wait(bed, &write.done, err);
    if (st == PERI_OK && write.st) {
        *err = write.err;
        st = write.st;
    }
    return st ? st : peri_spec_bed_settle(bed, err);
}

/* ---- data and storage ---- */

struct change {
    const struct peri_value *request;
    int64_t now_ms;
    struct peri_value *made;
};

static enum peri_status change_data(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct change *c = arg;
    const struct peri_value *r = c->request;
    const char *verb = peri_map_text(r, "verb"), *type = peri_map_text(r, "type"), *key = peri_map_text(r, "key");
    int64_t ttl = peri_map_int(r, "ttl_ms", 0);
    if (peri_streq(verb, "put"))
        return peri_tx_entity_put(tx, type, peri_map_at(r, "fields"), &c->made, NULL, err);
    if (peri_streq(verb, "delete"))
        return peri_tx_entity_delete(tx, type, peri_map_text(r, "id"), NULL, err);
    return peri_tx_kv_set(
        tx, peri_map_text(r, "plugin"), key, peri_map_at(r, "value"), ttl > 0 ? c->now_ms + ttl : 0, err);
}

static enum peri_status read_data(struct peri_spec_bed *bed, const char *verb, const struct peri_value *r,
    struct peri_value **ret, struct peri_error *err)
{
    int64_t now = peri_clock_wall_ms(&bed->clock);
    const char *type = peri_map_text(r, "type"), *plugin = peri_map_text(r, "plugin");
    const char *key = peri_map_text(r, "key");
    size_t count;
    if (peri_streq(verb, "get"))
        return peri_reader_entity(bed->reader, type, peri_map_text(r, "id"), ret, err);
    if (peri_streq(verb, "value"))
        return peri_reader_kv_get(bed->reader, plugin, key, now, ret, err);
    if (peri_streq(verb, "keys"))
        return peri_reader_kv_list(bed->reader, plugin, key ? key : "", now, LOOK_ROWS, ret, err);
    struct peri_query query = {.type = type,
        .where = peri_map_at(r, "where"),
        .order = peri_map_text(r, "order"),
        .limit = (size_t)peri_map_int(r, "limit", LOOK_ROWS)};
    return peri_reader_query(bed->reader, &query, ret, &count, err);
}

enum peri_status peri_spec_bed_data(
    struct peri_spec_bed *bed, const struct peri_value *request, struct peri_value **ret, struct peri_error *err)
{
    static const char *const verbs[] = {"put", "delete", "set", "get", "query", "value", "keys", NULL};
    const char *verb = peri_map_text(request, "verb");
    struct change change = {request, peri_clock_wall_ms(&bed->clock), NULL};
    size_t i = 0;
    while (verbs[i] && !peri_streq(verbs[i], verb))
        i++;
    bool storage = i == 2 || i >= 5;
    if (!verbs[i] || !peri_map_text(request, storage ? "plugin" : "type"))
        return peri_error_set(err, PERI_EINVAL, "spec", "data: no such request");
    enum peri_status st =
        i < 3 ? peri_store_run(bed->store, change_data, &change, err) : read_data(bed, verb, request, ret, err);
    if (i < 3)
        *ret = change.made;
    return st == PERI_ENOTFOUND ? PERI_OK : st;
}

/* ---- what has happened ---- */

static bool look_at_events(struct peri_spec_bed *bed, struct peri_value *into)
{
    for (size_t more = 1; more;) {
        /* after 0 means none: then the newest come first. */
        struct peri_event_filter filter = {.after = bed->seen_event, .limit = LOOK_ROWS};
        struct peri_value *page = NULL;
        if (peri_reader_events(bed->reader, &filter, &page, NULL))
            return false;
        more = peri_value_count(page);
        for (size_t i = 0; i < more; i++) {
            struct peri_value *event = peri_list_at(page, filter.after ? i : more - 1 - i);
            uint64_t seq = 0;
            (void)peri_event_id_parse(peri_map_text(event, "id"), &seq);
            bed->seen_event = seq > bed->seen_event ? seq : bed->seen_event;
            if (peri_list_push(into, peri_value_ref(event)))
                more = 0;
        }
        peri_value_unref(page);
    }
    return true;
}

static bool look_at_outbox(struct peri_spec_bed *bed, struct peri_value *into)
{
    struct peri_value *list = NULL;
    if (peri_reader_outbox(bed->reader, 0, LOOK_ROWS, &list, NULL))
        return false;
    uint64_t seen = bed->seen_message;
    for (size_t i = peri_value_count(list); i-- > 0;) {
        struct peri_value *message = peri_list_at(list, i);
        const char *id = peri_map_text(message, "id");
        long long n = 0;
        if (!id || !peri_parse_i64(id + strlen("ob-"), &n) || (uint64_t)n <= seen)
            continue;
        bed->seen_message = (uint64_t)n;
        (void)!peri_list_push(into, peri_value_ref(message));
    }
    peri_value_unref(list);
    return true;
}

struct peri_value *peri_spec_bed_news(struct peri_spec_bed *bed)
{
    struct peri_value *news = peri_value_map(), *events = peri_value_list(), *logs = peri_value_list();
    struct peri_value *sent = bed->sent, *fresh = peri_value_list();
    bool good = news && events && logs && fresh;
    if (good) {
        pthread_mutex_lock(&bed->lock);
        struct peri_value *taken = bed->logs;
        bed->logs = logs;
        logs = taken;
        pthread_mutex_unlock(&bed->lock);
        bed->sent = fresh;
        fresh = sent;
        good = look_at_events(bed, events) && look_at_outbox(bed, sent) && !peri_map_put_ref(news, "events", events) &&
               !peri_map_put_ref(news, "logs", logs) && !peri_map_put_ref(news, "sent", sent) &&
               !peri_map_put_int(news, "now_ms", peri_clock_wall_ms(&bed->clock));
    }
    peri_value_unref(events);
    peri_value_unref(logs);
    peri_value_unref(fresh);
    if (good)
        return news;
    peri_value_unref(news);
    return NULL;
}
