/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "run/exec_internal.h"
#include "run/gate.h"
#include "run/slots.h"

/* Attempts that may start as soon as there is room, when all calls that may be in flight are. Rules take turns for the
 * room, and within a rule its keys do, however many runs one of them has. A rule keeps HELD_MAX of them in memory;
 * further runs of it leave memory again (nothing of them was stored but that they are ready) and wait as numbers. So no
 * rule fills the memory, and events of others go on being matched. */

#define HELD_MAX (2 * PIPE_CALLS)
#define KEYS_MAX 10000 /* of a rule whose turns are remembered */

struct held_rule {
    struct held_rule *next; /* in the ring of rules that have somebody waiting */
    bool in_ring;
    struct live_task *first; /* in order of their turns */
    size_t count;
    uint64_t turn;          /* of the last one that was let go */
    struct peri_map *turns; /* key -> turn of its last one */
    uint64_t *ids;          /* runs out of memory; a queue */
    size_t head, id_count, id_cap;
};

static void free_rule(void *value)
{
    struct held_rule *r = value;
    peri_map_destroy(r->turns, NULL);
    free(r->ids);
    free(r);
}

static struct held_rule *rule_of(struct peri_pipeline *p, const char *id)
{
    if (!p->held_rules && !(p->held_rules = peri_map_create()))
        return NULL;
    struct held_rule *r = peri_map_get(p->held_rules, id);
    if (r)
        return r;
    r = calloc(1, sizeof(*r));
    if (r && (r->turns = peri_map_create()) != NULL && peri_map_set(p->held_rules, id, r, NULL))
        return r;
    if (r)
        free_rule(r);
    return NULL;
}

static void enter_ring(struct peri_pipeline *p, struct held_rule *r)
{
    if (r->in_ring)
        return;
    r->in_ring = true;
    r->next = NULL;
    if (p->held_last)
        p->held_last->next = r;
    else
        p->held_first = r;
    p->held_last = r;
}

static struct held_rule *leave_ring(struct peri_pipeline *p)
{
    struct held_rule *r = p->held_first;
    p->held_first = r->next;
    if (!p->held_first)
        p->held_last = NULL;
    r->in_ring = false;
    return r;
}

/* One after that of its key's last one, and not before the one that is taken now. Without memory: the last. */
static uint64_t turn_of(struct held_rule *r, const char *key)
{
    if (peri_map_count(r->turns) >= KEYS_MAX) {
        struct peri_map *fresh = peri_map_create();
        if (!fresh)
            return UINT64_MAX;
        peri_map_destroy(r->turns, NULL);
        r->turns = fresh;
    }
    uint64_t last = (uint64_t)(uintptr_t)peri_map_get(r->turns, key), turn = (last > r->turn ? last : r->turn) + 1;
    return peri_map_set(r->turns, key, (void *)(uintptr_t)turn, NULL) ? turn : UINT64_MAX;
}

bool held_may_leave(const struct live *live)
{
    bool idle = live->stored == PERI_RUN_READY && live->run->branch_count == 0 && !live->behind && !live->changes &&
                !live->inbox && !live->committing && !live->stopped;
    for (size_t i = 0; i < live->task_count && idle; i++)
        idle = !live->tasks[i]->calling && !live->tasks[i]->evaluation && !live->tasks[i]->held &&
               !live->tasks[i]->pending;
    return idle;
}

static bool put_out(struct held_rule *r, struct live_task *task)
{
    if (r->head > 0 && r->head >= r->id_count / 2) {
        r->id_count -= r->head;
        memmove(r->ids, r->ids + r->head, r->id_count * sizeof(*r->ids));
        r->head = 0;
    }
    if (!peri_vec_grow(&r->ids, &r->id_cap, r->id_count + 1, sizeof(*r->ids)))
        return false;
    r->ids[r->id_count++] = task->live->run->id;
    task->next = PERI_NEXT_NOTHING;
    return true;
}

