/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_TESTS_OOM_H
#define PERI_TESTS_OOM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Lets the n-th allocation of the engine fail, once. The linker leads malloc, calloc and realloc of whatever it puts into
 * a test_oom*.c program here (tests/CMakeLists.txt); libraries that are shared keep their own. What the test itself
 * allocates is never refused: include this before anything else. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static _Atomic long oom_left; /* allocations until one fails; 0: none does */
static _Atomic bool oom_hit;

static bool oom_now(void)
{
    if (atomic_load(&oom_left) <= 0 || atomic_fetch_sub(&oom_left, 1) != 1)
        return false;
    atomic_store(&oom_hit, true);
    return true;
}

void *__wrap_malloc(size_t size)
{
    return oom_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return oom_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return oom_now() ? NULL : __real_realloc(old, size);
}

static inline void oom_at(long n)
{
    atomic_store(&oom_hit, false);
    atomic_store(&oom_left, n);
}

/* No more refusals. Was there one? */
static inline bool oom_over(void)
{
    atomic_store(&oom_left, 0);
    return atomic_load(&oom_hit);
}

#endif
