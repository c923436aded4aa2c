/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "run/keyed.h"
#include "run/pipeline_internal.h"
#include "run/watch.h"

/* Absence: keys that are expected although they have never spoken, and the time in which nobody could hear.
 *
 * While a rule watches for absence the store gets a mark every ALIVE_MS. After a start the time since the last mark is
 * the time in which the service was down; it is added to every wait. */

#define ALIVE_MS 10000
#define ALIVE_KEY "alive"

/* --- expected keys --- */

struct expecting {
    struct peri_pipeline *p;
    struct peri_rule **rules; /* one reference each */
    size_t count;
    int64_t steady_ms, next_due;
};

static void free_expecting(struct expecting *e)
{
    for (size_t i = 0; i < e->count; i++)
        peri_rule_unref(e->rules[i]);
    free(e->rules);
    free(e);
}

static enum peri_status expect_key(struct peri_tx *tx, struct expecting *e, const struct peri_trigger *trigger,
    int64_t wid, const char *key, struct peri_error *err)
{
    struct peri_keyed_row known;
    bool there = false, evicted = false;
    enum peri_status st = peri_tx_keyed_get(tx, wid, key, &known, &there, err);
    peri_keyed_finish(&known);
    if (st != PERI_OK || there)
        return st;
    struct peri_keyed row = {.wid = wid,
        .ckey = key,
        .newest = e->steady_ms,
        .state = PERI_ABSENCE_EXPECTED,
        .due = e->steady_ms + trigger->for_ms,
        .base = trigger->for_ms};
    if (row.due < e->next_due)
        e->next_due = row.due;
    return peri_tx_keyed_put(tx, &row, trigger->max_keys, &evicted, err);
}

static enum peri_status expect_trigger(struct peri_tx *tx, struct expecting *e, const struct peri_rule *rule,
    const struct peri_trigger *trigger, struct peri_error *err)
{
    int64_t wid = 0;
    enum peri_status st = peri_tx_watch(tx, rule->id, trigger->id, trigger->spec, &wid, err);
    if (st == PERI_OK && !rule->flow.key)
        return expect_key(tx, e, trigger, wid, "", err);
    for (size_t i = 0; st == PERI_OK && i < trigger->expect_count; i++)
        st = expect_key(tx, e, trigger, wid, trigger->expect[i], err);
    return st;
}

static bool is_absence(const struct peri_trigger *trigger)
{
    return trigger->kind == PERI_TRIGGER_ABSENCE;
}

static enum peri_status expect_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct expecting *e = arg;
    enum peri_status st = PERI_OK;
    e->next_due = INT64_MAX;
    for (size_t i = 0; i < e->count; i++)
        for (size_t t = 0; st == PERI_OK && t < e->rules[i]->trigger_count; t++)
            if (is_absence(&e->rules[i]->triggers[t]))
                st = expect_trigger(tx, e, e->rules[i], &e->rules[i]->triggers[t], err);
    PERI_FAILPOINT("expect.rows");
    return st;
}

static void expect_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    PERI_FAILPOINT("expect.done");
    struct expecting *e = arg;
    struct peri_pipeline *p = e->p;
    p->submitting--;
    if (!p->dead && st == PERI_OK)
        watch_planned(p, e->next_due);
    else if (!p->dead)
        peri_err(p->options.log, "watch", "expected keys could not be stored: %s", err ? err->message : "?");
    free_expecting(e);
}

void watch_set(struct peri_pipeline *p)
{
    struct expecting *e = calloc(1, sizeof(*e));
    p->absences = false;
    if (e)
        e->rules = calloc(p->rule_count + 1, sizeof(struct peri_rule *));
    for (size_t i = 0; e && e->rules && i < p->rule_count; i++) {
        bool any = false;
        for (size_t t = 0; p->rules[i]->enabled && t < p->rules[i]->trigger_count; t++)
            any = any || is_absence(&p->rules[i]->triggers[t]);
        if (any)
            e->rules[e->count++] = peri_rule_ref(p->rules[i]);
        p->absences = p->absences || any;
    }
    if (!e)
        return;
    e->p = p;
    e->steady_ms = pipe_steady(p);
    if (e->count > 0) {
        p->submitting++;
        if (pipe_commit(p, 1024 * e->count, expect_tx, expect_done, e, true) == PERI_OK)
            return;
        p->submitting--;
    }
    free_expecting(e);
}

/* --- the time in which nobody could hear --- */

static enum peri_status mark_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct expecting *e = arg;
    char text[32];
    snprintf(text, sizeof(text), "%" PRId64, e->steady_ms);
    PERI_FAILPOINT("alive.rows");
    return peri_tx_meta_set(tx, ALIVE_KEY, text, err);
}

static void mark_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    PERI_FAILPOINT("alive.done");
    struct expecting *e = arg;
    e->p->submitting--; /* a mark that is not stored makes the next wait a little longer */
    free_expecting(e);
}

void watch_alive_tick(struct peri_pipeline *p)
{
    int64_t now = pipe_mono_ms(p);
    if (!p->absences || !p->caught_up || now < p->alive_at)
        return;
    p->alive_at = now + ALIVE_MS;
    struct expecting *e = calloc(1, sizeof(*e));
    if (!e)
        return;
    e->p = p;
    e->steady_ms = pipe_steady(p);
    p->submitting++;
    if (pipe_commit(p, 64, mark_tx, mark_done, e, false) == PERI_OK)
        return;
    p->submitting--;
    free_expecting(e);
}

struct silence {
    int64_t from, now;
};

/* What had ended before the service stopped has ended; the rest waits on. Together with the mark, so that a second
 * crash does not add it twice. */
static enum peri_status silence_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct silence *s = arg;
    char text[32];
    snprintf(text, sizeof(text), "%" PRId64, s->now);
    enum peri_status st =
        s->now > s->from ? peri_tx_keyed_shift(tx, "absence ", s->from, s->now - s->from, err) : PERI_OK;
    PERI_FAILPOINT("silence.rows");
    return st == PERI_OK ? peri_tx_meta_set(tx, ALIVE_KEY, text, err) : st;
}

enum peri_status watch_was_down(struct peri_pipeline *p, struct peri_error *err)
{
    struct silence s = {.now = pipe_steady(p)};
    char *text = NULL;
    long long from;
    enum peri_status st = peri_reader_meta(p->reader, ALIVE_KEY, &text, err);
    bool known = st == PERI_OK && text && peri_parse_i64(text, &from);
    free(text);
    if (!known)
        return st == PERI_ENOTFOUND ? PERI_OK : st;
    s.from = from;
    return peri_store_run(p->options.store, silence_tx, &s, err);
}
