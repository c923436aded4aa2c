/* SPDX-License-Identifier: Apache-2.0 */
#include "run/watch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "run/pipeline_internal.h"

#define DUE_BATCH 200 /* keys in one transaction */

/* One key whose time has come. */
struct due_key {
    struct peri_keyed row;
    char *ckey, *data;
    struct peri_rule *rule; /* one reference; NULL: it is gone, the key is forgotten */
    const struct peri_trigger *trigger;
    struct peri_event *event; /* what is found; NULL: nothing */
    bool stale;               /* set by the transaction: it has changed since it was read */
};

struct due_tx {
    struct peri_pipeline *p;
    struct due_key *keys;
    size_t count;
    int64_t steady_ms;
};

static void free_due(struct due_tx *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free(d->keys[i].ckey);
        free(d->keys[i].data);
        peri_rule_unref(d->keys[i].rule);
        peri_event_unref(d->keys[i].event);
    }
    free(d->keys);
    free(d);
}

void watch_planned(struct peri_pipeline *p, int64_t due_ms)
{
    if (due_ms >= p->watch_next)
        return;
    p->watch_next = due_ms;
    timer_due(p, due_ms - pipe_steady(p), DUE_WATCH, 0, 0);
}

/* --- what a key that is due has to say --- */

static const struct peri_trigger *find_trigger(const struct peri_rule *rule, const char *id)
{
    for (size_t i = 0; i < rule->trigger_count; i++)
        if (peri_streq(rule->triggers[i].id, id))
            return &rule->triggers[i];
    return NULL;
}

/* {kind, key, event} as an extension "watch". */
static struct peri_value *describe(const struct due_key *key, const char *kind)
{
    char id[PERI_ID_TEXT];
    struct peri_value *ext = peri_value_map(), *watch = peri_value_map();
    bool bad = !ext || !watch || peri_map_put_text(watch, "kind", kind) != PERI_OK ||
               peri_map_put_text(watch, "key", key->ckey) != PERI_OK;
    if (!bad && key->row.event)
        bad = peri_map_put_text(watch, "about", peri_event_id(key->row.event, id)) != PERI_OK;
    bad = bad || peri_map_put_ref(ext, "watch", watch) != PERI_OK;
    peri_value_unref(watch);
    if (bad) {
        peri_value_unref(ext);
        return NULL;
    }
    return ext;
}

/* Repeats the event that it is about. */
static struct peri_event *found(struct peri_pipeline *p, const struct due_key *key, const char *kind)
{
    struct peri_event *about = NULL, *event = peri_event_create();
    char id[PERI_ID_TEXT];
    if (!event)
        return NULL;
    (void)(peri_reader_event(p->reader, key->row.event, &about, NULL) == PERI_OK);
    event->source = peri_strdup(PIPE_WATCH_SOURCE);
    event->type = peri_strdup(about ? about->type : "watch.Found");
    event->subject = about ? peri_strdup(about->subject) : NULL;
    event->data = about ? peri_strndup(about->data, about->data_len) : peri_strdup("null");
    event->data_len = event->data ? strlen(event->data) : 0;
    event->external_id = peri_asprintf(
        "%s/%s/%s/%" PRIu64 "/%" PRId64, key->rule->id, key->trigger->id, kind, key->row.event, key->row.due);
    event->cause = peri_strdup(peri_event_id(key->row.event, id));
    event->hops = about ? about->hops : 0;
    event->target_rule = peri_strdup(key->rule->id);
    event->target_trigger = peri_strdup(key->trigger->id);
    event->extensions = describe(key, kind);
    event->received_ms = pipe_now(p);
    event->time_ms = about ? about->time_ms : event->received_ms;
    peri_event_unref(about);
    if (!event->source || !event->type || !event->data || !event->external_id || !event->target_rule ||
        !event->target_trigger || !event->extensions) {
        peri_event_unref(event);
        return NULL;
    }
    return event;
}

static enum peri_status take_due(
    void *arg, const char *rule, const char *trigger, const char *spec, const struct peri_keyed *row)
{
    struct due_tx *d = arg;
    struct due_key *key = &d->keys[d->count++];
    *key = (struct due_key){.row = *row, .ckey = peri_strdup(row->ckey), .data = peri_strdup(row->data)};
    if (!key->ckey || (row->data && !key->data))
        return PERI_ENOMEM;
    key->row.ckey = key->ckey;
    key->row.data = key->data;
    struct peri_rule *now = *rule ? pipe_rule_by_id(d->p, rule) : NULL;
    if (!now || !now->enabled)
        return PERI_OK;
    bool quiet = peri_streq(trigger, WATCH_QUIET);
    key->trigger = find_trigger(now, quiet ? key->data : trigger);
    if (key->trigger && (!quiet || now->flow.once_after_ms > 0))
        key->rule = peri_rule_ref(now);
    return PERI_OK;
}

