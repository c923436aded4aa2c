/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_LSP_BLUEPRINT_H
#define PERI_APP_LSP_BLUEPRINT_H

#include "app/lsp_cursor.h"
#include "app/lsp_internal.h"

/* Where in use_blueprint the cursor is. */
enum peri_lsp_use {
    PERI_LSP_USE_NOT,
    PERI_LSP_USE_PATH,  /* the value of path */
    PERI_LSP_USE_INPUT, /* a name under input */
    PERI_LSP_USE_VALUE  /* the value of an input */
};
struct peri_lsp_used {
    enum peri_lsp_use where;
    char *file;                     /* of the blueprint, or NULL: it is not there */
    struct peri_value *about;       /* of peri_blueprint_describe, or NULL: it is broken */
    const struct peri_value *input; /* INPUT, VALUE: the one at the cursor, or NULL. Of about */
};

/* ret is to be finished in any case. */
void peri_lsp_used_at(const struct peri_lsp *lsp, const struct peri_lsp_doc *doc, const struct peri_lsp_text *t,
    const struct peri_lsp_cursor *cursor, struct peri_lsp_used *ret);
void peri_lsp_used_finish(struct peri_lsp_used *used);
/* The path by which rules name the i-th blueprint that is there: malloc'ed, *ret_more false behind the last; NULL: this
 * file is none. */
char *peri_lsp_blueprint_path(const struct peri_lsp *lsp, size_t i, bool *ret_more);
/* Where the blueprint's file declares the input, as offsets into its text (malloc'ed, to be freed): false when it does
 * not, or cannot be read. name of length 0: the beginning. */
bool peri_lsp_input_place(
    const struct peri_lsp_used *used, struct peri_lsp_piece name, char **ret_text, size_t *ret_start, size_t *ret_end);

#endif
