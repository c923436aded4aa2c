/* SPDX-License-Identifier: Apache-2.0 */
#include "run/sched.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"

static bool before(const struct peri_due *a, const struct peri_due *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(struct peri_due *a, struct peri_due *b)
{
    struct peri_due t = *a;
    *a = *b;
    *b = t;
}

void peri_due_heap_finish(struct peri_due_heap *heap)
{
    free(heap->items);
    memset(heap, 0, sizeof(*heap));
}

bool peri_due_heap_push(struct peri_due_heap *heap, int64_t at, int kind, uint64_t id, uint64_t serial)
{
    if (!peri_vec_grow(&heap->items, &heap->cap, heap->count + 1, sizeof(*heap->items)))
        return false;
    size_t i = heap->count++;
    heap->items[i] = (struct peri_due){.at = at, .order = heap->order++, .kind = kind, .id = id, .serial = serial};
    while (i > 0 && before(&heap->items[i], &heap->items[(i - 1) / 2])) {
        swap(&heap->items[i], &heap->items[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    return true;
}

const struct peri_due *peri_due_heap_top(const struct peri_due_heap *heap)
{
    return heap->count ? &heap->items[0] : NULL;
}

void peri_due_heap_pop(struct peri_due_heap *heap)
{
    size_t i = 0;
    if (heap->count == 0)
        return;
    heap->items[0] = heap->items[--heap->count];
    for (;;) {
        size_t left = 2 * i + 1, least = i;
        if (left < heap->count && before(&heap->items[left], &heap->items[least]))
            least = left;
        if (left + 1 < heap->count && before(&heap->items[left + 1], &heap->items[least]))
            least = left + 1;
        if (least == i)
            return;
        swap(&heap->items[i], &heap->items[least]);
        i = least;
    }
}

static bool any_until(
    const struct peri_schedule *schedule, int64_t anchor_ms, int64_t after_ms, int64_t until_ms, int64_t *ret_ms)
{
    int64_t next;
    if (peri_schedule_next(schedule, anchor_ms, after_ms, &next) != PERI_OK || next > until_ms)
        return false;
    *ret_ms = next;
    return true;
}

/* "Is there one after t?" is true up to the latest occurrence and false from there on: halve the interval until only it
 * is left. Walking from one to the next would take for ever after a long stop. */
bool peri_schedule_latest(
    const struct peri_schedule *schedule, int64_t anchor_ms, int64_t after_ms, int64_t until_ms, int64_t *ret_ms)
{
    int64_t found, low, high = until_ms;
    if (after_ms >= until_ms || !any_until(schedule, anchor_ms, after_ms, until_ms, &found))
        return false;
    low = found;
    while (any_until(schedule, anchor_ms, low, until_ms, &found)) {
        int64_t middle = found + (high - found) / 2;
        int64_t later;
        low = found;
        if (middle > found && any_until(schedule, anchor_ms, middle, until_ms, &later))
            low = later;
        else
            high = middle;
    }
    *ret_ms = low;
    return true;
}

int64_t peri_sched_rest(int64_t wake_ms, int64_t base_ms, int64_t now_ms)
{
    int64_t rest = wake_ms - now_ms;
    if (rest > base_ms)
        rest = base_ms;
    return rest < 0 ? 0 : rest;
}

char *peri_schedule_signature(const struct peri_schedule *s)
{
    const char *zone = s->tz ? peri_tz_name(s->tz) : "";
    switch (s->kind) {
    case PERI_SCHEDULE_SUN:
        return peri_asprintf("sun %d %.4f %.4f %.4f %" PRId64, (int)s->sun.event, s->sun.elevation, s->sun.latitude,
            s->sun.longitude, s->sun.offset_ms);
    case PERI_SCHEDULE_EVERY:
        return peri_asprintf("every %" PRId64, s->every_ms);
    case PERI_SCHEDULE_AT:
        if (!s->at_daily)
            return peri_asprintf("at %" PRId64, s->at_ms);
        break;
    case PERI_SCHEDULE_CRON:
        break;
    }
    return peri_asprintf("cron %" PRIx64 " %x %x %x %x %d%d%d dst=%d tz=%s", s->cron.minutes, s->cron.hours,
        s->cron.days, s->cron.months, s->cron.weekdays, s->cron.any_day, s->cron.any_weekday, s->cron.follows_wall,
        (int)s->dst, zone);
}
