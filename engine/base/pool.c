/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PLAIN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define PLAIN 1
#endif
#endif

void *peri_pool_zeroed(size_t size)
{
    void *block = peri_pool_alloc(size);
    return block ? memset(block, 0, size) : NULL;
}

#if defined(PLAIN) && !defined(PERI_POOL_LISTS)

void *peri_pool_alloc(size_t size)
{
    return malloc(size);
}

void peri_pool_free(void *block)
{
    free(block);
}

void peri_pool_trim(void)
{
    (void)malloc_trim(0);
}

#else

#define LEAST                                                                                                          \
    24 /* bytes of a block of the first list, the least that malloc gives; the next ones have STEP more each */
#define STEP 16
#define LISTS 32
#define KEPT_BYTES 65536 /* of a list */

struct block {
    struct block *next;
};

static _Thread_local struct {
    struct block *first[LISTS];
    unsigned short count[LISTS];
    bool known; /* the end of the thread empties it */
} lists;

static pthread_key_t key;
static bool keyed;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void empty_lists(void)
{
    for (size_t i = 0; i < LISTS; i++) {
        while (lists.first[i]) {
            struct block *block = lists.first[i];
            lists.first[i] = block->next;
            free(block);
        }
        lists.count[i] = 0;
    }
}

static void end(void *unused)
{
    (void)unused;
    empty_lists();
    lists.known = false;
}

void peri_pool_trim(void)
{
    empty_lists();
    (void)malloc_trim(0);
}

static void make_key(void)
{
    keyed = pthread_key_create(&key, end) == 0;
}

static unsigned kept(size_t list)
{
    return (unsigned)(KEPT_BYTES / (LEAST + list * STEP));
}

/* False: nothing may be kept. */
static bool announce(void)
{
    pthread_once(&once, make_key);
    lists.known = keyed && pthread_setspecific(key, &lists) == 0;
    return lists.known;
}

void *peri_pool_alloc(size_t size)
{
    size_t i = size <= LEAST ? 0 : (size - LEAST + STEP - 1) / STEP;
    struct block *block = i < LISTS ? lists.first[i] : NULL;
    if (!block)
        return malloc(size);
    lists.first[i] = block->next;
    lists.count[i]--;
    return block;
}

void peri_pool_free(void *p)
{
    struct block *block = p;
    size_t room = malloc_usable_size(p);
    size_t i = room < LEAST ? LISTS : (room - LEAST) / STEP;
    if (i >= LISTS || lists.count[i] >= kept(i) || (!lists.known && !announce())) {
        free(p);
        return;
    }
    block->next = lists.first[i];
    lists.first[i] = block;
    lists.count[i]++;
}

#endif
