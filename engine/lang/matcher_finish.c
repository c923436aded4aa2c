/* SPDX-License-Identifier: Apache-2.0 */
/* The last step of building: classes in the order in which they are looked up, postings beside each other, the table of
 * keys, and every array cut to its size. */
#include "lang/matcher_build.h"

#include <stdlib.h>
#include <string.h>

#include "lang/matcher_hash.h"

static void *want(struct matcher_build *b, size_t count, size_t size)
{
    void *room = calloc(count + 1, size);
    if (!room)
        b->nomem = true;
    return room;
}

/* --- paths: the children of each one side by side --- */

static void set_key(struct matcher_build *b, uint32_t path, struct matcher_key *ret)
{
    const struct matcher_path *p = &b->m->paths[path];
    unsigned char tail[8] = {0}, mask[8] = {0};
    for (uint32_t i = 0; i < 8 && i < p->key_len; i++) {
        tail[7 - i] = (unsigned char)b->m->text[p->key + p->key_len - 1 - i];
        mask[7 - i] = 0xff;
    }
    *ret = (struct matcher_key){.text = p->key, .len = p->key_len, .path = path};
    memcpy(&ret->tail, tail, 8);
    memcpy(&ret->mask, mask, 8);
}

static uint64_t filter_of(const char *key, uint32_t len)
{
    const char last[] = {len >= 2 ? key[len - 2] : '"', len ? key[len - 1] : '"', '"'};
    return len ? UINT64_C(1) << matcher_key_hash(last + 2) : ~UINT64_C(0);
}

static void finish_paths(struct matcher_build *b)
{
    struct peri_matcher *m = b->m;
    m->path_count = b->path_count;
    m->keys = want(b, b->path_count, sizeof(*m->keys));
    if (b->nomem)
        return;
    for (uint32_t i = 1; i < b->path_count; i++)
        m->paths[b->parents[i]].child_count++;
    for (uint32_t i = 0, at = 0; i < b->path_count; i++) {
        m->paths[i].child_first = at;
        at += m->paths[i].child_count;
        m->paths[i].child_count = 0;
    }
    for (uint32_t i = 1; i < b->path_count; i++) {
        struct matcher_path *parent = &m->paths[b->parents[i]];
        set_key(b, i, &m->keys[parent->child_first + parent->child_count++]);
        parent->filter |= filter_of(m->text + m->paths[i].key, m->paths[i].key_len);
    }
    for (uint32_t i = 0; i < b->member_count; i++)
        m->paths[m->members[i].path].kept = true;
    m->paths[0].kept = b->member_count > 0;
}

/* --- classes --- */

struct placed_class {
    struct matcher_class class;
    uint32_t before;
};

static int kind_order(const struct matcher_class *c)
{
    /* Texts, folded texts, addresses, then what is found without a search. */
    return c->kind <= CLASS_GRAM ? c->fold : c->kind == CLASS_CIDR4 || c->kind == CLASS_CIDR6 ? 2 : 3;
}

static int by_place(const void *a, const void *b)
{
    const struct matcher_class *x = &((const struct placed_class *)a)->class;
    const struct matcher_class *y = &((const struct placed_class *)b)->class;
    const uint32_t p[] = {x->field, (uint32_t)kind_order(x), x->kind, x->front, x->back};
    const uint32_t q[] = {y->field, (uint32_t)kind_order(y), y->kind, y->front, y->back};
    for (size_t i = 0; i < 5; i++)
        if (p[i] != q[i])
            return p[i] < q[i] ? -1 : 1;
    return 0;
}

static void sort_classes(struct matcher_build *b)
{
    struct peri_matcher *m = b->m;
    struct placed_class *order = want(b, b->class_count, sizeof(*order));
    uint32_t *now = want(b, b->class_count, sizeof(*now));
    if (!b->nomem) {
        for (uint32_t i = 0; i < b->class_count; i++)
            order[i] = (struct placed_class){m->classes[i], i};
        qsort(order, b->class_count, sizeof(*order), by_place);
        for (uint32_t i = 0; i < b->class_count; i++) {
            m->classes[i] = order[i].class;
            now[order[i].before] = i;
        }
        for (uint32_t i = 0; i < b->entry_count; i++)
            m->entries[i].class = now[m->entries[i].class];
        m->class_count = b->class_count;
    }
    free(order);
    free(now);
}

