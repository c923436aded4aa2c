/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_PLAIN_SECRET_H
#define PERI_DATA_PLAIN_SECRET_H

#include "data/yaml.h"

/* Warns of texts in a tree that look like secrets written out: under a key such as `password`, or of a form that a
 * provider gives its keys. Findings never hold the text. instead: what to write, for the hint. */
void peri_plain_secrets(const struct peri_node *root, const char *instead, struct peri_diag *diag);

#endif
