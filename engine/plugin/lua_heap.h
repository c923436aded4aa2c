/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_LUA_HEAP_H
#define PERI_PLUGIN_LUA_HEAP_H

#include <stdbool.h>
#include <stddef.h>

/* The memory of one Lua state: blocks that are given back one by one or all at once, without looking at what is in
 * them. One thread at a time. */
struct peri_heap {
    void *impl;
    size_t used; /* sum of the sizes asked for */
};

/* False when memory is out. cap is the most that used will reach. */
bool peri_heap_init(struct peri_heap *heap, size_t cap);
void peri_heap_finish(struct peri_heap *heap);
/* realloc with the old size known (0 for a new block). NULL when memory is out; making a block smaller always works. */
void *peri_heap_resize(struct peri_heap *heap, void *ptr, size_t old_size, size_t new_size);
void peri_heap_free(struct peri_heap *heap, void *ptr, size_t size);

#endif
