/* SPDX-License-Identifier: Apache-2.0 */
/* Which of 64 bytes are which characters, with the vector instructions of x86. The kernel is chosen at run time. */
#include "lang/matcher_scan_core.h"

#if defined(__x86_64__)

#include <immintrin.h>

/* --- SSE2: every x86-64 --- */

SCAN_INLINE uint64_t bits_sse2(const __m128i v[4])
{
    uint64_t bits = 0;
    for (int i = 3; i >= 0; i--)
        bits = bits << 16 | (uint64_t)(unsigned)_mm_movemask_epi8(v[i]);
    return bits;
}

SCAN_INLINE uint64_t equal_sse2(const __m128i v[4], char c)
{
    __m128i same[4];
    for (int i = 0; i < 4; i++)
        same[i] = _mm_cmpeq_epi8(v[i], _mm_set1_epi8(c));
    return bits_sse2(same);
}

/* Unsigned: is each byte at most max? */
SCAN_INLINE uint64_t at_most_sse2(const __m128i v[4], char max)
{
    __m128i low[4];
    for (int i = 0; i < 4; i++)
        low[i] = _mm_cmpeq_epi8(_mm_min_epu8(v[i], _mm_set1_epi8(max)), v[i]);
    return bits_sse2(low);
}

SCAN_INLINE void masks_sse2(const unsigned char *p, struct scan_masks *m)
{
    __m128i v[4], lower[4], bit[4];
    for (int i = 0; i < 4; i++) {
        v[i] = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
        lower[i] = _mm_or_si128(v[i], _mm_set1_epi8(0x20));
        bit[i] = _mm_slli_epi16(v[i], 2);
    }
    m->quote = equal_sse2(v, '"');
    m->slash = equal_sse2(v, '\\');
    m->control = at_most_sse2(v, 0x1f);
    m->open = equal_sse2(lower, '{');
    m->close = equal_sse2(lower, '}');
    m->object = bits_sse2(bit);
    m->comma = equal_sse2(v, ',');
    m->colon = equal_sse2(v, ':');
    m->blank = equal_sse2(v, ' ');
    if (m->control)
        m->blank |= equal_sse2(v, '\n') | equal_sse2(v, '\t') | equal_sse2(v, '\r');
    m->high = bits_sse2(v);
}

SCAN_INLINE void numbers_sse2(const unsigned char *p, struct scan_numbers *n)
{
    __m128i v[4], lower[4], from_zero[4];
    for (int i = 0; i < 4; i++) {
        v[i] = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
        lower[i] = _mm_or_si128(v[i], _mm_set1_epi8(0x20));
        from_zero[i] = _mm_sub_epi8(v[i], _mm_set1_epi8('0'));
    }
    n->digit = at_most_sse2(from_zero, 9);
    n->zero = equal_sse2(v, '0');
    n->dot = equal_sse2(v, '.');
    n->exp = equal_sse2(lower, 'e');
    n->plus = equal_sse2(v, '+');
    n->minus = equal_sse2(v, '-');
}

void matcher_scan_sse2(struct scan_state *state)
{
    struct scan_state s = *state;
    SCAN_LOOP(&s, masks_sse2, numbers_sse2);
    *state = s;
}

/* --- AVX2 --- */

#define AVX2 __attribute__((target("avx2,bmi,bmi2,pclmul")))

SCAN_INLINE AVX2 uint64_t bits_avx2(__m256i a, __m256i b)
{
    return (uint64_t)(unsigned)_mm256_movemask_epi8(a) | (uint64_t)(unsigned)_mm256_movemask_epi8(b) << 32;
}

SCAN_INLINE AVX2 uint64_t equal_avx2(__m256i a, __m256i b, char c)
{
    return bits_avx2(_mm256_cmpeq_epi8(a, _mm256_set1_epi8(c)), _mm256_cmpeq_epi8(b, _mm256_set1_epi8(c)));
}

SCAN_INLINE AVX2 uint64_t at_most_avx2(__m256i a, __m256i b, char max)
{
    __m256i m = _mm256_set1_epi8(max);
    return bits_avx2(_mm256_cmpeq_epi8(_mm256_min_epu8(a, m), a), _mm256_cmpeq_epi8(_mm256_min_epu8(b, m), b));
}

