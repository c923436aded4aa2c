/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_MAP_H
#define PERI_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

/* Text -> pointer, for internal registries (the hash has no seed: never use it for keys that strangers choose).
 * Iteration is in insertion order. Keys are copied; values belong to the caller. */
struct peri_map;

struct peri_map *peri_map_create(void);
/* free_value may be NULL. */
void peri_map_destroy(struct peri_map *map, void (*free_value)(void *value));
void *peri_map_get(const struct peri_map *map, const char *key);
void *peri_map_getn(const struct peri_map *map, const char *key, size_t len);
/* Replaces; *ret_old (may be NULL) gets the former value or NULL. False when memory is out. */
bool peri_map_set(struct peri_map *map, const char *key, void *value, void **ret_old);
/* Returns the removed value or NULL. */
void *peri_map_remove(struct peri_map *map, const char *key);
size_t peri_map_count(const struct peri_map *map);
/* Calls fn for each pair until it returns false. fn must not change the map. */
void peri_map_each(const struct peri_map *map, bool (*fn)(const char *key, void *value, void *arg), void *arg);

#endif
