/* SPDX-License-Identifier: Apache-2.0 */
#include "run/slots.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/vec.h"
#include "run/exec_internal.h"

#define PARKED_MAX 64  /* attempts that wait for one destination in memory; others wait as numbers */
#define PARKED_FEW 8   /* the same when memory is half full of runs */
#define SLOTS_MAX 4096 /* destinations that are remembered; idle ones go first */
#define ANSWERS_KNOWN 8

/* Where a task stands: task->slot_as. */
enum { OUTSIDE, CALLING, PARKED, CALLED /* told to come: it stands among those that have room */ };

struct tasks {
    struct live_task *first, *last;
    size_t count;
};

struct slot {
    struct slots *all;
    struct tasks calls, parked; /* the oldest first */
    size_t called;
    size_t tentative; /* let go by the transition of this epoch */
    uint64_t epoch;
    int answers;
    double average_ms;
    uint64_t *ids; /* runs out of memory; a queue */
    size_t head, id_count, id_cap;
    uint64_t last_rule; /* whose attempt was told to come last */
    char destination[];
};

struct slots {
    struct peri_pipeline *p;
    struct peri_map *map;
    uint64_t epoch;
    uint64_t turn_of;    /* run whose turn it is */
    struct slot *turned; /* where */
    size_t out, waiting; /* of all: ids; those that wait, in memory or out of it */
};

struct slots *slots_create(struct peri_pipeline *p)
{
    struct slots *s = calloc(1, sizeof(*s));
    if (s && !(s->map = peri_map_create())) {
        free(s);
        return NULL;
    }
    if (s)
        s->p = p;
    return s;
}

static void free_slot(void *value)
{
    struct slot *slot = value;
    free(slot->ids);
    free(slot);
}

void slots_destroy(struct slots *s)
{
    if (!s)
        return;
    peri_map_destroy(s->map, free_slot);
    free(s);
}

static bool find_idle(const char *destination, void *value, void *arg)
{
    const struct slot *slot = value;
    if (!slot->calls.first && !slot->parked.first && !slot->called && slot->head == slot->id_count)
        *(const char **)arg = destination;
    return !*(const char **)arg;
}

/* NULL: nowhere outside, or there is no memory for it. */
static struct slot *find_or_make(struct slots *s, const char *destination)
{
    struct slot *slot = *destination ? peri_map_get(s->map, destination) : NULL;
    const char *idle = NULL;
    if (slot || !*destination)
        return slot;
    if (peri_map_count(s->map) >= SLOTS_MAX)
        peri_map_each(s->map, find_idle, &idle);
    if (idle && (slot = peri_map_remove(s->map, idle)) != NULL)
        free_slot(slot);
    size_t len = strlen(destination) + 1;
    slot = calloc(1, sizeof(*slot) + len);
    if (!slot)
        return NULL;
    slot->all = s;
    memcpy(slot->destination, destination, len);
    if (peri_map_set(s->map, destination, slot, NULL))
        return slot;
    free(slot);
    return NULL;
}

static void append(struct tasks *list, struct live_task *task)
{
    task->slot_next = NULL;
    task->slot_prev = list->last;
    if (list->last)
        list->last->slot_next = task;
    else
        list->first = task;
    list->last = task;
    list->count++;
}

static void take_out(struct tasks *list, struct live_task *task)
{
    if (task->slot_prev)
        task->slot_prev->slot_next = task->slot_next;
    else
        list->first = task->slot_next;
    if (task->slot_next)
        task->slot_next->slot_prev = task->slot_prev;
    else
        list->last = task->slot_prev;
    task->slot_prev = task->slot_next = NULL;
    list->count--;
}

/* --- how many --- */

static size_t limit_of(const struct slot *slot)
{
    const struct peri_pipeline *p = slot->all->p;
    size_t free = p->calls < PIPE_CALLS ? PIPE_CALLS - p->calls : 0;
    bool late = slot->calls.first && pipe_mono_ms(p) - slot->calls.first->slot_ms > SLOT_LATE_MS;
    bool fast = slot->answers >= ANSWERS_KNOWN && slot->average_ms <= SLOT_FAST_MS && !late;
    return fast && free > SLOT_CALLS ? free : SLOT_CALLS;
}

static bool has_room(const struct slot *slot)
{
    size_t tentative = slot->epoch == slot->all->epoch ? slot->tentative : 0;
    return slot->calls.count + slot->called + tentative < limit_of(slot);
}

void slots_begin(struct slots *s)
{
    s->epoch++;
}

bool slots_admit(struct slots *s, const char *destination, uint64_t run)
{
    struct slot *slot = find_or_make(s, destination);
    if (!slot)
        return true;
    bool its_turn = s->turned == slot && s->turn_of == run;
    if (!has_room(slot) || (slot->parked.first && !its_turn))
        return false;
    if (slot->epoch != s->epoch) {
        slot->epoch = s->epoch;
        slot->tentative = 0;
    }
    slot->tentative++;
    return true;
}

/* --- waiting --- */

static uint64_t name_of(const char *rule)
{
    uint64_t h = 14695981039346656037u;
    for (; *rule; rule++)
        h = (h ^ (unsigned char)*rule) * 1099511628211u;
    return h;
}

/* The one that has waited longest, of another rule than the last if there is one. */
static struct live_task *next_of(const struct slot *slot)
{
    struct live_task *task = slot->parked.first;
    while (task && name_of(task->live->run->rule->id) == slot->last_rule)
        task = task->slot_next;
    return task ? task : slot->parked.first;
}

