/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/matcher_scan.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/str.h"
#include "base/vec.h"
#include "lang/matcher_scan_core.h"

static bool blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

bool matcher_scan_grow(struct matcher_scan *scan, size_t need)
{
    size_t cap = scan->bracket_cap, level_cap = cap;
    if (!peri_vec_grow(&scan->brackets, &cap, need, sizeof(*scan->brackets)) ||
        !peri_vec_grow(&scan->levels, &level_cap, need, 1))
        return false;
    scan->bracket_cap = cap;
    return true;
}

bool matcher_scan_empty(const unsigned char *text, size_t end)
{
    do
        end--;
    while (blank((char)text[end]));
    return text[end] != ',';
}

/* --- what is done byte by byte --- */

/* Four hex digits, or -1. */
static int hex4(const unsigned char *text, size_t len, size_t at)
{
    int code = 0;
    if (len < 4 || at > len - 4)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        int c = text[i], digit = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
        if (!isxdigit(c))
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

/* The escape at text[at], a backslash that is not escaped itself. Returns the new low_at, 0 when it is malformed. */
static size_t check_escape(const unsigned char *text, size_t len, size_t at, size_t low_at)
{
    int c = at + 1 < len ? text[at + 1] : 0;
    if (c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f' || c == 'n' || c == 'r' || c == 't')
        return 1;
    int code = c == 'u' ? hex4(text, len, at + 2) : -1;
    if (code < 0)
        return 0;
    if (code < 0xd800 || code > 0xdfff)
        return 1;
    if (code >= 0xdc00)
        return low_at == at ? 1 : 0;
    if (at + 7 >= len || text[at + 6] != '\\' || text[at + 7] != 'u')
        return 0;
    int low = hex4(text, len, at + 8);
    return low >= 0xdc00 && low <= 0xdfff ? at + 6 : 0;
}

bool matcher_scan_escapes(struct scan_common *c, const uint64_t *slashes, uint64_t *quote, size_t lanes, size_t base)
{
    bool ok = true;
    c->out->slashes = true;
    for (size_t lane = 0; lane < lanes; lane++, base += SCAN_BLOCK) {
        uint64_t escaped = c->escaped, slash = slashes[lane] & ~escaped;
        c->escaped = 0;
        while (slash) {
            size_t i = (size_t)__builtin_ctzll(slash);
            c->low_at = check_escape(c->text, c->len, base + i, c->low_at);
            ok &= c->low_at != 0;
            if (i == SCAN_BLOCK - 1) {
                c->escaped = 1;
                break;
            }
            escaped |= UINT64_C(2) << i;
            slash &= ~(UINT64_C(3) << i);
        }
        quote[lane] &= ~escaped;
    }
    return ok;
}

static bool ends_word(const unsigned char *text, size_t len, size_t at)
{
    return at == len || text[at] == ',' || text[at] == '}' || text[at] == ']' || text[at] == ' ' || text[at] == '\n' ||
           text[at] == '\r' || text[at] == '\t';
}

/* The length of the word at text[at], 0 when there is none. */
static size_t word_at(const unsigned char *text, size_t len, size_t at)
{
    size_t left = len - at, n = 0;
    if (left >= 4 && (memcmp(text + at, "true", 4) == 0 || memcmp(text + at, "null", 4) == 0))
        n = 4;
    else if (left >= 5 && memcmp(text + at, "false", 5) == 0)
        n = 5;
    return n && ends_word(text, len, at + n) ? n : 0;
}

void matcher_scan_words(struct scan_common *c, const uint64_t *starts, const uint64_t *letters, size_t lanes,
    size_t base, uint64_t *word, uint64_t *exp, uint64_t *plus)
{
    uint64_t over = (UINT64_C(1) << c->word_over) - 1;
    for (size_t lane = 0; lane < lanes; lane++, base += SCAN_BLOCK) {
        word[lane] = over;
        exp[lane] = plus[lane] = over = 0;
        for (uint64_t rest = letters[lane] & ~word[lane]; rest; rest &= rest - 1) {
            size_t i = (size_t)__builtin_ctzll(rest);
            uint64_t bit = rest & -rest;
            size_t n = starts[lane] & bit ? word_at(c->text, c->len, base + i) : 0;
            uint64_t bits = (UINT64_C(1) << n) - 1;
            word[lane] |= bits << i;
            over |= i + n > SCAN_BLOCK ? bits >> (SCAN_BLOCK - i) : 0;
            rest &= ~(bits << i) | bit;
            if (!n) {
                exp[lane] |= (c->text[base + i] | 0x20) == 'e' ? bit : 0;
                plus[lane] |= c->text[base + i] == '+' ? bit : 0;
            }
        }
    }
    c->word_over = (unsigned)__builtin_popcountll(over);
}

/* --- the choice --- */

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vpopcntdq") &&
           __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("pclmul") &&
           __builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("gfni");
}
#endif

static const struct kernel {
    const char *name;
    bool (*run)(struct scan_common *c);
    bool (*works)(void);
} kernels[] = {
#if defined(__x86_64__)
    {"avx512", matcher_scan_avx512, has_avx512},
    {"avx2", matcher_scan_avx2, has_avx2},
    {"sse2", matcher_scan_sse2, always},
#endif
    {"plain", matcher_scan_plain, always},
};

#define KERNEL_COUNT (sizeof(kernels) / sizeof(kernels[0]))

const char *matcher_scan_kernel(size_t index)
{
    for (size_t i = 0; i < KERNEL_COUNT; i++)
        if (kernels[i].works() && index-- == 0)
            return kernels[i].name;
    return NULL;
}

static bool make_room(struct matcher_scan *scan, size_t len)
{
    size_t blocks = len / SCAN_BLOCK + 8, cap = scan->block_cap; /* a step may write up to eight words */
    if (blocks <= cap)
        return true;
    size_t colon_cap = cap;
    if (!peri_vec_grow(&scan->quotes, &cap, blocks, sizeof(*scan->quotes)) ||
        !peri_vec_grow(&scan->colons, &colon_cap, blocks, sizeof(*scan->colons)))
        return false;
    scan->block_cap = cap;
    return true;
}

/* Nothing comes after the object, and all of the text is UTF-8. */
static bool complete(const struct scan_common *c)
{
    for (size_t i = c->out->brackets[c->out->bracket_count - 1] + 1; i < c->len; i++)
        if (!blank((char)c->text[i]))
            return false;
    if (!c->high_end)
        return true;
    size_t end = c->high_end < c->len ? c->high_end : c->len;
    return peri_utf8_valid((const char *)c->text + c->high_first, end - c->high_first, NULL);
}

static enum matcher_scan_result run(
    bool (*kernel)(struct scan_common *c), bool document, struct matcher_scan *scan, const char *text, size_t len)
{
    size_t first = 0;
    while (first < len && blank(text[first]))
        first++;
    if (first == len || (text[first] != '{' && (!document || text[first] != '[')))
        return MATCHER_SCAN_OTHER;
    if (!make_room(scan, len))
        return MATCHER_SCAN_NOMEM;
    scan->text = text;
    scan->len = len;
    scan->bracket_count = 0;
    scan->slashes = scan->long_numbers = false;
    struct scan_common c = {
        .out = scan, .text = (const unsigned char *)text, .len = len, .low_at = 1, .numbers = document};
    bool right = kernel(&c);
    if (c.nomem)
        return MATCHER_SCAN_NOMEM;
    return right && complete(&c) ? MATCHER_SCAN_OK : MATCHER_SCAN_OTHER;
}

static bool (*best(struct matcher_scan *scan))(struct scan_common *c)
{
    size_t i = 0;
    if (scan->kernel)
        return scan->kernel;
    while (!kernels[i].works())
        i++;
    return scan->kernel = kernels[i].run;
}

static bool (*named(const char *name))(struct scan_common *c)
{
    for (size_t i = 0; i < KERNEL_COUNT; i++)
        if (peri_streq(kernels[i].name, name) && kernels[i].works())
            return kernels[i].run;
    return NULL;
}

enum matcher_scan_result matcher_scan(struct matcher_scan *scan, const char *text, size_t len)
{
    return run(best(scan), false, scan, text, len);
}

enum matcher_scan_result matcher_scan_document(struct matcher_scan *scan, const char *text, size_t len)
{
    return run(best(scan), true, scan, text, len);
}

enum matcher_scan_result matcher_scan_with(const char *name, struct matcher_scan *scan, const char *text, size_t len)
{
    bool (*kernel)(struct scan_common *) = named(name);
    return kernel ? run(kernel, false, scan, text, len) : MATCHER_SCAN_OTHER;
}

enum matcher_scan_result matcher_scan_document_with(
    const char *name, struct matcher_scan *scan, const char *text, size_t len)
{
    bool (*kernel)(struct scan_common *) = named(name);
    return kernel ? run(kernel, true, scan, text, len) : MATCHER_SCAN_OTHER;
}

void matcher_scan_finish(struct matcher_scan *scan)
{
    free(scan->quotes);
    free(scan->colons);
    free(scan->brackets);
    free(scan->levels);
    *scan = (struct matcher_scan){0};
}
