/* SPDX-License-Identifier: Apache-2.0 */
#include "app/lsp_cursor.h"

#include <string.h>

#define MAX_ITEMS 12

/* What a line in block style consists of: dashes, then a key, or a text that is none (yet). */
struct item {
    size_t at;
    enum { DASH, KEY, BARE } kind;
    struct peri_lsp_piece text; /* of KEY and BARE */
    size_t value;               /* KEY: behind the colon */
};

struct line {
    size_t start, end;
    struct item items[MAX_ITEMS];
    size_t count;
};

static size_t skip_blanks(const struct peri_lsp_text *t, size_t at, size_t end)
{
    while (at < end && (t->s[at] == ' ' || t->s[at] == '\t'))
        at++;
    return at;
}

/* Behind a quoted text that starts at `at`. */
static size_t skip_quoted(const struct peri_lsp_text *t, size_t at, size_t end)
{
    char quote = t->s[at++];
    while (at < end && t->s[at] != quote)
        at += t->s[at] == '\\' && quote == '"' && at + 1 < end ? 2 : 1;
    return at < end ? at + 1 : end;
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'';
}

static bool is_colon(const struct peri_lsp_text *t, size_t at, size_t end)
{
    return t->s[at] == ':' && (at + 1 >= end || t->s[at + 1] == ' ' || t->s[at + 1] == '\t');
}

static struct peri_lsp_piece piece_of(const struct peri_lsp_text *t, size_t start, size_t end)
{
    start = skip_blanks(t, start, end);
    while (end > start && (t->s[end - 1] == ' ' || t->s[end - 1] == '\t'))
        end--;
    if (end - start >= 2 && is_quote(t->s[start]) && t->s[end - 1] == t->s[start]) {
        start++;
        end--;
    }
    return (struct peri_lsp_piece){t->s + start, end - start};
}

static void read_line(const struct peri_lsp_text *t, size_t offset, struct line *line)
{
    line->start = peri_lsp_line_start(t, offset);
    line->end = peri_lsp_line_end(t, offset);
    line->count = 0;
    size_t at = skip_blanks(t, line->start, line->end), end = line->end;
    while (at < end && t->s[at] == '-' && (at + 1 == end || t->s[at + 1] == ' ') && line->count < MAX_ITEMS - 1) {
        line->items[line->count++] = (struct item){.at = at, .kind = DASH};
        at = skip_blanks(t, at + 1, end);
    }
    if (at >= end || strchr("#{[", t->s[at]))
        return;
    size_t colon = is_quote(t->s[at]) ? skip_quoted(t, at, end) : at;
    while (colon < end && !is_colon(t, colon, end))
        colon++;
    line->items[line->count++] = (struct item){
        at, colon < end ? KEY : BARE, piece_of(t, at, colon < end ? colon : end), colon < end ? colon + 1 : end};
}

/* False when there is no line above, or a new document starts. */
static bool line_above(const struct peri_lsp_text *t, struct line *line)
{
    if (line->start == 0)
        return false;
    read_line(t, line->start - 1, line);
    return !(line->end - line->start >= 3 && memcmp(t->s + line->start, "---", 3) == 0);
}

static bool line_below(const struct peri_lsp_text *t, struct line *line)
{
    const char *newline = memchr(t->s + line->end, '\n', t->len - line->end);
    if (!newline || (size_t)(newline - t->s) + 1 >= t->len)
        return false;
    read_line(t, (size_t)(newline - t->s) + 1, line);
    return !(line->end - line->start >= 3 && memcmp(t->s + line->start, "---", 3) == 0);
}

static size_t column_of(const struct line *line, const struct item *item)
{
    return item->at - line->start;
}

/* ---- siblings ---- */

struct family {
    struct peri_lsp_cursor *keys; /* whose siblings are gathered; or NULL */
    struct peri_lsp_piece operator_id;
    size_t not_at; /* the key that asks */
};

static void meet(struct family *f, const struct peri_lsp_text *t, struct peri_lsp_piece key, size_t at, size_t value,
    size_t value_end)
{
    if (at == f->not_at)
        return;
    if (peri_lsp_piece_is(key, "operator"))
        f->operator_id = piece_of(t, value, value_end);
    if (f->keys && f->keys->sibling_count < PERI_LSP_SIBLINGS)
        f->keys->siblings[f->keys->sibling_count++] = key;
}

