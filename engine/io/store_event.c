/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_events.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "data/json.h"
#include "base/pool.h"
#include "base/str.h"

struct peri_event *peri_event_create(void)
{
    struct peri_event *event = peri_pool_zeroed(sizeof(*event));
    if (event)
        atomic_init(&event->refs, 1);
    return event;
}

static char *copy_behind(char **at, const struct peri_event_text *text)
{
    char *copy = *at;
    if (!text->s)
        return NULL;
    memcpy(copy, text->s, text->len);
    copy[text->len] = '\0';
    *at += text->len + 1;
    return copy;
}

static size_t room_of(const struct peri_event_text *text)
{
    return text->s ? text->len + 1 : 0;
}

struct peri_event *peri_event_create_of(const struct peri_event_texts *t)
{
    size_t own =
        room_of(&t->source) + room_of(&t->type) + room_of(&t->external_id) + room_of(&t->subject) + room_of(&t->data);
    struct peri_event *event = peri_pool_alloc(sizeof(*event) + own);
    if (!event)
        return NULL;
    memset(event, 0, sizeof(*event));
    atomic_init(&event->refs, 1);
    char *at = (char *)(event + 1);
    event->own = own;
    event->source = copy_behind(&at, &t->source);
    event->type = copy_behind(&at, &t->type);
    event->external_id = copy_behind(&at, &t->external_id);
    event->subject = copy_behind(&at, &t->subject);
    event->data = copy_behind(&at, &t->data);
    event->data_len = event->data ? t->data.len : 0;
    return event;
}

static void drop_text(struct peri_event *event, char *text)
{
    if ((uintptr_t)text - (uintptr_t)(event + 1) >= event->own)
        free(text);
}

void peri_event_put_text(struct peri_event *event, char **field, char *text)
{
    drop_text(event, *field);
    *field = text;
}

struct peri_event *peri_event_ref(struct peri_event *event)
{
    if (event)
        atomic_fetch_add_explicit(&event->refs, 1, memory_order_relaxed);
    return event;
}

void peri_event_unref(struct peri_event *event)
{
    if (!event || atomic_fetch_sub_explicit(&event->refs, 1, memory_order_acq_rel) != 1)
        return;
    drop_text(event, event->source);
    drop_text(event, event->type);
    drop_text(event, event->external_id);
    drop_text(event, event->subject);
    drop_text(event, event->data);
    drop_text(event, event->cause);
    drop_text(event, event->target_rule);
    drop_text(event, event->target_trigger);
    peri_value_unref(event->extensions);
    peri_pool_free(event);
}

enum peri_status peri_event_value(const struct peri_event *event, struct peri_value **ret, struct peri_error *err)
{
    char id[PERI_ID_TEXT];
    struct peri_value *data = NULL, *map = NULL;
    enum peri_status st = PERI_OK;
    if (event->data)
        st = peri_json_parse(event->data, event->data_len, &data, err);
    else if (!(data = peri_value_null()))
        st = peri_error_nomem(err);
    if (st)
        return st;
    map = peri_value_map();
    st = map ? peri_map_put_text(map, "id", peri_event_id(event->seq, id)) : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_text(map, "source", event->source);
    if (!st)
        st = peri_map_put_text(map, "type", event->type);
    if (!st)
        st = peri_map_put_time(map, "time", event->time_ms);
    if (!st)
        st = peri_map_put_time(map, "received", event->received_ms);
    if (!st)
        st = peri_map_put_text(map, "subject", event->subject);
    if (!st)
        st = peri_map_put_text(map, "external_id", event->external_id);
    if (!st)
        st = peri_map_put_int(map, "hops", event->hops);
    if (!st)
        st = peri_map_put_text(map, "cause", event->cause);
    if (!st && event->replay_of)
        st = peri_map_put_text(map, "replay_of", peri_event_id(event->replay_of, id));
    if (!st && event->extensions)
        st = peri_map_put_ref(map, "extensions", event->extensions);
    if (!st)
        st = peri_map_put_ref(map, "data", data);
    peri_value_unref(data);
    if (st) {
        peri_value_unref(map);
        return peri_error_nomem(err);
    }
    *ret = map;
    return PERI_OK;
}

static char *make_id(const char *prefix, uint64_t number, char out[PERI_ID_TEXT])
{
    char digits[20], *first = digits + sizeof(digits), *to = out;
    do
        *--first = (char)('0' + number % 10);
    while (number /= 10);
    while (*prefix)
        *to++ = *prefix++;
    size_t len = (size_t)(digits + sizeof(digits) - first);
    memcpy(to, first, len);
    to[len] = '\0';
    return out;
}

/* Exactly what make_id writes: no sign, no leading zero, at most 63 bits. */
static bool parse_id(const char *prefix, const char *text, uint64_t *ret)
{
    size_t n = strlen(prefix);
    long long v;
    if (!text || strncmp(text, prefix, n) != 0 || text[n] < '1' || text[n] > '9' || !peri_parse_i64(text + n, &v))
        return false;
    *ret = (uint64_t)v;
    return true;
}

char *peri_event_id(uint64_t seq, char out[PERI_ID_TEXT])
{
    return make_id("ev-", seq, out);
}

char *peri_run_id(uint64_t id, char out[PERI_ID_TEXT])
{
    return make_id("run-", id, out);
}

bool peri_event_id_parse(const char *text, uint64_t *ret)
{
    return parse_id("ev-", text, ret);
}

bool peri_run_id_parse(const char *text, uint64_t *ret)
{
    return parse_id("run-", text, ret);
}
