/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_LSP_CURSOR_H
#define PERI_APP_LSP_CURSOR_H

#include "app/lsp_text.h"

/* Where in a rule file a place lies: found by indentation and brackets, because a file that is being typed is seldom
 * valid YAML. Flow collections are understood within one line. */

#define PERI_LSP_DEPTH 64
#define PERI_LSP_SIBLINGS 32

/* One step from the root of the document towards the cursor. */
struct peri_lsp_level {
    struct peri_lsp_piece key;         /* of a mapping; s is NULL: an item of a list */
    struct peri_lsp_piece operator_id; /* what `operator:` beside the key says; s is NULL: there is none */
};

enum peri_lsp_spot {
    PERI_LSP_NOWHERE, /* a comment, a script */
    PERI_LSP_KEY,     /* of the mapping that levels lead to; may be half typed */
    PERI_LSP_VALUE,   /* of the key that is the last level */
    PERI_LSP_EXPR     /* the same, inside of an expression */
};

struct peri_lsp_cursor {
    enum peri_lsp_spot spot;
    struct peri_lsp_level levels[PERI_LSP_DEPTH];
    size_t depth;
    struct peri_lsp_piece operator_id;                 /* KEY: `operator:` in the same mapping */
    struct peri_lsp_piece siblings[PERI_LSP_SIBLINGS]; /* KEY: the other keys of the mapping */
    size_t sibling_count;
    struct peri_lsp_piece word; /* around the cursor; may be empty */
    size_t typed;               /* bytes of it before the cursor */
};

void peri_lsp_cursor_at(const struct peri_lsp_text *t, size_t offset, struct peri_lsp_cursor *ret);

/* All keys with their values as far as they stand in the same line, in order, for those who look for ids and types. */
struct peri_lsp_entry {
    struct peri_lsp_piece key, value; /* value: without quotes, comment and what follows in a flow mapping */
    int column;                       /* of the key, from 0, in bytes */
};
void peri_lsp_each_entry(
    const struct peri_lsp_text *t, void (*fn)(void *ctx, const struct peri_lsp_entry *entry), void *ctx);

#endif
