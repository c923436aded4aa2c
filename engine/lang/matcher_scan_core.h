/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_MATCHER_SCAN_CORE_H
#define PERI_LANG_MATCHER_SCAN_CORE_H

/* JSON checked 64 bytes a step, with one bit for each byte. A kernel (matcher_scan.c, matcher_scan_x86.c) says which
 * bytes are which characters; all else is done here with shifts and additions on 64-bit words:
 *
 * - Strings: the bits between unescaped quotes.
 * - Grammar: for each class of tokens, where the next token must begin (follow), and what it may be.
 * - Objects and arrays: brackets are visited one by one, with a bit stack; between them the context does not change.
 * - Numbers: runs of digits are passed by an addition whose carry comes out behind the run.
 *
 * What is wrong is collected in one word and looked at once, at the end. Whatever is carried into the next block is in
 * struct scan_state. */

#include <stdbool.h>
#include <string.h>

#include "data/json.h"
#include "lang/matcher_scan.h"

#define SCAN_INLINE static inline __attribute__((always_inline))
#define SCAN_BLOCK 64

struct scan_masks {
    uint64_t quote, slash, control, open, close, object, comma, colon, blank, high;
};

struct scan_numbers {
    uint64_t digit, zero, dot, exp, plus, minus;
};

/* A kernel works on a copy whose address goes nowhere, so that it can stay in registers. */
struct scan_state {
    struct matcher_scan *out;
    const unsigned char *text;
    size_t len;
    uint64_t *quotes, *colons; /* as in out */
    struct matcher_open *opens;
    size_t open_count, open_cap;
    uint64_t slashes;
    uint64_t wrong;
    uint64_t escaped;   /* the first byte of the next block is escaped */
    uint64_t in_string; /* all ones, or zero */
    uint64_t in_key;    /* the string under way is a key */
    uint64_t scalar;    /* the last byte was of a number or word */
    /* tokens that the next token must follow: bit 0 */
    uint64_t want_key, want_value, no_close, want_colon, want_end;
    /* numbers */
    uint64_t after_minus, after_zero, whole, after_dot, fraction, after_exp, after_sign, exponent;
    uint64_t number_open; /* any of those */
    int word_over;        /* bytes of a word in the next block, -1: none */
    size_t low_at;        /* where the second half of a surrogate pair must be, 1: nowhere */
    uint64_t stack;       /* a bit for each open container: is it an object? */
    unsigned depth;
    bool done;                   /* the outermost container is closed */
    uint32_t *open;              /* PERI_JSON_DEPTH: the open containers */
    size_t high_first, high_end; /* blocks with bytes beyond ASCII */
    bool nomem;
};

/* Makes room for the brackets of one block behind count. */
bool matcher_scan_grow(struct matcher_scan *scan, size_t count);
/* The escape at text[at], a backslash that is not escaped itself. Returns the new low_at, 0 when it is malformed. */
size_t matcher_scan_escape(const unsigned char *text, size_t len, size_t at, size_t low_at);
/* The word (true, false, null) at text[at]; returns its length, 0 when there is none. */
size_t matcher_scan_word(const unsigned char *text, size_t len, size_t at);

SCAN_INLINE uint64_t scan_bit(size_t i)
{
    return UINT64_C(1) << i;
}

/* Bits from a quote to before the next one. */
SCAN_INLINE uint64_t scan_between(uint64_t quotes)
{
    quotes ^= quotes << 1;
    quotes ^= quotes << 2;
    quotes ^= quotes << 4;
    quotes ^= quotes << 8;
    quotes ^= quotes << 16;
    quotes ^= quotes << 32;
    return quotes;
}

/* at: the bytes after tokens. Returns the next bytes that are not blank; the carry goes to the next block. */
SCAN_INLINE uint64_t scan_follow(uint64_t at, uint64_t top, uint64_t blank, uint64_t *carry)
{
    uint64_t run = at & blank, sum = run + blank;
    *carry = top >> 63 | (sum < run);
    return (at | sum) & ~blank;
}

/* Runs of set bits that begin at the given ones: the bits behind their ends. */
SCAN_INLINE uint64_t scan_through(uint64_t begin, uint64_t runs, uint64_t *carry)
{
    uint64_t sum = begin + runs;
    *carry = sum < begin;
    return sum & ~runs;
}

SCAN_INLINE void scan_escapes(struct scan_state *s, size_t base, uint64_t slash, uint64_t *quote)
{
    uint64_t escaped = s->escaped;
    s->escaped = 0;
    s->slashes = 1;
    slash &= ~escaped;
    while (slash) {
        size_t i = (size_t)__builtin_ctzll(slash);
        s->low_at = matcher_scan_escape(s->text, s->len, base + i, s->low_at);
        s->wrong |= !s->low_at;
        if (i == 63) {
            s->escaped = 1;
            break;
        }
        escaped |= scan_bit(i + 1);
        slash &= ~(UINT64_C(3) << i);
    }
    *quote &= ~escaped;
}

