/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/str.h"
#include "data/json_plain.h"

/* Is it JSON that peri_json_parse takes? Most texts are settled in one pass that makes nothing. What is unusual (keys
 * with escapes, \u, numbers that may be out of range) and whatever looks wrong is left to the parser, which also says
 * where. So this need only never take what the parser refuses; test_json.c and the fuzz target of JSON compare them. */

/* How many bytes, in steps of eight, are of a string and nothing but that: no quote, backslash, control or high byte.
 */
static size_t plain_words(const char *s, size_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    size_t i = 0;
    for (uint64_t word; i + sizeof(word) <= len; i += sizeof(word)) {
        memcpy(&word, s + i, sizeof(word));
        uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
        if ((word | (word - ones * 0x20) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & high)
            break;
    }
    return i;
}

enum { PLAIN, QUOTE, BACKSLASH, CONTROL, HIGH };

static int kind_of(unsigned char c)
{
    if (c >= 0x80)
        return HIGH;
    return c == '"' ? QUOTE : c == '\\' ? BACKSLASH : c < 0x20 ? CONTROL : PLAIN;
}

struct check {
    const char *at, *end;
    bool high; /* bytes outside ASCII were seen */
};

/* Behind the opening quote; to behind the closing one. */
static bool skip_string(struct check *c, bool is_key)
{
    c->at += plain_words(c->at, (size_t)(c->end - c->at));
    while (c->at < c->end) {
        int kind = kind_of((unsigned char)*c->at++);
        if (kind == PLAIN)
            continue;
        if (kind == QUOTE)
            return true;
        if (kind == CONTROL || (kind == BACKSLASH && is_key))
            return false;
        c->high |= kind == HIGH;
        if (kind != BACKSLASH)
            continue;
        char next = c->at < c->end ? *c->at++ : 'u';
        if (next != '"' && next != '\\' && next != '/' && next != 'b' && next != 'f' && next != 'n' && next != 'r' &&
            next != 't')
            return false;
    }
    return false;
}

static size_t skip_digits(struct check *c)
{
    const char *from = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    return (size_t)(c->at - from);
}

/* Without exponent, and of a length that fits any number. */
static bool skip_number(struct check *c)
{
    if (*c->at == '-')
        c->at++;
    bool zero = c->at < c->end && *c->at == '0';
    size_t whole = skip_digits(c);
    if (whole == 0 || whole > 18 || (zero && whole > 1))
        return false;
    if (c->at < c->end && *c->at == '.') {
        c->at++;
        size_t fraction = skip_digits(c);
        if (fraction == 0 || fraction > 40)
            return false;
    }
    return c->at == c->end || (*c->at | 0x20) != 'e';
}

static bool skip_word(struct check *c, const char *word, size_t len)
{
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0)
        return false;
    c->at += len;
    return true;
}

static void skip_blanks(struct check *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t' || *c->at == '\r'))
        c->at++;
}

/* A value that is no container. */
static bool skip_scalar(struct check *c)
{
    switch (*c->at) {
    case '"':
        c->at++;
        return skip_string(c, false);
    case 't':
        return skip_word(c, "true", 4);
    case 'f':
        return skip_word(c, "false", 5);
    case 'n':
        return skip_word(c, "null", 4);
    default:
        return skip_number(c);
    }
}

/* The key of a member and its colon. */
static bool skip_key(struct check *c)
{
    skip_blanks(c);
    if (c->at == c->end || *c->at++ != '"' || !skip_string(c, true))
        return false;
    skip_blanks(c);
    return c->at < c->end && *c->at++ == ':';
}

/* After a value: closes containers. False: wrong; *ret_more: another value follows, its key is behind us. */
static bool go_on(struct check *c, uint64_t *objects, int *depth, bool *ret_more)
{
    *ret_more = false;
    while (*depth > 0) {
        skip_blanks(c);
        if (c->at == c->end)
            return false;
        bool object = *objects & 1;
        char next = *c->at++;
        if (next == ',') {
            *ret_more = true;
            return !object || skip_key(c);
        }
        if (next != (object ? '}' : ']'))
            return false;
        *objects >>= 1;
        --*depth;
    }
    return true;
}

static bool is_plain(struct check *c)
{
    uint64_t objects = 0; /* one bit for each container around the place, the innermost lowest; 1: an object */
    int depth = 0;
    for (bool more = true; more;) {
        skip_blanks(c);
        if (c->at == c->end)
            return false;
        char open = *c->at;
        if (open == '{' || open == '[') {
            if (depth == PERI_JSON_DEPTH)
                return false;
            c->at++;
            depth++;
            objects = objects << 1 | (open == '{');
            skip_blanks(c);
            bool empty = c->at < c->end && *c->at == (open == '{' ? '}' : ']');
            if (!empty && open == '{' && !skip_key(c))
                return false;
            if (!empty)
                continue;
        } else if (!skip_scalar(c)) {
            return false;
        }
        if (!go_on(c, &objects, &depth, &more))
            return false;
    }
    skip_blanks(c);
    return c->at == c->end;
}

bool peri_json_is_plain(const char *text, size_t len)
{
    struct check c = {.at = text, .end = text + len};
    return is_plain(&c) && (!c.high || peri_utf8_valid(text, len, NULL));
}

enum peri_status peri_json_check(const char *text, size_t len, struct peri_error *err)
{
    struct peri_value *value = NULL;
    if (peri_json_is_plain(text, len))
        return PERI_OK;
    enum peri_status st = peri_json_parse(text, len, &value, err);
    peri_value_unref(value);
    return st;
}
