/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_CALL_VIEW_H
#define PERI_APP_CALL_VIEW_H

#include "plugin/host.h"

/* {"ok": true, "result": ..., "usage": {...}} or {"ok": false, "error": {code, message, retryable}, "usage": ...}. The
 * result of a condition is {"holds": bool, "compared": ...}. New reference; NULL when memory is out. */
struct peri_value *peri_call_value(const struct peri_call_result *result);
struct peri_value *peri_error_value(const struct peri_error *err);

#endif
