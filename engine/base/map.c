/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(elt) ((elt)->lost = true)
#include <uthash.h>
#ifdef __clang__ /* uthash's hash function falls through its switch */
#pragma clang diagnostic ignored "-Wimplicit-fallthrough"
#endif

struct entry {
    UT_hash_handle hh;
    void *value;
    bool lost; /* uthash had no memory for this element */
    char key[];
};

struct peri_map {
    struct entry *head;
};

struct peri_map *peri_map_create(void)
{
    return calloc(1, sizeof(struct peri_map));
}

void peri_map_destroy(struct peri_map *map, void (*free_value)(void *value))
{
    if (!map)
        return;
    struct entry *e, *next;
    HASH_ITER(hh, map->head, e, next)
    {
        HASH_DEL(map->head, e);
        if (free_value)
            free_value(e->value);
        free(e);
    }
    free(map);
}

void *peri_map_getn(const struct peri_map *map, const char *key, size_t len)
{
    struct entry *e = NULL;
    HASH_FIND(hh, map->head, key, len, e);
    return e ? e->value : NULL;
}

void *peri_map_get(const struct peri_map *map, const char *key)
{
    return peri_map_getn(map, key, strlen(key));
}

bool peri_map_set(struct peri_map *map, const char *key, void *value, void **ret_old)
{
    size_t len = strlen(key);
    struct entry *e = NULL;
    HASH_FIND(hh, map->head, key, len, e);
    if (ret_old)
        *ret_old = e ? e->value : NULL;
    if (e) {
        e->value = value;
        return true;
    }
    e = calloc(1, sizeof(*e) + len + 1);
    if (!e)
        return false;
    memcpy(e->key, key, len + 1);
    e->value = value;
    HASH_ADD_KEYPTR(hh, map->head, e->key, len, e);
    if (e->lost) {
        free(e);
        return false;
    }
    return true;
}

void *peri_map_remove(struct peri_map *map, const char *key)
{
    struct entry *e = NULL;
    HASH_FIND(hh, map->head, key, strlen(key), e);
    if (!e)
        return NULL;
    void *value = e->value;
    HASH_DEL(map->head, e);
    free(e);
    return value;
}

size_t peri_map_count(const struct peri_map *map)
{
    return HASH_COUNT(map->head);
}

void peri_map_each(const struct peri_map *map, bool (*fn)(const char *key, void *value, void *arg), void *arg)
{
    for (struct entry *e = map->head; e; e = e->hh.next)
        if (!fn(e->key, e->value, arg))
            return;
}
