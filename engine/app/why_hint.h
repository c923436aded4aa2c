/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_WHY_HINT_H
#define PERI_APP_WHY_HINT_H

#include <stddef.h>
#include "data/value.h"

/* What would probably mend a verdict: a path that leads nowhere in data (the payload), a text compared with a number,
 * letters of another case. Into out; false when there is nothing to say. Tells names of fields and no values of data.
 */
bool peri_why_hint(const struct peri_value *verdict, const struct peri_value *data, char *out, size_t size);

#endif
