/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

char *peri_strdup(const char *s)
{
    return s ? peri_strndup(s, strlen(s)) : NULL;
}

char *peri_strndup(const char *s, size_t len)
{
    if (!s)
        return NULL;
    char *copy = malloc(len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *peri_asprintf(const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    return n < 0 ? NULL : text;
}

bool peri_streq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool peri_str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool peri_str_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

/* Size of the sequence at s, 0 when it is malformed. Ranges from RFC 3629, section 4. */
static size_t utf8_step(const unsigned char *s, size_t len)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xC2 || s[0] > 0xF4)
        return 0;
    size_t n = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (len < n)
        return 0;
    unsigned char lo = 0x80, hi = 0xBF;
    if (s[0] == 0xE0)
        lo = 0xA0;
    else if (s[0] == 0xED)
        hi = 0x9F;
    else if (s[0] == 0xF0)
        lo = 0x90;
    else if (s[0] == 0xF4)
        hi = 0x8F;
    if (s[1] < lo || s[1] > hi)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

/* How many bytes from here on, in steps of eight, are ASCII. */
static size_t ascii_words(const char *s, size_t len)
{
    size_t i = 0;
    for (uint64_t word; i + sizeof(word) <= len; i += sizeof(word)) {
        memcpy(&word, s + i, sizeof(word));
        if (word & UINT64_C(0x8080808080808080))
            break;
    }
    return i;
}

bool peri_utf8_valid(const char *s, size_t len, size_t *ret_offset)
{
    size_t i = ascii_words(s, len);
    while (i < len) {
        if ((unsigned char)s[i] < 0x80) {
            i++;
            continue;
        }
        size_t n = utf8_step((const unsigned char *)s + i, len - i);
        if (n == 0) {
            if (ret_offset)
                *ret_offset = i;
            return false;
        }
        i += n;
    }
    return true;
}

size_t peri_ascii_span(const char *s, size_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    size_t i = 0;
#if defined(__SSE2__)
    for (; i + 16 <= len; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s + i));
        __m128i other = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(' ')), _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7F)));
        unsigned found = (unsigned)_mm_movemask_epi8(other); /* bytes above ASCII are negative */
        if (found)
            return i + (size_t)__builtin_ctz(found);
    }
#endif
    for (uint64_t word; i + sizeof(word) <= len; i += sizeof(word)) {
        memcpy(&word, s + i, sizeof(word));
        uint64_t del = word ^ ones * 0x7F;
        if ((word | (word - ones * ' ') | ((del - ones) & ~del)) & high)
            break;
    }
    while (i < len && s[i] >= ' ' && s[i] < 0x7F)
        i++;
    return i;
}

size_t peri_utf8_length(const char *s, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)s[i] & 0xC0) != 0x80;
    return n;
}

size_t peri_utf8_decode(const char *s, size_t len, unsigned *ret_code)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t n = utf8_step(u, len);
    if (n == 0) {
        *ret_code = 0xFFFD;
        return 1;
    }
    unsigned code = n == 1 ? u[0] : n == 2 ? u[0] & 0x1Fu : n == 3 ? u[0] & 0x0Fu : u[0] & 0x07u;
    for (size_t i = 1; i < n; i++)
        code = code << 6 | (u[i] & 0x3Fu);
    *ret_code = code;
    return n;
}

size_t peri_utf8_encode(unsigned code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

char *peri_slug(const char *text)
{
    size_t len = strlen(text), n = 0;
    char *slug = malloc(len + 1);
    if (!slug)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x80 || isalnum(c))
            slug[n++] = (char)tolower(c);
        else if (n > 0 && slug[n - 1] != '-')
            slug[n++] = '-';
    }
    while (n > 0 && slug[n - 1] == '-')
        n--;
    slug[n] = '\0';
    return slug;
}

#define NEAREST_MAX 64

/* Optimal string alignment distance; both texts are at most NEAREST_MAX long. */
static size_t edit_distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t rows[3][NEAREST_MAX + 1];
    size_t *before = rows[0], *prev = rows[1], *cur = rows[2];
    for (size_t j = 0; j <= m; j++)
        prev[j] = j;
    for (size_t i = 1; i <= n; i++) {
        cur[0] = i;
        for (size_t j = 1; j <= m; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
            size_t best = prev[j - 1] + (ca != cb);
            if (prev[j] + 1 < best)
                best = prev[j] + 1;
            if (cur[j - 1] + 1 < best)
                best = cur[j - 1] + 1;
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) && tolower((unsigned char)a[i - 2]) == cb &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            cur[j] = best;
        }
        size_t *spare = before;
        before = prev;
        prev = cur;
        cur = spare;
    }
    return prev[m];
}

const char *peri_nearest(const char *word, const char *const *candidates)
{
    size_t n = strlen(word);
    const char *best = NULL;
    size_t limit = 1 + n / 4;
    if (limit > 3)
        limit = 3;
    if (n == 0 || n > NEAREST_MAX)
        return NULL;
    for (; *candidates; candidates++) {
        size_t m = strlen(*candidates);
        if (m > NEAREST_MAX || m + limit < n || n + limit < m)
            continue;
        size_t d = edit_distance(word, n, *candidates, m);
        if (d <= limit && d < n && d < m) {
            best = *candidates;
            if (d == 0)
                return best;
            limit = d - 1;
        }
    }
    return best;
}

bool peri_parse_i64(const char *s, long long *ret)
{
    if (!isdigit((unsigned char)s[0]) && !((s[0] == '-' || s[0] == '+') && isdigit((unsigned char)s[1])))
        return false;
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || *end)
        return false;
    *ret = v;
    return true;
}

bool peri_code_steers(unsigned c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x200E || c == 0x200F || c == 0x2028 || c == 0x2029 ||
           (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

bool peri_text_is_plain(const char *text)
{
    size_t len = strlen(text);
    if (!peri_utf8_valid(text, len, NULL))
        return false;
    for (size_t i = 0; i < len;) {
        unsigned c;
        i += peri_utf8_decode(text + i, len - i, &c);
        if (peri_code_steers(c))
            return false;
    }
    return true;
}

void peri_text_make_plain(char *text)
{
    size_t len = strlen(text), bad;
    for (size_t at = 0; at < len && !peri_utf8_valid(text + at, len - at, &bad); at += bad + 1)
        text[at + bad] = '?';
    for (size_t i = 0; i < len;) {
        unsigned c;
        size_t n = peri_utf8_decode(text + i, len - i, &c);
        if (peri_code_steers(c))
            memset(text + i, '?', n);
        i += n;
    }
}

bool peri_equal_secret(const void *a, size_t alen, const void *b, size_t blen)
{
    /* Not libcrypto's: the processes of plugins do without that library. volatile keeps the whole loop. */
    const volatile unsigned char *x = a, *y = b;
    unsigned char differs = 0;
    if (alen != blen)
        return false;
    for (size_t i = 0; i < alen; i++)
        differs |= x[i] ^ y[i];
    return differs == 0;
}