/* Where a value ends that is no collection: at its comment or the end of the line. */
static size_t value_end(const struct peri_lsp_text *t, size_t at, size_t end)
{
    at = skip_blanks(t, at, end);
    if (at < end && is_quote(t->s[at]))
        return skip_quoted(t, at, end);
    for (; at < end; at++)
        if (t->s[at] == '#' && (t->s[at - 1] == ' ' || t->s[at - 1] == '\t'))
            return at;
    return end;
}

/* The line's key in that column; *ret_outer: something stands further left. */
static void meet_line(
    struct family *f, const struct peri_lsp_text *t, const struct line *line, size_t column, bool *ret_outer, bool next)
{
    *ret_outer = false;
    for (size_t i = 0; i < line->count; i++)
        *ret_outer |= column_of(line, &line->items[i]) < column;
    if (*ret_outer && next) /* the next item of the list */
        return;
    for (size_t i = 0; i < line->count; i++) {
        const struct item *item = &line->items[i];
        if (item->kind == KEY && column_of(line, item) == column)
            meet(f, t, item->text, item->at, item->value, value_end(t, item->value, line->end));
    }
}

/* All keys of the block mapping that has one at this line and column. */
static void gather(struct family *f, const struct peri_lsp_text *t, const struct line *from, size_t column)
{
    struct line line = *from;
    bool outer = false;
    meet_line(f, t, &line, column, &outer, false);
    while (!outer && line_above(t, &line))
        meet_line(f, t, &line, column, &outer, false);
    line = *from;
    outer = false;
    while (!outer && line_below(t, &line))
        meet_line(f, t, &line, column, &outer, true);
}

/* ---- flow collections ---- */

struct open {
    char kind;
    size_t at, key_at;         /* of the bracket; of the current key's or item's text */
    struct peri_lsp_piece key; /* s NULL: before the colon */
};

static bool is_braces(const struct peri_lsp_text *t, size_t at, size_t end, char c)
{
    return at + 1 < end && t->s[at] == c && t->s[at + 1] == c;
}

/* Walks from `at` to `to`; fn is told each finished pair of the collections. Returns how many brackets are open. */
static size_t walk_flow(const struct peri_lsp_text *t, size_t at, size_t to, struct open *stack,
    void (*fn)(void *ctx, const struct open *open, size_t value, size_t end), void *ctx)
{
    size_t depth = 0, value = at;
    int braces = 0; /* of a template */
    for (; at < to; at++) {
        struct open *top = depth ? &stack[depth - 1] : NULL;
        char c = t->s[at];
        if (is_braces(t, at, to, '{') || (braces && is_braces(t, at, to, '}'))) {
            braces += c == '{' ? 1 : -1;
            at++;
        } else if (braces) {
            continue;
        } else if (is_quote(c)) {
            at = skip_quoted(t, at, to) - 1;
        } else if ((c == '{' || c == '[') && depth < PERI_LSP_DEPTH) {
            stack[depth++] = (struct open){c, at, at + 1, {0}};
        } else if (top && (c == ',' || c == '}' || c == ']')) {
            if (top->key.s && fn)
                fn(ctx, top, value, at);
            top->key = (struct peri_lsp_piece){0};
            top->key_at = at + 1;
            depth -= c != ',';
        } else if (top && top->kind == '{' && is_colon(t, at, to) && !top->key.s) {
            top->key = piece_of(t, top->key_at, at);
            value = at + 1;
        }
    }
    return depth;
}

struct flow_family {
    struct family *f;
    const struct peri_lsp_text *t;
    size_t open;
};

static void meet_flow(void *ctx, const struct open *open, size_t value, size_t end)
{
    struct flow_family *ff = ctx;
    if (open->at == ff->open)
        meet(ff->f, ff->t, open->key, open->key_at, value, end);
}

