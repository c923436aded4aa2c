/* SPDX-License-Identifier: Apache-2.0 */
/* From a value of the event to the patterns it may satisfy. Keys of one length and kind are a class; all classes of all
 * fields share one table. For a text each class of its field is one look-up: the whole text, its first 3 bytes, its
 * last 12, and so on; there are as many classes as there are different lengths, not as many as there are patterns. */
#include "lang/matcher_internal.h"

#include <string.h>

#include "base/vec.h"
#include "lang/matcher_hash.h"

static void found(struct peri_matcher_scratch *r, struct matcher_scalar *scalar, struct matcher_posting posting)
{
    const struct matcher_pattern *pattern = &r->m->patterns[posting.pattern];
    if (r->marks[posting.pattern] == r->stamp)
        return;
    if (posting.test != MATCHER_NONE && !matcher_test_holds(r, posting.test, scalar))
        return;
    if (pattern->object == MATCHER_NONE) {
        r->marks[posting.pattern] = r->stamp;
        r->hits[r->hit_count++] = posting.pattern;
        return;
    }
    if (!pattern->anchored) /* one value is as good as another */
        r->marks[posting.pattern] = r->stamp;
    if (r->candidate_count == r->candidate_cap &&
        !peri_vec_grow(&r->candidates, &r->candidate_cap, r->candidate_count + 1, sizeof(*r->candidates))) {
        r->nomem = true;
        return;
    }
    r->candidates[r->candidate_count++] = (struct matcher_candidate){posting.pattern, (uint32_t)r->item_count - 1};
}

static void found_entry(struct peri_matcher_scratch *r, uint32_t entry, struct matcher_scalar *scalar)
{
    if (entry == MATCHER_NONE)
        return;
    const struct matcher_entry *e = &r->m->entries[entry];
    for (uint32_t i = e[0].posting; i < e[1].posting; i++)
        found(r, scalar, r->m->postings[i]);
}

uint32_t matcher_entry_find(
    const struct peri_matcher *m, uint32_t class, uint64_t hash, struct pattern_slice front, struct pattern_slice back)
{
    uint32_t tag = (uint32_t)(hash >> 32);
    for (size_t at = hash & m->slot_mask; m->slots[at].entry; at = (at + 1) & m->slot_mask) {
        if (m->slots[at].tag != tag)
            continue;
        const struct matcher_entry *e = &m->entries[m->slots[at].entry - 1];
        const char *key = m->text + e->key;
        if (e->class == class && e->key_len == front.len + back.len && memcmp(key, front.s, front.len) == 0 &&
            memcmp(key + front.len, back.s, back.len) == 0)
            return m->slots[at].entry - 1;
    }
    return MATCHER_NONE;
}

/* Most values are in no entry: one bit says so, and unlike the next free slot it is nearly always the same. */
static inline bool may_have(const struct peri_matcher *m, const struct matcher_class *class, uint64_t hash)
{
    size_t bit = hash >> 8;
    return m->bits[class->bits_first + (bit >> 6 & class->bits_mask)] >> (bit & 63) & 1;
}

static inline void look_up(struct peri_matcher_scratch *r, uint32_t class, uint64_t hash, struct pattern_slice front,
    struct pattern_slice back, struct matcher_scalar *scalar)
{
    if (may_have(r->m, &r->m->classes[class], hash))
        found_entry(r, matcher_entry_find(r->m, class, hash, front, back), scalar);
}

static void find_grams(
    struct peri_matcher_scratch *r, uint32_t id, struct pattern_slice s, struct matcher_scalar *scalar)
{
    const struct matcher_class *class = &r->m->classes[id];
    for (size_t i = 0; i + class->front <= s.len; i++) {
        struct pattern_slice gram = {s.s + i, class->front};
        look_up(r, id, matcher_hash_join(matcher_hash_front(gram.s, gram.len), 0, id), gram,
            (struct pattern_slice){s.s, 0}, scalar);
    }
}

/* Those of affixes are sorted by front, then back: where one ended, the next goes on. */
static void find_parts(
    struct peri_matcher_scratch *r, uint32_t first, uint32_t end, struct pattern_slice s, struct matcher_scalar *scalar)
{
    struct matcher_hashed front = {MATCHER_HASH_START, 0}, back = front;
    for (uint32_t id = first; id < end; id++) {
        const struct matcher_class *class = &r->m->classes[id];
        if (class->kind == CLASS_AFFIX && class->front + class->back <= s.len) {
            uint64_t front_hash = class->front ? matcher_hash_more_front(&front, s.s, class->front) : 0,
                     back_hash = class->back ? matcher_hash_more_back(&back, s.s + s.len, class->back) : 0;
            look_up(r, id, matcher_hash_join(front_hash, back_hash, id), (struct pattern_slice){s.s, class->front},
                (struct pattern_slice){s.s + s.len - class->back, class->back}, scalar);
        } else if (class->kind == CLASS_GRAM) {
            find_grams(r, id, s, scalar);
        }
    }
}

