/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_TESTS_PATTERN_RANDOM_H
#define PERI_TESTS_PATTERN_RANDOM_H

#include <stdint.h>

#include "base/buf.h"

/* Random patterns and events with a small vocabulary in common, so that about half of the pairs match or nearly do. */

struct maker {
    uint64_t state;
    struct peri_buf *out;
    int keys; /* how many names are used: few make more hits and more conflicts */
    bool arrays, repeats;
};

static unsigned pick(struct maker *g, unsigned n)
{
    g->state ^= g->state << 13;
    g->state ^= g->state >> 7;
    g->state ^= g->state << 17;
    return (unsigned)((g->state >> 11) % n);
}

#define PICK(g, list) (list)[pick(g, sizeof(list) / sizeof((list)[0]))]

static void put(struct maker *g, const char *text)
{
    (void)peri_buf_puts(g->out, text);
}

static const char *const random_keys[] = {
    "a", "b", "c", "o", "a long key of many words", "seven-7", "eight--8", "\xc3\xa9", "", "x.y", "nine----9"};
static const char *const random_texts[] = {"", "a", "b", "ab", "abc", "abcd", "ABC", "aBcD", "bc", "cab", "\xc3\xa9",
    "\xc3\x89", "\xc3\x89t\xc3\xa9", "\xe2\x84\xaa", "k", "10.0.0.1", "10.1.2.3", "192.168.1.1", "::1", "2001:db8::5",
    "10.0.0", "1", "true", "a*b", "prefix-of-something-long", "prefix-of-something-else", "prefix-of-nothing",
    "the quick brown fox jumps over the lazy dog and on and on until more than sixty-four bytes are there",
    "the quick brown cat", "a/b/c", "x"};
static const char *const random_numbers[] = {"0", "-0", "1", "1.0", "2", "2.5", "25e-1", "-1", "300", "3e2", "3.0E+2",
    "300.5", "1e400", "9007199254740993", "9007199254740992", "0.1", "0.10000000000000001", "1e-7",
    "123456789012345678", "0.30000000000000004", "1000000", "5e-324", "-122.42200352825247", "1e22", "1e23"};

static void put_key(struct maker *g, bool event)
{
    const char *key = random_keys[pick(g, (unsigned)g->keys)];
    put(g, "\"");
    if (event && key[0] && pick(g, 12) == 0)
        (void)peri_buf_printf(g->out, "\\u%04x%s", (unsigned char)key[0] < 0x80 ? (unsigned char)key[0] : 0xe9u,
            (unsigned char)key[0] < 0x80 ? key + 1 : key + 2);
    else
        put(g, key);
    put(g, "\"");
}

static void put_text(struct maker *g)
{
    put(g, "\"");
    unsigned kind = pick(g, 12);
    put(g, PICK(g, random_texts));
    if (kind == 0)
        put(g, PICK(g, random_texts));
    if (kind == 1)
        put(g, "\\u0041\\n\\\\");
    if (kind == 2)
        put(g, "\\ud83d\\ude00\\\"");
    put(g, "\"");
}

static void put_scalar(struct maker *g)
{
    static const char *const words[] = {"true", "false", "null"};
    unsigned kind = pick(g, 10);
    if (kind < 6)
        put_text(g);
    else if (kind < 9)
        put(g, PICK(g, random_numbers));
    else
        put(g, PICK(g, words));
}

/* --- patterns --- */

/* A part of some text, so that the operators hit. */
static void put_part(struct maker *g, bool full)
{
    const char *text = PICK(g, random_texts);
    size_t len = strlen(text), from = 0, to = len;
    if (!full && len > 1 && !strchr(text, '\xc3') && !strchr(text, '\xe2')) {
        from = pick(g, 2) ? 0 : pick(g, (unsigned)len);
        to = pick(g, 2) ? len : from + 1 + pick(g, (unsigned)(len - from));
    }
    put(g, "\"");
    for (size_t i = from; i < to; i++) {
        if (text[i] == '*')
            put(g, "-");
        else
            (void)peri_buf_putc(g->out, text[i]);
    }
    put(g, from == to ? "a\"" : "\"");
}

