/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_MATCHER_SCAN_CORE_H
#define PERI_LANG_MATCHER_SCAN_CORE_H

/* JSON checked some hundred bytes a step, with one bit for each byte: SCAN_LANES words of 64 bits, which are worked on
 * together as one vector. A kernel (matcher_scan_<processor>.c) says which bytes are which characters; all else is done
 * here with shifts and additions:
 *
 * - Strings: the bits between unescaped quotes.
 * - Grammar: for each class of tokens, where the next token must begin (follow), and what it may be.
 * - Objects and arrays: between brackets the context does not change. Of each bracket is known whether there was
 *   something before it that would be wrong in an object, or in an array. They are paired apart from all else, so that
 *   no step waits for what is found there.
 * - Numbers: runs of digits are passed by an addition whose carry comes out behind the run.
 *
 * What is wrong is collected in one vector and looked at once, at the end. Kernels include this file after they have
 * defined SCAN_LANES, SCAN_TARGET (the function attribute that names their instructions), SCAN_ANY(v): is any bit set?
 * and what they can do faster than with shifts and loops: SCAN_PREFIX(v): each bit becomes the parity of those up to it
 * in its word; SCAN_OWN: they define what is declared under it below. */

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
    size_t low_at;               /* where the second half of a surrogate pair must be, 1: nowhere */
    uint64_t stack; /* a bit for each open container: is it an object? How they are ordered is a kernel's */
    unsigned depth;
    unsigned escaped;   /* the first byte of the next step is escaped */
    unsigned word_over; /* bytes of a word that are in the next step */
    bool nomem;
    bool wrong;   /* found apart from the steps */
    bool numbers; /* long ones are looked for */
    struct {      /* brackets that are not yet paired: a bit for each */
        unsigned count;
        uint64_t close, object, colon;
    } waiting;
};

/* Makes room in the list of brackets. */
bool matcher_scan_grow(struct matcher_scan *scan, size_t need);
/* Does a container end without anything in it here, or after a comma? */
bool matcher_scan_empty(const unsigned char *text, size_t end);
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
#ifndef SCAN_ANY_TOP
#define SCAN_ANY_TOP(v) SCAN_ANY((v) >> 63) /* is the top bit of any word set? */
#endif

typedef uint64_t scan_array[SCAN_LANES] __attribute__((aligned(8 * SCAN_LANES)));

/* Which bytes of a step are which characters. Lanes beyond the text may hold anything. control and slash are zeroed
 * before and need only be set where there are any. */
struct scan_masks {
    scan_lanes quote, open, close, comma, colon, blank, digit, zero, dot, minus, slash, control;
#ifdef SCAN_OWN
    scan_lanes letter[4]; /* what scan_words wants; the last one also has the brackets of objects */
#endif
    uint64_t slashes, controls, high; /* not 0: there are any; of high also bytes beyond ASCII */
};