/* All classes from first to end for a text. That of whole texts is the first one. */
static void find_text(
    struct peri_matcher_scratch *r, uint32_t first, uint32_t end, struct pattern_slice s, struct matcher_scalar *scalar)
{
    if (first < end && r->m->classes[first].kind == CLASS_EXACT) {
        uint64_t hash = matcher_hash_join(matcher_hash_front(s.s, s.len), 0, first);
        look_up(r, first++, hash, s, (struct pattern_slice){s.s, 0}, scalar);
    }
    if (first < end)
        find_parts(r, first, end, s, scalar);
}

static void find_address(
    struct peri_matcher_scratch *r, const struct matcher_field *field, struct matcher_scalar *scalar)
{
    unsigned char address[16], key[16];
    size_t size = matcher_scalar_address(scalar, address);
    for (uint32_t id = field->cidr_first; size && id < field->cidr_end; id++) {
        const struct matcher_class *class = &r->m->classes[id];
        if ((class->kind == CLASS_CIDR4) != (size == 4))
            continue;
        size_t whole = class->front / 8, rest = class->front % 8;
        memcpy(key, address, whole + (rest != 0));
        if (rest)
            key[whole++] &= (unsigned char)(0xff00 >> rest);
        struct pattern_slice front = {(const char *)key, whole}, none = {(const char *)key, 0};
        look_up(r, id, matcher_hash_join(matcher_hash_front(front.s, front.len), 0, id), front, none, scalar);
    }
}

static void find_number(
    struct peri_matcher_scratch *r, const struct matcher_field *field, struct matcher_scalar *scalar)
{
    if (field->number == MATCHER_NONE && field->digits == MATCHER_NONE) {
        const struct matcher_range *ranges = &r->m->ranges[field->range_first];
        if (!field->range_count || (!scalar->has_number && matcher_number_outside(scalar->s, scalar->len, ranges[0].low,
                                                               ranges[field->range_count / 2].top, &scalar->number)))
            return;
        scalar->has_number = true;
    }
    const struct pattern_number *n = matcher_scalar_number(scalar);
    if (n->fits && field->number != MATCHER_NONE) {
        char key[8];
        double value = n->value == 0 ? 0 : n->value;
        memcpy(key, &value, 8);
        struct pattern_slice front = {key, 8}, none = {key, 0};
        look_up(r, field->number, matcher_hash_join(matcher_hash_front(key, 8), 0, field->number), front, none, scalar);
    }
    if (n->fits && field->range_count)
        matcher_ranges_find(&field->grid, r->m->cells + field->grid.first, &r->m->ranges[field->range_first],
            field->range_count, n->value, found, r, scalar);
    if (!n->fits && field->digits != MATCHER_NONE) {
        struct pattern_slice front = {scalar->s, scalar->len}, none = {scalar->s, 0};
        look_up(r, field->digits, matcher_hash_join(matcher_hash_front(front.s, front.len), 0, field->digits), front,
            none, scalar);
    }
}

void matcher_find(struct peri_matcher_scratch *r, const struct matcher_field *field, struct matcher_scalar *scalar)
{
    found_entry(r, field->list[LIST_ANY], scalar);
    switch (scalar->kind) {
    case PERI_JSON_NULL:
        found_entry(r, field->list[LIST_NULL], scalar);
        break;
    case PERI_JSON_TRUE:
        found_entry(r, field->list[LIST_TRUE], scalar);
        break;
    case PERI_JSON_FALSE:
        found_entry(r, field->list[LIST_FALSE], scalar);
        break;
    case PERI_JSON_NUMBER:
        find_number(r, field, scalar);
        break;
    default:
        found_entry(r, field->list[LIST_TEXT], scalar);
        find_text(r, field->class_first, field->fold_first, (struct pattern_slice){scalar->s, scalar->len}, scalar);
        if (field->fold_first < field->class_end && matcher_scalar_fold(r, scalar))
            find_text(r, field->fold_first, field->class_end,
                (struct pattern_slice){scalar->folded, scalar->folded_len}, scalar);
        if (field->cidr_first < field->cidr_end)
            find_address(r, field, scalar);
    }
}

/* A leaf with {exists: false} may hold without any value. In an event with arrays it may hold in one element and have
 * values in another, so there all such patterns are candidates. */
void matcher_find_absent(struct peri_matcher_scratch *r)
{
    const struct peri_matcher *m = r->m;
    for (uint32_t i = 0; i < m->absent_count; i++) {
        uint32_t path = m->absent[i];
        const struct matcher_slots *slot = &r->slots[path];
        bool there = slot->stamp == r->stamp && r->items[slot->item].kind > PERI_JSON_ARRAY;
        if (!r->plain || !there)
            found_entry(r, m->fields[m->paths[path].field].list[LIST_ABSENT], NULL);
    }
}
