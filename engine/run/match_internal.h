/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_MATCH_INTERNAL_H
#define PERI_RUN_MATCH_INTERNAL_H

#include "base/timefmt.h"
#include "lang/hearing.h"
#include "run/lane.h"
#include "run/pipeline_internal.h"
#include "run/scope.h"

/* Shared by match.c (window and events under way), match_rule.c (which rules hear an event, and what they say),
 * match_line.c (pairs of one rule: their order, and how many ask at once), match_commit.c (what becomes a T2, and what
 * follows from it) and match_tx.c (T2).
 *
 * The unit is the pair of an event and a rule that hears it. A pair is open until it is decided; decided pairs are
 * stored by a T2, and the last one of an event ends the event. */

#define MATCH_TEXT_MAX (32 << 20) /* bytes of an event's verdicts of patterns that do not match */

#define MATCH_TX_BYTES                                                                                                 \
    (1 << 20) /* rough; with so much to store beside the events a transaction takes no more of them */

struct match_line;
struct match_parked;
struct match_place;

enum match_outcome { MATCH_NOTHING, MATCH_STARTED, MATCH_ENDED, MATCH_QUEUED, MATCH_REFUSED };

/* A run that was led to its end before it is stored. */
struct match_ahead {
    char *vars;
    struct peri_run_effects effects; /* rows of steps, nothing else; they borrow from the pair's `full` */
    int64_t ended_ms;
};

/* A trigger that watches over time hears the event. */
struct match_heard {
    const struct peri_trigger *trigger;
    char *key;
    bool matches;   /* `for` hears too what does not */
    uint32_t steps; /* of a sequence */
};

struct match_rule {
    struct match_event *event;
    struct peri_rule *rule; /* one reference */
    struct peri_rule *full; /* the same with its conditions and actions, when its pattern matched; one reference */
    size_t trigger_count, at;
    const struct peri_trigger *fired;
    const struct peri_trigger *root_trigger; /* of roots */
    struct peri_value *trigger_value;        /* of that, once somebody has asked for it */
    struct peri_value *rule_value;
    struct peri_value *verdict; /* the furthest so far; NULL: it is text */
    size_t text_at, text_len;   /* in the event's texts */
    char *no;                   /* or this one, that a condition says no */
    struct peri_match_scope roots;
    struct evaluation *evaluation;
    struct match_place *place; /* in its rule's line; NULL: nobody has to know of it */
    bool off;                  /* it is disabled, and says so */
    bool decided, storing;     /* storing: in the T2 under way */
    struct match_heard *heard;
    size_t heard_count;
    struct match_ahead *ahead; /* NULL: its run begins when it is stored */
    char *key;                 /* of the lane, "" when the rule has none; when it fired or is heard */
    /* Set by T2. */
    enum match_outcome outcome;
    uint64_t run, behind;    /* behind: a run that was cancelled for this one and whose call is under way */
    struct peri_value *told; /* the verdict that is stored; NULL: as above */
    bool above_max;          /* no run was made because of max_exceeded */
    const struct peri_trigger *triggers[];
};

/* A rule whose runs the event ends. */
struct match_cancel {
    struct peri_rule *rule; /* one reference */
    char *key;
};

struct match_event {
    struct peri_pipeline *p;
    struct peri_event *event;
    struct match_event *prev, *next;             /* among those under way */
    struct match_event *ready_prev, *ready_next; /* among those that a T2 may take; in order of seq */
    struct peri_value *payload;
    struct peri_pattern_event *scanned; /* while patterns may still look at it */
    struct peri_buf texts;              /* verdicts of patterns that do not match; only match_begin adds to them */
    struct match_rule **rules;          /* not stored yet */
    size_t rule_count, open, asking;    /* asking: open ones whose conditions have been begun */
    const struct peri_value *watch; /* what a watch says of an event of its own; borrowed from the event; else NULL */
    char *stored;                   /* verdicts of earlier T2s as they are stored, without the brackets; or NULL */
    struct peri_map *stored_rules;  /* while match_begin looks for rules: ids of those; or NULL */
    bool heard;                     /* some rule hears it */
    struct peri_hearing *hearing;   /* all patterns were asked together; counted; else NULL */
    size_t unmatched;               /* rules of it of which no trigger matches: they are no pairs */
    bool at_once, later;            /* it is evaluated before it is stored; that turned out to be too early */
    bool beginning, ready, storing, parking;
    bool patient, impatient;      /* waits for the other pairs; has waited long enough */
    bool stored_before;           /* T2 found what an earlier try has stored */
    struct match_cancel *cancels; /* until a T2 has carried them out */
    size_t cancel_count;
    const char *dead; /* reason, when it is set aside */
    char *dead_text;  /* owns it, when it is no constant */
};

