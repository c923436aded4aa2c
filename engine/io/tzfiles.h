/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_TZFILES_H
#define PERI_IO_TZFILES_H

#include <stddef.h>
#include "base/error.h"

/* Time zones of the machine, in the form that struct peri_tz_source (lang/tz.h) asks for: {peri_tzfiles_read, ctx}.
 * ctx is a folder (const char *), or NULL: $TZDIR if it is set and not empty, else /usr/share/zoneinfo. Files are read
 * anew each time. PERI_ENOTFOUND when there is no such file below the folder or the name could lead out of it. */
enum peri_status peri_tzfiles_read(
    void *ctx, const char *name, unsigned char **ret_data, size_t *ret_len, struct peri_error *err);
/* The folder that is used with this ctx. Borrowed. */
const char *peri_tzfiles_folder(const void *ctx);

#endif
