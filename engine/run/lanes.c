/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "base/vec.h"
#include "run/lane.h"
#include "run/pipeline_internal.h"

/* Whoever ends a run lets the next one of its lane begin in the same transaction. What is left for here: after a start,
 * and after a rule's mode or max has changed, there may be room that nobody's end has made. */

int64_t lanes_room(struct peri_pipeline *p, const struct peri_rule *rule, const char *ckey)
{
    const struct peri_rule *now = pipe_rule_by_id(p, rule->id);
    return peri_lane_room_of(now ? &now->flow : &rule->flow, ckey);
}

struct sweep {
    struct peri_pipeline *p;
    struct swept {
        char *rule, *ckey;
        int64_t room;
    } * lanes;
    size_t count, cap;
    struct peri_run_ids promoted;
};

static void free_sweep(struct sweep *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->lanes[i].rule);
        free(s->lanes[i].ckey);
    }
    free(s->lanes);
    free(s->promoted.items);
    free(s);
}

static enum peri_status add_lane(void *arg, const char *rule, const char *ckey)
{
    struct sweep *s = arg;
    const struct peri_rule *now = pipe_rule_by_id(s->p, rule);
    if (!peri_vec_grow(&s->lanes, &s->cap, s->count + 1, sizeof(*s->lanes)))
        return PERI_ENOMEM;
    s->lanes[s->count] = (struct swept){
        .rule = peri_strdup(rule), .ckey = peri_strdup(ckey), .room = now ? peri_lane_room_of(&now->flow, ckey) : 1};
    s->count++;
    return s->lanes[s->count - 1].rule && s->lanes[s->count - 1].ckey ? PERI_OK : PERI_ENOMEM;
}

static enum peri_status sweep_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct sweep *s = arg;
    enum peri_status st = PERI_OK;
    s->promoted.count = 0;
    for (size_t i = 0; st == PERI_OK && i < s->count; i++)
        st = peri_tx_lane_promote(tx, s->lanes[i].rule, s->lanes[i].ckey, s->lanes[i].room, &s->promoted, err);
    PERI_FAILPOINT("lanes.rows");
    return st;
}

static void sweep_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    PERI_FAILPOINT("lanes.done");
    struct sweep *s = arg;
    struct peri_pipeline *p = s->p;
    p->committing--;
    if (!p->dead && st == PERI_OK)
        live_promoted(p, &s->promoted);
    else if (!p->dead)
        peri_err(p->options.log, "run", "queued runs could not be looked through: %s", err ? err->message : "?");
    free_sweep(s);
}

void lanes_sweep(struct peri_pipeline *p, const char *rule, const char *ckey)
{
    struct peri_error err = {0};
    struct sweep *s = calloc(1, sizeof(*s));
    if (!s)
        return;
    s->p = p;
    enum peri_status st = rule ? add_lane(s, rule, ckey) : peri_reader_lanes_queued(p->reader, add_lane, s, &err);
    if (st != PERI_OK)
        peri_err(p->options.log, "run", "queued runs could not be looked through: %s", peri_status_name(st));
    if (st == PERI_OK && s->count > 0) {
        p->committing++;
        if (pipe_commit(p, 256 * s->count, sweep_tx, sweep_done, s, true) == PERI_OK)
            return;
        p->committing--;
    }
    free_sweep(s);
}
