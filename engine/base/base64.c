/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum peri_status peri_base64_encode(struct peri_buf *out, const void *data, size_t len)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);
        char text[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63], n > 1 ? alphabet[bits >> 6 & 63] : '=',
            n > 2 ? alphabet[bits & 63] : '='};
        peri_buf_append(out, text, 4);
    }
    return out->failed;
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The four characters at text into out; the number of bytes, 0 when they are malformed. */
static size_t decode_four(const char *text, bool last, char out[3])
{
    size_t n = !last || text[3] != '=' ? 3 : text[2] != '=' ? 2 : 1;
    uint32_t bits = 0;
    for (size_t k = 0; k < 4; k++) {
        int v = k <= n ? value_of(text[k]) : 0;
        if (v < 0)
            return 0;
        bits = bits << 6 | (uint32_t)v;
    }
    if (n < 3 && bits & ((1u << 8 * (3 - n)) - 1))
        return 0;
    for (size_t k = 0; k < n; k++)
        out[k] = (char)(bits >> (16 - 8 * k) & 255);
    return n;
}

enum peri_status peri_base64_decode(const char *text, size_t len, char **ret, size_t *ret_len)
{
    if (len % 4)
        return PERI_EINVAL;
    char *out = malloc(len / 4 * 3 + 1);
    if (!out)
        return PERI_ENOMEM;
    size_t at = 0;
    for (size_t i = 0; i < len; i += 4) {
        size_t n = decode_four(text + i, i + 4 == len, out + at);
        if (n == 0) {
            free(out);
            return PERI_EINVAL;
        }
        at += n;
    }
    out[at] = '\0';
    *ret = out;
    *ret_len = at;
    return PERI_OK;
}
