/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/str.h"
#include "io/store_watch.h"
#include "run/match_internal.h"
#include "run/watch.h"

/* throttle: once_within looks back, once_after waits for quiet. Both on the store's thread, inside T2. */

static enum peri_status within(
    struct peri_tx *tx, struct match_tx *mt, struct match_rule *mr, bool *ret_stop, struct peri_error *err)
{
    int64_t last = 0, length = mr->rule->flow.once_within_ms;
    char text[96], until[PERI_TIME_TEXT];
    bool found = false;
    enum peri_status st = peri_tx_throttle_get(tx, mr->rule->id, mr->key, &last, &found, err);
    if (st != PERI_OK || !found)
        return st;
    if (last > mt->steady_ms)
        last = mt->steady_ms;
    if (mt->steady_ms - last >= length)
        return PERI_OK;
    *ret_stop = true;
    snprintf(text, sizeof(text), "throttled until %s", match_wall(mt, last + length, until));
    return match_tell(mr, PERI_VERDICT_THROTTLED, 0, "throttle", text, err);
}

static enum peri_status wait_for_quiet(
    struct peri_tx *tx, struct match_tx *mt, struct match_rule *mr, struct peri_error *err)
{
    const struct peri_rule *rule = mr->rule;
    struct peri_keyed row = {.ckey = mr->key,
        .newest = mt->steady_ms,
        .due = mt->steady_ms + rule->flow.once_after_ms,
        .base = rule->flow.once_after_ms,
        .event = mr->event->event->seq,
        .data = mr->fired->id};
    char text[96], until[PERI_TIME_TEXT];
    bool evicted = false;
    enum peri_status st = peri_tx_watch(tx, rule->id, WATCH_QUIET, WATCH_QUIET, &row.wid, err);
    if (st == PERI_OK)
        st = peri_tx_keyed_put(tx, &row, WATCH_KEYS_MAX, &evicted, err);
    if (st != PERI_OK)
        return st;
    mt->evicted += evicted;
    if (row.due < mt->next_due)
        mt->next_due = row.due;
    snprintf(text, sizeof(text), "fires at %s, unless more comes until then", match_wall(mt, row.due, until));
    return match_tell(mr, PERI_VERDICT_HELD, 0, "throttle", text, err);
}

enum peri_status match_throttle(
    struct peri_tx *tx, struct match_tx *mt, struct match_rule *mr, bool *ret_stop, struct peri_error *err)
{
    const struct peri_flow *flow = &mr->rule->flow;
    bool quiet = peri_streq(peri_map_text(mr->event->watch, "kind"), "quiet");
    *ret_stop = false;
    if (flow->once_after_ms > 0 && !quiet) {
        *ret_stop = true;
        return wait_for_quiet(tx, mt, mr, err);
    }
    return flow->once_within_ms > 0 ? within(tx, mt, mr, ret_stop, err) : PERI_OK;
}

enum peri_status match_throttle_fired(
    struct peri_tx *tx, struct match_tx *mt, struct match_rule *mr, struct peri_error *err)
{
    int64_t length = mr->rule->flow.once_within_ms;
    if (length == 0 || mr->outcome == MATCH_NOTHING)
        return PERI_OK;
    return peri_tx_throttle_put(tx, mr->rule->id, mr->key, mt->steady_ms, mt->steady_ms + length, err);
}