/* All keys of the flow mapping whose bracket stands at `open`. */
static void gather_flow(struct family *f, const struct peri_lsp_text *t, size_t open)
{
    struct open stack[PERI_LSP_DEPTH];
    struct flow_family ff = {f, t, open};
    walk_flow(t, open, peri_lsp_line_end(t, open), stack, meet_flow, &ff);
}

/* ---- levels ---- */

static void push_level(struct peri_lsp_cursor *c, struct peri_lsp_piece key, struct peri_lsp_piece operator_id)
{
    if (c->depth < PERI_LSP_DEPTH)
        c->levels[c->depth++] = (struct peri_lsp_level){key, operator_id};
}

static void push_key(
    struct peri_lsp_cursor *c, const struct peri_lsp_text *t, const struct line *line, const struct item *item)
{
    struct family f = {.not_at = item->at};
    gather(&f, t, line, column_of(line, item));
    push_level(c, item->text, f.operator_id);
}

/* Levels from the one above (line, column) to the root, in that order. False inside of a block scalar. */
static bool climb(struct peri_lsp_cursor *c, const struct peri_lsp_text *t, struct line line, size_t column)
{
    size_t limit = column;
    bool item_below = false, text = true;
    do {
        for (size_t i = line.count; i > 0; i--) {
            const struct item *item = &line.items[i - 1];
            size_t at = column_of(&line, item);
            if (item->kind == BARE || !(at < limit || (item_below && item->kind == KEY && at == limit)))
                continue;
            size_t value = item->kind == KEY ? skip_blanks(t, item->value, line.end) : line.end;
            if (value < line.end && (t->s[value] == '|' || t->s[value] == '>')) {
                c->depth = 0; /* what looked like keys below is the text of this one */
                text = false;
            }
            if (item->kind == KEY)
                push_key(c, t, &line, item);
            else
                push_level(c, (struct peri_lsp_piece){0}, (struct peri_lsp_piece){0});
            limit = at;
            item_below = item->kind == DASH;
        }
    } while ((limit > 0 || item_below) && line_above(t, &line));
    return text;
}

static void reverse(struct peri_lsp_cursor *c)
{
    for (size_t i = 0; i < c->depth / 2; i++) {
        struct peri_lsp_level swap = c->levels[i];
        c->levels[i] = c->levels[c->depth - 1 - i];
        c->levels[c->depth - 1 - i] = swap;
    }
}

/* ---- the cursor ---- */

static bool in_template(const struct peri_lsp_text *t, size_t start, size_t offset)
{
    for (size_t at = offset; at >= start + 2; at--) {
        if (is_braces(t, at - 2, offset, '}'))
            return false;
        if (is_braces(t, at - 2, offset, '{'))
            return true;
    }
    return false;
}

static bool in_comment(const struct peri_lsp_text *t, size_t start, size_t offset)
{
    for (size_t at = start; at < offset; at++) {
        if (is_quote(t->s[at]) && (at == start || strchr(" [{,:", t->s[at - 1])))
            at = skip_quoted(t, at, offset) - 1;
        else if (t->s[at] == '#' && (at == start || t->s[at - 1] == ' ' || t->s[at - 1] == '\t'))
            return true;
    }
    return false;
}

static bool holds_expression(struct peri_lsp_piece key)
{
    return peri_lsp_piece_is(key, "expr") || peri_lsp_piece_is(key, "if");
}

/* The last key or item that begins before the cursor; NULL: the line is blank up to there. */
static const struct item *focus_of(const struct line *line, size_t offset)
{
    const struct item *found = NULL;
    for (size_t i = 0; i < line->count; i++)
        if (line->items[i].at < offset || (line->items[i].kind != DASH && line->items[i].at == offset))
            found = &line->items[i];
    return found;
}

