/* SPDX-License-Identifier: Apache-2.0 */
#include "run/limit.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/map.h"
#include "base/vec.h"

struct bucket {
    int64_t *times; /* rising; a queue that begins at head */
    size_t head, count, cap;
    int64_t period_ms; /* the longest that anybody has asked for */
    int64_t keep;      /* from then on it says nothing any more */
};

struct peri_limiter {
    struct peri_map *buckets; /* by the hash of their name: strangers choose it */
    size_t times;
};

#define HASH_TEXT 33

static const char *name_of(const char *bucket, char out[65])
{
    peri_sha256_hex(bucket, strlen(bucket), out);
    out[HASH_TEXT - 1] = '\0';
    return out;
}

static void free_bucket(void *value)
{
    struct bucket *b = value;
    free(b->times);
    free(b);
}

struct peri_limiter *peri_limiter_create(void)
{
    struct peri_limiter *l = calloc(1, sizeof(*l));
    if (l && !(l->buckets = peri_map_create())) {
        free(l);
        return NULL;
    }
    return l;
}

void peri_limiter_destroy(struct peri_limiter *l)
{
    if (!l)
        return;
    peri_map_destroy(l->buckets, free_bucket);
    free(l);
}

size_t peri_limiter_buckets(const struct peri_limiter *l)
{
    return peri_map_count(l->buckets);
}

struct sweep {
    int64_t now_ms;
    const char **keys;
    size_t count, cap;
};

static bool find_past(const char *key, void *value, void *arg)
{
    struct sweep *s = arg;
    if (((struct bucket *)value)->keep <= s->now_ms && s->count < s->cap)
        s->keys[s->count++] = key;
    return true;
}

/* Everything that is past goes at once, so that the next sweep is as far away as possible. */
static void sweep(struct peri_limiter *l, int64_t now_ms)
{
    struct sweep s = {.now_ms = now_ms, .cap = peri_map_count(l->buckets)};
    s.keys = calloc(s.cap ? s.cap : 1, sizeof(*s.keys));
    if (!s.keys)
        return;
    peri_map_each(l->buckets, find_past, &s);
    for (size_t i = 0; i < s.count; i++) {
        struct bucket *b = peri_map_remove(l->buckets, s.keys[i]);
        l->times -= b->count - b->head;
        free_bucket(b);
    }
    free(s.keys);
}

static enum peri_status find(
    struct peri_limiter *l, const char *bucket, int64_t now_ms, struct bucket **ret, struct peri_error *err)
{
    char key[65];
    struct bucket *b = peri_map_get(l->buckets, name_of(bucket, key));
    if (!b) {
        if (peri_map_count(l->buckets) >= PERI_LIMIT_BUCKETS)
            sweep(l, now_ms);
        if (peri_map_count(l->buckets) >= PERI_LIMIT_BUCKETS)
            return peri_error_set(
                err, PERI_ELIMIT, "rate_limit.full", "rate limits are kept for %d keys already", PERI_LIMIT_BUCKETS);
        b = calloc(1, sizeof(*b));
        if (!b || !peri_map_set(l->buckets, key, b, NULL)) {
            free(b);
            return peri_error_nomem(err);
        }
    }
    *ret = b;
    return PERI_OK;
}

static enum peri_status add(struct peri_limiter *l, struct bucket *b, int64_t at, int64_t keep)
{
    if (b->head > 0 && b->head >= b->count / 2) {
        b->count -= b->head;
        memmove(b->times, b->times + b->head, b->count * sizeof(*b->times));
        b->head = 0;
    }
    if (!peri_vec_grow(&b->times, &b->cap, b->count + 1, sizeof(*b->times)))
        return PERI_ENOMEM;
    b->times[b->count++] = at;
    l->times++;
    if (keep > b->keep)
        b->keep = keep;
    return PERI_OK;
}

static void forget_past(struct peri_limiter *l, struct bucket *b, int64_t now_ms)
{
    while (b->head < b->count && b->times[b->head] <= now_ms - b->period_ms) {
        b->head++;
        l->times--;
    }
}

static enum peri_status full(struct peri_error *err, const char *bucket)
{
    return peri_error_set(err, PERI_ELIMIT, "rate_limit.full", "too many calls wait for the rate limit of %s", bucket);
}

enum peri_status peri_limiter_reserve(struct peri_limiter *l, const char *bucket, int64_t limit, int64_t period_ms,
    int64_t now_ms, int64_t *ret_at, struct peri_error *err)
{
    struct bucket *b = NULL;
    enum peri_status st = find(l, bucket, now_ms, &b, err);
    if (st != PERI_OK)
        return st;
    if (period_ms > b->period_ms)
        b->period_ms = period_ms;
    forget_past(l, b, now_ms);
    size_t n = b->count - b->head, waiting = 0;
    int64_t at = now_ms;
    if (n > 0 && b->times[b->count - 1] > at)
        at = b->times[b->count - 1];
    if (n >= (size_t)limit && b->times[b->count - (size_t)limit] + period_ms > at)
        at = b->times[b->count - (size_t)limit] + period_ms;
    for (size_t i = b->count; at > now_ms && i > b->head && b->times[i - 1] > now_ms; i--)
        waiting++;
    if (waiting >= PERI_LIMIT_WAITING || l->times >= PERI_LIMIT_TIMES)
        return full(err, bucket);
    if (add(l, b, at, at + b->period_ms) != PERI_OK)
        return peri_error_nomem(err);
    *ret_at = at;
    return PERI_OK;
}

enum peri_status peri_limiter_restore(struct peri_limiter *l, const char *bucket, int64_t at, int64_t keep)
{
    struct bucket *b = NULL;
    struct peri_error err;
    enum peri_status st = find(l, bucket, INT64_MIN, &b, &err);
    if (st != PERI_OK || l->times >= PERI_LIMIT_TIMES)
        return st == PERI_ENOMEM ? st : PERI_OK; /* beyond the bounds the oldest are forgotten: never too strict */
    if (keep - at > b->period_ms)
        b->period_ms = keep - at;
    return add(l, b, at, keep);
}
