/* SPDX-License-Identifier: Apache-2.0 */
#include "app/forget.h"

#include <stdlib.h>

#include "app/rulebook.h"
#include "base/map.h"
#include "io/store_watch.h"

#define EVERY_MS 3600000
#define GONE_MS (INT64_C(30) * 86400000)

struct forget {
    struct peri_service *service;
    struct peri_map *rules; /* ids of those that are there, enabled or not */
    struct peri_gone gone;
    size_t count;
};

static bool there(void *ctx, const char *rule)
{
    return peri_map_get(ctx, rule) != NULL;
}

static enum peri_status forget_write(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct forget *f = arg;
    return peri_tx_forget_gone(tx, &f->gone, &f->count, err);
}

static void drop(struct forget *f)
{
    peri_map_destroy(f->rules, NULL);
    free(f);
}

static void forget_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct forget *f = arg;
    if (st && st != PERI_ECORRUPT) /* of damage the store has told */
        peri_warn(f->service->log, "retention", "%s", err->message);
    else if (!st && f->count > 0)
        peri_info(f->service->log, "retention", "what was kept for rules that are long gone is deleted: %zu triggers",
            f->count);
    drop(f);
}

void peri_forget_gone(struct peri_service *s)
{
    struct peri_clock clock = peri_clock_system();
    int64_t now = peri_clock_wall_ms(&clock);
    const struct peri_rule_list *rules = peri_rulebook_rules(s->rulebook);
    if (!s->ready || (s->forgot_ms && now >= s->forgot_ms && now - s->forgot_ms < EVERY_MS))
        return;
    struct forget *f = calloc(1, sizeof(*f));
    if (!f || !(f->rules = peri_map_create())) {
        free(f);
        return;
    }
    f->service = s;
    f->gone = (struct peri_gone){.there = there, .ctx = f->rules, .before_ms = now - GONE_MS};
    bool whole = true; /* half of the rules would make the other half look gone */
    for (size_t i = 0; whole && i < rules->count; i++)
        whole = peri_map_set(f->rules, rules->items[i]->id, f, NULL);
    if (!whole || peri_store_submit(s->store, 64, forget_write, forget_done, f) != PERI_OK) {
        drop(f);
        return;
    }
    s->forgot_ms = now;
}
