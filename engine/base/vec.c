/* SPDX-License-Identifier: Apache-2.0 */
#include "base/vec.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LARGE 256 /* of items of this size there is mostly one */

bool peri_vec_grow(void *items, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return true;
    size_t want = *cap + *cap / 2 + (size > LARGE ? 1 : 4);
    if (want < need)
        want = need;
    if (want > SIZE_MAX / 2 / size)
        return false;
    void *old, *grown;
    memcpy(&old, items, sizeof(old));
    grown = realloc(old, want * size);
    if (!grown)
        return false;
    memset((char *)grown + *cap * size, 0, (want - *cap) * size);
    memcpy(items, &grown, sizeof(grown));
    *cap = want;
    return true;
}
