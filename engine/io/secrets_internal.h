/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_SECRETS_INTERNAL_H
#define PERI_IO_SECRETS_INTERNAL_H

#include "io/secrets.h"

/* Between secrets.c, which owns the values, and secrets_hide.c, which looks for them. */

void peri_secrets_remember(struct peri_secrets *secrets, const char *name, const char *value, size_t len);
/* The first of the values that were given out in the text: *ret_at, *ret_len and its name (borrow: valid as long as
 * secrets is). */
const char *peri_secrets_find(
    struct peri_secrets *secrets, const char *text, size_t len, size_t *ret_at, size_t *ret_len);

#endif
