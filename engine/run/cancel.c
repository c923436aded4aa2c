/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "base/vec.h"
#include "lang/glob.h"
#include "run/match_internal.h"
#include "run/scope.h"

/* cancel_on: an event ends the runs of a rule, of the key that it gives when the rule has one. Which rules that are is
 * asked when the event is begun; the T2 that first stores something of the event ends the runs that earlier events have
 * started. What those start that were not decided by then is ended when it is made. */

static bool takes(const struct match_event *me, const struct peri_cancel *cancel)
{
    struct peri_error err;
    bool matches = true;
    bool by_star = cancel->event[0] == '*' && peri_streq(me->event->source, PIPE_SYSTEM_SOURCE);
    if (by_star || !peri_glob_match(cancel->event, me->event->type))
        return false;
    return !cancel->match ||
           (peri_pattern_match(cancel->match, me->event->data, me->event->data_len, &matches, NULL, &err) == PERI_OK &&
               matches);
}

/* NULL: the event gives no key, so it concerns no run; or memory is out. */
static char *key_of(struct match_event *me, const struct peri_rule *rule)
{
    struct peri_pipeline *p = me->p;
    struct peri_error err = {0};
    char *key = NULL;
    if (!me->payload)
        me->payload = peri_scope_event(me->event);
    struct peri_value *about = peri_scope_rule(rule),
                      *trigger = me->payload ? peri_scope_trigger(me->event, me->payload, "cancel_on") : NULL;
    struct peri_match_scope roots = {.event = me->payload, .trigger = trigger, .rule = about};
    struct peri_scope scope = peri_match_scope(&roots, pipe_now(p), p->options.tz);
    if (about && trigger && peri_scope_key(rule->flow.key, &scope, &key, &err) != PERI_OK)
        peri_debug(p->options.log, "match", "rule %s, ev-%llu: cancel_on: %s", rule->id,
            (unsigned long long)me->event->seq, err.message);
    peri_value_unref(about);
    peri_value_unref(trigger);
    return key;
}

static void add(struct match_event *me, struct peri_rule *rule, size_t *cap)
{
    char *key = key_of(me, rule);
    if (!key || !peri_vec_grow(&me->cancels, cap, me->cancel_count + 1, sizeof(*me->cancels))) {
        free(key);
        return;
    }
    me->cancels[me->cancel_count++] = (struct match_cancel){peri_rule_ref(rule), key};
}

void match_cancels_find(struct match_event *me)
{
    struct peri_pipeline *p = me->p;
    size_t cap = 0;
    if (me->event->target_rule || me->event->replay_of || me->dead)
        return;
    for (size_t i = 0; i < p->cancelling_count; i++) {
        struct peri_rule *rule = p->cancelling[i];
        bool found = false;
        for (size_t k = 0; k < rule->flow.cancel_count && !found; k++)
            found = takes(me, &rule->flow.cancels[k]);
        if (found)
            add(me, rule, &cap);
    }
}

void match_cancels_finish(struct match_event *me)
{
    for (size_t i = 0; i < me->cancel_count; i++) {
        peri_rule_unref(me->cancels[i].rule);
        free(me->cancels[i].key);
    }
    free(me->cancels);
    me->cancels = NULL;
    me->cancel_count = 0;
}

static void say_why(uint64_t seq, const char *type, char out[PERI_ERROR_MESSAGE_MAX])
{
    char id[PERI_ID_TEXT];
    snprintf(out, PERI_ERROR_MESSAGE_MAX, "%s%s%.100s%s has ended it (cancel_on)", peri_event_id(seq, id),
        type ? " (" : "", type ? type : "", type ? ")" : "");
}

enum peri_status match_cancels_store(
    struct peri_tx *tx, struct match_tx *mt, const struct match_event *me, struct peri_error *err)
{
    char why[PERI_ERROR_MESSAGE_MAX];
    enum peri_status st = PERI_OK;
    say_why(me->event->seq, me->event->type, why);
    for (size_t i = 0; st == PERI_OK && i < me->cancel_count; i++) {
        const struct match_cancel *c = &me->cancels[i];
        mt->cancelled.count = 0;
        st = peri_tx_lane_before(tx, c->rule->id, c->key, me->event->seq, &mt->cancelled, err);
        if (st == PERI_OK && !c->rule->flow.key)
            st = peri_tx_times_before(tx, c->rule->id, me->event->seq, &mt->cancelled, err);
        for (size_t k = 0; st == PERI_OK && k < mt->cancelled.count; k++)
            st = peri_lane_stop(tx, mt->cancelled.items[k], PERI_RUN_CANCELLED, "cancel_on", why, &mt->stops, err);
        if (st == PERI_OK && mt->cancelled.count > 0)
            st = peri_tx_lane_promote(tx, c->rule->id, c->key, peri_lane_room(&c->rule->flow), &mt->promoted, err);
        if (st == PERI_OK)
            st = peri_tx_cancel_mark(tx, c->rule->id, c->key, me->event->seq, err);
    }
    PERI_FAILPOINT("t2.cancelled");
    return st;
}