static void join(struct held_rule *r, struct live_task *task)
{
    const struct live *live = task->live;
    struct live_task **link = &r->first;
    task->turn = turn_of(r, live->run->ckey ? live->run->ckey : "");
    task->held = true;
    task->held_by = r;
    while (*link && (*link)->turn <= task->turn)
        link = &(*link)->held_next;
    task->held_next = *link;
    *link = task;
    r->count++;
    enter_ring(live->p, r);
}

void held_add(struct live_task *task)
{
    struct live *live = task->live;
    struct peri_pipeline *p = live->p;
    struct held_rule *r;
    if (gate_park(p->gate, task))
        return;
    if (!(r = rule_of(p, live->run->rule->id))) { /* again in a moment */
        task->next = PERI_NEXT_NOTHING;
        timer_due(p, PIPE_RETRY_MS, DUE_WAKE, live->run->id, 0);
        return;
    }
    if (r->count >= HELD_MAX && held_may_leave(live) && put_out(r, task))
        return;
    join(r, task);
}

void held_join(struct live_task *task)
{
    struct held_rule *r = rule_of(task->live->p, task->live->run->rule->id);
    if (r) {
        join(r, task);
        return;
    }
    live_unhold(task);
    task->next = PERI_NEXT_NOTHING;
    timer_due(task->live->p, PIPE_RETRY_MS, DUE_WAKE, task->live->run->id, 0);
}

void live_unhold(struct live_task *task)
{
    struct held_rule *r = task->held_by;
    struct live_task **link = r ? &r->first : NULL;
    if (!task->held)
        return;
    while (link && *link && *link != task)
        link = &(*link)->held_next;
    if (link && *link) {
        *link = task->held_next;
        r->count--;
    }
    task->held = false;
    task->held_by = NULL;
    slots_leave(task);
}

struct refill {
    struct peri_pipeline *p;
    const char *empty; /* a rule that nobody waits for any more */
};

static bool refill_one(const char *rule, void *value, void *arg)
{
    struct refill *refill = arg;
    struct held_rule *r = value;
    if (r->count > HELD_MAX / 2)
        return true;
    for (size_t i = r->count; i < HELD_MAX && r->head < r->id_count; i++)
        if (resume_push(refill->p, r->ids[r->head], 0) != PERI_OK)
            return true;
        else
            r->head++;
    if (!r->in_ring && !r->first && r->head == r->id_count)
        refill->empty = rule;
    return true;
}

/* Those that were put out of memory come back, when what came back before has found its place. */
static void refill(struct peri_pipeline *p)
{
    struct refill refill = {.p = p};
    if (p->resume_head < p->resume_count)
        return;
    slots_refill(p->slots);
    if (!p->held_rules)
        return;
    peri_map_each(p->held_rules, refill_one, &refill);
    if (refill.empty) {
        void *rule = peri_map_remove(p->held_rules, refill.empty);
        free_rule(rule);
    }
}

void exec_release_held(struct peri_pipeline *p)
{
    while (p->held_first && p->calls < PIPE_CALLS) {
        struct held_rule *r = leave_ring(p);
        struct live_task *task = r->first;
        if (!task)
            continue;
        r->turn = task->turn;
        slots_turn(p->slots, task);
        live_unhold(task);
        if (r->first)
            enter_ring(p, r);
        task->next = PERI_NEXT_NOTHING;
        live_input(task->live, PERI_INPUT_GO, task->track);
        slots_turned(p->slots);
    }
    refill(p);
}

static bool each_id(const char *rule, void *value, void *arg)
{
    const struct held_rule *r = value;
    const struct held_visit *visit = arg;
    for (size_t i = r->head; i < r->id_count; i++)
        visit->fn(visit->arg, r->ids[i]);
    return true;
}

void held_each(const struct peri_pipeline *p, const struct held_visit *visit)
{
    slots_each(p->slots, visit);
    if (p->held_rules)
        peri_map_each(p->held_rules, each_id, (void *)(uintptr_t)visit);
}

void held_finish(struct peri_pipeline *p)
{
    peri_map_destroy(p->held_rules, free_rule);
    p->held_rules = NULL;
    p->held_first = p->held_last = NULL;
}
