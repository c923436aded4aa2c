/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_VEC_H
#define PERI_BASE_VEC_H

#include <stdbool.h>
#include <stddef.h>

/* Makes room in a malloc'ed array of *cap items for at least need items of size bytes, growing by half again.
 * *items is a T ** cast to void **. False when memory is out; nothing is changed then. New room is zeroed. */
bool peri_vec_grow(void *items, size_t *cap, size_t need, size_t size);

#endif
