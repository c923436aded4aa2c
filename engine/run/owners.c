/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/vec.h"
#include "run/pipeline_internal.h"

/* Each run that can go on by itself has somebody in memory who will see to it: an entry of the heap, a place in the
 * queue of runs to resume, or itself. Once a minute the store's list of them is compared with that. Nothing should ever
 * be found; what is found is looked at again a little later, because between a commit and its completion the store is
 * ahead of memory, and only then armed anew, logged and counted.
 *
 * Rows are read a thousand at a time with a pause in between. The heap is not searched for each of them: its ids are
 * taken into a bit map first, by their lowest bits. Two ids may share a bit, which hides an orphan for one look at
 * most: the number of bits is another one each time. */

#define LOOK_MS 60000
#define PAUSE_MS 5
#define AGAIN_MS 2000
#define PAGE 1000
#define SUSPECTS_MAX 1000

struct owners {
    struct peri_timer *timer; /* of its own: what is due in the heap is news for tests with virtual time */
    unsigned char *bits;
    uint64_t size; /* in bits */
    unsigned looks;
    uint64_t after;
    bool again; /* the suspects are looked at for the second time */
    uint64_t *suspects;
    size_t count, cap;
    size_t page;
};

/* One that waits without a time is an entry of the index of waits, which is in the store. */
static bool can_go_on(const struct peri_run_row *row)
{
    return row->state == PERI_RUN_READY || row->state == PERI_RUN_RUNNING || row->state == PERI_RUN_SLEEPING ||
           (row->state == PERI_RUN_WAITING && row->wake_ms > 0);
}

static void mark_held(void *arg, uint64_t run)
{
    struct owners *o = arg;
    uint64_t bit = run % o->size;
    o->bits[bit / 8] |= (unsigned char)(1 << bit % 8);
}

static bool mark_heap(struct peri_pipeline *p, struct owners *o)
{
    o->size = (1 << 16) + 16 * (uint64_t)p->heap.count + 64 * (o->looks++ % 61) + 1;
    free(o->bits);
    o->bits = calloc(1, o->size / 8 + 1);
    if (!o->bits)
        return false;
    for (size_t i = 0; i < p->heap.count; i++) {
        uint64_t bit = p->heap.items[i].id % o->size;
        if (p->heap.items[i].kind == DUE_WAKE)
            o->bits[bit / 8] |= (unsigned char)(1 << bit % 8);
    }
    held_each(p, &(struct held_visit){mark_held, o});
    return true;
}

static bool in_queue(const struct peri_pipeline *p, uint64_t run)
{
    for (size_t i = p->resume_head; i < p->resume_count; i++)
        if (p->resume[i].run == run)
            return true;
    return false;
}

static bool has_owner(struct peri_pipeline *p, const struct owners *o, uint64_t run)
{
    uint64_t bit = run % o->size;
    return (o->bits[bit / 8] >> bit % 8 & 1) || live_find(p, run) || in_queue(p, run);
}

static enum peri_status look_at(void *arg, const struct peri_run_row *row)
{
    struct peri_pipeline *p = arg;
    struct owners *o = p->owners;
    o->page++;
    o->after = row->id;
    if (!can_go_on(row) || has_owner(p, o, row->id) || o->count == SUSPECTS_MAX)
        return PERI_OK;
    if (!peri_vec_grow(&o->suspects, &o->cap, o->count + 1, sizeof(*o->suspects)))
        return PERI_ENOMEM;
    o->suspects[o->count++] = row->id;
    return PERI_OK;
}

struct found {
    bool orphan;
};

static enum peri_status look_closely(void *arg, const struct peri_run_row *row)
{
    ((struct found *)arg)->orphan = can_go_on(row);
    return PERI_OK;
}

static void look_again(struct peri_pipeline *p, struct owners *o)
{
    struct peri_error err = {0};
    for (size_t i = 0; i < o->count; i++) {
        struct found found = {false};
        uint64_t run = o->suspects[i];
        if (has_owner(p, o, run) || peri_reader_run_row(p->reader, run, look_closely, &found, NULL) != PERI_OK ||
            !found.orphan)
            continue;
        peri_err(
            p->options.log, "run", "run-%" PRIu64 " had nobody who would go on with it; it is taken up again", run);
        peri_metric_add(p->metrics.orphans, 1);
        p->counts.orphans++;
        if (recover_run(p, run, &err) != PERI_OK)
            peri_err(p->options.log, "run", "run-%" PRIu64 ": %s", run, err.message);
    }
    o->count = 0;
}

static void fired(void *arg)
{
    struct peri_pipeline *p = arg;
    p->owners->timer = NULL;
    owners_due(p);
}

static void plan(struct peri_pipeline *p, int64_t ms)
{
    peri_timer_cancel(p->owners->timer);
    p->owners->timer = NULL;
    if (peri_loop_after(p->options.loop, ms, fired, p, &p->owners->timer) != PERI_OK)
        p->owners->timer = NULL; /* without memory for a timer: until the next start */
}

void owners_begin(struct peri_pipeline *p)
{
    p->owners = calloc(1, sizeof(*p->owners));
    if (p->owners)
        plan(p, LOOK_MS);
}

void owners_finish(struct peri_pipeline *p)
{
    if (p->owners) {
        peri_timer_cancel(p->owners->timer);
        free(p->owners->bits);
        free(p->owners->suspects);
    }
    free(p->owners);
    p->owners = NULL;
}

void owners_due(struct peri_pipeline *p)
{
    struct owners *o = p->owners;
    struct peri_error err = {0};
    if (!o || p->draining)
        return;
    if ((o->after == 0 || o->again) && !mark_heap(p, o)) {
        plan(p, LOOK_MS);
        return;
    }
    if (o->again) {
        o->again = false;
        look_again(p, o);
        plan(p, LOOK_MS);
        return;
    }
    o->page = 0;
    enum peri_status st = peri_reader_live_page(p->reader, o->after, PAGE, look_at, p, &err);
    if (st == PERI_OK && o->page == PAGE) {
        plan(p, PAUSE_MS);
        return;
    }
    if (st != PERI_OK)
        peri_warn(p->options.log, "run", "live runs could not be looked through: %s", err.message);
    o->after = 0;
    o->again = o->count > 0;
    free(o->bits);
    o->bits = NULL;
    if (o->count == 0)
        lanes_sweep(p, NULL, NULL); /* queued runs belong to their lanes */
    plan(p, o->again ? AGAIN_MS : LOOK_MS);
}
