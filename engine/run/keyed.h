/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_KEYED_H
#define PERI_RUN_KEYED_H

#include "io/store_watch.h"
#include "lang/rule.h"

/* What a trigger that watches over time makes of one more event of a key. Pure: state in, state out; all times are
 * durable ms. Events are ordered by their own time, and those of equal time by arrival: what arrives later counts as
 * later. */

/* --- for: something goes on --- */

enum peri_hold_state { PERI_HOLD_IDLE, PERI_HOLD_WAITING, PERI_HOLD_TOLD };
enum peri_hold_said {
    PERI_HOLD_NOTHING,      /* it does not match, and nothing was going on */
    PERI_HOLD_BEGUN,        /* waits from now on */
    PERI_HOLD_GOES_ON,      /* waits already */
    PERI_HOLD_FIRED_BEFORE, /* goes on, and that was told */
    PERI_HOLD_ENDED,        /* contradicted */
    PERI_HOLD_BEGUN_ANEW,   /* an older event contradicts what was before the newest one */
    PERI_HOLD_OUTDATED      /* older than what is known of the key */
};
/* row is a new one when newest is INT64_MIN. row->n is since when it goes on, row->event the newest that matches. */
enum peri_hold_said peri_hold_hear(
    struct peri_keyed *row, const struct peri_heard *event, bool matches, int64_t for_ms);

/* --- count --- */

#define PERI_COUNT_KEPT 100 /* events of a window that are kept at least, so that a verdict can name them */

struct peri_count_said {
    bool late;    /* before the window of the newest event: it does not count */
    bool fires;   /* with it they are just enough */
    size_t count; /* in the window that ends with the newest, with it */
    size_t kept;  /* at most so many are kept: count may be more from there on */
};
/* list: what is remembered, in order, without the event. *newest is moved. */
struct peri_count_said peri_count_hear(const struct peri_heard *list, size_t count, const struct peri_heard *event,
    const struct peri_trigger *trigger, int64_t *newest);

/* --- absence --- */

enum peri_absence_state { PERI_ABSENCE_HEARD, PERI_ABSENCE_EXPECTED, PERI_ABSENCE_TOLD };
/* By arrival. */
void peri_absence_hear(struct peri_keyed *row, int64_t arrived, uint64_t seq, int64_t for_ms);

/* --- sequence --- */

#define PERI_HEARD_MAX 256 /* events that a sequence remembers of a key */

struct peri_sequence_said {
    bool complete;                      /* all steps have come */
    int64_t due;                        /* complete, but something must not come until then; 0: nothing */
    size_t reached, of;                 /* events of the furthest attempt */
    size_t events[PERI_SEQUENCE_UNITS]; /* their places in the list */
    uint8_t steps[PERI_SEQUENCE_UNITS]; /* and the steps that they take */
};
/* list: what is remembered, in order. The attempt that began first and is complete, else the one that has come
 * furthest. */
void peri_sequence_look(
    const struct peri_trigger *trigger, const struct peri_heard *list, size_t count, struct peri_sequence_said *ret);
/* Bits of the steps that an event of this type may be; its payload is still to be compared. */
uint32_t peri_sequence_types(const struct peri_trigger *trigger, const char *type);

#endif
