/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel for x86-64 with AVX-512 as processors have it since 2019. A table gives each byte a code of eight bits;
 * bit k of 512 codes is then one vector, the k-th plane, and each class of characters a function of a few planes. */
#if defined(__x86_64__)

#include <immintrin.h>

#define SCAN_LANES 8
#define SCAN_TARGET                                                                                                    \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vbmi,avx512vbmi2,avx512vpopcntdq,avx2,bmi,bmi2,popcnt,"     \
                          "pclmul,vpclmulqdq,gfni")))
#define SCAN_ANY(v) (_mm512_test_epi64_mask((__m512i)(v), (__m512i)(v)) != 0)
#define SCAN_ANY_TOP(v) (_mm512_movepi64_mask((__m512i)(v)) != 0)
#define SCAN_SHIFT(v, before, n) ((scan_lanes)_mm512_shldi_epi64((__m512i)(v), (__m512i)(before), n))
/* Multiplied without carries by all ones, words of even and of odd lanes apart. */
#define SCAN_PREFIX(v)                                                                                                 \
    (scan_lanes) _mm512_unpacklo_epi64(_mm512_clmulepi64_epi128((__m512i)(v), _mm512_set1_epi8(-1), 0),                \
        _mm512_clmulepi64_epi128((__m512i)(v), _mm512_set1_epi8(-1), 1))
#define SCAN_OWN
#include "lang/matcher_scan_core.h"

/* All short loops are unrolled, so that their arrays stay in registers. */

/* Planes 0 to 2: tokens. Planes 3 to 6: what numbers and words are made of, words with plane 6; so have the brackets of
 * objects. Plane 7: control. */
enum {
    CODE_BLANK = 1,
    CODE_QUOTE = 2,
    CODE_SLASH = 3,
    CODE_OPEN = 4,
    CODE_CLOSE = 5,
    CODE_COMMA = 6,
    CODE_COLON = 7,
    CODE_ZERO = 1 << 3,
    CODE_DOT = 2 << 3,
    CODE_DIGIT = 3 << 3,
    CODE_MINUS = 4 << 3,
    CODE_PLUS = 5 << 3,
    CODE_EXP = 6 << 3, /* e; E has the next one */
    CODE_LETTER = 8 << 3,
    CODE_CONTROL = 1 << 7
};

static const unsigned char codes[128] = {
    [0x00 ... 0x08] = CODE_CONTROL,
    ['\t'] = CODE_CONTROL | CODE_BLANK,
    ['\n'] = CODE_CONTROL | CODE_BLANK,
    [0x0b ... 0x0c] = CODE_CONTROL,
    ['\r'] = CODE_CONTROL | CODE_BLANK,
    [0x0e ... 0x1f] = CODE_CONTROL,
    [' '] = CODE_BLANK,
    ['"'] = CODE_QUOTE,
    ['\\'] = CODE_SLASH,
    ['{'] = CODE_OPEN | CODE_LETTER,
    ['['] = CODE_OPEN,
    ['}'] = CODE_CLOSE | CODE_LETTER,
    [']'] = CODE_CLOSE,
    [','] = CODE_COMMA,
    [':'] = CODE_COLON,
    ['0'] = CODE_ZERO,
    ['1' ... '9'] = CODE_DIGIT,
    ['.'] = CODE_DOT,
    ['-'] = CODE_MINUS,
    ['+'] = CODE_PLUS,
    ['e'] = CODE_EXP,
    ['E'] = CODE_EXP | 1 << 3,
    ['t'] = CODE_LETTER,
    ['r'] = CODE_LETTER | 1 << 3,
    ['u'] = CODE_LETTER | 2 << 3,
    ['f'] = CODE_LETTER | 3 << 3,
    ['a'] = CODE_LETTER | 4 << 3,
    ['l'] = CODE_LETTER | 5 << 3,
    ['s'] = CODE_LETTER | 6 << 3,
    ['n'] = CODE_LETTER | 7 << 3,
};

/* From here on so many bytes before its middle are those that are there. */
static const unsigned char present[2 * SCAN_STEP] = {[0 ... SCAN_STEP - 1] = 0xff};

