/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/* The region is cut into pages. Blocks up to SMALL_MAX come from slabs (one to four pages of blocks of one size class,
 * linked through their first two bytes when free), larger ones are runs of pages. What a page is used for stands in a
 * table in front of the pages, so a block needs no header and its size can be found from its address. A slab that
 * becomes empty gives its pages back unless it is the last of its class. */

#define PAGE 4096u
#define SMALL_MAX 2048u
#define CLASSES 24
#define NO_PAGE UINT32_MAX
#define NO_BLOCK UINT16_MAX

enum kind { PAGE_FREE, PAGE_RUN, PAGE_SLAB, PAGE_INSIDE };

struct page {
    uint8_t kind, class;
    uint16_t back;           /* PAGE_INSIDE of a slab: pages back to its first */
    uint32_t count;          /* PAGE_RUN and PAGE_SLAB: pages */
    uint32_t prev, next;     /* slabs of the class with free blocks */
    uint16_t used, fresh;    /* blocks in use; blocks from here on were never used */
    uint16_t free, capacity; /* first of the free list; blocks in all */
};

struct peri_arena_map {
    size_t mapped;
    char *pages;
    uint32_t page_count, hint; /* no free page below hint */
    uint32_t partial[CLASSES];
    struct page table[];
};

static const uint16_t class_size[CLASSES] = {
    16,
    32,
    48,
    64,
    80,
    96,
    112,
    128,
    160,
    192,
    224,
    256,
    320,
    384,
    448,
    512,
    640,
    768,
    896,
    1024,
    1280,
    1536,
    1792,
    2048,
};

static unsigned class_of(size_t size)
{
    if (size <= 128)
        return (unsigned)((size + 15) / 16 - 1);
    unsigned log = 63 - (unsigned)__builtin_clzll(size - 1); /* 2^log < size <= 2^(log + 1) */
    return 8 + (log - 7) * 4 + (unsigned)((size - 1 - ((size_t)1 << log)) >> (log - 2));
}

struct peri_arena_map *peri_arena_map_create(size_t cap)
{
    size_t page_count = cap / PAGE * 2 + 64;
    size_t head = (sizeof(struct peri_arena_map) + page_count * sizeof(struct page) + PAGE - 1) / PAGE * PAGE;
    size_t mapped = head + page_count * PAGE;
    if (page_count >= NO_PAGE)
        return NULL;
    struct peri_arena_map *map =
        mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    map->mapped = mapped;
    map->pages = (char *)map + head;
    map->page_count = (uint32_t)page_count;
    for (int i = 0; i < CLASSES; i++)
        map->partial[i] = NO_PAGE;
    return map;
}

void peri_arena_map_destroy(struct peri_arena_map *map)
{
    if (map)
        munmap(map, map->mapped);
}

/* --- pages --- */

static bool run_is_free(const struct peri_arena_map *map, uint32_t from, uint32_t count)
{
    if (from + count > map->page_count)
        return false;
    for (uint32_t i = from; i < from + count; i++)
        if (map->table[i].kind != PAGE_FREE)
            return false;
    return true;
}

static uint32_t take_pages(struct peri_arena_map *map, uint32_t count, enum kind kind)
{
    bool below = true; /* no free page seen yet */
    for (uint32_t i = map->hint; i + count <= map->page_count;) {
        struct page *p = &map->table[i];
        if (p->kind != PAGE_FREE) {
            i += p->kind == PAGE_INSIDE ? 1 : p->count;
            continue;
        }
        if (below)
            map->hint = i;
        below = false;
        uint32_t n = 1;
        while (n < count && map->table[i + n].kind == PAGE_FREE)
            n++;
        if (n < count) {
            i += n;
            continue;
        }
        p->kind = (uint8_t)kind;
        p->count = count;
        for (uint32_t k = 1; k < count; k++) {
            p[k].kind = PAGE_INSIDE;
            p[k].back = (uint16_t)k;
        }
        return i;
    }
    return NO_PAGE;
}

static void give_pages(struct peri_arena_map *map, uint32_t from, uint32_t count)
{
    for (uint32_t i = from; i < from + count; i++)
        map->table[i].kind = PAGE_FREE;
    if (from < map->hint)
        map->hint = from;
    if (count >= 16) /* a large run: its memory goes back to the system */
        madvise(map->pages + (size_t)from * PAGE, (size_t)count * PAGE, MADV_DONTNEED);
}

static uint32_t page_of(const struct peri_arena_map *map, const void *ptr)
{
    return (uint32_t)((size_t)((const char *)ptr - map->pages) / PAGE);
}

/* --- slabs --- */

static void link_slab(struct peri_arena_map *map, uint32_t slab)
{
    struct page *p = &map->table[slab];
    p->prev = NO_PAGE;
    p->next = map->partial[p->class];
    if (p->next != NO_PAGE)
        map->table[p->next].prev = slab;
    map->partial[p->class] = slab;
}

