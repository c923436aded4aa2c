/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_heap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* malloc with a list of the blocks, so that the whole can be released at once while a sanitizer still sees each. */
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
    if (!b)
        return ptr && new_size <= old_size ? ptr : NULL;
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