/* Visits the brackets of a block; returns the bytes that stand in objects. */
SCAN_INLINE uint64_t scan_brackets(struct scan_state *s, size_t base, uint64_t open, uint64_t close, uint64_t object)
{
    uint64_t in_object = s->depth && s->stack & 1 ? ~UINT64_C(0) : 0;
    uint64_t rest = open | close;
    if (!rest)
        return in_object;
    if (s->open_cap - s->open_count < SCAN_BLOCK) {
        s->nomem = !matcher_scan_grow(s->out, s->open_count);
        s->opens = s->out->opens;
        s->open_cap = s->out->open_cap;
        if (s->nomem)
            return 0;
    }
    while (rest) {
        size_t i = (size_t)__builtin_ctzll(rest);
        uint64_t bit = rest & -rest, kind = object >> i & 1;
        rest ^= bit;
        if (open & bit) {
            if (s->depth == PERI_JSON_DEPTH) {
                s->wrong = 1;
                break;
            }
            s->open[s->depth++] = (uint32_t)s->open_count;
            s->stack = s->stack << 1 | kind;
            s->opens[s->open_count++].at = (uint32_t)(base + i);
        } else {
            if (!s->depth || (s->stack & 1) != kind) {
                s->wrong = 1;
                break;
            }
            struct matcher_open *o = &s->opens[s->open[--s->depth]];
            s->stack >>= 1;
            o->end = (uint32_t)(base + i);
            o->next = (uint32_t)s->open_count;
        }
        uint64_t above = ~(bit | (bit - 1));
        in_object = s->stack & 1 ? in_object | above : in_object & ~above;
    }
    return in_object;
}

/* Numbers and words. scalar: their bytes; starts: the first ones. */
SCAN_INLINE void scan_scalars(
    struct scan_state *s, size_t base, uint64_t scalar, uint64_t starts, const struct scan_numbers *n)
{
    uint64_t sign = n->plus | n->minus, number = scalar;
    uint64_t letters = scalar & ~(n->digit | n->dot | n->exp | sign), wrong = 0;
    if (s->word_over >= 0) {
        uint64_t end = scan_bit((size_t)s->word_over);
        number &= ~(end - 1);
        letters &= ~(end - 1);
        wrong |= scalar & end;
        s->word_over = -1;
    }
    for (uint64_t words = starts & letters; words; words &= words - 1) {
        size_t i = (size_t)__builtin_ctzll(words), len = matcher_scan_word(s->text, s->len, base + i);
        uint64_t bits = ((UINT64_C(1) << len) - 1) << i;
        number &= ~bits;
        letters &= ~bits;
        if (i + len >= SCAN_BLOCK)
            s->word_over = (int)(i + len - SCAN_BLOCK);
        else
            wrong |= scalar & scan_bit(i + len);
    }
    wrong |= letters;
    uint64_t digit = n->digit & number, first = starts & number, minus = first & n->minus;
    uint64_t whole = (first ^ minus) | minus << 1 | s->after_minus;
    s->after_minus = minus >> 63;
    uint64_t zero = whole & n->zero;
    wrong |= (whole & ~digit) | (digit & (zero << 1 | s->after_zero));
    s->after_zero = zero >> 63;
    uint64_t end = scan_through(whole | s->whole, digit, &s->whole);
    if (number & (n->dot | n->exp) || s->after_dot | s->fraction | s->after_exp | s->after_sign | s->exponent) {
        uint64_t dot = end & n->dot & number;
        uint64_t part = dot << 1 | s->after_dot;
        s->after_dot = dot >> 63;
        uint64_t part_end = scan_through(part | s->fraction, digit, &s->fraction);
        uint64_t exp = (end | part_end) & n->exp & number;
        uint64_t after = exp << 1 | s->after_exp;
        s->after_exp = exp >> 63;
        uint64_t signs = after & sign & number;
        uint64_t power = (after ^ signs) | signs << 1 | s->after_sign;
        s->after_sign = signs >> 63;
        uint64_t power_end = scan_through(power | s->exponent, digit, &s->exponent);
        wrong |= ((part | power) & ~digit) | (end & number & ~(dot | exp)) | (part_end & number & ~exp) |
                 (power_end & number);
    } else {
        wrong |= end & number;
    }
    s->number_open =
        s->after_minus | s->whole | s->after_dot | s->fraction | s->after_exp | s->after_sign | s->exponent;
    s->wrong |= wrong;
}

