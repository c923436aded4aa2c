/* SPDX-License-Identifier: Apache-2.0 */
#include "app/lsp_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

bool peri_lsp_piece_is(struct peri_lsp_piece piece, const char *text)
{
    return piece.s && strlen(text) == piece.len && memcmp(piece.s, text, piece.len) == 0;
}

/* The size of the character at s in bytes; the text may be anything. */
static size_t char_size(const char *s, size_t left)
{
    size_t n = 1;
    while (n < left && n < 4 && ((unsigned char)s[n] & 0xC0) == 0x80)
        n++;
    return n;
}

/* ... and in units. */
static int units_of(size_t bytes, enum peri_lsp_units units)
{
    switch (units) {
    case PERI_LSP_UTF8:
        return (int)bytes;
    case PERI_LSP_UTF16:
        return bytes == 4 ? 2 : 1;
    case PERI_LSP_UTF32:
        break;
    }
    return 1;
}

static size_t line_at(const struct peri_lsp_text *t, int line)
{
    size_t at = 0;
    for (; line > 0; line--) {
        const char *newline = memchr(t->s + at, '\n', t->len - at);
        if (!newline)
            return t->len;
        at = (size_t)(newline - t->s) + 1;
    }
    return at;
}

static size_t advance(const struct peri_lsp_text *t, size_t at, int count, enum peri_lsp_units units)
{
    while (count > 0 && at < t->len && t->s[at] != '\n') {
        size_t n = char_size(t->s + at, t->len - at);
        count -= units_of(n, units);
        at += n;
    }
    return at;
}

size_t peri_lsp_offset(const struct peri_lsp_text *t, struct peri_lsp_position p)
{
    return advance(t, line_at(t, p.line), p.character, t->units);
}

size_t peri_lsp_place_offset(const struct peri_lsp_text *t, int line, int column)
{
    return advance(t, line_at(t, line > 0 ? line - 1 : 0), column - 1, PERI_LSP_UTF32);
}

struct peri_lsp_position peri_lsp_position(const struct peri_lsp_text *t, size_t offset)
{
    struct peri_lsp_position p = {0, 0};
    if (offset > t->len)
        offset = t->len;
    size_t at = 0;
    for (const char *newline; (newline = memchr(t->s + at, '\n', offset - at));) {
        at = (size_t)(newline - t->s) + 1;
        p.line++;
    }
    while (at < offset) {
        size_t n = char_size(t->s + at, t->len - at);
        p.character += units_of(n, t->units);
        at += n;
    }
    return p;
}

size_t peri_lsp_line_start(const struct peri_lsp_text *t, size_t offset)
{
    while (offset > 0 && t->s[offset - 1] != '\n')
        offset--;
    return offset;
}

size_t peri_lsp_line_end(const struct peri_lsp_text *t, size_t offset)
{
    while (offset < t->len && t->s[offset] != '\n' && t->s[offset] != '\r')
        offset++;
    return offset;
}

static bool in_word(char c, const char *more)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c && strchr(more, c));
}

struct peri_lsp_piece peri_lsp_word(const struct peri_lsp_text *t, size_t offset, const char *more)
{
    size_t start = offset, end = offset;
    while (start > 0 && in_word(t->s[start - 1], more))
        start--;
    while (end < t->len && in_word(t->s[end], more))
        end++;
    return (struct peri_lsp_piece){t->s + start, end - start};
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

char *peri_lsp_path(const char *uri)
{
    char *path = peri_strdup(peri_str_starts(uri, "file://") ? uri + 7 : uri);
    if (!path || !peri_str_starts(uri, "file://"))
        return path;
    char *out = path;
    for (const char *in = path; *in; in++) {
        if (*in == '%' && hex(in[1]) >= 0 && hex(in[2]) >= 0) {
            *out++ = (char)(hex(in[1]) * 16 + hex(in[2]));
            in += 2;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
    return path;
}