static void call_some(struct slot *slot)
{
    while (slot->parked.first && has_room(slot)) {
        struct live_task *task = next_of(slot);
        slot->last_rule = name_of(task->live->run->rule->id);
        take_out(&slot->parked, task);
        slot->called++;
        task->slot_as = CALLED;
        held_join(task);
    }
}

static bool put_out(struct slot *slot, struct live_task *task)
{
    if (slot->head > 0 && slot->head >= slot->id_count / 2) {
        slot->id_count -= slot->head;
        memmove(slot->ids, slot->ids + slot->head, slot->id_count * sizeof(*slot->ids));
        slot->head = 0;
    }
    if (!peri_vec_grow(&slot->ids, &slot->id_cap, slot->id_count + 1, sizeof(*slot->ids)))
        return false;
    slot->ids[slot->id_count++] = task->live->run->id;
    slot->all->out++;
    slot->all->waiting++;
    task->next = PERI_NEXT_NOTHING;
    return true;
}

static size_t parked_max(const struct slots *s)
{
    return s->p->live_memory > PIPE_LIVES / 2 ? PARKED_FEW : PARKED_MAX;
}

bool slots_park(struct slots *s, const char *destination, struct live_task *task)
{
    struct slot *slot = find_or_make(s, destination);
    if (!slot || (has_room(slot) && !slot->parked.first))
        return false;
    if (slot->parked.count >= parked_max(s) && held_may_leave(task->live) && put_out(slot, task))
        return true;
    task->held = true;
    task->slot = slot;
    task->slot_as = PARKED;
    append(&slot->parked, task);
    s->waiting++;
    call_some(slot);
    return true;
}

void slots_turn(struct slots *s, struct live_task *task)
{
    if (task->slot_as != CALLED)
        return;
    s->turned = task->slot;
    s->turn_of = task->live->run->id;
    task->slot->called--;
    s->waiting--;
    task->slot_as = OUTSIDE;
    task->slot = NULL;
}

void slots_turned(struct slots *s)
{
    struct slot *slot = s->turned;
    s->turned = NULL;
    s->turn_of = 0;
    s->epoch++;
    if (slot)
        call_some(slot); /* it may have found something else in its way */
}

void slots_enter(struct slots *s, const char *destination, struct live_task *task)
{
    struct slot *slot = find_or_make(s, destination);
    if (!slot)
        return;
    task->slot = slot;
    task->slot_as = CALLING;
    task->slot_ms = pipe_mono_ms(s->p);
    if (slot->epoch == s->epoch && slot->tentative > 0)
        slot->tentative--;
    append(&slot->calls, task);
}

static void answered(struct slot *slot, const struct live_task *task)
{
    double took = (double)(pipe_mono_ms(slot->all->p) - task->slot_ms);
    slot->average_ms = slot->answers ? slot->average_ms + (took - slot->average_ms) / 8 : took;
    if (slot->answers < ANSWERS_KNOWN)
        slot->answers++;
}

void slots_leave(struct live_task *task)
{
    struct slot *slot = task->slot;
    int as = task->slot_as;
    task->slot = NULL;
    task->slot_as = OUTSIDE;
    if (as == PARKED || as == CALLED)
        slot->all->waiting--;
    if (as == CALLING) {
        take_out(&slot->calls, task);
        answered(slot, task);
    } else if (as == PARKED) {
        take_out(&slot->parked, task);
    } else if (as == CALLED) {
        slot->called--;
    }
    if (as != OUTSIDE && !slot->all->p->dead)
        call_some(slot);
}

/* --- out of memory --- */

static bool refill_one(const char *destination, void *value, void *arg)
{
    struct slot *slot = value;
    struct slots *s = arg;
    size_t max = parked_max(s);
    for (size_t i = slot->parked.count; slot->parked.count <= max / 2 && i < max && slot->head < slot->id_count; i++) {
        if (resume_push(s->p, slot->ids[slot->head], 0) != PERI_OK)
            return false;
        slot->head++;
        s->out--;
        s->waiting--; /* it will ask anew */
    }
    return true;
}

void slots_refill(struct slots *s)
{
    if (s->out > 0)
        peri_map_each(s->map, refill_one, s);
}

static bool each_id(const char *destination, void *value, void *arg)
{
    const struct slot *slot = value;
    const struct held_visit *visit = arg;
    for (size_t i = slot->head; i < slot->id_count; i++)
        visit->fn(visit->arg, slot->ids[i]);
    return true;
}

void slots_each(const struct slots *s, const struct held_visit *visit)
{
    peri_map_each(s->map, each_id, (void *)(uintptr_t)visit);
}

/* --- what others see --- */

static size_t waiting(const struct slot *slot)
{
    return slot->parked.count + slot->called + slot->id_count - slot->head;
}

size_t slots_waiting(const struct slots *s)
{
    return s->waiting;
}

static bool show_one(const char *destination, void *value, void *arg)
{
    const struct slot *slot = value;
    struct peri_value **list = arg, *v = waiting(slot) ? peri_value_map() : NULL;
    if (!waiting(slot))
        return true;
    bool bad = !v || peri_map_put_text(v, "destination", destination) ||
               peri_map_put_int(v, "under_way", (int64_t)slot->calls.count) ||
               peri_map_put_int(v, "limit", (int64_t)limit_of(slot)) ||
               peri_map_put_int(v, "waiting", (int64_t)waiting(slot)) || peri_list_push(*list, peri_value_ref(v));
    peri_value_unref(v);
    if (bad) {
        peri_value_unref(*list);
        *list = NULL;
    }
    return !bad;
}

struct peri_value *slots_value(const struct slots *s)
{
    struct peri_value *list = peri_value_list();
    if (list)
        peri_map_each(s->map, show_one, &list);
    return list;
}
