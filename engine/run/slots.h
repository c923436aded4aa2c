/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_SLOTS_H
#define PERI_RUN_SLOTS_H

#include "run/pipeline_internal.h"

/* How many calls may be under way to one destination, so that a slow one does not take the places of others: 8, and as
 * many as places are free while it answers fast. Attempts above that wait here, in memory or as numbers, and rules take
 * turns. Loop thread. */
struct slots;

#define SLOT_CALLS 8
#define SLOT_FAST_MS 100  /* on average */
#define SLOT_LATE_MS 1000 /* an answer that is out for so long: it is not fast any more */

struct slots *slots_create(struct peri_pipeline *p);
void slots_destroy(struct slots *s);
/* A transition begins: what it lets go counts from then, although it is under way later. */
void slots_begin(struct slots *s);
/* May one more call of this run go there? "": nowhere outside, always. */
bool slots_admit(struct slots *s, const char *destination, uint64_t run);
/* The attempt of this task was held. True: for its destination, and it waits here, in memory or out of it. */
bool slots_park(struct slots *s, const char *destination, struct live_task *task);
/* One that was told to come takes its turn now: between these it goes before others. */
void slots_turn(struct slots *s, struct live_task *task);
void slots_turned(struct slots *s);
/* Its call begins; ends, or is not waited for any more. */
void slots_enter(struct slots *s, const char *destination, struct live_task *task);
/* The task stands nowhere in here any more. */
void slots_leave(struct live_task *task);
void slots_refill(struct slots *s);
void slots_each(const struct slots *s, const struct held_visit *visit);
size_t slots_waiting(const struct slots *s);
/* [{destination, under_way, limit, waiting}] of those for which somebody waits. New reference; NULL: no memory. */
struct peri_value *slots_value(const struct slots *s);

#endif
