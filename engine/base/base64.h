/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_BASE64_H
#define PERI_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"

/* RFC 4648, section 4: the standard alphabet with padding. */

enum peri_status peri_base64_encode(struct peri_buf *out, const void *data, size_t len);
/* Strict: no blanks, right padding, unused bits zero. *ret is malloc'ed and NUL-terminated. PERI_EINVAL, PERI_ENOMEM.
 */
enum peri_status peri_base64_decode(const char *text, size_t len, char **ret, size_t *ret_len) PERI_MUST_CHECK;

#endif
