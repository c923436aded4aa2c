/* SPDX-License-Identifier: Apache-2.0 */
#include "app/event_file.h"

#include <stdlib.h>
#include <string.h>

#include "app/paths.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "data/json.h"
#include "lang/glob.h"

#define FILE_MAX ((size_t)1 << 30)

static bool time_member(const struct peri_value *v, const char *key, int64_t *ret)
{
    const char *text = peri_map_text(v, key);
    return text && peri_time_parse(text, strlen(text), ret);
}

enum peri_status peri_event_of_value(
    const struct peri_value *v, int64_t now_ms, struct peri_event **ret, struct peri_error *err)
{
    const char *type = peri_map_text(v, "type"), *source = peri_map_text(v, "source"), *id = peri_map_text(v, "id");
    uint64_t seq = 0;
    if (!type)
        return peri_error_set(err, PERI_EINVAL, NULL, "an event is a JSON object with \"type\" and \"data\"");
    enum peri_status st = peri_event_type_check(type, err);
    if (st)
        return st;
    struct peri_event *event = peri_event_create();
    if (!event)
        return peri_error_nomem(err);
    /* ids of our own are no ids of senders */
    bool own = id && peri_event_id_parse(id, &seq);
    const char *external = peri_map_text(v, "external_id");
    event->type = peri_strdup(type);
    event->source = peri_strdup(source && !peri_str_starts(source, "perigee:") ? source : "file");
    event->external_id = peri_strdup(external ? external : own ? NULL : id);
    event->subject = peri_strdup(peri_map_text(v, "subject"));
    event->received_ms = now_ms;
    if (!time_member(v, "received", &event->received_ms))
        (void)time_member(v, "time", &event->received_ms);
    if (!time_member(v, "time", &event->time_ms))
        event->time_ms = event->received_ms;
    event->data =
        peri_map_at(v, "data") ? peri_json_text(peri_map_at(v, "data"), PERI_JSON_COMPACT) : peri_strdup("null");
    if (!event->type || !event->source || !event->data) {
        peri_event_unref(event);
        return peri_error_nomem(err);
    }
    event->data_len = strlen(event->data);
    *ret = event;
    return PERI_OK;
}

static enum peri_status read_one(const char *text, size_t len, int64_t now_ms,
    enum peri_status (*fn)(void *arg, struct peri_event *event), void *arg, struct peri_error *err)
{
    struct peri_value *v = NULL;
    struct peri_event *event = NULL;
    enum peri_status st = peri_json_parse(text, len, &v, err);
    if (st == PERI_OK)
        st = peri_event_of_value(v, now_ms, &event, err);
    if (st == PERI_OK)
        st = fn(arg, event);
    peri_event_unref(event);
    peri_value_unref(v);
    return st;
}

enum peri_status peri_event_file_read(const char *path, int64_t now_ms,
    enum peri_status (*fn)(void *arg, struct peri_event *event), void *arg, struct peri_error *err)
{
    char *text = NULL;
    size_t len = 0, line = 0;
    struct peri_value *whole = NULL;
    enum peri_status st = peri_path_read(path, FILE_MAX, &text, &len, err);
    if (st)
        return st;
    if (peri_json_parse(text, len, &whole, NULL) == PERI_OK) { /* one object over several lines */
        peri_value_unref(whole);
        st = read_one(text, len, now_ms, fn, arg, err);
        if (st)
            peri_error_prefix(err, "%s", path);
        free(text);
        return st;
    }
    for (char *p = text, *end = text + len; st == PERI_OK && p < end;) {
        char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
        line++;
        if (stop > p && strspn(p, " \t\r") < (size_t)(stop - p))
            st = read_one(p, (size_t)(stop - p), now_ms, fn, arg, err);
        p = stop + 1;
    }
    if (st)
        peri_error_prefix(err, "%s:%zu", path, line);
    free(text);
    return st;
}
