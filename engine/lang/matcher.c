/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/matcher_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

void peri_matcher_destroy(struct peri_matcher *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; i < m->regex_count; i++)
        peri_regex_destroy(m->regexes[i]);
    void *const all[] = {m->paths, m->keys, m->fields, m->classes, m->entries, m->slots, m->postings, m->ranges,
        m->cells, m->bits, m->tests, m->parts, m->leaves, m->members, m->ors, m->objects, m->patterns, m->refs,
        m->doubles, m->text, m->regexes, m->absent, m};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        free(all[i]);
}

size_t peri_matcher_count(const struct peri_matcher *matcher)
{
    return matcher->pattern_count;
}

size_t peri_matcher_bytes(const struct peri_matcher *matcher)
{
    return matcher->bytes;
}

struct peri_matcher_scratch *peri_matcher_scratch_create(void)
{
    return calloc(1, sizeof(struct peri_matcher_scratch));
}

void peri_matcher_scratch_destroy(struct peri_matcher_scratch *r)
{
    if (!r)
        return;
    matcher_scan_finish(&r->scan);
    peri_json_tape_finish(&r->tape);
    free(r->slots);
    free(r->marks);
    free(r->items);
    free(r->hits);
    free(r->candidates);
    free(r->skips);
    free(r->stack);
    free(r->decoded);
    free(r->folded);
    free(r);
}

/* Stamps of earlier events, and of events for other matchers, are lower than the new one. */
static bool begin(struct peri_matcher_scratch *r, const struct peri_matcher *m)
{
    size_t need = m->pattern_count + 1;
    r->m = m;
    if (r->slot_cap < m->path_count || r->skip_cap < need) { /* the last of them is the last to grow */
        if (!peri_vec_grow(&r->slots, &r->slot_cap, m->path_count, sizeof(*r->slots)) ||
            !peri_vec_grow(&r->marks, &r->mark_cap, need, sizeof(*r->marks)) ||
            !peri_vec_grow(&r->hits, &r->hit_cap, need, sizeof(*r->hits)) ||
            !peri_vec_grow(&r->skips, &r->skip_cap, need, sizeof(*r->skips)))
            return false;
    }
    if (++r->stamp == 0) {
        memset(r->slots, 0, r->slot_cap * sizeof(*r->slots));
        memset(r->marks, 0, r->mark_cap * sizeof(*r->marks));
        memset(r->skips, 0, r->skip_cap * sizeof(*r->skips));
        r->stamp = 1;
    }
    r->item_count = r->hit_count = r->candidate_count = r->stack_len = 0;
    r->plain = true;
    r->repeated = false;
    r->nomem = false;
    return true;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void sort(uint32_t *hits, size_t count)
{
    if (count > 32) {
        qsort(hits, count, sizeof(*hits), by_number);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        uint32_t hit = hits[i];
        size_t k = i;
        for (; k > 0 && hits[k - 1] > hit; k--)
            hits[k] = hits[k - 1];
        hits[k] = hit;
    }
}

static void match(struct peri_matcher_scratch *r)
{
    if (r->m->absent_count)
        matcher_find_absent(r);
    for (size_t i = 0; i < r->candidate_count && !r->nomem; i++) {
        uint32_t pattern = r->candidates[i].pattern;
        bool anchored = r->m->patterns[pattern].anchored; /* then it may be a candidate several times */
        if ((anchored && r->marks[pattern] == r->stamp) || !matcher_verify(r, r->candidates[i]))
            continue;
        r->marks[pattern] = r->stamp;
        r->hits[r->hit_count++] = pattern;
    }
}

enum peri_status peri_matcher_match(const struct peri_matcher *m, struct peri_matcher_scratch *r, const char *json,
    size_t len, uint32_t *hits, size_t cap, size_t *ret_count, struct peri_error *err)
{
    if (!begin(r, m))
        return peri_error_nomem(err);
    enum matcher_scan_result scanned = len <= MATCHER_SCAN_MAX ? matcher_scan(&r->scan, json, len) : MATCHER_SCAN_OTHER;
    if (scanned == MATCHER_SCAN_OK) {
        matcher_pick(r);
        match(r);
    } else if (scanned == MATCHER_SCAN_NOMEM) {
        return peri_error_nomem(err);
    } else {
        enum peri_status st = peri_json_scan(json, len, &r->tape, err);
        if (st != PERI_OK)
            return st;
        if (r->tape.items[0].kind == PERI_JSON_OBJECT) {
            matcher_pick_tape(r);
            match(r);
        }
    }
    if (r->nomem)
        return peri_error_nomem(err);
    sort(r->hits, r->hit_count);
    if (cap && r->hit_count)
        memcpy(hits, r->hits, (r->hit_count < cap ? r->hit_count : cap) * sizeof(*hits));
    *ret_count = r->hit_count;
    return PERI_OK;
}
