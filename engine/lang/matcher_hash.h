/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_MATCHER_HASH_H
#define PERI_LANG_MATCHER_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The hash of a key: its front in words of eight bytes from the start, its back in words from the end, so that longer
 * fronts and backs of the same text go on where shorter ones ended. */

#define MATCHER_HASH_START UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t matcher_word(const char *s)
{
    uint64_t w;
    memcpy(&w, s, 8);
    return w;
}

/* n < 8 bytes, read one or two times. */
static inline uint64_t matcher_word_part(const char *s, size_t n)
{
    uint32_t a, b;
    if (n >= 4) {
        memcpy(&a, s, 4);
        memcpy(&b, s + n - 4, 4);
        return a | (uint64_t)b << 32;
    }
    if (!n)
        return 0;
    return (uint64_t)(unsigned char)s[0] | (uint64_t)(unsigned char)s[n / 2] << 8 |
           (uint64_t)(unsigned char)s[n - 1] << 16;
}

static inline uint64_t matcher_hash_step(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 32;
}

static inline uint64_t matcher_hash_end(uint64_t h, uint64_t part, uint64_t len)
{
    return matcher_hash_step(matcher_hash_step(h, part), len);
}

static inline uint64_t matcher_hash_front(const char *s, size_t len)
{
    uint64_t h = MATCHER_HASH_START;
    size_t i = 0;
    for (; i + 8 <= len; i += 8)
        h = matcher_hash_step(h, matcher_word(s + i));
    return matcher_hash_end(h, matcher_word_part(s + i, len - i), len);
}

/* s is the start of the back. */
static inline uint64_t matcher_hash_back(const char *s, size_t len)
{
    uint64_t h = MATCHER_HASH_START;
    size_t left = len;
    for (; left >= 8; left -= 8)
        h = matcher_hash_step(h, matcher_word(s + left - 8));
    return matcher_hash_end(h, matcher_word_part(s, left), len);
}

static inline uint64_t matcher_hash_join(uint64_t front, uint64_t back, uint32_t class)
{
    uint64_t h =
        (front ^ (back << 29 | back >> 35) ^ (class + 1) * UINT64_C(0xa0761d6478bd642f)) * UINT64_C(0xe7037ed1a0b428db);
    return h ^ h >> 31;
}

#endif