/* The brackets between the line's key and the cursor. */
static void enter_flow(struct peri_lsp_cursor *c, const struct peri_lsp_text *t, size_t from, size_t offset)
{
    struct open stack[PERI_LSP_DEPTH];
    size_t depth = walk_flow(t, from, offset, stack, NULL, NULL);
    for (size_t i = 0; i < depth; i++) {
        struct peri_lsp_piece none = {0};
        if (stack[i].kind == '[') {
            push_level(c, none, none);
            c->spot = PERI_LSP_VALUE;
            continue;
        }
        struct family f = {.not_at = stack[i].key_at};
        bool key = stack[i].key.s != NULL;
        if (!key) {
            f.keys = c;
            c->sibling_count = 0;
        }
        gather_flow(&f, t, stack[i].at);
        if (key)
            push_level(c, stack[i].key, f.operator_id);
        else
            c->operator_id = f.operator_id;
        c->spot = key ? PERI_LSP_VALUE : PERI_LSP_KEY;
    }
}

void peri_lsp_cursor_at(const struct peri_lsp_text *t, size_t offset, struct peri_lsp_cursor *ret)
{
    struct line line;
    memset(ret, 0, sizeof(*ret));
    read_line(t, offset, &line);
    if (in_comment(t, line.start, offset))
        return;
    const struct item *focus = focus_of(&line, offset);
    size_t column = focus ? column_of(&line, focus) : offset - line.start;
    bool value = focus && (focus->kind == DASH || (focus->kind == KEY && offset >= focus->value));
    size_t keys_column = focus && focus->kind == DASH ? column + 2 : column;
    struct line above = line;
    above.count = focus ? (size_t)(focus - line.items) + (focus->kind == DASH) : 0;
    bool text = climb(ret, t, above, focus && focus->kind == DASH ? keys_column : column);
    reverse(ret);
    ret->spot = PERI_LSP_KEY;
    if (!text) {
        ret->spot = ret->depth && holds_expression(ret->levels[ret->depth - 1].key) ? PERI_LSP_EXPR : PERI_LSP_NOWHERE;
    } else if (value) {
        if (focus->kind == KEY) {
            push_key(ret, t, &line, focus);
            ret->spot = PERI_LSP_VALUE;
        }
        enter_flow(ret, t, focus->kind == KEY ? focus->value : focus->at + 1, offset);
    }
    if (text && ret->spot == PERI_LSP_KEY && ret->sibling_count == 0) {
        struct family f = {.keys = ret, .not_at = focus && focus->kind != DASH ? focus->at : (size_t)-1};
        gather(&f, t, &line, keys_column);
        ret->operator_id = f.operator_id;
    }
    if (ret->spot == PERI_LSP_VALUE &&
        (in_template(t, line.start, offset) || holds_expression(ret->levels[ret->depth - 1].key)))
        ret->spot = PERI_LSP_EXPR;
    ret->word = peri_lsp_word(t, offset, ret->spot == PERI_LSP_EXPR ? "." : ".-*$");
    ret->typed = (size_t)(t->s + offset - ret->word.s);
}

/* ---- all keys ---- */

struct telling {
    const struct peri_lsp_text *t;
    size_t line;
    void (*fn)(void *ctx, const struct peri_lsp_entry *entry);
    void *ctx;
};

static void tell_pair(void *ctx, const struct open *open, size_t value, size_t end)
{
    const struct telling *tell = ctx;
    tell->fn(tell->ctx, &(struct peri_lsp_entry){open->key, piece_of(tell->t, value, end),
                            (int)(skip_blanks(tell->t, open->key_at, end) - tell->line)});
}

void peri_lsp_each_entry(
    const struct peri_lsp_text *t, void (*fn)(void *ctx, const struct peri_lsp_entry *entry), void *ctx)
{
    struct line line;
    size_t at = 0;
    do {
        read_line(t, at, &line);
        const struct item *last = line.count ? &line.items[line.count - 1] : NULL;
        bool key = last && last->kind == KEY;
        struct telling tell = {t, line.start, fn, ctx};
        struct open stack[PERI_LSP_DEPTH];
        if (key)
            fn(ctx, &(struct peri_lsp_entry){last->text, piece_of(t, last->value, value_end(t, last->value, line.end)),
                        (int)column_of(&line, last)});
        walk_flow(t, key ? last->value : skip_blanks(t, line.start, line.end), line.end, stack, tell_pair, &tell);
        const char *newline = memchr(t->s + line.end, '\n', t->len - line.end);
        at = newline ? (size_t)(newline - t->s) + 1 : t->len;
    } while (at < t->len);
}
