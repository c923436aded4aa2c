/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Chunks grow with what has been used, so that at most a third of an arena is empty: there is one in every pattern. */
#define ARENA_FIRST 512
#define ARENA_LEAST 256
#define ARENA_LARGEST (64 * 1024)

struct chunk {
    struct chunk *next;
    size_t used, size;
    alignas(max_align_t) char data[];
};

struct peri_arena {
    struct chunk *chunks;
    size_t used, max;
};

struct peri_arena *peri_arena_create(size_t max)
{
    struct peri_arena *arena = calloc(1, sizeof(*arena));
    if (!arena)
        return NULL;
    arena->max = max;
    return arena;
}

void peri_arena_destroy(struct peri_arena *arena)
{
    if (!arena)
        return;
    for (struct chunk *c = arena->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(arena);
}

static size_t chunk_size(const struct peri_arena *arena, size_t size)
{
    size_t want = arena->chunks ? arena->used / 2 / ARENA_LEAST * ARENA_LEAST : ARENA_FIRST;
    if (want < ARENA_LEAST)
        want = ARENA_LEAST;
    if (want > ARENA_LARGEST)
        want = ARENA_LARGEST;
    return want > size ? want : size;
}

void *peri_arena_alloc(struct peri_arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    if (size > SIZE_MAX / 2 || size > arena->max || arena->used > arena->max - size)
        return NULL;
    size = (size + align - 1) / align * align;
    struct chunk *c = arena->chunks;
    if (!c || c->size - c->used < size) {
        size_t want = chunk_size(arena, size);
        c = calloc(1, sizeof(*c) + want);
        if (!c)
            return NULL;
        c->size = want;
        c->next = arena->chunks;
        arena->chunks = c;
    }
    void *p = c->data + c->used;
    c->used += size;
    arena->used += size;
    return p;
}

char *peri_arena_strdup(struct peri_arena *arena, const char *s)
{
    return s ? peri_arena_strndup(arena, s, strlen(s)) : NULL;
}

char *peri_arena_strndup(struct peri_arena *arena, const char *s, size_t len)
{
    char *copy = peri_arena_alloc(arena, len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, s, len);
    return copy;
}
