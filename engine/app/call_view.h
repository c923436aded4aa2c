/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_CALL_VIEW_H
#define PERI_APP_CALL_VIEW_H

#include "plugin/host.h"

/* {"ok": true, "result": ..., "usage": {...}} or {"ok": false, "error": {code, message, retryable}, "usage": ...}. The
 * result of a condition is {"holds": bool, "compared": ...}. New reference; NULL when memory is out. */
struct peri_value *peri_call_value(const struct peri_call_result *result);
struct peri_value *peri_error_value(const struct peri_error *err);
/* The event that a call by hand sees: given is a payload, or a CloudEvent (it has "specversion") with its attributes.
 */
enum peri_status peri_call_event(
    const struct peri_value *given, int64_t now, struct peri_event **ret, struct peri_error *err) PERI_MUST_CHECK;

#endif
