/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_ERROR_H
#define PERI_BASE_ERROR_H

#include <stdbool.h>
#include "base/status.h"

#define PERI_ERROR_CODE_MAX 64
#define PERI_ERROR_MESSAGE_MAX 1024

/* Human text of a failure. Lives where the caller put it (stack, struct); owns nothing. */
struct peri_error {
    enum peri_status status;
    char code[PERI_ERROR_CODE_MAX];       /* stable machine name, e.g. "limit.memory" */
    char message[PERI_ERROR_MESSAGE_MAX]; /* one sentence, cut at the cap on a character boundary */
    bool retryable;                       /* a later try may succeed */
    bool outcome_unknown;                 /* the effect may have happened all the same (lost answer, timeout) */
    long retry_after_ms;                  /* what the provider asked for, 0 when it said nothing */
};

/* Fills err (which may be NULL) and returns status, so that a failing path is one line. code may be NULL: the name of
 * the status is used. */
enum peri_status peri_error_set(struct peri_error *err, enum peri_status status, const char *code, const char *fmt, ...)
    PERI_PRINTF(4, 5);
/* Puts "prefix: " before the message that is there. */
void peri_error_prefix(struct peri_error *err, const char *fmt, ...) PERI_PRINTF(2, 3);
void peri_error_clear(struct peri_error *err);
/* The usual out-of-memory error. */
enum peri_status peri_error_nomem(struct peri_error *err);

#endif
