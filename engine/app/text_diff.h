/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_TEXT_DIFF_H
#define PERI_APP_TEXT_DIFF_H

/* The lines of new against those of old as a unified difference with three lines of context, without a head; "" when
 * they are equal. malloc'ed, NULL when memory is out. */
char *peri_text_diff(const char *old, const char *new);

#endif