static void put_wildcard_text(struct maker *g)
{
    static const char *const cards[] = {"*", "a*", "*c", "a*c", "*b*", "a*b*d", "", "abc", "prefix*long", "*-of-*",
        "*quick*fox*", "the*dog*", "*o*e*", "1*.*.1", "a\\\\*b", "*something*", "prefix-of-something*", "*ABC",
        "\xc3\x89*", "*\xc3\xa9", "*/b/*", "a*b*c*d", "*a*", "x*", "*lazy*sixty*there", "*until*more*bytes*are*"};
    put(g, "\"");
    put(g, PICK(g, cards));
    put(g, "\"");
}

static void put_fold(struct maker *g, void (*inner)(struct maker *g))
{
    bool fold = pick(g, 3) == 0;
    put(g, fold ? "{\"equals-ignore-case\":" : "");
    inner(g);
    put(g, fold ? "}" : "");
}

static void part(struct maker *g)
{
    put_part(g, false);
}

static void put_list(struct maker *g, void (*item)(struct maker *g))
{
    unsigned n = pick(g, 3);
    if (n == 0) {
        item(g);
        return;
    }
    put(g, "[");
    for (unsigned i = 0; i < n; i++) {
        put(g, i ? "," : "");
        item(g);
    }
    put(g, "]");
}

static void number(struct maker *g)
{
    put(g, PICK(g, random_numbers));
}

static void folded_part(struct maker *g)
{
    put_fold(g, part);
}

static void folded_card(struct maker *g)
{
    put_fold(g, put_wildcard_text);
}

static void put_but(struct maker *g)
{
    put(g, "{\"anything-but\":");
    switch (pick(g, 6)) {
    case 0:
        put_list(g, number);
        break;
    case 1:
        put_list(g, put_text);
        break;
    case 2:
        put(g, "{\"prefix\":");
        put_list(g, folded_part);
        put(g, "}");
        break;
    case 3:
        put(g, "{\"suffix\":");
        put_list(g, folded_part);
        put(g, "}");
        break;
    case 4:
        put(g, "{\"equals-ignore-case\":");
        put_list(g, put_text);
        put(g, "}");
        break;
    default:
        put(g, "{\"wildcard\":");
        put_list(g, folded_card);
        put(g, "}");
    }
    put(g, "}");
}

static void put_numeric(struct maker *g)
{
    static const char *const ranges[] = {"\"=\",0", "\"=\",2.5", "\"<\",1", "\"<=\",1", "\">\",0", "\">=\",300",
        "\">\",0,\"<\",300", "\">=\",1,\"<=\",2.5", "\">\",-200,\"<\",-100", "\">=\",0.1,\"<\",0.30000000000000004",
        "\"<\",0", "\">\",1e22", "\">\",299,\"<=\",300"};
    (void)peri_buf_printf(g->out, "{\"numeric\":[%s]}", PICK(g, ranges));
}

static void put_alternative(struct maker *g, bool inside_all)
{
    static const char *const nets[] = {
        "10.0.0.0/8", "10.0.0.0/15", "0.0.0.0/0", "::/0", "2001:db8::/32", "10.1.2.3/32", "::1/128", "192.168.0.0/23"};
    static const char *const regexes[] = {"^a", "b.*c", "(?i)ABC", "^[0-9.]+$", "x|fox"};
    switch (pick(g, 18)) {
    case 0:
    case 1:
    case 2:
    case 3:
        put_scalar(g);
        break;
    case 4:
    case 5:
        put(g, "{\"prefix\":");
        folded_part(g);
        put(g, "}");
        break;
    case 6:
    case 7:
        put(g, "{\"suffix\":");
        folded_part(g);
        put(g, "}");
        break;
    case 8:
        put(g, "{\"equals-ignore-case\":");
        put_text(g);
        put(g, "}");
        break;
    case 9:
    case 10:
        put(g, "{\"wildcard\":");
        folded_card(g);
        put(g, "}");
        break;
    case 11:
        put_but(g);
        break;
    case 12:
    case 13:
        put_numeric(g);
        break;
    case 14:
        put(g, pick(g, 3) && !inside_all ? "{\"exists\":false}" : "{\"exists\":true}");
        break;
    case 15:
        (void)peri_buf_printf(g->out, "{\"cidr\":\"%s\"}", PICK(g, nets));
        break;
    case 16:
        if (pick(g, 2)) {
            (void)peri_buf_printf(g->out, "{\"regex\":\"%s\"}", PICK(g, regexes));
            break;
        }
        put(g, "{\"all\":[");
        for (unsigned i = 0, n = 1 + pick(g, 3); i < n; i++) {
            put(g, i ? "," : "");
            put_alternative(g, true);
        }
        put(g, "]}");
        break;
    default:
        put_text(g);
    }
}

