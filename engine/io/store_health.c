/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_health.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct peri_health {
    _Atomic int refs;
    _Atomic int state; /* read without the lock; written with it */
    pthread_mutex_t lock;
    char reason[PERI_ERROR_MESSAGE_MAX];
    struct peri_store_options options;
    bool closed;
    struct peri_metric *full, *damaged, *times_full;
};

struct peri_health *peri_health_create(const struct peri_store_options *options)
{
    struct peri_health *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->options = *options;
    atomic_init(&h->refs, 1);
    atomic_init(&h->state, PERI_STORE_GOOD);
    pthread_mutex_init(&h->lock, NULL);
    struct peri_metrics *m = options->metrics;
    h->full = peri_metrics_gauge(m, "store_full", NULL, "1 while the disk is full and nothing new is accepted.");
    h->damaged = peri_metrics_gauge(m, "store_damaged", NULL, "1 once damage was found: nothing is written any more.");
    h->times_full = peri_metrics_counter(m, "store_full_total", NULL, "Times that the disk was found full.");
    return h;
}

struct peri_health *peri_health_ref(struct peri_health *h)
{
    if (h)
        atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
    return h;
}

void peri_health_unref(struct peri_health *h)
{
    if (!h || atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&h->lock);
    free(h);
}

void peri_health_close(struct peri_health *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->closed = true;
    pthread_mutex_unlock(&h->lock);
}

enum peri_store_state peri_health_state(struct peri_health *h, char reason[PERI_ERROR_MESSAGE_MAX])
{
    if (!reason)
        return (enum peri_store_state)atomic_load_explicit(&h->state, memory_order_acquire);
    pthread_mutex_lock(&h->lock);
    enum peri_store_state state = (enum peri_store_state)atomic_load(&h->state);
    snprintf(reason, PERI_ERROR_MESSAGE_MAX, "%s", state == PERI_STORE_GOOD ? "" : h->reason);
    pthread_mutex_unlock(&h->lock);
    return state;
}

/* With the lock held, so that nobody is told after peri_health_close. */
static void tell(struct peri_health *h)
{
    const struct peri_store_options *o = &h->options;
    if (!h->closed && o->changed && o->post && o->post(o->post_ctx, o->changed, o->changed_ctx) != PERI_OK)
        peri_err(o->log, "store", "out of memory: a change of the store's state was not passed on");
}

static void record(struct peri_health *h, enum peri_store_state to, const char *reason)
{
    snprintf(h->reason, sizeof(h->reason), "%s", reason);
    atomic_store(&h->state, (int)to);
    if (h->closed)
        return;
    peri_metric_set(h->full, to == PERI_STORE_FULL);
    peri_metric_set(h->damaged, to == PERI_STORE_DAMAGED);
    peri_metric_add(h->times_full, to == PERI_STORE_FULL);
    if (to == PERI_STORE_DAMAGED)
        peri_err(h->options.log, "store",
            "%s; nothing more is written, no event is accepted and no action started: see `perigee recover`", reason);
    tell(h);
}

/* Moves from one of the states in `from` (bits) to `to`. */
static bool move(struct peri_health *h, unsigned from, enum peri_store_state to, const char *reason)
{
    pthread_mutex_lock(&h->lock);
    bool moved = from & (1u << atomic_load(&h->state)), direct = moved && !h->closed && !h->options.post;
    if (moved)
        record(h, to, reason);
    pthread_mutex_unlock(&h->lock);
    if (direct && h->options.changed)
        h->options.changed(h->options.changed_ctx);
    return moved;
}

void peri_health_damaged(struct peri_health *h, const char *reason)
{
    if (h)
        move(h, 1u << PERI_STORE_GOOD | 1u << PERI_STORE_FULL, PERI_STORE_DAMAGED, reason);
}

bool peri_health_full(struct peri_health *h, const char *reason)
{
    return move(h, 1u << PERI_STORE_GOOD, PERI_STORE_FULL, reason);
}

bool peri_health_good(struct peri_health *h)
{
    return move(h, 1u << PERI_STORE_FULL, PERI_STORE_GOOD, "");
}
