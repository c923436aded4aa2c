/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "io/store_data.h"
#include "io/store_db.h"

#define TOGETHER 128 /* events that are stored in one go */

enum kind { EVENT, ENTITY_PUT, ENTITY_DELETE, KV_SET, OUTBOX, FUNCTION };

struct item {
    enum kind kind;
    struct peri_event *event;
    char *name, *key; /* entity type and id; plugin and key; message key */
    struct peri_value *value;
    int64_t expires_ms;
    peri_store_fn fn;
    void *arg;
    void (*drop)(void *arg);
};

struct peri_batch {
    struct item *items;
    size_t count, cap;
    size_t *events; /* indexes of the events among items */
    size_t event_count, event_cap;
    size_t bytes;
};

struct peri_batch *peri_batch_create(void)
{
    return calloc(1, sizeof(struct peri_batch));
}

static void item_finish(struct item *item)
{
    peri_event_unref(item->event);
    free(item->name);
    free(item->key);
    peri_value_unref(item->value);
    if (item->drop)
        item->drop(item->arg);
}

void peri_batch_destroy(struct peri_batch *batch)
{
    if (!batch)
        return;
    for (size_t i = 0; i < batch->count; i++)
        item_finish(&batch->items[i]);
    free(batch->items);
    free(batch->events);
    free(batch);
}

/* Rough: what the JSON text will take. */
static size_t weight(const struct peri_value *v)
{
    size_t len = 0, n = 8;
    switch (peri_value_type(v)) {
    case PERI_STRING:
        peri_value_textn(v, &len);
        return len + 2;
    case PERI_LIST:
        for (size_t i = 0; i < peri_value_count(v); i++)
            n += weight(peri_list_at(v, i));
        return n;
    case PERI_MAP:
        for (void *it = peri_map_first(v); it; it = peri_map_next(v, it)) {
            peri_map_key(it, &len);
            n += len + 4 + weight(peri_map_item(it));
        }
        return n;
    default:
        return n;
    }
}

/* Takes item, also on failure. */
static enum peri_status push(struct peri_batch *batch, struct item *item, bool complete, size_t bytes)
{
    if (!complete || !peri_vec_grow(&batch->items, &batch->cap, batch->count + 1, sizeof(*batch->items))) {
        item_finish(item);
        return PERI_ENOMEM;
    }
    batch->items[batch->count++] = *item;
    batch->bytes += bytes + 128;
    return PERI_OK;
}

enum peri_status peri_batch_event(struct peri_batch *batch, struct peri_event *event)
{
    struct item item = {.kind = EVENT, .event = event};
    bool room =
        event && peri_vec_grow(&batch->events, &batch->event_cap, batch->event_count + 1, sizeof(*batch->events));
    enum peri_status st = push(batch, &item, room, event ? event->data_len : 0);
    if (!st)
        batch->events[batch->event_count++] = batch->count - 1;
    return st;
}

enum peri_status peri_batch_entity_put(struct peri_batch *batch, const char *type, struct peri_value *patch)
{
    struct item item = {.kind = ENTITY_PUT, .name = peri_strdup(type), .value = patch};
    return push(batch, &item, item.name && patch, weight(patch));
}

enum peri_status peri_batch_entity_delete(struct peri_batch *batch, const char *type, const char *id)
{
    struct item item = {.kind = ENTITY_DELETE, .name = peri_strdup(type), .key = peri_strdup(id)};
    return push(batch, &item, item.name && item.key, 0);
}

enum peri_status peri_batch_kv_set(
    struct peri_batch *batch, const char *plugin, const char *key, struct peri_value *value, int64_t expires_ms)
{
    struct item item = {
        .kind = KV_SET, .name = peri_strdup(plugin), .key = peri_strdup(key), .value = value, .expires_ms = expires_ms};
    return push(batch, &item, item.name && item.key, value ? weight(value) : 0);
}

enum peri_status peri_batch_outbox(struct peri_batch *batch, struct peri_value *message, const char *key)
{
    struct item item = {.kind = OUTBOX, .key = peri_strdup(key), .value = message};
    return push(batch, &item, message && (item.key || !key), weight(message));
}

enum peri_status peri_batch_fn(
    struct peri_batch *batch, size_t bytes, peri_store_fn fn, void *arg, void (*drop)(void *arg))
{
    struct item item = {.kind = FUNCTION, .fn = fn, .arg = arg, .drop = drop};
    return push(batch, &item, true, bytes);
}

size_t peri_batch_count(const struct peri_batch *batch)
{
    return batch->count;
}

bool peri_batch_is_repeatable(const struct peri_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->items[i].kind == FUNCTION)
            return false;
    return true;
}

size_t peri_batch_bytes(const struct peri_batch *batch)
{
    return batch->bytes;
}

size_t peri_batch_events(const struct peri_batch *batch)
{
    return batch->event_count;
}

struct peri_event *peri_batch_event_at(const struct peri_batch *batch, size_t i)
{
    return i < batch->event_count ? batch->items[batch->events[i]].event : NULL;
}

static enum peri_status apply(struct peri_tx *tx, struct item *item, struct peri_error *err)
{
    switch (item->kind) {
    case EVENT:
        break;
    case ENTITY_PUT:
        return peri_tx_entity_put(tx, item->name, item->value, NULL, NULL, err);
    case ENTITY_DELETE:
        return peri_tx_entity_delete(tx, item->name, item->key, NULL, err);
    case KV_SET:
        return peri_tx_kv_set(tx, item->name, item->key, item->value, item->expires_ms, err);
    case OUTBOX:
        return peri_tx_outbox_put(tx, item->value, item->key, NULL, err);
    case FUNCTION:
        return item->fn(tx, item->arg, err);
    }
    return peri_error_set(err, PERI_EINTERNAL, NULL, "unknown change in a batch");
}

/* Events that stand one behind the other, at most what *ret_next says from `at` on. */
static enum peri_status apply_events(
    struct peri_tx *tx, struct peri_batch *batch, size_t at, size_t *ret_next, struct peri_error *err)
{
    struct peri_event *events[TOGETHER];
    size_t n = 0;
    for (; n < TOGETHER && at + n < batch->count && batch->items[at + n].kind == EVENT; n++)
        events[n] = batch->items[at + n].event;
    *ret_next = at + n;
    return peri_tx_events_insert(tx, events, n, err);
}

enum peri_status peri_tx_batch(struct peri_tx *tx, struct peri_batch *batch, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    size_t last_event = batch->event_count ? batch->events[batch->event_count - 1] : 0;
    for (size_t i = 0, next; !st && i < batch->count; i = next) {
        if (batch->items[i].kind == EVENT) {
            st = apply_events(tx, batch, i, &next, err);
            continue;
        }
        next = i + 1;
        /* An entity before an event belongs to that event's position: the rules that hear it see the entity. */
        tx->entity_seq = batch->event_count && i < last_event ? tx->next_seq : 0;
        st = apply(tx, &batch->items[i], err);
    }
    tx->entity_seq = 0;
    return st;
}
