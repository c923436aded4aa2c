/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_QUIET_H
#define PERI_RUN_QUIET_H

#include "lang/tz.h"

/* Is now_ms inside the quiet hours that begin each day at minute `from` and end at minute `to` (which is on the next
 * day when it is not later)? Then *ret_end is the instant at which they end. They are intervals of instants: where the
 * clock is set back over an end, quiet lasts to the second pass; a time that is left out stands for the first instant
 * behind the gap. Pure. */
bool peri_quiet_now(const struct peri_tz *tz, int from, int to, int64_t now_ms, int64_t *ret_end);

#endif
