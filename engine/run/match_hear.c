/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "run/match_internal.h"

/* Event types that many rules hear have their patterns compiled together, when the first event of the type comes. What
 * is compiled stands in a table of fixed size, so that senders who make up types cannot fill the memory: a new type
 * takes the place of another only when it comes a second time. With other rules everything is compiled anew, but for
 * types whose rules are the same. */

#define SLOTS 1024
#define FEW 8 /* with fewer triggers each is asked by itself: then its verdict has its reason at once */

struct hear_slot {
    struct peri_hearing *hearing, *stale; /* stale: of the rules before */
    uint64_t seen;                        /* hash of the type that came last, 0: none */
    bool few;                             /* that type has few triggers */
};

struct match_hear {
    struct hear_slot slots[SLOTS];
    struct peri_matcher_scratch *scratch;
    uint32_t *numbers;
    size_t number_cap;
};

static uint64_t hash_of(const struct peri_pipeline *p, const char *type)
{
    uint64_t h = p->hear_seed;
    for (; *type; type++)
        h = (h ^ (unsigned char)*type) * 1099511628211u;
    h ^= h >> 32;
    return h ? h : 1;
}

static struct match_hear *table_of(struct peri_pipeline *p)
{
    if (p->hear)
        return p->hear;
    struct match_hear *hear = calloc(1, sizeof(*hear));
    if (hear && !(hear->scratch = peri_matcher_scratch_create())) {
        free(hear);
        hear = NULL;
    }
    p->hear_seed = ((uint64_t)pipe_random(p) << 32) | pipe_random(p);
    p->hear = hear;
    return hear;
}

static struct peri_hearing *compile(struct peri_pipeline *p, struct hear_slot *slot, const char *type)
{
    struct peri_error err = {0};
    struct peri_hearing *h = NULL;
    const struct peri_hearing *like = slot->stale && peri_streq(slot->stale->type, type) ? slot->stale : NULL;
    if (peri_hearing_build(p->index, type, like, &h, &err) != PERI_OK) {
        peri_warn(p->options.log, "match", "the patterns of %s could not be compiled together: %s", type, err.message);
        return NULL;
    }
    peri_hearing_unref(slot->hearing);
    peri_hearing_unref(slot->stale);
    slot->stale = NULL;
    slot->hearing = h;
    return h;
}

struct peri_hearing *match_hearing(struct peri_pipeline *p, const char *type)
{
    struct match_hear *hear = p->index ? table_of(p) : NULL;
    if (!hear)
        return NULL;
    uint64_t h = hash_of(p, type);
    struct hear_slot *slot = &hear->slots[h % SLOTS];
    if (slot->hearing && peri_streq(slot->hearing->type, type))
        return slot->hearing;
    bool again = slot->seen == h;
    struct peri_index_hit hits[FEW];
    if (again && slot->few)
        return NULL;
    slot->seen = h;
    slot->few = peri_index_few(p->index, type, hits, FEW) < FEW;
    return slot->few || (slot->hearing && !again) ? NULL : compile(p, slot, type);
}

struct peri_hearing *match_hearing_known(const struct peri_pipeline *p, const char *type)
{
    struct peri_hearing *hearing = p->hear ? p->hear->slots[hash_of(p, type) % SLOTS].hearing : NULL;
    return hearing && peri_streq(hearing->type, type) ? hearing : NULL;
}

enum peri_status match_hear(struct peri_pipeline *p, const struct peri_hearing *hearing, const struct peri_event *event,
    const uint32_t **ret, size_t *ret_count, struct peri_error *err)
{
    struct match_hear *hear = p->hear;
    if (!peri_vec_grow(&hear->numbers, &hear->number_cap, hearing->count + 1, sizeof(*hear->numbers)))
        return peri_error_nomem(err);
    *ret = hear->numbers;
    return peri_hearing_match(hearing, hear->scratch, event->data, event->data_len, hear->numbers, ret_count, err);
}

void match_hear_changed(struct peri_pipeline *p)
{
    for (size_t i = 0; p->hear && i < SLOTS; i++) {
        struct hear_slot *slot = &p->hear->slots[i];
        slot->seen = 0;
        slot->few = false;
        if (!slot->hearing)
            continue;
        peri_hearing_unref(slot->stale);
        slot->stale = slot->hearing;
        slot->hearing = NULL;
    }
}

void match_hear_finish(struct peri_pipeline *p)
{
    for (size_t i = 0; p->hear && i < SLOTS; i++) {
        peri_hearing_unref(p->hear->slots[i].hearing);
        peri_hearing_unref(p->hear->slots[i].stale);
    }
    if (p->hear) {
        peri_matcher_scratch_destroy(p->hear->scratch);
        free(p->hear->numbers);
    }
    free(p->hear);
    p->hear = NULL;
}