SCAN_INLINE AVX2 void masks_avx2(const unsigned char *p, struct scan_masks *m)
{
    __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
    __m256i la = _mm256_or_si256(a, _mm256_set1_epi8(0x20)), lb = _mm256_or_si256(b, _mm256_set1_epi8(0x20));
    m->quote = equal_avx2(a, b, '"');
    m->slash = equal_avx2(a, b, '\\');
    m->control = at_most_avx2(a, b, 0x1f);
    m->open = equal_avx2(la, lb, '{');
    m->close = equal_avx2(la, lb, '}');
    m->object = bits_avx2(_mm256_slli_epi16(a, 2), _mm256_slli_epi16(b, 2));
    m->comma = equal_avx2(a, b, ',');
    m->colon = equal_avx2(a, b, ':');
    m->blank = equal_avx2(a, b, ' ');
    if (m->control)
        m->blank |= equal_avx2(a, b, '\n') | equal_avx2(a, b, '\t') | equal_avx2(a, b, '\r');
    m->high = bits_avx2(a, b);
}

SCAN_INLINE AVX2 void numbers_avx2(const unsigned char *p, struct scan_numbers *n)
{
    __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
    __m256i zero = _mm256_set1_epi8('0');
    n->digit = at_most_avx2(_mm256_sub_epi8(a, zero), _mm256_sub_epi8(b, zero), 9);
    n->zero = equal_avx2(a, b, '0');
    n->dot = equal_avx2(a, b, '.');
    n->exp = equal_avx2(a, b, 'e') | equal_avx2(a, b, 'E');
    n->plus = equal_avx2(a, b, '+');
    n->minus = equal_avx2(a, b, '-');
}

AVX2 void matcher_scan_avx2(struct scan_state *state)
{
    struct scan_state s = *state;
    SCAN_LOOP(&s, masks_avx2, numbers_avx2);
    *state = s;
}

/* --- AVX-512 --- */

#define AVX512 __attribute__((target("avx512f,avx512bw,avx2,bmi,bmi2,pclmul")))

SCAN_INLINE AVX512 uint64_t equal_avx512(__m512i v, char c)
{
    return _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(c));
}

SCAN_INLINE AVX512 void masks_avx512(const unsigned char *p, struct scan_masks *m)
{
    __m512i v = _mm512_loadu_si512(p), lower = _mm512_or_si512(v, _mm512_set1_epi8(0x20));
    m->quote = equal_avx512(v, '"');
    m->slash = equal_avx512(v, '\\');
    m->control = _mm512_cmplt_epu8_mask(v, _mm512_set1_epi8(0x20));
    m->open = equal_avx512(lower, '{');
    m->close = equal_avx512(lower, '}');
    m->object = _mm512_test_epi8_mask(v, _mm512_set1_epi8(0x20));
    m->comma = equal_avx512(v, ',');
    m->colon = equal_avx512(v, ':');
    m->blank = equal_avx512(v, ' ');
    if (m->control)
        m->blank |= equal_avx512(v, '\n') | equal_avx512(v, '\t') | equal_avx512(v, '\r');
    m->high = _mm512_movepi8_mask(v);
}

SCAN_INLINE AVX512 void numbers_avx512(const unsigned char *p, struct scan_numbers *n)
{
    __m512i v = _mm512_loadu_si512(p);
    n->digit = _mm512_cmple_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8('0')), _mm512_set1_epi8(9));
    n->zero = equal_avx512(v, '0');
    n->dot = equal_avx512(v, '.');
    n->exp = equal_avx512(_mm512_or_si512(v, _mm512_set1_epi8(0x20)), 'e');
    n->plus = equal_avx512(v, '+');
    n->minus = equal_avx512(v, '-');
}

AVX512 void matcher_scan_avx512(struct scan_state *state)
{
    struct scan_state s = *state;
    SCAN_LOOP(&s, masks_avx512, numbers_avx512);
    *state = s;
}

#endif
