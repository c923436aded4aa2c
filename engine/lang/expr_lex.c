/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/expr_lex.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum peri_status peri_expr_problem_set(
    struct peri_expr_problem *problem, size_t offset, const char *code, const char *hint, const char *fmt, ...)
{
    if (!problem)
        return PERI_EINVAL;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(problem->message, sizeof(problem->message), fmt, ap);
    va_end(ap);
    problem->offset = offset;
    snprintf(problem->code, sizeof(problem->code), "%s", code);
    snprintf(problem->hint, sizeof(problem->hint), "%s", hint ? hint : "");
    problem->from[0] = problem->to[0] = '\0';
    return PERI_EINVAL;
}

void peri_expr_problem_fix(struct peri_expr_problem *problem, const char *from, const char *to)
{
    if (!problem || strlen(from) >= sizeof(problem->from) || strlen(to) >= sizeof(problem->to))
        return;
    snprintf(problem->from, sizeof(problem->from), "%s", from);
    snprintf(problem->to, sizeof(problem->to), "%s", to);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(char c)
{
    return is_name_start(c) || is_digit(c);
}

static char peek(const struct expr_lexer *lx, size_t ahead)
{
    return ahead < lx->len - lx->at ? lx->text[lx->at + ahead] : '\0';
}

static enum peri_status take_value(struct expr_lexer *lx, struct peri_value *v, enum expr_token_kind kind)
{
    if (!v)
        return PERI_ENOMEM;
    lx->value = v;
    lx->kind = kind;
    return PERI_OK;
}

static enum peri_status lex_number(struct expr_lexer *lx)
{
    size_t start = lx->at, n = 0;
    bool real = false;
    char text[64];
    while (is_digit(peek(lx, n)))
        n++;
    if (peek(lx, n) == '.' && is_digit(peek(lx, n + 1))) {
        real = true;
        for (n++; is_digit(peek(lx, n)); n++)
            ;
    }
    size_t sign = peek(lx, n + 1) == '+' || peek(lx, n + 1) == '-' ? 1 : 0;
    if ((peek(lx, n) == 'e' || peek(lx, n) == 'E') && is_digit(peek(lx, n + 1 + sign))) {
        real = true;
        for (n += 1 + sign; is_digit(peek(lx, n)); n++)
            ;
    }
    if (is_name(peek(lx, n)))
        return peri_expr_problem_set(
            lx->problem, start, "syntax", "durations and other texts stand in quotes: '10m'", "malformed number");
    if (n >= sizeof(text))
        return peri_expr_problem_set(lx->problem, start, "syntax", NULL, "number with too many digits");
    memcpy(text, lx->text + start, n);
    text[n] = '\0';
    lx->at += n;
    long long i = 0;
    if (!real && peri_parse_i64(text, &i))
        return take_value(lx, peri_value_int(i), TOKEN_NUMBER);
    struct peri_value *v = peri_value_real(strtod(text, NULL));
    if (!v)
        return peri_expr_problem_set(lx->problem, start, "syntax", NULL, "number out of range");
    return take_value(lx, v, TOKEN_NUMBER);
}

/* \u{XXX}, after the backslash. */
static enum peri_status lex_code_point(struct expr_lexer *lx, struct peri_buf *buf)
{
    size_t start = lx->at - 1, digits = 0;
    unsigned code = 0;
    lx->at++;
    if (peek(lx, 0) != '{')
        goto bad;
    for (lx->at++; digits < 6 && peek(lx, 0) != '}'; lx->at++, digits++) {
        char c = peek(lx, 0), lower = (char)(c | 0x20);
        if (!is_digit(c) && (lower < 'a' || lower > 'f'))
            goto bad;
        code = code * 16 + (unsigned)(is_digit(c) ? c - '0' : lower - 'a' + 10);
    }
    if (peek(lx, 0) != '}' || digits == 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        goto bad;
    lx->at++;
    char utf8[4];
    return peri_buf_append(buf, utf8, peri_utf8_encode(code, utf8));
bad:
    return peri_expr_problem_set(lx->problem, start, "syntax", NULL, "write a character as \\u{20AC}");
}

static enum peri_status lex_escape(struct expr_lexer *lx, struct peri_buf *buf)
{
    static const char from[] = "ntr\\\"'/", to[] = "\n\t\r\\\"'/";
    size_t start = lx->at++;
    char c = peek(lx, 0);
    if (c == 'u')
        return lex_code_point(lx, buf);
    const char *found = c ? strchr(from, c) : NULL;
    if (!found)
        return peri_expr_problem_set(
            lx->problem, start, "syntax", "known: \\n \\t \\r \\\\ \\\" \\' \\u{20AC}", "unknown escape in a string");
    lx->at++;
    return peri_buf_putc(buf, to[found - from]);
}

static enum peri_status lex_string(struct expr_lexer *lx)
{
    size_t start = lx->at;
    char quote = lx->text[lx->at++];
    struct peri_buf buf;
    enum peri_status st = PERI_OK;
    peri_buf_init(&buf, lx->len + 8);
    while (lx->at < lx->len && lx->text[lx->at] != quote && st == PERI_OK) {
        if (lx->text[lx->at] == '\\')
            st = lex_escape(lx, &buf);
        else
            st = peri_buf_putc(&buf, lx->text[lx->at++]);
    }
    if (st == PERI_OK && lx->at >= lx->len)
        st = peri_expr_problem_set(lx->problem, start, "syntax", NULL, "this string has no closing %c", quote);
    if (st == PERI_OK) {
        lx->at++;
        st = take_value(lx, peri_value_strn(peri_buf_text(&buf), buf.len), TOKEN_STRING);
    }
    peri_buf_finish(&buf);
    return st;
}

static void lex_name(struct expr_lexer *lx)
{
    static const struct {
        const char *word;
        enum expr_token_kind kind;
    } words[] = {{"true", TOKEN_TRUE}, {"false", TOKEN_FALSE}, {"nil", TOKEN_NIL}, {"and", TOKEN_AND}, {"or", TOKEN_OR},
        {"not", TOKEN_NOT}};
    size_t n = 0;
    while (is_name(peek(lx, n)))
        n++;
    lx->kind = TOKEN_NAME;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strlen(words[i].word) == n && memcmp(words[i].word, lx->text + lx->at, n) == 0)
            lx->kind = words[i].kind;
    lx->at += n;
}

/* Operators of other languages that people try, and what they are called here. */
static const struct {
    const char *text, *instead, *hint;
} foreign[] = {
    {"!==", "~=", "\"not equal\" is ~="},
    {"!=", "~=", "\"not equal\" is ~="},
    {"<>", "~=", "\"not equal\" is ~="},
    {"===", "==", "\"equal\" is =="},
    {"=<", "<=", "write <="},
    {"=>", ">=", "write >="},
    {"=~", NULL, "match: {field: [{regex: \"...\"}]} looks for a regular expression"},
    {"&&", "and", "write and"},
    {"||", "or", "write or"},
    {"=", "==", "\"equal\" is =="},
    {"!", "not ", "write not"},
    {"//", NULL, "write floor(a / b)"},
    {"^", NULL, "there is no power operator"},
    {"?", NULL, "write if(condition, a, b)"},
    {"{", NULL, "there are no map literals; lists are [a, b]"},
    {"$json", "event", "the payload is called event"},
    {"$", NULL, "names start with a letter"},
};

static enum peri_status lex_operator(struct expr_lexer *lx)
{
    static const struct {
        const char *text;
        enum expr_token_kind kind;
    } ops[] = {{"==", TOKEN_EQ}, {"~=", TOKEN_NE}, {"<=", TOKEN_LE}, {">=", TOKEN_GE}, {"<", TOKEN_LT}, {">", TOKEN_GT},
        {"..", TOKEN_CONCAT}, {"+", TOKEN_PLUS}, {"-", TOKEN_MINUS}, {"*", TOKEN_STAR}, {"/", TOKEN_SLASH},
        {"%", TOKEN_PERCENT}, {"#", TOKEN_HASH}, {".", TOKEN_DOT}, {",", TOKEN_COMMA}, {"|", TOKEN_PIPE},
        {"(", TOKEN_OPEN}, {")", TOKEN_CLOSE}, {"[", TOKEN_OPEN_LIST}, {"]", TOKEN_CLOSE_LIST}};
    const char *hint = NULL;
    const char *rest = lx->text + lx->at;
    size_t left = lx->len - lx->at;
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]) && !hint; i++) {
        size_t n = strlen(foreign[i].text);
        if (left >= n && memcmp(rest, foreign[i].text, n) == 0 && !(n == 1 && left > 1 && memcmp(rest, "==", 2) == 0)) {
            bool brace = foreign[i].text[0] == '{' && strspn(lx->text, " ") == lx->at;
            enum peri_status st = peri_expr_problem_set(lx->problem, lx->at, "syntax",
                brace ? "two braces are enough: {{ … }}" : foreign[i].hint, "unknown %s \"%s\"",
                foreign[i].text[0] == '$' ? "name" : "operator", foreign[i].text);
            if (foreign[i].instead)
                peri_expr_problem_fix(lx->problem, foreign[i].text, foreign[i].instead);
            return st;
        }
    }
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        size_t n = strlen(ops[i].text);
        if (left >= n && memcmp(rest, ops[i].text, n) == 0) {
            lx->kind = ops[i].kind;
            lx->at += n;
            return PERI_OK;
        }
    }
    unsigned code = 0;
    size_t size = peri_utf8_decode(rest, left, &code);
    if (code < 0x20)
        return peri_expr_problem_set(lx->problem, lx->at, "syntax", NULL, "unexpected control character U+%04X", code);
    bool curly = code >= 0x2018 && code <= 0x201F;
    return peri_expr_problem_set(lx->problem, lx->at, "syntax",
        curly ? "a text stands in straight quotes: 'text'" : NULL, "unexpected \"%.*s\"", (int)size, rest);
}

enum peri_status peri_expr_lex(struct expr_lexer *lx)
{
    peri_value_unref(lx->value);
    lx->value = NULL;
    while (lx->at < lx->len && lx->text[lx->at] && strchr(" \t\r\n", lx->text[lx->at]))
        lx->at++;
    lx->offset = lx->at;
    enum peri_status st = PERI_OK;
    char c = peek(lx, 0);
    if (lx->at >= lx->len)
        lx->kind = TOKEN_END;
    else if (is_digit(c))
        st = lex_number(lx);
    else if (c == '"' || c == '\'')
        st = lex_string(lx);
    else if (is_name_start(c))
        lex_name(lx);
    else
        st = lex_operator(lx);
    lx->size = lx->at - lx->offset;
    return st;
}
