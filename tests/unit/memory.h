/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_TESTS_MEMORY_H
#define PERI_TESTS_MEMORY_H

#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Lets the n-th allocation of the whole program fail, those of the libraries as well (oom.h: the engine's own only):
 * the program's malloc, calloc and realloc come before all others'. What the C library wants for itself is given (a
 * thread that starts under the sanitizers must have it). Include it in one file of a program. What is allocated while
 * nothing is armed is never refused. */
#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_REAL(name) __interceptor_##name
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_REAL(name) __interceptor_##name
#endif
#endif
#ifndef MEMORY_REAL
#define MEMORY_REAL(name) __libc_##name
#endif

void *MEMORY_REAL(malloc)(size_t size);
void *MEMORY_REAL(calloc)(size_t count, size_t size);
void *MEMORY_REAL(realloc)(void *old, size_t size);

/* One of the program, or of what shares it with others. */
struct memory_limit {
    _Atomic long left; /* allocations until one fails; 0: none does */
    _Atomic long run;  /* how many fail from then on, one after the other; 0: one */
    _Atomic long hits; /* how many have failed */
};
static struct memory_limit memory_own;
static struct memory_limit *memory_limit = &memory_own;

/* Called before the sanitizers are ready. */
#define MEMORY_PLAIN __attribute__((no_sanitize("address", "undefined")))

/* Code of libraries that are always given what they want. */
static struct {
    uintptr_t from, to;
} memory_spared[8];
static size_t memory_spared_count;

static inline int memory_spare(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    if (!strstr(info->dlpi_name, "/libc.so"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X) || memory_spared_count == 8)
            continue;
        uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        memory_spared[memory_spared_count].from = from;
        memory_spared[memory_spared_count++].to = from + info->dlpi_phdr[i].p_memsz;
    }
    return 0;
}

__attribute__((constructor)) static void memory_spare_all(void)
{
    dl_iterate_phdr(memory_spare, NULL);
}

MEMORY_PLAIN static inline bool memory_refused(const void *caller)
{
    struct memory_limit *m = memory_limit;
    uintptr_t code = (uintptr_t)caller;
    if (atomic_load_explicit(&m->left, memory_order_relaxed) <= 0)
        return false;
    for (size_t i = 0; i < memory_spared_count; i++)
        if (code >= memory_spared[i].from && code < memory_spared[i].to)
            return false;
    if (atomic_fetch_sub(&m->left, 1) != 1)
        return false;
    if (atomic_fetch_sub(&m->run, 1) > 1)
        atomic_store(&m->left, 1); /* the next one as well */
    atomic_fetch_add(&m->hits, 1);
    errno = ENOMEM;
    return true;
}

MEMORY_PLAIN __attribute__((visibility("default"))) void *malloc(size_t size)
{
    return memory_refused(__builtin_return_address(0)) ? NULL : MEMORY_REAL(malloc)(size);
}

MEMORY_PLAIN __attribute__((visibility("default"))) void *calloc(size_t count, size_t size)
{
    return memory_refused(__builtin_return_address(0)) ? NULL : MEMORY_REAL(calloc)(count, size);
}

MEMORY_PLAIN __attribute__((visibility("default"))) void *realloc(void *old, size_t size)
{
    return memory_refused(__builtin_return_address(0)) ? NULL : MEMORY_REAL(realloc)(old, size);
}

/* From the n-th allocation on `run` of them fail. */
static inline void memory_fail(long n, long run)
{
    atomic_store(&memory_limit->hits, 0);
    atomic_store(&memory_limit->run, run);
    atomic_store(&memory_limit->left, n);
}

/* No more refusals. Was there one? */
static inline bool memory_over(void)
{
    atomic_store(&memory_limit->left, 0);
    return atomic_load(&memory_limit->hits) > 0;
}

#endif
