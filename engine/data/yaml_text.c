/* SPDX-License-Identifier: Apache-2.0 */
/* The YAML scanner's complaints are written for people who know its grammar. Here each becomes a sentence for somebody
 * who writes a rule, at the place that has to be changed: the quote that is never closed rather than the end of the
 * file where that was noticed. */
#include "data/yaml_text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define BOM "\xEF\xBB\xBF"

void peri_yaml_text_init(struct peri_yaml_text *t, const char *file, const char *s, size_t len)
{
    *t = (struct peri_yaml_text){.file = file, .s = s, .len = len, .line = 1, .column = 1};
    if (len >= 3 && memcmp(s, BOM, 3) == 0) {
        t->s += 3;
        t->len -= 3;
    }
}

static size_t char_size(unsigned char lead)
{
    return lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

static void step(struct peri_yaml_text *t)
{
    char c = t->s[t->byte];
    t->byte += char_size((unsigned char)c);
    t->index++;
    if (c == '\n' || (c == '\r' && (t->byte >= t->len || t->s[t->byte] != '\n'))) {
        t->line++;
        t->column = 1;
    } else {
        t->column++;
    }
}

static void rewind_to_start(struct peri_yaml_text *t)
{
    t->index = t->byte = 0;
    t->line = t->column = 1;
}

void peri_yaml_text_seek(struct peri_yaml_text *t, size_t index)
{
    if (index < t->index)
        rewind_to_start(t);
    while (t->index < index && t->byte < t->len)
        step(t);
}

void peri_yaml_text_seek_byte(struct peri_yaml_text *t, size_t byte)
{
    if (byte < t->byte)
        rewind_to_start(t);
    while (t->byte < byte && t->byte < t->len)
        step(t);
}

struct peri_place peri_yaml_text_place(const struct peri_yaml_text *t)
{
    return (struct peri_place){t->file, t->line, t->column};
}

static bool printable(unsigned code)
{
    return code == '\t' || code == '\n' || code == '\r' || (code >= 0x20 && code <= 0x7E) || code == 0x85 ||
           (code >= 0xA0 && code <= 0xFFFD && code != 0xFEFF) || code >= 0x10000;
}

bool peri_yaml_text_check(struct peri_yaml_text *t, struct peri_diag *diag)
{
    size_t bad = t->len;
    bool utf8 = peri_utf8_valid(t->s, t->len, &bad);
    unsigned code = 0;
    rewind_to_start(t);
    while (t->byte < bad) {
        peri_utf8_decode(t->s + t->byte, bad - t->byte, &code);
        if (!printable(code))
            break;
        step(t);
    }
    struct peri_place place = peri_yaml_text_place(t);
    if (t->byte < bad) {
        peri_diag_add(diag, place, PERI_SEV_ERROR, "yaml-encoding",
            "in double quotes such a character can be written as an escape",
            code == 0 ? "the file holds a NUL byte here" : "the file holds the control character U+%04X here", code);
    } else if (!utf8) {
        bool utf16 = bad == 0 && t->len >= 2 && ((unsigned char)t->s[0] ^ (unsigned char)t->s[1]) == 1 &&
                     (unsigned char)t->s[0] >= 0xFE;
        if (utf16)
            peri_diag_add(
                diag, place, PERI_SEV_ERROR, "yaml-encoding", "save it as UTF-8", "the file is UTF-16, not UTF-8");
        else
            peri_diag_add(diag, place, PERI_SEV_ERROR, "yaml-encoding", "save the file as UTF-8",
                "not valid UTF-8 (byte 0x%02X)", (unsigned char)t->s[bad]);
    } else {
        rewind_to_start(t);
        return true;
    }
    return false;
}

static size_t line_start(const struct peri_yaml_text *t, size_t byte)
{
    while (byte > 0 && t->s[byte - 1] != '\n' && t->s[byte - 1] != '\r')
        byte--;
    return byte;
}

static size_t line_end(const struct peri_yaml_text *t, size_t byte)
{
    while (byte < t->len && t->s[byte] != '\n' && t->s[byte] != '\r')
        byte++;
    return byte;
}

static size_t skip_blanks(const struct peri_yaml_text *t, size_t byte)
{
    while (byte < t->len && t->s[byte] == ' ')
        byte++;
    return byte;
}

/* Past the indent and any "- " of a line. */
static size_t line_content(const struct peri_yaml_text *t, size_t start)
{
    size_t i = skip_blanks(t, start);
    while (i + 1 < t->len && t->s[i] == '-' && t->s[i + 1] == ' ')
        i = skip_blanks(t, i + 1);
    return i;
}

/* The first ':' in [from, end) that ends a key, or end. A text in quotes at `from` has none. */
static size_t find_colon(const struct peri_yaml_text *t, size_t from, size_t end)
{
    if (from < end && (t->s[from] == '"' || t->s[from] == '\'')) {
        char quote = t->s[from++];
        while (from < end && t->s[from] != quote)
            from += t->s[from] == '\\' && quote == '"' ? 2 : 1;
    }
    for (size_t i = from; i < end; i++)
        if (t->s[i] == ':' && (i + 1 >= t->len || strchr(" \r\n", t->s[i + 1])))
            return i;
    return end;
}

bool peri_yaml_text_bare_template(struct peri_yaml_text *t, size_t index)
{
    peri_yaml_text_seek(t, index);
    size_t start = line_start(t, t->byte), end = line_end(t, t->byte), at = line_content(t, start);
    for (;;) {
        if (end - at >= 2 && at < end && t->s[at] == '{' && t->s[at + 1] == '{') {
            peri_yaml_text_seek_byte(t, at);
            return true;
        }
        size_t colon = find_colon(t, at, end);
        if (colon >= end)
            return false;
        at = skip_blanks(t, colon + 1);
        if (at >= end)
            return false;
    }
}

#define QUOTE_HINT "put the whole text in quotes; inside '…' a quote is doubled (''), inside \"…\" it is written \\\""

/* "the end of the file", "the end of the line" or the character itself, for messages. */
static const char *name_char(const struct peri_yaml_text *t, char out[8])
{
    if (t->byte >= t->len)
        return "the end of the file";
    char c = t->s[t->byte];
    if (c == '\n' || c == '\r')
        return "the end of the line";
    if (c == '\t')
        return "a tab";
    size_t n = char_size((unsigned char)c);
    snprintf(out, 8, "'%.*s'", (int)n, t->s + t->byte);
    return out;
}

static void syntax(struct peri_yaml_text *t, struct peri_diag *diag, const char *message, const char *hint)
{
    peri_diag_add(diag, peri_yaml_text_place(t), PERI_SEV_ERROR, "yaml-syntax", hint, "%s", message);
}

static void unexpected(struct peri_yaml_text *t, struct peri_diag *diag, const char *hint)
{
    char c[8];
    peri_diag_add(
        diag, peri_yaml_text_place(t), PERI_SEV_ERROR, "yaml-syntax", hint, "unexpected %s here", name_char(t, c));
}

/* "-operator: x" is a key to YAML, so that the trouble comes out lines below only. Looks upwards from there, as far as
 * lines are indented. */
static bool explain_dash(struct peri_yaml_text *t, struct peri_diag *diag)
{
    size_t start = line_start(t, t->byte);
    for (int lines = 0; lines < 50; lines++) {
        size_t first = line_content(t, start), end = line_end(t, start);
        if (first + 1 < end && t->s[first] == '-' && isalpha((unsigned char)t->s[first + 1]) &&
            find_colon(t, first, end) < end) {
            char from[] = {'-', t->s[first + 1], '\0'}, to[] = {'-', ' ', t->s[first + 1], '\0'};
            peri_yaml_text_seek_byte(t, first);
            syntax(t, diag, "a space is missing after '-'", "a list item starts with '- '");
            peri_diag_fix(diag, peri_yaml_text_place(t), from, to);
            return true;
        }
        bool blank = first >= end || t->s[first] == '#';
        if (start == 0 || (!blank && first == start && lines > 0))
            return false;
        start = line_start(t, start - 1);
    }
    return false;
}

/* The line at first is no key: "event:x" is one word to YAML. */
static void explain_missing_colon(struct peri_yaml_text *t, size_t first, struct peri_diag *diag)
{
    if (first + 1 < t->len && t->s[first] == '/' && t->s[first + 1] == '/') {
        peri_yaml_text_seek_byte(t, first);
        syntax(t, diag, "this is no comment", "a comment begins with '#'");
        return;
    }
    size_t end = line_end(t, first), i = first;
    while (i < end && (isalnum((unsigned char)t->s[i]) || t->s[i] == '_'))
        i++;
    if (i > first && i + 1 < end && t->s[i] == ':' && strchr(" \t\r/:", t->s[i + 1]) == NULL) {
        char from[] = {':', t->s[i + 1], '\0'}, to[] = {':', ' ', t->s[i + 1], '\0'};
        peri_yaml_text_seek_byte(t, i);
        syntax(t, diag, "a space is missing after ':'", "a key and its value are written as \"key: value\"");
        if ((unsigned char)t->s[i + 1] < 0x80)
            peri_diag_fix(diag, peri_yaml_text_place(t), from, to);
        return;
    }
    peri_yaml_text_seek_byte(t, first);
    syntax(t, diag, "expected ':' after this key", "a key and its value are written as \"key: value\"");
}

/* A ':' where no key can be: a text with ": " in it, a line that is indented too far, or the line above lacks its ':'.
 */
static void explain_colon(struct peri_yaml_text *t, struct peri_diag *diag)
{
    size_t at = t->byte, start = line_start(t, at), content = line_content(t, start);
    if (find_colon(t, content, at) < at) {
        syntax(t, diag, "a second ':' in the same line", "put a text that has ': ' in it in quotes");
        return;
    }
    if (explain_dash(t, diag))
        return;
    size_t above = start;
    while (above > 0) {
        size_t end = above - 1;
        above = line_start(t, end);
        size_t first = line_content(t, above);
        if (first >= end || t->s[first] == '#' || t->s[first] == '\r')
            continue; /* blank or a comment */
        if (find_colon(t, first, line_end(t, above)) == line_end(t, above) &&
            strchr("'\"[]{},|>", t->s[first]) == NULL) {
            explain_missing_colon(t, first, diag);
            return;
        }
        break;
    }
    peri_yaml_text_seek_byte(t, content);
    syntax(t, diag, "this key is indented too far: the line above has its value already",
        "line it up with the key above, or put a text with ': ' in it in quotes");
}

/* The change for a line that is indented with tabs: two spaces for each. */
static void fix_tabs(const struct peri_yaml_text *t, struct peri_diag *diag)
{
    size_t start = t->byte, end, n = 0;
    char from[64], to[2 * sizeof(from) + 1];
    while (start > 0 && t->s[start - 1] != '\n' && t->s[start - 1] != '\r')
        start--;
    for (end = start; end < t->len && (t->s[end] == ' ' || t->s[end] == '\t') && end - start < sizeof(from) - 1;
         end++) {
        from[end - start] = t->s[end];
        for (int i = t->s[end] == '\t' ? 2 : 1; i > 0; i--)
            to[n++] = ' ';
    }
    from[end - start] = to[n] = '\0';
    if (memchr(from, '\t', end - start))
        peri_diag_fix(diag, (struct peri_place){t->file, t->line, 1}, from, to);
}

/* Whatever is wrong behind it, a tab before it is wrong first. */
static bool explain_tabs(struct peri_yaml_text *t, size_t problem, struct peri_diag *diag)
{
    peri_yaml_text_seek(t, problem);
    size_t tab = skip_blanks(t, line_start(t, t->byte));
    if (tab >= t->len || t->s[tab] != '\t')
        return false;
    peri_yaml_text_seek_byte(t, tab);
    syntax(t, diag, "a tab is used where spaces are needed", "indent with spaces");
    fix_tabs(t, diag);
    return true;
}

/* A space that does not count as one, in the indent of this line or of the ten above it: nobody sees it. */
static bool explain_odd_space(struct peri_yaml_text *t, size_t problem, struct peri_diag *diag)
{
    peri_yaml_text_seek(t, problem);
    size_t start = line_start(t, t->byte);
    for (int lines = 0; lines < 10; lines++) {
        size_t at = skip_blanks(t, start);
        if (at + 2 < t->len && (memcmp(t->s + at, "\xC2\xA0", 2) == 0 || memcmp(t->s + at, "\xE3\x80\x80", 3) == 0)) {
            peri_yaml_text_seek_byte(t, at);
            syntax(t, diag, "this space is no ordinary one (a no-break space)",
                "delete it, and indent with the space bar");
            return true;
        }
        if (start == 0)
            break;
        start = line_start(t, start - 1);
    }
    return false;
}

/* 'it's' ends before the s. The cursor is at the problem. */
static bool explain_quote(struct peri_yaml_text *t, struct peri_diag *diag)
{
    char before = t->byte > 0 ? t->s[t->byte - 1] : ' ';
    if ((before != '\'' && before != '"') || t->byte >= t->len || strchr(" \t\r\n,:#[]{}", t->s[t->byte]))
        return false;
    syntax(t, diag, "text after the closing quote", QUOTE_HINT);
    return true;
}

/* Quotes that a word processor makes are letters to YAML. The cursor is at the problem. */
static bool explain_curly_quote(struct peri_yaml_text *t, struct peri_diag *diag)
{
    for (size_t at = line_start(t, t->byte); at + 2 < t->byte; at++) {
        if (memcmp(t->s + at, "\xE2\x80", 2) != 0 || (unsigned char)t->s[at + 2] < 0x98 ||
            (unsigned char)t->s[at + 2] > 0x9F)
            continue;
        peri_yaml_text_seek_byte(t, at);
        syntax(t, diag, "a curly quote holds no text together", "write straight quotes: \"…\"");
        return true;
    }
    return false;
}

static void explain_char(struct peri_yaml_text *t, struct peri_diag *diag)
{
    char c = t->byte < t->len ? t->s[t->byte] : '\0';
    if (c == '\t')
        syntax(t, diag, "a tab is used where spaces are needed", "indent with spaces");
    else if (c == '@' || c == '`' || c == '%')
        peri_diag_add(diag, peri_yaml_text_place(t), PERI_SEV_ERROR, "yaml-syntax", "put it in quotes",
            "a text cannot start with '%c'", c);
    else
        unexpected(t, diag, "does the text need quotes?");
}

/* Something in a place where the next key was awaited. */
static void explain_key(struct peri_yaml_text *t, struct peri_diag *diag)
{
    size_t at = t->byte, before = at, start = line_start(t, at);
    while (before > start && t->s[before - 1] == ' ')
        before--;
    if (before > start && (t->s[before - 1] == '\'' || t->s[before - 1] == '"')) {
        syntax(t, diag, "text after the closing quote", QUOTE_HINT);
    } else if (before > start) {
        unexpected(t, diag, "does the text need quotes?");
    } else if (at + 1 < t->len && t->s[at] == '-' && strchr(" \r\n", t->s[at + 1])) {
        syntax(t, diag, "a list item where a key is expected",
            "a list stands under a key, \"key:\" on the line before, its items at one indent");
    } else if (at < t->len && t->s[at] == ':') {
        syntax(t, diag, "a key is missing before ':'", NULL);
    } else if (at < t->len && strchr("]}", t->s[at])) {
        unexpected(t, diag, "there is no bracket open that it closes");
    } else {
        syntax(t, diag, "this line does not line up with the lines above it",
            "keys of one mapping start in the same column");
    }
}

static void explain_bracket(struct peri_yaml_text *t, size_t open, size_t problem, char closer, struct peri_diag *diag)
{
    char c[8];
    peri_yaml_text_seek(t, open);
    int open_line = t->line;
    peri_yaml_text_seek(t, problem);
    if (t->line == open_line && t->byte < t->len) {
        char hint[64];
        snprintf(hint, sizeof(hint), "expected ',' or '%c'; does the text need quotes?", closer);
        peri_diag_add(
            diag, peri_yaml_text_place(t), PERI_SEV_ERROR, "yaml-syntax", hint, "unexpected %s here", name_char(t, c));
        return;
    }
    peri_yaml_text_seek(t, open);
    peri_diag_add(diag, peri_yaml_text_place(t), PERI_SEV_ERROR, "yaml-syntax", NULL, "this '%c' is not closed by '%c'",
        closer == ']' ? '[' : '{', closer);
}

/* Which words of the scanner mean what. at: 'c' the place of the context, 'p' of the problem. */
static const struct saying {
    const char *problem, *context;
    char at;
    const char *message, *hint;
} sayings[] = {
    {"unexpected end of stream", "quoted", 'c', "this quote is never closed", NULL},
    {"unexpected document indicator", "quoted", 'c', "this quote is never closed", NULL},
    {"block sequence entries", "", 'p', "a list item cannot start here",
        "put each item on a line of its own, under its key"},
    {"mapping keys are not", "", 'p', "a '?' cannot stand here", "put a text that starts with '? ' in quotes"},
    {"a tab character", "", 'p', "a tab is used where spaces are needed", "indent with spaces"},
    {"unknown escape", "", 'p', "unknown escape in a double-quoted text",
        "write \\\\ for a backslash, or use single quotes"},
    {"hexdecimal", "", 'p', "an escape needs hexadecimal digits: \\xFF, \\u20AC, \\U0001F600", NULL},
    {"Unicode character escape", "", 'p', "this escape names no character", NULL},
    {"alphabetic or numeric", "alias", 'c', "a text that starts with '*' needs quotes", "put all of it in quotes"},
    {"alphabetic or numeric", "anchor", 'c', "a text that starts with '&' needs quotes", "put all of it in quotes"},
    {"expected '-' indicator", "", 'p', "this line does not line up with the list items above it",
        "items of one list start in the same column with '- '"},
    {"comment or line break", "block scalar", 'p', "text after '|' or '>' must start on the next line",
        "put a text that starts with '|' or '>' in quotes"},
    {"indicator equal to 0", "", 'p', "the number after '|' or '>' must be 1 to 9", NULL},
    {"tag handle", "", 'p', "unknown tag", "a text that starts with '!' needs quotes"},
    {"", "a tag", 'c', "this tag is malformed", "a text that starts with '!' needs quotes"},
    {"", "directive", 'c', "a line that starts with '%' is a directive, and this one is not understood",
        "put the text in quotes"},
    {"%YAML", "", 'p', "a second %YAML line", "one is enough"},
    {"%TAG", "", 'p', "a second %TAG line of the same name", NULL},
    {"incompatible YAML", "", 'p', "another version of YAML", "leave the %YAML line out"},
};

void peri_yaml_text_fix_quotes(struct peri_yaml_text *t, struct peri_diag *diag, bool flow)
{
    size_t start = t->byte, end = start, last = start;
    for (int braces = 0; end < t->len && t->s[end] != '\n' && t->s[end] != '\r'; end++) {
        bool twice = end + 1 < t->len && t->s[end + 1] == t->s[end];
        if (t->s[end] == '#' && end > start && t->s[end - 1] == ' ')
            break;
        if (twice && (t->s[end] == '{' || (t->s[end] == '}' && braces > 0))) {
            braces += t->s[end] == '{' ? 1 : -1;
            end++;
        } else if (flow && braces == 0 && strchr(",]}", t->s[end])) {
            break;
        }
        if (t->s[end] != ' ' && t->s[end] != '\t')
            last = end + 1;
    }
    char from[1000], to[sizeof(from) + 2];
    size_t n = last - start;
    if (n == 0 || n >= sizeof(from))
        return;
    memcpy(from, t->s + start, n);
    from[n] = '\0';
    bool doubles = strpbrk(from, "\"\\");
    if (doubles && strchr(from, '\''))
        return;
    snprintf(to, sizeof(to), "%c%s%c", doubles ? '\'' : '"', from, doubles ? '\'' : '"');
    peri_diag_fix(diag, peri_yaml_text_place(t), from, to);
}

void peri_yaml_text_explain(struct peri_yaml_text *t, const char *context, size_t context_index, const char *problem,
    size_t problem_index, struct peri_diag *diag)
{
    if (!context)
        context = "";
    if (explain_tabs(t, problem_index, diag) || explain_odd_space(t, problem_index, diag))
        return;
    peri_yaml_text_seek(t, problem_index);
    if ((strstr(problem, "expected key") || strstr(problem, "'-' indicator")) && explain_dash(t, diag))
        return;
    if (peri_yaml_text_bare_template(t, problem_index)) {
        syntax(t, diag, "a template needs quotes", "write \"{{ … }}\"");
        peri_yaml_text_fix_quotes(t, diag, false);
        return;
    }
    peri_yaml_text_seek(t, problem_index);
    if (!strstr(context, "quoted") && (explain_quote(t, diag) || explain_curly_quote(t, diag)))
        return;
    if (strstr(problem, "could not find expected ':'")) {
        peri_yaml_text_seek(t, context_index);
        explain_missing_colon(t, t->byte, diag);
        return;
    }
    for (size_t i = 0; i < sizeof(sayings) / sizeof(sayings[0]); i++) {
        const struct saying *s = &sayings[i];
        if (strstr(problem, s->problem) && strstr(context, s->context)) {
            peri_yaml_text_seek(t, s->at == 'c' ? context_index : problem_index);
            syntax(t, diag, s->message, s->hint);
            return;
        }
    }
    peri_yaml_text_seek(t, problem_index);
    if (strstr(problem, "mapping values"))
        explain_colon(t, diag);
    else if (strstr(problem, "cannot start any token"))
        explain_char(t, diag);
    else if (strstr(problem, "',' or ']'"))
        explain_bracket(t, context_index, problem_index, ']', diag);
    else if (strstr(problem, "',' or '}'"))
        explain_bracket(t, context_index, problem_index, '}', diag);
    else if (strstr(problem, "expected key") || strstr(problem, "document start"))
        explain_key(t, diag);
    else
        unexpected(t, diag, "does the text need quotes?");
}
