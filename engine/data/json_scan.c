/* SPDX-License-Identifier: Apache-2.0 */
#include "data/json_scan.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"

#define SCAN_MAX (UINT32_MAX / 2) /* bytes of text, so that offsets and item numbers fit in 32 bits */

struct scan {
    struct peri_json_tape *tape;
    const char *text, *at, *end;
    struct peri_error *err;
    uint32_t open[PERI_JSON_DEPTH]; /* the containers around the current place */
    int depth;
};

static enum peri_status fail(struct scan *s, const char *at, const char *what)
{
    size_t line = 1, column = 1;
    for (const char *p = s->text; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if ((*p & 0xc0) != 0x80) {
            column++;
        }
    }
    return peri_error_set(s->err, PERI_EINVAL, "json", "line %zu, column %zu: %s", line, column, what);
}

static void skip_blanks(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
        s->at++;
}

/* Four hex digits, or -1. */
static int hex4(const char *p, const char *end)
{
    int code = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int c = (unsigned char)p[i], digit = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
        if (!isxdigit(c))
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

static enum peri_status scan_escape(struct scan *s)
{
    const char *start = s->at++;
    char c = s->at < s->end ? *s->at++ : '\0';
    if (c && strchr("\"\\/bfnrt", c))
        return PERI_OK;
    int code = c == 'u' ? hex4(s->at, s->end) : -1;
    if (code < 0)
        return fail(s, start, "invalid escape in a string");
    s->at += 4;
    if (code < 0xd800 || code > 0xdfff)
        return PERI_OK;
    int low =
        code < 0xdc00 && s->end - s->at >= 6 && s->at[0] == '\\' && s->at[1] == 'u' ? hex4(s->at + 2, s->end) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return fail(s, start, "half a surrogate pair in a string");
    s->at += 6;
    return PERI_OK;
}

/* At an opening quote; leaves the slice between the quotes. */
static enum peri_status scan_string(struct scan *s, uint32_t *ret_off, uint32_t *ret_len, bool *ret_escaped)
{
    const char *start = ++s->at;
    *ret_escaped = false;
    while (s->at < s->end && *s->at != '"') {
        if ((unsigned char)*s->at < 0x20)
            return fail(s, s->at, "control character in a string");
        if (*s->at != '\\') {
            s->at++;
            continue;
        }
        *ret_escaped = true;
        enum peri_status st = scan_escape(s);
        if (st != PERI_OK)
            return st;
    }
    if (s->at == s->end)
        return fail(s, start - 1, "string without an end");
    *ret_off = (uint32_t)(start - s->text);
    *ret_len = (uint32_t)(s->at - start);
    s->at++;
    return PERI_OK;
}

static bool digits(struct scan *s)
{
    const char *start = s->at;
    while (s->at < s->end && isdigit((unsigned char)*s->at))
        s->at++;
    return s->at > start;
}

static enum peri_status scan_number(struct scan *s, struct peri_json_item *item)
{
    const char *start = s->at;
    if (*s->at == '-')
        s->at++;
    const char *whole = s->at;
    if (!digits(s) || (*whole == '0' && s->at > whole + 1))
        return fail(s, start, "malformed number");
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (!digits(s))
            return fail(s, start, "malformed number");
    }
    if (s->at < s->end && (*s->at | 0x20) == 'e') {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        if (!digits(s))
            return fail(s, start, "malformed number");
    }
    item->kind = PERI_JSON_NUMBER;
    item->len = (uint32_t)(s->at - start);
    return PERI_OK;
}

static enum peri_status scan_word(struct scan *s, struct peri_json_item *item)
{
    static const struct {
        const char *word;
        size_t len;
        enum peri_json_kind kind;
    } words[] = {{"true", 4, PERI_JSON_TRUE}, {"false", 5, PERI_JSON_FALSE}, {"null", 4, PERI_JSON_NULL}};
    for (size_t i = 0; i < 3; i++) {
        if ((size_t)(s->end - s->at) >= words[i].len && memcmp(s->at, words[i].word, words[i].len) == 0) {
            item->kind = words[i].kind;
            item->len = (uint32_t)words[i].len;
            s->at += words[i].len;
            return PERI_OK;
        }
    }
    return fail(s, s->at, s->at == s->end ? "the text ends before the value" : "a value is expected");
}

