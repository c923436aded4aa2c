/* SPDX-License-Identifier: Apache-2.0 */
#include "run/result.h"

#include "base/str.h"

/* Defaults where the rule says nothing (or says zero). */
#define INITIAL_MS 1000
#define MAXIMUM_MS (300 * 1000LL)
#define COEFFICIENT 2.0
#define ATTEMPTS 8

int64_t peri_result_backoff(const struct peri_retry *retry, int tries, uint32_t random)
{
    double initial = retry->initial_ms > 0 ? (double)retry->initial_ms : INITIAL_MS;
    double maximum = retry->maximum_ms > 0 ? (double)retry->maximum_ms : (double)MAXIMUM_MS;
    double coefficient = retry->coefficient >= 1.0 ? retry->coefficient : COEFFICIENT;
    double cap = initial;
    for (int i = 1; i < tries && cap < maximum; i++)
        cap *= coefficient;
    if (cap > maximum)
        cap = maximum;
    return (int64_t)(cap * ((double)random / (double)UINT32_MAX));
}

static bool listed(const struct peri_retry *retry, const char *code)
{
    for (size_t i = 0; i < retry->non_retryable_count; i++)
        if (peri_streq(retry->non_retryable[i], code))
            return true;
    return false;
}

enum peri_after peri_result_after(const struct peri_attempt_facts *facts, int64_t *ret_delay_ms)
{
    const struct peri_error *error = facts->error;
    int attempts = facts->retry->maximum_attempts > 0 ? facts->retry->maximum_attempts : ATTEMPTS;
    *ret_delay_ms = 0;
    /* Whatever else is said: what may have arrived and is not declared repeatable is never sent twice. Where the
     * provider can be asked, the next attempt begins with that. */
    bool asks = facts->delivery == PERI_DELIVERY_LOOKUP;
    if (error->outcome_unknown && facts->delivery != PERI_DELIVERY_REPEAT && !asks)
        return PERI_AFTER_UNKNOWN;
    if (!error->retryable && !error->outcome_unknown)
        return PERI_AFTER_FAIL;
    bool not_made = error->status == PERI_ESTATE || error->status == PERI_ENOTFOUND; /* so nobody was asked */
    bool open = error->outcome_unknown || (facts->doubt && not_made);
    enum peri_after last = asks && open ? PERI_AFTER_UNKNOWN : PERI_AFTER_FAIL;
    if (facts->tries >= attempts || listed(facts->retry, error->code))
        return last;
    int64_t delay = peri_result_backoff(facts->retry, facts->tries, facts->random);
    int64_t asked = error->retry_after_ms;
    if (asked > PERI_RETRY_AFTER_MAX_MS)
        asked = PERI_RETRY_AFTER_MAX_MS;
    if (delay < asked)
        delay = asked;
    if (last == PERI_AFTER_UNKNOWN && delay < PERI_LOOKUP_MIN_MS)
        delay = PERI_LOOKUP_MIN_MS;
    if (facts->now_ms + delay - facts->first_ms > PERI_RETRY_WINDOW_MS)
        return last;
    *ret_delay_ms = delay;
    return PERI_AFTER_RETRY;
}

enum peri_after peri_result_interrupted(enum peri_delivery delivery)
{
    return delivery == PERI_DELIVERY_REPEAT || delivery == PERI_DELIVERY_LOOKUP ? PERI_AFTER_RETRY : PERI_AFTER_UNKNOWN;
}
