/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_MATCH_INTERNAL_H
#define PERI_RUN_MATCH_INTERNAL_H

#include "run/pipeline_internal.h"
#include "run/scope.h"

/* Shared by match.c (window, transactions) and match_rule.c (which rules hear an event, and what they say). */

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
    uint64_t run; /* set by T2 */
};

struct match_event {
    struct peri_pipeline *p;
    struct peri_event *event;
    struct peri_value *payload;
    struct peri_pattern_event *scanned; /* while patterns may still look at it */
    struct peri_buf texts;              /* verdicts of patterns that do not match */
    struct match_rule *rules;
    size_t rule_count, undecided;
    bool begun, counted; /* counted: one of p->evaluating */
    bool stored_before;  /* T2 found runs of an earlier try */
    const char *dead;    /* reason, when it is set aside */
    char *verdicts;      /* JSON, made by T2 */
};

/* Finds the rules that hear the event and begins to evaluate them; it is decided when undecided is 0. */
void match_begin(struct peri_pipeline *p, struct match_event *me);
void match_free(struct match_event *me);

#endif
