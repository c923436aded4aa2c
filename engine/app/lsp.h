/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_LSP_H
#define PERI_APP_LSP_H

#include <stdio.h>
#include "app/workbench.h"

/* A server of the Language Server Protocol 3.17 for rule files: diagnostics with quick fixes, completion, hover, go to
 * definition, an outline. Serves until the client says exit or the input ends; true when it ended as the protocol
 * wants. */
bool peri_lsp_serve(struct peri_workbench *bench, FILE *in, FILE *out);

#endif
