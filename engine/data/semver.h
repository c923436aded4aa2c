/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_SEMVER_H
#define PERI_DATA_SEMVER_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

/* Semantic Versioning 2.0.0, strict: three numbers up to 2^53-1 without leading zeros, then perhaps a pre-release and
 * build metadata. */
bool peri_semver_ok(const char *version);
/* <0, 0, >0. Build metadata counts for nothing. Both must be well formed. */
int peri_semver_compare(const char *a, const char *b);

/* A set of versions: alternatives separated by "||", each a list of comparators separated by blanks, all of which must
 * hold. A comparator is an operator (^ ~ < <= > >= = or none) and a version that may end early (1, 1.2) or with x, X or
 * * (1.x); "1.2 - 2" is a span with both ends. "*" and the empty text are every version. A pre-release is in the set
 * only when some comparator of its alternative names a pre-release of the same three numbers. */
struct peri_range;

/* PERI_EINVAL with code "bad-range" says what is wrong. At most 512 bytes. */
enum peri_status peri_range_parse(const char *text, struct peri_range **ret, struct peri_error *err) PERI_MUST_CHECK;
void peri_range_destroy(struct peri_range *range);
/* False also for a malformed version. */
bool peri_range_has(const struct peri_range *range, const char *version);
/* As it was written. borrow */
const char *peri_range_text(const struct peri_range *range);

#endif
