/* SPDX-License-Identifier: Apache-2.0 */
#include "app/hooks.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "data/schema.h"
#include "run/cloudevents.h"

/* One path. What was counted of it outlives its rules' edits. */
struct door {
    char *path;
    struct peri_rule *owner;         /* holds the settings; NULL: no rule has it any more */
    const struct peri_webhook *hook; /* of the owner */
    char *event;
    struct peri_value *rules; /* ids of all rules on it */
    int64_t accepted, duplicates, rejected;
    int64_t rejected_ms;
    char reason[160];
    struct peri_metric *metrics[3];
};

struct peri_hooks {
    struct peri_secrets *secrets;
    struct peri_metrics *registry;
    struct door **doors; /* in the order in which they came */
    size_t count, cap;
    struct peri_map *by_path;
};

struct peri_hooks *peri_hooks_create(struct peri_secrets *secrets, struct peri_metrics *metrics)
{
    struct peri_hooks *h = calloc(1, sizeof(*h));
    if (!h || !(h->by_path = peri_map_create())) {
        free(h);
        return NULL;
    }
    h->secrets = secrets;
    h->registry = metrics;
    return h;
}

static void door_destroy(struct door *d)
{
    peri_rule_unref(d->owner);
    peri_value_unref(d->rules);
    free(d->event);
    free(d->path);
    free(d);
}

void peri_hooks_destroy(struct peri_hooks *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->count; i++)
        door_destroy(h->doors[i]);
    peri_map_destroy(h->by_path, NULL);
    free(h->doors);
    free(h);
}

/* ---- which there are ---- */

static void count_with(struct peri_hooks *h, struct door *d)
{
    static const char *const results[] = {"accepted", "duplicate", "rejected"};
    for (size_t i = 0; i < 3; i++) {
        char *labels = peri_asprintf("path=\"%s\",result=\"%s\"", d->path, results[i]); /* no path has a quote */
        if (labels && h->registry)
            d->metrics[i] = peri_metrics_counter(
                h->registry, "webhook_calls_total", labels, "Calls of the webhooks of rules, by path.");
        free(labels);
    }
}

static struct door *door_of(struct peri_hooks *h, const char *path)
{
    struct door *d = peri_map_get(h->by_path, path);
    if (d)
        return d;
    if (!peri_vec_grow(&h->doors, &h->cap, h->count + 1, sizeof(*h->doors)) || !(d = calloc(1, sizeof(*d))))
        return NULL;
    d->path = peri_strdup(path);
    if (!d->path || !peri_map_set(h->by_path, path, d, NULL)) {
        door_destroy(d);
        return NULL;
    }
    h->doors[h->count++] = d;
    count_with(h, d);
    return d;
}

/* A rule's first trigger of a path says how the door is; the others agree with it (see rulebook.c). */
static enum peri_status add(struct peri_hooks *h, struct peri_rule *rule, const struct peri_trigger *t)
{
    struct door *d = door_of(h, t->webhook->path);
    if (!d || (!d->rules && !(d->rules = peri_value_list())))
        return PERI_ENOMEM;
    if (!d->hook) {
        free(d->event);
        d->event = peri_strdup(t->event);
        d->owner = peri_rule_ref(rule);
        d->hook = t->webhook;
        if (!d->event)
            return PERI_ENOMEM;
    }
    size_t n = peri_value_count(d->rules);
    if (n > 0 && peri_streq(peri_value_text(peri_list_at(d->rules, n - 1)), rule->id))
        return PERI_OK;
    return peri_list_push(d->rules, peri_value_str(rule->id));
}

enum peri_status peri_hooks_set(struct peri_hooks *h, struct peri_rule *const *rules, size_t count)
{
    for (size_t i = 0; i < h->count; i++) {
        struct door *d = h->doors[i];
        peri_rule_unref(d->owner);
        peri_value_unref(d->rules);
        d->owner = NULL;
        d->hook = NULL;
        d->rules = NULL;
    }
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < count; i++)
        for (size_t k = 0; st == PERI_OK && k < rules[i]->trigger_count; k++)
            if (rules[i]->triggers[k].webhook)
                st = add(h, rules[i], &rules[i]->triggers[k]);
    return st;
}

/* ---- a request ---- */

static int refuse(struct peri_hook_answer *a, int status, const char *reason)
{
    a->status = status;
    snprintf(a->reason, sizeof(a->reason), "%s", reason);
    return status;
}

static bool is_private(const char *address)
{
    unsigned a = 0, b = 0;
    if (strncmp(address, "::ffff:", 7) == 0)
        address += 7;
    if (strcmp(address, "::1") == 0 || strcmp(address, "unix") == 0 || strncasecmp(address, "fe80:", 5) == 0)
        return true;
    if ((address[0] == 'f' || address[0] == 'F') && strchr("cCdD", address[1]) && strchr(address, ':'))
        return true; /* fc00::/7 */
    if (sscanf(address, "%3u.%3u.", &a, &b) != 2)
        return false;
    return a == 127 || a == 10 || (a == 192 && b == 168) || (a == 172 && b >= 16 && b <= 31) || (a == 169 && b == 254);
}

