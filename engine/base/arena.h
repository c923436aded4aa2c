/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_ARENA_H
#define PERI_BASE_ARENA_H

#include <stddef.h>

/* Memory that is freed as a whole: one for each event, rule set or run. Not thread-safe. */
struct peri_arena;

/* max bounds the total bytes handed out. NULL when memory is out. */
struct peri_arena *peri_arena_create(size_t max);
void peri_arena_destroy(struct peri_arena *arena);
/* Zeroed, aligned for any type; NULL when memory is out or max is reached. */
void *peri_arena_alloc(struct peri_arena *arena, size_t size);
char *peri_arena_strdup(struct peri_arena *arena, const char *s);
char *peri_arena_strndup(struct peri_arena *arena, const char *s, size_t len);

#endif
