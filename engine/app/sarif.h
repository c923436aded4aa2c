/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_SARIF_H
#define PERI_APP_SARIF_H

#include "base/diag.h"
#include "data/value.h"

/* Findings as a SARIF 2.1.0 log of one run; columns count code points. Sorts diag. NULL when memory is out. */
struct peri_value *peri_sarif_of(struct peri_diag *diag);

#endif
