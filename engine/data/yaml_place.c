/* SPDX-License-Identifier: Apache-2.0 */
/* From a byte of a decoded scalar back to its place in the file: the source is decoded again by the rules of its style,
 * counting what comes out, until the byte is reached. */
#include <string.h>

#include "base/str.h"
#include "data/yaml.h"

struct cursor {
    const char *at, *end;
    struct peri_place place;
    size_t made; /* bytes of the decoded text so far */
    size_t wanted;
};

static bool is_break(char c)
{
    return c == '\n' || c == '\r';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* One character or line break of the source; returns its bytes. */
static size_t move(struct cursor *c)
{
    if (c->at >= c->end)
        return 0;
    size_t n = 1;
    if (is_break(*c->at)) {
        n = *c->at == '\r' && c->at + 1 < c->end && c->at[1] == '\n' ? 2 : 1;
        c->place.line++;
        c->place.column = 1;
    } else {
        unsigned code;
        n = peri_utf8_decode(c->at, (size_t)(c->end - c->at), &code);
        c->place.column++;
    }
    c->at += n;
    return n;
}

static void move_by(struct cursor *c, size_t chars)
{
    while (chars-- > 0 && c->at < c->end)
        move(c);
}

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && is_blank(*c->at))
        move(c);
}

/* Tag and anchor, and what stands between them and the text. */
static void skip_properties(struct cursor *c)
{
    while (c->at < c->end && (*c->at == '!' || *c->at == '&')) {
        while (c->at < c->end && !is_blank(*c->at) && !is_break(*c->at))
            move(c);
        while (c->at < c->end && (is_blank(*c->at) || is_break(*c->at)))
            move(c);
    }
}

/* A line break in a flow scalar with the blanks around it: one gives a space, n give n - 1 breaks. Does nothing when
 * only blanks stand here. */
static bool fold_breaks(struct cursor *c)
{
    struct cursor ahead = *c;
    size_t breaks = 0;
    while (ahead.at < ahead.end && (is_blank(*ahead.at) || is_break(*ahead.at))) {
        breaks += is_break(*ahead.at);
        move(&ahead);
    }
    if (breaks == 0)
        return false;
    ahead.made = c->made + (breaks == 1 ? 1 : breaks - 1);
    *c = ahead;
    return true;
}

/* After a backslash in double quotes. */
static void move_escape(struct cursor *c)
{
    char kind = c->at + 1 < c->end ? c->at[1] : '\0';
    size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    unsigned code = 0;
    move(c);
    if (is_break(kind)) { /* a joined line */
        move(c);
        skip_blanks(c);
        return;
    }
    move(c);
    for (size_t i = 0; i < digits && c->at < c->end; i++) {
        char d = *c->at, lower = (char)(d | 0x20);
        code = code * 16 + (unsigned)(d >= '0' && d <= '9'           ? d - '0'
                                      : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                                     : 0);
        move(c);
    }
    c->made += digits                       ? (code < 0x80         ? 1
                                                  : code < 0x800   ? 2
                                                  : code < 0x10000 ? 3
                                                                   : 4)
               : kind == 'N' || kind == '_' ? 2
               : kind == 'L' || kind == 'P' ? 3
                                            : 1;
}

static void walk_flow(struct cursor *c, char quote)
{
    if (quote != ' ')
        move(c);
    while (c->made < c->wanted && c->at < c->end) {
        if ((is_blank(*c->at) || is_break(*c->at)) && fold_breaks(c))
            continue;
        if (quote == '"' && *c->at == '\\')
            move_escape(c);
        else if (quote == '\'' && *c->at == '\'') {
            move_by(c, 2);
            c->made++;
        } else
            c->made += move(c);
    }
}

/* At the line after the header: how far the first line with text is indented. */
static int block_indent(const struct cursor *c)
{
    int n = 0;
    for (const char *p = c->at; p < c->end; p++) {
        if (*p == ' ')
            n++;
        else if (is_break(*p))
            n = 0;
        else
            break;
    }
    return n;
}

static void skip_indent(struct cursor *c, int indent)
{
    for (int i = 0; i < indent && c->at < c->end && *c->at == ' '; i++)
        move(c);
}

/* How many bytes the breaks between two lines of a folded scalar make. */
static size_t folded_breaks(size_t breaks, bool first, bool before_more, bool after_more)
{
    return first || before_more || after_more ? breaks : breaks == 1 ? 1 : breaks - 1;
}

static void walk_block(struct cursor *c, bool folded)
{
    while (c->at < c->end && !is_break(*c->at)) /* the header */
        move(c);
    move(c);
    int indent = block_indent(c);
    bool first = true, more = false;
    size_t breaks = 0;
    while (c->at < c->end) {
        skip_indent(c, indent);
        if (c->at < c->end && is_break(*c->at)) {
            breaks++;
            move(c);
            continue;
        }
        bool more_now = c->at < c->end && is_blank(*c->at);
        c->made += folded ? folded_breaks(breaks, first, more, more_now) : breaks;
        while (c->made < c->wanted && c->at < c->end && !is_break(*c->at))
            c->made += move(c);
        if (c->made >= c->wanted)
            return;
        move(c);
        breaks = 1;
        first = false;
        more = more_now;
    }
}

struct peri_place peri_node_text_place(const struct peri_node *node, size_t offset)
{
    if (node->kind != PERI_NODE_SCALAR || !node->source)
        return node->place;
    struct cursor c = {
        .at = node->source, .end = node->source + node->source_len, .place = node->place, .wanted = offset};
    skip_properties(&c);
    if (node->style == '|' || node->style == '>')
        walk_block(&c, node->style == '>');
    else
        walk_flow(&c, node->style);
    return c.place;
}
