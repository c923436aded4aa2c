/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel for any processor. */
#define SCAN_LANES 2
#define SCAN_TARGET
#define SCAN_ANY(v) ((v)[0] | (v)[1])
#include "lang/matcher_scan_core.h"

static void block(const unsigned char *p, size_t lane, struct scan_masks *m)
{
    uint64_t quote = 0, slash = 0, control = 0, open = 0, close = 0, comma = 0, colon = 0, blank = 0, high = 0,
             digit = 0, zero = 0, dot = 0, minus = 0;
    for (size_t i = 0; i < SCAN_BLOCK; i++) {
        unsigned c = p[i], lower = c | 0x20;
        quote |= (uint64_t)(c == '"') << i;
        slash |= (uint64_t)(c == '\\') << i;
        control |= (uint64_t)(c < 0x20) << i;
        open |= (uint64_t)(lower == '{') << i;
        close |= (uint64_t)(lower == '}') << i;
        comma |= (uint64_t)(c == ',') << i;
        colon |= (uint64_t)(c == ':') << i;
        blank |= (uint64_t)(c == ' ' || c == '\n' || c == '\t' || c == '\r') << i;
        high |= c >> 7;
        digit |= (uint64_t)(c - '0' < 10) << i;
        zero |= (uint64_t)(c == '0') << i;
        dot |= (uint64_t)(c == '.') << i;
        minus |= (uint64_t)(c == '-') << i;
    }
    m->quote[lane] = quote;
    m->slash[lane] = slash;
    m->control[lane] = control;
    m->open[lane] = open;
    m->close[lane] = close;
    m->comma[lane] = comma;
    m->colon[lane] = colon;
    m->blank[lane] = blank;
    m->digit[lane] = digit;
    m->zero[lane] = zero;
    m->dot[lane] = dot;
    m->minus[lane] = minus;
    m->slashes |= slash;
    m->controls |= control;
    m->high |= high;
}

static void masks(const unsigned char *p, size_t n, struct scan_masks *m)
{
    for (size_t i = 0; i < n / SCAN_BLOCK; i++)
        block(p + i * SCAN_BLOCK, i, m);
    if (n % SCAN_BLOCK) {
        unsigned char tail[SCAN_BLOCK] = {0};
        memcpy(tail, p + n / SCAN_BLOCK * SCAN_BLOCK, n % SCAN_BLOCK);
        block(tail, n / SCAN_BLOCK, m);
    }
}

bool matcher_scan_plain(struct scan_common *c)
{
    SCAN_KERNEL(c, masks);
}
