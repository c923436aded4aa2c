/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel for x86-64 with AVX-512. */
#if defined(__x86_64__)

#include <immintrin.h>

#define SCAN_LANES 8
#define SCAN_TARGET __attribute__((target("avx512f,avx512bw,avx2,bmi,bmi2,vpclmulqdq")))
#define SCAN_ANY(v) (_mm512_test_epi64_mask((__m512i)(v), (__m512i)(v)) != 0)
/* Multiplied without carries by all ones, words of even and of odd lanes apart. */
#define SCAN_PREFIX(v)                                                                                                 \
    (scan_lanes) _mm512_unpacklo_epi64(_mm512_clmulepi64_epi128((__m512i)(v), _mm512_set1_epi8(-1), 0),                \
        _mm512_clmulepi64_epi128((__m512i)(v), _mm512_set1_epi8(-1), 1))
#include "lang/matcher_scan_core.h"

struct constants {
    __m512i bit, quote, slash, open, close, comma, colon, zero, nine, dot, minus, newline, tab, back;
};

/* A constant that stays in its register. */
SCAN_INLINE __m512i all(char c)
{
    __m512i v = _mm512_set1_epi8(c);
    __asm__("" : "+v"(v));
    return v;
}

SCAN_INLINE __m512i block(__m512i v, const struct constants *k, size_t lane, struct scan_masks *m)
{
    __m512i lower = _mm512_or_si512(v, k->bit);
    uint64_t control = _mm512_cmplt_epu8_mask(v, k->bit), blank = _mm512_cmpeq_epi8_mask(v, k->bit);
    uint64_t slash = _mm512_cmpeq_epi8_mask(v, k->slash);
    if (control) {
        blank |= _mm512_cmpeq_epi8_mask(v, k->newline) | _mm512_cmpeq_epi8_mask(v, k->tab) |
                 _mm512_cmpeq_epi8_mask(v, k->back);
        m->control[lane] = control;
        m->controls = 1;
    }
    if (slash) {
        m->slash[lane] = slash;
        m->slashes = 1;
    }
    m->quote[lane] = _mm512_cmpeq_epi8_mask(v, k->quote);
    m->open[lane] = _mm512_cmpeq_epi8_mask(lower, k->open);
    m->close[lane] = _mm512_cmpeq_epi8_mask(lower, k->close);
    m->comma[lane] = _mm512_cmpeq_epi8_mask(v, k->comma);
    m->colon[lane] = _mm512_cmpeq_epi8_mask(v, k->colon);
    m->blank[lane] = blank;
    m->digit[lane] = _mm512_cmple_epu8_mask(_mm512_sub_epi8(v, k->zero), k->nine);
    m->zero[lane] = _mm512_cmpeq_epi8_mask(v, k->zero);
    m->dot[lane] = _mm512_cmpeq_epi8_mask(v, k->dot);
    m->minus[lane] = _mm512_cmpeq_epi8_mask(v, k->minus);
    return v;
}

SCAN_INLINE void masks(const unsigned char *p, size_t n, struct scan_masks *m)
{
    const struct constants k = {all(0x20), all('"'), all('\\'), all('{'), all('}'), all(','), all(':'), all('0'),
        all(9), all('.'), all('-'), all('\n'), all('\t'), all('\r')};
    __m512i high = _mm512_setzero_si512();
    for (size_t i = 0; i < n / SCAN_BLOCK; i++)
        high = _mm512_or_si512(high, block(_mm512_loadu_si512(p + i * SCAN_BLOCK), &k, i, m));
    if (n % SCAN_BLOCK) {
        __mmask64 some = (UINT64_C(1) << n % SCAN_BLOCK) - 1;
        size_t i = n / SCAN_BLOCK;
        high = _mm512_or_si512(high, block(_mm512_maskz_loadu_epi8(some, p + i * SCAN_BLOCK), &k, i, m));
    }
    m->high = _mm512_movepi8_mask(high);
}

SCAN_TARGET bool matcher_scan_avx512(struct scan_common *c)
{
    SCAN_KERNEL(c, masks);
}

#endif
