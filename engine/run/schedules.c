/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "data/json.h"
#include "io/store_runs.h"
#include "run/pipeline_internal.h"

/* Schedule triggers. An occurrence is a journal event "schedule.Fired" for one trigger; its external id names schedule
 * and due time, so the journal itself makes it unique, also when the clock is set back. Event and `last` are one
 * transaction.
 *
 * The latest occurrence that was missed fires once if it is not older than catch_up; earlier ones are passed over. */

#define SCHEDULE_EVENT "schedule.Fired"

static void finish_item(struct schedule_item *item)
{
    free(item->id);
    free(item->spec);
    peri_rule_unref(item->rule);
}

static void finish_list(struct schedule_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        finish_item(&items[i]);
    free(items);
}

void schedules_finish(struct peri_pipeline *p)
{
    finish_list(p->schedules, p->schedule_count);
    p->schedules = NULL;
    p->schedule_count = 0;
}

static struct schedule_item *find(struct schedule_item *items, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (peri_streq(items[i].id, id))
            return &items[i];
    return NULL;
}

/* How much later an occurrence fires: the same each time it is asked, and not as late as the one behind it. */
static int64_t jitter_of(const struct schedule_item *item, int64_t due_ms)
{
    const struct peri_schedule *s = item->trigger->schedule;
    int64_t next, most = s->jitter_ms;
    uint64_t h = 14695981039346656037u ^ (uint64_t)due_ms;
    if (most <= 0)
        return 0;
    if (peri_schedule_next(s, item->anchor_ms, due_ms, &next) == PERI_OK && next - due_ms < most)
        most = next - due_ms;
    for (const char *c = item->id; *c; c++)
        h = (h ^ (unsigned char)*c) * 1099511628211u;
    return (int64_t)((h ^ h >> 29) % (uint64_t)most);
}

static void plan(struct schedule_item *item, int64_t after_ms)
{
    if (after_ms < item->last_ms)
        after_ms = item->last_ms;
    item->next_ms = INT64_MAX;
    if (peri_schedule_next(item->trigger->schedule, item->anchor_ms, after_ms, &item->due_ms) == PERI_OK)
        item->next_ms = item->due_ms + jitter_of(item, item->due_ms);
}

/* Up to when occurrences are past: one whose jitter is not over is not. */
static int64_t past(struct schedule_item *item, int64_t now_ms)
{
    int64_t due, from = now_ms - item->trigger->schedule->jitter_ms;
    if (item->trigger->schedule->jitter_ms <= 0)
        return now_ms;
    while (peri_schedule_next(item->trigger->schedule, item->anchor_ms, from, &due) == PERI_OK && due <= now_ms &&
           due + jitter_of(item, due) <= now_ms)
        from = due;
    return from;
}

int64_t schedules_next(const struct peri_pipeline *p)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < p->schedule_count; i++)
        if (!p->schedules[i].busy && p->schedules[i].next_ms < next)
            next = p->schedules[i].next_ms;
    return next;
}

/* --- what the store keeps of a schedule --- */

struct schedule_tx {
    struct peri_pipeline *p;
    char *id, *spec;
    int64_t anchor_ms, last_ms;
    struct peri_event *event; /* NULL: only the row */
};

static void free_tx(struct schedule_tx *st)
{
    free(st->id);
    free(st->spec);
    peri_event_unref(st->event);
    free(st);
}

static enum peri_status schedule_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct schedule_tx *s = arg;
    struct peri_schedule_row row = {.id = s->id, .spec = s->spec, .anchor_ms = s->anchor_ms, .last_ms = s->last_ms};
    enum peri_status st = peri_tx_schedule_put(tx, &row, err);
    if (st == PERI_OK && s->event)
        st = peri_tx_event_insert(tx, s->event, err);
    PERI_FAILPOINT("schedule.rows");
    return st;
}

static void schedule_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct schedule_tx *s = arg;
    PERI_FAILPOINT("schedule.done");
    struct peri_pipeline *p = s->p;
    p->submitting--;
    if (p->dead) {
        free_tx(s);
        return;
    }
    if (st != PERI_OK)
        peri_err(
            p->options.log, "schedule", "%s: an occurrence could not be stored: %s", s->id, err ? err->message : "?");
    else if (s->event)
        pipe_journaled(p, s->event);
    struct schedule_item *item = find(p->schedules, p->schedule_count, s->id);
    if (item && s->event)
        item->busy = false;
    free_tx(s);
}