static void finish_fields(struct matcher_build *b)
{
    struct peri_matcher *m = b->m;
    m->field_count = b->field_count;
    m->fields = want(b, b->field_count, sizeof(*m->fields));
    for (uint32_t f = 0, c = 0; !b->nomem && f < b->field_count; f++) {
        struct matcher_field *field = &m->fields[f];
        field->number = field->digits = MATCHER_NONE;
        memset(field->list, 0xff, sizeof(field->list));
        field->class_first = c;
        while (c < b->class_count && m->classes[c].field == f && kind_order(&m->classes[c]) == 0)
            c++;
        field->fold_first = c;
        while (c < b->class_count && m->classes[c].field == f && kind_order(&m->classes[c]) == 1)
            c++;
        field->class_end = field->cidr_first = c;
        while (c < b->class_count && m->classes[c].field == f && kind_order(&m->classes[c]) == 2)
            c++;
        field->cidr_end = c;
        for (; c < b->class_count && m->classes[c].field == f; c++) {
            if (m->classes[c].kind == CLASS_NUMBER)
                field->number = c;
            if (m->classes[c].kind == CLASS_DIGITS)
                field->digits = c;
        }
    }
}

/* --- entries --- */

static void finish_postings(struct matcher_build *b)
{
    struct peri_matcher *m = b->m;
    m->entry_count = b->entry_count;
    m->postings = want(b, b->pending_count, sizeof(*m->postings));
    (void)matcher_reserve(b, &m->entries, &b->entry_cap, &b->entry_count, 1, sizeof(*m->entries));
    if (b->nomem)
        return;
    for (uint32_t i = 0; i <= m->entry_count; i++)
        m->entries[i].posting = 0;
    for (uint32_t i = 0; i < b->pending_count; i++)
        m->entries[b->pending[i].entry].posting++;
    for (uint32_t i = 0, at = 0; i <= m->entry_count; i++) {
        at += m->entries[i].posting;
        m->entries[i].posting = at;
    }
    for (uint32_t i = b->pending_count; i-- > 0;)
        m->postings[--m->entries[b->pending[i].entry].posting] = b->pending[i].posting;
}

static uint64_t hash_of(const struct peri_matcher *m, const struct matcher_entry *e)
{
    const struct matcher_class *class = &m->classes[e->class];
    const char *key = m->text + e->key;
    uint64_t front, back = 0;
    if (class->kind == CLASS_AFFIX) {
        front = class->front ? matcher_hash_front(key, class->front) : 0;
        back = class->back ? matcher_hash_back(key + class->front, class->back) : 0;
    } else {
        front = matcher_hash_front(key, e->key_len);
    }
    return matcher_hash_join(front, back, e->class);
}

static void finish_table(struct matcher_build *b)
{
    struct peri_matcher *m = b->m;
    size_t size = 16;
    while (size < (size_t)m->entry_count * 3 / 2)
        size *= 2;
    m->slot_mask = (uint32_t)size - 1;
    m->slots = want(b, size, sizeof(*m->slots));
    uint32_t words = 0;
    for (uint32_t c = 0; c < m->class_count; c++) {
        struct matcher_class *class = &m->classes[c];
        if (class->kind == CLASS_LIST)
            continue;
        uint32_t mine = 1;
        while (mine < class->entries / 4 && mine < 1u << 20) /* 16 bits an entry */
            mine *= 2;
        class->bits_first = words;
        class->bits_mask = mine - 1;
        words += mine;
    }
    m->bits = want(b, words, sizeof(*m->bits));
    for (uint32_t i = 0; !b->nomem && i < m->entry_count; i++) {
        const struct matcher_entry *e = &m->entries[i];
        const struct matcher_class *class = &m->classes[e->class];
        if (class->kind == CLASS_LIST) {
            m->fields[class->field].list[class->front] = i;
            continue;
        }
        uint64_t hash = hash_of(m, e);
        size_t at = hash & m->slot_mask, bit = hash >> 8;
        while (m->slots[at].entry)
            at = (at + 1) & m->slot_mask;
        m->slots[at] = (struct matcher_slot){(uint32_t)(hash >> 32), i + 1};
        m->bits[class->bits_first + (bit >> 6 & class->bits_mask)] |= UINT64_C(1) << (bit & 63);
    }
    m->bytes += size * sizeof(*m->slots) + words * sizeof(*m->bits);
}

