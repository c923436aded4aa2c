/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_RESULT_H
#define PERI_RUN_RESULT_H

#include "base/error.h"
#include "lang/rule.h"
#include "plugin/host.h"

/* What follows from an attempt that did not succeed. Pure: time and chance are arguments. */

#define PERI_RETRY_WINDOW_MS (24 * 3600 * 1000LL) /* no attempt starts later than this after the first */
#define PERI_RETRY_AFTER_MAX_MS (3600 * 1000LL)   /* a provider's Retry-After is honoured up to here */

#define PERI_LOOKUP_MIN_MS 2000 /* a call that is on its way has arrived before the provider is asked */

enum peri_after {
    PERI_AFTER_RETRY,  /* again, with the same key and body, after delay_ms */
    PERI_AFTER_FAIL,   /* final */
    PERI_AFTER_UNKNOWN /* it may have arrived and must not be sent again: a person decides */
};

struct peri_attempt_facts {
    const struct peri_retry *retry;
    const struct peri_error *error;
    enum peri_delivery delivery;
    bool doubt;       /* this or an earlier attempt may have arrived */
    int tries;        /* attempts that count, this one included */
    int64_t first_ms; /* start of the first one; like now_ms in durable ms */
    int64_t now_ms;
    uint32_t random; /* for the jitter */
};

enum peri_after peri_result_after(const struct peri_attempt_facts *facts, int64_t *ret_delay_ms);
/* An attempt was open when the process died: repeat it, or ask a person. */
enum peri_after peri_result_interrupted(enum peri_delivery delivery);
/* Full jitter: between 0 and min(maximum, initial * coefficient^(tries - 1)). */
int64_t peri_result_backoff(const struct peri_retry *retry, int tries, uint32_t random);

#endif
