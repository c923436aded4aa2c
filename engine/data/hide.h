/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_HIDE_H
#define PERI_DATA_HIDE_H

#include "data/value.h"

/* Copies of values in which some texts are replaced: personal data and secrets in what is shown or kept. */

struct peri_hiding {
    /* True: *ret (malloc'ed) stands in place of text. */
    bool (*hide)(void *ctx, const char *text, size_t len, char **ret, size_t *ret_len);
    void *ctx;
    bool numbers;        /* they are looked at too, as JSON writes them */
    const char *nothing; /* stands for a hidden text when there is no memory for what replaces it */
    int depth_max;       /* what lies deeper is replaced whole */
};

/* Texts, and keys of maps, as hide says; all else as it is. New reference; NULL when memory is out. */
struct peri_value *peri_value_hidden(const struct peri_hiding *hiding, struct peri_value *v);

#endif