/* take event */
static void store_item(struct peri_pipeline *p, struct schedule_item *item, struct peri_event *event)
{
    struct schedule_tx *s = calloc(1, sizeof(*s));
    if (!s) {
        peri_event_unref(event);
        return;
    }
    *s = (struct schedule_tx){.p = p,
        .id = peri_strdup(item->id),
        .spec = peri_strdup(item->spec),
        .anchor_ms = item->anchor_ms,
        .last_ms = item->last_ms,
        .event = event};
    p->submitting++;
    if (!s->id || !s->spec || pipe_commit(p, 512, schedule_tx, schedule_done, s, true) != PERI_OK) {
        p->submitting--;
        free_tx(s);
        return;
    }
    if (event)
        item->busy = true;
}

/* --- firing --- */

static struct peri_event *occurrence(
    const struct schedule_item *item, int64_t due_ms, int64_t now_ms, int64_t offset_ms)
{
    struct peri_event *event = peri_event_create();
    struct peri_value *data = peri_value_map();
    bool bad = !event || !data;
    bad = bad || peri_map_put_text(data, "rule", item->rule->id) != PERI_OK;
    bad = bad || peri_map_put_text(data, "trigger", item->trigger->id) != PERI_OK;
    bad = bad || peri_map_put_time(data, "scheduled_at", due_ms) != PERI_OK;
    bad = bad || peri_map_put_int(data, "late_ms", now_ms - due_ms) != PERI_OK;
    if (!bad) {
        event->type = peri_strdup(SCHEDULE_EVENT);
        event->source = peri_strdup(PIPE_SCHEDULE_SOURCE);
        event->external_id = peri_asprintf("%s/%" PRId64, item->id, due_ms - offset_ms);
        event->target_rule = peri_strdup(item->rule->id);
        event->target_trigger = peri_strdup(item->trigger->id);
        event->data = peri_json_text(data, PERI_JSON_COMPACT);
        event->data_len = event->data ? strlen(event->data) : 0;
        event->time_ms = due_ms;
        event->received_ms = now_ms;
        bad = !event->type || !event->source || !event->external_id || !event->target_rule || !event->target_trigger ||
              !event->data;
    }
    peri_value_unref(data);
    if (bad) {
        peri_event_unref(event);
        return NULL;
    }
    return event;
}

/* `every` is a duration: its times do not follow a wall clock that is set, and what makes them unique is durable time.
 */
static bool is_every(const struct schedule_item *item)
{
    return item->trigger->schedule->kind == PERI_SCHEDULE_EVERY;
}

void schedules_jumped(struct peri_pipeline *p, int64_t by_ms)
{
    for (size_t i = 0; i < p->schedule_count; i++) {
        struct schedule_item *item = &p->schedules[i];
        if (is_every(item)) {
            item->anchor_ms += by_ms;
            item->last_ms += item->last_ms ? by_ms : 0;
            if (!item->busy) /* else its next occurrence stores it */
                store_item(p, item, NULL);
        }
        if (item->next_ms == INT64_MAX || is_every(item) || by_ms < 0)
            plan(item, past(item, pipe_now(p)));
    }
}

/* Fires the latest occurrence up to now that is at most late_ms old, and plans the next. */
static void catch_up(struct peri_pipeline *p, struct schedule_item *item, int64_t now, int64_t late_ms)
{
    char text[PERI_TIME_TEXT];
    int64_t due, until = past(item, now), from = now - late_ms - item->trigger->schedule->jitter_ms - 1;
    if (from < item->last_ms)
        from = item->last_ms;
    if (from < item->anchor_ms - 1)
        from = item->anchor_ms - 1;
    if (peri_schedule_latest(item->trigger->schedule, item->anchor_ms, from, until, &due)) {
        struct peri_event *event = occurrence(item, due, now, is_every(item) ? pipe_offset(p) : 0);
        item->last_ms = due;
        if (event)
            store_item(p, item, event);
        if (now - due > PIPE_LATE_MS + item->trigger->schedule->jitter_ms)
            peri_info(p->options.log, "schedule", "%s: made up for %s", item->id, peri_time_format(due, text));
    }
    plan(item, until);
}

