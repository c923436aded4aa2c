/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_SCHED_H
#define PERI_RUN_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lang/schedule.h"

/* What falls due, earliest first; equal times in the order of pushing. Nothing is removed early: whoever pops an entry
 * checks that it still means something. */
struct peri_due {
    int64_t at;
    uint64_t order;
    int kind;
    uint64_t id, serial;
};

struct peri_due_heap {
    struct peri_due *items;
    size_t count, cap;
    uint64_t order;
};

void peri_due_heap_finish(struct peri_due_heap *heap);
/* False when memory is out. */
bool peri_due_heap_push(struct peri_due_heap *heap, int64_t at, int kind, uint64_t id, uint64_t serial);
const struct peri_due *peri_due_heap_top(
    const struct peri_due_heap *heap); /* NULL when empty; valid until the next change */
void peri_due_heap_pop(struct peri_due_heap *heap);

/* The latest occurrence in (after_ms, until_ms]; false when there is none. Cheap however many lie between. */
bool peri_schedule_latest(
    const struct peri_schedule *schedule, int64_t anchor_ms, int64_t after_ms, int64_t until_ms, int64_t *ret_ms);
/* What remains of a wait of base_ms that was to end at wake_ms: within [0, base_ms], so that a clock set back while the
 * service was down cannot lengthen it. */
int64_t peri_sched_rest(int64_t wake_ms, int64_t base_ms, int64_t now_ms);
/* The text that decides whether a schedule is still the same one. malloc'ed. */
char *peri_schedule_signature(const struct peri_schedule *schedule);

#endif
