/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_heap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Two ways: the arena; and under the address sanitizer malloc with a list of the blocks, so that it sees each block. */
#if defined(__SANITIZE_ADDRESS__)
#define HEAP_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEAP_MALLOC 1
#endif
#endif

#ifdef HEAP_MALLOC

struct block {
    struct block *prev, *next;
    max_align_t data[];
};

bool peri_heap_init(struct peri_heap *heap, size_t cap)
{
    struct block *head = malloc(sizeof(*head));
    heap->impl = head;
    heap->used = 0;
    if (!head)
        return false;
    head->prev = head->next = head;
    return true;
}

void peri_heap_finish(struct peri_heap *heap)
{
    struct block *head = heap->impl;
    if (!head)
        return;
    for (struct block *b = head->next, *next; b != head; b = next) {
        next = b->next;
        free(b);
    }
    free(head);
    heap->impl = NULL;
    heap->used = 0;
}

static struct block *block_of(void *ptr)
{
    return (struct block *)((char *)ptr - offsetof(struct block, data));
}

void *peri_heap_resize(struct peri_heap *heap, void *ptr, size_t old_size, size_t new_size)
{
    struct block *head = heap->impl, *old = ptr ? block_of(ptr) : NULL;
    struct block *b = realloc(old, offsetof(struct block, data) + new_size);
    if (!b) {
        if (!ptr || new_size > old_size)
            return NULL;
        b = old; /* smaller must work: the block stays as it is */
    }
    if (!old) {
        b->prev = head->prev;
        b->next = head;
    }
    b->prev->next = b->next->prev = b;
    heap->used += new_size - old_size;
    return b->data;
}

void peri_heap_free(struct peri_heap *heap, void *ptr, size_t size)
{
    if (!ptr)
        return;
    struct block *b = block_of(ptr);
    b->prev->next = b->next;
    b->next->prev = b->prev;
    free(b);
    heap->used -= size;
}

#else

#include "plugin/lua_arena.h"

bool peri_heap_init(struct peri_heap *heap, size_t cap)
{
    heap->impl = peri_arena_map_create(cap);
    heap->used = 0;
    return heap->impl != NULL;
}

void peri_heap_finish(struct peri_heap *heap)
{
    peri_arena_map_destroy(heap->impl);
    heap->impl = NULL;
    heap->used = 0;
}

void *peri_heap_resize(struct peri_heap *heap, void *ptr, size_t old_size, size_t new_size)
{
    void *block = peri_arena_map_resize(heap->impl, ptr, old_size, new_size);
    if (block)
        heap->used += new_size - old_size;
    return block;
}

void peri_heap_free(struct peri_heap *heap, void *ptr, size_t size)
{
    peri_arena_map_free(heap->impl, ptr);
    heap->used -= size;
}

#endif
