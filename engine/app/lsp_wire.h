/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_LSP_WIRE_H
#define PERI_APP_LSP_WIRE_H

#include <stdio.h>
#include "base/error.h"
#include "data/value.h"

/* JSON-RPC 2.0 messages behind Content-Length headers: the base protocol of the Language Server Protocol 3.17. */

#define PERI_LSP_MESSAGE_MAX (16u << 20)

/* Waits for the next message. PERI_ENOTFOUND at the end of the input; PERI_EINVAL for content that is no JSON: the
 * stream is still in step; PERI_ECORRUPT when it is not. */
enum peri_status peri_lsp_read(FILE *in, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_lsp_write(FILE *out, const struct peri_value *message) PERI_MUST_CHECK;

#endif
