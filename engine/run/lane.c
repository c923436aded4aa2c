/* SPDX-License-Identifier: Apache-2.0 */
#include "run/lane.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "data/json.h"
#include "io/store_ledger.h"
#include "run/system.h"

int64_t peri_lane_room(const struct peri_flow *flow)
{
    switch (flow->mode) {
    case PERI_MODE_SINGLE:
    case PERI_MODE_RESTART:
    case PERI_MODE_QUEUED:
        return 1;
    case PERI_MODE_PARALLEL:
        return flow->max;
    case PERI_MODE_NONE:
        break;
    }
    return 0;
}

static struct peri_lane_decision above_max(const struct peri_flow *flow, const struct peri_lane_facts *facts)
{
    struct peri_lane_decision d = {.kind = PERI_LANE_DROP, .other = facts->first_live, .above_max = true};
    bool parallel = flow->mode == PERI_MODE_PARALLEL;
    if (flow->exceeded == PERI_EXCEEDED_DROP_OLDEST && parallel) {
        d.kind = PERI_LANE_START;
        d.cancel_oldest = true;
    } else if (flow->exceeded == PERI_EXCEEDED_DROP_OLDEST && facts->queued > 0) {
        d.kind = PERI_LANE_QUEUE;
        d.drop_oldest = true;
    } else if (flow->exceeded == PERI_EXCEEDED_QUEUE) {
        d.kind = PERI_LANE_QUEUE;
        d.above_max = false;
    }
    return d;
}

struct peri_lane_decision peri_lane_decide(const struct peri_flow *flow, const struct peri_lane_facts *facts)
{
    struct peri_lane_decision d = {
        .kind = PERI_LANE_START, .other = facts->live > 0 ? facts->first_live : facts->first_queued};
    bool busy = facts->live > 0 || facts->queued > 0;
    switch (flow->mode) {
    case PERI_MODE_SINGLE:
        d.kind = busy ? PERI_LANE_DROP : PERI_LANE_START;
        break;
    case PERI_MODE_RESTART:
        d.cancel_all = busy;
        break;
    case PERI_MODE_QUEUED:
        if (facts->live + facts->queued >= flow->max)
            return above_max(flow, facts);
        d.kind = busy ? PERI_LANE_QUEUE : PERI_LANE_START;
        break;
    case PERI_MODE_PARALLEL:
        if (flow->max > 0 && facts->live >= flow->max)
            return above_max(flow, facts);
        break;
    case PERI_MODE_NONE:
        break;
    }
    return d;
}

bool peri_lane_stopped(const struct peri_lane_stops *stops, uint64_t run)
{
    for (size_t i = 0; i < stops->count; i++)
        if (stops->items[i].run == run)
            return true;
    return false;
}

enum peri_status peri_lane_stop(struct peri_tx *tx, uint64_t run, enum peri_run_state state, const char *code,
    const char *message, struct peri_lane_stops *stops, struct peri_error *err)
{
    struct peri_value *why = peri_value_map();
    bool bad = !why || peri_map_put_text(why, "code", code) != PERI_OK ||
               peri_map_put_text(why, "message", message) != PERI_OK;
    char *text = bad ? NULL : peri_json_text(why, PERI_JSON_COMPACT);
    peri_value_unref(why);
    if (!text || !peri_vec_grow(&stops->items, &stops->cap, stops->count + 1, sizeof(*stops->items))) {
        free(text);
        return peri_error_nomem(err);
    }
    enum peri_status st = peri_tx_run_stop(tx, run, state, text, err);
    free(text);
    if (st != PERI_OK)
        return st;
    stops->items[stops->count++] = (struct peri_lane_stop){.run = run, .state = state};
    return system_tell_stopped(tx, run, state, code, message, stops, err);
}

void peri_lane_stops_begin(struct peri_lane_stops *stops)
{
    stops->count = stops->hits.count = 0;
    while (stops->told_count > 0)
        peri_event_unref(stops->told[--stops->told_count]);
}

void peri_lane_stops_finish(struct peri_lane_stops *stops)
{
    peri_lane_stops_begin(stops);
    free(stops->items);
    free(stops->told);
    free(stops->hits.items);
}

/* max_exceeded: that is a dead letter too. */
static enum peri_status drop_for_room(struct peri_tx *tx, const struct peri_rule *rule, uint64_t run,
    enum peri_run_state state, const char *message, struct peri_lane_stops *stops, struct peri_error *err)
{
    struct peri_dead dead = {.kind = "drop", .rule = rule->id, .code = "max_exceeded", .reason = message, .run = run};
    enum peri_status st = peri_lane_stop(tx, run, state, "mode", message, stops, err);
    return st == PERI_OK ? peri_tx_dead_put(tx, &dead, err) : st;
}