/* What a T2 stores of one event. */
struct match_item {
    struct match_event *event;
    struct match_rule **pairs;
    size_t count;
    bool last;        /* nothing is left after it */
    bool new_hearing; /* the store has not seen what it hears */
    uint64_t named;   /* the store has been told that events up to this one name it */
    uint64_t names;   /* T2: ... and is told now; 0: nothing */
    char *verdicts;   /* JSON, made by T2 */
};

struct match_tx {
    struct peri_pipeline *p;
    struct pipe_start start;
    struct match_item *items;  /* in order of seq */
    size_t count, next;        /* next: of those that T1 has stored, the first that is not told of */
    struct match_rule **pairs; /* of all items; NULL: each has those of its event */
    int64_t now_ms;
    const char *kprefix;
    int tries;
    int64_t steady_ms; /* of the try; now_ms is the same instant on the wall */
    struct peri_lane_stops stops;
    struct peri_run_ids cancelled, promoted; /* scratch; who follows them in their lanes */
    int64_t next_due;                        /* the earliest that a watch will be due because of it; INT64_MAX: none */
    size_t evicted;                          /* keys that watches had no room for any more */
    struct peri_event **found;               /* by watches: journaled with it; one reference each */
    size_t found_count, found_cap;
    bool began; /* the try has changed something */
};

/* Is something of the pair stored but its verdict? */
static inline bool match_matters(const struct match_rule *mr)
{
    return mr->fired || mr->heard_count > 0;
}

/* watch_hear.c: on the store's thread; the verdict is told. */
enum peri_status watch_hear(struct peri_tx *tx, struct match_tx *mt, struct match_rule *mr,
    const struct match_heard *heard, struct peri_error *err) PERI_MUST_CHECK;
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

/* match_tx.c */
void match_drop_found(struct match_tx *mt);
/* The transaction. A peri_store_fn. */
enum peri_status match_store(struct peri_tx *tx, void *match_tx, struct peri_error *err);

/* cancel.c: which rules' runs the event ends; carries that out on the store's thread; forgets it. */
void match_cancels_find(struct match_event *me);
enum peri_status match_cancels_store(
    struct peri_tx *tx, struct match_tx *mt, const struct match_event *me, struct peri_error *err) PERI_MUST_CHECK;
void match_cancels_finish(struct match_event *me);
/* The run that was just made: an event that came behind its own may have ended it already. */
enum peri_status match_cancelled_since(
    struct peri_tx *tx, struct match_tx *mt, struct match_rule *mr, struct peri_error *err);

/* at_once.c. May runs be led on before they are stored, at this moment? */
bool match_may_run_ahead(const struct peri_pipeline *p);
/* Leads the run of a pair that fired to its end, if nothing has to be waited for. Returns how many bytes more are
 * stored for it. */
size_t match_run_ahead(struct match_rule *mr, int64_t now_ms);
void match_ahead_free(struct match_ahead *ahead);
/* Could every event of the rule be evaluated before it is stored, as far as is known? */
bool match_may_be_at_once(struct peri_rule *rule);
/* This one cannot, nor others of its rule. */
void match_later(struct match_rule *mr);

/* match_commit.c: whatever may be stored becomes a transaction, unless one is under way. */
void match_commit(struct peri_pipeline *p);
void match_tx_free(struct match_tx *mt);

/* match_rule.c. Finds the rules that hear the event and begins to evaluate them. False: what was stored of it earlier
 * could not be read; nothing has been begun. */
bool match_begin(struct peri_pipeline *p, struct match_event *me);
/* The same for an event that is not stored yet and has no number. False: it needs one, or somebody's answer, or what
 * is wrong with it has to be told: it is to be begun when it is stored. */
