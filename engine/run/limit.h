/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_LIMIT_H
#define PERI_RUN_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

/* "At most `limit` within `period`", for each bucket. Whoever may not go now is given the time at which it may, first
 * come, first served: a bucket remembers the times it has given, and the next one is at least a period behind the one
 * that is `limit` places back. Times are the caller's, and never go back. In memory only; pure. */
struct peri_limiter;

#define PERI_LIMIT_BUCKETS 10000 /* in memory; those whose times are all past go first */
#define PERI_LIMIT_WAITING 10000 /* in one bucket */
#define PERI_LIMIT_TIMES 1000000 /* in all */

struct peri_limiter *peri_limiter_create(void);
void peri_limiter_destroy(struct peri_limiter *l);
/* PERI_OK with the time that is reserved in *ret_at (now_ms: go). PERI_ELIMIT, "rate_limit.full": too much waits. */
enum peri_status peri_limiter_reserve(struct peri_limiter *l, const char *bucket, int64_t limit, int64_t period_ms,
    int64_t now_ms, int64_t *ret_at, struct peri_error *err) PERI_MUST_CHECK;
/* A time that was given before the start, in rising order for each bucket; keep: until when it counts. */
enum peri_status peri_limiter_restore(
    struct peri_limiter *l, const char *bucket, int64_t at, int64_t keep) PERI_MUST_CHECK;
size_t peri_limiter_buckets(const struct peri_limiter *l);

#endif