/* Where the bits of three planes, the highest first, are the number n, or any of them: bit n of the last argument. */
#define ONE_OF(high, middle, low, numbers)                                                                             \
    ((scan_lanes)_mm512_ternarylogic_epi64((__m512i)(high), (__m512i)(middle), (__m512i)(low), numbers))

/* 64 codes, in words of eight bytes backwards: the bits of each plane together, one word for each plane. */
SCAN_INLINE __m512i planes_of(__m512i code)
{
    const __m512i bits = _mm512_set1_epi64(INT64_C(0x8040201008040201));
    const __m512i columns = _mm512_set_epi64(INT64_C(0x3f372f271f170f07), INT64_C(0x3e362e261e160e06),
        INT64_C(0x3d352d251d150d05), INT64_C(0x3c342c241c140c04), INT64_C(0x3b332b231b130b03),
        INT64_C(0x3a322a221a120a02), INT64_C(0x3931292119110901), INT64_C(0x3830282018100800));
    return _mm512_permutexvar_epi8(columns, _mm512_gf2p8affine_epi64_epi8(bits, code, 0));
}

/* Word k of block b becomes word b of plane k. */
SCAN_INLINE void transpose(__m512i v[8])
{
    __m512i pair[8], four[8];
#pragma GCC unroll 8
    for (int i = 0; i < 4; i++) {
        pair[i] = _mm512_unpacklo_epi64(v[2 * i], v[2 * i + 1]);
        pair[4 + i] = _mm512_unpackhi_epi64(v[2 * i], v[2 * i + 1]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 2) {
        four[i] = _mm512_shuffle_i64x2(pair[i], pair[i + 1], 0x88);
        four[i + 1] = _mm512_shuffle_i64x2(pair[i], pair[i + 1], 0xdd);
    }
#pragma GCC unroll 8
    for (int odd = 0; odd < 2; odd++) {
        const __m512i *from = four + 4 * odd;
        v[odd] = _mm512_shuffle_i64x2(from[0], from[2], 0x88);
        v[2 + odd] = _mm512_shuffle_i64x2(from[1], from[3], 0x88);
        v[4 + odd] = _mm512_shuffle_i64x2(from[0], from[2], 0xdd);
        v[6 + odd] = _mm512_shuffle_i64x2(from[1], from[3], 0xdd);
    }
}

SCAN_INLINE void masks(const unsigned char *p, size_t n, struct scan_masks *m)
{
    const __m512i low = _mm512_loadu_si512(codes), high = _mm512_loadu_si512(codes + 64);
    const __m512i backwards = _mm512_set4_epi32(0x08090a0b, 0x0c0d0e0f, 0x00010203, 0x04050607); /* in each word */
    __m512i v[8], beyond = _mm512_setzero_si512();
    if (n == SCAN_STEP) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            v[i] = _mm512_loadu_si512(p + i * SCAN_BLOCK);
    } else {
        const unsigned char *there = present + SCAN_STEP - n;
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            v[i] = _mm512_maskz_loadu_epi8(
                _mm512_movepi8_mask(_mm512_loadu_si512(there + i * SCAN_BLOCK)), p + i * SCAN_BLOCK);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        beyond = _mm512_or_si512(beyond, v[i]);
    m->high = _mm512_movepi8_mask(beyond);
    if (m->high) /* the table has none of these */
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            v[i] = _mm512_mask_mov_epi8(v[i], _mm512_movepi8_mask(v[i]), _mm512_set1_epi8('_'));
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        v[i] = planes_of(_mm512_permutex2var_epi8(low, _mm512_shuffle_epi8(v[i], backwards), high));
    transpose(v);
    __m512i a = _mm512_andnot_si512(v[6], v[3]), b = _mm512_andnot_si512(v[6], v[4]),
            c = _mm512_andnot_si512(v[6], v[5]);
    m->blank = ONE_OF(v[2], v[1], v[0], 1 << CODE_BLANK);
    m->quote = ONE_OF(v[2], v[1], v[0], 1 << CODE_QUOTE);
    m->slash = ONE_OF(v[2], v[1], v[0], 1 << CODE_SLASH);
    m->open = ONE_OF(v[2], v[1], v[0], 1 << CODE_OPEN);
    m->close = ONE_OF(v[2], v[1], v[0], 1 << CODE_CLOSE);
    m->comma = ONE_OF(v[2], v[1], v[0], 1 << CODE_COMMA);
    m->colon = ONE_OF(v[2], v[1], v[0], 1 << CODE_COLON);
    m->zero = ONE_OF(c, b, a, 1 << 1);
    m->dot = ONE_OF(c, b, a, 1 << 2);
    m->digit = ONE_OF(c, b, a, 1 << 1 | 1 << 3);
    m->minus = ONE_OF(c, b, a, 1 << 4);
    m->control = (scan_lanes)v[7];
    m->slashes = SCAN_ANY(m->slash);
    m->controls = SCAN_ANY(v[7]);
#pragma GCC unroll 8
    for (int i = 0; i < 4; i++)
        m->letter[i] = (scan_lanes)v[3 + i];
}

/* Where the first letters of true, null and false are, the codes of the others are known. */
static __attribute__((noinline)) SCAN_TARGET void scan_words(struct scan_common *c, struct scan_words *w)
{
    const scan_lanes *p = w->planes, word = p[3] & w->starts, number = ~p[3] & w->scalar;
    scan_lanes t = ONE_OF(p[2], p[1], p[0], 1 << 0) & word, n = ONE_OF(p[2], p[1], p[0], 1 << 7) & word,
               f = ONE_OF(p[2], p[1], p[0], 1 << 3) & word, all = t | n | f;
    scan_lanes t_before = SCAN_LANE_1(w->last[0], t), n_before = SCAN_LANE_1(w->last[1], n),
               f_before = SCAN_LANE_1(w->last[2], f);
    w->last[0] = t;
    w->last[1] = n;
    w->last[2] = f;
    c->word_over = (unsigned)(all[SCAN_LANES - 1] >> 59);
    /* r, u, a: 1, 2, 4 */
    scan_lanes t1 = SCAN_SHIFT(t, t_before, 1), n1 = SCAN_SHIFT(n, n_before, 1), f1 = SCAN_SHIFT(f, f_before, 1);
    scan_lanes all1 = t1 | n1 | f1, wrong = ((p[0] ^ t1) | (p[1] ^ n1) | (p[2] ^ f1) | ~p[3]) & all1;
    /* u, l, l: 2, 5, 5 */
    scan_lanes t2 = SCAN_SHIFT(t, t_before, 2), l2 = SCAN_SHIFT(n, n_before, 2) | SCAN_SHIFT(f, f_before, 2);
    scan_lanes all2 = t2 | l2;
    wrong |= ((p[0] ^ l2) | (p[1] ^ t2) | (p[2] ^ l2) | ~p[3]) & all2;
    /* e, l, s: 6 among what numbers have, 5, 6 */
    scan_lanes t3 = SCAN_SHIFT(t, t_before, 3), n3 = SCAN_SHIFT(n, n_before, 3), f3 = SCAN_SHIFT(f, f_before, 3);
    scan_lanes all3 = t3 | n3 | f3;
    wrong |= ((p[0] ^ n3) | ~(p[1] ^ n3) | ~p[2] | ~(p[3] ^ t3)) & all3;
    /* e: 6, and nothing behind a word */
    scan_lanes f4 = SCAN_SHIFT(f, f_before, 4);
    scan_lanes behind = SCAN_SHIFT(t, t_before, 4) | SCAN_SHIFT(n, n_before, 4) | SCAN_SHIFT(f, f_before, 5);
    wrong |= (p[0] | ~p[1] | ~p[2] | p[3]) & f4;
    wrong |= behind & w->scalar;
    w->bytes = all | all1 | all2 | all3 | f4;
    w->wrong = wrong | (w->bytes & ~w->scalar);
    w->exp = ONE_OF(p[2], p[1], p[0], 1 << 6 | 1 << 7) & number;
    w->plus = ONE_OF(p[2], p[1], p[0], 1 << 5) & number;
}

SCAN_INLINE scan_lanes scan_through_long(scan_lanes begin, scan_lanes runs, scan_lanes *carry)
{
    const __m512i ones = _mm512_set1_epi8(-1);
    scan_lanes sum = begin + runs;
    /* Carries from word to word are an addition of eight bits: those that come out, and words that pass them on. */
    unsigned full = _mm512_cmpeq_epi64_mask((__m512i)sum, ones);
    unsigned in = _mm512_movepi64_mask((__m512i)(begin | (runs & ~sum))) * 2u + (unsigned)(*carry)[0] + full;
    *carry = (scan_lanes)_mm512_set1_epi64(in >> 8);
    sum = (scan_lanes)_mm512_mask_sub_epi64((__m512i)sum, (__mmask8)(in ^ full), (__m512i)sum, ones);
    return sum & ~runs;
}

/* Each of so many bytes the sum of those up to it. */
SCAN_INLINE __m512i sums(__m512i v, unsigned count)
{
    const __m512i last = _mm512_set1_epi8(15); /* of each part of 16 bytes */
    v = _mm512_add_epi8(v, _mm512_bslli_epi128(v, 1));
    v = _mm512_add_epi8(v, _mm512_bslli_epi128(v, 2));
    v = _mm512_add_epi8(v, _mm512_bslli_epi128(v, 4));
    v = _mm512_add_epi8(v, _mm512_bslli_epi128(v, 8));
    if (count <= 16)
        return v;
    __m512i part = _mm512_shuffle_epi8(v, last);
    part = _mm512_add_epi8(part, _mm512_maskz_shuffle_i64x2(0xfc, part, part, 0x90));
    part = _mm512_add_epi8(part, _mm512_maskz_shuffle_i64x2(0xf0, part, part, 0x40));
    return _mm512_add_epi8(v, _mm512_maskz_shuffle_i64x2(0xfc, part, part, 0x90));
}

/* Up to 64 brackets at once, level by level. At each level opening and closing ones take turns. whole: nothing is open
 * before the first and behind the last. Returns what is wrong. */
SCAN_INLINE uint64_t pair_levels(struct scan_common *c, __m512i level, uint64_t all, bool whole)
{
    const uint64_t close = c->waiting.close, object = c->waiting.object;
    uint64_t in_object = 0, outer = 0, stack = 0, wrong = 0, rest = all;
    const __m512i one = _mm512_set1_epi8(1);
    __m512i these = _mm512_setzero_si512();
    for (unsigned at = 0; rest; at++) { /* c->stack: bit 0 is the outermost */
        uint64_t here = _mm512_mask_cmpeq_epi8_mask(all, level, these), ends = here & close, begins = here ^ ends;
        /* A difference of two powers of two has the bits between them. */
        uint64_t inside = ends - begins, objects = (ends & object) - (begins & object);
        if (!whole) {
            inside -= c->depth > at;
            objects -= c->stack >> at & 1;
            stack |= objects >> 63 << at;
        }
        wrong |= objects & ~inside;
        in_object |= here & outer;
        outer = objects;
        rest ^= here;
        these = _mm512_add_epi8(these, one);
    }
    c->stack = stack;
    return wrong | ((in_object ^ c->waiting.colon) & ~close & all);
}

static __attribute__((noinline)) SCAN_TARGET void pair_waiting(struct scan_common *c, size_t end)
{
    const __m512i one = _mm512_set1_epi8(1), none = _mm512_setzero_si512();
    unsigned count = c->waiting.count, depth = c->depth;
    uint64_t all = _bzhi_u64(~UINT64_C(0), count), close = c->waiting.close;
    __m512i behind = _mm512_add_epi8(_mm512_set1_epi8((char)depth),
        sums(_mm512_mask_sub_epi8(_mm512_maskz_mov_epi8(all, one), close, none, one), count));
    __m512i level = _mm512_mask_sub_epi8(behind, close ^ all, behind, one);
    _mm512_storeu_si512(c->out->levels + end - count, level);
    c->depth += count - 2 * (unsigned)__builtin_popcountll(close);
    uint64_t deep = _mm512_mask_cmpge_epu8_mask(all, level, _mm512_set1_epi8(PERI_JSON_DEPTH));
    uint64_t outermost = _mm512_mask_testn_epi8_mask(close ^ all, level, level), first = end == count;
    if (deep | (outermost & ~first)) {
        c->wrong = true;
    } else if (depth | c->depth) {
        unsigned behind_all = c->depth;
        c->depth = depth;
        c->wrong |= pair_levels(c, level, all, false) != 0;
        c->depth = behind_all;
    } else {
        c->wrong |= pair_levels(c, level, all, true) != 0;
    }
    memset(&c->waiting, 0, sizeof(c->waiting));
}

SCAN_INLINE void scan_pair_rest(struct scan_common *c)
{
    pair_waiting(c, c->out->bracket_count);
}

SCAN_INLINE void put_waiting(struct scan_common *c, unsigned count, uint64_t close, uint64_t object, uint64_t colon)
{
    c->waiting.count = count;
    c->waiting.close = close;
    c->waiting.object = object;
    c->waiting.colon = colon;
}

/* many: may a block have more than sixteen, or all those that wait more than 64? */
SCAN_INLINE void pair_lanes(struct scan_common *c, struct scan_brackets *b, size_t base, bool many)
{
    const __m512i bytes = _mm512_set_epi8(63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45,
        44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17,
        16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __asm__("" : "+m"(*b)); /* words are to be read from memory: taking vectors apart costs more */
    struct matcher_scan *out = c->out;
    uint32_t *list = out->brackets + out->bracket_count;
    unsigned waiting = c->waiting.count;
    uint64_t close = c->waiting.close, object = c->waiting.object, colon = c->waiting.colon;
    __m512i first = _mm512_set1_epi32((int)base);
#pragma GCC unroll 8
    for (size_t lane = 0; lane < SCAN_LANES; lane++) {
        uint64_t all = b->all[lane];
        unsigned count = (unsigned)__builtin_popcountll(all);
        __m512i at = _mm512_maskz_compress_epi8(all, bytes);
        _mm512_storeu_si512(list, _mm512_add_epi32(first, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(at))));
        if (many && count > 16) {
            const __m128i more[] = {
                _mm512_extracti32x4_epi32(at, 1), _mm512_extracti32x4_epi32(at, 2), _mm512_extracti32x4_epi32(at, 3)};
#pragma GCC unroll 8
            for (size_t i = 0; i < 3; i++)
                _mm512_storeu_si512(list + 16 * (i + 1), _mm512_add_epi32(first, _mm512_cvtepu8_epi32(more[i])));
        }
        if (many && waiting + count > 64) {
            put_waiting(c, waiting, close, object, colon);
            pair_waiting(c, (size_t)(list - out->brackets));
            close = object = colon = waiting = 0;
        }
        close |= _pext_u64(b->close[lane], all) << (waiting & 63);
        object |= _pext_u64(b->object[lane], all) << (waiting & 63);
        colon |= _pext_u64(b->colon[lane], all) << (waiting & 63);
        waiting += count;
        list += count;
        first = _mm512_add_epi32(first, _mm512_set1_epi32(SCAN_BLOCK));
    }
    put_waiting(c, waiting, close, object, colon);
    out->bracket_count = (size_t)(list - out->brackets);
}

static __attribute__((noinline)) SCAN_TARGET void pair_many(struct scan_common *c, struct scan_brackets *b, size_t base)
{
    pair_lanes(c, b, base, true);
}

SCAN_INLINE void scan_pair(struct scan_common *c, struct scan_brackets *b, size_t base)
{
    __m512i counts = _mm512_popcnt_epi64((__m512i)scan_load(b->all));
    if (_mm512_cmpgt_epi64_mask(counts, _mm512_set1_epi64(16)) ||
        c->waiting.count + _mm512_reduce_add_epi64(counts) > 64)
        pair_many(c, b, base);
    else
        pair_lanes(c, b, base, false);
}

SCAN_TARGET bool matcher_scan_avx512(struct scan_common *c)
{
    SCAN_KERNEL(c, masks);
}

#endif
