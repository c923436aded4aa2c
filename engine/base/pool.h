/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_POOL_H
#define PERI_BASE_POOL_H

#include <stddef.h>

/* malloc and free with a short list of small free blocks for each thread and size: trees of values are made and dropped
 * all the time, and the C library merges what is freed with its neighbours and splits it again. Blocks are malloc's
 * own, so either side may free what the other gave. The list ends with its thread. Under a sanitizer it is just malloc.
 */
void *peri_pool_alloc(size_t size);
void peri_pool_free(void *block);
void *peri_pool_zeroed(size_t size);
void peri_pool_trim(void); /* gives back what this thread's lists hold, and what malloc can do without */

#endif