/* Reads a value; of a container only the opening bracket, which is pushed. key is an item with its key set, or NULL. */
static enum peri_status scan_value(struct scan *s, const struct peri_json_item *key)
{
    struct peri_json_tape *tape = s->tape;
    struct peri_json_item item = key ? *key : (struct peri_json_item){0};
    enum peri_status st = PERI_OK;
    item.off = (uint32_t)(s->at - s->text);
    char c = s->at < s->end ? *s->at : '\0';
    if (c == '{' || c == '[') {
        item.kind = c == '{' ? PERI_JSON_OBJECT : PERI_JSON_ARRAY;
        if (s->depth == PERI_JSON_DEPTH)
            return fail(s, s->at, "nested more than 64 levels deep");
        s->open[s->depth++] = (uint32_t)tape->count;
        s->at++;
    } else if (c == '"') {
        item.kind = PERI_JSON_STRING;
        st = scan_string(s, &item.off, &item.len, &item.escaped);
    } else if (c == '-' || isdigit((unsigned char)c)) {
        st = scan_number(s, &item);
    } else {
        st = scan_word(s, &item);
    }
    if (st != PERI_OK)
        return st;
    if (!peri_vec_grow(&tape->items, &tape->cap, tape->count + 1, sizeof(*tape->items)))
        return peri_error_nomem(s->err);
    tape->items[tape->count++] = item;
    tape->items[tape->count - 1].end = (uint32_t)tape->count;
    return PERI_OK;
}

static enum peri_status scan_member(struct scan *s)
{
    struct peri_json_item key = {0};
    if (s->at == s->end || *s->at != '"')
        return fail(s, s->at, "a key in double quotes is expected");
    enum peri_status st = scan_string(s, &key.key, &key.key_len, &key.key_escaped);
    if (st != PERI_OK)
        return st;
    skip_blanks(s);
    if (s->at == s->end || *s->at != ':')
        return fail(s, s->at, "a colon is expected after the key");
    s->at++;
    skip_blanks(s);
    return scan_value(s, &key);
}

/* After a value or an opening bracket: closes containers and comes to the next value, until all are closed. */
static enum peri_status scan_rest(struct scan *s)
{
    while (s->depth > 0) {
        uint32_t top = s->open[s->depth - 1];
        struct peri_json_item *item = &s->tape->items[top];
        bool object = item->kind == PERI_JSON_OBJECT, first = s->tape->count == top + 1;
        skip_blanks(s);
        if (s->at < s->end && *s->at == (object ? '}' : ']')) {
            s->at++;
            item->end = (uint32_t)s->tape->count;
            item->len = (uint32_t)(s->at - s->text) - item->off;
            s->depth--;
            continue;
        }
        if (!first) {
            if (s->at == s->end || *s->at != ',')
                return fail(s, s->at, object ? "a comma or } is expected" : "a comma or ] is expected");
            s->at++;
            skip_blanks(s);
        }
        enum peri_status st = object ? scan_member(s) : scan_value(s, NULL);
        if (st != PERI_OK)
            return st;
    }
    return PERI_OK;
}

enum peri_status peri_json_scan(const char *text, size_t len, struct peri_json_tape *tape, struct peri_error *err)
{
    struct scan s = {.tape = tape, .text = text, .at = text, .end = text + len, .err = err};
    size_t bad;
    tape->text = text;
    tape->count = 0;
    if (len > SCAN_MAX)
        return peri_error_set(err, PERI_EINVAL, "json", "line 1, column 1: the text is too large");
    if (!peri_utf8_valid(text, len, &bad))
        return fail(&s, text + bad, "malformed UTF-8");
    skip_blanks(&s);
    enum peri_status st = scan_value(&s, NULL);
    if (st == PERI_OK)
        st = scan_rest(&s);
    if (st != PERI_OK)
        return st;
    skip_blanks(&s);
    return s.at == s.end ? PERI_OK : fail(&s, s.at, "text after the end of the value");
}

void peri_json_tape_finish(struct peri_json_tape *tape)
{
    free(tape->items);
    memset(tape, 0, sizeof(*tape));
}

size_t peri_json_unescape(const char *s, size_t len, char *out)
{
    const char *end = s + len;
    char *o = out;
    while (s < end) {
        const char *slash = memchr(s, '\\', (size_t)(end - s));
        size_t plain = (size_t)((slash ? slash : end) - s);
        memcpy(o, s, plain);
        o += plain;
        s += plain;
        if (s == end)
            break;
        static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
        const char *known = strchr(from, s[1]);
        if (s[1] != 'u') {
            *o++ = known ? to[known - from] : s[1];
            s += 2;
            continue;
        }
        unsigned code = (unsigned)hex4(s + 2, end);
        s += 6;
        if (code >= 0xd800 && code < 0xdc00) {
            code = 0x10000 + ((code - 0xd800) << 10) + ((unsigned)hex4(s + 2, end) - 0xdc00);
            s += 6;
        }
        o += peri_utf8_encode(code, o);
    }
    return (size_t)(o - out);
}

struct peri_value *peri_json_item_value(const struct peri_json_tape *tape, size_t at)
{
    const struct peri_json_item *item = &tape->items[at];
    const char *s = tape->text + item->off;
    size_t quotes = item->kind == PERI_JSON_STRING ? 1 : 0;
    struct peri_value *v = NULL;
    if (peri_json_parse(s - quotes, item->len + 2 * quotes, &v, NULL) == PERI_OK)
        return v;
    return peri_value_strn(s, item->len);
}
