/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_MATCHER_SCAN_CORE_H
#define PERI_LANG_MATCHER_SCAN_CORE_H

/* JSON checked some hundred bytes a step, with one bit for each byte: SCAN_LANES words of 64 bits, which are worked on
 * together as one vector. A kernel (matcher_scan_<processor>.c) says which bytes are which characters; all else is done
 * here with shifts and additions:
 *
 * - Strings: the bits between unescaped quotes.
 * - Grammar: for each class of tokens, where the next token must begin (follow), and what it may be.
 * - Objects and arrays: brackets are visited one by one, with a bit stack; between them the context does not change.
 * - Numbers: runs of digits are passed by an addition whose carry comes out behind the run.
 *
 * What is wrong is collected in one vector and looked at once, at the end. Kernels include this file after they have
 * defined SCAN_LANES, SCAN_TARGET (the function attribute that names their instructions), SCAN_ANY(v): is any bit set?
 * and, if they can do it fast, SCAN_PREFIX(v): each bit becomes the parity of those up to it in its word. */

#include <stdbool.h>
#include <string.h>

#include "data/json.h"
#include "lang/matcher_scan.h"

#define SCAN_BLOCK 64

/* What does not depend on the kernel. */
struct scan_common {
    struct matcher_scan *out;
    const unsigned char *text;
    size_t len;
    size_t high_first, high_end; /* the bytes beyond ASCII are between these */
    size_t root_end;             /* where the outermost container was closed */
    size_t low_at;               /* where the second half of a surrogate pair must be, 1: nowhere */
    uint64_t stack;              /* a bit for each open container: is it an object? */
    unsigned depth;
    unsigned escaped;   /* the first byte of the next step is escaped */
    unsigned word_over; /* bytes of a word that are in the next step */
    bool nomem;
    bool numbers;                   /* long ones are looked for */
    uint32_t open[PERI_JSON_DEPTH]; /* the open containers */
};

/* Makes room for the brackets of one step. */
bool matcher_scan_grow(struct matcher_scan *scan, size_t more);
/* Removes escaped quotes; false when an escape is malformed. */
bool matcher_scan_escapes(struct scan_common *c, const uint64_t *slash, uint64_t *quote, size_t lanes, size_t base);
/* true, false and null, which begin at the set bits of letters; word gets their bytes, exp and plus what is left of
 * numbers. */
void matcher_scan_words(struct scan_common *c, const uint64_t *starts, const uint64_t *letters, size_t lanes,
    size_t base, uint64_t *word, uint64_t *exp, uint64_t *plus);

/* Every kernel; false when the text is wrong. What is left to be looked at then is in scan_common. */
bool matcher_scan_plain(struct scan_common *c);
#if defined(__x86_64__)
bool matcher_scan_sse2(struct scan_common *c);
bool matcher_scan_avx2(struct scan_common *c);
bool matcher_scan_avx512(struct scan_common *c);
#endif

/* --- the part that is compiled for each kernel --- */

#ifdef SCAN_LANES

#define SCAN_INLINE static inline __attribute__((always_inline)) SCAN_TARGET
#define SCAN_STEP (SCAN_BLOCK * SCAN_LANES)

#pragma GCC diagnostic ignored "-Wpsabi" /* vectors are only passed to functions that are inlined */

typedef uint64_t scan_lanes __attribute__((vector_size(8 * SCAN_LANES)));
typedef uint64_t scan_array[SCAN_LANES] __attribute__((aligned(8 * SCAN_LANES)));

/* Which bytes of a step are which characters. Lanes beyond the text may hold anything. control and slash are zeroed
 * before and need only be set where there are any. */
struct scan_masks {
    scan_array quote, open, close, comma, colon, blank, digit, zero, dot, minus, slash, control;
    uint64_t slashes, controls, high; /* not 0: there are any; of high also bytes beyond ASCII */
};

/* What is carried from step to step; of a vector only the last word. */
struct scan_state {
    scan_lanes wrong;
    scan_lanes in_string; /* all ones, or zero */
    scan_lanes last_scalar, last_comma, last_open, last_colon, last_key_end;
    scan_lanes in_key, blank_comma, blank_open, blank_colon, blank_key_end;
    scan_lanes last_minus, last_zero, last_digit, last_dot, fraction, last_exp, last_sign, power;
    scan_lanes last_digits; /* of numbers, all of them */
    bool had_blank;
    uint64_t number_open, exp_open; /* a number, or its exponent, may go on in the next step */
};

SCAN_INLINE scan_lanes scan_load(const uint64_t *words)
{
    scan_lanes v;
    memcpy(&v, words, sizeof(v));
    return v;
}

SCAN_INLINE void scan_store(uint64_t *words, scan_lanes v)
{
    memcpy(words, &v, sizeof(v));
}

