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

/* Fronts, or backs, of one text, each not shorter than the one before; a shorter one begins again. */
struct matcher_hashed {
    uint64_t h;
    size_t len; /* of whole words */
};

static inline uint64_t matcher_hash_more_front(struct matcher_hashed *done, const char *s, size_t len)
{
    if (len < done->len)
        *done = (struct matcher_hashed){MATCHER_HASH_START, 0};
    for (; done->len + 8 <= len; done->len += 8)
        done->h = matcher_hash_step(done->h, matcher_word(s + done->len));
    return matcher_hash_end(done->h, matcher_word_part(s + done->len, len - done->len), len);
}

/* end is that of the text. */
static inline uint64_t matcher_hash_more_back(struct matcher_hashed *done, const char *end, size_t len)
{
    if (len < done->len)
        *done = (struct matcher_hashed){MATCHER_HASH_START, 0};
    for (; done->len + 8 <= len; done->len += 8)
        done->h = matcher_hash_step(done->h, matcher_word(end - done->len - 8));
    return matcher_hash_end(done->h, matcher_word_part(end - len, len - done->len), len);
}

static inline uint64_t matcher_hash_front(const char *s, size_t len)
{
    struct matcher_hashed done = {MATCHER_HASH_START, 0};
    return matcher_hash_more_front(&done, s, len);
}

/* s is the start of the back. */
static inline uint64_t matcher_hash_back(const char *s, size_t len)
{
    struct matcher_hashed done = {MATCHER_HASH_START, 0};
    return matcher_hash_more_back(&done, s + len, len);
}

static inline uint64_t matcher_hash_join(uint64_t front, uint64_t back, uint32_t class)
{
    uint64_t h =
        (front ^ (back << 29 | back >> 35) ^ (class + 1) * UINT64_C(0xa0761d6478bd642f)) * UINT64_C(0xe7037ed1a0b428db);
    return h ^ h >> 31;
}

#endif
