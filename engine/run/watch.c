/* SPDX-License-Identifier: Apache-2.0 */
#include "run/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "base/vec.h"
#include "lang/duration.h"
#include "run/keyed.h"
#include "run/watch_internal.h"

#define DUE_BATCH 200 /* keys in one transaction */

/* One key whose time has come. */
struct due_key {
    struct peri_keyed row;
    char *ckey, *data;
    struct peri_rule *rule; /* one reference; NULL: it is gone, the key is forgotten */
    const struct peri_trigger *trigger;
    struct peri_event *event; /* what is found; NULL: nothing */
    bool quiet;               /* it is throttle.once_after that waits */
    bool stale;               /* set by the transaction: it has changed since it was read */
};

struct due_tx {
    struct peri_pipeline *p;
    struct due_key *keys;
    size_t count;
    int64_t steady_ms;             /* what is due up to here */
    int64_t now_ms, now_steady_ms; /* the same instant twice */
    struct peri_event **found;     /* in the order in which they were inserted; one reference each */
    size_t found_count, found_cap;
};

static void drop_found(struct due_tx *d)
{
    for (size_t i = 0; i < d->found_count; i++)
        peri_event_unref(d->found[i]);
    d->found_count = 0;
}

static void free_due(struct due_tx *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free(d->keys[i].ckey);
        free(d->keys[i].data);
        peri_rule_unref(d->keys[i].rule);
        peri_event_unref(d->keys[i].event);
    }
    drop_found(d);
    free(d->found);
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

/* For a key of an absence that never spoke: is it still expected? */
static bool is_expected(const struct peri_rule *rule, const struct peri_trigger *trigger, const char *key)
{
    if (!rule->flow.key)
        return true;
    for (size_t i = 0; i < trigger->expect_count; i++)
        if (peri_streq(trigger->expect[i], key))
            return true;
    return false;
}

/* What its event and the verdict say. */
static void tell(const struct peri_pipeline *p, const struct due_key *key, char text[WATCH_TEXT])
{
    const struct peri_keyed *row = &key->row;
    char length[64], since[PERI_TIME_TEXT], down[64];
    peri_duration_format(key->trigger->for_ms, length);
    text[0] = '\0';
    if (key->trigger->kind == PERI_TRIGGER_EVENT) {
        snprintf(
            text, WATCH_TEXT, "went on for %s, since %s", length, peri_time_format(row->n + pipe_offset(p), since));
    } else if (key->trigger->kind == PERI_TRIGGER_ABSENCE) {
        bool never = row->state == PERI_ABSENCE_EXPECTED;
        int n = snprintf(text, WATCH_TEXT, "nothing for %s: %s %s", length,
            never ? "never heard, expected since" : "last heard",
            peri_time_format(row->newest + pipe_offset(p), since));
        if (n > 0 && row->n > 0)
            snprintf(text + n, WATCH_TEXT - (size_t)n, "; %s in which the service was down are not counted",
                peri_duration_format(row->n, down));
    }
}

/* The event that says so; it repeats the one that it is about. NULL: memory is out. */
static struct peri_event *make_found(struct peri_pipeline *p, const struct due_key *key)
{
    struct peri_event *about = NULL;
    struct peri_value *more = peri_value_map();
    char text[WATCH_TEXT], since[PERI_TIME_TEXT];
    bool absence = !key->quiet && key->trigger->kind == PERI_TRIGGER_ABSENCE;
    int64_t from = absence ? key->row.newest : key->row.n;
    if (!more ||
        (!key->quiet && peri_map_put_text(more, "since", peri_time_format(from + pipe_offset(p), since)) != PERI_OK)) {
        peri_value_unref(more);
        return NULL;
    }
    tell(p, key, text);
    if (key->row.event)
        (void)(peri_reader_event(p->reader, key->row.event, &about, NULL) == PERI_OK);
    struct watch_found found = {.rule = key->rule,
        .trigger = key->trigger,
        .kind = key->quiet ? "quiet"
                : absence  ? "absence"
                           : "for",
        .key = key->ckey,
        .text = key->quiet ? NULL : text,
        .about = about,
        .about_seq = key->row.event,
        .due = key->row.due,
        .now_ms = pipe_now(p),
        .more = more};
    struct peri_event *event = watch_event(&found);
    peri_event_unref(about);
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
    key->quiet = peri_streq(trigger, WATCH_QUIET);
    key->trigger = find_trigger(now, key->quiet ? key->data : trigger);
    if (key->trigger && (key->quiet ? now->flow.once_after_ms > 0 : peri_streq(key->trigger->spec, spec)))
        key->rule = peri_rule_ref(now);
    return PERI_OK;
}

