/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel for x86-64 with AVX2. */
#if defined(__x86_64__)

#include <immintrin.h>

#define SCAN_LANES 4
#define SCAN_TARGET __attribute__((target("avx2,bmi,bmi2")))
#define SCAN_ANY(v) (!_mm256_testz_si256((__m256i)(v), (__m256i)(v)))
#include "lang/matcher_scan_core.h"

SCAN_INLINE uint64_t bits(__m256i a, __m256i b)
{
    return (uint64_t)(unsigned)_mm256_movemask_epi8(a) | (uint64_t)(unsigned)_mm256_movemask_epi8(b) << 32;
}

SCAN_INLINE uint64_t equal(__m256i a, __m256i b, char c)
{
    return bits(_mm256_cmpeq_epi8(a, _mm256_set1_epi8(c)), _mm256_cmpeq_epi8(b, _mm256_set1_epi8(c)));
}

/* Unsigned. */
SCAN_INLINE uint64_t at_most(__m256i a, __m256i b, char max)
{
    __m256i m = _mm256_set1_epi8(max);
    return bits(_mm256_cmpeq_epi8(_mm256_min_epu8(a, m), a), _mm256_cmpeq_epi8(_mm256_min_epu8(b, m), b));
}

SCAN_INLINE void block(const unsigned char *p, size_t lane, struct scan_masks *m)
{
    __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
    __m256i la = _mm256_or_si256(a, _mm256_set1_epi8(0x20)), lb = _mm256_or_si256(b, _mm256_set1_epi8(0x20));
    __m256i zero = _mm256_set1_epi8('0');
    uint64_t control = at_most(a, b, 0x1f), blank = equal(a, b, ' '), slash = equal(a, b, '\\');
    if (control) {
        blank |= equal(a, b, '\n') | equal(a, b, '\t') | equal(a, b, '\r');
        m->control[lane] = control;
        m->controls = 1;
    }
    if (slash) {
        m->slash[lane] = slash;
        m->slashes = 1;
    }
    m->quote[lane] = equal(a, b, '"');
    m->open[lane] = equal(la, lb, '{');
    m->close[lane] = equal(la, lb, '}');
    m->comma[lane] = equal(a, b, ',');
    m->colon[lane] = equal(a, b, ':');
    m->blank[lane] = blank;
    m->digit[lane] = at_most(_mm256_sub_epi8(a, zero), _mm256_sub_epi8(b, zero), 9);
    m->zero[lane] = equal(a, b, '0');
    m->dot[lane] = equal(a, b, '.');
    m->minus[lane] = equal(a, b, '-');
    m->high |= (unsigned)_mm256_movemask_epi8(_mm256_or_si256(a, b));
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

SCAN_TARGET bool matcher_scan_avx2(struct scan_common *c)
{
    SCAN_KERNEL(c, masks);
}

#endif
