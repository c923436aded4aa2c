/* SPDX-License-Identifier: Apache-2.0 */
#include "app/reload.h"

#include <stdlib.h>

#include "app/workbench.h"
#include "base/vec.h"

#define SLICE_MS 4
#define PAUSE_MS 1

struct waiter {
    void (*done)(void *arg);
    void *arg;
    unsigned round; /* answered at the end of this one */
};

struct peri_reload {
    struct peri_service *s;
    struct peri_timer *timer;
    struct peri_diag findings; /* of the round under way */
    bool running, again;
    unsigned round;
    struct waiter *waiters;
    size_t count, cap;
};

struct peri_reload *peri_reload_create(struct peri_service *s)
{
    struct peri_reload *r = calloc(1, sizeof(*r));
    if (r)
        r->s = s;
    return r;
}

void peri_reload_destroy(struct peri_reload *r)
{
    if (!r)
        return;
    peri_timer_cancel(r->timer);
    if (r->running)
        peri_diag_finish(&r->findings);
    free(r->waiters);
    free(r);
}

/* Those of the round that has ended; new ones may come while they are told. */
static void answer(struct peri_reload *r)
{
    for (size_t i = 0; i < r->count;) {
        struct waiter waiter = r->waiters[i];
        if (waiter.round > r->round) {
            i++;
            continue;
        }
        r->waiters[i] = r->waiters[--r->count];
        waiter.done(waiter.arg);
    }
}

static void begin(struct peri_reload *r);

static void end(struct peri_reload *r, enum peri_status st)
{
    struct peri_service *s = r->s;
    if (!st)
        st = peri_rulebook_end(s->rulebook, &r->findings);
    peri_diag_finish(&s->findings);
    s->findings = r->findings;
    r->running = false;
    peri_service_rules_read(s, st);
    answer(r);
    if (r->again && !s->draining)
        begin(r);
}

static void slice(void *arg)
{
    struct peri_reload *r = arg;
    struct peri_service *s = r->s;
    struct peri_rule_env env = peri_rule_env_of(s->host, &s->tz, s->config->timezone);
    int64_t until = peri_clock_mono(&s->clock).ns + SLICE_MS * INT64_C(1000000);
    bool more = true;
    enum peri_status st = PERI_OK;
    peri_rule_env_locate(&env, s->config->latitude, s->config->longitude);
    r->timer = NULL;
    while (!st && more && peri_clock_mono(&s->clock).ns < until)
        st = peri_rulebook_step(s->rulebook, &env, &r->findings, &more);
    if (!st && more && peri_loop_after(s->loop, PAUSE_MS, slice, r, &r->timer) == PERI_OK)
        return;
    while (!st && more) /* no memory for a timer: all at once */
        st = peri_rulebook_step(s->rulebook, &env, &r->findings, &more);
    end(r, st);
}

static void begin(struct peri_reload *r)
{
    r->again = false;
    r->running = true;
    r->round++;
    peri_diag_init(&r->findings);
    peri_rulebook_begin(r->s->rulebook);
    if (peri_loop_after(r->s->loop, 0, slice, r, &r->timer) != PERI_OK)
        slice(r);
}

void peri_reload(struct peri_reload *r, void (*done)(void *arg), void *arg)
{
    if (done && peri_vec_grow(&r->waiters, &r->cap, r->count + 1, sizeof(*r->waiters)))
        r->waiters[r->count++] = (struct waiter){done, arg, r->round + 1};
    else if (done)
        done(arg);
    if (r->running)
        r->again = true;
    else
        begin(r);
}

/* --- settings --- */

static void log_mistakes(struct peri_service *s, const struct peri_diag *diag)
{
    for (size_t i = 0; i < diag->count; i++) {
        const struct peri_finding *f = &diag->items[i];
        peri_err(s->log, "config", "%s:%d:%d: %s [%s]", f->file, f->line, f->column, f->message, f->code);
    }
    peri_err(s->log, "config", "the settings are not changed");
}

bool peri_settings_reload(struct peri_service *s)
{
    struct peri_config fresh;
    struct peri_diag diag;
    bool changed = false;
    if (!s->config->file)
        return false;
    peri_diag_init(&diag);
    if (peri_config_load(&s->config->flags, &fresh, &diag)) {
        log_mistakes(s, &diag);
    } else {
        char *others = peri_config_adopt(s->config, &fresh, &changed);
        if (others)
            peri_warn(s->log, "config", "changes of %s count from the next start on", others);
        struct peri_error err;
        if (changed && peri_accounts_configure(s->accounts, s->config->accounts, &err))
            peri_err(s->log, "config", "the accounts are not changed: %s", err.message);
        if (changed)
            peri_info(s->log, "config", "settings of plugins, channels and accounts have changed");
        free(others);
    }
    peri_diag_finish(&diag);
    return changed;
}
