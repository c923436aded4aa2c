/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_MATCH_INTERNAL_H
#define PERI_RUN_MATCH_INTERNAL_H

#include "base/timefmt.h"
#include "run/lane.h"
#include "run/pipeline_internal.h"
#include "run/scope.h"

/* Shared by match.c (window), match_rule.c (which rules hear an event, and what they say) and match_tx.c (T2). */

#define MATCH_TEXT_MAX (32 << 20) /* bytes of an event's verdicts of patterns that do not match */

enum match_outcome { MATCH_NOTHING, MATCH_STARTED, MATCH_QUEUED, MATCH_REFUSED };

struct match_rule {
    struct match_event *event;
    struct peri_rule *rule; /* one reference */
    const struct peri_trigger **triggers;
    size_t trigger_count, at;
    const struct peri_trigger *fired;
    struct peri_value *trigger_value; /* of triggers[at] */
    struct peri_value *rule_value;
    struct peri_value *verdict; /* the furthest so far; NULL: it is text */
    size_t text_at, text_len;   /* in the event's texts */
    struct peri_match_scope roots;
    struct evaluation *evaluation;
    bool decided;
    char *key; /* of the lane, "" when the rule has none; when it fired */
/* Set by T2. */
#define MATCH_TEXT_MAX (32 << 20) /* bytes of an event's verdicts of patterns that do not match */

    enum match_outcome outcome;
    uint64_t run, behind;    /* behind: a run that was cancelled for this one and whose call is under way */
    struct peri_value *told; /* the verdict that is stored; NULL: as above */
};

struct match_event {
    struct peri_pipeline *p;
    struct peri_event *event;
    struct peri_value *payload;
    struct peri_pattern_event *scanned; /* while patterns may still look at it */
    struct peri_buf texts;              /* verdicts of patterns that do not match */
    struct match_rule *rules;
    size_t rule_count, undecided;
    const struct peri_value *watch; /* what a watch says of an event of its own; borrowed from the event; else NULL */
    bool begun, counted;            /* counted: one of p->evaluating */
    bool stored_before;             /* T2 found runs of an earlier try */
    const char *dead;               /* reason, when it is set aside */
    char *dead_text;                /* owns it, when it is no constant */
    char *verdicts;                 /* JSON, made by T2 */
};

struct match_tx {
    struct peri_pipeline *p;
    struct pipe_start start;
    struct match_event **events;
    size_t count;
    int64_t now_ms;
    const char *kprefix;
    int tries;
    int64_t steady_ms; /* of the try; now_ms is the same instant on the wall */
    struct peri_lane_stops stops;
    int64_t next_due; /* the earliest that a watch will be due because of it; INT64_MAX: none */
    size_t evicted;   /* keys that watches had no room for any more */
};

/* throttle.c: on the store's thread. *ret_stop: the verdict is told, no run is to be made. */
enum peri_status match_throttle(struct peri_tx *tx, struct match_tx *mt, struct match_rule *mr, bool *ret_stop,
    struct peri_error *err) PERI_MUST_CHECK;
/* A run was made. */
enum peri_status match_throttle_fired(
    struct peri_tx *tx, struct match_tx *mt, struct match_rule *mr, struct peri_error *err) PERI_MUST_CHECK;
/* Replaces what is told. PERI_ENOMEM. */
enum peri_status match_tell(struct match_rule *mr, const char *word, uint64_t run, const char *at, const char *reason,
    struct peri_error *err) PERI_MUST_CHECK;
/* Text of a steady time on the wall. */
char *match_wall(const struct match_tx *mt, int64_t steady_ms, char out[PERI_TIME_TEXT]);

struct match_event *match_at(const struct peri_pipeline *p, size_t i);
/* Whatever is complete at the front of the window becomes a transaction, unless one is under way. */
void match_commit(struct peri_pipeline *p);
/* Finds the rules that hear the event and begins to evaluate them; it is decided when undecided is 0. */
void match_begin(struct peri_pipeline *p, struct match_event *me);
void match_free(struct match_event *me);
/* hops.c: how an event came about, "t.A -> rule a (run-1) -> t.B"; malloc'ed, NULL when memory is out. */
char *match_path(struct peri_pipeline *p, const struct peri_event *event);

#endif
