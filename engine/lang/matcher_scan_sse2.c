/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel for any x86-64. */
#if defined(__x86_64__)

#include <immintrin.h>

#define SCAN_LANES 2
#define SCAN_TARGET
#define SCAN_ANY(v) ((v)[0] | (v)[1])
#include "lang/matcher_scan_core.h"

#define PARTS 4

SCAN_INLINE uint64_t bits(const __m128i v[PARTS])
{
    uint64_t all = 0;
    for (int i = PARTS - 1; i >= 0; i--)
        all = all << 16 | (uint64_t)(unsigned)_mm_movemask_epi8(v[i]);
    return all;
}

SCAN_INLINE uint64_t equal(const __m128i v[PARTS], char c)
{
    __m128i same[PARTS];
    for (int i = 0; i < PARTS; i++)
        same[i] = _mm_cmpeq_epi8(v[i], _mm_set1_epi8(c));
    return bits(same);
}

/* Unsigned. */
SCAN_INLINE uint64_t at_most(const __m128i v[PARTS], char max)
{
    __m128i low[PARTS];
    for (int i = 0; i < PARTS; i++)
        low[i] = _mm_cmpeq_epi8(_mm_min_epu8(v[i], _mm_set1_epi8(max)), v[i]);
    return bits(low);
}

SCAN_INLINE void block(const unsigned char *p, size_t lane, struct scan_masks *m)
{
    __m128i v[PARTS], lower[PARTS], from_zero[PARTS];
    for (int i = 0; i < PARTS; i++) {
        v[i] = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
        lower[i] = _mm_or_si128(v[i], _mm_set1_epi8(0x20));
        from_zero[i] = _mm_sub_epi8(v[i], _mm_set1_epi8('0'));
    }
    uint64_t control = at_most(v, 0x1f), blank = equal(v, ' '), slash = equal(v, '\\');
    if (control)
        blank |= equal(v, '\n') | equal(v, '\t') | equal(v, '\r');
    m->quote[lane] = equal(v, '"');
    m->open[lane] = equal(lower, '{');
    m->close[lane] = equal(lower, '}');
    m->comma[lane] = equal(v, ',');
    m->colon[lane] = equal(v, ':');
    m->blank[lane] = blank;
    m->digit[lane] = at_most(from_zero, 9);
    m->zero[lane] = equal(v, '0');
    m->dot[lane] = equal(v, '.');
    m->minus[lane] = equal(v, '-');
    m->slash[lane] = slash;
    m->control[lane] = control;
    m->slashes |= slash;
    m->controls |= control;
    m->high |= bits(v);
}

SCAN_INLINE void masks(const unsigned char *p, size_t n, struct scan_masks *m)
{
    for (size_t i = 0; i < n / SCAN_BLOCK; i++)
        block(p + i * SCAN_BLOCK, i, m);
    if (n % SCAN_BLOCK) {
        unsigned char tail[SCAN_BLOCK] = {0};
        memcpy(tail, p + n / SCAN_BLOCK * SCAN_BLOCK, n % SCAN_BLOCK);
        block(tail, n / SCAN_BLOCK, m);
    }
}

bool matcher_scan_sse2(struct scan_common *c)
{
    SCAN_KERNEL(c, masks);
}

#endif