/* False: memory is out. */
static bool look_at(struct peri_pipeline *p, struct due_key *key)
{
    if (!key->rule)
        return true;
    key->event = found(p, key, "quiet");
    return key->event != NULL;
}

/* --- the transaction --- */

static enum peri_status settle(struct peri_tx *tx, struct due_key *key, struct peri_error *err)
{
    struct peri_keyed_row now;
    bool there = false;
    enum peri_status st = peri_tx_keyed_get(tx, key->row.wid, key->ckey, &now, &there, err);
    key->stale = !there || now.row.due != key->row.due || now.row.event != key->row.event;
    peri_keyed_finish(&now);
    if (st != PERI_OK || key->stale)
        return st;
    st = peri_tx_keyed_drop(tx, key->row.wid, key->ckey, err);
    if (st == PERI_OK && key->event)
        st = peri_tx_event_insert(tx, key->event, err);
    return st;
}

static enum peri_status due_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct due_tx *d = arg;
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < d->count; i++)
        st = settle(tx, &d->keys[i], err);
    return st;
}

/* The earliest of what is left. */
static void plan_next(struct peri_pipeline *p)
{
    struct peri_error err = {0};
    int64_t due = INT64_MAX;
    p->watch_next = INT64_MAX;
    if (peri_reader_keyed_next(p->reader, &due, &err) != PERI_OK) {
        peri_err(p->options.log, "watch", "what is due next could not be read: %s", err.message);
        due = pipe_steady(p) + PIPE_RETRY_MS;
    }
    watch_planned(p, due);
}

static void due_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct due_tx *d = arg;
    struct peri_pipeline *p = d->p;
    p->submitting--;
    p->watch_busy = false;
    if (!p->dead && st != PERI_OK)
        peri_err(p->options.log, "watch", "keys that are due could not be settled: %s", err ? err->message : "?");
    for (size_t i = 0; !p->dead && st == PERI_OK && i < d->count; i++)
        if (d->keys[i].event && !d->keys[i].stale)
            pipe_journaled(p, d->keys[i].event);
    if (!p->dead && st == PERI_OK)
        plan_next(p);
    else if (!p->dead)
        watch_planned(p, pipe_steady(p) + PIPE_RETRY_MS);
    free_due(d);
}

static bool read_due(struct peri_pipeline *p, struct due_tx *d)
{
    struct peri_error err = {0};
    d->keys = calloc(DUE_BATCH, sizeof(*d->keys));
    if (!d->keys)
        return false;
    enum peri_status st = peri_reader_keyed_due(p->reader, d->steady_ms, DUE_BATCH, take_due, d, &err);
    for (size_t i = 0; st == PERI_OK && i < d->count; i++)
        if (!look_at(p, &d->keys[i]))
            st = peri_error_nomem(&err);
    if (st != PERI_OK)
        peri_err(p->options.log, "watch", "keys that are due could not be read: %s", err.message);
    return st == PERI_OK;
}

void watch_pump(struct peri_pipeline *p)
{
    int64_t now = pipe_steady(p);
    p->caught_up = p->caught_up || match_passed(p, p->counted_seq);
    if (p->watch_busy || !p->caught_up || p->watch_next > now || !pipe_writable(p))
        return;
    struct due_tx *d = calloc(1, sizeof(*d));
    if (!d)
        return;
    *d = (struct due_tx){.p = p, .steady_ms = now};
    p->watch_next = INT64_MAX;
    if (!read_due(p, d)) {
        watch_planned(p, now + PIPE_RETRY_MS);
        free_due(d);
        return;
    }
    if (d->count == 0) {
        free_due(d);
        plan_next(p);
        return;
    }
    p->watch_busy = true;
    p->submitting++;
    if (pipe_commit(p, 512 * d->count, due_tx, due_done, d, true) == PERI_OK)
        return;
    p->watch_busy = false;
    p->submitting--;
    free_due(d);
    watch_planned(p, now + PIPE_RETRY_MS);
}

static enum peri_status clamp_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_keyed_clamp(tx, *(int64_t *)arg, err);
}

/* A clock that was set back while the service was down cannot lengthen a wait. */
enum peri_status watch_recover(struct peri_pipeline *p, struct peri_error *err)
{
    int64_t due = INT64_MAX, now = pipe_steady(p);
    enum peri_status st = peri_reader_keyed_next(p->reader, &due, err);
    if (st == PERI_OK && due != INT64_MAX)
        st = peri_store_run(p->options.store, clamp_tx, &now, err);
    if (st == PERI_OK && due != INT64_MAX)
        st = peri_reader_keyed_next(p->reader, &due, err);
    if (st == PERI_OK && due != INT64_MAX)
        watch_planned(p, due);
    return st;
}
