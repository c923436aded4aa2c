/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/matcher_scan.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/str.h"
#include "base/vec.h"
#include "lang/matcher_scan_core.h"

bool matcher_scan_grow(struct matcher_scan *scan, size_t count)
{
    return peri_vec_grow(&scan->opens, &scan->open_cap, count + SCAN_BLOCK, sizeof(*scan->opens));
}

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

size_t matcher_scan_escape(const unsigned char *text, size_t len, size_t at, size_t low_at)
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

size_t matcher_scan_word(const unsigned char *text, size_t len, size_t at)
{
    const unsigned char *p = text + at;
    size_t left = len - at;
    if (left >= 4 && (memcmp(p, "true", 4) == 0 || memcmp(p, "null", 4) == 0))
        return 4;
    return left >= 5 && memcmp(p, "false", 5) == 0 ? 5 : 0;
}

/* --- the kernel for any processor --- */

enum {
    IS_BLANK = 1,
    IS_OPEN = 2,
    IS_CLOSE = 4,
    IS_COMMA = 8,
    IS_COLON = 16,
    IS_QUOTE = 32,
    IS_SLASH = 64,
    IS_CONTROL = 128
};

static unsigned kind_of(unsigned char c)
{
    switch (c) {
    case ' ':
        return IS_BLANK;
    case '\t':
    case '\n':
    case '\r':
        return IS_BLANK | IS_CONTROL;
    case '{':
    case '[':
        return IS_OPEN;
    case '}':
    case ']':
        return IS_CLOSE;
    case ',':
        return IS_COMMA;
    case ':':
        return IS_COLON;
    case '"':
        return IS_QUOTE;
    case '\\':
        return IS_SLASH;
    default:
        return c < 0x20 ? IS_CONTROL : 0;
    }
}

static void plain_masks(const unsigned char *p, struct scan_masks *m)
{
    *m = (struct scan_masks){0};
    for (size_t i = 0; i < SCAN_BLOCK; i++) {
        uint64_t kind = kind_of(p[i]);
        m->blank |= (kind & 1) << i;
        m->open |= (kind >> 1 & 1) << i;
        m->close |= (kind >> 2 & 1) << i;
        m->comma |= (kind >> 3 & 1) << i;
        m->colon |= (kind >> 4 & 1) << i;
        m->quote |= (kind >> 5 & 1) << i;
        m->slash |= (kind >> 6 & 1) << i;
        m->control |= (kind >> 7 & 1) << i;
        m->object |= (uint64_t)(p[i] >> 5 & 1) << i;
        m->high |= (uint64_t)(p[i] >> 7) << i;
    }
}

static void plain_numbers(const unsigned char *p, struct scan_numbers *n)
{
    *n = (struct scan_numbers){0};
    for (size_t i = 0; i < SCAN_BLOCK; i++) {
        n->digit |= (uint64_t)(p[i] >= '0' && p[i] <= '9') << i;
        n->zero |= (uint64_t)(p[i] == '0') << i;
        n->dot |= (uint64_t)(p[i] == '.') << i;
        n->exp |= (uint64_t)((p[i] | 0x20) == 'e') << i;
        n->plus |= (uint64_t)(p[i] == '+') << i;
        n->minus |= (uint64_t)(p[i] == '-') << i;
    }
}

static void scan_plain(struct scan_state *state)
{
    struct scan_state s = *state;
    SCAN_LOOP(&s, plain_masks, plain_numbers);
    *state = s;
}

/* --- the choice --- */

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("pclmul");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}
#endif

static const struct kernel {
    const char *name;
    void (*run)(struct scan_state *s);
    bool (*works)(void);
} kernels[] = {
#if defined(__x86_64__)
    {"avx512", matcher_scan_avx512, has_avx512},
    {"avx2", matcher_scan_avx2, has_avx2},
    {"sse2", matcher_scan_sse2, always},
#endif
    {"plain", scan_plain, always},
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
    size_t blocks = len / SCAN_BLOCK + 1, cap = scan->block_cap;
    if (blocks <= cap)
        return true;
    size_t colon_cap = cap;
    if (!peri_vec_grow(&scan->quotes, &cap, blocks, sizeof(*scan->quotes)) ||
        !peri_vec_grow(&scan->colons, &colon_cap, blocks, sizeof(*scan->colons)))
        return false;
    scan->block_cap = cap;
    return true;
}

static enum matcher_scan_result run(
    const struct kernel *kernel, struct matcher_scan *scan, const char *text, size_t len)
{
    size_t first = 0;
    while (first < len && (text[first] == ' ' || text[first] == '\n' || text[first] == '\t' || text[first] == '\r'))
        first++;
    if (first == len || text[first] != '{')
        return MATCHER_SCAN_OTHER;
    if (!make_room(scan, len))
        return MATCHER_SCAN_NOMEM;
    scan->text = text;
    scan->len = len;
    scan->open_count = 0;
    uint32_t open[PERI_JSON_DEPTH];
    struct scan_state s = {.out = scan,
        .text = (const unsigned char *)text,
        .len = len,
        .quotes = scan->quotes,
        .colons = scan->colons,
        .opens = scan->opens,
        .open_cap = scan->open_cap,
        .open = open,
        .want_value = 1,
        .word_over = -1,
        .low_at = 1};
    kernel->run(&s);
    scan->open_count = s.open_count;
    scan->slashes = s.slashes;
    if (s.nomem)
        return MATCHER_SCAN_NOMEM;
    if (s.wrong || !s.done || s.in_string || s.want_key | s.want_value | s.want_colon)
        return MATCHER_SCAN_OTHER;
    if (s.high_end) {
        size_t from = s.high_first * SCAN_BLOCK, to = s.high_end * SCAN_BLOCK;
        if (!peri_utf8_valid(text + from, (to < len ? to : len) - from, NULL))
            return MATCHER_SCAN_OTHER;
    }
    return MATCHER_SCAN_OK;
}

enum matcher_scan_result matcher_scan(struct matcher_scan *scan, const char *text, size_t len)
{
    size_t i = 0;
    while (!kernels[i].works())
        i++;
    return run(&kernels[i], scan, text, len);
}

enum matcher_scan_result matcher_scan_with(const char *name, struct matcher_scan *scan, const char *text, size_t len)
{
    for (size_t i = 0; i < KERNEL_COUNT; i++)
        if (peri_streq(kernels[i].name, name) && kernels[i].works())
            return run(&kernels[i], scan, text, len);
    return MATCHER_SCAN_OTHER;
}

void matcher_scan_finish(struct matcher_scan *scan)
{
    free(scan->quotes);
    free(scan->colons);
    free(scan->opens);
    *scan = (struct matcher_scan){0};
}
