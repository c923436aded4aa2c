/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_LSP_TEXT_H
#define PERI_APP_LSP_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Places in a text as editors count them: lines and characters from 0, characters in the units agreed upon. */

enum peri_lsp_units { PERI_LSP_UTF8, PERI_LSP_UTF16, PERI_LSP_UTF32 };

struct peri_lsp_position {
    int line, character;
};

struct peri_lsp_text {
    const char *s; /* borrow; NUL-terminated */
    size_t len;
    enum peri_lsp_units units;
};

/* A piece of the text. */
struct peri_lsp_piece {
    const char *s;
    size_t len;
};
bool peri_lsp_piece_is(struct peri_lsp_piece piece, const char *text);

/* The byte of a position; beyond the end of a line: its end. */
size_t peri_lsp_offset(const struct peri_lsp_text *t, struct peri_lsp_position p);
struct peri_lsp_position peri_lsp_position(const struct peri_lsp_text *t, size_t offset);
size_t peri_lsp_line_start(const struct peri_lsp_text *t, size_t offset);
size_t peri_lsp_line_end(const struct peri_lsp_text *t, size_t offset); /* of its last character, without the newline */
/* The byte of a finding's place (lines and characters from 1). */
size_t peri_lsp_place_offset(const struct peri_lsp_text *t, int line, int column);
/* The word around an offset: letters, digits, _ and what more holds. */
struct peri_lsp_piece peri_lsp_word(const struct peri_lsp_text *t, size_t offset, const char *more);

/* The path of a file: URI, malloc'ed; the URI itself when it is none. */
char *peri_lsp_path(const char *uri);

#endif