enum peri_status match_cancelled_since(
    struct peri_tx *tx, struct match_tx *mt, struct match_rule *mr, struct peri_error *err)
{
    char why[PERI_ERROR_MESSAGE_MAX];
    uint64_t by = 0;
    if (mr->event->event->replay_of)
        return PERI_OK;
    enum peri_status st =
        peri_tx_cancel_after(tx, mr->rule->id, mr->key ? mr->key : "", mr->event->event->seq, &by, err);
    if (st != PERI_OK || by == 0)
        return st;
    say_why(by, NULL, why);
    return peri_lane_stop(tx, mr->run, PERI_RUN_CANCELLED, "cancel_on", why, &mt->stops, err);
}

/* --- runs that began before their rule had cancel_on --- */

/* They have no key, because nobody had asked for one. It is made of their event and the rule as it is now. */

#define PAGE 100

struct keyless {
    uint64_t run, event;
    char *trigger, *key;
    struct peri_rule *rule;
};

struct backfill {
    struct peri_pipeline *p;
    struct keyless items[PAGE];
    size_t count, seen;
    uint64_t after;
};

static void free_items(struct backfill *b)
{
    for (size_t i = 0; i < b->count; i++) {
        free(b->items[i].trigger);
        free(b->items[i].key);
        peri_rule_unref(b->items[i].rule);
    }
    b->count = 0;
}

static enum peri_status take_keyless(void *arg, const struct peri_run_row *row)
{
    struct backfill *b = arg;
    struct peri_pipeline *p = b->p;
    b->seen++;
    b->after = row->id;
    for (size_t i = 0; i < p->cancelling_count; i++) {
        if (!peri_streq(p->cancelling[i]->id, row->rule))
            continue;
        b->items[b->count++] = (struct keyless){.run = row->id,
            .event = row->event,
            .trigger = peri_strdup(row->trigger),
            .rule = peri_rule_ref(p->cancelling[i])};
        break;
    }
    return PERI_OK;
}

/* NULL: the event gives none. */
static char *keyless_key(struct peri_pipeline *p, const struct keyless *item)
{
    struct peri_event *event = NULL;
    struct peri_error err = {0};
    char *key = NULL;
    if (!item->rule->flow.key)
        return peri_strdup("");
    if (peri_reader_event(p->reader, item->event, &event, NULL) != PERI_OK)
        return NULL;
    struct peri_value *payload = peri_scope_event(event), *about = peri_scope_rule(item->rule);
    struct peri_value *trigger = payload ? peri_scope_trigger(event, payload, item->trigger) : NULL;
    struct peri_match_scope roots = {.event = payload, .trigger = trigger, .rule = about};
    struct peri_scope scope = peri_match_scope(&roots, pipe_now(p), p->options.tz);
    if (about && trigger && peri_scope_key(item->rule->flow.key, &scope, &key, &err) != PERI_OK)
        key = NULL;
    peri_value_unref(payload);
    peri_value_unref(about);
    peri_value_unref(trigger);
    peri_event_unref(event);
    return key;
}

static enum peri_status keyed_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct backfill *b = arg;
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < b->count; i++)
        if (b->items[i].key)
            st = peri_tx_run_keyed(tx, b->items[i].run, b->items[i].key, err);
    PERI_FAILPOINT("keyed.rows");
    return st;
}

static void next_page(struct backfill *b);

static void end_backfill(struct backfill *b)
{
    struct peri_pipeline *p = b->p;
    bool again = p->keying_again && !p->dead && !p->draining;
    free_items(b);
    free(b);
    p->keying = p->keying_again = false;
    if (again)
        cancel_keys(p);
}

static void keyed_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct backfill *b = arg;
    struct peri_pipeline *p = b->p;
    p->committing--;
    for (size_t i = 0; !p->dead && st == PERI_OK && i < b->count; i++) {
        struct live *live = live_find(p, b->items[i].run);
        if (live && !live->run->ckey)
            live->run->ckey = peri_strdup(b->items[i].key);
    }
    free_items(b);
    if (p->dead || st != PERI_OK || p->draining)
        end_backfill(b);
    else
        next_page(b);
}

static void next_page(struct backfill *b)
{
    struct peri_pipeline *p = b->p;
    struct peri_error err = {0};
    do {
        b->seen = 0;
        if (peri_reader_keyless(p->reader, b->after, PAGE, take_keyless, b, &err) != PERI_OK)
            break;
    } while (b->count == 0 && b->seen == PAGE);
    for (size_t i = 0; i < b->count; i++)
        b->items[i].key = keyless_key(p, &b->items[i]);
    p->committing++;
    if (b->count > 0 && pipe_commit(p, 512 * b->count, keyed_tx, keyed_done, b, true) == PERI_OK)
        return;
    p->committing--;
    end_backfill(b);
}

void cancel_keys(struct peri_pipeline *p)
{
    p->keying_again = p->keying;
    if (p->cancelling_count == 0 || p->keying || !pipe_writable(p))
        return;
    struct backfill *b = calloc(1, sizeof(*b));
    if (!b)
        return;
    b->p = p;
    p->keying = true;
    next_page(b);
}
