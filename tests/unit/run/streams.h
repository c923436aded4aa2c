/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_TESTS_RUN_STREAMS_H
#define PERI_TESTS_RUN_STREAMS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

/* Random streams of events of one key, and slow oracles: they keep everything that was ever heard and look through all
 * of it again each time. Minutes are the unit of time; events have a time and an order of arrival, and some come late
 * or at the same time. */

#define STREAM_EVENTS 14

struct stream_event {
    int64_t at; /* when it arrives */
    int64_t ts; /* when it happened; not after at */
    uint32_t steps;
    bool matches;
};

struct stream {
    struct stream_event events[STREAM_EVENTS];
    size_t count;
};

static uint64_t stream_seed = 88172645463325252u;

static inline uint32_t stream_random(uint32_t below)
{
    stream_seed ^= stream_seed << 13;
    stream_seed ^= stream_seed >> 7;
    stream_seed ^= stream_seed << 17;
    return (uint32_t)(stream_seed >> 33) % below;
}

static inline void stream_make(struct stream *s, uint32_t step_bits)
{
    int64_t at = 1000;
    s->count = 4 + stream_random(STREAM_EVENTS - 3);
    for (size_t i = 0; i < s->count; i++) {
        at += stream_random(3) ? stream_random(5) : 0;
        int64_t ts = at - (stream_random(3) ? 0 : (int64_t)stream_random(9));
        s->events[i] = (struct stream_event){at, ts, 1 + stream_random((1u << step_bits) - 1), stream_random(3) > 0};
    }
}

/* What fires at which time. */
struct firings {
    int64_t at[64];
    size_t count;
};

static inline void fires(struct firings *f, int64_t at)
{
    assert_true(f->count < 64);
    f->at[f->count++] = at;
}

/* --- count: with the event there are enough, without it there were not --- */

static inline void oracle_count(const struct stream *s, int64_t at_least, int64_t within, struct firings *f)
{
    bool counted[STREAM_EVENTS] = {false};
    int64_t newest = INT64_MIN;
    for (size_t i = 0; i < s->count; i++) {
        int64_t n = 0;
        newest = s->events[i].ts > newest ? s->events[i].ts : newest;
        counted[i] = s->events[i].ts > newest - within;
        for (size_t k = 0; k < i; k++)
            n += counted[k] && s->events[k].ts > newest - within;
        if (counted[i] && n < at_least && n + 1 >= at_least)
            fires(f, s->events[i].at);
    }
}

/* --- for --- */

/* All that matched, or did not, in order of their times; what an older contradiction has made void is gone. */
struct held {
    struct stream_event events[STREAM_EVENTS];
    size_t count;
    bool told;
    int64_t heard; /* arrival of the last one: nothing is known before */
};

/* Since when something goes on; INT64_MIN: nothing does. */
static inline int64_t held_since(const struct held *h)
{
    int64_t since = INT64_MIN;
    for (size_t i = 0; i < h->count; i++) {
        if (!h->events[i].matches)
            since = INT64_MIN;
        else if (since == INT64_MIN)
            since = h->events[i].ts;
    }
    return since;
}

static inline void held_add(struct held *h, struct stream_event e)
{
    size_t at = h->count;
    for (; at > 0 && h->events[at - 1].ts > e.ts; at--)
        h->events[at] = h->events[at - 1];
    h->events[at] = e;
    h->count++;
}

static inline void held_hear(struct held *h, struct stream_event e)
{
    int64_t newest = h->count ? h->events[h->count - 1].ts : INT64_MIN, before = held_since(h);
    struct held kept = {.told = h->told, .heard = h->heard};
    if (e.ts < newest && (e.matches || before == INT64_MIN || e.ts < before))
        return;
    for (size_t i = 0; i < h->count; i++)
        if (e.ts >= newest || h->events[i].ts == newest || !h->events[i].matches)
            held_add(&kept, h->events[i]);
    *h = kept;
    held_add(h, e);
    if (held_since(h) != before || !e.matches)
        h->told = false;
}

static inline void held_until(struct held *h, int64_t now, int64_t length, struct firings *f)
{
    int64_t since = held_since(h);
    if (since == INT64_MIN || h->told || since + length > now)
        return;
    fires(f, since + length > h->heard ? since + length : h->heard);
    h->told = true;
}

