/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_WATCH_INTERNAL_H
#define PERI_RUN_WATCH_INTERNAL_H

#include "run/match_internal.h"
#include "run/watch.h"

/* Shared by watch_hear.c, watch_sequence.c and watch_list.c: on the store's thread, inside a transaction. */

struct hearing {
    struct peri_tx *tx;
    struct match_tx *mt;
    struct match_rule *mr;
    const struct match_heard *heard; /* NULL: nothing is heard, the key is due */
    const struct peri_trigger *trigger;
    struct peri_keyed_row stored;
    struct peri_keyed row;
    struct peri_heard event;
    struct peri_heard *list; /* what the key remembers, in order; with the event once it is added */
    size_t count;
    char text[WATCH_TEXT];
};

/* The verdict of the event; found: the seq of what became of it, 0: nothing. */
enum peri_status watch_tell(
    struct hearing *h, const char *word, uint64_t found, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status watch_put_row(struct hearing *h, struct peri_error *err) PERI_MUST_CHECK;
/* take event */
enum peri_status watch_add_found(struct hearing *h, struct peri_event *event, struct peri_error *err) PERI_MUST_CHECK;

enum peri_status watch_add_heard(struct hearing *h, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status watch_forget_first(struct hearing *h, size_t n, struct peri_error *err) PERI_MUST_CHECK;
/* The last WATCH_LISTED of them. New reference. */
struct peri_value *watch_ids(const struct peri_heard *list, const size_t *places, size_t count);
/* {count, since, until, events}; take ids. since and until are durable ms. */
struct peri_value *watch_describe(
    const struct match_tx *mt, size_t count, int64_t since, int64_t until, struct peri_value *ids);

enum peri_status watch_hear_sequence(struct hearing *h, struct peri_error *err) PERI_MUST_CHECK;
/* The time of a key that waited for nothing to come is over. mt needs its times, mr its rule. */
enum peri_status watch_sequence_settle(struct peri_tx *tx, struct match_tx *mt, struct match_rule *mr,
    const struct peri_trigger *trigger, const struct peri_keyed *row, struct peri_error *err) PERI_MUST_CHECK;

#endif
