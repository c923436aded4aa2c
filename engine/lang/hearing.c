/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/hearing.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/str.h"
#include "data/json.h"

#define TEXT_MAX (64u << 20)

bool peri_hearing_asks(const struct peri_trigger *trigger)
{
    return trigger->kind == PERI_TRIGGER_EVENT && trigger->match && trigger->for_ms == 0;
}

static void unshare(struct peri_hearing *h)
{
    if (h->shared && atomic_fetch_sub(h->shared, 1) == 1) {
        peri_matcher_destroy(h->matcher);
        free(h->shared);
    }
}

struct peri_hearing *peri_hearing_ref(struct peri_hearing *hearing)
{
    if (hearing)
        atomic_fetch_add(&hearing->refs, 1);
    return hearing;
}

void peri_hearing_unref(struct peri_hearing *h)
{
    if (!h || atomic_fetch_sub(&h->refs, 1) != 1)
        return;
    for (size_t i = 0; i < h->count; i++)
        peri_rule_unref((struct peri_rule *)(uintptr_t)h->hits[i].rule);
    unshare(h);
    free(h->type);
    free(h->hits);
    free(h->asked);
    free(h->always);
    free(h->text);
    free(h);
}

/* The hits of one rule stand side by side. */
static enum peri_status describe(struct peri_hearing *h, struct peri_error *err)
{
    struct peri_buf out;
    const struct peri_rule *last = NULL;
    peri_buf_init(&out, TEXT_MAX);
    (void)peri_buf_putc(&out, '[');
    for (size_t i = 0; i < h->count; i++) {
        const struct peri_rule *rule = h->hits[i].rule;
        if (rule == last)
            continue;
        (void)peri_buf_puts(&out, last ? ",[" : "[");
        (void)peri_json_write_string(&out, rule->id, strlen(rule->id));
        (void)peri_buf_printf(&out, ",\"%s\"]", rule->hash);
        last = rule;
        h->rules++;
    }
    (void)peri_buf_putc(&out, ']');
    h->text = peri_buf_take(&out, NULL);
    peri_buf_finish(&out);
    if (!h->text)
        return peri_error_nomem(err);
    peri_sha256_hex(h->text, strlen(h->text), h->hash);
    return PERI_OK;
}

static enum peri_status compile(struct peri_hearing *h, const struct peri_hearing *like, struct peri_error *err)
{
    if (like && like->shared && strcmp(like->hash, h->hash) == 0) {
        h->matcher = like->matcher;
        h->shared = like->shared;
        atomic_fetch_add(h->shared, 1);
        return PERI_OK;
    }
    const struct peri_pattern **patterns = calloc(h->asked_count + 1, sizeof(*patterns));
    h->shared = malloc(sizeof(*h->shared));
    if (!patterns || !h->shared) {
        free(patterns);
        free(h->shared);
        h->shared = NULL;
        return peri_error_nomem(err);
    }
    atomic_init(h->shared, 1);
    for (size_t i = 0; i < h->asked_count; i++)
        patterns[i] = h->hits[h->asked[i]].trigger->match;
    enum peri_status st = peri_matcher_build(patterns, h->asked_count, &h->matcher, err);
    free(patterns);
    return st;
}

static bool take_hits(struct peri_hearing *h, const struct peri_index *index)
{
    h->count = peri_index_lookup(index, h->type, NULL, 0);
    h->hits = calloc(h->count + 1, sizeof(*h->hits));
    h->asked = calloc(h->count + 1, sizeof(*h->asked));
    h->always = calloc(h->count + 1, sizeof(*h->always));
    if (!h->hits || !h->asked || !h->always) {
        h->count = 0;
        return false;
    }
    (void)peri_index_lookup(index, h->type, h->hits, h->count);
    for (size_t i = 0; i < h->count; i++) {
        peri_rule_ref((struct peri_rule *)(uintptr_t)h->hits[i].rule);
        if (peri_hearing_asks(h->hits[i].trigger))
            h->asked[h->asked_count++] = (uint32_t)i;
        else
            h->always[h->always_count++] = (uint32_t)i;
    }
    return true;
}

enum peri_status peri_hearing_build(const struct peri_index *index, const char *type, const struct peri_hearing *like,
    struct peri_hearing **ret, struct peri_error *err)
{
    struct peri_hearing *h = calloc(1, sizeof(*h));
    if (!h)
        return peri_error_nomem(err);
    atomic_init(&h->refs, 1);
    h->type = peri_strdup(type);
    enum peri_status st = h->type && take_hits(h, index) ? describe(h, err) : peri_error_nomem(err);
    if (st == PERI_OK)
        st = compile(h, like, err);
    if (st != PERI_OK)
        peri_hearing_unref(h);
    else
        *ret = h;
    return st;
}

enum peri_status peri_hearing_match(const struct peri_hearing *h, struct peri_matcher_scratch *scratch,
    const char *json, size_t len, uint32_t *ret, size_t *ret_count, struct peri_error *err)
{
    size_t matched = 0, room = h->always_count;
    uint32_t *found = ret + room; /* behind where it is merged to */
    enum peri_status st = peri_matcher_match(h->matcher, scratch, json, len, found, h->asked_count, &matched, err);
    if (st != PERI_OK)
        return st;
    size_t a = 0, m = 0, n = 0;
    while (a < h->always_count || m < matched) {
        uint32_t hit = m < matched ? h->asked[found[m]] : UINT32_MAX;
        if (a < h->always_count && h->always[a] < hit)
            ret[n++] = h->always[a++];
        else
            ret[n++] = h->asked[found[m++]];
    }
    *ret_count = n;
    return PERI_OK;
}