static inline void oracle_for(const struct stream *s, int64_t length, int64_t end, struct firings *f)
{
    struct held h = {.count = 0};
    for (size_t i = 0; i < s->count; i++) {
        held_until(&h, s->events[i].at, length, f);
        held_hear(&h, s->events[i]);
        h.heard = s->events[i].at;
    }
    held_until(&h, end, length, f);
}

/* --- absence: by arrival --- */

static inline void oracle_absence(const struct stream *s, int64_t length, int64_t end, struct firings *f)
{
    for (size_t i = 0; i < s->count; i++) {
        int64_t next = i + 1 < s->count ? s->events[i + 1].at : end;
        if (s->events[i].at + length <= next)
            fires(f, s->events[i].at + length);
    }
}

/* --- sequence --- */

struct oracle_steps {
    size_t units, unit_step[8];
    uint32_t barred[8]; /* behind each unit */
    int64_t within;
    uint32_t fits; /* steps that are heard; 0: all */
};

struct remembered {
    struct stream_event events[STREAM_EVENTS];
    size_t count;
    int64_t used, newest; /* up to where events are used up */
    int64_t heard;
};

/* The first place at which a chain that begins at `from` can end; SIZE_MAX: none. Tries every choice. */
static inline size_t chain_end(
    const struct oracle_steps *o, const struct remembered *r, size_t start, size_t from, size_t unit)
{
    size_t best = SIZE_MAX;
    int64_t limit = r->events[start].ts + o->within;
    if (unit + 1 == o->units) {
        for (size_t i = from + 1; i < r->count && r->events[i].ts <= limit; i++)
            if (r->events[i].steps & o->barred[unit])
                return SIZE_MAX;
        return from;
    }
    for (size_t i = from + 1; i < r->count && r->events[i].ts <= limit; i++) {
        if (r->events[i].steps >> o->unit_step[unit + 1] & 1) {
            size_t end = chain_end(o, r, start, i, unit + 1);
            best = end < best ? end : best;
        }
        if (r->events[i].steps & o->barred[unit])
            break;
    }
    return best;
}

/* The first start with a chain; due is when it may fire. */
static inline size_t chain_find(const struct oracle_steps *o, const struct remembered *r, int64_t *due)
{
    for (size_t s = 0; s < r->count; s++) {
        bool old = r->events[s].ts < r->newest - o->within;
        if (old || !(r->events[s].steps >> o->unit_step[0] & 1))
            continue;
        size_t end = chain_end(o, r, s, s, 0);
        if (end != SIZE_MAX) {
            *due = o->barred[o->units - 1] ? r->events[s].ts + o->within : INT64_MIN;
            return end;
        }
    }
    return SIZE_MAX;
}

static inline void chain_until(const struct oracle_steps *o, struct remembered *r, int64_t now, struct firings *f)
{
    int64_t due;
    size_t end;
    while ((end = chain_find(o, r, &due)) != SIZE_MAX && due <= now) {
        fires(f, due > r->heard ? due : r->heard);
        r->used = r->events[end].ts;
        memmove(r->events, r->events + end + 1, (r->count - end - 1) * sizeof(r->events[0]));
        r->count -= end + 1;
    }
}

static inline void oracle_sequence(const struct stream *s, const struct oracle_steps *o, int64_t end, struct firings *f)
{
    struct remembered r = {.used = INT64_MIN, .newest = INT64_MIN / 2};
    for (size_t i = 0; i < s->count; i++) {
        struct stream_event e = s->events[i];
        chain_until(o, &r, e.at, f);
        size_t at = r.count;
        r.heard = e.at;
        if (o->fits && !(e.steps & o->fits))
            continue;
        if (e.ts < r.used || e.ts < r.newest - o->within)
            continue;
        r.newest = e.ts > r.newest ? e.ts : r.newest;
        for (; at > 0 && r.events[at - 1].ts > e.ts; at--)
            r.events[at] = r.events[at - 1];
        r.events[at] = e;
        r.count++;
        /* What is complete fires at once; what waits is due later, even if that has passed already. */
        if (!o->barred[o->units - 1])
            chain_until(o, &r, e.at, f);
    }
    chain_until(o, &r, end, f);
}

#endif