static void unlink_slab(struct peri_arena_map *map, uint32_t slab)
{
    struct page *p = &map->table[slab];
    if (p->prev != NO_PAGE)
        map->table[p->prev].next = p->next;
    else
        map->partial[p->class] = p->next;
    if (p->next != NO_PAGE)
        map->table[p->next].prev = p->prev;
}

static uint32_t new_slab(struct peri_arena_map *map, unsigned class)
{
    uint32_t count = class_size[class] > 512 ? 4 : 1, slab = take_pages(map, count, PAGE_SLAB);
    if (slab == NO_PAGE)
        return NO_PAGE;
    struct page *p = &map->table[slab];
    p->class = (uint8_t) class;
    p->used = p->fresh = 0;
    p->free = NO_BLOCK;
    p->capacity = (uint16_t)(count * PAGE / class_size[class]);
    link_slab(map, slab);
    return slab;
}

static void *alloc_small(struct peri_arena_map *map, unsigned class)
{
    uint32_t slab = map->partial[class];
    if (slab == NO_PAGE)
        slab = new_slab(map, class);
    if (slab == NO_PAGE)
        return NULL;
    struct page *p = &map->table[slab];
    char *first = map->pages + (size_t)slab * PAGE, *block;
    if (p->free != NO_BLOCK) {
        block = first + (size_t)p->free * class_size[class];
        memcpy(&p->free, block, sizeof(p->free));
    } else {
        block = first + (size_t)p->fresh++ * class_size[class];
    }
    if (++p->used == p->capacity)
        unlink_slab(map, slab);
    return block;
}

static void free_small(struct peri_arena_map *map, uint32_t slab, char *ptr)
{
    struct page *p = &map->table[slab];
    size_t offset = (size_t)(ptr - (map->pages + (size_t)slab * PAGE));
    memcpy(ptr, &p->free, sizeof(p->free));
    p->free = (uint16_t)(offset / class_size[p->class]);
    if (p->used-- == p->capacity)
        link_slab(map, slab);
    if (p->used == 0 && (p->prev != NO_PAGE || p->next != NO_PAGE)) {
        unlink_slab(map, slab);
        give_pages(map, slab, p->count);
    }
}

/* --- blocks --- */

static uint32_t pages_for(size_t size)
{
    return (uint32_t)((size + PAGE - 1) / PAGE);
}

void *peri_arena_map_alloc(struct peri_arena_map *map, size_t size)
{
    if (size <= SMALL_MAX)
        return alloc_small(map, class_of(size));
    if (size / PAGE >= map->page_count)
        return NULL;
    uint32_t run = take_pages(map, pages_for(size), PAGE_RUN);
    return run == NO_PAGE ? NULL : map->pages + (size_t)run * PAGE;
}

void peri_arena_map_free(struct peri_arena_map *map, void *ptr)
{
    if (!ptr)
        return;
    uint32_t i = page_of(map, ptr);
    if (map->table[i].kind == PAGE_INSIDE)
        i -= map->table[i].back;
    if (map->table[i].kind == PAGE_SLAB)
        free_small(map, i, ptr);
    else
        give_pages(map, i, map->table[i].count);
}

/* True when the block at ptr could be made new_size bytes where it is. */
static bool resize_in_place(struct peri_arena_map *map, void *ptr, size_t new_size)
{
    uint32_t i = page_of(map, ptr);
    struct page *p = &map->table[i];
    if (p->kind == PAGE_INSIDE || p->kind == PAGE_SLAB) {
        if (p->kind == PAGE_INSIDE)
            p -= p->back;
        return new_size <= SMALL_MAX && class_of(new_size) == p->class;
    }
    uint32_t want = pages_for(new_size);
    if (new_size <= SMALL_MAX)
        return false;
    if (want > p->count) {
        if (!run_is_free(map, i + p->count, want - p->count))
            return false;
        for (uint32_t k = p->count; k < want; k++) {
            p[k].kind = PAGE_INSIDE;
            p[k].back = (uint16_t)k;
        }
    } else if (want < p->count) {
        give_pages(map, i + want, p->count - want);
    }
    p->count = want;
    return true;
}

void *peri_arena_map_resize(struct peri_arena_map *map, void *ptr, size_t old_size, size_t new_size)
{
    if (!ptr)
        return peri_arena_map_alloc(map, new_size);
    if (resize_in_place(map, ptr, new_size))
        return ptr;
    void *block = peri_arena_map_alloc(map, new_size);
    if (!block)
        return new_size <= old_size ? ptr : NULL;
    memcpy(block, ptr, old_size < new_size ? old_size : new_size);
    peri_arena_map_free(map, ptr);
    return block;
}