/* Everything but numbers. Returns the bytes of scalars; *ret_starts has the first ones. */
SCAN_INLINE uint64_t scan_structure(
    struct scan_state *s, size_t block, const struct scan_masks *m, uint64_t *ret_starts)
{
    size_t base = block * SCAN_BLOCK;
    uint64_t quote = m->quote;
    if (m->slash | s->escaped)
        scan_escapes(s, base, m->slash, &quote);
    uint64_t inside = scan_between(quote) ^ s->in_string;
    s->in_string = (uint64_t)((int64_t)inside >> 63);
    s->quotes[block] = quote;
    uint64_t outside = ~(inside | quote);
    uint64_t open = m->open & outside, close = m->close & outside, comma = m->comma & outside,
             colon = m->colon & outside, blank = m->blank & outside;
    uint64_t scalar = outside & ~(open | close | comma | colon | blank);
    uint64_t begin = quote & inside, end = quote & ~inside;
    uint64_t wrong = m->control & inside;
    s->colons[block] = colon;
    if (s->done)
        wrong |= ~blank;
    uint64_t after = scalar << 1 | s->scalar, starts = scalar & ~after;
    s->scalar = scalar >> 63;

    uint64_t in_object = scan_brackets(s, base, open, close, m->object);
    uint64_t keys = (comma & in_object) | (open & m->object);
    uint64_t values = (comma & ~in_object) | colon | (open & ~m->object);
    uint64_t commas = comma | colon;
    uint64_t key_at = scan_follow(keys << 1 | s->want_key, keys, blank, &s->want_key);
    uint64_t value_at = scan_follow(values << 1 | s->want_value, values, blank, &s->want_value);
    uint64_t never_close = scan_follow(commas << 1 | s->no_close, commas, blank, &s->no_close);
    uint64_t key_begin = key_at & begin;
    uint64_t key_end = scan_through(key_begin | s->in_key, inside, &s->in_key) & end;
    uint64_t colon_at = scan_follow(key_end << 1 | s->want_colon, key_end, blank, &s->want_colon);
    uint64_t ends = (end ^ key_end) | close;
    uint64_t end_at = scan_follow(ends << 1 | s->want_end | (after & ~scalar), ends, blank, &s->want_end);
    wrong |= (key_at & ~(begin | close)) | (value_at & ~(begin | starts | open | close)) | (never_close & close) |
             (colon_at ^ colon);
    if (!s->depth && !s->done) { /* closed in this block: nothing may follow */
        size_t last = close ? 63 - (size_t)__builtin_clzll(close) : 0;
        wrong |= last < 63 ? ~blank >> (last + 1) : 0;
        s->done = close != 0;
    }
    wrong |= end_at & ~(comma | close);
    if (m->high) {
        if (!s->high_end)
            s->high_first = block;
        s->high_end = block + 1;
    }
    s->wrong |= wrong;
    *ret_starts = starts;
    return scalar;
}

/* The loop of a kernel. masks and numbers: functions that read 64 bytes. */
#define SCAN_LOOP(s, masks, numbers)                                                                                   \
    do {                                                                                                               \
        size_t blocks = ((s)->len + SCAN_BLOCK - 1) / SCAN_BLOCK, rest_ = (s)->len % SCAN_BLOCK;                       \
        unsigned char tail_[SCAN_BLOCK];                                                                               \
        for (size_t block_ = 0; block_ < blocks; block_++) {                                                           \
            const unsigned char *p_ = (s)->text + block_ * SCAN_BLOCK;                                                 \
            if (rest_ && block_ + 1 == blocks) {                                                                       \
                memset(tail_, ' ', sizeof(tail_));                                                                     \
                memcpy(tail_, p_, rest_);                                                                              \
                p_ = tail_;                                                                                            \
            }                                                                                                          \
            struct scan_masks m_;                                                                                      \
            struct scan_numbers n_;                                                                                    \
            uint64_t starts_;                                                                                          \
            masks(p_, &m_);                                                                                            \
            uint64_t scalar_ = scan_structure(s, block_, &m_, &starts_);                                               \
            if (scalar_ | (s)->number_open | (uint64_t)((s)->word_over >= 0)) {                                        \
                numbers(p_, &n_);                                                                                      \
                scan_scalars(s, block_ *SCAN_BLOCK, scalar_, starts_, &n_);                                            \
            }                                                                                                          \
            if ((s)->nomem)                                                                                            \
                break;                                                                                                 \
        }                                                                                                              \
    } while (0)

#if defined(__x86_64__)
void matcher_scan_sse2(struct scan_state *s);
void matcher_scan_avx2(struct scan_state *s);
void matcher_scan_avx512(struct scan_state *s);
#endif

#endif