/* Behind a proxy every caller has the proxy's address: what it forwarded comes from elsewhere. */
static bool is_local(const struct peri_webhook_request *q)
{
    return q->remote && is_private(q->remote) && !peri_hook_header(q, "X-Forwarded-For") &&
           !peri_hook_header(q, "Forwarded");
}

static bool method_fits(const struct peri_webhook *hook, const char *method, struct peri_hook_answer *a)
{
    const char *name;
    size_t at = 0;
    for (size_t i = 0; (name = peri_webhook_method_at(i)); i++) {
        if (!(hook->methods & 1u << i))
            continue;
        if (strcmp(name, method) == 0)
            return true;
        int n = snprintf(a->allow + at, sizeof(a->allow) - at, "%s%s", at ? ", " : "", name);
        at += n > 0 && at + (size_t)n < sizeof(a->allow) ? (size_t)n : 0;
    }
    return false;
}

/* The body as a value: JSON, a form, or a text. NULL after a refusal. */
static struct peri_value *read_body(const struct peri_webhook_request *q, struct peri_hook_answer *a)
{
    const char *type = peri_hook_header(q, "Content-Type");
    struct peri_value *v = NULL;
    if (q->body_len == 0)
        return peri_value_null();
    if (type && peri_ce_media_type_is(type, "application/x-www-form-urlencoded"))
        v = peri_hook_fields(q->body, q->body_len);
    else if (type && peri_ce_media_type_json(type)) {
        if (peri_json_parse(q->body, q->body_len, &v, NULL) != PERI_OK) {
            refuse(a, 400, "the body is no JSON");
            return NULL;
        }
    } else if ((!type || strncasecmp(type, "text/", 5) == 0) && peri_utf8_valid(q->body, q->body_len, NULL)) {
        v = peri_value_strn(q->body, q->body_len);
        if (!v) {
            refuse(a, 400, "the body is no text");
            return NULL;
        }
    } else {
        refuse(a, 415, "the body is neither JSON nor a form nor a text");
        return NULL;
    }
    if (!v)
        refuse(a, 503, "out of memory");
    return v;
}

static struct peri_value *read_headers(const struct peri_webhook *hook, const struct peri_webhook_request *q)
{
    struct peri_value *map = peri_value_map();
    bool good = map != NULL;
    for (size_t i = 0; good && i < hook->header_count; i++) {
        const char *value = peri_hook_header(q, hook->headers[i]);
        if (value && peri_utf8_valid(value, strlen(value), NULL))
            good = peri_map_put_text(map, hook->headers[i], value) == PERI_OK;
    }
    if (good)
        return map;
    peri_value_unref(map);
    return NULL;
}

/* {method, path, query, headers, body}; the token is not part of it. */
static struct peri_value *event_data(
    const struct door *d, const struct peri_webhook_request *q, struct peri_value *body)
{
    struct peri_value *data = peri_value_map(), *headers = read_headers(d->hook, q),
                      *query = peri_hook_fields(q->query ? q->query : "", q->query ? strlen(q->query) : 0);
    if (query && d->hook->query)
        peri_map_drop(query, d->hook->query);
    bool good =
        data && headers && query && peri_map_put_text(data, "method", q->method) == PERI_OK &&
        peri_map_put_text(data, "path", d->path) == PERI_OK && peri_map_put_ref(data, "query", query) == PERI_OK &&
        peri_map_put_ref(data, "headers", headers) == PERI_OK && peri_map_put_ref(data, "body", body) == PERI_OK;
    peri_value_unref(headers);
    peri_value_unref(query);
    if (good)
        return data;
    peri_value_unref(data);
    return NULL;
}

static struct peri_event *make_event(
    const struct door *d, const struct peri_webhook_request *q, const struct peri_value *data, const char *source)
{
    const char *id = d->hook->delivery_id ? peri_hook_header(q, d->hook->delivery_id) : NULL;
    struct peri_event *event = peri_event_create();
    if (!event)
        return NULL;
    event->source = peri_strdup(source);
    event->type = peri_strdup(d->event);
    event->external_id = id && *id ? peri_strdup(id) : NULL;
    event->data = peri_json_text(data, PERI_JSON_COMPACT);
    if (event->source && event->type && event->data && (event->external_id || !id || !*id)) {
        event->data_len = strlen(event->data);
        return event;
    }
    peri_event_unref(event);
    return NULL;
}

