/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_LSP_SHAPE_H
#define PERI_APP_LSP_SHAPE_H

#include "app/lsp_cursor.h"
#include "data/value.h"

/* What the schema of rule files (lang/rule_schema.h) says about the place of a cursor. A place that several
 * alternatives allow has the shapes of all. */

#define PERI_LSP_SHAPES 128

struct peri_lsp_shapes {
    const struct peri_value *items[PERI_LSP_SHAPES]; /* borrow from the schema */
    size_t count;
};

/* The shapes of what the first depth levels lead to. operator_id: of the mapping there, for its parameters. */
void peri_lsp_shapes_at(const struct peri_value *schema, const struct peri_lsp_cursor *cursor, size_t depth,
    struct peri_lsp_piece operator_id, struct peri_lsp_shapes *ret);
/* What the shapes say about a value for people; NULL: nothing. */
const char *peri_lsp_shapes_help(const struct peri_lsp_shapes *shapes);

#endif
