/* SPDX-License-Identifier: Apache-2.0 */
#include "app/call_view.h"

#include <string.h>

#include "base/str.h"
#include "base/timefmt.h"
#include "data/json.h"

struct peri_value *peri_error_value(const struct peri_error *err)
{
    struct peri_value *v = peri_value_map();
    if (v && peri_map_put_text(v, "code", err->code) == PERI_OK &&
        peri_map_put_text(v, "message", err->message) == PERI_OK &&
        peri_map_put_bool(v, "retryable", err->retryable) == PERI_OK)
        return v;
    peri_value_unref(v);
    return NULL;
}

static struct peri_value *usage_value(const struct peri_usage *usage)
{
    struct peri_value *v = peri_value_map();
    if (v && peri_map_put_int(v, "instructions", usage->instructions) == PERI_OK &&
        peri_map_put_int(v, "memory_bytes", (int64_t)usage->memory_bytes) == PERI_OK &&
        peri_map_put_int(v, "wall_us", usage->wall_us) == PERI_OK)
        return v;
    peri_value_unref(v);
    return NULL;
}

struct peri_value *peri_call_value(const struct peri_call_result *result)
{
    struct peri_value *v = peri_value_map();
    enum peri_status st = v ? peri_map_put_bool(v, "ok", result->status == PERI_OK) : PERI_ENOMEM;
    if (st == PERI_OK && result->status != PERI_OK)
        st = peri_map_put(v, "error", peri_error_value(&result->error));
    else if (st == PERI_OK)
        st = peri_map_put(v, "result", result->value ? peri_value_ref(result->value) : peri_value_null());
    if (st == PERI_OK && result->status == PERI_OK && result->is_condition) {
        struct peri_value *answer = peri_value_map();
        st = answer ? peri_map_put_bool(answer, "holds", result->holds) : PERI_ENOMEM;
        if (st == PERI_OK)
            st = peri_map_put_ref(answer, "compared", peri_map_at(v, "result"));
        if (st == PERI_OK)
            st = peri_map_put_ref(v, "result", answer);
        peri_value_unref(answer);
    }
    if (st == PERI_OK)
        st = peri_map_put(v, "usage", usage_value(&result->usage));
    if (st == PERI_OK)
        return v;
    peri_value_unref(v);
    return NULL;
}

static const char *text_or(const struct peri_value *map, const char *key, const char *fallback)
{
    const char *text = peri_map_text(map, key);
    return text ? text : fallback;
}

enum peri_status peri_call_event(
    const struct peri_value *given, int64_t now, struct peri_event **ret, struct peri_error *err)
{
    bool whole = peri_map_at(given, "specversion") != NULL;
    struct peri_event *event = peri_event_create();
    if (!event)
        return peri_error_nomem(err);
    const struct peri_value *data = whole ? peri_map_at(given, "data") : given;
    event->type = peri_strdup(whole ? text_or(given, "type", "cli.call") : "cli.call");
    event->source = peri_strdup(whole ? text_or(given, "source", "cli") : "cli");
    event->external_id = peri_strdup(whole ? peri_map_text(given, "id") : NULL);
    event->subject = peri_strdup(whole ? peri_map_text(given, "subject") : NULL);
    event->time_ms = event->received_ms = now;
    const char *time = whole ? peri_map_text(given, "time") : NULL;
    if (time && !peri_time_parse(time, strlen(time), &event->time_ms))
        event->time_ms = now;
    event->data = peri_json_text(data, PERI_JSON_COMPACT);
    event->data_len = event->data ? strlen(event->data) : 0;
    if (event->type && event->source && event->data) {
        *ret = event;
        return PERI_OK;
    }
    peri_event_unref(event);
    return peri_error_nomem(err);
}
