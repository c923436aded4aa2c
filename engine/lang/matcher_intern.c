/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/matcher_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "lang/matcher_hash.h"

struct item {
    uint64_t hash;
    size_t at, len;
    uint32_t value;
};

struct matcher_intern {
    struct item *items;
    size_t count, cap;
    uint32_t *table; /* item + 1 */
    size_t table_size;
    char *bytes;
    size_t used, room;
};

struct matcher_intern *matcher_intern_create(void)
{
    return calloc(1, sizeof(struct matcher_intern));
}

void matcher_intern_destroy(struct matcher_intern *intern)
{
    if (!intern)
        return;
    free(intern->items);
    free(intern->table);
    free(intern->bytes);
    free(intern);
}

static bool grow_table(struct matcher_intern *in)
{
    size_t size = in->table_size ? in->table_size * 2 : 64;
    uint32_t *table = calloc(size, sizeof(*table));
    if (!table)
        return false;
    for (size_t i = 0; i < in->count; i++) {
        size_t at = in->items[i].hash & (size - 1);
        while (table[at])
            at = (at + 1) & (size - 1);
        table[at] = (uint32_t)i + 1;
    }
    free(in->table);
    in->table = table;
    in->table_size = size;
    return true;
}

uint32_t *matcher_intern(struct matcher_intern *in, const void *bytes, size_t len)
{
    uint64_t hash = matcher_hash_join(matcher_hash_front(bytes, len), 0, 0);
    if (in->count * 2 >= in->table_size && !grow_table(in))
        return NULL;
    size_t at = hash & (in->table_size - 1);
    for (; in->table[at]; at = (at + 1) & (in->table_size - 1)) {
        struct item *item = &in->items[in->table[at] - 1];
        if (item->hash == hash && item->len == len && memcmp(in->bytes + item->at, bytes, len) == 0)
            return &item->value;
    }
    if (!peri_vec_grow(&in->items, &in->cap, in->count + 1, sizeof(*in->items)) ||
        !peri_vec_grow(&in->bytes, &in->room, in->used + len + 1, 1))
        return NULL;
    memcpy(in->bytes + in->used, bytes, len);
    in->items[in->count] = (struct item){hash, in->used, len, MATCHER_NONE};
    in->used += len;
    in->table[at] = (uint32_t)++in->count;
    return &in->items[in->count - 1].value;
}
