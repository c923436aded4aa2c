/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "base/vec.h"
#include "lang/glob.h"
#include "run/match_internal.h"
#include "run/scope.h"

/* cancel_on: an event ends the runs of a rule, of the key that it gives when the rule has one. Which rules that are is
 * asked when the event is begun; the T2 that first stores something of the event ends the runs that earlier events have
 * started. */

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

enum peri_status match_cancels_store(
    struct peri_tx *tx, struct match_tx *mt, const struct match_event *me, struct peri_error *err)
{
    char id[PERI_ID_TEXT], why[PERI_ERROR_MESSAGE_MAX];
    enum peri_status st = PERI_OK;
    snprintf(
        why, sizeof(why), "%s (%.100s) has ended it (cancel_on)", peri_event_id(me->event->seq, id), me->event->type);
    for (size_t i = 0; st == PERI_OK && i < me->cancel_count; i++) {
        const struct match_cancel *c = &me->cancels[i];
        mt->cancelled.count = 0;
        st = peri_tx_lane_before(tx, c->rule->id, c->key, me->event->seq, &mt->cancelled, err);
        for (size_t k = 0; st == PERI_OK && k < mt->cancelled.count; k++)
            st = peri_lane_stop(tx, mt->cancelled.items[k], PERI_RUN_CANCELLED, "cancel_on", why, &mt->stops, err);
        if (st == PERI_OK && mt->cancelled.count > 0)
            st = peri_tx_lane_promote(tx, c->rule->id, c->key, peri_lane_room(&c->rule->flow), &mt->promoted, err);
    }
    return st;
}
