/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_GLOB_H
#define PERI_LANG_GLOB_H

#include <stdbool.h>
#include "base/error.h"

/* Event types are dotted segments of letters, digits, '_' and '-'. In a glob '*' is one whole segment and '**' any
 * number of segments, at least one, at the end also none: "comms.*" hears comms.CallMissed, "comms.**" also
 * comms.sms.Received and comms. A segment may hold '*' inside ("Call*"), for any run of characters. Matching takes
 * linear time. */
enum peri_status peri_event_type_check(const char *type, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_glob_check(const char *glob, struct peri_error *err) PERI_MUST_CHECK;
bool peri_glob_is_exact(const char *glob);
bool peri_glob_match(const char *glob, const char *type);

#endif
