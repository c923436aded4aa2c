/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_MATCHER_SCAN_H
#define PERI_LANG_MATCHER_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The first pass over an event: is it valid JSON from end to end, and where are its quotes, colons and containers? */

struct scan_common;

/* Zeroed before the first scan; used again and again without further memory. */
struct matcher_scan {
    bool (*kernel)(struct scan_common *c); /* what the processor can do; NULL before the first scan */
    const char *text;                      /* borrowed */
    size_t len;
    uint64_t *quotes, *colons; /* a bit for each byte of the text: quotes that begin or end a string; colons outside */
    size_t block_cap;
    uint32_t *brackets;    /* where the brackets are, in order */
    unsigned char *levels; /* of how many containers is a bracket inside, not counting its own? */
    size_t bracket_count, bracket_cap;
    bool slashes;      /* there are escapes */
    bool long_numbers; /* matcher_scan_document: with an exponent, or 19 digits in a row */
};

enum matcher_scan_result {
    MATCHER_SCAN_OK,    /* valid, and an object */
    MATCHER_SCAN_OTHER, /* anything else: not valid, or no object */
    MATCHER_SCAN_NOMEM
};

/* len is at most MATCHER_SCAN_MAX. */
enum matcher_scan_result matcher_scan(struct matcher_scan *scan, const char *text, size_t len);
/* Takes an array too, and looks for long numbers: a text without them, whose strings hold no \u0000, is one that
 * peri_json_parse takes. */
enum matcher_scan_result matcher_scan_document(struct matcher_scan *scan, const char *text, size_t len);
void matcher_scan_finish(struct matcher_scan *scan);
#define MATCHER_SCAN_MAX (UINT32_MAX / 2)

/* The bracket that closes the container of another one. */
static inline size_t matcher_scan_closing(const struct matcher_scan *scan, size_t opening)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), level = scan->levels[opening] * ones;
    for (size_t i = opening + 1;; i += 8) { /* there is room behind the last one */
        uint64_t w;
        memcpy(&w, scan->levels + i, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        w = __builtin_bswap64(w);
#endif
        w = ((w ^ level) - ones) & ~(w ^ level) & ones << 7; /* the lowest bit is that of the first one */
        if (w)
            return i + (size_t)__builtin_ctzll(w) / 8;
    }
}

/* The name of what the machine's processor is scanned with; index counts from 0, NULL ends. For tests and benchmarks,
 * which may also choose one: false when the processor lacks it. */
const char *matcher_scan_kernel(size_t index);
enum matcher_scan_result matcher_scan_with(const char *kernel, struct matcher_scan *scan, const char *text, size_t len);
enum matcher_scan_result matcher_scan_document_with(
    const char *kernel, struct matcher_scan *scan, const char *text, size_t len);

#endif
