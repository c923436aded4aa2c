/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_CASEFOLD_H
#define PERI_DATA_CASEFOLD_H

#include <stddef.h>

/* Equality without regard to case, character by character (Unicode simple case folding): É and é fold alike, so
 * do all three forms of sigma; sharp s and SS do not. Independent of any locale. */
unsigned peri_fold_code(unsigned code);
/* Folds valid UTF-8 into out, which has PERI_FOLD_ROOM(len) bytes; returns the size. */
size_t peri_fold(const char *s, size_t len, char *out);
#define PERI_FOLD_ROOM(len) ((len) + (len) / 2 + 4) /* a character of two bytes may fold to three */

#endif