/* Each word moves to the next lane, by one, two or four; the first ones come from the last ones of before. */
#if SCAN_LANES == 8
#define SCAN_LANE_1(before, v) __builtin_shufflevector(before, v, 7, 8, 9, 10, 11, 12, 13, 14)
#define SCAN_LANE_2(before, v) __builtin_shufflevector(before, v, 6, 7, 8, 9, 10, 11, 12, 13)
#define SCAN_LANE_4(before, v) __builtin_shufflevector(before, v, 4, 5, 6, 7, 8, 9, 10, 11)
#define SCAN_LANE_LAST(v) __builtin_shufflevector(v, v, 7, 7, 7, 7, 7, 7, 7, 7)
#elif SCAN_LANES == 4
#define SCAN_LANE_1(before, v) __builtin_shufflevector(before, v, 3, 4, 5, 6)
#define SCAN_LANE_2(before, v) __builtin_shufflevector(before, v, 2, 3, 4, 5)
#define SCAN_LANE_LAST(v) __builtin_shufflevector(v, v, 3, 3, 3, 3)
#else
#define SCAN_LANE_1(before, v) __builtin_shufflevector(before, v, 1, 2)
#define SCAN_LANE_LAST(v) __builtin_shufflevector(v, v, 1, 1)
#endif

/* Visits the brackets of a step; in_object gets the bytes that stand in objects. False when they do not fit. */
SCAN_INLINE bool scan_brackets(
    struct scan_common *c, const uint64_t *open, const uint64_t *close, size_t base, uint64_t *in_object)
{
    struct matcher_scan *out = c->out;
    const unsigned char *text = c->text + base;
    uint64_t stack = c->stack, now = 0 - (stack & 1), wrong = 0;
    size_t count = out->open_count, depth = c->depth;
    if (out->open_cap - count < SCAN_STEP && !matcher_scan_grow(out, SCAN_STEP)) {
        c->nomem = true;
        return false;
    }
    struct matcher_open *opens = out->opens;
    for (size_t lane = 0; lane < SCAN_LANES; lane++, base += SCAN_BLOCK, text += SCAN_BLOCK) {
        uint64_t here = open[lane], rest = here | close[lane], in = now;
        for (; rest; rest &= rest - 1) {
            size_t i = (size_t)__builtin_ctzll(rest);
            uint64_t bit = rest & -rest, upto = rest ^ (rest - 1), kind = text[i] >> 5 & 1,
                     before = now; /* { and } have it */
            if (here & bit) {
                if (depth == PERI_JSON_DEPTH)
                    return false;
                c->open[depth++] = (uint32_t)count;
                stack = stack << 1 | kind;
                opens[count++].at = (uint32_t)(base + i);
            } else {
                if (!depth)
                    return false;
                struct matcher_open *o = &opens[c->open[--depth]];
                wrong |= (stack ^ kind) & 1;
                stack >>= 1;
                o->end = (uint32_t)(base + i);
                o->next = (uint32_t)count;
                c->root_end = base + i; /* the last one closes the outermost */
            }
            now = 0 - (stack & 1);
            in ^= (now ^ before) & ~upto;
        }
        in_object[lane] = in;
    }
    c->stack = stack;
    c->depth = (unsigned)depth;
    out->open_count = count;
    return !wrong;
}

/* Every bit moves on by one byte. */
SCAN_INLINE scan_lanes scan_shift(scan_lanes v, scan_lanes *last)
{
    scan_lanes top = v >> 63, low = SCAN_LANE_1(*last, top);
    *last = top;
    return v << 1 | low;
}

/* 1 where the addition overflowed. */
SCAN_INLINE scan_lanes scan_overflow(scan_lanes a, scan_lanes b, scan_lanes sum)
{
    return ((a & b) | ((a | b) & ~sum)) >> 63;
}

/* Runs of set bits that begin at the given ones: the bits behind their ends. */
SCAN_INLINE scan_lanes scan_through(scan_lanes begin, scan_lanes runs, scan_lanes *carry)
{
    const scan_lanes zero = {0};
    scan_lanes sum = begin + runs, out = scan_overflow(begin, runs, sum);
    scan_lanes in = SCAN_LANE_1(*carry, out), more;
    for (;;) {
        more = sum;
        sum += in;
        more &= ~sum; /* the top bit is only lost by an overflow */
        more >>= 63;
        if (!SCAN_ANY(more))
            break;
        out |= more; /* a run as long as a block */
        in = SCAN_LANE_1(zero, more);
    }
    *carry = out;
    return sum & ~runs;
}

/* Where the token after each of these begins. */
SCAN_INLINE scan_lanes scan_follow(
    scan_lanes tokens, scan_lanes blank, bool blanks, scan_lanes *last, scan_lanes *carry)
{
    scan_lanes at = scan_shift(tokens, last);
    if (!blanks)
        return at;
    return (at & ~blank) | scan_through(at & blank, blank, carry);
}