/* False: memory is out. */
static bool look_at(struct peri_pipeline *p, struct due_key *key)
{
    if (!key->rule)
        return true;
    if (!key->quiet && key->trigger->kind == PERI_TRIGGER_SEQUENCE) /* the transaction looks at what is remembered */
        return true;
    if (!key->quiet && key->trigger->kind == PERI_TRIGGER_ABSENCE && key->row.state == PERI_ABSENCE_EXPECTED &&
        !is_expected(key->rule, key->trigger, key->ckey))
        return true;
    key->event = make_found(p, key);
    return key->event != NULL;
}

/* --- the transaction --- */

/* take event */
static bool keep_found(struct due_tx *d, struct peri_event *event)
{
    if (!peri_vec_grow(&d->found, &d->found_cap, d->found_count + 1, sizeof(struct peri_event *))) {
        peri_event_unref(event);
        return false;
    }
    d->found[d->found_count++] = event;
    return true;
}

/* Sequences find what they find with the tools of T2. */
static enum peri_status settle_sequence(
    struct peri_tx *tx, struct due_tx *d, struct due_key *key, struct peri_error *err)
{
    struct match_rule mr = {.rule = key->rule};
    struct match_tx mt = {.p = d->p, .now_ms = d->now_ms, .steady_ms = d->now_steady_ms, .next_due = INT64_MAX};
    enum peri_status st = watch_sequence_settle(tx, &mt, &mr, key->trigger, &key->row, err);
    for (size_t i = 0; i < mt.found_count; i++)
        if (!keep_found(d, mt.found[i]) && st == PERI_OK)
            st = peri_error_nomem(err);
    free(mt.found);
    return st;
}

static enum peri_status settle(struct peri_tx *tx, struct due_tx *d, struct due_key *key, struct peri_error *err)
{
    struct peri_keyed_row now;
    bool there = false, evicted = false;
    enum peri_status st = peri_tx_keyed_get(tx, key->row.wid, key->ckey, &now, &there, err);
    key->stale = !there || now.row.due != key->row.due || now.row.event != key->row.event;
    peri_keyed_finish(&now);
    if (st != PERI_OK || key->stale)
        return st;
    bool sequence = key->rule && !key->quiet && key->trigger->kind == PERI_TRIGGER_SEQUENCE;
    if (sequence)
        return settle_sequence(tx, d, key, err);
    if (key->quiet || !key->event) {
        st = peri_tx_keyed_drop(tx, key->row.wid, key->ckey, err);
    } else { /* told, until it is over: TOLD of both kinds has the same number */
        struct peri_keyed told = key->row;
        told.state = PERI_HOLD_TOLD;
        told.due = 0;
        st = peri_tx_keyed_put(tx, &told, 0, &evicted, err);
    }
    if (st == PERI_OK && key->event)
        st = peri_tx_event_insert(tx, key->event, err);
    if (st == PERI_OK && key->event && !keep_found(d, peri_event_ref(key->event)))
        st = peri_error_nomem(err);
    return st;
}

static enum peri_status due_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct due_tx *d = arg;
    enum peri_status st = PERI_OK;
    drop_found(d);
    for (size_t i = 0; st == PERI_OK && i < d->count; i++)
        st = settle(tx, d, &d->keys[i], err);
    PERI_FAILPOINT("watch.rows");
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
    PERI_FAILPOINT("watch.done");
    if (!p->dead && st != PERI_OK)
        peri_err(p->options.log, "watch", "keys that are due could not be settled: %s", err ? err->message : "?");
    for (size_t i = 0; !p->dead && st == PERI_OK && i < d->found_count; i++)
        pipe_journaled(p, d->found[i]);
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
    int64_t until = match_heard_until(p, now);
    if (p->watch_next > until)
        return;
    struct due_tx *d = calloc(1, sizeof(*d));
    if (!d)
        return;
    *d = (struct due_tx){.p = p, .steady_ms = until, .now_ms = pipe_now(p), .now_steady_ms = now};
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
    enum peri_status st = watch_was_down(p, err);
    if (st == PERI_OK)
        st = peri_reader_keyed_next(p->reader, &due, err);
    if (st == PERI_OK && due != INT64_MAX)
        st = peri_store_run(p->options.store, clamp_tx, &now, err);
    if (st == PERI_OK && due != INT64_MAX)
        st = peri_reader_keyed_next(p->reader, &due, err);
    if (st == PERI_OK && due != INT64_MAX)
        watch_planned(p, due);
    return st;
}

enum peri_status peri_pipeline_watches(struct peri_pipeline *p, struct peri_value **ret)
{
    struct peri_error err = {0};
    return peri_reader_watches(p->reader, ret, &err);
}
