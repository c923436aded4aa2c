/* SPDX-License-Identifier: Apache-2.0 */
#include "app/lookup.h"

#include <pthread.h>
#include <stdlib.h>

#define MAX_WAITING 256

struct question {
    struct question *next;
    peri_lookup_fn fn;
    peri_lookup_done done;
    void *arg;
    enum peri_status st;
    struct peri_value *value;
    struct peri_error err;
};

struct peri_lookup {
    struct peri_loop *loop;
    struct peri_reader *reader;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct question *first, *last;
    size_t waiting;
    bool stop;
};

static void answer(void *arg)
{
    struct question *q = arg;
    q->done(q->arg, q->st, q->value, &q->err);
    peri_value_unref(q->value);
    free(q);
}

static struct question *take(struct peri_lookup *lookup)
{
    pthread_mutex_lock(&lookup->lock);
    while (!lookup->first && !lookup->stop)
        pthread_cond_wait(&lookup->wake, &lookup->lock);
    struct question *q = lookup->first;
    if (q) {
        lookup->first = q->next;
        if (!lookup->first)
            lookup->last = NULL;
        lookup->waiting--;
        if (lookup->stop)
            q->st = PERI_ESTATE;
    }
    pthread_mutex_unlock(&lookup->lock);
    return q;
}

static void *run(void *arg)
{
    struct peri_lookup *lookup = arg;
    for (struct question *q; (q = take(lookup));) {
        if (q->st == PERI_OK)
            q->st = q->fn(lookup->reader, q->arg, &q->value, &q->err);
        else
            peri_error_set(&q->err, q->st, NULL, "the service is stopping");
        if (peri_loop_post(lookup->loop, answer, q))
            answer(q);
    }
    return NULL;
}

enum peri_status peri_lookup_create(
    struct peri_loop *loop, struct peri_store *store, struct peri_lookup **ret, struct peri_error *err)
{
    struct peri_lookup *lookup = calloc(1, sizeof(*lookup));
    if (!lookup)
        return peri_error_nomem(err);
    lookup->loop = loop;
    enum peri_status st = peri_store_reader(store, &lookup->reader, err);
    if (st) {
        free(lookup);
        return st;
    }
    pthread_mutex_init(&lookup->lock, NULL);
    pthread_cond_init(&lookup->wake, NULL);
    if (pthread_create(&lookup->thread, NULL, run, lookup)) {
        peri_reader_close(lookup->reader);
        free(lookup);
        return peri_error_set(err, PERI_EIO, NULL, "cannot start a thread");
    }
    *ret = lookup;
    return PERI_OK;
}

void peri_lookup_destroy(struct peri_lookup *lookup)
{
    if (!lookup)
        return;
    pthread_mutex_lock(&lookup->lock);
    lookup->stop = true;
    pthread_cond_signal(&lookup->wake);
    pthread_mutex_unlock(&lookup->lock);
    pthread_join(lookup->thread, NULL);
    pthread_cond_destroy(&lookup->wake);
    pthread_mutex_destroy(&lookup->lock);
    peri_reader_close(lookup->reader);
    free(lookup);
}

enum peri_status peri_lookup_ask(struct peri_lookup *lookup, peri_lookup_fn fn, peri_lookup_done done, void *arg)
{
    struct question *q = calloc(1, sizeof(*q));
    if (!q)
        return PERI_ENOMEM;
    q->fn = fn;
    q->done = done;
    q->arg = arg;
    pthread_mutex_lock(&lookup->lock);
    enum peri_status st = lookup->waiting >= MAX_WAITING ? PERI_EBUSY : PERI_OK;
    if (st == PERI_OK) {
        if (lookup->last)
            lookup->last->next = q;
        else
            lookup->first = q;
        lookup->last = q;
        lookup->waiting++;
        pthread_cond_signal(&lookup->wake);
    }
    pthread_mutex_unlock(&lookup->lock);
    if (st)
        free(q);
    return st;
}