/* Bits from a quote to before the next one. */
SCAN_INLINE scan_lanes scan_strings(scan_lanes quote, scan_lanes *in_string)
{
    const scan_lanes zero = {0};
#ifdef SCAN_PREFIX
    scan_lanes in = SCAN_PREFIX(quote);
#else
    scan_lanes in = quote;
    in ^= in << 1;
    in ^= in << 2;
    in ^= in << 4;
    in ^= in << 8;
    in ^= in << 16;
    in ^= in << 32;
#endif
    scan_lanes odd = in >> 63; /* an odd number of quotes in this word, then in all up to this one */
    odd ^= SCAN_LANE_1(zero, odd);
#if SCAN_LANES >= 4
    odd ^= SCAN_LANE_2(zero, odd);
#endif
#if SCAN_LANES >= 8
    odd ^= SCAN_LANE_4(zero, odd);
#endif
    in ^= (zero - SCAN_LANE_1(zero, odd)) ^ *in_string;
    *in_string ^= zero - SCAN_LANE_LAST(odd);
    return in;
}

/* Is there a run of at least 19 bits in a word? */
SCAN_INLINE bool scan_has_run(scan_lanes v)
{
    v &= v >> 1;
    v &= v >> 2;
    v &= v >> 4;
    v &= v >> 8;
    v &= v >> 3;
    return SCAN_ANY(v);
}

/* Numbers that may be more than a value can hold. A run across two words is found between their halves. */
SCAN_INLINE void scan_long_numbers(struct scan_common *c, struct scan_state *s, scan_lanes digit, scan_lanes exp)
{
    scan_lanes across = digit << 32 | SCAN_LANE_1(s->last_digits, digit) >> 32;
    s->last_digits = digit;
    c->out->long_numbers |= SCAN_ANY(exp) || scan_has_run(digit) || scan_has_run(across);
}

/* Numbers and words. scalar: their bytes; starts: the first ones. That numbers are well formed can be said of each byte
 * and the one before it, but for what may not come behind a dot or an exponent and its digits. */
SCAN_INLINE void scan_scalars(struct scan_common *c, struct scan_state *s, const struct scan_masks *m, size_t base,
    scan_lanes scalar, scan_lanes starts)
{
    scan_lanes dot = scan_load(m->dot), minus = scan_load(m->minus), digit = scan_load(m->digit);
    scan_lanes number = scalar, letters = scalar & ~(digit | dot | minus), wrong = {0}, exp = {0}, plus = {0};
    if (SCAN_ANY(letters) || c->word_over) {
        scan_array words, exps, pluses, left, begin;
        scan_store(begin, starts);
        scan_store(left, letters);
        matcher_scan_words(c, begin, left, SCAN_LANES, base, words, exps, pluses);
        exp = scan_load(exps);
        plus = scan_load(pluses);
        number &= ~scan_load(words);
        wrong = letters & number & ~(exp | plus);
    }
    digit &= number;
    dot &= number;
    minus &= number;
    if (c->numbers)
        scan_long_numbers(c, s, digit, exp);
    scan_lanes after_minus = scan_shift(minus & starts, &s->last_minus), first = starts | after_minus;
    scan_lanes after_zero = scan_shift(first & digit & scan_load(m->zero), &s->last_zero);
    scan_lanes after_digit = scan_shift(digit, &s->last_digit), after_dot = scan_shift(dot, &s->last_dot);
    scan_lanes behind_dot = scan_through(after_dot, digit, &s->fraction);
    wrong |= (dot & ~after_digit) | ((after_dot | after_minus) & ~digit) | (after_zero & digit) | (behind_dot & dot);
    if (SCAN_ANY(exp) || s->exp_open) {
        scan_lanes after_exp = scan_shift(exp, &s->last_exp), sign = after_exp & (minus | plus);
        scan_lanes power = (after_exp ^ sign) | scan_shift(sign, &s->last_sign);
        scan_lanes behind_exp = scan_through(power, digit, &s->power), open = s->last_exp | s->last_sign | s->power;
        wrong |= (exp & ~after_digit) | (plus & ~sign) | (minus & ~(starts | sign)) | (power & ~digit) |
                 (behind_exp & (dot | exp));
        s->exp_open = open[SCAN_LANES - 1];
    } else {
        wrong |= plus | (minus & ~starts);
    }
    scan_lanes open = s->last_minus | s->last_zero | s->last_digit | s->last_dot | s->fraction;
    s->number_open = open[SCAN_LANES - 1] | s->exp_open;
    s->wrong |= wrong;
}

