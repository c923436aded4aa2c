/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_FORM_H
#define PERI_PLUGIN_FORM_H

#include "base/buf.h"
#include "data/value.h"

/* Appends name=value&..., names sorted so that the same request is the same text; a list repeats its name. Failures are
 * kept in out. */
void peri_form_encode(struct peri_buf *out, const struct peri_value *map);

#endif
