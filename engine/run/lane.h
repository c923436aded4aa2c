/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_LANE_H
#define PERI_RUN_LANE_H

#include "io/store_runs.h"
#include "lang/rule.h"
#include "run/wait.h"

/* A lane holds the runs of one rule and one rendered key. Who may start is decided inside the transaction that makes
 * the run, from stored state only; who follows, inside the one that ends a run. */

enum peri_lane_kind { PERI_LANE_START, PERI_LANE_QUEUE, PERI_LANE_DROP };

struct peri_lane_decision {
    enum peri_lane_kind kind;
    bool cancel_all;    /* whoever is live or queued is cancelled first */
    bool cancel_oldest; /* the oldest live one is cancelled first */
    bool drop_oldest;   /* the oldest queued one is dropped first */
    uint64_t other;     /* QUEUE, DROP: the run that stands before it */
    bool above_max;     /* max_exceeded decided */
};

/* The lane of a rule's runs that this trigger starts, NULL: none; *ret_flow is what holds in it. key: the rendered one.
 */
const char *peri_lane_of(
    const struct peri_rule *rule, const struct peri_trigger *trigger, const char *key, struct peri_flow *ret_flow);
/* How many runs of a lane may be live, by its name. */
int64_t peri_lane_room_of(const struct peri_flow *flow, const char *ckey);

/* Pure. */
struct peri_lane_decision peri_lane_decide(const struct peri_flow *flow, const struct peri_lane_facts *facts);
/* How many runs of a lane may be live; 0: any number. */
int64_t peri_lane_room(const struct peri_flow *flow);

/* A run that was ended from outside, for what is in memory. */
struct peri_lane_stop {
    uint64_t run, by; /* by: the run that takes its place, 0: none */
    enum peri_run_state state;
};
struct peri_lane_stops {
    struct peri_lane_stop *items; /* malloc'ed */
    size_t count, cap;
    /* system.h: what is told of them, in the same transaction */
    bool tell_finished, tell_failed; /* somebody hears them */
    int64_t now_ms;                  /* wall */
    struct peri_event **told;
    size_t told_count, told_cap;
    struct peri_wait_hits hits;
};
/* A transaction begins, perhaps anew; it is over. */
void peri_lane_stops_begin(struct peri_lane_stops *stops);
void peri_lane_stops_finish(struct peri_lane_stops *stops);

/* Decides for a run that is about to be inserted, and ends those that must go. text (may be NULL, at least
 * PERI_LANE_TEXT bytes) gets what a verdict says, or "". */
#define PERI_LANE_TEXT 160
enum peri_status peri_lane_admit(struct peri_tx *tx, const struct peri_rule *rule, const struct peri_flow *flow,
    const char *ckey, struct peri_lane_decision *ret, struct peri_lane_stops *stops, char *text,
    struct peri_error *err) PERI_MUST_CHECK;
/* Ends a run and notes it. */
enum peri_status peri_lane_stop(struct peri_tx *tx, uint64_t run, enum peri_run_state state, const char *code,
    const char *message, struct peri_lane_stops *stops, struct peri_error *err) PERI_MUST_CHECK;
bool peri_lane_stopped(const struct peri_lane_stops *stops, uint64_t run);

#endif
