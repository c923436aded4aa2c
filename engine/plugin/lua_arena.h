/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_LUA_ARENA_H
#define PERI_PLUGIN_LUA_ARENA_H

#include <stddef.h>

/* A small allocator in one mapped region: limit, use and release of a Lua state's memory are all of one piece, and no
 * lock of libc is ever held inside. One thread at a time. Blocks are aligned to 16 bytes. */
struct peri_arena_map;

/* A region that serves at least cap bytes of blocks; it is mapped twice as large, because sizes are rounded and free
 * room is scattered. Only touched pages count as memory. NULL when there is no room. */
struct peri_arena_map *peri_arena_map_create(size_t cap);
void peri_arena_map_destroy(struct peri_arena_map *map); /* NULL is fine */
/* NULL when the region is full. size > 0. */
void *peri_arena_map_alloc(struct peri_arena_map *map, size_t size);
void peri_arena_map_free(struct peri_arena_map *map, void *ptr); /* NULL is fine */
/* Keeps the first bytes; NULL (and the old block stays) when the region is full, never when new_size <= old_size. */
void *peri_arena_map_resize(struct peri_arena_map *map, void *ptr, size_t old_size, size_t new_size);

#endif