/* What is carried from step to step: of a vector only the top bit of the last word. */
struct scan_state {
    scan_lanes wrong;
    scan_lanes in_string; /* all ones, or zero */
    scan_lanes last_scalar, last_sep, last_colon, last_key_end;
    scan_lanes in_key, blank_sep, blank_colon, blank_key_end;
#ifdef SCAN_OWN
    scan_lanes colon_before, no_key_before;
#endif
    scan_lanes last_minus, last_zero, last_digit, last_dot, whole, last_exp, last_sign, power;
    scan_lanes last_digits; /* of numbers, all of them */
    bool had_blank;
    uint64_t scalar_open, exp_open; /* a number or word, or its exponent, may go on in the next step */
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

#ifndef SCAN_SHIFT
#define SCAN_SHIFT(v, before, n) ((v) << (n) | (before) >> (64 - (n)))
#endif

/* Every bit moves on by one byte. */
SCAN_INLINE scan_lanes scan_shift(scan_lanes v, scan_lanes *last)
{
    scan_lanes before = SCAN_LANE_1(*last, v);
    *last = v;
    return SCAN_SHIFT(v, before, 1);
}

/* Runs of set bits that begin at the given ones, which are among them: the bits behind their ends. */
SCAN_INLINE scan_lanes scan_through(scan_lanes begin, scan_lanes runs, scan_lanes *carry)
{
    const scan_lanes zero = {0};
    scan_lanes sum = begin + runs, out = begin | (runs & ~sum); /* the top bit: the addition overflowed */
    scan_lanes in = SCAN_LANE_1(*carry, out) >> 63;
    for (;;) {
        scan_lanes more = sum;
        sum += in;
        more &= ~sum; /* the top bit is only lost by an overflow */
        if (!SCAN_ANY_TOP(more))
            break;
        out |= more; /* a run as long as a block */
        in = SCAN_LANE_1(zero, more) >> 63;
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

/* The words of a step: true, false and null. */
struct scan_words {
    scan_lanes scalar, starts; /* where they may be, and begin */
    scan_lanes letters, bytes; /* what may be of them, and is */
    scan_lanes exp, plus;      /* what is left of numbers */
    scan_lanes wrong;
#ifdef SCAN_OWN
    scan_lanes planes[4], last[3];
#endif
};

#ifdef SCAN_OWN
#define SCAN_WORDS_START(w) ((w).last[0] = (w).last[1] = (w).last[2] = (scan_lanes){0})
/* Finds them. Not in line, as registers are few. */
static void scan_words(struct scan_common *c, struct scan_words *w);
#else
#define SCAN_WORDS_START(w) ((void)0)
SCAN_INLINE void scan_words(struct scan_common *c, struct scan_words *w, size_t base)
{
    scan_array words, exps, pluses, left, begin;
    scan_store(begin, w->starts);
    scan_store(left, w->letters);
    matcher_scan_words(c, begin, left, SCAN_LANES, base, words, exps, pluses);
    w->exp = scan_load(exps);
    w->plus = scan_load(pluses);
    w->bytes = scan_load(words);
    w->wrong = (scan_lanes){0};
}
#endif

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
 * and the one before it, but for a dot, which must end the whole part, and a second exponent. */
SCAN_INLINE void scan_scalars(struct scan_common *c, struct scan_state *s, struct scan_words *w,
    const struct scan_masks *m, size_t base, scan_lanes scalar, scan_lanes starts)
{
    scan_lanes dot = m->dot, minus = m->minus, digit = m->digit;
    scan_lanes number = scalar, letters = scalar & ~(digit | dot | minus), wrong = {0}, exp = {0}, plus = {0};
    if (SCAN_ANY(letters) || c->word_over) {
        w->scalar = scalar;
        w->starts = starts;
        w->letters = letters;
#ifdef SCAN_OWN
        for (int i = 0; i < 4; i++)
            w->planes[i] = m->letter[i];
        scan_words(c, w);
#else
        scan_words(c, w, base);
#endif
        number &= ~w->bytes;
        exp = w->exp & number;
        plus = w->plus & number;
        wrong = w->wrong | (letters & number & ~(exp | plus));
    }
    digit &= number;
    dot &= number;
    minus &= number;
    if (c->numbers)
        scan_long_numbers(c, s, digit, exp);
    scan_lanes after_minus = scan_shift(minus & starts, &s->last_minus), first = (starts | after_minus) & digit;
    scan_lanes after_zero = scan_shift(first & m->zero, &s->last_zero), after_dot = scan_shift(dot, &s->last_dot);
    scan_lanes behind_whole = scan_through(first, digit, &s->whole);
    wrong |= (dot & ~behind_whole) | ((after_dot | after_minus) & ~digit) | (after_zero & digit);
    if (SCAN_ANY(exp) || s->exp_open) {
        scan_lanes after_exp = scan_shift(exp, &s->last_exp), sign = after_exp & (minus | plus);
        scan_lanes power = (after_exp ^ sign) | scan_shift(sign, &s->last_sign);
        scan_lanes behind_exp = scan_through(power & digit, digit, &s->power);
        scan_lanes after_digit = scan_shift(digit, &s->last_digit), open = s->last_exp | s->last_sign | s->power;
        wrong |=
            (exp & ~after_digit) | (plus & ~sign) | (minus & ~(starts | sign)) | (power & ~digit) | (behind_exp & exp);
        s->exp_open = open[SCAN_LANES - 1] >> 63;
    } else {
        wrong |= plus | (minus & ~starts);
    }
    s->last_digit = digit;
    scan_lanes open = s->last_minus | s->last_zero | digit | dot | s->whole;
    s->scalar_open = open[SCAN_LANES - 1] >> 63 | s->exp_open | c->word_over;
    s->wrong |= wrong;
}

/* The brackets of a step. */
struct scan_brackets {
    scan_array all;
#ifdef SCAN_OWN
    scan_array close, object;
    scan_array colon; /* is there one before it, back to the bracket before? */
#else
    scan_array colons, no_keys; /* what must be in an object, and in an array */
#endif
};

#ifdef SCAN_OWN
/* They become the next ones of the list, which has room for all bytes of two steps. */
SCAN_INLINE void scan_pair(struct scan_common *c, struct scan_brackets *b, size_t base);
/* After the last step. */
SCAN_INLINE void scan_pair_rest(struct scan_common *c);
/* As scan_through, where many runs are longer than a block. */
SCAN_INLINE scan_lanes scan_through_long(scan_lanes begin, scan_lanes runs, scan_lanes *carry);
#else
#define scan_pair_rest(c) ((void)0)
SCAN_INLINE void scan_pair(struct scan_common *c, struct scan_brackets *b, size_t base)
{
    struct matcher_scan *out = c->out;
    uint64_t stack = c->stack, wrong = 0;
    size_t depth = c->depth, n = out->bracket_count;
    for (size_t lane = 0; lane < SCAN_LANES; lane++, base += SCAN_BLOCK) {
        uint64_t colons = b->colons[lane], no_keys = b->no_keys[lane], left = ~UINT64_C(0);
        for (uint64_t rest = b->all[lane]; rest; rest &= rest - 1, n++) {
            size_t at = base + (size_t)__builtin_ctzll(rest);
            uint64_t upto = rest ^ (rest - 1);
            uint64_t kind = c->text[at], object = kind >> 5 & 1, close = kind >> 2 & 1;
            size_t level = depth - close;
            if (level >= PERI_JSON_DEPTH || (n && !depth)) { /* too deep, or not open, or behind the outermost */
                c->wrong = true;
                return;
            }
            out->brackets[n] = (uint32_t)at;
            out->levels[n] = (unsigned char)level;
            wrong |= ((stack ^ object) & close) | ((stack & 1 ? no_keys : colons) & left & upto);
            left = ~upto;
            if (close) {
                stack >>= 1;
                depth = level;
            } else {
                stack = stack << 1 | object;
                depth = level + 1;
            }
        }
        wrong |= (stack & 1 ? no_keys : colons) & left;
    }
    c->stack = stack;
    c->depth = (unsigned)depth;
    c->wrong |= wrong != 0;
    out->bracket_count = n;
}
#endif

/* Containers that end where a value could begin must be empty. */
SCAN_INLINE bool scan_empty(const struct scan_common *c, scan_lanes ends, size_t base)
{
    scan_array each;
    bool ok = true;
    scan_store(each, ends);
    for (size_t lane = 0; lane < SCAN_LANES; lane++)
        for (uint64_t rest = each[lane]; rest; rest &= rest - 1)
            ok &= matcher_scan_empty(c->text, base + lane * SCAN_BLOCK + (size_t)__builtin_ctzll(rest));
    return ok;
}

/* One step. live: the bytes before the end of the text. */
SCAN_INLINE void scan_step(struct scan_common *c, struct scan_state *s, struct scan_words *w, struct scan_masks *m,
    size_t base, scan_lanes live)
{
    struct matcher_scan *out = c->out;
    if (m->slashes || c->escaped) {
        scan_array slash, unescaped;
        scan_store(slash, m->slash);
        scan_store(unescaped, m->quote);
        if (!matcher_scan_escapes(c, slash, unescaped, SCAN_LANES, base))
            s->wrong |= 1;
        m->quote = scan_load(unescaped);
    }
    scan_lanes quote = m->quote & live;
    scan_lanes inside = scan_strings(quote, &s->in_string);
    scan_lanes outside = ~(inside | quote) & live;
    scan_lanes open = m->open & outside, close = m->close & outside, bracket = open | close;
    scan_lanes comma = m->comma & outside, colon = m->colon & outside;
    scan_lanes blank = m->blank & outside, begin = quote & inside;

    scan_lanes scalar = outside & ~(bracket | comma | colon | blank);
    scan_lanes starts = scalar & ~scan_shift(scalar, &s->last_scalar);
    bool blanks = SCAN_ANY(blank), skip = blanks || s->had_blank;
    s->had_blank = blanks;
    /* Behind an opening bracket or a comma: in an object a key, which ends before a colon, in an array a value. */
    scan_lanes sep_at = scan_follow(comma | open, blank, skip, &s->last_sep, &s->blank_sep);
    scan_lanes colon_at = scan_follow(colon, blank, skip, &s->last_colon, &s->blank_colon);
    /* What begins anywhere else follows the end of a value. */
    scan_lanes at = sep_at | colon_at, value = begin | starts | open;
    scan_lanes wrong = (value & ~at) | (at & ~(value | close)) | (colon_at & close), empty = sep_at & close;
    scan_lanes key_end = scan_through(sep_at & begin, inside, &s->in_key) & quote;
    scan_lanes key_at = scan_follow(key_end, blank, skip, &s->last_key_end, &s->blank_key_end);
    s->wrong |= wrong | (colon & ~key_at);

    scan_lanes no_key = (sep_at & ~(begin | close)) | (key_at & ~colon);
    struct scan_brackets brackets;
    scan_store(out->quotes + base / SCAN_BLOCK, quote);
    scan_store(out->colons + base / SCAN_BLOCK, colon);
    scan_store(brackets.all, bracket);
#ifdef SCAN_OWN
    /* One that closes is of the kind that it stands in; before one that opens there is a colon or what is no key. */
    scan_lanes object = m->letter[3] & bracket, runs = ~bracket;
    scan_lanes colon_before = scan_through_long(colon, runs, &s->colon_before);
    scan_lanes no_key_before = (no_key & bracket) | scan_through_long(no_key & runs, runs, &s->no_key_before);
    s->wrong |= (colon_before & no_key_before) | (close & ((object & no_key_before) | (colon_before & ~object)));
    scan_store(brackets.close, close);
    scan_store(brackets.object, object);
    scan_store(brackets.colon, colon_before);
#else
    scan_store(brackets.colons, colon);
    scan_store(brackets.no_keys, no_key);
#endif
    if (out->bracket_cap - out->bracket_count < 2 * SCAN_STEP &&
        !matcher_scan_grow(out, out->bracket_count + 2 * SCAN_STEP)) {
        c->nomem = true;
        return;
    }
    scan_pair(c, &brackets, base);

    if (SCAN_ANY(empty) && !scan_empty(c, empty, base))
        s->wrong |= 1;
    if (m->controls)
        s->wrong |= m->control & inside & live;
    if (SCAN_ANY(scalar) || s->scalar_open)
        scan_scalars(c, s, w, m, base, scalar, starts);
    if (m->high) {
        c->high_first = c->high_end ? c->high_first : base;
        c->high_end = base + SCAN_STEP;
    }
}

/* After all steps. That something is still expected shows in containers that are not closed. */
SCAN_INLINE bool scan_complete(struct scan_common *c, struct scan_state *s)
{
    scan_lanes wrong = s->wrong | s->in_string;
    if (c->nomem)
        return false;
    scan_pair_rest(c);
    return !c->wrong && !c->depth && !SCAN_ANY(wrong);
}

/* The body of a kernel. masks(p, n, m): reads the first n > 0 bytes of a step. */
#define SCAN_KERNEL(c, masks)                                                                                          \
    struct scan_state s = {0};                                                                                         \
    struct scan_masks m;                                                                                               \
    struct scan_words w;                                                                                               \
    SCAN_WORDS_START(w);                                                                                               \
    s.last_colon[SCAN_LANES - 1] = UINT64_C(1) << 63; /* a value is expected */                                        \
    for (size_t base = 0; base < (c)->len && !(c)->nomem; base += SCAN_STEP) {                                         \
        size_t left = (c)->len - base;                                                                                 \
        scan_lanes live = ~(scan_lanes){0};                                                                            \
        m.slashes = m.controls = m.high = 0;                                                                           \
        m.slash = m.control = (scan_lanes){0};                                                                         \
        if (left < SCAN_STEP) {                                                                                        \
            live = scan_live(left);                                                                                    \
            masks((c)->text + base, left, &m);                                                                         \
        } else {                                                                                                       \
            masks((c)->text + base, SCAN_STEP, &m);                                                                    \
        }                                                                                                              \
        scan_step(c, &s, &w, &m, base, live);                                                                          \
    }                                                                                                                  \
    return scan_complete(c, &s)

SCAN_INLINE scan_lanes scan_live(size_t left)
{
    static const uint64_t ends[2 * SCAN_LANES] = {[0 ... SCAN_LANES - 1] = ~UINT64_C(0)};
    scan_lanes live = scan_load(ends + SCAN_LANES - left / SCAN_BLOCK);
    live[left / SCAN_BLOCK] = (UINT64_C(1) << left % SCAN_BLOCK) - 1;
    return live;
}

#endif
#endif
