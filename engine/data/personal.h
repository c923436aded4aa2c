/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_PERSONAL_H
#define PERI_DATA_PERSONAL_H

#include <stdbool.h>
#include <stddef.h>
#include "data/value.h"

/* A set of personal values, and how they are hidden in what is shown: each by "[personal 3fa2]". The digits come of a
 * keyed hash of the value, so that equal values can be told to be equal, and nothing else. A value is found whole, and
 * as a part of a text: in any case, trimmed, encoded for a URL, as a slug, its digits alone, its single words when it
 * has few of them. Values of less than 6 bytes, and numbers, count as part of a text only where no letter or digit
 * touches them. Any thread. */
struct peri_personal;

#define PERI_PERSONAL_KEY 16
#define PERI_PERSONAL_MARK 24 /* room for a placeholder */

/* max: the oldest values go when there are more; 0: all are kept. key may be NULL: then all placeholders are equal.
 * NULL when memory is out. */
struct peri_personal *peri_personal_create(const unsigned char *key, size_t max);
void peri_personal_destroy(struct peri_personal *set);
/* For texts that are mostly the service's own: numbers of fewer than four digits are not looked for, and short values
 * not within ids, times and codes. Whoever sends values must not be able to blot these out. Before anything is added. */
void peri_personal_be_careful(struct peri_personal *set);
/* Every text and number in v; keys of maps are none. True and false cannot be told from any other. */
void peri_personal_add(struct peri_personal *set, const struct peri_value *v);
size_t peri_personal_count(struct peri_personal *set);
/* What stands in place of v itself. */
void peri_personal_mark(struct peri_personal *set, const struct peri_value *v, char out[PERI_PERSONAL_MARK]);

/* False, with *ret untouched: nothing is to be hidden, or memory is out. *ret is malloc'ed. */
bool peri_personal_hide(struct peri_personal *set, const char *text, size_t len, char **ret, size_t *ret_len);
/* All texts and numbers of a value: a new reference; NULL when memory is out. */
struct peri_value *peri_personal_hide_value(struct peri_personal *set, struct peri_value *v);

#endif