bool match_begin_at_once(struct match_event *me);
/* The same for an event that was parked: only the pairs that have a place; they go on waiting. */
bool match_begin_again(struct peri_pipeline *p, struct match_event *me, struct match_parked *parked);
/* A pair that has waited for room asks its conditions. */
void match_ask(struct match_rule *mr);
/* Ends an event in which nothing is to be decided any more: its pairs go, `dead` is told instead. */
void match_set_aside(struct match_event *me, const char *dead);
/* Nobody waits for the answers to its conditions any more. */
void match_cancel(struct match_event *me);
void match_pair_free(struct match_rule *mr);
void match_free(struct match_event *me);
/* hops.c: how an event came about, "t.A -> rule a (run-1) -> t.B"; malloc'ed, NULL when memory is out. */
char *match_path(struct peri_pipeline *p, const struct peri_event *event);

/* match_hear.c. NULL: the type has few triggers, each is asked by itself. borrow */
struct peri_hearing *match_hearing(struct peri_pipeline *p, const char *type);
/* The same if it has been made already; nothing is made. */
struct peri_hearing *match_hearing_known(const struct peri_pipeline *p, const char *type);
/* Numbers of the hits that go on; *ret lives until the next call. */
enum peri_status match_hear(struct peri_pipeline *p, const struct peri_hearing *hearing, const struct peri_event *event,
    const uint32_t **ret, size_t *ret_count, struct peri_error *err) PERI_MUST_CHECK;

/* match.c */
/* Counts event; NULL: memory is out. */
struct match_event *match_new(struct peri_pipeline *p, struct peri_event *event);
/* Are there rules whose runs it ends? */
bool match_may_cancel(const struct peri_pipeline *p, const struct peri_event *event);
/* A T2 may take it, or some of it. */
void match_ready(struct match_event *me);
void match_unready(struct match_event *me);
/* It is under way no longer. */
void match_leave(struct match_event *me);
/* Takes an event that was parked back into memory. False: it could not be read. */
bool match_fetch(struct peri_pipeline *p, uint64_t seq);

/* match_line.c: a rule's line has a place for each pair that others of the rule have to know of, in order of seq. */
struct match_place {
    struct match_place *prev, *next;
    struct match_line *line;
    struct match_rule *pair; /* NULL: its event is parked */
    uint64_t seq;
    char *key;                  /* of the lane that it may come to belong to; NULL: not known yet */
    bool asking, waiting, held; /* held: it fired, but what stands before it is not decided */
};

struct match_parked {
    uint64_t seq;
    size_t count;
    struct match_place *places[];
};

/* May the pair ask its conditions now? PERI_EBUSY: it waits for room, and match_ask is called later. PERI_ENOMEM. */
enum peri_status match_line_ask(struct match_rule *mr) PERI_MUST_CHECK;
/* Would it help others to know its key while its conditions are asked? */
bool match_line_wants_key(const struct match_rule *mr);
/* take key; NULL: it cannot be told */
void match_line_key(struct match_rule *mr, char *key);
/* PERI_ENOMEM: it fired, but its order cannot be kept. */
enum peri_status match_line_decided(struct match_rule *mr) PERI_MUST_CHECK;
/* It is stored, or will never be. */
void match_line_leave(struct match_rule *mr);
/* Does something before it have to be stored first? Asked in order of seq, for each T2 anew (match_serial). */
bool match_line_held(struct match_rule *mr);
/* The event is taken out of memory, its open pairs keep their places. False: memory is out, all is as it was. */
bool match_line_park(struct match_event *me);
struct match_parked *match_line_parked(const struct peri_pipeline *p, uint64_t seq);
const char *match_place_rule(const struct match_place *place);
/* Its places have their pairs again; those that have none go. */
void match_line_unpark(struct peri_pipeline *p, struct match_parked *parked);
/* It is crowded: which rules let others wait for long, by how many have answered in the last so many ms? 0: this is the
 * first look. */
void match_lines_look(struct peri_pipeline *p, int64_t ms);
/* Does one of its pairs wait for such a rule? */
bool match_line_is_slow(const struct match_event *me);
/* Pairs for which there is room now. */
void match_lines_pump(struct peri_pipeline *p);
void match_lines_finish(struct peri_pipeline *p);
/* Is nothing up to here parked? */
bool match_lines_passed(const struct peri_pipeline *p, uint64_t seq);

#endif
