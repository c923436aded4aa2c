/* SPDX-License-Identifier: Apache-2.0 */
/* Renewing ahead: while a loaded plugin uses an account, its token is renewed at about four fifths of its life, so that
 * a call after a long rest finds a good one, and trouble is told while there is time to mend it. Without such an
 * account there is no timer. */
#include "io/accounts_internal.h"

#include "base/id.h"
#include "base/timefmt.h"

#define LIFE_MIN_MS 60000 /* shorter tokens are renewed when they are used */
#define LOOK_MS 3600000   /* the wall clock may be set, and a plugin may have gone */
#define RETRY_MIN_MS 10000
#define RETRY_MAX_MS 600000
#define FAILURES_TOLD 2 /* in a row: once may be chance */

/* 0 up to most. */
static int64_t chance(int64_t most)
{
    uint32_t n = 0;
    if (most <= 0 || peri_random(&n, sizeof(n)))
        return 0;
    return (int64_t)((double)most * n / UINT32_MAX);
}

static bool wanted(const struct account *a)
{
    const struct account_record *r = &a->record;
    const struct peri_accounts_options *o = &a->accounts->options;
    return o->used && !o->as_is && !o->pretend && a->provider && r->access && r->refresh && !r->attention &&
           r->expires_ms && r->life_ms >= LIFE_MIN_MS && o->used(o->used_ctx, a->name);
}

/* Before it counts as old, whatever its life: between 75 and 80 % of it, earlier when it lives for minutes. */
static int64_t first_try(const struct account *a)
{
    int64_t life = a->record.life_ms, old = account_early_ms(&a->record), ahead = life / 5;
    if (ahead < old + old / 4)
        ahead = old + old / 4;
    return a->record.expires_ms - ahead - chance(life / 20);
}

static void set_due(struct account *a, int64_t due_ms)
{
    pthread_mutex_lock(&a->accounts->lock);
    a->ahead_ms = due_ms;
    pthread_mutex_unlock(&a->accounts->lock);
}

static void look(void *arg);

static void arm(struct account *a)
{
    int64_t wait = a->ahead_ms - account_now(a->accounts);
    peri_timer_cancel(a->ahead);
    a->ahead = NULL;
    if (peri_loop_after(a->accounts->options.loop, wait < 0 ? 0 : wait < LOOK_MS ? wait : LOOK_MS, look, a, &a->ahead))
        a->ahead = NULL; /* it is renewed when it is used */
}

static void look(void *arg)
{
    struct account *a = arg;
    struct peri_error err = {0};
    a->ahead = NULL;
    if (!wanted(a)) {
        set_due(a, 0);
        return;
    }
    if (account_now(a->accounts) < a->ahead_ms) {
        arm(a);
        return;
    }
    if (a->renewal)
        return; /* its end plans anew */
    if (account_renewal_begin(a, &err))
        account_put_off(a, &err);
    else if (!a->renewal)
        account_ahead(a, true);
}

void account_ahead(struct account *a, bool anew)
{
    if (!wanted(a)) {
        account_ahead_stop(a);
        return;
    }
    if (a->ahead_ms && !anew) {
        if (!a->ahead)
            arm(a);
        return;
    }
    set_due(a, first_try(a));
    arm(a);
}

void account_ahead_stop(struct account *a)
{
    peri_timer_cancel(a->ahead);
    a->ahead = NULL;
    set_due(a, 0);
}

void account_ahead_failed(struct account *a, const struct peri_error *why)
{
    int64_t now = account_now(a->accounts), pause = (a->record.expires_ms - now) / 8;
    pthread_mutex_lock(&a->accounts->lock);
    if (!a->failures++)
        a->failing_ms = now;
    a->failing = *why;
    pthread_mutex_unlock(&a->accounts->lock);
    if (a->failures == FAILURES_TOLD)
        account_tell(a, "account.failing", why);
    if (!wanted(a))
        return;
    pause = pause < RETRY_MIN_MS ? RETRY_MIN_MS : pause > RETRY_MAX_MS ? RETRY_MAX_MS : pause;
    if (now >= a->record.expires_ms)
        pause = RETRY_MAX_MS;
    set_due(a, now + pause + chance(pause / 10));
    arm(a);
}

void account_ahead_done(struct account *a)
{
    if (a->failures >= FAILURES_TOLD)
        peri_info(a->accounts->options.log, "accounts", "the token of account %s could be renewed again", a->name);
    pthread_mutex_lock(&a->accounts->lock);
    a->failures = 0;
    a->failing_ms = 0;
    pthread_mutex_unlock(&a->accounts->lock);
    account_ahead(a, true);
}

void peri_accounts_look(struct peri_accounts *accounts)
{
    for (size_t i = 0; i < accounts->count; i++)
        account_ahead(accounts->items[i], false);
}
