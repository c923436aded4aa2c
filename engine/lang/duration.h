/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_DURATION_H
#define PERI_LANG_DURATION_H

#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

/* "90s", "10m", "1h30m", "2d", "1w", "250ms" and sums in falling order of unit, no blanks. At most 3650 days. */
enum peri_status peri_duration_parse(
    const char *text, size_t len, int64_t *ret_ms, struct peri_error *err) PERI_MUST_CHECK;
/* Largest units first, zero units left out ("1h30m", "2w", "10d", "0s"); reads back the same, negative ones get a '-';
 * out has at least 48 bytes; returns out. */
char *peri_duration_format(int64_t ms, char *out);

#endif
