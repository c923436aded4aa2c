/* SPDX-License-Identifier: Apache-2.0 */
/* What has become of each plugin, step by step: most states last for a moment, and one that lasts says nothing of how
 * it was reached. Kept by id, over versions, for as long as the host lives. */
#include <stdio.h>
#include <stdlib.h>

#include "plugin/host_internal.h"

#define STEPS_MAX 32 /* the newest */

struct step {
    const char *state; /* constant */
    int64_t at_ms;
    char version[32];
};

struct peri_life {
    struct step steps[STEPS_MAX];
    size_t count; /* over all time */
};

static struct peri_life *life_of(struct peri_host *host, const char *id, bool make)
{
    struct peri_life *life = host->lives ? peri_map_get(host->lives, id) : NULL;
    if (life || !make)
        return life;
    if (!host->lives)
        host->lives = peri_map_create();
    life = host->lives ? calloc(1, sizeof(*life)) : NULL;
    if (life && peri_map_set(host->lives, id, life, NULL))
        return life;
    free(life);
    return NULL;
}

void peri_life_step(const struct peri_plugin *p, const char *state)
{
    struct peri_life *life = p->host->closing ? NULL : life_of(p->host, p->id, true);
    if (!life)
        return;
    struct step *step = &life->steps[life->count++ % STEPS_MAX];
    step->state = state;
    step->at_ms = peri_clock_wall_ms(&p->host->options.clock);
    snprintf(step->version, sizeof(step->version), "%.31s", p->manifest ? p->manifest->version : "");
}

void peri_life_accounts(struct peri_host *host)
{
    if (host->options.accounts && !host->closing)
        peri_accounts_look(host->options.accounts);
}

void peri_plugin_to(struct peri_plugin *p, enum peri_plugin_state state)
{
    p->state = state;
    peri_life_step(p, peri_plugin_state_name(state));
    peri_life_accounts(p->host);
}

void peri_life_found(const struct peri_plugin *p)
{
    peri_life_step(p, "discovered");
    if (p->state != PERI_PLUGIN_FAILED)
        peri_life_step(p, "validated");
    if (p->state != PERI_PLUGIN_LOADING) /* its turn comes */
        peri_life_step(p, peri_plugin_state_name(p->state));
}

void peri_life_leaves(struct peri_plugin *p)
{
    peri_life_step(p, "unloading");
    p->leaving = true;
    peri_life_left(p);
}

void peri_life_left(struct peri_plugin *p)
{
    if (!p->leaving || p->job_count)
        return;
    p->leaving = false;
    peri_life_step(p, "unloaded");
}

enum peri_status peri_life_put(const struct peri_plugin *p, struct peri_value *v)
{
    const struct peri_life *life = life_of(p->host, p->id, false);
    struct peri_value *list = peri_value_list();
    enum peri_status st = list ? PERI_OK : PERI_ENOMEM;
    size_t count = life ? life->count : 0;
    for (size_t i = count > STEPS_MAX ? count - STEPS_MAX : 0; !st && i < count; i++) {
        const struct step *step = &life->steps[i % STEPS_MAX];
        struct peri_value *item = peri_value_map();
        st = item ? peri_map_put_text(item, "state", step->state) : PERI_ENOMEM;
        if (!st)
            st = peri_map_put_time(item, "at", step->at_ms);
        if (!st && step->version[0])
            st = peri_map_put_text(item, "version", step->version);
        if (st)
            peri_value_unref(item);
        else
            st = peri_list_push(list, item);
    }
    if (!st)
        return peri_map_put(v, "life", list);
    peri_value_unref(list);
    return st;
}

void peri_lives_finish(struct peri_host *host)
{
    peri_map_destroy(host->lives, free);
    host->lives = NULL;
}