/* One after the other, until nobody is left. */
static enum peri_status cancel_all(struct peri_tx *tx, const struct peri_rule *rule, const char *ckey,
    struct peri_lane_facts facts, struct peri_lane_stops *stops, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    while (st == PERI_OK && (facts.live > 0 || facts.queued > 0)) {
        uint64_t run = facts.live > 0 ? facts.first_live : facts.first_queued;
        st = peri_lane_stop(
            tx, run, PERI_RUN_CANCELLED, "mode", "a newer run of its lane took its place (mode: restart)", stops, err);
        if (st == PERI_OK)
            st = peri_tx_lane_facts(tx, rule->id, ckey, &facts, err);
    }
    return st;
}

static void describe(
    const struct peri_flow *flow, const struct peri_lane_facts *facts, const struct peri_lane_decision *d, char *text)
{
    const char *what = flow->mode == PERI_MODE_SINGLE ? "a run of this lane is live" : "the lane is full";
    text[0] = '\0';
    if (d->cancel_all)
        snprintf(text, PERI_LANE_TEXT, "run-%" PRIu64 " was cancelled for it (mode: restart)", d->other);
    else if (d->cancel_oldest)
        snprintf(text, PERI_LANE_TEXT, "run-%" PRIu64 " was cancelled for it (max %" PRId64 ")", facts->first_live,
            flow->max);
    else if (d->drop_oldest)
        snprintf(text, PERI_LANE_TEXT, "queued behind run-%" PRIu64 "; run-%" PRIu64 " was dropped (max %" PRId64 ")",
            d->other, facts->first_queued, flow->max);
    else if (d->kind == PERI_LANE_QUEUE)
        snprintf(text, PERI_LANE_TEXT, "queued behind run-%" PRIu64, d->other);
    else if (d->kind == PERI_LANE_DROP && d->above_max)
        snprintf(text, PERI_LANE_TEXT, "%s (max %" PRId64 ", run-%" PRIu64 " is live)", what, flow->max, d->other);
    else if (d->kind == PERI_LANE_DROP)
        snprintf(text, PERI_LANE_TEXT, "%s (run-%" PRIu64 ")", what, d->other);
}

const char *peri_lane_of(
    const struct peri_rule *rule, const struct peri_trigger *trigger, const char *key, struct peri_flow *ret_flow)
{
    *ret_flow = rule->flow;
    if (rule->flow.mode != PERI_MODE_NONE)
        return key;
    if (!trigger || !trigger->lane)
        return peri_rule_has_lane(rule) ? key : NULL; /* one that only cancel_on asks for */
    bool buffer = trigger->schedule->overlap == PERI_OVERLAP_BUFFER;
    ret_flow->mode = buffer ? PERI_MODE_QUEUED : PERI_MODE_SINGLE;
    ret_flow->max = buffer ? 2 : 0;
    ret_flow->exceeded = PERI_EXCEEDED_DROP_NEWEST;
    return trigger->lane;
}

int64_t peri_lane_room_of(const struct peri_flow *flow, const char *ckey)
{
    return strncmp(ckey, PERI_TIMES_LANE, strlen(PERI_TIMES_LANE)) == 0 ? 1 : peri_lane_room(flow);
}

enum peri_status peri_lane_admit(struct peri_tx *tx, const struct peri_rule *rule, const struct peri_flow *flow,
    const char *ckey, struct peri_lane_decision *ret, struct peri_lane_stops *stops, char *text, struct peri_error *err)
{
    struct peri_lane_facts facts;
    enum peri_status st = peri_tx_lane_facts(tx, rule->id, ckey, &facts, err);
    if (st != PERI_OK)
        return st;
    *ret = peri_lane_decide(flow, &facts);
    if (text)
        describe(flow, &facts, ret, text);
    if (ret->cancel_all)
        return cancel_all(tx, rule, ckey, facts, stops, err);
    if (ret->cancel_oldest)
        return drop_for_room(tx, rule, facts.first_live, PERI_RUN_CANCELLED,
            "a newer run took its place (max_exceeded: drop_oldest)", stops, err);
    if (ret->drop_oldest)
        return drop_for_room(tx, rule, facts.first_queued, PERI_RUN_DROPPED,
            "the lane was full, and it waited longest (max_exceeded: drop_oldest)", stops, err);
    return PERI_OK;
}