static void put_pattern(struct maker *g, int depth);

static void put_leaf(struct maker *g)
{
    put(g, "[");
    for (unsigned i = 0, n = 1 + (pick(g, 3) ? 0 : pick(g, 4)); i < n; i++) {
        put(g, i ? "," : "");
        put_alternative(g, false);
    }
    put(g, "]");
}

static void put_pattern(struct maker *g, int depth)
{
    unsigned used = 0, n = 1 + (pick(g, 2) ? 0 : pick(g, 3)), done = 0;
    put(g, "{");
    for (unsigned i = 0; i < n; i++) {
        unsigned key = pick(g, (unsigned)g->keys);
        if (used & 1u << key)
            continue;
        used |= 1u << key;
        (void)peri_buf_printf(g->out, "%s\"%s\":", done++ ? "," : "", random_keys[key]);
        if (depth > 0 && pick(g, 3) == 0)
            put_pattern(g, depth - 1);
        else
            put_leaf(g);
    }
    if (depth > 0 && pick(g, 5) == 0) {
        put(g, ",\"$or\":[");
        for (unsigned i = 0, k = 2 + pick(g, 2); i < k; i++) {
            put(g, i ? "," : "");
            put_pattern(g, depth - 1);
        }
        put(g, "]");
    }
    put(g, "}");
}

/* --- events --- */

static void put_blank(struct maker *g)
{
    static const char *const blanks[] = {
        " ", "\n", "\t", "\r\n  ", "                                                   "};
    if (pick(g, 12) == 0)
        put(g, PICK(g, blanks));
}

static void put_value(struct maker *g, int depth);

static void put_object(struct maker *g, int depth)
{
    unsigned used = 0, done = 0;
    put(g, "{");
    for (unsigned i = 0, n = pick(g, 5); i < n; i++) {
        uint64_t before = g->state;
        unsigned key = pick(g, (unsigned)g->keys);
        if (!g->repeats && used & 1u << key)
            continue;
        used |= 1u << key;
        put(g, done++ ? "," : "");
        put_blank(g);
        g->state = before;
        put_key(g, true);
        put_blank(g);
        put(g, ":");
        put_blank(g);
        put_value(g, depth);
        put_blank(g);
    }
    put_blank(g);
    put(g, "}");
}

static void put_value(struct maker *g, int depth)
{
    unsigned kind = pick(g, 8);
    if (depth > 0 && kind < 3) {
        put_object(g, depth - 1);
    } else if (depth > 0 && kind == 3 && g->arrays) {
        put(g, "[");
        for (unsigned i = 0, n = pick(g, 4); i < n; i++) {
            put(g, i ? "," : "");
            put_blank(g);
            put_value(g, depth - 1);
            put_blank(g);
        }
        put_blank(g);
        put(g, "]");
    } else {
        put_scalar(g);
    }
}

static void put_event(struct maker *g)
{
    put_blank(g);
    g->arrays = pick(g, 3) != 0;
    g->repeats = pick(g, 4) == 0;
    if (pick(g, 40) == 0)
        put_value(g, 3);
    else
        put_object(g, 4);
    put_blank(g);
}

#endif