static void let_in(struct door *d, const struct peri_webhook_request *q, struct peri_hook_answer *a)
{
    struct peri_value *body = read_body(q, a), *data = NULL;
    struct peri_event *event = NULL;
    if (!body)
        return;
    data = event_data(d, q, body);
    if (data && peri_value_names_secret(data)) {
        refuse(a, 400, "the body has a member that only a rule may have");
    } else {
        event = data ? make_event(d, q, data, a->source) : NULL;
        a->batch = event ? peri_batch_create() : NULL;
        if (!a->batch)
            peri_event_unref(event);
        if (a->batch && peri_batch_event(a->batch, event) != PERI_OK) {
            peri_batch_destroy(a->batch);
            a->batch = NULL;
        }
        if (!a->batch)
            refuse(a, 503, "out of memory");
    }
    peri_value_unref(data);
    peri_value_unref(body);
}

void peri_hooks_take(struct peri_hooks *h, const char *path, const struct peri_webhook_request *q, int64_t now_ms,
    struct peri_hook_answer *a)
{
    struct door *d = peri_map_get(h->by_path, path);
    char why[160];
    memset(a, 0, sizeof(*a));
    if (!d || !d->hook) {
        refuse(a, 404, "there is no such webhook");
        return;
    }
    snprintf(a->source, sizeof(a->source), "webhook:%s", d->path);
    if (d->hook->local_only && !is_local(q))
        refuse(a, 403, "this webhook is for the local network only");
    else if (!method_fits(d->hook, q->method, a))
        refuse(a, 405, "this webhook takes other methods");
    else if ((int64_t)q->body_len > d->hook->max_bytes)
        refuse(a, 413, "the body is too large");
    else if (!peri_hook_proves(d->hook, h->secrets, q, now_ms, why, sizeof(why)))
        refuse(a, 401, why);
    else
        let_in(d, q, a);
    if (a->status == 0)
        return;
    d->rejected++;
    d->rejected_ms = now_ms;
    snprintf(d->reason, sizeof(d->reason), "%s", a->reason);
    peri_metric_add(d->metrics[2], 1);
}

void peri_hooks_settle(struct peri_hooks *h, const char *path, bool accepted, bool duplicate)
{
    struct door *d = peri_map_get(h->by_path, path);
    if (!d)
        return;
    size_t which = !accepted ? 2 : duplicate ? 1 : 0;
    *(which == 0 ? &d->accepted : which == 1 ? &d->duplicates : &d->rejected) += 1;
    peri_metric_add(d->metrics[which], 1);
}

/* ---- telling ---- */

static struct peri_value *door_value(const struct door *d)
{
    static const char *const proofs[] = {"open", "token", "hmac", "stripe", "slack"};
    struct peri_value *v = peri_value_map(), *methods = peri_value_list(), *last = NULL;
    const char *name;
    bool good = v && methods && peri_map_put_text(v, "path", d->path) == PERI_OK &&
                peri_map_put_text(v, "event", d->event) == PERI_OK && peri_map_put_ref(v, "rules", d->rules) == PERI_OK;
    for (size_t i = 0; good && (name = peri_webhook_method_at(i)); i++)
        if (d->hook->methods & 1u << i)
            good = peri_list_push(methods, peri_value_str(name)) == PERI_OK;
    good = good && peri_map_put_ref(v, "methods", methods) == PERI_OK &&
           peri_map_put_text(v, "proof", proofs[d->hook->proof]) == PERI_OK &&
           peri_map_put_bool(v, "local_only", d->hook->local_only) == PERI_OK &&
           peri_map_put_int(v, "accepted", d->accepted) == PERI_OK &&
           peri_map_put_int(v, "duplicates", d->duplicates) == PERI_OK &&
           peri_map_put_int(v, "rejected", d->rejected) == PERI_OK;
    if (good && d->rejected_ms) {
        last = peri_value_map();
        good = last && peri_map_put_time(last, "at", d->rejected_ms) == PERI_OK &&
               peri_map_put_text(last, "reason", d->reason) == PERI_OK &&
               peri_map_put_ref(v, "last_rejected", last) == PERI_OK;
        peri_value_unref(last);
    }
    peri_value_unref(methods);
    if (good)
        return v;
    peri_value_unref(v);
    return NULL;
}

static bool has_rule(const struct door *d, const char *rule)
{
    for (size_t i = 0; i < peri_value_count(d->rules); i++)
        if (peri_streq(peri_value_text(peri_list_at(d->rules, i)), rule))
            return true;
    return false;
}

struct peri_value *peri_hooks_of_rule(const struct peri_hooks *h, const char *rule)
{
    struct peri_value *list = peri_value_list();
    bool good = list != NULL;
    for (size_t i = 0; good && i < h->count; i++)
        if (h->doors[i]->hook && (!rule || has_rule(h->doors[i], rule)))
            good = peri_list_push(list, door_value(h->doors[i])) == PERI_OK;
    if (good)
        return list;
    peri_value_unref(list);
    return NULL;
}

struct peri_value *peri_hooks_value(const struct peri_hooks *h)
{
    return peri_hooks_of_rule(h, NULL);
}