static void finish_absent(struct matcher_build *b)
{
    struct peri_matcher *m = b->m;
    for (uint32_t f = 0; f < m->field_count && !b->nomem; f++) {
        if (m->fields[f].list[LIST_ABSENT] == MATCHER_NONE)
            continue;
        uint32_t at = matcher_reserve(b, &m->absent, &b->absent_cap, &b->absent_count, 1, sizeof(*m->absent));
        if (at != MATCHER_NONE)
            m->absent[at] = b->fields[f].path;
    }
    m->absent_count = b->absent_count;
}

/* --- ranges --- */

static int by_field(const void *a, const void *b)
{
    const struct matcher_pending_range *x = a, *y = b;
    return x->field < y->field ? -1 : x->field > y->field;
}

static void finish_ranges(struct matcher_build *b)
{
    struct peri_matcher *m = b->m;
    m->range_count = b->range_count;
    m->ranges = want(b, b->range_count, sizeof(*m->ranges));
    m->cells = want(b, 2 * (size_t)b->range_count, sizeof(*m->cells));
    if (b->nomem || !b->range_count)
        return;
    uint32_t cells = 0;
    qsort(b->ranges, b->range_count, sizeof(*b->ranges), by_field);
    for (uint32_t i = 0, first = 0; i < b->range_count; i++) {
        m->ranges[i] = b->ranges[i].range;
        if (i + 1 < b->range_count && b->ranges[i + 1].field == b->ranges[i].field)
            continue;
        struct matcher_field *field = &m->fields[b->ranges[i].field];
        field->range_first = first;
        field->range_count = i + 1 - first;
        matcher_ranges_sort(&m->ranges[first], field->range_count);
        field->grid.first = cells;
        cells += (uint32_t)matcher_grid_set(&field->grid, &m->ranges[first], field->range_count, m->cells + cells);
        first = i + 1;
    }
    b->cell_count = cells;
}

/* --- sizes --- */

static void cut(struct peri_matcher *m, void *items, size_t count, size_t size)
{
    void *old, *smaller;
    memcpy(&old, items, sizeof(old));
    m->bytes += count * size;
    smaller = old ? realloc(old, (count ? count : 1) * size) : NULL;
    if (smaller)
        memcpy(items, &smaller, sizeof(smaller));
}

static void cut_all(struct matcher_build *b)
{
    struct peri_matcher *m = b->m;
    m->regex_count = b->regex_count;
    cut(m, &m->paths, b->path_count, sizeof(*m->paths));
    cut(m, &m->keys, b->path_count, sizeof(*m->keys));
    cut(m, &m->fields, m->field_count, sizeof(*m->fields));
    cut(m, &m->classes, b->class_count, sizeof(*m->classes));
    cut(m, &m->entries, m->entry_count + 1, sizeof(*m->entries));
    cut(m, &m->postings, b->pending_count, sizeof(*m->postings));
    cut(m, &m->ranges, m->range_count, sizeof(*m->ranges));
    cut(m, &m->cells, b->cell_count, sizeof(*m->cells));
    cut(m, &m->tests, b->test_count, sizeof(*m->tests));
    cut(m, &m->parts, b->part_count, sizeof(*m->parts));
    cut(m, &m->leaves, b->leaf_count, sizeof(*m->leaves));
    cut(m, &m->members, b->member_count, sizeof(*m->members));
    cut(m, &m->ors, b->or_count, sizeof(*m->ors));
    cut(m, &m->objects, b->object_count, sizeof(*m->objects));
    cut(m, &m->patterns, m->pattern_count, sizeof(*m->patterns));
    cut(m, &m->refs, b->ref_count, sizeof(*m->refs));
    cut(m, &m->doubles, b->double_count, sizeof(*m->doubles));
    cut(m, &m->text, b->text_count, 1);
    cut(m, &m->regexes, b->regex_count, sizeof(*m->regexes));
    cut(m, &m->absent, b->absent_count, sizeof(*m->absent));
    m->bytes += sizeof(*m);
}

void matcher_finish(struct matcher_build *b)
{
    finish_paths(b);
    if (!b->nomem)
        sort_classes(b);
    if (!b->nomem)
        finish_fields(b);
    if (!b->nomem)
        finish_postings(b);
    if (!b->nomem)
        finish_table(b);
    if (!b->nomem)
        finish_absent(b);
    if (!b->nomem)
        finish_ranges(b);
    if (!b->nomem)
        cut_all(b);
}
