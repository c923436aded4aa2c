/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_WATCH_H
#define PERI_RUN_WATCH_H

#include "io/store_events.h"
#include "io/store_watch.h"
#include "lang/rule.h"

/* What watches over time: once_after, and triggers that wait, count or miss something. Their state is one row for each
 * key. T2 changes it when something is heard (watch_hear.c); when a row is due, it is looked at again (watch.c).
 * Whatever is found becomes an event of the source perigee:watch for just that rule and trigger, journaled in the same
 * transaction, and goes the way of all events: conditions, throttle, lane. Its external id makes it unique. */

#define WATCH_QUIET "$quiet" /* stands for the trigger of a watch that belongs to throttle.once_after */
#define WATCH_KEYS_MAX 100000
#define WATCH_TEXT 240    /* bytes of what a verdict says */
#define WATCH_NAMED 65536 /* bytes of the payloads that an event of a sequence carries */
#define WATCH_LISTED 100  /* events that are listed by id */

/* What an event of perigee:watch is made of. Everything is borrowed, `more` is taken. */
struct watch_found {
    const struct peri_rule *rule;
    const struct peri_trigger *trigger;
    const char *kind, *key, *text;  /* text: what verdicts say; or NULL */
    const struct peri_event *about; /* its payload is repeated; or NULL */
    uint64_t about_seq;
    int64_t due, now_ms;
    struct peri_value *more; /* further members of `trigger` */
};
/* NULL when memory is out. */
struct peri_event *watch_event(const struct watch_found *found);

/* "ev-1, ev-2 and 3 more" behind what is there. */
void watch_list_ids(char text[WATCH_TEXT], const struct peri_heard *list, const size_t *places, size_t count);

#endif