void schedules_tick(struct peri_pipeline *p)
{
    int64_t now = pipe_now(p);
    for (size_t i = 0; i < p->schedule_count; i++) {
        struct schedule_item *item = &p->schedules[i];
        if (item->busy || item->next_ms > now)
            continue;
        int64_t late = item->trigger->schedule->catch_up_ms;
        catch_up(p, item, now, late > PIPE_LATE_MS ? late : PIPE_LATE_MS);
    }
}

/* --- rules change, service starts --- */

static bool make_item(
    struct peri_rule *rule, const struct peri_trigger *trigger, int64_t now, struct schedule_item *item)
{
    memset(item, 0, sizeof(*item));
    item->id = peri_asprintf("%s/%s", rule->id, trigger->id);
    item->spec = peri_schedule_signature(trigger->schedule);
    item->rule = peri_rule_ref(rule);
    item->trigger = trigger;
    item->anchor_ms = now;
    if (item->id && item->spec)
        return true;
    finish_item(item);
    return false;
}

static size_t count_triggers(const struct peri_pipeline *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->rule_count; i++)
        for (size_t t = 0; p->rules[i]->enabled && t < p->rules[i]->trigger_count; t++)
            n += p->rules[i]->triggers[t].kind == PERI_TRIGGER_SCHEDULE;
    return n;
}

/* A trigger whose text is unchanged keeps its place. Before the start the store decides that (schedules_recover). */
static void inherit(struct peri_pipeline *p, struct schedule_item *item, int64_t now)
{
    const struct schedule_item *old = find(p->schedules, p->schedule_count, item->id);
    if (old && peri_streq(old->spec, item->spec)) {
        item->anchor_ms = old->anchor_ms;
        item->last_ms = old->last_ms;
        item->busy = old->busy;
    } else if (p->started) {
        store_item(p, item, NULL);
    }
    int64_t after = past(item, now);
    plan(item, item->trigger->schedule->jitter_ms > 0 && after < item->anchor_ms ? item->anchor_ms : after);
}

enum peri_status schedules_set(struct peri_pipeline *p, struct peri_error *err)
{
    size_t want = count_triggers(p), count = 0;
    int64_t now = pipe_now(p);
    struct schedule_item *items = calloc(want ? want : 1, sizeof(*items));
    if (!items)
        return peri_error_nomem(err);
    for (size_t i = 0; i < p->rule_count; i++) {
        struct peri_rule *rule = p->rules[i];
        for (size_t t = 0; rule->enabled && t < rule->trigger_count; t++) {
            if (rule->triggers[t].kind != PERI_TRIGGER_SCHEDULE)
                continue;
            if (!make_item(rule, &rule->triggers[t], now, &items[count])) {
                finish_list(items, count);
                return peri_error_nomem(err);
            }
            inherit(p, &items[count++], now);
        }
    }
    schedules_finish(p);
    p->schedules = items;
    p->schedule_count = count;
    return PERI_OK;
}

static enum peri_status take_row(void *arg, const struct peri_schedule_row *row)
{
    struct peri_pipeline *p = arg;
    struct schedule_item *item = find(p->schedules, p->schedule_count, row->id);
    if (!item || !peri_streq(item->spec, row->spec))
        return PERI_OK;
    item->anchor_ms = row->anchor_ms;
    item->last_ms = row->last_ms;
    item->busy = true; /* marks it as known, until the caller has seen it */
    return PERI_OK;
}

enum peri_status schedules_recover(struct peri_pipeline *p, struct peri_error *err)
{
    int64_t now = pipe_now(p);
    enum peri_status st = peri_reader_schedules(p->reader, take_row, p, err);
    for (size_t i = 0; st == PERI_OK && i < p->schedule_count; i++) {
        struct schedule_item *item = &p->schedules[i];
        bool known = item->busy;
        item->busy = false;
        if (known) {
            int64_t last = item->last_ms;
            catch_up(p, item, now, item->trigger->schedule->catch_up_ms);
            start_schedule_found(p, item, last);
        } else {
            store_item(p, item, NULL);
            plan(item, now);
        }
    }
    return st;
}
