/* SPDX-License-Identifier: Apache-2.0 */
/* Triggers by event type. Every trigger gets a rank, its place in the order that lookups answer in. Triggers are kept
 * in buckets, each sorted by rank: one for each exact type, one for the globs of each literal first segment, and one
 * for the globs that begin with a star. A type can only be heard by three buckets, which lookup merges by rank; so it
 * allocates nothing and looks at no trigger of another first segment. */
#include "lang/index.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "lang/glob.h"

struct entry {
    struct peri_index_hit hit;
    const char *event; /* borrowed from the trigger */
    size_t rank;
};

struct bucket {
    const char *key; /* borrowed from a trigger; not NUL-terminated */
    size_t key_len;
    bool exact;
    struct entry *items;
    size_t count, cap;
};

struct peri_index {
    struct peri_rule **rules;
    size_t rule_count;
    struct bucket *table; /* open addressing, a power of two */
    size_t mask;
    struct bucket open; /* globs that begin with a star */
};

static size_t hash(const char *key, size_t len, bool exact)
{
    size_t h = exact ? 14695981039346656037u : 14695981039346656037u ^ 0x5bd1e995u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)key[i]) * 1099511628211u;
    return h ^ h >> 29;
}

/* The bucket of a key, or the free slot where it belongs. */
static struct bucket *find(const struct peri_index *index, const char *key, size_t len, bool exact)
{
    size_t at = hash(key, len, exact) & index->mask;
    for (;; at = (at + 1) & index->mask) {
        struct bucket *b = &index->table[at];
        if (!b->key || (b->exact == exact && b->key_len == len && memcmp(b->key, key, len) == 0))
            return b;
    }
}

static bool add_type(struct peri_index *index, const struct entry *entry)
{
    const char *event = entry->event;
    bool exact = peri_glob_is_exact(event);
    size_t len = exact ? strlen(event) : strcspn(event, ".");
    struct bucket *b = &index->open;
    if (exact || !memchr(event, '*', len)) {
        b = find(index, event, len, exact);
        b->key = event;
        b->key_len = len;
        b->exact = exact;
    }
    if (!peri_vec_grow(&b->items, &b->cap, b->count + 1, sizeof(*b->items)))
        return false;
    b->items[b->count++] = *entry;
    return true;
}

static bool add(struct peri_index *index, const struct peri_rule *rule, const struct peri_trigger *trigger, size_t rank)
{
    const char *event;
    for (size_t i = 0; (event = peri_trigger_hears(trigger, i, NULL)) != NULL; i++)
        if (!add_type(index, &(struct entry){{rule, trigger}, event, rank}))
            return false;
    return true;
}

struct ordered {
    struct peri_rule *rule;
    size_t position;
};

static int by_priority(const void *a, const void *b)
{
    const struct ordered *x = a, *y = b;
    if (x->rule->priority != y->rule->priority)
        return x->rule->priority > y->rule->priority ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

/* Keeps the rules, or the enabled ones, referenced, in answering order. Returns how many types they hear, SIZE_MAX
 * without memory. */
static size_t keep_rules(struct peri_index *index, struct peri_rule *const *rules, size_t count, bool all)
{
    size_t triggers = 0;
    struct ordered *order = calloc(count + 1, sizeof(*order));
    index->rules = calloc(count + 1, sizeof(*index->rules));
    if (!order || !index->rules) {
        free(order);
        return SIZE_MAX;
    }
    for (size_t i = 0; i < count; i++)
        if (all || rules[i]->enabled)
            order[index->rule_count++] = (struct ordered){rules[i], i};
    qsort(order, index->rule_count, sizeof(*order), by_priority);
    for (size_t i = 0; i < index->rule_count; i++) {
        index->rules[i] = peri_rule_ref(order[i].rule);
        for (size_t t = 0; t < order[i].rule->trigger_count; t++)
            for (size_t k = 0; peri_trigger_hears(&order[i].rule->triggers[t], k, NULL); k++)
                triggers++;
    }
    free(order);
    return triggers;
}

static enum peri_status build(struct peri_rule *const *rules, size_t count, bool all, struct peri_index **ret)
{
    struct peri_index *index = calloc(1, sizeof(*index));
    if (!index)
        return PERI_ENOMEM;
    size_t triggers = keep_rules(index, rules, count, all), size = 16;
    if (triggers == SIZE_MAX)
        goto nomem;
    while (size < triggers * 2)
        size *= 2;
    index->table = calloc(size, sizeof(*index->table));
    if (!index->table)
        goto nomem;
    index->mask = size - 1;
    for (size_t i = 0, rank = 0; i < index->rule_count; i++)
        for (size_t t = 0; t < index->rules[i]->trigger_count; t++, rank++)
            if (!add(index, index->rules[i], &index->rules[i]->triggers[t], rank))
                goto nomem;
    *ret = index;
    return PERI_OK;
nomem:
    peri_index_destroy(index);
    return PERI_ENOMEM;
}

enum peri_status peri_index_build(struct peri_rule *const *rules, size_t count, struct peri_index **ret)
{
    return build(rules, count, false, ret);
}

enum peri_status peri_index_build_all(struct peri_rule *const *rules, size_t count, struct peri_index **ret)
{
    return build(rules, count, true, ret);
}

void peri_index_destroy(struct peri_index *index)
{
    if (!index)
        return;
    for (size_t i = 0; index->table && i <= index->mask; i++)
        free(index->table[i].items);
    free(index->table);
    free(index->open.items);
    for (size_t i = 0; i < index->rule_count; i++)
        peri_rule_unref(index->rules[i]);
    free(index->rules);
    free(index);
}

/* Up to most are looked for. */
static size_t look_up(
    const struct peri_index *index, const char *type, struct peri_index_hit *hits, size_t cap, size_t most)
{
    const struct bucket *buckets[] = {
        find(index, type, strlen(type), true), find(index, type, strcspn(type, "."), false), &index->open};
    size_t at[] = {0, 0, 0}, found = 0;
    const struct peri_trigger *last = NULL; /* a sequence may hear a type in several of its steps */
    while (found < most) {
        size_t best = 3;
        for (size_t b = 0; b < 3; b++)
            if (at[b] < buckets[b]->count &&
                (best == 3 || buckets[b]->items[at[b]].rank < buckets[best]->items[at[best]].rank))
                best = b;
        if (best == 3)
            return found;
        const struct entry *e = &buckets[best]->items[at[best]++];
        if (e->hit.trigger == last || (best != 0 && !peri_glob_match(e->event, type)))
            continue;
        last = e->hit.trigger;
        if (found < cap)
            hits[found] = e->hit;
        found++;
    }
    return found;
}

size_t peri_index_lookup(const struct peri_index *index, const char *type, struct peri_index_hit *hits, size_t cap)
{
    return look_up(index, type, hits, cap, SIZE_MAX);
}

size_t peri_index_few(const struct peri_index *index, const char *type, struct peri_index_hit *hits, size_t cap)
{
    return look_up(index, type, hits, cap, cap + 1);
}

bool peri_index_hears(const struct peri_index *index, const char *type)
{
    const struct bucket *globs[] = {find(index, type, strcspn(type, "."), false), &index->open};
    if (find(index, type, strlen(type), true)->count > 0)
        return true;
    for (size_t b = 0; b < 2; b++)
        for (size_t i = 0; i < globs[b]->count; i++)
            if (peri_glob_match(globs[b]->items[i].event, type))
                return true;
    return false;
}