/* One step. live: the bytes before the end of the text. */
SCAN_INLINE void scan_step(
    struct scan_common *c, struct scan_state *s, struct scan_masks *m, size_t base, scan_lanes live)
{
    if ((m->slashes || c->escaped) && !matcher_scan_escapes(c, m->slash, m->quote, SCAN_LANES, base))
        s->wrong |= 1;
    scan_lanes quote = scan_load(m->quote) & live;
    scan_lanes inside = scan_strings(quote, &s->in_string);
    scan_lanes outside = ~(inside | quote) & live;
    scan_lanes open = scan_load(m->open) & outside, close = scan_load(m->close) & outside;
    scan_lanes comma = scan_load(m->comma) & outside, colon = scan_load(m->colon) & outside;
    scan_lanes blank = scan_load(m->blank) & outside, begin = quote & inside, end = quote & ~inside;
    scan_array opens, closes, objects;
    scan_store(c->out->quotes + base / SCAN_BLOCK, quote);
    scan_store(c->out->colons + base / SCAN_BLOCK, colon);
    scan_store(opens, open);
    scan_store(closes, close);
    if (!scan_brackets(c, opens, closes, base, objects)) {
        s->wrong |= 1;
        return;
    }

    scan_lanes scalar = outside & ~(open | close | comma | colon | blank);
    scan_lanes starts = scalar & ~scan_shift(scalar, &s->last_scalar);
    bool blanks = SCAN_ANY(blank), skip = blanks || s->had_blank;
    s->had_blank = blanks;
    scan_lanes after_comma = scan_follow(comma, blank, skip, &s->last_comma, &s->blank_comma);
    scan_lanes after_colon = scan_follow(colon, blank, skip, &s->last_colon, &s->blank_colon);
    scan_lanes after_open = scan_follow(open, blank, skip, &s->last_open, &s->blank_open);
    scan_lanes wrong = (after_comma | after_colon) & close;
    /* What begins anywhere else follows the end of a value. */
    scan_lanes at = after_comma | after_colon | after_open;
    wrong |= (begin | starts | open) & ~at;
    scan_lanes key_at = (after_comma | after_open) & scan_load(objects);
    wrong |= (key_at & ~(begin | close)) | (at & ~(begin | starts | open | close));
    scan_lanes key_end = scan_through(key_at & begin, inside, &s->in_key) & end;
    wrong |= scan_follow(key_end, blank, skip, &s->last_key_end, &s->blank_key_end) ^ colon;
    s->wrong |= wrong;
    if (m->controls)
        s->wrong |= scan_load(m->control) & inside & live;
    if (SCAN_ANY(scalar) || s->number_open)
        scan_scalars(c, s, m, base, scalar, starts);
    if (m->high) {
        c->high_first = c->high_end ? c->high_first : base;
        c->high_end = base + SCAN_STEP;
    }
}

/* After all steps: nothing is expected any more. */
SCAN_INLINE bool scan_complete(const struct scan_state *s)
{
    scan_lanes wrong = s->wrong | s->in_string;
    scan_lanes last = s->last_comma | s->last_colon | s->last_open | s->last_key_end | s->blank_comma | s->blank_colon |
                      s->blank_open | s->blank_key_end;
    return !SCAN_ANY(wrong) && !last[SCAN_LANES - 1];
}

/* The body of a kernel. masks(p, n, m): reads the first n > 0 bytes of a step. */
#define SCAN_KERNEL(c, masks)                                                                                          \
    struct scan_state s = {0};                                                                                         \
    struct scan_masks m;                                                                                               \
    s.last_colon[SCAN_LANES - 1] = 1; /* a value is expected */                                                        \
    for (size_t base = 0; base < (c)->len && !(c)->nomem; base += SCAN_STEP) {                                         \
        size_t left = (c)->len - base;                                                                                 \
        scan_lanes live = ~(scan_lanes){0};                                                                            \
        m.slashes = m.controls = m.high = 0;                                                                           \
        scan_store(m.slash, (scan_lanes){0});                                                                          \
        scan_store(m.control, (scan_lanes){0});                                                                        \
        if (left < SCAN_STEP) {                                                                                        \
            live = scan_live(left);                                                                                    \
            masks((c)->text + base, left, &m);                                                                         \
        } else {                                                                                                       \
            masks((c)->text + base, SCAN_STEP, &m);                                                                    \
        }                                                                                                              \
        scan_step(c, &s, &m, base, live);                                                                              \
    }                                                                                                                  \
    return scan_complete(&s)

SCAN_INLINE scan_lanes scan_live(size_t left)
{
    static const uint64_t ends[2 * SCAN_LANES] = {[0 ... SCAN_LANES - 1] = ~UINT64_C(0)};
    scan_lanes live = scan_load(ends + SCAN_LANES - left / SCAN_BLOCK);
    live[left / SCAN_BLOCK] = (UINT64_C(1) << left % SCAN_BLOCK) - 1;
    return live;
}

#endif
#endif
